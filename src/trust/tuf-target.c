/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/tuf-target.h"
#include "trust/tuf-role.h"
#include <stdio.h>
#include <string.h>

enum ef_reason tuf_target_fill(struct tuf_target *ret, const char *path, const json_t *entry,
	bool consistent, struct error *e)
{
	struct tuf_hashes hashes;

	*ret = (struct tuf_target){.consistent = consistent};
	if ((size_t)snprintf(ret->path, sizeof(ret->path), "%s", path) >= sizeof(ret->path))
		return error_set(e, EF_REASON_BAD_FORMAT, "path of a target is too long");
	if (!tuf_target_read(entry, &ret->length, &hashes))
		return error_set(
			e, EF_REASON_BAD_DIGEST, "%s: no digest of a kind supported", path);
	ret->has_sha256 = hashes.has_sha256;
	ret->has_sha512 = hashes.has_sha512;
	memcpy(ret->sha256, hashes.sha256, sizeof(ret->sha256));
	memcpy(ret->sha512, hashes.sha512, sizeof(ret->sha512));
	ret->custom = json_object_get(entry, "custom");
	return EF_REASON_OK;
}

void tuf_target_file(const struct tuf_target *target, char *out, size_t size)
{
	char hex[2 * SHA512_SIZE + 1];
	const char *slash = strrchr(target->path, '/');
	int dir = slash ? (int)(slash + 1 - target->path) : 0;
	int n;

	if (target->has_sha256)
		hex_encode(target->sha256, sizeof(target->sha256), hex);
	else
		hex_encode(target->sha512, sizeof(target->sha512), hex);
	if (target->consistent)
		n = snprintf(out, size, "%.*s%s.%s", dir, target->path, hex, target->path + dir);
	else
		n = snprintf(out, size, "%s", target->path);
	if (size > 0 && (n < 0 || (size_t)n >= size))
		out[0] = 0;
}

enum ef_reason tuf_target_check(
	const struct tuf_target *target, const void *data, size_t size, struct error *e)
{
	struct tuf_hashes given = {
		.has_sha256 = target->has_sha256, .has_sha512 = target->has_sha512};
	struct tuf_hashes actual;

	if (size != target->length)
		return error_set(e, EF_REASON_BAD_SIZE, "%s: %zu bytes instead of %llu",
			target->path, size, (unsigned long long)target->length);
	memcpy(given.sha256, target->sha256, sizeof(given.sha256));
	memcpy(given.sha512, target->sha512, sizeof(given.sha512));
	if (!tuf_hashes_of(data, size, &actual))
		return error_set(e, EF_REASON_NO_MEMORY, "%s", target->path);
	if (!tuf_hashes_match(&given, &actual))
		return error_set(e, EF_REASON_BAD_DIGEST, "%s", target->path);
	return EF_REASON_OK;
}
