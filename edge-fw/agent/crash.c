/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/crash.h"
#include "wire/crc.h"
#include <string.h>

/* What lies in retained RAM, as whole words. */
struct program {
	uint32_t version, build, bootloader, uptime;
};
struct record {
	struct program program;
	uint32_t cause;
	struct crash_site site;
	uint32_t check; /* CRC-32 of what is before it */
};
struct kept {
	struct program running;
	struct record record;
};
_Static_assert(PORT_RETAINED_CRASH * 4 + sizeof(struct kept) == PORT_RETAINED_WORDS * 4, "it fits");

static struct kept *kept(void)
{
	return (struct kept *)(port_retained() + PORT_RETAINED_CRASH);
}

static uint32_t check(const struct record *r)
{
	return crc32_ieee(0, r, offsetof(struct record, check));
}

void crash_running(const struct ef_version *version, bool bootloader)
{
	kept()->running = (struct program){
		.version = (uint32_t)version->major << 24 | (uint32_t)version->minor << 16 |
			   version->revision,
		.build = version->build,
		.bootloader = bootloader,
	};
}

void crash_uptime(uint32_t seconds)
{
	kept()->running.uptime = seconds;
}

void crash_record(enum port_cause cause, const struct crash_site *site)
{
	struct record *r = &kept()->record;

	r->program = kept()->running;
	r->cause = cause;
	r->site = *site;
	r->check = check(r);
}

bool crash_load(struct crash *ret)
{
	const struct record *r = &kept()->record;

	if (r->check != check(r))
		return false;
	ret->site = r->site;
	ret->uptime = r->program.uptime;
	ret->version = (struct ef_version){.major = (uint8_t)(r->program.version >> 24),
		.minor = (uint8_t)(r->program.version >> 16),
		.revision = (uint16_t)r->program.version,
		.build = r->program.build};
	ret->cause = (enum port_cause)r->cause;
	ret->bootloader = r->program.bootloader;
	return true;
}

void crash_clear(void)
{
	struct record *r = &kept()->record;

	memset(r, 0, sizeof(*r));
	r->check = ~check(r);
}
