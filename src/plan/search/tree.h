/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The history that leads to a recorded tree. The kernel offers fork, setsid, setpgid, setns and
 * exit; everything else (whose child, which session, which group) follows from when they are
 * called. tree_make finds for each process to be made who creates it and when, adds helpers
 * where somebody is missing who once was there, and lays down what each process does, as steps.
 * Private to plan/.
 */
#ifndef NESTOR_PLAN_TREE_H
#define NESTOR_PLAN_TREE_H

#include "base/arena.h"
#include "base/error.h"
#include "model/snapshot.h"
#include "plan/plan.h"
#include "plan/search/choices.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Sessions and groups are known by their number at level 0, where every process of the tree is
 * visible; 0 stands for one that is not, because its leader is outside of the tree.
 */
struct session {
	uint32_t key;
	struct node *leader;	    /* a task, or a helper that stands in for a dead leader */
	const struct node *member;  /* some task in it */
	const struct node *deepest; /* of the parents whose children have no creator yet */
	bool outside;		    /* inherited from the coordinator */
};

struct group {
	uint32_t key;
	struct node *leader;
	struct node *keeper;	   /* a helper that is in it while its maker may have left */
	const struct node *member; /* one that sees the leader at as many levels as any */
	bool outside;
	uint32_t outside_number; /* of one that tasks of level 0 see; 0: nobody does */
	uint32_t ready_word;	 /* set once the group exists; 0: nobody waits for it */
	uint32_t joined_word;	 /* set once the group can do without its maker; 0: it always can */
	uint32_t n_born;	 /* tasks that got it from its maker by birth, and stay in it */
};

/* The exit of a helper whose children go to their recorded parent; in this order. */
struct adoption {
	struct node *helper;
	bool marked;	    /* the adopter is a subreaper for the moment */
	uint32_t turn_word; /* set once the one before is over */
};

/* What the planner keeps about a pid namespace of the snapshot. */
struct place {
	const struct pid_namespace *namespace;
	size_t index; /* in tree->places, for numbers that are unique by place */
	struct place *parent;
	struct node *init;   /* NULL at level 0 of a shared namespace, and where nobody is left */
	uint32_t ready_word; /* set once the init exists; 0: nobody waits for it */
	/* Of a namespace that is only pid_for_children of somebody; see children-places.c. */
	struct node *maker;
	size_t maker_thread;
	uint32_t made_word;    /* set once the maker has it; 0: nobody else does */
	struct node *ended_by; /* its first process, which is gone again */
	/* Of one whose init is a zombie; it dies once n_entering have come in, see steps.c. */
	uint32_t entered_word, n_entering;
	/* Of one that belongs to another user namespace than nestor's; see user-namespaces.c. */
	struct node *founder;
	uint32_t founded_word;
	uint32_t next_free; /* where the search for a helper's number goes on */
};

/* One thing that a process does. Words are numbered from 1; their addresses come later. */
enum step_kind {
	STEP_CREATE,	    /* node: the child */
	STEP_ENTER,	    /* place: children are born there from now on */
	STEP_FOUND,	    /* place: make it, from inside the user namespace that owns it */
	STEP_ENTER_FOUNDED, /* place: the same as STEP_ENTER, by way of its founder */
	STEP_SETSID,	    /* lead a session and a group */
	STEP_LEAD_GROUP,    /* setpgid(0, 0) */
	STEP_JOIN,	    /* group: by the process's own call */
	STEP_MOVE,	    /* node: the child is put into its group from here */
	STEP_WAIT,	    /* word, value */
	STEP_WAKE,	    /* word, value: add one, wake the waiters once it is at least value */
	STEP_SUBREAPER,	    /* value: mark on or off */
	STEP_REAP,	    /* node: a helper that exits */
	STEP_TIE,	    /* die with the parent from now on */
	STEP_EXIT,	    /* end of a helper */
};

struct step {
	enum step_kind kind;
	uint32_t word, value;
	struct node *node;
	struct place *place;
	struct group *group;
};

/* Steps that are done without anything in between, once all that they wait for has happened. */
struct bundle {
	enum bundle_kind {
		BUNDLE_RIGID,	 /* after all before it but the deferred, before all that follow */
		BUNDLE_FREE,	 /* anywhere between the rigid ones before and after it */
		BUNDLE_DEFERRED, /* anywhere after the rigid one before it */
		BUNDLE_LAST,	 /* after all others */
	} kind;
	size_t first, n_steps; /* in node->steps */
	size_t n_looked_at;    /* scratch of schedule.c */
};

/* In which session it is born, and what it shares with its creator; sessions.c, sharing.c. */
struct birth {
	struct session *session; /* NULL: any */
	bool needs_session;	 /* that is not a free choice */
	enum {
		PHASE_EARLY, /* created before the creator's setsid or setpgid(0, 0) */
		PHASE_MAIN,
		PHASE_MOVED, /* after the creator has been moved to its group */
	} phase;
	bool share_files, share_fs, same_parent; /* CLONE_FILES, CLONE_FS, CLONE_PARENT */
};

/* How it comes into its process group; groups.c, creation.c. */
struct grouping {
	struct group *first;   /* made by this node, which leaves it for its own again */
	struct group *wanted;  /* to be born into, for itself or for its children; NULL: any */
	struct group *born_in; /* or moved into by the creator before it does anything */
	bool moved_first;
	bool born_to_maker; /* the birth group came down to it from its maker, by births alone */
	enum {
		JOIN_NONE,	 /* born there, or leads it */
		JOIN_SELF,	 /* setpgid(0, group) */
		JOIN_BY_CREATOR, /* the leader is not visible from the own namespace */
	} join;
	uint32_t born_word;    /* of a zombie: set once a sibling has made it */
	uint32_t put_word;     /* set once the creator has moved it into its birth group */
	uint32_t moved_word;   /* the same for its group; 0: it does not wait */
	uint32_t movable_word; /* set once it has made what is to be born in its birth group */
};

/* Of who is no task: for whom it is there, and when it goes; sessions.c, adoption.c. */
struct help {
	struct place *founds; /* all that this helper is for */
	bool silent;	      /* it is gone at once, and nobody hears of it */
	struct node *adopter; /* task that gets its children; NULL: it has none at its exit */
	struct group *serves; /* its children are born in this group; NULL: they join theirs */
	struct node *reaper;  /* who waits for its exit */
	uint32_t leave_word;  /* it exits once this is set; 0: at once */
	uint32_t left_word;   /* set once it has been reaped; 0: nobody waits */
};

/* A process to be made: what it is, then what each part of the search finds out. */
struct node {
	const struct task *task; /* NULL: a helper */
	const char *name;
	size_t index; /* in tree->nodes */
	struct place *place;
	struct pid_vector pids;
	size_t n_unnamed; /* outermost levels at which the kernel chooses the number (helpers) */
	struct session *session;
	struct group *group;
	bool leads_session, leads_group;
	size_t depth;	     /* below the root, at the end */
	struct node *parent; /* at the end; NULL for the root and for helpers */
	bool refused;

	struct node *creator;	   /* who calls clone3 */
	struct node **children;	   /* in order of creation */
	struct node **helpers;	   /* made by this node, one per adopter */
	struct place *early_place; /* of its children, entered while the init is alive */
	size_t n_children, n_helpers;
	struct birth birth;
	struct grouping grouping;
	struct help as_helper;
	struct step *steps; /* by bundles until search_schedule has put them in order */
	struct bundle *bundles;
	size_t n_steps, n_bundles;

	struct lowered *lowered; /* of its program; NULL during the search (plan/lower/build.h) */
};

struct tree {
	struct arena *arena;
	const struct snapshot *snapshot;
	const struct plan_options *options;
	struct error *err;
	size_t n_refusals;
	struct node **nodes; /* tasks first, in the order of the snapshot; then helpers */
	size_t n_nodes;
	struct node **by_key;	  /* tasks by their pid at level 0, ascending */
	struct session *sessions; /* by key, ascending */
	size_t n_sessions;
	struct group *groups; /* by key, ascending */
	size_t n_groups;
	struct place *places; /* in the order of snapshot.pid_namespaces */
	size_t n_places;
	uint64_t *used_numbers; /* place << 32 | number, ascending; NULL until a helper needs one */
	size_t n_used_numbers;
	struct adoption *adoptions; /* only where their order matters */
	size_t n_adoptions;
	uint32_t n_words;    /* word numbers 1 .. n_words are taken */
	struct node **order; /* nodes, creators before what they create */
	size_t n_order;
	/* By index of the node: */
	struct node **first_zombie, **next_zombie; /* zombies of each parent */
	bool *has_stopped_child;
	/* By task: it has to come by way of a helper in this group, by key + 1; see groups.c. */
	uint64_t *orphan_groups;
	struct choices choices; /* of this attempt */
	size_t *looked_at;	/* numbers of the tasks in the order that they say */
	bool begins_again;	/* orphan_groups has become more: the same choices once more */
};

/*
 * Everything below fails with ERR_UNREACHABLE_TREE, ERR_SESSION_OUTSIDE, ERR_SHARED_OBJECT or
 * ERR_UNSUPPORTED_NAMESPACE; a refusal of one task does not keep the others from being looked at.
 */
int tree_make(struct tree *tree, struct arena *arena, const struct snapshot *snapshot,
	      const struct plan_options *options, struct error *err);

/* For each parent, which of its children are dead or stopped. */
void tree_link_states(struct tree *tree);

/* Records a refusal: the first one gives the error its name, each is a line of its text. */
void tree_refuse(struct tree *tree, struct node *node, enum error_name name, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));
void refuse(struct error *err, size_t *count, enum error_name name, const char *text);

struct node *tree_node(const struct tree *tree, const struct task *task);
struct node *tree_find(const struct tree *tree, uint32_t key);
struct group *tree_group(const struct tree *tree, uint32_t key);
struct place *tree_place(const struct tree *tree, const struct pid_namespace *namespace);
struct node *tree_add_helper(struct tree *tree, struct place *place, const char *purpose);
/* A helper with a number that no process of the tree has. */
struct node *tree_add_free_helper(struct tree *tree, struct place *place, const char *purpose);
/* The process that a number belonged to, when all that is left is its session or group. */
struct node *tree_add_former(struct tree *tree, const struct node *member,
			     const struct pid_vector *seen, const char *purpose);
uint32_t tree_add_word(struct tree *tree);
/* Nodes from this one on were made after the order of creation; they come last in it. */
void tree_append_to_order(struct tree *tree, size_t first);
bool place_is_within(const struct place *inner, const struct place *outer);
/* The number of a node in a namespace that sees it. */
uint32_t node_number(const struct node *node, const struct place *place);
/* Whose child it is at its birth: its creator, or with CLONE_PARENT the creator's parent. */
struct node *node_birth_parent(const struct node *node);
/* Is `node` at or below `ancestor`, following creators? */
bool node_created_below(const struct node *node, const struct node *ancestor);
void node_begin(struct tree *tree, struct node *node, enum bundle_kind kind); /* a bundle */
struct step *node_add_step(struct tree *tree, struct node *node, enum step_kind kind);

/* sessions.c */
struct node *session_source(const struct tree *tree, struct session *session);
struct node *helper_for(struct tree *tree, struct node *source, const struct node *orphan,
			struct group *serves);

/* The parts of tree_make, in their order. */
void search_sessions(struct tree *tree); /* sessions.c: creators, birth sessions */
void search_sharing(struct tree *tree);	 /* sharing.c: shared descriptor tables and fs */
void search_groups(struct tree *tree);	 /* groups.c: stand-ins for dead group leaders */
void search_creation(struct tree *tree); /* creation.c: order of children, birth groups, joins */
void search_children_places(struct tree *tree); /* children-places.c: pid_for_children */
void search_user_namespaces(struct tree *tree); /* user-namespaces.c: founders */
void search_adoptions(struct tree *tree);	/* adoption.c: when helpers exit, who reaps them */
void search_steps(struct tree *tree);		/* steps.c */
void search_schedule(struct tree *tree);	/* schedule.c: their order, if there is one */

#endif
