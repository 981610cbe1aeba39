/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* libcurl's multi interface on an sd-event loop, and the options that every transfer has. */
#include "net/settings.h"
#include <curl/curl.h>
#include <systemd/sd-event.h>

struct http;

/* A transfer is over and has left the loop; never from inside a libcurl callback. */
typedef void (*http_done)(void *transfer, CURLcode code);

int http_new(struct http **ret, sd_event *event, http_done done);
void http_free(struct http *h); /* after all transfers were removed */

/* A handle that verifies, speaks https only and asks nobody's environment. NULL: no memory. */
CURL *http_handle_new(const struct net_settings *s, void *transfer);

int http_add(struct http *h, CURL *easy);
void http_remove(struct http *h, CURL *easy);
/* Lets a paused transfer go on. */
void http_resume(struct http *h, CURL *easy);

/* What a CURLcode other than OK means; *transient: worth another try. */
enum ef_reason http_reason(CURLcode code, bool *transient);
