// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * --unshare, and the mount namespace that a restored tree may get. nestor opens the tree's files
 * inside of it, since a descriptor, a directory and a mapping belong to the mount that they were
 * opened by. It goes home before /proc there becomes that of the fresh pid namespace, whose numbers
 * are not those that nestor works with.
 */
#include "pipeline/unshare.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

static bool is_word(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && strncmp(text, word, length) == 0;
}

int unsharing_parse(struct unsharing *unsharing, const char *text, struct error *err)
{
	static const char hint[] = "give pid, pid,mnt, auto or auto,mnt";

	*unsharing = (struct unsharing){ .home_fd = -1, .directory_fd = -1 };
	for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		size_t length = strcspn(at, ",");
		if (is_word(at, length, "pid"))
			unsharing->pid = true;
		else if (is_word(at, length, "auto"))
			unsharing->automatic = true;
		else if (is_word(at, length, "mnt"))
			unsharing->mounts = true;
		else {
			fail(err, ERR_USAGE,
			     "--unshare: \"%.*s\" is no namespace that can be fresh", (int)length,
			     at);
			return fail_hint(err, "%s", hint);
		}
	}
	if (text && unsharing->pid == unsharing->automatic) {
		fail(err, ERR_USAGE, "--unshare %s: either pid or auto is needed", text);
		return fail_hint(err, "%s", hint);
	}
	return 0;
}

/*
 * Nobody can return to a mount namespace whose owner is outside of their own user namespace
 * (mntns_install); NS_GET_USERNS fails then.
 */
static bool can_return(int namespace_fd)
{
	autoclose int owner = ioctl(namespace_fd, NS_GET_USERNS);

	return owner >= 0;
}

/* Where nestor cannot return to its mount namespace, a copy of that becomes its home. */
static int find_home(struct unsharing *unsharing)
{
	unsharing->home_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (unsharing->home_fd >= 0 && !can_return(unsharing->home_fd)) {
		if (unshare(CLONE_NEWNS) < 0)
			return -1;
		close(unsharing->home_fd);
		unsharing->home_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	}
	unsharing->directory_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return unsharing->home_fd < 0 || unsharing->directory_fd < 0 ? -1 : 0;
}

int unsharing_leave_home(struct unsharing *unsharing, struct error *err)
{
	if (find_home(unsharing) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the own mount namespace");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a mount namespace");
	return 0;
}

int unsharing_come_home(struct unsharing *unsharing, struct error *err)
{
	autoclose int home_fd = unsharing->home_fd, directory_fd = unsharing->directory_fd;

	if (home_fd < 0)
		return 0;
	unsharing->home_fd = unsharing->directory_fd = -1;
	if (setns(home_fd, CLONE_NEWNS) < 0 || fchdir(directory_fd) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot return to the mount namespace");
	return 0;
}
