/* SPDX-License-Identifier: Apache-2.0 */
/*
 * U-Boot's environment is to have two copies, one of which a power cut leaves whole. fw_env.config
 * is read as libubootenv 0.3.2 reads it; that the environment can be used was seen before.
 */
#include "doctor/doctor.h"
#include "wire/crc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_HEAD 5u /* crc32 of what follows it, and which copy is the newer one */
#define COPY_MAX (4u << 20)

struct copy {
	char device[256];
	long long offset;
	size_t size;
};

static unsigned read_places(const char *text, struct copy ret[2])
{
	unsigned n = 0;

	for (const char *at = text; at && *at && n < 2; at += strcspn(at, "\n"), at += *at == '\n')
		if (*at != '#' && sscanf(at, "%255s %lli %zx", ret[n].device, &ret[n].offset,
					  &ret[n].size) == 3)
			n++;
	return n;
}

static bool same_place(const struct copy c[2])
{
	long long size = (long long)c[0].size;
	struct stat a, b;

	if (c[0].offset + size <= c[1].offset || c[1].offset + size <= c[0].offset)
		return false;
	if (strcmp(c[0].device, c[1].device) == 0)
		return true;
	if (stat(c[0].device, &a) < 0 || stat(c[1].device, &b) < 0)
		return false;
	return S_ISREG(a.st_mode) ? a.st_dev == b.st_dev && a.st_ino == b.st_ino
				  : a.st_rdev == b.st_rdev;
}

/* What cannot be told is taken for whole: raw flash has bad blocks to step over. */
static bool whole(const struct copy *c)
{
	_cleanup_close_ int fd = open(c->device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ uint8_t *data = NULL;
	struct stat st;
	uint32_t crc;

	if (fd < 0 || fstat(fd, &st) < 0 || S_ISCHR(st.st_mode) || c->offset < 0 ||
		c->size <= COPY_HEAD || c->size > COPY_MAX || !(data = malloc(c->size)))
		return true;
	if (pread(fd, data, c->size, c->offset) != (ssize_t)c->size)
		return false;
	memcpy(&crc, data, sizeof(crc)); /* of this machine's byte order */
	return crc == crc32_ieee(0, data + COPY_HEAD, c->size - COPY_HEAD);
}

void check_copies(struct doctor *d)
{
	_cleanup_free_ char *text = NULL;
	struct copy copies[2] = {0};
	char path[PATH_MAX];
	unsigned n;

	snprintf(path, sizeof(path), "%s/fw_env.config", d->boot_dir);
	text = text_below(d, path);
	n = read_places(text, copies);
	if (n == 1)
		say(d, LEVEL_WARNING,
			"build U-Boot with CONFIG_SYS_REDUNDAND_ENVIRONMENT and name both places "
			"in fw_env.config",
			"U-Boot's environment is a single one: a power cut while it is written can "
			"lose it");
	else if (n == 2 && same_place(copies))
		say(d, LEVEL_ERROR,
			"name in fw_env.config the two places that U-Boot was built for "
			"(CONFIG_ENV_OFFSET, CONFIG_ENV_OFFSET_REDUND)",
			"both copies of U-Boot's environment are in one place: %s at %#llx",
			copies[1].device, copies[1].offset);
	for (unsigned i = 0; n == 2 && !same_place(copies) && i < 2; i++)
		if (!whole(&copies[i]))
			say(d, LEVEL_WARNING,
				"a power cut while it was written, or an environment that was "
				"saved once only: the next change writes it. If not even U-Boot's "
				"saveenv, said twice, does, fw_env.config names another place "
				"than U-Boot has",
				"one of the two copies of U-Boot's environment is not valid: %s at "
				"%#llx",
				copies[i].device, copies[i].offset);
}
