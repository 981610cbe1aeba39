/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Texts of enum ef_reason and the error that carries one. */
#include <edgeferry/status.h>
#include <stdbool.h>
#include <stddef.h>

const char *reason_word(enum ef_reason r); /* "bad-signature"; "internal" for an unknown number */
const char *reason_text(enum ef_reason r); /* what happened */
const char *reason_hint(enum ef_reason r); /* what to do; may be "" */
bool reason_from_word(const char *word, enum ef_reason *ret);
enum ef_reason reason_from_errno(int negative_errno);

/*
 * An outcome with its detail: which file, line, component, node. Functions that can refuse for
 * domain reasons take a struct error * (never NULL) and return its reason, EF_REASON_OK = 0.
 * The text is cut at the buffer and stripped of control characters (S-35).
 */
struct error {
	enum ef_reason reason;
	char detail[256];
};

/* Fills e, returns reason. The first failure is kept: a second call on a failed e changes nothing.
 */
enum ef_reason error_set(struct error *e, enum ef_reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with strerror(-negative_errno) appended after ": ". */
enum ef_reason error_errno(struct error *e, int negative_errno, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void error_clear(struct error *e);

/* "WORD: TEXT: DETAIL (HINT)" for a person; parts that are empty are left out. */
void error_format(const struct error *e, char *out, size_t size);
