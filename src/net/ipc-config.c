/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ipc-config.h"
#include "util/json.h"
#include <errno.h>

/* Absent when there is no text; -ENOMEM also for text that is no UTF-8. */
static int put(json_t *o, const char *key, const char *text)
{
	return text && json_object_set_new(o, key, json_string(text)) < 0 ? -ENOMEM : 0;
}

static int put_mqtt(json_t *o, const struct config *c)
{
	json_t *m = json_object();

	/* From here on o owns m. */
	if (json_object_set_new(o, "mqtt", m) < 0)
		return -ENOMEM;
	if (json_object_set_new(m, "port", json_integer(c->mqtt_port)) < 0)
		return -ENOMEM;
	int r = put(m, "host", c->mqtt_host);
	r = r ? r : put(m, "ca_file", c->mqtt_ca_file);
	r = r ? r : put(m, "username", c->mqtt_username);
	return r ? r : put(m, "password_file", c->mqtt_password_file);
}

int ipc_config_format(const struct config *c, char **ret)
{
	_cleanup_json_ json_t *o = json_object();

	if (!o)
		return -ENOMEM;
	int r = put(o, "url", c->url);
	r = r ? r : put(o, "ca_file", c->ca_file);
	r = r ? r : put(o, "id", c->id);
	r = r ? r : put(o, "product", c->product);
	r = r ? r : put(o, "prefix", c->mqtt_prefix);
	if (r == 0 && c->mqtt_host)
		r = put_mqtt(o, c);
	if (r < 0)
		return r;
	*ret = json_dumps(o, JSON_COMPACT);
	return *ret ? 0 : -ENOMEM;
}
