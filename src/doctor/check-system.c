/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration, the daemon, and what lets people talk to it. */
#include "doctor/doctor.h"
#include "util/time-util.h"
#include <errno.h>
#include <pwd.h>
#include <string.h>

void check_config(struct doctor *d)
{
	if (d->config)
		say(d, LEVEL_OK, "", "%s: product %s, %s, %zu node%s", d->config_dir,
			d->config->product, d->config->compatible, d->config->n_nodes,
			d->config->n_nodes == 1 ? "" : "s");
	else if (d->config_error.reason == EF_REASON_STATE_UNREADABLE)
		say(d, LEVEL_ERROR,
			"set [Gateway] Id= to the name that this gateway has on its server, or "
			"remove the file",
			"%s", d->config_error.detail);
	else if (d->config_error.reason == EF_REASON_CONFIG)
		say(d, LEVEL_ERROR,
			"mend that file and run this again: what depends on the configuration was "
			"not looked at",
			"%s", d->config_error.detail);
	else
		say(d, LEVEL_ERROR, "run this as root", "%s", d->config_error.detail);
}

void check_id(struct doctor *d)
{
	static const char *const from[] = {
		[ID_SET] = "as Id= says",
		[ID_KEPT] = "as at its first start, from the state folder",
		[ID_DERIVED] = "derived from the machine id; kept from the first start on",
	};
	const struct config *c = d->config;

	if (c->id_from == ID_HIDDEN)
		say(d, LEVEL_WARNING, "run this as root", "%s/id: %s", c->state_dir,
			strerror(EACCES));
	else if (c->id_from == ID_DERIVED && *d->root)
		say(d, LEVEL_OK, "", "Id= is derived from the machine id at the first start");
	else
		say(d, LEVEL_OK, "", "this gateway is %s: %s", c->id, from[c->id_from]);
}

void check_daemon(struct doctor *d)
{
	const char *version = NULL, *state = NULL, *release = NULL;

	if (*d->root && !d->bus_address)
		return;
	if (!d->status) {
		say(d, LEVEL_ERROR,
			"look at 'systemctl status edgeferry' and its journal; what only the "
			"daemon "
			"knows (presence of nodes, the last look at the server) is not shown",
			"edgeferryd does not answer: %s", d->daemon_error);
		return;
	}
	json_get_string(d->status, "version", &version);
	json_get_string(d->status, "state", &state);
	json_get_string(d->status, "release", &release);
	if (version && strcmp(version, EF_VERSION) != 0)
		say(d, LEVEL_WARNING, "systemctl restart edgeferry",
			"edgeferryd %s runs, %s is installed", version, EF_VERSION);
	else if (state && strcmp(state, "stale") == 0)
		say(d, LEVEL_WARNING,
			"the publisher has to sign anew (edgeferry-repo sign, publish), or a "
			"bundle "
			"is installed by hand",
			"what the server says has expired: nothing is installed from it");
	else
		say(d, LEVEL_OK, "", "edgeferryd answers: %s, release %s", state ? state : "?",
			release && *release ? release : "unknown");
}

static bool wanted_by_boot(const struct doctor *d, const char *unit)
{
	char path[PATH_MAX];
	static const char *const folders[] = {
		"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"};

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/multi-user.target.wants/%s", folders[i], unit);
		char link[PATH_MAX], to[PATH_MAX];
		/* in another system's tree an absolute link leads elsewhere: that it is there is
		 * enough */
		if (readlink(below(d, path, link), to, sizeof(to)) > 0 || there(d, path))
			return true;
	}
	return false;
}

void check_service(struct doctor *d)
{
	if (!unit_has(d, "edgeferry.service", "edgeferryd"))
		say(d, LEVEL_ERROR, "install the package edgeferry (or meson install -C build)",
			"edgeferry.service is not installed");
	else if (!wanted_by_boot(d, "edgeferry.service"))
		say(d, LEVEL_ERROR, "systemctl enable --now edgeferry",
			"edgeferry.service is not started at boot");
	else
		say(d, LEVEL_OK, "", "edgeferry.service is started at boot");
}

void check_dbus(struct doctor *d)
{
	static const char *const files[] = {
		"/usr/share/dbus-1/system.d/io.github.edgeferry1.conf",
		"/usr/share/dbus-1/system-services/io.github.edgeferry1.service",
	};

	for (size_t i = 0; i < 2; i++)
		if (!there(d, files[i])) {
			say(d, LEVEL_ERROR,
				"install the package edgeferry anew, then systemctl reload dbus",
				"%s is not there: the bus does not let edgeferryd speak", files[i]);
			return;
		}
	say(d, LEVEL_OK, "", "D-Bus policy and activation are installed");
}

void check_polkit(struct doctor *d)
{
	bool daemon = there(d, "/usr/lib/polkit-1/polkitd") || there(d, "/usr/libexec/polkitd");

	if (!there(d, "/usr/share/polkit-1/actions/io.github.edgeferry1.policy"))
		say(d, LEVEL_ERROR, "install the package edgeferry anew",
			"io.github.edgeferry1.policy is not there: polkit knows none of our "
			"actions");
	else if (!daemon)
		say(d, LEVEL_OK, "install polkitd if others than root shall install releases",
			"polkit is not installed: only root may act");
	else
		say(d, LEVEL_OK, "", "polkit decides who may act");
}

void check_confirm(struct doctor *d)
{
	char text[64] = "15min";
	uint64_t most_us;

	if (!d->a)
		return;
	if (!wanted_by_boot(d, "edgeferry-confirm.service")) {
		say(d, with_slots(d, LEVEL_ERROR, LEVEL_WARNING),
			"systemctl enable edgeferry-confirm, in the images of both slots",
			"edgeferry-confirm.service is not started at boot: a slot on trial in "
			"which "
			"edgeferryd does not come up is not left");
		return;
	}
	unit_says(d, "edgeferry-confirm.service", "RuntimeMaxSec", text, sizeof(text));
	if (timespan_parse(text, &most_us) && d->config->check_us >= most_us)
		say(d, LEVEL_ERROR,
			"lower ConfirmSec=, or write RuntimeMaxSec= into a drop-in: systemctl edit "
			"edgeferry-confirm",
			"ConfirmSec= is not below the %s after which edgeferry-confirm.service "
			"restarts the machine: it would end a trial that is being checked",
			text);
	else
		say(d, LEVEL_OK, "", "edgeferry-confirm.service ends a trial after %s", text);
}

void check_user(struct doctor *d)
{
	char path[PATH_MAX];
	_cleanup_fclose_ FILE *f = fopen(below(d, "/etc/passwd", path), "re");
	const struct config *c = d->config;
	const struct passwd *p;

	if (!c->url && !c->mqtt_host)
		return;
	while (f && (p = fgetpwent(f)))
		if (strcmp(p->pw_name, c->network_user) == 0) {
			if (p->pw_uid == 0)
				say(d, LEVEL_ERROR, "give [Network] User= another name",
					"%s is root: edgeferry-net must not be", p->pw_name);
			else
				say(d, LEVEL_OK, "", "edgeferry-net becomes user %s", p->pw_name);
			return;
		}
	say(d, LEVEL_ERROR, "systemd-sysusers, or set [Network] User= to a user that is there",
		"there is no user %s for edgeferry-net", c->network_user);
}
