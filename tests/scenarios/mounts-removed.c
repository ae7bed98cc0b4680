// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-removed
 * promise: what was removed and is still mounted comes back so: files, directories, fifos, sockets,
 *	links, and files that have another name, also where one is open; a file below a later mount
 *	stays open, and an inode there watched
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct removed {
	const char *name;
	mode_t mode;
	nlink_t links;
} removed[] = {
	{ "file", S_IFREG | 04751, 0 }, { "folder", S_IFDIR | 0711, 0 },
	{ "fifo", S_IFIFO | 0604, 0 },	{ "socket", S_IFSOCK | 0622, 0 },
	{ "link", S_IFLNK | 0777, 0 },	{ "linked", S_IFREG | 0640, 1 },
};
enum { REMOVED = sizeof removed / sizeof *removed };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static off_t size_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 ? status.st_size : -1;
}

static void make_file(const char *path, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	need(fd >= 0 && write(fd, path, strlen(path)) == (ssize_t)strlen(path), path);
	need(fchmod(fd, mode) == 0, "chmod");
	close(fd);
}

static void make(const struct removed *node)
{
	mode_t mode = node->mode & 07777;

	if (S_ISREG(node->mode)) {
		make_file(node->name, mode);
		return;
	}
	if (S_ISLNK(node->mode)) {
		need(symlink("somewhere", node->name) == 0, node->name);
		return;
	}
	need((S_ISDIR(node->mode) ? mkdir(node->name, 0700) : mknod(node->name, node->mode, 0)) ==
			     0 &&
		     chmod(node->name, mode) == 0,
	     node->name);
}

/* A link can be mounted only on a link, and neither is followed. */
static void bind_over(const struct removed *node, const char *place)
{
	int fd = open_tree(AT_FDCWD, node->name, AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE);

	need(fd >= 0 && move_mount(fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) == 0, place);
	close(fd);
}

static void set_up(const struct removed *node)
{
	char place[64];

	make(node);
	snprintf(place, sizeof place, "../places/%s", node->name);
	if (S_ISDIR(node->mode))
		need(mkdir(place, 0755) == 0, place);
	else if (S_ISLNK(node->mode))
		need(symlink("elsewhere", place) == 0, place);
	else
		need(mknod(place, S_IFREG | 0600, 0) == 0, place);
	bind_over(node, place);
	if (S_ISDIR(node->mode))
		need(setxattr(node->name, "user.key", "value", 5, 0) == 0, "setxattr");
	if (node->links)
		need(link(node->name, "other") == 0, "link");
	need((S_ISDIR(node->mode) ? rmdir(node->name) : unlink(node->name)) == 0, node->name);
}

static bool is_marked(const char *place)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[1024], mark[128];
	bool found = false;

	snprintf(mark, sizeof mark, "/places/%s ", place);
	while (file && fgets(line, sizeof line, file))
		found = found || (strstr(line, mark) && strstr(line, "//deleted "));
	if (file)
		fclose(file);
	return found;
}

static void check_text(const char *path, int flags, const char *text)
{
	char found[64];
	int fd = open(path, flags | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, found, sizeof found);

	scenario_check(size == (ssize_t)strlen(text) && memcmp(found, text, (size_t)size) == 0,
		       "%s is not \"%s\": %s", path, text, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void check(const struct removed *node)
{
	char path[64], target[16];
	struct stat stat_ = { 0 }, other;

	snprintf(path, sizeof path, "places/%s", node->name);
	scenario_check(lstat(path, &stat_) == 0 && stat_.st_mode == node->mode &&
			       (S_ISDIR(node->mode) || stat_.st_nlink == node->links),
		       "%s has mode %o and %u links: %s", path, stat_.st_mode,
		       (unsigned)stat_.st_nlink, strerror(errno));
	scenario_check(is_marked(node->name), "%s is not marked as removed", path);
	if (S_ISREG(node->mode))
		check_text(path, O_RDONLY, node->name);
	if (S_ISLNK(node->mode))
		scenario_check(readlink(path, target, sizeof target) == 9, "another link");
	if (S_ISDIR(node->mode)) {
		scenario_check(getxattr(path, "user.key", target, sizeof target) == 5,
			       "no attribute");
		scenario_check(mkdir("places/folder/new", 0700) == -1 && errno == ENOENT,
			       "folder is not removed");
	}
	if (node->links)
		scenario_check(stat("content/other", &other) == 0 && other.st_ino == stat_.st_ino &&
				       other.st_dev == stat_.st_dev,
			       "linked is not other");
}

/* Below what is mounted over it later. */
static void check_covered(int fd, int inotify_fd, int watch)
{
	union {
		struct inotify_event event;
		char bytes[512];
	} buffer;
	struct stat stat_;

	scenario_check(pwrite(fd, "beta", 4, 0) == 4, "cannot write: %s", strerror(errno));
	scenario_check(read(inotify_fd, &buffer, sizeof buffer) >= (ssize_t)sizeof buffer.event &&
			       buffer.event.wd == watch && buffer.event.mask == IN_MODIFY,
		       "no event of the watch: %s", strerror(errno));
	scenario_check(umount2("covered", MNT_DETACH) == 0, "umount: %s", strerror(errno));
	check_text("covered/file", O_RDONLY, "beta");
	scenario_check(fstat(fd, &stat_) == 0 && stat_.st_nlink == 1, "another file");
}

/* By the mount that shows it; but not the link, which would be followed. */
static void open_all(int fds[REMOVED])
{
	for (size_t i = 0; i < REMOVED; i++) {
		char path[64];
		int flags = S_ISREG(removed[i].mode) || S_ISFIFO(removed[i].mode) ? O_RDWR : O_PATH;
		snprintf(path, sizeof path, "places/%s", removed[i].name);
		fds[i] = S_ISLNK(removed[i].mode) ? -1 : open(path, flags | O_CLOEXEC);
		need(S_ISLNK(removed[i].mode) || fds[i] >= 0, path);
	}
}

static void check_open(const int fds[REMOVED])
{
	for (size_t i = 0; i < REMOVED; i++) {
		char path[64];
		struct stat shown = { 0 }, opened = { 0 };
		snprintf(path, sizeof path, "places/%s", removed[i].name);
		if (fds[i] < 0)
			continue;
		scenario_check(lstat(path, &shown) == 0 && fstat(fds[i], &opened) == 0 &&
				       shown.st_ino == opened.st_ino &&
				       shown.st_dev == opened.st_dev,
			       "another file is open than %s", path);
	}
}

static int inside(void *unused)
{
	int fds[REMOVED];

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("new", 0755) == 0 &&
		     mount("new", "new", "tmpfs", 0, "size=1m,mode=755") == 0 &&
		     chdir("new") == 0 && mkdir("content", 0755) == 0 &&
		     mkdir("places", 0755) == 0 && mkdir("covered", 0755) == 0 &&
		     mount("content", "content", "tmpfs", 0, "size=1m,mode=755") == 0 &&
		     chdir("content") == 0,
	     "mounts");
	for (size_t i = 0; i < REMOVED; i++)
		set_up(&removed[i]);
	need(chdir("..") == 0, "chdir");
	make_file("covered/file", 0640);
	int fd = open("covered/file", O_RDWR | O_CLOEXEC | O_TRUNC);
	int inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int watch = inotify_add_watch(inotify_fd, "covered/file", IN_MODIFY);
	need(fd >= 0 && watch > 0 && mount("covered", "covered", "tmpfs", 0, "size=1m") == 0,
	     "covered");
	make_file("covered/file", 0640);
	int above = open("covered/file", O_RDWR | O_CLOEXEC);
	need(above >= 0 && size_of(fd) == 0 && size_of(above) > 0, "two files of one name");
	for (size_t i = 0; i < REMOVED; i++)
		check(&removed[i]);
	open_all(fds);
	scenario_mark("inside");
	scenario_wait_restored();
	for (size_t i = 0; i < REMOVED; i++)
		check(&removed[i]);
	scenario_check(size_of(fd) == 0 && size_of(above) > 0, "another file of the same name");
	check_covered(fd, inotify_fd, watch);
	check_open(fds);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
