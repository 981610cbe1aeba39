/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node on SPI: exchanges (wire/spi.h) through spidev, each when the node has said by its ready
 * line that it is armed for one (SPEC-dfu, section 1).
 *
 * An exchange takes as long as its clock needs for it (4096 bytes: 33 ms at 1 MHz), beside the
 * loop.
 */
#include "wire/spi.h"
#include "links/exchange.h"
#include "links/holder.h"
#include "links/lines.h"
#include "links/link.h"
#include "links/queue.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <edgeferry/smp.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/spi/spidev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#define SPI_EXCHANGE_MAX 4096u /* what spidev takes unless its bufsiz was made smaller */
#define MISSED_US (100 * USEC_PER_MSEC)

struct link {
	struct link_callbacks cb;
	struct line *ready;
	struct exchanger *exchanger;
	sd_event_source *turn;	 /* an exchange is due */
	sd_event_source *missed; /* looks at the level when no edge came */
	int fd;
	uint32_t clock;
	bool dispatching; /* callbacks may close the link: it is freed when they are back */
	bool closed;
	bool busy;	/* an exchange is under way */
	bool armed;	/* the node is, since the last exchange began */
	bool carried;	/* the last exchange carried something, so the next may bring the answer */
	unsigned rises; /* of ready since then: the first arms, more call */
	size_t wanted;	/* bytes of the exchange that the node needs; 0: any */
	size_t max;	/* bytes of the longest exchange */
	size_t size;	/* of the one under way */
	char device[96];
	struct link_queue queue;
	uint8_t tx[SPI_EXCHANGE_MAX], rx[SPI_EXCHANGE_MAX];
};

static void spi_shut(struct link *l)
{
	l->closed = true;
	exchanger_free(l->exchanger);
	l->exchanger = NULL;
	l->turn = sd_event_source_disable_unref(l->turn);
	l->missed = sd_event_source_disable_unref(l->missed);
	line_close(l->ready);
	l->ready = NULL;
	l->fd = ef_close(l->fd);
}

static void spi_close(struct link *l)
{
	if (!l)
		return;
	spi_shut(l);
	if (!l->dispatching)
		free(l);
}

static size_t spi_queued(const struct link *l)
{
	return link_queue_size(&l->queue);
}

static void spi_look(struct link *l)
{
	bool due =
		l->armed && !l->busy && (spi_queued(l) || l->carried || l->wanted || l->rises > 1);

	sd_event_source_set_enabled(l->turn, due ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int spi_send(struct link *l, const uint8_t *data, size_t size)
{
	int r;

	if (l->closed)
		return -ENOTCONN;
	r = link_queue_put(&l->queue, data, size, l->max - SPI_OVERHEAD);
	if (r >= 0)
		spi_look(l);
	return r;
}

static void on_ready(void *ctx, bool on)
{
	struct link *l = ctx;

	if (!on)
		return;
	l->armed = true;
	l->rises++;
	spi_look(l);
}

/* Edges are not lost while the kernel has room for them; should one be, the level tells. */
static int on_missed(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct link *l = userdata;

	if (!l->armed && !l->busy && line_get(l->ready) == 1)
		on_ready(l, true);
	return 0;
}

/* Begins an exchange. */
static int spi_turn(sd_event_source *source, void *userdata)
{
	struct link *l = userdata;
	size_t size = 0, n;
	const uint8_t *message = link_queue_first(&l->queue, &size);

	memset(l->tx, 0, SPI_LEAST);
	n = spi_put(l->tx, message, size);
	l->carried = message != NULL;
	if (n < SPI_LEAST)
		n = SPI_LEAST;
	if (n < l->wanted) {
		memset(l->tx + n, 0, l->wanted - n);
		n = l->wanted;
	}
	l->busy = true;
	l->armed = false;
	l->rises = 0;
	l->wanted = 0;
	l->size = n;
	exchanger_start(l->exchanger, &(struct spi_ioc_transfer){.tx_buf = (uintptr_t)l->tx,
					      .rx_buf = (uintptr_t)l->rx,
					      .len = (uint32_t)n,
					      .speed_hz = l->clock,
					      .bits_per_word = 8});
	return 0;
}

static void spi_take(struct link *l, size_t n)
{
	size_t size;

	switch (spi_get(l->rx, n, &size)) {
	case SPI_CUT:
		/* one that is never carried is not asked for, or it would be for ever (F-32) */
		if (size + SPI_OVERHEAD <= l->max)
			l->wanted = size + SPI_OVERHEAD;
		break;
	case SPI_MESSAGE:
		l->carried = true;
		if (size >= EF_SMP_HEADER_SIZE)
			l->cb.message(l->cb.ctx, l->rx + SPI_HEADER_SIZE, size);
		break;
	case SPI_SPOILED:
		l->carried = true;
		break;
	default:
		break;
	}
}

static void spi_exchanged(void *ctx, int r)
{
	struct link *l = ctx;
	struct link_callbacks cb = l->cb;
	struct error e = {0};
	bool sent = l->carried;

	if (r < 0) {
		error_set(&e, EF_REASON_NODE_UNREACHABLE, "%s: exchange: %s", l->device,
			strerror(-r));
		spi_close(l);
		cb.lost(cb.ctx, &e);
		return;
	}
	l->busy = false;
	if (sent)
		link_queue_drop(&l->queue);
	sd_event_source_set_time_relative(l->missed, MISSED_US);
	sd_event_source_set_enabled(l->missed, SD_EVENT_ONESHOT);
	l->dispatching = true;
	spi_take(l, l->size);
	if (!l->closed && sent && !spi_queued(l) && cb.drained)
		cb.drained(cb.ctx);
	l->dispatching = false;
	if (l->closed)
		free(l);
	else
		spi_look(l);
}

static enum ef_reason spi_device(int fd, const struct link_spec *spec, struct error *e)
{
	uint32_t mode = SPI_MODE_0;
	uint8_t bits = 8;

	if (ioctl(fd, SPI_IOC_WR_MODE32, &mode) < 0)
		return errno == ENOTTY ? error_set(e, EF_REASON_CONFIG,
						 "%s: not a spidev: /dev/spidevBUS.SELECT is one",
						 spec->device)
				       : error_errno(e, -errno, "%s: mode 0", spec->device);
	if (ioctl(fd, SPI_IOC_WR_BITS_PER_WORD, &bits) < 0)
		return error_errno(e, -errno, "%s: 8 bits", spec->device);
	if (ioctl(fd, SPI_IOC_WR_MAX_SPEED_HZ, &spec->baud) < 0)
		return error_errno(e, -errno, "%s: ClockRate=%u", spec->device, spec->baud);
	return EF_REASON_OK;
}

static enum ef_reason spi_file(const struct link_spec *spec, int *ret, struct error *e)
{
	/* On a Raspberry Pi 5 its own boot loader lives there. */
	if (strcmp(spec->device, "/dev/spidev10.0") == 0)
		return error_set(e, EF_REASON_CONFIG,
			"%s: is the flash that this gateway boots from, no node", spec->device);
	if (!spec->ready || !spec->baud)
		return error_set(e, EF_REASON_CONFIG, "%s: no %s=", spec->device,
			spec->ready ? "ClockRate" : "ReadyLine");
	*ret = open(spec->device, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (*ret >= 0)
		return device_lock(*ret, spec->device, e);
	switch (errno) {
	case EACCES:
	case EPERM:
		return error_set(e, EF_REASON_DENIED,
			"%s: %s: the service needs DeviceAllow=char-spi rw", spec->device,
			strerror(errno));
	case ENOENT:
		return error_set(e, EF_REASON_CONFIG,
			"%s: not there: SPI is turned on in the device tree (dtparam=spi=on on a "
			"Raspberry Pi)",
			spec->device);
	default:
		return error_set(
			e, EF_REASON_NODE_UNREACHABLE, "%s: %s", spec->device, strerror(errno));
	}
}

static size_t bufsiz(void)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/module/spidev/parameters/bufsiz", "re");
	unsigned long n;

	return f && fscanf(f, "%lu", &n) == 1 && n >= SPI_LEAST && n < SPI_EXCHANGE_MAX
		       ? n
		       : SPI_EXCHANGE_MAX;
}

static enum ef_reason spi_open(struct link **ret, sd_event *event, const struct link_spec *spec,
	const struct link_callbacks *cb, struct error *e)
{
	_cleanup_close_ int fd = -1;
	struct link *l;
	int r;

	if (spi_file(spec, &fd, e) || spi_device(fd, spec, e))
		return e->reason;
	l = calloc(1, sizeof *l);
	if (!l)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", spec->device);
	l->cb = *cb;
	l->fd = TAKE_FD(fd);
	l->clock = spec->baud;
	l->max = bufsiz();
	snprintf(l->device, sizeof l->device, "%s", spec->device);
	r = exchanger_new(&l->exchanger, event, l->fd, spi_exchanged, l);
	if (r >= 0)
		r = sd_event_add_defer(event, &l->turn, spi_turn, l);
	if (r >= 0)
		r = sd_event_source_set_enabled(l->turn, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &l->missed, CLOCK_MONOTONIC, MISSED_US, 1000, on_missed, l);
	if (r < 0) {
		spi_close(l);
		return error_errno(e, r, "%s", spec->device);
	}
	if (line_input(&l->ready, event, spec->ready, on_ready, l, e)) {
		spi_close(l);
		return e->reason;
	}
	l->armed = line_get(l->ready) == 1;
	*ret = l;
	return EF_REASON_OK;
}

const struct link_ops link_spi = {
	.name = "spi",
	.open = spi_open,
	.send = spi_send,
	.queued = spi_queued,
	.close = spi_close,
};
