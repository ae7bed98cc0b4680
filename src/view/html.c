// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nestor tree --html: a page that draws tasks and namespaces in each other, with lines between
 * those who have the two ends of something, and what each has. The data are JSON in the page.
 */
#include "view/view.h"

#include "base/cleanup.h"
#include "model/namespaces.h"
#include "pipeline/details.h"
#include "pipeline/examine.h"
#include "pipeline/pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Namespaces in which a task is and its parent is not; of the root, those that are the tree's. */
static const char *new_namespaces(struct arena *arena, const struct snapshot *snapshot,
				  const struct task *task)
{
	struct text text;

	text_init(&text, arena);
	for (enum namespace_type type = 0; task->ids && type < NAMESPACE_TYPES; type++) {
		uint32_t id = ids_namespace(task->ids, type);
		bool is_new = task->parent && task->parent->ids
				      ? ids_namespace(task->parent->ids, type) != id
				      : snapshot_namespace(snapshot, id) != NULL;
		if (id && is_new)
			text_add(&text, "%s%s:%" PRIu32, text.length ? " " : "",
				 namespace_types[type].name, id);
	}
	return text.string;
}

static void add_row(const struct detail *detail, const char *separator, struct text *text)
{
	const char *const words[] = { detail_categories[detail->category],
				      detail->key,
				      detail->type,
				      detail->text,
				      detail->same,
				      detail->meets };

	text_add(text, "%s[", separator);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		text_add(text, "%s", i ? "," : "");
		text_add_json_string(text, words[i]);
	}
	text_add(text, "]");
}

/* Details come task by task, and *at is behind those of this one then. */
static void add_task(const struct details *details, const struct task *task, size_t *at,
		     struct text *text)
{
	const char *state = task_is_zombie(task)	? "zombie"
			    : task_is_stopped(task)	? "stopped"
			    : task_leader_is_dead(task) ? "headless"
							: "alive";
	const char *separator = "";

	text_add(text, "%s{\"ids\":\"%s\",\"parent\":%zu,\"state\":\"%s\",\"name\":",
		 task->index ? ",\n" : "", task_name(task), task->parent ? task->parent->index : 0,
		 state);
	text_add_json_string(text, text_printable(text->arena, task->core->tc->comm));
	text_add(text, ",\"spaces\":");
	text_add_json_string(text, new_namespaces(text->arena, details->snapshot, task));
	text_add(text, ",\"details\":[");
	for (; *at < details->n && details->list[*at].task == task; ++*at) {
		add_row(&details->list[*at], separator, text);
		separator = ",";
	}
	text_add(text, "]}");
}

static void add_data(const struct details *details, const struct obstacles *obstacles,
		     const char *from, struct text *text)
{
	const struct snapshot *snapshot = details->snapshot;
	const char *separator = "";
	size_t at = 0;

	text_add(text, "{\"from\":");
	text_add_json_string(text, from);
	text_add(text, ",\"tasks\":[");
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		add_task(details, &snapshot->tasks[i], &at, text);
	text_add(text, "],\n\"others\":[");
	for (; at < details->n; at++) {
		add_row(&details->list[at], separator, text);
		separator = ",";
	}
	text_add(text, "],\n\"obstacles\":[");
	separator = "";
	for (size_t i = 0; obstacles && i < obstacles->n; i++)
		for (size_t k = 0; k < obstacles->list[i].n_texts; k++) {
			text_add(text, "%s", separator);
			text_add_json_string(text, obstacles->list[i].texts[k]);
			separator = ",";
		}
	text_add(text, "]}");
}

/* Nothing in a string may end the element that the data are in. */
static int write_data(FILE *out, const char *data)
{
	for (const char *end; *data; data = end) {
		end = data + strcspn(data, "<");
		if (fwrite(data, 1, (size_t)(end - data), out) != (size_t)(end - data))
			return -1;
		if (*end && fputs("\\u003c", out) < 0)
			return -1;
		end += *end != '\0';
	}
	return 0;
}

static int write_page(const char *path, const char *data, struct error *err)
{
	/* A page of earlier is replaced; a link or a device is written to as by a shell. */
	FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

	if (!out)
		return fail_errno(err, ERR_IO, "cannot create %s", path);
	int failed = fputs(tree_page_begin, out) < 0 || write_data(out, data) < 0 ||
		     fputs(tree_page_end, out) < 0;
	if ((out == stdout ? fflush(out) : fclose(out)) || failed)
		return fail_errno(err, ERR_IO, "cannot write %s", path);
	return 0;
}

int tree_write_html(const char *path, pid_t pid, const char *images_dir, struct arena *arena,
		    struct error *err)
{
	struct pipeline_options options;
	const struct snapshot *snapshot;
	struct look look = { 0 };
	struct details details;
	struct text data;
	const char *from = images_dir;

	if (pid) {
		pipeline_options_init(&options);
		options.pid = pid;
		if (pipeline_look(&options, arena, &look, err))
			return -1;
		snapshot = look.snapshot;
		from = arena_printf(arena, "pid %d", (int)pid);
	} else {
		snapshot = examine_images(images_dir, arena, err);
	}
	if (!snapshot)
		return -1;
	details_make(&details, arena, snapshot);
	text_init(&data, arena);
	add_data(&details, pid ? &look.obstacles : NULL, from, &data);
	return write_page(path, data.string, err);
}
