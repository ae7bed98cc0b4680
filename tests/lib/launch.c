// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * scenario-launch [-u|-s] DEPTH PROGRAM [ARGUMENT...]: runs a program below DEPTH nested pid
 * namespaces, with -u each of them owned by a user namespace of its own, nested likewise; with -s
 * the first of these does not know our root, as those of containers do not. Each namespace gets an
 * init that leads a session, forks the next and reaps until its child is gone, then leaves with the
 * child's status; the program itself is an ordinary task (pid 2) of the innermost one. With depth 0
 * the program takes this process's place, or, with -u, is alone in a user namespace. The pid of the
 * first init (or of the program) is written to the file named by SCENARIO_ROOT_FILE: the dump's
 * root.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_root(const char *path, pid_t pid)
{
	char temporary[1100];

	snprintf(temporary, sizeof temporary, "%s.new", path);
	FILE *file = fopen(temporary, "we");
	if (!file || fprintf(file, "%d\n", (int)pid) < 0 || fclose(file) ||
	    rename(temporary, path)) {
		fprintf(stderr, "scenario-launch: cannot write %s: %s\n", path, strerror(errno));
		exit(2);
	}
}

/* Inits hold nothing of the runner's: its pipes would be part of the tree. */
static void become_init(void)
{
	setsid();
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	syscall(SYS_close_range, 3, ~0U, 0);
}

/*
 * The maps of a new user namespace, by its level. Root is root at all of them, so that programs
 * find their files as ever; all other ids are moved, differently at each level below the first.
 */
static const struct {
	const char *uids, *gids;
} maps[] = {
	{ "0 0 1\n1 1 4294967294", "0 0 1\n1 1 4294967294" },
	{ "0 0 1\n1 100001 200000", "0 0 1\n1 300001 200000" },
	{ "0 0 1\n1 1001 100000\n150000 150000 1000", "0 0 1\n1 2001 100000" },
};

static const char shifted[] = "0 100000 65536";

/* OWN_USERS: of an ordinary user, who maps nobody else. */
enum users { NO_USERS, MAPPED_USERS, SHIFTED_USERS, OWN_USERS };

/* The only child, as the /proc that we have names it: that of the runner's pid namespace. */
static int only_child(void)
{
	FILE *file = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	if (!file || fscanf(file, "%d", &pid) != 1) {
		fprintf(stderr, "scenario-launch: no child in /proc\n");
		exit(2);
	}
	fclose(file);
	return pid;
}

static void write_map(int pid, const char *name, const char *map)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, map, strlen(map)) < 0) {
		fprintf(stderr, "scenario-launch: cannot write %s: %s\n", path, strerror(errno));
		exit(2);
	}
	close(fd);
}

/* What an ordinary user may write: a line for the own id, and for groups only without setgroups. */
static void write_own_maps(int pid)
{
	char map[32];

	snprintf(map, sizeof map, "0 %u 1", geteuid());
	write_map(pid, "uid_map", map);
	if (geteuid())
		write_map(pid, "setgroups", "deny");
	snprintf(map, sizeof map, "0 %u 1", getegid());
	write_map(pid, "gid_map", map);
}

static void write_maps(int level, enum users users)
{
	int pid = only_child();

	if (users == OWN_USERS) {
		write_own_maps(pid);
		return;
	}
	bool moves = users == SHIFTED_USERS && level == 0;
	write_map(pid, "uid_map", moves ? shifted : maps[level].uids);
	write_map(pid, "gid_map", moves ? shifted : maps[level].gids);
}

static void become_root(void)
{
	if (setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
		_exit(2);
}

static int reap_until(pid_t child)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (pid < 0 && errno != EINTR)
			return 2;
	}
}

static pid_t fork_into(unsigned long long flags)
{
	struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof args);

	if (pid < 0) {
		fprintf(stderr, "scenario-launch: clone3: %s\n", strerror(errno));
		exit(2);
	}
	return (pid_t)pid;
}

/*
 * The child goes on once it is mapped: before, it is nobody. And once the pipe is gone here: who
 * looks at the tree when the program is ready finds no descriptor of ours.
 */
static pid_t fork_user(unsigned long long flags, int level, enum users users)
{
	char done = 1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		exit(2);
	pid_t pid = fork_into(flags | CLONE_NEWUSER);
	if (pid == 0) {
		close(ends[1]);
		if (read(ends[0], &done, 1) != 1 || read(ends[0], &done, 1) != 0)
			_exit(2);
		if (users == SHIFTED_USERS)
			become_root();
	} else {
		write_maps(level, users);
		close(ends[0]);
		if (write(ends[1], &done, 1) != 1)
			exit(2);
	}
	close(ends[!pid ? 0 : 1]);
	return pid;
}

int main(int argc, char **argv)
{
	const char *root_file = getenv("SCENARIO_ROOT_FILE");
	enum users users = argc < 2			? NO_USERS
			   : strcmp(argv[1], "-u") == 0 ? MAPPED_USERS
			   : strcmp(argv[1], "-s") == 0 ? SHIFTED_USERS
							: NO_USERS;

	argv += users != NO_USERS;
	argc -= users != NO_USERS;
	if (users != NO_USERS && geteuid())
		users = OWN_USERS;
	int depth = argc < 3 ? -1 : atoi(argv[1]);
	if (!root_file || depth < 0 || (users && (size_t)depth > sizeof maps / sizeof *maps)) {
		fprintf(stderr,
			"usage: SCENARIO_ROOT_FILE=F scenario-launch [-u|-s] DEPTH PROGRAM ...\n");
		return 2;
	}
	/* A shell ignores some for what runs in its background; scenarios die of them. */
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	for (int level = 0; level < depth; level++) {
		pid_t pid = users ? fork_user(CLONE_NEWPID, level, users) : fork_into(CLONE_NEWPID);
		if (pid > 0) {
			if (level == 0)
				write_root(root_file, pid);
			return reap_until(pid);
		}
		become_init();
	}
	if (depth == 0 && !users)
		write_root(root_file, getpid());
	pid_t program = depth ? fork_into(0) : users ? fork_user(0, 0, users) : 0;
	if (program > 0 && depth == 0)
		write_root(root_file, program);
	if (program > 0)
		return reap_until(program);
	execv(argv[2], argv + 2);
	fprintf(stderr, "scenario-launch: %s: %s\n", argv[2], strerror(errno));
	return 2;
}
