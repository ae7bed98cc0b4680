// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User namespaces. All threads of a task are in one: clone(2) with CLONE_THREAD, unshare(2) and
 * setns(2) refuse anything else. What a namespace has is its parent, the uid of its owner (the
 * effective one of whoever made it), two maps, and whether setgroups(2) is denied.
 *
 * The id of a namespace is found by its inode; NS_GET_PARENT and NS_GET_USERNS answer for what is
 * at or below the namespace of the caller only (ns_get_owner, kernel/user_namespace.c), so the way
 * up ends at nestor's own, and whatever lies elsewhere is refused. Maps are in user-maps.c.
 */
#include "kinds/namespaces/user.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "collect/collect.h"
#include "kinds/namespaces/user-limits.h"
#include "kinds/namespaces/user-maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* tasks.c and pid.c have the ids below; those of the tree follow. */
enum { OWN_ID = 15 };

struct known_namespace {
	dev_t device;
	ino_t inode;
	uint32_t id;
	size_t parent; /* in survey->known */
	NsEntry *entry;
	int fd;
	const struct target *member; /* NULL: no task of the tree is inside */
	struct user_maps maps;
};

struct survey {
	struct known_namespace *known; /* parents before children; [0] is nestor's own */
	size_t n_known;
};

/* Keeps the survey over a dump. */
static const char survey_owner = 0;

static int open_survey(struct collect *collect, struct survey **ret_survey, struct error *err)
{
	struct survey *survey = *collect_state(collect, &survey_owner);
	struct stat stat_;

	if (!survey) {
		if (stat("/proc/self/ns/user", &stat_))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot read /proc/self/ns/user");
		survey = arena_new(collect->arena, struct survey);
		survey->known = arena_grow(collect->arena, NULL, 0, sizeof *survey->known);
		survey->known[survey->n_known++] = (struct known_namespace){
			.device = stat_.st_dev, .inode = stat_.st_ino, .id = OWN_ID, .fd = -1
		};
		*collect_state(collect, &survey_owner) = survey;
	}
	*ret_survey = survey;
	return 0;
}

static struct known_namespace *find_known(const struct survey *survey, const struct stat *stat)
{
	for (size_t i = survey->n_known; i-- > 0;)
		if (survey->known[i].inode == stat->st_ino &&
		    survey->known[i].device == stat->st_dev)
			return &survey->known[i];
	return NULL;
}

static int add_known(struct collect *collect, struct survey *survey, int taken_fd,
		     const struct stat *stat, size_t parent, const char *what, struct error *err)
{
	autoclose int fd = taken_fd;
	NsEntry *entry = snapshot_new(collect->snapshot, NS_ENTRY, NsEntry);
	uid_t owner;

	if (ioctl(fd, NS_GET_OWNER_UID, &owner))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell who owns the user namespace of %s", what);
	entry->id = collect->next_namespace_id++;
	entry->ns_cflag = CLONE_NEWUSER;
	entry->has_parent_id = true;
	entry->parent_id = survey->known[parent].id;
	entry->has_owner_uid = true;
	entry->owner_uid = owner;
	snapshot_add_namespace(collect->snapshot, entry);
	survey->known =
		arena_grow(collect->arena, survey->known, survey->n_known, sizeof *survey->known);
	survey->known[survey->n_known++] = (struct known_namespace){ .device = stat->st_dev,
								     .inode = stat->st_ino,
								     .id = entry->id,
								     .parent = parent,
								     .entry = entry,
								     .fd = take_fd(&fd) };
	return 0;
}

/* Takes the descriptor. The kernel nests 33 levels at most, so this does not go deep. */
static int find_or_add(struct collect *collect, struct survey *survey, int taken_fd,
		       const char *what, size_t *ret_index, struct error *err)
{
	autoclose int fd = taken_fd;
	struct stat stat;
	size_t parent;

	if (fstat(fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the user namespace of %s",
				  what);
	const struct known_namespace *known = find_known(survey, &stat);
	if (known) {
		*ret_index = (size_t)(known - survey->known);
		return 0;
	}
	int parent_fd = ioctl(fd, NS_GET_PARENT);
	if (parent_fd < 0) {
		fail_errno(err, ERR_UNSUPPORTED_NAMESPACE,
			   "the user namespace of %s is not below that of nestor", what);
		return fail_hint(err,
				 "run nestor in a user namespace that is above all of the tree");
	}
	if (find_or_add(collect, survey, parent_fd, what, &parent, err) ||
	    add_known(collect, survey, take_fd(&fd), &stat, parent, what, err))
		return -1;
	*ret_index = survey->n_known - 1;
	return 0;
}

int user_namespace_id(struct collect *collect, int fd, const char *what, uint32_t *ret_id,
		      struct error *err)
{
	struct survey *survey;
	size_t index;
	int copy;

	if (open_survey(collect, &survey, err))
		return -1;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot duplicate a descriptor");
	if (find_or_add(collect, survey, copy, what, &index, err))
		return -1;
	*ret_id = survey->known[index].id;
	return 0;
}

int user_namespace_owner_id(struct collect *collect, int fd, const char *what, uint32_t *ret_id,
			    struct error *err)
{
	autoclose int user_fd = ioctl(fd, NS_GET_USERNS);

	if (user_fd < 0)
		return fail_errno(err, ERR_UNSUPPORTED_NAMESPACE,
				  "a namespace of %s does not belong to a user namespace at or "
				  "below that of nestor",
				  what);
	return user_namespace_id(collect, user_fd, what, ret_id, err);
}

static int read_task(struct collect *collect, struct survey *survey, struct target *target,
		     struct error *err)
{
	TaskKobjIdsEntry *ids = target->task->ids;
	struct stat stat;
	char what[32];
	size_t index;

	if (target_look(target, "ns/user", &stat) && target->zombie && errno == EACCES)
		return fail(
			err, ERR_NO_PRIVILEGE,
			"pid %d is a zombie that was not dumpable: to see its exit status takes "
			"CAP_SYS_PTRACE in the initial user namespace",
			target->pid);
	if (target_look(target, "ns/user", &stat))
		return fail_errno(err, ERR_TREE_CHANGED, "cannot read /proc/%d/ns/user",
				  target->pid);
	struct known_namespace *known = find_known(survey, &stat);
	if (!known) {
		int fd = target_open(target, "ns/user", O_RDONLY);
		if (fd < 0)
			return fail_errno(err, ERR_TREE_CHANGED, "cannot open /proc/%d/ns/user",
					  target->pid);
		snprintf(what, sizeof what, "pid %d", target->pid);
		if (find_or_add(collect, survey, fd, what, &index, err))
			return -1;
		known = &survey->known[index];
	}
	if (!known->member)
		known->member = target;
	ids->has_user_ns_id = true;
	ids->user_ns_id = known->id;
	return 0;
}

int user_namespaces_collect(struct collect *collect, struct error *err)
{
	TaskKobjIdsEntry *own = collect->snapshot->inventory->root_ids;
	struct survey *survey;

	if (open_survey(collect, &survey, err))
		return -1;
	own->has_user_ns_id = true;
	own->user_ns_id = OWN_ID;
	for (size_t i = 0; i < collect->n_targets; i++)
		if (read_task(collect, survey, &collect->targets[i], err))
			return -1;
	return 0;
}

void user_namespaces_release(struct collect *collect)
{
	struct survey *survey = *collect_state(collect, &survey_owner);

	for (size_t i = 0; survey && i < survey->n_known; i++)
		if (survey->known[i].fd >= 0)
			close(survey->known[i].fd);
	*collect_state(collect, &survey_owner) = NULL;
}

/* ---- maps ---- */

static int read_maps(struct collect *collect, const struct survey *survey,
		     struct known_namespace *known, struct error *err)
{
	const struct user_maps *parent = known->parent ? &survey->known[known->parent].maps : NULL;
	int result;

	if (known->member) {
		autoclose int folder = target_open(known->member, "", O_PATH | O_DIRECTORY);
		if (folder < 0)
			return fail_errno(err, ERR_TREE_CHANGED, "cannot open /proc/%d",
					  known->member->tid);
		result = user_maps_read(&known->maps, collect->arena, folder, parent, err);
	} else {
		result = user_maps_visit(&known->maps, collect->arena, known->fd, parent, err);
	}
	if (result)
		return -1;
	known->entry->user_ext = known->maps.entry;
	known->entry->has_setgroups_denied = true;
	known->entry->setgroups_denied = known->maps.setgroups_denied;
	if (known->maps.has_projects)
		log_warning("collect", "user namespace",
			    "%" PRIu32 " has a map of project ids, which will be empty once it is "
			    "restored",
			    known->id);
	return result;
}

static int read_limits(struct collect *collect, const struct known_namespace *known,
		       struct error *err)
{
	bool is_known;

	if (user_limits_read(collect->snapshot, known->fd, known->entry, &is_known, err))
		return -1;
	if (!is_known)
		log_warning("collect", "user namespace",
			    "%" PRIu32 ": its limits (/proc/sys/user) cannot be read; once it is "
			    "restored it has none",
			    known->id);
	return 0;
}

int user_namespaces_complete(struct collect *collect, struct error *err)
{
	struct survey *survey;

	if (open_survey(collect, &survey, err))
		return -1;
	for (size_t i = 1; i < survey->n_known; i++) {
		struct known_namespace *known = &survey->known[i];
		if (read_maps(collect, survey, known, err))
			return fail_while(err, "reading the maps of user namespace %" PRIu32,
					  known->id);
		if (read_limits(collect, known, err))
			return fail_while(err, "reading the limits of user namespace %" PRIu32,
					  known->id);
	}
	return 0;
}
