/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/peers.h"
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CALL_US (1000000u / PEERS_PER_SECOND)
#define FULL_US ((uint64_t)PEERS_BURST * CALL_US)

static struct peer *find(struct peers *p, uid_t uid, uint64_t now_us)
{
	struct peer *oldest = NULL;

	for (size_t i = 0; i < COUNT(p->users); i++) {
		struct peer *u = &p->users[i];

		if (u->known && u->uid == uid) {
			u->used_us = now_us;
			return u;
		}
		if (!oldest || u->used_us < oldest->used_us)
			oldest = u;
	}
	*oldest = (struct peer){.uid = uid,
		.tokens_us = FULL_US,
		.filled_us = now_us,
		.used_us = now_us,
		.known = true};
	return oldest;
}

bool peers_admit(struct peers *p, uid_t uid, uint64_t now_us)
{
	struct peer *u = find(p, uid, now_us);

	u->tokens_us += now_us - u->filled_us;
	u->filled_us = now_us;
	if (u->tokens_us > FULL_US)
		u->tokens_us = FULL_US;
	if (u->tokens_us < CALL_US)
		return false;
	u->tokens_us -= CALL_US;
	return true;
}

bool peers_wait(struct peers *p, const void *call, uid_t uid)
{
	size_t room = COUNT(p->waiting), of_user = 0;

	for (size_t i = 0; i < COUNT(p->waiting); i++)
		if (!p->waiting[i].call)
			room = i;
		else if (p->waiting[i].uid == uid)
			of_user++;
	if (room == COUNT(p->waiting) || of_user >= PEERS_WAITING_MAX)
		return false;
	p->waiting[room].call = call;
	p->waiting[room].uid = uid;
	return true;
}

void peers_answered(struct peers *p, const void *call)
{
	for (size_t i = 0; i < COUNT(p->waiting); i++)
		if (p->waiting[i].call == call)
			p->waiting[i].call = NULL;
}

bool peers_uid(struct peers *p, const char *name, uint64_t now_us, uid_t *ret)
{
	for (size_t i = 0; i < COUNT(p->connections); i++)
		if (p->connections[i].name[0] && strcmp(p->connections[i].name, name) == 0) {
			p->connections[i].used_us = now_us;
			*ret = p->connections[i].uid;
			return true;
		}
	return false;
}

void peers_remember(struct peers *p, const char *name, uid_t uid, uint64_t now_us)
{
	size_t oldest = 0;

	for (size_t i = 1; i < COUNT(p->connections); i++)
		if (p->connections[i].used_us < p->connections[oldest].used_us)
			oldest = i;
	if (strlen(name) >= sizeof(p->connections[oldest].name))
		return;
	snprintf(p->connections[oldest].name, sizeof(p->connections[oldest].name), "%s", name);
	p->connections[oldest].uid = uid;
	p->connections[oldest].used_us = now_us;
}
