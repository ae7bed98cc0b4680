// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay-mapped
 * promise: what is mapped from an overlay that lies on another one, as in containers inside of
 *	containers, comes back: in the root of a container, where the overlay is mounted, what is
 *	executed from there, and what something else lies upon or was removed meanwhile
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 * ignore: maps
 */
#include "overlay-files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *map(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	need(fd >= 0 && mapped != MAP_FAILED, path);
	close(fd);
	return mapped;
}

/* As what it is mapped, by /proc. */
static bool is_called(const char *mapped, const char *name)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[PATH_MAX + 128], start[32];
	bool is = false;

	snprintf(start, sizeof start, "%lx-", (unsigned long)mapped);
	while (file && fgets(line, sizeof line, file)) {
		const char *path = strchr(line, '/');
		if (strncmp(line, start, strlen(start)) == 0 && path)
			is = strncmp(path, name, strlen(name)) == 0 && path[strlen(name)] == '\n';
	}
	if (file)
		fclose(file);
	return is;
}

/* The directories are beside each other; everything of them is gone behind a pivot_root. */
static void make_overlays(void)
{
	char here[PATH_MAX], options[4 * PATH_MAX];

	need(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     !mkdir("inside", 0755) && mount("i", "inside", "tmpfs", 0, "mode=755") == 0 &&
		     chdir("inside") == 0 && getcwd(here, sizeof here) && !mkdir("low", 0755) &&
		     !mkdir("low/image", 0755) && !mkdir("up", 0755) && !mkdir("work", 0755) &&
		     !mkdir("outer", 0755) && !mkdir("up-2", 0755) && !mkdir("work-2", 0755) &&
		     !mkdir("inner", 0755),
	     "directories");
	make_file("low/image/file", "of the image");
	make_file("low/image/replaced", "was replaced");
	make_file("low/image/removed", "was removed");
	make_file("low/image/covered", "was covered");
	copy_program("/bin/cat", "low/image/cat");
	snprintf(options, sizeof options, "lowerdir=%s/low,upperdir=%s/up,workdir=%s/work", here,
		 here, here);
	mount_overlay("outer", options);
	snprintf(options, sizeof options,
		 "lowerdir=%s/outer/image,upperdir=%s/up-2,workdir=%s/work-2", here, here, here);
	mount_overlay("inner", options);
}

static int live_in_container(void *data)
{
	need(chdir(data) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
		     umount2(".", MNT_DETACH) == 0 && chdir("/") == 0,
	     "pivot_root");
	const char *file = map("/file");
	const char *removed = map("/removed");
	/* Marks are files of the scenario's directory, which is not there. */
	need(kill(getppid(), SIGUSR1) == 0, "kill");
	while (access("/restored", F_OK))
		scenario_sleep_ms(2);
	bool same = strcmp(file, "of the image") == 0 && strcmp(removed, "was removed") == 0;
	return !same || access("/removed", F_OK) == 0;
}

/* A program of the inner overlay, by which what is written to it is read. */
static pid_t run_cat(int *ret_in, int *ret_out)
{
	int in[2], out[2];

	need(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "pipes");
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1)
			execl("inner/cat", "cat", NULL);
		_exit(1);
	}
	need(pid > 0, "fork");
	close(in[0]);
	close(out[1]);
	*ret_in = in[1];
	*ret_out = out[0];
	return pid;
}

static bool answers(int in, int out)
{
	char text[8] = "";

	return write(in, "hello", 5) == 5 && read(out, text, sizeof text) == 5 &&
	       strcmp(text, "hello") == 0;
}

int main(int argc, char **argv)
{
	char place[] = "inner";
	sigset_t usr1;
	int in, out, number;

	scenario_begin(argc, argv);
	make_overlays();
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	need(sigprocmask(SIG_BLOCK, &usr1, NULL) == 0, "sigprocmask");
	const char *replaced = map("inner/replaced");
	const char *covered = map("inner/covered");
	const char *file = map("inner/file");
	pid_t cat = run_cat(&in, &out);
	need(answers(in, out), "cat");
	need(is_called(file, "/file"), "another name");
	pid_t child = scenario_child_in(CLONE_NEWNS, live_in_container, place);
	need(sigwait(&usr1, &number) == 0, "sigwait");
	need(!unlink("inner/removed") && !unlink("inner/replaced"), "unlink");
	make_file("inner/replaced", "another one");
	need(mount("low/image/file", "inner/covered", NULL, MS_BIND, NULL) == 0, "bind");

	scenario_ready();

	scenario_check(strcmp(file, "of the image") == 0, "the file is not as it was");
	scenario_check(is_called(file, "/file") && is_called(covered, "/covered"),
		       "the files are called otherwise");
	scenario_check(strcmp(replaced, "was replaced") == 0, "what was replaced is another file");
	scenario_check(strcmp(covered, "was covered") == 0, "what was covered is another file");
	scenario_check(answers(in, out), "the program does not run");
	make_file("inner/restored", "");
	close(in);
	scenario_reap(cat);
	scenario_reap(child);
	return scenario_end();
}
