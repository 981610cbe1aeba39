/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/secrets.h"
#include "boot/flash.h"
#include "wire/crc.h"
#include <edgeferry/session.h>
#include <string.h>

#define MAGIC 0x314b4645u /* "EFK1" */
#define REQUIRED 1u
#define MARKS_MAX 1024u /* a page; where pages are large, looking for the last one takes time */

struct record {
	uint32_t magic;
	uint32_t sequence;
	uint32_t counter; /* when it was written */
	uint32_t flags;
	uint8_t psk[32], seed[32];
	uint8_t reserved[12];
	uint32_t crc;
};
_Static_assert(sizeof(struct record) == 96, "records lie in flash as they are, in whole words");
/* Behind the record two places as large as a word of flash may be, blank or not. */
#define SEAL_SIZE 16u
#define FIRM_AT sizeof(struct record)
#define GIVEN_UP_AT (FIRM_AT + SEAL_SIZE)
#define MARKS_AT (GIVEN_UP_AT + SEAL_SIZE)

static uint32_t page_offset(int page)
{
	return port_board()->secrets.offset + (uint32_t)page * port_board()->page;
}

static uint32_t mark_offset(int page, uint32_t mark)
{
	return page_offset(page) + MARKS_AT + mark * flash_mark_size();
}

static uint32_t marks(void)
{
	uint32_t n = (port_board()->page - MARKS_AT) / flash_mark_size();
	return n < MARKS_MAX ? n : MARKS_MAX;
}

/* Up to the last that was begun: a torn one may have been used. */
static uint32_t marks_used(int page)
{
	uint32_t n = marks();
	while (n && flash_blank(mark_offset(page, n - 1), flash_mark_size()))
		n--;
	return n;
}

static bool read_record(int page, struct record *r)
{
	return port_flash_read(page_offset(page), r, sizeof(*r)) == 0 && r->magic == MAGIC &&
	       crc32_ieee(0, r, offsetof(struct record, crc)) == r->crc;
}

/* The page that counts and its record; -1: none. */
static int current(struct record *ret)
{
	struct record r;
	int found = -1;

	memset(ret, 0, sizeof(*ret));
	for (int page = 0; page < 2 && port_board()->secrets.size; page++)
		if (read_record(page, &r) && r.sequence >= ret->sequence) {
			*ret = r;
			found = page;
		}
	ef_session_wipe(&r, sizeof(r));
	return found;
}

static bool sealed(int page, uint32_t at)
{
	return !flash_blank(page_offset(page) + at, SEAL_SIZE);
}

static int seal(int page, uint32_t at)
{
	return flash_zero(page_offset(page) + at, SEAL_SIZE);
}

/*
 * The record was written to its end, and it reads the same from now on. One that was not counts as
 * well while it reads whole, but the other page is kept until it has been written anew. That it is
 * given up is said before it is erased, so that a torn erase of a torn seal makes nothing firm.
 */
static bool is_firm(int page)
{
	return sealed(page, FIRM_AT) && !sealed(page, GIVEN_UP_AT);
}

static int wipe(int page)
{
	return flash_zero(page_offset(page), sizeof(struct record));
}

static bool is_wiped(int page)
{
	struct record r;
	uint32_t set = 0;

	if (port_flash_read(page_offset(page), &r, sizeof(r)) < 0)
		return false;
	for (size_t i = 0; i < sizeof(r); i++)
		set |= ((const uint8_t *)&r)[i];
	ef_session_wipe(&r, sizeof(r));
	return !set;
}

/* Writes r to a page of its own, then the other one's key goes. Returns the page, or negative. */
static int move(int page, struct record *r)
{
	struct record other;
	int to = page < 0 ? 0 : !page;

	/* the page that gives way is never the only one that is sure to be whole */
	if (page >= 0 && !is_firm(page) && read_record(!page, &other)) {
		ef_session_wipe(&other, sizeof(other));
		to = page;
		if (seal(to, GIVEN_UP_AT) < 0)
			return -1;
	}
	r->magic = MAGIC;
	r->sequence++;
	r->crc = crc32_ieee(0, r, offsetof(struct record, crc));
	/* also what looks blank: an erase may have been cut */
	if (flash_erase(page_offset(to), port_board()->page) < 0 ||
		flash_write(page_offset(to), r, sizeof(*r)) < 0 || seal(to, FIRM_AT) < 0)
		return -1;
	wipe(!to); /* if not now, then at the next start */
	return to;
}

/* 0: all are used up. *used: the marks of the page, read once, as a torn one may read otherwise the
 * next time. */
static uint32_t next_counter(int page, const struct record *r, uint32_t *used)
{
	*used = page < 0 ? 0 : marks_used(page);
	return r->counter > UINT32_MAX - *used ? 0 : r->counter + *used;
}

void secrets_tidy(void)
{
	struct record r;
	int page = current(&r);
	uint32_t used;

	if (page >= 0 && !is_firm(page)) {
		r.counter = next_counter(page, &r, &used);
		move(page, &r);
	} else if (page >= 0 && !is_wiped(!page) && seal(page, FIRM_AT) == 0)
		wipe(!page);
	ef_session_wipe(&r, sizeof(r));
}

bool secrets_load(struct secret_key *ret)
{
	struct record r;
	bool found = current(&r) >= 0;

	memcpy(ret->psk, r.psk, sizeof(r.psk));
	memcpy(ret->seed, r.seed, sizeof(r.seed));
	ret->required = r.flags & REQUIRED;
	ef_session_wipe(&r, sizeof(r));
	return found;
}

int secrets_store(const struct secret_key *key)
{
	struct record r;
	int page = current(&r), done = -1;
	uint32_t used;

	r.counter = page < 0 ? 1 : next_counter(page, &r, &used);
	r.flags = key->required ? REQUIRED : 0;
	memcpy(r.psk, key->psk, sizeof(r.psk));
	memcpy(r.seed, key->seed, sizeof(r.seed));
	if (port_board()->secrets.size)
		done = move(page, &r);
	ef_session_wipe(&r, sizeof(r));
	return done < 0 ? -1 : 0;
}

uint32_t secrets_counter(void)
{
	struct record r;
	int page = current(&r);
	uint32_t used, counter = next_counter(page, &r, &used);

	ef_session_wipe(&r, sizeof(r));
	return counter;
}

int secrets_use_counter(uint32_t counter)
{
	struct record r;
	int page = current(&r);
	uint32_t used, next = next_counter(page, &r, &used);

	if (page < 0 || counter == 0 || counter != next)
		page = -1;
	else if (used == marks()) {
		r.counter = counter;
		page = move(page, &r);
		used = 0;
	}
	ef_session_wipe(&r, sizeof(r));
	return page < 0 ? -1 : flash_zero(mark_offset(page, used), flash_mark_size());
}
