/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a dump, a restore or a plan can be asked for, by whoever asks: a command line, a client of
 * the service, a program. Texts are borrowed. pipeline_options_init gives the defaults, which are
 * the same for all of them.
 */
#ifndef NESTOR_PIPELINE_OPTIONS_H
#define NESTOR_PIPELINE_OPTIONS_H

#include "base/error.h"
#include "base/log.h"
#include "base/obstacles.h"
#include "base/texts.h"
#include "model/externals.h"
#include "run/run.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the caller is told and asked on the way. Each may be NULL. */
struct pipeline_hooks {
	void *data;
	void (*progress)(void *data, const char *phase, size_t done, size_t total);
	/* The number of a signal that asks to stop, or 0. Asked between steps and the parts of long
	 * ones, so that undoing is never cut short. */
	int (*asked_to_stop)(void *data);
	/*
	 * Moments at which the caller may act, and refuse, in their order. Of a dump: "pre-dump"
	 * before anything is stopped, "network-lock" when all is, "post-dump" when the images are
	 * complete and the tree is not ended yet (refused, it goes on and the images stay),
	 * "network-unlock" where it goes on, for whatever reason. Of a restore: "pre-restore";
	 * "setup-namespaces" when all but mount namespaces are made, and no task is yet, with the
	 * pid of a process that is in those of the root for the moment; when all is made and
	 * nothing runs yet "post-setup-namespaces", "post-restore", "network-unlock" and
	 * "pre-resume"; "post-resume" comes too late to be refused. root_pid is that of the root
	 * of the tree else; 0 where there is none.
	 */
	int (*at_moment)(void *data, const char *moment, pid_t root_pid, struct error *err);
	/*
	 * Restore: the master of a terminal whose master was outside, before anything runs. The
	 * descriptor is borrowed. NULL: nobody takes it, and the terminal comes back hung up.
	 */
	int (*take_master)(void *data, int fd, struct error *err);
	/*
	 * A dump is refused: all that stands in its way, of which its error has the first. Valid
	 * for the moment.
	 */
	void (*obstacles)(void *data, const struct obstacles *obstacles);
	/* When all is done: what was measured, for people, a line each. */
	void (*statistics)(void *data, const char *text);
	/*
	 * What else lies outside of the tree, which is stopped: adds to `external`, as in the
	 * options. NULL: nobody is asked.
	 */
	int (*more_externals)(void *data, struct texts *external, struct error *err);
	/*
	 * Restore and plan without privileges: the caller has entered a user namespace made for the
	 * tree's with this id, and executes the whole once more, with options.inside set to it.
	 * Comes back with an error only. NULL: what takes privileges is refused.
	 */
	int (*execute_inside)(void *data, uint32_t user_namespace, struct error *err);
};

struct pipeline_options {
	const char *images_dir; /* NULL: the current directory */
	const char *work_dir;	/* for log, pid file and statistics; NULL: the images directory */
	const char *log_file;	/* NULL: the log goes to stderr */
	bool silent;		/* or nowhere */
	enum log_level log_level;
	bool shell_job;
	bool leave_stopped;
	bool own_process; /* of nestor's alone: a fork of it may take its place (guard.h) */
	bool detached;	  /* nobody waits for the restored tree */
	bool sibling;	  /* with detached: it becomes our parent's child */
	bool no_systemd_reload;
	uint64_t timeout_seconds;
	/* What lies outside of the tree (model/externals.h), as written on a command line. */
	struct texts external, inherit_fd;
	struct texts ext_mount_map; /* "KEY:VALUE" for external "mnt[KEY]:VALUE"; "auto" */
	struct texts veth_pair;	    /* "IN=OUT" for external "veth[IN]:OUT" */
	struct texts skip_mnt, enable_fs;
	bool external_sharing, external_masters;
	bool ext_unix_sk;
	bool orphan_masters;				     /* externals.give_masters */
	bool tcp_established, tcp_close, tcp_skip_in_flight; /* struct tcp_wishes */
	const char *network_lock; /* "nftables", "iptables" (the same), "skip"; NULL: the first */
	/* What the processor has to be able to do again, in words; "": all; NULL: not asked. */
	const char *cpu_cap;
	struct texts cgroup_root;
	const char *cgroup_yard;
	const char *manage_cgroups; /* name of a mode (model/cgroups.h); NULL: the default */

	/* of a dump */
	pid_t pid;
	const char *prev_images_dir; /* of an earlier dump, as seen from images_dir; NULL: none */
	bool auto_dedup; /* when it is done, earlier dumps lose what it does not need of them */
	bool leave_running;
	bool verify; /* the images are read back before the tree is let go of */
	const char *cgroup_props, *cgroup_props_file;
	bool cgroup_props_ignore_default;
	struct texts cgroup_dump_controller;
	const char *freeze_cgroup;
	uint64_t ghost_limit;	/* largest unlinked file in the images; 0: what is usual */
	const char *force_lost; /* names of state that may be lost (collect/losses.h); NULL: none */

	/* of a restore and a plan */
	struct texts join_ns; /* "TYPE:PID" or "TYPE:FILE", see join.h */
	const char *root;     /* recorded paths are below it; NULL: the host's */
	const char *pidfile;  /* gets the root task's pid */
	const char *unshare;  /* words; see unshare.h */
	uint32_t inside;      /* see execute_inside; 0: nobody has executed anything again */
	struct run_fault fault;

	struct pipeline_hooks hooks;
};

/* For a name that is none of a mode. */
int fail_cgroup_mode(const struct pipeline_options *options, struct error *err);

/*
 * As criu(8) does without being asked: a pipe with an end outside is dumped, and where nothing is
 * given for it at the restore, that end is gone; keyrings that do not come back are left out, which
 * the log tells.
 */
void pipeline_options_like_criu(struct pipeline_options *options, struct arena *arena);

/* What `external` and `inherit_fd` say; a descriptor that is not open is refused. */
int pipeline_externals(const struct pipeline_options *options, struct arena *arena,
		       struct externals *ret_externals, struct error *err);

void pipeline_options_init(struct pipeline_options *options);

#endif
