// SPDX-License-Identifier: LGPL-2.1-or-later
/* From a directory of images to a plan; see load.h. */
#include "pipeline/load.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "pipeline/inside.h"
#include "pipeline/processor.h"
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct images *load_images(int dir_fd, struct arena *arena, struct snapshot *ret_snapshot,
			   struct error *err)
{
	struct images *images = images_open(dir_fd, arena, ret_snapshot, err);

	if (images && !images_written_by_nestor(images) && trees_adopt(ret_snapshot, images, err)) {
		images_free(images);
		return NULL;
	}
	return images;
}

int load_open_root(struct load *load, struct error *err)
{
	const char *root = load->session->options->root;

	if (!root || load->root_moved)
		return 0;
	cleanup_close(&load->root_fd);
	load->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return load->root_fd < 0
		       ? fail_errno(err, ERR_USAGE, "cannot open the root directory %s", root)
		       : 0;
}

static bool is_directory(const char *path)
{
	struct stat stat_;

	if (stat(path, &stat_))
		return false;
	errno = ENOTDIR;
	return S_ISDIR(stat_.st_mode);
}

/* The root of a tree with mounts of its own is a mount, as for criu(8); else paths are below it. */
static int move_mounts(struct load *load, struct error *err)
{
	const char *root = load->session->options->root;
	autofree char *path = root ? realpath(root, NULL) : NULL;

	if (root && (!path || !is_directory(path)))
		return fail_errno(err, ERR_USAGE, "cannot open the root directory %s", root);
	load->root_moved = root && mounts_move_root(&load->snapshot, path);
	/* After that: what the caller names is no path that was recorded. */
	if (mounts_move_external(&load->snapshot, &load->externals, err) ||
	    load_open_root(load, err))
		return -1;
	return trees_find(&load->snapshot, &load->externals, load->root_fd, err);
}

int load_open(struct load *load, struct session *session, struct error *err)
{
	*load = (struct load){ .session = session, .root_fd = AT_FDCWD };
	arena_init(&load->arena);
	load->snapshot.arena = &load->arena;
	if (joining_open(&load->joining, session->options, err) ||
	    pipeline_externals(session->options, &load->arena, &load->externals, err) ||
	    unsharing_parse(&load->unsharing, session->options->unshare, err) ||
	    session_step(session, "checking the images", err))
		return -1;
	load->images = load_images(session->images_fd, &load->arena, &load->snapshot, err);
	if (!load->images || processor_compare(session, err) ||
	    joining_apply(&load->joining, &load->snapshot, &load->externals, err) ||
	    cgroups_move_roots(&load->snapshot, &load->externals.cgroups.roots, err))
		return -1;
	return move_mounts(load, err);
}

void load_done(struct load *load)
{
	images_free(load->images);
	joining_close(&load->joining);
	cleanup_close(&load->root_fd);
	arena_done(&load->arena);
}

int load_verify_files(struct load *load, struct error *err)
{
	const struct snapshot *snapshot = &load->snapshot;
	struct file_opener opener = {
		.snapshot = snapshot,
		.images = load->images,
		.arena = &load->arena,
		.root_fd = load->root_fd,
		.externals = &load->externals,
	};
	struct error first = { 0 };
	size_t n_failed = 0;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const struct file_kind *kind = kind_of_file(&kinds, snapshot->files[i]);
		struct error one = { 0 }, refused = { 0 };
		if (!kind || !kind->verify)
			continue;
		/* Records that nobody may believe are refused by what comes next. */
		if (kind->check && kind->check(snapshot, snapshot->files[i], &refused))
			continue;
		if (kind->verify(&opener, snapshot->files[i], &one) == 0)
			continue;
		log_warning("restore", "files", "%s, not restoring", one.text);
		if (n_failed++ == 0)
			first = one;
	}
	for (size_t i = 0; i < opener.n_kept_fds; i++)
		cleanup_close(&opener.kept_fds[i]);
	if (n_failed == 0)
		return 0;
	*err = first;
	return n_failed == 1 ? -1 : fail_while(err, "the first of %zu files", n_failed);
}

static int make_plan(struct load *load, bool fresh, struct error *err)
{
	struct plan_options options = {
		.shell_job = load->session->options->shell_job,
		.reloads_systemd = !load->session->options->no_systemd_reload,
		.fresh_pid_namespace = fresh,
		.coordinator_pid = getpid(),
		.coordinator_group = fresh ? 0 : (uint32_t)getpgrp(),
		.externals = &load->externals,
	};

	if (!cgroup_mode_of_name(load->session->options->manage_cgroups, &options.cgroups))
		return fail_cgroup_mode(load->session->options, err);
	return plan_make(&load->plan, &load->arena, &load->snapshot, &load->facts, &kinds, &options,
			 err);
}

int load_plan(struct load *load, struct error *err)
{
	if (session_step(load->session, "planning", err) || inside_enter(load, err) < 0 ||
	    run_raise_limits(&load->snapshot, err) || facts_probe(&load->facts, &load->arena, err))
		return -1;
	if (load->snapshot.own_pid_namespace && load->unsharing.mounts)
		return fail(err, ERR_USAGE,
			    "--unshare mnt: the tree has a pid namespace of its own, whose init "
			    "has to mount its /proc itself");
	return make_plan(load, load->unsharing.pid, err);
}

int load_plan_anew(struct load *load, struct error *err)
{
	if (err->name != ERR_PID_IN_USE || !load->unsharing.automatic ||
	    load->plan.own_pid_namespace)
		return -1;
	log_info("restore", "nestor", "%s: restoring into a fresh pid namespace", err->text);
	*err = (struct error){ 0 };
	return make_plan(load, true, err);
}

int load_check_ids(struct load *load, struct error *err)
{
	return run_check_ids(&load->plan, err) ? load_plan_anew(load, err) : 0;
}
