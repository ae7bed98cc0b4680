// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is in /proc of a process that is gone. Directories, it and below it, are held open or as
 * working or root directory. There is nothing in them, and nobody can put anything there, which is
 * why sandboxes take one for their root: a process enters /proc/self/fdinfo together with whom it
 * shares its fs, and ends.
 *
 * A restore does the same: a process of ours lives until everybody has entered its directory, which
 * the kernel asks it for (proc_fdinfo_permission), and ends before the tree goes on. It has the
 * recorded number where that is free, and else another one, so that the path shows that. For a
 * /proc of the tree it is a process of that pid namespace. The images call it a remap of type
 * PROCFS, as CRIU does.
 *
 * Files there, which most have nothing to tell any more, come back the same way. The process enters
 * the mount namespace and root directory that such a file is of (gone-process-file.c).
 */
#include "kinds/files/gone-process.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/end-child.h"
#include "kinds/files/gone-process-file.h"
#include "kinds/files/process-file.h"
#include "kinds/opener.h"
#include "kinds/places.h"
#include "kinds/files/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The first component that is a number, and what comes before and after it. */
struct process_path {
	size_t start, end;
	pid_t pid;
};

static bool find_process(const char *path, struct process_path *ret)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		const char *component = slash + 1;
		size_t digits = strspn(component, "0123456789");
		if (!digits || digits > 9 ||
		    (component[digits] != '/' && component[digits] != '\0' &&
		     strcmp(component + digits, " (deleted)") != 0))
			continue;
		*ret = (struct process_path){ .start = (size_t)(component - path),
					      .end = (size_t)(component - path) + digits,
					      .pid = (pid_t)strtol(component, NULL, 10) };
		return ret->pid > 0;
	}
	return false;
}

/* ---- Dump ---- */

static bool is_gone(int error)
{
	return error == ESRCH || error == ENOENT;
}

int gone_process_look(const struct open_file *file)
{
	struct process_path path;

	if (file->file_system != PROC_SUPER_MAGIC || !find_process(file->link, &path))
		return 0;
	if (!S_ISDIR(file->stat.st_mode))
		return gone_process_file_look(file);
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	if (fd < 0)
		return is_gone(errno) ? 0 : -1; /* a descriptor of a task that runs */
	/* Of a process that is there something can be found, or it says that we may not. */
	autoclose int inside = openat(fd, "status", O_PATH | O_CLOEXEC);
	if (inside >= 0 || errno == EACCES || errno == EPERM)
		return 0;
	if (!is_gone(errno))
		return -1;
	autoclose int entries = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char buffer[512];
	if (entries >= 0 && syscall(SYS_getdents64, entries, buffer, sizeof buffer) >= 0)
		return 0;
	return is_gone(errno) ? 1 : -1;
}

bool gone_process_recognise(const struct open_file *file)
{
	return gone_process_look(file) != 0;
}

int gone_process_collect(const struct open_file *file, const FileEntry *entry, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	RemapFilePathEntry *remap =
		snapshot_new(snapshot, REMAP_FILE_PATH_ENTRY, RemapFilePathEntry);
	struct process_path path = { 0 };

	find_process(entry->reg->name, &path);
	if (!S_ISDIR(file->stat.st_mode) &&
	    gone_process_file_collect(file, entry->reg, process_file_name(entry->reg->name), err))
		return -1;
	remap->orig_id = file->id;
	remap->remap_id = (uint32_t)path.pid;
	remap->has_remap_type = true;
	remap->remap_type = REMAP_TYPE__PROCFS;
	snapshot_add_record(snapshot, IMAGE_REMAP_FPATH, file->id, remap);
	return 0;
}

/* ---- Check ---- */

bool gone_process_is(const struct snapshot *snapshot, const FileEntry *entry)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_REMAP_FPATH, entry->id);
	const RemapFilePathEntry *remap = record ? record->message : NULL;

	return remap && remap->has_remap_type && remap->remap_type == REMAP_TYPE__PROCFS;
}

int gone_process_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	struct process_path path;

	if (!find_process(entry->reg->name, &path))
		return fail(err, ERR_IMAGE_INVALID, "file %u (%s) is not of a process", entry->id,
			    entry->reg->name);
	if (entry->reg->has_mode && !S_ISDIR(entry->reg->mode) &&
	    (!S_ISREG(entry->reg->mode) ||
	     !gone_process_file_can_be(process_file_name(entry->reg->name))))
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "%s was a file of a process that is gone, and cannot be made again",
			    entry->reg->name);
	if (entry->reg->has_beside && !gone_process_file_beside(snapshot, entry->reg))
		return fail(err, ERR_IMAGE_INVALID,
			    "%s tells of the mounts of a task that is not recorded",
			    entry->reg->name);
	return 0;
}

/* When all numbers of the tree are taken. */
enum file_way gone_process_way(const FileEntry *entry)
{
	return entry->reg->has_beside ? FILE_LAST : FILE_LATE;
}

/* ---- Restore ---- */

static const char stand_ins_owner = 0;

/* The process that is there in place of the one that is gone. */
struct stand_in {
	struct stand_in *next;
	const struct pid_namespace *namespace; /* whose /proc it is in; NULL: nestor's */
	const struct task *beside; /* whose mount namespace and root it has; NULL: nestor's */
	pid_t recorded;
	pid_t pid;    /* here; 0: it has ended */
	pid_t number; /* there */
};

/* Where it is to be; -1: where it is. It tells by the pipe that it is there. */
struct place {
	int namespace_fd, root_fd, pipe[2];
};

static void place_done(struct place *place)
{
	cleanup_close(&place->namespace_fd);
	cleanup_close(&place->root_fd);
	cleanup_close(&place->pipe[0]);
	cleanup_close(&place->pipe[1]);
}

/* Our own, to which nobody has to go, and not everybody may; -1 with errno. */
static int is_own_place(const struct place *place)
{
	struct stat namespace, root, own_namespace, own_root;

	if (fstat(place->namespace_fd, &namespace) < 0 || fstat(place->root_fd, &root) < 0 ||
	    stat("/proc/self/ns/mnt", &own_namespace) < 0 || stat("/", &own_root) < 0)
		return -1;
	return namespace.st_ino == own_namespace.st_ino &&
	       namespace.st_dev == own_namespace.st_dev && root.st_ino == own_root.st_ino &&
	       root.st_dev == own_root.st_dev;
}

/* -1 with errno */
static int find_place(const struct file_opener *opener, const struct task *beside,
		      struct place *ret)
{
	char path[64];

	if (!beside)
		return 0;
	int pid = (int)opener->pids[beside->index];
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
	ret->namespace_fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof path, "/proc/%d/root", pid);
	ret->root_fd = ret->namespace_fd < 0 ? -1 : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int own = ret->root_fd < 0 ? -1 : is_own_place(ret);
	if (own > 0)
		place_done(ret);
	return own < 0 ? -1 : own > 0 ? 0 : pipe2(ret->pipe, O_CLOEXEC);
}

static void enter_place(const struct place *place)
{
	if (place->namespace_fd < 0)
		return;
	int failure = setns(place->namespace_fd, CLONE_NEWNS) < 0 || fchdir(place->root_fd) < 0 ||
				      chroot(".") < 0
			      ? errno
			      : 0;
	if (write(place->pipe[1], &failure, sizeof failure) != sizeof failure || failure)
		_exit(1);
}

/* -1 with errno */
static int await_place(struct place *place)
{
	int failure = 0;

	if (place->namespace_fd < 0)
		return 0;
	cleanup_close(&place->pipe[1]);
	ssize_t got = read(place->pipe[0], &failure, sizeof failure);
	if (got == (ssize_t)sizeof failure && !failure)
		return 0;
	errno = got < 0 ? errno : failure ? failure : ESRCH;
	return -1;
}

/* `parent` is what getppid(2) says to it. */
__attribute__((noreturn)) static void be_stand_in(pid_t parent, const struct place *place)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_place(place);
	while (getppid() == parent)
		pause();
	_exit(0);
}

/* With the recorded number if we can. */
static pid_t make_process(pid_t wanted, pid_t parent, const struct place *place)
{
	struct clone_args arguments = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&wanted,
		.set_tid_size = 1,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);

	if (pid < 0 && !errno_tells_nothing(errno))
		pid = fork();
	if (!pid)
		be_stand_in(parent, place);
	return pid;
}

/* In the innermost of its pid namespaces; -1: it cannot be told. */
static pid_t number_of(struct arena *arena, pid_t pid)
{
	char path[64], *text;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	const char *numbers =
		procfs_read(arena, AT_FDCWD, path, &text) < 0 ? NULL : procfs_field(text, "NSpid:");
	size_t length = numbers ? strcspn(numbers, "\n") : 0;
	while (length && numbers[length - 1] >= '0' && numbers[length - 1] <= '9')
		length--;
	return numbers ? (pid_t)strtol(numbers + length, NULL, 10) : -1;
}

static int open_namespace(const struct file_opener *opener, const struct pid_namespace *namespace)
{
	char path[64];
	pid_t pid = namespace == opener->snapshot->pid_namespaces[0] ? opener->level_0
		    : namespace->init ? opener->pids[namespace->init->index]
				      : 0;

	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A child is in the namespace that is ours for children (pid_namespaces(7)). */
static int make_there(const struct file_opener *opener, struct stand_in *stand_in,
		      const struct place *place)
{
	autoclose int own_fd = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
	autoclose int there_fd = open_namespace(opener, stand_in->namespace);

	if (own_fd < 0 || there_fd < 0 || setns(there_fd, CLONE_NEWPID) < 0)
		return -1;
	stand_in->pid = make_process(stand_in->recorded, 0, place);
	int failure = errno;
	if (setns(own_fd, CLONE_NEWPID) < 0)
		return -1;
	errno = failure;
	return stand_in->pid < 0 ? -1 : 0;
}

static int make_stand_in(const struct file_opener *opener, struct stand_in *stand_in)
{
	__attribute__((cleanup(place_done))) struct place place = { -1, -1, { -1, -1 } };

	if (find_place(opener, stand_in->beside, &place) < 0)
		return -1;
	if (stand_in->namespace && make_there(opener, stand_in, &place) < 0)
		return -1;
	if (!stand_in->namespace)
		stand_in->pid = make_process(stand_in->recorded, getpid(), &place);
	if (stand_in->pid < 0)
		return -1;
	if (await_place(&place) < 0) {
		int failure = errno;
		end_child(stand_in->pid);
		stand_in->pid = 0;
		errno = failure;
		return -1;
	}
	stand_in->number =
		stand_in->namespace ? number_of(opener->arena, stand_in->pid) : stand_in->pid;
	return stand_in->number < 0 ? -1 : 0;
}

/* That of the mount of proc; NULL: nestor's. */
static const struct pid_namespace *namespace_of(const struct snapshot *snapshot,
						const RegFileEntry *reg)
{
	const MntEntry *mount =
		regular_is_inside(snapshot, reg)
			? snapshot_mount(snapshot, (uint32_t)reg->mnt_id, NULL, NULL)
			: NULL;

	return mount && mount->nses && mount->nses->has_pidns_id
		       ? snapshot_pid_namespace(snapshot, mount->nses->pidns_id)
		       : NULL;
}

static struct stand_in *find_stand_in(struct file_opener *opener, const RegFileEntry *reg)
{
	const struct pid_namespace *namespace = namespace_of(opener->snapshot, reg);
	struct stand_in *known = *opener_state(opener, &stand_ins_owner);
	struct process_path path = { 0 };

	find_process(reg->name, &path);
	const struct task *beside = gone_process_file_beside(opener->snapshot, reg);
	while (known && (known->recorded != path.pid || known->namespace != namespace ||
			 known->beside != beside))
		known = known->next;
	return known;
}

static const struct stand_in *stand_in_for(struct file_opener *opener, const RegFileEntry *reg,
					   struct error *err)
{
	struct stand_in **first = (struct stand_in **)opener_state(opener, &stand_ins_owner);
	struct stand_in *made = find_stand_in(opener, reg);
	struct process_path path = { 0 };

	if (made)
		return made;
	find_process(reg->name, &path);
	made = arena_new(opener->arena, struct stand_in);
	*made = (struct stand_in){ .next = *first,
				   .namespace = namespace_of(opener->snapshot, reg),
				   .beside = gone_process_file_beside(opener->snapshot, reg),
				   .recorded = path.pid };
	*first = made;
	if (make_stand_in(opener, made) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED,
			   "cannot make a process in place of one that is gone");
		return NULL;
	}
	return made;
}

static int open_there(const struct file_opener *opener, const RegFileEntry *reg, const char *path,
		      int flags)
{
	return regular_is_inside(opener->snapshot, reg)
		       ? mounts_open(opener, (uint32_t)reg->mnt_id, path, flags)
		       : opener_open_path(opener, path, flags);
}

int gone_process_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const RegFileEntry *reg = entry->reg;
	struct process_path path = { 0 };
	struct statfs fs = { 0 };

	find_process(reg->name, &path);
	const struct stand_in *stand_in = stand_in_for(opener, reg, err);
	if (!stand_in)
		return -1;
	const char *there = arena_printf(opener->arena, "%.*s%d%s", (int)path.start, reg->name,
					 (int)stand_in->number, reg->name + path.end);
	/* Images say where: to open what is somewhere else may do something. */
	autoclose int found = open_there(opener, reg, there, O_PATH);
	if (found >= 0 && fstatfs(found, &fs) == 0 && fs.f_type != PROC_SUPER_MAGIC)
		return fail(err, ERR_FILE_CHANGED, "%s was in a /proc, and is not now", reg->name);
	int flags = regular_open_flags(reg);
	/* Those that a descriptor would not take come with the name alone. */
	int fd = found < 0 || fs.f_type != PROC_SUPER_MAGIC ? -1
		 : flags & (O_PATH | O_NOFOLLOW)	    ? open_there(opener, reg, there, flags)
							    : opener_reopen(found, flags);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s in place of %s", there,
				  reg->name);
	if (stand_in->beside && process_file_touch(opener, stand_in->beside, reg->name, err)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Only what may be one: the name has a number in it. */
static bool may_be_there(const FileEntry *entry)
{
	struct process_path path;

	return entry->reg && find_process(entry->reg->name, &path);
}

static int end_stand_in(struct file_opener *opener, const FileEntry *entry, int fd,
			struct error *err)
{
	(void)fd;
	(void)err;
	struct stand_in *stand_in =
		gone_process_is(opener->snapshot, entry) ? find_stand_in(opener, entry->reg) : NULL;
	if (stand_in && stand_in->pid > 0) {
		end_child(stand_in->pid);
		stand_in->pid = 0;
	}
	return 0;
}

const struct file_aspect gone_process_aspect = {
	.name = "directory of a process that is gone",
	.is_there = may_be_there,
	.connect = end_stand_in,
};
