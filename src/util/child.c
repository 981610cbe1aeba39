/* SPDX-License-Identifier: Apache-2.0 */
#include "util/child.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define FIRST_FD 3

static void default_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL); /* fails for KILL, STOP and the C library's own: as it should */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Puts the descriptors at 3, 4, … whatever numbers they have now; *report moves out of the way. */
static int place_fds(const struct child_spec *spec, int *report)
{
	int first_free = FIRST_FD + spec->n_fds;
	int moved[16];

	if (spec->n_fds < 0 || spec->n_fds > (int)(sizeof(moved) / sizeof(moved[0])))
		return -EINVAL;
	*report = fcntl(*report, F_DUPFD_CLOEXEC, first_free);
	if (*report < 0)
		return -errno;
	for (int i = 0; i < spec->n_fds; i++) {
		moved[i] = fcntl(spec->fds[i], F_DUPFD_CLOEXEC, first_free);
		if (moved[i] < 0)
			return -errno;
	}
	if (spec->stdout_fd >= 0 && dup2(spec->stdout_fd, STDOUT_FILENO) < 0)
		return -errno;
	if (spec->stderr_too && dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
		return -errno;
	for (int i = 0; i < spec->n_fds; i++)
		if (dup2(moved[i], FIRST_FD + i) < 0)
			return -errno;
	/* dup2 of a descriptor to itself would have kept close-on-exec; these are never equal. */
	return 0;
}

static int close_above(int first)
{
	struct rlimit limit;

	if (close_range((unsigned)first, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
		return 0;
	/* Linux before 5.11 */
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	for (int fd = first; (rlim_t)fd < limit.rlim_cur && fd < 65536; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int run(const struct child_spec *spec, pid_t parent, int *report)
{
	static const char *const clean[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL};

	int r = place_fds(spec, report);
	if (r < 0)
		return r;
	r = close_above(FIRST_FD + spec->n_fds);
	if (r < 0)
		return r;
	default_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return -errno;
	if (getppid() != parent) /* it died before prctl */
		return -ESRCH;
	execve(spec->path, (char *const *)spec->argv,
		(char *const *)(spec->env ? spec->env : clean));
	return -errno;
}

pid_t child_start(const struct child_spec *spec)
{
	_cleanup_close_ int from_child = -1, to_parent = -1;
	pid_t parent = getpid();
	int p[2], result;

	if (spec->path[0] != '/')
		return -EINVAL;
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	from_child = p[0];
	to_parent = p[1];
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int report = to_parent;
		result = run(spec, parent, &report);
		fd_write_full(report >= 0 ? report : to_parent, &result, sizeof(result));
		_exit(127);
	}
	to_parent = ef_close(to_parent);
	/* The pipe closes by itself when exec succeeds; only a failure says anything. */
	int r = fd_read_full(from_child, &result, sizeof(result));
	if (r == -ENODATA)
		return pid;
	if (r < 0) /* nobody knows whether it runs; it is not to */
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? r : result;
}

const char *child_program(const char *name, char *buf, size_t size)
{
	const char *dir = secure_getenv("EDGEFERRY_LIBEXEC");
	int n = snprintf(buf, size, "%s/%s", dir ? dir : EF_LIBEXECDIR, name);

	return n > 0 && (size_t)n < size ? buf : NULL;
}
