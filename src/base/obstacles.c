// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reasons to refuse, gathered; see obstacles.h. */
#include "base/obstacles.h"

#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What is in front of an option in a text. */
static const char allow[] = ": allow it with ";

void obstacles_init(struct obstacles *obstacles, struct arena *arena)
{
	*obstacles = (struct obstacles){ .arena = arena };
}

bool error_is_refusal(enum error_name name)
{
	switch (name) {
#define ERROR(symbol, name, meaning)
#define REFUSAL(symbol, name, meaning) case ERR_##symbol:
#include "base/errors.def"
#undef ERROR
#undef REFUSAL
		return true;
	default:
		return false;
	}
}

/* Where what stands in brackets or quotes ends; `text` itself if that is not in this line. */
static const char *end_of_name(const char *text)
{
	static const char opening[] = "([\"", closing[] = ")]\"";
	const char *kind = strchr(opening, *text);
	size_t depth = 1;

	for (const char *at = text + 1; *at; at++) {
		if (*at == closing[kind - opening] && --depth == 0)
			return at + 1;
		if (*at == *kind)
			depth++;
	}
	return text;
}

static size_t word_length(const char *text)
{
	return strcspn(text, " ,:;()[]\"");
}

/* A number, an address, an id at several levels, a path. */
static bool is_name(const char *word, size_t length)
{
	if (*word == '/')
		return true;
	for (size_t i = 0; i < length; i++)
		if (isdigit((unsigned char)word[i]))
			return true;
	return false;
}

/* What is left of a text when numbers and names are taken out. */
static const char *pattern_of(struct arena *arena, const char *text)
{
	char *pattern = arena_alloc(arena, strlen(text) + 1), *to = pattern;

	while (*text) {
		size_t length = word_length(text);

		if (*text && strchr("([\"", *text) && end_of_name(text) != text) {
			text = end_of_name(text);
			continue;
		}
		/* "1:37:4711" is one name, and so is what follows a path. */
		if (length && is_name(text, length)) {
			if (to == pattern || to[-1] != '#')
				*to++ = '#';
			text += length +
				(text[length] == ':' && isdigit((unsigned char)text[length + 1]));
			continue;
		}
		length = length ? length : 1;
		memcpy(to, text, length);
		to += length;
		text += length;
	}
	*to = '\0';
	return pattern;
}

static struct obstacle *kind_of(struct obstacles *obstacles, enum error_name name,
				const char *pattern)
{
	for (size_t i = 0; i < obstacles->n; i++)
		if (obstacles->list[i].name == name &&
		    strcmp(obstacles->list[i].pattern, pattern) == 0)
			return &obstacles->list[i];
	obstacles->list = arena_grow(obstacles->arena, obstacles->list, obstacles->n,
				     sizeof *obstacles->list);
	struct obstacle *kind = &obstacles->list[obstacles->n++];
	*kind = (struct obstacle){ .name = name, .pattern = pattern, .hint = "" };
	return kind;
}

static bool is_there(const char *const *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static void add_option(struct arena *arena, struct obstacle *kind, const char *option)
{
	if (!option[0] || is_there(kind->options, kind->n_options, option))
		return;
	kind->options = arena_grow(arena, kind->options, kind->n_options, sizeof *kind->options);
	kind->options[kind->n_options++] = arena_string(arena, option);
}

/* Of "--ext-unix-sk or --external unix[5]" the last one, which is for this object only. */
static void add_allowing(struct arena *arena, struct obstacle *kind, const char *options)
{
	struct error err = { 0 };

	for (const char *other; (other = strstr(options, " or "));)
		options = other + strlen(" or ");
	size_t name = strcspn(options, " ");
	if (options[name])
		fail_option(&err, arena_printf(arena, "%.*s", (int)name, options), "%s",
			    options + name + 1);
	else
		fail_option(&err, options, NULL);
	add_option(arena, kind, err.option);
}

static struct obstacle *add_line(struct obstacles *obstacles, enum error_name name,
				 const char *line, const char *hint, bool passing)
{
	struct arena *arena = obstacles->arena;
	const char *options = strstr(line, allow);
	struct obstacle *kind = kind_of(obstacles, name, pattern_of(arena, line));

	if (options)
		add_allowing(arena, kind, options + strlen(allow));
	kind->passing = passing && (kind->passing || !kind->n_texts);
	if (!kind->hint[0] && hint[0])
		kind->hint = arena_string(arena, hint);
	if (is_there(kind->texts, kind->n_texts, line))
		return kind;
	obstacles->total++;
	kind->count++;
	if (kind->n_texts < OBSTACLE_TEXTS) {
		kind->texts = arena_grow(arena, kind->texts, kind->n_texts, sizeof *kind->texts);
		kind->texts[kind->n_texts++] = arena_string(arena, line);
	}
	return kind;
}

void obstacles_add(struct obstacles *obstacles, const struct error *err)
{
	struct error named = *err;

	if (obstacles->name)
		obstacles->name(obstacles->name_data, &named);
	char *line = arena_string(obstacles->arena, named.text), *rest;

	while ((line = strtok_r(line, "\n", &rest))) {
		add_option(obstacles->arena,
			   add_line(obstacles, err->name, line, err->hint, err->passing),
			   err->option);
		line = NULL;
	}
}

void obstacles_join(struct obstacles *obstacles, const struct obstacles *others)
{
	for (size_t i = 0; i < others->n; i++) {
		const struct obstacle *other = &others->list[i];

		for (size_t k = 0; k < other->n_texts; k++)
			add_line(obstacles, other->name, other->texts[k], other->hint,
				 other->passing);
		struct obstacle *kind = kind_of(obstacles, other->name, other->pattern);
		/* What is not kept cannot be the same as any. */
		kind->count += other->count - other->n_texts;
		obstacles->total += other->count - other->n_texts;
		for (size_t k = 0; k < other->n_options; k++)
			add_option(obstacles->arena, kind, other->options[k]);
	}
}

int obstacles_pass(struct obstacles *obstacles, struct error *err)
{
	if (!obstacles || !error_is_refusal(err->name))
		return -1;
	obstacles_add(obstacles, err);
	*err = (struct error){ 0 };
	return 0;
}

/* Options are told by themselves. */
static void print_line(const char *line, struct text *text)
{
	const char *end = strstr(line, allow);

	if (*line)
		text_add(text, "    %.*s\n", (int)(end ? end - line : (long)strlen(line)), line);
}

/* On one line, to be pasted as a whole; not what the hint has already. */
static void print_options(const struct obstacle *kind, struct text *text)
{
	if (!kind->n_options || (kind->n_options == 1 && strstr(kind->hint, kind->options[0])))
		return;
	for (size_t k = 0; k < kind->n_options; k++)
		text_add(text, "%s%s", k ? " " : "    ", kind->options[k]);
	text_add(text, "\n");
}

void obstacles_print(const struct obstacles *obstacles, bool all, struct text *text)
{
	for (size_t i = 0; i < obstacles->n; i++) {
		const struct obstacle *kind = &obstacles->list[i];

		text_add(text, "[%s]", error_name(kind->name));
		if (kind->count > 1)
			text_add(text, " %zu times%s", kind->count, all ? "" : ", for instance");
		text_add(text, "\n");
		for (size_t k = 0; k < kind->n_texts && (all || k == 0); k++)
			print_line(kind->texts[k], text);
		print_line(kind->hint, text);
		print_options(kind, text);
	}
}

static void add_list(const char *key, const char *const *list, size_t n, struct text *text)
{
	text_add(text, ", \"%s\": [", key);
	for (size_t i = 0; i < n; i++) {
		text_add(text, "%s", i ? ", " : "");
		text_add_json_string(text, list[i]);
	}
	text_add(text, "]");
}

void obstacles_print_json(const struct obstacles *obstacles, struct text *text)
{
	text_add(text, "[");
	for (size_t i = 0; i < obstacles->n; i++) {
		const struct obstacle *kind = &obstacles->list[i];

		text_add(text,
			 "%s\n  {\"name\": \"%s\", \"count\": %zu, \"example\": ", i ? "," : "",
			 error_name(kind->name), kind->count);
		text_add_json_string(text, kind->texts[0]);
		text_add(text, ", \"hint\": ");
		text_add_json_string(text, kind->hint);
		add_list("options", kind->options, kind->n_options, text);
		add_list("all", kind->texts, kind->n_texts, text);
		text_add(text, "}");
	}
	text_add(text, "]");
}

/* Whole lines only: a text that is cut off says something else. */
static void add_text(struct error *err, const char *text)
{
	size_t used = strlen(err->text);

	if (used + strlen(text) + 1 < sizeof err->text)
		snprintf(err->text + used, sizeof err->text - used, "%s%s", used ? "\n" : "", text);
}

int obstacles_report(const struct obstacles *obstacles, struct error *err)
{
	if (!obstacles->n)
		return 0;
	const struct obstacle *first = &obstacles->list[0];
	if (err->name != ERR_NONE)
		return -1;
	*err = (struct error){ .name = first->name, .passing = first->passing };
	if (obstacles->total > 1)
		snprintf(err->text, sizeof err->text,
			 "%zu things stand in the way, of %zu kinds:", obstacles->total,
			 obstacles->n);
	for (size_t i = 0; i < obstacles->n; i++)
		for (size_t k = 0; k < obstacles->list[i].n_texts; k++)
			add_text(err, obstacles->list[i].texts[k]);
	snprintf(err->hint, sizeof err->hint, "%s", first->hint);
	if (first->n_options && !strstr(first->texts[0], allow))
		snprintf(err->option, sizeof err->option, "%s", first->options[0]);
	return -1;
}
