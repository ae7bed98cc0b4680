// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-shared
 * promise: descriptions shared by dup, fork and clone(CLONE_FILES) stay shared, others apart
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct files {
	int shared, duplicate, apart;
	int number; /* opened by the table's other user after the restore */
};

static int use_inherited(void *data)
{
	const struct files *files = data;
	char byte = 0;

	scenario_wait_restored();
	scenario_wait_mark("parent-moved");
	scenario_check(lseek(files->shared, 0, SEEK_CUR) == 7, "the child does not share the file");
	scenario_check(lseek(files->apart, 0, SEEK_CUR) == 2, "the child has not its position");
	scenario_check(read(files->duplicate, &byte, 1) == 1 && byte == '7', "read '%c'", byte);
	scenario_mark("child-moved");
	return 0;
}

static int share_table(void *data)
{
	struct files *files = data;

	scenario_wait_restored();
	close(files->apart);
	scenario_need(open("marker", O_RDWR | O_CREAT, 0600) == files->apart, "another number");
	scenario_mark("table-changed");
	scenario_wait_mark("table-used");
	return 0;
}

/* In the child: the same description would move along. */
static int hold_own(void *data)
{
	const struct files *files = data;

	close(files->shared);
	scenario_need(open("numbers", O_RDONLY) == files->shared, "another number");
	lseek(files->shared, 5, SEEK_SET);
	scenario_mark("own-open");
	scenario_wait_restored();
	scenario_wait_mark("child-moved");
	scenario_check(lseek(files->shared, 0, SEEK_CUR) == 5, "a file of its own was moved");
	return 0;
}

int main(int argc, char **argv)
{
	struct files files;

	scenario_begin(argc, argv);
	files.shared = open("numbers", O_RDWR | O_CREAT, 0600);
	scenario_need(write(files.shared, "0123456789", 10) == 10, "cannot write");
	lseek(files.shared, 3, SEEK_SET);
	files.duplicate = dup(files.shared);
	files.apart = open("numbers", O_RDWR);
	lseek(files.apart, 2, SEEK_SET);
	pid_t inheriting = scenario_child(use_inherited, &files);
	pid_t own = scenario_child(hold_own, &files);
	pid_t sharing = scenario_child_in(CLONE_FILES, share_table, &files);
	scenario_wait_mark("own-open");

	scenario_ready();

	scenario_wait_mark("table-changed");
	char link[256] = "";
	char self[32] = "/proc/self/fd/5";
	scenario_check(files.apart == 5, "the number is %d", files.apart);
	scenario_check(readlink(self, link, sizeof link - 1) > 0 && strstr(link, "/marker"),
		       "the descriptor table is not shared: %s", link);
	scenario_mark("table-used");
	scenario_check(lseek(files.shared, 0, SEEK_CUR) == 3, "the position is lost");
	lseek(files.duplicate, 7, SEEK_SET);
	scenario_check(lseek(files.shared, 0, SEEK_CUR) == 7, "the duplicate is none");
	scenario_mark("parent-moved");
	scenario_wait_mark("child-moved");
	scenario_check(lseek(files.shared, 0, SEEK_CUR) == 8, "the child's read did not move it");
	scenario_reap(inheriting);
	scenario_reap(own);
	scenario_reap(sharing);
	return scenario_end();
}
