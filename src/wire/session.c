/* SPDX-License-Identifier: Apache-2.0 */
/* Hello and handshake: The Noise Protocol Framework, revision 34, sections 5, 7 and 9. */
#include "wire/le.h"
#include "wire/session-crypto.h"
#include <edgeferry/session.h>
#include <string.h>

#define TAG 16u
#define PROLOGUE_SIZE 34u

void ef_session_wipe(void *secret, size_t size)
{
	volatile uint8_t *p = secret;

	while (size--)
		*p++ = 0;
}

/* Hello */

void ef_session_put_hello(
	const uint8_t token[EF_SESSION_TOKEN_SIZE], uint8_t out[EF_SESSION_HELLO_SIZE])
{
	out[0] = EF_SESSION_HELLO;
	out[1] = EF_SESSION_VERSION;
	memcpy(out + 2, token, EF_SESSION_TOKEN_SIZE);
}

const uint8_t *ef_session_get_hello(const uint8_t *frame, size_t size)
{
	return size == EF_SESSION_HELLO_SIZE && frame[0] == EF_SESSION_HELLO ? frame + 2 : NULL;
}

void ef_session_put_hello_answer(const struct ef_session_hello *node,
	const uint8_t token[EF_SESSION_TOKEN_SIZE], uint8_t out[EF_SESSION_HELLO_ANSWER_SIZE])
{
	out[0] = EF_SESSION_HELLO_ANSWER;
	out[1] = EF_SESSION_VERSION;
	out[2] = node->flags;
	memcpy(out + 3, node->board, 4);
	memcpy(out + 7, node->device, 16);
	le32_put(out + 23, node->counter);
	memset(out + 27, 0, EF_SESSION_TOKEN_SIZE);
	if (token)
		memcpy(out + 27, token, EF_SESSION_TOKEN_SIZE);
}

const uint8_t *ef_session_get_hello_answer(
	const uint8_t *frame, size_t size, uint8_t *version, struct ef_session_hello *ret)
{
	if (size != EF_SESSION_HELLO_ANSWER_SIZE || frame[0] != EF_SESSION_HELLO_ANSWER)
		return NULL;
	*version = frame[1];
	ret->flags = frame[2];
	memcpy(ret->board, frame + 3, 4);
	memcpy(ret->device, frame + 7, 16);
	ret->counter = le32_get(frame + 23);
	return frame + 27;
}

/* Symmetric state */

static bool mix_hash(struct ef_session_handshake *hs, const void *data, size_t size)
{
	return noise_hash(hs->h, hs->h, 32, data, size);
}

/* MixKey, or with hash MixKeyAndHash. */
static bool mix(struct ef_session_handshake *hs, const uint8_t input[32], bool hash)
{
	uint8_t out[96];
	size_t size = hash ? 96 : 64;
	bool good = noise_hkdf(hs->ck, input, 32, out, size);

	memcpy(hs->ck, out, 32);
	memcpy(hs->k, out + size - 32, 32);
	if (hash)
		good = good && mix_hash(hs, out + 32, 32);
	ef_session_wipe(out, sizeof(out));
	return good;
}

static bool mix_key(struct ef_session_handshake *hs, const uint8_t input[32])
{
	return mix(hs, input, false);
}

/* The payload of both messages is empty: what is encrypted is a tag. */
static bool put_tag(struct ef_session_handshake *hs, uint8_t tag[TAG])
{
	return noise_encrypt(hs->k, 0, hs->h, 32, NULL, 0, tag) && mix_hash(hs, tag, TAG);
}

static bool check_tag(struct ef_session_handshake *hs, const uint8_t tag[TAG])
{
	return noise_decrypt(hs->k, 0, hs->h, 32, NULL, 0, tag) && mix_hash(hs, tag, TAG);
}

/* Up to and with the token psk. */
static bool start(
	struct ef_session_handshake *hs, const struct ef_session_hello *node, const uint8_t psk[32])
{
	static const char name[] = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
	uint8_t prologue[PROLOGUE_SIZE] = "edge-link";

	prologue[9] = EF_SESSION_VERSION;
	memcpy(prologue + 10, node->board, 4);
	memcpy(prologue + 14, node->device, 16);
	le32_put(prologue + 30, node->counter);
	if (!noise_hash(hs->h, name, sizeof(name) - 1, NULL, 0))
		return false;
	memcpy(hs->ck, hs->h, 32);
	return mix_hash(hs, prologue, sizeof(prologue)) && mix(hs, psk, true);
}

/* Token e, as a handshake with a PSK mixes it. */
static bool mix_public(struct ef_session_handshake *hs, const uint8_t key[32])
{
	return mix_hash(hs, key, 32) && mix_key(hs, key);
}

/* Token ee. */
static bool mix_shared(
	struct ef_session_handshake *hs, const uint8_t secret[32], const uint8_t public_key[32])
{
	uint8_t shared[32];
	bool good = noise_shared(shared, secret, public_key) && mix_key(hs, shared);

	ef_session_wipe(shared, sizeof(shared));
	return good;
}

static bool split(struct ef_session_handshake *hs, bool node, struct ef_session *ret)
{
	struct ef_session_cipher *to_node = node ? &ret->rx : &ret->tx;
	struct ef_session_cipher *from_node = node ? &ret->tx : &ret->rx;
	uint8_t out[64];
	bool good = noise_hkdf(hs->ck, NULL, 0, out, 64);

	if (good) {
		memcpy(to_node->key, out, 32);
		memcpy(from_node->key, out + 32, 32);
		to_node->next = from_node->next = 0;
		ret->tx_type = node ? EF_SESSION_RESPONSE : EF_SESSION_REQUEST;
		ret->rx_type = node ? EF_SESSION_REQUEST : EF_SESSION_RESPONSE;
	}
	ef_session_wipe(out, sizeof(out));
	ef_session_wipe(hs, sizeof(*hs));
	return good;
}

/* Gateway */

bool ef_session_begin(struct ef_session_handshake *hs, const struct ef_session_hello *node,
	const uint8_t psk[EF_SESSION_KEY_SIZE], const uint8_t secret[32],
	uint8_t frame[EF_SESSION_HANDSHAKE_SIZE])
{
	frame[0] = EF_SESSION_HANDSHAKE;
	memcpy(hs->secret, secret, 32);
	return start(hs, node, psk) && noise_public(frame + 1, secret) &&
	       mix_public(hs, frame + 1) && put_tag(hs, frame + 33);
}

bool ef_session_finish(const struct ef_session_handshake *hs, const uint8_t *frame, size_t size,
	struct ef_session *ret)
{
	struct ef_session_handshake next = *hs;
	bool good = size == EF_SESSION_HANDSHAKE_SIZE && frame[0] == EF_SESSION_HANDSHAKE_ANSWER &&
		    mix_public(&next, frame + 1) && mix_shared(&next, next.secret, frame + 1) &&
		    check_tag(&next, frame + 33) && split(&next, false, ret);

	ef_session_wipe(&next, sizeof(next));
	return good;
}

/* Node */

bool ef_session_accept(struct ef_session_handshake *hs, const struct ef_session_hello *me,
	const uint8_t psk[EF_SESSION_KEY_SIZE], const uint8_t *frame, size_t size)
{
	if (size != EF_SESSION_HANDSHAKE_SIZE || frame[0] != EF_SESSION_HANDSHAKE)
		return false;
	memcpy(hs->remote, frame + 1, 32);
	return start(hs, me, psk) && mix_public(hs, frame + 1) && check_tag(hs, frame + 33);
}

bool ef_session_answer(struct ef_session_handshake *hs, const uint8_t secret[32],
	uint8_t frame[EF_SESSION_HANDSHAKE_SIZE], struct ef_session *ret)
{
	frame[0] = EF_SESSION_HANDSHAKE_ANSWER;
	return noise_public(frame + 1, secret) && mix_public(hs, frame + 1) &&
	       mix_shared(hs, secret, hs->remote) && put_tag(hs, frame + 33) &&
	       split(hs, true, ret);
}

/* Version report */

bool ef_session_report_tag(const uint8_t psk[EF_SESSION_KEY_SIZE], const uint8_t *report,
	size_t size, uint8_t tag[EF_SESSION_REPORT_TAG])
{
	static const char purpose[] = "version report";
	uint8_t key[32];
	bool good = noise_hkdf(psk, purpose, sizeof(purpose) - 1, key, sizeof(key)) &&
		    noise_hkdf(key, report, size, tag, EF_SESSION_REPORT_TAG);

	ef_session_wipe(key, sizeof(key));
	return good;
}
