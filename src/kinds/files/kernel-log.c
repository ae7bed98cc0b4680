// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * /dev/kmsg: each description that is read has a place of its own in the kernel's log, the number
 * of the record that it reads next (devkmsg_read), which nothing shows. Who has read all is before
 * the first one that is still to come, and comes there again by reading: nothing is lost, and
 * nothing told twice, as long as it is the log of the same boot. Where that is another, it goes on
 * after as many records, or at the end.
 *
 * Refused while something waits to be read.
 */
#include "kinds/files/kernel-log.h"

#include "base/cleanup.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MEMORY_DEVICES = 1, KERNEL_LOG = 11 };
enum { LONGEST = 8192 }; /* PRINTKRB_RECORD_MAX, and more */

bool kernel_log_is(dev_t device)
{
	return device == makedev(MEMORY_DEVICES, KERNEL_LOG);
}

/* 1 and its number, 0 at the end, -1 with errno. What was overwritten meanwhile is left out. */
static int read_record(int fd, uint64_t *ret_number)
{
	char record[LONGEST];
	ssize_t length;

	do
		length = read(fd, record, sizeof record - 1);
	while (length < 0 && (errno == EPIPE || errno == EINTR));
	if (length < 0)
		return errno == EAGAIN ? 0 : -1;
	record[length] = '\0';
	errno = EPROTO;
	return sscanf(record, "%*u,%" SCNu64, ret_number) == 1 ? 1 : -1;
}

/* The number of the next record that will be written; or -1. */
static int find_end(const struct open_file *file, int fd, uint64_t *ret_next, struct error *err)
{
	char path[64];
	int result;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	autoclose int own_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	*ret_next = 0;
	if (own_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot be opened", file->what);
	for (uint64_t number; (result = read_record(own_fd, &number)) > 0;)
		*ret_next = number + 1;
	return result < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot be read", file->what)
			  : 0;
}

int kernel_log_collect(const struct open_file *file, RegFileEntry *reg, struct error *err)
{
	if (!S_ISCHR(file->stat.st_mode) || !kernel_log_is(file->stat.st_rdev) ||
	    file->flags & O_PATH || (file->flags & O_ACCMODE) == O_WRONLY ||
	    file->target->collect->looking)
		return 0;
	autoclose int fd = collect_get_file(file, err);
	struct pollfd state = { .fd = fd, .events = POLLIN };

	/* In this order: what is written meanwhile is something that it has not read. */
	if (fd < 0 || find_end(file, fd, &reg->kernel_log_next, err))
		return -1;
	reg->has_kernel_log_next = true;
	int ready = poll(&state, 1, 0);
	if (ready < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell what is unread",
				  file->what);
	if (ready == 0)
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE, "%s has records of the kernel's log that it has not read",
	     file->what);
	return fail_passing(err);
}

/* Up to the one before the next. -1 with errno. */
static int skip_read(int fd, uint64_t next)
{
	uint64_t number = 0;
	int result = 1;

	for (bool first = true; result > 0 && number + 1 < next; first = false) {
		result = read_record(fd, &number);
		/* Those that it had read are no longer there: what is, it has not seen. */
		if (result > 0 && first && number >= next)
			return lseek(fd, 0, SEEK_SET) < 0 ? -1 : 0;
	}
	return result < 0 ? -1 : 0;
}

int kernel_log_go_on(const RegFileEntry *reg, int fd, struct error *err)
{
	const int flags = fcntl(fd, F_GETFL);

	if (!reg->has_kernel_log_next || !reg->kernel_log_next)
		return 0;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    skip_read(fd, reg->kernel_log_next) || fcntl(fd, F_SETFL, flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot find the place in %s",
				  reg->name);
	return 0;
}
