/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/bundle.h"
#include "util/fdio.h"
#include <stdlib.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bundle *b;
	struct error e = {0};
	size_t n;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || fd_write_full(fd, data, size) < 0)
		abort();
	if (bundle_open(fd, "fuzz", &b, &e))
		return 0;
	const struct bundle_member *m = bundle_members(b, &n);
	for (size_t i = 0; i < n; i++) {
		uint8_t *p;
		size_t got;
		/* what the reader says must be there */
		if (bundle_find(b, m[i].name) != &m[i] ||
			bundle_read(b, m[i].name, size, &p, &got, &e) || got != m[i].size)
			abort();
		free(p);
	}
	bundle_close(b);
	return 0;
}
