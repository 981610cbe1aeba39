/* SPDX-License-Identifier: Apache-2.0 */
#include "mcu.h"
#include "boot/retained.h"

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[];
int main(void);

static struct {
	volatile uint16_t head, tail; /* interrupt writes head, the program tail */
	uint8_t bytes[PORT_RING];
} ring;
_Static_assert((PORT_RING & (PORT_RING - 1)) == 0, "the ring wraps by mask");

static struct {
	const uint8_t *volatile data;
	volatile size_t left;
	volatile bool busy; /* until the last byte has left the transmitter */
} sending;

static volatile uint32_t millis, lost;
static void (*volatile tick_hook)(void);

void ring_push(uint8_t byte)
{
	uint16_t head = ring.head, next = (head + 1u) & (PORT_RING - 1);
	if (next == ring.tail) {
		lost++; /* the frame's CRC will show it */
		return;
	}
	ring.bytes[head] = byte;
	ring.head = next;
}

size_t port_uart_read(uint8_t *buf, size_t size)
{
	size_t n = 0;
	uint16_t tail = ring.tail;
	while (n < size && tail != ring.head) {
		buf[n++] = ring.bytes[tail];
		tail = (tail + 1u) & (PORT_RING - 1);
	}
	ring.tail = tail;
	return n;
}

int transmit_next(void)
{
	if (sending.left == 0) {
		sending.busy = false;
		return -1;
	}
	sending.left--;
	return *sending.data++;
}

void port_uart_write(const uint8_t *data, size_t size)
{
	while (!port_uart_idle())
		port_wait();
	uint32_t lock = irq_lock();
	sending.data = data;
	sending.left = size;
	sending.busy = true;
	board_transmit();
	irq_restore(lock);
}

bool port_uart_idle(void)
{
	return !sending.busy;
}

void tick(void)
{
	millis += PORT_TICK_MS;
	void (*hook)(void) = tick_hook;
	if (hook)
		hook();
}

void port_on_tick(void (*hook)(void))
{
	tick_hook = hook;
}

uint32_t port_millis(void)
{
	return millis;
}

void port_wait(void)
{
	/* interrupts off, so that none slips in between the look and the sleep, which ends with
	 * the next one all the same */
	uint32_t lock = irq_lock();
	if (ring.tail == ring.head)
		core_sleep();
	irq_restore(lock);
}

uint32_t port_uart_lost(void)
{
	return lost;
}

uint32_t *port_retained(void)
{
	return (uint32_t *)(uintptr_t)ram_head.retained;
}

void reset_because(enum port_cause cause)
{
	retained_set_cause(cause);
	port_reset();
}

/* called from assembler */
__attribute__((used)) void c_start(void)
{
	const uint32_t *from = data_load;
	for (uint32_t *to = data_start; to < data_end;)
		*to++ = *from++;
	for (uint32_t *to = bss_start; to < bss_end;)
		*to++ = 0;
	main();
	reset_because(PORT_CAUSE_FAULT); /* main never returns */
}
