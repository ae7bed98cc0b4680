// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The content of a pipe is copied with tee(2), which leaves it where it is. Buffers are copied one
 * for one, with the mark that makes a packet of one (O_DIRECT, pipe(2)): a read ends with such a
 * buffer. So the copy shows the borders of packets by what each read gives; a write with O_DIRECT
 * makes them again. A stream comes by one read, as far as it goes.
 */
#include "kinds/files/pipe-content.h"

#include "base/cleanup.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Of what tee put into our own pipe, which is not blocking. */
static ssize_t drain(int fd, struct arena *arena, uint8_t *bytes, size_t size, PipeDataEntry *entry)
{
	size_t length = 0;

	while (length < size) {
		ssize_t got = read(fd, bytes + length, size - length);
		if (got < 0 && errno == EAGAIN)
			break;
		if (got < 0)
			return -1;
		length += (size_t)got;
		entry->packets =
			arena_grow(arena, entry->packets, entry->n_packets, sizeof *entry->packets);
		entry->packets[entry->n_packets++] = (uint32_t)got;
	}
	return (ssize_t)length;
}

/* However little each buffer holds, our pipe needs as many (the same size). */
static int copy_content(const struct open_file *file, PipeDataEntry *entry, uint8_t *bytes,
			struct error *err)
{
	struct arena *arena = file->target->collect->arena;
	int ends[2];

	/* Of our own for the moment: the task may hold write ends only. It is a reader, which
	 * nobody notices while the tree stands still. */
	autoclose int source = target_open(file->target, file->proc_name, O_RDONLY | O_NONBLOCK);
	if (source < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot open the pipe", file->what);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot create a pipe");
	autoclose int copy_read = ends[0], copy_write = ends[1];
	if (fcntl(copy_write, F_SETPIPE_SZ, (int)entry->size) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot make another pipe of %u bytes to copy it", file->what,
				  entry->size);
	if (tee(source, copy_write, entry->bytes, SPLICE_F_NONBLOCK) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot copy the content of the pipe", file->what);
	ssize_t length = drain(copy_read, arena, bytes, entry->bytes, entry);
	if (length < 0)
		return fail_errno(err, ERR_IO, "%s: cannot read the copy of the pipe", file->what);
	if ((size_t)length != entry->bytes)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: only %zd of the %u bytes in the pipe could be copied", file->what,
			    length, entry->bytes);
	return 0;
}

/* Either end tells them (pipefifo_fops has one ioctl for all). */
static int read_sizes(const struct open_file *file, int *ret_capacity, int *ret_size,
		      struct error *err)
{
	int fd = collect_borrow_file(file, err), size = 0;

	if (fd < 0)
		return -1;
	int capacity = fcntl(fd, F_GETPIPE_SZ);
	if (capacity < 0 || ioctl(fd, FIONREAD, &size) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read the size of the pipe",
				  file->what);
	*ret_capacity = capacity;
	*ret_size = size;
	return 0;
}

int pipe_content_collect(const struct open_file *file, enum image_kind image, uint32_t id,
			 PipeDataEntry **ret_entry, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	int size = 0, capacity = 0;

	/* A reader more would be noticed by those who run. */
	if (file->target->collect->looking) {
		*ret_entry = snapshot_new(snapshot, PIPE_DATA_ENTRY, PipeDataEntry);
		return 0;
	}
	if (read_sizes(file, &capacity, &size, err))
		return -1;
	PipeDataEntry *entry = snapshot_new(snapshot, PIPE_DATA_ENTRY, PipeDataEntry);
	uint8_t *bytes = arena_alloc(snapshot->arena, (size_t)size + 1);
	entry->pipe_id = id;
	entry->bytes = (uint32_t)size;
	entry->has_size = true;
	entry->size = (uint32_t)capacity;
	if (size > 0 && copy_content(file, entry, bytes, err))
		return -1;
	struct record *record = snapshot_add_record(snapshot, image, id, entry);
	record->payload = bytes;
	record->payload_size = (size_t)size;
	*ret_entry = entry;
	return 0;
}

int pipe_content_check(const struct record *record, struct error *err)
{
	const PipeDataEntry *content = record->message;
	uint64_t sum = 0;

	if (content->has_size && content->bytes > content->size)
		return fail(err, ERR_IMAGE_INVALID, "pipe %u holds %u bytes, its size is %u",
			    content->pipe_id, content->bytes, content->size);
	for (size_t i = 0; i < content->n_packets; i++)
		sum += content->packets[i];
	if (content->n_packets && sum != content->bytes)
		return fail(err, ERR_IMAGE_INVALID,
			    "pipe %u holds %u bytes, and its packets %" PRIu64, content->pipe_id,
			    content->bytes, sum);
	return 0;
}

static int write_whole(int write_fd, const PipeDataEntry *entry, const uint8_t *bytes,
		       uint32_t size, struct error *err)
{
	ssize_t written = write(write_fd, bytes, size);

	if (written < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fill pipe %u", entry->pipe_id);
	if ((size_t)written != size)
		return fail(err, ERR_IMAGE_INVALID, "pipe %u does not hold its %u bytes",
			    entry->pipe_id, entry->bytes);
	return 0;
}

static int write_packets(int write_fd, const PipeDataEntry *entry, const uint8_t *bytes,
			 struct error *err)
{
	int flags = fcntl(write_fd, F_GETFL);

	if (flags < 0 || fcntl(write_fd, F_SETFL, flags | O_DIRECT) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fill pipe %u", entry->pipe_id);
	for (size_t i = 0; i < entry->n_packets; i++) {
		if (write_whole(write_fd, entry, bytes, entry->packets[i], err))
			return -1;
		bytes += entry->packets[i];
	}
	return fcntl(write_fd, F_SETFL, flags) < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot fill pipe %u", entry->pipe_id)
		       : 0;
}

int pipe_content_fill(int write_fd, const struct record *record, struct error *err)
{
	const PipeDataEntry *entry = record->message;

	if (entry->has_size && entry->size && fcntl(write_fd, F_GETPIPE_SZ) != (int)entry->size &&
	    fcntl(write_fd, F_SETPIPE_SZ, (int)entry->size) < 0) {
		fail_errno(err, ERR_LIMIT_TOO_LOW, "cannot set the size of pipe %u to %u bytes",
			   entry->pipe_id, entry->size);
		return fail_hint(err, "raise /proc/sys/fs/pipe-max-size");
	}
	if (entry->n_packets)
		return write_packets(write_fd, entry, record->payload, err);
	return entry->bytes ? write_whole(write_fd, entry, record->payload, entry->bytes, err) : 0;
}
