// SPDX-License-Identifier: LGPL-2.1-or-later
/* What images may say of plain namespaces and cgroups; of networks: test-net-contents.c. */
#include "one-namespace.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kinds/cgroups/cgroups.h"
#include "kinds/files/files.h"
#include "kinds/ipc/ipc.h"
#include "kinds/ipc/posix-queues.h"
#include "kinds/namespaces/namespaces.h"
#include "kinds/namespaces/pid.h"
#include "collect/user-maps.h"
#include "model/namespaces.h"
#include "model/records.h"

#include <fcntl.h>
#include <stdio.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool is_refused(struct one_namespace *fixture, enum error_name name)
{
	int result = snapshot_index(&fixture->snapshot, &fixture->err);
	bool refused = result == -1 && fixture->err.name == name;

	arena_done(&fixture->arena);
	return refused;
}

static void test_members_are_found(void **state)
{
	struct one_namespace fixture;
	struct snapshot *snapshot = &fixture.snapshot;

	(void)state;
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	thread_set_namespace(snapshot, fixture.task->threads[1]->thread_core, NAMESPACE_UTS,
			     OWN_UTS);
	assert_int_equal(snapshot_index(snapshot, &fixture.err), 0);
	assert_int_equal(snapshot->n_plain_namespaces, 1);
	const struct task *task = &snapshot->tasks[0];
	struct namespace *own = snapshot->plain_namespaces[0];
	assert_ptr_equal(thread_namespace(snapshot, task, 0, NAMESPACE_UTS), own);
	assert_null(thread_namespace(snapshot, task, 1, NAMESPACE_UTS));
	/* Nobody comes back to the coordinator's own, so the process stays there at first. */
	assert_null(task_first_namespace(snapshot, task, NAMESPACE_UTS));
	assert_true(thread_is_late_for_any(snapshot, task, 0));
	assert_false(thread_is_late_for_any(snapshot, task, 1));
	arena_done(&fixture.arena);
}

static void test_what_no_kernel_has_made(void **state)
{
	struct one_namespace fixture;

	(void)state;
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	fixture.entry->id = OWN_UTS; /* the dumper's */
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	fixture.entry->id = 0;
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	fixture.entry->userns_id = 99;
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	fixture.entry->ns_cflag = 1;
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	snapshot_add_namespace(&fixture.snapshot, fixture.entry); /* twice */
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
}

static void test_what_is_not_described(void **state)
{
	struct one_namespace fixture;

	(void)state;
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	ids_set_namespace(fixture.task->ids, NAMESPACE_UTS, 11);
	assert_true(is_refused(&fixture, ERR_IMAGE_UNSUPPORTED));
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	ids_set_namespace(fixture.task->ids, NAMESPACE_UTS, 11);
	fixture.snapshot.inventory->nestor_version = arena_string(&fixture.arena, "1");
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	fixture.entry->ns_cflag = CLONE_NEWIPC; /* of another type than its member says */
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	thread_set_namespace(&fixture.snapshot, fixture.task->threads[1]->thread_core,
			     NAMESPACE_UTS, 12);
	assert_true(is_refused(&fixture, ERR_IMAGE_UNSUPPORTED));
}

static void begin_uts(struct one_namespace *fixture, const char *host, size_t length)
{
	one_namespace_begin(fixture, NAMESPACE_UTS);
	fixture->entry->uts = snapshot_new(&fixture->snapshot, UTSNS_ENTRY, UtsnsEntry);
	fixture->entry->uts->nodename = arena_printf(&fixture->arena, "%*s", (int)length, host);
	fixture->entry->uts->domainname = arena_string(&fixture->arena, "");
}

static void test_uts(void **state)
{
	struct one_namespace fixture;

	(void)state;
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	assert_int_equal(one_namespace_check(&fixture, &uts_namespace_kind), ERR_IMAGE_INVALID);
	begin_uts(&fixture, "host", 64);
	assert_int_equal(one_namespace_check(&fixture, &uts_namespace_kind), ERR_NONE);
	begin_uts(&fixture, "host", 65);
	assert_int_equal(one_namespace_check(&fixture, &uts_namespace_kind), ERR_IMAGE_INVALID);
	for (int length = 64; length <= 65; length++) {
		begin_uts(&fixture, "host", 4);
		fixture.entry->uts->domainname =
			arena_printf(&fixture.arena, "%*s", length, "domain");
		assert_int_equal(one_namespace_check(&fixture, &uts_namespace_kind),
				 length == 64 ? ERR_NONE : ERR_IMAGE_INVALID);
	}
}

static Timespec *new_time(struct one_namespace *fixture, uint64_t seconds, uint64_t nanoseconds)
{
	Timespec *time = snapshot_new(&fixture->snapshot, TIMESPEC, Timespec);

	time->tv_sec = seconds;
	time->tv_nsec = nanoseconds;
	return time;
}

static enum error_name check_time(uint64_t seconds, uint64_t nanoseconds)
{
	struct one_namespace fixture;

	one_namespace_begin(&fixture, NAMESPACE_TIME);
	fixture.entry->time = snapshot_new(&fixture.snapshot, TIMENS_ENTRY, TimensEntry);
	fixture.entry->time->monotonic = new_time(&fixture, seconds, nanoseconds);
	fixture.entry->time->boottime = new_time(&fixture, 1, 2);
	return one_namespace_check(&fixture, &time_namespace_kind);
}

static void test_time(void **state)
{
	(void)state;
	assert_int_equal(check_time(100, 999999999), ERR_NONE);
	assert_int_equal(check_time(100, 1000000000), ERR_IMAGE_INVALID);
	assert_int_equal(check_time(UINT64_MAX, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check_time(INT64_MAX, 0), ERR_IMAGE_INVALID);
}

/* The thread's children are in the namespace of that id, its process in another one. */
static enum error_name check_children(uint32_t own, uint32_t made, bool twice)
{
	struct one_namespace fixture;

	one_namespace_begin(&fixture, NAMESPACE_TIME);
	ids_set_namespace(fixture.task->ids, NAMESPACE_TIME, own);
	for (size_t thread = 0; thread < (twice ? 2 : 1); thread++) {
		ThreadCoreEntry *core = fixture.task->threads[thread]->thread_core;
		core->has_time_for_children_ns_id = true;
		core->time_for_children_ns_id = made;
	}
	int result = snapshot_index(&fixture.snapshot, &fixture.err);
	arena_done(&fixture.arena);
	return result ? fixture.err.name : ERR_NONE;
}

static void test_time_of_children(void **state)
{
	(void)state;
	assert_int_equal(check_children(OWN_UTS, TREE_UTS, false), ERR_NONE);
	assert_int_equal(check_children(OWN_UTS, TREE_UTS, true), ERR_IMAGE_INVALID);
	assert_int_equal(check_children(TREE_UTS, TREE_UTS, false), ERR_IMAGE_INVALID);
	assert_int_equal(check_children(OWN_UTS, TREE_UTS + 1, false), ERR_IMAGE_INVALID);
	assert_int_equal(check_children(OWN_UTS, OWN_UTS, false), ERR_IMAGE_INVALID);
}

/* A directory with a property, in a hierarchy. */
static enum error_name check_directory(const char *top, const char *below, const char *property)
{
	struct one_namespace fixture;
	CgroupEntry cgroups = CGROUP_ENTRY__INIT;
	CgControllerEntry controller = CG_CONTROLLER_ENTRY__INIT, *controllers = &controller;
	CgroupDirEntry dirs[2] = { CGROUP_DIR_ENTRY__INIT, CGROUP_DIR_ENTRY__INIT };
	CgroupDirEntry *tops = &dirs[0], *children = &dirs[1];
	CgroupPropEntry prop = CGROUP_PROP_ENTRY__INIT, *props = &prop;
	char *names[] = { "cpu" };

	one_namespace_begin(&fixture, NAMESPACE_UTS);
	prop.name = (char *)(uintptr_t)property;
	prop.value = "1";
	dirs[0].dir_name = (char *)(uintptr_t)top;
	dirs[1].dir_name = (char *)(uintptr_t)below;
	dirs[0].n_children = dirs[0].n_properties = 1;
	dirs[0].children = &children;
	dirs[0].properties = &props;
	controller.n_cnames = controller.n_dirs = cgroups.n_controllers = 1;
	controller.cnames = names;
	controller.dirs = &tops;
	cgroups.controllers = &controllers;
	snapshot_add_record(&fixture.snapshot, IMAGE_CGROUP, 0, &cgroups);
	int result =
		cgroups_kind.check(&fixture.snapshot, &fixture.snapshot.tasks[0], &fixture.err);
	arena_done(&fixture.arena);
	return result ? fixture.err.name : ERR_NONE;
}

static void test_cgroup_directories(void **state)
{
	(void)state;
	assert_int_equal(check_directory("/a", "b", "cpu.shares"), ERR_NONE);
	assert_int_equal(check_directory("/a/..", "b", "cpu.shares"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "..", "cpu.shares"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "b/c", "cpu.shares"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "b", "../cpu.shares"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "b", "cgroup.procs"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "b", "release_agent"), ERR_IMAGE_INVALID);
}

static IpcDescEntry *new_description(struct one_namespace *fixture, uint32_t mode)
{
	IpcDescEntry *description = snapshot_new(&fixture->snapshot, IPC_DESC_ENTRY, IpcDescEntry);

	description->mode = mode;
	return description;
}

static void begin_ipc(struct one_namespace *fixture)
{
	one_namespace_begin(fixture, NAMESPACE_IPC);
	fixture->entry->ipc = snapshot_new(&fixture->snapshot, IPC_ENTRY, IpcEntry);
}

static enum error_name check_setting(const char *name, const char *value)
{
	struct one_namespace fixture;

	begin_ipc(&fixture);
	IpcSetting *setting = snapshot_new(&fixture.snapshot, IPC_SETTING, IpcSetting);
	setting->name = arena_string(&fixture.arena, name);
	setting->value = arena_string(&fixture.arena, value);
	fixture.entry->ipc->settings = arena_copy(&fixture.arena, &setting, sizeof setting);
	fixture.entry->ipc->n_settings = 1;
	return one_namespace_check(&fixture, &ipc_namespace_kind);
}

static enum error_name check_segment(uint64_t size, size_t content, uint32_t mode,
				     uint64_t attached)
{
	struct one_namespace fixture;

	begin_ipc(&fixture);
	IpcSegment *segment = snapshot_new(&fixture.snapshot, IPC_SEGMENT, IpcSegment);
	segment->desc = new_description(&fixture, mode);
	segment->size = size;
	segment->attached = attached;
	segment->content.data = arena_alloc(&fixture.arena, content + 1);
	segment->content.len = content;
	fixture.entry->ipc->segments = arena_copy(&fixture.arena, &segment, sizeof segment);
	fixture.entry->ipc->n_segments = 1;
	return one_namespace_check(&fixture, &ipc_namespace_kind);
}

static enum error_name check_posix_queue(const char *name, uint32_t most_messages,
					 uint32_t first_priority, uint32_t second_priority,
					 size_t size)
{
	struct one_namespace fixture;

	begin_ipc(&fixture);
	PosixQueue *queue = snapshot_new(&fixture.snapshot, POSIX_QUEUE, PosixQueue);
	if (name)
		queue->name = arena_string(&fixture.arena, name);
	queue->mode = 0600;
	queue->most_messages = most_messages;
	queue->most_bytes = 10;
	queue->messages = arena_array(&fixture.arena, PosixMessage *, 2);
	queue->n_messages = 2;
	for (size_t i = 0; i < 2; i++) {
		queue->messages[i] = snapshot_new(&fixture.snapshot, POSIX_MESSAGE, PosixMessage);
		queue->messages[i]->priority = i ? second_priority : first_priority;
		queue->messages[i]->text.data = arena_alloc(&fixture.arena, size + 1);
		queue->messages[i]->text.len = size;
	}
	fixture.entry->ipc->posix_queues = arena_copy(&fixture.arena, &queue, sizeof queue);
	fixture.entry->ipc->n_posix_queues = 1;
	return one_namespace_check(&fixture, &ipc_namespace_kind);
}

static void test_posix_queues(void **state)
{
	(void)state;
	assert_int_equal(check_posix_queue("name", 2, 7, 7, 10), ERR_NONE);
	assert_int_equal(check_posix_queue(NULL, 2, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("", 2, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("..", 2, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("a/b", 2, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("name", 1, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("name", 2, 7, 8, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("name", 2, 32768, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("name", 2, 7, 7, 11), ERR_IMAGE_INVALID);
}

/* A description of a queue, in a namespace that has two queues with names. */
static enum error_name check_queue_file(const char *name, uint32_t namespace_, bool has_queue)
{
	struct one_namespace fixture;
	static const char *const names[] = { "one", "other" };

	begin_ipc(&fixture);
	IpcEntry *ipc = fixture.entry->ipc;
	ipc->n_posix_queues = 2;
	ipc->posix_queues = arena_array(&fixture.arena, PosixQueue *, 2);
	for (size_t i = 0; i < 2; i++) {
		ipc->posix_queues[i] = snapshot_new(&fixture.snapshot, POSIX_QUEUE, PosixQueue);
		ipc->posix_queues[i]->name = arena_string(&fixture.arena, names[i]);
	}
	FileEntry *file = snapshot_new(&fixture.snapshot, FILE_ENTRY, FileEntry);
	PosixQueueEntry *entry =
		snapshot_new(&fixture.snapshot, POSIX_QUEUE_ENTRY, PosixQueueEntry);
	file->id = entry->id = 3;
	file->posix_queue = entry;
	entry->name = arena_string(&fixture.arena, name);
	entry->ipcns_id = namespace_;
	entry->has_queue = has_queue;
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	int result = posix_queue_kind.check(&fixture.snapshot, file, &fixture.err);
	arena_done(&fixture.arena);
	return result ? fixture.err.name : ERR_NONE;
}

static void test_posix_queue_files(void **state)
{
	(void)state;
	assert_int_equal(check_queue_file("one", TREE_UTS, false), ERR_NONE);
	assert_int_equal(check_queue_file("other", TREE_UTS, false), ERR_NONE);
	assert_int_equal(check_queue_file("another", TREE_UTS, false), ERR_IMAGE_INVALID);
	assert_int_equal(check_queue_file("one", TREE_UTS, true), ERR_IMAGE_INVALID);
	assert_int_equal(check_queue_file("", TREE_UTS, false), ERR_IMAGE_INVALID);
	assert_int_equal(check_queue_file("../one", TREE_UTS, false), ERR_IMAGE_INVALID);
	/* Whoever restores has what is in nestor's own. */
	assert_int_equal(check_queue_file("another", OWN_UTS, false), ERR_NONE);
	assert_int_equal(check_queue_file("one", OWN_PID, false), ERR_IMAGE_INVALID);
	assert_int_equal(check_queue_file("one", TREE_UTS + 1, false), ERR_IMAGE_INVALID);
}

static enum error_name check_semaphore(uint32_t value, size_t count, uint32_t mode)
{
	struct one_namespace fixture;

	begin_ipc(&fixture);
	IpcSemaphores *set = snapshot_new(&fixture.snapshot, IPC_SEMAPHORES, IpcSemaphores);
	set->desc = new_description(&fixture, mode);
	set->values = arena_array(&fixture.arena, uint32_t, count + 1);
	set->values[0] = value;
	set->n_values = count;
	fixture.entry->ipc->semaphores = arena_copy(&fixture.arena, &set, sizeof set);
	fixture.entry->ipc->n_semaphores = 1;
	return one_namespace_check(&fixture, &ipc_namespace_kind);
}

static void test_ipc(void **state)
{
	struct one_namespace fixture;

	(void)state;
	one_namespace_begin(&fixture, NAMESPACE_IPC);
	assert_int_equal(one_namespace_check(&fixture, &ipc_namespace_kind), ERR_IMAGE_INVALID);
	assert_int_equal(check_setting("kernel/msgmax", "8192"), ERR_NONE);
	assert_int_equal(check_setting("kernel/core_pattern", "8192"), ERR_IMAGE_INVALID);
	assert_int_equal(check_setting("kernel/msgmax", "|/bin/sh"), ERR_IMAGE_INVALID);
	assert_int_equal(check_segment(100, 100, 0600, 0), ERR_NONE);
	assert_int_equal(check_segment(0, 0, 0600, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check_segment(100, 101, 0600, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check_segment(UINT64_MAX, 1, 0600, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check_segment(100, 1, 04600, 0), ERR_IMAGE_INVALID);
	/* Attached by somebody who is not there. */
	assert_int_equal(check_segment(100, 1, 0600, 1), ERR_UNSUPPORTED_NAMESPACE);
	assert_int_equal(check_semaphore(7, 1, 0600), ERR_NONE);
	assert_int_equal(check_semaphore(32768, 1, 0600), ERR_IMAGE_INVALID);
	assert_int_equal(check_semaphore(1, 32001, 0600), ERR_IMAGE_INVALID);
	assert_int_equal(check_semaphore(1, 0, 0600), ERR_IMAGE_INVALID);
}

static void put_text(int dir_fd, const char *name, const char *text)
{
	autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* What /proc shows of a map on its outer side, in numbers of the namespace above. */
static void test_maps_of_users(void **state)
{
	struct arena arena;
	struct user_maps above, maps;
	struct error err = { 0 };
	char path[] = "/tmp/nestor-maps-XXXXXX";

	(void)state;
	arena_init(&arena);
	assert_non_null(mkdtemp(path));
	autoclose int dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	put_text(dir_fd, "uid_map", "0 100 10\n50 110 10\n");
	put_text(dir_fd, "gid_map", "7 5 1\n");
	put_text(dir_fd, "setgroups", "allow\n");
	assert_int_equal(user_maps_read(&above, &arena, dir_fd, NULL, &err), 0);
	assert_int_equal(above.entry->uid_map[1]->lower_first, 110);
	/* The first and the last number of an extent, and the first of that which goes on there. */
	put_text(dir_fd, "uid_map", "0 100 1\n1 109 1\n2 110 5\n8 119 1\n");
	put_text(dir_fd, "setgroups", "deny\n");
	assert_int_equal(user_maps_read(&maps, &arena, dir_fd, &above, &err), 0);
	assert_int_equal(maps.entry->n_uid_map, 4);
	const uint32_t lower[] = { 0, 9, 50, 59 };
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(maps.entry->uid_map[i]->lower_first, lower[i]);
	assert_int_equal(maps.entry->gid_map[0]->lower_first, 7);
	assert_true(maps.setgroups_denied);
	assert_false(above.setgroups_denied);
	put_text(dir_fd, "uid_map", "0 99 1\n");
	assert_int_equal(user_maps_read(&maps, &arena, dir_fd, &above, &err), -1);
	put_text(dir_fd, "uid_map", "0 120 1\n");
	assert_int_equal(user_maps_read(&maps, &arena, dir_fd, &above, &err), -1);
	assert_int_equal(err.name, ERR_KERNEL_REFUSED);
	for (size_t i = 0; i < 3; i++)
		unlinkat(dir_fd, (const char *[]){ "uid_map", "gid_map", "setgroups" }[i], 0);
	rmdir(path);
	arena_done(&arena);
}

static void test_cgroup_paths(void **state)
{
	(void)state;
	assert_true(cgroup_is_path("/"));
	assert_true(cgroup_is_path("/a/b.slice/..c"));
	assert_false(cgroup_is_path("a"));
	assert_false(cgroup_is_path(""));
	assert_false(cgroup_is_path("/.."));
	assert_false(cgroup_is_path("/a/../../b"));
	assert_false(cgroup_is_path("/a/."));
}

static void test_cgroups_of_tasks(void **state)
{
	struct one_namespace fixture;
	struct snapshot *snapshot = &fixture.snapshot;

	(void)state;
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	CgroupEntry *cgroups = snapshot_new(snapshot, CGROUP_ENTRY, CgroupEntry);
	CgSetEntry *set =
		cgroup_parse_set(snapshot, "0::/../outside\n1:cpu:/in\n", 7, &fixture.err);
	assert_non_null(set);
	assert_int_equal(set->n_ctls, 2);
	cgroups->sets = arena_copy(&fixture.arena, &set, sizeof set);
	cgroups->n_sets = 1;
	snapshot_add_record(snapshot, IMAGE_CGROUP, 0, cgroups);
	assert_int_equal(snapshot_index(snapshot, &fixture.err), 0);
	TaskCoreEntry *tc = fixture.task->core->tc;
	tc->has_cg_set = true;
	tc->cg_set = 8;
	assert_int_equal(cgroups_kind.check(snapshot, &snapshot->tasks[0], &fixture.err), -1);
	assert_int_equal(fixture.err.name, ERR_IMAGE_INVALID);
	tc->cg_set = 7;
	fixture.err = (struct error){ 0 };
	assert_int_equal(cgroups_kind.check(snapshot, &snapshot->tasks[0], &fixture.err), -1);
	assert_int_equal(fixture.err.name, ERR_CGROUP_OUTSIDE);
	arena_done(&fixture.arena);
}

/* Before it is stopped a tree comes and goes: that is found when it is. */
static void test_freezer_of_who_is_gone(void **state)
{
	struct externals externals = { 0 };
	struct dump_options options = { .externals = &externals };
	struct snapshot snapshot = { 0 };
	struct error err = { 0 };
	struct arena arena;

	(void)state;
	arena_init(&arena);
	snapshot.arena = &arena;
	struct collect collect = { .arena = &arena, .snapshot = &snapshot, .options = &options };
	options.pid = fork();
	if (options.pid == 0)
		_exit(0);
	assert_int_equal(waitpid(options.pid, NULL, 0), options.pid);
	assert_int_equal(freezer_tree_kind.before_stop(&collect, &err), 0);
	assert_int_equal(err.name, ERR_NONE);
	freezer_tree_kind.end(&collect, false);
	arena_done(&arena);
}

/* The limit is the first number that no process, and no thread, may have. */
static void test_limits_of_numbers(void **state)
{
	struct one_namespace fixture;
	struct snapshot *snapshot = &fixture.snapshot;

	(void)state;
	one_namespace_begin(&fixture, NAMESPACE_UTS);
	assert_int_equal(snapshot_index(snapshot, &fixture.err), 0);
	NsEntry *entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);
	struct pid_namespace limited = *fixture.task->pid_namespace;
	limited.base.entry = entry;
	fixture.task->pid_namespace = &limited;
	entry->pid_max = 101;
	assert_int_equal(pid_limits_kind.check(snapshot, fixture.task, &fixture.err), 0);
	entry->has_pid_max = true;
	assert_int_equal(pid_limits_kind.check(snapshot, fixture.task, &fixture.err), -1);
	assert_int_equal(fixture.err.name, ERR_PID_OUT_OF_RANGE);
	entry->pid_max = 102;
	assert_int_equal(pid_limits_kind.check(snapshot, fixture.task, &fixture.err), 0);
	arena_done(&fixture.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members_are_found),
		cmocka_unit_test(test_what_no_kernel_has_made),
		cmocka_unit_test(test_what_is_not_described),
		cmocka_unit_test(test_uts),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_time_of_children),
		cmocka_unit_test(test_cgroup_directories),
		cmocka_unit_test(test_ipc),
		cmocka_unit_test(test_posix_queues),
		cmocka_unit_test(test_posix_queue_files),
		cmocka_unit_test(test_freezer_of_who_is_gone),
		cmocka_unit_test(test_limits_of_numbers),
		cmocka_unit_test(test_maps_of_users),
		cmocka_unit_test(test_cgroup_paths),
		cmocka_unit_test(test_cgroups_of_tasks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
