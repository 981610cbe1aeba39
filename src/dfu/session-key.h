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
