/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/workspace.h"
#include "bundle/manifest.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/json.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define CONFIG "workspace.json"
#define JSON_FILE_MAX ((size_t)64 << 20)

void note(const struct workspace *w, const char *format, ...)
{
	va_list ap;

	if (w->quiet)
		return;
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

char *json_file_text(const json_t *value)
{
	_cleanup_free_ char *text = json_dumps(value, JSON_INDENT(1) | JSON_SORT_KEYS);
	char *line = NULL;

	if (!text || asprintf(&line, "%s\n", text) < 0)
		return NULL;
	return line;
}

int workspace_dir(const struct workspace *w, const char *name)
{
	if (mkdirat(w->fd, name, strcmp(name, "keys") == 0 ? 0700 : 0755) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(w->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

enum ef_reason workspace_read_json(
	const struct workspace *w, const char *name, json_t **ret, struct error *e)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	int r = file_read_at(w->fd, name, JSON_FILE_MAX, &data, &size);
	if (r < 0)
		return error_errno(e, r, "%s/%s", w->path, name);
	*ret = json_read(data, size, name, e);
	return *ret ? EF_REASON_OK : e->reason;
}

enum ef_reason workspace_write_json(const struct workspace *w, const char *dir, const char *name,
	const json_t *value, struct error *e)
{
	_cleanup_free_ char *text = json_file_text(value);
	_cleanup_close_ int fd = workspace_dir(w, dir);

	if (!text)
		return error_set(e, EF_REASON_NO_MEMORY, "%s/%s", dir, name);
	int r = fd < 0 ? fd : atomic_file_write_at(fd, name, text, strlen(text), 0644);
	if (r < 0)
		return error_errno(e, r, "%s/%s/%s", w->path, dir, name);
	return EF_REASON_OK;
}

enum ef_reason workspace_save(struct workspace *w, struct error *e)
{
	return workspace_write_json(w, ".", CONFIG, w->config, e);
}

const char *workspace_product(const struct workspace *w)
{
	return json_string_value(json_object_get(w->config, "product"));
}

json_t *workspace_role(const struct workspace *w, const char *role)
{
	return json_object_get(json_object_get(w->config, "roles"), role);
}

static enum ef_reason open_folder(struct workspace *w, const char *path, struct error *e)
{
	w->path = strdup(path);
	if (!w->path)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", path);
	w->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->fd < 0)
		return error_errno(e, -errno, "%s", path);
	if (flock(w->fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(e, errno == EWOULDBLOCK ? EF_REASON_BUSY : EF_REASON_IO,
			"%s: used by another edgeferry-repo", path);
	return EF_REASON_OK;
}

static enum ef_reason check_role(
	const char *name, const json_t *role, const json_t *keys, struct error *e)
{
	const json_t *list = json_get_array(role, "keys");
	uint64_t threshold, days;
	size_t i;
	json_t *key;

	if (!list || !json_get_uint(role, "threshold", &threshold) ||
		!json_get_uint(role, "expire_days", &days) || threshold == 0 ||
		threshold > json_array_size(list) || days == 0 || days > 36500)
		return error_set(e, EF_REASON_CONFIG, CONFIG ": role %s", name);
	json_array_foreach (list, i, key)
		if (!json_is_string(key) || !json_object_get(keys, json_string_value(key)))
			return error_set(e, EF_REASON_CONFIG, CONFIG ": keys of role %s", name);
	return EF_REASON_OK;
}

static enum ef_reason check_config(const json_t *config, struct error *e)
{
	static const char *const roles[] = {
		"root", "targets", "releases", "snapshot", "timestamp", "rollouts"};
	const char *product;
	uint64_t schema;

	if (!json_get_uint(config, "schema", &schema) || schema != 1)
		return error_set(e, EF_REASON_CONFIG, CONFIG ": schema is not 1");
	if (!json_get_string(config, "product", &product) || !manifest_name_valid(product))
		return error_set(e, EF_REASON_CONFIG, CONFIG ": product");
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		/* Workspaces made before there were rollouts are without them. */
		if (strcmp(roles[i], "rollouts") == 0 &&
			!json_object_get(json_object_get(config, "roles"), roles[i]))
			continue;
		enum ef_reason r = check_role(roles[i],
			json_get_object(json_get_object(config, "roles"), roles[i]),
			json_get_object(config, "keys"), e);
		if (r)
			return r;
	}
	return EF_REASON_OK;
}

enum ef_reason workspace_open(struct workspace *w, const char *path, struct error *e)
{
	enum ef_reason r = open_folder(w, path, e);

	if (r)
		return r;
	if (faccessat(w->fd, CONFIG, F_OK, 0) < 0 && errno == ENOENT)
		return error_set(e, EF_REASON_NOT_FOUND,
			"%s is no workspace: make one with 'edgeferry-repo init PRODUCT'", path);
	r = workspace_read_json(w, CONFIG, &w->config, e);
	return r ? r : check_config(w->config, e);
}

enum ef_reason workspace_create(
	struct workspace *w, const char *path, const char *product, struct error *e)
{
	if (!manifest_name_valid(product))
		return error_set(e, EF_REASON_USAGE,
			"product '%s': 1 to 32 of a-z, 0-9 and - are taken", product);
	int n = dir_make(path, 0755);
	if (n < 0)
		return error_errno(e, n, "%s", path);
	enum ef_reason r = open_folder(w, path, e);
	if (r)
		return r;
	if (faccessat(w->fd, CONFIG, F_OK, 0) == 0)
		return error_set(e, EF_REASON_USAGE, "%s is a workspace already", path);
	w->config = json_pack(
		"{s:i, s:s, s:{}, s:{}}", "schema", 1, "product", product, "keys", "roles");
	return w->config ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "%s", path);
}

void workspace_close(struct workspace *w)
{
	json_decref(w->config);
	ef_close(w->fd);
	free(w->path);
	*w = (struct workspace)WORKSPACE_EMPTY;
}
