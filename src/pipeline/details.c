// SPDX-License-Identifier: LGPL-2.1-or-later
/* See details.h. */
#include "pipeline/details.h"

#include "base/compare.h"
#include "base/text.h"
#include "kinds/kind.h"
#include "model/namespaces.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>

enum { DESCRIPTION_ROOM = 4608 };

const char *const detail_categories[DETAIL_CATEGORIES] = {
	[DETAIL_STATE] = "state",
	[DETAIL_DIRECTORY] = "directories",
	[DETAIL_DESCRIPTOR] = "descriptors",
	[DETAIL_AREA] = "areas",
	[DETAIL_MOUNT] = "mounts",
	[DETAIL_NAMESPACE] = "namespaces",
};

static struct detail *add(struct details *details, enum detail_category category,
			  const struct task *task, const char *key)
{
	details->list =
		arena_grow(details->arena, details->list, details->n, sizeof *details->list);
	struct detail *detail = &details->list[details->n++];
	*detail = (struct detail){ .category = category,
				   .task = task,
				   .key = key,
				   .type = "",
				   .text = "",
				   .same = "",
				   .meets = "" };
	return detail;
}

/* ---- State ---- */

static void __attribute__((format(printf, 4, 5)))
add_state(struct details *details, const struct task *task, const char *key, const char *format,
	  ...)
{
	char text[DESCRIPTION_ROOM];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct detail *detail = add(details, DETAIL_STATE, task, key);
	detail->type = key;
	detail->text = text_printable(details->arena, text);
}

static void add_credentials(struct details *details, const struct task *task)
{
	const CredsEntry *creds = task->core->thread_core ? task->core->thread_core->creds : NULL;
	struct text groups;

	if (!creds)
		return;
	text_init(&groups, details->arena);
	for (size_t i = 0; i < creds->n_groups; i++)
		text_add(&groups, " %" PRIu32, creds->groups[i]);
	add_state(details, task, "ids",
		  "uid %" PRIu32 " %" PRIu32 " %" PRIu32 ", gid %" PRIu32 " %" PRIu32 " %" PRIu32
		  "%s%s",
		  creds->uid, creds->euid, creds->suid, creds->gid, creds->egid, creds->sgid,
		  creds->n_groups ? ", groups" : "", groups.string);
	if (creds->n_cap_eff)
		add_state(details, task, "capabilities", "%08" PRIx32 "%08" PRIx32 "%s",
			  creds->n_cap_eff > 1 ? creds->cap_eff[1] : 0, creds->cap_eff[0],
			  creds->no_new_privs ? ", no new ones" : "");
}

static const char *state_word(const struct task *task)
{
	return task_is_zombie(task)	   ? "zombie"
	       : task_leader_is_dead(task) ? "headless"
	       : task_is_stopped(task)	   ? "stopped"
					   : "alive";
}

static void add_namespaces(struct details *details, const struct task *task)
{
	struct text text;

	if (!task->ids)
		return;
	text_init(&text, details->arena);
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (ids_namespace(task->ids, type))
			text_add(&text, "%s%s:%" PRIu32, text.length ? " " : "",
				 namespace_types[type].name, ids_namespace(task->ids, type));
	add_state(details, task, "namespaces", "%s", text.string);
}

static void add_signals(struct details *details, const struct task *task)
{
	size_t pending = task->core->tc->signals_s ? task->core->tc->signals_s->n_signals : 0;

	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadCoreEntry *thread = task->threads[i]->thread_core;
		pending += thread && thread->signals_p ? thread->signals_p->n_signals : 0;
	}
	if (pending)
		add_state(details, task, "signals", "%zu pending", pending);
}

static void add_task_state(struct details *details, const struct task *task)
{
	struct pid_vector session = task_sessions(task), group = task_groups(task);
	const TaskCoreEntry *tc = task->core->tc;

	add_state(details, task, "task", "%s, %zu thread%s", state_word(task),
		  task->n_threads ? task->n_threads : 1, task->n_threads > 1 ? "s" : "");
	add_state(details, task, "session", "%s, group %s", pid_vector_text(&session),
		  pid_vector_text(&group));
	add_namespaces(details, task);
	add_credentials(details, task);
	if (tc->timers && tc->timers->n_posix)
		add_state(details, task, "timers", "%zu of timer_create(2)", tc->timers->n_posix);
	if (task->core->thread_core && task->core->thread_core->has_seccomp_mode)
		add_state(details, task, "seccomp", "%s",
			  task->core->thread_core->has_seccomp_filter ? "filters" : "strict");
	add_signals(details, task);
}

/* ---- Files ---- */

/* Kinds begin with their name and the number of the object, which is another one each time. */
static const char *without_number(struct arena *arena, const char *type, const char *text)
{
	size_t length = strlen(type);

	if (strncmp(text, type, length) != 0 || text[length] != ' ' ||
	    !isdigit((unsigned char)text[length + 1]))
		return text;
	const char *rest = text + length + 1;
	return arena_printf(arena, "%s%s", type, rest + strspn(rest, "0123456789"));
}

static void describe_file(struct details *details, struct detail *detail, uint32_t id)
{
	const FileEntry *entry = snapshot_file(details->snapshot, id);
	const struct file_kind *kind = entry ? kind_of_file(&kinds, entry) : NULL;
	char text[DESCRIPTION_ROOM] = "", meets[128] = "";
	struct error unsound = { 0 };

	/* Images may say anything; kinds tell only of what they have checked. */
	if (!kind || (kind->check && kind->check(details->snapshot, entry, &unsound))) {
		detail->type = "unknown";
		detail->text = detail->plain = "cannot be told";
		return;
	}
	kind->describe(entry, text, sizeof text);
	if (kind->meets)
		kind->meets(entry, meets, sizeof meets);
	detail->type = strcmp(kind->name, "regular") == 0 ? "file" : kind->name;
	detail->text = text_printable(details->arena, text);
	detail->plain = without_number(details->arena, kind->name, detail->text);
	detail->meets = arena_string(details->arena, meets);
	detail->same = arena_printf(details->arena, "file %" PRIu32, id);
}

static const char *access_of(const FileEntry *entry)
{
	static const char *const words[] = { "r", "w", "rw", "-" };
	struct file_fields fields =
		entry ? fields_of_file(&kinds, entry) : (struct file_fields){ 0 };

	if (!fields.flags)
		return "";
	return *fields.flags & O_PATH ? "path" : words[*fields.flags & O_ACCMODE];
}

static void add_descriptors(struct details *details, const struct task *task)
{
	for (size_t i = 0; task->table && i < task->table->n_descriptors; i++) {
		const FdinfoEntry *entry = task->table->descriptors[i];
		struct detail *detail = add(details, DETAIL_DESCRIPTOR, task,
					    arena_printf(details->arena, "%" PRIu32, entry->fd));

		describe_file(details, detail, entry->id);
		const char *access =
			strcmp(detail->type, "unknown") == 0
				? ""
				: access_of(snapshot_file(details->snapshot, entry->id));
		const char *cloexec = entry->flags & FD_CLOEXEC ? ", closed on exec" : "";
		detail->text =
			arena_printf(details->arena, "%s (%s%s)", detail->text, access, cloexec);
		detail->plain =
			arena_printf(details->arena, "%s (%s%s)", detail->plain, access, cloexec);
	}
}

static void add_directories(struct details *details, const struct task *task)
{
	if (task->fs) {
		describe_file(details, add(details, DETAIL_DIRECTORY, task, "cwd"),
			      task->fs->cwd_id);
		describe_file(details, add(details, DETAIL_DIRECTORY, task, "root"),
			      task->fs->root_id);
	}
	if (task->mm)
		describe_file(details, add(details, DETAIL_DIRECTORY, task, "program"),
			      task->mm->exe_file_id);
}

/* ---- Areas ---- */

static const char *area_type(const VmaEntry *area)
{
	static const struct {
		uint32_t status;
		const char *name;
	} types[] = {
		{ VMA_VDSO, "vdso" },
		{ VMA_VVAR, "vvar" },
		{ VMA_GUARD, "guard" },
		{ VMA_HEAP, "heap" },
		{ VMA_AIO_RING, "ring" },
		{ VMA_SOCKET, "ring of a socket" },
		{ VMA_SYSV_IPC, "System V segment" },
		{ VMA_ANON_SHARED, "shared memory" },
		{ VMA_FILE_SHARED, "shared file" },
		{ VMA_FILE_PRIVATE, "private file" },
		{ VMA_STACK, "stack" },
		{ VMA_ANON_PRIVATE, "anonymous" },
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (area->status & types[i].status)
			return types[i].name;
	return "other";
}

/* How many of its pages are in the images; runs are in order of address. */
static uint64_t pages_of(const struct pagemap *pages, const VmaEntry *area, size_t *cursor)
{
	uint64_t bytes = 0;

	while (*cursor < pages->n_runs && memory_run_end(&pages->runs[*cursor]) <= area->start)
		++*cursor;
	for (size_t i = *cursor; i < pages->n_runs && pages->runs[i].address < area->end; i++) {
		const struct memory_run *run = &pages->runs[i];
		uint64_t from = run->address > area->start ? run->address : area->start;
		uint64_t to = memory_run_end(run) < area->end ? memory_run_end(run) : area->end;
		bytes += to - from;
	}
	return bytes / 4096;
}

static void describe_area(struct details *details, struct detail *detail, const VmaEntry *area,
			  uint64_t pages)
{
	bool of_file = area->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_SOCKET);
	bool of_object =
		area->status & (VMA_ANON_SHARED | VMA_SYSV_IPC | VMA_FILE_SHARED | VMA_SOCKET);
	struct text text;

	detail->type = area_type(area);
	text_init(&text, details->arena);
	text_add(&text, "%c%c%c%c %s, %" PRIu64 " KiB", area->prot & PROT_READ ? 'r' : '-',
		 area->prot & PROT_WRITE ? 'w' : '-', area->prot & PROT_EXEC ? 'x' : '-',
		 area->flags & MAP_SHARED ? 's' : 'p', detail->type,
		 (area->end - area->start) / 1024);
	if (area->anon_name)
		text_add(&text, ", \"%s\"", area->anon_name);
	if (of_file) {
		struct detail file = { 0 };
		describe_file(details, &file, (uint32_t)area->shmid);
		text_add(&text, ", %s from %" PRIx64, file.text, area->pgoff);
		detail->meets = file.meets ? file.meets : detail->meets;
	}
	if (of_object)
		detail->same = arena_printf(details->arena, "%s %" PRIu64,
					    of_file ? "mapped file" : "memory", area->shmid);
	detail->plain = arena_string(details->arena, text.string);
	if (pages)
		text_add(&text, ", %" PRIu64 " pages in the images", pages);
	detail->text = text.string;
}

static void add_areas(struct details *details, const struct task *task)
{
	size_t cursor = 0;

	for (size_t i = 0; task->mm && i < task->mm->n_vmas; i++) {
		const VmaEntry *area = task->mm->vmas[i];
		struct detail *detail = add(details, DETAIL_AREA, task,
					    arena_printf(details->arena, "%" PRIx64 "-%" PRIx64,
							 area->start, area->end));
		describe_area(details, detail, area, pages_of(&task->pages, area, &cursor));
	}
}

/* ---- Namespaces ---- */

static void add_mount(struct details *details, uint32_t namespace_id, const MntEntry *mount)
{
	struct detail *detail =
		add(details, DETAIL_MOUNT, NULL, text_printable(details->arena, mount->mountpoint));
	struct text text;

	text_init(&text, details->arena);
	text_add(&text, "%s", mount->fsname ? mount->fsname : "?");
	if (strcmp(mount->root, "/") != 0)
		text_add(&text, " %s of", mount->root);
	text_add(&text, " %s%s", mount->source, mount->flags & MS_RDONLY ? ", read-only" : "");
	if (mount->bound_path)
		text_add(&text, ", found at %s", mount->bound_path);
	if (mount->has_shared_id || mount->has_master_id)
		text_add(&text, ", %s%s%s", mount->has_shared_id ? "shared" : "",
			 mount->has_shared_id && mount->has_master_id ? " and " : "",
			 mount->has_master_id ? "slave" : "");
	if (mount->locked)
		text_add(&text, ", locked");
	if (mount->deleted)
		text_add(&text, ", removed");
	detail->namespace_id = namespace_id;
	detail->type = text_printable(details->arena, mount->fsname ? mount->fsname : "?");
	detail->text = text_printable(details->arena, text.string);
	if (mount->has_shared_id)
		detail->meets = arena_printf(details->arena, "mounts %" PRIu32, mount->shared_id);
}

static void add_mounts(struct details *details)
{
	const struct snapshot *snapshot = details->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++)
			add_mount(details, snapshot->mount_namespaces[i]->id,
				  snapshot->mount_namespaces[i]->mounts[k]);
}

static void add_namespace(struct details *details, const NsEntry *entry)
{
	enum namespace_type type;
	struct text text;

	if (!namespace_type_of_flag(entry->ns_cflag, &type))
		return;
	struct detail *detail = add(
		details, DETAIL_NAMESPACE, NULL,
		arena_printf(details->arena, "%s:%" PRIu32, namespace_types[type].name, entry->id));
	text_init(&text, details->arena);
	if (entry->has_parent_id)
		text_add(&text, "below %" PRIu32, entry->parent_id);
	if (entry->has_userns_id)
		text_add(&text, "%sof user:%" PRIu32, text.length ? ", " : "", entry->userns_id);
	if (kinds.namespaces[type] && kinds.namespaces[type]->describe) {
		struct text content;
		text_init(&content, details->arena);
		kinds.namespaces[type]->describe(entry, &content);
		if (content.length)
			text_add(&text, "%s%s", text.length ? ", " : "", content.string);
	}
	detail->namespace_id = entry->id;
	detail->type = namespace_types[type].words;
	detail->text = text_printable(details->arena, text.string);
}

/* ---- All ---- */

static int compare_same(const void *left, const void *right)
{
	const struct detail *const *a = left, *const *b = right;
	int order = strcmp((*a)->same, (*b)->same);

	return order ?: compare_values(*a, *b);
}

static int compare_meets(const void *left, const void *right)
{
	const struct detail *const *a = left, *const *b = right;
	int order = strcmp((*a)->meets, (*b)->meets);

	return order ?: compare_values(*a, *b);
}

static const struct detail **sort(const struct details *details,
				  int (*compare)(const void *, const void *))
{
	const struct detail **sorted =
		arena_array(details->arena, const struct detail *, details->n + 1);

	for (size_t i = 0; i < details->n; i++)
		sorted[i] = &details->list[i];
	qsort(sorted, details->n, sizeof *sorted, compare);
	return sorted;
}

void details_make(struct details *details, struct arena *arena, const struct snapshot *snapshot)
{
	*details = (struct details){ .arena = arena, .snapshot = snapshot };
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];

		add_task_state(details, task);
		add_directories(details, task);
		add_descriptors(details, task);
		add_areas(details, task);
	}
	for (size_t i = 0; i < snapshot->n_namespaces; i++)
		add_namespace(details, snapshot->namespaces[i]);
	add_mounts(details);
	for (size_t i = 0; i < details->n; i++)
		if (!details->list[i].plain)
			details->list[i].plain = details->list[i].text;
	details->by_same = sort(details, compare_same);
	details->by_meets = sort(details, compare_meets);
}

static size_t find(const struct details *details, const struct detail *const *sorted,
		   const char *name, bool meets, const struct detail *const **ret_list)
{
	size_t low = 0, high = details->n, n = 0;

	if (!*name)
		return 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *other = meets ? sorted[middle]->meets : sorted[middle]->same;
		if (strcmp(other, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < details->n &&
	       strcmp(meets ? sorted[low + n]->meets : sorted[low + n]->same, name) == 0)
		n++;
	*ret_list = &sorted[low];
	return n;
}

size_t details_same(const struct details *details, const struct detail *detail,
		    const struct detail *const **ret_list)
{
	return find(details, details->by_same, detail->same, false, ret_list);
}

size_t details_meeting(const struct details *details, const struct detail *detail,
		       const struct detail *const **ret_list)
{
	return find(details, details->by_meets, detail->meets, true, ret_list);
}

static void add_member(const char *name, const char *value, struct text *text)
{
	if (!*value)
		return;
	text_add(text, ", \"%s\": ", name);
	text_add_json_string(text, value);
}

void detail_print_json(const struct detail *detail, struct text *text)
{
	text_add(text, "{\"category\": \"%s\"", detail_categories[detail->category]);
	if (detail->task) {
		add_member("task", task_name(detail->task), text);
		add_member("name", detail->task->core->tc->comm, text);
	}
	if (detail->namespace_id)
		text_add(text, ", \"namespace\": %" PRIu32, detail->namespace_id);
	add_member("key", detail->key, text);
	add_member("type", detail->type, text);
	add_member("text", detail->text, text);
	add_member("same", detail->same, text);
	add_member("meets", detail->meets, text);
	text_add(text, "}");
}

bool detail_is_of_kind(const struct detail *detail, const char *word)
{
	size_t length = strlen(word);

	if (length > 1 && strncmp(detail_categories[detail->category], word, length) == 0)
		return true;
	if (strcasestr(detail->type, word))
		return true;
	/* "sockets" */
	char *singular = strndup(word, length ? length - 1 : 0);
	bool found = length > 2 && word[length - 1] == 's' && singular &&
		     strcasestr(detail->type, singular);
	free(singular);
	return found;
}
