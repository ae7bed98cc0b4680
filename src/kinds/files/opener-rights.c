// SPDX-License-Identifier: LGPL-2.1-or-later
/* See opener-rights.h. */
#include "kinds/files/opener-rights.h"

#include "collect/collect.h"
#include "kernel/mountinfo.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>

static bool is_of_cgroups(const struct open_file *file)
{
	return file->file_system == CGROUP_SUPER_MAGIC || file->file_system == CGROUP2_SUPER_MAGIC;
}

static bool is_of_kernel(const struct open_file *file)
{
	return file->file_system == PROC_SUPER_MAGIC || file->file_system == SYSFS_MAGIC ||
	       is_of_cgroups(file) || file->file_system == TRACEFS_MAGIC ||
	       file->file_system == SELINUX_MAGIC;
}

static bool can_be_asked(const struct open_file *file)
{
	return is_of_kernel(file) && !(file->flags & O_PATH) && S_ISREG(file->stat.st_mode);
}

/* Of a file that is mounted by itself; NULL: its mount is not one that the task is shown. */
static int path_on_mount(const struct open_file *file, const char **ret, struct error *err)
{
	struct mount_line *mounts;
	size_t count;

	*ret = NULL;
	if (file->mount_id < 0)
		return 0;
	char *text = target_read(file->target, "mountinfo", err);
	if (!text || mountinfo_parse(text, file->target->collect->arena, &mounts, &count, err))
		return -1;
	for (size_t i = 0; i < count && !*ret; i++)
		if (mounts[i].id == (uint32_t)file->mount_id)
			*ret = mounts[i].root;
	return 0;
}

int kernel_file_path(const struct open_file *file, const char **ret_path, struct error *err)
{
	struct statx stat;

	*ret_path = NULL;
	if (!can_be_asked(file))
		return 0;
	int fd = collect_borrow_file(file, err);
	if (fd < 0)
		return -1;
	if (statx(fd, "", AT_EMPTY_PATH, 0, &stat) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell whether it is a mount",
				  file->what);
	*ret_path = file->link;
	return stat.stx_attributes & STATX_ATTR_MOUNT_ROOT ? path_on_mount(file, ret_path, err) : 0;
}

/* Who may be moved by a write (cgroup_procs_write_start, 5.16). */
static bool moves_processes(const struct open_file *file, const char *name)
{
	return (file->flags & O_ACCMODE) != O_RDONLY &&
	       (strcmp(name, "cgroup.procs") == 0 || strcmp(name, "cgroup.threads") == 0 ||
		strcmp(name, "tasks") == 0);
}

/*
 * What some files of the kernel let through goes by the rights of who opened them, not of who reads
 * or writes: kernel addresses (kallsyms_show_value), all of a PCI device's registers
 * (pci_read_config), processes of others.
 */
static bool is_of_opener(const struct open_file *file, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : "";

	switch (file->file_system) {
	case PROC_SUPER_MAGIC:
		/* 00.0: a device and its function, below bus/pci. */
		return strcmp(name, "kallsyms") == 0 || strcmp(name, "modules") == 0 ||
		       (strlen(name) == 4 && name[2] == '.');
	case SYSFS_MAGIC:
		return strcmp(name, "config") == 0 || strstr(path, "/sections/");
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
		return moves_processes(file, name);
	default:
		return false;
	}
}

int opener_rights_check(const struct open_file *file, const char *kernel_path, struct error *err)
{
	if (!can_be_asked(file) || (kernel_path && !is_of_opener(file, kernel_path)))
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s lets through what its opener has a right to, which would be nestor after a "
	     "restore",
	     file->what);
	/* systemd has one open with every service that it starts, until the kernel has moved it. */
	return kernel_path && is_of_cgroups(file) ? fail_passing(err) : -1;
}

/*
 * What was written belongs to the description, and no call tells it: since when a cgroup's peak is
 * counted (memory_peak_write, 6.12), which events were registered (user_events_ioctl_reg), which
 * ranges of memory go with it when it is closed (mtrr_close), what was asked of SELinux
 * (selinux_transaction_write).
 */
static bool keeps_what_was_written(const struct open_file *file, const char *path)
{
	static const struct {
		long file_system;
		const char *name; /* NULL: any */
	} rows[] = {
		{ CGROUP2_SUPER_MAGIC, "memory.peak" },
		{ CGROUP2_SUPER_MAGIC, "memory.swap.peak" },
		{ TRACEFS_MAGIC, "user_events_data" },
		{ PROC_SUPER_MAGIC, "mtrr" },
		{ SELINUX_MAGIC, NULL },
	};
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (file->file_system == rows[i].file_system &&
		    (!rows[i].name || strcmp(name, rows[i].name) == 0))
			return true;
	return false;
}

int written_state_check(const struct open_file *file, const char *kernel_path, struct error *err)
{
	if (!kernel_path || !can_be_asked(file) || (file->flags & O_ACCMODE) == O_RDONLY ||
	    !keeps_what_was_written(file, kernel_path))
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s is open to write, and keeps what was written to it by this description alone, "
	     "which nothing tells",
	     file->what);
	return fail_hint(err, "close it before the dump");
}
