/* SPDX-License-Identifier: Apache-2.0 */
/* Group 239: what a server wants to know of a node, and to be sure of. */
#include "agent/agent.h"
#include "agent/crash.h"
#include "boot/retained.h"
#include "boot/secrets.h"

#define REPORT_VERSION 1u
#define REPORT_MAX 224u
#define NONCE_MAX 32u
#define KEY_ID_SIZE 8u

static struct outcome read_crash(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct crash c;

	(void)a;
	(void)v;
	if (!crash_load(&c))
		return smp_error(EF_SMP_NO_ENTRY);
	put_version(w, "version", &c.version);
	put_uints(w, "cause mode uptime pc lr psr exc cfsr hfsr addr",
		(const uint32_t[]){c.cause, !c.bootloader, c.uptime, c.site.pc, c.site.lr,
			c.site.psr, c.site.exception, c.site.status[0], c.site.status[1],
			c.site.address});
	return DONE;
}

static struct outcome clear_crash(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)a;
	(void)v;
	(void)w;
	crash_clear();
	return DONE;
}

/* The report is one string of bytes, so that a tag can be over exactly these. */
static size_t make_report(struct agent *a, const struct value *nonce, uint8_t *buf)
{
	const struct slot_view *s = agent_slot(a, 0);
	struct ef_version boot;
	struct cbor_writer w;

	retained_load_boot_version(&boot);
	cbor_write_init(&w, buf, REPORT_MAX);
	cbor_open_map(&w);
	put_uint(&w, "v", REPORT_VERSION);
	put_bytes(&w, "nonce", nonce->data, nonce->size);
	put_bytes(&w, "id", a->factory.device_id, sizeof(a->factory.device_id));
	if (s->reason == EF_REASON_OK) {
		put_bytes(&w, "hash", s->info.digest, sizeof(s->info.digest));
		put_version(&w, "version", &s->info.header.version);
	}
	put_version(&w, "boot", &boot);
	put_uint(&w, "floor", a->state.floor);
	put_bool(&w, "trial", agent_on_trial(a));
	cbor_put_text(&w, "keys");
	cbor_open_array(&w);
	for (unsigned i = 0; i < a->factory.n_keys; i++)
		cbor_put_bytes(&w, a->factory.keys[i].hash, KEY_ID_SIZE);
	cbor_close(&w);
	cbor_close(&w);
	return w.overflow ? 0 : w.used;
}

/* With the device's key, if it has one (E-12). */
static bool authenticate(const uint8_t *report, size_t size, uint8_t tag[EF_SESSION_REPORT_TAG])
{
	struct secret_key key;
	bool good = secrets_load(&key) && ef_session_report_tag(key.psk, report, size, tag);

	ef_session_wipe(&key, sizeof(key));
	return good;
}

static struct outcome read_report(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	uint8_t report[REPORT_MAX], tag[EF_SESSION_REPORT_TAG];
	size_t size;

	if (!v[0].size || v[0].size > NONCE_MAX)
		return smp_error(EF_SMP_INVALID);
	size = make_report(a, &v[0], report);
	if (!size)
		return smp_error(EF_SMP_MSG_SIZE);
	put_bytes(w, "report", report, size);
	if (authenticate(report, size, tag))
		put_bytes(w, "tag", tag, sizeof(tag));
	return DONE;
}

static const struct command commands[] = {
	{EF_EF_CRASH, EF_SMP_READ, true, "", read_crash},
	{EF_EF_CRASH, EF_SMP_WRITE, false, "", clear_crash},
	{EF_EF_REPORT, EF_SMP_READ, true, "nonce:b", read_report},
};
const struct command_group monitor_group = COMMAND_GROUP(EF_GROUP_EDGEFERRY, true, commands);
