/* SPDX-License-Identifier: Apache-2.0 */
/* Deployments begun, decided about and ended by hand. */
#include "update/internal.h"
#include <string.h>
#include <unistd.h>

void update_ask_as(struct update *u, const char *who)
{
	snprintf(u->asker, sizeof(u->asker), "%s", who ? who : "");
}

const char *update_asker(const struct update *u)
{
	return u->asker[0] ? u->asker : "itself";
}

void update_transfer(struct update *u, enum deployment_transfer transfer)
{
	u->transfer = transfer;
}

/* Of the one under way only: "ID TRANSFER". */
static enum ef_reason transfer_load(struct update *u, struct deployment *d, struct error *e)
{
	unsigned long long id = 0;
	unsigned transfer = 0;
	char text[64];

	if (store_get(u->store, "transfer", text, sizeof(text), e))
		return e->reason;
	if (sscanf(text, "%llu %u", &id, &transfer) == 2 && id == d->id &&
		transfer <= TRANSFER_PATCH)
		d->transfer = (enum deployment_transfer)transfer;
	return EF_REASON_OK;
}

/* Of the one under way only: "ID ITSELF LET-GO BY". */
enum ef_reason deployment_asked_save(struct update *u, const struct deployment *d, struct error *e)
{
	char text[128];

	snprintf(text, sizeof(text), "%llu %u", (unsigned long long)d->id, (unsigned)d->transfer);
	if (store_set(u->store, "transfer", text, e))
		return e->reason;
	snprintf(text, sizeof(text), "%llu %d %d %s", (unsigned long long)d->id, d->itself,
		d->let_go, d->by);
	return store_set(u->store, "asked", text, e);
}

enum ef_reason deployment_asked_load(struct update *u, struct deployment *d, struct error *e)
{
	unsigned long long id = 0;
	int itself = 0, let_go = 0, at = 0;
	char text[128];

	if (transfer_load(u, d, e))
		return e->reason;
	if (store_get(u->store, "asked", text, sizeof(text), e))
		return e->reason;
	if (sscanf(text, "%llu %d %d %n", &id, &itself, &let_go, &at) != 3 || id != d->id)
		return EF_REASON_OK; /* as if somebody had asked */
	d->itself = itself != 0;
	d->let_go = let_go != 0;
	snprintf(d->by, sizeof(d->by), "%s", text + at);
	return EF_REASON_OK;
}

static enum ef_reason may_begin(struct update *u, struct error *e)
{
	/* BUSY passes: it is no try that counts against the nodes */
	const struct error way = {EF_REASON_BUSY, "another deployment is wanted"};
	struct transition t;

	/* a look at what would be gives way to what is to be */
	dry_cancel(u, EF_REASON_BUSY, "a deployment begins");
	/* and so does what nobody asked for, until it activates something */
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
	return error_set(e, EF_REASON_BUSY, "deployment %llu is %s, asked for by %s",
		(unsigned long long)u->current->id, deployment_state_word(u->current->state),
		u->current->by[0] ? u->current->by : "somebody");
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
	strcpy(d->by, update_asker(u));
	d->itself = u->asker[0] == 0;
	d->transfer = u->transfer;
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

/* A version, "" the newest; or the address of a bundle. */
static struct deployment *wanted(struct update *u, const char *what, struct error *e)
{
	bool url = strstr(what, "://");
	struct deployment *d;

	if (!u->env.net) {
		error_set(e, EF_REASON_NOT_FOUND, "no source is configured");
		return NULL;
	}
	if (url && (!ipc_url_good(what) || strlen(what) >= sizeof(d->bundle)))
		error_set(e, EF_REASON_USAGE,
			"not the address of a file: https://HOST/PATH, without user and fragment");
	else if (!url && strlen(what) >= sizeof(d->wanted))
		error_set(e, EF_REASON_USAGE, "version");
	if (e->reason)
		return NULL;
	d = deployment_new(u, url ? ORIGIN_BUNDLE : ORIGIN_SOURCE, e);
	if (!d)
		return NULL;
	strcpy(url ? d->bundle : d->wanted, what);
	strcpy(d->release, d->wanted); /* so that a refusal names what was asked for */
	return d;
}

/* Takes over fd. */
static struct deployment *in_bundle(
	struct update *u, int fd, const char *name, struct bundle **bundle, struct error *e)
{
	char link[64];

	if (bundle_open(fd, name, bundle, e))
		return NULL;
	struct deployment *d = deployment_new(u, ORIGIN_BUNDLE, e);
	if (!d) {
		bundle_close(TAKE_PTR(*bundle));
		return NULL;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", bundle_fd(*bundle));
	ssize_t n = readlink(link, d->bundle, sizeof(d->bundle) - 1);
	d->bundle[n > 0 ? n : 0] = 0;
	return d;
}

enum ef_reason update_install(struct update *u, const char *what, uint64_t *id, struct error *e)
{
	struct deployment *d = may_begin(u, e) ? NULL : wanted(u, what ? what : "", e);

	return d ? begin(u, d, id, e) : e->reason;
}

enum ef_reason update_install_bundle(
	struct update *u, int fd, const char *name, uint64_t *id, struct error *e)
{
	_cleanup_close_ int file = fd;
	struct bundle *bundle = NULL;

	if (may_begin(u, e))
		return e->reason;
	struct deployment *d = in_bundle(u, TAKE_FD(file), name, &bundle, e);
	if (!d)
		note_refusal(u, "", e);
	if (!d || begin(u, d, id, e)) {
		bundle_close(bundle);
		return e->reason;
	}
	u->bundle = bundle;
	return EF_REASON_OK;
}

/* One at a time, and none beside a deployment: both ask the nodes and the source. */
static enum ef_reason may_plan(struct update *u, struct error *e)
{
	if (u->current && u->current->dry)
		return error_set(e, EF_REASON_BUSY, "another plan is being made");
	return may_begin(u, e);
}

enum ef_reason update_plan(
	struct update *u, const char *what, update_plan_done done, void *ctx, struct error *e)
{
	struct deployment *d = may_plan(u, e) ? NULL : wanted(u, what, e);

	if (d)
		dry_begin(u, d, done, ctx);
	return e->reason;
}

enum ef_reason update_plan_bundle(struct update *u, int fd, const char *name, update_plan_done done,
	void *ctx, struct error *e)
{
	_cleanup_close_ int file = fd;
	struct bundle *bundle = NULL;
	struct deployment *d =
		may_plan(u, e) ? NULL : in_bundle(u, TAKE_FD(file), name, &bundle, e);

	if (d) {
		dry_begin(u, d, done, ctx);
		u->bundle = bundle;
	}
	return e->reason;
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

static enum ef_reason begin_catch_up(struct update *u, uint64_t *id, struct error *e)
{
	struct deployment *d = may_begin(u, e) ? NULL : deployment_new(u, ORIGIN_CATCH_UP, e);

	if (!d)
		return e->reason;
	strcpy(d->wanted, u->release);
	strcpy(d->release, u->release);
	return begin(u, d, id, e);
}

enum ef_reason update_catch_up(struct update *u, uint64_t *id, struct error *e)
{
	update_ask_as(u, NULL);
	update_transfer(u, TRANSFER_BEST);
	return begin_catch_up(u, id, e);
}

enum ef_reason update_flash(struct update *u, uint64_t *id, struct error *e)
{
	if (!u->release[0])
		return error_set(e, EF_REASON_NOT_FOUND, "no release was installed here");
	return begin_catch_up(u, id, e);
}

static enum ef_reason by_hand(struct update *u, enum deployment_event ev, enum ef_reason why,
	const char *what, struct error *e)
{
	struct transition t;
	struct error cause = {0};

	if (!update_current(u))
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
