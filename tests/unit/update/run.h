/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whole deployments: what the tests of them do and ask again and again. */
#include "world.h"

extern struct world
	*w; /* of the test that runs: 1.0.0 and 2.0.0 are published, nothing is asked for */
void setup(void);
void teardown(void);

void install(const char *version);
void install_bundle(void);
/* The last deployment ended so; why. */
struct error ends(enum deployment_state state);

bool node_has(size_t i, const char *version);
bool gateway_runs(const char *version);
/* The whole fleet runs version, for good, and nothing is going to be tried (I-1, I-2). */
void fleet_runs(const char *version, const char *what);

#define CONFIRMED_STORY "offered fetching staged activating trial confirming confirmed "
/* What the history says: the states, in order. */
struct story {
	char text[2048];
	unsigned ends;
};
struct story story(void);

/* A look at the source, and what it found. */
struct checked {
	bool done;
	char version[32];
	struct error error;
};
void on_checked(void *ctx, const char *version, const struct error *e);
struct checked check_now(void);
