/* SPDX-License-Identifier: Apache-2.0 */
#include "links/holder.h"
#include "util/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_open(const char *pid, dev_t device)
{
	char path[300];
	struct dirent *d;
	struct stat st;
	bool found = false;
	DIR *fds;

	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	fds = opendir(path);
	if (!fds)
		return false;
	while (!found && (d = readdir(fds)))
		found = fstatat(dirfd(fds), d->d_name, &st, 0) == 0 && S_ISCHR(st.st_mode) &&
			st.st_rdev == device;
	closedir(fds);
	return found;
}

bool device_holder(dev_t device, char *text, size_t size)
{
	char path[300], name[32] = "";
	struct dirent *d;
	bool found = false;
	DIR *proc = opendir("/proc");

	if (!proc)
		return false;
	while (!found && (d = readdir(proc)))
		found = d->d_name[strspn(d->d_name, "0123456789")] == '\0' &&
			atoi(d->d_name) != getpid() && has_open(d->d_name, device);
	if (found) {
		snprintf(path, sizeof path, "/proc/%s/comm", d->d_name);
		_cleanup_fclose_ FILE *f = fopen(path, "re");

		if (!f || !fgets(name, sizeof name, f))
			name[0] = '\0';
		name[strcspn(name, "\n")] = '\0';
		snprintf(text, size, "%s (process %.10s)", name, d->d_name);
	}
	closedir(proc);
	return found;
}

enum ef_reason device_in_use(dev_t device, const char *path, struct error *e)
{
	char holder[80];

	if (!device_holder(device, holder, sizeof holder))
		snprintf(holder, sizeof holder, "another process (fuser -v %.30s tells which)",
			path);
	return error_set(e, EF_REASON_BUSY, "%s: in use by %s: end it, or give it another port",
		path, holder);
}

enum ef_reason device_lock(int fd, const char *path, struct error *e)
{
	struct stat st;

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return EF_REASON_OK;
	if (errno != EWOULDBLOCK)
		return error_errno(e, -errno, "%s: flock", path);
	return device_in_use(fstat(fd, &st) < 0 ? 0 : st.st_rdev, path, e);
}
