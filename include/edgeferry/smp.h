/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Simple Management Protocol: header, groups and our additions (docs/SPEC-dfu.md).
 * Freestanding.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EF_SMP_HEADER_SIZE 8u

enum ef_smp_op {
	EF_SMP_READ = 0,
	EF_SMP_READ_RSP = 1,
	EF_SMP_WRITE = 2,
	EF_SMP_WRITE_RSP = 3,
};

struct ef_smp_header {
	uint8_t op;	 /* enum ef_smp_op */
	uint8_t version; /* 0 = SMP v1, 1 = v2 */
	uint16_t length; /* bytes of body */
	uint16_t group;
	uint8_t seq, command;
};

enum ef_smp_group {
	EF_GROUP_OS = 0,
	EF_GROUP_IMAGE = 1,
	EF_GROUP_STAT = 2,
	EF_GROUP_SETTINGS = 3,
	EF_GROUP_EDGEFERRY = 239, /* ours, in the user range */
};

enum {
	EF_OS_ECHO = 0,
	EF_OS_CONSOLE_ECHO = 1,
	EF_OS_DATETIME = 4,
	EF_OS_RESET = 5,
	EF_OS_PARAMS = 6,
	EF_OS_INFO = 7,
	EF_OS_BOOTLOADER = 8
};
enum { EF_IMAGE_STATE = 0, EF_IMAGE_UPLOAD = 1, EF_IMAGE_ERASE = 5, EF_IMAGE_SLOT_INFO = 6 };
enum { EF_STAT_READ = 0, EF_STAT_LIST = 1 };
enum {
	EF_SETTINGS_VALUE = 0,
	EF_SETTINGS_DELETE = 1,
	EF_SETTINGS_COMMIT = 2,
	EF_SETTINGS_STORE = 3
};
/* EF_GROUP_EDGEFERRY */
enum {
	EF_EF_IDENTIFY = 0,
	EF_EF_PREFLIGHT = 1,
	EF_EF_CRASH = 2,
	EF_EF_REPORT = 3,
	EF_EF_KEYS = 4,
	EF_EF_RATE = 5,
	EF_EF_DATA = 6,
	EF_EF_SPREAD = 7,
	EF_EF_BLOCK = 8,
	EF_EF_LEASE = 9,
	EF_EF_PATCH = 10,
	EF_EF_KEY = 16
};

/* EF_EF_DATA: big-endian offset in front of the data, which are no CBOR */
#define EF_DATA_HEAD 3u

/* EF_EF_BLOCK: the first bytes of the image's digest and the block's number, big-endian, then data
 */
#define EF_SPREAD_ID 4u
#define EF_SPREAD_HEAD 6u

/* "rc" of SMP v1 and of the SMP level of v2 */
enum ef_smp_rc {
	EF_SMP_OK = 0,
	EF_SMP_UNKNOWN = 1,
	EF_SMP_NO_MEMORY = 2,
	EF_SMP_INVALID = 3,
	EF_SMP_TIMEOUT = 4,
	EF_SMP_NO_ENTRY = 5,
	EF_SMP_BAD_STATE = 6,
	EF_SMP_MSG_SIZE = 7,
	EF_SMP_NOT_SUPPORTED = 8,
	EF_SMP_CORRUPT = 9,
	EF_SMP_BUSY = 10,
	EF_SMP_ACCESS_DENIED = 11,
	EF_SMP_TOO_OLD = 12,
	EF_SMP_TOO_NEW = 13,
};

/* Big-endian on the wire. decode is false when fewer than 8 bytes or reserved bits are set. */
void ef_smp_header_encode(const struct ef_smp_header *h, uint8_t out[EF_SMP_HEADER_SIZE]);
bool ef_smp_header_decode(const uint8_t *buf, size_t size, struct ef_smp_header *ret);

/*
 * One frame on a serial line: COBS(header | body | CRC16 big-endian) 00, CRC-16/XMODEM over
 * header and body (src/wire/cobs.h). size of the encoded frame for n bytes of header and body, at
 * most:
 */
#define EF_SMP_FRAME_MAX(n) ((n) + 2u + ((n) + 2u) / 254u + 1u + 1u)

/*
 * A line that several nodes share: type, address and the sender's number, big-endian, in front of
 * every message (SPEC-dfu section 1). A node repeats the number of whoever it answers.
 */
#define EF_SHARED_HEAD 4u
#define EF_SHARED_ALL 0u /* every node, and none answers */
#define EF_SHARED_ADDRESS_MAX 247u
enum { EF_SHARED_TO_NODE = 0xf0, EF_SHARED_FROM_NODE = 0xf1 };
