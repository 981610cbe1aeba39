/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What depends on the core's multiplier. One of session-crypto-i15.c and -m31.c is linked. */
#include <bearssl_block.h>
#include <bearssl_ec.h>

extern const br_ec_impl *const crypto_x25519;
extern const br_poly1305_run crypto_poly1305;
