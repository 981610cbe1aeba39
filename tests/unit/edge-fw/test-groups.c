/* SPDX-License-Identifier: Apache-2.0 */
/* What the application answers beyond updates: info, time, geometry, statistics, settings, crash
 * record, version report. */
#include "agent/crash.h"
#include "boot/secrets.h"
#include "node.h"
#include <edgeferry/session.h>
#include <string.h>

static void setup(void)
{
	node_make(true);
	node_start();
}

static struct reply ask(uint8_t op, uint16_t group, uint8_t command, const char *body, size_t size)
{
	return gateway_ask(&node.agent, op, group, command, body, size);
}
#define ASK(op, group, command, body) ask(EF_SMP_##op, group, command, body, sizeof(body) - 1)

/* One pair with a text, in a map. */
static struct reply ask_text(
	uint8_t op, uint16_t group, uint8_t command, const char *key, const char *text)
{
	uint8_t body[256];
	struct cbor_writer w;

	cbor_write_init(&w, body, sizeof(body));
	cbor_open_map(&w);
	cbor_put_text(&w, key);
	cbor_put_text(&w, text);
	cbor_close(&w);
	ck_assert(!w.overflow);
	return gateway_ask(&node.agent, op, group, command, body, w.used);
}

/* The text of an answer's pair, at its top level. */
static const char *text_of(const struct reply *r, const char *name)
{
	static char copy[256];
	struct cbor_reader c;
	const char *key, *text;
	size_t size;

	cbor_read_init(&c, r->body, r->size);
	ck_assert(cbor_enter(&c));
	while (cbor_peek(&c) == CBOR_TEXT && cbor_get_text(&c, &key, &size)) {
		if (size != strlen(name) || memcmp(key, name, size) != 0) {
			cbor_skip(&c);
			continue;
		}
		ck_assert(cbor_get_text(&c, &text, &size));
		ck_assert_uint_lt(size, sizeof(copy));
		memcpy(copy, text, size);
		copy[size] = '\0';
		return copy;
	}
	ck_abort_msg("the answer has no %s", name);
}

/* ---- OS ---- */

START_TEST(info_by_format)
{
	static const struct {
		const char *format, *want;
	} rows[] = {
		{"s", "edgeferry"},
		{"n", "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"},
		{"r", "1.0.0"},
		{"v", "0.1.0"},
		{"b", "unknown"},
		{"mp", "host host"},
		{"i", "sim"},
		{"o", "edgeferry"},
		{"ios", "edgeferry sim edgeferry"}, /* the order is always the same */
		{"a", "edgeferry d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 1.0.0 0.1.0 unknown host host "
		      "sim edgeferry"},
		{"sas", "edgeferry d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 1.0.0 0.1.0 unknown host host "
			"sim edgeferry"},
		{"", ""},
	};
	struct reply r;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		r = ask_text(EF_SMP_READ, EF_GROUP_OS, EF_OS_INFO, "format", rows[i].format);
		assert_good(r);
		ck_assert_str_eq(text_of(&r, "output"), rows[i].want);
	}
	assert_rc(ask_text(EF_SMP_READ, EF_GROUP_OS, EF_OS_INFO, "format", "sx"), INVALID);
	r = gateway_read(&node.agent, EF_GROUP_OS, EF_OS_INFO);
	ck_assert_str_eq(text_of(&r, "output"), "app 1.0.0 on sim (host)");
	/* the bootloader has the one line only */
	node_serve();
	r = ask_text(EF_SMP_READ, EF_GROUP_OS, EF_OS_INFO, "format", "s");
	ck_assert_str_eq(text_of(&r, "output"), "bootloader 0.1.0 on sim (host)");
}
END_TEST

START_TEST(bootloader_info)
{
	struct reply r = gateway_read(&node.agent, EF_GROUP_OS, EF_OS_BOOTLOADER);

	ck_assert_str_eq(text_of(&r, "bootloader"), "edgeferry");
	r = ask_text(EF_SMP_READ, EF_GROUP_OS, EF_OS_BOOTLOADER, "query", "mode");
	/* swap without scratch; MCUboot's promise about versions is not made */
	ck_assert_uint_eq(reply_uint(&r, "mode"), 3);
	ck_assert_uint_eq(reply_uint(&r, "no-downgrade"), UINT32_MAX);
	assert_rc(ask_text(EF_SMP_READ, EF_GROUP_OS, EF_OS_BOOTLOADER, "query", "x"), NO_ENTRY);
}
END_TEST

static struct reply set_time(const char *text)
{
	return ask_text(EF_SMP_WRITE, EF_GROUP_OS, EF_OS_DATETIME, "datetime", text);
}

static const char *get_time(void)
{
	static struct reply r;

	r = gateway_read(&node.agent, EF_GROUP_OS, EF_OS_DATETIME);
	ck_assert(reply_good(&r));
	return text_of(&r, "datetime");
}

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&node.agent))
		;
}

START_TEST(date_and_time)
{
	static const struct {
		const char *set, *get;
	} rows[] = {
		{"2026-03-01T12:34:56", "2026-03-01T12:34:56.000000"},
		{"2026-03-01T12:34:56Z", "2026-03-01T12:34:56.000000"},
		{"2026-03-01T12:34:56.123456", "2026-03-01T12:34:56.000000"},
		{"2026-03-01T00:30:00.5+01:00", "2026-02-28T23:30:00.000000"},
		{"2024-02-29T23:59:59-00:01", "2024-03-01T00:00:59.000000"},
		{"2000-02-29T00:00:00", "2000-02-29T00:00:00.000000"},
		{"1970-01-01T00:00:01", "1970-01-01T00:00:01.000000"},
		{"2105-12-31T23:59:59", "2105-12-31T23:59:59.000000"},
		{"2099-12-31T23:59:59-23:59", "2100-01-01T23:58:59.000000"},
	};
	static const char *const bad[] = {"", "2026", "2026-03-01", "2026-03-01 12:34:56",
		"2026-13-01T12:34:56", "2026-00-01T12:34:56", "2026-02-29T12:34:56",
		"2100-02-29T00:00:00", "2026-04-31T00:00:00", "2026-03-00T00:00:00",
		"2026-03-01T24:00:00", "2026-03-01T12:60:00", "2026-03-01T12:34:60",
		"1969-12-31T23:59:59", "2106-01-01T00:00:00", "2026-03-01T12:34:56.",
		"2026-03-01T12:34:56x", "2026-03-01T12:34:56Zx", "2026-03-01T12:34:56+1:00",
		"2026-03-01T12:34:56+01", "2026-03-01T12:34:56+24:00", "-026-03-01T12:34:56",
		"2026-03-01T12:34:56.00000000000000000000000", "1970-01-01T00:00:00"};

	assert_rc(gateway_read(&node.agent, EF_GROUP_OS, EF_OS_DATETIME), BAD_STATE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_good(set_time(rows[i].set));
		ck_assert_str_eq(get_time(), rows[i].get);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct reply r = set_time(bad[i]);
		ck_assert_msg(r.rc == EF_SMP_INVALID, "%s is taken", bad[i]);
		ck_assert_str_eq(get_time(), "2100-01-01T23:58:59.000000");
	}
	/* it goes on, past what a counter of milliseconds holds */
	sim.millis += 1234;
	sim_run(poll_agent, NULL);
	ck_assert_str_eq(get_time(), "2100-01-01T23:59:00.234000");
	for (int i = 0; i < 120; i++) {
		sim.millis += 3600u * 1000u * 24u / 2u;
		sim_run(poll_agent, NULL);
	}
	ck_assert_str_eq(get_time(), "2100-03-02T23:59:00.234000");
	ck_assert_uint_eq(node.agent.uptime, 1 + 60 * 86400);
}
END_TEST

START_TEST(every_day_comes_back)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	for (unsigned year = 1970; year < 2106; year += year < 2001 ? 30 : 7)
		for (unsigned month = 1; month <= 12; month++)
			for (unsigned day = 1; day <= days[month - 1]; day++) {
				char text[40];

				snprintf(text, sizeof(text), "%04u-%02u-%02uT23:59:58", year, month,
					day);
				struct reply r = set_time(text);
				ck_assert_msg(reply_good(&r), "%s", text);
				ck_assert_int_eq(strncmp(get_time(), text, 19), 0);
			}
}
END_TEST

START_TEST(slot_info)
{
	struct reply r = gateway_read(&node.agent, EF_GROUP_IMAGE, EF_IMAGE_SLOT_INFO);
	static const uint8_t want[] =
		"\xbf\x66images\x9f\xbf\x65image\x00\x65slots\x9f"
		"\xbf\x64slot\x00\x64size\x19\x18\x00\xff"
		"\xbf\x64slot\x01\x64size\x19\x18\x00\x6fupload_image_id\x00\xff"
		"\xff\x6emax_image_size\x19\x18\x00\xff\xff\xff";

	ck_assert_uint_eq(r.size, sizeof(want) - 1);
	ck_assert_mem_eq(r.body, want, sizeof(want) - 1);
}
END_TEST

/* ---- statistics ---- */

static void put_own(const struct agent *a, struct cbor_writer *w)
{
	(void)a;
	put_uints(w, "answer", (const uint32_t[]){42});
}

static struct reply read_stat(const char *name)
{
	return ask_text(EF_SMP_READ, EF_GROUP_STAT, EF_STAT_READ, "name", name);
}

/* A number among the fields. */
static uint32_t field(const struct reply *r, const char *name)
{
	const uint8_t *at = memmem(r->body, r->size,
		"\x66"
		"fields\xbf",
		8);
	struct reply inner = {0};

	ck_assert_ptr_nonnull(at);
	inner.body = at + 7;
	inner.size = r->size - (size_t)(inner.body - r->body);
	return reply_uint(&inner, name);
}

START_TEST(statistics)
{
	static const struct statistics own = {"own", put_own};
	static const struct agent_program with = {.stats = &own};
	struct reply r = gateway_read(&node.agent, EF_GROUP_STAT, EF_STAT_LIST);

	ck_assert(memmem(r.body, r.size, "\x69stat_list\x9f\x64line\x64node\xff\xff", 23) != NULL);
	assert_rc(read_stat("own"), NO_ENTRY);
	assert_rc(read_stat("lin"), NO_ENTRY);
	assert_rc(ASK(READ, EF_GROUP_STAT, EF_STAT_READ, "\xa0"), INVALID);
	r = read_stat("node");
	ck_assert_str_eq(text_of(&r, "name"), "node");
	uint32_t records = field(&r, "records"), erases = field(&r, "erases");
	ck_assert_uint_eq(records, node_state().sequence);
	ck_assert_uint_eq(field(&r, "boots"), 1);
	node_stage(); /* what an update costs is counted */
	r = read_stat("node");
	ck_assert_uint_eq(
		field(&r, "records"), records + 2); /* that it comes, that it is to be tried */
	ck_assert_uint_eq(field(&r, "erases") - erases, (node.fresh.size + 511) / 512);
	/* the line */
	for (int i = 0; i < 3; i++) {
		uint8_t m[9] = {EF_SMP_READ | 8, 0, 0, 1, 0, EF_GROUP_OS, 9, EF_OS_PARAMS, 0xa0};

		sim.in_at = 0;
		sim.in_size = frame_encode(m, sizeof(m), sim.input);
		sim.input[4] ^= i == 1 ? 0x10 : 0;
		sim_run(poll_agent, NULL);
	}
	r = read_stat("line");
	ck_assert_uint_eq(field(&r, "messages"), 2);
	ck_assert_uint_eq(field(&r, "dropped"), 1);
	ck_assert_uint_eq(field(&r, "lost"), 0);
	/* the program's own */
	agent_init(&node.agent, &with);
	r = read_stat("own");
	ck_assert_uint_eq(field(&r, "answer"), 42);
	r = gateway_read(&node.agent, EF_GROUP_STAT, EF_STAT_LIST);
	ck_assert(memmem(r.body, r.size, "\x64node\x63own\xff\xff", 11) != NULL);
}
END_TEST

/* ---- crash record ---- */

static const struct crash_site site = {
	0x8123, 0x8457, 0x61000000, 3, {0x10000, 0x40000000}, 0xdeadbeef};

START_TEST(crash)
{
	struct reply r = gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_CRASH);

	ck_assert_uint_eq(r.rc, EF_SMP_NO_ENTRY);
	for (int i = 0; i < 75; i++) {
		sim.millis += 1000;
		sim_run(poll_agent, NULL);
	}
	crash_record(PORT_CAUSE_FAULT, &site);
	retained_set_cause(PORT_CAUSE_FAULT);
	node_start(); /* it outlives the reset, and the boot after */
	node_start();
	r = gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_CRASH);
	ck_assert(reply_good(&r));
	ck_assert_str_eq(text_of(&r, "version"), "1.0.0");
	ck_assert_uint_eq(reply_uint(&r, "cause"), PORT_CAUSE_FAULT);
	ck_assert_uint_eq(reply_uint(&r, "mode"), 1);
	ck_assert_uint_eq(reply_uint(&r, "no-downgrade"), UINT32_MAX);
	ck_assert_uint_eq(reply_uint(&r, "uptime"), 75);
	ck_assert_uint_eq(reply_uint(&r, "pc"), site.pc);
	ck_assert_uint_eq(reply_uint(&r, "lr"), site.lr);
	ck_assert_uint_eq(reply_uint(&r, "psr"), site.psr);
	ck_assert_uint_eq(reply_uint(&r, "exc"), 3);
	ck_assert_uint_eq(reply_uint(&r, "cfsr"), site.status[0]);
	ck_assert_uint_eq(reply_uint(&r, "hfsr"), site.status[1]);
	ck_assert_uint_eq(reply_uint(&r, "addr"), site.address);
	/* one bit of it wrong: there is none */
	for (unsigned bit = 0; bit < 32; bit++) {
		sim.retained[PORT_RETAINED_WORDS - 3] ^= 1u << bit;
		assert_rc(gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_CRASH), NO_ENTRY);
		sim.retained[PORT_RETAINED_WORDS - 3] ^= 1u << bit;
	}
	assert_good(gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_CRASH));
	assert_good(ASK(WRITE, EF_GROUP_EDGEFERRY, EF_EF_CRASH, "\xa0"));
	assert_rc(gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_CRASH), NO_ENTRY);
	crash_record(PORT_CAUSE_WATCHDOG, &site);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	assert_rc(gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_CRASH), NO_ENTRY);
}
END_TEST

/* The version is that of the program that crashed, not of the one that answers. */
START_TEST(crash_of_a_trial)
{
	struct reply r;

	node_stage();
	node_start();
	crash_record(PORT_CAUSE_FAULT, &site);
	node_start();
	ck_assert(node_slot_is(0, &node.old));
	r = gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_CRASH);
	ck_assert_str_eq(text_of(&r, "version"), "2.0.0");
	/* and of the bootloader, when it was that */
	memset(sim.flash + sim.board.slot[0].offset, 0xff, sim.board.slot[0].size);
	memset(sim.flash + sim.board.slot[1].offset, 0xff, sim.board.slot[1].size);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	crash_record(PORT_CAUSE_WATCHDOG, &site);
	r = gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_CRASH);
	ck_assert_uint_eq(reply_uint(&r, "mode"), 0);
	ck_assert_str_eq(text_of(&r, "version"), "0.1.0");
}
END_TEST

/* ---- version report ---- */

static struct reply ask_report(const char *nonce, size_t size)
{
	uint8_t body[64];
	struct cbor_writer w;

	cbor_write_init(&w, body, sizeof(body));
	cbor_open_map(&w);
	cbor_put_text(&w, "nonce");
	cbor_put_bytes(&w, nonce, size);
	cbor_close(&w);
	return gateway_ask(
		&node.agent, EF_SMP_READ, EF_GROUP_EDGEFERRY, EF_EF_REPORT, body, w.used);
}

START_TEST(version_report) /* E-12 */
{
	struct secret_key key = {.psk = "a key that others have not got"};
	struct reply r = ask_report("abc", 3);
	const uint8_t *at;
	uint8_t want[EF_SESSION_REPORT_TAG];

	/* {"report": h'…'} */
	ck_assert(memcmp(r.body, "\xbf\x66report\x58", 9) == 0);
	ck_assert_uint_eq(r.size, 8u + 2 + r.body[9] + 1);
	struct reply report = {.body = r.body + 10, .size = r.body[9]};
	ck_assert_uint_eq(reply_uint(&report, "v"), 1);
	ck_assert_uint_eq(reply_uint(&report, "floor"), OLD_COUNTER);
	ck_assert_uint_eq(reply_uint(&report, "trial"), 0);
	ck_assert_str_eq(text_of(&report, "version"), "1.0.0");
	ck_assert_str_eq(text_of(&report, "boot"), "0.1.0");
	ck_assert_ptr_nonnull(memmem(report.body, report.size,
		"\x65nonce\x43"
		"abc",
		10));
	at = memmem(report.body, report.size, "\x64hash\x58\x20", 7);
	ck_assert(at && memcmp(at + 7, node.old.digest, 32) == 0);
	at = memmem(report.body, report.size, "\x64keys\x9f\x48", 7);
	ck_assert(at && memcmp(at + 7, node.agent.factory.keys[0].hash, 8) == 0 && at[15] == 0xff);
	at = memmem(report.body, report.size, "\x62id\x50", 4);
	ck_assert(at && memcmp(at + 4, node.agent.factory.device_id, 16) == 0);
	/* a nonce of 1 to 32 bytes */
	assert_rc(ask_report("", 0), INVALID);
	assert_rc(ASK(READ, EF_GROUP_EDGEFERRY, EF_EF_REPORT, "\xa0"), INVALID);
	assert_rc(ask_report("0123456789012345678901234567890123", 33), INVALID);
	assert_good(ask_report("01234567890123456789012345678901", 32));
	/* with a key there is a tag over these very bytes */
	ck_assert_int_eq(secrets_store(&key), 0);
	node.agent.factory.n_keys = FACTORY_KEYS_MAX;
	r = ask_report("01234567890123456789012345678901", 32);
	ck_assert(reply_good(&r));
	report.body = r.body + 10;
	report.size = r.body[9];
	ck_assert(ef_session_report_tag(key.psk, report.body, report.size, want));
	ck_assert(memcmp(report.body + report.size, "\x63tag\x58\x20", 6) == 0);
	ck_assert_mem_eq(report.body + report.size + 6, want, sizeof(want));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/groups");
	TCase *c = tcase_create("groups");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, node_free);
	tcase_add_test(c, info_by_format);
	tcase_add_test(c, bootloader_info);
	tcase_add_test(c, date_and_time);
	tcase_add_test(c, every_day_comes_back);
	tcase_add_test(c, slot_info);
	tcase_add_test(c, statistics);
	tcase_add_test(c, crash);
	tcase_add_test(c, crash_of_a_trial);
	tcase_add_test(c, version_report);
	return s;
}

UNIT_MAIN(suite())
