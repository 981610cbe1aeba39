/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/metadata.h"
#include "repo/verbs.h"
#include "util/cleanup.h"
#include "util/json.h"

/* What signing may change: the newest version of each role, signed or not. */
static uint64_t sum_of_versions(const struct workspace *w)
{
	uint64_t sum = 0;

	for (int i = 0; i < ROLE_COUNT; i++) {
		_cleanup_json_ json_t *document = NULL;
		struct error none = {0};
		if (metadata_current(w, (enum role_id)i, &document, &none) == EF_REASON_OK)
			sum += metadata_version(document);
	}
	return sum;
}

enum ef_reason verb_sign(struct invocation *i, struct error *e)
{
	struct option_list refresh = {0};
	const struct option options[] = {
		{"refresh", OPTION_LIST, &refresh, "ROLE",
			"first make a new version with a later expiry"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	bool complete = true;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	for (size_t k = 0; k < refresh.n && !r; k++) {
		enum role_id role;
		r = role_from_name(refresh.items[k], &role)
			    ? metadata_refresh(&w, role, e)
			    : error_set(e, EF_REASON_USAGE, "'%s' is no role", refresh.items[k]);
	}
	if (r)
		return r;
	uint64_t before = sum_of_versions(&w);
	r = metadata_sign_all(&w, &complete, e);
	i->nothing_to_do = complete && sum_of_versions(&w) == before;
	return r;
}
