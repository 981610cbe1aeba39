/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/tls.h"
#include "util/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define WAIT_MS 10000

DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
DEFINE_CLEANUP(SSL *, SSL_free)
DEFINE_CLEANUP(struct addrinfo *, freeaddrinfo)

static int connect_to(const struct addrinfo *a)
{
	const struct timeval wait = {.tv_sec = WAIT_MS / 1000};
	struct pollfd p = {.events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);

	p.fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p.fd < 0)
		return -errno;
	if (connect(p.fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS)
		error = errno;
	else if (poll(&p, 1, WAIT_MS) != 1)
		error = ETIMEDOUT;
	else if (getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error == 0 &&
		(fcntl(p.fd, F_SETFL, 0) < 0 ||
			setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
			setsockopt(p.fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0))
		error = errno;
	if (error == 0)
		return p.fd;
	ef_close(p.fd);
	return -error;
}

static enum ef_reason reach(const struct tls_look *l, int *fd, struct error *e)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	_cleanup_(freeaddrinfop) struct addrinfo *list = NULL;
	char port[8];

	snprintf(port, sizeof(port), "%u", l->port);
	int r = getaddrinfo(l->host, port, &hints, &list);
	if (r != 0)
		return error_set(e, EF_REASON_NET_UNREACHABLE, "%s: %s", l->host,
			r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
	*fd = -EHOSTUNREACH;
	for (const struct addrinfo *a = list; a && *fd < 0; a = a->ai_next)
		*fd = connect_to(a);
	return *fd < 0 ? error_set(e, EF_REASON_NET_UNREACHABLE, "%s port %u: %s", l->host, l->port,
				 strerror(-*fd))
		       : EF_REASON_OK;
}

static bool set_up(SSL *ssl, const struct tls_look *l)
{
	X509_VERIFY_PARAM *want = SSL_get0_param(ssl);

	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	/* an address is looked for among the certificate's addresses, a name among its names */
	if (X509_VERIFY_PARAM_set1_ip_asc(want, l->host) == 1)
		return true;
	return SSL_set1_host(ssl, l->host) == 1 && SSL_set_tlsext_host_name(ssl, l->host) == 1;
}

static int64_t seconds(const ASN1_TIME *t)
{
	struct tm tm;

	return t && ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

/* Nobody is asked for a passphrase: the service cannot be, either. */
static int no_passphrase(char *text, int size, int writing, void *ctx)
{
	return -1;
}

static enum ef_reason use_pair(SSL_CTX *ctx, const struct tls_look *l, struct error *e)
{
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(ctx, l->cert_file) != 1)
		return error_set(e, EF_REASON_CONFIG, "%s: no certificate in PEM", l->cert_file);
	if (l->key ? SSL_CTX_use_PrivateKey(ctx, l->key) == 1
		   : SSL_CTX_use_PrivateKey_file(ctx, l->key_file, SSL_FILETYPE_PEM) == 1)
		return EF_REASON_OK;
	/* it is loaded only when it is the certificate's own */
	return error_set(e, EF_REASON_CONFIG, "%s: %s", l->key ? "the token's" : l->key_file,
		ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH
			? "not the key of the certificate"
			: "no private key in PEM without a passphrase");
}

enum ef_reason tls_pair(
	const struct tls_look *l, int64_t *begins, int64_t *expires, struct error *e)
{
	_cleanup_(SSL_CTX_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return error_set(e, EF_REASON_NO_MEMORY, "TLS");
	if (use_pair(ctx, l, e))
		return e->reason;
	*begins = seconds(X509_get0_notBefore(SSL_CTX_get0_certificate(ctx)));
	*expires = seconds(X509_get0_notAfter(SSL_CTX_get0_certificate(ctx)));
	return EF_REASON_OK;
}

static enum ef_reason shake(SSL *ssl, struct tls_look *l, struct error *e)
{
	if (SSL_connect(ssl) == 1) {
		l->expires = seconds(X509_get0_notAfter(SSL_get0_peer_certificate(ssl)));
		return EF_REASON_OK;
	}
	long verdict = SSL_get_verify_result(ssl);
	const char *why = ERR_reason_error_string(ERR_peek_last_error());
	return error_set(e, EF_REASON_NET_TLS, "%s: %s", l->host,
		verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
		: why		     ? why
				     : "the connection ended in the handshake");
}

enum ef_reason tls_look(struct tls_look *l, struct error *e)
{
	_cleanup_(SSL_CTX_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	_cleanup_(SSL_freep) SSL *ssl = NULL;
	_cleanup_close_ int fd = -1;

	if (!ctx)
		return error_set(e, EF_REASON_NO_MEMORY, "TLS");
	if (l->ca_file ? SSL_CTX_load_verify_file(ctx, l->ca_file) != 1
		       : SSL_CTX_set_default_verify_paths(ctx) != 1)
		return error_set(e, EF_REASON_NET_TLS, "%s: no certificates in PEM",
			l->ca_file ? l->ca_file : "the system's authorities");
	if (l->cert_file && use_pair(ctx, l, e))
		return e->reason;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	ssl = SSL_new(ctx);
	if (!ssl || !set_up(ssl, l))
		return error_set(e, EF_REASON_NO_MEMORY, "TLS");
	if (reach(l, &fd, e))
		return e->reason;
	if (SSL_set_fd(ssl, fd) != 1)
		return error_set(e, EF_REASON_NO_MEMORY, "TLS");
	if (shake(ssl, l, e) || !l->request)
		return e->reason;
	int n = SSL_write(ssl, l->request, (int)strlen(l->request));
	if (n > 0)
		n = SSL_read(ssl, l->answer, sizeof(l->answer) - 1);
	l->answer[n > 0 ? n : 0] = '\0';
	l->answer[strcspn(l->answer, "\r\n")] = '\0';
	return EF_REASON_OK;
}
