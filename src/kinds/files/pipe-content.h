/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in a pipe, named or not. */
#ifndef NESTOR_KINDS_FILES_PIPE_CONTENT_H
#define NESTOR_KINDS_FILES_PIPE_CONTENT_H

#include "kinds/kind.h"

/*
 * Copies size and content of the pipe that a description is of, without consuming it, into a
 * record of pipes-data or fifo-data. Its packets are what came by one read each.
 */
int pipe_content_collect(const struct open_file *file, enum image_kind image, uint32_t id,
			 PipeDataEntry **ret_entry, struct error *err);

int pipe_content_check(const struct record *record, struct error *err);

/* By a write end that does not block; its O_DIRECT is changed where there are packets. */
int pipe_content_fill(int write_fd, const struct record *record, struct error *err);

#endif
