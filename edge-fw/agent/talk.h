/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages on the serial line. A program links talk-all.c, which knows every framing of SPEC-dfu
 * section 1, or talk-cobs.c, which knows COBS alone and is 1.5 KiB smaller.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct agent;

void talk_init(struct agent *a);
/* Did the last message come in COBS, our own framing? */
bool talk_is_ours(const struct agent *a);
/* Bytes of a message in a->message when b completed one, else 0. */
size_t talk_receive(struct agent *a, uint8_t b);
/* Nothing came for ms. */
void talk_silence(struct agent *a, uint32_t ms);
/* Sends the size bytes of a->response, which stay, in the framing of the last message. Returns when
 * all of it is out; the checksum is put behind them. */
void talk_send(struct agent *a, size_t size);

/* For both. */
void talk_bytes(const uint8_t *data, size_t size);
void talk_frame(uint8_t *message, size_t size);
