/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A node in memory for the tests of this folder: old image in slot 0, factory page, bootloader,
 * agent. */
#include "boot/boot.h"
#include "flash-gateway.h"
#include "flash-sim.h"
#include "unit.h"

enum { OLD = 1, NEW = 2, OLD_COUNTER = 3, NEW_COUNTER = 5 };

struct node {
	EVP_PKEY *key, *other_key;
	struct test_image old, fresh;
	struct agent agent;
	enum self_test self_test;
};
extern struct node node;

/* A fresh node with the given kind of core; nothing was booted yet. */
void node_make(bool fast);
void node_free(void);
void node_put_image(unsigned slot, const struct test_image *i);
bool node_slot_is(unsigned slot, const struct test_image *i);

/* Runs the bootloader to its end; agent: the application's, when an image was started. */
enum sim_event node_boot(void);
enum sim_event node_power_cycle(void);
/* The bootloader must start an image. */
void node_start(void);
/* The agent as the bootloader runs it. */
void node_serve(void);
/* The factory page says that stock clients may update it; boots anew. */
void node_allow_plain(void);
/* Preflight and upload of node.fresh, then the request for its trial. */
void node_stage(void);
void node_put_on_trial(void);
struct state node_state(void);
/* What one sender of node.fresh brought. */
struct node_attempt {
	bool whole;
	enum ef_reason refused;
};

/*
 * F-18, I-2: power goes at every operation of bring (which fills in a struct node_attempt), in
 * every way. What ran runs on, and bring brings the image then, or is refused for a torn one and
 * brings it the time after. Returns the cuts; *anew: after how many of them it was refused first.
 */
unsigned node_cut_everywhere(void (*bring)(void *attempt), unsigned *anew);
/* A bit of the image in a slot flips. */
void node_damage(unsigned slot, uint32_t at);

#define assert_good(answer)                     \
	do {                                    \
		struct reply reply_ = (answer); \
		ck_assert(reply_good(&reply_)); \
	} while (0)
#define assert_refused(answer, why)                               \
	do {                                                      \
		struct reply reply_ = (answer);                   \
		ck_assert(reply_.answered);                       \
		ck_assert_int_eq(reply_.reason, EF_REASON_##why); \
	} while (0)
#define assert_rc(answer, number)                             \
	do {                                                  \
		struct reply reply_ = (answer);               \
		ck_assert(reply_.answered);                   \
		ck_assert_int_eq(reply_.rc, EF_SMP_##number); \
	} while (0)
