/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A command as a child whose system calls are looked at: those of all its threads, not of the
 * processes that it starts. Which end is told to whom waits for the child stays as it was:
 * trace_run() ends as the command did, by the same signal too, and passes SIGTERM on.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* A thread stands before (info->op PTRACE_SYSCALL_INFO_ENTRY) or after (…_EXIT) a call. */
typedef void (*trace_call)(pid_t thread, const struct __ptrace_syscall_info *info);

static pid_t trace_child;

static inline _Noreturn void trace_die(const char *what)
{
	perror(what);
	exit(99);
}

static inline void trace_pass_on(int sig)
{
	kill(trace_child, sig);
}

static inline void trace_start(char **command)
{
	pid_t parent = getpid();
	int status;

	trace_child = fork();
	if (trace_child < 0)
		trace_die("fork");
	if (trace_child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(99);
		raise(SIGSTOP);
		execv(command[0], command);
		trace_die(command[0]);
	}
	if (waitpid(trace_child, &status, WUNTRACED) < 0 || !WIFSTOPPED(status))
		trace_die("waitpid");
	if (ptrace(PTRACE_SEIZE, trace_child, 0,
		    PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
			    PTRACE_O_TRACEEXEC) < 0)
		trace_die("PTRACE_SEIZE");
	signal(SIGTERM, trace_pass_on);
	kill(trace_child, SIGCONT);
}

static inline void trace_go_on(pid_t thread, int status, trace_call call)
{
	struct __ptrace_syscall_info info;
	int sig = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		ptrace(PTRACE_LISTEN, thread, 0, 0); /* stopped by a signal */
		return;
	}
	if (sig == (SIGTRAP | 0x80)) {
		if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) > 0)
			call(thread, &info);
		sig = 0;
	}
	ptrace(PTRACE_SYSCALL, thread, 0, event ? 0 : sig); /* gone meanwhile is no error */
}

/* Until it has ended; its status. */
static inline int trace_wait(trace_call call)
{
	int status;

	for (;;) {
		pid_t thread = waitpid(-1, &status, __WALL);
		if (thread < 0 && errno != EINTR)
			trace_die("waitpid");
		if (thread > 0 && WIFSTOPPED(status))
			trace_go_on(thread, status, call);
		else if (thread == trace_child)
			return status;
	}
}

static inline int trace_end(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}
