// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-attributes
 * promise: memory files and unlinked files keep their extended attributes, what chattr(1) sets, and
 *	the hint of how long lives what is written to them
 * flavours: flat one three user user-three user-flat unprivileged unprivileged-three ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef F_GET_RW_HINT
#define F_GET_RW_HINT 1035
#define F_SET_RW_HINT 1036
#endif

enum { LONG = 3000 };

static char long_value[LONG];

static int make_unlinked(void)
{
	char path[64];

	snprintf(path, sizeof path, "/dev/shm/attributes-%u-XXXXXX", (unsigned)getuid());
	int fd = mkstemp(path);
	scenario_need(fd >= 0 && unlink(path) == 0, "an unlinked file: %s", strerror(errno));
	return fd;
}

static void give(int fd, const char *what, uint64_t hint)
{
	unsigned flags = FS_NODUMP_FL | FS_NOATIME_FL;

	scenario_need(write(fd, "content", 7) == 7 && fchmod(fd, 0640) == 0 &&
			      fsetxattr(fd, "user.short", "value", 5, 0) == 0 &&
			      fsetxattr(fd, "user.empty", "", 0, 0) == 0 &&
			      fsetxattr(fd, "user.long", long_value, LONG, 0) == 0,
		      "%s: attributes: %s", what, strerror(errno));
	scenario_need(ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0, "%s: flags: %s", what,
		      strerror(errno));
	scenario_need(fcntl(fd, F_SET_RW_HINT, &hint) == 0, "%s: a hint: %s", what,
		      strerror(errno));
}

static void check(int fd, const char *what, uint64_t hint)
{
	char value[LONG + 1], names[256];
	unsigned flags = 0;
	uint64_t found = 0;
	struct stat stat;
	ssize_t size = fgetxattr(fd, "user.short", value, sizeof value);

	scenario_check(size == 5 && memcmp(value, "value", 5) == 0, "%s: user.short", what);
	scenario_check(fgetxattr(fd, "user.empty", value, sizeof value) == 0, "%s: user.empty",
		       what);
	size = fgetxattr(fd, "user.long", value, sizeof value);
	scenario_check(size == LONG && memcmp(value, long_value, LONG) == 0, "%s: user.long", what);
	size = flistxattr(fd, names, sizeof names);
	scenario_check(size == sizeof "user.short" + sizeof "user.empty" + sizeof "user.long",
		       "%s: other attributes, %zd", what, size);
	scenario_check(ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 &&
			       flags == (FS_NODUMP_FL | FS_NOATIME_FL),
		       "%s: flags %#x", what, flags);
	scenario_check(fcntl(fd, F_GET_RW_HINT, &found) == 0 && found == hint, "%s: the hint %d",
		       what, (int)found);
	scenario_check(fstat(fd, &stat) == 0 && stat.st_size == 7 && (stat.st_mode & 07777) == 0640,
		       "%s: another file", what);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	memset(long_value, 'l', LONG);
	int memory = memfd_create("attributes", MFD_CLOEXEC), plain = memfd_create("plain", 0);
	int unlinked = make_unlinked();
	give(memory, "a memory file", 3);
	give(unlinked, "an unlinked file", 5);

	scenario_ready();

	char names[16];
	uint64_t hint = 0;
	check(memory, "a memory file", 3);
	check(unlinked, "an unlinked file", 5);
	scenario_check(flistxattr(plain, names, sizeof names) == 0 &&
			       fcntl(plain, F_GET_RW_HINT, &hint) == 0 && hint == 0,
		       "one without has some");
	return scenario_end();
}
