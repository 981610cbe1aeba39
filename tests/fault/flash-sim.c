/* SPDX-License-Identifier: Apache-2.0 */
#include "flash-sim.h"
#include <string.h>

struct sim sim;

void sim_init(uint32_t page, uint32_t pages_in_unit, uint32_t units, bool fast)
{
	uint32_t unit = page * pages_in_unit, slot = unit * units, at = 0;
	uint32_t journal = (units * 8 + page - 1) / page * page;

	memset(&sim, 0, sizeof(sim));
	sim.board = (struct port_board){.name = "sim",
		.core = "host",
		.page = page,
		.word = 4,
		.watchdog_ms = 1000,
		.fast = fast};
	sim.board.slot[0] = (struct port_area){at, slot};
	sim.board.slot[1] = (struct port_area){at += slot, slot + unit};
	sim.board.journal = (struct port_area){at += slot + unit, journal};
	sim.board.state = (struct port_area){at += journal, 2 * page};
	sim.board.factory = (struct port_area){at += 2 * page, page};
	sim.board.secrets = (struct port_area){at += page, 2 * page};
	sim.board.keys = (struct port_area){at += 2 * page, 2 * page};
	sim.board.recovery = (struct port_area){at += 2 * page, slot};
	sim.size = at + slot;
	sim.random = 1;
	sim.power = (struct port_power){.battery = 100, .external = true};
	memset(sim.flash, 0xff, sim.size);
}

void sim_copy(struct sim *to, const struct sim *from)
{
	if (from->unstable_bits || to->unstable_bits)
		memcpy(to->unstable, from->unstable, from->size);
	memcpy(to, from, offsetof(struct sim, flash));
	memcpy(to->flash, from->flash, from->size);
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
	sim.cut_at = sim.fault_at = sim.bad_page = 0;
	sim.chip_cause = PORT_CAUSE_UNKNOWN;
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

/* True when something is to go wrong with what is done now at this place. */
static bool faulty(uint32_t offset, uint32_t number)
{
	return (sim.fault_at && number == sim.fault_at) ||
	       (sim.bad_page && offset / sim.board.page == sim.bad_page - 1);
}

int port_flash_read(uint32_t offset, void *buf, size_t size)
{
	uint8_t *to = buf;

	if (!in_flash(offset, size))
		return -1;
	sim.reads++;
	memcpy(to, sim.flash + offset, size);
	if (sim.unstable_bits)
		for (size_t i = 0; i < size; i++)
			if (sim.unstable[offset + i])
				to[i] ^= sim.unstable[offset + i] & (uint8_t)next_random();
	if (sim.spoil)
		sim.spoil(offset, to, size);
	if (sim.fault < FAULT_READ || !faulty(offset, sim.reads))
		return 0;
	if (sim.fault == FAULT_READ)
		return -1;
	to[next_random() % size] ^= (uint8_t)(1u << next_random() % 8);
	return 0;
}

/* ---- erase and program: flash goes to target, or some of the way ---- */

struct operation {
	uint32_t offset, size;
	uint8_t *target;	/* what the flash holds when all goes well */
	const uint8_t *written; /* what was asked for; NULL: an erase */
};

/* The beginning of it comes to pass. What was written is firm; a one that is written says nothing.
 */
static void settle(const struct operation *o, uint32_t size)
{
	memcpy(sim.flash + o->offset, o->target, size);
	for (uint32_t i = 0; sim.unstable_bits && i < size; i++)
		sim.unstable[o->offset + i] &= o->written ? o->written[i] : 0;
}

/* The bits that the operation would change have changed or not, each by chance. */
static void by_chance(const struct operation *o)
{
	for (uint32_t i = 0; i < o->size; i++) {
		uint8_t changes = sim.flash[o->offset + i] ^ o->target[i];
		sim.flash[o->offset + i] ^= changes & (uint8_t)next_random();
	}
}

/* One of the bits that the operation would change; *at is its byte. 0: it changes none. */
static uint8_t changing_bit(const struct operation *o, uint32_t *at)
{
	uint8_t changes = 0;

	*at = next_random() % o->size;
	for (uint32_t i = 0; i < o->size && !changes; i++) {
		*at = (*at + 1) % o->size;
		changes = sim.flash[o->offset + *at] ^ o->target[*at];
	}
	return changes & (uint8_t)-changes;
}

/* Nearly done, or hardly begun: a bit or two are half way and read as they like, so that all of it
 * looks done, or not. */
static void half_way(const struct operation *o)
{
	uint32_t at[2];
	uint8_t bit[2];

	for (int i = 0; i < 2; i++)
		bit[i] = changing_bit(o, &at[i]);
	if (next_random() % 2)
		settle(o, o->size);
	for (int i = 0; i < 2; i++)
		sim.unstable[o->offset + at[i]] |= bit[i];
	sim.unstable_bits = true;
}

static void cut_short(const struct operation *o, enum sim_cut kind)
{
	switch (kind) {
	case CUT_TORN:
		settle(o, next_random() % o->size);
		break;
	case CUT_RANDOM:
		by_chance(o);
		break;
	case CUT_UNSTABLE:
		half_way(o);
		break;
	case CUT_AFTER:
		settle(o, o->size);
		break;
	default:
		break;
	}
}

static const struct operation *watched;

void sim_left_by_cut(enum sim_cut kind, uint32_t random,
	void (*take)(enum sim_cut kind, uint32_t offset, uint32_t size))
{
	static uint8_t flash[SIM_PAGE_MAX], unstable[SIM_PAGE_MAX];
	const struct operation *o = watched;
	bool unstable_bits = sim.unstable_bits;
	uint32_t random_before = sim.random;

	memcpy(flash, sim.flash + o->offset, o->size);
	memcpy(unstable, sim.unstable + o->offset, o->size);
	sim.random = random;
	cut_short(o, kind);
	take(kind, o->offset, o->size);
	memcpy(sim.flash + o->offset, flash, o->size);
	memcpy(sim.unstable + o->offset, unstable, o->size);
	sim.unstable_bits = unstable_bits;
	sim.random = random_before;
}

static int fail(const struct operation *o)
{
	uint32_t at;

	if (sim.fault == FAULT_REPORTED) {
		settle(o, o->size / 2);
		return -1;
	}
	if (sim.fault == FAULT_BIT) {
		uint8_t bit = changing_bit(o, &at);
		o->target[at] ^= bit;
		settle(o, o->size);
	}
	return 0;
}

static int operate(const struct operation *o)
{
	sim.operations++;
	sim.busy_ms += sim.slow_ms;
	if (sim.slow_ms && sim.busy_ms > sim.board.watchdog_ms)
		end(SIM_WATCHDOG);
	if (sim.watch) {
		watched = o;
		sim.watch();
	}
	if (sim.cut_at && sim.operations == sim.cut_at) {
		cut_short(o, sim.cut_kind);
		end(SIM_CUT);
	}
	if (sim.fault < FAULT_READ && faulty(o->offset, sim.operations))
		return fail(o);
	settle(o, o->size);
	return 0;
}

int port_flash_erase(uint32_t offset)
{
	static uint8_t blank[SIM_PAGE_MAX];

	if (!in_flash(offset, sim.board.page) || offset % sim.board.page)
		return -1;
	sim.erases++;
	sim.wear[offset / sim.board.page]++;
	memset(blank, 0xff, sim.board.page);
	return operate(&(struct operation){offset, sim.board.page, blank, NULL});
}

int port_flash_program(uint32_t offset, const void *data, size_t size)
{
	uint8_t target[4096];

	if (!in_flash(offset, size) || (offset | size) % sim.board.word || size > sizeof(target))
		return -1;
	for (size_t i = 0; i < size; i++)
		target[i] = sim.flash[offset + i] & ((const uint8_t *)data)[i];
	return operate(&(struct operation){offset, (uint32_t)size, target, data});
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
	sim.busy_ms = 0;
}

void port_reset(void)
{
	end(SIM_RESET);
}

enum port_cause port_reset_cause(void)
{
	return sim.chip_cause;
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
