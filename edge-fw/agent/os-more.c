/* SPDX-License-Identifier: Apache-2.0 */
/* Group 0, what only the application has room for: info by format, bootloader info. */
#include "agent/agent.h"
#include "boot/retained.h"
#include <string.h>

/* Of the modes that stock clients know, MCUboot's, the one that says what holds here: slots are
 * swapped and swapped back, without a scratch area. How pages move is our own. */
#define SWAP_WITHOUT_SCRATCH 3u

static void add_version(struct agent *a, struct text *t, bool boot)
{
	struct ef_version version;

	if (boot)
		retained_load_boot_version(&version);
	else
		version = agent_slot(a, 0)->info.header.version;
	text_add_version(t, &version);
}

static void add_part(struct agent *a, struct text *t, char part)
{
	if (t->used)
		text_add(t, " ");
	switch (part) {
	case 's':
	case 'o':
		text_add(t, "edgeferry");
		return;
	case 'n':
		for (unsigned i = 0; i < sizeof(a->factory.device_id); i++)
			text_add_hex(t, a->factory.device_id[i]);
		return;
	case 'r':
	case 'v':
		add_version(a, t, part == 'v');
		return;
	case 'b': /* builds are reproducible: they have no date */
		text_add(t, "unknown");
		return;
	case 'i':
		text_add(t, port_board()->name);
		return;
	default: /* m, p */
		text_add(t, port_board()->core);
	}
}

static size_t count(const struct value *v, char part)
{
	size_t n = 0;

	for (size_t i = 0; i < v->size; i++)
		n += v->data[i] == (uint8_t)part;
	return n;
}

static const char all_and_parts[] = "asnrvbmpio"; /* in the order in which they are answered */

static struct outcome os_info_format(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	char line[160];
	struct text t;
	size_t known = 0;

	if (!v[0].present)
		return os_info(a, v, w);
	for (const char *p = all_and_parts; *p; p++)
		known += count(&v[0], *p);
	if (known != v[0].size)
		return smp_error(EF_SMP_INVALID);
	text_init(&t, line, sizeof(line));
	for (const char *p = all_and_parts + 1; *p; p++)
		if (count(&v[0], 'a') || count(&v[0], *p))
			add_part(a, &t, *p);
	put_text(w, "output", line);
	return DONE;
}

static bool asks_for(const struct value *v, const char *what)
{
	return v->size == strlen(what) && memcmp(v->data, what, v->size) == 0;
}

static struct outcome os_bootloader(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)a;
	if (!v[0].present)
		put_text(w, "bootloader", "edgeferry");
	else if (asks_for(&v[0], "mode"))
		put_uint(w, "mode", SWAP_WITHOUT_SCRATCH);
	else
		return smp_error(EF_SMP_NO_ENTRY);
	return DONE;
}

static const struct command commands[] = {
	{EF_OS_INFO, EF_SMP_READ, true, "format:t", os_info_format},
	{EF_OS_BOOTLOADER, EF_SMP_READ, true, "query:t", os_bootloader},
};
const struct command_group os_more_group = COMMAND_GROUP(EF_GROUP_OS, true, commands);
