/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One TLS connection to see whether it can be had. Blocks for some 10 s a step at most. */
#include "util/reason.h"
#include <openssl/evp.h>
#include <stdint.h>

struct tls_look {
	const char *host;
	uint16_t port;
	const char *ca_file;		  /* NULL: those of the system */
	const char *cert_file, *key_file; /* what this gateway proves itself with; NULL: nothing */
	EVP_PKEY *key;			  /* in place of key_file: in a token */
	const char *request;		  /* what is sent then; NULL: nothing */
	char answer[64]; /* how the answer begins, to the end of its line; "": there was none */
	int64_t expires; /* of the certificate */
};

/* Whether certificate and key of l are there, and a pair; when it is good. CONFIG with why. */
enum ef_reason tls_pair(
	const struct tls_look *l, int64_t *begins, int64_t *expires, struct error *e);

/* NET_UNREACHABLE or NET_TLS with why. */
enum ef_reason tls_look(struct tls_look *l, struct error *e);
