/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The node's secret key and the counter of its sessions, in two pages of flash of their own
 * (docs/SPEC-session.md, "Keys in the node"). Every change is whole or has not been: a power cut
 * leaves the old key or the new one, and a counter that was once used never comes back. Functions
 * return 0 or negative where they do not say otherwise. Who loads a key wipes it.
 */
#include <stdbool.h>
#include <stdint.h>

struct secret_key {
	uint8_t psk[32], seed[32];
	bool required; /* the node answers to sessions only */
};

/* What a power cut left behind is erased. Once at each start, before the rest. */
void secrets_tidy(void);

/* False when the node has no key. */
bool secrets_load(struct secret_key *ret);
/* The key from now on; the one before it is erased. */
int secrets_store(const struct secret_key *key);

/* Of the session that comes next; 0: there can be none. */
uint32_t secrets_counter(void);
/* Uses it up: it is in flash, or this fails. counter is what secrets_counter said. */
int secrets_use_counter(uint32_t counter);
