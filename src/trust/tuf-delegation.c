/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/tuf-delegation.h"
#include "util/json.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BITS_MAX 32u

static bool is_plain(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != 0 && strchr("_.~-", c));
}

const char *tuf_delegation_name(const json_t *entry)
{
	return json_string_value(json_object_get(entry, "name"));
}

bool tuf_role_name_ok(const char *name)
{
	static const char *const taken[] = {"root", "timestamp", "snapshot", "targets", "mirrors"};
	size_t n = 0;

	if (!name || !*name)
		return false;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (strcmp(name, taken[i]) == 0)
			return false;
	for (; *name && n <= TUF_ROLE_NAME_MAX; name++)
		n += is_plain(*name) ? 1 : 3;
	return n <= TUF_ROLE_NAME_MAX;
}

void tuf_file_name(const char *role, char out[TUF_FILE_MAX])
{
	static const char digits[] = "0123456789ABCDEF";
	char *end = out + TUF_ROLE_NAME_MAX;

	for (; *role && out + (is_plain(*role) ? 1 : 3) <= end; role++) {
		uint8_t c = (uint8_t)*role;
		if (is_plain(*role)) {
			*out++ = *role;
			continue;
		}
		*out++ = '%';
		*out++ = digits[c >> 4];
		*out++ = digits[c & 15];
	}
	memcpy(out, ".json", sizeof(".json"));
}

/* The code point at *p, which is moved behind it. JSON strings are valid UTF-8. */
static uint32_t next_char(const char **p)
{
	uint8_t c = (uint8_t) * (*p)++;
	uint32_t v = c < 0x80 ? c : c < 0xe0 ? c & 0x1fu : c < 0xf0 ? c & 0x0fu : c & 0x07u;

	while (((uint8_t) * *p & 0xc0) == 0x80)
		v = v << 6 | ((uint8_t) * (*p)++ & 0x3fu);
	return v;
}

/*
 * A bracket expression at *p, behind its "[". Moves *p behind the "]" and says whether c is meant;
 * -1 when no bracket closes it, and the "[" stands for itself.
 */
static int match_set(const char **p, uint32_t c)
{
	const char *q = *p;
	bool not = *q == '!' || *q == '^', found = false;

	if (not )
		q++;
	for (bool first = true; *q && *q != '/' && (first || *q != ']'); first = false) {
		uint32_t low = next_char(&q), high = low;
		if (*q == '-' && q[1] && q[1] != ']' && q[1] != '/') {
			q++;
			high = next_char(&q);
		}
		found |= c >= low && c <= high;
	}
	if (*q != ']')
		return -1;
	*p = q + 1;
	return found != not ;
}

/* One character of the pattern that is no "*" against one of the text; moves both on success. */
static bool match_one(const char **pattern, const char **text)
{
	const char *p = *pattern, *t = *text;
	uint32_t c = next_char(&t), want = next_char(&p);
	int in_set;

	if (want == '[' && (in_set = match_set(&p, c)) >= 0) {
		if (!in_set)
			return false;
	} else if (want == '\\' && *p && *p != '/') {
		if (next_char(&p) != c)
			return false;
	} else if (want != '?' && want != c) {
		return false;
	}
	*pattern = p;
	*text = t;
	return true;
}

static bool at_end(const char *p)
{
	return *p == 0 || *p == '/';
}

/*
 * One segment. Only the last "*" is ever tried again, so the work is bounded by the product of the
 * two lengths. Moves both behind the segment on success.
 */
static bool match_segment(const char **pattern, const char **text)
{
	const char *p = *pattern, *t = *text, *star = NULL, *mark = NULL;

	while (!at_end(p) || !at_end(t)) {
		if (*p == '*') {
			star = ++p;
			mark = t;
		} else if (at_end(p) || at_end(t) || !match_one(&p, &t)) {
			if (!star || at_end(mark))
				return false;
			next_char(&mark);
			p = star;
			t = mark;
		}
	}
	*pattern = p;
	*text = t;
	return true;
}

bool tuf_path_match(const char *pattern, const char *path)
{
	for (;; pattern++, path++) {
		if (!match_segment(&pattern, &path) || *pattern != *path)
			return false;
		if (*pattern == 0)
			return true;
	}
}

bool tuf_path_hash(const char *path, char out[DIGEST_HEX_MAX])
{
	uint8_t digest[DIGEST_SIZE];

	if (EVP_Digest(path, strlen(path), digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	digest_hex(digest, out);
	return true;
}

bool tuf_delegation_allows(const struct tuf_delegation *d, const char *path, const char *hash)
{
	if (d->is_bin)
		return tuf_bin_for(d->role, hash).bin == d->bin;
	const json_t *paths = json_object_get(d->role, "paths");
	const json_t *prefixes = json_object_get(d->role, "path_hash_prefixes");
	for (size_t i = 0; i < json_array_size(paths); i++)
		if (tuf_path_match(json_string_value(json_array_get(paths, i)), path))
			return true;
	for (size_t i = 0; i < json_array_size(prefixes); i++) {
		const char *prefix = json_string_value(json_array_get(prefixes, i));
		if (*prefix && strncmp(hash, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

static unsigned bits_of(const json_t *succinct)
{
	return (unsigned)json_integer_value(json_object_get(succinct, "bit_length"));
}

static const char *prefix_of(const json_t *succinct)
{
	return json_string_value(json_object_get(succinct, "name_prefix"));
}

/* As snprintf. All names have as many digits as the last one. */
static int bin_name(const struct tuf_delegation *d, char out[TUF_ROLE_NAME_SIZE])
{
	int digits = (int)(bits_of(d->role) + 3) / 4;

	return snprintf(
		out, TUF_ROLE_NAME_SIZE, "%s-%0*" PRIx32, prefix_of(d->role), digits, d->bin);
}

void tuf_role_name(const struct tuf_delegation *d, char out[TUF_ROLE_NAME_SIZE])
{
	if (d->is_bin)
		bin_name(d, out);
	else
		snprintf(out, TUF_ROLE_NAME_SIZE, "%s", tuf_delegation_name(d->role));
}

bool tuf_bins_ok(const json_t *succinct)
{
	struct tuf_delegation first = {.role = succinct, .is_bin = true};
	char name[TUF_ROLE_NAME_SIZE];
	const char *prefix;
	uint64_t bits;

	return json_get_uint(succinct, "bit_length", &bits) && bits > 0 && bits <= BITS_MAX &&
	       json_get_string(succinct, "name_prefix", &prefix) &&
	       bin_name(&first, name) < TUF_ROLE_NAME_SIZE && tuf_role_name_ok(name);
}

struct tuf_delegation tuf_bin_for(const json_t *succinct, const char *hash)
{
	char head[BITS_MAX / 4 + 1] = "";

	memcpy(head, hash, BITS_MAX / 4);
	return (struct tuf_delegation){.role = succinct,
		.is_bin = true,
		.bin = (uint32_t)strtoul(head, NULL, 16) >> (BITS_MAX - bits_of(succinct))};
}

struct tuf_delegation tuf_bin_named(const json_t *succinct, const char *name)
{
	struct tuf_delegation d = {.role = succinct, .is_bin = true};
	const char *prefix = prefix_of(succinct);
	char again[TUF_ROLE_NAME_SIZE];
	size_t n = strlen(prefix);

	if (strncmp(name, prefix, n) != 0 || name[n] != '-')
		return (struct tuf_delegation){.role = NULL};
	uint64_t bin = strtoull(name + n + 1, NULL, 16);
	d.bin = (uint32_t)bin;
	bin_name(&d, again); /* what strtoull puts up with is no other name of the bin */
	if (bin >> bits_of(succinct) != 0 || strcmp(again, name) != 0)
		return (struct tuf_delegation){.role = NULL};
	return d;
}
