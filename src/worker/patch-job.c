/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A patch from one image of a microcontroller to another. Nothing is written but the file in memory
 * that the job brought along, so there is nothing to tidy up: whatever lasts too long is killed.
 */
#include "worker/patch-job.h"
#include "patch/patch.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

struct work {
	struct job_patch job;
	struct patch_image old, new;
	uint8_t *images, *patch;
	size_t patch_size;
};

/* Lower ones than these stay. */
static int limit(int resource, rlim_t most)
{
	struct rlimit l;

	if (getrlimit((__rlimit_resource_t)resource, &l) < 0)
		return -errno;
	if (l.rlim_cur <= most)
		return 0;
	l.rlim_cur = most;
	return setrlimit((__rlimit_resource_t)resource, &l) < 0 ? -errno : 0;
}

static int set_limits(void)
{
	sigset_t set;
	int r = limit(RLIMIT_CPU, JOB_PATCH_S);

#ifndef __SANITIZE_ADDRESS__ /* whose shadow alone is larger */
	if (r == 0)
		r = limit(RLIMIT_DATA, JOB_PATCH_MEMORY);
#endif
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (r == 0 && sigprocmask(SIG_UNBLOCK, &set, NULL) < 0)
		r = -errno;
	return r;
}

static enum ef_reason take_images(struct work *w, const struct job_message *m, struct error *e)
{
	struct job_patch *j = &w->job;

	if (m->size != sizeof(*j) || m->fd < 0)
		return error_set(e, EF_REASON_USAGE, "no patch job");
	memcpy(j, m->payload, sizeof(*j));
	if (j->old_size > PATCH_INPUT_MAX || j->new_size > PATCH_INPUT_MAX)
		return error_set(e, EF_REASON_TOO_LARGE,
			"patches are made of images of up to %u MiB", PATCH_INPUT_MAX >> 20);
	w->images = malloc((size_t)j->old_size + j->new_size + 1);
	int r = w->images ? fd_pread_full(m->fd, w->images, (size_t)j->old_size + j->new_size, 0)
			  : -ENOMEM;
	w->old = (struct patch_image){w->images, j->old_size};
	w->new = (struct patch_image){w->images + j->old_size, j->new_size};
	return r < 0 ? error_errno(e, r, "images of a patch job") : EF_REASON_OK;
}

static const struct ef_patch_model *const models[] = {
	&ef_patch_generic, &ef_patch_thumb, &ef_patch_riscv};
#define N_MODELS (sizeof(models) / sizeof(models[0]))

/*
 * A node has the generic model and the one of its processor, if any: that one. The node program of
 * this machine has them all: what the images look like. NULL: guess.
 */
static const struct ef_patch_model *choose_model(const struct work *w)
{
	uint32_t special = w->job.models & ~1u & ((1u << N_MODELS) - 1);
	const struct patch_hints none = {0};
	struct ef_patch_header h;

	for (size_t k = 1; k < N_MODELS; k++)
		if (special == 1u << k)
			return models[k];
	patch_guess(&w->old, &w->new, &none, &h);
	return w->job.models >> h.model & 1 ? NULL : &ef_patch_generic;
}

static enum ef_reason make(struct work *w, struct error *e)
{
	const struct patch_hints hints = {.model = choose_model(w)};
	int r = patch_make(&w->old, &w->new, &hints, &w->patch, &w->patch_size);

	if (r == -ENOMEM)
		return error_set(e, EF_REASON_NO_MEMORY, "making the patch takes more than %u MiB",
			JOB_PATCH_MEMORY >> 20);
	return r < 0 ? error_errno(e, r, "making the patch") : EF_REASON_OK;
}

/* What the node will make of it, or it is not sent. */
static enum ef_reason prove(const struct work *w, struct error *e)
{
	_cleanup_free_ uint8_t *made = NULL;
	struct ef_patch_header h = {0};
	uint32_t size = 0;
	enum ef_reason r = patch_apply(&w->old, w->patch, w->patch_size, &h, &made, &size);

	if (r)
		return error_set(e, r, "the patch cannot be applied");
	if (size != w->new.size || memcmp(made, w->new.data, size) != 0)
		return error_set(e, EF_REASON_BAD_DIGEST, "the patch gives another image");
	if ((w->job.models >> h.model & 1) == 0)
		return error_set(e, EF_REASON_NOT_COMPATIBLE, "the node lacks model %u", h.model);
	return EF_REASON_OK;
}

static enum ef_reason hand_over(const struct work *w, int fd, struct error *e)
{
	int r = fd_pwrite_full(fd, w->patch, w->patch_size, (uint64_t)w->old.size + w->new.size);

	return r < 0 ? error_errno(e, r, "the patch") : EF_REASON_OK;
}

enum ef_reason patch_run(const struct job_message *m, struct error *e)
{
	struct work w = {.images = NULL};
	int r = set_limits();

	if (r < 0)
		error_errno(e, r, "limits of a patch job");
	else if (take_images(&w, m, e) == EF_REASON_OK && make(&w, e) == EF_REASON_OK &&
		 prove(&w, e) == EF_REASON_OK)
		hand_over(&w, m->fd, e);
	free(w.patch);
	free(w.images);
	return e->reason;
}
