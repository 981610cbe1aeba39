/* SPDX-License-Identifier: Apache-2.0 */
/* Who else is on the wires, as a document, with the file that would make a node of each. */
#include "bus/documents.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include <ctype.h>
#include <string.h>

#define NAME_MAX_TEXT 32

static const char *framing_word(enum framing f)
{
	return f == FRAMING_CONSOLE ? "console" : f == FRAMING_RAW ? "raw" : "cobs";
}

/* A name for its file: what it is, and where or which one. */
static void suggest_name(const struct discovered *f, char ret[NAME_MAX_TEXT + 1])
{
	const char *class_name = f->compatible ? strchr(f->compatible, ',') : NULL;
	const char *from = class_name		? class_name + 1
			   : *f->name		? f->name
			   : *f->identity.board ? f->identity.board
						: "node";
	size_t n = 0;

	for (; *from && n < NAME_MAX_TEXT - 10; from++)
		ret[n++] =
			isalnum((unsigned char)*from) ? (char)tolower((unsigned char)*from) : '-';
	ret[n] = '\0';
	if (f->address)
		snprintf(ret + n, NAME_MAX_TEXT + 1 - n, "-%u", f->address);
	else if (!f->identity.plain)
		snprintf(ret + n, NAME_MAX_TEXT + 1 - n, "-%02x%02x%02x%02x", f->identity.id[0],
			f->identity.id[1], f->identity.id[2], f->identity.id[3]);
}

static void put_security(FILE *out, const struct discovered *f, const char *name)
{
	if (f->identity.plain) {
		fprintf(out, "Security=none\n");
		return;
	}
	if (f->identity.reserved)
		fprintf(out, "# it has a key already, which this file must hold\n");
	else
		fprintf(out, "# as long as it has no key: edgeferry nodes provision %s\n", name);
	fprintf(out, "Key=/etc/edgeferry/keys/%s\n", name);
}

static char *file_text(const struct discovered *f, const char *name)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "[Node]\n");
	if (f->compatible)
		fprintf(out, "Compatible=%s\n", f->compatible);
	else
		fprintf(out, "# what its maker calls it: vendor.example,class\n#Compatible=\n");
	fprintf(out, "Link=%s\nDevice=%s\n", f->link, f->device);
	if (strcmp(f->link, "uart") == 0)
		fprintf(out, "BaudRate=%u\n", f->baud);
	if (f->rs485)
		fprintf(out, "RS485=yes\n");
	if (f->address)
		fprintf(out, "Address=%u\n", f->address);
	if (f->framing != FRAMING_COBS)
		fprintf(out, "Framing=%s\n", framing_word(f->framing));
	put_security(out, f, name);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

/* What runs; of a recovery, which runs no application, what lies in slot 0. */
static json_t *version_of(const struct node_identity *id)
{
	char buf[EF_VERSION_TEXT_MAX];

	for (int i = 0; i < 2; i++)
		if (id->slots[i].present && (id->slots[i].active || (id->plain && i == 0))) {
			ef_version_format(&id->slots[i].version, buf);
			return json_string(buf);
		}
	return json_null();
}

static json_t *bytes_or_null(const struct node_identity *id, const uint8_t bytes[16])
{
	char hex[DIGEST_HEX_MAX];

	return id->plain ? json_null() : json_string(hex_encode(bytes, 16, hex));
}

static json_t *found(const struct discovered *f)
{
	const struct node_identity *id = &f->identity;
	char name[NAME_MAX_TEXT + 1];

	suggest_name(f, name);
	_cleanup_free_ char *text = file_text(f, name);
	if (!text)
		return NULL;
	return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, "
			 "s:o, s:s, s:s}",
		"link", f->link, "device", f->device, "address",
		f->address ? json_integer(f->address) : json_null(), "framing",
		framing_word(f->framing), "board", text_or_null(id->board), "vendor",
		bytes_or_null(id, id->vendor), "class", bytes_or_null(id, id->class_id),
		"compatible", text_or_null(f->compatible), "id", bytes_or_null(id, id->id),
		"hardware", id->plain ? json_null() : json_integer(id->hardware), "boot_version",
		text_or_null(id->boot_version), "running", version_of(id), "bootloader",
		id->plain ? json_null() : json_boolean(id->bootloader), "session", id->reserved,
		"info", text_or_null(id->info), "name", name, "file", text);
}

json_t *document_discovery(const struct discovery *d)
{
	json_t *list = json_array(), *skipped = json_array();

	for (size_t i = 0; i < d->n_found; i++)
		json_array_append_new(list, found(&d->found[i]));
	for (size_t i = 0; i < d->n_skipped; i++) {
		const struct undiscovered *s = &d->skipped[i];

		json_array_append_new(skipped,
			json_pack("{s:s, s:s, s:s, s:s}", "link", s->link, "device", s->device,
				"reason", reason_word(s->error.reason), "detail", s->error.detail));
	}
	return json_pack("{s:I, s:o, s:o}", "wires", (json_int_t)d->n_wires, "found", list,
		"skipped", skipped);
}
