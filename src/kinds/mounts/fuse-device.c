// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptors of /dev/fuse: each is a connection by which a driver answers for a file system
 * (kinds/mounts/fuse.c), one more of the same (FUSE_DEV_IOC_CLONE), or one that serves nothing yet.
 * The kernel mounts only by one that was opened in the user namespace that is to own the file
 * system (fuse_fill_super), so it is opened there; by nestor's name for it, /dev/fuse, whatever it
 * was called in the tree.
 *
 * Refused: one whose file system is not mounted in mount namespaces of the tree, or is mounted no
 * more, and any where the kernel's memory, which alone tells what it serves, cannot be read.
 */
#include "kinds/mounts/fuse.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "kernel/deputy.h"
#include "kinds/mounts/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { MISC_MAJOR = 10, FUSE_MINOR = 229, MINOR_BITS = 20 };
/* What private_data says besides where something is (FUSE_DEV_SYNC_INIT). */
enum { POINTER_BITS = 7 };

#define PLACES(X)                              \
	X(FILE_DATA, "file", "private_data")   \
	X(DEVICE_CONNECTION, "fuse_dev", "fc") \
	X(CONNECTION_NUMBER, "fuse_conn", "dev")

KERNEL_PLACES(PLACES, N_PLACES);

bool fuse_device_is(uint32_t major_number, uint32_t minor_number)
{
	return major_number == MISC_MAJOR && minor_number == FUSE_MINOR;
}

static bool recognise(const struct open_file *file)
{
	return S_ISCHR(file->stat.st_mode) && !(file->flags & O_PATH) &&
	       fuse_device_is(major(file->stat.st_rdev), minor(file->stat.st_rdev));
}

/* ---- dump ---- */

int fuse_device_connection(struct collect *collect, int fd, uint64_t *ret_connection,
			   uint32_t *ret_device)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);

	if (result) {
		errno = result > 0 ? EPERM : errno;
		return -1;
	}
	uint64_t device =
		kernel_pointer(by, kernel_file(by, fd), FILE_DATA) & ~(uint64_t)POINTER_BITS;
	*ret_connection = device ? kernel_pointer(by, device, DEVICE_CONNECTION) : 0;
	uint32_t number =
		*ret_connection ? kernel_number(by, *ret_connection, CONNECTION_NUMBER) : 0;
	/* As mounts.h has numbers of devices, which have no major number here. */
	number &= (1U << MINOR_BITS) - 1;
	*ret_device = (number & 0xff) | (number & ~0xffU) << 12;
	return kernel_reader_end(by);
}

static int collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	FuseDeviceEntry *device =
		snapshot_new(file->target->collect->snapshot, FUSE_DEVICE_ENTRY, FuseDeviceEntry);
	int fd = collect_borrow_file(file, err);
	uint64_t connection;

	if (fd < 0)
		return -1;
	if (fuse_device_connection(file->target->collect, fd, &connection, &device->connection))
		return fail_errno(err, ERR_UNSUPPORTED_FILE,
				  "%s: only the kernel's memory tells what it serves", file->what);
	device->id = file->id;
	device->flags = file->flags;
	device->has_connection = connection != 0;
	entry->fuse_device = device;
	return 0;
}

/* ---- check ---- */

const FileEntry *fuse_device_of(const struct snapshot *snapshot, uint32_t connection)
{
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *file = snapshot->files[i];
		if (file->type == FD_TYPES__FUSEDEVICE && file->fuse_device &&
		    file->fuse_device->has_connection &&
		    file->fuse_device->connection == connection)
			return file;
	}
	return NULL;
}

static int check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const FuseDeviceEntry *device = entry->fuse_device;

	if (!device || device->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %" PRIu32 " has no record of a FUSE",
			    entry->id);
	if (!device->has_connection || fuse_mount_of(snapshot, device->connection))
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE,
	     "file %" PRIu32 ": what it serves (FUSE) is not mounted in a mount namespace of the "
	     "tree",
	     entry->id);
	return fail_hint(err, "unmount it, and end its driver, before the dump");
}

/* ---- restore ---- */

struct opening {
	int user_fd, flags, ret_fd;
};

static int open_inside(void *data, struct error *err)
{
	struct opening *opening = data;

	if (opening->user_fd >= 0 && deputy_enter_user(opening->user_fd, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a user namespace");
	opening->ret_fd = open("/dev/fuse", opening->flags | O_CLOEXEC);
	return opening->ret_fd < 0
		       ? fail_errno(err, errno == ENOENT ? ERR_FILE_MISSING : ERR_KERNEL_REFUSED,
				    "cannot open /dev/fuse")
		       : 0;
}

static int open_device(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const FuseDeviceEntry *device = entry->fuse_device;
	const MntEntry *mount =
		device->has_connection ? fuse_mount_of(opener->snapshot, device->connection) : NULL;
	struct opening opening = {
		.user_fd = mount ? fuse_owner_fd(opener->snapshot, opener->user_namespaces, mount)
				 : -1,
		.flags = (int)device->flags & (O_ACCMODE | O_NONBLOCK),
		.ret_fd = -1,
	};

	return deputy_run(open_inside, &opening, err) < 0 ? -1 : opening.ret_fd;
}

int fuse_device_clone(const struct file_opener *opener, const MntEntry *entry, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;
	const FileEntry *first = fuse_device_of(snapshot, entry->root_dev);
	uint32_t first_fd = (uint32_t)opener_file(opener, first->id);

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *file = snapshot->files[i];
		if (file == first || file->type != FD_TYPES__FUSEDEVICE ||
		    !file->fuse_device->has_connection ||
		    file->fuse_device->connection != entry->root_dev)
			continue;
		if (ioctl(opener_file(opener, file->id), FUSE_DEV_IOC_CLONE, &first_fd))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "file %" PRIu32 ": cannot serve what others do",
					  file->id);
	}
	return 0;
}

static void describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "fuse device%s",
		 entry->fuse_device->has_connection ? "" : ", of nothing yet");
}

static struct file_fields fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->fuse_device->fown, &entry->fuse_device->flags };
}

const struct file_kind fuse_device_kind = {
	.name = "fuse device",
	.type = FD_TYPES__FUSEDEVICE,
	.recognise = recognise,
	.collect = collect,
	.check = check,
	.open = open_device,
	.describe = describe,
	.fields = fields,
};
