/* SPDX-License-Identifier: Apache-2.0 */
/* What the core sends edgeferry-net, and what a web server says in its headers. */
#include "net/answer.h"
#include "net/ipc.h"
#include "net/settings.h"
#include "net/spans.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A fetch that passed has a path that stays below, and ranges whose arithmetic is safe. */
static void fetch(const uint8_t *data, size_t size)
{
	static struct ipc_message m;
	const struct ipc_range *ranges;
	struct ipc_fetch f;
	char path[256];

	m.size = size > sizeof(m.payload) ? sizeof(m.payload) : size;
	memcpy(m.payload, data, m.size);
	m.head.type = IPC_FETCH_URL;
	if (ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)) &&
		(strncmp(path, "https://", 8) != 0 || strpbrk(path, "#\\ \n\t") ||
			path[8 + strcspn(path + 8, "@/")] != '/'))
		abort();
	m.head.type = IPC_FETCH;
	if (!ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)))
		return;
	if (path[0] == '/' || strstr(path, "//") || strcmp(path, "..") == 0 ||
		strncmp(path, "../", 3) == 0 || strstr(path, "/../") || strlen(path) != f.path_size)
		abort();
	struct spans s = {.ranges = ranges, .n = f.n_ranges};
	while (s.n > 0 && !spans_done(&s)) {
		uint64_t first, last, skip, deliver;
		spans_request(&s, &first, &last);
		if (last < first || !spans_take(&s, first, last - first + 1, &skip, &deliver) ||
			skip != 0 || deliver == 0)
			abort();
		spans_advance(&s, deliver);
	}
}

static void settings(const uint8_t *data, size_t size)
{
	struct net_settings s;
	struct error e = {0};

	if (net_settings_parse(&s, data, size, &e) == EF_REASON_OK &&
		(!s.id || !s.product || !s.prefix || (s.url && strncasecmp(s.url, "https://", 8))))
		abort();
	net_settings_free(&s);
}

static void headers(const uint8_t *data, size_t size)
{
	struct answer a = {0};
	struct error e = {0};

	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) + 1 : size;
		if (answer_header(&a, (const char *)data, n, &e) != EF_REASON_OK)
			return;
		if (a.has_range && (a.last < a.first || a.last >= INT64_MAX))
			abort();
		data += n;
		size -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(const uint8_t *, size_t) = {fetch, settings, headers};

	if (size > 0)
		parsers[data[0] % 3](data + 1, size - 1);
	return 0;
}
