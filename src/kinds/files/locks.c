// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Locks of files: POSIX locks belong to a descriptor table and an inode, OFD locks, flock(2) and
 * leases to an open file. fdinfo shows each to who has it, POSIX locks by every descriptor of the
 * inode. A task takes them again in its own program, as the kernel keeps its number in them; that
 * of an open file who took it before, or else the first that has the file.
 *
 * A lease that somebody waits for to be given up (lease_break, fs/locks.c) is taken as what it was,
 * and the file opened again by the coordinator as if to write or to read, without waiting. Its
 * owner, who has been told before, is set after that. fdinfo shows what the lease is to become:
 * whether that to be given up was one for reading is found by opening the file to read. How long it
 * takes until the kernel takes it away counts from the beginning again (fs.lease-break-time).
 *
 * Closing any descriptor of an inode drops the POSIX locks that the table has of it: they are taken
 * when a task has closed all that is not its own. Where tasks share a table that is not certain for
 * all of them: refused.
 *
 * What nobody holds, since it is on its way to somebody (SCM_RIGHTS), has its locks in its own
 * record; the coordinator takes them.
 *
 * If somebody else has a lock meanwhile, the restore fails: nobody works without a lock that he
 * believes to have.
 */
#include "kinds/files/files.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kinds/opener.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

enum { FL_POSIX = 1, FL_FLOCK = 2, FL_LEASE = 32, FL_OFDLCK = 1024 };

/* In the type of a lease that somebody waits for, as the format has it. */
enum { IS_BREAKING = 4 };

static bool is_breaking(const FileLockEntry *lock)
{
	return lock->flag == FL_LEASE && lock->type & IS_BREAKING;
}

/* ---- Dump ---- */

/* A lock, and a descriptor by which it can be taken again. */
struct known_lock {
	struct known_lock *next;
	FileLockEntry *entry;
	dev_t device;
	ino_t inode;
	const struct target *target;
	uint32_t file_id;
	bool suits; /* the descriptor is open for what the lock wants */
	pid_t taker;
};

static bool parse_type(const char *text, uint32_t *ret_flag)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} types[] = {
		{ "POSIX", FL_POSIX },
		{ "FLOCK", FL_FLOCK },
		{ "LEASE", FL_LEASE },
		{ "OFDLCK", FL_OFDLCK },
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(text, types[i].name) == 0) {
			*ret_flag = types[i].flag;
			return true;
		}
	return false;
}

/* "1: POSIX  ADVISORY  WRITE 1234 fe:00:5678 5 14" */
static bool parse(const char *line, struct known_lock *lock, char state[16])
{
	char type[16], mode[16], end[24];
	unsigned device_major, device_minor;
	uint64_t inode;
	int64_t last;

	if (sscanf(line, "%*d: %15s %15s %15s %d %x:%x:%" SCNu64 " %" SCNd64 " %23s", type, state,
		   mode, &lock->taker, &device_major, &device_minor, &inode, &lock->entry->start,
		   end) != 9 ||
	    !parse_type(type, &lock->entry->flag))
		return false;
	lock->entry->type = strcmp(mode, "WRITE") == 0	 ? F_WRLCK
			    : strcmp(mode, "UNLCK") == 0 ? F_UNLCK
							 : F_RDLCK;
	lock->device = makedev(device_major, device_minor);
	lock->inode = (ino_t)inode;
	if (strcmp(end, "EOF") == 0)
		return true;
	if (sscanf(end, "%" SCNd64, &last) != 1)
		return false;
	lock->entry->len = last - lock->entry->start + 1;
	return true;
}

static bool is_same(const struct known_lock *one, const struct known_lock *other)
{
	const FileLockEntry *a = one->entry, *b = other->entry;

	if (a->flag != b->flag || a->type != b->type || a->start != b->start || a->len != b->len ||
	    one->inode != other->inode || one->device != other->device)
		return false;
	return a->flag == FL_POSIX ? one->target->task->table == other->target->task->table
				   : one->file_id == other->file_id;
}

static bool suits(const struct open_file *file, const FileLockEntry *lock)
{
	uint32_t access = file->flags & O_ACCMODE;

	return access == O_RDWR || lock->flag == FL_FLOCK || lock->flag == FL_LEASE ||
	       access == (lock->type == F_WRLCK ? O_WRONLY : O_RDONLY);
}

static struct known_lock *find_same(struct known_lock *known, const struct known_lock *lock)
{
	while (known && !is_same(known, lock))
		known = known->next;
	return known;
}

/* By this descriptor, unless one is known that is as good; who took the lock is better. */
static void use_descriptor(struct known_lock *lock, const struct open_file *file)
{
	bool is_takers = file->target->pid == lock->taker;

	if (lock->suits && !(is_takers && lock->target->pid != lock->taker))
		return;
	lock->target = file->target;
	lock->suits = suits(file, lock->entry);
	lock->entry->pid = (int32_t)task_pids(file->target->task).pid[0];
	lock->entry->fd = (int32_t)file->number;
}

/* One that is inherited has no words of its own. */
static const char *name_of(const struct open_file *file)
{
	return file->what ? file->what
			  : arena_printf(file->target->collect->arena, "pid %d: descriptor %u",
					 file->target->pid, file->number);
}

/* Those of an open file, which others have by tasks. */
static int add_lock_in_flight(const struct open_file *file, uint32_t file_id,
			      struct known_lock *lock, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct snapshot *snapshot = collect->snapshot;
	FileEntry *entry = NULL;

	for (const struct known_lock *known = *collect_state(collect, &locks_aspect); known;
	     known = known->next)
		if (known->file_id == file_id && known->entry->flag == lock->entry->flag)
			return 0;
	if (lock->entry->flag != FL_FLOCK && lock->entry->flag != FL_OFDLCK)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s has a lock that only a task can take",
			    name_of(file));
	for (size_t i = snapshot->n_files; i-- > 0 && !entry;)
		if (snapshot->files[i]->id == file_id)
			entry = snapshot->files[i];
	entry->locks =
		arena_grow(snapshot->arena, entry->locks, entry->n_locks, sizeof *entry->locks);
	entry->locks[entry->n_locks++] = lock->entry;
	return 0;
}

/*
 * What is only open to read may have had a lease for reading or for writing. It can be opened to
 * read then, or not, which changes nothing (__break_lease).
 */
static int find_lease(const struct open_file *file, FileLockEntry *lock, struct error *err)
{
	char name[32];

	lock->has_lease = true;
	lock->lease = F_WRLCK;
	if (lock->type == F_UNLCK && (file->flags & O_ACCMODE) == O_RDONLY &&
	    !file->target->collect->looking) {
		snprintf(name, sizeof name, "fd/%" PRIu32, file->number);
		autoclose int fd = target_open(file->target, name, O_RDONLY | O_NONBLOCK);
		if (fd < 0 && errno != EAGAIN)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot tell what lease it has", name_of(file));
		lock->lease = fd < 0 ? F_WRLCK : F_RDLCK;
	}
	lock->type |= IS_BREAKING;
	return 0;
}

static int add_lock(const struct open_file *file, uint32_t file_id, const char *line,
		    struct error *err)
{
	struct collect *collect = file->target->collect;
	void **kept = collect_state(collect, &locks_aspect);
	struct known_lock *lock = arena_new(collect->arena, struct known_lock);
	char state[16] = "";

	*lock = (struct known_lock){ .next = *kept, .target = file->target, .file_id = file_id };
	lock->entry = snapshot_new(collect->snapshot, FILE_LOCK_ENTRY, FileLockEntry);
	if (!parse(line, lock, state))
		return fail(err, ERR_UNSUPPORTED_FILE, "%s has a lock of an unknown type",
			    name_of(file));
	if (lock->entry->flag == FL_LEASE && strcmp(state, "BREAKING") == 0 &&
	    find_lease(file, lock->entry, err))
		return -1;
	if (file->target->held_for)
		return add_lock_in_flight(file, file_id, lock, err);
	struct known_lock *known = find_same(*kept, lock);
	use_descriptor(known ? known : lock, file);
	if (!known)
		*kept = lock;
	return 0;
}

static int locks_held(const struct open_file *file, uint32_t file_id, struct error *err)
{
	const char *line = file->fdinfo;

	while ((line = procfs_field(line, "lock:"))) {
		if (add_lock(file, file_id, line, err))
			return -1;
		line += strcspn(line, "\n");
	}
	return 0;
}

static const struct record *first_lock(const struct snapshot *snapshot, const struct task *task)
{
	return snapshot_record(snapshot, IMAGE_FILE_LOCKS, task_pids(task).pid[0]);
}

static const FileEntry *held_file(const struct snapshot *snapshot, const struct task *task,
				  int32_t number)
{
	const struct descriptor_table *table = task->table;

	for (size_t i = 0; table && i < table->n_descriptors; i++)
		if (table->descriptors[i]->fd == (uint32_t)number)
			return snapshot_file(snapshot, table->descriptors[i]->id);
	return NULL;
}

/* Whoever makes the file has its lease broken. */
static void note_breaking(struct snapshot *snapshot)
{
	const bool any = snapshot_records(snapshot, IMAGE_FILE_LOCKS)->count != 0;

	for (size_t i = 0; any && i < snapshot->n_tasks; i++)
		for (const struct record *at = first_lock(snapshot, &snapshot->tasks[i]); at;
		     at = at->next) {
			FileLockEntry *lock = at->message;
			if (!is_breaking(lock))
				continue;
			const FileEntry *held = held_file(snapshot, &snapshot->tasks[i], lock->fd);
			FileEntry *file = held ? snapshot_file(snapshot, held->id) : NULL;
			if (!file)
				continue;
			file->locks = arena_grow(snapshot->arena, file->locks, file->n_locks,
						 sizeof *file->locks);
			file->locks[file->n_locks++] = lock;
		}
}

static int locks_adopt(struct snapshot *snapshot, const struct images *images, struct error *err)
{
	(void)images;
	(void)err;
	note_breaking(snapshot);
	return 0;
}

static int locks_complete(struct collect *collect, struct error *err)
{
	const struct known_lock *lock = *collect_state(collect, &locks_aspect);

	(void)err;
	for (; lock; lock = lock->next)
		snapshot_add_record(collect->snapshot, IMAGE_FILE_LOCKS, (uint64_t)lock->entry->pid,
				    lock->entry);
	note_breaking(collect->snapshot);
	return 0;
}

/* ---- Restore ---- */

static bool shares_table(const struct snapshot *snapshot, const struct task *task)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (&snapshot->tasks[i] != task && !task_is_zombie(&snapshot->tasks[i]) &&
		    snapshot->tasks[i].table == task->table)
			return true;
	return false;
}

static bool is_possible(const FileLockEntry *lock)
{
	uint32_t type = is_breaking(lock) ? lock->type & ~(uint32_t)IS_BREAKING : lock->type;

	return (type == F_RDLCK || type == (is_breaking(lock) ? F_UNLCK : F_WRLCK)) &&
	       lock->start >= 0 && lock->len >= 0 && lock->len <= INT64_MAX - lock->start;
}

static int check_lock(const struct snapshot *snapshot, const struct task *task,
		      const FileLockEntry *lock, struct error *err)
{
	bool known = lock->flag == FL_POSIX || lock->flag == FL_FLOCK || lock->flag == FL_LEASE ||
		     lock->flag == FL_OFDLCK;

	if (!known || !is_possible(lock))
		return fail(err, ERR_IMAGE_INVALID, "task %s has a lock that cannot be",
			    task_name(task));
	if (!held_file(snapshot, task, lock->fd))
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s has a lock by descriptor %d, which it does not have",
			    task_name(task), lock->fd);
	if (lock->flag == FL_POSIX && shares_table(snapshot, task))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "task %s has a POSIX lock (descriptor %d), and shares its descriptors "
			    "with another task",
			    task_name(task), lock->fd);
	return 0;
}

static int locks_check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	for (const struct record *at = first_lock(snapshot, task); at; at = at->next)
		if (check_lock(snapshot, task, at->message, err))
			return -1;
	return 0;
}

/* Who opens the file to break it tells nobody then. */
static void plan_lease(struct program *program, const FileLockEntry *lock, uint32_t file_flags)
{
	uint64_t number = (uint64_t)lock->fd;
	uint32_t type = !is_breaking(lock) ? lock->type
			: lock->has_lease  ? lock->lease
			: (lock->type & F_UNLCK) && (file_flags & O_ACCMODE) == O_RDONLY ? F_RDLCK
											 : F_WRLCK;

	op_expect(program_call(program, SYS_fcntl, number, F_SETLEASE, type), 0);
	if (is_breaking(lock))
		op_expect(program_call(program, SYS_fcntl, number, F_SETOWN, 0), 0);
}

static void plan_lock(struct program *program, const FileLockEntry *lock)
{
	const struct flock range = {
		.l_type = (short)lock->type,
		.l_whence = SEEK_SET,
		.l_start = lock->start,
		.l_len = lock->len,
	};
	uint64_t number = (uint64_t)lock->fd;

	switch (lock->flag) {
	case FL_FLOCK:
		op_expect(program_call(program, SYS_flock, number,
				       (lock->type == F_WRLCK ? LOCK_EX : LOCK_SH) | LOCK_NB),
			  0);
		break;
	default:
		op_expect(program_call(program, SYS_fcntl, number,
				       lock->flag == FL_POSIX ? F_SETLK : F_OFD_SETLK,
				       program_data(program->set, &range, sizeof range, 8)),
			  0);
	}
}

static uint32_t flags_of(const struct planning *planning, const FileLockEntry *lock)
{
	const FileEntry *file = held_file(planning->plan->snapshot, planning->task, lock->fd);

	return file && file->reg ? file->reg->flags : O_RDWR;
}

static int locks_plan(const struct planning *planning, struct error *err)
{
	(void)err;
	for (const struct record *at = first_lock(planning->plan->snapshot, planning->task); at;
	     at = at->next) {
		const FileLockEntry *lock = at->message;
		if (lock->flag == FL_LEASE)
			plan_lease(planning->program, lock, flags_of(planning, lock));
		else
			plan_lock(planning->program, lock);
	}
	return 0;
}

static bool has_locks(const FileEntry *entry)
{
	return entry->n_locks != 0;
}

static int locks_check_in_flight(const struct snapshot *snapshot, const FileEntry *entry,
				 struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < entry->n_locks; i++)
		if ((entry->locks[i]->flag != FL_FLOCK && entry->locks[i]->flag != FL_OFDLCK &&
		     !(is_breaking(entry->locks[i]) && entry->reg)) ||
		    !is_possible(entry->locks[i]))
			return fail(err, ERR_IMAGE_INVALID, "file %u has a lock that cannot be",
				    entry->id);
	return 0;
}

/* Nobody waits here, and who is to give it up was told long ago. */
static int break_lease(const FileEntry *entry, const FileLockEntry *lock, int fd, struct error *err)
{
	autoclose int breaker =
		opener_reopen(fd, (lock->type & F_UNLCK ? O_WRONLY : O_RDONLY) | O_NONBLOCK);

	if (breaker >= 0)
		return fail(err, ERR_KERNEL_REFUSED,
			    "the lease of file %u lets others open it, which waited for it",
			    entry->id);
	return errno == EAGAIN
		       ? 0
		       : fail_errno(err, ERR_KERNEL_REFUSED,
				    "cannot have the lease of file %u given up again", entry->id);
}

static int take_lock(const FileEntry *entry, const FileLockEntry *lock, int fd, struct error *err)
{
	struct flock range = { .l_type = (short)lock->type,
			       .l_whence = SEEK_SET,
			       .l_start = lock->start,
			       .l_len = lock->len };

	if (lock->flag == FL_LEASE)
		return break_lease(entry, lock, fd, err);
	int result = lock->flag == FL_FLOCK
			     ? flock(fd, (lock->type == F_WRLCK ? LOCK_EX : LOCK_SH) | LOCK_NB)
			     : fcntl(fd, F_OFD_SETLK, &range);
	return result < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
				       "cannot take the lock of file %u again", entry->id)
			  : 0;
}

static int take_in_flight(struct file_opener *opener, const FileEntry *entry, int fd,
			  struct error *err)
{
	(void)opener;
	for (size_t i = 0; i < entry->n_locks; i++)
		if (take_lock(entry, entry->locks[i], fd, err))
			return -1;
	return 0;
}

const struct file_aspect locks_aspect = {
	.name = "locks",
	.held = locks_held,
	.complete = locks_complete,
	.check = locks_check_in_flight,
	.is_there = has_locks,
	.connect = take_in_flight,
};

const struct task_kind locks_kind = {
	.name = "locks of files",
	.check = locks_check,
	.plan = locks_plan,
};

const struct tree_kind locks_tree_kind = {
	.name = "locks of files",
	.adopt = locks_adopt,
};
