/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node on the network: one SMP message a datagram, as SMP servers on port 1337 take them. There
 * is no framing and no checksum of ours; UDP's own and the session's tag see to that. Only
 * datagrams of the node's own address and port are heard, which without a session is no proof of
 * anything.
 */
#include "links/link.h"
#include "links/queue.h"
#include "util/address.h"
#include "util/cleanup.h"
#include <edgeferry/smp.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define SMP_PORT 1337
#define UDP_MESSAGE_MAX 8192u

struct link {
	struct link_callbacks cb;
	sd_event_source *io;
	int fd;
	bool dispatching; /* callbacks may close the link: it is freed when they are back */
	bool closed;
	char device[96];
	struct link_queue queue;
	uint8_t message[UDP_MESSAGE_MAX + 1]; /* one more, so that a longer datagram shows */
};

static void udp_shut(struct link *l)
{
	l->closed = true;
	l->io = sd_event_source_disable_unref(l->io);
	l->fd = ef_close(l->fd);
}

static void udp_close(struct link *l)
{
	if (!l)
		return;
	udp_shut(l);
	if (!l->dispatching)
		free(l);
}

static size_t udp_queued(const struct link *l)
{
	return link_queue_size(&l->queue);
}

/* As of a stream (stream.c): told of once a turn, and again of what is left. */
static int udp_watch(struct link *l)
{
	if (l->dispatching)
		return 0; /* at its end */
	return sd_event_source_set_io_events(
		l->io, EPOLLET | EPOLLIN | (udp_queued(l) ? (uint32_t)EPOLLOUT : 0));
}

static int udp_send(struct link *l, const uint8_t *data, size_t size)
{
	int r;

	if (l->closed)
		return -ENOTCONN;
	r = link_queue_put(&l->queue, data, size, UDP_MESSAGE_MAX);
	return r < 0 ? r : udp_watch(l);
}

/*
 * Nobody listens there now, no way to it now, no room: that comes and goes as a node restarts. It
 * is a datagram that was lost, as others are without a word; who waits for the answer says so.
 */
static bool passes(int error)
{
	switch (error) {
	case EAGAIN:
	case EINTR:
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ENOBUFS:
	case EPROTO:
		return true;
	default:
		return false;
	}
}

static int udp_write(struct link *l)
{
	const uint8_t *data;
	size_t size;

	while ((data = link_queue_first(&l->queue, &size))) {
		if (send(l->fd, data, size, MSG_NOSIGNAL) < 0) {
			if (errno == EAGAIN || errno == EINTR)
				return 0;
			if (!passes(errno))
				return -errno;
		}
		link_queue_drop(&l->queue);
	}
	if (l->cb.drained)
		l->cb.drained(l->cb.ctx);
	return 0;
}

/* One datagram a turn, so that a node that never stops gets its share of the loop, not all (F-32).
 */
static int udp_read(struct link *l)
{
	ssize_t n = recv(l->fd, l->message, sizeof l->message, 0);

	if (n < 0)
		return passes(errno) ? 0 : -errno;
	if (n >= (ssize_t)EF_SMP_HEADER_SIZE && (size_t)n <= UDP_MESSAGE_MAX)
		l->cb.message(l->cb.ctx, l->message, (size_t)n);
	return 0;
}

static int udp_dispatch(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct link *l = userdata;
	struct link_callbacks cb = l->cb;
	struct error e = {0};
	int r = 0;

	l->dispatching = true;
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		r = udp_read(l);
	if (r == 0 && !l->closed && events & EPOLLOUT && udp_queued(l))
		r = udp_write(l);
	l->dispatching = false;
	if (r < 0 && !l->closed) {
		error_set(&e, EF_REASON_NODE_UNREACHABLE, "%s: %s", l->device, strerror(-r));
		udp_shut(l);
		free(l);
		cb.lost(cb.ctx, &e);
	} else if (l->closed) {
		free(l);
	} else {
		udp_watch(l);
	}
	return 0;
}

static enum ef_reason udp_socket(const struct link_spec *spec, int *ret, struct error *e)
{
	struct sockaddr_storage address;
	_cleanup_close_ int fd = -1;
	socklen_t length;

	if (!address_parse(spec->device, SMP_PORT, &address, &length))
		return error_set(e, EF_REASON_CONFIG,
			"%s: no address in numbers as '192.0.2.7' or '[2001:db8::7]:1337'; names "
			"are not looked up",
			spec->device);
	fd = socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(e, -errno, "%s", spec->device);
	if (connect(fd, (struct sockaddr *)&address, length) < 0)
		return error_set(e, EF_REASON_NODE_UNREACHABLE,
			"%s: %s: look at the addresses and routes of this machine", spec->device,
			strerror(errno));
	*ret = TAKE_FD(fd);
	return EF_REASON_OK;
}

static enum ef_reason udp_open(struct link **ret, sd_event *event, const struct link_spec *spec,
	const struct link_callbacks *cb, struct error *e)
{
	_cleanup_close_ int fd = -1;
	struct link *l;
	int r;

	if (udp_socket(spec, &fd, e))
		return e->reason;
	l = calloc(1, sizeof *l);
	if (!l)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", spec->device);
	l->cb = *cb;
	l->fd = TAKE_FD(fd);
	snprintf(l->device, sizeof l->device, "%s", spec->device);
	r = sd_event_add_io(event, &l->io, l->fd, EPOLLET | EPOLLIN, udp_dispatch, l);
	if (r < 0) {
		udp_close(l);
		return error_errno(e, r, "%s", spec->device);
	}
	*ret = l;
	return EF_REASON_OK;
}

const struct link_ops link_udp = {
	.name = "udp",
	.open = udp_open,
	.send = udp_send,
	.queued = udp_queued,
	.close = udp_close,
};
