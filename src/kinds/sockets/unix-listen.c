// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who called listen(2) on a unix socket is what those that connect are told of their peer
 * (SO_PEERCRED), by its process too: nobody sees nestor in a pid namespace of the tree. A second
 * call on a socket that listens already does nothing but that (unix_listen, net/unix/af_unix.c), so
 * a task that did it does it again, with its ids.
 */
#include "kinds/sockets/socket.h"

#include "plan/plan.h"

#include <netinet/tcp.h>
#include <sys/syscall.h>

static bool has_listened(const struct task *task, const UnixSkEntry *sk)
{
	const PeerCredentialsEntry *who = sk->peer_credentials;

	return sk->state == TCP_LISTEN && !sk->uflags && who && who->n_pid &&
	       who->pid[0] == task_pids(task).pid[0];
}

static int listen_again(struct plan *plan, const struct task *task, size_t thread,
			struct program *program, struct error *err)
{
	const struct descriptor_table *table = task->table;

	(void)thread;
	(void)err;
	for (size_t i = 0; table && i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		const FileEntry *file = descriptor->type == FD_TYPES__UNIXSK
						? snapshot_file(plan->snapshot, descriptor->id)
						: NULL;
		if (file && file->usk && has_listened(task, file->usk))
			op_expect(program_call(program, SYS_listen, descriptor->fd,
					       file->usk->backlog),
				  0);
	}
	return 0;
}

const struct task_kind unix_listeners_kind = {
	.name = "unix sockets that listen",
	.plan = listen_again,
};
