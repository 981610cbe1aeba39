/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"
#include "util/cleanup.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~-"

struct fetch {
	CURL *curl;
};

struct body {
	uint8_t *data;
	size_t used, max;
	bool too_large;
};

struct fetch *fetch_new(void)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->curl = curl_easy_init();
	if (f->curl)
		return f;
	free(f);
	return NULL;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	curl_easy_cleanup(f->curl);
	free(f);
}

static size_t on_data(char *data, size_t one, size_t size, void *ctx)
{
	struct body *b = ctx;

	if (size > b->max - b->used) {
		b->too_large = true;
		return 0;
	}
	uint8_t *p = realloc(b->data, b->used + size + 1);
	if (!p)
		return 0;
	b->data = p;
	memcpy(p + b->used, data, size);
	b->used += size;
	p[b->used] = 0;
	return size;
}

static CURLcode set_up(CURL *c, const char *url, struct body *b)
{
	const CURLcode r[] = {
		curl_easy_setopt(c, CURLOPT_URL, url),
		curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L),
		curl_easy_setopt(c, CURLOPT_NOPROXY, "*"), /* the suite serves on the loopback */
		curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https"),
		curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https"),
		curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L),
		curl_easy_setopt(c, CURLOPT_MAXREDIRS, 3L),
		curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 30L),
		curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1024L),
		curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L),
		curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L),
		curl_easy_setopt(c, CURLOPT_USERAGENT, "edgeferry/" EF_VERSION),
		curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data),
		curl_easy_setopt(c, CURLOPT_WRITEDATA, b),
	};

	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++)
		if (r[i] != CURLE_OK)
			return r[i];
	return CURLE_OK;
}

static enum ef_reason judge(
	CURL *c, CURLcode r, const struct body *b, const char *url, struct error *e)
{
	long status = 0;

	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	if (status == 403 || status == 404)
		return error_set(e, EF_REASON_NOT_FOUND, "%s", url);
	if (b->too_large)
		return error_set(e, EF_REASON_NET_TOO_LARGE, "%s", url);
	if (r != CURLE_OK)
		return error_set(
			e, EF_REASON_NET_UNREACHABLE, "%s: %s", url, curl_easy_strerror(r));
	if (status != 200)
		return error_set(e, EF_REASON_NET_HTTP, "%s: %ld", url, status);
	return EF_REASON_OK;
}

enum ef_reason fetch_get(struct fetch *f, const char *base, const char *name, uint64_t max,
	uint8_t **ret, size_t *size, struct error *e)
{
	struct body b = {.max = max};
	_cleanup_free_ char *url = NULL;
	size_t n = strlen(base);

	if (asprintf(&url, "%s%s%s", base, n > 0 && base[n - 1] == '/' ? "" : "/", name) < 0) {
		url = NULL;
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	}
	b.data = calloc(1, 1);
	if (!b.data)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	CURLcode r = set_up(f->curl, url, &b);
	if (r == CURLE_OK)
		r = curl_easy_perform(f->curl);
	if (judge(f->curl, r, &b, url, e) != EF_REASON_OK) {
		free(b.data);
		return e->reason;
	}
	*ret = b.data;
	*size = b.used;
	return EF_REASON_OK;
}

bool fetch_quote(const char *text, const char *safe, char *out, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = strchr(PLAIN, *text) || strchr(safe, *text);
		if (n + (plain ? 1 : 3) >= size)
			return false;
		if (plain) {
			out[n++] = *text;
			continue;
		}
		out[n++] = '%';
		out[n++] = digits[c >> 4];
		out[n++] = digits[c & 15];
	}
	out[n] = 0;
	return true;
}
