// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay-index
 * promise: an overlay with an index (index=on), whose layers in memory are made anew, comes back
 *	with its index, as long as no file that had several names was changed
 * flavours: flat three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void append(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	scenario_need(fd >= 0 && write(fd, "+", 1) == 1, "%s: %s", path, strerror(errno));
	close(fd);
}

static off_t size_of(const char *path)
{
	struct stat found;

	return stat(path, &found) == 0 ? found.st_size : -1;
}

int main(int argc, char **argv)
{
	static const char *const folders[] = { "lower", "upper", "work", "seen" };

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("in", 0755) == 0 && mount("t", "in", "tmpfs", 0, NULL) == 0 &&
			      chdir("in") == 0,
		      "a file system: %s", strerror(errno));
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		scenario_need(mkdir(folders[i], 0755) == 0, "%s: %s", folders[i], strerror(errno));
	append("lower/one");
	append("lower/two");
	scenario_need(link("lower/two", "lower/other") == 0, "link: %s", strerror(errno));
	scenario_need(mount("overlay", "seen", "overlay", 0,
			    "lowerdir=lower,upperdir=upper,workdir=work,index=on") == 0,
		      "overlay: %s", strerror(errno));
	append("seen/one");
	scenario_ready();
	scenario_check(size_of("seen/one") == 2 && size_of("seen/two") == 1, "another content");
	/* Both names are of one file, which only an index knows. */
	append("seen/two");
	scenario_check(size_of("seen/two") == 2 && size_of("seen/other") == 2 &&
			       size_of("lower/other") == 1,
		       "there is no index any more");
	return scenario_end();
}
