/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "util/child.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zstd.h>

static void sha256(const void *data, size_t size, uint8_t *out, size_t n)
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	ck_assert_int_eq(EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL), 1);
	memcpy(out, digest, n);
}

uint8_t *rig_noise(size_t size, unsigned seed)
{
	uint8_t *p = malloc(size);
	uint64_t x = seed * 2654435761u + 1;

	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		/* Of 16 blocks of 16 KiB: 3 are zeros, 1 repeats, 12 are half compressible. */
		switch (i / 16384 % 16) {
		case 3:
		case 4:
		case 5:
			p[i] = 0;
			break;
		case 9:
			p[i] = (uint8_t)(i % 16384 / 7);
			break;
		default:
			p[i] = (uint8_t)(x >> 8) & 0x1f;
		}
	}
	return p;
}

void rig_file(const char *path, const void *data, size_t size, uint64_t file_size)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_full(fd, data, size), 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)file_size), 0);
}

/* Chunks first to end as a group, its leaf behind all that is in the pack. */
static void add_group(struct rig *r, size_t first, size_t end)
{
	struct chunk_group *g = &r->x.groups[r->x.n_groups++];
	uint8_t leaf[CHUNK_LEAF_MAX];

	*g = (struct chunk_group){.body.offset = r->chunks[first].offset};
	for (size_t i = first; i < end; i++) {
		g->body.size += r->chunks[i].size;
		g->body.pack_size += r->chunks[i].pack_size;
	}
	if (g->body.pack_size == 0)
		return;
	sha256(r->image + r->chunks[first].offset, g->body.size, g->body.digest, CHUNK_DIGEST_SIZE);
	g->leaf_size = (uint32_t)chunk_leaf_format(r->chunks + first, end - first, leaf);
	ck_assert_uint_gt(g->leaf_size, 0);
	sha256(leaf, g->leaf_size, g->body.pack_digest, CHUNK_DIGEST_SIZE);
	memcpy(r->pack + r->x.pack_size, leaf, g->leaf_size);
	r->x.pack_size += g->leaf_size;
}

void rig_reindex(struct rig *r)
{
	free(r->x.groups);
	r->x.groups = calloc(r->n_chunks, sizeof(struct chunk_group));
	r->x.n_groups = 0;
	r->x.pack_size = r->chunks_size;
	for (size_t i = 0, first = 0; i < r->n_chunks; i++)
		if (i + 1 == r->n_chunks || r->ends[i]) {
			add_group(r, first, i + 1);
			first = i + 1;
		}
	sha256(r->image, r->x.image_size, r->x.image_sha256, 32);
	sha256(r->pack, r->x.pack_size, r->x.pack_sha256, 32);
	rig_seal(r);
	rig_file(r->image_path, r->image, r->x.image_size, r->x.image_size);
}

void rig_seal(struct rig *r)
{
	free(r->index);
	ck_assert_int_eq(chunk_index_format(&r->x, &r->index, &r->index_size), 0);
	r->job.index_size = r->index_size;
	r->job.image_size = r->x.image_size;
	sha256(r->index, r->index_size, r->job.index_sha256, 32);
	memcpy(r->job.image_sha256, r->x.image_sha256, 32);
}

static void add_chunk(struct rig *r, size_t offset, size_t size, bool end)
{
	r->ends[r->n_chunks] = end;
	r->chunks[r->n_chunks++] = (struct chunk){.offset = offset, .size = (uint32_t)size};
}

/* Four to a group; size 0: as the publisher does. */
static void place_chunks(struct rig *r, size_t size)
{
	struct cut_group *g = malloc(sizeof(*g));
	size_t image = r->x.image_size, in_group = size && CHUNK_MAX / size < 4 ? 1 : 4;

	r->n_chunks = 0;
	for (size_t at = 0; size && at < image; at += size)
		add_chunk(r, at, image - at < size ? image - at : size,
			r->n_chunks % in_group == in_group - 1);
	for (size_t at = 0; !size && at < image;) {
		cut_group(&cut_default, r->image + at, image - at, at, g);
		for (size_t i = 0; i < g->n; i++) {
			add_chunk(r, at, g->pieces[i].size, i + 1 == g->n);
			at += g->pieces[i].size;
		}
	}
	free(g);
}

void rig_cut(struct rig *r, size_t size)
{
	size_t most = r->x.image_size / (size ? size : 512) + 1;

	free(r->pack);
	free(r->chunks);
	free(r->ends);
	r->chunks = calloc(most, sizeof(struct chunk));
	r->ends = calloc(most, sizeof(bool));
	r->x.cut = size ? (struct cut){0} : cut_default;
	place_chunks(r, size);
	r->pack = malloc(r->n_chunks * (ZSTD_compressBound(0) + 600) + 2 * r->x.image_size + 4096);
	r->chunks_size = 0;
	for (size_t i = 0; i < r->n_chunks; i++) {
		struct chunk *c = &r->chunks[i];
		size_t room = ZSTD_compressBound(c->size);
		c->pack_offset = r->chunks_size;
		const uint8_t *p = r->image + c->offset;
		if (p[0] == 0 && (c->size == 1 || memcmp(p, p + 1, c->size - 1) == 0))
			continue;
		sha256(p, c->size, c->digest, CHUNK_DIGEST_SIZE);
		c->pack_size =
			(uint32_t)ZSTD_compress(r->pack + c->pack_offset, room, p, c->size, 3);
		sha256(r->pack + c->pack_offset, c->pack_size, c->pack_digest, CHUNK_DIGEST_SIZE);
		r->chunks_size += c->pack_size;
	}
	/* a child's peak begins with its parent's memory */
	r->pack = realloc(r->pack, r->chunks_size + 64 * r->n_chunks + 65536);
	rig_reindex(r);
}

void rig_open(struct rig *r, uint8_t *image, size_t image_size, size_t chunk)
{
	memset(r, 0, sizeof(*r));
	const char *base = getenv("RIG_DIR");
	snprintf(r->dir, sizeof(r->dir), "%s/test-worker-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(r->dir));
	snprintf(r->image_path, sizeof(r->image_path), "%s/image", r->dir);
	snprintf(r->target, sizeof(r->target), "%s/slot-b", r->dir);
	snprintf(r->running, sizeof(r->running), "%s/slot-a", r->dir);
	snprintf(r->pack_path, sizeof(r->pack_path), "%s/pack", r->dir);
	r->named_target = r->target;
	r->named_running = r->running;
	r->image = image;
	r->x.image_size = image_size;
	r->program = getenv("WATCHED_WORKER");
	rig_cut(r, chunk);
	rig_file(r->target, "", 0, image_size);
	rig_file(r->running, "", 0, image_size);
}

void rig_close(struct rig *r)
{
	unlink(r->image_path);
	unlink(r->target);
	unlink(r->running);
	unlink(r->pack_path);
	ck_assert_int_eq(rmdir(r->dir), 0); /* I-6: nothing else is left */
	free(r->image);
	free(r->pack);
	free(r->index);
	free(r->x.groups);
	free(r->chunks);
	free(r->ends);
}

bool rig_ext4(const char *path, uint64_t size, const char *release)
{
	char command[1024];

	/* Same input, same bytes: what differs between two releases is what was changed. */
	snprintf(command, sizeof(command),
		"d=$(mktemp -d) && mkdir $d/etc && cp -r /usr/share/perl5/Debconf "
		"/usr/lib/git-core/git-sh-setup "
		"/bin/bash /bin/sed /bin/tar $d/ 2>/dev/null; echo 'RELEASE=%s' > "
		"$d/etc/os-release && "
		"find $d -exec touch -hd @0 {} + && rm -f %s && E2FSPROGS_FAKE_TIME=1 "
		"PATH=$PATH:/sbin:/usr/sbin "
		"mke2fs -q -t ext4 -O ^has_journal -U 11111111-2222-3333-4444-555555555555 "
		"-E "
		"hash_seed=11111111-2222-3333-4444-555555555555,lazy_itable_init=0,root_owner=0:0 "
		"-d $d %s %lluk >/dev/null; s=$?; rm -rf $d; exit $s",
		release, path, path, (unsigned long long)size / 1024);
	return system(command) == 0;
}

struct feed {
	struct rig *r;
	struct ipc_range *ranges;
	size_t n;
	int fd;
	uint64_t limit;
};

/* The bytes of the ranges into the pipe, as edgeferry-net does. */
static void *feeder(void *arg)
{
	struct feed *f = arg;
	uint64_t left = f->limit ? f->limit : UINT64_MAX;

	for (size_t i = 0; i < f->n && left > 0; i++) {
		uint64_t n = f->ranges[i].size < left ? f->ranges[i].size : left;
		if (fd_write_full(f->fd, f->r->pack + f->ranges[i].offset, n) < 0)
			break;
		left -= n;
	}
	close(f->fd);
	free(f->ranges);
	free(f);
	return NULL;
}

static int send_data(struct rig *r, const struct job_message *m, bool leaves)
{
	struct job_data d = {.whole_pack = r->whole, .offset = r->whole_base};
	pthread_t thread;
	int p[2];

	if (r->whole) {
		_cleanup_close_ int fd = open(r->pack_path, O_RDONLY | O_CLOEXEC);
		return job_send(r->socket, JOB_DATA, &d, sizeof(d), fd);
	}
	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	struct feed *f = malloc(sizeof(*f));
	*f = (struct feed){.r = r, .n = m->size / sizeof(struct ipc_range), .fd = p[1]};
	f->ranges = malloc(m->size);
	memcpy(f->ranges, m->payload, m->size);
	if (!leaves && r->needs == 1)
		f->limit = r->cut_after;
	ck_assert_int_eq(pthread_create(&thread, NULL, feeder, f), 0);
	pthread_detach(thread);
	int result = job_send(r->socket, JOB_DATA, &d, sizeof(d), p[0]);
	close(p[0]);
	return result;
}

static void on_need(struct rig *r, const struct job_message *m)
{
	const struct ipc_range *ranges = (const struct ipc_range *)m->payload;
	size_t n = m->size / sizeof(*ranges);
	bool leaves = ranges[0].offset >= r->chunks_size;
	uint64_t end = 0;

	ck_assert_uint_gt(n, 0);
	ck_assert_uint_le(n, IPC_RANGES_MAX);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_ge(ranges[i].offset, end);
		ck_assert_uint_gt(ranges[i].size, 0);
		end = ranges[i].offset + ranges[i].size;
		/* leaves of the next batch may come behind chunks, in the same range too */
		uint64_t chunks_end = end < r->chunks_size ? end : r->chunks_size;
		uint64_t chunks = ranges[i].offset < chunks_end ? chunks_end - ranges[i].offset : 0;
		r->asked += chunks;
		r->asked_leaves += ranges[i].size - chunks;
	}
	ck_assert_uint_le(end, r->x.pack_size);
	if (leaves) {
		r->leaf_needs++;
		if (r->on_leaves)
			r->on_leaves(r);
		send_data(r, m, true);
		return;
	}
	r->needs++;
	r->ranges += n;
	if (r->on_need)
		r->on_need(r);
	if (!r->no_answer)
		send_data(r, m, false);
}

bool rig_serve(struct rig *r)
{
	static struct job_message m;
	struct rusage usage;
	bool done = false;

	while (job_receive(r->socket, &m) == 1) {
		ck_assert_int_eq(m.fd, -1);
		ck_assert(!done);
		if (m.type == JOB_NEED) {
			on_need(r, &m);
		} else if (m.type == JOB_PROGRESS) {
			ck_assert_uint_eq(m.size, sizeof(r->last));
			memcpy(&r->last, m.payload, sizeof(r->last));
			ck_assert_uint_le(r->last.done, r->last.total);
			r->progresses++;
		} else {
			struct job_done d;
			ck_assert_int_eq(m.type, JOB_DONE);
			ck_assert_uint_eq(m.size, sizeof(d));
			memcpy(&d, m.payload, sizeof(d));
			r->reason = d.reason;
			memcpy(r->detail, d.detail, sizeof(r->detail));
			done = true;
		}
	}
	close(r->socket);
	ck_assert_int_eq(wait4(r->pid, &r->status, 0, &usage), r->pid);
	r->peak_kib = usage.ru_maxrss;
	return done;
}

void rig_start(struct rig *r)
{
	static const char *const argv[] = {"edgeferry-worker", NULL};
	char watch_image[128];
	const char *env[8] = {watch_image};
	uint8_t buf[sizeof(struct job_stage) + 512];
	int pair[2], n = 1;

	snprintf(watch_image, sizeof(watch_image), "WATCH_IMAGE=%s", r->image_path);
	for (size_t i = 0; i < sizeof(r->watch) / sizeof(r->watch[0]); i++)
		if (r->watch[i])
			env[n++] = r->watch[i];
	if (getenv("ASAN_OPTIONS"))
		env[n++] = getenv("ASAN_OPTIONS") - strlen("ASAN_OPTIONS=");
	signal(SIGPIPE, SIG_IGN);
	if (r->whole) {
		rig_file(r->pack_path, "", 0, r->whole_base);
		_cleanup_close_ int fd = open(r->pack_path, O_WRONLY | O_APPEND | O_CLOEXEC);
		ck_assert_int_eq(fd_write_full(fd, r->pack, r->x.pack_size - r->whole_cut), 0);
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	const struct child_spec spec = {.path = r->program,
		.argv = argv,
		.env = env,
		.fds = &pair[1],
		.n_fds = 1,
		.stdout_fd = -1};
	r->pid = child_start(&spec);
	ck_assert_int_gt(r->pid, 0);
	close(pair[1]);
	r->socket = pair[0];
	r->needs = r->leaf_needs = r->ranges = r->progresses = 0;
	r->asked = r->asked_leaves = 0;
	r->reason = EF_REASON_INTERNAL;
	r->job.target_size = (uint32_t)strlen(r->named_target);
	r->job.running_size = (uint32_t)strlen(r->named_running);
	memcpy(buf, &r->job, sizeof(r->job));
	memcpy(buf + sizeof(r->job), r->named_target, r->job.target_size);
	memcpy(buf + sizeof(r->job) + r->job.target_size, r->named_running, r->job.running_size);
	char path[96];
	snprintf(path, sizeof(path), "%s/index", r->dir);
	rig_file(path, r->index, r->index_size, r->index_size);
	_cleanup_close_ int index = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	ck_assert_int_eq(job_send(r->socket, JOB_STAGE, buf,
				 sizeof(r->job) + r->job.target_size + r->job.running_size, index),
		0);
}

bool rig_run(struct rig *r)
{
	rig_start(r);
	return rig_serve(r);
}

bool rig_target_is(const struct rig *r, const void *data, size_t size, uint64_t offset)
{
	_cleanup_free_ uint8_t *got = malloc(size + 1);
	_cleanup_close_ int fd = open(r->target, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd_pread_full(fd, got, size, offset) == 0 && memcmp(got, data, size) == 0;
}

uint64_t rig_target_size(const struct rig *r)
{
	struct stat st;

	ck_assert_int_eq(stat(r->target, &st), 0);
	return (uint64_t)st.st_size;
}
