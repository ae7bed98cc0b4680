/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of /proc/PID/smaps, area by area (proc_pid_smaps(5)). */
#ifndef NESTOR_KINDS_MEMORY_AREA_TEXT_H
#define NESTOR_KINDS_MEMORY_AREA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line of smaps with what follows it. */
struct area_text {
	uint64_t start, end, offset, device, inode;
	char permissions[5];
	const char *path;
	size_t path_length;
	const char *vm_flags;
	uint64_t protection_key;
	uint64_t page_kib;
	uint64_t shared, anonymous, swapped; /* KiB, mapped by others too; of no file; paged out */
	/* From vm_flags: */
	bool may_write, droppable, lock_on_fault, accounted, huge_tlb, sealed;
	uint32_t map_flags;
	uint64_t advice;
	const char *refusal;
};

/*
 * Reads the header at *text and the lines that follow it; moves *text to the next header. False:
 * there is none.
 */
bool area_text_read(const char **text, struct area_text *area);
bool area_text_has_path(const struct area_text *area, const char *path);
bool area_text_path_starts(const struct area_text *area, const char *start);

#endif
