/* SPDX-License-Identifier: Apache-2.0 */
/* Group 2: what the node counts. Everything since the program started, but for boots and records.
 */
#include "agent/agent.h"
#include "boot/retained.h"
#include <string.h>

static void put_line(const struct agent *a, struct cbor_writer *w)
{
	put_uints(w, "messages dropped lost",
		(const uint32_t[]){a->line.messages, line_dropped(&a->line), port_uart_lost()});
}

static void put_node(const struct agent *a, struct cbor_writer *w)
{
	struct retained r;

	retained_load(&r);
	put_uints(w, "uptime boots erases records stack",
		(const uint32_t[]){a->uptime, r.boots, a->upload.erases, a->state.sequence,
			port_stack_free()});
}

static const struct statistics own[] = {{"line", put_line}, {"node", put_node}};
#define OWN_COUNT (sizeof(own) / sizeof(*own))

/* The agent's groups, then the program's one; NULL behind the last. */
static const struct statistics *group(const struct agent *a, unsigned number)
{
	if (number < OWN_COUNT)
		return &own[number];
	return number == OWN_COUNT ? a->program->stats : NULL;
}

static struct outcome read_stat(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	const struct statistics *g;

	if (!v[0].present)
		return smp_error(EF_SMP_INVALID);
	for (unsigned i = 0; (g = group(a, i)); i++) {
		if (v[0].size != strlen(g->name) || memcmp(v[0].data, g->name, v[0].size) != 0)
			continue;
		put_text(w, "name", g->name);
		cbor_put_text(w, "fields");
		cbor_open_map(w);
		g->put(a, w);
		cbor_close(w);
		return DONE;
	}
	return smp_error(EF_SMP_NO_ENTRY);
}

static struct outcome list_stats(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	const struct statistics *g;

	(void)v;
	cbor_put_text(w, "stat_list");
	cbor_open_array(w);
	for (unsigned i = 0; (g = group(a, i)); i++)
		cbor_put_text(w, g->name);
	cbor_close(w);
	return DONE;
}

static const struct command commands[] = {
	{EF_STAT_READ, EF_SMP_READ, true, "name:t", read_stat},
	{EF_STAT_LIST, EF_SMP_READ, true, "", list_stats},
};
const struct command_group stat_group = COMMAND_GROUP(EF_GROUP_STAT, true, commands);
