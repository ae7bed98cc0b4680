/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one model of a process tree: the messages of the image schema, held in one arena, with the
 * links and look-ups that the pipeline needs. Collecting fills it, images/ reads and writes it,
 * plan/ and the commands read it. No I/O here.
 *
 * Ids: "level 0" is the outermost pid namespace the dump knows, that of the dump root (or of the
 * dumper where the tree shares it). Numbers are never compared without their namespace.
 */
#ifndef NESTOR_MODEL_SNAPSHOT_H
#define NESTOR_MODEL_SNAPSHOT_H

#include "base/arena.h"
#include "base/error.h"
#include "base/table.h"
#include "model/records.h"
#include "model/schema.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_PID_LEVELS = 32 };

/* One number per pid namespace level, outermost first, the own namespace of the task last. */
struct pid_vector {
	size_t levels;
	uint32_t pid[MAX_PID_LEVELS];
};

/*
 * A run of pages, and where they are kept: at an offset in a pages file. Runs of several tasks may
 * be in one place: then the tasks shared these pages, copy-on-write.
 */
struct memory_run {
	uint64_t address; /* in shared memory: offset in the object */
	uint64_t pages;
	uint64_t source; /* page_source() of the file */
	uint64_t offset;
};

static inline uint64_t memory_run_bytes(const struct memory_run *run)
{
	return run->pages * 4096;
}

static inline uint64_t memory_run_end(const struct memory_run *run)
{
	return run->address + memory_run_bytes(run);
}

/* pages-<pages_id>.img of the dump, or of the one that is `level` parent links further back. */
static inline uint64_t page_source(uint32_t level, uint32_t pages_id)
{
	return (uint64_t)level << 32 | pages_id;
}

static inline uint32_t page_level(uint64_t source)
{
	return (uint32_t)(source >> 32);
}

/* While images are read: in the earlier dump, where that has them. */
#define PAGES_EARLIER UINT64_MAX

/* The runs of pages of one address space or shared object, in order of address. */
struct pagemap {
	bool present;	   /* a pagemap image exists */
	uint32_t pages_id; /* of the file of its own, which holds the runs that name no other */
	uint64_t own_size; /* of that */
	struct memory_run *runs;
	size_t n_runs;
};

/* A descriptor table; tasks with the same files_id share one. */
struct descriptor_table {
	uint32_t files_id;
	FdinfoEntry **descriptors; /* by number, ascending */
	size_t n_descriptors;
};

struct task {
	size_t index;	     /* in snapshot.tasks */
	struct task *parent; /* NULL for the root */
	PstreeEntry *pstree;
	TaskKobjIdsEntry *ids; /* NULL where the images have none */
	CoreEntry *core;       /* of the thread-group leader */
	CoreEntry **threads;   /* one per pstree->threads; threads[0] == core; a dead leader's has
				* no thread_info */
	size_t n_threads;
	size_t *fs_first, *fs_before; /* thread-fs.c; NULL: all threads share one fs */
	/* NULL or empty for a zombie: */
	MmEntry *mm;
	FsEntry *fs;
	struct descriptor_table *table;
	struct pagemap pages;
	struct pid_namespace *pid_namespace;
	struct user_namespace *user_namespace;
};

enum namespace_type {
	NAMESPACE_PID,
	NAMESPACE_USER,
	NAMESPACE_MNT,
	NAMESPACE_NET,
	NAMESPACE_UTS,
	NAMESPACE_IPC,
	NAMESPACE_CGROUP,
	NAMESPACE_TIME,
	NAMESPACE_TYPES,
};

/*
 * What a namespace of the tree is, whatever its type. A plain one (namespaces.h) is no more than
 * that; those of the other types begin with it.
 */
struct namespace
{
	enum namespace_type type;
	uint32_t id;
	size_t index;		      /* in its list of the snapshot, in the order of the images */
	NsEntry *entry;		      /* NULL where the images have none */
	struct user_namespace *owner; /* NULL for that of depth 0 only: its own lies outside */
	/*
	 * The thread whose children are born in there, while it is in another one itself: only its
	 * own unshare(2) brings that about (time_namespaces(7)). NULL: nobody's.
	 */
	const struct task *maker;
	size_t maker_thread;
};

/* A pid namespace of the tree, found from NsEntry records and from the tasks. */
struct pid_namespace {
	struct namespace base;
	size_t level;		      /* index into pid vectors */
	struct pid_namespace *parent; /* NULL for that of level 0 */
	struct task *init;	      /* NULL where level 0 is the dumper's, or nobody is left */
};

/*
 * A user namespace that a task of the tree is in, that owns a namespace of it, or that is above
 * one of those. That of depth 0 is the dumper's own: all others are below it. Ids of users and
 * groups anywhere in the snapshot are as seen in depth 0, but for the two sides of a map: inside,
 * and in the parent.
 */
struct user_namespace {
	struct namespace base; /* its owner is its parent; the entry of that of depth 0 is NULL */
	size_t depth;
	struct user_namespace *parent; /* NULL for that of depth 0 */
};

/* Content of one shared memory object (VMA shmid). */
struct shared_memory {
	uint64_t shmid;
	struct pagemap pages;
	/* As far as it reaches, in bytes, if that was seen; 0: as far as anybody maps it or it has
	 * content, as a mapping can be made longer than its object, or shorter (mremap(2)). */
	uint64_t size_seen;
	/* Found by snapshot_index, as images do not say it: how far that is, and whether as a whole
	 * it is accounted, and of huge pages. */
	uint64_t size;
	bool not_reserved;
	uint32_t huge; /* MAP_HUGETLB with the size of pages, as flags of mmap(2); 0 */
};

/*
 * A mount namespace of the tree; tasks of which the images describe none are in that of nestor.
 * Its mounts are in an order in which they can be attached: parents before children, and what a
 * sibling hides before that.
 */
struct mount_namespace {
	uint32_t id;
	const struct namespace *plain;
	struct user_namespace *owner;
	MntEntry **mounts; /* [0] is its root */
	size_t *parents;   /* of each, as an index */
	size_t n_mounts;
};

struct snapshot {
	struct arena *arena; /* everything below lives here; borrowed */
	InventoryEntry *inventory;
	struct task *tasks; /* parents before children; tasks[0] is the root */
	size_t n_tasks;
	FileEntry **files; /* open file descriptions, each once */
	size_t n_files;
	struct descriptor_table **tables;
	size_t n_tables;
	struct shared_memory **shared_memory;
	size_t n_shared_memory;
	/* At a restore: the directory that the tree's root mount was bound from is another one. */
	const char *moved_from, *moved_to;
	struct table files_by_id, tables_by_id, shared_memory_by_id;
	struct records records[IMAGE_KINDS]; /* those without a place above; see records.h */
	NsEntry **namespaces;
	size_t n_namespaces;
	/* Derived by snapshot_index: */
	struct pid_namespace **pid_namespaces; /* parents before children */
	size_t n_pid_namespaces;
	struct user_namespace **user_namespaces; /* parents before children; [0] is the dumper's */
	size_t n_user_namespaces;
	struct namespace **plain_namespaces; /* neither pid nor user (namespaces.h) */
	size_t n_plain_namespaces;
	struct mount_namespace **mount_namespaces;
	size_t n_mount_namespaces;
	struct mount_place *mounts; /* private to model/mounts.c: all of them, by their id */
	size_t n_mounts;
	const NsEntry *base;	/* of the user namespace that snapshot_rebase has made depth 0 */
	bool own_pid_namespace; /* the root task is the init of a namespace of its own */
};

/*
 * Links tasks to parents, tables, pid and user namespaces, brings tasks into order (parents before
 * children) if they are not, and checks what every user of the snapshot relies on: ids are in
 * range and unique at each level of each namespace, vectors have as many levels as their namespace,
 * threads[0] is the leader, shared tables exist, maps and owners are such as the kernel makes.
 * Fails with ERR_IMAGE_INVALID. Call it once all records are in place.
 */
int snapshot_index(struct snapshot *snapshot, struct error *err);

/* Vectors of a task or of one of its threads; images without the extension give one level. */
struct pid_vector task_pids(const struct task *task);
struct pid_vector task_groups(const struct task *task);
struct pid_vector task_sessions(const struct task *task);
struct pid_vector thread_pids(const struct task *task, size_t thread);

/* The state of a thread; of a zombie there is that of the first. */
CoreEntry *task_thread(const struct task *task, size_t thread);

/* "1:37:4711", innermost first as the last-pid vector is written; static buffer ring of 8. */
const char *pid_vector_text(const struct pid_vector *vector);
const char *task_name(const struct task *task);

bool task_is_zombie(const struct task *task);
bool task_is_stopped(const struct task *task);
/*
 * thread-fs.c: directories and umask that a thread does not share with its process, or NULL. The
 * first thread that has the same ones (0: they are the process's) *begins* them. How many are begun
 * before `thread`? task_link_fs is part of snapshot_index.
 */
const ThreadFsEntry *task_thread_fs(const struct task *task, size_t thread);
size_t task_fs_first(const struct task *task, size_t thread);
bool task_begins_fs(const struct task *task, size_t thread);
size_t task_fs_groups(const struct task *task, size_t thread);
void task_link_fs(struct arena *arena, struct task *task);
bool task_leader_is_dead(const struct task *task); /* threads[0] has exited, others go on */
bool task_leads_session(const struct task *task);
bool task_leads_group(const struct task *task);

/* Look-ups; NULL where there is none. */
FileEntry *snapshot_file(const struct snapshot *snapshot, uint32_t id);
struct descriptor_table *snapshot_table(const struct snapshot *snapshot, uint32_t files_id);
struct shared_memory *snapshot_shared_memory(const struct snapshot *snapshot, uint64_t shmid);
struct pid_namespace *snapshot_pid_namespace(const struct snapshot *snapshot, uint32_t id);
struct user_namespace *snapshot_user_namespace(const struct snapshot *snapshot, uint32_t id);
NsEntry *snapshot_namespace(const struct snapshot *snapshot, uint32_t id);
struct mount_namespace *snapshot_mount_namespace(const struct snapshot *snapshot, uint32_t id);
/* The own one of a task; NULL: that of nestor. */
struct mount_namespace *task_mount_namespace(const struct snapshot *snapshot,
					     const struct task *task);
/* A mount of any of them; where it is may be NULL. */
const MntEntry *snapshot_mount(const struct snapshot *snapshot, uint32_t mount_id,
			       struct mount_namespace **ret_namespace, size_t *ret_index);
/*
 * --root of a tree that has a mount namespace of its own: what the root of that is bound from is
 * `root` now, and what else is bound from below it is below that. false: it is no such tree.
 */
bool mounts_move_root(struct snapshot *snapshot, const char *root);
/* Where a recorded path outside of the tree's mounts is now. */
const char *snapshot_moved_path(const struct snapshot *snapshot, struct arena *arena,
				const char *path);
/*
 * External mounts, by their place in the namespace of the root task: at a dump one gets its key
 * (mnt[PLACE]:KEY); at a restore one that is bound is bound from elsewhere (mnt[KEY]:PATH, and by
 * its place where it has no key). What is named and not there asks for nothing.
 */
struct externals;
void mounts_name_external(const struct snapshot *snapshot, const struct externals *externals);
int mounts_move_external(const struct snapshot *snapshot, const struct externals *externals,
			 struct error *err);
/* Brings the mounts of a namespace into that order; ERR_IMAGE_INVALID if they are no tree. */
int mount_namespace_order(struct mount_namespace *namespace_, MntEntry **entries, size_t n,
			  struct arena *arena, struct error *err);
/* Is a mount on top of the root of its parent? */
bool mount_is_on_top(const struct mount_namespace *namespace_, size_t above, size_t below);
/*
 * mount-covers.c: does one of those that stay hide the way to it in its parent? Does one hide it,
 * or the way to it in any that it lies in? For many questions, from the last mount to the first:
 * who comes after the one that is asked for stays or not for good.
 */
struct mount_covers *mount_covers_new(struct arena *arena,
				      const struct mount_namespace *namespace_);
bool mount_is_aside(const struct mount_covers *covers, size_t index, const bool *stays);
bool mount_is_covered(struct mount_covers *covers, size_t index, const bool *stays);
/* What is mounted on it on the way to a path, SIZE_MAX if nothing is. */
size_t mount_covering(const struct mount_namespace *namespace_, size_t index, const char *path);
/* What is left of a path below another one, without a slash in front; NULL: it lies elsewhere. */
const char *path_below(const char *path, const char *above);
/* Absolute, without "." and "..", empty names or a slash at the end. */
bool path_is_plain(const char *path);
/* Such a path: "/a/b" for "/a//./b/". NULL: it is not absolute, or has a "..". */
char *path_plain(struct arena *arena, const char *path);

/*
 * What a user namespace may limit for those inside and below: the files of /proc/sys/user. A new
 * one limits nothing.
 */
enum { USER_LIMITS = 12, NO_USER_LIMIT = INT32_MAX };
extern const char *const user_limit_names[USER_LIMITS];

/* Is `inner` the same as `outer`, or below it? */
bool user_namespace_is_within(const struct user_namespace *inner,
			      const struct user_namespace *outer);
/*
 * The number that a uid (or gid) of depth 0 has inside a namespace; false where it has none, and
 * for (uid_t)-1, which nobody can have.
 */
bool user_namespace_id_inside(const struct user_namespace *namespace, bool group, uint32_t id,
			      uint32_t *ret_inside);
/* The other way round, for a number that the namespace maps. */
bool user_namespace_id_outside(const struct user_namespace *namespace, bool group, uint32_t inside,
			       uint32_t *ret_id);

/*
 * Makes `base` the namespace of depth 0: ids become as it numbers them, and it is no longer made
 * by a restore. All that the tree has must be in it or below (user_namespace_holds_tree). Ids that
 * it does not map become the overflow id, which is how they look from inside.
 */
bool user_namespace_holds_tree(const struct snapshot *snapshot, const struct user_namespace *base);
int snapshot_rebase(struct snapshot *snapshot, struct user_namespace *base, struct error *err);

/* Appending, for collect/ and images/. */
struct task *snapshot_add_task(struct snapshot *snapshot);
void snapshot_add_file(struct snapshot *snapshot, FileEntry *file);
/* Takes those out that are not to be kept: whoever refers to one finds nothing. */
void snapshot_keep_files(struct snapshot *snapshot,
			 bool (*keep)(const FileEntry *file, const void *data), const void *data);
struct descriptor_table *snapshot_add_table(struct snapshot *snapshot, uint32_t files_id);
void snapshot_add_descriptor(struct snapshot *snapshot, struct descriptor_table *table,
			     FdinfoEntry *descriptor);
struct shared_memory *snapshot_add_shared_memory(struct snapshot *snapshot, uint64_t shmid);
void snapshot_add_namespace(struct snapshot *snapshot, NsEntry *entry);
/* A run whose pages come next in the file of its own, or wherever the run says. */
void pagemap_add_own(struct snapshot *snapshot, struct pagemap *pagemap, uint64_t address,
		     uint64_t pages);
void pagemap_add_run(struct snapshot *snapshot, struct pagemap *pagemap, struct memory_run run);

/* A message of the schema in the snapshot's arena: snapshot_new(s, MM_ENTRY, MmEntry). */
#define snapshot_new(snapshot, SYMBOL, type) \
	((type *)arena_copy((snapshot)->arena, &(type)SYMBOL##__INIT, sizeof(type)))

#endif
