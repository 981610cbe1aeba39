/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/retained.h"

enum { STAY = 1, SELF_TEST_FAILED = 2 };

/* Words: value, its complement, bootloader version. */
bool retained_load(struct retained *r)
{
	const volatile uint32_t *w = port_retained();
	uint32_t v = w[0];
	bool good = v == ~w[1];

	if (!good)
		v = 0;
	r->next_cause = (uint8_t)v & 0xf;
	r->cause = (uint8_t)v >> 4;
	r->stay = v >> 8 & STAY;
	r->self_test_failed = v >> 8 & SELF_TEST_FAILED;
	r->started = (uint8_t)(v >> 10) & 3;
	r->lease = (uint8_t)(v >> 12) & 0xf;
	r->boots = (uint8_t)(v >> 16);
	r->reason = (uint8_t)(v >> 24);
	return good;
}

void retained_store(const struct retained *r)
{
	volatile uint32_t *w = port_retained();
	uint32_t v = (r->next_cause & 0xfu) | (r->cause & 0xfu) << 4 | (r->started & 3u) << 10 |
		     (r->lease & 0xfu) << 12 | (uint32_t)r->boots << 16 | (uint32_t)r->reason << 24;

	if (r->stay)
		v |= STAY << 8;
	if (r->self_test_failed)
		v |= SELF_TEST_FAILED << 8;
	w[0] = v;
	w[1] = ~v;
}

void retained_set_cause(enum port_cause cause)
{
	struct retained r;

	retained_load(&r);
	r.next_cause = (uint8_t)cause;
	retained_store(&r);
}

void retained_store_boot_version(const struct ef_version *v)
{
	port_retained()[2] = (uint32_t)v->major << 24 | (uint32_t)v->minor << 16 | v->revision;
}

void retained_load_boot_version(struct ef_version *v)
{
	uint32_t w = port_retained()[2];

	*v = (struct ef_version){
		.major = (uint8_t)(w >> 24), .minor = (uint8_t)(w >> 16), .revision = (uint16_t)w};
}
