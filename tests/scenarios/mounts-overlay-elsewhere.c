// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay-elsewhere
 * promise: an overlay whose layers were put together where nothing is any more, or where something
 *	else is now, has the same layers afterwards, and the same names of them, an upper layer
 *	too; and one with a name that leads by a link to another mount
 * flavours: flat three user user-three
 * needs: initial-user-namespace kernel_memory
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const overlays[] = { "gone", "replaced", "upper", "moved", "linked" };
enum { N_OVERLAYS = sizeof overlays / sizeof *overlays };

static void make_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

	scenario_need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s",
		      path, strerror(errno));
	close(fd);
}

static void check_file(const char *path, const char *text)
{
	char found[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : pread(fd, found, sizeof found, 0);

	scenario_check(size == (ssize_t)strlen(text) && memcmp(found, text, (size_t)size) == 0,
		       "%s is not \"%s\"", path, text);
	if (fd >= 0)
		close(fd);
}

static void make_directories(const char *const *paths)
{
	for (; *paths; paths++)
		scenario_need(mkdir(*paths, 0755) == 0, "%s: %s", *paths, strerror(errno));
}

/* Root of a user namespace has its marks in "user." attributes. */
static void mount_overlay(const char *at, const char *options)
{
	char with_user[5 * PATH_MAX];

	snprintf(with_user, sizeof with_user, "%s,userxattr", options);
	scenario_need(mount("overlay", at, "overlay", 0, options) == 0 ||
			      mount("overlay", at, "overlay", 0, with_user) == 0,
		      "%s: %s: %s", at, options, strerror(errno));
}

static void bind(const char *what, const char *at)
{
	scenario_need(mount(what, at, NULL, MS_BIND, NULL) == 0, "%s at %s: %s", what, at,
		      strerror(errno));
}

/* A place for layers, which is gone afterwards. */
static void put_together(const char *here, const char *place, const char *merged)
{
	char options[4 * PATH_MAX], path[PATH_MAX];

	scenario_need(mount("stage", place, "tmpfs", 0, "mode=755") == 0 && chdir(place) == 0,
		      "%s: %s", place, strerror(errno));
	make_directories((const char *const[]){ "1", "2", NULL });
	bind("../own/extension", "1");
	bind("../base", "2");
	scenario_need(chdir("..") == 0, "chdir: %s", strerror(errno));
	snprintf(options, sizeof options, "lowerdir=%s/%s/1/usr:%s/%s/2", here, place, here, place);
	snprintf(path, sizeof path, "own/%s", merged);
	mount_overlay(path, options);
	scenario_need(umount2(place, MNT_DETACH) == 0, "umount: %s", strerror(errno));
}

/* The options of its file system. */
static void read_options(const char *name, char *ret_options, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[8192], end[64], *options;

	snprintf(end, sizeof end, "/own/%s ", name);
	*ret_options = '\0';
	while (file && fgets(line, sizeof line, file))
		if (strstr(line, end) && (options = strstr(line, " - overlay ")))
			snprintf(ret_options, size, "%s", options);
	if (file)
		fclose(file);
}

/* Its upper layer and that for work have no name any more, either. */
static void put_upper_together(const char *here)
{
	char options[4 * PATH_MAX];

	make_directories((const char *const[]){ "up/moved", "up/moved/up", "up/moved/work", NULL });
	scenario_need(mount("stage", "stage", "tmpfs", 0, "mode=755") == 0, "tmpfs: %s",
		      strerror(errno));
	make_directories((const char *const[]){ "stage/low", "stage/up", NULL });
	bind("base", "stage/low");
	bind("up/moved", "stage/up");
	snprintf(options, sizeof options,
		 "lowerdir=%s/stage/low,upperdir=%s/stage/up/up,workdir=%s/stage/up/work", here,
		 here, here);
	mount_overlay("own/moved", options);
	make_file("own/moved/written", "moved");
	scenario_need(umount2("stage", MNT_DETACH) == 0, "umount: %s", strerror(errno));
}

/* Whoever mounts it follows the link; a restore does not, as it leads to another mount. */
static void link_overlay(const char *here)
{
	char options[4 * PATH_MAX];

	make_directories((const char *const[]){ "up/linked", "up/linked-work", "other", NULL });
	scenario_need(mount("other", "other", "tmpfs", 0, "mode=755") == 0 &&
			      symlink("other", "link") == 0,
		      "a link: %s", strerror(errno));
	make_directories((const char *const[]){ "other/lower", NULL });
	make_file("other/lower/linked", "linked");
	snprintf(options, sizeof options,
		 "lowerdir=%s/link/lower,upperdir=%s/up/linked,workdir=%s/up/linked-work", here,
		 here, here);
	mount_overlay("own/linked", options);
}

static void make_all(const char *here)
{
	char options[4 * PATH_MAX];

	make_directories((const char *const[]){ "own", "base", "stage", "place", "up", NULL });
	scenario_need(mount("own", "own", "tmpfs", 0, "mode=755") == 0, "tmpfs: %s",
		      strerror(errno));
	make_directories((const char *const[]){ "own/extension", "own/extension/usr", "own/gone",
						"own/replaced", "own/upper", "own/moved",
						"own/linked", NULL });
	make_file("own/extension/usr/both", "extension");
	make_file("own/extension/usr/extended", "extension");
	make_file("base/both", "base");
	make_file("base/based", "base");
	put_together(here, "stage", "gone");
	put_together(here, "place", "replaced");
	make_directories((const char *const[]){ "place/1", "place/1/usr", "place/2", NULL });
	make_file("place/1/usr/extended", "something else");
	/* Its upper layer is where it was named. */
	scenario_need(mount("up", "up", "tmpfs", 0, "mode=755") == 0, "tmpfs: %s", strerror(errno));
	make_directories((const char *const[]){ "up/up", "up/work", NULL });
	snprintf(options, sizeof options, "lowerdir=%s/base,upperdir=%s/up/up,workdir=%s/up/work",
		 here, here, here);
	mount_overlay("own/upper", options);
	make_file("own/upper/written", "upper");
	put_upper_together(here);
	link_overlay(here);
}

static void check_all(void)
{
	for (size_t i = 0; i < 2; i++) {
		char path[64];
		snprintf(path, sizeof path, "own/%s/both", overlays[i]);
		check_file(path, "extension");
		snprintf(path, sizeof path, "own/%s/extended", overlays[i]);
		check_file(path, "extension");
		snprintf(path, sizeof path, "own/%s/based", overlays[i]);
		check_file(path, "base");
		scenario_check(open(path, O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS,
			       "%s can be written", path);
	}
	check_file("own/upper/based", "base");
	check_file("up/up/written", "upper");
	make_file("own/upper/later", "later");
	check_file("up/up/later", "later");
	check_file("own/moved/based", "base");
	check_file("up/moved/up/written", "moved");
	make_file("own/moved/later", "later");
	check_file("up/moved/up/later", "later");
	check_file("own/linked/linked", "linked");
	make_file("own/linked/later", "later");
	check_file("up/linked/later", "later");
}

int main(int argc, char **argv)
{
	char here[PATH_MAX], before[N_OVERLAYS][8192], after[8192];

	scenario_begin(argc, argv);
	scenario_need(getcwd(here, sizeof here) && unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "a mount namespace: %s", strerror(errno));
	make_all(here);
	for (size_t i = 0; i < N_OVERLAYS; i++)
		read_options(overlays[i], before[i], sizeof before[i]);

	scenario_ready();

	for (size_t i = 0; i < N_OVERLAYS; i++) {
		read_options(overlays[i], after, sizeof after);
		scenario_check(before[i][0] && strcmp(before[i], after) == 0,
			       "options of %s are %s, were %s", overlays[i], after, before[i]);
	}
	check_all();
	scenario_check(access("stage/1", F_OK) < 0, "where the layers were there is something");
	return scenario_end();
}
