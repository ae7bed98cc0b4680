// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where pages that are to be moved are prepared, against looking at each place. */
#include "kinds/memory/huge-pages.h"

#include "kinds/memory/memory.h"
#include "plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { PLACES = 12, MOST_TAKEN = 4, ROUNDS = 20000, LARGE = 2048 };

struct fixture {
	struct facts facts;
	struct plan plan;
	struct address_range taken[MOST_TAKEN];
	struct page_fill fill;
	VmaEntry area;
};

static uint64_t place(uint64_t number)
{
	return number * AREA_HUGE_PAGE;
}

/* Some end or begin within a huge page. */
static uint64_t any_address(uint64_t lowest)
{
	uint64_t most = place(PLACES) - lowest;

	if (rand() % 4)
		return lowest + ((uint64_t)rand() % (most / AREA_HUGE_PAGE + 1)) * AREA_HUGE_PAGE;
	return lowest + ((uint64_t)rand() % (most / AREA_PAGE + 1)) * AREA_PAGE;
}

static struct address_range any_range(uint64_t lowest)
{
	uint64_t start = any_address(lowest), end = any_address(start);

	return (struct address_range){ start, end };
}

static void fixture_init(struct fixture *fixture)
{
	memset(fixture, 0, sizeof *fixture);
	fixture->area.prot = PROT_READ | PROT_WRITE;
	fixture->facts.uffd_move = true;
	fixture->facts.mmap_min_address = AREA_PAGE;
	fixture->facts.task_size = place(PLACES);
	fixture->plan.facts = &fixture->facts;
	fixture->fill.plan = &fixture->plan;
	fixture->fill.taken = fixture->taken;
}

static bool meets(const struct address_range *range, uint64_t start, uint64_t end)
{
	return start < range->end && end > range->start;
}

static uint64_t look_at_each(const struct fixture *fixture, uint64_t size)
{
	for (uint64_t at = place(1); at + size <= fixture->facts.task_size; at += AREA_HUGE_PAGE) {
		bool is_free = !meets(&fixture->plan.hole, at, at + size);

		for (size_t i = 0; i < fixture->fill.n_taken; i++)
			is_free &= !meets(&fixture->taken[i], at, at + size);
		if (is_free)
			return at;
	}
	return 0;
}

static void the_first_gap_is_taken(void **state)
{
	(void)state;
	struct fixture fixture;

	fixture_init(&fixture);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t lowest = 0;
		struct huge_part part = { .area = &fixture.area,
					  .end = place(1 + (uint64_t)rand() % 3) };

		fixture.fill.n_taken = (size_t)rand() % (MOST_TAKEN + 1);
		for (size_t i = 0; i < fixture.fill.n_taken; i++) {
			fixture.taken[i] = any_range(lowest);
			lowest = fixture.taken[i].end;
		}
		do
			fixture.plan.hole = any_range(0);
		while (fixture.plan.hole.start == fixture.plan.hole.end);
		assert_int_equal(huge_pages_staging(&fixture.fill, &part, 1),
				 look_at_each(&fixture, part.end));
	}
}

/* As much as the largest part, but not of all of it at once; and what another one prepares. */
static void staging_is_limited(void **state)
{
	(void)state;
	struct fixture fixture;
	struct task task = { 0 };
	struct huge_part parts[] = {
		{ .area = &fixture.area, .start = place(LARGE), .end = place(LARGE + 1) },
		{ .area = &fixture.area, .start = place(LARGE + 2), .end = place(LARGE + 5) },
		{ .area = &fixture.area, .start = place(LARGE + 6), .end = place(LARGE + 8) },
	};

	fixture_init(&fixture);
	fixture.plan.hole = (struct address_range){ place(LARGE * 2), place(LARGE * 2 + 1) };
	/* There is room for three, right at the end. */
	fixture.facts.task_size = place(4);
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 3), place(1));
	fixture.facts.task_size = place(4) - 1;
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 3), 0);
	/* 32 are 64 MiB; with somebody to help three eighths of 64 are his. */
	parts[1].end = parts[1].start + place(64);
	fixture.facts.task_size = place(1 + 32);
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 3), place(1));
	fixture.fill.task = &task;
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 3), 0);
	fixture.facts.task_size = place(1 + 32 + 24);
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 3), place(1));
	fixture.facts.task_size -= 1;
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 3), 0);
	parts[1].end -= place(1);
	fixture.facts.task_size = place(1 + 32);
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 3), place(1));
}

static void some_cannot_be_moved(void **state)
{
	(void)state;
	struct fixture fixture;
	VmaEntry code = { .prot = PROT_READ | PROT_EXEC };
	struct huge_part parts[] = {
		{ .area = &fixture.area, .end = place(1) },
		{ .area = &code, .start = place(1), .end = place(2) },
	};

	fixture_init(&fixture);
	fixture.plan.hole = (struct address_range){ place(10), place(11) };
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 1), place(1));
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 0), 0);
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 2), 0);
	fixture.facts.uffd_move = false;
	assert_int_equal(huge_pages_staging(&fixture.fill, parts, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_gap_is_taken),
		cmocka_unit_test(staging_is_limited),
		cmocka_unit_test(some_cannot_be_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
