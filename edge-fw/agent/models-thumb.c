/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/models.h"

const struct ef_patch_model *const patch_models[] = {&ef_patch_generic, &ef_patch_thumb, NULL};
