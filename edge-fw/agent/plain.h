/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Stock SMP clients (mcumgr, smpclient …): they have neither preflight nor version 2 of the errors.
 * A program that serves them links plain.c, another plain-none.c.
 */
#include "agent/request.h"

struct upload;

/* They may change something on this device: the factory page says so. */
bool plain_allowed(const struct agent *a);

/*
 * The beginning of an upload as a stock client makes it. Where no preflight vouches for it, because
 * of reason, the header is all that can be looked at before something is erased: the signature
 * stands at the end of the file, and how long the image is shows later. upgrade: only if it is
 * newer than what runs, builds not compared.
 */
enum ef_reason plain_begin(
	struct agent *a, const struct value *data, bool upgrade, enum ef_reason reason);
/* The next bytes of it are about to be taken: finds out where the image ends. */
enum ef_reason plain_take(struct upload *u, const uint8_t *data, uint32_t size);

/* Pairs of the answer's map for version 1 of SMP: why not. */
void plain_put_refusal(struct cbor_writer *w, enum ef_reason reason);
