/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of the public tuf-conformance suite around src/trust:
 *   tuf-client --metadata-dir D init ROOT
 *   tuf-client --metadata-dir D --metadata-url U refresh
 *   tuf-client --metadata-dir D --metadata-url U --target-name T… --target-base-url B --target-dir
 * O download Several targets are fetched in their order by one client, up to the first that fails.
 * Exit code 0 or 1; what went wrong stands on standard error.
 */
#include "fetch.h"
#include "trust/tuf.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/time-util.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define ROOT_MAX (1u << 20)
#define TARGET_MAX (256u << 20)
#define FILE_NAME_MAX 200
#define TARGETS 64

DEFINE_CLEANUP(struct tuf *, tuf_close)
DEFINE_CLEANUP(struct fetch *, fetch_free)

struct options {
	const char *metadata_dir, *metadata_url, *target_base_url, *target_dir;
	const char *targets[TARGETS];
	size_t n_targets;
};

static enum ef_reason open_store(
	const struct options *o, struct tuf_store_dir *dir, struct error *e)
{
	int r = dir_make(o->metadata_dir, 0755);

	if (r == 0) {
		dir->dir_fd = open(o->metadata_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir->dir_fd < 0)
			r = -errno;
	}
	return error_errno(e, r, "%s", o->metadata_dir);
}

/* Fetches what the engine asks for until it asks no more. */
static enum ef_reason serve(struct tuf *t, struct fetch *f, const char *base, struct error *e)
{
	struct tuf_request q;

	while (tuf_next(t, &q)) {
		_cleanup_free_ uint8_t *data = NULL;
		struct error why = {.reason = EF_REASON_OK};
		size_t size;
		switch (fetch_get(f, base, q.name, q.max_size, &data, &size, &why)) {
		case EF_REASON_OK:
			tuf_feed(t, data, size);
			break;
		case EF_REASON_NOT_FOUND:
			tuf_feed_absent(t);
			break;
		default:
			tuf_feed_error(t, &why);
		}
	}
	return tuf_result(t, e);
}

static enum ef_reason do_init(const struct options *o, const char *file, struct error *e)
{
	struct tuf_store_dir dir = {-1};
	struct tuf_store store = tuf_store_dir_ops(&dir);
	_cleanup_free_ uint8_t *root = NULL;
	size_t size;

	int r = file_read(file, ROOT_MAX, &root, &size);
	if (r < 0)
		return error_errno(e, r, "%s", file);
	if (open_store(o, &dir, e) == EF_REASON_OK)
		tuf_bootstrap(&store, root, size, e);
	ef_close(dir.dir_fd);
	return e->reason;
}

/* A target's path as one file name, the same whenever it is asked for. */
static void target_file_name(const char *path, char out[FILE_NAME_MAX])
{
	uint8_t digest[DIGEST_SIZE];
	char hex[DIGEST_HEX_MAX];

	if (fetch_quote(path, "", out, FILE_NAME_MAX))
		return;
	if (EVP_Digest(path, strlen(path), digest, NULL, EVP_sha256(), NULL) != 1)
		memset(digest, 0, sizeof(digest));
	snprintf(out, FILE_NAME_MAX, "%s", digest_hex(digest, hex));
}

static enum ef_reason store_target(const struct options *o, const struct tuf_target *target,
	const void *data, size_t size, struct error *e)
{
	char name[FILE_NAME_MAX], path[4096];

	target_file_name(target->path, name);
	snprintf(path, sizeof(path), "%s/%s", o->target_dir, name);
	int r = dir_make(o->target_dir, 0755);
	if (r == 0)
		r = atomic_file_write(path, data, size, 0644);
	return error_errno(e, r, "%s", path);
}

/* Whether the file is there already, as it is signed now. */
static bool is_stored(const struct options *o, const struct tuf_target *target)
{
	char name[FILE_NAME_MAX], path[4096];
	struct error ignored = {.reason = EF_REASON_OK};
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	target_file_name(target->path, name);
	snprintf(path, sizeof(path), "%s/%s", o->target_dir, name);
	return file_read(path, TARGET_MAX, &data, &size) == 0 &&
	       tuf_target_check(target, data, size, &ignored) == EF_REASON_OK;
}

static enum ef_reason get_target(
	const struct options *o, const char *name, struct tuf *t, struct fetch *f, struct error *e)
{
	struct tuf_target target;
	char file[TUF_TARGET_FILE_MAX], quoted[3 * TUF_TARGET_FILE_MAX];
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	if (tuf_find(t, name, e) != EF_REASON_OK ||
		serve(t, f, o->metadata_url, e) != EF_REASON_OK ||
		tuf_found(t, &target, e) != EF_REASON_OK)
		return e->reason;
	if (is_stored(o, &target))
		return EF_REASON_OK;
	if (target.length > TARGET_MAX)
		return error_set(e, EF_REASON_TOO_LARGE, "%s", target.path);
	tuf_target_file(&target, file, sizeof(file));
	if (!file[0] || !fetch_quote(file, "/", quoted, sizeof(quoted)))
		return error_set(e, EF_REASON_USAGE, "%s", target.path);
	if (fetch_get(f, o->target_base_url, quoted, target.length, &data, &size, e) !=
			EF_REASON_OK ||
		tuf_target_check(&target, data, size, e) != EF_REASON_OK)
		return e->reason;
	return store_target(o, &target, data, size, e);
}

static enum ef_reason do_online(const struct options *o, struct error *e)
{
	struct tuf_store_dir dir = {-1};
	struct tuf_store store = tuf_store_dir_ops(&dir);
	_cleanup_(fetch_freep) struct fetch *f = fetch_new();
	_cleanup_(tuf_closep) struct tuf *t = NULL;

	if (!f)
		return error_set(e, EF_REASON_NO_MEMORY, "curl");
	if (open_store(o, &dir, e) == EF_REASON_OK && tuf_open(&store, &t, e) == EF_REASON_OK &&
		tuf_refresh(t, TUF_ONLINE, now_real_s(), e) == EF_REASON_OK &&
		serve(t, f, o->metadata_url, e) == EF_REASON_OK)
		for (size_t i = 0; i < o->n_targets && !e->reason; i++)
			get_target(o, o->targets[i], t, f, e);
	ef_close(dir.dir_fd);
	return e->reason;
}

static enum ef_reason dispatch(struct options *o, int n, char **verb, struct error *e)
{
	if (o->metadata_dir && n == 2 && strcmp(verb[0], "init") == 0)
		return do_init(o, verb[1], e);
	if (o->metadata_dir && o->metadata_url && n == 1 && strcmp(verb[0], "refresh") == 0) {
		o->n_targets = 0;
		return do_online(o, e);
	}
	if (o->metadata_dir && o->metadata_url && o->n_targets > 0 && o->target_base_url &&
		o->target_dir && n == 1 && strcmp(verb[0], "download") == 0)
		return do_online(o, e);
	return error_set(e, EF_REASON_USAGE,
		"--metadata-dir D init ROOT | --metadata-dir D --metadata-url U refresh | … "
		"--target-name T… --target-base-url B --target-dir O download");
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"metadata-dir", required_argument, NULL, 'm'},
		{"metadata-url", required_argument, NULL, 'u'},
		{"target-name", required_argument, NULL, 't'},
		{"target-base-url", required_argument, NULL, 'b'},
		{"target-dir", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	struct options o = {.n_targets = 0};
	struct error e = {.reason = EF_REASON_OK};
	char text[600];
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		const char **to = c == 'm'			      ? &o.metadata_dir
				  : c == 'u'			      ? &o.metadata_url
				  : c == 'b'			      ? &o.target_base_url
				  : c == 'o'			      ? &o.target_dir
				  : c == 't' && o.n_targets < TARGETS ? &o.targets[o.n_targets++]
								      : NULL;
		if (!to)
			return EXIT_FAILURE;
		*to = optarg;
	}
	if (dispatch(&o, argc - optind, argv + optind, &e) == EF_REASON_OK)
		return EXIT_SUCCESS;
	error_format(&e, text, sizeof(text));
	fprintf(stderr, "tuf-client: %s\n", text);
	return EXIT_FAILURE;
}
