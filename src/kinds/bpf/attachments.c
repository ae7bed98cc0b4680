// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where programs for cgroups are attached (BPF_PROG_ATTACH), besides what links do. */
#include "kinds/bpf/programs.h"
#include "kinds/cgroups/cgroups.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/undo.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { MOST_ATTACHED = 64 };

/* ---- Dump ---- */

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

/* How often links have it attached there. */
static int count_links(const struct known_programs *known, uint32_t number, const char *path,
		       uint32_t type)
{
	int count = 0;

	for (const struct known_link *at = known->links; at; at = at->next)
		count += at->record->program == number && at->record->type == type &&
			 !strcmp(at->record->path, path);
	return count;
}

/* Of a program that was loaded for one use: this is it. All descriptions say the same. */
static void has_use(struct known_programs *known, uint32_t number, uint32_t type)
{
	for (struct known_program *at = known->first; at; at = at->next)
		if (at->record->number == number) {
			if (bpf_is_of_one_use(at->record->type))
				at->record->attach_type = type;
			at->attached = true;
		}
}

/* One cgroup; of several descriptions of a program one tells of it. */
static int look_at(struct collect *collect, const char *path, int fd, struct error *err)
{
	struct known_programs *known = bpf_programs_known(collect);
	uint32_t numbers[MOST_ATTACHED], flags = 0;

	for (uint32_t type = 0; type < __MAX_BPF_ATTACH_TYPE; type++) {
		if (!bpf_may_attach(BPF_PROG_TYPE_UNSPEC, type))
			continue;
		int count = bpf_attached(fd, type, numbers, MOST_ATTACHED, &flags);
		if (count < 0 && errno != EINVAL)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot tell which BPF programs the cgroup %s has", path);
		for (int i = 0; i < count; i++) {
			const struct known_program *found =
				table_find(&known->by_number, numbers[i]);
			if (!found || count_links(known, numbers[i], path, type))
				continue;
			add_attachment(collect, found->record, path, type, flags);
			has_use(known, numbers[i], type);
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

/* A link to a cgroup that nobody of the tree is in, nor below it, is one to somebody else's. */
static int judge_links(struct collect *collect, const struct seen_paths *seen, struct error *err)
{
	for (const struct known_link *at = bpf_programs_known(collect)->links; at; at = at->next) {
		size_t i = 0;
		while (i < seen->count && strcmp(seen->paths[i], at->record->path) != 0)
			i++;
		if (i == seen->count)
			return fail(
				err, ERR_UNSUPPORTED_FILE,
				"%s is a BPF link to the cgroup %s, which is none of the tree%s",
				at->what, at->record->path,
				collect->options->ignore_cgroups ? " (--manage-cgroups=ignore)"
								 : "");
	}
	return 0;
}

/* What it is for can only be told by where it is attached. */
static int judge_uses(struct collect *collect, struct error *err)
{
	for (const struct known_program *at = bpf_programs_known(collect)->first; at; at = at->next)
		if (bpf_is_of_one_use(at->record->type) && !at->attached)
			return fail(err, ERR_UNSUPPORTED_FILE,
				    "%s is a BPF program for sockets (%s) that is attached to no "
				    "cgroup of the tree: what for it was loaded cannot be told",
				    at->what, at->record->name);
	return 0;
}

static int look_at_all(struct collect *collect, struct seen_paths *seen, struct error *err)
{
	char *own_text;

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
		    look_at_path(collect, seen, root, path, own, err))
			return -1;
	}
	return 0;
}

int bpf_attachments_collect(struct collect *collect, struct error *err)
{
	struct seen_paths seen = { 0 };

	if (!bpf_programs_known(collect)->first)
		return 0;
	if (!collect->options->ignore_cgroups && look_at_all(collect, &seen, err))
		return -1;
	return judge_links(collect, &seen, err) || judge_uses(collect, err) ? -1 : 0;
}

/* ---- Check ---- */

int bpf_attachment_check(const struct snapshot *snapshot, uint32_t program_type, uint32_t type,
			 const char *path, uint32_t id, struct error *err)
{
	CgMemberEntry member = CG_MEMBER_ENTRY__INIT;

	member.name = (char *)(uintptr_t) "";
	member.path = (char *)(uintptr_t)path;
	if (!bpf_may_attach(program_type, type) || !cgroup_is_path(path))
		return fail(err, ERR_IMAGE_INVALID,
			    "BPF program %u: it cannot be attached to the cgroup %.200s", id, path);
	if (!cgroup_is_of_tree(snapshot, &member))
		return fail(err, ERR_IMAGE_INVALID,
			    "BPF program %u: the cgroup %.200s is not of the tree", id, path);
	return 0;
}

int bpf_attachments_check(const struct snapshot *snapshot, const BpfProgramEntry *record,
			  struct error *err)
{
	for (size_t i = 0; i < record->n_attachments; i++) {
		const BpfAttachmentEntry *at = record->attachments[i];
		if (at->flags & ~(uint32_t)(BPF_F_ALLOW_MULTI | BPF_F_ALLOW_OVERRIDE))
			return fail(err, ERR_IMAGE_INVALID,
				    "BPF program %u: it cannot be attached in this way",
				    record->id);
		if (bpf_attachment_check(snapshot, record->type, at->type, at->path, record->id,
					 err))
			return -1;
	}
	return 0;
}

/* ---- Restore ---- */

int bpf_open_cgroup(struct file_opener *opener, const char *path, struct error *err)
{
	CgMemberEntry member = CG_MEMBER_ENTRY__INIT;

	member.name = (char *)(uintptr_t) "";
	member.path = (char *)(uintptr_t)path;
	return cgroup_directory_open(opener, &member, CGROUPS_NONE, err);
}

int bpf_is_recorded(const BpfProgramEntry *record, int fd, uint32_t *ret_number)
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
		int same = fd < 0 ? -1 : bpf_is_recorded(record, fd, ret_number);
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

int bpf_find_anywhere(struct file_opener *opener, const BpfProgramEntry *record,
		      uint32_t *ret_number, int *ret_fd, struct error *err)
{
	*ret_fd = -1;
	for (size_t i = 0; i < record->n_attachments && *ret_fd < 0; i++) {
		struct error missing = { 0 };
		autoclose int cgroup =
			bpf_open_cgroup(opener, record->attachments[i]->path, &missing);
		if (cgroup < 0 && missing.name != ERR_CGROUP_MISSING) {
			*err = missing;
			return -1;
		}
		if (cgroup >= 0 && find_attached(record, cgroup, record->attachments[i]->type,
						 ret_number, ret_fd, err))
			return -1;
	}
	return 0;
}

/* An attachment stays after the last descriptor of the program: it has to be taken back. */
struct made_attachment {
	struct undo_entry undo;
	int cgroup_fd, program_fd; /* for the undo alone, which may come late */
	int replaced_fd;	   /* -1: none */
	uint32_t type, flags;
};

static void take_back(const struct undo_entry *entry)
{
	const struct made_attachment *made = (const struct made_attachment *)entry;

	if (made->replaced_fd >= 0)
		bpf_attach_for(made->cgroup_fd, made->replaced_fd, made->program_fd, made->type,
			       made->flags);
	else
		bpf_detach(made->cgroup_fd, made->program_fd, made->type);
}

static int attach(struct file_opener *opener, const BpfProgramEntry *record,
		  const BpfAttachmentEntry *attachment, int fd, struct error *err)
{
	autoclose int cgroup = bpf_open_cgroup(opener, attachment->path, err);
	uint32_t number, flags = attachment->flags;
	int found;

	if (cgroup < 0 || find_attached(record, cgroup, attachment->type, &number, &found, err))
		return -1;
	autoclose int there = found;
	if (there >= 0 && !record->n_maps)
		return 0;
	struct made_attachment *made = arena_new(opener->arena, struct made_attachment);
	*made = (struct made_attachment){
		.undo.undo = take_back,
		.cgroup_fd = fcntl(cgroup, F_DUPFD_CLOEXEC, 0),
		.program_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
		.replaced_fd = there < 0 ? -1 : fcntl(there, F_DUPFD_CLOEXEC, 0),
		.type = attachment->type,
		.flags = flags,
	};
	undo_add(opener->undo, &made->undo);
	bool replaces = there >= 0 && flags & BPF_F_ALLOW_MULTI;
	if (made->cgroup_fd < 0 || made->program_fd < 0 || (there >= 0 && made->replaced_fd < 0) ||
	    (replaces ? bpf_attach_for(cgroup, fd, there, attachment->type, flags)
		      : bpf_attach(cgroup, fd, attachment->type, flags)) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot attach the BPF program %s to the cgroup %s", record->name,
				  attachment->path);
	return 0;
}

int bpf_attachments_make(struct file_opener *opener, const BpfProgramEntry *record, int fd,
			 struct error *err)
{
	for (size_t i = 0; i < record->n_attachments; i++)
		if (attach(opener, record, record->attachments[i], fd, err))
			return -1;
	return 0;
}
