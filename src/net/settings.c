/* SPDX-License-Identifier: Apache-2.0 */
#include "net/settings.h"
#include "util/json.h"
#include <string.h>
#include <strings.h>

static enum ef_reason bad(struct error *e, const char *key)
{
	return error_set(e, EF_REASON_CONFIG, "settings of edgeferry-net: \"%s\"", key);
}

/* Absent is fine, another type or an empty text is not. */
static bool optional_text(const json_t *o, const char *key, const char **ret)
{
	*ret = NULL;
	return !json_object_get(o, key) || (json_get_string(o, key, ret) && **ret);
}

static bool optional_number(const json_t *o, const char *key, uint64_t *ret)
{
	return !json_object_get(o, key) ||
	       (json_get_uint(o, key, ret) && *ret > 0 && *ret < 1u << 30);
}

/* What may stand in a topic: one level, no wildcard (S-25). */
static bool level_good(const char *text)
{
	size_t n =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

	return n > 0 && n <= 64 && !text[n];
}

static bool prefix_good(const char *text)
{
	return *text && strlen(text) <= 128 && !strpbrk(text, "+#$ ") && *text != '/' &&
	       text[strlen(text) - 1] != '/';
}

static enum ef_reason parse_url(struct net_settings *s, struct error *e)
{
	if (!optional_text(s->document, "url", &s->url))
		return bad(e, "url");
	if (!s->url)
		return EF_REASON_OK;
	s->url_size = strlen(s->url);
	while (s->url_size > 0 && s->url[s->url_size - 1] == '/')
		s->url_size--;
	if (strncasecmp(s->url, "https://", 8) != 0 || s->url_size <= 8 || strpbrk(s->url, "?# @"))
		return error_set(e, EF_REASON_CONFIG,
			"Url= must be https://…, without user, query or fragment");
	return EF_REASON_OK;
}

static enum ef_reason parse_mqtt(struct net_settings *s, struct error *e)
{
	static const char *const known[] = {"host", "port", "ca_file", "username", "password_file",
		"client_certificate", "client_key", NULL};
	const json_t *m = json_get_object(s->document, "mqtt");
	uint64_t port;

	if (!json_object_get(s->document, "mqtt"))
		return EF_REASON_OK;
	if (!m || json_unknown_key(m, known))
		return bad(e, "mqtt");
	if (!json_get_string(m, "host", &s->mqtt_host) || !*s->mqtt_host)
		return bad(e, "host");
	if (!json_get_uint(m, "port", &port) || port < 1 || port > 65535)
		return bad(e, "port");
	s->mqtt_port = (uint16_t)port;
	if (!optional_text(m, "ca_file", &s->mqtt_ca_file) ||
		!optional_text(m, "username", &s->mqtt_username) ||
		!optional_text(m, "password_file", &s->mqtt_password_file) ||
		!optional_text(m, "client_certificate", &s->mqtt_cert) ||
		!optional_text(m, "client_key", &s->mqtt_cert_key))
		return bad(e, "mqtt");
	return EF_REASON_OK;
}

static enum ef_reason parse_limits(struct net_settings *s, struct error *e)
{
	const struct {
		const char *key;
		uint64_t *value;
	} limits[] = {
		{"min_rate", &s->min_rate},
		{"min_rate_seconds", &s->min_rate_seconds},
		{"grace_seconds", &s->grace_seconds},
		{"retries", &s->retries},
		{"backoff_ms", &s->backoff_ms},
		{"broker_backoff_ms", &s->broker_backoff_ms},
		{"offer_apart_ms", &s->offer_apart_ms},
		{"missed_spread_ms", &s->missed_spread_ms},
		{"hang_seconds", &s->hang_seconds},
	};
	enum { COUNT = sizeof(limits) / sizeof(limits[0]) };
	const json_t *l = json_get_object(s->document, "limits");
	const char *known[COUNT + 1] = {NULL};

	if (!json_object_get(s->document, "limits"))
		return EF_REASON_OK;
	for (size_t i = 0; i < COUNT; i++)
		known[i] = limits[i].key;
	if (!l || json_unknown_key(l, known))
		return bad(e, "limits");
	for (size_t i = 0; i < COUNT; i++)
		if (!optional_number(l, limits[i].key, limits[i].value))
			return bad(e, limits[i].key);
	return EF_REASON_OK;
}

enum ef_reason net_settings_parse(
	struct net_settings *ret, const void *data, size_t size, struct error *e)
{
	static const char *const known[] = {"url", "ca_file", "client_certificate", "client_key",
		"token_socket", "id", "product", "prefix", "mqtt", "limits", NULL};
	json_t *o = json_read(data, size, "settings", e);
	const char *unknown = "not an object";

	*ret = (struct net_settings){.document = o,
		.min_rate = 1024,
		.min_rate_seconds = 60,
		.grace_seconds = 900,
		.retries = 5,
		.backoff_ms = 500,
		.broker_backoff_ms = 1000,
		.offer_apart_ms = 1000,
		.missed_spread_ms = 20000,
		.hang_seconds = NET_HANG_S};
	if (!o)
		return e->reason;
	if (!json_is_object(o) || (unknown = json_unknown_key(o, known)) != NULL)
		return bad(e, unknown);
	if (!optional_text(o, "ca_file", &ret->ca_file))
		return bad(e, "ca_file");
	if (!optional_text(o, "client_certificate", &ret->cert) ||
		!optional_text(o, "client_key", &ret->cert_key))
		return bad(e, "client_certificate and client_key");
	if (!optional_text(o, "token_socket", &ret->token_socket))
		return bad(e, "token_socket");
	if (!json_get_string(o, "id", &ret->id) || !level_good(ret->id))
		return bad(e, "id");
	if (!json_get_string(o, "product", &ret->product) || !level_good(ret->product))
		return bad(e, "product");
	if (!json_get_string(o, "prefix", &ret->prefix) || !prefix_good(ret->prefix))
		return bad(e, "prefix");
	enum ef_reason r = parse_url(ret, e);
	r = r ? r : parse_mqtt(ret, e);
	return r ? r : parse_limits(ret, e);
}

void net_settings_free(struct net_settings *s)
{
	json_decref(s->document);
	*s = (struct net_settings){0};
}
