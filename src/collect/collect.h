/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A live tree, stopped: what kinds see of it while a dump is made. Everything is read from
 * outside (/proc, ptrace register sets, pidfd_getfd, kcmp); only the probe runs inside.
 */
#ifndef NESTOR_COLLECT_COLLECT_H
#define NESTOR_COLLECT_COLLECT_H

#include "base/arena.h"
#include "base/error.h"
#include "base/obstacles.h"
#include "base/slots.h"
#include "collect/interrupted.h"
#include "kernel/facts.h"
#include "kernel/kernel-memory.h"
#include "model/externals.h"
#include "model/snapshot.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct images_writer;
struct stat;
struct statx;
struct assistant;
struct read_ahead;
struct surveyed_namespace;
struct open_file; /* kinds/kind.h */
struct finisher;

/*
 * The folder of a task below /proc, open as long as a thread of nestor reads one file of it after
 * the other: half of what such a read costs is finding the way from the root.
 */
struct target_folder {
	const struct target *target;
	int fd;
};

struct target_thread {
	pid_t tid;			  /* as this nestor sees it */
	struct user_regs_struct regs;	  /* at the stop, settled: it goes on with these */
	struct user_regs_struct recorded; /* what images get; see interrupted.c */
	struct thread_sleep sleep;
	struct thread_timeout timeout;
	uint8_t *xstate; /* NT_X86_XSTATE */
	size_t xstate_size;
	uint64_t signal_mask;
	char *status; /* /proc/PID/task/TID/status */
	bool dead;    /* a zombie, or a leader that others outlive: nothing else is known */
	/* PTRACE_GET_RSEQ_CONFIGURATION; address 0 if not registered: */
	uint64_t rseq_address;
	uint32_t rseq_size, rseq_signature;
	/* struct ptrace_sud_config of linux/ptrace.h: syscall user dispatch. */
	struct {
		uint64_t mode, selector, offset, length;
	} dispatch;
	bool fs_compared, has_own_fs; /* see collect_thread_has_own_fs */
	uint32_t
		fs_id; /* of its own working directory, root and umask; 0: they are its process's */
	bool seized;
};

enum inherits { INHERITS_UNKNOWN, INHERITS_YES, INHERITS_NO };

/* A stopped task. The pipeline fills this part; kinds fill target->task's messages. */
struct target {
	struct collect *collect;
	struct task *task; /* messages being filled: core, threads[], mm, fs, ids, pstree */
	pid_t pid;	   /* as this nestor sees it */
	/*
	 * The first thread that lives, 0 unless the leader has exited, and its id: what threads
	 * share is asked of it, and found by its number (kcmp, process_vm_readv, /proc).
	 */
	size_t living;
	pid_t tid;
	struct target *parent;
	char *status;	   /* status there, whole */
	char *stat;	   /* stat there, after the ')' of the name: fields from 3 on */
	char *leader_stat; /* the same of the leader, dead or alive */
	bool zombie;
	bool refused;	 /* something is missing in its messages */
	int stop_signal; /* of a group stop (SIGSTOP, SIGTSTP, ...); 0 if it was running */
	struct target_thread *threads; /* threads[0] is the leader */
	size_t n_threads;
	/*
	 * Not NULL: what is on its way to this one, which no task holds; nestor itself holds it and
	 * is the target, which has neither a task nor texts.
	 */
	const char *held_for;
	/* What its links have led to, by type; see survey_add_task. */
	struct surveyed_namespace *namespaces[NAMESPACE_TYPES];
	struct read_ahead *ahead;	  /* texts that may be there already; see read-ahead.h */
	uint32_t *descriptors;		  /* see target_descriptors */
	struct files_ahead **files_ahead; /* the same of descriptors; NULL: nothing */
	size_t n_files_ahead, n_descriptors;
	bool descriptors_listed;
	int peek_failure; /* see target_peek */
	bool addresses_asked;
	const uint64_t *file_addresses; /* of the same; see file-addresses.h; NULL: unknown */
	const struct error *descriptors_error; /* why they cannot be; NULL: nothing has failed */
	enum inherits *inherits;	       /* of the same, once asked; see target_inherits */
	uint64_t *auxv;			       /* /proc/PID/auxv; NULL if it cannot be read */
	size_t n_auxv;			       /* words */
	uint64_t vdso_start, vdso_end;	       /* [vdso]; 0 if there is none */
	struct address_range code_room;	       /* then; see code-room.h */
	/* Times of wait_clock: between which two it was asked, and when its signals were read. */
	uint64_t asked_from, asked_to, signals_read;
};

struct dump_options {
	pid_t pid;
	bool shell_job;
	bool leave_running; /* neither collect_kill nor collect_leave_stopped will be called */
	unsigned timeout_seconds;
	bool guarded; /* nobody ends us between two system calls: see guard.h */
	bool ignore_cgroups;
	uint64_t ghost_limit;		   /* of an unlinked file; 0: what is usual */
	uint64_t accepted_losses;	   /* losses.h */
	const struct externals *externals; /* what may lie outside of the tree */
};

/* What keeps the tree frozen; all NULL: nothing does. */
struct collect_freezer {
	void *data;
	int (*thaw)(void *data, struct error *err); /* all have been told to stop */
	void (*restore)(void *data);		    /* before they are let go */
};

struct collect {
	struct arena *arena;
	struct snapshot *snapshot;
	const struct facts *facts;
	const struct dump_options *options;
	struct images_writer *images;
	struct images *earlier;	     /* pages that these have are not written again; NULL: none */
	struct assistant *assistant; /* from the stop of the tree to its release */
	/* The signal that asks us to stop, 0: go on; NULL: nobody asks. By collect_go_on only. */
	int (*asked_to_stop)(void *data);
	void *asked_data;
	struct target_folder folders[2]; /* see target_enter */
	/* One of a task (target_get_fd), and one of a descriptor of it (collect_borrow_file). */
	struct kept_fd {
		pid_t tid; /* 0: there is none */
		uint32_t number;
		int fd;
	} pidfd, borrowed;
	struct kernel_memory kernel_memory; /* once somebody has read it; read-kernel.h */
	pthread_t first_thread;		    /* who has the assistant; set with it */
	struct collect_freezer freezer;
	struct finisher *finisher; /* the same, if the tree is not to go on */
	struct target *targets;	   /* same order as snapshot->tasks */
	size_t n_targets;
	/* Pid namespaces from nestor's to the root's, which takes the place of the first; or 0. */
	size_t levels_to_root;
	/* Filled by kinds while collecting: */
	uint32_t next_file_id, next_shared_id, next_pages_id;
	/*
	 * The tree is only looked at, as it runs: nobody is stopped, nothing of it is changed, and
	 * there are no images. What only a stopped task tells is left out (collect_look_tree).
	 */
	bool looking;
	/* Something was not asked that could be, if nobody ended us meanwhile. */
	bool wants_guard;
	/* A file system was refused whose files may be served by a task that stands still. */
	bool may_wait;
	/*
	 * Those whose files are (FUSE), by their devices: nobody but `look` may ask for what they
	 * are, by any descriptor of one. Only the first thread calls it; -1 with errno.
	 */
	struct silent {
		const dev_t *devices;
		size_t n;
		/* Where they are mounted in nestor's own mount namespace. */
		const char **paths;
		size_t n_paths;
		int (*look)(struct collect *collect, int fd, struct stat *ret_stat);
	} silent;
	struct obstacles obstacles;		   /* see collect_pass */
	struct slots states;			   /* see collect_state */
	struct scheduler_clocks *scheduler_clocks; /* scheduler-clocks.c */
	/* For stats-dump: of private memory, and of shared. */
	uint64_t pages_written, pages_scanned, shared_pages_written, shared_pages_scanned;
	uint64_t pages_kept; /* private ones that the earlier dump has */
};

/* What somebody keeps over a dump, by the address of its row or of a variable of its own. */
static inline void **collect_state(struct collect *collect, const void *owner)
{
	return slot_of(&collect->states, collect->arena, owner);
}

/*
 * A refusal is kept, with all others that are met, and forgotten as an error: 0, go on as if what
 * it is about were not there. -1: it is none. Where the tree is only looked at, what is gone in the
 * meantime is forgotten as well.
 */
int collect_pass(struct collect *collect, struct error *err);
/*
 * ghost-limit.c: how large an unlinked file may be that is put into the images: what was asked for,
 * or 1 MiB; and no limit by itself for what lies in memory, as all other memory of the tree is
 * dumped, too. `fd` is open on the file (O_PATH will do).
 */
uint64_t collect_ghost_limit(const struct collect *collect, int fd);
/* names.c: "pid 4312" of a task in a container becomes "pid 37 (nginx, host pid 4312)". */
void collect_name_tasks(const struct collect *collect, struct error *err);
/* Of an error while a tree is looked at: is it that something has gone meanwhile? */
bool collect_is_gone(const struct error *err);

/* What holds for the whole dump; made when it is first asked for. */
InventoryEntry *collect_inventory(struct collect *collect);

unsigned target_pidfd_flags(const struct target *target); /* for a pidfd of target->tid */
/*
 * A descriptor of our own of what a descriptor of a task refers to; -1 with errno. By the first
 * thread only, as it keeps a pidfd of the task that was asked last (of a thread that lives).
 */
int target_get_fd(const struct target *target, uint32_t number);
void kept_fd_close(struct kept_fd *kept);

/*
 * Files below /proc/PID, or /proc/TID of the first thread that lives; from any thread of ours, and
 * -1 with errno. The numbers of what is stopped stay its own, and a tree may have more tasks than
 * nestor may have descriptors: one folder is held open by each thread, between these two.
 */
struct target_folder *target_enter(const struct target *target);
void target_leave(struct target_folder **folder);
#define autoleave __attribute__((cleanup(target_leave), unused)) struct target_folder *
int target_open(const struct target *target, const char *name, int flags);
/* Its memory. False: nothing is there, or (target->peek_failure, an errno) nothing could tell. */
bool target_peek(struct target *target, uint64_t address, void *bytes, size_t size);
int target_look(const struct target *target, const char *name, struct stat *ret_stat);
/* Its mount and its type, for which no file system is asked. */
int target_mount_of(const struct target *target, const char *name, struct statx *ret);
bool collect_is_silent(const struct collect *collect, dev_t device);
/* Would whoever follows this path of our own mount namespace ask one? */
bool collect_path_is_silent(const struct collect *collect, const char *path);
/* Is what a descriptor of ours is of in one? 1, 0, or -1 with errno. */
int collect_fd_is_silent(const struct collect *collect, int fd);
/*
 * Would whoever follows a path from `start_fd` (AT_FDCWD: our own root directory) on ask one, or
 * come to one? Links do not leave `root_fd`; -1: they may. 0; or -1 with errno, also where it leads
 * nowhere.
 */
enum { WAY_TO_SILENT = 1, WAY_THROUGH_SILENT };
int collect_way_is_silent(const struct collect *collect, int root_fd, int start_fd,
			  const char *path, bool follows_last);
ssize_t target_link(const struct target *target, const char *name, char *buffer, size_t size);
ssize_t target_text(const struct target *target, const char *name, char **ret_text);
/*
 * Whether a timer that had so many nanoseconds left when the task was asked has expired before the
 * task's signals were read, or it cannot be known: then waits, for a moment, until it has, and
 * signal `number` is pending for thread `tid`, or for the process if that is 0.
 * 1 it has, 0 it had not, -1 with err.
 */
int target_timer_expired(const struct target *target, uint64_t left, pid_t tid, int number,
			 struct error *err);
/* The same of a clock of processor time, which runs only as long as we make the task run. */
int target_cpu_timer_expired(const struct target *target, uint64_t left, pid_t tid, int number,
			     struct error *err);
/* Pid namespaces in which it has a number, from nestor's own on. */
size_t target_pid_levels(const struct target *target);
/* /proc/PID/mem, read-write, to be closed; -1 with err on failure. */
int target_open_mem(const struct target *target, struct error *err);

/*
 * To be called between any two things that take a moment, as one task, or some hundred descriptors:
 * -1 with ERR_INTERRUPTED if a signal has asked us to stop, so that the tree goes on soon.
 */
int collect_go_on(const struct collect *collect, struct error *err);

/*
 * Before the stop: each task of the tree, as it runs, by its pid; who ends or is born meanwhile may
 * be seen or not.
 */
typedef int running_task_seen(struct collect *collect, pid_t pid, void *data, struct error *err);
int collect_running_tasks(struct collect *collect, running_task_seen *seen, void *data,
			  struct error *err);

/* Field number as in proc(5) (3 is state); target->stat, target->leader_stat. */
uint64_t target_stat_field(const struct target *target, unsigned field);
uint64_t target_leader_field(const struct target *target, unsigned field);
/* Of its first thread: any that it is permitted. */
bool target_has_capabilities(const struct target *target);
/* A file below /proc/PID, whole, in the arena; fails with ERR_TREE_CHANGED if it is gone. */
char *target_read(struct target *target, const char *name, struct error *err);

/* Whether a thread has a working directory, root and umask that are not its process's; or -1. */
int collect_thread_has_own_fs(struct target *target, size_t thread, struct error *err);

/*
 * Registers an open file description for something that is not a descriptor of the task: the
 * file behind a VMA, exe, cwd or root. `link_name` is below /proc/PID ("exe", "cwd",
 * "map_files/START-END", BELOW_ROOT and the rest of a path). Descriptions made this way are never
 * shared with descriptors; equal path, device and inode give the same id. Implemented in
 * collect/files.c.
 */
#define BELOW_ROOT "root/"
int collect_path(struct target *target, const char *link_name, uint32_t open_flags,
		 uint32_t *ret_file_id, struct error *err);

/*
 * The numbers of a task's descriptors, in their order, which stay the target's: they are listed
 * once, since the tree stands still. *ret_numbers may be NULL where there are none.
 */
int target_descriptors(struct target *target, const uint32_t **ret_numbers, size_t *ret_count,
		       struct error *err);
/*
 * Once those of both are listed: has the parent the same description at the same number? For one by
 * its place in the list; 1, 0, or -1 with err. The kernel is asked once.
 */
int target_inherits(struct target *target, size_t index, struct error *err);
/* All descriptors of a task (its table may be shared with earlier tasks), in the order of tasks. */
int collect_descriptors(struct target *target, struct error *err);
/* A copy that lasts as long as the dump. */
const struct open_file *collect_keep_file(const struct open_file *file);
/* Once all are known: the kinds complete what they know. */
int collect_files_complete(struct collect *collect, struct error *err);
/* Before the end of the tree, when nothing can stop it any more, and when it is let go or ended. */
int collect_files_before_end(struct collect *collect, struct error *err);
int collect_files_at_end(struct collect *collect, struct error *err);
void collect_files_done(struct collect *collect);
/* Once it goes on, or is gone. */
void collect_files_let_go(struct collect *collect);

/*
 * What is on its way to a task (SCM_RIGHTS), by a descriptor that is taken over; `what` names whom
 * it is for. *ret_file_id is its id once the descriptors of all tasks are known.
 */
void collect_in_flight(struct collect *collect, int fd, const char *what, uint32_t *ret_file_id);

/* The same; -1 with err. */
int collect_get_file(const struct open_file *file, struct error *err);
/* One that is kept until another description is looked at, and not to be closed. */
int collect_borrow_file(const struct open_file *file, struct error *err);
/* What its kind has asked ahead (ask_ahead); NULL: nothing. It lasts until the tree is let go. */
const void *collect_asked(const struct open_file *file);
/* It has been seen that it sends no signals to anybody; false: it may. */
bool collect_is_ownerless(const struct open_file *file);

/* What an epoll instance watches: which of the descriptions of an inode it is. */
struct watched_file {
	dev_t device;
	ino_t inode;
	bool found;
	uint32_t id; /* of the FileEntry; 0: it was refused */
	pid_t pid;   /* a task that has it, and its number there */
	uint32_t number;
};

/*
 * Finds a file that the epoll instance at `number` of a task watches under the number `watched_as`,
 * the one that `offset` others of that number stand before, by device and inode in `watched`, which
 * gets the rest. To be called when all descriptors are known.
 */
int collect_find_watched(struct collect *collect, const struct target *target, uint32_t number,
			 uint32_t watched_as, uint32_t offset, struct watched_file *watched,
			 struct error *err);
/* Any that the tree has of that inode, by device and inode in `watched`. */
void collect_find_inode(struct collect *collect, struct watched_file *watched);
/* A descriptor of our own of it; -1 with err. */
int collect_get_watched(const struct watched_file *watched, struct error *err);

/* One more reason why the files of the tree cannot be dumped (ERR_UNSUPPORTED_FILE). */
void collect_refuse_file(struct collect *collect, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The pipeline of collecting, one after another, used by pipeline/dump.c. */
int collect_stop_tree(struct collect *collect, struct error *err); /* seize.c */
/* look.c: in its place, finds the tasks as they run; ERR_TREE_CHANGED: look once more. */
int collect_look_tree(struct collect *collect, struct error *err);
/*
 * target.c: whether a caller that could stop the tasks may also read their memory and, if asked
 * for, send them signals. ERR_NO_PRIVILEGE, before anything is written.
 */
int collect_check_privileges(const struct collect *collect, bool signals, struct error *err);
/* foresee.c: sets wants_guard where that shows before anything is read. */
void collect_foresee(struct collect *collect);
/* tasks.c: /proc, ids, kinds. Refusals are in collect->obstacles. */
int collect_read(struct collect *collect, struct error *err);
int collect_probe(struct collect *collect,
		  struct error *err); /* probe.c: the same; asks, answers */
/* namespaces.c: what collect_read has left to the assistant; then all of that is closed. */
int collect_read_complete(struct collect *collect, struct error *err);
/* probe.c: what others did while the tree was read; last before the images are written. */
int collect_look_again(struct collect *collect, struct error *err);
/* Lets the tree go on as it was; group-stopped tasks stay stopped. Never fails half-way. */
void collect_release(struct collect *collect);
/* -s: leaves all tasks stopped (SIGSTOP). Where it fails the tree may go on as it was. */
int collect_leave_stopped(struct collect *collect, bool *ret_goes_on, struct error *err);
/* Ends the dumped tree: SIGKILL to each task seized, children first; waits until it is gone. */
int collect_kill(struct collect *collect, bool *ret_goes_on, struct error *err);

#endif
