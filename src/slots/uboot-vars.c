/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/uboot-vars.h"
#include <stdio.h>
#include <string.h>

const char *const uboot_names[UBOOT_NAMES] = {
	[UBOOT_ORDER] = "BOOT_ORDER",
	[UBOOT_A_LEFT] = "BOOT_A_LEFT",
	[UBOOT_B_LEFT] = "BOOT_B_LEFT",
	[UBOOT_TRIAL] = "edgeferry_trial",
};

static const struct {
	const char *text;
	enum slot_id order[2];
} orders[] = {
	{"A B", {SLOT_A, SLOT_B}},
	{"B A", {SLOT_B, SLOT_A}},
	{"A", {SLOT_A, SLOT_NONE}},
	{"B", {SLOT_B, SLOT_NONE}},
};
#define ORDERS (sizeof(orders) / sizeof(orders[0]))

static bool read_order(const char *text, struct uboot_vars *v)
{
	for (size_t i = 0; i < ORDERS; i++)
		if (strcmp(text, orders[i].text) == 0) {
			memcpy(v->order, orders[i].order, sizeof(v->order));
			return true;
		}
	return false;
}

static bool read_left(const char *text, unsigned *ret)
{
	if (text[0] < '0' || text[0] > '9' || text[1])
		return false;
	*ret = (unsigned)(text[0] - '0');
	return true;
}

static bool read_trial(const char *text, enum slot_id *ret)
{
	if (text[0] && ((text[0] != 'A' && text[0] != 'B') || text[1]))
		return false;
	*ret = !text[0] ? SLOT_NONE : text[0] == 'B' ? SLOT_B : SLOT_A;
	return true;
}

enum ef_reason uboot_vars_parse(
	const char *const text[UBOOT_NAMES], struct uboot_vars *ret, struct error *e)
{
	struct uboot_vars v = {{SLOT_A, SLOT_B}, {UBOOT_ATTEMPTS, UBOOT_ATTEMPTS}, SLOT_NONE};
	enum uboot_name i = UBOOT_NAMES;

	if (text[UBOOT_ORDER] && !read_order(text[UBOOT_ORDER], &v))
		i = UBOOT_ORDER;
	else if (text[UBOOT_A_LEFT] && !read_left(text[UBOOT_A_LEFT], &v.left[SLOT_A]))
		i = UBOOT_A_LEFT;
	else if (text[UBOOT_B_LEFT] && !read_left(text[UBOOT_B_LEFT], &v.left[SLOT_B]))
		i = UBOOT_B_LEFT;
	else if (text[UBOOT_TRIAL] && !read_trial(text[UBOOT_TRIAL], &v.trial))
		i = UBOOT_TRIAL;
	if (i != UBOOT_NAMES)
		return error_set(e, EF_REASON_BOOT_STATE, "U-Boot's environment: %s=%.40s",
			uboot_names[i], text[i]);
	*ret = v;
	return EF_REASON_OK;
}

void uboot_vars_format(const struct uboot_vars *v, char text[UBOOT_NAMES][UBOOT_TEXT_MAX])
{
	for (size_t i = 0; i < ORDERS; i++)
		if (memcmp(v->order, orders[i].order, sizeof(v->order)) == 0)
			strcpy(text[UBOOT_ORDER], orders[i].text);
	snprintf(text[UBOOT_A_LEFT], UBOOT_TEXT_MAX, "%u", v->left[SLOT_A] % 10);
	snprintf(text[UBOOT_B_LEFT], UBOOT_TEXT_MAX, "%u", v->left[SLOT_B] % 10);
	strcpy(text[UBOOT_TRIAL], v->trial == SLOT_NONE ? "" : slot_word(v->trial));
}

static bool in_order(const struct uboot_vars *v, enum slot_id s)
{
	return v->order[0] == s || v->order[1] == s;
}

/* The running one counts though it took its last attempt: that is given back when it came up. */
static enum slot_id first_of(const struct uboot_vars *v, enum slot_id running)
{
	for (size_t i = 0; i < 2; i++)
		if (v->order[i] != SLOT_NONE &&
			(v->left[v->order[i]] > 0 || v->order[i] == running))
			return v->order[i];
	return v->order[0];
}

void uboot_to_slots(const struct uboot_vars *v, enum slot_id running, struct slot_vars *ret)
{
	ret->primary = v->trial == SLOT_NONE ? first_of(v, running) : slot_other(v->trial);
	ret->trial = v->trial != SLOT_NONE && v->left[v->trial] > 0 && in_order(v, v->trial)
			     ? v->trial
			     : SLOT_NONE;
	for (enum slot_id s = SLOT_A; s <= SLOT_B; s++)
		ret->mark[s] =
			in_order(v, s) && (v->left[s] > 0 || s == running) ? SLOT_GOOD : SLOT_BAD;
	ret->mark[ret->primary] = SLOT_GOOD;
}

void uboot_from_slots(const struct slot_vars *s, struct uboot_vars *ret)
{
	enum slot_id first = s->trial == SLOT_NONE ? s->primary : s->trial;
	enum slot_id second = slot_other(first);

	*ret = (struct uboot_vars){.order = {first, second}, .trial = s->trial};
	for (enum slot_id i = SLOT_A; i <= SLOT_B; i++)
		ret->left[i] = s->mark[i] == SLOT_BAD ? 0 : i == s->trial ? 1 : UBOOT_ATTEMPTS;
	if (s->mark[second] == SLOT_BAD)
		ret->order[1] = SLOT_NONE;
}
