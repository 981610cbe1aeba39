/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill-at [--all | --error ERRNO] N FILE COMMAND…
 *
 * Counts the system calls of COMMAND. Before the Nth it is killed (K-01), with --all together with
 * its whole process group. What is killed before a call has done all that it would have done when
 * killed after the call before, so each place between two calls is met once. With --error the Nth
 * call is not made and fails with that number instead (F-26); what returns memory or cannot fail is
 * made all the same.
 *
 * FILE goes from one COMMAND to the next, as programs and machine are started again: "COUNT" so
 * far, then " hit CALL"; from then on nothing is counted.
 */
#include "trace.h"
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/user.h>

static struct {
	const char *file;
	unsigned long at, count;
	bool hit, all;
	int error;
	pid_t failing; /* thread whose call is under way, and will have failed */
	char call[64];
} cut;

static void load(void)
{
	FILE *f = fopen(cut.file, "r");
	char word[16] = "";

	if (!f)
		return;
	cut.hit = fscanf(f, "%lu %15s", &cut.count, word) == 2;
	fclose(f);
}

static void save(void)
{
	FILE *f = fopen(cut.file, "w");

	if (!f)
		trace_die(cut.file);
	fprintf(f, "%lu%s%s\n", cut.count, cut.hit ? " hit " : "", cut.call);
	if (fclose(f) != 0)
		trace_die(cut.file);
}

#ifdef __x86_64__
static void set(pid_t thread, size_t reg, long value)
{
	ptrace(PTRACE_POKEUSER, thread, reg, value);
}

static void skip_call(pid_t thread)
{
	set(thread, offsetof(struct user_regs_struct, orig_rax), -1);
}

static void set_result(pid_t thread, long value)
{
	set(thread, offsetof(struct user_regs_struct, rax), value);
}
#else
#define skip_call(thread) trace_die("--error on this processor")
#define set_result(thread, value) (void)(value)
#endif

/* Their failure says nothing of the program: it cannot be told, or ends it. */
static bool never_fails(unsigned long long nr)
{
	static const long calls[] = {
		SYS_exit,
		SYS_exit_group,
		SYS_rt_sigreturn,
		SYS_munmap,
		SYS_execve,
		SYS_rt_sigprocmask,
		SYS_rt_sigaction,
		SYS_set_robust_list,
		SYS_rseq,
		SYS_set_tid_address,
		SYS_futex,
		SYS_close,
		SYS_getpid,
		SYS_gettid,
		SYS_getuid,
		SYS_geteuid,
		SYS_restart_syscall,
		SYS_clock_gettime,
#ifdef SYS_arch_prctl
		SYS_arch_prctl,
#endif
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if ((unsigned long long)calls[i] == nr)
			return true;
	return false;
}

static void at_call(pid_t thread, const struct __ptrace_syscall_info *info)
{
	if (cut.failing == thread) {
		cut.failing = 0;
		set_result(thread, -cut.error);
		return;
	}
	if (cut.hit || info->op != PTRACE_SYSCALL_INFO_ENTRY ||
		(cut.error && never_fails(info->entry.nr)) || ++cut.count != cut.at)
		return;
	char *name = seccomp_syscall_resolve_num_arch(info->arch, (int)info->entry.nr);
	snprintf(cut.call, sizeof(cut.call), "%s", name ? name : "?");
	free(name);
	cut.hit = true;
	save(); /* before whoever waits for its end can look */
	if (!cut.error) {
		kill(cut.all ? 0 : trace_child, SIGKILL);
		return;
	}
	cut.failing = thread;
	skip_call(thread);
}

int main(int argc, char **argv)
{
	int o = 1;

	if (o < argc && strcmp(argv[o], "--all") == 0)
		cut.all = true, o++;
	if (o + 1 < argc && strcmp(argv[o], "--error") == 0) {
		cut.error = atoi(argv[o + 1]);
		o += 2;
	}
	if (argc - o < 3) {
		fprintf(stderr, "kill-at [--all | --error ERRNO] N FILE COMMAND…\n");
		return 64;
	}
	cut.at = strtoul(argv[o], NULL, 10);
	cut.file = argv[o + 1];
	load();
	if (cut.hit) {
		execv(argv[o + 2], argv + o + 2);
		trace_die(argv[o + 2]);
	}
	trace_start(argv + o + 2);
	int status = trace_wait(at_call);
	if (!cut.hit)
		save();
	return trace_end(status);
}
