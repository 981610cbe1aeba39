/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One MQTT connection: from connect() until it ends, once. TLS by a context of ours, because
 * libmosquitto checks the certificate against what it connects to, and that is an address here:
 * names are resolved off the loop.
 */
#include "net/settings.h"
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

struct session;

struct session_callbacks {
	void *ctx;
	void (*up)(void *ctx); /* connected and accepted: subscribe */
	void (*subscribed)(void *ctx);
	void (*message)(void *ctx, const char *topic, const void *data, size_t size);
	void (*published)(void *ctx, int mid);
	void (*down)(void *ctx, const char *why); /* free it now; nothing follows */
};

/* TLS >= 1.2, chain and name verified; NULL with a reason logged. Frees with SSL_CTX_free. */
SSL_CTX *session_tls_new(const struct net_settings *s);

int session_new(struct session **ret, sd_event *event, const struct net_settings *s, SSL_CTX *tls,
	const char *password, const struct sockaddr *address, const struct session_callbacks *cb);
void session_free(struct session *m);

int session_subscribe(struct session *m, const char *const *topics, size_t n);
/* QoS 1. Message id or negative errno. */
int session_publish(struct session *m, const char *topic, const void *data, size_t size);
