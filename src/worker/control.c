/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/control.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#define PROGRESS_US (USEC_PER_SEC / 5)

int control_open(struct control *c, int socket)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	*c = (struct control){.socket = socket, .signals = -1};
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return c->signals < 0 ? -errno : 0;
}

void control_close(struct control *c)
{
	c->signals = ef_close(c->signals);
}

static int wait_for(const struct control *c, int fd, short events, int timeout_ms)
{
	struct pollfd p[] = {
		{.fd = c->signals, .events = POLLIN},
		{.fd = c->socket, .events = POLLRDHUP},
		{.fd = fd, .events = events},
	};

	for (;;) {
		int n = poll(p, fd >= 0 ? 3 : 2, timeout_ms);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (p[0].revents)
			return -ECANCELED;
		/* What the core sent before it went may still be read. */
		if (p[1].revents && fd != c->socket)
			return -ECANCELED;
		return fd >= 0 && p[2].revents ? 1 : 0;
	}
}

int control_check(const struct control *c)
{
	return wait_for(c, -1, 0, 0);
}

int control_wait(struct control *c, int fd)
{
	int r;

	while ((r = wait_for(c, fd, POLLIN, JOB_SIGN_OF_LIFE_S * 1000)) == 0)
		control_progress(c, &c->last);
	return r < 0 ? r : 0;
}

int control_read_full(struct control *c, int fd, void *buf, size_t size)
{
	char *p = buf;

	while (size > 0) {
		int r = control_wait(c, fd);
		if (r < 0)
			return r;
		ssize_t n = read(fd, p, size);
		if (n == 0)
			return -ENODATA;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0) {
			p += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

int control_receive(struct control *c, struct job_message *m)
{
	int r = control_wait(c, c->socket);

	if (r < 0)
		return r;
	r = job_receive(c->socket, m);
	return r == 0 ? -ECANCELED : r;
}

void control_progress(struct control *c, const struct job_progress *p)
{
	uint64_t now = now_monotonic_us();

	c->last = *p;
	if (now < c->next_progress_us)
		return;
	if (wait_for(c, c->socket, POLLOUT, 0) != 1)
		return;
	if (job_send(c->socket, JOB_PROGRESS, p, sizeof(*p), -1) == 0)
		c->next_progress_us = now + PROGRESS_US;
}

int control_done(struct control *c, const struct error *e)
{
	struct job_done d = {.reason = e->reason};

	memcpy(d.detail, e->detail, sizeof(d.detail));
	return job_send(c->socket, JOB_DONE, &d, sizeof(d), -1);
}
