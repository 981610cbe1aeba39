/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A node as a process: its flash is a file, its serial line a pty or a socket. */
#include "port/port.h"
#include <setjmp.h>
#include <signal.h>

#define HOST_PAGE 4096u
#define HOST_UNIT (4u * HOST_PAGE) /* of a swap */
#define HOST_SLOT_MAX (4u << 20)
#define HOST_CUT_STATUS 3 /* exit status of a power cut by --cut */

/* What goes through the one longjmp in main. */
enum host_event { HOST_POWER_ON, HOST_RESET, HOST_START_IMAGE };

struct host {
	struct port_board board;
	uint8_t *flash; /* mapped */
	uint32_t flash_size;
	uint32_t retained[PORT_RETAINED_WORDS];
	unsigned long operations, cut_at;
	int listener, line; /* -1: none; a pty has no listener */
	bool verbose;
	struct port_power power;
	uint32_t image;			       /* flash offset of what was started */
	uint64_t base_ms, last_tick, watchdog; /* watchdog: when it bites; 0: not started */
	uint64_t now_us;		       /* when the tick under way was noticed */
	void (*tick)(void);
	volatile sig_atomic_t end;
	jmp_buf restart;
};
extern struct host host; /* the board: there is one a process, as there is one a chip */

/* Fills in the map for slots of this size; false when it cannot be laid out. */
bool host_layout(struct port_board *b, uint32_t slot_size);
uint32_t host_flash_size(const struct port_board *b);

/* A trap is a fault of the node: it is recorded and the node starts anew. */
void host_catch_faults(void);

/* Serial line: 0 or negative errno. */
int host_open_pty(const char *link);
int host_open_socket(const char *path);

/* What a flash is made of when its file does not exist yet. */
struct provision {
	const char *vendor, *class_name;
	const char *image; /* file for slot 0; NULL: none */
	const char *psk;   /* file of 64 hex digits; NULL: no secret key */
	const char *keys[4];
	unsigned n_keys;
	uint32_t hardware_revision, floor;
	bool plain; /* stock SMP clients may update it */
	uint8_t device_id[16];
};

/* Fills flash (all 0xff) as factory.py does. False after a message on stderr. */
bool host_provision(uint8_t *flash, const struct port_board *b, const struct provision *p);
