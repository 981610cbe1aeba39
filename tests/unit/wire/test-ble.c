/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in GATT values: cut and put together, and what a peer does wrong with them (F-32, L-28).
 */
#include "unit.h"
#include "vectors.h"
#include "wire/ble.h"
#include <edgeferry/smp.h>
#include <string.h>

#define MESSAGE_MAX 1100u

static struct ble_receiver receiver;
static uint8_t buf[MESSAGE_MAX + BLE_HEADER_SIZE];
static const uint8_t *got;
static uint64_t now;

static void setup(void)
{
	now = 5000000;
	ble_receiver_init(&receiver, buf, sizeof buf);
}

static size_t receive(const uint8_t *value, size_t size)
{
	return ble_receive(&receiver, now, value, size, &got);
}

/* session: the frame of one; else an SMP message. Returns its size. */
static size_t make(uint8_t *m, size_t size, bool session)
{
	for (size_t i = 0; i < size; i++)
		m[i] = (uint8_t)(i * 7 + size);
	m[0] = session ? 0xe5 : 0x0b;
	if (!session) {
		m[1] = 0;
		m[2] = (uint8_t)((size - EF_SMP_HEADER_SIZE) >> 8);
		m[3] = (uint8_t)(size - EF_SMP_HEADER_SIZE);
	}
	return size;
}

/* All values but the last one; returns what the last gave. */
static size_t send_all(const uint8_t *m, size_t size, size_t most)
{
	uint8_t bytes[MESSAGE_MAX + 64];
	size_t n = ble_put_header(bytes, m, size), at;

	memcpy(bytes + n, m, size);
	n += size;
	for (at = 0; at + most < n; at += most)
		ck_assert_uint_eq(receive(bytes + at, most), 0);
	return receive(bytes + at, n - at);
}

START_TEST(every_length)
{
	uint8_t m[MESSAGE_MAX];

	for (size_t most = BLE_VALUE_LEAST; most <= BLE_VALUE_MAX; most += 37)
		for (size_t size = EF_SMP_HEADER_SIZE; size <= MESSAGE_MAX; size++) {
			make(m, size, size % 2);
			ck_assert_uint_eq(send_all(m, size, most), size);
			ck_assert_mem_eq(got, m, size);
		}
}
END_TEST

/* No other length carries more in a packet of the link layer than the one that is chosen. */
START_TEST(fills_packets)
{
	for (size_t most = BLE_VALUE_LEAST; most <= BLE_VALUE_MAX; most++) {
		size_t size = ble_value_size(most), better = 0;
		size_t packets = (size + BLE_AROUND + BLE_PACKET - 1) / BLE_PACKET;

		ck_assert_uint_le(size, most);
		for (size_t other = 1; other <= most; other++)
			better += other * packets >
				  size * ((other + BLE_AROUND + BLE_PACKET - 1) / BLE_PACKET);
		ck_assert_msg(!better, "%zu of %zu: %zu sizes are better", size, most, better);
	}
	ck_assert_uint_eq(ble_value_size(20), 20);
	ck_assert_uint_eq(ble_value_size(244), 244);
	ck_assert_uint_eq(ble_value_size(512), 495);
}
END_TEST

/* No other length carries more payload in a value than the one that is chosen. */
START_TEST(fills_its_values)
{
	const size_t around = 32;

	for (size_t most = BLE_VALUE_LEAST; most <= BLE_VALUE_MAX; most += 7)
		for (size_t size = 100; size <= MESSAGE_MAX; size += 37) {
			size_t fit = ble_fit(most, size, around), n, values, better = 0;

			n = (fit + BLE_HEADER_SIZE + most - 1) / most;
			ck_assert_uint_le(fit, size);
			for (size_t other = size; other > around; other--) {
				values = (other + BLE_HEADER_SIZE + most - 1) / most;
				better += (other - around) * n > (fit - around) * values;
			}
			ck_assert_uint_eq(better, 0);
		}
	ck_assert_uint_eq(ble_fit(244, 1045, 32), 4 * 244 - BLE_HEADER_SIZE);
	ck_assert_uint_eq(ble_fit(500, 90, 32), 90);
}
END_TEST

START_TEST(no_beginning_F32)
{
	static const struct {
		const char *bytes;
		size_t size;
	} t[] = {{"", 0}, {"\x0b", 1}, {"\x0b\0\0", 3}, {"\xff\0\0\x08", 4}, {"\xf0\0\0\0", 4},
		{"\xf0\x01\0\x04....", 8}, {"\xe5\0\0\x04....", 8}, {"\x20\0\0\0....", 8},
		{"\x0b\0\0\0....and more", 16}, {"\xf0\0\0\x02...", 7}};
	uint8_t m[100];

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		ck_assert_uint_eq(receive((const uint8_t *)t[i].bytes, t[i].size), 0);
		make(m, sizeof m, i % 2);
		ck_assert_uint_eq(send_all(m, sizeof m, 50), sizeof m);
	}
}
END_TEST

START_TEST(too_long_F32)
{
	uint8_t m[60000];

	make(m, sizeof m, false);
	for (size_t at = 0; at < sizeof m; at += 500)
		ck_assert_uint_eq(receive(m + at, 500), 0);
	make(m, 300, true);
	ck_assert_uint_eq(send_all(m, 300, 244), 300);
	ck_assert_mem_eq(got, m, 300);
}
END_TEST

/* What a lost value leaves is over with the next message that does not fit behind it, or with time.
 */
START_TEST(lost_value_K11)
{
	uint8_t m[500];

	make(m, sizeof m, false);
	ck_assert_uint_eq(receive(m, 244), 0);
	ck_assert_uint_eq(receive(m, 244), 0); /* taken for its second part */
	ck_assert_uint_eq(receive(m, 244), 0); /* goes past its end: begins anew */
	ck_assert_uint_eq(receive(m + 244, 244), 0);
	ck_assert_uint_eq(receive(m + 488, 12), sizeof m);
	ck_assert_uint_eq(receive(m, 244), 0);
	now += BLE_IDLE_US;
	ck_assert_uint_eq(receive(m, 244), 0);
	ck_assert_uint_eq(receive(m + 244, 244), 0);
	ck_assert_uint_eq(receive(m + 488, 12), sizeof m);
	ck_assert_mem_eq(got, m, sizeof m);
}
END_TEST

START_TEST(vectors)
{
	static const char *const names[][2] = {
		{"hello", "ble-hello"}, {"request-0", "ble-request"}, {NULL, NULL}};
	uint8_t m[64], wire[80], header[BLE_HEADER_SIZE];
	size_t n, w;

	for (size_t i = 0; names[i][0]; i++) {
		n = vector("session.txt", names[i][0], m, sizeof m);
		w = vector("dfu.txt", names[i][1], wire, sizeof wire);
		ck_assert_uint_eq(ble_put_header(header, m, n), BLE_HEADER_SIZE);
		ck_assert_mem_eq(header, wire, BLE_HEADER_SIZE);
		ck_assert_uint_eq(w, n + BLE_HEADER_SIZE);
		ck_assert_uint_eq(send_all(m, n, 20), n);
		ck_assert_mem_eq(got, wire + BLE_HEADER_SIZE, n);
	}
	n = vector("dfu.txt", "echo-request", m, sizeof m);
	ck_assert_uint_eq(ble_put_header(header, m, n), 0);
	ck_assert_uint_eq(send_all(m, n, 20), n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ble");
	TCase *t = tcase_create("values");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, every_length);
	tcase_add_test(t, fills_packets);
	tcase_add_test(t, fills_its_values);
	tcase_add_test(t, no_beginning_F32);
	tcase_add_test(t, too_long_F32);
	tcase_add_test(t, lost_value_K11);
	tcase_add_test(t, vectors);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
