/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/flash.h"
#include <string.h>

#define CHUNK 64u

static uint32_t piece(uint32_t size)
{
	return size < CHUNK ? size : CHUNK;
}

static int compare(uint32_t offset, const uint8_t *data, size_t size)
{
	uint8_t buf[CHUNK];

	while (size) {
		uint32_t n = piece((uint32_t)size);
		if (port_flash_read(offset, buf, n) < 0 || memcmp(buf, data, n) != 0)
			return -1;
		offset += n;
		data += n;
		size -= n;
	}
	return 0;
}

int flash_write(uint32_t offset, const void *data, size_t size)
{
	if (port_flash_program(offset, data, size) < 0)
		return -1;
	return compare(offset, data, size);
}

int flash_zero(uint32_t offset, uint32_t size)
{
	static const uint8_t zero[16];

	for (uint32_t end = offset + size; offset < end; offset += sizeof(zero))
		if (flash_write(offset, zero,
			    end - offset < sizeof(zero) ? end - offset : sizeof(zero)) < 0)
			return -1;
	return 0;
}

bool flash_blank(uint32_t offset, uint32_t size)
{
	uint8_t buf[CHUNK];

	while (size) {
		uint32_t n = piece(size);
		if (port_flash_read(offset, buf, n) < 0)
			return false;
		for (uint32_t i = 0; i < n; i++)
			if (buf[i] != 0xff)
				return false;
		offset += n;
		size -= n;
	}
	return true;
}

int flash_erase(uint32_t offset, uint32_t size)
{
	uint32_t page = port_board()->page;

	for (uint32_t at = offset + size; at > offset;) {
		at -= page;
		port_watchdog_feed();
		if (port_flash_erase(at) < 0 || !flash_blank(at, page))
			return -1;
	}
	return 0;
}

static bool same(uint32_t a, uint32_t b, uint32_t size)
{
	uint8_t buf[CHUNK];

	for (uint32_t i = 0; i < size; i += sizeof(buf))
		if (port_flash_read(a + i, buf, sizeof(buf)) < 0 ||
			compare(b + i, buf, sizeof(buf)) < 0)
			return false;
	return true;
}

static int copy_page(uint32_t to, uint32_t from, uint32_t page, bool erase)
{
	uint8_t buf[CHUNK * 4];

	if (erase && flash_erase(to, page) < 0)
		return -1;
	for (uint32_t i = 0; i < page; i += sizeof(buf))
		if (port_flash_read(from + i, buf, sizeof(buf)) < 0 ||
			port_flash_program(to + i, buf, sizeof(buf)) < 0)
			return -1;
	/* with what the source holds, not with what was read of it once */
	return same(to, from, page) ? 0 : -1;
}

/*
 * A page that is equal already is not erased: the copy may be one that is done, and whose end is
 * not known because power went at it. It is only programmed once more, which is nothing to a page
 * that is well and makes firm what was half programmed. One that is to be blank may be half erased:
 * the source says so, which reads the same every time.
 */
int flash_copy(uint32_t to, uint32_t from, uint32_t size, bool trusted)
{
	uint32_t page = port_board()->page;

	for (uint32_t end = to + size; to < end; to += page, from += page) {
		bool equal = same(to, from, page);

		port_watchdog_feed();
		if (equal && trusted)
			continue;
		if (copy_page(to, from, page, !equal || flash_blank(from, page)) < 0 &&
			copy_page(to, from, page, true) < 0)
			return -1;
	}
	return 0;
}
