/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A request as the command handlers see it: known keys found, types checked, order forgotten. */
#include "wire/cbor.h"
#include <edgeferry/smp.h>
#include <edgeferry/status.h>

#define REQUEST_FIELDS_MAX 4

struct field {
	const char *key;
	enum cbor_type type; /* CBOR_UINT, CBOR_BOOL, CBOR_BYTES or CBOR_TEXT */
};

struct value {
	bool present;
	uint32_t number; /* UINT, BOOL; a number above 32 bits is refused before */
	const uint8_t *data;
	size_t size;
};

struct agent;

/* How a handler ended: at most one of the two is set. */
struct outcome {
	enum ef_smp_rc rc;
	enum ef_reason reason;
};
#define DONE ((struct outcome){EF_SMP_OK, EF_REASON_OK})

static inline struct outcome smp_error(enum ef_smp_rc rc)
{
	return (struct outcome){.rc = rc};
}

static inline struct outcome refused(enum ef_reason reason)
{
	return (struct outcome){.reason = reason};
}

/* v in the order of the command's fields; entries of the answer's map go to w. */
typedef struct outcome (*handler)(struct agent *a, const struct value *v, struct cbor_writer *w);

struct command {
	uint16_t group;
	uint8_t number, op;
	struct field fields[REQUEST_FIELDS_MAX];
	handler handle;
};

/* False when the body is not a map or a known key has the wrong type or comes twice. */
bool request_parse(const uint8_t *body, size_t size, const struct command *c, struct value *v);

/* A pair of the answer's map. */
void put_uint(struct cbor_writer *w, const char *key, uint32_t n);
void put_bool(struct cbor_writer *w, const char *key, bool b);
void put_text(struct cbor_writer *w, const char *key, const char *s);
void put_bytes(struct cbor_writer *w, const char *key, const void *data, size_t size);
void put_reason(struct cbor_writer *w, enum ef_reason reason); /* "err" */

/* The commands, one function each. */
struct outcome os_echo(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome os_reset(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome os_params(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome os_info(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome image_state_read(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome image_state_write(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome image_upload(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome image_erase(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome ef_identify(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome ef_preflight(struct agent *a, const struct value *v, struct cbor_writer *w);
struct outcome ef_key(struct agent *a, const struct value *v, struct cbor_writer *w);
