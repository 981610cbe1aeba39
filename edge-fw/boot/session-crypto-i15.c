/* SPDX-License-Identifier: Apache-2.0 */
/* For cores that multiply 32 by 32 bits to 32: all on the integers that P-256 uses, too, for size.
 */
#include "boot/session-crypto.h"

const br_ec_impl *const crypto_x25519 = &br_ec_c25519_i15;
const br_poly1305_run crypto_poly1305 = br_poly1305_i15_run;
