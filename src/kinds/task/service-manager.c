// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * systemd, which from version 256 on knows the main process of a service by the inode number of its
 * pidfd, too: the kernel's own count of processes, and another one after a restore. It then ignores
 * what services tell it (sd_notify(3)), and ends those that have a watchdog after some minutes,
 * its own among them. A reload has it ask for the numbers again, so the signal for that waits for
 * it when it goes on (SIGHUP, systemd(1)), unless that is not wanted (--no-systemd-reload).
 *
 * It is known by its name, by that it has pidfds, and by that it reads that signal from a signalfd
 * while it is blocked: whoever has no use for it would be ended by it.
 */
#include "kinds/task/task.h"

#include "model/records.h"
#include "plan/plan.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

static bool reads_hangups(const FileEntry *file)
{
	return file->type == FD_TYPES__SIGNALFD && file->sgfd && file->sgfd->sigmask & 1;
}

static bool is_manager(const struct snapshot *snapshot, const struct task *task)
{
	bool has_pidfds = false, reads = false;

	if (strcmp(task->core->tc->comm, "systemd") != 0 || !task->table ||
	    !(task->core->thread_core->blk_sigset & 1))
		return false;
	for (size_t i = 0; i < task->table->n_descriptors; i++) {
		const FileEntry *file = snapshot_file(snapshot, task->table->descriptors[i]->id);
		has_pidfds |= file && file->type == FD_TYPES__PIDFD;
		reads |= file && reads_hangups(file);
	}
	return has_pidfds && reads;
}

static int plan_reload(const struct planning *planning, struct error *err)
{
	const struct pid_vector numbers = task_pids(planning->task);
	struct program *program = planning->program;
	const siginfo_t info = { .si_signo = SIGHUP, .si_code = SI_USER };

	(void)err;
	if (planning->plan->reloads_systemd && is_manager(planning->plan->snapshot, planning->task))
		program_call(program, SYS_rt_sigqueueinfo, numbers.pid[numbers.levels - 1], SIGHUP,
			     program_data(program->set, &info, sizeof info, 8));
	return 0;
}

const struct task_kind service_manager_kind = {
	.name = "reload of systemd",
	.plan = plan_reload,
};
