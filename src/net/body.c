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
	f->whole = f->spans.n > 0;
	f->pos = 0;
	f->stream_end = f->answer.total;
}

/* Whoever cannot answer several ranges may well answer one. */
static void ask_for_one(struct fetch *f)
{
	f->one_range = true;
	f->ask_again = f->satisfied = true;
}

/* Of the first range that was asked for, or all of them in one with what is between. */
static bool range_may_be(const struct fetch *f)
{
	const struct answer *a = &f->answer;
	uint64_t last = f->asked_last;

	if (a->first != f->asked_first)
		return false;
	if (f->asked_parts > 1 && a->last != last)
		last = f->spans.ranges[f->spans.at].offset + f->spans.ranges[f->spans.at].size - 1;
	return a->last <= last;
}

static void accept_part(struct fetch *f)
{
	const struct answer *a = &f->answer;

	if (!f->asked_range || (!a->has_range && !a->multipart) || (a->has_range && a->multipart))
		refuse(f, EF_REASON_NET_HTTP, "a partial answer that was not asked for");
	else if (a->multipart && (f->asked_parts < 2 || !a->has_parts))
		refuse(f, EF_REASON_NET_HTTP, "an answer in parts that was not asked for");
	else if (!a->multipart && !range_may_be(f))
		refuse(f, EF_REASON_NET_HTTP, "another range than the one asked for");
	else if (same_file(f)) {
		/* the first of several, or all of them in one */
		f->one_range |= f->asked_parts > 1 && !a->multipart && a->last < f->asked_last;
		f->pos = a->multipart ? f->asked_first : a->first;
		f->stream_end = a->multipart ? f->pos : a->last + 1;
	}
}

void fetch_accept(struct fetch *f)
{
	long status = f->answer.status;

	f->accepted = true;
	if (f->asked_parts > 1 && (status == 200 || status == 400 || status == 416))
		ask_for_one(f);
	else if (status == 200)
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

/* The headers of a part were read: is it the next one that is wanted? */
static bool accept_one_of(struct fetch *f)
{
	const struct parts *p = &f->answer.parts;

	if (spans_done(&f->spans) || p->first != spans_next(&f->spans) || p->last > f->asked_last) {
		refuse(f, EF_REASON_NET_HTTP, "another part than the one asked for");
		return false;
	}
	if (p->total != ANSWER_UNKNOWN && f->total != ANSWER_UNKNOWN && p->total != f->total) {
		refuse(f, EF_REASON_NET_HTTP, "changed on the server while it was fetched");
		return false;
	}
	if (p->total != ANSWER_UNKNOWN)
		f->total = p->total;
	f->pos = p->first;
	f->part_left = p->last - p->first + 1;
	f->stream_end = f->pos + f->part_left;
	return true;
}

/* feed for an answer in parts. */
static size_t feed_parts(struct fetch *f, const uint8_t *data, size_t size)
{
	size_t used = 0, n;

	while (used < size) {
		if (f->part_left > 0) {
			size_t rest = size - used < f->part_left ? size - used : f->part_left;
			n = feed(f, data + used, rest);
			used += n;
			f->part_left -= n;
			if (n < rest)
				return used;
			continue;
		}
		enum parts_found found = parts_take(&f->answer.parts, data + used, size - used, &n);
		used += n;
		if (found == PARTS_BAD) {
			refuse(f, EF_REASON_NET_HTTP, "parts of an answer that make no sense");
			return used;
		}
		if (found == PARTS_PART && !accept_one_of(f))
			return used;
	}
	return used;
}

static size_t feed_any(struct fetch *f, const uint8_t *data, size_t size)
{
	return f->answer.multipart ? feed_parts(f, data, size) : feed(f, data, size);
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
	if (f->ask_again)
		return 0;
	size_t used = feed_any(f, bytes, size);
	if (f->error.reason || f->satisfied)
		return 0;
	if (used < size && !hold(f, bytes + used, size - used))
		return 0;
	return size;
}

void fetch_flush(struct fetch *f)
{
	size_t used = feed_any(f, f->held, f->held_size);

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
