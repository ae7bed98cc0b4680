// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pidfd_open(2): a process, alive or a zombie, or one that has been reaped. What is of a process of
 * the tree comes when all of them are there; whether it sees the process by a number of its own
 * does not matter, as the coordinator does.
 *
 * One that is reaped is gone for good, but is still told apart from others (fstat), tells how it
 * ended (PIDFD_GET_INFO, 6.15) and belongs to a pid namespace, outside of which it cannot even be
 * signalled in vain (EINVAL). For each a child is made that ends likewise, in the namespace of who
 * holds it, and is reaped when all descriptors of it are open. That it dumped core is not repeated.
 *
 * A thread that is no first one (PIDFD_THREAD, 6.9) is not there when descriptors are put in place:
 * who holds its pidfd opens that when all programs are at rest, by the number that it sees.
 *
 * The number of the inode, by which programs tell apart processes that had the same id, is the
 * kernel's own count, and another one after a restore: task/service-manager.c is for who keeps it.
 *
 * Refused: processes outside of the tree; pidfds of such threads that more than one table of
 * descriptors has, that are on their way to somebody, watched by an epoll instance, or of a thread
 * that the holder does not see.
 */
#include "kinds/files/files.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/table.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kernel/syscalls.h"
#include "plan/actions.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* linux/pidfd.h; PIDFD_NONBLOCK and PIDFD_THREAD are flags of the file. */
struct pidfd_facts {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ids[8];
	int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_facts) == 64, "PIDFD_INFO_SIZE_VER0");
#define PIDFD_FACTS _IOWR(0xff, 11, struct pidfd_facts)
enum { FIRST_FREE = 400, MOST_NUMBERS = 20000, MOST_PASSED = 8 /* sockets in sockets */ };
enum { FACT_EXIT = 1 << 3, PIDFS_MAGIC = 0x50494446, OPEN_FLAGS = O_NONBLOCK | O_EXCL };

/* ---- Dump ---- */

struct known_pidfd {
	struct known_pidfd *next;
	PidfdEntry *entry;
	const char *what;
};

static bool pidfd_recognise(const struct open_file *file)
{
	return (strncmp(file->link, "pidfd:[", 7) == 0 ||
		strcmp(file->link, "anon_inode:[pidfd]") == 0) &&
	       !(file->flags & O_PATH);
}

/*
 * Before 6.15 the kernel does not keep how one has ended (ESRCH), and before 6.13 it is not asked
 * (ENOTTY; EINVAL, as it took no argument).
 */
static bool is_not_kept(int problem)
{
	return problem == ESRCH || problem == ENOTTY || problem == EINVAL;
}

/* Of one that is gone. */
static int read_end(const struct open_file *file, PidfdEntry *record, struct error *err)
{
	struct pidfd_facts facts = { .mask = FACT_EXIT };
	struct statfs fs;
	autoclose int fd = collect_get_file(file, err);

	if (fd < 0)
		return -1;
	/* Before 6.9 all have one inode: each that is gone is one of its own then. */
	if (fstatfs(fd, &fs) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its file system",
				  file->what);
	if (fs.f_type != PIDFS_MAGIC)
		record->ino = file->id;
	bool known = ioctl(fd, PIDFD_FACTS, &facts) == 0;
	if (!known && !is_not_kept(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell how its process ended",
				  file->what);
	if (known && facts.mask & FACT_EXIT) {
		record->has_exit_code = true;
		record->exit_code = (uint32_t)facts.exit_code;
	}
	return 0;
}

static int pidfd_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	const char *field = procfs_field(file->fdinfo, "Pid:");
	PidfdEntry *record = snapshot_new(collect->snapshot, PIDFD_ENTRY, PidfdEntry);
	int pid;

	if (!field || sscanf(field, "%d", &pid) != 1)
		return fail(err, ERR_KERNEL_REFUSED, "%s: fdinfo names no process", file->what);
	if (pid == 0)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is of a process that is not to be seen from here", file->what);
	entry->pidfd = record;
	record->id = file->id;
	record->ino = (uint32_t)file->stat.st_ino;
	record->flags = file->flags;
	record->nspid = pid;
	if (pid < 0)
		return read_end(file, record, err);
	void **kept = collect_state(collect, &pidfd_kind);
	struct known_pidfd *known = arena_new(collect->arena, struct known_pidfd);
	*known = (struct known_pidfd){ *kept, record, file->what };
	*kept = known;
	return 0;
}

/* 0: none of its threads but the first. */
static size_t index_of_thread(const struct target *target, pid_t tid)
{
	for (size_t i = 1; i < target->n_threads; i++)
		if (target->threads[i].tid == tid)
			return i;
	return 0;
}

/* From our numbers to those of the tree, once all tasks are known. */
static void find_process(struct collect *collect, const struct known_pidfd *known)
{
	pid_t pid = known->entry->nspid;

	for (size_t i = 0; i < collect->n_targets; i++) {
		const struct target *target = &collect->targets[i];
		size_t thread = index_of_thread(target, pid);
		if (target->pid == pid || thread) {
			known->entry->nspid = (int32_t)thread_pids(target->task, thread).pid[0];
			return;
		}
	}
	collect_refuse_file(collect, "%s is of process %d, which is outside of the tree",
			    known->what, pid);
}

static int pidfd_complete(struct collect *collect, struct error *err)
{
	const struct known_pidfd *known = *collect_state(collect, &pidfd_kind);

	(void)err;
	for (; known; known = known->next)
		find_process(collect, known);
	return 0;
}

/* ---- Restore ---- */

static const struct task *find_task(const struct snapshot *snapshot, int32_t number)
{
	for (size_t i = 0; number > 0 && i < snapshot->n_tasks; i++)
		if (task_pids(&snapshot->tasks[i]).pid[0] == (uint32_t)number)
			return &snapshot->tasks[i];
	return NULL;
}

/* A thread that is no first one; NULL: none has the number. */
static const struct task *find_thread(const struct snapshot *snapshot, int32_t number,
				      size_t *ret_thread)
{
	for (size_t i = 0; number > 0 && i < snapshot->n_tasks; i++)
		for (size_t k = 1; k < snapshot->tasks[i].n_threads; k++)
			if (thread_pids(&snapshot->tasks[i], k).pid[0] == (uint32_t)number) {
				*ret_thread = k;
				return &snapshot->tasks[i];
			}
	return NULL;
}

/* Those that stop a process would never let it end. */
static bool is_deadly(int signal_number)
{
	return signal_number <= SIGRTMAX && signal_number != SIGSTOP && signal_number != SIGTSTP &&
	       signal_number != SIGTTIN && signal_number != SIGTTOU;
}

static bool table_has(const struct descriptor_table *table, uint32_t file_id)
{
	for (size_t i = 0; i < table->n_descriptors; i++)
		if (table->descriptors[i]->id == file_id)
			return true;
	return false;
}

static bool is_watched(const struct snapshot *snapshot, uint32_t file_id)
{
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const EventpollFileEntry *epoll = snapshot->files[i]->epfd;
		for (size_t k = 0; epoll && k < epoll->n_tfd; k++)
			if (epoll->tfd[k]->has_file_id && epoll->tfd[k]->file_id == file_id)
				return true;
	}
	return false;
}

/* The number of a thread as a task sees it; 0: it does not. */
static uint32_t number_seen_by(const struct task *holder, const struct task *task, size_t thread)
{
	size_t levels = task_pids(holder).levels;
	const struct pid_namespace *seen = task->pid_namespace;

	for (; seen && seen != holder->pid_namespace; seen = seen->parent)
		;
	struct pid_vector pids = thread_pids(task, thread);
	return seen == holder->pid_namespace && levels <= pids.levels ? pids.pid[levels - 1] : 0;
}

/* A stopped task makes its calls before others are at rest. */
static int check_holder(const struct task *holder, const FileEntry *entry, const struct task *task,
			size_t thread, struct error *err)
{
	if (!number_seen_by(holder, task, thread))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u is a pidfd of thread %d, which its holder, task %s, does not "
			    "see",
			    entry->id, entry->pidfd->nspid, task_name(holder));
	if (task_is_stopped(holder) && holder != task)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u is a pidfd of thread %d of another task, held by task %s, "
			    "which is stopped",
			    entry->id, entry->pidfd->nspid, task_name(holder));
	return 0;
}

static int check_of_thread(const struct snapshot *snapshot, const FileEntry *entry,
			   struct error *err)
{
	const PidfdEntry *record = entry->pidfd;
	const struct descriptor_table *held = NULL;
	size_t n_tables = 0, thread = 0;
	const struct task *task = find_thread(snapshot, record->nspid, &thread);

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *holder = &snapshot->tasks[i];
		if (task_is_zombie(holder) || !holder->table ||
		    !table_has(holder->table, entry->id))
			continue;
		n_tables += holder->table != held;
		held = holder->table;
		if (check_holder(holder, entry, task, thread, err))
			return -1;
	}
	if (n_tables != 1)
		return fail(err, ERR_UNSUPPORTED_FILE, "file %u is a pidfd of thread %d that %s",
			    entry->id, record->nspid,
			    n_tables ? "more than one process has open"
				     : "is on its way to somebody");
	if (is_watched(snapshot, entry->id))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u is a pidfd of thread %d, and watched by an epoll instance",
			    entry->id, record->nspid);
	if (record->fown && (record->fown->pid || record->fown->signum))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u is a pidfd of thread %d that has an owner (F_SETOWN)",
			    entry->id, record->nspid);
	return 0;
}

static int pidfd_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const PidfdEntry *record = entry->pidfd;
	size_t thread;

	if (!record || record->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a pidfd", entry->id);
	if (record->has_exit_code &&
	    (record->exit_code > UINT16_MAX || !is_deadly((int)(record->exit_code & 0x7f))))
		return fail(err, ERR_IMAGE_INVALID, "file %u: nobody ends with status %#x",
			    entry->id, record->exit_code);
	if (find_thread(snapshot, record->nspid, &thread))
		return check_of_thread(snapshot, entry, err);
	if (record->nspid != -1 && !find_task(snapshot, record->nspid))
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "file %u is of process %d, which is not in the tree", entry->id,
			    record->nspid);
	return 0;
}

static enum file_way pidfd_way(const struct snapshot *snapshot, const FileEntry *entry)
{
	size_t thread;

	return find_thread(snapshot, entry->pidfd->nspid, &thread) ? FILE_AT_END : FILE_LATE;
}

__attribute__((noreturn)) static void end_as(uint32_t code)
{
	const struct rlimit no_core = { 0 };
	int signal_number = (int)(code & 0x7f);
	const uint64_t none = 0;

	if (signal_number) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(signal_number, SIG_DFL);
		kill(getpid(), signal_number);
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
	}
	_exit((int)(code >> 8 & 0xff));
}

/* All that are of one that is gone, kept by the ids of their files. */
static int open_gone(struct file_opener *opener, struct table *opened, pid_t pid, uint32_t ino,
		     struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *entry = snapshot->files[i];
		if (entry->type != FD_TYPES__PIDFD || entry->pidfd->nspid != -1 ||
		    entry->pidfd->ino != ino)
			continue;
		int fd = kernel_pidfd_open(pid, entry->pidfd->flags & OPEN_FLAGS);
		if (fd < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a pidfd");
		size_t *place = arena_new(opener->arena, size_t);
		*place = opener_keep(opener, fd);
		table_add(opened, opener->arena, entry->id, place);
	}
	return 0;
}

/* The socket to which a file is on its way; 0: none. */
static uint32_t receiver_of(const struct snapshot *snapshot, uint32_t file_id)
{
	const struct records *packets = snapshot_records(snapshot, IMAGE_SK_QUEUES);

	for (size_t i = 0; i < packets->count; i++) {
		const SkPacketEntry *packet = packets->records[i]->message;
		for (size_t k = 0; k < packet->n_scm; k++)
			for (size_t j = 0; j < packet->scm[k]->n_rights; j++)
				if (packet->scm[k]->rights[j] == file_id)
					return packet->id_for;
	}
	return 0;
}

/* A task that has a file open; the first of them. */
static const struct task *owner_of(const struct snapshot *snapshot, uint32_t file_id)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		const struct descriptor_table *table = task_is_zombie(task) ? NULL : task->table;
		for (size_t k = 0; table && k < table->n_descriptors; k++)
			if (table->descriptors[k]->id == file_id)
				return task;
	}
	return NULL;
}

/* That, or who is going to have it; NULL: that is not to be seen. */
static const struct task *holder_of(const struct snapshot *snapshot, uint32_t file_id)
{
	const struct task *owner = owner_of(snapshot, file_id);

	for (int i = 0; !owner && file_id && i < MOST_PASSED; i++) {
		file_id = receiver_of(snapshot, file_id);
		owner = owner_of(snapshot, file_id);
	}
	return owner;
}

static bool is_number_of_thread(const struct snapshot *snapshot, uint32_t number)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		for (size_t k = 0; k < snapshot->tasks[i].n_threads; k++) {
			struct pid_vector pids = thread_pids(&snapshot->tasks[i], k);
			for (size_t level = 0; level < pids.levels; level++)
				if (pids.pid[level] == number)
					return true;
		}
	return false;
}

/* With a number at all levels that nobody is going to want: threads have yet to be made. */
static pid_t clone_with_free_number(const struct snapshot *snapshot, size_t levels)
{
	for (uint32_t number = FIRST_FREE; number < FIRST_FREE + MOST_NUMBERS; number++) {
		uint32_t wanted[MAX_PID_LEVELS];
		struct clone_args args = { .exit_signal = SIGCHLD,
					   .set_tid = levels ? (uintptr_t)wanted : 0,
					   .set_tid_size = levels };
		if (is_number_of_thread(snapshot, number))
			continue;
		for (size_t i = 0; i < levels; i++)
			wanted[i] = number;
		pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
		if (pid >= 0 || errno != EEXIST)
			return pid;
	}
	return -1;
}

/* Our children are born there from now on. */
static int enter_pid_namespace(pid_t member)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)member);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : setns(fd, CLONE_NEWPID);
}

struct gone {
	struct file_opener *opener;
	struct table *opened;
	const PidfdEntry *record;
};

/* In a deputy: who has no rights over nestor's own pid namespace cannot come back to it. */
static int make_gone(void *data, struct error *err)
{
	const struct gone *gone = data;
	const struct snapshot *snapshot = gone->opener->snapshot;
	const PidfdEntry *record = gone->record;
	const struct task *holder = holder_of(snapshot, record->id);

	if (holder && enter_pid_namespace(gone->opener->pids[holder->index]) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter the namespace of task %s",
				  task_name(holder));
	pid_t pid = clone_with_free_number(snapshot, holder ? task_pids(holder).levels : 0);
	if (pid == 0)
		end_as(record->has_exit_code ? record->exit_code : 0);
	if (pid < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot make a process that is to be gone");
	int result = open_gone(gone->opener, gone->opened, pid, record->ino, err);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return result;
}

static int pidfd_open_gone(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	void **kept = opener_state(opener, &pidfd_kind);

	if (!*kept)
		*kept = arena_new(opener->arena, struct table);
	struct gone gone = { opener, *kept, entry->pidfd };
	if (!table_find(*kept, entry->id) && deputy_run(make_gone, &gone, err))
		return -1;
	const size_t *place = table_find(*kept, entry->id);
	return opener_take(opener, *place);
}

static int open_pidfd(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	if (entry->pidfd->nspid == -1)
		return pidfd_open_gone(opener, entry, err);
	const struct task *task = find_task(opener->snapshot, entry->pidfd->nspid);
	int fd = kernel_pidfd_open(opener->pids[task->index], entry->pidfd->flags & OPEN_FLAGS);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a pidfd of task %s",
				   task_name(task))
		      : fd;
}

/* The number is free for it, and so may be a lower one. */
static int plan_of_thread(struct plan *plan, const struct task *holder, struct program *program,
			  const FileEntry *entry, uint32_t number, struct error *err)
{
	const size_t caller = task_leader_is_dead(holder);
	size_t thread = 0;
	const struct task *task = find_thread(plan->snapshot, entry->pidfd->nspid, &thread);
	uint32_t tid = number_seen_by(holder, task, thread);

	(void)program;
	(void)err;
	plan_call_at_end(plan, holder, caller, SYS_close, number, 0, 0);
	plan_call_at_end(plan, holder, caller, SYS_pidfd_open, tid,
			 entry->pidfd->flags & OPEN_FLAGS, 0)
		->keeps_result = true;
	plan_call_at_end(plan, holder, caller, SYS_dup3, 0, number, O_CLOEXEC)->uses_result = true;
	plan_call_at_end(plan, holder, caller, SYS_close, 0, number, 0)->uses_result = true;
	return 0;
}

static void pidfd_describe(const FileEntry *entry, char *text, size_t room)
{
	if (entry->pidfd->nspid == -1)
		snprintf(text, room, "pidfd of a process that is gone");
	else
		snprintf(text, room, "pidfd of %d", entry->pidfd->nspid);
}

static struct file_fields pidfd_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->pidfd->fown, &entry->pidfd->flags };
}

const struct file_kind pidfd_kind = {
	.name = "pidfd",
	.type = FD_TYPES__PIDFD,
	.recognise = pidfd_recognise,
	.collect = pidfd_collect,
	.complete = pidfd_complete,
	.check = pidfd_check,
	.way = pidfd_way,
	.open = open_pidfd,
	.plan_open = plan_of_thread,
	.describe = pidfd_describe,
	.fields = pidfd_fields,
};
