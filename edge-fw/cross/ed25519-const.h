/* SPDX-License-Identifier: Apache-2.0 */
/* Included before every source of tinyssh that is built for a board: its tables belong into flash,
 * but are not declared const. */
#ifdef SOURCE_ge25519
#include "cleanup.h"
#include "fe25519.h"
#include "ge25519.h"
#define static static const
#endif
