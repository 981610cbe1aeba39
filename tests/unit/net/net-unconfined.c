/* SPDX-License-Identifier: Apache-2.0 */
/* edgeferry-net without its confinement, in which the leak sanitizer cannot work. Tests only. */
#include "net/net.h"
#include "util/log.h"
#include <stddef.h>

int main(void)
{
	log_open("net-unconfined", LOG_INFO);
	return net_run(3, NULL) < 0 ? 1 : 0;
}
