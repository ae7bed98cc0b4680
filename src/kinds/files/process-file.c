// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files and directories in /proc of processes of the tree: /proc/PID/status, /proc/PID/fd, ... The
 * number in the path is that of the process in the pid namespace that the /proc shows, which is
 * another one after a restore where that is nestor's own. What else the path means is decided when
 * it is opened (fs/proc/base.c):
 *
 * - Most know the process, or its address space, and look when they are read. They are opened when
 *   all processes are there.
 * - Those that tell of mounts know a mount namespace and a root directory, those below net a
 *   network namespace. They are opened when every task has entered its own (FILE_LAST).
 * - Polling a list of mounts tells once that it has changed since it was last looked at, and
 *   looking takes that away. So all of them tell so after a restore: mounts have other ids then, or
 *   may have changed meanwhile where the namespace is not the tree's own.
 *
 * Refused: files of processes outside of the tree, and of threads; those of a descriptor
 * (fdinfo/1), which is not there yet when they would be opened; files that let their opener do more
 * than who reads or writes (pagemap, uid_map, gid_map, projid_map, setgroups), which would be
 * root's after a restore.
 */
#include "kinds/files/process-file.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- Paths ---- */

static bool ends_component(char character)
{
	return character == '/' || character == '\0';
}

/* The first component that is a number; NULL if there is none. */
static const char *number_in(const char *path)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t digits = strspn(slash + 1, "0123456789");
		if (digits && ends_component(slash[1 + digits]))
			return slash + 1;
	}
	return NULL;
}

/* What comes behind the number of the process: "status", "" for its directory. */
static const char *within(const char *path)
{
	const char *number = number_in(path);

	if (!number)
		return "";
	number += strspn(number, "0123456789");
	return number + strspn(number, "/");
}

/* The same behind that of its first thread; NULL if it is of another thread. */
const char *process_file_name(const char *path)
{
	const char *number = number_in(path), *rest = within(path);

	if (strncmp(rest, "task/", 5) != 0)
		return rest;
	size_t length = strspn(number, "0123456789");
	if (strncmp(rest + 5, number, length) != 0 || !ends_component(rest[5 + length]))
		return NULL;
	return rest + 5 + length + (rest[5 + length] == '/');
}

static bool is_one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(name, *names) != 0)
		names++;
	return *names != NULL;
}

const char *process_file_from_number(const char *path)
{
	return number_in(path);
}

/* What is for its opener more than for others. */
bool process_file_is_of_opener(const char *rest)
{
	static const char *const names[] = { "pagemap",	   "uid_map",	"gid_map",
					     "projid_map", "setgroups", NULL };

	return is_one_of(rest, names);
}

static bool is_of_descriptor(const char *rest)
{
	return strncmp(rest, "fdinfo/", strlen("fdinfo/")) == 0;
}

static bool tells_mounts(const char *rest)
{
	static const char *const names[] = { "mountinfo", "mounts", "mountstats", NULL };

	return is_one_of(rest, names);
}

/* ---- Dump ---- */

bool process_file_recognise(const struct open_file *file)
{
	return file->file_system == PROC_SUPER_MAGIC && number_in(file->link) &&
	       (S_ISREG(file->stat.st_mode) || S_ISDIR(file->stat.st_mode));
}

/* Which pid namespace a process is in, and its number there: nobody else has both. */
struct process_name {
	dev_t device;
	ino_t namespace;
	uint64_t number;
};

static int name_process(int directory, struct process_name *ret)
{
	struct stat namespace;
	char text[4096];
	uint64_t numbers[MAX_PID_LEVELS + 1];

	if (procfs_read_into(directory, "status", text, sizeof text) < 0 ||
	    fstatat(directory, "ns/pid", &namespace, 0) < 0)
		return -1;
	const char *field = procfs_field(text, "NSpid:");
	size_t count = field ? procfs_numbers(field, 10, numbers, MAX_PID_LEVELS + 1) : 0;
	if (!count) {
		errno = ESRCH;
		return -1;
	}
	*ret = (struct process_name){ namespace.st_dev, namespace.st_ino, numbers[count - 1] };
	return 0;
}

/* NULL with errno */
static struct target *find_target(struct collect *collect, const struct process_name *name)
{
	for (size_t i = 0; i < collect->n_targets; i++) {
		struct target *target = &collect->targets[i];
		autoclose int directory = target_open(target, ".", O_RDONLY | O_DIRECTORY);
		struct process_name other;

		if (directory < 0 || name_process(directory, &other) < 0) {
			if (errno_tells_nothing(errno))
				return NULL;
		} else if (other.device == name->device && other.namespace == name->namespace &&
			   other.number == name->number) {
			return target;
		}
	}
	errno = ESRCH;
	return NULL;
}

/* The same, if it is in the /proc that the file is in; -1 with errno. */
static int if_beside(const struct open_file *file, int directory)
{
	autoclose int fd = directory;
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return -1;
	if (stat.st_dev != file->stat.st_dev) {
		errno = ENOENT;
		return -1;
	}
	return take_fd(&fd);
}

/*
 * The directory of so much of a path, as who holds the file sees it. Its root may be somewhere else
 * since, as in a sandbox, and what is on its way to somebody is held by us: then the path is that
 * of the mount, or as we see it.
 */
static int open_part(const struct open_file *file, const char *path, int length)
{
	int leading = (int)strspn(path, "/");
	const char *name = arena_printf(file->target->collect->arena, BELOW_ROOT "%.*s",
					length - leading, path + leading);
	const char *from_root = name + strlen(BELOW_ROOT) - 1;
	int fd = if_beside(file, target_open(file->target, name, O_RDONLY | O_DIRECTORY));

	if (fd < 0 && !errno_tells_nothing(errno))
		fd = if_beside(file, mount_open_beside(file, from_root));
	if (fd < 0 && !errno_tells_nothing(errno))
		fd = if_beside(file, open(from_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	return fd;
}

static int open_process(const struct open_file *file, const char *path)
{
	const char *number = number_in(path);

	return open_part(file, path, (int)(number - path) + (int)strspn(number, "0123456789"));
}

int process_file_open_proc(const struct open_file *file)
{
	return open_part(file, file->link, (int)(number_in(file->link) - file->link));
}

static const char known_owner = 0;

struct known_file {
	struct known_file *next;
	RegFileEntry *reg;
	const struct target *target;
};

int process_file_collect(const struct open_file *file, RegFileEntry *reg, struct error *err)
{
	const char *rest = process_file_name(reg->name);
	struct process_name name;

	if (!rest)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is of a thread", file->what);
	if (is_of_descriptor(rest))
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is of a descriptor", file->what);
	if (process_file_is_of_opener(rest))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s lets whoever opened it do more than others", file->what);
	struct collect *collect = file->target->collect;
	autoclose int directory = open_process(file, reg->name);
	const struct target *target = directory >= 0 && name_process(directory, &name) == 0
					      ? find_target(collect, &name)
					      : NULL;
	if (!target && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot find the process that it is of", file->what);
	if (!target)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is of a process that is not in the tree, or is gone", file->what);
	void **kept = collect_state(collect, &known_owner);
	struct known_file *known = arena_new(collect->arena, struct known_file);
	*known = (struct known_file){ *kept, reg, target };
	*kept = known;
	reg->has_process = true;
	return 0;
}

/* Once numbers are known. */
void process_files_complete(struct collect *collect)
{
	const struct known_file *known = *collect_state(collect, &known_owner);

	for (; known; known = known->next)
		known->reg->process = task_pids(known->target->task).pid[0];
}

/* ---- Check ---- */

bool process_file_is(const RegFileEntry *reg)
{
	return reg && reg->has_process;
}

static const struct task *find_task(const struct snapshot *snapshot, uint32_t number)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (task_pids(&snapshot->tasks[i]).pid[0] == number)
			return &snapshot->tasks[i];
	return NULL;
}

int process_file_check(const struct snapshot *snapshot, const RegFileEntry *reg, uint32_t file_id,
		       struct error *err)
{
	const char *rest = number_in(reg->name) ? process_file_name(reg->name) : NULL;

	if (!rest || is_of_descriptor(rest) || process_file_is_of_opener(rest) ||
	    !find_task(snapshot, reg->process) || !reg->has_mode ||
	    (!S_ISREG(reg->mode) && !S_ISDIR(reg->mode)))
		return fail(err, ERR_IMAGE_INVALID,
			    "file %u (%s) cannot be opened as one of a process", file_id,
			    reg->name);
	return 0;
}

enum file_way process_file_way(const RegFileEntry *reg)
{
	const char *rest = process_file_name(reg->name);
	bool of_namespace = rest && (tells_mounts(rest) || strncmp(rest, "net/", 4) == 0);

	return of_namespace && S_ISREG(reg->mode) && !(reg->flags & O_PATH) ? FILE_LAST : FILE_LATE;
}

/* ---- Restore ---- */

/* The number of a task in the pid namespace that a mount of proc is of. */
static uint32_t number_there(const struct file_opener *opener, const RegFileEntry *reg,
			     const struct task *task)
{
	const struct snapshot *snapshot = opener->snapshot;
	const MntEntry *mount =
		reg->mnt_id < 0 ? NULL
				: snapshot_mount(snapshot, (uint32_t)reg->mnt_id, NULL, NULL);
	const struct pid_namespace *namespace =
		mount && mount->nses && mount->nses->has_pidns_id
			? snapshot_pid_namespace(snapshot, mount->nses->pidns_id)
			: NULL;
	const struct pid_vector pids = task_pids(task);

	/* In nestor's own it has another one than before. */
	return namespace && namespace->level < pids.levels ? pids.pid[namespace->level]
							   : (uint32_t)opener->pids[task->index];
}

const char *process_file_path(const struct file_opener *opener, const RegFileEntry *reg)
{
	const struct task *task = find_task(opener->snapshot, reg->process);
	const char *number = number_in(reg->name), *rest = process_file_name(reg->name);
	uint32_t there = number_there(opener, reg, task);
	int length = (int)(number - reg->name);

	if (rest == within(reg->name))
		return arena_printf(opener->arena, "%.*s%u%s%s", length, reg->name, there,
				    rest[0] ? "/" : "", rest);
	return arena_printf(opener->arena, "%.*s%u/task/%u%s%s", length, reg->name, there, there,
			    rest[0] ? "/" : "", rest);
}

struct touching {
	int namespace_fd, root_fd;
};

/*
 * Whatever is set of a mount, even to what it is, counts as a change of its namespace, and of no
 * other (mount_setattr_commit, touch_mnt_namespace in fs/namespace.c).
 */
static int touch(int root_fd)
{
	struct statvfs fs;
	struct mount_attr attributes = { 0 };

	if (fstatvfs(root_fd, &fs) < 0)
		return -1;
	if (fs.f_flag & ST_NOSUID)
		attributes.attr_set = MOUNT_ATTR_NOSUID;
	else
		attributes.attr_clr = MOUNT_ATTR_NOSUID;
	return (int)syscall(SYS_mount_setattr, root_fd, "", AT_EMPTY_PATH, &attributes,
			    sizeof attributes);
}

static int touch_there(void *data, struct error *err)
{
	const struct touching *touching = data;

	if (setns(touching->namespace_fd, CLONE_NEWNS) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a mount namespace");
	if (touch(touching->root_fd) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot let a file tell that mounts have changed");
	return 0;
}

/*
 * Nestor's own. There is a /proc, which is a mount. Who may not touch it says so: what has changed
 * meanwhile is told by the next change only.
 */
static int touch_own(const char *path, struct error *err)
{
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc >= 0 && touch(proc) == 0)
		return 0;
	if (proc < 0 || errno != EPERM)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot let a file tell that mounts have changed");
	log_warning("restore", path, "it does not tell that mounts may have changed meanwhile: %s",
		    strerror(errno));
	return 0;
}

/* Those of the namespace in which the task is. */
int process_file_touch(const struct file_opener *opener, const struct task *task, const char *path,
		       struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; opener->mounts && task->ids && task->ids->has_mnt_ns_id &&
			   i < snapshot->n_mount_namespaces;
	     i++) {
		struct touching touching = { opener->mounts->namespaces[i].fd,
					     opener->mounts->namespaces[i].roots[0] };
		if (snapshot->mount_namespaces[i]->id != task->ids->mnt_ns_id)
			continue;
		return touching.root_fd >= 0 ? deputy_run(touch_there, &touching, err) : 0;
	}
	return touch_own(path, err);
}

int process_file_opened(const struct file_opener *opener, const RegFileEntry *reg, int fd,
			struct error *err)
{
	const char *rest = process_file_name(reg->name);
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its file system",
				  reg->name);
	if (fs.f_type != PROC_SUPER_MAGIC)
		return fail(err, ERR_FILE_CHANGED, "%s was in a /proc, and is not now", reg->name);
	return rest && tells_mounts(rest)
		       ? process_file_touch(opener, find_task(opener->snapshot, reg->process),
					    reg->name, err)
		       : 0;
}

/*
 * A directory has the owner that its process had when it was last found by its name
 * (pid_revalidate): root, since it was opened before the process had its own. So it is found
 * again, from the one that is held, as no path leads to every /proc.
 */
static void find_again(pid_t holder, int32_t number, const char *path)
{
	char name[PATH_MAX];
	int length = snprintf(name, sizeof name, "/proc/%d/fd/%" PRId32 "/../%s", (int)holder,
			      number, strrchr(path, '/') + 1);
	bool fits = length < (int)sizeof name;
	autoclose int fd = fits ? open(name, O_PATH | O_CLOEXEC) : -1;

	/* All is there by now, and nothing to be taken back: what was short may have passed. */
	if (fd < 0 && fits && errno_tells_nothing(errno))
		fd = open(name, O_PATH | O_CLOEXEC);
	/* A process that is dead by now has no owner. */
	if (fd < 0 && errno != ENOENT && errno != ESRCH)
		log_warning("restore", path, "it may have root as its owner: %s", strerror(errno));
}

void process_files_find_again(const struct file_opener *opener)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct descriptor_table *table = snapshot->tasks[i].table;
		for (size_t j = 0; table && j < table->n_descriptors; j++) {
			const FdinfoEntry *descriptor = table->descriptors[j];
			const FileEntry *entry = snapshot_file(snapshot, descriptor->id);
			if (entry && process_file_is(entry->reg) && S_ISDIR(entry->reg->mode))
				find_again(opener->pids[i], (int32_t)descriptor->fd,
					   process_file_path(opener, entry->reg));
		}
	}
}
