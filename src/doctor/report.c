/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/doctor.h"
#include "util/fdio.h"
#include "util/text.h"
#include <glob.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX (256u * 1024u)

void say(struct doctor *d, enum level level, const char *advice, const char *format, ...)
{
	static const char *const words[] = {"ok", "warning", "error"};
	char text[1024], what[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(what, sizeof(what), "%s", advice);
	d->count[level]++;
	json_array_append_new(d->findings,
		json_pack("{s:s, s:s, s:s, s:s}", "check", d->check, "level", words[level], "text",
			text_clean(text), "advice", text_clean(what)));
}

const char *below(const struct doctor *d, const char *path, char out[PATH_MAX])
{
	if ((size_t)snprintf(out, PATH_MAX, "%s%s", d->root, path) >= PATH_MAX)
		out[0] = '\0';
	return out;
}

bool there(const struct doctor *d, const char *path)
{
	char full[PATH_MAX];
	struct stat st;

	return stat(below(d, path, full), &st) == 0;
}

char *text_below(const struct doctor *d, const char *path)
{
	char full[PATH_MAX];
	uint8_t *text;
	size_t size;

	return file_read(below(d, path, full), TEXT_MAX, &text, &size) < 0 ? NULL : (char *)text;
}

void leads_to(const struct doctor *d, const char *path, char out[PATH_MAX])
{
	char full[PATH_MAX], real[PATH_MAX], root[PATH_MAX] = "";
	size_t n = 0;

	out[0] = '\0';
	if (*d->root && realpath(d->root, root))
		n = strlen(root);
	if (realpath(below(d, path, full), real))
		snprintf(out, PATH_MAX, "%s", strncmp(real, root, n) == 0 ? real + n : real);
}

/* --- what the init system was told --- */

/* The value of the last line KEY=…; false: there is none. */
static bool last_value(const char *text, const char *key, char *out, size_t size)
{
	size_t n = strlen(key);
	bool found = false;

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, key, n) != 0 || at[n] != '=')
			continue;
		snprintf(out, size, "%.*s", (int)strcspn(at + n + 1, "\n"), at + n + 1);
		found = true;
	}
	return found;
}

/* Each file of a unit, or "system.conf", and its drop-ins, in the order in which they count. */
static bool each_file(const struct doctor *d, const char *unit,
	bool (*use)(const char *text, void *ctx), void *ctx)
{
	static const char *const patterns[] = {"/lib/systemd/system/%s",
		"/usr/lib/systemd/system/%s", "/etc/systemd/system/%s",
		"/usr/lib/systemd/system/%s.d/*.conf", "/run/systemd/system/%s.d/*.conf",
		"/etc/systemd/system/%s.d/*.conf"};
	static const char *const manager[] = {"/usr/lib/systemd/%s", "/etc/systemd/%s",
		"/usr/lib/systemd/%s.d/*.conf", "/run/systemd/%s.d/*.conf",
		"/etc/systemd/%s.d/*.conf"};
	bool service = strcmp(unit, "system.conf") != 0, found = false;

	for (size_t i = 0; i < (service ? 6u : 5u); i++) {
		char path[PATH_MAX], full[PATH_MAX];
		glob_t g;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(path, sizeof(path), service ? patterns[i] : manager[i], unit);
#pragma GCC diagnostic pop
		if (glob(below(d, path, full), 0, NULL, &g) != 0)
			continue;
		for (size_t n = 0; n < g.gl_pathc; n++) {
			_cleanup_free_ uint8_t *text = NULL;
			size_t size;

			if (file_read(g.gl_pathv[n], TEXT_MAX, &text, &size) == 0)
				found |= use((char *)text, ctx);
		}
		globfree(&g);
	}
	return found;
}

struct wanted {
	const char *key;
	char *out;
	size_t size;
};

static bool use_value(const char *text, void *ctx)
{
	const struct wanted *w = ctx;

	return last_value(text, w->key, w->out, w->size);
}

bool unit_says(const struct doctor *d, const char *unit, const char *key, char *out, size_t size)
{
	struct wanted w = {key, out, size};

	return each_file(d, unit, use_value, &w);
}

static bool use_text(const char *text, void *ctx)
{
	return strstr(text, ctx) != NULL;
}

bool unit_has(const struct doctor *d, const char *unit, const char *text)
{
	return each_file(d, unit, use_text, (void *)(uintptr_t)text);
}

enum level with_slots(const struct doctor *d, enum level with, enum level without)
{
	return d->a && strcmp(d->boot, "sim") != 0 ? with : without;
}
