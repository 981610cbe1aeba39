/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"
#include "util/cleanup.h"
#include "util/text.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

void complain(const char *hint, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	(void)fflush(stdout);
	fprintf(stderr, "edgeferry: %s\n", text ? text_clean(text) : "out of memory");
	if (hint && *hint)
		fprintf(stderr, "  what to do: %s\n", hint);
}

int reason_exit(enum ef_reason r)
{
	static const struct {
		enum ef_reason reason;
		int code;
	} single[] = {
		{EF_REASON_OK, EXIT_DONE},
		{EF_REASON_ALREADY_INSTALLED, EXIT_NOTHING},
		{EF_REASON_NOT_FOUND, EXIT_NOT_FOUND},
		{EF_REASON_DENIED, EXIT_DENIED},
		{EF_REASON_USAGE, EXIT_USAGE},
	};

	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
		if (single[i].reason == r)
			return single[i].code;
	/* trust; release and policy; what an image says of itself */
	if ((r >= EF_REASON_BAD_FORMAT && r <= EF_REASON_NO_TRUST) ||
		(r >= EF_REASON_NOT_COMPATIBLE && r <= EF_REASON_PROTOCOL) ||
		(r >= EF_REASON_BAD_IMAGE && r <= EF_REASON_IMAGE_DIGEST))
		return EXIT_REFUSED;
	return EXIT_FAILED;
}

bool error_name_reason(const char *name, enum ef_reason *ret)
{
	static const char prefix[] = BUS_NAME ".Error.";
	char word[64];
	size_t n = 0;

	if (!name || strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return false;
	for (name += sizeof(prefix) - 1; *name && n + 3 < sizeof(word); name++) {
		if (isupper((unsigned char)*name) && n > 0)
			word[n++] = '-';
		word[n++] = (char)tolower((unsigned char)*name);
	}
	word[n] = 0;
	return reason_from_word(word, ret);
}

static int complain_reason(enum ef_reason r, const char *message)
{
	const char *hint = reason_hint(r);
	size_t n = strlen(message), h = strlen(hint);

	/* The message is "TEXT: DETAIL (HINT)"; the hint goes on its own line. */
	if (h > 0 && n > h + 3 && message[n - 1] == ')' && message[n - h - 2] == '(' &&
		strncmp(message + n - h - 1, hint, h) == 0)
		n -= h + 3;
	complain(hint, "%.*s", (int)n, message);
	return reason_exit(r);
}

static bool one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

static int no_daemon(const char *why)
{
	complain("look at 'systemctl status edgeferry' and its journal",
		"the daemon edgeferryd does not answer%s%s", *why ? ": " : "", why);
	return EXIT_NO_DAEMON;
}

int client_error(const sd_bus_error *error, int negative_errno)
{
	static const char *const absent[] = {SD_BUS_ERROR_SERVICE_UNKNOWN,
		SD_BUS_ERROR_NAME_HAS_NO_OWNER, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED,
		SD_BUS_ERROR_TIMEOUT, "org.freedesktop.DBus.Error.Spawn.ServiceNotFound",
		"org.freedesktop.systemd1.NoSuchUnit",
		"org.freedesktop.DBus.Error.Spawn.ChildExited",
		"org.freedesktop.DBus.Error.TimedOut", NULL};
	static const char *const denied[] = {SD_BUS_ERROR_ACCESS_DENIED,
		SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, SD_BUS_ERROR_AUTH_FAILED, NULL};
	static const char *const unknown[] = {SD_BUS_ERROR_UNKNOWN_METHOD,
		SD_BUS_ERROR_UNKNOWN_OBJECT, SD_BUS_ERROR_UNKNOWN_INTERFACE,
		SD_BUS_ERROR_INVALID_ARGS, NULL};
	const char *name = error && error->name ? error->name : "";
	const char *message = error && error->message ? error->message : strerror(-negative_errno);
	enum ef_reason r;

	if (error_name_reason(name, &r))
		return complain_reason(r, message);
	if (one_of(name, denied) || negative_errno == -EACCES || negative_errno == -EPERM)
		return complain_reason(EF_REASON_DENIED, reason_text(EF_REASON_DENIED));
	if (one_of(name, absent))
		return no_daemon("");
	if (negative_errno == -ECONNRESET || negative_errno == -ENOTCONN ||
		negative_errno == -EPIPE || negative_errno == -ETIMEDOUT)
		return no_daemon(strerror(-negative_errno));
	complain(one_of(name, unknown) ? "see whether edgeferry and edgeferryd are of one version"
				       : "",
		"%s", message);
	return EXIT_FAILED;
}

static int open_bus(struct cli *cli)
{
	if (!cli->address)
		return sd_bus_open_system(&cli->bus);
	int r = sd_bus_new(&cli->bus);
	if (r >= 0)
		r = sd_bus_set_address(cli->bus, cli->address);
	if (r >= 0)
		r = sd_bus_set_bus_client(cli->bus, 1);
	if (r >= 0)
		r = sd_bus_negotiate_fds(cli->bus, 1);
	return r < 0 ? r : sd_bus_start(cli->bus);
}

int client_connect(struct cli *cli)
{
	const char *unique;
	int r = open_bus(cli);

	if (r >= 0)
		sd_bus_set_allow_interactive_authorization(cli->bus, isatty(STDIN_FILENO));
	if (r >= 0) /* the connection is there only when the bus has answered */
		r = sd_bus_get_unique_name(cli->bus, &unique);
	if (r >= 0)
		return EXIT_DONE;
	complain("look whether dbus runs and whether --address= or $DBUS_SYSTEM_BUS_ADDRESS is "
		 "right",
		"the bus cannot be reached: %s", strerror(-r));
	return EXIT_NO_DAEMON;
}

static int call(struct cli *cli, uint64_t timeout_us, const char *path, const char *interface,
	const char *member, sd_bus_message **reply, const char *types, va_list ap)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

	int r = sd_bus_message_new_method_call(cli->bus, &m, BUS_NAME, path, interface, member);
	if (r >= 0 && types)
		r = sd_bus_message_appendv(m, types, ap);
	if (r >= 0)
		r = sd_bus_call(cli->bus, m, timeout_us, &error, reply);
	return r < 0 ? client_error(&error, r) : EXIT_DONE;
}

int client_call(struct cli *cli, uint64_t timeout_us, const char *member, sd_bus_message **reply,
	const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	int r = call(cli, timeout_us, BUS_PATH, BUS_NAME ".Manager", member, reply, types, ap);
	va_end(ap);
	return r;
}

json_t *document_parse(const char *text)
{
	return json_loads(text, JSON_REJECT_DUPLICATES, NULL);
}

int client_document(struct cli *cli, const char *path, const char *interface, const char *member,
	json_t **ret, const char *types, ...)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *text;
	va_list ap;

	va_start(ap, types);
	int r = call(cli, 0, path, interface, member, &reply, types, ap);
	va_end(ap);
	if (r != EXIT_DONE)
		return r;
	r = sd_bus_message_read(reply, "s", &text);
	if (r >= 0 && (*ret = document_parse(text)))
		return EXIT_DONE;
	complain("see whether edgeferry and edgeferryd are of one version",
		"the daemon's answer to %s cannot be read", member);
	return EXIT_FAILED;
}

void document_print(const struct cli *cli, const json_t *document)
{
	size_t flags = cli->json == JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;

	/* On a terminal nothing but ASCII: no text from outside can then steer it (S-35). */
	if (cli->out.width > 0)
		flags |= JSON_ENSURE_ASCII;
	json_dumpf(document, cli->out.file, flags);
	fputc('\n', cli->out.file);
	(void)fflush(cli->out.file);
}
