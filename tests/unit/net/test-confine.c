/* SPDX-License-Identifier: Apache-2.0 */
/* S-29: what a process can still do after confine(), tried out for real in children. */
#include "../unit.h"
#include "net/confine-calls.h"
#include "net/confine.h"
#include "token/token.h"
#include "util/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP_FD 3

static char dir[64], secret[96], open_to_all[96];

static const char *user(void)
{
	return getuid() == 0 ? "nobody" : NULL;
}

/* ---- attempts: 0 when they succeed, else errno ---- */

static int attempt(long r)
{
	return r < 0 ? errno : 0;
}

static int read_secret(void)
{
	return attempt(open(secret, O_RDONLY));
}

static int write_file(void)
{
	return attempt(open(open_to_all, O_WRONLY));
}

static int write_both(void)
{
	return attempt(open(open_to_all, O_RDWR));
}

static int truncate_on_open(void)
{
	return attempt(open(open_to_all, O_RDONLY | O_TRUNC));
}

static int create(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/new", dir);
	return attempt(open(path, O_RDONLY | O_CREAT, 0600));
}

static int nameless(void)
{
	return attempt(open(dir, O_RDWR | O_TMPFILE, 0600));
}

static int old_create(void)
{
	return attempt(syscall(SYS_creat, open_to_all, 0600));
}

static int new_open(void)
{
	uint64_t how[3] = {O_WRONLY, 0, 0};

	return attempt(syscall(SYS_openat2, AT_FDCWD, open_to_all, how, sizeof(how)));
}

static int tty(void)
{
	return attempt(open("/dev/tty", O_RDWR));
}

static int memory_file(void)
{
	return attempt(open("/proc/self/mem", O_RDWR));
}

static int memfd(void)
{
	return attempt(memfd_create("x", 0));
}

static int unlink_it(void)
{
	return attempt(unlink(open_to_all));
}

static int rename_it(void)
{
	return attempt(rename(open_to_all, secret));
}

static int make_dir(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/sub", dir);
	return attempt(mkdir(path, 0700));
}

static int change_mode(void)
{
	return attempt(chmod(open_to_all, 0600));
}

static int cut_short(void)
{
	return attempt(truncate(open_to_all, 0));
}

static int run_program(void)
{
	char *argv[] = {"true", NULL};

	return attempt(execv("/bin/true", argv));
}

static int run_descriptor(void)
{
	char *argv[] = {"true", NULL}, *env[] = {NULL};

	return attempt(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, env, 0));
}

static int fork_it(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return attempt(pid);
}

static int trace_parent(void)
{
	return attempt(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int mount_it(void)
{
	return attempt(mount("none", dir, "tmpfs", 0, NULL));
}

static int signal_parent(void)
{
	return attempt(kill(getppid(), 0));
}

static int become_root(void)
{
	return attempt(setuid(0));
}

static int unix_socket(void)
{
	return attempt(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int netlink(void)
{
	return attempt(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int packet(void)
{
	return attempt(socket(AF_PACKET, SOCK_RAW, 0));
}

static int be_server(void)
{
	struct sockaddr sa = {.sa_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return 0; /* must work */
	int r = attempt(bind(fd, &sa, sizeof(sa)));
	return r ? attempt(listen(fd, 1)) : 0;
}

static int accept_it(void)
{
	return attempt(accept(KEEP_FD, NULL, NULL));
}

static int writable_code(void)
{
	void *p = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int data_to_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? 0 : attempt(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int raise_limit(void)
{
	struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};

	return attempt(setrlimit(RLIMIT_CORE, &l));
}

static int be_dumpable(void)
{
	return attempt(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

/* ---- what must go on working: 0 ---- */

static int read_public(void)
{
	char c;
	int fd = open(open_to_all, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : read(fd, &c, 1) == 1 ? 0 : EIO;
}

static void *in_thread(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

static int thread(void)
{
	pthread_t t;
	int ran = 0, r = pthread_create(&t, NULL, in_thread, &ran);

	if (r)
		return r;
	pthread_join(t, NULL);
	return ran ? 0 : EIO;
}

static int look_up(void)
{
	struct addrinfo *list = NULL;
	int r = getaddrinfo("localhost", NULL, NULL, &list);

	if (list)
		freeaddrinfo(list);
	return r ? EIO : 0;
}

/* With a token (test-token.py): its key signs, by the connection that there was. */
static EVP_PKEY *key_in_token;

static int sign_by_token(void)
{
	return !key_in_token || token_signs(key_in_token) ? 0 : EIO;
}

static int read_token(void)
{
	const char *file = getenv("EF_TOKEN_FILE");

	return attempt(open(file ? file : secret, O_RDONLY));
}

static int reach_token_again(void)
{
	struct error e = {0};

	return token_use_socket(getenv("EF_TOKEN_SOCKET") ? getenv("EF_TOKEN_SOCKET") : dir, &e)
		       ? EPERM
		       : 0;
}

static int udp(void)
{
	return attempt(socket(AF_INET, SOCK_DGRAM, 0));
}

static int others_closed(void)
{
	int open = 0;

	for (int fd = KEEP_FD + 1; fd < 64; fd++)
		open += fcntl(fd, F_GETFD) >= 0;
	return open > (key_in_token ? 1 : 0) ? EEXIST : 0; /* the connection to it */
}

enum verdict { WORKS, REFUSED, DEADLY };

static const struct {
	const char *name;
	int (*f)(void);
	enum verdict verdict;
	bool as_root_only;
} attempts[] = {
	{"read a file of root's", read_secret, REFUSED, true},
	{"write a file open to all", write_file, REFUSED, false},
	{"open it for both", write_both, REFUSED, false},
	{"truncate it by opening", truncate_on_open, REFUSED, false},
	{"create a file", create, REFUSED, false},
	{"create one without a name", nameless, REFUSED, false},
	{"creat()", old_create, REFUSED, false},
	{"openat2()", new_open, REFUSED, false},
	{"open a terminal", tty, REFUSED, false},
	{"open its memory", memory_file, REFUSED, false},
	{"memfd", memfd, REFUSED, false},
	{"unlink", unlink_it, REFUSED, false},
	{"rename", rename_it, REFUSED, false},
	{"mkdir", make_dir, REFUSED, false},
	{"chmod", change_mode, REFUSED, false},
	{"truncate", cut_short, REFUSED, false},
	{"execve", run_program, DEADLY, false},
	{"execveat", run_descriptor, DEADLY, false},
	{"fork", fork_it, REFUSED, false},
	{"ptrace", trace_parent, DEADLY, false},
	{"mount", mount_it, DEADLY, false},
	{"kill", signal_parent, REFUSED, false},
	{"setuid(0)", become_root, REFUSED, true},
	{"unix socket", unix_socket, REFUSED, false},
	{"read what is in a token", read_token, REFUSED, true},
	{"connect to a token again", reach_token_again, REFUSED, false},
	{"netlink", netlink, REFUSED, false},
	{"packet socket", packet, REFUSED, false},
	{"bind and listen", be_server, REFUSED, false},
	{"accept", accept_it, REFUSED, false},
	{"writable code", writable_code, REFUSED, false},
	{"data made code", data_to_code, REFUSED, false},
	{"raise a limit", raise_limit, REFUSED, false},
	{"be dumpable", be_dumpable, REFUSED, false},
	{"read a public file", read_public, WORKS, false},
	{"a thread", thread, WORKS, false},
	{"sign by a token", sign_by_token, WORKS, false},
	{"look up a name", look_up, WORKS, false},
	{"a socket", udp, WORKS, false},
	{"nothing else was inherited", others_closed, WORKS, false},
};

static void setup(void)
{
	strcpy(dir, "/tmp/ef-confine-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	chmod(dir, 0777);
	snprintf(secret, sizeof(secret), "%s/secret", dir);
	snprintf(open_to_all, sizeof(open_to_all), "%s/all", dir);
	ef_close(open(secret, O_WRONLY | O_CREAT, 0600));
	int fd = open(open_to_all, O_WRONLY | O_CREAT, 0666);
	fchmod(fd, 0666);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	ef_close(fd);
}

static void teardown(void)
{
	unlink(secret);
	unlink(open_to_all);
	rmdir(dir);
}

static void open_token(void)
{
	const char *path = getenv("EF_TOKEN_SOCKET");
	struct error e = {0};

	if (path && (token_use_socket(path, &e) ||
			    token_open(getenv("EF_TOKEN_KEY"), &key_in_token, &e))) {
		fprintf(stderr, "%s\n", e.detail);
		_exit(202);
	}
}

/* In a child: confined, then f; exit status 200 when confining failed. */
static int confined(int (*f)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		const char *what;
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 ||
			dup2(pair[0], KEEP_FD) < 0 || dup2(pair[1], 40) < 0)
			_exit(201);
		if (confine(user(), KEEP_FD, &what) < 0)
			_exit(200);
		open_token();
		if (confine_calls() < 0)
			_exit(200);
		_exit(f());
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

START_TEST(test_attempt)
{
	int status;

	if (attempts[_i].as_root_only && getuid() != 0)
		return;
	status = confined(attempts[_i].f);
	switch (attempts[_i].verdict) {
	case WORKS:
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x",
			attempts[_i].name, status);
		break;
	case REFUSED:
		ck_assert_msg(WIFEXITED(status) && (WEXITSTATUS(status) == EPERM ||
							   WEXITSTATUS(status) == EACCES),
			"%s: status %x", attempts[_i].name, status);
		break;
	case DEADLY:
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: status %x",
			attempts[_i].name, status);
		break;
	}
}
END_TEST

/* Confining as root without somebody to become, or with root to become, fails. */
START_TEST(test_refuses)
{
	static const struct {
		const char *user;
		int error;
	} cases[] = {{NULL, EINVAL}, {"no-such-user-here", ENOENT}, {"root", EPERM}};

	for (size_t i = 0; getuid() == 0 && i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			const char *what;
			_exit(-confine(cases[i].user, 2, &what));
		}
		waitpid(pid, &status, 0);
		ck_assert(WIFEXITED(status));
		ck_assert_int_eq(WEXITSTATUS(status), cases[i].error);
	}
}
END_TEST

/* Its parent's death is its own, even when it does not look. */
START_TEST(test_parent_dies)
{
	int p[2];
	char c;

	ck_assert_int_eq(pipe(p), 0);
	pid_t parent = fork();
	if (parent == 0) {
		pid_t child = fork();
		if (child == 0) {
			const char *what;
			dup2(p[1], KEEP_FD);
			if (confine(user(), KEEP_FD, &what) < 0 || confine_calls() < 0)
				_exit(1);
			if (write(KEEP_FD, "r", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	close(p[1]);
	ck_assert_int_eq(read(p[0], &c, 1), 1); /* it is confined now */
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	ck_assert_int_eq(read(p[0], &c, 1), 0); /* and its end of the pipe is gone now */
	close(p[0]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("confine");
	TCase *t = tcase_create("confine");

	tcase_add_unchecked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_attempt, 0, (int)(sizeof(attempts) / sizeof(attempts[0])));
	tcase_add_test(t, test_refuses);
	tcase_add_test(t, test_parent_dies);
	tcase_set_timeout(t, 20);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
