/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A deputy: a child that enters namespaces and opens things there, while the thread that sent it
 * waits. It shares the caller's descriptor table and memory, so what it opens and writes is the
 * caller's, and starting one costs little, however large the caller is. It goes when the caller
 * goes, and in time. It makes no threads and forks nobody who would go on beside it.
 *
 * One that is apart has memory of its own, for what is more than that: of ours it sees what there
 * was, and gives nothing back but what lies in shared memory. Of the caller's threads it has only
 * the one that called: a lock that another one held, of the allocator or of streams, would never be
 * given back there. What other threads do that may take such locks they do within deputies_wait and
 * deputies_go_on; and what it forks it forks by _Fork, for fork(3) takes all of them.
 */
#ifndef NESTOR_KERNEL_DEPUTY_H
#define NESTOR_KERNEL_DEPUTY_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Runs `work` in a deputy and waits for it; its error comes back. */
int deputy_run(int (*work)(void *data, struct error *err), void *data, struct error *err);
int deputy_run_apart(int (*work)(void *data, struct error *err), void *data, struct error *err);

/*
 * The same, but that the caller waits for the work alone: the kernel may take long to end one that
 * leaves namespaces of its own behind. `ending` is 0, or one like this, for whose end it waits
 * first.
 */
int deputy_run_ending(int (*work)(void *data, struct error *err), void *data, pid_t *ending,
		      struct error *err);
void deputy_end(pid_t *ending);

/* One that is a process of this pid namespace, which is ours or below it. */
int deputy_run_among(int pid_namespace_fd, int (*work)(void *data, struct error *err), void *data,
		     struct error *err);

/*
 * One that is apart, from a copy of our descriptors, too, and that works while the caller goes on,
 * who awaits its end, and its error, later. What is to come back lies in shared memory; nobody else
 * touches it meanwhile. Recalled, which is fine at any time, it ends, and the memory goes.
 */
struct deputy_away {
	pid_t pid; /* 0: nobody is away */
	struct outcome *outcome;
	void *memory; /* what it works on */
	size_t size;
};
/* Zeroed; NULL with err. */
void *deputy_away_memory(struct deputy_away *away, size_t size, struct error *err);
int deputy_send(struct deputy_away *away, int (*work)(void *data, struct error *err),
		struct error *err);
/* 0, too, where nobody is away. */
int deputy_await(struct deputy_away *away, struct error *err);
void deputy_recall(struct deputy_away *away);

/* How one is called where it fails, what its time is, and what it means if somebody kills it. */
struct deputy_terms {
	const char *what; /* "a deputy" */
	unsigned seconds;
	enum error_name killed;
};
int deputy_run_under(const struct deputy_terms *terms, int (*work)(void *data, struct error *err),
		     void *data, struct error *err);

/*
 * In a deputy: setns(2) to a user namespace, and to what else a pidfd leads to (CLONE_NEW*, or 0),
 * such that nobody there gets at what is ours. -1 with errno.
 */
int deputy_enter_user(int fd, int others);

/*
 * In a deputy: runs `work` in a child that shares what the deputy shares, and that is born where
 * setns(2) of the deputy says, with these numbers at the `n` innermost levels of pid namespaces. It
 * has ended, and waits for waitpid(2) with __WALL, when this returns its number; -1 with errno.
 */
struct deputy_child {
	const pid_t *numbers;
	size_t n;
	void (*work)(void *data);
	void *data;
};
pid_t deputy_bear(const struct deputy_child *child);

/*
 * In a deputy, too: calls `meanwhile` while there is a child that does nothing, in namespaces of
 * its own (CLONE_NEW* of clone(2)). It is gone afterwards.
 */
int deputy_beside_child(uint64_t namespaces,
			int (*meanwhile)(pid_t child, void *data, struct error *err), void *data,
			struct error *err);

/* None that is apart begins in between, and none may be asked for by who has called the first. */
void deputies_wait(void);
void deputies_go_on(void);

/* Memory that those apart share with their callers, zeroed; NULL with errno. */
void *deputy_memory(size_t size);
void deputy_memory_free(void *memory, size_t size);

#endif
