/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one enum of reasons: why something was refused, failed, went back or was
 * called off. The same number travels from a node over SMP ("rc" in our group),
 * the same word stands in D-Bus, JSON, journal, history and reports, and the
 * hint tells a person the way out. Numbers are on the wire: append, never renumber.
 * Freestanding: an MCU uses the numbers only, the texts are in src/util/reason.c.
 */
#include <stdint.h>

/* X(NAME, number, "word", "what happened", "what to do") */
#define EF_REASON_LIST(X)                                                                          \
	X(OK, 0, "ok", "done", "")                                                                 \
	/* general */                                                                              \
	X(INTERNAL, 1, "internal", "an internal error",                                            \
		"report it with the journal of the service")                                       \
	X(NO_MEMORY, 2, "no-memory", "out of memory",                                              \
		"free memory or raise the limit of the unit")                                      \
	X(IO, 3, "io", "reading or writing failed", "look at the kernel log for the device named") \
	X(NO_SPACE, 4, "no-space", "not enough room", "free space on the file system named")       \
	X(BUSY, 5, "busy", "another operation is running", "wait for it or cancel it")             \
	X(CANCELLED, 6, "cancelled", "cancelled on request", "")                                   \
	X(TIMEOUT, 7, "timeout", "no answer in time", "look whether the other side is up")         \
	X(NOT_FOUND, 8, "not-found", "nothing of that name", "list what there is")                 \
	X(USAGE, 9, "usage", "the request makes no sense", "look at the manual page")              \
	X(DENIED, 10, "denied", "permission denied",                                               \
		"run as root or have polkit allow the action")                                     \
	X(CONFIG, 11, "config", "the configuration is wrong", "correct the line named")            \
	X(STATE_UNREADABLE, 12, "state-unreadable", "stored state cannot be read",                 \
		"restore it; updating stops rather than starting from nothing")                    \
	/* trust */                                                                                \
	X(BAD_FORMAT, 20, "bad-format", "a document is not well formed",                           \
		"have the publisher make it again")                                                \
	X(BAD_SIGNATURE, 21, "bad-signature", "not signed by enough trusted keys",                 \
		"have it signed by the keys that this gateway trusts")                             \
	X(BAD_DIGEST, 22, "bad-digest", "bytes differ from what was signed",                       \
		"publish or copy it again")                                                        \
	X(BAD_SIZE, 23, "bad-size", "size differs from what was signed",                           \
		"publish or copy it again")                                                        \
	X(EXPIRED, 24, "expired", "signed metadata has expired",                                   \
		"have the publisher sign it afresh; look at this gateway's clock")                 \
	X(METADATA_ROLLBACK, 25, "metadata-rollback", "metadata older than what was seen before",  \
		"find out who serves old metadata")                                                \
	X(NOT_SIGNED_FOR, 26, "not-signed-for", "signed metadata does not name it",                \
		"publish it in a release")                                                         \
	X(NO_TRUST, 27, "no-trust", "no trusted root", "install the product's root.json")          \
	/* network */                                                                              \
	X(NET_UNREACHABLE, 40, "net-unreachable", "the server cannot be reached",                  \
		"look at network, name and address")                                               \
	X(NET_TLS, 41, "net-tls", "the server did not prove who it is",                            \
		"look at its certificate and CAFile=")                                             \
	X(NET_HTTP, 42, "net-http", "the server answered with an error",                           \
		"look at the server's log")                                                        \
	X(NET_TOO_LARGE, 43, "net-too-large", "the server sent more than was signed for",          \
		"look at the server")                                                              \
	X(NET_SLOW, 44, "net-slow", "the transfer was too slow", "try again later")                \
	X(NET_KEY, 45, "net-key", "this gateway cannot prove who it is",                           \
		"look at ClientKey= and its token: 'edgeferry doctor'")                            \
	/* release and policy */                                                                   \
	X(NOT_COMPATIBLE, 60, "not-compatible", "made for other hardware",                         \
		"install the release made for this product and board")                             \
	X(HARDWARE_RANGE, 61, "hardware-range", "hardware revision outside the signed range",      \
		"install a release that names this revision")                                      \
	X(DOWNGRADE, 62, "downgrade", "older than what is installed",                              \
		"use 'edgeferry rollback' to go back on purpose")                                  \
	X(FLOOR, 63, "floor", "security version below the floor",                                  \
		"install a release at or above the floor")                                         \
	X(REQUIREMENT, 64, "requirement", "needs another component in another version",            \
		"install a release that has both")                                                 \
	X(TOO_LARGE, 65, "too-large", "does not fit its slot", "make the image smaller")           \
	X(ALREADY_INSTALLED, 66, "already-installed", "already installed", "")                     \
	X(UNKNOWN_COMPONENT, 67, "unknown-component", "nothing here takes this component",         \
		"configure a node for it or correct the release")                                  \
	X(TRIAL_RUNNING, 68, "trial-running", "a release is on trial",                             \
		"confirm or reject it first")                                                      \
	X(HELD, 69, "held", "held back by policy", "install it by hand or change the policy")      \
	X(HALTED, 70, "halted", "its publisher has halted it",                                     \
		"wait until it goes on, or for the release after it")                              \
	X(UNLISTED, 71, "unlisted", "its publisher has not begun to roll it out",                  \
		"wait, or take it now with 'edgeferry install VERSION'")                           \
	X(PROTOCOL, 73, "protocol", "gateway and node would not understand each other",            \
		"install the releases between first")                                              \
	X(DEFERRED, 74, "deferred", "the node is away and is brought up when it is back", "")      \
	X(LATER, 72, "later", "not this gateway's turn yet",                                       \
		"wait, or take it now with 'edgeferry install VERSION'")                           \
	/* image and node */                                                                       \
	X(BAD_IMAGE, 80, "bad-image", "not a firmware image of a kind supported",                  \
		"make it with edgeferry-repo or imgtool")                                          \
	X(IMAGE_UNSIGNED, 81, "image-unsigned", "the image has no signature", "sign the image")    \
	X(IMAGE_KEY, 82, "image-key", "the image is signed by a key that the node does not know",  \
		"sign the image with the product's edge key")                                      \
	X(IMAGE_SIGNATURE, 83, "image-signature", "the image's signature is wrong",                \
		"sign the image again")                                                            \
	X(IMAGE_DIGEST, 84, "image-digest", "the image's digest is wrong",                         \
		"make and publish the image again")                                                \
	X(NODE_UNREACHABLE, 85, "node-unreachable", "the node does not answer",                    \
		"look at cable, port, power and baud rate")                                        \
	X(NODE_PROTOCOL, 86, "node-protocol", "the node answered nonsense",                        \
		"look at the node's firmware")                                                     \
	X(NODE_FLASH, 87, "node-flash", "the node's flash failed", "replace the node")             \
	X(NODE_BATTERY, 88, "node-battery", "the node's battery is too low", "charge it")          \
	X(SELF_TEST, 89, "self-test", "the new firmware's self-test did not pass",                 \
		"correct the firmware")                                                            \
	X(NODE_REVERTED, 90, "node-reverted", "the node went back to its old firmware by itself",  \
		"look at the node's reset cause and boot log")                                     \
	X(NODE_MISMATCH, 91, "node-mismatch", "the node is not what the configuration says",       \
		"look at the wiring and at the node's file")                                       \
	X(CRASH_LOOP, 92, "crash-loop",                                                            \
		"the node's firmware kept failing before it had shown that it works",              \
		"look at the node's reset cause and crash record; install firmware that runs")     \
	X(NODE_KEY, 95, "node-key", "gateway and node have no session key in common",              \
		"give the node's own key in its file, Security=session and Key=")                  \
	X(PATCH, 96, "patch", "the patch cannot be used on the node",                              \
		"none needed: the whole image is sent instead")                                    \
	/* slots and trial */                                                                      \
	X(SLOT_RUNNING, 100, "slot-running", "the slot named is the running one",                  \
		"correct the slot configuration")                                                  \
	X(SLOT_WRITE, 101, "slot-write", "writing the slot failed",                                \
		"look at the kernel log; replace the medium")                                      \
	X(SLOT_READ_BACK, 102, "slot-read-back",                                                   \
		"the slot reads back differently from what was written", "replace the medium")     \
	X(BOOT_STATE, 103, "boot-state", "the boot loader's state cannot be read or written",      \
		"see 'edgeferry doctor'")                                                          \
	X(TRIAL_NOT_BOOTED, 104, "trial-not-booted",                                               \
		"the new slot did not come up; the old one runs",                                  \
		"look at the console of the boot that failed")                                     \
	X(CHECK_FAILED, 105, "check-failed", "a check failed", "look at the check named")          \
	X(NOT_CONFIRMED, 106, "not-confirmed", "not confirmed before the deadline",                \
		"look at what the checks waited for")                                              \
	X(REJECTED, 107, "rejected", "rejected by hand", "")                                       \
	X(SERVER_LOST, 108, "server-lost",                                                         \
		"the server is no longer reachable from the new release",                          \
		"correct the new release's network configuration")                                 \
	X(NODE_LOST, 109, "node-lost", "a node is no longer reachable from the new release",       \
		"correct the new release's link to the node")                                      \
	X(ROLLED_BACK, 110, "rolled-back", "rolled back on request", "")

enum ef_reason {
#define EF_REASON_ENUM(name, number, word, text, hint) EF_REASON_##name = number,
	EF_REASON_LIST(EF_REASON_ENUM)
#undef EF_REASON_ENUM
};
