/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a flash as it leaves the factory, as tests/lab/factory.py does for the boards. */
#include "boot/factory.h"
#include "host.h"
#include "wire/crc.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define SPKI_SIZE 91 /* DER of an uncompressed P-256 key, the point at its end */

static const uint8_t namespace_dns[16] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80,
	0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};

/* RFC 4122, version 5 */
static bool uuid5(const uint8_t space[16], const char *name, uint8_t ret[16])
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool good = c && EVP_DigestInit_ex(c, EVP_sha1(), NULL) == 1 &&
		    EVP_DigestUpdate(c, space, 16) == 1 &&
		    EVP_DigestUpdate(c, name, strlen(name)) == 1 &&
		    EVP_DigestFinal_ex(c, sum, NULL) == 1;

	EVP_MD_CTX_free(c);
	if (!good)
		return false;
	memcpy(ret, sum, 16);
	ret[6] = (ret[6] & 0x0f) | 0x50;
	ret[8] = (ret[8] & 0x3f) | 0x80;
	return true;
}

static bool read_key(const char *path, struct ef_image_key *ret)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key = f ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;
	unsigned char *der = NULL;
	int n = key ? i2d_PUBKEY(key, &der) : -1;
	bool good = n == SPKI_SIZE && der[SPKI_SIZE - 65] == 4 &&
		    EVP_Digest(der, SPKI_SIZE, ret->hash, NULL, EVP_sha256(), NULL) == 1;

	if (good)
		memcpy(ret->point, der + SPKI_SIZE - 65, 65);
	else
		fprintf(stderr, "edgeferry-node: %s: not a P-256 public key in PEM\n", path);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	if (f)
		fclose(f);
	return good;
}

static bool read_image(const char *path, uint8_t *to, uint32_t max)
{
	FILE *f = fopen(path, "re");
	bool good = f != NULL;

	if (f) {
		size_t n = fread(to, 1, max, f);
		good = !ferror(f) && n > 0 && getc(f) == EOF;
		fclose(f);
	}
	if (!good)
		fprintf(stderr, "edgeferry-node: %s: cannot be read or does not fit a slot\n",
			path);
	return good;
}

bool host_provision(uint8_t *flash, const struct port_board *b, const struct provision *p)
{
	struct factory f = {
		.magic = FACTORY_MAGIC,
		.version = FACTORY_VERSION,
		.size = sizeof(f),
		.hardware_revision = p->hardware_revision,
		.floor = p->floor,
		.n_keys = (uint8_t)p->n_keys,
	};

	memcpy(f.device_id, p->device_id, 16);
	if (!uuid5(namespace_dns, p->vendor, f.vendor) ||
		!uuid5(f.vendor, p->class_name, f.class_id))
		return false;
	for (unsigned i = 0; i < p->n_keys; i++)
		if (!read_key(p->keys[i], &f.keys[i]))
			return false;
	if (p->image && !read_image(p->image, flash + b->slot[0].offset, b->slot[0].size))
		return false;
	f.crc = crc32_ieee(0, &f, offsetof(struct factory, crc));
	memcpy(flash + b->factory.offset, &f, sizeof(f));
	return true;
}
