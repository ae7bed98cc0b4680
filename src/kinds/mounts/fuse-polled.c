// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is open in a FUSE and has been polled. The kernel has a number for each description, which
 * it tells the driver when it asks whether there is anything (kh of FUSE_POLL); the driver keeps
 * it, and says it when there is (FUSE_NOTIFY_POLL). It is the next one whenever something is opened
 * (fuse_file_alloc), also when that fails. So these are opened before all others of the connection,
 * in the order of their numbers, after as many attempts that fail as it takes; then each is polled
 * once, by which the kernel knows it by its number (fuse_register_polled_file), and so do we.
 *
 * Who waits asks the driver again: calls are made anew, and an instance of epoll that was told that
 * something is wrong (POLLERR) looks again before it says so.
 */
#include "kinds/mounts/fuse.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "kinds/opener.h"
#include "kinds/places.h"

#include <inttypes.h>
#include <stdlib.h>

struct polled {
	size_t place; /* opener_keep */
};

struct polled_files {
	struct table devices; /* of which all are open */
	struct table files;
};

static struct polled_files *polled_of(struct file_opener *opener)
{
	static const char owner;
	void **kept = opener_state(opener, &owner);

	if (!*kept)
		*kept = arena_new(opener->arena, struct polled_files);
	return *kept;
}

static uint32_t device_of(const struct snapshot *snapshot, const RegFileEntry *reg)
{
	return snapshot_mount(snapshot, (uint32_t)reg->mnt_id, NULL, NULL)->root_dev;
}

static bool is_polled(const FileEntry *file)
{
	return file->type == FD_TYPES__REG && file->reg && file->reg->fuse &&
	       file->reg->fuse->has_poll_handle;
}

bool mounts_served_together(const struct snapshot *snapshot, const RegFileEntry *reg,
			    uint32_t *ret_device)
{
	const MntEntry *mount =
		reg && reg->fuse && reg->fuse->has_poll_handle
			? snapshot_mount(snapshot, (uint32_t)reg->mnt_id, NULL, NULL)
			: NULL;

	if (mount)
		*ret_device = mount->root_dev;
	return mount;
}

static int compare(const void *one, const void *other)
{
	uint64_t a = (*(const RegFileEntry *const *)one)->fuse->poll_handle;
	uint64_t b = (*(const RegFileEntry *const *)other)->fuse->poll_handle;

	return a < b ? -1 : a > b;
}

static size_t list_files(const struct file_opener *opener, uint32_t device,
			 const RegFileEntry ***ret_files)
{
	const struct snapshot *snapshot = opener->snapshot;
	const RegFileEntry **files = NULL;
	size_t n = 0;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *file = snapshot->files[i];
		if (!is_polled(file) || device_of(snapshot, file->reg) != device)
			continue;
		files = arena_grow(opener->arena, files, n, sizeof *files);
		files[n++] = file->reg;
	}
	if (n)
		qsort(files, n, sizeof *files, compare);
	*ret_files = files;
	return n;
}

static int open_next(struct file_opener *opener, const RegFileEntry *reg, int flags, uint64_t last,
		     struct error *err)
{
	uint64_t number = reg->fuse->poll_handle;
	uint32_t device = device_of(opener->snapshot, reg);

	if (number <= last || number > FUSE_MOST_OPENED)
		return fail(err, ERR_IMAGE_INVALID,
			    "file %" PRIu32 " (%s) has a number for polling that cannot be",
			    reg->id, reg->name);
	autoclose int fd = fuse_open_and_poll(opener, reg, flags, number - last - 1, err);
	if (fd < 0)
		return -1;
	if (fuse_play_polled(opener, device) != number)
		return fail(err, ERR_KERNEL_REFUSED,
			    "%s cannot be polled by the number by which its driver knows it",
			    reg->name);
	struct polled *polled = arena_new(opener->arena, struct polled);
	polled->place = opener_keep(opener, take_fd(&fd));
	table_add(&polled_of(opener)->files, opener->arena, reg->id, polled);
	return 0;
}

int fuse_open_polled(struct file_opener *opener, const RegFileEntry *reg,
		     int (*flags_of)(const RegFileEntry *reg), int *ret_fd, struct error *err)
{
	struct polled_files *known = polled_of(opener);
	uint32_t device = device_of(opener->snapshot, reg);
	const RegFileEntry **files;
	uint64_t last = 0;

	if (table_add(&known->devices, opener->arena, device, known)) {
		size_t n = list_files(opener, device, &files);
		for (size_t i = 0; i < n; i++) {
			if (opener_make_room(opener, err) ||
			    open_next(opener, files[i], flags_of(files[i]), last, err))
				return -1;
			last = files[i]->fuse->poll_handle;
		}
	}
	const struct polled *polled = table_find(&known->files, reg->id);
	if (!polled)
		return 0;
	*ret_fd = opener_take(opener, polled->place);
	return *ret_fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot take %s", reg->name) : 1;
}
