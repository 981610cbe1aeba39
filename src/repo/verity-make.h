/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The dm-verity tree of an image, by veritysetup(8) of the publisher's machine. */
#include "bundle/verity.h"
#include "repo/workspace.h"
#include <limits.h>

/*
 * how: NULL, nothing; "make", a copy of the image with superblock and tree behind it, the same for
 * the same image; "OFFSET:ROOT", what the image has already. Both are checked as a whole. path: of
 * the image to publish; when it is not the one given, the caller unlinks it.
 */
enum ef_reason verity_make(const struct workspace *w, const char *how, const char *image,
	char path[PATH_MAX], struct verity *ret, struct error *e);
