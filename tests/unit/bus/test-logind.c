/* SPDX-License-Identifier: Apache-2.0 */
/* Our logind client against a logind of our own on a private connection: what it is told, in which
 * order. */
#include "../unit.h"
#include "bus/logind.h"
#include "util/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

struct machine {
	char log[512];		  /* what was asked, in order */
	const char *fail, *error; /* method and the D-Bus error it answers */
	bool mute;
};

static sd_event *event;
static sd_bus *client, *server;
static struct machine machine;
static struct error outcome;
static int outcomes;

static int answer(sd_bus_message *m, const char *method, const char *detail, sd_bus_error *error)
{
	size_t n = strlen(machine.log);

	snprintf(machine.log + n, sizeof(machine.log) - n, "%s(%s) ", method, detail);
	if (machine.mute)
		return 1;
	if (machine.fail && strcmp(machine.fail, method) == 0)
		return sd_bus_error_set(error, machine.error, "no");
	return sd_bus_reply_method_return(m, NULL);
}

static int set_parameter(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	const char *text;

	ck_assert_int_ge(sd_bus_message_read(m, "s", &text), 0);
	return answer(m, "SetRebootParameter", text, error);
}

static int do_reboot(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	int interactive;

	ck_assert_int_ge(sd_bus_message_read(m, "b", &interactive), 0);
	return answer(m, "Reboot", interactive ? "true" : "false", error);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("SetRebootParameter", "s", "", set_parameter, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Reboot", "b", "", do_reboot, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static void on_done(void *ctx, const struct error *e)
{
	outcome = *e;
	outcomes++;
}

static void setup(void)
{
	int pair[2];
	sd_id128_t id;

	machine = (struct machine){0};
	outcomes = 0;
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_ge(sd_id128_randomize(&id), 0);
	ck_assert_int_ge(sd_bus_new(&server), 0);
	ck_assert_int_ge(sd_bus_set_fd(server, pair[0], pair[0]), 0);
	ck_assert_int_ge(sd_bus_set_server(server, 1, id), 0);
	ck_assert_int_ge(sd_bus_start(server), 0);
	ck_assert_int_ge(sd_bus_attach_event(server, event, 0), 0);
	ck_assert_int_ge(sd_bus_add_object_vtable(server, NULL, "/org/freedesktop/login1",
				 "org.freedesktop.login1.Manager", vtable, NULL),
		0);
	ck_assert_int_ge(sd_bus_new(&client), 0);
	ck_assert_int_ge(sd_bus_set_fd(client, pair[1], pair[1]), 0);
	ck_assert_int_ge(sd_bus_start(client), 0);
	ck_assert_int_ge(sd_bus_attach_event(client, event, 0), 0);
}

static void teardown(void)
{
	sd_bus_close_unref(client);
	sd_bus_close_unref(server);
	sd_event_unref(event);
}

static void spin(void)
{
	for (int i = 0; i < 200; i++)
		ck_assert_int_ge(sd_event_run(event, 1000), 0);
}

static enum ef_reason start(const char *parameter, struct logind_reboot **r)
{
	struct error e = {0};

	*r = NULL;
	return logind_reboot(r, client, parameter, on_done, NULL, &e);
}

static const struct {
	const char *parameter, *fail, *error;
	enum ef_reason reason;
	const char *log;
} cases[] = {
	{"0 tryboot", NULL, NULL, EF_REASON_OK, "SetRebootParameter(0 tryboot) Reboot(false) "},
	{NULL, NULL, NULL, EF_REASON_OK, "SetRebootParameter() Reboot(false) "},
	/* without its argument a trial would boot nothing new: no reboot */
	{"0 tryboot", "SetRebootParameter", SD_BUS_ERROR_UNKNOWN_METHOD, EF_REASON_BOOT_STATE,
		"SetRebootParameter(0 tryboot) "},
	{"0 tryboot", "SetRebootParameter", SD_BUS_ERROR_ACCESS_DENIED, EF_REASON_DENIED,
		"SetRebootParameter(0 tryboot) "},
	/* an older logind keeps none, so there is none to clear */
	{"", "SetRebootParameter", SD_BUS_ERROR_UNKNOWN_METHOD, EF_REASON_OK,
		"SetRebootParameter() Reboot(false) "},
	{"", "SetRebootParameter", SD_BUS_ERROR_ACCESS_DENIED, EF_REASON_DENIED,
		"SetRebootParameter() "},
	/* refused: the argument does not stay behind for the next reboot */
	{"0 tryboot", "Reboot", "org.freedesktop.login1.BlockedByInhibitorLock", EF_REASON_BUSY,
		"SetRebootParameter(0 tryboot) Reboot(false) SetRebootParameter() "},
	{"", "Reboot", SD_BUS_ERROR_ACCESS_DENIED, EF_REASON_DENIED,
		"SetRebootParameter() Reboot(false) "},
};

START_TEST(test_order)
{
	struct logind_reboot *r;

	machine.fail = cases[_i].fail;
	machine.error = cases[_i].error;
	ck_assert_int_eq(start(cases[_i].parameter, &r), EF_REASON_OK);
	ck_assert_int_eq(outcomes, 0);
	spin();
	ck_assert_int_eq(outcomes, 1);
	ck_assert_int_eq(outcome.reason, cases[_i].reason);
	ck_assert_str_eq(machine.log, cases[_i].log);
}
END_TEST

START_TEST(test_cancel)
{
	struct logind_reboot *r;

	machine.mute = true;
	ck_assert_int_eq(start("0 tryboot", &r), EF_REASON_OK);
	spin();
	logind_reboot_cancel(r);
	spin();
	ck_assert_int_eq(outcomes, 0);
	logind_reboot_cancel(NULL);
}
END_TEST

START_TEST(test_parameter)
{
	char text[LOGIND_PARAMETER_MAX + 2];
	struct logind_reboot *r;
	struct error e = {0};

	ck_assert_int_eq(start("0 try\nboot", &r), EF_REASON_USAGE);
	ck_assert_int_eq(start("\xc3\xa4", &r), EF_REASON_USAGE);
	memset(text, 'x', sizeof(text));
	text[LOGIND_PARAMETER_MAX + 1] = '\0';
	ck_assert_int_eq(start(text, &r), EF_REASON_USAGE);
	text[LOGIND_PARAMETER_MAX] = '\0';
	ck_assert_int_eq(start(text, &r), EF_REASON_OK);
	spin();
	ck_assert_int_eq(outcome.reason, EF_REASON_OK);
	ck_assert_int_eq(logind_reboot(&r, NULL, "", on_done, NULL, &e), EF_REASON_NOT_FOUND);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("logind");
	TCase *t = tcase_create("logind");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_order, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, test_cancel);
	tcase_add_test(t, test_parameter);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
