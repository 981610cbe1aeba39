/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One TLS connection to see whether it can be had. Blocks for some 10 s a step at most. */
#include "util/reason.h"
#include <stdint.h>

struct tls_look {
	const char *host;
	uint16_t port;
	const char *ca_file; /* NULL: those of the system */
	const char *cert_file, *key_file; /* what this gateway proves itself with; NULL: nothing */
	const char *request; /* what is sent then; NULL: nothing */
	char answer[64];     /* how the answer begins, to the end of its line; "": there was none */
	int64_t expires;     /* of the certificate */
};

/* A certificate, and the key that is its own, in PEM; when it is good. CONFIG with why. */
enum ef_reason tls_pair(const char *cert_file, const char *key_file, int64_t *begins, int64_t *expires,
	struct error *e);

/* NET_UNREACHABLE or NET_TLS with why. */
enum ef_reason tls_look(struct tls_look *l, struct error *e);
