/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A second thread for what needs no decisions: reading texts of /proc ahead, finding and copying
 * pages. Ptrace requests are only taken from the thread that seized a task, so whatever needs
 * them, and all that fills the snapshot, stays with the first thread, which is the one that calls
 * these functions (but for assistant_give).
 */
#ifndef NESTOR_COLLECT_ASSISTANT_H
#define NESTOR_COLLECT_ASSISTANT_H

#include <stdbool.h>

struct assistant;

/* Who runs an errand; each has buffers of its own. */
enum assistant_thread { THREAD_FIRST, THREAD_ASSISTANT, ASSISTANT_THREADS };

/* Something to be done; lies in what it needs, and stays there until it is done or dropped. */
struct errand {
	void (*run)(struct errand *errand, enum assistant_thread thread);
	bool by_first; /* the assistant may not do it */
	/* The assistant's: */
	enum { ERRAND_NOT_GIVEN, ERRAND_WAITING, ERRAND_RUNNING, ERRAND_DONE } state;
	struct errand *next;
};

/* Without a thread to be had, the first one does everything. NULL is fine to end. */
struct assistant *assistant_start(void);
/* Drops what is waiting, and waits for what is running. */
void assistant_end(struct assistant *assistant);

/* From any thread, also from within an errand; they are begun in this order. */
void assistant_give(struct assistant *assistant, struct errand *errand);
/*
 * When it returns, the errand is done: here, unless the assistant has begun it; meanwhile others
 * with the same `run` are done here, so that both threads share them out.
 */
void assistant_need(struct assistant *assistant, struct errand *errand);
/* Does the next errand here; false once all are done. */
bool assistant_join_in(struct assistant *assistant);

#endif
