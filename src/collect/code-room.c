// SPDX-License-Identifier: LGPL-2.1-or-later
#include "collect/code-room.h"

#include "arch/stub.h"

#include <elf.h>
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

static bool read_bytes(const struct target *target, uint64_t address, void *bytes, size_t size)
{
	const struct iovec local = { bytes, size }, remote = { (void *)address, size };

	return process_vm_readv(target->tid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* The program's own headers, as it has them in memory: a file may be one that nobody serves now. */
static size_t read_headers(const struct target *target, const struct area *first,
			   Elf64_Phdr headers[MOST_HEADERS])
{
	Elf64_Ehdr header;

	if (!read_bytes(target, first->start, &header, sizeof header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof *headers ||
	    header.e_phnum > MOST_HEADERS || header.e_phoff > first->end - first->start ||
	    !read_bytes(target, first->start + header.e_phoff, headers,
			header.e_phnum * sizeof *headers))
		return 0;
	return header.e_phnum;
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

/* As the file has it, or with the stub of a nestor that died. */
static bool is_unused(const struct target *target, uint64_t at, size_t size)
{
	static const uint8_t zeroes[MOST_CODE];
	uint8_t bytes[MOST_CODE];

	return size <= sizeof bytes && read_bytes(target, at, bytes, size) &&
	       (memcmp(bytes, zeroes, size) == 0 ||
		memcmp(bytes, stub_start, STUB_MAGIC_SIZE) == 0);
}

struct address_range code_room_find(const struct target *target, const char *maps, size_t size)
{
	struct area first = { 0 }, area;
	Elf64_Phdr headers[MOST_HEADERS];

	for (const char *line = maps; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!read_line(line, &area))
			continue;
		if (!area.offset)
			first = area;
		if (strcmp(area.rights, "r-xp") != 0 || !same_file(&first, &area))
			continue;
		uint64_t used = used_of(&area, headers, read_headers(target, &first, headers));
		uint64_t at = (area.start + used + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
		if (at < area.end && area.end - at >= size && size >= STUB_MAGIC_SIZE &&
		    is_unused(target, at, area.end - at))
			return (struct address_range){ at, area.end };
	}
	return (struct address_range){ 0, 0 };
}
