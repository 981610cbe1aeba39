/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"
#include "slots/sim-text.h"
#include "util/atomic-file.h"
#include "util/fdio.h"
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#define VENDOR "edgeferry.github.io"
#define ITERATIONS_MAX 20000

struct world *the_world;
int world_harness;

void world_node_reset(struct fake_node *f);

static void write_at(struct world *w, const char *name, const void *data, size_t size, mode_t mode)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	world_harness++;
	ck_assert_int_eq(atomic_file_write(path, data, size, mode), 0);
	chmod(path, mode);
	world_harness--;
}

void world_script(struct world *w, const char *name, const char *body)
{
	char file[128], text[512];

	snprintf(file, sizeof(file), "checks/%s", name);
	snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", body);
	write_at(w, file, text, strlen(text), 0755);
}

static void set_vars(
	struct world *w, const struct slot_vars *v, const struct slot_evidence *running)
{
	char text[SIM_FILE_MAX];

	write_at(w, "boot/" SIM_STATE_FILE, text, sim_vars_format(v, text), 0644);
	write_at(w, "boot/" SIM_RUNNING_FILE, text, sim_evidence_format(running, text), 0644);
}

struct boot_state world_boot(struct world *w)
{
	char path[256];
	struct boot *b;
	struct boot_state state;
	struct error e = {0};

	snprintf(path, sizeof(path), "%s/boot", w->dir);
	world_harness++;
	ck_assert_int_eq(
		boot_open("sim", &(struct boot_place){path, w->dir, ""}, &b, &e), EF_REASON_OK);
	ck_assert_int_eq(boot_state(b, &state, &e), EF_REASON_OK);
	boot_close(b);
	world_harness--;
	return state;
}

/* The firmware: a trial is used once, whatever comes of it. */
void world_reboot(struct world *w)
{
	struct boot_state s = world_boot(w);
	struct slot_vars v = {s.primary, s.trial, {s.mark[0], s.mark[1]}};
	struct slot_evidence running;
	char path[256];

	vars_choose(&v, &running);
	if (w->slot_unbootable[running.running])
		running = (struct slot_evidence){.running = v.primary};
	set_vars(w, &v, &running);
	snprintf(path, sizeof(path), "%s/boot/" SIM_REBOOT_FILE, w->dir);
	unlink(path);
	w->rebooting = false;
	if (running.trial && w->server_lost_after_reboot)
		w->server_down = true;
	else if (w->server_lost_after_reboot)
		w->server_down = false;
}

void world_fall_back(struct world *w)
{
	struct boot_state s = world_boot(w);
	struct slot_vars v = {slot_other(s.running), SLOT_NONE, {s.mark[0], s.mark[1]}};
	struct slot_evidence running = {v.primary, false};

	v.mark[s.running] = SLOT_BAD;
	set_vars(w, &v, &running);
}

void world_power_cut(struct world *w)
{
	for (size_t i = 0; i < WORLD_NODES; i++)
		world_node_reset(&w->nodes[i]);
	world_reboot(w);
}

static char *path_in(struct world *w, const char *name)
{
	char *path;

	ck_assert_int_gt(asprintf(&path, "%s/%s", w->dir, name), 0);
	return path;
}

static void set_node(struct world *w, size_t i, const char *name, const char *compatible)
{
	struct fake_node *f = &w->nodes[i];

	*f = (struct fake_node){.name = name, .compatible = compatible};
	ck_assert(compatible_uuids(compatible, f->id.vendor, f->id.class_id));
	snprintf(f->id.board, sizeof(f->id.board), "%s", strchr(compatible, ',') + 1);
	f->id.hardware = 1;
	f->id.protocol = 1;
	f->id.slot_size = 65536;
	f->id.slots[0] = (struct node_slot){
		.present = true, .active = true, .confirmed = true, .version = {1, 0, 0, 0}};
	world_hash(w, "1.0.0", i, f->id.slots[0].hash);
	w->config_nodes[i] = (struct config_node){.name = (char *)name,
		.compatible = (char *)compatible,
		.link = (char *)"sim",
		.device = (char *)"/nonexistent",
		.security = SECURITY_NONE,
		.required = true};
}

struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	static const char *const dirs[] = {"boot", "state", "checks", "state/trust"};
	struct slot_vars v = {SLOT_A, SLOT_NONE, {SLOT_GOOD, SLOT_GOOD}};
	struct slot_evidence running = {SLOT_A, false};

	the_world = w;
	w->clock = 1800000000; /* 2027-01-15 */
	/* in memory where that is possible: an fsync is not what is tested here */
	snprintf(w->dir, sizeof(w->dir), "%s/ef-world-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(w->dir));
	for (size_t i = 0; i < 4; i++) {
		char *path = path_in(w, dirs[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
		free(path);
	}
	set_vars(w, &v, &running);
	uint8_t slot[16384] = {0};
	write_at(w, "slot-a", slot, sizeof(slot), 0600);
	write_at(w, "slot-b", slot, sizeof(slot), 0600);
	world_rootfs("1.0.0", w->slot_image[SLOT_A]);
	world_put(w, "metadata/timestamp.json", "{}", 2);
	set_node(w, 0, "meter-1", VENDOR ",mps2-an385");
	set_node(w, 1, "sensor-1", VENDOR ",nrf51-microbit");
	for (size_t i = 2; i < WORLD_NODES; i++) {
		static char names[WORLD_NODES][16];
		snprintf(names[i], sizeof(names[i]), "meter-%zu", i);
		set_node(w, i, names[i], VENDOR ",mps2-an385");
	}
	w->config = (struct config){.product = (char *)"demo",
		.compatible = (char *)VENDOR ",sim-gateway",
		.hardware = 1,
		.id = (char *)"gw-test",
		.state_dir = path_in(w, "state"),
		.url = (char *)"https://localhost/",
		.boot = (char *)"sim",
		.boot_dir = path_in(w, "boot"),
		.slot_a = path_in(w, "slot-a"),
		.slot_b = path_in(w, "slot-b"),
		.checks_dir = path_in(w, "checks"),
		.check_us = 2500000,
		.object_quota = 64 << 20,
		.nodes = w->config_nodes,
		.n_nodes = WORLD_NODES};
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ck_assert_int_ge(sd_event_new(&w->event), 0);
	return w;
}

void world_boot_partitions(struct world *w)
{
	uint8_t bytes[4096] = {0};

	write_at(w, "boot-a", bytes, sizeof(bytes), 0600);
	write_at(w, "boot-b", bytes, sizeof(bytes), 0600);
	w->config.boot_a = path_in(w, "boot-a");
	w->config.boot_b = path_in(w, "boot-b");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	return remove(path);
}

void world_free(struct world *w)
{
	world_kill(w);
	nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; i < w->n_files; i++)
		free(w->files[i].data);
	for (size_t i = 0; i < w->n_releases; i++)
		json_decref(w->releases[i].custom);
	free(w->config.state_dir);
	free(w->config.boot_dir);
	free(w->config.boot_a);
	free(w->config.boot_b);
	free(w->config.slot_a);
	free(w->config.slot_b);
	free(w->config.checks_dir);
	sd_event_unref(w->event);
	free(w);
	the_world = NULL;
}

static int64_t wall_clock(void)
{
	return the_world->clock;
}

static bool synchronised(void *ctx)
{
	return !the_world->unsynchronised;
}

static void on_rebooting(void *ctx, const char *parameter)
{
	ck_assert_ptr_null(parameter);
	((struct world *)ctx)->rebooting = true;
}

void world_start(struct world *w)
{
	char root[200];

	snprintf(root, sizeof(root), "%s/root.json", w->dir);
	const struct update_env env = {.event = w->event,
		.config = &w->config,
		.net = (struct net_client *)w,
		.now = wall_clock,
		.root_file = w->repo ? root : NULL,
		.synchronised = synchronised,
		.retry_us = 1000,
		.patience_us = w->patience_us,
		.services = w->services,
		.observer = {.ctx = w, .rebooting = on_rebooting}};
	struct error e = {0};

	world_client_freed = false; /* another life of the engine begins */
	for (unsigned tries = w->start_tries > 0 ? w->start_tries : 1; tries > 0; tries--) {
		error_clear(&e);
		if (update_new(&w->update, &env, &e))
			continue;
		if (!w->repo) /* the false tuf_bootstrap does not */
			write_at(w, "state/trust/root.json", "{}", 2, 0600);
		if (update_resume(w->update, &e) == EF_REASON_OK)
			return;
		update_free(TAKE_PTR(w->update));
	}
	ck_abort_msg("%s", e.detail);
}

void world_kill(struct world *w)
{
	net_client_free((struct net_client *)w);
	w->services_answer = sd_event_source_disable_unref(w->services_answer);
	update_free(w->update);
	w->update = NULL;
}

static bool idle(struct world *w)
{
	return !w->rebooting && !w->update->current;
}

void world_run(struct world *w, uint64_t kill_at, bool power_cut)
{
	for (w->iterations = 0; !idle(w); w->iterations++) {
		ck_assert_uint_lt(w->iterations, ITERATIONS_MAX);
		if (kill_at > 0 && w->iterations == kill_at) {
			world_kill(w);
			if (power_cut)
				world_power_cut(w);
			else if (w->rebooting)
				world_reboot(w);
			world_start(w);
			continue;
		}
		if (w->rebooting) {
			world_kill(w);
			world_reboot(w);
			world_start(w);
		}
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
}

struct outcome {
	enum deployment_state state;
	struct error error;
};

static int first(void *ctx, const struct deployment *d)
{
	struct outcome *o = ctx;

	o->state = d->state;
	o->error = d->error;
	return 1;
}

enum deployment_state world_outcome(struct world *w, struct error *why)
{
	struct outcome o = {.state = (enum deployment_state) - 1};

	ck_assert_int_ge(update_deployments(w->update, 1, first, &o), 0);
	*why = o.error;
	return o.state;
}
