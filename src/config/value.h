/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How one value of a configuration file is read. Each writes *to only when it returns NULL. */
#include "config/config.h"

/*
 * Returns NULL, or what is expected instead ("a number from 1 to 65535"). An empty value gives the
 * default back where there is none to read: the caller deals with it.
 */
typedef const char *(*value_reader)(const char *value, void *to);

const char *value_text(const char *value, void *to);	   /* char * */
const char *value_name(const char *value, void *to);	   /* char *: 1 to 32 of [a-z0-9-] */
const char *value_compatible(const char *value, void *to); /* char * */
const char *value_path(const char *value, void *to);	   /* char * */
const char *value_key(const char *value, void *to);	   /* char *: a path or credential:NAME */
const char *value_client_key(
	const char *value, void *to);		      /* char *: the same, or a key in a token */
const char *value_url(const char *value, void *to);   /* char *, no slash at its end */
const char *value_topic(const char *value, void *to); /* char *, no slash at its ends */
const char *value_user(const char *value, void *to);  /* char * */
const char *value_u32(const char *value, void *to);   /* uint32_t */
const char *value_span(const char *value, void *to);  /* uint64_t, microseconds, finite */
const char *value_size(const char *value, void *to);  /* uint64_t, bytes */
const char *value_automatic(const char *value, void *to); /* enum config_automatic */
const char *value_security(const char *value, void *to);  /* enum config_security */
const char *value_link(const char *value, void *to);	  /* char * */
const char *value_framing(const char *value, void *to);	  /* enum config_framing */
const char *value_address(const char *value, void *to);	  /* uint32_t; 0: none */
const char *value_baud(const char *value, void *to);	  /* uint32_t */
const char *value_baud_max(const char *value, void *to);  /* uint32_t; 0: none */
const char *value_clock(const char *value, void *to);	  /* uint32_t, Hz */
const char *value_device(const char *value, void *to);	/* char *: a path, an address, name:NAME */
const char *value_adapter(const char *value, void *to); /* char *: of Bluetooth */
const char *value_connections(const char *value, void *to); /* uint32_t, 1 to 32 */
const char *value_line(const char *value, void *to);	    /* char *: links/lines.h */
const char *value_entry(const char *value, void *to);	    /* enum config_entry */
const char *value_pulse(const char *value, void *to);	    /* uint64_t, microseconds, 1ms to 10s */
const char *value_yes(const char *value, void *to);	    /* bool */
const char *value_boot(const char *value, void *to);	    /* char * */
const char *value_percent(const char *value, void *to);	    /* uint32_t, 0 to 100 */
const char *value_window(const char *value, void *to);	    /* struct config_window */
const char *value_days(const char *value, void *to);	    /* uint8_t, bit 0 is Sunday */
const char *value_reboot(const char *value, void *to);	    /* enum config_reboot */
const char *value_no(const char *value, void *to);	    /* bool: yes stores false */

/* "host", "host:port", "[v6]:port": the host without brackets; port untouched when not given. */
const char *value_host_port(const char *value, char **host, uint16_t *port);

bool value_is_name(const char *text);
bool value_is_bluetooth(const char *device); /* of a Device= */
