// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay-hidden
 * promise: overlays with layers in a tmpfs that nobody has mounted any more show what they showed,
 *	with all attributes; what was removed stays removed, what is written goes into the layers
 * flavours: flat three user user-three
 * needs: initial-user-namespace kernel_memory
 * ignore: maps
 */
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LONGEST = 65536, HOLE = 1 << 20, RESERVED = 1 << 16 };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void make_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static bool has_text(const char *path, const char *text)
{
	char found[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool same =
		fd >= 0 && pread(fd, found, sizeof found - 1, 0) >= 0 && strcmp(found, text) == 0;

	close(fd);
	return same;
}

static void make_directories(const char *const *paths)
{
	for (; *paths; paths++)
		need(mkdir(*paths, 0755) == 0, *paths);
}

/* Root of a user namespace has its marks in "user." attributes. */
static void mount_overlay(const char *at, const char *options)
{
	char with_user[6 * PATH_MAX];

	snprintf(with_user, sizeof with_user, "%s,userxattr", options);
	bool trusted = setxattr("own", "trusted.tried", "", 0, 0) == 0;
	need(mount("overlay", at, "overlay", 0, trusted ? options : with_user) == 0, at);
}

/* ---- what is seen ---- */

struct seen {
	char text[LONGEST];
	size_t length;
};

static void add_attributes(struct seen *seen, const char *path)
{
	char names[1024], value[256];
	ssize_t size = llistxattr(path, names, sizeof names);

	for (const char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t length = lgetxattr(path, name, value, sizeof value);
		seen->length += (size_t)snprintf(seen->text + seen->length, LONGEST - seen->length,
						 " %s=%zd:", name, length);
		for (ssize_t i = 0; i < length; i++)
			seen->length +=
				(size_t)snprintf(seen->text + seen->length, LONGEST - seen->length,
						 "%02x", (unsigned char)value[i]);
	}
}

/* The numbers of directories are of the overlay; one of a copy is that of the copy in a new one. */
static void add_seen(struct seen *seen, const char *path)
{
	char target[256] = "";
	struct stat stat;

	/* Something open that was removed there is made, and removed, again. */
	bool timed = strcmp(path, "own/two") != 0;
	need(lstat(path, &stat) == 0, path);
	if (S_ISLNK(stat.st_mode))
		need(readlink(path, target, sizeof target - 1) > 0, path);
	bool directory = S_ISDIR(stat.st_mode);
	bool numbered = !directory && strcmp(path, "own/one/copied") != 0 &&
			strcmp(path, "own/two/both") != 0;
	seen->length += (size_t)snprintf(
		seen->text + seen->length, LONGEST - seen->length,
		"%s %o %u:%u %lu %lld %lld %ld.%09ld %llx %s", path, stat.st_mode, stat.st_uid,
		stat.st_gid, numbered ? (unsigned long)stat.st_ino : 0,
		directory ? 0 : (long long)stat.st_size, directory ? 0 : (long long)stat.st_blocks,
		timed ? stat.st_mtim.tv_sec : 0, timed ? stat.st_mtim.tv_nsec : 0,
		(unsigned long long)stat.st_rdev, target);
	add_attributes(seen, path);
	seen->length += (size_t)snprintf(seen->text + seen->length, LONGEST - seen->length, "\n");
	need(seen->length < LONGEST, "too much is seen");
}

static void look(struct seen *seen, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);

	need(n >= 0, path);
	add_seen(seen, path);
	for (int i = 0; i < n; i++) {
		char below[PATH_MAX];
		snprintf(below, sizeof below, "%s/%s", path, entries[i]->d_name);
		if (strcmp(entries[i]->d_name, ".") == 0 || strcmp(entries[i]->d_name, "..") == 0)
			;
		else if (entries[i]->d_type == DT_DIR)
			look(seen, below);
		else
			add_seen(seen, below);
		free(entries[i]);
	}
	free(entries);
}

static const char *const shown[] = { "own/one", "own/two", "own/read", "own/part" };
enum { N_SHOWN = sizeof shown / sizeof *shown };

static struct seen *look_at_all(void)
{
	struct seen *seen = calloc(1, sizeof *seen);

	need(seen != NULL, "memory");
	for (size_t i = 0; i < N_SHOWN; i++)
		look(seen, shown[i]);
	return seen;
}

static void compare(const char *before, const char *after)
{
	while (*before && *before == *after) {
		size_t same = strcspn(before, "\n") + 1;
		if (strncmp(before, after, same) != 0)
			break;
		before += same;
		after += same;
	}
	scenario_check(!*before && !*after, "seen is %.*s, was %.*s", (int)strcspn(after, "\n"),
		       after, (int)strcspn(before, "\n"), before);
}

/* ---- what there is ---- */

static void make_base(void)
{
	make_directories((const char *const[]){ "own", "base", "stage", "base/dir", "base/opaque",
						"base/gone-dir", "base/plain", NULL });
	make_file("base/both", "base");
	make_file("base/gone", "base");
	make_file("base/copied", "base");
	make_file("base/lower", "base");
	make_file("base/dir/gone", "base");
	make_file("base/dir/kept", "base");
	make_file("base/opaque/under", "base");
	make_file("base/gone-dir/under", "base");
	make_file("base/plain/file", "base");
	need(mount("own", "own", "tmpfs", 0, "mode=755") == 0, "own");
	make_directories(
		(const char *const[]){ "own/one", "own/two", "own/read", "own/part", NULL });
}

/* Two overlays with layers in the same tmpfs. */
static void mount_written(const char *here)
{
	char options[5 * PATH_MAX];

	need(mount("stage", "stage", "tmpfs", 0, "mode=750,size=8m,nr_inodes=4k") == 0, "stage");
	make_directories((const char *const[]){ "stage/a", "stage/a/up", "stage/a/work", "stage/up",
						"stage/work", "stage/low", NULL });
	make_file("stage/low/lowest", "low");
	make_file("stage/outside", "outside");
	snprintf(options, sizeof options,
		 "lowerdir=%s/stage/low:%s/base,upperdir=%s/stage/a/up,workdir=%s/stage/a/work",
		 here, here, here, here);
	mount_overlay("own/one", options);
	snprintf(options, sizeof options,
		 "lowerdir=%s/base,upperdir=%s/stage/up,workdir=%s/stage/work", here, here, here);
	mount_overlay("own/two", options);
	need(umount2("stage", MNT_DETACH) == 0, "umount");
}

/* One that can only be read; and another part of the tmpfs is mounted. */
static void mount_read(const char *here)
{
	char options[5 * PATH_MAX];

	need(mount("stage", "stage", "tmpfs", 0, "mode=755") == 0, "stage");
	make_directories((const char *const[]){ "stage/meta", "stage/meta/dir",
						"stage/meta/extension", "stage/part", NULL });
	make_file("stage/part/file", "part");
	need(link("stage/part/file", "stage/meta/linked") == 0 &&
		     mount("stage/part", "own/part", NULL, MS_BIND, NULL) == 0,
	     "another part");
	make_file("stage/meta/both", "meta");
	make_file("stage/meta/extension/file", "meta");
	snprintf(options, sizeof options, "lowerdir=%s/stage/meta:%s/base", here, here);
	mount_overlay("own/read", options);
	need(umount2("stage", MNT_DETACH) == 0, "umount");
}

static void make_special(void)
{
	struct sockaddr_un address = { AF_UNIX, "own/one/new/socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "socket");
	close(fd);
	need(mkfifo("own/one/new/fifo", 0610) == 0 && symlink("../both", "own/one/new/link") == 0 &&
		     link("own/one/new/file", "own/one/new/again") == 0,
	     "special files");
	fd = open("own/one/new/sparse", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	need(fd >= 0 && ftruncate(fd, HOLE) == 0 && pwrite(fd, "x", 1, HOLE / 2) == 1, "sparse");
	close(fd);
}

/* As acl(5) lies in an attribute: version 2, then tag, permissions and id of each. */
static const unsigned char list[] = {
	2, 0, 0,   0,	1,   0,	  6,  0, 255, 255, 255, 255, 2,	  0,   4,
	0, 0, 0,   0,	0,   4,	  0,  4, 0,   255, 255, 255, 255, 16,  0,
	4, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255,
};

static void write_all(void)
{
	struct timespec times[] = { { 1000000001, 1 }, { 1000000002, 2 } };

	make_directories((const char *const[]){ "own/one/new", "own/one/dir/deeper", NULL });
	make_file("own/one/new/file", "new");
	make_special();
	need(setxattr("own/one/new/file", "user.told", "value", 5, 0) == 0 &&
		     setxattr("own/one/new", "user.empty", "", 0, 0) == 0 &&
		     setxattr("own/one/new/file", "system.posix_acl_access", list, sizeof list,
			      0) == 0,
	     "attributes");
	need(unlink("own/one/gone") == 0 && unlink("own/one/dir/gone") == 0 &&
		     unlink("own/one/opaque/under") == 0 && rmdir("own/one/opaque") == 0 &&
		     mkdir("own/one/opaque", 0700) == 0 && unlink("own/one/gone-dir/under") == 0 &&
		     rmdir("own/one/gone-dir") == 0,
	     "removing");
	make_file("own/one/opaque/own", "own");
	need(chmod("own/one/copied", 0604) == 0 && chmod("own/one/plain", 0711) == 0, "chmod");
	make_file("own/two/both", "changed");
	need(utimensat(AT_FDCWD, "own/one/new/file", times, 0) == 0 &&
		     utimensat(AT_FDCWD, "own/one/new", times, 0) == 0,
	     "times");
}

static void check_removed(void)
{
	static const char *const paths[] = { "own/one/gone", "own/one/dir/gone",
					     "own/one/opaque/under", "own/one/gone-dir",
					     "stage/a" };

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		scenario_check(access(paths[i], F_OK) < 0 && errno == ENOENT, "%s is there again",
			       paths[i]);
	scenario_check(unlink("own/one/opaque/own") == 0 && rmdir("own/one/opaque") == 0 &&
			       mkdir("own/one/opaque", 0700) == 0 &&
			       access("own/one/opaque/under", F_OK) < 0,
		       "what a directory replaced shows again");
}

static void check_writing(void)
{
	make_file("own/one/lower", "more");
	scenario_check(has_text("own/one/lower", "more") && has_text("base/lower", "base") &&
			       has_text("own/two/lower", "base"),
		       "what is written is not in the upper layer");
	scenario_check(unlink("own/two/both") == 0 && access("own/two/both", F_OK) < 0 &&
			       has_text("base/both", "base") && has_text("own/one/both", "base"),
		       "what is removed is not, or elsewhere too");
	scenario_check(has_text("own/one/lowest", "low") && unlink("own/one/lowest") == 0,
		       "the lowest layer");
	make_file("own/part/file", "PART");
	scenario_check(has_text("own/read/linked", "PART"), "a link leads to another file");
	scenario_check(has_text("own/read/both", "meta") && has_text("own/read/dir/kept", "base") &&
			       open("own/read/both", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS,
		       "what can only be read is another");
}

struct opened {
	int fd, removed;
	char *area;
};

static struct opened open_all(void)
{
	struct opened opened = { open("own/one/new/file", O_RDWR | O_CLOEXEC),
				 open("own/two/removed", O_CREAT | O_RDWR | O_CLOEXEC, 0600) };

	opened.area = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, opened.fd, 0);
	need(opened.fd >= 0 && lseek(opened.fd, 2, SEEK_SET) == 2 && opened.area != MAP_FAILED &&
		     write(opened.removed, "removed", 7) == 7 && unlink("own/two/removed") == 0,
	     "open files");
	return opened;
}

static void check_opened(const struct opened *opened)
{
	char text[8] = "";

	scenario_check(read(opened->fd, text, 1) == 1 && text[0] == 'w' &&
			       memcmp(opened->area, "new", 3) == 0,
		       "the open file is another");
	opened->area[0] = 'N';
	scenario_check(has_text("own/one/new/file", "New") && has_text("own/one/new/again", "New"),
		       "the mapping is of another file, or names are of several");
	scenario_check(pread(opened->removed, text, 7, 0) == 7 && memcmp(text, "removed", 7) == 0,
		       "the removed file is another");
}

int main(int argc, char **argv)
{
	struct statvfs before_fs, fs;
	char here[PATH_MAX];

	scenario_begin(argc, argv);
	need(getcwd(here, sizeof here) && unshare(CLONE_NEWNS) == 0 &&
		     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
	     "a mount namespace");
	make_base();
	mount_written(here);
	mount_read(here);
	write_all();
	struct opened opened = open_all();
	need(statvfs("own/one", &before_fs) == 0, "statvfs");
	struct seen *before = look_at_all();

	scenario_ready();

	struct seen *after = look_at_all();
	compare(before->text, after->text);
	scenario_check(statvfs("own/one", &fs) == 0 && fs.f_blocks == before_fs.f_blocks &&
			       fs.f_files == before_fs.f_files,
		       "the size of the file system is another");
	check_opened(&opened);
	check_removed();
	check_writing();
	free(before);
	free(after);
	return scenario_end();
}
