// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pipes. One pipe has any number of open descriptions, each a read end, a write end or (opened
 * through /proc) both; its own state is its size and its content (pipe-content.c).
 *
 * A pipe may have lost all ends of one side, and is restored so; but when the tree holds none of
 * a side that still exists, somebody outside holds it: refused, unless the caller knows of it
 * (--external). A restore takes the pipe that it is given in its place (--inherit-fd), or makes one
 * whose other side is gone.
 */
#include "kinds/files/files.h"
#include "kinds/opener.h"
#include "kinds/places.h"
#include "kinds/files/pipe-content.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "collect/collect.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* What pipe(2) does not give to its ends and open(2) adds: the kernel's O_LARGEFILE. */
enum { LARGEFILE_FLAG = 0100000 };

enum side { READ_SIDE, WRITE_SIDE };

static bool is_on_side(uint32_t flags, enum side side)
{
	uint32_t access = flags & O_ACCMODE;

	return access == O_RDWR || access == (side == READ_SIDE ? O_RDONLY : O_WRONLY);
}

/* ---- Dump ---- */

struct known_pipe {
	struct known_pipe *next;
	uint32_t id; /* inode number */
	PipeDataEntry *content;
	const struct target *target; /* holds one of its ends: */
	uint32_t number;
	const char *what;
	bool has[2]; /* by side: the tree holds an end of it */
	bool packets;
};

/* Kept over a dump. */
struct known_pipes {
	struct known_pipe *first;
	struct table by_id;
};

static struct known_pipes *known_pipes(struct collect *collect)
{
	void **kept = collect_state(collect, &pipe_kind);

	if (!*kept)
		*kept = arena_new(collect->arena, struct known_pipes);
	return *kept;
}

static bool pipe_recognise(const struct open_file *file)
{
	return S_ISFIFO(file->stat.st_mode) && strncmp(file->link, "pipe:", 5) == 0 &&
	       !(file->flags & O_PATH);
}

static int remember_pipe(const struct open_file *file, struct known_pipe **ret_pipe,
			 struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_pipes *known = known_pipes(collect);
	struct known_pipe *pipe = arena_new(collect->arena, struct known_pipe);

	pipe->next = known->first;
	pipe->id = (uint32_t)file->stat.st_ino;
	pipe->target = file->target;
	pipe->number = file->number;
	pipe->what = file->what;
	if (pipe_content_collect(file, IMAGE_PIPES_DATA, pipe->id, &pipe->content, err))
		return -1;
	known->first = pipe;
	table_add(&known->by_id, collect->arena, pipe->id, pipe);
	*ret_pipe = pipe;
	return 0;
}

static int pipe_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_pipe *pipe =
		table_find(&known_pipes(collect)->by_id, (uint32_t)file->stat.st_ino);

	if (!pipe && remember_pipe(file, &pipe, err))
		return -1;
	for (enum side side = READ_SIDE; side <= WRITE_SIDE; side++)
		pipe->has[side] |= is_on_side(file->flags, side);
	pipe->packets |= is_on_side(file->flags, WRITE_SIDE) && (file->flags & O_DIRECT);
	entry->pipe = snapshot_new(collect->snapshot, PIPE_ENTRY, PipeEntry);
	entry->pipe->id = file->id;
	entry->pipe->pipe_id = pipe->id;
	entry->pipe->flags = file->flags;
	return 0;
}

/*
 * Whether the side that the tree holds no end of exists. The kernel tells by poll, to a
 * description of the other side that was there before: POLLHUP to readers without a writer,
 * POLLERR to writers without a reader. Returns 0 or 1, or -1 with err.
 */
static int has_ends_outside(const struct known_pipe *pipe, enum side missing, struct error *err)
{
	autoclose int fd = target_get_fd(pipe->target, pipe->number);
	struct pollfd state = { .fd = fd, .events = POLLIN | POLLOUT };

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot get the descriptor",
				  pipe->what);
	if (poll(&state, 1, 0) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot poll the pipe", pipe->what);
	return !(state.revents & (missing == WRITE_SIDE ? POLLHUP : POLLERR));
}

static int complete_pipe(struct collect *collect, const struct known_pipe *pipe, struct error *err)
{
	bool told = mounts_tell_by_pipe(collect, pipe->id);

	for (enum side side = READ_SIDE; side <= WRITE_SIDE; side++) {
		bool known = pipe->has[side] || (side == WRITE_SIDE && told);
		int outside = known ? 0 : has_ends_outside(pipe, side, err);
		if (outside < 0)
			return -1;
		if (outside &&
		    !externals_find_number(collect->options->externals, EXTERNAL_PIPE, pipe->id))
			collect_refuse_file(collect,
					    "%s is a pipe whose %s end is outside of the tree: "
					    "allow it with --external pipe[%u]",
					    pipe->what, side == READ_SIDE ? "read" : "write",
					    pipe->id);
	}
	/* One read that gave all there is may have been of a packet, or not. */
	if (pipe->content->n_packets == 1 && !pipe->packets && !told)
		pipe->content->n_packets = 0;
	return 0;
}

static int pipe_complete(struct collect *collect, struct error *err)
{
	for (const struct known_pipe *pipe = known_pipes(collect)->first; pipe; pipe = pipe->next)
		if (complete_pipe(collect, pipe, err))
			return -1;
	return 0;
}

/* ---- Restore ---- */

struct made_pipe {
	uint32_t entries[2]; /* by side: how many the tree has */
	bool is_made;
	size_t place[2];  /* by side: the ends that pipe2 gave, kept until all files are open */
	bool is_taken[2]; /* by side: its description was given to an entry */
	int given;	  /* a descriptor of the caller's for the whole of it; -1: none */
};

static int given_pipe(const struct file_opener *opener, uint32_t id)
{
	char key[32];

	snprintf(key, sizeof key, "pipe[%u]", id);
	return externals_fd(opener->externals, key);
}

static int pipe_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const PipeEntry *pipe = entry->pipe;

	if (!pipe || pipe->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a pipe", entry->id);
	if ((pipe->flags & O_ACCMODE) == O_ACCMODE)
		return fail(err, ERR_IMAGE_INVALID, "pipe %u (file %u) is open for nothing",
			    pipe->pipe_id, entry->id);
	const struct record *record = snapshot_record(snapshot, IMAGE_PIPES_DATA, pipe->pipe_id);
	return record ? pipe_content_check(record, err) : 0;
}

/* A description for both is opened by the one for reading. */
static enum side side_of(const PipeEntry *entry)
{
	return is_on_side(entry->flags, READ_SIDE) ? READ_SIDE : WRITE_SIDE;
}

/* Another description of a pipe, by a descriptor of any end; -1 with errno. */
static int open_again(int fd, int flags)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return open(self, flags | O_NONBLOCK | O_CLOEXEC);
}

static bool has_reader(const struct snapshot *snapshot, uint32_t id)
{
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (snapshot->files[i]->type == FD_TYPES__PIPE &&
		    snapshot->files[i]->pipe->pipe_id == id &&
		    is_on_side(snapshot->files[i]->pipe->flags, READ_SIDE))
			return true;
	return false;
}

/*
 * What the tree had not read yet goes into the pipe that it is given, unless that is the very pipe,
 * which has kept it. What somebody outside had not read is theirs.
 */
static int fill_given(const struct file_opener *opener, int fd, uint32_t id, struct error *err)
{
	const struct record *content = snapshot_record(opener->snapshot, IMAGE_PIPES_DATA, id);
	struct stat stat;
	int waiting = 0;

	if (!content || !((const PipeDataEntry *)content->message)->bytes ||
	    !has_reader(opener->snapshot, id))
		return 0;
	if (fstat(fd, &stat) < 0 || ioctl(fd, FIONREAD, &waiting) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at descriptor %d", fd);
	if (stat.st_ino == id && waiting)
		return 0;
	if (waiting)
		return fail(err, ERR_USAGE,
			    "descriptor %d, given for pipe %u: there are %d bytes in it, and the "
			    "tree had some to read before them",
			    fd, id, waiting);
	autoclose int write_fd = open_again(fd, O_WRONLY);
	if (write_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot write to descriptor %d", fd);
	return pipe_content_fill(write_fd, content, err);
}

static int take_given(struct file_opener *opener, struct made_pipe *pipe, int fd, uint32_t id,
		      struct error *err)
{
	struct stat stat;

	if (fstat(fd, &stat) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at descriptor %d", fd);
	if (!S_ISFIFO(stat.st_mode))
		return fail(err, ERR_USAGE, "descriptor %d, given for pipe %u, is no pipe", fd, id);
	pipe->given = fd;
	pipe->is_made = true;
	return fill_given(opener, fd, id, err);
}

static int make_pipe(struct file_opener *opener, struct made_pipe *pipe, uint32_t id,
		     struct error *err)
{
	const struct record *content = snapshot_record(opener->snapshot, IMAGE_PIPES_DATA, id);
	int ends[2], given = given_pipe(opener, id);

	if (given >= 0)
		return take_given(opener, pipe, given, id, err);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot create pipe %u", id);
	pipe->given = -1;
	pipe->is_made = true;
	for (enum side side = READ_SIDE; side <= WRITE_SIDE; side++)
		pipe->place[side] = opener_keep(opener, ends[side]);
	return content ? pipe_content_fill(ends[WRITE_SIDE], content, err) : 0;
}

static struct table *count_pipes(struct file_opener *opener)
{
	const struct snapshot *snapshot = opener->snapshot;
	struct table *pipes = arena_new(opener->arena, struct table);

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const PipeEntry *entry = snapshot->files[i]->pipe;
		if (snapshot->files[i]->type != FD_TYPES__PIPE)
			continue;
		struct made_pipe *pipe = table_find(pipes, entry->pipe_id);
		if (!pipe) {
			pipe = arena_new(opener->arena, struct made_pipe);
			table_add(pipes, opener->arena, entry->pipe_id, pipe);
		}
		pipe->entries[side_of(entry)]++;
	}
	return pipes;
}

static struct made_pipe *find_or_make(struct file_opener *opener, uint32_t id, struct error *err)
{
	void **kept = opener_state(opener, &pipe_kind);

	if (!*kept)
		*kept = count_pipes(opener);
	struct made_pipe *pipe = table_find(*kept, id);
	return pipe->is_made || !make_pipe(opener, pipe, id, err) ? pipe : NULL;
}

/*
 * The description that pipe2 made for this side, or a new one through /proc. The first goes to
 * the entry that pipe(2) made in the tree, which has no O_LARGEFILE. It is duplicated where the
 * kept descriptor is needed to open more.
 */
static int open_end(struct file_opener *opener, struct made_pipe *pipe, const PipeEntry *entry,
		    struct error *err)
{
	enum side side = side_of(entry);
	bool is_original = pipe->given < 0 && !(entry->flags & LARGEFILE_FLAG) &&
			   (entry->flags & O_ACCMODE) != O_RDWR && !pipe->is_taken[side];
	int fd, kept;

	if (is_original && pipe->entries[side] == 1) {
		fd = opener_take(opener, pipe->place[side]);
	} else {
		kept = pipe->given >= 0 ? pipe->given : opener_kept(opener, pipe->place[side]);
		fd = is_original ? fcntl(kept, F_DUPFD_CLOEXEC, 3)
				 : open_again(kept, (int)(entry->flags & O_ACCMODE));
	}
	pipe->is_taken[side] |= is_original;
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open an end of pipe %u",
				  entry->pipe_id);
	return fd;
}

/* An end of a pipe for the first time: both sides are kept. */
static struct file_cost pipe_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	(void)snapshot;
	(void)entry;
	return (struct file_cost){ .kept = 2 };
}

static int pipe_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const PipeEntry *end = entry->pipe;
	struct made_pipe *pipe = find_or_make(opener, end->pipe_id, err);

	autoclose int fd = pipe ? open_end(opener, pipe, end, err) : -1;
	if (fd < 0)
		return -1;
	/* O_DIRECT is EINVAL for open on a pipe, but not for F_SETFL. */
	if (fcntl(fd, F_SETFL, (int)(end->flags & (O_NONBLOCK | O_DIRECT | O_APPEND))) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set the flags of pipe %u",
				  end->pipe_id);
	return take_fd(&fd);
}

static void pipe_describe(const FileEntry *entry, char *text, size_t room)
{
	static const char *const ends[] = { "read end", "write end", "both ends", "no end" };

	snprintf(text, room, "pipe %u %s", entry->pipe->pipe_id,
		 ends[entry->pipe->flags & O_ACCMODE]);
}

static void pipe_meets(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "pipe %u", entry->pipe->pipe_id);
}

static struct file_fields pipe_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->pipe->fown, &entry->pipe->flags };
}

const struct file_kind pipe_kind = {
	.name = "pipe",
	.type = FD_TYPES__PIPE,
	.recognise = pipe_recognise,
	.collect = pipe_collect,
	.check = pipe_check,
	.cost = pipe_cost,
	.open = pipe_open,
	.describe = pipe_describe,
	.meets = pipe_meets,
	.fields = pipe_fields,
	.complete = pipe_complete,
};
