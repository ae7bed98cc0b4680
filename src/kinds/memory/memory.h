/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The address space of a task: one kind in several files. vma.c collects the areas, pages.c their
 * content, shared.c the shared anonymous objects behind them, mm.c what belongs to the whole;
 * vma-plan.c, pages-plan.c and vdso.c say how it is built again.
 *
 * A file area names its file description in `shmid` (as CRIU does), with `fd` -1.
 */
#ifndef NESTOR_KINDS_MEMORY_H
#define NESTOR_KINDS_MEMORY_H

#include "base/error.h"
#include "kinds/kind.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

struct images;
struct probe;
struct inherited; /* kinds/memory/inherited.h */
struct collect;
struct target;

enum { AREA_PAGE = 4096, AREA_HUGE_PAGE = 2 << 20 };

/* STAGE_MEMORY, once per task. */
extern const struct task_kind memory_kind;
extern const struct task_kind outside_segments_kind;
extern const struct task_kind aio_kind;		 /* when memory is there */
extern const struct task_kind future_locks_kind; /* when all areas are mapped */
extern const struct task_kind seals_kind;	 /* when nothing happens to areas any more */
extern const struct tree_kind memory_tree_kind;
/* memfd.c */
extern const struct file_kind memfd_kind;

/* anonymous-files.c: files behind shared anonymous memory, for memfd.c. */
#define ANONYMOUS_FILE_NAME "/dev/zero"
bool anonymous_file_is_called(const char *link);
int anonymous_files_complete(struct collect *collect, struct error *err);
/* An empty one that shows as it did; -1 with errno. */
int anonymous_file_make(const MemfdInodeEntry *inode);

/* io-uring.c; in STAGE_PROCESS and in STAGE_PARTING */
extern const struct file_kind io_uring_kind;
extern const struct task_kind io_uring_registered_kind;
extern const struct task_kind io_uring_first_kind;
extern const struct task_kind io_uring_submitter_kind;

/*
 * Once all tasks are collected: takes part in the copying of private pages
 * that collecting has begun, writes those of shared objects, and enters all of it, and guard
 * ranges, into the snapshot. It is given up (ERR_INTERRUPTED) where `progress` returns a signal.
 */
int memory_collect_pages(struct collect *collect, progress_told *progress, void *progress_data,
			 struct error *err);
/* pages-reserve.c: before the stop of a tree that goes on: room for images of its pages. */
int pages_reserve(struct collect *collect, struct error *err);
/* Once the assistant has ended: what copying has allocated goes. */
void memory_end_pages(struct collect *collect);

/* The same of private pages alone, in a tree that is only looked at; see running-pages.c. */
int memory_write_running(struct collect *collect, progress_told *progress, void *progress_data,
			 struct error *err);

/*
 * For the coordinator (SOURCE_SHARED_MEMORY): a descriptor of a new object with the content of
 * the recorded one. Where the kernel lets us it is one that /proc/PID/maps shows as the original
 * was shown ("/dev/zero (deleted)"); otherwise a memfd of this name, which a dump takes for
 * anonymous memory again.
 */
#define SHARED_MEMFD_NAME "nestor-shared"
int shared_memory_open(const struct snapshot *snapshot, const struct images *images, uint64_t shmid,
		       struct error *err);
extern const struct source_opener shared_memory_source;

/*
 * Images of CRIU say with each area how its file was open (fdflags); the file's own record, made
 * for whichever area came first, may say less. Lets the records of mapped files agree with their
 * areas; for snapshots read from images that Nestor did not write, before planning.
 */
int memory_adopt(struct snapshot *snapshot, const struct images *images, struct error *err);

/* --- Between the files of this kind. --- */

/* area.c: pure. */
bool area_is_vdso(const VmaEntry *area); /* [vdso], [vvar] and relatives: the kernel's */
bool area_is_file(const VmaEntry *area);
bool area_is_guard(const VmaEntry *area); /* not an area, but a mark on some */
bool area_has_private_pages(const VmaEntry *area);
bool area_is_ring(const struct snapshot *snapshot, const VmaEntry *area); /* of io_uring */
bool area_is_droppable(const VmaEntry *area); /* MAP_DROPPABLE: content may be lost any time */

/* Whose the pages of an area are. */
enum area_pages {
	PAGES_OWN,
	PAGES_COMMON, /* other tasks may share some, copy-on-write */
	PAGES_OF_MAP, /* a BPF map's */
};

/* vma.c: fills mm->vmas, and tells of each of them. */
int areas_collect(struct target *target, MmEntry *mm, enum area_pages **ret_whose,
		  struct error *err);

/* pages.c: has the private pages of a task copied, whose areas are known, by the assistant. */
int pages_begin(struct target *target, const enum area_pages *whose, struct error *err);
/* pages.c: pages-<id>.img, empty; the descriptor is the caller's. */
int pages_create(struct collect *collect, uint32_t pages_id, struct error *err);

/* attached.c: areas of System V segments. */
bool area_is_attached(const VmaEntry *area);
int attached_check(const struct snapshot *snapshot, const struct task *task, struct error *err);
void attached_plan(struct plan *plan, const struct task *task, struct program *program,
		   const VmaEntry *area);

/* outside-segments.c: those of nestor's own ipc namespace; NULL where there is none. */
const IpcSegment *outside_segment(const struct snapshot *snapshot, uint64_t id);
int outside_segment_check(const struct snapshot *snapshot, uint64_t id, struct error *err);

/* aio.c */
bool area_is_aio(const VmaEntry *area); /* its pages are written as if they were private */
void aio_adopt(struct snapshot *snapshot, const struct images *images);
int aio_collect_area(struct target *target, VmaEntry *area, MmEntry *mm, struct error *err);

/* io-uring.c: its file is named once all descriptors are known. */
int ring_collect_area(struct target *target, uint64_t device, uint64_t inode, VmaEntry *area,
		      struct error *err);
/* io-uring-make.c: when all else is mapped. */
void rings_plan_map(struct plan *plan, const struct task *task, struct program *program);

/* mapped-sockets.c: rings of packet sockets. Their files are named once all are known. */
void mapped_socket_note(struct target *target, uint64_t device, uint64_t inode, VmaEntry *area);
void mapped_sockets_settle(struct collect *collect);
int mapped_socket_check(const struct snapshot *snapshot, const VmaEntry *area, struct error *err);

/*
 * mapped-maps.c: memory of BPF maps. Note: 1: it is that of a map which a descriptor of the task
 * refers to, and which can be made again, 0, -1. Their files are named once all are known.
 */
int mapped_map_note(struct target *target, VmaEntry *area, struct error *err);
void mapped_maps_settle(struct collect *collect);

/* shared.c */
int shared_collect_area(struct target *target, uint64_t inode, VmaEntry *area, struct error *err);
/* A file that is read by `proc_name` of the task (target_open). */
int shared_collect_file(struct target *target, const char *proc_name, uint32_t *ret_shmid,
			struct error *err);
/* The same of the file behind shared anonymous memory, which areas may have too. */
int shared_collect_opened(struct target *target, const char *proc_name, uint64_t inode,
			  uint32_t huge, uint32_t *ret_shmid, struct error *err);
/* A new object of this size, empty; -1 with errno. */
int shared_make(const struct shared_memory *shared);
/* An area of a segment of nestor's own ipc namespace. */
int shared_collect_segment(struct target *target, const VmaEntry *area, uint32_t *ret_shmid,
			   struct error *err);
int shared_collect_pages(struct collect *collect, struct error *err);
/* Of those that we may not open; once guards have been found. */
int shared_collect_by_areas(struct collect *collect, struct error *err);
/* Device number of the kernel's own tmpfs, where shared anonymous memory lives. */
int shared_device(struct target *target, uint64_t *ret_device, struct error *err);

/* Writes whole pages from the images into a file of the kernel's own tmpfs; leaves holes. */
int shared_fill(const struct images *images, const struct pagemap *pages, int fd,
		struct error *err);

/* protection-keys.c: what the task is asked, into mm->protection_keys. */
enum { PROTECTION_KEYS = 16 };
struct protection_keys_asked {
	size_t calls[PROTECTION_KEYS];
};
void protection_keys_ask(struct probe *probe, struct protection_keys_asked *asked);
void protection_keys_answer(const struct probe *probe, const struct target *target,
			    const struct protection_keys_asked *asked);
/* Pure. Before the first area is mapped, and when the last has its key. */
int protection_keys_check(const MmEntry *mm, struct error *err);
int protection_keys_plan_begin(const struct plan *plan, const MmEntry *mm, struct program *program,
			       struct error *err);
void protection_keys_plan_end(struct program *program, const MmEntry *mm);
/* What pkey_mprotect(2) is to give it; 0: nothing. */
uint32_t protection_key_of_area(const MmEntry *mm, const VmaEntry *area);

/* vma-plan.c, pages-plan.c, vdso.c: pure. */
int areas_check(const struct snapshot *snapshot, const struct task *task, struct error *err);
int pages_check(const struct task *task, struct error *err);

/* What an area asks of its mapping. */
struct area_plan {
	const VmaEntry *area;
	bool partly_kept; /* some of it was inherited, readable and writable */
	bool has_content; /* pages are read in */
	/*
	 * Writable at first: to be filled, or because the kernel counts what was once writable
	 * (VM_ACCOUNT), and keeps areas apart that differ in that.
	 */
	bool map_writable;
	bool has_guard;
};

int areas_plan_map(struct plan *plan, const struct task *task, struct program *program,
		   struct area_plan *areas, const struct inherited *inherited, struct error *err);
/* What madvise(2) says of it. */
void area_plan_advice(struct program *program, const VmaEntry *area);
void areas_plan_finish(struct program *program, const struct task *task,
		       const struct area_plan *areas);
void pages_plan(struct plan *plan, const struct task *task, struct program *program,
		const struct inherited *inherited);
int vdso_plan(struct plan *plan, const struct task *task, struct program *program,
	      struct error *err);

#endif
