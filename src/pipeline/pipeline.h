/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dump, restore and plan as functions, without a terminal: what commands, the service and the
 * library call. Each opens its directories and its log, does its work and closes them; an error
 * is in the log too. See session.h for what they share.
 */
#ifndef NESTOR_PIPELINE_PIPELINE_H
#define NESTOR_PIPELINE_PIPELINE_H

#include "base/text.h"
#include "pipeline/options.h"

/*
 * A live tree becomes a directory of images. Whatever fails, the tree goes on as it was and the
 * directory stays as it was.
 */
int pipeline_dump(const struct pipeline_options *options, struct error *err);

/*
 * The pages of a tree that goes on running, nobody being stopped, for a dump that names this
 * directory with prev_images_dir.
 */
int pipeline_pre_dump(const struct pipeline_options *options, struct error *err);

/* What was found out about a live tree. */
struct look {
	struct obstacles obstacles; /* in the arena that was given */
	size_t n_tasks;
	const char *root_name;
	const struct snapshot *snapshot; /* as much of it as is known, in the same arena */
};

/* What a look cannot tell, a line each, up to NULL. */
extern const char *const look_leaves_out[];

/*
 * Everything that stands in the way of a dump with these options, as far as it can be seen without
 * touching the tree: nobody is stopped. -1 where it cannot be looked at.
 */
int pipeline_look(const struct pipeline_options *options, struct arena *arena,
		  struct look *ret_look, struct error *err);

/*
 * Removes from the dumps before that of the directory what it does not need of them; only it can be
 * restored then. Where it fails, that is as it was, and can be done once more.
 */
int pipeline_dedup(const struct pipeline_options *options, struct error *err);

/* What this processor can do, into the directory; whether it can do what is recorded there. */
int pipeline_record_processor(const struct pipeline_options *options, struct error *err);
int pipeline_check_processor(const struct pipeline_options *options, struct error *err);

/*
 * A directory of images becomes a live tree. Everything in the images and every file that they
 * name is checked before the first process is made; a restore that fails leaves nothing behind.
 */
int pipeline_restore(const struct pipeline_options *options, struct run_result *ret_result,
		     struct error *err);

/*
 * The programs by which pipeline_restore would build the tree, with the same options, as text or
 * JSON. Where a restore would fail for the host's sake (a file is not there, an id is taken), the
 * text is there all the same, and it returns -1 with that error.
 */
int pipeline_plan(const struct pipeline_options *options, bool json, struct text *text,
		  struct error *err);

#endif
