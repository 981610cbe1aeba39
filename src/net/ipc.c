/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ipc.h"
#include "util/cleanup.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define URL_START "https://"
#define FDS_MAX 4 /* room to receive and close more than the one that is allowed */

static int send_parts(int socket, enum ipc_type type, uint32_t id, const struct iovec *parts,
	size_t n_parts, int fd)
{
	struct ipc_head head = {.type = (uint32_t)type, .id = id};
	struct iovec v[4] = {{.iov_base = &head, .iov_len = sizeof(head)}};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = v, .msg_iovlen = n_parts + 1};
	size_t size = 0;

	for (size_t i = 0; i < n_parts; i++) {
		v[i + 1] = parts[i];
		size += parts[i].iov_len;
	}
	if (size > IPC_MESSAGE_MAX)
		return -EMSGSIZE;
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	for (;;) {
		if (sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int ipc_send(int socket, enum ipc_type type, uint32_t id, const void *payload, size_t size, int fd)
{
	struct iovec part = {.iov_base = (void *)payload, .iov_len = size};

	return send_parts(socket, type, id, &part, size ? 1 : 0, fd);
}

/* Keeps one descriptor; false when there were more, which are closed. */
static bool take_fds(struct msghdr *msg, int *ret)
{
	bool good = true;

	*ret = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*ret < 0) {
				*ret = fd;
			} else {
				ef_close(fd);
				good = false;
			}
		}
	}
	return good;
}

int ipc_receive(int socket, struct ipc_message *ret)
{
	struct iovec v[2] = {
		{.iov_base = &ret->head, .iov_len = sizeof(ret->head)},
		{.iov_base = ret->payload, .iov_len = sizeof(ret->payload)},
	};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = v,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n;

	ret->fd = -1;
	ret->size = 0;
	do
		n = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	bool good = take_fds(&msg, &ret->fd);
	if (n == 0 && ret->fd < 0)
		return 0;
	if (!good || (size_t)n < sizeof(ret->head) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		ret->fd = ef_close(ret->fd);
		return -EBADMSG;
	}
	ret->size = (size_t)n - sizeof(ret->head);
	return 1;
}

/* Segments of printable bytes, none empty, "." or "..": stays below where it is appended. */
static bool path_good(const char *path, size_t size)
{
	size_t start = 0;

	for (size_t i = 0; i <= size; i++) {
		unsigned char c = i < size ? (unsigned char)path[i] : '/';
		if (c < 0x20 || c == 0x7f || c == '\\')
			return false;
		if (c != '/')
			continue;
		size_t n = i - start;
		if (n == 0 || (n <= 2 && memcmp(path + start, "..", n) == 0))
			return false;
		start = i + 1;
	}
	return true;
}

bool ipc_is_url(const char *path)
{
	return strncmp(path, URL_START, strlen(URL_START)) == 0;
}

/* Host, perhaps a port, a path: nothing that a browser and libcurl could read differently. */
bool ipc_url_good(const char *url)
{
	static const char host[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
	size_t n;

	if (!ipc_is_url(url))
		return false;
	url += strlen(URL_START);
	n = strspn(url, host);
	if (n == 0 || url[0] == ':' || url[n] != '/' || url[n + 1] == '\0')
		return false;
	for (url += n; *url; url++)
		if (*url <= ' ' || *url > '~' || strchr("\\#\"<>^`{|}", *url))
			return false;
	return true;
}

/* Ranges are not empty and end below 2^63, their sum too (S-07). */
static bool ranges_good(const struct ipc_range *ranges, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t end;
		if (ranges[i].size == 0 ||
			__builtin_add_overflow(ranges[i].offset, ranges[i].size, &end) ||
			end > INT64_MAX || __builtin_add_overflow(sum, ranges[i].size, &sum) ||
			sum > INT64_MAX)
			return false;
	}
	return true;
}

int ipc_send_fetch(int socket, uint32_t id, const char *path, uint64_t max_size,
	const struct ipc_range *ranges, size_t n_ranges, int pipe_fd)
{
	size_t path_size = strlen(path);
	struct ipc_fetch f = {.max_size = max_size,
		.n_ranges = (uint32_t)n_ranges,
		.path_size = (uint32_t)path_size};
	struct iovec parts[] = {
		{.iov_base = &f, .iov_len = sizeof(f)},
		{.iov_base = (void *)ranges, .iov_len = n_ranges * sizeof(*ranges)},
		{.iov_base = (void *)path, .iov_len = path_size},
	};

	if (n_ranges > IPC_RANGES_MAX)
		return -EMSGSIZE;
	bool url = ipc_is_url(path);
	if (!(url ? ipc_url_good(path) : path_good(path, path_size)) ||
		!ranges_good(ranges, n_ranges))
		return -EINVAL;
	return send_parts(socket, url ? IPC_FETCH_URL : IPC_FETCH, id, parts, 3, pipe_fd);
}

bool ipc_parse_fetch(const struct ipc_message *m, struct ipc_fetch *ret,
	const struct ipc_range **ranges, char *path, size_t path_max)
{
	size_t rest = m->size;

	if (rest < sizeof(*ret))
		return false;
	memcpy(ret, m->payload, sizeof(*ret));
	rest -= sizeof(*ret);
	if (ret->n_ranges > IPC_RANGES_MAX || rest < ret->n_ranges * sizeof(**ranges))
		return false;
	rest -= ret->n_ranges * sizeof(**ranges);
	if (ret->path_size != rest || rest >= path_max)
		return false;
	*ranges = (const struct ipc_range *)(const void *)(m->payload + sizeof(*ret));
	memcpy(path, m->payload + m->size - rest, rest);
	path[rest] = '\0';
	bool good = m->head.type == IPC_FETCH_URL ? strlen(path) == rest && ipc_url_good(path)
						  : path_good(path, rest);
	return good && ranges_good(*ranges, ret->n_ranges);
}
