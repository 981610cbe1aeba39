/* SPDX-License-Identifier: Apache-2.0 */
#include "update/plan.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool plan_takes(const struct component *c, const struct config_node *node)
{
	return c->type == COMPONENT_MCU && strcmp(c->compatible, node->compatible) == 0;
}

const struct node_slot *plan_running(const struct node_identity *identity)
{
	for (size_t i = 0; i < 2; i++)
		if (identity->slots[i].present && identity->slots[i].active)
			return &identity->slots[i];
	return NULL;
}

static enum ef_reason admit_order(
	const struct manifest *m, const struct admit_input *in, struct error *e)
{
	const char *product = in->gateway->config->product;

	if (strcmp(m->product, product) != 0)
		return error_set(e, EF_REASON_NOT_COMPATIBLE, "release of product %s, this is %s",
			m->product, product);
	if (!in->going_back && m->sequence < in->sequence)
		return error_set(e, EF_REASON_DOWNGRADE,
			"release %s has sequence %" PRIu64 ", %" PRIu64 " was installed",
			m->version, m->sequence, in->sequence);
	return EF_REASON_OK;
}

static enum ef_reason admit_size(const struct component *c, const char *what, uint64_t need,
	enum slot_id target, uint64_t size, struct error *e)
{
	if (size == 0 || need <= size)
		return EF_REASON_OK;
	return error_set(e, EF_REASON_TOO_LARGE, "%s has %" PRIu64 " bytes%s, slot %s has %" PRIu64,
		c->name, need, what, slot_word(target), size);
}

/* A kernel of one release and modules of another do not make a system that starts. */
static enum ef_reason admit_boot(
	const struct component *c, const struct plan_gateway *g, struct error *e)
{
	bool brings = c->boot.image.size > 0;

	if (brings && !g->boots)
		return error_set(e, EF_REASON_UNKNOWN_COMPONENT,
			"%s brings a boot partition, and BootA= and BootB= are not set", c->name);
	if (!brings && g->boots)
		return error_set(e, EF_REASON_REQUIREMENT,
			"%s brings no boot partition, and the slots have one each", c->name);
	return admit_size(c, " for the boot partition", c->boot.image.size, g->target,
		g->boot_size[g->target], e);
}

static enum ef_reason admit_rootfs(
	const struct component *c, const struct plan_gateway *g, struct error *e)
{
	const struct config *config = g->config;

	if (!g->slots) {
		if (c->policy == POLICY_OPTIONAL)
			return EF_REASON_OK;
		return error_set(
			e, EF_REASON_UNKNOWN_COMPONENT, "%s: this gateway has no slots", c->name);
	}
	if (!config->compatible || strcmp(c->compatible, config->compatible) != 0)
		return error_set(e, EF_REASON_NOT_COMPATIBLE, "%s is for %s, this gateway is %s",
			c->name, c->compatible,
			config->compatible ? config->compatible : "not named");
	if (config->hardware < c->hardware_min || config->hardware > c->hardware_max)
		return error_set(e, EF_REASON_HARDWARE_RANGE,
			"%s is for hardware %" PRIu32 " to %" PRIu32 ", this gateway is %" PRIu32,
			c->name, c->hardware_min, c->hardware_max, config->hardware);
	if (admit_size(c, "", c->image.size, g->target, g->slot_size[g->target], e))
		return e->reason;
	return admit_boot(c, g, e);
}

static enum ef_reason admit_mcu(
	const struct component *c, const struct config *config, struct error *e)
{
	for (size_t i = 0; i < config->n_nodes; i++)
		if (plan_takes(c, &config->nodes[i]))
			return EF_REASON_OK;
	if (c->policy == POLICY_OPTIONAL)
		return EF_REASON_OK;
	return error_set(e, EF_REASON_UNKNOWN_COMPONENT,
		"%s is for %s and no node is configured as that", c->name, c->compatible);
}

static bool meets(uint32_t a_min, uint32_t a_max, uint32_t b_min, uint32_t b_max)
{
	return a_min <= b_max && b_min <= a_max;
}

static const struct component *new_gateway(const struct manifest *m)
{
	for (size_t i = 0; i < m->n_components; i++)
		if (m->components[i].type == COMPONENT_ROOTFS)
			return &m->components[i];
	return NULL;
}

/* Its nodes with its gateway, and with this one: it brings them up, and may be what is gone back
 * to. */
static enum ef_reason admit_protocol(
	const struct manifest *m, const struct plan_gateway *g, struct error *e)
{
	const struct component *gateway = new_gateway(m);

	for (size_t i = 0; i < m->n_components; i++) {
		const struct component *c = &m->components[i];
		if (c->type != COMPONENT_MCU)
			continue;
		if (gateway && !meets(c->protocol_min, c->protocol_max, gateway->protocol_min,
				       gateway->protocol_max))
			return error_set(e, EF_REASON_PROTOCOL,
				"in release %s %s speaks %" PRIu32 " to %" PRIu32
				", %s speaks %" PRIu32 " to %" PRIu32,
				m->version, c->name, c->protocol_min, c->protocol_max,
				gateway->name, gateway->protocol_min, gateway->protocol_max);
		if (!meets(c->protocol_min, c->protocol_max, g->protocol_min, g->protocol_max))
			return error_set(e, EF_REASON_PROTOCOL,
				"%s speaks %" PRIu32 " to %" PRIu32
				", the gateway that runs now %" PRIu32 " to %" PRIu32,
				c->name, c->protocol_min, c->protocol_max, g->protocol_min,
				g->protocol_max);
	}
	return EF_REASON_OK;
}

enum ef_reason plan_admit_protocol(
	const struct manifest *m, const struct plan_node *node, struct error *e)
{
	const struct component *gateway = new_gateway(m);
	uint32_t v = node->identity.protocol;

	if (!gateway || node->identity.plain ||
		meets(gateway->protocol_min, gateway->protocol_max, v, v))
		return EF_REASON_OK;
	return error_set(e, EF_REASON_PROTOCOL,
		"node %s speaks %" PRIu32 " and may have to stay at that, %s of release %s %" PRIu32
		" to %" PRIu32,
		node->config->name, v, gateway->name, m->version, gateway->protocol_min,
		gateway->protocol_max);
}

static enum ef_reason admit_requires(const struct manifest *m, const struct component *c,
	const struct admit_input *in, struct error *e)
{
	for (size_t i = 0; i < c->n_requires; i++) {
		char min[EF_VERSION_TEXT_MAX];
		struct ef_version have;
		const struct component *other = manifest_component(m, c->requires[i].name);

		if (other)
			have = other->version;
		if ((other || in->installed(in->ctx, c->requires[i].name, &have)) &&
			ef_version_compare(&have, &c->requires[i].min) >= 0)
			continue;
		ef_version_format(&c->requires[i].min, min);
		return error_set(e, EF_REASON_REQUIREMENT, "%s needs %s %s or newer", c->name,
			c->requires[i].name, min);
	}
	return EF_REASON_OK;
}

enum ef_reason plan_admit(const struct manifest *m, const struct admit_input *in, struct error *e)
{
	size_t rootfs = 0;

	if (admit_order(m, in, e))
		return e->reason;
	for (size_t i = 0; i < m->n_components; i++) {
		const struct component *c = &m->components[i];
		uint32_t floor = in->floor(in->ctx, c->compatible);

		/* a floor is absolute: not even a rollback goes below it (S-12) */
		if (c->security < floor)
			return error_set(e, EF_REASON_FLOOR,
				"%s has security version %" PRIu32 ", the floor is %" PRIu32,
				c->name, c->security, floor);
		if (c->type == COMPONENT_ROOTFS && ++rootfs > 1)
			return error_set(e, EF_REASON_UNKNOWN_COMPONENT,
				"%s: a second root filesystem has no place", c->name);
		if (c->type == COMPONENT_ROOTFS)
			admit_rootfs(c, in->gateway, e);
		else
			admit_mcu(c, in->gateway->config, e);
		if (e->reason || admit_requires(m, c, in, e))
			return e->reason;
	}
	return admit_protocol(m, in->gateway, e);
}

enum ef_reason plan_admit_image(
	const struct component *c, const struct plan_image *image, struct error *e)
{
	uint8_t vendor[16], class_id[16];

	if (!compatible_uuids(c->compatible, vendor, class_id))
		return error_set(
			e, EF_REASON_BAD_FORMAT, "%s: compatible \"%s\"", c->name, c->compatible);
	if (!image->has_vendor || !image->has_class)
		return error_set(e, EF_REASON_NOT_COMPATIBLE,
			"the image of %s does not name its board", c->name);
	if (memcmp(vendor, image->vendor, 16) != 0 || memcmp(class_id, image->class_id, 16) != 0)
		return error_set(e, EF_REASON_NOT_COMPATIBLE,
			"the image of %s is made for another board than %s", c->name,
			c->compatible);
	if (image->security != c->security)
		return error_set(e, EF_REASON_BAD_IMAGE,
			"the image of %s has security version %" PRIu32
			", the release says %" PRIu32,
			c->name, image->security, c->security);
	return EF_REASON_OK;
}

enum ef_reason plan_admit_identity(
	const struct config_node *config, const struct node_identity *identity, struct error *e)
{
	uint8_t vendor[16], class_id[16];

	if (identity->plain)
		return EF_REASON_OK;
	if (!compatible_uuids(config->compatible, vendor, class_id) ||
		memcmp(vendor, identity->vendor, 16) != 0 ||
		memcmp(class_id, identity->class_id, 16) != 0)
		return error_set(e, EF_REASON_NODE_MISMATCH,
			"node %s is configured as %s and says it is %s", config->name,
			config->compatible,
			identity->board[0] ? identity->board : "something else");
	return EF_REASON_OK;
}

enum ef_reason plan_admit_node(
	const struct component *c, const struct plan_node *node, struct error *e)
{
	const struct node_identity *id = &node->identity;

	if (plan_admit_identity(node->config, id, e) || id->plain)
		return e->reason;
	if (id->hardware < c->hardware_min || id->hardware > c->hardware_max)
		return error_set(e, EF_REASON_HARDWARE_RANGE,
			"%s is for hardware %" PRIu32 " to %" PRIu32 ", node %s is %" PRIu32,
			c->name, c->hardware_min, c->hardware_max, node->config->name,
			id->hardware);
	if (id->slot_size > 0 && c->image.size > id->slot_size)
		return error_set(e, EF_REASON_TOO_LARGE,
			"%s has %" PRIu64 " bytes, a slot of node %s has %" PRIu32, c->name,
			c->image.size, node->config->name, id->slot_size);
	if (c->security < id->floor)
		return error_set(e, EF_REASON_FLOOR,
			"%s has security version %" PRIu32 ", the floor of node %s is %" PRIu32,
			c->name, c->security, node->config->name, id->floor);
	return EF_REASON_OK;
}

/* A window may reach over midnight. */
static bool within(const struct config_window *w, unsigned minute)
{
	if (w->from == w->to)
		return true;
	return w->from < w->to ? minute >= w->from && minute < w->to
			       : minute >= w->from || minute < w->to;
}

enum ef_reason plan_may_touch(const struct config_node *config,
	const struct node_identity *identity, unsigned minute, struct error *e)
{
	const struct config_window *w = &config->window;

	if (config->external && identity->plain)
		return error_set(e, EF_REASON_NODE_BATTERY,
			"node %s does not say how it is powered, and ExternalPower=yes wants it to",
			config->name);
	if (config->external && !identity->external)
		return error_set(e, EF_REASON_NODE_BATTERY,
			"node %s runs on its battery, and ExternalPower=yes wants it not to",
			config->name);
	if (!identity->plain && !identity->external && identity->battery < config->battery)
		return error_set(e, EF_REASON_NODE_BATTERY,
			"node %s has %u %% of its battery left, MinimumBattery= is %" PRIu32,
			config->name, identity->battery, config->battery);
	if (!within(w, minute))
		return error_set(e, EF_REASON_HELD,
			"node %s: it is %02u:%02u, Window= is %02u:%02u-%02u:%02u", config->name,
			minute / 60, minute % 60, w->from / 60, w->from % 60, w->to / 60,
			w->to % 60);
	return EF_REASON_OK;
}

static void plan_rootfs(const struct component *c, const struct plan_gateway *g, struct part *p)
{
	component_hash(c, p->hash);
	p->required = c->policy == POLICY_REQUIRED;
	if (!g->slots) {
		p->state = COMPONENT_SKIPPED;
		error_set(&p->error, EF_REASON_UNKNOWN_COMPONENT, "this gateway has no slots");
		return;
	}
	snprintf(p->place, sizeof(p->place), "%s", slot_word(g->target));
	if (!g->known)
		return;
	snprintf(p->from, sizeof(p->from), "%s", g->running_version);
	if (memcmp(g->running_image, p->hash, 32) == 0) {
		p->state = COMPONENT_SKIPPED;
		snprintf(p->place, sizeof(p->place), "%s", slot_word(g->running));
		error_set(&p->error, EF_REASON_ALREADY_INSTALLED, "slot %s runs it", p->place);
	}
}

static void plan_mcu(const struct component *c, const struct plan_image *image,
	const struct plan_node *node, struct part *p)
{
	const struct node_slot *running = plan_running(&node->identity);

	memcpy(p->hash, image->hash, sizeof(p->hash));
	p->required = c->policy != POLICY_OPTIONAL && node->config->required;
	snprintf(p->place, sizeof(p->place), "%s", node->config->name);
	if (running)
		ef_version_format(&running->version, p->from);
	if (!node->present) {
		p->state = COMPONENT_SKIPPED;
		error_set(&p->error,
			c->policy == POLICY_DEFERRED ? EF_REASON_DEFERRED
			: node->last.reason	     ? node->last.reason
						     : EF_REASON_NODE_UNREACHABLE,
			"%s", node->last.detail);
	} else if (running && memcmp(running->hash, image->hash, 32) == 0 && running->confirmed) {
		p->state = COMPONENT_SKIPPED;
		error_set(&p->error, EF_REASON_ALREADY_INSTALLED, "node %s runs it", p->place);
	}
}

int plan_make(const struct manifest *m, const struct plan_image *images,
	const struct plan_gateway *g, const struct plan_node *nodes, size_t n_nodes,
	struct part **ret, size_t *n)
{
	struct part *parts =
		calloc(m->n_components + m->n_components * n_nodes + 1, sizeof(*parts));
	size_t used = 0;

	if (!parts)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_components; i++) {
		size_t number = m->order[i];
		const struct component *c = &m->components[number];

		if (c->type == COMPONENT_ROOTFS) {
			parts[used] = (struct part){.component = c, .phase = ""};
			plan_rootfs(c, g, &parts[used++]);
			continue;
		}
		for (size_t k = 0; k < n_nodes; k++)
			if (plan_takes(c, nodes[k].config)) {
				parts[used] = (struct part){.component = c, .phase = ""};
				plan_mcu(c, &images[number], &nodes[k], &parts[used++]);
			}
	}
	*ret = parts;
	*n = used;
	return 0;
}

void plan_catch_up(struct part *p)
{
	p->required = false;
	if (p->component->type == COMPONENT_MCU || p->state == COMPONENT_SKIPPED)
		return;
	p->state = COMPONENT_SKIPPED;
	error_set(&p->error, EF_REASON_ALREADY_INSTALLED, "only nodes are brought up");
}
