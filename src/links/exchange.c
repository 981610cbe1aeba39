/* SPDX-License-Identifier: Apache-2.0 */
#include "links/exchange.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#define STACK (64u * 1024u)
#define HELD_US 2500u /* by the loop; the thread's wake-ups would cost a fast wire some percent */

struct exchanger {
	int fd, ended; /* ended: an eventfd */
	sd_event_source *io;
	exchanged done;
	void *ctx;
	pthread_t thread;
	sem_t begin;
	struct spi_ioc_transfer transfer;
	atomic_int result;
	atomic_bool stop;
};

static int exchange(struct exchanger *x)
{
	return ioctl(x->fd, SPI_IOC_MESSAGE(1), &x->transfer) < 0 ? -errno : 0;
}

static void *run(void *userdata)
{
	struct exchanger *x = userdata;

	for (;;) {
		while (sem_wait(&x->begin) < 0)
			;
		if (x->stop)
			return NULL;
		x->result = exchange(x);
		eventfd_write(x->ended, 1);
	}
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct exchanger *x = userdata;
	eventfd_t n;

	if (eventfd_read(fd, &n) == 0)
		x->done(x->ctx, x->result);
	return 0;
}

/* Signals are the loop's. */
static int start_thread(struct exchanger *x)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&x->thread, &attr, run, x);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

int exchanger_new(struct exchanger **ret, sd_event *event, int fd, exchanged done, void *ctx)
{
	struct exchanger *x = calloc(1, sizeof *x);
	int r;

	if (!x)
		return -ENOMEM;
	x->fd = fd;
	x->done = done;
	x->ctx = ctx;
	sem_init(&x->begin, 0, 0);
	x->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = x->ended < 0 ? -errno : sd_event_add_io(event, &x->io, x->ended, EPOLLIN, on_ended, x);
	if (r >= 0)
		r = start_thread(x);
	if (r < 0) {
		sd_event_source_disable_unref(x->io);
		ef_close(x->ended);
		free(x);
		return r;
	}
	*ret = x;
	return 0;
}

void exchanger_start(struct exchanger *x, const struct spi_ioc_transfer *t)
{
	x->transfer = *t;
	if (t->len * 8 * USEC_PER_SEC / t->speed_hz < HELD_US)
		x->done(x->ctx, exchange(x));
	else
		sem_post(&x->begin);
}

void exchanger_free(struct exchanger *x)
{
	if (!x)
		return;
	x->stop = true;
	sem_post(&x->begin);
	pthread_join(x->thread, NULL);
	sem_destroy(&x->begin);
	sd_event_source_disable_unref(x->io);
	ef_close(x->ended);
	free(x);
}
