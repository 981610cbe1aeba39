/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keys.h"
#include <string.h>

static bool node_differs(
	const struct config_node *a, const struct config_node *b, enum config_when when)
{
	const char *section, *key, *value;

	for (size_t i = 0; config_key(true, i, &section, &key, &value); i++)
		if (config_key_when(true, i) == when && config_key_differs(true, i, a, b))
			return true;
	return false;
}

bool config_same_wiring(const struct config_node *a, const struct config_node *b)
{
	return strcmp(a->name, b->name) == 0 && !node_differs(a, b, CONFIG_IDLE);
}

void config_compare(const struct config *c, const struct config *next, struct config_change *ret)
{
	const char *section, *key, *value;

	*ret = (struct config_change){.nodes = c->n_nodes != next->n_nodes};
	for (size_t i = 0; i < c->n_nodes && !ret->nodes; i++)
		ret->nodes = !config_same_wiring(&c->nodes[i], &next->nodes[i]);
	for (size_t i = 0; i < c->n_nodes && !ret->nodes && !ret->now; i++)
		ret->now = node_differs(&c->nodes[i], &next->nodes[i], CONFIG_NOW);
	for (size_t i = 0; config_key(false, i, &section, &key, &value); i++) {
		if (!config_key_differs(false, i, c, next))
			continue;
		switch (config_key_when(false, i)) {
		case CONFIG_NOW:
			ret->now = true;
			break;
		case CONFIG_NET:
			ret->net = true;
			break;
		case CONFIG_IDLE:
			ret->nodes = true;
			break;
		case CONFIG_START:
			if (ret->n_at_start < CONFIG_AT_START_MAX)
				ret->at_start[ret->n_at_start++] =
					(struct config_place){section, key};
			break;
		}
	}
}

static void take_nodes(struct config *c, struct config *next)
{
	struct config_node *nodes = c->nodes;
	size_t n = c->n_nodes;

	c->nodes = next->nodes;
	c->n_nodes = next->n_nodes;
	next->nodes = nodes;
	next->n_nodes = n;
}

/* Of nodes that are wired as before, whatever else has come or gone. */
static void take_policies(struct config *c, struct config *next)
{
	const char *section, *key, *value;

	for (size_t a = 0; a < c->n_nodes; a++)
		for (size_t b = 0; b < next->n_nodes; b++) {
			if (!config_same_wiring(&c->nodes[a], &next->nodes[b]))
				continue;
			for (size_t i = 0; config_key(true, i, &section, &key, &value); i++)
				if (config_key_when(true, i) == CONFIG_NOW)
					config_key_swap(true, i, &c->nodes[a], &next->nodes[b]);
		}
}

void config_take(struct config *c, struct config *next, bool nodes)
{
	const char *section, *key, *value;

	for (size_t i = 0; config_key(false, i, &section, &key, &value); i++) {
		enum config_when when = config_key_when(false, i);

		if (when == CONFIG_NOW || when == CONFIG_NET || (when == CONFIG_IDLE && nodes))
			config_key_swap(false, i, c, next);
	}
	if (nodes)
		take_nodes(c, next);
	else
		take_policies(c, next);
}
