/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The payload of CONFIG (net/ipc.h), read. */
#include "util/reason.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct identity;

#define NET_HANG_S 360u /* three of the core's pings */

struct net_settings {
	json_t *document; /* owns the texts below */
	const char *url;  /* without a slash at its end; NULL: none */
	size_t url_size;
	const char *ca_file;
	const char *cert, *cert_key; /* PEM, not files; a key also by its address; NULL: none */
	const char *token_socket;
	const char *id, *product, *prefix;
	const char *mqtt_host; /* NULL: no broker */
	uint16_t mqtt_port;
	const char *mqtt_ca_file, *mqtt_username, *mqtt_password_file;
	const char *mqtt_cert, *mqtt_cert_key;
	struct identity *identity, *mqtt_identity; /* made of them by net.c; NULL: none */
	uint64_t min_rate;			   /* bytes a second, S-27 */
	uint64_t min_rate_seconds;		   /* over this long */
	uint64_t grace_seconds; /* a fetch may take so much longer than its bytes at the least rate
				 */
	uint64_t retries;	/* in a row that bring nothing */
	uint64_t backoff_ms;	/* before the first one */
	uint64_t broker_backoff_ms; /* before the broker is tried again for the first time */
	uint64_t offer_apart_ms;    /* between two offers at least */
	uint64_t missed_spread_ms;  /* a look for what was missed comes within this, by chance */
	uint64_t hang_seconds; /* since the core's last ping: who has not taken another one ends */
};

/* OK, or CONFIG with e set. Unknown keys are refused (S-05). */
enum ef_reason net_settings_parse(
	struct net_settings *ret, const void *data, size_t size, struct error *e);
void net_settings_free(struct net_settings *s);
