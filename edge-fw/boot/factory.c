/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/factory.h"
#include "port/port.h"
#include "wire/crc.h"
#include <string.h>

_Static_assert(sizeof(struct ef_image_key) == 97, "keys lie in flash as they are");
_Static_assert(offsetof(struct factory, keys) == 68, "no padding");
_Static_assert(sizeof(struct factory) == 464, "no padding");

bool factory_read(uint32_t offset, struct factory *f)
{
	/* what reads badly once is not taken for absent */
	for (int tries = 0; tries < 2; tries++)
		if (port_flash_read(offset, f, sizeof(*f)) == 0 && f->magic == FACTORY_MAGIC &&
			f->version == FACTORY_VERSION && f->size == sizeof(*f) &&
			f->n_keys <= FACTORY_KEYS_MAX &&
			crc32_ieee(0, f, offsetof(struct factory, crc)) == f->crc)
			return true;
	memset(f, 0, sizeof(*f));
	return false;
}
