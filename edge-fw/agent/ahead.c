/* SPDX-License-Identifier: Apache-2.0 */
/* Only where an upload is vouched for: there the whole slot was erased before it began. */
#include "agent/ahead.h"
#include "agent/agent.h"
#include "agent/upload.h"
#include "boot/flash.h"

#define SPAN (2u * PORT_WINDOW * PORT_MESSAGE_MAX)

uint32_t ahead_span(void)
{
	return SPAN;
}

static bool fits(const struct upload *u, uint32_t at, uint32_t size)
{
	uint32_t off = at - u->wanted;

	return u->vouched && !u->spread.block && at > u->wanted && size && size <= SPAN &&
	       off <= SPAN - size && at <= u->size && size <= u->size - at &&
	       at % AHEAD_UNIT == 0 && u->wanted % AHEAD_UNIT == 0 &&
	       (size % AHEAD_UNIT == 0 || at + size == u->size);
}

/* The piece that [at, end) belongs to: one that holds it, one it lengthens, a new one; or NULL. */
static struct ahead *place(struct upload *u, uint32_t at, uint32_t end)
{
	struct ahead *found = NULL;

	for (struct ahead *p = u->ahead; p < u->ahead + AHEAD_PIECES; p++) {
		if (p->end && at >= p->at && end <= p->end)
			return p;
		if (p->end && at < p->end && end > p->at)
			return NULL; /* half of it: no word is written twice */
	}
	for (struct ahead *p = u->ahead; p < u->ahead + AHEAD_PIECES; p++)
		if (p->end ? p->end == at : !found)
			found = p;
	return found;
}

int ahead_write(struct upload *u, uint32_t at, const uint8_t *data, uint32_t size)
{
	int r = upload_flush(u, u->wanted);

	if (r == 0)
		r = upload_write(u, at, data, size);
	u->from = u->wanted;
	return r;
}

int ahead_keep(struct upload *u, uint32_t at, const uint8_t *data, uint32_t size)
{
	struct ahead *p = fits(u, at, size) ? place(u, at, at + size) : NULL;

	if (!p)
		return 0;
	if (p->end && at + size <= p->end)
		return 1;
	if (ahead_write(u, at, data, size) < 0)
		return -1;
	if (!p->end)
		p->at = at;
	p->end = at + size;
	return 1;
}

uint32_t ahead_room(const struct upload *u)
{
	uint32_t room = UINT32_MAX;

	for (const struct ahead *p = u->ahead; p < u->ahead + AHEAD_PIECES; p++)
		if (p->end && p->at - u->wanted < room)
			room = p->at - u->wanted;
	return room;
}

/* Two pieces may meet: the second pass finds the other one. */
int ahead_join(struct upload *u)
{
	for (unsigned i = 0; i < AHEAD_PIECES; i++)
		for (struct ahead *p = u->ahead; p < u->ahead + AHEAD_PIECES; p++)
			if (p->end && p->at == u->wanted) {
				if (upload_flush(u, u->wanted) < 0)
					return -1;
				u->wanted = u->from = p->end;
				p->end = 0;
			}
	return 0;
}

uint32_t ahead_resume(const struct upload *u, uint32_t page, bool anywhere)
{
	for (uint32_t at = page > SPAN && !anywhere ? page - SPAN : 0; at < page; at += AHEAD_UNIT)
		if (flash_blank(u->place + at, AHEAD_UNIT))
			return at / port_board()->page * port_board()->page;
	return page;
}

/* Upload without CBOR: three bytes of offset and the data, into an upload that has begun. */
static struct outcome ef_data(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	const uint8_t *d = v[0].data;
	struct value upload[REQUEST_FIELDS_MAX] = {0};

	if (v[0].size < EF_DATA_HEAD)
		return smp_error(EF_SMP_INVALID);
	upload[UPLOAD_OFF].number = (uint32_t)d[0] << 16 | (uint32_t)d[1] << 8 | d[2];
	upload[UPLOAD_OFF].present = upload[UPLOAD_DATA].present = true;
	upload[UPLOAD_DATA].data = d + EF_DATA_HEAD;
	upload[UPLOAD_DATA].size = v[0].size - EF_DATA_HEAD;
	return upload[UPLOAD_OFF].number ? image_upload(a, upload, w) : smp_error(EF_SMP_INVALID);
}

static const struct command commands[] = {
	{EF_EF_DATA, EF_SMP_WRITE, false, NULL, ef_data},
};
const struct command_group data_group = COMMAND_GROUP(EF_GROUP_EDGEFERRY, false, commands);
