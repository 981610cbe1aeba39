/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/spread.h"
#include "util/time-util.h"
#include <edgeferry/smp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_US (15 * USEC_PER_SEC) /* for those who come, since somebody did something */
#define ROUNDS_MAX 5u
#define SLICE_US (400 * USEC_PER_MSEC)
#define AHEAD_US (60 * USEC_PER_MSEC) /* of line time that is queued */
#define TAIL_US (20 * USEC_PER_MSEC)  /* until the line is surely quiet again */
#define LATE_US (200 * USEC_PER_MSEC)
#define AROUND 24u /* bytes of a frame that are not data */

enum run_state { RUN_NONE, RUN_SENDING, RUN_ASKING };

struct spread {
	sd_event *event;
	sd_event_source *timer;
	struct shared *line;
	uint32_t baud;
	struct spread_member *members;
	uint64_t moved_us;		    /* when one came, listened or left last */
	uint64_t longest_us[SPREAD_PHASES]; /* since all were out; 0: nobody did it yet */

	/* what is being sent */
	enum run_state state;
	struct spread_member *asked;
	const struct spread_member *source; /* one of those who listen: whose image is read */
	struct turn turn;
	struct link *link;
	uint64_t turn_us, line_free_us;
	uint32_t blocks, at;
	uint32_t sent;
	uint8_t *wanted; /* bitmap */
	unsigned rounds;
	bool sampling; /* the first is asked whether it has any of it already */
};

static void advance(struct spread *s);

static bool bit(const uint8_t *map, uint32_t i)
{
	return map[i / 8] >> i % 8 & 1;
}

static bool same(const struct spread_member *a, const struct spread_member *b)
{
	return a->size == b->size && memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

static void arm(struct spread *s, uint64_t at)
{
	sd_event_source_set_time(s->timer, at);
	sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

/* Members */

static unsigned count(const struct spread_member *like, enum spread_state state)
{
	unsigned n = 0;

	for (const struct spread_member *m = like->spread->members; m; m = m->next)
		n += m->state == state && same(m, like);
	return n;
}

void spread_come(struct spread *s, struct spread_member *m)
{
	spread_leave(m);
	m->spread = s;
	m->state = SPREAD_COMING;
	m->told = m->running = false;
	m->next = s->members;
	s->members = m;
}

bool spread_worth(const struct spread_member *m)
{
	return m->state == SPREAD_COMING &&
	       count(m, SPREAD_COMING) + count(m, SPREAD_LISTENING) > 1;
}

void spread_listening(struct spread_member *m)
{
	m->state = SPREAD_LISTENING;
	m->spread->moved_us = now_monotonic_us();
	arm(m->spread, 0);
}

void spread_took(struct spread_member *m, enum spread_phase phase, uint64_t us)
{
	if (m->state != SPREAD_OUT && us > m->spread->longest_us[phase])
		m->spread->longest_us[phase] = us;
}

uint64_t spread_patience(const struct spread_member *m, enum spread_phase phase, uint64_t most_us)
{
	uint64_t longest = m->state != SPREAD_OUT ? m->spread->longest_us[phase] : 0;

	return longest && 3 * longest + LATE_US < most_us ? 3 * longest + LATE_US : most_us;
}

static void take_out(struct spread_member *m)
{
	struct spread *s = m->spread;
	struct spread_member **p = &s->members;

	while (*p != m)
		p = &(*p)->next;
	*p = m->next;
	m->state = SPREAD_OUT;
	free(m->missing);
	m->missing = NULL;
	if (s->asked == m)
		s->asked = NULL;
	if (s->source == m)
		s->source = NULL;
	for (struct spread_member *o = s->members; o && !s->source; o = o->next)
		if (o->running)
			s->source = o;
	if (!s->members)
		memset(s->longest_us, 0, sizeof s->longest_us);
}

void spread_leave(struct spread_member *m)
{
	if (m->state == SPREAD_OUT)
		return;
	m->spread->moved_us = now_monotonic_us();
	take_out(m);
	arm(m->spread, 0);
}

/* A run: blocks to all who listen for one image */

static void run_end(struct spread *s)
{
	struct spread_member *m = s->members;

	turn_leave(s->line, &s->turn);
	if (s->link)
		link_shared.close(s->link);
	s->link = NULL;
	free(s->wanted);
	s->wanted = NULL;
	s->state = RUN_NONE;
	while (m) {
		if (!m->running) {
			m = m->next;
			continue;
		}
		take_out(m);
		m->calls->over(m->ctx);
		m = s->members; /* the list may be another one */
	}
	s->source = NULL;
	arm(s, 0);
}

static void on_lost(void *ctx, const struct error *e)
{
	struct spread *s = ctx;

	s->link = NULL;
	arm(s, 0);
}

static void on_message(void *ctx, const uint8_t *data, size_t size)
{
}

/* What is blank in the flash cannot be told from what is missing: it is left to the uploads. */
static bool blank(const struct spread *s, uint32_t block)
{
	uint32_t at = block * SPREAD_BLOCK, end = at + SPREAD_BLOCK;

	if (at < SPREAD_FIRST) /* that is there already; a header may end in it */
		at = SPREAD_FIRST;
	for (; at < end && at < s->source->size; at++)
		if (s->source->image[at] != 0xff)
			return false;
	return true;
}

static bool run_begin(struct spread *s, struct spread_member *first)
{
	const struct link_spec spec = {.shared = s->line, .address = EF_SHARED_ALL};
	const struct link_callbacks cb = {.ctx = s, .message = on_message, .lost = on_lost};
	struct error e = {0};

	s->source = first;
	for (struct spread_member *m = s->members; m; m = m->next)
		m->running = m->state == SPREAD_LISTENING && same(m, first);
	s->blocks = (first->size + SPREAD_BLOCK - 1) / SPREAD_BLOCK;
	s->at = s->sent = 0;
	s->rounds = 0;
	s->sampling = true;
	s->line_free_us = 0;
	s->wanted = calloc(s->blocks / 8 + 1, 1);
	if (!s->wanted || s->blocks > UINT16_MAX + 1u || count(first, SPREAD_LISTENING) < 2 ||
		link_shared.open(&s->link, s->event, &spec, &cb, &e)) {
		run_end(s);
		return false;
	}
	for (uint32_t i = 0; i < s->blocks; i++)
		if (!blank(s, i))
			s->wanted[i / 8] |= (uint8_t)(1u << i % 8);
	s->state = RUN_ASKING;
	return true;
}

/* Those who listen do so for nobody else who still comes, or they have waited long enough. */
static struct spread_member *due(struct spread *s, uint64_t now)
{
	for (struct spread_member *m = s->members; m; m = m->next)
		if (m->state == SPREAD_LISTENING &&
			(!count(m, SPREAD_COMING) || now >= s->moved_us + PATIENCE_US))
			return m;
	return NULL;
}

/* Sending */

static void send_block(struct spread *s, uint64_t now)
{
	uint8_t message[EF_SMP_HEADER_SIZE + EF_SPREAD_HEAD + SPREAD_BLOCK];
	uint32_t at = s->at * SPREAD_BLOCK, n = s->source->size - at;
	struct ef_smp_header h = {.op = EF_SMP_WRITE,
		.version = 1,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_BLOCK};
	uint8_t *d = message + EF_SMP_HEADER_SIZE;

	if (n > SPREAD_BLOCK)
		n = SPREAD_BLOCK;
	h.length = (uint16_t)(EF_SPREAD_HEAD + n);
	ef_smp_header_encode(&h, message);
	memcpy(d, s->source->hash, EF_SPREAD_ID);
	d[EF_SPREAD_ID] = (uint8_t)(s->at >> 8);
	d[EF_SPREAD_ID + 1] = (uint8_t)s->at;
	memcpy(d + EF_SPREAD_HEAD, s->source->image + at, n);
	/* what does not fit is lost, and asked for again */
	link_shared.send(s->link, message, EF_SMP_HEADER_SIZE + h.length);
	if (s->line_free_us < now)
		s->line_free_us = now;
	s->line_free_us += (n + AROUND) * 10 * USEC_PER_SEC / s->baud;
	s->sent += n;
}

static bool next_block(struct spread *s)
{
	while (s->at < s->blocks && !bit(s->wanted, s->at))
		s->at++;
	return s->at < s->blocks;
}

static void tell_progress(struct spread *s)
{
	uint32_t sent = s->sent < s->source->size ? s->sent : s->source->size;

	for (struct spread_member *m = s->members; m; m = m->next)
		if (m->running)
			m->calls->progress(m->ctx, sent);
}

/* Paced by the line's rate: whoever drives it takes much more at once than it carries. */
static void send_some(struct spread *s)
{
	uint64_t now = now_monotonic_us();
	bool more, rest = turn_wanted(s->line) && now - s->turn_us >= SLICE_US;

	while ((more = next_block(s)) && !rest && s->line_free_us < now + AHEAD_US) {
		send_block(s, now);
		s->at++;
	}
	tell_progress(s);
	if (more && !rest) {
		arm(s, s->line_free_us - AHEAD_US / 2);
	} else if (now < s->line_free_us + TAIL_US || link_shared.queued(s->link)) {
		arm(s, now + TAIL_US / 2);
	} else {
		turn_leave(s->line, &s->turn);
		if (!more)
			s->state = RUN_ASKING;
		arm(s, 0);
	}
}

static void granted(void *ctx)
{
	struct spread *s = ctx;

	s->turn_us = now_monotonic_us();
	arm(s, 0);
}

/* Asking */

static bool ask_next(struct spread *s)
{
	for (struct spread_member *m = s->members; m; m = m->next) {
		if (!m->running || m->told)
			continue;
		m->missing = m->missing ? m->missing : calloc(s->blocks / 8 + 1, 1);
		if (!m->missing)
			return false;
		memset(m->missing, 0, s->blocks / 8 + 1);
		s->asked = m;
		m->calls->ask(m->ctx, 0);
		return true;
	}
	return false;
}

bool spread_told(
	struct spread_member *m, uint32_t from, const uint8_t *missing, size_t size, uint32_t *next)
{
	struct spread *s = m->spread;
	uint32_t i;

	if (m->state == SPREAD_OUT || s->asked != m)
		return true;
	for (i = from; i < s->blocks && i - from < size * 8; i++)
		if (bit(missing, i - from) && !blank(s, i))
			m->missing[i / 8] |= (uint8_t)(1u << i % 8);
	*next = i;
	if (i < s->blocks && size)
		return false;
	m->told = true;
	s->asked = NULL;
	arm(s, 0);
	return true;
}

/* What several lack is sent again to all. */
static bool again(struct spread *s)
{
	bool any = false;

	memset(s->wanted, 0, s->blocks / 8 + 1);
	for (uint32_t i = 0; i < s->blocks; i++) {
		unsigned n = 0;

		for (struct spread_member *m = s->members; m; m = m->next)
			n += m->running && m->missing && bit(m->missing, i);
		if (n > 1)
			s->wanted[i / 8] |= (uint8_t)(1u << i % 8);
		any |= n > 1;
	}
	for (struct spread_member *m = s->members; m; m = m->next)
		m->told = false;
	s->at = 0;
	return any && ++s->rounds < ROUNDS_MAX;
}

/*
 * One has answered before anything was sent. When it lacks all of it, as all do who were sent
 * nothing yet, they are sent all of it; else this goes on where it was broken off, and each is
 * asked.
 */
static bool sampled(struct spread *s)
{
	const struct spread_member *m = s->members;

	while (m && !(m->running && m->told))
		m = m->next;
	if (!m)
		return false;
	s->sampling = false;
	for (uint32_t i = 0; i < s->blocks; i++)
		if (bit(s->wanted, i) && !bit(m->missing, i))
			return true;
	for (struct spread_member *o = s->members; o; o = o->next)
		o->told = false;
	s->state = RUN_SENDING;
	return true;
}

static void advance(struct spread *s)
{
	uint64_t now = now_monotonic_us();
	struct spread_member *m;

	if (s->state != RUN_NONE && (!s->source || !s->link)) {
		run_end(s);
	} else if (s->state == RUN_SENDING && s->turn.state == TURN_HELD) {
		send_some(s);
	} else if (s->state == RUN_SENDING) {
		turn_ask(s->line, &s->turn);
	} else if (s->state == RUN_ASKING && !s->asked && s->sampling && sampled(s)) {
		arm(s, 0);
	} else if (s->state == RUN_ASKING && !s->asked && !ask_next(s)) {
		if (again(s))
			s->state = RUN_SENDING;
		else
			run_end(s);
		arm(s, 0);
	} else if (s->state == RUN_NONE && (m = due(s, now))) {
		if (run_begin(s, m))
			arm(s, 0);
	} else if (s->state == RUN_NONE && s->members) {
		arm(s, s->moved_us + PATIENCE_US > now ? s->moved_us + PATIENCE_US
						       : now + PATIENCE_US);
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	advance(userdata);
	return 0;
}

/* Life */

enum ef_reason spread_new(
	struct spread **ret, sd_event *event, struct shared *line, uint32_t baud, struct error *e)
{
	struct spread *s = calloc(1, sizeof *s);
	int r = -ENOMEM;

	if (s) {
		s->event = sd_event_ref(event);
		s->line = line;
		s->baud = baud ? baud : 115200;
		s->turn = (struct turn){.granted = granted, .ctx = s};
		r = sd_event_add_time(event, &s->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, s);
		if (r >= 0)
			r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	}
	if (r < 0) {
		spread_free(s);
		return error_errno(e, r, "broadcast");
	}
	*ret = s;
	return EF_REASON_OK;
}

void spread_free(struct spread *s)
{
	if (!s)
		return;
	turn_leave(s->line, &s->turn);
	if (s->link)
		link_shared.close(s->link);
	free(s->wanted);
	sd_event_source_disable_unref(s->timer);
	sd_event_unref(s->event);
	free(s);
}
