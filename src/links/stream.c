/* SPDX-License-Identifier: Apache-2.0 */
#include "links/stream.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <edgeferry/smp.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define IDLE_US 20000u /* a line on which nothing was sent for so long */
#define CALM_US 40000u /* an answer at 115200 baud has come by then */
#define CALM_ACCURACY_US 10000u

struct link {
	struct link_callbacks cb;
	void (*before_close)(int fd);
	sd_event_source *io;
	sd_event_source *hold; /* made by the first calm */
	bool calm, held;       /* held: what comes is left with the driver until hold is due */
	int fd;
	bool dispatching; /* callbacks may close the link: it is freed when they are back */
	bool closed;
	char device[96];
	size_t tx_at, tx_used; /* waiting: tx[tx_at, tx_used) */
	uint64_t sent_us;
	struct framer framing;
	uint8_t tx[STREAM_QUEUE_MAX];
	uint8_t rx_buf[STREAM_MESSAGE_MAX + 2];
};

static void stream_free(struct link *l)
{
	free(l);
}

static void stream_shut(struct link *l)
{
	l->closed = true;
	l->io = sd_event_source_disable_unref(l->io);
	l->hold = sd_event_source_disable_unref(l->hold);
	if (l->fd >= 0 && l->before_close)
		l->before_close(l->fd);
	l->fd = ef_close(l->fd);
}

void stream_close(struct link *l)
{
	if (!l)
		return;
	stream_shut(l);
	if (!l->dispatching)
		stream_free(l);
}

size_t stream_queued(const struct link *l)
{
	return l->tx_used - l->tx_at;
}

int stream_fd(const struct link *l)
{
	return l->fd;
}

void stream_restart(struct link *l)
{
	framer_init(&l->framing, l->framing.kind, l->rx_buf, sizeof l->rx_buf);
}

/*
 * Hears of room to write only while something waits. The loop handles one source a turn and asks
 * the kernel anew each time: of many lines that are ready each is told of once, not at each turn of
 * another.
 */
static int stream_watch(struct link *l)
{
	if (l->dispatching)
		return 0; /* at its end */
	return sd_event_source_set_io_events(
		l->io, EPOLLET | (l->held ? 0 : (uint32_t)EPOLLIN) |
			       (stream_queued(l) ? (uint32_t)EPOLLOUT : 0));
}

static int stream_held(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct link *l = userdata;

	l->held = false;
	stream_watch(l);
	return 0;
}

/* Something is on its way: nobody is to be woken by each piece of it. */
static void stream_hold(struct link *l)
{
	if (!l->calm || sd_event_source_set_time_relative(l->hold, CALM_US) < 0 ||
		sd_event_source_set_enabled(l->hold, SD_EVENT_ONESHOT) < 0)
		return;
	l->held = true;
}

void stream_set_calm(struct link *l, bool calm)
{
	if (calm == l->calm || l->closed)
		return;
	if (!l->hold && sd_event_add_time(sd_event_source_get_event(l->io), &l->hold,
				CLOCK_MONOTONIC, 0, CALM_ACCURACY_US, stream_held, l) < 0)
		return; /* out of memory: it is read as it comes */
	l->calm = calm;
	l->held = false;
	sd_event_source_set_enabled(l->hold, SD_EVENT_OFF);
	stream_watch(l);
}

int stream_send(struct link *l, const uint8_t *data, size_t size)
{
	size_t waiting = stream_queued(l);
	uint64_t now = now_monotonic_us();

	if (l->closed)
		return -ENOTCONN;
	if (framing_max(l->framing.kind, size) + 1 > STREAM_QUEUE_MAX - waiting)
		return -ENOBUFS;
	if (l->tx_at) {
		memmove(l->tx, l->tx + l->tx_at, waiting);
		l->tx_at = 0;
		l->tx_used = waiting;
	}
	/* Whatever lay on the line before, or came up on it while it was idle, ends here. */
	if (!waiting && now - l->sent_us >= IDLE_US && l->framing.kind == FRAMING_COBS)
		l->tx[l->tx_used++] = 0;
	l->sent_us = now;
	l->tx_used += framing_encode(l->framing.kind, data, size, l->tx + l->tx_used);
	stream_hold(l);
	return stream_watch(l);
}

static int stream_write(struct link *l)
{
	ssize_t n = write(l->fd, l->tx + l->tx_at, stream_queued(l));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	l->tx_at += (size_t)n;
	if (stream_queued(l))
		return 0;
	l->tx_at = l->tx_used = 0;
	if (l->cb.drained)
		l->cb.drained(l->cb.ctx);
	return 0;
}

/* One read a turn: a node that never stops talking gets its share of the loop, not all (F-32). */
static int stream_read(struct link *l)
{
	uint64_t now = now_monotonic_us();
	uint8_t bytes[4096];
	ssize_t n = read(l->fd, bytes, sizeof bytes);
	bool whole = false;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	for (ssize_t i = 0; i < n && !l->closed; i++) {
		size_t size = framer_receive(&l->framing, now, bytes[i]);

		if (size)
			l->cb.message(l->cb.ctx, l->rx_buf, size);
		whole = size || whole;
	}
	if (!whole && !l->closed)
		stream_hold(l);
	return 0;
}

static int stream_dispatch(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct link *l = userdata;
	struct link_callbacks cb = l->cb;
	struct error e = {0};
	int r = 0;

	l->dispatching = true;
	/* What a peer wrote before it hung up is read first; then read() tells the hang-up. */
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		r = stream_read(l);
	if (r == 0 && !l->closed && events & EPOLLOUT && stream_queued(l))
		r = stream_write(l);
	if (r == 0 && !l->closed && events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN))
		r = -EPIPE;
	l->dispatching = false;
	if (r < 0 && !l->closed) {
		error_set(&e, EF_REASON_NODE_UNREACHABLE, "%s: hung up (%s)", l->device,
			strerror(-r));
		stream_shut(l);
		stream_free(l);
		cb.lost(cb.ctx, &e);
	} else if (l->closed) {
		stream_free(l);
	} else {
		stream_watch(l); /* what is left is told of again */
	}
	return 0;
}

void stream_set_framing(struct link *l, enum framing framing)
{
	framer_init(&l->framing, framing, l->rx_buf, sizeof l->rx_buf);
}

enum ef_reason stream_new(struct link **ret, sd_event *event, int fd, const char *device,
	const struct link_callbacks *cb, void (*before_close)(int fd), struct error *e)
{
	struct link *l = calloc(1, sizeof *l);
	int r;

	if (!l) {
		ef_close(fd);
		return error_set(e, EF_REASON_NO_MEMORY, "%s", device);
	}
	l->cb = *cb;
	l->before_close = before_close;
	l->fd = fd;
	snprintf(l->device, sizeof l->device, "%s", device);
	stream_set_framing(l, FRAMING_COBS);
	r = sd_event_add_io(event, &l->io, fd, EPOLLET | EPOLLIN, stream_dispatch, l);
	if (r < 0) {
		stream_close(l);
		return error_errno(e, r, "%s", device);
	}
	*ret = l;
	return EF_REASON_OK;
}
