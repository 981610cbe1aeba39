/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Stands in for the library where a compiler has none: slow, and the same, as there is only one
 * order. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t *shim_text;
static int32_t shim_size;

static int shim_compare(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	int32_t n = shim_size - (x > y ? x : y);
	int r = memcmp(shim_text + x, shim_text + y, (size_t)n);

	return r ? r : (x < y) - (x > y);
}

static int divsufsort(const uint8_t *text, int32_t *sa, int32_t size)
{
	shim_text = text;
	shim_size = size;
	for (int32_t k = 0; k < size; k++)
		sa[k] = k;
	qsort(sa, (size_t)size, sizeof(*sa), shim_compare);
	return 0;
}
