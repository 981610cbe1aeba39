/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * What a person has to know beside the verdict on a certificate (X509_V_…): of its dates, what this
 * gateway's clock says (now), and whether that cannot be, being before the program was built. ""
 * for any other verdict. *out is returned.
 */
const char *verdict_note(long verdict, int64_t now, int64_t built, char *out, size_t size);
