// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-append-only
 * promise: memory files and unlinked files that nobody may change, or only add to (chattr(1)), are
 *	such afterwards, for who has them open for writing too, and mapped; attributes that take
 *	privileges are kept
 * flavours: flat three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PAGE = 4096 };

static void set_flags(int fd, unsigned flags)
{
	scenario_need(ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0, "flags: %s", strerror(errno));
}

static int make_unlinked(void)
{
	char path[] = "/dev/shm/append-only-XXXXXX";
	int fd = mkstemp(path);

	scenario_need(fd >= 0 && unlink(path) == 0, "an unlinked file: %s", strerror(errno));
	return fd;
}

static void check(int fd, unsigned flags, const char *what)
{
	unsigned found = 0;

	scenario_check(ioctl(fd, FS_IOC_GETFLAGS, &found) == 0 && found == flags, "%s: flags %#x",
		       what, found);
	scenario_check(fchmod(fd, 0600) < 0 && errno == EPERM, "%s: its mode can be set", what);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int memory = memfd_create("append-only", MFD_CLOEXEC), unlinked = make_unlinked();
	scenario_need(ftruncate(memory, PAGE) == 0 && write(unlinked, "content", 7) == 7 &&
			      fcntl(unlinked, F_SETFL, O_APPEND) == 0,
		      "content");
	char *mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	scenario_need(mapped != MAP_FAILED, "mmap");
	scenario_need(fsetxattr(unlinked, "trusted.name", "value", 5, 0) == 0, "trusted.name: %s",
		      strerror(errno));
	set_flags(memory, FS_APPEND_FL);
	set_flags(unlinked, FS_IMMUTABLE_FL | FS_NODUMP_FL);

	scenario_ready();

	char value[8], byte = 0;
	check(memory, FS_APPEND_FL, "a memory file");
	check(unlinked, FS_IMMUTABLE_FL | FS_NODUMP_FL, "an unlinked file");
	mapped[1] = 'm';
	scenario_check(pread(memory, &byte, 1, 1) == 1 && byte == 'm', "what is mapped is another");
	scenario_check(fgetxattr(unlinked, "trusted.name", value, sizeof value) == 5,
		       "trusted.name: %s", strerror(errno));
	return scenario_end();
}
