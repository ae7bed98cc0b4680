// SPDX-License-Identifier: LGPL-2.1-or-later
/* The options of an overlay, as mountinfo has them: which directories it is made of. */
#include "kinds/mounts/overlay.h"

#include "base/cleanup.h"
#include "kernel/mountinfo.h"

#include <string.h>

enum { LONGEST_STRING = 256 };

/* The next layer of "/a:/b\\:c", with its end put in and escapes taken out; NULL: no more. */
static char *next_layer(char **rest)
{
	char *start = *rest, *to = *rest;

	if (!start)
		return NULL;
	for (char *from = start;; from++) {
		if (*from == '\\' && from[1]) {
			*to++ = *++from;
			continue;
		}
		if (*from == ':' || *from == '\0') {
			*rest = *from ? from + 1 : NULL;
			*to = '\0';
			return start;
		}
		*to++ = *from;
	}
}

/* The next option, whose value may have commas as "\," where others have written it. */
static char *next_option(char **rest)
{
	char *start = *rest;

	if (!start || !*start)
		return NULL;
	for (char *at = start;; at++) {
		if (*at == '\\' && at[1]) {
			at++;
			continue;
		}
		if (*at == ',' || *at == '\0') {
			*rest = *at ? at + 1 : NULL;
			*at = '\0';
			return start;
		}
	}
}

/* Names as they were given: what was escaped then still is. */
static void put_commas(char *value)
{
	for (char *at = value; (at = strstr(at, OVERLAY_COMMA)); at++) {
		*at = ',';
		memmove(at + 1, at + strlen(OVERLAY_COMMA), strlen(at + strlen(OVERLAY_COMMA)) + 1);
	}
}

char *overlay_unescape(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		from += *from == '\\' && from[1];
		*to++ = *from++;
	}
	*to = '\0';
	return path;
}

/*
 * All in one string, as long as fsconfig(2) takes it: so mountinfo shows them as they were. An
 * empty one stands before each that has data only ("/a::/b::/c").
 */
static int read_lower(const struct overlay_reader *reader, const char *key, char *paths,
		      struct error *err)
{
	const char *next = "lowerdir+";

	if (reader->whole && strcmp(key, "lowerdir") == 0 && strlen(paths) < LONGEST_STRING)
		return reader->whole(reader->data, key, paths, err);
	for (char *rest = paths, *path; (path = next_layer(&rest));) {
		if (!*path)
			next = "datadir+";
		else if (reader->layer(reader->data, next, path, err))
			return -1;
	}
	return 0;
}

static int read_option(const struct overlay_reader *reader, const char *key, char *value,
		       struct error *err)
{
	static const char *const others[] = { "lowerdir+", "datadir+", "upperdir", "workdir" };

	if (value)
		put_commas(value);
	if (value && strcmp(key, "lowerdir") == 0)
		return read_lower(reader, key, value, err);
	for (size_t i = 0; value && i < sizeof others / sizeof *others; i++)
		if (strcmp(key, others[i]) == 0)
			return reader->layer(reader->data, key, value, err);
	return reader->option ? reader->option(reader->data, key, value, err) : 0;
}

int overlay_read(const struct overlay_reader *reader, const char *options, struct error *err)
{
	autofree char *copy = strdup(options);

	if (!copy)
		return fail_errno(err, ERR_OUT_OF_MEMORY, "cannot read the options of an overlay");
	for (char *rest = copy, *word; (word = next_option(&rest));) {
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (read_option(reader, word, value, err))
			return -1;
	}
	return 0;
}

/* ---- as a list ---- */

static int add_layer(void *data, const char *key, const char *path, struct error *err)
{
	struct overlay_layers *layers = data;
	bool lower = strcmp(key, "lowerdir+") == 0, upper = strcmp(key, "upperdir") == 0;
	bool given = upper || strcmp(key, "workdir") == 0;
	struct overlay_layer layer = { path, path[0] != '/', lower || upper };

	(void)err;
	if (given)
		path = overlay_unescape(arena_string(layers->arena, path));
	layer.path =
		layer.relative && layers->base
			? arena_printf(layers->arena, "%s/%s",
				       strcmp(layers->base, "/") == 0 ? "" : layers->base, path)
			: arena_string(layers->arena, path);
	layers->all = arena_grow(layers->arena, layers->all, layers->n, sizeof *layers->all);
	layers->all[layers->n++] = layer;
	layers->n_relative += layer.relative;
	/* It is named after the lower ones, and lies above them. */
	layers->has_upper |= upper;
	if (upper) {
		memmove(&layers->all[1], layers->all, (layers->n - 1) * sizeof *layers->all);
		layers->all[0] = layer;
	}
	return 0;
}

int overlay_list(const char *options, struct overlay_layers *layers, struct error *err)
{
	const struct overlay_reader reader = { .layer = add_layer, .data = layers };

	layers->all = NULL;
	layers->n = layers->n_relative = 0;
	layers->has_upper = false;
	return overlay_read(&reader, options, err);
}
