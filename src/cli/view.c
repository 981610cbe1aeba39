/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/view.h"
#include "cli/show.h"
#include "util/cleanup.h"
#include "util/text.h"
#include <string.h>

#define NAME_CELLS 24
#define WORD_CELLS 12
#define BAR_MIN 8
#define BAR_MAX 32

void view_init(struct view *v, const struct term *term)
{
	*v = (struct view){.term = term};
}

static void free_parts(struct view *v)
{
	for (size_t i = 0; i < v->n_parts; i++)
		free(v->parts[i].name);
	free(v->parts);
	v->parts = NULL;
	v->n_parts = 0;
}

void view_clear(struct view *v)
{
	free_parts(v);
	free(v->title);
	v->title = NULL;
	v->state[0] = 0;
	v->drawn = 0;
}

/* Copies what fits, cleaned. True when it differs from what was there. */
static bool take(char *to, size_t size, const char *text)
{
	char copy[96];

	snprintf(copy, size < sizeof(copy) ? size : sizeof(copy), "%s", text);
	text_clean(copy);
	if (strcmp(to, copy) == 0)
		return false;
	strcpy(to, copy);
	return true;
}

static bool moving(const struct view_part *p)
{
	return p->total > 0 && p->phase[0] &&
	       (strcmp(p->state, "fetching") == 0 || strcmp(p->state, "staging") == 0);
}

/* "42.0 of 105 MB" parts; each may be "". */
struct figures {
	char share[8], size[2 * FIGURE_MAX + 8], rate[FIGURE_MAX], left[FIGURE_MAX + 8];
};

static void figures_of(const struct view_part *p, uint64_t now_us, struct figures *f)
{
	char done[FIGURE_MAX], total[FIGURE_MAX], left[FIGURE_MAX];
	double rate = rate_value(&p->rate, now_us);
	uint64_t s = time_left(p->done, p->total, rate);

	*f = (struct figures){0};
	snprintf(f->share, sizeof(f->share), "%3u %%", percent(p->done, p->total));
	snprintf(f->size, sizeof(f->size), "%s of %s", size_format(p->done, done),
		size_format(p->total, total));
	rate_format(rate, f->rate);
	if (s != UINT64_MAX)
		snprintf(f->left, sizeof(f->left), "%s left", duration_format(s, left));
}

static void print_part(const struct view *v, struct view_part *p, uint64_t now_us)
{
	FILE *out = v->term->file;
	struct figures f;

	fprintf(out, "%s: %s", p->name, moving(p) ? p->phase : p->state);
	if (moving(p)) {
		figures_of(p, now_us, &f);
		fprintf(out, " %s, %s%s%s%s%s", f.share + strspn(f.share, " "), f.size,
			f.rate[0] ? ", " : "", f.rate, f.left[0] ? ", " : "", f.left);
	} else if (p->versions[0]) {
		fprintf(out, " (%s)", p->versions);
	}
	fputc('\n', out);
	(void)fflush(out);
	p->printed_us = now_us;
	p->changed = false;
}

static void print_changes(struct view *v, uint64_t now_us)
{
	if (v->silent || v->term->live)
		return;
	for (size_t i = 0; i < v->n_parts; i++) {
		struct view_part *p = &v->parts[i];
		if (p->changed || (moving(p) && now_us - p->printed_us >= VIEW_LINE_US))
			print_part(v, p, now_us);
	}
}

static void count(
	struct view_part *p, const char *phase, uint64_t done, uint64_t total, uint64_t now_us)
{
	if (take(p->phase, sizeof(p->phase), phase)) {
		p->rate = (struct rate){0};
		p->changed = true;
	}
	p->done = done;
	p->total = total;
	rate_add(&p->rate, now_us, done);
}

static uint64_t unsigned_of(const json_t *o, const char *key)
{
	int64_t n = number_of(o, key);

	return n > 0 ? (uint64_t)n : 0;
}

static void update_part(struct view_part *p, const json_t *c, uint64_t now_us)
{
	const char *from = text_of(c, "from"), *to = text_of(c, "version");
	char versions[80];

	bool moved = moving(p);

	snprintf(versions, sizeof(versions), "%s%s%s", from, *from ? " > " : "", to);
	take(p->versions, sizeof(p->versions), versions);
	bool changed = take(p->state, sizeof(p->state), text_of(c, "state"));
	count(p, text_of(c, "phase"), unsigned_of(c, "done"), unsigned_of(c, "total"), now_us);
	/* From one phase to the next it is the phase that is told. */
	if (changed && !(moved && moving(p)))
		p->changed = true;
}

/* The parts of a deployment never change but once, when its manifest is known. */
static bool make_parts(struct view *v, const json_t *components)
{
	const json_t *c;
	size_t i;

	if (json_array_size(components) == v->n_parts)
		return true;
	free_parts(v);
	v->parts = calloc(json_array_size(components), sizeof(*v->parts));
	if (!v->parts)
		return false;
	json_array_foreach (components, i, c) {
		struct view_part *p = &v->parts[v->n_parts++];
		p->name = part_name(c);
		if (!p->name)
			return false;
		text_clean(p->name);
		take(p->component, sizeof(p->component), text_of(c, "name"));
	}
	return true;
}

char *release_phrase(const json_t *deployment)
{
	const char *release = text_of(deployment, "release");
	bool bundle = strcmp(text_of(deployment, "origin"), "bundle") == 0;
	char *phrase;

	if (asprintf(&phrase, "%s%s",
		    *release ? "release "
		    : bundle ? "the bundle's release"
			     : "the newest release",
		    release) < 0)
		return NULL;
	return phrase;
}

void view_update(struct view *v, const json_t *deployment, uint64_t now_us)
{
	const json_t *components = json_object_get(deployment, "components"), *c;
	size_t i;

	_cleanup_free_ char *release = release_phrase(deployment);
	free(v->title);
	if (asprintf(&v->title, "deployment %lld: %s", (long long)number_of(deployment, "id"),
		    release ? release : "") < 0)
		v->title = NULL;
	if (v->title)
		text_clean(v->title);
	bool changed = take(v->state, sizeof(v->state), text_of(deployment, "state"));
	if (!make_parts(v, components))
		return free_parts(v);
	if (changed && !v->silent && !v->term->live) {
		fprintf(v->term->file, "%s: %s\n", v->title ? v->title : "deployment", v->state);
		(void)fflush(v->term->file);
	}
	json_array_foreach (components, i, c)
		update_part(&v->parts[i], c, now_us);
	print_changes(v, now_us);
}

bool view_progress(struct view *v, const char *component, const char *phase, uint64_t done,
	uint64_t total, uint64_t now_us)
{
	struct view_part *found = NULL;

	for (size_t i = 0; i < v->n_parts; i++)
		if (strcmp(v->parts[i].component, component) == 0) {
			if (found)
				return false; /* several places of one component */
			found = &v->parts[i];
		}
	if (!found ||
		(strcmp(found->state, "fetching") != 0 && strcmp(found->state, "staging") != 0))
		return false;
	count(found, phase, done, total, now_us);
	print_changes(v, now_us);
	return true;
}

/* A piece of text in exactly width cells and the gap behind it. */
static void put(const struct term *t, enum tone tone, const char *text, int width)
{
	_cleanup_free_ char *cut = text_fit(text, width, t->utf8);

	if (cut)
		fprintf(t->file, "%s%s%s%*s", term_tone(t, tone), cut, term_plain(t, tone),
			width - text_width(cut) + 2, "");
}

/* Bar and figures in what is left of the line: what matters least gives way first. */
static void draw_figures(const struct view *v, const struct view_part *p, int room, uint64_t now_us)
{
	const struct term *t = v->term;
	char bar[4 * BAR_MAX + 5];
	struct figures f;
	int share = 5, size = 20, rate = 9;

	figures_of(p, now_us, &f);
	int left = (int)strlen(f.left);
	int bar_cells = room - (share + 2) - (size + 2) - (rate + 2) - left;
	if (bar_cells < BAR_MIN) {
		bar_cells += size + 2;
		size = 0;
	}
	if (bar_cells < BAR_MIN) {
		bar_cells += rate + 2;
		rate = 0;
	}
	bar_cells = bar_cells - 2 > BAR_MAX ? BAR_MAX : bar_cells - 2;
	if (bar_cells > 0)
		fprintf(t->file, "%s%s%s  ", term_tone(t, TONE_GOOD),
			bar_format(p->done, p->total, bar_cells, t->utf8, bar, sizeof(bar)),
			term_plain(t, TONE_GOOD));
	if (room >= share)
		put(t, TONE_BOLD, f.share, share);
	if (size > 0)
		put(t, TONE_PLAIN, f.size, size);
	if (rate > 0)
		put(t, TONE_PLAIN, f.rate, rate);
	if (room - share - 2 >= left)
		fputs(f.left, t->file);
}

static void draw_part(
	const struct view *v, const struct view_part *p, int name_cells, uint64_t now_us)
{
	const struct term *t = v->term;
	int room = t->width - 1 - 2 - name_cells - 2 - WORD_CELLS - 2;

	fputs("  ", t->file);
	put(t, TONE_PLAIN, p->name, name_cells);
	put(t, moving(p) ? TONE_PLAIN : state_tone(p->state), moving(p) ? p->phase : p->state,
		WORD_CELLS);
	if (moving(p))
		draw_figures(v, p, room, now_us);
	else if (text_width(p->versions) <= room)
		fprintf(t->file, "%s%s%s", term_tone(t, TONE_DIM), p->versions,
			term_plain(t, TONE_DIM));
}

void view_erase(struct view *v)
{
	if (v->drawn > 0)
		fprintf(v->term->file, "\033[%dA\r\033[J", v->drawn);
	v->drawn = 0;
}

void view_draw(struct view *v, uint64_t now_us)
{
	const struct term *t = v->term;
	int name_cells = 0, rows = t->height > 3 ? t->height - 2 : 1;

	if (v->silent || !t->live || !v->title)
		return;
	for (size_t i = 0; i < v->n_parts; i++) {
		int w = text_width(v->parts[i].name);
		name_cells = w > name_cells ? w : name_cells;
	}
	name_cells = name_cells > NAME_CELLS ? NAME_CELLS : name_cells;
	if (v->drawn > 0)
		fprintf(t->file, "\033[%dA", v->drawn);
	fputs("\r\033[J", t->file);
	put(t, TONE_BOLD, v->title,
		text_width(v->title) < t->width - 16 ? text_width(v->title) : t->width - 16);
	fprintf(t->file, "%s%s%s\n", term_tone(t, state_tone(v->state)), v->state,
		term_plain(t, state_tone(v->state)));
	v->drawn = 1;
	for (size_t i = 0; i < v->n_parts && v->drawn < rows; i++, v->drawn++) {
		draw_part(v, &v->parts[i], name_cells, now_us);
		fputc('\n', t->file);
	}
	if (v->n_parts + 1 > (size_t)v->drawn) {
		fprintf(t->file, "  and %zu more\n", v->n_parts + 1 - (size_t)v->drawn);
		v->drawn++;
	}
	(void)fflush(t->file);
}
