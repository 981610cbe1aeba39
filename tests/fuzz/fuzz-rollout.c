/* SPDX-License-Identifier: Apache-2.0 */
/* Rollout statements: what is taken says what it may, and decides as its members say. */
#include "trust/rollout.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rollout r;
	struct error e = {0};

	if (rollout_parse(data, size, "demo", &r, &e) != EF_REASON_OK)
		return 0;
	if (rollout_follows(&r, &r, &e) != EF_REASON_OK)
		abort();
	for (size_t i = 0; i < r.n_releases; i++) {
		const struct rollout_release *x = &r.releases[i];
		enum rollout_answer a =
			rollout_decide(&r, x->version, x->sequence, "gw-0001", r.expires - 1);
		if (x->share > ROLLOUT_WHOLE || !rollout_salt_valid(x->salt) ||
			(x->halted && a != ROLLOUT_HALTED) ||
			(!x->halted && x->share == ROLLOUT_WHOLE && a != ROLLOUT_GO) ||
			(!x->halted && x->share == 0 && a != ROLLOUT_LATER))
			abort();
	}
	return 0;
}
