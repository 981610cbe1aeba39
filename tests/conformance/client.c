/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"
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

struct world world;

static void listen_on_loopback(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	world.server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(world.server, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(world.server, 8), 0);
	ck_assert_int_eq(getsockname(world.server, (struct sockaddr *)&a, &n), 0);
	snprintf(world.metadata_url, sizeof(world.metadata_url), "http://127.0.0.1:%d/metadata/",
		ntohs(a.sin_port));
	snprintf(world.targets_url, sizeof(world.targets_url), "http://127.0.0.1:%d/targets",
		ntohs(a.sin_port));
}

struct repo *world_repo(void)
{
	static const char *const roles[] = {"root", "timestamp", "snapshot", "targets"};
	struct repo *r = repo_new();

	for (int i = 0; i < 4; i++)
		repo_expire(r, roles[i], FAR);
	for (int i = 0; i < 4; i++)
		repo_publish(r, roles[i]);
	return r;
}

static void setup(void)
{
	world = (struct world){.repo = world_repo()};
	strcpy(world.dir, "/tmp/ef-client-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(world.dir));
	snprintf(world.metadata, sizeof(world.metadata), "%s/metadata", world.dir);
	snprintf(world.targets, sizeof(world.targets), "%s/targets", world.dir);
	snprintf(world.root_file, sizeof(world.root_file), "%s/root.json", world.dir);
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
	close(world.server);
	repo_free(world.repo);
	remove_all(world.dir);
}

TCase *world_case(const char *name)
{
	TCase *t = tcase_create(name);

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	return t;
}

/* What there is at a path of the server; false: nothing. */
static bool look_up(const char *path, uint8_t **data, size_t *size)
{
	const char *name = strncmp(path, "/metadata/", 10) == 0 ? path + 10 : path + 1;
	const struct repo_file *f = repo_get(world.repo, name);
	char file[1200];

	if (world.folder) {
		snprintf(file, sizeof(file), "%s%s", world.folder, path);
		return file_read(file, 1 << 20, data, size) == 0;
	}
	if (!f)
		return false;
	*size = f->size;
	*data = malloc(f->size + 1);
	memcpy(*data, f->data, f->size);
	return true;
}

/* One request, HTTP/1.0. */
static void answer(void)
{
	_cleanup_close_ int fd = accept4(world.server, NULL, NULL, SOCK_CLOEXEC);
	_cleanup_free_ uint8_t *data = NULL;
	char buf[4096], head[128], path[1024];
	size_t size = 0, used = strlen(world.requests);
	ssize_t n = 0, r;

	while (!memmem(buf, (size_t)n, "\r\n\r\n", 4) &&
		(r = read(fd, buf + n, sizeof(buf) - 1 - (size_t)n)) > 0)
		n += r;
	buf[n] = 0;
	if (sscanf(buf, "GET %1023s HTTP/1.", path) != 1)
		return;
	snprintf(world.requests + used, sizeof(world.requests) - used, "%s ", path);
	int code = look_up(path, &data, &size) ? 200 : 404;
	n = snprintf(head, sizeof(head), "HTTP/1.0 %d X\r\nContent-Length: %zu\r\n\r\n",
		world.status ? world.status : code, size);
	fd_write_full(fd, head, (size_t)n);
	fd_write_full(fd, data, size);
}

int run(const char *const *args)
{
	const char *argv[16] = {TUF_CLIENT};
	int status, i = 0;

	while (args[i] && i < 14) {
		argv[i + 1] = args[i];
		i++;
	}
	world.requests[0] = 0;
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);
		dup2(null, 2);
		dup2(null, 1);
		execv(TUF_CLIENT, (char *const *)argv);
		_exit(127);
	}
	for (;;) {
		struct pollfd p = {.fd = world.server, .events = POLLIN};
		if (poll(&p, 1, 5) > 0)
			answer();
		else if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
	}
}

int init_with(const void *data, size_t size)
{
	_cleanup_close_ int fd =
		open(world.root_file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_eq(fd_write_full(fd, data, size), 0);
	return RUN("--metadata-dir", world.metadata, "init", world.root_file);
}

int init(void)
{
	const struct repo_file *f = repo_get(world.repo, "1.root.json");

	return init_with(f->data, f->size);
}

int refresh(void)
{
	return RUN(
		"--metadata-url", world.metadata_url, "--metadata-dir", world.metadata, "refresh");
}

int download(const char *name)
{
	return RUN("--metadata-url", world.metadata_url, "--metadata-dir", world.metadata,
		"--target-name", name, "--target-dir", world.targets, "--target-base-url",
		world.targets_url, "download");
}

int download_both(const char *one, const char *two)
{
	return RUN("--metadata-url", world.metadata_url, "--metadata-dir", world.metadata,
		"--target-name", one, "--target-name", two, "--target-dir", world.targets,
		"--target-base-url", world.targets_url, "download");
}

uint64_t version(const char *role)
{
	char path[300];
	uint64_t v = 0;

	snprintf(path, sizeof(path), "%s/%s.json", world.metadata, role);
	_cleanup_json_ json_t *o = json_load_file(path, 0, NULL);
	json_get_uint(json_get_object(o, "signed"), "version", &v);
	return v;
}

int count(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	if (d)
		closedir(d);
	return n;
}

void assert_versions(int root, int timestamp, int snapshot, int targets)
{
	ck_assert_int_eq((int)version("root"), root);
	ck_assert_int_eq((int)version("timestamp"), timestamp);
	ck_assert_int_eq((int)version("snapshot"), snapshot);
	ck_assert_int_eq((int)version("targets"), targets);
}

void assert_held(const char *role)
{
	char path[300], name[100];
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s.json", world.metadata, role);
	snprintf(name, sizeof(name), "%s.json", role);
	if (strcmp(role, "root") == 0)
		snprintf(name, sizeof(name), "%llu.root.json",
			(unsigned long long)repo_version(world.repo, "root"));
	const struct repo_file *f = repo_get(world.repo, name);
	ck_assert_msg(file_read(path, 1 << 20, &data, &size) == 0, "%s", path);
	ck_assert_uint_eq(size, f->size);
	ck_assert_mem_eq(data, f->data, size);
}

void assert_target(const char *file, const char *want)
{
	char path[400];
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", world.targets, file);
	ck_assert_msg(file_read(path, 10000, &data, &size) == 0, "%s", path);
	ck_assert_uint_eq(size, strlen(want));
	ck_assert_mem_eq(data, want, size);
}

static void metadata_asked(char *out)
{
	*out = 0;
	for (const char *p = world.requests; (p = strstr(p, "/metadata/")); p++)
		out += sprintf(out, "%.*s ", (int)strcspn(p + 10, " "), p + 10);
}

void assert_asked(const char *want)
{
	char got[sizeof(world.requests)];

	metadata_asked(got);
	ck_assert_str_eq(got, want);
}

void assert_asked_last(const char *want)
{
	char got[sizeof(world.requests)];

	metadata_asked(got);
	size_t n = strlen(got), m = strlen(want);
	ck_assert_msg(n >= m && strcmp(got + n - m, want) == 0, "%s", got);
}

void publish_target(const char *role, const char *path, const char *content, const char *served)
{
	char file[300], hex[65];
	uint8_t digest[32];
	const char *slash = strrchr(path, '/');
	int n = slash ? (int)(slash + 1 - path) : 0;

	repo_target(world.repo, role, path, content);
	EVP_Digest(content, strlen(content), digest, NULL, EVP_sha256(), NULL);
	snprintf(file, sizeof(file), "targets/%.*s%s.%s", n, path, digest_hex(digest, hex),
		path + n);
	repo_put(world.repo, file, served, strlen(served));
	repo_set_version(world.repo, role, repo_version(world.repo, role) + 1);
	repo_update(world.repo);
}

void publish_all(void)
{
	repo_set_version(world.repo, "targets", repo_version(world.repo, "targets") + 1);
	repo_update(world.repo);
}

json_t *delegate(const char *from, const char *to, int key, const char *path)
{
	json_t *d = repo_delegate(world.repo, from, to, key, (const char *const[]){path, NULL});

	repo_expire(world.repo, to, FAR);
	return d;
}
