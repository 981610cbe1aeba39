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

/* What stands in for the serial line. Nothing waits but write, and that not for long. */
struct host_line {
	size_t (*read)(uint8_t *buf, size_t size);
	void (*write)(const uint8_t *data, size_t size);
	int (*fd)(void); /* readable: something may have come; -1: nobody is there */
	bool (*can_baud)(uint32_t baud);
	void (*set_baud)(uint32_t baud); /* 0: the first one */
	void (*start)(void);		 /* after a reset: what RAM held is lost */
};

struct host {
	struct port_board board;
	uint8_t *flash; /* mapped */
	uint32_t flash_size;
	uint32_t retained[PORT_RETAINED_WORDS];
	unsigned long operations, cut_at;
	const struct host_line *line;
	int listener, wire; /* -1: none; a pty has no listener */
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

uint64_t host_now_us(void); /* monotonic */

/* Fills in the map for slots of this size; false when it cannot be laid out. */
bool host_layout(struct port_board *b, uint32_t slot_size);
uint32_t host_flash_size(const struct port_board *b);

/* A trap is a fault of the node: it is recorded and the node starts anew. */
void host_catch_faults(void);

/* Each opens what stands in for the serial line and sets host.line: 0 or negative errno. */
int host_open_pty(const char *link);
int host_open_tty(const char *path, uint32_t baud);
int host_open_socket(const char *path);
int host_open_udp(const char *address);		   /* "PORT" of loopback, or "ADDRESS:PORT" */
int host_open_ble(const char *path, uint32_t mtu); /* of at least 23 */

/*
 * The board's pins (pins.c) on a listening unix socket: ready, reset, boot, and with host_open_spi
 * the SPI peripheral in place of a serial line.
 */
int host_open_pins(const char *path);
int host_open_spi(const char *path);
void host_pins_look(void); /* stays as long as the chip is held in reset */
int host_pins_fd(void);	   /* -1: there are none */
_Noreturn void host_restart(void);

/*
 * A wire that carries whole messages (packet.c): to the agent, which reads bytes, each is a COBS
 * frame. receive: the next message, at most size bytes; 0: none. send: whether it went does not
 * matter.
 */
struct host_packets {
	size_t (*receive)(uint8_t *message, size_t size);
	void (*send)(const uint8_t *message, size_t size);
};
void host_packet_init(const struct host_packets *p);
void host_packet_start(void);
size_t host_packet_read(uint8_t *buf, size_t size);
void host_packet_write(const uint8_t *data, size_t size);

/* What a flash is made of when its file does not exist yet. */
struct provision {
	const char *vendor, *class_name;
	const char *image; /* file for slot 0; NULL: none */
	const char *psk;   /* file of 64 hex digits; NULL: no secret key */
	const char *keys[4];
	unsigned n_keys;
	uint32_t hardware_revision, floor;
	bool plain;	 /* stock SMP clients may update it */
	uint8_t address; /* on a shared line; 0: none */
	uint8_t device_id[16];
};

/* Fills flash (all 0xff) as factory.py does. False after a message on stderr. */
bool host_provision(uint8_t *flash, const struct port_board *b, const struct provision *p);
