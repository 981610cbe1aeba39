/* SPDX-License-Identifier: Apache-2.0 */
/* Vector table, C start-up, receive ring and tick for every Cortex-M board. */
#include "boot/retained.h"
#include "cortex-m.h"

extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];
int main(void);

static struct {
	uint8_t bytes[PORT_RING];
	volatile uint16_t head, tail; /* interrupt writes head, the program tail */
} ring;
_Static_assert((PORT_RING & (PORT_RING - 1)) == 0, "the ring wraps by mask");

static struct {
	const uint8_t *volatile data;
	volatile size_t left;
	volatile bool busy; /* until the last byte has left the transmitter */
} sending;

static volatile uint32_t ticks, lost;
static void (*volatile tick_hook)(void);

void ring_push(uint8_t byte)
{
	uint16_t next = (ring.head + 1u) & (PORT_RING - 1);
	if (next == ring.tail) {
		lost++; /* the frame's CRC will show it */
		return;
	}
	ring.bytes[ring.head] = byte;
	ring.head = next;
}

size_t port_uart_read(uint8_t *buf, size_t size)
{
	size_t n = 0;
	while (n < size && ring.tail != ring.head) {
		buf[n++] = ring.bytes[ring.tail];
		ring.tail = (ring.tail + 1u) & (PORT_RING - 1);
	}
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
	ticks++;
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
	return ticks * PORT_TICK_MS;
}

void port_wait(void)
{
	/* interrupts off, so that none slips in between the look and the sleep; WFI wakes all the
	 * same */
	uint32_t lock = irq_lock();
	if (ring.tail == ring.head)
		__asm volatile("wfi");
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

void port_reset(void)
{
	__asm volatile("dsb" ::: "memory");
	AIRCR = AIRCR_SYSRESETREQ;
	for (;;)
		;
}

void reset_because(enum port_cause cause)
{
	retained_set_cause(cause);
	port_reset();
}

void start_vectors(uint32_t table)
{
	const uint32_t *v = (const uint32_t *)(uintptr_t)table;
	__asm volatile("msr msp, %0\n cpsie i\n bx %1" ::"r"(v[0]), "r"(v[1]) : "memory");
	__builtin_unreachable();
}

_Noreturn void reset_handler(void)
{
	const uint32_t *from = data_load;
	for (uint32_t *to = data_start; to < data_end;)
		*to++ = *from++;
	for (uint32_t *to = bss_start; to < bss_end;)
		*to++ = 0;
	main();
	reset_because(PORT_CAUSE_FAULT); /* main never returns */
}

/* Interrupts 0 to 31; the board says which of them it uses. */
#define IRQ(n)                                                   \
	((n) == BOARD_IRQ_UART		    ? board_uart_irq     \
		: (n) == BOARD_IRQ_UART_TX  ? board_uart_irq     \
		: (n) == BOARD_IRQ_TICK	    ? board_tick_irq     \
		: (n) == BOARD_IRQ_WATCHDOG ? board_watchdog_irq \
					    : fault)
#define IRQ4(n) IRQ(n), IRQ((n) + 1), IRQ((n) + 2), IRQ((n) + 3)

__attribute__((section(".vectors"), used))
const vector image_vectors[16 + 32] = {(vector)stack_top, (vector)reset_handler, BOARD_NMI, fault,
	fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, BOARD_SYSTICK,
	IRQ4(0), IRQ4(4), IRQ4(8), IRQ4(12), IRQ4(16), IRQ4(20), IRQ4(24), IRQ4(28)};
