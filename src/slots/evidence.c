/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/evidence.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define CMDLINE_MAX 65536u

static enum ef_reason read_below(const char *root, const char *path, size_t max, uint8_t **ret,
	size_t *size, struct error *e)
{
	char full[PATH_MAX];
	int r = -ENAMETOOLONG;

	if ((size_t)snprintf(full, sizeof(full), "%s%s", root, path) < sizeof(full))
		r = file_read(full, max, ret, size);
	if (r >= 0)
		return EF_REASON_OK;
	errno = -r;
	return error_set(e, EF_REASON_BOOT_STATE, "%s%s: %m", root, path);
}

static bool slot_of(const char *word, enum slot_id *ret)
{
	for (enum slot_id s = SLOT_A; s <= SLOT_B; s++)
		if (strcmp(word, slot_word(s)) == 0) {
			*ret = s;
			return true;
		}
	return false;
}

static const char *behind(const char *word, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(word, prefix, n) == 0 ? word + n : NULL;
}

enum ef_reason evidence_parse(const char *cmdline, struct slot_evidence *ret, struct error *e)
{
	_cleanup_free_ char *text = strdup(cmdline);
	struct slot_evidence v = {.running = SLOT_NONE};
	char *save = NULL;

	if (!text)
		return error_set(e, EF_REASON_NO_MEMORY, "kernel command line");
	for (char *w = strtok_r(text, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save)) {
		const char *value = behind(w, "edgeferry.slot=");
		enum slot_id slot;

		if (strcmp(w, "edgeferry.trial=1") == 0)
			v.trial = true;
		if (!value)
			value = behind(w, "rauc.slot=");
		if (!value)
			continue;
		if (!slot_of(value, &slot) || (v.running != SLOT_NONE && v.running != slot))
			return error_set(e, EF_REASON_BOOT_STATE,
				"kernel command line: \"%.40s\" does not name one slot, A or B", w);
		v.running = slot;
	}
	if (v.running == SLOT_NONE)
		return error_set(e, EF_REASON_BOOT_STATE,
			"the kernel command line has no edgeferry.slot=A or B; the boot loader's "
			"script has to add it");
	*ret = v;
	return EF_REASON_OK;
}

enum ef_reason evidence_cmdline(const char *root, struct slot_evidence *ret, struct error *e)
{
	_cleanup_free_ uint8_t *text = NULL;
	size_t size;

	if (read_below(root, "/proc/cmdline", CMDLINE_MAX, &text, &size, e))
		return e->reason;
	return evidence_parse((char *)text, ret, e);
}

enum ef_reason evidence_device_tree(
	const char *root, const char *name, uint32_t *ret, struct error *e)
{
	_cleanup_free_ uint8_t *data = NULL;
	char path[128];
	size_t size;

	snprintf(path, sizeof(path), "/sys/firmware/devicetree/base/chosen/bootloader/%s", name);
	if (read_below(root, path, 64, &data, &size, e))
		return e->reason;
	if (size != 4)
		return error_set(e, EF_REASON_BOOT_STATE, "%s: %zu bytes instead of 4", path, size);
	*ret = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
	return EF_REASON_OK;
}

enum ef_reason evidence_boot_id(const char *root, char ret[BOOT_ID_MAX], struct error *e)
{
	_cleanup_free_ uint8_t *text = NULL;
	size_t size;

	if (read_below(root, "/proc/sys/kernel/random/boot_id", 128, &text, &size, e))
		return e->reason;
	size = strcspn((char *)text, "\n");
	if (size != 36 || strspn((char *)text, "0123456789abcdef-") != size)
		return error_set(e, EF_REASON_BOOT_STATE, "/proc/sys/kernel/random/boot_id: no id");
	memcpy(ret, text, size);
	ret[size] = '\0';
	return EF_REASON_OK;
}
