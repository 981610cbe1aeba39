/* SPDX-License-Identifier: Apache-2.0 */
/* edgeferry-node: bootloader, agent and application of a node in one process. */
#include "app/app.h"
#include "boot/boot.h"
#include "host.h"
#include <edgeferry/smp.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_USAGE 64

static const char help[] =
	"Usage: edgeferry-node --flash FILE (--pty PATH | --socket PATH | …) [OPTION…]\n"
	"\n"
	"A node as a process: the bootloader, agent and application of the boards, built for this "
	"machine.\n"
	"What an image contains is not executed here: after the bootloader has checked it, the "
	"application\n"
	"that is compiled in runs under the image's version. If the image's payload begins with a "
	"line\n"
	"\"behaviour=NAME\" it behaves so: well, never-ready (the self-test never ends), "
	"fail-test, hang,\n"
	"fault, relapse (fails at every start once it is confirmed).\n"
	"\n"
	"      --flash FILE       the node's flash, kept in this file; made when it does not "
	"exist\n"
	"      --pty PATH         serial line: a pty, PATH is made a link to it\n"
	"      --socket PATH      serial line: a listening unix stream socket, one client at a "
	"time\n"
	"      --tty PATH[,BAUD]  serial line: a port of this machine, at 115200 baud first\n"
	"      --udp [ADDRESS:]PORT\n"
	"                         no serial line: a message a datagram, on loopback by default\n"
	"      --spi SOCKET       no serial line: SPI, with what --pins has\n"
	"      --ble SOCKET[,MTU] no serial line: GATT values, for a server of the lab (MTU 247)\n"
	"      --pins SOCKET      its ready, reset and boot lines, for an emulated gateway\n"
	"      --board NAME       name of the board (host)\n"
	"      --slot-size N      bytes of a slot, a multiple of 16384 (262144)\n"
	"      --battery N        it has a battery, at N percent, and runs on it\n"
	"      --external         it runs on external power, whatever its battery\n"
	"      --cut N            lose power in the middle of flash operation N: exit status 3\n"
	"  -v, --verbose          say on standard error what happens\n"
	"  -h, --help             show this and exit\n"
	"      --version          show the version and exit\n"
	"\n"
	"When FILE is made:\n"
	"      --class CLASS      class, or vendor,class (host; vendor edgeferry.github.io)\n"
	"      --hwrev N          hardware revision (1)\n"
	"      --id HEX           device id, up to 32 hex digits (0)\n"
	"      --floor N          lowest security counter (0)\n"
	"      --key PEM          public key that signs images; up to four times\n"
	"      --image FILE       image in slot 0\n"
	"      --psk FILE         its secret key, 64 hex digits: it then answers to sessions only\n"
	"      --plain            stock SMP clients may update it\n"
	"      --address N        its address, 1 to 247, on a line that it shares with others\n"
	"\n"
	"A reset keeps the process; what RAM held is lost with it, but for the retained words.\n";

struct options {
	const char *flash, *line; /* its kind is what open says */
	int (*open)(const char *line);
	unsigned n_lines;
	const char *pins;
	char class_text[128];
	uint32_t slot_size;
	bool external;
	struct provision provision;
};

enum {
	OPT_FLASH = 256,
	OPT_PTY,
	OPT_SOCKET,
	OPT_TTY,
	OPT_UDP,
	OPT_SPI,
	OPT_BLE,
	OPT_PINS,
	OPT_BOARD,
	OPT_CLASS,
	OPT_HWREV,
	OPT_ID,
	OPT_SLOT,
	OPT_CUT,
	OPT_FLOOR,
	OPT_KEY,
	OPT_IMAGE,
	OPT_PSK,
	OPT_PLAIN,
	OPT_ADDRESS,
	OPT_BATTERY,
	OPT_EXTERNAL,
	OPT_VERSION
};

static const struct option option_table[] = {
	{"flash", required_argument, NULL, OPT_FLASH},
	{"pty", required_argument, NULL, OPT_PTY},
	{"socket", required_argument, NULL, OPT_SOCKET},
	{"tty", required_argument, NULL, OPT_TTY},
	{"udp", required_argument, NULL, OPT_UDP},
	{"spi", required_argument, NULL, OPT_SPI},
	{"ble", required_argument, NULL, OPT_BLE},
	{"pins", required_argument, NULL, OPT_PINS},
	{"board", required_argument, NULL, OPT_BOARD},
	{"class", required_argument, NULL, OPT_CLASS},
	{"hwrev", required_argument, NULL, OPT_HWREV},
	{"id", required_argument, NULL, OPT_ID},
	{"slot-size", required_argument, NULL, OPT_SLOT},
	{"cut", required_argument, NULL, OPT_CUT},
	{"floor", required_argument, NULL, OPT_FLOOR},
	{"key", required_argument, NULL, OPT_KEY},
	{"image", required_argument, NULL, OPT_IMAGE},
	{"psk", required_argument, NULL, OPT_PSK},
	{"plain", no_argument, NULL, OPT_PLAIN},
	{"address", required_argument, NULL, OPT_ADDRESS},
	{"battery", required_argument, NULL, OPT_BATTERY},
	{"external", no_argument, NULL, OPT_EXTERNAL},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static _Noreturn void usage(const char *what, const char *why)
{
	fprintf(stderr, "edgeferry-node: %s: %s; see edgeferry-node --help\n", what, why);
	exit(EXIT_USAGE);
}

static uint32_t number(const char *name, const char *s)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(s, &end, 0);
	if (errno || end == s || *end || n > UINT32_MAX || *s == '-')
		usage(name, "not a number");
	return (uint32_t)n;
}

static void set_id(struct provision *p, const char *hex)
{
	size_t n = strlen(hex);

	if (n > 32 || strspn(hex, "0123456789abcdefABCDEF") != n)
		usage("--id", "not up to 32 hex digits");
	for (size_t i = 0; i < n; i++) {
		char digit[2] = {hex[n - 1 - i], '\0'};
		p->device_id[15 - i / 2] |= (uint8_t)(strtoul(digit, NULL, 16) << (i % 2 * 4));
	}
}

static void set_class(struct options *o, const char *text)
{
	char *comma;

	if (strlen(text) >= sizeof(o->class_text))
		usage("--class", "too long");
	strcpy(o->class_text, text);
	comma = strchr(o->class_text, ',');
	o->provision.class_name = comma ? comma + 1 : o->class_text;
	if (comma) {
		*comma = '\0';
		o->provision.vendor = o->class_text;
	}
}

static void set_battery(const char *text)
{
	uint32_t n = number("--battery", text);

	if (n > 100)
		usage("--battery", "more than 100 percent");
	host.power = (struct port_power){.battery = (uint8_t)n};
}

static void set_address(struct provision *p, const char *text)
{
	uint32_t n = number("--address", text);

	if (n < 1 || n > EF_SHARED_ADDRESS_MAX)
		usage("--address", "not 1 to 247");
	p->address = (uint8_t)n;
}

static void set_line(struct options *o, int (*open_line)(const char *))
{
	o->line = optarg;
	o->open = open_line;
	o->n_lines++;
}

/* "PATH" or "PATH,NUMBER" */
static int open_with(
	const char *text, const char *option, uint32_t value, int (*open)(const char *, uint32_t))
{
	const char *comma = strchr(text, ',');
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%.*s",
		    comma ? (int)(comma - text) : (int)strlen(text), text) >= sizeof(path))
		return -ENAMETOOLONG;
	return open(path, comma ? number(option, comma + 1) : value);
}

static int open_tty(const char *text)
{
	return open_with(text, "--tty", 115200, host_open_tty);
}

static int open_ble(const char *text)
{
	return open_with(text, "--ble", 247, host_open_ble);
}

static void set_option(struct options *o, int c)
{
	switch (c) {
	case OPT_FLASH:
		o->flash = optarg;
		return;
	case OPT_PTY:
		set_line(o, host_open_pty);
		return;
	case OPT_SOCKET:
		set_line(o, host_open_socket);
		return;
	case OPT_TTY:
		set_line(o, open_tty);
		return;
	case OPT_SPI:
		set_line(o, host_open_spi);
		return;
	case OPT_BLE:
		set_line(o, open_ble);
		return;
	case OPT_PINS:
		o->pins = optarg;
		return;
	case OPT_UDP:
		set_line(o, host_open_udp);
		return;
	case OPT_BOARD:
		host.board.name = optarg;
		return;
	case OPT_CLASS:
		set_class(o, optarg);
		return;
	case OPT_HWREV:
		o->provision.hardware_revision = number("--hwrev", optarg);
		return;
	case OPT_ID:
		set_id(&o->provision, optarg);
		return;
	case OPT_SLOT:
		o->slot_size = number("--slot-size", optarg);
		return;
	case OPT_CUT:
		host.cut_at = number("--cut", optarg);
		return;
	case OPT_FLOOR:
		o->provision.floor = number("--floor", optarg);
		return;
	case OPT_IMAGE:
		o->provision.image = optarg;
		return;
	case OPT_PSK:
		o->provision.psk = optarg;
		return;
	case OPT_KEY:
		if (o->provision.n_keys == FACTORY_KEYS_MAX)
			usage("--key", "more than four");
		o->provision.keys[o->provision.n_keys++] = optarg;
		return;
	case OPT_PLAIN:
		o->provision.plain = true;
		return;
	case OPT_ADDRESS:
		set_address(&o->provision, optarg);
		return;
	case OPT_BATTERY:
		set_battery(optarg);
		return;
	case OPT_EXTERNAL:
		o->external = true;
		return;
	case 'v':
		host.verbose = true;
		return;
	case 'h':
		fputs(help, stdout);
		exit(0);
	case OPT_VERSION:
		puts("edgeferry-node " EF_VERSION);
		exit(0);
	default:
		exit(EXIT_USAGE); /* getopt has said why */
	}
}

static void parse(struct options *o, int argc, char **argv)
{
	int c;

	*o = (struct options){.slot_size = 256 << 10,
		.provision = {.vendor = "edgeferry.github.io",
			.class_name = "host",
			.hardware_revision = 1}};
	host.board.name = "host";
	host.power = (struct port_power){.battery = 100, .external = true};
	while ((c = getopt_long(argc, argv, "vh", option_table, NULL)) != -1)
		set_option(o, c);
	if (optind != argc)
		usage(argv[optind], "unexpected");
	if (!o->flash)
		usage("--flash", "missing");
	if (o->n_lines != 1)
		usage("--pty, --socket, --tty, --udp, --spi, --ble", "exactly one is needed");
	if (o->pins && o->open == host_open_spi)
		usage("--pins", "--spi has them");
	host.power.external |= o->external;
	if (!host_layout(&host.board, o->slot_size))
		usage("--slot-size", "not a multiple of 16384, or too large");
	host.flash_size = host_flash_size(&host.board);
}

static void fail(const char *what, int error)
{
	fprintf(stderr, "edgeferry-node: %s: %s\n", what, strerror(error));
	exit(EXIT_FAILURE);
}

/* The flash is made beside its name and then put there, so that it is never half made. */
static void make_flash(const struct options *o)
{
	char tmp[4096];
	uint8_t *data = malloc(host.flash_size);
	FILE *f;

	if (!data || (size_t)snprintf(tmp, sizeof(tmp), "%s.new", o->flash) >= sizeof(tmp))
		fail(o->flash, ENAMETOOLONG);
	memset(data, 0xff, host.flash_size);
	if (!host_provision(data, &host.board, &o->provision))
		exit(EXIT_FAILURE);
	f = fopen(tmp, "we");
	if (!f || (o->provision.psk && fchmod(fileno(f), 0600) < 0) ||
		fwrite(data, 1, host.flash_size, f) != host.flash_size || fclose(f) != 0 ||
		rename(tmp, o->flash) < 0)
		fail(tmp, errno);
	free(data);
}

static void open_flash(const struct options *o)
{
	struct stat st;
	int fd;

	if (access(o->flash, F_OK) < 0)
		make_flash(o);
	fd = open(o->flash, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		fail(o->flash, errno);
	if (st.st_size != (off_t)host.flash_size) {
		fprintf(stderr,
			"edgeferry-node: %s: not the flash of a node with slots of %u bytes\n",
			o->flash, (unsigned)o->slot_size);
		exit(EXIT_FAILURE);
	}
	host.flash = mmap(NULL, host.flash_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (host.flash == MAP_FAILED)
		fail(o->flash, errno);
	close(fd);
}

enum behaviour behaviour(void)
{
	static const struct {
		const char *line;
		enum behaviour is;
	} known[] = {
		{"behaviour=never-ready\n", BEHAVE_NEVER_READY},
		{"behaviour=fail-test\n", BEHAVE_FAIL_TEST},
		{"behaviour=hang\n", BEHAVE_HANG},
		{"behaviour=fault\n", BEHAVE_FAULT},
		{"behaviour=relapse\n", BEHAVE_RELAPSE},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (memcmp(host.flash + host.image, known[i].line, strlen(known[i].line)) == 0)
			return known[i].is;
	return BEHAVE_WELL;
}

static void on_signal(int number)
{
	(void)number;
	host.end = 1;
}

static const char *line_path; /* what is ours to remove, for atexit */

static void remove_line(void)
{
	unlink(line_path);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct options o;
	int r;

	parse(&o, argc, argv);
	host.listener = host.wire = -1;
	open_flash(&o);
	r = o.open(o.line);
	if (r < 0)
		fail(o.line, -r);
	if (o.pins && (r = host_open_pins(o.pins)) < 0)
		fail(o.pins, -r);
	if (o.open == host_open_pty || o.open == host_open_socket) {
		line_path = o.line;
		atexit(remove_line);
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	host_catch_faults();

	switch (setjmp(host.restart)) {
	case HOST_START_IMAGE:
		if (host.verbose)
			fprintf(stderr, "edgeferry-node: %s: application starts\n",
				host.board.name);
		app_main();
	default:
		host.watchdog = 0;
		if (host.verbose)
			fprintf(stderr, "edgeferry-node: %s: bootloader starts\n", host.board.name);
		boot_main();
	}
}
