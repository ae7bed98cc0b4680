// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Links of extended BPF (BPF_LINK_CREATE), held by descriptors: a program is attached to a cgroup
 * for as long as somebody has a descriptor of the link. What systemd makes of SocketBindAllow=,
 * SocketBindDeny= and RestrictNetworkInterfaces=. Nobody else need have the program, nor its maps:
 * they are kept as well.
 *
 * The link is made again when all processes are there, and so are their cgroups. It comes after the
 * programs that were attached without a link; all of a cgroup's are run anyway, whatever the order,
 * and each may refuse.
 *
 * Refused: links of other kinds, those whose cgroup is gone, or is not of the tree.
 */
#include "kinds/bpf/bpf.h"
#include "kinds/cgroups/cgroups.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool link_recognise(const struct open_file *file)
{
	return (strcmp(file->link, "anon_inode:bpf_link") == 0 ||
		strcmp(file->link, "anon_inode:bpf-link") == 0) &&
	       !(file->flags & O_PATH);
}

/* ---- Dump ---- */

static int collect_link(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	BpfLinkEntry *record = snapshot_new(collect->snapshot, BPF_LINK_ENTRY, BpfLinkEntry);
	autoclose int fd = collect_get_file(file, err);
	struct bpf_link_info info;

	if (fd < 0)
		return -1;
	if (bpf_link_info(fd, &info) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its facts", file->what);
	if (info.type != BPF_LINK_TYPE_CGROUP)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is a BPF link of kind %u", file->what,
			    info.type);
	if (cgroup_path_by_number(file, "", "a BPF link to", info.cgroup.cgroup_id, &record->path,
				  err) ||
	    bpf_program_record(file, info.prog_id, info.cgroup.attach_type, err))
		return -1;
	record->id = file->id;
	record->flags = file->flags;
	record->number = info.id;
	record->program = info.prog_id;
	record->type = info.cgroup.attach_type;
	record->again = strcmp(file->link, "anon_inode:bpf-link") == 0;
	entry->bpf_link = record;
	bpf_program_is_linked(file, record);
	return 0;
}

static int link_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	return collect_link(file, entry, err) ? bpf_give_up(file, entry, err) : 0;
}

/* ---- Check ---- */

static int link_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const BpfLinkEntry *record = entry->bpf_link;

	if (!record || record->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a BPF link",
			    entry->id);
	const BpfProgramEntry *program = bpf_program_find(snapshot, record->program);
	if (!program)
		return fail(err, ERR_IMAGE_MISSING, "file %u: BPF program %u is not there",
			    entry->id, record->program);
	return bpf_program_check(snapshot, program, err)
		       ? -1
		       : bpf_attachment_check(snapshot, program->type, record->type, record->path,
					      record->id, err);
}

/* ---- Restore ---- */

/* The cgroups are there by then, and so is everybody who would be told of what is refused. */
static enum file_way link_way(const struct snapshot *snapshot, const FileEntry *entry)
{
	(void)snapshot;
	(void)entry;
	return FILE_LAST;
}

struct made_link {
	struct made_link *next;
	uint32_t recorded, number;
	size_t place; /* opener_kept: of what has made it */
};

static int link_up(struct file_opener *opener, const BpfLinkEntry *record, struct error *err)
{
	autoclose int program = bpf_program_make(opener, record->program, err);
	autoclose int cgroup = program < 0 ? -1 : bpf_open_cgroup(opener, record->path, err);

	if (cgroup < 0)
		return -1;
	int fd = bpf_link_make(cgroup, program, record->type);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
				   "cannot link a BPF program to the cgroup %s", record->path)
		      : fd;
}

static struct made_link *make(struct file_opener *opener, const BpfLinkEntry *record,
			      struct error *err)
{
	struct made_link **first = (struct made_link **)opener_state(opener, &bpf_link_kind);
	struct bpf_link_info info;

	for (struct made_link *at = *first; at; at = at->next)
		if (at->recorded == record->number)
			return at;
	autoclose int fd = link_up(opener, record, err);
	if (fd < 0)
		return NULL;
	if (bpf_link_info(fd, &info) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot read facts about a BPF link");
		return NULL;
	}
	struct made_link *made = arena_new(opener->arena, struct made_link);
	*made = (struct made_link){ *first, record->number, info.id, 0 };
	made->place = opener_keep(opener, take_fd(&fd));
	*first = made;
	return made;
}

static int link_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const BpfLinkEntry *record = entry->bpf_link;
	const struct made_link *made = make(opener, record, err);

	if (!made)
		return -1;
	int fd = !record->again && opener_kept(opener, made->place) >= 0
			 ? opener_take(opener, made->place)
			 : bpf_link_by_number(made->number);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a BPF link once more")
		      : fd;
}

static struct file_cost link_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	const BpfProgramEntry *program = bpf_program_find(snapshot, entry->bpf_link->program);
	uint32_t maps = program ? (uint32_t)program->n_maps : 0;

	/* Itself and the program; each map and its types; types of the program; what is open. */
	return (struct file_cost){ .kept = 3 + 2 * maps, .meanwhile = 4 + maps };
}

static void link_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "BPF link %u to %s", entry->bpf_link->number, entry->bpf_link->path);
}

static struct file_fields link_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->bpf_link->fown, &entry->bpf_link->flags };
}

const struct file_kind bpf_link_kind = {
	.name = "BPF link",
	.type = FD_TYPES__BPFLINK,
	.recognise = link_recognise,
	.collect = link_collect,
	.check = link_check,
	.cost = link_cost,
	.way = link_way,
	.open = link_open,
	.describe = link_describe,
	.fields = link_fields,
};
