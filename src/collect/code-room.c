// SPDX-License-Identifier: LGPL-2.1-or-later
#include "collect/code-room.h"

#include "arch/stub.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ALIGNMENT = 16, MOST_HEADERS = 64, MOST_CODE = 4096 };

/* A line of /proc/PID/maps. */
struct area {
	uint64_t start, end, offset, inode;
	unsigned major, minor;
	char rights[5];
};

static bool read_line(const char *line, struct area *area)
{
	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, &area->start,
		      &area->end, area->rights, &area->offset, &area->major, &area->minor,
		      &area->inode) == 7;
}

static bool same_file(const struct area *one, const struct area *other)
{
	return one->inode && one->inode == other->inode && one->major == other->major &&
	       one->minor == other->minor;
}

/* 0: it has nothing there that could be read; -1 with errno. */
static int read_bytes(const struct target *target, uint64_t address, void *bytes, size_t size)
{
	const struct iovec local = { bytes, size }, remote = { (void *)address, size };
	ssize_t done = process_vm_readv(target->tid, &local, 1, &remote, 1, 0);

	if (done < 0 && errno_tells_nothing(errno))
		return -1;
	return done == (ssize_t)size;
}

static bool are_read(const Elf64_Ehdr *header, const struct area *first)
{
	return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_phentsize == sizeof(Elf64_Phdr) && header->e_phnum <= MOST_HEADERS &&
	       header->e_phoff <= first->end - first->start;
}

/*
 * The program's own headers, as it has them in memory: a file may be one that nobody serves now.
 * How many; -1 with errno.
 */
static int read_headers(const struct target *target, const struct area *first,
			Elf64_Phdr headers[MOST_HEADERS])
{
	Elf64_Ehdr header;
	int there = read_bytes(target, first->start, &header, sizeof header);

	if (there <= 0 || !are_read(&header, first))
		return there < 0 ? -1 : 0;
	there = read_bytes(target, first->start + header.e_phoff, headers,
			   header.e_phnum * sizeof *headers);
	return there > 0 ? header.e_phnum : there;
}

/* How much of an area of code the segment takes, if it ends in the last page; else all. */
static uint64_t used_of(const struct area *area, const Elf64_Phdr *headers, size_t n)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size = area->end - area->start;

	for (size_t i = 0; i < n; i++) {
		uint64_t end = headers[i].p_offset + headers[i].p_filesz - area->offset;
		if (headers[i].p_type == PT_LOAD && headers[i].p_flags & PF_X &&
		    headers[i].p_filesz == headers[i].p_memsz &&
		    headers[i].p_offset >= area->offset && end > size - page && end < size)
			return end;
	}
	return size;
}

/* As the file has it, or with the stub of a nestor that died; -1 with errno. */
static int is_unused(const struct target *target, uint64_t at, size_t size)
{
	static const uint8_t zeroes[MOST_CODE];
	uint8_t bytes[MOST_CODE];
	int there = size <= sizeof bytes ? read_bytes(target, at, bytes, size) : 0;

	return there > 0 ? memcmp(bytes, zeroes, size) == 0 ||
				   memcmp(bytes, stub_start, STUB_MAGIC_SIZE) == 0
			 : there;
}

/* 1: there is some in this area; -1 with errno. */
static int look_in(const struct target *target, const struct area *first, const struct area *area,
		   size_t size, struct address_range *ret_room)
{
	Elf64_Phdr headers[MOST_HEADERS];
	int n = read_headers(target, first, headers);

	if (n < 0)
		return -1;
	uint64_t used = used_of(area, headers, (size_t)n);
	uint64_t at = (area->start + used + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
	if (at >= area->end || area->end - at < size || size < STUB_MAGIC_SIZE)
		return 0;
	*ret_room = (struct address_range){ at, area->end };
	return is_unused(target, at, area->end - at);
}

int code_room_find(const struct target *target, const char *maps, size_t size,
		   struct address_range *ret_room)
{
	struct area first = { 0 }, area;
	struct address_range room;

	*ret_room = (struct address_range){ 0, 0 };
	for (const char *line = maps; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!read_line(line, &area))
			continue;
		if (!area.offset)
			first = area;
		if (strcmp(area.rights, "r-xp") != 0 || !same_file(&first, &area))
			continue;
		int found = look_in(target, &first, &area, size, &room);
		if (found < 0)
			return -1;
		if (found) {
			*ret_room = room;
			return 0;
		}
	}
	return 0;
}
