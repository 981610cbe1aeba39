/* SPDX-License-Identifier: Apache-2.0 */
#include "util/cleanup.h"
#include <errno.h>

int ef_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd); /* never again on EINTR: on Linux the descriptor is gone already */
	errno = saved;
	return -1;
}
