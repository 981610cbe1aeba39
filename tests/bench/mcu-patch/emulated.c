/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applies a patch on an emulated board and prints: the reason (0: done), instructions, those of the
 * dearest page, bytes of stack. At INPUT: size of the patch, of the old image, the patch; the old
 * image at OLD, the new one goes to NEW.
 */
#include <edgeferry/patch.h>
#include <string.h>

#define STACK 4096u
#define PAINT 0xa5u

#ifdef __riscv
#define INPUT 0x81000000u
static uint32_t instructions(void)
{
	uint32_t n;

	__asm__ volatile("csrr %0, minstret" : "=r"(n));
	return n;
}

static void host(uint32_t operation, const void *argument)
{
	register uint32_t a0 __asm__("a0") = operation;
	register const void *a1 __asm__("a1") = argument;

	__asm__ volatile(".balign 16\n.option push\n.option norvc\nslli x0, x0, 0x1f\nebreak\nsrai "
			 "x0, x0, 7\n"
			 ".option pop"
			 : "+r"(a0)
			 : "r"(a1)
			 : "memory");
}
#else
#define INPUT 0x21000000u
/* The board's timer counts down at 25 MHz, and an instruction takes a nanosecond. */
#define TIMER ((volatile uint32_t *)0x40000000u)
static uint32_t instructions(void)
{
	return (0xffffffffu - TIMER[1]) * 40;
}

static void host(uint32_t operation, const void *argument)
{
	register uint32_t r0 __asm__("r0") = operation;
	register const void *r1 __asm__("r1") = argument;

	__asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
#endif
#define OLD ((const uint8_t *)(INPUT + 0x400000u))
#define NEW ((uint8_t *)(INPUT + 0x800000u))

static uint32_t at;
static struct ef_patch patch;

static int next(void *ctx)
{
	const uint32_t *head = (const uint32_t *)INPUT;

	(void)ctx;
	return at < head[0] ? ((const uint8_t *)&head[2])[at++] : -1;
}

static int read_old(void *ctx, uint32_t offset, void *buf, size_t size)
{
	(void)ctx;
	memcpy(buf, OLD + offset, size);
	return 0;
}

static int read_new(void *ctx, uint32_t offset, void *buf, size_t size)
{
	(void)ctx;
	memcpy(buf, NEW + offset, size);
	return 0;
}

static int write_new(void *ctx, uint32_t offset, const void *buf, size_t size)
{
	(void)ctx;
	memcpy(NEW + offset, buf, size);
	return 0;
}

static void print(uint32_t v)
{
	char text[12], *p = text + sizeof(text) - 1;

	*p = 0;
	*--p = ' ';
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	host(4, p);
}

__attribute__((noinline)) static enum ef_reason apply(uint32_t *dearest, uint8_t *low)
{
	static const struct ef_patch_model *const models[] = {&MODEL, &ef_patch_generic, NULL};
	const uint32_t *head = (const uint32_t *)INPUT;
	struct ef_patch_io io = {
		NULL, head[1], EF_PATCH_IMAGE_MAX, next, read_old, read_new, write_new};
	enum ef_reason r = EF_REASON_OK;

	for (uint8_t *p = low; p < (uint8_t *)&r - 64; p++)
		*p = PAINT;
	ef_patch_begin(&patch, &io, models);
	while (!r && !ef_patch_done(&patch)) {
		uint32_t before = instructions(), n;

		r = ef_patch_step(&patch);
		n = instructions() - before;
		if (n > *dearest && patch.range)
			*dearest = n;
	}
	return r;
}

__attribute__((used, externally_visible)) void begin(void);
void begin(void)
{
	static const uint32_t end[2] = {0x20026, 0};
	uint32_t dearest = 0, before;
	uint8_t *low = (uint8_t *)&before - STACK, *p = low;

#ifndef __riscv
	TIMER[2] = 0xffffffffu;
	TIMER[1] = 0xffffffffu;
	TIMER[0] = 1;
#endif
	before = instructions();
	enum ef_reason r = apply(&dearest, low);
	before = instructions() - before;
	while (*p == PAINT)
		p++;
	print(r);
	print(before);
	print(dearest);
	print((uint32_t)((uint8_t *)&before - p));
#ifdef __riscv
	host(0x18, end);
#else
	(void)end;
	host(0x18, (const void *)0x20026);
#endif
	for (;;)
		;
}

#ifdef __riscv
__asm__(".section .first,\"ax\"\n.globl first\nfirst: li sp, 0x80f00000\nj begin\n");
#else
__attribute__((section(".first"), used)) static void *const first[2] = {
	(void *)0x20100000, (void *)begin};
#endif
