/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Every unit test program: Check, TAP on standard output, one suite.
 *
 *   static Suite *suite(void) { … }
 *   UNIT_MAIN(suite())
 */
#include <check.h>
#include <stdlib.h>

#define UNIT_MAIN(s)                                         \
	int main(void)                                       \
	{                                                    \
		SRunner *r = srunner_create(s);              \
		srunner_set_tap(r, "-");                     \
		srunner_run_all(r, CK_SILENT);               \
		int failed = srunner_ntests_failed(r);       \
		srunner_free(r);                             \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS; \
	}
