/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Image upload, the one command of group 1 that has a state of its own. */
#include "agent/request.h"

#define UPLOAD_FIELDS "off:u len:u sha:b data:b image:u upgrade:f"
enum { UPLOAD_OFF, UPLOAD_LEN, UPLOAD_SHA, UPLOAD_DATA, UPLOAD_IMAGE, UPLOAD_UPGRADE };
struct outcome image_upload(struct agent *a, const struct value *v, struct cbor_writer *w);

struct upload;
/* What is vouched for: makes slot 1 free for it and goes on where it was broken off, if it was. */
enum ef_reason upload_open(struct agent *a, struct upload *u);
/* Slot 1 holds no beginning of anything that is worth going on with. Negative: the flash failed. */
int upload_forget(struct agent *a);
/* All bytes of the image are there: OK, or why it is none. */
enum ef_reason upload_finish(struct agent *a);
/* At the wanted offset, which goes on. Negative: the flash failed. */
int upload_put(struct upload *u, const uint8_t *data, uint32_t size);
/* Into slot 1 at an offset of the file; what ends within a block is written as well. */
int upload_write(struct upload *u, uint32_t at, const uint8_t *data, uint32_t size);
/* What waits for the rest of its block, up to end. */
int upload_flush(struct upload *u, uint32_t end);
