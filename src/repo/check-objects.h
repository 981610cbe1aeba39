/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The objects of a component against its signed manifest, to the last byte. */
#include "bundle/manifest.h"
#include "repo/progress.h"
#include "repo/release.h"
#include "repo/source.h"
#include <openssl/evp.h>

/*
 * Digests and sizes; of a root filesystem every chunk is decompressed and the whole image hashed;
 * of an MCU image the structure, and with edge_key the signature.
 */
enum ef_reason check_component(const struct published *from, const struct component *c,
	EVP_PKEY *edge_key, const struct workspace *w, struct error *e);
