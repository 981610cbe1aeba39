/* SPDX-License-Identifier: Apache-2.0 */
#include "links/shared.h"
#include "util/time-util.h"
#include <edgeferry/smp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MESSAGE_MAX 8192u
/*
 * Since another gateway was heard last: its node has answered by then, or it has asked again. The
 * part that is drawn keeps two that have waited for each other from beginning together.
 */
#define QUIET_US (60 * USEC_PER_MSEC)
#define QUIET_DRAWN_US (60 * USEC_PER_MSEC)
#define QUIET_MOST_US (2 * USEC_PER_SEC) /* it may never stop */

#define SILENT_PAUSE \
	3u /* times the length of a silent turn, until the next one while others wait */

struct link {
	struct shared *shared;
	struct link *next;
	struct link_callbacks cb;
	uint8_t address;
};

struct shared {
	const struct link_ops *ops;
	struct link_spec spec; /* texts are owned */
	char *device, *ready;
	sd_event *event;
	struct link *below; /* NULL: closed */
	struct link *links;
	uint16_t sender;
	struct turn *holder, *first, **last; /* first: of those that wait */
	sd_event_source *grant;
	uint64_t heard_us;  /* another gateway */
	uint64_t free_us;   /* since when nobody has the turn */
	uint64_t held_us;   /* since when the holder has it */
	uint64_t silent_us; /* until when the silent ones let others go first */
};

/* Turns */

static void turn_arm(struct shared *s)
{
	uint64_t at = 0;
	uint16_t drawn;

	if (s->holder || !s->first) {
		sd_event_source_set_enabled(s->grant, SD_EVENT_OFF);
		return;
	}
	if (s->heard_us) {
		/* No entropy yet at first boot: as for everybody, the whole of it (F-39). */
		if (getrandom(&drawn, sizeof drawn, GRND_NONBLOCK) != sizeof drawn)
			drawn = UINT16_MAX;
		at = s->heard_us + QUIET_US + QUIET_DRAWN_US * drawn / UINT16_MAX;
	}
	if (at > s->free_us + QUIET_MOST_US)
		at = s->free_us + QUIET_MOST_US;
	sd_event_source_set_time(s->grant, at);
	sd_event_source_set_enabled(s->grant, SD_EVENT_ONESHOT);
}

static void take_out(struct shared *s, struct turn *t)
{
	struct turn **p = &s->first;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	if (!*p)
		s->last = p;
}

static struct turn *next_turn(const struct shared *s, uint64_t now)
{
	struct turn *t = s->first;

	while (t && t->silent && now < s->silent_us)
		t = t->next;
	return t ? t : s->first;
}

static int on_grant(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct shared *s = userdata;
	struct turn *t;

	if (s->holder || !s->first)
		return 0;
	s->held_us = now_monotonic_us();
	t = next_turn(s, s->held_us);
	take_out(s, t);
	s->holder = t;
	s->heard_us = 0;
	t->next = NULL;
	t->state = TURN_HELD;
	t->granted(t->ctx);
	return 0;
}

void turn_ask(struct shared *s, struct turn *t)
{
	if (t->state != TURN_NONE)
		return;
	if (!s->holder && !s->first)
		s->free_us = now_monotonic_us();
	t->state = TURN_WAITED;
	t->next = NULL;
	*s->last = t;
	s->last = &t->next;
	turn_arm(s);
}

void turn_leave(struct shared *s, struct turn *t)
{
	if (t->state == TURN_NONE)
		return;
	if (t->state == TURN_HELD) {
		s->holder = NULL;
		s->free_us = now_monotonic_us();
		if (t->silent)
			s->silent_us = s->free_us + SILENT_PAUSE * (s->free_us - s->held_us);
	} else {
		take_out(s, t);
	}
	t->state = TURN_NONE;
	turn_arm(s);
}

bool turn_wanted(const struct shared *s)
{
	return s->first != NULL;
}

/* The link below */

static void below_message(void *ctx, const uint8_t *data, size_t size)
{
	struct shared *s = ctx;
	uint16_t sender;

	if (size <= EF_SHARED_HEAD)
		return;
	sender = (uint16_t)(data[2] << 8 | data[3]);
	if (sender != s->sender) { /* another gateway's, or an answer to it */
		if (data[0] == EF_SHARED_TO_NODE || data[0] == EF_SHARED_FROM_NODE) {
			s->heard_us = now_monotonic_us();
			turn_arm(s);
		}
		return;
	}
	if (data[0] != EF_SHARED_FROM_NODE)
		return; /* our own, as lines echo it */
	for (struct link *l = s->links; l; l = l->next)
		if (l->address == data[1]) {
			l->cb.message(l->cb.ctx, data + EF_SHARED_HEAD, size - EF_SHARED_HEAD);
			return;
		}
}

static void below_lost(void *ctx, const struct error *e)
{
	struct shared *s = ctx;
	struct link *l;

	s->below = NULL;
	while ((l = s->links)) {
		struct link_callbacks cb = l->cb;

		s->links = l->next;
		free(l);
		cb.lost(cb.ctx, e);
	}
}

static enum ef_reason open_below(struct shared *s, struct error *e)
{
	struct link_callbacks cb = {.ctx = s, .message = below_message, .lost = below_lost};

	return s->below ? EF_REASON_OK : s->ops->open(&s->below, s->event, &s->spec, &cb, e);
}

/* A link above */

static enum ef_reason shared_open(struct link **ret, sd_event *event, const struct link_spec *spec,
	const struct link_callbacks *cb, struct error *e)
{
	struct shared *s = spec->shared;
	struct link *l;

	for (l = s->links; l; l = l->next)
		if (l->address == spec->address)
			return error_set(e, EF_REASON_BUSY, "%s: address %u is in use", s->device,
				spec->address);
	if (open_below(s, e))
		return e->reason;
	l = calloc(1, sizeof *l);
	if (!l)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", s->device);
	*l = (struct link){.shared = s, .next = s->links, .cb = *cb, .address = spec->address};
	s->links = l;
	*ret = l;
	return EF_REASON_OK;
}

static int shared_send(struct link *l, const uint8_t *data, size_t size)
{
	struct shared *s = l->shared;
	uint8_t message[MESSAGE_MAX];

	if (size > sizeof message - EF_SHARED_HEAD)
		return -EMSGSIZE;
	message[0] = EF_SHARED_TO_NODE;
	message[1] = l->address;
	message[2] = (uint8_t)(s->sender >> 8);
	message[3] = (uint8_t)s->sender;
	memcpy(message + EF_SHARED_HEAD, data, size);
	return s->ops->send(s->below, message, EF_SHARED_HEAD + size);
}

static size_t shared_queued(const struct link *l)
{
	return l->shared->ops->queued(l->shared->below);
}

static void shared_close(struct link *l)
{
	struct shared *s;

	if (!l)
		return;
	s = l->shared;
	for (struct link **p = &s->links; *p; p = &(*p)->next)
		if (*p == l) {
			*p = l->next;
			break;
		}
	free(l);
	if (!s->links) {
		s->ops->close(s->below);
		s->below = NULL;
	}
}

const struct link_ops link_shared = {
	.name = "shared",
	.open = shared_open,
	.send = shared_send,
	.queued = shared_queued,
	.close = shared_close,
};

/* Life */

enum ef_reason shared_new(struct shared **ret, sd_event *event, const struct link_ops *ops,
	const struct link_spec *spec, uint16_t sender, struct error *e)
{
	struct shared *s = calloc(1, sizeof *s);
	int r = -ENOMEM;

	if (s) {
		s->ops = ops;
		s->spec = *spec;
		s->event = sd_event_ref(event);
		s->last = &s->first;
		s->sender = sender ? sender : 1;
		s->device = strdup(spec->device);
		s->ready = spec->ready ? strdup(spec->ready) : NULL;
		s->spec.device = s->device;
		s->spec.ready = s->ready;
		r = sd_event_add_time(event, &s->grant, CLOCK_MONOTONIC, 0, 1000, on_grant, s);
		if (r >= 0)
			r = sd_event_source_set_enabled(s->grant, SD_EVENT_OFF);
	}
	if (r < 0 || !s->device || !s->ready != !spec->ready) {
		shared_free(s);
		return error_errno(e, r < 0 ? r : -ENOMEM, "%s", spec->device);
	}
	*ret = s;
	return EF_REASON_OK;
}

void shared_free(struct shared *s)
{
	if (!s)
		return;
	sd_event_source_disable_unref(s->grant);
	sd_event_unref(s->event);
	free(s->device);
	free(s->ready);
	free(s);
}
