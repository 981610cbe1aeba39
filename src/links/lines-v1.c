/* SPDX-License-Identifier: Apache-2.0 */
/* Lines through libgpiod 1.6. */
#include "links/lines-backend.h"
#include <errno.h>
#include <gpiod.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct gpio_line {
	struct gpiod_chip *chip;
	struct gpiod_line *line;
};

/* The line in this chip, if it is there; *chip_seen: its label was the right one. */
static struct gpiod_line *in_chip(
	struct gpiod_chip *chip, const struct gpio_request *q, bool *chip_seen)
{
	if (!q->label)
		return gpiod_chip_find_line(chip, q->name);
	if (strcmp(gpiod_chip_label(chip), q->label) != 0)
		return NULL;
	*chip_seen = true;
	return q->offset < gpiod_chip_num_lines(chip) ? gpiod_chip_get_line(chip, q->offset) : NULL;
}

/* Goes through all chips: of a name, there must be one. */
static int find(struct gpio_line *l, const struct gpio_request *q)
{
	struct gpiod_chip_iter *chips = gpiod_chip_iter_new();
	bool chip_seen = !q->label, twice = false;
	struct gpiod_chip *chip;

	/* none at all is ENOENT, no permission for one of them EACCES */
	if (!chips)
		return errno == ENOENT ? -ENODEV : -errno;
	while ((chip = gpiod_chip_iter_next_noclose(chips))) {
		struct gpiod_line *line = in_chip(chip, q, &chip_seen);

		if (line && !l->line) {
			l->chip = chip;
			l->line = line;
			continue;
		}
		twice |= line != NULL;
		gpiod_chip_close(chip);
	}
	gpiod_chip_iter_free_noclose(chips);
	if (twice)
		return -ENOTUNIQ;
	return l->line ? 0 : chip_seen ? -ENOENT : -ENODEV;
}

int gpio_look(const struct gpio_request *q)
{
	struct gpio_line l = {0};
	int r = find(&l, q);

	if (l.chip)
		gpiod_chip_close(l.chip);
	return r;
}

int gpio_request(struct gpio_line **ret, const struct gpio_request *q)
{
	int flags = q->active_low ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0, r;
	struct gpio_line *l = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	r = find(l, q);
	if (r == 0) {
		r = q->output
			    ? gpiod_line_request_output_flags(l->line, LINE_CONSUMER, flags, q->on)
			    : gpiod_line_request_both_edges_events_flags(
				      l->line, LINE_CONSUMER, flags);
		r = r < 0 ? -errno : 0;
	}
	if (r < 0)
		gpio_release(l);
	else
		*ret = l;
	return r;
}

int gpio_set(struct gpio_line *l, bool on)
{
	return gpiod_line_set_value(l->line, on) < 0 ? -errno : 0;
}

int gpio_get(struct gpio_line *l)
{
	int r = gpiod_line_get_value(l->line);

	return r < 0 ? -errno : r;
}

int gpio_fd(struct gpio_line *l)
{
	return gpiod_line_event_get_fd(l->line);
}

int gpio_next(struct gpio_line *l, bool *on)
{
	struct pollfd p = {.fd = gpio_fd(l), .events = POLLIN};
	struct gpiod_line_event event;

	if (poll(&p, 1, 0) <= 0)
		return 0;
	if (gpiod_line_event_read(l->line, &event) < 0)
		return -errno;
	/* active low is turned around here by the kernel for levels, and for edges as well */
	*on = event.event_type == GPIOD_LINE_EVENT_RISING_EDGE;
	return 1;
}

void gpio_release(struct gpio_line *l)
{
	if (l->chip)
		gpiod_chip_close(l->chip);
	free(l);
}
