/* SPDX-License-Identifier: Apache-2.0 */
/* A connected device's SMP characteristic: searched for, opened both ways, written to. */
#include "links/bluez-internal.h"
#include "util/cleanup.h"
#include "wire/ble.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#define SMP_CHARACTERISTIC "da2e7828-fbce-4e01-ae9e-260174997c48"
#define ATT_HEADER 3u /* what a write or a notification is longer than its value */

static void up(struct bluez_peer *p, int out)
{
	size_t most = p->mtu > ATT_HEADER ? p->mtu - ATT_HEADER : 0;
	int in = TAKE_FD(p->in);

	most = most < BLE_VALUE_LEAST ? BLE_VALUE_LEAST
	       : most > BLE_VALUE_MAX ? BLE_VALUE_MAX
				      : most;
	p->state = PEER_UP;
	p->had_service = true;
	p->pause_us = p->b->timing.retry_us;
	sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	turns_look(p->b); /* who waits may wait for this turn's end */
	p->events.up(p->events.ctx, in, out, most);
}

/* The descriptor and MTU of an answer; negative errno. */
static int acquired(struct bluez_peer *p, sd_bus_message *reply)
{
	uint16_t mtu;
	int fd, r = sd_bus_message_read(reply, "hq", &fd, &mtu);

	if (r < 0)
		return r;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
		r = -errno;
		ef_close(fd);
		return r;
	}
	if (p->mtu == 0 || mtu < p->mtu)
		p->mtu = mtu;
	return fd;
}

static bool not_offered(sd_bus_message *reply)
{
	return bluez_is_error(reply, "org.bluez.Error.NotSupported") ||
	       bluez_is_error(reply, SD_BUS_ERROR_UNKNOWN_METHOD);
}

static void not_opened(struct bluez_peer *p, sd_bus_message *reply)
{
	if (!sd_bus_message_get_error(reply))
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "BlueZ answers nonsense");
	else if (bluez_is_error(reply, "org.bluez.Error.NotPermitted") ||
		 bluez_is_error(reply, "org.bluez.Error.InProgress"))
		peer_lose(p, EF_REASON_BUSY,
			"its SMP characteristic is in use by another program (%s): end that",
			bluez_error_text(reply));
	else if (bluez_is_error(reply, "org.bluez.Error.NotAuthorized") ||
		 bluez_is_error(reply, "org.bluez.Error.NotPaired"))
		peer_lose(p, EF_REASON_DENIED, "%s: pair it once, with bluetoothctl",
			bluez_error_text(reply));
	else
		peer_try_again(p, bluez_error_text(reply));
}

static void open_out(struct bluez_peer *p);

static int on_write_acquired(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bluez_peer *p = userdata;
	int fd = sd_bus_message_get_error(reply) ? -1 : acquired(p, reply);

	p->call = sd_bus_slot_unref(p->call);
	if (fd >= 0) {
		up(p, fd);
	} else if (not_offered(reply)) {
		p->acquires_out = false;
		open_out(p);
	} else {
		not_opened(p, reply);
	}
	return 0;
}

static void open_out(struct bluez_peer *p)
{
	if (!p->acquires_out) {
		up(p, -1);
		return;
	}
	p->state = PEER_WRITING;
	peer_arm(p, p->b->timing.call_us);
	if (peer_call(p, p->characteristic, BLUEZ_CHARACTERISTIC, "AcquireWrite", on_write_acquired,
		    true) < 0)
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "no BlueZ");
}

static int on_value(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bluez_peer *p = userdata;
	const char *interface;
	struct bluez_facts f;

	if (p->state != PEER_UP || sd_bus_message_read(m, "s", &interface) < 0)
		return 0;
	bluez_read(m, &f);
	if (f.value)
		p->events.value(p->events.ctx, f.value, f.value_size);
	return 0;
}

static void open_in(struct bluez_peer *p);

static int on_notifying(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bluez_peer *p = userdata;
	bool failed = sd_bus_message_get_error(reply) != NULL;

	p->call = sd_bus_slot_unref(p->call);
	if (!failed && p->acquires_in)
		p->in = acquired(p, reply);
	if (failed && p->acquires_in && not_offered(reply)) {
		p->acquires_in = false;
		open_in(p);
	} else if (failed || (p->acquires_in && p->in < 0)) {
		not_opened(p, reply);
	} else {
		open_out(p);
	}
	return 0;
}

static void open_in(struct bluez_peer *p)
{
	int r = 0;

	p->state = PEER_NOTIFYING;
	peer_arm(p, p->b->timing.call_us);
	if (!p->acquires_in)
		r = sd_bus_match_signal_async(p->b->bus, &p->values, BLUEZ, p->characteristic,
			"org.freedesktop.DBus.Properties", "PropertiesChanged", on_value, NULL, p);
	if (r >= 0)
		r = peer_call(p, p->characteristic, BLUEZ_CHARACTERISTIC,
			p->acquires_in ? "AcquireNotify" : "StartNotify", on_notifying,
			p->acquires_in);
	if (r < 0)
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "no BlueZ");
}

/* The service's path, and that of the characteristic that says to be in it. */
struct search {
	struct bluez_peer *p;
	char service[BLUEZ_PATH_MAX], parent[BLUEZ_PATH_MAX];
};

static void see_part(
	void *ctx, const char *path, const char *interface, const struct bluez_facts *f)
{
	struct search *s = ctx;
	struct bluez_peer *p = s->p;

	if (!f->uuid || !bluez_below(path, p->path))
		return;
	if (strcmp(interface, BLUEZ_SERVICE) == 0 && strcasecmp(f->uuid, BLUEZ_SMP_SERVICE) == 0) {
		snprintf(s->service, sizeof s->service, "%s", path);
	} else if (strcmp(interface, BLUEZ_CHARACTERISTIC) == 0 && f->service &&
		   strcasecmp(f->uuid, SMP_CHARACTERISTIC) == 0) {
		snprintf(p->characteristic, sizeof p->characteristic, "%s", path);
		snprintf(s->parent, sizeof s->parent, "%s", f->service);
		p->acquires_in = f->notify_acquired >= 0;
		p->acquires_out = f->write_acquired >= 0;
		p->mtu = f->mtu;
	}
}

static int on_searched(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bluez_peer *p = userdata;
	struct search s = {.p = p};

	p->characteristic[0] = '\0';
	p->call = sd_bus_slot_unref(p->call);
	if (sd_bus_message_get_error(reply))
		peer_try_again(p, bluez_error_text(reply));
	else if (bluez_each_object(reply, see_part, &s) < 0)
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "BlueZ answers nonsense");
	else if ((!*p->characteristic || strcmp(s.service, s.parent) != 0) && p->had_service)
		peer_try_again(p, "its SMP service has vanished");
	else if (!*p->characteristic || strcmp(s.service, s.parent) != 0)
		peer_lose(p, EF_REASON_NODE_PROTOCOL,
			"connected, but it has no SMP service (" BLUEZ_SMP_SERVICE ")");
	else
		open_in(p);
	return 0;
}

void peer_search(struct bluez_peer *p)
{
	p->state = PEER_SEARCHING;
	peer_arm(p, p->b->timing.call_us);
	if (peer_call(p, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
		    on_searched, false) < 0)
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "no BlueZ");
}

static int on_written(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bluez_peer *p = userdata;

	p->call = sd_bus_slot_unref(p->call);
	if (p->state != PEER_UP)
		return 0;
	if (sd_bus_message_get_error(reply))
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "writing: %s", bluez_error_text(reply));
	else
		p->events.written(p->events.ctx);
	return 0;
}

int bluez_peer_write(struct bluez_peer *p, const uint8_t *value, size_t size)
{
	sd_bus_message *m = NULL;
	int r;

	if (p->state != PEER_UP || !p->b->bus)
		return -ENOTCONN;
	p->call = sd_bus_slot_unref(p->call);
	r = sd_bus_message_new_method_call(
		p->b->bus, &m, BLUEZ, p->characteristic, BLUEZ_CHARACTERISTIC, "WriteValue");
	if (r >= 0)
		r = sd_bus_message_append_array(m, 'y', value, size);
	if (r >= 0)
		r = sd_bus_message_append(m, "a{sv}", 1, "type", "s", "command");
	if (r >= 0)
		r = sd_bus_call_async(p->b->bus, &p->call, m, on_written, p, p->b->timing.call_us);
	sd_bus_message_unref(m);
	return r < 0 ? r : 0;
}
