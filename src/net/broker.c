/* SPDX-License-Identifier: Apache-2.0 */
#include "net/broker.h"
#include "net/identity.h"
#include "net/pause.h"
#include "net/resolve.h"
#include "net/session.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/log.h"
#include "util/time-util.h"
#include <errno.h>
#include <string.h>

#define BACKOFF_MAX_US (300 * USEC_PER_SEC)
#define STEADY_US (30 * USEC_PER_SEC) /* a session shorter than that did not work */
#define TOPICS_MAX 8
#define TOPIC_SIZE 256
#define PASSWORD_MAX 4096

struct report {
	struct report *next;
	uint32_t id;
	int mid; /* of the session; 0: not sent on this one */
	char topic[TOPIC_SIZE];
	char *payload;
	size_t size;
};

struct broker {
	sd_event *event;
	const struct net_settings *settings;
	const struct source_ops *source;
	struct source_identity who;
	struct broker_callbacks cb;
	SSL_CTX *tls;

	struct resolve *resolve;
	struct addrinfo *addresses, *next_address;
	struct session *session;
	sd_event_source *again; /* timer of the next try */
	unsigned failures;
	uint64_t since; /* subscribed */
	bool connected, ever;

	sd_event_source *offer_timer;
	struct source_offer offer;
	uint64_t offered; /* when the last one went out */

	struct report *reports;
	unsigned n_reports;
};

static void connect_next(struct broker *b);

/* ---- offers ---- */

static int on_offer_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct broker *b = userdata;

	b->offered = now_monotonic_us();
	b->cb.offer(b->cb.ctx, &b->offer);
	return 0;
}

/* Many in a row are one: what they say is "look", and looking finds the newest. */
static void offer_at(struct broker *b, uint64_t when)
{
	uint64_t due, earliest = b->offered + b->settings->offer_apart_ms * USEC_PER_MSEC;
	int on = SD_EVENT_OFF;

	if (when < earliest)
		when = earliest;
	sd_event_source_get_enabled(b->offer_timer, &on);
	if (on != SD_EVENT_OFF && sd_event_source_get_time(b->offer_timer, &due) >= 0 && due < when)
		return;
	sd_event_source_set_time(b->offer_timer, when);
	sd_event_source_set_enabled(b->offer_timer, SD_EVENT_ONESHOT);
}

static void on_message(void *ctx, const char *topic, const void *data, size_t size)
{
	struct broker *b = ctx;
	struct source_offer offer;

	if (!b->source->decode(&b->who, topic, data, size, &offer)) {
		log_debug("a message of %zu bytes on %s means nothing", size, topic);
		return;
	}
	b->offer = offer;
	if (offer.look)
		offer_at(b, now_monotonic_us());
}

/* ---- reports ---- */

static void report_over(struct broker *b, struct report **p, enum ef_reason reason)
{
	struct report *r = *p;
	uint32_t id = r->id;

	*p = r->next;
	b->n_reports--;
	free(r->payload);
	free(r);
	b->cb.report(b->cb.ctx, id, reason);
}

static void send_report(struct broker *b, struct report *r)
{
	if (!b->connected || r->mid != 0)
		return;
	int mid = session_publish(b->session, r->topic, r->payload, r->size);
	if (mid > 0)
		r->mid = mid;
	else
		log_debug("report %u: %s", r->id, strerror(-mid));
}

static void on_published(void *ctx, int mid)
{
	struct broker *b = ctx;

	for (struct report **p = &b->reports; *p; p = &(*p)->next)
		if ((*p)->mid == mid) {
			report_over(b, p, EF_REASON_OK);
			return;
		}
}

static enum ef_reason report_add(struct broker *b, uint32_t id, const json_t *document)
{
	struct report **p = &b->reports;

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	if (*p)
		return EF_REASON_OK; /* still on its way */
	if (b->n_reports >= BROKER_REPORTS_MAX)
		return EF_REASON_BUSY;
	struct report *r = calloc(1, sizeof(*r));
	if (!r)
		return EF_REASON_NO_MEMORY;
	r->id = id;
	int rc = b->source->encode(
		&b->who, document, r->topic, sizeof(r->topic), &r->payload, &r->size);
	if (rc < 0) {
		free(r);
		return reason_from_errno(rc);
	}
	*p = r;
	b->n_reports++;
	send_report(b, r);
	return EF_REASON_OK;
}

void broker_report(struct broker *b, uint32_t id, const json_t *report)
{
	enum ef_reason reason = report_add(b, id, report);

	if (reason != EF_REASON_OK)
		b->cb.report(b->cb.ctx, id, reason);
}

/* ---- connection ---- */

static void set_connected(struct broker *b, bool connected)
{
	if (b->connected == connected)
		return;
	b->connected = connected;
	b->cb.state(b->cb.ctx, connected);
}

static void try_later(struct broker *b)
{
	uint64_t wait = backoff_us(
		b->settings->broker_backoff_ms * USEC_PER_MSEC, ++b->failures, BACKOFF_MAX_US);

	sd_event_source_set_time_relative(b->again, wait);
	sd_event_source_set_enabled(b->again, SD_EVENT_ONESHOT);
}

static void on_up(void *ctx)
{
	struct broker *b = ctx;
	char text[TOPICS_MAX][TOPIC_SIZE];
	const char *topics[TOPICS_MAX];
	size_t n = 0;

	while (n < TOPICS_MAX && b->source->topic(&b->who, (unsigned)n, text[n], TOPIC_SIZE)) {
		topics[n] = text[n];
		n++;
	}
	int r = session_subscribe(b->session, topics, n);
	if (r < 0)
		log_warning("subscribing: %s", strerror(-r)); /* the session's deadline ends it */
}

static void on_subscribed(void *ctx)
{
	struct broker *b = ctx;

	b->since = now_monotonic_us();
	log_info("connected to the broker %s:%u", b->settings->mqtt_host, b->settings->mqtt_port);
	set_connected(b, true);
	for (struct report *r = b->reports; r; r = r->next) {
		r->mid = 0;
		send_report(b, r);
	}
	/* An offer may have gone by meanwhile. Not the whole fleet at once. */
	if (b->ever) {
		b->offer = (struct source_offer){.look = true};
		offer_at(b, b->since + random_below(b->settings->missed_spread_ms * USEC_PER_MSEC));
	}
	b->ever = true;
}

static void on_down(void *ctx, const char *why)
{
	struct broker *b = ctx;
	bool was = b->connected;

	session_free(b->session);
	b->session = NULL;
	for (struct report *r = b->reports; r; r = r->next)
		r->mid = 0;
	if (was || b->failures == 0)
		log_warning(
			"broker %s:%u: %s", b->settings->mqtt_host, b->settings->mqtt_port, why);
	set_connected(b, false);
	if (was && now_monotonic_us() - b->since >= STEADY_US)
		b->failures = 0;
	if (was)
		b->next_address = NULL;
	else
		identity_check(b->settings->mqtt_identity);
	connect_next(b);
}

/* One address of the name after the other, then a pause. */
static void connect_next(struct broker *b)
{
	const struct session_callbacks cb = {.ctx = b,
		.up = on_up,
		.subscribed = on_subscribed,
		.message = on_message,
		.published = on_published,
		.down = on_down};
	_cleanup_free_ uint8_t *password = NULL;
	size_t size;

	if (b->next_address && b->settings->mqtt_password_file) {
		int r = file_read(b->settings->mqtt_password_file, PASSWORD_MAX, &password, &size);
		if (r < 0) {
			log_warning("%s: %s", b->settings->mqtt_password_file, strerror(-r));
			b->next_address = NULL;
		} else {
			password[strcspn((char *)password, "\r\n")] = '\0';
		}
	}
	while (b->next_address) {
		const struct addrinfo *a = b->next_address;
		b->next_address = a->ai_next;
		int r = session_new(&b->session, b->event, b->settings, b->tls, (char *)password,
			a->ai_addr, &cb);
		if (r == 0)
			break;
		log_debug("broker: %s", strerror(-r));
	}
	if (password)
		explicit_bzero(password, size);
	if (!b->session)
		try_later(b);
}

static void on_resolved(void *ctx, int error, struct addrinfo *list)
{
	struct broker *b = ctx;

	b->resolve = NULL;
	if (b->addresses)
		freeaddrinfo(b->addresses);
	b->addresses = b->next_address = list;
	if (error && b->failures == 0)
		log_warning("broker %s: %s", b->settings->mqtt_host, gai_strerror(error));
	connect_next(b);
}

static int on_again(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct broker *b = userdata;

	if (identity_fault(b->settings->mqtt_identity))
		return 0; /* the core has been told, and asks for another process */
	if (!b->tls)
		b->tls = session_tls_new(b->settings);
	if (!b->tls ||
		resolve_start(&b->resolve, b->event, b->settings->mqtt_host, on_resolved, b) < 0)
		try_later(b);
	return 0;
}

int broker_new(struct broker **ret, sd_event *event, const struct net_settings *settings,
	const struct source_ops *source, const struct broker_callbacks *cb)
{
	struct broker *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	*b = (struct broker){.event = sd_event_ref(event),
		.settings = settings,
		.source = source,
		.cb = *cb,
		.who = {.id = settings->id,
			.product = settings->product,
			.prefix = settings->prefix}};
	int r = sd_event_add_time_relative(event, &b->again, CLOCK_MONOTONIC, 0, 0, on_again, b);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &b->offer_timer, CLOCK_MONOTONIC, 0, 1000, on_offer_timer, b);
	if (r >= 0)
		r = sd_event_source_set_enabled(b->offer_timer, SD_EVENT_OFF);
	if (r < 0) {
		broker_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void broker_free(struct broker *b)
{
	if (!b)
		return;
	resolve_cancel(b->resolve);
	session_free(b->session);
	if (b->addresses)
		freeaddrinfo(b->addresses);
	sd_event_source_disable_unref(b->again);
	sd_event_source_disable_unref(b->offer_timer);
	while (b->reports) {
		struct report *r = b->reports;
		b->reports = r->next;
		free(r->payload);
		free(r);
	}
	SSL_CTX_free(b->tls);
	sd_event_unref(b->event);
	free(b);
}
