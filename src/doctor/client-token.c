/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/client-token.h"
#include "token/token.h"
#include "util/fdio.h"
#include "util/token-uri.h"
#include <string.h>
#include <sys/stat.h>

#define CREDENTIAL "credential:"

void find_secret(const struct doctor *d, const char *where, char out[PATH_MAX])
{
	bool credential = strncmp(where, CREDENTIAL, strlen(CREDENTIAL)) == 0;

	snprintf(out, PATH_MAX, "%s%s%s", d->root,
		credential ? "/run/credentials/edgeferry.service/" : "",
		credential ? where + strlen(CREDENTIAL) : where);
}

bool others_read(const char *where, const char *path)
{
	struct stat st;

	return strncmp(where, CREDENTIAL, strlen(CREDENTIAL)) != 0 && stat(path, &st) == 0 &&
	       st.st_mode & 077;
}

/* With its PIN; NULL when that cannot be read, said. */
static char *complete(struct doctor *d, const char *section, const char *uri)
{
	const char *where = token_uri_pin_source(uri);
	char path[PATH_MAX], *secret;
	uint8_t *pin;
	size_t size;

	if (!where)
		return strdup(uri);
	find_secret(d, where, path);
	int r = file_read(path, TOKEN_PIN_MAX, &pin, &size);
	if (r < 0) {
		say(d, LEVEL_ERROR,
			"write the PIN there, mode 0600, then 'edgeferry reload'; a credential is "
			"there while the service runs",
			"[%s] ClientKey=: the PIN in %s: %s", section, where, strerror(-r));
		return NULL;
	}
	if (others_read(where, path))
		say(d, LEVEL_WARNING, "chmod 600 it; edgeferryd reads it as root",
			"[%s] ClientKey=: the PIN in %s can be read by others", section, where);
	pin[strcspn((char *)pin, "\r\n")] = '\0';
	secret = token_uri_with_pin(uri, (char *)pin);
	explicit_bzero(pin, size);
	free(pin);
	return secret;
}

static const char *advice_for(enum ef_reason r)
{
	switch (r) {
	case EF_REASON_NET_UNREACHABLE:
		return "see that edgeferry-token.service runs and that the token is there: "
		       "systemctl status edgeferry-token";
	case EF_REASON_DENIED:
		return "correct the PIN where pin-source= says, then 'edgeferry reload'; until "
		       "then nobody tries it again, since tokens lock themselves";
	case EF_REASON_CONFIG:
		return "install p11-kit-modules, and pkcs11-provider or libengine-pkcs11-openssl";
	default:
		return "see what is in the token, and how it is called: p11tool --list-all, or "
		       "pkcs11-tool --list-objects; and that pin-source= is there if it wants a "
		       "PIN";
	}
}

static EVP_PKEY *opened(struct doctor *d, const char *secret, struct error *e)
{
	EVP_PKEY *key = NULL;
	char path[PATH_MAX];

	if (token_use_socket(below(d, d->config->token_socket, path), e) ||
		token_open(secret, &key, e))
		return NULL;
	if (token_signs(key))
		return key;
	EVP_PKEY_free(key);
	error_set(e, EF_REASON_NOT_FOUND, "it does not sign");
	return NULL;
}

EVP_PKEY *client_token(struct doctor *d, const char *section, const char *uri)
{
	const json_t *fault = json_get_object(d->status, "client_key");
	const char *word;
	struct error e = {0};
	char shown[256];
	EVP_PKEY *key = NULL;

	token_uri_shown(uri, shown);
	if (unit_has(d, "edgeferry-net@.service", "RestrictAddressFamilies") &&
		!unit_has(d, "edgeferry-net@.service", "AF_UNIX"))
		say(d, LEVEL_ERROR,
			"put edgeferry-net-token.conf of the examples into "
			"/etc/systemd/system/edgeferry-net@.service.d, then 'systemctl "
			"daemon-reload' and 'edgeferry reload'",
			"[%s] ClientKey=%s: edgeferry-net@.service may not connect to a token",
			section, shown);
	if (json_get_string(fault, "reason", &word) &&
		strcmp(word, reason_word(EF_REASON_DENIED)) == 0) {
		error_set(&e, EF_REASON_DENIED, "the token refuses the PIN");
	} else {
		char *secret = complete(d, section, uri);
		if (!secret)
			return NULL;
		key = opened(d, secret, &e);
		explicit_bzero(secret, strlen(secret));
		free(secret);
	}
	if (!key)
		say(d, LEVEL_ERROR, advice_for(e.reason), "[%s] ClientKey: %s", section, e.detail);
	return key;
}
