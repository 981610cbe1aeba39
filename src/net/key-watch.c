/* SPDX-License-Identifier: Apache-2.0 */
#include "net/key-watch.h"
#include "util/log.h"
#include "util/text.h"
#include <string.h>

void key_watch_begin(struct key_watch *k)
{
	k->missing = false;
}

void key_watch_heard(struct key_watch *k, const struct ipc_message *m)
{
	struct error e = {0};
	struct ipc_key head;

	if (m->size < sizeof(head))
		return;
	memcpy(&head, m->payload, sizeof(head));
	error_set(&e, head.reason ? (enum ef_reason)head.reason : EF_REASON_INTERNAL, "%.*s",
		(int)(m->size - sizeof(head)), (const char *)m->payload + sizeof(head));
	k->missing = true;
	k->pin_refused = k->pin_refused || e.reason == EF_REASON_DENIED;
	k->fault = e;
	if (strcmp(e.detail, k->said[0]) == 0 || strcmp(e.detail, k->said[1]) == 0)
		return;
	strcpy(k->said[1], k->said[0]);
	strcpy(k->said[0], e.detail);
	log_error("%s (%s)", e.detail,
		e.reason == EF_REASON_DENIED
			? "it is not tried again before 'edgeferry reload', since tokens lock "
			  "themselves: correct it where pin-source= says"
			: "looked for again with the next connection; 'edgeferry doctor' tells "
			  "more");
}

void key_watch_ready(struct key_watch *k)
{
	if (k->missing || !k->fault.reason)
		return;
	log_info("the client key in the token is there again");
	*k = (struct key_watch){.pin_refused = k->pin_refused};
}

bool key_watch_try_again(const struct key_watch *k)
{
	return k->missing && !k->pin_refused;
}
