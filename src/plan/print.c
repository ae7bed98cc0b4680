// SPDX-License-Identifier: LGPL-2.1-or-later
/* A plan for people and for scripts. */
#include "plan/lower/build.h"

#include "base/text.h"

#include <inttypes.h>
#include <sched.h>
#include <string.h>

const char *source_name(enum source_kind kind)
{
	static const char *const names[] = {
		[SOURCE_FILE] = "file",
		[SOURCE_PAGES] = "pages",
		[SOURCE_SHARED_MEMORY] = "shared memory",
		[SOURCE_TERMINAL] = "terminal",
		[SOURCE_CORE_DIRECTORY] = "core directory",
		[SOURCE_COORDINATOR] = "coordinator",
		[SOURCE_CGROUP] = "cgroup",
		[SOURCE_NAMESPACE] = "namespace",
		[SOURCE_PROC] = "/proc",
		[SOURCE_LATE_HOLDER] = "holder of late files",
	};

	return names[kind];
}

/* The name of the task that a program is of; NULL for threads and helpers. */
static const char *command_of(const struct plan *plan, const struct program *program, size_t *next)
{
	for (size_t i = *next; i < plan->n_tasks; i++) {
		if (plan->tasks[i].program != program)
			continue;
		*next = i + 1;
		return plan->tasks[i].task->core->tc->comm;
	}
	return NULL;
}

static void print_operations(const struct program *program, struct text *text)
{
	for (size_t i = 0; i < program->n_ops; i++) {
		text_add(text, "%6zu  ", i);
		op_print(program->set, &program->ops[i], NULL, text);
		text_add(text, "\n");
	}
}

static void print_root(const struct plan *plan, struct text *text)
{
	text_add(text, "first task: %s%sset_tid [",
		 plan->fresh_pid_namespace ? "below an init in a fresh pid namespace, " : "",
		 plan->root_clone.flags & CLONE_NEWPID ? "new pid namespace, " : "");
	for (size_t i = 0; i < plan->root_clone.n_set_tid; i++)
		text_add(text, "%s%" PRIu32, i ? ", " : "", plan->root_clone.set_tid[i]);
	text_add(text, "]\n");
}

static const char *way_in_words(const struct source *source)
{
	if (source->way == FILE_BY_TASK)
		return "opened by a task";
	if (source->way == FILE_LATE)
		return "opened late";
	if (source->way == FILE_LAST)
		return "opened last";
	if (source->way == FILE_AT_END)
		return "opened at the end";
	return source->inherited ? "inherited" : "fetched";
}

static void print_sources(const struct plan *plan, struct text *text)
{
	for (size_t i = 0; i < plan->n_sources; i++) {
		const struct source *source = &plan->sources[i];
		text_add(text, "descriptor %" PRIu32 ": %s", source->number,
			 source_name(source->kind));
		/* The coordinator's pid says nothing of the tree, and is never the same. */
		if (source->kind != SOURCE_COORDINATOR && source->kind != SOURCE_LATE_HOLDER)
			text_add(text, " %" PRIu64, source->id);
		text_add(text, ", %s\n", way_in_words(source));
	}
}

static void print_actions(const struct plan *plan, struct text *text)
{
	text_add(text, "coordinator\n");
	for (size_t i = 0; i < plan->n_actions; i++) {
		text_add(text, "%6zu  ", i);
		action_describe(plan, &plan->actions[i], text);
		text_add(text, "\n");
	}
}

void plan_print(const struct plan *plan, struct text *text)
{
	size_t next = 0;

	text_add(text, "programs at 0x%" PRIx64 "-0x%" PRIx64 ", vdso parked at 0x%" PRIx64 "\n",
		 plan->hole.start, plan->hole.start + plan->programs.size,
		 plan->vdso_parking.start);
	print_root(plan, text);
	print_sources(plan, text);
	text_add(text, "\n");
	print_actions(plan, text);
	for (size_t i = 0; i < plan->programs.n_programs; i++) {
		const struct program *program = plan->programs.programs[i];
		const char *command = command_of(plan, program, &next);
		text_add(text, "\n%s", program->name);
		if (command)
			text_add(text, " (%s)", text_printable(plan->arena, command));
		text_add(text, "\n");
		print_operations(program, text);
	}
}

static void print_sources_json(const struct plan *plan, struct text *text)
{
	for (size_t i = 0; i < plan->n_sources; i++) {
		const struct source *source = &plan->sources[i];
		text_add(text, "%s\n  {\"descriptor\": %" PRIu32 ", \"kind\": \"%s\"", i ? "," : "",
			 source->number, source_name(source->kind));
		if (source->kind != SOURCE_COORDINATOR && source->kind != SOURCE_LATE_HOLDER)
			text_add(text, ", \"id\": %" PRIu64, source->id);
		text_add(text, ", \"inherited\": %s, \"way\": \"%s\", \"users\": %zu}",
			 source->inherited ? "true" : "false", way_in_words(source), source->users);
	}
}

static void print_actions_json(const struct plan *plan, struct text *text)
{
	for (size_t i = 0; i < plan->n_actions; i++) {
		struct text description;

		text_init(&description, plan->arena);
		action_describe(plan, &plan->actions[i], &description);
		text_add(text, "%s\n  {\"index\": %zu, \"text\": ", i ? "," : "", i);
		text_add_json_string(text, description.string);
		text_add(text, "}");
	}
}

void plan_print_json(const struct plan *plan, struct text *text)
{
	text_add(text, "{\"base\": \"0x%" PRIx64 "\", \"size\": %zu, ", plan->hole.start,
		 plan->programs.size);
	text_add(text, "\"vdso_parking\": \"0x%" PRIx64 "\", ", plan->vdso_parking.start);
	text_add(text, "\"fresh_pid_namespace\": %s, \"new_pid_namespace\": %s, \"set_tid\": [",
		 plan->fresh_pid_namespace ? "true" : "false",
		 plan->root_clone.flags & CLONE_NEWPID ? "true" : "false");
	for (size_t i = 0; i < plan->root_clone.n_set_tid; i++)
		text_add(text, "%s%" PRIu32, i ? ", " : "", plan->root_clone.set_tid[i]);
	text_add(text, "],\n \"sources\": [");
	print_sources_json(plan, text);
	text_add(text, "],\n \"actions\": [");
	print_actions_json(plan, text);
	text_add(text, "],\n \"programs\": [");
	for (size_t i = 0; i < plan->programs.n_programs; i++) {
		text_add(text, i ? ",\n" : "\n");
		program_print_json(plan->programs.programs[i], text);
	}
	text_add(text, "]}\n");
}
