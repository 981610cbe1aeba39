/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/services.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE "org.freedesktop.systemd1"
#define PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define UNIT "(ssssssouso)"

struct services_ask {
	sd_bus *bus;
	sd_bus_slot *call; /* the one under way */
	services_done done;
	void *ctx;
	bool starting;
};

void services_ask_cancel(struct services_ask *s)
{
	if (!s)
		return;
	sd_bus_slot_unref(s->call);
	sd_bus_unref(s->bus);
	free(s);
}

static void over(struct services_ask *s, bool known, const char *failed)
{
	services_done done = s->done;
	void *ctx = s->ctx;
	bool starting = known && s->starting;

	services_ask_cancel(s);
	done(ctx, known, starting, failed);
}

/* Of each unit only the first field is of interest, its name. */
static int read_names(sd_bus_message *m, FILE *names)
{
	const char *name;
	int r = sd_bus_message_enter_container(m, 'a', UNIT);

	while (r > 0 && (r = sd_bus_message_enter_container(m, 'r', "ssssssouso")) > 0) {
		r = sd_bus_message_read(m, "s", &name);
		if (r > 0)
			fprintf(names, "%s\n", name);
		if (r > 0)
			r = sd_bus_message_skip(m, "sssssouso");
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		r = r < 0 ? r : 1;
	}
	return r;
}

static int on_failed(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	char *text = NULL;
	size_t size;
	FILE *names = open_memstream(&text, &size);
	bool known = names && !sd_bus_message_is_method_error(reply, NULL) &&
		     read_names(reply, names) >= 0;

	if (names)
		known = fclose(names) == 0 && known;
	over(userdata, known, known ? text : "");
	free(text);
	return 0;
}

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct services_ask *s = userdata;
	const char *state = NULL;

	if (sd_bus_message_is_method_error(reply, NULL) ||
		sd_bus_message_read(reply, "v", "s", &state) < 0) {
		over(s, false, "");
		return 0;
	}
	s->starting = strcmp(state, "starting") == 0 || strcmp(state, "initializing") == 0;
	s->call = sd_bus_slot_unref(s->call);
	if (sd_bus_call_method_async(s->bus, &s->call, SERVICE, PATH, MANAGER, "ListUnitsFiltered",
		    on_failed, s, "as", 1, "failed") < 0)
		over(s, false, "");
	return 0;
}

int services_ask(struct services_ask **ret, sd_bus *bus, services_done done, void *ctx)
{
	struct services_ask *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct services_ask){.bus = sd_bus_ref(bus), .done = done, .ctx = ctx};
	int r = sd_bus_call_method_async(bus, &s->call, SERVICE, PATH,
		"org.freedesktop.DBus.Properties", "Get", on_state, s, "ss", MANAGER,
		"SystemState");
	if (r < 0) {
		services_ask_cancel(s);
		return r;
	}
	*ret = s;
	return 0;
}
