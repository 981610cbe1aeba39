/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node over BLE: messages in GATT values (wire/ble.h) through the descriptors that BlueZ opens
 * for its SMP characteristic (links/bluez.h), or by D-Bus calls where it opens none.
 */
#include "wire/ble.h"
#include "links/bluez.h"
#include "links/link.h"
#include "links/queue.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <edgeferry/session.h>
#include <edgeferry/smp.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BLE_MESSAGE_MAX 8192u
#define AROUND \
	(EF_SMP_HEADER_SIZE + EF_DATA_HEAD + EF_SESSION_OVERHEAD) /* of a message of an upload */

struct link {
	struct link_callbacks cb;
	struct bluez_peer *peer;
	sd_event *event;
	sd_event_source *reader, *writer; /* NULL: values come and go by D-Bus */
	int in, out;
	bool up;
	bool dispatching; /* callbacks may close the link: it is freed when they are back */
	bool closed;
	bool calling; /* a value is on its way by D-Bus */
	char device[96];
	size_t value_max;
	size_t at; /* bytes of the first message of the queue that went out */
	struct ble_receiver receiver;
	struct link_queue queue;
	uint8_t rx[BLE_MESSAGE_MAX + BLE_HEADER_SIZE];
};

static void ble_shut(struct link *l)
{
	l->closed = true;
	l->reader = sd_event_source_disable_unref(l->reader);
	l->writer = sd_event_source_disable_unref(l->writer);
	l->in = ef_close(l->in);
	l->out = ef_close(l->out);
	if (l->peer)
		bluez_peer_close(l->peer);
	l->peer = NULL;
}

static void ble_free(struct link *l)
{
	sd_event_unref(l->event);
	free(l);
}

static void ble_close(struct link *l)
{
	if (!l)
		return;
	ble_shut(l);
	if (!l->dispatching)
		ble_free(l);
}

static size_t ble_queued(const struct link *l)
{
	return link_queue_size(&l->queue);
}

static size_t ble_link_fit(const struct link *l, size_t size)
{
	return l->up ? ble_fit(l->value_max, size, AROUND) : size;
}

/* Sending */

/* The next value into out: its size, 0 when nothing waits. ble_sent takes it off the queue. */
static size_t next_value(const struct link *l, uint8_t out[BLE_VALUE_MAX])
{
	uint8_t header[BLE_HEADER_SIZE];
	size_t size, n = 0, rest;
	const uint8_t *message = link_queue_first(&l->queue, &size);

	if (!message)
		return 0;
	if (l->at == 0) {
		n = ble_put_header(header, message, size);
		memcpy(out, header, n);
	}
	rest = size - l->at < l->value_max - n ? size - l->at : l->value_max - n;
	memcpy(out + n, message + l->at, rest);
	return n + rest;
}

static void value_sent(struct link *l, size_t n)
{
	uint8_t header[BLE_HEADER_SIZE];
	size_t size;
	const uint8_t *message = link_queue_first(&l->queue, &size);

	if (l->at == 0)
		n -= ble_put_header(header, message, size);
	l->at += n;
	if (l->at < size)
		return;
	link_queue_drop(&l->queue);
	l->at = 0;
}

static void watch(struct link *l)
{
	if (l->writer)
		sd_event_source_set_io_events(l->writer, ble_queued(l) ? EPOLLOUT : 0);
}

/* As many values as the socket takes; 0, or negative errno when the wire is gone. */
static int write_values(struct link *l)
{
	uint8_t value[BLE_VALUE_MAX];
	size_t n;

	while ((n = next_value(l, value))) {
		if (send(l->out, value, n, MSG_NOSIGNAL) < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		value_sent(l, n);
	}
	watch(l);
	if (l->cb.drained)
		l->cb.drained(l->cb.ctx);
	return 0;
}

/* One at a time: the answer says that the next may go. */
static int call_value(struct link *l)
{
	uint8_t value[BLE_VALUE_MAX];
	size_t n = l->calling ? 0 : next_value(l, value);
	int r;

	if (n == 0)
		return 0;
	r = bluez_peer_write(l->peer, value, n);
	if (r < 0)
		return r;
	l->calling = true;
	value_sent(l, n);
	return 0;
}

static int ble_send(struct link *l, const uint8_t *data, size_t size)
{
	int r;

	if (l->closed || !l->up)
		return -ENOTCONN;
	r = link_queue_put(&l->queue, data, size, BLE_MESSAGE_MAX);
	if (r < 0)
		return r;
	bluez_peer_rest(l->peer, false);
	watch(l);
	return l->out >= 0 ? 0 : call_value(l);
}

/* Receiving */

static void take(struct link *l, const uint8_t *value, size_t size)
{
	const uint8_t *message;
	size_t n = ble_receive(&l->receiver, now_monotonic_us(), value, size, &message);

	if (n >= EF_SMP_HEADER_SIZE)
		l->cb.message(l->cb.ctx, message, n);
}

/* One value a turn: a node that never stops talking gets its share of the loop, not all (F-32). */
static int read_value(struct link *l)
{
	uint8_t value[BLE_VALUE_MAX];
	ssize_t n = recv(l->in, value, sizeof value, MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	if ((size_t)n <= sizeof value)
		take(l, value, (size_t)n);
	return 0;
}

/* Events */

static void lose(struct link *l, const struct error *e)
{
	struct link_callbacks cb = l->cb;

	ble_shut(l);
	ble_free(l);
	cb.lost(cb.ctx, e);
}

static void dispatched(struct link *l, int r)
{
	struct error e = {0};

	l->dispatching = false;
	if (r < 0 && !l->closed) {
		error_set(&e, EF_REASON_NODE_UNREACHABLE, "%s: disconnected (%s)", l->device,
			strerror(-r));
		bluez_peer_cut(TAKE_PTR(l->peer));
		lose(l, &e);
	} else if (l->closed) {
		ble_free(l);
	}
}

static int on_readable(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct link *l = userdata;
	int r;

	l->dispatching = true;
	/* what came before a hang-up is read first; then recv tells of it */
	r = read_value(l);
	dispatched(l, r);
	return 0;
}

static int on_writable(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct link *l = userdata;

	l->dispatching = true;
	dispatched(l, events & (EPOLLHUP | EPOLLERR) ? -EPIPE : write_values(l));
	return 0;
}

static void on_value(void *ctx, const uint8_t *value, size_t size)
{
	struct link *l = ctx;

	l->dispatching = true;
	take(l, value, size);
	dispatched(l, 0);
}

static void on_written(void *ctx)
{
	struct link *l = ctx;
	int r;

	l->dispatching = true;
	l->calling = false;
	r = call_value(l);
	if (r == 0 && !l->closed && !ble_queued(l) && !l->calling && l->cb.drained)
		l->cb.drained(l->cb.ctx);
	dispatched(l, r);
}

static void on_up(void *ctx, int in, int out, size_t value_max)
{
	struct link *l = ctx;
	int r = 0;

	l->in = in;
	l->out = out;
	l->value_max = ble_value_size(value_max);
	l->dispatching = true;
	if (in >= 0)
		r = sd_event_add_io(l->event, &l->reader, in, EPOLLIN, on_readable, l);
	if (r >= 0 && out >= 0)
		r = sd_event_add_io(l->event, &l->writer, out, 0, on_writable, l);
	if (r >= 0) {
		l->up = true;
		l->cb.up(l->cb.ctx);
	}
	dispatched(l, r < 0 ? r : 0);
}

static void on_lost(void *ctx, const struct error *e)
{
	struct link *l = ctx;

	l->peer = NULL; /* closed already */
	lose(l, e);
}

static enum ef_reason ble_open(struct link **ret, sd_event *event, const struct link_spec *spec,
	const struct link_callbacks *cb, struct error *e)
{
	struct link *l;

	if (!spec->bluez)
		return error_set(e, EF_REASON_CONFIG, "%s: no BlueZ is set up", spec->device);
	l = calloc(1, sizeof *l);
	if (!l)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", spec->device);
	const struct bluez_events events = {
		.ctx = l, .up = on_up, .value = on_value, .written = on_written, .lost = on_lost};

	l->cb = *cb;
	l->event = sd_event_ref(event);
	l->in = l->out = -1;
	snprintf(l->device, sizeof l->device, "%s", spec->device);
	ble_receiver_init(&l->receiver, l->rx, sizeof l->rx);
	if (bluez_peer_open(&l->peer, spec->bluez, spec->device, &events, e)) {
		ble_free(l);
		return e->reason;
	}
	*ret = l;
	return EF_REASON_OK;
}

static void ble_rest(struct link *l)
{
	if (!l->closed && l->up)
		bluez_peer_rest(l->peer, true);
}

const struct link_ops link_ble = {
	.name = "ble",
	.connects = true,
	.open = ble_open,
	.send = ble_send,
	.queued = ble_queued,
	.fit = ble_link_fit,
	.rest = ble_rest,
	.close = ble_close,
};
