/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/keyset.h"
#include "boot/crypto.h"
#include "boot/flash.h"
#include "wire/crc.h"
#include "wire/session-crypto.h"
#include <string.h>

#define HEAD 8u
#define XY 64u
#define SPKI 91u
#define SIGNATURE (1u + 64u)

/* ---- the two copies ---- */

static uint32_t place(unsigned copy)
{
	return port_board()->keys.offset + copy * port_board()->page;
}

/*
 * Behind a copy a word says that it was written to its end (as in boot/state.h): only then does it
 * count, so that the other copy is not given up for one that merely looks whole.
 */
#define FIRM_SIZE 16u /* as large as a word of flash may be */
#define FIRM_AT ((sizeof(struct factory) + FIRM_SIZE - 1) / FIRM_SIZE * FIRM_SIZE)

static bool read_copy(unsigned copy, struct factory *f)
{
	return factory_read(place(copy), f) && !flash_blank(place(copy) + FIRM_AT, FIRM_SIZE);
}

static int make_firm(unsigned copy)
{
	return flash_zero(place(copy) + FIRM_AT, FIRM_SIZE);
}

static int write_copy(unsigned copy, const struct factory *f)
{
	uint8_t padded[FIRM_AT];

	memset(padded, 0xff, FIRM_AT);
	memcpy(padded, f, sizeof(*f));
	if (flash_erase(place(copy), port_board()->page) < 0 ||
		flash_write(place(copy), padded, FIRM_AT) < 0)
		return -1;
	return make_firm(copy);
}

/* Returns the copy that counts; -1: it is the factory's set, or none. */
static int load(struct factory *f)
{
	struct factory copy;
	unsigned unread = 0;
	uint32_t flags;
	int from = -1;

	factory_read(port_board()->factory.offset, f);
	flags = f->flags;
	for (unsigned i = 0; i < 2; i++) {
		if (read_copy(i, &copy)) {
			if (copy.key_set > f->key_set) {
				*f = copy;
				from = (int)i;
			}
		} else {
			unread += !flash_blank(place(i), FIRM_AT);
		}
	}
	if (unread == 2)
		f->n_keys = 0;
	/* whose policy it is to serve stock clients has nothing to do with keys */
	f->flags = flags;
	f->crc = crc32_ieee(0, f, offsetof(struct factory, crc));
	return from;
}

void keyset_load(struct factory *f)
{
	load(f);
}

/* What may have been torn is written again, each copy while the other one is sure to be whole. */
void keyset_mend(struct factory *f)
{
	struct factory copy;
	int from = load(f);
	unsigned other = from == 0;

	if (from < 0) {
		for (unsigned i = 0; i < 2 && f->n_keys; i++)
			if (!flash_blank(place(i), FIRM_AT))
				flash_erase(place(i), port_board()->page);
	} else if (!read_copy(other, &copy) || copy.key_set != f->key_set) {
		/* it may be torn as well, and read as whole by chance */
		if (make_firm((unsigned)from) == 0 && write_copy(other, f) == 0)
			write_copy((unsigned)from, f);
	}
}

int keyset_store(const struct factory *next)
{
	struct factory copy;
	unsigned first = !read_copy(1, &copy); /* the other is whole meanwhile */

	if (write_copy(first, next) < 0)
		return -1;
	return write_copy(!first, next);
}

/* ---- the document ---- */

/* The hash is that of the DER SubjectPublicKeyInfo, which ends with the point. */
static void take_key(const uint8_t xy[XY], struct ef_image_key *key)
{
	static const uint8_t before[SPKI - 64] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86,
		0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
		0x07, 0x03, 0x42, 0x00, 0x04};
	uint8_t spki[SPKI];

	memcpy(spki, before, sizeof(before));
	memcpy(spki + sizeof(before), xy, XY);
	memcpy(key->point, spki + SPKI - sizeof(key->point), sizeof(key->point));
	noise_hash(key->hash, spki, SPKI, NULL, 0);
}

/*
 * Every signature holds, and there are enough by keys of both sets. They stand in the order of
 * their keys, the new set's first, so each key counts once (S-02, S-03).
 */
static enum ef_reason check_signatures(const uint8_t *p, const uint8_t *end, const uint8_t sum[32],
	const struct factory *f, const struct factory *next)
{
	unsigned made[2] = {0, 0};
	const struct factory *const set[2] = {next, f};

	for (int last = -1; p != end; last = *p, p += SIGNATURE) {
		unsigned of = *p >> 7, i = *p & 0x7f;

		if ((size_t)(end - p) < SIGNATURE || i >= set[of]->n_keys || *p <= last)
			return EF_REASON_BAD_FORMAT;
		port_watchdog_feed();
		if (crypto_p256_verify_raw(set[of]->keys[i].point, sum, p + 1, XY) != 1)
			return EF_REASON_BAD_SIGNATURE;
		made[of]++;
	}
	if (made[0] < next->threshold ||
		made[1] < (f->threshold ? f->threshold : f->n_keys / 2u + 1u))
		return EF_REASON_BAD_SIGNATURE;
	return EF_REASON_OK;
}

enum ef_reason keyset_check(
	const uint8_t *document, size_t size, const struct factory *f, struct factory *next)
{
	const uint8_t *xy = document + HEAD;
	uint8_t sum[32];

	*next = *f;
	if (size < HEAD || memcmp(document, "EFK1", 4) != 0)
		return EF_REASON_BAD_FORMAT;
	next->n_keys = document[4];
	next->threshold = document[5];
	next->key_set = (uint16_t)(document[6] | document[7] << 8);
	if (next->n_keys > FACTORY_KEYS_MAX || next->threshold == 0 ||
		next->threshold > next->n_keys || size < HEAD + next->n_keys * XY)
		return EF_REASON_BAD_FORMAT;
	if (next->key_set <= f->key_set)
		return EF_REASON_METADATA_ROLLBACK;
	if (next->key_set - f->key_set != 1)
		return EF_REASON_REQUIREMENT;
	memset(next->keys, 0, sizeof(next->keys));
	for (unsigned i = 0; i < next->n_keys; i++, xy += XY) {
		if (i && memcmp(xy - XY, xy, XY) >= 0)
			return EF_REASON_BAD_FORMAT; /* in order, so none twice */
		take_key(xy, &next->keys[i]);
	}
	next->crc = crc32_ieee(0, next, offsetof(struct factory, crc));
	noise_hash(sum, document, (size_t)(xy - document), NULL, 0);
	return check_signatures(xy, document + size, sum, f, next);
}
