/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <jansson.h>
#include <stddef.h>

/*
 * Canonical JSON as TUF signs it (OLPC's definition, as securesystemslib encodes it): keys sorted
 * by code point, no white space, only '"' and '\' escaped, integers only. New buffer in *ret, not
 * NUL-counted. -EINVAL on floats; -ENOMEM.
 */
int canonical_json(const json_t *value, char **ret, size_t *size);
