/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots-drive BACKEND DIR ROOT state|try|good|bad|up|reboot|verity|plain [A|B]: one call of
 * slots/boot.h from a script. Prints the state after it: "running=A primary=A trial=none
 * on-trial=no marks=good,good".
 */
#include "slots/boot.h"
#include <stdio.h>
#include <string.h>

static enum ef_reason perform(struct boot *b, const char *verb, enum slot_id slot, struct error *e)
{
	const char *parameter = NULL;

	if (strcmp(verb, "try") == 0)
		return boot_try_next(b, slot, e);
	if (strcmp(verb, "good") == 0)
		return boot_mark_good(b, slot, e);
	if (strcmp(verb, "bad") == 0)
		return boot_mark_bad(b, slot, e);
	if (strcmp(verb, "verity") == 0 || strcmp(verb, "plain") == 0)
		return boot_set_verity(
			b, slot, (const uint8_t[32]){0xab}, verb[0] == 'v' ? 268435456 : 0, e);
	if (strcmp(verb, "up") == 0)
		return boot_came_up(b, e);
	if (strcmp(verb, "reboot") != 0)
		return strcmp(verb, "state") == 0 ? EF_REASON_OK
						  : error_set(e, EF_REASON_USAGE, "%s", verb);
	if (boot_rebooting(b, &parameter, e) == EF_REASON_OK)
		printf("parameter=%s\n", parameter ? parameter : "");
	return e->reason;
}

int main(int argc, char **argv)
{
	static const char *const marks[] = {"good", "bad"};
	struct boot_place place = {argv[2], argv[2], argv[3]};
	struct error e = {0};
	struct boot_state s;
	struct boot *b = NULL;
	enum slot_id slot = argc > 5 && strcmp(argv[5], "B") == 0 ? SLOT_B : SLOT_A;

	if (argc < 5)
		return 64;
	if (boot_open(argv[1], &place, &b, &e) || perform(b, argv[4], slot, &e) ||
		boot_state(b, &s, &e)) {
		fprintf(stderr, "%s\n", e.detail);
		boot_close(b);
		return 1;
	}
	printf("running=%s primary=%s trial=%s on-trial=%s marks=%s,%s\n", slot_word(s.running),
		slot_word(s.primary), slot_word(s.trial), s.on_trial ? "yes" : "no",
		marks[s.mark[0]], marks[s.mark[1]]);
	boot_close(b);
	return 0;
}
