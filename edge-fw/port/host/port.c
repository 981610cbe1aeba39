/* SPDX-License-Identifier: Apache-2.0 */
/* The port of edgeferry-node: NOR rules on a mapped file, reset by longjmp. */
#include "agent/crash.h"
#include "boot/retained.h"
#include "host.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct host host;

uint64_t host_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
	return host_now_us() / 1000;
}

static _Noreturn void leave(enum host_event event)
{
	longjmp(host.restart, event);
}

void host_restart(void)
{
	leave(HOST_RESET);
}

void port_init(void)
{
	host.base_ms = host.last_tick = now_ms();
	host.tick = NULL;
	if (host.line->start)
		host.line->start();
}

const struct port_board *port_board(void)
{
	return &host.board;
}

bool host_layout(struct port_board *b, uint32_t slot_size)
{
	uint32_t at = 0;

	if (slot_size == 0 || slot_size > HOST_SLOT_MAX || slot_size % HOST_UNIT)
		return false;
	b->core = "host";
	b->page = HOST_PAGE;
	b->word = 4;
	b->watchdog_ms = 3000;
	b->fast = true;
	b->slot[0] = (struct port_area){at, slot_size};
	b->slot[1] = (struct port_area){at += slot_size, slot_size + HOST_UNIT};
	b->journal = (struct port_area){at += slot_size + HOST_UNIT, HOST_PAGE};
	b->state = (struct port_area){at += HOST_PAGE, 2 * HOST_PAGE};
	b->factory = (struct port_area){at += 2 * HOST_PAGE, HOST_PAGE};
	b->secrets = (struct port_area){at += HOST_PAGE, 2 * HOST_PAGE};
	b->keys = (struct port_area){at += 2 * HOST_PAGE, 2 * HOST_PAGE};
	return true;
}

uint32_t host_flash_size(const struct port_board *b)
{
	return b->keys.offset + b->keys.size;
}

/* ---- watchdog and tick: looked at whenever the program comes through the port ---- */

static void look_at_clock(void)
{
	uint64_t now;

	host_pins_look();
	host.now_us = host_now_us();
	now = host.now_us / 1000;
	if (host.end)
		exit(0);
	if (host.watchdog && now >= host.watchdog) {
		crash_record(PORT_CAUSE_WATCHDOG, &(struct crash_site){0});
		retained_set_cause(PORT_CAUSE_WATCHDOG);
		leave(HOST_RESET);
	}
	while (now - host.last_tick >= PORT_TICK_MS) {
		host.last_tick += PORT_TICK_MS;
		if (host.tick)
			host.tick();
	}
}

uint32_t port_tick_late(void)
{
	return (uint32_t)(host.now_us - host.last_tick * 1000);
}

void port_watchdog_start(void)
{
	host.watchdog = now_ms() + host.board.watchdog_ms;
}

void port_watchdog_feed(void)
{
	if (host.watchdog)
		port_watchdog_start();
}

uint32_t port_millis(void)
{
	return (uint32_t)(now_ms() - host.base_ms);
}

void port_on_tick(void (*hook)(void))
{
	host.tick = hook;
}

/* ---- flash ---- */

static bool in_flash(uint32_t offset, size_t size)
{
	return offset <= host.flash_size && size <= host.flash_size - offset;
}

/* True when this operation is the one that --cut names: it is then done by half. */
static bool operation(void)
{
	look_at_clock();
	return ++host.operations == host.cut_at;
}

static _Noreturn void power_cut(void)
{
	_exit(HOST_CUT_STATUS);
}

int port_flash_read(uint32_t offset, void *buf, size_t size)
{
	if (!in_flash(offset, size))
		return -1;
	memcpy(buf, host.flash + offset, size);
	return 0;
}

int port_flash_erase(uint32_t offset)
{
	bool cut = operation();

	if (!in_flash(offset, HOST_PAGE) || offset % HOST_PAGE)
		return -1;
	memset(host.flash + offset, 0xff, cut ? HOST_PAGE / 2 : HOST_PAGE);
	if (cut)
		power_cut();
	return 0;
}

int port_flash_program(uint32_t offset, const void *data, size_t size)
{
	const uint8_t *from = data;
	bool cut = operation();

	if (!in_flash(offset, size) || (offset | size) % host.board.word)
		return -1;
	for (size_t i = 0; i < (cut ? size / 2 : size); i++)
		host.flash[offset + i] &= from[i];
	if (cut)
		power_cut();
	return 0;
}

/* ---- serial line ---- */

size_t port_uart_read(uint8_t *buf, size_t size)
{
	look_at_clock();
	return host.line->read(buf, size);
}

void port_uart_write(const uint8_t *data, size_t size)
{
	host.line->write(data, size);
}

bool port_uart_idle(void)
{
	return true;
}

bool port_uart_can_baud(uint32_t baud)
{
	return host.line->can_baud && host.line->can_baud(baud);
}

void port_uart_set_baud(uint32_t baud)
{
	if (host.line->set_baud)
		host.line->set_baud(baud);
}

void port_wait(void)
{
	struct pollfd p[] = {{.fd = host.line->fd(), .events = POLLIN},
		{.fd = host_pins_fd(), .events = POLLIN}};

	poll(p, 2, PORT_TICK_MS);
	look_at_clock();
}

uint32_t port_uart_lost(void)
{
	return 0; /* the kernel holds back whoever sends too much */
}

/* ---- faults ---- */

static void on_trap(int number, siginfo_t *info, void *context)
{
	struct crash_site site = {
		.pc = (uint32_t)(uintptr_t)info->si_addr, .exception = (uint32_t)number};

	(void)context;
	crash_record(PORT_CAUSE_FAULT, &site);
	retained_set_cause(PORT_CAUSE_FAULT);
	leave(HOST_RESET);
}

void host_catch_faults(void)
{
	/* left by longjmp: the signal must not stay blocked */
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGILL, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
}

/* ---- the rest ---- */

void port_power(struct port_power *p)
{
	*p = host.power;
}

uint32_t port_stack_free(void)
{
	return 0; /* it has no bound of its own here */
}

void port_reset(void)
{
	leave(HOST_RESET);
}

enum port_cause port_reset_cause(void)
{
	return PORT_CAUSE_UNKNOWN;
}

uint32_t *port_retained(void)
{
	return host.retained;
}

bool port_random(void *buf, size_t size)
{
	return getentropy(buf, size) == 0;
}

void port_start_image(uint32_t offset)
{
	host.image = offset;
	leave(HOST_START_IMAGE);
}
