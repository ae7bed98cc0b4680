// SPDX-License-Identifier: LGPL-2.1-or-later
/* The options of dump, restore and plan; see pipeline-options.h. */
#include "options/pipeline-options.h"

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
	{ 'J', "join-ns", OPTION_TEXTS, PIPELINE_ROW(join_ns), "TYPE:PID|FILE",
	  "restore: this net, ipc or uts namespace in the place of that of the root" },
	{ 0, "inherit-fd", OPTION_TEXTS, PIPELINE_ROW(inherit_fd), "fd[N]:KEY",
	  "restore: descriptor N takes the place of what is outside" },
	{ 'M', "ext-mount-map", OPTION_TEXTS, PIPELINE_ROW(ext_mount_map), "KEY:VALUE",
	  "the same as --external mnt[KEY]:VALUE; auto: found by nestor" },
	{ 0, "veth-pair", OPTION_TEXTS, PIPELINE_ROW(veth_pair), "IN=OUT",
	  "restore: the same as --external veth[IN]:OUT" },
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
	{ 0, "display-stats", OPTION_FLAG, offsetof(struct pipeline_arguments, display_stats), NULL,
	  "print the statistics" },
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
	  "mount these file systems again without what is in them; all: any; fuse: keep what is "
	  "open "
	  "in those whose driver is in the tree" },
	{ 0, "cpu-cap", OPTION_TEXT_OR_NONE, PIPELINE_ROW(cpu_cap), "WHAT,...",
	  "what the processor can do is recorded, and has to be there at the restore: fpu, ins, "
	  "cpu, all (the default), none" },
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
	/* What network namespaces have of their own comes back by itself. */
	{ 0, "empty-ns", OPTION_ONLY_VALUE, 0, "net", NULL },
	{ 'L', "libdir", OPTION_REFUSED, 0, "there are no plugins", NULL },
	{ 0, "stream", OPTION_REFUSED, 0, "images are files in a directory", NULL },
	{ 0, "log-pid", OPTION_REFUSED, 0, "there is one log, see --log-file", NULL },
	{ 0, "lsm-profile", OPTION_REFUSED, 0, NO_LABELS, NULL },
	{ 0, "lsm-mount-context", OPTION_REFUSED, 0, NO_LABELS, NULL },
	{ 0, "lazy-pages", OPTION_REFUSED, 0, NO_LAZY_PAGES, NULL },
	{ 0, "page-server", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0, "address", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0, "port", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0, "ps-socket", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0, "daemon", OPTION_REFUSED, 0, "it is of nestor service", NULL },
	{ 0, "status-fd", OPTION_REFUSED, 0, "it is of nestor service", NULL },
	{ 0, "tls", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0, "tls-cacert", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0, "tls-cacrl", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0, "tls-cert", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0, "tls-key", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0, "tls-no-cn-verify", OPTION_REFUSED, 0, NO_PAGE_SERVER, NULL },
	{ 0 },
};

const struct option_row dump_options[] = {
	{ 't', "tree", OPTION_PID, PIPELINE_ROW(pid), "PID", "root of the tree to dump" },
	{ 0, "prev-images-dir", OPTION_TEXT, PIPELINE_ROW(prev_images_dir), "DIR",
	  "do not write again what an earlier dump there has (seen from the images directory)" },
	{ 0, "track-mem", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "auto-dedup", OPTION_FLAG, PIPELINE_ROW(auto_dedup), NULL,
	  "when it is done, remove from the earlier dumps what it does not need of them" },
	{ 'R', "leave-running", OPTION_FLAG, PIPELINE_ROW(leave_running), NULL,
	  "let the tree go on after the dump" },
	{ 0, "verify", OPTION_FLAG, PIPELINE_ROW(verify), NULL,
	  "read the images back, as a restore would, before the tree is ended" },
	{ 0, "ghost-limit", OPTION_SIZE, PIPELINE_ROW(ghost_limit), "SIZE",
	  "largest unlinked file that is put into the images (default: 1M; in memory: any)" },
	{ 0, "force-lost", OPTION_TEXT, PIPELINE_ROW(force_lost), "STATE[,STATE]",
	  "dump although this state of tasks is lost (a refusal names it)" },
	{ 0, "ghost-fiemap", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "cgroup-props", OPTION_TEXT, PIPELINE_ROW(cgroup_props), "TEXT",
	  "properties of controllers to be dumped besides, or instead of, those that are known" },
	{ 0, "cgroup-props-file", OPTION_TEXT, PIPELINE_ROW(cgroup_props_file), "FILE",
	  "the same, in FILE" },
	{ 0, "cgroup-props-ignore-default", OPTION_FLAG, PIPELINE_ROW(cgroup_props_ignore_default),
	  NULL, "no others than these" },
	{ 0, "cgroup-dump-controller", OPTION_TEXTS, PIPELINE_ROW(cgroup_dump_controller), "NAME",
	  "properties of these controllers only" },
	{ 0, "pre-dump-mode", OPTION_HARMLESS_ARGUMENT, 0, NULL, NULL },
	{ 0 },
};

const struct option_row restore_options[] = {
	{ 'd', "restore-detached", OPTION_FLAG, PIPELINE_ROW(detached), NULL,
	  "return once the tree runs, instead of waiting for its root" },
	{ 0, "restore-sibling", OPTION_FLAG, PIPELINE_ROW(sibling), NULL,
	  "with -d: the root task becomes a child of the caller" },
	UNSHARE_OPTION,
	{ 0, "no-systemd-reload", OPTION_FLAG, PIPELINE_ROW(no_systemd_reload), NULL,
	  "systemd is not told to ask again which processes are its services" },
	{ 0, "exec-cmd", OPTION_FLAG, offsetof(struct pipeline_arguments, exec_cmd), NULL,
	  "execute the command after -- instead of waiting, as the parent of the root task" },
	{ 0 },
};

void pipeline_arguments_init(struct pipeline_arguments *arguments, bool like_criu,
			     struct arena *arena)
{
	*arguments = (struct pipeline_arguments){ .common.verbosity = LOG_WARNING };
	pipeline_options_init(&arguments->options);
	if (like_criu)
		pipeline_options_like_criu(&arguments->options, arena);
}
