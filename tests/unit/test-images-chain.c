// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pages that are in an earlier dump: whoever has them, and whichever part of a run. */
#include "images/images.h"
#include "images/manifest.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(whoever_has_them_is_enough),
		IN_DIRECTORY(parts_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
