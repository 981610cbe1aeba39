/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"
#include "bundle/chunks.h"
#include "slots/sim-text.h"
#include "util/atomic-file.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#define VENDOR "edgeferry.github.io"
#define ITERATIONS_MAX 20000

struct world *the_world;
int world_harness;

void world_node_reset(struct fake_node *f);

static void sha256(const void *data, size_t size, uint8_t out[32])
{
	ck_assert_int_eq(EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL), 1);
}

void world_remove(struct world *w, const char *path)
{
	for (size_t i = 0; i < w->n_files; i++)
		if (strcmp(w->files[i].path, path) == 0) {
			free(w->files[i].data);
			memmove(&w->files[i], &w->files[i + 1],
				(--w->n_files - i) * sizeof(w->files[0]));
			return;
		}
}

void world_put(struct world *w, const char *path, const void *data, size_t size)
{
	world_remove(w, path);
	ck_assert_uint_lt(w->n_files, sizeof(w->files) / sizeof(w->files[0]));
	snprintf(w->files[w->n_files].path, sizeof(w->files[0].path), "%s", path);
	w->files[w->n_files].data = malloc(size);
	memcpy(w->files[w->n_files].data, data, size);
	w->files[w->n_files++].size = size;
}

static void put_object(struct world *w, const void *data, size_t size, char hex[65])
{
	uint8_t digest[32];
	char path[96];

	sha256(data, size, digest);
	snprintf(path, sizeof(path), "objects/%s", digest_hex(digest, hex));
	world_put(w, path, data, size);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static size_t put_tlv(uint8_t *p, unsigned type, const void *data, size_t size)
{
	put16(p, type);
	put16(p + 2, (unsigned)size);
	memcpy(p + 4, data, size);
	return 4 + size;
}

/* Header, 64 bytes of payload, protected counter and UUIDs, digest. The digest TLV comes last. */
static size_t make_image(uint8_t *out, const char *compatible, unsigned major, uint32_t security)
{
	uint8_t vendor[16], class_id[16], counter[4] = {(uint8_t)security}, digest[32];
	size_t at = 32 + 64, protected_at = at;

	memset(out, 0, at);
	put16(out, 0xb83d);
	put16(out + 2, 0x96f3);
	put16(out + 8, 32);
	put16(out + 12, 64);
	out[20] = (uint8_t)major;
	memset(out + 32, (int)major, 64);
	ck_assert(compatible_uuids(compatible, vendor, class_id));
	at += 4;
	at += put_tlv(out + at, EF_TLV_SEC_CNT, counter, 4);
	at += put_tlv(out + at, EF_TLV_UUID_VID, vendor, 16);
	at += put_tlv(out + at, EF_TLV_UUID_CID, class_id, 16);
	put16(out + protected_at, EF_IMAGE_TLV_PROT_INFO);
	put16(out + protected_at + 2, (unsigned)(at - protected_at));
	put16(out + 10, (unsigned)(at - protected_at));
	sha256(out, at, digest);
	put16(out + at, EF_IMAGE_TLV_INFO);
	put16(out + at + 2, 4 + 36);
	at += 4;
	return at + put_tlv(out + at, EF_TLV_SHA256, digest, 32);
}

static unsigned major_of(const char *version)
{
	return (unsigned)atoi(version);
}

void world_hash(const struct world *w, const char *version, size_t node, uint8_t out[32])
{
	uint8_t image[512];
	uint32_t security = 1;

	for (size_t i = 0; i < w->n_releases; i++)
		if (strcmp(w->releases[i].version, version) == 0)
			security = w->releases[i].security;
	size_t n = make_image(image, w->nodes[node].compatible, major_of(version), security);

	memcpy(out, image + n - 32, 32);
}

void world_rootfs(const char *version, uint8_t out[32])
{
	char text[64];

	snprintf(text, sizeof(text), "root filesystem %s", version);
	sha256(text, strlen(text), out);
}

static void say_protocol(json_t *list, const unsigned range[2])
{
	json_t *last = json_array_get(list, json_array_size(list) - 1);

	if (range[0] > 0)
		json_object_set_new(last, "protocol",
			json_pack("{s:i, s:i}", "min", (int)range[0], "max", (int)range[1]));
}

static void add_mcu(struct world *w, json_t *list, size_t node, const struct world_release *r)
{
	static const char *const names[] = {"meter", "sensor"};
	uint8_t image[512];
	char hex[65], wrong[64];
	const char *compatible = w->nodes[node].compatible;

	if (node == 0 && r->wrong_board) {
		snprintf(wrong, sizeof(wrong), VENDOR ",%s", r->wrong_board);
		compatible = wrong;
	}
	size_t n =
		make_image(image, compatible, major_of(r->version), r->security ? r->security : 1);
	put_object(w, image, n, hex);
	json_array_append_new(list,
		json_pack("{s:s, s:s, s:s, s:{s:i, s:i}, s:s, s:i, s:s, s:{s:s, s:i}, s:[], s:i, "
			  "s:i}",
			"name", names[node], "type", "mcu", "compatible", w->nodes[node].compatible,
			"hardware", "min", 1, "max", 1, "version", r->version, "security",
			r->security ? r->security : 1, "policy",
			node == 1 && r->sensor_policy ? r->sensor_policy : "required", "image",
			"sha256", hex, "size", (int)n, "requires", "self_test", 5, "confirm", 60));
	if (node == 1 && r->sensor_budget > 0)
		json_object_set_new(json_array_get(list, json_array_size(list) - 1), "budget",
			json_integer(r->sensor_budget));
	json_t *last = json_array_get(list, json_array_size(list) - 1);
	if (node == 0 && r->meter_budget > 0)
		json_object_set_new(last, "budget", json_integer(r->meter_budget));
	if (node == 0 && r->meter_soak > 0)
		json_object_set_new(last, "soak", json_integer(r->meter_soak));
	if (node == 0 && r->meter_policy)
		json_object_set_new(last, "policy", json_string(r->meter_policy));
	say_protocol(list, r->node_protocol);
}

/* Image, index and pack of one partition; the pack's bytes are all fill. */
static json_t *payload(
	struct world *w, const uint8_t image_sha256[32], uint32_t image_size, int fill, char pack[65])
{
	struct chunk_group group = {.body = {.size = image_size, .pack_size = 90}, .leaf_size = 10};
	struct chunk_index x = {
		.image_size = image_size, .pack_size = 100, .groups = &group, .n_groups = 1};
	char image[65], index[65];
	uint8_t *data, bytes[100];
	size_t size;

	memset(bytes, fill, sizeof(bytes));
	memset(group.body.digest, 1, sizeof(group.body.digest));
	memset(group.body.pack_digest, 2, sizeof(group.body.pack_digest));
	memcpy(x.image_sha256, image_sha256, 32);
	sha256(bytes, sizeof(bytes), x.pack_sha256);
	ck_assert_int_eq(chunk_index_format(&x, &data, &size), 0);
	put_object(w, data, size, index);
	put_object(w, bytes, sizeof(bytes), pack);
	free(data);
	digest_hex(x.image_sha256, image);
	return json_pack("{s:{s:s, s:i}, s:{s:s, s:i}, s:{s:s, s:i}}", "image", "sha256", image,
		"size", (int)image_size, "index", "sha256", index, "size", (int)size, "pack",
		"sha256", pack, "size", 100);
}

void world_boot_image(const char *version, uint8_t out[32])
{
	world_rootfs(version, out);
	out[31] ^= 0xff;
}

static void add_rootfs(struct world *w, json_t *list, const struct world_release *r)
{
	int fill = (int)major_of(r->version);
	uint8_t image[32], boot[32];
	char pack[65], other[65];

	world_rootfs(r->same_root ? r->same_root : r->version, image);
	world_boot_image(r->version, boot);
	json_t *c = payload(w, image, r->verity ? 2 * WORLD_VERITY : 4096, fill, pack);
	json_object_update_new(c,
		json_pack("{s:s, s:s, s:s, s:{s:i, s:i}, s:s, s:i, s:s, s:[], s:i, s:i}", "name",
			"rootfs", "type", "rootfs", "compatible", VENDOR ",sim-gateway", "hardware",
			"min", 1, "max", 1, "version", r->version, "security",
			r->security ? r->security : 1, "policy", "required", "requires",
			"self_test", 5, "confirm", 60));
	json_array_append_new(list, c);
	say_protocol(list, r->gateway_protocol);
	if (r->verity)
		json_object_set_new(c, "verity",
			json_pack("{s:i, s:s}", "offset", WORLD_VERITY, "root", pack));
	if (r->boot)
		json_object_set_new(c, "boot", payload(w, boot, 2048, fill + 100, other));
}

void world_publish(struct world *w, const struct world_release *r)
{
	json_t *list = json_array();
	char path[180];
	size_t i = w->n_releases++;

	for (size_t n = 0; n < 2; n++)
		add_mcu(w, list, n, r);
	if (!r->no_rootfs)
		add_rootfs(w, list, r);
	json_t *order = json_loads(r->order	  ? r->order
				   : r->no_rootfs ? "[\"meter\", \"sensor\"]"
						  : "[\"meter\", \"sensor\", \"rootfs\"]",
		0, NULL);
	json_t *m = json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:o, s:o}", "schema", 1, "product",
		"demo", "version", r->version, "sequence", (json_int_t)r->sequence, "kind",
		"feature", "notes", "", "components", list, "order", order);
	char *text = json_dumps(m, 0);
	strcpy(w->releases[i].version, r->version);
	snprintf(w->releases[i].path, sizeof(w->releases[i].path), "releases/demo/%s.json",
		r->version);
	strcpy(w->releases[i].file, w->releases[i].path);
	w->releases[i].sequence = r->sequence;
	w->releases[i].security = r->security ? r->security : 1;
	w->releases[i].size = strlen(text);
	sha256(text, strlen(text), w->releases[i].sha256);
	w->releases[i].custom = json_pack("{s:s, s:s, s:I, s:s}", "product", "demo", "version",
		r->version, "sequence", (json_int_t)r->sequence, "kind", "feature");
	snprintf(path, sizeof(path), "targets/%s", w->releases[i].path);
	world_put(w, path, text, strlen(text));
	free(text);
	json_decref(m);
	if (w->repo)
		world_repo_sign(w);
}

static const char *const metadata[] = {"snapshot", "targets", "releases"};

static bool add_member(struct bundle_writer *b, struct world *w, const char *path)
{
	for (size_t i = 0; i < w->n_files; i++)
		if (strcmp(w->files[i].path, path) == 0) {
			ck_assert_int_eq(
				bundle_writer_add(b, path, w->files[i].data, w->files[i].size), 0);
			return true;
		}
	return false;
}

/* As edgeferry-repo does it: all roots, timestamp, the newest of each role. */
static void add_metadata(struct bundle_writer *b, struct world *w)
{
	char path[64];

	for (unsigned v = 1; v < 100; v++) {
		snprintf(path, sizeof(path), "metadata/%u.root.json", v);
		add_member(b, w, path);
	}
	add_member(b, w, "metadata/timestamp.json");
	for (size_t i = 0; i < 3; i++)
		for (unsigned v = 100; v > 0; v--) {
			snprintf(path, sizeof(path), "metadata/%u.%s.json", v, metadata[i]);
			if (add_member(b, w, path))
				break;
		}
}

static void add_objects(struct bundle_writer *b, struct world *w, const struct manifest *m)
{
	char path[96], hex[DIGEST_HEX_MAX];

	for (size_t i = 0; i < m->n_components; i++) {
		const struct component *c = &m->components[m->order[i]];
		const struct object *list[] = {&c->image, NULL};
		if (c->type == COMPONENT_ROOTFS) {
			list[0] = &c->index;
			list[1] = &c->pack;
		}
		for (size_t k = 0; k < 2 && list[k]; k++) {
			snprintf(
				path, sizeof(path), "objects/%s", digest_hex(list[k]->sha256, hex));
			ck_assert(add_member(b, w, path));
		}
	}
}

static struct manifest *newest_manifest(struct world *w, const char *path)
{
	struct manifest *m = NULL;
	struct error e = {0};

	for (size_t i = 0; i < w->n_files; i++)
		if (strcmp(w->files[i].path, path) == 0)
			ck_assert_int_eq(manifest_parse(w->files[i].data, w->files[i].size, &m, &e),
				EF_REASON_OK);
	ck_assert_ptr_nonnull(m);
	return m;
}

int world_bundle(struct world *w)
{
	struct bundle_writer *b;
	char path[256], manifest[200];

	snprintf(path, sizeof(path), "%s/demo.ferry", w->dir);
	snprintf(manifest, sizeof(manifest), "targets/%s", w->releases[w->n_releases - 1].file);
	struct manifest *m = newest_manifest(w, manifest);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bundle_writer_open(fd, &b), 0);
	add_metadata(b, w);
	ck_assert(add_member(b, w, manifest));
	add_objects(b, w, m);
	ck_assert_int_eq(bundle_writer_finish(b), 0);
	ck_assert_int_eq(close(fd), 0);
	manifest_free(m);
	w->server_down = true;
	return open(path, O_RDONLY | O_CLOEXEC);
}

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
