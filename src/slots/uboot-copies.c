/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/uboot-copies.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <libuboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CONFIG_MAX 65536u

/* libubootenv says whether any of two is valid, so it is asked about this one twice. */
static bool valid(const char *line)
{
	_cleanup_close_ int fd = memfd_create("fw_env.config", MFD_CLOEXEC);
	struct uboot_ctx *ctx = NULL;
	char path[32];
	bool ok;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || dprintf(fd, "%s\n%s\n", line, line) < 0 ||
		libuboot_initialize(&ctx, NULL) < 0)
		return false;
	ok = libuboot_read_config(ctx, path) == 0 && libuboot_open(ctx) == 0;
	libuboot_close(ctx);
	libuboot_exit(ctx);
	return ok;
}

static bool read_line(const char *line, struct uboot_copy *c)
{
	return *line != '#' && sscanf(line, "%255s %lli %zx", c->device, &c->offset, &c->size) == 3;
}

unsigned uboot_copies(const char *config, struct uboot_copy ret[2])
{
	_cleanup_free_ uint8_t *data = NULL;
	const char *lines[2];
	char *at, *save = NULL;
	size_t size;
	unsigned n = 0;

	if (file_read(config, CONFIG_MAX, &data, &size) < 0)
		return 0;
	for (at = strtok_r((char *)data, "\n", &save); at && n < 2;
		at = strtok_r(NULL, "\n", &save))
		if (read_line(at, &ret[n]))
			lines[n++] = at;
	for (unsigned i = 0; n == 2 && i < 2; i++)
		ret[i].valid = valid(lines[i]);
	return n;
}

bool uboot_copies_apart(const struct uboot_copy c[2])
{
	struct stat a, b;

	if (c[0].offset + (long long)c[0].size <= c[1].offset ||
		c[1].offset + (long long)c[1].size <= c[0].offset)
		return true;
	if (strcmp(c[0].device, c[1].device) == 0)
		return false;
	if (stat(c[0].device, &a) < 0 || stat(c[1].device, &b) < 0)
		return true;
	return S_ISREG(a.st_mode) ? a.st_dev != b.st_dev || a.st_ino != b.st_ino
				  : a.st_rdev != b.st_rdev;
}
