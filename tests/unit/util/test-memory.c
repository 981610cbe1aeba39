/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/memory.h"
#include <stdio.h>
#include <string.h>

#define BLOCKS 4096u
#define BLOCK 1000u

static long resident_kib(const char *kind)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kib = -1;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof line, f))
		if (strncmp(line, kind, strlen(kind)) == 0)
			kib = strtol(line + strlen(kind), NULL, 10);
	fclose(f);
	return kib;
}

/* Less is resident, and the program goes on as if nothing had been. */
START_TEST(gives_back_and_goes_on)
{
	static void *blocks[BLOCKS], *volatile last;
	long file = resident_kib("RssFile:"), anon;

	for (size_t i = 0; i < BLOCKS; i++)
		ck_assert_ptr_nonnull(blocks[i] = memset(malloc(BLOCK), 7, BLOCK));
	last = malloc(BLOCK); /* the heap does not shrink by itself */
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	anon = resident_kib("RssAnon:");
	memory_give_back();
	ck_assert_int_lt(resident_kib("RssFile:"), file);
#ifndef __SANITIZE_ADDRESS__
	ck_assert_int_lt(resident_kib("RssAnon:"), anon - BLOCKS * BLOCK / 1024 / 2);
#endif
	free(last);
	memory_give_back();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("memory");
	TCase *t = tcase_create("memory");

	tcase_add_test(t, gives_back_and_goes_on);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
