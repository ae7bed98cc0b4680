// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Frozen cgroups at a restore: the tree is frozen when all of its threads stand, right before they
 * are let go. What is done to its files is here, too, for both ways.
 */
#include "kinds/cgroups/freezer.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/undo.h"
#include "kinds/cgroups/cgroups.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *freezer_file(bool v2)
{
	return v2 ? "cgroup.freeze" : "freezer.state";
}

int freezer_write(const struct frozen *frozen, bool freeze)
{
	const char *text = frozen->v2 ? freeze ? "1" : "0" : freeze ? "FROZEN" : "THAWED";
	size_t length = strlen(text);

	return pwrite(frozen->fd, text, length, 0) == (ssize_t)length ? 0 : -1;
}

bool freezer_stands(int directory, bool v2)
{
	char text[256];

	if (procfs_read_into(directory, v2 ? "cgroup.events" : "freezer.state", text,
			     sizeof text) <= 0)
		return false;
	return v2 ? strstr(text, "frozen 1") != NULL : strncmp(text, "FROZEN", 6) == 0;
}

struct thawing {
	struct undo_entry undo;
	struct frozen frozen;
};

static void undo_freezing(const struct undo_entry *entry)
{
	const struct thawing *thawing = (const void *)entry;

	/* Who is frozen cannot be ended (v1). */
	if (freezer_write(&thawing->frozen, false))
		return;
}

static int freeze_restored(struct file_opener *opener, const char *hierarchy, const char *path,
			   struct error *err)
{
	CgMemberEntry member = CG_MEMBER_ENTRY__INIT;
	struct thawing *thawing = arena_new(opener->arena, struct thawing);
	bool v2 = !*hierarchy;

	member.name = (char *)(uintptr_t)hierarchy;
	member.path = (char *)(uintptr_t)path;
	autoclose int directory = cgroup_directory_open(opener, &member, CGROUPS_NONE, err);
	if (directory < 0)
		return -1;
	int fd = openat(directory, freezer_file(v2), O_RDWR | O_CLOEXEC);
	thawing->frozen = (struct frozen){ hierarchy, path, fd, v2, false };
	thawing->undo.undo = undo_freezing;
	if (fd >= 0)
		undo_add(opener->undo, &thawing->undo);
	return fd < 0 || freezer_write(&thawing->frozen, true)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot freeze the cgroup %s", path)
		       : 0;
}

/* Before the tasks in there are ended, as the last ones added are undone first. */
static int thaw_made(struct file_opener *opener, const struct error *err)
{
	for (struct undo_entry *entry = opener->undo->first; entry; entry = entry->next)
		if (entry->undo == undo_freezing) {
			undo_freezing(entry);
			undo_drop(entry);
		}
	return err->name ? -1 : 0;
}

static int freeze_below(struct file_opener *opener, enum cgroup_mode mode, const char *hierarchy,
			const CgroupDirEntry *entry, const char *path, struct error *err)
{
	bool takes = mode != CGROUPS_SOFT || cgroup_is_made_here(opener, hierarchy, path);

	for (size_t i = 0; takes && i < entry->n_properties; i++)
		if (strcmp(entry->properties[i]->name, freezer_file(!*hierarchy)) == 0 &&
		    strcmp(entry->properties[i]->value, !*hierarchy ? "1" : "FROZEN") == 0 &&
		    freeze_restored(opener, hierarchy, path, err))
			return -1;
	for (size_t i = 0; i < entry->n_children; i++)
		if (freeze_below(opener, mode, hierarchy, entry->children[i],
				 arena_printf(opener->arena, "%s/%s",
					      strcmp(path, "/") == 0 ? "" : path,
					      entry->children[i]->dir_name),
				 err))
			return -1;
	return 0;
}

int freezer_let_go(const struct plan *plan, struct file_opener *opener, struct error *err)
{
	const CgroupEntry *cgroups = snapshot_cgroups(plan->snapshot);

	if (plan->cgroup_mode == CGROUPS_IGNORE || plan->cgroup_mode == CGROUPS_NONE)
		return 0;
	for (size_t i = 0; cgroups && i < cgroups->n_controllers; i++) {
		const CgControllerEntry *controller = cgroups->controllers[i];
		const char *hierarchy = cgroup_hierarchy_name(opener->arena, controller);
		for (size_t k = 0; k < controller->n_dirs; k++)
			if (freeze_below(opener, plan->cgroup_mode, hierarchy, controller->dirs[k],
					 controller->dirs[k]->dir_name, err))
				return thaw_made(opener, err);
	}
	return 0;
}

/* Who moved into it would not get on. */
int freezer_check(int directory, const char *hierarchy, const char *path, struct error *err)
{
	if (!freezer_stands(directory, !*hierarchy))
		return 0;
	fail(err, ERR_CGROUP_FROZEN, "the cgroup %s:%s is frozen", hierarchy, path);
	return fail_hint(err, "thaw it: a tree that was frozen is frozen again when it is there");
}
