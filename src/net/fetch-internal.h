/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What fetch.c (the life of a fetch) and body.c (its bytes) share. */
#include "net/answer.h"
#include "net/fetch.h"
#include "net/http.h"
#include "net/spans.h"

struct fetch {
	struct fetch *next;
	struct fetches *owner;
	uint32_t id;
	char path[160]; /* for messages, may be cut */
	char *url;
	uint64_t max_size;
	struct ipc_range *ranges;
	struct spans spans;
	int fd;
	sd_event_source *pipe; /* NULL: a plain file */

	/* what the first answer said, and the later ones must say too */
	struct entity entity;
	uint64_t total;

	/* attempts */
	bool waiting; /* for its turn or its time */
	uint64_t due;
	unsigned failures; /* in a row */
	uint64_t before;   /* bytes delivered when this one began */
	bool fresh;	   /* the next one takes a new connection */
	bool one_range;	   /* the server does not answer several ranges at once */
	bool whole;	   /* it does not answer ranges at all */

	/* this attempt */
	CURL *easy;
	struct curl_slist *headers;
	char curl_text[CURL_ERROR_SIZE];
	bool running;  /* in libcurl's hands */
	bool finished; /* libcurl is done, the pipe is not */
	CURLcode code;
	bool asked_range;
	uint64_t asked_first, asked_last;
	size_t asked_parts; /* ranges in the request */
	bool ask_again;	    /* the answer shows that it must be asked in another way */
	uint64_t part_left; /* multipart: bytes of the part at hand that are still to come */
	struct answer answer;
	bool accepted;	/* the answer was looked at */
	bool discard;	/* it was "not now"; its body is thrown away */
	bool satisfied; /* it has more, but nothing more that is wanted */
	uint64_t discarded, skipped;
	uint64_t pos;	     /* in the file, of the next byte of the body */
	uint64_t stream_end; /* of the body, in the file; ANSWER_UNKNOWN */

	/* bytes of the body that did not fit into the pipe yet; libcurl is paused by then or soon
	 */
	uint8_t *held;
	size_t held_size;
	bool paused;

	/* the rate that the server must keep up, while the reader keeps up */
	uint64_t window_start, window_bytes;
	bool waited;	   /* for the reader, since the last look */
	uint64_t deadline; /* for all attempts together, moved on while the reader is what is slow;
			      0: not begun */

	struct error error; /* set: over */
};

struct fetches {
	sd_event *event;
	const struct net_settings *settings;
	struct http *http;
	struct fetch *list;
	size_t n, n_running;
	uint64_t hold_until; /* the server asked for quiet */
	sd_event_source *timer, *tick;
	fetch_over over;
	void *ctx;
};

/* The status and headers are complete: sets pos and stream_end, discard, or error. */
void fetch_accept(struct fetch *f);
/* libcurl's write callback. */
size_t fetch_body(struct fetch *f, const char *data, size_t size);
/* More of what is held goes into the pipe. */
void fetch_flush(struct fetch *f);
