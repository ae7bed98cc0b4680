// SPDX-License-Identifier: LGPL-2.1-or-later
/* Running a person's program at a moment of a dump or a restore; see action-script.h. */
#include "commands/action-script.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 5, NOT_EXECUTED = 127 };

__attribute__((noreturn)) static void execute(const char *program,
					      const struct pipeline_options *options,
					      const char *moment, pid_t root_pid)
{
	static const sigset_t none;
	char pid[16];

	/* A group of its own, to be ended with what it starts; signals as a program wants them. */
	setpgid(0, 0);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setenv("CRTOOLS_SCRIPT_ACTION", moment, 1);
	setenv("CRTOOLS_IMAGE_DIR", options->images_dir ? options->images_dir : ".", 1);
	snprintf(pid, sizeof pid, "%d", (int)root_pid);
	if (root_pid)
		setenv("CRTOOLS_INIT_PID", pid, 1);
	execl(program, program, (char *)NULL);
	_exit(NOT_EXECUTED);
}

/* A tree may be standing still meanwhile: whoever asks to stop is heard. */
static int wait_for(pid_t child, const struct pipeline_hooks *hooks, int *ret_signal)
{
	const struct timespec pause = { .tv_nsec = LOOK_EVERY_MS * 1000000L };
	int status;

	for (;;) {
		pid_t ended = waitpid(child, &status, WNOHANG);
		if (ended == child)
			return status;
		if (ended < 0 && errno != EINTR)
			return -1;
		if (!*ret_signal && hooks->asked_to_stop) {
			*ret_signal = hooks->asked_to_stop(hooks->data);
			if (*ret_signal)
				kill(-child, SIGKILL);
		}
		nanosleep(&pause, NULL);
	}
}

int action_script_run(const char *program, const struct pipeline_options *options,
		      const char *moment, pid_t root_pid, struct error *err)
{
	pid_t child = fork();
	int signal = 0;

	if (child < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork for the action script");
	if (child == 0)
		execute(program, options, moment, root_pid);
	setpgid(child, child); /* whoever is first */
	int status = wait_for(child, &options->hooks, &signal);
	if (signal)
		return fail(err, ERR_INTERRUPTED, "SIG%s asked to stop, while %s ran at %s",
			    sigabbrev_np(signal), program, moment);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		return fail(err, ERR_CLIENT_REFUSED, "%s does not agree to %s: it exits with %d",
			    program, moment, WEXITSTATUS(status));
	return fail(err, ERR_CLIENT_REFUSED, "%s died at %s", program, moment);
}
