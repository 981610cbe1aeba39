/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/keys.h"
#include "repo/metadata.h"
#include "repo/verbs.h"
#include "trust/key.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/json.h"
#include <edgeferry/image.h>
#include <string.h>

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

enum ef_reason verb_key_new(struct invocation *i, struct error *e)
{
	const char *type = "ed25519";
	const struct option options[] = {
		{"key-type", OPTION_TEXT, &type, "TYPE", "ed25519 (default), ecdsa or rsa"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	if (!r)
		r = key_make(&w, i->words.items[0], type, e);
	return r ? r : workspace_save(&w, e);
}

enum ef_reason verb_key_add(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	if (!r)
		r = key_register(&w, i->words.items[0], i->words.items[1], e);
	return r ? r : workspace_save(&w, e);
}

/* The role that lists the key; "edge" for the key of images; "" when none does. */
static const char *role_of_key(const struct workspace *w, const char *name)
{
	for (int role = 0; role < ROLE_COUNT; role++) {
		json_t *list = json_object_get(workspace_role(w, role_names[role]), "keys"), *key;
		size_t i;
		json_array_foreach (list, i, key)
			if (strcmp(json_string_value(key), name) == 0)
				return role_names[role];
	}
	return strcmp(name, "edge") == 0 ? "edge" : "";
}

static json_t *describe(const struct workspace *w, const char *name, const json_t *config)
{
	_cleanup_json_ json_t *object = NULL;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	struct error none = {0};
	char id[65] = "";
	const char *type = "unreadable";

	if (key_object(w, name, &object, id, &none) == EF_REASON_OK)
		json_get_string(object, "keytype", &type);
	none = (struct error){0};
	bool at_hand = key_open(w, name, &key, &none) == EF_REASON_OK;
	return json_pack("{s:s, s:s, s:s, s:s, s:O, s:b}", "name", name, "role",
		role_of_key(w, name), "type", type, "keyid", id, "uri",
		json_object_get(config, "uri"), "at_hand", at_hand);
}

static void print_keys(const json_t *list)
{
	json_t *key;
	size_t i;

	printf("%-16s %-10s %-9s %-8s %-14s %s\n", "NAME", "ROLE", "TYPE", "AT HAND", "KEYID",
		"URI");
	json_array_foreach (list, i, key)
		printf("%-16s %-10s %-9s %-8s %-14.12s %s\n",
			json_string_value(json_object_get(key, "name")),
			json_string_value(json_object_get(key, "role")),
			json_string_value(json_object_get(key, "type")),
			json_is_true(json_object_get(key, "at_hand")) ? "yes" : "no",
			json_string_value(json_object_get(key, "keyid")),
			json_string_value(json_object_get(key, "uri")));
}

enum ef_reason verb_key_list(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_json_ json_t *list = json_array();
	const char *name;
	json_t *value;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	if (r)
		return r;
	json_object_foreach (json_object_get(w.config, "keys"), name, value)
		json_array_append_new(list, describe(&w, name, value));
	if (!w.json) {
		print_keys(list);
		return EF_REASON_OK;
	}
	_cleanup_free_ char *text = json_file_text(list);
	fputs(text ? text : "", stdout);
	return text ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "key list");
}

static enum ef_reason print_pem(EVP_PKEY *key, const char *name, struct error *e)
{
	_cleanup_free_ char *pem = key_public_pem(key);

	fputs(pem ? pem : "", stdout);
	return pem ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "%s", name);
}

static enum ef_reason print_tuf(EVP_PKEY *key, const char *name, struct error *e)
{
	_cleanup_json_ json_t *object = tuf_key_to_json(key);
	_cleanup_free_ char *text = object ? json_file_text(object) : NULL;

	fputs(text ? text : "", stdout);
	return text ? EF_REASON_OK
		    : error_set(e, EF_REASON_BAD_FORMAT, "%s: no kind supported", name);
}

static void print_bytes(const char *member, const uint8_t *data, size_t size)
{
	printf("\t.%s = {", member);
	for (size_t i = 0; i < size; i++)
		printf("%s0x%02x,", i % 12 == 0 ? "\n\t\t" : " ", data[i]);
	puts("\n\t},");
}

/* An initializer of struct ef_image_key, for a bootloader's key set. */
static enum ef_reason print_c(EVP_PKEY *key, const char *name, struct error *e)
{
	_cleanup_free_ uint8_t *spki = NULL;
	uint8_t hash[32], point[65] = {0};
	size_t size;
	enum ef_reason r = key_spki(key, &spki, &size, e);

	if (r)
		return r;
	/* the last bytes of it: an uncompressed point of P-256, or a key of Ed25519 */
	if (EVP_PKEY_is_a(key, "EC") == 1 && size == 91)
		memcpy(point, spki + 26, sizeof(point));
	else if (EVP_PKEY_is_a(key, "ED25519") == 1 && size == 44) {
		point[0] = EF_KEY_ED25519;
		memcpy(point + 1, spki + 12, 32);
	} else
		return error_set(e, EF_REASON_USAGE, "%s is no key for images", name);
	if (EVP_Digest(spki, size, hash, NULL, EVP_sha256(), NULL) != 1)
		return error_set(e, EF_REASON_INTERNAL, "%s: SHA-256 failed", name);
	puts("{");
	print_bytes("hash", hash, sizeof(hash));
	print_bytes("point", point, sizeof(point));
	puts("}");
	return EF_REASON_OK;
}

static enum ef_reason open_any(
	const struct invocation *i, const char *name, EVP_PKEY **key, struct error *e)
{
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;

	/* A file or URI needs no workspace. */
	if (!key_name_valid(name))
		return key_open_public_uri(name, key, e);
	enum ef_reason r = verb_workspace(i, &w, e);
	return r ? r : key_public(&w, name, key, e);
}

enum ef_reason verb_key_public(struct invocation *i, struct error *e)
{
	static const struct {
		const char *name;
		enum ef_reason (*print)(EVP_PKEY *key, const char *name, struct error *e);
	} formats[] = {{"pem", print_pem}, {"tuf", print_tuf}, {"c", print_c}};
	const char *format = "pem";
	const struct option options[] = {
		{"format", OPTION_TEXT, &format, "FORMAT",
			"pem (default), tuf (JSON of metadata) or c (struct ef_image_key)"},
		{0},
	};
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = open_any(i, i->words.items[0], &key, e);
	if (r)
		return r;
	for (size_t k = 0; k < sizeof(formats) / sizeof(formats[0]); k++)
		if (strcmp(formats[k].name, format) == 0)
			return formats[k].print(key, i->words.items[0], e);
	return error_set(e, EF_REASON_USAGE, "--format %s: pem, tuf or c", format);
}
