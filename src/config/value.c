/* SPDX-License-Identifier: Apache-2.0 */
#include "config/value.h"
#include "util/address.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include "util/token-uri.h"
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static const char *store(const char *value, size_t n, char **to)
{
	char *copy = strndup(value, n);

	if (!copy)
		return "more memory";
	free(*to);
	*to = copy;
	return NULL;
}

static const char *store_all(const char *value, void *to)
{
	return store(value, strlen(value), to);
}

static bool only(const char *text, const char *set)
{
	return *text && text[strspn(text, set)] == 0;
}

static bool number(const char *value, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!only(value, DIGITS) || strlen(value) > 18)
		return false;
	for (; *value; value++)
		v = v * 10 + (uint64_t)(*value - '0');
	if (v < min || v > max)
		return false;
	*ret = v;
	return true;
}

const char *value_text(const char *value, void *to)
{
	return strlen(value) > 255 ? "at most 255 characters" : store_all(value, to);
}

bool value_is_name(const char *text)
{
	return only(text, LOWER DIGITS "-") && strlen(text) <= 32;
}

const char *value_name(const char *value, void *to)
{
	return value_is_name(value) ? store_all(value, to) : "1 to 32 of a-z, 0-9 and '-'";
}

const char *value_compatible(const char *value, void *to)
{
	const char *comma = strchr(value, ',');

	if (!only(value, LOWER UPPER DIGITS "-._,") || strlen(value) > 95 || !comma ||
		comma == value || !comma[1] || strchr(comma + 1, ','))
		return "vendor,class as in 'vendor.example,board'";
	return store_all(value, to);
}

const char *value_path(const char *value, void *to)
{
	size_t n = strlen(value);

	if (value[0] != '/' || n > 4000 || strstr(value, "/../") ||
		(n >= 3 && !strcmp(value + n - 3, "/..")))
		return "an absolute path without '..'";
	while (n > 1 && value[n - 1] == '/')
		n--;
	return store(value, n, to);
}

/* "C0:11:22:33:44:55" */
static bool is_bluetooth(const char *value)
{
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? value[i] != ':'
			       : !value[i] || !strchr(DIGITS "ABCDEFabcdef", value[i]))
			return false;
	return value[17] == '\0';
}

/* In capitals, as BlueZ writes them, so that one device has one name. */
static const char *store_bluetooth(const char *value, void *to)
{
	char address[18];

	for (size_t i = 0; i < sizeof(address); i++)
		address[i] = (char)(value[i] >= 'a' ? value[i] - 'a' + 'A' : value[i]);
	return store_all(address, to);
}

bool value_is_bluetooth(const char *device)
{
	return is_bluetooth(device) || strncmp(device, "name:", 5) == 0;
}

const char *value_device(const char *value, void *to)
{
	struct sockaddr_storage address;
	socklen_t length;

	if (value[0] == '/')
		return value_path(value, to) ? "an absolute path without '..'" : NULL;
	if (is_bluetooth(value))
		return store_bluetooth(value, to);
	if (strncmp(value, "name:", 5) == 0)
		return value[5] && strlen(value + 5) <= 64 ? store_all(value, to)
							   : "name: and 1 to 64 characters";
	if (address_parse(value, 1, &address, &length))
		return store_all(value, to);
	return "an absolute path, for Link=udp an address in numbers as '192.0.2.7' or "
	       "'[fe80::7%eth0]:1337', for Link=ble one as 'C0:11:22:33:44:55', or name:NAME";
}

const char *value_adapter(const char *value, void *to)
{
	if (is_bluetooth(value))
		return store_bluetooth(value, to);
	if (strncmp(value, "hci", 3) != 0 || !only(value + 3, DIGITS) || strlen(value) > 8)
		return "an adapter's address as 'DC:A6:32:01:02:03', or its name as 'hci0'";
	return store_all(value, to);
}

const char *value_connections(const char *value, void *to)
{
	uint64_t v;

	if (!number(value, 1, 32, &v))
		return "a number from 1 to 32";
	*(uint32_t *)to = (uint32_t)v;
	return NULL;
}

const char *value_key(const char *value, void *to)
{
	static const char credential[] = "credential:";
	const char *name = value + sizeof(credential) - 1;

	if (strncmp(value, credential, sizeof(credential) - 1) != 0)
		return value_path(value, to) ? "an absolute path without '..', or credential:NAME"
					     : NULL;
	if (!only(name, LOWER UPPER DIGITS "-_.") || name[0] == '.' || strlen(name) > 255)
		return "credential:NAME, NAME of letters, digits, '-', '_' and '.'";
	return store_all(value, to);
}

const char *value_client_key(const char *value, void *to)
{
	if (!token_uri_is(value))
		return value_key(value, to)
			       ? "an absolute path without '..', credential:NAME, or pkcs11:…"
			       : NULL;
	const char *fault = token_uri_fault(value);
	return fault ? fault : store_all(value, to);
}

const char *value_url(const char *value, void *to)
{
	static const char scheme[] = "https://";
	const char *host = value + sizeof(scheme) - 1;
	size_t n = strlen(value);

	if (strncmp(value, scheme, sizeof(scheme) - 1) != 0 || !*host || *host == '/' ||
		strpbrk(value, " \t\"<>\\^`{|}?#") || n > 2000)
		return "https://HOST/PATH without query or blanks";
	if (memchr(host, '@', strcspn(host, "/")))
		return "an address without user name or password";
	while (value[n - 1] == '/')
		n--;
	return store(value, n, to);
}

const char *value_topic(const char *value, void *to)
{
	size_t n = strlen(value);

	if (strpbrk(value, "+#") || value[0] == '/' || value[0] == '$' || n > 128)
		return "a topic without '+', '#', a leading '/' or '$'";
	while (value[n - 1] == '/')
		n--;
	return store(value, n, to);
}

const char *value_user(const char *value, void *to)
{
	if (!only(value, LOWER UPPER DIGITS "-_.") || strlen(value) > 32 || value[0] == '-')
		return "the name of a user";
	return store_all(value, to);
}

const char *value_u32(const char *value, void *to)
{
	uint64_t v;

	if (!number(value, 0, UINT32_MAX, &v))
		return "a number from 0 to 4294967295";
	*(uint32_t *)to = (uint32_t)v;
	return NULL;
}

const char *value_baud(const char *value, void *to)
{
	uint64_t v;

	if (!number(value, 1200, 12000000, &v))
		return "a number from 1200 to 12000000";
	*(uint32_t *)to = (uint32_t)v;
	return NULL;
}

const char *value_baud_max(const char *value, void *to)
{
	if (strcmp(value, "0") == 0) {
		*(uint32_t *)to = 0;
		return NULL;
	}
	return value_baud(value, to) ? "a number from 1200 to 12000000, or 0" : NULL;
}

const char *value_address(const char *value, void *to)
{
	uint64_t v;

	if (!number(value, 0, 247, &v))
		return "a number from 1 to 247, or 0 for none";
	*(uint32_t *)to = (uint32_t)v;
	return NULL;
}

/* At the slowest, the longest exchange takes a third of a second: the loop waits for it. */
const char *value_clock(const char *value, void *to)
{
	uint64_t v;

	if (!number(value, 100000, 100000000, &v))
		return "a number of hertz from 100000 to 100000000";
	*(uint32_t *)to = (uint32_t)v;
	return NULL;
}

/* Numbers of chips change from one kernel, and one boot, to the next. */
const char *value_line(const char *value, void *to)
{
	const char *name = value + (value[0] == '!');
	size_t n = strlen(name);

	if (n == 0 || n > 63 || name[strspn(name, LOWER UPPER DIGITS "-_.:+ /@#")] ||
		name[0] == ' ' || name[0] == ':' || name[n - 1] == ' ' || name[n - 1] == ':')
		return "a line as 'CHIP-LABEL:OFFSET' or by its name, with '!' in front when it "
		       "is active low";
	if (name[0] == '/' || only(name, DIGITS) ||
		(strncmp(name, "gpiochip", 8) == 0 && strchr(DIGITS, name[8])))
		return "the label of a chip rather than its number (gpiodetect shows both)";
	return store_all(value, to);
}

const char *value_pulse(const char *value, void *to)
{
	uint64_t us;

	if (!timespan_parse(value, &us) || us < USEC_PER_MSEC || us > 10 * USEC_PER_SEC)
		return "a time span from 1ms to 10s as in '20ms'";
	*(uint64_t *)to = us;
	return NULL;
}

const char *value_span(const char *value, void *to)
{
	uint64_t us;

	if (!timespan_parse(value, &us) || us < 100 * USEC_PER_MSEC ||
		us > 366 * 86400 * USEC_PER_SEC)
		return "a time span from 100ms to 366d as in '5min 20s'";
	*(uint64_t *)to = us;
	return NULL;
}

/* Bytes, or with K, M, G behind the number; as systemd reads them, powers of 1024. */
const char *value_size(const char *value, void *to)
{
	static const char expected[] = "a size from 1M to 1024G as in '64M'";
	static const char units[] = "KMG";
	char digits[24];
	size_t n = strspn(value, "0123456789");
	const char *unit = value[n] ? strchr(units, value[n]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	uint64_t v;

	if (n == 0 || n >= sizeof(digits) || (value[n] && (!unit || value[n + 1])))
		return expected;
	memcpy(digits, value, n);
	digits[n] = 0;
	if (!number(digits, 1, 1ULL << 40, &v) || v << shift >> shift != v ||
		v << shift < 1u << 20 || v << shift > 1ULL << 40)
		return expected;
	*(uint64_t *)to = v << shift;
	return NULL;
}

static int word(const char *value, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], value) == 0)
			return i;
	return -1;
}

const char *value_automatic(const char *value, void *to)
{
	static const char *const words[] = {[AUTOMATIC_NO] = "no",
		[AUTOMATIC_SECURITY] = "security",
		[AUTOMATIC_ALL] = "all",
		NULL};
	int i = word(value, words);

	if (i < 0)
		return "no, security or all";
	*(enum config_automatic *)to = (enum config_automatic)i;
	return NULL;
}

const char *value_security(const char *value, void *to)
{
	static const char *const words[] = {
		[SECURITY_SESSION] = "session", [SECURITY_NONE] = "none", NULL};
	int i = word(value, words);

	if (i < 0)
		return "session or none";
	*(enum config_security *)to = (enum config_security)i;
	return NULL;
}

const char *value_framing(const char *value, void *to)
{
	static const char *const words[] = {
		[CONFIG_COBS] = "cobs", [CONFIG_CONSOLE] = "console", [CONFIG_RAW] = "raw", NULL};
	int i = word(value, words);

	if (i < 0)
		return "cobs, console or raw";
	*(enum config_framing *)to = (enum config_framing)i;
	return NULL;
}

const char *value_link(const char *value, void *to)
{
	static const char *const words[] = {"uart", "spi", "udp", "ble", "sim", NULL};

	return word(value, words) < 0 ? "uart, spi, udp, ble or sim" : store_all(value, to);
}

const char *value_boot(const char *value, void *to)
{
	static const char *const words[] = {"auto", "sim", "grub", "uboot", "tryboot", NULL};

	return word(value, words) < 0 ? "auto, grub, uboot, tryboot or sim" : store_all(value, to);
}

const char *value_entry(const char *value, void *to)
{
	static const char *const words[] = {
		[ENTRY_AGENT] = "agent", [ENTRY_SMP] = "smp", [ENTRY_LINES] = "lines", NULL};
	int i = word(value, words);

	if (i < 0)
		return "agent, smp or lines";
	*(enum config_entry *)to = (enum config_entry)i;
	return NULL;
}

const char *value_yes(const char *value, void *to)
{
	static const char *const words[] = {
		"no", "yes", "false", "true", "off", "on", "0", "1", NULL};
	int i = word(value, words);

	if (i < 0)
		return "yes or no";
	*(bool *)to = i % 2 == 1;
	return NULL;
}

const char *value_no(const char *value, void *to)
{
	bool yes;

	if (value_yes(value, &yes))
		return "yes or no";
	*(bool *)to = !yes;
	return NULL;
}

const char *value_host_port(const char *value, char **host, uint16_t *port)
{
	static const char wanted[] = "HOST or HOST:PORT, with an IPv6 address in '[ ]'";
	bool v6 = value[0] == '[';
	const char *start = value + v6, *end = start + strcspn(start, v6 ? "]" : ":");
	uint64_t p = *port;

	if (end == start || end - start > 253 || (v6 && *end != ']'))
		return wanted;
	const char *rest = end + v6;
	if (*rest && (*rest != ':' || !number(rest + 1, 1, 65535, &p)))
		return wanted;
	_cleanup_free_ char *name = strndup(start, (size_t)(end - start));
	if (!name)
		return "more memory";
	if (!only(name, v6 ? DIGITS "abcdefABCDEF:.%" LOWER : LOWER UPPER DIGITS "-._"))
		return wanted;
	free(*host);
	*host = TAKE_PTR(name);
	*port = (uint16_t)p;
	return NULL;
}

const char *value_percent(const char *value, void *to)
{
	uint64_t v;

	if (!number(value, 0, 100, &v))
		return "a number from 0 to 100";
	*(uint32_t *)to = (uint32_t)v;
	return NULL;
}

static bool two_digits(const char *text, unsigned below, unsigned *ret)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return false;
	*ret = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
	return *ret < below;
}

const char *value_window(const char *value, void *to)
{
	unsigned h[2], m[2];

	if (strlen(value) != 11 || value[2] != ':' || value[5] != '-' || value[8] != ':' ||
		!two_digits(value, 24, &h[0]) || !two_digits(value + 3, 60, &m[0]) ||
		!two_digits(value + 6, 24, &h[1]) || !two_digits(value + 9, 60, &m[1]))
		return "hours of the day as in 22:00-05:30";
	*(struct config_window *)to =
		(struct config_window){(uint16_t)(h[0] * 60 + m[0]), (uint16_t)(h[1] * 60 + m[1])};
	return NULL;
}

const char *value_reboot(const char *value, void *to)
{
	static const char *const words[] = {[REBOOT_WINDOW] = "window",
		[REBOOT_NOW] = "now",
		[REBOOT_REQUEST] = "request",
		NULL};
	int i = word(value, words);

	if (i < 0)
		return "now, window or request";
	*(enum config_reboot *)to = (enum config_reboot)i;
	return NULL;
}

/* The day at *at, which is moved behind it; -1: none. */
static int read_day(const char **at)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

	for (int i = 0; i < 7; i++)
		if (strncmp(*at, days[i], 3) == 0) {
			*at += 3;
			return i;
		}
	return -1;
}

const char *value_days(const char *value, void *to)
{
	static const char expected[] = "days as in 'Mon..Fri Sun'";
	uint8_t mask = 0;

	for (const char *at = value; *at;) {
		int first = read_day(&at), last = first;
		if (strncmp(at, "..", 2) == 0) {
			at += 2;
			last = read_day(&at);
		}
		if (first < 0 || last < 0 || (*at && *at != ' '))
			return expected;
		for (int i = first;; i = (i + 1) % 7) {
			mask = (uint8_t)(mask | 1u << i);
			if (i == last)
				break;
		}
		at += strspn(at, " ");
	}
	if (mask == 0)
		return expected;
	*(uint8_t *)to = mask;
	return NULL;
}
