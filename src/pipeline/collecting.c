// SPDX-License-Identifier: LGPL-2.1-or-later
/* See collecting.h. */
#include "pipeline/collecting.h"

#include "collect/losses.h"
#include "images/chain.h"
#include "images/images.h"

int dump_options_of(const struct pipeline_options *options, const struct externals *externals,
		    struct dump_options *ret_options, struct error *err)
{
	struct dump_options asked = {
		.pid = options->pid,
		.shell_job = options->shell_job,
		.leave_running = options->leave_running,
		.timeout_seconds = (unsigned)options->timeout_seconds,
		.ghost_limit = options->ghost_limit,
		.externals = externals,
	};
	enum cgroup_mode mode;

	if (!cgroup_mode_of_name(options->manage_cgroups, &mode))
		return fail_cgroup_mode(options, err);
	asked.ignore_cgroups = mode == CGROUPS_IGNORE;
	if (losses_parse(options->force_lost, &asked.accepted_losses, err))
		return -1;
	*ret_options = asked;
	return 0;
}

struct collect collect_for(const struct pipeline_options *options,
			   const struct dump_options *dump_options, struct snapshot *snapshot,
			   const struct facts *facts)
{
	struct collect collect = {
		.arena = snapshot->arena,
		.snapshot = snapshot,
		.facts = facts,
		.options = dump_options,
		.asked_to_stop = options->hooks.asked_to_stop,
		.asked_data = options->hooks.data,
		.next_file_id = 1,
		.next_shared_id = 1,
		.next_pages_id = 1,
	};

	obstacles_init(&collect.obstacles, snapshot->arena);
	return collect;
}

int open_earlier_images(const struct pipeline_options *options, const struct session *session,
			struct collect *collect, struct error *err)
{
	if (!options->prev_images_dir)
		return 0;
	int fd = chain_open_directory(session->images_fd, options->prev_images_dir, err);
	if (fd < 0)
		return -1;
	collect->earlier = chain_open_earlier(fd, collect->arena, err);
	if (!collect->earlier)
		return fail_while(err, "reading the earlier dump");
	return images_refer_to(collect->images, options->prev_images_dir, fd, err);
}
