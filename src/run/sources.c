// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Opening what tasks fetch: each open file description once, with ordinary code, before the first
 * process exists. The numbers that the plan gives them may be in use here (log, images), so
 * they are anywhere here, and where they belong only in who makes the first task (place.c).
 *
 * Where there are more than may be open, they are left to processes that do nothing but hold them
 * (holders.c); their numbers are whatever they were here, and are told to the programs.
 */
#include "base/cleanup.h"
#include "images/images.h"
#include "kernel/syscalls.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the tree is born with, until its tasks set their own. */
static void raise_limits_of_tasks(void)
{
	const __rlimit_resource_t resources[] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK,
						  RLIMIT_NPROC };
	struct rlimit limit;

	for (size_t i = 0; i < sizeof resources / sizeof *resources; i++)
		if (getrlimit(resources[i], &limit) == 0 && limit.rlim_cur != limit.rlim_max) {
			limit.rlim_cur = limit.rlim_max;
			setrlimit(resources[i], &limit);
		}
}

/* A number that no descriptor of the tree reaches; sources get those above. */
static rlim_t numbers_of_tree(const struct snapshot *snapshot)
{
	rlim_t numbers = 0;

	for (size_t i = 0; i < snapshot->n_tables; i++) {
		const struct descriptor_table *table = snapshot->tables[i];
		size_t n = table->n_descriptors;
		rlim_t own = n ? (rlim_t)table->descriptors[n - 1]->fd + 1 : 0;
		numbers = own > numbers ? own : numbers;
	}
	return numbers;
}

int run_raise_limits(const struct snapshot *snapshot, struct error *err)
{
	struct rlimit limit;
	/* Every description, and what kinds keep besides it. */
	rlim_t wanted = numbers_of_tree(snapshot) + 2 * snapshot->n_files + 1024;

	raise_limits_of_tasks();
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the limit of open files");
	if (limit.rlim_cur >= wanted || limit.rlim_cur == limit.rlim_max)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot raise the limit of open files");
	return 0;
}

static int open_file(struct run *run, const struct source *source, struct error *err)
{
	const FileEntry *entry = source->file;
	const struct file_kind *kind = entry ? kind_of_file(run->plan->kinds, entry) : NULL;

	if (!kind)
		return fail(err, ERR_UNSUPPORTED_FILE, "open file %" PRIu64 " is of no known kind",
			    source->id);
	return kind->open(&run->opener, entry, err);
}

/* Is it at hand for as long as sources are? Then one descriptor will do. */
static bool is_borrowed(const struct source *source)
{
	return source->kind == SOURCE_NAMESPACE && source->way == FILE_EARLY;
}

static int open_made_namespace(const struct run *run, const struct source *source,
			       struct error *err)
{
	int fd = run_namespace(run, (uint32_t)source->id);

	if (fd >= 0 && !is_borrowed(source))
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "no namespace %" PRIu64, source->id)
		      : fd;
}

/* The directories above a core file; what tasks make in there is made with their own ids. */
static int make_directories(int root_fd, const char *pattern)
{
	autoclose int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	const char *at = pattern + strspn(pattern, "/"), *end;

	for (; (end = strchr(at, '/')); at = end + strspn(end, "/")) {
		char name[256];
		snprintf(name, sizeof name, "%.*s", (int)(end - at), at);
		if (strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
			continue;
		/* Whatever the umask. */
		if (mkdirat(fd, name, 0777) < 0 || fchmodat(fd, name, 0777, 0) < 0)
			return -1;
		int next = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next < 0)
			return -1;
		close(fd);
		fd = next;
	}
	return 0;
}

/* A file system that is mounted nowhere: gone with the last process that has it. */
static int open_core_directory(const char *pattern, struct error *err)
{
	autoclose int context_fd = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	autoclose int mount_fd = -1;

	if (context_fd >= 0 &&
	    syscall(SYS_fsconfig, context_fd, FSCONFIG_SET_STRING, "mode", "0777", 0) == 0 &&
	    syscall(SYS_fsconfig, context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount_fd = (int)syscall(SYS_fsmount, context_fd, FSMOUNT_CLOEXEC, 0);
	if (mount_fd < 0 || make_directories(mount_fd, pattern) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a place for a core file");
	return take_fd(&mount_fd);
}

static const struct source_opener *find_opener(const struct run *run, enum source_kind kind)
{
	const struct source_opener *const *row = run->plan->kinds->sources;

	while (row && *row && (*row)->kind != kind)
		row++;
	return row ? *row : NULL;
}

static int open_source(struct run *run, const struct source *source, struct error *err)
{
	const struct source_opener *opener = find_opener(run, source->kind);
	int fd;

	if (opener)
		return opener->open(&run->opener, run->plan, source->id, err);
	switch (source->kind) {
	case SOURCE_FILE:
		return open_file(run, source, err);
	case SOURCE_PAGES:
		return images_open_pages(run->images, source->id, err);
	case SOURCE_NAMESPACE:
		return open_made_namespace(run, source, err);
	case SOURCE_CORE_DIRECTORY:
		return open_core_directory(run->plan->facts->core_pattern, err);
	case SOURCE_PROC:
		fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? fail_errno(err, ERR_NO_PROC, "cannot open /proc") : fd;
	case SOURCE_LATE_HOLDER:
		fd = kernel_pidfd_open(getpid(), 0);
		return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a pidfd") : fd;
	case SOURCE_SHARED_MEMORY:
	case SOURCE_CGROUP:
	case SOURCE_TERMINAL: /* rows of the table */
	case SOURCE_COORDINATOR:
		break;
	}
	return fail(err, ERR_IMAGE_UNSUPPORTED, "unknown kind of source %u", source->kind);
}

static const int *user_namespaces(const struct run *run)
{
	const struct snapshot *snapshot = run->plan->snapshot;
	int *fds = arena_array(run->arena, int, snapshot->n_user_namespaces);

	for (size_t i = 0; i < snapshot->n_user_namespaces; i++)
		fds[i] = run_user_namespace(run, snapshot->user_namespaces[i]->base.id);
	return fds;
}

static int opened_file(const struct file_opener *opener, uint32_t file_id)
{
	const struct run *run = opener->run;
	const struct source *source = plan_find_source(run->plan, SOURCE_FILE, file_id);

	return source ? run_source_fd(run, (size_t)(source - run->plan->sources)) : -1;
}

static pid_t pid_of_number(const struct file_opener *opener, uint32_t number)
{
	return run_pid_of_number(opener->run, number);
}

void run_prepare_sources(struct run *run)
{
	const struct plan *plan = run->plan;

	run->opener = (struct file_opener){
		.snapshot = plan->snapshot,
		.images = run->images,
		.arena = run->arena,
		.root_fd = run->options->root_fd,
		.externals = plan->externals,
		.expect_leftover = run_expect_leftover,
		.leftovers = run,
		.undo = &run->undo,
		.call = run_call,
		.caller = run_caller,
		.file = opened_file,
		.pid = pid_of_number,
		.run = run,
	};
	run->sources_floor = plan->first_source;
	run->source_fds = arena_array(run->arena, int, plan->n_sources + 1);
	run_prepare_holders(run);
	for (size_t i = 0; i < plan->n_sources; i++) {
		run->source_fds[i] = -1;
		if (plan->sources[i].way == FILE_EARLY && !plan->sources[i].holder &&
		    plan->sources[i].number >= run->sources_floor)
			run->sources_floor = plan->sources[i].number + 1;
	}
}

static int find_processes(struct run *run, struct error *err)
{
	pid_t *pids = arena_array(run->arena, pid_t, run->n_tasks + 1);

	if (run_find_task_pids(run, pids, err))
		return -1;
	run->opener.pids = pids;
	/* The first task, or the init of a fresh namespace. */
	run->opener.level_0 = run->plan->own_pid_namespace ? run->child : getpid();
	return 0;
}

/* What a task has opened itself. */
static int take(const struct run *run, const struct source *source, struct error *err)
{
	pid_t pid = run->opener.pids[source->opened_by->index];
	autoclose int pidfd = kernel_pidfd_open(pid, 0);
	int fd = pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, (int)source->opened_at, 0);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "task %s: cannot take descriptor %" PRIu32,
				  task_name(source->opened_by), source->opened_at);
	return fd;
}

/* All namespaces that are not late are made by now, and for late sources all processes. */
static int prepare_opener(struct run *run, enum file_way way, struct error *err)
{
	if (!run->opener.user_namespaces)
		run->opener.user_namespaces = user_namespaces(run);
	run->opener.plain_namespaces = run_plain_namespaces(run);
	return way != FILE_EARLY && !run->opener.pids ? find_processes(run, err) : 0;
}

int run_make_trees(struct run *run, struct error *err)
{
	const struct snapshot *snapshot = run->plan->snapshot;
	int *plain = run_plain_namespaces(run);

	if (prepare_opener(run, FILE_LATE, err) || trees_make(&run->opener, err))
		return -1;
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++) {
		const struct namespace *namespace_ = snapshot->plain_namespaces[i];
		const struct namespace_kind *kind = run->plan->kinds->namespaces[namespace_->type];
		int made = kind && kind->made ? kind->made(&run->opener, namespace_) : -1;
		if (made < 0)
			continue;
		int fd = fcntl(made, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot keep a namespace");
		plain[namespace_->index] = fd;
	}
	return 0;
}

int run_open_source(struct run *run, size_t index, struct error *err)
{
	const struct source *source = &run->plan->sources[index];

	/* Kinds may have got again what holders have, for each that was opened before. */
	if (prepare_opener(run, source->way, err) || run->opener.make_room(&run->opener, err))
		return -1;
	int fd = source->way == FILE_BY_TASK ? take(run, source, err)
					     : open_source(run, source, err);
	if (fd < 0)
		return -1;
	run->source_fds[index] = fd;
	run->n_late_here += source->way != FILE_EARLY;
	if (source->number_slot && source->way != FILE_EARLY)
		*slot_at(source->number_slot) = (uint64_t)run->source_fds[index];
	return 0;
}

int run_connect_source(struct run *run, size_t index, struct error *err)
{
	const struct kind_table *table = run->plan->kinds;
	const FileEntry *entry = run->plan->sources[index].file;
	const struct file_kind *kind = kind_of_file(table, entry);
	uint32_t holder = run->source_holders[index];

	run_forget_fetched(run);
	/* Not among those of which the oldest goes. */
	int fd = holder ? run_fetch(run, holder, run->source_numbers[index])
			: run->source_fds[index];
	run->source_fds[index] = fd;
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot get open file %" PRIu32 " again",
				  entry->id);
	if (kind->connect && kind->connect(&run->opener, entry, fd, err) < 0)
		return -1;
	for (const struct file_aspect *const *aspect = table->aspects; aspect && *aspect; aspect++)
		if ((*aspect)->is_there(entry) &&
		    (*aspect)->connect(&run->opener, entry, fd, err) < 0)
			return -1;
	if (holder)
		close(take_fd(&run->source_fds[index]));
	return 0;
}

void run_close_held(struct run *run)
{
	for (size_t i = 0; i < run->opener.n_held_fds; i++)
		close(run->opener.held_fds[i]);
	run->opener.n_held_fds = 0;
}

int run_before_release(struct run *run, struct error *err)
{
	const struct kind_table *table = run->plan->kinds;

	for (const struct file_kind *const *kind = table ? table->files : NULL; kind && *kind;
	     kind++)
		if ((*kind)->before_release && (*kind)->before_release(&run->opener, err) < 0)
			return -1;
	for (size_t type = 0; table && type < NAMESPACE_TYPES; type++) {
		const struct namespace_kind *kind = table->namespaces[type];
		if (kind && kind->before_release && kind->before_release(&run->opener, err) < 0)
			return -1;
	}
	return 0;
}

/* Descriptors that follow each other, which one call closes. */
struct closing {
	unsigned first, n;
};

static void close_rest(struct closing *closing)
{
	if (closing->n)
		syscall(SYS_close_range, closing->first, closing->first + closing->n - 1, 0);
	closing->n = 0;
}

static void close_one(struct closing *closing, int fd)
{
	if (fd < 0)
		return;
	if ((unsigned)fd != closing->first + closing->n)
		close_rest(closing);
	if (closing->n++ == 0)
		closing->first = (unsigned)fd;
}

void run_close_sources(struct run *run)
{
	struct closing closing = { 0 };

	for (size_t i = 0; run->source_fds && i < run->plan->n_sources; i++)
		if (!is_borrowed(&run->plan->sources[i]))
			close_one(&closing, run->source_fds[i]);
	close_rest(&closing);
	run->source_fds = NULL;
	run_end_batch_holders(run);
	trees_close(&run->opener);
	for (size_t i = 0; i < run->opener.n_kept_fds; i++)
		close_one(&closing, run->opener.kept_fds[i]);
	close_rest(&closing);
	run->opener.n_kept_fds = 0;
}
