/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/upload.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORD "uploaded.json"
#define TIMESTAMP "metadata/timestamp.json"

/* One hook and what it was told: names, and of the one that is replaced its digest. */
struct run {
	const struct workspace *w;
	const char *folder;
	const struct option_list *words;
	bool each;
	json_t *record; /* of every hook; told belongs to it */
	json_t *told;
	char timestamp[DIGEST_HEX_MAX];
};

enum ef_reason upload_begin(struct upload *u, struct error *e)
{
	for (int i = 0; i < UPLOAD_STAGES; i++) {
		u->names[i] = json_array();
		if (!u->names[i])
			return error_set(e, EF_REASON_NO_MEMORY, "hook");
	}
	return EF_REASON_OK;
}

void upload_done(struct upload *u)
{
	for (int i = 0; i < UPLOAD_STAGES; i++)
		json_decref(u->names[i]);
}

void upload_add(struct upload *u, const char *name)
{
	json_array_append_new(u->names[u->stage], json_string(name));
}

void upload_next(struct upload *u)
{
	u->stage++;
}

/* A hook is known by the digest of its words. */
static enum ef_reason load_record(struct run *run, bool all, struct error *e)
{
	_cleanup_free_ uint8_t *words = NULL;
	struct error why = {0};
	uint8_t digest[32];
	char hex[DIGEST_HEX_MAX];
	size_t n = 0;

	for (size_t i = 0; i < run->words->n; i++) {
		size_t more = strlen(run->words->items[i]) + 1;
		uint8_t *grown = realloc(words, n + more);
		if (!grown)
			return error_set(e, EF_REASON_NO_MEMORY, "hook");
		words = grown;
		memcpy(words + n, run->words->items[i], more);
		n += more;
	}
	if (EVP_Digest(words, n, digest, NULL, EVP_sha256(), NULL) != 1)
		return error_set(e, EF_REASON_INTERNAL, "SHA-256 failed");
	enum ef_reason r = workspace_read_json(run->w, RECORD, &run->record, &why);
	if (r == EF_REASON_NOT_FOUND)
		run->record = json_object();
	else if (r)
		return error_set(e, r, "%s", why.detail);
	digest_hex(digest, hex);
	run->told = all ? NULL : json_object_get(run->record, hex);
	if (!json_is_object(run->told)) {
		run->told = json_object();
		json_object_set_new(run->record, hex, run->told);
	}
	return EF_REASON_OK;
}

static enum ef_reason take_timestamp(struct run *run, struct error *e)
{
	_cleanup_free_ char *path = NULL;
	uint8_t digest[32];

	if (asprintf(&path, "%s/" TIMESTAMP, run->folder) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "hook");
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : fd_sha256(fd, 0, UINT64_MAX, digest);
	digest_hex(digest, run->timestamp);
	return r < 0 ? error_errno(e, r, "%s", path) : EF_REASON_OK;
}

/* Every published file keeps its content but one. */
static const char *content_of(const struct run *run, const char *name)
{
	return strcmp(name, TIMESTAMP) == 0 ? run->timestamp : "";
}

static bool was_told(const struct run *run, const char *name)
{
	const char *content = json_string_value(json_object_get(run->told, name));

	return content && strcmp(content, content_of(run, name)) == 0;
}

static enum ef_reason wait_for(pid_t pid, const char *command, struct error *e)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_errno(e, -errno, "%s", command);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return EF_REASON_OK;
	return error_set(e, EF_REASON_IO, "the hook %s %s %d", command,
		WIFEXITED(status) ? "exited with" : "was ended by signal",
		WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* word with name in place of each "{}" */
static char *expand(const char *word, const char *name)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	for (const char *p = word; f && *p;) {
		if (name && strncmp(p, "{}", 2) == 0) {
			fputs(name, f);
			p += 2;
		} else {
			fputc(*p++, f);
		}
	}
	if (f && fclose(f) == 0)
		return out;
	free(out);
	return NULL;
}

static void free_words(char *(*argv)[OPTION_LIST_MAX + 1])
{
	for (size_t i = 0; i <= OPTION_LIST_MAX; i++)
		free((*argv)[i]);
}

static int prepare(posix_spawn_file_actions_t *actions, const struct run *run, int input)
{
	int r = posix_spawn_file_actions_addchdir_np(actions, run->folder);

	if (!r && input >= 0)
		r = posix_spawn_file_actions_adddup2(actions, input, STDIN_FILENO);
	else if (!r)
		r = posix_spawn_file_actions_addopen(
			actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	/* Standard output is for the results of this program. */
	return r ? r : posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDOUT_FILENO);
}

/* input: standard input, or -1 for none. The publisher's own environment: hooks need its agents. */
static enum ef_reason start(const struct run *run, const char *name, int input, struct error *e)
{
	_cleanup_(free_words) char *argv[OPTION_LIST_MAX + 1] = {0};
	posix_spawn_file_actions_t actions;
	pid_t pid;

	for (size_t i = 0; i < run->words->n; i++) {
		argv[i] = expand(run->words->items[i], name);
		if (!argv[i])
			return error_set(e, EF_REASON_NO_MEMORY, "hook");
	}
	int r = posix_spawn_file_actions_init(&actions);
	if (r)
		return error_errno(e, -r, "hook %s", argv[0]);
	r = prepare(&actions, run, input);
	if (!r)
		r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return r ? error_errno(e, -r, "hook %s", argv[0]) : wait_for(pid, argv[0], e);
}

/* The names in a file that has no name, from its start. */
static enum ef_reason send_list(const struct run *run, const json_t *names, struct error *e)
{
	_cleanup_close_ int fd = memfd_create("names", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : 0;
	json_t *name;
	size_t i;

	json_array_foreach ((json_t *)names, i, name) {
		if (r == 0)
			r = fd_write_full(fd, json_string_value(name), json_string_length(name));
		if (r == 0)
			r = fd_write_full(fd, "\n", 1);
	}
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? error_errno(e, r, "hook") : start(run, NULL, fd, e);
}

static enum ef_reason send_each(const struct run *run, const json_t *names, struct error *e)
{
	enum ef_reason r = EF_REASON_OK;
	json_t *name;
	size_t i;

	json_array_foreach ((json_t *)names, i, name)
		if (!r)
			r = start(run, json_string_value(name), -1, e);
	return r;
}

static enum ef_reason run_stage(struct run *run, const json_t *all, size_t *n_sent, struct error *e)
{
	_cleanup_json_ json_t *names = json_array();
	json_t *name;
	size_t i;

	json_array_foreach ((json_t *)all, i, name)
		if (!was_told(run, json_string_value(name)))
			json_array_append(names, name);
	if (json_array_size(names) == 0)
		return EF_REASON_OK;
	enum ef_reason r = run->each ? send_each(run, names, e) : send_list(run, names, e);
	if (r)
		return r;
	json_array_foreach (names, i, name)
		json_object_set_new(run->told, json_string_value(name),
			json_string(content_of(run, json_string_value(name))));
	*n_sent += json_array_size(names);
	return workspace_write_json(run->w, ".", RECORD, run->record, e);
}

enum ef_reason upload_run(struct upload *u, const struct workspace *w, const char *folder,
	const struct option_list *words, bool all, struct error *e)
{
	struct run run = {.w = w, .folder = folder, .words = words};
	enum ef_reason r = words->n < OPTION_LIST_MAX
				   ? load_record(&run, all, e)
				   : error_set(e, EF_REASON_USAGE, "--hook: too many words");

	for (size_t i = 0; i < words->n; i++)
		run.each = run.each || strstr(words->items[i], "{}");
	if (!r)
		r = take_timestamp(&run, e);
	for (int i = 0; i < UPLOAD_STAGES && !r; i++)
		r = run_stage(&run, u->names[i], &u->n_sent, e);
	json_decref(run.record);
	return r;
}
