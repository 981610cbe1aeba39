/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter is a list of what may be done; the rest fails with EPERM, so that a C library that
 * tries something new falls back instead of dying. What only an intruder would try ends the
 * process.
 */
#include "net/confine-calls.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOT_READING (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))

/* Names, because not every architecture has all of them. */
static const char *const allowed[] = {
	/* loop */
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2",
	"timerfd_create", "timerfd_settime", "timerfd_settime64", "timerfd_gettime",
	"timerfd_gettime64", "signalfd4", "poll", "ppoll", "ppoll_time64", "select", "pselect6",
	"pselect6_time64", "_newselect", "pipe", "pipe2",
	/* bytes */
	"read", "readv", "pread64", "write", "writev", "close", "close_range", "dup", "lseek",
	"_llseek", "recv", "recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64", "send", "sendto",
	"sendmsg", "sendmmsg", "connect", "shutdown", "getsockname", "getpeername", "getsockopt",
	"setsockopt",
	/* looking at files */
	"stat", "fstat", "lstat", "stat64", "fstat64", "lstat64", "newfstatat", "fstatat64",
	"statx", "statfs", "fstatfs", "statfs64", "fstatfs64", "access", "faccessat", "faccessat2",
	"readlink", "readlinkat", "getdents64", "getcwd", "fadvise64", "fadvise64_64",
	"arm_fadvise64_64",
	/* memory and threads */
	"brk", "munmap", "mremap", "madvise", "futex", "futex_time64", "set_robust_list", "rseq",
	"set_tid_address", "sched_yield", "sched_getaffinity", "membarrier", "exit", "exit_group",
	"get_robust_list",
	/* who, when, chance */
	"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getuid32",
	"geteuid32", "getgid32", "getegid32", "uname", "sysinfo", "getrusage", "getrlimit",
	"ugetrlimit", "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64",
	"gettimeofday", "time", "times", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64",
	"getrandom",
	/* signals of its own */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack",
	"rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigpending", "restart_syscall", "alarm",
	"setitimer"};

static const char *const deadly[] = {"execve", "execveat", "ptrace", "process_vm_readv",
	"process_vm_writev", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
	"fsopen", "init_module", "finit_module", "delete_module", "kexec_load", "bpf",
	"perf_event_open", "userfaultfd", "open_by_handle_at", "keyctl", "add_key", "unshare",
	"setns", "reboot", "swapon", "mknod", "mknodat", "iopl", "ioperm"};

/* Allowed when one argument is right: masked, it equals value. */
static const struct {
	const char *name;
	unsigned arg;
	scmp_datum_t mask, value;
} conditional[] = {
	{"open", 1, NOT_READING, O_RDONLY},
	{"openat", 2, NOT_READING, O_RDONLY},
	/* no unix sockets: what a machine's services offer on theirs is none of our business */
	{"socket", 0, ~0ull, AF_INET},
	{"socket", 0, ~0ull, AF_INET6},
	{"socketpair", 0, ~0ull, AF_UNIX},
	/* threads, no processes */
	{"clone", 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM},
	/* nothing that was writable is ever executable */
	{"mmap", 2, PROT_EXEC, 0},
	{"mmap", 2, PROT_EXEC | PROT_WRITE, PROT_EXEC},
	{"mmap2", 2, PROT_EXEC, 0},
	{"mmap2", 2, PROT_EXEC | PROT_WRITE, PROT_EXEC},
	{"mprotect", 2, PROT_EXEC, 0},
	{"ioctl", 1, ~0u, FIONBIO},
	{"ioctl", 1, ~0u, FIONREAD},
	{"ioctl", 1, ~0u, TCGETS},
	{"prctl", 0, ~0u, PR_SET_NAME},
	{"prlimit64", 2, ~0ull, 0}, /* reading only */
	{"fcntl", 1, ~0u, F_GETFD},
	{"fcntl", 1, ~0u, F_SETFD},
	{"fcntl", 1, ~0u, F_GETFL},
	{"fcntl", 1, ~0u, F_SETFL},
	{"fcntl", 1, ~0u, F_DUPFD_CLOEXEC},
	{"fcntl", 1, ~0u, F_SETPIPE_SZ},
	{"fcntl64", 1, ~0u, F_GETFD},
	{"fcntl64", 1, ~0u, F_SETFD},
	{"fcntl64", 1, ~0u, F_GETFL},
	{"fcntl64", 1, ~0u, F_SETFL},
	{"fcntl64", 1, ~0u, F_DUPFD_CLOEXEC},
	{"fcntl64", 1, ~0u, F_SETPIPE_SZ},
};

/* Unknown to this libseccomp: then it cannot be called by mistake either. One that an architecture
 * does not have is left out for it by the library. */
static int add(
	scmp_filter_ctx ctx, uint32_t action, const char *name, unsigned n, struct scmp_arg_cmp arg)
{
	int call = seccomp_syscall_resolve_name(name);

	return call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(ctx, action, call, n, &arg);
}

int confine_calls_fill(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp none = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < COUNT(allowed); i++)
		r = add(ctx, SCMP_ACT_ALLOW, allowed[i], 0, none);
	for (size_t i = 0; r == 0 && i < COUNT(deadly); i++)
		r = add(ctx, SCMP_ACT_KILL_PROCESS, deadly[i], 0, none);
	for (size_t i = 0; r == 0 && i < COUNT(conditional); i++)
		r = add(ctx, SCMP_ACT_ALLOW, conditional[i].name, 1,
			SCMP_CMP(conditional[i].arg, SCMP_CMP_MASKED_EQ, conditional[i].mask,
				conditional[i].value));
	/* abort() */
	if (r == 0)
		r = add(ctx, SCMP_ACT_ALLOW, "tgkill", 1,
			SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* Its flags are out of a filter's sight; told so, the C library takes clone. */
	if (r == 0)
		r = add(ctx, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, none);
	return r;
}

int confine_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(CONFINE_CALLS_ELSE);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	if (r == 0)
		r = confine_calls_fill(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}
