/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a kind of kernel object joins the pipeline. Each kind is one file with all that concerns
 * it; kinds/table.c lists them. A kind gets the narrow views declared here and never includes
 * another kind's file.
 */
#ifndef NESTOR_KINDS_KIND_H
#define NESTOR_KINDS_KIND_H

#include "base/error.h"
#include "base/slots.h"
#include "model/cgroups.h"
#include "model/externals.h"
#include "model/namespaces.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct facts;
struct plan;	  /* plan/plan.h */
struct program;	  /* program/program.h */
struct collect;	  /* collect/collect.h: a live tree */
struct target;	  /* the same: a stopped task */
struct probe;	  /* collect/probe.h */
struct open_file; /* below */
struct file_opener;
struct made_mounts; /* kinds/places.h */
struct images;
struct asking;		   /* below */
struct planning;	   /* below */
struct applied_thread;	   /* below */
struct survey;		   /* collect/namespaces.h */
struct surveyed_namespace; /* the same */
struct visitor;		   /* kernel/visit.h */
struct text;

/*
 * State of a task or of each of its threads: credentials, timers, signal actions, ...
 *
 * Dump, per task, in this order:
 *   collect  read what can be seen from outside into target->task's messages
 *   ask      append calls to the probe, run inside the task (all threads: `thread` counts from 0,
 *            the leader is 0); returns whatever `answer` needs to find its results (arena memory)
 *   answer   read the results into the messages; a forbidden call (seccomp) has to be expected
 *   ask_more, answer_more  the same once more, where what is asked depends on the answers: gets
 *	      what `ask` returned, and is called until it returns NULL
 *   settle   once nothing of ours is in the task any more: what is seen from two sides (a timer,
 *            and the signal of one that has expired) comes to agree. *ret_again asks for another
 *            round of all, so it has to be the same the second time
 *   look_again  of all tasks, right before the images are written: what others did meanwhile
 * Check (pure): find what cannot be restored; also run on images before anything is made.
 * Restore: plan appends operations to the program of the task or thread. Where the last word is
 * the coordinator's, `applies` (pure) says whether there is one, and `apply` says it from outside,
 * when all programs are at rest; see plan/actions.h for calls and gates.
 * `hand_down` is called for every process (index into plan->processes), helpers too, at the start
 * of its program: what those that it makes are to be born with.
 * `prepare` is called once in the coordinator, before the first process exists, where `prepares`
 * (pure) says that there is something to do; of kinds that are first, before all namespaces but
 * those of users and pids.
 * `led_session` is called for a session leader, when its program has made it one and nobody else.
 * `let_go` is called once, when all threads stand as they are to be, right before they are let go.
 * Any callback may be NULL.
 */
struct task_kind {
	const char *name;
	bool per_thread; /* ask, answer, plan and apply are called for every thread, not just for
			  * thread 0 */
	bool of_zombies; /* zombies have it: collect, check and plan (with thread 0) are called for
			  * them too; their state is in task->core, which has no thread_core where
			  * the images are another tool's: then plan is not called */
	int (*collect)(struct target *target, struct error *err);
	void *(*ask)(const struct asking *asking);
	int (*answer)(const struct asking *asking, void *asked, struct error *err);
	void *(*ask_more)(const struct asking *asking, void *asked);
	int (*answer_more)(const struct asking *asking, void *more, struct error *err);
	int (*settle)(struct target *target, bool *ret_again, struct error *err);
	int (*look_again)(struct target *target, struct error *err);
	int (*check)(const struct snapshot *snapshot, const struct task *task, struct error *err);
	bool (*prepares)(const struct snapshot *snapshot);
	bool prepares_first;
	int (*prepare)(struct file_opener *opener, struct error *err);
	int (*hand_down)(struct plan *plan, size_t process, struct program *program,
			 struct error *err);
	void (*led_session)(struct plan *plan, const struct task *task, struct program *program);
	int (*plan)(const struct planning *planning, struct error *err);
	bool (*applies)(const struct planning *planning);
	int (*apply)(const struct applied_thread *thread, struct error *err);
	int (*let_go)(const struct plan *plan, struct file_opener *opener, struct error *err);
};

/* For `ask` and `answer`: what is not per_thread is called for the first thread that lives. */
struct asking {
	struct probe *probe;
	struct target *target;
	size_t thread;
};

/* For `plan`, and for `applies`, which has no program and changes nothing of the plan. */
struct planning {
	struct plan *plan;
	const struct task *task;
	size_t thread;
	struct program *program;
};

/* For `apply`: what is not per_thread is called for the first thread that lives. */
struct applied_thread {
	const struct plan *plan;
	const struct task *task;
	size_t thread;
	pid_t tid; /* as the coordinator sees it */
	struct file_opener *opener;
};

/*
 * The order of kinds in a program is that of the table, grouped by stage. In STAGE_MEMORY the
 * old address space is gone and the recorded one is built; threads are created between
 * STAGE_PROCESS and STAGE_THREAD, by the first one before its STAGE_PARTING and by others after
 * theirs; STAGE_LAST runs per thread, and may forbid everything.
 *
 * A task of another user namespace enters it between STAGE_IDS and STAGE_CAPABILITIES of its
 * leader, and makes its threads then: they run all of their stages inside.
 */
enum task_stage {
	STAGE_FILES,   /* once per task: descriptors, cwd, root, umask */
	STAGE_MEMORY,  /* once per task */
	STAGE_PROCESS, /* once per task: signal actions, timers, prctl of the process */
	STAGE_PARTING, /* per thread: directories, which it hands down to threads that it makes */
	STAGE_THREAD,  /* per thread: names, scheduling, alternate stack, pending signals */
	STAGE_IDS,     /* per thread: ids of users and groups */
	STAGE_CAPABILITIES, /* per thread, in its user namespace: capability sets, securebits */
	STAGE_LAST,	    /* per thread: what privileges are no longer needed for; seccomp */
	STAGE_COUNT,
};

/* What a descriptor refers to, as seen from outside of the task that holds it. */
struct open_file {
	struct target *target; /* one of the tasks that hold it */
	uint32_t number;       /* the descriptor's number there */
	const char *link;      /* target of /proc/PID/fd/N, e.g. "/dev/null", "pipe:[123]" */
	struct stat stat;      /* of what it refers to */
	long file_system;      /* f_type of statfs(2); 0: no path leads to it, or a block device */
	int family;	       /* AF_* of a socket; 0: it is none */
	uint32_t flags;	       /* from fdinfo: O_* status flags, without O_CLOEXEC */
	uint64_t position;
	int64_t mount_id;
	const char *fdinfo;    /* whole text; "" for what is not a descriptor (collect_path) */
	uint32_t id;	       /* to be used in the FileEntry */
	const char *proc_name; /* leads to it by target_open: "fd/3", "cwd" */
	const char *what;      /* for messages: "pid 12: descriptor 3 (/tmp/log)" */
};

/* Where the records of a kind keep what descriptions of every kind have. */
struct file_fields {
	FownEntry **owner;
	uint32_t *flags; /* as in struct open_file */
};

/* When a description comes to be at a restore. */
enum file_way {
	FILE_EARLY,   /* before the first process exists: by `open`, in the coordinator */
	FILE_BY_TASK, /* by `plan_open`, in the program of one of the tasks that hold it: what the
		       * kernel ties to the task that opens it */
	FILE_LATE,    /* when all processes exist: by `open`, which finds them in opener->pids */
	FILE_LAST,    /* the same when every task has entered its namespaces, and its directories */
	FILE_AT_END,  /* by calls of the task when all programs are at rest, which `plan_open` adds:
		       * what names threads. Until then something else has the number. */
};

/* For calls that a task is asked to make. */
struct call_room {
	size_t bytes;	  /* of arguments, for all at once; 0: it makes none */
	uint32_t at_once; /* calls, of two descriptors each; there may be room for fewer */
};

/* Limits of descriptors bind the coordinator by these too (plan/sources.c). */
struct file_cost {
	uint32_t kept, pinned; /* at most: by opener_keep, by opener_pin */
	/* By opener_keep at once for all of the kind, which asks for room meanwhile. */
	uint32_t for_all;
	uint32_t meanwhile; /* while it is opened, and then no more */
	/* With the first of one object all others are opened, and kept until they are asked for. */
	bool together;
	uint32_t object; /* a number of its own among those of the kind's type */
};

/*
 * A kind of open file description.
 *   recognise  by stat, link and file system; the first row that says yes has it
 *   ask_ahead  of a socket of a task with many descriptors, by either thread of the dump, before
 *              it is collected: what takes many calls, in memory for free(); NULL if it is of
 *              another kind. `collect` finds it by collect_asked, or asks itself; may be NULL
 *   collect    fill entry->...; content that is the object's (pipe data, unlinked files) too
 *   check      pure; what cannot be restored, from the images alone
 *   verify     before anything is made: are the host's files there and as recorded?
 *   way        when it comes to be; NULL: FILE_EARLY
 *   cost       (pure) the descriptors that `open` keeps apart from what it returns; NULL: none
 *   before_mounts  before a mount namespace of the tree is made: what has a name in a file system
 *              gets it, as far as that is there, since a mount may show just that file; 1: to be
 *              called again before the next one. May be NULL
 *   open       ordinary code of the coordinator; returns a descriptor with flags and position
 *   plan_open  appends operations that open it at `number`, close-on-exec; whatever is free of
 *              the numbers above plan->first_source may be used meanwhile (plan/plan.h)
 *   calls      (pure) has the task to make calls for such descriptions itself, while those that are
 *              FILE_LATE are opened (task_call)? Then how much that takes; else nothing
 *   connect    when every description of the tree is open and no process of it runs: what refers
 *              to others (opener_file), or begins to count (timers)
 *   connects_first  before those of other kinds: what counts or watches is at rest
 *   describe   for people: "/etc/passwd", "pipe 123 read end"
 *   meets      for people: the name of what its other ends have too, "pipe 123"; "" where there are
 *		none; may be NULL
 *   fields     of a record that is complete; NULL in it where there is none
 *   complete   once per dump, when the descriptors of all tasks are known; may be NULL
 *   before_end once, when a dump is about to end the tree; where it fails the tree goes on, and
 *              what it has made is undone by the finisher (collect/finisher.h), which is told what
 *              `at_end` does, too; may be NULL
 *   at_end     once, when nothing can stop the end any more; may be NULL
 *   done       once, when the tree has been let go or ended, however the dump went; may be NULL
 *   before_release  once per restore, when nothing else can fail any more and nobody runs yet, if
 *              a description of this kind is there; may be NULL
 *   give_up    for each descriptor of one that was made, when a restore has failed and its tasks
 *              are about to be ended; may be NULL
 */
struct file_kind {
	const char *name;
	FdTypes type;
	struct file_cost (*cost)(const struct snapshot *snapshot, const FileEntry *entry);
	bool (*recognise)(const struct open_file *file);
	void *(*ask_ahead)(int fd);
	int (*collect)(const struct open_file *file, FileEntry *entry, struct error *err);
	int (*check)(const struct snapshot *snapshot, const FileEntry *entry, struct error *err);
	int (*verify)(struct file_opener *opener, const FileEntry *entry, struct error *err);
	enum file_way (*way)(const struct snapshot *snapshot, const FileEntry *entry);
	int (*before_mounts)(struct file_opener *opener, struct error *err);
	int (*open)(struct file_opener *opener, const FileEntry *entry, struct error *err);
	int (*plan_open)(struct plan *plan, const struct task *task, struct program *program,
			 const FileEntry *entry, uint32_t number, struct error *err);
	struct call_room (*calls)(struct plan *plan, const struct task *task);
	bool connects_first;
	int (*connect)(struct file_opener *opener, const FileEntry *entry, int fd,
		       struct error *err);
	void (*describe)(const FileEntry *entry, char *text, size_t room);
	void (*meets)(const FileEntry *entry, char *text, size_t room);
	struct file_fields (*fields)(FileEntry *entry);
	int (*complete)(struct collect *collect, struct error *err);
	int (*before_end)(struct collect *collect, struct error *err);
	int (*at_end)(struct collect *collect, struct error *err);
	void (*done)(struct collect *collect);
	int (*before_release)(struct file_opener *opener, struct error *err);
	void (*give_up)(const FileEntry *entry, int fd);
};

/*
 * State that descriptions of any kind may have, besides what their kind keeps: who gets signals, a
 * lock. `held` is called for each descriptor, also of a description that is known already: it sees
 * no more of it than fdinfo and a number. `collect` follows that of the kind for each description
 * that a descriptor has, `check` that of the kind, `complete` once per dump; where `is_there` says
 * so, `connect` comes after that of the kind.
 */
struct file_aspect {
	const char *name;
	int (*held)(const struct open_file *file, uint32_t file_id, struct error *err);
	int (*collect)(const struct open_file *file, FileEntry *entry, struct error *err);
	int (*complete)(struct collect *collect, struct error *err);
	int (*check)(const struct snapshot *snapshot, const FileEntry *entry, struct error *err);
	bool (*is_there)(const FileEntry *entry);
	int (*connect)(struct file_opener *opener, const FileEntry *entry, int fd,
		       struct error *err);
};

/*
 * What opening needs: snapshot, images, and a place for objects with several ends (both
 * descriptors of a pipe come from one pipe(2)); made and freed by run/.
 */
struct task_request;

struct file_opener {
	const struct snapshot *snapshot;
	const struct images *images;
	struct arena *arena;
	int root_fd;			   /* paths are below it (-r), AT_FDCWD: the host's root */
	const struct externals *externals; /* what takes the place of what is outside */
	const int *user_namespaces;  /* like snapshot->user_namespaces; NULL while verifying */
	const int *plain_namespaces; /* the same for snapshot->plain_namespaces */
	/* Once all processes exist, as we see them; NULL before: */
	const pid_t *pids; /* like snapshot->tasks; the dead are there, too */
	pid_t level_0;	   /* somebody in the pid namespace of level 0 */
	/* A process or thread by its number at level 0, as we see it; -1 with errno. */
	pid_t (*pid)(const struct file_opener *opener, uint32_t number);
	/* See task_call: */
	int (*call)(const struct file_opener *opener, const struct task *task,
		    struct task_request *requests, size_t count, struct error *err);
	const struct caller *(*caller)(const struct file_opener *opener, const struct task *task);
	/* See opener_file: */
	int (*file)(const struct file_opener *opener, uint32_t file_id);
	void *run;		    /* what these functions look at */
	struct made_mounts *mounts; /* NULL before they are made */
	/* Told of a directory before it is made outside of the tree; NULL while verifying. */
	int (*expect_leftover)(struct file_opener *opener, int parent_fd, const char *name,
			       struct error *err);
	void *leftovers;
	struct slots states;	/* see opener_state */
	bool at_rest;		/* all programs are: what is closed now is no failure */
	struct undo_list *undo; /* base/undo.h; NULL while verifying */
	/* What the kinds keep open (pipe ends not yet asked for), and is closed; see opener.h. */
	int *kept_fds;
	bool *pinned;
	size_t n_kept_fds;
	size_t n_here; /* of those that are not pinned */
	/* See opener.h; NULL while verifying. `kept_again` gets one that is with a holder by now,
	 * which `let_go` is told of that nobody asks for again. */
	int (*kept_again)(const struct file_opener *opener, size_t place);
	void (*let_go)(const struct file_opener *opener, size_t place);
	int (*make_room)(struct file_opener *opener, struct error *err);
	int *held_fds; /* the same, until the restore has come to its end */
	size_t n_held_fds;
	int *masters; /* of these: for the caller of the restore */
	size_t n_masters;
};

/* What a kind keeps while files are opened, by the address of its row. */
static inline void **opener_state(struct file_opener *opener, const void *owner)
{
	return slot_of(&opener->states, opener->arena, owner);
}

/*
 * A type of namespaces. That a namespace is there, who owns it, who is in it and who holds it is
 * nobody's work but that of the pipeline, for all types alike: collect/namespaces.c finds it and
 * gives it an id and an NsEntry, model/namespaces.c links it, run/namespaces.c has it made by a
 * process in its owner before the tree, and kinds/namespaces/enter.c lets tasks and threads in. A
 * kind adds what is in it:
 *
 * Dump:
 *   begin    once for each that is not nestor's own and that a task is in, before tasks are read:
 *	      what takes long of it is left to the assistant (collect/assistant.h), if there is one.
 *	      Others need not be known yet
 *   survey   once, when all tasks and threads have been looked at: who else refers to such a
 *	      namespace (survey_add); may be NULL
 *   collect  once for each that is not nestor's own, owners first: fills the entry's own part from
 *	      namespace->fd. What only somebody inside can see is read by a visit (kernel/visit.h);
 *	      what only a member can tell, by namespace->member, which may be NULL: then only a
 *	      descriptor or another namespace holds it
 *   read_end once, for the kind, when all of all types are collected: waits for what has to be
 *	      known before tasks are asked; may be NULL
 *   complete the same as collect once tasks have been asked: waits for what was left to the
 *	      assistant
 *   collect_end  once, however that went, for the kind: nothing is to be left with the assistant
 * Check (pure), at dump and again on images that anybody may have written:
 *   check    is the content such as the kernel would have made, and can we make it again?
 * Restore:
 *   find     is it still there, and held by somebody outside of the tree? Then 1 and a descriptor
 *	      of it, and nothing is made; else 0, or -1
 *   prepare  in the coordinator: opens what the maker needs
 *   go	      in the maker, with our rights, before it enters the owner: where it has to be
 *   unborn   as fill, when the owner has been entered, and nothing has been made: whose files are
 *	      they that come with it?
 *   fill     in a process of its own that has entered the owner and called unshare(2), or entered
 *	      the namespace after that (is_joined): alone in the new namespace, with all
 *	      capabilities of the owner and no others. It ends afterwards, and a descriptor keeps
 *	      the namespace. /proc and the file systems are the host's
 *   is_joined (pure) has it things that it shares with others of its type? Then it is filled once
 *	      all are made and joined,
 *   stands_on (pure) and after that one
 *   join     makes what is shared, in the coordinator, with our rights; all namespaces are there
 *   join_late the same right before it is filled, when those are that it stands on
 *   finish   the same as fill, once all that are joined are filled
 *   made     of one that a tree_kind has made for itself: a descriptor of it, borrowed; else -1
 *   fill_made the same as fill, of one that a task of the tree has made for its children and that
 *	      nobody is in, in the coordinator: by the pid of the task, and a descriptor
 *   before_release  once all of the tree is there, before it goes on; once for the kind
 *   describe for people: what matters of it, "host name alpha"; adds nothing if nothing does
 *   look     the same of one that lives, by a descriptor and a member of it (a pid): what can be
 *	      seen without touching anybody. -1 with `err`, also where it is not for us to see
 *
 * All but `type` may be NULL. To add a type: a file in kinds/namespaces, a row in kinds/table.c, a
 * message in schema/ that NsEntry embeds, a scenario.
 *
 * Tasks enter a namespace first thing in STAGE_FILES: what is mapped, opened or attached later is
 * of that namespace. A thread whose namespace is another one enters that in STAGE_THREAD.
 *
 * Pid and user namespaces are rows too, but not plain ones (model/namespaces.h): they are made by
 * the programs of the tree, and by run/user-namespaces.c.
 */
struct namespace_kind {
	enum namespace_type type;
	int (*begin)(struct collect *collect, struct surveyed_namespace *namespace_,
		     struct error *err);
	int (*survey)(struct collect *collect, struct survey *survey, struct error *err);
	int (*collect)(struct collect *collect, struct surveyed_namespace *namespace_,
		       struct error *err);
	int (*read_end)(struct collect *collect, struct error *err);
	int (*complete)(struct collect *collect, struct surveyed_namespace *namespace_,
			struct error *err);
	void (*collect_end)(struct collect *collect);
	int (*check)(const struct snapshot *snapshot, const struct namespace *namespace_,
		     struct error *err);
	int (*find)(const struct file_opener *opener, const struct namespace *namespace_,
		    int *ret_fd, struct error *err);
	int (*prepare)(struct file_opener *opener, const struct namespace *namespace_,
		       enum cgroup_mode mode, struct error *err);
	int (*go)(struct file_opener *opener, const struct namespace *namespace_,
		  struct error *err);
	void (*unborn)(const struct namespace *namespace_);
	int (*fill)(const struct namespace *namespace_, struct error *err);
	bool (*is_joined)(const struct namespace *namespace_);
	bool (*stands_on)(const struct namespace *namespace_, const struct namespace *other);
	int (*join)(struct file_opener *opener, const struct namespace *namespace_,
		    struct error *err);
	int (*join_late)(struct file_opener *opener, const struct namespace *namespace_,
			 struct error *err);
	int (*finish)(const struct namespace *namespace_, struct error *err);
	int (*made)(const struct file_opener *opener, const struct namespace *namespace_);
	int (*fill_made)(const struct namespace *namespace_, pid_t maker, int fd,
			 struct error *err);
	int (*before_release)(struct file_opener *opener, struct error *err);
	void (*describe)(const NsEntry *entry, struct text *text);
	int (*look)(int fd, pid_t member, struct text *text, struct error *err);
};

/*
 * What a tree has as a whole, before and besides tasks, descriptions and namespaces: its memory,
 * its mounts, what freezes it.
 *
 * Dump:
 *   before_stop  before anybody is stopped
 *   read     all are stopped, and nothing of them has been read
 *   read_end once all has been read, however that went
 *   content  when all is known and judged: what is large, into images of its own. It is given up
 *	      (ERR_INTERRUPTED) where `progress` returns a signal
 *   content_running  the same of a tree that is only looked at (pre-dump)
 *   end      when the tree has been let go, or ended (`ended`). May be called more than once
 * Restore:
 *   adopt    a snapshot from images that Nestor did not write (NULL: what they hold besides is out
 *	      of reach), before it is looked at
 *   find     before it is planned: what was outside at the dump, and is no more, is made with the
 *	      tree where that can be. root_fd: of the paths outside, or AT_FDCWD
 *   make     when all processes exist, and none has entered its namespaces
 *   close    what `make` has left open; when all tasks have taken what they need
 *   descriptors  (pure) how many that is, with what it has open meanwhile, at most
 *   calls    (pure) has the task to make calls for `make`? As that of a file_kind
 * Any may be NULL.
 */
typedef int progress_told(void *data, const char *phase, size_t done, size_t total);

struct tree_kind {
	const char *name;
	int (*before_stop)(struct collect *collect, struct error *err);
	int (*read)(struct collect *collect, struct error *err);
	void (*read_end)(struct collect *collect);
	int (*content)(struct collect *collect, progress_told *progress, void *data,
		       struct error *err);
	int (*content_running)(struct collect *collect, progress_told *progress, void *data,
			       struct error *err);
	void (*end)(struct collect *collect, bool ended);
	int (*adopt)(struct snapshot *snapshot, const struct images *images, struct error *err);
	int (*find)(const struct snapshot *snapshot, const struct externals *externals, int root_fd,
		    struct error *err);
	int (*make)(struct file_opener *opener, struct error *err);
	void (*close)(struct file_opener *opener);
	size_t (*descriptors)(const struct snapshot *snapshot);
	struct call_room (*calls)(struct plan *plan, const struct task *task);
};

/*
 * A kind of source (plan/plan.h) that is neither a description nor the coordinator's own: what
 * tasks fetch from the coordinator. `open` gives a descriptor of that with this id.
 */
struct source_opener {
	unsigned kind; /* enum source_kind of plan/plan.h */
	int (*open)(struct file_opener *opener, const struct plan *plan, uint64_t id,
		    struct error *err);
};

struct kind_table {
	const struct file_kind *const *files;			  /* NULL-terminated */
	const struct namespace_kind *namespaces[NAMESPACE_TYPES]; /* NULL: refused by name */
	const struct file_aspect *const *aspects;		  /* the same, or NULL */
	const struct task_kind *const *tasks[STAGE_COUNT];
	const struct tree_kind *const *trees;	    /* NULL-terminated, or NULL */
	const struct source_opener *const *sources; /* the same */
};

extern const struct kind_table kinds;

/* The rows of `trees` one after the other; the first failure ends it. */
int trees_before_stop(struct collect *collect, struct error *err);
int trees_read(struct collect *collect, struct error *err);
void trees_read_end(struct collect *collect);
int trees_content(struct collect *collect, progress_told *progress, void *data, struct error *err);
int trees_content_running(struct collect *collect, progress_told *progress, void *data,
			  struct error *err);
void trees_end(struct collect *collect, bool ended);
int trees_adopt(struct snapshot *snapshot, const struct images *images, struct error *err);
int trees_find(const struct snapshot *snapshot, const struct externals *externals, int root_fd,
	       struct error *err);
int trees_make(struct file_opener *opener, struct error *err);
void trees_close(struct file_opener *opener);

const struct file_kind *kind_of_file(const struct kind_table *table, const FileEntry *entry);

/* A descriptor of another description of the tree, for `connect`; -1 if it has none. */
static inline int opener_file(const struct file_opener *opener, uint32_t file_id)
{
	return opener->file(opener, file_id);
}

/*
 * A task that makes calls when it is asked to, with all rights and in nestor's own namespaces of
 * all types but pid and user (file_kind.calls); only while late files are opened.
 */
struct caller {
	uint64_t room; /* memory at the same address there and here */
	size_t size;
	uint32_t at_once;     /* calls that are made when it has been woken once */
	uint32_t coordinator; /* number of the coordinator's pidfd there */
};

/* NULL where the task cannot. */
static inline const struct caller *task_caller(const struct file_opener *opener,
					       const struct task *task)
{
	return opener->caller ? opener->caller(opener, task) : NULL;
}

/*
 * Calls that a task is asked for, one after another: it waits for a processor once for as many as
 * its program has room for. Results are as the kernel gives them; -1 with err where a call was not
 * made.
 */
struct task_request {
	uint32_t nr;
	uint64_t args[6];
	int64_t result;
};

static inline int task_calls(const struct file_opener *opener, const struct task *task,
			     struct task_request *requests, size_t count, struct error *err)
{
	return opener->call(opener, task, requests, count, err);
}

static inline int task_call(const struct file_opener *opener, const struct task *task,
			    struct task_request *request, struct error *err)
{
	return task_calls(opener, task, request, 1, err);
}

struct file_fields fields_of_file(const struct kind_table *table, const FileEntry *entry);
struct file_cost file_cost(const struct kind_table *table, const struct snapshot *snapshot,
			   const FileEntry *entry);
enum file_way file_way(const struct kind_table *table, const struct snapshot *snapshot,
		       const FileEntry *entry);

#endif
