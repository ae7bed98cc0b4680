// SPDX-License-Identifier: LGPL-2.1-or-later
/* The list of files of a dump; see manifest.h. */
#include "images/manifest.h"

#include "images/format.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char first_line[] = "nestor-manifest 1\n";
static const char any_version[] = "nestor-manifest ";
static const char was[] = "was ", removed[] = "removed ";

enum {
	HEX_DIGITS = CHECKSUM_TEXT_SIZE - 1,
	MAX_MANIFEST_SIZE = 256 * 1024 * 1024, /* some million files */
};

struct manifest_line *manifest_add(struct manifest *manifest, struct arena *arena, const char *name,
				   uint64_t size)
{
	manifest->lines =
		arena_grow(arena, manifest->lines, manifest->n_lines, sizeof *manifest->lines);
	struct manifest_line *line = &manifest->lines[manifest->n_lines++];
	*line = (struct manifest_line){ .name = arena_string(arena, name), .size = size };
	return line;
}

struct manifest_line *manifest_find(const struct manifest *manifest, const char *name)
{
	for (size_t i = 0; i < manifest->n_lines; i++)
		if (strcmp(manifest->lines[i].name, name) == 0)
			return &manifest->lines[i];
	return NULL;
}

static void print_removed(const struct manifest_line *line, struct text *text)
{
	for (size_t i = 0; i < line->n_removed; i++)
		text_add(text, "%s%" PRIu64 " %" PRIu64 " %s\n", removed, line->removed[i].offset,
			 line->removed[i].size, line->name);
}

void manifest_print(const struct manifest *manifest, struct text *text)
{
	char sum[CHECKSUM_TEXT_SIZE];

	text_add(text, "%s", first_line);
	for (size_t i = 0; i < manifest->n_lines; i++) {
		const struct manifest_line *line = &manifest->lines[i];
		text_add(text, "%s %" PRIu64 " %s\n", checksum_text(sum, line->sum), line->size,
			 line->name);
	}
	if (manifest->any_removed)
		text_add(text, "%s%s\n", was, checksum_text(sum, manifest->was));
	for (size_t i = 0; i < manifest->n_lines; i++)
		print_removed(&manifest->lines[i], text);
	checksum_text(sum, checksum_bytes(text->string, text->length));
	text_add(text, "end %s\n", sum);
}

ssize_t manifest_read(int dir_fd, struct arena *arena, char **ret_text, struct error *err)
{
	return foreign_read(dir_fd, MANIFEST_NAME, MAX_MANIFEST_SIZE, arena, ret_text, err);
}

static int parse_sum(const char *text, XXH128_hash_t *ret_sum)
{
	char half[17] = "";

	if (strspn(text, "0123456789abcdef") < HEX_DIGITS)
		return -1;
	memcpy(half, text, 16);
	ret_sum->high64 = strtoull(half, NULL, 16);
	memcpy(half, text + 16, 16);
	ret_sum->low64 = strtoull(half, NULL, 16);
	return 0;
}

static bool is_plain_name(const char *name)
{
	if (!*name || strlen(name) > NAME_MAX || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (const char *c = name; *c; c++)
		if (*c == '/' || (unsigned char)*c < ' ')
			return false;
	return strcmp(name, MANIFEST_NAME) != 0;
}

/* A number and what separates it from the next word, which *text is moved to. */
static int parse_number(char **text, uint64_t *ret_number)
{
	char *end;

	if (**text < '0' || **text > '9')
		return -1;
	errno = 0;
	*ret_number = strtoull(*text, &end, 10);
	if (errno || *end != ' ' || *ret_number > INT64_MAX)
		return -1;
	*text = end + 1;
	return 0;
}

/* "<offset> <size> <name>": of a file that was listed before, behind what was removed before. */
static int parse_removed(struct manifest *manifest, struct arena *arena, char *text)
{
	struct byte_range range;

	if (!manifest->any_removed || parse_number(&text, &range.offset) ||
	    parse_number(&text, &range.size) || !range.size ||
	    (range.offset | range.size) % IMAGE_PAGE_SIZE)
		return -1;
	/* Files are in their order here, too: nobody has us look through all of them often. */
	while (manifest->removed_from < manifest->n_lines &&
	       strcmp(manifest->lines[manifest->removed_from].name, text) != 0)
		manifest->removed_from++;
	if (manifest->removed_from == manifest->n_lines)
		return -1;
	struct manifest_line *line = &manifest->lines[manifest->removed_from];
	if (range.offset > line->size || range.size > line->size - range.offset)
		return -1;
	const struct byte_range *last =
		line->n_removed ? &line->removed[line->n_removed - 1] : NULL;
	if (last && range.offset < last->offset + last->size)
		return -1;
	line->removed = arena_grow(arena, line->removed, line->n_removed, sizeof *line->removed);
	line->removed[line->n_removed++] = range;
	return 0;
}

/* What was done after the dump. */
static int parse_change(struct manifest *manifest, struct arena *arena, char *text)
{
	if (strncmp(text, removed, sizeof removed - 1) == 0)
		return parse_removed(manifest, arena, text + sizeof removed - 1);
	if (strncmp(text, was, sizeof was - 1) != 0 || manifest->any_removed ||
	    strlen(text) != sizeof was - 1 + HEX_DIGITS)
		return -1;
	manifest->any_removed = true;
	return parse_sum(text + sizeof was - 1, &manifest->was);
}

/* "<sum> <size> <name>", terminated. */
static int parse_line(struct manifest *manifest, struct arena *arena, char *text)
{
	XXH128_hash_t sum;
	uint64_t size;

	if (strncmp(text, was, sizeof was - 1) == 0 ||
	    strncmp(text, removed, sizeof removed - 1) == 0)
		return parse_change(manifest, arena, text);
	if (parse_sum(text, &sum) || text[HEX_DIGITS] != ' ')
		return -1;
	text += HEX_DIGITS + 1;
	if (parse_number(&text, &size) || !is_plain_name(text))
		return -1;
	struct manifest_line *line = manifest_add(manifest, arena, text, size);
	line->sum = sum;
	line->has_sum = true;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct manifest_line *const *one = a, *const *other = b;

	return strcmp((*one)->name, (*other)->name);
}

static int check_names(const struct manifest *manifest, struct arena *arena, struct error *err)
{
	size_t count = manifest->n_lines;
	const struct manifest_line **sorted =
		arena_array(arena, const struct manifest_line *, count + 1);

	for (size_t i = 0; i < count; i++)
		sorted[i] = &manifest->lines[i];
	qsort(sorted, count, sizeof *sorted, compare_names);
	for (size_t i = 1; i < count; i++)
		if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			return fail(err, ERR_IMAGE_INVALID, "%s: %s is listed twice", MANIFEST_NAME,
				    sorted[i]->name);
	return 0;
}

/* The last line vouches for all others; without it the file is not all there. */
static int check_end(const char *text, size_t size, size_t *ret_body, struct error *err)
{
	const size_t length = strlen("end ") + HEX_DIGITS + 1;
	XXH128_hash_t sum;

	if (size < sizeof first_line - 1 + length || text[size - 1] != '\n' ||
	    strncmp(text + size - length, "end ", 4) != 0 ||
	    parse_sum(text + size - length + 4, &sum))
		return fail(err, ERR_IMAGE_TRUNCATED, "%s has no last line", MANIFEST_NAME);
	if (!XXH128_isEqual(sum, checksum_bytes(text, size - length)))
		return fail(err, ERR_IMAGE_ALTERED, "%s was changed after the dump", MANIFEST_NAME);
	*ret_body = size - length;
	return 0;
}

int manifest_parse(struct manifest *manifest, struct arena *arena, const char *bytes, size_t size,
		   struct error *err)
{
	char *text = arena_alloc(arena, size + 1);
	size_t body = 0;

	*manifest = (struct manifest){ 0 };
	memcpy(text, bytes, size);
	if (strncmp(text, any_version, strlen(any_version)) == 0 && strchr(text, '\n') &&
	    strncmp(text, first_line, strlen(first_line)) != 0)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "%s is of a version that this nestor does not read", MANIFEST_NAME);
	if (check_end(text, size, &body, err))
		return -1;
	text[body] = '\0';
	size_t number = 1;
	char *next;
	for (char *line = text; *line; line = next, number++) {
		next = strchr(line, '\n');
		if (!next)
			return fail(err, ERR_IMAGE_INVALID, "%s: line %zu does not end",
				    MANIFEST_NAME, number);
		*next++ = '\0';
		if (number > 1 && parse_line(manifest, arena, line))
			return fail(err, ERR_IMAGE_INVALID, "%s: line %zu describes no file",
				    MANIFEST_NAME, number);
	}
	return check_names(manifest, arena, err);
}

int manifest_sum(int dir_fd, struct arena *arena, char ret_text[CHECKSUM_TEXT_SIZE],
		 struct error *err)
{
	struct manifest manifest;
	char *bytes;
	ssize_t size = manifest_read(dir_fd, arena, &bytes, err);

	ret_text[0] = '\0';
	if (size < 0)
		return err->name == ERR_NONE ? 0 : -1;
	if (manifest_parse(&manifest, arena, bytes, (size_t)size, err))
		return -1;
	checksum_text(ret_text,
		      manifest.any_removed ? manifest.was : checksum_bytes(bytes, (size_t)size));
	return 0;
}
