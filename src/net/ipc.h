/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What edgeferryd and edgeferry-net say to each other: datagrams on one SOCK_SEQPACKET pair (the
 * child has it as descriptor 3), host byte order, one struct ipc_head, then the payload. The core
 * trusts nothing in it: sizes and types are checked here on both sides, meaning is the receiver's.
 *
 *   core → net   CONFIG  once, first: JSON of the source and broker settings (paths, no secrets)
 *                FETCH   bytes of one file of the source → the pipe whose write end comes along
 *                FETCH_URL the same of any https address (a bundle's)
 *                CANCEL  a fetch
 *                REPORT  a JSON document for the cloud
 *                PING    is the event loop alive? Without payload. Once a minute: the process ends
 * by SIGALRM when it has taken none for three, after the first net → core   READY   after CONFIG
 * took effect OFFER   "look now": the broker said that something is new; payload: the version it
 * named (text, may be empty, a hint and never trusted). At most one a second FETCHED a fetch is
 * over, with its outcome; the pipe's write end is closed before ACK     a report arrived (no
 * payload), or never will: u32 enum ef_reason STATE   broker connected or not (u32), a change KEY
 * a client key in a token cannot be used: u32 enum ef_reason and a text for a person; before READY,
 * or when it is noticed. Another process may find it: the core asks for one, but after DENIED,
 * which is a PIN that was refused PONG    the answer to a PING
 *
 * CONFIG, keys and no others; those marked ? may be absent:
 *   url?      "https://…", the published repository; absent: every fetch is refused (CONFIG)
 *   ca_file?  PEM; absent: the system's store
 *   client_certificate?, client_key?   PEM; the key also "pkcs11:…?pin-value=…", behind the p11-kit
 * server at token_socket?; both in mqtt, too id, product, prefix   of the gateway, its product, and
 * of the topics mqtt?     {host, port, ca_file?, username?, password_file?, client_certificate?,
 * client_key?}: absent: no broker limits?   {min_rate? bytes/s, min_rate_seconds?, grace_seconds?,
 * retries?, backoff_ms?, broker_backoff_ms?, offer_apart_ms?, missed_spread_ms?, hang_seconds?}:
 * tests shorten waits; net/settings.h says what they are It is taken once; another one, or one that
 * is wrong, ends the process: the core starts it anew.
 *
 * Reports wait in net until the broker has them (64 at most; more: ACK with BUSY). One that comes
 * again under an id that still waits is the same one. A net that ends forgets them: the core's
 * outbox is what keeps them.
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define IPC_MESSAGE_MAX 65536u
#define IPC_RANGES_MAX 2048u

enum ipc_type {
	IPC_CONFIG = 1,
	IPC_FETCH,
	IPC_CANCEL,
	IPC_REPORT,
	IPC_FETCH_URL,
	IPC_PING,
	IPC_READY = 64,
	IPC_OFFER,
	IPC_FETCHED,
	IPC_ACK,
	IPC_STATE,
	IPC_PONG,
	IPC_KEY,
};

struct ipc_head {
	uint32_t type; /* enum ipc_type */
	uint32_t id;   /* of the fetch or report; chosen by the core */
};

struct ipc_range {
	uint64_t offset, size; /* bytes */
};

/*
 * FETCH and FETCH_URL payload: this struct, then n_ranges ranges, then the path (no NUL; below
 * Url=, like "metadata/timestamp.json"; FETCH_URL: all of "https://HOST[:PORT]/…", printable ASCII
 * without user and fragment). No ranges: the whole file, at most max_size bytes. With ranges: their
 * bytes one after the other, and nothing else; fewest requests when they ascend. The descriptor is
 * a pipe's or a file's. Closing a pipe's read end cancels.
 */
struct ipc_fetch {
	uint64_t max_size;
	uint32_t n_ranges;
	uint32_t path_size;
};

/* KEY payload: this struct, then the text. */
struct ipc_key {
	uint32_t reason; /* enum ef_reason, not OK */
};

/* FETCHED payload: this struct, then the detail text. */
struct ipc_fetched {
	uint32_t reason;      /* enum ef_reason; NOT_FOUND for 403, 404, 410 */
	uint32_t http_status; /* 0: none */
	uint64_t bytes;	      /* written to the pipe */
};

struct ipc_message {
	struct ipc_head head;
	size_t size; /* of the payload */
	int fd;	     /* that came along, or -1; the receiver closes */
	uint8_t payload[IPC_MESSAGE_MAX] __attribute__((aligned(8)));
};

/* Non-blocking. 0; -EAGAIN: try again when writable; -EMSGSIZE; other errno. fd -1: none. */
int ipc_send(int socket, enum ipc_type type, uint32_t id, const void *payload, size_t size, int fd);
/* 1: *ret filled; 0: the peer closed; -EAGAIN; -EBADMSG: malformed. Descriptors are close-on-exec.
 */
int ipc_receive(int socket, struct ipc_message *ret);

/* A path that begins with "https://" is sent as FETCH_URL: no path below Url= can. */
int ipc_send_fetch(int socket, uint32_t id, const char *path, uint64_t max_size,
	const struct ipc_range *ranges, size_t n_ranges, int pipe_fd);
/* Of a FETCH or FETCH_URL; points into m. False when malformed: path with "..", "//", leading "/",
 * control characters; an address that is not as above. */
bool ipc_is_url(const char *path);
bool ipc_url_good(const char *url);
bool ipc_parse_fetch(const struct ipc_message *m, struct ipc_fetch *ret,
	const struct ipc_range **ranges, char *path, size_t path_max);
