// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files that tell of pressure (PSI): /proc/pressure/ and *.pressure of cgroups. Who writes to one
 * is told by poll(2) when the stall is more than that, once for each description. What was written
 * shows nowhere but in the kernel's memory. With CAP_SYS_RESOURCE at its opening it may be any
 * window, else one of whole pairs of seconds, seen to more rarely (psi_trigger_create, 6.5): so it
 * is opened with that right again, or without it.
 *
 * Refused: where that memory cannot be read, what was opened to be written; one of proc that is
 * mounted by itself. What has been told and not polled is lost, if a person says that it may be;
 * what would be told at the end of its window is told again by the next stall (pending_event).
 */
#include "kinds/files/pressure.h"

#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/read-kernel.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PLACES(X)                                        \
	X(FILE_DATA, "file", "private_data")             \
	X(FILE_RIGHTS, "file", "f_cred")                 \
	X(EFFECTIVE, "cred", "cap_effective")            \
	X(SEQUENCE_DATA, "seq_file", "private")          \
	X(OPEN_DATA, "kernfs_open_file", "priv")         \
	X(CGROUP_FILE_TRIGGER, "cgroup_file_ctx", "psi") \
	X(TRIGGER_STATE, "psi_trigger", "state")         \
	X(TRIGGER_THRESHOLD, "psi_trigger", "threshold") \
	X(TRIGGER_WINDOW, "psi_trigger", "win")          \
	X(TRIGGER_EVENT, "psi_trigger", "event")         \
	X(WINDOW_SIZE, "psi_window", "size")

KERNEL_PLACES(PLACES, N_PLACES);

enum {
	NANOSECONDS = 1000,		/* of a microsecond */
	LEAST_WINDOW = 500000,		/* WINDOW_MIN_US */
	LARGEST_WINDOW = 10000000,	/* WINDOW_MAX_US */
	WINDOW_WITHOUT_RIGHT = 2000000, /* and multiples */
	PSI_IRQ_FULL = 6,		/* all others alternate: some, full (enum psi_states) */
};

/* What a file waits for; a threshold of 0: nothing. */
struct trigger {
	uint64_t threshold, window; /* in nanoseconds */
	uint32_t state;
	bool is_told, is_privileged;
};

/* Of a resource: the file cgroup.pressure switches them on and off. */
static bool is_name(const char *path, bool in_proc)
{
	static const char *const resources[] = { "cpu", "memory", "io", "irq" };
	size_t all = strlen(path);

	for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
		char name[sizeof "/pressure/memory"];
		snprintf(name, sizeof name, in_proc ? "/pressure/%s" : "/%s.pressure",
			 resources[i]);
		size_t length = strlen(name);
		if (all >= length && strcmp(path + all - length, name) == 0)
			return true;
	}
	return false;
}

/*
 * Is it really one? Of cgroups no other file takes what is written to these; one of proc may be
 * mounted by itself, and have any name then. 1, 0, or -1 with errno.
 */
static int is_pressure(int fd)
{
	char name[32], link[PATH_MAX];
	struct statfs file_system;
	struct statx stat;

	if (fstatfs(fd, &file_system) || statx(fd, "", AT_EMPTY_PATH, 0, &stat) < 0)
		return -1;
	if (file_system.f_type == CGROUP2_SUPER_MAGIC)
		return 1;
	if (file_system.f_type != PROC_SUPER_MAGIC || stat.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return 0;
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(name, link, sizeof link - 1);
	if (length < 0)
		return -1;
	link[length] = '\0';
	return is_name(link, true);
}

/* Both have a seq_file, whose data is the trigger in proc, and the open file of kernfs else. */
static uint64_t find_trigger(struct kernel_reader *by, const struct open_file *file,
			     uint64_t in_kernel)
{
	uint64_t data = kernel_pointer(by, kernel_pointer(by, in_kernel, FILE_DATA), SEQUENCE_DATA);

	return file->file_system == PROC_SUPER_MAGIC
		       ? data
		       : kernel_pointer(by, kernel_pointer(by, data, OPEN_DATA),
					CGROUP_FILE_TRIGGER);
}

/* 1: it cannot be seen; -1 with errno. */
static int read_trigger(const struct open_file *file, int fd, struct trigger *ret)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(file->target->collect, &places, &by);

	memset(ret, 0, sizeof *ret);
	if (result)
		return result;
	uint64_t in_kernel = kernel_file(by, fd), trigger = find_trigger(by, file, in_kernel);
	ret->is_privileged =
		kernel_number(by, kernel_pointer(by, in_kernel, FILE_RIGHTS), EFFECTIVE) &
		CAP_TO_MASK(CAP_SYS_RESOURCE);
	if (trigger) {
		ret->threshold = kernel_pointer(by, trigger, TRIGGER_THRESHOLD);
		ret->window =
			kernel_pointer(by, kernel_inside(by, trigger, TRIGGER_WINDOW), WINDOW_SIZE);
		ret->state = kernel_number(by, trigger, TRIGGER_STATE);
		ret->is_told = kernel_number(by, trigger, TRIGGER_EVENT);
	}
	return kernel_reader_end(by);
}

/* Can it be had again? Nestor's right is that of the initial user namespace, or of its own. */
static int check_rights(const PressureEntry *pressure, const char *what, struct error *err)
{
	struct capability_sets own;

	if (!pressure->privileged ||
	    (pressure->has_threshold && pressure->window % WINDOW_WITHOUT_RIGHT == 0))
		return 0;
	if (kernel_capget(0, &own))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot ask for our capabilities",
				  what);
	if (own.effective & UINT64_C(1) << CAP_SYS_RESOURCE)
		return 0;
	fail(err, ERR_NO_PRIVILEGE,
	     "%s was opened with CAP_SYS_RESOURCE, to be told of pressure at any interval", what);
	return fail_hint(err, "run nestor with CAP_SYS_RESOURCE");
}

static PressureEntry *new_record(const struct trigger *trigger, struct arena *arena)
{
	PressureEntry *pressure = arena_new(arena, PressureEntry);

	pressure_entry__init(pressure);
	pressure->privileged = trigger->is_privileged;
	pressure->has_threshold = pressure->has_window = trigger->threshold > 0;
	pressure->threshold = (uint32_t)(trigger->threshold / NANOSECONDS);
	pressure->window = (uint32_t)(trigger->window / NANOSECONDS);
	pressure->has_full = pressure->full = trigger->state == PSI_IRQ_FULL || trigger->state % 2;
	return pressure;
}

int pressure_collect(const struct open_file *file, const char *kernel_path, RegFileEntry *reg,
		     struct error *err)
{
	bool in_proc = file->file_system == PROC_SUPER_MAGIC;
	struct trigger trigger;

	if ((!in_proc && file->file_system != CGROUP2_SUPER_MAGIC) || !kernel_path ||
	    !is_name(kernel_path, in_proc) || (file->flags & O_ACCMODE) == O_RDONLY)
		return 0;
	int fd = collect_borrow_file(file, err);
	if (fd < 0)
		return -1;
	int result = is_pressure(fd);
	if (result == 0)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s: a file of pressure mounted by itself",
			    file->what);
	result = result < 0 ? -1 : read_trigger(file, fd, &trigger);
	if (result < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see what it waits for",
				  file->what);
	if (result) {
		fail(err, ERR_UNSUPPORTED_FILE, "%s: what pressure it waits for cannot be seen",
		     file->what);
		return fail_hint(err, "it is in the kernel's memory: run nestor with CAP_BPF and "
				      "CAP_PERFMON in the initial user namespace");
	}
	if (trigger.is_told)
		loss_add(file->target, file->target->living, LOSS_PRESSURE_EVENTS,
			 "there is an event that nobody has polled");
	reg->pressure = new_record(&trigger, file->target->collect->snapshot->arena);
	return check_rights(reg->pressure, file->what, err);
}

int pressure_check(const RegFileEntry *reg, struct error *err)
{
	const PressureEntry *pressure = reg->pressure;

	if (!pressure || (!pressure->has_threshold && !pressure->has_window))
		return 0;
	if ((reg->flags & O_ACCMODE) != O_RDONLY && !(reg->flags & O_PATH) && pressure->threshold &&
	    pressure->threshold <= pressure->window && pressure->window >= LEAST_WINDOW &&
	    pressure->window <= LARGEST_WINDOW)
		return 0;
	return fail(err, ERR_IMAGE_INVALID, "file %u (%s) waits for pressure as none can", reg->id,
		    reg->name);
}

int pressure_begin(const RegFileEntry *reg, struct made_as *ret_before, struct error *err)
{
	if (check_rights(reg->pressure, reg->name, err))
		return -1;
	if (!reg->pressure->privileged && made_as_without(CAP_SYS_RESOURCE, ret_before))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s with fewer rights",
				  reg->name);
	return 0;
}

int pressure_give(const RegFileEntry *reg, int fd, struct error *err)
{
	const PressureEntry *pressure = reg->pressure;
	char text[64];
	int is_one = is_pressure(fd);

	if (is_one <= 0)
		return is_one < 0
			       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell what %s is",
					    reg->name)
			       : fail(err, ERR_FILE_CHANGED,
				      "%s tells of no pressure, as it did when the tree was dumped",
				      reg->name);
	if (!pressure->has_threshold)
		return 0;
	/* With its zero, which the kernel writes over the last byte (psi_write). */
	int length =
		snprintf(text, sizeof text, "%s %" PRIu32 " %" PRIu32,
			 pressure->full ? "full" : "some", pressure->threshold, pressure->window);
	if (write(fd, text, (size_t)length + 1) == length + 1)
		return 0;
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot let it wait for \"%s\"", reg->name,
			  text);
}
