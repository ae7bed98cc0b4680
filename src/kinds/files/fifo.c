// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Named pipes. Each description is an end, opened by a path, which has a record of its own, of the
 * kind of regular files, in the images; what is in the pipe lives only as long as somebody has an
 * end of it. Ends that are open elsewhere are nobody's business: whoever has the path may open
 * more.
 *
 * Before any end is opened, one of both sides is kept, so that no open waits for another, and the
 * content is there when the first comes. If there is some already, somebody else has kept the pipe
 * from before, and it is not for us to say whether that was read: refused. An unlinked one is made
 * again with the first of its ends (ghost-open.c), and is nobody else's. One whose name is gone
 * while it has another (a hard link) is found by that (linked.c).
 *
 * A read end that was opened without waiting (O_NONBLOCK) when nobody wrote is told of no end
 * (POLLHUP) before somebody has (fifo_open, fs/pipe.c). So it is opened when there is nobody again,
 * which is only done where all ends of a pipe that has a name are such: else it is told so.
 */
#include "kinds/files/files.h"
#include "kinds/files/ghost.h"
#include "kinds/files/linked.h"
#include "kinds/opener.h"
#include "kinds/files/pipe-content.h"
#include "kinds/files/regular.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Dump ---- */

/* Kept over a dump. */
struct known_fifos {
	struct table by_inode;
	uint32_t last_id;
	struct pending_fifo {
		struct pending_fifo *next;
		const struct open_file *file;
		uint32_t id;
		struct fifo_end {
			struct fifo_end *next;
			FifoEntry *entry;
		} * ends;
		bool was_written; /* or may have been: one of the ends does not await that */
	} * pending;		  /* what they hold is to be read */
};

static bool fifo_recognise(const struct open_file *file)
{
	return S_ISFIFO(file->stat.st_mode) && file->link[0] == '/' && !(file->flags & O_PATH);
}

static struct pending_fifo *find_pipe(const struct open_file *file)
{
	struct collect *collect = file->target->collect;
	void **kept = collect_state(collect, &fifo_kind);
	uint64_t key = (uint64_t)file->stat.st_dev << 40 ^ (uint64_t)file->stat.st_ino;

	if (!*kept)
		*kept = arena_new(collect->arena, struct known_fifos);
	struct known_fifos *known = *kept;
	struct pending_fifo *pipe = table_find(&known->by_inode, key);
	if (pipe)
		return pipe;
	pipe = arena_new(collect->arena, struct pending_fifo);
	*pipe = (struct pending_fifo){ .next = known->pending,
				       .file = collect_keep_file(file),
				       .id = ++known->last_id };
	table_add(&known->by_inode, collect->arena, key, pipe);
	known->pending = pipe;
	return pipe;
}

/* By what tee(2) says of an empty pipe: with a writer somewhere, that it may be tried again. */
static int has_no_writer(const struct open_file *file, int fd, struct error *err)
{
	int copy[2];

	if (pipe2(copy, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot create a pipe");
	ssize_t copied = tee(fd, copy[1], 1, SPLICE_F_NONBLOCK);
	int failure = copied < 0 ? errno : 0;
	close(copy[0]);
	close(copy[1]);
	errno = failure;
	if (failure && failure != EAGAIN)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look into the pipe",
				  file->what);
	return copied == 0;
}

static int awaits_writer(const struct open_file *file, struct error *err)
{
	if ((file->flags & O_ACCMODE) != O_RDONLY || !file->stat.st_nlink)
		return 0;
	int fd = collect_borrow_file(file, err);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	if (fd < 0)
		return -1;
	int count = poll(&ready, 1, 0);
	if (count < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot poll it", file->what);
	return count ? 0 : has_no_writer(file, fd, err);
}

static int note_end(const struct open_file *file, FifoEntry *entry, struct error *err)
{
	struct pending_fifo *pipe = find_pipe(file);
	struct fifo_end *end = arena_new(file->target->collect->arena, struct fifo_end);
	int awaits = awaits_writer(file, err);

	if (awaits < 0)
		return -1;
	entry->pipe_id = pipe->id;
	entry->has_awaits_writer = entry->awaits_writer = awaits;
	pipe->was_written |= !awaits;
	*end = (struct fifo_end){ pipe->ends, entry };
	pipe->ends = end;
	return 0;
}

/* To read it it is opened once more: whoever watches it, and has been looked at by now, is told. */
static int fifo_complete(struct collect *collect, struct error *err)
{
	const struct known_fifos *known = *collect_state(collect, &fifo_kind);
	PipeDataEntry *content;

	for (const struct pending_fifo *at = known ? known->pending : NULL; at; at = at->next) {
		if (pipe_content_collect(at->file, IMAGE_FIFO_DATA, at->id, &content, err))
			return -1;
		for (const struct fifo_end *end = at->ends; end && at->was_written; end = end->next)
			end->entry->has_awaits_writer = end->entry->awaits_writer = false;
		/* Whether one read was of a packet is known to who writes: O_DIRECT. */
		if (content->n_packets == 1 && !(at->file->flags & O_DIRECT))
			content->n_packets = 0;
	}
	return 0;
}

static int fifo_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	FifoEntry *fifo = snapshot_new(collect->snapshot, FIFO_ENTRY, FifoEntry);
	uint32_t named = ++collect->next_file_id;

	entry->fifo = fifo;
	fifo->id = file->id;
	fifo->has_flags = true;
	fifo->flags = file->flags;
	fifo->has_regf_id = true;
	fifo->regf_id = named;
	if (regular_collect_name(file, file->flags & ~(uint32_t)O_ASYNC, named, err))
		return -1;
	return note_end(file, fifo, err);
}

/* ---- Restore ---- */

static const FileEntry *name_of(const struct snapshot *snapshot, const FileEntry *entry)
{
	return entry->fifo->has_regf_id ? regular_named(snapshot, entry->fifo->regf_id) : NULL;
}

static const RegFileEntry *named_by(const struct snapshot *snapshot, const FileEntry *entry)
{
	const FileEntry *named = name_of(snapshot, entry);

	return named ? named->reg : NULL;
}

static bool is_unlinked(const struct snapshot *snapshot, const FileEntry *entry)
{
	return ghost_of(snapshot, name_of(snapshot, entry)) != NULL;
}

/* The record of a name that leads to it: its own, or another where that is gone. */
static const RegFileEntry *path_of(const struct snapshot *snapshot, const FileEntry *entry)
{
	const RegFileEntry *other = linked_of(snapshot, name_of(snapshot, entry));

	return other ? other : named_by(snapshot, entry);
}

static int fifo_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	if (!entry->fifo || entry->fifo->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a named pipe",
			    entry->id);
	if (!named_by(snapshot, entry))
		return fail(err, ERR_IMAGE_INVALID, "file %u is a named pipe without a name",
			    entry->id);
	if (entry->fifo->awaits_writer &&
	    ((entry->fifo->flags & O_ACCMODE) != O_RDONLY || is_unlinked(snapshot, entry)))
		return fail(err, ERR_IMAGE_INVALID, "file %u cannot await that somebody writes",
			    entry->id);
	const struct record *record =
		snapshot_record(snapshot, IMAGE_FIFO_DATA, entry->fifo->pipe_id);
	return record ? pipe_content_check(record, err) : 0;
}

static int verify_type(const char *name, int fd, struct stat *ret_found, struct error *err)
{
	if (fstat(fd, ret_found) < 0)
		return fail_errno(err, ERR_IO, "cannot read the attributes of %s", name);
	if (!S_ISFIFO(ret_found->st_mode))
		return fail(err, ERR_FILE_CHANGED, "%s was a named pipe and is none now", name);
	return 0;
}

/* What stands there may be something else by now, whose opening waits, or does harm. */
static int open_path(const struct file_opener *opener, const RegFileEntry *named, int flags,
		     struct error *err)
{
	struct stat found;
	autoclose int path_fd = regular_open_path(opener, named, O_PATH | (flags & O_NOFOLLOW));

	if (path_fd < 0)
		return fail_errno(err, errno == ENOENT ? ERR_FILE_MISSING : ERR_IO,
				  "%s, a named pipe that the tree has open", named->name);
	if (verify_type(named->name, path_fd, &found, err))
		return -1;
	if (flags & O_PATH)
		return take_fd(&path_fd);
	/* Only a name can be opened with O_NOFOLLOW, which descriptions show. */
	autoclose int fd = flags & O_NOFOLLOW ? regular_open_path(opener, named, flags | O_NOCTTY)
					      : opener_reopen(path_fd, flags);
	if (fd < 0 || opener_settle(fd, flags, &found) < 0)
		return fail_errno(err, ERR_IO, "cannot open the named pipe %s", named->name);
	return take_fd(&fd);
}

static int fifo_verify(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const RegFileEntry *named = named_by(opener->snapshot, entry);

	/* What lies in a namespace of the tree is looked at when that is made. */
	if (regular_is_inside(opener->snapshot, named) || is_unlinked(opener->snapshot, entry))
		return 0;
	autoclose int fd = open_path(opener, path_of(opener->snapshot, entry), O_PATH, err);
	return fd < 0 ? -1 : 0;
}

static enum file_way fifo_way(const struct snapshot *snapshot, const FileEntry *entry)
{
	return regular_is_inside(snapshot, named_by(snapshot, entry)) ? FILE_LATE : FILE_EARLY;
}

/* Fills the pipe the first time. */
static int fill(struct file_opener *opener, const FileEntry *entry, int fd, struct error *err)
{
	const struct record *content =
		snapshot_record(opener->snapshot, IMAGE_FIFO_DATA, entry->fifo->pipe_id);
	void **filled = opener_state(opener, &fifo_kind);
	int bytes = 0;

	if (!*filled)
		*filled = arena_new(opener->arena, struct table);
	if (table_find(*filled, entry->fifo->pipe_id))
		return 0;
	if (ioctl(fd, FIONREAD, &bytes) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell what waits in it",
				  named_by(opener->snapshot, entry)->name);
	if (bytes)
		return fail(err, ERR_FILE_CHANGED,
			    "%s holds %d bytes already: somebody has it open from before",
			    named_by(opener->snapshot, entry)->name, bytes);
	if (content && pipe_content_fill(fd, content, err))
		return -1;
	table_add(*filled, opener->arena, entry->fifo->pipe_id, entry->fifo);
	return 0;
}

/*
 * An end of both sides, without which one of one side cannot be opened. It is closed as soon as
 * that is: whoever watches the file would be told later. An unlinked one is reached by the end
 * that is open already.
 */
static int open_both(struct file_opener *opener, const FileEntry *entry, int end_fd,
		     struct error *err)
{
	const RegFileEntry *named = named_by(opener->snapshot, entry);
	autoclose int fd = end_fd < 0 ? open_path(opener, path_of(opener->snapshot, entry),
						  O_RDWR | O_NONBLOCK, err)
				      : opener_reopen(end_fd, O_RDWR | O_NONBLOCK);

	if (fd < 0)
		return end_fd < 0 ? -1
				  : fail_errno(err, ERR_IO, "cannot open the named pipe %s again",
					       named->name);
	return fill(opener, entry, fd, err) ? -1 : take_fd(&fd);
}

static int fifo_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const RegFileEntry *named = named_by(opener->snapshot, entry);
	bool unlinked = is_unlinked(opener->snapshot, entry);
	autoclose int fd =
		unlinked ? ghost_open(opener, name_of(opener->snapshot, entry), err) : -1;

	if (unlinked && fd < 0)
		return -1;
	autoclose int both = entry->fifo->awaits_writer ? -1 : open_both(opener, entry, fd, err);
	if (both < 0 && !entry->fifo->awaits_writer)
		return -1;
	if (!unlinked)
		fd = linked_of(opener->snapshot, name_of(opener->snapshot, entry))
			     ? linked_open(opener, name_of(opener->snapshot, entry), err)
			     : open_path(opener, named,
					 (regular_open_flags(named) & ~O_DIRECT) | O_NONBLOCK, err);
	if (fd < 0 || (both < 0 && fill(opener, entry, fd, err)))
		return -1;
	if (opener_set_flags(fd, named->flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set the flags of %s",
				  named->name);
	return take_fd(&fd);
}

/* The end of both sides. */
static struct file_cost fifo_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	(void)snapshot;
	(void)entry;
	return (struct file_cost){ .meanwhile = 1 };
}

static void fifo_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "named pipe %u", entry->fifo->pipe_id);
}

static void fifo_meets(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "named pipe %u", entry->fifo->pipe_id);
}

static struct file_fields fifo_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->fifo->fown, &entry->fifo->flags };
}

const struct file_kind fifo_kind = {
	.name = "named pipe",
	.type = FD_TYPES__FIFO,
	.recognise = fifo_recognise,
	.collect = fifo_collect,
	.complete = fifo_complete,
	.check = fifo_check,
	.verify = fifo_verify,
	.way = fifo_way,
	.cost = fifo_cost,
	.open = fifo_open,
	.describe = fifo_describe,
	.meets = fifo_meets,
	.fields = fifo_fields,
};
