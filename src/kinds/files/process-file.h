/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files in /proc of processes of the tree. */
#ifndef NESTOR_KINDS_FILES_PROCESS_FILE_H
#define NESTOR_KINDS_FILES_PROCESS_FILE_H

#include "kinds/kind.h"

bool process_file_recognise(const struct open_file *file);
/* Is the process of the record, whose name is complete, of the tree? Notes that it is one. */
int process_file_collect(const struct open_file *file, RegFileEntry *reg, struct error *err);

/* What comes behind the number of the process in a path, as "status"; NULL: it is of a thread. */
const char *process_file_name(const char *path);
/* The rest of a path from that number on. */
const char *process_file_from_number(const char *path);
/* Is a file of this name for its opener more than for others? */
bool process_file_is_of_opener(const char *name);
/* The /proc that a file lies in, as who holds it sees it; -1 with errno. */
int process_file_open_proc(const struct open_file *file);

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
/* Lets a list of mounts tell that these have changed, of the namespace in which the task is. */
int process_file_touch(const struct file_opener *opener, const struct task *task, const char *path,
		       struct error *err);
/* When all processes have their owners: so have their directories. */
void process_files_find_again(const struct file_opener *opener);

#endif
