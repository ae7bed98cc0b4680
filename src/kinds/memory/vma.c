// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Areas of an address space (struct vm_area_struct), read from /proc/PID/smaps: it has all that
 * maps has, and the VmFlags line that nothing else shows. It is the slowest file of a task (the
 * kernel walks the page tables for it), so it is read once.
 *
 * The second field of its lines tells private from shared; which object is behind an area is told
 * by device and inode: those of the kernel's own tmpfs are shared anonymous memory, memfds and
 * System V segments, told apart by the name the kernel gave the file. What restoring by mmap and
 * madvise could not bring back (device memory, huge TLB pages, sealed areas, ...) is refused here.
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/read-ahead.h"
#include "kinds/memory/area-text.h"
#include "kinds/memory/mapped-files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* 6.11 */
#endif

/* KiB of an area from which on it matters whether they are shared. */
enum { COMMON_FROM = 256 };

static int refuse(const struct area_text *area, const char *what, struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_AREA,
		    "memory area %" PRIx64 "-%" PRIx64 " (%.*s) is %s, which is not supported",
		    area->start, area->end, area->path_length ? (int)area->path_length : 9,
		    area->path_length ? area->path : "anonymous", what);
}

/* One task's areas while they are collected. */
struct collector {
	struct target *target;
	MmEntry *mm;
	uint64_t shared_device;
};

static bool area_is_shared(const struct area_text *text)
{
	return text->permissions[3] == 's';
}

static int collect_anonymous(const struct area_text *text, VmaEntry *area, struct error *err)
{
	if (area_is_shared(text))
		return refuse(text, "shared without an object", err);
	area->status |= VMA_ANON_PRIVATE;
	area->flags |= MAP_ANONYMOUS;
	if (area_text_has_path(text, "[heap]"))
		area->status |= VMA_HEAP;
	else if (text->path_length && !area_text_has_path(text, "[stack]") &&
		 !area_text_path_starts(text, "[anon:"))
		return refuse(text, "an area of the kernel", err);
	return 0;
}

/* The name in "[anon:NAME]" or "[anon_shmem:NAME]" (PR_SET_VMA_ANON_NAME). */
static void collect_name(struct collector *collector, const struct area_text *text, VmaEntry *area)
{
	size_t start = area_text_path_starts(text, "[anon:")	     ? 6
		       : area_text_path_starts(text, "[anon_shmem:") ? 12
								     : 0;

	if (start)
		area->anon_name =
			arena_printf(collector->target->collect->arena, "%.*s",
				     (int)(text->path_length - start - 1), text->path + start);
}

/* Files that are not what their directory entry would be: nothing to open again at restore. */
static int refuse_pseudo_file(const struct area_text *text, const struct stat *stat,
			      struct error *err)
{
	if (area_text_path_starts(text, "anon_inode:") || !area_text_path_starts(text, "/"))
		return refuse(text, "the memory of a kernel object", err);
	if (!S_ISREG(stat->st_mode))
		return refuse(text, "a mapping of a device", err);
	if (major(text->device) == 0 && area_text_has_path(text, "/secretmem (deleted)"))
		return refuse(text, "secret memory", err);
	return 0;
}

/* A mapping of /dev/zero (1:5) that is private is anonymous memory under another name. */
static bool is_zero_device(const struct stat *stat)
{
	return S_ISCHR(stat->st_mode) && stat->st_rdev == makedev(1, 5);
}

/* A descriptor of the task that leads to the mapped file, which has no path: 1, 0, -1 with err. */
static int find_descriptor(struct target *target, const struct area_text *text,
			   const char **ret_link, struct stat *ret_stat, struct error *err)
{
	const uint32_t *numbers;
	char link[32];
	size_t count;

	if (target_descriptors(target, &numbers, &count, err))
		return -1;
	for (size_t i = 0; i < count; i++) {
		snprintf(link, sizeof link, "fd/%" PRIu32, numbers[i]);
		if (target_look(target, link, ret_stat) == 0 && ret_stat->st_ino == text->inode &&
		    ret_stat->st_dev == text->device) {
			*ret_link = arena_string(target->collect->arena, link);
			return 1;
		}
	}
	return 0;
}

/*
 * What leads to the mapped file below /proc/PID. Only CAP_CHECKPOINT_RESTORE in the initial user
 * namespace may follow map_files (EPERM, proc_map_files_get_link), and only their user or
 * CAP_DAC_OVERRIDE see them at all (EACCES); without it the path has to do, if what it leads to now
 * is still what is mapped.
 */
static int find_mapped_file(struct target *target, const struct area_text *text,
			    const char **ret_link, struct stat *ret_stat, struct error *err)
{
	struct arena *arena = target->collect->arena;

	*ret_link = arena_printf(arena, "map_files/%" PRIx64 "-%" PRIx64, text->start, text->end);
	if (target_look(target, *ret_link, ret_stat) == 0)
		return 0;
	if (errno != EACCES && (errno != EPERM || target->collect->facts->map_files))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at the mapped file %.*s",
				  (int)text->path_length, text->path);
	*ret_link =
		arena_printf(arena, BELOW_ROOT "%.*s", (int)text->path_length - 1, text->path + 1);
	if (text->path[0] == '/' && target_look(target, *ret_link, ret_stat) == 0 &&
	    ret_stat->st_ino == text->inode && ret_stat->st_dev == text->device)
		return 0;
	int found = find_descriptor(target, text, ret_link, ret_stat, err);
	if (found)
		return found < 0 ? -1 : 0;
	fail(err, ERR_NO_PRIVILEGE,
	     "the mapped file %.*s has no name any more, or one that leads elsewhere",
	     (int)text->path_length, text->path);
	return fail_hint(err, "run nestor with CAP_CHECKPOINT_RESTORE in the initial user "
			      "namespace, which may look at mapped files without a name");
}

/* Looks the file up and registers it. */
static int collect_new_file(struct target *target, const struct area_text *text,
			    struct mapped_file *file, struct error *err)
{
	struct stat stat;
	const char *link;

	if (find_mapped_file(target, text, &link, &stat, err))
		return -1;
	file->anonymous = !area_is_shared(text) && is_zero_device(&stat);
	if (!file->anonymous && (refuse_pseudo_file(text, &stat, err) ||
				 collect_path(target, link, file->name.flags, &file->file_id, err)))
		return -1;
	file->known = true;
	return 0;
}

static int collect_file(struct collector *collector, const struct area_text *text, VmaEntry *area,
			struct error *err)
{
	const TaskKobjIdsEntry *ids = collector->target->task->ids;
	const struct mapped_name name = {
		.device = text->device,
		.inode = text->inode,
		/* VM_MAYWRITE of a shared area: the file was open for writing (mmap(2)). */
		.flags = area_is_shared(text) && text->may_write ? O_RDWR : O_RDONLY,
		.mount_namespace = ids ? ids->mnt_ns_id : 0,
		.path = text->path,
		.path_length = text->path_length,
	};
	/* What a process of the tree serves (FUSE) it knows by description, not by name. */
	struct mapped_file apart = { .name = name };
	struct mapped_file *file = collect_is_silent(collector->target->collect, text->device)
					   ? &apart
					   : mapped_file(collector->target->collect, &name);

	if (!file->known && collect_new_file(collector->target, text, file, err))
		return -1;
	if (file->anonymous) {
		area->status |= VMA_ANON_PRIVATE;
		area->flags |= MAP_ANONYMOUS;
		return 0;
	}
	area->status |= area_is_shared(text) ? VMA_FILE_SHARED : VMA_FILE_PRIVATE;
	area->pgoff = text->offset;
	area->shmid = file->file_id;
	area->has_fdflags = true;
	area->fdflags = name.flags;
	return 0;
}

/* The number of its inode is the id of the segment. */
static void collect_segment(const struct area_text *text, VmaEntry *area)
{
	area->status |= VMA_SYSV_IPC;
	area->shmid = text->inode;
	area->pgoff = text->offset;
	area->has_fdflags = true;
	area->fdflags = text->may_write ? O_RDWR : O_RDONLY;
}

static int collect_shared(struct collector *collector, const struct area_text *text, VmaEntry *area,
			  struct error *err)
{
	bool restored = area_text_has_path(text, "/memfd:" SHARED_MEMFD_NAME " (deleted)");

	if (area_text_path_starts(text, "/memfd:") && !restored) {
		area->status |= VMA_MEMFD;
		return collect_file(collector, text, area, err);
	}
	if (area_text_path_starts(text, "/SYSV")) {
		collect_segment(text, area);
		return 0;
	}
	if (!area_text_path_starts(text, "/dev/zero") &&
	    !area_text_path_starts(text, "[anon_shmem:") && !restored)
		return refuse(text, "an object of the kernel's own tmpfs", err);
	/* Somebody has opened it to map it like that. */
	if (!area_is_shared(text) || !text->may_write) {
		area->status |= VMA_MEMFD;
		return collect_file(collector, text, area, err);
	}
	area->status |= VMA_ANON_SHARED;
	area->flags |= MAP_ANONYMOUS;
	area->pgoff = text->offset;
	return shared_collect_area(collector->target, text->inode, area, err);
}

/*
 * Private memory of huge pages has a file of the kernel's own in which nothing is: its pages are
 * its own (hugetlb_no_page, mm/hugetlb.c). Where there is something it is that of shared memory,
 * which somebody has opened by map_files and mapped like that. Who may not open these cannot tell,
 * nor could a task without the right have made it. 1, 0, or -1 with errno.
 */
static int has_shared_content(const struct collector *collector, const struct area_text *text)
{
	struct stat stat;
	char link[64];

	snprintf(link, sizeof link, "map_files/%" PRIx64 "-%" PRIx64, text->start, text->end);
	if (target_look(collector->target, link, &stat) < 0)
		return errno == EPERM || errno == EACCES ? 0 : -1;
	return stat.st_blocks != 0;
}

static int collect_private_huge(struct collector *collector, const struct area_text *text,
				VmaEntry *area, struct error *err)
{
	int shared = has_shared_content(collector, text);

	if (shared < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell whose the huge pages at %" PRIx64 " are",
				  text->start);
	if (shared)
		return refuse(text, "a private mapping of shared anonymous memory", err);
	area->status |= VMA_ANON_PRIVATE;
	return 0;
}

/* A file of a hugetlbfs, or of the kernel's own (mmap with MAP_HUGETLB), which is nobody else's. */
static int collect_huge_tlb(struct collector *collector, const struct area_text *text,
			    VmaEntry *area, struct error *err)
{
	bool restored = area_text_has_path(text, "/memfd:" SHARED_MEMFD_NAME " (deleted)");
	uint64_t bytes = text->page_kib * 1024;

	if (bytes < AREA_PAGE)
		return refuse(text, "pages of an unknown size", err);
	area->flags |= MAP_HUGETLB | (uint32_t)__builtin_ctzll(bytes) << MAP_HUGE_SHIFT;
	if (restored && !area_is_shared(text))
		return refuse(text, "a private mapping of shared anonymous memory", err);
	if (area_text_path_starts(text, "/SYSV")) {
		collect_segment(text, area);
		return 0;
	}
	if (!restored && !area_text_has_path(text, "/anon_hugepage (deleted)")) {
		area->status |= area_text_path_starts(text, "/memfd:") ? VMA_MEMFD : 0;
		return collect_file(collector, text, area, err);
	}
	area->flags |= MAP_ANONYMOUS;
	if (!area_is_shared(text))
		return collect_private_huge(collector, text, area, err);
	area->status |= VMA_ANON_SHARED;
	area->pgoff = text->offset;
	return shared_collect_area(collector->target, text->inode, area, err);
}

static int collect_ring(struct collector *collector, const struct area_text *text, VmaEntry *area,
			struct error *err)
{
	if (!area_is_shared(text))
		return refuse(text, "a private mapping of an io_uring instance", err);
	area->status |= VMA_FILE_SHARED;
	area->pgoff = text->offset;
	area->has_fdflags = true;
	area->fdflags = O_RDWR;
	return ring_collect_area(collector->target, text->device, text->inode, area, err);
}

static void collect_socket(struct collector *collector, const struct area_text *text,
			   VmaEntry *area)
{
	area->status |= VMA_SOCKET;
	area->pgoff = text->offset;
	area->has_fdflags = true;
	area->fdflags = O_RDWR;
	mapped_socket_note(collector->target, text->device, text->inode, area);
}

static bool is_map(const struct area_text *text)
{
	return text->refusal && area_text_has_path(text, "anon_inode:bpf-map");
}

/* Of BPF. What leads to no descriptor: what is in it now stays, and is nobody else's any more. */
static int collect_map(const struct collector *collector, const struct area_text *text,
		       VmaEntry *area, struct error *err)
{
	struct target *target = collector->target;

	area->pgoff = text->offset;
	int found = area_is_shared(text) ? mapped_map_note(target, area, err) : 0;
	if (found)
		return found < 0 ? -1 : 0;

	if (!loss_is_accepted(target->collect, LOSS_BPF)) {
		refuse(text, "the memory of a BPF map", err);
		fail_hint(err, "--force-lost bpf leaves a copy in its place");
		return fail_option(err, "--force-lost", "bpf");
	}
	loss_add(target, target->living, LOSS_BPF, "has memory that nobody else shares any more");
	area->flags = MAP_PRIVATE | MAP_ANONYMOUS;
	area->status |= VMA_ANON_PRIVATE;
	return 0;
}

static int collect_area(struct collector *collector, const struct area_text *text, VmaEntry *area,
			struct error *err)
{
	if (area_is_vdso(area)) {
		if (text->sealed) /* CONFIG_MSEAL_SYSTEM_MAPPINGS */
			return refuse(text, "a sealed vdso", err);
		area->status |= VMA_ANON_PRIVATE;
		area->flags |= MAP_ANONYMOUS;
		return 0;
	}
	area->flags |= text->map_flags;
	area->madv = text->advice;
	if (text->droppable) /* implied by MAP_DROPPABLE */
		area->madv &= ~(UINT64_C(1) << MADV_WIPEONFORK | UINT64_C(1) << MADV_DONTDUMP);
	area->has_madv = area->madv != 0;
	area->has_lock_on_fault = area->lock_on_fault = text->lock_on_fault;
	area->has_accounted = area->accounted =
		text->accounted && !area_is_shared(text) && !(area->prot & PROT_WRITE);
	area->has_sealed = area->sealed = text->sealed;
	area->has_protection_key = text->protection_key != 0;
	area->protection_key = (uint32_t)text->protection_key;
	if (text->huge_tlb)
		return collect_huge_tlb(collector, text, area, err);
	if (area_text_has_path(text, "anon_inode:[io_uring]"))
		return collect_ring(collector, text, area, err);
	if (major(text->device) == 0 && area_text_path_starts(text, "socket:[")) {
		collect_socket(collector, text, area);
		return 0;
	}
	if (major(text->device) == 0 && area_text_path_starts(text, "/[aio]") &&
	    area_is_shared(text))
		return aio_collect_area(collector->target, area, collector->mm, err);
	if (is_map(text))
		return collect_map(collector, text, area, err);
	if (text->refusal)
		return refuse(text, text->refusal, err);
	collect_name(collector, text, area);
	if (text->device == collector->shared_device)
		return collect_shared(collector, text, area, err);
	if (!text->device && !text->inode)
		return collect_anonymous(text, area, err);
	return collect_file(collector, text, area, err);
}

static VmaEntry *new_area(struct target *target, const struct area_text *text)
{
	VmaEntry *area = snapshot_new(target->collect->snapshot, VMA_ENTRY, VmaEntry);

	area->start = text->start;
	area->end = text->end;
	area->prot = (text->permissions[0] == 'r' ? PROT_READ : 0) |
		     (text->permissions[1] == 'w' ? PROT_WRITE : 0) |
		     (text->permissions[2] == 'x' ? PROT_EXEC : 0);
	area->flags = area_is_shared(text) ? MAP_SHARED
		      : text->droppable	   ? MAP_DROPPABLE
					   : MAP_PRIVATE;
	area->status = VMA_REGULAR;
	if (area_text_has_path(text, "[vdso]"))
		area->status |= VMA_VDSO;
	else if (area_text_has_path(text, "[vvar]") || area_text_has_path(text, "[vvar_vclock]"))
		area->status |= VMA_VVAR;
	area->fd = -1;
	return area;
}

/* The format has one record for [vvar] and [vvar_vclock] (6.13) together. */
static bool extends_last(const MmEntry *mm, const VmaEntry *area)
{
	VmaEntry *last = mm->n_vmas ? mm->vmas[mm->n_vmas - 1] : NULL;

	if (!last || !(last->status & area->status & VMA_VVAR) || last->end != area->start)
		return false;
	last->end = area->end;
	return true;
}

/*
 * May others have much of its private memory in common with the task? Of what is paged out smaps
 * does not say.
 */
static bool has_common_pages(const struct area_text *text)
{
	if (text->huge_tlb)
		return false;
	uint64_t shared = text->shared < text->anonymous ? text->shared : text->anonymous;

	return shared >= COMMON_FROM || text->swapped >= COMMON_FROM;
}

static enum area_pages whose_pages(const struct area_text *text, const VmaEntry *area)
{
	if (is_map(text) && !area_is_file(area))
		return PAGES_OF_MAP;
	return has_common_pages(text) ? PAGES_COMMON : PAGES_OWN;
}

static int collect_from_text(struct target *target, const char *text, MmEntry *mm,
			     enum area_pages **ret_whose, struct error *err)
{
	enum area_pages *whose = NULL;
	struct collector collector = { .target = target, .mm = mm };
	struct arena *arena = target->collect->arena;
	struct area_text area_text;

	if (shared_device(target, &collector.shared_device, err))
		return -1;
	while (area_text_read(&text, &area_text)) {
		VmaEntry *area;

		/* Not of the task: the kernel shows it in every address space. */
		if (area_text_has_path(&area_text, "[vsyscall]"))
			continue;
		area = new_area(target, &area_text);
		if (collect_area(&collector, &area_text, area, err)) {
			fail_while(err, "pid %d", target->pid);
			if (collect_pass(target->collect, err))
				return -1;
			target->refused = true;
			continue;
		}
		if (extends_last(mm, area))
			continue;
		whose = arena_grow(arena, whose, mm->n_vmas, sizeof *whose);
		whose[mm->n_vmas] = whose_pages(&area_text, area);
		mm->vmas = arena_grow(arena, mm->vmas, mm->n_vmas, sizeof mm->vmas[0]);
		mm->vmas[mm->n_vmas++] = area;
	}
	*ret_whose = whose;
	return 0;
}

int areas_collect(struct target *target, MmEntry *mm, enum area_pages **ret_whose,
		  struct error *err)
{
	autofree char *text = NULL;

	if (read_ahead_take(target, "smaps", &text) < 0)
		return fail_errno(err, procfs_error(errno),
				  "cannot read the memory areas of pid %d", target->pid);
	return collect_from_text(target, text, mm, ret_whose, err);
}
