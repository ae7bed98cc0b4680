// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which cgroups tasks and threads are in: a path in each hierarchy (cgroups(7)), where v1 has many
 * and v2 is the one without a name. In v1, and in threaded v2 cgroups, that is a property of each
 * thread. Paths are shown relative to the root of the reader's cgroup namespace: "/.." is not below
 * nestor's, and cannot be named.
 *
 * Everybody is where the dumper was, or in a cgroup of the tree. A task moves itself first of all,
 * by a descriptor of cgroup.procs that the coordinator has opened, so that what it maps and opens
 * is accounted where it belongs: writing 0 moves the whole process, with the rights of who opened
 * the file. Threads that are somewhere else are moved by the coordinator when all are at rest.
 * Zombies are in none any more.
 */
#include "kinds/cgroups/cgroups.h"
#include "kinds/cgroups/events.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "model/records.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* ---- dump ---- */

struct seen_set {
	const char *text; /* of /proc/PID/cgroup */
	CgSetEntry *set;
};

struct seen {
	struct seen_set *sets; /* the first is nestor's */
	size_t n_sets;
};

static CgMemberEntry *parse_line(struct snapshot *snapshot, const char *line, size_t length)
{
	CgMemberEntry *member = snapshot_new(snapshot, CG_MEMBER_ENTRY, CgMemberEntry);
	const char *end = line + length;
	const char *name = memchr(line, ':', length);
	const char *path = name ? memchr(name + 1, ':', (size_t)(end - name - 1)) : NULL;

	if (!path)
		return NULL;
	member->name = arena_printf(snapshot->arena, "%.*s", (int)(path - name - 1), name + 1);
	member->path = arena_printf(snapshot->arena, "%.*s", (int)(end - path - 1), path + 1);
	return member;
}

CgSetEntry *cgroup_parse_set(struct snapshot *snapshot, const char *text, uint32_t id,
			     struct error *err)
{
	CgSetEntry *set = snapshot_new(snapshot, CG_SET_ENTRY, CgSetEntry);

	set->id = id;
	for (const char *line = text; *line; line += strspn(line, "\n")) {
		size_t length = strcspn(line, "\n");
		CgMemberEntry *member = parse_line(snapshot, line, length);
		if (!member) {
			fail(err, ERR_KERNEL_REFUSED,
			     "/proc/PID/cgroup has a line of another form");
			return NULL;
		}
		set->ctls = arena_grow(snapshot->arena, set->ctls, set->n_ctls, sizeof member);
		set->ctls[set->n_ctls++] = member;
		line += length;
	}
	return set;
}

/* The set with these lines; NULL with err. */
static const CgSetEntry *find_set(struct collect *collect, struct seen *seen, const char *text,
				  struct error *err)
{
	for (size_t i = seen->n_sets; i-- > 0;)
		if (strcmp(seen->sets[i].text, text) == 0)
			return seen->sets[i].set;
	CgSetEntry *set =
		cgroup_parse_set(collect->snapshot, text, (uint32_t)seen->n_sets + 1, err);
	if (!set)
		return NULL;
	seen->sets = arena_grow(collect->arena, seen->sets, seen->n_sets, sizeof *seen->sets);
	seen->sets[seen->n_sets++] = (struct seen_set){ arena_string(collect->arena, text), set };
	return set;
}

static struct seen *seen_of(struct collect *collect, struct error *err)
{
	struct seen **state = (struct seen **)collect_state(collect, &cgroups_kind);
	char *own;

	if (*state)
		return *state;
	/* A kernel without cgroups has no such file: nobody is in one. */
	if (procfs_read(collect->arena, AT_FDCWD, "/proc/self/cgroup", &own) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/self/cgroup");
		return NULL;
	}
	struct seen *seen = arena_new(collect->arena, struct seen);
	if (!find_set(collect, seen, own, err))
		return NULL;
	*state = seen;
	return seen;
}

static int collect_thread(struct target *target, struct seen *seen, size_t thread,
			  struct error *err)
{
	ThreadCoreEntry *core = task_thread(target->task, thread)->thread_core;
	char name[48];

	snprintf(name, sizeof name, "task/%d/cgroup", target->threads[thread].tid);
	const char *text = target_read(target, name, err);
	const CgSetEntry *set = text ? find_set(target->collect, seen, text, err) : NULL;
	if (!set)
		return -1;
	core->has_cg_set = true;
	core->cg_set = set->id;
	return 0;
}

static int collect(struct target *target, struct error *err)
{
	TaskCoreEntry *tc = target->task->core->tc;

	if (target->collect->options->ignore_cgroups)
		return 0;
	struct seen *seen = seen_of(target->collect, err);
	if (!seen)
		return -1;
	for (size_t i = target->living; i < target->n_threads; i++)
		if (collect_thread(target, seen, i, err))
			return -1;
	tc->has_cg_set = true;
	tc->cg_set = task_thread(target->task, target->living)->thread_core->cg_set;
	return 0;
}

/* Nothing is told where all are where nestor is: a restore leaves them where it is itself. */
static void forget_sets(struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets; i++) {
		struct target *target = &collect->targets[i];
		target->task->core->tc->has_cg_set = false;
		for (size_t k = target->living; !target->zombie && k < target->n_threads; k++)
			task_thread(target->task, k)->thread_core->has_cg_set = false;
	}
}

int cgroups_complete(struct collect *collect, struct error *err)
{
	const struct seen *seen = *collect_state(collect, &cgroups_kind);
	InventoryEntry *inventory = collect->snapshot->inventory;

	if (!seen || seen->n_sets == 1) {
		forget_sets(collect);
		return 0;
	}
	CgroupEntry *cgroups = snapshot_new(collect->snapshot, CGROUP_ENTRY, CgroupEntry);
	cgroups->n_sets = seen->n_sets;
	cgroups->sets = arena_array(collect->arena, CgSetEntry *, seen->n_sets);
	for (size_t i = 0; i < seen->n_sets; i++)
		cgroups->sets[i] = seen->sets[i].set;
	if (cgroup_properties_collect(collect, cgroups, err))
		return -1;
	cgroup_events_warn(collect, cgroups);
	snapshot_add_record(collect->snapshot, IMAGE_CGROUP, 0, cgroups);
	inventory->has_root_cg_set = true;
	inventory->root_cg_set = seen->sets[0].set->id;
	return 0;
}

/* ---- check ---- */

bool cgroup_is_path(const char *path)
{
	if (*path != '/' || strlen(path) >= MAX_CGROUP_PATH)
		return false;
	for (const char *at = path; *at; at += strcspn(at, "/")) {
		at += strspn(at, "/");
		size_t length = strcspn(at, "/");
		if ((length == 1 && at[0] == '.') || (length == 2 && memcmp(at, "..", 2) == 0) ||
		    length > 255)
			return false;
	}
	return true;
}

static int check_member(const struct snapshot *snapshot, const struct task *task,
			const CgMemberEntry *member, struct error *err)
{
	if (!cgroup_is_own(snapshot, member) || cgroup_is_path(member->path))
		return 0;
	fail(err, ERR_CGROUP_OUTSIDE,
	     "task %s: its cgroup %s:%s is not below the root that nestor sees", task_name(task),
	     member->name, member->path);
	return fail_hint(err, "run nestor in the cgroup namespace of the host, or with "
			      "--manage-cgroups=ignore");
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const TaskCoreEntry *tc = task->core->tc;

	if (task == &snapshot->tasks[0] && cgroup_properties_check(snapshot, err))
		return -1;
	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadCoreEntry *core = task->threads[i]->thread_core;
		const CgSetEntry *set = thread_cgroups(snapshot, task, i);
		if (!set && ((core && core->has_cg_set) || tc->has_cg_set) &&
		    snapshot_records(snapshot, IMAGE_CGROUP)->count)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: its cgroups are not described", task_name(task));
		for (size_t k = 0; set && k < set->n_ctls; k++)
			if (check_member(snapshot, task, set->ctls[k], err))
				return -1;
	}
	return 0;
}

/* ---- restore ---- */

static void move_itself(struct plan *plan, struct program *program, const CgMemberEntry *member)
{
	uint32_t source = plan_source(plan, SOURCE_CGROUP, cgroup_number(plan->snapshot, member));
	uint64_t slot = plan_borrow(plan, program, source);

	op_expect(op_argument_from(program_call(program, SYS_write, 0,
						program_data(program->set, "0", 1, 1), 1),
				   0, slot),
		  1);
}

static size_t first_living(const struct task *task)
{
	return task_leader_is_dead(task) ? 1 : 0;
}

static int plan_move(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	const CgSetEntry *set = thread_cgroups(plan->snapshot, task, first_living(task));

	(void)err;
	for (size_t i = 0; plan->cgroup_mode != CGROUPS_IGNORE && set && i < set->n_ctls; i++)
		if (cgroup_is_own(plan->snapshot, set->ctls[i]))
			move_itself(plan, planning->program, set->ctls[i]);
	return 0;
}

/* Only of those that are not where their process is. */
static bool applies(const struct planning *planning)
{
	const struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	size_t thread = planning->thread;

	return plan->cgroup_mode != CGROUPS_IGNORE && thread > first_living(task) &&
	       thread_cgroups(plan->snapshot, task, thread) !=
		       thread_cgroups(plan->snapshot, task, first_living(task));
}

static int apply(const struct applied_thread *thread, struct error *err)
{
	const struct snapshot *snapshot = thread->plan->snapshot;
	const CgSetEntry *set = thread_cgroups(snapshot, thread->task, thread->thread);
	const CgSetEntry *process =
		thread_cgroups(snapshot, thread->task, first_living(thread->task));

	for (size_t i = 0; set && i < set->n_ctls; i++) {
		const CgMemberEntry *other = cgroup_member(process, set->ctls[i]->name);
		if (other && strcmp(other->path, set->ctls[i]->path) == 0)
			continue;
		if (cgroup_move_thread(thread->opener, set->ctls[i],
				       cgroup_is_own(snapshot, set->ctls[i]), thread->tid, err))
			return -1;
	}
	return 0;
}

const struct task_kind cgroups_kind = {
	.name = "cgroups",
	.per_thread = true,
	.collect = collect,
	.check = check,
	.prepares = cgroup_entrances_are_there,
	.prepare = cgroup_entrances_close,
	.plan = plan_move,
	.applies = applies,
	.apply = apply,
};
