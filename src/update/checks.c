/* SPDX-License-Identifier: Apache-2.0 */
#include "update/checks.h"
#include "util/child.h"
#include "util/cleanup.h"
#include "util/text.h"
#include "util/time-util.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ENV_MAX 16

struct checks {
	sd_event *event;
	struct checks_spec spec;
	char *dir;
	char *env[ENV_MAX + 3];
	struct dirent **names;
	int n, at;
	pid_t pid;
	int output;
	char line[160]; /* the last one that was not empty */
	char partial[160];
	size_t n_partial;
	bool late;
	sd_event_source *child, *io, *timer, *next;
	struct error error;
};

static int runnable(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && d->d_name[n - 1] != '~';
}

static void take_line(struct checks *c)
{
	c->partial[c->n_partial] = 0;
	text_clean(c->partial);
	if (c->partial[strspn(c->partial, " ")] != 0)
		strcpy(c->line, c->partial);
	c->n_partial = 0;
}

static void read_output(struct checks *c)
{
	char buf[512];
	ssize_t n;

	while ((n = read(c->output, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] == '\n')
				take_line(c);
			else if (c->n_partial < sizeof(c->partial) - 1)
				c->partial[c->n_partial++] = buf[i];
		}
	if (n == 0)
		c->io = sd_event_source_disable_unref(c->io);
}

static int on_output(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	read_output(userdata);
	return 0;
}

static int start_next(sd_event_source *s, void *userdata);

static void schedule_next(struct checks *c)
{
	c->next = sd_event_source_disable_unref(c->next);
	if (sd_event_add_defer(c->event, &c->next, start_next, c) < 0)
		abort(); /* nothing could ever end this run */
}

static void ended(struct checks *c, const struct error *e)
{
	c->child = sd_event_source_disable_unref(c->child);
	c->io = sd_event_source_disable_unref(c->io);
	c->timer = sd_event_source_disable_unref(c->timer);
	c->output = ef_close(c->output);
	c->spec.each(c->spec.ctx, c->names[c->at]->d_name, e);
	if (c->error.reason == EF_REASON_OK)
		c->error = *e;
	c->at = e->reason == EF_REASON_OK ? c->at + 1 : c->n;
	schedule_next(c);
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct checks *c = userdata;
	const char *name = c->names[c->at]->d_name;
	struct error e = {0};

	c->pid = 0;
	if (c->output >= 0)
		read_output(c);
	take_line(c);
	const char *colon = c->line[0] ? ": " : "";
	if (c->late)
		error_set(&e, EF_REASON_CHECK_FAILED, "%s did not end in time%s%s", name, colon,
			c->line);
	else if (si->si_code != CLD_EXITED)
		error_set(&e, EF_REASON_CHECK_FAILED, "%s ended by signal %d%s%s", name,
			si->si_status, colon, c->line);
	else if (si->si_status != 0)
		error_set(&e, EF_REASON_CHECK_FAILED, "%s: status %d%s%s", name, si->si_status,
			colon, c->line);
	ended(c, &e);
	return 0;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct checks *c = userdata;

	c->late = true;
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
	return 0;
}

static int start(struct checks *c)
{
	_cleanup_free_ char *path = NULL;
	const char *name = c->names[c->at]->d_name;
	const char *const argv[] = {name, NULL};
	int p[2];

	if (asprintf(&path, "%s/%s", c->dir, name) < 0)
		return -ENOMEM;
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	c->output = p[0];
	_cleanup_close_ int to = p[1];
	fcntl(c->output, F_SETFL, O_NONBLOCK);
	const struct child_spec spec = {
		.path = path,
		.argv = argv,
		.env = (const char *const *)c->env,
		.stdout_fd = to,
		.stderr_too = true,
	};
	c->pid = child_start(&spec);
	if (c->pid < 0)
		return c->pid;
	int r = sd_event_add_child(c->event, &c->child, c->pid, WEXITED, on_child, c);
	if (r >= 0)
		r = sd_event_add_io(c->event, &c->io, c->output, EPOLLIN, on_output, c);
	if (r >= 0)
		r = sd_event_add_time(c->event, &c->timer, CLOCK_MONOTONIC, c->spec.deadline_us,
			10000, on_deadline, c);
	return r;
}

static bool skipped(struct checks *c)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s", c->dir, c->names[c->at]->d_name) < 0)
		return false;
	return stat(path, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0;
}

static int start_next(sd_event_source *s, void *userdata)
{
	struct checks *c = userdata;
	struct error e = {0};

	while (c->at < c->n && skipped(c))
		c->at++;
	if (c->at >= c->n) {
		c->spec.done(c->spec.ctx, &c->error); /* may free c */
		return 0;
	}
	c->line[0] = 0;
	c->n_partial = 0;
	c->late = false;
	int r = start(c);
	if (r < 0) {
		error_set(&e, EF_REASON_CHECK_FAILED, "%s cannot be started: %s",
			c->names[c->at]->d_name, strerror(-r));
		ended(c, &e);
	}
	return 0;
}

static bool copy_env(struct checks *c)
{
	size_t n = 0;

	c->env[n++] = strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	c->env[n++] = strdup("LANG=C.UTF-8");
	for (size_t i = 0; c->spec.env && c->spec.env[i] && i < ENV_MAX; i++)
		c->env[n++] = strdup(c->spec.env[i]);
	for (size_t i = 0; i < n; i++)
		if (!c->env[i])
			return false;
	return true;
}

enum ef_reason checks_start(
	struct checks **ret, sd_event *event, const struct checks_spec *spec, struct error *e)
{
	struct checks *c = calloc(1, sizeof(*c));

	if (!c)
		return error_set(e, EF_REASON_NO_MEMORY, "checks");
	*c = (struct checks){.event = sd_event_ref(event), .spec = *spec, .output = -1};
	c->dir = strdup(spec->dir ? spec->dir : "/nonexistent");
	if (!c->dir || !copy_env(c)) {
		checks_free(c);
		return error_set(e, EF_REASON_NO_MEMORY, "checks");
	}
	c->n = scandir(c->dir, &c->names, runnable, alphasort);
	if (c->n < 0) {
		int r = -errno;
		c->n = 0;
		/* a directory that cannot be read is not the same as none */
		if (r != -ENOENT && r != -ENOTDIR)
			error_set(
				&c->error, EF_REASON_CHECK_FAILED, "%s: %s", c->dir, strerror(-r));
	}
	schedule_next(c);
	*ret = c;
	return EF_REASON_OK;
}

void checks_free(struct checks *c)
{
	if (!c)
		return;
	sd_event_source_disable_unref(c->child);
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	sd_event_source_disable_unref(c->next);
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	ef_close(c->output);
	for (int i = 0; i < c->n; i++)
		free(c->names[i]);
	free(c->names);
	for (size_t i = 0; c->env[i]; i++)
		free(c->env[i]);
	free(c->dir);
	sd_event_unref(c->event);
	free(c);
}
