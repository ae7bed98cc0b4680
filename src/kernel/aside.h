/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A few calls in another place or as somebody else, by a thread of its own: namespaces, root
 * directory and credentials belong to the thread in Linux, descriptors and memory to the process.
 * So nothing has to be handed over and nobody else notices. From a namespace alone the calling
 * thread comes back itself.
 */
#ifndef NESTOR_KERNEL_ASIDE_H
#define NESTOR_KERNEL_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What is different there. Start from ASIDE_HERE. Effective ids change while the ids of file
 * accesses stay root's, and with them the capabilities that overrule permissions (setfsuid(2),
 * capabilities(7)).
 */
struct aside {
	int net_namespace; /* -1: ours */
	int root;	   /* directory; -1: ours */
	int directory;	   /* the working one; -1: the root */
	bool has_ids;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
};
#define ASIDE_HERE ((struct aside){ .net_namespace = -1, .root = -1, .directory = -1 })

/*
 * Runs work(argument) there, and waits. Returns its result; -1 with errno if it got not so far.
 * What /proc/self says stays ours.
 */
int aside_run(const struct aside *aside, int (*work)(void *argument), void *argument);

/*
 * The same in a namespace, by the calling thread, which comes back: /proc/self may say what is
 * there. The way back is a descriptor of its own namespace of that type (CLONE_NEW*); -1 where
 * there is none, as from pid, user, mount and time namespaces, or for who may not enter its own
 * again. A shortage on the way back is waited out for a second; then it is -1 with ENOTRECOVERABLE,
 * and the thread is in no state to do more.
 */
int aside_way_back(int type);
int aside_within(int namespace_fd, int way_back, int (*work)(void *argument), void *argument);

/*
 * In a network namespace (-1: ours), by the calling thread if it can come back, else by another
 * one, which takes longer.
 */
int aside_in_net(int net_namespace, int (*work)(void *argument), void *argument);

/* socket(2) there; -1 with errno. */
int aside_socket(int net_namespace, int family, int type, int protocol);

#endif
