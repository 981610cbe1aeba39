/* SPDX-License-Identifier: Apache-2.0 */
#include "links/lines.h"
#include "links/lines-backend.h"
#include "util/cleanup.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define EDGES_A_TURN 16 /* a line that never rests gets its share of the loop, not all (F-32) */

struct line {
	struct gpio_line *gpio;
	sd_event_source *io;
	line_changed changed;
	void *ctx;
	bool dispatching, closed;
};

/* label: room for the whole of spec. */
static struct gpio_request parse(const char *spec, char *label)
{
	struct gpio_request q = {.active_low = spec[0] == '!'};
	const char *text = spec + q.active_low, *colon = strrchr(text, ':');

	q.name = text;
	if (!colon || colon == text || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")])
		return q;
	memcpy(label, text, (size_t)(colon - text));
	label[colon - text] = '\0';
	q.label = label;
	q.offset = (unsigned)strtoul(colon + 1, NULL, 10);
	return q;
}

static enum ef_reason refused(const char *spec, int r, struct error *e)
{
	switch (r) {
	case -ENODEV:
		return error_set(e, EF_REASON_CONFIG,
			"line %s: no GPIO chip with this label: gpiodetect shows those there are",
			spec);
	case -ENOENT:
		return error_set(e, EF_REASON_CONFIG,
			"line %s: there is none: gpioinfo shows those there are", spec);
	case -ENOTUNIQ:
		return error_set(e, EF_REASON_CONFIG,
			"line %s: more than one has this name: say CHIP-LABEL:OFFSET", spec);
	case -EBUSY:
		return error_set(
			e, EF_REASON_BUSY, "line %s: in use: gpioinfo shows by whom", spec);
	case -EACCES:
	case -EPERM:
		return error_set(e, EF_REASON_DENIED,
			"line %s: %s: the service needs DeviceAllow=char-gpiochip rw", spec,
			strerror(-r));
	default:
		return error_errno(e, r, "line %s", spec);
	}
}

static enum ef_reason line_new(
	struct line **ret, const char *spec, bool output, bool on, struct error *e)
{
	_cleanup_free_ char *label = malloc(strlen(spec) + 1);
	struct line *l = calloc(1, sizeof *l);
	struct gpio_request q;
	int r = -ENOMEM;

	if (l && label) {
		q = parse(spec, label);
		q.output = output;
		q.on = on;
		r = gpio_request(&l->gpio, &q);
	}
	if (r < 0) {
		free(l);
		return refused(spec, r, e);
	}
	*ret = l;
	return EF_REASON_OK;
}

enum ef_reason line_look(const char *spec, struct error *e)
{
	_cleanup_free_ char *label = malloc(strlen(spec) + 1);
	struct gpio_request q;
	int r = -ENOMEM;

	if (label) {
		q = parse(spec, label);
		r = gpio_look(&q);
	}
	return r < 0 ? refused(spec, r, e) : EF_REASON_OK;
}

enum ef_reason line_output(struct line **ret, const char *spec, bool on, struct error *e)
{
	return line_new(ret, spec, true, on, e);
}

int line_set(struct line *l, bool on)
{
	return gpio_set(l->gpio, on);
}

int line_get(const struct line *l)
{
	return gpio_get(l->gpio);
}

static int line_dispatch(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct line *l = userdata;
	bool on;

	l->dispatching = true;
	for (int i = 0; i < EDGES_A_TURN && !l->closed && gpio_next(l->gpio, &on) > 0; i++)
		l->changed(l->ctx, on);
	l->dispatching = false;
	if (l->closed)
		line_close(l);
	return 0;
}

enum ef_reason line_input(struct line **ret, sd_event *event, const char *spec,
	line_changed changed, void *ctx, struct error *e)
{
	struct line *l;
	int r;

	if (line_new(&l, spec, false, false, e))
		return e->reason;
	l->changed = changed;
	l->ctx = ctx;
	r = sd_event_add_io(event, &l->io, gpio_fd(l->gpio), EPOLLIN, line_dispatch, l);
	if (r < 0) {
		line_close(l);
		return error_errno(e, r, "line %s", spec);
	}
	*ret = l;
	return EF_REASON_OK;
}

void line_close(struct line *l)
{
	if (!l)
		return;
	l->closed = true;
	l->io = sd_event_source_disable_unref(l->io);
	if (l->dispatching)
		return;
	gpio_release(l->gpio);
	free(l);
}
