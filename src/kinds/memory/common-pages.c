// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages that tasks have in common since a fork: copy-on-write, until one of them writes. They are
 * written once, and shared again after a restore (inherited.c).
 *
 * Two tasks share a page at an address if /proc/PID/pagemap has the same frame (or the same place
 * in the swap) for both (Documentation/admin-guide/mm/pagemap.rst). The kernel shows frames to
 * CAP_SYS_ADMIN in the initial user namespace only (pagemap_open, fs/proc/task_mmu.c); without it
 * pages are copies. Frames move, by compaction or KSM, though the tree stands still: the other
 * task is asked before and after, so that a frame which one of them has left and another page has
 * taken meanwhile is not believed to be common.
 *
 * Only tasks that run the same program, since one execve, can have anything in common; that shows
 * in where the kernel has put code, stack and heap.
 */
#include "kinds/memory/pages.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kinds/memory/memory.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	WORDS = 512, /* of a block, which is read at once */
	/* What saves less is copied: each saving costs operations, and an image of its own. */
	WORTHWHILE = (1 << 20) / AREA_PAGE,
};

#define WORD_PLACE   ((UINT64_C(1) << 55) - 1)
#define WORD_FILE    (UINT64_C(1) << 61)
#define WORD_SWAPPED (UINT64_C(1) << 62)
#define WORD_PRESENT (UINT64_C(1) << 63)

struct comparison {
	struct arena *arena;
	int fd, other_fd; /* page maps */
	struct page_list *other;
	struct found_pages found;
};

/* Of a block; what cannot be read is zero, which is no page. */
static void read_block(int fd, uint64_t block, uint64_t words[WORDS])
{
	ssize_t got =
		pread(fd, words, WORDS * sizeof words[0], (off_t)(block * WORDS * sizeof words[0]));
	size_t size = got < 0 ? 0 : (size_t)got;

	memset((uint8_t *)words + size, 0, WORDS * sizeof words[0] - size);
}

/* As the other task had it some time before now; it may be compared with many. */
static const uint64_t *earlier_block(const struct comparison *comparison, uint64_t block)
{
	uint64_t *words = table_find(&comparison->other->frames, block);

	if (!words) {
		words = arena_array(comparison->arena, uint64_t, WORDS);
		read_block(comparison->other_fd, block, words);
		table_add(&comparison->other->frames, comparison->arena, block, words);
	}
	return words;
}

static bool is_same_page(uint64_t word, uint64_t before, uint64_t after)
{
	const uint64_t identity = WORD_PLACE | WORD_FILE | WORD_SWAPPED | WORD_PRESENT;

	return (word & WORD_PLACE) && !(word & WORD_FILE) &&
	       (word & (WORD_PRESENT | WORD_SWAPPED)) && (word & identity) == (before & identity) &&
	       (word & identity) == (after & identity);
}

static void compare_range(struct comparison *comparison, const struct page_copy *of, uint64_t start,
			  uint64_t end)
{
	uint64_t own[WORDS], after[WORDS];

	while (start < end) {
		uint64_t block = start / AREA_PAGE / WORDS;
		uint64_t block_end = (block + 1) * WORDS * AREA_PAGE;
		uint64_t stop = block_end < end ? block_end : end;
		const uint64_t *before = earlier_block(comparison, block);

		read_block(comparison->fd, block, own);
		read_block(comparison->other_fd, block, after);
		for (; start < stop; start += AREA_PAGE) {
			size_t i = start / AREA_PAGE % WORDS;
			if (is_same_page(own[i], before[i], after[i]))
				found_pages_add(&comparison->found, comparison->arena, start,
						of->source, of->offset + (start - of->address),
						true);
		}
	}
}

static void compare(struct comparison *comparison, const struct page_list *list)
{
	const struct page_list *other = comparison->other;

	for (size_t i = 0, k = 0; i < list->n_copies && k < other->n_copies;) {
		const struct page_copy *one = &list->copies[i], *two = &other->copies[k];
		uint64_t one_end = one->address + one->size, two_end = two->address + two->size;
		uint64_t start = one->address > two->address ? one->address : two->address;
		uint64_t end = one_end < two_end ? one_end : two_end;

		if (start < end && one->may_be_common && !one->kept && two->may_be_common &&
		    page_level(two->source) == 0)
			compare_range(comparison, two, start, end);
		if (one_end <= two_end)
			i++;
		if (two_end <= one_end)
			k++;
	}
}

void common_pages_find(const struct target *target, struct page_list *list,
		       const struct target *other, struct page_list *other_list,
		       struct arena *arena)
{
	if (list->size < WORTHWHILE * AREA_PAGE)
		return;
	autoclose int fd = target_open(target, "pagemap", O_RDONLY);
	autoclose int other_fd = target_open(other, "pagemap", O_RDONLY);
	struct comparison comparison = {
		.arena = arena, .fd = fd, .other_fd = other_fd, .other = other_list
	};

	if (fd < 0 || other_fd < 0)
		return;
	compare(&comparison, list);
	if (comparison.found.n_pages >= WORTHWHILE)
		page_list_take_out(list, &comparison.found, arena);
}

uint64_t common_pages_key(const MmEntry *mm)
{
	const uint64_t words[] = { mm->mm_start_code, mm->mm_start_data, mm->mm_start_stack,
				   mm->mm_start_brk };
	uint64_t key = 0;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		key = (key ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return key;
}
