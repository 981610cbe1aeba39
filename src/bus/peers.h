/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a user of this machine who is not root may cost the daemon (S-30, F-31): so many calls, so
 * large, so many that wait for polkit. Counted by user, whatever connections it has. No I/O but the
 * question who a new connection belongs to.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PEERS_BURST 200u     /* calls at once */
#define PEERS_PER_SECOND 50u /* and from then on */
#define PEERS_TEXT_MAX 4096u /* bytes in a text */
#define PEERS_WAITING_MAX 8u /* for polkit */

struct peer { /* one user */
	uid_t uid;
	uint64_t tokens_us; /* a call costs 1 s / PEERS_PER_SECOND */
	uint64_t filled_us, used_us;
	bool known;
};

struct peers {
	struct peer users[32];
	struct {
		char name[32]; /* ":1.42" */
		uid_t uid;
		uint64_t used_us;
	} connections[64];
	struct {
		const void *call; /* NULL: free */
		uid_t uid;
	} waiting[64];
};

/* May this user call once more now? now_us: a clock that only goes forward. */
bool peers_admit(struct peers *p, uid_t uid, uint64_t now_us);
/* call waits for polkit from now on; false: there are enough of this user, or of all. */
bool peers_wait(struct peers *p, const void *call, uid_t uid);
void peers_answered(struct peers *p, const void *call); /* also one that does not wait */
/* Of connections that have been seen; remembering one more forgets the one not seen for longest. */
bool peers_uid(struct peers *p, const char *name, uint64_t now_us, uid_t *ret);
void peers_remember(struct peers *p, const char *name, uid_t uid, uint64_t now_us);
