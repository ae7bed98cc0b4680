// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * All kinds of kernel objects, one row each. The order of task kinds is the order of their
 * operations in a program; kinds/task/task.h and the files say what depends on it. The first
 * file kind that recognises a description has it.
 */
#include "kinds/bpf/bpf.h"
#include "kinds/cgroups/cgroups.h"
#include "kinds/files/files.h"
#include "kinds/ipc/ipc.h"
#include "kinds/ipc/posix-queues.h"
#include "kinds/kind.h"
#include "kinds/memory/memory.h"
#include "kinds/mounts/mounts.h"
#include "kinds/namespaces/descriptor.h"
#include "kinds/namespaces/namespaces.h"
#include "kinds/namespaces/pid.h"
#include "kinds/net/net.h"
#include "kinds/sockets/socket.h"
#include "kinds/task/fs.h"
#include "kinds/task/task.h"
#include "kinds/ttys/ttys.h"

static const struct file_kind *const file_kinds[] = {
	&pty_kind,	      /* both sides of pseudo-terminals */
	&io_uring_kind,	      /* io_uring instances */
	&memfd_kind,	      /* memory without a path */
	&posix_queue_kind,    /* mq_open(3) */
	&regular_kind,	      /* whatever has a path, and unlinked files */
	&fifo_kind,	      /* named pipes */
	&pipe_kind,	      /* both ends of pipe(2) */
	&eventfd_kind,	      /* counters */
	&timerfd_kind,	      /* timers that are read */
	&signalfd_kind,	      /* signals that are read */
	&pidfd_kind,	      /* processes */
	&inotify_kind,	      /* watches of inodes */
	&fanotify_kind,	      /* the same, and of mounts and file systems */
	&epoll_kind,	      /* epoll instances */
	&tun_kind,	      /* queues of tun and tap interfaces */
	&fuse_device_kind,    /* by which a driver serves a file system */
	&unix_socket_kind,    /* AF_UNIX */
	&inet_socket_kind,    /* AF_INET, AF_INET6 */
	&packet_socket_kind,  /* AF_PACKET */
	&netlink_socket_kind, /* AF_NETLINK */
	&bpf_program_kind,    /* programs for cgroups */
	&bpf_map_kind,	      /* what programs and others have in common */
	&bpf_link_kind,	      /* programs that are attached as long as somebody has these */
	&bpf_types_kind,      /* BTF */
	&namespace_file_kind, /* of /proc/PID/ns */
	NULL,
};

static const struct file_aspect *const file_aspects[] = {
	&status_flags_aspect,
	&locks_aspect, /* before owners, who would be told of leases */
	&owner_aspect,
	&gone_process_aspect,
	&inode_owner_aspect,
	&cgroup_events_aspect,
	NULL,
};

static const struct task_kind *const files_stage[] = {
	&cgroups_kind,		    /* what is made later is accounted there */
	&login_kind,		    /* handed down */
	&pid_limits_kind,	    /* opens files below the root directory that we came with */
	&mount_fs_kind,		    /* its mount namespace */
	&namespaces_kind,	    /* the others */
	&fs_kind,		    /* directories */
	&thread_fs_kind,	    /* those of threads, kept for them */
	&controlling_terminal_kind, /* of a session leader */
	&epoll_signals_kind,	    /* what a task alone can add to an epoll instance */
	NULL,
};

static const struct task_kind *const memory_stage[] = {
	&memory_kind,
	&aio_kind,		/* contexts, whose rings are areas with content */
	&outside_segments_kind, /* that areas of memory attach */
	&children_time_kind,	/* waits for others */
	NULL,
};

static const struct task_kind *const process_stage[] = {
	&future_locks_kind,	   /* as long as nestor's limits bind, not the task's */
	&io_uring_registered_kind, /* as long as the task has all rights */
	&personality_kind,
	&resource_limits_kind,
	&memory_policy_kind,
	&process_attributes_kind,
	&memory_barriers_kind,
	&semaphore_undo_kind,
	&process_keyring_kind,
	&signal_actions_kind,
	&coredump_filter_kind,
	&autogroup_kind,
	&oom_score_kind,
	&locks_kind,	      /* when the task has closed what is not its own */
	&io_uring_first_kind, /* the same, with all rights */
	&seals_kind,
	NULL,
};

static const struct task_kind *const parting_stage[] = {
	&io_uring_submitter_kind, /* all rights; its workers share directories (mntns_install) */
	&thread_parting_kind,	  &thread_mounts_kind, &thread_directories_kind, NULL,
};

static const struct task_kind *const thread_stage[] = {
	&thread_namespaces_kind, &thread_children_time_kind, &thread_pointers_kind,
	&scheduling_kind,	 &timer_slack_kind,	     &alternate_stack_kind,
	&pending_signals_kind,	 &service_manager_kind,	     NULL,
};

static const struct task_kind *const ids_stage[] = {
	&dumpable_by_change_kind,
	&credentials_kind,
	NULL,
};

static const struct task_kind *const capabilities_stage[] = {
	&nested_namespaces_kind,    /* with all that its user namespace gives */
	&nested_children_time_kind, /* the same */
	&capability_sets_kind,
	NULL,
};

static const struct task_kind *const last_stage[] = {
	&zombie_signals_kind,
	&keyrings_kind,
	&landlock_kind,
	&thread_attributes_kind,
	&numa_policy_kind,
	&interval_timers_kind,
	&posix_timers_kind,
	&rseq_kind,
	&syscall_dispatch_kind,
	&dumpable_kind,
	&child_subreaper_kind,
	&parent_death_signal_kind,
	&seccomp_kind,
	&capabilities_kind,
	&cgroup_properties_kind, /* by the coordinator, last of all */
	NULL,
};

static const struct tree_kind *const tree_kinds[] = {
	&freezer_tree_kind,   &cgroups_tree_kind,
	&mounts_tree_kind,    &networks_tree_kind,
	&ipc_tree_kind,	      &memory_tree_kind,
	&locks_tree_kind,     &sockets_tree_kind,
	&terminals_tree_kind, NULL,
};

static const struct source_opener *const source_openers[] = {
	&shared_memory_source,
	&cgroup_source,
	&terminal_source,
	NULL,
};

const struct kind_table kinds = {
	.trees = tree_kinds,
	.sources = source_openers,
	.files = file_kinds,
	.aspects = file_aspects,
	.namespaces = {
		[NAMESPACE_PID] = &pid_namespace_kind,
		[NAMESPACE_USER] = &user_namespace_kind,
		[NAMESPACE_MNT] = &mount_namespace_kind,
		[NAMESPACE_UTS] = &uts_namespace_kind,
		[NAMESPACE_IPC] = &ipc_namespace_kind,
		[NAMESPACE_CGROUP] = &cgroup_namespace_kind,
		[NAMESPACE_TIME] = &time_namespace_kind,
		[NAMESPACE_NET] = &net_namespace_kind,
	},
	.tasks = {
		[STAGE_FILES] = files_stage,
		[STAGE_MEMORY] = memory_stage,
		[STAGE_PROCESS] = process_stage,
		[STAGE_PARTING] = parting_stage,
		[STAGE_THREAD] = thread_stage,
		[STAGE_IDS] = ids_stage,
		[STAGE_CAPABILITIES] = capabilities_stage,
		[STAGE_LAST] = last_stage,
	},
};

const struct file_kind *kind_of_file(const struct kind_table *table, const FileEntry *entry)
{
	for (const struct file_kind *const *kind = table->files; *kind; kind++)
		if ((*kind)->type == entry->type)
			return *kind;
	return NULL;
}

struct file_fields fields_of_file(const struct kind_table *table, const FileEntry *entry)
{
	const struct file_kind *kind = kind_of_file(table, entry);

	/* Whoever asks changes it or not, by what it is given. */
	return kind && kind->fields ? kind->fields((FileEntry *)(uintptr_t)entry)
				    : (struct file_fields){ 0 };
}

struct file_cost file_cost(const struct kind_table *table, const struct snapshot *snapshot,
			   const FileEntry *entry)
{
	const struct file_kind *kind = kind_of_file(table, entry);

	return kind && kind->cost ? kind->cost(snapshot, entry) : (struct file_cost){ 0 };
}

enum file_way file_way(const struct kind_table *table, const struct snapshot *snapshot,
		       const FileEntry *entry)
{
	const struct file_kind *kind = kind_of_file(table, entry);

	return kind && kind->way ? kind->way(snapshot, entry) : FILE_EARLY;
}
