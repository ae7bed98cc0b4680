// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Superblocks that are known by their device number. What is on no device gets the lowest minor
 * number that is free (get_anon_bdev, fs/super.c), so a number that is free can be had: all that
 * are free below it are taken meanwhile, by file systems that nobody mounts. As everything else
 * that is made may get it as well, it is held from before the first process on.
 */
#include "kinds/mounts/make.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/mounts.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BELOW = 4096, ATTEMPTS = 20, PAUSE_MS = 50 };

struct held_number {
	uint32_t device; /* as in the record */
	int fd;		 /* a file system that has it */
};

struct held_numbers {
	struct held_number *all;
	size_t n;
	int below[MOST_BELOW];
	size_t n_below;
};

static dev_t number_of(uint32_t device)
{
	return makedev(device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & ~0xffu));
}

static void release_below(struct held_numbers *numbers)
{
	while (numbers->n_below)
		close(numbers->below[--numbers->n_below]);
}

/* A file system with this number; -1 with err. */
static int take_number(struct held_numbers *numbers, dev_t wanted, struct error *err)
{
	struct stat stat;

	while (numbers->n_below < MOST_BELOW) {
		int fd = mount_new_tmpfs();
		if (fd < 0 || fstat(fd, &stat)) {
			fail_errno(err, ERR_KERNEL_REFUSED, "cannot take a device number");
			return cleanup_close(&fd), -1;
		}
		if (stat.st_dev == wanted)
			return fd;
		numbers->below[numbers->n_below++] = fd;
		if (minor(stat.st_dev) > minor(wanted))
			break;
	}
	return fail(err, ERR_KERNEL_REFUSED,
		    "device number %u:%u, by which a daemon knows its mount, is taken by somebody",
		    major(wanted), minor(wanted));
}

/* What has just ended gives its number back in its own time. */
static int wait_for_number(struct held_numbers *numbers, dev_t wanted, struct error *err)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	int fd = -1;

	for (int i = 0; i < ATTEMPTS && fd < 0; i++) {
		struct error failure = { 0 };
		if (i)
			nanosleep(&pause, NULL);
		fd = take_number(numbers, wanted, &failure);
		release_below(numbers);
		if (fd < 0 && (failure.os_errno || i + 1 == ATTEMPTS)) {
			*err = failure;
			return -1;
		}
	}
	return fd;
}

static const MntEntry *next_numbered(const struct snapshot *snapshot, size_t *namespace_,
				     size_t *mount)
{
	for (; *namespace_ < snapshot->n_mount_namespaces; ++*namespace_, *mount = 0)
		while (*mount < snapshot->mount_namespaces[*namespace_]->n_mounts) {
			const MntEntry *entry =
				snapshot->mount_namespaces[*namespace_]->mounts[(*mount)++];
			const struct mount_kind *kind = mount_kind_of_entry(entry);
			if (kind && kind->numbered && !entry->bound_path && !entry->ext_mount &&
			    !entry->held)
				return entry;
		}
	return NULL;
}

bool mounts_are_numbered(const struct snapshot *snapshot)
{
	size_t namespace_ = 0, mount = 0;

	return next_numbered(snapshot, &namespace_, &mount) != NULL;
}

static struct held_numbers *numbers_of(struct file_opener *opener)
{
	static const char owner;
	void **state = opener_state(opener, &owner);

	if (!*state)
		*state = arena_new(opener->arena, struct held_numbers);
	return *state;
}

static struct held_number *find(struct held_numbers *numbers, uint32_t device)
{
	for (size_t i = 0; i < numbers->n; i++)
		if (numbers->all[i].device == device)
			return &numbers->all[i];
	return NULL;
}

int mounts_hold_numbers(struct file_opener *opener, struct error *err)
{
	struct held_numbers *numbers = numbers_of(opener);
	size_t namespace_ = 0, mount = 0;

	for (const MntEntry *entry;
	     (entry = next_numbered(opener->snapshot, &namespace_, &mount));) {
		if (find(numbers, entry->root_dev))
			continue;
		int fd = wait_for_number(numbers, number_of(entry->root_dev), err);
		if (fd < 0)
			return fail_while(err, "mount %" PRIu32 " (%.200s)", entry->mnt_id,
					  entry->mountpoint);
		numbers->all =
			arena_grow(opener->arena, numbers->all, numbers->n, sizeof *numbers->all);
		numbers->all[numbers->n++] = (struct held_number){ entry->root_dev, fd };
	}
	return 0;
}

/* What is free below it, while somebody has it. */
static int take_below(struct held_numbers *numbers, dev_t wanted, struct error *err)
{
	struct stat stat;

	while (numbers->n_below < MOST_BELOW) {
		autoclose int fd = mount_new_tmpfs();
		if (fd < 0 || fstat(fd, &stat))
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot take a device number");
		if (minor(stat.st_dev) > minor(wanted))
			return 0;
		numbers->below[numbers->n_below++] = take_fd(&fd);
	}
	return fail(err, ERR_LIMIT_TOO_LOW, "more than %d device numbers are free below %u:%u",
		    MOST_BELOW, major(wanted), minor(wanted));
}

int mounts_free_number(struct file_opener *opener, uint32_t device, struct error *err)
{
	struct held_numbers *numbers = numbers_of(opener);
	struct held_number *held = find(numbers, device);
	dev_t wanted = number_of(device);
	autoclose int fd = held ? take_fd(&held->fd) : -1;

	if (fd < 0)
		fd = wait_for_number(numbers, wanted, err);
	return fd < 0 ? -1 : take_below(numbers, wanted, err);
}

int mounts_check_number(struct file_opener *opener, int mount_fd, uint32_t device,
			struct error *err)
{
	dev_t wanted = number_of(device);
	struct stat stat;

	release_below(numbers_of(opener));
	if (fstat(mount_fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at a mount");
	return stat.st_dev == wanted
		       ? 0
		       : fail(err, ERR_KERNEL_REFUSED,
			      "it has device number %u:%u, as somebody has taken %u:%u, by which a "
			      "daemon knows it",
			      major(stat.st_dev), minor(stat.st_dev), major(wanted), minor(wanted));
}

void mounts_close_numbers(struct file_opener *opener)
{
	struct held_numbers *numbers = numbers_of(opener);

	release_below(numbers);
	for (size_t i = 0; i < numbers->n; i++)
		cleanup_close(&numbers->all[i].fd);
}
