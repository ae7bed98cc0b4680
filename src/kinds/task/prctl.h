/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asking a task for what prctl(2) alone tells. */
#ifndef NESTOR_KINDS_TASK_PRCTL_H
#define NESTOR_KINDS_TASK_PRCTL_H

#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"

/* One prctl that returns its answer, or writes an int. */
struct question {
	const char *name;
	size_t call;
	uint64_t buffer; /* 0: the result is the answer */
};

struct question prctl_ask(struct probe *probe, const char *name, uint64_t option, uint64_t buffer);
/* 1 with the value, 0 where it could not be asked, -1 on an error nobody expects. */
int prctl_answer(const struct probe *probe, struct target *target, size_t thread,
		 const struct question *question, enum loss loss, uint64_t *ret_value,
		 struct error *err);

#endif
