// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The device numbers of superblocks, which programs see of each file (st_dev). What is on no
 * device gets the lowest minor number that is free (get_anon_bdev, fs/super.c), so a number that is
 * free can be had: all that are free below it are taken meanwhile, by file systems that nobody
 * mounts. As everything else that is made may get it as well, it is held from before the first
 * process on.
 *
 * Some are known by it, and must have it (autofs). All others have it where it is free, and is to
 * be had without much ado.
 */
#include "kinds/mounts/make.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BELOW = 4096, PAUSES = 60, PAUSE_MS = 50 };
/* Without much ado: so many below are taken, and of those so many as long as others are made. */
enum { FEW_BELOW = 256, FEW_HOLES = 32 };

struct held_number {
	uint32_t device; /* as in the record */
	int fd;		 /* a file system that has it */
	bool was_free;
};

struct number_below {
	dev_t number;
	int fd;
};

struct held_numbers {
	struct table by_device; /* struct held_number */
	struct held_number **all;
	size_t n;
	struct number_below below[MOST_BELOW];
	size_t n_below;
	bool given_up; /* but for those that must have theirs */
	bool filled;   /* the holes below those that are held */
};

static dev_t number_of(uint32_t device)
{
	return makedev(device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & ~0xffu));
}

static void release_below(struct held_numbers *numbers)
{
	numbers->filled = false;
	while (numbers->n_below)
		close(numbers->below[--numbers->n_below].fd);
}

static int fail_taking(struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot take a device number");
}

static int take_below(struct held_numbers *numbers, struct number_below below, dev_t wanted,
		      size_t most, struct error *err)
{
	if (numbers->n_below < most) {
		numbers->below[numbers->n_below++] = below;
		return 0;
	}
	close(below.fd);
	return fail(err, ERR_LIMIT_TOO_LOW, "more than %zu device numbers are free below %u:%u",
		    most, major(wanted), minor(wanted));
}

/* It was free below another one. */
static int find_below(struct held_numbers *numbers, dev_t wanted)
{
	for (size_t i = 0; i < numbers->n_below; i++) {
		int fd = numbers->below[i].fd;
		if (numbers->below[i].number != wanted)
			continue;
		numbers->below[i] = numbers->below[--numbers->n_below];
		return fd;
	}
	return -1;
}

/*
 * Takes all that is free up to this number; *ret_fd: a file system that has it, -1: it is not free.
 */
static int take_number(struct held_numbers *numbers, dev_t wanted, size_t most, int *ret_fd,
		       struct error *err)
{
	struct stat stat;

	*ret_fd = find_below(numbers, wanted);
	while (*ret_fd < 0) {
		autoclose int fd = mount_new_tmpfs();
		if (fd < 0 || fstat(fd, &stat))
			return fail_taking(err);
		if (minor(stat.st_dev) > minor(wanted))
			return 0;
		if (stat.st_dev == wanted)
			*ret_fd = take_fd(&fd);
		else if (take_below(numbers, (struct number_below){ stat.st_dev, take_fd(&fd) },
				    wanted, most, err))
			return -1;
	}
	return 0;
}

/* What has just ended gives its number back in its own time. */
static int wait_for_number(struct held_numbers *numbers, dev_t wanted, struct error *err)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	int fd = -1;

	for (int i = 0; i < PAUSES; i++) {
		if (take_number(numbers, wanted, MOST_BELOW, &fd, err))
			return -1;
		if (fd >= 0)
			return fd;
		nanosleep(&pause, NULL);
	}
	fail(err, ERR_KERNEL_REFUSED,
	     "device number %u:%u, by which a daemon knows its mount, is taken by somebody",
	     major(wanted), minor(wanted));
	return fail_hint(err, "it can be had when the file system that has it is unmounted; "
			      "/proc/PID/mountinfo shows the numbers of all");
}

/* Made anew, and on no device. A mqueue is made with its ipc namespace, in one of the holes. */
static bool has_number(const MntEntry *entry)
{
	const struct mount_kind *kind = mount_kind_of_entry(entry);

	return kind && kind != &mqueue_mount_kind && !entry->bound_path && !entry->ext_mount &&
	       !entry->held && major(number_of(entry->root_dev)) == 0;
}

static bool must_have_number(const MntEntry *entry)
{
	return mount_kind_of_entry(entry)->numbered;
}

static const MntEntry *next_numbered(const struct snapshot *snapshot, size_t *namespace_,
				     size_t *mount)
{
	for (; *namespace_ < snapshot->n_mount_namespaces; ++*namespace_, *mount = 0)
		while (*mount < snapshot->mount_namespaces[*namespace_]->n_mounts) {
			const MntEntry *entry =
				snapshot->mount_namespaces[*namespace_]->mounts[(*mount)++];
			if (has_number(entry))
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

static struct held_number *find(const struct held_numbers *numbers, uint32_t device)
{
	return table_find(&numbers->by_device, device);
}

static void add(struct held_numbers *numbers, struct arena *arena, uint32_t device, int fd)
{
	struct held_number *held = arena_new(arena, struct held_number);

	*held = (struct held_number){ device, fd, fd >= 0 };
	table_add(&numbers->by_device, arena, device, held);
	numbers->all = arena_grow(arena, numbers->all, numbers->n, sizeof *numbers->all);
	numbers->all[numbers->n++] = held;
}

/* For what has to be open besides numbers. */
static bool leaves_room(int fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd < limit.rlim_cur / 2;
}

/* -1: it is not free, or it and others have to do without. */
static int take_if_free(struct held_numbers *numbers, dev_t wanted)
{
	struct error unimportant = { 0 };
	int fd = -1;

	if (!numbers->given_up)
		numbers->given_up =
			take_number(numbers, wanted, FEW_BELOW, &fd, &unimportant) != 0 ||
			(fd >= 0 && !leaves_room(fd));
	if (numbers->given_up)
		cleanup_close(&fd);
	return fd;
}

static int hold(struct file_opener *opener, struct held_numbers *numbers, bool must,
		struct error *err)
{
	size_t namespace_ = 0, mount = 0;

	for (const MntEntry *entry;
	     (entry = next_numbered(opener->snapshot, &namespace_, &mount));) {
		dev_t wanted = number_of(entry->root_dev);
		if (must_have_number(entry) != must || find(numbers, entry->root_dev))
			continue;
		int fd = must ? wait_for_number(numbers, wanted, err)
			      : take_if_free(numbers, wanted);
		if (must && fd < 0)
			return fail_while(err, "mount %" PRIu32 " (%.200s)", entry->mnt_id,
					  entry->mountpoint);
		add(numbers, opener->arena, entry->root_dev, fd);
	}
	return 0;
}

int mounts_hold_numbers(struct file_opener *opener, struct error *err)
{
	struct held_numbers *numbers = numbers_of(opener);
	int result = hold(opener, numbers, true, err) || hold(opener, numbers, false, err) ? -1 : 0;

	release_below(numbers);
	return result;
}

void mounts_let_number_go(struct file_opener *opener, uint32_t device)
{
	struct held_number *held = find(numbers_of(opener), device);

	if (held)
		cleanup_close(&held->fd);
}

int mounts_free_number(uint32_t device, struct error *err)
{
	struct held_numbers numbers = { 0 };
	dev_t wanted = number_of(device);
	autoclose int fd = wait_for_number(&numbers, wanted, err);
	autoclose int other_fd = -1;

	return fd < 0 ? -1 : take_number(&numbers, wanted, MOST_BELOW, &other_fd, err);
}

int mounts_has_number(struct file_opener *opener, int mount_fd, uint32_t device, struct error *err)
{
	struct held_numbers *numbers = numbers_of(opener);
	dev_t wanted = number_of(device);
	struct stat stat;

	if (fstat(mount_fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at a mount");
	if (stat.st_dev == wanted)
		return 1;
	int fd = minor(stat.st_dev) < minor(wanted) ? fcntl(mount_fd, F_DUPFD_CLOEXEC, 0) : -1;
	return fd >= 0 && take_below(numbers, (struct number_below){ stat.st_dev, fd }, wanted,
				     MOST_BELOW, err)
		       ? -1
		       : 0;
}

/* It was there already, or somebody was faster: what was free for it is a hole now. */
void mounts_number_is_taken(struct file_opener *opener, int mount_fd, uint32_t device)
{
	struct held_numbers *numbers = numbers_of(opener);
	const struct held_number *held = find(numbers, device);
	struct stat stat;

	if (numbers->filled && held && held->was_free &&
	    (fstat(mount_fd, &stat) || stat.st_dev != number_of(device)))
		mounts_fill_holes(opener);
}

void mounts_fill_holes(struct file_opener *opener)
{
	struct held_numbers *numbers = numbers_of(opener);
	struct error unimportant = { 0 };
	struct stat stat;
	unsigned highest = 0;

	numbers->filled = true;
	for (size_t i = 0; i < numbers->n; i++) {
		unsigned number = minor(number_of(numbers->all[i]->device));
		if (numbers->all[i]->fd >= 0 && number > highest)
			highest = number;
	}
	while (highest && numbers->n_below < FEW_HOLES) {
		autoclose int fd = mount_new_tmpfs();
		if (fd < 0 || !leaves_room(fd)) {
			release_below(numbers);
			break;
		}
		if (fstat(fd, &stat) || minor(stat.st_dev) > highest ||
		    take_below(numbers, (struct number_below){ stat.st_dev, take_fd(&fd) },
			       stat.st_dev, FEW_HOLES, &unimportant))
			break;
	}
}

void mounts_release_numbers(struct file_opener *opener)
{
	release_below(numbers_of(opener));
}

void mounts_close_numbers(struct file_opener *opener)
{
	struct held_numbers *numbers = numbers_of(opener);

	release_below(numbers);
	for (size_t i = 0; i < numbers->n; i++)
		cleanup_close(&numbers->all[i]->fd);
}
