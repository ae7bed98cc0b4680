// SPDX-License-Identifier: LGPL-2.1-or-later
/* See made-as.h. */
#include "kernel/made-as.h"

#include <errno.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call(long nr, struct __user_cap_data_struct *capabilities)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(nr, &header, capabilities);
}

/*
 * The effective user, too, since the owner of a user namespace may do all there without
 * capabilities (cap_capable). The C library's calls would change all threads.
 */
static void lose_capabilities(const struct made_as *before, uid_t uid, gid_t gid)
{
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	memcpy(none, before->capabilities, sizeof none);
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		none[i].effective = 0;
	syscall(SYS_setresgid, -1, gid, -1);
	syscall(SYS_setresuid, -1, uid, -1);
	call(SYS_capset, none);
}

struct made_as made_as_begin(uid_t uid, gid_t gid, bool without_capabilities)
{
	struct made_as before = {
		.has_ids = true,
		.is_dumpable = prctl(PR_GET_DUMPABLE) == 1,
		.effective_uid = geteuid(),
		.effective_gid = getegid(),
	};

	before.is_powerless = without_capabilities && call(SYS_capget, before.capabilities) == 0;
	before.gid = (gid_t)setfsgid(gid);
	before.uid = (uid_t)setfsuid(uid);
	if (before.is_powerless)
		lose_capabilities(&before, uid, gid);
	return before;
}

int made_as_without(unsigned capability, struct made_as *ret_before)
{
	struct __user_cap_data_struct fewer[_LINUX_CAPABILITY_U32S_3];

	memset(ret_before, 0, sizeof *ret_before);
	if (call(SYS_capget, ret_before->capabilities) < 0)
		return -1;
	memcpy(fewer, ret_before->capabilities, sizeof fewer);
	fewer[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
	if (call(SYS_capset, fewer) < 0)
		return -1;
	ret_before->lacks_one = true;
	return 0;
}

void made_as_end(const struct made_as *before)
{
	struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];
	int failure = errno;

	/* The real user, and the permitted capabilities, have stayed. */
	if (before->is_powerless) {
		syscall(SYS_setresuid, -1, before->effective_uid, -1);
		syscall(SYS_setresgid, -1, before->effective_gid, -1);
	}
	/* Back at user 0 it has the capabilities of file accesses again (capabilities(7)). */
	if (before->has_ids) {
		setfsuid(before->uid);
		setfsgid(before->gid);
	}
	memcpy(capabilities, before->capabilities, sizeof capabilities);
	if (before->is_powerless || before->lacks_one)
		call(SYS_capset, capabilities);
	/* Each change of ids takes it from the whole process (commit_creds). */
	if (before->is_dumpable)
		prctl(PR_SET_DUMPABLE, 1);
	errno = failure;
}
