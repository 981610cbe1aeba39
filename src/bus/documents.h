/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The JSON documents of docs/io.github.edgeferry1.xml. New references; NULL when out of memory. */
#include "config/config.h"
#include "update/update.h"
#include <jansson.h>

struct document_source {
	const struct config *config;
	struct update *update;
	const char *broker;	       /* "connected", "disconnected", "none" */
	const struct error *key_fault; /* of a client key in a token */
};

json_t *document_status(const struct document_source *s);
json_t *document_node(const struct document_source *s, size_t node);
json_t *document_nodes(const struct document_source *s);
json_t *document_slot(const struct document_source *s, enum slot_id slot);
json_t *document_deployment(const struct deployment *d);
json_t *document_deployments(const struct document_source *s, unsigned max);
json_t *document_plan(const struct update_plan *p);    /* plan-document.c */
json_t *document_discovery(const struct discovery *d); /* discovery-document.c */
json_t *document_releases(const struct document_source *s);
json_t *document_event(const struct event *ev);
json_t *document_history(const struct document_source *s, unsigned max);
