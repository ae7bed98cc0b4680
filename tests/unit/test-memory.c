// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A child builds areas of every kind in a window of addresses; they are collected from outside,
 * planned, and the plan is carried out in another child, whose window must then be the same:
 * areas, their flags, and every byte. Needs the rights to read map_files.
 */
#include "memory-stubs.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/assistant.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kernel/facts.h"
#include "kinds/memory/memory.h"
#include "kinds/memory/pages.h"
#include "model/shared-memory.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define WINDOW	   UINT64_C(0x200000000000)
#define WINDOW_END UINT64_C(0x200040000000)
#define PROGRAMS   UINT64_C(0x210000000000)

enum { PAGE = 4096 };

/* --- The memory to be saved --- */

static void *map_at(uint64_t offset, uint64_t size, int prot, int flags, int fd, off_t at)
{
	void *bytes = mmap((void *)(uintptr_t)(WINDOW + offset), size, prot,
			   flags | MAP_FIXED_NOREPLACE, fd, at);

	if (bytes != (void *)(uintptr_t)(WINDOW + offset))
		_exit(2);
	return bytes;
}

static void fill(void *at, uint64_t size, unsigned seed)
{
	uint32_t *words = at;

	for (uint64_t i = 0; i < size / sizeof *words; i++)
		words[i] = seed = seed * 1664525 + 1013904223;
}

static void *map_anonymous(uint64_t offset, uint64_t size, int flags)
{
	return map_at(offset, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1,
		      0);
}

/* Not accounted for: only what is in it says that it has to be writable while it comes back. */
static void map_once_written(uint64_t offset, unsigned seed)
{
	uint8_t *bytes = map_anonymous(offset, 4 * PAGE, MAP_NORESERVE);

	fill(bytes + PAGE, PAGE, seed);
	mprotect(bytes, 4 * PAGE, seed % 2 ? PROT_READ : PROT_NONE);
}

static void map_plain_areas(void)
{
	uint8_t *bytes = map_anonymous(0, 16 * PAGE, 0);

	fill(bytes, 2 * PAGE, 1);
	fill(bytes + 5 * PAGE, PAGE, 2);
	madvise(bytes + 8 * PAGE, 2 * PAGE, 102 /* MADV_GUARD_INSTALL */);
	/* Beside each other, with other protections. */
	fill(map_anonymous(0x20000, 3 * PAGE, 0), 3 * PAGE, 3);
	mprotect((void *)(WINDOW + 0x20000), 3 * PAGE, PROT_READ);
	fill(map_anonymous(0x23000, 2 * PAGE, 0), 2 * PAGE, 4);
	mprotect((void *)(WINDOW + 0x23000), 2 * PAGE, PROT_NONE);
	fill(map_anonymous(0x25000, 2 * PAGE, 0), PAGE, 5);
	mprotect((void *)(WINDOW + 0x25000), 2 * PAGE, PROT_READ | PROT_EXEC);
	/* Two areas that look the same, but one was writable and is accounted for. */
	map_anonymous(0x28000, 2 * PAGE, 0);
	mprotect((void *)(WINDOW + 0x28000), 2 * PAGE, PROT_NONE);
	map_at(0x2a000, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map_at(0x30000, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fill((uint8_t *)map_anonymous(0x100000, 32 * PAGE, MAP_GROWSDOWN) + 28 * PAGE, 4 * PAGE, 6);
}

static void map_advised_areas(void)
{
	static const int advice[] = { MADV_DONTFORK, MADV_DONTDUMP,  MADV_RANDOM,
				      MADV_HUGEPAGE, MADV_MERGEABLE, MADV_NOHUGEPAGE };

	for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++) {
		uint8_t *bytes = map_anonymous(0x200000 + i * 0x10000, 0x10000, 0);

		fill(bytes + PAGE, PAGE, (unsigned)i);
		madvise(bytes, 0x10000, advice[i]);
	}
	fill(map_anonymous(0x300000, 4 * PAGE, 0), PAGE, 7);
	mlock((void *)(WINDOW + 0x300000), 4 * PAGE);
	map_anonymous(0x310000, 4 * PAGE, 0);
	syscall(SYS_mlock2, WINDOW + 0x310000, 4 * PAGE, 1);
	map_at(0x320000, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mlock((void *)(WINDOW + 0x320000), 4 * PAGE);
}

static void map_shared_areas(void)
{
	uint8_t *bytes = map_at(0x400000, 64 * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	fill(bytes + 3 * PAGE, 2 * PAGE, 8);
	fill(bytes + 60 * PAGE, 4 * PAGE, 9);
	/* The same object again, in parts. */
	mremap(bytes + 2 * PAGE, 0, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, WINDOW + 0x500000);
	mprotect((void *)(WINDOW + 0x500000), 8 * PAGE, PROT_READ);
	fill(map_at(0x600000, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
	     PAGE, 10);
	munmap(bytes + 20 * PAGE, 8 * PAGE);
}

static void map_file_areas(int fd)
{
	uint8_t *bytes = map_at(0x700000, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);

	fill(bytes + PAGE, PAGE, 11);
	map_at(0x704000, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	fill(map_at(0x710000, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), PAGE, 12);
	bytes = map_at(0x720000, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	fill(bytes, 2 * PAGE, 13);
	mprotect(bytes, 2 * PAGE, PROT_READ);
}

static void map_large_areas(void)
{
	fill(map_anonymous(0x1000000 + 3 * PAGE, 0x700000, 0), 0x700000, 14);
	fill((uint8_t *)map_anonymous(0x2000000, 0x5000000, 0) + 0x100000, 0x4800000, 15);
	/* Huge pages apart from each other, and nothing else. */
	uint8_t *bytes = map_anonymous(0x8000000, 0x800000, 0);

	fill(bytes, 0x200000, 16);
	fill(bytes + 0x400000, 0x200000, 17);
	/* Content that may be dropped is; the kernel (6.11) says so with zeroes. */
	mmap((void *)(uintptr_t)(WINDOW + 0x9000000), 2 * PAGE, PROT_READ | PROT_WRITE,
	     0x08 /* MAP_DROPPABLE */ | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void build_and_wait(int ready_fd)
{
	int fd = memfd_create("test", 0), disk_fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

	if (disk_fd < 0 || ftruncate(disk_fd, 8 * PAGE) || fd < 0)
		_exit(3);
	map_plain_areas();
	map_once_written(0x1f0000, 20);
	map_advised_areas();
	map_once_written(0x3f0000, 21);
	map_shared_areas();
	map_once_written(0x6f0000, 22);
	map_file_areas(disk_fd);
	map_once_written(0x7f0000, 23);
	map_large_areas();
	map_once_written(0xa000000, 24);
	if (write(ready_fd, "r", 1) != 1)
		_exit(4);
	for (;;)
		pause();
}

/* --- Looking at it --- */

/* Header and VmFlags lines of smaps within the window. */
static char *window_text(struct arena *arena, pid_t pid)
{
	struct text text;
	char name[64], *smaps, *save = NULL;
	bool inside = false;

	text_init(&text, arena);
	snprintf(name, sizeof name, "/proc/%d/smaps", pid);
	assert_true(procfs_read(arena, AT_FDCWD, name, &smaps) > 0);
	for (char *line = strtok_r(smaps, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t start;
		unsigned long long inode;
		int at = 0;

		if (sscanf(line, "%" SCNx64 "-%*x %*s %*x %*s %n%llu", &start, &at, &inode) == 2) {
			inside = start >= WINDOW && start < WINDOW_END;
			/* Inode numbers of shared memory are new ones. */
			if (inside && strstr(line, "/dev/zero"))
				text_add(&text, "%.*s /dev/zero\n", at, line);
			else if (inside)
				text_add(&text, "%s\n", line);
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			text_add(&text, "%s\n", line);
		}
	}
	return text.string;
}

static void same_bytes(pid_t pid_a, pid_t pid_b, const MmEntry *mm)
{
	char name[64];
	static uint8_t a[PAGE], b[PAGE];
	autoclose int fd_a = -1, fd_b = -1;

	snprintf(name, sizeof name, "/proc/%d/mem", pid_a);
	fd_a = open(name, O_RDONLY);
	snprintf(name, sizeof name, "/proc/%d/mem", pid_b);
	fd_b = open(name, O_RDONLY);
	for (size_t i = 0; i < mm->n_vmas; i++)
		for (uint64_t at = mm->vmas[i]->start; at < mm->vmas[i]->end; at += PAGE) {
			ssize_t got_a = pread(fd_a, a, PAGE, (off_t)at);
			ssize_t got_b = pread(fd_b, b, PAGE, (off_t)at);

			if (got_a != got_b || (got_a > 0 && memcmp(a, b, PAGE)))
				fail_msg("page %" PRIx64 " differs (%zd, %zd)", at, got_a, got_b);
		}
}

/* --- Carrying out a plan --- */

static void carry_out(const struct program *program, int ready_fd)
{
	struct program_set *set = program->set;
	void *place = mmap((void *)(uintptr_t)set->base, set->size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	const struct op *ops = (const struct op *)(uintptr_t)program->address;

	if (place != (void *)(uintptr_t)set->base)
		_exit(2);
	program_set_write(set, place);
	for (size_t i = 0; i < program->n_ops; i++) {
		uint64_t args[6];
		long result;

		for (unsigned k = 0; k < 6; k++)
			args[k] = ops[i].indirect & 1u << k
					  ? *(const uint64_t *)(uintptr_t)ops[i].args[k]
					  : ops[i].args[k];
		result = syscall((long)ops[i].nr, args[0], args[1], args[2], args[3], args[4],
				 args[5]);
		if (result == -1)
			result = -errno;
		if ((ops[i].check == CHECK_EQUALS && result != ops[i].expected) ||
		    (ops[i].check == CHECK_NO_ERROR && result < 0 && result > -4096)) {
			fprintf(stderr, "op %zu: nr %u (%" PRIx64 ", %" PRIx64 ") = %ld\n", i,
				ops[i].nr, args[0], args[1], result);
			_exit(3);
		}
		if (ops[i].result)
			memcpy((void *)(uintptr_t)ops[i].result, &result, sizeof result);
	}
	if (write(ready_fd, "r", 1) != 1)
		_exit(4);
	for (;;)
		pause();
}

static pid_t start_child(const struct program *program)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (program)
			carry_out(program, ready[1]);
		build_and_wait(ready[1]);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- The tests --- */

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct facts facts;
	struct dump_options options;
	struct collect collect;
	struct target target;
	struct plan plan;
	struct error err;
	char folder[32]; /* for images */
	int folder_fd;
};

static struct fixture *fixture_new(pid_t pid)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	arena_init(&fixture->arena);
	assert_int_equal(facts_probe(&fixture->facts, &fixture->arena, &fixture->err), 0);
	fixture->snapshot.arena = &fixture->arena;
	fixture->collect = (struct collect){
		.arena = &fixture->arena,
		.snapshot = &fixture->snapshot,
		.facts = &fixture->facts,
		.options = &fixture->options,
		.next_file_id = 1,
		.next_shared_id = 1,
		.next_pages_id = 1,
	};
	strcpy(fixture->folder, "/tmp/test-memory-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	fixture->folder_fd = open(fixture->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture->collect.images = images_writer_new(fixture->folder_fd, &fixture->err);
	assert_non_null(fixture->collect.images);
	fixture->collect.assistant = assistant_start();
	fixture->collect.targets = &fixture->target;
	fixture->collect.n_targets = 1;
	fixture->target = (struct target){
		.collect = &fixture->collect,
		.task = snapshot_add_task(&fixture->snapshot),
		.pid = pid,
		.tid = pid,
		.stat = arena_string(&fixture->arena, "S 1 1"),
		.auxv = arena_array(&fixture->arena, uint64_t, 2),
		.n_auxv = 2,
	};
	return fixture;
}

static void fixture_free(struct fixture *fixture)
{
	assistant_end(fixture->collect.assistant);
	memory_end_pages(&fixture->collect);
	images_writer_free(fixture->collect.images);
	close(fixture->folder_fd);
	rmdir(fixture->folder);
	arena_done(&fixture->arena);
	free(fixture);
}

static bool in_window(uint64_t address)
{
	return address >= WINDOW && address < WINDOW_END;
}

static int no_progress(void *data, const char *phase, size_t done, size_t total)
{
	(void)data;
	(void)phase;
	assert_true(done <= total);
	return 0;
}

/* The images, from where they are before they are committed. */
static void open_images(const struct fixture *fixture)
{
	for (uint32_t id = 1; id < fixture->collect.next_pages_id; id++) {
		char name[64];

		snprintf(name, sizeof name, "nestor-staging/pages-%u.img", id);
		fake.pages_fds[id] = openat(fixture->folder_fd, name, O_RDONLY | O_CLOEXEC);
		assert_true(fake.pages_fds[id] >= 0);
	}
}

/* Leaves only the window. */
static void cut_to_window(struct fixture *fixture)
{
	struct task *task = fixture->target.task;
	size_t n = 0;

	for (size_t i = 0; i < task->mm->n_vmas; i++)
		if (in_window(task->mm->vmas[i]->start))
			task->mm->vmas[n++] = task->mm->vmas[i];
	task->mm->n_vmas = n;
	n = 0;
	for (size_t i = 0; i < task->pages.n_runs; i++)
		if (in_window(task->pages.runs[i].address))
			task->pages.runs[n++] = task->pages.runs[i];
	task->pages.n_runs = n;
}

static struct program *make_plan(struct fixture *fixture)
{
	static struct planned_process process = { .maker = NO_PROCESS };
	struct plan *plan = &fixture->plan;
	struct program *program;

	plan->arena = &fixture->arena;
	plan->snapshot = &fixture->snapshot;
	plan->facts = &fixture->facts;
	plan->sources = fake.sources;
	plan->first_source = 100;
	plan->processes = &process;
	plan->n_processes = 1;
	program_set_init(&plan->programs, &fixture->arena, PROGRAMS);
	program = program_new(&plan->programs, "test");
	/* The stat of the target is not a real one. */
	fixture->target.task->mm->mm_end_code = 1;
	if (snapshot_measure_shared_memory(&fixture->snapshot, &fixture->err) ||
	    memory_kind.check(&fixture->snapshot, fixture->target.task, &fixture->err) ||
	    memory_kind.plan(&(struct planning){ .plan = plan,
						 .task = fixture->target.task,
						 .program = program },
			     &fixture->err))
		fail_msg("%s", fixture->err.text);
	/* Without the first operations: the whole mm cannot be moved to a child of the test. */
	assert_int_equal(program->ops[1].nr, SYS_prctl);
	program->ops += 2;
	program->n_ops -= 2;
	program_set_link(&plan->programs);
	return program;
}

static void comes_back_with(bool pagemap_scan_known, bool uffd_move_known)
{
	pid_t original = start_child(NULL), restored;
	struct fixture *fixture = fixture_new(original);
	char *before, *after;

	memset(&fake, 0, sizeof fake);
	fixture->facts.pagemap_scan &= pagemap_scan_known;
	fixture->facts.uffd_move &= uffd_move_known;
	before = window_text(&fixture->arena, original);
	if (memory_kind.collect(&fixture->target, &fixture->err) ||
	    memory_collect_pages(&fixture->collect, no_progress, NULL, &fixture->err))
		fail_msg("%s", fixture->err.text);
	open_images(fixture);
	cut_to_window(fixture);
	restored = start_child(make_plan(fixture));
	after = window_text(&fixture->arena, restored);
	assert_string_equal(before, after);
	same_bytes(original, restored, fixture->target.task->mm);
	end_child(restored);
	end_child(original);
	fixture_free(fixture);
}

static void memory_comes_back(void **state)
{
	(void)state;
	if (access("/proc/self/map_files", R_OK) || geteuid())
		skip();
	comes_back_with(true, true);
}

static void memory_comes_back_by_pagemap(void **state)
{
	(void)state;
	if (access("/proc/self/map_files", R_OK) || geteuid())
		skip();
	comes_back_with(false, false);
}

/* --- What a child has in common with its parent --- */

static bool shows_frames(const void *at)
{
	autoclose int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;

	return pread(fd, &word, sizeof word, (off_t)((uintptr_t)at / PAGE * sizeof word)) ==
		       sizeof word &&
	       word << 9;
}

/* One behind the other in memory, of which the list has the first `n_copies`. */
static struct page_list list_of(struct fixture *fixture, const uint8_t *bytes, uint64_t size,
				size_t n_copies, uint64_t source)
{
	struct page_list list = { .n_copies = n_copies, .size = n_copies * size };

	list.copies = arena_array(&fixture->arena, struct page_copy, n_copies + 1);
	for (size_t i = 0; i <= n_copies; i++)
		list.copies[i] = (struct page_copy){ .address = (uintptr_t)bytes + i * size,
						     .size = size,
						     .source = source,
						     .offset = i * size,
						     .may_be_common = true };
	return list;
}

/* Neither less than the lists have, nor more. */
static void common_pages(void **state)
{
	enum { SIZE = 300 * PAGE, COPIES = 2 };
	uint8_t *bytes =
		mmap(NULL, 3 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	memset(bytes, 'c', 3 * SIZE);
	if (!shows_frames(bytes))
		skip();
	for (size_t own = 1; own <= COPIES; own++)
		for (size_t other = 1; other <= COPIES; other++) {
			pid_t pid = fork();
			if (pid == 0)
				while (!prctl(PR_SET_PDEATHSIG, SIGKILL) && pause())
					;
			struct fixture *fixture = fixture_new(pid);
			struct target parent = fixture->target;
			parent.pid = parent.tid = getpid();
			struct page_list list = list_of(fixture, bytes, SIZE, own, 7);
			struct page_list others = list_of(fixture, bytes, SIZE, other, 8);
			size_t common = own < other ? own : other;
			common_pages_find(&fixture->target, &list, &parent, &others,
					  &fixture->arena);
			assert_int_equal(list.size, (own - common) * SIZE);
			assert_int_equal(list.n_copies, own);
			for (size_t i = 0; i < own; i++) {
				assert_int_equal(list.copies[i].address,
						 (uintptr_t)bytes + i * SIZE);
				assert_int_equal(list.copies[i].size, SIZE);
				assert_int_equal(list.copies[i].kept, i < common);
				assert_int_equal(list.copies[i].source, i < common ? 8 : 7);
			}
			end_child(pid);
			fixture_free(fixture);
		}
	munmap(bytes, 3 * SIZE);
}

/* --- What is refused --- */

static void refused(struct fixture *fixture, enum error_name name)
{
	memset(&fixture->err, 0, sizeof fixture->err);
	assert_int_equal(memory_kind.check(&fixture->snapshot, fixture->target.task, &fixture->err),
			 -1);
	assert_int_equal(fixture->err.name, name);
}

static VmaEntry *add_area(struct fixture *fixture, uint64_t start, uint64_t end)
{
	MmEntry *mm = fixture->target.task->mm;
	VmaEntry *area = snapshot_new(&fixture->snapshot, VMA_ENTRY, VmaEntry);

	area->start = start;
	area->end = end;
	area->prot = PROT_READ;
	area->flags = MAP_PRIVATE | MAP_ANONYMOUS;
	area->status = VMA_REGULAR | VMA_ANON_PRIVATE;
	area->fd = -1;
	mm->vmas = arena_grow(&fixture->arena, mm->vmas, mm->n_vmas, sizeof mm->vmas[0]);
	return mm->vmas[mm->n_vmas++] = area;
}

static void bad_images_are_refused(void **state)
{
	struct fixture *fixture = fixture_new(getpid());
	struct task *task = fixture->target.task;
	FileEntry *file = snapshot_new(&fixture->snapshot, FILE_ENTRY, FileEntry);
	VmaEntry *area;

	(void)state;
	file->id = 1;
	snapshot_add_file(&fixture->snapshot, file);
	task->mm = snapshot_new(&fixture->snapshot, MM_ENTRY, MmEntry);
	task->mm->exe_file_id = 1;
	refused(fixture, ERR_IMAGE_INVALID);
	memset(&fixture->err, 0, sizeof fixture->err);
	task->mm->mm_end_code = 1;
	add_area(fixture, 0x10000, 0x20000);
	area = add_area(fixture, 0x20000, 0x30000);
	assert_int_equal(memory_kind.check(&fixture->snapshot, task, &fixture->err), 0);
	area->start = 0x1f000;
	refused(fixture, ERR_IMAGE_INVALID);
	area->start = 0x20001;
	refused(fixture, ERR_IMAGE_INVALID);
	area->start = 0x40000;
	refused(fixture, ERR_IMAGE_INVALID);
	area->start = 0x20000;
	area->protection_key = 16;
	refused(fixture, ERR_IMAGE_INVALID);
	area->protection_key = 15;
	assert_int_equal(memory_kind.check(&fixture->snapshot, task, &fixture->err), 0);
	area->protection_key = 0;
	task->mm->protection_keys = 1;
	refused(fixture, ERR_IMAGE_INVALID);
	task->mm->protection_keys = 1 << 16;
	refused(fixture, ERR_IMAGE_INVALID);
	task->mm->protection_keys = 0;
	area->status |= VMA_UPROBES;
	refused(fixture, ERR_IMAGE_UNSUPPORTED);
	area->status ^= VMA_UPROBES | VMA_AIO_RING;
	refused(fixture, ERR_IMAGE_INVALID);
	area->status = VMA_REGULAR | VMA_FILE_PRIVATE;
	area->shmid = 7;
	refused(fixture, ERR_IMAGE_INVALID);
	area->shmid = (UINT64_C(1) << 32) + 1;
	refused(fixture, ERR_IMAGE_INVALID);
	area->status = VMA_REGULAR | VMA_VSYSCALL | VMA_ANON_SHARED;
	refused(fixture, ERR_IMAGE_INVALID);
	area->status = VMA_REGULAR | VMA_VDSO | VMA_ANON_SHARED;
	refused(fixture, ERR_IMAGE_INVALID);
	area->status = VMA_REGULAR | VMA_FILE_PRIVATE;
	area->shmid = 1;
	assert_int_equal(memory_kind.check(&fixture->snapshot, task, &fixture->err), 0);
	pagemap_add_own(&fixture->snapshot, &task->pages, 0x2f000, 1);
	assert_int_equal(memory_kind.check(&fixture->snapshot, task, &fixture->err), 0);
	pagemap_add_own(&fixture->snapshot, &task->pages, 0x30000, 1);
	refused(fixture, ERR_IMAGE_INVALID);
	task->pages.n_runs = 1;
	task->pages.runs[0].pages = 2;
	refused(fixture, ERR_IMAGE_INVALID);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_comes_back),
		cmocka_unit_test(memory_comes_back_by_pagemap),
		cmocka_unit_test(common_pages),
		cmocka_unit_test(bad_images_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
