/* SPDX-License-Identifier: Apache-2.0 */
/* The files that nodes' keys are kept in: what is taken, and what is said of the rest. */
#include "dfu/session-key.h"
#include "unit.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOOD "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static char dir[] = "/tmp/edgeferry-key-XXXXXX", path[64];

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/key", dir);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void teardown(void)
{
	unlink(path);
	rmdir(dir);
}

static void put(const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static void assert_key(const char *where, const char *wrong)
{
	uint8_t key[32];
	struct error e = {0};
	enum ef_reason r = session_key_load(where, key, &e);

	ck_assert_int_eq(r, wrong ? EF_REASON_CONFIG : EF_REASON_OK);
	if (wrong) {
		ck_assert_msg(strstr(e.detail, wrong) != NULL, "%s", e.detail);
		ck_assert_ptr_null(strstr(e.detail, "0011")); /* S-31 */
		for (size_t i = 0; i < sizeof(key); i++)
			ck_assert_uint_eq(key[i], 0);
	} else {
		ck_assert_uint_eq(key[1], 0x11);
		ck_assert_uint_eq(key[31], 0xff);
	}
}

START_TEST(key_files)
{
	char text[128];

	assert_key(path, "No such file");
	put(GOOD, 0600);
	assert_key(path, NULL);
	put(GOOD "\n", 0400);
	assert_key(path, NULL);
	put(GOOD, 0640);
	assert_key(path, "mode 0640); chmod 600");
	put(GOOD, 0604);
	assert_key(path, "chmod 600");
	put(GOOD "\n\n", 0600);
	assert_key(path, "64 lower-case");
	put(GOOD "0", 0600);
	assert_key(path, "64 lower-case");
	put("", 0600);
	assert_key(path, "64 lower-case");
	snprintf(text, sizeof(text), "%.63s\n", GOOD);
	put(text, 0600);
	assert_key(path, "64 lower-case");
	snprintf(text, sizeof(text), "%.63sA", GOOD);
	put(text, 0600);
	assert_key(path, "64 lower-case");
	assert_key(dir, "not a file");
	put(GOOD, 0600);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, 1234, 0), 0);
		assert_key(path, "owned by user 1234; chown root");
	}
}
END_TEST

START_TEST(credentials)
{
	assert_key("credential:key", "LoadCredential=key:FILE");
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	assert_key("credential:key", "No such file");
	put(GOOD "\n", 0440); /* as systemd may have it for a service with a user */
	assert_key("credential:key", NULL);
	put("no key", 0400);
	assert_key("credential:key", "64 lower-case");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session-key");
	TCase *t = tcase_create("keys");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, key_files);
	tcase_add_test(t, credentials);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
