// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Naming open files that no kind has. The kernel tells by the type of the inode, or, where there
 * is none (anon_inode), by the link: "anon_inode:[eventfd]", "pidfd:[12]", "mnt:[4026531841]".
 */
#include "collect/file-words.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "kinds/kind.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static bool is_userfaultfd(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:[userfaultfd]") == 0;
}

static const char *linked_object_in_words(const struct open_file *file)
{
	static const struct {
		const char *prefix, *words;
	} objects[] = {
		{ "anon_inode:[eventfd", "an eventfd" },
		{ "anon_inode:[eventpoll", "an epoll instance" },
		{ "anon_inode:[timerfd", "a timerfd" },
		{ "anon_inode:[signalfd", "a signalfd" },
		{ "anon_inode:inotify", "an inotify instance" },
		{ "anon_inode:[fanotify", "a fanotify group" },
		{ "anon_inode:[pidfd", "a pidfd" },
		{ "pidfd:", "a pidfd" },
		{ "anon_inode:[io_uring", "an io_uring instance" },
		{ "anon_inode:[perf_event", "a performance counter" },
		{ "anon_inode:kvm-vm", "a virtual machine (KVM)" },
		{ "anon_inode:kvm-vcpu", "a processor of a virtual machine (KVM)" },
		{ "anon_inode:bpf-map", "a BPF map" },
		{ "anon_inode:bpf-prog", "a BPF program" },
		{ "anon_inode:bpf_link", "a BPF link" },
		{ "/secretmem (deleted)", "secret memory (memfd_secret)" },
		{ "anon_inode:seccomp", "a seccomp listener" },
		/* All others are of a kind. */
		{ "/memfd:", "a memory file (memfd) with huge TLB pages" },
		{ "pipe:[", "a pipe opened with O_PATH" },
	};

	for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
		if (strncmp(file->link, objects[i].prefix, strlen(objects[i].prefix)) == 0)
			return objects[i].words;
	return NULL;
}

/* Its fdinfo counts those that have not been told of yet, and all (userfaultfd_show_fdinfo). */
static const char *userfaultfd_in_words(const struct open_file *file)
{
	const char *total = strstr(file->fdinfo, "total:");
	unsigned long waiting = total ? strtoul(total + strlen("total:"), NULL, 10) : 0;

	return waiting ? arena_printf(file->target->collect->arena,
				      "a userfaultfd that %lu page faults wait for", waiting)
		       : "a userfaultfd";
}

static const char *device_in_words(const struct open_file *file)
{
	unsigned number = major(file->stat.st_rdev);
	bool is_terminal = number == 4 || number == 5 || (number >= 136 && number <= 143);

	if (is_terminal)
		return "a terminal";
	return arena_printf(file->target->collect->arena, "a %s device (%u:%u)",
			    S_ISBLK(file->stat.st_mode) ? "block" : "character", number,
			    minor(file->stat.st_rdev));
}

static const char *socket_in_words(const struct open_file *file)
{
	static const struct {
		int family;
		const char *name;
	} families[] = {
		{ AF_VSOCK, "AF_VSOCK" }, { AF_ALG, "AF_ALG" },
		{ AF_CAN, "AF_CAN" },	  { AF_BLUETOOTH, "AF_BLUETOOTH" },
		{ AF_TIPC, "AF_TIPC" },	  { AF_XDP, "AF_XDP" },
		{ AF_RDS, "AF_RDS" },	  { AF_SMC, "AF_SMC" },
		{ AF_KCM, "AF_KCM" },
	};
	autoclose int fd = target_get_fd(file->target, file->number);
	int family = 0;
	socklen_t length = sizeof family;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) < 0)
		return "a socket";
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (families[i].family == family)
			return arena_printf(file->target->collect->arena, "a socket of %s",
					    families[i].name);
	return arena_printf(file->target->collect->arena, "a socket of family %d", family);
}

const char *file_in_words(const struct open_file *file)
{
	const char *words =
		is_userfaultfd(file) ? userfaultfd_in_words(file) : linked_object_in_words(file);

	if (words)
		return words;
	switch (file->stat.st_mode & S_IFMT) {
	case S_IFSOCK:
		return socket_in_words(file);
	case S_IFIFO:
		return "a named pipe";
	case S_IFCHR:
	case S_IFBLK:
		return device_in_words(file);
	case S_IFREG:
	case S_IFDIR:
		return "a file whose name means something else after a restore";
	default:
		return "of a kind that is not supported";
	}
}

const char *file_hint(const struct open_file *file)
{
	/* Of several nothing shows which memory is whose. */
	static const char serve_first[] =
		"let who serves its page faults give all pages, and close it first";

	return is_userfaultfd(file) ? serve_first : NULL;
}
