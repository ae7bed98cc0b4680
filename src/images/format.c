// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of image files; see format.h. */
#include "images/format.h"

#include "model/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The magics and names are those of the wire format, but for ns.img: the wire format knows its
 * records and not its magic, so it has one of ours ("NEST").
 *
 * pagemap rows name the entry: the first record of those files is a pagemap_head.
 */
static const struct image_format formats[IMAGE_KINDS] = {
	[IMAGE_INVENTORY] = { "inventory", 0, true, PAYLOAD_NONE, 0x58313116,
			      &inventory_entry__descriptor },
	[IMAGE_PSTREE] = { "pstree", 0, false, PAYLOAD_NONE, 0x50273030,
			   &pstree_entry__descriptor },
	[IMAGE_NS] = { "ns", 0, false, PAYLOAD_NONE, 0x5453454e, &ns_entry__descriptor },
	[IMAGE_IDS] = { "ids-", 'u', true, PAYLOAD_NONE, 0x54432030,
			&task_kobj_ids_entry__descriptor },
	[IMAGE_CORE] = { "core-", 'u', true, PAYLOAD_NONE, 0x55053847, &core_entry__descriptor },
	[IMAGE_MM] = { "mm-", 'u', true, PAYLOAD_NONE, 0x57492820, &mm_entry__descriptor },
	[IMAGE_VMAS] = { "vmas-", 'u', false, PAYLOAD_NONE, 0x54123737, &vma_entry__descriptor },
	[IMAGE_FS] = { "fs-", 'u', true, PAYLOAD_NONE, 0x51403912, &fs_entry__descriptor },
	[IMAGE_FDINFO] = { "fdinfo-", 'u', false, PAYLOAD_NONE, 0x56213732,
			   &fdinfo_entry__descriptor },
	[IMAGE_FILES] = { "files", 0, false, PAYLOAD_NONE, 0x56303138, &file_entry__descriptor },
	[IMAGE_REG_FILES] = { "reg-files", 0, false, PAYLOAD_NONE, 0x50363636,
			      &reg_file_entry__descriptor },
	[IMAGE_NS_FILES] = { "ns-files", 0, false, PAYLOAD_NONE, 0x61394011,
			     &ns_file_entry__descriptor },
	[IMAGE_PIPES] = { "pipes", 0, false, PAYLOAD_NONE, 0x56513555, &pipe_entry__descriptor },
	[IMAGE_FIFO] = { "fifo", 0, false, PAYLOAD_NONE, 0x58364939, &fifo_entry__descriptor },
	[IMAGE_PIPES_DATA] = { "pipes-data", 0, false, PAYLOAD_BYTES, 0x56453709,
			       &pipe_data_entry__descriptor },
	[IMAGE_FIFO_DATA] = { "fifo-data", 0, false, PAYLOAD_BYTES, 0x59333054,
			      &pipe_data_entry__descriptor },
	[IMAGE_MEMFD] = { "memfd", 0, false, PAYLOAD_NONE, 0x48453499,
			  &memfd_inode_entry__descriptor },
	[IMAGE_REMAP_FPATH] = { "remap-fpath", 0, false, PAYLOAD_NONE, 0x59133954,
				&remap_file_path_entry__descriptor },
	[IMAGE_GHOST_FILE] = { "ghost-file-", 'x', true, PAYLOAD_REST, 0x52583605,
			       &ghost_file_entry__descriptor },
	[IMAGE_SECCOMP] = { "seccomp", 0, true, PAYLOAD_NONE, 0x64413049,
			    &seccomp_entry__descriptor },
	[IMAGE_PAGES] = { "pages-", 'u', false, PAYLOAD_REST, 0, NULL },
	[IMAGE_PAGEMAP] = { "pagemap-", 'u', false, PAYLOAD_NONE, 0x56084025,
			    &pagemap_entry__descriptor },
	[IMAGE_PAGEMAP_SHMEM] = { "pagemap-shmem-", 'u', false, PAYLOAD_NONE, 0x56084025,
				  &pagemap_entry__descriptor },
	[IMAGE_USERNS] = { "userns-", 'u', true, PAYLOAD_NONE, 0x55474906,
			   &userns_entry__descriptor },
	[IMAGE_STATS] = { "stats-dump", 0, true, PAYLOAD_NONE, 0x57093306,
			  &stats_entry__descriptor },
};

const struct image_format *image_format(enum image_kind kind)
{
	return &formats[kind];
}

/* The text between prefix and ".img" as a number that is written the one way we would write it. */
static bool parse_number(const char *text, char form, uint64_t *ret_number)
{
	char canonical[24];
	char *end;

	uint64_t number = strtoull(text, &end, form == 'x' ? 16 : 10);
	if (strcmp(end, ".img") != 0)
		return false;
	if (form == 'x')
		snprintf(canonical, sizeof canonical, "%" PRIx64, number);
	else
		snprintf(canonical, sizeof canonical, "%" PRIu64, number);
	if (strlen(canonical) != (size_t)(end - text) ||
	    strncmp(canonical, text, (size_t)(end - text)) != 0)
		return false;
	*ret_number = number;
	return true;
}

bool image_recognise(const char *name, enum image_kind *ret_kind, uint64_t *ret_number)
{
	for (enum image_kind kind = 0; kind < IMAGE_STATS; kind++) {
		const struct image_format *format = &formats[kind];
		size_t length = strlen(format->prefix);
		uint64_t number = 0;

		if (strncmp(name, format->prefix, length) != 0)
			continue;
		if (format->number ? !parse_number(name + length, format->number, &number)
				   : strcmp(name + length, ".img") != 0)
			continue;
		/* All numbers but that of shared memory are 32 bits wide. */
		if (kind != IMAGE_PAGEMAP_SHMEM && number > UINT32_MAX)
			continue;
		*ret_kind = kind;
		*ret_number = number;
		return true;
	}
	return false;
}

char *image_name(char name[IMAGE_NAME_SIZE], enum image_kind kind, uint64_t number)
{
	const struct image_format *format = &formats[kind];

	if (format->number == 'x')
		snprintf(name, IMAGE_NAME_SIZE, "%s%" PRIx64 ".img", format->prefix, number);
	else if (format->number)
		snprintf(name, IMAGE_NAME_SIZE, "%s%" PRIu64 ".img", format->prefix, number);
	else
		snprintf(name, IMAGE_NAME_SIZE, "%s.img", format->prefix);
	return name;
}
