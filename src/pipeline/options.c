// SPDX-License-Identifier: LGPL-2.1-or-later
/* The defaults of all that can be asked for; see options.h. */
#include "pipeline/options.h"

#include "base/foreign.h"
#include "model/cgroups.h"
#include "model/snapshot.h"

#include <fcntl.h>
#include <string.h>

enum { DEFAULT_TIMEOUT_SECONDS = 10, MOST_PROPERTIES = 1 << 16 /* bytes */ };

void pipeline_options_init(struct pipeline_options *options)
{
	*options = (struct pipeline_options){
		.log_level = LOG_WARNING,
		.timeout_seconds = DEFAULT_TIMEOUT_SECONDS,
	};
}

int fail_cgroup_mode(const struct pipeline_options *options, struct error *err)
{
	fail(err, ERR_USAGE, "--manage-cgroups=%s is not supported", options->manage_cgroups);
	return fail_hint(err, "modes are soft, none, props, full, strict and ignore");
}

void pipeline_options_like_criu(struct pipeline_options *options, struct arena *arena)
{
	texts_add(&options->external, arena, "pipe[]");
	if (!options->force_lost)
		options->force_lost = "keyrings,inotify-events,fanotify-events";
}

static int take_tcp_wishes(const struct pipeline_options *options, struct tcp_wishes *ret,
			   struct error *err)
{
	const char *lock = options->network_lock ? options->network_lock : "nftables";

	if (strcmp(lock, "nftables") != 0 && strcmp(lock, "iptables") != 0 &&
	    strcmp(lock, "skip") != 0) {
		fail(err, ERR_USAGE, "--network-lock %s is not supported", lock);
		return fail_hint(err, "methods are nftables, iptables (the same) and skip");
	}
	*ret = (struct tcp_wishes){ .established = options->tcp_established,
				    .close = options->tcp_close,
				    .skip_in_flight = options->tcp_skip_in_flight,
				    .no_lock = strcmp(lock, "skip") == 0 };
	return 0;
}

/* "auto" needs no asking: what mounts are bound from is looked for. */
static int add_mount(struct externals *externals, struct arena *arena, const char *text,
		     struct error *err)
{
	const char *colon = strchr(text, ':');

	if (strcmp(text, "auto") == 0)
		return 0;
	if (!colon || colon == text) {
		fail(err, ERR_USAGE, "--ext-mount-map \"%s\" is not well formed", text);
		return fail_hint(err, "give KEY:VALUE, or auto");
	}
	return externals_add(
		externals, arena,
		arena_printf(arena, "mnt[%.*s]:%s", (int)(colon - text), text, colon + 1), err);
}

static int add_veth(struct externals *externals, struct arena *arena, const char *text,
		    struct error *err)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text || !equals[1]) {
		fail(err, ERR_USAGE, "--veth-pair \"%s\" is not well formed", text);
		return fail_hint(err, "give IN=OUT");
	}
	return externals_add(
		externals, arena,
		arena_printf(arena, "veth[%.*s]:%s", (int)(equals - text), text, equals + 1), err);
}

static int take_skipped(const struct texts *asked, struct arena *arena, struct mount_wishes *ret,
			struct error *err)
{
	ret->skip_met = arena_array(arena, bool, asked->count + 1);
	for (size_t i = 0; i < asked->count; i++) {
		char *path = path_plain(arena, asked->texts[i]);
		if (!path)
			return fail(err, ERR_USAGE, "--skip-mnt %s is no absolute path",
				    asked->texts[i]);
		if (strcmp(path, "/") == 0)
			return fail(err, ERR_USAGE,
				    "--skip-mnt /: the root of a mount namespace cannot be left "
				    "out");
		texts_add(&ret->skip, arena, path);
	}
	return 0;
}

/* From the directory for work, as the peer takes it. */
static const char *yard_of(const struct pipeline_options *options, struct arena *arena)
{
	const char *yard = options->cgroup_yard,
		   *from = options->work_dir ? options->work_dir : options->images_dir;

	return yard && yard[0] != '/' && from ? arena_printf(arena, "%s/%s", from, yard) : yard;
}

static int take_cgroup_wishes(const struct pipeline_options *options, struct arena *arena,
			      struct cgroup_wishes *ret, struct error *err)
{
	enum cgroup_mode mode = CGROUPS_SOFT;
	char *text;

	/* A name of no mode is refused by who makes the plan. */
	cgroup_mode_of_name(options->manage_cgroups, &mode);
	*ret = (struct cgroup_wishes){
		.roots = options->cgroup_root,
		.yard = yard_of(options, arena),
		.controllers = options->cgroup_dump_controller,
		.properties = options->cgroup_props,
		.ignore_default_properties = options->cgroup_props_ignore_default,
		.make_none =
			mode == CGROUPS_NONE || mode == CGROUPS_PROPS || mode == CGROUPS_IGNORE,
		.freeze = options->freeze_cgroup,
	};
	if (!options->cgroup_props_file)
		return 0;
	if (given_read(options->cgroup_props_file, MOST_PROPERTIES, arena, &text) < 0)
		return fail_errno(err, ERR_IO, "cannot read %s", options->cgroup_props_file);
	ret->properties = text;
	return 0;
}

int pipeline_externals(const struct pipeline_options *options, struct arena *arena,
		       struct externals *ret_externals, struct error *err)
{
	struct externals externals = {
		.unix_by_name = options->ext_unix_sk,
		.give_masters = options->orphan_masters,
		.mounts = { .sharing = options->external_sharing,
			    .masters = options->external_masters,
			    .filesystems = options->enable_fs },
	};

	for (size_t i = 0; i < options->external.count; i++)
		if (externals_add(&externals, arena, options->external.texts[i], err))
			return -1;
	for (size_t i = 0; i < options->ext_mount_map.count; i++)
		if (add_mount(&externals, arena, options->ext_mount_map.texts[i], err))
			return -1;
	for (size_t i = 0; i < options->veth_pair.count; i++)
		if (add_veth(&externals, arena, options->veth_pair.texts[i], err))
			return -1;
	for (size_t i = 0; i < options->inherit_fd.count; i++) {
		const char *text = options->inherit_fd.texts[i];
		if (externals_inherit(&externals, arena, text, err))
			return -1;
		if (fcntl(externals.fds[i].fd, F_GETFD) < 0)
			return fail_errno(err, ERR_USAGE, "--inherit-fd %s: no such descriptor",
					  text);
	}
	if (take_skipped(&options->skip_mnt, arena, &externals.mounts, err) ||
	    take_tcp_wishes(options, &externals.tcp, err) ||
	    take_cgroup_wishes(options, arena, &externals.cgroups, err))
		return -1;
	*ret_externals = externals;
	return 0;
}
