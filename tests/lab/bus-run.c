/* SPDX-License-Identifier: Apache-2.0 */
/* bus-run BUS.so FOLDER COMMAND…: runs it with the devices of bus.c. 77 where that is not allowed.
 */
#include "bus.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 4)
		return 64;
	if (!bus_enter())
		return 77;
	setenv("EDGEFERRY_BUS", argv[2], 1);
	setenv("LD_PRELOAD", argv[1], 1);
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 127;
}
