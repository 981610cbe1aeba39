/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/sim-text.h"
#include "util/json.h"
#include <stdio.h>
#include <string.h>

static const char *const mark_words[] = {[SLOT_GOOD] = "good", [SLOT_BAD] = "bad"};

static bool get_slot(const json_t *o, const char *key, enum slot_id max, enum slot_id *ret)
{
	const char *word;

	if (!json_get_string(o, key, &word))
		return false;
	for (enum slot_id s = SLOT_A; s <= max; s++)
		if (strcmp(word, slot_word(s)) == 0) {
			*ret = s;
			return true;
		}
	return false;
}

static bool get_mark(const json_t *o, enum slot_id slot, enum slot_mark *ret)
{
	const char *word;

	if (!json_get_string(o, slot_word(slot), &word))
		return false;
	for (enum slot_mark m = SLOT_GOOD; m <= SLOT_BAD; m++)
		if (strcmp(word, mark_words[m]) == 0) {
			*ret = m;
			return true;
		}
	return false;
}

/* The document when it is an object of schema 1 with no key but the known ones. */
static json_t *read_document(
	const void *data, size_t size, const char *name, const char *const *known, struct error *e)
{
	struct error inner = {0};
	uint64_t schema;
	json_t *o = json_read(data, size, name, &inner);

	if (!o) {
		error_set(e, EF_REASON_BOOT_STATE, "%s", inner.detail);
		return NULL;
	}
	if (json_is_object(o) && json_get_uint(o, "schema", &schema) && schema == 1 &&
		!json_unknown_key(o, known))
		return o;
	json_decref(o);
	error_set(e, EF_REASON_BOOT_STATE, "%s: not of schema 1", name);
	return NULL;
}

enum ef_reason sim_vars_parse(const void *data, size_t size, struct slot_vars *ret, struct error *e)
{
	static const char *const known[] = {"schema", "primary", "trial", "mark", NULL};
	static const char *const known_marks[] = {"A", "B", NULL};
	_cleanup_json_ json_t *o = read_document(data, size, SIM_STATE_FILE, known, e);
	struct slot_vars v;

	if (!o)
		return e->reason;
	json_t *mark = json_get_object(o, "mark");
	if (!get_slot(o, "primary", SLOT_B, &v.primary) ||
		!get_slot(o, "trial", SLOT_NONE, &v.trial) || !mark ||
		json_unknown_key(mark, known_marks) || !get_mark(mark, SLOT_A, &v.mark[SLOT_A]) ||
		!get_mark(mark, SLOT_B, &v.mark[SLOT_B]))
		return error_set(e, EF_REASON_BOOT_STATE, "%s: a value is missing or unknown",
			SIM_STATE_FILE);
	if (v.mark[v.primary] != SLOT_GOOD)
		return error_set(e, EF_REASON_BOOT_STATE, "%s: the primary slot is marked bad",
			SIM_STATE_FILE);
	*ret = v;
	return EF_REASON_OK;
}

enum ef_reason sim_evidence_parse(
	const void *data, size_t size, struct slot_evidence *ret, struct error *e)
{
	static const char *const known[] = {"schema", "running", "trial", NULL};
	_cleanup_json_ json_t *o = read_document(data, size, SIM_RUNNING_FILE, known, e);
	struct slot_evidence v;

	if (!o)
		return e->reason;
	const json_t *trial = json_object_get(o, "trial");
	if (!get_slot(o, "running", SLOT_B, &v.running) || !json_is_boolean(trial))
		return error_set(e, EF_REASON_BOOT_STATE, "%s: a value is missing or unknown",
			SIM_RUNNING_FILE);
	v.trial = json_is_true(trial);
	*ret = v;
	return EF_REASON_OK;
}

size_t sim_vars_format(const struct slot_vars *v, char *out)
{
	return (size_t)snprintf(out, SIM_FILE_MAX,
		"{\"schema\": 1, \"primary\": \"%s\", \"trial\": \"%s\", "
		"\"mark\": {\"A\": \"%s\", \"B\": \"%s\"}}\n",
		slot_word(v->primary), slot_word(v->trial), mark_words[v->mark[SLOT_A]],
		mark_words[v->mark[SLOT_B]]);
}

size_t sim_evidence_format(const struct slot_evidence *v, char *out)
{
	return (size_t)snprintf(out, SIM_FILE_MAX,
		"{\"schema\": 1, \"running\": \"%s\", \"trial\": %s}\n", slot_word(v->running),
		v->trial ? "true" : "false");
}
