/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S-04. The trust table, line by line: what an attacker may at worst who holds the network, the
 * online keys, some release keys or enough of them, and what he must never. The repository is
 * shaped like a publisher's: targets delegates releases/ to the holders of release keys, two out of
 * three, and rollouts/ to an online key. "Never" is looked for in what the client holds afterwards,
 * and the publisher's next release must work all the same.
 */
#include "fixture.h"

enum { TIMESTAMP = 1, SNAPSHOT = 2, RELEASES = 5 /* to 7 */, ROLLOUTS = 8, EVIL = 9, EVIL2 = 10 };

#define RELEASE "releases/demo/1.json"
#define STATEMENT "rollouts/demo.json"

static json_t *releases_role; /* the delegation */

/* A new version of a role, and of all above it that an online key signs. */
static void publish(const char *role)
{
	repo_set_version(repo, role, repo_version(repo, role) + 1);
	repo_update(repo);
}

static void release(const char *content)
{
	repo_target(repo, "releases", RELEASE, content);
	publish("releases");
}

static void publisher(void)
{
	json_t *keys;
	char id[65];

	releases_role = repo_delegate(repo, "targets", "releases", RELEASES, PATHS("releases/*/*"));
	keys = json_object_get(json_object_get(repo_body(repo, "targets"), "delegations"), "keys");
	for (int i = 1; i < 3; i++) {
		json_array_append_new(json_object_get(releases_role, "keyids"),
			json_string(repo_key_id(repo, RELEASES + i, id)));
		json_object_set_new(keys, id, tuf_key_to_json(repo_key(repo, RELEASES + i)));
	}
	json_object_set_new(releases_role, "threshold", json_integer(2));
	repo_signers(repo, "releases", LIST(RELEASES, RELEASES + 1));
	repo_delegate(repo, "targets", "rollouts", ROLLOUTS, PATHS("rollouts/*"));
	repo_target(repo, "rollouts", STATEMENT, "10 %");
	repo_target(repo, "releases", RELEASE, "good code");
	publish("targets");
	release("better code");
}

/* What the client takes for the release: OK and its length, or why it takes none. */
static enum ef_reason look(uint64_t *length)
{
	struct tuf_target target;

	*length = 0;
	if (refresh() == EF_REASON_OK && find(RELEASE, &target) == EF_REASON_OK)
		*length = target.length;
	return last.reason;
}

static void takes(const char *content)
{
	uint64_t length;

	ck_assert_reason(look(&length), OK);
	ck_assert_uint_eq(length, strlen(content));
}

/* Whatever it says, it is none of the attacker's, and nothing older than what was seen. */
static enum ef_reason takes_nothing_of(const char *evil)
{
	uint64_t length, floor = stored_version("releases");

	enum ef_reason got = look(&length);
	ck_assert_uint_ne(length, strlen(evil));
	ck_assert_uint_ge(stored_version("releases"), floor);
	return got;
}

static void next_release_works(void)
{
	repo_signers(repo, "releases", LIST(RELEASES + 1, RELEASES + 2));
	release("the best code of all");
	takes("the best code of all");
}

/* --- network or web server: no key at all --- */

static const char *const names[] = {"root", "timestamp", "snapshot", "targets", "releases"};
enum manipulation { WITHHELD, OLD, FORGED, BENT, CUT, EMPTY, SWAPPED, MANIPULATIONS };
#define FILES 5

/* As good as can be, by other keys. */
static void forge(const char *role, const char *name)
{
	struct repo *evil = repo_new();

	if (strcmp(role, "releases") == 0)
		repo_delegate(evil, "targets", role, EVIL, PATHS("*"));
	repo_set_version(evil, role, repo_version(repo, role));
	_cleanup_json_ json_t *forged = repo_envelope(evil, role);
	repo_put_json(repo, name, forged);
	repo_free(evil);
}

static void manipulate(enum manipulation how, const char *role, const char *name)
{
	const struct repo_file *f = repo_get(repo, name);
	char old[64];

	switch (how) {
	case WITHHELD:
		repo_remove(repo, name);
		break;
	case OLD:
		snprintf(old, sizeof(old), "1.%s.json",
			strcmp(role, "timestamp") == 0 ? "snapshot" : role);
		f = repo_get(repo, old);
		repo_put(repo, name, f->data, f->size);
		break;
	case FORGED:
		forge(role, name);
		break;
	case BENT:
		*(char *)memmem(f->data, f->size, "2030", 4) = '9';
		break;
	case CUT:
		repo_put(repo, name, f->data, f->size / 2);
		break;
	case EMPTY:
		repo_put(repo, name, "", 0);
		break;
	default: /* another document of this very publication in its place */
		f = repo_get(
			repo, strcmp(role, "timestamp") == 0 ? "snapshot.json" : "timestamp.json");
		repo_put(repo, name, f->data, f->size);
	}
}

START_TEST(holds_the_network)
{
	enum manipulation how = _i / FILES;
	const char *role = names[_i % FILES];
	char name[64];

	takes("better code");
	repo_bump(repo, "root");
	publish("targets");
	release("new and long code");
	snprintf(name, sizeof(name), "%llu.%s.json", (unsigned long long)repo_version(repo, role),
		role);
	if (strcmp(role, "timestamp") == 0)
		strcpy(name, "timestamp.json");
	const struct repo_file *f = repo_get(repo, name);
	size_t size = f->size;
	_cleanup_free_ uint8_t *good = malloc(size);
	memcpy(good, f->data, size);
	manipulate(how, role, name);
	enum ef_reason got = takes_nothing_of("evil");
	/* Without the newest root the one before goes on. */
	ck_assert_int_eq(
		got == EF_REASON_OK, strcmp(role, "root") == 0 && (how == WITHHELD || how == OLD));
	repo_put(repo, name, good, size);
	takes("new and long code");
	next_release_works();
}
END_TEST

/* All of an earlier day, which was good then: it ends with that day. */
START_TEST(replays_the_network)
{
	takes("better code");
	ck_assert_reason(refresh_at(1893456000), EXPIRED); /* LATER */
	struct tuf_target target;
	ck_assert_reason(find(RELEASE, &target), USAGE);
	next_release_works();
}
END_TEST

/* --- timestamp and snapshot keys, and that of rollouts: online --- */

/* Lists of his own: older versions, no releases at all, roles of his. */
START_TEST(holds_timestamp_and_snapshot)
{
	json_t *meta = json_object_get(repo_body(repo, "snapshot"), "meta");

	takes("better code");
	release("newest code");
	takes("newest code");
	switch (_i) {
	case 0: /* back to an older release */
		repo_set_version(repo, "releases", repo_version(repo, "releases") - 1);
		repo_update(repo);
		ck_assert_int_eq(takes_nothing_of("better code"), EF_REASON_METADATA_ROLLBACK);
		repo_set_version(repo, "releases", repo_version(repo, "releases") + 1);
		break;
	case 1: /* the release is on no list any more */
		json_object_del(meta, "releases.json");
		repo_bump(repo, "snapshot");
		json_object_set_new(json_object_get(repo_body(repo, "timestamp"), "meta"),
			"snapshot.json",
			json_pack("{s:I}", "version", (json_int_t)repo_version(repo, "snapshot")));
		repo_bump(repo, "timestamp");
		ck_assert_int_eq(takes_nothing_of("evil"), EF_REASON_METADATA_ROLLBACK);
		break;
	case 2: /* a release that these keys sign */
		repo_signers(repo, "releases", LIST(TIMESTAMP, SNAPSHOT));
		release("evil");
		ck_assert_int_eq(takes_nothing_of("evil"), EF_REASON_BAD_SIGNATURE);
		break;
	case 3: /* targets that these keys sign, with keys of his */
		json_object_set_new(releases_role, "threshold", json_integer(1));
		repo_signers(repo, "targets", LIST(TIMESTAMP, SNAPSHOT));
		repo_signers(repo, "releases", LIST(RELEASES));
		publish("targets");
		ck_assert_int_eq(takes_nothing_of("evil"), EF_REASON_BAD_SIGNATURE);
		json_object_set_new(releases_role, "threshold", json_integer(2));
		repo_signers(repo, "targets", LIST(3));
		publish("targets");
		break;
	}
	next_release_works();
}
END_TEST

static void claim_release_keys(void)
{
	_cleanup_json_ json_t *e = repo_envelope(repo, "releases");
	char name[64], id[65];

	for (int i = 0; i < 3; i++)
		json_array_append_new(json_object_get(e, "signatures"),
			json_pack("{s:s, s:s}", "keyid", repo_key_id(repo, RELEASES + i, id), "sig",
				"00"));
	snprintf(name, sizeof(name), "%llu.releases.json",
		(unsigned long long)repo_version(repo, "releases"));
	repo_put_json(repo, name, e);
}

/* He may say what he likes of rollouts/, and nothing of releases/. */
START_TEST(holds_the_rollout_key)
{
	struct tuf_target target;
	uint64_t length;

	takes("better code");
	switch (_i) {
	case 0: /* a statement of his: that he may */
		repo_target(repo, "rollouts", STATEMENT, "everybody, now");
		publish("rollouts");
		takes("better code");
		ck_assert_reason(find(STATEMENT, &target), OK);
		ck_assert_uint_eq(target.length, strlen("everybody, now"));
		break;
	case 1: /* a release among his statements */
		repo_target(repo, "rollouts", RELEASE, "evil");
		repo_target(repo, "rollouts", "releases/demo/666.json", "evil");
		publish("rollouts");
		takes("better code");
		ck_assert_reason(find("releases/demo/666.json", &target), NOT_SIGNED_FOR);
		break;
	case 2: /* the releases, signed by him */
		repo_signers(repo, "releases", LIST(ROLLOUTS));
		release("evil");
		ck_assert_int_eq(takes_nothing_of("evil"), EF_REASON_BAD_SIGNATURE);
		break;
	case 3: /* somebody whom he trusts with releases */
		repo_delegate(repo, "rollouts", "more-releases", EVIL, PATHS("releases/*/*", "*"));
		repo_target(repo, "more-releases", RELEASE, "evil");
		publish("rollouts");
		takes("better code");
		break;
	case 5: /* the same, and it says that the release keys have signed it as well */
	case 4: /* the role "releases" once more, with a key of his, signed by him as well */
		repo_delegate(repo, "rollouts", "releases", EVIL, PATHS("rollouts/*", "*/*/*"));
		repo_signers(repo, "releases", LIST(EVIL));
		repo_target(repo, "releases", "rollouts/evil", "evil");
		publish("rollouts");
		release("evil");
		if (_i == 5)
			claim_release_keys();
		ck_assert_reason(refresh(), OK);
		/* below rollouts/ he may delegate; for releases/ it is the same file and no good,
		 * and what is held by the name of releases is not his */
		length = stored_version("releases");
		ck_assert_reason(find("rollouts/evil", &target), OK);
		ck_assert_uint_eq(stored_version("releases"), length);
		ck_assert_int_eq(takes_nothing_of("evil"), EF_REASON_BAD_SIGNATURE);
		json_object_del(repo_body(repo, "rollouts"), "delegations");
		publish("rollouts");
		break;
	}
	ck_assert_int_ne(look(&length), EF_REASON_STATE_UNREADABLE);
	next_release_works();
}
END_TEST

static unsigned copies;

static int no_copy(void *ctx, const char *name, const void *data, size_t size)
{
	copies++;
	return 0;
}

/* He brings up new roles for ever: a store that will not have them does not grow (I-7). */
START_TEST(fills_no_disk)
{
	struct tuf_store s = memory_store(&store);
	struct tuf_target target;
	size_t before;
	char name[32];

	s.save_copy = no_copy;
	tuf_close(tuf);
	ck_assert_int_eq(tuf_open(&s, &tuf, &last), EF_REASON_OK);
	takes("better code");
	ck_assert_reason(find(STATEMENT, &target), OK);
	before = store.n;
	json_object_clear(json_object_get(repo_body(repo, "rollouts"), "targets"));
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "junk%d", i);
		repo_delegate(repo, "rollouts", name, EVIL, PATHS("*/*"));
		publish("rollouts");
		ck_assert_reason(refresh(), OK);
		ck_assert_reason(find(STATEMENT, &target), NOT_SIGNED_FOR);
	}
	ck_assert_uint_ge(copies, 20);
	ck_assert_uint_eq(store.n, before);
	next_release_works();
}
END_TEST

/* --- release keys --- */

/* Fewer than the threshold, with every online key beside them. */
START_TEST(holds_too_few_release_keys)
{
	takes("better code");
	switch (_i) {
	case 0:
		repo_signers(repo, "releases", LIST(RELEASES));
		break;
	case 1:
		repo_signers(repo, "releases",
			LIST(RELEASES, TIMESTAMP, SNAPSHOT, ROLLOUTS, EVIL, EVIL2));
		break;
	}
	release("evil");
	if (_i == 2) { /* one signature under two of the ids */
		char name[64], id[65];
		repo_signers(repo, "releases", LIST(RELEASES));
		_cleanup_json_ json_t *e = repo_envelope(repo, "releases");
		json_t *again =
			key_signature(repo_key(repo, RELEASES), repo_body(repo, "releases"));
		json_object_set_new(
			again, "keyid", json_string(repo_key_id(repo, RELEASES + 1, id)));
		json_array_append_new(json_object_get(e, "signatures"), again);
		snprintf(name, sizeof(name), "%llu.releases.json",
			(unsigned long long)repo_version(repo, "releases"));
		repo_put_json(repo, name, e);
	}
	ck_assert_int_eq(takes_nothing_of("evil"), EF_REASON_BAD_SIGNATURE);
	next_release_works();
}
END_TEST

/* Enough of them: his code, and of releases/ only, until they are revoked; then not even that. */
START_TEST(holds_enough_release_keys)
{
	struct tuf_target target;
	json_t *keys =
		json_object_get(json_object_get(repo_body(repo, "targets"), "delegations"), "keys");
	char id[65];

	takes("better code");
	repo_signers(repo, "releases", LIST(RELEASES, RELEASES + 2));
	repo_target(repo, "releases", STATEMENT, "evil");
	repo_target(repo, "releases", "other/path", "evil");
	release("evil");
	takes("evil");
	ck_assert_reason(find(STATEMENT, &target), OK);
	ck_assert_uint_eq(target.length, strlen("10 %"));
	ck_assert_reason(find("other/path", &target), NOT_SIGNED_FOR);
	/* Targets names other keys. What he signed is nothing, whatever its version. */
	json_array_clear(json_object_get(releases_role, "keyids"));
	for (int i = 20; i < 22; i++) {
		json_array_append_new(json_object_get(releases_role, "keyids"),
			json_string(repo_key_id(repo, i, id)));
		json_object_set_new(keys, id, tuf_key_to_json(repo_key(repo, i)));
	}
	publish("targets");
	uint64_t length;
	ck_assert_reason(look(&length), BAD_SIGNATURE);
	release("evil once more");
	ck_assert_reason(look(&length), BAD_SIGNATURE);
	ck_assert_uint_eq(stored_version("releases"), 0);
	repo_signers(repo, "releases", LIST(20, 21));
	release("the publisher's code");
	takes("the publisher's code");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-attackers");
	TCase *t = fixture_case("attackers");

	tcase_add_checked_fixture(t, publisher, NULL);
	tcase_add_loop_test(t, holds_the_network, 0, FILES * MANIPULATIONS);
	tcase_add_test(t, replays_the_network);
	tcase_add_loop_test(t, holds_timestamp_and_snapshot, 0, 4);
	tcase_add_loop_test(t, holds_the_rollout_key, 0, 6);
	tcase_add_test(t, fills_no_disk);
	tcase_add_loop_test(t, holds_too_few_release_keys, 0, 3);
	tcase_add_test(t, holds_enough_release_keys);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
