// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Modes and owners of the files that a kernel's own file system has from the beginning, where
 * somebody has changed them since.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "kinds/mounts/survey.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_node(int root_fd, const char *name)
{
	return openat(root_fd, *name ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- dump ---- */

static void record(const struct live_superblock *superblock, MntEntry *entry, const char *name,
		   const struct stat *stat, const struct usual_node *usual)
{
	struct collect *collect = superblock->collect;
	MntAttributesEntry *attributes =
		snapshot_new(collect->snapshot, MNT_ATTRIBUTES_ENTRY, MntAttributesEntry);

	attributes->name = arena_string(collect->arena, name);
	attributes->mode = stat->st_mode & 07777;
	attributes->has_uid = !usual->of_root || stat->st_uid != 0;
	attributes->uid = stat->st_uid;
	attributes->has_gid = !usual->of_root || stat->st_gid != 0;
	attributes->gid = stat->st_gid;
	entry->attributes = arena_grow(collect->arena, entry->attributes, entry->n_attributes,
				       sizeof *entry->attributes);
	entry->attributes[entry->n_attributes++] = attributes;
}

int mount_node_collect(const struct live_superblock *superblock, MntEntry *entry, int root_fd,
		       const char *name, const struct usual_node *usual, struct error *err)
{
	autoclose int fd = open_node(root_fd, name);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at %s in it",
				  superblock->what, *name ? name : "the root");
	/* Another mount over it, which its owner may not take away. */
	if (stat.st_dev != superblock->mounts[0].line->device)
		return 0;
	if ((stat.st_mode & 07777) != usual->mode || !usual->of_root || stat.st_uid || stat.st_gid)
		record(superblock, entry, name, &stat, usual);
	return 0;
}

/* ---- check and restore ---- */

int mount_nodes_check(const MntEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->n_attributes; i++) {
		const MntAttributesEntry *attributes = entry->attributes[i];
		const char *name = attributes->name;
		if (attributes->mode & ~07777U || strchr(name, '/') || strcmp(name, ".") == 0 ||
		    strcmp(name, "..") == 0)
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %u (%.200s): %.200s has no such mode or name",
				    entry->mnt_id, entry->mountpoint, name);
	}
	return 0;
}

/* Whom the owner of the file system has no number for nobody can have given it to. */
static bool is_to_have(const struct mount_maker *maker, const MntEntry *entry, bool group,
		       uint32_t id)
{
	const struct user_namespace *owner =
		entry->has_userns_id ? snapshot_user_namespace(maker->snapshot, entry->userns_id)
				     : NULL;
	uint32_t inside;

	return !owner || user_namespace_id_inside(owner, group, id, &inside);
}

static int set_one(const struct mount_maker *maker, const MntEntry *entry, int root_fd,
		   const MntAttributesEntry *wanted)
{
	autoclose int fd = open_node(root_fd, wanted->name);
	struct stat found;
	char self[64];

	if (fd < 0 || fstat(fd, &found))
		return -1;
	bool other_user = wanted->has_uid && wanted->uid != found.st_uid &&
			  is_to_have(maker, entry, false, wanted->uid);
	bool other_group = wanted->has_gid && wanted->gid != found.st_gid &&
			   is_to_have(maker, entry, true, wanted->gid);
	if ((other_user || other_group) &&
	    fchownat(fd, "", other_user ? wanted->uid : (uid_t)-1,
		     other_group ? wanted->gid : (gid_t)-1, AT_EMPTY_PATH))
		return -1;
	if (!other_user && !other_group && (found.st_mode & 07777) == wanted->mode)
		return 0;
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return chmod(self, wanted->mode);
}

int mount_nodes_set(const struct mount_maker *maker, const MntEntry *entry, int root_fd,
		    struct error *err)
{
	for (size_t i = 0; i < entry->n_attributes; i++)
		if (set_one(maker, entry, root_fd, entry->attributes[i]))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "mount %.200s: cannot set mode and owner of %.200s",
					  entry->mountpoint,
					  *entry->attributes[i]->name ? entry->attributes[i]->name
								      : "its root");
	return 0;
}
