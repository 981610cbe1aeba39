/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * SPI exchanges beside the event loop: spidev has no call that does not wait, so a thread waits in
 * it, which does nothing else. One of less than 2.5 ms holds the loop. One at a time.
 */
#include <linux/spi/spidev.h>
#include <systemd/sd-event.h>

struct exchanger;
/* From the event loop, or from within exchanger_start: 0, or negative errno. What was exchanged is
 * in the caller's buffers. */
typedef void (*exchanged)(void *ctx, int r);

/* fd stays the caller's. Negative errno. */
int exchanger_new(struct exchanger **ret, sd_event *event, int fd, exchanged done, void *ctx);
/* What it names stays as it is until done, or until exchanger_free is back. */
void exchanger_start(struct exchanger *x, const struct spi_ioc_transfer *t);
/* Also from within done. Waits for the exchange under way, whose done does not come any more. */
void exchanger_free(struct exchanger *x);
