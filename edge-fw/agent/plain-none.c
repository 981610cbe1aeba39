/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/plain.h"

bool plain_allowed(const struct agent *a)
{
	(void)a;
	return false;
}

enum ef_reason plain_begin(
	struct agent *a, const struct value *data, bool upgrade, enum ef_reason reason)
{
	(void)a;
	(void)data;
	(void)upgrade;
	return reason;
}

enum ef_reason plain_take(struct upload *u, const uint8_t *data, uint32_t size)
{
	(void)u;
	(void)data;
	(void)size;
	return EF_REASON_OK;
}

void plain_put_refusal(struct cbor_writer *w, enum ef_reason reason)
{
	(void)reason;
	put_uint(w, "rc", EF_SMP_UNKNOWN);
}
