/* SPDX-License-Identifier: Apache-2.0 */
/* BlueZ's objects: what is listed and signalled is told to the peers that it is about, and
 * forgotten. */
#include "links/bluez-internal.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define MANAGER "org.freedesktop.DBus.ObjectManager"

const struct bluez_timing bluez_default_timing = {
	.find_us = 12 * USEC_PER_SEC,
	.connect_us = 20 * USEC_PER_SEC,
	.attempt_us = 30 * USEC_PER_SEC,
	.resolve_us = 15 * USEC_PER_SEC,
	.call_us = 10 * USEC_PER_SEC,
	.retry_us = 500 * USEC_PER_MSEC,
	.grace_us = 10 * USEC_PER_SEC,
	.rest_us = 10 * USEC_PER_SEC,
	.turn_us = 600 * USEC_PER_SEC,
};

/* Messages */

static const struct {
	const char *name, *type;
	size_t offset;
} properties[] = {
	{"Address", "s", offsetof(struct bluez_facts, address)},
	{"Name", "s", offsetof(struct bluez_facts, name)},
	{"UUID", "s", offsetof(struct bluez_facts, uuid)},
	{"Service", "o", offsetof(struct bluez_facts, service)},
	{"Connected", "b", offsetof(struct bluez_facts, connected)},
	{"ServicesResolved", "b", offsetof(struct bluez_facts, resolved)},
	{"Powered", "b", offsetof(struct bluez_facts, powered)},
	{"WriteAcquired", "b", offsetof(struct bluez_facts, write_acquired)},
	{"NotifyAcquired", "b", offsetof(struct bluez_facts, notify_acquired)},
	{"RSSI", "n", offsetof(struct bluez_facts, signal)},
	{"MTU", "q", offsetof(struct bluez_facts, mtu)},
};

static int read_value(sd_bus_message *m, struct bluez_facts *f)
{
	const void *data;
	size_t size;
	int r = sd_bus_message_enter_container(m, 'v', "ay");

	if (r >= 0)
		r = sd_bus_message_read_array(m, 'y', &data, &size);
	if (r < 0)
		return r;
	f->value = data;
	f->value_size = size;
	return sd_bus_message_exit_container(m);
}

static int read_uuids(sd_bus_message *m, struct bluez_facts *f)
{
	const char *uuid;
	int r = sd_bus_message_enter_container(m, 'v', "as");

	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "s");
	while (r >= 0 && (r = sd_bus_message_read(m, "s", &uuid)) > 0)
		f->smp |= strcasecmp(uuid, BLUEZ_SMP_SERVICE) == 0;
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_property(sd_bus_message *m, struct bluez_facts *f)
{
	const char *name, *type;
	int r = sd_bus_message_read(m, "s", &name);

	if (r >= 0)
		r = sd_bus_message_peek_type(m, NULL, &type);
	if (r < 0)
		return r;
	if (strcmp(name, "Value") == 0 && strcmp(type, "ay") == 0)
		return read_value(m, f);
	if (strcmp(name, "UUIDs") == 0 && strcmp(type, "as") == 0)
		return read_uuids(m, f);
	for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
		if (strcmp(name, properties[i].name) == 0 && strcmp(type, properties[i].type) == 0)
			return sd_bus_message_read(m, "v", type, (char *)f + properties[i].offset);
	return sd_bus_message_skip(m, "v");
}

void bluez_read(sd_bus_message *m, struct bluez_facts *f)
{
	int r;

	*f = (struct bluez_facts){.connected = -1,
		.resolved = -1,
		.powered = -1,
		.write_acquired = -1,
		.notify_acquired = -1};
	if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
		return;
	while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0)
		if (read_property(m, f) < 0 || sd_bus_message_exit_container(m) < 0)
			return;
	if (r == 0)
		sd_bus_message_exit_container(m);
}

typedef void (*see_object)(
	void *ctx, const char *path, const char *interface, const struct bluez_facts *f);

/* a{sa{sv}} of one object */
static int each_interface(sd_bus_message *m, const char *path, see_object see, void *ctx)
{
	const char *interface;
	struct bluez_facts f;
	int r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");

	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
		r = sd_bus_message_read(m, "s", &interface);
		if (r < 0)
			return r;
		bluez_read(m, &f);
		if (strlen(path) < BLUEZ_PATH_MAX)
			see(ctx, path, interface, &f);
		r = sd_bus_message_exit_container(m);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

int bluez_each_object(sd_bus_message *m, see_object see, void *ctx)
{
	const char *path;
	int r = sd_bus_message_rewind(m, true);

	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
		r = sd_bus_message_read(m, "o", &path);
		if (r >= 0)
			r = each_interface(m, path, see, ctx);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r;
}

const char *bluez_error_text(sd_bus_message *reply)
{
	const sd_bus_error *be = sd_bus_message_get_error(reply);

	return be->message && *be->message ? be->message : be->name;
}

bool bluez_is_error(sd_bus_message *reply, const char *name)
{
	return sd_bus_error_has_name(sd_bus_message_get_error(reply), name);
}

bool bluez_below(const char *path, const char *parent)
{
	size_t n = strlen(parent);

	return n && strncmp(path, parent, n) == 0 && path[n] == '/';
}

bool bluez_address(const char *path, char address[18])
{
	const char *last = strrchr(path, '/');

	if (!last || strncmp(last, "/dev_", 5) != 0 || strlen(last + 5) != 17)
		return false;
	for (size_t i = 0; i < 18; i++)
		address[i] = (char)(last[5 + i] == '_' ? ':' : last[5 + i]);
	return true;
}

int bluez_call(struct bluez *b, sd_bus_slot **slot, const char *path, const char *interface,
	const char *method, sd_bus_message_handler_t reply, void *ctx, const char *types, ...)
{
	sd_bus_message *m = NULL;
	va_list ap;
	int r;

	if (slot)
		*slot = sd_bus_slot_unref(*slot);
	if (!b->bus)
		return -ENOTCONN;
	r = sd_bus_message_new_method_call(b->bus, &m, BLUEZ, path, interface, method);
	va_start(ap, types);
	if (r >= 0 && types)
		r = sd_bus_message_appendv(m, types, ap);
	va_end(ap);
	/* whether bluetoothd runs is the administrator's business */
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, 0);
	if (r >= 0)
		r = sd_bus_call_async(b->bus, slot, m, reply, ctx, 0);
	sd_bus_message_unref(m);
	return r;
}

/* The adapter and the devices on it */

static void see_adapter(
	void *ctx, const char *path, const char *interface, const struct bluez_facts *f)
{
	struct bluez *b = ctx;
	const char *wanted = b->adapter_wanted, *name = strrchr(path, '/');
	bool on = f->powered == 1;

	if (strcmp(interface, BLUEZ_ADAPTER) != 0 || !name)
		return;
	if (wanted && strcmp(name + 1, wanted) != 0 &&
		!(f->address && strcasecmp(f->address, wanted) == 0))
		return;
	if (*b->adapter && (b->powered > on || (b->powered == on && strcmp(b->adapter, path) < 0)))
		return;
	snprintf(b->adapter, sizeof b->adapter, "%s", path);
	b->powered = on;
}

static void see_device(
	void *ctx, const char *path, const char *interface, const struct bluez_facts *f)
{
	struct bluez *b = ctx;

	if (strcmp(interface, BLUEZ_DEVICE) != 0 || !bluez_below(path, b->adapter))
		return;
	survey_seen(b, path, f);
	for (struct bluez_peer *p = b->peers; p; p = p->next)
		peer_seen(p, path, f);
}

static void look_all(struct bluez *b)
{
	for (struct bluez_peer *p = b->peers; p; p = p->next)
		peer_look(p);
}

/* All that are open end; what is known of BlueZ's objects is void. */
static void lose_all(struct bluez *b, const char *why)
{
	b->listed = b->discovering = b->powered = false;
	b->adapter[0] = '\0';
	for (struct bluez_peer *p = b->peers; p; p = p->next) {
		peer_forget(p);
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "%s", why);
	}
	survey_lost(b, why);
}

static int on_listed(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bluez *b = userdata;
	const sd_bus_error *be = sd_bus_message_get_error(reply);

	b->list = sd_bus_slot_unref(b->list);
	b->adapter[0] = '\0';
	b->powered = false;
	error_clear(&b->unlisted);
	b->listed = true;
	if (be) {
		error_set(&b->unlisted, EF_REASON_NODE_UNREACHABLE,
			"no BlueZ (%s): systemctl start bluetooth", bluez_error_text(reply));
	} else if (bluez_each_object(reply, see_adapter, b) < 0 ||
		   bluez_each_object(reply, see_device, b) < 0) {
		error_set(&b->unlisted, EF_REASON_NODE_UNREACHABLE, "BlueZ answers nonsense");
	} else if (!*b->adapter) {
		error_set(&b->unlisted, EF_REASON_NODE_UNREACHABLE, "no Bluetooth adapter%s%s%s",
			b->adapter_wanted ? " " : "", b->adapter_wanted ? b->adapter_wanted : "",
			": bluetoothctl list shows which there are");
	} else if (!b->powered) {
		error_set(&b->unlisted, EF_REASON_NODE_UNREACHABLE,
			"%s is off: bluetoothctl power on", strrchr(b->adapter, '/') + 1);
	}
	look_all(b);
	survey_listed(b);
	b->listed = b->listed && !b->unlisted.reason; /* asked anew by the next who wants to know */
	return 0;
}

enum ef_reason bluez_list(struct bluez *b, struct error *e)
{
	int r = b->list ? 0
			: bluez_call(b, &b->list, "/", MANAGER, "GetManagedObjects", on_listed, b,
				  NULL);

	return r < 0 ? error_errno(e, r, "BlueZ") : EF_REASON_OK;
}

void bluez_discover(struct bluez *b)
{
	bool wanted = b->survey.done != NULL;

	for (const struct bluez_peer *p = b->peers; p; p = p->next)
		wanted = wanted || (p->state == PEER_FINDING && !*p->path);
	wanted = wanted && b->listed && b->powered;
	if (wanted == b->discovering)
		return;
	b->discovering = wanted;
	if (wanted)
		bluez_call(b, NULL, b->adapter, BLUEZ_ADAPTER, "SetDiscoveryFilter", NULL, NULL,
			"a{sv}", 1, "Transport", "s", "le");
	bluez_call(b, NULL, b->adapter, BLUEZ_ADAPTER, wanted ? "StartDiscovery" : "StopDiscovery",
		NULL, NULL, NULL);
}

/* Signals */

static int on_added(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bluez *b = userdata;
	const char *path;

	if (sd_bus_message_read(m, "o", &path) < 0 || !b->listed)
		return 0;
	each_interface(m, path, see_device, b);
	look_all(b);
	return 0;
}

static void removed(struct bluez *b, const char *path, const char *interface)
{
	if (strcmp(interface, BLUEZ_ADAPTER) == 0 && strcmp(path, b->adapter) == 0) {
		lose_all(b, "the Bluetooth adapter is gone");
		return;
	}
	for (struct bluez_peer *p = b->peers; p; p = p->next) {
		if (strcmp(interface, BLUEZ_DEVICE) == 0 && strcmp(path, p->path) == 0)
			peer_gone(p);
		else if (strcmp(interface, BLUEZ_CHARACTERISTIC) == 0 &&
			 strcmp(path, p->characteristic) == 0)
			peer_vanished(p);
	}
}

static int on_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *path, *interface;

	if (sd_bus_message_read(m, "o", &path) < 0 ||
		sd_bus_message_enter_container(m, 'a', "s") < 0)
		return 0;
	while (sd_bus_message_read(m, "s", &interface) > 0)
		removed(userdata, path, interface);
	return 0;
}

static int on_adapter(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bluez *b = userdata;
	const char *interface;
	struct bluez_facts f;

	if (strcmp(sd_bus_message_get_path(m), b->adapter) != 0 ||
		sd_bus_message_read(m, "s", &interface) < 0)
		return 0;
	bluez_read(m, &f);
	if (f.powered == 0)
		lose_all(b, "the Bluetooth adapter was turned off");
	return 0;
}

static int on_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bluez *b = userdata;
	const char *interface, *path = sd_bus_message_get_path(m);
	struct bluez_facts f;

	if (sd_bus_message_read(m, "s", &interface) < 0)
		return 0;
	bluez_read(m, &f);
	if (b->listed && strlen(path) < BLUEZ_PATH_MAX)
		see_device(b, path, interface, &f);
	for (struct bluez_peer *p = b->peers; p; p = p->next)
		if (strcmp(p->path, path) == 0)
			peer_changed(p, &f);
	look_all(b);
	return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bluez *b = userdata;
	const char *name, *before, *after;

	if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0)
		return 0;
	b->listed = b->discovering = false;
	if (*before)
		lose_all(b, "bluetoothd ended or was started anew");
	else
		look_all(b);
	return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bluez *b = userdata;

	b->ended = true;
	lose_all(b, "the D-Bus connection ended");
	return 0;
}

static int subscribe(struct bluez *b)
{
	static const struct {
		const char *match;
		sd_bus_message_handler_t handler;
	} signals[] = {
		{"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
		 "interface='org.freedesktop.DBus',arg0='" BLUEZ "'",
			on_owner},
		{"type='signal',sender='" BLUEZ "',interface='" MANAGER
		 "',member='InterfacesAdded'",
			on_added},
		{"type='signal',sender='" BLUEZ "',interface='" MANAGER
		 "',member='InterfacesRemoved'",
			on_removed},
		{"type='signal',sender='" BLUEZ "',interface='" PROPERTIES
		 "',member='PropertiesChanged',arg0='" BLUEZ_ADAPTER "'",
			on_adapter},
		{"type='signal',sender='" BLUEZ "',interface='" PROPERTIES
		 "',member='PropertiesChanged',arg0='" BLUEZ_DEVICE "'",
			on_device},
	};
	int r = sd_bus_match_signal_async(b->bus, NULL, "org.freedesktop.DBus.Local",
		"/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
		on_disconnected, NULL, b);

	for (size_t i = 0; r >= 0 && i < sizeof signals / sizeof *signals; i++)
		r = sd_bus_add_match_async(
			b->bus, NULL, signals[i].match, signals[i].handler, NULL, b);
	return r;
}

static int open_bus(struct bluez *b)
{
	int r;

	if (!b->bus_address)
		return sd_bus_open_system(&b->bus);
	r = sd_bus_new(&b->bus);
	if (r >= 0)
		r = sd_bus_set_address(b->bus, b->bus_address);
	if (r >= 0)
		r = sd_bus_set_bus_client(b->bus, 1);
	if (r >= 0)
		r = sd_bus_negotiate_fds(b->bus, 1);
	return r < 0 ? r : sd_bus_start(b->bus);
}

static void close_bus(struct bluez *b)
{
	b->list = sd_bus_slot_unref(b->list);
	b->bus = sd_bus_close_unref(b->bus);
	b->ended = false;
}

enum ef_reason bluez_connect(struct bluez *b, struct error *e)
{
	int r;

	if (b->bus && !b->ended)
		return EF_REASON_OK;
	close_bus(b);
	r = open_bus(b);
	if (r >= 0)
		r = sd_bus_attach_event(b->bus, b->event, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = subscribe(b);
	if (r >= 0)
		return EF_REASON_OK;
	close_bus(b);
	return error_set(
		e, EF_REASON_NODE_UNREACHABLE, "no system bus, so no BlueZ: %s", strerror(-r));
}

/* Life */

/* The bus is closed when the loop ends, so what it has to tell before is told here. */
static int on_exit_loop(sd_event_source *s, void *userdata)
{
	struct bluez *b = userdata;

	for (struct bluez_peer *p = b->peers; p; p = p->next)
		if (*p->path && p->holds)
			bluez_call(b, NULL, p->path, BLUEZ_DEVICE, "Disconnect", NULL, NULL, NULL);
	return 0;
}

enum ef_reason bluez_new(
	struct bluez **ret, sd_event *event, const struct bluez_config *config, struct error *e)
{
	struct bluez *b = calloc(1, sizeof *b);

	if (!b || (config->bus && !(b->bus_address = strdup(config->bus))) ||
		(config->adapter && !(b->adapter_wanted = strdup(config->adapter)))) {
		bluez_free(b);
		return error_set(e, EF_REASON_NO_MEMORY, "BlueZ");
	}
	b->event = sd_event_ref(event);
	if (sd_event_add_exit(event, &b->exit, on_exit_loop, b) < 0 ||
		sd_event_source_set_priority(b->exit, SD_EVENT_PRIORITY_IMPORTANT) < 0) {
		bluez_free(b);
		return error_set(e, EF_REASON_NO_MEMORY, "BlueZ");
	}
	b->connections = config->connections;
	b->timing = config->timing.find_us ? config->timing : bluez_default_timing;
	*ret = b;
	return EF_REASON_OK;
}

void bluez_free(struct bluez *b)
{
	if (!b)
		return;
	while (b->peers) {
		struct bluez_peer *p = b->peers;

		b->peers = p->next;
		peer_free(p);
	}
	sd_event_source_disable_unref(b->survey.timer);
	sd_event_source_disable_unref(b->turn);
	sd_event_source_disable_unref(b->exit);
	sd_bus_slot_unref(b->list);
	sd_bus_flush_close_unref(b->bus); /* the last Disconnect goes out */
	sd_event_unref(b->event);
	free(b->bus_address);
	free(b->adapter_wanted);
	free(b);
}
