/* SPDX-License-Identifier: Apache-2.0 */
#include "flash-sim.h"
#include <string.h>

struct sim sim;

void sim_init(uint32_t page, uint32_t pages_in_scratch, uint32_t units, bool fast)
{
	uint32_t scratch = page * pages_in_scratch, slot = scratch * units, at = 0;
	uint32_t journal = (units * 12 + page - 1) / page * page;

	memset(&sim, 0, sizeof(sim));
	sim.board = (struct port_board){.name = "sim",
		.core = "host",
		.page = page,
		.word = 4,
		.watchdog_ms = 1000,
		.fast = fast};
	sim.board.slot[0] = (struct port_area){at, slot};
	sim.board.slot[1] = (struct port_area){at += slot, slot};
	sim.board.scratch = (struct port_area){at += slot, scratch};
	sim.board.journal = (struct port_area){at += scratch, journal};
	sim.board.state = (struct port_area){at += journal, 2 * page};
	sim.board.factory = (struct port_area){at += 2 * page, 512};
	at += (512 + page - 1) / page * page;
	sim.board.secrets = (struct port_area){at, 2 * page};
	sim.size = at + 2 * page;
	sim.random = 1;
	sim.power = (struct port_power){.battery = 100, .external = true};
	memset(sim.flash, 0xff, sim.size);
}

static _Noreturn void end(enum sim_event e)
{
	longjmp(*sim.end, e);
}

enum sim_event sim_run(void (*f)(void *), void *ctx)
{
	jmp_buf here, *outer = sim.end;
	volatile enum sim_event e;

	sim.end = &here;
	e = (enum sim_event)setjmp(here);
	if (e == SIM_NONE)
		f(ctx);
	sim.end = outer;
	return e;
}

void sim_power_on(void)
{
	sim.cut_at = 0;
	sim.in_at = sim.in_size = sim.out_size = 0;
	memset(sim.retained, 0x5a, sizeof(sim.retained));
}

static uint32_t next_random(void)
{
	sim.random = sim.random * 1664525u + 1013904223u;
	return sim.random >> 8;
}

const struct port_board *port_board(void)
{
	return &sim.board;
}

static bool in_flash(uint32_t offset, size_t size)
{
	return offset <= sim.size && size <= sim.size - offset;
}

int port_flash_read(uint32_t offset, void *buf, size_t size)
{
	if (!in_flash(offset, size))
		return -1;
	memcpy(buf, sim.flash + offset, size);
	return 0;
}

/* How many bytes of the operation come to pass; ends the run after them when the power is cut. */
struct hit {
	bool cut, nothing;
	uint32_t whole; /* bytes */
};

static struct hit operation(uint32_t size)
{
	struct hit h = {.whole = size};

	sim.operations++;
	h.nothing = sim.fail_at && sim.operations == sim.fail_at;
	h.cut = sim.cut_at && sim.operations == sim.cut_at;
	if (h.nothing || (h.cut && sim.cut_kind == CUT_BEFORE))
		h.whole = 0;
	else if (h.cut && sim.cut_kind == CUT_TORN)
		h.whole = size / 2 + 1;
	else if (h.cut && sim.cut_kind == CUT_RANDOM)
		h.whole = 0;
	return h;
}

/* The bits that the operation would change have changed or not, each by chance. */
static void randomise(uint32_t offset, const uint8_t *target, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++) {
		uint8_t old = sim.flash[offset + i], changes = old ^ target[i];
		sim.flash[offset + i] = old ^ (changes & (uint8_t)next_random());
	}
}

int port_flash_erase(uint32_t offset)
{
	static uint8_t blank[65536];
	struct hit h = operation(sim.board.page);

	if (!in_flash(offset, sim.board.page) || offset % sim.board.page)
		return -1;
	sim.erases++;
	memset(blank, 0xff, sizeof(blank));
	memset(sim.flash + offset, 0xff, h.whole);
	if (h.cut && sim.cut_kind == CUT_RANDOM)
		randomise(offset, blank, sim.board.page);
	if (h.cut)
		end(SIM_CUT);
	return 0;
}

int port_flash_program(uint32_t offset, const void *data, size_t size)
{
	uint8_t target[4096];
	struct hit h = operation((uint32_t)size);

	if (!in_flash(offset, size) || (offset | size) % sim.board.word || size > sizeof(target))
		return -1;
	for (size_t i = 0; i < size; i++)
		target[i] = sim.flash[offset + i] & ((const uint8_t *)data)[i];
	memcpy(sim.flash + offset, target, h.whole);
	if (h.cut && sim.cut_kind == CUT_RANDOM)
		randomise(offset, target, (uint32_t)size);
	if (h.cut)
		end(SIM_CUT);
	return 0;
}

void port_init(void)
{
}

size_t port_uart_read(uint8_t *buf, size_t size)
{
	size_t n = sim.in_size - sim.in_at;

	if (n > size)
		n = size;
	memcpy(buf, sim.input + sim.in_at, n);
	sim.in_at += n;
	return n;
}

void port_uart_write(const uint8_t *data, size_t size)
{
	if (size > sizeof(sim.output) - sim.out_size)
		size = sizeof(sim.output) - sim.out_size;
	memcpy(sim.output + sim.out_size, data, size);
	sim.out_size += size;
}

bool port_uart_idle(void)
{
	return true;
}

bool port_uart_can_baud(uint32_t baud)
{
	return baud == 115200 || baud == 1000000;
}

void port_uart_set_baud(uint32_t baud)
{
	sim.baud = baud ? baud : 115200;
}

uint32_t port_millis(void)
{
	return sim.millis;
}

void port_on_tick(void (*hook)(void))
{
	(void)hook;
}

void port_wait(void)
{
	end(SIM_SERVING);
}

void port_watchdog_start(void)
{
}

void port_watchdog_feed(void)
{
}

void port_reset(void)
{
	end(SIM_RESET);
}

enum port_cause port_reset_cause(void)
{
	return PORT_CAUSE_UNKNOWN;
}

uint32_t *port_retained(void)
{
	return sim.retained;
}

void port_power(struct port_power *p)
{
	*p = sim.power;
}

uint32_t port_uart_lost(void)
{
	return 0;
}

uint32_t port_stack_free(void)
{
	return 0;
}

uint32_t port_tick_late(void)
{
	return 0;
}

bool port_random(void *buf, size_t size)
{
	(void)buf;
	(void)size;
	return false;
}

void port_start_image(uint32_t offset)
{
	sim.started = offset;
	end(SIM_STARTED);
}
