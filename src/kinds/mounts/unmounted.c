// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounts that were unmounted while somebody was using them (MNT_DETACH), or went with their
 * namespace, and on which tasks still have directories or files. No list shows them, nobody can
 * copy them (may_copy_tree, fs/namespace.c), and what was mounted in them is a mount of its own by
 * now, unless that was locked. Where something else shows the same, a copy of that is what a
 * restore makes, attached nowhere and dissolved at its end; all that was on the one mount is on one
 * again. Paths begin at its root, and so does what ".." leads to. Where nothing shows the same, it
 * may be a tmpfs that comes back with what is in it (unmounted-last.c).
 *
 * One of a namespace that somebody outside has looks alike at the root of that. So a file stays
 * where a mount of the tree shows and allows the same, and a directory where the root of its
 * namespace does; and what has others mounted in it is refused.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/read-ahead.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DELETED_SUFFIX " (deleted)"

/* As fs/fuse/inode.c has them (FILEID_INO64_GEN): only its driver knows more. */
enum { HANDLE_OF_FUSE = 0x81, HANDLE_OF_FUSE_AND_PARENT = 0x82 };

struct reference {
	struct target *target;
	const char *name; /* below /proc/PID: "cwd", "fd/3" */
	bool is_directory;
};

struct met_mount {
	int64_t id;
	struct reference *references;
	size_t n;
};

struct meeting {
	struct collect *collect;
	struct met_mount *mounts;
	size_t n;
	int64_t last_known;
};

static int judge(const char *what, struct error *err)
{
	return errno_tells_nothing(errno)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %s", what)
		       : 0;
}

/* ---- who has something there ---- */

static int is_known(struct meeting *meeting, int64_t id, bool *ret, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(meeting->collect);

	*ret = id == meeting->last_known;
	if (*ret)
		return 0;
	if (survey_read_own(meeting->collect, err))
		return -1;
	*ret = survey_is_own_mount(survey, id) || survey_find_mount(survey, id, NULL);
	if (*ret)
		meeting->last_known = id;
	return 0;
}

static void add(struct meeting *meeting, int64_t id, const struct reference *reference)
{
	struct arena *arena = meeting->collect->arena;
	struct met_mount *mount = NULL;

	for (size_t i = 0; i < meeting->n && !mount; i++)
		if (meeting->mounts[i].id == id)
			mount = &meeting->mounts[i];
	if (!mount) {
		meeting->mounts =
			arena_grow(arena, meeting->mounts, meeting->n, sizeof *meeting->mounts);
		mount = &meeting->mounts[meeting->n++];
		*mount = (struct met_mount){ .id = id };
	}
	mount->references =
		arena_grow(arena, mount->references, mount->n, sizeof *mount->references);
	mount->references[mount->n++] = *reference;
}

static bool is_of_fuse(int fd)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} own = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int unused;

	return name_to_handle_at(fd, "", &own.handle, &unused, AT_EMPTY_PATH) == 0 &&
	       (own.handle.handle_type == HANDLE_OF_FUSE ||
		own.handle.handle_type == HANDLE_OF_FUSE_AND_PARENT);
}

/* What was removed, or never had a name (memfd_create), tells nothing about where it was. */
static bool is_removed(struct target *target, const char *name)
{
	char link[PATH_MAX];
	ssize_t length = target_link(target, name, link, sizeof link - 1);
	size_t suffix = strlen(DELETED_SUFFIX);

	if (length <= 0 || link[0] != '/')
		return true;
	return length >= (ssize_t)suffix &&
	       strncmp(link + length - suffix, DELETED_SUFFIX, suffix) == 0;
}

static int meet(struct meeting *meeting, struct target *target, const char *name, struct error *err)
{
	struct statx found;
	bool known;

	if (target_mount_of(target, name, &found))
		return judge(name, err);
	if (is_known(meeting, (int64_t)found.stx_mnt_id, &known, err))
		return -1;
	if (known)
		return 0;
	const struct reference reference = { target, arena_string(meeting->collect->arena, name),
					     S_ISDIR(found.stx_mode) };
	if (!reference.is_directory && is_removed(target, name))
		return 0;
	autoclose int fd = target_open(target, name, O_PATH);
	if (fd < 0)
		return judge(name, err);
	if (!is_of_fuse(fd))
		add(meeting, (int64_t)found.stx_mnt_id, &reference);
	return 0;
}

static int meet_descriptor(struct meeting *meeting, struct target *target, uint32_t number,
			   struct error *err)
{
	const struct descriptor_ahead *ahead = read_ahead_descriptor(target, number);
	char name[32], link[2];
	bool known;

	snprintf(name, sizeof name, "fd/%" PRIu32, number);
	if (ahead && ahead->has_link && ahead->has_fdinfo) {
		int64_t id = (int64_t)procfs_value(ahead->fdinfo, "mnt_id:", 10);
		if (ahead->link[0] != '/' || is_known(meeting, id, &known, err))
			return ahead->link[0] != '/' ? 0 : -1;
		return known ? 0 : meet(meeting, target, name, err);
	}
	if (read_ahead_link(target, name, link, sizeof link) < 1 || link[0] != '/')
		return 0;
	return meet(meeting, target, name, err);
}

/* What cannot be listed is said by whoever collects it. */
static int meet_descriptors(struct meeting *meeting, struct target *target, struct error *err)
{
	struct error later = { 0 };
	const uint32_t *numbers;
	size_t count;

	if (target_descriptors(target, &numbers, &count, &later))
		return 0;
	for (size_t i = 0; i < count; i++)
		if (target_inherits(target, i, &later) <= 0 &&
		    meet_descriptor(meeting, target, numbers[i], err))
			return -1;
	return 0;
}

static int meet_thread(struct meeting *meeting, struct target *target, size_t thread,
		       struct error *err)
{
	static const char *const links[] = { "cwd", "root" };
	char name[64];

	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		snprintf(name, sizeof name, "task/%d/%s", target->threads[thread].tid, links[i]);
		if (meet(meeting, target, name, err))
			return -1;
	}
	return 0;
}

static int meet_task(struct meeting *meeting, struct target *target, struct error *err)
{
	if (meet(meeting, target, "cwd", err) || meet(meeting, target, "root", err) ||
	    meet(meeting, target, "exe", err))
		return -1;
	for (size_t i = target->living + 1; i < target->n_threads; i++) {
		int own = collect_thread_has_own_fs(target, i, err);
		if (own < 0 || (own && meet_thread(meeting, target, i, err)))
			return -1;
	}
	return meet_descriptors(meeting, target, err);
}

/* ---- which of them are to be made ---- */

/* Its root; -1 with errno. Where that is mounted on something, *ret_attached. */
static int open_root(int fd, int64_t id, bool *ret_attached)
{
	autoclose int at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statx found;

	for (size_t i = 0; at >= 0 && i < PATH_MAX; i++) {
		if (statx(at, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found))
			return -1;
		autoclose int above = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		int64_t above_id = above < 0 ? -1 : survey_mount_id(above);
		*ret_attached = above_id != id;
		if (above_id < 0)
			return -1;
		if (*ret_attached || found.stx_attributes & STATX_ATTR_MOUNT_ROOT)
			return take_fd(&at);
		cleanup_close(&at);
		at = take_fd(&above);
	}
	return -1;
}

/* 1, 0, or -1 with errno */
static int has_place(struct collect *collect, const struct reference *reference, int fd,
		     const char *link)
{
	struct open_file file = { .target = reference->target, .link = link };

	return fstat(fd, &file.stat) ? -1 : survey_has_place(survey_of_mounts(collect), &file, fd);
}

/* Of one that is, at *ret_fd, and the root of the mount, or -1. 1, 0, or -1. */
static int needs_mount(struct collect *collect, const struct met_mount *mount,
		       const struct reference *reference, struct unmounted *ret, struct error *err)
{
	autoclose int fd = target_open(reference->target, reference->name, O_PATH);
	bool attached = false;
	char link[PATH_MAX];
	ssize_t length = target_link(reference->target, reference->name, link, sizeof link - 1);

	if (fd < 0 || length < 0)
		return judge(reference->name, err);
	link[length] = '\0';
	int placed = has_place(collect, reference, fd, link);
	if (placed)
		return placed < 0 ? judge(reference->name, err) : 0;
	autoclose int root_fd = reference->is_directory ? open_root(fd, mount->id, &attached) : -1;
	if (reference->is_directory && root_fd < 0)
		return judge(reference->name, err);
	if (attached)
		return 0;
	*ret = (struct unmounted){ mount->id, take_fd(&fd), take_fd(&root_fd),
				   arena_string(collect->arena, link) };
	return 1;
}

static const char *name_of(struct collect *collect, const struct reference *reference)
{
	return arena_printf(collect->arena, "%s of pid %d (unmounted)", reference->name,
			    reference->target->pid);
}

static int mark(struct live_namespace *namespace_, const struct unmounted *unmounted,
		struct error *err)
{
	struct collect *collect = namespace_->collect;
	const char *uncopied = NULL;

	namespace_->detached =
		snapshot_new(collect->snapshot, MNT_DETACHED_ENTRY, MntDetachedEntry);
	namespace_->detached->has_unmounted = namespace_->detached->unmounted = true;
	namespace_->originals = arena_array(collect->arena, int64_t, namespace_->table.n_lines + 1);
	for (size_t i = 0; i < namespace_->table.n_lines; i++)
		namespace_->originals[i] = unmounted->id;
	if (unmounted->root_fd >= 0 &&
	    mount_find_uncopied(namespace_, unmounted->root_fd, &uncopied))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look into %s", namespace_->what);
	return uncopied ? fail(err, ERR_UNSUPPORTED_MOUNT,
			       "%s is on a mount that is in no mount namespace of the tree, and "
			       "has others in it (/%s)",
			       namespace_->what, uncopied)
			: 0;
}

/* The mount namespace of those who have something there, of the innermost owner: it may be his. */
static const struct surveyed_namespace *innermost(const struct met_mount *mount, struct error *err)
{
	const struct surveyed_namespace *found = NULL;

	for (size_t i = 0; i < mount->n; i++) {
		const struct surveyed_namespace *met =
			survey_add_task(mount->references[i].target, NAMESPACE_MNT, err);
		if (!met)
			return NULL;
		bool further = !found || (!met->own && found->own) ||
			       (!met->own && met->owner->level > found->owner->level);
		found = further ? met : found;
	}
	return found;
}

/* 1, 0, or -1 */
static int take(struct collect *collect, const struct unmounted *unmounted, int *ret_fd,
		struct error *err)
{
	int copied = mount_unmounted_copy(collect, unmounted, ret_fd, err);

	return copied ? copied : mount_unmounted_stand_in(collect, unmounted, ret_fd, err);
}

static int note_unmade(struct mount_survey *survey, struct arena *arena,
		       const struct unmounted *unmounted, struct error *err)
{
	const char *why;

	if (mount_unmounted_explain(survey, unmounted, &why, err))
		return -1;
	survey->unmade =
		arena_grow(arena, survey->unmade, survey->n_unmade, sizeof *survey->unmade);
	survey->unmade[survey->n_unmade++] = (struct unmade_mount){ unmounted->id, why };
	return 0;
}

const char *mount_unmounted_why(const struct mount_survey *survey, int64_t mount_id)
{
	for (size_t i = 0; i < survey->n_unmade; i++)
		if (survey->unmade[i].id == mount_id)
			return survey->unmade[i].why;
	return "is in no mount namespace of the tree";
}

static int make(struct collect *collect, const struct reference *reference,
		const struct unmounted *unmounted, mount_found *found, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);
	size_t before = survey->n_namespaces;
	autoclose int fd = -1;

	int taken = take(collect, unmounted, &fd, err);
	survey->strange |= taken == 0;
	if (taken <= 0)
		return taken ? -1 : note_unmade(survey, collect->arena, unmounted, err);
	if (found(collect, fd, name_of(collect, reference), err))
		return -1;
	survey->strange |= survey->n_namespaces == before;
	if (survey->n_namespaces == before)
		return 0;
	struct live_namespace *namespace_ = &survey->namespaces[before];
	if (unmounted->root_fd >= 0 && mount_unmounted_take_place(namespace_, unmounted, err))
		return -1;
	return mark(namespace_, unmounted, err) ? collect_pass(collect, err) : 0;
}

/* Files stay files wherever they are opened. 1 where it is, 0, or -1 */
static int refuse_below_root(struct collect *collect, const struct reference *reference,
			     struct error *err)
{
	if (!reference->is_directory)
		return 0;
	autoclose int fd = target_open(reference->target, reference->name, O_PATH);
	if (fd < 0)
		return judge(reference->name, err);
	int below = mount_is_below_root(collect, reference->target, fd, err);
	if (below <= 0)
		return below;
	fail(err, ERR_UNSUPPORTED_MOUNT,
	     "%s of pid %d is on a mount that is below what is mounted over the root of its mount "
	     "namespace, and what is seen from there would be lost",
	     reference->name, reference->target->pid);
	return collect_pass(collect, err) ? -1 : 1;
}

/* 1 where the mount is made, or refused; 0; -1 */
static int find_by(struct collect *collect, const struct met_mount *mount,
		   const struct reference *reference, mount_found *found, struct error *err)
{
	struct unmounted unmounted;
	int refused = refuse_below_root(collect, reference, err);

	if (refused)
		return refused;
	int needed = needs_mount(collect, mount, reference, &unmounted, err);
	if (needed <= 0)
		return needed;
	unmounted.holders = innermost(mount, err);
	int result = unmounted.holders ? make(collect, reference, &unmounted, found, err) : -1;
	close(unmounted.fd);
	cleanup_close(&unmounted.root_fd);
	return result ? -1 : 1;
}

/* A directory leads to the root of the mount, so it comes first, and says what holds for all. */
static int find_one(struct collect *collect, const struct met_mount *mount, mount_found *found,
		    struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < mount->n; i++)
		if (mount->references[i].is_directory)
			return find_by(collect, mount, &mount->references[i], found, err);
	for (size_t i = 0; i < mount->n && !result; i++)
		result = find_by(collect, mount, &mount->references[i], found, err);
	return result;
}

int mount_unmounted_find(struct collect *collect, mount_found *found, struct error *err)
{
	struct meeting meeting = { .collect = collect, .last_known = -1 };

	for (size_t i = 0; i < collect->n_targets; i++) {
		struct target *target = &collect->targets[i];
		autoleave folder = target->zombie ? NULL : target_enter(target);
		if (!target->zombie && meet_task(&meeting, target, err))
			return -1;
	}
	for (size_t i = 0; i < meeting.n; i++)
		if (find_one(collect, &meeting.mounts[i], found, err) < 0)
			return -1;
	return 0;
}
