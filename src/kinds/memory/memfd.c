// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory files (memfd_create(2)): files without a path on the kernel's own tmpfs, which tasks hold
 * by descriptors, pass on and map. The state of the inode is its name, size, content, mode, owner,
 * attributes (inode-attributes.h) and seals; that of each open file description its flags and
 * position. The inode is recorded once (memfd.img), its content once (pagemap-shmem-<id>.img),
 * however many have it.
 *
 * Times of the inode are those of the restore; its number is another one.
 *
 * Those of huge pages lie on file systems of their own, one for each size of pages; their size and
 * content are dealt with by kernel/huge-file.h.
 *
 * Seals (memfd_add_seals, mm/memfd.c): F_SEAL_WRITE cannot be had while somebody could write by a
 * shared mapping, so there is none of these, and it is set before anybody maps the file: then what
 * is mapped read-only stays so. F_SEAL_FUTURE_WRITE leaves mappings that are there as they are: it
 * is set when all are. A file that is executed has no writer at all (deny_write_access), us
 * included, so nothing is left for later that does not have to be.
 *
 * The description that memfd_create returns is no writer in that sense: with no other one the file
 * can be executed while that is open, or mapped, for reading and writing. Of descriptions for
 * writing the first is taken for it, unless it is alone and the kernel says that there is a writer;
 * what is mapped by descriptions that no task has any more is mapped by it, too.
 *
 * The file behind shared anonymous memory is another such file, for whoever opens it by
 * /proc/PID/map_files (anonymous-files.c).
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/nanoseconds.h"
#include "base/table.h"
#include "collect/collect.h"
#include "kernel/huge-file.h"
#include "kinds/inode-attributes.h"
#include "kinds/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL /* 6.3 */
#define MFD_NOEXEC_SEAL 0x0008U
#define MFD_EXEC	0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020 /* 6.3 */
#endif

#define NAME_PREFIX    "/memfd:"
#define DELETED_SUFFIX " (deleted)"

/* The kernel's limit of a name (memfd_create(2)). */
enum { NAME_ROOM = 249, MODE_BITS = 07777 };

static const uint32_t HUGE_FLAGS = MFD_HUGETLB | (uint32_t)MAP_HUGE_MASK << MAP_HUGE_SHIFT;
static const uint32_t known_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
				    F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;

/* --- Dump --- */

/* Kept over a dump. */
struct known_memfds {
	struct table by_inode; /* MemfdInodeEntry */
	uint32_t last_id;
	int failure; /* errno; what was recognised last cannot be told from others */
};

static const char memfds_owner = 0;

static struct known_memfds *known_memfds(struct collect *collect)
{
	void **kept = collect_state(collect, &memfds_owner);

	if (!*kept)
		*kept = arena_new(collect->arena, struct known_memfds);
	return *kept;
}

/* As memfd_create(2) takes them for pages of this size. */
static uint32_t huge_flags(uint64_t page)
{
	return MFD_HUGETLB | (uint32_t)__builtin_ctzll(page) << MAP_HUGE_SHIFT;
}

/* Is it on the kernel's own file system of its size of pages? 1, 0, or -1 with errno. */
static int is_huge_memfd(const struct open_file *file)
{
	uint64_t page = (uint64_t)file->stat.st_blksize;
	struct stat stat;

	if (file->file_system != HUGETLBFS_MAGIC || page & (page - 1))
		return 0;
	autoclose int fd = memfd_create("nestor", MFD_CLOEXEC | huge_flags(page));
	if (fd < 0 || fstat(fd, &stat))
		return errno_tells_nothing(errno) ? -1 : 0;
	return stat.st_dev == file->stat.st_dev;
}

/* A file of this name may also lie in somebody's root directory. */
static bool memfd_recognise(const struct open_file *file)
{
	struct known_memfds *known = known_memfds(file->target->collect);
	struct error why = { 0 };
	uint64_t device;

	known->failure = 0;
	if ((strncmp(file->link, NAME_PREFIX, strlen(NAME_PREFIX)) != 0 &&
	     !anonymous_file_is_called(file->link)) ||
	    !S_ISREG(file->stat.st_mode))
		return false;
	if (shared_device(file->target, &device, &why)) {
		known->failure = why.os_errno;
		return true;
	}
	int huge = device == file->stat.st_dev ? 0 : is_huge_memfd(file);
	if (huge < 0)
		known->failure = errno;
	return device == file->stat.st_dev || huge;
}

static char *name_of(const struct open_file *file)
{
	const char *name = anonymous_file_is_called(file->link) ? ANONYMOUS_FILE_NAME
								: file->link + strlen(NAME_PREFIX);
	size_t length = strlen(name), suffix = strlen(DELETED_SUFFIX);

	if (length >= suffix && strcmp(name + length - suffix, DELETED_SUFFIX) == 0)
		length -= suffix;
	return arena_printf(file->target->collect->arena, "%.*s", (int)length, name);
}

/*
 * Nobody is given a lease for reading of what has writers (generic_add_lease, fs/locks.c), and of
 * what is somebody else's it takes CAP_LEASE (EACCES). Should somebody outside open it right then,
 * we are told by a signal, which is to be one that does nothing. -1 with errno.
 */
static int look_for_writers(const struct collect *collect, int fd, MemfdInodeEntry *inode)
{
	if (collect->looking)
		return 0;
	if (fcntl(fd, F_SETSIG, SIGURG) < 0)
		return -1;
	bool given = fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
	if (!given && errno != EAGAIN)
		return errno == EACCES || errno == EINVAL ? 0 : -1;
	inode->has_has_writers = true;
	inode->has_writers = !given;
	return given ? fcntl(fd, F_SETLEASE, F_UNLCK) : 0;
}

static int collect_inode(const struct open_file *file, uint32_t *ret_id, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_memfds *known = known_memfds(collect);
	MemfdInodeEntry *inode = table_find(&known->by_inode, file->stat.st_ino);

	if (inode) {
		*ret_id = (uint32_t)inode->inode_id;
		return 0;
	}
	/* A new description: the task's own may not allow it (O_PATH). */
	autoclose int fd = target_open(file->target, file->proc_name, O_RDONLY);
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	uint64_t page;
	int huge = fd < 0 ? -1 : huge_file_page(fd, &page);
	if (seals < 0 || huge < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at the memory file",
				  file->what);
	inode = snapshot_new(collect->snapshot, MEMFD_INODE_ENTRY, MemfdInodeEntry);
	inode->inode_id = *ret_id = ++known->last_id;
	inode->name = name_of(file);
	inode->uid = file->stat.st_uid;
	inode->gid = file->stat.st_gid;
	inode->size = (uint64_t)file->stat.st_size;
	inode->seals = (uint32_t)seals;
	inode->has_mode = true;
	inode->mode = file->stat.st_mode & MODE_BITS;
	inode->has_accessed = inode->has_modified = true;
	inode->accessed = nanoseconds_of(file->stat.st_atim);
	inode->modified = nanoseconds_of(file->stat.st_mtim);
	inode->has_hugetlb_flag = huge;
	inode->hugetlb_flag = huge ? huge_flags(page) : 0;
	if (look_for_writers(collect, fd, inode))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot tell whether it is open to write", file->what);
	if (inode_attributes_collect(collect->snapshot, fd, &inode->attributes, file->what, err))
		return -1;
	inode->has_anonymous = inode->anonymous = anonymous_file_is_called(file->link);
	table_add(&known->by_inode, collect->arena, file->stat.st_ino, inode);
	snapshot_add_record(collect->snapshot, IMAGE_MEMFD, inode->inode_id, inode);
	return inode->anonymous
		       ? shared_collect_opened(file->target, file->proc_name, file->stat.st_ino,
					       inode->hugetlb_flag, &inode->shmid, err)
		       : shared_collect_file(file->target, file->proc_name, &inode->shmid, err);
}

static int memfd_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	MemfdFileEntry *memfd = snapshot_new(collect->snapshot, MEMFD_FILE_ENTRY, MemfdFileEntry);

	errno = known_memfds(collect)->failure;
	if (errno)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot tell whether it is a memory file", file->what);
	entry->memfd = memfd;
	memfd->id = file->id;
	memfd->flags = file->flags;
	memfd->pos = file->position;
	memfd->has_only_mapped = memfd->only_mapped = !*file->fdinfo;
	return collect_inode(file, &memfd->inode_id, err);
}

/* --- Check --- */

static const MemfdInodeEntry *inode_of(const struct snapshot *snapshot, const FileEntry *entry)
{
	const struct record *record =
		snapshot_record(snapshot, IMAGE_MEMFD, entry->memfd->inode_id);

	return record ? record->message : NULL;
}

static int check_content(const struct snapshot *snapshot, const MemfdInodeEntry *inode,
			 struct error *err)
{
	const struct shared_memory *memory = snapshot_shared_memory(snapshot, inode->shmid);

	/* Other tools write none of an empty one. */
	if (!memory && !inode->size)
		return 0;
	if (!memory)
		return fail(err, ERR_IMAGE_MISSING, "the content of memory file %s is not there",
			    inode->name);
	if (memory->pages.n_runs) {
		const struct memory_run *last = &memory->pages.runs[memory->pages.n_runs - 1];
		if (inode->size <= last->address ||
		    (inode->size - last->address + AREA_PAGE - 1) / AREA_PAGE < last->pages)
			return fail(err, ERR_IMAGE_INVALID,
				    "memory file %s has content beyond its end", inode->name);
	}
	return 0;
}

static int memfd_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const MemfdFileEntry *memfd = entry->memfd;

	if (!memfd || memfd->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a memory file",
			    entry->id);
	const MemfdInodeEntry *inode = inode_of(snapshot, entry);
	if (!inode)
		return fail(err, ERR_IMAGE_MISSING, "memory file %u is not recorded",
			    memfd->inode_id);
	if (inode->hugetlb_flag &&
	    (!(inode->hugetlb_flag & MFD_HUGETLB) || inode->hugetlb_flag & ~HUGE_FLAGS))
		return fail(err, ERR_IMAGE_INVALID, "memory file %s: no huge pages are such (%#x)",
			    inode->name, inode->hugetlb_flag);
	if (strlen(inode->name) > NAME_ROOM || inode->size > INT64_MAX - AREA_PAGE ||
	    memfd->pos > INT64_MAX || inode->seals & ~known_seals)
		return fail(err, ERR_IMAGE_INVALID, "file %u: no memory file is such", entry->id);
	if (inode_attributes_check(inode->attributes, inode->name, err))
		return -1;
	return check_content(snapshot, inode, err);
}

/* --- Restore --- */

/* What is kept of an inode while files are opened. */
struct made_memfd {
	size_t place; /* opener_kept: what memfd_create returned if seals are left, or it is had */
	uint32_t late_seals;
	bool has_original; /* it is still there, or mapped */
	bool has_flags;
	const FileEntry
		*original; /* the description that memfd_create returned; NULL: it is gone */
};

static uint32_t mode_of(const MemfdInodeEntry *inode)
{
	return inode->has_mode ? inode->mode & MODE_BITS : 0777;
}

static bool is_for_writing(const FileEntry *file, const MemfdInodeEntry *inode)
{
	return file->type == FD_TYPES__MEMFD && file->memfd->inode_id == inode->inode_id &&
	       !(file->memfd->flags & O_PATH) && (file->memfd->flags & O_ACCMODE) != O_RDONLY;
}

static bool has_writer(const struct snapshot *snapshot, const MemfdInodeEntry *inode)
{
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (is_for_writing(snapshot->files[i], inode))
			return true;
	return false;
}

static bool is_read_write(const MemfdFileEntry *memfd)
{
	return !(memfd->flags & O_PATH) && (memfd->flags & O_ACCMODE) == O_RDWR;
}

/* Which description is it that memfd_create has returned? NULL: none that a task has. */
static const FileEntry *find_original(const struct snapshot *snapshot, const MemfdInodeEntry *inode)
{
	const FileEntry *original = NULL;
	size_t n_writers = 0;

	if (inode->anonymous) /* it was the mapping's */
		return NULL;
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *file = snapshot->files[i];
		if (!is_for_writing(file, inode) || file->memfd->only_mapped)
			continue;
		n_writers++;
		if (!original && is_read_write(file->memfd))
			original = file;
	}
	return inode->has_has_writers && inode->has_writers && n_writers == 1 ? NULL : original;
}

/*
 * As some task's program. Nobody may have it open for writing then but who has made it, by the
 * description that memfd_create has returned: that one the kernel does not count as a writer.
 */
static bool is_executed(const struct snapshot *snapshot, const MemfdInodeEntry *inode)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const MmEntry *mm = snapshot->tasks[i].mm;
		const FileEntry *file = mm ? snapshot_file(snapshot, mm->exe_file_id) : NULL;
		if (file && file->type == FD_TYPES__MEMFD &&
		    file->memfd->inode_id == inode->inode_id)
			return true;
	}
	return false;
}

/* Those that a mapping which is to come would be held to, and the one that forbids to add them. */
static uint32_t late_seals(const struct snapshot *snapshot, const MemfdInodeEntry *inode)
{
	if (inode->seals & F_SEAL_WRITE || !(inode->seals & F_SEAL_FUTURE_WRITE) ||
	    !has_writer(snapshot, inode))
		return 0;
	return inode->seals & (F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

/*
 * vm.memfd_noexec can forbid files that are executable, and kernels before 6.3 know neither flag.
 * What cannot be sealed has F_SEAL_SEAL, and has had it from the first.
 */
static int create(const MemfdInodeEntry *inode)
{
	bool executable = !(inode->seals & F_SEAL_EXEC) || mode_of(inode) & 0111;
	unsigned flags = MFD_CLOEXEC | inode->hugetlb_flag |
			 (inode->seals == F_SEAL_SEAL ? 0 : MFD_ALLOW_SEALING);
	int fd = memfd_create(inode->name, flags | (executable ? MFD_EXEC : MFD_NOEXEC_SEAL));

	return fd < 0 && errno == EINVAL && executable ? memfd_create(inode->name, flags) : fd;
}

static int set_attributes(int fd, const MemfdInodeEntry *inode, struct error *err)
{
	struct stat made;

	if (fstat(fd, &made) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at memory file %s",
				  inode->name);
	if ((made.st_uid != inode->uid || made.st_gid != inode->gid) &&
	    fchown(fd, inode->uid, inode->gid) < 0)
		return fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
				  "cannot give memory file %s to user %u and group %u", inode->name,
				  inode->uid, inode->gid);
	/* A change of owner takes setuid bits away. */
	if (fchmod(fd, mode_of(inode)) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set the mode of memory file %s",
				  inode->name);
	return 0;
}

static int seal(int fd, const MemfdInodeEntry *inode, uint32_t seals, struct error *err)
{
	int has = fcntl(fd, F_GET_SEALS);

	if (has < 0 || ((uint32_t)has & seals) == seals)
		return has < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot read seals") : 0;
	if (fcntl(fd, F_ADD_SEALS, seals & ~(uint32_t)has) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot seal memory file %s (%#x)",
				  inode->name, seals);
	return 0;
}

static int set_size(int fd, const MemfdInodeEntry *inode, struct error *err)
{
	uint64_t page;
	int huge = huge_file_page(fd, &page);

	if (huge < 0 ||
	    (huge ? huge_file_resize(fd, page, inode->size) : ftruncate(fd, (off_t)inode->size)))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot give memory file %s its size of %" PRIu64, inode->name,
				  inode->size);
	return 0;
}

/* Size last: content is written by whole pages, but huge ones lie within the file. */
static int fill(struct file_opener *opener, int fd, const MemfdInodeEntry *inode, struct error *err)
{
	const struct shared_memory *memory = snapshot_shared_memory(opener->snapshot, inode->shmid);

	if (inode->hugetlb_flag && set_size(fd, inode, err))
		return -1;
	if (memory && shared_fill(opener->images, &memory->pages, fd, err))
		return fail_while(err, "filling memory file %s", inode->name);
	return inode->hugetlb_flag ? 0 : set_size(fd, inode, err);
}

/* When nothing is written any more. */
static int set_times(int fd, const MemfdInodeEntry *inode, struct error *err)
{
	const struct timespec times[2] = { nanoseconds_time(inode->accessed),
					   nanoseconds_time(inode->modified) };

	if (!inode->has_accessed || !inode->has_modified || futimens(fd, times) == 0)
		return 0;
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set the times of memory file %s",
			  inode->name);
}

static int make_inode(struct file_opener *opener, const MemfdInodeEntry *inode,
		      struct made_memfd *made, struct error *err)
{
	autoclose int fd = inode->anonymous ? anonymous_file_make(inode) : create(inode);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make memory file %s",
				  inode->name);
	made->late_seals = late_seals(opener->snapshot, inode);
	if (fill(opener, fd, inode, err) || set_attributes(fd, inode, err) ||
	    inode_attributes_set(inode->attributes, fd, inode->name, err) ||
	    set_times(fd, inode, err) || seal(fd, inode, inode->seals & ~made->late_seals, err))
		return -1;
	made->original = find_original(opener->snapshot, inode);
	made->has_original = made->original || is_executed(opener->snapshot, inode) ||
			     (inode->has_has_writers && !inode->has_writers);
	if (!made->late_seals && !made->has_original) {
		int read_only = opener_reopen(fd, O_PATH);
		if (read_only < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open memory file %s",
					  inode->name);
		close(fd);
		fd = read_only;
	}
	made->place = opener_keep(opener, take_fd(&fd));
	return 0;
}

static struct made_memfd *made_memfd(struct file_opener *opener, const MemfdInodeEntry *inode,
				     struct error *err)
{
	void **state = opener_state(opener, &memfds_owner);

	if (!*state)
		*state = arena_new(opener->arena, struct table);
	struct made_memfd *made = table_find(*state, inode->inode_id);
	if (made)
		return made;
	made = arena_new(opener->arena, struct made_memfd);
	if (make_inode(opener, inode, made, err))
		return NULL;
	table_add(*state, opener->arena, inode->inode_id, made);
	return made;
}

/* The one that memfd_create has returned, or another. What is only mapped has no flags of it. */
static int open_description(struct file_opener *opener, const struct made_memfd *made,
			    const FileEntry *entry, int flags)
{
	int kept = opener_kept(opener, made->place);
	bool is_mapped = made->has_original && entry->memfd->only_mapped;

	if (!is_read_write(entry->memfd) || (!is_mapped && entry != made->original))
		return opener_reopen(kept, flags);
	if (!is_mapped && fcntl(kept, F_SETFL, flags) < 0)
		return -1;
	return fcntl(kept, F_DUPFD_CLOEXEC, 0);
}

static int memfd_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const MemfdFileEntry *memfd = entry->memfd;
	const MemfdInodeEntry *inode = inode_of(opener->snapshot, entry);
	const struct made_memfd *made = made_memfd(opener, inode, err);

	if (!made)
		return -1;
	int flags = (int)memfd->flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY);
	autoclose int fd = open_description(opener, made, entry, flags);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open memory file %s",
				  inode->name);
	/* By the first the content was written. */
	bool is_elsewhere = memfd->pos || entry == made->original;
	if (is_elsewhere && !(flags & O_PATH) && lseek(fd, (off_t)memfd->pos, SEEK_SET) < 0)
		return fail_errno(err, ERR_IO,
				  "cannot set the position of memory file %s to %" PRIu64,
				  inode->name, memfd->pos);
	return take_fd(&fd);
}

static int set_flags(struct file_opener *opener, const MemfdInodeEntry *inode,
		     struct made_memfd *made, struct error *err)
{
	if (made->has_flags || !inode->attributes || !inode->attributes->flags)
		return 0;
	autoclose int fd = opener_reopen(opener_kept(opener, made->place), O_RDONLY);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open memory file %s",
				  inode->name);
	made->has_flags = true;
	return inode_attributes_set_flags(inode->attributes, fd, inode->name, err);
}

static int memfd_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			 struct error *err)
{
	const MemfdInodeEntry *inode = inode_of(opener->snapshot, entry);
	struct made_memfd *made = made_memfd(opener, inode, err);

	(void)fd;
	if (!made || set_flags(opener, inode, made, err))
		return -1;
	if (!made->late_seals)
		return 0;
	if (seal(opener_kept(opener, made->place), inode, made->late_seals, err))
		return -1;
	made->late_seals = 0;
	return 0;
}

static void memfd_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "memory file %u", entry->memfd->inode_id);
}

static void memfd_meets(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "memory file %u", entry->memfd->inode_id);
}

static struct file_fields memfd_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->memfd->fown, &entry->memfd->flags };
}

const struct file_kind memfd_kind = {
	.name = "memory file",
	.type = FD_TYPES__MEMFD,
	.recognise = memfd_recognise,
	.collect = memfd_collect,
	.check = memfd_check,
	.cost = opener_keeps_one,
	.complete = anonymous_files_complete,
	.open = memfd_open,
	.connect = memfd_connect,
	.describe = memfd_describe,
	.meets = memfd_meets,
	.fields = memfd_fields,
};
