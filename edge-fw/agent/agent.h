/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The SMP server of a node (docs/SPEC-dfu.md), the same in the bootloader and in the application:
 * bytes in, requests, responses, bytes out. It also ends a trial that is not confirmed in time
 * and feeds the watchdog, as long as it is called.
 */
#include "agent/ahead.h"
#include "agent/lease.h"
#include "agent/rate.h"
#include "agent/request.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/shared.h"
#include "agent/spread.h"
#include "agent/text.h"
#include "boot/factory.h"
#include "boot/state.h"
#include "wire/line.h"
#include <edgeferry/smp.h>

/* Longest answer: image state with two images, or an echo. */
#define AGENT_RESPONSE_MAX 400u
#define AGENT_DEADLINE_DEFAULT_S 60u

#define UPLOAD_BLOCK 64u /* written at once; divides every page, every word divides it */

enum self_test { SELF_TEST_RUNNING, SELF_TEST_PASSED, SELF_TEST_FAILED };

/* Counters by name: put writes pairs of the answer's map. */
struct statistics {
	const char *name;
	void (*put)(const struct agent *a, struct cbor_writer *w);
};

/* What the program around the agent tells of itself. */
struct agent_program {
	bool bootloader;
	enum self_test (*self_test)(void); /* NULL: none */
	void (*details)(struct text *t);   /* adds to the line of OS info; NULL: nothing */
	const struct statistics *stats;	   /* its own statistics; NULL: none */
};

/* One image on its way into slot 1. */
struct upload {
	bool approved;	       /* a preflight was accepted: for this size and this header */
	bool open;	       /* begun */
	bool complete;	       /* all there and found good */
	bool vouched;	       /* it is the one of the preflight */
	bool named;	       /* its sender gave sha */
	bool patch;	       /* it is the patch of the preflight, for its image */
	uint32_t size, wanted; /* of the file; the next byte */
	uint32_t from;	       /* what of block is not yet in flash */
	uint32_t image_size;   /* of what is written of it */
	uint32_t place;	       /* where in flash it begins */
	uint32_t erases;       /* pages of slot 1, since the program started */
	uint32_t approved_size, approved_image; /* of the file; of the image in it */
	uint32_t
		approved_patch; /* of the patch that is uploaded in its place; 0: it comes itself */
	uint32_t tlv_at;	/* where its unprotected area begins, if it is not vouched for */
	uint8_t tlv[4];		/* and the head of that */
	uint8_t sha[32];
	uint8_t approved_header[EF_IMAGE_HEADER_SIZE], approved_digest[32];
	uint8_t block[UPLOAD_BLOCK];
	struct ahead ahead[AHEAD_PIECES];
	struct upload_spread spread;
};

/* What is known of a slot; asked of the flash once, as a signature takes seconds on a small core.
 */
struct slot_view {
	bool known;
	enum ef_reason reason; /* OK: a valid image */
	struct ef_image_info info;
};

struct agent {
	uint8_t version;  /* of SMP, of the request at hand */
	bool reset;	  /* as soon as the answer is out */
	bool works, calm; /* what agent/health.h has noted already */
	struct agent_session session;
	uint32_t started, heard; /* milliseconds; heard: the last byte */
	uint32_t second, uptime; /* when it was counted, milliseconds; seconds */
	const struct agent_program *program;
	struct agent_rate rate;
	struct state state;
	struct upload upload;
	struct line_receiver line;
	struct slot_view slot[2];
	struct factory factory; /* with the keys in force */
	uint32_t epoch;		/* seconds since 1970 when the program started; 0: not known */
	struct settings settings;
	struct agent_shared shared;
	struct agent_lease lease;
	struct rebuild *rebuild; /* agent/patch.h */
	uint8_t patch_why;	 /* of the last refusal for EF_REASON_PATCH */
	/* each with what a shared line and a session add and with the checksum of its frame */
	uint8_t message[EF_SHARED_HEAD + PORT_MESSAGE_MAX + EF_SESSION_OVERHEAD + 2];
	uint8_t response[EF_SHARED_HEAD + AGENT_RESPONSE_MAX + EF_SESSION_OVERHEAD + 2];
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
/* In place-boot.c the answer is known when the program is linked; in place-any.c it is asked. */
bool agent_in_bootloader(const struct agent *a);
const struct slot_view *agent_slot(struct agent *a, unsigned slot);
bool agent_on_trial(const struct agent *a);
/* OK, or why slot 1 is needed as it is. */
enum ef_reason agent_slot_busy(const struct agent *a);
/* Makes slot 1 free to be written: OK, or why it may not be touched now. A pending trial is called
 * off. */
enum ef_reason agent_claim_slot(struct agent *a);
/* Pairs of the answer's map that say why not, as the request's version of SMP has it. */
void put_refusal(const struct agent *a, struct cbor_writer *w, enum ef_reason reason);
