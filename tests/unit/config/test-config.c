/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "config/config.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

static char dir[40];

static void setup(void)
{
	char path[64];

	strcpy(dir, "/tmp/ef-config-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/conf.d", dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/nodes.d", dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void teardown(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static const char *put(const char *name, const char *text)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_full(fd, text, strlen(text)), 0);
	return path;
}

#define BASE "[Gateway]\nProduct=demo\nCompatible=vendor.example,gw\nId=gw-1\n"

static struct config *load_good(void)
{
	struct config *c = NULL;
	struct error e = {0};

	ck_assert_msg(config_load(dir, &c, &e) == EF_REASON_OK, "%s", e.detail);
	ck_assert_ptr_nonnull(c);
	return c;
}

/* Loads, is refused, and the detail is DIR/ followed by what was expected. */
static void load_bad(const char *expected)
{
	struct config *const untouched = (struct config *)&dir, *c = untouched;
	struct error e = {0};
	char detail[256];

	ck_assert_int_eq(config_load(dir, &c, &e), EF_REASON_CONFIG);
	snprintf(detail, sizeof(detail), "%s/%s", dir, expected);
	ck_assert_str_eq(e.detail, detail);
	ck_assert_ptr_eq(c, untouched);
}

START_TEST(vendor_defaults)
{
	put("edgeferry.conf", BASE);
	struct config *c = load_good();

	ck_assert_str_eq(c->product, "demo");
	ck_assert_uint_eq(c->hardware, 1);
	ck_assert_str_eq(c->state_dir, "/var/lib/edgeferry");
	ck_assert_str_eq(c->runtime_dir, "/run/edgeferry");
	ck_assert_ptr_null(c->url);
	ck_assert_uint_eq(c->poll_us, 3600000000);
	ck_assert_ptr_null(c->mqtt_host);
	ck_assert_uint_eq(c->mqtt_port, 8883);
	ck_assert_str_eq(c->mqtt_prefix, "edgeferry");
	ck_assert_str_eq(c->network_user, "edgeferry-net");
	ck_assert_str_eq(c->boot, "sim");
	ck_assert_ptr_null(c->slot_a);
	ck_assert_int_eq(c->automatic, AUTOMATIC_SECURITY);
	ck_assert_str_eq(c->checks_dir, "/etc/edgeferry/checks.d");
	ck_assert_uint_eq(c->check_us, 300000000);
	ck_assert_uint_eq(c->object_quota, 64 << 20);
	ck_assert_uint_eq(c->window.from, c->window.to);
	ck_assert_uint_eq(c->window_days, 0x7f);
	ck_assert_int_eq(c->reboot, REBOOT_WINDOW);
	ck_assert_uint_eq(c->postpone_max, 7 * 86400 * 1000000ULL);
	ck_assert(c->catch_up);
	ck_assert(c->check_services);
	ck_assert_uint_eq(c->n_nodes, 0);
	config_free(c);
}
END_TEST

START_TEST(every_key)
{
	put("edgeferry.conf", BASE
		"Hardware=3\nStateDirectory=/srv/state/\nRuntimeDirectory=/run/x\n"
		"[Source]\nURL=https://updates.example/fw//\nCAFile=/etc/ca.pem\nPollSec=1min 30s\n"
		"ClientCertificate=/etc/c.pem\nClientKey=credential:key\n"
		"[Mqtt]\nBroker=[::1]:1234\nCAFile=/etc/m.pem\nUsername=u\nPasswordFile=/etc/"
		"p\nTopicPrefix=a/b/\n"
		"ClientCertificate=/etc/d.pem\nClientKey=pkcs11:token=t;object=o?pin-source=file:/"
		"p\n"
		"[Network]\nUser=nobody\nTokenSocket=/run/t\n"
		"[Slots]\nBoot=sim\nBootDirectory=/b\nA=/dev/a\nB=/dev/b\nBootA=/dev/c\nBootB=/dev/"
		"d\n"
		"[Update]\nAutomatic=all\nChecksDirectory=/c\nConfirmSec=10\nObjectQuota=3G\n"
		"Window=22:00-05:30\nWindowDays=Fri..Mon "
		"Wed\nReboot=request\nPostponeMax=1d\nCatchUp=no\nCheckServices=no\n");
	struct config *c = load_good();

	ck_assert_uint_eq(c->hardware, 3);
	ck_assert_str_eq(c->id, "gw-1");
	ck_assert_str_eq(c->state_dir, "/srv/state");
	ck_assert_str_eq(c->runtime_dir, "/run/x");
	ck_assert_str_eq(c->url, "https://updates.example/fw");
	ck_assert_str_eq(c->ca_file, "/etc/ca.pem");
	ck_assert_uint_eq(c->poll_us, 90000000);
	ck_assert_str_eq(c->cert, "/etc/c.pem");
	ck_assert_str_eq(c->cert_key, "credential:key");
	ck_assert_str_eq(c->mqtt_cert_key, "pkcs11:token=t;object=o?pin-source=file:/p");
	ck_assert_str_eq(c->token_socket, "/run/t");
	ck_assert_str_eq(c->mqtt_host, "::1");
	ck_assert_uint_eq(c->mqtt_port, 1234);
	ck_assert_str_eq(c->mqtt_ca_file, "/etc/m.pem");
	ck_assert_str_eq(c->mqtt_username, "u");
	ck_assert_str_eq(c->mqtt_password_file, "/etc/p");
	ck_assert_str_eq(c->mqtt_prefix, "a/b");
	ck_assert_str_eq(c->network_user, "nobody");
	ck_assert_str_eq(c->boot_dir, "/b");
	ck_assert_str_eq(c->slot_a, "/dev/a");
	ck_assert_str_eq(c->slot_b, "/dev/b");
	ck_assert_str_eq(c->boot_a, "/dev/c");
	ck_assert_str_eq(c->boot_b, "/dev/d");
	ck_assert_int_eq(c->automatic, AUTOMATIC_ALL);
	ck_assert_str_eq(c->checks_dir, "/c");
	ck_assert_uint_eq(c->check_us, 10000000);
	ck_assert_uint_eq(c->object_quota, 3ULL << 30);
	ck_assert_uint_eq(c->window.from, 22 * 60);
	ck_assert_uint_eq(c->window.to, 5 * 60 + 30);
	ck_assert_uint_eq(c->window_days, 0x6b); /* Fri Sat Sun Mon, Wed */
	ck_assert_int_eq(c->reboot, REBOOT_REQUEST);
	ck_assert_uint_eq(c->postpone_max, 86400 * 1000000ULL);
	ck_assert(!c->catch_up);
	ck_assert(!c->check_services);
	config_free(c);
}
END_TEST

START_TEST(drop_ins_in_order)
{
	put("edgeferry.conf", BASE "[Source]\nPollSec=1s\nURL=https://a/\n[Mqtt]\nBroker=h:1\n");
	put("conf.d/20-b.conf", "[Source]\nPollSec=3s\nURL=\n");
	put("conf.d/10-a.conf", "[Source]\nPollSec=2s\n[Mqtt]\nBroker=other\n");
	put("conf.d/99.conf.disabled", "[Nonsense]\n");
	put("conf.d/.hidden.conf", "[Nonsense]\nx=1\n");
	struct config *c = load_good();

	ck_assert_uint_eq(c->poll_us, 3000000);
	ck_assert_ptr_null(c->url); /* taken back by an empty value */
	ck_assert_str_eq(c->mqtt_host, "other");
	ck_assert_uint_eq(c->mqtt_port, 8883); /* a broker brings its own port */
	config_free(c);
}
END_TEST

START_TEST(nodes)
{
	put("edgeferry.conf", BASE);
	put("nodes.d/meter.conf",
		"[Node]\nCompatible=v.example,an385\nDevice=/dev/ttyACM0\nBaudRate=1000000\n"
		"Security=none\nOptional=yes\n");
	put("nodes.d/badge.conf",
		"[Node]\nCompatible=v.example,microbit\nLink=sim\nDevice=/run/sock\n"
		"Key=/etc/edgeferry/keys/badge\n");
	struct config *c = load_good();

	ck_assert_uint_eq(c->n_nodes, 2);
	ck_assert_str_eq(c->nodes[0].name, "badge");
	ck_assert_str_eq(c->nodes[0].link, "sim");
	ck_assert_uint_eq(c->nodes[0].baud, 115200);
	ck_assert_int_eq(c->nodes[0].security, SECURITY_SESSION);
	ck_assert_str_eq(c->nodes[0].key, "/etc/edgeferry/keys/badge");
	ck_assert_ptr_null(c->nodes[1].key);
	ck_assert(c->nodes[0].required);
	ck_assert_str_eq(c->nodes[1].name, "meter");
	ck_assert_str_eq(c->nodes[1].compatible, "v.example,an385");
	ck_assert_str_eq(c->nodes[1].link, "uart");
	ck_assert_str_eq(c->nodes[1].device, "/dev/ttyACM0");
	ck_assert_uint_eq(c->nodes[1].baud, 1000000);
	ck_assert_int_eq(c->nodes[1].security, SECURITY_NONE);
	ck_assert(!c->nodes[1].required);
	config_free(c);
}
END_TEST

#define NODE "[Node]\nCompatible=v.example,b\n"

START_TEST(node_wiring)
{
	put("edgeferry.conf", BASE);
	put("nodes.d/a.conf",
		NODE "Device=/dev/serial/by-id/x\nBaudRateMax=3000000\nRS485=yes\nKey=/k\n"
		     "Entry=lines\nResetLine=!pinctrl-rp1:17\nBootLine=MCU_BOOT0\n"
		     "ResetSec=5ms\nBootSec=1s\n");
	put("nodes.d/b.conf", NODE "Link=udp\nDevice=[fe80::7%lo]:99\nKey=/k\nEntry=smp\n");
	put("nodes.d/c.conf", NODE "Link=udp\nDevice=192.0.2.7\nSecurity=none\nExposed=yes\n");
	put("nodes.d/d.conf", NODE
		"Link=spi\nDevice=/dev/spidev0.0\nClockRate=8000000\nReadyLine=pinctrl-rp1:25\n"
		"Key=/k\n");
	put("nodes.d/e.conf", NODE "Link=ble\nDevice=c0:11:22:33:44:5f\nKey=/k\n");
	put("nodes.d/f.conf", NODE "Link=ble\nDevice=name:Pump 7\nKey=/k\n");
	struct config *c = load_good();

	ck_assert_str_eq(c->nodes[4].device, "C0:11:22:33:44:5F");
	ck_assert_str_eq(c->nodes[5].device, "name:Pump 7");
	ck_assert_ptr_null(c->adapter);
	ck_assert_uint_eq(c->connections, 4);
	ck_assert_uint_eq(c->nodes[0].baud_max, 3000000);
	ck_assert(c->nodes[0].rs485);
	ck_assert_int_eq(c->nodes[0].entry, ENTRY_LINES);
	ck_assert_str_eq(c->nodes[0].reset_line, "!pinctrl-rp1:17");
	ck_assert_str_eq(c->nodes[0].boot_line, "MCU_BOOT0");
	ck_assert_uint_eq(c->nodes[0].reset_us, 5000);
	ck_assert_uint_eq(c->nodes[0].boot_us, 1000000);
	ck_assert_int_eq(c->nodes[1].entry, ENTRY_SMP);
	ck_assert_str_eq(c->nodes[1].device, "[fe80::7%lo]:99");
	ck_assert_int_eq(c->nodes[2].entry, ENTRY_AGENT);
	ck_assert(c->nodes[2].exposed);
	ck_assert_uint_eq(c->nodes[2].reset_us, 20000);
	ck_assert_uint_eq(c->nodes[2].boot_us, 100000);
	ck_assert_uint_eq(c->nodes[2].baud_max, 0);
	ck_assert_uint_eq(c->nodes[3].clock, 8000000);
	ck_assert_str_eq(c->nodes[3].ready, "pinctrl-rp1:25");
	config_free(c);
}
END_TEST

/* F-27: keys that do not go together are refused together, a bare UDP node among them. */
START_TEST(node_wiring_faults_F27)
{
	static const struct {
		const char *keys, *says;
	} t[] = {
		{"Link=udp\nDevice=/dev/x\nKey=/k\n", "Device= is a path"},
		{"Device=192.0.2.7\nKey=/k\n", "Device= is an address"},
		{"Link=udp\nDevice=192.0.2.7\nSecurity=none\n", "Security=none with Link=udp"},
		{"Link=udp\nDevice=node.example\nKey=/k\n", "expected an absolute path, for"},
		{"Link=spi\nDevice=/dev/spidev0.0\nKey=/k\n", "ReadyLine= is missing"},
		{"Device=/dev/x\nKey=/k\nBaudRateMax=9600\n", "BaudRateMax= is below"},
		{"Device=/dev/x\nKey=/k\nEntry=lines\n", "Entry=lines needs ResetLine="},
		{"Device=/dev/x\nKey=/k\nBootLine=a:1\n", "with Entry=lines only"},
		{"Device=/dev/x\nKey=/k\nEntry=jtag\n", "expected agent, smp or lines"},
		{"Device=/dev/x\nKey=/k\nResetLine=gpiochip0:5\n", "expected the label of a chip"},
		{"Device=/dev/x\nKey=/k\nResetLine=/dev/gpiochip0:5\n",
			"expected the label of a chip"},
		{"Device=/dev/x\nKey=/k\nResetLine=17\n", "expected the label of a chip"},
		{"Device=/dev/x\nKey=/k\nResetLine=!\n", "expected a line as"},
		{"Device=/dev/x\nKey=/k\nResetSec=1us\n", "expected a time span from 1ms"},
		{"Device=/dev/x\nKey=/k\nBootSec=11s\n", "expected a time span from 1ms"},
		{"Device=/dev/x\nKey=/k\nClockRate=1\n", "expected a number of hertz"},
		{"Device=/dev/x\nKey=/k\nRS485=maybe\n", "expected yes or no"},
		{"Link=udp\nDevice=192.0.2.7\nKey=/k\nAddress=1\n", "Address= is for"},
		{"Device=/dev/x\nKey=/k\nAddress=248\n", "expected a number from 1 to 247"},
		{"Device=/dev/x\nSecurity=none\nFraming=raw\nAddress=1\n", "Address= needs"},
		{"Device=/dev/x\nKey=/k\nBaudRateMax=3000000\nAddress=1\n", "BaudRateMax="},
		{"Link=can\nDevice=/dev/x\nKey=/k\n", "expected uart, spi, udp, ble or sim"},
		{"Link=ble\nDevice=/dev/x\nKey=/k\n", "Device= is no Bluetooth device"},
		{"Link=ble\nDevice=192.0.2.7\nKey=/k\n", "Device= is no Bluetooth device"},
		{"Link=ble\nDevice=C0:11:22:33:44\nKey=/k\n", "expected an absolute path, for"},
		{"Link=ble\nDevice=C0:11:22:33:44:5G\nKey=/k\n", "expected an absolute path, for"},
		{"Link=ble\nDevice=name:\nKey=/k\n", "name: and 1 to 64 characters"},
		{"Device=C0:11:22:33:44:55\nKey=/k\n", "that is for Link=ble"},
		{"Link=udp\nDevice=name:pump\nKey=/k\n", "that is for Link=ble"},
	};

	put("edgeferry.conf", BASE);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char text[512];
		struct config *c;
		struct error e = {0};

		snprintf(text, sizeof(text), NODE "%s", t[i].keys);
		put("nodes.d/a.conf", text);
		ck_assert_msg(config_load(dir, &c, &e) == EF_REASON_CONFIG, "%s", t[i].keys);
		ck_assert_msg(strstr(e.detail, t[i].says) != NULL, "%s: %s", t[i].keys, e.detail);
		ck_assert_ptr_nonnull(strstr(e.detail, "nodes.d/a.conf"));
	}
}
END_TEST

/* F-27: nodes on one line have an address each, and agree about the line. */
START_TEST(shared_line_F27)
{
	static const struct {
		const char *keys, *says;
	} t[] = {
		{"", "b.conf: /dev/x is the device of node a already: nodes that share"},
		{"RS485=yes\nAddress=7\n", "b.conf:6: Address=7 on /dev/x is that of node a"},
		{"Address=8\nBaudRate=9600\n", "b.conf: Link=, BaudRate= and RS485="},
	};
	struct error e = {0};
	struct config *c;
	char text[512];

	put("edgeferry.conf", BASE);
	put("nodes.d/a.conf", NODE "Device=/dev/x\nKey=/k\nRS485=yes\nAddress=7\n");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(text, sizeof(text), NODE "Device=/dev/x\nKey=/k\n%s", t[i].keys);
		put("nodes.d/b.conf", text);
		error_clear(&e);
		ck_assert_int_eq(config_load(dir, &c, &e), EF_REASON_CONFIG);
		ck_assert_msg(strstr(e.detail, t[i].says) != NULL, "%s", e.detail);
	}
	put("nodes.d/b.conf", NODE "Device=/dev/x\nKey=/k\nRS485=yes\nAddress=8\n");
	c = load_good();
	ck_assert_uint_eq(c->nodes[0].address, 7);
	ck_assert_uint_eq(c->nodes[1].address, 8);
	config_free(c);
}
END_TEST

/* F-27: each bad line is named, whatever key it is of; line 6 each time. */
START_TEST(bad_values_F27)
{
	static const struct {
		const char *section, *line;
	} t[] = {
		{"Gateway", "Product=Upper"},
		{"Gateway", "Product=../x"},
		{"Gateway", "Compatible=nocomma"},
		{"Gateway", "Compatible=a,b,c"},
		{"Gateway", "Compatible=,b"},
		{"Gateway", "Hardware=-1"},
		{"Gateway", "Hardware=4294967296"},
		{"Gateway", "Hardware=1x"},
		{"Gateway", "StateDirectory=relative"},
		{"Gateway", "StateDirectory=/a/../b"},
		{"Gateway", "StateDirectory=/.."},
		{"Source", "URL=http://plain.example/"},
		{"Source", "URL=https://"},
		{"Source", "URL=https:///x"},
		{"Source", "URL=https://user:pw@h/"},
		{"Source", "URL=https://h/?q"},
		{"Source", "URL=https://h/a b"},
		{"Source", "PollSec=0"},
		{"Source", "PollSec=infinity"},
		{"Source", "PollSec=often"},
		{"Mqtt", "Broker=:1"},
		{"Mqtt", "Broker=h:0"},
		{"Mqtt", "Broker=h:65536"},
		{"Mqtt", "Broker=h:"},
		{"Mqtt", "Broker=::1"},
		{"Mqtt", "Broker=[::1"},
		{"Mqtt", "Broker=[]"},
		{"Mqtt", "Broker=[::1]1"},
		{"Mqtt", "Broker=mqtts://h"},
		{"Mqtt", "TopicPrefix=a/#"},
		{"Mqtt", "TopicPrefix=/a"},
		{"Mqtt", "TopicPrefix=$SYS"},
		{"Network", "User=a b"},
		{"Network", "User=-x"},
		{"Slots", "Boot=lilo"},
		{"Update", "Automatic=yes"},
		{"Update", "Window=22-5"},
		{"Update", "WindowDays=Mon,Tue"},
		{"Update", "WindowDays=Mon.."},
		{"Update", "WindowDays=monday"},
		{"Update", "Reboot=never"},
		{"Update", "Automatic=yes"},
		{"Update", "ConfirmSec=-5"},
		{"Update", "ObjectQuota=M"},
		{"Update", "ObjectQuota=64MB"},
		{"Update", "ObjectQuota=64m"},
		{"Update", "ObjectQuota=-1M"},
		{"Update", "ObjectQuota=1023K"},
		{"Update", "ObjectQuota=1025G"},
		{"Update", "ObjectQuota=999999999999G"},
		{"Update", "ObjectQuota=64 M"},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char text[512], start[300];
		struct config *c;
		struct error e = {0};

		snprintf(text, sizeof(text), BASE "[%s]\n%s\n", t[i].section, t[i].line);
		const char *path = put("edgeferry.conf", text);
		ck_assert_msg(config_load(dir, &c, &e) == EF_REASON_CONFIG, "%s", t[i].line);
		snprintf(start, sizeof(start), "%s:6: %s: expected ", path, t[i].line);
		ck_assert_msg(!strncmp(e.detail, start, strlen(start)), "%s", e.detail);
	}
}
END_TEST

START_TEST(unknown_keys_F27)
{
	put("edgeferry.conf", BASE "Produkt=x\n");
	load_bad("edgeferry.conf:5: unknown key Produkt= in [Gateway]");
	put("edgeferry.conf", BASE "[Gatway]\nProduct=x\n");
	load_bad("edgeferry.conf:5: unknown section [Gatway]");
	put("edgeferry.conf", BASE "[Nope]\n");
	load_bad("edgeferry.conf:5: unknown section [Nope]");
	put("edgeferry.conf", BASE);
	put("conf.d/x.conf", "\n[Node]\nDevice=/dev/x\n");
	load_bad("conf.d/x.conf:2: unknown section [Node]");
}
END_TEST

#define NONE "[Node]\nCompatible=v,c\nSecurity=none\n"

START_TEST(bad_nodes_F27)
{
	put("edgeferry.conf", BASE);
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\n");
	load_bad("nodes.d/a.conf: [Node] Device= is missing");
	put("nodes.d/a.conf", "[Node]\nDevice=/d\n");
	load_bad("nodes.d/a.conf: [Node] Compatible= is missing");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nBaudRate=300\n");
	load_bad("nodes.d/a.conf:4: BaudRate=300: expected a number from 1200 to 12000000");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nWindow=22:00-24:00\n");
	load_bad("nodes.d/a.conf:4: Window=22:00-24:00: expected hours of the day as in "
		 "22:00-05:30");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nFraming=slip\n");
	load_bad("nodes.d/a.conf:4: Framing=slip: expected cobs, console or raw");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nFraming=raw\nKey=/k\n");
	load_bad("nodes.d/a.conf: [Node] Framing= is that of a node which knows no session: it "
		 "needs "
		 "Security=none");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nSecurity=maybe\n");
	load_bad("nodes.d/a.conf:4: Security=maybe: expected session or none");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nSecurity=session\n");
	load_bad("nodes.d/a.conf: [Node] Key= is missing: name the file of the node's key, or "
		 "speak to it in the clear with Security=none");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nKey=keys/a\n");
	load_bad("nodes.d/a.conf:4: Key=keys/a: expected an absolute path without '..', or "
		 "credential:NAME");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nKey=credential:../a\n");
	load_bad(
		"nodes.d/a.conf:4: Key=credential:../a: expected credential:NAME, NAME of letters, "
		"digits, '-', '_' and '.'");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nKey=credential:..\n");
	load_bad("nodes.d/a.conf:4: Key=credential:..: expected credential:NAME, NAME of letters, "
		 "digits, '-', '_' and '.'");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nKey=credential:node-a.key\n");
	struct config *with_credential = load_good();
	ck_assert_str_eq(with_credential->nodes[0].key, "credential:node-a.key");
	config_free(with_credential);
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nLink=can\n");
	load_bad("nodes.d/a.conf:4: Link=can: expected uart, spi, udp, ble or sim");
	put("nodes.d/a.conf", "[Node]\nCompatible=v,c\nDevice=/d\nOptional=perhaps\n");
	load_bad("nodes.d/a.conf:4: Optional=perhaps: expected yes or no");
	put("nodes.d/a.conf", NONE "Device=/d\n");
	put("nodes.d/b.conf", NONE "Device=/d\n");
	load_bad("nodes.d/b.conf: /d is the device of node a already: nodes that share a line have "
		 "an Address= each");
	put("nodes.d/b.conf", NONE "Device=/d2\n");
	config_free(load_good());
	put("nodes.d/Big.conf", "[Node]\nCompatible=v,c\nDevice=/d3\n");
	load_bad("nodes.d/Big.conf: a node's file is named with 1 to 32 of a-z, 0-9 and '-', then "
		 ".conf");
}
END_TEST

START_TEST(incomplete)
{
	load_bad("edgeferry.conf: [Gateway] Product= is missing");
	put("edgeferry.conf", "[Gateway]\nProduct=x\n");
	load_bad("edgeferry.conf: [Gateway] Compatible= is missing");
	put("edgeferry.conf", BASE "[Slots]\nA=/a\nBootDirectory=/x\n");
	load_bad("edgeferry.conf: [Slots] B= is missing");
	put("edgeferry.conf", BASE "[Slots]\nBoot=auto\nB=/b\n");
	load_bad("edgeferry.conf: [Slots] A= is missing");
	put("edgeferry.conf", BASE "[Slots]\nA=/a\nB=/a\nBootDirectory=/x\n");
	load_bad("edgeferry.conf: [Slots] A= and B= are the same");
	put("edgeferry.conf", BASE "[Slots]\nA=/a\nB=/b\nBootDirectory=/x\nBootA=/c\n");
	load_bad("edgeferry.conf: [Slots] BootB= is missing");
	put("edgeferry.conf", BASE "[Slots]\nBootA=/c\nBootB=/d\n");
	load_bad("edgeferry.conf: [Slots] A= is missing");
	put("edgeferry.conf", BASE "[Slots]\nA=/a\nB=/b\nBootDirectory=/x\nBootA=/c\nBootB=/b\n");
	load_bad("edgeferry.conf: [Slots] B= and BootB= are the same");
	put("edgeferry.conf", BASE "[Mqtt]\nUsername=u\n");
	load_bad("edgeferry.conf: [Mqtt] PasswordFile= is missing");
	put("edgeferry.conf", BASE "[Mqtt]\nClientCertificate=/c\n");
	load_bad("edgeferry.conf: [Mqtt] ClientKey= is missing");
	put("edgeferry.conf", BASE "[Source]\nClientKey=credential:k\n");
	load_bad("edgeferry.conf: [Source] ClientCertificate= is missing");
	put("edgeferry.conf", BASE "[Source]\nClientKey=pkcs11:token=a\n");
	load_bad("edgeferry.conf:6: ClientKey=pkcs11:token=a: expected "
		 "pkcs11:token=NAME;object=NAME, of token, serial, manufacturer, model, object, id "
		 "and type");
	/* S-31: a PIN is refused, and not repeated */
	put("edgeferry.conf", BASE "[Source]\nClientKey=pkcs11:object=a?pin-value=4711\n");
	load_bad("edgeferry.conf:6: ClientKey=pkcs11:object=a: expected "
		 "?pin-source=file:PATH or ?pin-source=credential:NAME: everybody can read this "
		 "file");
	put("edgeferry.conf", BASE "[Source]\nCAFile=pkcs11:object=a;pin-value=4711\n");
	load_bad("edgeferry.conf:6: CAFile=pkcs11:object=a;: expected an absolute path "
		 "without '..'");
}
END_TEST

/* F-27: missing, huge, binary, wrong owner, writable by all, dangling link, a directory, a FIFO. */
START_TEST(odd_files_F27)
{
	struct config *c;
	struct error e = {0};
	char path[64], huge[65 * 1024];

	ck_assert_int_eq(config_load("/tmp/ef-none", &c, &e), EF_REASON_CONFIG);
	memset(huge, '#', sizeof(huge));
	huge[sizeof(huge) - 1] = 0;
	put("edgeferry.conf", huge);
	load_bad("edgeferry.conf: larger than 64 KiB");
	put("edgeferry.conf", "[Gateway]\n\177ELF\n");
	load_bad("edgeferry.conf:2: control character or broken UTF-8");
	chmod(put("edgeferry.conf", BASE), 0666);
	load_bad("edgeferry.conf: writable by everybody");
	snprintf(path, sizeof(path), "%s/edgeferry.conf", dir);
	unlink(path);
	ck_assert_int_eq(symlink("/nonexistent", path), 0);
	put("conf.d/a.conf", BASE);
	config_free(load_good()); /* a main file that is not there is none */
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	load_bad("edgeferry.conf: not a file");
	rmdir(path);
	ck_assert_int_eq(mkfifo(path, 0644), 0);
	load_bad("edgeferry.conf: not a file"); /* and does not hang */
	unlink(path);
	snprintf(path, sizeof(path), "%s/nodes.d/a.conf", dir);
	ck_assert_int_eq(symlink("/nonexistent", path), 0);
	load_bad("nodes.d/a.conf: No such file or directory");
	unlink(path);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(put("conf.d/a.conf", BASE), 12345, 12345), 0);
		load_bad("conf.d/a.conf: owned by user 12345");
	}
}
END_TEST

/* The template that is installed: comments only, and every key in it known once uncommented. */
START_TEST(templates)
{
	_cleanup_free_ char *text = NULL;
	char *out, *save, *copy;

	ck_assert_int_eq(file_read(CONF_DIR "/edgeferry.conf", 65536, (uint8_t **)&text, NULL), 0);
	out = copy = calloc(1, strlen(text) + 100);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (l[0] == '#' && l[1] != ' ' && strchr(l, '='))
			l++;
		ck_assert_msg(l[0] == '#' || l[0] == '[' || l != text, "%s", l);
		out += sprintf(out, "%s\n", l);
	}
	put("edgeferry.conf", copy);
	put("conf.d/a.conf", BASE);
	struct config *all = load_good();
	put("edgeferry.conf", "");
	struct config *none = load_good();
	/* the values shown are the defaults */
	ck_assert_uint_eq(all->poll_us, none->poll_us);
	ck_assert_uint_eq(all->check_us, none->check_us);
	ck_assert_uint_eq(all->hardware, none->hardware);
	ck_assert_int_eq(all->automatic, none->automatic);
	ck_assert_str_eq(all->state_dir, none->state_dir);
	ck_assert_str_eq(all->runtime_dir, none->runtime_dir);
	ck_assert_str_eq(all->mqtt_prefix, none->mqtt_prefix);
	ck_assert_str_eq(all->network_user, none->network_user);
	ck_assert_str_eq(all->checks_dir, none->checks_dir);
	ck_assert_str_eq(all->boot, none->boot);
	ck_assert_ptr_null(all->url);
	config_free(all);
	config_free(none);
	free(copy);
	ck_assert_int_eq(file_read(CONF_DIR "/nodes.d/example.conf.disabled", 65536,
				 (uint8_t **)&copy, NULL),
		0);
	put("nodes.d/example.conf", copy);
	free(copy);
	all = load_good();
	ck_assert_uint_eq(all->n_nodes, 1);
	config_free(all);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("config");
	TCase *t = tcase_create("config");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, vendor_defaults);
	tcase_add_test(t, every_key);
	tcase_add_test(t, drop_ins_in_order);
	tcase_add_test(t, nodes);
	tcase_add_test(t, node_wiring);
	tcase_add_test(t, node_wiring_faults_F27);
	tcase_add_test(t, shared_line_F27);
	tcase_add_test(t, bad_values_F27);
	tcase_add_test(t, unknown_keys_F27);
	tcase_add_test(t, bad_nodes_F27);
	tcase_add_test(t, incomplete);
	tcase_add_test(t, odd_files_F27);
	tcase_add_test(t, templates);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
