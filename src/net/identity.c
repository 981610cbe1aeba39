/* SPDX-License-Identifier: Apache-2.0 */
#include "net/identity.h"
#include "token/token.h"
#include "util/token-uri.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

struct identity {
	const char *name;
	X509 *cert;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	bool in_token;
	struct error fault;
	identity_lost lost;
	void *ctx;
};

/* The certificate, then what it was issued by, as in a file of nginx. */
static bool read_certificates(struct identity *id, const char *pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	X509 *x;

	id->cert = PEM_read_bio_X509(in, NULL, NULL, NULL);
	id->chain = sk_X509_new_null();
	while (id->cert && id->chain && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)))
		if (sk_X509_push(id->chain, x) <= 0) {
			X509_free(x);
			break;
		}
	BIO_free(in);
	ERR_clear_error(); /* the end of them is an error, too */
	return id->cert && id->chain;
}

static void read_key(struct identity *id, const char *key, const struct error *no_token)
{
	if (!id->in_token) {
		BIO *in = BIO_new_mem_buf(key, -1);
		id->key = PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"");
		BIO_free(in);
		ERR_clear_error();
		if (!id->key)
			error_set(&id->fault, EF_REASON_CONFIG,
				"%s: no private key in PEM without a passphrase", id->name);
	} else if (no_token->reason) {
		error_set(&id->fault, no_token->reason, "%s: %.200s", id->name, no_token->detail);
	} else {
		struct error e = {0};
		if (token_open(key, &id->key, &e))
			error_set(&id->fault, e.reason, "%s=%.200s", id->name, e.detail);
	}
}

int identity_new(struct identity **ret, const char *name, const char *cert, const char *key,
	const struct error *no_token, identity_lost lost, void *ctx)
{
	*ret = NULL;
	if (!cert || !key)
		return 0;
	struct identity *id = calloc(1, sizeof(*id));
	if (!id)
		return -ENOMEM;
	*id = (struct identity){
		.name = name, .in_token = token_uri_is(key), .lost = lost, .ctx = ctx};
	if (!read_certificates(id, cert))
		error_set(
			&id->fault, EF_REASON_CONFIG, "%s: no certificate in PEM beside it", name);
	else
		read_key(id, key, no_token);
	if (id->key && X509_check_private_key(id->cert, id->key) != 1)
		error_set(&id->fault, EF_REASON_CONFIG, "%s: not the key of the certificate", name);
	ERR_clear_error();
	*ret = id;
	return 0;
}

void identity_free(struct identity *id)
{
	if (!id)
		return;
	X509_free(id->cert);
	sk_X509_pop_free(id->chain, X509_free);
	EVP_PKEY_free(id->key);
	free(id);
}

bool identity_in_token(const struct identity *id)
{
	return id && id->in_token;
}

const struct error *identity_fault(const struct identity *id)
{
	return id && id->fault.reason ? &id->fault : NULL;
}

bool identity_use(const struct identity *id, SSL_CTX *tls)
{
	return SSL_CTX_use_cert_and_key(tls, id->cert, id->key, id->chain, 1) == 1;
}

void identity_check(struct identity *id)
{
	if (!id || !id->in_token || id->fault.reason || token_signs(id->key))
		return;
	error_set(&id->fault, EF_REASON_NET_UNREACHABLE, "%s: the token does not sign any more",
		id->name);
	id->lost(id->ctx, id);
}
