/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session.h"
#include "net/identity.h"
#include "net/verdict.h"
#include "util/log.h"
#include "util/time-util.h"
#include <arpa/inet.h>
#include <errno.h>
#include <mosquitto.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/epoll.h>

#define KEEPALIVE_SECONDS 120
#define SELDOM_US (40 * USEC_PER_SEC) /* a ping may be late by half its time */
#define CONNECT_US (30 * USEC_PER_SEC)
#define PACKETS_A_TURN 32 /* then the rest of the loop has its turn */

struct session {
	sd_event *event;
	struct mosquitto *mosq;
	struct session_callbacks cb;
	sd_event_source *io, *misc, *over;
	uint64_t deadline; /* of becoming subscribed */
	bool up, subscribed;
	char why[128];
};

/* ---- TLS ---- */

/* libmosquitto names the address; the server wants to hear the name (RFC 6066). */
static void on_tls_info(const SSL *ssl, int where, int ret)
{
	const char *host;

	if (!(where & SSL_CB_HANDSHAKE_START))
		return;
	host = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	SSL_set_tlsext_host_name((SSL *)ssl, host);
}

static bool is_address(const char *host)
{
	unsigned char buf[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, buf) == 1 || inet_pton(AF_INET6, host, buf) == 1;
}

static bool expect_host(SSL_CTX *tls, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_CTX_get0_param(tls);

	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1;
	SSL_CTX_set_app_data(tls, (void *)host); /* lives as long as the settings */
	return X509_VERIFY_PARAM_set1_host(p, host, 0) == 1;
}

SSL_CTX *session_tls_new(const struct net_settings *s)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	int ok = tls != NULL;

	if (ok)
		ok = SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1;
	if (ok)
		ok = s->mqtt_ca_file ? SSL_CTX_load_verify_file(tls, s->mqtt_ca_file) == 1
				     : SSL_CTX_set_default_verify_paths(tls) == 1;
	if (ok)
		ok = expect_host(tls, s->mqtt_host);
	if (ok)
		ok = !s->mqtt_identity || identity_use(s->mqtt_identity, tls);
	if (!ok) {
		const char *text = ERR_reason_error_string(ERR_peek_last_error());
		log_error("TLS for the broker with CA file %s%s: %s",
			s->mqtt_ca_file ? s->mqtt_ca_file : "of the system",
			s->mqtt_identity ? " and client certificate" : "", text ? text : "?");
		ERR_clear_error();
		SSL_CTX_free(tls);
		return NULL;
	}
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_info_callback(tls, on_tls_info);
	return tls;
}

/* ---- the loop ---- */

static int on_over(sd_event_source *s, void *userdata)
{
	struct session *m = userdata;
	char why[sizeof(m->why)];

	strcpy(why, m->why); /* the session is freed in there */
	m->cb.down(m->cb.ctx, why);
	return 0;
}

/* The end is told from the loop: here we may be deep in libmosquitto. The first cause is kept. */
static void lost(struct session *m, const char *why)
{
	if (m->over)
		return;
	snprintf(m->why, sizeof(m->why), "%s", why);
	sd_event_source_set_enabled(m->io, SD_EVENT_OFF);
	sd_event_source_set_enabled(m->misc, SD_EVENT_OFF);
	sd_event_add_defer(m->event, &m->over, on_over, m);
}

static void lost_by(struct session *m, int rc)
{
	SSL *ssl = m->mosq ? mosquitto_ssl_get(m->mosq) : NULL;
	long verdict = ssl && !m->up ? SSL_get_verify_result(ssl) : X509_V_OK;
	char why[sizeof(m->why)], note[96];

	if (verdict != X509_V_OK) {
		snprintf(why, sizeof(why), "%s%s", X509_verify_cert_error_string(verdict),
			verdict_note(verdict, now_real_s(), EF_BUILT, note, sizeof(note)));
		lost(m, why);
	} else {
		lost(m, rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
	}
}

/*
 * Until the session is up libmosquitto's own word on writing is of no use: it has a packet to write
 * all the time that TLS is waiting for the other side, and would have us spin.
 */
static bool wants_write(struct session *m)
{
	SSL *ssl = mosquitto_ssl_get(m->mosq);

	if (ssl && SSL_in_init(ssl))
		return !SSL_want_read(ssl);
	return mosquitto_want_write(m->mosq);
}

static void watch(struct session *m)
{
	if (!m->over && m->io)
		sd_event_source_set_io_events(
			m->io, EPOLLIN | (wants_write(m) ? (uint32_t)EPOLLOUT : 0));
}

static void read_some(struct session *m)
{
	for (int i = 0; i < PACKETS_A_TURN && !m->over; i++) {
		int rc = mosquitto_loop_read(m->mosq, 1);
		if (rc != MOSQ_ERR_SUCCESS) {
			lost_by(m, rc);
			return;
		}
		/* What TLS has decrypted already is not seen by epoll. */
		SSL *ssl = mosquitto_ssl_get(m->mosq);
		if (!ssl || SSL_pending(ssl) <= 0)
			return;
	}
	if (!m->over) /* the rest after everything else's turn */
		sd_event_source_set_time_relative(m->misc, 0);
}

static int socket_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return errno;
	return error ? error : ECONNRESET;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct session *m = userdata;

	if (revents & EPOLLERR)
		lost(m, strerror(socket_error(fd)));
	if (revents & EPOLLIN)
		read_some(m);
	if (revents & EPOLLHUP) /* libmosquitto takes EPIPE in the handshake for "not yet" */
		lost(m, "connection closed");
	if (!m->over && wants_write(m)) {
		int rc = mosquitto_loop_write(m->mosq, 1);
		if (rc != MOSQ_ERR_SUCCESS)
			lost_by(m, rc);
	}
	watch(m);
	return 0;
}

static int on_misc(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct session *m = userdata;
	SSL *ssl;

	sd_event_source_set_time_relative(s, m->subscribed ? SELDOM_US : USEC_PER_SEC);
	if (!m->subscribed && now_monotonic_us() > m->deadline) {
		lost(m, "no answer in time");
		return 0;
	}
	int rc = mosquitto_loop_misc(m->mosq);
	if (rc != MOSQ_ERR_SUCCESS)
		lost_by(m, rc);
	ssl = m->over ? NULL : mosquitto_ssl_get(m->mosq);
	if (ssl && SSL_pending(ssl) > 0)
		read_some(m);
	watch(m);
	return 0;
}

/* ---- what libmosquitto tells ---- */

static void on_connect(struct mosquitto *mosq, void *userdata, int rc)
{
	struct session *m = userdata;

	if (rc != 0) {
		lost(m, mosquitto_connack_string(rc));
		return;
	}
	m->up = true;
	m->cb.up(m->cb.ctx);
}

static void on_subscribe(struct mosquitto *mosq, void *userdata, int mid, int n, const int *qos)
{
	struct session *m = userdata;

	for (int i = 0; i < n; i++)
		if (qos[i] > 2)
			log_warning("the broker does not let us subscribe to topic %d", i + 1);
	if (!m->subscribed) {
		m->subscribed = true;
		m->cb.subscribed(m->cb.ctx);
	}
}

static void on_message(struct mosquitto *mosq, void *userdata, const struct mosquitto_message *msg)
{
	struct session *m = userdata;

	if (!m->over && msg->topic && msg->payloadlen >= 0)
		m->cb.message(m->cb.ctx, msg->topic, msg->payload, (size_t)msg->payloadlen);
}

static void on_publish(struct mosquitto *mosq, void *userdata, int mid)
{
	struct session *m = userdata;

	if (!m->over)
		m->cb.published(m->cb.ctx, mid);
}

static void on_disconnect(struct mosquitto *mosq, void *userdata, int rc)
{
	lost_by(userdata, rc);
}

/* ---- life ---- */

static int set_up(
	struct session *m, const struct net_settings *s, SSL_CTX *tls, const char *password)
{
	char client[96];

	snprintf(client, sizeof(client), "edgeferry-%s", s->id);
	m->mosq = mosquitto_new(client, true, m);
	if (!m->mosq)
		return -ENOMEM;
	mosquitto_connect_callback_set(m->mosq, on_connect);
	mosquitto_subscribe_callback_set(m->mosq, on_subscribe);
	mosquitto_message_callback_set(m->mosq, on_message);
	mosquitto_publish_callback_set(m->mosq, on_publish);
	mosquitto_disconnect_callback_set(m->mosq, on_disconnect);
	if (mosquitto_int_option(m->mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) != MOSQ_ERR_SUCCESS ||
		mosquitto_void_option(m->mosq, MOSQ_OPT_SSL_CTX, tls) != MOSQ_ERR_SUCCESS)
		return -ENOTSUP;
	if (s->mqtt_username &&
		mosquitto_username_pw_set(m->mosq, s->mqtt_username, password) != MOSQ_ERR_SUCCESS)
		return -ENOMEM;
	return 0;
}

static int start(struct session *m, const struct net_settings *s, const struct sockaddr *address)
{
	char ip[NI_MAXHOST];
	socklen_t size = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
							: sizeof(struct sockaddr_in);

	if (getnameinfo(address, size, ip, sizeof(ip), NULL, 0, NI_NUMERICHOST) != 0)
		return -EINVAL;
	int rc = mosquitto_connect_async(m->mosq, ip, s->mqtt_port, KEEPALIVE_SECONDS);
	if (rc != MOSQ_ERR_SUCCESS)
		return rc == MOSQ_ERR_ERRNO && errno > 0 ? -errno : -ECONNREFUSED;
	m->deadline = now_monotonic_us() + CONNECT_US;
	int r = sd_event_add_io(
		m->event, &m->io, mosquitto_socket(m->mosq), EPOLLIN | EPOLLOUT, on_io, m);
	if (r >= 0)
		r = sd_event_add_time_relative(m->event, &m->misc, CLOCK_MONOTONIC, USEC_PER_SEC,
			100 * USEC_PER_MSEC, on_misc, m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->misc, SD_EVENT_ON);
	return r < 0 ? r : 0;
}

int session_new(struct session **ret, sd_event *event, const struct net_settings *s, SSL_CTX *tls,
	const char *password, const struct sockaddr *address, const struct session_callbacks *cb)
{
	struct session *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->event = sd_event_ref(event);
	m->cb = *cb;
	int r = set_up(m, s, tls, password);
	if (r >= 0)
		r = start(m, s, address);
	if (r < 0) {
		session_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void session_free(struct session *m)
{
	if (!m)
		return;
	sd_event_source_disable_unref(m->io);
	sd_event_source_disable_unref(m->misc);
	sd_event_source_disable_unref(m->over);
	if (m->mosq)
		mosquitto_destroy(m->mosq);
	sd_event_unref(m->event);
	free(m);
}

int session_subscribe(struct session *m, const char *const *topics, size_t n)
{
	int rc = mosquitto_subscribe_multiple(
		m->mosq, NULL, (int)n, (char *const *)topics, 1, 0, NULL);

	watch(m);
	return rc == MOSQ_ERR_SUCCESS ? 0 : -EIO;
}

int session_publish(struct session *m, const char *topic, const void *data, size_t size)
{
	int mid;

	if (m->over || !m->up)
		return -ENOTCONN;
	int rc = mosquitto_publish(m->mosq, &mid, topic, (int)size, data, 1, false);
	watch(m);
	return rc == MOSQ_ERR_SUCCESS ? mid : -EIO;
}
