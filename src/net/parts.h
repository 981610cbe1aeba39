/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * multipart/byteranges (RFC 9110, 14.6), as far as a server may use it towards us: what stands
 * between the bytes of the parts. Hostile input, bounded, no I/O; bytes in any portions.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARTS_BOUNDARY_MAX 70u /* RFC 2046, 5.1.1 */
#define PARTS_HEADER_MAX 1024u /* bytes of the headers of one part */

struct parts {
	char boundary[PARTS_BOUNDARY_MAX + 1];
	char line[256];
	size_t line_size, header_bytes;
	bool in_headers, has_range, over;
	uint64_t first, last, total; /* of the part whose headers ended */
};

enum parts_found { PARTS_MORE, PARTS_PART, PARTS_END, PARTS_BAD };

/* From the value of Content-Type. False: no multipart/byteranges with a boundary that may be. */
bool parts_open(struct parts *p, const char *content_type);
/*
 * Looks at size bytes, of which *used are dealt with. PART: headers ended, the bytes first to last
 * follow and are the caller's; then this goes on. MORE: all used. END: the last boundary.
 */
enum parts_found parts_take(struct parts *p, const uint8_t *data, size_t size, size_t *used);
