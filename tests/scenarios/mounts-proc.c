// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-proc
 * promise: each proc keeps its own options (subset, hidepid, gid), read-only ones too, and what
 *	they hide; a mount namespace without any comes back like others
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static const struct {
	const char *name, *options, *shown;
} procs[] = {
	{ "plain", NULL, "" },
	{ "limited", "subset=pid", "subset=pid" },
	{ "hidden", "hidepid=invisible,gid=0", "hidepid=invisible" },
	{ "traced", "hidepid=ptraceable,subset=pid", "hidepid=ptraceable,subset=pid" },
	{ "none", "hidepid=noaccess", "hidepid=noaccess" },
};
enum { PROCS = sizeof procs / sizeof *procs };

/* The options of what is mounted there, as mountinfo has them; "" where nothing is. */
static void read_options(const char *name, char options[256])
{
	char line[4096];
	FILE *file = fopen("plain/self/mountinfo", "re");

	*options = '\0';
	while (file && fgets(line, sizeof line, file)) {
		char *mountpoint = line;
		for (int i = 0; i < 4; i++)
			mountpoint = strchr(mountpoint, ' ') + 1;
		size_t length = strcspn(mountpoint, " ");
		const char *dash = strstr(line, " - ");
		if (length > strlen(name) && mountpoint[length - strlen(name) - 1] == '/' &&
		    strncmp(mountpoint + length - strlen(name), name, strlen(name)) == 0 && dash)
			snprintf(options, 256, "%s", dash + 3);
	}
	if (file)
		fclose(file);
}

static bool is_there(const char *name, const char *path)
{
	char text[64];

	snprintf(text, sizeof text, "%s/%s", name, path);
	return access(text, F_OK) == 0;
}

static void check_all(char before[PROCS][256])
{
	char options[256];

	for (size_t i = 0; i < PROCS; i++) {
		read_options(procs[i].name, options);
		scenario_check(strcmp(options, before[i]) == 0, "%s is \"%s\", not \"%s\"",
			       procs[i].name, options, before[i]);
		scenario_check(is_there(procs[i].name, "self/status") ==
				       (getpid() == 1 || is_there("plain", "self/status")),
			       "%s does not show this process", procs[i].name);
		scenario_check(is_there(procs[i].name, "uptime") ==
				       !strstr(procs[i].shown, "subset=pid"),
			       "%s shows another part", procs[i].name);
	}
	int fd = open("limited/self/comm", O_WRONLY | O_CLOEXEC);
	scenario_check(fd < 0 && errno == EROFS, "limited is writable");
}

static int with_options(void *unused)
{
	char before[PROCS][256];

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	for (size_t i = 0; i < PROCS; i++)
		need(mkdir(procs[i].name, 0755) == 0 &&
			     mount("proc", procs[i].name, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
				   procs[i].options) == 0,
		     procs[i].name);
	need(mount(NULL, "limited", NULL,
		   MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0,
	     "read-only");
	for (size_t i = 0; i < PROCS; i++) {
		read_options(procs[i].name, before[i]);
		scenario_need(*before[i] && strstr(before[i], procs[i].shown), "%s has \"%s\"",
			      procs[i].name, before[i]);
	}
	check_all(before);
	scenario_mark("with");
	scenario_wait_restored();
	check_all(before);
	return 0;
}

static int without(void *unused)
{
	struct stat stat_;

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("empty", 0755) == 0 &&
		     mount("content", "empty", "tmpfs", 0, NULL) == 0 &&
		     mknod("empty/file", S_IFREG | 0640, 0) == 0,
	     "content");
	need(mount("nothing", "/proc", "tmpfs", MS_RDONLY, NULL) == 0, "/proc");
	int fd = open("empty/file", O_RDWR | O_CLOEXEC);
	need(fd >= 0, "open");
	scenario_mark("without");
	scenario_wait_restored();
	scenario_check(access("/proc/self", F_OK) < 0, "there is a proc");
	scenario_check(stat("empty/file", &stat_) == 0 && stat_.st_mode == (S_IFREG | 0640) &&
			       write(fd, "x", 1) == 1,
		       "no content");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_in(CLONE_NEWNS | CLONE_NEWPID, with_options, NULL);
	pid_t other = scenario_child_in(CLONE_NEWNS, without, NULL);
	scenario_wait_mark("with");
	scenario_wait_mark("without");

	scenario_ready();

	scenario_reap(pid);
	scenario_reap(other);
	return scenario_end();
}
