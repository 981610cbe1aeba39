/* SPDX-License-Identifier: Apache-2.0 */
/* edgeferry-net(8): all network I/O of edgeferry, in a process that can do nothing else. */
#include "net/confine-calls.h"
#include "net/confine.h"
#include "net/net.h"
#include "util/log.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define CORE_FD 3

#ifdef __SANITIZE_ADDRESS__
/* It looks for leaks by tracing itself, which the filter rightly ends; tests/unit/net does it. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

static bool is_core(int fd)
{
	int type = 0, domain = 0;
	socklen_t size = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return false;
	size = sizeof(domain);
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
	       type == SOCK_SEQPACKET && domain == AF_UNIX;
}

int main(int argc, char *argv[])
{
	const char *user = NULL, *what;

	log_open("edgeferry-net", LOG_INFO);
	if (argc == 3 && strcmp(argv[1], "--user") == 0)
		user = argv[2];
	else if (argc != 1) {
		log_error("usage: edgeferry-net [--user NAME], with the core's socket as "
			  "descriptor %d",
			CORE_FD);
		return 64;
	}
	if (!is_core(CORE_FD)) {
		log_error("descriptor %d is not the core's socket; edgeferryd starts this program",
			CORE_FD);
		return 64;
	}
	int r = confine(user, CORE_FD, &what);
	if (r < 0) {
		log_error("refusing to run unconfined: %s%s%s: %s", what, user ? " " : "",
			user ? user : "", strerror(-r));
		return 1;
	}
	return net_run(CORE_FD, confine_calls) < 0 ? 1 : 0;
}
