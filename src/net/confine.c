/* SPDX-License-Identifier: Apache-2.0 */
#include "net/confine.h"
#include "util/cleanup.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES_MAX 512
#define DATA_MAX (256ul << 20)

static int close_rest(int keep_fd)
{
	return close_range((unsigned)keep_fd + 1, ~0u, 0) < 0 ? -errno : 0;
}

/* As root: becomes user, alone, and makes sure that there is no way back. */
static int drop_user(const char *user)
{
	if (getuid() != 0 && geteuid() != 0)
		return 0;
	if (!user)
		return -EINVAL;
	errno = 0;
	const struct passwd *p = getpwnam(user);
	if (!p)
		return errno ? -errno : -ENOENT;
	if (p->pw_uid == 0 || p->pw_gid == 0)
		return -EPERM;
	if (setgroups(0, NULL) < 0 || setresgid(p->pw_gid, p->pw_gid, p->pw_gid) < 0 ||
		setresuid(p->pw_uid, p->pw_uid, p->pw_uid) < 0)
		return -errno;
	return setuid(0) == 0 || setgid(0) == 0 ? -EPERM : 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

static int limit(int resource, rlim_t max)
{
	struct rlimit l;

	if (getrlimit((__rlimit_resource_t)resource, &l) < 0)
		return -errno;
	if (l.rlim_max > max)
		l.rlim_max = max;
	if (l.rlim_cur > l.rlim_max)
		l.rlim_cur = l.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &l) < 0 ? -errno : 0;
}

static int set_limits(void)
{
	int r = limit(RLIMIT_CORE, 0); /* a password may be in memory (S-31) */

	if (r == 0)
		r = limit(RLIMIT_NOFILE, FILES_MAX);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow alone is larger */
	if (r == 0)
		r = limit(RLIMIT_DATA, DATA_MAX);
#endif
	return r;
}

static int set_process(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	/* Changing the user took away the one that the parent had set. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int confine(const char *user, int keep_fd, const char **what)
{
	int r;

	*what = "closing descriptors";
	r = close_rest(keep_fd);
	if (r == 0)
		*what = "becoming the unprivileged user", r = drop_user(user);
	if (r == 0)
		*what = "dropping capabilities", r = drop_capabilities();
	if (r == 0)
		*what = "setting limits", r = set_limits();
	if (r == 0)
		*what = "setting process attributes", r = set_process();
	return r;
}
