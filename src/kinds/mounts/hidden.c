// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounts that a namespace has and that mountinfo does not show: below what was moved or mounted
 * onto "/" (MS_MOVE, mount --rbind / /). Nobody inside sees them, until somebody takes away what is
 * on top. They do not come back, but for a proc and sysfs that matter (revealed.c), which the log
 * tells: as a warning where they are more than copies of others. A file system in memory that
 * nobody else has would be lost with all that is in it, which is refused if there is anything in
 * its files. Below all is what the kernel has begun with (rootfs), in which there is nothing.
 */
#include "kinds/mounts/survey.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "collect/losses.h"
#include "kernel/deputy.h"
#include "kernel/listmount.h"
#include "kinds/mounts/kind.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

struct listing_of_mounts {
	const struct live_namespace *namespace_;
	uint64_t *ids;
	size_t n;
	struct mount_status *all;
	size_t n_all;
};

/* What was unmounted meanwhile is left out. */
static int stat_all(struct listing_of_mounts *listing, uint64_t number)
{
	struct arena *arena = listing->namespace_->collect->arena;

	if (listing->n <= listing->namespace_->table.n_lines)
		return 0;
	listing->all = arena_array(arena, struct mount_status, listing->n + 1);
	for (size_t i = 0; i < listing->n; i++)
		if (mount_stat(number, listing->ids[i], arena, &listing->all[listing->n_all]) == 0)
			listing->n_all++;
		else if (errno != ENOENT)
			return -1;
	return 0;
}

static int fail_list(const struct live_namespace *namespace_, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot list the mounts of %s",
			  namespace_->what);
}

static int list_inside(void *data, struct error *err)
{
	struct listing_of_mounts *listing = data;
	const struct live_namespace *namespace_ = listing->namespace_;

	if (setns(namespace_->fd, CLONE_NEWNS) ||
	    mount_list_own(namespace_->table.root_fd, namespace_->collect->arena, &listing->ids,
			   &listing->n) ||
	    stat_all(listing, 0))
		return fail_list(namespace_, err);
	return 0;
}

/* Kernels before 6.11, and whoever may not make these calls. */
static bool cannot_be_asked(int problem)
{
	return problem == ENOSYS || problem == EINVAL || problem == E2BIG || problem == ENOTTY ||
	       problem == EPERM;
}

static int list_all(struct listing_of_mounts *listing, struct error *err)
{
	const struct live_namespace *namespace_ = listing->namespace_;
	uint64_t number;

	if (mount_namespace_number(namespace_->fd, &number) ||
	    mount_list(number, namespace_->collect->arena, &listing->ids, &listing->n)) {
		if (errno == ENOENT)
			return deputy_run(list_inside, listing, err) < 0 ? -1 : 0;
		listing->n = 0;
		return cannot_be_asked(errno) ? 0 : fail_list(namespace_, err);
	}
	return stat_all(listing, number) ? fail_list(namespace_, err) : 0;
}

static bool is_among(const struct mount_line *lines, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (lines[i].id == id)
			return true;
	return false;
}

static bool is_hidden(const struct mount_table *table, const struct mount_status *mount)
{
	return mount->id != mount->parent_id &&
	       !is_among(table->lines, table->n_lines, mount->id) &&
	       !is_among(table->skipped, table->n_skipped, mount->id);
}

static bool is_shown(const struct mount_table *table, dev_t device)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].device == device)
			return true;
	return false;
}

/* Nestor's own namespace may have it below its root, too. 1, 0, or -1 */
static int is_below_own(const struct mount_survey *survey, struct arena *arena, dev_t device,
			struct error *err)
{
	struct mount_status found;
	uint64_t *ids;
	size_t n;

	if (mount_list_own(survey->own.root_fd, arena, &ids, &n))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot list the mounts of nestor");
	for (size_t i = 0; i < n; i++)
		if (mount_stat(0, ids[i], arena, &found) == 0 && found.device == device)
			return 1;
	return 0;
}

struct used {
	int32_t free_blocks;
	ino_t free_inodes;
	char name[6], pack[6];
};

/*
 * A tmpfs whose size tells that nothing is in its files: by its number, as no path leads to it. 1,
 * 0 (also where that cannot be told), or -1
 */
static int is_empty(const struct mount_status *mount, struct error *err)
{
	const char *size = strncmp(mount->options, "size=", 5) == 0
				   ? mount->options
				   : strstr(mount->options, ",size=");
	const unsigned number = (minor(mount->device) & 0xff) | major(mount->device) << 8 |
				(minor(mount->device) & ~0xffU) << 12;
	struct used used = { 0 };
	struct statfs usual;

	if (strcmp(mount->type, "tmpfs") != 0)
		return 0;
	autoclose int fd = mount_new_tmpfs();
	if (fd < 0 || fstatfs(fd, &usual))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at a tmpfs");
	uint64_t blocks =
		size ? strtoull(strchr(size, '=') + 1, NULL, 10) * 1024 / (uint64_t)usual.f_bsize
		     : usual.f_blocks;
	if (syscall(SYS_ustat, number, &used) == 0)
		return blocks && used.free_blocks == (int32_t)blocks;
	return errno_tells_nothing(errno)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at a tmpfs")
		       : 0;
}

/* Shown by the tree, or nestor's own namespace: what is hidden is a copy, and lost is nothing. */
static bool is_elsewhere(const struct mount_survey *survey, dev_t device)
{
	bool found = is_shown(&survey->own, device);

	for (size_t i = 0; !found && i < survey->n_namespaces; i++)
		found = is_shown(&survey->namespaces[i].table, device);
	return found;
}

static int check_content(const struct live_namespace *namespace_, const struct mount_status *mount,
			 struct error *err)
{
	struct collect *collect = namespace_->collect;
	const struct mount_survey *survey = survey_of_mounts(collect);
	const struct mount_kind *kind = mount_kind_of_type(mount->type);

	if (!kind || !kind->content || is_elsewhere(survey, mount->device))
		return 0;
	int fine = is_below_own(survey, collect->arena, mount->device, err);
	if (fine == 0)
		fine = is_empty(mount, err);
	if (fine || loss_is_accepted(collect, LOSS_HIDDEN_MOUNTS))
		return fine < 0 ? -1 : 0;
	fail(err, ERR_STATE_LOST,
	     "%s has a %s below its root, where nobody sees it: what is in it would be lost",
	     namespace_->what, mount->type);
	fail_hint(err, "--force-lost hidden-mounts dumps without it");
	fail_option(err, "--force-lost", "hidden-mounts");
	return collect_pass(collect, err);
}

static int check_hidden(const struct live_namespace *namespace_, const struct mount_status *all,
			size_t n, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(namespace_->collect);
	size_t hidden = 0, copies = 0;

	for (size_t i = 0; i < n; i++) {
		if (!is_hidden(&namespace_->table, &all[i]))
			continue;
		hidden++;
		copies += is_elsewhere(survey, all[i].device);
		if (check_content(namespace_, &all[i], err))
			return -1;
	}
	if (hidden)
		log_line(hidden > copies ? LOG_WARNING : LOG_INFO, "collect", namespace_->what,
			 "%zu mounts below the root of its namespace, which nobody sees, do not "
			 "come back; %zu of them are copies of others",
			 hidden, copies);
	return 0;
}

int mount_hidden_collect(struct live_namespace *namespace_, struct error *err)
{
	struct listing_of_mounts listing = { .namespace_ = namespace_ };

	if (list_all(&listing, err))
		return -1;
	if (!namespace_->detached && check_hidden(namespace_, listing.all, listing.n_all, err))
		return -1;
	return mount_revealed_collect(namespace_, listing.all, listing.n_all, err);
}
