/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A request as the command handlers see it: known keys found, types checked, order forgotten. */
#include "wire/cbor.h"
#include <edgeferry/smp.h>
#include <edgeferry/status.h>
#include <edgeferry/version.h>

#define REQUEST_FIELDS_MAX 6

struct value {
	bool present;
	uint32_t number; /* unsigned, flag; a number above 32 bits is refused before */
	const uint8_t *data;
	size_t size;
};

struct agent;

/* How a handler ended: 0, an enum ef_reason, or below 0 the negative of an enum ef_smp_rc. One word
 * in a struct, so that it is mistaken for neither and comes back in a register. */
struct outcome {
	int code;
};
#define DONE ((struct outcome){0})

static inline struct outcome smp_error(enum ef_smp_rc rc)
{
	return (struct outcome){.code = -(int)rc};
}

static inline struct outcome refused(enum ef_reason reason)
{
	return (struct outcome){.code = (int)reason};
}

/* v in the order of the command's fields; entries of the answer's map go to w. */
typedef struct outcome (*handler)(struct agent *a, const struct value *v, struct cbor_writer *w);

struct command {
	uint8_t number, op;
	bool harmless;	    /* changes nothing that outlives it */
	const char *fields; /* "key:type" with a blank between two; u unsigned, f flag, b bytes, t
			       text. NULL: the body is no map, and v[0] */
	handler handle;
};

struct command_group {
	uint16_t number;
	uint8_t n_commands;
	bool application; /* the bootloader does not have it */
	const struct command *commands;
};
#define COMMAND_GROUP(number, application, commands)                                             \
	{                                                                                        \
		number, (uint8_t)(sizeof(commands) / sizeof(*(commands))), application, commands \
	}

/*
 * What a program can do is what is linked: one of groups-*.c. Of two commands of the same number
 * the first counts. NULL at the end.
 */
extern const struct command_group *const agent_groups[];
extern const struct command_group os_group, os_info_group, image_group, slot_info_group,
	edgeferry_group, data_group, lease_group, patch_group, spread_group;
/* of the application only */
extern const struct command_group os_more_group, datetime_group, stat_group, settings_group,
	monitor_group, keys_group;

/* False when the body is not a map or a known key has the wrong type or comes twice. */
bool request_parse(const uint8_t *body, size_t size, const char *fields, struct value *v);

/* A pair of the answer's map. */
void put_uint(struct cbor_writer *w, const char *key, uint32_t n);
/* Several of them: keys with a blank between two. */
void put_uints(struct cbor_writer *w, const char *keys, const uint32_t *n);
/* The same of flags; the lowest bit is that of the first key. */
void put_bools(struct cbor_writer *w, const char *keys, unsigned bits);
void put_version(struct cbor_writer *w, const char *key, const struct ef_version *version);
void put_bool(struct cbor_writer *w, const char *key, bool b);
void put_text(struct cbor_writer *w, const char *key, const char *s);
void put_bytes(struct cbor_writer *w, const char *key, const void *data, size_t size);

/* Whether the node would take an image. */
#define PREFLIGHT_FIELDS "hdr:b tlv:b size:u mid:b"
struct outcome ef_preflight(struct agent *a, const struct value *v, struct cbor_writer *w);

/* The line of OS info for people: which program, which version, on what. */
struct outcome os_info(struct agent *a, const struct value *v, struct cbor_writer *w);
