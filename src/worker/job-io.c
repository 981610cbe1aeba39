/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/job-io.h"
#include "util/cleanup.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int job_send(int socket, enum job_type type, const void *payload, size_t size, int fd)
{
	struct job_head head = {.type = type, .size = (uint32_t)size};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)payload, size}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = size ? 2 : 1};
	ssize_t n;

	if (size > IPC_MESSAGE_MAX)
		return -EMSGSIZE;
	if (fd >= 0) {
		m.msg_control = control.buf;
		m.msg_controllen = sizeof(control.buf);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do
		n = sendmsg(socket, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The descriptors that came along: one is kept, more are a mistake and closed. */
static int take_fds(struct msghdr *m, int *ret)
{
	int count = 0, fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (count++ == 0)
				*ret = fd;
			else
				ef_close(fd);
		}
	}
	if (count > 1 || m->msg_flags & MSG_CTRUNC) {
		*ret = ef_close(*ret);
		return -EBADMSG;
	}
	return 0;
}

int job_receive(int socket, struct job_message *m)
{
	struct job_head head = {0};
	union {
		char buf[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov[] = {{&head, sizeof(head)}, {m->payload, sizeof(m->payload)}};
	struct msghdr h = {.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf)};
	ssize_t n;

	m->fd = -1;
	/* Reset: said once, when the peer closed before it had read all; what it sent is still
	 * there. */
	do
		n = recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	int r = take_fds(&h, &m->fd);
	if (r < 0)
		return r;
	if (n == 0)
		return 0;
	if ((size_t)n < sizeof(head) || head.size != (size_t)n - sizeof(head) ||
		h.msg_flags & MSG_TRUNC) {
		m->fd = ef_close(m->fd);
		return -EBADMSG;
	}
	m->type = head.type;
	m->size = head.size;
	return 1;
}
