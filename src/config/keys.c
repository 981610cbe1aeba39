/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keys.h"
#include "config/value.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include "util/token-uri.h"
#include <errno.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* One key. value: the default as it would stand in a file; NULL: none, the field stays empty. */
struct key {
	const char *section, *name;
	value_reader read;
	size_t offset, size;
	const char *value;
	enum config_when when;
};

static const char *read_broker(const char *value, void *to)
{
	struct config *c = to;

	c->mqtt_port = 8883;
	return value_host_port(value, &c->mqtt_host, &c->mqtt_port);
}

#define FIELD(f) offsetof(struct config, f), sizeof(((struct config *)NULL)->f)
#define BROKER 0, 0 /* two fields: read_broker */
static const struct key gateway_keys[] = {
	{"Gateway", "Product", value_name, FIELD(product), NULL, CONFIG_START},
	{"Gateway", "Compatible", value_compatible, FIELD(compatible), NULL, CONFIG_START},
	{"Gateway", "Hardware", value_u32, FIELD(hardware), "1", CONFIG_START},
	{"Gateway", "Id", value_name, FIELD(id), NULL, CONFIG_START},
	{"Gateway", "StateDirectory", value_path, FIELD(state_dir), "/var/lib/edgeferry",
		CONFIG_START},
	{"Gateway", "RuntimeDirectory", value_path, FIELD(runtime_dir), "/run/edgeferry",
		CONFIG_START},
	{"Source", "URL", value_url, FIELD(url), NULL, CONFIG_NET},
	{"Source", "CAFile", value_path, FIELD(ca_file), NULL, CONFIG_NET},
	{"Source", "ClientCertificate", value_key, FIELD(cert), NULL, CONFIG_NET},
	{"Source", "ClientKey", value_client_key, FIELD(cert_key), NULL, CONFIG_NET},
	{"Source", "PollSec", value_span, FIELD(poll_us), "1h", CONFIG_NOW},
	{"Mqtt", "Broker", read_broker, BROKER, NULL, CONFIG_NET},
	{"Mqtt", "CAFile", value_path, FIELD(mqtt_ca_file), NULL, CONFIG_NET},
	{"Mqtt", "ClientCertificate", value_key, FIELD(mqtt_cert), NULL, CONFIG_NET},
	{"Mqtt", "ClientKey", value_client_key, FIELD(mqtt_cert_key), NULL, CONFIG_NET},
	{"Mqtt", "Username", value_text, FIELD(mqtt_username), NULL, CONFIG_NET},
	{"Mqtt", "PasswordFile", value_path, FIELD(mqtt_password_file), NULL, CONFIG_NET},
	{"Mqtt", "TopicPrefix", value_topic, FIELD(mqtt_prefix), "edgeferry", CONFIG_NET},
	{"Network", "User", value_user, FIELD(network_user), "edgeferry-net", CONFIG_NET},
	{"Network", "TokenSocket", value_path, FIELD(token_socket), "/run/edgeferry-token/pkcs11",
		CONFIG_NET},
	{"Metrics", "File", value_path, FIELD(metrics_file), NULL, CONFIG_NOW},
	{"Bluetooth", "Adapter", value_adapter, FIELD(adapter), NULL, CONFIG_IDLE},
	{"Bluetooth", "MaxConnections", value_connections, FIELD(connections), "4", CONFIG_IDLE},
	{"Slots", "Boot", value_boot, FIELD(boot), "sim", CONFIG_START},
	{"Slots", "BootDirectory", value_path, FIELD(boot_dir), NULL, CONFIG_START},
	{"Slots", "A", value_path, FIELD(slot_a), NULL, CONFIG_START},
	{"Slots", "B", value_path, FIELD(slot_b), NULL, CONFIG_START},
	{"Slots", "BootA", value_path, FIELD(boot_a), NULL, CONFIG_START},
	{"Slots", "BootB", value_path, FIELD(boot_b), NULL, CONFIG_START},
	{"Update", "Automatic", value_automatic, FIELD(automatic), "security", CONFIG_NOW},
	{"Update", "Window", value_window, FIELD(window), "00:00-00:00", CONFIG_NOW},
	{"Update", "WindowDays", value_days, FIELD(window_days), "Mon..Sun", CONFIG_NOW},
	{"Update", "Reboot", value_reboot, FIELD(reboot), "window", CONFIG_NOW},
	{"Update", "PostponeMax", value_span, FIELD(postpone_max), "7d", CONFIG_NOW},
	{"Update", "CatchUp", value_yes, FIELD(catch_up), "yes", CONFIG_NOW},
	{"Update", "CheckServices", value_yes, FIELD(check_services), "yes", CONFIG_NOW},
	{"Update", "ChecksDirectory", value_path, FIELD(checks_dir), "/etc/edgeferry/checks.d",
		CONFIG_NOW},
	{"Update", "InterlockDirectory", value_path, FIELD(interlock), "/etc/edgeferry/interlock.d",
		CONFIG_NOW},
	{"Update", "ConfirmSec", value_span, FIELD(check_us), "5min", CONFIG_NOW},
	{"Update", "ObjectQuota", value_size, FIELD(object_quota), "64M", CONFIG_NOW},
};
#undef FIELD
#undef BROKER

#define FIELD(f) offsetof(struct config_node, f), sizeof(((struct config_node *)NULL)->f)
static const struct key node_keys[] = {
	{"Node", "Compatible", value_compatible, FIELD(compatible), NULL, CONFIG_IDLE},
	{"Node", "Link", value_link, FIELD(link), "uart", CONFIG_IDLE},
	{"Node", "Device", value_device, FIELD(device), NULL, CONFIG_IDLE},
	{"Node", "Address", value_address, FIELD(address), "0", CONFIG_IDLE},
	{"Node", "BaudRate", value_baud, FIELD(baud), "115200", CONFIG_IDLE},
	{"Node", "BaudRateMax", value_baud_max, FIELD(baud_max), "0", CONFIG_IDLE},
	{"Node", "RS485", value_yes, FIELD(rs485), "no", CONFIG_IDLE},
	{"Node", "ClockRate", value_clock, FIELD(clock), "1000000", CONFIG_IDLE},
	{"Node", "ReadyLine", value_line, FIELD(ready), NULL, CONFIG_IDLE},
	{"Node", "Exposed", value_yes, FIELD(exposed), "no", CONFIG_IDLE},
	{"Node", "Entry", value_entry, FIELD(entry), "agent", CONFIG_IDLE},
	{"Node", "ResetLine", value_line, FIELD(reset_line), NULL, CONFIG_IDLE},
	{"Node", "BootLine", value_line, FIELD(boot_line), NULL, CONFIG_IDLE},
	{"Node", "ResetSec", value_pulse, FIELD(reset_us), "20ms", CONFIG_IDLE},
	{"Node", "BootSec", value_pulse, FIELD(boot_us), "100ms", CONFIG_IDLE},
	{"Node", "Framing", value_framing, FIELD(framing), "cobs", CONFIG_IDLE},
	{"Node", "Security", value_security, FIELD(security), "session", CONFIG_IDLE},
	{"Node", "Key", value_key, FIELD(key), NULL, CONFIG_IDLE},
	{"Node", "RedundancyGroup", value_name, FIELD(group), NULL, CONFIG_IDLE},
	{"Node", "Optional", value_no, FIELD(required), "no", CONFIG_NOW},
	{"Node", "Patch", value_no, FIELD(no_patch), "yes", CONFIG_NOW},
	{"Node", "MinimumBattery", value_percent, FIELD(battery), "20", CONFIG_NOW},
	{"Node", "ExternalPower", value_yes, FIELD(external), "no", CONFIG_NOW},
	{"Node", "Window", value_window, FIELD(window), "00:00-00:00", CONFIG_NOW},
};
#undef FIELD

static bool is_text(const struct key *k)
{
	static const value_reader numbers[] = {value_u32, value_size, value_span, value_automatic,
		value_security, value_framing, value_address, value_baud, value_baud_max,
		value_clock, value_entry, value_pulse, value_yes, value_no, value_percent,
		value_window, value_connections, value_days, value_reboot};

	for (size_t i = 0; i < COUNT(numbers); i++)
		if (k->read == numbers[i])
			return false;
	return true;
}

/* Back to the default; keys without one are texts. */
static const char *reset(const struct key *k, void *object)
{
	char *field = (char *)object + k->offset;

	if (k->value)
		return k->read(k->value, field);
	char **text =
		k->read == read_broker ? &((struct config *)object)->mqtt_host : (char **)field;
	free(*text);
	*text = NULL;
	return NULL;
}

static int defaults(const struct key *keys, size_t n, void *object)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].value && keys[i].read(keys[i].value, (char *)object + keys[i].offset))
			return -ENOMEM;
	return 0;
}

static void free_texts(const struct key *keys, size_t n, void *object)
{
	for (size_t i = 0; i < n; i++)
		if (is_text(&keys[i]) && keys[i].read != read_broker)
			free(*(char **)((char *)object + keys[i].offset));
}

static enum ef_reason set(const struct key *keys, size_t n, void *object,
	const struct ini_item *item, struct error *e)
{
	bool section_known = false;

	for (size_t i = 0; i < n; i++) {
		const struct key *k = &keys[i];
		if (strcmp(k->section, item->section) != 0)
			continue;
		section_known = true;
		if (!item->key[0])
			return EF_REASON_OK;
		if (strcmp(k->name, item->key) != 0)
			continue;
		/* As in systemd, an empty value takes back what files before have set. */
		const char *wanted = item->value[0]
					     ? k->read(item->value, (char *)object + k->offset)
					     : reset(k, object);
		if (!wanted)
			return EF_REASON_OK;
		char shown[256]; /* a PIN must not be repeated (S-31) */
		return error_set(e, EF_REASON_CONFIG, "%s:%u: %s=%s: expected %s", item->file,
			item->line, item->key, token_uri_shown(item->value, shown), wanted);
	}
	if (!section_known)
		return error_set(e, EF_REASON_CONFIG, "%s:%u: unknown section [%s]", item->file,
			item->line, item->section);
	return error_set(e, EF_REASON_CONFIG, "%s:%u: unknown key %s= in [%s]", item->file,
		item->line, item->key, item->section);
}

struct config *config_new(void)
{
	struct config *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->mqtt_port = 8883;
	if (defaults(gateway_keys, COUNT(gateway_keys), c) < 0) {
		config_free(c);
		return NULL;
	}
	return c;
}

int config_node_defaults(struct config_node *n)
{
	return defaults(node_keys, COUNT(node_keys), n);
}

void config_node_free(struct config_node *n)
{
	free_texts(node_keys, COUNT(node_keys), n);
	free(n->name);
}

enum ef_reason config_set(struct config *c, const struct ini_item *item, struct error *e)
{
	return set(gateway_keys, COUNT(gateway_keys), c, item, e);
}

enum ef_reason config_node_set(struct config_node *n, const struct ini_item *item, struct error *e)
{
	return set(node_keys, COUNT(node_keys), n, item, e);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	free_texts(gateway_keys, COUNT(gateway_keys), c);
	free(c->mqtt_host);
	for (size_t i = 0; i < c->n_nodes; i++)
		config_node_free(&c->nodes[i]);
	free(c->nodes);
	free(c);
}

static const struct key *key_at(bool node, size_t i)
{
	if (i >= (node ? COUNT(node_keys) : COUNT(gateway_keys)))
		return NULL;
	return node ? &node_keys[i] : &gateway_keys[i];
}

bool config_key(bool node, size_t i, const char **section, const char **name, const char **value)
{
	const struct key *k = key_at(node, i);

	if (!k)
		return false;
	*section = k->section;
	*name = k->name;
	*value = k->value;
	return true;
}

enum config_when config_key_when(bool node, size_t i)
{
	return key_at(node, i)->when;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool config_key_differs(bool node, size_t i, const void *a, const void *b)
{
	const struct key *k = key_at(node, i);
	const struct config *c = a, *d = b;
	const char *x = (const char *)a + k->offset, *y = (const char *)b + k->offset;

	if (k->read == read_broker)
		return !same_text(c->mqtt_host, d->mqtt_host) || c->mqtt_port != d->mqtt_port;
	if (is_text(k))
		return !same_text(*(char *const *)x, *(char *const *)y);
	return memcmp(x, y, k->size) != 0;
}

static void swap(void *a, void *b, size_t size)
{
	char t[sizeof(struct config)];

	memcpy(t, a, size);
	memcpy(a, b, size);
	memcpy(b, t, size);
}

void config_key_swap(bool node, size_t i, void *a, void *b)
{
	const struct key *k = key_at(node, i);
	struct config *c = a, *d = b;

	if (k->read == read_broker) {
		swap(&c->mqtt_host, &d->mqtt_host, sizeof(c->mqtt_host));
		swap(&c->mqtt_port, &d->mqtt_port, sizeof(c->mqtt_port));
		return;
	}
	swap((char *)a + k->offset, (char *)b + k->offset, k->size);
}
