// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Maps of extended BPF, bpf(2), held by descriptors, or had by programs: arrays, hashes and tries
 * of prefixes, arrays of cgroups and ring buffers, with what is in them, their names, types (BTF)
 * and whether they are frozen (BPF_MAP_FREEZE). A map has a number of the kernel's own; a restored
 * one has another. Each description reads, writes or both (BPF_F_RDONLY, BPF_F_WRONLY); further
 * descriptions of a map, and such, are opened by its number, which takes CAP_SYS_ADMIN
 * (map_get_fd_by_id).
 *
 * Refused: other kinds, maps with types that may have timers, pointers or lists inside, those that
 * a program outside of the tree uses, which would go on with the old one, and more than 64 MiB;
 * ring buffers into which a program writes just now, whose reader has written a position where none
 * can be, or through which so much has gone that a new one would not get there soon; arrays of
 * cgroups where the kernel's memory cannot be read, or one is gone.
 */
#include "kinds/bpf/bpf.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/table.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	MOST_SIZE = 1 << 20, /* of a key or value; the kernel has less */
	KNOWN_FLAGS = BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG | BPF_F_ZERO_SEED |
		      BPF_F_MMAPABLE,
};

static bool map_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:bpf-map") == 0 && !(file->flags & O_PATH);
}

static bool is_known_type(uint32_t type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_ARRAY ||
	       type == BPF_MAP_TYPE_LPM_TRIE || bpf_is_ring(type) || bpf_has_cgroups(type);
}

static struct bpf_map_source source_of(const BpfmapFileEntry *record)
{
	return (struct bpf_map_source){
		.type = record->map_type,
		.key_size = record->key_size,
		.value_size = record->value_size,
		.max_entries = record->max_entries,
		.flags = record->map_flags,
		.extra = record->has_map_extra ? record->map_extra : 0,
		.name = record->map_name,
		.key_type = record->key_type,
		.value_type = record->value_type,
	};
}

/* ---- Dump ---- */

/* Over a dump. */
struct known_maps {
	struct table by_number;	 /* records of the first description */
	struct noted_map *noted; /* of each description */
};

struct noted_map {
	struct noted_map *next;
	uint32_t number;
	const char *what;
};

static struct known_maps *known_of(struct collect *collect)
{
	void **kept = collect_state(collect, &bpf_map_kind);

	if (!*kept)
		*kept = arena_new(collect->arena, struct known_maps);
	return *kept;
}

/* One that allows reading, whatever the description does. */
static int open_readable(const struct open_file *file, int fd, uint32_t flags, uint32_t number,
			 struct error *err)
{
	int readable = (flags & O_ACCMODE) == O_WRONLY ? bpf_map_by_number(number, BPF_F_RDONLY)
						       : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return readable < 0
		       ? fail_errno(err, ERR_NO_PRIVILEGE, "%s: cannot read the map", file->what)
		       : readable;
}

static int refuse(const struct open_file *file, const char *why, struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_FILE, "%s is a BPF map %s, which is not supported",
		    file->what, why);
}

/* Names of what the kernel itself keeps in values (btf_parse_fields, kernel/bpf/btf.c). */
static bool may_have_inside(const BpfTypesEntry *types)
{
	static const char *const names[] = { "bpf_timer",     "bpf_wq",		"bpf_list_head",
					     "bpf_list_node", "bpf_rb_root",	"bpf_rb_node",
					     "bpf_refcount",  "bpf_task_work",	"bpf_res_spin_lock",
					     "kptr",	      "kptr_untrusted", "percpu_kptr",
					     "uptr" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (memmem(types->content.data, types->content.len, names[i], strlen(names[i]) + 1))
			return true;
	return false;
}

static int judge_types(const struct open_file *file, const struct bpf_map_info *info,
		       BpfmapFileEntry *map, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;

	if (!info->btf_id)
		return 0;
	if (bpf_types_record(file, info->btf_id, err))
		return -1;
	map->has_types = map->has_key_type = map->has_value_type = true;
	map->types = info->btf_id;
	map->key_type = info->btf_key_type_id;
	map->value_type = info->btf_value_type_id;
	if (may_have_inside(snapshot_record(snapshot, IMAGE_BPF_TYPES, info->btf_id)->message))
		return refuse(file, "with types that may have timers or pointers inside", err);
	return 0;
}

static int judge(const struct open_file *file, const struct bpf_map_info *info, struct error *err)
{
	if (!is_known_type(info->type))
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is a BPF map of kind %u", file->what,
			    info->type);
	if (info->btf_vmlinux_value_type_id)
		return refuse(file, "with types of the kernel's own (BTF)", err);
	if (info->ifindex)
		return refuse(file, "of a network device", err);
	if (info->map_flags & ~(uint32_t)KNOWN_FLAGS)
		return refuse(file, "with flags that cannot be given again", err);
	return 0;
}

/* Could it be made again? One for a single element (or page) is as good as any. */
static int prove(const struct open_file *file, const BpfmapFileEntry *map, struct error *err)
{
	struct bpf_map_source source = source_of(map);
	autoclose int types = map->has_types ? bpf_types_by_number(map->types) : -1;

	source.max_entries = bpf_is_ring(map->map_type) ? (uint32_t)sysconf(_SC_PAGESIZE) : 1;
	source.types_fd = types < 0 ? 0 : types;
	if (map->has_types && types < 0)
		return fail_errno(err, ERR_NO_PRIVILEGE, "%s: cannot open its types (BTF)",
				  file->what);
	autoclose int fd = bpf_map_make(&source);
	if (fd < 0 && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot make one like it",
				  file->what);
	return fd < 0 ? fail(err, ERR_UNSUPPORTED_FILE,
			     "%s is a BPF map that the kernel does not make again (%s)", file->what,
			     strerror(errno))
		      : 0;
}

static void note(struct collect *collect, uint32_t number, const char *what)
{
	struct known_maps *known = known_of(collect);
	struct noted_map *noted = arena_new(collect->arena, struct noted_map);

	*noted = (struct noted_map){ known->noted, number, arena_string(collect->arena, what) };
	known->noted = noted;
}

/* What is told of a map by its descriptor, and what is in it, if that is not recorded already. */
static int describe_map(const struct open_file *file, int fd, uint32_t flags, BpfmapFileEntry *map,
			struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_maps *known = known_of(collect);
	struct bpf_map_info info;

	if (bpf_map_info(fd, &info) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its facts", file->what);
	if (judge(file, &info, err) || judge_types(file, &info, map, err))
		return -1;
	map->map_type = info.type;
	map->key_size = info.key_size;
	map->value_size = info.value_size;
	map->map_id = info.id;
	map->max_entries = info.max_entries;
	map->map_flags = info.map_flags;
	map->map_name = arena_string(collect->arena, info.name);
	map->has_map_extra = true;
	map->map_extra = info.map_extra;
	note(collect, info.id, file->what);
	if (table_find(&known->by_number, info.id))
		return 0;
	autoclose int readable = open_readable(file, fd, flags, info.id, err);
	if (readable < 0 || prove(file, map, err) || bpf_content_read(file, readable, map, err))
		return -1;
	table_add(&known->by_number, collect->arena, info.id, map);
	return 0;
}

/* By a descriptor of nestor's own; `text`: of its fdinfo. */
static void read_text(const char *text, BpfmapFileEntry *map)
{
	uint64_t frozen = 0;

	procfs_number(text, "memlock:", 10, &map->memlock);
	procfs_number(text, "frozen:", 10, &frozen);
	map->frozen = frozen;
}

static int collect_map(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	BpfmapFileEntry *map = snapshot_new(collect->snapshot, BPFMAP_FILE_ENTRY, BpfmapFileEntry);
	autoclose int fd = collect_get_file(file, err);

	if (fd < 0 || describe_map(file, fd, file->flags, map, err))
		return -1;
	read_text(file->fdinfo, map);
	map->id = file->id;
	map->flags = file->flags;
	map->pos = file->position;
	entry->bpf = map;
	return 0;
}

static int map_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	return collect_map(file, entry, err) ? bpf_give_up(file, entry, err) : 0;
}

int bpf_map_record(const struct open_file *file, uint32_t number, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct snapshot *snapshot = collect->snapshot;
	BpfmapFileEntry *map = snapshot_new(snapshot, BPFMAP_FILE_ENTRY, BpfmapFileEntry);
	char path[64], *text;

	if (table_find(&known_of(collect)->by_number, number))
		return 0;
	autoclose int fd = bpf_map_by_number(number, 0);
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	if (fd < 0 || procfs_read(collect->arena, AT_FDCWD, path, &text) < 0)
		return fail_errno(err, ERR_NO_PRIVILEGE, "%s: cannot open its map %u", file->what,
				  number);
	if (describe_map(file, fd, O_RDWR, map, err))
		return -1;
	read_text(text, map);
	map->flags = O_RDWR;
	map->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
	snapshot_add_record(snapshot, IMAGE_BPF_MAPS, number, map);
	return 0;
}

/*
 * Who uses a map of the tree and is not of the tree goes on with the old one. Who may not see
 * programs (CAP_SYS_ADMIN) has not loaded any that could.
 */
static int check_user(struct collect *collect, uint32_t program, struct error *err)
{
	uint32_t maps[MOST_PROGRAM_MAPS];
	autoclose int fd = bpf_program_by_number(program);
	int count = fd < 0 ? 0 : bpf_program_maps(fd, maps, MOST_PROGRAM_MAPS);

	if (count < 0 || (fd < 0 && errno_tells_nothing(errno)))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell which maps BPF programs use");
	for (const struct noted_map *at = known_of(collect)->noted; at; at = at->next)
		for (int i = 0; i < count && i < MOST_PROGRAM_MAPS; i++)
			if (maps[i] == at->number && !bpf_program_is_of_tree(collect, program))
				return fail(err, ERR_UNSUPPORTED_FILE,
					    "%s is a BPF map that a program uses (number %u) which "
					    "is not of the tree",
					    at->what, program);
	return 0;
}

static int map_complete(struct collect *collect, struct error *err)
{
	uint32_t number = 0;

	while (known_of(collect)->noted && bpf_program_next(number, &number) == 0)
		if (check_user(collect, number, err))
			return -1;
	return 0;
}

/* ---- Check ---- */

static bool is_possible(const BpfmapFileEntry *map)
{
	bool has_sizes = map->key_size && map->key_size <= MOST_SIZE && map->value_size &&
			 map->value_size <= MOST_SIZE && map->max_entries;

	return is_known_type(map->map_type) &&
	       (bpf_is_ring(map->map_type) ? bpf_ring_is_possible(map) : has_sizes) &&
	       !(map->map_flags & ~(uint32_t)KNOWN_FLAGS) && !map->ifindex &&
	       strlen(map->map_name) < BPF_OBJ_NAME_LEN;
}

static bool is_same_map(const BpfmapFileEntry *one, const BpfmapFileEntry *other)
{
	return one->map_type == other->map_type && one->key_size == other->key_size &&
	       one->value_size == other->value_size && one->max_entries == other->max_entries &&
	       one->map_flags == other->map_flags && one->frozen == other->frozen &&
	       one->types == other->types && one->key_type == other->key_type &&
	       one->value_type == other->value_type && !strcmp(one->map_name, other->map_name);
}

static const BpfmapFileEntry *first_of(const struct snapshot *snapshot, uint32_t map_id)
{
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (snapshot->files[i]->bpf && snapshot->files[i]->bpf->map_id == map_id)
			return snapshot->files[i]->bpf;
	const struct record *record = snapshot_record(snapshot, IMAGE_BPF_MAPS, map_id);
	return record ? record->message : NULL;
}

/* `what`: what the refusal is about, "file 3". */
static int check_map(const struct snapshot *snapshot, const BpfmapFileEntry *map, const char *what,
		     struct error *err)
{
	if (!is_possible(map) || (map->flags & O_ACCMODE) == O_ACCMODE)
		return fail(err, ERR_IMAGE_INVALID, "%s: no BPF map is such", what);
	if (map->has_map_extra && map->map_extra)
		return fail(err, ERR_IMAGE_UNSUPPORTED, "%s: a BPF map with more to it", what);
	if (!is_same_map(first_of(snapshot, map->map_id), map))
		return fail(err, ERR_IMAGE_INVALID,
			    "%s: another description of BPF map %u contradicts it", what,
			    map->map_id);
	if (map->has_types && bpf_types_check(snapshot, map->types, err))
		return -1;
	return bpf_content_check(snapshot, map, err);
}

static int map_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	char what[32];

	if (!entry->bpf || entry->bpf->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a BPF map",
			    entry->id);
	snprintf(what, sizeof what, "file %u", entry->id);
	return check_map(snapshot, entry->bpf, what, err);
}

int bpf_map_check(const struct snapshot *snapshot, uint32_t number, struct error *err)
{
	const BpfmapFileEntry *map = first_of(snapshot, number);

	return map ? check_map(snapshot, map, "a program", err)
		   : fail(err, ERR_IMAGE_MISSING, "BPF map %u is not there", number);
}

/* ---- Restore ---- */

struct made_map {
	struct made_map *next;
	uint32_t recorded, number;
	size_t place; /* opener_kept */
};

static struct made_map *make(struct file_opener *opener, const BpfmapFileEntry *map,
			     struct error *err)
{
	struct made_map **first = (struct made_map **)opener_state(opener, &bpf_map_kind);
	struct bpf_map_source source = source_of(map);
	struct bpf_map_info info;

	for (struct made_map *at = *first; at; at = at->next)
		if (at->recorded == map->map_id)
			return at;
	autoclose int types = map->has_types ? bpf_types_make(opener, map->types, err) : -1;
	if (map->has_types && types < 0)
		return NULL;
	source.types_fd = types < 0 ? 0 : types;
	autoclose int fd = bpf_map_make(&source);
	if (fd < 0 || bpf_map_info(fd, &info) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot make the BPF map %s", map->map_name);
		return NULL;
	}
	if (bpf_content_fill(opener, map, fd, err))
		return NULL;
	if (map->frozen && bpf_map_freeze(fd) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot freeze the BPF map %s", map->map_name);
		return NULL;
	}
	struct made_map *made = arena_new(opener->arena, struct made_map);
	*made = (struct made_map){ *first, map->map_id, info.id, 0 };
	made->place = opener_keep(opener, take_fd(&fd));
	*first = made;
	return made;
}

int bpf_map_make_recorded(struct file_opener *opener, uint32_t number, struct error *err)
{
	const BpfmapFileEntry *map = first_of(opener->snapshot, number);
	const struct made_map *made = make(opener, map, err);

	if (!made)
		return -1;
	int fd = bpf_map_by_number(made->number, 0);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the BPF map %s once more",
				   map->map_name)
		      : fd;
}

static int map_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const BpfmapFileEntry *map = entry->bpf;
	uint32_t access = map->flags & O_ACCMODE;
	struct made_map *made = make(opener, map, err);

	if (!made)
		return -1;
	autoclose int fd =
		access == O_RDWR && opener_kept(opener, made->place) >= 0
			? opener_take(opener, made->place)
			: bpf_map_by_number(made->number, access == O_RDONLY   ? BPF_F_RDONLY
							  : access == O_WRONLY ? BPF_F_WRONLY
									       : 0);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the BPF map %s once more",
				  map->map_name);
	if (opener_set_flags(fd, map->flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "file %u: cannot set its flags",
				  entry->id);
	return take_fd(&fd);
}

static void map_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "BPF map %u %s", entry->bpf->map_id, entry->bpf->map_name);
}

static void map_meets(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "BPF map %u", entry->bpf->map_id);
}

static struct file_fields map_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->bpf->fown, &entry->bpf->flags };
}

const struct file_kind bpf_map_kind = {
	.name = "BPF map",
	.type = FD_TYPES__BPFMAP,
	.recognise = map_recognise,
	.collect = map_collect,
	.check = map_check,
	.cost = opener_keeps_one,
	.open = map_open,
	.describe = map_describe,
	.meets = map_meets,
	.fields = map_fields,
	.complete = map_complete,
};
