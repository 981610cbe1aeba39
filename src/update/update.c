/* SPDX-License-Identifier: Apache-2.0 */
#include "update/internal.h"
#include "update/waves.h"
#include "util/fdio.h"
#include "util/log.h"
#include "util/time-util.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* --- small things that every file here uses --- */

bool reason_passes(enum ef_reason r)
{
	static const enum ef_reason list[] = {
		EF_REASON_NO_MEMORY,
		EF_REASON_IO,
		EF_REASON_BUSY,
		EF_REASON_TIMEOUT,
		EF_REASON_NET_UNREACHABLE,
		EF_REASON_NET_TLS,
		EF_REASON_NET_HTTP,
		EF_REASON_NET_SLOW,
		EF_REASON_NODE_UNREACHABLE,
		EF_REASON_NODE_PROTOCOL,
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i] == r)
			return true;
	return false;
}

uint64_t update_backoff(const struct update *u, unsigned attempts)
{
	uint64_t first = u->env.retry_us > 0 ? u->env.retry_us : RETRY_US;
	unsigned shift = attempts > 0 ? attempts - 1 : 0;
	uint64_t t = first << (shift < 10 ? shift : 10);

	return t < RETRY_MAX_US ? t : RETRY_MAX_US;
}

enum ef_reason update_boot(struct update *u, struct boot_state *ret, struct error *e)
{
	if (!u->boot)
		return error_set(e, EF_REASON_BOOT_STATE, "this gateway has no slots");
	return boot_state(u->boot, ret, e);
}

const char *update_slot_path(const struct update *u, enum slot_id s)
{
	const char *path = s == SLOT_A ? u->env.config->slot_a : u->env.config->slot_b;

	return path ? path : "";
}

const char *update_boot_path(const struct update *u, enum slot_id s)
{
	const char *path = s == SLOT_A ? u->env.config->boot_a : u->env.config->boot_b;

	return path ? path : "";
}

enum slot_id slot_from_word(const char *word)
{
	for (enum slot_id s = SLOT_A; s < SLOT_NONE; s++)
		if (strcmp(slot_word(s), word) == 0)
			return s;
	return SLOT_NONE;
}

/* What the list says of each release was so before the deployment that has ended. */
static void judge_again(struct update *u)
{
	for (size_t i = 0; i < u->n_known; i++) {
		struct known_release *k = &u->known[i];
		struct error e = {0};

		if (k->manifest || k->held)
			error_clear(&k->error);
		look_judge(u, k, true, &e);
	}
}

/* --- the engine's one step --- */

static void (*const advance[DEPLOYMENT_STATES])(struct update *u) = {
	[DEPLOYMENT_OFFERED] = acquire_advance,
	[DEPLOYMENT_FETCHING] = stage_advance,
	[DEPLOYMENT_STAGED] = release_advance,
	[DEPLOYMENT_ACTIVATING] = activate_advance,
	[DEPLOYMENT_TRIAL] = trial_advance,
	[DEPLOYMENT_CONFIRMING] = confirm_advance,
	[DEPLOYMENT_REVERTING] = revert_advance,
};

static int on_kick(sd_event_source *s, void *userdata)
{
	struct update *u = userdata;

	u->kick = sd_event_source_disable_unref(u->kick);
	if (u->rebooting && now_monotonic_us() >= u->reboot_asked_us + REBOOT_WAIT_US)
		u->rebooting = false; /* something holds it up; the state says what to do again */
	if (u->rebooting || !u->resumed)
		return 0;
	if (!u->current) {
		desired_advance(u);
		return 0;
	}
	if (u->current->dry) {
		dry_advance(u);
		return 0;
	}
	if (!deployment_over(u->current->state)) {
		if (!statement_halts(u))
			advance[u->current->state](u);
		return 0;
	}
	judge_again(u);
	u->current = deployment_free(u->current);
	bundle_close(TAKE_PTR(u->bundle));
	desired_forget(u);
	update_kick(u);
	return 0;
}

void update_kick(struct update *u)
{
	if (!u->kick && sd_event_add_defer(u->env.event, &u->kick, on_kick, u) < 0)
		abort(); /* out of memory: nothing would ever go on */
}

static int on_wait(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct update *u = userdata;

	u->run.timer = sd_event_source_disable_unref(u->run.timer);
	update_kick(u);
	return 0;
}

void update_kick_at(struct update *u, uint64_t when_us)
{
	uint64_t set;

	if (u->run.timer && sd_event_source_get_time(u->run.timer, &set) >= 0 && set <= when_us)
		return;
	sd_event_source_disable_unref(u->run.timer);
	u->run.timer = NULL;
	if (sd_event_add_time(
		    u->env.event, &u->run.timer, CLOCK_MONOTONIC, when_us, 1000, on_wait, u) < 0)
		abort();
}

/* --- beginning --- */

static int open_dir(const char *state_dir, const char *name, struct error *e)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/%s", state_dir, name) < 0) {
		error_set(e, EF_REASON_NO_MEMORY, "%s", name);
		return -1;
	}
	int r = dir_make(path, 0700);
	fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		error_errno(e, r < 0 ? r : -errno, "%s", path);
	return fd;
}

static enum ef_reason open_boot(struct update *u, struct error *e)
{
	const struct config *c = u->env.config;
	const struct boot_place place = {.dir = c->boot_dir, .state_dir = c->state_dir, .root = ""};

	if (!c->slot_a || !c->slot_b)
		return EF_REASON_OK;
	return boot_open(c->boot, &place, &u->boot, e);
}

/* A flip would leave behind what lies in a slot, and all would look as if it had never been (S-14).
 */
static enum ef_reason check_place(const struct config *c, struct error *e)
{
	struct stat root, state;

	if (!c->slot_a || strcmp(c->boot, "sim") == 0 || stat("/", &root) < 0 ||
		stat(c->state_dir, &state) < 0 || root.st_dev != state.st_dev)
		return EF_REASON_OK;
	return error_set(e, EF_REASON_CONFIG,
		"%s lies in the running slot: mount a file system there that both slots share",
		c->state_dir);
}

static enum ef_reason open_all(struct update *u, struct error *e)
{
	const char *state = u->env.config->state_dir;

	if (check_place(u->env.config, e))
		return e->reason;
	u->objects_fd = open_dir(state, "objects", e);
	u->trust_dir.dir_fd = open_dir(state, "trust", e);
	if (e->reason)
		return e->reason;
	u->trust_store = trust_store_of(u);
	if (state_lost(u, e) || store_open(state, &u->store, e) ||
		store_get(u->store, "release", u->release, sizeof(u->release), e) ||
		statement_open(u, e) || when_load(u, e) || open_boot(u, e))
		return e->reason;
	if (trust_open(u, e) == EF_REASON_NO_TRUST) {
		/* it can show what there is, and takes root.json at the next look */
		log_warning(
			"every release is refused until there is a root of trust: %s", e->detail);
		error_clear(e);
	}
	if (e->reason)
		return e->reason;
	return nodes_open(u, e);
}

static bool kernel_says(void *ctx)
{
	return clock_is_synchronised() > 0;
}

enum ef_reason update_new(struct update **ret, const struct update_env *env, struct error *e)
{
	struct update *u = calloc(1, sizeof(*u));

	if (!u)
		return error_set(e, EF_REASON_NO_MEMORY, "update");
	u->env = *env;
	if (!u->env.synchronised)
		u->env.synchronised = kernel_says;
	u->objects_fd = u->trust_dir.dir_fd = -1;
	if (open_all(u, e)) {
		update_free(u);
		return e->reason;
	}
	*ret = u;
	return EF_REASON_OK;
}

void update_free(struct update *u)
{
	if (!u)
		return;
	u->env.net = NULL; /* freed before us */
	dry_cancel(u, EF_REASON_CANCELLED, "edgeferryd ends");
	look_clear(u);
	reader_cancel(u);
	run_reset(u);
	while (u->fetches)
		fetch_free(u->fetches);
	sd_event_source_disable_unref(u->kick);
	discover_stop(u);
	nodes_close(u);
	deployment_free(u->current);
	desired_forget(u);
	bundle_close(u->bundle);
	known_clear(u->known, u->n_known);
	boot_close(u->boot);
	tuf_close(u->tuf);
	store_close(u->store);
	ef_close(u->objects_fd);
	ef_close(u->trust_dir.dir_fd);
	free(u);
}

enum ef_reason update_resume(struct update *u, struct error *e)
{
	struct boot_state boot;
	struct event ev = {.word = "start"};

	if (store_deployment_current(u->store, &u->current, e))
		return e->reason;
	if (u->current && deployment_asked_load(u, u->current, e))
		return e->reason;
	if (u->current && waves_number(u->current, u->env.config) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "waves");
	if (u->current)
		ev.deployment = u->current->id;
	snprintf(ev.from, sizeof(ev.from), "%s", u->release);
	snprintf(ev.to, sizeof(ev.to), "%s",
		u->current ? deployment_state_word(u->current->state) : "idle");
	if (u->boot && boot_state(u->boot, &boot, &ev.error) == EF_REASON_OK) {
		snprintf(ev.place, sizeof(ev.place), "%s", slot_word(boot.running));
		if (boot.on_trial && !u->current)
			error_set(&ev.error, EF_REASON_BOOT_STATE,
				"slot %s is on trial and no deployment knows of it", ev.place);
		if (desired_resume(u, &boot, e))
			return e->reason;
		struct error counted = {0};
		if (boot_came_up(u->boot, &counted))
			log_error("boot attempts are not counted anew: %s", counted.detail);
	}
	record_event(u, &ev, false);
	u->resumed = true;
	run_reset(u);
	nodes_poll(u);
	update_kick(u);
	return EF_REASON_OK;
}

/* --- looking --- */

static void answer(struct update *u, const char *version, const struct error *e)
{
	size_t n = u->n_waiters;
	struct waiter waiters[16];

	memcpy(waiters, u->waiters, sizeof(waiters));
	u->n_waiters = 0;
	for (size_t i = 0; i < n; i++)
		waiters[i].done(waiters[i].ctx, version, e);
}

/* A refusal of what the source offers is an event, once; a network that is away is not. */
void note_refusal(struct update *u, const char *version, const struct error *e)
{
	struct event ev = {.word = "refused", .error = *e};
	struct error none = {0};
	char text[400], last[400];

	if (e->reason == EF_REASON_OK || reason_passes(e->reason))
		return;
	snprintf(text, sizeof(text), "%s %s %s", version, reason_word(e->reason), e->detail);
	store_get(u->store, "last-refusal", last, sizeof(last), &none);
	if (strcmp(text, last) == 0)
		return;
	store_set(u->store, "last-refusal", text, &none);
	snprintf(ev.to, sizeof(ev.to), "%s", version);
	record_event(u, &ev, true);
}

static void take_list(struct update *u)
{
	struct look *l = &u->look;
	struct known_release *list = calloc(l->n + 1, sizeof(*list));
	struct error e = {0};

	if (!list)
		return;
	for (size_t i = 0; i < l->n; i++) {
		look_judge(u, &l->list[i].known, true, &e);
		list[i] = l->list[i].known;
		l->list[i].known.manifest = NULL;
		l->list[i].known.bytes = NULL;
	}
	known_clear(u->known, u->n_known);
	u->known = list;
	u->n_known = l->n;
}

void look_note(struct update *u, const struct error *e)
{
	u->last_check = update_stamp(u);
	u->check_error = *e;
	u->server_reachable = !reason_passes(e->reason);
}

static void on_check(struct update *u, const struct error *e)
{
	const struct known_release *newest = NULL, *refused = NULL;
	struct error why = *e;

	look_note(u, e);
	if (e->reason == EF_REASON_OK) {
		take_list(u);
		newest = look_candidate(u->known, u->n_known, &refused);
		statement_in_force(u, &why);
	}
	/* One cause a look: what is wrong with all, or with the newest. That nothing is published
	 * is none. */
	if (why.reason && e->reason != EF_REASON_NOT_FOUND)
		note_refusal(u, "", &why);
	else if (!newest && refused)
		note_refusal(u, refused->version, &refused->error);
	answer(u, newest ? newest->version : "", e);
}

enum ef_reason update_check(struct update *u, update_done done, void *ctx, struct error *e)
{
	if (!u->env.net)
		return error_set(e, EF_REASON_NET_UNREACHABLE, "no source is configured");
	if (u->n_waiters == sizeof(u->waiters) / sizeof(u->waiters[0]))
		return error_set(e, EF_REASON_BUSY, "too many checks are waiting");
	if (u->n_waiters == 0 && u->look.phase != LOOK_IDLE)
		return error_set(e, EF_REASON_BUSY, "a deployment is looking at a source");
	if (u->reader.done && u->n_waiters == 0)
		return error_set(e, EF_REASON_BUSY, "a deployment is fetching");
	u->waiters[u->n_waiters++] = (struct waiter){done, ctx};
	if (u->n_waiters == 1)
		look_start(u, LOOK_FOR_RELEASES, on_check);
	return EF_REASON_OK;
}

/* --- views --- */

const struct deployment *update_current(const struct update *u)
{
	const struct deployment *d = u->current;

	return d && !d->dry && !deployment_over(d->state) ? d : NULL;
}

const char *update_release_of(const struct update *u, uint64_t deployment)
{
	return u->current && u->current->id == deployment ? u->current->release : "";
}

const char *update_state_word(const struct update *u)
{
	const struct deployment *d = update_current(u);

	if (d)
		return deployment_state_word(d->state);
	return update_stale(u) ? "stale" : "idle";
}

const char *update_release(const struct update *u)
{
	return u->release;
}

const struct known_release *update_known(struct update *u, size_t *n)
{
	/* It has ended, and whoever was told so may ask before the engine's next step. */
	if (u->current && deployment_over(u->current->state))
		judge_again(u);
	*n = u->n_known;
	return u->known;
}

const struct node_identity *update_node(
	const struct update *u, size_t node, bool *present, int64_t *last_seen, struct error *last)
{
	const struct node_state *ns = &u->nodes[node];

	*present = ns->present;
	*last_seen = ns->last_seen;
	*last = ns->last;
	return &ns->identity;
}

bool update_boot_state(const struct update *u, struct boot_state *ret)
{
	struct error e = {0};

	return u->boot && boot_state(u->boot, ret, &e) == EF_REASON_OK;
}

bool update_slot_release(const struct update *u, enum slot_id s, char release[EF_VERSION_TEXT_MAX],
	uint8_t image[32])
{
	struct installed i;
	struct error e = {0};
	bool found = false;

	if (store_installed(u->store, slot_word(s), &i, &found, &e) || !found)
		return false;
	strcpy(release, i.release);
	memcpy(image, i.image, 32);
	return true;
}

const struct tuf *update_trust(const struct update *u)
{
	return u->tuf;
}

int64_t update_last_check(const struct update *u, struct error *e)
{
	*e = u->check_error;
	return u->last_check;
}
