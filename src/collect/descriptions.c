// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which descriptors refer to the same open file description: kcmp(2) tells. It orders the
 * descriptions of one inode, so finding one among n costs log n calls; what a task inherited from
 * its parent at the same number costs a single one. Eventfds all have the same inode, and there may
 * be very many of them; but each shows a number of its own. What a task with very many descriptors
 * has open is known by where the kernel has it, if that can be seen (file-addresses.c).
 */
#include "collect/descriptions.h"
#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/table.h"
#include "collect/read-kernel.h"
#include "kernel/syscalls.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>

enum { MOST_IN_RUN = 512 };

struct run {
	struct description **sorted;
	size_t count, room;
};

/* Descriptions whose place in kcmp's order has not been asked yet. */
struct unordered {
	struct description **all;
	size_t count;
};

/*
 * All descriptions of one inode, in kcmp's order: in runs, since one is added anywhere, and an
 * inode may have very many. Those that are known by numbers or addresses are put among them when
 * somebody has nothing else to find them by.
 */
struct inode_bucket {
	struct inode_bucket *next;
	dev_t device;
	ino_t inode;
	struct run *runs;
	size_t n_runs;
	struct unordered eventfds, addressed;
};

/* Where one is, or belongs. */
struct place {
	size_t run, at;
};

struct descriptions {
	struct inode_bucket *inodes[INODE_BUCKETS];
	struct table eventfds;	/* by the numbers that they show, and 1 */
	struct table addressed; /* by where the kernel has them */
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

/* As kcmp: 0: this one, 1: before it, 2: behind it; -1 with err. */
typedef int compare_wanted(const void *wanted, const struct description *with, struct error *err);

/* The last run that may have it. Where there are several, its first is compared here. */
static int find_run(const struct inode_bucket *bucket, compare_wanted *compare, const void *wanted,
		    size_t *ret_run, struct error *err)
{
	size_t low = 1, high = bucket->n_runs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(wanted, bucket->runs[middle].sorted[0], err);

		if (order < 0)
			return -1;
		if (order == 1)
			high = middle;
		else
			low = middle + 1;
	}
	*ret_run = low - 1;
	return 0;
}

/* 1: it is there; 0: it belongs there. */
static int find_place(const struct inode_bucket *bucket, compare_wanted *compare,
		      const void *wanted, struct place *ret, struct error *err)
{
	size_t low = 0, index;

	*ret = (struct place){ 0 };
	if (!bucket->n_runs)
		return 0;
	if (find_run(bucket, compare, wanted, &index, err))
		return -1;
	const struct run *run = &bucket->runs[index];
	for (size_t high = run->count; low < high;) {
		size_t middle = low + (high - low) / 2;
		int order = compare(wanted, run->sorted[middle], err);

		*ret = (struct place){ index, middle };
		if (order <= 0)
			return order < 0 ? -1 : 1;
		if (order == 1)
			high = middle;
		else
			low = middle + 1;
	}
	*ret = (struct place){ index, low };
	return 0;
}

static void give_room(struct arena *arena, struct run *run)
{
	size_t room = run->room ? 2 * run->room : 1;

	if (run->count < run->room)
		return;
	struct description **sorted = arena_array(arena, struct description *, room);
	if (run->count)
		memcpy(sorted, run->sorted, run->count * sizeof *sorted);
	run->sorted = sorted;
	run->room = room;
}

/* The second half becomes a run of its own. */
static void split(struct arena *arena, struct inode_bucket *bucket, struct place *place)
{
	bucket->runs = arena_grow(arena, bucket->runs, bucket->n_runs, sizeof *bucket->runs);
	struct run *first = &bucket->runs[place->run], *second = first + 1;
	size_t half = first->count / 2;

	memmove(second + 1, second, (bucket->n_runs - place->run - 1) * sizeof *second);
	bucket->n_runs++;
	*second = (struct run){ .count = first->count - half, .room = MOST_IN_RUN };
	second->sorted = arena_array(arena, struct description *, MOST_IN_RUN);
	memcpy(second->sorted, first->sorted + half, second->count * sizeof *second->sorted);
	first->count = half;
	if (place->at > half)
		*place = (struct place){ place->run + 1, place->at - half };
}

static void add(struct arena *arena, struct inode_bucket *bucket, struct place place,
		struct description *description)
{
	if (!bucket->n_runs) {
		bucket->runs = arena_grow(arena, bucket->runs, 0, sizeof *bucket->runs);
		bucket->runs[bucket->n_runs++] = (struct run){ 0 };
	}
	if (bucket->runs[place.run].count == MOST_IN_RUN)
		split(arena, bucket, &place);
	struct run *run = &bucket->runs[place.run];
	give_room(arena, run);
	memmove(&run->sorted[place.at + 1], &run->sorted[place.at],
		(run->count - place.at) * sizeof *run->sorted);
	run->count++;
	run->sorted[place.at] = description;
}

static int compare_file(const void *wanted, const struct description *with, struct error *err)
{
	const struct open_file *file = wanted;

	return description_compare(file->target, file->number, with->pid, with->number, err);
}

static int compare_known(const void *wanted, const struct description *with, struct error *err)
{
	const struct description *known = wanted;
	int order =
		kernel_kcmp(known->pid, with->pid, KCMP_OBJECT_FILE, known->number, with->number);

	if (order < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot compare descriptor %u of pid %d with %u of pid %d (kcmp)",
				  known->number, (int)known->pid, with->number, (int)with->pid);
	return order;
}

static int put_in_order(struct arena *arena, struct inode_bucket *bucket,
			struct unordered *unordered, struct error *err)
{
	struct place place;

	for (; unordered->count; unordered->count--) {
		struct description *known = unordered->all[unordered->count - 1];
		if (find_place(bucket, compare_known, known, &place, err) < 0)
			return -1;
		add(arena, bucket, place, known);
	}
	return 0;
}

static struct description *new_description(const struct open_file *file)
{
	struct description *description =
		arena_new(file->target->collect->arena, struct description);

	*description = (struct description){ .pid = file->target->tid, .number = file->number };
	return description;
}

/*
 * The number of an eventfd (5.2), and 1: each has one description, as nothing opens an anonymous
 * inode again. 0: it is none, or has no number (what ida_alloc says is shown as it is).
 */
static uint64_t eventfd_number(const struct open_file *file)
{
	uint64_t number;

	return strcmp(file->link, "anon_inode:[eventfd]") == 0 &&
			       procfs_number(file->fdinfo, "eventfd-id:", 10, &number) &&
			       number <= INT32_MAX
		       ? number + 1
		       : 0;
}

static struct description *new_unordered(const struct open_file *file, struct unordered *unordered)
{
	struct arena *arena = file->target->collect->arena;

	unordered->all =
		arena_grow(arena, unordered->all, unordered->count, sizeof *unordered->all);
	return unordered->all[unordered->count++] = new_description(file);
}

static struct description *find_eventfd(const struct open_file *file, struct inode_bucket *bucket,
					uint64_t number, bool *ret_new)
{
	struct collect *collect = file->target->collect;
	struct table *eventfds = &descriptions_of(collect)->eventfds;
	struct description *found = table_find(eventfds, number);

	*ret_new = !found;
	if (!found) {
		found = new_unordered(file, &bucket->eventfds);
		table_add(eventfds, collect->arena, number, found);
	}
	return found;
}

/* Others may have it too, of whom no address is known. */
static int find_by_address(const struct open_file *file, struct inode_bucket *bucket,
			   uint64_t address, struct description **ret_found, bool *ret_new,
			   struct error *err)
{
	struct collect *collect = file->target->collect;
	struct table *addressed = &descriptions_of(collect)->addressed;
	struct place place;

	*ret_new = false;
	*ret_found = table_find(addressed, address);
	if (*ret_found)
		return 0;
	int found = find_place(bucket, compare_file, file, &place, err);
	if (found < 0)
		return -1;
	*ret_new = !found;
	*ret_found = found ? bucket->runs[place.run].sorted[place.at]
			   : new_unordered(file, &bucket->addressed);
	table_add(addressed, collect->arena, address, *ret_found);
	return 0;
}

int description_find(const struct open_file *file, struct description **ret_found, bool *ret_new,
		     struct error *err)
{
	struct collect *collect = file->target->collect;
	struct inode_bucket *bucket = find_inode(collect, &file->stat);
	uint64_t number = eventfd_number(file);
	struct place place;

	if (number) {
		*ret_found = find_eventfd(file, bucket, number, ret_new);
		return 0;
	}
	uint64_t address = target_file_address(file->target, file->number);
	if (address)
		return find_by_address(file, bucket, address, ret_found, ret_new, err);
	if (put_in_order(collect->arena, bucket, &bucket->addressed, err))
		return -1;
	int found = find_place(bucket, compare_file, file, &place, err);
	if (found < 0)
		return -1;
	*ret_new = !found;
	if (found) {
		*ret_found = bucket->runs[place.run].sorted[place.at];
		return 0;
	}
	*ret_found = new_description(file);
	add(collect->arena, bucket, place, *ret_found);
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

struct wanted_watched {
	const struct target *target;
	uint32_t number;
	struct kcmp_slot slot;
};

/* The kernel puts them in the same order as by kcmp of two descriptors; we ask the other way. */
static int compare_watched(const void *data, const struct description *with, struct error *err)
{
	const struct wanted_watched *wanted = data;
	int order = kernel_kcmp(with->pid, wanted->target->tid, KCMP_OBJECT_EPOLL, with->number,
				(unsigned long)(uintptr_t)&wanted->slot);

	if (order < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot compare what descriptor %u of pid %d watches (kcmp)",
				  wanted->number, wanted->target->pid);
	return order == 1 ? 2 : order == 2 ? 1 : order;
}

static void set_found(struct watched_file *watched, const struct description *at)
{
	watched->found = true;
	watched->id = at->id;
	watched->pid = at->pid;
	watched->number = at->number;
}

int collect_find_watched(struct collect *collect, const struct target *target, uint32_t number,
			 uint32_t watched_as, uint32_t offset, struct watched_file *watched,
			 struct error *err)
{
	const struct wanted_watched wanted = { target, number, { number, watched_as, offset } };
	struct inode_bucket *bucket = find_known_inode(collect, watched);
	struct place place;
	if (bucket && (put_in_order(collect->arena, bucket, &bucket->eventfds, err) ||
		       put_in_order(collect->arena, bucket, &bucket->addressed, err)))
		return -1;
	int found = bucket ? find_place(bucket, compare_watched, &wanted, &place, err) : 0;

	if (found > 0)
		set_found(watched, bucket->runs[place.run].sorted[place.at]);
	return found < 0 ? -1 : 0;
}

void collect_find_inode(struct collect *collect, struct watched_file *watched)
{
	const struct inode_bucket *bucket = find_known_inode(collect, watched);

	for (size_t i = 0; bucket && i < bucket->addressed.count && !watched->found; i++)
		if (bucket->addressed.all[i]->id)
			set_found(watched, bucket->addressed.all[i]);
	for (size_t i = 0; bucket && i < bucket->n_runs; i++)
		for (size_t k = 0; k < bucket->runs[i].count && !watched->found; k++)
			if (bucket->runs[i].sorted[k]->id)
				set_found(watched, bucket->runs[i].sorted[k]);
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
