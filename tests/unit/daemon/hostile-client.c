/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user of the bus who means no good (S-30, F-31): calls everything with everything, much of it
 * without waiting for an answer, from many connections.
 *
 *     hostile-client ADDRESS SEED SECONDS PATH:INTERFACE:MEMBER:SIGNATURE …
 *
 * Prints "NAME COUNT" of each kind of answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define NAME "io.github.edgeferry1"
#define CONNECTIONS 8
#define ANSWER_US 20000000u

static uint64_t state;
static struct {
	char name[120];
	unsigned count;
} answers[40];

static unsigned draw(unsigned below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % below;
}

static void count(const char *name)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (!answers[i].count || strcmp(answers[i].name, name) == 0) {
			snprintf(answers[i].name, sizeof(answers[i].name), "%s", name);
			answers[i].count++;
			return;
		}
}

static const char *text(void)
{
	static char big[200001];
	static const char *const some[] = {"", "meter", "first", "2.0.0",
		"https://localhost:9/x.ferry", "../../etc/shadow", "\033[2J\a", "%s%n%s", "\u202e",
		"/", "uart:/dev/console", "sim:/run"};
	size_t n = draw(4) ? 1 + draw(5000) : sizeof(big) - 1 - draw(1000);

	if (draw(4))
		return some[draw(sizeof(some) / sizeof(some[0]))];
	for (size_t i = 0; i < n; i++)
		big[i] = (char)(32 + draw(95));
	big[n] = '\0';
	return big;
}

static int append(sd_bus_message *m, char type)
{
	static const char *const files[] = {"/dev/null", "/dev/zero", "/proc/self/maps", "/"};
	int r, fd;

	switch (type) {
	case 's':
		return sd_bus_message_append(m, "s", text());
	case 'u':
		return sd_bus_message_append(m, "u", draw(2) ? draw(40) : 0xffffffffu - draw(2));
	case 't':
		return sd_bus_message_append(
			m, "t", draw(2) ? (uint64_t)draw(3) : ~(uint64_t)draw(3));
	case 'x':
		return sd_bus_message_append(m, "x", (int64_t)draw(100) - 50);
	case 'h':
		fd = open(files[draw(4)], O_RDONLY | O_CLOEXEC);
		r = sd_bus_message_append(m, "h", fd);
		close(fd);
		return r;
	default:
		return sd_bus_message_append(m, "a{sv}", 1, text(), "s", text());
	}
}

/* fields: path, interface, member, signature */
static sd_bus_message *make(sd_bus *bus, const char *const fields[4])
{
	static const char types[] = "sutxha";
	sd_bus_message *m;

	if (sd_bus_message_new_method_call(bus, &m, NAME, fields[0], fields[1], fields[2]) < 0)
		return NULL;
	if (draw(4))
		for (const char *p = fields[3]; *p; p++)
			append(m, *p);
	else
		for (unsigned n = draw(6); n > 0; n--)
			append(m, types[draw(sizeof(types) - 1)]);
	sd_bus_message_set_allow_interactive_authorization(m, (int)draw(2));
	return m;
}

static void call(sd_bus *bus, const char *const fields[4])
{
	sd_bus_message *m = make(bus, fields), *reply = NULL;
	sd_bus_error e = SD_BUS_ERROR_NULL;

	if (!m)
		return;
	if (draw(3)) {
		sd_bus_message_set_expect_reply(m, 0);
		if (sd_bus_send(bus, m, NULL) >= 0)
			count("unasked");
	} else {
		int r = sd_bus_call(bus, m, ANSWER_US, &e, &reply);
		count(r >= 0 ? "answered" : e.name ? e.name : strerror(-r));
	}
	sd_bus_error_free(&e);
	sd_bus_message_unref(reply);
	sd_bus_message_unref(m);
}

static sd_bus *join(const char *address)
{
	sd_bus *bus = NULL;

	if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, address) < 0 ||
		sd_bus_set_bus_client(bus, 1) < 0 || sd_bus_negotiate_fds(bus, 1) < 0 ||
		sd_bus_start(bus) < 0)
		return sd_bus_unref(bus);
	return bus;
}

int main(int argc, char **argv)
{
	sd_bus *buses[CONNECTIONS] = {0};
	time_t end;

	if (argc < 5)
		return 64;
	state = strtoull(argv[2], NULL, 10);
	end = time(NULL) + atoi(argv[3]);
	while (time(NULL) < end) {
		sd_bus **bus = &buses[draw(CONNECTIONS)];
		char copy[400], *rest = copy;
		const char *fields[4];

		if (draw(200) == 0 || (*bus && !sd_bus_is_open(*bus)))
			*bus = sd_bus_close_unref(*bus);
		if (!*bus && !(*bus = join(argv[1])))
			continue;
		snprintf(copy, sizeof(copy), "%s", argv[4 + draw((unsigned)argc - 4)]);
		for (int i = 0; i < 4; i++)
			fields[i] = strsep(&rest, ":");
		call(*bus, fields);
		while (sd_bus_process(*bus, NULL) > 0)
			;
	}
	for (int i = 0; i < CONNECTIONS; i++)
		sd_bus_flush_close_unref(buses[i]);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]) && answers[i].count; i++)
		printf("%s %u\n", answers[i].name, answers[i].count);
	return 0;
}
