// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What processors have to have in common, in the words of criu(8). A program finds out once what
 * its processor can do and goes by that for good, so a restore on one that can do less ends it at
 * some later time, where nobody can tell why; this tells before. Register state that is in use is
 * compared at every restore, without being asked for (arch/x86_64/registers.h).
 */
#include "pipeline/processor.h"

#include "arch/x86_64/processor.h"
#include "images/images.h"
#include "pipeline/pipeline.h"

#include <string.h>

static const struct {
	const char *word;
	unsigned wanted;
} words[] = {
	{ "all", PROCESSOR_ALL },
	{ "fpu", PROCESSOR_REGISTERS },
	{ "cpu", PROCESSOR_FEATURES },
	{ "ins", PROCESSOR_INSTRUCTIONS },
	{ "none", 0 },
};

enum { N_WORDS = sizeof words / sizeof *words };

/* One of them, with its length; "^" before it takes it away from what there is. */
static int add_word(unsigned *wanted, const char *word, size_t length, struct error *err)
{
	bool without = length && *word == '^';

	for (size_t i = 0; i < N_WORDS; i++) {
		if (strlen(words[i].word) != length - without ||
		    strncmp(words[i].word, word + without, length - without) != 0)
			continue;
		if (without)
			*wanted &= ~words[i].wanted;
		else
			*wanted = words[i].wanted ? *wanted | words[i].wanted : 0;
		return 0;
	}
	return fail(err, ERR_USAGE, "--cpu-cap: \"%.*s\" is none of all, fpu, cpu, ins and none",
		    (int)length, word);
}

static int parse_words(const char *text, unsigned *ret_wanted, struct error *err)
{
	/* What is taken away is taken from all. */
	unsigned wanted = *text == '^' ? PROCESSOR_ALL : 0;

	for (const char *at = text; *at;) {
		size_t length = strcspn(at, ",");
		if (add_word(&wanted, at, length, err))
			return -1;
		at += length + (at[length] == ',');
	}
	*ret_wanted = *text ? wanted : PROCESSOR_ALL;
	return 0;
}

/* Not asked: nothing. */
static int asked(const struct pipeline_options *options, unsigned *ret_wanted, struct error *err)
{
	*ret_wanted = 0;
	return options->cpu_cap ? parse_words(options->cpu_cap, ret_wanted, err) : 0;
}

int processor_add(const struct pipeline_options *options, struct snapshot *snapshot,
		  struct error *err)
{
	unsigned wanted;

	if (asked(options, &wanted, err))
		return -1;
	if (wanted)
		snapshot_add_record(snapshot, IMAGE_CPUINFO, 0,
				    processor_describe(snapshot->arena));
	return 0;
}

static int compare(int images_fd, unsigned wanted, struct error *err)
{
	struct arena arena;

	arena_init(&arena);
	const CpuinfoEntry *recorded = images_read_processor(images_fd, &arena, err);
	int result =
		recorded ? processor_check(recorded, processor_describe(&arena), wanted, err) : -1;
	arena_done(&arena);
	return result;
}

int processor_compare(const struct session *session, struct error *err)
{
	unsigned wanted;

	if (asked(session->options, &wanted, err))
		return -1;
	/* Register state in use is in the images of tasks. */
	if (!(wanted & ~(unsigned)PROCESSOR_REGISTERS))
		return 0;
	if (compare(session->images_fd, wanted, err) == 0)
		return 0;
	return err->name == ERR_IMAGE_MISSING
		       ? fail_hint(err, "it is written by a dump with --cpu-cap; --cpu-cap=none "
					"asks for nothing")
		       : -1;
}

/* ---- By itself ---- */

int pipeline_record_processor(const struct pipeline_options *options, struct error *err)
{
	struct session session;
	struct arena arena;

	arena_init(&arena);
	if (session_open(&session, "cpuinfo", options, err) == 0)
		images_write_processor(session.images_fd, processor_describe(&arena), err);
	int result = session_close(&session, err);
	arena_done(&arena);
	return result;
}

int pipeline_check_processor(const struct pipeline_options *options, struct error *err)
{
	struct session session;
	unsigned wanted = 0;

	if (session_open(&session, "cpuinfo", options, err) == 0 &&
	    asked(options, &wanted, err) == 0)
		compare(session.images_fd, options->cpu_cap ? wanted : PROCESSOR_ALL, err);
	return session_close(&session, err);
}
