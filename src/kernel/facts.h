/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this kernel and these privileges allow, found once (facts_probe) and passed on. Planning
 * sees the host only through this; tests fill it by hand.
 */
#ifndef NESTOR_KERNEL_FACTS_H
#define NESTOR_KERNEL_FACTS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

struct address_range {
	uint64_t start, end;
};

enum { MAX_VDSO_AREAS = 8, RLIMIT_COUNT = 16, MAX_AFFINITY_SIZE = 1024 };

struct vdso_area {
	struct address_range range;
	bool is_vdso; /* [vdso] itself; otherwise [vvar] or [vvar_vclock] */
};

struct facts {
	uint64_t capabilities; /* effective set of the caller */
	bool in_initial_user_namespace;
	uint32_t pid_max;   /* of the caller's pid namespace */
	uint64_t task_size; /* end of user addresses */
	uint64_t mmap_min_address;
	/* The caller's own address space, as children inherit it: */
	struct address_range *busy; /* mapped ranges, ascending */
	size_t n_busy;
	struct vdso_area vdso[MAX_VDSO_AREAS]; /* ascending */
	size_t n_vdso;
	uint64_t vdso_hash;    /* xxh3 of the [vdso] area */
	uint64_t rseq_address; /* registration that children inherit; 0 if none */
	uint32_t rseq_size, rseq_signature;
	struct rlimit rlimits[RLIMIT_COUNT]; /* that children inherit */
	uint32_t umask;
	int32_t oom_score_adj;
	bool landlock; /* there can be domains */
	uint32_t coredump_filter;
	uint32_t loginuid; /* UINT32_MAX: not set */
	uint32_t personality;
	uint64_t xsave_features; /* XCR0 */
	uint32_t xsave_size;
	uint64_t page_size;
	uint64_t max_map_count; /* areas that a process may have, less one; 0: not known */
	uint64_t max_processes; /* and threads, that we may have made; 0: not known */
	/* Further state of the caller that its children inherit: */
	uint32_t uids[4], gids[4]; /* real, effective, saved, file system */
	uint32_t *groups;	   /* supplementary, ascending as the kernel keeps them */
	size_t n_groups;
	uint64_t permitted, inheritable, bounding, ambient;
	uint64_t known_capabilities; /* those this kernel has */
	uint32_t securebits;
	bool no_new_privs;
	uint64_t ignored_signals, caught_signals; /* bit 0 is signal 1 */
	bool alternate_stack;			  /* a sanitizer's; threads do not inherit it */
	const char *security_context; /* of a security module that labels tasks, or NULL */
	bool filtered;		      /* nestor itself runs under a seccomp filter */
	uint32_t scheduling_policy, scheduling_priority;
	uint64_t scheduling_flags, scheduling_slice; /* nanoseconds; 0: not told */
	int32_t nice;
	uint32_t io_priority;
	uint64_t timer_slack_ns; /* of the thread that probed */
	uint32_t dumpable;	 /* of the address space, as PR_GET_DUMPABLE */
	uint32_t suid_dumpable;	 /* sysctl fs.suid_dumpable: what it is after ids have changed */
	uint32_t thp_disable;	 /* as PR_GET_THP_DISABLE */
	uint8_t affinity[MAX_AFFINITY_SIZE];
	size_t affinity_size;
	/* Where core files go (sysctl kernel.core_pattern), if they can be made; NULL otherwise. */
	const char *core_pattern;
	/* Facilities, each with a row in `nestor check`: */
	bool clone3_set_tid;
	bool pagemap_scan;
	bool timer_restore_ids; /* PR_TIMER_CREATE_RESTORE_IDS */
	bool guard_regions;	/* MADV_GUARD_INSTALL, 6.13 */
	bool memory_seals;	/* mseal(2), 6.10 */
	bool protection_keys;	/* of memory; of this processor and kernel */
	bool pidfd_getfd;
	bool kcmp;
	bool seccomp_get_filter; /* PTRACE_SECCOMP_GET_FILTER */
	bool rseq_configuration; /* PTRACE_GET_RSEQ_CONFIGURATION */
	bool map_files;
	bool children_file;	    /* /proc/PID/task/TID/children */
	bool uffd_move;		    /* UFFDIO_MOVE, 6.8 */
	bool per_namespace_pid_max; /* 6.14 */
	bool pidfd_namespaces;	    /* PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE and relatives, 6.11 */
	int shortage;		    /* errno that kept something from being found out */
};

/* Fills everything; the ranges live in `arena`. */
struct arena;
int facts_probe(struct facts *facts, struct arena *arena, struct error *err);

/*
 * The same as a process finds it in a new user namespace, and a new pid namespace, of the caller's
 * own; false if the caller may make none. Nothing but numbers is valid.
 */
bool facts_probe_inside(struct facts *facts);

bool facts_has_capability(const struct facts *facts, int capability);

#endif
