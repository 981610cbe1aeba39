/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own back-end. PREFIX/PRODUCT/offer wakes every gateway of a product, PREFIX/gateway/ID/offer
 * one; the payload is empty or JSON {"version": text}, a hint. Reports: PREFIX/gateway/ID/report.
 */
#include "sources/source.h"
#include "util/json.h"
#include "util/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OFFER_MAX 1024u /* bytes of a payload that is looked into */
#define REPORT_MAX 65000u

static bool fits(int n, size_t size)
{
	return n > 0 && (size_t)n < size;
}

static bool tuf_topic(const struct source_identity *who, unsigned i, char *out, size_t size)
{
	switch (i) {
	case 0:
		return fits(snprintf(out, size, "%s/%s/offer", who->prefix, who->product), size);
	case 1:
		return fits(snprintf(out, size, "%s/gateway/%s/offer", who->prefix, who->id), size);
	default:
		return false;
	}
}

/* 1 to 31 printable ASCII characters without blanks; anything else is no hint. */
static void take_version(const json_t *o, struct source_offer *ret)
{
	const char *version;

	if (!json_get_string(o, "version", &version) || strlen(version) >= sizeof(ret->version))
		return;
	for (const char *p = version; *p; p++)
		if (*p <= ' ' || *p > '~')
			return;
	strcpy(ret->version, version);
}

static bool tuf_decode(const struct source_identity *who, const char *topic, const void *data,
	size_t size, struct source_offer *ret)
{
	char own[256];
	bool ours = false;

	*ret = (struct source_offer){0};
	for (unsigned i = 0; !ours && tuf_topic(who, i, own, sizeof(own)); i++)
		ours = strcmp(own, topic) == 0;
	if (!ours || size > OFFER_MAX)
		return false;
	if (size > 0) {
		struct error e = {0};
		_cleanup_json_ json_t *o = json_read(data, size, "offer", &e);
		if (!json_is_object(o))
			return false;
		take_version(o, ret);
	}
	ret->look = true;
	return true;
}

static int tuf_encode(const struct source_identity *who, const json_t *report, char *topic,
	size_t topic_size, char **payload, size_t *size)
{
	_cleanup_free_ char *text = NULL;

	if (!json_is_object(report))
		return -EINVAL;
	if (!fits(snprintf(topic, topic_size, "%s/gateway/%s/report", who->prefix, who->id),
		    topic_size))
		return -ENAMETOOLONG;
	text = json_dumps(report, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	*size = strlen(text);
	if (*size > REPORT_MAX)
		return -EMSGSIZE;
	*payload = TAKE_PTR(text);
	return 0;
}

const struct source_ops source_tuf = {
	.name = "tuf",
	.push = true,
	.reports = true,
	.topic = tuf_topic,
	.decode = tuf_decode,
	.encode = tuf_encode,
};
