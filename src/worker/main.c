/* SPDX-License-Identifier: Apache-2.0 */
/* edgeferry-worker: one child of edgeferryd for one heavy job. Started by it only. */
#include "util/cleanup.h"
#include "util/log.h"
#include "worker/patch-job.h"
#include "worker/stage.h"
#include <errno.h>
#include <linux/ioprio.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define CORE_SOCKET 3

/*
 * The gateway's own work comes first. Lowest of best effort rather than idle: an idle class that
 * never gets its turn on a busy device would be a deployment that never ends.
 */
static void be_humble(void)
{
	const struct rlimit no_core = {0, 0};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGXFSZ, SIG_IGN); /* a limit on files is an error of write like others */
	if (setpriority(PRIO_PROCESS, 0, 10) < 0)
		log_debug("nice: %m");
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7)) <
		0)
		log_debug("ioprio: %m");
}

/* Large blocks go back to the kernel as they are freed: each phase has its own. */
static void be_lean(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

static int serve(struct control *c)
{
	_cleanup_free_ struct job_message *m = malloc(sizeof(*m));
	struct error e = {0};

	if (!m)
		return -ENOMEM;
	int r = control_receive(c, m);
	if (r < 0)
		return r;
	if (m->type == JOB_PATCH)
		patch_run(m, &e);
	else
		stage_run(c, m, &e);
	ef_close(m->fd);
	r = control_done(c, &e);
	/* Nobody is there to hear that it was cancelled: that is no failure. */
	return r < 0 && e.reason != EF_REASON_CANCELLED ? r : 0;
}

int main(int argc, char *argv[])
{
	struct control c;
	int type;
	socklen_t size = sizeof(type);

	log_open("edgeferry-worker", LOG_INFO);
	if (argc > 1 || getsockopt(CORE_SOCKET, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
		type != SOCK_SEQPACKET) {
		log_error("started by edgeferryd only; see edgeferry-worker(8)");
		return 64;
	}
	be_humble();
	be_lean();
	int r = control_open(&c, CORE_SOCKET);
	if (r == 0)
		r = serve(&c);
	control_close(&c);
	if (r < 0 && r != -ECANCELED)
		log_error("%s", strerror(-r));
	return r < 0 && r != -ECANCELED ? EXIT_FAILURE : EXIT_SUCCESS;
}
