/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: the effect of an operation comes one turn of the loop before its answer. */
#include "world.h"
#include <check.h>
#include <string.h>

enum op { OP_NONE, OP_IDENTIFY, OP_STAGE, OP_ACTIVATE, OP_SELF_TEST, OP_CONFIRM, OP_REVERT };

struct node {
	sd_event *event;
	struct fake_node *fake;
	enum op op;
	bool effected;
	sd_event_source *turn;
	struct node_identity *ret;
	const uint8_t *image;
	size_t size;
	const struct node_patch *patch;
	uint8_t hash[32];
	node_progress progress;
	node_done done;
	void *ctx;
	struct error error;
};

static void go_back(struct fake_node *f, enum ef_reason why)
{
	struct node_slot old = f->id.slots[1];

	f->id.slots[1] = f->id.slots[0];
	f->id.slots[1].active = f->id.slots[1].confirmed = f->id.slots[1].pending = false;
	f->id.slots[0] = old;
	f->id.slots[0].active = f->id.slots[0].confirmed = true;
	f->id.slots[0].pending = false;
	f->id.trial = false;
	f->id.self_test = 0;
	f->id.reverted = why;
}

void world_node_reset(struct fake_node *f);

/* What its bootloader does at any reset. */
void world_node_reset(struct fake_node *f)
{
	f->resets++;
	if (f->id.trial) {
		go_back(f, EF_REASON_NOT_CONFIRMED);
		return;
	}
	if (!f->id.slots[1].present || !f->id.slots[1].pending)
		return;
	struct node_slot fresh = f->id.slots[1];
	f->id.slots[1] = f->id.slots[0];
	f->id.slots[1].active = false;
	f->id.slots[0] = fresh;
	f->id.slots[0].active = true;
	f->id.slots[0].pending = f->id.slots[0].confirmed = false;
	f->id.trial = true;
	if (f->n_starts < 64)
		f->starts[f->n_starts++] = ++the_world->starts;
	f->id.self_test = f->bad_self_test ? 2 : 1;
	f->id.reverted = EF_REASON_OK;
	if (f->bad_start)
		go_back(f, EF_REASON_NOT_CONFIRMED);
}

static bool runs(const struct fake_node *f, const uint8_t hash[32])
{
	return memcmp(f->id.slots[0].hash, hash, 32) == 0;
}

static void effect_stage(struct node *n)
{
	struct fake_node *f = n->fake;
	struct ef_image_info info = {0};

	/* the harness makes them: payload digest in the last 32 bytes, version in the header */
	memcpy(info.digest, n->image + n->size - 32, 32);
	if (f->reject_image) {
		error_set(&n->error, EF_REASON_IMAGE_KEY, "node %s", f->name);
		return;
	}
	if (runs(f, info.digest) ||
		(f->id.slots[1].present && memcmp(f->id.slots[1].hash, info.digest, 32) == 0))
		return;
	if (f->line_cuts > 0 && f->line_cuts-- > 0) {
		error_set(&n->error, EF_REASON_NODE_UNREACHABLE, "cut");
		return;
	}
	if (n->patch) {
		ck_assert_int_eq(memcmp(n->patch->base, f->id.slots[0].hash, 32), 0);
		ck_assert_int_eq(memcmp(n->patch->data, n->patch->base, 32), 0);
		ck_assert_int_eq(memcmp(n->patch->data + 32, info.digest, 32), 0);
		f->patches++;
		if (f->bad_patches) {
			error_set(&n->error, EF_REASON_PATCH, "another image came out");
			return;
		}
	} else {
		f->uploads++;
	}
	f->erases++;
	f->id.slots[1] = (struct node_slot){.present = true};
	memcpy(f->id.slots[1].hash, info.digest, 32);
	f->id.slots[1].version.major = n->image[20];
}

static void effect_activate(struct node *n)
{
	struct fake_node *f = n->fake;

	if (!f->id.slots[1].present || memcmp(f->id.slots[1].hash, n->hash, 32) != 0) {
		error_set(&n->error, EF_REASON_NODE_PROTOCOL, "node %s holds something else",
			f->name);
		return;
	}
	f->id.slots[1].pending = true;
	world_node_reset(f);
	if (!runs(f, n->hash))
		error_set(&n->error, f->id.reverted ? f->id.reverted : EF_REASON_NODE_REVERTED,
			"another image runs");
}

static void effect(struct node *n)
{
	struct fake_node *f = n->fake;

	if (f->unreachable) {
		error_set(&n->error, EF_REASON_NODE_UNREACHABLE, "no answer");
		return;
	}
	switch (n->op) {
	case OP_IDENTIFY:
		if (f->id.trial && f->back_in_trial && f->back_after-- == 0)
			go_back(f, EF_REASON_NOT_CONFIRMED);
		*n->ret = f->id;
		break;
	case OP_STAGE:
		effect_stage(n);
		break;
	case OP_ACTIVATE:
		effect_activate(n);
		break;
	case OP_SELF_TEST:
		if (!runs(f, n->hash))
			error_set(&n->error, EF_REASON_NODE_REVERTED, "another image runs");
		else if (f->id.self_test != 1 && f->id.trial)
			error_set(&n->error, EF_REASON_SELF_TEST, "failed");
		break;
	case OP_CONFIRM:
		if (!runs(f, n->hash)) {
			error_set(&n->error, EF_REASON_NODE_REVERTED, "another image runs");
			break;
		}
		f->id.trial = false;
		f->id.slots[0].confirmed = true;
		break;
	case OP_REVERT:
		for (int i = 0; i < 2 && (f->id.trial || f->id.slots[1].pending); i++)
			world_node_reset(f);
		break;
	case OP_NONE:
		break;
	}
}

static int on_turn(sd_event_source *s, void *userdata);

static int on_later(sd_event_source *s, uint64_t usec, void *userdata)
{
	return on_turn(s, userdata);
}

static int on_turn(sd_event_source *s, void *userdata)
{
	struct node *n = userdata;

	if (n->fake->mute && n->error.reason == EF_REASON_OK) {
		sd_event_source_disable_unref(n->turn);
		return sd_event_add_time_relative(
			n->event, &n->turn, CLOCK_MONOTONIC, 1000, 1, on_later, n);
	}
	if (!n->effected) {
		n->effected = true;
		if (n->error.reason == EF_REASON_OK)
			effect(n);
		return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	}
	n->turn = sd_event_source_disable_unref(n->turn);
	n->op = OP_NONE;
	if (n->progress && !n->fake->unreachable)
		n->progress(n->ctx, n->size, n->size);
	n->progress = NULL;
	n->done(n->ctx, &n->error);
	return 0;
}

static int begin(struct node *n, enum op op, node_done done, void *ctx)
{
	ck_assert_int_eq(n->op, OP_NONE); /* one operation at a time */
	n->op = op;
	n->effected = false;
	n->done = done;
	n->ctx = ctx;
	error_clear(&n->error);
	return sd_event_add_defer(n->event, &n->turn, on_turn, n);
}

enum ef_reason node_new(
	struct node **ret, sd_event *event, const struct node_config *config, struct error *e)
{
	struct node *n = calloc(1, sizeof(*n));

	n->event = event;
	for (size_t i = 0; i < WORLD_NODES; i++)
		if (strcmp(the_world->nodes[i].name, config->name) == 0)
			n->fake = &the_world->nodes[i];
	ck_assert_ptr_nonnull(n->fake);
	*ret = n;
	return EF_REASON_OK;
}

void node_free(struct node *n)
{
	if (n)
		sd_event_source_disable_unref(n->turn);
	free(n);
}

const char *node_name(const struct node *n)
{
	return n->fake->name;
}

int node_identify(struct node *n, struct node_identity *ret, node_done done, void *ctx)
{
	n->ret = ret;
	return begin(n, OP_IDENTIFY, done, ctx);
}

int node_stage(struct node *n, const uint8_t *image, size_t size, const struct node_patch *patch,
	node_progress progress, node_done done, void *ctx)
{
	n->image = image;
	n->size = size;
	n->patch = patch;
	n->progress = progress;
	return begin(n, OP_STAGE, done, ctx);
}

uint32_t node_patch_room(const struct node_identity *id, uint32_t image_size)
{
	return id->patch_models && image_size <= id->slot_size ? id->patch_memory : 0;
}

int node_activate(struct node *n, const uint8_t hash[32], uint32_t deadline_s, uint32_t timeout_s,
	node_done done, void *ctx)
{
	memcpy(n->hash, hash, 32);
	return begin(n, OP_ACTIVATE, done, ctx);
}

int node_self_test(
	struct node *n, const uint8_t hash[32], uint32_t timeout_s, node_done done, void *ctx)
{
	memcpy(n->hash, hash, 32);
	return begin(n, OP_SELF_TEST, done, ctx);
}

int node_confirm(struct node *n, const uint8_t hash[32], node_done done, void *ctx)
{
	memcpy(n->hash, hash, 32);
	return begin(n, OP_CONFIRM, done, ctx);
}

int node_revert(struct node *n, uint32_t timeout_s, node_done done, void *ctx)
{
	return begin(n, OP_REVERT, done, ctx);
}

enum ef_reason node_open(struct node *n, struct error *e)
{
	return EF_REASON_OK;
}

void node_set_framing(struct node *n, enum framing framing)
{
}

void node_set_calm(struct node *n, bool calm)
{
}

int node_discover(
	struct node *n, uint64_t ask_us, struct node_identity *ret, node_done done, void *ctx)
{
	return node_identify(n, ret, done, ctx);
}

enum ef_reason node_key_admit(const struct node *n, bool first, struct error *e)
{
	return EF_REASON_OK;
}

int node_provision(struct node *n, node_done done, void *ctx)
{
	return begin(n, OP_IDENTIFY, done, ctx);
}

int node_rotate_key(struct node *n, node_done done, void *ctx)
{
	return begin(n, OP_IDENTIFY, done, ctx);
}

void node_cancel(struct node *n)
{
	if (n->op == OP_NONE)
		return;
	error_clear(&n->error);
	error_set(&n->error, EF_REASON_CANCELLED, "cancelled");
	n->effected = true;
}
