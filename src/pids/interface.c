// SPDX-License-Identifier: LGPL-2.1-or-later
/* The public interface of the last-pid vector, <nestor/last-pids.h>, over last-pids.h. */
#include "pids/last-pids.h"

#include <errno.h>
#include <fcntl.h>
#include <nestor/last-pids.h>

static int number_of(const struct error *err)
{
	switch (err->name) {
	case ERR_TOO_MANY_LEVELS:
		return -E2BIG;
	case ERR_PID_IN_USE:
		return -EEXIST;
	case ERR_PID_OUT_OF_RANGE:
		return -ERANGE;
	case ERR_NO_PRIVILEGE:
		return -EPERM;
	case ERR_NOT_A_PID_NAMESPACE:
		return -EINVAL;
	case ERR_TASK_DIED:
		return -ECHILD;
	default:
		return err->os_errno ? -err->os_errno : -EIO;
	}
}

static int look_and_set(struct last_pids *pids, const uint32_t *numbers, size_t count,
			struct error *err)
{
	if (last_pids_check(pids, numbers, count, err))
		return -1;
	return last_pids_set(pids, numbers, count, err);
}

/* 0, or the negative error number with its level. */
static int set(int pid_ns_fd, const uint32_t *numbers, size_t count, size_t *ret_level)
{
	struct error err = { 0 };
	struct last_pids *pids = last_pids_open(pid_ns_fd, &err);

	if (pids && look_and_set(pids, numbers, count, &err))
		*ret_level = last_pids_failed_level(pids);
	last_pids_close(pids);
	return err.name == ERR_NONE ? 0 : number_of(&err);
}

int nestor_set_last_pids(int pid_ns_fd, const pid_t *last_pids, size_t count, size_t *ret_level)
{
	uint32_t numbers[MAX_LAST_PID_LEVELS] = { 0 };
	size_t level = count;
	int result = 0;

	if (fcntl(pid_ns_fd, F_GETFD) < 0)
		result = -EBADF;
	/* What is negative is above every pid_max, too. */
	for (size_t i = 0; i < count && i < MAX_LAST_PID_LEVELS; i++)
		numbers[i] = (uint32_t)last_pids[i];
	if (result == 0)
		result = set(pid_ns_fd, numbers, count, &level);
	if (result && ret_level)
		*ret_level = level;
	return result;
}
