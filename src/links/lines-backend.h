/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What lines.c needs of libgpiod; one of lines-v1.c and lines-v2.c is linked. Negative errno. */
#include <stdbool.h>

#define LINE_CONSUMER "edgeferry" /* what gpioinfo shows as the line's user */

struct gpio_line;

struct gpio_request {
	const char *label, *name; /* by name when label is NULL */
	unsigned offset;	  /* with label */
	bool active_low, output, on;
};

/* -ENODEV: no such chip; -ENOENT: no such line; -ENOTUNIQ: the name is there twice. */
int gpio_request(struct gpio_line **ret, const struct gpio_request *q);
int gpio_look(const struct gpio_request *q); /* 0: there is one; nothing is requested */
int gpio_set(struct gpio_line *l, bool on);
int gpio_get(struct gpio_line *l);
int gpio_fd(struct gpio_line *l);	      /* of an input: readable when gpio_next has one */
int gpio_next(struct gpio_line *l, bool *on); /* 1: an edge, 0: there is none */
void gpio_release(struct gpio_line *l);
