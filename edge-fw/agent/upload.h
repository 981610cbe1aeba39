/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Image upload, the one command of group 1 that has a state of its own. */
#include "agent/request.h"

#define UPLOAD_FIELDS "off:u len:u sha:b data:b image:u upgrade:f"
struct outcome image_upload(struct agent *a, const struct value *v, struct cbor_writer *w);
