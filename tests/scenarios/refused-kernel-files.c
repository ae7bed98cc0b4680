// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-kernel-files
 * promise: files of the kernel's that cannot be made again are refused by name, and go on working:
 *	secret memory, links of BPF, listeners of seccomp; and those that go by the rights of who
 *	opened them: kernel addresses, also by
 *	another name, processes of a cgroup; and what is told of a descriptor, which is there last
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: secret link listener addresses members hidden descriptor located
 * refused: unsupported-file
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A program that lets every connection pass, attached to a network namespace of its own. */
static int make_link(void)
{
	const struct bpf_insn code[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
					 { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr attributes;

	own_network();
	int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	memset(&attributes, 0, sizeof attributes);
	attributes.prog_type = BPF_PROG_TYPE_SK_LOOKUP;
	attributes.expected_attach_type = BPF_SK_LOOKUP;
	attributes.insn_cnt = 2;
	attributes.insns = (uint64_t)(uintptr_t)code;
	attributes.license = (uint64_t)(uintptr_t) "GPL";
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
	scenario_need(net >= 0 && program >= 0, "no program: %s", strerror(errno));
	memset(&attributes, 0, sizeof attributes);
	attributes.link_create.prog_fd = (uint32_t)program;
	attributes.link_create.target_fd = (uint32_t)net;
	attributes.link_create.attach_type = BPF_SK_LOOKUP;
	int link = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof attributes);
	close(program);
	close(net);
	return link;
}

static int make_listener(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct sock_fprog program = { 1, &allow };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

/* Those of any cgroup that is mounted. */
static int open_members(void)
{
	char line[1024], path[300], type[32];
	FILE *in = fopen("/proc/self/mountinfo", "r");
	int fd = -1;

	while (in && fd < 0 && fgets(line, sizeof line, in)) {
		const char *dash = strstr(line, " - ");
		if (!dash || sscanf(dash + 3, "%31s", type) != 1 || strncmp(type, "cgroup", 6) ||
		    sscanf(line, "%*s %*s %*s %*s %255s", path) != 1)
			continue;
		strcat(path, "/cgroup.procs");
		fd = open(path, O_WRONLY | O_CLOEXEC);
	}
	if (in)
		fclose(in);
	return fd;
}

/* By a name that says nothing. */
static int open_hidden(void)
{
	close(open("innocent", O_WRONLY | O_CREAT, 0600));
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mount("/proc/kallsyms", "innocent", NULL, MS_BIND, NULL) == 0,
		      "no mount: %s", strerror(errno));
	return open("innocent", O_RDONLY | O_CLOEXEC);
}

static int make(const char *which)
{
	if (strcmp(which, "hidden") == 0)
		return open_hidden();
	if (strcmp(which, "secret") == 0)
		return (int)syscall(SYS_memfd_secret, 0);
	if (strcmp(which, "link") == 0)
		return make_link();
	if (strcmp(which, "listener") == 0)
		return make_listener();
	if (strcmp(which, "descriptor") == 0)
		return open("/proc/self/fdinfo/1", O_RDONLY | O_CLOEXEC);
	if (strcmp(which, "located") == 0)
		return open("/proc/self/fdinfo/1", O_PATH | O_CLOEXEC);
	return strcmp(which, "members") == 0 ? open_members()
					     : open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	struct stat before, after;

	scenario_begin(argc, argv);
	int fd = make(argv[2]);
	scenario_need(fd >= 0 && fstat(fd, &before) == 0, "no such file: %s", strerror(errno));

	scenario_ready();

	scenario_check(fstat(fd, &after) == 0 && before.st_ino == after.st_ino && close(fd) == 0,
		       "it is gone");
	return scenario_end();
}
