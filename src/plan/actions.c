// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The list of what the coordinator does itself. The order is that of a restore: namespaces, what
 * tasks fetch, the first fork, gates as programs come to them, and once all are at rest what only
 * the coordinator may set, then the end.
 */
#include "plan/plan.h"

#include <inttypes.h>
#include <linux/sched.h>
#include <string.h>

/* ---- The list ---- */

static struct action *add(struct plan *plan, enum action_kind kind)
{
	plan->actions =
		arena_grow(plan->arena, plan->actions, plan->n_actions, sizeof *plan->actions);
	struct action *action = &plan->actions[plan->n_actions++];
	*action = (struct action){ .kind = kind };
	return action;
}

static void add_gate(struct plan *plan, enum gate_name name)
{
	if (plan->gates[name].go_word)
		add(plan, ACTION_GATE)->gate = &plan->gates[name];
}

static void add_park(struct plan *plan, uint32_t count)
{
	add(plan, ACTION_PARK)->count = count;
}

/* In the order of holders, each of which comes to be when its batch is open. */
static void add_held_sources(struct plan *plan)
{
	for (uint32_t holder = 1; holder <= plan->n_holders; holder++) {
		for (size_t i = 0; i < plan->n_sources; i++)
			if (plan->sources[i].holder == holder)
				add(plan, ACTION_OPEN)->source = i;
		add(plan, ACTION_HOLD)->count = holder;
	}
}

/* What tasks open themselves is taken from them when late files are opened. */
static void add_sources(struct plan *plan, enum file_way when)
{
	for (size_t i = 0; i < plan->n_sources; i++) {
		enum file_way way =
			plan->sources[i].way == FILE_BY_TASK ? FILE_LATE : plan->sources[i].way;
		if (plan->sources[i].kind != SOURCE_COORDINATOR && !plan->sources[i].holder &&
		    way == when)
			add(plan, ACTION_OPEN)->source = i;
	}
}

static void add_late_sources(struct plan *plan, enum file_way when)
{
	add_sources(plan, when);
	if (plan->n_holders)
		add(plan, ACTION_LEAVE);
}

static void add_await(struct plan *plan, const char *what, uint64_t word, uint32_t count)
{
	struct action *action = add(plan, ACTION_AWAIT);

	action->await.what = what;
	action->await.word = word;
	action->await.count = count;
}

/* When all processes exist, and tasks have opened what they open themselves. */
static void add_late_files(struct plan *plan)
{
	if (!plan->gates[GATE_LATE_FILES].go_word)
		return;
	add_await(plan, "all processes", plan->makers_word, plan->n_makers);
	add_await(plan, "files that tasks open", plan->opened_word, plan->n_opened_by_tasks);
	if (plan->snapshot->n_mount_namespaces)
		add(plan, ACTION_MAKE_MOUNTS);
	add_late_sources(plan, FILE_LATE);
	add_gate(plan, GATE_LATE_FILES);
	if (!plan->gates[GATE_LAST_FILES].go_word)
		return;
	add_await(plan, "tasks in their namespaces", plan->entered_word, plan->n_entered);
	add_late_sources(plan, FILE_LAST);
	add_gate(plan, GATE_LAST_FILES);
}

static bool connects(const struct kind_table *table, const FileEntry *entry)
{
	const struct file_aspect *const *aspect = table->aspects;

	if (kind_of_file(table, entry)->connect)
		return true;
	while (aspect && *aspect && !(*aspect)->is_there(entry))
		aspect++;
	return aspect && *aspect;
}

static void add_connections(struct plan *plan)
{
	for (int first = 1; first >= 0; first--)
		for (size_t i = 0; i < plan->n_sources; i++) {
			const FileEntry *entry = plan->sources[i].file;

			if (entry && connects(plan->kinds, entry) &&
			    kind_of_file(plan->kinds, entry)->connects_first == first)
				add(plan, ACTION_CONNECT)->source = i;
		}
}

static void add_kinds_prepare(struct plan *plan, bool first)
{
	for (int stage = 0; plan->kinds && stage < STAGE_COUNT; stage++) {
		const struct task_kind *const *kind = plan->kinds->tasks[stage];

		for (; kind && *kind; kind++)
			if ((*kind)->prepares && (*kind)->prepares_first == first &&
			    (*kind)->prepares(plan->snapshot))
				add(plan, ACTION_PREPARE)->prepared = *kind;
	}
}

static bool is_joined(const struct plan *plan, const struct namespace *namespace_)
{
	const struct namespace_kind *kind = plan->kinds->namespaces[namespace_->type];

	return kind && kind->is_joined && kind->is_joined(namespace_);
}

/* Does one that is not filled yet come before it? */
static bool has_to_wait(const struct plan *plan, const struct namespace *namespace_,
			const bool *waiting)
{
	const struct snapshot *snapshot = plan->snapshot;
	const struct namespace_kind *kind = plan->kinds->namespaces[namespace_->type];

	for (size_t i = 0; kind->stands_on && i < snapshot->n_plain_namespaces; i++)
		if (waiting[i] && kind->stands_on(namespace_, snapshot->plain_namespaces[i]))
			return true;
	return false;
}

/* All are there, and tied to each other, before any of them is filled. */
static void add_joined(struct plan *plan)
{
	struct namespace **list = plan->snapshot->plain_namespaces;
	size_t n = plan->snapshot->n_plain_namespaces, left = 0, before;
	bool *waiting = arena_array(plan->arena, bool, n + 1);

	for (size_t i = 0; plan->kinds && i < n; i++) {
		waiting[i] = is_joined(plan, list[i]);
		left += waiting[i];
		if (waiting[i])
			add(plan, ACTION_JOIN_NAMESPACE)->plain = list[i];
	}
	do {
		before = left;
		for (size_t i = 0; i < n; i++) {
			if (!waiting[i] || has_to_wait(plan, list[i], waiting))
				continue;
			add(plan, ACTION_FILL_NAMESPACE)->plain = list[i];
			waiting[i] = false;
			left--;
		}
	} while (left && left < before);
	/* What stands on each other in a circle is refused by whoever is asked first. */
	for (size_t i = 0; i < n; i++)
		if (waiting[i])
			add(plan, ACTION_FILL_NAMESPACE)->plain = list[i];
	for (size_t i = 0; plan->kinds && i < n; i++)
		if (is_joined(plan, list[i]) && plan->kinds->namespaces[list[i]->type]->finish)
			add(plan, ACTION_FINISH_NAMESPACE)->plain = list[i];
}

static void add_preparations(struct plan *plan)
{
	const struct snapshot *snapshot = plan->snapshot;

	if (!plan->own_pid_namespace)
		add(plan, ACTION_COUNT_PAST_IDS);
	add(plan, ACTION_START_EXECUTOR);
	for (size_t i = 1; i < snapshot->n_user_namespaces; i++)
		add(plan, ACTION_MAKE_USER_NAMESPACE)->namespace = snapshot->user_namespaces[i];
	if (plan->root_clone.owner)
		add(plan, ACTION_MAKE_PID_NAMESPACE)->namespace =
			snapshot_user_namespace(snapshot, plan->root_clone.owner);
	add_kinds_prepare(plan, true);
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++)
		if (!namespace_types[snapshot->plain_namespaces[i]->type].late &&
		    !snapshot->plain_namespaces[i]->maker)
			add(plan, ACTION_MAKE_NAMESPACE)->plain = snapshot->plain_namespaces[i];
	add_joined(plan);
	add(plan, ACTION_TELL_NAMESPACES);
	add_kinds_prepare(plan, false);
	add_sources(plan, FILE_EARLY);
	add_held_sources(plan);
	add(plan, ACTION_MAP_PROGRAMS);
	add(plan, ACTION_FORK);
}

static bool has_stopped_task(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_tasks; i++)
		if (plan->tasks[i].stopped)
			return true;
	return false;
}

/* Stopped tasks stand before their parents, if they go on, take the last steps. */
static void add_gates(struct plan *plan)
{
	add_gate(plan, GATE_FILTERS_BEFORE_STOP);
	if (has_stopped_task(plan)) {
		add_park(plan, plan->n_parked_before_stop);
		add_gate(plan, GATE_STOPPED_LEADERS);
		add(plan, ACTION_STOP);
		add_gate(plan, GATE_STOPPED);
	}
	add_gate(plan, GATE_FILTERS);
	add_park(plan, plan->n_parked);
}

/* Limits may be lower than what there is: they come last, and the innermost first. */
static void add_limits(struct plan *plan)
{
	const struct snapshot *snapshot = plan->snapshot;

	for (size_t i = snapshot->n_user_namespaces; i-- > 1;) {
		const struct user_namespace *namespace = snapshot->user_namespaces[i];

		if (namespace->base.entry->n_user_limits)
			add(plan, ACTION_SET_LIMITS)->limits = namespace->base.entry;
	}
	if (snapshot->base && snapshot->base->n_user_limits)
		add(plan, ACTION_SET_LIMITS)->limits = snapshot->base;
}

static void add_kind(struct plan *plan, const struct task_kind *kind)
{
	for (size_t i = 0; i < plan->n_tasks; i++) {
		const struct planned_task *task = &plan->tasks[i];
		/* Of a first thread that exits again nobody sees anything. */
		size_t first = task->leader_dead ? 1 : 0;

		for (size_t thread = first; thread < task->n_threads; thread++) {
			if (thread > first && !kind->per_thread)
				break;
			if (!kind->applies(&(struct planning){
				    .plan = plan, .task = task->task, .thread = thread }))
				continue;
			struct action *action = add(plan, ACTION_APPLY);
			action->apply.kind = kind;
			action->apply.task = i;
			action->apply.thread = thread;
		}
	}
}

static void add_applied(struct plan *plan)
{
	for (int stage = 0; plan->kinds && stage < STAGE_COUNT; stage++) {
		const struct task_kind *const *kind = plan->kinds->tasks[stage];

		for (; kind && *kind; kind++)
			if ((*kind)->apply)
				add_kind(plan, *kind);
	}
}

void actions_make(struct plan *plan)
{
	plan->actions = NULL;
	plan->n_actions = 0;
	add_preparations(plan);
	add_late_files(plan);
	add_gates(plan);
	add_connections(plan);
	add_limits(plan);
	add(plan, ACTION_CLOSE);
	if (plan->services[SERVICE_GUIDE].word)
		add(plan, ACTION_SET_LAST_PIDS);
	add_applied(plan);
	add(plan, ACTION_ANNOUNCE);
	add_gate(plan, GATE_LEADERS);
	add(plan, ACTION_FINISH);
}

void actions_forget(struct plan *plan)
{
	plan->actions = NULL;
	plan->n_actions = 0;
	memset(plan->gates, 0, sizeof plan->gates);
	memset(plan->services, 0, sizeof plan->services);
	plan->guided_namespaces = NULL;
	plan->n_guided_namespaces = 0;
	plan->callers = NULL;
	plan->calls_at_end = NULL;
	plan->n_calls_at_end = 0;
	plan->warnings = NULL;
	plan->n_warnings = 0;
	plan->kind_states = NULL;
	plan->n_kind_states = 0;
}

/* ---- For people ---- */

static void say_nothing_more(const struct plan *plan, const struct action *action,
			     struct text *text)
{
	(void)plan;
	(void)action;
	(void)text;
}

static void say_user_namespace(const struct plan *plan, const struct action *action,
			       struct text *text)
{
	const struct user_namespace *namespace = action->namespace;

	(void)plan;
	text_add(text, " %" PRIu32 ", below %" PRIu32 ", owner %" PRIu32, namespace->base.id,
		 namespace->parent ? namespace->parent->base.id : 0,
		 namespace->base.entry->owner_uid);
}

static void say_pid_namespace(const struct plan *plan, const struct action *action,
			      struct text *text)
{
	(void)plan;
	text_add(text, " of the first task, in user namespace %" PRIu32,
		 action->namespace->base.id);
}

static void say_mounts(const struct plan *plan, const struct action *action, struct text *text)
{
	(void)action;
	for (size_t i = 0; i < plan->snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *mounts = plan->snapshot->mount_namespaces[i];
		text_add(text, "%s %" PRIu32 " (%zu mounts) in user namespace %" PRIu32,
			 i ? "," : "", mounts->id, mounts->n_mounts, mounts->owner->base.id);
	}
}

static void say_namespace(const struct plan *plan, const struct action *action, struct text *text)
{
	const struct namespace *namespace_ = action->plain;
	const struct namespace_kind *kind = plan->kinds->namespaces[namespace_->type];
	size_t length;

	text_add(text, " %" PRIu32 " (%s) in user namespace %" PRIu32, namespace_->id,
		 namespace_types[namespace_->type].words, namespace_->owner->base.id);
	if (namespace_->entry->ext_key) {
		text_add(text, ", given as %s", namespace_->entry->ext_key);
		return;
	}
	length = text->length;
	if (kind->describe) {
		text_add(text, ": ");
		kind->describe(namespace_->entry, text);
	}
	if (text->length == length + 2)
		text->string[text->length = length] = '\0';
}

static void say_source(const struct plan *plan, const struct action *action, struct text *text)
{
	const struct source *source = &plan->sources[action->source];

	text_add(text, " descriptor %" PRIu32 ": %s %" PRIu64, source->number,
		 source_name(source->kind), source->id);
}

static void say_awaited(const struct plan *plan, const struct action *action, struct text *text)
{
	(void)plan;
	text_add(text, " %s: %" PRIu32, action->await.what, action->await.count);
}

static void say_holder(const struct plan *plan, const struct action *action, struct text *text)
{
	text_add(text, " what was opened: process %" PRIu32 " of %" PRIu32, action->count,
		 plan->n_holders);
}

static void say_programs(const struct plan *plan, const struct action *action, struct text *text)
{
	(void)action;
	text_add(text, " at 0x%" PRIx64, plan->hole.start);
}

static void say_root(const struct plan *plan, const struct action *action, struct text *text)
{
	const struct root_clone *clone = &plan->root_clone;

	(void)action;
	text_add(text, ": %s%sset_tid [",
		 clone->flags & CLONE_NEWPID || clone->owner ? "new pid namespace, " : "",
		 plan->fresh_pid_namespace ? "below an init of ours, " : "");
	for (size_t i = 0; i < clone->n_set_tid; i++)
		text_add(text, "%s%" PRIu32, i ? ", " : "", clone->set_tid[i]);
	text_add(text, "]");
}

static void say_gate(const struct plan *plan, const struct action *action, struct text *text)
{
	static const char *const ways[] = {
		[GATE_WAY_OPEN] = "",
		[GATE_WAY_TRACE] = ", which are traced",
		[GATE_WAY_EXIT] = ", which exit",
	};
	const struct gate *gate = action->gate;

	text_add(text, " for %s: %zu%s", gate_say((enum gate_name)(gate - plan->gates)),
		 gate->n_waiting, ways[gate->way]);
}

static void say_parked(const struct plan *plan, const struct action *action, struct text *text)
{
	text_add(text, " %" PRIu32 " of %" PRIu32 " programs", action->count, plan->n_parked);
}

static void say_stopped(const struct plan *plan, const struct action *action, struct text *text)
{
	size_t count = 0;

	(void)action;
	for (size_t i = 0; i < plan->n_tasks; i++)
		count += plan->tasks[i].stopped;
	text_add(text, " %zu tasks", count);
}

static void say_limits(const struct plan *plan, const struct action *action, struct text *text)
{
	(void)plan;
	text_add(text, " %" PRIu32, action->limits->id);
}

static void say_prepared(const struct plan *plan, const struct action *action, struct text *text)
{
	(void)plan;
	text_add(text, " %s", action->prepared->name);
}

static void say_applied(const struct plan *plan, const struct action *action, struct text *text)
{
	const struct planned_task *task = &plan->tasks[action->apply.task];

	text_add(text, " %s: %s", task->threads[action->apply.thread].program->name,
		 action->apply.kind->name);
}

static const struct {
	const char *name;
	void (*say_more)(const struct plan *plan, const struct action *action, struct text *text);
} action_rows[ACTION_KINDS] = {
	[ACTION_COUNT_PAST_IDS] = { "count on past the ids of the tree", say_nothing_more },
	[ACTION_START_EXECUTOR] = { "start the executor", say_nothing_more },
	[ACTION_MAKE_USER_NAMESPACE] = { "make user namespace", say_user_namespace },
	[ACTION_MAKE_PID_NAMESPACE] = { "make the pid namespace", say_pid_namespace },
	[ACTION_MAKE_NAMESPACE] = { "make namespace", say_namespace },
	[ACTION_JOIN_NAMESPACE] = { "join to others namespace", say_namespace },
	[ACTION_FILL_NAMESPACE] = { "fill namespace", say_namespace },
	[ACTION_FINISH_NAMESPACE] = { "finish namespace", say_namespace },
	[ACTION_MAKE_MOUNTS] = { "make mount namespaces", say_mounts },
	[ACTION_OPEN] = { "open", say_source },
	[ACTION_HOLD] = { "hold", say_holder },
	[ACTION_LEAVE] = { "leave to others what is open", say_nothing_more },
	[ACTION_CONNECT] = { "connect", say_source },
	[ACTION_AWAIT] = { "wait for", say_awaited },
	[ACTION_MAP_PROGRAMS] = { "map the programs", say_programs },
	[ACTION_FORK] = { "make the first task", say_root },
	[ACTION_GATE] = { "gate", say_gate },
	[ACTION_PARK] = { "wait for", say_parked },
	[ACTION_STOP] = { "stop", say_stopped },
	[ACTION_CLOSE] = { "close all descriptors", say_nothing_more },
	[ACTION_SET_LIMITS] = { "set the limits of user namespace", say_limits },
	[ACTION_SET_LAST_PIDS] = { "set last pids", say_nothing_more },
	[ACTION_PREPARE] = { "prepare", say_prepared },
	[ACTION_APPLY] = { "set from outside", say_applied },
	[ACTION_TELL_NAMESPACES] = { "tell the caller of the namespaces", say_nothing_more },
	[ACTION_ANNOUNCE] = { "tell the caller", say_nothing_more },
	[ACTION_FINISH] = { "set registers and let go", say_nothing_more },
};

void action_describe(const struct plan *plan, const struct action *action, struct text *text)
{
	text_add(text, "%s", action_rows[action->kind].name);
	action_rows[action->kind].say_more(plan, action, text);
}
