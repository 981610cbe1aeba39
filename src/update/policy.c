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
