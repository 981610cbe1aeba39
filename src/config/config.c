/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"
#include "config/identity.h"
#include "config/keys.h"
#include "config/origins.h"
#include "config/value.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (64u * 1024u)
#define NODES_MAX 1024

DEFINE_CLEANUP(struct config *, config_free)

struct loader {
	const char *dir;
	uid_t dir_owner;
	struct config *c;
	struct error *e;
	struct origins *origins; /* NULL: nobody asks where a value comes from */
};

/* Who can write the configuration decides what is installed: refuse files that others own or write.
 */
static enum ef_reason check_owner(const struct loader *l, int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(l->e, -errno, "%s", path);
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return error_set(l->e, EF_REASON_CONFIG, "%s: not a file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid() && st.st_uid != l->dir_owner)
		return error_set(l->e, EF_REASON_CONFIG, "%s: owned by user %u", path, st.st_uid);
	if (S_ISREG(st.st_mode) && (st.st_mode & S_IWOTH))
		return error_set(l->e, EF_REASON_CONFIG, "%s: writable by everybody", path);
	return EF_REASON_OK;
}

static enum ef_reason load_file(const struct loader *l, const char *path, ini_callback cb)
{
	_cleanup_free_ char *text = malloc(FILE_MAX + 1);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (!text)
		return error_set(l->e, EF_REASON_NO_MEMORY, "%s", path);
	if (fd < 0)
		return error_set(l->e, EF_REASON_CONFIG, "%s: %s", path, strerror(errno));
	enum ef_reason r = check_owner(l, fd, path);
	if (r != EF_REASON_OK)
		return r;
	ssize_t n = fd_read_some(fd, text, FILE_MAX + 1); /* one byte more: ini_parse refuses it */
	if (n < 0) /* the disk's fault, not the file's: it may be read another time */
		return error_errno(l->e, (int)n, "%s", path);
	return ini_parse(path, text, (size_t)n, cb, (void *)(uintptr_t)l, l->e);
}

static enum ef_reason gateway_item(const struct ini_item *item, void *ctx, struct error *e)
{
	const struct loader *l = ctx;

	return config_set(l->c, item, e) ? e->reason : origins_note(l->origins, NULL, item, e);
}

static enum ef_reason node_item(const struct ini_item *item, void *ctx, struct error *e)
{
	const struct loader *l = ctx;
	struct config_node *n = &l->c->nodes[l->c->n_nodes - 1];

	if (strcmp(item->key, "Address") == 0)
		n->address_line = item->line;
	return config_node_set(n, item, e) ? e->reason : origins_note(l->origins, n->name, item, e);
}

static int is_conf(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && strcmp(d->d_name + n - 5, ".conf") == 0;
}

/* Not alphasort: the order must not depend on the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

typedef enum ef_reason (*file_func)(const struct loader *l, const char *path, const char *name);

/* Every DIR/SUB/NAME.conf, in the order of names. */
static enum ef_reason each_file(const struct loader *l, const char *sub, file_func f)
{
	enum ef_reason r = EF_REASON_OK;
	char path[PATH_MAX], dir[PATH_MAX];
	struct dirent **list;

	snprintf(dir, sizeof(dir), "%s/%s", l->dir, sub);
	int n = scandir(dir, &list, is_conf, by_bytes);
	if (n < 0)
		return errno == ENOENT
			       ? EF_REASON_OK
			       : error_set(l->e, EF_REASON_CONFIG, "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (r == EF_REASON_OK && (size_t)snprintf(path, sizeof(path), "%s/%s", dir,
						 list[i]->d_name) >= sizeof(path))
			r = error_set(l->e, EF_REASON_CONFIG, "%s: name too long", dir);
		else if (r == EF_REASON_OK)
			r = f(l, path, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return r;
}

static enum ef_reason load_drop_in(const struct loader *l, const char *path, const char *name)
{
	return load_file(l, path, gateway_item);
}

/* What the kind of wire needs of the other keys. NULL: nothing is wrong. */
static const char *wiring_fault(const struct config_node *n)
{
	bool udp = strcmp(n->link, "udp") == 0, ble = strcmp(n->link, "ble") == 0;
	bool path = n->device[0] == '/', bluetooth = value_is_bluetooth(n->device);

	if (udp && (path || bluetooth))
		return path ? "Device= is a path: with Link=udp it is the node's address in numbers"
			    : "Device= is a Bluetooth device: that is for Link=ble";
	if (ble && !bluetooth)
		return "Device= is no Bluetooth device: with Link=ble it is the node's address as "
		       "C0:11:22:33:44:55, or name:NAME";
	if (!udp && !ble && !path)
		return bluetooth ? "Device= is a Bluetooth device: that is for Link=ble"
				 : "Device= is an address: that is for Link=udp";
	if (udp && n->security == SECURITY_NONE && !n->exposed)
		return "Security=none with Link=udp lets everybody on the network speak to the "
		       "node and for it: give it a Key=, or say Exposed=yes as well";
	if (n->framing != CONFIG_COBS && n->security != SECURITY_NONE)
		return "Framing= is that of a node which knows no session: it needs Security=none";
	if (strcmp(n->link, "spi") == 0 && !n->ready)
		return "ReadyLine= is missing: an exchange must find the node ready";
	if (n->address && strcmp(n->link, "uart") != 0 && strcmp(n->link, "sim") != 0)
		return "Address= is for nodes that share a serial line";
	if (n->address && n->framing != CONFIG_COBS)
		return "Address= needs Framing=cobs";
	if (n->address && n->baud_max)
		return "BaudRateMax= would leave the other nodes of the line behind: use BaudRate=";
	if (n->baud_max && n->baud_max < n->baud)
		return "BaudRateMax= is below BaudRate=";
	if (n->entry == ENTRY_LINES && !n->reset_line)
		return "Entry=lines needs ResetLine=, and BootLine= where the part has one";
	if (n->entry != ENTRY_LINES && (n->reset_line || n->boot_line))
		return "ResetLine= and BootLine= are used with Entry=lines only";
	return NULL;
}

/* Two nodes on one device: a line that they share, each by an address of its own. */
static enum ef_reason check_sharing(const struct loader *l, const char *path,
	const struct config_node *n, const struct config_node *other)
{
	if (!n->address || !other->address)
		return error_set(l->e, EF_REASON_CONFIG,
			"%s: %s is the device of node %s already: nodes that share a line have an "
			"Address= each",
			path, n->device, other->name);
	if (n->address == other->address)
		return error_set(l->e, EF_REASON_CONFIG,
			"%s:%u: Address=%u on %s is that of node %s already", path, n->address_line,
			n->address, n->device, other->name);
	if (strcmp(n->link, other->link) != 0 || n->baud != other->baud || n->rs485 != other->rs485)
		return error_set(l->e, EF_REASON_CONFIG,
			"%s: Link=, BaudRate= and RS485= of %s must be those of node %s", path,
			n->device, other->name);
	return EF_REASON_OK;
}

static enum ef_reason check_node(const struct loader *l, const char *path)
{
	const struct config *c = l->c;
	const struct config_node *n = &c->nodes[c->n_nodes - 1];

	if (!n->compatible || !n->device)
		return error_set(l->e, EF_REASON_CONFIG, "%s: [Node] %s= is missing", path,
			n->compatible ? "Device" : "Compatible");
	if (n->security == SECURITY_SESSION && !n->key)
		return error_set(l->e, EF_REASON_CONFIG,
			"%s: [Node] Key= is missing: name the file of the node's key, or speak to "
			"it in the clear with Security=none",
			path);
	if (wiring_fault(n))
		return error_set(l->e, EF_REASON_CONFIG, "%s: [Node] %s", path, wiring_fault(n));
	for (size_t i = 0; i + 1 < c->n_nodes; i++)
		if (strcmp(c->nodes[i].device, n->device) == 0 &&
			check_sharing(l, path, n, &c->nodes[i]))
			return l->e->reason;
	return EF_REASON_OK;
}

static enum ef_reason load_node(const struct loader *l, const char *path, const char *name)
{
	struct config *c = l->c;
	struct config_node *larger = reallocarray(c->nodes, c->n_nodes + 1, sizeof(*larger));

	if (!larger)
		return error_set(l->e, EF_REASON_NO_MEMORY, "%s", path);
	c->nodes = larger;
	struct config_node *n = &c->nodes[c->n_nodes++];
	*n = (struct config_node){.name = strndup(name, strlen(name) - 5)};
	if (!n->name || config_node_defaults(n) < 0)
		return error_set(l->e, EF_REASON_NO_MEMORY, "%s", path);
	if (!value_is_name(n->name))
		return error_set(l->e, EF_REASON_CONFIG,
			"%s: a node's file is named with 1 to 32 of a-z, 0-9 and '-', then .conf",
			path);
	if (c->n_nodes > NODES_MAX)
		return error_set(l->e, EF_REASON_CONFIG, "%s: more than %d nodes", path, NODES_MAX);
	enum ef_reason r = load_file(l, path, node_item);
	return r == EF_REASON_OK ? check_node(l, path) : r;
}

/* Four different things, as far as they are named. */
static enum ef_reason check_slots(const struct loader *l)
{
	const struct config *c = l->c;
	const struct {
		const char *key, *path;
	} all[] = {{"A", c->slot_a}, {"B", c->slot_b}, {"BootA", c->boot_a}, {"BootB", c->boot_b}};

	for (size_t i = 0; i < 4; i++)
		for (size_t k = i + 1; k < 4; k++)
			if (all[i].path && all[k].path && strcmp(all[i].path, all[k].path) == 0)
				return error_set(l->e, EF_REASON_CONFIG,
					"%s/edgeferry.conf: [Slots] %s= and %s= are the same",
					l->dir, all[i].key, all[k].key);
	return EF_REASON_OK;
}

/* What no single line is to blame for. */
static enum ef_reason check_whole(const struct loader *l)
{
	const struct config *c = l->c;
	bool found = strcmp(c->boot, "auto") == 0; /* BootDirectory= will be */
	const char *missing = !c->product			    ? "[Gateway] Product="
			      : !c->compatible			    ? "[Gateway] Compatible="
			      : c->slot_a && !c->slot_b		    ? "[Slots] B="
			      : c->slot_b && !c->slot_a		    ? "[Slots] A="
			      : c->slot_a && !c->boot_dir && !found ? "[Slots] BootDirectory="
			      : c->boot_a && !c->boot_b		    ? "[Slots] BootB="
			      : c->boot_b && !c->boot_a		    ? "[Slots] BootA="
			      : c->boot_a && !c->slot_a && !found   ? "[Slots] A="
			      : c->mqtt_username && !c->mqtt_password_file ? "[Mqtt] PasswordFile="
			      : c->cert && !c->cert_key			   ? "[Source] ClientKey="
			      : c->cert_key && !c->cert		  ? "[Source] ClientCertificate="
			      : c->mqtt_cert && !c->mqtt_cert_key ? "[Mqtt] ClientKey="
			      : c->mqtt_cert_key && !c->mqtt_cert ? "[Mqtt] ClientCertificate="
								  : NULL;

	if (missing)
		return error_set(l->e, EF_REASON_CONFIG, "%s/edgeferry.conf: %s is missing", l->dir,
			missing);
	return check_slots(l);
}

enum ef_reason config_load_from(const char *root, const char *dir, struct origins *origins,
	struct config **ret, struct error *e)
{
	_cleanup_(config_freep) struct config *c = config_new();
	struct loader l = {.dir = dir, .c = c, .e = e, .origins = origins};
	char path[PATH_MAX];
	struct stat st;
	enum ef_reason r = EF_REASON_OK;

	if (!c)
		return error_set(e, EF_REASON_NO_MEMORY, "configuration");
	if (stat(dir, &st) < 0)
		return error_set(e, EF_REASON_CONFIG, "%s: %s", dir, strerror(errno));
	l.dir_owner = st.st_uid;
	if ((size_t)snprintf(path, sizeof(path), "%s/edgeferry.conf", dir) >=
		sizeof(path) - NAME_MAX)
		return error_set(e, EF_REASON_CONFIG, "%s: name too long", dir);
	if (access(path, F_OK) == 0 || errno != ENOENT)
		r = load_file(&l, path, gateway_item);
	if (r == EF_REASON_OK)
		r = each_file(&l, "conf.d", load_drop_in);
	if (r == EF_REASON_OK)
		r = each_file(&l, "nodes.d", load_node);
	if (r == EF_REASON_OK)
		r = check_whole(&l);
	if (r == EF_REASON_OK && !c->id)
		r = identity_find(c, root, e);
	if (r == EF_REASON_OK)
		*ret = TAKE_PTR(c);
	return r;
}

enum ef_reason config_load(const char *dir, struct config **ret, struct error *e)
{
	return config_load_from("", dir, NULL, ret, e);
}

enum ef_reason config_load_below(
	const char *root, const char *dir, struct config **ret, struct error *e)
{
	return config_load_from(root, dir, NULL, ret, e);
}
