/* SPDX-License-Identifier: Apache-2.0 */
#include "plain-client.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#define LINE_BASE64 124u

static uint16_t crc16(const uint8_t *p, size_t n)
{
	unsigned crc = 0;

	while (n--) {
		crc ^= (unsigned)*p++ << 8;
		for (int i = 0; i < 8; i++)
			crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
	}
	return (uint16_t)crc;
}

static void put(const void *bytes, size_t n)
{
	ck_assert_uint_le(sim.in_size + n, sizeof(sim.input));
	memcpy(sim.input + sim.in_size, bytes, n);
	sim.in_size += n;
}

static void send_console(const uint8_t *m, size_t size)
{
	uint8_t plain[2048], text[4096];
	uint16_t crc = crc16(m, size);
	int n;

	plain[0] = (uint8_t)((size + 2) >> 8);
	plain[1] = (uint8_t)(size + 2);
	memcpy(plain + 2, m, size);
	plain[size + 2] = (uint8_t)(crc >> 8);
	plain[size + 3] = (uint8_t)crc;
	n = EVP_EncodeBlock(text, plain, (int)size + 4);
	for (int at = 0; at < n; at += (int)LINE_BASE64) {
		put(at ? "\4\24" : "\6\11", 2);
		put(text + at,
			(size_t)n - (size_t)at < LINE_BASE64 ? (size_t)(n - at) : LINE_BASE64);
		put("\n", 1);
	}
}

/* All lines of the output as one message; they must be what the transport specification says. */
static size_t receive_console(uint8_t *m)
{
	uint8_t plain[2048];
	size_t used = 0, at = 0, length;

	while (at < sim.out_size) {
		const uint8_t *line = sim.output + at, *end = memchr(line, '\n', sim.out_size - at);
		int n;

		ck_assert_ptr_nonnull(end);
		ck_assert_int_le(end - line, 126);
		ck_assert(memcmp(line, at ? "\4\24" : "\6\11", 2) == 0);
		n = EVP_DecodeBlock(plain + used, line + 2, (int)(end - line - 2));
		ck_assert_int_gt(n, 0);
		used += (size_t)n - (end[-1] == '=') - (end[-2] == '=');
		at = (size_t)(end + 1 - sim.output);
	}
	if (used == 0)
		return 0;
	length = (size_t)plain[0] << 8 | plain[1];
	ck_assert_uint_eq(used, length + 2);
	ck_assert_uint_eq(crc16(plain + 2, length), 0);
	memcpy(m, plain + 2, length - 2);
	return length - 2;
}

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&node.agent))
		;
}

static uint8_t version(const struct client *c)
{
	return c->kind == NEWTMGR ? 0 : 1;
}

static void read_error(struct cbor_reader *r, struct client_answer *a)
{
	uint64_t group = 0, rc = 0;
	const char *key;
	size_t size;

	ck_assert(cbor_enter(r));
	while (cbor_peek(r) == CBOR_TEXT && cbor_get_text(r, &key, &size))
		ck_assert(cbor_get_uint(r, size == 2 ? &rc : &group));
	ck_assert(cbor_leave(r));
	ck_assert_uint_eq(group, EF_GROUP_EDGEFERRY);
	a->reason = (uint32_t)rc;
}

static bool is(const char *key, size_t size, const char *name)
{
	return size == strlen(name) && memcmp(key, name, size) == 0;
}

static void read_body(const struct client *c, struct client_answer *a)
{
	struct cbor_reader r;
	const char *key;
	size_t size;
	uint64_t n;

	cbor_read_init(&r, a->body, a->size);
	ck_assert(cbor_enter(&r));
	while (cbor_peek(&r) == CBOR_TEXT && cbor_get_text(&r, &key, &size)) {
		if (is(key, size, "rc")) {
			ck_assert(cbor_get_uint(&r, &n));
			a->rc = (uint32_t)n;
		} else if (is(key, size, "rsn")) {
			a->has_rsn = true;
			ck_assert(cbor_get_text(&r, &key, &size));
		} else if (is(key, size, "off")) {
			a->has_off = true;
			ck_assert(cbor_get_uint(&r, &n));
			a->off = (uint32_t)n;
		} else if (is(key, size, "match")) {
			a->has_match = cbor_get_bool(&r, &a->match);
		} else if (is(key, size, "err")) {
			ck_assert_uint_eq(version(c), 1); /* version 1 knows no such thing */
			read_error(&r, a);
		} else {
			ck_assert(cbor_skip(&r));
		}
	}
	ck_assert(cbor_leave(&r) && r.at == a->size);
}

struct client_answer client_ask(struct client *c, uint8_t op, uint16_t group, uint8_t command,
	const void *body, size_t size)
{
	uint8_t m[1200] = {(uint8_t)(op | version(c) << 3), 0, (uint8_t)(size >> 8), (uint8_t)size,
		(uint8_t)(group >> 8), (uint8_t)group, c->seq, command},
		got[1200];
	struct client_answer a = {0};
	size_t n;

	memcpy(m + 8, body, size);
	sim.in_at = sim.in_size = sim.out_size = 0;
	if (c->kind == SMPCLIENT_RAW)
		put(m, 8 + size);
	else
		send_console(m, 8 + size);
	if (sim_run(poll_agent, NULL) == SIM_RESET)
		sim.started = UINT32_MAX; /* for who asked for it */
	if (c->kind == SMPCLIENT_RAW) {
		n = sim.out_size;
		memcpy(got, sim.output, n);
	} else {
		n = receive_console(got);
	}
	c->seq++;
	if (n == 0)
		return a;
	ck_assert_uint_ge(n, 9);
	ck_assert_uint_eq(got[0], m[0] + 1u);
	ck_assert_uint_eq(got[1], 0);
	ck_assert_uint_eq((size_t)got[2] << 8 | got[3], n - 8);
	ck_assert(memcmp(got + 4, m + 4, 4) == 0);
	a.came = true;
	a.op = got[0] & 7;
	a.size = n - 8;
	memcpy(a.body, got + 8, a.size);
	read_body(c, &a);
	return a;
}

/* Both write maps of definite length. */
static size_t map(uint8_t *buf, unsigned pairs)
{
	buf[0] = (uint8_t)(0xa0 | pairs);
	return 1;
}

struct writer {
	struct cbor_writer w;
	uint8_t *buf;
	unsigned pairs;
};

static void begin(struct writer *w, uint8_t *buf, size_t size)
{
	w->buf = buf;
	w->pairs = 0;
	cbor_write_init(&w->w, buf + 1, size - 1);
}

static void key(struct writer *w, const char *name)
{
	cbor_put_text(&w->w, name);
	w->pairs++;
}

static size_t end(struct writer *w)
{
	ck_assert(!w->w.overflow && w->pairs < 24);
	return map(w->buf, w->pairs) + w->w.used;
}

void client_start(struct client *c, enum client_kind kind)
{
	*c = (struct client){.kind = kind, .seq = 66, .largest = 400};
	if (kind == NEWTMGR) {
		/* before anything else: no echo of what I type, please */
		struct client_answer a =
			client_ask(c, EF_SMP_WRITE, EF_GROUP_OS, EF_OS_CONSOLE_ECHO,
				"\xa1\x64"
				"echo\0",
				7);
		ck_assert(client_good(&a));
		return;
	}
	struct client_answer a = client_ask(c, EF_SMP_READ, EF_GROUP_OS, EF_OS_PARAMS, "\xa0", 1);
	struct reply r = {.body = a.body, .size = a.size};
	ck_assert(client_good(&a));
	/* the console's length and CRC share the server's buffer */
	c->largest = reply_uint(&r, "buf_size") - (kind == SMPCLIENT_CONSOLE ? 4 : 0);
}

struct client_answer client_echo(struct client *c, const char *text)
{
	uint8_t body[300];
	struct writer w;

	begin(&w, body, sizeof(body));
	key(&w, "d");
	cbor_put_text(&w.w, text);
	return client_ask(c, EF_SMP_WRITE, EF_GROUP_OS, EF_OS_ECHO, body, end(&w));
}

struct client_answer client_list(struct client *c)
{
	return client_ask(c, EF_SMP_READ, EF_GROUP_IMAGE, EF_IMAGE_STATE, "\xa0", 1);
}

struct client_answer client_set_state(struct client *c, const uint8_t *hash, bool confirm)
{
	uint8_t body[64];
	struct writer w;

	begin(&w, body, sizeof(body));
	if (hash) {
		key(&w, "hash");
		cbor_put_bytes(&w.w, hash, 32);
	}
	key(&w, "confirm");
	cbor_put_bool(&w.w, confirm);
	return client_ask(c, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_STATE, body, end(&w));
}

struct client_answer client_reset(struct client *c)
{
	struct client_answer a;
	bool newtmgr = c->kind == NEWTMGR;

	sim.started = 0;
	a = client_ask(c, EF_SMP_WRITE, EF_GROUP_OS, EF_OS_RESET,
		newtmgr ? "\xa0"
			: "\xa1\x65"
			  "force\1",
		newtmgr ? 1 : 8);
	ck_assert_uint_eq(sim.started, UINT32_MAX);
	return a;
}

static size_t chunk_body(struct client *c, const struct client_upload *u, uint32_t off, uint32_t n,
	uint8_t *buf, size_t size)
{
	uint8_t sha[32];
	struct writer w;

	begin(&w, buf, size);
	if (c->kind == NEWTMGR) {
		key(&w, "data");
		cbor_put_bytes(&w.w, u->data + off, n);
	}
	if (off == 0) {
		if (c->kind != NEWTMGR) {
			key(&w, "image");
			cbor_put_uint(&w.w, 0);
		}
		key(&w, "len");
		cbor_put_uint(&w.w, u->size);
	}
	key(&w, "off");
	cbor_put_uint(&w.w, off);
	if (off == 0 && u->sha) {
		key(&w, "sha");
		cbor_put_bytes(&w.w, SHA256(u->data, u->size, sha), 32);
	}
	if (off == 0 && (u->upgrade || c->kind != NEWTMGR)) {
		key(&w, "upgrade");
		cbor_put_bool(&w.w, u->upgrade);
	}
	if (c->kind != NEWTMGR) {
		key(&w, "data");
		cbor_put_bytes(&w.w, u->data + off, n);
	}
	return end(&w);
}

struct client_answer client_chunk(struct client *c, const struct client_upload *u, uint32_t off)
{
	uint8_t body[1200];
	uint32_t n = u->size - off;

	if (u->chunk && n > u->chunk)
		n = u->chunk;
	if (n > c->largest)
		n = c->largest;
	while (8 + chunk_body(c, u, off, n, body, sizeof(body)) > c->largest)
		n--;
	return client_ask(c, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_UPLOAD, body,
		chunk_body(c, u, off, n, body, sizeof(body)));
}

struct client_answer client_upload(struct client *c, const struct client_upload *u)
{
	struct client_answer a = {0};
	uint32_t off = 0;

	for (unsigned requests = 0; requests < 2 * u->size; requests++) {
		a = client_chunk(c, u, off);
		if (!client_good(&a) || !a.has_off || a.off >= u->size ||
			(u->stop_at && a.off >= u->stop_at))
			return a;
		off = a.off;
	}
	ck_abort_msg("the upload does not end");
}
