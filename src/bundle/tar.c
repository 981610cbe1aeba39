/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/tar.h"
#include "util/hex.h"
#include <stdio.h>
#include <string.h>

/* POSIX.1 ustar, without the NUL or blank that ends a field. */
enum {
	NAME = 0,
	NAME_SIZE = 100,
	MODE = 100,
	UID = 108,
	GID = 116,
	SIZE = 124,
	SIZE_SIZE = 12,
	MTIME = 136,
	CHECKSUM = 148,
	CHECKSUM_SIZE = 8,
	TYPE = 156,
	MAGIC = 257,
	MAJOR = 329,
	MINOR = 337,
	PREFIX = 345,
	PREFIX_SIZE = 155,
};

#define OCTAL_MAX 077777777777ULL /* 8 GiB - 1: eleven digits */

static const char name_chars[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static bool object_name_valid(const char *digest)
{
	uint8_t bytes[DIGEST_SIZE];

	return hex_decode(digest, bytes, sizeof(bytes));
}

bool tar_name_valid(const char *name)
{
	if (strnlen(name, TAR_NAME_MAX) >= TAR_NAME_MAX)
		return false;
	for (const char *p = name;;) {
		size_t n = strspn(p, name_chars);
		if (n == 0 || *p == '.' || *p == '-')
			return false;
		p += n;
		if (*p == 0)
			break;
		if (*p++ != '/')
			return false;
	}
	if (starts_with(name, "objects/"))
		return object_name_valid(name + 8);
	if (starts_with(name, "metadata/"))
		return !strchr(name + 9, '/');
	return starts_with(name, "targets/");
}

/* Up to which slash the name goes into the prefix; 0 when it fits without one. */
static bool split_name(const char *name, size_t *prefix)
{
	size_t size = strlen(name);

	*prefix = 0;
	if (size <= NAME_SIZE)
		return true;
	const char *slash = strchr(name + size - NAME_SIZE - 1, '/');
	if (!slash || (size_t)(slash - name) > PREFIX_SIZE)
		return false;
	*prefix = (size_t)(slash - name);
	return true;
}

static void format_size(uint8_t *field, uint64_t size)
{
	if (size <= OCTAL_MAX) {
		snprintf((char *)field, SIZE_SIZE, "%011llo", (unsigned long long)size);
		return;
	}
	field[0] = 0x80;
	for (int i = 0; i < 8; i++)
		field[SIZE_SIZE - 1 - i] = (uint8_t)(size >> (8 * i));
}

static unsigned checksum(const uint8_t *block)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < TAR_BLOCK; i++)
		sum += i >= CHECKSUM && i < CHECKSUM + CHECKSUM_SIZE ? ' ' : block[i];
	return sum;
}

bool tar_header_format(const char *name, uint64_t size, uint8_t block[TAR_BLOCK])
{
	size_t prefix;

	if (!tar_name_valid(name) || size > INT64_MAX || !split_name(name, &prefix))
		return false;
	memset(block, 0, TAR_BLOCK);
	memcpy(block + PREFIX, name, prefix);
	const char *rest = prefix ? name + prefix + 1 : name;
	memcpy(block + NAME, rest, strlen(rest));
	memcpy(block + MODE, "0000644", 7);
	memcpy(block + UID, "0000000", 7);
	memcpy(block + GID, "0000000", 7);
	format_size(block + SIZE, size);
	memcpy(block + MTIME, "00000000000", 11);
	block[TYPE] = '0';
	memcpy(block + MAGIC, "ustar\00000", 8);
	memcpy(block + MAJOR, "0000000", 7);
	memcpy(block + MINOR, "0000000", 7);
	/* six digits, NUL, blank */
	snprintf((char *)block + CHECKSUM, CHECKSUM_SIZE, "%06o", checksum(block) & 0777777u);
	block[CHECKSUM + 7] = ' ';
	return true;
}

static bool parse_size(const uint8_t *field, uint64_t *size)
{
	*size = 0;
	if (field[0] == 0x80) {
		for (int i = 0; i < 8; i++)
			*size = *size << 8 | field[SIZE_SIZE - 8 + i];
		return true;
	}
	for (int i = 0; i < SIZE_SIZE - 1; i++) {
		if (field[i] < '0' || field[i] > '7')
			return false;
		*size = *size << 3 | (uint64_t)(field[i] - '0');
	}
	return true;
}

bool tar_header_parse(const uint8_t block[TAR_BLOCK], char name[TAR_NAME_MAX], uint64_t *size)
{
	uint8_t want[TAR_BLOCK];
	size_t prefix = strnlen((const char *)block + PREFIX, PREFIX_SIZE);
	size_t rest = strnlen((const char *)block + NAME, NAME_SIZE);

	if (prefix + 1 + rest >= TAR_NAME_MAX)
		return false;
	memcpy(name, block + PREFIX, prefix);
	if (prefix > 0)
		name[prefix++] = '/';
	memcpy(name + prefix, block + NAME, rest);
	name[prefix + rest] = 0;
	return parse_size(block + SIZE, size) && tar_header_format(name, *size, want) &&
	       memcmp(block, want, TAR_BLOCK) == 0;
}
