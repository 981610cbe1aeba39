/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Small files that firmware reads, and may write, by their place on the medium. They are changed in
 * place and never renamed: on FAT a rename is not atomic, and a boot loader does not replay a
 * file system's journal. A change within the first 512 bytes is one sector, old or new after a cut.
 */
#include "util/reason.h"
#include <stddef.h>

/* Up to max bytes; a file that is longer, or no regular file, is BOOT_STATE. */
enum ef_reason one_sector_read(
	const char *path, char *data, size_t max, size_t *size, struct error *e);
/*
 * The file must have size bytes already; written only when it differs, made durable, read again
 * past the page cache where the file system can, and compared.
 */
enum ef_reason one_sector_write(const char *path, const char *data, size_t size, struct error *e);
