/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The vectors that the specifications end with: tests/vectors/NAME.txt, one a line, "name hex". The
 * tests of both ends read the same file, and what is not in the document as well fails. SOURCE_ROOT
 * is the folder of the project.
 */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *vector_file(const char *path, size_t *size)
{
	char *text = NULL;
	FILE *f = fopen(path, "re");
	long n = -1;

	if (f && fseek(f, 0, SEEK_END) == 0)
		n = ftell(f);
	if (n >= 0)
		text = calloc(1, (size_t)n + 1);
	ck_assert_msg(text != NULL, "%s cannot be read", path);
	rewind(f);
	ck_assert_uint_eq(fread(text, 1, (size_t)n, f), (size_t)n);
	fclose(f);
	*size = (size_t)n;
	return text;
}

static unsigned vector_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	ck_assert_msg(at != NULL, "'%c' is no digit", c);
	return (unsigned)(at - digits);
}

/* The bytes of a vector; its size. */
static inline size_t vector(const char *file, const char *name, uint8_t *buf, size_t max)
{
	char path[512], key[64];
	size_t size, used = 0;
	char *text, *at;

	snprintf(path, sizeof(path), SOURCE_ROOT "/tests/vectors/%s", file);
	snprintf(key, sizeof(key), "\n%s ", name);
	text = vector_file(path, &size);
	at = strstr(text, key);
	ck_assert_msg(at != NULL, "%s: no %s", file, name);
	for (at += strlen(key); *at != '\n'; at += 2) {
		ck_assert_uint_lt(used, max);
		buf[used++] = (uint8_t)(vector_digit(at[0]) << 4 | vector_digit(at[1]));
	}
	free(text);
	return used;
}

/* Every line of the file stands in the document. */
static inline void vectors_documented(const char *file, const char *document)
{
	char path[512];
	size_t size;
	char *text, *spec;
	unsigned lines = 0;

	snprintf(path, sizeof(path), SOURCE_ROOT "/tests/vectors/%s", file);
	text = vector_file(path, &size);
	snprintf(path, sizeof(path), SOURCE_ROOT "/docs/%s", document);
	spec = vector_file(path, &size);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (line[0] != '#') {
			ck_assert_msg(strstr(spec, line) != NULL, "%s lacks: %s", document, line);
			lines++;
		}
	ck_assert_uint_gt(lines, 0);
	free(text);
	free(spec);
}
