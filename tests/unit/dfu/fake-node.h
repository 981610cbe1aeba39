/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node as a model on a unix socket, in the same event loop as the code under test, which can be
 * told to misbehave at any command.
 */
#include "dfu/node-internal.h"
#include "wire/cobs.h"
#include <edgeferry/image.h>
#include <edgeferry/smp.h>
#include <systemd/sd-event.h>

enum fake_command {
	FAKE_IDENTIFY,
	FAKE_PARAMS,
	FAKE_STATE,
	FAKE_PREFLIGHT,
	FAKE_UPLOAD,
	FAKE_TEST,
	FAKE_CONFIRM,
	FAKE_ERASE,
	FAKE_RESET,
	FAKE_INFO,
	FAKE_PATCH,
	FAKE_COMMANDS,
};

enum fake_fault {
	FAKE_WELL,
	FAKE_SILENT, /* does not answer */
	FAKE_REFUSE, /* {"err": {group 239, rc NODE_FLASH}} */
	FAKE_RC,     /* {"rc": 3} */
	FAKE_UNKNOWN_REASON,
	FAKE_NO_MAP,  /* an integer */
	FAKE_NO_CBOR, /* reserved bytes */
	FAKE_EMPTY,   /* {} */
	FAKE_BABBLE,  /* kilobytes of noise, no answer */
	FAKE_HANG_UP,
	FAKE_FAULTS,
};

struct fake_slot {
	bool present;
	uint8_t hash[32];
	char version[32];
};

struct fake {
	sd_event *event;
	sd_event_source *listen_io, *io, *boot;
	char directory[64], path[80];
	int listener, fd;
	struct frame_receiver rx;
	uint8_t rx_buf[8192];
	/* model */
	struct fake_slot slot[2];
	bool pending, trial, approved, open, booting, in_bootloader;
	uint32_t test, revert, wanted, size, deadline;
	uint8_t sha[32], flash[200000];
	uint32_t patch; /* bytes of the one that was announced; 0: none */
	bool making;
	uint32_t made;
	/* script */
	enum fake_fault fault[FAKE_COMMANDS];
	unsigned fault_after[FAKE_COMMANDS]; /* well so many times before */
	unsigned fault_times[FAKE_COMMANDS]; /* 0: for ever */
	unsigned lose, duplicate;	     /* per thousand messages */
	uint32_t reset_at;		     /* during an upload, once */
	bool plain, wrong_nonce, hang_up_at_reset, refuse_at_boot, deaf_to_first_reset,
		forget_staged, stays_in_bootloader, test_after_boot_fails, never_confirms,
		bad_match, restarts_before_state;
	uint32_t preflight_reason; /* answers with it */
	uint32_t models, page;	   /* that it takes patches of; 0: it takes none */
	const uint8_t *comes_out;  /* image that any patch makes, of so many bytes */
	uint32_t comes_out_size;
	uint32_t patch_why; /* what is wrong with it, when it is half made; 0: nothing */
	bool never_makes;
	uint32_t reset_at_made; /* once */
	unsigned boot_ms;
	const char *board, *info;
	/* what happened */
	unsigned count[FAKE_COMMANDS], boots;
	uint32_t rng;
};

void fake_open(struct fake *f, sd_event *event);
void fake_close(struct fake *f);
/* The gateway's end, "lamp", by the link sim. The caller frees it. */
struct node *fake_reach(struct fake *f, sd_event *event, const struct node_timing *timing);
