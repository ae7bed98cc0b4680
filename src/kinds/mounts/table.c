// SPDX-License-Identifier: LGPL-2.1-or-later
/* The file systems, one row each, and what their files share. */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

const struct mount_kind *const mount_kinds[] = {
	&proc_mount_kind,     &tmpfs_mount_kind,
	&overlay_mount_kind,  &ramfs_mount_kind,
	&devpts_mount_kind,   &sysfs_mount_kind,
	&devtmpfs_mount_kind, &mqueue_mount_kind,
	&cgroup_mount_kind,   &cgroup2_mount_kind,
	&pstore_mount_kind,   &securityfs_mount_kind,
	&fusectl_mount_kind,  &debugfs_mount_kind,
	&tracefs_mount_kind,  &binfmt_misc_mount_kind,
	&configfs_mount_kind, &hugetlbfs_mount_kind,
	&bpf_mount_kind,      &autofs_mount_kind,
	&fuse_mount_kind,     NULL,
};

const struct mount_kind *mount_kind_of_type(const char *type)
{
	for (const struct mount_kind *const *kind = mount_kinds; *kind; kind++)
		if (strcmp((*kind)->type, type) == 0)
			return *kind;
	/* Which of them: fuse.sshfs. */
	return strncmp(type, "fuse.", 5) == 0 ? &fuse_mount_kind : NULL;
}

const struct mount_kind *mount_kind_of_entry(const MntEntry *entry)
{
	for (const struct mount_kind *const *kind = mount_kinds; *kind; kind++)
		if ((*kind)->fstype == (Fstype)entry->fstype && (*kind)->fstype != FSTYPE__AUTO)
			return *kind;
	const struct mount_kind *kind = entry->fsname ? mount_kind_of_type(entry->fsname) : NULL;
	return kind || !entry->fsname || entry->fstype != FSTYPE__AUTO ? kind : &plain_mount_kind;
}

int mount_set(int context_fd, const char *key, const char *value, struct error *err)
{
	unsigned command = value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

	if (fsconfig(context_fd, command, key, value, 0) == 0)
		return 0;
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set the mount option %s%s%s", key,
			  value ? "=" : "", value ? value : "");
}

/* To be taken apart; NULL with err. */
static char *copy_options(const char *options, struct error *err)
{
	char *copy = strdup(options);

	if (!copy)
		fail_errno(err, ERR_OUT_OF_MEMORY, "cannot set mount options");
	return copy;
}

int mount_set_options(int context_fd, const char *options, struct error *err)
{
	autofree char *copy = copy_options(options, err);
	char *rest = copy;

	if (!copy)
		return -1;
	for (char *word; (word = strsep(&rest, ","));) {
		char *value = strchr(word, '=');
		if (!*word)
			continue;
		if (value)
			*value++ = '\0';
		if (mount_set(context_fd, word, value, err))
			return -1;
	}
	return 0;
}

/*
 * Ids are shown as nestor numbers them, and taken as who mounts it does. One without a number there
 * is who mounts it (make-superblocks.c).
 */
static int set_owned_option(const struct user_namespace *owner, int context_fd, const char *key,
			    const char *value, struct error *err)
{
	bool group = strcmp(key, "gid") == 0;
	char number[16], *end;
	uint32_t inside;

	if (value && owner && (group || strcmp(key, "uid") == 0)) {
		unsigned long id = strtoul(value, &end, 10);
		if (*value < '0' || *value > '9' || *end || id > UINT32_MAX)
			return fail(err, ERR_IMAGE_INVALID, "a mount has %s=%.200s, who is nobody",
				    key, value);
		if (!user_namespace_id_inside(owner, group, (uint32_t)id, &inside))
			return 0;
		snprintf(number, sizeof number, "%" PRIu32, inside);
		value = number;
	}
	return mount_set(context_fd, key, value, err);
}

int mount_set_owned_options(int context_fd, const struct mount_maker *maker, const MntEntry *entry,
			    struct error *err)
{
	const struct user_namespace *owner =
		entry->has_userns_id ? snapshot_user_namespace(maker->snapshot, entry->userns_id)
				     : NULL;
	autofree char *copy = copy_options(entry->options, err);
	char *rest = copy;

	if (!copy)
		return -1;
	for (char *word; (word = strsep(&rest, ","));) {
		char *value = strchr(word, '=');
		if (!*word)
			continue;
		if (value)
			*value++ = '\0';
		if (set_owned_option(owner, context_fd, word, value, err))
			return -1;
	}
	return 0;
}

int mount_make_read_only(int root_fd)
{
	autoclose int context_fd = fspick(root_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);

	return context_fd < 0 || fsconfig(context_fd, FSCONFIG_SET_FLAG, "ro", NULL, 0) ||
			       fsconfig(context_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0)
		       ? -1
		       : 0;
}

int mount_new_tmpfs(void)
{
	autoclose int context_fd = fsopen("tmpfs", FSOPEN_CLOEXEC);

	return context_fd < 0 || fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0)
		       ? -1
		       : fsmount(context_fd, FSMOUNT_CLOEXEC, 0);
}

int mount_create(int context_fd, const MntEntry *entry, struct error *err)
{
	static const struct {
		uint32_t flag;
		const char *key;
	} flags[] = {
		{ MS_RDONLY, "ro" },	 { MS_SYNCHRONOUS, "sync" },  { MS_DIRSYNC, "dirsync" },
		{ MS_MANDLOCK, "mand" }, { MS_LAZYTIME, "lazytime" },
	};

	/* An empty one is shown as such; without any it is "none". */
	if (mount_set(context_fd, "source", entry->source, err))
		return -1;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (entry->sb_flags & flags[i].flag &&
		    mount_set(context_fd, flags[i].key, NULL, err))
			return -1;
	if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make the file system of %s",
				  entry->mountpoint);
	return 0;
}

int mount_attachable(int context_fd, const MntEntry *entry, struct error *err)
{
	int fd = fsmount(context_fd, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount the file system of %s",
				   entry->mountpoint)
		      : fd;
}

int mount_finish(int context_fd, const MntEntry *entry, struct error *err)
{
	return mount_create(context_fd, entry, err) ? -1 : mount_attachable(context_fd, entry, err);
}
