/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ipc-config.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/json.h"
#include "util/log.h"
#include "util/token-uri.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_MAX 12000u /* four of them in one message */
#define CREDENTIAL "credential:"

/* Absent when there is no text; -ENOMEM also for text that is no UTF-8. */
static int put(json_t *o, const char *key, const char *text)
{
	return text && json_object_set_new(o, key, json_string(text)) < 0 ? -ENOMEM : 0;
}

/* 0, or what is wrong. path: room for PATH_MAX. */
static const char *find_file(const char *where, char *path)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	struct stat st;

	if (strncmp(where, CREDENTIAL, strlen(CREDENTIAL)) != 0)
		snprintf(path, PATH_MAX, "%s", where);
	else if (folder)
		snprintf(path, PATH_MAX, "%s/%s", folder, where + strlen(CREDENTIAL));
	else
		return "this service was started without credentials";
	if (stat(path, &st) < 0)
		return strerror(errno);
	return S_ISREG(st.st_mode) ? NULL : "it is no file";
}

/*
 * The core reads them, so that they can be root's alone. Without one the server is asked all the
 * same: it says no, and what needs no server goes on.
 */
static int put_pem(json_t *o, const char *key, const char *name, const char *where)
{
	char path[PATH_MAX];
	const char *wrong = where ? find_file(where, path) : NULL;
	uint8_t *text = NULL;
	size_t size = 0;

	if (!where)
		return 0;
	int r = wrong ? 0 : file_read(path, PEM_MAX, &text, &size);
	if (wrong || r < 0) {
		log_error("%s=%s: %s", name, where, wrong ? wrong : strerror(-r));
		return 0;
	}
	if (!strstr((const char *)text, "-----BEGIN ")) {
		log_error("%s=%s: not PEM", name, where);
		r = 0;
	} else {
		r = put(o, key, (const char *)text);
	}
	explicit_bzero(text, size);
	free(text);
	return r;
}

/* The key stays where it is; its PIN goes along, which only the core may read. */
static int put_token(json_t *o, const char *name, const char *uri)
{
	const char *where = token_uri_pin_source(uri), *wrong;
	char path[PATH_MAX], shown[256], *secret;
	uint8_t *pin = NULL;
	size_t size = 0;
	int r = 0;

	if (!where)
		return put(o, "client_key", uri);
	wrong = find_file(where, path);
	if (!wrong && (r = file_read(path, TOKEN_PIN_MAX, &pin, &size)) < 0)
		wrong = strerror(-r);
	if (wrong) {
		log_error("%s=%s: PIN in %s: %s", name, token_uri_shown(uri, shown), where, wrong);
		return 0;
	}
	pin[strcspn((char *)pin, "\r\n")] = '\0';
	secret = token_uri_with_pin(uri, (char *)pin);
	r = secret ? put(o, "client_key", secret) : -ENOMEM;
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
	explicit_bzero(pin, size);
	free(pin);
	return r;
}

static int put_client(json_t *o, const char *cert, const char *key)
{
	int r = put_pem(o, "client_certificate", "ClientCertificate", cert);

	if (r == 0 && key && token_uri_is(key))
		return put_token(o, "ClientKey", key);
	return r ? r : put_pem(o, "client_key", "ClientKey", key);
}

static int put_mqtt(json_t *o, const struct config *c)
{
	json_t *m = json_object();

	/* From here on o owns m. */
	if (json_object_set_new(o, "mqtt", m) < 0)
		return -ENOMEM;
	if (json_object_set_new(m, "port", json_integer(c->mqtt_port)) < 0)
		return -ENOMEM;
	int r = put(m, "host", c->mqtt_host);
	r = r ? r : put(m, "ca_file", c->mqtt_ca_file);
	r = r ? r : put(m, "username", c->mqtt_username);
	r = r ? r : put(m, "password_file", c->mqtt_password_file);
	return r ? r : put_client(m, c->mqtt_cert, c->mqtt_cert_key);
}

int ipc_config_format(const struct config *c, char **ret)
{
	_cleanup_json_ json_t *o = json_object();

	if (!o)
		return -ENOMEM;
	int r = put(o, "url", c->url);
	r = r ? r : put(o, "ca_file", c->ca_file);
	r = r ? r : put_client(o, c->cert, c->cert_key);
	r = r ? r : put(o, "token_socket", c->token_socket);
	r = r ? r : put(o, "id", c->id);
	r = r ? r : put(o, "product", c->product);
	r = r ? r : put(o, "prefix", c->mqtt_prefix);
	if (r == 0 && c->mqtt_host)
		r = put_mqtt(o, c);
	if (r < 0)
		return r;
	*ret = json_dumps(o, JSON_COMPACT);
	return *ret ? 0 : -ENOMEM;
}
