/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/plain.h"
#include "agent/agent.h"

#define TLV_INFO_SIZE 4u

bool plain_allowed(const struct agent *a)
{
	return a->factory.flags & FACTORY_PLAIN_CLIENTS;
}

static bool is_newer(struct agent *a, const struct ef_version *version)
{
	const struct slot_view *s = agent_slot(a, 0);
	struct ef_version running = s->info.header.version, coming = *version;

	running.build = coming.build = 0;
	return s->reason != EF_REASON_OK || ef_version_compare(&coming, &running) > 0;
}

enum ef_reason plain_begin(
	struct agent *a, const struct value *data, bool upgrade, enum ef_reason reason)
{
	struct upload *u = &a->upload;
	uint32_t slot = port_board()->slot[0].size;
	struct ef_image_header h;

	if (reason && !plain_allowed(a))
		return reason;
	if (u->size > slot)
		return EF_REASON_TOO_LARGE;
	if (data->size < EF_IMAGE_HEADER_SIZE || ef_image_parse_header(data->data, u->size, &h))
		return EF_REASON_BAD_IMAGE;
	if (upgrade && !is_newer(a, &h.version))
		return EF_REASON_DOWNGRADE;
	if (!reason)
		return EF_REASON_OK;
	u->tlv_at = h.hdr_size + h.img_size + h.protected_size;
	u->image_size = u->tlv_at + TLV_INFO_SIZE;
	return u->image_size < u->size ? EF_REASON_OK : EF_REASON_BAD_IMAGE;
}

/* Keeps the head of the unprotected area as it passes by. */
enum ef_reason plain_take(struct upload *u, const uint8_t *data, uint32_t size)
{
	uint32_t length;

	for (uint32_t i = 0; i < TLV_INFO_SIZE; i++)
		if (u->tlv_at + i - u->wanted < size)
			u->tlv[i] = data[u->tlv_at + i - u->wanted];
	if (u->image_size != u->tlv_at + TLV_INFO_SIZE || size < u->image_size - u->wanted)
		return EF_REASON_OK;
	length = u->tlv[2] | (uint32_t)u->tlv[3] << 8;
	if ((u->tlv[0] | u->tlv[1] << 8) != EF_IMAGE_TLV_INFO || length <= TLV_INFO_SIZE ||
		length > u->size - u->tlv_at)
		return EF_REASON_BAD_IMAGE;
	u->image_size = u->tlv_at + length;
	return EF_REASON_OK;
}

static enum ef_smp_rc nearest(enum ef_reason reason)
{
	switch (reason) {
	case EF_REASON_NOT_FOUND:
		return EF_SMP_NO_ENTRY;
	case EF_REASON_TRIAL_RUNNING:
	case EF_REASON_ALREADY_INSTALLED:
	case EF_REASON_SELF_TEST:
		return EF_SMP_BAD_STATE;
	case EF_REASON_IMAGE_UNSIGNED:
		return EF_SMP_ACCESS_DENIED;
	case EF_REASON_NODE_FLASH:
		return EF_SMP_UNKNOWN;
	default:
		return EF_SMP_INVALID;
	}
}

void plain_put_refusal(struct cbor_writer *w, enum ef_reason reason)
{
	char line[16];
	struct text t;

	text_init(&t, line, sizeof(line));
	text_add(&t, "reason ");
	text_add_uint(&t, reason);
	put_uint(w, "rc", nearest(reason));
	put_text(w, "rsn", line);
}
