/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"
#include "../unit.h"
#include <string.h>

struct world *w;

void setup(void)
{
	w = world_new();
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

void teardown(void)
{
	world_free(w);
}

void install(const char *version)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, version, &id, &e) == EF_REASON_OK, "%s", e.detail);
}

void install_bundle(void)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install_bundle(w->update, world_bundle(w), "demo.ferry", &id, &e) ==
			      EF_REASON_OK,
		"%s", e.detail);
}

struct error ends(enum deployment_state state)
{
	struct error why;
	enum deployment_state got = world_outcome(w, &why);

	ck_assert_msg(got == state, "%s, not %s: %s: %s", deployment_state_word(got),
		deployment_state_word(state), reason_word(why.reason), why.detail);
	return why;
}

bool node_has(size_t i, const char *version)
{
	uint8_t hash[32];

	world_hash(w, version, i, hash);
	return memcmp(w->nodes[i].id.slots[0].hash, hash, 32) == 0;
}

/* The whole fleet runs version, for good, and nothing is going to be tried (I-1, I-2). */
void fleet_runs(const char *version, const char *what)
{
	struct boot_state b = world_boot(w);
	uint8_t image[32];

	world_rootfs(version, image);
	ck_assert_msg(!b.on_trial && b.running == b.primary && b.trial == SLOT_NONE, "%s", what);
	ck_assert_msg(memcmp(w->slot_image[b.running], image, 32) == 0, "%s: slot %s", what,
		slot_word(b.running));
	for (size_t i = 0; i < WORLD_NODES; i++) {
		const struct node_identity *id = &w->nodes[i].id;
		ck_assert_msg(node_has(i, version), "%s: node %zu", what, i);
		ck_assert_msg(!id->trial && id->slots[0].confirmed && !id->slots[1].pending,
			"%s: node %zu", what, i);
	}
}

bool gateway_runs(const char *version)
{
	uint8_t image[32];

	world_rootfs(version, image);
	return memcmp(w->slot_image[world_boot(w).running], image, 32) == 0;
}

static int tell(void *ctx, const struct event *ev)
{
	struct story *s = ctx;
	enum deployment_state to;

	if (strcmp(ev->word, "deployment") != 0 && strcmp(ev->word, "refused") != 0)
		return 0;
	strcat(s->text, ev->to);
	strcat(s->text, " ");
	if (deployment_state_from_word(ev->to, &to) && deployment_over(to))
		s->ends++;
	return 0;
}

struct story story(void)
{
	struct story s = {.text = ""};

	ck_assert_int_eq(update_history(w->update, 0, tell, &s), 0);
	return s;
}

void on_checked(void *ctx, const char *version, const struct error *e)
{
	struct checked *c = ctx;

	c->done = true;
	strcpy(c->version, version);
	c->error = *e;
}

struct checked check_now(void)
{
	struct checked c = {0};
	struct error e = {0};

	ck_assert_int_eq(update_check(w->update, on_checked, &c, &e), EF_REASON_OK);
	while (!c.done)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	return c;
}
