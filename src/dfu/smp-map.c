/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/smp-map.h"
#include <edgeferry/smp.h>
#include <string.h>

static bool get_field(struct cbor_reader *r, const struct smp_field *f, void *ret)
{
	char *to = (char *)ret + f->offset;
	struct smp_string *s = (void *)to;
	const char *text;

	switch (f->kind) {
	case SMP_UINT:
		return cbor_get_uint(r, (uint64_t *)(void *)to) &&
		       *(uint64_t *)(void *)to <= f->limit;
	case SMP_BOOL:
		return cbor_get_bool(r, (bool *)to);
	case SMP_TEXT:
		if (!cbor_get_text(r, &text, &s->size))
			return false;
		s->data = (const uint8_t *)text;
		return s->size <= f->limit;
	case SMP_BYTES:
		return cbor_get_bytes(r, &s->data, &s->size) &&
		       (f->limit == 0 || s->size == f->limit);
	}
	return false;
}

bool smp_map_read(struct cbor_reader *r, const struct smp_field *fields, size_t n, void *ret)
{
	uint32_t seen = 0;
	const char *key;
	size_t size, i;

	if (cbor_peek(r) != CBOR_MAP || !cbor_enter(r))
		return false;
	while (cbor_peek(r) != CBOR_NONE) {
		if (!cbor_get_text(r, &key, &size))
			return false;
		for (i = 0; i < n; i++)
			if (strlen(fields[i].key) == size && !memcmp(fields[i].key, key, size))
				break;
		if (i == n) {
			if (!cbor_skip(r))
				return false;
			continue;
		}
		if (seen & 1u << i || !get_field(r, &fields[i], ret))
			return false;
		seen |= 1u << i;
	}
	for (i = 0; i < n; i++)
		if (fields[i].required && !(seen & 1u << i))
			return false;
	return cbor_leave(r);
}

bool smp_body_read(
	const uint8_t *body, size_t size, const struct smp_field *fields, size_t n, void *ret)
{
	struct cbor_reader r;

	cbor_read_init(&r, body, size);
	return smp_map_read(&r, fields, n, ret) && r.at == size;
}

bool smp_reason_valid(uint64_t n, enum ef_reason *ret)
{
	static const uint8_t allowed[] = {EF_REASON_NO_MEMORY, EF_REASON_IO, EF_REASON_BUSY,
		EF_REASON_NOT_FOUND, EF_REASON_USAGE, EF_REASON_DENIED, EF_REASON_BAD_FORMAT,
		EF_REASON_BAD_SIZE, EF_REASON_BAD_DIGEST, EF_REASON_REQUIREMENT, EF_REASON_PATCH,
		EF_REASON_NOT_COMPATIBLE, EF_REASON_HARDWARE_RANGE, EF_REASON_DOWNGRADE,
		EF_REASON_FLOOR, EF_REASON_TOO_LARGE, EF_REASON_ALREADY_INSTALLED,
		EF_REASON_TRIAL_RUNNING, EF_REASON_BAD_IMAGE, EF_REASON_IMAGE_UNSIGNED,
		EF_REASON_IMAGE_KEY, EF_REASON_IMAGE_SIGNATURE, EF_REASON_IMAGE_DIGEST,
		EF_REASON_NODE_FLASH, EF_REASON_NODE_BATTERY, EF_REASON_SELF_TEST,
		EF_REASON_NODE_REVERTED, EF_REASON_NOT_CONFIRMED, EF_REASON_REJECTED};

	for (size_t i = 0; i < sizeof allowed; i++)
		if (allowed[i] == n) {
			*ret = (enum ef_reason)n;
			return true;
		}
	return false;
}

static enum ef_reason smp_rc_reason(uint64_t rc)
{
	switch (rc) {
	case EF_SMP_BUSY:
		return EF_REASON_BUSY;
	case EF_SMP_ACCESS_DENIED:
		return EF_REASON_DENIED;
	case EF_SMP_NO_ENTRY:
		return EF_REASON_NOT_FOUND;
	default:
		return EF_REASON_NODE_PROTOCOL;
	}
}

/* What one map says of success; keys that are no matter of it are passed over. */
struct status {
	uint64_t rc, group, why; /* group and why 0: there are none */
};

static bool read_status(const uint8_t *body, size_t size, struct status *ret)
{
	static const struct smp_field err_fields[] = {
		{"group", SMP_UINT, true, 0, UINT16_MAX},
		{"rc", SMP_UINT, true, sizeof(uint64_t), UINT16_MAX},
	};
	uint64_t err[2] = {0};
	struct cbor_reader r;
	const char *key;
	size_t n;
	int64_t v;

	memset(ret, 0, sizeof *ret);
	cbor_read_init(&r, body, size);
	if (cbor_peek(&r) != CBOR_MAP || !cbor_enter(&r))
		return false;
	while (cbor_peek(&r) != CBOR_NONE) {
		if (!cbor_get_text(&r, &key, &n))
			return false;
		if (n == 2 && !memcmp(key, "rc", 2)) {
			if (!cbor_get_int(&r, &v))
				return false;
			ret->rc = v < 0 || v > UINT16_MAX ? EF_SMP_UNKNOWN : (uint64_t)v;
		} else if (n == 3 && !memcmp(key, "err", 3)) {
			if (!smp_map_read(&r, err_fields, 2, err))
				return false;
			ret->group = err[0];
			ret->rc = err[1];
		} else if (n == 3 && !memcmp(key, "why", 3)) {
			if (!cbor_get_uint(&r, &ret->why))
				return false;
		} else if (!cbor_skip(&r)) {
			return false;
		}
	}
	return cbor_leave(&r) && r.at == size;
}

/* A node's own refusal. */
static enum ef_reason refusal(const struct status *s, const char *what, struct error *e)
{
	enum ef_reason reason, why;

	if (!smp_reason_valid(s->rc, &reason))
		return error_set(
			e, EF_REASON_NODE_PROTOCOL, "%s: unknown reason %u", what, (unsigned)s->rc);
	if (s->why && smp_reason_valid(s->why, &why))
		return error_set(e, reason, "%s: the node says so: %s, %s", what, reason_word(why),
			reason_text(why));
	return error_set(e, reason, "%s: the node says so", what);
}

enum ef_reason smp_body_status(
	const uint8_t *body, size_t size, const char *what, bool *unsupported, struct error *e)
{
	struct status s;

	*unsupported = false;
	if (!read_status(body, size, &s))
		return error_set(e, EF_REASON_NODE_PROTOCOL, "%s: the answer is no map", what);
	if (s.rc == EF_SMP_OK)
		return EF_REASON_OK;
	if (s.group == EF_GROUP_EDGEFERRY)
		return refusal(&s, what, e);
	*unsupported = s.group == 0 && s.rc == EF_SMP_NOT_SUPPORTED;
	return error_set(e, s.group ? EF_REASON_NODE_PROTOCOL : smp_rc_reason(s.rc),
		"%s: error %u of SMP group %u", what, (unsigned)s.rc, (unsigned)s.group);
}

void smp_text_copy(struct smp_string text, char *out, size_t size)
{
	size_t n = 0;

	for (; text.data && n < text.size && n + 1 < size; n++)
		out[n] = (char)(text.data[n] >= ' ' && text.data[n] <= '~' ? text.data[n] : '?');
	out[n] = '\0';
}
