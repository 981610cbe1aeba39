/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Flash as everything above the port uses it: what was written is read back (E-02), long work feeds
 * the watchdog page by page (E-14). Functions return 0 or negative.
 */
#include "port/port.h"

/* Programs whole words and compares. */
int flash_write(uint32_t offset, const void *data, size_t size);
/* Programs zeros, which can be done again at any time; whole words. */
int flash_zero(uint32_t offset, uint32_t size);
/* Erases whole pages, the last one first, and checks that they are blank: where power goes, nothing
 * is left behind a page that was begun. */
int flash_erase(uint32_t offset, uint32_t size);
/*
 * Both are whole pages and do not overlap. Pages that are equal already are not erased. trusted: no
 * power cut can have hit the target while it was written, so these are left alone altogether.
 */
int flash_copy(uint32_t to, uint32_t from, uint32_t size, bool trusted);
bool flash_blank(uint32_t offset, uint32_t size);

/* Bytes of a mark: a word of flash, of 4 bytes at least. A number where the board is known. */
__attribute__((always_inline)) static inline uint32_t flash_mark_size(void)
{
	return port_board()->word < 4 ? 4 : port_board()->word;
}

static inline uint32_t round_up(uint32_t n, uint32_t unit)
{
	return (n + unit - 1) / unit * unit;
}
