/* SPDX-License-Identifier: Apache-2.0 */
#include "update/policy.h"

bool policy_automatic(enum config_automatic automatic, const struct known_release *newest)
{
	if (newest->installed || newest->error.reason != EF_REASON_OK)
		return false;
	switch (automatic) {
	case AUTOMATIC_NO:
		return false;
	case AUTOMATIC_SECURITY:
		return newest->kind == KIND_SECURITY;
	case AUTOMATIC_ALL:
		return true;
	}
	return false;
}

const struct part *policy_broken(const struct deployment *d)
{
	for (size_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];
		uint32_t before = 0;

		if (p->state != COMPONENT_FAILED || !p->required)
			continue;
		for (size_t k = 0; k < i; k++)
			before += d->parts[k].component == p->component && d->parts[k].required &&
				  d->parts[k].state == COMPONENT_FAILED;
		if (before >= p->component->budget)
			return p;
	}
	return NULL;
}
