/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance client as a process, against a web server on the loopback that serves a
 * repository in memory: exit codes, requests, files. The kinds are those of the public suite.
 */
#include "repo.h"
#include "trust/key.h"
#include "unit.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAR "2999-01-01T00:00:00Z"

static struct repo *repo;
static int server = -1, status_code;
static char dir[64], metadata[80], targets[80], root_file[80], metadata_url[80], targets_url[80];
static char requests[8192]; /* paths that were asked for, each with a blank behind it */

static void listen_on_loopback(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(server, 8), 0);
	ck_assert_int_eq(getsockname(server, (struct sockaddr *)&a, &n), 0);
	snprintf(metadata_url, sizeof(metadata_url), "http://127.0.0.1:%d/metadata/",
		ntohs(a.sin_port));
	snprintf(
		targets_url, sizeof(targets_url), "http://127.0.0.1:%d/targets", ntohs(a.sin_port));
}

static void setup(void)
{
	strcpy(dir, "/tmp/ef-client-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(metadata, sizeof(metadata), "%s/metadata", dir);
	snprintf(targets, sizeof(targets), "%s/targets", dir);
	snprintf(root_file, sizeof(root_file), "%s/root.json", dir);
	status_code = 0;
	repo = repo_new();
	static const char *const roles[] = {"root", "timestamp", "snapshot", "targets"};
	for (int i = 0; i < 4; i++) {
		repo_expire(repo, roles[i], FAR);
		repo_publish(repo, roles[i]);
	}
	listen_on_loopback();
}

static void remove_all(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char sub[400];

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (unlink(sub) < 0)
			remove_all(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static void teardown(void)
{
	close(server);
	repo_free(repo);
	remove_all(dir);
}

/* One request, HTTP/1.0. */
static void answer(void)
{
	_cleanup_close_ int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	char buf[4096], head[128], path[1024];
	ssize_t n = 0, r;

	while (!memmem(buf, (size_t)n, "\r\n\r\n", 4) &&
		(r = read(fd, buf + n, sizeof(buf) - 1 - (size_t)n)) > 0)
		n += r;
	buf[n] = 0;
	if (sscanf(buf, "GET %1023s HTTP/1.", path) != 1)
		return;
	size_t used = strlen(requests);
	snprintf(requests + used, sizeof(requests) - used, "%s ", path);
	const char *name = strncmp(path, "/metadata/", 10) == 0 ? path + 10 : path + 1;
	const struct repo_file *f = repo_get(repo, name);
	int code = status_code ? status_code : f ? 200 : 404;
	n = snprintf(head, sizeof(head), "HTTP/1.0 %d X\r\nContent-Length: %zu\r\n\r\n", code,
		f ? f->size : 0);
	fd_write_full(fd, head, (size_t)n);
	if (f)
		fd_write_full(fd, f->data, f->size);
}

/* Runs the client to its end while serving it; its exit code. */
static int run(const char *const *args)
{
	const char *argv[16] = {TUF_CLIENT};
	int status, i = 0;

	while (args[i] && i < 14) {
		argv[i + 1] = args[i];
		i++;
	}
	requests[0] = 0;
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);
		dup2(null, 2);
		dup2(null, 1);
		execv(TUF_CLIENT, (char *const *)argv);
		_exit(127);
	}
	for (;;) {
		struct pollfd p = {.fd = server, .events = POLLIN};
		if (poll(&p, 1, 5) > 0)
			answer();
		else if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
	}
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static int init_with(const void *data, size_t size)
{
	_cleanup_close_ int fd = open(root_file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_eq(fd_write_full(fd, data, size), 0);
	return RUN("--metadata-dir", metadata, "init", root_file);
}

static int init(void)
{
	const struct repo_file *f = repo_get(repo, "1.root.json");

	return init_with(f->data, f->size);
}

static int refresh(void)
{
	return RUN("--metadata-url", metadata_url, "--metadata-dir", metadata, "refresh");
}

static int download(const char *name)
{
	return RUN("--metadata-url", metadata_url, "--metadata-dir", metadata, "--target-name",
		name, "--target-dir", targets, "--target-base-url", targets_url, "download");
}

/* 0 when there is none. */
static uint64_t version(const char *role)
{
	char path[200];
	uint64_t v = 0;

	snprintf(path, sizeof(path), "%s/%s.json", metadata, role);
	_cleanup_json_ json_t *o = json_load_file(path, 0, NULL);
	json_get_uint(json_get_object(o, "signed"), "version", &v);
	return v;
}

static int count(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static void assert_target(const char *file, const char *want)
{
	char path[400];
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", targets, file);
	ck_assert_msg(file_read(path, 10000, &data, &size) == 0, "%s", path);
	ck_assert_str_eq((char *)data, want);
}

/* A target, signed by role and published; served is what the server has of it. */
static void publish_target(
	const char *role, const char *path, const char *content, const char *served)
{
	char file[300], hex[65];
	uint8_t digest[32];
	const char *slash = strrchr(path, '/');
	int n = slash ? (int)(slash + 1 - path) : 0;

	repo_target(repo, role, path, content);
	EVP_Digest(content, strlen(content), digest, NULL, EVP_sha256(), NULL);
	snprintf(file, sizeof(file), "targets/%.*s%s.%s", n, path, digest_hex(digest, hex),
		path + n);
	repo_put(repo, file, served, strlen(served));
	repo_set_version(repo, role, repo_version(repo, role) + 1);
	repo_update(repo);
}

START_TEST(test_refresh)
{
	ck_assert_int_eq(init(), 0);
	ck_assert_str_eq(requests, "");
	ck_assert_int_eq(refresh(), 0);
	ck_assert_str_eq(requests, "/metadata/2.root.json /metadata/timestamp.json "
				   "/metadata/1.snapshot.json /metadata/1.targets.json ");
	ck_assert_int_eq(count(metadata), 4);
	ck_assert_int_eq(refresh(), 0);
	ck_assert_str_eq(requests, "/metadata/2.root.json /metadata/timestamp.json ");
	repo_bump(repo, "root");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_int_eq(refresh(), 0);
	ck_assert_uint_eq(version("root"), 2);
	ck_assert_uint_eq(version("timestamp"), 2);
	ck_assert_uint_eq(version("snapshot"), 2);
	ck_assert_uint_eq(version("targets"), 2);
}
END_TEST

START_TEST(test_bad_initial_root)
{
	_cleanup_json_ json_t *v = repo_envelope(repo, "root");

	if (_i == 0)
		json_object_del(json_object_get(v, "signed"), "version");
	else
		json_array_clear(json_object_get(v, "signatures"));
	_cleanup_free_ char *text = json_dumps(v, 0);
	ck_assert_int_eq(init_with(text, strlen(text)), 1);
	ck_assert_int_eq(refresh(), 1);
	ck_assert_str_eq(requests, "");
}
END_TEST

/* Which role is signed by a stranger, and what is trusted afterwards. */
START_TEST(test_unsigned)
{
	static const char *const roles[] = {"root", "timestamp", "snapshot", "targets"};
	static const uint64_t after[][4] = {{1, 0, 0, 0}, {2, 0, 0, 0}, {2, 2, 0, 0}, {2, 2, 2, 0}};

	ck_assert_int_eq(init(), 0);
	repo_signers(repo, roles[_i], LIST(20));
	repo_bump(repo, "root");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_int_eq(refresh(), 1);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(version(roles[i]), after[_i][i]);
}
END_TEST

START_TEST(test_missing_file)
{
	static const char *const names[] = {"timestamp.json", "2.snapshot.json", "2.targets.json"};
	static const char *const roles[] = {"timestamp", "snapshot", "targets"};

	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(refresh(), 0);
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	repo_remove(repo, names[_i]);
	ck_assert_int_eq(refresh(), 1);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(version(roles[i]), i < _i ? 2 : 1);
}
END_TEST

/* An error of the server is no "there is no newer root". */
START_TEST(test_http_status)
{
	ck_assert_int_eq(init(), 0);
	status_code = (int[]){500, 503, 204, 301}[_i];
	ck_assert_int_eq(refresh(), 1);
	ck_assert_str_eq(requests, "/metadata/2.root.json ");
	status_code = 0;
	ck_assert_int_eq(refresh(), 0);
}
END_TEST

START_TEST(test_endless_data)
{
	ck_assert_int_eq(init(), 0);
	uint8_t *big = calloc(1, 1 << 20);
	repo_put(repo, "timestamp.json", big, 1 << 20);
	free(big);
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version("timestamp"), 0);
}
END_TEST

START_TEST(test_expired)
{
	static const char *const roles[] = {"root", "timestamp", "snapshot", "targets"};

	ck_assert_int_eq(init(), 0);
	repo_expire(repo, roles[_i], PAST);
	if (_i == 0)
		repo_bump(repo, "root");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version(roles[_i]), _i == 0 ? 2 : 0);
}
END_TEST

START_TEST(test_rollback)
{
	ck_assert_int_eq(init(), 0);
	repo_bump(repo, "timestamp");
	ck_assert_int_eq(refresh(), 0);
	repo_set_version(repo, "timestamp", 1);
	repo_publish(repo, "timestamp");
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version("timestamp"), 2);
	repo_keys(repo, "timestamp", 1, LIST(8));
	repo_bump(repo, "root");
	repo_publish(repo, "timestamp");
	ck_assert_int_eq(refresh(), 0);
	ck_assert_uint_eq(version("timestamp"), 1);
}
END_TEST

START_TEST(test_key_kinds)
{
	char id[65];

	ck_assert_int_eq(init(), 0);
	EVP_PKEY_free(repo->keys[8]);
	repo->keys[8] = key_make(_i);
	repo_keys(repo, "root", 2, LIST(0, 8));
	repo_bump(repo, "root");
	ck_assert_int_eq(refresh(), 0);
	ck_assert_uint_eq(version("root"), 2);
	repo_set_version(repo, "root", 3);
	_cleanup_json_ json_t *e = repo_envelope(repo, "root");
	json_t *s = key_signature(repo_key(repo, 8), repo_body(repo, "targets"));
	ck_assert_str_eq(json_string_value(json_object_get(s, "keyid")), repo_key_id(repo, 8, id));
	json_array_set_new(json_object_get(e, "signatures"), 1, s);
	repo_put_json(repo, "3.root.json", e);
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version("root"), 2);
}
END_TEST

START_TEST(test_implicit_refresh)
{
	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(download("nonexistent artifact"), 1);
	ck_assert_uint_eq(version("targets"), 1);
	ck_assert_int_eq(count(targets), 0);
}
END_TEST

START_TEST(test_download)
{
	ck_assert_int_eq(init(), 0);
	publish_target("targets", "file.txt", "content", "content");
	publish_target("targets", "path/to/a/file.txt", "deeper", "deeper");
	ck_assert_int_eq(refresh(), 0);
	ck_assert_int_eq(count(targets), 0);
	ck_assert_int_eq(download("file.txt"), 0);
	assert_target("file.txt", "content");
	ck_assert_int_eq(download("path/to/a/file.txt"), 0);
	assert_target("path%2Fto%2Fa%2Ffile.txt", "deeper");
	ck_assert_ptr_nonnull(strstr(requests, "/targets/path/to/a/"));
	/* What is there already is not fetched again. */
	ck_assert_int_eq(download("file.txt"), 0);
	ck_assert_ptr_null(strstr(requests, "/targets/"));
	/* A new version takes the place of the old one. */
	publish_target("targets", "file.txt", "news", "news");
	ck_assert_int_eq(download("file.txt"), 0);
	assert_target("file.txt", "news");
	ck_assert_int_eq(count(targets), 2);
}
END_TEST

START_TEST(test_substituted)
{
	ck_assert_int_eq(init(), 0);
	publish_target("targets", "good", "content", "content");
	ck_assert_int_eq(download("good"), 0);
	publish_target("targets", "shorter", "content", "conten");
	publish_target("targets", "longer", "content", "contents");
	publish_target("targets", "other", "content", "CONTENT");
	ck_assert_int_eq(download("shorter"), 1);
	ck_assert_int_eq(download("longer"), 1);
	ck_assert_int_eq(download("other"), 1);
	ck_assert_int_eq(count(targets), 1);
	/* A file that someone changed here is fetched anew. */
	char path[200];
	snprintf(path, sizeof(path), "%s/good", targets);
	truncate(path, 3);
	ck_assert_int_eq(download("good"), 0);
	assert_target("good", "content");
}
END_TEST

/* Names in requests are quoted, and stay in their directories here. */
START_TEST(test_quoting)
{
	static const struct {
		const char *role, *quoted;
	} t[] = {{"?", "%3F"}, {"#", "%23"}, {"/delegated", "%2Fdelegated"},
		{"../delegated", "..%2Fdelegated"}};
	const char *const any[] = {"*", NULL};
	char want[64];

	ck_assert_int_eq(init(), 0);
	repo_delegate(repo, "targets", t[_i].role, 5, any);
	repo_expire(repo, t[_i].role, FAR);
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_int_eq(download("nonexistent"), 1);
	snprintf(want, sizeof(want), "/metadata/1.%s.json ", t[_i].quoted);
	ck_assert_ptr_nonnull(strstr(requests, want));
	ck_assert_uint_eq(version(t[_i].quoted), 1);
	ck_assert_int_eq(count(dir), 2); /* metadata and the root that was given, nothing else */
}
END_TEST

START_TEST(test_target_names)
{
	static const struct {
		const char *name, *file;
	} t[] = {{"../up", "..%2Fup"}, {"/abs", "%2Fabs"}, {"a b", "a%20b"}, {"a%20b", "a%2520b"}};

	ck_assert_int_eq(init(), 0);
	publish_target("targets", t[_i].name, "content", "content");
	/* As the server is asked for it. */
	for (size_t i = 0; i < repo->n_files; i++)
		if (strncmp(repo->files[i].name, "targets/", 8) == 0 && _i >= 2) {
			char *tail = strrchr(repo->files[i].name, '.') + 1;
			strcpy(tail, t[_i].file);
		}
	ck_assert_int_eq(download(t[_i].name), 0);
	assert_target(t[_i].file, "content");
	ck_assert_int_eq(count(dir), 3);
}
END_TEST

START_TEST(test_usage)
{
	ck_assert_int_eq(RUN("refresh"), 1);
	ck_assert_int_eq(RUN("--metadata-dir", metadata, "refresh"), 1);
	ck_assert_int_eq(RUN("--metadata-dir", metadata, "init"), 1);
	ck_assert_int_eq(RUN("--metadata-dir", metadata, "init", "/nonexistent"), 1);
	ck_assert_int_eq(
		RUN("--metadata-dir", metadata, "--metadata-url", metadata_url, "download"), 1);
	ck_assert_int_eq(RUN("--nonsense"), 1);
	ck_assert_int_eq(
		RUN("--metadata-dir", metadata, "--metadata-url", metadata_url, "erase"), 1);
	ck_assert_str_eq(requests, "");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-client");
	TCase *t = tcase_create("client");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_refresh);
	tcase_add_loop_test(t, test_bad_initial_root, 0, 2);
	tcase_add_loop_test(t, test_unsigned, 0, 4);
	tcase_add_loop_test(t, test_missing_file, 0, 3);
	tcase_add_loop_test(t, test_http_status, 0, 4);
	tcase_add_test(t, test_endless_data);
	tcase_add_loop_test(t, test_expired, 0, 4);
	tcase_add_test(t, test_rollback);
	tcase_add_loop_test(t, test_key_kinds, 0, 3);
	tcase_add_test(t, test_implicit_refresh);
	tcase_add_test(t, test_download);
	tcase_add_test(t, test_substituted);
	tcase_add_loop_test(t, test_quoting, 0, 4);
	tcase_add_loop_test(t, test_target_names, 0, 4);
	tcase_add_test(t, test_usage);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
