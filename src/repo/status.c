/* SPDX-License-Identifier: Apache-2.0 */
/* status: what expires when, what lacks whose signatures, which keys are at hand. */
#include "repo/keys.h"
#include "repo/metadata.h"
#include "repo/rollout-verb.h"
#include "repo/verbs.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/time-util.h"
#include <string.h>

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

#define DAY 86400

struct report {
	const struct workspace *w;
	int64_t limit; /* what expires before it needs attention */
	bool attention;
};

/* Whole days left; negative once it has expired. */
static int64_t days_left(const struct report *p, int64_t expires)
{
	int64_t left = expires - p->w->now;

	return left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY);
}

static void add_expiry(struct report *p, json_t *item, int64_t expires)
{
	char text[21];

	json_object_set_new(item, "expires", json_string(time_format_utc(expires, text)));
	json_object_set_new(item, "days_left", json_integer(days_left(p, expires)));
	if (expires <= p->limit)
		p->attention = true;
}

static json_t *keys_of(const struct report *p, enum role_id role)
{
	json_t *list = json_array(), *name;
	size_t i;

	json_array_foreach (
		json_object_get(workspace_role(p->w, role_names[role]), "keys"), i, name) {
		_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
		struct error none = {0};
		bool at_hand = key_open(p->w, json_string_value(name), &key, &none) == EF_REASON_OK;
		json_array_append_new(
			list, json_pack("{s:O, s:b}", "name", name, "at_hand", at_hand));
	}
	return list;
}

static enum ef_reason add_current(
	struct report *p, enum role_id role, json_t *item, struct error *e)
{
	_cleanup_json_ json_t *document = NULL;
	struct error why = {0};
	const char *expires;
	int64_t at;
	enum ef_reason r = metadata_current(p->w, role, &document, &why);

	if (r == EF_REASON_NOT_FOUND)
		return EF_REASON_OK;
	if (r)
		return error_set(e, r, "%s", why.detail);
	if (!json_get_string(json_object_get(document, "signed"), "expires", &expires) ||
		!time_parse_utc(expires, &at))
		return error_set(e, EF_REASON_STATE_UNREADABLE, "%s: expires", role_names[role]);
	json_object_set_new(item, "version", json_integer((json_int_t)metadata_version(document)));
	add_expiry(p, item, at);
	return EF_REASON_OK;
}

static enum ef_reason add_pending(
	const struct report *p, enum role_id role, json_t *item, struct error *e)
{
	_cleanup_json_ json_t *document = NULL;
	json_t *signers = NULL;
	struct error why = {0};
	enum ef_reason r = metadata_pending(p->w, role, &document, &why);

	if (r == EF_REASON_NOT_FOUND)
		return EF_REASON_OK;
	if (!r)
		r = metadata_signers(p->w, role, &signers, NULL, NULL, &why);
	if (r)
		return error_set(e, r, "%s", why.detail);
	json_object_set_new(item, "pending",
		json_pack("{s:I, s:o}", "version", (json_int_t)metadata_version(document),
			"signers", signers));
	return EF_REASON_OK;
}

static enum ef_reason add_rollout(struct report *p, json_t *all, struct error *e)
{
	_cleanup_free_ struct rollout *s = calloc(1, sizeof(*s));
	enum ef_reason r = s ? rollout_newest(p->w, s, e)
			     : error_set(e, EF_REASON_NO_MEMORY, "rollout statement");
	bool holds = false;

	if (r || s->counter == 0)
		return r;
	json_t *item = json_pack("{s:I}", "counter", (json_int_t)s->counter);
	/* One that lets nobody go on may run out. */
	for (size_t i = 0; i < s->n_releases; i++)
		holds = holds || (s->releases[i].share > 0 && !s->releases[i].halted);
	bool before = p->attention;
	add_expiry(p, item, s->expires);
	p->attention = holds ? p->attention : before;
	return json_object_set_new(all, "rollout", item) < 0
		       ? error_set(e, EF_REASON_NO_MEMORY, "status")
		       : r;
}

static enum ef_reason collect(struct report *p, json_t **ret, struct error *e)
{
	_cleanup_json_ json_t *all = json_object(), *roles = json_array();
	enum ef_reason r = EF_REASON_OK;

	for (int i = 0; i < ROLE_COUNT && !r; i++) {
		enum role_id role = (enum role_id)i;
		if (!workspace_role(p->w, role_names[role]))
			continue;
		json_t *item =
			json_pack("{s:s, s:o}", "role", role_names[role], "keys", keys_of(p, role));
		if (!item || json_array_append_new(roles, item) < 0)
			return error_set(e, EF_REASON_NO_MEMORY, "status");
		r = add_current(p, role, item, e);
		if (!r)
			r = add_pending(p, role, item, e);
	}
	json_object_set_new(all, "product", json_string(workspace_product(p->w)));
	json_object_set(all, "roles", roles);
	if (!r)
		r = add_rollout(p, all, e);
	json_object_set_new(all, "attention", json_boolean(p->attention));
	if (!r)
		*ret = TAKE_PTR(all);
	return r;
}

/* "root-1, root-2 (not here)" */
static void print_names(const json_t *keys, const char *flag, bool value)
{
	const char *between = "";
	json_t *key;
	size_t i;

	json_array_foreach ((json_t *)keys, i, key) {
		const char *name = json_string_value(json_object_get(key, "name"));
		if (json_is_true(json_object_get(key, flag)) != value)
			continue;
		printf("%s%s", between,
			name[0] ? name : json_string_value(json_object_get(key, "keyid")));
		between = ", ";
	}
	if (!between[0])
		printf("none");
}

static void print_pending(const json_t *role)
{
	const json_t *pending = json_object_get(role, "pending");
	json_t *who;
	size_t i;

	json_array_foreach (json_object_get(pending, "signers"), i, who) {
		if (json_integer_value(json_object_get(who, "signatures")) >=
			json_integer_value(json_object_get(who, "threshold")))
			continue;
		printf("  %s %lld has %lld of %lld signatures; may sign: ",
			json_string_value(json_object_get(role, "role")),
			(long long)json_integer_value(json_object_get(pending, "version")),
			(long long)json_integer_value(json_object_get(who, "signatures")),
			(long long)json_integer_value(json_object_get(who, "threshold")));
		print_names(json_object_get(who, "keys"), "signed", false);
		putchar('\n');
	}
}

static void print_expiry(const json_t *item)
{
	long long days = json_integer_value(json_object_get(item, "days_left"));
	const char *expires = json_string_value(json_object_get(item, "expires"));

	if (!expires)
		printf("%-22s %9s", "never signed", "");
	else if (days < 0)
		printf("%-22s %9s", expires, "EXPIRED");
	else
		printf("%-22s %4lld days", expires, days);
}

static void print_status(const json_t *all)
{
	const json_t *rollout = json_object_get(all, "rollout");
	json_t *role;
	size_t i;

	printf("%-10s %8s  %-22s %9s  %s\n", "ROLE", "VERSION", "EXPIRES", "", "KEYS AT HAND");
	json_array_foreach (json_object_get(all, "roles"), i, role) {
		printf("%-10s %8lld  ", json_string_value(json_object_get(role, "role")),
			(long long)json_integer_value(json_object_get(role, "version")));
		print_expiry(role);
		printf("  ");
		print_names(json_object_get(role, "keys"), "at_hand", true);
		putchar('\n');
	}
	if (rollout) {
		printf("%-10s %8lld  ", "statement",
			(long long)json_integer_value(json_object_get(rollout, "counter")));
		print_expiry(rollout);
		putchar('\n');
	}
	json_array_foreach (json_object_get(all, "roles"), i, role)
		print_pending(role);
}

enum ef_reason verb_status(struct invocation *i, struct error *e)
{
	uint64_t within = 0;
	const struct option options[] = {
		{"within", OPTION_NUMBER, &within, "DAYS",
			"exit 4 when something expires within so many days (default: 0)"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_json_ json_t *all = NULL;
	struct report p = {.w = &w};
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	if (within > 36500)
		return error_set(e, EF_REASON_USAGE, "--within: at most 36500 days");
	r = verb_workspace(i, &w, e);
	p.limit = w.now + (int64_t)within * DAY;
	if (!r)
		r = collect(&p, &all, e);
	if (r)
		return r;
	i->attention = p.attention;
	if (!w.json) {
		print_status(all);
		return EF_REASON_OK;
	}
	_cleanup_free_ char *text = json_file_text(all);
	fputs(text ? text : "", stdout);
	return text ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "status");
}
