/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before each file for clang's analyzer (test-tidy.py), which looks at one at a time and cannot see
 * that a reason which is given to error_set is a failure.
 */
#if __has_include("util/reason.h")
#include "util/reason.h"

static inline enum ef_reason error_is_set(const struct error *e, enum ef_reason given)
{
	if (given != EF_REASON_OK && e->reason == EF_REASON_OK)
		__builtin_unreachable();
	return e->reason;
}

#define error_set(e, r, ...) (error_set(e, r, __VA_ARGS__), error_is_set(e, r))
#define error_errno(e, n, ...) \
	(error_errno(e, n, __VA_ARGS__), error_is_set(e, (n) < 0 ? EF_REASON_IO : EF_REASON_OK))
#endif
