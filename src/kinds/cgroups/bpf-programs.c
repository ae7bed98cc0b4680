// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs of extended BPF for cgroups, bpf(2), held by descriptors: of the kinds cgroup_skb (what
 * systemd makes of IPAddressDeny=) and cgroup_device, and where they are attached.
 *
 * The kernel gives away what it has made of a program, not what it was given. From that the
 * instructions are found (bpf-rebuild.c), loaded, and compared: the tag is a hash of what was
 * loaded (bpf_prog_calc_tag, kernel/bpf/core.c), so with the same tag it is the same program.
 *
 * Attached is told, and done again, for the cgroups of the tree that processes are in, and those
 * above. Cgroups may outlive the tree; a program that is still attached to one of them is taken for
 * the one that was held.
 *
 * Refused: other kinds, programs that call helpers or have maps.
 */
#include "kinds/cgroups/bpf-rebuild.h"
#include "kinds/cgroups/cgroups.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/undo.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INSTRUCTIONS = 65536, MOST_ATTACHED = 64, ATTACH_TYPES = 3, MOST_ATTACHMENTS = 65536 };

/* What programs of a kind can be attached as. */
static const struct {
	uint32_t type, attach_type;
} attach_rows[ATTACH_TYPES] = {
	{ BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS },
	{ BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS },
	{ BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE },
};

static bool may_attach(uint32_t type, uint32_t attach_type)
{
	for (size_t i = 0; i < ATTACH_TYPES; i++)
		if (attach_rows[i].type == type && attach_rows[i].attach_type == attach_type)
			return true;
	return false;
}

static bool is_known_type(uint32_t type)
{
	return type == BPF_PROG_TYPE_CGROUP_SKB || type == BPF_PROG_TYPE_CGROUP_DEVICE;
}

static bool bpf_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:bpf-prog") == 0 && !(file->flags & O_PATH);
}

/* ---- Dump ---- */

struct known_program {
	struct known_program *next;
	BpfProgramEntry *record;
};

/* Over a dump. */
struct known_programs {
	struct known_program *first;
	struct bpf_translations translations;
};

static struct known_programs *known_of(struct collect *collect)
{
	void **kept = collect_state(collect, &bpf_program_kind);

	if (!*kept)
		*kept = arena_new(collect->arena, struct known_programs);
	return *kept;
}

static struct bpf_insn *read_translated(const struct open_file *file, int fd,
					struct bpf_prog_info *info, size_t *ret_count,
					struct error *err)
{
	struct arena *arena = file->target->collect->arena;
	size_t count = 0;

	if (bpf_program_info(fd, info, NULL, &count) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its facts", file->what);
		return NULL;
	}
	if (!is_known_type(info->type)) {
		fail(err, ERR_UNSUPPORTED_FILE, "%s is a BPF program of kind %u", file->what,
		     info->type);
		return NULL;
	}
	if (!count || count > MOST_INSTRUCTIONS || info->nr_map_ids) {
		fail(err, ERR_UNSUPPORTED_FILE, "%s is a BPF program %s", file->what,
		     info->nr_map_ids ? "with maps" : "of which the kernel shows no instructions");
		return NULL;
	}
	struct bpf_insn *code = arena_array(arena, struct bpf_insn, count);
	*ret_count = count;
	if (bpf_program_info(fd, info, code, ret_count) < 0 || *ret_count != count) {
		fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its instructions", file->what);
		return NULL;
	}
	return code;
}

/* Is what the kernel makes of these the same program? */
static int prove(const struct open_file *file, const struct bpf_source *source,
		 const struct bpf_prog_info *info, struct error *err)
{
	autoclose int fd = bpf_program_load(source);
	struct bpf_prog_info made;
	size_t count = 0;

	if (fd < 0 || bpf_program_info(fd, &made, NULL, &count) < 0)
		return fail_errno(err, ERR_UNSUPPORTED_FILE,
				  "%s is a BPF program that the kernel does not take again",
				  file->what);
	if (memcmp(made.tag, info->tag, sizeof made.tag) != 0)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a BPF program whose instructions cannot be told for sure",
			    file->what);
	return 0;
}

static int bpf_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_programs *all = known_of(collect);
	BpfProgramEntry *record =
		snapshot_new(collect->snapshot, BPF_PROGRAM_ENTRY, BpfProgramEntry);
	autoclose int fd = collect_get_file(file, err);
	struct bpf_prog_info info;
	size_t count;
	struct bpf_insn *code = fd < 0 ? NULL : read_translated(file, fd, &info, &count, err);

	if (!code)
		return -1;
	struct bpf_source source = { info.type, info.name, info.gpl_compatible, code, count };
	if (!bpf_rebuild(&source, &all->translations, collect->arena))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a BPF program whose instructions cannot be told", file->what);
	if (prove(file, &source, &info, err))
		return -1;
	record->id = file->id;
	record->flags = file->flags;
	record->number = info.id;
	record->type = info.type;
	record->name = arena_string(collect->arena, info.name);
	record->gpl = info.gpl_compatible;
	record->tag.len = sizeof info.tag;
	record->tag.data = arena_copy(collect->arena, info.tag, sizeof info.tag);
	record->instructions.len = source.count * sizeof *source.instructions;
	record->instructions.data = (uint8_t *)(uintptr_t)source.instructions;
	entry->bpf_program = record;
	struct known_program *known = arena_new(collect->arena, struct known_program);
	*known = (struct known_program){ all->first, record };
	all->first = known;
	return 0;
}

static void add_attachment(struct collect *collect, BpfProgramEntry *record, const char *path,
			   uint32_t type, uint32_t flags)
{
	BpfAttachmentEntry *added =
		snapshot_new(collect->snapshot, BPF_ATTACHMENT_ENTRY, BpfAttachmentEntry);

	added->path = arena_string(collect->arena, path);
	added->type = type;
	added->flags = flags & (BPF_F_ALLOW_MULTI | BPF_F_ALLOW_OVERRIDE);
	record->attachments = arena_grow(collect->arena, record->attachments, record->n_attachments,
					 sizeof *record->attachments);
	record->attachments[record->n_attachments++] = added;
}

/* One cgroup; of several descriptions of a program one tells of it. */
static int look_at(struct collect *collect, const char *path, int fd, struct error *err)
{
	const struct known_program *first = known_of(collect)->first;
	uint32_t numbers[MOST_ATTACHED], flags = 0;

	for (size_t row = 0; row < ATTACH_TYPES; row++) {
		uint32_t type = attach_rows[row].attach_type;
		int count = bpf_attached(fd, type, numbers, MOST_ATTACHED, &flags);
		if (count < 0 && errno != EINVAL)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot tell which BPF programs the cgroup %s has", path);
		for (int i = 0; i < count; i++)
			for (const struct known_program *at = first; at; at = at->next)
				if (at->record->number == numbers[i]) {
					add_attachment(collect, at->record, path, type, flags);
					break;
				}
	}
	return 0;
}

/* The path in the hierarchy of version 2, of a text of /proc/PID/cgroup; NULL: none. */
static char *unified_path(struct arena *arena, const char *text)
{
	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");
		if (strncmp(line, "0::", 3) == 0)
			return arena_printf(arena, "%.*s", (int)length - 3, line + 3);
		line += length + (line[length] == '\n');
	}
	return NULL;
}

/* Paths that have been looked at. */
struct seen_paths {
	const char **paths;
	size_t count;
};

static bool is_new(struct collect *collect, struct seen_paths *seen, const char *path)
{
	for (size_t i = 0; i < seen->count; i++)
		if (strcmp(seen->paths[i], path) == 0)
			return false;
	seen->paths = arena_grow(collect->arena, seen->paths, seen->count, sizeof *seen->paths);
	seen->paths[seen->count++] = path;
	return true;
}

/* From the dumper's own cgroup, or what is above it, everything belongs to others. */
static bool is_of_others(const char *path, const char *own)
{
	size_t length = strlen(path);

	return strncmp(path, own, length) == 0 &&
	       (own[length] == '/' || own[length] == '\0' || length <= 1);
}

static int look_at_path(struct collect *collect, struct seen_paths *seen, int root,
			const char *member, const char *own, struct error *err)
{
	for (char *path = arena_string(collect->arena, member); !is_of_others(path, own);
	     path = arena_printf(collect->arena, "%.*s", (int)(strrchr(path, '/') - path), path)) {
		if (!path[0] || !is_new(collect, seen, path))
			return 0;
		autoclose int fd =
			openat(root, path + strspn(path, "/"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the cgroup %s",
					  path);
		if (fd >= 0 && look_at(collect, path, fd, err))
			return -1;
	}
	return 0;
}

static int bpf_complete(struct collect *collect, struct error *err)
{
	struct seen_paths seen = { 0 };
	char *own_text;

	if (!known_of(collect)->first || collect->options->ignore_cgroups)
		return 0;
	if (procfs_read(collect->arena, AT_FDCWD, "/proc/self/cgroup", &own_text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/self/cgroup");
	const char *own = unified_path(collect->arena, own_text);
	if (!own)
		return 0;
	autoclose int root = cgroup_hierarchy_open(collect->arena,
						   collect->options->externals->cgroups.yard, "");
	if (root < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the hierarchy of cgroups");
	for (size_t i = 0; i < collect->n_targets; i++) {
		autofree char *text = NULL;
		if (collect->targets[i].zombie)
			continue;
		if (target_text(&collect->targets[i], "cgroup", &text) < 0)
			return fail_errno(err, procfs_error(errno), "cannot read /proc/%d/cgroup",
					  collect->targets[i].pid);
		const char *path = unified_path(collect->arena, text);
		if (path && cgroup_is_path(path) &&
		    look_at_path(collect, &seen, root, path, own, err))
			return -1;
	}
	return 0;
}

/* ---- Check ---- */

static int check_attachment(const struct snapshot *snapshot, const BpfProgramEntry *record,
			    const BpfAttachmentEntry *attachment, struct error *err)
{
	CgMemberEntry member = CG_MEMBER_ENTRY__INIT;

	member.name = (char *)(uintptr_t) "";
	member.path = attachment->path;
	if (!may_attach(record->type, attachment->type) || !cgroup_is_path(attachment->path) ||
	    attachment->flags & ~(uint32_t)(BPF_F_ALLOW_MULTI | BPF_F_ALLOW_OVERRIDE))
		return fail(err, ERR_IMAGE_INVALID,
			    "BPF program %u: it cannot be attached to the cgroup %.200s",
			    record->id, attachment->path);
	if (!cgroup_is_of_tree(snapshot, &member))
		return fail(err, ERR_IMAGE_INVALID,
			    "BPF program %u: the cgroup %.200s is not of the tree", record->id,
			    attachment->path);
	return 0;
}

static int bpf_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const BpfProgramEntry *record = entry->bpf_program;

	if (!record || record->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a BPF program",
			    entry->id);
	if (!is_known_type(record->type) || strlen(record->name) >= BPF_OBJ_NAME_LEN ||
	    record->tag.len != BPF_TAG_SIZE || !record->instructions.len ||
	    record->instructions.len % sizeof(struct bpf_insn) ||
	    record->instructions.len > MOST_INSTRUCTIONS * sizeof(struct bpf_insn) ||
	    record->n_attachments > MOST_ATTACHMENTS)
		return fail(err, ERR_IMAGE_INVALID, "file %u is a BPF program that nobody has",
			    entry->id);
	for (size_t i = 0; i < record->n_attachments; i++)
		if (check_attachment(snapshot, record, record->attachments[i], err))
			return -1;
	return 0;
}

/* ---- Restore ---- */

/* Of descriptions of one program the others follow the first. */
struct loaded_program {
	struct loaded_program *next;
	uint32_t recorded, number;
};

static int open_cgroup(struct file_opener *opener, const BpfAttachmentEntry *attachment,
		       struct error *err)
{
	CgMemberEntry member = CG_MEMBER_ENTRY__INIT;

	member.name = (char *)(uintptr_t) "";
	member.path = attachment->path;
	return cgroup_directory_open(opener, &member, CGROUPS_NONE, err);
}

/* 1, 0, or -1 with errno. */
static int is_recorded(const BpfProgramEntry *record, int fd, uint32_t *ret_number)
{
	struct bpf_prog_info info;
	size_t count = 0;

	if (bpf_program_info(fd, &info, NULL, &count) < 0)
		return -1;
	*ret_number = info.id;
	return info.type == record->type && strcmp(info.name, record->name) == 0 &&
	       memcmp(info.tag, record->tag.data, sizeof info.tag) == 0;
}

/*
 * *ret_fd: the one that is attached there, if there is such a one; else -1. Who could not look
 * would attach a second.
 */
static int find_attached(const BpfProgramEntry *record, int cgroup_fd, uint32_t type,
			 uint32_t *ret_number, int *ret_fd, struct error *err)
{
	uint32_t numbers[MOST_ATTACHED], flags;
	int count = bpf_attached(cgroup_fd, type, numbers, MOST_ATTACHED, &flags);

	*ret_fd = -1;
	if (count < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell which BPF programs are attached to a cgroup");
	for (int i = 0; i < count; i++) {
		autoclose int fd = bpf_program_by_number(numbers[i]);
		if (fd < 0 && errno == ENOENT)
			continue;
		int same = fd < 0 ? -1 : is_recorded(record, fd, ret_number);
		if (same < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot tell which BPF program is attached to a cgroup");
		if (same) {
			*ret_fd = take_fd(&fd);
			return 0;
		}
	}
	return 0;
}

static int load(const BpfProgramEntry *record, uint32_t *ret_number, struct error *err)
{
	struct bpf_source source = {
		.type = record->type,
		.name = record->name,
		.gpl = record->gpl,
		.instructions = (const struct bpf_insn *)(const void *)record->instructions.data,
		.count = record->instructions.len / sizeof(struct bpf_insn),
	};
	autoclose int fd = bpf_program_load(&source);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot load the BPF program %s",
				  record->name);
	int same = is_recorded(record, fd, ret_number);
	if (same < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at the BPF program %s",
				  record->name);
	if (!same)
		return fail(err, ERR_KERNEL_REFUSED, "the BPF program %s is another one here",
			    record->name);
	return take_fd(&fd);
}

/* Of all descriptions of the program one says where it is attached. */
static int find_anywhere(struct file_opener *opener, const BpfProgramEntry *record,
			 uint32_t *ret_number, int *ret_fd, struct error *err)
{
	*ret_fd = -1;
	for (size_t i = 0; i < record->n_attachments && *ret_fd < 0; i++) {
		struct error missing = { 0 };
		autoclose int cgroup = open_cgroup(opener, record->attachments[i], &missing);
		if (cgroup < 0 && missing.name == ERR_CGROUP_MISSING)
			continue;
		if (cgroup < 0)
			*err = missing;
		if (cgroup < 0 || find_attached(record, cgroup, record->attachments[i]->type,
						ret_number, ret_fd, err))
			return -1;
	}
	return 0;
}

static int find_or_load(struct file_opener *opener, const BpfProgramEntry *record,
			uint32_t *ret_number, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const BpfProgramEntry *other = snapshot->files[i]->bpf_program;
		int fd;
		if (!other || other->number != record->number)
			continue;
		if (find_anywhere(opener, other, ret_number, &fd, err))
			return -1;
		if (fd >= 0)
			return fd;
	}
	return load(record, ret_number, err);
}

static int bpf_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const BpfProgramEntry *record = entry->bpf_program;
	struct loaded_program **first =
		(struct loaded_program **)opener_state(opener, &bpf_program_kind);

	for (const struct loaded_program *at = *first; at; at = at->next) {
		if (at->recorded != record->number)
			continue;
		int fd = bpf_program_by_number(at->number);
		return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
					   "cannot open the BPF program %s once more", record->name)
			      : fd;
	}
	struct loaded_program *loaded = arena_new(opener->arena, struct loaded_program);
	int fd = find_or_load(opener, record, &loaded->number, err);
	if (fd < 0)
		return -1;
	loaded->recorded = record->number;
	loaded->next = *first;
	*first = loaded;
	return fd;
}

/* An attachment stays after the last descriptor of the program: it has to be taken back. */
struct made_attachment {
	struct undo_entry undo;
	int cgroup_fd, program_fd; /* for the undo alone, which may come late */
	uint32_t type;
};

static void take_back(const struct undo_entry *entry)
{
	const struct made_attachment *made = (const struct made_attachment *)entry;

	bpf_detach(made->cgroup_fd, made->program_fd, made->type);
}

static int attach(struct file_opener *opener, const BpfProgramEntry *record,
		  const BpfAttachmentEntry *attachment, int fd, struct error *err)
{
	autoclose int cgroup = open_cgroup(opener, attachment, err);
	uint32_t number;
	int found;

	if (cgroup < 0 || find_attached(record, cgroup, attachment->type, &number, &found, err))
		return -1;
	autoclose int there = found;
	if (there >= 0)
		return 0;
	struct made_attachment *made = arena_new(opener->arena, struct made_attachment);
	*made = (struct made_attachment){ .undo.undo = take_back,
					  .cgroup_fd = fcntl(cgroup, F_DUPFD_CLOEXEC, 0),
					  .program_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
					  .type = attachment->type };
	undo_add(opener->undo, &made->undo);
	if (made->cgroup_fd < 0 || made->program_fd < 0 ||
	    bpf_attach(cgroup, fd, attachment->type, attachment->flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot attach the BPF program %s to the cgroup %s", record->name,
				  attachment->path);
	return 0;
}

static int bpf_connect(struct file_opener *opener, const FileEntry *entry, int fd,
		       struct error *err)
{
	const BpfProgramEntry *record = entry->bpf_program;

	for (size_t i = 0; i < record->n_attachments; i++)
		if (attach(opener, record, record->attachments[i], fd, err))
			return -1;
	return 0;
}

static void bpf_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "BPF program %s", entry->bpf_program->name);
}

static struct file_fields bpf_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->bpf_program->fown, &entry->bpf_program->flags };
}

const struct file_kind bpf_program_kind = {
	.name = "BPF program",
	.type = FD_TYPES__BPFPROGRAM,
	.recognise = bpf_recognise,
	.collect = bpf_collect,
	.check = bpf_check,
	.open = bpf_open,
	.connect = bpf_connect,
	.describe = bpf_describe,
	.fields = bpf_fields,
	.complete = bpf_complete,
};
