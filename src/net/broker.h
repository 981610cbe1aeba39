/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The broker: libmosquitto without its threads on an sd-event loop. A session is made new for each
 * connection, so that nothing of a broken one is left; what must outlive it, the reports that the
 * broker has not taken yet, is kept here.
 */
#include "net/settings.h"
#include "sources/source.h"
#include <systemd/sd-event.h>

#define BROKER_REPORTS_MAX 64u

struct broker;

struct broker_callbacks {
	void *ctx;
	void (*offer)(void *ctx, const struct source_offer *offer); /* at most one a second */
	void (*state)(void *ctx, bool connected);
	void (*report)(void *ctx, uint32_t id, enum ef_reason reason); /* OK: the broker has it */
};

int broker_new(struct broker **ret, sd_event *event, const struct net_settings *settings,
	const struct source_ops *source, const struct broker_callbacks *cb);
void broker_free(struct broker *b);

/* The outcome comes through the callback, a refusal before this returns. */
void broker_report(struct broker *b, uint32_t id, const json_t *report);
