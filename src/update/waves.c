/* SPDX-License-Identifier: Apache-2.0 */
#include "update/waves.h"
#include "util/cleanup.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const unsigned percent[] = {1, 10, 25, 50, 100};
#define STEPS (sizeof(percent) / sizeof(percent[0]))

size_t waves_share(size_t n, unsigned k)
{
	size_t share = 0;

	for (unsigned i = 0; i <= k && i < STEPS; i++) {
		size_t at_least = share + 1;
		share = (n * percent[i] + 99) / 100;
		share = share < at_least ? at_least : share;
	}
	return share < n && k < STEPS ? share : n;
}

static bool taken(const char *const *groups, const unsigned *waves, const bool *placed, size_t n,
	const char *group, unsigned wave)
{
	for (size_t i = 0; group && i < n; i++)
		if (placed[i] && waves[i] == wave && groups[i] && strcmp(groups[i], group) == 0)
			return true;
	return false;
}

unsigned waves_assign(const char *const *groups, size_t n, unsigned *waves)
{
	_cleanup_free_ bool *placed = calloc(n + 1, sizeof(*placed));
	size_t done = 0;
	unsigned k = 0;

	/* without memory: one after the other, which is always right */
	for (size_t i = 0; !placed && i < n; i++)
		waves[i] = (unsigned)i;
	for (; placed && done < n; k++) {
		size_t share = waves_share(n, k);
		for (size_t i = 0; i < n && done < share; i++) {
			if (placed[i] || taken(groups, waves, placed, n, groups[i], k))
				continue;
			waves[i] = k;
			placed[i] = true;
			done++;
		}
	}
	return placed ? k : (unsigned)n;
}

size_t waves_limit(size_t n, unsigned k)
{
	size_t tenth = (n + 9) / 10;

	if (k == 0)
		return 1;
	if (k < STEPS && percent[k] <= 25)
		return 2;
	return tenth > 3 ? tenth : 3;
}

static const char *group_of(const struct config *config, const char *node)
{
	for (size_t i = 0; i < config->n_nodes; i++)
		if (strcmp(config->nodes[i].name, node) == 0)
			return config->nodes[i].group;
	return NULL;
}

int waves_number(struct deployment *d, const struct config *config)
{
	_cleanup_free_ const char **groups = calloc(d->n_parts + 1, sizeof(*groups));
	_cleanup_free_ unsigned *waves = calloc(d->n_parts + 1, sizeof(*waves));

	if (!groups || !waves)
		return -ENOMEM;
	for (size_t c = 0; d->manifest && c < d->manifest->n_components; c++) {
		const struct component *component = &d->manifest->components[c];
		size_t n = 0, at = 0;
		for (size_t i = 0; i < d->n_parts; i++)
			if (d->parts[i].component == component &&
				d->parts[i].state != COMPONENT_SKIPPED)
				groups[n++] = group_of(config, d->parts[i].place);
		waves_assign(groups, n, waves);
		for (size_t i = 0; i < d->n_parts; i++)
			if (d->parts[i].component == component &&
				d->parts[i].state != COMPONENT_SKIPPED)
				d->parts[i].wave = waves[at++];
	}
	return 0;
}
