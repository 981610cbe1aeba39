/* SPDX-License-Identifier: Apache-2.0 */
/* The world's publisher: what the server has, releases and bundles. */
#include "bundle/chunks.h"
#include "util/hex.h"
#include "world.h"
#include <check.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>

#define VENDOR "edgeferry.github.io"

static void sha256(const void *data, size_t size, uint8_t out[32])
{
	ck_assert_int_eq(EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL), 1);
}

void world_remove(struct world *w, const char *path)
{
	for (size_t i = 0; i < w->n_files; i++)
		if (strcmp(w->files[i].path, path) == 0) {
			free(w->files[i].data);
			memmove(&w->files[i], &w->files[i + 1],
				(--w->n_files - i) * sizeof(w->files[0]));
			return;
		}
}

void world_put(struct world *w, const char *path, const void *data, size_t size)
{
	world_remove(w, path);
	ck_assert_uint_lt(w->n_files, sizeof(w->files) / sizeof(w->files[0]));
	snprintf(w->files[w->n_files].path, sizeof(w->files[0].path), "%s", path);
	w->files[w->n_files].data = malloc(size);
	memcpy(w->files[w->n_files].data, data, size);
	w->files[w->n_files++].size = size;
}

static void put_object(struct world *w, const void *data, size_t size, char hex[65])
{
	uint8_t digest[32];
	char path[96];

	sha256(data, size, digest);
	snprintf(path, sizeof(path), "objects/%s", digest_hex(digest, hex));
	world_put(w, path, data, size);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static size_t put_tlv(uint8_t *p, unsigned type, const void *data, size_t size)
{
	put16(p, type);
	put16(p + 2, (unsigned)size);
	memcpy(p + 4, data, size);
	return 4 + size;
}

/* Header, 64 bytes of payload, protected counter and UUIDs, digest. The digest TLV comes last. */
static size_t make_image(uint8_t *out, const char *compatible, unsigned major, uint32_t security)
{
	uint8_t vendor[16], class_id[16], counter[4] = {(uint8_t)security}, digest[32];
	size_t at = 32 + 64, protected_at = at;

	memset(out, 0, at);
	put16(out, 0xb83d);
	put16(out + 2, 0x96f3);
	put16(out + 8, 32);
	put16(out + 12, 64);
	out[20] = (uint8_t)major;
	memset(out + 32, (int)major, 64);
	ck_assert(compatible_uuids(compatible, vendor, class_id));
	at += 4;
	at += put_tlv(out + at, EF_TLV_SEC_CNT, counter, 4);
	at += put_tlv(out + at, EF_TLV_UUID_VID, vendor, 16);
	at += put_tlv(out + at, EF_TLV_UUID_CID, class_id, 16);
	put16(out + protected_at, EF_IMAGE_TLV_PROT_INFO);
	put16(out + protected_at + 2, (unsigned)(at - protected_at));
	put16(out + 10, (unsigned)(at - protected_at));
	sha256(out, at, digest);
	put16(out + at, EF_IMAGE_TLV_INFO);
	put16(out + at + 2, 4 + 36);
	at += 4;
	return at + put_tlv(out + at, EF_TLV_SHA256, digest, 32);
}

static unsigned major_of(const char *version)
{
	return (unsigned)atoi(version);
}

void world_hash(const struct world *w, const char *version, size_t node, uint8_t out[32])
{
	uint8_t image[512];
	uint32_t security = 1;

	for (size_t i = 0; i < w->n_releases; i++)
		if (strcmp(w->releases[i].version, version) == 0)
			security = w->releases[i].security;
	size_t n = make_image(image, w->nodes[node].compatible, major_of(version), security);

	memcpy(out, image + n - 32, 32);
}

void world_rootfs(const char *version, uint8_t out[32])
{
	char text[64];

	snprintf(text, sizeof(text), "root filesystem %s", version);
	sha256(text, strlen(text), out);
}

static void say_protocol(json_t *list, const unsigned range[2])
{
	json_t *last = json_array_get(list, json_array_size(list) - 1);

	if (range[0] > 0)
		json_object_set_new(last, "protocol",
			json_pack("{s:i, s:i}", "min", (int)range[0], "max", (int)range[1]));
}

static void add_mcu(struct world *w, json_t *list, size_t node, const struct world_release *r)
{
	static const char *const names[] = {"meter", "sensor"};
	uint8_t image[512];
	char hex[65], wrong[64];
	const char *compatible = w->nodes[node].compatible;

	if (node == 0 && r->wrong_board) {
		snprintf(wrong, sizeof(wrong), VENDOR ",%s", r->wrong_board);
		compatible = wrong;
	}
	size_t n =
		make_image(image, compatible, major_of(r->version), r->security ? r->security : 1);
	put_object(w, image, n, hex);
	json_array_append_new(list,
		json_pack("{s:s, s:s, s:s, s:{s:i, s:i}, s:s, s:i, s:s, s:{s:s, s:i}, s:[], s:i, "
			  "s:i}",
			"name", names[node], "type", "mcu", "compatible", w->nodes[node].compatible,
			"hardware", "min", 1, "max", 1, "version", r->version, "security",
			r->security ? r->security : 1, "policy",
			node == 1 && r->sensor_policy ? r->sensor_policy : "required", "image",
			"sha256", hex, "size", (int)n, "requires", "self_test", 5, "confirm", 60));
	if (node == 1 && r->sensor_budget > 0)
		json_object_set_new(json_array_get(list, json_array_size(list) - 1), "budget",
			json_integer(r->sensor_budget));
	json_t *last = json_array_get(list, json_array_size(list) - 1);
	if (node == 0 && r->meter_budget > 0)
		json_object_set_new(last, "budget", json_integer(r->meter_budget));
	if (node == 0 && r->meter_soak > 0)
		json_object_set_new(last, "soak", json_integer(r->meter_soak));
	if (node == 0 && r->meter_policy)
		json_object_set_new(last, "policy", json_string(r->meter_policy));
	say_protocol(list, r->node_protocol);
}

/* Image, index and pack of one partition; the pack's bytes are all fill. */
static json_t *payload(struct world *w, const uint8_t image_sha256[32], uint32_t image_size,
	int fill, char pack[65])
{
	struct chunk_group group = {.body = {.size = image_size, .pack_size = 90}, .leaf_size = 10};
	struct chunk_index x = {
		.image_size = image_size, .pack_size = 100, .groups = &group, .n_groups = 1};
	char image[65], index[65];
	uint8_t *data, bytes[100];
	size_t size;

	memset(bytes, fill, sizeof(bytes));
	memset(group.body.digest, 1, sizeof(group.body.digest));
	memset(group.body.pack_digest, 2, sizeof(group.body.pack_digest));
	memcpy(x.image_sha256, image_sha256, 32);
	sha256(bytes, sizeof(bytes), x.pack_sha256);
	ck_assert_int_eq(chunk_index_format(&x, &data, &size), 0);
	put_object(w, data, size, index);
	put_object(w, bytes, sizeof(bytes), pack);
	free(data);
	digest_hex(x.image_sha256, image);
	return json_pack("{s:{s:s, s:i}, s:{s:s, s:i}, s:{s:s, s:i}}", "image", "sha256", image,
		"size", (int)image_size, "index", "sha256", index, "size", (int)size, "pack",
		"sha256", pack, "size", 100);
}

void world_boot_image(const char *version, uint8_t out[32])
{
	world_rootfs(version, out);
	out[31] ^= 0xff;
}

static void add_rootfs(struct world *w, json_t *list, const struct world_release *r)
{
	int fill = (int)major_of(r->version);
	uint8_t image[32], boot[32];
	char pack[65], other[65];

	world_rootfs(r->same_root ? r->same_root : r->version, image);
	world_boot_image(r->version, boot);
	json_t *c = payload(w, image, r->verity ? 2 * WORLD_VERITY : 4096, fill, pack);
	json_object_update_new(
		c, json_pack("{s:s, s:s, s:s, s:{s:i, s:i}, s:s, s:i, s:s, s:[], s:i, s:i}", "name",
			   "rootfs", "type", "rootfs", "compatible", VENDOR ",sim-gateway",
			   "hardware", "min", 1, "max", 1, "version", r->version, "security",
			   r->security ? r->security : 1, "policy", "required", "requires",
			   "self_test", 5, "confirm", 60));
	json_array_append_new(list, c);
	say_protocol(list, r->gateway_protocol);
	if (r->verity)
		json_object_set_new(
			c, "verity", json_pack("{s:i, s:s}", "offset", WORLD_VERITY, "root", pack));
	if (r->boot)
		json_object_set_new(c, "boot", payload(w, boot, 2048, fill + 100, other));
}

void world_publish(struct world *w, const struct world_release *r)
{
	json_t *list = json_array();
	char path[180];
	size_t i = w->n_releases++;

	for (size_t n = 0; n < 2; n++)
		add_mcu(w, list, n, r);
	if (!r->no_rootfs)
		add_rootfs(w, list, r);
	json_t *order = json_loads(r->order	  ? r->order
				   : r->no_rootfs ? "[\"meter\", \"sensor\"]"
						  : "[\"meter\", \"sensor\", \"rootfs\"]",
		0, NULL);
	json_t *m = json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:o, s:o}", "schema", 1, "product",
		"demo", "version", r->version, "sequence", (json_int_t)r->sequence, "kind",
		"feature", "notes", "", "components", list, "order", order);
	char *text = json_dumps(m, 0);
	strcpy(w->releases[i].version, r->version);
	snprintf(w->releases[i].path, sizeof(w->releases[i].path), "releases/demo/%s.json",
		r->version);
	strcpy(w->releases[i].file, w->releases[i].path);
	w->releases[i].sequence = r->sequence;
	w->releases[i].security = r->security ? r->security : 1;
	w->releases[i].size = strlen(text);
	sha256(text, strlen(text), w->releases[i].sha256);
	w->releases[i].custom = json_pack("{s:s, s:s, s:I, s:s}", "product", "demo", "version",
		r->version, "sequence", (json_int_t)r->sequence, "kind", "feature");
	snprintf(path, sizeof(path), "targets/%s", w->releases[i].path);
	world_put(w, path, text, strlen(text));
	free(text);
	json_decref(m);
	if (w->repo)
		world_repo_sign(w);
}

static const char *const metadata[] = {"snapshot", "targets", "releases"};

static bool add_member(struct bundle_writer *b, struct world *w, const char *path)
{
	for (size_t i = 0; i < w->n_files; i++)
		if (strcmp(w->files[i].path, path) == 0) {
			ck_assert_int_eq(
				bundle_writer_add(b, path, w->files[i].data, w->files[i].size), 0);
			return true;
		}
	return false;
}

/* As edgeferry-repo does it: all roots, timestamp, the newest of each role. */
static void add_metadata(struct bundle_writer *b, struct world *w)
{
	char path[64];

	for (unsigned v = 1; v < 100; v++) {
		snprintf(path, sizeof(path), "metadata/%u.root.json", v);
		add_member(b, w, path);
	}
	add_member(b, w, "metadata/timestamp.json");
	for (size_t i = 0; i < 3; i++)
		for (unsigned v = 100; v > 0; v--) {
			snprintf(path, sizeof(path), "metadata/%u.%s.json", v, metadata[i]);
			if (add_member(b, w, path))
				break;
		}
}

static void add_objects(struct bundle_writer *b, struct world *w, const struct manifest *m)
{
	char path[96], hex[DIGEST_HEX_MAX];

	for (size_t i = 0; i < m->n_components; i++) {
		const struct component *c = &m->components[m->order[i]];
		const struct object *list[] = {&c->image, NULL};
		if (c->type == COMPONENT_ROOTFS) {
			list[0] = &c->index;
			list[1] = &c->pack;
		}
		for (size_t k = 0; k < 2 && list[k]; k++) {
			snprintf(
				path, sizeof(path), "objects/%s", digest_hex(list[k]->sha256, hex));
			ck_assert(add_member(b, w, path));
		}
	}
}

static struct manifest *newest_manifest(struct world *w, const char *path)
{
	struct manifest *m = NULL;
	struct error e = {0};

	for (size_t i = 0; i < w->n_files; i++)
		if (strcmp(w->files[i].path, path) == 0)
			ck_assert_int_eq(manifest_parse(w->files[i].data, w->files[i].size, &m, &e),
				EF_REASON_OK);
	ck_assert_ptr_nonnull(m);
	return m;
}

int world_bundle(struct world *w)
{
	struct bundle_writer *b;
	char path[256], manifest[200];

	snprintf(path, sizeof(path), "%s/demo.ferry", w->dir);
	snprintf(manifest, sizeof(manifest), "targets/%s", w->releases[w->n_releases - 1].file);
	struct manifest *m = newest_manifest(w, manifest);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bundle_writer_open(fd, &b), 0);
	add_metadata(b, w);
	ck_assert(add_member(b, w, manifest));
	add_objects(b, w, m);
	ck_assert_int_eq(bundle_writer_finish(b), 0);
	ck_assert_int_eq(close(fd), 0);
	manifest_free(m);
	w->server_down = true;
	return open(path, O_RDONLY | O_CLOEXEC);
}
