/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/manifest.h"
#include "unit.h"
#include "util/json.h"
#include <string.h>

#define HEX(c) c c c c c c c c c c c c c c c c
#define A HEX("aaaa")
#define B HEX("bbbb")
#define C HEX("cccc")
#define D HEX("dddd")

static const char good[] =
	"{\"schema\":1,\"product\":\"demo\",\"version\":\"2.0.0\",\"sequence\":2,\"kind\":"
	"\"security\","
	"\"notes\":\"n\",\"components\":["
	"{\"name\":\"rootfs\",\"type\":\"rootfs\",\"compatible\":\"edgeferry.github.io,sim-"
	"gateway\","
	"\"hardware\":{\"min\":1,\"max\":1},\"version\":\"2.0.0\",\"security\":1,\"policy\":"
	"\"required\","
	"\"image\":{\"sha256\":\"" A "\",\"size\":268435456},"
	"\"index\":{\"sha256\":\"" B "\",\"size\":163936},"
	"\"pack\":{\"sha256\":\"" C
	"\",\"size\":0},\"requires\":[],\"self_test\":60,\"confirm\":300},"
	"{\"name\":\"meter\",\"type\":\"mcu\",\"compatible\":\"edgeferry.github.io,mps2-an385\","
	"\"hardware\":{\"min\":1,\"max\":3},\"version\":\"2.0.0+5\",\"security\":7,\"policy\":"
	"\"optional\","
	"\"image\":{\"sha256\":\"" D "\",\"size\":21143},"
	"\"requires\":[{\"component\":\"rootfs\",\"min\":\"1.0.0\"}],\"self_test\":20,\"confirm\":"
	"120}],"
	"\"order\":[\"meter\",\"rootfs\"]}";

static enum ef_reason parse_text(const char *text, size_t size)
{
	struct manifest *m = NULL;
	struct error e = {0};
	enum ef_reason r = manifest_parse(text, size, &m, &e);

	ck_assert_int_eq(r == EF_REASON_OK, m != NULL);
	ck_assert_int_eq(e.reason, r);
	if (r)
		ck_assert_str_ne(e.detail, "");
	manifest_free(m);
	return r;
}

static json_t *sample(void)
{
	struct error e = {0};
	json_t *o = json_read(good, sizeof(good) - 1, "sample", &e);

	ck_assert_ptr_nonnull(o);
	return o;
}

static enum ef_reason parse_json(json_t *o)
{
	char *text = json_dumps(o, JSON_ENCODE_ANY);
	enum ef_reason r = parse_text(text, strlen(text));

	free(text);
	json_decref(o);
	return r;
}

/* "components/0/image/size": where; NULL value: removed. */
static json_t *with(const char *path, json_t *value)
{
	json_t *root = sample(), *o = root;
	char part[64];

	for (;;) {
		size_t n = strcspn(path, "/");
		memcpy(part, path, n);
		part[n] = 0;
		if (!path[n])
			break;
		o = json_is_array(o) ? json_array_get(o, (size_t)atoi(part))
				     : json_object_get(o, part);
		path += n + 1;
	}
	if (json_is_array(o) && value)
		json_array_set_new(o, (size_t)atoi(part), value);
	else if (value)
		json_object_set_new(o, part, value);
	else
		json_object_del(o, part);
	return root;
}

static void refused(const char *path, json_t *value)
{
	ck_assert_msg(parse_json(with(path, value)) == EF_REASON_BAD_FORMAT, "%s", path);
}

static void accepted(const char *path, json_t *value)
{
	ck_assert_msg(parse_json(with(path, value)) == EF_REASON_OK, "%s", path);
}

START_TEST(all_fields)
{
	struct manifest *m;
	struct error e = {0};

	ck_assert_int_eq(manifest_parse(good, sizeof(good) - 1, &m, &e), EF_REASON_OK);
	ck_assert_str_eq(m->product, "demo");
	ck_assert_str_eq(m->version, "2.0.0");
	ck_assert_uint_eq(m->parsed_version.major, 2);
	ck_assert_uint_eq(m->sequence, 2);
	ck_assert_int_eq(m->kind, KIND_SECURITY);
	ck_assert_str_eq(m->notes, "n");
	ck_assert_uint_eq(m->n_components, 2);
	ck_assert_uint_eq(m->order[0], 1);
	ck_assert_uint_eq(m->order[1], 0);
	const struct component *c = manifest_component(m, "meter");
	ck_assert_ptr_eq(c, &m->components[1]);
	ck_assert_int_eq(c->type, COMPONENT_MCU);
	ck_assert_str_eq(c->compatible, "edgeferry.github.io,mps2-an385");
	ck_assert_uint_eq(c->hardware_max, 3);
	ck_assert_uint_eq(c->version.build, 5);
	ck_assert_uint_eq(c->security, 7);
	ck_assert_int_eq(c->policy, POLICY_OPTIONAL);
	ck_assert_uint_eq(c->image.size, 21143);
	ck_assert_uint_eq(c->image.sha256[0], 0xdd);
	ck_assert_uint_eq(c->n_requires, 1);
	ck_assert_str_eq(c->requires[0].name, "rootfs");
	ck_assert_uint_eq(c->requires[0].min.major, 1);
	ck_assert_uint_eq(c->self_test_s, 20);
	ck_assert_uint_eq(c->confirm_s, 120);
	ck_assert(c->protocol_min == 1 && c->protocol_max == 1);
	c = manifest_component(m, "rootfs");
	ck_assert_uint_eq(c->index.sha256[0], 0xbb);
	ck_assert_uint_eq(c->pack.sha256[0], 0xcc);
	ck_assert_ptr_null(manifest_component(m, "other"));
	manifest_free(m);
	accepted("notes", NULL);
}
END_TEST

START_TEST(protocol_range_I3)
{
	accepted("components/0/protocol", json_pack("{s:i, s:i}", "min", 1, "max", 3));
	accepted("components/1/protocol", json_pack("{s:i, s:i}", "min", 2, "max", 2));
	refused("components/1/protocol", json_pack("{s:i, s:i}", "min", 0, "max", 2));
	refused("components/1/protocol", json_pack("{s:i, s:i}", "min", 3, "max", 2));
	refused("components/1/protocol", json_pack("{s:i}", "min", 1));
	refused("components/1/protocol", json_pack("{s:i,s:i,s:i}", "min", 1, "max", 1, "x", 1));
	refused("components/1/protocol", json_integer(1));
	refused("components/1/protocol", json_null());
}
END_TEST

START_TEST(policies)
{
	accepted("components/1/policy", json_string("deferred"));
	accepted("components/1/budget", json_integer(3));
	accepted("components/1/soak", json_integer(7 * 24 * 3600));
	refused("components/1/soak", json_integer(7 * 24 * 3600 + 1));
	refused("components/0/soak", json_integer(1));
	refused("components/1/budget", json_integer(-1));
	refused("components/1/budget", json_string("1"));
	refused("components/0/policy", json_string("deferred")); /* a rootfs */
	refused("components/0/budget", json_integer(1));
}
END_TEST

START_TEST(closed_world) /* S-05 */
{
	refused("extra", json_true());
	refused("components/0/extra", json_true());
	refused("components/1/index", json_object()); /* mcu has none */
	refused("components/0/hardware/extra", json_integer(1));
	refused("components/0/image/extra", json_integer(1));
	refused("components/0/pack/url", json_string("http://x"));
	refused("components/1/requires/0/max", json_string("9.0.0"));
	refused("schema", json_integer(2));
	refused("schema", json_string("1"));
	refused("kind", json_string("other"));
	refused("components/0/type", json_string("files"));
	refused("components/0/policy", json_string("maybe"));
	refused("components/1/name", json_string("rootfs"));
	refused("order/0", json_string("rootfs"));
	refused("order/0", json_string("lamp"));
	refused("order/0", json_integer(0));
	refused("order", json_array());
	refused("order", NULL);
	refused("components", json_array());
	refused("components/0", json_array());
	refused("components/1/requires/0/component", json_string("meter"));
}
END_TEST

START_TEST(nothing_may_lack)
{
	static const char *const top[] = {
		"schema", "product", "version", "sequence", "kind", "components", "order"};
	static const char *const member[] = {"name", "type", "compatible", "hardware", "version",
		"security", "policy", "image", "index", "pack", "requires", "self_test", "confirm",
		"hardware/min", "hardware/max", "image/size", "image/sha256", "index/size",
		"pack/sha256"};
	char path[64];

	for (size_t i = 0; i < sizeof(top) / sizeof(top[0]); i++) {
		refused(top[i], NULL);
		refused(top[i], json_null());
		refused(top[i], json_real(1.0));
	}
	for (size_t i = 0; i < sizeof(member) / sizeof(member[0]); i++) {
		snprintf(path, sizeof(path), "components/0/%s", member[i]);
		refused(path, NULL);
		refused(path, json_null());
		refused(path, json_real(1.0));
	}
}
END_TEST

START_TEST(digests) /* S-06 */
{
	static const char *const wrong[] = {
		"", "aa", HEX("AAAA"), A " ", " " A, A "\n", A "aa", "0x" A, HEX("aaag")};
	static const char *const where[] = {"components/0/image/sha256",
		"components/0/index/sha256", "components/0/pack/sha256",
		"components/1/image/sha256"};
	char shorter[65] = A;

	shorter[63] = 0;
	for (size_t k = 0; k < 4; k++) {
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
			refused(where[k], json_string(wrong[i]));
		refused(where[k], json_string(shorter));
		refused(where[k], json_integer(0));
		refused(where[k], NULL);
	}
}
END_TEST

START_TEST(sizes) /* S-07 */
{
	accepted("components/0/image/size", json_integer((1LL << 31) + 1));
	accepted("components/0/image/size", json_integer((1LL << 32) + 1));
	accepted("components/0/image/size", json_integer(1LL << 62));
	accepted("components/1/image/size", json_integer(UINT32_MAX));
	refused("components/1/image/size", json_integer(1LL << 32));
	refused("components/0/image/size", json_integer(0));
	refused("components/0/image/size", json_integer(-1));
	refused("components/0/image/size", json_integer(INT64_MIN));
	refused("components/0/index/size", json_integer(96 + 40LL * 4194304 + 1));
	/* the sum would wrap, or pass 2^63 */
	refused("components/0/image/size", json_integer(INT64_MAX));
	refused("components/0/pack/size", json_integer(INT64_MAX));
	refused("components/0/security", json_integer(1LL << 32));
	refused("components/0/hardware/max", json_integer(1LL << 32));
	refused("components/0/hardware/max", json_integer(0));
	refused("components/0/self_test", json_integer(0));
	refused("components/0/confirm", json_integer(7 * 24 * 3600 + 1));
	refused("sequence", json_integer(-1));
	accepted("sequence", json_integer(INT64_MAX));
}
END_TEST

START_TEST(large_numbers_as_text) /* S-07: what jansson must not round */
{
	static const char *const wrong[] = {"9223372036854775808", "18446744073709551616",
		"18446744073709551617", "2e0", "2.0", "-0x1", "\"2\"", "1e400"};
	char text[sizeof(good) + 64];
	const char *at = strstr(good, "\"sequence\":2");

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int n = snprintf(text, sizeof(text), "%.*s\"sequence\":%s%s", (int)(at - good),
			good, wrong[i], at + strlen("\"sequence\":2"));
		ck_assert_msg(parse_text(text, (size_t)n) == EF_REASON_BAD_FORMAT, "%s", wrong[i]);
	}
}
END_TEST

START_TEST(names) /* S-25 */
{
	static const char *const wrong[] = {"", "A", "a b", "a/b", "..", "../x", "a\n", "a%", "a;b",
		"a_b", "\xc3\xa4", "abcdefghijklmnopqrstuvwxyz0123456"};
	static const char *const compatible[] = {
		"", ",", "a,", ",b", "ab", "A,b", "a,b,c", "a,b/c", "a, b", "a\n,b"};
	static const char *const versions[] = {"", "1", "1.2", "1.2.3.4", "1.2.3+", "1.2.3+0",
		"01.2.3", "256.0.0", "1.2.65536", "1.2.3 ", "-1.2.3", "1.2.3-rc1", "v1.2.3"};
	char *huge = malloc(65537);

	memset(huge, 'a', 65536);
	huge[65536] = 0;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		refused("product", json_string(wrong[i]));
		refused("components/0/name", json_string(wrong[i]));
		refused("components/1/requires/0/component", json_string(wrong[i]));
	}
	for (size_t i = 0; i < sizeof(compatible) / sizeof(compatible[0]); i++)
		refused("components/0/compatible", json_string(compatible[i]));
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		refused("version", json_string(versions[i]));
		refused("components/0/version", json_string(versions[i]));
		refused("components/1/requires/0/min", json_string(versions[i]));
	}
	refused("product", json_string(huge));
	refused("components/0/name", json_string(huge));
	memcpy(huge, "a,", 2);
	refused("components/0/compatible", json_string(huge));
	huge[96] = 0;
	refused("components/0/compatible", json_string(huge));
	huge[95] = 0;
	accepted("components/0/compatible", json_string(huge));
	free(huge);
}
END_TEST

START_TEST(text_level)
{
	static const char *const wrong[] = {
		"", " ", "{", "[]", "1", "null", "{}", "{\"schema\":1,\"schema\":1}"};
	char text[sizeof(good) + 8];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_int_eq(parse_text(wrong[i], strlen(wrong[i])), EF_REASON_BAD_FORMAT);
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		ck_assert_int_eq(parse_text(good, n), EF_REASON_BAD_FORMAT);
	snprintf(text, sizeof(text), "%s{}", good);
	ck_assert_int_eq(parse_text(text, strlen(text)), EF_REASON_BAD_FORMAT);
	/* a NUL inside a name is not the end of it */
	snprintf(text, sizeof(text), "%s", good);
	memcpy(strstr(text, "demo"), "d\\u0", 4);
	ck_assert_int_eq(parse_text(text, strlen(text)), EF_REASON_BAD_FORMAT);
	char *huge = malloc((1 << 20) + 1);
	memset(huge, ' ', (1 << 20) + 1);
	memcpy(huge, good, sizeof(good) - 1);
	ck_assert_int_eq(parse_text(huge, 1 << 20), EF_REASON_OK);
	ck_assert_int_eq(parse_text(huge, (1 << 20) + 1), EF_REASON_BAD_SIZE);
	free(huge);
}
END_TEST

START_TEST(many)
{
	json_t *o = sample(), *list = json_object_get(o, "components");
	json_t *order = json_object_get(o, "order");
	char name[8];

	for (int i = 2; i < 64; i++) {
		json_t *c = json_deep_copy(json_array_get(list, 1));
		snprintf(name, sizeof(name), "n%d", i);
		json_object_set_new(c, "name", json_string(name));
		json_array_append_new(list, c);
		json_array_append_new(order, json_string(name));
	}
	json_t *more = json_deep_copy(o);
	ck_assert_int_eq(parse_json(o), EF_REASON_OK);
	json_t *c = json_deep_copy(json_array_get(json_object_get(more, "components"), 1));
	json_object_set_new(c, "name", json_string("last"));
	json_array_append_new(json_object_get(more, "components"), c);
	json_array_append_new(json_object_get(more, "order"), json_string("last"));
	ck_assert_int_eq(parse_json(more), EF_REASON_BAD_FORMAT);
	o = sample();
	list = json_object_get(json_array_get(json_object_get(o, "components"), 0), "requires");
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "r%d", i);
		json_array_append_new(
			list, json_pack("{s:s,s:s}", "component", name, "min", "1.0.0"));
	}
	ck_assert_int_eq(parse_json(o), EF_REASON_BAD_FORMAT);
}
END_TEST

static json_t *tree(json_int_t offset)
{
	return json_pack("{s:I, s:s}", "offset", offset, "root", B);
}

static json_t *partition(json_int_t size)
{
	return json_pack("{s:{s:s, s:I}, s:{s:s, s:i}, s:{s:s, s:i}}", "image", "sha256", C, "size",
		size, "index", "sha256", D, "size", 200, "pack", "sha256", A, "size", 300);
}

START_TEST(boot_partition)
{
	const struct object *o[COMPONENT_OBJECTS_MAX];
	struct payload p[PAYLOADS_MAX];
	struct error e = {0};
	struct manifest *m;
	uint8_t hash[32];
	json_t *json = with("components/0/boot", partition(4096));
	char *text = json_dumps(json, 0);

	ck_assert_msg(manifest_parse(text, strlen(text), &m, &e) == EF_REASON_OK, "%s", e.detail);
	const struct component *root = &m->components[0], *mcu = &m->components[1];
	ck_assert_uint_eq(root->boot.image.size, 4096);
	ck_assert_uint_eq(mcu->boot.image.size, 0);
	/* its boot partition first, its own image last */
	ck_assert_uint_eq(component_payloads(root, p), 2);
	ck_assert_uint_eq(p[0].pack.size, 300);
	ck_assert_uint_eq(p[1].image.size, 268435456);
	ck_assert_uint_eq(component_payloads(mcu, p), 0);
	ck_assert_uint_eq(component_objects(root, o), 4);
	ck_assert_ptr_eq(o[0], &root->boot.index);
	ck_assert_ptr_eq(o[3], &root->pack);
	ck_assert_uint_eq(component_objects(mcu, o), 1);
	ck_assert_ptr_eq(component_held(root, 0), &root->index);
	ck_assert_ptr_eq(component_held(root, 1), &root->boot.index);
	ck_assert_ptr_null(component_held(root, 2));
	ck_assert_ptr_eq(component_held(mcu, 0), &mcu->image);
	ck_assert_ptr_null(component_held(mcu, 1));
	component_hash(root, hash);
	ck_assert_uint_eq(hash[5], 0xaa ^ 0xcc);
	component_hash(mcu, hash);
	ck_assert_uint_eq(hash[5], 0xdd);
	manifest_free(m);
	free(text);
	json_decref(json);
	refused("components/0/boot", json_null());
	refused("components/0/boot", partition(0));
	refused("components/0/boot", partition(INT64_MAX)); /* S-07: all together */
	refused("components/0/boot", json_pack("{s:{s:s, s:i}}", "image", "sha256", C, "size", 1));
	json = partition(4096);
	json_object_set_new(json, "verity", tree(4096));
	refused("components/0/boot", json);	       /* S-05 */
	refused("components/1/boot", partition(4096)); /* mcu has none */
}
END_TEST

START_TEST(verity)
{
	struct manifest *m;
	struct error e = {0};
	json_t *o = with("components/0/verity", tree(65536));
	char *text = json_dumps(o, 0);

	ck_assert_msg(manifest_parse(text, strlen(text), &m, &e) == EF_REASON_OK, "%s", e.detail);
	ck_assert_uint_eq(m->components[0].verity.offset, 65536);
	ck_assert_uint_eq(m->components[0].verity.root[31], 0xbb);
	ck_assert_uint_eq(m->components[1].verity.offset, 0);
	manifest_free(m);
	free(text);
	json_decref(o);
	refused("components/0/verity", tree(0));
	refused("components/0/verity", tree(65537));
	refused("components/0/verity", tree(-4096));
	refused("components/0/verity", tree(1LL << 40)); /* beyond the image */
	refused("components/0/verity", json_null());
	refused("components/0/verity", json_pack("{s:i}", "offset", 65536));
	refused("components/0/verity", json_pack("{s:i, s:s}", "offset", 65536, "root", "00"));
	refused("components/0/verity",
		json_pack("{s:i, s:s, s:s}", "offset", 65536, "root", B, "salt", ""));
	refused("components/1/verity", tree(4096)); /* mcu has none */
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bundle/manifest");
	TCase *t = tcase_create("manifest");

	tcase_add_test(t, all_fields);
	tcase_add_test(t, protocol_range_I3);
	tcase_add_test(t, policies);
	tcase_add_test(t, closed_world);
	tcase_add_test(t, nothing_may_lack);
	tcase_add_test(t, digests);
	tcase_add_test(t, sizes);
	tcase_add_test(t, large_numbers_as_text);
	tcase_add_test(t, names);
	tcase_add_test(t, text_level);
	tcase_add_test(t, many);
	tcase_add_test(t, verity);
	tcase_add_test(t, boot_partition);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
