/* SPDX-License-Identifier: Apache-2.0 */
/* The core's end with the real edgeferry-net as its child; nobody is on the network. */
#include "../unit.h"
#include "net/client.h"
#include "util/child.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEARTBEAT_US 200000u

static sd_event *event;
static struct net_client *client;
static unsigned readies;
static struct error answer;
static bool answered;

static void on_ready(void *ctx)
{
	readies++;
}

static void on_broker(void *ctx, bool connected)
{
}

static void on_key(void *ctx, const struct error *fault)
{
}

static void on_offer(void *ctx)
{
}

static void on_fetched(void *ctx, const uint8_t *data, size_t size, const struct error *e)
{
	answered = true;
	answer = *e;
}

static void on_reported(void *ctx, const struct error *e)
{
	answered = true;
	answer = *e;
}

static void setup(void)
{
	static struct config config = {.id = "gw",
		.product = "demo",
		.url = "https://127.0.0.1:9",
		.mqtt_prefix = "edgeferry",
		.network_user = "nobody"};
	const struct net_client_callbacks cb = {NULL, on_offer, on_broker, on_key, on_ready};
	struct error e = {0};
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_msg(
		net_client_new(&client, event, &config, &cb, &e) == EF_REASON_OK, "%s", e.detail);
	readies = 0;
	answered = false;
}

static void teardown(void)
{
	net_client_free(client);
	sd_event_unref(event);
}

static void run_until(bool (*condition)(void))
{
	uint64_t end = now_monotonic_us() + 20 * USEC_PER_SEC;

	while (!condition()) {
		ck_assert(now_monotonic_us() < end);
		ck_assert_int_ge(sd_event_run(event, 100000), 0);
	}
}

static bool ready_once(void)
{
	return readies == 1;
}

static bool ready_twice(void)
{
	return readies == 2;
}

static bool ready_thrice(void)
{
	return readies == 3;
}

static bool is_answered(void)
{
	return answered;
}

START_TEST(a_child_that_hangs) /* F-25 */
{
	run_until(ready_once);
	pid_t first = net_client_pid(client);
	ck_assert_int_eq(kill(first, SIGSTOP), 0);
	ck_assert_uint_ne(net_fetch_memory(client, "timestamp.json", 1000, on_fetched, NULL), 0);
	net_client_heartbeat(client, HEARTBEAT_US);
	run_until(is_answered);
	ck_assert_int_eq(answer.reason, EF_REASON_NET_UNREACHABLE);
	run_until(ready_twice);
	ck_assert_int_ne(net_client_pid(client), first);
}
END_TEST

/* F-26: the line is gone, and the child does not know. */
START_TEST(a_child_that_cannot_be_heard)
{
	struct sockaddr_storage to;
	bool cut = false;

	run_until(ready_once);
	pid_t first = net_client_pid(client);
	ck_assert_int_eq(kill(first, SIGSTOP), 0);
	ck_assert_uint_ne(net_fetch_memory(client, "timestamp.json", 1000, on_fetched, NULL), 0);
	for (int fd = 3; fd < 64; fd++) {
		int type = 0;
		socklen_t size = sizeof type, room = sizeof to;
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
			type == SOCK_SEQPACKET && getpeername(fd, (void *)&to, &room) == 0)
			cut = shutdown(fd, SHUT_RDWR) == 0;
	}
	ck_assert(cut);
	run_until(is_answered);
	ck_assert_int_eq(answer.reason, EF_REASON_NET_UNREACHABLE);
	run_until(ready_twice);
	ck_assert_int_ne(net_client_pid(client), first);
}
END_TEST

START_TEST(a_child_that_is_idle_stays)
{
	uint64_t end;

	run_until(ready_once);
	pid_t first = net_client_pid(client);
	net_client_heartbeat(client, HEARTBEAT_US);
	end = now_monotonic_us() + 10 * HEARTBEAT_US;
	while (now_monotonic_us() < end)
		ck_assert_int_ge(sd_event_run(event, 100000), 0);
	ck_assert_int_eq(net_client_pid(client), first);
	ck_assert_uint_eq(readies, 1);
}
END_TEST

/* As systemd does for edgeferry-net.socket: a process for each connection, as a user of its own. */
static pid_t socket_unit(const char *path)
{
	char program[4096];
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		setpgid(0, 0);
		child_program("edgeferry-net", program, sizeof program);
		const char *argv[] = {"systemd-socket-activate", "--accept", "--seqpacket",
			"--listen", path, "setpriv", "--reuid=nobody", "--regid=nogroup",
			"--clear-groups", program, NULL};
		if (getuid() != 0) {
			argv[5] = program;
			argv[6] = NULL;
		}
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	setpgid(pid, pid);
	return pid;
}

/* The socket is there late; then what is behind it hangs, and no signal of ours may end it. F-25 */
START_TEST(behind_a_socket_unit)
{
	char path[64];

	snprintf(path, sizeof path, "/tmp/ef-net-%d", (int)getpid());
	setenv("EDGEFERRY_NET", path, 1);
	setup();
	ck_assert_uint_ne(net_fetch_memory(client, "timestamp.json", 1000, on_fetched, NULL), 0);
	run_until(is_answered);
	ck_assert_int_eq(answer.reason, EF_REASON_NET_UNREACHABLE);

	pid_t unit = socket_unit(path);
	run_until(ready_once);
	ck_assert_int_eq(net_client_pid(client), 0);

	ck_assert_int_eq(kill(-unit, SIGSTOP), 0);
	answered = false;
	ck_assert_uint_ne(net_fetch_memory(client, "timestamp.json", 1000, on_fetched, NULL), 0);
	net_client_heartbeat(client, HEARTBEAT_US);
	run_until(is_answered);
	ck_assert_int_eq(answer.reason, EF_REASON_NET_UNREACHABLE);
	net_client_heartbeat(client, 60 * USEC_PER_SEC);
	ck_assert_int_eq(kill(-unit, SIGCONT), 0);
	run_until(ready_twice);
	net_client_renew(client);
	run_until(ready_thrice);
	teardown();
	kill(-unit, SIGKILL);
	waitpid(unit, NULL, 0);
	unlink(path);
	unsetenv("EDGEFERRY_NET");
}
END_TEST

static int other(sd_event_source *source, void *userdata)
{
	return 0;
}

/* The unit's process is asked for when the loop runs, not while others are started, and before
 * anything else. */
START_TEST(a_socket_unit_is_not_hurried)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), peer;

	snprintf(address.sun_path, sizeof address.sun_path, "/tmp/ef-net-%d", (int)getpid());
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	setenv("EDGEFERRY_NET", address.sun_path, 1);
	setup();
	ck_assert_int_ge(sd_event_add_defer(event, NULL, other, NULL), 0);
	ck_assert_int_lt(accept(fd, NULL, NULL), 0);
	ck_assert_int_ge(sd_event_run(event, 0), 0);
	peer = accept(fd, NULL, NULL);
	ck_assert_int_ge(peer, 0);
	teardown();
	ef_close(peer);
	ef_close(fd);
	unlink(address.sun_path);
	unsetenv("EDGEFERRY_NET");
}
END_TEST

/* Stopped, so that nothing of it is over by itself. */
static pid_t stopped_child(void)
{
	run_until(ready_once);
	pid_t pid = net_client_pid(client);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	return pid;
}

/* F-27: another configuration is another child. */
START_TEST(renewed_although_a_report_waits_F27)
{
	pid_t first = stopped_child();

	ck_assert_uint_ne(net_report(client, "{}", on_reported, NULL), 0);
	net_client_renew(client);
	ck_assert_int_ne(net_client_pid(client), first);
	run_until(is_answered);
	ck_assert_int_eq(answer.reason, EF_REASON_NET_UNREACHABLE);
	run_until(ready_twice);
	kill(first, SIGCONT);
}
END_TEST

START_TEST(renewed_when_what_is_fetched_is_there_F27)
{
	pid_t first = stopped_child();
	uint32_t id = net_fetch_memory(client, "timestamp.json", 1000, on_fetched, NULL);

	net_client_renew(client);
	ck_assert_int_ge(sd_event_run(event, 0), 0);
	ck_assert_int_eq(net_client_pid(client), first);
	net_fetch_cancel(client, id);
	run_until(ready_twice);
	ck_assert(answered);
	ck_assert_int_ne(net_client_pid(client), first);
	kill(first, SIGCONT);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net/client");
	TCase *t = tcase_create("client");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_child_that_hangs);
	tcase_add_test(t, a_child_that_cannot_be_heard);
	tcase_add_test(t, a_child_that_is_idle_stays);
	tcase_add_test(t, renewed_although_a_report_waits_F27);
	tcase_add_test(t, renewed_when_what_is_fetched_is_there_F27);
	suite_add_tcase(s, t);
	t = tcase_create("unit");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, behind_a_socket_unit);
	tcase_add_test(t, a_socket_unit_is_not_hurried);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
