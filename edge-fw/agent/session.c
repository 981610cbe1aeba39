/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/session.h"
#include "agent/agent.h"
#include "agent/talk.h"
#include "boot/secrets.h"
#include "wire/cobs.h"
#include "wire/le.h"
#include "wire/session-crypto.h"
#include <string.h>

static void load_flags(struct agent *a)
{
	struct secret_key key;

	a->session.flags = 0;
	if (secrets_load(&key))
		a->session.flags = EF_SESSION_HAS_KEY | (key.required ? EF_SESSION_REQUIRED : 0) |
				   (frame_repairs() ? EF_SESSION_REPAIRS : 0);
	ef_session_wipe(&key, sizeof(key));
}

void agent_session_init(struct agent *a)
{
	secrets_tidy();
	load_flags(a);
}

static void forget(struct agent_session *s)
{
	ef_session_wipe(&s->keys, sizeof(s->keys));
	s->open = false;
	s->kept = 0;
}

void agent_session_tick(struct agent *a)
{
	struct agent_session *s = &a->session;

	if (s->open && port_millis() - s->started >= EF_SESSION_SECONDS * 1000u)
		forget(s);
}

bool agent_session_allows(const struct agent *a, const struct ef_smp_header *h)
{
	static const uint16_t open_to_all[][2] = {{EF_GROUP_OS, EF_OS_ECHO},
		{EF_GROUP_OS, EF_OS_PARAMS}, {EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY}};

	if (a->session.inside || !(a->session.flags & EF_SESSION_REQUIRED))
		return true;
	for (size_t i = 0; i < sizeof(open_to_all) / sizeof(*open_to_all); i++)
		if (h->group == open_to_all[i][0] && h->command == open_to_all[i][1])
			return true;
	return false;
}

static void introduce(const struct agent *a, struct ef_session_hello *ret)
{
	ret->flags = a->session.flags | (lease_admits(a) ? 0 : EF_SESSION_LEASED);
	memcpy(ret->board, a->factory.class_id, sizeof(ret->board));
	memcpy(ret->device, a->factory.device_id, sizeof(ret->device));
	ret->counter = secrets_counter();
}

static size_t answer_hello(struct agent *a, const uint8_t *token)
{
	struct ef_session_hello me;

	introduce(a, &me);
	ef_session_put_hello_answer(&me, token, a->response);
	a->session.kept = 0;
	return EF_SESSION_HELLO_ANSWER_SIZE;
}

/* 32 secret bytes from salt, what is given and, where there are some, random bytes. ret may be
 * salt. */
static bool derive(const uint8_t salt[32], const uint8_t *given, size_t size, uint8_t ret[32])
{
	uint8_t input[64];
	bool good;

	memcpy(input, given, size);
	if (port_random(input + size, 32))
		size += 32;
	good = noise_hkdf(salt, input, size, ret, 32);
	ef_session_wipe(input, sizeof(input));
	return good;
}

/* No counter comes twice, so no key does, even without a source of random bytes. */
static bool make_ephemeral(const uint8_t seed[32], uint32_t counter, uint8_t ret[32])
{
	uint8_t number[4];

	le32_put(number, counter);
	return derive(seed, number, sizeof(number), ret);
}

/* The counter is used up before anything is made from it. */
static bool make_session(struct agent *a, const uint8_t *frame, size_t size)
{
	struct ef_session_hello me;
	struct ef_session_handshake hs;
	struct secret_key key;
	uint8_t secret[32];
	bool good;

	introduce(a, &me);
	good = secrets_load(&key) && ef_session_accept(&hs, &me, key.psk, frame, size) &&
	       secrets_use_counter(me.counter) == 0;
	if (good) {
		forget(&a->session);
		port_watchdog_feed();
		good = make_ephemeral(key.seed, me.counter, secret) &&
		       ef_session_answer(&hs, secret, a->response, &a->session.keys);
	}
	ef_session_wipe(&key, sizeof(key));
	ef_session_wipe(&hs, sizeof(hs));
	ef_session_wipe(secret, sizeof(secret));
	return good;
}

static size_t answer_handshake(struct agent *a, const uint8_t *frame, size_t size)
{
	struct agent_session *s = &a->session;
	const uint8_t *tag = frame + EF_SESSION_HANDSHAKE_SIZE - sizeof(s->made_by);

	if (size != EF_SESSION_HANDSHAKE_SIZE || !lease_admits(a))
		return 0;
	if (s->open && s->keys.rx.next == 0 && memcmp(s->made_by, tag, sizeof(s->made_by)) == 0)
		return s->kept; /* once more */
	if (!make_session(a, frame, size))
		return 0;
	memcpy(s->made_by, tag, sizeof(s->made_by));
	s->started = port_millis();
	s->open = true;
	s->kept = EF_SESSION_HANDSHAKE_SIZE;
	return s->kept;
}

static size_t answer_request(struct agent *a, uint8_t *frame, size_t size)
{
	struct agent_session *s = &a->session;
	size_t n;

	if (size < EF_SESSION_OVERHEAD + EF_SMP_HEADER_SIZE)
		return 0;
	if (!s->open)
		return answer_hello(a, NULL);
	switch (ef_session_open(&s->keys, frame, size)) {
	case EF_SESSION_REPEATED:
		return s->kept;
	case EF_SESSION_OPENED:
		break;
	default:
		return 0;
	}
	s->kept = 0;
	s->inside = true;
	n = agent_request(a, frame + EF_SESSION_HEAD, size - EF_SESSION_OVERHEAD);
	s->inside = false;
	if (n) {
		memmove(a->response + EF_SESSION_HEAD, a->response, n);
		n = ef_session_seal(&s->keys, a->response, n);
		if (!n)
			forget(s); /* its last number is used up */
	}
	s->kept = (uint16_t)n;
	return n;
}

size_t agent_session_receive(struct agent *a, uint8_t *message, size_t size)
{
	const uint8_t *token;
	size_t n;

	/* in another framing it is no frame of a session, nor a request either */
	if (!talk_is_ours(a) || !ef_session_is_frame(message)) {
		n = agent_request(a, message, size);
		if (n)
			a->session.kept = 0;
		return n;
	}
	switch (message[0]) {
	case EF_SESSION_HELLO:
		token = ef_session_get_hello(message, size);
		return token ? answer_hello(a, token) : 0;
	case EF_SESSION_HANDSHAKE:
		return answer_handshake(a, message, size);
	case EF_SESSION_REQUEST:
		return answer_request(a, message, size);
	default:
		return 0;
	}
}

struct outcome ef_key(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	enum { KEY, SEED, NEEDED };
	struct secret_key key;
	bool stored;

	(void)w;
	if (v[KEY].size != 32 || v[SEED].size != 32 || !v[NEEDED].present)
		return smp_error(EF_SMP_INVALID);
	if (a->session.flags & EF_SESSION_HAS_KEY && !a->session.inside)
		return smp_error(EF_SMP_ACCESS_DENIED);
	secrets_load(&key);
	memcpy(key.psk, v[KEY].data, 32);
	key.required = v[NEEDED].number;
	/* who sends the seed must not know what it becomes */
	stored = derive(key.seed, v[SEED].data, 32, key.seed) && secrets_store(&key) == 0;
	ef_session_wipe(&key, sizeof(key));
	load_flags(a);
	return stored ? DONE : refused(EF_REASON_NODE_FLASH);
}
