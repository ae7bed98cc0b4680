// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptor tables and open file descriptions, from outside: /proc/PID/fd and fdinfo say what a
 * descriptor refers to; which of them refer to the same description, descriptions.c finds out.
 *
 * Which kind a description is, and what else belongs to it, is for the kinds to say. What is
 * refused is left out, and looking goes on, so that one dump tells all reasons against it.
 */
#include "collect/collect.h"
#include "collect/descriptions.h"
#include "collect/file.h"
#include "collect/read-ahead.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/numbers.h"
#include "base/procfs.h"
#include "kinds/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOK_EVERY = 256 };

/* A descriptor of ours of what is on its way to a task. */
struct flight {
	struct flight *next;
	int fd;
	const char *what;
	uint32_t *ret_file_id;
};

struct files_state {
	struct flight *flights, *last_flight;
};

static struct files_state *state_of(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);
	struct files_state *state = *kept;

	if (!state) {
		state = arena_new(collect->arena, struct files_state);
		*kept = state;
	}
	return state;
}

/* ---- Descriptor tables ---- */

static void add_descriptor(struct target *target, struct descriptor_table *table, uint32_t number,
			   bool close_on_exec, uint32_t id, FdTypes type)
{
	struct snapshot *snapshot = target->collect->snapshot;
	FdinfoEntry *entry = snapshot_new(snapshot, FDINFO_ENTRY, FdinfoEntry);

	entry->fd = number;
	entry->id = id;
	entry->type = type;
	entry->flags = close_on_exec ? FD_CLOEXEC : 0;
	snapshot_add_descriptor(snapshot, table, entry);
}

/*
 * The parent's descriptor of the same number, if it is the same description: no need to look at
 * it again. `cursor` walks along the parent's table, which is in order of number.
 */
static int find_inherited(struct target *target, size_t index, size_t *cursor,
			  const FdinfoEntry **ret_inherited, struct error *err)
{
	uint32_t number = target->descriptors[index];
	const struct target *parent = target->parent;
	const struct descriptor_table *table = parent && parent->task ? parent->task->table : NULL;

	*ret_inherited = NULL;
	if (!table || table == target->task->table)
		return 0;
	while (*cursor < table->n_descriptors && table->descriptors[*cursor]->fd < number)
		++*cursor;
	if (*cursor == table->n_descriptors || table->descriptors[*cursor]->fd != number)
		return 0;
	int inherits = target_inherits(target, index, err);
	if (inherits < 0)
		return -1;
	if (inherits)
		*ret_inherited = table->descriptors[*cursor];
	return 0;
}

static int look_up_description(struct open_file *file, struct description *ret, struct error *err)
{
	struct description *description = NULL;
	bool is_new = false;

	if (open_file_read_link(file, err))
		return -1;
	file->what =
		file->target->held_for
			? arena_printf(file->target->collect->arena,
				       "%s: a descriptor on its way to it (%s)",
				       file->target->held_for, file->link)
			: arena_printf(file->target->collect->arena, "pid %d: descriptor %u (%s)",
				       file->target->pid, file->number, file->link);
	if (description_find(file, &description, &is_new, err))
		return -1;
	/* One that is refused keeps id 0. */
	int failed = is_new && open_file_collect(file, description, err);
	kept_fd_close(&file->target->collect->borrowed);
	if (failed && collect_pass(file->target->collect, err))
		return -1;
	*ret = *description;
	return 0;
}

static int collect_held(const struct open_file *file, uint32_t id, struct error *err)
{
	for (const struct file_aspect *const *aspect = kinds.aspects; *aspect; aspect++)
		if ((*aspect)->held && (*aspect)->held(file, id, err) &&
		    collect_pass(file->target->collect, err))
			return -1;
	return 0;
}

/* From the lines of fdinfo that all have. */
static struct open_file file_of_fdinfo(struct target *target, uint32_t number, const char *fdinfo,
				       const char *fd_name)
{
	uint32_t flags = (uint32_t)procfs_value(fdinfo, "flags:", 8);

	return (struct open_file){
		.target = target,
		.number = number,
		.flags = flags & ~(uint32_t)O_CLOEXEC,
		.position = procfs_value(fdinfo, "pos:", 10),
		.mount_id = (int64_t)procfs_value(fdinfo, "mnt_id:", 10),
		.fdinfo = fdinfo,
		.proc_name = fd_name,
	};
}

static int collect_descriptor(struct target *target, size_t index, size_t *cursor,
			      struct error *err)
{
	struct descriptor_table *table = target->task->table;
	uint32_t number = target->descriptors[index];
	const FdinfoEntry *inherited;
	char fd_name[32], buffer[1024];

	snprintf(fd_name, sizeof fd_name, "fd/%u", number);
	if (find_inherited(target, index, cursor, &inherited, err))
		return -1;
	const char *fdinfo = open_file_read_fdinfo(target, number, buffer, sizeof buffer, err);
	if (!fdinfo)
		return -1;
	bool close_on_exec = (procfs_value(fdinfo, "flags:", 8) & O_CLOEXEC) != 0;
	struct open_file file = file_of_fdinfo(target, number, fdinfo, fd_name);
	if (inherited) {
		add_descriptor(target, table, number, close_on_exec, inherited->id,
			       inherited->type);
		return collect_held(&file, inherited->id, err);
	}
	struct description description;
	if (look_up_description(&file, &description, err))
		return -1;
	if (!description.id)
		return 0;
	add_descriptor(target, table, number, close_on_exec, description.id, description.type);
	return collect_held(&file, description.id, err);
}

static void *ask_ahead(int fd)
{
	void *asked = NULL;

	for (const struct file_kind *const *kind = kinds.files; *kind && !asked; kind++)
		asked = (*kind)->ask_ahead ? (*kind)->ask_ahead(fd) : NULL;
	return asked;
}

int target_descriptors(struct target *target, const uint32_t **ret_numbers, size_t *ret_count,
		       struct error *err)
{
	/* Whoever asked first may have left it to others to say so. */
	if (target->descriptors_error) {
		*err = *target->descriptors_error;
		return -1;
	}
	if (!target->descriptors_listed) {
		autoclosedir DIR *dir =
			listing_of(target_open(target, "fdinfo", O_RDONLY | O_DIRECTORY));
		const char *name;

		/*
		 * /proc lists descriptors in order of number; and here rather than in fd/, as it
		 * makes an inode for each name that it lists, which reading fdinfo needs anyway.
		 */
		target->n_descriptors = 0;
		while (listing_next(dir, &name)) {
			target->descriptors =
				arena_grow(target->collect->arena, target->descriptors,
					   target->n_descriptors, sizeof *target->descriptors);
			target->descriptors[target->n_descriptors++] =
				(uint32_t)strtoul(name, NULL, 10);
			read_ahead_descriptors(target, false, ask_ahead);
		}
		if (errno) {
			fail_errno(err, procfs_error(errno), "cannot read /proc/%d/fd",
				   target->pid);
			target->descriptors_error =
				arena_copy(target->collect->arena, err, sizeof *err);
			return -1;
		}
		target->descriptors_listed = true;
		read_ahead_descriptors(target, true, ask_ahead);
	}
	*ret_numbers = target->descriptors;
	*ret_count = target->n_descriptors;
	return 0;
}

int target_inherits(struct target *target, size_t index, struct error *err)
{
	const struct target *parent = target->parent;
	uint32_t number = target->descriptors[index];
	size_t place;

	if (!parent || !parent->descriptors_listed)
		return 0;
	if (!target->inherits)
		target->inherits =
			arena_array(target->collect->arena, enum inherits, target->n_descriptors);
	enum inherits *answer = &target->inherits[index];
	if (*answer == INHERITS_UNKNOWN) {
		int order = numbers_find(parent->descriptors, parent->n_descriptors, number, &place)
				    ? description_compare(target, number, parent->tid, number, err)
				    : 1;
		if (order < 0)
			return -1;
		*answer = order == 0 ? INHERITS_YES : INHERITS_NO;
	}
	return *answer == INHERITS_YES;
}

static int collect_table(struct target *target, struct error *err)
{
	const uint32_t *numbers;
	size_t cursor = 0, count;

	if (target_descriptors(target, &numbers, &count, err))
		return -1;
	for (size_t i = 0; i < count; i++) {
		if ((i + 1) % LOOK_EVERY == 0 && collect_go_on(target->collect, err))
			return -1;
		if (collect_descriptor(target, i, &cursor, err) &&
		    collect_pass(target->collect, err))
			return -1;
	}
	return 0;
}

int collect_descriptors(struct target *target, struct error *err)
{
	struct snapshot *snapshot = target->collect->snapshot;
	struct task *task = target->task;

	task->table = snapshot_table(snapshot, task->ids->files_id);
	if (!task->table) {
		task->table = snapshot_add_table(snapshot, task->ids->files_id);
		if (collect_table(target, err))
			return -1;
	}
	return 0;
}

/* ---- Descriptors on their way to somebody ---- */

/* One that a task has is found as that; of others we have the only descriptor. */
static int collect_flight(struct collect *collect, const struct flight *flight, struct error *err)
{
	struct target *self = arena_new(collect->arena, struct target);
	struct description description;
	char fd_name[32], buffer[1024];

	*self = (struct target){
		.collect = collect, .pid = getpid(), .tid = getpid(), .held_for = flight->what
	};
	snprintf(fd_name, sizeof fd_name, "fd/%d", flight->fd);
	const char *fdinfo =
		open_file_read_fdinfo(self, (uint32_t)flight->fd, buffer, sizeof buffer, err);
	if (!fdinfo)
		return -1;
	struct open_file file = file_of_fdinfo(self, (uint32_t)flight->fd, fdinfo, fd_name);
	if (look_up_description(&file, &description, err))
		return -1;
	*flight->ret_file_id = description.id;
	return description.id ? collect_held(&file, description.id, err) : 0;
}

void collect_in_flight(struct collect *collect, int fd, const char *what, uint32_t *ret_file_id)
{
	struct files_state *state = state_of(collect);
	struct flight *flight = arena_new(collect->arena, struct flight);

	*flight = (struct flight){ .fd = fd, .what = what, .ret_file_id = ret_file_id };
	if (state->last_flight)
		state->last_flight->next = flight;
	else
		state->flights = flight;
	state->last_flight = flight;
}

/* Sockets among them may have more. They stay open, since others are compared with them. */
static int collect_flights(struct collect *collect, struct error *err)
{
	for (struct flight *at = state_of(collect)->flights; at; at = at->next)
		if (collect_flight(collect, at, err) && collect_pass(collect, err))
			return -1;
	return 0;
}

/* The driver of a FUSE is asked at each close (fuse_flush): not while it stands still. */
static void close_flights(struct collect *collect, bool all)
{
	struct files_state *state = state_of(collect);
	struct flight *left = NULL, *next;

	for (struct flight *at = state->flights; at; at = next) {
		next = at->next;
		if (all || collect_fd_is_silent(collect, at->fd) == 0) {
			close(at->fd);
			continue;
		}
		at->next = left;
		left = at;
	}
	state->flights = left;
	state->last_flight = NULL;
}

const struct open_file *collect_keep_file(const struct open_file *file)
{
	struct arena *arena = file->target->collect->arena;
	struct open_file *kept = arena_copy(arena, file, sizeof *file);

	kept->link = arena_string(arena, file->link);
	kept->fdinfo = arena_string(arena, file->fdinfo);
	kept->proc_name = arena_string(arena, file->proc_name);
	kept->what = arena_string(arena, file->what);
	return kept;
}

int collect_files_complete(struct collect *collect, struct error *err)
{
	if (collect_flights(collect, err))
		return -1;
	for (const struct file_kind *const *kind = kinds.files; *kind; kind++)
		if ((*kind)->complete && (*kind)->complete(collect, err) &&
		    collect_pass(collect, err))
			return -1;
	for (const struct file_aspect *const *aspect = kinds.aspects; *aspect; aspect++)
		if ((*aspect)->complete && (*aspect)->complete(collect, err) &&
		    collect_pass(collect, err))
			return -1;
	return 0;
}

int collect_files_before_end(struct collect *collect, struct error *err)
{
	for (const struct file_kind *const *kind = kinds.files; *kind; kind++)
		if ((*kind)->before_end && (*kind)->before_end(collect, err))
			return -1;
	return 0;
}

int collect_files_at_end(struct collect *collect, struct error *err)
{
	for (const struct file_kind *const *kind = kinds.files; *kind; kind++)
		if ((*kind)->at_end && (*kind)->at_end(collect, err))
			return -1;
	return 0;
}

void collect_files_done(struct collect *collect)
{
	close_flights(collect, false);
	for (const struct file_kind *const *kind = kinds.files; *kind; kind++)
		if ((*kind)->done)
			(*kind)->done(collect);
	kept_fd_close(&collect->pidfd);
	kernel_memory_close(&collect->kernel_memory);
}

void collect_files_let_go(struct collect *collect)
{
	close_flights(collect, true);
}

int collect_get_file(const struct open_file *file, struct error *err)
{
	int fd = target_get_fd(file->target, file->number);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot get the descriptor",
				  file->what);
	return fd;
}

int collect_borrow_file(const struct open_file *file, struct error *err)
{
	struct kept_fd *kept = &file->target->collect->borrowed;

	if (kept->tid == file->target->tid && kept->number == file->number)
		return kept->fd;
	kept_fd_close(kept);
	int fd = collect_get_file(file, err);
	if (fd >= 0)
		*kept = (struct kept_fd){ file->target->tid, file->number, fd };
	return fd;
}

const void *collect_asked(const struct open_file *file)
{
	return read_ahead_asked(file->target, file->number);
}

bool collect_is_ownerless(const struct open_file *file)
{
	const struct descriptor_ahead *ahead = read_ahead_descriptor(file->target, file->number);

	return ahead && ahead->ownerless;
}
