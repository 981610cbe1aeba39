/* SPDX-License-Identifier: Apache-2.0 */
/* A node behind a unix stream socket: QEMU's serial port, edgeferry-node, the line shim. */
#include "links/stream.h"
#include "util/cleanup.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static enum ef_reason sim_open(struct link **ret, sd_event *event, const struct link_spec *spec,
	const struct link_callbacks *cb, struct error *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(spec->device);
	_cleanup_close_ int fd = -1;

	if (length >= sizeof address.sun_path)
		return error_set(e, EF_REASON_CONFIG,
			"%s: longer than a socket's name may be: put it nearer to /run",
			spec->device);
	memcpy(address.sun_path, spec->device, length);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(e, -errno, "%s", spec->device);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		int error = errno;

		return error_set(e,
			error == EACCES || error == EPERM ? EF_REASON_DENIED
			: error == EAGAIN		  ? EF_REASON_BUSY
							  : EF_REASON_NODE_UNREACHABLE,
			"%s: %s: is the simulated node running, for this user?", spec->device,
			strerror(error));
	}
	return stream_new(ret, event, TAKE_FD(fd), spec->device, cb, NULL, e);
}

const struct link_ops link_sim = {
	.name = "sim",
	.open = sim_open,
	.send = stream_send,
	.queued = stream_queued,
	.set_framing = stream_set_framing,
	.set_calm = stream_set_calm,
	.close = stream_close,
};
