// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading what is mounted in a namespace: a deputy enters it and opens its root directory and its
 * mountinfo, which from there shows all mounts, whatever the root directories of tasks are. The
 * /proc is that of nestor, as theirs may show less or be none.
 */
#include "kinds/mounts/survey.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

struct entering {
	int namespace_fd, proc_fd; /* namespace_fd -1: stay */
	int ret_root_fd, ret_mountinfo_fd;
};

int survey_fail_enter(const char *type, struct error *err)
{
	return fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
			  "cannot enter a %s namespace", type);
}

static int enter(void *data, struct error *err)
{
	struct entering *entering = data;

	if (entering->namespace_fd >= 0 && setns(entering->namespace_fd, CLONE_NEWNS))
		return survey_fail_enter("mount", err);
	entering->ret_mountinfo_fd =
		openat(entering->proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	entering->ret_root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (entering->ret_mountinfo_fd < 0 || entering->ret_root_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read a mount namespace");
	return 0;
}

static int read_whole(int fd, struct arena *arena, char **ret_text)
{
	size_t room = 64 * 1024, length = 0;
	char *text = malloc(room);

	for (ssize_t size = 1; text && size;) {
		if (length + 1 == room)
			text = realloc(text, room *= 2);
		size = text ? read(fd, text + length, room - length - 1) : -1;
		if (size < 0) {
			free(text);
			return -1;
		}
		length += (size_t)size;
	}
	if (!text)
		return -1;
	text[length] = '\0';
	*ret_text = arena_copy(arena, text, length + 1);
	free(text);
	return 0;
}

/* The root of a mount that was removed since is marked in mountinfo. */
static void strip_removed(struct arena *arena, struct mount_line *line)
{
	size_t root = strlen(line->root), suffix = strlen(REMOVED_ROOT);

	if (root < suffix || strcmp(line->root + root - suffix, REMOVED_ROOT) != 0)
		return;
	char *path = arena_string(arena, line->root);
	path[root - suffix] = '\0';
	line->root = *path ? path : "/";
	line->removed = true;
}

int mount_table_read(struct collect *collect, int namespace_fd, struct mount_table *table,
		     struct error *err)
{
	struct arena *arena = collect->arena;
	autoclose int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct entering entering = { namespace_fd, proc_fd, -1, -1 };
	char *text;

	if (proc_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open /proc");
	int result = deputy_run(enter, &entering, err);
	autoclose int mountinfo_fd = entering.ret_mountinfo_fd;
	table->root_fd = entering.ret_root_fd;
	table->collect = collect;
	if (result < 0)
		return -1;
	if (read_whole(mountinfo_fd, arena, &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read mountinfo");
	if (mountinfo_parse(text, arena, &table->lines, &table->n_lines, err))
		return -1;
	for (size_t i = 0; namespace_fd >= 0 && i < table->n_lines; i++)
		strip_removed(arena, &table->lines[i]);
	return 0;
}
