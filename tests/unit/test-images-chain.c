// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pages that are in an earlier dump: whoever has them, and whichever part of a run. */
#include "images/images.h"
#include "images/manifest.h"
#include "images/reading.h"
#include "sample-snapshot.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "images-fixture.h"

enum { ROOT, STOPPED, SHARED, N_OWNERS };
enum { PAGE = 4096, FILE_PAGES = 7, PAGES_ID = 5, ADDRESS = 0x100000 };

static struct pagemap *pages_of(struct snapshot *snapshot, int owner)
{
	return owner == SHARED ? &snapshot->shared_memory[0]->pages : &snapshot->tasks[owner].pages;
}

/* A dump of the sample, in which these pages of one are in the dump that the other fixture has. */
static void write_later(struct fixture *later, const struct fixture *earlier, int owner,
			const struct memory_run *runs, size_t n_runs)
{
	struct error err = { 0 };
	struct snapshot snapshot;
	struct images_writer *writer = images_writer_new(later->dir_fd, &err);

	assert_non_null(writer);
	sample_snapshot(&snapshot, &later->arena);
	struct pagemap *pages = pages_of(&snapshot, owner);
	pages->n_runs = 0;
	for (size_t i = 0; i < n_runs; i++)
		pagemap_add_run(&snapshot, pages,
				(struct memory_run){ .address = runs[i].address,
						     .pages = runs[i].pages,
						     .source = PAGES_EARLIER });
	must(images_refer_to(writer, earlier->path, earlier->dir_fd, &err), &err);
	must(sample_write(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
}

static void expect_runs(struct fixture *later, int owner, const struct memory_run *runs,
			size_t n_runs)
{
	struct error err = { 0 };
	struct snapshot read;
	struct images *images = images_open(later->dir_fd, &later->arena, &read, &err);

	if (!images)
		fail_msg("%s", err.text);
	const struct pagemap *pages = pages_of(&read, owner);
	assert_int_equal(pages->n_runs, n_runs);
	for (size_t i = 0; i < n_runs; i++) {
		assert_int_equal(pages->runs[i].address, runs[i].address);
		assert_int_equal(pages->runs[i].pages, runs[i].pages);
		assert_int_equal(pages->runs[i].offset, runs[i].offset);
		assert_int_equal(pages->runs[i].source, page_source(1, (uint32_t)runs[i].source));
	}
	images_free(images);
}

static void whoever_has_them_is_enough(void **state)
{
	struct fixture *later = *state;
	void *other;

	fixture_setup(&other);
	write_sample(other);
	for (int owner = 0; owner < N_OWNERS; owner++) {
		struct snapshot sample;

		sample_snapshot(&sample, &later->arena);
		const struct pagemap *pages = pages_of(&sample, owner);
		write_later(later, other, owner, pages->runs, pages->n_runs);
		expect_runs(later, owner, pages->runs, pages->n_runs);
		unlinkat(later->dir_fd, PARENT_LINK, 0);
		expect_error(later, ERR_IMAGE_MISSING, PARENT_LINK);
		empty_directory(later->dir_fd);
	}
	fixture_teardown(&other);
}

/* The root has two pages at 0x10000 and three at 0x14000. */
static void parts_are_found(void **state)
{
	static const struct memory_run
		inside[] = { { .address = 0x11000, .pages = 1, .source = 1, .offset = 0x1000 },
			     { .address = 0x15000, .pages = 2, .source = 1, .offset = 0x3000 } },
		outside[] = { { .address = 0x10000, .pages = 3 },
			      { .address = 0x12000, .pages = 1 },
			      { .address = 0x13000, .pages = 2 },
			      { .address = 0x15000, .pages = 3 },
			      { .address = 0xf000, .pages = 2 } };
	struct fixture *later = *state;
	void *other;

	fixture_setup(&other);
	write_sample(other);
	write_later(later, other, ROOT, inside, 2);
	expect_runs(later, ROOT, inside, 2);
	for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
		empty_directory(later->dir_fd);
		write_later(later, other, ROOT, &outside[i], 1);
		expect_error(later, ERR_IMAGE_INVALID, "not in the earlier dump");
	}
	fixture_teardown(&other);
}

/* Is this page of the file one of those that were removed? */
static bool is_removed(unsigned removed, uint64_t page)
{
	return removed >> page & 1;
}

/* As a manifest has them: in order, as long as they can be. */
static size_t list_removed(unsigned removed, struct byte_range ranges[FILE_PAGES])
{
	size_t n = 0;

	for (uint64_t page = 0; page < FILE_PAGES; page++) {
		if (!is_removed(removed, page))
			continue;
		if (page && is_removed(removed, page - 1))
			ranges[n - 1].size += PAGE;
		else
			ranges[n++] = (struct byte_range){ page * PAGE, PAGE };
	}
	return n;
}

static void check_pieces(const struct directory *directory, unsigned removed, uint64_t first,
			 uint64_t end)
{
	struct memory_run piece, rest = { .address = ADDRESS + first * PAGE,
					  .pages = end - first,
					  .source = page_source(0, PAGES_ID),
					  .offset = first * PAGE };

	for (uint64_t page = first; page < end;) {
		uint64_t stop = page;

		if (is_removed(removed, page)) {
			page++;
			continue;
		}
		while (stop < end && !is_removed(removed, stop))
			stop++;
		assert_true(directory_take_piece(directory, &rest, &piece));
		assert_int_equal(piece.address, ADDRESS + page * PAGE);
		assert_int_equal(piece.offset, page * PAGE);
		assert_int_equal(piece.pages, stop - page);
		assert_int_equal(piece.source, page_source(0, PAGES_ID));
		page = stop;
	}
	assert_false(directory_take_piece(directory, &rest, &piece));
}

/* Any part of a file of which anything was removed, against looking at each page. */
static void what_is_left_is_found(void **state)
{
	(void)state;
	struct byte_range ranges[FILE_PAGES];
	struct manifest_line line = { .removed = ranges };
	struct source sources[] = {
		{ .kind = IMAGE_PAGES, .number = PAGES_ID - 1 },
		{ .kind = IMAGE_PAGES, .number = PAGES_ID, .line = &line },
	};
	struct directory directory = { .sources = sources, .n_sources = 2, .any_removed = true };

	for (unsigned removed = 0; removed < 1u << FILE_PAGES; removed++) {
		line.n_removed = list_removed(removed, ranges);
		for (uint64_t first = 0; first < FILE_PAGES; first++)
			for (uint64_t end = first + 1; end <= FILE_PAGES; end++)
				check_pieces(&directory, removed, first, end);
	}
	/* Of a file that no manifest tells of nothing was. */
	sources[1].line = NULL;
	check_pieces(&directory, 0, 0, FILE_PAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(whoever_has_them_is_enough),
		IN_DIRECTORY(parts_are_found),
		cmocka_unit_test(what_is_left_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
