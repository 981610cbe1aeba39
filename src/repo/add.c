/* SPDX-License-Identifier: Apache-2.0 */
/* add rootfs, add mcu: from files to staged components and objects. */
#include "bundle/objects.h"
#include "repo/chunker.h"
#include "repo/component.h"
#include "repo/image.h"
#include "repo/keys.h"
#include "repo/known-keys.h"
#include "repo/verbs.h"
#include "repo/verity-make.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

static enum ef_reason chunk_file(const struct workspace *w, const char *path, int level,
	struct chunker_result *result, struct error *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int objects = workspace_dir(w, "objects");
	struct progress progress;

	if (fd < 0)
		return error_errno(e, -errno, "%s", path);
	if (objects < 0)
		return error_errno(e, objects, "%s/objects", w->path);
	off_t size = lseek(fd, 0, SEEK_END);
	if (size < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return error_errno(e, -errno, "%s", path);
	progress_begin(&progress, w, path, (uint64_t)size);
	enum ef_reason r = chunker_run(fd, path, level, objects, &progress, result, e);
	progress_end(&progress);
	if (!r && result->image.size != (uint64_t)size)
		r = error_set(e, EF_REASON_IO, "%s: changed while it was read", path);
	return r;
}

static json_t *payload_json(const struct chunker_result *x)
{
	return json_pack("{s:o, s:o, s:o}", "image", component_object(&x->image), "index",
		component_object(&x->index), "pack", component_object(&x->pack));
}

static void tell(const struct workspace *w, const char *name, const char *what,
	const struct chunker_result *x)
{
	note(w, "%s %s: %llu bytes, %llu in the pack, %zu chunks, %zu of them zero", name, what,
		(unsigned long long)x->image.size, (unsigned long long)x->pack.size, x->n_chunks,
		x->n_zero);
}

/* The boot partition that goes with it. */
static enum ef_reason add_boot(const struct workspace *w, const char *path, int level,
	json_t *objects, struct chunker_result *x, struct error *e)
{
	enum ef_reason r = chunk_file(w, path, level, x, e);

	if (!r && json_object_set_new(objects, "boot", payload_json(x)) < 0)
		r = error_set(e, EF_REASON_NO_MEMORY, "%s", path);
	return r;
}

enum ef_reason verb_add_rootfs(struct invocation *i, struct error *e)
{
	struct component_options c;
	struct option options[COMPONENT_OPTIONS + 4];
	uint64_t level = 9;
	const char *how = NULL, *boot = NULL;
	char image[PATH_MAX], hex[DIGEST_HEX_MAX];
	struct verity verity;
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_json_ json_t *objects = NULL;
	struct chunker_result x = {0}, of_boot = {0};
	enum ef_reason r;

	component_options_table(&c, options);
	options[COMPONENT_OPTIONS] = (struct option){
		"level", OPTION_NUMBER, &level, "N", "compression level of zstd (default: 9)"};
	options[COMPONENT_OPTIONS + 1] = (struct option){"verity", OPTION_TEXT, &how, "HOW",
		"dm-verity: make appends its tree, OFFSET:ROOT is there already"};
	options[COMPONENT_OPTIONS + 2] = (struct option){"boot", OPTION_TEXT, &boot, "IMAGE",
		"of the slot's own boot partition, for gateways with BootA= and BootB="};
	options[COMPONENT_OPTIONS + 3] = (struct option){0};
	if (!verb_begin(i, options, &r, e))
		return r;
	if (!chunker_level_valid(level))
		return error_set(
			e, EF_REASON_USAGE, "--level %llu: 1 to 22", (unsigned long long)level);
	r = c.version ? component_try(i->words.items[0], COMPONENT_ROOTFS, &c, e)
		      : error_set(e, EF_REASON_USAGE, "--version is needed");
	if (!r)
		r = verb_workspace(i, &w, e);
	if (!r)
		r = verity_make(&w, how, i->words.items[1], image, &verity, e);
	if (r)
		return r;
	r = chunk_file(&w, image, (int)level, &x, e);
	if (strcmp(image, i->words.items[1]) != 0)
		unlink(image);
	if (r)
		return r;
	objects = payload_json(&x);
	if (boot && add_boot(&w, boot, (int)level, objects, &of_boot, e))
		return e->reason;
	if (verity.offset)
		json_object_set_new(objects, "verity",
			json_pack("{s:I, s:s}", "offset", (json_int_t)verity.offset, "root",
				digest_hex(verity.root, hex)));
	r = component_stage(&w, i->words.items[0], COMPONENT_ROOTFS, &c, objects, e);
	if (!r)
		tell(&w, i->words.items[0], c.version, &x);
	if (!r && boot)
		tell(&w, i->words.items[0], "boot partition", &of_boot);
	return r;
}

/* The key that --key names: a name in the workspace, a file or a URI. */
static enum ef_reason open_key(
	const struct workspace *w, const char *name, EVP_PKEY **ret, struct error *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	enum ef_reason r = w->config && key_name_valid(name) && access(name, F_OK) < 0
				   ? key_open(w, name, &key, e)
				   : key_open_uri(name, &key, e);

	if (!r)
		r = known_key_refuse(key, name, w->allow_test_keys, e);
	if (!r)
		*ret = TAKE_PTR(key);
	return r;
}

static enum ef_reason fill_spec(struct image_spec *spec, const struct component_options *c,
	uint64_t header, struct error *e)
{
	if (!c->version || !ef_version_parse(c->version, &spec->version))
		return error_set(e, EF_REASON_USAGE, "--version %s: 1.2.3 or 1.2.3+4 is needed",
			c->version ? c->version : "");
	if (c->security != UINT64_MAX && c->security > UINT32_MAX)
		return error_set(e, EF_REASON_USAGE, "--security: out of range");
	if (header > 1024)
		return error_set(e, EF_REASON_USAGE, "--header-size: at most 1024");
	spec->header_size = (uint16_t)header;
	spec->has_security = c->security != UINT64_MAX;
	spec->security = spec->has_security ? (uint32_t)c->security : 0;
	spec->compatible = c->compatible;
	spec->repeat_header = true;
	return EF_REASON_OK;
}

/* The image of this component that is staged already. Caller frees; NULL when there is none. */
static uint8_t *staged_image(const struct workspace *w, const char *name, size_t *size)
{
	_cleanup_json_ json_t *component = NULL;
	_cleanup_close_ int objects = workspace_dir(w, "objects");
	struct error none = {0};
	struct object o;
	uint8_t *data = NULL;
	char path[64];

	snprintf(path, sizeof(path), "staged/%s.json", name);
	if (objects < 0 || workspace_read_json(w, path, &component, &none) != EF_REASON_OK)
		return NULL;
	const json_t *image = json_object_get(component, "image");
	if (!json_get_digest(image, "sha256", o.sha256) || !json_get_uint(image, "size", &o.size) ||
		o.size > IMAGE_FILE_MAX ||
		object_get(objects, o.sha256, o.size, &data, &none) != EF_REASON_OK)
		return NULL;
	*size = (size_t)o.size;
	return data;
}

/* In place of a payload, its signed image. */
static enum ef_reason sign_payload(const struct workspace *w, const char *name,
	const struct component_options *c, const char *key_name, uint64_t header, uint8_t **data,
	size_t *size, struct error *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_free_ uint8_t *old = NULL;
	struct image_spec spec;
	uint8_t *image;
	size_t old_size, image_size;
	enum ef_reason r = fill_spec(&spec, c, header, e);

	if (!r)
		r = open_key(w, key_name, &key, e);
	if (r)
		return r;
	old = staged_image(w, name, &old_size);
	if (old && image_is_made_of(old, old_size, &spec, key, *data, *size)) {
		free(*data);
		*data = TAKE_PTR(old);
		*size = old_size;
		return EF_REASON_OK;
	}
	r = image_build(&spec, key, *data, *size, &image, &image_size, e);
	if (r)
		return r;
	free(*data);
	*data = image;
	*size = image_size;
	return EF_REASON_OK;
}

/* Version and security version that were not given come from the image. */
static enum ef_reason take_from_image(const struct workspace *w, struct component_options *c,
	const uint8_t *data, size_t size, const char *file, char version[EF_VERSION_TEXT_MAX],
	struct error *e)
{
	struct ef_image_info info;
	enum ef_reason r = image_look(data, size, file, &info, e);

	if (!r)
		r = known_key_refuse_image(data, size,
			(size_t)info.header.hdr_size + info.header.img_size, file,
			w->allow_test_keys, e);
	if (r)
		return r;
	if (!c->version) {
		ef_version_format(&info.header.version, version);
		c->version = version;
	}
	if (c->security == UINT64_MAX)
		c->security = info.security_counter;
	return EF_REASON_OK;
}

static enum ef_reason put_object(const struct workspace *w, const void *data, size_t size,
	struct object *ret, struct error *e)
{
	_cleanup_close_ int objects = workspace_dir(w, "objects");

	if (objects < 0)
		return error_errno(e, objects, "%s/objects", w->path);
	ret->size = size;
	if (EVP_Digest(data, size, ret->sha256, NULL, EVP_sha256(), NULL) != 1)
		return error_set(e, EF_REASON_INTERNAL, "SHA-256 failed");
	return object_put(objects, ret->sha256, data, size, e);
}

enum ef_reason verb_add_mcu(struct invocation *i, struct error *e)
{
	struct component_options c;
	struct option options[COMPONENT_OPTIONS + 3];
	const char *key = "edge";
	uint64_t header = 0x200;
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_free_ uint8_t *data = NULL;
	_cleanup_json_ json_t *objects = NULL;
	struct object image;
	char version[EF_VERSION_TEXT_MAX];
	size_t size;
	enum ef_reason r;

	component_options_table(&c, options);
	options[COMPONENT_OPTIONS] = (struct option){"key", OPTION_TEXT, &key, "KEY",
		"sign a payload with this key: name, file or URI (default: edge)"};
	options[COMPONENT_OPTIONS + 1] = (struct option){"header-size", OPTION_NUMBER, &header, "N",
		"where the payload begins in its slot (default: 0x200)"};
	options[COMPONENT_OPTIONS + 2] = (struct option){0};
	if (!verb_begin(i, options, &r, e))
		return r;
	const char *name = i->words.items[0], *file = i->words.items[1];
	r = component_try(name, COMPONENT_MCU, &c, e);
	if (!r)
		r = verb_workspace(i, &w, e);
	if (r)
		return r;
	int n = file_read(file, IMAGE_FILE_MAX, &data, &size);
	if (n < 0)
		return error_errno(e, n, "%s", file);
	if (!image_is_one(data, size))
		r = sign_payload(&w, name, &c, key, header, &data, &size, e);
	if (!r)
		r = take_from_image(&w, &c, data, size, file, version, e);
	if (!r)
		r = put_object(&w, data, size, &image, e);
	if (r)
		return r;
	objects = json_pack("{s:o}", "image", component_object(&image));
	r = component_stage(&w, name, COMPONENT_MCU, &c, objects, e);
	if (!r)
		note(&w, "%s %s: image of %zu bytes", name, c.version, size);
	return r;
}

enum ef_reason verb_image_sign(struct invocation *i, struct error *e)
{
	struct component_options c = {.security = UINT64_MAX};
	const char *key_name = "edge";
	uint64_t header = 0x200;
	bool as_imgtool = false;
	const struct option options[] = {
		{"key", OPTION_TEXT, &key_name, "KEY",
			"file, URI or name in the workspace (default: edge)"},
		{"version", OPTION_TEXT, &c.version, "V", "1.2.3 or 1.2.3+4"},
		{"security", OPTION_NUMBER, &c.security, "N", "security counter"},
		{"compatible", OPTION_TEXT, &c.compatible, "V,C",
			"vendor and class it is made for"},
		{"header-size", OPTION_NUMBER, &header, "N",
			"where the payload begins (default: 0x200)"},
		{"as-imgtool", OPTION_FLAG, &as_imgtool, NULL,
			"byte for byte as imgtool: without the signed TLV that repeats the header"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_free_ uint8_t *payload = NULL, *image = NULL;
	struct image_spec spec;
	size_t size, image_size;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	w.allow_test_keys = i->common.allow_test_keys;
	r = fill_spec(&spec, &c, header, e);
	spec.repeat_header = !as_imgtool;
	if (!r && key_name_valid(key_name) && access(key_name, F_OK) < 0)
		r = verb_workspace(i, &w, e);
	if (!r)
		r = open_key(&w, key_name, &key, e);
	if (r)
		return r;
	int n = file_read(i->words.items[0], IMAGE_FILE_MAX, &payload, &size);
	if (n < 0)
		return error_errno(e, n, "%s", i->words.items[0]);
	if (image_is_one(payload, size))
		return error_set(
			e, EF_REASON_BAD_IMAGE, "%s is an image already", i->words.items[0]);
	r = image_build(&spec, key, payload, size, &image, &image_size, e);
	if (r)
		return r;
	n = atomic_file_write(i->words.items[1], image, image_size, 0644);
	return n < 0 ? error_errno(e, n, "%s", i->words.items[1]) : EF_REASON_OK;
}
