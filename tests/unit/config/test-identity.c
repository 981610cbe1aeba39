/* SPDX-License-Identifier: Apache-2.0 */
/* Who the gateway is when no file says so: the same after a flip to a slot with another machine id.
 */
#include "../unit.h"
#include "config/config.h"
#include "util/fdio.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHER "0123456789abcdef0123456789abcdef" /* as another machine id would give it */

static char dir[] = "/tmp/ef-identity-XXXXXX", conf[PATH_MAX], id_file[PATH_MAX];

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

/* more: lines of [Gateway] */
static void configure(const char *more)
{
	char text[PATH_MAX + 256];

	snprintf(text, sizeof text,
		"[Gateway]\nProduct=demo\nCompatible=vendor.example,gw\nStateDirectory=%s/state\n"
		"%s\n",
		dir, more);
	write_text(conf, text);
}

static void set_up(void)
{
	char state[PATH_MAX];

	strcpy(dir + sizeof dir - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(conf, sizeof conf, "%s/edgeferry.conf", dir);
	snprintf(state, sizeof state, "%s/state", dir);
	snprintf(id_file, sizeof id_file, "%s/state/id", dir);
	ck_assert_int_eq(mkdir(state, 0700), 0);
	configure("");
}

static void tear_down(void)
{
	char state[PATH_MAX];

	snprintf(state, sizeof state, "%s/state", dir);
	unlink(id_file);
	unlink(conf);
	rmdir(state);
	rmdir(dir);
}

static struct config *load(void)
{
	struct config *c = NULL;
	struct error e = {0};

	ck_assert_msg(config_load(dir, &c, &e) == EF_REASON_OK, "%s", e.detail);
	return c;
}

/* Where packages are built there may be none. */
static bool machine_id(void)
{
	return access("/etc/machine-id", R_OK) == 0;
}

START_TEST(derived_then_kept)
{
	if (!machine_id())
		return;
	struct config *first = load(), *second;

	ck_assert_int_eq(first->id_from, ID_DERIVED);
	ck_assert_uint_eq(strlen(first->id), 32);
	ck_assert_int_eq(access(id_file, F_OK), -1); /* loading writes nothing */
	ck_assert_int_eq(config_keep_id(first), 0);
	second = load();
	ck_assert_int_eq(second->id_from, ID_KEPT);
	ck_assert_str_eq(second->id, first->id);
	config_free(first);
	config_free(second);
}
END_TEST

START_TEST(kept_across_machine_ids)
{
	write_text(id_file, OTHER "\n");
	struct config *c = load();
	ck_assert_int_eq(c->id_from, ID_KEPT);
	ck_assert_str_eq(c->id, OTHER);
	/* and is not written over */
	write_text(id_file, "changed");
	ck_assert_int_eq(config_keep_id(c), 0);
	config_free(c);
	c = load();
	ck_assert_str_eq(c->id, "changed");
	config_free(c);
}
END_TEST

START_TEST(what_a_file_says_goes_first)
{
	write_text(id_file, OTHER "\n");
	configure("Id=gw-1");
	struct config *c = load();
	ck_assert_int_eq(c->id_from, ID_SET);
	ck_assert_str_eq(c->id, "gw-1");
	ck_assert_int_eq(config_keep_id(c), 0);
	config_free(c);
	configure("");
	c = load();
	ck_assert_str_eq(c->id, OTHER);
	config_free(c);
	/* also before one that is damaged */
	write_text(id_file, "");
	configure("Id=gw-1");
	config_free(load());
}
END_TEST

/* F-28: another name would be another gateway. */
START_TEST(damaged_is_not_empty)
{
	static const char *const bad[] = {"", "\n", "Upper\n", "two words\n", "a\nb\n",
		"0123456789abcdef0123456789abcdef0\n",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0\n"};
	struct config *c = NULL;
	struct error e = {0};

	write_text(id_file, bad[_i]);
	ck_assert_int_eq(config_load(dir, &c, &e), EF_REASON_STATE_UNREADABLE);
	ck_assert_ptr_nonnull(strstr(e.detail, id_file));
}
END_TEST

START_TEST(below_a_root)
{
	struct config *c = NULL;
	struct error e = {0};
	char root[PATH_MAX];

	if (!machine_id())
		return;
	write_text(id_file, OTHER "\n");
	snprintf(root, sizeof root, "%s/nothing", dir);
	ck_assert_int_eq(config_load_below(root, dir, &c, &e), EF_REASON_OK);
	ck_assert_int_eq(c->id_from, ID_DERIVED);
	config_free(c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("identity");
	TCase *t = tcase_create("identity");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, derived_then_kept);
	tcase_add_test(t, kept_across_machine_ids);
	tcase_add_test(t, what_a_file_says_goes_first);
	tcase_add_loop_test(t, damaged_is_not_empty, 0, 7);
	tcase_add_test(t, below_a_root);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
