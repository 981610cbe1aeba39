/* SPDX-License-Identifier: Apache-2.0 */
/* Our client of systemd against a systemd of our own on a private connection (F-24). */
#include "../unit.h"
#include "bus/services.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

static sd_event *event;
static sd_bus *client, *server;
static const char *system_state, *failing; /* failing: the question that gets an error */
static const char *units[4];
static struct {
	int times;
	bool known, starting;
	char failed[256];
} told;

static int list(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	sd_bus_message *reply;
	const char *state;

	ck_assert_int_gt(sd_bus_message_enter_container(m, 'a', "s"), 0);
	ck_assert_int_gt(sd_bus_message_read(m, "s", &state), 0);
	ck_assert_str_eq(state, "failed");
	if (failing && strcmp(failing, "list") == 0)
		return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "no");
	ck_assert_int_ge(sd_bus_message_new_method_return(m, &reply), 0);
	ck_assert_int_ge(sd_bus_message_open_container(reply, 'a', "(ssssssouso)"), 0);
	for (size_t i = 0; units[i]; i++)
		ck_assert_int_ge(sd_bus_message_append(reply, "(ssssssouso)", units[i], "what",
					 "loaded", "failed", "failed", "", "/u", 0, "", "/"),
			0);
	ck_assert_int_ge(sd_bus_message_close_container(reply), 0);
	ck_assert_int_ge(sd_bus_send(NULL, reply, NULL), 0);
	sd_bus_message_unref(reply);
	return 1;
}

static int state_of_system(sd_bus *bus, const char *path, const char *interface,
	const char *property, sd_bus_message *reply, void *ctx, sd_bus_error *error)
{
	if (failing && strcmp(failing, "state") == 0)
		return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, "no");
	return sd_bus_message_append(reply, "s", system_state);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("ListUnitsFiltered", "as", "a(ssssssouso)", list, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("SystemState", "s", state_of_system, 0, 0),
	SD_BUS_VTABLE_END,
};

static void on_done(void *ctx, bool known, bool starting, const char *failed)
{
	told.times++;
	told.known = known;
	told.starting = starting;
	snprintf(told.failed, sizeof(told.failed), "%s", failed);
}

static void setup(void)
{
	int pair[2];
	sd_id128_t id;

	system_state = "running";
	failing = NULL;
	memset(units, 0, sizeof(units));
	memset(&told, 0, sizeof(told));
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_ge(sd_id128_randomize(&id), 0);
	ck_assert_int_ge(sd_bus_new(&server), 0);
	ck_assert_int_ge(sd_bus_set_fd(server, pair[0], pair[0]), 0);
	ck_assert_int_ge(sd_bus_set_server(server, 1, id), 0);
	ck_assert_int_ge(sd_bus_start(server), 0);
	ck_assert_int_ge(sd_bus_attach_event(server, event, 0), 0);
	ck_assert_int_ge(sd_bus_add_object_vtable(server, NULL, "/org/freedesktop/systemd1",
				 "org.freedesktop.systemd1.Manager", vtable, NULL),
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

static void ask(void)
{
	struct services_ask *s;

	told.times = 0;
	ck_assert_int_eq(services_ask(&s, client, on_done, NULL), 0);
	ck_assert_int_eq(told.times, 0);
	for (int i = 0; i < 200; i++)
		ck_assert_int_ge(sd_event_run(event, 1000), 0);
	ck_assert_int_eq(told.times, 1);
}

START_TEST(what_it_says)
{
	ask();
	ck_assert(told.known && !told.starting);
	ck_assert_str_eq(told.failed, "");
	system_state = "starting";
	units[0] = "a.service";
	ask();
	ck_assert(told.known && told.starting);
	ck_assert_str_eq(told.failed, "a.service\n");
	system_state = "degraded";
	units[1] = "b.mount";
	ask();
	ck_assert(told.known && !told.starting);
	ck_assert_str_eq(told.failed, "a.service\nb.mount\n");
}
END_TEST

START_TEST(nobody_who_knows)
{
	failing = "state";
	ask();
	ck_assert(!told.known);
	failing = "list";
	system_state = "starting";
	ask();
	ck_assert(!told.known && !told.starting);
}
END_TEST

START_TEST(not_wanted_any_more)
{
	struct services_ask *s;

	for (int turns = 0; turns < 6; turns++) {
		ck_assert_int_eq(services_ask(&s, client, on_done, NULL), 0);
		for (int i = 0; i < turns && told.times == 0; i++)
			ck_assert_int_ge(sd_event_run(event, 1000), 0);
		if (told.times > 0)
			break;
		services_ask_cancel(s);
		for (int i = 0; i < 50; i++)
			ck_assert_int_ge(sd_event_run(event, 1000), 0);
		ck_assert_int_eq(told.times, 0);
	}
	services_ask_cancel(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus/services");
	TCase *t = tcase_create("services");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_it_says);
	tcase_add_test(t, nobody_who_knows);
	tcase_add_test(t, not_wanted_any_more);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
