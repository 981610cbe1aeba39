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
static inline bool run_cut(cut_op op, struct boot *boot, int n)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct error e = {0};
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(op(boot, &e) == EF_REASON_OK ? 0 : 1);
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

static inline struct boot_state state_of(struct boot *boot)
{
	struct boot_state s;
	struct error e = {0};

	ck_assert_msg(boot_state(boot, &s, &e) == EF_REASON_OK, "%s", e.detail);
	return s;
}

/*
 * op, after prepare, killed at each of its system calls: the state is the old or the new one, both
 * are seen, and op once more, over whatever the cut left behind, ends in the new one.
 */
static inline void cut_everywhere(cut_op op, struct boot *boot, void (*prepare)(void))
{
	struct error e = {0};
	int n, olds = 0, news = 0;

	prepare();
	struct boot_state old = state_of(boot);
	ck_assert_int_eq(op(boot, &e), EF_REASON_OK);
	struct boot_state new = state_of(boot);
	for (n = 0;; n++) {
		prepare();
		bool killed = run_cut(op, boot, n);
		struct boot_state s = state_of(boot);
		ck_assert_msg(
			same_state(&s, &old) || same_state(&s, &new), "between at stop %d", n);
		olds += same_state(&s, &old);
		news += same_state(&s, &new);
		ck_assert_int_eq(op(boot, &e), EF_REASON_OK);
		s = state_of(boot);
		ck_assert(same_state(&s, &new));
		if (!killed)
			break;
	}
	ck_assert_int_gt(n, 8);
	ck_assert_int_gt(olds, 0);
	ck_assert_int_gt(news, 0);
}
