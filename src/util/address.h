/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * "192.0.2.7", "192.0.2.7:1337", "2001:db8::7", "[fe80::7%eth0]:1337": numbers only, no name is
 * looked up. False when it is no address; *ret and *length are then untouched.
 */
bool address_parse(
	const char *text, uint16_t default_port, struct sockaddr_storage *ret, socklen_t *length);
