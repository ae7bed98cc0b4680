// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names of unix sockets. An abstract one, which begins with a zero byte, belongs to the network
 * namespace of the socket. One in a file system is the inode that bind(2) makes; the string that it
 * was given stays the socket's address, whatever becomes of the file. So a name that is gone, or
 * that another socket has by now, is bound with the same string in a file system of our own that is
 * mounted nowhere.
 */
#include "kinds/sockets/unix.h"

#include "base/cleanup.h"
#include "kinds/files/opener.h"
#include "kinds/mounts/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool unix_name_is_path(const UnixSkEntry *sk)
{
	return sk->name.len && sk->name.data[0];
}

bool unix_name_is_inside(const struct snapshot *snapshot, const UnixSkEntry *sk)
{
	return unix_name_is_path(sk) && !sk->deleted && sk->place && sk->mnt_id >= 0 &&
	       snapshot_mount(snapshot, (uint32_t)sk->mnt_id, NULL, NULL);
}

struct sockaddr_un unix_address(const UnixSkEntry *sk, socklen_t *ret_length)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, sk->name.data, sk->name.len);
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sk->name.len);
	return address;
}

static const char *path_of(const UnixSkEntry *sk, char *text)
{
	snprintf(text, PATH_MAX, "%.*s", (int)sk->name.len, (const char *)sk->name.data);
	return text;
}

/* The directory that a path is in, below the root of the restore, and the last part of it. */
static int open_parent(const struct file_opener *opener, const UnixSkEntry *sk, char *path,
		       const char **ret_last)
{
	bool inside = unix_name_is_inside(opener->snapshot, sk);
	if (inside)
		snprintf(path, PATH_MAX, "%s", sk->place);
	else
		path_of(sk, path);
	char *slash = strrchr(path, '/');

	if (!slash || slash[1] == '\0') {
		errno = EINVAL;
		return -1;
	}
	*slash = '\0';
	*ret_last = slash + 1;
	if (inside)
		return mounts_open(opener, (uint32_t)sk->mnt_id, path[0] ? path : "/",
				   O_PATH | O_DIRECTORY);
	return opener_open_path(opener, path[0] ? path : "/", O_PATH | O_DIRECTORY);
}

static int verify_name(struct file_opener *opener, const UnixSkEntry *sk, struct error *err)
{
	char path[PATH_MAX], name[PATH_MAX];
	const char *last;
	struct stat there;

	if (!unix_name_is_path(sk) || sk->deleted)
		return 0;
	autoclose int parent = open_parent(opener, sk, path, &last);
	if (parent < 0)
		return fail_errno(err, ERR_FILE_MISSING, "unix socket %u: no place for its name %s",
				  sk->ino, path_of(sk, name));
	if (fstatat(parent, last, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT
			       ? 0
			       : fail_errno(err, ERR_IO, "cannot look at %s", path_of(sk, name));
	if (!S_ISSOCK(there.st_mode))
		return fail(err, ERR_FILE_CHANGED, "unix socket %u: something else has its name %s",
			    sk->ino, path_of(sk, name));
	return 0;
}

/* What is in a mount namespace of the tree is looked at when that is made. */
int unix_verify_name(struct file_opener *opener, const UnixSkEntry *sk, struct error *err)
{
	return unix_name_is_inside(opener->snapshot, sk) ? 0 : verify_name(opener, sk, err);
}

static bool is_allowed(const struct file_opener *opener, const UnixSkEntry *sk, uint32_t *ret_from)
{
	const struct snapshot *snapshot = opener->snapshot;

	*ret_from = 0;
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *entry = snapshot->files[i];
		if (entry->type != FD_TYPES__UNIXSK || entry->usk->peer != sk->ino)
			continue;
		*ret_from = entry->usk->ino;
		if (!externals_find_number(opener->externals, EXTERNAL_UNIX, *ret_from))
			return false;
	}
	return true;
}

int unix_verify_outside(struct file_opener *opener, const UnixSkEntry *sk, struct error *err)
{
	char path[PATH_MAX];
	struct stat there;
	uint32_t from;

	if (!(opener->externals && opener->externals->unix_by_name) &&
	    !is_allowed(opener, sk, &from)) {
		fail(err, ERR_NOT_GIVEN,
		     "unix socket %u was connected to %s%.*s, outside of the tree", from,
		     unix_name_is_path(sk) ? "" : "@", (int)sk->name.len - !unix_name_is_path(sk),
		     (const char *)sk->name.data + !unix_name_is_path(sk));
		return fail_hint(err, "allow it with --ext-unix-sk or --external unix[%u]", from);
	}
	if (!unix_name_is_path(sk))
		return 0;
	autoclose int fd = opener_open_path(opener, path_of(sk, path), O_PATH);
	if (fd < 0 || fstat(fd, &there) < 0)
		return fail_errno(err, ERR_FILE_MISSING,
				  "%s, a socket outside to which the tree was connected", path);
	return S_ISSOCK(there.st_mode)
		       ? 0
		       : fail(err, ERR_FILE_CHANGED, "%s was a socket, and is none now", path);
}

/* ---- Binding ---- */

struct bind_request {
	int fd;
	struct sockaddr_un address;
	socklen_t length;
};

struct owned_request {
	struct bind_request request;
	const FilePermsEntry *owner; /* NULL: not known */
};

static int bind_there(void *argument)
{
	const struct bind_request *request = argument;

	return bind(request->fd, (const struct sockaddr *)&request->address, request->length);
}

static int bind_in(const struct aside *aside, const UnixSkEntry *sk, int fd)
{
	struct bind_request request = { .fd = fd };

	request.address = unix_address(sk, &request.length);
	return aside->root < 0 && aside->directory < 0 ? bind_there(&request)
						       : aside_run(aside, bind_there, &request);
}

/* Owner and mode of the name, and a descriptor by which it is found from now on. */
static int finish_name(int directory, const char *name, const UnixSkEntry *sk, int *ret_name_fd)
{
	autoclose int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char self[64];

	if (fd < 0)
		return -1;
	if (sk->file_perms) {
		snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
		if (fchownat(fd, "", sk->file_perms->uid, sk->file_perms->gid, AT_EMPTY_PATH) < 0 ||
		    chmod(self, sk->file_perms->mode & 07777) < 0)
			return -1;
	}
	*ret_name_fd = take_fd(&fd);
	return 0;
}

static int make_hidden_root(void)
{
	autoclose int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

	if (context < 0 ||
	    syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "mode", "0700", 0) < 0 ||
	    syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
}

/*
 * A directory of its own for each name, in which the path leads to where the socket is bound; the
 * parts "." and ".." are not made, since bind(2) would have to find them in it.
 */
static int make_directories(int root, const char *path)
{
	autoclose int at = fcntl(root, F_DUPFD_CLOEXEC, 0);

	for (const char *slash; at >= 0 && (slash = strchr(path += strspn(path, "/"), '/'));
	     path = slash) {
		char part[NAME_MAX + 1];
		if (snprintf(part, sizeof part, "%.*s", (int)(slash - path), path) >=
		    (int)sizeof part) {
			errno = ENAMETOOLONG;
			return -1;
		}
		if (strcmp(part, ".") != 0 && strcmp(part, "..") != 0 &&
		    mkdirat(at, part, 0700) < 0 && errno != EEXIST)
			return -1;
		int next = openat(at, part, O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	return at < 0 ? -1 : 0;
}

int unix_bind_hidden(struct unix_world *world, const UnixSkEntry *sk, int fd, int *ret_name_fd,
		     struct error *err)
{
	char path[PATH_MAX], name[32];

	path_of(sk, path);
	if (world->hidden_root < 0)
		world->hidden_root = make_hidden_root();
	snprintf(name, sizeof name, "%zu", world->n_hidden++);
	autoclose int directory = -1;
	if (world->hidden_root >= 0 && mkdirat(world->hidden_root, name, 0700) == 0)
		directory = openat(world->hidden_root, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct aside aside = ASIDE_HERE;
	aside.root = directory;
	if (directory < 0 || make_directories(directory, path) < 0 || bind_in(&aside, sk, fd) < 0 ||
	    finish_name(directory, path + strspn(path, "/"), sk, ret_name_fd) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "unix socket %u: cannot bind it to %s, which is gone", sk->ino,
				  path);
	return 0;
}

/*
 * As the one whom the name belongs to: a file system of a user namespace lets nobody make files who
 * has no number there. All rights stay, and the thread ends afterwards.
 */
static int bind_as_owner(void *argument)
{
	const struct owned_request *owned = argument;
	int bits = prctl(PR_GET_SECUREBITS);

	if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP))
		return -1;
	if (owned->owner) {
		syscall(SYS_setfsgid, owned->owner->gid);
		syscall(SYS_setfsuid, owned->owner->uid);
	}
	return bind_there((void *)(uintptr_t)&owned->request);
}

/* The directory that its name begins at: the place ends with it, unless links are on the way. */
static int open_start(struct unix_world *world, const UnixSkEntry *sk, int root_fd)
{
	char path[PATH_MAX];
	size_t name = strlen(path_of(sk, path)), place = strlen(sk->place);

	if (name < place && strcmp(sk->place + place - name, path) == 0) {
		snprintf(path, sizeof path, "%.*s", (int)(place - name), sk->place);
		int fd = mounts_open(world->opener, (uint32_t)sk->mnt_id, path,
				     O_PATH | O_DIRECTORY);
		if (fd >= 0)
			return fd;
	}
	return fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
}

/* In a mount namespace of the tree: bind(2) looks for the path in there. */
static int bind_inside(struct unix_world *world, struct unix_end *end, int parent, const char *last,
		       struct error *err)
{
	const UnixSkEntry *sk = end->sk;
	struct owned_request owned = { .request.fd = end->fd, .owner = sk->file_perms };
	struct aside aside = ASIDE_HERE;
	int root_fd = mounts_root(world->opener, (uint32_t)sk->mnt_id);
	autoclose int start = root_fd < 0 ? -1 : open_start(world, sk, root_fd);
	struct stat before;

	aside.root = start;
	owned.request.address = unix_address(sk, &owned.request.length);
	if (start < 0 || fstat(parent, &before) < 0 ||
	    (unlinkat(parent, last, 0) < 0 && errno != ENOENT) ||
	    aside_run(&aside, bind_as_owner, &owned) < 0 ||
	    finish_name(parent, last, sk, &end->name_fd) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "unix socket %u: cannot bind it to %s",
				  sk->ino, sk->place);
	const struct timespec times[2] = { before.st_atim, before.st_mtim };
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", parent);
	return utimensat(AT_FDCWD, self, times, 0) < 0
		       ? fail_errno(err, ERR_IO, "cannot set the times of %s", sk->place)
		       : 0;
}

/* What the dump has left there gives way: a socket without anybody who is bound to it. */
static int bind_visible(struct unix_world *world, struct unix_end *end, struct error *err)
{
	const UnixSkEntry *sk = end->sk;
	char path[PATH_MAX], text[PATH_MAX];
	const char *last;

	if (verify_name(world->opener, sk, err))
		return -1;
	autoclose int parent = open_parent(world->opener, sk, path, &last);
	if (parent >= 0 && unix_name_is_inside(world->opener->snapshot, sk))
		return bind_inside(world, end, parent, last, err);
	if (parent < 0 || (unlinkat(parent, last, 0) < 0 && errno != ENOENT))
		return fail_errno(err, ERR_IO, "unix socket %u: cannot make room for its name %s",
				  sk->ino, path_of(sk, text));
	struct aside aside = ASIDE_HERE;
	aside.root = world->opener->root_fd == AT_FDCWD ? -1 : world->opener->root_fd;
	if (bind_in(&aside, sk, end->fd) < 0 || finish_name(parent, last, sk, &end->name_fd) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "unix socket %u: cannot bind it to %s",
				  sk->ino, path_of(sk, text));
	return 0;
}

int unix_bind(struct unix_world *world, struct unix_end *end, struct error *err)
{
	struct aside here = ASIDE_HERE;

	if (!end->sk->name.len)
		return 0;
	if (unix_name_is_path(end->sk))
		return end->sk->deleted
			       ? unix_bind_hidden(world, end->sk, end->fd, &end->name_fd, err)
			       : bind_visible(world, end, err);
	if (bind_in(&here, end->sk, end->fd) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "unix socket %u: cannot bind it to the abstract name @%.*s",
				  end->sk->ino, (int)end->sk->name.len - 1,
				  (const char *)end->sk->name.data + 1);
	return 0;
}

int unix_connect(int fd, const UnixSkEntry *to, int name_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length;

	if (name_fd < 0) {
		address = unix_address(to, &length);
		return connect(fd, (struct sockaddr *)&address, length);
	}
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", name_fd);
	return connect(fd, (struct sockaddr *)&address, sizeof address);
}
