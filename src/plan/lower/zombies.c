// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Zombies end again with the status they had, in the namespace they had, with the credentials they
 * had: their parents see those as si_uid. exit_code is a wait status: exit code << 8, or the
 * signal.
 *
 * The bit that says that a core was dumped (0x80) is set only by writing one (do_coredump,
 * fs/coredump.c). So a zombie that has it does: into a file system of its own that nobody sees, and
 * that is gone with it. That works where core files go into files (kernel.core_pattern); where a
 * program would be told of a crash that never was, the bit is lost. RLIMIT_CORE 1 keeps a core from
 * being dumped, be it to a file or to a pipe.
 *
 * Whether it was dumpable stays with a zombie: without CAP_SYS_PTRACE in the initial user namespace
 * nobody sees the exit status and the namespaces of one that was not. Other ids take it away, and
 * so does entering a user namespace.
 *
 * The init of a pid namespace does not die of a signal that it sends itself (SIGNAL_UNKILLABLE),
 * whatever its action. Its parent, outside, can kill it with SIGKILL; and a fault of its own is
 * fatal to it as to everybody (force_sig_info_to_task, kernel/signal.c).
 */
#include "plan/lower/build.h"

#include <inttypes.h>
#include <linux/wait.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { SMALLEST_CORE = 4096 }; /* min_coredump, fs/binfmt_elf.c */

static uint32_t fatal_signal(const struct node *node)
{
	return node->task->core->tc->exit_code & 0x7f;
}

static bool dumped_core(const struct node *node)
{
	return node->task->core->tc->exit_code & 0x80;
}

static bool is_init(const struct node *node)
{
	return node->place->init == node;
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

/* sig_kernel_coredump of include/linux/signal.h. */
static bool dumps_core(uint32_t signal)
{
	switch (signal) {
	case SIGQUIT:
	case SIGILL:
	case SIGTRAP:
	case SIGABRT:
	case SIGFPE:
	case SIGSEGV:
	case SIGBUS:
	case SIGSYS:
	case SIGXCPU:
	case SIGXFSZ:
		return true;
	default:
		return false;
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
	if (dumped_core(node) && !dumps_core(signal))
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s: its exit status says that signal %" PRIu32
			    " dumped core, which it never does",
			    node->name, signal);
	if (signal && is_init(node) && signal != SIGKILL && !fault_gives(node->task, signal))
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
	op_expect(program_call(node->lowered->program, SYS_prctl, PR_SET_NAME,
			       program_data(set, name, sizeof name, 1), 0, 0, 0),
		  0);
	if (signal)
		mask &= ~(UINT64_C(1) << (signal - 1));
	op_expect(program_call(node->lowered->program, SYS_rt_sigprocmask, SIG_SETMASK,
			       program_word(set, mask), 0, sizeof mask),
		  0);
}

static bool makes_core(const struct build *build, const struct node *node)
{
	const struct facts *facts = build->plan->facts;

	return dumped_core(node) && facts->core_pattern &&
	       facts->rlimits[RLIMIT_CORE].rlim_max >= SMALLEST_CORE;
}

/* Before privileges go: a place for the core, and leave to write one, without our memory. */
static void prepare_core(struct build *build, const struct node *node)
{
	struct plan *plan = build->plan;
	struct program *program = node->lowered->program;
	const struct rlimit *inherited = &plan->facts->rlimits[RLIMIT_CORE];
	struct rlimit limit = { inherited->rlim_max, inherited->rlim_max };
	uint32_t source = plan_source(plan, SOURCE_CORE_DIRECTORY, node->index);
	uint64_t slot = program_word(&plan->programs, 0);

	source_fetch_into(plan, program, source, slot);
	op_expect(op_argument_from(program_call(program, SYS_fchdir, 0), 0, slot), 0);
	op_expect(program_call(program, SYS_chroot, program_data(&plan->programs, ".", 2, 1)), 0);
	op_expect(program_call(program, SYS_setrlimit, RLIMIT_CORE,
			       program_data(&plan->programs, &limit, sizeof limit, 8)),
		  0);
	/* The hole is not mapped all over (ENOMEM). */
	op_any(program_call(program, SYS_madvise, plan->hole.start,
			    plan->hole.end - plan->hole.start, MADV_DONTDUMP));
}

static void die_of(struct build *build, const struct node *node, uint32_t signal)
{
	/* Where the hard limit is 0 it cannot be 1, and keeps all but programs from getting one. */
	rlim_t limit = build->plan->facts->rlimits[RLIMIT_CORE].rlim_max ? 1 : 0;
	const struct rlimit no_core = { limit, limit };
	struct program *program = node->lowered->program;

	if (!makes_core(build, node))
		op_expect(program_call(program, SYS_prlimit64, 0, RLIMIT_CORE,
				       program_data(program->set, &no_core, sizeof no_core,
						    sizeof(uint64_t)),
				       0),
			  0);
	if (is_init(node))
		build_fault(build, program, signal);
	else
		program_call(program, SYS_kill, node_number(node, node->place), signal);
}

static uint64_t killed_word(struct build *build, struct node *zombie)
{
	if (!zombie->lowered->killed_word)
		zombie->lowered->killed_word = program_word(&build->plan->programs, 0);
	return zombie->lowered->killed_word;
}

/* From the outside in, as a living task gets them. */
static int build_credentials(struct build *build, struct node *node, struct error *err)
{
	static const enum task_stage inside[] = { STAGE_CAPABILITIES, STAGE_LAST };

	if (!node->task->core->thread_core) {
		build_zombie_user_namespace(build, node);
		return 0;
	}
	if (build_stage(build, STAGE_IDS, node->task, 0, node->lowered->program, err))
		return -1;
	build_zombie_user_namespace(build, node);
	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
		if (build_stage(build, inside[i], node->task, 0, node->lowered->program, err))
			return -1;
	return 0;
}

static bool is_killed_by_parent(const struct node *node)
{
	return is_init(node) && fatal_signal(node) == SIGKILL;
}

/* Those whose children would be born in its namespace enter that while it is alive. */
static void wait_for_entering(struct build *build, const struct node *node)
{
	const struct place *place = node->place;

	if (place->init == node && place->entered_word)
		program_wait(node->lowered->program, build_word(build, place->entered_word),
			     place->n_entering);
}

int build_zombie(struct build *build, struct node *node, struct error *err)
{
	uint32_t signal = fatal_signal(node);

	wait_for_entering(build, node);
	build_calls(build, node);
	build_looks(build, node, signal);
	if (makes_core(build, node))
		prepare_core(build, node);
	else
		build->n_lost_cores += dumped_core(node);
	if (build_credentials(build, node, err))
		return -1;
	op_expect(program_call(node->lowered->program, SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	if (is_killed_by_parent(node)) {
		program_wake(node->lowered->program, killed_word(build, node), 1);
	} else if (signal) {
		die_of(build, node, signal);
	} else {
		uint64_t code = node->task->core->tc->exit_code >> 8 & 0xff;
		program_call(node->lowered->program, SYS_exit_group, code);
	}
	/* Asleep until the signal, if the end is not immediate. */
	program_wait(node->lowered->program, program_word(&build->plan->programs, 0), 1);
	return 0;
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
		if (zombie->birth.same_parent)
			program_wait(node->lowered->program,
				     build_word(build, zombie->grouping.born_word), 1);
		if (!node_birth_parent(zombie)->task)
			program_wait(
				node->lowered->program,
				build_word(build, node_birth_parent(zombie)->as_helper.left_word),
				1);
		if (is_killed_by_parent(zombie)) {
			program_wait(node->lowered->program, killed_word(build, zombie), 1);
			op_expect(program_call(node->lowered->program, SYS_kill, number, SIGKILL),
				  0);
		}
		op_expect(program_call(node->lowered->program, SYS_waitid, P_PID, number, 0,
				       WEXITED | WNOWAIT | __WALL, 0),
			  0);
	}
}
