// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the daemon of an autofs has made in it: directories to mount something on, where they are to
 * be seen before, and symbolic links. Nobody makes them but processes of its group, and none once
 * it is catatonic (autofs_dir_mkdir, fs/autofs/root.c): so a task of the group does when it is
 * asked to, before all else is set. Owner, mode and times are for anybody with the rights.
 *
 * Who comes to such a directory waits for the daemon, which stands still. Not so who opens it
 * with O_PATH, as the last of a path (follow_automount, fs/namei.c), nor who opens it again by
 * that descriptor: so that is how all is opened, one name after another. An empty one cannot be
 * opened again, unless something is mounted on it (ENOENT, autofs_dir_open).
 */
#include "kinds/mounts/autofs.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "collect/collect.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEEPEST = 32, NANOSECONDS = 1000000000, ROOM = NAME_MAX + 1 + PATH_MAX };

bool mount_is_autofs(const MntEntry *mount)
{
	return mount_kind_of_entry(mount) == &autofs_mount_kind;
}

/* ---- following a path ---- */

static int open_again(int fd, int flags)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return open(self, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
}

/* RESOLVE_NO_XDEV would refuse whatever somebody could wait at (Linux 6.18). */
static int open_next(int fd, const char *name)
{
	autoclose int next = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int64_t above = next < 0 ? -1 : survey_mount_id(fd);

	if (next < 0 || above < 0)
		return -1;
	errno = EXDEV;
	return survey_mount_id(next) == above ? take_fd(&next) : -1;
}

int autofs_open(int root_fd, const char *path, int flags)
{
	autoclose int fd = mount_open_on(root_fd, "", O_PATH | O_DIRECTORY);
	char name[NAME_MAX + 1];

	for (size_t length; fd >= 0 && *path; path += length, path += *path == '/') {
		length = strcspn(path, "/");
		errno = ENAMETOOLONG;
		if (length > NAME_MAX)
			return -1;
		memcpy(name, path, length);
		name[length] = '\0';
		int next = open_next(fd, name);
		close(fd);
		fd = next;
	}
	if (fd < 0)
		return -1;
	return flags & O_PATH ? take_fd(&fd) : open_again(fd, flags);
}

/* ---- dump ---- */

struct looking {
	const struct live_superblock *superblock;
	MntAutofsEntry *autofs;
	dev_t device;
};

static int refuse(const struct looking *looking, const char *path, const char *why,
		  struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_MOUNT, "%s: %.200s in it %s", looking->superblock->what,
		    path, why);
}

static int look_at_link(const struct looking *looking, int fd, MntAutofsInsideEntry *entry,
			struct error *err)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(fd, "", target, sizeof target - 1);

	if (length < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %.200s", entry->path);
	target[length] = '\0';
	entry->target = arena_string(looking->superblock->collect->arena, target);
	return 0;
}

static int look_into(const struct looking *looking, int path_fd, const char *path, unsigned depth,
		     struct error *err);

static int look_at(const struct looking *looking, int above_fd, const char *name, const char *path,
		   unsigned depth, struct error *err)
{
	struct arena *arena = looking->superblock->collect->arena;
	autoclose int fd = openat(above_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	MntAutofsInsideEntry *entry = snapshot_new(looking->superblock->collect->snapshot,
						   MNT_AUTOFS_INSIDE_ENTRY, MntAutofsInsideEntry);
	struct stat stat;

	/* It has been removed meanwhile. */
	if (fd < 0 && errno == ENOENT && looking->superblock->collect->looking)
		return 0;
	if (fd < 0 || fstat(fd, &stat))
		return fail_errno(err, ERR_UNSUPPORTED_MOUNT, "%s: %.200s in it cannot be seen",
				  looking->superblock->what, path);
	if (stat.st_dev != looking->device)
		return refuse(looking, path, "is covered by a mount that nobody may take away",
			      err);
	if (!S_ISDIR(stat.st_mode) && !S_ISLNK(stat.st_mode))
		return refuse(looking, path, "is no directory", err);
	entry->path = (char *)path;
	entry->mode = stat.st_mode & 07777;
	entry->uid = stat.st_uid;
	entry->gid = stat.st_gid;
	entry->modified =
		(uint64_t)stat.st_mtim.tv_sec * NANOSECONDS + (uint64_t)stat.st_mtim.tv_nsec;
	MntAutofsEntry *autofs = looking->autofs;
	autofs->inside = arena_grow(arena, autofs->inside, autofs->n_inside, sizeof(void *));
	autofs->inside[autofs->n_inside++] = entry;
	return S_ISLNK(stat.st_mode) ? look_at_link(looking, fd, entry, err)
				     : look_into(looking, fd, path, depth + 1, err);
}

static int look_into(const struct looking *looking, int path_fd, const char *path, unsigned depth,
		     struct error *err)
{
	struct arena *arena = looking->superblock->collect->arena;
	const char *name;

	if (depth > DEEPEST)
		return refuse(looking, path, "is too deep", err);
	autoclosedir DIR *dir = listing_of(open_again(path_fd, O_RDONLY | O_DIRECTORY));
	if (!dir && errno == ENOENT && *path)
		return 0;
	while (listing_next(dir, &name))
		if (look_at(looking, path_fd, name,
			    arena_printf(arena, "%s%s%s", path, *path ? "/" : "", name), depth,
			    err))
			return -1;
	return errno ? fail_errno(err, ERR_UNSUPPORTED_MOUNT, "%s: what is in it cannot be seen",
				  looking->superblock->what)
		     : 0;
}

int autofs_collect_inside(const struct live_superblock *superblock, MntAutofsEntry *autofs,
			  struct error *err)
{
	autoclose int fd = -1;
	struct stat stat;

	if (live_superblock_copy(superblock, &fd, err))
		return -1;
	if (fstat(fd, &stat))
		return fail_errno(err, ERR_UNSUPPORTED_MOUNT, "%s: what is in it cannot be seen",
				  superblock->what);
	autofs->mode = stat.st_mode & 07777;
	const struct looking looking = { superblock, autofs, stat.st_dev };
	return look_into(&looking, fd, "", 0, err);
}

/* ---- check ---- */

static bool is_name(const char *name)
{
	return *name && strlen(name) <= NAME_MAX && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/*
 * In the directory that comes right before it, or in one of those above that: if all are, all have
 * names, and what they are in is a directory.
 */
static bool has_its_place(const MntAutofsEntry *autofs, size_t index)
{
	const char *path = autofs->inside[index]->path, *slash = strrchr(path, '/');
	const MntAutofsInsideEntry *before = index ? autofs->inside[index - 1] : NULL;

	if (!slash)
		return is_name(path);
	size_t length = (size_t)(slash - path);
	if (!is_name(slash + 1) || !length || !before || strncmp(before->path, path, length) != 0)
		return false;
	return before->path[length] == '/' || (!before->path[length] && !before->target);
}

/* Somebody of the group whose program makes calls: not one who leaves them to another one. */
static bool has_maker(const struct snapshot *snapshot, uint32_t group)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		bool all = !task_is_zombie(task) && task_groups(task).pid[0] == group;
		for (size_t k = 0; all && k < snapshot->n_tasks; k++)
			all = task_is_zombie(&snapshot->tasks[k]) ||
			      snapshot->tasks[k].table != task->table ||
			      task_groups(&snapshot->tasks[k]).pid[0] == group;
		if (all)
			return true;
	}
	return false;
}

int autofs_check_inside(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	const MntAutofsEntry *autofs = entry->autofs;

	for (size_t i = 0; i < autofs->n_inside; i++) {
		const MntAutofsInsideEntry *inside = autofs->inside[i];
		if (!has_its_place(autofs, i) || inside->mode > 07777 ||
		    (inside->target && (!*inside->target || strlen(inside->target) >= PATH_MAX)))
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %" PRIu32 " (%.200s): its daemon cannot have made "
				    "%.200s",
				    entry->mnt_id, entry->mountpoint, inside->path);
	}
	if (autofs->n_inside && !has_maker(snapshot, autofs->group))
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "mount %" PRIu32 " (%.200s): what is in it can be made by the process "
			    "group alone that is to mount there (autofs), and all of that share "
			    "their descriptors with others",
			    entry->mnt_id, entry->mountpoint);
	return 0;
}

/* ---- restore ---- */

static bool makes_for(const struct snapshot *snapshot, const struct task *task)
{
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntAutofsEntry *autofs =
				snapshot->mount_namespaces[i]->mounts[k]->autofs;
			if (autofs && autofs->n_inside && autofs->group == task_groups(task).pid[0])
				return true;
		}
	return false;
}

struct call_room autofs_calls(struct plan *plan, const struct task *task)
{
	return makes_for(plan->snapshot, task) ? (struct call_room){ .bytes = ROOM, .at_once = 1 }
					       : (struct call_room){ 0 };
}

struct maker {
	const struct file_opener *opener;
	const struct task *task;
	const struct caller *caller;
};

static bool find_maker(const struct file_opener *opener, uint32_t group, struct maker *maker)
{
	*maker = (struct maker){ .opener = opener };
	for (size_t i = 0; i < opener->snapshot->n_tasks && !maker->caller; i++) {
		const struct task *task = &opener->snapshot->tasks[i];
		if (task_is_zombie(task) || task_groups(task).pid[0] != group)
			continue;
		maker->task = task;
		maker->caller = task_caller(opener, task);
	}
	return maker->caller && maker->caller->size >= ROOM;
}

static int remote(const struct maker *maker, uint32_t nr, uint64_t first, uint64_t second,
		  uint64_t third, struct error *err)
{
	struct task_request request = { .nr = nr, .args = { first, second, third } };

	if (task_call(maker->opener, maker->task, &request, err))
		return -1;
	errno = request.result < 0 ? (int)-request.result : 0;
	return request.result < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "its daemon cannot make it again")
		       : (int)request.result;
}

static int make_in(const struct maker *maker, const MntAutofsInsideEntry *entry, int above_fd,
		   const char *name, struct error *err)
{
	char *room = (char *)(uintptr_t)maker->caller->room, *target = room + NAME_MAX + 1;
	uint64_t at = maker->caller->room, target_at = at + NAME_MAX + 1;
	int given = remote(maker, SYS_pidfd_getfd, maker->caller->coordinator, (uint64_t)above_fd,
			   0, err);

	if (given < 0)
		return -1;
	snprintf(room, NAME_MAX + 1, "%s", name);
	if (entry->target)
		snprintf(target, PATH_MAX, "%s", entry->target);
	int made = entry->target ? remote(maker, SYS_symlinkat, target_at, (uint64_t)given, at, err)
				 : remote(maker, SYS_mkdirat, (uint64_t)given, at, 0777, err);
	return made < 0 || remote(maker, SYS_close, (uint64_t)given, 0, 0, err) < 0 ? -1 : 0;
}

/* Whoever makes it need not have a right to: it may be in a user namespace. */
static int let_all_write(int path_fd)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", path_fd);
	return chmod(self, 0777);
}

static int make_one(const struct maker *maker, int root_fd, const MntAutofsInsideEntry *entry,
		    struct error *err)
{
	const char *slash = strrchr(entry->path, '/');
	char above[PATH_MAX] = "";

	errno = ENAMETOOLONG;
	if (slash && snprintf(above, sizeof above, "%.*s", (int)(slash - entry->path),
			      entry->path) >= (int)sizeof above)
		return fail_errno(err, ERR_IMAGE_INVALID, "cannot make it again");
	autoclose int above_fd = autofs_open(root_fd, above, O_PATH | O_NOFOLLOW);
	if (above_fd < 0 || let_all_write(above_fd))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open where it is to be");
	return make_in(maker, entry, above_fd, slash ? slash + 1 : entry->path, err);
}

static int set_one(int root_fd, const MntAutofsInsideEntry *entry)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT },
					  { .tv_sec = (time_t)(entry->modified / NANOSECONDS),
					    .tv_nsec = (long)(entry->modified % NANOSECONDS) } };
	autoclose int fd = autofs_open(root_fd, entry->path, O_PATH | O_NOFOLLOW);
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return fd < 0 || fchownat(fd, "", entry->uid, entry->gid, AT_EMPTY_PATH) ||
			       (!entry->target && chmod(self, entry->mode)) ||
			       utimensat(fd, "", times, AT_EMPTY_PATH)
		       ? -1
		       : 0;
}

int autofs_fill(const struct file_opener *opener, const MntEntry *entry, int mount_fd,
		struct error *err)
{
	const MntAutofsEntry *autofs = entry->autofs;
	struct maker maker;

	if (!autofs->n_inside)
		return 0;
	if (!find_maker(opener, autofs->group, &maker))
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "nobody makes again what the daemon has made in the autofs at %.200s",
			    entry->mountpoint);
	for (size_t i = 0; i < autofs->n_inside; i++)
		if (make_one(&maker, mount_fd, autofs->inside[i], err))
			return fail_while(err, "%.200s in the autofs at %.200s",
					  autofs->inside[i]->path, entry->mountpoint);
	for (size_t i = 0; i < autofs->n_inside; i++)
		if (set_one(mount_fd, autofs->inside[i]))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot set owner and mode of %.200s in the autofs at "
					  "%.200s",
					  autofs->inside[i]->path, entry->mountpoint);
	return 0;
}
