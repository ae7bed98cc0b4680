// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files in /proc/PID of processes that are gone, held open. Most have nothing to tell any more, and
 * say so. mountinfo goes on telling of the mount namespace and the root directory that the process
 * had (mounts_open_common, fs/proc_namespace.c): a task of the tree whose own reads the same has
 * both, as no two mounts have the same id.
 *
 * Refused: mounts and mountstats, which read the same in a copy of their namespace, so that nobody
 * can tell of which one they are; and what is below a directory of the process.
 */
#include "kinds/files/gone-process-file.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kinds/files/process-file.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Dump ---- */

int gone_process_file_look(const struct open_file *file)
{
	struct stat there;

	if (!process_file_recognise(file) || !S_ISREG(file->stat.st_mode))
		return 0;
	const char *name = process_file_name(file->link);
	if (!name || strchr(name, '/'))
		return 0; /* names below others come and go while the process is there */
	autoclose int proc = process_file_open_proc(file);
	if (proc < 0)
		return errno_tells_nothing(errno) ? -1 : 0;
	/* What is open keeps its inode as long as the process is there. */
	const char *below = process_file_from_number(file->link);
	if (fstatat(proc, below, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ESRCH ? 1 : -1;
	return there.st_dev == file->stat.st_dev && there.st_ino != file->stat.st_ino;
}

static const char known_owner = 0;

struct known_file {
	struct known_file *next;
	RegFileEntry *reg;
	const struct target *target;
};

/* Without a change of its position. NULL with errno; the caller's to free. */
static char *read_file(int fd)
{
	size_t room = 1 << 16, size = 0;
	autofree char *text = malloc(room);

	for (;;) {
		ssize_t got = text ? pread(fd, text + size, room - size - 1, (off_t)size) : -1;
		if (got < 0)
			return NULL;
		size += (size_t)got;
		text[size] = '\0';
		if (!got)
			return take_ptr(text);
		if (room - size < 1 << 14) {
			char *more = realloc(text, room *= 2);
			if (!more)
				return NULL;
			(void)take_ptr(text);
			text = more;
		}
	}
}

/* 1, 0, or -1 with errno */
static int tells_the_same(const struct target *target, const char *text)
{
	autoclose int fd = target_open(target, "mountinfo", O_RDONLY);
	autofree char *other = fd < 0 ? NULL : read_file(fd);

	if (!other)
		return errno_tells_nothing(errno) ? -1 : 0;
	return strcmp(text, other) == 0;
}

static int find_beside(const struct open_file *file, const char *text,
		       const struct target **ret_target, struct error *err)
{
	struct collect *collect = file->target->collect;

	for (size_t i = 0; i < collect->n_targets; i++) {
		int same = tells_the_same(&collect->targets[i], text);
		if (same < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot read what others see of it", file->what);
		if (!same)
			continue;
		*ret_target = &collect->targets[i];
		return 0;
	}
	return fail(err, ERR_UNSUPPORTED_FILE,
		    "%s is of a process that is gone, and of mounts as no task of the tree has "
		    "them",
		    file->what);
}

static int note_beside(const struct open_file *file, RegFileEntry *reg, struct error *err)
{
	struct collect *collect = file->target->collect;
	const struct target *target = NULL;

	/* A running task may be reading it. */
	if (collect->looking || reg->flags & O_PATH)
		return 0;
	int fd = collect_borrow_file(file, err);
	if (fd < 0)
		return -1;
	autofree char *text = read_file(fd);
	if (!text)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read it", file->what);
	if (find_beside(file, text, &target, err))
		return -1;
	void **kept = collect_state(collect, &known_owner);
	struct known_file *known = arena_new(collect->arena, struct known_file);
	*known = (struct known_file){ *kept, reg, target };
	*kept = known;
	return 0;
}

bool gone_process_file_can_be(const char *name)
{
	return name && *name && !strchr(name, '/') && strcmp(name, "mounts") != 0 &&
	       strcmp(name, "mountstats") != 0 && !process_file_is_of_opener(name);
}

int gone_process_file_collect(const struct open_file *file, RegFileEntry *reg, const char *name,
			      struct error *err)
{
	if (!gone_process_file_can_be(name))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    process_file_is_of_opener(name)
				    ? "%s lets whoever opened it do more than others"
				    : "%s is of a process that is gone, and nothing tells of which "
				      "mount namespace",
			    file->what);
	return strcmp(name, "mountinfo") == 0 ? note_beside(file, reg, err) : 0;
}

void gone_process_files_complete(struct collect *collect)
{
	const struct known_file *known = *collect_state(collect, &known_owner);

	for (; known; known = known->next) {
		known->reg->has_beside = true;
		known->reg->beside = task_pids(known->target->task).pid[0];
	}
}

/* ---- Restore ---- */

const struct task *gone_process_file_beside(const struct snapshot *snapshot,
					    const RegFileEntry *reg)
{
	for (size_t i = 0; reg->has_beside && i < snapshot->n_tasks; i++)
		if (task_pids(&snapshot->tasks[i]).pid[0] == reg->beside)
			return &snapshot->tasks[i];
	return NULL;
}
