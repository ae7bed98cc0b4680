// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tmpfs gives its inodes numbers in the order in which they are made, beginning anew in each
 * (shmem_reserve_inode, since Linux 5.9): so those of one that was dumped are had again by making
 * them in that order, before any of them has its place. The numbers of what has been removed are
 * used up by files that are removed at once, as far as that does not take long; what has a number
 * beyond gets another one.
 */
#include "kinds/mounts/inode-numbers.h"

#include "base/log.h"

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

bool inode_numbers_are_kept(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
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

	return (one->number > other->number) - (one->number < other->number);
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

/* The number that it has got; 0: none, as it cannot be made. */
static uint64_t make_next(int root_fd, const char *name, const struct numbered_inode *inode)
{
	struct stat stat;

	return make_one(root_fd, name, inode) || fstatat(root_fd, name, &stat, AT_SYMLINK_NOFOLLOW)
		       ? 0
		       : stat.st_ino;
}

static void remove_one(int root_fd, const struct numbered_inode *inode)
{
	unlinkat(root_fd, name_of(inode->number).text, S_ISDIR(inode->type) ? AT_REMOVEDIR : 0);
}

/* False: no more can be had, as making them fails or takes too long. */
static bool reach(const struct inode_numbers *numbers, uint64_t number, uint64_t *last,
		  unsigned *used_up)
{
	const struct numbered_inode passing = { .number = 0, .type = S_IFREG };

	if (number - *last - 1 > MOST_USED_UP - *used_up)
		return false;
	for (; *last && *last + 1 < number; ++*used_up) {
		*last = make_next(numbers->root_fd, name_of(0).text, &passing);
		remove_one(numbers->root_fd, &passing);
	}
	return *last != 0;
}

/* The same. */
static bool make_numbered(const struct inode_numbers *numbers, struct numbered_inode *inode,
			  uint64_t *last, unsigned *used_up)
{
	syscall(SYS_setfsgid, inode->gid);
	syscall(SYS_setfsuid, inode->uid);
	if (inode->number <= *last)
		return true;
	if (!reach(numbers, inode->number, last, used_up))
		return false;
	if (inode->number <= *last)
		return true;
	*last = make_next(numbers->root_fd, name_of(inode->number).text, inode);
	inode->made = *last == inode->number;
	if (!inode->made)
		remove_one(numbers->root_fd, inode);
	return *last != 0;
}

void inode_numbers_make(struct inode_numbers *numbers)
{
	unsigned used_up = 0;
	size_t n = 0;
	struct stat root;

	if (!numbers->n || !inode_numbers_are_kept(numbers->root_fd) ||
	    fstat(numbers->root_fd, &root))
		return;
	qsort(numbers->all, numbers->n, sizeof *numbers->all, compare);
	uint64_t last = root.st_ino;
	while (n < numbers->n && make_numbered(numbers, &numbers->all[n], &last, &used_up))
		n++;
	log_debug("restore", "tmpfs", "%zu of %zu inodes have their numbers, %u are used up", n,
		  numbers->n, used_up);
}

bool inode_numbers_place(struct inode_numbers *numbers, uint64_t number, int dir_fd,
			 const char *name)
{
	const struct numbered_inode key = { .number = number };
	struct numbered_inode *inode =
		numbers->n ? bsearch(&key, numbers->all, numbers->n, sizeof key, compare) : NULL;

	if (!inode || !inode->made ||
	    renameat2(numbers->root_fd, name_of(number).text, dir_fd, name, RENAME_NOREPLACE))
		return false;
	inode->made = false;
	return true;
}

void inode_numbers_clear(const struct inode_numbers *numbers)
{
	for (size_t i = 0; i < numbers->n; i++)
		if (numbers->all[i].made)
			remove_one(numbers->root_fd, &numbers->all[i]);
}
