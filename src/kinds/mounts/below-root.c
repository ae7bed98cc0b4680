// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounts that are below what is mounted over the root of their namespace (mount --move . /, a bind
 * of / on itself). Who enters a namespace is on top of these (mntns_install, fs/namespace.c), and
 * so nothing that is read there shows them. Tasks that were there before have their directories on
 * them, and all that is mounted below these. Where they see nothing but what is seen from the top
 * as well, they come back there; otherwise they would lose it, and are refused. Kernels before 6.8
 * cannot be asked whether such a mount is in the namespace.
 */
#include "kinds/mounts/survey.h"

#include "kernel/deputy.h"
#include "kernel/listmount.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

struct look {
	int namespace_fd, fd;
	struct arena *arena;
	bool ret_listed;
};

/* Who is inside may ask for what is below the root, too. */
static int look_inside(void *data, struct error *err)
{
	struct look *look = data;
	struct mount_status status;
	uint64_t unique;

	if (setns(look->namespace_fd, CLONE_NEWNS))
		return survey_fail_enter("mount", err);
	look->ret_listed = mount_find(0, look->fd, 0, look->arena, &unique) == 0 &&
			   mount_stat(0, unique, look->arena, &status) == 0;
	return look->ret_listed || !errno_tells_nothing(errno)
		       ? 0
		       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for a mount");
}

static bool has_line(const struct mount_table *table, const struct mount_line *line)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].device == line->device &&
		    strcmp(table->lines[i].mountpoint, line->mountpoint) == 0 &&
		    strcmp(table->lines[i].root, line->root) == 0)
			return true;
	return false;
}

/* Is all that the task sees seen from the top too? 1, 0, or -1 */
static int sees_the_same(struct collect *collect, struct target *target,
			 const struct surveyed_namespace *met, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	struct mount_line *lines;
	size_t n;

	char *text = target_read(target, "mountinfo", err);
	if (!text || mountinfo_parse(text, collect->arena, &lines, &n, err))
		return -1;
	for (size_t i = 0; i < survey->n_namespaces; i++)
		for (size_t k = 0; survey->namespaces[i].met == met && k < n; k++)
			if (!has_line(&survey->namespaces[i].table, &lines[k]))
				return 0;
	return 1;
}

int mount_is_below_root(struct collect *collect, struct target *target, int fd, struct error *err)
{
	const struct surveyed_namespace *met = survey_add_task(target, NAMESPACE_MNT, err);

	if (!met || met->own)
		return met ? 0 : -1;
	struct look look = { met->fd, fd, collect->arena, false };
	if (deputy_run(look_inside, &look, err) < 0)
		return -1;
	int same = look.ret_listed ? sees_the_same(collect, target, met, err) : 1;
	return same < 0 ? -1 : !same;
}
