// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Roots of cgroup namespaces in version 2. Whoever makes such a namespace has to be in its root,
 * and a cgroup that passes on a controller which does not tell threads apart (memory, io, ...)
 * takes nobody (cgroup_migrate_vet_dst, kernel/cgroup/cgroup.c: EBUSY). So what is made here, from
 * these roots down, passes nothing on before all namespaces are made, and all before the first
 * process.
 *
 * One that is there already, as its tree has left it, has those controllers switched off for that
 * time, if nobody is in there or below. That takes the limits of those below away: they are given
 * what the images have, like those that are made; also by the next restore, if this one fails.
 */
#include "kinds/cgroups/cgroups.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "model/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What was switched off, parents first. */
struct switched {
	struct switched *next;
	const char *name;  /* ":/path" */
	const char *words; /* "memory io " */
};

struct root {
	struct root *next;
	const char *name;
};

struct entrances {
	bool closed; /* all namespaces are made */
	struct root *roots;
	struct switched *switched;
};

static struct entrances *entrances_of(struct file_opener *opener)
{
	static const char owner;
	struct entrances **state = (struct entrances **)opener_state(opener, &owner);

	if (!*state)
		*state = arena_new(opener->arena, struct entrances);
	return *state;
}

/* The root of a namespace in version 2, if that is the tree's own; else NULL. */
static const CgMemberEntry *root_of(const struct snapshot *snapshot,
				    const struct namespace *namespace_)
{
	const CgMemberEntry *root = cgroup_member(namespace_->entry->cgroup_root, "");

	return root && cgroup_is_own(snapshot, root) ? root : NULL;
}

static bool is_below_root(const struct snapshot *snapshot, const char *path)
{
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++) {
		const CgMemberEntry *root = root_of(snapshot, snapshot->plain_namespaces[i]);
		if (root && cgroup_path_prefix(path, root->path))
			return true;
	}
	return false;
}

bool cgroup_entrance_is_open(struct file_opener *opener, const char *name)
{
	return name[0] == ':' && !entrances_of(opener)->closed &&
	       is_below_root(opener->snapshot, name + 1);
}

bool cgroup_entrances_are_there(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++)
		if (root_of(snapshot, snapshot->plain_namespaces[i]))
			return true;
	return false;
}

/* ---- what is there already ---- */

static bool is_threaded(const char *name, size_t length)
{
	static const char *const threaded[] = { "cpu", "cpuset", "perf_event", "pids" };

	for (size_t i = 0; i < sizeof threaded / sizeof *threaded; i++)
		if (strlen(threaded[i]) == length && strncmp(name, threaded[i], length) == 0)
			return true;
	return false;
}

/* Those of a list that keep everybody out, "memory io "; "": none. */
static const char *barring_of(struct arena *arena, const char *list)
{
	const char *found = "";

	for (const char *word = list + strspn(list, " \n"); *word; word += strspn(word, " \n")) {
		size_t length = strcspn(word, " \n");
		if (!is_threaded(word, length))
			found = arena_printf(arena, "%s%.*s ", found, (int)length, word);
		word += length;
	}
	return found;
}

/* Of what a cgroup passes on; NULL with errno. */
static const char *find_barring(struct arena *arena, int fd)
{
	char *text;

	if (procfs_read(arena, fd, CGROUP_PASSED_ON, &text) < 0)
		return errno == ENOENT ? "" : NULL;
	return barring_of(arena, text);
}

/* Of what it passed on at the dump. */
static const char *recorded_barring(struct file_opener *opener, const char *path)
{
	const CgroupDirEntry *entry = cgroup_directory(opener->snapshot, "", path);

	for (size_t i = 0; entry && i < entry->n_properties; i++)
		if (strcmp(entry->properties[i]->name, CGROUP_PASSED_ON) == 0)
			return barring_of(opener->arena, entry->properties[i]->value);
	return "";
}

static int switch_all(int fd, const char *words, char sign)
{
	char text[64];

	for (const char *at = words; *at; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");
		int n = snprintf(text, sizeof text, "%c%.*s", sign, (int)length, at);
		autoclose int file =
			openat(fd, CGROUP_PASSED_ON, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
		if (n >= (int)sizeof text || file < 0 || write(file, text, (size_t)n) != n)
			return -1;
		at += length;
	}
	return 0;
}

static int fail_listing(const char *name, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look below the cgroup %s", name + 1);
}

/* Most entries of a cgroup are files: 0, and *ret -1. -1 with err. */
static int open_below(int fd, const char *name, const char *entry, int *ret, struct error *err)
{
	*ret = openat(fd, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret >= 0 || errno == ENOTDIR || errno == ENOENT ? 0 : fail_listing(name, err);
}

/* A cgroup goes on to have a controller while one below passes it on: those first. */
static int switch_off(struct file_opener *opener, int fd, const char *name, struct error *err)
{
	struct entrances *entrances = entrances_of(opener);
	const char *words = find_barring(opener->arena, fd), *entry;
	autoclosedir DIR *dir = words && *words ? listing_open(fd, ".") : NULL;

	if (words && !*words)
		return 0;
	while (dir && listing_next(dir, &entry)) {
		int opened;
		if (open_below(fd, name, entry, &opened, err))
			return -1;
		autoclose int below = opened;
		if (below >= 0 &&
		    switch_off(opener, below, arena_printf(opener->arena, "%s/%s", name, entry),
			       err))
			return -1;
	}
	if (!dir || errno)
		return fail_listing(name, err);
	if (switch_all(fd, words, '-'))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot switch off what the cgroup %s passes on", name + 1);
	struct switched *switched = arena_new(opener->arena, struct switched);
	*switched = (struct switched){ entrances->switched, name, words };
	entrances->switched = switched;
	return 0;
}

static int find_populated(struct arena *arena, int fd, const char *name, bool *ret,
			  struct error *err)
{
	char *text;

	if (procfs_read(arena, fd, "cgroup.events", &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell whether somebody is in the cgroup %s", name + 1);
	*ret = procfs_value(text, "populated", 10) != 0;
	return 0;
}

static int open_directory(struct file_opener *opener, const char *name, struct error *err)
{
	CgMemberEntry member = CG_MEMBER_ENTRY__INIT;

	member.name = (char *)(uintptr_t) "";
	member.path = (char *)(uintptr_t)(name + 1);
	autoclose int fd = cgroup_directory_open(opener, &member, CGROUPS_NONE, err);
	int opened = fd < 0 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && opened < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the cgroup %s", name + 1)
		       : opened;
}

/* All below it have lost what limits them; what limits itself is of the one above. */
static int note_below(struct file_opener *opener, int fd, const char *name, struct error *err)
{
	autoclosedir DIR *dir = listing_open(fd, ".");
	const char *entry;

	while (listing_next(dir, &entry)) {
		int opened;
		if (open_below(fd, name, entry, &opened, err))
			return -1;
		autoclose int below = opened;
		if (below < 0)
			continue;
		const char *next = arena_printf(opener->arena, "%s/%s", name, entry);
		cgroup_note_made(opener, next);
		if (note_below(opener, below, next, err))
			return -1;
	}
	return errno ? fail_listing(name, err) : 0;
}

static void note_root(struct file_opener *opener, const char *name)
{
	struct root *noted = arena_new(opener->arena, struct root);

	*noted = (struct root){ entrances_of(opener)->roots, name };
	entrances_of(opener)->roots = noted;
}

static int fail_barred(const char *path, const char *words, enum cgroup_mode mode,
		       struct error *err)
{
	fail(err, ERR_CGROUP_EXISTS,
	     "the cgroup %s is there and passes on controllers (%.*s): nobody can be in there to "
	     "make a cgroup namespace",
	     path, (int)strlen(words) - 1, words);
	return fail_hint(err, mode == CGROUPS_NONE
				      ? "--manage-cgroups=soft switches them off meanwhile"
				      : "somebody is in it, or in one below it");
}

int cgroup_entrance_clear(struct file_opener *opener, const CgMemberEntry *root,
			  enum cgroup_mode mode, struct error *err)
{
	const char *name = arena_printf(opener->arena, ":%s", root->path);
	autoclose int fd = open_directory(opener, name, err);
	const char *words = fd < 0 ? NULL : find_barring(opener->arena, fd);
	bool populated = false;

	if (fd < 0)
		return -1;
	note_root(opener, name);
	if (!words)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read which controllers the cgroup %s passes on",
				  root->path);
	/* The root of all takes everybody. */
	if (strcmp(root->path, "/") == 0)
		return 0;
	if (find_populated(opener->arena, fd, name, &populated, err))
		return -1;
	if (*words && (mode == CGROUPS_NONE || populated))
		return fail_barred(root->path, words, mode, err);
	if (switch_off(opener, fd, name, err))
		return -1;
	/* They may also be switched off since a restore that has failed. */
	return mode != CGROUPS_NONE && !populated &&
			       (*words || *recorded_barring(opener, root->path))
		       ? note_below(opener, fd, name, err)
		       : 0;
}

/* ---- once all namespaces are made ---- */

static int compare_lengths(const void *one, const void *other)
{
	size_t a = strlen(*(const char *const *)one), b = strlen(*(const char *const *)other);

	return (a > b) - (a < b);
}

/* All that may pass something on, those above first: also roots that others have made again. */
static const char **list_all(struct file_opener *opener, size_t *ret_count)
{
	const char **list = NULL, *name;
	size_t n = 0;

	for (const struct root *at = entrances_of(opener)->roots; at; at = at->next) {
		list = arena_grow(opener->arena, list, n, sizeof *list);
		list[n++] = at->name;
	}
	for (size_t at = 0; n && (name = cgroup_next_made(opener, &at));)
		if (name[0] == ':' && is_below_root(opener->snapshot, name + 1)) {
			list = arena_grow(opener->arena, list, n, sizeof *list);
			list[n++] = name;
		}
	if (n)
		qsort(list, n, sizeof *list, compare_lengths);
	*ret_count = n;
	return list;
}

static int switch_on(struct file_opener *opener, const struct switched *switched, struct error *err)
{
	autoclose int fd = open_directory(opener, switched->name, err);

	if (fd < 0)
		return -1;
	return switch_all(fd, switched->words, '+')
		       ? fail_errno(err, ERR_KERNEL_REFUSED,
				    "cannot switch on again what the cgroup %s passes on",
				    switched->name + 1)
		       : 0;
}

int cgroup_entrances_close(struct file_opener *opener, struct error *err)
{
	struct entrances *entrances = entrances_of(opener);
	size_t count;
	const char **list = list_all(opener, &count);

	entrances->closed = true;
	for (const struct switched *at = entrances->switched; at; at = at->next)
		if (switch_on(opener, at, err))
			return -1;
	for (size_t i = 0; i < count; i++) {
		autoclose int fd = open_directory(opener, list[i], err);
		if (fd < 0 || cgroup_pass_on(opener, fd, list[i], err))
			return -1;
	}
	return 0;
}
