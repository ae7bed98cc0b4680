// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the kernel and the driver of a FUSE have agreed upon, and by which numbers the driver knows
 * the directories that are mounted by themselves. No call tells either, and whoever asks the file
 * system waits for a driver that stands still: it is read from the kernel's memory, where that can
 * be read.
 */
#include "kinds/mounts/fuse.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/read-kernel.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { DEEPEST = PATH_MAX / 2, LONGEST_NAME = 255, NO_MAPPED_IDS = 0x2000 /* SB_I_NOIDMAP */ };

#define PLACES(X)                                          \
	X(FILE_PATH, "file", "f_path")                     \
	X(FILE_DATA, "file", "private_data")               \
	X(FILE_FLAGS, "file", "f_flags")                   \
	X(FILE_OWNER, "file", "f_owner")                   \
	X(OWNER_PID, "fown_struct", "pid")                 \
	X(PATH_MOUNT, "path", "mnt")                       \
	X(PATH_DENTRY, "path", "dentry")                   \
	X(MOUNT_SUPERBLOCK, "vfsmount", "mnt_sb")          \
	X(PRIVATE, "super_block", "s_fs_info")             \
	X(OWNER, "super_block", "s_user_ns")               \
	X(BACKING, "super_block", "s_bdi")                 \
	X(GRANULARITY, "super_block", "s_time_gran")       \
	X(INNER_FLAGS, "super_block", "s_iflags")          \
	X(ROOT, "super_block", "s_root")                   \
	X(READ_AHEAD, "backing_dev_info", "ra_pages")      \
	X(USERS_COMMON, "user_namespace", "ns")            \
	X(COMMON_NUMBER, "ns_common", "inum")              \
	X(DENTRY_PARENT, "dentry", "d_parent")             \
	X(DENTRY_INODE, "dentry", "d_inode")               \
	X(DENTRY_NAME, "dentry", "d_name")                 \
	X(DENTRY_HASH, "dentry", "d_hash")                 \
	X(NAME_LENGTH, "qstr", "len")                      \
	X(NAME_BYTES, "qstr", "name")                      \
	X(INODE_MODE, "inode", "i_mode")                   \
	X(GENERATION, "inode", "i_generation")             \
	X(INODE_NUMBER, "inode", "i_ino")                  \
	X(INODE_SIZE, "inode", "i_size")                   \
	X(INODE_WRITTEN, "inode", "i_io_list")             \
	X(HANDLE, "fuse_file", "fh")                       \
	X(OPEN_FLAGS, "fuse_file", "open_flags")           \
	X(POLL_HANDLE, "fuse_file", "kh")                  \
	X(POLLED, "fuse_file", "polled_node")              \
	X(FUSE_INODE, "fuse_inode", "inode")               \
	X(NODE, "fuse_inode", "nodeid")                    \
	X(LOOKUPS, "fuse_inode", "nlookup")                \
	X(CONNECTION, "fuse_mount", "fc")                  \
	X(USER, "fuse_conn", "user_id")                    \
	X(GROUP, "fuse_conn", "group_id")                  \
	X(MINOR, "fuse_conn", "minor")                     \
	X(MAX_WRITE, "fuse_conn", "max_write")             \
	X(MAX_PAGES, "fuse_conn", "max_pages")             \
	X(MAX_BACKGROUND, "fuse_conn", "max_background")   \
	X(CONGESTION, "fuse_conn", "congestion_threshold") \
	X(WAITING, "fuse_conn", "num_waiting")             \
	X(CONNECTED, "fuse_conn", "connected")             \
	X(INITIALIZED, "fuse_conn", "initialized")         \
	/* From here on: not every kernel has them. */     \
	X(OVER_IO_URING, "fuse_conn", "io_uring")          \
	X(OWNER_FILE, "fown_struct", "file")               \
	X(MODIFIED, "inode", "i_mtime_sec")                \
	X(MODIFIED_PART, "inode", "i_mtime_nsec")          \
	X(CHANGED, "inode", "i_ctime_sec")                 \
	X(CHANGED_PART, "inode", "i_ctime_nsec")

/* Bits of the connection, and what FUSE_INIT calls them. */
#define BITS(X)                                                            \
	X(ASYNC_READ, "async_read", FUSE_ASYNC_READ)                       \
	X(ABORT_ERR, "abort_err", FUSE_ABORT_ERROR)                        \
	X(TRUNCATES, "atomic_o_trunc", FUSE_ATOMIC_O_TRUNC)                \
	X(EXPORTS, "export_support", FUSE_EXPORT_SUPPORT)                  \
	X(WRITEBACK, "writeback_cache", FUSE_WRITEBACK_CACHE)              \
	X(PARALLEL, "parallel_dirops", FUSE_PARALLEL_DIROPS)               \
	X(KILLPRIV, "handle_killpriv", FUSE_HANDLE_KILLPRIV)               \
	X(SYMLINKS, "cache_symlinks", FUSE_CACHE_SYMLINKS)                 \
	X(KILLPRIV_2, "handle_killpriv_v2", FUSE_HANDLE_KILLPRIV_V2)       \
	X(BIG_WRITES, "big_writes", FUSE_BIG_WRITES)                       \
	X(MASK, "dont_mask", FUSE_DONT_MASK)                               \
	X(INVALIDATES, "auto_inval_data", FUSE_AUTO_INVAL_DATA)            \
	X(IS_INVALIDATED, "explicit_inval_data", FUSE_EXPLICIT_INVAL_DATA) \
	X(READDIR, "do_readdirplus", FUSE_DO_READDIRPLUS)                  \
	X(READDIR_AUTO, "readdirplus_auto", FUSE_READDIRPLUS_AUTO)         \
	X(ASYNC_DIRECT, "async_dio", FUSE_ASYNC_DIO)                       \
	X(ACL, "posix_acl", FUSE_POSIX_ACL)                                \
	X(SETXATTR, "setxattr_ext", FUSE_SETXATTR_EXT)                     \
	X(SECURITY, "init_security", FUSE_GIVES_SECURITY)                  \
	X(GIVEN_GROUP, "create_supp_group", FUSE_GIVES_GROUP)              \
	X(MAP_DIRECT, "direct_io_allow_mmap", FUSE_MAPS_DIRECT_IO)         \
	X(PASSTHROUGH, "passthrough", FUSE_PASSES_THROUGH)                 \
	X(NO_LOCK, "no_lock", 0)                                           \
	X(NO_FLOCK, "no_flock", 0)                                         \
	X(NO_OPEN, "no_open", 0)                                           \
	X(NO_OPENDIR, "no_opendir", 0)                                     \
	X(NO_POLL, "no_poll", 0)                                           \
	X(FOR_OTHERS, "allow_other", 0)

#define BIT_NUMBER(number, member, flag) BIT_##number,
#define BIT_PLACE(number, member, flag)	 BTF_PLACE(, "fuse_conn", member)
#define BIT_FLAG(number, member, flag)	 { BIT_##number, flag },

enum place { PLACES(BTF_NUMBER) BITS(BIT_NUMBER) N_PLACES };

static const struct btf_place all_places[] = { PLACES(BTF_PLACE) BITS(BIT_PLACE) };
static const struct kernel_places places = { all_places, N_PLACES, OVER_IO_URING };
static const struct {
	enum place bit;
	uint64_t flag;
} bits[] = { BITS(BIT_FLAG) };

static uint64_t superblock_of(struct kernel_reader *by, int mount_fd)
{
	uint64_t path = kernel_inside(by, kernel_file(by, mount_fd), FILE_PATH);

	return kernel_pointer(by, kernel_pointer(by, path, PATH_MOUNT), MOUNT_SUPERBLOCK);
}

bool fuse_flags_are_known(uint64_t flags)
{
	uint64_t known = FUSE_MAX_PAGES | FUSE_MORE_FLAGS | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS |
			 FUSE_LETS_MAP_IDS;

	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
		known |= bits[i].flag;
	return !(flags & ~(known & ~FUSE_PASSES_THROUGH));
}

static uint64_t flags_of(struct kernel_reader *by, uint64_t superblock, uint64_t connection)
{
	uint64_t flags = FUSE_MAX_PAGES | FUSE_MORE_FLAGS;

	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
		if (kernel_bit(by, connection, bits[i].bit))
			flags |= bits[i].flag;
	if (!kernel_bit(by, connection, BIT_NO_LOCK))
		flags |= FUSE_POSIX_LOCKS;
	if (!kernel_bit(by, connection, BIT_NO_FLOCK))
		flags |= FUSE_FLOCK_LOCKS;
	if (!(kernel_number(by, superblock, INNER_FLAGS) & NO_MAPPED_IDS))
		flags |= FUSE_LETS_MAP_IDS;
	return flags;
}

static uint32_t mode_of(struct kernel_reader *by, uint64_t dentry)
{
	return kernel_number(by, kernel_pointer(by, dentry, DENTRY_INODE), INODE_MODE) & 0xffff;
}

static void read_agreed(struct kernel_reader *by, uint64_t superblock, uint64_t connection,
			MntFuseEntry *fuse)
{
	uint64_t pages = kernel_pointer(by, kernel_pointer(by, superblock, BACKING), READ_AHEAD);
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);

	fuse->minor = kernel_number(by, connection, MINOR);
	fuse->flags = flags_of(by, superblock, connection);
	fuse->max_readahead =
		pages > UINT32_MAX / page_size ? UINT32_MAX : (uint32_t)(pages * page_size);
	fuse->max_background = kernel_number(by, connection, MAX_BACKGROUND);
	fuse->congestion_threshold = kernel_number(by, connection, CONGESTION);
	fuse->max_write = kernel_number(by, connection, MAX_WRITE);
	fuse->time_gran = kernel_number(by, superblock, GRANULARITY);
	fuse->max_pages = kernel_number(by, connection, MAX_PAGES);
	fuse->has_no_open = fuse->no_open = kernel_bit(by, connection, BIT_NO_OPEN);
	fuse->has_no_opendir = fuse->no_opendir = kernel_bit(by, connection, BIT_NO_OPENDIR);
	fuse->has_no_poll = fuse->no_poll = kernel_bit(by, connection, BIT_NO_POLL);
	fuse->root_mode = mode_of(by, kernel_pointer(by, superblock, ROOT));
}

int fuse_refuse(const struct live_superblock *superblock, const char *why, struct error *err)
{
	survey_refuse(superblock->what, why, err);
	return fail_hint(err,
			 "unmount it first, or --external mnt[%s]:NAME has it given from outside",
			 superblock->mounts[0].line->mountpoint);
}

/* What cannot be agreed upon again, or is under way. */
static int check_connection(struct kernel_reader *by, uint64_t connection,
			    const struct live_superblock *superblock, struct error *err)
{
	const char *why =
		!kernel_number(by, connection, CONNECTED) ? "has been left by its driver"
		: by->places[OVER_IO_URING].found && kernel_number(by, connection, OVER_IO_URING)
			? "is served by way of io_uring"
		: kernel_bit(by, connection, BIT_PASSTHROUGH)
			? "passes files of other file systems through"
		: kernel_number(by, connection, MINOR) < FUSE_OLDEST_MINOR
			? "is served by a driver that knows an early protocol only"
		: kernel_number(by, connection, MAX_WRITE) > FUSE_MOST_WRITE
			? "is served by a driver that takes more at once than can be read"
			: NULL;

	if (why)
		return fuse_refuse(superblock, why, err);
	if (kernel_number(by, connection, INITIALIZED) && !kernel_number(by, connection, WAITING))
		return 0;
	survey_refuse(superblock->what, "has requests that its driver has not answered", err);
	return fail_passing(err);
}

static const char *name_of(struct kernel_reader *by, struct arena *arena, uint64_t dentry)
{
	uint64_t name = kernel_inside(by, dentry, DENTRY_NAME);
	uint32_t length = kernel_number(by, name, NAME_LENGTH);

	if (!length || length > LONGEST_NAME) {
		kernel_has_changed(by);
		return "";
	}
	char *text = arena_alloc(arena, length + 1);
	kernel_bytes(by, kernel_pointer(by, name, NAME_BYTES), text, length);
	text[length] = '\0';
	return text;
}

static uint64_t node_of(struct kernel_reader *by, uint64_t dentry, size_t place)
{
	uint64_t inode = kernel_pointer(by, dentry, DENTRY_INODE);

	return kernel_pointer(by, inode - by->places[FUSE_INODE].offset, place);
}

static bool is_known(const MntFuseEntry *fuse, uint64_t parent, const char *name)
{
	for (size_t i = 0; i < fuse->n_nodes; i++)
		if (fuse->nodes[i]->parent == parent && !strcmp(fuse->nodes[i]->name, name))
			return true;
	return false;
}

static void read_attributes(struct kernel_reader *by, uint64_t dentry, uint64_t *ret_number,
			    uint64_t *ret_size)
{
	uint64_t inode = kernel_pointer(by, dentry, DENTRY_INODE);

	*ret_number = kernel_pointer(by, inode, INODE_NUMBER);
	*ret_size = kernel_pointer(by, inode, INODE_SIZE);
}

/* Are they told (6.11)? */
static bool has_times(const struct kernel_reader *by)
{
	return by->places[MODIFIED].found && by->places[MODIFIED_PART].found &&
	       by->places[CHANGED].found && by->places[CHANGED_PART].found;
}

static int64_t read_time(struct kernel_reader *by, uint64_t inode, size_t seconds, size_t part)
{
	const int64_t second = 1000000000, farthest = INT64_MAX / 2 / second - 1;
	int64_t found = (int64_t)kernel_pointer(by, inode, seconds);

	/* A driver may say anything. */
	found = found > farthest ? farthest : found < -farthest ? -farthest : found;
	return found * second + kernel_number(by, inode, part) % second;
}

static void read_times(struct kernel_reader *by, uint64_t dentry, MntFuseNodeEntry *node)
{
	uint64_t inode = kernel_pointer(by, dentry, DENTRY_INODE);

	if (!has_times(by))
		return;
	node->has_modified = node->has_changed = true;
	node->modified = read_time(by, inode, MODIFIED, MODIFIED_PART);
	node->changed = read_time(by, inode, CHANGED, CHANGED_PART);
}

static void add_node(struct kernel_reader *by, struct collect *collect, uint64_t dentry,
		     MntFuseEntry *fuse)
{
	uint64_t parent = node_of(by, kernel_pointer(by, dentry, DENTRY_PARENT), NODE);
	const char *name = name_of(by, collect->arena, dentry);

	if (is_known(fuse, parent, name))
		return;
	MntFuseNodeEntry *node =
		snapshot_new(collect->snapshot, MNT_FUSE_NODE_ENTRY, MntFuseNodeEntry);
	node->parent = parent;
	node->name = (char *)name;
	node->node = node_of(by, dentry, NODE);
	node->lookups = node_of(by, dentry, LOOKUPS);
	node->generation = kernel_number(by, kernel_pointer(by, dentry, DENTRY_INODE), GENERATION);
	node->mode = mode_of(by, dentry);
	read_attributes(by, dentry, &node->inode, &node->size);
	node->has_inode = node->has_size = true;
	read_times(by, dentry, node);
	fuse->nodes = arena_grow(collect->arena, fuse->nodes, fuse->n_nodes, sizeof *fuse->nodes);
	fuse->nodes[fuse->n_nodes++] = node;
}

/* From what a mount shows up to the root of the file system. */
static void add_nodes(struct kernel_reader *by, struct collect *collect, int mount_fd,
		      MntFuseEntry *fuse)
{
	uint64_t path = kernel_inside(by, kernel_file(by, mount_fd), FILE_PATH);
	uint64_t dentry = kernel_pointer(by, path, PATH_DENTRY);

	for (int i = 0; i < DEEPEST && !by->failure; i++) {
		uint64_t parent = kernel_pointer(by, dentry, DENTRY_PARENT);
		if (parent == dentry)
			return;
		add_node(by, collect, dentry, fuse);
		dentry = parent;
	}
	kernel_has_changed(by);
}

static int read_nodes(struct kernel_reader *by, const struct live_superblock *superblock,
		      MntFuseEntry *fuse, struct error *err)
{
	for (size_t i = 0; i < superblock->n_mounts; i++) {
		struct live_mount mount = superblock->mounts[i];
		autoclose int fd = -1;
		if (strcmp(mount.line->root, "/") == 0)
			continue;
		mount.kept = NULL;
		if (live_mount_copy(&mount, &fd, err))
			return -1;
		if (fd < 0)
			return survey_refuse(superblock->what,
					     "is mounted in part where other mounts hide it", err);
		add_nodes(by, superblock->collect, fd, fuse);
	}
	for (size_t i = 0; i < fuse->n_nodes && !by->failure; i++)
		if (!S_ISDIR(fuse->nodes[i]->mode) && !S_ISREG(fuse->nodes[i]->mode))
			return survey_refuse(superblock->what,
					     "shows what is neither a directory nor a regular "
					     "file on a mount of its own",
					     err);
	return 0;
}

/* Among those of the mount namespaces that have it, and those above. */
static int find_owner(const struct live_superblock *superblock, uint32_t number, MntEntry *entry,
		      struct error *err)
{
	for (size_t i = 0; i < superblock->n_mounts; i++) {
		const struct surveyed_namespace *user = superblock->mounts[i].namespace->met->owner;
		for (; user; user = user->parent)
			if (user->inode == number) {
				entry->userns_id = user->own ? 0 : user->id;
				entry->has_userns_id = !user->own;
				return 0;
			}
	}
	struct stat own;
	if (stat("/proc/self/ns/user", &own) == 0 && own.st_ino == number)
		return 0;
	return survey_refuse(superblock->what, "belongs to a user namespace outside of the tree",
			     err);
}

/* ---- files ---- */

/* The reader, begun; -1 with errno. */
static int begin(struct collect *collect, struct kernel_reader **ret)
{
	int result = collect_read_kernel(collect, &places, ret);

	if (result > 0)
		errno = EPERM;
	return result ? -1 : 0;
}

static uint64_t dentry_of(struct kernel_reader *by, int fd)
{
	return kernel_pointer(by, kernel_inside(by, kernel_file(by, fd), FILE_PATH), PATH_DENTRY);
}

int fuse_look(struct collect *collect, int fd, struct stat *ret_stat)
{
	struct kernel_reader *by;
	struct statx found;
	uint64_t number, size;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found) || begin(collect, &by))
		return -1;
	uint64_t dentry = dentry_of(by, fd);
	read_attributes(by, dentry, &number, &size);
	*ret_stat = (struct stat){
		.st_dev = makedev(found.stx_dev_major, found.stx_dev_minor),
		.st_ino = number,
		.st_mode = mode_of(by, dentry),
		.st_nlink = 1,
		.st_size = (off_t)size,
	};
	return kernel_reader_end(by);
}

/* Up to the root: does each still have its name? */
static bool has_name(struct kernel_reader *by, uint64_t dentry)
{
	for (int i = 0; i < DEEPEST && !by->failure; i++) {
		uint64_t parent = kernel_pointer(by, dentry, DENTRY_PARENT), hashed;
		if (parent == dentry)
			return true;
		/* hlist_bl_node: next, pprev (d_unhashed) */
		kernel_bytes(by, kernel_inside(by, dentry, DENTRY_HASH) + sizeof hashed, &hashed,
			     sizeof hashed);
		if (!hashed)
			return false;
		dentry = parent;
	}
	return false;
}

/* Does it send signals to somebody (F_SETOWN)? It is apart since 6.12. */
static bool has_owner(struct kernel_reader *by, uint64_t file)
{
	if (by->places[OWNER_FILE].found)
		return kernel_pointer(by, file, FILE_OWNER) != 0;
	return kernel_pointer(by, kernel_inside(by, file, FILE_OWNER), OWNER_PID) != 0;
}

/* Is something of it, or of its attributes, still to be written by the kernel? */
static bool is_to_be_written(struct kernel_reader *by, uint64_t dentry)
{
	uint64_t list = kernel_inside(by, kernel_pointer(by, dentry, DENTRY_INODE), INODE_WRITTEN);
	uint64_t next;

	kernel_bytes(by, list, &next, sizeof next);
	return next != list;
}

/* By which number, if the kernel may be told that there is something (fuse_notify_poll_wakeup)? */
static uint64_t poll_handle_of(struct kernel_reader *by, uint64_t opened)
{
	uint64_t node = kernel_inside(by, opened, POLLED), parent;

	kernel_bytes(by, node, &parent, sizeof parent);
	/* RB_EMPTY_NODE */
	return parent == node ? 0 : kernel_pointer(by, opened, POLL_HANDLE);
}

static void read_opened(struct kernel_reader *by, uint64_t dentry, uint64_t file,
			struct fuse_file *ret)
{
	if (kernel_pointer(by, kernel_inside(by, file, FILE_PATH), PATH_DENTRY) != dentry)
		return kernel_has_changed(by);
	ret->has_owner = has_owner(by, file);
	ret->flags = kernel_number(by, file, FILE_FLAGS);
	file = kernel_pointer(by, file, FILE_DATA);
	ret->handle = kernel_pointer(by, file, HANDLE);
	ret->open_flags = kernel_number(by, file, OPEN_FLAGS);
	ret->poll_handle = poll_handle_of(by, file);
	ret->to_be_written = is_to_be_written(by, dentry);
}

int fuse_read_file(struct collect *collect, int fd, uint64_t description, MntFuseEntry *fuse,
		   struct fuse_file *ret)
{
	struct kernel_reader *by;

	*ret = (struct fuse_file){ 0 };
	if (begin(collect, &by))
		return -1;
	uint64_t dentry = dentry_of(by, fd);
	uint64_t connection =
		kernel_pointer(by, kernel_pointer(by, superblock_of(by, fd), PRIVATE), CONNECTION);
	ret->has_name = has_name(by, dentry);
	ret->node = node_of(by, dentry, NODE);
	ret->for_others = kernel_bit(by, connection, BIT_FOR_OTHERS);
	ret->uid = kernel_number(by, connection, USER);
	ret->gid = kernel_number(by, connection, GROUP);
	ret->writes_back = kernel_bit(by, connection, BIT_WRITEBACK);
	ret->has_times = has_times(by);
	ret->locks = !kernel_bit(by, connection, BIT_NO_LOCK) ||
		     !kernel_bit(by, connection, BIT_NO_FLOCK);
	if (description && !by->failure)
		read_opened(by, dentry, description, ret);
	if (kernel_bit(by, connection, BIT_NO_POLL))
		ret->poll_handle = 0;
	if (ret->has_name && !by->failure)
		add_nodes(by, collect, fd, fuse);
	return kernel_reader_end(by);
}

static int read_all(struct kernel_reader *by, const struct live_superblock *superblock,
		    int mount_fd, MntEntry *entry, uint64_t *ret_connection, struct error *err)
{
	uint64_t in_kernel = superblock_of(by, mount_fd);
	uint64_t connection =
		kernel_pointer(by, kernel_pointer(by, in_kernel, PRIVATE), CONNECTION);
	uint64_t owner = kernel_pointer(by, in_kernel, OWNER);
	uint32_t number = kernel_number(by, kernel_inside(by, owner, USERS_COMMON), COMMON_NUMBER);

	*ret_connection = connection;
	if (by->failure)
		return 0;
	read_agreed(by, in_kernel, connection, entry->fuse);
	if (find_owner(superblock, number, entry, err) ||
	    check_connection(by, connection, superblock, err))
		return -1;
	return read_nodes(by, superblock, entry->fuse, err);
}

int fuse_read(const struct live_superblock *superblock, MntEntry *entry, uint64_t *ret_connection,
	      struct error *err)
{
	struct collect *collect = superblock->collect;
	struct kernel_reader *by;
	autoclose int fd = -1;

	if (live_superblock_copy(superblock, &fd, err))
		return -1;
	entry->fuse = snapshot_new(collect->snapshot, MNT_FUSE_ENTRY, MntFuseEntry);
	int result = collect_read_kernel(collect, &places, &by);
	if (result)
		return result < 0
			       ? fail_errno(err, ERR_KERNEL_REFUSED,
					    "%s: cannot read the kernel's memory", superblock->what)
			       : survey_refuse(superblock->what,
					       "is a FUSE, of which only the kernel's memory "
					       "tells what is needed, which cannot be read here",
					       err);
	result = read_all(by, superblock, fd, entry, ret_connection, err);
	/* What was not read is 0, and says nothing. */
	struct error unread = { 0 };
	if (kernel_reader_end(by)) {
		fail_errno(&unread, ERR_KERNEL_REFUSED, "%s: cannot read the kernel's memory",
			   superblock->what);
		*err = unread;
		return -1;
	}
	return result;
}
