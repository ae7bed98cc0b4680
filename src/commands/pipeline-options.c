// SPDX-License-Identifier: LGPL-2.1-or-later
/* The command line of dump, restore and plan; see pipeline-options.h. */
#include "commands/pipeline-options.h"

#include "commands/command.h"

#include <stdlib.h>

const struct option_row images_options[] = {
	{ 'D', "images-dir", OPTION_TEXT, PIPELINE_ROW(images_dir), "DIR",
	  "where the images are (default: the current directory)" },
	{ 'r', "root", OPTION_TEXT, PIPELINE_ROW(root), "DIR",
	  "restore: recorded paths are below DIR; of a tree with mounts of its own: its root is "
	  "DIR" },
	{ 'j', "shell-job", OPTION_FLAG, PIPELINE_ROW(shell_job), NULL,
	  "the tree belongs to a session outside of it" },
	{ 0, "external", OPTION_TEXTS, PIPELINE_ROW(external), "TYPE[ID]",
	  "this lies outside of the tree, see nestor(1): pipe[INODE], "
	  "unix[INODE], file[MOUNT:INODE], mnt[PLACE]:KEY" },
	{ 0, "inherit-fd", OPTION_TEXTS, PIPELINE_ROW(inherit_fd), "fd[N]:KEY",
	  "restore: descriptor N takes the place of what is outside" },
	{ 'M', "ext-mount-map", OPTION_TEXTS, PIPELINE_ROW(ext_mount_map), "KEY:VALUE",
	  "the same as --external mnt[KEY]:VALUE; auto: found by nestor" },
	{ 'x', "ext-unix-sk", OPTION_FLAG, PIPELINE_ROW(ext_unix_sk), NULL,
	  "datagram sockets outside, to which those of the tree are connected, are found by name" },
	{ 0 },
};

const struct option_row pipeline_options[] = {
	{ 'W', "work-dir", OPTION_TEXT, PIPELINE_ROW(work_dir), "DIR",
	  "where log, pid file and statistics go (default: the images directory)" },
	{ 'o', "log-file", OPTION_TEXT, PIPELINE_ROW(log_file), "FILE",
	  "write the log to FILE in the work directory" },
	{ 0, "pidfile", OPTION_TEXT, PIPELINE_ROW(pidfile), "FILE",
	  "restore: write the root task's pid to FILE" },
	{ 's', "leave-stopped", OPTION_FLAG, PIPELINE_ROW(leave_stopped), NULL,
	  "leave the tasks stopped, to be continued by SIGCONT" },
	{ 0, "action-script", OPTION_TEXT, offsetof(struct pipeline_arguments, action_script),
	  "FILE", "run FILE at each moment (CRTOOLS_SCRIPT_ACTION); it has to exit with 0" },
	{ 0, "timeout", OPTION_NUMBER, PIPELINE_ROW(timeout_seconds), "SECONDS",
	  "give up after this time (default: 10)" },
	{ 0, "manage-cgroups", OPTION_OPTIONAL_TEXT, PIPELINE_ROW(manage_cgroups), "MODE",
	  "cgroups: soft (made where they are missing), none (have to be there), props (the same, "
	  "with their properties), full, strict (may not be there) or ignore; default: soft" },
	{ 0, "cgroup-root", OPTION_TEXTS, PIPELINE_ROW(cgroup_root), "[CONTROLLER:]/PATH",
	  "restore: the cgroups of the tree are below PATH" },
	{ 0, "freeze-cgroup", OPTION_TEXT, PIPELINE_ROW(freeze_cgroup), "DIR",
	  "stop the tree by the freezer of this cgroup" },
	{ 0, "cgroup-yard", OPTION_TEXT, PIPELINE_ROW(cgroup_yard), "DIR",
	  "the hierarchies of cgroups are mounted in DIR" },
	{ 0, "tcp-established", OPTION_FLAG, PIPELINE_ROW(tcp_established), NULL,
	  "take TCP connections to somebody outside of the tree along" },
	{ 0, "tcp-close", OPTION_FLAG, PIPELINE_ROW(tcp_close), NULL, "they come back closed" },
	{ 0, "skip-in-flight", OPTION_FLAG, PIPELINE_ROW(tcp_skip_in_flight), NULL,
	  "leave out TCP connections that are not made or not accepted yet" },
	{ 0, "network-lock", OPTION_TEXT, PIPELINE_ROW(network_lock), "METHOD",
	  "keep packets from them meanwhile: nftables, iptables (the same) or skip; default: "
	  "nftables" },
	{ 0, "enable-external-sharing", OPTION_FLAG, PIPELINE_ROW(external_sharing), NULL,
	  "mounts that share with those outside of the tree go on doing so" },
	{ 0, "enable-external-masters", OPTION_FLAG, PIPELINE_ROW(external_masters), NULL,
	  "slaves of mounts that cannot be seen lose their masters" },
	{ 0, "skip-mnt", OPTION_TEXTS, PIPELINE_ROW(skip_mnt), "PATH",
	  "leave out the mount at PATH" },
	{ 0, "enable-fs", OPTION_TEXTS, PIPELINE_ROW(enable_fs), "TYPE,...",
	  "mount these file systems again without what is in them; all: any" },
	/*
	 * Asked for by clients as a matter of course. They permit or tune what concerns only
	 * objects that are refused by name anyway (sockets, mounts, inotify), or give hints.
	 */
	{ 'l', "file-locks", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "link-remap", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "force-irmap", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "irmap-scan-path", OPTION_HARMLESS_ARGUMENT, 0, NULL, NULL },
	{ 0, "evasive-devices", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "mntns-compat-mode", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "allow-uprobes", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "weak-sysctls", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "skip-file-rwx-check", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "file-validation", OPTION_ONLY_VALUE, 0, "filesize", NULL },
	{ 0, "unprivileged", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0 },
};

void pipeline_arguments_init(struct pipeline_arguments *arguments, struct arena *arena)
{
	*arguments = (struct pipeline_arguments){ .common.verbosity = LOG_WARNING };
	pipeline_options_init(&arguments->options);
	if (command_speaks_criu())
		pipeline_options_like_criu(&arguments->options, arena);
}

/*
 * For tests of leftovers: NESTOR_FAULT=op:PROGRAM:NUMBER lets one operation of the plan fail,
 * NESTOR_FAULT=action:NUMBER one action of the coordinator, done:NUMBER the same once it is done.
 */
static struct run_fault fault_from_environment(void)
{
	struct run_fault fault = { 0 };
	const char *text = getenv("NESTOR_FAULT");

	if (text && sscanf(text, "op:%zu:%zu", &fault.program, &fault.number) == 2)
		fault.kind = FAULT_OPERATION;
	else if (text && sscanf(text, "action:%zu", &fault.number) == 1)
		fault.kind = FAULT_ACTION;
	else if (text && sscanf(text, "done:%zu", &fault.number) == 1)
		fault = (struct run_fault){ FAULT_ACTION, 0, fault.number, true };
	return fault;
}

void pipeline_arguments_complete(struct pipeline_arguments *arguments, struct terminal *terminal)
{
	struct pipeline_options *options = &arguments->options;

	options->log_level = (enum log_level)arguments->common.verbosity;
	options->fault = fault_from_environment();
	options->inside = terminal_take_inside();
	terminal->options = options;
	terminal->action_script = arguments->action_script;
	options->hooks = (struct pipeline_hooks){
		.data = terminal,
		.at_moment = arguments->action_script ? terminal_at_moment : NULL,
		.obstacles = terminal_obstacles,
		.progress = terminal_progress,
		.asked_to_stop = terminal_asked_to_stop,
		.execute_inside = terminal_execute_inside,
	};
}
