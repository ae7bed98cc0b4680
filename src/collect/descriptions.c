// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which descriptors refer to the same open file description: kcmp(2) tells. It orders the
 * descriptions of one inode, so finding one among n costs log n calls; what a task inherited from
 * its parent at the same number costs a single one.
 */
#include "collect/descriptions.h"
#include "base/cleanup.h"
#include "kernel/syscalls.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>

/* All descriptions of one inode, in kcmp's order. */
struct inode_bucket {
	struct inode_bucket *next;
	dev_t device;
	ino_t inode;
	struct description *sorted;
	size_t count;
};

struct descriptions {
	struct inode_bucket *inodes[INODE_BUCKETS];
};

static struct descriptions *descriptions_of(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);
	struct descriptions *descriptions = *kept;

	if (!descriptions) {
		descriptions = arena_new(collect->arena, struct descriptions);
		*kept = descriptions;
	}
	return descriptions;
}

static struct inode_bucket *find_inode(struct collect *collect, const struct stat *stat)
{
	struct inode_bucket **first = &descriptions_of(collect)->inodes[inode_bucket_of(stat)];

	for (struct inode_bucket *bucket = *first; bucket; bucket = bucket->next)
		if (bucket->inode == stat->st_ino && bucket->device == stat->st_dev)
			return bucket;
	struct inode_bucket *bucket = arena_new(collect->arena, struct inode_bucket);
	*bucket = (struct inode_bucket){ .next = *first,
					 .device = stat->st_dev,
					 .inode = stat->st_ino };
	*first = bucket;
	return bucket;
}

int description_compare(const struct target *target, uint32_t number, pid_t pid, uint32_t other,
			struct error *err)
{
	int order = kernel_kcmp(target->tid, pid, KCMP_OBJECT_FILE, number, other);

	if (order < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot compare descriptor %u of pid %d with %u of pid %d (kcmp)",
				  number, target->pid, other, pid);
	return order;
}

int description_find(const struct open_file *file, struct description **ret_found, bool *ret_new,
		     struct error *err)
{
	struct inode_bucket *bucket = find_inode(file->target->collect, &file->stat);
	size_t low = 0, high = bucket->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct description *description = &bucket->sorted[middle];
		int order = description_compare(file->target, file->number, description->pid,
						description->number, err);
		if (order < 0)
			return -1;
		if (order == 0) {
			*ret_found = description;
			*ret_new = false;
			return 0;
		}
		if (order == 1)
			high = middle;
		else
			low = middle + 1;
	}
	bucket->sorted = arena_grow(file->target->collect->arena, bucket->sorted, bucket->count,
				    sizeof *bucket->sorted);
	memmove(&bucket->sorted[low + 1], &bucket->sorted[low],
		(bucket->count - low) * sizeof *bucket->sorted);
	bucket->count++;
	bucket->sorted[low] =
		(struct description){ .pid = file->target->tid, .number = file->number };
	*ret_found = &bucket->sorted[low];
	*ret_new = true;
	return 0;
}

/* ---- What other objects refer to ---- */

static struct inode_bucket *find_known_inode(struct collect *collect,
					     const struct watched_file *watched)
{
	const struct stat stat = { .st_dev = watched->device, .st_ino = watched->inode };
	struct inode_bucket *bucket = descriptions_of(collect)->inodes[inode_bucket_of(&stat)];

	while (bucket && (bucket->inode != watched->inode || bucket->device != watched->device))
		bucket = bucket->next;
	return bucket;
}

/* The kernel puts them in the same order as by kcmp of two descriptors. */
int collect_find_watched(struct collect *collect, const struct target *target, uint32_t number,
			 uint32_t watched_as, uint32_t offset, struct watched_file *watched,
			 struct error *err)
{
	const struct kcmp_slot slot = { number, watched_as, offset };
	struct inode_bucket *bucket = find_known_inode(collect, watched);
	size_t low = 0, high = bucket ? bucket->count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct description *at = &bucket->sorted[middle];
		int order = kernel_kcmp(at->pid, target->tid, KCMP_OBJECT_EPOLL, at->number,
					(unsigned long)(uintptr_t)&slot);
		if (order < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot compare what descriptor %u of pid %d watches "
					  "(kcmp)",
					  number, target->pid);
		if (order == 0) {
			watched->found = true;
			watched->id = at->id;
			watched->pid = at->pid;
			watched->number = at->number;
			return 0;
		}
		if (order == 2)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

void collect_find_inode(struct collect *collect, struct watched_file *watched)
{
	const struct inode_bucket *bucket = find_known_inode(collect, watched);

	for (size_t i = 0; bucket && i < bucket->count && !watched->found; i++) {
		const struct description *at = &bucket->sorted[i];
		if (!at->id)
			continue;
		watched->found = true;
		watched->id = at->id;
		watched->pid = at->pid;
		watched->number = at->number;
	}
}

int collect_get_watched(const struct watched_file *watched, struct error *err)
{
	/* PIDFD_THREAD, 6.9; before, the first thread of a process. */
	autoclose int pidfd = kernel_pidfd_open(watched->pid, 0);
	int fd;

	if (pidfd < 0)
		pidfd = kernel_pidfd_open(watched->pid, O_EXCL);
	fd = pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, (int)watched->number, 0);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot get descriptor %u of pid %d",
				  watched->number, watched->pid);
	return fd;
}
