/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/journal.h"
#include "util/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The first that fits; to NULL: whatever it is. tests/unit/daemon/test-journal.py holds it and the
 * catalog together. */
static const struct kind {
	const char *word, *to, *id;
	int level;
} kinds[] = {
	{"deployment", "confirmed", "e868a2026e9d49608c9a29da1723d417", LOG_NOTICE},
	{"deployment", "reverted", "6c384b3d87ab41c898bd7e964d8608ad", LOG_WARNING},
	{"deployment", "failed", "4906ca036dc541738bbd3537fed506ee", LOG_WARNING},
	{"deployment", NULL, "e424811d014e46048c74eba28f586842", LOG_INFO},
	{"component", NULL, "f66df6ff218e40b4bcfcf791a6fd1912", LOG_INFO},
	{"check", NULL, "736805ff4ad7477e987f8740986cdba6", LOG_INFO},
	{"refused", NULL, "ef605c761de24209b153d9c7f160b066", LOG_WARNING},
	{"node", NULL, "59a86c289d74414493f0e2a8dd081322", LOG_NOTICE},
	{"start", NULL, "bdceb6466f7a4f038d4e8409f3707be5", LOG_INFO},
	{"patch", NULL, "db7ee0b7ed414c5a94625fb2f306e1e8", LOG_INFO},
	{"fell-back", NULL, "da1eafc302934148b396d3b3028b79ed", LOG_ERR},
	{"policy", NULL, "9ae679bc0e114c4a8c4c87b979d8866d", LOG_NOTICE},
	{"reload", "kept", "30bb1c54fddf481b9395eaa94836f2f0", LOG_ERR},
	{"reload", NULL, "24f02afb28824420835d29c12fa614e6", LOG_NOTICE},
	{NULL, NULL, "cbb789af762042a3aca031f82bdd5480", LOG_INFO},
};

static const struct kind *kind_of(const struct event *ev)
{
	const struct kind *k = kinds;

	while (k->word && (strcmp(k->word, ev->word) != 0 || (k->to && strcmp(k->to, ev->to) != 0)))
		k++;
	return k;
}

/* Adds to text; what does not fit is cut. */
static void __attribute__((format(printf, 3, 4)))
add(char *text, size_t size, const char *format, ...)
{
	size_t n = strlen(text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(text + n, size - n, format, ap);
	va_end(ap);
}

static void make_text(const struct event *ev, char *text, size_t size)
{
	snprintf(text, size, "%s", ev->word);
	if (ev->deployment && strcmp(ev->word, "deployment") == 0)
		add(text, size, " %llu", (unsigned long long)ev->deployment);
	if (ev->component[0])
		add(text, size, " %s", ev->component);
	if (ev->place[0])
		add(text, size, " on %s", ev->place);
	if (ev->from[0] || ev->to[0])
		add(text, size, ": %s%s%s", ev->from, ev->from[0] && ev->to[0] ? " -> " : "",
			ev->to);
	if (ev->error.reason)
		add(text, size, ": %s", reason_word(ev->error.reason));
	if (ev->error.detail[0])
		add(text, size, ": %s", ev->error.detail);
}

static void put(struct journal_entry *e, size_t *n, const char *key, const char *value)
{
	if (!value[0])
		return;
	snprintf(e->buffer[*n], sizeof(e->buffer[*n]), "EDGEFERRY_%s=%s", key, value);
	e->fields[*n] = e->buffer[*n];
	e->fields[++*n] = NULL;
}

void journal_make(const struct event *ev, const char *release, struct journal_entry *ret)
{
	const struct kind *k = kind_of(ev);
	char number[21] = "";
	size_t n = 0;

	ret->id = k->id;
	/* that the full image was sent is nothing to be warned of */
	bool bad = ev->error.reason && ev->error.reason != EF_REASON_PATCH;
	ret->level = bad && k->level > LOG_WARNING ? LOG_WARNING : k->level;
	ret->fields[0] = NULL;
	make_text(ev, ret->text, sizeof(ret->text));
	if (ev->deployment)
		snprintf(number, sizeof(number), "%llu", (unsigned long long)ev->deployment);
	put(ret, &n, "EVENT", ev->word);
	put(ret, &n, "DEPLOYMENT", number);
	put(ret, &n, "RELEASE", release);
	put(ret, &n, "COMPONENT", ev->component);
	put(ret, &n, "PLACE", ev->place);
	put(ret, &n, "FROM", ev->from);
	put(ret, &n, "TO", ev->to);
	put(ret, &n, "REASON", ev->error.reason ? reason_word(ev->error.reason) : "");
	put(ret, &n, "DETAIL", ev->error.detail);
	put(ret, &n, "HINT", ev->error.reason ? reason_hint(ev->error.reason) : "");
}

void journal_event(const struct event *ev, const char *release)
{
	struct journal_entry e;

	journal_make(ev, release, &e);
	log_event(e.level, e.id, e.text, e.fields);
}
