/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small service with the face of docs/io.github.edgeferry1.xml for test-cli.py: what it does with
 * a release depends on its version, see scripts[]. Address of the bus by $DBUS_SYSTEM_BUS_ADDRESS.
 * Says "ready" on standard output.
 */
#include "util/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define NAME "io.github.edgeferry1"
#define PATH "/io/github/edgeferry1"
#define TOTAL 40000000

/* One step of a deployment. */
struct step {
	const char *state, *component_state, *phase;
	uint64_t done;
	const char *reason, *detail;
	enum { STAY, LEAVE, RETURN } name; /* what becomes of the bus name before it */
};

#define FETCH(n)                                                      \
	{                                                             \
		"fetching", "fetching", "fetching", n, "ok", "", STAY \
	}
#define WRITE(n)                                                    \
	{                                                           \
		"fetching", "staging", "writing", n, "ok", "", STAY \
	}
#define PLAIN(s, c)                         \
	{                                   \
		s, c, "", 0, "ok", "", STAY \
	}

static const struct step good[] = {PLAIN("offered", "pending"), FETCH(0), FETCH(10000000),
	FETCH(20000000), FETCH(TOTAL), WRITE(0), WRITE(20000000), PLAIN("staged", "staged"),
	PLAIN("activating", "activating"), PLAIN("trial", "trial"), PLAIN("confirmed", "confirmed"),
	{0}};
static const struct step reverts[] = {PLAIN("offered", "pending"), FETCH(20000000),
	PLAIN("trial", "trial"),
	{"reverted", "reverted", "", 0, "check-failed", "10-network: exit code 1", STAY}, {0}};
static const struct step refused[] = {
	{"refused", "failed", "", 0, "bad-signature", "releases.json: 1 of 2 keys", STAY}, {0}};
static const struct step restarts[] = {PLAIN("offered", "pending"),
	PLAIN("activating", "activating"), {"activating", "activating", "", 0, "ok", "", LEAVE},
	PLAIN("activating", "activating"), PLAIN("activating", "activating"),
	{"trial", "trial", "", 0, "ok", "", RETURN}, PLAIN("confirmed", "confirmed"), {0}};
static const struct step endless[] = {
	PLAIN("offered", "pending"), FETCH(1000000), FETCH(2000000), {0}};
static const struct step cancelled[] = {
	{"cancelled", "skipped", "", 0, "cancelled", "", STAY}, {0}};
static const struct step one_fails[] = {
	PLAIN("offered", "pending"), PLAIN("confirmed", "failed"), {0}};
static const struct step fails[] = {FETCH(1000),
	{"failed", "failed", "", 0, "net-unreachable", "repo.example: no route", STAY}, {0}};
static const struct step newest[] = {
	{"refused", "skipped", "", 0, "already-installed", "", STAY}, {0}};

static const struct {
	const char *version;
	const struct step *steps;
	const char *error, *message;
} scripts[] = {
	{"", good, NULL, NULL},
	{"2.0.0", good, NULL, NULL},
	{"3.0.0", reverts, NULL, NULL},
	{"4.0.0", refused, NULL, NULL},
	{"4.1.0", newest, NULL, NULL},
	{"4.2.0", fails, NULL, NULL},
	{"6.0.0", restarts, NULL, NULL},
	{"7.0.0", endless, NULL, NULL},
	{"5.0.0", NULL, "NotFound", "nothing of that name: release 5.0.0 (list what there is)"},
	{"5.0.1", NULL, "Denied",
		"permission denied: install (run as root or have polkit allow the action)"},
	{"5.0.2", NULL, "Floor",
		"security version below the floor: rootfs 1 < 2 (install a release at or above the "
		"floor)"},
	{"5.0.3", NULL, "AlreadyInstalled", "already installed"},
	{"5.0.4", NULL, "Busy", "another operation is running (wait for it or cancel it)"},
};

struct fake {
	sd_bus *bus;
	sd_event *event;
	sd_event_source *timer;
	const struct step *step; /* the current one; NULL: idle */
	const struct step *last; /* of the deployment that ended */
	uint64_t id;
	char release[64], origin[16], path[80];
	unsigned checks; /* the first finds a release, the third not even one that is held */
};

static char *deployment_text(const struct fake *f)
{
	const struct step *s = f->step ? f->step : f->last;
	bool ended = !s[1].state && strcmp(s->state, "fetching") != 0;
	json_t *parts = json_pack("[{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:i},{s:s,s:s,s:s,s:s,"
				  "s:s,s:s,s:s,s:s,s:s,s:i,s:i}]",
		"name", "rootfs", "type", "rootfs", "version", "2.0.0", "from", "1.0.0", "slot",
		"B", "state", s->component_state, "reason", "ok", "detail", "", "phase", s->phase,
		"done", (json_int_t)s->done, "total", *s->phase ? TOTAL : 0, "name", "meter",
		"type", "mcu", "version", "2.0.0", "from", "1.0.0", "node", "meter", "state",
		strcmp(s->state, "confirmed") ? "pending" : "confirmed", "reason",
		strcmp(s->state, "reverted") ? "ok" : "node-reverted", "detail", "", "phase", "",
		"done", 0, "total", 0);
	json_t *o = json_pack("{s:I,s:s,s:i,s:s,s:s,s:s,s:s,s:o,s:s,s:o}", "id", (json_int_t)f->id,
		"release", f->release, "sequence", 2, "state", s->state, "reason", s->reason,
		"detail", s->detail, "started", "2026-11-21T08:00:00Z", "ended",
		ended ? json_string("2026-11-21T08:00:42Z") : json_null(), "origin", f->origin,
		"components", parts);
	char *text = json_dumps(o, 0);

	json_decref(o);
	return text;
}

static void changed(struct fake *f)
{
	sd_bus_emit_properties_changed(f->bus, f->path, NAME ".Deployment", "State", NULL);
	sd_bus_emit_properties_changed(f->bus, PATH, NAME ".Manager", "State", "Deployment", NULL);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct fake *f = userdata;

	if (!f->step)
		return 0;
	if (f->step[1].state) {
		f->step++;
		if (f->step->name == LEAVE)
			sd_bus_release_name(f->bus, NAME);
		if (f->step->name == RETURN)
			sd_bus_request_name(f->bus, NAME, 0);
		if (*f->step->phase)
			sd_bus_emit_signal(f->bus, f->path, NAME ".Deployment", "Progress", "sstt",
				"rootfs", f->step->phase, f->step->done, (uint64_t)TOTAL);
	} else if (strcmp(f->step->state, "fetching") != 0) {
		f->last = f->step;
		f->step = NULL;
		sd_bus_emit_signal(f->bus, PATH, NAME ".Manager", "Event", "s",
			"{\"id\":9,\"time\":\"2026-11-21T08:00:42Z\",\"event\":\"node\","
			"\"deployment\":null,"
			"\"component\":null,\"place\":\"meter\",\"from\":\"1.0.0\",\"to\":\"2.0."
			"0\","
			"\"reason\":\"ok\",\"detail\":\"\"}");
	}
	changed(f);
	if (!f->step)
		return 0;
	sd_event_source_set_time_relative(s, 60000);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void begin(struct fake *f, const char *release, const char *origin, const struct step *steps)
{
	f->id++;
	f->step = steps;
	snprintf(f->release, sizeof(f->release), "%s", *release ? release : "2.0.0");
	snprintf(f->origin, sizeof(f->origin), "%s", origin);
	snprintf(f->path, sizeof(f->path), PATH "/deployment/_%llu", (unsigned long long)f->id);
	sd_event_source_set_time_relative(f->timer, 60000);
	sd_event_source_set_enabled(f->timer, SD_EVENT_ONESHOT);
	changed(f);
}

static int install(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct fake *f = userdata;
	const char *version;
	uint64_t flags;
	char name[64];

	if (sd_bus_message_read(m, "st", &version, &flags) < 0 || flags > 2)
		return sd_bus_reply_method_errorf(
			m, NAME ".Error.Usage", "the request makes no sense");
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		if (strcmp(scripts[i].version, version) != 0)
			continue;
		snprintf(name, sizeof(name), NAME ".Error.%s",
			scripts[i].error ? scripts[i].error : "");
		if (scripts[i].error)
			return sd_bus_reply_method_errorf(m, name, "%s", scripts[i].message);
		begin(f,
			flags == 1   ? "2.0.1"
			: flags == 2 ? "2.0.2"
				     : version,
			"source", scripts[i].steps);
		return sd_bus_reply_method_return(m, "o", f->path);
	}
	return sd_bus_reply_method_errorf(m, NAME ".Error.NotFound", "nothing of that name");
}

/* The release is what stands in the file, so that the test sees that the descriptor arrived. */
static int install_bundle(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct fake *f = userdata;
	const char *name;
	uint64_t flags;
	char text[32] = "";
	int fd;

	if (sd_bus_message_read(m, "hst", &fd, &name, &flags) < 0 || pread(fd, text, 20, 0) < 0 ||
		(fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY || strchr(name, '/'))
		return sd_bus_reply_method_errorf(
			m, NAME ".Error.Usage", "the request makes no sense");
	begin(f, text, "bundle", good);
	return sd_bus_reply_method_return(m, "o", f->path);
}

#define PLAN(outcome, reason, detail, gate)                                                  \
	"{\"release\":\"2.0.0\",\"kind\":\"security\",\"origin\":\"source\",\"outcome\":"    \
	"\"" outcome "\",\"reason\":\"" reason "\",\"detail\":\"" detail                     \
	"\",\"hint\":\"\",\"order\":[\"meter\",\"rootfs\"],"                                 \
	"\"components\":[{\"name\":\"meter\",\"type\":\"mcu\",\"node\":\"m1\",\"version\":"  \
	"\"2.0.0\",\"from\":\"2.0.0\",\"action\":\"skip\",\"policy\":\"required\","          \
	"\"required\":true,\"reason\":\"already-installed\",\"detail\":\"node m1 runs it\"," \
	"\"size\":21143}],\"requires\":[{\"name\":\"meter\",\"needs\":\"rootfs\",\"min\":"   \
	"\"1.0.0\",\"in_release\":true}],\"gates\":[{\"gate\":\"node\",\"node\":\"m1\","     \
	"\"open\":" gate ",\"reason\":\"node-battery\",\"detail\":\"29 %\"}],"               \
	"\"space\":{\"needed\":4096,\"free\":9000,\"kept\":0,\"quota\":8000}}"

static int plan(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *version;
	uint64_t flags;

	if (sd_bus_message_read(m, "st", &version, &flags) < 0 || flags != 0)
		return -EINVAL;
	return sd_bus_reply_method_return(m, "s",
		strcmp(version, "4.0.0") == 0
			? PLAN("refused", "bad-signature", "releases.json", "true")
			: PLAN("wait", "ok", "", "false"));
}

static int plan_bundle(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return sd_bus_reply_method_return(
		m, "s", PLAN("nothing", "already-installed", "release 2.0.0", "true"));
}

static int check(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct fake *f = userdata;
	const char *found = f->checks > 0 ? "" : "2.0.0";

	f->checks++;
	return sd_bus_reply_method_return(m, "s", found);
}

static int confirm(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return sd_bus_reply_method_return(m, NULL);
}

static int cancel(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct fake *f = userdata;

	if (!f->step)
		return sd_bus_reply_method_errorf(m, NAME ".Error.NotFound",
			"nothing of that name: no deployment (list what there is)");
	f->step = cancelled;
	changed(f);
	return sd_bus_reply_method_return(m, NULL);
}

static int rollback(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct fake *f = userdata;

	begin(f, "1.0.0", "rollback", good);
	return sd_bus_reply_method_return(m, "o", f->path);
}

/* The flags are the release's last digit. */
static int flash(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct fake *f = userdata;
	char version[24];
	uint64_t flags;

	if (sd_bus_message_read(m, "t", &flags) < 0)
		return -EINVAL;
	snprintf(version, sizeof(version), "2.0.%llu", (unsigned long long)flags);
	begin(f, version, "catch-up", flags == 2 ? one_fails : good);
	return sd_bus_reply_method_return(m, "o", f->path);
}

#define NODES                                                                                     \
	"[{\"name\":\"badge\",\"compatible\":\"v,microbit\",\"link\":\"uart\",\"device\":\"/dev/" \
	"ttyACM1\","                                                                              \
	"\"present\":false,\"last_seen\":null,\"reason\":\"node-unreachable\",\"detail\":"        \
	"\"no\\u001b[31m\"},"                                                                     \
	"{\"name\":\"meter\",\"compatible\":\"v,an385\",\"link\":\"uart\",\"device\":\"/dev/"     \
	"ttyACM0\","                                                                              \
	"\"present\":true,\"board\":\"mps2-an385\",\"hardware\":1,\"running\":\"2.0.0\","         \
	"\"other\":\"1.0.0\","                                                                    \
	"\"trial\":false,\"saved\":1234567,\"reason\":\"ok\",\"detail\":\"\"}]"

static int get_status(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct fake *f = userdata;
	char text[3072], current[24] = "null";

	if (f->step)
		snprintf(current, sizeof(current), "%llu", (unsigned long long)f->id);
	snprintf(text, sizeof(text),
		"{\"version\":\"0.1.0\",\"product\":\"demo\",\"id\":\"gw-1\",\"release\":\"1.0.0\","
		"\"state\":\"%s\","
		"\"deployment\":%s,\"trial\":false,\"server\":{\"url\":\"https://"
		"repo.example\",\"last_check\":null,"
		"\"reason\":\"net-tls\",\"detail\":\"self-signed\"},\"broker\":\"connected\","
		"\"slots\":["
		"{\"slot\":\"A\",\"running\":true,\"primary\":true,\"trial\":false,\"mark\":"
		"\"good\",\"release\":\"1.0.0\","
		"\"image\":\"00112233445566778899aabb\",\"path\":\"/"
		"a.img\"},{\"slot\":\"B\",\"running\":false,"
		"\"primary\":false,\"trial\":false,\"mark\":\"bad\",\"release\":null,\"image\":"
		"null,\"path\":\"/b.img\"}],"
		"\"nodes\":" NODES ",\"trust\":{\"root\":1,\"expires\":\"2030-01-01T00:00:00Z\"},"
		"\"rollout\":{\"counter\":7,\"expires\":\"2026-11-24T08:00:00Z\",\"reason\":"
		"\"bad-format\",\"detail\":\"rollout statement: the share of a release shrank\"},"
		"\"when\":{\"automatic\":\"security\",\"reboot\":\"window\",\"paused\":false,"
		"\"postponed\":null,\"waiting\":{\"reason\":\"held\",\"detail\":\"outside of "
		"Window=22:00-05:00\",\"until\":\"2026-11-28T22:00:00Z\"}}}",
		f->step ? f->step->state : "idle", current);
	return sd_bus_reply_method_return(m, "s", text);
}

static int list_nodes(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return sd_bus_reply_method_return(m, "s", NODES);
}

#define HELD                                                                                    \
	"{\"version\":\"3.0.0\",\"sequence\":3,\"kind\":\"feature\",\"state\":\"held\","        \
	"\"reason\":\"later\",\"detail\":\"25.0 % of the gateways may take it, this one is at " \
	"45.0 %\",\"notes\":\"\",\"rollout\":{\"share\":250,\"place\":450},"                    \
	"\"components\":[]}"

static int list_releases(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct fake *f = userdata;
	char text[1024];

	snprintf(text, sizeof(text),
		"[%s{\"version\":\"2.0.0\",\"sequence\":2,\"kind\":\"security\",\"state\":"
		"\"%s\",\"reason\":\"ok\","
		"\"notes\":\"mends the "
		"valve\",\"components\":[{\"name\":\"rootfs\",\"type\":\"rootfs\","
		"\"version\":\"2.0.0\",\"compatible\":\"v,gw\"}]},{\"version\":\"0.9.0\","
		"\"sequence\":1,"
		"\"kind\":\"feature\",\"state\":\"refused\",\"reason\":\"not-compatible\","
		"\"notes\":\"\","
		"\"components\":[]}]",
		f->checks < 3 ? HELD "," : "", f->checks > 1 ? "installed" : "available");
	return sd_bus_reply_method_return(m, "s", text);
}

static int list_deployments(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct fake *f = userdata;
	_cleanup_free_ char *one = f->last || f->step ? deployment_text(f) : strdup("");
	_cleanup_free_ char *all = NULL;

	if (!one || asprintf(&all, "[%s]", one) < 0)
		return -ENOMEM;
	return sd_bus_reply_method_return(m, "s", all);
}

/* As many events as were asked for, so that the test sees the number arrive. */
static int get_history(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	uint32_t max;
	json_t *a = json_array();

	if (sd_bus_message_read(m, "u", &max) < 0)
		return -EINVAL;
	for (uint32_t i = 0; i < max; i++)
		json_array_append_new(
			a, json_pack("{s:i,s:s,s:s,s:i,s:s,s:s,s:s,s:s,s:s,s:s}", "id", (int)i,
				   "time", "2026-11-21T08:00:00Z", "event", "deployment",
				   "deployment", 1, "component", "", "place", "", "from", "trial",
				   "to", "reverted", "reason", "not-confirmed", "detail", "meter"));
	_cleanup_free_ char *text = json_dumps(a, 0);
	json_decref(a);
	return sd_bus_reply_method_return(m, "s", text);
}

static int describe(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct fake *f = userdata;
	_cleanup_free_ char *text = deployment_text(f);

	return sd_bus_reply_method_return(m, "s", text);
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct fake *f = userdata;

	if (strcmp(property, "Deployment") == 0)
		return sd_bus_message_append(reply, "o", f->step ? f->path : "/");
	return sd_bus_message_append(reply, "s",
		f->step	  ? f->step->state
		: f->last ? f->last->state
			  : "idle");
}

static int postpone(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	uint64_t seconds;

	if (sd_bus_message_read(m, "t", &seconds) < 0)
		return -EINVAL;
	if (seconds > 7 * 86400)
		return sd_bus_reply_method_errorf(
			m, NAME ".Error.Held", "held back by policy: PostponeMax= ends");
	return sd_bus_reply_method_return(m, "x", (int64_t)(1800000000 + seconds));
}

/* There is one node. */
static int node_key(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *name;

	if (sd_bus_message_read(m, "s", &name) < 0)
		return -EINVAL;
	if (strcmp(name, "meter") != 0)
		return sd_bus_reply_method_errorf(m, "io.github.edgeferry1.Error.NotFound",
			"there is no such thing: node %s", name);
	return sd_bus_reply_method_return(m, NULL);
}

/* One node on a line, and a port that another program has; nobody at the device "uart:/dev/none".
 */
static int discover(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *device;

	if (sd_bus_message_read(m, "s", &device) < 0)
		return -EINVAL;
	if (strcmp(device, "uart:/dev/none") == 0)
		return sd_bus_reply_method_return(
			m, "s", "{\"wires\":1,\"found\":[],\"skipped\":[]}");
	return sd_bus_reply_method_return(m, "s",
		"{\"wires\":2,\"found\":[{\"link\":\"uart\",\"device\":\"/dev/ttyS1\","
		"\"address\":7,\"framing\":\"cobs\",\"board\":\"lamp\\u001b[31m\",\"vendor\":"
		"\"11\","
		"\"class\":\"22\",\"compatible\":null,\"id\":\"33\",\"hardware\":4,"
		"\"boot_version\":\"1.2.3\",\"running\":null,\"bootloader\":true,"
		"\"session\":true,\"info\":null,\"name\":\"lamp-7\","
		"\"file\":\"[Node]\\nLink=uart\\n\"}],\"skipped\":[{\"link\":\"uart\","
		"\"device\":\"/dev/ttyS2\",\"reason\":\"busy\",\"detail\":\"in use\"}]}");
}

#define METHOD(name, in, out, f) SD_BUS_METHOD(name, in, out, f, SD_BUS_VTABLE_UNPRIVILEGED)
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable manager[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("State", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("Deployment", "o", get_text, 0, CHANGES),
	METHOD("GetStatus", "", "s", get_status),
	METHOD("ListNodes", "", "s", list_nodes),
	METHOD("ListReleases", "", "s", list_releases),
	METHOD("ListDeployments", "u", "s", list_deployments),
	METHOD("GetHistory", "u", "s", get_history),
	METHOD("Activate", "", "", confirm),
	METHOD("Pause", "", "", confirm),
	METHOD("Resume", "", "", confirm),
	METHOD("Postpone", "t", "x", postpone),
	METHOD("Check", "", "s", check),
	METHOD("Install", "st", "o", install),
	METHOD("InstallBundle", "hst", "o", install_bundle),
	METHOD("Flash", "t", "o", flash),
	METHOD("Plan", "st", "s", plan),
	METHOD("PlanBundle", "hst", "s", plan_bundle),
	METHOD("Confirm", "", "", confirm),
	METHOD("Reject", "", "", confirm),
	METHOD("Cancel", "", "", cancel),
	METHOD("Rollback", "", "o", rollback),
	METHOD("DiscoverNodes", "s", "s", discover),
	METHOD("ProvisionNode", "s", "", node_key),
	METHOD("RotateNodeKey", "s", "", node_key),
	SD_BUS_SIGNAL("Event", "s", 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable deployment[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("State", "s", get_text, 0, CHANGES),
	METHOD("Describe", "", "s", describe),
	SD_BUS_SIGNAL("Progress", "sstt", 0),
	SD_BUS_VTABLE_END,
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
	sd_bus_error *error)
{
	struct fake *f = userdata;

	*ret = f;
	return strcmp(path, f->path) == 0;
}

int main(void)
{
	struct fake f = {0};

	if (sd_event_new(&f.event) < 0 || sd_bus_open_system(&f.bus) < 0 ||
		sd_bus_attach_event(f.bus, f.event, 0) < 0 ||
		sd_event_add_time_relative(
			f.event, &f.timer, CLOCK_MONOTONIC, 0, 1000, on_timer, &f) < 0 ||
		sd_bus_add_object_vtable(f.bus, NULL, PATH, NAME ".Manager", manager, &f) < 0 ||
		sd_bus_add_fallback_vtable(f.bus, NULL, PATH "/deployment", NAME ".Deployment",
			deployment, find, &f) < 0 ||
		sd_bus_request_name(f.bus, NAME, 0) < 0)
		return EXIT_FAILURE;
	sd_bus_set_exit_on_disconnect(f.bus, 1);
	puts("ready");
	fflush(stdout);
	return sd_event_loop(f.event) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
