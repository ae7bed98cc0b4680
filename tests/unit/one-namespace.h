/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A snapshot of one task and one plain namespace, for tests of what images may say of that. */
#ifndef ONE_NAMESPACE_H
#define ONE_NAMESPACE_H

#include "base/arena.h"
#include "kinds/kind.h"
#include "model/namespaces.h"
#include "model/snapshot.h"

enum { OWN_PID = 1, OWN_USER, OWN_UTS, TREE_UTS = 10 };

/* One task with two threads, in a namespace of its own of one type. */
struct one_namespace {
	struct arena arena;
	struct snapshot snapshot;
	struct error err;
	NsEntry *entry;
	struct task *task;
};

void one_namespace_begin(struct one_namespace *fixture, enum namespace_type type);
/* The check of a kind on the one namespace that there is; ends the fixture. */
enum error_name one_namespace_check(struct one_namespace *fixture,
				    const struct namespace_kind *kind);

#endif
