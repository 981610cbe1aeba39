/* SPDX-License-Identifier: Apache-2.0 */
#include "fake-node.h"
#include "dfu/image-openssl.h"
#include "dfu/smp-map.h"
#include "unit.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static const struct {
	uint16_t group;
	uint8_t command, op;
} commands[FAKE_COMMANDS] = {
	[FAKE_IDENTIFY] = {EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY, EF_SMP_READ},
	[FAKE_PARAMS] = {EF_GROUP_OS, EF_OS_PARAMS, EF_SMP_READ},
	[FAKE_STATE] = {EF_GROUP_IMAGE, EF_IMAGE_STATE, EF_SMP_READ},
	[FAKE_PREFLIGHT] = {EF_GROUP_EDGEFERRY, EF_EF_PREFLIGHT, EF_SMP_WRITE},
	[FAKE_UPLOAD] = {EF_GROUP_IMAGE, EF_IMAGE_UPLOAD, EF_SMP_WRITE},
	[FAKE_TEST] = {EF_GROUP_IMAGE, EF_IMAGE_STATE, EF_SMP_WRITE},
	[FAKE_CONFIRM] = {0xffff, 0, 0}, /* told from FAKE_TEST by its body */
	[FAKE_ERASE] = {EF_GROUP_IMAGE, EF_IMAGE_ERASE, EF_SMP_WRITE},
	[FAKE_RESET] = {EF_GROUP_OS, EF_OS_RESET, EF_SMP_WRITE},
	[FAKE_INFO] = {EF_GROUP_OS, EF_OS_INFO, EF_SMP_READ},
	[FAKE_PATCH] = {EF_GROUP_EDGEFERRY, EF_EF_PATCH, EF_SMP_READ},
};

struct request {
	uint64_t off, len, size, deadline, patch;
	struct smp_string sha, data, hdr, tlv, hash, nonce, base;
	bool confirm;
};

static const struct smp_field request_fields[] = {
	{"off", SMP_UINT, false, offsetof(struct request, off), UINT32_MAX},
	{"len", SMP_UINT, false, offsetof(struct request, len), UINT32_MAX},
	{"size", SMP_UINT, false, offsetof(struct request, size), UINT32_MAX},
	{"deadline", SMP_UINT, false, offsetof(struct request, deadline), UINT32_MAX},
	{"patch", SMP_UINT, false, offsetof(struct request, patch), UINT32_MAX},
	{"base", SMP_BYTES, false, offsetof(struct request, base), 32},
	{"sha", SMP_BYTES, false, offsetof(struct request, sha), 32},
	{"data", SMP_BYTES, false, offsetof(struct request, data), 0},
	{"hdr", SMP_BYTES, false, offsetof(struct request, hdr), 32},
	{"tlv", SMP_BYTES, false, offsetof(struct request, tlv), 0},
	{"hash", SMP_BYTES, false, offsetof(struct request, hash), 32},
	{"nonce", SMP_BYTES, false, offsetof(struct request, nonce), 16},
	{"confirm", SMP_BOOL, false, offsetof(struct request, confirm), 0},
};

static unsigned chance(struct fake *f)
{
	f->rng = f->rng * 1664525u + 1013904223u;
	return (f->rng >> 10) % 1000;
}

static void put_uint(struct cbor_writer *w, const char *key, uint64_t v)
{
	cbor_put_text(w, key);
	cbor_put_uint(w, v);
}

static void put_bool(struct cbor_writer *w, const char *key, bool v)
{
	cbor_put_text(w, key);
	cbor_put_bool(w, v);
}

static void put_bytes(struct cbor_writer *w, const char *key, const void *data, size_t size)
{
	cbor_put_text(w, key);
	cbor_put_bytes(w, data, size);
}

static void put_reason(struct cbor_writer *w, uint32_t reason)
{
	cbor_put_text(w, "err");
	cbor_open_map(w);
	put_uint(w, "group", EF_GROUP_EDGEFERRY);
	put_uint(w, "rc", reason);
	cbor_close(w);
}

static void put_identity(struct fake *f, struct cbor_writer *w, const struct request *q)
{
	uint8_t nonce[16];

	put_uint(w, "v", 1);
	cbor_put_text(w, "board");
	cbor_put_text(w, f->board);
	put_bytes(w, "vid", "vendorvendorvend", 16);
	put_bytes(w, "cid", "classclassclassc", 16);
	put_bytes(w, "id", "idididididididid", 16);
	put_uint(w, "hwrev", 3);
	put_uint(w, "mode", !f->in_bootloader);
	cbor_put_text(w, "boot");
	cbor_put_text(w, "0.1.0");
	put_uint(w, "buf", 512);
	put_uint(w, "win", 4);
	put_uint(w, "slot", sizeof f->flash);
	put_uint(w, "floor", 2);
	put_bool(w, "trial", f->trial);
	put_uint(w, "test", f->test);
	put_uint(w, "revert", f->revert);
	put_uint(w, "attempts", 1);
	put_uint(w, "cause", 2);
	if (f->models) {
		put_uint(w, "models", f->models);
		put_uint(w, "page", f->page);
		put_uint(w, "mem", 6144);
	}
	put_uint(w, "later", 99); /* a key of a later version */
	memset(nonce, 0, sizeof nonce);
	if (q->nonce.data && !f->wrong_nonce)
		memcpy(nonce, q->nonce.data, 16);
	put_bytes(w, "nonce", nonce, 16);
}

static void put_state(struct fake *f, struct cbor_writer *w)
{
	cbor_put_text(w, "images");
	cbor_open_array(w);
	for (unsigned i = 0; i < 2; i++) {
		if (!f->slot[i].present)
			continue;
		cbor_open_map(w);
		put_uint(w, "slot", i);
		cbor_put_text(w, "version");
		cbor_put_text(w, f->slot[i].version);
		put_bytes(w, "hash", f->slot[i].hash, 32);
		put_bool(w, "pending", i == 1 && f->pending);
		put_bool(w, "confirmed", i == 0 && !f->trial);
		put_bool(w, "active", i == 0 && !f->in_bootloader);
		cbor_close(w);
	}
	cbor_close(w);
}

static void swap_slots(struct fake *f)
{
	struct fake_slot s = f->slot[0];

	f->slot[0] = f->slot[1];
	f->slot[1] = s;
}

static int fake_boot(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct fake *f = userdata;

	f->booting = false;
	f->boots++;
	f->approved = f->open = f->making = false;
	f->in_bootloader = f->stays_in_bootloader;
	f->test = 0;
	if (f->trial) {
		swap_slots(f);
		f->trial = false;
		f->revert = EF_REASON_NOT_CONFIRMED;
	} else if (f->pending && f->refuse_at_boot) {
		f->revert = EF_REASON_IMAGE_SIGNATURE;
	} else if (f->pending) {
		swap_slots(f);
		f->trial = true;
		f->revert = 0;
		f->test = f->test_after_boot_fails ? 2 : 1;
	}
	f->pending = false;
	return 0;
}

static void fake_reset(struct fake *f)
{
	uint64_t at = now_monotonic_us() + f->boot_ms * 1000ull;

	f->booting = true;
	f->boot = sd_event_source_unref(f->boot);
	ck_assert_int_ge(
		sd_event_add_time(f->event, &f->boot, CLOCK_MONOTONIC, at, 1, fake_boot, f), 0);
	if (f->hang_up_at_reset) {
		f->io = sd_event_source_disable_unref(f->io);
		f->fd = ef_close(f->fd);
	}
}

static void hold(struct fake *f, struct cbor_writer *w, const uint8_t *image, uint32_t size)
{
	struct image_memory m = {image, size};
	struct ef_image_source src;
	struct ef_image_info info;
	bool match;

	image_source_memory(&src, &m);
	match = ef_image_inspect(&src, &info) == EF_REASON_OK && !f->bad_match;
	put_bool(w, "match", match);
	f->slot[1].present = match && !f->forget_staged;
	memcpy(f->slot[1].hash, info.digest, 32);
	ef_version_format(&info.header.version, f->slot[1].version);
}

static void finish_upload(struct fake *f, struct cbor_writer *w)
{
	f->making = f->patch;
	f->made = 0;
	if (f->patch)
		put_bool(w, "match", true);
	else
		hold(f, w, f->flash, f->size);
}

/* A quarter more each time that it is asked. */
static void patch(struct fake *f, struct cbor_writer *w)
{
	uint32_t size = f->comes_out_size;

	if (f->reset_at_made && f->made >= f->reset_at_made) {
		f->reset_at_made = 0;
		fake_boot(NULL, 0, f);
	}
	if (!f->making) {
		put_uint(w, "rc", EF_SMP_BAD_STATE);
	} else if (f->patch_why && f->made) {
		put_reason(w, EF_REASON_PATCH);
		put_uint(w, "why", f->patch_why);
	} else {
		put_uint(w, "made", f->made);
		put_uint(w, "size", size);
		if (f->made == size)
			hold(f, w, f->comes_out, size);
		if (!f->never_makes)
			f->made = size - f->made < size / 4 ? size : f->made + size / 4;
	}
}

static void upload(struct fake *f, struct cbor_writer *w, const struct request *q)
{
	if (q->off == 0 && !(f->open && f->size == q->len && !memcmp(f->sha, q->sha.data, 32))) {
		if (!f->approved && !f->plain) {
			put_reason(w, EF_REASON_IMAGE_UNSIGNED);
			return;
		}
		ck_assert(q->sha.data && q->len <= sizeof f->flash);
		f->open = true;
		f->wanted = 0;
		f->size = (uint32_t)q->len;
		f->slot[1].present = false;
		memcpy(f->sha, q->sha.data, 32);
	}
	if (f->open && q->off == f->wanted) {
		ck_assert_uint_le(q->off + q->data.size, f->size);
		memcpy(f->flash + q->off, q->data.data, q->data.size);
		f->wanted += (uint32_t)q->data.size;
	}
	put_uint(w, "off", f->open ? f->wanted : 0);
	if (f->open && f->wanted == f->size)
		finish_upload(f, w);
}

static void serve(
	struct fake *f, enum fake_command c, const struct request *q, struct cbor_writer *w)
{
	switch (c) {
	case FAKE_IDENTIFY:
		put_identity(f, w, q);
		break;
	case FAKE_PARAMS:
		put_uint(w, "buf_size", 400);
		put_uint(w, "buf_count", 4);
		break;
	case FAKE_STATE:
		if (f->restarts_before_state)
			fake_boot(NULL, 0, f);
		f->restarts_before_state = false;
		put_state(f, w);
		break;
	case FAKE_PREFLIGHT:
		ck_assert(q->hdr.data && q->tlv.data && q->size);
		f->approved = !f->preflight_reason;
		f->patch = (uint32_t)q->patch;
		ck_assert(!q->patch || !memcmp(q->base.data, f->slot[0].hash, 32));
		if (f->preflight_reason)
			put_reason(w, f->preflight_reason);
		break;
	case FAKE_UPLOAD:
		upload(f, w, q);
		break;
	case FAKE_TEST:
		f->pending = f->slot[1].present && !memcmp(f->slot[1].hash, q->hash.data, 32);
		f->deadline = (uint32_t)q->deadline;
		put_state(f, w);
		break;
	case FAKE_CONFIRM:
		f->trial = f->trial && f->never_confirms;
		put_state(f, w);
		break;
	case FAKE_ERASE:
		f->slot[1].present = f->pending = false;
		break;
	case FAKE_INFO:
		cbor_put_text(w, "output");
		cbor_put_text(w, f->info);
		break;
	case FAKE_PATCH:
		patch(f, w);
		break;
	case FAKE_RESET:
	case FAKE_COMMANDS:
		break;
	}
}

static void fake_send(struct fake *f, const uint8_t *message, size_t size)
{
	uint8_t frame[2048];
	unsigned copies = chance(f) < f->lose ? 0 : chance(f) < f->duplicate ? 2 : 1;
	size_t n = frame_encode(message, size, frame);

	while (copies-- && f->fd >= 0)
		send(f->fd, frame, n, MSG_NOSIGNAL); /* the other side may have gone */
}

static void babble(struct fake *f)
{
	uint8_t noise[1000];

	for (int i = 0; i < 20; i++) {
		for (size_t k = 0; k < sizeof noise; k++)
			noise[k] = (uint8_t)chance(f);
		if (send(f->fd, noise, sizeof noise, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			return;
	}
}

/* True when the fault was all there is to the answer. */
static bool misbehave(struct fake *f, enum fake_fault fault, struct cbor_writer *w)
{
	switch (fault) {
	case FAKE_REFUSE:
		put_reason(w, EF_REASON_NODE_FLASH);
		return true;
	case FAKE_UNKNOWN_REASON:
		put_reason(w, 4711);
		return true;
	case FAKE_RC:
		put_uint(w, "rc", EF_SMP_INVALID);
		return true;
	case FAKE_NO_MAP:
		w->used = 0;
		cbor_put_uint(w, 5);
		return true;
	case FAKE_NO_CBOR:
		w->used = 0;
		cbor_put_raw(w, "\x1c\x1c\x1c", 3);
		return true;
	case FAKE_BABBLE:
		babble(f);
		return false;
	case FAKE_HANG_UP:
		f->io = sd_event_source_disable_unref(f->io);
		f->fd = ef_close(f->fd);
		return false;
	default:
		return fault == FAKE_EMPTY;
	}
}

static enum fake_command find(const struct ef_smp_header *h, const struct request *q)
{
	for (int i = 0; i < FAKE_COMMANDS; i++)
		if (commands[i].group == h->group && commands[i].command == h->command &&
			commands[i].op == h->op)
			return i == FAKE_TEST && q->confirm ? FAKE_CONFIRM : (enum fake_command)i;
	return FAKE_COMMANDS;
}

static bool faulty(struct fake *f, enum fake_command c)
{
	unsigned n = f->count[c]++;

	if (f->fault[c] == FAKE_WELL || n < f->fault_after[c])
		return false;
	return f->fault_times[c] == 0 || n < f->fault_after[c] + f->fault_times[c];
}

static void fake_message(struct fake *f, const uint8_t *data, size_t size)
{
	uint8_t out[1024];
	struct request q = {0};
	struct ef_smp_header h;
	struct cbor_writer w;
	enum fake_command c;

	ck_assert(ef_smp_header_decode(data, size, &h));
	ck_assert_uint_eq(h.length, size - EF_SMP_HEADER_SIZE);
	ck_assert_uint_eq(h.version, 1);
	ck_assert(smp_body_read(data + 8, size - 8, request_fields,
		sizeof request_fields / sizeof *request_fields, &q));
	c = find(&h, &q);
	ck_assert_msg(c != FAKE_COMMANDS, "op %u group %u command %u", h.op, h.group, h.command);
	if (f->booting || chance(f) < f->lose)
		return;
	cbor_write_init(&w, out + 8, sizeof out - 8);
	cbor_open_map(&w);
	if (f->plain && h.group == EF_GROUP_EDGEFERRY) {
		put_uint(&w, "rc", EF_SMP_NOT_SUPPORTED);
		cbor_close(&w);
	} else if (faulty(f, c)) {
		enum fake_fault fault = f->fault[c];

		if (!misbehave(f, fault, &w))
			return;
		if (fault != FAKE_NO_MAP && fault != FAKE_NO_CBOR)
			cbor_close(&w);
	} else {
		serve(f, c, &q, &w);
		cbor_close(&w);
	}
	h.op++;
	h.length = (uint16_t)w.used;
	ef_smp_header_encode(&h, out);
	if (c == FAKE_UPLOAD && f->reset_at && f->wanted >= f->reset_at) {
		f->reset_at = 0;
		fake_reset(f);
		return;
	}
	fake_send(f, out, 8 + w.used);
	if (c == FAKE_RESET && !(f->deaf_to_first_reset && f->count[c] == 1))
		fake_reset(f);
}

static int fake_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct fake *f = userdata;
	uint8_t bytes[4096];
	ssize_t n = read(fd, bytes, sizeof bytes);

	if (n <= 0) {
		f->io = sd_event_source_disable_unref(f->io);
		f->fd = ef_close(f->fd);
		return 0;
	}
	for (ssize_t i = 0; i < n; i++) {
		size_t size = frame_receive(&f->rx, bytes[i]);

		if (size)
			fake_message(f, f->rx_buf, size);
	}
	return 0;
}

static int fake_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct fake *f = userdata;

	if (f->fd >= 0) {
		sd_event_source_disable_unref(f->io);
		close(f->fd);
	}
	f->fd = accept(fd, NULL, NULL);
	frame_receiver_init(&f->rx, f->rx_buf, sizeof f->rx_buf);
	return sd_event_add_io(f->event, &f->io, f->fd, 1 /* EPOLLIN */, fake_readable, f) < 0;
}

void fake_open(struct fake *f, sd_event *event)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memset(f, 0, sizeof *f);
	f->event = event;
	f->fd = -1;
	f->boot_ms = 50;
	f->board = "fake-board";
	f->info = "app 1.0.0 on fake-board";
	f->slot[0].present = true;
	memset(f->slot[0].hash, 0x11, 32);
	strcpy(f->slot[0].version, "1.0.0");
	strcpy(f->directory, "/tmp/edgeferry-fake-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->directory));
	snprintf(f->path, sizeof f->path, "%s/s", f->directory);
	strcpy(a.sun_path, f->path);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(f->listener, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(f->listener, 4), 0);
	ck_assert_int_ge(sd_event_add_io(event, &f->listen_io, f->listener, 1, fake_accept, f), 0);
}

struct node *fake_reach(struct fake *f, sd_event *event, const struct node_timing *timing)
{
	const struct node_config config = {
		.name = "lamp", .link = link_find("sim"), .spec = {f->path, 1000000}};
	struct node *node = NULL;
	struct error e = {0};

	ck_assert_int_eq(node_new(&node, event, &config, &e), EF_REASON_OK);
	node_set_timing(node, timing);
	return node;
}

void fake_close(struct fake *f)
{
	sd_event_source_disable_unref(f->listen_io);
	if (f->io)
		sd_event_source_disable_unref(f->io);
	if (f->boot)
		sd_event_source_disable_unref(f->boot);
	ef_close(f->fd);
	ef_close(f->listener);
	unlink(f->path);
	rmdir(f->directory);
}
