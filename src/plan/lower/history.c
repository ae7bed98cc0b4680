// SPDX-License-Identifier: LGPL-2.1-or-later
/* The steps of a process, as operations of its program. */
#include "plan/lower/build.h"

#include "kinds/kind.h"

#include <linux/wait.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

uint64_t build_word(struct build *build, uint32_t word)
{
	if (!build->words[word])
		build->words[word] = program_word(&build->plan->programs, 0);
	return build->words[word];
}

/* Children are born in the pid namespace of process `number` from now on; 0: the caller's own. */
void build_enter(struct build *build, struct program *program, uint32_t number)
{
	uint64_t slot = program_word(&build->plan->programs, 0);

	if (number) {
		op_store(program_call(program, SYS_pidfd_open, number, 0), slot);
	} else {
		op_store(program_call(program, SYS_getpid), slot);
		op_store(op_argument_from(program_call(program, SYS_pidfd_open, 0, 0), 0, slot),
			 slot);
	}
	op_expect(op_argument_from(program_call(program, SYS_setns, 0, CLONE_NEWPID), 0, slot), 0);
	op_expect(op_argument_from(program_call(program, SYS_close, 0), 0, slot), 0);
}

/* The number of a helper is an argument of the last call; it may be known only once it is made. */
void op_helper_number(struct op *op, unsigned argument, const struct node *node,
		      const struct node *helper)
{
	if (node->place->namespace->level >= helper->n_unnamed)
		op->args[argument] = node_number(helper, node->place);
	else
		op_argument_from(op, argument, helper->lowered->number_slot);
}

static void build_reap(const struct node *node, const struct node *helper)
{
	struct op *op =
		program_call(node->lowered->program, SYS_waitid, P_PID, 0, 0, WEXITED | __WALL, 0);

	op_helper_number(op_expect(op, 0), 1, node, helper);
}

/* What a leader has to get before it makes anybody (task_kind.led_session). */
static void tell_kinds(struct build *build, const struct node *node)
{
	struct plan *plan = build->plan;

	for (enum task_stage stage = 0; stage < STAGE_COUNT; stage++)
		for (const struct task_kind *const *kind = plan->kinds->tasks[stage]; kind && *kind;
		     kind++)
			if ((*kind)->led_session)
				(*kind)->led_session(plan, node->task, node->lowered->program);
}

static void build_setsid(struct build *build, const struct node *node)
{
	struct op *op = program_call(node->lowered->program, SYS_setsid);

	if (node->n_unnamed < node->pids.levels)
		op_expect(op, node_number(node, node->place));
	if (node->task && build->plan->kinds && !task_is_zombie(node->task))
		tell_kinds(build, node);
}

/* As somebody sees it who is not below the namespace of its leader. */
static uint64_t group_number(const struct group *group, const struct place *place)
{
	return group->outside ? group->outside_number : node_number(group->leader, place);
}

static void build_step(struct build *build, struct node *node, const struct step *step)
{
	struct program *program = node->lowered->program;
	const struct place *place = node->place;
	struct op *op;

	switch (step->kind) {
	case STEP_CREATE:
		build_clone(build, node, step->node);
		break;
	case STEP_ENTER: {
		const struct node *init = step->place == place ? node : step->place->init;
		build_enter(build, program, node_number(init, place));
		break;
	}
	case STEP_FOUND:
		build_found(build, node, step->place);
		break;
	case STEP_ENTER_FOUNDED:
		build_enter_founded(build, node, step->place);
		break;
	case STEP_SETSID:
		build_setsid(build, node);
		break;
	case STEP_LEAD_GROUP:
		op_expect(program_call(program, SYS_setpgid, 0, 0), 0);
		break;
	case STEP_JOIN:
		op_expect(program_call(program, SYS_setpgid, 0, group_number(step->group, place)),
			  0);
		break;
	case STEP_MOVE:
		op = program_call(program, SYS_setpgid, 0, group_number(step->group, place));
		op_helper_number(op_expect(op, 0), 0, node, step->node);
		break;
	case STEP_WAIT:
		program_wait(program, build_word(build, step->word), step->value);
		break;
	case STEP_WAKE:
		program_wake(program, build_word(build, step->word), step->value);
		break;
	case STEP_SUBREAPER:
		op_expect(program_call(program, SYS_prctl, PR_SET_CHILD_SUBREAPER, step->value, 0,
				       0, 0),
			  0);
		break;
	case STEP_REAP:
		build_reap(node, step->node);
		break;
	case STEP_TIE:
		/* So that nothing outlives a restore that fails; STAGE_LAST sets what it was. */
		op_expect(program_call(program, SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), 0);
		break;
	case STEP_EXIT:
		program_call(program, SYS_exit_group, 0);
		break;
	}
}

void build_history(struct build *build, struct node *node)
{
	size_t last_created = node->n_steps;

	for (size_t i = 0; i < node->n_steps; i++)
		if (node->steps[i].kind == STEP_CREATE)
			last_created = i;
	for (size_t i = 0; i < node->n_steps; i++) {
		build_step(build, node, &node->steps[i]);
		if (i == last_created)
			build_last_created(build, node);
	}
}
