/* SPDX-License-Identifier: Apache-2.0 */
/* For cores that multiply 32 by 32 bits to 32: X25519 on the integers that P-256 uses, too. */
#include "boot/session-crypto.h"

const br_ec_impl *const crypto_x25519 = &br_ec_c25519_i15;
const br_poly1305_run crypto_poly1305 = br_poly1305_ctmul32_run;
