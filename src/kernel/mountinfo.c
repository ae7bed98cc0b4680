// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Parsing mountinfo. Paths, types, sources and options have blank, tab, newline, backslash and '#'
 * as three octal digits (mangle, fs/proc_namespace.c); an empty source is "none" or nothing.
 */
#include "kernel/mountinfo.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

static bool is_octal(const char *digits)
{
	for (size_t i = 0; i < 3; i++)
		if (digits[i] < '0' || digits[i] > '7')
			return false;
	return true;
}

/* What is kept is left as it is. */
static char *unescape_but(char *text, const char *kept)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (*from == '\\' && is_octal(from + 1) && (!*kept || strncmp(from, kept, 4))) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
	return text;
}

static char *unescape(char *text)
{
	return unescape_but(text, "");
}

static uint32_t mount_flag(const char *word, bool *ret_idmapped)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} flags[] = {
		{ "ro", MS_RDONLY },	     { "nosuid", MS_NOSUID },
		{ "nodev", MS_NODEV },	     { "noexec", MS_NOEXEC },
		{ "noatime", MS_NOATIME },   { "nodiratime", MS_NODIRATIME },
		{ "relatime", MS_RELATIME }, { "nosymfollow", MS_NOSYMFOLLOW },
		{ "sync", MS_SYNCHRONOUS },  { "dirsync", MS_DIRSYNC },
		{ "mand", MS_MANDLOCK },     { "lazytime", MS_LAZYTIME },
	};

	if (strcmp(word, "idmapped") == 0)
		*ret_idmapped = true;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strcmp(word, flags[i].name) == 0)
			return flags[i].flag;
	return 0;
}

static uint32_t parse_flags(char *words, bool *ret_idmapped)
{
	uint32_t flags = 0;
	char *rest = words;

	for (char *word; (word = strsep(&rest, ","));)
		flags |= mount_flag(word, ret_idmapped);
	return flags;
}

/*
 * show_sb_opts writes the flags first; what follows is the file system's own. A comma in the name
 * of an overlay's layer stays what it is shown as, and so is not taken for one between options.
 */
static const char *parse_superblock(char *words, struct mount_line *line)
{
	bool unused = false;
	char *rest = words;

	while (rest) {
		char *comma = strchr(rest, ',');
		if (comma)
			*comma = '\0';
		uint32_t flag = mount_flag(rest, &unused);
		if (!flag && strcmp(rest, "rw") != 0) {
			if (comma)
				*comma = ',';
			return unescape_but(rest, strcmp(line->type, "overlay") == 0 ? OVERLAY_COMMA
										     : "");
		}
		line->superblock_flags |= flag;
		rest = comma ? comma + 1 : NULL;
	}
	return "";
}

static void parse_tag(const char *tag, struct mount_line *line)
{
	if (sscanf(tag, "shared:%" SCNu32, &line->shared_id) == 1 ||
	    sscanf(tag, "master:%" SCNu32, &line->master_id) == 1)
		return;
	if (strcmp(tag, "unbindable") == 0)
		line->unbindable = true;
}

static bool parse_line(char *text, struct mount_line *line)
{
	unsigned major_number, minor_number;
	char *fields[6], *word = NULL, *end[3];

	*line = (struct mount_line){ 0 };
	for (size_t i = 0; i < 6; i++)
		if (!(fields[i] = strsep(&text, " ")))
			return false;
	if (sscanf(fields[2], "%u:%u", &major_number, &minor_number) != 2)
		return false;
	line->id = (uint32_t)strtoul(fields[0], NULL, 10);
	line->parent_id = (uint32_t)strtoul(fields[1], NULL, 10);
	line->device = makedev(major_number, minor_number);
	line->root = unescape(fields[3]);
	line->mountpoint = unescape(fields[4]);
	line->flags = parse_flags(fields[5], &line->idmapped);
	while ((word = strsep(&text, " ")) && strcmp(word, "-") != 0)
		parse_tag(word, line);
	for (size_t i = 0; i < 3; i++)
		if (!(end[i] = strsep(&text, " ")))
			return false;
	line->type = unescape(end[0]);
	line->source = unescape(end[1]);
	line->options = parse_superblock(end[2], line);
	return word != NULL;
}

int mountinfo_parse(char *text, struct arena *arena, struct mount_line **ret_lines,
		    size_t *ret_count, struct error *err)
{
	struct mount_line *lines = NULL;
	size_t count = 0;

	for (char *line; (line = strsep(&text, "\n")) && *line;) {
		lines = arena_grow(arena, lines, count, sizeof *lines);
		if (!parse_line(line, &lines[count++]))
			return fail(err, ERR_KERNEL_REFUSED, "mountinfo has a line that is none");
	}
	*ret_lines = lines;
	*ret_count = count;
	return 0;
}
