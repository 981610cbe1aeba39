/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included before every source of BearSSL that is built for a board: P-256 is the only curve. Its
 * buffers have the size for that instead of P-521 (half of the stack), the tables of the other
 * curves are dropped.
 */
#include "inner.h"
#undef BR_MAX_EC_SIZE
#define BR_MAX_EC_SIZE 256
#define br_secp384r1 br_secp256r1
#define br_secp521r1 br_secp256r1
#ifdef SOURCE_ec_prime_i15
/* id_to_curve(int curve) is defined as one_curve(int curve), id_to_curve(curve) calls it with P-256
 */
#define id_to_curve(argument) PASTE_##argument)
#define PASTE_int one_curve(int
#define PASTE_curve one_curve(BR_EC_secp256r1
#endif
#if defined SOURCE_sha2small && defined SMALL_SHA256
/* br_sha2small_round(const unsigned char *buf, …) is defined as unused_round, calls go to the one
 * of sha256-small.c */
#define br_sha2small_round(first, second) ROUND_##first, second)
#define ROUND_const unused_round(const
#define ROUND_cc (br_sha2small_round)(cc
#define ROUND_buf (br_sha2small_round)(buf
#endif
