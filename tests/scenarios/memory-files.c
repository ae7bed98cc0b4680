// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-files
 * promise: private and shared mappings of files keep their pages and stay connected to their file
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static uint8_t *map(int fd, size_t pages, int prot, int flags, off_t offset)
{
	void *bytes = mmap(NULL, pages * PAGE, prot, flags, fd, offset);

	scenario_need(bytes != MAP_FAILED, "cannot map a file");
	return bytes;
}

static bool is_filled(const uint8_t *page, char with)
{
	for (size_t i = 0; i < PAGE; i++)
		if (page[i] != (uint8_t)with)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	uint8_t *private_pages, *shared_pages, *read_only, *beyond, byte;
	int fd;

	scenario_begin(argc, argv);
	fd = open("mapped", O_RDWR | O_CREAT | O_EXCL, 0600);
	scenario_need(fd >= 0 && !ftruncate(fd, 8 * PAGE), "cannot make a file");
	private_pages = map(fd, 4, PROT_READ | PROT_WRITE, MAP_PRIVATE, PAGE);
	shared_pages = map(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	read_only = map(fd, 2, PROT_READ, MAP_SHARED, 2 * PAGE);
	/* The file ends within this one: pages behind the end belong to nobody. */
	beyond = map(fd, 8, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	memset(shared_pages, 's', 4 * PAGE);
	memset(private_pages + PAGE, 'p', PAGE);
	memset(beyond + PAGE, 'b', PAGE);
	scenario_need(!ftruncate(fd, 5 * PAGE), "cannot truncate a file");
	close(fd);

	scenario_ready();

	scenario_check(is_filled(private_pages, 's'), "a clean private page is not the file's");
	scenario_check(is_filled(private_pages + PAGE, 'p'), "a written private page is lost");
	scenario_check(is_filled(beyond + PAGE, 'b'), "a written page before the end is lost");
	scenario_check(is_filled(read_only + PAGE, 's'), "a page of the file has changed");
	memset(shared_pages + 2 * PAGE, 'n', PAGE);
	scenario_check(is_filled(read_only, 'n'), "shared mappings are no longer connected");
	scenario_check(is_filled(private_pages + PAGE, 'p'), "a private page follows the file");
	fd = open("mapped", O_RDONLY);
	scenario_check(pread(fd, &byte, 1, 2 * PAGE + 9) == 1 && byte == 'n',
		       "the file does not get what is written to its mapping");
	return scenario_end();
}
