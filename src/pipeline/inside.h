/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A restore without privileges works inside of the tree's own user namespace, which it makes and
 * enters first: made from there, the tree needs no privileges outside.
 */
#ifndef NESTOR_PIPELINE_INSIDE_H
#define NESTOR_PIPELINE_INSIDE_H

struct error;
struct load;

/*
 * Before the facts are probed. Where it is needed and possible, the caller is asked to execute the
 * whole once more (hooks.execute_inside); there the snapshot is seen from inside.
 */
int inside_enter(struct load *load, struct error *err);

#endif
