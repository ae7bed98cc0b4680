/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Doing something "in there": a function is run by a child of ours that has taken other ids or
 * entered other namespaces, from which nobody comes back. Its error comes back whole, what it has
 * written into its data does too, and descriptors are handed over. It ends with us, in time, and
 * nothing of it is left.
 *
 * A brief one is done by a deputy (deputy.h): in our memory, and with our descriptors, which costs
 * a fraction of a copy of them. We stand still meanwhile. Where it is one namespace from which the
 * calling thread comes back (aside.h), that goes itself.
 */
#ifndef NESTOR_KERNEL_VISIT_H
#define NESTOR_KERNEL_VISIT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct visitor;

struct visit {
	/* For messages, after "the process that": "makes uts namespace 17". */
	const char *what;
	/* Called before anything else, with our own rights; may be NULL. */
	int (*before)(void *data, struct error *err);
	/* Taken next, with all capabilities kept: real, effective and saved. */
	bool takes_ids;
	uint32_t uid, gid;
	/* Entered then, in this order (setns). For a pid namespace see setns(2): only children. */
	const int *namespaces;
	size_t n_namespaces;
	/*
	 * Who may not enter one may enter the user namespace that it belongs to before: then ids
	 * are seen as that has them.
	 */
	bool as_owner;
	/*
	 * By a deputy: `check` is called when it is done, and there is no `first` nor `meanwhile`.
	 * Not for what has to own its files in /proc/self, nor for time namespaces, which who
	 * shares memory cannot enter (timens_install).
	 */
	bool brief;
	/*
	 * In us, once the process is there and before it does anything; what it changes here is
	 * seen there only through the kernel. May be NULL.
	 */
	int (*first)(void *data, struct error *err);
	/* In us, once the function is done and as long as the process is there. May be NULL. */
	int (*meanwhile)(pid_t pid, void *data, struct error *err);
	/* Returns 0, or -1 with err. */
	int (*function)(struct visitor *visitor, void *data, struct error *err);
	/* Lies in shared memory while the function has it (unless brief), and is copied back. */
	void *data;
	size_t size;
	unsigned timeout_seconds; /* 0: none */
	/* Called now and then while we wait; -1 with err ends the visit. May be NULL. */
	int (*check)(struct error *err);
};

/*
 * Returns 0, or -1 with the function's error, or one of ours. Descriptors that the function has
 * handed over, n_fds of them, are in ret_fds, close-on-exec; -1 for those that it has not. After a
 * failure there are none.
 */
int visit(const struct visit *visit, int *ret_fds, size_t n_fds, struct error *err);

/* For the function: the next descriptor of ret_fds. It stays open here too. */
int visitor_hand_over(struct visitor *visitor, int fd, struct error *err);

#endif
