/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/intake.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define AT_ONCE (256u << 10)

static ssize_t read_stream(struct intake *in, void *data, size_t size)
{
	int r = control_wait(in->control, in->fd);

	ssize_t n = r < 0 ? r : read(in->fd, data, size);
	return r < 0 || n >= 0 ? n : -errno;
}

/* As a stream of the ranges would have them. */
static ssize_t read_file(struct intake *in, void *data, size_t size)
{
	int r = control_check(in->control);

	if (r < 0 || in->next_range == in->n)
		return r;
	const struct ipc_range *x = &in->ranges[in->next_range];
	uint64_t offset = x->offset + in->next_within, left = x->size - in->next_within;
	if (in->base > INT64_MAX - offset)
		return -EFBIG;
	ssize_t n = pread(in->fd, data, size < left ? size : left, (off_t)(in->base + offset));
	if (n > 0 && (uint64_t)n == left) {
		in->next_range++;
		in->next_within = 0;
	} else if (n > 0) {
		in->next_within += (uint64_t)n;
	}
	return n < 0 ? -errno : n;
}

/* At least size bytes in a row. */
static int fill(struct intake *in, size_t size)
{
	if (INTAKE_ROOM - in->from < size || in->from == in->to) {
		memmove(in->data, in->data + in->from, in->to - in->from);
		in->to -= in->from;
		in->from = 0;
	}
	while (in->to - in->from < size) {
		size_t lacking = size - (in->to - in->from), room = INTAKE_ROOM - in->to;
		size_t want = lacking > AT_ONCE ? lacking : AT_ONCE;
		ssize_t n = (in->whole ? read_file : read_stream)(
			in, in->data + in->to, want < room ? want : room);
		if (n == 0)
			return -ENODATA;
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n < 0)
			return (int)n;
		in->to += (size_t)n;
	}
	return 0;
}

static void advance(struct intake *in, size_t n)
{
	in->from += n;
	in->taken += n;
	in->within += n;
	while (in->range < in->n && in->within >= in->ranges[in->range].size)
		in->within -= in->ranges[in->range++].size;
}

int intake_take(struct intake *in, uint64_t offset, size_t size, const uint8_t **ret)
{
	int r;

	for (;;) {
		if (in->range == in->n)
			return -ENODATA;
		const struct ipc_range *x = &in->ranges[in->range];
		uint64_t end = x->offset + x->size, at = x->offset + in->within;
		if (offset < at)
			return -EINVAL;
		uint64_t gap = (offset < end ? offset : end) - at;
		if (gap == 0)
			break;
		r = fill(in, 1);
		if (r < 0)
			return r;
		advance(in, gap < in->to - in->from ? (size_t)gap : in->to - in->from);
	}
	r = fill(in, size);
	if (r < 0)
		return r;
	*ret = in->data + in->from;
	advance(in, size);
	return 0;
}
