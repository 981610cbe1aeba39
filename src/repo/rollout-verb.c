/* SPDX-License-Identifier: Apache-2.0 */
/* rollout …: the statement of which share of the fleet may take a release. */
#include "repo/rollout-verb.h"
#include "repo/metadata.h"
#include "repo/release.h"
#include "repo/verbs.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include "util/time-util.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#define DAYS_DEFAULT 3u
#define DAYS_MAX 30u /* short-lived: an attacker who cuts off the network holds back this long */

/* The newest statement; counter 0 when there is none yet. document is the role's metadata. */
static enum ef_reason load_statement(
	const struct workspace *w, const json_t *document, struct rollout *ret, struct error *e)
{
	char target[ROLLOUT_TARGET_MAX], file[RELEASE_PATH_MAX];
	_cleanup_free_ uint8_t *data = NULL;
	uint8_t digest[32], want[32];
	size_t size;

	memset(ret, 0, sizeof(*ret));
	snprintf(ret->product, sizeof(ret->product), "%s", workspace_product(w));
	rollout_target(ret->product, target);
	const json_t *entry = json_object_get(
		json_object_get(json_object_get(document, "signed"), "targets"), target);
	if (!entry)
		return EF_REASON_OK;
	enum ef_reason r = release_file(target, entry, file, e);
	if (r)
		return r;
	int n = file_read_at(w->fd, file, ROLLOUT_SIZE_MAX, &data, &size);
	if (n < 0)
		return error_errno(e, n, "%s/%s", w->path, file);
	json_get_digest(json_object_get(entry, "hashes"), "sha256", want);
	if (EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) != 1 ||
		memcmp(digest, want, sizeof(want)) != 0)
		return error_set(e, EF_REASON_BAD_DIGEST, "%s/%s", w->path, file);
	return rollout_parse(data, size, ret->product, ret, e);
}

enum ef_reason rollout_newest(const struct workspace *w, struct rollout *ret, struct error *e)
{
	_cleanup_json_ json_t *document = NULL;
	struct error none = {0};
	enum ef_reason r = metadata_newest(w, ROLE_ROLLOUTS, &document, &none);

	if (r && r != EF_REASON_NOT_FOUND)
		return error_set(e, r, "%s", none.detail);
	return load_statement(w, document, ret, e);
}

static json_t *statement_json(const struct rollout *s)
{
	char expires[21];
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_releases; i++) {
		const struct rollout_release *x = &s->releases[i];
		json_array_append_new(
			list, json_pack("{s:s, s:I, s:i, s:s, s:b}", "version", x->version,
				      "sequence", (json_int_t)x->sequence, "share", (int)x->share,
				      "salt", x->salt, "halted", x->halted));
	}
	return json_pack("{s:i, s:s, s:I, s:s, s:o}", "schema", 1, "product", s->product, "counter",
		(json_int_t)s->counter, "expires", time_format_utc(s->expires, expires), "releases",
		list);
}

static enum ef_reason write_target(
	const struct workspace *w, const char *file, const char *text, struct error *e)
{
	_cleanup_free_ char *path = NULL, *dir = NULL;

	if (asprintf(&path, "%s/%s", w->path, file) < 0 ||
		asprintf(&dir, "%s/targets/rollouts", w->path) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", file);
	int r = dir_make(dir, 0755);
	if (r == 0)
		r = atomic_file_write(path, text, strlen(text), 0644);
	return r < 0 ? error_errno(e, r, "%s", path) : EF_REASON_OK;
}

/* The statement as the one target of the role's next version. */
static enum ef_reason store_statement(
	const struct workspace *w, const struct rollout *s, struct error *e)
{
	_cleanup_json_ json_t *body = NULL, *json = statement_json(s);
	_cleanup_free_ char *text = json ? json_file_text(json) : NULL;
	_cleanup_free_ struct rollout *check = calloc(1, sizeof(*check));
	char target[ROLLOUT_TARGET_MAX], file[RELEASE_PATH_MAX], hex[DIGEST_HEX_MAX];
	uint8_t digest[32];

	if (!text || !check)
		return error_set(e, EF_REASON_NO_MEMORY, "rollout statement");
	/* What a gateway would not take is not signed. */
	enum ef_reason r = rollout_parse(text, strlen(text), s->product, check, e);
	if (!r && EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
		r = error_set(e, EF_REASON_INTERNAL, "SHA-256 failed");
	if (r)
		return r;
	rollout_target(s->product, target);
	_cleanup_json_ json_t *targets = json_pack("{s:{s:I, s:{s:s}}}", target, "length",
		(json_int_t)strlen(text), "hashes", "sha256", digest_hex(digest, hex));
	r = release_file(target, json_object_get(targets, target), file, e);
	if (!r)
		r = write_target(w, file, text, e);
	if (!r)
		r = metadata_edit(w, ROLE_ROLLOUTS, &body, e);
	if (!r && json_object_set(body, "targets", targets) < 0)
		r = error_set(e, EF_REASON_NO_MEMORY, "%s", target);
	return r ? r : metadata_store(w, ROLE_ROLLOUTS, body, e);
}

/* A release is one that release keys have signed, whatever is said here. */
static enum ef_reason find_sequence(
	const struct workspace *w, const char *version, uint64_t *ret, struct error *e)
{
	_cleanup_json_ json_t *releases = NULL;
	char target[RELEASE_PATH_MAX];
	enum ef_reason r = metadata_current(w, ROLE_RELEASES, &releases, e);

	if (r)
		return r;
	release_target(workspace_product(w), version, target);
	const json_t *entry = json_object_get(
		json_object_get(json_object_get(releases, "signed"), "targets"), target);
	if (!json_get_uint(json_object_get(entry, "custom"), "sequence", ret))
		return error_set(e, EF_REASON_NOT_FOUND, "no release %s is signed", version);
	return EF_REASON_OK;
}

/* "25" or "2.5" percent in parts per thousand */
static enum ef_reason read_share(const char *text, unsigned *ret, struct error *e)
{
	unsigned percent, tenths = 0;
	char end;

	if (text && strspn(text, "0123456789.") == strlen(text) && strlen(text) <= 5) {
		int n = sscanf(text, "%3u.%1u%c", &percent, &tenths, &end);
		bool whole = !strchr(text, '.');
		if (n == (whole ? 1 : 2) && percent * 10 + tenths <= ROLLOUT_WHOLE &&
			(!whole || sscanf(text, "%3u%c", &percent, &end) == 1)) {
			*ret = percent * 10 + tenths;
			return EF_REASON_OK;
		}
	}
	return error_set(e, EF_REASON_USAGE, "--share %s: 0 to 100, with one decimal at most",
		text ? text : "is needed:");
}

static enum ef_reason make_salt(
	const char *version, char out[ROLLOUT_SALT_MAX + 1], struct error *e)
{
	uint8_t random[8];
	char hex[17];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return error_set(e, EF_REASON_INTERNAL, "no random numbers");
	/* The version in it, so that no two releases can be given the same by hand. */
	int n = snprintf(out, ROLLOUT_SALT_MAX + 1, "r%s-%s", version,
		hex_encode(random, sizeof(random), hex));
	for (int i = 0; i < n; i++)
		if (out[i] == '+')
			out[i] = '_';
	return EF_REASON_OK;
}

/* Room for one more: the release that is furthest behind goes. */
static struct rollout_release *new_release(struct rollout *s)
{
	if (s->n_releases == ROLLOUT_RELEASES_MAX) {
		size_t oldest = 0;
		for (size_t i = 1; i < s->n_releases; i++)
			if (s->releases[i].sequence < s->releases[oldest].sequence)
				oldest = i;
		memmove(&s->releases[oldest], &s->releases[oldest + 1],
			(s->n_releases - oldest - 1) * sizeof(s->releases[0]));
		s->n_releases--;
	}
	return &s->releases[s->n_releases++];
}

struct rollout_options {
	const char *share, *salt;
	uint64_t days;
	bool resume;
};

static enum ef_reason add_release(const struct workspace *w, struct rollout *s, const char *version,
	const struct rollout_options *o, unsigned share, struct error *e)
{
	struct rollout_release one = {.share = share};
	enum ef_reason r = find_sequence(w, version, &one.sequence, e);

	snprintf(one.version, sizeof(one.version), "%s", version);
	if (!r && o->salt && !rollout_salt_valid(o->salt))
		r = error_set(e, EF_REASON_USAGE, "--salt: 8 to 64 of A-Z, a-z, 0-9, . _ and -");
	if (!r && o->salt)
		snprintf(one.salt, sizeof(one.salt), "%s", o->salt);
	else if (!r)
		r = make_salt(version, one.salt, e);
	for (size_t i = 0; i < s->n_releases && !r; i++)
		if (strcmp(s->releases[i].salt, one.salt) == 0)
			r = error_set(e, EF_REASON_USAGE,
				"--salt: %s has it already; each release has its own",
				s->releases[i].version);
	if (!r)
		*new_release(s) = one;
	return r;
}

static enum ef_reason change_release(
	struct rollout_release *x, const struct rollout_options *o, unsigned share, struct error *e)
{
	if (o->salt && strcmp(o->salt, x->salt) != 0)
		return error_set(e, EF_REASON_USAGE, "--salt: that of a release never changes");
	if (share < x->share)
		return error_set(e, EF_REASON_USAGE,
			"%s is at %u.%u %%: a share never shrinks; 'rollout halt' stops it",
			x->version, x->share / 10, x->share % 10);
	if (x->halted && !o->resume)
		return error_set(
			e, EF_REASON_USAGE, "%s is halted: --resume lets it go on", x->version);
	x->share = share;
	x->halted = false;
	return EF_REASON_OK;
}

static enum ef_reason set_release(const struct workspace *w, struct rollout *s, const char *version,
	const struct rollout_options *o, struct error *e)
{
	struct rollout_release *x = (struct rollout_release *)rollout_find(s, version);
	unsigned share = 0;
	enum ef_reason r = read_share(o->share, &share, e);

	if (r)
		return r;
	return x ? change_release(x, o, share, e) : add_release(w, s, version, o, share, e);
}

/* At any share, at once, and also what no statement has named yet: everything else waits for it. */
static enum ef_reason halt_release(const struct workspace *w, struct rollout *s,
	const char *version, const struct rollout_options *o, struct error *e)
{
	struct rollout_release *x = (struct rollout_release *)rollout_find(s, version);
	enum ef_reason r = x ? EF_REASON_OK : add_release(w, s, version, o, 0, e);

	x = (struct rollout_release *)rollout_find(s, version);
	if (!r)
		x->halted = true;
	return r;
}

static enum ef_reason keep_releases(const struct workspace *w, struct rollout *s,
	const char *version, const struct rollout_options *o, struct error *e)
{
	return s->counter > 0 ? EF_REASON_OK
			      : error_set(e, EF_REASON_NOT_FOUND, "there is no statement yet");
}

static enum ef_reason change_statement(const struct workspace *w, const char *version,
	const struct rollout_options *o,
	enum ef_reason (*change)(const struct workspace *w, struct rollout *s, const char *version,
		const struct rollout_options *o, struct error *e),
	struct error *e)
{
	_cleanup_free_ struct rollout *s = calloc(1, sizeof(*s));
	bool complete;

	if (!s)
		return error_set(e, EF_REASON_NO_MEMORY, "rollout statement");
	if (o->days == 0 || o->days > DAYS_MAX)
		return error_set(e, EF_REASON_USAGE, "--days: 1 to %u", DAYS_MAX);
	if (!workspace_role(w, role_names[ROLE_ROLLOUTS]))
		return error_set(e, EF_REASON_NOT_FOUND,
			"this workspace has no role rollouts: 'rotate rollouts' makes it");
	enum ef_reason r = rollout_newest(w, s, e);
	if (!r)
		r = change(w, s, version, o, e);
	if (r)
		return r;
	s->counter++;
	s->expires = w->now + (int64_t)o->days * 86400;
	r = store_statement(w, s, e);
	return r ? r : metadata_sign_all(w, &complete, e);
}

enum ef_reason verb_rollout_set(struct invocation *i, struct error *e)
{
	struct rollout_options o = {.days = DAYS_DEFAULT};
	const struct option options[] = {
		{"share", OPTION_TEXT, &o.share, "PERCENT", "of the fleet: 25, 2.5"},
		{"salt", OPTION_TEXT, &o.salt, "TEXT", "who comes first (default: random)"},
		{"days", OPTION_NUMBER, &o.days, "N", "how long the statement holds (default: 3)"},
		{"resume", OPTION_FLAG, &o.resume, NULL, "also when it was halted"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	return r ? r : change_statement(&w, i->words.items[0], &o, set_release, e);
}

static enum ef_reason change_days(struct invocation *i,
	enum ef_reason (*change)(const struct workspace *w, struct rollout *s, const char *version,
		const struct rollout_options *o, struct error *e),
	struct error *e)
{
	struct rollout_options o = {.days = DAYS_DEFAULT};
	const struct option options[] = {
		{"days", OPTION_NUMBER, &o.days, "N", "how long the statement holds (default: 3)"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	return r ? r : change_statement(&w, i->words.items[0], &o, change, e);
}

enum ef_reason verb_rollout_halt(struct invocation *i, struct error *e)
{
	return change_days(i, halt_release, e);
}

enum ef_reason verb_rollout_renew(struct invocation *i, struct error *e)
{
	return change_days(i, keep_releases, e);
}

static void print_statement(const struct workspace *w, const struct rollout *s)
{
	char expires[21];

	printf("%s, statement %llu, %s %s\n", s->product, (unsigned long long)s->counter,
		w->now < s->expires ? "until" : "EXPIRED", time_format_utc(s->expires, expires));
	printf("  %-14s %9s %8s  %-7s %s\n", "RELEASE", "SEQUENCE", "SHARE", "", "SALT");
	for (size_t i = 0; i < s->n_releases; i++) {
		const struct rollout_release *x = &s->releases[i];
		printf("  %-14s %9llu %4u.%u %%  %-7s %s\n", x->version,
			(unsigned long long)x->sequence, x->share / 10, x->share % 10,
			x->halted ? "halted" : "", x->salt);
	}
}

enum ef_reason verb_rollout_show(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_free_ struct rollout *s = calloc(1, sizeof(*s));
	_cleanup_json_ json_t *json = NULL;
	enum ef_reason r;

	if (!s)
		return error_set(e, EF_REASON_NO_MEMORY, "rollout statement");
	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	if (!r)
		r = rollout_newest(&w, s, e);
	if (!r && s->counter == 0)
		r = error_set(e, EF_REASON_NOT_FOUND, "there is no statement yet");
	if (r)
		return r;
	if (!w.json) {
		print_statement(&w, s);
		return EF_REASON_OK;
	}
	json = statement_json(s);
	_cleanup_free_ char *text = json ? json_file_text(json) : NULL;
	fputs(text ? text : "", stdout);
	return text ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "rollout statement");
}
