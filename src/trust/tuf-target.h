/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "trust/tuf.h"

/* From the entry for path in a targets document. Refused without a digest of a kind we know (S-06).
 */
enum ef_reason tuf_target_fill(struct tuf_target *ret, const char *path, const json_t *entry,
	bool consistent, struct error *e);
