// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Building the areas again: one mmap each at its exact address, then what mmap cannot say
 * (madvise, names), then, once the content is in, the protection and the locks. Areas that get
 * content are writable until then.
 *
 * Order matters twice. Advice about huge pages comes before the content, which is filled into
 * pages of that size. Guard ranges come before mlock: they are refused in locked areas
 * (mm/madvise.c, 6.13), while locking an area with guards only fails to fill them.
 */
#include "kinds/memory/memory.h"

#include "kernel/facts.h"
#include "kinds/memory/inherited.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* 5.14 */
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* 6.13 */
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA	     0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

/* No user address of x86-64 is above, with five levels of page tables. */
static const uint64_t highest_address = UINT64_C(1) << 56;

/* What a vma_entry may say; the rest of the format's bits are kinds that are not restored. */
static const uint32_t known_status = VMA_REGULAR | VMA_STACK | VMA_VSYSCALL | VMA_VDSO | VMA_HEAP |
				     VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_ANON_SHARED |
				     VMA_ANON_PRIVATE | VMA_VVAR | VMA_GUARD | VMA_SYSV_IPC |
				     VMA_MEMFD | VMA_AIO_RING | VMA_SOCKET;

/* --- Check --- */

static int check_range(const VmaEntry *area, struct error *err)
{
	if (area->start >= area->end || area->start % AREA_PAGE || area->end % AREA_PAGE ||
	    area->end > highest_address)
		return fail(err, ERR_IMAGE_INVALID,
			    "memory area %" PRIx64 "-%" PRIx64 " cannot be one", area->start,
			    area->end);
	return 0;
}

/* The one area that is above all user addresses; it is never restored. */
static int check_vsyscall(const VmaEntry *area, struct error *err)
{
	const uint32_t others = VMA_VDSO | VMA_VVAR | VMA_GUARD | VMA_HEAP | VMA_FILE_PRIVATE |
				VMA_FILE_SHARED | VMA_ANON_SHARED;

	if (area->start < highest_address || area->start >= area->end || (area->status & others))
		return fail(err, ERR_IMAGE_INVALID,
			    "memory area %" PRIx64 "-%" PRIx64 " cannot be that of vsyscall",
			    area->start, area->end);
	return 0;
}

static int count_mappings(const VmaEntry *area)
{
	return __builtin_popcount(area->status &
				  (VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_ANON_SHARED |
				   VMA_ANON_PRIVATE | VMA_SYSV_IPC | VMA_AIO_RING | VMA_SOCKET));
}

static bool mapping_agrees(const VmaEntry *area)
{
	uint32_t type = area->flags & MAP_TYPE;

	if (area->status & VMA_SOCKET && type == MAP_PRIVATE)
		return true;
	if (area->status &
	    (VMA_FILE_SHARED | VMA_ANON_SHARED | VMA_SYSV_IPC | VMA_AIO_RING | VMA_SOCKET))
		return type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
	return type == MAP_PRIVATE ||
	       (area_is_droppable(area) && (area->status & VMA_ANON_PRIVATE));
}

/* [vdso] and relatives are written as private memory, if as any. */
static const uint32_t not_vdso = VMA_GUARD | VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_ANON_SHARED |
				 VMA_SYSV_IPC | VMA_AIO_RING | VMA_SOCKET;

static int check_kind(const VmaEntry *area, struct error *err)
{
	if (area->status & ~known_status)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "memory area %" PRIx64 "-%" PRIx64
			    " is of a kind (status %#x) that is not restored",
			    area->start, area->end, area->status & ~known_status);
	if (area_is_vdso(area) ? !(area->status & not_vdso) : area_is_guard(area))
		return 0;
	if (area_is_vdso(area) || count_mappings(area) != 1 || !mapping_agrees(area) ||
	    (area->prot & ~(uint32_t)(PROT_READ | PROT_WRITE | PROT_EXEC)))
		return fail(err, ERR_IMAGE_INVALID,
			    "memory area %" PRIx64 "-%" PRIx64
			    " contradicts itself (status %#x, flags %#x, protection %#x)",
			    area->start, area->end, area->status, area->flags, area->prot);
	return 0;
}

static int check_object(const struct snapshot *snapshot, const VmaEntry *area, struct error *err)
{
	const char *missing = NULL;

	if (area_is_file(area) &&
	    (area->shmid > UINT32_MAX || !snapshot_file(snapshot, (uint32_t)area->shmid)))
		missing = "file";
	if ((area->status & VMA_ANON_SHARED) && !snapshot_shared_memory(snapshot, area->shmid))
		missing = "shared memory";
	if (missing)
		return fail(err, ERR_IMAGE_INVALID,
			    "memory area %" PRIx64 "-%" PRIx64 " maps %s %" PRIu64
			    ", which is not recorded",
			    area->start, area->end, missing, area->shmid);
	if (area->pgoff % AREA_PAGE || area->pgoff > INT64_MAX - (area->end - area->start))
		return fail(err, ERR_IMAGE_INVALID,
			    "memory area %" PRIx64 "-%" PRIx64 " cannot start at offset %" PRIx64,
			    area->start, area->end, area->pgoff);
	return area->status & VMA_SOCKET ? mapped_socket_check(snapshot, area, err) : 0;
}

static bool area_is_mapped(const VmaEntry *area)
{
	return !area_is_guard(area) && !(area->status & VMA_VSYSCALL);
}

int areas_check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	uint64_t end = 0;

	for (size_t i = 0; i < task->mm->n_vmas; i++) {
		const VmaEntry *area = task->mm->vmas[i];

		if (area->status & VMA_VSYSCALL) {
			if (check_vsyscall(area, err))
				return -1;
		} else if (check_range(area, err) || check_kind(area, err) ||
			   check_object(snapshot, area, err)) {
			return -1;
		}
		if (area_is_guard(area))
			continue;
		if (area->start < end)
			return fail(err, ERR_IMAGE_INVALID,
				    "memory area %" PRIx64 "-%" PRIx64
				    " begins before the one listed before it ends",
				    area->start, area->end);
		end = area->end;
	}
	return attached_check(snapshot, task, err);
}

int memory_adopt(struct snapshot *snapshot, const struct images *images, struct error *err)
{
	(void)err;
	aio_adopt(snapshot, images);
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const MmEntry *mm = snapshot->tasks[i].mm;

		for (size_t k = 0; mm && k < mm->n_vmas; k++) {
			VmaEntry *area = mm->vmas[k];
			/* A segment is shown as shared memory as well. */
			if (area->status & VMA_SYSV_IPC)
				area->status &= ~(uint32_t)VMA_ANON_SHARED;
			FileEntry *file = area->status & VMA_FILE_SHARED
						  ? snapshot_file(snapshot, (uint32_t)area->shmid)
						  : NULL;

			uint32_t *flags = file && file->reg	? &file->reg->flags
					  : file && file->memfd ? &file->memfd->flags
								: NULL;

			if (flags && area->has_fdflags && (area->fdflags & O_ACCMODE) == O_RDWR)
				*flags = (*flags & ~(uint32_t)O_ACCMODE) | O_RDWR;
		}
	}
	return 0;
}

/* --- mmap --- */

static bool area_has_object(const VmaEntry *area)
{
	return area_is_file(area) || (area->status & VMA_ANON_SHARED);
}

static uint32_t source_of(struct plan *plan, const VmaEntry *area)
{
	return plan_source(plan, area_is_file(area) ? SOURCE_FILE : SOURCE_SHARED_MEMORY,
			   area->shmid);
}

static bool has_same_object(const VmaEntry *one, const VmaEntry *other)
{
	return area_is_file(one) == area_is_file(other) && one->shmid == other->shmid;
}

/* MAP_LOCKED would fill the area at once: mlock2 does it when the content is there. */
static uint64_t map_flags(const VmaEntry *area)
{
	uint64_t flags = area->flags & (MAP_TYPE | MAP_GROWSDOWN | MAP_NORESERVE);

	if (area->flags & MAP_HUGETLB)
		flags |= area->flags & (MAP_HUGETLB | (uint32_t)MAP_HUGE_MASK << MAP_HUGE_SHIFT);
	if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE)
		flags = (flags & ~(uint64_t)MAP_TYPE) | MAP_SHARED;
	if (area_is_aio(area))
		flags = (flags & ~(uint64_t)MAP_TYPE) | MAP_PRIVATE;
	if (!area_has_object(area))
		flags |= MAP_ANONYMOUS;
	return flags | MAP_FIXED_NOREPLACE;
}

static void map_part(struct plan *plan, struct program *program, const struct area_plan *area_plan,
		     const struct address_range *part)
{
	const VmaEntry *area = area_plan->area;
	bool has_object = area_has_object(area);
	uint64_t slot = has_object ? plan_borrow(plan, program, source_of(plan, area)) : 0;
	uint64_t prot = area->prot | (area_plan->map_writable ? PROT_READ | PROT_WRITE : 0);
	uint64_t offset = has_object ? area->pgoff + (part->start - area->start) : 0;
	struct op *op = program_call(program, SYS_mmap, part->start, part->end - part->start, prot,
				     map_flags(area), (uint64_t)-1, offset);

	if (has_object)
		op_argument_from(op, 4, slot);
	op_expect(op, (int64_t)part->start);
}

static void map_area(struct plan *plan, struct program *program, const struct area_plan *area_plan,
		     const struct inherited *inherited)
{
	struct address_range whole = { area_plan->area->start, area_plan->area->end };

	if (!area_plan->partly_kept) {
		map_part(plan, program, area_plan, &whole);
		return;
	}
	struct ranges missing = ranges_without(
		plan->arena, &(struct ranges){ .ranges = &whole, .count = 1 }, &inherited->kept);
	for (size_t i = 0; i < missing.count; i++)
		map_part(plan, program, area_plan, &missing.ranges[i]);
}

void area_plan_advice(struct program *program, const VmaEntry *area)
{
	static const uint8_t known[] = { MADV_RANDOM,	 MADV_SEQUENTIAL, MADV_DONTFORK,
					 MADV_MERGEABLE, MADV_HUGEPAGE,	  MADV_NOHUGEPAGE,
					 MADV_DONTDUMP,	 MADV_WIPEONFORK };
	uint64_t size = area->end - area->start;

	for (size_t i = 0; area->madv && i < sizeof known; i++) {
		struct op *op;

		if (!(area->madv & UINT64_C(1) << known[i]))
			continue;
		op = program_call(program, SYS_madvise, area->start, size, known[i]);
		/* Of no effect on the task: kernels can be built without KSM or huge pages. */
		if (known[i] == MADV_MERGEABLE || known[i] == MADV_HUGEPAGE ||
		    known[i] == MADV_NOHUGEPAGE)
			op_any(op);
		else
			op_expect(op, 0);
	}
}

/* Names are shown to people only; a kernel without CONFIG_ANON_VMA_NAME refuses them. */
static void name_area(struct program *program, const VmaEntry *area)
{
	uint64_t name;

	if (!area->anon_name || area_is_file(area) || area_is_attached(area))
		return;
	name = program_data(program->set, area->anon_name, strlen(area->anon_name) + 1, 1);
	op_any(program_call(program, SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, area->start,
			    area->end - area->start, name));
}

/* What only the host can tell. */
static int check_host(const struct facts *facts, const VmaEntry *area, struct error *err)
{
	if (area_is_guard(area) && !facts->guard_regions)
		return fail(err, ERR_KERNEL_TOO_OLD,
			    "guard range %" PRIx64 "-%" PRIx64
			    " needs MADV_GUARD_INSTALL (Linux 6.13)",
			    area->start, area->end);
	if (area->sealed && !facts->memory_seals)
		return fail(err, ERR_KERNEL_TOO_OLD,
			    "memory area %" PRIx64 "-%" PRIx64
			    " is sealed, which needs mseal (Linux 6.10)",
			    area->start, area->end);
	if (area->end > facts->task_size)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "memory area %" PRIx64 "-%" PRIx64
			    " is above the addresses of this machine",
			    area->start, area->end);
	if (area->start < facts->mmap_min_address && !facts_has_capability(facts, CAP_SYS_RAWIO))
		return fail(err, ERR_NO_PRIVILEGE,
			    "memory area %" PRIx64 "-%" PRIx64
			    " is below vm.mmap_min_addr, which needs CAP_SYS_RAWIO",
			    area->start, area->end);
	return 0;
}

int areas_plan_map(struct plan *plan, const struct task *task, struct program *program,
		   struct area_plan *areas, const struct inherited *inherited, struct error *err)
{
	for (size_t i = 0; i < task->mm->n_vmas; i++) {
		const VmaEntry *area = areas[i].area;

		if (area->status & VMA_VSYSCALL)
			continue;
		if (check_host(plan->facts, area, err))
			return -1;
		if (!area_is_mapped(area) || area_is_vdso(area) ||
		    area_is_ring(plan->snapshot, area))
			continue;
		if (area_is_attached(area))
			attached_plan(plan, task, program, area);
		else
			map_area(plan, program, &areas[i], inherited);
		if (area_has_object(area) &&
		    (i + 1 == task->mm->n_vmas || !has_same_object(area, areas[i + 1].area)))
			plan_give_back(plan, program, source_of(plan, area));
		if (!area_is_aio(area))
			area_plan_advice(program, area);
		name_area(program, area);
	}
	rings_plan_map(plan, task, program);
	return 0;
}

/* --- After the content --- */

static void guard_ranges(struct program *program, const MmEntry *mm)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (area_is_guard(mm->vmas[i]))
			op_expect(program_call(program, SYS_madvise, mm->vmas[i]->start,
					       mm->vmas[i]->end - mm->vmas[i]->start,
					       MADV_GUARD_INSTALL),
				  0);
}

/*
 * What was written to once stays accounted when it may be written to no longer; where no page ever
 * was, the kernel takes that back (mprotect_fixup, 6.4). So it gets a page, and loses it.
 */
static void touch_once(struct program *program, const VmaEntry *area)
{
	op_any(program_call(program, SYS_madvise, area->start, AREA_PAGE, MADV_POPULATE_WRITE));
	op_any(program_call(program, SYS_madvise, area->start, AREA_PAGE, MADV_DONTNEED));
}

static bool wants_touch(const struct area_plan *area_plan)
{
	const VmaEntry *area = area_plan->area;

	return area->accounted && !area_plan->has_content && !area_plan->partly_kept &&
	       (area->status & VMA_ANON_PRIVATE) && !(area->flags & MAP_HUGETLB);
}

static void lock_area(struct program *program, const struct area_plan *area_plan)
{
	const VmaEntry *area = area_plan->area;
	uint64_t size = area->end - area->start;
	/* To fill it fails where nothing may be touched, and behind the end of an object. */
	bool can_fail = !(area->prot & PROT_READ) || area_plan->has_guard || area_has_object(area);

	if (area->lock_on_fault || can_fail)
		op_expect(program_call(program, SYS_mlock2, area->start, size, MLOCK_ONFAULT), 0);
	if (area->lock_on_fault)
		return;
	struct op *op = program_call(program, SYS_mlock2, area->start, size, 0);
	if (can_fail)
		op_any(op);
	else
		op_expect(op, 0);
}

void areas_plan_finish(struct program *program, const struct task *task,
		       const struct area_plan *areas)
{
	guard_ranges(program, task->mm);
	for (size_t i = 0; i < task->mm->n_vmas; i++) {
		const VmaEntry *area = areas[i].area;
		uint32_t writable = PROT_READ | PROT_WRITE;
		bool changes = areas[i].partly_kept ? area->prot != writable
						    : areas[i].map_writable &&
							      area->prot != (area->prot | writable);

		if (!area_is_mapped(area) || area_is_aio(area))
			continue;
		if (wants_touch(&areas[i]))
			touch_once(program, area);
		const uint32_t key = protection_key_of_area(task->mm, area);
		if (key)
			op_expect(program_call(program, SYS_pkey_mprotect, area->start,
					       area->end - area->start, area->prot, key),
				  0);
		else if (changes)
			op_expect(program_call(program, SYS_mprotect, area->start,
					       area->end - area->start, area->prot),
				  0);
		if (area->flags & MAP_LOCKED && !area_is_vdso(area))
			lock_area(program, &areas[i]);
	}
}
