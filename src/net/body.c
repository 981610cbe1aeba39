/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an answer: is it what was asked for, which of them are wanted, into the pipe. */
#include "net/fetch-internal.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define DISCARD_MAX 65536u     /* of an error page; then the connection is not worth it */
#define SKIP_MAX (16ull << 20) /* beyond four times the file, for a server that ignores ranges */

static void refuse(struct fetch *f, enum ef_reason reason, const char *what)
{
	error_set(&f->error, reason, "%s: %s", f->path, what);
}

/* F-08: what follows must be of the same state of the file as what is in the pipe already. */
static bool same_file(struct fetch *f)
{
	const struct answer *a = &f->answer;
	/* A 206 to If-Range: is of that state by being one, and may leave the date out. */
	bool implied = a->status == 206 && f->headers && !entity_known(&a->entity);
	bool other =
		(!implied && !entity_same(&f->entity, &a->entity)) ||
		(f->total != ANSWER_UNKNOWN && a->total != ANSWER_UNKNOWN && f->total != a->total);

	if (f->spans.delivered > 0 && other) {
		refuse(f, EF_REASON_NET_HTTP, "changed on the server while it was fetched");
		return false;
	}
	if (!implied)
		f->entity = a->entity;
	if (a->total != ANSWER_UNKNOWN || f->spans.delivered == 0)
		f->total = a->total;
	if (f->spans.n == 0 && f->total != ANSWER_UNKNOWN && f->total > f->max_size) {
		refuse(f, EF_REASON_NET_TOO_LARGE, "larger than it may be");
		return false;
	}
	return true;
}

static void accept_whole(struct fetch *f)
{
	if (!same_file(f))
		return;
	f->pos = 0;
	f->stream_end = f->answer.total;
}

static void accept_part(struct fetch *f)
{
	const struct answer *a = &f->answer;

	if (!f->asked_range || a->multipart || !a->has_range)
		refuse(f, EF_REASON_NET_HTTP, "a partial answer that was not asked for");
	else if (a->first != f->asked_first || a->last > f->asked_last)
		refuse(f, EF_REASON_NET_HTTP, "another range than the one asked for");
	else if (same_file(f)) {
		f->pos = a->first;
		f->stream_end = a->last + 1;
	}
}

void fetch_accept(struct fetch *f)
{
	long status = f->answer.status;

	f->accepted = true;
	if (status == 200)
		accept_whole(f);
	else if (status == 206)
		accept_part(f);
	else if (status == 416)
		refuse(f, EF_REASON_BAD_SIZE, "the server says that the file is shorter");
	else if (answer_transient(status))
		f->discard = true;
	else
		error_set(
			&f->error, answer_refusal(status), "%s: HTTP status %ld", f->path, status);
}

/* Bytes that went in, 0 when the pipe is full, negative errno. */
static ssize_t into_pipe(int fd, const void *data, size_t size)
{
	ssize_t n;

	do
		n = write(fd, data, size);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN ? 0 : -errno;
}

static uint64_t skip_limit(const struct fetch *f)
{
	uint64_t end = f->spans.n > 0 ? 0 : f->max_size;

	for (size_t i = 0; i < f->spans.n; i++)
		if (f->spans.ranges[i].offset + f->spans.ranges[i].size > end)
			end = f->spans.ranges[i].offset + f->spans.ranges[i].size;
	return end / 4 >= UINT64_MAX / 32 ? UINT64_MAX : 4 * end + SKIP_MAX;
}

static bool skip(struct fetch *f, uint64_t n)
{
	if (n == 0)
		return true;
	f->pos += n;
	f->skipped += n;
	if (f->skipped <= skip_limit(f))
		return true;
	refuse(f, EF_REASON_NET_HTTP, "the server ignores ranges; too much would be fetched twice");
	return false;
}

/* Limits a stretch of a whole file to what may come. False: nothing more may. */
static bool within_limit(struct fetch *f, uint64_t *deliver)
{
	if (f->spans.n > 0)
		return true;
	if (*deliver > f->max_size - f->spans.delivered)
		*deliver = f->max_size - f->spans.delivered;
	if (*deliver > 0)
		return true;
	refuse(f, EF_REASON_NET_TOO_LARGE, "more came than may");
	return false;
}

/* Returns how many bytes are dealt with: all, or less with the pipe full, error or satisfied set.
 */
static size_t feed(struct fetch *f, const uint8_t *data, size_t size)
{
	size_t used = 0;
	uint64_t unwanted, deliver;

	while (used < size) {
		if (!spans_take(&f->spans, f->pos, size - used, &unwanted, &deliver)) {
			f->satisfied = true;
			return used;
		}
		if (!skip(f, unwanted))
			return used;
		used += unwanted;
		if (used == size || !within_limit(f, &deliver))
			return used;
		ssize_t n = into_pipe(f->fd, data + used, deliver);
		if (n < 0) {
			error_errno(&f->error, (int)n, "pipe");
			if (n == -EPIPE)
				f->error.reason = EF_REASON_CANCELLED;
			return used;
		}
		if (n == 0)
			return used;
		used += (size_t)n;
		f->pos += (uint64_t)n;
		spans_advance(&f->spans, (uint64_t)n);
	}
	/* The rest of a file that came whole is not waited for. */
	if (spans_done(&f->spans) && f->pos < f->stream_end)
		f->satisfied = true;
	return used;
}

static bool hold(struct fetch *f, const uint8_t *data, size_t size)
{
	f->held = malloc(size);
	if (!f->held) {
		error_set(&f->error, EF_REASON_NO_MEMORY, "%s", f->path);
		return false;
	}
	memcpy(f->held, data, size);
	f->held_size = size;
	f->waited = true;
	sd_event_source_set_io_events(f->pipe, EPOLLOUT);
	return true;
}

size_t fetch_body(struct fetch *f, const char *data, size_t size)
{
	const uint8_t *bytes = (const uint8_t *)data;

	if (f->held_size > 0) {
		f->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	f->window_bytes += size;
	if (!f->accepted)
		fetch_accept(f);
	if (f->error.reason)
		return 0;
	if (f->discard) {
		f->discarded += size;
		f->satisfied = f->discarded > DISCARD_MAX;
		return f->satisfied ? 0 : size;
	}
	size_t used = feed(f, bytes, size);
	if (f->error.reason || f->satisfied)
		return 0;
	if (used < size && !hold(f, bytes + used, size - used))
		return 0;
	return size;
}

void fetch_flush(struct fetch *f)
{
	size_t used = feed(f, f->held, f->held_size);

	if (used < f->held_size && !f->error.reason && !f->satisfied) {
		memmove(f->held, f->held + used, f->held_size - used);
		f->held_size -= used;
		return;
	}
	free(f->held);
	f->held = NULL;
	f->held_size = 0;
	sd_event_source_set_io_events(f->pipe, 0);
}
