/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Kills a call at any of its system calls, in a child, as a power cut does to what reached the
 * disk. */
#include "../unit.h"
#include "slots/boot.h"
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum ef_reason (*cut_op)(struct boot *, struct error *);

/* Runs op in a child that is killed at its nth stop before or after a system call; true: it was. */
static inline bool run_cut(cut_op op, struct boot *b, int n)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct error e = {0};
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(op(b, &e) == EF_REASON_OK ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (int i = 0; WIFSTOPPED(status); i++) {
		if (i == n)
			kill(pid, SIGKILL);
		else
			ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	}
	if (WIFSIGNALED(status))
		return true;
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	return false;
}

static inline bool same_state(const struct boot_state *x, const struct boot_state *y)
{
	return x->running == y->running && x->primary == y->primary && x->trial == y->trial &&
	       x->on_trial == y->on_trial && x->mark[0] == y->mark[0] && x->mark[1] == y->mark[1];
}
