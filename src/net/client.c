/* SPDX-License-Identifier: Apache-2.0 */
#include "net/client.h"
#include "net/ipc-config.h"
#include "net/key-watch.h"
#include "net/peer.h"
#include "util/cleanup.h"
#include "util/log.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define BACKOFF_MIN_US 100000u
#define BACKOFF_MAX_US 30000000u
#define QUIT_WAIT_US 2000000u
#define HEARTBEAT_US 120000000u
#define ENDING_US 1000000u

enum op_kind { OP_FETCH, OP_MEMORY, OP_REPORT };

/* One request under way. */
struct op {
	struct op *next;
	struct net_client *client;
	enum op_kind kind;
	uint32_t id;
	union {
		net_fetch_done fetch;
		net_fetch_memory_done memory;
		net_report_done report;
	} done;
	void *ctx;

	/* memory fetches: the pipe's read end and what came */
	int pipe_fd;
	sd_event_source *pipe_source;
	uint8_t *data;
	size_t size, capacity;
	uint64_t max_size;
	bool pipe_over;

	/* the outcome, once known; delivered from the event loop */
	bool over;
	uint64_t bytes;
	struct error error;
	sd_event_source *deliver;
};

struct net_client {
	sd_event *event;
	const struct config *config;
	struct net_client_callbacks cb;
	int socket; /* -1: nobody is there */
	pid_t pid;  /* 0: none, or systemd's child and not ours */
	uint32_t last_id;
	uint64_t backoff_us, heartbeat_us;
	bool alive; /* it said something since the last heartbeat */
	bool renew; /* another one takes its place when nothing is fetched */
	struct key_watch key;
	sd_event_source *io, *child, *restart, *heartbeat;
	struct op *ops;
};

static int peer_start(struct net_client *c);
static void renew_when_idle(struct net_client *c);
static void look_for_key(struct net_client *c);

static struct op *op_find(struct net_client *c, uint32_t id)
{
	for (struct op *op = c->ops; op; op = op->next)
		if (op->id == id)
			return op;
	return NULL;
}

static void op_free(struct op *op)
{
	struct op **p = &op->client->ops;

	while (*p && *p != op)
		p = &(*p)->next;
	if (*p)
		*p = op->next;
	sd_event_source_disable_unref(op->pipe_source);
	sd_event_source_disable_unref(op->deliver);
	ef_close(op->pipe_fd);
	free(op->data);
	free(op);
}

static int op_deliver(sd_event_source *s, void *userdata)
{
	struct op *op = userdata;

	switch (op->kind) {
	case OP_FETCH:
		op->done.fetch(op->ctx, op->bytes, &op->error);
		break;
	case OP_MEMORY:
		op->done.memory(op->ctx, op->data, op->size, &op->error);
		break;
	case OP_REPORT:
		op->done.report(op->ctx, &op->error);
		break;
	}
	struct net_client *c = op->client;
	op_free(op);
	renew_when_idle(c);
	return 0;
}

/* Callbacks come from the event loop, never from inside the call that began the operation. */
static void op_maybe_deliver(struct op *op)
{
	if (!op->over || (op->kind == OP_MEMORY && !op->pipe_over && !op->error.reason))
		return;
	if (op->kind == OP_MEMORY && !op->error.reason && op->size != op->bytes)
		error_set(&op->error, EF_REASON_IO, "%zu of %llu bytes came", op->size,
			(unsigned long long)op->bytes);
	if (!op->deliver)
		sd_event_add_defer(op->client->event, &op->deliver, op_deliver, op);
}

static void op_end(struct op *op, uint64_t bytes, enum ef_reason reason, const char *detail)
{
	if (op->over)
		return;
	op->over = true;
	op->bytes = bytes;
	if (reason)
		error_set(&op->error, reason, "%s", detail);
	else /* a note */
		snprintf(op->error.detail, sizeof op->error.detail, "%s", detail);
	op_maybe_deliver(op);
}

static struct op *op_new(struct net_client *c, enum op_kind kind, void *ctx)
{
	if (kind != OP_REPORT)
		look_for_key(c);
	struct op *op = calloc(1, sizeof *op);

	if (!op)
		return NULL;
	*op = (struct op){.client = c, .kind = kind, .ctx = ctx, .pipe_fd = -1, .next = c->ops};
	do
		op->id = ++c->last_id;
	while (!op->id || op_find(c, op->id) != NULL);
	c->ops = op;
	return op;
}

static void child_gone(struct net_client *c);

static int restart(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct net_client *c = userdata;
	int r = peer_start(c);

	if (r < 0) {
		log_warning("cannot start edgeferry-net: %s", strerror(-r));
		child_gone(c);
	}
	return 0;
}

/* Every operation under way is over. */
static void child_forget(struct net_client *c)
{
	c->io = sd_event_source_disable_unref(c->io);
	c->child = sd_event_source_disable_unref(c->child);
	c->socket = ef_close(c->socket);
	c->pid = 0;
	c->cb.broker(c->cb.ctx, false);
	for (struct op *op = c->ops; op; op = op->next)
		op_end(op, 0, EF_REASON_NET_UNREACHABLE, "edgeferry-net ended");
}

/* The child comes back after a pause that doubles each time. */
static void child_gone(struct net_client *c)
{
	child_forget(c);
	if (c->restart)
		sd_event_source_set_time_relative(c->restart, c->backoff_us),
			sd_event_source_set_enabled(c->restart, SD_EVENT_ONESHOT);
	else
		sd_event_add_time_relative(
			c->event, &c->restart, CLOCK_MONOTONIC, c->backoff_us, 0, restart, c);
	c->backoff_us = c->backoff_us * 2 > BACKOFF_MAX_US ? BACKOFF_MAX_US : c->backoff_us * 2;
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct net_client *c = userdata;

	log_warning("edgeferry-net ended (%s %d), starting it again in %llu ms",
		si->si_code == CLD_EXITED ? "status" : "signal", si->si_status,
		(unsigned long long)c->backoff_us / 1000);
	child_gone(c);
	return 0;
}

/* Of our own child SIGCHLD follows. systemd's is left behind without a peer: it ends by that, or by
 * its alarm. */
static void end_net(struct net_client *c)
{
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
	else
		child_gone(c);
}

static void on_fetched(struct net_client *c, const struct ipc_message *m)
{
	struct op *op = op_find(c, m->head.id);
	struct ipc_fetched f;
	char detail[160] = "";
	size_t n;

	if (!op || op->kind == OP_REPORT || m->size < sizeof f)
		return;
	memcpy(&f, m->payload, sizeof f);
	n = m->size - sizeof f;
	if (n >= sizeof detail)
		n = sizeof detail - 1;
	memcpy(detail, m->payload + sizeof f, n);
	op_end(op, f.bytes, (enum ef_reason)f.reason, detail);
}

static void on_message(struct net_client *c, const struct ipc_message *m)
{
	struct op *op;
	uint32_t connected;

	c->alive = true;
	switch (m->head.type) {
	case IPC_PONG:
		break;
	case IPC_KEY:
		key_watch_heard(&c->key, m);
		c->cb.key(c->cb.ctx, &c->key.fault);
		break;
	case IPC_READY:
		key_watch_ready(&c->key);
		c->cb.key(c->cb.ctx, &c->key.fault);
		c->backoff_us = BACKOFF_MIN_US;
		c->cb.ready(c->cb.ctx);
		break;
	case IPC_OFFER:
		c->cb.offer(c->cb.ctx);
		break;
	case IPC_FETCHED:
		on_fetched(c, m);
		break;
	case IPC_ACK:
		op = op_find(c, m->head.id);
		if (op && op->kind == OP_REPORT) {
			uint32_t reason = EF_REASON_OK; /* none given: the broker has it */

			if (m->size == sizeof reason)
				memcpy(&reason, m->payload, sizeof reason);
			op_end(op, 0, (enum ef_reason)reason, "report not taken");
		}
		break;
	case IPC_STATE:
		if (m->size == sizeof connected) {
			memcpy(&connected, m->payload, sizeof connected);
			c->cb.broker(c->cb.ctx, connected != 0);
		}
		break;
	default:
		log_debug("edgeferry-net sent a message of unknown type %u", m->head.type);
	}
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct net_client *c = userdata;
	_cleanup_free_ struct ipc_message *m = malloc(sizeof *m);

	/* A few at a time, so that a babbling child cannot hold the loop (F-32). */
	for (int i = 0; m && i < 16; i++) {
		int r = ipc_receive(fd, m);

		if (r == -EAGAIN)
			return 0;
		if (r <= 0) {
			sd_event_source_set_enabled(s, SD_EVENT_OFF);
			if (r < 0)
				log_warning("edgeferry-net sent a malformed message; ending it");
			else if (c->pid == 0)
				log_warning("edgeferry-net ended, starting it again in %llu ms",
					(unsigned long long)c->backoff_us / 1000);
			c->alive = false;
			if (r < 0 || c->pid == 0)
				end_net(c);
			else /* the child is ending; if not, it is ended */
				sd_event_source_set_time_relative(c->heartbeat, ENDING_US);
			return 0;
		}
		ef_close(m->fd);
		on_message(c, m);
	}
	return 0;
}

/* Silent since the last one: its loop does not turn. What was under way ends when it is gone. */
static int on_heartbeat(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct net_client *c = userdata;

	if (c->socket >= 0 && !c->alive) {
		log_warning("edgeferry-net hangs; ending it");
		end_net(c);
	} else if (c->socket >= 0) {
		c->alive = false;
		ipc_send(c->socket, IPC_PING, 0, NULL, 0, -1);
	}
	look_for_key(c);
	sd_event_source_set_time_relative(s, c->heartbeat_us);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int peer_start(struct net_client *c)
{
	const char *unit = secure_getenv("EDGEFERRY_NET");
	_cleanup_free_ char *json = NULL;
	int r = unit ? net_peer_connect(unit) : net_peer_spawn(c->config->network_user, &c->pid);

	if (r < 0)
		return r;
	c->socket = r;
	c->alive = true;
	key_watch_begin(&c->key);
	r = sd_event_add_io(c->event, &c->io, c->socket, EPOLLIN, on_io, c);
	if (r >= 0 && c->pid > 0)
		r = sd_event_add_child(c->event, &c->child, c->pid, WEXITED, on_child, c);
	if (r >= 0)
		r = ipc_config_format(c->config, &json);
	if (r >= 0)
		r = ipc_send(c->socket, IPC_CONFIG, 0, json, strlen(json), -1);
	if (json)
		explicit_bzero(json, strlen(json));
	if (r < 0 && c->pid > 0)
		kill(c->pid, SIGKILL);
	return r < 0 ? r : 0;
}

static int on_left(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	/* the loop's own hold on it goes with the first, ours with the second */
	sd_event_source_ref(s);
	sd_event_source_set_floating(s, false);
	sd_event_source_disable_unref(s);
	return 0;
}

/* It ends because its peer is gone; nobody waits for that. */
static void child_leave(struct net_client *c)
{
	pid_t pid = c->pid;

	child_forget(c);
	if (pid == 0) /* systemd's */
		return;
	kill(pid, SIGTERM);
	if (sd_event_add_child(c->event, NULL, pid, WEXITED, on_left, NULL) < 0)
		log_warning("edgeferry-net %d is not waited for", (int)pid);
}

/* A report may wait for its broker without end, and is sent again: only fetches are waited for. */
static void renew_when_idle(struct net_client *c)
{
	for (const struct op *op = c->ops; op; op = op->next)
		if (op->kind != OP_REPORT)
			return;
	if (!c->renew)
		return;
	c->renew = false;
	if (c->socket < 0) /* the next one has the new configuration anyway */
		return;
	child_leave(c);
	restart(NULL, 0, c);
}

/* A token that is there again is found by another process. */
static void look_for_key(struct net_client *c)
{
	if (!key_watch_try_again(&c->key))
		return;
	c->renew = true;
	renew_when_idle(c);
}

void net_client_renew(struct net_client *c)
{
	c->renew = true;
	c->key.pin_refused = false;
	renew_when_idle(c);
}

/* As the loop's first act: systemd is to hear of READY before it makes a sandbox for net. */
static int connect_soon(struct net_client *c)
{
	if (sd_event_add_time(c->event, &c->restart, CLOCK_MONOTONIC, 0, 1, restart, c) < 0)
		return -ENOMEM;
	return sd_event_source_set_priority(c->restart, SD_EVENT_PRIORITY_IMPORTANT);
}

enum ef_reason net_client_new(struct net_client **ret, sd_event *event, const struct config *config,
	const struct net_client_callbacks *cb, struct error *e)
{
	struct net_client *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return error_set(e, EF_REASON_NO_MEMORY, "edgeferry-net");
	*c = (struct net_client){.event = sd_event_ref(event),
		.config = config,
		.cb = *cb,
		.socket = -1,
		.backoff_us = BACKOFF_MIN_US,
		.heartbeat_us = HEARTBEAT_US};
	r = sd_event_add_time_relative(c->event, &c->heartbeat, CLOCK_MONOTONIC, c->heartbeat_us,
		c->heartbeat_us / 10, on_heartbeat, c);
	if (r >= 0)
		r = secure_getenv("EDGEFERRY_NET") ? connect_soon(c) : peer_start(c);
	if (r < 0) {
		net_client_free(c);
		return error_errno(e, r, "starting edgeferry-net");
	}
	*ret = c;
	return EF_REASON_OK;
}

void net_client_free(struct net_client *c)
{
	if (!c)
		return;
	while (c->ops)
		op_free(c->ops);
	c->io = sd_event_source_disable_unref(c->io);
	c->child = sd_event_source_disable_unref(c->child);
	c->restart = sd_event_source_disable_unref(c->restart);
	c->heartbeat = sd_event_source_disable_unref(c->heartbeat);
	c->socket = ef_close(c->socket); /* the child ends when its peer is gone */
	if (c->pid > 0) {
		for (unsigned waited = 0; waitpid(c->pid, NULL, WNOHANG) == 0; waited += 10000) {
			if (waited == 0)
				kill(c->pid, SIGTERM);
			if (waited == QUIT_WAIT_US)
				kill(c->pid, SIGKILL);
			usleep(10000);
		}
	}
	sd_event_unref(c->event);
	free(c);
}

void net_client_heartbeat(struct net_client *c, uint64_t period_us)
{
	c->heartbeat_us = period_us;
	sd_event_source_set_time_relative(c->heartbeat, period_us);
}

pid_t net_client_pid(const struct net_client *c)
{
	return c->pid;
}

/* Sends the request, or ends the operation from the event loop when it cannot be sent. */
static uint32_t op_start(
	struct op *op, const char *path, const struct ipc_range *ranges, size_t n_ranges, int fd)
{
	struct net_client *c = op->client;
	int r = c->socket >= 0 ? ipc_send_fetch(c->socket, op->id, path, op->max_size, ranges,
					 n_ranges, fd)
			       : -ENOTCONN;

	if (r < 0)
		op_end(op, 0, EF_REASON_NET_UNREACHABLE,
			r == -ENOTCONN ? "edgeferry-net is not running" : strerror(-r));
	return op->id;
}

uint32_t net_fetch(struct net_client *c, const char *path, uint64_t max_size,
	const struct ipc_range *ranges, size_t n_ranges, int fd, net_fetch_done done, void *ctx)
{
	struct op *op = op_new(c, OP_FETCH, ctx);

	if (!op)
		return 0;
	op->done.fetch = done;
	op->max_size = max_size;
	return op_start(op, path, ranges, n_ranges, fd);
}

/* Room for one more read, the size limit and a byte that shows that it was passed. */
static bool op_grow(struct op *op)
{
	size_t want = op->capacity ? op->capacity * 2 : 16384;
	uint8_t *p;

	if (op->size < op->capacity)
		return true;
	if (want > op->max_size + 1)
		want = op->max_size + 1;
	if (want <= op->size || !(p = realloc(op->data, want)))
		return false;
	op->data = p;
	op->capacity = want;
	return true;
}

static int on_pipe(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct op *op = userdata;
	ssize_t n;

	if (!op_grow(op)) {
		op->pipe_over = true;
		op_end(op, op->size, EF_REASON_NET_TOO_LARGE, "more bytes than asked for");
	} else {
		n = read(fd, op->data + op->size, op->capacity - op->size);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n > 0) {
			op->size += n;
			return 0;
		}
		op->pipe_over = true;
	}
	op->pipe_source = sd_event_source_disable_unref(op->pipe_source);
	op->pipe_fd = ef_close(op->pipe_fd);
	op_maybe_deliver(op);
	return 0;
}

static uint32_t fetch_memory(struct net_client *c, const char *path, uint64_t max_size,
	const struct ipc_range *range, net_fetch_memory_done done, void *ctx)
{
	struct op *op = op_new(c, OP_MEMORY, ctx);
	int pipe_fds[2];
	uint32_t id;

	if (!op)
		return 0;
	op->done.memory = done;
	op->max_size = max_size;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		op_end(op, 0, EF_REASON_IO, strerror(errno));
		return op->id;
	}
	op->pipe_fd = pipe_fds[0];
	fcntl(op->pipe_fd, F_SETFL, O_NONBLOCK);
	if (sd_event_add_io(c->event, &op->pipe_source, op->pipe_fd, EPOLLIN, on_pipe, op) < 0)
		op_end(op, 0, EF_REASON_NO_MEMORY, "event source");
	id = op_start(op, path, range, range ? 1 : 0, pipe_fds[1]);
	ef_close(pipe_fds[1]);
	return id;
}

uint32_t net_fetch_memory(struct net_client *c, const char *path, uint64_t max_size,
	net_fetch_memory_done done, void *ctx)
{
	return fetch_memory(c, path, max_size, NULL, done, ctx);
}

uint32_t net_fetch_part(struct net_client *c, const char *path, const struct ipc_range *range,
	net_fetch_memory_done done, void *ctx)
{
	return fetch_memory(c, path, range->size, range, done, ctx);
}

void net_fetch_cancel(struct net_client *c, uint32_t id)
{
	struct op *op = id ? op_find(c, id) : NULL;

	if (!op || op->over)
		return;
	if (c->socket >= 0)
		ipc_send(c->socket, IPC_CANCEL, id, NULL, 0, -1);
	op_end(op, 0, EF_REASON_CANCELLED, "");
}

uint32_t net_report(struct net_client *c, const char *json, net_report_done done, void *ctx)
{
	struct op *op = op_new(c, OP_REPORT, ctx);
	int r;

	if (!op)
		return 0;
	op->done.report = done;
	r = c->socket >= 0 ? ipc_send(c->socket, IPC_REPORT, op->id, json, strlen(json), -1)
			   : -ENOTCONN;
	if (r < 0)
		op_end(op, 0, EF_REASON_NET_UNREACHABLE, strerror(-r));
	return op->id;
}
