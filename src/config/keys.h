/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The tables of sections and keys; edgeferry.conf(5) and edgeferry-nodes.conf(5) list the same. */
#include "config/config.h"
#include "util/ini.h"

/* What a change of a key needs to count while the daemon runs. */
enum config_when {
	CONFIG_NOW,   /* nothing: it is looked at when it is needed */
	CONFIG_NET,   /* edgeferry-net started anew */
	CONFIG_IDLE,  /* the nodes opened anew, with no deployment under way */
	CONFIG_START, /* the daemon started anew */
};

struct config *config_new(void);		 /* the vendor's defaults; NULL: no memory */
int config_node_defaults(struct config_node *n); /* 0 or -ENOMEM */
void config_node_free(struct config_node *n);

/* The key number i of a gateway's, or a node's, files: false behind the last. value: its default or
 * NULL. */
bool config_key(bool node, size_t i, const char **section, const char **name, const char **value);

enum config_when config_key_when(bool node, size_t i); /* i: one that config_key knows */
/* a and b: two struct config, or two struct config_node. */
bool config_key_differs(bool node, size_t i, const void *a, const void *b);
void config_key_swap(bool node, size_t i, void *a, void *b);

/* An item of a file into the configuration, or into a node. OK, or CONFIG with "FILE:LINE: what".
 */
enum ef_reason config_set(struct config *c, const struct ini_item *item, struct error *e);
enum ef_reason config_node_set(struct config_node *n, const struct ini_item *item, struct error *e);
