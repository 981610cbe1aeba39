/* SPDX-License-Identifier: Apache-2.0 */
/* Group 0: what every SMP server has. */
#include "agent/agent.h"
#include "agent/request.h"
#include "boot/retained.h"

/* The body of a text string is the same as that of a byte string but for its type. */
static void put_text_counted(struct cbor_writer *w, const uint8_t *text, size_t size)
{
	size_t at = w->used;

	cbor_put_bytes(w, text, size);
	if (!w->overflow)
		w->buf[at] |= 0x20; /* major type 2 → 3 */
}

struct outcome os_echo(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)a;
	if (!v[0].present)
		return smp_error(EF_SMP_INVALID);
	cbor_put_text(w, "r");
	put_text_counted(w, v[0].data, v[0].size);
	return DONE;
}

struct outcome os_reset(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct retained r;

	(void)w;
	if (v[0].number > 1)
		return smp_error(EF_SMP_INVALID);
	retained_load(&r);
	r.stay = v[0].number == 1;
	retained_store(&r);
	a->reset = true;
	return DONE;
}

struct outcome os_params(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)a;
	(void)v;
	put_uint(w, "buf_size", PORT_MESSAGE_MAX);
	put_uint(w, "buf_count", PORT_WINDOW);
	return DONE;
}

/* One line for people: which program, which version, on what. */
struct outcome os_info(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct ef_version version;
	char line[120];
	struct text t;

	(void)v;
	text_init(&t, line, sizeof(line));
	if (a->program->bootloader)
		retained_load_boot_version(&version);
	else
		version = agent_slot(a, 0)->info.header.version;
	text_add(&t, a->program->bootloader ? "bootloader " : "app ");
	text_add_version(&t, &version);
	text_add(&t, " on ");
	text_add(&t, port_board()->name);
	text_add(&t, " (");
	text_add(&t, port_board()->core);
	text_add(&t, ")");
	if (a->program->details)
		a->program->details(&t);
	put_text(w, "output", line);
	return DONE;
}
