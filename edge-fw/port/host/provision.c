/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a flash as it leaves the factory, as tests/lab/factory.py does for the boards. */
#include "boot/factory.h"
#include "boot/secrets.h"
#include "host.h"
#include "wire/crc.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SPKI_P256 91 /* DER of an uncompressed key, the point at its end */
#define SPKI_ED25519 44

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
	bool good = false;

	if (n == SPKI_P256 && der[n - 65] == EF_KEY_P256) {
		memcpy(ret->point, der + n - 65, 65);
		good = true;
	} else if (n == SPKI_ED25519) {
		ret->point[0] = EF_KEY_ED25519;
		memcpy(ret->point + 1, der + n - 32, 32);
		good = true;
	}
	good = good && EVP_Digest(der, (size_t)n, ret->hash, NULL, EVP_sha256(), NULL) == 1;
	if (!good)
		fprintf(stderr, "edgeferry-node: %s: not a P-256 or Ed25519 public key in PEM\n",
			path);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	if (f)
		(void)fclose(f);
	return good;
}

static bool read_image(const char *path, uint8_t *to, uint32_t max)
{
	FILE *f = fopen(path, "re");
	bool good = f != NULL;

	if (f) {
		size_t n = fread(to, 1, max, f);
		good = !ferror(f) && n > 0 && getc(f) == EOF;
		(void)fclose(f);
	}
	if (!good)
		fprintf(stderr, "edgeferry-node: %s: cannot be read or does not fit a slot\n",
			path);
	return good;
}

static int digit(int c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 64 digits and nothing else but an end of line. */
static bool read_psk(const char *path, uint8_t ret[32])
{
	FILE *f = fopen(path, "re");
	bool good = f != NULL;
	int c = 0;

	for (int i = 0; good && i < 64; i++) {
		int d = digit(getc(f));
		good = d >= 0;
		ret[i / 2] = (uint8_t)(ret[i / 2] << 4 | (d & 15));
	}
	if (good && (c = getc(f)) == '\n')
		c = getc(f);
	good = good && c == EOF;
	if (!good)
		fprintf(stderr, "edgeferry-node: %s: not 64 lower-case hexadecimal digits\n", path);
	if (f)
		(void)fclose(f);
	return good;
}

/* The node's own code writes the record, into a flash that is not the node's yet. */
static bool put_key(uint8_t *flash, const char *path)
{
	struct secret_key key = {.required = true};
	unsigned long cut_at = host.cut_at;
	bool good = read_psk(path, key.psk) && getentropy(key.seed, sizeof(key.seed)) == 0;

	host.cut_at = 0;
	host.flash = flash;
	good = good && secrets_store(&key) == 0;
	host.flash = NULL;
	host.operations = 0;
	host.cut_at = cut_at;
	OPENSSL_cleanse(&key, sizeof(key));
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
		.flags = (p->plain ? FACTORY_PLAIN_CLIENTS : 0) | (uint32_t)p->address
									  << FACTORY_ADDRESS_SHIFT,
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
	if (p->psk && !put_key(flash, p->psk))
		return false;
	f.crc = crc32_ieee(0, &f, offsetof(struct factory, crc));
	memcpy(flash + b->factory.offset, &f, sizeof(f));
	return true;
}
