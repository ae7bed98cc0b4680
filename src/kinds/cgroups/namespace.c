// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cgroup namespaces. All there is to one is its root: in each hierarchy the cgroup that its maker
 * was in (cgroup_namespaces(7)); what is shown to those inside is relative to it. So the maker goes
 * there first, and unshares then.
 *
 * No file tells the root. But paths of /proc/PID/cgroup are relative to that of the reader: what a
 * member's path has more for us than for a reader inside is the root. A namespace without a member,
 * or one whose member is outside of the root ("/.."), is refused. Whoever makes it again is in its
 * root for a moment (entrances.c).
 */
#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/text.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/visit.h"
#include "kinds/cgroups/cgroups.h"
#include "kinds/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST_TEXT = 64 * 1024 };

struct seen {
	pid_t member;
	char text[MOST_TEXT]; /* of its /proc/PID/cgroup, read inside */
};

static int read_inside(struct visitor *visitor, void *data, struct error *err)
{
	struct seen *seen = data;
	char path[64];

	(void)visitor;
	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)seen->member);
	if (procfs_read_into(AT_FDCWD, path, seen->text, sizeof seen->text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", path);
	return 0;
}

static const char *path_in(const CgSetEntry *set, const char *name)
{
	for (size_t i = 0; i < set->n_ctls; i++)
		if (strcmp(set->ctls[i]->name, name) == 0)
			return set->ctls[i]->path;
	return NULL;
}

/* How much of a member's path is that of the root; 0: it is outside, and that cannot be told. */
static size_t root_length(const char *outside, const char *inside)
{
	size_t length = strlen(outside), below = strlen(inside);

	if (strcmp(inside, "/") == 0)
		return length;
	/* Of one that is outside: "/.." and further, which is in no path from above. */
	if (below > length || strcmp(outside + length - below, inside) != 0)
		return 0;
	return below == length ? 1 : length - below;
}

/* Shortens the member's path to that of the root. */
static int cut_off(struct arena *arena, CgMemberEntry *member, const char *inside,
		   struct error *err)
{
	size_t length = inside ? root_length(member->path, inside) : 0;

	if (!length)
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "its members are outside of its root in hierarchy \"%s\", which "
			    "cannot be told then",
			    member->name);
	member->path = arena_printf(arena, "%.*s", (int)length, member->path);
	return 0;
}

static int find_root(struct collect *collect, NsEntry *entry, const char *inside_text, pid_t member,
		     struct error *err)
{
	char path[64], *text;

	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)member);
	if (procfs_read(collect->arena, AT_FDCWD, path, &text) < 0)
		return fail_errno(err, procfs_error(errno), "cannot read %s", path);
	CgSetEntry *root = cgroup_parse_set(collect->snapshot, text, 0, err);
	const CgSetEntry *inside =
		root ? cgroup_parse_set(collect->snapshot, inside_text, 0, err) : NULL;
	if (!inside)
		return -1;
	for (size_t i = 0; i < root->n_ctls; i++)
		if (cut_off(collect->arena, root->ctls[i], path_in(inside, root->ctls[i]->name),
			    err))
			return -1;
	entry->cgroup_root = root;
	return 0;
}

static int collect(struct collect *collect, struct surveyed_namespace *namespace_,
		   struct error *err)
{
	struct seen *seen = arena_new(collect->arena, struct seen);
	struct visit there = {
		.what = "looks at a cgroup namespace",
		.namespaces = &namespace_->fd,
		.n_namespaces = 1,
		.brief = true,
		.function = read_inside,
		.data = seen,
		.size = sizeof *seen,
	};

	if (collect->options->ignore_cgroups)
		return 0;
	if (!namespace_->member_tid)
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "no task of the tree is in it, and its root cannot be told then");
	seen->member = namespace_->member_tid;
	if (visit(&there, NULL, 0, err) ||
	    find_root(collect, namespace_->entry, seen->text, seen->member, err))
		return -1;
	return cgroup_properties_below(collect, namespace_->entry->cgroup_root, err);
}

static int survey(struct collect *collect, struct survey *survey, struct error *err)
{
	(void)survey;
	return cgroups_complete(collect, err);
}

static int check(const struct snapshot *snapshot, const struct namespace *namespace_,
		 struct error *err)
{
	const CgSetEntry *root = namespace_->entry->cgroup_root;

	for (size_t i = 0; root && i < root->n_ctls; i++)
		if (cgroup_is_own(snapshot, root->ctls[i]) && !cgroup_is_path(root->ctls[i]->path))
			return fail(err, ERR_CGROUP_OUTSIDE,
				    "cgroup namespace %" PRIu32
				    ": its root, %s:%s, is not below that which nestor sees",
				    namespace_->id, root->ctls[i]->name, root->ctls[i]->path);
	return 0;
}

/* ---- restore ---- */

/* Descriptors of cgroup.procs by namespace, one list for all. */
struct opened {
	struct opened *next;
	const struct namespace *namespace_;
	int fd;
};

static int prepare(struct file_opener *opener, const struct namespace *namespace_,
		   enum cgroup_mode mode, struct error *err)
{
	struct opened **list = (struct opened **)opener_state(opener, &cgroup_namespace_kind);
	const CgSetEntry *root = namespace_->entry->cgroup_root;

	for (size_t i = 0; mode != CGROUPS_IGNORE && root && i < root->n_ctls; i++) {
		if (!cgroup_is_own(opener->snapshot, root->ctls[i]))
			continue;
		int fd = cgroup_open(opener, root->ctls[i], mode, err);
		if (fd < 0)
			return -1;
		if (!*root->ctls[i]->name &&
		    cgroup_entrance_clear(opener, root->ctls[i], mode, err)) {
			close(fd);
			return -1;
		}
		struct opened *new = arena_new(opener->arena, struct opened);
		*new = (struct opened){ *list, namespace_, fd };
		*list = new;
		opener_pin(opener, fd);
	}
	return 0;
}

static int go(struct file_opener *opener, const struct namespace *namespace_, struct error *err)
{
	const struct opened *opened = *opener_state(opener, &cgroup_namespace_kind);

	for (; opened; opened = opened->next)
		if (opened->namespace_ == namespace_ && write(opened->fd, "0", 1) != 1)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot go to the root of the namespace");
	return 0;
}

static void describe(const NsEntry *entry, struct text *text)
{
	const CgSetEntry *root = entry->cgroup_root;

	/* Mostly they are the same in all hierarchies; v2 is the last. */
	for (size_t i = 0; root && i < root->n_ctls; i++)
		if (i == 0 || strcmp(root->ctls[i]->path, root->ctls[i - 1]->path) != 0)
			text_add(text, "%s%s:%s", i ? ", " : "root ", root->ctls[i]->name,
				 root->ctls[i]->path);
}

/* Of cgroups of version 2, or the first hierarchy: what is above the member's own path inside. */
static int look(int fd, pid_t member, struct text *text, struct error *err)
{
	struct seen seen = { .member = member };
	char path[64], own[sizeof seen.text];
	struct visit there = {
		.what = "looks at a cgroup namespace",
		.namespaces = &fd,
		.n_namespaces = 1,
		.brief = true,
		.function = read_inside,
		.data = &seen,
		.size = sizeof seen,
	};

	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)member);
	if (procfs_read_into(AT_FDCWD, path, own, sizeof own) < 0)
		return fail_errno(err, ERR_IO, "cannot read %s", path);
	if (visit(&there, NULL, 0, err))
		return -1;
	char *outside = strchr(own, '/'), *inside = strchr(seen.text, '/');
	if (!outside || !inside)
		return 0;
	outside[strcspn(outside, "\n")] = inside[strcspn(inside, "\n")] = '\0';
	size_t length = root_length(outside, inside);
	if (length)
		text_add(text, "root %.*s", (int)length, outside);
	return 0;
}

const struct namespace_kind cgroup_namespace_kind = {
	.type = NAMESPACE_CGROUP,
	.survey = survey,
	.collect = collect,
	.check = check,
	.prepare = prepare,
	.go = go,
	.describe = describe,
	.look = look,
};
