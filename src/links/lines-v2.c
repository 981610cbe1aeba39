/* SPDX-License-Identifier: Apache-2.0 */
/* Lines through libgpiod 2. */
#include "links/lines-backend.h"
#include <dirent.h>
#include <errno.h>
#include <gpiod.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gpio_line {
	struct gpiod_chip *chip;
	struct gpiod_line_request *request;
	struct gpiod_edge_event_buffer *events;
	unsigned offset;
};

/* The line's offset in this chip, or -1; *chip_seen: its label was the right one. */
static int in_chip(struct gpiod_chip *chip, const struct gpio_request *q, bool *chip_seen)
{
	struct gpiod_chip_info *info;
	int offset = -1;

	if (!q->label)
		return gpiod_chip_get_line_offset_from_name(chip, q->name);
	info = gpiod_chip_get_info(chip);
	if (info && strcmp(gpiod_chip_info_get_label(info), q->label) == 0) {
		*chip_seen = true;
		if (q->offset < gpiod_chip_info_get_num_lines(info))
			offset = (int)q->offset;
	}
	gpiod_chip_info_free(info);
	return offset;
}

/* Goes through all chips: of a name, there must be one. */
static int find(struct gpio_line *l, const struct gpio_request *q)
{
	bool chip_seen = !q->label, twice = false;
	DIR *dev = opendir("/dev");
	int denied = 0;
	struct dirent *d;

	if (!dev)
		return -errno;
	while ((d = readdir(dev))) {
		struct gpiod_chip *chip;
		char path[PATH_MAX];
		int offset;

		snprintf(path, sizeof path, "/dev/%s", d->d_name);
		if (strncmp(d->d_name, "gpiochip", 8) != 0 || !gpiod_is_gpiochip_device(path))
			continue;
		chip = gpiod_chip_open(path);
		if (!chip) {
			denied = -errno;
			continue;
		}
		offset = in_chip(chip, q, &chip_seen);
		if (offset >= 0 && !l->chip) {
			l->chip = chip;
			l->offset = (unsigned)offset;
			continue;
		}
		twice |= offset >= 0;
		gpiod_chip_close(chip);
	}
	closedir(dev);
	if (twice)
		return -ENOTUNIQ;
	return l->chip ? 0 : denied ? denied : chip_seen ? -ENOENT : -ENODEV;
}

static int configure(
	struct gpio_line *l, const struct gpio_request *q, struct gpiod_line_settings *s)
{
	struct gpiod_request_config *request = gpiod_request_config_new();
	struct gpiod_line_config *config = gpiod_line_config_new();
	int r = -ENOMEM;

	if (request && config) {
		gpiod_request_config_set_consumer(request, LINE_CONSUMER);
		gpiod_line_settings_set_active_low(s, q->active_low);
		gpiod_line_settings_set_direction(
			s, q->output ? GPIOD_LINE_DIRECTION_OUTPUT : GPIOD_LINE_DIRECTION_INPUT);
		if (q->output)
			gpiod_line_settings_set_output_value(
				s, q->on ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE);
		else
			gpiod_line_settings_set_edge_detection(s, GPIOD_LINE_EDGE_BOTH);
		if (gpiod_line_config_add_line_settings(config, &l->offset, 1, s) == 0)
			l->request = gpiod_chip_request_lines(l->chip, request, config);
		r = l->request ? 0 : -errno;
	}
	gpiod_line_config_free(config);
	gpiod_request_config_free(request);
	return r;
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
	struct gpiod_line_settings *s = gpiod_line_settings_new();
	struct gpio_line *l = calloc(1, sizeof *l);
	int r = -ENOMEM;

	if (l)
		l->events = gpiod_edge_event_buffer_new(1);
	if (s && l && l->events) {
		r = find(l, q);
		if (r == 0)
			r = configure(l, q, s);
	}
	gpiod_line_settings_free(s);
	if (r < 0 && l)
		gpio_release(l);
	else if (r == 0)
		*ret = l;
	return r;
}

int gpio_set(struct gpio_line *l, bool on)
{
	return gpiod_line_request_set_value(l->request, l->offset,
		       on ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE) < 0
		       ? -errno
		       : 0;
}

int gpio_get(struct gpio_line *l)
{
	enum gpiod_line_value v = gpiod_line_request_get_value(l->request, l->offset);

	return v == GPIOD_LINE_VALUE_ERROR ? -errno : v == GPIOD_LINE_VALUE_ACTIVE;
}

int gpio_fd(struct gpio_line *l)
{
	return gpiod_line_request_get_fd(l->request);
}

int gpio_next(struct gpio_line *l, bool *on)
{
	struct gpiod_edge_event *event;
	int r = gpiod_line_request_wait_edge_events(l->request, 0);

	if (r <= 0)
		return r < 0 ? -errno : 0;
	if (gpiod_line_request_read_edge_events(l->request, l->events, 1) < 0)
		return -errno;
	event = gpiod_edge_event_buffer_get_event(l->events, 0);
	*on = gpiod_edge_event_get_event_type(event) == GPIOD_EDGE_EVENT_RISING_EDGE;
	return 1;
}

void gpio_release(struct gpio_line *l)
{
	if (l->request)
		gpiod_line_request_release(l->request);
	if (l->chip)
		gpiod_chip_close(l->chip);
	gpiod_edge_event_buffer_free(l->events);
	free(l);
}
