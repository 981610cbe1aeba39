/* SPDX-License-Identifier: Apache-2.0 */
/* Before anything is done for a call: who calls, and has that user called too often or said too
 * much? */
#include "bus/bus-internal.h"
#include "util/time-util.h"
#include <string.h>
#include <unistd.h>

static bool sender(struct bus *b, sd_bus_message *m, uid_t *ret)
{
	const char *name = sd_bus_message_get_sender(m);
	uint64_t now = now_monotonic_us();
	sd_bus_creds *creds = NULL;

	if (!name)
		return false;
	if (peers_uid(&b->peers, name, now, ret))
		return true;
	bool known = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds) >= 0 &&
		     sd_bus_creds_get_euid(creds, ret) >= 0;
	sd_bus_creds_unref(creds);
	if (known)
		peers_remember(&b->peers, name, *ret, now);
	return known;
}

/* Texts of a call stand at its top; what is below that is refused by its signature. */
static bool too_long(sd_bus_message *m)
{
	bool found = false;
	const char *contents, *text;
	char type;

	while (!found && sd_bus_message_peek_type(m, &type, &contents) > 0 && type == 's' &&
		sd_bus_message_read_basic(m, 's', &text) > 0)
		found = strlen(text) > PEERS_TEXT_MAX;
	sd_bus_message_rewind(m, true);
	return found;
}

static bool privileged(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	struct error e = {0};
	uid_t uid;

	if (!sd_bus_message_is_method_call(m, NULL, NULL))
		return 0;
	if (!sender(b, m, &uid))
		return 1; /* gone, so nobody waits for an answer */
	if (privileged(uid))
		return 0;
	if (!peers_admit(&b->peers, uid, now_monotonic_us()))
		error_set(&e, EF_REASON_BUSY, "too many calls of user %u", (unsigned)uid);
	else if (too_long(m))
		error_set(&e, EF_REASON_USAGE, "a text is longer than %u bytes", PEERS_TEXT_MAX);
	return e.reason ? reply_error(m, &e) : 0;
}

int gate_open(struct bus *b)
{
	b->peers = (struct peers){0};
	return sd_bus_add_filter(b->bus, NULL, on_message, b);
}

bool gate_ask(struct bus *b, sd_bus_message *m)
{
	uid_t uid;

	return sender(b, m, &uid) && (privileged(uid) || peers_wait(&b->peers, m, uid));
}
