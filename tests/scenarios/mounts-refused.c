// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-refused
 * promise: a tree with a mount that cannot be made again is refused by name, and goes on:
 *	an autofs whose daemon is nowhere, or that has a directory in it and a daemon that
 *	shares its descriptors with somebody else, an overlay of relative layers of nowhere,
 *	a process (pidfs), an unbindable
 *	mount in others that are attached nowhere, just the file of a unix socket that is bound in
 *	the same namespace, a named pipe of the host that was removed, a file that has another
 *	name, one that is large, a map pinned in bpf, what shares mounts with nestor's namespace,
 *	a FUSE, also one that only somebody else may enter, an overlay whose index has files, or
 *	is for NFS, of layers in memory, a directory in /proc of a process that is gone,
 *	a root below a mount over it, from which other mounts are seen
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: autofs directory overlay process unbindable socket
 *	fifo named large pinned sharing fuse foreign indexed exported gone below
 * refused: unsupported-mount
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *what;

/* Nobody in the tree reads who is to mount something there. */
static int mount_autofs(void)
{
	char options[96];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	snprintf(options, sizeof options, "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", ends[1],
		 (int)getpgrp());
	int result = mount("auto", "place", "autofs", 0, options);
	close(ends[0]);
	close(ends[1]);
	return result;
}

static int share_descriptors(void)
{
	long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0) {
		setpgid(0, 0);
		scenario_mark("apart");
		scenario_wait_restored();
		_exit(0);
	}
	scenario_wait_mark("apart");
	return pid < 0 ? -1 : 0;
}

/* What is in it is for its daemon alone to make, who leaves its descriptors to another one. */
static int mount_with_directory(void)
{
	char options[96];
	int ends[2];

	if (setpgid(0, 0) || pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	snprintf(options, sizeof options, "fd=%d,pgrp=%d,minproto=5,maxproto=5,indirect", ends[1],
		 (int)getpgrp());
	return mount("auto", "place", "autofs", 0, options) || mkdir("place/inside", 0755) ||
			       mkdir("place/other", 0755) || share_descriptors()
		       ? -1
		       : 0;
}

/* From which directory its layers are named is not to be found from where it is mounted. */
static int mount_overlay(void)
{
	return mkdir("from", 0755) || chdir("from") || mkdir("lower", 0755) ||
			       mkdir("upper", 0755) || mkdir("work", 0755) ||
			       mount("none", "../place", "overlay", 0,
				     "lowerdir=lower,upperdir=upper,workdir=work")
		       ? -1
		       : chdir("..");
}

/* What is in the index is named after handles of files in a lower layer. */
static int mount_with_index(const char *option)
{
	char here[1024], options[4096];
	int fd;

	if (!getcwd(here, sizeof here))
		return -1;
	snprintf(options, sizeof options,
		 "lowerdir=%s/in/lower,upperdir=%s/in/upper,workdir=%s/in/work,%s", here, here,
		 here, option);
	if (mkdir("in", 0755) || mount("in", "in", "tmpfs", 0, NULL) || chdir("in") ||
	    mkdir("lower", 0755) || mkdir("upper", 0755) || mkdir("work", 0755) ||
	    (fd = open("lower/one", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) < 0 || close(fd) ||
	    link("lower/one", "lower/two") || mount("none", "../place", "overlay", 0, options) ||
	    chmod("../place/one", 0644))
		return -1;
	return chdir("..");
}

static int mount_of_gone(void)
{
	char path[64], number[16] = "";

	if (mount("proc", "place", "proc", 0, NULL) || mkdir("other", 0755))
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		/* As that /proc has it. */
		_exit(readlink("place/self", number, sizeof number - 1) > 0 &&
				      snprintf(path, sizeof path, "place/%s/ns", number) > 0 &&
				      mount(path, "other", NULL, MS_BIND, NULL) == 0
			      ? 0
			      : 1);
	}
	int status = 1;
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

/* A copy of the mount that a pidfd is on, which is taken since 6.15. */
static int mount_process(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0), place;
	int copy = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (copy < 0)
		return mount_autofs();
	if (rmdir("place") || (place = open("place", O_CREAT | O_RDWR | O_CLOEXEC, 0600)) < 0)
		return -1;
	int result = move_mount(copy, "", AT_FDCWD, "place", MOVE_MOUNT_F_EMPTY_PATH);
	close(place);
	close(copy);
	close(fd);
	return result;
}

/* Held by a descriptor; one can be put into another since 6.15. */
static int hold_unbindable(void)
{
	struct mount_attr unbindable = { .propagation = MS_UNBINDABLE };

	if (mount("none", "place", "tmpfs", 0, NULL) || mkdir("place/folder", 0755) ||
	    mkdir("place/folder/child", 0755))
		return -1;
	int fd = open_tree(AT_FDCWD, "place", OPEN_TREE_CLONE);
	int child = open_tree(AT_FDCWD, "place", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (syscall(SYS_mount_setattr, child, "", AT_EMPTY_PATH, &unbindable, sizeof unbindable) ||
	    move_mount(child, "", fd, "folder/child", MOVE_MOUNT_F_EMPTY_PATH))
		return mkdir("place/place", 0755) || chdir("place") ? -1 : mount_autofs();
	close(child);
	return 0;
}

/* Who serves it is gone. */
static int mount_fuse(void)
{
	char options[96];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENXIO || errno == ENODEV ? mount_autofs() : -1;
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%d,group_id=0", fd,
		 strcmp(what, "foreign") == 0 ? 4711 : 0);
	int result = mount("served", "place", "fuse.served", 0, options);
	close(fd);
	return result;
}

static int mount_socket(void)
{
	struct sockaddr_un address = { AF_UNIX, "socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), place;

	if (rmdir("place") || (place = open("place", O_CREAT | O_RDWR | O_CLOEXEC, 0600)) < 0)
		return -1;
	close(place);
	return bind(fd, (const struct sockaddr *)&address, sizeof address) || listen(fd, 1)
		       ? -1
		       : mount("socket", "place", NULL, MS_BIND, NULL);
}

/* On a file system that others have too. */
static int mount_removed(mode_t type)
{
	if (rmdir("place") || mknod("place", S_IFREG | 0600, 0) || mknod("gone", type | 0600, 0) ||
	    mount("gone", "place", NULL, MS_BIND, NULL))
		return -1;
	if (strcmp(what, "named") == 0 && link("gone", "name"))
		return -1;
	int fd = open("gone", O_RDWR | O_CLOEXEC);
	if (fd < 0 || (strcmp(what, "large") == 0 && posix_fallocate(fd, 0, 4 << 20)))
		return -1;
	close(fd);
	return unlink("gone");
}

/* A map that nothing but its name holds. */
static int pin(void)
{
	union bpf_attr attributes = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 4,
		.max_entries = 1,
	};
	int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);

	if (fd < 0 || mount("none", "place", "bpf", 0, NULL))
		return -1;
	attributes = (union bpf_attr){
		.pathname = (uint64_t)(uintptr_t) "place/map",
		.bpf_fd = (uint32_t)fd,
	};
	int result = (int)syscall(SYS_bpf, BPF_OBJ_PIN, &attributes, sizeof attributes);
	close(fd);
	return result;
}

/* What is bound there has none of the mounts below. */
static int cover_root(void)
{
	return mkdir("place/under", 0755) || mount("none", "place/under", "tmpfs", 0, NULL) ||
			       mount("/", "place", NULL, MS_BIND, NULL) ||
			       mount("place", "/", NULL, MS_MOVE, NULL)
		       ? -1
		       : 0;
}

static int inside(void *unused)
{
	(void)unused;
	bool sharing = strcmp(what, "sharing") == 0;
	scenario_need(sharing || (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
				  mkdir("place", 0755) == 0),
		      "private: %s", strerror(errno));
	int result = strcmp(what, "autofs") == 0       ? mount_autofs()
		     : strcmp(what, "directory") == 0  ? mount_with_directory()
		     : strcmp(what, "process") == 0    ? mount_process()
		     : strcmp(what, "unbindable") == 0 ? hold_unbindable()
		     : strcmp(what, "socket") == 0     ? mount_socket()
		     : strcmp(what, "pinned") == 0     ? pin()
		     : sharing			       ? 0
		     : strcmp(what, "fifo") == 0       ? mount_removed(S_IFIFO)
		     : strcmp(what, "named") == 0      ? mount_removed(S_IFREG)
		     : strcmp(what, "large") == 0      ? mount_removed(S_IFREG)
		     : strcmp(what, "fuse") == 0       ? mount_fuse()
		     : strcmp(what, "foreign") == 0    ? mount_fuse()
		     : strcmp(what, "gone") == 0       ? mount_of_gone()
		     : strcmp(what, "below") == 0      ? cover_root()
		     : strcmp(what, "indexed") == 0    ? mount_with_index("index=on")
		     : strcmp(what, "exported") == 0   ? mount_with_index("nfs_export=on,index=on")
						       : mount_overlay();
	scenario_need(result == 0, "%s: %s", what, strerror(errno));
	scenario_mark("inside");
	scenario_wait_restored();
	if (strcmp(what, "below") == 0)
		scenario_check(umount2("place/under", MNT_DETACH) == 0, "what is below is gone: %s",
			       strerror(errno));
	else
		scenario_check(umount2("place", MNT_DETACH) == 0, "it is not there: %s",
			       strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	what = argc == 3 ? argv[2] : "overlay";
	/* Here, where nestor is. */
	if (strcmp(what, "sharing") == 0)
		scenario_need(mkdir("place", 0755) == 0 &&
				      mount("none", "place", "tmpfs", 0, NULL) == 0 &&
				      mount(NULL, "place", NULL, MS_SHARED, NULL) == 0,
			      "sharing: %s", strerror(errno));
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	if (strcmp(what, "sharing") == 0)
		scenario_check(umount2("place", MNT_DETACH) == 0, "umount: %s", strerror(errno));
	return scenario_end();
}
