// SPDX-License-Identifier: LGPL-2.1-or-later
/* What images of other tools leave out, or have in another form; see others.h. */
#include "images/others.h"

#include "base/cleanup.h"
#include "base/whole.h"
#include "images/format.h"
#include "images/images.h"
#include "model/namespaces.h"
#include "model/snapshot.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* CRIU writes no fdinfo image for a task without descriptors. */
static void add_empty_table(struct snapshot *snapshot, const struct task *task)
{
	const TaskKobjIdsEntry *ids = task->ids ? task->ids : task->core ? task->core->ids : NULL;

	if (ids && ids->files_id && !task_is_zombie(task) &&
	    !snapshot_table(snapshot, ids->files_id))
		snapshot_add_table(snapshot, ids->files_id);
}

/*
 * An exit code of 0 says that the parent has been told of the stop. CRIU records none, and its
 * own restore stops the task anew, which the parent hears of.
 */
static void forget_that_stop_was_told(const struct task *task)
{
	TaskCoreEntry *tc = task->core ? task->core->tc : NULL;

	if (tc && task_is_stopped(task) && tc->exit_code == 0)
		tc->exit_code = tc->has_stop_signo ? tc->stop_signo : SIGSTOP;
}

static bool is_described(const struct snapshot *snapshot, uint32_t id)
{
	for (size_t i = 0; i < snapshot->n_namespaces; i++)
		if (snapshot->namespaces[i]->id == id)
			return true;
	return false;
}

/*
 * Of namespaces CRIU writes what is in them, by their ids, and who is in which. Those types whose
 * content is a list of records get their entry here; their kinds fill it in (struct tree_kind).
 */
static void add_namespace(struct snapshot *snapshot, const struct task *task,
			  enum namespace_type type)
{
	uint32_t id = ids_namespace(task->ids, type);

	if (!id || namespace_is_dumpers(snapshot, type, id) || is_described(snapshot, id))
		return;
	NsEntry *entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);
	entry->id = id;
	entry->ns_cflag = namespace_types[type].flag;
	snapshot_add_namespace(snapshot, entry);
}

/* CRIU has there what shared_id, master_id and the lack of MS_RELATIME say, too. */
static void forget_flags(const struct snapshot *snapshot)
{
	const struct records *mounts = snapshot_records(snapshot, IMAGE_MOUNTPOINTS);

	for (size_t i = 0; i < mounts->count; i++) {
		MntEntry *mount = mounts->records[i]->message;
		mount->flags &= ~(uint32_t)(MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_REC | MS_BIND |
					    MS_STRICTATIME);
	}
}

void others_adopt(struct snapshot *snapshot)
{
	static const enum namespace_type told_by_content[] = { NAMESPACE_MNT, NAMESPACE_NET,
							       NAMESPACE_IPC, NAMESPACE_CGROUP };

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		add_empty_table(snapshot, task);
		forget_that_stop_was_told(task);
		for (size_t k = 0; k < sizeof told_by_content / sizeof *told_by_content; k++)
			add_namespace(snapshot, task, told_by_content[k]);
	}
	forget_flags(snapshot);
}

ssize_t images_read_content(const struct images *images, enum image_kind kind, uint64_t number,
			    size_t most, struct arena *arena, char **ret_bytes, struct error *err)
{
	struct error missing = { 0 };
	autoclose int fd = images_open_content(images, kind, number, &missing);
	char name[IMAGE_NAME_SIZE];
	struct stat stat;

	*ret_bytes = NULL;
	if (fd < 0 && missing.name == ERR_IMAGE_MISSING)
		return 0;
	if (fd < 0) {
		*err = missing;
		return -1;
	}
	if (fstat(fd, &stat))
		return fail_errno(err, ERR_IO, "cannot read %s", image_name(name, kind, number));
	if ((size_t)stat.st_size > most)
		return fail(err, ERR_IMAGE_INVALID, "%s is too large",
			    image_name(name, kind, number));
	*ret_bytes = arena_alloc(arena, (size_t)stat.st_size + 1);
	return pread_whole(fd, *ret_bytes, (size_t)stat.st_size, 0)
		       ? fail_errno(err, ERR_IO, "cannot read %s", image_name(name, kind, number))
		       : (ssize_t)stat.st_size;
}
