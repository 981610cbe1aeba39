/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compression function of SHA-256 as a loop, which is tinyssh's, in place of BearSSL's, whose
 * steps are written out eight at a time (cross/p256-only.h takes that one out): 660 bytes less, and
 * a sixth slower.
 */
#include <crypto_hash_sha256.c>

void br_sha2small_round(const unsigned char *buf, uint32_t *val);

void br_sha2small_round(const unsigned char *buf, uint32_t *val)
{
	blocks(val, buf, 64);
}
