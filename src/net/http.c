/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http.h"
#include "net/identity.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define CONNECT_SECONDS 30L
#define REDIRECTS 3L
#define CONNECTIONS_KEPT 8L

struct http {
	sd_event *event;
	CURLM *multi;
	sd_event_source *timer;
	http_done done;
};

static void reap(struct http *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		CURL *easy = m->easy_handle;
		CURLcode code = m->data.result;
		void *transfer = NULL;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
		curl_multi_remove_handle(h->multi, easy);
		h->done(transfer, code);
	}
}

static int on_socket(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct http *h = userdata;
	int flags = 0, running;

	if (revents & EPOLLIN)
		flags |= CURL_CSELECT_IN;
	if (revents & EPOLLOUT)
		flags |= CURL_CSELECT_OUT;
	if (revents & (EPOLLERR | EPOLLHUP))
		flags |= CURL_CSELECT_IN | CURL_CSELECT_ERR;
	curl_multi_socket_action(h->multi, fd, flags, &running);
	reap(h);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct http *h = userdata;
	int running;

	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(h);
	return 0;
}

static int socket_callback(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket)
{
	struct http *h = userdata;
	sd_event_source *source = socket;
	uint32_t events = 0;

	if (what == CURL_POLL_REMOVE) {
		sd_event_source_disable_unref(source);
		curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (source)
		return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
	if (sd_event_add_io(h->event, &source, fd, events, on_socket, h) < 0)
		return -1;
	curl_multi_assign(h->multi, fd, source);
	return 0;
}

static int timer_callback(CURLM *multi, long ms, void *userdata)
{
	struct http *h = userdata;

	if (ms < 0)
		return sd_event_source_set_enabled(h->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
	if (sd_event_source_set_time_relative(h->timer, (uint64_t)ms * 1000) < 0 ||
		sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT) < 0)
		return -1;
	return 0;
}

int http_new(struct http **ret, sd_event *event, http_done done)
{
	struct http *h = calloc(1, sizeof(*h));
	int r = -ENOMEM;

	if (!h)
		return r;
	h->event = sd_event_ref(event);
	h->done = done;
	h->multi = curl_multi_init();
	if (h->multi)
		r = sd_event_add_time_relative(
			event, &h->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, h);
	if (r >= 0)
		r = sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
	if (r < 0) {
		http_free(h);
		return r;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, socket_callback);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, timer_callback);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
	/* One transfer a connection: a reader that pauses one stream would halt its neighbours. */
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	*ret = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	if (h->multi) /* still takes its sockets out of the loop */
		curl_multi_cleanup(h->multi);
	sd_event_source_disable_unref(h->timer);
	sd_event_unref(h->event);
	free(h);
}

static CURLcode set_trust(CURL *easy, const char *ca_file)
{
	CURLcode r = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);

	r = r ? r : curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	r = r ? r : curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	if (r == CURLE_OK && ca_file) {
		r = curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
		/* Distributions build a directory in: the system's authorities would count too. */
		r = r ? r : curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	return r;
}

static CURLcode on_tls(CURL *easy, void *tls, void *identity)
{
	return identity_use(identity, tls) ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

static CURLcode set_client(CURL *easy, const struct net_settings *s)
{
	if (!s->identity)
		return CURLE_OK;
	CURLcode r = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls);
	return r ? r : curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, s->identity);
}

CURL *http_handle_new(const struct net_settings *s, void *transfer)
{
	CURL *easy = curl_easy_init();

	if (!easy)
		return NULL;
	CURLcode r = set_trust(easy, s->ca_file);
	r = r ? r : set_client(easy, s);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_PROXY, "");
	r = r ? r : curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_MAXREDIRS, REDIRECTS);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	/* One transfer at a time gains nothing from HTTP/2 but frames, windows and memory. */
	r = r ? r : curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_USERAGENT, "edgeferry/" EF_VERSION);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 131072L);
	/* A name that is still being looked up must not hold up the loop when its fetch ends. */
	r = r ? r : curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	if (r != CURLE_OK) {
		curl_easy_cleanup(easy);
		return NULL;
	}
	return easy;
}

int http_add(struct http *h, CURL *easy)
{
	return curl_multi_add_handle(h->multi, easy) == CURLM_OK ? 0 : -ENOMEM;
}

void http_remove(struct http *h, CURL *easy)
{
	curl_multi_remove_handle(h->multi, easy);
}

void http_resume(struct http *h, CURL *easy)
{
	curl_easy_pause(easy, CURLPAUSE_CONT);
}

enum ef_reason http_reason(CURLcode code, bool *transient)
{
	static const struct {
		CURLcode code;
		enum ef_reason reason;
		bool transient;
	} table[] = {
		{CURLE_COULDNT_RESOLVE_HOST, EF_REASON_NET_UNREACHABLE, true},
		{CURLE_COULDNT_CONNECT, EF_REASON_NET_UNREACHABLE, true},
		{CURLE_OPERATION_TIMEDOUT, EF_REASON_NET_UNREACHABLE, true},
		{CURLE_SEND_ERROR, EF_REASON_NET_UNREACHABLE, true},
		{CURLE_RECV_ERROR, EF_REASON_NET_UNREACHABLE, true},
		{CURLE_PARTIAL_FILE, EF_REASON_NET_UNREACHABLE, true},
		{CURLE_GOT_NOTHING, EF_REASON_NET_UNREACHABLE, true},
		{CURLE_HTTP2, EF_REASON_NET_UNREACHABLE, true},
		{CURLE_HTTP2_STREAM, EF_REASON_NET_UNREACHABLE, true},
		{CURLE_SSL_CONNECT_ERROR, EF_REASON_NET_TLS, true}, /* also a reset in it */
		{CURLE_PEER_FAILED_VERIFICATION, EF_REASON_NET_TLS, false},
		{CURLE_SSL_CACERT_BADFILE, EF_REASON_NET_TLS, false},
		{CURLE_SSL_CERTPROBLEM, EF_REASON_NET_TLS, false},
		{CURLE_SSL_CIPHER, EF_REASON_NET_TLS, false},
		{CURLE_SSL_ISSUER_ERROR, EF_REASON_NET_TLS, false},
		{CURLE_OUT_OF_MEMORY, EF_REASON_NO_MEMORY, false},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].code == code) {
			*transient = table[i].transient;
			return table[i].reason;
		}
	*transient = false;
	return EF_REASON_NET_HTTP; /* redirects that lead astray, garbage for an answer */
}
