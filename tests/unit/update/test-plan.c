/* SPDX-License-Identifier: Apache-2.0 */
/* S-12, S-23, F-22: what is refused before anything is fetched, and what a release comes to here.
 */
#include "../unit.h"
#include "update/plan.h"
#include "update/policy.h"
#include <string.h>

#define VENDOR "edgeferry.github.io"

static struct component components[3];
static size_t order[3];
static struct manifest manifest;
static struct config config;
static struct config_node config_nodes[3];
static struct plan_gateway gateway;
static struct plan_node nodes[3];
static struct plan_image images[3];
static uint32_t floors;
static const char *other_version;

static uint32_t floor_of(void *ctx, const char *compatible)
{
	return floors;
}

static bool installed_of(void *ctx, const char *component, struct ef_version *ret)
{
	return other_version && ef_version_parse(other_version, ret);
}

static struct admit_input input;

static void setup(void)
{
	memset(components, 0, sizeof(components));
	components[0] = (struct component){.name = "rootfs",
		.type = COMPONENT_ROOTFS,
		.compatible = VENDOR ",sim-gateway",
		.hardware_min = 1,
		.hardware_max = 2,
		.version = {2, 0, 0, 0},
		.security = 3,
		.image = {{0xaa}, 1000}};
	components[1] = (struct component){.name = "meter",
		.type = COMPONENT_MCU,
		.compatible = VENDOR ",mps2-an385",
		.hardware_min = 1,
		.hardware_max = 3,
		.version = {2, 0, 0, 0},
		.security = 3,
		.image = {{0xbb}, 500}};
	components[2] = (struct component){.name = "sensor",
		.type = COMPONENT_MCU,
		.compatible = VENDOR ",nrf51-microbit",
		.hardware_min = 1,
		.hardware_max = 1,
		.version = {2, 0, 0, 0},
		.security = 3,
		.policy = POLICY_OPTIONAL,
		.image = {{0xcc}, 500}};
	for (size_t i = 0; i < 3; i++)
		components[i].protocol_min = components[i].protocol_max = 1;
	order[0] = 1;
	order[1] = 2;
	order[2] = 0;
	manifest = (struct manifest){.product = "demo",
		.version = "2.0.0",
		.sequence = 2,
		.components = components,
		.n_components = 3,
		.order = order};
	config = (struct config){.product = (char *)"demo",
		.compatible = (char *)VENDOR ",sim-gateway",
		.hardware = 1,
		.nodes = config_nodes,
		.n_nodes = 3};
	static const char *const names[] = {"meter-1", "meter-2", "sensor-1"};
	for (size_t i = 0; i < 3; i++) {
		const struct component *c = &components[i < 2 ? 1 : 2];
		config_nodes[i] = (struct config_node){.name = (char *)names[i],
			.compatible = (char *)c->compatible,
			.required = true};
		nodes[i] = (struct plan_node){.config = &config_nodes[i], .present = true};
		nodes[i].identity.hardware = 1;
		nodes[i].identity.protocol = 1;
		nodes[i].identity.slot_size = 4096;
		ck_assert(compatible_uuids(
			c->compatible, nodes[i].identity.vendor, nodes[i].identity.class_id));
		nodes[i].identity.slots[0] = (struct node_slot){.present = true,
			.active = true,
			.confirmed = true,
			.version = {1, 0, 0, 0},
			.hash = {1}};
	}
	for (size_t i = 0; i < 3; i++) {
		images[i] =
			(struct plan_image){.security = 3, .has_vendor = true, .has_class = true};
		images[i].hash[0] = (uint8_t)(0x10 + i);
		ck_assert(compatible_uuids(
			components[i].compatible, images[i].vendor, images[i].class_id));
	}
	gateway = (struct plan_gateway){.config = &config,
		.slots = true,
		.running = SLOT_A,
		.target = SLOT_B,
		.slot_size = {4096, 4096},
		.protocol_min = 1,
		.protocol_max = 1};
	floors = 3;
	other_version = NULL;
	input = (struct admit_input){
		.gateway = &gateway, .sequence = 1, .floor = floor_of, .installed = installed_of};
}

static enum ef_reason admit(void)
{
	struct error e = {0};
	enum ef_reason r = plan_admit(&manifest, &input, &e);

	ck_assert_int_eq(r, e.reason);
	if (r != EF_REASON_OK)
		ck_assert_str_ne(e.detail, "");
	return r;
}

START_TEST(a_fitting_release_is_admitted)
{
	ck_assert_int_eq(admit(), EF_REASON_OK);
	input.sequence = 2; /* the same again: a node may have been exchanged */
	ck_assert_int_eq(admit(), EF_REASON_OK);
}
END_TEST

START_TEST(order_and_floor) /* S-12 */
{
	input.sequence = 3;
	ck_assert_int_eq(admit(), EF_REASON_DOWNGRADE);
	input.going_back = true;
	ck_assert_int_eq(admit(), EF_REASON_OK);
	/* the floor holds at any sequence, also on the way back */
	floors = 4;
	ck_assert_int_eq(admit(), EF_REASON_FLOOR);
	input.going_back = false;
	input.sequence = 0;
	ck_assert_int_eq(admit(), EF_REASON_FLOOR);
}
END_TEST

START_TEST(other_hardware_is_refused) /* S-23 */
{
	manifest.product[0] = 'x';
	ck_assert_int_eq(admit(), EF_REASON_NOT_COMPATIBLE);
	setup();
	config.compatible = (char *)VENDOR ",other";
	ck_assert_int_eq(admit(), EF_REASON_NOT_COMPATIBLE);
	setup();
	config.hardware = 3;
	ck_assert_int_eq(admit(), EF_REASON_HARDWARE_RANGE);
	setup();
	config.hardware = 0;
	ck_assert_int_eq(admit(), EF_REASON_HARDWARE_RANGE);
	setup();
	gateway.slot_size[SLOT_B] = 999;
	ck_assert_int_eq(admit(), EF_REASON_TOO_LARGE);
	setup();
	gateway.slots = false;
	ck_assert_int_eq(admit(), EF_REASON_UNKNOWN_COMPONENT);
}
END_TEST

START_TEST(a_component_needs_a_place) /* S-05 */
{
	config.n_nodes = 0;
	ck_assert_int_eq(admit(), EF_REASON_UNKNOWN_COMPONENT);
	setup();
	config.n_nodes = 2; /* the optional sensor has none */
	ck_assert_int_eq(admit(), EF_REASON_OK);
	components[2].policy = POLICY_REQUIRED;
	ck_assert_int_eq(admit(), EF_REASON_UNKNOWN_COMPONENT);
	setup();
	components[1].type = COMPONENT_ROOTFS;
	strcpy(components[1].compatible, VENDOR ",sim-gateway");
	ck_assert_int_eq(admit(), EF_REASON_UNKNOWN_COMPONENT);
}
END_TEST

/* Kernel and root file system come together, or not at all. */
START_TEST(a_boot_partition_goes_with_its_slot)
{
	components[0].boot.image = (struct object){{0xdd}, 2048};
	ck_assert_int_eq(admit(), EF_REASON_UNKNOWN_COMPONENT);
	gateway.boots = true;
	ck_assert_int_eq(admit(), EF_REASON_OK); /* its size is not known */
	gateway.boot_size[SLOT_B] = 2048;
	ck_assert_int_eq(admit(), EF_REASON_OK);
	gateway.boot_size[SLOT_B] = 2047;
	ck_assert_int_eq(admit(), EF_REASON_TOO_LARGE);
	components[0].boot.image.size = 0;
	ck_assert_int_eq(admit(), EF_REASON_REQUIREMENT);
}
END_TEST

START_TEST(requirements)
{
	components[1].n_requires = 1;
	strcpy(components[1].requires[0].name, "rootfs");
	components[1].requires[0].min = (struct ef_version){2, 0, 0, 0};
	ck_assert_int_eq(admit(), EF_REASON_OK);
	components[1].requires[0].min.build = 1;
	ck_assert_int_eq(admit(), EF_REASON_REQUIREMENT);
	strcpy(components[1].requires[0].name, "radio");
	ck_assert_int_eq(admit(), EF_REASON_REQUIREMENT);
	other_version = "2.0.0+1";
	ck_assert_int_eq(admit(), EF_REASON_OK);
	other_version = "2.0.0";
	ck_assert_int_eq(admit(), EF_REASON_REQUIREMENT);
}
END_TEST

/* I-3: every pair that may meet: gateway and nodes, each at the old version and at the new one. */
START_TEST(old_and_new_understand_each_other_I3)
{
	static const struct {
		uint32_t now[2], gateway[2], nodes[2], node;
		enum ef_reason release, old_node;
	} t[] = {
		{{1, 1}, {1, 1}, {1, 1}, 1, EF_REASON_OK, EF_REASON_OK},
		/* two steps, each of which can be taken back */
		{{1, 1}, {1, 2}, {1, 1}, 1, EF_REASON_OK, EF_REASON_OK},
		{{1, 2}, {1, 2}, {2, 2}, 1, EF_REASON_OK, EF_REASON_OK},
		{{1, 2}, {2, 2}, {2, 2}, 2, EF_REASON_OK, EF_REASON_OK},
		/* new nodes, and the gateway falls back */
		{{1, 1}, {1, 2}, {2, 2}, 1, EF_REASON_PROTOCOL, EF_REASON_OK},
		/* new gateway, and the nodes go back */
		{{1, 2}, {2, 2}, {2, 2}, 1, EF_REASON_OK, EF_REASON_PROTOCOL},
		/* strangers in one release */
		{{1, 3}, {1, 1}, {2, 2}, 1, EF_REASON_PROTOCOL, EF_REASON_OK},
		{{2, 2}, {1, 1}, {1, 1}, 1, EF_REASON_PROTOCOL, EF_REASON_OK},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct error e = {0};
		gateway.protocol_min = t[i].now[0];
		gateway.protocol_max = t[i].now[1];
		components[0].protocol_min = t[i].gateway[0];
		components[0].protocol_max = t[i].gateway[1];
		for (size_t k = 1; k < 3; k++) {
			components[k].protocol_min = t[i].nodes[0];
			components[k].protocol_max = t[i].nodes[1];
		}
		nodes[0].identity.protocol = t[i].node;
		ck_assert_msg(admit() == t[i].release, "%zu", i);
		ck_assert_msg(
			plan_admit_protocol(&manifest, &nodes[0], &e) == t[i].old_node, "%zu", i);
	}
	/* nobody knows what a plain node speaks but SMP, which does not change */
	struct error e = {0};
	components[0].protocol_min = components[0].protocol_max = 7;
	nodes[0].identity.plain = true;
	ck_assert_int_eq(plan_admit_protocol(&manifest, &nodes[0], &e), EF_REASON_OK);
	/* without a root filesystem the gateway stays as it is */
	manifest.components = &components[1];
	manifest.n_components = 2;
	nodes[0].identity.plain = false;
	ck_assert_int_eq(plan_admit_protocol(&manifest, &nodes[0], &e), EF_REASON_OK);
}
END_TEST

START_TEST(image_must_be_of_the_board) /* S-23, E-01 on the gateway's side */
{
	struct error e = {0};

	ck_assert_int_eq(plan_admit_image(&components[1], &images[1], &e), EF_REASON_OK);
	ck_assert_int_eq(
		plan_admit_image(&components[1], &images[2], &e), EF_REASON_NOT_COMPATIBLE);
	error_clear(&e);
	images[1].has_class = false;
	ck_assert_int_eq(
		plan_admit_image(&components[1], &images[1], &e), EF_REASON_NOT_COMPATIBLE);
	error_clear(&e);
	images[1].has_class = true;
	images[1].security = 2;
	ck_assert_int_eq(plan_admit_image(&components[1], &images[1], &e), EF_REASON_BAD_IMAGE);
}
END_TEST

START_TEST(node_must_be_what_its_file_says) /* F-22 */
{
	struct error e = {0};

	ck_assert_int_eq(plan_admit_node(&components[1], &nodes[0], &e), EF_REASON_OK);
	nodes[0].identity = nodes[2].identity; /* cables swapped */
	ck_assert_int_eq(plan_admit_node(&components[1], &nodes[0], &e), EF_REASON_NODE_MISMATCH);
	setup();
	error_clear(&e);
	nodes[0].identity.hardware = 4;
	ck_assert_int_eq(plan_admit_node(&components[1], &nodes[0], &e), EF_REASON_HARDWARE_RANGE);
	setup();
	error_clear(&e);
	nodes[0].identity.slot_size = 499;
	ck_assert_int_eq(plan_admit_node(&components[1], &nodes[0], &e), EF_REASON_TOO_LARGE);
	setup();
	error_clear(&e);
	nodes[0].identity.floor = 4;
	ck_assert_int_eq(plan_admit_node(&components[1], &nodes[0], &e), EF_REASON_FLOOR);
}
END_TEST

/* A failure beyond the budget of its component, and of no other; optional ones count for nothing.
 */
START_TEST(failures_within_a_budget)
{
	struct part parts[4] = {{.component = &components[1], .required = true},
		{.component = &components[1], .required = true},
		{.component = &components[1], .required = true},
		{.component = &components[2], .required = false}};
	struct deployment d = {.parts = parts, .n_parts = 4};

	ck_assert_ptr_null(policy_broken(&d));
	parts[3].state = COMPONENT_FAILED;
	ck_assert_ptr_null(policy_broken(&d));
	parts[1].state = COMPONENT_FAILED;
	ck_assert_ptr_eq(policy_broken(&d), &parts[1]);
	components[1].budget = 1;
	ck_assert_ptr_null(policy_broken(&d));
	parts[2].state = COMPONENT_FAILED;
	ck_assert_ptr_eq(policy_broken(&d), &parts[2]);
	parts[3].required = true; /* of another component, without one */
	parts[2].state = COMPONENT_TRIAL;
	ck_assert_ptr_eq(policy_broken(&d), &parts[3]);
}
END_TEST

START_TEST(power_and_hours) /* */
{
	static const struct {
		struct config_window window;
		unsigned minute;
		bool within;
	} t[] = {{{0, 0}, 700, true}, {{60, 120}, 59, false}, {{60, 120}, 60, true},
		{{60, 120}, 119, true}, {{60, 120}, 120, false}, {{1320, 330}, 1319, false},
		{{1320, 330}, 1320, true}, {{1320, 330}, 0, true}, {{1320, 330}, 330, false}};
	struct node_identity *id = &nodes[0].identity;
	struct error e = {0};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		config_nodes[0].window = t[i].window;
		error_clear(&e);
		ck_assert_int_eq(plan_may_touch(&config_nodes[0], id, t[i].minute, &e),
			t[i].within ? EF_REASON_OK : EF_REASON_HELD);
	}
	setup();
	error_clear(&e);
	config_nodes[0].battery = 20;
	id->battery = 19;
	ck_assert_int_eq(plan_may_touch(&config_nodes[0], id, 0, &e), EF_REASON_NODE_BATTERY);
	error_clear(&e);
	id->external = true; /* it is being charged */
	ck_assert_int_eq(plan_may_touch(&config_nodes[0], id, 0, &e), EF_REASON_OK);
	config_nodes[0].external = true;
	ck_assert_int_eq(plan_may_touch(&config_nodes[0], id, 0, &e), EF_REASON_OK);
	id->plain = true; /* it cannot say */
	ck_assert_int_eq(plan_may_touch(&config_nodes[0], id, 0, &e), EF_REASON_NODE_BATTERY);
}
END_TEST

START_TEST(parts_in_order)
{
	struct part *p;
	size_t n;

	ck_assert_int_eq(plan_make(&manifest, images, &gateway, nodes, 3, &p, &n), 0);
	ck_assert_uint_eq(n, 4);
	static const char *const places[] = {"meter-1", "meter-2", "sensor-1", "B"};
	for (size_t i = 0; i < 4; i++) {
		ck_assert_str_eq(p[i].place, places[i]);
		ck_assert_int_eq(p[i].state, COMPONENT_PENDING);
		ck_assert_int_eq(p[i].required, i != 2);
	}
	ck_assert_str_eq(p[0].from, "1.0.0");
	ck_assert_mem_eq(p[0].hash, images[1].hash, 32);
	ck_assert_mem_eq(p[3].hash, components[0].image.sha256, 32);
	free(p);
}
END_TEST

START_TEST(what_runs_already_is_skipped)
{
	struct part *p;
	size_t n;

	memcpy(nodes[1].identity.slots[0].hash, images[1].hash, 32);
	nodes[2].present = false;
	gateway.known = true;
	memcpy(gateway.running_image, components[0].image.sha256, 32);
	strcpy(gateway.running_version, "2.0.0");
	ck_assert_int_eq(plan_make(&manifest, images, &gateway, nodes, 3, &p, &n), 0);
	ck_assert_int_eq(p[0].state, COMPONENT_PENDING);
	ck_assert_int_eq(p[1].state, COMPONENT_SKIPPED);
	ck_assert_int_eq(p[1].error.reason, EF_REASON_ALREADY_INSTALLED);
	ck_assert_int_eq(p[2].state, COMPONENT_SKIPPED);
	ck_assert_int_eq(p[2].error.reason, EF_REASON_NODE_UNREACHABLE);
	ck_assert_int_eq(p[3].state, COMPONENT_SKIPPED);
	ck_assert_str_eq(p[3].place, "A");
	free(p);
	/* an image that is only on trial is not there yet */
	nodes[1].identity.slots[0].confirmed = false;
	ck_assert_int_eq(plan_make(&manifest, images, &gateway, nodes, 3, &p, &n), 0);
	ck_assert_int_eq(p[1].state, COMPONENT_PENDING);
	free(p);
}
END_TEST

START_TEST(automatic_policy) /* S-36 */
{
	static const struct {
		enum config_automatic automatic;
		enum release_kind kind;
		enum ef_reason reason;
		bool installed, expected;
	} rows[] = {
		{AUTOMATIC_NO, KIND_SECURITY, EF_REASON_OK, false, false},
		{AUTOMATIC_SECURITY, KIND_SECURITY, EF_REASON_OK, false, true},
		{AUTOMATIC_SECURITY, KIND_FEATURE, EF_REASON_OK, false, false},
		{AUTOMATIC_ALL, KIND_FEATURE, EF_REASON_OK, false, true},
		{AUTOMATIC_ALL, KIND_SECURITY, EF_REASON_OK, true, false},
		{AUTOMATIC_ALL, KIND_SECURITY, EF_REASON_FLOOR, false, false},
		{AUTOMATIC_ALL, KIND_SECURITY, EF_REASON_NODE_REVERTED, false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct known_release k = {.kind = rows[i].kind, .installed = rows[i].installed};
		k.error.reason = rows[i].reason;
		ck_assert_int_eq(policy_automatic(rows[i].automatic, &k), rows[i].expected);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/plan");
	TCase *t = tcase_create("plan");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_fitting_release_is_admitted);
	tcase_add_test(t, order_and_floor);
	tcase_add_test(t, other_hardware_is_refused);
	tcase_add_test(t, a_component_needs_a_place);
	tcase_add_test(t, a_boot_partition_goes_with_its_slot);
	tcase_add_test(t, requirements);
	tcase_add_test(t, old_and_new_understand_each_other_I3);
	tcase_add_test(t, image_must_be_of_the_board);
	tcase_add_test(t, node_must_be_what_its_file_says);
	tcase_add_test(t, failures_within_a_budget);
	tcase_add_test(t, power_and_hours);
	tcase_add_test(t, parts_in_order);
	tcase_add_test(t, what_runs_already_is_skipped);
	tcase_add_test(t, automatic_policy);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
