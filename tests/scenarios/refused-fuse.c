// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-fuse
 * promise: a file system whose driver is in the tree (FUSE) is refused by name, and nobody waits
 *	for the driver, which stands still: while a file of it is watched (inotify,
 *	fanotify), or something is mounted on a directory or a file of it, or was mounted where it
 *	is by now
 * flavours: flat
 * needs: kernel_memory device:fuse
 * arguments: watched marked below file hidden
 * refused: unsupported-mount
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <sched.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/wait.h>

static const char content[] = "fs/by-app/one/content";

static void reach(const char *how)
{
	int fd = open(content, O_RDONLY | O_CLOEXEC);

	scenario_need(fd >= 0, "open: %s", strerror(errno));
	if (strcmp(how, "watched") == 0)
		scenario_need(inotify_add_watch(inotify_init1(IN_CLOEXEC), "fs/by-app", IN_CREATE) >
				      0,
			      "watch: %s", strerror(errno));
	if (strcmp(how, "marked") == 0)
		scenario_need(fanotify_mark(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY),
					    FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "fs/by-app") == 0,
			      "mark: %s", strerror(errno));
	if (strcmp(how, "below") == 0)
		scenario_need(mount("below", "fs/by-app/one", "tmpfs", 0, NULL) == 0, "mount: %s",
			      strerror(errno));
	if (strcmp(how, "file") == 0)
		scenario_need(mount("/dev/null", content, NULL, MS_BIND, NULL) == 0, "bind: %s",
			      strerror(errno));
	if (strcmp(how, "hidden") == 0)
		scenario_need(mkdir("over", 0755) == 0 && mkdir("over/by-app", 0755) == 0 &&
				      mount("hidden", "over/by-app", "tmpfs", 0, NULL) == 0 &&
				      mount("fs", "over", NULL, MS_BIND, NULL) == 0,
			      "mount: %s", strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "a mount namespace: %s", strerror(errno));
	pid_t driver = serve_fs();
	reach(argv[2]);

	scenario_ready();

	umount2("fs/by-app/one", MNT_DETACH);
	umount2(content, MNT_DETACH);
	scenario_check(access(content, R_OK) == 0, "it is not served: %s", strerror(errno));
	kill(driver, SIGKILL);
	waitpid(driver, NULL, 0);
	return scenario_end();
}
