/* SPDX-License-Identifier: Apache-2.0 */
/* log: what the service has said, by journalctl, which has the pager, the colours and the
 * permissions. */
#include "cli/client.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

int verb_log(struct cli *cli, char **args)
{
	char lines[32];
	const char *argv[8] = {
		"journalctl", "--unit=edgeferry.service", "--unit=edgeferry-net@*.service"};
	size_t n = 3;

	if (cli->max) {
		snprintf(lines, sizeof(lines), "--lines=%u", (unsigned)cli->max);
		argv[n++] = lines;
	}
	if (cli->follow)
		argv[n++] = "--follow";
	if (cli->json != JSON_OFF)
		argv[n++] = cli->json == JSON_SHORT ? "--output=json" : "--output=json-pretty";
	argv[n] = NULL;
	execvp(argv[0], (char *const *)argv);
	complain("look at the log of whatever starts edgeferryd", "journalctl cannot be run: %s",
		strerror(errno));
	return EXIT_FAILED;
}
