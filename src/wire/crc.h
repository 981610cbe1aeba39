/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* CRC-16/XMODEM: polynomial 0x1021, start 0, not reflected. Check("123456789") = 0x31c3. */
uint16_t crc16_xmodem(uint16_t crc, const void *data, size_t size);

/* CRC-32/ISO-HDLC, as zlib's. Start with 0. Check("123456789") = 0xcbf43926. */
uint32_t crc32_ieee(uint32_t crc, const void *data, size_t size);
