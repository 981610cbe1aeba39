/* SPDX-License-Identifier: Apache-2.0 */
#include "net/fetch.h"
#include "net/answer.h"
#include "net/fetch-internal.h"
#include "net/identity.h"
#include "net/pause.h"
#include "net/verdict.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/time-util.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PIPE_WANTED (1 << 20)
#define BACKOFF_MAX_US (30 * USEC_PER_SEC)
#define RETRY_AFTER_MAX 300
#define PROGRESS_MIN 1024u /* an attempt that brought less brought nothing */
#define TICK_US USEC_PER_SEC
#define YEAR_SECONDS 31536000u

static void schedule(struct fetches *fs);
static void conclude(struct fetch *f);

static void detach(struct fetch *f)
{
	if (!f->running)
		return;
	http_remove(f->owner->http, f->easy);
	f->running = false;
	f->owner->n_running--;
}

static void fetch_free(struct fetch *f)
{
	struct fetch **p = &f->owner->list;

	detach(f);
	while (*p && *p != f)
		p = &(*p)->next;
	if (*p) {
		*p = f->next;
		f->owner->n--;
	}
	sd_event_source_disable_unref(f->pipe);
	curl_easy_cleanup(f->easy);
	curl_slist_free_all(f->headers);
	ef_close(f->fd);
	free(f->held);
	free(f->ranges);
	free(f->url);
	free(f);
}

static void end(struct fetch *f)
{
	struct fetches *fs = f->owner;
	struct error e = f->error;

	if (!e.reason && f->whole)
		snprintf(e.detail, sizeof(e.detail), "%s", FETCH_WHOLE_NOTE);
	uint64_t bytes = f->spans.delivered;
	long status = f->answer.status;
	uint32_t id = f->id;

	log_debug("fetch %u of %s: %s, %llu bytes", id, f->url, reason_word(e.reason),
		(unsigned long long)bytes);
	fetch_free(f); /* closes the pipe: its reader sees the end before FETCHED, never after */
	fs->over(fs->ctx, id, &e, status, bytes);
	schedule(fs);
}

/* ---- one attempt ---- */

/* As many ranges as may be, with nothing between; one with what is between where the server knows
 * no better. */
static void write_range(struct fetch *f, char *text, size_t size)
{
	const struct spans *s = &f->spans;

	f->asked_parts = 1;
	spans_request(s, &f->asked_first, &f->asked_last);
	if (f->asked_last == UINT64_MAX) {
		snprintf(text, size, "%llu-", (unsigned long long)f->asked_first);
		return;
	}
	if (!f->one_range && s->n - s->at > 1) {
		f->asked_parts = spans_request_many(s, text, size, &f->asked_first, &f->asked_last);
		return;
	}
	snprintf(text, size, "%llu-%llu", (unsigned long long)f->asked_first,
		(unsigned long long)f->asked_last);
}

static int set_headers(struct fetch *f)
{
	char text[SPANS_TEXT_MAX];
	struct curl_slist *list;

	curl_slist_free_all(f->headers);
	f->headers = NULL;
	f->asked_range = f->spans.n > 0 || f->spans.delivered > 0;
	if (!f->asked_range)
		return curl_easy_setopt(f->easy, CURLOPT_RANGE, NULL) ? -ENOMEM : 0;
	write_range(f, text, sizeof(text));
	if (curl_easy_setopt(f->easy, CURLOPT_RANGE, text))
		return -ENOMEM;
	if (!entity_known(&f->entity))
		return 0;
	snprintf(text, sizeof(text), "If-Range: %s", entity_validator(&f->entity));
	list = curl_slist_append(NULL, text);
	f->headers = list;
	return list ? 0 : -ENOMEM;
}

static size_t on_header(char *line, size_t one, size_t size, void *userdata)
{
	struct fetch *f = userdata;

	return answer_header(&f->answer, line, size, &f->error) == EF_REASON_OK ? size : 0;
}

static size_t on_body(char *data, size_t one, size_t size, void *userdata)
{
	return fetch_body(userdata, data, size);
}

/*
 * S-27: who breaks off again and again before the rate is looked at would be endless. What the
 * least rate allows for all bytes, and some time more for connecting and pauses.
 */
static uint64_t time_allowed(const struct fetch *f)
{
	const struct net_settings *s = f->owner->settings;
	uint64_t bytes = f->spans.n ? 0 : f->max_size;

	for (size_t i = 0; i < f->spans.n; i++)
		bytes += f->ranges[i].size;
	uint64_t seconds = bytes / s->min_rate + s->grace_seconds;
	return seconds < YEAR_SECONDS ? seconds * USEC_PER_SEC : YEAR_SECONDS * USEC_PER_SEC;
}

static int begin(struct fetch *f)
{
	if (!f->easy) {
		f->easy = http_handle_new(f->owner->settings, f);
		if (!f->easy || curl_easy_setopt(f->easy, CURLOPT_URL, f->url) ||
			curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->curl_text) ||
			curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header) ||
			curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f) ||
			curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body) ||
			curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f))
			return -ENOMEM;
	}
	f->answer = (struct answer){.total = ANSWER_UNKNOWN};
	f->accepted = f->discard = f->satisfied = f->paused = f->finished = f->waited = false;
	f->ask_again = false;
	f->discarded = f->window_bytes = f->part_left = 0;
	f->before = f->spans.delivered;
	f->window_start = now_monotonic_us();
	if (f->deadline == 0)
		f->deadline = f->window_start + time_allowed(f);
	f->curl_text[0] = '\0';
	curl_easy_setopt(f->easy, CURLOPT_FRESH_CONNECT, f->fresh ? 1L : 0L);
	f->fresh = false;
	if (set_headers(f) < 0 || curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers))
		return -ENOMEM;
	int r = http_add(f->owner->http, f->easy);
	if (r < 0)
		return r;
	f->running = true;
	f->owner->n_running++;
	return 0;
}

/* True: the fetch was ended. */
static bool too_late(struct fetch *f)
{
	if (now_monotonic_us() < f->deadline)
		return false;
	error_clear(&f->error);
	error_set(&f->error, EF_REASON_NET_SLOW, "%s: not done in %llu s", f->path,
		(unsigned long long)(time_allowed(f) / USEC_PER_SEC));
	end(f);
	return true;
}

static void again(struct fetch *f, uint64_t delay_us)
{
	f->due = now_monotonic_us() + delay_us;
	f->waiting = true;
	schedule(f->owner);
}

/* The last failure stands in f->error; it is taken away when there is another try. */
static void retry(struct fetch *f, long retry_after)
{
	const struct net_settings *s = f->owner->settings;
	bool progress = f->spans.delivered - f->before >= PROGRESS_MIN;
	uint64_t delay = s->backoff_ms * USEC_PER_MSEC;

	if (too_late(f))
		return;
	f->failures = progress ? 1 : f->failures + 1;
	if (f->failures > s->retries || retry_after > RETRY_AFTER_MAX) {
		end(f);
		return;
	}
	if (f->spans.delivered > 0 && !entity_known(&f->entity)) {
		end(f); /* nothing to say that the rest would be of the same file */
		return;
	}
	delay = progress ? delay / 8 : backoff_us(delay, f->failures, BACKOFF_MAX_US);
	if (retry_after > 0) {
		uint64_t until = now_monotonic_us() + (uint64_t)retry_after * USEC_PER_SEC;
		if (until > f->owner->hold_until)
			f->owner->hold_until = until;
	}
	log_debug("fetch %u of %s: %s; trying again", f->id, f->url, f->error.detail);
	error_clear(&f->error);
	again(f, delay);
}

/* A kept connection may have been dead, or still hold what an earlier answer had too much. */
static bool was_reused(struct fetch *f)
{
	long connects = 1;

	curl_easy_getinfo(f->easy, CURLINFO_NUM_CONNECTS, &connects);
	return connects == 0 && f->answer.header_bytes == 0;
}

/* Without the key there would be a worse word for it: the server's. */
static enum ef_reason fault_of_key(struct fetch *f)
{
	const struct error *e = identity_fault(f->owner->settings->identity);

	return error_set(&f->error, EF_REASON_NET_KEY, "%s", e->detail);
}

static void failed(struct fetch *f)
{
	struct identity *identity = f->owner->settings->identity;
	bool transient;
	enum ef_reason reason = http_reason(f->code, &transient);
	const char *text = f->curl_text[0] ? f->curl_text : curl_easy_strerror(f->code);
	long verdict = 0; /* X509_V_OK */
	char note[96];

	if (reason == EF_REASON_NO_MEMORY && !f->accepted) {
		reason = EF_REASON_NET_HTTP; /* libcurl says so to a header line beyond 100 KiB */
		text = "a header line too long";
	}
	if (reason == EF_REASON_NET_TLS)
		identity_check(identity);
	if (identity_fault(identity)) {
		fault_of_key(f);
		end(f);
		return;
	}
	if (reason == EF_REASON_NET_TLS)
		curl_easy_getinfo(f->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
	error_set(&f->error, reason, "%s: %s%s", f->path, text,
		verdict_note(verdict, now_real_s(), EF_BUILT, note, sizeof(note)));
	f->fresh = was_reused(f);
	if (transient || f->fresh)
		retry(f, 0);
	else
		end(f);
}

/* The transfer is over and what it brought is in the pipe: what now? */
static void conclude(struct fetch *f)
{
	bool good = f->code == CURLE_OK || f->satisfied;
	curl_off_t retry_after = 0;

	f->finished = false;
	if (good && !f->accepted)
		fetch_accept(f); /* there was no body */
	if (f->error.reason) {
		end(f);
	} else if (f->ask_again) {
		again(f, 0);
	} else if (!good) {
		failed(f);
	} else if (f->discard) {
		curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &retry_after);
		error_set(&f->error, EF_REASON_NET_HTTP, "%s: HTTP status %ld%s", f->path,
			f->answer.status,
			retry_after > RETRY_AFTER_MAX ? ", come back much later" : "");
		retry(f, retry_after > INT32_MAX ? INT32_MAX : (long)retry_after);
	} else if (spans_done(&f->spans) ||
		   (f->spans.n == 0 &&
			   (f->total == ANSWER_UNKNOWN || f->spans.delivered == f->total))) {
		end(f);
	} else if (f->spans.delivered == f->before) {
		error_set(&f->error, EF_REASON_BAD_SIZE, "%s ends before byte %llu", f->path,
			(unsigned long long)spans_next(&f->spans));
		end(f);
	} else {
		again(f, 0);
	}
}

static void on_done(void *transfer, CURLcode code)
{
	struct fetch *f = transfer;

	f->running = false;
	f->owner->n_running--;
	f->code = code;
	f->finished = true;
	if (f->held_size == 0 || f->error.reason)
		conclude(f);
}

/* ---- the pipe ---- */

static int on_pipe(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct fetch *f = userdata;

	if (revents & (EPOLLERR | EPOLLHUP)) {
		/* with all that it wanted, the end of the answer is of no use */
		if (!spans_done(&f->spans))
			error_set(&f->error, EF_REASON_CANCELLED, "the reader went away");
		end(f);
		return 0;
	}
	fetch_flush(f);
	if (f->error.reason || f->satisfied) { /* the rest of the transfer is of no use */
		detach(f);
		f->finished = true;
	}
	if (f->held_size > 0)
		return 0;
	if (f->finished) {
		conclude(f);
	} else if (f->paused) {
		f->paused = false;
		http_resume(f->owner->http, f->easy);
	}
	return 0;
}

/* A pipe is made non-blocking and watched; a plain file can be neither and needs neither. */
static int watch_pipe(struct fetch *f)
{
	struct stat st;
	int flags = fcntl(f->fd, F_GETFL);

	if (flags < 0 || fstat(f->fd, &st) < 0)
		return -errno;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (S_ISREG(st.st_mode))
		return 0;
	if (!S_ISFIFO(st.st_mode))
		return -EINVAL;
	if (fcntl(f->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	fcntl(f->fd, F_SETPIPE_SZ, PIPE_WANTED); /* fewer turns; without it all works as well */
	return sd_event_add_io(f->owner->event, &f->pipe, f->fd, 0, on_pipe, f);
}

/* ---- all of them ---- */

/* Starts what is due while there is room, and sets the timer for what is not. */
static void schedule(struct fetches *fs)
{
	uint64_t now = now_monotonic_us(), next = UINT64_MAX;

	for (struct fetch *f = fs->list, *after; f; f = after) {
		uint64_t due = f->due > fs->hold_until ? f->due : fs->hold_until;
		after = f->next;
		if (!f->waiting)
			continue;
		if (due > now) {
			next = due < next ? due : next;
			continue;
		}
		if (fs->n_running >= FETCH_RUNNING_MAX)
			continue; /* comes up again when one ends */
		f->waiting = false;
		int r = begin(f);
		if (r < 0) {
			error_errno(&f->error, r, "%s", f->path);
			end(f); /* calls this again: the list may be another one */
			return;
		}
	}
	if (next != UINT64_MAX)
		sd_event_source_set_time(fs->timer, next);
	sd_event_source_set_enabled(
		fs->timer, next == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
	sd_event_source_set_enabled(fs->tick, fs->n_running > 0 ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	schedule(userdata);
	return 0;
}

/* False: the server has had a whole window of our full attention and used too little of it. */
static bool fast_enough(struct fetch *f, uint64_t now)
{
	const struct net_settings *s = f->owner->settings;

	if (f->waited || f->held_size > 0) {
		f->waited = false; /* the reader is what is slow */
		f->deadline += TICK_US;
	} else {
		if (now - f->window_start < s->min_rate_seconds * USEC_PER_SEC)
			return true;
		if (f->window_bytes < s->min_rate * s->min_rate_seconds)
			return false;
	}
	f->window_start = now;
	f->window_bytes = 0;
	return true;
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct fetches *fs = userdata;
	uint64_t now = now_monotonic_us();

	sd_event_source_set_time_relative(s, TICK_US);
	for (struct fetch *f = fs->list; f; f = f->next) {
		if (!f->running)
			continue;
		if (fast_enough(f, now)) {
			if (too_late(f))
				return 0; /* as below */
			continue;
		}
		error_set(&f->error, EF_REASON_NET_SLOW, "%s: less than %llu bytes/s over %llu s",
			f->path, (unsigned long long)fs->settings->min_rate,
			(unsigned long long)fs->settings->min_rate_seconds);
		end(f);
		return 0; /* the list is another one now; the others have their turn next time */
	}
	return 0;
}

int fetches_new(struct fetches **ret, sd_event *event, const struct net_settings *settings,
	fetch_over over, void *ctx)
{
	struct fetches *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return -ENOMEM;
	*fs = (struct fetches){
		.event = sd_event_ref(event), .settings = settings, .over = over, .ctx = ctx};
	int r = http_new(&fs->http, event, on_done);
	if (r >= 0)
		r = sd_event_add_time(event, &fs->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, fs);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &fs->tick, CLOCK_MONOTONIC, TICK_US, 0, on_tick, fs);
	if (r < 0) {
		fetches_free(fs);
		return r;
	}
	schedule(fs);
	*ret = fs;
	return 0;
}

void fetches_free(struct fetches *fs)
{
	if (!fs)
		return;
	while (fs->list)
		fetch_free(fs->list);
	http_free(fs->http);
	sd_event_source_disable_unref(fs->timer);
	sd_event_source_disable_unref(fs->tick);
	sd_event_unref(fs->event);
	free(fs);
}

/* Url= and the path below it; what has a meaning in URLs is escaped in the path. */
static char *make_url(const struct net_settings *s, const char *path)
{
	size_t n = s->url_size + 2 + 3 * strlen(path);
	char *url = malloc(n), *out = url;

	if (!url)
		return NULL;
	out += snprintf(out, n, "%.*s/", (int)s->url_size, s->url);
	for (; *path; path++) {
		static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					    "0123456789-._~/@:+=,!$&()*";
		if (strchr(plain, *path))
			*out++ = *path;
		else
			out += snprintf(out, 4, "%%%02X", (unsigned char)*path);
	}
	*out = '\0';
	return url;
}

static enum ef_reason prepare(struct fetch *f, const struct ipc_fetch *request,
	const struct ipc_range *ranges, const char *path)
{
	const struct net_settings *s = f->owner->settings;
	uint64_t sum = 0;

	snprintf(f->path, sizeof(f->path), "%s", path);
	for (size_t i = 0; i < request->n_ranges; i++)
		sum += ranges[i].size;
	if (sum > request->max_size)
		return error_set(&f->error, EF_REASON_USAGE, "ranges are more than the limit");
	if (f->owner->n > FETCH_QUEUE_MAX)
		return error_set(&f->error, EF_REASON_BUSY, "%u fetches wait", FETCH_QUEUE_MAX);
	if (!s->url && !ipc_is_url(path))
		return error_set(&f->error, EF_REASON_CONFIG, "no Url= is configured");
	if (identity_fault(s->identity))
		return fault_of_key(f);
	f->url = ipc_is_url(path) ? strdup(path) : make_url(s, path);
	if (request->n_ranges > 0) {
		size_t bytes = request->n_ranges * sizeof(*ranges);
		f->ranges = malloc(bytes);
		if (f->ranges)
			memcpy(f->ranges, ranges, bytes);
	}
	if (!f->url || (request->n_ranges > 0 && !f->ranges))
		return error_set(&f->error, EF_REASON_NO_MEMORY, "%s", path);
	f->spans = (struct spans){.ranges = f->ranges, .n = request->n_ranges};
	int r = watch_pipe(f);
	return r < 0 ? error_errno(&f->error, r, "pipe of the fetch") : EF_REASON_OK;
}

void fetches_start(struct fetches *fs, uint32_t id, const struct ipc_fetch *request,
	const struct ipc_range *ranges, const char *path, int fd)
{
	struct fetch *f = calloc(1, sizeof(*f)), **last = &fs->list;

	if (!f) {
		struct error e = {0};
		ef_close(fd);
		error_set(&e, EF_REASON_NO_MEMORY, "%s", path);
		fs->over(fs->ctx, id, &e, 0, 0);
		return;
	}
	*f = (struct fetch){.owner = fs, .id = id, .fd = fd, .total = ANSWER_UNKNOWN};
	f->max_size = request->max_size;
	while (*last)
		last = &(*last)->next;
	*last = f; /* first come, first served */
	fs->n++;
	if (prepare(f, request, ranges, path) != EF_REASON_OK)
		end(f);
	else
		again(f, 0);
}

void fetches_cancel(struct fetches *fs, uint32_t id)
{
	for (struct fetch *f = fs->list; f; f = f->next) {
		if (f->id != id)
			continue;
		error_set(&f->error, EF_REASON_CANCELLED, "%s", f->path);
		end(f);
		return;
	}
}
