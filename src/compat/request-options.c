// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Options of a request; see request-options.h. A field that is set to what it is anyway (false,
 * no text, no rows) asks for nothing, and clients send many of those.
 */
#include "compat/request-options.h"

#include "options/pipeline-options.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* Honoured below. */
static const char *const done[] = {
	"images_dir_fd",
	"images_dir",
	"work_dir_fd",
	"pid",
	"leave_running",
	"leave_stopped",
	"shell_job",
	"log_level",
	"log_file",
	"notify_scripts",
	"root",
	"timeout",
	"manage_cgroups",
	"ghost_limit",
	"manage_cgroups_mode",
	"log_to_stderr",
	"tcp_established",
	"tcp_close",
	"tcp_skip_in_flight",
	"network_lock",
	"ext_unix_sk",
	"unix_sk_ino",
	"external",
	"inherit_fd",
	"ext_mnt",
	"veths",
	"rst_sibling",
	"empty_ns",
	"cg_root",
	"cgroup_yard",
	"cgroup_props",
	"cgroup_props_file",
	"cgroup_dump_controller",
	"freeze_cgroup",
	"ext_sharing",
	"ext_masters",
	"skip_mnt",
	"enable_fs",
	"parent_img",
	"track_mem",
	"config_file",
	"join_ns",
	"exec_cmd",
	"orphan_pts_master",
	"cpu_cap",
	"auto_dedup", /* of a restore it asks for nothing: images stay as they are */
	NULL,
};

/*
 * They permit or tune what concerns only objects that are refused by name where they are met, or
 * that come back without it, or give hints.
 */
static const char *const harmless[] = {
	"evasive_devices", "link_remap",
	"force_irmap",	   "irmap_scan_paths",
	"auto_ext_mnt",	   "mntns_compat_mode",
	"pre_dump_mode",   "skip_file_rwx_check",
	"weak_sysctls",	   "pidfd_store_sk",
	"unprivileged",	   "file_locks",
	"display_stats",   NULL,
};

static bool is_among(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* Whether a field asks for something. */
static bool asks(const CriuOpts *request, const ProtobufCFieldDescriptor *field)
{
	const char *at = (const char *)request + field->offset;
	const char *quantity = (const char *)request + field->quantifier_offset;

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)(const void *)quantity != 0;
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING: {
		const char *text = *(char *const *)(const void *)at;
		return text && *text;
	}
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(void *const *)(const void *)at != NULL;
	case PROTOBUF_C_TYPE_BOOL:
		return *(const protobuf_c_boolean *)(const void *)quantity &&
		       *(const protobuf_c_boolean *)(const void *)at;
	default: { /* numbers: neither 0 nor -1 */
		int32_t number;
		memcpy(&number, at, sizeof number);
		return *(const protobuf_c_boolean *)(const void *)quantity && number != 0 &&
		       number != -1;
	}
	}
}

/* Why it is refused is known of those that a command line has. */
static int fail_field(const char *name, struct arena *arena, struct error *err)
{
	char *option = arena_string(arena, name);

	for (char *at = option; (at = strchr(at, '_'));)
		*at = '-';
	const char *why = options_refusal(pipeline_options,
					  strcmp(option, "ps") == 0 ? "page-server" : option);
	return fail(err, ERR_BAD_REQUEST, "the option %s is not supported%s%s", name,
		    why ? ": " : "", why ? why : "");
}

static int check_fields(const CriuOpts *request, struct arena *arena, struct error *err)
{
	for (unsigned i = 0; i < criu_opts__descriptor.n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &criu_opts__descriptor.fields[i];
		if (is_among(field->name, done) || is_among(field->name, harmless) ||
		    !asks(request, field))
			continue;
		return fail_field(field->name, arena, err);
	}
	for (size_t i = 0; i < request->n_join_ns; i++)
		if (request->join_ns[i]->extra_opt && *request->join_ns[i]->extra_opt)
			return fail(err, ERR_BAD_REQUEST,
				    "the option join_ns is not supported with extra_opt %s",
				    request->join_ns[i]->extra_opt);
	/* What a network namespace has of its own comes back; no other can be asked to be empty. */
	if (request->has_empty_ns && request->empty_ns & ~(uint32_t)CLONE_NEWNET)
		return fail(err, ERR_BAD_REQUEST,
			    "the option empty_ns is not supported for 0x%x: only for network "
			    "namespaces",
			    request->empty_ns);
	return 0;
}

/* A descriptor of the client; its number means nothing here. */
static const char *client_directory(struct arena *arena, pid_t peer, int fd)
{
	return arena_printf(arena, "/proc/%d/fd/%d", (int)peer, fd);
}

static const char *cgroup_mode(const CriuOpts *request)
{
	static const char *const names[] = {
		[CRIU_CG_MODE__IGNORE] = "ignore", [CRIU_CG_MODE__CG_NONE] = "none",
		[CRIU_CG_MODE__PROPS] = "props",   [CRIU_CG_MODE__SOFT] = "soft",
		[CRIU_CG_MODE__FULL] = "full",	   [CRIU_CG_MODE__STRICT] = "strict",
		[CRIU_CG_MODE__DEFAULT] = NULL,
	};

	if (request->has_manage_cgroups_mode &&
	    (size_t)request->manage_cgroups_mode < sizeof names / sizeof *names)
		return names[request->manage_cgroups_mode];
	return request->has_manage_cgroups && request->manage_cgroups ? NULL : "ignore";
}

static void take_cgroups(const CriuOpts *request, struct arena *arena,
			 struct pipeline_options *options)
{
	options->manage_cgroups = cgroup_mode(request);
	for (size_t i = 0; i < request->n_cg_root; i++) {
		const CgroupRoot *root = request->cg_root[i];
		texts_add(&options->cgroup_root, arena,
			  root->ctrl ? arena_printf(arena, "%s:%s", root->ctrl, root->path)
				     : root->path);
	}
	for (size_t i = 0; i < request->n_cgroup_dump_controller; i++)
		texts_add(&options->cgroup_dump_controller, arena,
			  request->cgroup_dump_controller[i]);
	options->cgroup_yard = request->cgroup_yard;
	options->cgroup_props = request->cgroup_props;
	options->cgroup_props_file = request->cgroup_props_file;
	options->freeze_cgroup = request->freeze_cgroup;
}

static enum log_level log_level_of(const CriuOpts *request)
{
	int level = request->has_log_level ? request->log_level : LOG_WARNING;

	return (enum log_level)(level < LOG_ERROR   ? LOG_ERROR
				: level > LOG_DEBUG ? LOG_DEBUG
						    : level);
}

static int take_places(const CriuOpts *request, pid_t peer, struct arena *arena,
		       struct pipeline_options *options, struct error *err)
{
	bool images = request->images_dir && *request->images_dir;

	if (!images && request->images_dir_fd < 0)
		return fail(err, ERR_BAD_REQUEST, "no directory of images is given");
	options->images_dir = images ? request->images_dir
				     : client_directory(arena, peer, request->images_dir_fd);
	if (request->has_work_dir_fd && request->work_dir_fd >= 0)
		options->work_dir = client_directory(arena, peer, request->work_dir_fd);
	if (request->log_file && strchr(request->log_file, '/'))
		return fail(err, ERR_BAD_REQUEST, "log_file %s is not a plain name",
			    request->log_file);
	options->log_file =
		request->log_file && *request->log_file ? request->log_file : "criu.log";
	if (request->has_log_to_stderr && request->log_to_stderr)
		options->log_file = NULL;
	return 0;
}

/* The bits are those of criu(8); all of them is its default. */
static int take_processor(const CriuOpts *request, struct arena *arena,
			  struct pipeline_options *options, struct error *err)
{
	enum { REGISTERS = 1, FEATURES = 2, INSTRUCTIONS = 4, KNOWN = 7 };
	uint32_t asked = request->cpu_cap;

	if (!request->has_cpu_cap)
		return 0;
	if (asked != UINT32_MAX && asked & ~(uint32_t)KNOWN)
		return fail(err, ERR_BAD_REQUEST, "the option cpu_cap is not supported for 0x%x",
			    asked);
	options->cpu_cap = asked == UINT32_MAX ? "all"
			   : !asked	       ? "none"
				    : arena_printf(arena, "%s%s%s", asked & REGISTERS ? "fpu," : "",
						   asked & FEATURES ? "cpu," : "",
						   asked & INSTRUCTIONS ? "ins," : "");
	return 0;
}

/* What lies outside, in the form of a command line. */
static void take_tcp(const CriuOpts *request, struct pipeline_options *options)
{
	options->tcp_established = request->has_tcp_established && request->tcp_established;
	options->tcp_close = request->has_tcp_close && request->tcp_close;
	options->tcp_skip_in_flight =
		request->has_tcp_skip_in_flight && request->tcp_skip_in_flight;
	if (request->has_network_lock && request->network_lock == CRIU_NETWORK_LOCK_METHOD__SKIP)
		options->network_lock = "skip";
}

static void take_externals(const CriuOpts *request, struct arena *arena,
			   struct pipeline_options *options)
{
	for (size_t i = 0; i < request->n_external; i++)
		texts_add(&options->external, arena, request->external[i]);
	for (size_t i = 0; i < request->n_unix_sk_ino; i++)
		texts_add(&options->external, arena,
			  arena_printf(arena, "unix[%u]", request->unix_sk_ino[i]->inode));
	for (size_t i = 0; i < request->n_veths; i++)
		texts_add(&options->external, arena,
			  arena_printf(arena, "veth[%s]:%s", request->veths[i]->if_in,
				       request->veths[i]->if_out));
	for (size_t i = 0; i < request->n_ext_mnt; i++)
		texts_add(&options->external, arena,
			  arena_printf(arena, "mnt[%s]:%s", request->ext_mnt[i]->key,
				       request->ext_mnt[i]->val));
	for (size_t i = 0; i < request->n_skip_mnt; i++)
		texts_add(&options->skip_mnt, arena, request->skip_mnt[i]);
	for (size_t i = 0; i < request->n_enable_fs; i++)
		texts_add(&options->enable_fs, arena, request->enable_fs[i]);
	options->external_sharing = request->has_ext_sharing && request->ext_sharing;
	options->external_masters = request->has_ext_masters && request->ext_masters;
	for (size_t i = 0; i < request->n_inherit_fd; i++)
		texts_add(&options->inherit_fd, arena,
			  arena_printf(arena, "fd[%d]:%s", request->inherit_fd[i]->fd,
				       request->inherit_fd[i]->key));
	for (size_t i = 0; i < request->n_join_ns; i++)
		texts_add(&options->join_ns, arena,
			  arena_printf(arena, "%s:%s", request->join_ns[i]->ns,
				       request->join_ns[i]->ns_file));
	take_tcp(request, options);
	pipeline_options_like_criu(options, arena);
}

static int check_externals(const struct pipeline_options *options, struct arena *arena,
			   struct error *err)
{
	struct externals externals;

	if (pipeline_externals(options, arena, &externals, err) == 0)
		return 0;
	err->name = ERR_BAD_REQUEST;
	return -1;
}

/*
 * Options by their long names, which have the last word: the person's, over those of the client.
 * Clients name a file that need not be there.
 */
static int take_config_file(const CriuOpts *request, struct arena *arena,
			    struct pipeline_options *options, struct error *err)
{
	static const struct option_row *const tables[] = { dump_options,   restore_options,
							   images_options, pipeline_options,
							   common_options, NULL };
	struct pipeline_arguments arguments = { .options = *options,
						.common.verbosity = (int)options->log_level };
	const char *path = request->config_file;

	if (!path || !*path || (access(path, F_OK) < 0 && errno == ENOENT))
		return 0;
	if (options_read_file(tables, path, &arguments, arena, err)) {
		err->name = ERR_BAD_REQUEST;
		return fail_while(err, "config_file");
	}
	if (arguments.action_script || arguments.exec_cmd || arguments.common.config)
		return fail(err, ERR_BAD_REQUEST, "config_file %s: %s is for the command line only",
			    path,
			    arguments.action_script ? "action-script"
			    : arguments.exec_cmd    ? "exec-cmd"
						    : "config");
	*options = arguments.options;
	options->log_level = (enum log_level)arguments.common.verbosity;
	return 0;
}

int request_options(const CriuOpts *request, pid_t peer, struct arena *arena,
		    struct pipeline_options *options, struct error *err)
{
	/* The places first: what is wrong is told in the log, too. */
	if (take_places(request, peer, arena, options, err) || check_fields(request, arena, err) ||
	    take_processor(request, arena, options, err))
		return -1;
	options->log_level = log_level_of(request);
	options->ext_unix_sk = request->has_ext_unix_sk && request->ext_unix_sk;
	options->sibling = request->has_rst_sibling && request->rst_sibling;
	options->shell_job = request->has_shell_job && request->shell_job;
	options->leave_stopped = request->has_leave_stopped && request->leave_stopped;
	options->leave_running = request->has_leave_running && request->leave_running;
	options->orphan_masters = request->has_orphan_pts_master && request->orphan_pts_master;
	options->auto_dedup = request->has_auto_dedup && request->auto_dedup;
	options->pid = request->has_pid ? request->pid : 0;
	options->prev_images_dir =
		request->parent_img && *request->parent_img ? request->parent_img : NULL;
	options->root = request->root && *request->root ? request->root : NULL;
	take_cgroups(request, arena, options);
	if (request->has_ghost_limit && request->ghost_limit)
		options->ghost_limit = request->ghost_limit;
	if (request->has_timeout && request->timeout)
		options->timeout_seconds = request->timeout;
	take_externals(request, arena, options);
	return take_config_file(request, arena, options, err) < 0
		       ? -1
		       : check_externals(options, arena, err);
}
