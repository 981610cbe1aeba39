/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/line.h"
#include <edgeferry/smp.h>
#include <string.h>

#define RAW_MAX 4096u	  /* no peer sends more: what claims to be longer is none */
#define RAW_READ_MAX 255u /* body of a read of version 1, which begins as zeros on the line do */
#define RAW_KNOWN 9u	  /* bytes by which a raw message is told from all else */
#define MARKED_CHARS 8u	  /* base64 behind 06 09 by which it is told from a broken frame */
_Static_assert(LINE_LOOK_AHEAD == 2 + MARKED_CHARS, "the queue holds a marked beginning");

/* The framing under way; between messages none is known. */
enum { COBS = FRAMING_COBS, CONSOLE = FRAMING_CONSOLE, RAW = FRAMING_RAW, START, WAIT, DROP };

/* First byte of a request of either version of SMP. */
static bool is_request(uint8_t b)
{
	return (b & ~0x0au) == 0;
}

/*
 * What begins with the bytes in the queue. A raw request has 00 as its second byte and, for a group
 * below 256, as its fifth; in COBS these would be frames of one and two bytes, which are none. Its
 * body begins with a map: zeros in front of it are not taken for a part of it. A console marker as
 * the beginning of a COBS frame would be that of an answer.
 */
static unsigned classify(const struct line_receiver *r)
{
	const uint8_t *q = r->queue;
	unsigned length = (unsigned)q[2] << 8 | q[3], longest = q[0] ? RAW_MAX : RAW_READ_MAX;

	if (q[0] == CONSOLE_FIRST_0 || q[0] == CONSOLE_NEXT_0) {
		if (r->queued < 2)
			return WAIT;
		return q[1] == (q[0] == CONSOLE_FIRST_0 ? CONSOLE_FIRST_1 : CONSOLE_NEXT_1)
			       ? CONSOLE
			       : COBS;
	}
	if (!is_request(q[0]))
		return COBS;
	if (r->queued < 2)
		return WAIT;
	if (q[1])
		return q[0] ? COBS : DROP; /* 00 alone ends or begins a frame */
	if (r->queued >= 5 && (length == 0 || length > longest || q[4]))
		return DROP;
	if (r->queued < RAW_KNOWN)
		return WAIT;
	return q[8] >> 5 == 5 ? RAW : DROP;
}

static void frame_start(struct line_receiver *r)
{
	frame_receiver_restart(&r->frame);
	if (r->console.message) {
		r->console.message = false; /* its buffer is used for something else now */
		r->console.dropped++;
	}
}

static uint8_t dequeue(struct line_receiver *r)
{
	uint8_t b = r->queue[0];

	r->queued--;
	for (unsigned i = 0; i < r->queued; i++)
		r->queue[i] = r->queue[i + 1];
	return b;
}

static void start(struct line_receiver *r, unsigned what)
{
	r->state = r->framing = (uint8_t)what;
	if (what == CONSOLE) {
		dequeue(r);
		console_begin(&r->console, dequeue(r) == CONSOLE_FIRST_1);
		return;
	}
	frame_start(r);
	if (what == RAW)
		r->left = (uint16_t)(EF_SMP_HEADER_SIZE + (r->queue[2] << 8 | r->queue[3]));
}

/*
 * Text that lay on the line, taken for a COBS frame: a console message in it must not get lost. It
 * begins neither like a request nor, with the upper three bits set, like a frame of a session.
 */
static bool looks_like_text(const struct line_receiver *r)
{
	const struct frame_receiver *f = &r->frame;

	return f->used < 2 || !((is_request(f->buf[0]) && !f->buf[1]) || f->buf[0] >= 0xe0);
}

static bool continues_marked(const struct line_receiver *r, uint8_t b)
{
	static const uint8_t marker[2] = {CONSOLE_FIRST_0, CONSOLE_FIRST_1};

	return r->queued < 2 ? b == marker[r->queued] : console_is_base64(b);
}

static size_t take_cobs(struct line_receiver *r, uint8_t b)
{
	size_t size = frame_receive(&r->frame, b);

	if (b == 0) {
		r->state = START;
		r->queued = 0;
		return size;
	}
	if (!continues_marked(r, b))
		r->queued = 0; /* b may be the first of a marker all the same */
	if (!looks_like_text(r) || !continues_marked(r, b))
		return 0;
	r->queue[r->queued++] = b;
	if (r->queued == LINE_LOOK_AHEAD) {
		r->frame.dropped++;
		r->state = START;
	}
	return 0;
}

static size_t take_console(struct line_receiver *r, uint8_t b)
{
	size_t size = console_receive(&r->console, b);

	if (!r->console.line)
		r->state = START;
	return size;
}

static size_t take_raw(struct line_receiver *r, uint8_t b)
{
	struct frame_receiver *f = &r->frame;

	if (f->used < f->size)
		f->buf[f->used++] = b;
	else
		f->bad = true;
	if (--r->left)
		return 0;
	r->state = START;
	r->dropped += f->bad;
	return f->bad ? 0 : f->used;
}

static size_t take(struct line_receiver *r, uint8_t b)
{
	switch (r->state) {
	case COBS:
		return take_cobs(r, b);
	case CONSOLE:
		return take_console(r, b);
	default:
		return take_raw(r, b);
	}
}

/* What was held back until it was known what it is; a frame may end in it. */
static size_t take_queue(struct line_receiver *r)
{
	uint8_t bytes[LINE_LOOK_AHEAD];
	unsigned n = r->queued, i = 0;
	size_t size = 0;

	memcpy(bytes, r->queue, n);
	r->queued = 0;
	while (i < n && r->state != START)
		size = take(r, bytes[i++]);
	for (; i < n; i++)
		r->queue[r->queued++] = bytes[i];
	return size;
}

void line_receiver_init(struct line_receiver *r, void *buf, size_t size)
{
	memset(r, 0, sizeof(*r));
	frame_receiver_init(&r->frame, buf, size);
	console_receiver_init(&r->console, buf, size);
	r->state = START;
}

size_t line_receive(struct line_receiver *r, uint8_t b)
{
	size_t size = 0;

	if (r->state == START)
		r->queue[r->queued++] = b;
	else
		size = take(r, b);
	while (r->state == START && r->queued && !size) {
		unsigned what = classify(r);

		if (what == WAIT)
			break;
		if (what == DROP) {
			dequeue(r);
		} else {
			start(r, what);
			size = take_queue(r);
		}
	}
	r->messages += size != 0;
	return size;
}

void line_idle(struct line_receiver *r, uint32_t ms)
{
	if (ms < (r->state == RAW ? LINE_RAW_IDLE_MS : LINE_IDLE_MS))
		return;
	if (r->state != START && r->state != CONSOLE)
		r->dropped++;
	r->state = START;
	r->queued = 0;
	frame_start(r);
}

uint32_t line_dropped(const struct line_receiver *r)
{
	return r->frame.dropped + r->console.dropped + r->dropped;
}
