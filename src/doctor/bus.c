/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/bus.h"
#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define NAME "io.github.edgeferry1"
#define WAIT_US 10000000u

static int open_bus(const struct doctor *d, sd_bus **bus)
{
	if (!d->bus_address)
		return sd_bus_open_system(bus);
	int r = sd_bus_new(bus);
	if (r >= 0)
		r = sd_bus_set_address(*bus, d->bus_address);
	if (r >= 0)
		r = sd_bus_set_bus_client(*bus, 1);
	return r < 0 ? r : sd_bus_start(*bus);
}

/* A call that starts nobody: that would change something. */
static int call(sd_bus *bus, const char *to, const char *path, const char *interface,
	const char *member, sd_bus_message **reply, struct error *e)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_message_new_method_call(bus, &m, to, path, interface, member);

	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, 0);
	if (r >= 0)
		r = sd_bus_call(bus, m, WAIT_US, &error, reply);
	if (r < 0)
		error_set(e, EF_REASON_IO, "%s", error.message ? error.message : strerror(-r));
	return r;
}

void bus_status(struct doctor *d)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct error e = {0};
	const char *text;
	int r = open_bus(d, &bus);

	if (r < 0)
		error_set(&e, EF_REASON_IO, "the bus cannot be reached: %s", strerror(-r));
	else if (call(bus, NAME, "/io/github/edgeferry1", NAME ".Manager", "GetStatus", &reply,
			 &e) >= 0 &&
		 sd_bus_message_read(reply, "s", &text) >= 0)
		d->status = json_read(text, strlen(text), "GetStatus", &e);
	snprintf(d->daemon_error, sizeof(d->daemon_error), "%s", e.detail);
}

/* Of one object's interfaces, whether Adapter1 is there, and is on. */
static int read_interfaces(sd_bus_message *m, unsigned *adapters, unsigned *powered)
{
	const char *interface, *property;
	int r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
		r = sd_bus_message_read(m, "s", &interface);
		if (r < 0 || strcmp(interface, "org.bluez.Adapter1") != 0) {
			r = r < 0 ? r : sd_bus_message_skip(m, "a{sv}");
			r = r < 0 ? r : sd_bus_message_exit_container(m);
			continue;
		}
		(*adapters)++;
		r = sd_bus_message_enter_container(m, 'a', "{sv}");
		while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
			int on = 0;

			r = sd_bus_message_read(m, "s", &property);
			if (r >= 0 && strcmp(property, "Powered") == 0)
				r = sd_bus_message_read(m, "v", "b", &on);
			else if (r >= 0)
				r = sd_bus_message_skip(m, "v");
			*powered += on != 0;
			r = r < 0 ? r : sd_bus_message_exit_container(m);
		}
		r = r < 0 ? r : sd_bus_message_exit_container(m);
		r = r < 0 ? r : sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_objects(sd_bus_message *m, unsigned *adapters, unsigned *powered)
{
	int r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
		r = sd_bus_message_skip(m, "o");
		r = r < 0 ? r : read_interfaces(m, adapters, powered);
		r = r < 0 ? r : sd_bus_message_exit_container(m);
	}
	return r;
}

enum ef_reason bus_adapters(
	const struct doctor *d, unsigned *adapters, unsigned *powered, struct error *e)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = open_bus(d, &bus);

	*adapters = *powered = 0;
	if (r < 0)
		return error_errno(e, r, "the bus cannot be reached");
	if (call(bus, "org.bluez", "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
		    &reply, e) < 0)
		return e->reason;
	r = read_objects(reply, adapters, powered);
	if (r < 0)
		return error_errno(e, r, "BlueZ's objects");
	return *adapters ? EF_REASON_OK : error_set(e, EF_REASON_CONFIG, "BlueZ has no adapter");
}
