/* SPDX-License-Identifier: Apache-2.0 */
#include "net/peer.h"
#include "util/child.h"
#include "util/cleanup.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int net_peer_spawn(const char *user, pid_t *ret_pid)
{
	int pair[2];
	char path[4096];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	const char *const argv[] = {"edgeferry-net", "--user", user, NULL};
	const struct child_spec spec = {
		.path = child_program("edgeferry-net", path, sizeof path),
		.argv = argv,
		.fds = &pair[1],
		.n_fds = 1,
		.stdout_fd = -1,
	};
	pid_t pid = child_start(&spec);

	ef_close(pair[1]);
	if (pid < 0) {
		ef_close(pair[0]);
		return pid;
	}
	*ret_pid = pid;
	return pair[0];
}

int net_peer_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return TAKE_FD(fd);
}
