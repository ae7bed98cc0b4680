// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a new cgroup gets before anybody comes; the files of a directory stand for those of one. And
 * which directory stands for a hierarchy (--cgroup-yard).
 */
#include "kinds/cgroups/cgroups.h"

#include "base/arena.h"
#include "model/records.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct error err;
	char path[64];
	int fd;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	arena_init(&f->arena);
	strcpy(f->path, "/tmp/nestor-cgroups-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof command, "rm -r %s", f->path);
	assert_int_equal(system(command), 0);
	close(f->fd);
	arena_done(&f->arena);
	free(f);
	return 0;
}

static void put(struct fixture *f, const char *name, const char *text)
{
	int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *get(struct fixture *f, const char *name)
{
	static char text[256];
	int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, text, sizeof text - 1);

	assert_true(length >= 0);
	text[length] = '\0';
	close(fd);
	return text;
}

/* Of the cgroup /a, with another one below it or without. */
static int give(struct fixture *f, const char *name, const char *value, size_t n_below)
{
	CgroupEntry cgroups = CGROUP_ENTRY__INIT;
	CgControllerEntry controller = CG_CONTROLLER_ENTRY__INIT, *controllers = &controller;
	CgroupDirEntry dir = CGROUP_DIR_ENTRY__INIT, below = CGROUP_DIR_ENTRY__INIT;
	CgroupDirEntry *dirs = &dir, *children = &below;
	CgroupPropEntry property = CGROUP_PROP_ENTRY__INIT, *properties = &property;
	char *names[] = { "cpu" };

	f->snapshot = (struct snapshot){ .arena = &f->arena };
	property.name = (char *)(uintptr_t)name;
	property.value = (char *)(uintptr_t)value;
	below.dir_name = "b";
	dir = (CgroupDirEntry){ .base = dir.base,
				.dir_name = "/a",
				.n_properties = 1,
				.properties = &properties,
				.n_children = n_below,
				.children = &children };
	controller.n_cnames = controller.n_dirs = cgroups.n_controllers = 1;
	controller.cnames = names;
	controller.dirs = &dirs;
	cgroups.controllers = &controllers;
	snapshot_add_record(&f->snapshot, IMAGE_CGROUP, 0, &cgroups);
	struct file_opener opener = { .snapshot = &f->snapshot, .arena = &f->arena };
	f->err = (struct error){ 0 };
	errno = 0;
	return cgroup_properties_early(&opener, f->fd, "cpu:/a", &f->err);
}

static void expect_refusal(struct fixture *f, const char *name, const char *value, size_t n_below)
{
	assert_int_equal(give(f, name, value, n_below), -1);
	assert_int_equal(f->err.name, ERR_KERNEL_REFUSED);
}

static void devices_are_denied_first(void **state)
{
	struct fixture *f = *state;

	put(f, "devices.deny", "");
	put(f, "devices.allow", "");
	/* Of one with none below it that is done when the tree is there. */
	assert_int_equal(give(f, "devices.list", "c 1:3 rwm\nc 1:5 rwm\n", 0), 0);
	assert_string_equal(get(f, "devices.deny"), "");
	assert_int_equal(give(f, "devices.list", "c 1:3 rwm\nc 1:5 rw", 1), 0);
	assert_string_equal(get(f, "devices.deny"), "a");
	/* Each is written by itself. */
	assert_string_equal(get(f, "devices.allow"), "c 1:5 rwm");
	assert_int_equal(unlinkat(f->fd, "devices.allow", 0), 0);
	expect_refusal(f, "devices.list", "c 1:3 rwm\n", 1);
	put(f, "devices.allow", "");
	assert_int_equal(unlinkat(f->fd, "devices.deny", 0), 0);
	expect_refusal(f, "devices.list", "c 1:3 rwm\n", 1);
	assert_string_equal(get(f, "devices.allow"), "");
}

static void controllers_come_one_by_one(void **state)
{
	struct fixture *f = *state;
	char name[80];

	put(f, "cgroup.subtree_control", "");
	assert_int_equal(give(f, "cgroup.subtree_control", "memory cpu", 0), 0);
	assert_string_equal(get(f, "cgroup.subtree_control"), "+cpuory");
	memset(name, 'x', sizeof name);
	name[63] = '\0';
	expect_refusal(f, "cgroup.subtree_control", name, 0);
	name[62] = '\0';
	assert_int_equal(give(f, "cgroup.subtree_control", name, 0), 0);
	assert_int_equal(unlinkat(f->fd, "cgroup.subtree_control", 0), 0);
	expect_refusal(f, "cgroup.subtree_control", "cpu", 0);
}

static void only_threaded_is_written(void **state)
{
	struct fixture *f = *state;

	put(f, "cgroup.type", "domain\n");
	assert_int_equal(give(f, "cgroup.type", "domain threaded", 0), 0);
	assert_string_equal(get(f, "cgroup.type"), "domain\n");
	assert_int_equal(give(f, "cgroup.type", "threaded", 0), 0);
	assert_string_equal(get(f, "cgroup.type"), "threaded");
}

static void what_is_so_is_not_written(void **state)
{
	struct fixture *f = *state;

	/* A link would not be followed. */
	put(f, "processors", "0-1\n");
	assert_int_equal(symlinkat("processors", f->fd, "cpuset.cpus"), 0);
	assert_int_equal(give(f, "cpuset.cpus", "0-1", 0), 0);
	expect_refusal(f, "cpuset.cpus", "0-2", 0);
	expect_refusal(f, "cpuset.cpus", "0-", 0);
	expect_refusal(f, "cpuset.cpus", "max", 0);
	assert_string_equal(get(f, "processors"), "0-1\n");
	put(f, "cpuset.mems", "\n");
	assert_int_equal(give(f, "cpuset.mems", "0\n1\n", 0), 0);
	assert_string_equal(get(f, "cpuset.mems"), "1");
}

/* Where its controller is off. */
static void no_limit_wants_no_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(give(f, "cpuset.cpus", "max", 0), 0);
	assert_int_equal(give(f, "cpuset.cpus", "4611686018427387904", 0), 0);
	expect_refusal(f, "cpuset.cpus", "4611686018427387903", 0);
	expect_refusal(f, "cpuset.cpus", "0-1", 0);
	assert_int_equal(give(f, "cpuset.cpus", "", 0), 0);
	/* Not before anybody comes. */
	assert_int_equal(give(f, "cpu.max", "1000 1000", 0), 0);
}

/* ---- hierarchies ---- */

/* Its name in the directory that stands for all of them, or "". */
static const char *in_yard(struct fixture *f, const char *name)
{
	static char there[128];
	char path[64];
	int fd = cgroup_hierarchy_open(&f->arena, f->path, name);

	there[0] = '\0';
	if (fd < 0) {
		assert_int_equal(errno, ENOENT);
		return there;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, there, sizeof there - 1);
	assert_true(length > 0);
	there[length] = '\0';
	close(fd);
	return strrchr(there, '/') + 1;
}

/* Controllers in any order, and no others. */
static void yards_have_directories_for_all(void **state)
{
	static const char *const names[] = { "cpuacct,cpu", "a,bb,ccc", "cpuset", "systemd",
					     "unified" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(mkdirat(f->fd, names[i], 0700), 0);
	assert_string_equal(in_yard(f, "cpu,cpuacct"), "cpuacct,cpu");
	assert_string_equal(in_yard(f, "cpuacct,cpu"), "cpuacct,cpu");
	assert_string_equal(in_yard(f, "ccc,bb,a"), "a,bb,ccc");
	assert_string_equal(in_yard(f, "bb,a,ccc"), "a,bb,ccc");
	assert_string_equal(in_yard(f, "cpuset"), "cpuset");
	assert_string_equal(in_yard(f, "name=systemd"), "systemd");
	assert_string_equal(in_yard(f, ""), "unified");
	assert_string_equal(in_yard(f, "cpu"), "");
	assert_string_equal(in_yard(f, "cpu,cpuacc"), "");
	assert_string_equal(in_yard(f, "a,bb"), "");
	assert_string_equal(in_yard(f, "a,bb,ccd"), "");
	assert_string_equal(in_yard(f, "memory"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(devices_are_denied_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(controllers_come_one_by_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_threaded_is_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_so_is_not_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_limit_wants_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(yards_have_directories_for_all, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
