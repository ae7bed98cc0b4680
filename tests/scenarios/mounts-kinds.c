// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-kinds
 * promise: file systems of the kernel that a mount namespace has mounted for itself come back:
 *	ramfs with content, what there is one of, and what is empty; limits and lists of a
 *	tmpfs, too
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static const struct {
	const char *type;
	bool single; /* there is one as long as the kernel runs */
	const char *options;
} kinds[] = {
	{ "ramfs", false, "mode=0711" },
	{ "binfmt_misc", false, NULL },
	{ "securityfs", true, NULL },
	{ "debugfs", true, NULL },
	{ "tracefs", true, NULL },
	{ "fusectl", false, NULL },
	{ "pstore", false, NULL },
	{ "configfs", false, NULL },
	{ "devtmpfs", true, NULL },
	{ "mqueue", true, NULL },
	{ "sysfs", true, NULL },
	{ "cgroup2", true, NULL },
	{ "bpf", false, "mode=0710" },
	{ "hugetlbfs", false, "mode=0750" },
	{ "tmpfs", false, "size=2m,nr_inodes=50,mode=0751" },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct shown {
	bool is_there;
	struct stat stat;
	struct statfs fs;
};

/* user:77 may read, as setfacl(1) writes it. */
static const struct {
	uint32_t version;
	struct {
		uint16_t tag, permissions;
		uint32_t id;
	} entries[5];
} acl = { 2, { { 1, 6, ~0U }, { 2, 4, 77 }, { 4, 4, ~0U }, { 16, 4, ~0U }, { 32, 0, ~0U } } };

static void look(struct shown shown[KINDS])
{
	for (size_t i = 0; i < KINDS; i++) {
		shown[i].is_there = access(kinds[i].type, F_OK) == 0;
		need(!shown[i].is_there || (stat(kinds[i].type, &shown[i].stat) == 0 &&
					    statfs(kinds[i].type, &shown[i].fs) == 0),
		     kinds[i].type);
	}
}

/* Mounted once more it is the same, but for the source that the mount shows. */
static bool shows_source(const char *source, const char *path)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096], name[64], key[64];
	bool found = false;

	snprintf(name, sizeof name, "/%s ", path);
	snprintf(key, sizeof key, " %s ", source);
	while (file && !found && fgets(line, sizeof line, file)) {
		char *type = strstr(line, " - ");
		found = strstr(line, name) && type && strstr(type, key);
	}
	if (file)
		fclose(file);
	return found;
}

static void mount_again(void)
{
	need(mkdir("again", 0755) == 0 && mount("other", "again", "mqueue", 0, NULL) == 0 &&
		     mkdir("nothing", 0755) == 0 && mount(NULL, "nothing", "sysfs", 0, NULL) == 0,
	     "again");
}

static void check_again(void)
{
	scenario_check(shows_source("mine", "mqueue") && shows_source("other", "again") &&
			       shows_source("mine", "sysfs") && shows_source("none", "nothing"),
		       "what is mounted twice has another source");
}

static void check_all(const struct shown before[KINDS])
{
	struct shown after[KINDS];
	char found[sizeof acl];

	look(after);
	for (size_t i = 0; i < KINDS; i++) {
		const struct shown *one = &before[i], *other = &after[i];
		if (!one->is_there)
			continue;
		scenario_check(one->fs.f_type == other->fs.f_type &&
				       one->fs.f_flags == other->fs.f_flags &&
				       one->stat.st_mode == other->stat.st_mode,
			       "%s is of another type or mode", kinds[i].type);
		scenario_check(!kinds[i].single || one->stat.st_dev == other->stat.st_dev,
			       "%s is another one", kinds[i].type);
		scenario_check(kinds[i].single || (one->fs.f_blocks == other->fs.f_blocks &&
						   one->fs.f_files == other->fs.f_files),
			       "%s has other limits", kinds[i].type);
	}
	scenario_check(access("ramfs/file", F_OK) == 0, "ramfs has lost its content");
	scenario_check(getxattr("tmpfs/file", "system.posix_acl_access", found, sizeof found) ==
				       (ssize_t)sizeof acl &&
			       memcmp(found, &acl, sizeof acl) == 0,
		       "tmpfs has lost a list: %s", strerror(errno));
}

static int inside(void *unused)
{
	struct shown before[KINDS];

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	for (size_t i = 0; i < KINDS; i++) {
		need(mkdir(kinds[i].type, 0755) == 0, kinds[i].type);
		/* What this kernel has not. */
		if (mount("mine", kinds[i].type, kinds[i].type, MS_NOSUID | MS_NODEV,
			  kinds[i].options))
			need((errno == ENODEV || errno == EBUSY || errno == ENOENT) &&
				     rmdir(kinds[i].type) == 0,
			     kinds[i].type);
	}
	need(mknod("ramfs/file", S_IFREG | 0600, 0) == 0 &&
		     mknod("tmpfs/file", S_IFREG | 0640, 0) == 0 &&
		     setxattr("tmpfs/file", "system.posix_acl_access", &acl, sizeof acl, 0) == 0,
	     "content");
	mount_again();
	look(before);
	check_all(before);
	check_again();
	scenario_mark("inside");
	scenario_wait_restored();
	check_all(before);
	check_again();
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
