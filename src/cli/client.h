/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Calls to the daemon, and how their failures are told. */
#include "cli/cli.h"

/* Connects cli->bus. EXIT_DONE, or an exit code with the message printed. */
int client_connect(struct cli *cli);

/*
 * A method of the Manager without arguments, or with those of types (as sd_bus_message_append); the
 * reply is the caller's. EXIT_DONE, or an exit code with the message printed.
 */
int client_call(struct cli *cli, uint64_t timeout_us, const char *member, sd_bus_message **reply,
	const char *types, ...);

/* A method of path and interface that returns one JSON document. */
int client_document(struct cli *cli, const char *path, const char *interface, const char *member,
	json_t **ret, const char *types, ...);

/* The document of a message's text; NULL when it is none. */
json_t *document_parse(const char *text);
/* To the output as it is asked for; a line's end behind it. */
void document_print(const struct cli *cli, const json_t *document);

/* Prints "edgeferry: TEXT" and on a line of its own what to do, if anything, to standard error. */
void complain(const char *hint, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The reason in an error's name, "….Error.BadSignature" → BAD_SIGNATURE; false when it is none of
 * ours. */
bool error_name_reason(const char *name, enum ef_reason *ret);
/* Prints what an error of the bus means here. Returns its exit code. */
int client_error(const sd_bus_error *error, int negative_errno);
int reason_exit(enum ef_reason r);
