/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: whether they answer, their keys, and the ports, lines and adapters that reach them. */
#include "dfu/session-key.h"
#include "doctor/bus.h"
#include "links/lines.h"
#include <errno.h>
#include <libgen.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

typedef void (*node_func)(struct doctor *d, const struct config_node *n);

static void each_node(struct doctor *d, node_func f)
{
	for (size_t i = 0; i < d->config->n_nodes; i++)
		f(d, &d->config->nodes[i]);
}

static bool is_link(const struct config_node *n, const char *link)
{
	return strcmp(n->link, link) == 0;
}

/* --- nodes --- */

static void say_node(struct doctor *d, const json_t *o)
{
	const char *name = "?", *word = "", *detail = "", *running = "";
	enum ef_reason r = EF_REASON_OK;

	json_get_string(o, "name", &name);
	json_get_string(o, "reason", &word);
	json_get_string(o, "detail", &detail);
	json_get_string(o, "running", &running);
	if (!reason_from_word(word, &r))
		r = EF_REASON_INTERNAL;
	if (r != EF_REASON_OK)
		say(d, LEVEL_WARNING,
			*reason_hint(r) ? reason_hint(r) : "look at 'edgeferry history'",
			"%s: %s: %s", name, reason_text(r), detail);
	else if (!json_is_true(json_object_get(o, "present")))
		say(d, LEVEL_WARNING,
			"see that it has power and that its wire is plugged in; 'edgeferry nodes' "
			"shows when it is heard",
			"%s does not answer", name);
	else
		say(d, LEVEL_OK, "", "%s answers, runs %s", name, running);
}

void check_nodes(struct doctor *d)
{
	const json_t *node;
	size_t i;

	if (d->config->n_nodes == 0) {
		say(d, LEVEL_OK, "a node is a file in nodes.d, see edgeferry-nodes.conf(5)",
			"no nodes are configured");
		return;
	}
	if (!d->status && (!*d->root || d->bus_address))
		say(d, LEVEL_WARNING, "start edgeferry and run this again",
			"whether the nodes answer is not known: the daemon does not say");
	json_array_foreach (json_get_array(d->status, "nodes"), i, node)
		say_node(d, node);
}

/* --- keys --- */

static void check_key(struct doctor *d, const struct config_node *n)
{
	uint8_t key[EF_SESSION_KEY_SIZE];
	char path[PATH_MAX], advice[400], name[300];
	struct error e = {0};

	if (!n->key)
		return;
	if (strncmp(n->key, SESSION_KEY_CREDENTIAL, strlen(SESSION_KEY_CREDENTIAL)) == 0) {
		snprintf(name, sizeof(name), "%s", n->key + strlen(SESSION_KEY_CREDENTIAL));
		if (unit_has(d, "edgeferry.service", name))
			return;
		snprintf(advice, sizeof(advice),
			"systemctl edit edgeferry: [Service] and LoadCredential=%s:FILE", name);
		say(d, LEVEL_ERROR, advice, "%s: edgeferry.service has no credential %s", n->name,
			name);
		return;
	}
	if (session_key_load(below(d, n->key, path), key, &e) == EF_REASON_OK) {
		OPENSSL_cleanse(key, sizeof(key));
		return;
	}
	if (there(d, n->key))
		say(d, access(path, R_OK) < 0 && errno == EACCES ? LEVEL_WARNING : LEVEL_ERROR,
			access(path, R_OK) < 0 && errno == EACCES
				? "run this as root"
				: "without its key the node is not spoken to",
			"%s: %s", n->name, e.detail);
	else if (session_key_has_next(path))
		return; /* it was being replaced; the daemon goes on with that */
	else {
		snprintf(advice, sizeof(advice),
			"when it has a key, put it there (64 hexadecimal digits, mode 0600); when "
			"it "
			"has none, over a wire that is trusted: edgeferry nodes provision %s",
			n->name);
		say(d, LEVEL_ERROR, advice, "%s: its key is not there: %s", n->name, n->key);
	}
}

void check_keys(struct doctor *d)
{
	unsigned wrong = d->count[LEVEL_ERROR] + d->count[LEVEL_WARNING], keys = 0, open = 0;

	each_node(d, check_key);
	for (size_t i = 0; i < d->config->n_nodes; i++) {
		keys += d->config->nodes[i].key != NULL;
		open += d->config->nodes[i].security == SECURITY_NONE;
	}
	if (open)
		say(d, LEVEL_OK, "", "%u node%s spoken to in the clear, as its file says", open,
			open == 1 ? " is" : "s are");
	if (keys && wrong == d->count[LEVEL_ERROR] + d->count[LEVEL_WARNING])
		say(d, LEVEL_OK, "", "%u key%s, for nobody else to read", keys,
			keys == 1 ? "" : "s");
}

/* --- ports --- */

/* /proc/consoles: "ttyS0   -W- (EC p a)   4:64". */
static bool is_console(const struct doctor *d, const char *name, const struct stat *st)
{
	_cleanup_free_ char *text = text_below(d, "/proc/consoles");
	char *save = NULL;

	for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l;
		l = strtok_r(NULL, "\n", &save)) {
		char own[64];
		unsigned a, b;
		const char *last = strrchr(l, ' ');

		if (sscanf(l, "%63s", own) == 1 && strcmp(own, name) == 0)
			return true;
		if (last && sscanf(last, " %u:%u", &a, &b) == 2 && makedev(a, b) == st->st_rdev)
			return true;
	}
	return false;
}

static bool has_getty(const struct doctor *d, const char *name)
{
	static const char *const folders[] = {"/etc/systemd/system/getty.target.wants",
		"/run/systemd/generator/getty.target.wants"};
	char path[PATH_MAX], full[PATH_MAX], to[PATH_MAX];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/serial-getty@%s.service", folders[i], name);
		if (readlink(below(d, path, full), to, sizeof(to)) > 0 || there(d, path))
			return true;
	}
	return false;
}

/* The unit opens devices of the kinds that it names. */
static bool is_allowed(const struct doctor *d, const char *name, char kind[64])
{
	char rule[80];

	snprintf(kind, 64, "%.*s", (int)strcspn(name, "0123456789"), name);
	if (strcmp(kind, "spidev") == 0)
		strcpy(kind, "spi");
	snprintf(rule, sizeof(rule), "DeviceAllow=char-%s ", kind);
	return !unit_has(d, "edgeferry.service", "DevicePolicy=closed") ||
	       unit_has(d, "edgeferry.service", rule);
}

static void check_port(struct doctor *d, const struct config_node *n)
{
	char full[PATH_MAX], real[PATH_MAX], kind[64], advice[256];
	bool spi = is_link(n, "spi");
	struct stat st;

	if (!spi && !is_link(n, "uart"))
		return;
	if (stat(below(d, n->device, full), &st) < 0) {
		say(d, LEVEL_ERROR,
			spi ? "switch the bus on (on a Raspberry Pi dtparam=spi=on in config.txt); "
			      "ls "
			      "/dev/spidev* shows those there are"
			    : "plug it in, or switch the port on (on a Raspberry Pi enable_uart=1 "
			      "or "
			      "an overlay in config.txt); ls -l /dev/serial/by-id shows adapters",
			"%s: %s: %s", n->name, n->device, strerror(errno));
		return;
	}
	leads_to(d, n->device, real);
	const char *name = basename(real);
	if (!S_ISCHR(st.st_mode)) {
		say(d, LEVEL_ERROR, "name the port's device in Device=", "%s: %s is no port",
			n->name, n->device);
	} else if (strncmp(name, "spidev10.", 9) == 0) {
		say(d, LEVEL_ERROR, "name another bus: what is on this one boots the machine",
			"%s: %s is the flash of a Raspberry Pi 5's bootloader", n->name, n->device);
	} else if (is_console(d, name, &st)) {
		say(d, LEVEL_ERROR,
			"take console=… for it off the kernel command line, or use another port",
			"%s: %s is the kernel's console", n->name, n->device);
	} else if (has_getty(d, name)) {
		snprintf(advice, sizeof(advice), "systemctl mask --now serial-getty@%s", name);
		say(d, LEVEL_ERROR, advice, "%s: a login runs on %s", n->name, n->device);
	} else if (!is_allowed(d, name, kind)) {
		snprintf(advice, sizeof(advice),
			"systemctl edit edgeferry: [Service] and DeviceAllow=char-%s rw", kind);
		say(d, LEVEL_ERROR, advice, "%s: edgeferry.service may not open %s", n->name,
			n->device);
	} else {
		say(d, LEVEL_OK, "", "%s: %s is there", n->name, n->device);
	}
}

void check_ports(struct doctor *d)
{
	each_node(d, check_port);
}

/* --- GPIO lines --- */

static void check_line(
	struct doctor *d, const struct config_node *n, const char *key, const char *spec)
{
	struct error e = {0};

	if (!spec)
		return;
	if (line_look(spec, &e) == EF_REASON_OK)
		say(d, LEVEL_OK, "", "%s: %s=%s is there", n->name, key, spec);
	else
		say(d, e.reason == EF_REASON_DENIED ? LEVEL_WARNING : LEVEL_ERROR,
			e.reason == EF_REASON_DENIED ? "run this as root"
						     : "correct it in the node's file",
			"%s: %s=: %s", n->name, key, e.detail);
}

static void check_lines_of(struct doctor *d, const struct config_node *n)
{
	check_line(d, n, "ResetLine", n->reset_line);
	check_line(d, n, "BootLine", n->boot_line);
	check_line(d, n, "ReadyLine", n->ready);
}

void check_lines(struct doctor *d)
{
	each_node(d, check_lines_of);
}

/* --- Bluetooth --- */

void check_bluetooth(struct doctor *d)
{
	unsigned adapters, powered, nodes = 0;
	struct error e = {0};

	for (size_t i = 0; i < d->config->n_nodes; i++)
		nodes += is_link(&d->config->nodes[i], "ble");
	if (nodes == 0 || (*d->root && !d->bus_address))
		return;
	if (bus_adapters(d, &adapters, &powered, &e) == EF_REASON_CONFIG)
		say(d, LEVEL_ERROR,
			"see dmesg for the controller's firmware; on a Raspberry Pi disable-bt in "
			"config.txt takes it away",
			"BlueZ has no adapter");
	else if (e.reason)
		say(d, LEVEL_ERROR, "install bluez; systemctl enable --now bluetooth",
			"BlueZ does not answer: %s", e.detail);
	else if (powered == 0)
		say(d, LEVEL_ERROR,
			"bluetoothctl power on; rfkill list shows whether it is blocked; "
			"AutoEnable=true "
			"in /etc/bluetooth/main.conf keeps it on",
			"no Bluetooth adapter is on");
	else
		say(d, LEVEL_OK, "", "Bluetooth: %u adapter%s, %u on", adapters,
			adapters == 1 ? "" : "s", powered);
}
