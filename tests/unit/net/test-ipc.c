/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "net/ipc-config.h"
#include "net/ipc.h"
#include "net/settings.h"
#include "util/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int a, b;
static struct ipc_message m;

static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	a = pair[0];
	b = pair[1];
}

static void teardown(void)
{
	ef_close(a);
	ef_close(b);
}

START_TEST(test_message)
{
	uint8_t big[IPC_MESSAGE_MAX + 1] = {1, 2, 3};

	ck_assert_int_eq(ipc_receive(b, &m), -EAGAIN);
	ck_assert_int_eq(ipc_send(a, IPC_REPORT, 7, "abc", 3, -1), 0);
	ck_assert_int_eq(ipc_receive(b, &m), 1);
	ck_assert_uint_eq(m.head.type, IPC_REPORT);
	ck_assert_uint_eq(m.head.id, 7);
	ck_assert_uint_eq(m.size, 3);
	ck_assert_mem_eq(m.payload, "abc", 3);
	ck_assert_int_eq(m.fd, -1);
	ck_assert_int_eq(ipc_send(a, IPC_REPORT, 7, big, IPC_MESSAGE_MAX, -1), 0);
	ck_assert_int_eq(ipc_receive(b, &m), 1);
	ck_assert_uint_eq(m.size, IPC_MESSAGE_MAX);
	ck_assert_int_eq(ipc_send(a, IPC_REPORT, 7, big, sizeof(big), -1), -EMSGSIZE);
	a = ef_close(a);
	ck_assert_int_eq(ipc_receive(b, &m), 0);
}
END_TEST

/* Not a head, too long for the buffer: an error, never part of a message. */
START_TEST(test_malformed)
{
	static uint8_t big[sizeof(struct ipc_head) + IPC_MESSAGE_MAX + 1];

	ck_assert_int_eq(send(a, big, 7, 0), 7);
	ck_assert_int_eq(ipc_receive(b, &m), -EBADMSG);
	ck_assert_int_eq(send(a, big, sizeof(big), 0), sizeof(big));
	ck_assert_int_eq(ipc_receive(b, &m), -EBADMSG);
}
END_TEST

START_TEST(test_full)
{
	int r = 0;

	for (int i = 0; r == 0 && i < 100000; i++)
		r = ipc_send(a, IPC_ACK, 1, NULL, 0, -1);
	ck_assert_int_eq(r, -EAGAIN);
}
END_TEST

static void send_fds(int n, int fd)
{
	struct ipc_head head = {.type = IPC_FETCH};
	struct iovec v = {.iov_base = &head, .iov_len = sizeof(head)};
	char space[CMSG_SPACE(8 * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct msghdr msg = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	for (int i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(a, &msg, 0), sizeof(head));
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* F-12: more descriptors than one are refused, and none is left open. */
START_TEST(test_descriptors)
{
	int before = count_fds();

	ck_assert_int_eq(ipc_send(a, IPC_FETCH, 1, NULL, 0, 0), 0);
	ck_assert_int_eq(ipc_receive(b, &m), 1);
	ck_assert_int_ge(m.fd, 3);
	ck_assert_int_eq(fcntl(m.fd, F_GETFD), FD_CLOEXEC);
	m.fd = ef_close(m.fd);
	for (int n = 2; n <= 8; n += 3) {
		send_fds(n, 0);
		ck_assert_int_eq(ipc_receive(b, &m), -EBADMSG);
	}
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(test_fetch)
{
	static struct ipc_range many[IPC_RANGES_MAX + 1];
	const struct ipc_range two[] = {{10, 20}, {1, 2}}, *ranges;
	struct ipc_fetch f;
	char path[64];

	ck_assert_int_eq(ipc_send_fetch(a, 9, "metadata/1.root.json", 500, two, 2, 0), 0);
	ck_assert_int_eq(ipc_receive(b, &m), 1);
	m.fd = ef_close(m.fd);
	ck_assert(ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)));
	ck_assert_str_eq(path, "metadata/1.root.json");
	ck_assert_uint_eq(f.max_size, 500);
	ck_assert_uint_eq(f.n_ranges, 2);
	ck_assert_mem_eq(ranges, two, sizeof(two));
	ck_assert(!ipc_parse_fetch(&m, &f, &ranges, path, 20)); /* no room for the path */
	for (size_t i = 0; i <= IPC_RANGES_MAX; i++)
		many[i] = (struct ipc_range){i, 1};
	ck_assert_int_eq(ipc_send_fetch(a, 9, "x", 500, many, IPC_RANGES_MAX, 0), 0);
	ck_assert_int_eq(ipc_receive(b, &m), 1);
	m.fd = ef_close(m.fd);
	ck_assert(ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)));
	ck_assert_int_eq(ipc_send_fetch(a, 9, "x", 500, many, IPC_RANGES_MAX + 1, 0), -EMSGSIZE);
}
END_TEST

/* S-25, on the receiver's side too: a sender that does not check is not believed. */
START_TEST(test_paths)
{
	static const struct {
		const char *path;
		bool good;
	} cases[] = {{"a", true}, {"a/b.json", true}, {"...", true}, {"a/.b/c..", true},
		{"a b", true}, {"", false}, {"/a", false}, {"a/", false}, {"a//b", false},
		{".", false}, {"..", false}, {"a/..", false}, {"a/../b", false}, {"./a", false},
		{"a\nb", false}, {"a\x7f", false}, {"a\\b", false}};
	const struct ipc_range *ranges;
	struct ipc_fetch f;
	char path[64];

	m.head.type = IPC_FETCH;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *p = cases[i].path;
		f = (struct ipc_fetch){.path_size = (uint32_t)strlen(p)};
		memcpy(m.payload, &f, sizeof(f));
		memcpy(m.payload + sizeof(f), p, strlen(p));
		m.size = sizeof(f) + strlen(p);
		ck_assert_msg(ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)) == cases[i].good,
			"\"%s\"", p);
		ck_assert_int_eq(
			ipc_send_fetch(a, 1, p, 1, NULL, 0, -1), cases[i].good ? 0 : -EINVAL);
	}
	/* addresses are messages of their own, and no path below Url= */
	static const struct {
		const char *url;
		bool good;
	} urls[] = {{"https://a/b", true}, {"https://a.example:8443/b/c.ferry?x=1&y=%20", true},
		{"https://[::1]/b", true}, {"http://a/b", false}, {"HTTPS://a/b", false},
		{"file:///etc/passwd", false}, {"https:///b", false}, {"https://a", false},
		{"https://a/", false}, {"https://u@a/b", false}, {"https://u:p@a/b", false},
		{"https://a/b#c", false}, {"https://a/b c", false}, {"https://a/b\nc", false},
		{"https://a/\xc3\xa9", false}, {"https://a\\b/c", false}, {"https://:80/b", false},
		{"a/b", false}, {"", false}};
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		const char *p = urls[i].url;
		f = (struct ipc_fetch){.path_size = (uint32_t)strlen(p)};
		memcpy(m.payload, &f, sizeof(f));
		memcpy(m.payload + sizeof(f), p, strlen(p));
		m.size = sizeof(f) + strlen(p);
		m.head.type = IPC_FETCH_URL;
		ck_assert_msg(ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)) == urls[i].good,
			"\"%s\"", p);
		ck_assert(ipc_url_good(p) == urls[i].good);
		m.head.type = IPC_FETCH;
		if (urls[i].good)
			ck_assert(!ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)));
		if (ipc_is_url(p))
			ck_assert_int_eq(ipc_send_fetch(a, 1, p, 1, NULL, 0, -1),
				urls[i].good ? 0 : -EINVAL);
	}
	/* a NUL ends nothing early */
	f = (struct ipc_fetch){.path_size = 3};
	memcpy(m.payload, &f, sizeof(f));
	memcpy(m.payload + sizeof(f), "a\0b", 3);
	m.size = sizeof(f) + 3;
	ck_assert(!ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)));
}
END_TEST

/* S-07 */
START_TEST(test_range_arithmetic)
{
	static const struct {
		struct ipc_range r[2];
		bool good;
	} cases[] = {
		{{{0, 1}, {0, 1}}, true},
		{{{INT64_MAX - 10, 10}, {0, 1}}, true},
		{{{INT64_MAX - 10, 11}, {0, 1}}, false},
		{{{5, 0}, {0, 1}}, false},
		{{{UINT64_MAX, 2}, {0, 1}}, false},
		{{{1, UINT64_MAX}, {0, 1}}, false},
		{{{0, INT64_MAX}, {0, INT64_MAX}}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_int_eq(ipc_send_fetch(a, 1, "x", 1, cases[i].r, 2, -1),
			cases[i].good ? 0 : -EINVAL);
}
END_TEST

/* Every shorter and longer form of a good message is refused. */
START_TEST(test_sizes)
{
	const struct ipc_range one = {1, 2}, *ranges;
	struct ipc_fetch f;
	char path[64];

	ck_assert_int_eq(ipc_send_fetch(a, 9, "abc", 500, &one, 1, -1), 0);
	ck_assert_int_eq(ipc_receive(b, &m), 1);
	size_t good = m.size;
	for (m.size = 0; m.size < good + 20; m.size++)
		ck_assert(ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)) == (m.size == good));
	m.size = good;
	for (uint32_t n = 0; n < 100; n++) {
		memcpy(&f, m.payload, sizeof(f));
		f.n_ranges = n * 43000000u + 1;
		memcpy(m.payload, &f, sizeof(f));
		ck_assert(ipc_parse_fetch(&m, &f, &ranges, path, sizeof(path)) == (n == 0));
	}
}
END_TEST

/* What the core writes is what net reads. */
START_TEST(test_config)
{
	struct config c = {.url = "https://example.com/repo/",
		.ca_file = "/ca",
		.id = "gw-1",
		.product = "demo",
		.mqtt_prefix = "plant/edgeferry",
		.mqtt_host = "broker",
		.mqtt_port = 8883,
		.mqtt_username = "u",
		.mqtt_password_file = "/pw"};
	struct net_settings s;
	struct error e = {0};
	_cleanup_free_ char *json = NULL;

	ck_assert_int_eq(ipc_config_format(&c, &json), 0);
	ck_assert_int_eq(net_settings_parse(&s, json, strlen(json), &e), EF_REASON_OK);
	ck_assert_uint_eq(s.url_size, strlen("https://example.com/repo"));
	ck_assert_str_eq(s.ca_file, "/ca");
	ck_assert_str_eq(s.mqtt_host, "broker");
	ck_assert_ptr_null(s.mqtt_ca_file);
	ck_assert_str_eq(s.mqtt_password_file, "/pw");
	ck_assert_uint_eq(s.mqtt_port, 8883);
	ck_assert_uint_eq(s.min_rate, 1024);
	ck_assert_uint_eq(s.min_rate_seconds, 60);
	net_settings_free(&s);
	c.mqtt_host = c.url = NULL;
	free(TAKE_PTR(json));
	ck_assert_int_eq(ipc_config_format(&c, &json), 0);
	ck_assert_int_eq(net_settings_parse(&s, json, strlen(json), &e), EF_REASON_OK);
	ck_assert_ptr_null(s.url);
	ck_assert_ptr_null(s.mqtt_host);
	net_settings_free(&s);
}
END_TEST

/* Read here, so that the child need not be able to; one that cannot be read is left out. */
START_TEST(test_client_files)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";
	char dir[] = "/tmp/ef-ipc-XXXXXX", path[64];
	struct config c = {.id = "gw-1", .product = "demo", .mqtt_prefix = "edgeferry"};
	struct net_settings s;
	struct error e = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/cert", dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(pem, f);
	fclose(f);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	c.cert = path;
	c.cert_key = "credential:cert";
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *json = NULL;

		ck_assert_int_eq(ipc_config_format(&c, &json), 0);
		ck_assert_int_eq(net_settings_parse(&s, json, strlen(json), &e), EF_REASON_OK);
		ck_assert_str_eq(s.cert, pem);
		if (i == 0)
			ck_assert_str_eq(s.cert_key, pem);
		else
			ck_assert_ptr_null(s.cert_key);
		net_settings_free(&s);
		c.cert_key = "credential:none";
	}
	unlink(path);
	rmdir(dir);
}
END_TEST

/* The key stays in its token; of its PIN only the core knows where it is (S-31). */
START_TEST(test_client_token)
{
	char dir[] = "/tmp/ef-ipc-XXXXXX", path[64], uri[128];
	struct config c = {.id = "gw-1",
		.product = "demo",
		.mqtt_prefix = "edgeferry",
		.token_socket = "/run/x",
		.cert_key = uri};
	static const char *const expected[] = {"pkcs11:token=a;object=b?pin-value=12%2034",
		"pkcs11:token=a;object=b?pin-value=12%2034", "pkcs11:token=a;object=b", NULL};
	struct net_settings s;
	struct error e = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pin", dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs("12 34\n", f);
	fclose(f);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	for (int i = 0; i < 4; i++) {
		_cleanup_free_ char *json = NULL;
		snprintf(uri, sizeof(uri), "pkcs11:token=a;object=b%s%s",
			i == 2 ? "" : "?pin-source=",
			i == 0	 ? "credential:pin"
			: i == 3 ? "credential:none"
				 : "");
		if (i == 1)
			snprintf(uri + strlen(uri), sizeof(uri) - strlen(uri), "file:%s", path);
		ck_assert_int_eq(ipc_config_format(&c, &json), 0);
		ck_assert_int_eq(net_settings_parse(&s, json, strlen(json), &e), EF_REASON_OK);
		ck_assert_str_eq(s.token_socket, "/run/x");
		if (expected[i])
			ck_assert_str_eq(s.cert_key, expected[i]);
		else
			ck_assert_ptr_null(s.cert_key);
		net_settings_free(&s);
	}
	unlink(path);
	rmdir(dir);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ipc");
	TCase *t = tcase_create("ipc");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_message);
	tcase_add_test(t, test_client_files);
	tcase_add_test(t, test_client_token);
	tcase_add_test(t, test_malformed);
	tcase_add_test(t, test_full);
	tcase_add_test(t, test_descriptors);
	tcase_add_test(t, test_fetch);
	tcase_add_test(t, test_paths);
	tcase_add_test(t, test_range_arithmetic);
	tcase_add_test(t, test_sizes);
	tcase_add_test(t, test_config);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
