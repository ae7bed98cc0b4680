// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which namespaces a tree has; see namespaces.h. All files of namespaces are in one file system
 * (nsfs), so the number in the target of a link, "uts:[4026531838]", is enough to know one that has
 * been met before.
 *
 * NS_GET_USERNS and NS_GET_PARENT answer for what is at or below the user namespace of the caller
 * (ns_get_owner, kernel/user_namespace.c), or the pid namespace: the way up ends at nestor's own,
 * and what lies elsewhere is refused. Owners of nestor's own namespaces may be above it, which does
 * not matter: no restore makes these.
 *
 * Nsproxy, and so all but pid and user namespaces, is per thread: what differs from the first
 * living thread is kept with the thread. A zombie has none any more.
 */
#include "collect/namespaces.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kinds/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Nestor's own have these by their type; those of the tree follow. */
enum { FIRST_OWN_ID = 1, FIRST_ID = FIRST_OWN_ID + NAMESPACE_TYPES };

static const char survey_owner; /* of the survey, see collect_state */

static struct surveyed_namespace *append(struct collect *collect, struct survey *survey,
					 struct surveyed_namespace new)
{
	survey->list =
		arena_grow(collect->arena, survey->list, survey->count, sizeof *survey->list);
	survey->list[survey->count] = arena_new(collect->arena, struct surveyed_namespace);
	*survey->list[survey->count] = new;
	return survey->list[survey->count++];
}

static int add_own(struct collect *collect, struct survey *survey, enum namespace_type type,
		   struct error *err)
{
	bool of_root = type == NAMESPACE_PID && collect->levels_to_root;
	char path[32];
	struct stat own;

	snprintf(path, sizeof path, "/proc/self/%s", namespace_types[type].link);
	if (of_root && target_look(&collect->targets[0], "ns/pid", &own))
		return fail_errno(err, procfs_error(errno), "cannot read /proc/%d/ns/pid",
				  collect->targets[0].pid);
	if (!of_root && stat(path, &own)) {
		/*
		 * A kernel without the type: nobody can be in another one. Those of all types have
		 * owners.
		 */
		return errno == ENOENT && type != NAMESPACE_USER
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", path);
	}
	survey->own[type] = append(collect, survey,
				   (struct surveyed_namespace){ .type = type,
								.device = own.st_dev,
								.inode = own.st_ino,
								.id = FIRST_OWN_ID + type,
								.own = true,
								.fd = -1 });
	return 0;
}

struct survey *survey_of(struct collect *collect, struct error *err)
{
	struct survey *survey = *collect_state(collect, &survey_owner);

	if (survey)
		return survey;
	survey = arena_new(collect->arena, struct survey);
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (add_own(collect, survey, type, err))
			return NULL;
	*collect_state(collect, &survey_owner) = survey;
	return survey;
}

void survey_release(struct collect *collect)
{
	struct survey *survey = *collect_state(collect, &survey_owner);

	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (kinds.namespaces[type] && kinds.namespaces[type]->collect_end)
			kinds.namespaces[type]->collect_end(collect);
	for (size_t i = 0; survey && i < survey->count; i++)
		if (survey->list[i]->fd >= 0)
			close(survey->list[i]->fd);
	for (struct held_descriptor *held = survey ? survey->held : NULL; held; held = held->next)
		close(held->fd);
	*collect_state(collect, &survey_owner) = NULL;
}

int survey_set_own(struct collect *collect, TaskKobjIdsEntry *ids, struct error *err)
{
	const struct survey *survey = survey_of(collect, err);

	for (enum namespace_type type = 0; survey && type < NAMESPACE_TYPES; type++)
		if (survey->own[type])
			ids_set_namespace(ids, type, survey->own[type]->id);
	return survey ? 0 : -1;
}

static struct surveyed_namespace *find(const struct survey *survey, dev_t device, ino_t inode)
{
	/* Tasks mostly come in the order in which their namespaces were met. */
	for (size_t i = survey->count; i-- > 0;)
		if (survey->list[i]->inode == inode && survey->list[i]->device == device)
			return survey->list[i];
	return NULL;
}

struct surveyed_namespace *survey_find(const struct survey *survey, const struct stat *stat)
{
	return find(survey, stat->st_dev, stat->st_ino);
}

/* ---- relations ---- */

static int fail_relation(enum namespace_type type, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED,
			  "cannot ask for what the %s namespace of %s belongs to",
			  namespace_types[type].words, what);
}

static int find_owner(struct collect *collect, int fd, enum namespace_type type, const char *what,
		      struct surveyed_namespace **ret_owner, struct error *err)
{
	if (type == NAMESPACE_USER)
		return 0;
	autoclose int owner_fd = ioctl(fd, NS_GET_USERNS);
	if (owner_fd < 0 && errno_tells_nothing(errno))
		return fail_relation(type, what, err);
	if (owner_fd < 0)
		return fail_errno(err, ERR_UNSUPPORTED_NAMESPACE,
				  "a %s namespace of %s does not belong to a user namespace at or "
				  "below that of nestor",
				  namespace_types[type].words, what);
	*ret_owner = survey_add(collect, NAMESPACE_USER, owner_fd, what, err);
	return *ret_owner ? 0 : -1;
}

static int fail_outside(enum namespace_type type, const char *what, struct error *err)
{
	if (type == NAMESPACE_PID)
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "%s is in a pid namespace that is not below that of the root task",
			    what);
	fail_errno(err, ERR_UNSUPPORTED_NAMESPACE,
		   "the user namespace of %s is not below that of nestor", what);
	return fail_hint(err, "run nestor in a user namespace that is above all of the tree");
}

/* The kernel nests 33 levels at most, so this does not go deep. */
static int find_parent(struct collect *collect, struct survey *survey, int fd,
		       enum namespace_type type, const char *what,
		       struct surveyed_namespace **ret_parent, struct error *err)
{
	/* The first pid namespace is that of the root task. */
	if (namespace_types[type].plain || (type == NAMESPACE_PID && !survey->root_pid))
		return 0;
	autoclose int parent_fd = ioctl(fd, NS_GET_PARENT);
	if (parent_fd < 0 && errno_tells_nothing(errno))
		return fail_relation(type, what, err);
	if (parent_fd < 0)
		return fail_outside(type, what, err);
	*ret_parent = survey_add(collect, type, parent_fd, what, err);
	return *ret_parent ? 0 : -1;
}

/* ---- adding ---- */

static NsEntry *add_entry(struct collect *collect, const struct surveyed_namespace *new)
{
	NsEntry *entry = snapshot_new(collect->snapshot, NS_ENTRY, NsEntry);

	entry->id = new->id;
	entry->ns_cflag = namespace_types[new->type].flag;
	entry->has_parent_id = new->parent != NULL;
	entry->parent_id = new->parent ? new->parent->id : 0;
	entry->has_userns_id = new->owner != NULL;
	entry->userns_id = new->owner ? new->owner->id : 0;
	snapshot_add_namespace(collect->snapshot, entry);
	return entry;
}

static int check_kind(enum namespace_type type, const char *what, struct error *err)
{
	if (kinds.namespaces[type])
		return 0;
	fail(err, ERR_UNSUPPORTED_NAMESPACE, "%s is in another %s namespace than nestor", what,
	     namespace_types[type].words);
	return fail_hint(err, "run nestor inside of it");
}

static int read_owner_uid(const struct surveyed_namespace *new, const char *what, struct error *err)
{
	uid_t owner;

	if (new->type != NAMESPACE_USER)
		return 0;
	if (ioctl(new->fd, NS_GET_OWNER_UID, &owner))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell who owns the user namespace of %s", what);
	new->entry->has_owner_uid = true;
	new->entry->owner_uid = owner;
	return 0;
}

static struct surveyed_namespace *add_new(struct collect *collect, struct survey *survey,
					  enum namespace_type type, int fd, const struct stat *stat,
					  const char *what, struct error *err)
{
	struct surveyed_namespace new = {
		.type = type, .device = stat->st_dev, .inode = stat->st_ino, .fd = -1
	};

	if (check_kind(type, what, err) || find_owner(collect, fd, type, what, &new.owner, err) ||
	    find_parent(collect, survey, fd, type, what, &new.parent, err))
		return NULL;
	new.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (new.fd < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot duplicate a descriptor");
		return NULL;
	}
	new.id = FIRST_ID + (uint32_t)(survey->count);
	new.level = new.parent ? new.parent->level + 1 : 0;
	new.entry = add_entry(collect, &new);
	struct surveyed_namespace *added = append(collect, survey, new);
	if (type == NAMESPACE_PID && !survey->root_pid)
		survey->root_pid = added;
	return read_owner_uid(added, what, err) ? NULL : added;
}

/* Nestor's own pid namespace is one of the tree only if the root task is in it. */
static struct surveyed_namespace *meet(struct collect *collect, struct survey *survey,
				       struct surveyed_namespace *known, const char *what,
				       struct error *err)
{
	if (known->type != NAMESPACE_PID || known->entry)
		return known;
	if (survey->root_pid) {
		fail_outside(NAMESPACE_PID, what, err);
		return NULL;
	}
	survey->root_pid = known;
	known->entry = add_entry(collect, known);
	known->entry->has_userns_id = true;
	known->entry->userns_id = survey->own[NAMESPACE_USER]->id;
	return known;
}

struct surveyed_namespace *survey_add(struct collect *collect, enum namespace_type type, int fd,
				      const char *what, struct error *err)
{
	struct survey *survey = survey_of(collect, err);
	struct stat stat;

	if (!survey)
		return NULL;
	if (fstat(fd, &stat)) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot read a namespace of %s", what);
		return NULL;
	}
	struct surveyed_namespace *known = survey_find(survey, &stat);
	return known ? meet(collect, survey, known, what, err)
		     : add_new(collect, survey, type, fd, &stat, what, err);
}

int survey_hold(struct collect *collect, int taken_fd, const char *what, NsFileEntry *entry,
		struct error *err)
{
	autoclose int fd = taken_fd;
	struct survey *survey = survey_of(collect, err);

	if (!survey)
		return -1;
	struct held_descriptor *held = arena_new(collect->arena, struct held_descriptor);
	*held = (struct held_descriptor){ survey->held, take_fd(&fd), what, entry };
	survey->held = held;
	return 0;
}

/* ---- tasks and threads ---- */

static int read_link(struct target *target, const char *link, char *text, size_t size,
		     struct error *err)
{
	ssize_t length = target_link(target, link, text, size - 1);

	/* ptrace_may_access: of a zombie nothing but the dumpable mark is left to judge by. */
	if (length < 0 && target->zombie && errno == EACCES)
		return fail(
			err, ERR_NO_PRIVILEGE,
			"pid %d is a zombie that was not dumpable: to see its exit status takes "
			"CAP_SYS_PTRACE in the initial user namespace",
			target->pid);
	if (length < 0)
		return fail_errno(err, procfs_error(errno), "cannot read /proc/%d/%s", target->pid,
				  link);
	text[length] = '\0';
	return 0;
}

static struct surveyed_namespace *add_link(struct target *target, enum namespace_type type,
					   const char *link, struct error *err)
{
	struct survey *survey = survey_of(target->collect, err);
	char text[64], what[64];

	if (!survey || read_link(target, link, text, sizeof text, err))
		return NULL;
	snprintf(what, sizeof what, "pid %d", target->pid);
	if (strncmp(link, "task/", 5) == 0)
		snprintf(what, sizeof what, "thread %d of pid %d", atoi(link + 5), target->pid);
	const char *number = strchr(text, '[');
	struct surveyed_namespace *known =
		number ? find(survey, survey->own[NAMESPACE_USER]->device,
			      (ino_t)strtoull(number + 1, NULL, 10))
		       : NULL;
	if (known)
		return meet(target->collect, survey, known, what, err);
	autoclose int fd = target_open(target, link, O_RDONLY);
	if (fd < 0) {
		fail_errno(err, procfs_error(errno), "cannot open /proc/%d/%s", target->pid, link);
		return NULL;
	}
	return survey_add(target->collect, type, fd, what, err);
}

struct surveyed_namespace *survey_add_task(struct target *target, enum namespace_type type,
					   struct error *err)
{
	if (!target->namespaces[type])
		target->namespaces[type] = add_link(target, type, namespace_types[type].link, err);
	return target->namespaces[type];
}

struct surveyed_namespace *survey_add_thread(struct target *target, size_t thread,
					     enum namespace_type type, struct error *err)
{
	char link[64];

	snprintf(link, sizeof link, "task/%d/%s", target->threads[thread].tid,
		 namespace_types[type].link);
	return add_link(target, type, link, err);
}

static int read_type(struct target *target, enum namespace_type type, struct error *err)
{
	struct surveyed_namespace *found = survey_add_task(target, type, err);

	if (!found)
		return -1;
	/* Zombies show nothing of what is in a namespace. */
	if (!found->member && !target->zombie)
		found->member = target;
	if (!found->member_tid && !target->zombie)
		found->member_tid = target->tid;
	ids_set_namespace(target->task->ids, type, found->id);
	return 0;
}

static int read_thread(struct target *target, size_t thread, enum namespace_type type,
		       struct error *err)
{
	struct surveyed_namespace *found = survey_add_thread(target, thread, type, err);

	if (!found)
		return -1;
	if (!found->member_tid)
		found->member_tid = target->threads[thread].tid;
	if (found->id != ids_namespace(target->task->ids, type))
		thread_set_namespace(target->collect->snapshot,
				     target->task->threads[thread]->thread_core, type, found->id);
	return 0;
}

/* What unshare(2) has made for the children of a thread, where that is another one. */
static int read_made(struct target *target, size_t thread, enum namespace_type type,
		     struct error *err)
{
	ThreadCoreEntry *core = target->task->threads[thread]->thread_core;
	char link[64];

	snprintf(link, sizeof link, "task/%d/%s", target->threads[thread].tid,
		 namespace_types[type].made_link);
	struct surveyed_namespace *found = add_link(target, type, link, err);
	if (!found)
		return -1;
	if (found->id == ids_namespace(target->task->ids, type))
		return 0;
	/* Its parent may have lent it to a vfork; nestor's own nobody makes again. */
	if (found->own || found->maker)
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "children of pid %d would be born in another %s namespace than its "
			    "own, which %s",
			    target->pid, namespace_types[type].words,
			    found->own ? "is that of nestor" : "another task has made");
	found->maker = target->threads[thread].tid;
	core->has_time_for_children_ns_id = true;
	core->time_for_children_ns_id = found->id;
	return 0;
}

static int read_target_type(struct target *target, enum namespace_type type, struct error *err)
{
	bool plain = namespace_types[type].plain;
	bool makes =
		plain && strcmp(namespace_types[type].made_link, namespace_types[type].link) != 0;

	if (read_type(target, type, err))
		return -1;
	for (size_t i = target->living + 1; plain && i < target->n_threads; i++)
		if (read_thread(target, i, type, err))
			return -1;
	for (size_t i = target->living; makes && i < target->n_threads; i++)
		if (read_made(target, i, type, err))
			return -1;
	return 0;
}

static int pass(struct target *target, struct error *err)
{
	target->refused = true;
	return collect_pass(target->collect, err);
}

static int read_target(struct survey *survey, struct target *target, struct error *err)
{
	autoleave folder = target_enter(target);

	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (survey->own[type] && (!namespace_types[type].plain || !target->zombie) &&
		    read_target_type(target, type, err) && pass(target, err))
			return -1;
	return 0;
}

/* One of somebody outside is referred to by its key, and nothing that is in it is looked at. */
static void mark_outside(const struct collect *collect, const struct surveyed_namespace *namespace_)
{
	const struct external *external =
		namespace_->type == NAMESPACE_NET
			? externals_find_number(collect->options->externals, EXTERNAL_NET,
						namespace_->inode)
			: NULL;

	if (external)
		namespace_->entry->ext_key =
			*external->value ? arena_string(collect->arena, external->value)
					 : arena_printf(collect->arena, "net[%s]", external->id);
}

typedef int collect_one(struct collect *collect, struct surveyed_namespace *namespace_,
			struct error *err);

static int run_kind(struct collect *collect, struct surveyed_namespace *namespace_,
		    collect_one *run, struct error *err)
{
	if (namespace_->own || namespace_->entry->ext_key || !run ||
	    run(collect, namespace_, err) == 0)
		return 0;
	fail_while(err, "reading %s namespace %u", namespace_types[namespace_->type].words,
		   namespace_->id);
	return collect_pass(collect, err);
}

/* Kinds may meet more. */
static int read_contents(struct collect *collect, const struct survey *survey, struct error *err)
{
	for (size_t i = 0; i < survey->count; i++) {
		struct surveyed_namespace *namespace_ = survey->list[i];
		if (!namespace_->own)
			mark_outside(collect, namespace_);
		if (run_kind(collect, namespace_, kinds.namespaces[namespace_->type]->collect, err))
			return -1;
	}
	return 0;
}

static int begin_type(struct target *target, enum namespace_type type, struct error *err)
{
	autoleave folder = target_enter(target);
	struct surveyed_namespace *found = survey_add_task(target, type, err);

	if (!found)
		return -1;
	if (found->own || found->is_begun)
		return 0;
	found->is_begun = true;
	mark_outside(target->collect, found);
	return run_kind(target->collect, found, kinds.namespaces[type]->begin, err);
}

int collect_namespaces_begin(struct collect *collect, struct error *err)
{
	const struct survey *survey = survey_of(collect, err);

	if (!survey)
		return -1;
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		for (size_t i = 0; i < collect->n_targets; i++) {
			struct target *target = &collect->targets[i];
			if (survey->own[type] && kinds.namespaces[type] &&
			    kinds.namespaces[type]->begin && !target->zombie &&
			    begin_type(target, type, err) && pass(target, err))
				return -1;
		}
	return 0;
}

int collect_namespaces(struct collect *collect, struct error *err)
{
	struct survey *survey = survey_of(collect, err);

	if (!survey)
		return -1;
	for (size_t i = 0; i < collect->n_targets; i++)
		if (read_target(survey, &collect->targets[i], err))
			return -1;
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (kinds.namespaces[type] && kinds.namespaces[type]->survey &&
		    kinds.namespaces[type]->survey(collect, survey, err) &&
		    collect_pass(collect, err))
			return -1;
	if (read_contents(collect, survey, err))
		return -1;
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (kinds.namespaces[type] && kinds.namespaces[type]->read_end &&
		    kinds.namespaces[type]->read_end(collect, err) && collect_pass(collect, err))
			return -1;
	return 0;
}

int collect_read_complete(struct collect *collect, struct error *err)
{
	const struct survey *survey = survey_of(collect, err);
	int result = survey ? 0 : -1;

	for (size_t i = 0; result == 0 && i < survey->count; i++)
		result = run_kind(collect, survey->list[i],
				  kinds.namespaces[survey->list[i]->type]->complete, err);
	survey_release(collect);
	return result;
}
