// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the end of a process takes back from System V semaphores (SEM_UNDO, semop(2)). The kernel
 * keeps it in a list of the process (sysvsem.undo_list), which threads share, and shows it to
 * nobody: it is read from the kernel's memory. A process gets it again by two operations in one
 * call, of which one counts for its end, and the other leaves the semaphore with its value.
 *
 * Whether there is a list can be told without: kcmp(2) compares where it is, and who has just been
 * forked has none. But there is one as well where threads were made (CLONE_SYSVSEM), nestor's own
 * among them, with nothing in it. Where the memory cannot be read, it is a loss if the namespace
 * has semaphores at all; of a process with threads, if it is also who has changed one of them last
 * (GETPID). Threads that others have overtaken since are not seen then.
 *
 * Lost is, too, what concerns semaphores of nestor's own ipc namespace, which the end of the tree
 * changes, what a thread has for itself, and a list that processes share.
 */
#include "kinds/task/task.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/table.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/read-kernel.h"
#include "kernel/deputy.h"
#include "kernel/syscalls.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLACES(X)                               \
	X(SEMAPHORES, "task_struct", "sysvsem") \
	X(LIST, "sysv_sem", "undo_list")        \
	X(FIRST, "sem_undo_list", "list_proc")  \
	X(NEXT, "sem_undo", "list_proc")        \
	X(SET, "sem_undo", "semid")             \
	X(ADJUSTMENTS, "sem_undo", "semadj")

KERNEL_PLACES(PLACES, N_PLACES);

enum { MOST_SETS = 32768, MOST_VALUE = 32767, GONE = -1 };

/* What would be undone of a set of semaphores. */
struct undo {
	int set;
	uint64_t adjustments; /* where they are in the kernel's memory, an int16_t each */
	uint32_t count;	      /* of semaphores; 0: the set is none of the namespace */
};

union argument {
	int value;
	struct semid_ds *state;
	struct seminfo *info;
};

struct looking {
	int namespace_fd, pidfd;
	bool is_own; /* the namespace that we are in */
	pid_t tid;
	pid_t changed_by;   /* 0: anybody */
	struct undo *undos; /* whose counts are filled in */
	size_t n_undos;
	bool has_list, has_sets, found;
};

/* Of all tasks of a dump. */
struct known {
	pid_t without;	    /* one that has no list; others are compared with it at no cost */
	struct table lists; /* by where they are: whose */
};

static bool is_changed_by(int id, unsigned long count, pid_t pid)
{
	for (unsigned long i = 0; i < count; i++)
		if (!pid || semctl(id, (int)i, GETPID) == pid)
			return true;
	return false;
}

static void fill_count(struct looking *looking, int id, uint32_t count)
{
	for (size_t i = 0; i < looking->n_undos; i++)
		if (looking->undos[i].set == id)
			looking->undos[i].count = count;
}

static int look_inside(void *data, struct error *err)
{
	struct looking *looking = data;
	struct seminfo info;
	struct semid_ds state;

	int differs = kernel_kcmp(looking->tid, getpid(), KCMP_OBJECT_SEMAPHORE_UNDO, 0, 0);
	/* A kernel without such semaphores. */
	if (differs < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		return 0;
	if (differs < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot compare lists of semaphores");
	looking->has_list = differs > 0;
	if (!looking->has_list)
		return 0;
	/* Who has no privilege outside of the user namespace of the task has it inside. */
	if (!looking->is_own && setns(looking->namespace_fd, CLONE_NEWIPC) &&
	    (errno != EPERM || deputy_enter_user(looking->pidfd, CLONE_NEWIPC)))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter an ipc namespace");
	int last = semctl(0, 0, SEM_INFO, (union argument){ .info = &info });
	if (last < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot see which semaphores there are");
	for (int i = 0; i <= last; i++) {
		int id = semctl(i, 0, SEM_STAT_ANY, (union argument){ .state = &state });
		if (id < 0 && errno != EINVAL && errno != EIDRM)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read semaphores");
		if (id < 0)
			continue;
		looking->has_sets = true;
		fill_count(looking, id, (uint32_t)state.sem_nsems);
		looking->found =
			looking->found || is_changed_by(id, state.sem_nsems, looking->changed_by);
	}
	return 0;
}

static bool is_own_namespace(int fd)
{
	struct stat own, other;

	return stat("/proc/self/ns/ipc", &own) == 0 && fstat(fd, &other) == 0 &&
	       own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

/* In its ipc namespace; `looking` says what for. */
static int look(const struct target *target, struct looking *looking, struct error *err)
{
	autoclose int fd = target_open(target, "ns/ipc", O_RDONLY);
	autoclose int pidfd = kernel_pidfd_open(target->pid, 0);

	if (fd < 0)
		return fail_errno(err, procfs_error(errno), "pid %d: cannot open its ipc namespace",
				  target->pid);
	looking->namespace_fd = fd;
	looking->pidfd = pidfd;
	looking->is_own = is_own_namespace(fd);
	looking->tid = target->tid;
	looking->changed_by = target->n_threads > 1 ? target->pid : 0;
	return deputy_run(look_inside, looking, err) ? -1 : 0;
}

/* ---- in the kernel's memory ---- */

struct undo_list {
	uint64_t address;
	struct undo *all;
	size_t n;
};

static void read_list(struct kernel_reader *by, int proc_fd, struct undo_list *ret)
{
	uint64_t thread = kernel_thread_of(by, proc_fd);
	uint64_t list = kernel_pointer(by, kernel_inside(by, thread, SEMAPHORES), LIST);
	uint64_t end = list ? kernel_inside(by, list, FIRST) : 0;
	uint64_t at = list ? kernel_pointer(by, list, FIRST) : 0;

	*ret = (struct undo_list){ .address = list };
	while (at != end && !by->failure) {
		uint64_t undo = at - by->places[NEXT].offset;
		int set = (int)kernel_number(by, undo, SET);
		if (ret->n == MOST_SETS)
			kernel_has_changed(by);
		/* A set that has been removed is marked. */
		if (set != GONE) {
			ret->all = arena_grow(by->arena, ret->all, ret->n, sizeof *ret->all);
			ret->all[ret->n++] = (struct undo){
				.set = set, .adjustments = kernel_inside(by, undo, ADJUSTMENTS)
			};
		}
		at = kernel_pointer(by, undo, NEXT);
	}
}

/* 1: it cannot be read. */
static int read_undos(struct target *target, size_t thread, struct undo_list *ret,
		      struct error *err)
{
	struct kernel_reader *by;
	char name[32];
	int result = collect_read_kernel(target->collect, &places, &by);

	snprintf(name, sizeof name, "task/%d", target->threads[thread].tid);
	autoclose int fd = result ? -1 : target_open(target, name, O_RDONLY | O_DIRECTORY);
	if (result == 0 && fd >= 0) {
		read_list(by, fd, ret);
		result = kernel_reader_end(by);
	}
	if (result < 0 || (result == 0 && fd < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "pid %d: cannot see what its end undoes of semaphores",
				  target->pid);
	return result;
}

static int add_undo(struct target *target, const struct undo *undo, struct error *err)
{
	TaskCoreEntry *core = target->task->core->tc;
	struct arena *arena = target->collect->arena;
	int16_t *values = arena_array(arena, int16_t, undo->count);
	struct kernel_reader *by;

	if (collect_read_kernel(target->collect, &places, &by))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read semaphores");
	kernel_bytes(by, undo->adjustments, values, undo->count * sizeof *values);
	if (kernel_reader_end(by))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read semaphores");
	for (uint32_t i = 0; i < undo->count; i++) {
		if (!values[i])
			continue;
		SemaphoreUndoEntry entry = SEMAPHORE_UNDO_ENTRY__INIT;
		entry.set = (uint32_t)undo->set;
		entry.number = i;
		entry.value = values[i];
		core->semaphore_undos = arena_grow(arena, core->semaphore_undos,
						   core->n_semaphore_undos, sizeof(void *));
		core->semaphore_undos[core->n_semaphore_undos++] =
			arena_copy(arena, &entry, sizeof entry);
	}
	return 0;
}

/* ---- of a process ---- */

static struct known *known_of(struct collect *collect)
{
	void **state = collect_state(collect, &semaphore_undo_kind);

	if (!*state)
		*state = arena_new(collect->arena, struct known);
	return *state;
}

/* 0: they share it, or have none; -1 with errno. */
static int compare_lists(pid_t one, pid_t other)
{
	return kernel_kcmp(one, other, KCMP_OBJECT_SEMAPHORE_UNDO, 0, 0);
}

/* What threads have that are not at one with their process. */
static int look_at_threads(struct target *target, struct error *err)
{
	for (size_t i = 0; i < target->n_threads; i++) {
		const struct target_thread *thread = &target->threads[i];
		struct undo_list list;
		int differ = thread->dead ? 0 : compare_lists(thread->tid, target->tid);
		if (differ < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "thread %d: cannot compare lists of semaphores",
					  thread->tid);
		if (!differ)
			continue;
		int result = read_undos(target, i, &list, err);
		if (result < 0)
			return -1;
		if (result == 0 && list.n)
			loss_add(target, i, LOSS_SEMAPHORE_UNDO, "a thread has some for itself");
	}
	return 0;
}

static int add_list(struct target *target, const struct undo_list *list, struct looking *looking,
		    struct error *err)
{
	struct known *known = known_of(target->collect);
	TaskCoreEntry *core = target->task->core->tc;
	const char *lost = NULL;

	looking->undos = list->all;
	looking->n_undos = list->n;
	if (list->n && look(target, looking, err))
		return -1;
	for (size_t i = 0; i < list->n; i++)
		if (add_undo(target, &list->all[i], err))
			return -1;
	if (!core->n_semaphore_undos)
		return 0;
	if (looking->is_own)
		lost = "of semaphores in an ipc namespace that is not the tree's";
	else if (!table_add(&known->lists, target->collect->arena, list->address, target))
		lost = "it shares it with another process";
	if (lost) {
		core->n_semaphore_undos = 0;
		loss_add(target, 0, LOSS_SEMAPHORE_UNDO, lost);
	}
	return 0;
}

static int collect(struct target *target, struct error *err)
{
	struct known *known = known_of(target->collect);
	struct looking looking = { 0 };
	struct undo_list list;

	if (target->zombie || (known->without && compare_lists(target->tid, known->without) == 0))
		return 0;
	if (look(target, &looking, err))
		return -1;
	if (!looking.has_list)
		known->without = target->tid;
	if (!looking.has_list || !looking.has_sets)
		return 0;
	int result = read_undos(target, target->living, &list, err);
	if (result < 0)
		return -1;
	if (result == 0)
		return add_list(target, &list, &looking, err) || look_at_threads(target, err) ? -1
											      : 0;
	if (looking.found)
		loss_add(target, 0, LOSS_SEMAPHORE_UNDO, "the kernel shows it to nobody");
	return 0;
}

/* ---- restore ---- */

static const IpcSemaphores *set_of(const struct snapshot *snapshot, const struct task *task,
				   const SemaphoreUndoEntry *undo)
{
	const struct namespace *namespace_ = task_first_namespace(snapshot, task, NAMESPACE_IPC);
	const IpcEntry *ipc = namespace_ ? namespace_->entry->ipc : NULL;

	for (size_t i = 0; ipc && i < ipc->n_semaphores; i++)
		if (ipc->semaphores[i]->desc->id == undo->set)
			return ipc->semaphores[i];
	return NULL;
}

static uint32_t size_of(const SemaphoreUndoEntry *undo)
{
	return (uint32_t)(undo->value < 0 ? -undo->value : undo->value);
}

/* With the larger value first, if there is such a one. */
static bool goes_up_first(const IpcSemaphores *set, const SemaphoreUndoEntry *undo)
{
	return set->values[undo->number] + size_of(undo) <= MOST_VALUE;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const TaskCoreEntry *core = task->core->tc;

	for (size_t i = 0; core && i < core->n_semaphore_undos; i++) {
		const SemaphoreUndoEntry *undo = core->semaphore_undos[i];
		const IpcSemaphores *set = set_of(snapshot, task, undo);
		if (!set)
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "its end undoes something of semaphores %" PRIu32
				    ", which are in no ipc namespace that it begins in",
				    undo->set);
		if (undo->number >= set->n_values || !undo->value || undo->value < -MOST_VALUE ||
		    undo->value > MOST_VALUE ||
		    (!goes_up_first(set, undo) && set->values[undo->number] < size_of(undo)))
			return fail(err, ERR_IMAGE_INVALID,
				    "its end undoes what cannot be done of semaphores %" PRIu32,
				    undo->set);
	}
	return 0;
}

/* Both at once, so that nobody sees another value. */
static int plan(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	const TaskCoreEntry *core = task->core->tc;
	struct program *program = planning->program;

	(void)err;
	for (size_t i = 0; i < core->n_semaphore_undos; i++) {
		const SemaphoreUndoEntry *undo = core->semaphore_undos[i];
		struct sembuf counts = { .sem_num = (unsigned short)undo->number,
					 .sem_op = (short)-undo->value,
					 .sem_flg = SEM_UNDO | IPC_NOWAIT };
		struct sembuf back = { .sem_num = (unsigned short)undo->number,
				       .sem_op = (short)undo->value,
				       .sem_flg = IPC_NOWAIT };
		bool up = goes_up_first(set_of(planning->plan->snapshot, task, undo), undo);
		bool first = up == (counts.sem_op > 0);
		const struct sembuf both[] = { first ? counts : back, first ? back : counts };
		op_expect(program_call(program, SYS_semop, undo->set,
				       program_data(program->set, both, sizeof both, 2), 2),
			  0);
	}
	return 0;
}

const struct task_kind semaphore_undo_kind = {
	.name = "undoing of semaphores",
	.collect = collect,
	.check = check,
	.plan = plan,
};
