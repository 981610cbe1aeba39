/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"
#include "net/broker.h"
#include "net/fetch.h"
#include "net/identity.h"
#include "net/ipc.h"
#include "net/settings.h"
#include "token/token.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/memory.h"
#include "util/token-uri.h"
#include <curl/curl.h>
#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MESSAGES_A_TURN 16
#define TOKEN_S 60     /* for opening a key; a token that hangs ends the process */
#define QUEUE_MAX 4096 /* of messages that the core has not taken; it is ill by then */

/* A message that did not fit into the socket. */
struct unsent {
	struct unsent *next;
	enum ipc_type type;
	uint32_t id;
	size_t size;
	uint8_t payload[];
};

struct net {
	sd_event *event;
	int socket;
	sd_event_source *io;
	struct ipc_message *in;
	struct unsent *out, **out_end;
	size_t n_out;
	bool worked; /* something ended since the last ping */
	struct net_settings settings;
	struct fetches *fetches;
	struct broker *broker; /* NULL: none configured */
};

static void stop(struct net *n, int r, const char *why)
{
	log_error("%s", why);
	sd_event_exit(n->event, r);
}

/* ---- to the core ---- */

static void watch(struct net *n)
{
	sd_event_source_set_io_events(n->io, EPOLLIN | (n->out ? (uint32_t)EPOLLOUT : 0));
}

/* Never waits: what the socket does not take now goes out in order when it can. */
static void say(struct net *n, enum ipc_type type, uint32_t id, const void *payload, size_t size)
{
	int r = n->out ? -EAGAIN : ipc_send(n->socket, type, id, payload, size, -1);

	if (r == 0)
		return;
	if (r != -EAGAIN) {
		sd_event_exit(n->event, r == -EPIPE || r == -ECONNRESET ? 0 : r);
		return;
	}
	struct unsent *u = n->n_out < QUEUE_MAX ? malloc(sizeof(*u) + size) : NULL;
	if (!u) {
		stop(n, -ENOBUFS, "the core does not read");
		return;
	}
	*u = (struct unsent){.type = type, .id = id, .size = size};
	if (size > 0)
		memcpy(u->payload, payload, size);
	*n->out_end = u;
	n->out_end = &u->next;
	n->n_out++;
	watch(n);
}

static void drain(struct net *n)
{
	while (n->out) {
		struct unsent *u = n->out;
		int r = ipc_send(n->socket, u->type, u->id, u->payload, u->size, -1);
		if (r == -EAGAIN)
			return;
		n->out = u->next;
		if (!n->out)
			n->out_end = &n->out;
		n->n_out--;
		free(u);
		if (r < 0) {
			sd_event_exit(n->event, r);
			return;
		}
	}
	watch(n);
}

static void on_fetched(
	void *ctx, uint32_t id, const struct error *e, long http_status, uint64_t bytes)
{
	struct {
		struct ipc_fetched head;
		char detail[sizeof(e->detail)];
	} m = {.head = {.reason = (uint32_t)e->reason,
		       .http_status = (uint32_t)http_status,
		       .bytes = bytes}};
	size_t n = strlen(e->detail);

	((struct net *)ctx)->worked = true;
	memcpy(m.detail, e->detail, n);
	say(ctx, IPC_FETCHED, id, &m, offsetof(typeof(m), detail) + n);
}

static void on_offer(void *ctx, const struct source_offer *offer)
{
	say(ctx, IPC_OFFER, 0, offer->version, strlen(offer->version));
}

static void on_state(void *ctx, bool connected)
{
	uint32_t value = connected;

	say(ctx, IPC_STATE, 0, &value, sizeof(value));
}

static void on_report_over(void *ctx, uint32_t id, enum ef_reason reason)
{
	uint32_t value = (uint32_t)reason;

	say(ctx, IPC_ACK, id, &value, reason == EF_REASON_OK ? 0 : sizeof(value));
}

/* ---- from the core ---- */

static void do_fetch(struct net *n, struct ipc_message *m)
{
	const struct ipc_range *ranges;
	struct ipc_fetch f;
	char path[4096];

	if (m->fd < 0 || !ipc_parse_fetch(m, &f, &ranges, path, sizeof(path))) {
		struct error e = {0};
		m->fd = ef_close(m->fd);
		error_set(&e, EF_REASON_USAGE, "a fetch that makes no sense");
		on_fetched(n, m->head.id, &e, 0, 0);
		return;
	}
	fetches_start(n->fetches, m->head.id, &f, ranges, path, TAKE_FD(m->fd));
}

static void do_cancel(struct net *n, struct ipc_message *m)
{
	fetches_cancel(n->fetches, m->head.id);
}

static void do_report(struct net *n, struct ipc_message *m)
{
	struct error e = {0};
	_cleanup_json_ json_t *o = NULL;

	if (!n->broker) {
		on_report_over(n, m->head.id, EF_REASON_NET_UNREACHABLE);
		return;
	}
	o = json_read(m->payload, m->size, "report", &e);
	if (o)
		broker_report(n->broker, m->head.id, o);
	else
		on_report_over(n, m->head.id, e.reason);
}

/* A core whose child this is kills it when no answer comes. One that cannot has left by then:
 * SIGALRM does it. */
static void do_ping(struct net *n, struct ipc_message *m)
{
	alarm((unsigned)n->settings.hang_seconds);
	say(n, IPC_PONG, 0, NULL, 0);
	if (n->worked)
		memory_give_back();
	n->worked = false;
}

static const struct {
	enum ipc_type type;
	void (*act)(struct net *n, struct ipc_message *m);
} messages[] = {
	{IPC_FETCH, do_fetch},
	{IPC_FETCH_URL, do_fetch},
	{IPC_CANCEL, do_cancel},
	{IPC_REPORT, do_report},
	{IPC_PING, do_ping},
};

static void dispatch(struct net *n, struct ipc_message *m)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].type == m->head.type) {
			messages[i].act(n, m);
			return;
		}
	stop(n, -EBADMSG, "a message of unknown type or out of its turn");
}

static int on_core(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct net *n = userdata;

	if (revents & EPOLLOUT)
		drain(n);
	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		int r = ipc_receive(n->socket, n->in);
		if (r == -EAGAIN)
			return 0;
		if (r <= 0) /* the core ended, or talks nonsense */
			return sd_event_exit(n->event, r);
		dispatch(n, n->in);
		n->in->fd = ef_close(n->in->fd);
	}
	return 0;
}

/* ---- before the filter ---- */

/* 1: the first message, which must be CONFIG; 0: the core has ended. */
static int await_config(struct net *n)
{
	struct pollfd p = {.fd = n->socket, .events = POLLIN};
	struct error e = {0};
	int r;

	while ((r = ipc_receive(n->socket, n->in)) == -EAGAIN)
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return -errno;
	if (r <= 0)
		return r;
	n->in->fd = ef_close(n->in->fd);
	if (n->in->head.type != IPC_CONFIG) {
		log_error("the first message is not the settings");
		return -EBADMSG;
	}
	enum ef_reason reason = net_settings_parse(&n->settings, n->in->payload, n->in->size, &e);
	explicit_bzero(n->in->payload, n->in->size);
	if (!reason)
		return 1;
	log_error("%s", e.detail);
	return -EINVAL;
}

static bool token_named(const char *cert, const char *key)
{
	return cert && key && token_uri_is(key);
}

static void say_key(struct net *n, const struct error *e)
{
	struct {
		struct ipc_key head;
		char text[sizeof(e->detail)];
	} m = {.head = {.reason = (uint32_t)e->reason}};
	size_t size = strlen(e->detail);

	memcpy(m.text, e->detail, size);
	say(n, IPC_KEY, 0, &m, offsetof(typeof(m), text) + size);
}

static void on_key_lost(void *ctx, const struct identity *id)
{
	say_key(ctx, identity_fault(id));
}

static int open_identities(struct net *n)
{
	struct net_settings *s = &n->settings;
	struct error e = {0};

	if (token_named(s->cert, s->cert_key) || token_named(s->mqtt_cert, s->mqtt_cert_key)) {
		alarm(TOKEN_S);
		token_use_socket(s->token_socket ? s->token_socket : TOKEN_SOCKET, &e);
	}
	int r = identity_new(
		&s->identity, "[Source] ClientKey", s->cert, s->cert_key, &e, on_key_lost, n);
	if (r >= 0)
		r = identity_new(&s->mqtt_identity, "[Mqtt] ClientKey", s->mqtt_cert,
			s->mqtt_cert_key, &e, on_key_lost, n);
	alarm(0);
	return r;
}

/* What the core should know at once, and what is its own business to look for anew. */
static void say_faults(struct net *n)
{
	const struct identity *all[] = {n->settings.identity, n->settings.mqtt_identity};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const struct error *e = identity_fault(all[i]);
		if (e && identity_in_token(all[i]))
			say_key(n, e);
		else if (e)
			log_error("%s", e->detail);
	}
}

/* ---- life ---- */

static int set_up(struct net *n)
{
	const struct broker_callbacks cb = {
		.ctx = n, .offer = on_offer, .state = on_state, .report = on_report_over};
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	int r = sd_event_new(&n->event);
	if (r >= 0)
		r = sd_event_add_signal(n->event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(n->event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_io(n->event, &n->io, n->socket, EPOLLIN, on_core, n);
	if (r >= 0)
		r = curl_global_init(CURL_GLOBAL_DEFAULT) ? -ENOMEM : 0;
	if (r >= 0)
		r = mosquitto_lib_init() == MOSQ_ERR_SUCCESS ? 0 : -ENOMEM;
	if (r >= 0)
		r = fetches_new(&n->fetches, n->event, &n->settings, on_fetched, n);
	if (r >= 0 && n->settings.mqtt_host)
		r = broker_new(&n->broker, n->event, &n->settings, &source_tuf, &cb);
	return r;
}

static void tear_down(struct net *n)
{
	broker_free(n->broker);
	fetches_free(n->fetches);
	identity_free(n->settings.identity);
	identity_free(n->settings.mqtt_identity);
	net_settings_free(&n->settings);
	while (n->out) {
		struct unsent *u = n->out;
		n->out = u->next;
		free(u);
	}
	free(n->in);
	sd_event_source_disable_unref(n->io);
	sd_event_unref(n->event);
	mosquitto_lib_cleanup();
	curl_global_cleanup();
}

int net_run(int socket, int (*seal)(void))
{
	struct net n = {.socket = socket, .worked = true};
	int r;

	n.out_end = &n.out;
	signal(SIGPIPE, SIG_IGN); /* readers may go away, and tokens */
	n.in = malloc(sizeof(*n.in));
	r = n.in ? await_config(&n) : -ENOMEM;
	if (r <= 0) {
		free(n.in);
		net_settings_free(&n.settings);
		return r;
	}
	r = open_identities(&n);
	if (r >= 0 && seal)
		r = seal();
	if (r >= 0)
		r = set_up(&n);
	if (r >= 0) {
		say_faults(&n);
		say(&n, IPC_READY, 0, NULL, 0);
		r = sd_event_loop(n.event);
	} else {
		log_error("starting: %s", strerror(-r));
	}
	tear_down(&n);
	return r;
}
