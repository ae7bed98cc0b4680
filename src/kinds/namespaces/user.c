// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User namespaces. All threads of a task are in one: clone(2) with CLONE_THREAD, unshare(2) and
 * setns(2) refuse anything else. What a namespace has is its parent, the uid of its owner (the
 * effective one of whoever made it), two maps, and whether setgroups(2) is denied.
 *
 * The id of a namespace is found by its inode; NS_GET_PARENT and NS_GET_USERNS answer for what is
 * at or below the namespace of the caller only (ns_get_owner, kernel/user_namespace.c), so the way
 * up ends at nestor's own, and whatever lies elsewhere is refused.
 *
 * A map is a file of a process (/proc/PID/uid_map): of a task of the tree that is inside, or else
 * of a process that we put there for a moment. What it shows on the outer side are ids as the
 * reader's namespace has them. They are recorded in numbers of the parent: the kernel writes an
 * extent only if one extent of the parent has all of it (map_id_range_down), so it is moved as a
 * whole.
 */
#include "kinds/namespaces/user.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* tasks.c and pid.c have the ids below; those of the tree follow. */
enum { OWN_ID = 15 };

/* The outer side of a map, in numbers of nestor's namespace, extent by extent. */
struct outer_ids {
	size_t n_extents;
	UidGidExtent **extents; /* as recorded */
	uint32_t *first;
};

struct known_namespace {
	dev_t device;
	ino_t inode;
	uint32_t id;
	size_t parent; /* in survey->known */
	NsEntry *entry;
	int fd;
	const struct target *member; /* NULL: no task of the tree is inside */
	struct outer_ids uids, gids;
};

struct survey {
	struct known_namespace *known; /* parents before children; [0] is nestor's own */
	size_t n_known;
};

static int open_survey(struct collect *collect, struct survey **ret_survey, struct error *err)
{
	struct survey *survey = collect->kind_state[COLLECT_USER_NAMESPACES];
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
		collect->kind_state[COLLECT_USER_NAMESPACES] = survey;
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

	if (fstatat(target->proc_fd, "ns/user", &stat, 0))
		return fail_errno(err, ERR_TREE_CHANGED, "cannot read /proc/%d/ns/user",
				  target->pid);
	struct known_namespace *known = find_known(survey, &stat);
	if (!known) {
		int fd = openat(target->proc_fd, "ns/user", O_RDONLY | O_CLOEXEC);
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
	struct survey *survey = collect->kind_state[COLLECT_USER_NAMESPACES];

	for (size_t i = 0; survey && i < survey->n_known; i++)
		if (survey->known[i].fd >= 0)
			close(survey->known[i].fd);
	collect->kind_state[COLLECT_USER_NAMESPACES] = NULL;
}

/* ---- maps ---- */

/* The number that an id of nestor's namespace has in a namespace with this map. */
static bool number_inside(const struct outer_ids *ids, uint32_t id, uint32_t *ret_number)
{
	for (size_t i = 0; i < ids->n_extents; i++) {
		if (id < ids->first[i] || id - ids->first[i] >= ids->extents[i]->count)
			continue;
		*ret_number = ids->extents[i]->first + (id - ids->first[i]);
		return true;
	}
	return false;
}

/* `parent` is NULL where that is nestor's own, whose numbers are those that we read. */
static int read_map(struct collect *collect, int proc_fd, const char *name,
		    const struct outer_ids *parent, struct outer_ids *map, struct error *err)
{
	uint64_t numbers[3];
	char *text;

	if (procfs_read(collect->arena, proc_fd, name, &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", name);
	for (; procfs_numbers(text, 10, numbers, 3) == 3; text += strcspn(text, "\n") + 1) {
		UidGidExtent *extent =
			snapshot_new(collect->snapshot, UID_GID_EXTENT, UidGidExtent);
		extent->first = (uint32_t)numbers[0];
		extent->lower_first = (uint32_t)numbers[1];
		extent->count = (uint32_t)numbers[2];
		map->extents =
			arena_grow(collect->arena, map->extents, map->n_extents, sizeof(void *));
		map->first =
			arena_grow(collect->arena, map->first, map->n_extents, sizeof *map->first);
		map->extents[map->n_extents] = extent;
		map->first[map->n_extents++] = (uint32_t)numbers[1];
		if (parent && !number_inside(parent, (uint32_t)numbers[1], &extent->lower_first))
			return fail(err, ERR_KERNEL_REFUSED,
				    "%s gives %" PRIu64 ", which its parent does not have", name,
				    numbers[1]);
		if (!strchr(text, '\n'))
			break;
	}
	return 0;
}

static int read_maps(struct collect *collect, struct survey *survey, struct known_namespace *known,
		     int proc_fd, struct error *err)
{
	const struct known_namespace *parent = known->parent ? &survey->known[known->parent] : NULL;
	UsernsEntry *maps = snapshot_new(collect->snapshot, USERNS_ENTRY, UsernsEntry);
	char *setgroups;

	if (read_map(collect, proc_fd, "uid_map", parent ? &parent->uids : NULL, &known->uids,
		     err) ||
	    read_map(collect, proc_fd, "gid_map", parent ? &parent->gids : NULL, &known->gids, err))
		return -1;
	if (procfs_read(collect->arena, proc_fd, "setgroups", &setgroups) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read setgroups");
	maps->n_uid_map = known->uids.n_extents;
	maps->uid_map = known->uids.extents;
	maps->n_gid_map = known->gids.n_extents;
	maps->gid_map = known->gids.extents;
	known->entry->user_ext = maps;
	known->entry->has_setgroups_denied = true;
	known->entry->setgroups_denied = strncmp(setgroups, "deny", 4) == 0;
	return 0;
}

/* ---- namespaces that no task of the tree is in ---- */

/* In a process of its own, which says how it went and waits to be killed. */
static void visit(int fd, int report_fd)
{
	int result = setns(fd, CLONE_NEWUSER) ? errno : 0;

	/* Once more: a change of credentials clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(report_fd, &result, sizeof result) < 0)
		_exit(1);
	for (;;)
		pause();
}

static int wait_for_visitor(int report_fd)
{
	int result;
	ssize_t length;

	do
		length = read(report_fd, &result, sizeof result);
	while (length < 0 && errno == EINTR);
	errno = length == sizeof result ? result : ECHILD;
	return errno ? -1 : 0;
}

static int read_visited(struct collect *collect, struct survey *survey,
			struct known_namespace *known, pid_t visitor, int report_fd,
			struct error *err)
{
	char path[32];

	if (wait_for_visitor(report_fd)) {
		fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
			   "cannot enter user namespace %" PRIu32, known->id);
		return fail_hint(err, "no task of the tree is in it; reading its maps takes "
				      "CAP_SYS_ADMIN in it");
	}
	snprintf(path, sizeof path, "/proc/%d", (int)visitor);
	autoclose int proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", path);
	return read_maps(collect, survey, known, proc_fd, err);
}

static int visit_namespace(struct collect *collect, struct survey *survey,
			   struct known_namespace *known, struct error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pipe");
	autoclose int report_fd = ends[0];
	pid_t visitor = fork();
	if (visitor == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		visit(known->fd, ends[1]);
	}
	close(ends[1]);
	if (visitor < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	int result = read_visited(collect, survey, known, visitor, report_fd, err);
	kill(visitor, SIGKILL);
	while (waitpid(visitor, NULL, 0) < 0 && errno == EINTR)
		;
	return result;
}

int user_namespaces_complete(struct collect *collect, struct error *err)
{
	struct survey *survey;

	if (open_survey(collect, &survey, err))
		return -1;
	for (size_t i = 1; i < survey->n_known; i++) {
		struct known_namespace *known = &survey->known[i];
		int result = known->member ? read_maps(collect, survey, known,
						       known->member->proc_fd, err)
					   : visit_namespace(collect, survey, known, err);
		if (result)
			return fail_while(err, "reading the maps of user namespace %" PRIu32,
					  known->id);
	}
	return 0;
}
