/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/polkit.h"
#include "util/cleanup.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A person may have to type a password when the sender allowed that. */
#define ANSWER_WAIT_US (120ull * 1000000)
#define FLAG_INTERACTIVE 1u

struct question {
	sd_bus_message *message;
	polkit_answer answer;
	void *ctx;
};

static void question_free(struct question *q)
{
	sd_bus_message_unref(q->message);
	free(q);
}

static void question_free_void(void *q)
{
	question_free(q);
}

/* uid as the kernel gave it to the bus daemon. */
static bool own_authority(sd_bus_message *m)
{
	sd_bus_creds *creds = NULL;
	uid_t uid;
	int r = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds);

	if (r >= 0)
		r = sd_bus_creds_get_euid(creds, &uid);
	sd_bus_creds_unref(creds);
	return r >= 0 && (uid == 0 || uid == geteuid());
}

/* (bba{ss}): authorised, challenge, details. Anything that is not a clear yes is a no (S-03). */
static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	struct question *q = userdata;
	int authorised = 0, challenge = 0, r = -EACCES;

	if (!sd_bus_message_is_method_error(reply, NULL))
		r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
	if (r >= 0)
		r = sd_bus_message_read(reply, "bb", &authorised, &challenge);
	q->answer(q->message, r >= 0 && authorised, q->ctx);
	return 1;
}

static int ask(struct question *q, const char *action)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	sd_bus *bus = sd_bus_message_get_bus(q->message);
	sd_bus_slot *slot = NULL;
	uint32_t flags = sd_bus_message_get_allow_interactive_authorization(q->message) > 0
				 ? FLAG_INTERACTIVE
				 : 0;
	int r = sd_bus_message_new_method_call(bus, &call, "org.freedesktop.PolicyKit1",
		"/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
		"CheckAuthorization");

	if (r >= 0)
		r = sd_bus_message_append(call, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name",
			"s", sd_bus_message_get_sender(q->message), action, 0, flags, "");
	if (r >= 0)
		r = sd_bus_call_async(bus, &slot, call, on_reply, q, ANSWER_WAIT_US);
	if (r < 0)
		return r;
	sd_bus_slot_set_destroy_callback(slot, question_free_void);
	sd_bus_slot_set_floating(slot, 1);
	sd_bus_slot_unref(slot);
	return 0;
}

int polkit_check(sd_bus_message *m, const char *action, polkit_answer answer, void *ctx)
{
	struct question *q;
	int r;

	/* Root and the daemon itself need no question, and must not depend on polkit being up. */
	if (own_authority(m)) {
		answer(m, true, ctx);
		return 0;
	}
	q = calloc(1, sizeof *q);
	if (!q)
		return -ENOMEM;
	*q = (struct question){sd_bus_message_ref(m), answer, ctx};
	r = ask(q, action);
	if (r < 0)
		question_free(q);
	return r;
}
