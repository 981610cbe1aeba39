/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which processors' code a program can make out of a patch: one of models-*.c. NULL at the end. */
#include <edgeferry/patch.h>

extern const struct ef_patch_model *const patch_models[];
