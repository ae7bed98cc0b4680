// SPDX-License-Identifier: LGPL-2.1-or-later
/* See names.h. */
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A call that makes a name. */
struct call {
	int (*make)(const struct call *call);
	int dir_fd;
	const char *name;
	int from_fd;
	const char *from;
	int flags;
	mode_t mode;
	dev_t device;
};

bool names_lead_nowhere(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG ||
	       error == ESRCH;
}

/* Raw calls: the C library would change the credentials of all threads. */
int names_as(uid_t uid, gid_t gid, int (*work)(void *argument), void *argument)
{
	int bits = prctl(PR_GET_SECUREBITS);
	/* Where that is not allowed, the rights of that user have to do. */
	bool keeps = bits >= 0 && prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) == 0;
	long own_gid = syscall(SYS_setfsgid, gid), own_uid = syscall(SYS_setfsuid, uid);
	int result = work(argument), failure = errno;

	syscall(SYS_setfsuid, own_uid);
	syscall(SYS_setfsgid, own_gid);
	if (keeps)
		prctl(PR_SET_SECUREBITS, bits);
	errno = failure;
	return result;
}

static int make_it(void *argument)
{
	const struct call *call = argument;

	return call->make(call);
}

static int make_as_owner(const struct call *call)
{
	struct stat directory;

	return fstat(call->dir_fd, &directory) < 0 ? -1
						   : names_as(directory.st_uid, directory.st_gid,
							      make_it, (void *)(uintptr_t)call);
}

static int make(const struct call *call)
{
	int result = call->make(call);

	return result < 0 && errno == EOVERFLOW ? make_as_owner(call) : result;
}

static int open_it(const struct call *call)
{
	return openat(call->dir_fd, call->name, call->flags, call->mode);
}

int names_open(int dir_fd, const char *name, int flags, mode_t mode)
{
	return make(&(struct call){ open_it, dir_fd, name, .flags = flags, .mode = mode });
}

static int mkdir_it(const struct call *call)
{
	return mkdirat(call->dir_fd, call->name, call->mode);
}

int names_mkdir(int dir_fd, const char *name, mode_t mode)
{
	return make(&(struct call){ mkdir_it, dir_fd, name, .mode = mode });
}

static int mkfifo_it(const struct call *call)
{
	return mkfifoat(call->dir_fd, call->name, call->mode);
}

int names_mkfifo(int dir_fd, const char *name, mode_t mode)
{
	return make(&(struct call){ mkfifo_it, dir_fd, name, .mode = mode });
}

static int mknod_it(const struct call *call)
{
	return mknodat(call->dir_fd, call->name, call->mode, call->device);
}

int names_mknod(int dir_fd, const char *name, mode_t mode, dev_t device)
{
	return make(&(struct call){ mknod_it, dir_fd, name, .mode = mode, .device = device });
}

static int symlink_it(const struct call *call)
{
	return symlinkat(call->from, call->dir_fd, call->name);
}

int names_symlink(int dir_fd, const char *name, const char *target)
{
	return make(&(struct call){ symlink_it, dir_fd, name, .from = target });
}

static int link_it(const struct call *call)
{
	return linkat(AT_FDCWD, call->from, call->dir_fd, call->name, AT_SYMLINK_FOLLOW);
}

int names_link(int fd, int dir_fd, const char *name)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return make(&(struct call){ link_it, dir_fd, name, .from = self });
}

static int rename_it(const struct call *call)
{
	return (int)syscall(SYS_renameat2, call->from_fd, call->from, call->dir_fd, call->name,
			    call->flags);
}

int names_rename(int from_fd, const char *from, int dir_fd, const char *name, unsigned flags)
{
	return make(&(struct call){ rename_it, dir_fd, name, from_fd, from, .flags = (int)flags });
}

int names_times(int dir_fd, struct timespec ret_times[2])
{
	struct stat directory;

	if (fstatat(dir_fd, "", &directory, AT_EMPTY_PATH) < 0)
		return -1;
	ret_times[0] = directory.st_atim;
	ret_times[1] = directory.st_mtim;
	return 0;
}

/* Whoever may write to a directory of somebody else may make names there, but not set its times. */
int names_set_times(int dir_fd, const struct timespec times[2])
{
	struct stat directory;

	if (utimensat(dir_fd, "", times, AT_EMPTY_PATH) == 0)
		return 0;
	return errno == EPERM && fstatat(dir_fd, "", &directory, AT_EMPTY_PATH) == 0 &&
			       directory.st_uid != geteuid()
		       ? 0
		       : -1;
}
