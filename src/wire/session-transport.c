/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of an open session: sequence, key of the sequence, replay. */
#include "wire/le.h"
#include "wire/session-crypto.h"
#include <edgeferry/session.h>
#include <string.h>

/* Which key a frame is under: it changes every EF_SESSION_REKEY frames. */
static uint32_t key_of(uint32_t seq)
{
	return seq / EF_SESSION_REKEY;
}

static uint32_t key_at(const struct ef_session_cipher *c)
{
	return c->next ? key_of(c->next - 1) : 0;
}

/* REKEY(): the first 32 bytes of the encryption of zeros under the highest nonce. */
static bool rekey(uint8_t key[EF_SESSION_KEY_SIZE])
{
	uint8_t zeros[EF_SESSION_KEY_SIZE] = {0}, tag[16];
	bool good = noise_encrypt(key, UINT64_MAX, NULL, 0, zeros, sizeof(zeros), tag);

	if (good)
		memcpy(key, zeros, sizeof(zeros));
	ef_session_wipe(zeros, sizeof(zeros));
	return good;
}

size_t ef_session_seal(struct ef_session *s, uint8_t *frame, size_t size)
{
	struct ef_session_cipher *c = &s->tx;
	uint32_t seq = c->next;

	if (seq >= EF_SESSION_FRAMES)
		return 0;
	/* taken before it is used: whatever fails now, no nonce is used twice */
	if (key_of(seq) != key_at(c) && !rekey(c->key)) {
		c->next = EF_SESSION_FRAMES;
		return 0;
	}
	c->next++;
	frame[0] = s->tx_type;
	le32_put(frame + 1, seq);
	if (!noise_encrypt(c->key, seq, frame, EF_SESSION_HEAD, frame + EF_SESSION_HEAD, size,
		    frame + EF_SESSION_HEAD + size))
		return 0;
	return size + EF_SESSION_OVERHEAD;
}

enum ef_session_verdict ef_session_open(struct ef_session *s, uint8_t *frame, size_t size)
{
	struct ef_session_cipher *c = &s->rx, next;
	enum ef_session_verdict verdict = EF_SESSION_DROPPED;
	uint32_t seq;
	bool again;

	if (size < EF_SESSION_OVERHEAD || frame[0] != s->rx_type)
		return EF_SESSION_DROPPED;
	seq = le32_get(frame + 1);
	again = c->next && seq == c->next - 1;
	if (seq >= EF_SESSION_FRAMES || (seq < c->next && !again))
		return EF_SESSION_DROPPED;
	next = *c;
	/* the key in use or the next: a stranger's number must not cost a thousand rekeyings */
	if ((key_of(seq) == key_at(c) || rekey(next.key)) &&
		noise_decrypt(next.key, seq, frame, EF_SESSION_HEAD, frame + EF_SESSION_HEAD,
			size - EF_SESSION_OVERHEAD, frame + size - 16)) {
		next.next = seq + 1;
		*c = next;
		verdict = again ? EF_SESSION_REPEATED : EF_SESSION_OPENED;
	}
	ef_session_wipe(&next, sizeof(next));
	return verdict;
}
