/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S-29: the filter of system calls as each architecture of a gateway gets it. What the kernel would
 * run is made for all of them and interpreted here, so that a call that only armhf has is judged on
 * any machine; that the kernel does as it says is tried in test-confine.c.
 */
#include "../unit.h"
#include "net/confine-calls.h"
#include "util/cleanup.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PROGRAM_MAX 4096

enum verdict { OTHER, ALLOWED, EPERM_, ENOSYS_, KILLED };

static const struct {
	const char *name;
	uint32_t token;
} architectures[] = {
	{"amd64", SCMP_ARCH_X86_64}, {"arm64", SCMP_ARCH_AARCH64}, {"armhf", SCMP_ARCH_ARM}};

static struct sock_filter program[PROGRAM_MAX];
static size_t length;

static void compile(uint32_t architecture)
{
	scmp_filter_ctx ctx = seccomp_init(CONFINE_CALLS_ELSE);
	FILE *f = tmpfile();

	ck_assert_ptr_nonnull(ctx);
	ck_assert_ptr_nonnull(f);
	if (architecture != seccomp_arch_native()) {
		ck_assert_int_eq(seccomp_arch_add(ctx, architecture), 0);
		ck_assert_int_eq(seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE), 0);
	}
	ck_assert_int_eq(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), 0);
	ck_assert_int_eq(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), 0);
	ck_assert_int_eq(confine_calls_fill(ctx), 0);
	ck_assert_int_eq(seccomp_export_bpf(ctx, fileno(f)), 0);
	seccomp_release(ctx);
	rewind(f);
	length = fread(program, sizeof(program[0]), PROGRAM_MAX, f);
	ck_assert(length > 0 && length < PROGRAM_MAX);
	fclose(f);
}

static bool jumps(uint16_t code, uint32_t a, uint32_t k)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == k;
	case BPF_JGT:
		return a > k;
	case BPF_JGE:
		return a >= k;
	case BPF_JSET:
		return a & k;
	default:
		ck_abort_msg("jump %x", code);
	}
}

/* What the program returns for this call; of classic BPF, what libseccomp uses. */
static uint32_t run(const struct seccomp_data *call)
{
	uint32_t a = 0, memory[BPF_MEMWORDS] = {0};

	for (size_t pc = 0; pc < length; pc++) {
		const struct sock_filter *i = &program[pc];
		if (i->code == (BPF_LD | BPF_W | BPF_ABS))
			memcpy(&a, (const char *)call + i->k, sizeof(a));
		else if (i->code == (BPF_LD | BPF_MEM))
			a = memory[i->k];
		else if (i->code == BPF_ST)
			memory[i->k] = a;
		else if (i->code == (BPF_ALU | BPF_AND | BPF_K))
			a &= i->k;
		else if (i->code == (BPF_RET | BPF_K))
			return i->k;
		else if (i->code == (BPF_JMP | BPF_JA))
			pc += i->k;
		else if (BPF_CLASS(i->code) == BPF_JMP && BPF_SRC(i->code) == BPF_K)
			pc += jumps(i->code, a, i->k) ? i->jt : i->jf;
		else
			ck_abort_msg("instruction %x", i->code);
	}
	ck_abort_msg("the program has no end");
}

static enum verdict judge(uint32_t architecture, int number, unsigned arg, uint64_t value)
{
	struct seccomp_data call = {.nr = number, .arch = architecture};

	call.args[arg] = value;
	switch (run(&call)) {
	case SECCOMP_RET_ALLOW:
		return ALLOWED;
	case SECCOMP_RET_ERRNO | EPERM:
		return EPERM_;
	case SECCOMP_RET_ERRNO | ENOSYS:
		return ENOSYS_;
	case SECCOMP_RET_KILL_PROCESS:
		return KILLED;
	default:
		return OTHER;
	}
}

/* Of a call that an architecture does not have, nothing is said. */
static const struct {
	const char *name;
	unsigned arg;
	uint64_t value;
	enum verdict verdict;
} calls[] = {
	{"read", 0, 0, ALLOWED},
	{"connect", 0, 0, ALLOWED},
	{"recv", 0, 0, ALLOWED},
	{"openat", 2, O_RDONLY | O_CLOEXEC, ALLOWED},
	{"openat", 2, O_WRONLY, EPERM_},
	{"openat", 2, O_RDONLY | O_CREAT, EPERM_},
	{"open", 1, O_RDONLY, ALLOWED},
	{"open", 1, O_RDWR, EPERM_},
	{"socket", 0, AF_INET6, ALLOWED},
	{"socket", 0, AF_UNIX, EPERM_},
	{"socket", 0, AF_NETLINK, EPERM_},
	{"socketcall", 0, 1, EPERM_},
	{"mmap", 2, PROT_READ | PROT_WRITE, ALLOWED},
	{"mmap", 2, PROT_READ | PROT_EXEC, ALLOWED},
	{"mmap", 2, PROT_WRITE | PROT_EXEC, EPERM_},
	{"mmap2", 2, PROT_READ | PROT_WRITE, ALLOWED},
	{"mmap2", 2, PROT_READ | PROT_EXEC, ALLOWED},
	{"mmap2", 2, PROT_WRITE | PROT_EXEC, EPERM_},
	{"mprotect", 2, PROT_READ, ALLOWED},
	{"mprotect", 2, PROT_EXEC, EPERM_},
	{"clone", 0, CLONE_THREAD | CLONE_VM | CLONE_FS, ALLOWED},
	{"clone", 0, SIGCHLD, EPERM_},
	{"clone3", 0, 0, ENOSYS_},
	{"fcntl64", 1, F_SETFL, ALLOWED},
	{"fcntl64", 1, F_SETOWN, EPERM_},
	{"tgkill", 0, 1, EPERM_},
	{"bind", 0, 0, EPERM_},
	{"listen", 0, 0, EPERM_},
	{"accept4", 0, 0, EPERM_},
	{"openat2", 0, 0, EPERM_},
	{"unlinkat", 0, 0, EPERM_},
	{"setuid32", 0, 0, EPERM_},
	{"clock_settime64", 0, 0, EPERM_},
	{"io_uring_setup", 0, 0, EPERM_},
	{"execve", 0, 0, KILLED},
	{"ptrace", 0, 0, KILLED},
	{"mount", 0, 0, KILLED},
	{"bpf", 0, 0, KILLED},
};

/* A C library with 64-bit time asks for the right one first, and does not take EPERM for "not
 * there". */
static const struct {
	const char *old, *time64;
} times[] = {
	{"clock_getres", "clock_getres_time64"},
	{"clock_gettime", "clock_gettime64"},
	{"clock_nanosleep", "clock_nanosleep_time64"},
	{"futex", "futex_time64"},
	{"ppoll", "ppoll_time64"},
	{"pselect6", "pselect6_time64"},
	{"recvmmsg", "recvmmsg_time64"},
	{"rt_sigtimedwait", "rt_sigtimedwait_time64"},
	{"timerfd_gettime", "timerfd_gettime64"},
	{"timerfd_settime", "timerfd_settime64"},
};

START_TEST(each_architecture)
{
	uint32_t token = architectures[_i].token;
	int judged = 0;

	compile(token);
	for (size_t i = 0; i < COUNT(calls); i++) {
		int number = seccomp_syscall_resolve_name_arch(token, calls[i].name);
		if (number < 0)
			continue;
		enum verdict v = judge(token, number, calls[i].arg, calls[i].value);
		ck_assert_msg(v == calls[i].verdict, "%s: %s(%#llx): %d", architectures[_i].name,
			calls[i].name, (unsigned long long)calls[i].value, v);
		judged++;
	}
	ck_assert_int_ge(judged, 25);
	ck_assert_int_eq(judge(SCMP_ARCH_X86, 3, 0, 0), KILLED); /* another one's calls */
}
END_TEST

START_TEST(time_of_64_bits)
{
	uint32_t token = SCMP_ARCH_ARM;

	compile(token);
	for (size_t i = 0; i < COUNT(times); i++) {
		int old = seccomp_syscall_resolve_name_arch(token, times[i].old);
		int new = seccomp_syscall_resolve_name_arch(token, times[i].time64);
		ck_assert_msg(old >= 0 && new >= 0, "armhf has no %s", times[i].time64);
		ck_assert_msg(judge(token, old, 0, 0) == ALLOWED, "%s", times[i].old);
		ck_assert_msg(judge(token, new, 0, 0) == ALLOWED, "%s", times[i].time64);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("confine-calls");
	TCase *t = tcase_create("confine-calls");

	tcase_add_loop_test(t, each_architecture, 0, (int)COUNT(architectures));
	tcase_add_test(t, time_of_64_bits);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
