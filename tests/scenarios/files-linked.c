// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-linked
 * promise: a file whose first name is gone is found by its other one (a hard link), also by who has
 *	it mapped, as sem_open(3) does it; the other name keeps leading to the same file
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct stat by_name, by_descriptor;
	char text[8] = "";

	scenario_begin(argc, argv);
	int fd = open("first-name", O_RDWR | O_CREAT | O_APPEND, 0600);
	scenario_need(fd >= 0 && write(fd, "content", 7) == 7, "cannot write");
	char *area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	scenario_need(area != MAP_FAILED, "mmap");
	scenario_need(!link("first-name", "other-name") && !unlink("first-name"), "cannot link");
	lseek(fd, 3, SEEK_SET);

	scenario_ready();

	scenario_check(read(fd, text, sizeof text) == 4 && memcmp(text, "tent", 4) == 0, "%s",
		       text);
	scenario_check(fstat(fd, &by_descriptor) == 0 && stat("other-name", &by_name) == 0 &&
			       by_name.st_ino == by_descriptor.st_ino && by_name.st_nlink == 1,
		       "it is another file, or has another name");
	area[0] = 'C';
	scenario_check(pread(fd, text, 1, 0) == 1 && text[0] == 'C', "the area is of another file");
	scenario_check(access("first-name", F_OK) != 0, "the first name is there");
	return scenario_end();
}
