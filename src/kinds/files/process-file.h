/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files in /proc of processes of the tree. */
#ifndef NESTOR_KINDS_FILES_PROCESS_FILE_H
#define NESTOR_KINDS_FILES_PROCESS_FILE_H

#include "kinds/kind.h"

bool process_file_recognise(const struct open_file *file);
/* Is the process of the record, whose name is complete, of the tree? Notes that it is one. */
int process_file_collect(const struct open_file *file, RegFileEntry *reg, struct error *err);

void process_files_complete(struct collect *collect);

bool process_file_is(const RegFileEntry *reg);
int process_file_check(const struct snapshot *snapshot, const RegFileEntry *reg, uint32_t file_id,
		       struct error *err);
enum file_way process_file_way(const RegFileEntry *reg);
/* Where it is now. */
const char *process_file_path(const struct file_opener *opener, const RegFileEntry *reg);
/* What has been opened again: is it in a /proc, and does it tell that mounts have changed? */
int process_file_opened(const struct file_opener *opener, const RegFileEntry *reg, int fd,
			struct error *err);
/* When all processes have their owners: so have their directories. */
void process_files_find_again(const struct file_opener *opener);

#endif
