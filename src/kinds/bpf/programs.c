// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs of extended BPF for cgroups, bpf(2), held by descriptors, or had by links: of the kinds
 * cgroup_skb, cgroup_sock, cgroup_sock_addr, cgroup_sysctl and cgroup_device (what systemd makes
 * of IPAddressDeny=, IPAccounting=, DeviceAllow=, SocketBindDeny=, RestrictNetworkInterfaces=, and
 * systemd-networkd's watch over sysctl), with their maps, and where they are attached.
 *
 * The kernel gives away what it has made of a program, not what it was given. The instructions are
 * found from that (rebuild.c, firewall.c), or in the files that the holder has mapped
 * (object-code.c), loaded, and compared: the tag is a hash of what was loaded (bpf_prog_calc_tag,
 * kernel/bpf/core.c), so with the same tag, and translated to the same, it is the same program.
 *
 * Attached is told, and done again, for the cgroups of the tree that processes are in, and those
 * above. Cgroups may outlive the tree; a program that is still attached to one of them is taken for
 * the one that was held, or, if it has maps, which are others now, replaced. Of several at one
 * cgroup the order may be another: all are run, and each may refuse. Lines of source code, which
 * tools show beside the instructions, are not kept.
 *
 * Refused: other kinds, programs with functions of their own that are in no file, those whose
 * instructions cannot be told. With --force-lost bpf any descriptor of a BPF object that would be
 * refused is instead one of an eventfd that nobody counts up: no call of bpf(2) takes it, it has no
 * effect, and who waits for it waits.
 */
#include "kinds/bpf/programs.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ATTACHMENTS = 65536 };

/* What programs of a kind can be attached as. */
static const struct {
	uint32_t type, attach_type;
} attach_rows[] = {
	{ BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS },
	{ BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS },
	{ BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE },
	{ BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE },
	{ BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE },
	{ BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND },
	{ BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET6_POST_BIND },
	{ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND },
	{ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_BIND },
	{ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT },
	{ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_CONNECT },
	{ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG },
	{ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_SENDMSG },
	{ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_RECVMSG },
	{ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_RECVMSG },
	{ BPF_PROG_TYPE_CGROUP_SYSCTL, BPF_CGROUP_SYSCTL },
};

enum { ATTACH_TYPES = sizeof attach_rows / sizeof *attach_rows };

bool bpf_may_attach(uint32_t type, uint32_t attach_type)
{
	for (size_t i = 0; i < ATTACH_TYPES; i++)
		if ((!type || attach_rows[i].type == type) &&
		    attach_rows[i].attach_type == attach_type)
			return true;
	return false;
}

int64_t bpf_attach_type(uint32_t type, size_t place)
{
	for (size_t i = 0; i < ATTACH_TYPES; i++)
		if (attach_rows[i].type == type && place-- == 0)
			return attach_rows[i].attach_type;
	return -1;
}

bool bpf_is_known_type(uint32_t type)
{
	return bpf_attach_type(type, 0) >= 0;
}

bool bpf_is_of_one_use(uint32_t type)
{
	return type == BPF_PROG_TYPE_CGROUP_SOCK || type == BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
}

static bool bpf_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:bpf-prog") == 0 && !(file->flags & O_PATH);
}

/* ---- Dump ---- */

struct known_programs *bpf_programs_known(struct collect *collect)
{
	void **kept = collect_state(collect, &bpf_program_kind);

	if (!*kept) {
		struct known_programs *known = arena_new(collect->arena, struct known_programs);
		known->translations.arena = collect->arena;
		*kept = known;
	}
	return *kept;
}

bool bpf_program_is_of_tree(struct collect *collect, uint32_t number)
{
	struct known_programs *known = bpf_programs_known(collect);

	return table_find(&known->by_number, number) || table_find(&known->refused, number);
}

void bpf_program_is_linked(const struct open_file *file, const BpfLinkEntry *link)
{
	struct collect *collect = file->target->collect;
	struct known_programs *known = bpf_programs_known(collect);
	struct known_link *added = arena_new(collect->arena, struct known_link);

	*added =
		(struct known_link){ known->links, link, arena_string(collect->arena, file->what) };
	known->links = added;
}

/* `record` gets what is told of the program itself. */
static int note_program(const struct open_file *file, int fd, int64_t attached,
			BpfProgramEntry *record, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_programs *all = bpf_programs_known(collect);
	struct bpf_prog_info info;
	size_t count = 0;

	if (bpf_program_info(fd, &info, NULL, &count) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its facts", file->what);
	const struct known_program *same = table_find(&all->by_number, info.id);
	if (same) {
		BpfProgramEntry own = *record;
		*record = *same->record;
		record->id = own.id;
		record->flags = own.flags;
		record->fown = own.fown;
		record->attachments = NULL;
		record->n_attachments = 0;
	} else if (bpf_original_find(file, fd, attached, record, err)) {
		table_add(&all->refused, collect->arena, info.id, record);
		return -1;
	}
	struct known_program *known = arena_new(collect->arena, struct known_program);
	*known = (struct known_program){ all->first, record,
					 arena_string(collect->arena, file->what),
					 attached != NOT_ATTACHED };
	all->first = known;
	table_add(&all->by_number, collect->arena, info.id, known);
	return 0;
}

static int collect_program(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	BpfProgramEntry *record =
		snapshot_new(collect->snapshot, BPF_PROGRAM_ENTRY, BpfProgramEntry);
	autoclose int fd = collect_get_file(file, err);

	record->id = file->id;
	record->flags = file->flags;
	if (fd < 0 || note_program(file, fd, NOT_ATTACHED, record, err))
		return -1;
	entry->bpf_program = record;
	return 0;
}

static int bpf_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	return collect_program(file, entry, err) ? bpf_give_up(file, entry, err) : 0;
}

int bpf_program_record(const struct open_file *file, uint32_t number, int64_t type,
		       struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	struct known_programs *all = bpf_programs_known(file->target->collect);
	struct known_program *known = table_find(&all->by_number, number);
	BpfProgramEntry *record = snapshot_new(snapshot, BPF_PROGRAM_ENTRY, BpfProgramEntry);

	if (known) {
		if (!known->attached)
			known->record->attach_type = (uint32_t)type;
		known->attached = true;
		return 0;
	}
	autoclose int fd = bpf_program_by_number(number);
	if (fd < 0)
		return fail_errno(err, ERR_NO_PRIVILEGE, "%s: cannot open its program %u",
				  file->what, number);
	record->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
	if (note_program(file, fd, type, record, err))
		return -1;
	snapshot_add_record(snapshot, IMAGE_BPF_PROGRAMS, number, record);
	return 0;
}

/* ---- Check ---- */

const BpfProgramEntry *bpf_program_find(const struct snapshot *snapshot, uint32_t number)
{
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (snapshot->files[i]->bpf_program &&
		    snapshot->files[i]->bpf_program->number == number)
			return snapshot->files[i]->bpf_program;
	const struct record *record = snapshot_record(snapshot, IMAGE_BPF_PROGRAMS, number);
	return record ? record->message : NULL;
}

/* What loading will believe: places of maps. All else the kernel looks at. */
static bool names_maps(const BpfProgramEntry *record)
{
	const struct bpf_insn *code = (const void *)record->instructions.data;
	size_t count = record->instructions.len / sizeof *code;

	for (size_t i = 0; i < count; i++) {
		if (code[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (code[i].src_reg && code[i].src_reg != BPF_PSEUDO_FUNC &&
		    ((code[i].src_reg != BPF_PSEUDO_MAP_FD &&
		      code[i].src_reg != BPF_PSEUDO_MAP_VALUE) ||
		     (uint32_t)code[i].imm >= record->n_maps))
			return false;
		i++;
	}
	return true;
}

int bpf_program_check(const struct snapshot *snapshot, const BpfProgramEntry *record,
		      struct error *err)
{
	if (!bpf_is_known_type(record->type) || strlen(record->name) >= BPF_OBJ_NAME_LEN ||
	    record->tag.len != BPF_TAG_SIZE || !record->instructions.len ||
	    record->instructions.len % sizeof(struct bpf_insn) ||
	    record->instructions.len > MOST_INSTRUCTIONS * sizeof(struct bpf_insn) ||
	    record->n_maps > MOST_PROGRAM_MAPS ||
	    record->n_further_functions >= BPF_MOST_FUNCTIONS || !names_maps(record) ||
	    record->n_attachments > MOST_ATTACHMENTS)
		return fail(err, ERR_IMAGE_INVALID, "BPF program %u is one that nobody has",
			    record->number);
	for (size_t i = 0; i < record->n_maps; i++)
		if (bpf_map_check(snapshot, record->maps[i], err))
			return -1;
	return record->has_types ? bpf_types_check(snapshot, record->types, err) : 0;
}

static int bpf_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const BpfProgramEntry *record = entry->bpf_program;

	if (!record || record->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a BPF program",
			    entry->id);
	if (bpf_program_check(snapshot, record, err))
		return -1;
	return bpf_attachments_check(snapshot, record, err);
}

/* ---- Restore ---- */

/* Of descriptions of one program the others follow the first. */
struct loaded_program {
	struct loaded_program *next;
	uint32_t recorded, number;
};

static const uint32_t *function_types(struct arena *arena, const BpfProgramEntry *record)
{
	uint32_t *types = arena_array(arena, uint32_t, 1 + record->n_further_functions);

	types[0] = record->function_type;
	for (size_t i = 0; i < record->n_further_functions; i++)
		types[1 + i] = record->further_functions[i];
	return types;
}

static int load_with(struct file_opener *opener, const BpfProgramEntry *record, const int *maps,
		     int types, struct error *err)
{
	struct bpf_source source = {
		.type = record->type,
		.name = record->name,
		.gpl = record->gpl,
		.instructions = (const struct bpf_insn *)(const void *)record->instructions.data,
		.count = record->instructions.len / sizeof(struct bpf_insn),
		.attach_type = record->attach_type,
		.types_fd = types,
		.function_types = function_types(opener->arena, record),
		.n_functions = record->function_type ? 1 + record->n_further_functions : 0,
	};

	source.instructions = bpf_with_maps(opener->arena, &source, maps);
	int fd = bpf_program_load(&source);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot load the BPF program %s",
				   record->name)
		      : fd;
}

static int load(struct file_opener *opener, const BpfProgramEntry *record, uint32_t *ret_number,
		struct error *err)
{
	int maps[MOST_PROGRAM_MAPS];
	size_t n_maps = 0;

	while (n_maps < record->n_maps &&
	       (maps[n_maps] = bpf_map_make_recorded(opener, record->maps[n_maps], err)) >= 0)
		n_maps++;
	bool ready = n_maps == record->n_maps;
	autoclose int types =
		ready && record->has_types ? bpf_types_make(opener, record->types, err) : -1;
	autoclose int fd = -1;
	if (ready && (types >= 0 || !record->has_types))
		fd = load_with(opener, record, maps, types < 0 ? 0 : types, err);
	while (n_maps)
		close(maps[--n_maps]);
	if (fd < 0)
		return -1;
	int same = bpf_is_recorded(record, fd, ret_number);
	if (same < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at the BPF program %s",
				  record->name);
	if (!same)
		return fail(err, ERR_KERNEL_REFUSED, "the BPF program %s is another one here",
			    record->name);
	return take_fd(&fd);
}

static int find_or_load(struct file_opener *opener, const BpfProgramEntry *record,
			uint32_t *ret_number, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_files && !record->n_maps; i++) {
		const BpfProgramEntry *other = snapshot->files[i]->bpf_program;
		int fd;
		if (!other || other->number != record->number)
			continue;
		if (bpf_find_anywhere(opener, other, ret_number, &fd, err))
			return -1;
		if (fd >= 0)
			return fd;
	}
	return load(opener, record, ret_number, err);
}

int bpf_program_make(struct file_opener *opener, uint32_t number, struct error *err)
{
	const BpfProgramEntry *record = bpf_program_find(opener->snapshot, number);
	struct loaded_program **first =
		(struct loaded_program **)opener_state(opener, &bpf_program_kind);

	for (const struct loaded_program *at = *first; at; at = at->next) {
		if (at->recorded != number)
			continue;
		int fd = bpf_program_by_number(at->number);
		return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
					   "cannot open the BPF program %s once more", record->name)
			      : fd;
	}
	struct loaded_program *loaded = arena_new(opener->arena, struct loaded_program);
	autoclose int fd = find_or_load(opener, record, &loaded->number, err);
	int kept = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && kept < 0)
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot keep the BPF program %s", record->name);
	if (kept < 0)
		return -1;
	opener_keep(opener, kept);
	loaded->recorded = number;
	loaded->next = *first;
	*first = loaded;
	return take_fd(&fd);
}

static int bpf_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	return bpf_program_make(opener, entry->bpf_program->number, err);
}

/* Itself; each map and its types; types; what is open meanwhile. */
static struct file_cost bpf_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	(void)snapshot;
	return (struct file_cost){ .kept = 2 + 2 * (uint32_t)entry->bpf_program->n_maps,
				   .meanwhile = 2 + (uint32_t)entry->bpf_program->n_maps };
}

static int bpf_connect(struct file_opener *opener, const FileEntry *entry, int fd,
		       struct error *err)
{
	return bpf_attachments_make(opener, entry->bpf_program, fd, err);
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
	.cost = bpf_cost,
	.open = bpf_open,
	.connect = bpf_connect,
	.describe = bpf_describe,
	.fields = bpf_fields,
	.complete = bpf_attachments_collect,
};
