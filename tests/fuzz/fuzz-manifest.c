/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/manifest.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest *m;
	struct error e = {0};

	if (manifest_parse(data, size, &m, &e))
		return 0;
	for (size_t i = 0; i < m->n_components; i++)
		if (m->order[i] >= m->n_components ||
			manifest_component(m, m->components[i].name) != &m->components[i])
			abort();
	manifest_free(m);
	return 0;
}
