/* SPDX-License-Identifier: Apache-2.0 */
/* io.github.edgeferry1.Manager: what can be read, and what can be done after polkit said yes. */
#include "bus/bus-internal.h"
#include "bus/documents.h"
#include "bus/polkit.h"
#include "util/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define NAME_MAX_TEXT 255
#define POSTPONE_MAX_S (400LL * 86400) /* more than PostponeMax= can be */

static struct document_source source(struct bus *b)
{
	return (struct document_source){
		.config = b->config,
		.update = b->update,
		.broker = !b->config->mqtt_host ? "none"
			  : b->broker_connected ? "connected"
						: "disconnected",
		.key_fault = &b->key_fault,
	};
}

/* Reading. */

static int get_status(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct document_source s = source(userdata);

	return reply_json(m, document_status(&s));
}

static int list_nodes(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct document_source s = source(userdata);

	return reply_json(m, document_nodes(&s));
}

static int list_releases(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct document_source s = source(userdata);

	return reply_json(m, document_releases(&s));
}

static int list_deployments(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct document_source s = source(userdata);
	uint32_t max;
	int r = sd_bus_message_read(m, "u", &max);

	return r < 0 ? r : reply_json(m, document_deployments(&s, max));
}

static int get_history(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct document_source s = source(userdata);
	uint32_t max;
	int r = sd_bus_message_read(m, "u", &max);

	return r < 0 ? r : reply_json(m, document_history(&s, max));
}

/* Acting. Each answers m itself. */

static int reply_outcome(sd_bus_message *m, const struct error *e)
{
	return e->reason ? reply_error(m, e) : sd_bus_reply_method_return(m, NULL);
}

static int reply_deployment(struct bus *b, sd_bus_message *m, uint64_t id, const struct error *e)
{
	_cleanup_free_ char *path = NULL;

	if (e->reason)
		return reply_error(m, e);
	path = object_path(OBJECT_DEPLOYMENT, id, b->config);
	return path ? sd_bus_reply_method_return(m, "o", path) : -ENOMEM;
}

static void check_done(void *ctx, const char *version, const struct error *e)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = ctx;

	if (e->reason)
		reply_error(m, e);
	else
		sd_bus_reply_method_return(m, "s", version ? version : "");
}

static int act_check(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};

	if (update_check(b->update, check_done, sd_bus_message_ref(m), &e) == EF_REASON_OK)
		return 0;
	sd_bus_message_unref(m);
	return reply_error(m, &e);
}

static int bad_flags(sd_bus_message *m)
{
	struct error e = {0};

	error_set(&e, EF_REASON_USAGE, "unknown flags");
	return reply_error(m, &e);
}

/* What nodes are sent: flags of Install, InstallBundle and Flash. */
static bool read_transfer(uint64_t flags, enum deployment_transfer *ret)
{
	static const enum deployment_transfer transfers[] = {
		TRANSFER_BEST, TRANSFER_FULL, TRANSFER_PATCH};

	if (flags >= sizeof(transfers) / sizeof(transfers[0]))
		return false;
	*ret = transfers[flags];
	return true;
}

static int act_install(struct bus *b, sd_bus_message *m)
{
	enum deployment_transfer transfer;
	struct error e = {0};
	const char *version;
	uint64_t flags, id = 0;
	int r = sd_bus_message_read(m, "st", &version, &flags);

	if (r < 0)
		return r;
	if (!read_transfer(flags, &transfer))
		return bad_flags(m);
	update_transfer(b->update, transfer);
	update_install(b->update, version, &id, &e);
	return reply_deployment(b, m, id, &e);
}

static int act_flash(struct bus *b, sd_bus_message *m)
{
	enum deployment_transfer transfer;
	struct error e = {0};
	uint64_t flags, id = 0;
	int r = sd_bus_message_read(m, "t", &flags);

	if (r < 0)
		return r;
	if (!read_transfer(flags, &transfer))
		return bad_flags(m);
	update_transfer(b->update, transfer);
	update_flash(b->update, &id, &e);
	return reply_deployment(b, m, id, &e);
}

/* 1: *fd is the caller's to close; otherwise m was answered, or it is what to return. transfer
 * NULL: no flags. */
static int read_bundle(
	sd_bus_message *m, int *fd, const char **name, enum deployment_transfer *transfer)
{
	struct error e = {0};
	uint64_t flags;
	int theirs, r = sd_bus_message_read(m, "hst", &theirs, name, &flags);

	if (r < 0)
		return r;
	if (transfer ? !read_transfer(flags, transfer) : flags != 0)
		return bad_flags(m);
	if (strlen(*name) > NAME_MAX_TEXT) {
		error_set(&e, EF_REASON_USAGE, "name of the bundle is too long");
		return reply_error(m, &e);
	}
	*fd = fcntl(theirs, F_DUPFD_CLOEXEC, 3); /* the message closes its own */
	return *fd < 0 ? -errno : 1;
}

static int act_install_bundle(struct bus *b, sd_bus_message *m)
{
	enum deployment_transfer transfer;
	struct error e = {0};
	const char *name;
	uint64_t id = 0;
	int fd = -1, r = read_bundle(m, &fd, &name, &transfer);

	if (fd < 0)
		return r;
	update_transfer(b->update, transfer);
	update_install_bundle(b->update, fd, name, &id, &e);
	return reply_deployment(b, m, id, &e);
}

static void plan_done(void *ctx, const struct update_plan *p, const struct error *e)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = ctx;

	if (!p)
		reply_error(m, e);
	else
		reply_json(m, document_plan(p));
}

static int plan_begun(sd_bus_message *m, const struct error *e)
{
	if (e->reason == EF_REASON_OK)
		return 0;
	sd_bus_message_unref(m);
	return reply_error(m, e);
}

static int act_plan(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};
	const char *version;
	uint64_t flags;
	int r = sd_bus_message_read(m, "st", &version, &flags);

	if (r < 0)
		return r;
	if (flags)
		return bad_flags(m);
	update_plan(b->update, version, plan_done, sd_bus_message_ref(m), &e);
	return plan_begun(m, &e);
}

static int act_plan_bundle(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};
	const char *name;
	int fd = -1, r = read_bundle(m, &fd, &name, NULL);

	if (fd < 0)
		return r;
	update_plan_bundle(b->update, fd, name, plan_done, sd_bus_message_ref(m), &e);
	return plan_begun(m, &e);
}

static int act_confirm(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};

	update_confirm(b->update, &e);
	return reply_outcome(m, &e);
}

static int act_reject(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};

	update_reject(b->update, &e);
	return reply_outcome(m, &e);
}

static int act_cancel(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};

	update_cancel(b->update, &e);
	return reply_outcome(m, &e);
}

static int act_rollback(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};
	uint64_t id = 0;

	update_rollback(b->update, &id, &e);
	return reply_deployment(b, m, id, &e);
}

static int act_activate(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};

	update_activate(b->update, &e);
	return reply_outcome(m, &e);
}

static int act_pause(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};

	update_pause(b->update, &e);
	return reply_outcome(m, &e);
}

static int act_resume(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};

	update_unpause(b->update, &e);
	return reply_outcome(m, &e);
}

static int act_postpone(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};
	uint64_t seconds;
	int64_t until = 0;
	int r = sd_bus_message_read(m, "t", &seconds);

	if (r < 0)
		return r;
	update_postpone(b->update, seconds > POSTPONE_MAX_S ? POSTPONE_MAX_S : (int64_t)seconds,
		&until, &e);
	return e.reason ? reply_error(m, &e) : sd_bus_reply_method_return(m, "x", until);
}

static void key_done(void *ctx, const struct error *e)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = ctx;

	reply_outcome(m, e);
}

static int node_key(struct bus *b, sd_bus_message *m, bool first)
{
	struct error e = {0};
	const char *name;
	int r = sd_bus_message_read(m, "s", &name);

	if (r < 0)
		return r;
	if (update_node_key(b->update, name, first, key_done, sd_bus_message_ref(m), &e) ==
		EF_REASON_OK)
		return 0;
	sd_bus_message_unref(m);
	return reply_error(m, &e);
}

static int act_provision(struct bus *b, sd_bus_message *m)
{
	return node_key(b, m, true);
}

static void discovered(void *ctx, const struct discovery *d, const struct error *e)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = ctx;

	if (d)
		reply_json(m, document_discovery(d));
	else
		reply_error(m, e);
}

static int act_discover(struct bus *b, sd_bus_message *m)
{
	struct error e = {0};
	const char *device;
	int r = sd_bus_message_read(m, "s", &device);

	if (r < 0)
		return r;
	if (update_discover(b->update, device, discovered, sd_bus_message_ref(m), &e) ==
		EF_REASON_OK)
		return 0;
	sd_bus_message_unref(m);
	return reply_error(m, &e);
}

static int act_rotate(struct bus *b, sd_bus_message *m)
{
	return node_key(b, m, false);
}

static json_t *document_reload(const struct config_change *x)
{
	json_t *keys = json_array();

	for (size_t i = 0; i < x->n_at_start; i++)
		json_array_append_new(
			keys, json_pack("{s:s, s:s}", "section", x->at_start[i].section, "key",
				      x->at_start[i].key));
	return json_pack("{s:o, s:b}", "at_start", keys, "nodes_wait", x->nodes);
}

static int act_reload(struct bus *b, sd_bus_message *m)
{
	struct config_change x;
	struct error e = {0};

	if (b->reload(b->reload_ctx, &x, &e))
		return reply_error(m, &e);
	return reply_json(m, document_reload(&x));
}

static const struct action {
	const char *member, *polkit;
	int (*act)(struct bus *b, sd_bus_message *m);
} actions[] = {
	{"Check", BUS_NAME ".check", act_check},
	{"Install", BUS_NAME ".install", act_install},
	{"InstallBundle", BUS_NAME ".install", act_install_bundle},
	{"Flash", BUS_NAME ".install", act_flash},
	{"Plan", BUS_NAME ".install", act_plan},
	{"PlanBundle", BUS_NAME ".install", act_plan_bundle},
	{"Confirm", BUS_NAME ".manage", act_confirm},
	{"Reject", BUS_NAME ".manage", act_reject},
	{"Cancel", BUS_NAME ".manage", act_cancel},
	{"Rollback", BUS_NAME ".manage", act_rollback},
	{"Activate", BUS_NAME ".manage", act_activate},
	{"Pause", BUS_NAME ".manage", act_pause},
	{"Resume", BUS_NAME ".manage", act_resume},
	{"Postpone", BUS_NAME ".manage", act_postpone},
	{"DiscoverNodes", BUS_NAME ".manage", act_discover},
	{"ProvisionNode", BUS_NAME ".keys", act_provision},
	{"RotateNodeKey", BUS_NAME ".keys", act_rotate},
	{"Reload", BUS_NAME ".reload", act_reload},
};

static const struct action *action_of(sd_bus_message *m)
{
	const char *member = sd_bus_message_get_member(m);

	for (size_t i = 0; member && i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(actions[i].member, member) == 0)
			return &actions[i];
	return NULL;
}

static void ask_as_sender(struct bus *b, sd_bus_message *m)
{
	sd_bus_creds *creds = NULL;
	char who[32] = "somebody";
	uid_t uid;

	/* what the bus knows, not what the sender says; a number, since names are looked up
	 * elsewhere */
	if (sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds) >= 0 &&
		sd_bus_creds_get_euid(creds, &uid) >= 0)
		snprintf(who, sizeof(who), uid ? "user %u" : "root", (unsigned)uid);
	sd_bus_creds_unref(creds);
	update_ask_as(b->update, who);
}

static void on_answer(sd_bus_message *m, bool allowed, void *ctx)
{
	const struct action *a = action_of(m);
	struct error e = {0};
	int r;

	peers_answered(&((struct bus *)ctx)->peers, m);
	if (!allowed) {
		error_set(&e, EF_REASON_DENIED, "%s", a->polkit);
		reply_error(m, &e);
		return;
	}
	ask_as_sender(ctx, m);
	r = a->act(ctx, m);
	update_ask_as(((struct bus *)ctx)->update, NULL);
	update_transfer(((struct bus *)ctx)->update, TRANSFER_BEST);
	if (r < 0)
		sd_bus_reply_method_errno(m, r, NULL);
}

static int on_action(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct action *a = action_of(m);
	struct bus *b = userdata;
	struct error e = {0};

	if (!gate_ask(b, m)) {
		error_set(&e, EF_REASON_BUSY, "too many calls wait for polkit");
		return reply_error(m, &e);
	}
	int r = a ? polkit_check(m, a->polkit, on_answer, b) : -EINVAL;
	if (r < 0)
		peers_answered(&b->peers, m);
	return r < 0 ? r : 1;
}

/* Properties. */

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", EF_VERSION);
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;

	return sd_bus_message_append(reply, "s", update_state_word(b->update));
}

static int get_release(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;

	return sd_bus_message_append(reply, "s", update_release(b->update));
}

static int get_deployment(sd_bus *bus, const char *path, const char *interface,
	const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct deployment *d = update_current(b->update);
	_cleanup_free_ char *p = d ? object_path(OBJECT_DEPLOYMENT, d->id, b->config) : NULL;

	return sd_bus_message_append(reply, "o", p ? p : "/");
}

#define READ(name, in, out, handler) \
	SD_BUS_METHOD(name, in, out, handler, SD_BUS_VTABLE_UNPRIVILEGED)
#define ACT(name, in, out) SD_BUS_METHOD(name, in, out, on_action, SD_BUS_VTABLE_UNPRIVILEGED)
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("State", "s", get_state, 0, CHANGES),
	SD_BUS_PROPERTY("Release", "s", get_release, 0, CHANGES),
	SD_BUS_PROPERTY("Deployment", "o", get_deployment, 0, CHANGES),
	READ("GetStatus", "", "s", get_status),
	READ("ListNodes", "", "s", list_nodes),
	READ("ListReleases", "", "s", list_releases),
	READ("ListDeployments", "u", "s", list_deployments),
	READ("GetHistory", "u", "s", get_history),
	ACT("Check", "", "s"),
	ACT("Install", "st", "o"),
	ACT("InstallBundle", "hst", "o"),
	ACT("Flash", "t", "o"),
	ACT("Plan", "st", "s"),
	ACT("PlanBundle", "hst", "s"),
	ACT("Confirm", "", ""),
	ACT("Reject", "", ""),
	ACT("Cancel", "", ""),
	ACT("Rollback", "", "o"),
	ACT("Activate", "", ""),
	ACT("Pause", "", ""),
	ACT("Resume", "", ""),
	ACT("Postpone", "t", "x"),
	ACT("DiscoverNodes", "s", "s"),
	ACT("ProvisionNode", "s", ""),
	ACT("RotateNodeKey", "s", ""),
	ACT("Reload", "", "s"),
	SD_BUS_SIGNAL("Event", "s", 0),
	SD_BUS_VTABLE_END,
};
