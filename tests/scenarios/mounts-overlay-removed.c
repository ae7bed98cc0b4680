// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay-removed
 * promise: what was removed or replaced in an overlay while it is open, mapped or executed, and
 *	lies in a lower layer, where it goes on to have its links, comes back as removed, as after
 *	the programs in a container were brought up to date
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 * ignore: maps
 */
#include "overlay-files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_overlay(void)
{
	char here[PATH_MAX], options[4 * PATH_MAX];

	need(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     !mkdir("inside", 0755) && mount("i", "inside", "tmpfs", 0, "mode=755") == 0 &&
		     getcwd(here, sizeof here) && !mkdir("inside/low", 0755) &&
		     !mkdir("inside/low/deep", 0755) && !mkdir("inside/up", 0755) &&
		     !mkdir("inside/work", 0755) && !mkdir("merged", 0755) && !mkdir("bound", 0755),
	     "directories");
	make_file("inside/low/deep/open", "was open");
	make_file("inside/low/deep/mapped", "was mapped");
	make_file("inside/low/deep/linked", "was linked");
	need(link("inside/low/deep/linked", "inside/low/link") == 0, "link");
	copy_program("/bin/cat", "inside/low/deep/cat");
	snprintf(options, sizeof options,
		 "lowerdir=%s/inside/low,upperdir=%s/inside/up,workdir=%s/inside/work", here, here,
		 here);
	mount_overlay("merged", options);
	need(mount("merged/deep", "bound", NULL, MS_BIND, NULL) == 0, "bind");
}

/* A program by which what is written to it is read. */
static pid_t run_cat(int *ret_in, int *ret_out)
{
	int in[2], out[2];

	need(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "pipes");
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1)
			execl("merged/deep/cat", "cat", NULL);
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

static void check_open(int fd, const char *text, const char *at)
{
	char found[32] = "", link[64], path[PATH_MAX] = "";

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof path - 1);
	scenario_check(pread(fd, found, sizeof found - 1, 0) == (ssize_t)strlen(text) &&
			       strcmp(found, text) == 0,
		       "%s holds \"%s\"", at, found);
	scenario_check(length > 0 && strstr(path, at), "%s is called %s", at, path);
}

int main(int argc, char **argv)
{
	int in, out;

	scenario_begin(argc, argv);
	make_overlay();
	int open_fd = open("merged/deep/open", O_RDONLY | O_CLOEXEC);
	int linked_fd = open("merged/deep/linked", O_RDONLY | O_CLOEXEC);
	int bound_fd = open("bound/mapped", O_RDONLY | O_CLOEXEC);
	const char *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, bound_fd, 0);
	need(open_fd >= 0 && linked_fd >= 0 && bound_fd >= 0 && mapped != MAP_FAILED, "open");
	pid_t cat = run_cat(&in, &out);
	need(answers(in, out), "cat");
	need(!unlink("merged/deep/open") && !unlink("merged/deep/linked") &&
		     !unlink("merged/deep/mapped") && !unlink("merged/deep/cat"),
	     "unlink");
	copy_program("/bin/true", "merged/deep/cat");

	scenario_ready();

	check_open(open_fd, "was open", "/merged/deep/open (deleted)");
	check_open(linked_fd, "was linked", "/merged/deep/linked (deleted)");
	check_open(bound_fd, "was mapped", "/bound/mapped (deleted)");
	scenario_check(strcmp(mapped, "was mapped") == 0, "what is mapped is \"%s\"", mapped);
	scenario_check(answers(in, out), "the program does not run");
	scenario_check(access("merged/deep/open", F_OK) < 0 && errno == ENOENT,
		       "what was removed is there");
	scenario_check(access("merged/link", F_OK) == 0, "another link is gone");
	close(in);
	scenario_reap(cat);
	return scenario_end();
}
