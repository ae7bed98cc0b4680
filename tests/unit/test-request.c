// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests of clients in the words of the pipeline. */
#include "compat/request-options.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Last: it defines a macro called fail. */
#include <cmocka.h>

enum { PEER = 4711 };

struct fixture {
	struct arena arena;
	CriuOpts request;
	struct pipeline_options options;
	struct error err;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	criu_opts__init(&fixture.request);
	fixture.request.images_dir_fd = 5;
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_done(&fixture->arena);
	return 0;
}

static void take(struct fixture *fixture)
{
	pipeline_options_init(&fixture->options);
	fixture->err = (struct error){ 0 };
	if (request_options(&fixture->request, PEER, &fixture->arena, &fixture->options,
			    &fixture->err))
		fail_msg("%s", fixture->err.text);
}

static void refuse(struct fixture *fixture, const char *name)
{
	pipeline_options_init(&fixture->options);
	fixture->err = (struct error){ 0 };
	assert_int_equal(request_options(&fixture->request, PEER, &fixture->arena,
					 &fixture->options, &fixture->err),
			 -1);
	assert_int_equal(fixture->err.name, ERR_BAD_REQUEST);
	assert_non_null(strstr(fixture->err.text, name));
}

static bool has_text(const struct texts *texts, const char *text)
{
	for (size_t i = 0; i < texts->count; i++)
		if (strcmp(texts->texts[i], text) == 0)
			return true;
	return false;
}

/* All of the switches are on, or none. */
static void assert_switches(const struct pipeline_options *options, bool on)
{
	const bool switches[] = {
		options->ext_unix_sk,	  options->sibling,	     options->shell_job,
		options->leave_stopped,	  options->leave_running,    options->orphan_masters,
		options->auto_dedup,	  options->external_sharing, options->external_masters,
		options->tcp_established, options->tcp_close,	     options->tcp_skip_in_flight,
	};

	for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
		if (switches[i] != on)
			fail_msg("switch %zu is %s", i, on ? "off" : "on");
}

static void set_switches(CriuOpts *request, bool there, bool on)
{
	request->has_ext_unix_sk = request->has_rst_sibling = request->has_shell_job = there;
	request->has_leave_stopped = request->has_leave_running = there;
	request->has_orphan_pts_master = request->has_auto_dedup = there;
	request->has_ext_sharing = request->has_ext_masters = request->has_tcp_established = there;
	request->has_tcp_close = request->has_tcp_skip_in_flight = there;
	request->ext_unix_sk = request->rst_sibling = request->shell_job = on;
	request->leave_stopped = request->leave_running = on;
	request->orphan_pts_master = request->auto_dedup = on;
	request->ext_sharing = request->ext_masters = request->tcp_established = on;
	request->tcp_close = request->tcp_skip_in_flight = on;
}

static void switches_are_on_where_they_are_set(void **state)
{
	struct fixture *fixture = *state;

	take(fixture);
	assert_switches(&fixture->options, false);
	set_switches(&fixture->request, true, false);
	take(fixture);
	assert_switches(&fixture->options, false);
	/* A value that is not there counts for nothing. */
	set_switches(&fixture->request, false, true);
	take(fixture);
	assert_switches(&fixture->options, false);
	set_switches(&fixture->request, true, true);
	take(fixture);
	assert_switches(&fixture->options, true);
}

static void places_are_the_clients(void **state)
{
	struct fixture *fixture = *state;
	CriuOpts *request = &fixture->request;
	const struct pipeline_options *options = &fixture->options;

	take(fixture);
	assert_string_equal(options->images_dir, "/proc/4711/fd/5");
	assert_null(options->work_dir);
	assert_string_equal(options->log_file, "criu.log");
	assert_null(options->prev_images_dir);
	assert_null(options->root);
	assert_int_equal(options->pid, 0);
	request->images_dir = "/images";
	request->has_work_dir_fd = true;
	request->work_dir_fd = 0;
	request->log_file = "a.log";
	request->parent_img = "../earlier";
	request->root = "/root";
	request->has_pid = true;
	request->pid = 12;
	take(fixture);
	assert_string_equal(options->images_dir, "/images");
	assert_string_equal(options->work_dir, "/proc/4711/fd/0");
	assert_string_equal(options->log_file, "a.log");
	assert_string_equal(options->prev_images_dir, "../earlier");
	assert_string_equal(options->root, "/root");
	assert_int_equal(options->pid, 12);
	request->has_log_to_stderr = request->log_to_stderr = true;
	request->images_dir = request->log_file = request->parent_img = request->root = "";
	request->images_dir_fd = 0;
	take(fixture);
	assert_string_equal(options->images_dir, "/proc/4711/fd/0");
	assert_null(options->log_file);
	assert_null(options->prev_images_dir);
	assert_null(options->root);
	request->log_file = "../a.log";
	refuse(fixture, "log_file");
	request->log_file = NULL;
	request->images_dir_fd = -1;
	refuse(fixture, "no directory of images");
}

static void numbers_have_defaults(void **state)
{
	struct fixture *fixture = *state;
	CriuOpts *request = &fixture->request;
	const struct pipeline_options *options = &fixture->options;
	struct pipeline_options usual;

	pipeline_options_init(&usual);
	request->has_ghost_limit = request->has_timeout = true;
	request->ghost_limit = request->timeout = 0;
	take(fixture);
	assert_int_equal(options->ghost_limit, usual.ghost_limit);
	assert_int_equal(options->timeout_seconds, usual.timeout_seconds);
	assert_int_equal(options->log_level, LOG_WARNING);
	request->ghost_limit = 12345;
	request->timeout = 77;
	request->has_log_level = true;
	request->log_level = LOG_DEBUG + 1;
	take(fixture);
	assert_int_equal(options->ghost_limit, 12345);
	assert_int_equal(options->timeout_seconds, 77);
	assert_int_equal(options->log_level, LOG_DEBUG);
	request->log_level = LOG_ERROR - 1;
	take(fixture);
	assert_int_equal(options->log_level, LOG_ERROR);
	request->log_level = LOG_INFO;
	take(fixture);
	assert_int_equal(options->log_level, LOG_INFO);
}

static void assert_mode(struct fixture *fixture, CriuCgMode mode, const char *name)
{
	fixture->request.has_manage_cgroups_mode = true;
	fixture->request.manage_cgroups_mode = mode;
	take(fixture);
	if (name)
		assert_string_equal(fixture->options.manage_cgroups, name);
	else
		assert_null(fixture->options.manage_cgroups);
}

static void cgroups_are_as_they_are_wished(void **state)
{
	struct fixture *fixture = *state;
	CriuOpts *request = &fixture->request;
	const struct pipeline_options *options = &fixture->options;
	CgroupRoot all = CGROUP_ROOT__INIT, one = CGROUP_ROOT__INIT;
	CgroupRoot *roots[] = { &all, &one };
	char *controllers[] = { "cpu", "memory" };

	take(fixture);
	assert_string_equal(options->manage_cgroups, "ignore");
	request->has_manage_cgroups = true;
	take(fixture);
	assert_string_equal(options->manage_cgroups, "ignore");
	request->manage_cgroups = true;
	take(fixture);
	assert_null(options->manage_cgroups);
	assert_mode(fixture, CRIU_CG_MODE__IGNORE, "ignore");
	assert_mode(fixture, CRIU_CG_MODE__CG_NONE, "none");
	assert_mode(fixture, CRIU_CG_MODE__PROPS, "props");
	assert_mode(fixture, CRIU_CG_MODE__SOFT, "soft");
	assert_mode(fixture, CRIU_CG_MODE__FULL, "full");
	assert_mode(fixture, CRIU_CG_MODE__STRICT, "strict");
	assert_mode(fixture, CRIU_CG_MODE__DEFAULT, NULL);
	all.path = "/a";
	one.path = "/b";
	one.ctrl = "cpu";
	request->cg_root = roots;
	request->n_cg_root = 2;
	request->cgroup_dump_controller = controllers;
	request->n_cgroup_dump_controller = 2;
	request->cgroup_yard = "/yard";
	request->cgroup_props = "props";
	request->cgroup_props_file = "/dev/null";
	request->freeze_cgroup = "/freeze";
	take(fixture);
	assert_int_equal(options->cgroup_root.count, 2);
	assert_true(has_text(&options->cgroup_root, "/a"));
	assert_true(has_text(&options->cgroup_root, "cpu:/b"));
	assert_int_equal(options->cgroup_dump_controller.count, 2);
	assert_true(has_text(&options->cgroup_dump_controller, "cpu"));
	assert_true(has_text(&options->cgroup_dump_controller, "memory"));
	assert_string_equal(options->cgroup_yard, "/yard");
	assert_string_equal(options->cgroup_props, "props");
	assert_string_equal(options->cgroup_props_file, "/dev/null");
	assert_string_equal(options->freeze_cgroup, "/freeze");
}

/* Two of each, so that no loop ends early. */
static void what_is_outside_has_the_form_of_a_command_line(void **state)
{
	struct fixture *fixture = *state;
	CriuOpts *request = &fixture->request;
	const struct pipeline_options *options = &fixture->options;
	char *externals[] = { "mnt[x]:y", "veth[e]:f" }, *names[] = { "one", "two" },
	     *paths[] = { "/one", "/two" };
	UnixSk sockets[] = { UNIX_SK__INIT, UNIX_SK__INIT };
	CriuVethPair pairs[] = { CRIU_VETH_PAIR__INIT, CRIU_VETH_PAIR__INIT };
	ExtMountMap mounts[] = { EXT_MOUNT_MAP__INIT, EXT_MOUNT_MAP__INIT };
	InheritFd files[] = { INHERIT_FD__INIT, INHERIT_FD__INIT };
	JoinNamespace joined[] = { JOIN_NAMESPACE__INIT, JOIN_NAMESPACE__INIT };
	UnixSk *all_sockets[] = { &sockets[0], &sockets[1] };
	CriuVethPair *all_pairs[] = { &pairs[0], &pairs[1] };
	ExtMountMap *all_mounts[] = { &mounts[0], &mounts[1] };
	InheritFd *all_files[] = { &files[0], &files[1] };
	JoinNamespace *all_joined[] = { &joined[0], &joined[1] };
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < 2; i++) {
		sockets[i].inode = 100 + (uint32_t)i;
		pairs[i].if_in = i ? "in1" : "in0";
		pairs[i].if_out = i ? "out1" : "out0";
		mounts[i].key = i ? "key1" : "key0";
		mounts[i].val = i ? "val1" : "val0";
		files[i].key = i ? "pipe[1]" : "pipe[0]";
		files[i].fd = fd;
		joined[i].ns = i ? "uts" : "net";
		joined[i].ns_file = i ? "/b" : "/a";
	}
	request->external = externals;
	request->unix_sk_ino = all_sockets;
	request->veths = all_pairs;
	request->ext_mnt = all_mounts;
	request->inherit_fd = all_files;
	request->join_ns = all_joined;
	request->enable_fs = names;
	request->skip_mnt = paths;
	request->n_external = request->n_unix_sk_ino = request->n_veths = request->n_ext_mnt = 2;
	request->n_inherit_fd = request->n_join_ns = request->n_skip_mnt = request->n_enable_fs = 2;
	take(fixture);
	static const char *const expected[] = {
		"mnt[x]:y",	  "veth[e]:f",	    "unix[100]",      "unix[101]", "veth[in0]:out0",
		"veth[in1]:out1", "mnt[key0]:val0", "mnt[key1]:val1", "pipe[]"
	};
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		if (!has_text(&options->external, expected[i]))
			fail_msg("%s is not there", expected[i]);
	assert_int_equal(options->external.count, sizeof expected / sizeof *expected);
	assert_int_equal(options->inherit_fd.count, 2);
	assert_true(has_text(&options->inherit_fd,
			     arena_printf(&fixture->arena, "fd[%d]:pipe[0]", fd)));
	assert_true(has_text(&options->inherit_fd,
			     arena_printf(&fixture->arena, "fd[%d]:pipe[1]", fd)));
	assert_int_equal(options->join_ns.count, 2);
	assert_true(has_text(&options->join_ns, "net:/a"));
	assert_true(has_text(&options->join_ns, "uts:/b"));
	assert_int_equal(options->skip_mnt.count, 2);
	assert_true(has_text(&options->skip_mnt, "/two"));
	assert_int_equal(options->enable_fs.count, 2);
	assert_true(has_text(&options->enable_fs, "two"));
	joined[1].extra_opt = "x";
	refuse(fixture, "join_ns");
	joined[1].extra_opt = "";
	take(fixture);
	close(fd);
	refuse(fixture, "");
}

static void locks_and_processors(void **state)
{
	struct fixture *fixture = *state;
	CriuOpts *request = &fixture->request;
	const struct pipeline_options *options = &fixture->options;

	take(fixture);
	assert_null(options->network_lock);
	assert_null(options->cpu_cap);
	request->has_network_lock = true;
	request->network_lock = CRIU_NETWORK_LOCK_METHOD__NFTABLES;
	take(fixture);
	assert_null(options->network_lock);
	request->network_lock = CRIU_NETWORK_LOCK_METHOD__SKIP;
	request->has_cpu_cap = true;
	request->cpu_cap = 5;
	take(fixture);
	assert_string_equal(options->network_lock, "skip");
	assert_string_equal(options->cpu_cap, "fpu,ins,");
	request->cpu_cap = 2;
	take(fixture);
	assert_string_equal(options->cpu_cap, "cpu,");
	request->cpu_cap = 0;
	take(fixture);
	assert_string_equal(options->cpu_cap, "none");
	request->cpu_cap = UINT32_MAX;
	take(fixture);
	assert_string_equal(options->cpu_cap, "all");
	request->cpu_cap = 8;
	refuse(fixture, "cpu_cap");
}

/* What clients set to what it is anyway asks for nothing. */
static void what_is_not_done_is_refused(void **state)
{
	struct fixture *fixture = *state;
	CriuOpts *request = &fixture->request;

	request->has_lazy_pages = true;
	request->has_status_fd = true;
	request->status_fd = -1;
	request->lsm_profile = "";
	request->has_empty_ns = true;
	request->empty_ns = CLONE_NEWNET;
	take(fixture);
	request->status_fd = 0;
	take(fixture);
	request->status_fd = 7;
	refuse(fixture, "status_fd");
	request->status_fd = 0;
	request->lazy_pages = true;
	refuse(fixture, "lazy_pages");
	request->lazy_pages = false;
	request->lsm_profile = "some";
	refuse(fixture, "lsm_profile");
	request->lsm_profile = NULL;
	request->empty_ns = CLONE_NEWNET | CLONE_NEWIPC;
	refuse(fixture, "empty_ns");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(switches_are_on_where_they_are_set),
		TEST(places_are_the_clients),
		TEST(numbers_have_defaults),
		TEST(cgroups_are_as_they_are_wished),
		TEST(what_is_outside_has_the_form_of_a_command_line),
		TEST(locks_and_processors),
		TEST(what_is_not_done_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
