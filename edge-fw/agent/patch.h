/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An image that comes as a patch (docs/SPEC-dfu.md, "Patch"): what is uploaded is written beside
 * the place of the image, and when it is whole the image is made of it and slot 0, between
 * requests. patch.c, or patch-none.c where there is no room for it.
 */
#include "agent/request.h"

struct upload;
struct rebuild;

void patch_init(struct agent *a);
/* Pairs of identify's answer, and of a refusal's for this reason. */
void patch_put_identity(const struct agent *a, struct cbor_writer *w);
void patch_put_why(const struct agent *a, struct cbor_writer *w, enum ef_reason reason);

/* What comes now is a patch: the preflight said so. */
bool patch_begins(struct upload *u);
/* What is uploaded is one. */
bool patch_is(const struct upload *u);
/* The upload that begins with these bytes is that patch; says where it is to lie. */
enum ef_reason patch_vouch(struct agent *a, const struct value *data);
/* The state says that what lies there is the beginning of this patch, if it is one. */
bool patch_known(const struct agent *a, const struct upload *u);
/* Another upload: the state is going to say which patch it is, and where the image of one comes is
 * blank. Negative: the flash failed. */
int patch_note(struct agent *a, struct upload *u);
/* What lies there is all of it already, from before a reset; wanted is then behind it. */
bool patch_whole(struct upload *u);
/* It was uploaded to its end. OK: the image is going to be made of it. */
enum ef_reason patch_finish(struct agent *a);
/* Makes some more of the image; false: there is nothing to do. */
bool patch_poll(struct agent *a);
bool patch_making(const struct agent *a);
/* What is under way ends: something else comes into slot 1, or nothing. */
void patch_stop(struct agent *a);
