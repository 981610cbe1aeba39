/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group 3. write changes what read shows; commit puts it in force; save stores it; load brings back
 * what is stored and puts it in force; delete stores the default again.
 */
#include "agent/settings.h"
#include "agent/agent.h"
#include <string.h>

_Static_assert(sizeof(((struct state *)0)->settings) / sizeof(uint16_t) == SETTING_COUNT,
	"there is room for each in the state record");

static const struct {
	const char *name;
	uint16_t least, most, fallback;
} table[SETTING_COUNT] = {
	[SETTING_PERIOD] = {"app/period", 20, 1000, 100},
	[SETTING_DEADLINE] = {"trial/deadline", 10, 3600, AGENT_DEADLINE_DEFAULT_S},
};

static void copy(uint16_t *to, const uint16_t *from)
{
	memcpy(to, from, SETTING_COUNT * sizeof(*to));
}

/* What is outside its range, stored by another version of the firmware, is as nothing stored. */
void settings_load(struct agent *a)
{
	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		uint16_t kept = a->state.settings[i];

		a->settings.written[i] =
			kept < table[i].least || kept > table[i].most ? table[i].fallback : kept;
	}
	copy(a->settings.in_force, a->settings.written);
}

/* The default is stored as 0: it may be another one in the next version. */
static struct outcome store(struct agent *a, unsigned first, unsigned n)
{
	uint16_t kept[SETTING_COUNT];

	copy(kept, a->state.settings);
	for (unsigned i = first; i < first + n; i++)
		kept[i] = a->settings.written[i] == table[i].fallback ? 0 : a->settings.written[i];
	if (memcmp(a->state.settings, kept, sizeof(kept)) == 0)
		return DONE; /* flash is not worn for nothing */
	copy(a->state.settings, kept);
	return state_store(&a->state) < 0 ? refused(EF_REASON_NODE_FLASH) : DONE;
}

static int find(const struct value *name)
{
	for (unsigned i = 0; i < SETTING_COUNT; i++)
		if (name->size == strlen(table[i].name) &&
			memcmp(name->data, table[i].name, name->size) == 0)
			return (int)i;
	return -1;
}

static struct outcome read_value(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	int i = find(&v[0]);
	uint16_t value;

	if (i < 0)
		return smp_error(v[0].present ? EF_SMP_NO_ENTRY : EF_SMP_INVALID);
	if (v[1].present && v[1].number < sizeof(value))
		return smp_error(EF_SMP_INVALID);
	value = a->settings.written[i];
	put_bytes(w, "val", (const uint8_t[]){(uint8_t)value, (uint8_t)(value >> 8)}, 2);
	if (v[1].number > sizeof(value))
		put_uint(w, "max_size", sizeof(value));
	return DONE;
}

static struct outcome write_value(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	int i = find(&v[0]);
	uint16_t value;

	(void)w;
	if (i < 0)
		return smp_error(v[0].present ? EF_SMP_NO_ENTRY : EF_SMP_INVALID);
	if (v[1].size != sizeof(value))
		return smp_error(EF_SMP_INVALID);
	value = (uint16_t)(v[1].data[0] | v[1].data[1] << 8);
	if (value < table[i].least || value > table[i].most)
		return smp_error(EF_SMP_INVALID);
	a->settings.written[i] = value;
	return DONE;
}

static struct outcome delete_value(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	int i = find(&v[0]);

	(void)w;
	if (i < 0)
		return smp_error(v[0].present ? EF_SMP_NO_ENTRY : EF_SMP_INVALID);
	a->settings.written[i] = table[i].fallback;
	return store(a, (unsigned)i, 1);
}

static struct outcome commit(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)v;
	(void)w;
	copy(a->settings.in_force, a->settings.written);
	return DONE;
}

static struct outcome load(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)v;
	(void)w;
	settings_load(a);
	return DONE;
}

static struct outcome save(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)v;
	(void)w;
	return store(a, 0, SETTING_COUNT);
}

static const struct command commands[] = {
	{EF_SETTINGS_VALUE, EF_SMP_READ, true, "name:t max_size:u", read_value},
	{EF_SETTINGS_VALUE, EF_SMP_WRITE, false, "name:t val:b", write_value},
	{EF_SETTINGS_DELETE, EF_SMP_WRITE, false, "name:t", delete_value},
	{EF_SETTINGS_COMMIT, EF_SMP_WRITE, false, "", commit},
	{EF_SETTINGS_STORE, EF_SMP_READ, false, "", load},
	{EF_SETTINGS_STORE, EF_SMP_WRITE, false, "", save},
};
const struct command_group settings_group = COMMAND_GROUP(EF_GROUP_SETTINGS, true, commands);
