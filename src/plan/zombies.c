// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Zombies end again with the status they had, in the namespace they had. exit_code is a wait
 * status: exit code << 8, or the signal. The bit that says that a core was dumped (0x80) does
 * not come back: it is set only by writing one, and RLIMIT_CORE 1 keeps that from happening, be it
 * to a file or to a pipe (vfs_coredump, fs/coredump.c).
 *
 * Whether it was dumpable stays with a zombie: without CAP_SYS_PTRACE in the initial user namespace
 * nobody sees the exit status and the namespaces of one that was not. Entering a user namespace
 * takes it away.
 *
 * The init of a pid namespace does not die of a signal that it sends itself (SIGNAL_UNKILLABLE),
 * whatever its action; its parent, outside, can kill it with SIGKILL only.
 */
#include "plan/build.h"

#include <inttypes.h>
#include <linux/wait.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static uint32_t fatal_signal(const struct node *node)
{
	return node->task->core->tc->exit_code & 0x7f;
}

static bool ends_by_default(uint32_t signal)
{
	switch (signal) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return false;
	default:
		return signal <= 64;
	}
}

int zombie_check(const struct node *node, struct error *err)
{
	uint32_t signal = fatal_signal(node);

	if (signal && !ends_by_default(signal))
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s: its exit status names signal %" PRIu32
			    ", which does not end a process",
			    node->name, signal);
	if (signal && node->place->init == node && signal != SIGKILL)
		return fail(
			err, ERR_UNSUPPORTED_TASK,
			"task %s: a dead init of a pid namespace whose status is signal %" PRIu32
			" cannot be made to die of it again",
			node->name, signal);
	return 0;
}

/* What /proc shows of a zombie, apart from its ids. */
static void build_looks(struct build *build, const struct node *node, uint32_t signal)
{
	struct program_set *set = &build->plan->programs;
	const TaskCoreEntry *tc = node->task->core->tc;
	uint64_t mask = tc->blk_sigset;
	char name[16] = { 0 }; /* TASK_COMM_LEN */

	snprintf(name, sizeof name, "%s", tc->comm);
	op_expect(program_call(node->program, SYS_prctl, PR_SET_NAME,
			       program_data(set, name, sizeof name, 1), 0, 0, 0),
		  0);
	if (signal)
		mask &= ~(UINT64_C(1) << (signal - 1));
	op_expect(program_call(node->program, SYS_rt_sigprocmask, SIG_SETMASK,
			       program_word(set, mask), 0, sizeof mask),
		  0);
}

static void die_of(const struct node *node, uint32_t signal)
{
	static const struct rlimit no_core = { 1, 1 };
	struct program *program = node->program;

	op_expect(program_call(program, SYS_prlimit64, 0, RLIMIT_CORE,
			       program_data(program->set, &no_core, sizeof no_core,
					    sizeof(uint64_t)),
			       0),
		  0);
	program_call(program, SYS_kill, node_number(node, node->place), signal);
}

static uint64_t killed_word(struct build *build, struct node *zombie)
{
	if (!zombie->killed_word)
		zombie->killed_word = program_word(&build->plan->programs, 0);
	return zombie->killed_word;
}

void build_zombie(struct build *build, struct node *node)
{
	uint32_t signal = fatal_signal(node);

	build_looks(build, node, signal);
	build_zombie_user_namespace(build, node);
	op_expect(program_call(node->program, SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	if (signal && node->place->init == node) {
		program_wake(node->program, killed_word(build, node), 1);
	} else if (signal) {
		die_of(node, signal);
	} else {
		uint64_t code = node->task->core->tc->exit_code >> 8 & 0xff;
		program_call(node->program, SYS_exit_group, code);
	}
	/* Asleep until the signal, if the end is not immediate. */
	program_wait(node->program, program_word(&build->plan->programs, 0), 1);
}

/*
 * A parent goes on once its zombies are there: their SIGCHLD is pending by then, and is dropped
 * when the signal's action is set.
 */
void build_zombie_waits(struct build *build, struct node *node)
{
	struct tree *tree = build->tree;

	for (struct node *zombie = tree->first_zombie[node->index]; zombie;
	     zombie = tree->next_zombie[zombie->index]) {
		uint32_t number = node_number(zombie, node->place);
		/* An orphan comes from a helper: it is there once that has been reaped. */
		if (!zombie->creator->task)
			program_wait(node->program, build_word(build, zombie->creator->left_word),
				     1);
		if (fatal_signal(zombie) && zombie->place->init == zombie) {
			program_wait(node->program, killed_word(build, zombie), 1);
			op_expect(program_call(node->program, SYS_kill, number, SIGKILL), 0);
		}
		op_expect(program_call(node->program, SYS_waitid, P_PID, number, 0,
				       WEXITED | WNOWAIT | __WALL, 0),
			  0);
	}
}
