/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A source is where releases come from and where outcomes go: one codec a back-end, pure (bytes in,
 * offers and reports out). edgeferry-net does the I/O that it asks for. "tuf" is our own: a
 * published repository over HTTPS, woken and reported to through an MQTT broker.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct source_identity {
	const char *id; /* of the gateway */
	const char *product;
	const char *prefix; /* of MQTT topics */
};

struct source_offer {
	bool look;	  /* go and look */
	char version[32]; /* a hint, "" when none was given; never trusted */
};

struct source_ops {
	const char *name;
	bool push;    /* can wake the gateway */
	bool reports; /* takes reports */
	/* i-th topic to subscribe to; false when there are no more. */
	bool (*topic)(const struct source_identity *who, unsigned i, char *out, size_t size);
	/* A message that came from the broker; false when it means nothing. Bounded, hostile input.
	 */
	bool (*decode)(const struct source_identity *who, const char *topic, const void *data,
		size_t size, struct source_offer *ret);
	/* A report of the core → topic and payload (allocated, caller frees). 0 or negative errno.
	 */
	int (*encode)(const struct source_identity *who, const json_t *report, char *topic,
		size_t topic_size, char **payload, size_t *size);
};

extern const struct source_ops source_tuf;
