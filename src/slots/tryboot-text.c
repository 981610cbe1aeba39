/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/tryboot-text.h"
#include "util/json.h"
#include <stdio.h>
#include <string.h>

enum section { BEFORE, ALL, TRYBOOT, OTHER };

static bool is(const char *line, size_t size, const char *word)
{
	return size == strlen(word) && memcmp(line, word, size) == 0;
}

static enum section section_of(const char *line, size_t size)
{
	return is(line, size, "[all]") ? ALL : is(line, size, "[tryboot]") ? TRYBOOT : OTHER;
}

/* Of 1 to 3 digits, no zero in front. */
static bool number(const char *text, size_t size, uint32_t *ret)
{
	uint32_t v = 0;

	if (size < 1 || size > 3 || text[0] == '0')
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(text[i] - '0');
	}
	*ret = v;
	return true;
}

struct reading {
	uint32_t partition[2]; /* of [all], of [tryboot]; 0: not said */
	size_t at[2], digits[2];
	bool a_b;
};

static const char *read_line(
	struct reading *r, enum section s, const char *line, size_t size, size_t at)
{
	static const char key[] = "boot_partition=";
	size_t n = sizeof(key) - 1;

	if (size < n || memcmp(line, key, n) != 0) {
		r->a_b = r->a_b || (s == ALL && is(line, size, "tryboot_a_b=1"));
		return NULL;
	}
	if (s != ALL && s != TRYBOOT)
		return "boot_partition= outside [all] and [tryboot]";
	size_t i = s == TRYBOOT;
	if (r->partition[i])
		return "boot_partition= twice in one section";
	if (!number(line + n, size - n, &r->partition[i]))
		return "boot_partition= is no number from 1 to 999";
	r->at[i] = at + n;
	r->digits[i] = size - n;
	return NULL;
}

enum ef_reason autoboot_parse(const char *text, size_t size, struct autoboot *ret, struct error *e)
{
	struct reading r = {0};
	enum section s = BEFORE;
	const char *wrong = size > AUTOBOOT_MAX ? "longer than 512 bytes" : NULL;

	for (size_t at = 0; !wrong && at < size;) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t whole = end ? (size_t)(end - text) - at : size - at, n = whole;
		while (n > 0 && (text[at + n - 1] == '\r' || text[at + n - 1] == ' '))
			n--;
		if (n > 0 && text[at] == '[')
			s = section_of(text + at, n);
		else
			wrong = read_line(&r, s, text + at, n, at);
		at += whole + 1;
	}
	if (!wrong && !r.a_b)
		wrong = "[all] has no tryboot_a_b=1";
	if (!wrong && (!r.partition[0] || !r.partition[1]))
		wrong = "[all] and [tryboot] have to name a boot_partition= each";
	if (!wrong && (r.partition[0] == r.partition[1] || r.digits[0] != r.digits[1]))
		wrong = "the two boot_partition= have to differ, with as many digits";
	if (wrong)
		return error_set(e, EF_REASON_BOOT_STATE, "autoboot.txt: %s", wrong);
	bool b = r.partition[0] > r.partition[1];
	*ret = (struct autoboot){
		.partition = {r.partition[b], r.partition[!b]},
		.primary = b ? SLOT_B : SLOT_A,
		.at = {r.at[0], r.at[1]},
		.digits = r.digits[0],
	};
	return EF_REASON_OK;
}

void autoboot_set(char *text, const struct autoboot *a, enum slot_id slot)
{
	char digits[2][16];

	snprintf(digits[0], sizeof(digits[0]), "%u", a->partition[slot]);
	snprintf(digits[1], sizeof(digits[1]), "%u", a->partition[slot_other(slot)]);
	memcpy(text + a->at[0], digits[0], a->digits);
	memcpy(text + a->at[1], digits[1], a->digits);
}

static const char *const marks[] = {[SLOT_GOOD] = "good", [SLOT_BAD] = "bad"};

static bool one_of(
	const json_t *o, const char *key, const char *const *words, size_t n, unsigned *ret)
{
	const char *word;

	for (unsigned i = 0; json_get_string(o, key, &word) && i < n; i++)
		if (strcmp(word, words[i]) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

enum ef_reason tryboot_memory_parse(
	const void *data, size_t size, struct tryboot_memory *ret, struct error *e)
{
	static const char *const known[] = {"schema", "trial", "asked", "A", "B", NULL};
	static const char *const slots[] = {"A", "B", "none"};
	struct error inner = {0};
	_cleanup_json_ json_t *o = json_read(data, size, TRYBOOT_FILE, &inner);
	struct tryboot_memory m = {0};
	const char *asked;
	uint64_t schema;
	unsigned trial, a, b;

	if (!o)
		return error_set(e, EF_REASON_BOOT_STATE, "%s", inner.detail);
	if (!json_is_object(o) || json_unknown_key(o, known) ||
		!json_get_uint(o, "schema", &schema) || schema != 1 ||
		!one_of(o, "trial", slots, 3, &trial) || !json_get_string(o, "asked", &asked) ||
		strlen(asked) >= sizeof(m.asked) || !one_of(o, "A", marks, 2, &a) ||
		!one_of(o, "B", marks, 2, &b))
		return error_set(e, EF_REASON_BOOT_STATE, "%s: not of schema 1", TRYBOOT_FILE);
	m.trial = (enum slot_id)trial;
	m.mark[SLOT_A] = (enum slot_mark)a;
	m.mark[SLOT_B] = (enum slot_mark)b;
	strcpy(m.asked, asked);
	*ret = m;
	return EF_REASON_OK;
}

size_t tryboot_memory_format(const struct tryboot_memory *m, char *out)
{
	return (size_t)snprintf(out, TRYBOOT_FILE_MAX,
		"{\"schema\": 1, \"trial\": \"%s\", \"asked\": \"%s\", \"A\": \"%s\", \"B\": "
		"\"%s\"}\n",
		slot_word(m->trial), m->asked, marks[m->mark[SLOT_A]], marks[m->mark[SLOT_B]]);
}
