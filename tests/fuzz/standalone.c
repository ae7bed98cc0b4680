// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The main of a fuzz target where there is no libFuzzer: damages a sample at random, a bounded
 * number of times. Run number n of seed s is always the same input.
 */
#include "base/cleanup.h"
#include "base/compare.h"
#include "base/procfs.h"
#include "damage.h"
#include "images/format.h"
#include "images/manifest.h"
#include "sample-snapshot.h"

#include <endian.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_PARTS = 64, INPUT_ROOM = 1024 * 1024 };

struct part {
	uint8_t kind;
	uint32_t number;
	uint8_t *bytes;
	size_t size;
};

struct input {
	struct part parts[MAX_PARTS];
	size_t n_parts;
};

/* Which run is at work, for the report of a crash. */
static volatile sig_atomic_t current_run;

static void report(int signal)
{
	char text[64];
	int length = snprintf(text, sizeof text, "died of signal %d in run %d\n", signal,
			      (int)current_run);

	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		_exit(3);
	_exit(2);
}

static void add_part(struct input *input, struct arena *arena, int dir_fd, const char *name)
{
	uint64_t number = 0;
	enum image_kind kind = 255;
	char *bytes;

	if (strcmp(name, MANIFEST_NAME) != 0 && !image_recognise(name, &kind, &number))
		abort();
	ssize_t size = procfs_read(arena, dir_fd, name, &bytes);
	if (size < 0 || input->n_parts == MAX_PARTS)
		abort();
	if (kind != IMAGE_PAGES)
		input->parts[input->n_parts++] = (struct part){ (uint8_t)kind, (uint32_t)number,
								(uint8_t *)bytes, (size_t)size };
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *one = a, *other = b;

	return compare_values(one->kind, other->kind);
}

static void read_sample(struct input *input, struct arena *arena, int dir_fd, struct error *err)
{
	struct manifest manifest;
	char *bytes;

	ssize_t size = procfs_read(arena, dir_fd, MANIFEST_NAME, &bytes);
	if (size < 0 || manifest_parse(&manifest, arena, bytes, (size_t)size, err))
		abort();
	for (size_t i = 0; i < manifest.n_lines; i++) {
		add_part(input, arena, dir_fd, manifest.lines[i].name);
		unlinkat(dir_fd, manifest.lines[i].name, 0);
	}
	add_part(input, arena, dir_fd, MANIFEST_NAME);
	unlinkat(dir_fd, MANIFEST_NAME, 0);
	qsort(input->parts, input->n_parts, sizeof *input->parts, compare_parts);
}

/* The images of the sample, by way of a directory that is gone afterwards. */
static void make_sample(struct input *input, struct arena *arena)
{
	char path[] = "/tmp/nestor-fuzz-XXXXXX";
	struct error err = { 0 };
	struct snapshot snapshot;

	if (!mkdtemp(path))
		abort();
	autoclose int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sample_snapshot(&snapshot, arena);
	struct images_writer *writer = images_writer_new(dir_fd, &err);
	if (!writer || sample_write(writer, &snapshot, &err) || images_commit(writer, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	images_writer_free(writer);
	read_sample(input, arena, dir_fd, &err);
	rmdir(path);
}

static size_t add_to_input(uint8_t *input, size_t used, const struct part *part, size_t times,
			   uint64_t *random)
{
	uint32_t number = htole32(part->number);
	uint8_t *content = input + used + 9;
	size_t size = part->size;

	memcpy(content, part->bytes, size);
	while (times--)
		size = damage(content, size, random);
	uint32_t length = htole32((uint32_t)size);
	input[used] = part->kind;
	memcpy(input + used + 1, &number, sizeof number);
	memcpy(input + used + 5, &length, sizeof length);
	return used + 9 + size;
}

/* One or two files are damaged, and now and then one is missing or comes twice. */
static size_t make_input(uint8_t *bytes, const struct input *sample, uint64_t *random)
{
	size_t used = 0;
	size_t first = below(random, sample->n_parts), second = below(random, sample->n_parts);

	for (size_t i = 0; i < sample->n_parts; i++) {
		size_t copies = 1;
		size_t times = i == first || (i == second && below(random, 4) == 0)
				       ? 1 + below(random, 4)
				       : 0;
		if (times && below(random, 16) == 0)
			copies = below(random, 3);
		while (copies--)
			used = add_to_input(bytes, used, &sample->parts[i], times, random);
	}
	return used;
}

static int run_file(const char *path)
{
	struct arena arena;
	char *bytes;

	arena_init(&arena);
	ssize_t size = procfs_read(&arena, AT_FDCWD, path, &bytes);
	if (size >= 0)
		LLVMFuzzerTestOneInput((const uint8_t *)bytes, (size_t)size);
	else
		perror(path);
	arena_done(&arena);
	return size < 0;
}

static void run_damaged_samples(int first, int runs, uint64_t seed)
{
	struct arena arena;
	struct input sample = { 0 };
	autofree uint8_t *bytes = malloc(INPUT_ROOM);

	if (!bytes)
		abort();
	arena_init(&arena);
	make_sample(&sample, &arena);
	for (int run = first; run < first + runs; run++) {
		uint64_t random = (seed + 1) * 0x9e3779b97f4a7c15u + (uint64_t)run * 0x2545f491u;
		current_run = run;
		size_t size = make_input(bytes, &sample, &random);
		LLVMFuzzerTestOneInput(bytes, size);
	}
	arena_done(&arena);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "runs", required_argument, NULL, 'r' },
						 { "first", required_argument, NULL, 'f' },
						 { "seed", required_argument, NULL, 's' },
						 { 0 } };
	int runs = 1000, first = 0, failed = 0;
	uint64_t seed = 1;

	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (option == 'r')
			runs = atoi(optarg);
		else if (option == 'f')
			first = atoi(optarg);
		else if (option == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 1;
	}
	signal(SIGSEGV, report);
	signal(SIGBUS, report);
	signal(SIGABRT, report);
	if (optind == argc) {
		run_damaged_samples(first, runs, seed);
		printf("%d runs of seed %" PRIu64 "\n", runs, seed);
	}
	for (; optind < argc; optind++)
		failed |= run_file(argv[optind]);
	return failed;
}
