/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that a node can be told to do, enumerated: nothing else exists, and none of it reads,
 * writes or erases raw memory (E-08). What it says is short and printable (S-35).
 */
#include "node.h"
#include <string.h>

#define BODY_MAX 400u
#define WINDOW 8u /* bytes in a row that would show that memory got out */

struct known {
	uint16_t group;
	uint8_t command, op;
	bool bootloader; /* has it as well */
};

static const struct known known[] = {
	{EF_GROUP_OS, EF_OS_ECHO, EF_SMP_READ, true},
	{EF_GROUP_OS, EF_OS_ECHO, EF_SMP_WRITE, true},
	{EF_GROUP_OS, EF_OS_CONSOLE_ECHO, EF_SMP_WRITE, true},
	{EF_GROUP_OS, EF_OS_DATETIME, EF_SMP_READ, false},
	{EF_GROUP_OS, EF_OS_DATETIME, EF_SMP_WRITE, false},
	{EF_GROUP_OS, EF_OS_RESET, EF_SMP_WRITE, true},
	{EF_GROUP_OS, EF_OS_PARAMS, EF_SMP_READ, true},
	{EF_GROUP_OS, EF_OS_INFO, EF_SMP_READ, true},
	{EF_GROUP_OS, EF_OS_BOOTLOADER, EF_SMP_READ, false},
	{EF_GROUP_IMAGE, EF_IMAGE_STATE, EF_SMP_READ, true},
	{EF_GROUP_IMAGE, EF_IMAGE_STATE, EF_SMP_WRITE, true},
	{EF_GROUP_IMAGE, EF_IMAGE_UPLOAD, EF_SMP_WRITE, true},
	{EF_GROUP_IMAGE, EF_IMAGE_ERASE, EF_SMP_WRITE, true},
	{EF_GROUP_IMAGE, EF_IMAGE_SLOT_INFO, EF_SMP_READ, true},
	{EF_GROUP_STAT, EF_STAT_READ, EF_SMP_READ, false},
	{EF_GROUP_STAT, EF_STAT_LIST, EF_SMP_READ, false},
	{EF_GROUP_SETTINGS, EF_SETTINGS_VALUE, EF_SMP_READ, false},
	{EF_GROUP_SETTINGS, EF_SETTINGS_VALUE, EF_SMP_WRITE, false},
	{EF_GROUP_SETTINGS, EF_SETTINGS_DELETE, EF_SMP_WRITE, false},
	{EF_GROUP_SETTINGS, EF_SETTINGS_COMMIT, EF_SMP_WRITE, false},
	{EF_GROUP_SETTINGS, EF_SETTINGS_STORE, EF_SMP_READ, false},
	{EF_GROUP_SETTINGS, EF_SETTINGS_STORE, EF_SMP_WRITE, false},
	{EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY, EF_SMP_READ, true},
	{EF_GROUP_EDGEFERRY, EF_EF_PREFLIGHT, EF_SMP_WRITE, true},
	{EF_GROUP_EDGEFERRY, EF_EF_CRASH, EF_SMP_READ, false},
	{EF_GROUP_EDGEFERRY, EF_EF_CRASH, EF_SMP_WRITE, false},
	{EF_GROUP_EDGEFERRY, EF_EF_REPORT, EF_SMP_READ, false},
	{EF_GROUP_EDGEFERRY, EF_EF_KEYS, EF_SMP_WRITE, false},
	{EF_GROUP_EDGEFERRY, EF_EF_RATE, EF_SMP_WRITE, true},
	{EF_GROUP_EDGEFERRY, EF_EF_DATA, EF_SMP_WRITE, true},
	{EF_GROUP_EDGEFERRY, EF_EF_SPREAD, EF_SMP_READ, true},
	{EF_GROUP_EDGEFERRY, EF_EF_SPREAD, EF_SMP_WRITE, true},
	{EF_GROUP_EDGEFERRY, EF_EF_PATCH, EF_SMP_READ, true},
	{EF_GROUP_EDGEFERRY, EF_EF_KEY, EF_SMP_WRITE, true},
};
#define N_KNOWN (sizeof(known) / sizeof(*known))

static void setup(void)
{
	node_make(true);
	node_allow_plain(); /* the most that a node ever allows */
}

static bool is_known(uint16_t group, unsigned command, unsigned op, bool bootloader)
{
	for (size_t i = 0; i < N_KNOWN; i++)
		if (known[i].group == group && known[i].command == command && known[i].op == op)
			return !bootloader || known[i].bootloader;
	return false;
}

/* One request with an empty map; false when there is no such command. */
static bool exists(uint16_t group, uint8_t command, uint8_t op)
{
	struct reply r = gateway_ask(&node.agent, op, group, command, "\xa0", 1);

	if (op != EF_SMP_READ && op != EF_SMP_WRITE) {
		if (r.answered)
			ck_abort_msg("op %u is answered", op);
		return false;
	}
	if (!r.answered)
		ck_abort_msg("%u.%u is not answered", group, command);
	return r.rc != EF_SMP_NOT_SUPPORTED;
}

static void enumerate(bool bootloader)
{
	unsigned found = 0, want = 0;

	for (unsigned group = 0; group < 65536; group++)
		for (unsigned command = 0; command < (group < 256 ? 256 : 8); command++)
			for (unsigned op = 0; op < 8; op++) {
				bool there = exists((uint16_t)group, (uint8_t)command, (uint8_t)op);

				if (there != is_known((uint16_t)group, command, op, bootloader))
					ck_abort_msg("%u.%u, op %u", group, command, op);
				found += there;
			}
	for (size_t i = 0; i < N_KNOWN; i++)
		want += !bootloader || known[i].bootloader;
	ck_assert_uint_eq(found, want);
}

START_TEST(nothing_but_the_commands)
{
	static struct sim before;

	before = sim;
	enumerate(false);
	/* the erase among them was of slot 1 */
	memset(before.flash + sim.board.slot[1].offset, 0xff, sim.board.slot[1].size);
	ck_assert(memcmp(before.flash, sim.flash, sim.size) == 0);
	node_serve();
	enumerate(true);
	ck_assert(memcmp(before.flash, sim.flash, sim.size) == 0);
}
END_TEST

/* ---- what the commands may touch and tell ---- */

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* A body with every key that any command knows, and with some that only a careless one would. */
static size_t make_body(uint8_t *buf, uint32_t *state)
{
	static const char *const keys[] = {"d", "boot_mode", "force", "format", "query", "datetime",
		"hash", "confirm", "deadline", "off", "len", "sha", "data", "image", "upgrade",
		"slot", "name", "val", "max_size", "nonce", "hdr", "tlv", "size", "mid", "addr",
		"address", "ptr", "offset", "area", "start", "length", "count", "key", "doc",
		"path", "block", "from", "owner", "epoch", "sec"};
	static const char *const texts[] = {"", "mode", "a", "snrvbmpio", "line", "node",
		"app/period", "trial/deadline", "../../factory", "2026-03-01T12:00:00Z",
		"\33[31m\r\n", "0x08000000"};
	static const uint32_t numbers[] = {0, 1, 2, 32, 64, 512, 4096, 6144, 0x1000, 0x7fffffff,
		0x80000000, 0xfffffff0, UINT32_MAX};
	struct cbor_writer w;

	cbor_write_init(&w, buf, BODY_MAX);
	cbor_open_map(&w);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		uint32_t kind = next_random(state) % 8;

		if (kind > 3)
			continue;
		cbor_put_text(&w, keys[i]);
		if (kind == 0)
			cbor_put_uint(&w,
				numbers[next_random(state) % (sizeof(numbers) / sizeof(*numbers))]);
		else if (kind == 1)
			cbor_put_bool(&w, next_random(state) & 1);
		else if (kind == 2)
			cbor_put_text(
				&w, texts[next_random(state) % (sizeof(texts) / sizeof(*texts))]);
		else
			cbor_put_bytes(&w, node.fresh.data, next_random(state) % 3 * 16);
	}
	cbor_close(&w);
	return w.overflow ? 0 : w.used;
}

static bool within(uint32_t at, uint32_t offset, uint32_t size)
{
	return at >= offset && at - offset < size;
}

/* Bytes of flash that an answer may repeat: who the node is, and what names its images and keys. */
static bool may_be_told(uint32_t at)
{
	const struct port_board *b = &sim.board;
	/* behind the payload: protected area, head, digest, key hash */
	uint32_t digest = 88 + 4 + 4, key = digest + 32 + 4;

	return within(at, b->factory.offset + offsetof(struct factory, device_id), 48) ||
	       within(at, b->factory.offset + offsetof(struct factory, keys), 8) ||
	       within(at, b->slot[0].offset + node.old.tlv_at + digest, 32) ||
	       within(at, b->slot[1].offset + node.fresh.tlv_at + digest, 32) ||
	       within(at, b->slot[0].offset + node.old.tlv_at + key, 8) ||
	       within(at, b->slot[1].offset + node.fresh.tlv_at + key, 8) ||
	       within(at, b->state.offset, b->state.size);
}

static bool all_same(const uint8_t *p)
{
	return memcmp(p, p + 1, WINDOW - 1) == 0;
}

/* No window of the answer stands in flash, but for what may be told and what was asked. */
static void check_nothing_leaked(
	const struct reply *r, const uint8_t *body, size_t size, size_t which)
{
	for (size_t i = 0; i + WINDOW <= r->size; i++) {
		if (all_same(r->body + i) || memmem(body, size, r->body + i, WINDOW))
			continue;
		const uint8_t *from = sim.flash, *hit;
		while ((hit = memmem(from, sim.size - (size_t)(from - sim.flash), r->body + i,
				WINDOW))) {
			if (!may_be_told((uint32_t)(hit - sim.flash)))
				ck_abort_msg("%u.%u, op %u tells what lies in flash at %td",
					known[which].group, known[which].command, known[which].op,
					hit - sim.flash);
			from = hit + 1;
		}
	}
}

/* S-35: every text of an answer is printable; the echo is the asker's own. */
static void check_printable(const struct reply *r)
{
	struct cbor_reader c;
	unsigned depth = 0;

	cbor_read_init(&c, r->body, r->size);
	for (;;) {
		enum cbor_type type = cbor_peek(&c);
		const char *text;
		size_t size;

		if (type == CBOR_NONE && depth == 0)
			break;
		if (type == CBOR_NONE) {
			ck_assert(cbor_leave(&c));
			depth--;
		} else if (type == CBOR_MAP || type == CBOR_ARRAY) {
			ck_assert(cbor_enter(&c));
			depth++;
		} else if (type == CBOR_TEXT) {
			ck_assert(cbor_get_text(&c, &text, &size));
			ck_assert_uint_le(size, 160);
			for (size_t i = 0; i < size; i++)
				ck_assert(text[i] >= ' ' && text[i] <= '~');
		} else {
			ck_assert(cbor_skip(&c));
		}
	}
	ck_assert(cbor_ok(&c) && c.at == r->size);
}

static void fill(const struct port_area *area, uint32_t *state)
{
	for (uint32_t i = 0; i < area->size; i++)
		sim.flash[area->offset + i] = (uint8_t)next_random(state);
}

static bool is_echo(size_t which)
{
	return known[which].group == EF_GROUP_OS && known[which].command == EF_OS_ECHO;
}

static void ask_everything(uint32_t *state)
{
	static struct sim before;
	uint8_t body[BODY_MAX];

	before = sim;
	for (unsigned round = 0; round < 3000; round++) {
		size_t which = next_random(state) % N_KNOWN, size = make_body(body, state);
		struct reply r = gateway_ask(&node.agent, known[which].op, known[which].group,
			known[which].command, body, size);

		if (!size)
			continue;
		ck_assert(r.answered);
		check_nothing_leaked(&r, body, size, which);
		if (!is_echo(which))
			check_printable(&r);
		node.agent.reset = false;
	}
	for (uint32_t at = 0; at < sim.size; at++)
		if (sim.flash[at] != before.flash[at] &&
			!within(at, sim.board.slot[1].offset, sim.board.slot[1].size) &&
			!within(at, sim.board.state.offset, sim.board.state.size))
			ck_abort_msg("flash at %u has changed", (unsigned)at);
}

START_TEST(no_raw_memory)
{
	uint32_t state = 1;

	fill(&sim.board.recovery, &state);
	fill(&sim.board.journal, &state);
	ask_everything(&state);
	node_put_image(1, &node.fresh);
	node_serve();
	ask_everything(&state);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/commands");
	TCase *c = tcase_create("commands");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, node_free);
	tcase_add_test(c, nothing_but_the_commands);
	tcase_add_test(c, no_raw_memory);
	return s;
}

UNIT_MAIN(suite())
