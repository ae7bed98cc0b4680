// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-mixed
 * promise: a window of memory, in which any calls of mmap(2), mprotect(2), madvise(2), mremap(2)
 *	and their like have been made with any ranges, as drawn from a seed, by processes that
 *	fork meanwhile, has the same areas and bytes afterwards; what is shared is still shared
 *	by the same, and nothing else is
 * flavours: flat three user-three ordinary
 * needs: initial-user-namespace
 * arguments: 1 2 3 4 5 6 7 8
 */
#include "drawing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#define GUARD_INSTALL 102 /* 6.13 */
#define GUARD_REMOVE  103
#define DROPPABLE     0x08 /* 6.11 */

enum {
	PAGE = 4096,
	PAGES = 384,
	SHOWN = PAGES + 1,
	LONGEST = 24,
	PROCESSES = 5,
	STEPS = 60,
	FILES = 6
};

/* Whoever has no right to look at mapped files finds those of a name only. */
#ifndef ONLY_NAMED
#define ONLY_NAMED 0
#endif

static uint8_t *const window = (uint8_t *)0x200000000000;

/* What one page of the window shows: its area, as smaps has it, its bytes, and the last of them. */
struct page {
	char area[224];
	int error;
	uint64_t bytes, last;
};

static int number; /* of this process */
static int key = -1;
static struct page before[SHOWN], after[SHOWN];

/* ---- Changing the window ---- */

struct range {
	uint8_t *start;
	size_t size;
};

static struct range any_range(void)
{
	unsigned first = draw(PAGES), most = PAGES - first;
	unsigned pages = 1 + draw(most < LONGEST ? most : LONGEST);

	return (struct range){ window + (size_t)first * PAGE, (size_t)pages * PAGE };
}

static int any_protection(void)
{
	static const int all[] = { PROT_NONE,
				   PROT_READ,
				   PROT_READ | PROT_WRITE,
				   PROT_READ | PROT_WRITE,
				   PROT_READ | PROT_EXEC,
				   PROT_READ | PROT_WRITE | PROT_EXEC,
				   PROT_WRITE,
				   PROT_EXEC };

	return all[draw(sizeof all / sizeof *all)];
}

static void map_anonymous(void)
{
	static const int types[] = { MAP_PRIVATE,
				     MAP_PRIVATE,
				     MAP_SHARED,
				     MAP_SHARED,
				     MAP_PRIVATE | MAP_NORESERVE,
				     MAP_SHARED | MAP_NORESERVE,
				     MAP_PRIVATE | MAP_GROWSDOWN,
				     MAP_PRIVATE | MAP_LOCKED,
				     MAP_PRIVATE | MAP_POPULATE,
				     MAP_PRIVATE | MAP_STACK,
				     DROPPABLE };
	struct range range = any_range();

	mmap(range.start, range.size, any_protection(),
	     types[draw(sizeof types / sizeof *types)] | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* A file of this process: of a name, unlinked, of memory, sealed, or one of the system. */
static int any_file(void)
{
	struct stat status;
	char name[64];
	int fd = -1;

	snprintf(name, sizeof name, "file-%d-%u", number, draw(FILES));
	switch (ONLY_NAMED ? 3 * draw(2) : draw(7)) {
	case 0:
		return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	case 1:
		fd = (int)syscall(SYS_memfd_create, name, 2U /* MFD_ALLOW_SEALING */ | 1U);
		break;
	case 2:
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		unlink(name);
		break;
	default:
		fd = open(name, (draw(4) ? O_RDWR : O_RDONLY) | O_CREAT | O_CLOEXEC, 0600);
	}
	/* Whole pages: what is behind the end of a file is nobody's. */
	if (fd >= 0 && draw(3) && ftruncate(fd, (off_t)draw(LONGEST) * PAGE) == 0 && draw(2) &&
	    pwrite(fd, &state, sizeof state, (off_t)draw(LONGEST) * PAGE) == sizeof state &&
	    fstat(fd, &status) == 0 && ftruncate(fd, (status.st_size + PAGE - 1) / PAGE * PAGE) < 0)
		scenario_note("a file is not of whole pages");
	return fd;
}

static void map_file(void)
{
	static const int types[] = { MAP_PRIVATE, MAP_SHARED, MAP_SHARED, MAP_SHARED_VALIDATE };
	struct range range = any_range();
	int fd = any_file();

	mmap(range.start, range.size, any_protection(),
	     types[draw(sizeof types / sizeof *types)] | MAP_FIXED, fd,
	     (off_t)draw(LONGEST / 2) * PAGE);
	if (draw(8) == 0)
		fcntl(fd, F_ADD_SEALS, draw(2) ? 0x10 /* F_SEAL_FUTURE_WRITE */ : F_SEAL_GROW);
	close(fd);
}

static void protect(void)
{
	struct range range = any_range();

	if (key >= 0 && draw(4) == 0)
		pkey_mprotect(range.start, range.size, any_protection(), key);
	else
		mprotect(range.start, range.size, any_protection());
}

static void advise(void)
{
	static const int all[] = {
		MADV_NORMAL,	    MADV_RANDOM,	 MADV_SEQUENTIAL, MADV_WILLNEED,
		MADV_DONTNEED,	    MADV_FREE,		 MADV_REMOVE,	  MADV_DONTFORK,
		MADV_DOFORK,	    MADV_DONTDUMP,	 MADV_DODUMP,	  MADV_HUGEPAGE,
		MADV_NOHUGEPAGE,    MADV_COLLAPSE,	 MADV_MERGEABLE,  MADV_UNMERGEABLE,
		MADV_WIPEONFORK,    MADV_KEEPONFORK,	 MADV_COLD,	  MADV_PAGEOUT,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, GUARD_INSTALL,	  GUARD_INSTALL,
		GUARD_REMOVE,
	};
	struct range range = any_range();

	madvise(range.start, range.size, all[draw(sizeof all / sizeof *all)]);
}

static void move(void)
{
	static const int flags[] = { 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED,
				     MREMAP_MAYMOVE | MREMAP_FIXED,
				     MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP };
	struct range from = any_range(), to = any_range();
	int how = flags[draw(sizeof flags / sizeof *flags)];

	/* Within the window only. */
	if (how == MREMAP_MAYMOVE || how == 0)
		to.size = draw(from.size / PAGE + 1) * PAGE;
	if (how & MREMAP_DONTUNMAP)
		to.size = from.size;
	if (to.start + to.size > window + (size_t)PAGES * PAGE)
		return;
	mremap(from.start, from.size, to.size, how, to.start);
}

static void lock(void)
{
	struct range range = any_range();

	switch (draw(4)) {
	case 0:
		mlock(range.start, range.size);
		break;
	case 1:
		syscall(SYS_mlock2, range.start, range.size, 1 /* MLOCK_ONFAULT */);
		break;
	case 2:
		munlock(range.start, range.size);
		break;
	default:
		if (draw(8) == 0)
			mlockall(MCL_FUTURE | (draw(2) ? 4 /* MCL_ONFAULT */ : 0));
	}
}

static void name(void)
{
	struct range range = any_range();
	char text[32];

	snprintf(text, sizeof text, "name %u", draw(3));
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, range.start, range.size, draw(4) ? text : NULL);
}

/* By the kernel, which answers where the processor would send a signal. */
static bool put(uint8_t *at, uint64_t value)
{
	struct iovec from = { &value, sizeof value }, to = { at, sizeof value };

	return process_vm_writev(getpid(), &from, 1, &to, 1, 0) == sizeof value;
}

static void write_pages(void)
{
	struct range range = any_range();

	for (size_t at = 0; at < range.size; at += PAGE)
		if (draw(2))
			put(range.start + at + draw(PAGE / 8) * 8, state);
}

static void step(void)
{
	static void (*const all[])(void) = { map_anonymous, map_anonymous, map_file, map_file,
					     protect,	    protect,	   advise,   advise,
					     move,	    lock,	   name,     write_pages,
					     write_pages };
	struct range range = any_range();

	if (draw(20) == 0)
		munmap(range.start, range.size);
	else
		all[draw(sizeof all / sizeof *all)]();
}

/* ---- Looking at it ---- */

static bool has_flag(const struct page *page, const char *flag)
{
	const char *flags = strstr(page->area, " VmFlags:");

	return flags && strstr(flags, flag);
}

/* An area without what neighbours alike differ in: each page has the place in its object. */
static void note_area(struct page *pages, const char *header, const char *flags, const char *pkey)
{
	unsigned long start, end, offset, inode;
	char rights[8], device[16];
	int after_inode = 0;

	if (sscanf(header, "%lx-%lx %7s %lx %15s %lu%n", &start, &end, rights, &offset, device,
		   &inode, &after_inode) < 6)
		return;
	while (header[after_inode] == ' ')
		after_inode++;
	/* Without that right, shared memory comes back as a file (docs/kinds.md). */
	if (strstr(header, "/memfd:nestor-shared"))
		after_inode = 0;
	/* Of two unlinked files of one name one has another. */
	const char *name = !inode && header[after_inode] != '[' ? ""
			   : strstr(header, "/state/") && strstr(header, "(deleted)")
				   ? "a file (deleted)"
			   : after_inode ? header + after_inode
					 : "/dev/zero (deleted)";
	for (unsigned long at = start; at < end; at += PAGE) {
		if (at < (unsigned long)window || at >= (unsigned long)window + SHOWN * PAGE)
			continue;
		struct page *page = &pages[(at - (unsigned long)window) / PAGE];
		snprintf(page->area, sizeof page->area, "%s %lx %.80s key %s VmFlags:%.90s", rights,
			 inode ? offset + at - start : 0, name, pkey, flags);
	}
}

/* "gu" stays when guards have gone; written pages are no state of the area. */
static void without(char *flags, const char *flag)
{
	char *found = strstr(flags, flag);

	if (found)
		memmove(found, found + strlen(flag), strlen(found + strlen(flag)) + 1);
}

static void look_at_areas(struct page *pages)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[512], header[512] = "", pkey[16] = "none";

	scenario_need(smaps, "no smaps");
	while (fgets(line, sizeof line, smaps)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] >= 'A' && line[0] <= 'Z') {
			sscanf(line, "ProtectionKey: %15s", pkey);
			if (strncmp(line, "VmFlags:", 8) != 0)
				continue;
			without(line, " sd");
			without(line, " gu");
			note_area(pages, header, line + 8, pkey);
			strcpy(pkey, "none");
		} else {
			strcpy(header, line);
		}
	}
	fclose(smaps);
}

static void look_at_bytes(struct page *pages)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	uint64_t words[PAGE / sizeof(uint64_t)];

	scenario_need(fd >= 0, "no memory to be read");
	for (int i = 0; i < PAGES; i++) {
		/* What may be dropped at any time has no bytes to be kept. */
		if (!pages[i].area[0] || has_flag(&pages[i], " dp"))
			continue;
		memset(words, 0, sizeof words);
		pages[i].error = pread(fd, words, PAGE, (off_t)(window + (size_t)i * PAGE)) == PAGE
					 ? 0
					 : errno;
		pages[i].bytes = 0;
		pages[i].last = words[PAGE / sizeof *words - 1];
		for (size_t j = 0; j < PAGE / sizeof *words - 1; j++)
			pages[i].bytes = pages[i].bytes * UINT64_C(0x100000001b3) + words[j];
	}
	close(fd);
}

/* The page behind the window is mapped meanwhile: mlockall(2) tells of areas to come. */
static void look(struct page *pages)
{
	uint8_t *next = window + (size_t)PAGES * PAGE;

	scenario_need(mmap(next, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
			      next,
		      "no page behind the window");
	look_at_areas(pages);
	look_at_bytes(pages);
	munmap(next, PAGE);
}

static void compare(void)
{
	int told = 0;

	for (int i = 0; i < SHOWN && told < 8; i++) {
		const struct page *a = &before[i], *b = &after[i];

		if (strcmp(a->area, b->area) == 0 && a->error == b->error && a->bytes == b->bytes &&
		    a->last == b->last)
			continue;
		told++;
		scenario_check(false,
			       "%d, page %d: \"%s\" error %d bytes %lx %lx is \"%s\" error %d "
			       "bytes %lx %lx",
			       number, i, a->area, a->error, a->bytes, a->last, b->area, b->error,
			       b->bytes, b->last);
	}
}

/* ---- Who sees what others write ---- */

enum turn { BEFORE = 1, AGAIN, PRIVATE };

static uint64_t tag(enum turn turn, int writer, int page)
{
	return UINT64_C(0x7461670000000000) + ((uint64_t)turn << 32) + ((uint64_t)writer << 16) +
	       (uint64_t)page;
}

/* What was written before stands for what the same writer writes there again. */
static uint64_t as_again(uint64_t value)
{
	return value >> 32 == tag(BEFORE, 0, 0) >> 32 ? value + tag(AGAIN, 0, 0) - tag(BEFORE, 0, 0)
						      : value;
}

/* To lock private memory copies its pages, but for those that were not there at that time. */
static bool is_filled(const struct page *page)
{
	return has_flag(page, " lo") && has_flag(page, " wr") && !has_flag(page, " sh");
}

/* All in turn write into their pages, shared or all of them, and then look at them. */
static void write_in_turn(enum turn turn, const struct page *pages)
{
	char mark[48];

	for (int i = 0; i < PROCESSES; i++) {
		snprintf(mark, sizeof mark, "written-%d-%d", turn, i);
		if (i != number) {
			scenario_wait_mark(mark);
			continue;
		}
		for (int j = 0; j < PAGES; j++)
			if (has_flag(&pages[j], " wr") &&
			    (turn == PRIVATE || has_flag(&pages[j], " sh")))
				put(window + (size_t)j * PAGE + PAGE - 8, tag(turn, number, j));
		scenario_mark(mark);
	}
}

static void check_own(void)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < PAGES; i++) {
		uint64_t value = 0;
		off_t at = (off_t)(window + (size_t)i * PAGE + PAGE - 8);

		if (!has_flag(&after[i], " wr") || has_flag(&after[i], " sh") || after[i].error)
			continue;
		if (pread(fd, &value, sizeof value, at) == sizeof value)
			scenario_check(value == tag(PRIVATE, number, i),
				       "%d, page %d: another wrote %lx", number, i, value);
	}
	close(fd);
}

/* ---- Processes ---- */

static void wait_for_all(const char *what)
{
	char mark[48];

	snprintf(mark, sizeof mark, "%s-%d", what, number);
	scenario_mark(mark);
	for (int i = 0; i < PROCESSES; i++) {
		snprintf(mark, sizeof mark, "%s-%d", what, i);
		scenario_wait_mark(mark);
	}
}

static void live(void);

struct child {
	int number;
	uint64_t seed;
};

static int child_main(void *data)
{
	const struct child *child = data;

	number = child->number;
	state = child->seed;
	live();
	return 0;
}

static void live(void)
{
	static struct page shared[SHOWN], shared_after[SHOWN];
	pid_t children[2];
	int n_children = 0;

	for (int i = 1; i <= 2; i++) {
		struct child child = { 2 * number + i, state * 7 + (unsigned)i };

		for (int j = 0; j < STEPS / 2; j++)
			step();
		if (child.number < PROCESSES)
			children[n_children++] = scenario_child(child_main, &child);
	}
	wait_for_all("made");
	look_at_areas(shared);
	write_in_turn(BEFORE, shared);
	look(before);
	wait_for_all("seen");

	number ? scenario_wait_restored() : scenario_ready();

	look(after);
	compare();
	wait_for_all("compared");
	/* The same writers are seen by the same again; what is private is nobody else's. */
	write_in_turn(AGAIN, after);
	look_at_areas(shared_after);
	look_at_bytes(shared_after);
	for (int i = 0; i < PAGES; i++)
		scenario_check(is_filled(&shared_after[i]) ||
				       shared_after[i].last == as_again(before[i].last),
			       "%d, page %d (%s): %lx is seen instead of %lx", number, i,
			       shared_after[i].area, shared_after[i].last,
			       as_again(before[i].last));
	wait_for_all("shared");
	write_in_turn(PRIVATE, after);
	check_own();
	wait_for_all("owned");
	for (int i = 0; i < n_children; i++)
		scenario_reap(children[i]);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	begin_drawing(argc, argv);
	key = pkey_alloc(0, 0);
	live();
	return scenario_end();
}
