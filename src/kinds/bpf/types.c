// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Types of extended BPF (BTF, Documentation/bpf/btf.rst), held by descriptors, or had by programs
 * and maps. The kernel gives back what it was given, and is given that again. They have a number of
 * the kernel's own; restored ones have another.
 *
 * Refused: the kernel's own, and those of its modules.
 */
#include "kinds/bpf/bpf.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { MOST_BYTES = 16 << 20 }; /* BTF_MAX_SIZE */

static bool types_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:btf") == 0 && !(file->flags & O_PATH);
}

/* ---- Dump ---- */

static int record_of(const struct open_file *file, int fd, uint32_t *ret_number, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	struct bpf_btf_info info;
	uint32_t size = 0, got;

	if (bpf_types_info(fd, &info, NULL, &size))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its types", file->what);
	*ret_number = info.id;
	if (info.kernel_btf || !size || size > MOST_BYTES)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s has types of the kernel's own (BTF)",
			    file->what);
	if (snapshot_record(snapshot, IMAGE_BPF_TYPES, info.id))
		return 0;
	BpfTypesEntry *types = snapshot_new(snapshot, BPF_TYPES_ENTRY, BpfTypesEntry);
	types->number = info.id;
	types->content.data = arena_alloc(snapshot->arena, size);
	types->content.len = got = size;
	if (bpf_types_info(fd, &info, types->content.data, &got) || got != size)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its types", file->what);
	snapshot_add_record(snapshot, IMAGE_BPF_TYPES, info.id, types);
	return 0;
}

int bpf_types_record(const struct open_file *file, uint32_t number, struct error *err)
{
	if (snapshot_record(file->target->collect->snapshot, IMAGE_BPF_TYPES, number))
		return 0;
	autoclose int fd = bpf_types_by_number(number);

	return fd < 0 ? fail_errno(err, ERR_NO_PRIVILEGE, "%s: cannot open its types (BTF)",
				   file->what)
		      : record_of(file, fd, &number, err);
}

static int collect_types(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	BpfBtfEntry *record = snapshot_new(snapshot, BPF_BTF_ENTRY, BpfBtfEntry);
	autoclose int fd = collect_get_file(file, err);

	if (fd < 0 || record_of(file, fd, &record->number, err))
		return -1;
	record->id = file->id;
	record->flags = file->flags;
	entry->bpf_btf = record;
	return 0;
}

static int types_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	return collect_types(file, entry, err) ? bpf_give_up(file, entry, err) : 0;
}

/* ---- Check ---- */

int bpf_types_check(const struct snapshot *snapshot, uint32_t number, struct error *err)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_BPF_TYPES, number);
	const BpfTypesEntry *types = record ? record->message : NULL;

	if (!types)
		return fail(err, ERR_IMAGE_MISSING, "the BPF types %u are not there", number);
	if (!types->content.len || types->content.len > MOST_BYTES)
		return fail(err, ERR_IMAGE_INVALID, "nobody has BPF types like those of %u",
			    number);
	return 0;
}

static int types_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	if (!entry->bpf_btf || entry->bpf_btf->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of BPF types",
			    entry->id);
	return bpf_types_check(snapshot, entry->bpf_btf->number, err);
}

/* ---- Restore ---- */

struct made_types {
	struct made_types *next;
	uint32_t recorded, number;
};

int bpf_types_make(struct file_opener *opener, uint32_t number, struct error *err)
{
	struct made_types **first = (struct made_types **)opener_state(opener, &bpf_types_kind);
	const struct record *record = snapshot_record(opener->snapshot, IMAGE_BPF_TYPES, number);
	const BpfTypesEntry *types = record->message;
	struct bpf_btf_info info;
	uint32_t size = 0;

	for (const struct made_types *at = *first; at; at = at->next)
		if (at->recorded == number) {
			int again = bpf_types_by_number(at->number);
			return again < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
						      "cannot open BPF types once more")
					 : again;
		}
	autoclose int fd = bpf_types_load(types->content.data, types->content.len);
	if (fd < 0 || bpf_types_info(fd, &info, NULL, &size))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot load BPF types");
	struct made_types *made = arena_new(opener->arena, struct made_types);
	*made = (struct made_types){ *first, number, info.id };
	*first = made;
	int again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (again < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot keep BPF types");
	opener_keep(opener, take_fd(&fd));
	return again;
}

static int types_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	return bpf_types_make(opener, entry->bpf_btf->number, err);
}

static void types_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "BPF types %u", entry->bpf_btf->number);
}

static struct file_fields types_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->bpf_btf->fown, &entry->bpf_btf->flags };
}

const struct file_kind bpf_types_kind = {
	.name = "BPF types",
	.type = FD_TYPES__BPFBTF,
	.recognise = types_recognise,
	.collect = types_collect,
	.check = types_check,
	.cost = opener_keeps_one,
	.open = types_open,
	.describe = types_describe,
	.meets = types_describe,
	.fields = types_fields,
};
