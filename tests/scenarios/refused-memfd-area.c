// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-memfd-area
 * promise: a mapped memfd is refused by name, and keeps its content
 * flavours: flat one ordinary
 * refused: unsupported-area
 */
#include "scenario.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int fd = memfd_create("scenario", MFD_CLOEXEC);

	scenario_need(fd >= 0 && ftruncate(fd, 8192) == 0, "no memfd");
	char *content = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	scenario_need(content != MAP_FAILED, "cannot map");
	strcpy(content, "kept");

	scenario_ready();

	scenario_check(!strcmp(content, "kept"), "what was in the memfd is gone");
	return scenario_end();
}
