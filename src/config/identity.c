/* SPDX-License-Identifier: Apache-2.0 */
#include "config/identity.h"
#include "config/value.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>

#define TEXT_MAX 64

/* Stable for this machine, tells nothing of its machine id, which is to be kept private. */
static enum ef_reason derive(struct config *c, struct error *e)
{
	static const sd_id128_t app =
		SD_ID128_MAKE(5d, 3c, 41, 8e, 0f, b2, 4a, 67, 9a, 1d, c4, 52, 7b, e8, 06, 93);
	char text[33];
	sd_id128_t id;

	if (sd_id128_get_machine_app_specific(app, &id) < 0)
		return error_set(e, EF_REASON_CONFIG,
			"[Gateway] Id= is missing and there is no /etc/machine-id");
	c->id = strdup(hex_encode(id.bytes, sizeof(id.bytes), text));
	c->id_from = ID_DERIVED;
	return c->id ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "Id=");
}

/* One line, and nothing else: its end is taken off. */
static bool is_name(char *text, size_t size)
{
	if (size > 0 && text[size - 1] == '\n')
		text[--size] = '\0';
	return strlen(text) == size && value_is_name(text);
}

enum ef_reason identity_find(struct config *c, const char *root, struct error *e)
{
	_cleanup_free_ uint8_t *text = NULL;
	char path[PATH_MAX];
	size_t size;

	if ((size_t)snprintf(path, sizeof(path), "%s%s/id", root, c->state_dir) >= sizeof(path))
		return error_set(e, EF_REASON_CONFIG, "%s: name too long", c->state_dir);
	int r = file_read(path, TEXT_MAX, &text, &size);
	if (r == -ENOENT || r == -ENOTDIR)
		return derive(c, e);
	if (r == -EACCES) { /* somebody who is shown the configuration */
		c->id_from = ID_HIDDEN;
		return EF_REASON_OK;
	}
	if (r < 0 || !is_name((char *)text, size))
		return error_set(e, EF_REASON_STATE_UNREADABLE, "%s: %s; Id= would go before it",
			path, r < 0 ? strerror(-r) : "not the name of a gateway");
	c->id = strdup((char *)text);
	c->id_from = ID_KEPT;
	return c->id ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "Id=");
}

int config_keep_id(const struct config *c)
{
	char path[PATH_MAX], text[TEXT_MAX];

	if (c->id_from != ID_DERIVED)
		return 0;
	if ((size_t)snprintf(path, sizeof(path), "%s/id", c->state_dir) >= sizeof(path))
		return -ENAMETOOLONG;
	int n = snprintf(text, sizeof(text), "%s\n", c->id);
	return atomic_file_write(path, text, (size_t)n, 0600);
}
