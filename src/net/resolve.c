/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolve.h"
#include "util/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Owned by loop and thread together; the last one to let go frees it. */
struct resolve {
	atomic_int owners;
	char *host;
	int to_loop; /* the thread closes it when the result stands */
	int error;
	struct addrinfo *list;

	/* the loop's alone */
	int from_thread;
	sd_event_source *source;
	resolve_done done;
	void *ctx;
};

static void let_go(struct resolve *r)
{
	if (atomic_fetch_sub(&r->owners, 1) != 1)
		return;
	if (r->list)
		freeaddrinfo(r->list);
	free(r->host);
	free(r);
}

static void *thread(void *arg)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct resolve *r = arg;
	int to_loop = r->to_loop;

	r->error = getaddrinfo(r->host, NULL, &hints, &r->list);
	let_go(r);
	close(to_loop); /* hang-up is the signal; what it says was written before */
	return NULL;
}

static int on_result(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct resolve *r = userdata;
	struct addrinfo *list = TAKE_PTR(r->list);
	resolve_done done = r->done;
	void *ctx = r->ctx;
	int error = r->error;

	resolve_cancel(r);
	done(ctx, error, list);
	return 0;
}

void resolve_cancel(struct resolve *r)
{
	if (!r)
		return;
	sd_event_source_disable_unref(r->source);
	ef_close(r->from_thread);
	let_go(r);
}

static int start_thread(struct resolve *r)
{
	pthread_attr_t attr;
	pthread_t id;

	int error = pthread_attr_init(&attr);
	if (error)
		return -error;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	atomic_fetch_add(&r->owners, 1);
	error = pthread_create(&id, &attr, thread, r);
	if (error)
		atomic_fetch_sub(&r->owners, 1);
	pthread_attr_destroy(&attr);
	return -error;
}

int resolve_start(
	struct resolve **ret, sd_event *event, const char *host, resolve_done done, void *ctx)
{
	struct resolve *r = calloc(1, sizeof(*r));
	int p[2];

	if (!r)
		return -ENOMEM;
	atomic_init(&r->owners, 1);
	*r = (struct resolve){.owners = 1, .host = strdup(host), .from_thread = -1};
	r->done = done;
	r->ctx = ctx;
	if (!r->host || pipe2(p, O_CLOEXEC) < 0) {
		resolve_cancel(r);
		return -ENOMEM;
	}
	r->from_thread = p[0];
	r->to_loop = p[1];
	int rc = sd_event_add_io(event, &r->source, r->from_thread, EPOLLIN, on_result, r);
	if (rc >= 0)
		rc = start_thread(r);
	if (rc < 0) {
		close(p[1]);
		resolve_cancel(r);
		return rc;
	}
	*ret = r;
	return 0;
}
