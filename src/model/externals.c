// SPDX-License-Identifier: LGPL-2.1-or-later
/* What lies outside of a tree, in the words of criu(8); see externals.h. */
#include "model/externals.h"

#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All types, with how each is written. */
static const struct external_form {
	const char *name;
	const char *id;	   /* for messages */
	const char *value; /* the same, of what may follow; NULL: nothing */
	bool all;	   /* no id stands for all of them */
	int numbers, base; /* of which the id is made; 0: it is any text */
	bool looked_for;   /* by each dump, which has met it if it is there */
} forms[EXTERNAL_TYPES] = {
	[EXTERNAL_PIPE] = { "pipe", "INODE", NULL, true, 1, 10, true },
	[EXTERNAL_UNIX] = { "unix", "INODE", NULL, true, 1, 10, true },
	[EXTERNAL_TTY] = { "tty", "RDEV:DEV", NULL, true, 2, 16, true },
	[EXTERNAL_FILE] = { "file", "MOUNT:INODE", NULL, false, 2, 16, true },
	[EXTERNAL_NET] = { "net", "INODE", "KEY", false, 1, 10, true },
	[EXTERNAL_MNT] = { "mnt", "KEY", "VALUE", true, 0, 0, true },
	[EXTERNAL_VETH] = { "veth", "NAME", "OUTSIDE[@BRIDGE]", false },
	[EXTERNAL_MACVLAN] = { "macvlan", "NAME", "OUTSIDE", false },
	[EXTERNAL_NETDEV] = { "netdev", "NAME", "OUTSIDE", false },
	[EXTERNAL_OVERLAY] = { "overlay", "MOUNTPOINT", "DIR", true },
};

static bool find_type(const char *name, size_t length, enum external_type *ret_type)
{
	for (enum external_type type = 0; type < EXTERNAL_TYPES; type++) {
		if (strlen(forms[type].name) != length ||
		    strncmp(forms[type].name, name, length) != 0)
			continue;
		*ret_type = type;
		return true;
	}
	return false;
}

static int fail_type(const char *text, int length, struct error *err)
{
	char names[256] = "";

	for (enum external_type type = 0; type < EXTERNAL_TYPES; type++) {
		size_t at = strlen(names);
		snprintf(names + at, sizeof names - at, "%s%s[%s]%s%s", at ? ", " : "",
			 forms[type].name, forms[type].id, forms[type].value ? ":" : "",
			 forms[type].value ? forms[type].value : "");
	}
	fail(err, ERR_USAGE, "--external %.*s is not supported (in \"%s\")", length, text, text);
	/* Processes are born in nestor's own, whose numbers it counts on. */
	if (length == 3 && strncmp(text, "pid", 3) == 0)
		return fail_hint(err,
				 "a tree in the pid namespace of others is dumped, and restored, "
				 "from inside of that: nsenter --pid=FILE unshare --mount-proc "
				 "nestor ...");
	return fail_hint(err, "supported are %s", names);
}

static int fail_form(const struct external_form *form, const char *text, struct error *err)
{
	fail(err, ERR_USAGE, "--external \"%s\" is not well formed", text);
	return fail_hint(err, "give %s[%s]%s%s%s", form->name, form->id, form->value ? ":" : "",
			 form->value ? form->value : "",
			 form->base == 16 ? ", in hexadecimal" : "");
}

/* "mnt[]:sm": those that nestor's namespace has too are found without being named. */
static int add_mount_flags(struct externals *externals, const char *text, const char *flags,
			   struct error *err)
{
	for (; *flags; flags++)
		if (*flags == 's') {
			externals->mounts.sharing = true;
		} else if (*flags == 'm') {
			externals->mounts.masters = true;
		} else {
			fail(err, ERR_USAGE, "--external \"%s\" is not well formed", text);
			return fail_hint(err, "flags of mnt[] are s (sharing) and m (masters)");
		}
	return 0;
}

static void add_row(struct externals *externals, struct arena *arena, enum external_type type,
		    const char *id, const char *value)
{
	externals->rows =
		arena_grow(arena, externals->rows, externals->n_rows, sizeof *externals->rows);
	externals->rows[externals->n_rows++] = (struct external){
		.type = type, .id = id, .value = value, .met = arena_new(arena, atomic_bool)
	};
}

/*
 * "auto": what nobody has to give at the restore, since it is found again by its name or its place,
 * or since there is an end to it that programs have to expect at any time: of a pipe or a stream
 * whose other side has gone, or of a terminal that is hung up.
 */
static void add_all(struct externals *externals, struct arena *arena)
{
	static const enum external_type types[] = { EXTERNAL_PIPE, EXTERNAL_UNIX, EXTERNAL_TTY };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		add_row(externals, arena, types[i], "", "");
	externals->unix_by_name = true;
	externals->mounts.sharing = true;
	externals->mounts.masters = true;
}

/* As numbers of its form are printed, by which it is found; NULL: it is not of that form. */
static const char *plain_id(struct arena *arena, const struct external_form *form, const char *id)
{
	const char *plain = "";

	for (int i = 0; i < form->numbers; i++) {
		char *end;
		errno = isxdigit((unsigned char)*id) ? 0 : EINVAL;
		unsigned long long number = strtoull(id, &end, form->base);
		if (errno || end == id || *end != (i + 1 < form->numbers ? ':' : '\0') ||
		    id[1] == 'x' || id[1] == 'X')
			return NULL;
		plain = arena_printf(arena, form->base == 16 ? "%s%s%llx" : "%s%s%llu", plain,
				     i ? ":" : "", number);
		id = end + 1;
	}
	return form->numbers ? plain : id;
}

/* Of what is given again with another value the last holds. */
static void tell_change(const struct externals *externals, enum external_type type, const char *id,
			const char *value)
{
	for (size_t i = 0; i < externals->n_rows; i++) {
		const struct external *row = &externals->rows[i];
		if (row->type == type && *id && strcmp(row->id, id) == 0 &&
		    strcmp(row->value, value) != 0)
			log_warning("options", "nestor",
				    "--external %s[%s]:%s was given before, with \"%s\"",
				    forms[type].name, id, value, row->value);
	}
}

int externals_add(struct externals *externals, struct arena *arena, const char *text,
		  struct error *err)
{
	size_t length = strcspn(text, "[:");
	enum external_type type;

	/* "console:" is what lxc-checkpoint says where there is none. */
	if (strcmp(text, "console:") == 0)
		return 0;
	if (strcmp(text, "auto") == 0) {
		add_all(externals, arena);
		return 0;
	}
	if (!find_type(text, length, &type))
		return fail_type(text, (int)length, err);
	const struct external_form *form = &forms[type];
	const char *id = text + length + 1, *end = strchr(text, ']');
	bool closed = text[length] == '[' && end && (!end[1] || end[1] == ':');
	const char *value = closed && end[1] ? end + 2 : "";
	if (!closed || (*value && !form->value) || (end == id && !form->all))
		return fail_form(form, text, err);
	if (type == EXTERNAL_MNT && end == id)
		return add_mount_flags(externals, text, value, err);
	id = arena_printf(arena, "%.*s", (int)(end - id), id);
	const char *plain = *id ? plain_id(arena, form, id) : id;
	if (!plain)
		return fail_form(form, text, err);
	tell_change(externals, type, plain, value);
	add_row(externals, arena, type, plain, arena_string(arena, value));
	return 0;
}

/* "pipe:[1]" as links in /proc say is "pipe[1]", and paths begin without their slash. */
static char *plain_key(struct arena *arena, const char *key)
{
	char *plain = arena_string(arena, key + strspn(key, "/"));
	char *colon = strstr(plain, ":[");

	if (colon)
		memmove(colon, colon + 1, strlen(colon));
	return plain;
}

void externals_inherit_fd(struct externals *externals, struct arena *arena, int fd, const char *key)
{
	externals->fds =
		arena_grow(arena, externals->fds, externals->n_fds, sizeof *externals->fds);
	externals->fds[externals->n_fds++] =
		(struct inherited_fd){ plain_key(arena, key), fd, arena_new(arena, atomic_bool) };
}

int externals_inherit(struct externals *externals, struct arena *arena, const char *text,
		      struct error *err)
{
	char *end = NULL;

	errno = 0;
	if (strncmp(text, "fd[", 3) == 0 && isdigit((unsigned char)text[3])) {
		unsigned long fd = strtoul(text + 3, &end, 10);
		if (!errno && fd <= INT_MAX && strncmp(end, "]:", 2) == 0 && end[2]) {
			externals_inherit_fd(externals, arena, (int)fd, end + 2);
			return 0;
		}
	}
	fail(err, ERR_USAGE, "--inherit-fd \"%s\" is not well formed", text);
	return fail_hint(err, "give fd[N]:KEY, as in fd[3]:pipe:[1234]");
}

const struct external *externals_find(const struct externals *externals, enum external_type type,
				      const char *id)
{
	const struct external *all = NULL, *found = NULL;

	for (size_t i = 0; externals && i < externals->n_rows; i++) {
		const struct external *row = &externals->rows[i];
		if (row->type != type || (*row->id && strcmp(row->id, id) != 0))
			continue;
		found = *row->id || !*id ? row : found;
		all = row;
		*row->met = true;
	}
	return found ? found : all;
}

const struct external *externals_find_number(const struct externals *externals,
					     enum external_type type, unsigned long long number)
{
	char id[32];

	snprintf(id, sizeof id, "%llu", number);
	return externals_find(externals, type, id);
}

int externals_fd(const struct externals *externals, const char *key)
{
	key += strspn(key, "/");
	for (size_t i = 0; externals && i < externals->n_fds; i++)
		if (strcmp(externals->fds[i].key, key) == 0) {
			*externals->fds[i].met = true;
			return externals->fds[i].fd;
		}
	return -1;
}

void externals_tell_unmet(const struct externals *externals)
{
	for (size_t i = 0; i < externals->n_rows; i++) {
		const struct external *row = &externals->rows[i];
		const struct external_form *form = &forms[row->type];
		if (!*row->met && *row->id && form->looked_for)
			log_warning("options", "nestor", "--external %s[%s]: the tree has no such",
				    form->name, row->id);
	}
	for (size_t i = 0; i < externals->mounts.skip.count; i++)
		if (!externals->mounts.skip_met[i])
			log_warning("options", "nestor", "--skip-mnt %s: the tree has no such",
				    externals->mounts.skip.texts[i]);
}

void externals_tell_left(const struct externals *externals)
{
	for (size_t i = 0; i < externals->n_fds; i++)
		if (!*externals->fds[i].met)
			log_warning("options", "nestor",
				    "--inherit-fd fd[%d]:%s: the images know nothing by that key",
				    externals->fds[i].fd, externals->fds[i].key);
}

bool externals_mounts_type(const struct externals *externals, const char *type)
{
	for (size_t i = 0; externals && i < externals->mounts.filesystems.count; i++) {
		const char *text = externals->mounts.filesystems.texts[i];
		for (size_t length; *text; text += length + (text[length] == ',')) {
			length = strcspn(text, ",");
			if ((length == strlen("all") && strncmp(text, "all", length) == 0) ||
			    (length == strlen(type) && strncmp(text, type, length) == 0))
				return true;
		}
	}
	return false;
}
