// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What /proc shows of descriptors, where a task has many: half of what a descriptor costs is the
 * kernel's work of finding and printing it. The descriptors are shared out in pieces among both
 * threads, and each piece is read once for all who ask (mounts, files). The tree stands still, so
 * what is shown does not change; but for what tells how time goes on (timerfd), and what others
 * change meanwhile, which is read when it is asked for.
 */
#include "collect/read-ahead.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/numbers.h"
#include "base/procfs.h"
#include "collect/assistant.h"
#include "collect/collect.h"
#include "kernel/syscalls.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PIECE = 64 }; /* and so many are many */

struct files_ahead {
	struct errand errand;
	struct target *target;
	size_t count;
	uint32_t numbers[PIECE]; /* the target's list may move, while it is being made */
	struct descriptor_ahead rows[PIECE];
	/* Another, given when this one is done and has sockets among its rows. */
	struct errand asking;
	void *(*ask)(int fd);
	void *answers[PIECE];
};

static bool is_steady(const char *link)
{
	static const char *const prefixes[] = { "/", "socket:", "pipe:", "anon_inode:[eventfd]" };

	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (strncmp(link, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static void read_fdinfo(const struct target *target, uint32_t number, struct descriptor_ahead *row)
{
	char name[32];

	snprintf(name, sizeof name, "fdinfo/%" PRIu32, number);
	autoclose int fd = target_open(target, name, O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, row->fdinfo, sizeof row->fdinfo);
	row->has_fdinfo = length > 0 && length < (ssize_t)sizeof row->fdinfo;
	row->fdinfo[row->has_fdinfo ? length : 0] = '\0';
}

/*
 * The link of one that we have. Those of sockets and of pipes without a name are made of the number
 * of the inode (sockfs_dname, pipefs_dname): printing it here takes a tenth of asking. An eventfd
 * shows as the only one what it counts, and has no type of file, as nothing with a name.
 */
static ssize_t own_link(const struct descriptor_ahead *row, int fd, char *link, size_t size)
{
	bool opened = !(procfs_value(row->fdinfo, "flags:", 8) & O_PATH);
	uintmax_t inode = row->stat.st_ino;
	char name[32];

	if (opened && S_ISSOCK(row->stat.st_mode))
		return snprintf(link, size, "socket:[%ju]", inode);
	if (opened && S_ISFIFO(row->stat.st_mode) && row->has_file_system &&
	    row->file_system == PIPEFS_MAGIC)
		return snprintf(link, size, "pipe:[%ju]", inode);
	if (opened && !(row->stat.st_mode & S_IFMT) && procfs_field(row->fdinfo, "eventfd-count:"))
		return snprintf(link, size, "anon_inode:[eventfd]");
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	return readlink(name, link, size);
}

/* Fails for O_PATH, which is not asked. */
static bool has_no_owner(int fd)
{
	struct f_owner_ex owner;

	return fcntl(fd, F_GETSIG) == 0 && fcntl(fd, F_GETOWN_EX, &owner) == 0 && !owner.pid;
}

/* From the descriptor itself: the kernel makes an inode for each name that is looked at in fd/. */
static ssize_t look_through(int pidfd, uint32_t number, struct descriptor_ahead *row)
{
	autoclose int fd = pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, (int)number, 0);
	struct statfs fs;

	if (fd < 0 || !row->has_fdinfo || fstat(fd, &row->stat) < 0)
		return -1;
	row->has_stat = true;
	row->ownerless = has_no_owner(fd);
	row->has_file_system = !S_ISSOCK(row->stat.st_mode) && fstatfs(fd, &fs) == 0;
	if (row->has_file_system)
		row->file_system = (long)fs.f_type;
	return own_link(row, fd, row->link, sizeof row->link);
}

static void read_one(const struct target *target, int pidfd, uint32_t number,
		     struct descriptor_ahead *row)
{
	char name[32];

	read_fdinfo(target, number, row);
	ssize_t length = look_through(pidfd, number, row);
	if (length < 0) {
		snprintf(name, sizeof name, "fd/%" PRIu32, number);
		length = target_link(target, name, row->link, sizeof row->link);
		row->has_stat = target_look(target, name, &row->stat) == 0;
	}
	row->has_link = length > 0 && length < (ssize_t)sizeof row->link;
	row->link[row->has_link ? length : 0] = '\0';
	row->has_fdinfo = row->has_fdinfo && is_steady(row->link);
}

static bool is_socket(const struct descriptor_ahead *row)
{
	return row->has_stat && row->has_link && strncmp(row->link, "socket:", 7) == 0;
}

static void ask_piece(struct errand *errand, enum assistant_thread thread)
{
	struct files_ahead *piece =
		(struct files_ahead *)((char *)errand - offsetof(struct files_ahead, asking));
	autoclose int pidfd =
		kernel_pidfd_open(piece->target->tid, target_pidfd_flags(piece->target));

	(void)thread;
	for (size_t i = 0; pidfd >= 0 && i < piece->count; i++) {
		if (!is_socket(&piece->rows[i]))
			continue;
		autoclose int fd = kernel_pidfd_getfd(pidfd, (int)piece->numbers[i], 0);
		piece->answers[i] = fd < 0 ? NULL : piece->ask(fd);
	}
}

static void read_piece(struct errand *errand, enum assistant_thread thread)
{
	struct files_ahead *piece = (struct files_ahead *)errand;
	autoleave folder = target_enter(piece->target);
	/* Whoever closes a file that he got so asks its driver to flush it (fuse_flush). */
	autoclose int pidfd =
		piece->target->collect->silent.n
			? -1
			: kernel_pidfd_open(piece->target->tid, target_pidfd_flags(piece->target));

	bool any = false;

	(void)thread;
	for (size_t i = 0; i < piece->count; i++) {
		read_one(piece->target, pidfd, piece->numbers[i], &piece->rows[i]);
		any = any || is_socket(&piece->rows[i]);
	}
	if (any)
		assistant_give(piece->target->collect->assistant, &piece->asking);
}

void read_ahead_descriptors(struct target *target, bool all, void *(*ask)(int fd))
{
	struct collect *collect = target->collect;
	size_t given = target->n_files_ahead * PIECE, left = target->n_descriptors - given;

	if (!collect->assistant || !left || (left < PIECE && !(all && given)))
		return;
	struct files_ahead *piece = arena_new(collect->arena, struct files_ahead);
	piece->errand.run = read_piece;
	piece->asking.run = ask_piece;
	piece->ask = ask;
	piece->target = target;
	piece->count = left;
	memcpy(piece->numbers, target->descriptors + given, left * sizeof *piece->numbers);
	target->files_ahead = arena_grow(collect->arena, target->files_ahead, target->n_files_ahead,
					 sizeof *target->files_ahead);
	target->files_ahead[target->n_files_ahead++] = piece;
	assistant_give(collect->assistant, &piece->errand);
}

/* The piece that has it, once it is read, and the place in there; or NULL. */
static struct files_ahead *find_piece(struct target *target, uint32_t number, size_t *ret_place)
{
	size_t i;

	if (!target->n_files_ahead || !target->collect->assistant ||
	    !numbers_find(target->descriptors, target->n_descriptors, number, &i) ||
	    i / PIECE >= target->n_files_ahead)
		return NULL;
	struct files_ahead *piece = target->files_ahead[i / PIECE];
	if (piece->errand.state != ERRAND_DONE)
		assistant_need(target->collect->assistant, &piece->errand);
	*ret_place = i % PIECE;
	return piece;
}

const struct descriptor_ahead *read_ahead_descriptor(struct target *target, uint32_t number)
{
	size_t place;
	struct files_ahead *piece = find_piece(target, number, &place);

	return piece ? &piece->rows[place] : NULL;
}

const void *read_ahead_asked(struct target *target, uint32_t number)
{
	size_t place;
	struct files_ahead *piece = find_piece(target, number, &place);

	if (!piece || !is_socket(&piece->rows[place]))
		return NULL;
	if (piece->asking.state != ERRAND_DONE)
		assistant_need(target->collect->assistant, &piece->asking);
	return piece->answers[place];
}

void read_ahead_forget_descriptors(struct target *target)
{
	for (size_t i = 0; i < target->n_files_ahead; i++)
		for (size_t k = 0; k < PIECE; k++) {
			free(target->files_ahead[i]->answers[k]);
			target->files_ahead[i]->answers[k] = NULL;
		}
}
