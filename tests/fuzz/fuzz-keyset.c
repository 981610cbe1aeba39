/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document that brings a key set, from whoever: nothing that a fuzzer finds is signed, so nothing
 * may be taken, and what is taken apart on the way stays within the document.
 */
#include "boot/keyset.h"
#include "flash-sim.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct factory f = {.n_keys = 3, .threshold = 2}, next;
	uint8_t *document = malloc(size);

	if (!document)
		return 0;
	if (size)
		memcpy(document, data, size);
	for (unsigned i = 0; i < f.n_keys; i++) {
		memset(f.keys[i].hash, (int)i, 32);
		f.keys[i].point[0] = 4;
	}
	if (keyset_check(document, size, &f, &next) == EF_REASON_OK)
		abort();
	free(document);
	return 0;
}
