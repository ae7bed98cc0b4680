// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tmpfs gives its inodes numbers in the order in which they are made, beginning anew in each
 * (shmem_reserve_inode, since Linux 5.9): so those of one that was dumped are had again by making
 * them in that order, before any of them has its place. The numbers of what has been removed are
 * used up by files that are removed at once, as far as that does not take long; what has a number
 * beyond gets another one.
 */
#include "kinds/mounts/inode-numbers.h"

#include "base/compare.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* In all of a file system. */
enum { MOST_USED_UP = 32768 };

static int fail_numbers(struct error *err)
{
	return fail_errno(err, ERR_IO, "cannot tell or give the numbers of inodes of a tmpfs");
}

int inode_numbers_are_kept(int fd, struct error *err)
{
	struct statfs fs;

	return fstatfs(fd, &fs) ? fail_numbers(err) : fs.f_type == TMPFS_MAGIC;
}

void inode_numbers_add(struct inode_numbers *numbers, struct arena *arena,
		       const struct numbered_inode *inode)
{
	numbers->all = arena_grow(arena, numbers->all, numbers->n, sizeof *numbers->all);
	numbers->all[numbers->n++] = *inode;
}

static int compare(const void *a, const void *b)
{
	const struct numbered_inode *one = a, *other = b;

	return compare_values(one->number, other->number);
}

struct inode_name {
	char text[48];
};

static struct inode_name name_of(uint64_t number)
{
	struct inode_name name;

	snprintf(name.text, sizeof name.text, ".nestor-inode-%" PRIu64, number);
	return name;
}

static int make_one(int root_fd, const char *name, const struct numbered_inode *inode)
{
	if (S_ISDIR(inode->type))
		return mkdirat(root_fd, name, 0700);
	if (S_ISLNK(inode->type))
		return symlinkat(inode->link, root_fd, name);
	return mknodat(root_fd, name, inode->type | 0600, inode->device);
}

/* The number that it has got; 0: none, as it cannot be made there. -1 with errno. */
static int make_next(int root_fd, const char *name, const struct numbered_inode *inode,
		     uint64_t *ret)
{
	struct stat stat;

	*ret = 0;
	if (make_one(root_fd, name, inode))
		return errno_tells_nothing(errno) && errno != ENOSPC ? -1 : 0;
	if (fstatat(root_fd, name, &stat, AT_SYMLINK_NOFOLLOW))
		return -1;
	*ret = stat.st_ino;
	return 0;
}

static int remove_one(int root_fd, const struct numbered_inode *inode)
{
	int flags = S_ISDIR(inode->type) ? AT_REMOVEDIR : 0;

	return unlinkat(root_fd, name_of(inode->number).text, flags) && errno != ENOENT ? -1 : 0;
}

/* 0: no more can be had, as making them fails or takes too long. -1 with errno. */
static int reach(const struct inode_numbers *numbers, uint64_t number, uint64_t *last,
		 unsigned *used_up)
{
	const struct numbered_inode passing = { .number = 0, .type = S_IFREG };

	if (number - *last - 1 > MOST_USED_UP - *used_up)
		return 0;
	for (; *last && *last + 1 < number; ++*used_up)
		if (make_next(numbers->root_fd, name_of(0).text, &passing, last) ||
		    remove_one(numbers->root_fd, &passing))
			return -1;
	return *last != 0;
}

/* The same. */
static int make_numbered(const struct inode_numbers *numbers, struct numbered_inode *inode,
			 uint64_t *last, unsigned *used_up)
{
	syscall(SYS_setfsgid, inode->gid);
	syscall(SYS_setfsuid, inode->uid);
	if (inode->number <= *last)
		return 1;
	int reached = reach(numbers, inode->number, last, used_up);
	if (reached <= 0 || inode->number <= *last)
		return reached;
	if (make_next(numbers->root_fd, name_of(inode->number).text, inode, last))
		return -1;
	inode->made = *last == inode->number;
	if (!inode->made && remove_one(numbers->root_fd, inode))
		return -1;
	return *last != 0;
}

int inode_numbers_make(struct inode_numbers *numbers, struct error *err)
{
	unsigned used_up = 0;
	size_t n = 0;
	struct stat root;
	int more = 1;

	int kept = numbers->n ? inode_numbers_are_kept(numbers->root_fd, err) : 0;
	if (kept <= 0)
		return kept;
	if (fstat(numbers->root_fd, &root))
		return fail_numbers(err);
	qsort(numbers->all, numbers->n, sizeof *numbers->all, compare);
	uint64_t last = root.st_ino;
	for (; more > 0 && n<numbers->n; n += more> 0)
		more = make_numbered(numbers, &numbers->all[n], &last, &used_up);
	log_debug("restore", "tmpfs", "%zu of %zu inodes have their numbers, %u are used up", n,
		  numbers->n, used_up);
	return more < 0 ? fail_numbers(err) : 0;
}

int inode_numbers_place(struct inode_numbers *numbers, uint64_t number, int dir_fd,
			const char *name, struct error *err)
{
	const struct numbered_inode key = { .number = number };
	struct numbered_inode *inode =
		numbers->n ? bsearch(&key, numbers->all, numbers->n, sizeof key, compare) : NULL;

	if (!inode || !inode->made)
		return 0;
	if (renameat2(numbers->root_fd, name_of(number).text, dir_fd, name, RENAME_NOREPLACE))
		return fail_numbers(err);
	inode->made = false;
	return 1;
}

int inode_numbers_clear(const struct inode_numbers *numbers, struct error *err)
{
	for (size_t i = 0; i < numbers->n; i++)
		if (numbers->all[i].made && remove_one(numbers->root_fd, &numbers->all[i]))
			return fail_numbers(err);
	return 0;
}
