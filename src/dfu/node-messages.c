/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/node-messages.h"
#include "dfu/image-middle.h"
#include "dfu/smp-map.h"
#include "dfu/upload.h"
#include <string.h>

#define OWNER_MAX 32u
#define IMAGES_MAX 16u
#define IMAGE_SIZE_MAX (64u << 20)

static size_t put_end(struct cbor_writer *w)
{
	cbor_close(w);
	return w->overflow ? 0 : w->used;
}

static void put_start(struct cbor_writer *w, uint8_t *buf, size_t size)
{
	cbor_write_init(w, buf, size);
	cbor_open_map(w);
}

size_t node_put_empty(uint8_t *buf, size_t size)
{
	struct cbor_writer w;

	put_start(&w, buf, size);
	return put_end(&w);
}

size_t node_put_identify(uint8_t *buf, size_t size, const uint8_t nonce[NODE_NONCE_SIZE])
{
	struct cbor_writer w;

	put_start(&w, buf, size);
	cbor_put_text(&w, "nonce");
	cbor_put_bytes(&w, nonce, NODE_NONCE_SIZE);
	return put_end(&w);
}

size_t node_put_preflight(uint8_t *buf, size_t size, const uint8_t *image,
	const struct ef_image_info *info, const struct node_patch *patch)
{
	uint32_t tlv = info->header.hdr_size + info->header.img_size;
	uint8_t middle[IMAGE_MIDDLE_MAX];
	size_t middle_size = image_middle(image, info, middle);
	struct cbor_writer w;

	put_start(&w, buf, size);
	cbor_put_text(&w, "hdr");
	cbor_put_bytes(&w, image, EF_IMAGE_HEADER_SIZE);
	cbor_put_text(&w, "tlv");
	cbor_put_bytes(&w, image + tlv, info->total_size - tlv);
	cbor_put_text(&w, "size");
	cbor_put_uint(&w, info->total_size);
	cbor_put_text(&w, "mid");
	cbor_put_bytes(&w, middle, middle_size);
	if (patch) {
		cbor_put_text(&w, "patch");
		cbor_put_uint(&w, patch->size);
		cbor_put_text(&w, "base");
		cbor_put_bytes(&w, patch->base, sizeof patch->base);
	}
	return middle_size ? put_end(&w) : 0;
}

size_t node_put_state(
	uint8_t *buf, size_t size, const uint8_t hash[32], bool confirm, uint32_t deadline_s)
{
	struct cbor_writer w;

	put_start(&w, buf, size);
	cbor_put_text(&w, "hash");
	cbor_put_bytes(&w, hash, 32);
	cbor_put_text(&w, "confirm");
	cbor_put_bool(&w, confirm);
	if (deadline_s) {
		cbor_put_text(&w, "deadline");
		cbor_put_uint(&w, deadline_s);
	}
	return put_end(&w);
}

size_t node_put_key(uint8_t *buf, size_t size, const uint8_t key[32], const uint8_t seed[32])
{
	struct cbor_writer w;

	put_start(&w, buf, size);
	cbor_put_text(&w, "key");
	cbor_put_bytes(&w, key, 32);
	cbor_put_text(&w, "seed");
	cbor_put_bytes(&w, seed, 32);
	cbor_put_text(&w, "required");
	cbor_put_bool(&w, true);
	return put_end(&w);
}

size_t node_put_reset(uint8_t *buf, size_t size, bool to_boot)
{
	struct cbor_writer w;

	put_start(&w, buf, size);
	cbor_put_text(&w, "boot_mode");
	cbor_put_uint(&w, to_boot);
	return put_end(&w);
}

size_t node_put_lease(
	uint8_t *buf, size_t size, const char *owner, uint32_t epoch, uint32_t seconds)
{
	struct cbor_writer w;

	put_start(&w, buf, size);
	cbor_put_text(&w, "owner");
	cbor_put_text(&w, owner);
	cbor_put_text(&w, "epoch");
	cbor_put_uint(&w, epoch);
	cbor_put_text(&w, "sec");
	cbor_put_uint(&w, seconds);
	return put_end(&w);
}

void node_parse_owner(const uint8_t *body, size_t size, struct error *e)
{
	static const struct smp_field field = {"owner", SMP_TEXT, true, 0, OWNER_MAX};
	struct smp_string owner = {0};
	char name[OWNER_MAX + 1] = "";

	if (body && smp_body_read(body, size, &field, 1, &owner))
		smp_text_copy(owner, name, sizeof name);
	error_clear(e);
	error_set(e, EF_REASON_BUSY, "in use by gateway %s on the same line",
		name[0] ? name : "(unknown)");
}

size_t node_put_number(uint8_t *buf, size_t size, const char *key, uint32_t number)
{
	struct cbor_writer w;

	put_start(&w, buf, size);
	cbor_put_text(&w, key);
	cbor_put_uint(&w, number);
	return put_end(&w);
}

size_t node_put_rate(uint8_t *buf, size_t size, uint32_t baud)
{
	return node_put_number(buf, size, "baud", baud);
}

size_t node_put_begin(uint8_t *buf, size_t size, const uint8_t *image, uint32_t length,
	const uint8_t sha[32], uint32_t first)
{
	struct cbor_writer w;

	put_start(&w, buf, size);
	cbor_put_text(&w, "off");
	cbor_put_uint(&w, 0);
	cbor_put_text(&w, "len");
	cbor_put_uint(&w, length);
	cbor_put_text(&w, "sha");
	cbor_put_bytes(&w, sha, 32);
	cbor_put_text(&w, "data");
	cbor_put_bytes(&w, image, first);
	return put_end(&w);
}

size_t node_put_echo(uint8_t *buf, size_t size, uint8_t length)
{
	struct cbor_writer w;
	char text[255];

	for (unsigned i = 0; i < length; i++)
		text[i] = (char)(' ' + i % 95);
	put_start(&w, buf, size);
	cbor_put_text(&w, "d");
	cbor_put_text_of(&w, text, length);
	return put_end(&w);
}

struct raw_identity {
	uint64_t v, hwrev, mode, buf, win, slot, floor, test, revert, attempts, cause, ahead, bat,
		addr, spread, models, page, mem;
	struct smp_string board, vid, cid, id, boot, nonce;
	bool trial, ext;
};

#define FIELD(name, kind, required, limit)                                        \
	{                                                                         \
#name, kind, required, offsetof(struct raw_identity, name), limit \
	}

static const struct smp_field identity_fields[] = {
	FIELD(v, SMP_UINT, true, UINT32_MAX),
	FIELD(board, SMP_TEXT, true, 255),
	FIELD(vid, SMP_BYTES, true, 16),
	FIELD(cid, SMP_BYTES, true, 16),
	FIELD(id, SMP_BYTES, true, 16),
	FIELD(hwrev, SMP_UINT, true, UINT32_MAX),
	FIELD(mode, SMP_UINT, true, 1),
	FIELD(boot, SMP_TEXT, false, 255),
	FIELD(buf, SMP_UINT, true, UINT32_MAX),
	FIELD(win, SMP_UINT, true, UINT32_MAX),
	FIELD(slot, SMP_UINT, true, UINT32_MAX),
	FIELD(floor, SMP_UINT, true, UINT32_MAX),
	FIELD(trial, SMP_BOOL, true, 0),
	FIELD(test, SMP_UINT, false, 2),
	FIELD(revert, SMP_UINT, false, UINT32_MAX),
	FIELD(attempts, SMP_UINT, false, UINT32_MAX),
	FIELD(cause, SMP_UINT, false, UINT32_MAX),
	FIELD(ahead, SMP_UINT, false, UINT32_MAX),
	FIELD(addr, SMP_UINT, false, EF_SHARED_ADDRESS_MAX),
	FIELD(spread, SMP_UINT, false, UINT16_MAX),
	FIELD(models, SMP_UINT, false, UINT32_MAX),
	FIELD(page, SMP_UINT, false, UINT32_MAX),
	FIELD(mem, SMP_UINT, false, UINT32_MAX),
	FIELD(bat, SMP_UINT, false, 100),
	FIELD(ext, SMP_BOOL, false, 0),
	FIELD(nonce, SMP_BYTES, true, NODE_NONCE_SIZE),
};

enum ef_reason node_parse_identify(const uint8_t *body, size_t size,
	const uint8_t nonce[NODE_NONCE_SIZE], struct node_identity *ret, struct error *e)
{
	struct raw_identity raw = {.bat = 100, .ext = true};

	if (!smp_body_read(body, size, identity_fields,
		    sizeof identity_fields / sizeof *identity_fields, &raw))
		return error_set(e, EF_REASON_NODE_PROTOCOL, "identify: malformed answer");
	if (raw.v < NODE_PROTOCOL_MIN || raw.v > NODE_PROTOCOL_MAX)
		return error_set(e, EF_REASON_NODE_PROTOCOL, "identify: protocol version %u",
			(unsigned)raw.v);
	if (memcmp(raw.nonce.data, nonce, NODE_NONCE_SIZE) != 0)
		return error_set(
			e, EF_REASON_NODE_PROTOCOL, "identify: an answer to another question");
	if (raw.buf < UPLOAD_BUF_MIN || raw.win == 0)
		return error_set(e, EF_REASON_NODE_PROTOCOL,
			"identify: buffer of %u bytes, window %u", (unsigned)raw.buf,
			(unsigned)raw.win);
	memset(ret, 0, sizeof *ret);
	smp_text_copy(raw.board, ret->board, sizeof ret->board);
	smp_text_copy(raw.boot, ret->boot_version, sizeof ret->boot_version);
	memcpy(ret->vendor, raw.vid.data, 16);
	memcpy(ret->class_id, raw.cid.data, 16);
	memcpy(ret->id, raw.id.data, 16);
	ret->protocol = (uint32_t)raw.v;
	ret->hardware = (uint32_t)raw.hwrev;
	ret->bootloader = raw.mode == 0;
	ret->buf = (uint32_t)raw.buf;
	ret->window = (uint32_t)raw.win;
	ret->slot_size = (uint32_t)raw.slot;
	ret->floor = (uint32_t)raw.floor;
	ret->attempts = (uint32_t)raw.attempts;
	ret->cause = (uint32_t)raw.cause;
	ret->ahead = (uint32_t)raw.ahead;
	ret->address = (uint32_t)raw.addr;
	ret->spread = (uint32_t)raw.spread;
	ret->patch_models = (uint32_t)raw.models;
	ret->patch_page = (uint32_t)raw.page;
	ret->patch_memory = (uint32_t)raw.mem;
	ret->battery = (uint8_t)raw.bat;
	ret->external = raw.ext;
	ret->trial = raw.trial;
	ret->self_test = (uint8_t)raw.test;
	/* A number that no node has reason to name is a revert all the same. */
	if (raw.revert && !smp_reason_valid(raw.revert, &ret->reverted))
		ret->reverted = EF_REASON_NODE_REVERTED;
	return EF_REASON_OK;
}

struct raw_slot {
	uint64_t image, slot;
	struct smp_string version, hash;
	bool pending, confirmed, active;
};

#undef FIELD
#define FIELD(name, kind, required, limit)                                    \
	{                                                                     \
#name, kind, required, offsetof(struct raw_slot, name), limit \
	}

static const struct smp_field slot_fields[] = {
	FIELD(image, SMP_UINT, false, UINT32_MAX),
	FIELD(slot, SMP_UINT, true, UINT32_MAX),
	FIELD(version, SMP_TEXT, true, 64),
	FIELD(hash, SMP_BYTES, false, 32),
	FIELD(pending, SMP_BOOL, false, 0),
	FIELD(confirmed, SMP_BOOL, false, 0),
	FIELD(active, SMP_BOOL, false, 0),
};
#undef FIELD

/* "1.2.3", "1.2.3+4", and MCUboot's "1.2.3.4". */
static bool slot_version(struct smp_string text, struct ef_version *ret)
{
	char copy[EF_VERSION_TEXT_MAX];
	char *dot = copy;

	smp_text_copy(text, copy, sizeof copy);
	for (int i = 0; i < 3 && dot; i++)
		dot = strchr(i ? dot + 1 : dot, '.');
	if (dot)
		*dot = '+';
	return ef_version_parse(copy, ret);
}

static void slot_fill(const struct raw_slot *raw, struct node_identity *ret)
{
	struct node_slot *s = &ret->slots[raw->slot];

	s->present = true;
	if (!slot_version(raw->version, &s->version))
		memset(&s->version, 0, sizeof s->version);
	if (raw->hash.data) /* else zero: a recovery need not name it */
		memcpy(s->hash, raw->hash.data, 32);
	s->pending = raw->pending;
	s->confirmed = raw->confirmed;
	s->active = raw->active;
}

static bool read_state(struct cbor_reader *r, struct node_identity *ret)
{
	unsigned images = 0;

	if (cbor_peek(r) != CBOR_ARRAY || !cbor_enter(r))
		return false;
	while (cbor_peek(r) != CBOR_NONE) {
		struct raw_slot raw = {0};

		if (++images > IMAGES_MAX ||
			!smp_map_read(
				r, slot_fields, sizeof slot_fields / sizeof *slot_fields, &raw))
			return false;
		if (raw.image || raw.slot > 1)
			continue;
		if (ret->slots[raw.slot].present)
			return false; /* said twice */
		slot_fill(&raw, ret);
	}
	return cbor_leave(r);
}

enum ef_reason node_parse_state(
	const uint8_t *body, size_t size, struct node_identity *ret, struct error *e)
{
	struct cbor_reader r;
	bool found = false;
	const char *key;
	size_t n;

	memset(ret->slots, 0, sizeof ret->slots);
	cbor_read_init(&r, body, size);
	if (cbor_peek(&r) == CBOR_MAP && cbor_enter(&r)) {
		while (cbor_peek(&r) != CBOR_NONE && cbor_get_text(&r, &key, &n)) {
			if (n != 6 || memcmp(key, "images", 6) != 0) {
				cbor_skip(&r);
			} else if (found || !read_state(&r, ret)) {
				found = false;
				break;
			} else {
				found = true;
			}
		}
		cbor_leave(&r);
	}
	if (!found || !cbor_ok(&r) || r.at != size ||
		(ret->slots[0].active && ret->slots[1].active)) {
		memset(ret->slots, 0, sizeof ret->slots);
		return error_set(e, EF_REASON_NODE_PROTOCOL, "image state: malformed answer");
	}
	return EF_REASON_OK;
}

enum ef_reason node_parse_params(
	const uint8_t *body, size_t size, struct node_identity *ret, struct error *e)
{
	static const struct smp_field fields[] = {
		{"buf_size", SMP_UINT, true, 0, UINT32_MAX},
		{"buf_count", SMP_UINT, true, sizeof(uint64_t), UINT32_MAX},
	};
	uint64_t raw[2];

	if (!smp_body_read(body, size, fields, 2, raw) || raw[0] < UPLOAD_BUF_MIN)
		return error_set(e, EF_REASON_NODE_PROTOCOL, "params: malformed answer");
	ret->buf = (uint32_t)raw[0];
	ret->window = 1;
	return EF_REASON_OK;
}

bool node_parse_made(const uint8_t *body, size_t size, struct node_made *ret)
{
	static const struct smp_field fields[] = {
		{"made", SMP_UINT, true, offsetof(struct node_made, made), UINT32_MAX},
		{"size", SMP_UINT, true, offsetof(struct node_made, size), UINT32_MAX},
		{"match", SMP_BOOL, false, offsetof(struct node_made, match), 0},
	};

	memset(ret, 0, sizeof *ret);
	return smp_body_read(body, size, fields, 3, ret) && ret->made <= ret->size;
}

void node_parse_info(const uint8_t *body, size_t size, struct node_identity *ret)
{
	static const struct smp_field fields[] = {{"output", SMP_TEXT, true, 0, 255}};
	struct smp_string output = {0};

	ret->info[0] = '\0';
	if (smp_body_read(body, size, fields, 1, &output))
		smp_text_copy(output, ret->info, sizeof ret->info);
}

const struct node_slot *node_active_slot(const struct node_identity *id)
{
	for (int i = 0; i < 2; i++)
		if (id->slots[i].present && id->slots[i].active)
			return &id->slots[i];
	return NULL;
}
