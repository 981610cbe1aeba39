/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/session-key.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS (2 * EF_SESSION_KEY_SIZE)

static bool is_credential(const char *where)
{
	return strncmp(where, SESSION_KEY_CREDENTIAL, strlen(SESSION_KEY_CREDENTIAL)) == 0;
}

static enum ef_reason check_file(int fd, const char *path, bool credential, struct error *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(e, EF_REASON_CONFIG, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, EF_REASON_CONFIG, "%s: not a file", path);
	if (credential) /* systemd keeps those to the service */
		return EF_REASON_OK;
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(e, EF_REASON_CONFIG, "%s: a key owned by user %u; chown root it",
			path, st.st_uid);
	if (st.st_mode & 077)
		return error_set(e, EF_REASON_CONFIG,
			"%s: a key that others may read (mode %04o); chmod 600 it", path,
			st.st_mode & 07777);
	return EF_REASON_OK;
}

static enum ef_reason read_key(
	int fd, const char *path, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e)
{
	char text[DIGITS + 3] = "";
	ssize_t n = fd_read_some(fd, text, DIGITS + 2);
	bool good = n == DIGITS || (n == DIGITS + 1 && text[DIGITS] == '\n');

	if (good) {
		text[DIGITS] = '\0';
		good = hex_decode(text, key, EF_SESSION_KEY_SIZE);
	}
	OPENSSL_cleanse(text, sizeof text);
	if (n < 0)
		return error_set(e, EF_REASON_CONFIG, "%s: %s", path, strerror((int)-n));
	if (!good)
		return error_set(e, EF_REASON_CONFIG,
			"%s: a key is a line of 64 lower-case hexadecimal digits", path);
	return EF_REASON_OK;
}

static enum ef_reason find_key(
	const char *where, bool credential, char path[PATH_MAX], struct error *e)
{
	const char *folder = credential ? getenv("CREDENTIALS_DIRECTORY") : "";
	int n;

	if (!folder)
		return error_set(e, EF_REASON_CONFIG,
			"%s: this service was started without credentials; give it one with "
			"LoadCredential=%s:FILE",
			where, where + strlen(SESSION_KEY_CREDENTIAL));
	n = credential ? snprintf(path, PATH_MAX, "%s/%s", folder,
				 where + strlen(SESSION_KEY_CREDENTIAL))
		       : snprintf(path, PATH_MAX, "%s", where);
	return n < PATH_MAX ? EF_REASON_OK
			    : error_set(e, EF_REASON_CONFIG, "%s: name too long", where);
}

enum ef_reason session_key_load(
	const char *where, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e)
{
	bool credential = is_credential(where);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	enum ef_reason r;

	memset(key, 0, EF_SESSION_KEY_SIZE);
	r = find_key(where, credential, path, e);
	if (r)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_set(
			e, EF_REASON_CONFIG, "%s: the node's key: %s", path, strerror(errno));
	r = check_file(fd, path, credential, e);
	return r ? r : read_key(fd, path, key, e);
}

/* The next one */

static bool next_path(const char *where, char path[PATH_MAX])
{
	return !is_credential(where) && snprintf(path, PATH_MAX, "%s.new", where) < PATH_MAX;
}

bool session_key_exists(const char *where)
{
	return is_credential(where) || access(where, F_OK) == 0;
}

bool session_key_has_next(const char *where)
{
	char path[PATH_MAX];

	return next_path(where, path) && access(path, F_OK) == 0;
}

/* The folder's entry as well. */
static int sync_folder(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_close_ int fd = -1;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_key(const char *path, const uint8_t key[EF_SESSION_KEY_SIZE])
{
	_cleanup_close_ int fd = -1;
	char text[DIGITS + 2];
	int r;

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	hex_encode(key, EF_SESSION_KEY_SIZE, text);
	text[DIGITS] = '\n';
	r = fd_write_full(fd, text, DIGITS + 1);
	OPENSSL_cleanse(text, sizeof text);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? r : sync_folder(path);
}

enum ef_reason session_key_make_next(
	const char *where, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e)
{
	char path[PATH_MAX];
	int r;

	if (!next_path(where, path))
		return error_set(e, EF_REASON_CONFIG,
			"%s: a credential is read-only; let Key= name a file that the service may "
			"write, as /var/lib/edgeferry/keys/NODE",
			where);
	if (RAND_priv_bytes(key, EF_SESSION_KEY_SIZE) != 1)
		return error_set(e, EF_REASON_INTERNAL, "no random numbers");
	r = write_key(path, key);
	return r < 0 ? error_set(e, EF_REASON_CONFIG, "%s: %s", path, strerror(-r)) : EF_REASON_OK;
}

enum ef_reason session_key_load_next(
	const char *where, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e)
{
	char path[PATH_MAX];

	return next_path(where, path) ? session_key_load(path, key, e)
				      : error_set(e, EF_REASON_CONFIG, "%s: name too long", where);
}

enum ef_reason session_key_promote(const char *where, struct error *e)
{
	char path[PATH_MAX];
	int r = next_path(where, path) ? 0 : -ENAMETOOLONG;

	if (r == 0 && rename(path, where) < 0)
		r = -errno;
	if (r == 0)
		r = sync_folder(where);
	return r < 0 ? error_set(e, EF_REASON_CONFIG, "%s: %s", where, strerror(-r)) : EF_REASON_OK;
}

void session_key_drop_next(const char *where)
{
	char path[PATH_MAX];

	if (next_path(where, path) && unlink(path) == 0)
		sync_folder(where);
}
