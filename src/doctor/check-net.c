/* SPDX-License-Identifier: Apache-2.0 */
/* Server and broker: as they are reached from here, and as the daemon has found them. */
#include "config/value.h"
#include "doctor/client-token.h"
#include "doctor/doctor.h"
#include "doctor/tls.h"
#include "util/time-util.h"
#include "util/token-uri.h"
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define SOON_S (10 * 86400)

static const char *advice_for(enum ef_reason r)
{
	return r == EF_REASON_NET_TLS
		       ? "see that the clock is right, that the certificate is for this host, and "
			 "that "
			 "CAFile= names the authority that signed it"
		       : "see that the network is up (ip addr, ip route, resolvectl), and that the "
			 "name and the port are right";
}

struct pair {
	char cert[PATH_MAX], key[PATH_MAX];
	EVP_PKEY *token;
};

static void pair_release(struct pair *p)
{
	EVP_PKEY_free(p->token);
}

/* What this gateway proves itself with: there, a pair, in its time, nobody else's. False: not to be
 * used. */
static bool good_pair(struct doctor *d, const char *section, const char *cert, const char *key,
	struct tls_look *l)
{
	struct error e = {0};
	int64_t begins, expires;
	char stamp[21], shown[256];

	if (tls_pair(l, &begins, &expires, &e)) {
		say(d, LEVEL_ERROR,
			l->key ? "have a certificate issued for the key in the token, in PEM, then "
				 "'edgeferry reload'"
			       : "put certificate and key there, both in PEM, then 'edgeferry "
				 "reload'; as credentials they are there while the service runs",
			"[%s] ClientCertificate=%s, ClientKey=%s: %s", section, cert,
			token_uri_shown(key, shown), e.detail);
		return false;
	}
	if (!l->key && others_read(key, l->key_file))
		say(d, LEVEL_WARNING, "chmod 600 it; edgeferryd reads it as root",
			"[%s] ClientKey=%s can be read by others", section, key);
	if (expires < now_real_s())
		say(d, LEVEL_ERROR, "have it renewed, then 'edgeferry reload'",
			"[%s] ClientCertificate=%s expired at %s", section, cert,
			time_format_utc(expires, stamp));
	else if (begins > now_real_s())
		say(d, LEVEL_ERROR, "see that the clock is right",
			"[%s] ClientCertificate=%s is good from %s", section, cert,
			time_format_utc(begins, stamp));
	else if (expires - now_real_s() < SOON_S)
		say(d, LEVEL_WARNING, "have it renewed, then 'edgeferry reload'",
			"[%s] ClientCertificate=%s expires at %s", section, cert,
			time_format_utc(expires, stamp));
	return true;
}

static void check_client(struct doctor *d, const char *section, const char *cert, const char *key,
	struct pair *p, struct tls_look *l)
{
	if (!cert)
		return;
	find_secret(d, cert, p->cert);
	l->cert_file = p->cert;
	if (token_uri_is(key)) {
		l->key = p->token = client_token(d, section, key);
		if (!l->key) {
			l->cert_file = NULL;
			return;
		}
	} else {
		find_secret(d, key, p->key);
		l->key_file = p->key;
	}
	if (!good_pair(d, section, cert, key, l))
		l->cert_file = NULL;
}

/* Says what is wrong with the connection; true: nothing is. */
static bool connected(struct doctor *d, const char *what, struct tls_look *l)
{
	struct error e = {0};
	char path[PATH_MAX], stamp[21];

	if (l->ca_file)
		l->ca_file = below(d, l->ca_file, path);
	if (tls_look(l, &e)) {
		say(d, LEVEL_ERROR, advice_for(e.reason), "%s: %s: %s", what, reason_text(e.reason),
			e.detail);
		return false;
	}
	if (l->expires - now_real_s() < SOON_S)
		say(d, LEVEL_WARNING, "have its certificate renewed; afterwards nothing is reached",
			"%s: the certificate of %s expires at %s", what, l->host,
			time_format_utc(l->expires, stamp));
	return true;
}

/* What the daemon has found when it looked last: it may go another way than we. */
static void check_last_look(struct doctor *d)
{
	const json_t *server = json_get_object(d->status, "server");
	const char *word = NULL, *detail = "";
	enum ef_reason r;

	if (!json_get_string(server, "reason", &word) || !reason_from_word(word, &r) || !r)
		return;
	json_get_string(server, "detail", &detail);
	say(d, LEVEL_WARNING, *reason_hint(r) ? reason_hint(r) : "say 'edgeferry check'",
		"the last look at the server: %s: %s", reason_text(r), detail);
}

void check_server(struct doctor *d)
{
	const char *url = d->config->url, *rest = url ? url + strlen("https://") : "";
	_cleanup_free_ char *authority = strndup(rest, strcspn(rest, "/")), *host = NULL;
	_cleanup_free_ char *request = NULL;
	struct tls_look l = {.port = 443, .ca_file = d->config->ca_file};
	unsigned status = 0;
	_cleanup_(pair_release) struct pair pair = {.token = NULL};

	if (!url) {
		say(d, LEVEL_OK, "", "no server is configured: releases come from bundles");
		return;
	}
	check_client(d, "Source", d->config->cert, d->config->cert_key, &pair, &l);
	check_last_look(d);
	if (d->offline)
		return;
	const char *bad = authority ? value_host_port(authority, &host, &l.port) : "memory";
	if (bad ||
		asprintf(&request,
			"GET %s/metadata/timestamp.json HTTP/1.1\r\nHost: %s\r\n"
			"User-Agent: edgeferry-doctor/" EF_VERSION "\r\nConnection: close\r\n\r\n",
			rest + strlen(authority), authority) < 0) {
		say(d, LEVEL_ERROR, "correct [Source] URL=", "%s: no host in it", url);
		return;
	}
	l.host = host;
	l.request = request;
	if (!connected(d, "server", &l))
		return;
	if (sscanf(l.answer, "HTTP/%*s %u", &status) != 1)
		say(d, LEVEL_ERROR, "see what it is that answers there: a proxy, another service",
			"%s does not answer as a web server", host);
	else if (status != 200)
		say(d, LEVEL_ERROR,
			"see that the repository was published there (edgeferry-repo publish), and "
			"that [Source] URL= is its address",
			"%s/metadata/timestamp.json: %s", url, l.answer);
	else
		say(d, LEVEL_OK, "", "%s is reached, by TLS, and has a repository", url);
}

static void check_password(struct doctor *d)
{
	char path[PATH_MAX];
	const char *file = d->config->mqtt_password_file;
	struct stat st;

	if (!file)
		return;
	if (stat(below(d, file, path), &st) < 0)
		say(d, LEVEL_ERROR,
			"write the password into it, in /etc/edgeferry/secrets, mode 0640, group "
			"edgeferry-net",
			"PasswordFile=%s cannot be read", file);
	else if (st.st_mode & 07)
		say(d, LEVEL_ERROR, "chmod o= it; group edgeferry-net must be able to read it",
			"PasswordFile=%s can be read by everybody", file);
}

void check_broker(struct doctor *d)
{
	struct tls_look l = {.host = d->config->mqtt_host,
		.port = d->config->mqtt_port,
		.ca_file = d->config->mqtt_ca_file};
	const char *word = NULL;
	_cleanup_(pair_release) struct pair pair = {.token = NULL};

	if (!l.host) {
		say(d, LEVEL_OK, "", "no broker is configured");
		return;
	}
	check_password(d);
	check_client(d, "Mqtt", d->config->mqtt_cert, d->config->mqtt_cert_key, &pair, &l);
	if (!d->offline && !connected(d, "broker", &l))
		return;
	if (json_get_string(d->status, "broker", &word) && strcmp(word, "disconnected") == 0)
		say(d, LEVEL_ERROR,
			"look at the journal of edgeferry, and at the broker's: user name and "
			"password, or what this gateway may subscribe to",
			"edgeferryd is not connected to the broker");
	else if (!d->offline)
		say(d, LEVEL_OK, "", "broker %s is reached, by TLS", l.host);
}
