/* SPDX-License-Identifier: Apache-2.0 */
/* Each key in turn: a change of it is seen, is of the kind that the table says, and is taken whole.
 */
#include "../unit.h"
#include "config/keys.h"
#include "util/cleanup.h"
#include <stdbool.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

DEFINE_CLEANUP(struct config *, config_free)

/* Another value than the default for every key. */
static const struct other {
	const char *section, *key, *value;
} others[] = {
	{"Gateway", "Product", "other"},
	{"Gateway", "Compatible", "other.example,gw"},
	{"Gateway", "Hardware", "9"},
	{"Gateway", "Id", "gw-9"},
	{"Gateway", "StateDirectory", "/other"},
	{"Gateway", "RuntimeDirectory", "/other"},
	{"Source", "URL", "https://other.example"},
	{"Source", "CAFile", "/other"},
	{"Source", "ClientCertificate", "credential:other"},
	{"Source", "ClientKey", "/other"},
	{"Source", "PollSec", "9h"},
	{"Mqtt", "Broker", "other.example:9"},
	{"Mqtt", "CAFile", "/other"},
	{"Mqtt", "ClientCertificate", "credential:other"},
	{"Mqtt", "ClientKey", "pkcs11:object=other"},
	{"Mqtt", "Username", "other"},
	{"Mqtt", "PasswordFile", "/other"},
	{"Mqtt", "TopicPrefix", "other"},
	{"Network", "User", "other"},
	{"Network", "TokenSocket", "/other"},
	{"Metrics", "File", "/other"},
	{"Bluetooth", "Adapter", "hci9"},
	{"Bluetooth", "MaxConnections", "2"},
	{"Slots", "Boot", "grub"},
	{"Slots", "BootDirectory", "/other"},
	{"Slots", "A", "/other"},
	{"Slots", "B", "/other"},
	{"Slots", "BootA", "/other"},
	{"Slots", "BootB", "/other"},
	{"Update", "Automatic", "all"},
	{"Update", "Window", "01:00-02:00"},
	{"Update", "WindowDays", "Mon"},
	{"Update", "Reboot", "request"},
	{"Update", "PostponeMax", "9d"},
	{"Update", "CatchUp", "no"},
	{"Update", "CheckServices", "no"},
	{"Update", "ChecksDirectory", "/other"},
	{"Update", "InterlockDirectory", "/other"},
	{"Update", "ConfirmSec", "9min"},
	{"Update", "ObjectQuota", "9M"},
	{"Node", "Compatible", "other.example,mcu"},
	{"Node", "Link", "udp"},
	{"Node", "Device", "/other"},
	{"Node", "Address", "9"},
	{"Node", "BaudRate", "9600"},
	{"Node", "BaudRateMax", "1000000"},
	{"Node", "RS485", "yes"},
	{"Node", "ClockRate", "2000000"},
	{"Node", "ReadyLine", "OTHER"},
	{"Node", "Exposed", "yes"},
	{"Node", "Entry", "smp"},
	{"Node", "ResetLine", "OTHER"},
	{"Node", "BootLine", "OTHER"},
	{"Node", "ResetSec", "9ms"},
	{"Node", "BootSec", "9ms"},
	{"Node", "Framing", "raw"},
	{"Node", "Security", "none"},
	{"Node", "Key", "/other"},
	{"Node", "RedundancyGroup", "other"},
	{"Node", "Optional", "yes"},
	{"Node", "Patch", "no"},
	{"Node", "MinimumBattery", "9"},
	{"Node", "ExternalPower", "yes"},
	{"Node", "Window", "01:00-02:00"},
};

static void put(struct config *c, const struct other *o)
{
	struct ini_item item = {
		.file = "f", .line = 1, .section = o->section, .key = o->key, .value = o->value};
	bool node = strcmp(o->section, "Node") == 0;
	struct error e = {0};

	ck_assert_msg((node ? config_node_set(&c->nodes[0], &item, &e)
			    : config_set(c, &item, &e)) == EF_REASON_OK,
		"%s", e.detail);
}

static struct config *one_node(void)
{
	struct config *c = config_new();

	ck_assert_ptr_nonnull(c);
	c->nodes = calloc(1, sizeof(*c->nodes));
	ck_assert_ptr_nonnull(c->nodes);
	c->n_nodes = 1;
	c->nodes[0].name = strdup("meter");
	ck_assert_int_eq(config_node_defaults(&c->nodes[0]), 0);
	return c;
}

static bool nothing(const struct config_change *x)
{
	return !x->now && !x->net && !x->nodes && !x->n_at_start;
}

static void expect(const struct config_change *x, enum config_when when, const struct other *o)
{
	ck_assert_msg(x->now == (when == CONFIG_NOW) && x->net == (when == CONFIG_NET) &&
			      x->nodes == (when == CONFIG_IDLE) &&
			      x->n_at_start == (when == CONFIG_START),
		"[%s] %s=", o->section, o->key);
	if (x->n_at_start) {
		ck_assert_str_eq(x->at_start[0].section, o->section);
		ck_assert_str_eq(x->at_start[0].key, o->key);
	}
}

/* F-27: what a change of it takes is said; then it is taken, as far as that goes. */
static void try_key(bool node, size_t i, const struct other *o)
{
	_cleanup_(config_freep) struct config *c = one_node(), *next = one_node();
	enum config_when when = config_key_when(node, i);
	bool left[] = {true, when == CONFIG_IDLE || when == CONFIG_START, when == CONFIG_START};
	struct config_change x;

	config_compare(c, next, &x);
	ck_assert(nothing(&x));
	for (size_t k = 0; k < COUNT(left); k++) {
		if (k)
			config_take(c, next, k == 2); /* next has what c had */
		put(next, o);
		config_compare(c, next, &x);
		if (left[k])
			expect(&x, when, o);
		else
			ck_assert_msg(nothing(&x), "[%s] %s=", o->section, o->key);
	}
}

START_TEST(every_key_F27)
{
	const char *section, *name, *value;
	size_t n = 0;

	for (int node = 0; node <= 1; node++)
		for (size_t i = 0; config_key(node, i, &section, &name, &value); i++, n++) {
			ck_assert_uint_lt(n, COUNT(others));
			ck_assert_str_eq(section, others[n].section);
			ck_assert_str_eq(name, others[n].key);
			try_key(node, i, &others[n]);
		}
	ck_assert_uint_eq(n, COUNT(others));
}
END_TEST

/* Only keys that nothing can follow while the daemon runs, so that the list of them has room. */
START_TEST(at_start_fits)
{
	const char *section, *name, *value;
	size_t n = 0;

	for (size_t i = 0; config_key(false, i, &section, &name, &value); i++)
		n += config_key_when(false, i) == CONFIG_START;
	ck_assert_uint_le(n, CONFIG_AT_START_MAX);
	for (size_t i = 0; config_key(true, i, &section, &name, &value); i++)
		ck_assert_int_ne(config_key_when(true, i), CONFIG_START);
}
END_TEST

START_TEST(nodes_that_come_and_go)
{
	_cleanup_(config_freep) struct config *c = one_node(), *next = one_node();
	struct config_change x;

	free(next->nodes[0].name);
	next->nodes[0].name = strdup("pump");
	config_compare(c, next, &x);
	ck_assert(x.nodes);
	ck_assert(!config_same_wiring(&c->nodes[0], &next->nodes[0]));
	config_node_free(&next->nodes[0]);
	next->n_nodes = 0;
	config_compare(c, next, &x);
	ck_assert(x.nodes);
	config_take(c, next, false);
	ck_assert_uint_eq(c->n_nodes, 1);
	config_take(c, next, true);
	ck_assert_uint_eq(c->n_nodes, 0);
	ck_assert_uint_eq(next->n_nodes, 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("config/change");
	TCase *t = tcase_create("change");

	tcase_add_test(t, every_key_F27);
	tcase_add_test(t, at_start_fits);
	tcase_add_test(t, nodes_that_come_and_go);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
