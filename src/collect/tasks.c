// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading a stopped tree from outside: ids at every level, who shares what with whom, the
 * messages that kinds fill, and the kinds themselves.
 *
 * Level 0 of the recorded ids is the pid namespace of this nestor, or that of the root task where
 * the root task is the init of a namespace of its own: the outer numbers say nothing about the
 * tree then, and a restore makes the namespace again wherever it runs.
 */
#include "arch/registers.h"
#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "collect/objects.h"
#include "collect/witness.h"
#include "kernel/facts.h"
#include "kinds/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

struct reading {
	struct collect *collect;
	size_t outer_levels; /* numbers of NSpid that are dropped */
	struct object_order address_spaces, tables, fs;
	struct object_order *signal_actions; /* one for each address space, by its id */
	uint32_t n_address_spaces, last_signal_actions;
};

static size_t status_vector(const char *status, const char *key, uint64_t *numbers)
{
	const char *field = procfs_field(status, key);

	return field ? procfs_numbers(field, 10, numbers, MAX_PID_LEVELS + 1) : 0;
}

/* The numbers of one vector without the outer levels, in the arena. */
static int read_vector(const struct reading *reading, const char *status, const char *key,
		       size_t *ret_count, uint32_t **ret_numbers, struct error *err)
{
	uint64_t numbers[MAX_PID_LEVELS + 1];
	size_t count = status_vector(status, key, numbers);

	if (count <= reading->outer_levels || count - reading->outer_levels > MAX_PID_LEVELS)
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "%s has %zu levels, of which %zu are outside of the tree", key, count,
			    reading->outer_levels);
	count -= reading->outer_levels;
	*ret_numbers = arena_array(reading->collect->arena, uint32_t, count);
	for (size_t i = 0; i < count; i++)
		(*ret_numbers)[i] = (uint32_t)numbers[reading->outer_levels + i];
	*ret_count = count;
	return 0;
}

/*
 * A tree that shares its pid namespace with an init outside of it is dumped as from inside, if that
 * is below nestor's: that namespace is in the place of nestor's own. The owner has to be the user
 * namespace that one would stand in there. 1, 0, or -1 with errno.
 */
static int can_stand_for_own(const struct target *root)
{
	struct stat own, owner;
	autoclose int fd = target_open(root, "ns/pid", O_RDONLY);
	autoclose int owner_fd = fd < 0 ? -1 : ioctl(fd, NS_GET_USERNS);

	if (owner_fd < 0 || fstat(owner_fd, &owner) || stat("/proc/self/ns/user", &own))
		return errno_tells_nothing(errno) ? -1 : 0;
	return own.st_ino == owner.st_ino && own.st_dev == owner.st_dev;
}

static int find_outer_levels(struct reading *reading, struct error *err)
{
	uint64_t numbers[MAX_PID_LEVELS + 1];
	struct target *root = &reading->collect->targets[0];
	char *own;

	if (procfs_read(reading->collect->arena, AT_FDCWD, "/proc/self/status", &own) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/self/status");
	size_t own_levels = status_vector(own, "NSpid:", numbers);
	size_t root_levels = status_vector(root->status, "NStgid:", numbers);
	if (!own_levels || !root_levels || root_levels > MAX_PID_LEVELS)
		return fail(err, ERR_KERNEL_TOO_OLD, "/proc/PID/status has no usable NSpid line");
	reading->outer_levels = root_levels - 1;
	if (root_levels <= own_levels || numbers[root_levels - 1] == 1)
		return 0;
	int stands = can_stand_for_own(root);
	if (stands < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "pid %d: cannot tell who owns its pid namespace", root->pid);
	if (!stands) {
		fail(err, ERR_UNSUPPORTED_NAMESPACE,
		     "pid %d lives in a nested pid namespace of another user namespace without "
		     "being its init",
		     root->pid);
		return fail_hint(err,
				 "dump the init of that namespace, or run nestor inside of it");
	}
	reading->collect->levels_to_root = root_levels - own_levels;
	return 0;
}

/*
 * The name as the kernel holds it. proc escapes newline and backslash in "Name:", and nothing
 * else; procfs_field would skip blanks that belong to the name.
 */
static char *read_name(struct arena *arena, const char *status)
{
	char name[64];
	size_t length = 0;
	const char *text = strncmp(status, "Name:\t", 6) == 0 ? status + 6 : "";

	for (; *text && *text != '\n' && length < sizeof name - 1; text++) {
		if (*text == '\\' && (text[1] == 'n' || text[1] == '\\')) {
			name[length++] = text[1] == 'n' ? '\n' : '\\';
			text++;
		} else {
			name[length++] = *text;
		}
	}
	name[length] = '\0';
	return arena_string(arena, name);
}

static int read_thread_ids(const struct reading *reading, struct target *target, struct error *err)
{
	struct arena *arena = reading->collect->arena;
	PstreeEntry *pstree = target->task->pstree;
	size_t count = target->n_threads;

	pstree->threads = arena_array(arena, uint32_t, count);
	pstree->ns_tids = arena_array(arena, NsTid *, count);
	for (size_t i = 0; i < count; i++) {
		NsTid *tid = snapshot_new(reading->collect->snapshot, NS_TID, NsTid);
		if (read_vector(reading, target->threads[i].status, "NSpid:", &tid->n_tid,
				&tid->tid, err))
			return -1;
		pstree->ns_tids[i] = tid;
		pstree->threads[i] = tid->tid[0];
	}
	pstree->n_threads = pstree->n_ns_tids = count;
	return 0;
}

static int read_ids(const struct reading *reading, struct target *target, struct error *err)
{
	PstreeEntry *pstree = snapshot_new(reading->collect->snapshot, PSTREE_ENTRY, PstreeEntry);

	target->task->pstree = pstree;
	if (read_vector(reading, target->status, "NStgid:", &pstree->n_ns_pid, &pstree->ns_pid,
			err) ||
	    read_vector(reading, target->status, "NSpgid:", &pstree->n_ns_pgid, &pstree->ns_pgid,
			err) ||
	    read_vector(reading, target->status, "NSsid:", &pstree->n_ns_sid, &pstree->ns_sid, err))
		return fail_while(err, "reading the ids of pid %d", target->pid);
	pstree->pid = pstree->ns_pid[0];
	pstree->pgid = pstree->ns_pgid[0];
	pstree->sid = pstree->ns_sid[0];
	pstree->ppid = target->parent ? target->parent->task->pstree->pid : 0;
	return read_thread_ids(reading, target, err);
}

/*
 * Who shares signal actions shares the address space: CLONE_SIGHAND takes CLONE_VM, and execve(2)
 * gives up both. So most tasks have nobody to be compared with.
 */
static struct object_order *signal_actions_in(struct reading *reading, uint32_t address_space)
{
	/* Ids are given one after the other. */
	if (address_space > reading->n_address_spaces) {
		reading->signal_actions =
			arena_grow(reading->collect->arena, reading->signal_actions,
				   reading->n_address_spaces, sizeof *reading->signal_actions);
		reading->signal_actions[reading->n_address_spaces++] =
			(struct object_order){ .object = KCMP_OBJECT_SIGHAND,
					       .last_id = &reading->last_signal_actions };
	}
	return &reading->signal_actions[address_space - 1];
}

static int read_object_ids(struct reading *reading, pid_t pid, TaskKobjIdsEntry *ids,
			   struct error *err)
{
	struct arena *arena = reading->collect->arena;

	if (object_order_id(&reading->address_spaces, arena, pid, &ids->vm_id, err) ||
	    object_order_id(&reading->tables, arena, pid, &ids->files_id, err) ||
	    object_order_id(&reading->fs, arena, pid, &ids->fs_id, err) ||
	    object_order_id(signal_actions_in(reading, ids->vm_id), arena, pid, &ids->sighand_id,
			    err))
		return -1;
	return 0;
}

/* Whether a thread has an object of its own; 1, 0, or -1 with err. */
static int has_own(const struct target *target, size_t thread, enum kcmp_object object,
		   struct error *err)
{
	pid_t tid = target->threads[thread].tid;
	int result = kernel_kcmp(target->tid, tid, object, 0, 0);

	return result < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED,
				    "cannot compare thread %d with pid %d (kcmp)", tid, target->pid)
		       : result != 0;
}

int collect_thread_has_own_fs(struct target *target, size_t thread, struct error *err)
{
	struct target_thread *one = &target->threads[thread];

	if (!one->fs_compared) {
		int result = has_own(target, thread, KCMP_OBJECT_FS, err);
		if (result < 0)
			return -1;
		one->has_own_fs = result;
		one->fs_compared = true;
	}
	return one->has_own_fs;
}

/*
 * clone(2) makes threads share address space and signal actions; table and fs may be given up
 * later (unshare). The table would have to be per thread in the images.
 */
static int read_parting(struct reading *reading, struct target *target, struct error *err)
{
	for (size_t i = target->living + 1; i < target->n_threads; i++) {
		struct target_thread *thread = &target->threads[i];
		int table = has_own(target, i, KCMP_OBJECT_FILES, err);
		int fs = table < 0 ? -1 : collect_thread_has_own_fs(target, i, err);

		if (fs < 0)
			return -1;
		if (table)
			return fail(err, ERR_SHARED_OBJECT,
				    "thread %d of pid %d has a descriptor table of its own",
				    thread->tid, target->pid);
		if (fs && object_order_id(&reading->fs, reading->collect->arena, thread->tid,
					  &thread->fs_id, err))
			return -1;
	}
	return 0;
}

static CoreEntry *new_core(struct snapshot *snapshot)
{
	CoreEntry *core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);

	core->mtype = CORE_ENTRY__MARCH__X86_64;
	return core;
}

static TaskCoreEntry *new_task_core(const struct target *target)
{
	struct snapshot *snapshot = target->collect->snapshot;
	TaskCoreEntry *tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	uint64_t exit_signal = target_leader_field(target, 38);

	tc->task_state = target->zombie	       ? TASK_DEAD
			 : target->stop_signal ? TASK_STOPPED
					       : TASK_ALIVE;
	/* The status a parent will wait for; of a stopped task: 0 once the parent has been told. */
	if (target->zombie || target->stop_signal)
		tc->exit_code = (uint32_t)target_stat_field(target, 52);
	if (target->living) {
		tc->has_leader_exit_code = true;
		tc->leader_exit_code = (uint32_t)target_leader_field(target, 52);
	}
	if (target->stop_signal) {
		tc->has_stop_signo = true;
		tc->stop_signo = (uint32_t)target->stop_signal;
	}
	tc->flags = (uint32_t)target_leader_field(target, 9);
	tc->comm = read_name(snapshot->arena, target->threads[0].status);
	if (exit_signal != SIGCHLD) {
		tc->has_exit_signal = true;
		tc->exit_signal = (uint32_t)exit_signal;
	}
	return tc;
}

static void read_thread_core(struct target *target, size_t index)
{
	struct snapshot *snapshot = target->collect->snapshot;
	struct target_thread *thread = &target->threads[index];
	CoreEntry *core = task_thread(target->task, index);

	core->thread_core = snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	core->thread_core->comm = read_name(snapshot->arena, thread->status);
	core->thread_core->has_blk_sigset = true;
	core->thread_core->blk_sigset =
		thread->dead ? procfs_value(thread->status, "SigBlk:", 16) : thread->signal_mask;
	/* Of one that runs nobody knows them. */
	if (!thread->dead && target->collect->looking)
		core->thread_info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);
	else if (!thread->dead)
		registers_save(&thread->recorded, thread->xstate, thread->xstate_size,
			       snapshot->arena, core);
}

static void read_cores(struct target *target)
{
	struct snapshot *snapshot = target->collect->snapshot;
	struct task *task = target->task;

	task->core = new_core(snapshot);
	task->core->tc = new_task_core(target);
	if (target->zombie) {
		read_thread_core(target, 0);
		task->core->tc->blk_sigset = task->core->thread_core->blk_sigset;
		return;
	}
	task->threads = arena_array(snapshot->arena, CoreEntry *, target->n_threads);
	task->n_threads = target->n_threads;
	for (size_t i = 0; i < target->n_threads; i++) {
		task->threads[i] = i == 0 ? task->core : new_core(snapshot);
		read_thread_core(target, i);
	}
	task->core->tc->blk_sigset = task->core->thread_core->blk_sigset;
}

/* As collect_pass: what is missing is the task's. */
static int pass_task(struct target *target, struct error *err)
{
	target->refused = true;
	return collect_pass(target->collect, err);
}

static int run_kinds(struct target *target, struct error *err)
{
	for (size_t stage = 0; stage < STAGE_COUNT; stage++)
		for (const struct task_kind *const *kind = kinds.tasks[stage]; kind && *kind;
		     kind++)
			if ((*kind)->collect && (!target->zombie || (*kind)->of_zombies) &&
			    (*kind)->collect(target, err)) {
				fail_while(err, "collecting %s of pid %d", (*kind)->name,
					   target->pid);
				if (pass_task(target, err))
					return -1;
			}
	return 0;
}

/* The files of a task are those of its mounts. */
static int read_mount_namespace(struct target *target, struct error *err)
{
	const struct surveyed_namespace *found = survey_add_task(target, NAMESPACE_MNT, err);

	if (!found)
		return -1;
	ids_set_namespace(target->task->ids, NAMESPACE_MNT, found->id);
	return 0;
}

static int read_task(struct reading *reading, struct target *target, struct error *err)
{
	struct snapshot *snapshot = reading->collect->snapshot;

	if (read_ids(reading, target, err))
		return -1;
	read_cores(target);
	target->task->ids = snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	/* A zombie has given up all of its objects. */
	if (target->zombie)
		return survey_set_own(target->collect, target->task->ids, err) ||
				       run_kinds(target, err)
			       ? -1
			       : 0;
	autoleave folder = target_enter(target);
	if ((read_parting(reading, target, err) && pass_task(target, err)) ||
	    read_object_ids(reading, target->tid, target->task->ids, err) ||
	    (read_mount_namespace(target, err) && pass_task(target, err)))
		return -1;
	return run_kinds(target, err) ? -1 : collect_descriptors(target, err);
}

InventoryEntry *collect_inventory(struct collect *collect)
{
	if (!collect->snapshot->inventory)
		collect->snapshot->inventory =
			snapshot_new(collect->snapshot, INVENTORY_ENTRY, InventoryEntry);
	return collect->snapshot->inventory;
}

static int read_inventory(struct reading *reading, struct error *err)
{
	struct collect *collect = reading->collect;
	/* Kinds may have said something of the whole already. */
	InventoryEntry *inventory = collect_inventory(collect);
	struct utsname name;

	inventory->img_version = 2;
	inventory->has_fdinfo_per_id = inventory->fdinfo_per_id = true;
	inventory->has_ns_per_id = inventory->ns_per_id = true;
	inventory->has_lsmtype = true;
	inventory->lsmtype = LSMTYPE__NO_LSM;
	inventory->nestor_version = NESTOR_VERSION;
	inventory->has_vdso_hash = collect->facts->vdso_hash != 0;
	inventory->vdso_hash = collect->facts->vdso_hash;
	if (uname(&name) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the kernel's release");
	inventory->kernel_release = arena_string(collect->arena, name.release);
	inventory->root_ids =
		snapshot_new(collect->snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	return read_object_ids(reading, getpid(), inventory->root_ids, err) ||
			       survey_set_own(collect, inventory->root_ids, err)
		       ? -1
		       : 0;
}

/*
 * There is no ids image for a zombie. Where its namespaces are not those of its parent, which is
 * what a reader takes for granted, the ids stand in its core.
 */
static void keep_ids_of_zombies(const struct collect *collect)
{
	for (size_t i = 1; i < collect->n_targets; i++) {
		const struct target *target = &collect->targets[i];
		TaskKobjIdsEntry *ids = target->task->ids;
		const TaskKobjIdsEntry *parent = target->parent->task->ids;

		if (target->zombie &&
		    (ids->pid_ns_id != parent->pid_ns_id || ids->user_ns_id != parent->user_ns_id))
			target->task->core->ids = ids;
	}
}

static int read_all(struct reading *reading, struct error *err)
{
	struct collect *collect = reading->collect;

	if (collect_namespaces_begin(collect, err))
		return -1;
	witnesses_begin(collect);
	if (trees_read(collect, err))
		return -1;
	/* Whoever looks at its files would wait for ever (FUSE). */
	if (collect->may_wait && !collect->looking)
		return obstacles_report(&collect->obstacles, err);
	for (size_t i = 0; i < collect->n_targets; i++)
		if (collect_go_on(collect, err) || read_task(reading, &collect->targets[i], err))
			return -1;
	if (collect_files_complete(collect, err))
		return -1;
	if (read_inventory(reading, err) || collect_namespaces(collect, err))
		return -1;
	keep_ids_of_zombies(collect);
	return 0;
}

int collect_read(struct collect *collect, struct error *err)
{
	struct reading reading = {
		.collect = collect,
		.address_spaces.object = KCMP_OBJECT_VM,
		.tables.object = KCMP_OBJECT_FILES,
		.fs.object = KCMP_OBJECT_FS,
	};

	if (!collect->facts->kcmp)
		return fail(err, ERR_KERNEL_TOO_OLD, "this kernel has no kcmp(2)");
	if (find_outer_levels(&reading, err))
		return -1;
	int result = read_all(&reading, err);
	trees_read_end(collect);
	if (result < 0)
		survey_release(collect);
	return result;
}
