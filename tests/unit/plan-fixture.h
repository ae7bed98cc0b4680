/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots made by hand, facts of a host that never was, and what a plan for them says. */
#ifndef NESTOR_TESTS_PLAN_FIXTURE_H
#define NESTOR_TESTS_PLAN_FIXTURE_H

#include "plan/plan.h"

#include <linux/sched.h>

extern const struct kind_table fixture_table; /* regular files, and nothing of tasks */
extern const struct facts fixture_facts;
extern const struct plan_options fixture_options;

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct plan plan;
	struct error err;
};

bool recognises_nothing(const struct open_file *file);

void fixture_begin(struct fixture *fixture);
void fixture_add_file(struct fixture *fixture, uint32_t id);
void fixture_add_descriptor(struct fixture *fixture, struct descriptor_table *descriptors,
			    uint32_t number, uint32_t id, uint32_t flags);
VmaEntry *fixture_area(struct fixture *fixture, uint64_t start, uint64_t end);
CoreEntry *fixture_new_core(struct snapshot *snapshot);
/* A task at one level, in the session and group of `leader`; the numbers of objects are its own. */
struct task *fixture_add_task(struct fixture *fixture, uint32_t pid, uint32_t ppid,
			      uint32_t leader);

int fixture_make(struct fixture *fixture);
void fixture_make_well(struct fixture *fixture);
void fixture_see_refused(struct fixture *fixture, enum error_name name, const char *part);

size_t count_calls(const struct program *program, uint32_t nr);
const struct op *find_call(const struct program *program, uint32_t nr);
struct clone_args clone_args_of(const struct fixture *fixture, const struct op *op);

#endif
