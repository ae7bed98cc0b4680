// SPDX-License-Identifier: LGPL-2.1-or-later
/* See area-text.h. */
#include "kinds/memory/area-text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* Meaning of the two-letter words of VmFlags (proc_pid_smaps(5)); words not listed are implied. */
static const struct vm_flag {
	char word[3];
	uint32_t map_flag;
	uint8_t advice;
	const char *refusal;
} vm_flags[] = {
	{ "gd", .map_flag = MAP_GROWSDOWN },
	{ "lo", .map_flag = MAP_LOCKED },
	{ "nr", .map_flag = MAP_NORESERVE },
	{ "rr", .advice = MADV_RANDOM },
	{ "sr", .advice = MADV_SEQUENTIAL },
	{ "dc", .advice = MADV_DONTFORK },
	{ "dd", .advice = MADV_DONTDUMP },
	{ "mg", .advice = MADV_MERGEABLE },
	{ "hg", .advice = MADV_HUGEPAGE },
	{ "nh", .advice = MADV_NOHUGEPAGE },
	{ "wf", .advice = MADV_WIPEONFORK },
	{ "io", .refusal = "device memory" },
	{ "pf", .refusal = "device memory" },
	{ "mm", .refusal = "device memory" },
	{ "sf", .refusal = "a mapping with MAP_SYNC" },
	{ "um", .refusal = "registered with a userfaultfd for missing pages" },
	{ "uw", .refusal = "registered with a userfaultfd for writes" },
	{ "ui", .refusal = "registered with a userfaultfd for pages that are not mapped" },
	{ "ss", .refusal = "a shadow stack" },
	{ "mt", .refusal = "memory with tags" },
};

static void read_vm_flag(struct area_text *area, const char *word)
{
	if (!memcmp(word, "mw", 2))
		area->may_write = true;
	else if (!memcmp(word, "dp", 2))
		area->droppable = true;
	else if (!memcmp(word, "lf", 2))
		area->lock_on_fault = true;
	else if (!memcmp(word, "ac", 2))
		area->accounted = true;
	else if (!memcmp(word, "sl", 2))
		area->sealed = true;
	else if (!memcmp(word, "ht", 2))
		area->huge_tlb = true;
	for (size_t i = 0; i < sizeof vm_flags / sizeof vm_flags[0]; i++) {
		if (memcmp(word, vm_flags[i].word, 2))
			continue;
		area->map_flags |= vm_flags[i].map_flag;
		if (vm_flags[i].advice)
			area->advice |= UINT64_C(1) << vm_flags[i].advice;
		if (!area->refusal)
			area->refusal = vm_flags[i].refusal;
	}
}

static void read_vm_flags(struct area_text *area)
{
	for (const char *word = area->vm_flags; word[0] > ' ' && word[1] > ' ';) {
		read_vm_flag(area, word);
		word += 2;
		while (*word == ' ')
			word++;
	}
}

bool area_text_has_path(const struct area_text *area, const char *path)
{
	return area->path_length == strlen(path) && !memcmp(area->path, path, area->path_length);
}

bool area_text_path_starts(const struct area_text *area, const char *start)
{
	size_t length = strlen(start);

	return area->path_length >= length && !memcmp(area->path, start, length);
}

static bool is_header(const char *line)
{
	return (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f');
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : line + strlen(line);
}

/* Numbers are read with strtoull: sscanf measures the whole rest of the text at each call. */
static bool read_header(const char *line, struct area_text *area)
{
	char *at;
	uint64_t major_number, minor_number;

	area->start = strtoull(line, &at, 16);
	if (*at != '-')
		return false;
	area->end = strtoull(at + 1, &at, 16);
	if (*at != ' ' || strnlen(at, 6) < 6)
		return false;
	memcpy(area->permissions, at + 1, 4);
	area->offset = strtoull(at + 5, &at, 16);
	major_number = strtoull(at, &at, 16);
	if (*at != ':')
		return false;
	minor_number = strtoull(at + 1, &at, 16);
	area->device = makedev(major_number, minor_number);
	area->inode = strtoull(at, &at, 10);
	area->path = at + strspn(at, " ");
	area->path_length = strcspn(area->path, "\n");
	return true;
}

/* What follows `key` in the line; NULL if it begins with another. */
static const char *value_of(const char *line, const char *key)
{
	/* Most lines are others: by far the most are told apart here. */
	if (*line != *key)
		return NULL;
	size_t length = strlen(key);
	return strncmp(line, key, length) == 0 ? line + length : NULL;
}

static void read_line(const char *line, struct area_text *area)
{
	const char *value;

	if ((value = value_of(line, "VmFlags: ")))
		area->vm_flags = value;
	else if ((value = value_of(line, "ProtectionKey:")))
		area->protection_key = strtoull(value, NULL, 10);
	else if ((value = value_of(line, "KernelPageSize:")))
		area->page_kib = strtoull(value, NULL, 10);
	else if ((value = value_of(line, "Shared_Clean:")) ||
		 (value = value_of(line, "Shared_Dirty:")))
		area->shared += strtoull(value, NULL, 10);
	else if ((value = value_of(line, "Anonymous:")))
		area->anonymous = strtoull(value, NULL, 10);
	else if ((value = value_of(line, "Swap:")))
		area->swapped = strtoull(value, NULL, 10);
}

bool area_text_read(const char **text, struct area_text *area)
{
	const char *line = *text;

	*area = (struct area_text){ .vm_flags = "" };
	if (!read_header(line, area))
		return false;
	for (line = next_line(line); *line && !is_header(line); line = next_line(line))
		read_line(line, area);
	*text = line;
	read_vm_flags(area);
	return true;
}
