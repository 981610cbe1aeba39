/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keys.h"
#include "config/value.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <errno.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* One key. value: the default as it would stand in a file; NULL: none, the field stays empty. */
struct key {
	const char *section, *name;
	value_reader read;
	size_t offset;
	const char *value;
};

static const char *read_broker(const char *value, void *to)
{
	struct config *c = to;

	c->mqtt_port = 8883;
	return value_host_port(value, &c->mqtt_host, &c->mqtt_port);
}

#define FIELD(f) offsetof(struct config, f)
static const struct key gateway_keys[] = {
	{"Gateway", "Product", value_name, FIELD(product), NULL},
	{"Gateway", "Compatible", value_compatible, FIELD(compatible), NULL},
	{"Gateway", "Hardware", value_u32, FIELD(hardware), "1"},
	{"Gateway", "Id", value_name, FIELD(id), NULL},
	{"Gateway", "StateDirectory", value_path, FIELD(state_dir), "/var/lib/edgeferry"},
	{"Gateway", "RuntimeDirectory", value_path, FIELD(runtime_dir), "/run/edgeferry"},
	{"Source", "URL", value_url, FIELD(url), NULL},
	{"Source", "CAFile", value_path, FIELD(ca_file), NULL},
	{"Source", "PollSec", value_span, FIELD(poll_us), "1h"},
	{"Mqtt", "Broker", read_broker, 0, NULL},
	{"Mqtt", "CAFile", value_path, FIELD(mqtt_ca_file), NULL},
	{"Mqtt", "Username", value_text, FIELD(mqtt_username), NULL},
	{"Mqtt", "PasswordFile", value_path, FIELD(mqtt_password_file), NULL},
	{"Mqtt", "TopicPrefix", value_topic, FIELD(mqtt_prefix), "edgeferry"},
	{"Network", "User", value_user, FIELD(network_user), "edgeferry-net"},
	{"Bluetooth", "Adapter", value_adapter, FIELD(adapter), NULL},
	{"Bluetooth", "MaxConnections", value_connections, FIELD(connections), "4"},
	{"Slots", "Boot", value_boot, FIELD(boot), "sim"},
	{"Slots", "BootDirectory", value_path, FIELD(boot_dir), NULL},
	{"Slots", "A", value_path, FIELD(slot_a), NULL},
	{"Slots", "B", value_path, FIELD(slot_b), NULL},
	{"Update", "Automatic", value_automatic, FIELD(automatic), "security"},
	{"Update", "Window", value_window, FIELD(window), "00:00-00:00"},
	{"Update", "WindowDays", value_days, FIELD(window_days), "Mon..Sun"},
	{"Update", "Reboot", value_reboot, FIELD(reboot), "window"},
	{"Update", "PostponeMax", value_span, FIELD(postpone_max), "7d"},
	{"Update", "CatchUp", value_yes, FIELD(catch_up), "yes"},
	{"Update", "CheckServices", value_yes, FIELD(check_services), "yes"},
	{"Update", "ChecksDirectory", value_path, FIELD(checks_dir), "/etc/edgeferry/checks.d"},
	{"Update", "InterlockDirectory", value_path, FIELD(interlock),
		"/etc/edgeferry/interlock.d"},
	{"Update", "ConfirmSec", value_span, FIELD(check_us), "5min"},
	{"Update", "ObjectQuota", value_size, FIELD(object_quota), "64M"},
};
#undef FIELD

#define FIELD(f) offsetof(struct config_node, f)
static const struct key node_keys[] = {
	{"Node", "Compatible", value_compatible, FIELD(compatible), NULL},
	{"Node", "Link", value_link, FIELD(link), "uart"},
	{"Node", "Device", value_device, FIELD(device), NULL},
	{"Node", "Address", value_address, FIELD(address), "0"},
	{"Node", "BaudRate", value_baud, FIELD(baud), "115200"},
	{"Node", "BaudRateMax", value_baud_max, FIELD(baud_max), "0"},
	{"Node", "RS485", value_yes, FIELD(rs485), "no"},
	{"Node", "ClockRate", value_clock, FIELD(clock), "1000000"},
	{"Node", "ReadyLine", value_line, FIELD(ready), NULL},
	{"Node", "Exposed", value_yes, FIELD(exposed), "no"},
	{"Node", "Entry", value_entry, FIELD(entry), "agent"},
	{"Node", "ResetLine", value_line, FIELD(reset_line), NULL},
	{"Node", "BootLine", value_line, FIELD(boot_line), NULL},
	{"Node", "ResetSec", value_pulse, FIELD(reset_us), "20ms"},
	{"Node", "BootSec", value_pulse, FIELD(boot_us), "100ms"},
	{"Node", "Framing", value_framing, FIELD(framing), "cobs"},
	{"Node", "Security", value_security, FIELD(security), "session"},
	{"Node", "Key", value_key, FIELD(key), NULL},
	{"Node", "RedundancyGroup", value_name, FIELD(group), NULL},
	{"Node", "Optional", value_no, FIELD(required), "no"},
	{"Node", "MinimumBattery", value_percent, FIELD(battery), "20"},
	{"Node", "ExternalPower", value_yes, FIELD(external), "no"},
	{"Node", "Window", value_window, FIELD(window), "00:00-00:00"},
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
		return error_set(e, EF_REASON_CONFIG, "%s:%u: %s=%s: expected %s", item->file,
			item->line, item->key, item->value, wanted);
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

bool config_key(bool node, size_t i, const char **section, const char **name, const char **value)
{
	const struct key *k = node ? node_keys : gateway_keys;

	if (i >= (node ? COUNT(node_keys) : COUNT(gateway_keys)))
		return false;
	*section = k[i].section;
	*name = k[i].name;
	*value = k[i].value;
	return true;
}
