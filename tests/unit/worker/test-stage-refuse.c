/* SPDX-License-Identifier: Apache-2.0 */
/* Staging that is refused or fails: the reason is named, and nothing but image is ever written (the
 * watched worker aborts at the first other byte: S-08, S-09). */
#include "../unit.h"
#include "rig.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#define SIZE ((size_t)2 * 1024 * 1024 + 777)
#define CHUNK 65536u

static struct rig rig;
static uint8_t *before;

static void setup(void)
{
	rig_open(&rig, rig_noise(SIZE, 2), SIZE, CHUNK);
	before = malloc(SIZE);
	memset(before, 0xc3, SIZE);
	rig_file(rig.target, before, SIZE, SIZE);
}

static void teardown(void)
{
	free(before);
	rig_close(&rig);
}

static void expect(enum ef_reason reason)
{
	bool done = rig_run(&rig);

	ck_assert_msg(done, "no outcome, status %x", rig.status);
	ck_assert_msg(rig.reason == reason, "%s instead of %s: %s", reason_word(rig.reason),
		reason_word(reason), rig.detail);
	ck_assert_int_eq(rig.status, 0);
}

static void expect_untouched(enum ef_reason reason)
{
	struct stat was, is;

	ck_assert_int_eq(stat(rig.target, &was), 0);
	expect(reason);
	ck_assert_int_eq(stat(rig.target, &is), 0);
	ck_assert(is.st_mtim.tv_sec == was.st_mtim.tv_sec &&
		  is.st_mtim.tv_nsec == was.st_mtim.tv_nsec);
	ck_assert(rig_target_is(&rig, before, SIZE, 0));
}

START_TEST(test_index_of_other_digest)
{
	rig.index[100] ^= 1;
	expect_untouched(EF_REASON_BAD_DIGEST);
}
END_TEST

START_TEST(test_index_of_other_size)
{
	rig.job.index_size--;
	expect_untouched(EF_REASON_BAD_SIZE);
	rig.job.index_size += 2;
	expect_untouched(EF_REASON_BAD_SIZE);
	rig.job.index_size = UINT64_MAX;
	expect_untouched(EF_REASON_BAD_SIZE);
}
END_TEST

/* A signed index that is nonsense all the same. */
START_TEST(test_index_malformed)
{
	rig.index[0] ^= 1;
	ck_assert_int_eq(EVP_Digest(rig.index, rig.index_size, rig.job.index_sha256, NULL,
				 EVP_sha256(), NULL),
		1);
	expect_untouched(EF_REASON_BAD_FORMAT);
}
END_TEST

START_TEST(test_index_of_other_image)
{
	rig.job.image_sha256[31] ^= 1;
	expect_untouched(EF_REASON_BAD_DIGEST);
	rig.job.image_sha256[31] ^= 1;
	rig.job.image_size++;
	expect_untouched(EF_REASON_BAD_SIZE);
}
END_TEST

START_TEST(test_target_too_small)
{
	ck_assert_int_eq(truncate(rig.target, SIZE - 1), 0);
	struct stat st;
	expect(EF_REASON_TOO_LARGE);
	ck_assert_int_eq(stat(rig.target, &st), 0);
	ck_assert_int_eq(st.st_size, SIZE - 1);
	ck_assert(rig_target_is(&rig, before, SIZE - 1, 0));
}
END_TEST

START_TEST(test_running_slot_by_any_name)
{
	char other[128];

	snprintf(other, sizeof(other), "%s/other", rig.dir);
	rig.named_running = rig.target;
	expect_untouched(EF_REASON_SLOT_RUNNING);
	ck_assert_int_eq(link(rig.target, other), 0);
	rig.named_running = other;
	expect_untouched(EF_REASON_SLOT_RUNNING);
	ck_assert_int_eq(unlink(other), 0);
	ck_assert_int_eq(symlink(rig.target, other), 0);
	expect_untouched(EF_REASON_SLOT_RUNNING);
	rig.named_running = rig.target;
	rig.named_target = other;
	expect_untouched(EF_REASON_SLOT_RUNNING);
	ck_assert_int_eq(unlink(other), 0);
}
END_TEST

/* Fail closed: a running slot that cannot be looked at may be the target. */
START_TEST(test_running_slot_unknown)
{
	rig.named_running = "/nonexistent/slot";
	expect_untouched(EF_REASON_CONFIG);
	rig.named_running = "";
	expect_untouched(EF_REASON_USAGE);
}
END_TEST

START_TEST(test_target_is_no_slot)
{
	char fifo[128];

	rig.named_target = "/nonexistent/slot";
	expect(EF_REASON_NOT_FOUND);
	rig.named_target = "/dev/null";
	expect(EF_REASON_CONFIG);
	rig.named_target = rig.dir;
	expect(EF_REASON_CONFIG);
	snprintf(fifo, sizeof(fifo), "%s/fifo", rig.dir);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	rig.named_target = fifo;
	expect(EF_REASON_CONFIG);
	ck_assert_int_eq(unlink(fifo), 0);
}
END_TEST

/* F-21 */
START_TEST(test_target_in_use)
{
	int fd = open(rig.target, O_RDWR);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	expect_untouched(EF_REASON_BUSY);
	close(fd);
}
END_TEST

/* The n-th chunk that is in the pack. */
static struct chunk *packed(size_t n)
{
	for (size_t i = 0; i < rig.n_chunks; i++)
		if (rig.chunks[i].pack_size && n-- == 0)
			return &rig.chunks[i];
	ck_abort();
}

/* F-07: a bit of a chunk is wrong, from either kind of source; that place keeps what it had. */
START_TEST(test_corrupt_chunk)
{
	struct chunk *c = packed((size_t)_i % 3 * 7);

	rig.whole = _i >= 3;
	rig.pack[c->pack_offset + c->pack_size / 2] ^= 0x10;
	expect(EF_REASON_BAD_DIGEST);
	ck_assert(rig_target_is(&rig, before, c->size, c->offset));
	rig.pack[c->pack_offset + c->pack_size / 2] ^= 0x10;
	expect(EF_REASON_OK);
	ck_assert(rig_target_is(&rig, rig.image, SIZE, 0));
}
END_TEST

/* The chunk at hand is exchanged for data of our choice, and the index signed over it: what the
 * publisher may get wrong. The image stays as it is. */
static void replace(struct chunk *c, const void *data, size_t size)
{
	uint8_t digest[32];

	ck_assert_uint_le(size, c->pack_size);
	memcpy(rig.pack + c->pack_offset, data, size);
	memset(rig.pack + c->pack_offset + size, 0, c->pack_size - size);
	EVP_Digest(rig.pack + c->pack_offset, c->pack_size, digest, NULL, EVP_sha256(), NULL);
	memcpy(c->pack_digest, digest, CHUNK_DIGEST_SIZE);
	rig_reindex(&rig);
}

/* S-28: a frame that says, or does not say, that it is 100 MiB. */
START_TEST(test_bomb)
{
	size_t size = 100 << 20;
	uint8_t *zeros = calloc(1, size), *out = malloc(ZSTD_compressBound(size));
	struct chunk *c = packed(2);

	ZSTD_CCtx *z = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, _i);
	size_t n = ZSTD_compress2(z, out, ZSTD_compressBound(size), zeros, size);
	ZSTD_freeCCtx(z);
	ck_assert(!ZSTD_isError(n));
	replace(c, out, n);
	free(zeros); /* before the fork: a child's peak begins with its parent's memory */
	free(out);
	expect(EF_REASON_BAD_SIZE);
	ck_assert(rig_target_is(&rig, before, c->size, c->offset));
#ifndef __SANITIZE_ADDRESS__
	ck_assert_int_lt(rig.peak_kib, 32 * 1024);
#endif
}
END_TEST

/* Frames around the right content: two, one with more behind it, an empty one, no frame at all. */
START_TEST(test_odd_frames)
{
	struct chunk *c = packed(2);
	uint8_t *out = malloc(c->pack_size);

	memset(out, 0, c->pack_size);
	switch (_i) {
	case 0:
		replace(c, out, c->pack_size);
		break;
	case 1: { /* the right size and digest said, other bytes inside */
		uint8_t *plain = calloc(1, c->size);
		size_t n = ZSTD_compress(out, c->pack_size, plain, c->size, 3);
		replace(c, out, n);
		free(plain);
		break;
	}
	case 2:
		replace(c, out, ZSTD_compress(out, c->pack_size, "", 0, 3));
		break;
	}
	free(out);
	expect(EF_REASON_BAD_SIZE);
	ck_assert(rig_target_is(&rig, before, c->size, c->offset));
}
END_TEST

/* One right frame of other bytes, both digests of the compressed form right: the last check holds.
 */
START_TEST(test_other_content)
{
	struct chunk *c = packed(2);
	uint8_t *plain = malloc(c->size), *out = malloc(ZSTD_compressBound(c->size));
	uint8_t digest[32];

	memcpy(plain, rig.image + c->offset, c->size);
	plain[17] ^= 1;
	size_t n = ZSTD_compress(out, ZSTD_compressBound(c->size), plain, c->size, 3);
	ck_assert_uint_le(n, CHUNK_MAX);
	/* at the end of the pack, so that its length does not matter */
	struct chunk *last = &rig.chunks[rig.n_chunks - 1];
	ck_assert_uint_gt(last->pack_size, 0);
	plain = realloc(plain, last->size);
	memcpy(plain, rig.image + last->offset, last->size);
	plain[0] ^= 1;
	n = ZSTD_compress(out, ZSTD_compressBound(c->size), plain, last->size, 3);
	rig.chunks_size += n - last->pack_size;
	last->pack_size = (uint32_t)n;
	memcpy(rig.pack + last->pack_offset, out, n);
	EVP_Digest(out, n, digest, NULL, EVP_sha256(), NULL);
	memcpy(last->pack_digest, digest, CHUNK_DIGEST_SIZE);
	rig_reindex(&rig);
	expect(EF_REASON_BAD_DIGEST);
	ck_assert(rig_target_is(&rig, before, last->size, last->offset));
	free(plain);
	free(out);
}
END_TEST

/* All chunks right, but not the image that was signed for: found before it may boot. */
START_TEST(test_chunks_of_another_image)
{
	rig.x.image_sha256[0] ^= 1;
	rig_seal(&rig);
	expect(EF_REASON_SLOT_READ_BACK);
}
END_TEST

START_TEST(test_pack_file_too_short)
{
	rig.whole = true;
	rig.whole_cut = 10;
	expect(EF_REASON_BAD_SIZE);
}
END_TEST

/* S-10, F-06: a bit that the medium turned, in the image or behind it. */
START_TEST(test_read_back)
{
	static const char *const flips[] = {"WATCH_FLIP=0", "WATCH_FLIP=1234567",
		"WATCH_FLIP=2097928", "WATCH_FLIP=2097929", "WATCH_FLIP=2200000"};
	uint8_t junk[] = {1};

	rig_file(rig.target, junk, 1, SIZE + 200000);
	int fd = open(rig.target, O_WRONLY);
	ck_assert_int_eq(fd_pwrite_full(fd, junk, 1, SIZE + 199999), 0);
	close(fd);
	/* Behind the image a hole is not read: the block there is what is looked at. */
	if (_i < 4)
		rig.watch[0] = flips[_i];
	expect(_i < 4 ? EF_REASON_SLOT_READ_BACK : EF_REASON_OK);
}
END_TEST

/* S-10, F-06: the same in an image of several batches, most of which is read back while the rest
 * comes; and a medium on which that rest takes the place of what was read back already. */
START_TEST(test_read_back_beside)
{
	static const char *const faults[] = {NULL, "WATCH_FLIP=123456", "WATCH_FLIP=12500000",
		"WATCH_FLIP=19999999", "WATCH_WRAP=10485760"};
	const size_t size = 20000000;
	uint8_t *image = malloc(size);
	unsigned seed = 5;

	for (size_t i = 0; i < size; i++)
		image[i] = (uint8_t)(rand_r(&seed) >> 7) & 0x3f;
	rig_close(&rig);
	rig_open(&rig, image, size, 512);
	rig.watch[0] = faults[_i];
	expect(_i ? EF_REASON_SLOT_READ_BACK : EF_REASON_OK);
	ck_assert_uint_ge(rig.needs, 3); /* leaves come with the chunks of the batch before */
	ck_assert_uint_eq(rig.leaf_needs, 1);
}
END_TEST

/* F-03, F-05 */
START_TEST(test_write_errors)
{
	static const struct {
		int error;
		enum ef_reason reason;
	} errors[] = {{ENOSPC, EF_REASON_NO_SPACE}, {EDQUOT, EF_REASON_NO_SPACE},
		{EIO, EF_REASON_SLOT_WRITE}, {EROFS, EF_REASON_SLOT_WRITE}};
	char text[64];

	snprintf(text, sizeof(text), "WATCH_FAIL=%d:%d", 1 + _i / 2, errors[_i].error);
	rig.watch[0] = text;
	expect(errors[_i].reason);
	rig.watch[0] = NULL;
	expect(EF_REASON_OK);
	ck_assert(rig_target_is(&rig, rig.image, SIZE, 0));
}
END_TEST

/* The same by the kernel's own word. */
START_TEST(test_file_size_limit)
{
	struct rlimit limit = {SIZE / 2, SIZE / 2};

	rig.program = getenv("WORKER");
	rig_start(&rig);
	ck_assert_int_eq(prlimit(rig.pid, RLIMIT_FSIZE, &limit, NULL), 0);
	ck_assert(rig_serve(&rig));
	ck_assert_int_eq(rig.reason, EF_REASON_NO_SPACE);
}
END_TEST

static void shrink(struct rig *x)
{
	if (x->needs == 1)
		ck_assert_int_eq(truncate(x->target, 1000), 0);
}

static void grow(struct rig *x)
{
	if (x->needs == 1)
		ck_assert_int_eq(truncate(x->target, SIZE * 2), 0);
}

/* Somebody cuts the slot off or makes it longer under our hands. */
START_TEST(test_target_changes_size)
{
	memcpy(before, rig.image, SIZE / 2);
	rig_file(rig.target, before, SIZE, SIZE);
	rig.on_need = _i ? grow : shrink;
	rig_run(&rig);
	/* Cut off and written to its old length again: what was there is lost, read-back finds it.
	 */
	ck_assert_int_eq(rig.reason, _i ? EF_REASON_SLOT_WRITE : EF_REASON_SLOT_READ_BACK);
}
END_TEST

START_TEST(test_no_stage_message)
{
	struct job_stage saved = rig.job;

	rig.job.image_size = 0;
	expect_untouched(EF_REASON_BAD_SIZE);
	rig.job = saved;
	rig.named_target = "";
	expect_untouched(EF_REASON_USAGE);
}
END_TEST

static void term(struct rig *x)
{
	kill(x->pid, SIGTERM);
}

/* A clean end: an outcome, no signal. */
START_TEST(test_term)
{
	rig.on_need = term;
	rig.no_answer = _i;
	expect(EF_REASON_CANCELLED);
	ck_assert(WIFEXITED(rig.status));
	rig.on_need = NULL;
	rig.no_answer = false;
	expect(EF_REASON_OK);
	ck_assert(rig_target_is(&rig, rig.image, SIZE, 0));
}
END_TEST

/* The core went away: no orphan stays. */
START_TEST(test_core_gone)
{
	int status;

	rig_start(&rig);
	static struct job_message m;
	do
		ck_assert_int_eq(job_receive(rig.socket, &m), 1);
	while (m.type != JOB_NEED);
	close(rig.socket);
	ck_assert_int_eq(waitpid(rig.pid, &status, 0), rig.pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/stage-refuse");
	TCase *t = tcase_create("refuse");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, test_index_of_other_digest);
	tcase_add_test(t, test_index_of_other_size);
	tcase_add_test(t, test_index_malformed);
	tcase_add_test(t, test_index_of_other_image);
	tcase_add_test(t, test_target_too_small);
	tcase_add_test(t, test_running_slot_by_any_name);
	tcase_add_test(t, test_running_slot_unknown);
	tcase_add_test(t, test_target_is_no_slot);
	tcase_add_test(t, test_target_in_use);
	tcase_add_loop_test(t, test_corrupt_chunk, 0, 6);
	tcase_add_loop_test(t, test_bomb, 0, 2);
	tcase_add_loop_test(t, test_odd_frames, 0, 3);
	tcase_add_test(t, test_other_content);
	tcase_add_test(t, test_chunks_of_another_image);
	tcase_add_test(t, test_pack_file_too_short);
	tcase_add_loop_test(t, test_read_back, 0, 5);
	tcase_add_loop_test(t, test_read_back_beside, 0, 5);
	tcase_add_loop_test(t, test_write_errors, 0, 4);
	tcase_add_test(t, test_file_size_limit);
	tcase_add_loop_test(t, test_target_changes_size, 0, 2);
	tcase_add_test(t, test_no_stage_message);
	tcase_add_loop_test(t, test_term, 0, 2);
	tcase_add_test(t, test_core_gone);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
