// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-fuse
 * promise: a file system whose driver is in the tree (FUSE) is served by it after a restore, with
 *	what it keeps: in two mount namespaces, with a directory and a file of it that are mounted
 *	by themselves, by a connection with two descriptors; nobody is asked for more than the
 *	driver knows, and others than who mounted it do not get in
 * flavours: flat three user user-three
 * needs: kernel_memory device:fuse
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char options[256];

static void check_text(const char *path, const char *wanted)
{
	char text[LONGEST + 1] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	scenario_check(fd >= 0 && read(fd, text, LONGEST) >= 0 && strcmp(text, wanted) == 0,
		       "%s: \"%s\" (%s), not \"%s\"", path, text, strerror(errno), wanted);
	close(fd);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	scenario_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text),
		       "cannot write to %s: %s", path, strerror(errno));
	close(fd);
}

static void check_list(const char *path, const char *wanted)
{
	DIR *directory = opendir(path);
	const struct dirent *entry = directory ? readdir(directory) : NULL;

	scenario_check(entry && strcmp(entry->d_name, wanted) == 0, "%s has no %s", path, wanted);
	if (directory)
		closedir(directory);
}

static void find_options(char text[256])
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096];

	text[0] = '\0';
	while (file && !text[0] && fgets(line, sizeof line, file)) {
		const char *type = strstr(line, " - fuse.own ");
		if (type && strstr(line, "/fs "))
			snprintf(text, 256, "%s", type);
	}
	if (file)
		fclose(file);
}

/* Root, but of other numbers than who mounted it. */
static void check_denied(const char *path)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(syscall(SYS_setresgid, 1, 1, 1) == 0 && open(path, O_RDONLY) < 0 &&
				      errno == EACCES
			      ? 0
			      : 1);
	waitpid(pid, &status, 0);
	scenario_check(status == 0, "others get in");
}

static void use(const char *who)
{
	char text[LONGEST];

	check_text("fs/by-app/one/content", "before");
	check_text("bound/content", "before");
	check_text("bound-file", "before");
	check_list("bound", "content");
	check_list("fs", "by-app");
	snprintf(text, sizeof text, "by %s", who);
	write_text("bound/content", text);
	check_text("fs/by-app/one/content", text);
	check_text("bound-file", text);
	write_text("fs/by-app/one/content", "before");
	check_denied("bound/content");
}

/* Another sandbox, which has the part alone. */
static int sandbox(void *unused)
{
	(void)unused;
	scenario_need(umount2("fs", MNT_DETACH) == 0, "umount: %s", strerror(errno));
	check_text("bound/content", "before");
	scenario_mark("sandbox");
	scenario_wait_restored();
	check_text("bound/content", "before");
	check_list("bound", "content");
	check_text("bound-file", "before");
	scenario_check(access("fs/by-app", F_OK) < 0, "it is mounted in the sandbox");
	return 0;
}

static void bind_again(void)
{
	scenario_check(mkdir("again", 0755) == 0 &&
			       mount("fs/by-app", "again", NULL, MS_BIND, NULL) == 0,
		       "cannot bind: %s", strerror(errno));
	check_text("again/one/content", "before");
}

static int inside(void *unused)
{
	char now[256];

	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	pid_t driver = serve_fs();
	scenario_need(mkdir("bound", 0755) == 0 &&
			      mount("fs/by-app/one", "bound", NULL, MS_BIND, NULL) == 0,
		      "bind: %s", strerror(errno));
	close(open("bound-file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	scenario_need(mount("fs/by-app/one/content", "bound-file", NULL, MS_BIND, NULL) == 0,
		      "bind: %s", strerror(errno));
	use("one");
	find_options(options);
	pid_t other = scenario_child_in(CLONE_NEWNS, sandbox, NULL);
	scenario_mark("inside");
	scenario_wait_restored();
	find_options(now);
	scenario_check(strcmp(options, now) == 0, "%s, not %s", now, options);
	scenario_reap(other);
	use("two");
	bind_again();
	umount2("again", MNT_DETACH);
	umount2("bound-file", MNT_DETACH);
	umount2("bound", MNT_DETACH);
	umount2("fs", MNT_DETACH);
	scenario_reap(driver);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");
	scenario_wait_mark("sandbox");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
