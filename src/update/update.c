/* SPDX-License-Identifier: Apache-2.0 */
#include "update/internal.h"
#include "util/fdio.h"
#include "util/log.h"
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
	if (u->current && !deployment_over(u->current->state)) {
		if (!statement_halts(u))
			advance[u->current->state](u);
		return 0;
	}
	if (u->current) {
		judge_again(u);
		u->current = deployment_free(u->current);
		bundle_close(TAKE_PTR(u->bundle));
	}
	desired_advance(u);
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
		statement_open(u, e) || open_boot(u, e))
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

enum ef_reason update_new(struct update **ret, const struct update_env *env, struct error *e)
{
	struct update *u = calloc(1, sizeof(*u));

	if (!u)
		return error_set(e, EF_REASON_NO_MEMORY, "update");
	u->env = *env;
	if (!u->env.synchronised)
		u->env.synchronised = clock_is_synchronised;
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
	look_clear(u);
	reader_cancel(u);
	run_reset(u);
	while (u->fetches)
		fetch_free(u->fetches);
	sd_event_source_disable_unref(u->kick);
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
static void note_refusal(struct update *u, const char *version, const struct error *e)
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

/* --- beginning a deployment, and ending one by hand --- */

static enum ef_reason may_begin(struct update *u, struct error *e)
{
	struct error way = {EF_REASON_CANCELLED, "another deployment is wanted"};
	struct transition t;

	if (u->current && u->current->origin == ORIGIN_CATCH_UP &&
		machine_next(u->current->state, EVENT_CANCEL, &t))
		deployment_move(u, EVENT_CANCEL, &way, NULL);
	if (u->current && deployment_over(u->current->state)) {
		u->current = deployment_free(u->current);
		bundle_close(TAKE_PTR(u->bundle));
	}
	if (!u->current)
		return u->rebooting ? error_set(e, EF_REASON_BUSY, "restarting") : EF_REASON_OK;
	if (u->current->state == DEPLOYMENT_TRIAL)
		return error_set(e, EF_REASON_TRIAL_RUNNING, "release %s", u->current->release);
	return error_set(e, EF_REASON_BUSY, "deployment %llu is %s",
		(unsigned long long)u->current->id, deployment_state_word(u->current->state));
}

static struct deployment *deployment_new(
	struct update *u, enum deployment_origin origin, struct error *e)
{
	struct deployment *d = calloc(1, sizeof(*d));

	if (!d) {
		error_set(e, EF_REASON_NO_MEMORY, "deployment");
		return NULL;
	}
	d->origin = origin;
	d->state = DEPLOYMENT_OFFERED;
	d->started = update_stamp(u);
	strcpy(d->before, u->release);
	return d;
}

static enum ef_reason begin(struct update *u, struct deployment *d, uint64_t *id, struct error *e)
{
	if (deployment_begin(u, d, e)) {
		note_refusal(u, d->wanted, e);
		deployment_free(d);
		return e->reason;
	}
	*id = d->id;
	return EF_REASON_OK;
}

enum ef_reason update_install(struct update *u, const char *version, uint64_t *id, struct error *e)
{
	if (may_begin(u, e))
		return e->reason;
	if (!u->env.net)
		return error_set(e, EF_REASON_NOT_FOUND, "no source is configured");
	if (version && strlen(version) >= EF_VERSION_TEXT_MAX)
		return error_set(e, EF_REASON_USAGE, "version");
	struct deployment *d = deployment_new(u, ORIGIN_SOURCE, e);
	if (!d)
		return e->reason;
	strcpy(d->wanted, version ? version : "");
	strcpy(d->release, d->wanted); /* so that a refusal names what was asked for */
	return begin(u, d, id, e);
}

enum ef_reason update_install_bundle(
	struct update *u, int fd, const char *name, uint64_t *id, struct error *e)
{
	_cleanup_close_ int file = fd;
	struct bundle *bundle = NULL;
	char link[64];

	if (may_begin(u, e))
		return e->reason;
	if (bundle_open(TAKE_FD(file), name, &bundle, e)) {
		note_refusal(u, "", e);
		return e->reason;
	}
	struct deployment *d = deployment_new(u, ORIGIN_BUNDLE, e);
	if (!d) {
		bundle_close(bundle);
		return e->reason;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", bundle_fd(bundle));
	ssize_t n = readlink(link, d->bundle, sizeof(d->bundle) - 1);
	d->bundle[n > 0 ? n : 0] = 0;
	if (begin(u, d, id, e)) {
		bundle_close(bundle);
		return e->reason;
	}
	u->bundle = bundle;
	return EF_REASON_OK;
}

enum ef_reason update_install_url(struct update *u, const char *url, uint64_t *id, struct error *e)
{
	struct deployment *d;

	if (may_begin(u, e))
		return e->reason;
	if (!u->env.net)
		return error_set(e, EF_REASON_NOT_FOUND, "no source is configured");
	if (!ipc_url_good(url) || strlen(url) >= sizeof(d->bundle))
		return error_set(e, EF_REASON_USAGE,
			"not the address of a file: https://HOST/PATH, without user and fragment");
	d = deployment_new(u, ORIGIN_BUNDLE, e);
	if (!d)
		return e->reason;
	strcpy(d->bundle, url);
	return begin(u, d, id, e);
}

enum ef_reason update_rollback(struct update *u, uint64_t *id, struct error *e)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct deployment *before = NULL;
	size_t size;

	if (may_begin(u, e) ||
		store_deployment_before(u->store, u->release, &before, &bytes, &size, e))
		return e->reason;
	struct deployment *d = deployment_new(u, ORIGIN_ROLLBACK, e);
	if (d)
		strcpy(d->wanted, before->release);
	deployment_free(before);
	return d ? begin(u, d, id, e) : e->reason;
}

enum ef_reason update_catch_up(struct update *u, uint64_t *id, struct error *e)
{
	if (may_begin(u, e))
		return e->reason;
	struct deployment *d = deployment_new(u, ORIGIN_CATCH_UP, e);
	if (!d)
		return e->reason;
	strcpy(d->wanted, u->release);
	strcpy(d->release, u->release);
	return begin(u, d, id, e);
}

static enum ef_reason by_hand(struct update *u, enum deployment_event ev, enum ef_reason why,
	const char *what, struct error *e)
{
	struct transition t;
	struct error cause = {0};

	if (!u->current || deployment_over(u->current->state))
		return error_set(e, EF_REASON_NOT_FOUND, "no deployment is under way");
	if (ev == EVENT_CANCEL && machine_next(u->current->state, EVENT_REJECT, &t))
		return error_set(e, EF_REASON_TRIAL_RUNNING,
			"deployment %llu of release %s is %s and can only be rejected",
			(unsigned long long)u->current->id, u->current->release,
			deployment_state_word(u->current->state));
	if (u->rebooting || !machine_next(u->current->state, ev, &t))
		return error_set(e, EF_REASON_BUSY, "deployment %llu is %s and cannot be %s now",
			(unsigned long long)u->current->id,
			deployment_state_word(u->current->state), what);
	error_set(&cause, why, "by hand");
	if (!deployment_move(u, ev, &cause, NULL))
		return error_set(e, EF_REASON_IO, "not stored");
	return EF_REASON_OK;
}

enum ef_reason update_cancel(struct update *u, struct error *e)
{
	return by_hand(u, EVENT_CANCEL, EF_REASON_CANCELLED, "cancelled", e);
}

enum ef_reason update_confirm(struct update *u, struct error *e)
{
	return by_hand(u, EVENT_CONFIRM, EF_REASON_OK, "confirmed", e);
}

enum ef_reason update_reject(struct update *u, struct error *e)
{
	return by_hand(u, EVENT_REJECT, EF_REASON_REJECTED, "rejected", e);
}
