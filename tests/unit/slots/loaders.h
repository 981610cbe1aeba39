/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The boot loaders behind grub, uboot and tryboot, with their part played as their script or
 * document says. That the scripts say so in the real ones is for test-bootloaders.py.
 */
#include "slots/boot.h"
#include <stddef.h>

enum { GRUB, UBOOT, TRYBOOT, KINDS };

extern char dir[]; /* of the test that runs; names below are within */
extern struct boot *b;
extern int which;

void setup(void);
void teardown(void);
/* A gateway with this boot loader, started in slot A. */
void begin(int kind);
void reopen(void);

void put(const char *name, const char *data, size_t size);
void put_text(const char *name, const char *text);
char *get(const char *name, size_t *size); /* malloc'd */
/* A shell's command with dir for its %s: an independent reader of the same file. */
void ask(const char *command, char out[4096]);
void command(const char *text);

struct boot_state state(void);
enum slot_id power_on(void); /* without a word before; the slot that is started */
enum slot_id restart(void);
void came_up(void);

#define WELL(call)                                                      \
	do {                                                            \
		struct error e_ = {0};                                  \
		struct error *e = &e_;                                  \
		ck_assert_msg((call) == EF_REASON_OK, "%s", e_.detail); \
	} while (0)
