/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a source: metadata by TUF, then the newest release manifests; and what they mean here.
 */
#include "update/internal.h"
#include "util/json.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define ROLE "releases"

static void pump(struct update *u);
static void next_manifest(struct update *u);

void known_clear(struct known_release *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		manifest_free(list[i].manifest);
		free(list[i].bytes);
	}
	free(list);
}

void look_clear(struct update *u)
{
	struct look *l = &u->look;
	struct tuf_request request;

	if (l->phase != LOOK_IDLE) {
		struct error e = {.reason = EF_REASON_CANCELLED};
		reader_cancel(u);
		if (tuf_next(u->tuf, &request))
			tuf_feed_error(u->tuf, &e);
	}
	for (size_t i = 0; i < l->n; i++) {
		manifest_free(l->list[i].known.manifest);
		free(l->list[i].known.bytes);
	}
	free(l->list);
	*l = (struct look){.phase = LOOK_IDLE};
}

static void look_end(struct update *u, const struct error *e)
{
	void (*done)(struct update * u, const struct error *e) = u->look.done;
	struct error copy = *e, why = {0};

	u->look.phase = LOOK_IDLE;
	u->look.done = NULL;
	/* as of a false time something has expired: that moves no bound (S-19) */
	if (u->look.online && copy.reason == EF_REASON_OK &&
		statement_in_force(u, &why) != EF_REASON_EXPIRED)
		trust_note(u, u->look.now);
	done(u, &copy);
	if (u->look.phase == LOOK_IDLE) /* else whoever was answered looks again */
		look_clear(u);
	update_kick(u);
}

static bool custom_matches(const struct tuf_target *t, const char *product, struct known_release *k)
{
	const char *word, *version;
	uint64_t sequence;

	if (!t->custom || !json_get_string(t->custom, "product", &word) ||
		strcmp(word, product) != 0 || !json_get_string(t->custom, "version", &version) ||
		strlen(version) >= sizeof(k->version) ||
		!json_get_uint(t->custom, "sequence", &sequence) ||
		!json_get_string(t->custom, "kind", &word))
		return false;
	strcpy(k->version, version);
	k->sequence = sequence;
	k->kind =
		strcmp(word, release_kind_word(KIND_SECURITY)) == 0 ? KIND_SECURITY : KIND_FEATURE;
	return true;
}

static int on_target(void *ctx, const struct tuf_target *t)
{
	struct update *u = ctx;
	struct look *l = &u->look;
	struct look_release r = {.target = *t};

	if (!custom_matches(t, u->env.config->product, &r.known) || !t->has_sha256)
		return 0;
	snprintf(r.path, sizeof(r.path), "%s", t->path);
	memcpy(r.known.manifest_sha256, t->sha256, 32);
	r.target.custom = NULL; /* borrowed */
	struct look_release *list = reallocarray(l->list, l->n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	l->list = list;
	list[l->n++] = r;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct look_release *x = a, *y = b;

	return x->known.sequence < y->known.sequence   ? 1
	       : x->known.sequence > y->known.sequence ? -1
						       : 0;
}

static void list_releases(struct update *u)
{
	struct look *l = &u->look;
	struct error e = {0};

	int r = tuf_list(u->tuf, ROLE, on_target, u);
	if (r < 0) {
		error_errno(&e, r, "releases");
		look_end(u, &e);
		return;
	}
	if (l->n > 0)
		qsort(l->list, l->n, sizeof(*l->list), newest_first);
	if (l->n > RELEASES_MAX)
		l->n = RELEASES_MAX;
	l->at = 0;
	next_manifest(u);
}

/* The bytes are what was signed for. What they say must be what was said of them. */
static void take_manifest(struct update *u, const uint8_t *data, size_t size)
{
	struct look_release *r = &u->look.list[u->look.at];
	struct known_release *k = &r->known;
	struct manifest *m = NULL;

	if (tuf_target_check(&r->target, data, size, &k->error) ||
		manifest_parse(data, size, &m, &k->error))
		return;
	if (strcmp(m->version, k->version) != 0 || m->sequence != k->sequence ||
		m->kind != k->kind || strcmp(m->product, u->env.config->product) != 0) {
		error_set(&k->error, EF_REASON_BAD_FORMAT,
			"the manifest of %s is not what its metadata says", k->version);
		manifest_free(m);
		return;
	}
	k->bytes = malloc(size);
	if (!k->bytes) {
		manifest_free(m);
		error_set(&k->error, EF_REASON_NO_MEMORY, "manifest");
		return;
	}
	memcpy(k->bytes, data, size);
	k->size = size;
	k->manifest = m;
}

static void drop(struct look *l, size_t i)
{
	memmove(&l->list[i], &l->list[i + 1], (l->n - i - 1) * sizeof(*l->list));
	l->n--;
}

static void on_manifest(struct update *u, const uint8_t *data, size_t size, const struct error *e)
{
	struct look *l = &u->look;

	if (e->reason == EF_REASON_NOT_FOUND && !l->online) {
		drop(l, l->at); /* the bundle is of other releases */
		next_manifest(u);
		return;
	}
	if (e->reason != EF_REASON_OK && e->reason != EF_REASON_NOT_FOUND) {
		look_end(u, e);
		return;
	}
	if (e->reason == EF_REASON_OK)
		take_manifest(u, data, size);
	else
		l->list[l->at].known.error = *e;
	l->at++;
	next_manifest(u);
}

static void fetch_manifest(struct update *u)
{
	struct look *l = &u->look;
	struct look_release *r = &l->list[l->at];
	char file[600], path[640];

	/* the walk of delegations decides who speaks for the path, not the role that listed it */
	if (tuf_found(u->tuf, &r->target, &r->known.error)) {
		l->at++;
		next_manifest(u);
		return;
	}
	r->target.custom = NULL;
	memcpy(r->known.manifest_sha256, r->target.sha256, 32);
	if (r->target.length > MANIFEST_SIZE_MAX) {
		error_set(&r->known.error, EF_REASON_BAD_SIZE, "manifest of %s", r->known.version);
		l->at++;
		next_manifest(u);
		return;
	}
	tuf_target_file(&r->target, file, sizeof(file));
	snprintf(path, sizeof(path), "targets/%s", file);
	l->phase = LOOK_MANIFEST;
	reader_start(u, l->online, path, r->target.length, on_manifest);
}

/* What is held is shown as well, but takes no room from what may go. A bundle holds few of the
 * releases that its metadata names. */
static bool wants_manifest(struct update *u, const struct known_release *k)
{
	struct look *l = &u->look;
	struct error why = {0};

	if (!l->online)
		return true;
	bool held = statement_judge(u, k->version, k->sequence, &why) != EF_REASON_OK;
	return l->fetched[held]++ < MANIFESTS_MAX;
}

static void next_manifest(struct update *u)
{
	struct look *l = &u->look;
	struct error e = {0};

	while (l->at < l->n && !wants_manifest(u, &l->list[l->at].known))
		l->at++;
	if (l->at >= l->n) {
		look_end(u, &e);
		return;
	}
	l->phase = LOOK_FIND;
	if (tuf_find(u->tuf, l->list[l->at].path, &e))
		look_end(u, &e);
	else
		pump(u);
}

static void load_releases(struct update *u)
{
	struct error e = {0};

	u->look.phase = LOOK_ROLE;
	if (u->look.wanted == LOOK_FOR_STATEMENT || tuf_load_role(u->tuf, ROLE, &e))
		look_end(u, &e);
	else
		pump(u);
}

/* Whatever is wrong with a statement holds everything; that it could not be had ends the look. */
static void statement_failed(struct update *u, const struct error *e)
{
	if (reason_passes(e->reason)) {
		look_end(u, e);
		return;
	}
	statement_refuse(u, e);
	load_releases(u);
}

static void on_statement(struct update *u, const uint8_t *data, size_t size, const struct error *e)
{
	if (e->reason != EF_REASON_OK) {
		statement_failed(u, e);
		return;
	}
	statement_take(u, &u->look.statement, data, size);
	load_releases(u);
}

static void fetch_statement(struct update *u)
{
	struct tuf_target *t = &u->look.statement;
	char file[TUF_TARGET_FILE_MAX], path[TUF_TARGET_FILE_MAX + 16];
	struct error e = {0};

	if (tuf_found(u->tuf, t, &e) == EF_REASON_OK && t->length > ROLLOUT_SIZE_MAX)
		error_set(&e, EF_REASON_BAD_SIZE, "%s", t->path);
	if (e.reason) {
		statement_failed(u, &e);
		return;
	}
	t->custom = NULL; /* borrowed */
	tuf_target_file(t, file, sizeof(file));
	snprintf(path, sizeof(path), "targets/%s", file);
	reader_start(u, true, path, t->length, on_statement);
}

/* Before anything is looked for: a halt must get through whatever is wrong with releases. */
static void find_statement(struct update *u)
{
	char path[ROLLOUT_TARGET_MAX];
	struct error e = {0};
	bool expected = false;

	if (u->look.online && statement_expected(u, &expected, &e)) {
		look_end(u, &e);
		return;
	}
	if (!expected) {
		load_releases(u);
		return;
	}
	u->look.phase = LOOK_STATEMENT;
	rollout_target(u->env.config->product, path);
	if (tuf_find(u->tuf, path, &e))
		look_end(u, &e);
	else
		pump(u);
}

static void operation_over(struct update *u)
{
	struct error e = {0};
	enum ef_reason r = tuf_result(u->tuf, &e);

	if (u->look.phase == LOOK_STATEMENT)
		fetch_statement(u);
	/* an error here is one release's, unless metadata could not be had */
	else if (u->look.phase == LOOK_FIND && !reason_passes(r))
		fetch_manifest(u);
	else if (r != EF_REASON_OK)
		look_end(u, &e);
	else if (u->look.phase == LOOK_REFRESH)
		find_statement(u);
	else
		list_releases(u);
}

static void on_metadata(struct update *u, const uint8_t *data, size_t size, const struct error *e)
{
	u->look.reached = u->look.reached || e->reason == EF_REASON_OK;
	if (e->reason == EF_REASON_OK)
		tuf_feed(u->tuf, data, size);
	else if (e->reason == EF_REASON_NOT_FOUND)
		tuf_feed_absent(u->tuf);
	else
		tuf_feed_error(u->tuf, e);
	pump(u);
}

static void pump(struct update *u)
{
	struct tuf_request request;
	char path[540];

	if (!tuf_next(u->tuf, &request)) {
		operation_over(u);
		return;
	}
	snprintf(path, sizeof(path), "metadata/%s", request.name);
	reader_start(u, u->look.online, path, request.max_size, on_metadata);
}

void look_start(struct update *u, enum look_for wanted,
	void (*done)(struct update *u, const struct error *e))
{
	bool online = wanted != LOOK_IN_BUNDLE;
	struct error e = {0};

	look_clear(u);
	u->look = (struct look){.phase = LOOK_REFRESH,
		.wanted = wanted,
		.online = online,
		.done = done,
		.now = update_now(u)};
	if (trust_open(u, &e) ||
		tuf_refresh(u->tuf, online ? TUF_ONLINE : TUF_OFFLINE, u->look.now, &e))
		look_end(u, &e);
	else
		pump(u);
}

/* --- what a release means here --- */

static uint32_t floor_of(void *ctx, const char *compatible)
{
	struct update *u = ctx;
	struct error e = {0};
	uint32_t floor = 0;

	/* a floor that cannot be read lets nothing pass */
	return store_floor(u->store, compatible, &floor, &e) ? UINT32_MAX : floor;
}

static bool installed_version(void *ctx, const char *component, struct ef_version *ret)
{
	struct update *u = ctx;
	struct error e = {0};
	char text[EF_VERSION_TEXT_MAX];

	return store_installed_version(u->store, component, text, &e) == EF_REASON_OK &&
	       ef_version_parse(text, ret);
}

static uint64_t slot_size(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	uint64_t size = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	if (S_ISBLK(st.st_mode))
		return ioctl(fd, BLKGETSIZE64, &size) < 0 ? 0 : size;
	return (uint64_t)st.st_size;
}

/* What cannot be read is not taken for absent: a release would go without its root filesystem. */
static enum ef_reason look_at_slots(struct update *u, struct plan_gateway *g, struct error *e)
{
	struct boot_state boot;
	struct installed installed = {0};

	if (!u->boot)
		return EF_REASON_OK;
	if (update_boot(u, &boot, e) ||
		store_installed(u->store, slot_word(boot.running), &installed, &g->known, e))
		return e->reason;
	g->slots = true;
	g->running = boot.running;
	g->target = slot_other(boot.running);
	for (enum slot_id s = SLOT_A; s <= SLOT_B; s++)
		g->slot_size[s] = slot_size(update_slot_path(u, s));
	g->boots = u->env.config->boot_a != NULL;
	for (enum slot_id s = SLOT_A; g->boots && s <= SLOT_B; s++)
		g->boot_size[s] = slot_size(update_boot_path(u, s));
	memcpy(g->running_image, installed.image, 32);
	strcpy(g->running_version, installed.version);
	return EF_REASON_OK;
}

enum ef_reason admit_prepare(struct update *u, struct plan_gateway *g, struct admit_input *in,
	bool going_back, struct error *e)
{
	struct error unreadable = {0};
	char text[32];

	*g = (struct plan_gateway){.config = u->env.config,
		.running = SLOT_NONE,
		.target = SLOT_NONE,
		.protocol_min = NODE_PROTOCOL_MIN,
		.protocol_max = NODE_PROTOCOL_MAX};
	*in = (struct admit_input){
		.gateway = g,
		.going_back = going_back,
		.ctx = u,
		.floor = floor_of,
		.installed = installed_version,
	};
	/* unreadable: the highest there is, so that nothing counts as newer (S-14) */
	if (store_get(u->store, "sequence", text, sizeof(text), &unreadable))
		in->sequence = UINT64_MAX;
	else
		in->sequence = strtoull(text, NULL, 10);
	return look_at_slots(u, g, e);
}

enum ef_reason look_judge(struct update *u, struct known_release *k, bool remember, struct error *e)
{
	struct plan_gateway g;
	struct admit_input in;
	struct error why = {0};
	bool found;

	k->installed = strcmp(k->version, update_release(u)) == 0;
	k->held = !k->installed && statement_judge(u, k->version, k->sequence, &why);
	k->placed = statement_share(u, k->version, k->sequence, &k->share, &k->place);
	if (k->error.reason != EF_REASON_OK)
		return EF_REASON_OK;
	if (admit_prepare(u, &g, &in, false, &k->error))
		return EF_REASON_OK;
	if (k->sequence < in.sequence) {
		error_set(&k->error, EF_REASON_DOWNGRADE,
			"sequence %" PRIu64 ", %" PRIu64 " was installed", k->sequence,
			in.sequence);
		k->held = false; /* and never comes */
		return EF_REASON_OK;
	}
	if (k->held) {
		k->error = why;
		return EF_REASON_OK;
	}
	if (!k->manifest) {
		error_set(&k->error, EF_REASON_HELD, "a newer release is offered");
		return EF_REASON_OK;
	}
	if (plan_admit(k->manifest, &in, &k->error) || !remember || k->installed)
		return EF_REASON_OK;
	if (store_refused(u->store, k->manifest_sha256, &found, &why, e))
		return e->reason;
	if (found)
		k->error = why;
	return EF_REASON_OK;
}

const struct known_release *look_candidate(
	const struct known_release *list, size_t n, const struct known_release **refused)
{
	*refused = NULL;
	for (size_t i = 0; i < n && !list[i].installed; i++) {
		if (list[i].error.reason == EF_REASON_OK)
			return &list[i];
		if (!*refused)
			*refused = &list[i];
		if (!list[i].held)
			break;
	}
	return NULL;
}
