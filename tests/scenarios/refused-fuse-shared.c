// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-fuse-shared
 * promise: a working directory in a file system whose driver is in the tree (FUSE), and which
 *	others than who mounted it may use, in a user namespace, is refused by name, as nobody
 *	outside of that may enter it; and so is a program that is executed from it
 * flavours: user user-three
 * needs: kernel_memory device:fuse
 * options: --enable-fs fuse
 * arguments: directory program
 * refused: unsupported-file
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

/* What is executed from there, until it is told to end. */
static int executed(void)
{
	sigset_t wanted;
	int received;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	close(open("runs", O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
	sigwait(&wanted, &received);
	return 0;
}

static pid_t execute(void)
{
	static char *const arguments[] = { (char *)"executed", NULL }, *const none[] = { NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execve("fs/by-app/one/program", arguments, none);
		_exit(2);
	}
	while (access("runs", F_OK) < 0 && kill(pid, 0) == 0)
		scenario_sleep_ms(2);
	return pid;
}

int main(int argc, char **argv)
{
	pid_t runs = 0;
	int back;

	if (argc == 1)
		return executed();
	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "a mount namespace: %s", strerror(errno));
	back = open(".", O_PATH | O_CLOEXEC);
	mount_options = "user_id=0,group_id=0,allow_other";
	add_program();
	pid_t driver = serve_fs();
	if (strcmp(argv[2], "program") == 0)
		runs = execute();
	else
		scenario_need(chdir("fs/by-app/one") == 0, "chdir: %s", strerror(errno));

	scenario_ready();

	scenario_need(fchdir(back) == 0, "back");
	scenario_check(access("fs/by-app/one/content", R_OK) == 0, "it is not served: %s",
		       strerror(errno));
	if (runs) {
		kill(runs, SIGTERM);
		waitpid(runs, NULL, 0);
	}
	kill(driver, SIGKILL);
	waitpid(driver, NULL, 0);
	return scenario_end();
}
