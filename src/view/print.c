// SPDX-License-Identifier: LGPL-2.1-or-later
/* Drawing a tree and its namespaces, and the same as JSON; see view.h. */
#include "view/view.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct line_art {
	const char *branch, *last_branch, *trunk, *gap; /* each three columns wide */
};

static const struct line_art ascii_art = { "|- ", "`- ", "|  ", "   " };
static const struct line_art unicode_art = { "├─ ", "└─ ", "│  ", "   " };

enum { ART_WIDTH = 3, SHOWN_EXTENTS = 4 };

/*
 * Both pictures are forests of nodes with a parent, drawn in the same way: a first column with
 * lines and a label, and a rest that is aligned behind the widest of them.
 */
struct forest {
	struct arena *arena;
	size_t count;
	const size_t *parents; /* a root is its own parent */
	const char **labels;   /* ASCII */
	const char **rests;
};

static void add_lines(const struct forest *forest, const struct line_art *art, size_t node,
		      struct text *text, bool innermost)
{
	size_t parent = forest->parents[node];
	bool is_last = true;

	if (parent == node)
		return;
	add_lines(forest, art, parent, text, false);
	for (size_t i = node + 1; i < forest->count && is_last; i++)
		is_last = forest->parents[i] != parent || i == parent;
	if (innermost)
		text_add(text, "%s", is_last ? art->last_branch : art->branch);
	else
		text_add(text, "%s", is_last ? art->gap : art->trunk);
}

static size_t depth_of(const struct forest *forest, size_t node)
{
	size_t depth = 0;

	for (; forest->parents[node] != node; node = forest->parents[node])
		depth++;
	return depth;
}

static size_t label_width(const struct forest *forest, size_t node)
{
	return depth_of(forest, node) * ART_WIDTH + strlen(forest->labels[node]);
}

static void end_line(struct text *text)
{
	while (text->length && text->string[text->length - 1] == ' ')
		text->string[--text->length] = '\0';
	text_add(text, "\n");
}

static void draw_below(const struct forest *forest, const struct line_art *art, size_t node,
		       size_t width, struct text *text)
{
	add_lines(forest, art, node, text, true);
	text_add(text, "%s%*s  %s", forest->labels[node], (int)(width - label_width(forest, node)),
		 "", forest->rests[node]);
	end_line(text);
	for (size_t i = 0; i < forest->count; i++)
		if (i != node && forest->parents[i] == node)
			draw_below(forest, art, i, width, text);
}

static void draw(const struct forest *forest, const struct line_art *art, const char *head,
		 const char *head_rest, struct text *text)
{
	size_t width = strlen(head);

	for (size_t i = 0; i < forest->count; i++)
		if (label_width(forest, i) > width)
			width = label_width(forest, i);
	text_add(text, "%s%*s  %s\n", head, (int)(width - strlen(head)), "", head_rest);
	for (size_t i = 0; i < forest->count; i++)
		if (forest->parents[i] == i)
			draw_below(forest, art, i, width, text);
}

static const char *namespace_label(const struct tree_view *view, enum namespace_type type,
				   uint64_t id)
{
	return arena_printf(view->arena, view->live ? "%s:[%" PRIu64 "]" : "%s:%" PRIu64,
			    namespace_types[type].name, id);
}

/* The namespaces in which a task differs from its parent; the root, from nestor. */
static const char *own_namespaces(const struct tree_view *view, size_t index)
{
	const struct view_task *task = &view->tasks[index];
	const struct view_task *parent = &view->tasks[task->parent];
	struct text text;

	text_init(&text, view->arena);
	for (int i = 0; i < NAMESPACE_TYPES; i++) {
		enum namespace_type type = (enum namespace_type)i;
		uint64_t id = task->namespaces[type];
		if (!id || (parent != task && parent->namespaces[type] == id))
			continue;
		for (size_t n = 0; n < view->n_namespaces; n++) {
			const struct view_namespace *found = &view->namespaces[n];
			if (found->type == type && found->id == id && !found->shared &&
			    (view->live || parent != task || type == NAMESPACE_PID))
				text_add(&text, "%s%s", text.length ? " " : "",
					 namespace_label(view, type, id));
		}
	}
	return text.string;
}

static void draw_tasks(const struct tree_view *view, const struct line_art *art, struct text *text)
{
	struct forest forest = { .arena = view->arena, .count = view->n_tasks };
	size_t *parents = arena_array(view->arena, size_t, view->n_tasks);
	int group = 5, session = 7;

	for (size_t i = 0; i < view->n_tasks; i++) {
		int length = (int)strlen(pid_vector_text(&view->tasks[i].groups));
		group = length > group ? length : group;
		length = (int)strlen(pid_vector_text(&view->tasks[i].sessions));
		session = length > session ? length : session;
	}
	forest.parents = parents;
	forest.labels = arena_array(view->arena, const char *, view->n_tasks);
	forest.rests = arena_array(view->arena, const char *, view->n_tasks);
	for (size_t i = 0; i < view->n_tasks; i++) {
		const struct view_task *task = &view->tasks[i];
		parents[i] = task->parent;
		forest.labels[i] = arena_printf(view->arena, "%s %s", pid_vector_text(&task->pids),
						text_printable(view->arena, task->name));
		forest.rests[i] = arena_printf(
			view->arena, "%-8s  %7zu  %-*s  %-*s  %s", task->state, task->n_threads,
			session, pid_vector_text(&task->sessions), group,
			pid_vector_text(&task->groups), own_namespaces(view, i));
	}
	draw(&forest, art, "PID AND NAME",
	     arena_printf(view->arena, "%-8s  %7s  %-*s  %-*s  %s", "STATE", "THREADS", session,
			  "SESSION", group, "GROUP", "NEW NAMESPACES"),
	     text);
}

/* As in /proc/PID/uid_map, extents separated by commas; long ones are cut off. */
static void add_map(struct text *text, size_t n_extents, UidGidExtent *const *extents)
{
	for (size_t i = 0; i < n_extents && i < SHOWN_EXTENTS; i++)
		text_add(text, "%s %" PRIu32 " %" PRIu32 " %" PRIu32, i ? "," : "",
			 extents[i]->first, extents[i]->lower_first, extents[i]->count);
	if (n_extents > SHOWN_EXTENTS)
		text_add(text, " and %zu more", n_extents - SHOWN_EXTENTS);
	if (n_extents == 0)
		text_add(text, " none");
}

static bool same_map(const UsernsEntry *maps)
{
	if (maps->n_uid_map != maps->n_gid_map)
		return false;
	for (size_t i = 0; i < maps->n_uid_map; i++)
		if (maps->uid_map[i]->first != maps->gid_map[i]->first ||
		    maps->uid_map[i]->lower_first != maps->gid_map[i]->lower_first ||
		    maps->uid_map[i]->count != maps->gid_map[i]->count)
			return false;
	return true;
}

static const char *maps_in_words(const struct tree_view *view,
				 const struct view_namespace *namespace)
{
	const UsernsEntry *maps = namespace->maps;
	struct text text;

	if (!maps)
		return "";
	text_init(&text, view->arena);
	text_add(&text, same_map(maps) ? "ids" : "uids");
	add_map(&text, maps->n_uid_map, maps->uid_map);
	if (!same_map(maps)) {
		text_add(&text, "; gids");
		add_map(&text, maps->n_gid_map, maps->gid_map);
	}
	if (namespace->setgroups_denied)
		text_add(&text, "; setgroups denied");
	return text.string;
}

static const char *owner_label(const struct tree_view *view, const struct view_namespace *namespace)
{
	const char *owner =
		namespace->owner ? namespace_label(view, NAMESPACE_USER, namespace->owner) : "-";

	if (!namespace->has_owner_uid)
		return owner;
	return arena_printf(view->arena, "%s uid %" PRIu32, owner, namespace->owner_uid);
}

static const char *namespace_rest(const struct tree_view *view,
				  const struct view_namespace *namespace, int owner_width)
{
	return arena_printf(view->arena, "%5zu  %-*s  %s", namespace->n_tasks, owner_width,
			    owner_label(view, namespace),
			    namespace->shared	 ? "(nestor's own)"
			    : namespace->content ? text_printable(view->arena, namespace->content)
						 : maps_in_words(view, namespace));
}

static void draw_namespaces(const struct tree_view *view, const struct line_art *art,
			    struct text *text)
{
	struct forest forest = { .arena = view->arena, .count = view->n_namespaces };
	size_t *parents = arena_array(view->arena, size_t, view->n_namespaces);

	int owner_width = 5;

	for (size_t i = 0; i < view->n_namespaces; i++) {
		int length = (int)strlen(owner_label(view, &view->namespaces[i]));
		owner_width = length > owner_width ? length : owner_width;
	}
	forest.parents = parents;
	forest.labels = arena_array(view->arena, const char *, view->n_namespaces);
	forest.rests = arena_array(view->arena, const char *, view->n_namespaces);
	for (size_t i = 0; i < view->n_namespaces; i++) {
		const struct view_namespace *namespace = &view->namespaces[i];
		parents[i] = i;
		for (size_t n = 0; n < view->n_namespaces; n++)
			if (n != i && namespace->parent &&
			    view->namespaces[n].type == namespace->type &&
			    view->namespaces[n].id == namespace->parent)
				parents[i] = n;
		forest.labels[i] = namespace_label(view, namespace->type, namespace->id);
		forest.rests[i] = namespace_rest(view, namespace, owner_width);
	}
	draw(&forest, art, "NAMESPACE",
	     arena_printf(view->arena, "TASKS  %-*s  CONTENT", owner_width, "OWNER"), text);
}

void view_print(const struct tree_view *view, bool unicode, struct text *text)
{
	const struct line_art *art = unicode ? &unicode_art : &ascii_art;

	draw_tasks(view, art, text);
	text_add(text, "\n");
	draw_namespaces(view, art, text);
}

static void add_vector(struct text *text, const char *key, const struct pid_vector *vector)
{
	text_add(text, "\"%s\": [", key);
	for (size_t i = 0; i < vector->levels; i++)
		text_add(text, "%s%" PRIu32, i ? ", " : "", vector->pid[i]);
	text_add(text, "], ");
}

static void add_task(struct text *text, const struct view_task *task, bool is_root)
{
	const char *separator = "";

	text_add(text, "  {");
	add_vector(text, "pids", &task->pids);
	if (is_root)
		text_add(text, "\"parent\": null, ");
	else
		text_add(text, "\"parent\": %zu, ", task->parent);
	text_add(text, "\"name\": ");
	text_add_json_string(text, task->name);
	text_add(text, ", \"state\": \"%s\", \"threads\": %zu, ", task->state, task->n_threads);
	add_vector(text, "sessions", &task->sessions);
	add_vector(text, "groups", &task->groups);
	text_add(text, "\"namespaces\": {");
	for (int type = 0; type < NAMESPACE_TYPES; type++) {
		if (!task->namespaces[type])
			continue;
		text_add(text, "%s\"%s\": %" PRIu64, separator, namespace_types[type].name,
			 task->namespaces[type]);
		separator = ", ";
	}
	text_add(text, "}}");
}

static void add_json_map(struct text *text, const char *name, size_t n_extents,
			 UidGidExtent *const *extents)
{
	text_add(text, ", \"%s\": [", name);
	for (size_t i = 0; i < n_extents; i++)
		text_add(text, "%s[%" PRIu32 ", %" PRIu32 ", %" PRIu32 "]", i ? ", " : "",
			 extents[i]->first, extents[i]->lower_first, extents[i]->count);
	text_add(text, "]");
}

static void add_namespace(struct text *text, const struct view_namespace *namespace)
{
	text_add(text, "  {\"type\": \"%s\", \"id\": %" PRIu64 ", \"tasks\": %zu, \"shared\": %s",
		 namespace_types[namespace->type].name, namespace->id, namespace->n_tasks,
		 namespace->shared ? "true" : "false");
	if (namespace->parent)
		text_add(text, ", \"parent\": %" PRIu64, namespace->parent);
	if (namespace->owner)
		text_add(text, ", \"owner\": %" PRIu64, namespace->owner);
	if (namespace->has_owner_uid)
		text_add(text, ", \"owner_uid\": %" PRIu32, namespace->owner_uid);
	if (namespace->maps) {
		add_json_map(text, "uid_map", namespace->maps->n_uid_map, namespace->maps->uid_map);
		add_json_map(text, "gid_map", namespace->maps->n_gid_map, namespace->maps->gid_map);
		text_add(text, ", \"setgroups\": \"%s\"",
			 namespace->setgroups_denied ? "deny" : "allow");
	}
	if (namespace->content) {
		text_add(text, ", \"content\": ");
		text_add_json_string(text, namespace->content);
	}
	text_add(text, "}");
}

/* "parent" of a task is an index into "tasks"; vectors have the outermost level first. */
void view_print_json(const struct tree_view *view, struct text *text)
{
	text_add(text, "{\"tasks\": [\n");
	for (size_t i = 0; i < view->n_tasks; i++) {
		text_add(text, "%s", i ? ",\n" : "");
		add_task(text, &view->tasks[i], i == 0);
	}
	text_add(text, "\n],\n\"namespaces\": [\n");
	for (size_t i = 0; i < view->n_namespaces; i++) {
		text_add(text, "%s", i ? ",\n" : "");
		add_namespace(text, &view->namespaces[i]);
	}
	text_add(text, "\n]}\n");
}
