/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/logind.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE "org.freedesktop.login1"
#define PATH "/org/freedesktop/login1"
#define MANAGER "org.freedesktop.login1.Manager"

struct logind_reboot {
	sd_bus *bus;
	sd_bus_slot *call; /* the one under way */
	logind_done done;
	void *ctx;
	bool with_parameter;
};

void logind_reboot_cancel(struct logind_reboot *r)
{
	if (!r)
		return;
	sd_bus_slot_unref(r->call);
	sd_bus_unref(r->bus);
	free(r);
}

static void over(struct logind_reboot *r, struct error *e)
{
	logind_done done = r->done;
	void *ctx = r->ctx;

	logind_reboot_cancel(r);
	done(ctx, e);
}

static enum ef_reason reason_of(const sd_bus_error *be)
{
	static const struct {
		const char *name;
		enum ef_reason reason;
	} table[] = {
		{SD_BUS_ERROR_ACCESS_DENIED, EF_REASON_DENIED},
		{"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", EF_REASON_DENIED},
		{SD_BUS_ERROR_SERVICE_UNKNOWN, EF_REASON_NOT_FOUND},
		{SD_BUS_ERROR_NAME_HAS_NO_OWNER, EF_REASON_NOT_FOUND},
		{SD_BUS_ERROR_NO_REPLY, EF_REASON_TIMEOUT},
		{SD_BUS_ERROR_TIMEOUT, EF_REASON_TIMEOUT},
		{"org.freedesktop.login1.OperationInProgress", EF_REASON_BUSY},
		{"org.freedesktop.login1.BlockedByInhibitorLock", EF_REASON_BUSY},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (sd_bus_error_has_name(be, table[i].name))
			return table[i].reason;
	return EF_REASON_BOOT_STATE;
}

static void failed(struct logind_reboot *r, sd_bus_message *reply, const char *what)
{
	const sd_bus_error *be = sd_bus_message_get_error(reply);
	struct error e = {0};

	error_set(&e, reason_of(be), "logind, %s: %s", what, be->message ? be->message : be->name);
	over(r, &e);
}

static int call(struct logind_reboot *r, const char *method, sd_bus_message_handler_t reply,
	const char *types, ...)
{
	va_list ap;

	r->call = sd_bus_slot_unref(r->call);
	va_start(ap, types);
	int rc = sd_bus_call_method_asyncv(
		r->bus, &r->call, SERVICE, PATH, MANAGER, method, reply, r, types, ap);
	va_end(ap);
	return rc;
}

static int on_reboot(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct logind_reboot *r = userdata;
	struct error e = {0};

	if (!sd_bus_message_is_method_error(reply, NULL)) {
		over(r, &e);
		return 0;
	}
	/* Somebody else's plain reboot must not start the trial: the answer is not waited for. */
	if (r->with_parameter)
		sd_bus_call_method_async(r->bus, NULL, SERVICE, PATH, MANAGER, "SetRebootParameter",
			NULL, NULL, "s", "");
	failed(r, reply, "Reboot");
	return 0;
}

static int on_parameter(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct logind_reboot *r = userdata;
	struct error e = {0};

	/* A logind without the method has kept no argument either: only then it may go on without.
	 */
	if (sd_bus_message_is_method_error(reply, NULL) &&
		(r->with_parameter ||
			!sd_bus_message_is_method_error(reply, SD_BUS_ERROR_UNKNOWN_METHOD))) {
		failed(r, reply, "SetRebootParameter");
		return 0;
	}
	int rc = call(r, "Reboot", on_reboot, "b", 0);
	if (rc < 0) {
		error_errno(&e, rc, "logind");
		over(r, &e);
	}
	return 0;
}

static bool parameter_good(const char *text)
{
	if (strlen(text) > LOGIND_PARAMETER_MAX)
		return false;
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

enum ef_reason logind_reboot(struct logind_reboot **ret, sd_bus *bus, const char *parameter,
	logind_done done, void *ctx, struct error *e)
{
	struct logind_reboot *r;

	if (!parameter)
		parameter = "";
	if (!parameter_good(parameter))
		return error_set(e, EF_REASON_USAGE, "reboot argument \"%s\"", parameter);
	if (!bus)
		return error_set(e, EF_REASON_NOT_FOUND, "no D-Bus, so no logind");
	r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(e, EF_REASON_NO_MEMORY, "logind");
	*r = (struct logind_reboot){.bus = sd_bus_ref(bus), .done = done, .ctx = ctx};
	r->with_parameter = *parameter != '\0';
	int rc = call(r, "SetRebootParameter", on_parameter, "s", parameter);
	if (rc < 0) {
		logind_reboot_cancel(r);
		return error_errno(e, rc, "logind");
	}
	*ret = r;
	return EF_REASON_OK;
}
