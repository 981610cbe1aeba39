/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where a node's secret key is kept on the gateway: Key= of edgeferry-nodes.conf(5). */
#include "util/reason.h"
#include <edgeferry/session.h>

#define SESSION_KEY_CREDENTIAL "credential:"

/*
 * where: an absolute path, or "credential:NAME". CONFIG, with the file and the way out in e, when
 * it cannot be read, can be read by others, or is no key. Blocks for a small file. The caller wipes
 * key, which is zero after a failure.
 */
enum ef_reason session_key_load(
	const char *where, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e);

/*
 * A key that is to take the place of the one at where (SPEC-session, section 6) lies beside it, in
 * "WHERE.new". All of these block for a small file; what they write is on the disk when they
 * return.
 */
bool session_key_exists(const char *where);
bool session_key_has_next(const char *where);
/* Makes it, mode 0600, in place of one that is there. CONFIG for a credential, which is read-only.
 */
enum ef_reason session_key_make_next(
	const char *where, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e);
enum ef_reason session_key_load_next(
	const char *where, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e);
/* It is the node's: it takes the place of the one before. */
enum ef_reason session_key_promote(const char *where, struct error *e);
void session_key_drop_next(const char *where);
