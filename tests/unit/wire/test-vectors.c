/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of SPEC-dfu, at the gateway's end; tests/unit/edge-fw/test-spec.c is the node's. */
#include "dfu/node-messages.h"
#include "dfu/smp-client.h"
#include "dfu/smp-map.h"
#include "dfu/upload.h"
#include "unit.h"
#include "vectors.h"
#include "wire/cobs.h"
#include "wire/console.h"
#include "wire/spi.h"
#include <string.h>

#define FILE_NAME "dfu.txt"

static uint8_t want[512], sent[512], body[512];
static size_t sent_size;

static int keep(void *ctx, const uint8_t *message, size_t size)
{
	ck_assert_uint_le(size, sizeof(sent));
	memcpy(sent, message, size);
	sent_size = size;
	return 0;
}

static void answered(void *ctx, const struct smp_request *q, const uint8_t *answer, size_t size)
{
	ck_assert_ptr_nonnull(answer);
	memcpy(body, answer, size);
	*(size_t *)ctx = size;
}

START_TEST(documented)
{
	vectors_documented(FILE_NAME, "SPEC-dfu.md");
}
END_TEST

START_TEST(frames) /* E-09 */
{
	static const char *const names[][2] = {
		{"echo-request", "echo-request-frame"}, {"echo-response", "echo-response-frame"}};

	for (size_t i = 0; i < 2; i++) {
		uint8_t frame[128], out[EF_SMP_FRAME_MAX(128)], in[130];
		size_t n = vector(FILE_NAME, names[i][0], want, sizeof(want));
		size_t m = vector(FILE_NAME, names[i][1], frame, sizeof(frame)), got = 0;
		struct frame_receiver r;

		ck_assert_uint_eq(frame_encode(want, n, out), m);
		ck_assert_mem_eq(out, frame, m);
		frame_receiver_init(&r, in, sizeof(in));
		for (size_t at = 0; at < m; at++)
			got = frame_receive(&r, frame[at]);
		ck_assert_uint_eq(got, n);
		ck_assert_mem_eq(in, want, n);
	}
}
END_TEST

START_TEST(console_lines)
{
	static const char *const names[][2] = {{"echo-request", "echo-request-console"},
		{"echo-response", "echo-response-console"}};

	for (size_t i = 0; i < 2; i++) {
		uint8_t line[128], out[CONSOLE_LINE_MAX], in[130];
		size_t n = vector(FILE_NAME, names[i][0], want, sizeof(want));
		size_t m = vector(FILE_NAME, names[i][1], line, sizeof(line)), got = 0, at = 0;
		struct console_receiver r;

		ck_assert_uint_eq(console_encode(want, n, &at, out), m);
		ck_assert_mem_eq(out, line, m);
		ck_assert_uint_eq(console_encode(want, n, &at, out), 0);
		console_receiver_init(&r, in, sizeof(in));
		console_begin(&r, true);
		for (size_t k = 2; k < m; k++)
			got = console_receive(&r, line[k]);
		ck_assert_uint_eq(got, n);
		ck_assert_mem_eq(in, want, n);
	}
}
END_TEST

/* Sends what the vector says, takes the answer that the vector says. Returns the size of its body.
 */
static size_t exchange(struct smp_call *call, uint8_t seq, const uint8_t *data, size_t size,
	const char *request, const char *response)
{
	struct smp_client c;
	size_t got = 0, n;
	uint32_t order;

	smp_client_init(&c, keep, NULL, 0);
	c.next_seq = (uint8_t)(seq - 1);
	call->done = answered;
	call->ctx = &got;
	ck_assert_int_eq(smp_client_call(&c, 1, call, data, size, &order), 0);
	n = vector(FILE_NAME, request, want, sizeof(want));
	ck_assert_uint_eq(sent_size, n);
	ck_assert_mem_eq(sent, want, n);
	n = vector(FILE_NAME, response, want, sizeof(want));
	smp_client_receive(&c, 2, want, n);
	ck_assert_uint_gt(got, 0);
	return got;
}

START_TEST(identify)
{
	struct smp_call call = {.op = EF_SMP_READ,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_IDENTIFY,
		.total_us = 1000000};
	uint8_t nonce[NODE_NONCE_SIZE], request[64];
	struct node_identity id;
	struct error e = {0};
	size_t n;

	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] = (uint8_t)i;
	n = node_put_identify(request, sizeof(request), nonce);
	n = exchange(&call, 2, request, n, "identify-request", "identify-response");
	ck_assert_int_eq(node_parse_identify(body, n, nonce, &id, &e), EF_REASON_OK);
	ck_assert_str_eq(id.board, "mps2-an385");
	ck_assert_str_eq(id.boot_version, "1.2.3");
	ck_assert_uint_eq(id.hardware, 3);
	ck_assert_uint_eq(id.buf, 1024);
	ck_assert_uint_eq(id.window, 4);
	ck_assert_uint_eq(id.slot_size, 6144);
	ck_assert_uint_eq(id.floor, 3);
	ck_assert_uint_eq(id.self_test, 1);
	ck_assert_uint_eq(id.cause, 1);
	ck_assert(!id.bootloader && !id.trial && !id.plain);
	nonce[0] ^= 1;
	ck_assert_int_eq(node_parse_identify(body, n, nonce, &id, &e), EF_REASON_NODE_PROTOCOL);
}
END_TEST

static void upload_over(void *ctx, const struct error *e, bool again)
{
	*(struct error *)ctx = *e;
	ck_assert(again); /* the node knows of no preflight */
}

START_TEST(upload) /* E-01 */
{
	struct error e = {0};
	struct upload_config config = {.image = (const uint8_t *)"ferry",
		.size = 5,
		.buf = 1024,
		.window = 1,
		.ctx = &e,
		.ended = upload_over};
	struct smp_client c;
	struct upload u;
	size_t n = vector(FILE_NAME, "upload-request", want, sizeof(want));

	memcpy(config.sha, want + n - 12 - 32, 32); /* before "data" and its five bytes */
	smp_client_init(&c, keep, NULL, 0);
	c.next_seq = 2;
	ck_assert(upload_start(&u, &c, &config, 1));
	ck_assert_uint_eq(sent_size, n);
	ck_assert_mem_eq(sent, want, n);
	n = vector(FILE_NAME, "upload-refusal", want, sizeof(want));
	smp_client_receive(&c, 2, want, n);
	ck_assert_int_eq(e.reason, EF_REASON_IMAGE_UNSIGNED);
}
END_TEST

START_TEST(why_a_patch_is_refused)
{
	uint8_t message[64];
	size_t n = vector(FILE_NAME, "patch-refusal", message, sizeof(message));
	struct error refusal = {0};
	bool unsupported;

	ck_assert_int_eq(smp_body_status(message + EF_SMP_HEADER_SIZE, n - EF_SMP_HEADER_SIZE,
				 "patch", &unsupported, &refusal),
		EF_REASON_PATCH);
	ck_assert_ptr_nonnull(strstr(refusal.detail, "requirement"));
}
END_TEST

START_TEST(spi_exchanges) /* E-09 */
{
	static const char *const names[][2] = {
		{"echo-request", "spi-echo-request"}, {"echo-response", "spi-echo-response"}};
	uint8_t message[64], wire[64], out[64];
	size_t n, m, size;

	m = vector(FILE_NAME, "spi-empty", wire, sizeof(wire));
	ck_assert_uint_eq(spi_put(out, NULL, 0), m);
	ck_assert_mem_eq(out, wire, m);
	ck_assert_int_eq(spi_get(wire, m, &size), SPI_EMPTY);
	for (size_t i = 0; i < 2; i++) {
		n = vector(FILE_NAME, names[i][0], message, sizeof(message));
		m = vector(FILE_NAME, names[i][1], wire, sizeof(wire));
		ck_assert_uint_eq(spi_put(out, message, n), m);
		ck_assert_mem_eq(out, wire, m);
		ck_assert_int_eq(spi_get(wire, m, &size), SPI_MESSAGE);
		ck_assert_uint_eq(size, n);
		for (size_t cut = 0; cut < m; cut++)
			ck_assert_int_eq(spi_get(wire, cut, &size),
				cut < SPI_HEADER_SIZE ? SPI_ABSENT : SPI_CUT);
		for (size_t bit = 0; bit < 8 * m; bit++) {
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			ck_assert_int_eq(spi_get(wire, m, &size),
				bit < 8 * SPI_HEADER_SIZE ? SPI_ABSENT : SPI_SPOILED);
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	for (int rest = 0; rest < 256; rest += 255) {
		memset(wire, rest, sizeof(wire));
		ck_assert_int_eq(spi_get(wire, sizeof(wire), &size), SPI_ABSENT);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vectors");
	TCase *t = tcase_create("dfu");

	tcase_add_test(t, documented);
	tcase_add_test(t, frames);
	tcase_add_test(t, why_a_patch_is_refused);
	tcase_add_test(t, spi_exchanges);
	tcase_add_test(t, console_lines);
	tcase_add_test(t, identify);
	tcase_add_test(t, upload);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
