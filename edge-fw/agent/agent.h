/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The SMP server of a node (docs/SPEC-dfu.md), the same in the bootloader and in the application:
 * frames in, requests, responses, frames out. It also ends a trial that is not confirmed in time
 * and feeds the watchdog, as long as it is called.
 */
#include "agent/text.h"
#include "boot/factory.h"
#include "boot/state.h"
#include "wire/cobs.h"
#include <edgeferry/smp.h>

/* Longest answer: image state with two images, or an echo. */
#define AGENT_RESPONSE_MAX 400u
#define AGENT_DEADLINE_DEFAULT_S 60u

enum self_test { SELF_TEST_RUNNING, SELF_TEST_PASSED, SELF_TEST_FAILED };

/* What the program around the agent tells of itself. */
struct agent_program {
	bool bootloader;
	enum self_test (*self_test)(void); /* NULL: none */
	void (*details)(struct text *t);   /* adds to the line of OS info; NULL: nothing */
	/* what it serves beyond the commands that every program has (agent/keys.h …) */
	const struct command *extra;
	size_t n_extra;
};

/* One image on its way into slot 1. */
struct upload {
	bool approved;	       /* a preflight was accepted: for this size and this header */
	bool open;	       /* begun */
	bool complete;	       /* all there and found good */
	uint8_t pending;       /* bytes in word */
	uint32_t size, wanted; /* of the file; the next byte */
	uint32_t image_size;   /* of what is written of it */
	uint32_t place;	       /* where in flash it begins */
	uint32_t approved_size, approved_image; /* of the file; of the image in it */
	uint8_t approved_header[EF_IMAGE_HEADER_SIZE], approved_digest[32];
	uint8_t sha[32];
	uint8_t word[16]; /* less than a word of flash */
};

/* What is known of a slot; asked of the flash once, as a signature takes seconds on a small core.
 */
struct slot_view {
	bool known;
	enum ef_reason reason; /* OK: a valid image */
	struct ef_image_info info;
};

struct agent {
	const struct agent_program *program;
	uint32_t started; /* milliseconds */
	bool reset;	  /* as soon as the answer is out */
	bool works, calm; /* what agent/health.h has noted already */
	struct state state;
	struct upload upload;
	struct slot_view slot[2];
	struct frame_receiver receiver;
	struct factory factory; /* with the keys in force */
	uint8_t message[PORT_MESSAGE_MAX + 2];
	uint8_t response[AGENT_RESPONSE_MAX];
	uint8_t frame[EF_SMP_FRAME_MAX(AGENT_RESPONSE_MAX)];
};

void agent_init(struct agent *a, const struct agent_program *program);

/* Does what is to do; false when nothing was: sleep until the next interrupt. */
bool agent_poll(struct agent *a);

/*
 * One message in, its answer in a->response. Returns the size of the answer; 0: the message is not
 * a request and is dropped.
 */
size_t agent_request(struct agent *a, const uint8_t *message, size_t size);

/* For the command handlers. */
const struct slot_view *agent_slot(struct agent *a, unsigned slot);
bool agent_on_trial(const struct agent *a);
/* Makes slot 1 free to be written: OK, or why it may not be touched now. A pending trial is called
 * off. */
enum ef_reason agent_claim_slot(struct agent *a);
