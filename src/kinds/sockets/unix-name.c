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
#include "base/names.h"
#include "kernel/deputy.h"
#include "kinds/opener.h"
#include "kinds/passing-name.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
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

int unix_name_descriptor(const UnixSkEntry *sk)
{
	char path[PATH_MAX];
	int number, end = 0;

	path_of(sk, path);
	if (sscanf(path, "/proc/self/fd/%9d/%n", &number, &end) != 1 || !end || number < 0)
		return -1;
	return path[end] && !strchr(path + end, '/') ? number : -1;
}

/* A path on the mount that has the socket's name, or else below the root of the restore. */
static int open_there(const struct file_opener *opener, const UnixSkEntry *sk, const char *path)
{
	int flags = O_PATH | O_DIRECTORY;

	return unix_name_is_inside(opener->snapshot, sk)
		       ? mounts_open(opener, (uint32_t)sk->mnt_id, path[0] ? path : "/", flags)
		       : opener_open_path(opener, path[0] ? path : "/", flags);
}

/* The directory that a name is in, and the last part of it. */
static int open_parent(const struct file_opener *opener, const UnixSkEntry *sk, char *path,
		       const char **ret_last)
{
	if (sk->place)
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
	return open_there(opener, sk, path);
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

/*
 * As the one whom the name belongs to: a file system of a user namespace lets nobody make files who
 * has no number there.
 */
static int bind_owned(void *argument)
{
	struct owned_request *owned = argument;

	return owned->owner
		       ? names_as(owned->owner->uid, owned->owner->gid, bind_there, &owned->request)
		       : bind_there(&owned->request);
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

/* The root directory that the tree, or this part of it, has: borrowed; -1: it is ours. */
static int root_of(const struct file_opener *opener, const UnixSkEntry *sk)
{
	if (unix_name_is_inside(opener->snapshot, sk))
		return mounts_root(opener, (uint32_t)sk->mnt_id);
	return opener->root_fd == AT_FDCWD ? -1 : opener->root_fd;
}

/*
 * Whether the place of a socket ends as its address does, and what comes before: there the address
 * begins. The last part is that of the address, as bind(2) has to make it.
 */
bool unix_place_begins(const UnixSkEntry *sk, char *ret_start)
{
	char path[PATH_MAX], place[2 * PATH_MAX];
	const char *last = strrchr(path_of(sk, path), '/');

	snprintf(place, sizeof place, "%.*s/%s", (int)(strrchr(sk->place, '/') - sk->place),
		 sk->place, last ? last + 1 : path);
	size_t name = strlen(path), length = strlen(place);
	if (name > length || strcmp(place + length - name, path) != 0 || length - name >= PATH_MAX)
		return false;
	place[length - name] = '\0';
	strcpy(ret_start, place);
	return path[0] == '/' || place[length - name - 1] == '/';
}

/* *ret_fd -1: begin at the root, as links are on the way, or the address alone tells. */
static int open_start(const struct file_opener *opener, const UnixSkEntry *sk, int *ret_fd)
{
	char start[PATH_MAX];

	*ret_fd = -1;
	if (!sk->place || !unix_place_begins(sk, start))
		return 0;
	*ret_fd = open_there(opener, sk, start);
	return *ret_fd < 0 && !names_lead_nowhere(errno) ? -1 : 0;
}

/* A socket, and the name it has in a directory: what bind(2) is to make gets that name. */
struct naming {
	int parent;	   /* the directory */
	const char *last;  /* the name */
	const char *bound; /* what bind(2) makes there */
};

struct descriptor_request {
	struct owned_request owned;
	int parent, number; /* the directory, and the descriptor that the address says */
};

/* In a deputy, which has descriptors of its own from then on. */
static int bind_by_descriptor(void *data, struct error *err)
{
	struct descriptor_request *by = data;
	struct bind_request *request = &by->owned.request;

	if (unshare(CLONE_FILES) < 0 ||
	    (request->fd = fcntl(request->fd, F_DUPFD_CLOEXEC, by->number + 1)) < 0 ||
	    dup2(by->parent, by->number) < 0 || bind_owned(&by->owned) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot bind a socket");
	return 0;
}

static int bind_in_place(struct unix_world *world, const UnixSkEntry *sk, int fd, int parent)
{
	struct owned_request owned = { .request.fd = fd };
	int number = sk->place ? unix_name_descriptor(sk) : -1;
	struct error err = { 0 };
	struct aside aside = ASIDE_HERE;
	autoclose int start = -1;

	if (open_start(world->opener, sk, &start) < 0)
		return -1;
	aside.root = start >= 0 ? start : root_of(world->opener, sk);
	owned.request.address = unix_address(sk, &owned.request.length);
	if (unix_name_is_inside(world->opener->snapshot, sk))
		owned.owner = sk->file_perms;
	if (number >= 0) {
		struct descriptor_request by = { owned, parent, number };
		int result = deputy_run(bind_by_descriptor, &by, &err);
		errno = err.os_errno;
		return result;
	}
	if (!owned.owner && aside.root < 0)
		return bind_there(&owned.request);
	return aside_run(&aside, bind_owned, &owned);
}

/* Nobody loses a name: what has that of the address now is out of the way for the moment. */
static int bind_and_rename(struct unix_world *world, const UnixSkEntry *sk, int fd,
			   struct naming *naming)
{
	struct given_name *bound = given_name_take(world, naming->parent, naming->bound);

	if (!bound)
		return -1;
	int result = bind_in_place(world, sk, fd, naming->parent);
	if (result == 0)
		result = names_rename(naming->parent, naming->bound, naming->parent, naming->last,
				      0);
	int failure = errno;
	if (given_name_refuse(bound) < 0 && result == 0)
		return -1;
	errno = failure;
	return result;
}

/* Below a directory of our own, which is the root for whoever binds. */
struct below {
	struct unix_world *world;
	const struct naming *naming;
	struct owned_request owned;
	int root;
};

static int bind_at_end(const struct below *below, int at, const char *last)
{
	const struct naming *naming = below->naming;
	struct owned_request owned = below->owned;
	struct aside aside = ASIDE_HERE;
	struct passing_name *bound = passing_awaited(below->world->opener, at, last);

	if (!bound)
		return -1;
	aside.root = below->root;
	int result = aside_run(&aside, bind_owned, &owned);
	if (result == 0)
		result = names_rename(at, last, naming->parent, naming->last, 0);
	int failure = errno;
	passing_remove(bound);
	errno = failure;
	return result;
}

/* As bind(2) will go: from the root ".." leads nowhere. */
static int bind_below(const struct below *below, int at, int depth, const char *path)
{
	const char *part = path + strspn(path, "/"), *slash = strchr(part, '/');
	char name[NAME_MAX + 1];
	struct passing_name *passing = NULL;
	autoclose int next = -1;

	if (!slash)
		return bind_at_end(below, at, part);
	snprintf(name, sizeof name, "%.*s", (int)(slash - part), part);
	if (strcmp(name, ".") == 0 || (depth == 0 && strcmp(name, "..") == 0))
		return bind_below(below, at, depth, slash);
	if (strcmp(name, "..") != 0) {
		passing = passing_directory(below->world->opener, at, name, &next);
		if (!passing && errno != EEXIST)
			return -1;
	}
	if (!passing)
		next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = next < 0 ? -1
			      : bind_below(below, next, depth + (strcmp(name, "..") != 0 ? 1 : -1),
					   slash);
	int failure = errno;
	if (passing && passing_remove(passing) < 0 && result == 0)
		return -1;
	errno = failure;
	return result;
}

/*
 * The address leads from anywhere to another directory than the name is in, or to none: on that
 * file system it is bound where it leads below a directory of our own, and renamed then.
 */
static int bind_moved(struct unix_world *world, const UnixSkEntry *sk, int fd,
		      const struct naming *naming)
{
	struct below below = { world, naming, { .request.fd = fd }, -1 };
	char path[PATH_MAX], name[48];
	autoclose int root = -1;

	snprintf(name, sizeof name, ".nestor-socket-%u-root", sk->ino);
	struct passing_name *passing =
		passing_directory(world->opener, naming->parent, name, &root);
	if (!passing)
		return -1;
	below.root = root;
	below.owned.request.address = unix_address(sk, &below.owned.request.length);
	if (unix_name_is_inside(world->opener->snapshot, sk))
		below.owned.owner = sk->file_perms;
	int result = bind_below(&below, root, 0, path_of(sk, path));
	int failure = errno;
	if (passing_remove(passing) < 0 && result == 0)
		return -1;
	errno = failure;
	return result;
}

/*
 * A relative address begins at a directory that is not on the mount of the name where it leads over
 * the mount point, and then it is not looked for.
 */
static int leads_over(const struct file_opener *opener, const UnixSkEntry *sk)
{
	char path[PATH_MAX];
	autoclose int start = -1;

	if (path_of(sk, path)[0] == '/' || !unix_name_is_inside(opener->snapshot, sk))
		return 0;
	return open_start(opener, sk, &start) < 0 ? -1 : start < 0;
}

static int bind_by_name(struct unix_world *world, const UnixSkEntry *sk, int fd,
			struct naming *naming)
{
	int moved = sk->moved && sk->place ? 1 : leads_over(world->opener, sk);

	if (moved)
		return moved < 0 ? -1 : bind_moved(world, sk, fd, naming);
	return strcmp(naming->bound, naming->last) == 0
		       ? bind_in_place(world, sk, fd, naming->parent)
		       : bind_and_rename(world, sk, fd, naming);
}

static int bind_named(struct unix_world *world, const UnixSkEntry *sk, int fd,
		      struct naming *naming)
{
	struct given_name *given = given_name_take(world, naming->parent, naming->last);
	if (!given)
		return -1;
	int result = bind_by_name(world, sk, fd, naming);
	if (result == 0)
		return given_name_keep(given);
	int failure = errno;
	given_name_refuse(given);
	errno = failure;
	return result;
}

/* The directory keeps its times. */
static int bind_keeping(struct unix_world *world, const UnixSkEntry *sk, int fd,
			struct naming *naming)
{
	struct timespec times[2];

	if (names_times(naming->parent, times) < 0)
		return -1;
	int result = bind_named(world, sk, fd, naming), failure = errno;
	if (names_set_times(naming->parent, times) < 0) {
		failure = result == 0 ? errno : failure;
		result = -1;
		/* The restore fails, which is no reason to leave them changed. */
		names_set_times(naming->parent, times);
	}
	errno = failure;
	return result;
}

/* What the dump has left there gives way: a socket without anybody who is bound to it. */
static int bind_visible(struct unix_world *world, const UnixSkEntry *sk, int fd, int *ret_name_fd,
			struct error *err)
{
	char path[PATH_MAX], text[PATH_MAX];
	const char *slash = strrchr(path_of(sk, text), '/');
	struct naming naming = { .bound = slash ? slash + 1 : text };

	if (verify_name(world->opener, sk, err))
		return -1;
	autoclose int parent = open_parent(world->opener, sk, path, &naming.last);
	naming.parent = parent;
	if (parent < 0 || bind_keeping(world, sk, fd, &naming) < 0 ||
	    finish_name(parent, naming.last, sk, ret_name_fd) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "unix socket %u: cannot bind it to %s",
				  sk->ino, sk->place ? sk->place : text);
	return 0;
}

int unix_bind(struct unix_world *world, const UnixSkEntry *sk, int fd, int *ret_name_fd,
	      struct error *err)
{
	struct aside here = ASIDE_HERE;

	*ret_name_fd = -1;
	if (!sk->name.len)
		return 0;
	if (unix_name_is_path(sk))
		return sk->deleted ? unix_bind_hidden(world, sk, fd, ret_name_fd, err)
				   : bind_visible(world, sk, fd, ret_name_fd, err);
	if (bind_in(&here, sk, fd) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "unix socket %u: cannot bind it to the abstract name @%.*s",
				  sk->ino, (int)sk->name.len - 1, (const char *)sk->name.data + 1);
	return 0;
}

struct sockaddr_un unix_connect_address(const UnixSkEntry *to, int name_fd, socklen_t *ret_length)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (name_fd < 0)
		return unix_address(to, ret_length);
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", name_fd);
	*ret_length = sizeof address;
	return address;
}

int unix_connect(int fd, const UnixSkEntry *to, int name_fd)
{
	socklen_t length;
	struct sockaddr_un address = unix_connect_address(to, name_fd, &length);

	return connect(fd, (struct sockaddr *)&address, length);
}
