/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what a boot loader left: refused, or states that survive being written and read
 * again (S-14). The first byte says which of the readers gets the rest.
 */
#include "slots/evidence.h"
#include "slots/grub-env.h"
#include "slots/tryboot-text.h"
#include "slots/uboot-vars.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static bool same(const struct slot_vars *x, const struct slot_vars *y)
{
	return x->primary == y->primary && x->trial == y->trial && x->mark[0] == y->mark[0] &&
	       x->mark[1] == y->mark[1];
}

static void grub(const uint8_t *data, size_t size)
{
	char block[GRUB_ENV_SIZE];
	struct slot_vars v, again;
	struct error e = {0};

	memset(block, '#', sizeof(block));
	memcpy(block, data, size < sizeof(block) ? size : sizeof(block));
	if (grub_env_parse(block, &v, &e))
		return;
	must(v.mark[v.primary] == SLOT_GOOD);
	for (int i = 0; i < 12; i++) {
		struct slot_vars wanted = {
			(enum slot_id)(i & 1), (enum slot_id)(i >> 1 & 3), {SLOT_GOOD, SLOT_GOOD}};
		if (wanted.trial > SLOT_NONE || grub_env_format(block, &wanted, &e))
			return;
		must(grub_env_parse(block, &again, &e) == EF_REASON_OK && same(&wanted, &again));
	}
}

static void autoboot(const uint8_t *data, size_t size)
{
	char text[AUTOBOOT_MAX];
	struct autoboot a, again;
	struct error e = {0};

	if (size > sizeof(text))
		size = sizeof(text);
	memcpy(text, data, size);
	if (autoboot_parse(text, size, &a, &e))
		return;
	must(a.partition[0] < a.partition[1]);
	autoboot_set(text, &a, slot_other(a.primary));
	must(autoboot_parse(text, size, &again, &e) == EF_REASON_OK && again.primary != a.primary &&
		again.partition[0] == a.partition[0] && again.partition[1] == a.partition[1]);
	autoboot_set(text, &again, a.primary);
	must(memcmp(text, data, size) == 0);
}

static void memory(const uint8_t *data, size_t size)
{
	char text[TRYBOOT_FILE_MAX];
	struct tryboot_memory m, again;
	struct error e = {0};

	if (size <= TRYBOOT_FILE_MAX && tryboot_memory_parse(data, size, &m, &e) == EF_REASON_OK &&
		strspn(m.asked, "0123456789abcdef-") == strlen(m.asked))
		must(tryboot_memory_parse(text, tryboot_memory_format(&m, text), &again, &e) ==
			EF_REASON_OK);
}

/* Four texts, each ended by a line break; one that begins with '!' is not set. */
static void uboot(char *data)
{
	const char *text[UBOOT_NAMES] = {0};
	struct uboot_vars v, again;
	struct slot_vars s, t;
	struct error e = {0};
	char *save = NULL, *at = data;

	for (int i = 0; i < UBOOT_NAMES; i++, at = NULL) {
		char *line = strtok_r(at, "\n", &save);
		if (line && line[0] != '!')
			text[i] = line;
	}
	if (uboot_vars_parse(text, &v, &e))
		return;
	uboot_to_slots(&v, SLOT_NONE, &s);
	must(s.mark[s.primary] == SLOT_GOOD && s.trial != s.primary);
	if (s.trial != SLOT_NONE && s.mark[s.trial] == SLOT_BAD)
		return;
	uboot_from_slots(&s, &again);
	uboot_to_slots(&again, SLOT_NONE, &t);
	must(same(&s, &t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slot_evidence now;
	struct error e = {0};

	if (size < 1)
		return 0;
	char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 5) {
	case 0:
		grub(data + 1, size - 1);
		break;
	case 1:
		autoboot(data + 1, size - 1);
		break;
	case 2:
		memory(data + 1, size - 1);
		break;
	case 3:
		uboot(text);
		break;
	default:
		if (evidence_parse(text, &now, &e) == EF_REASON_OK)
			must(now.running == SLOT_A || now.running == SLOT_B);
	}
	free(text);
	return 0;
}
