// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nestor service: serves clients at a socket, each in a process of its own, so that what one does
 * touches no other. Only root and the service's own user are served.
 */
#include "base/cleanup.h"
#include "base/foreign.h"
#include "base/log.h"
#include "commands/command.h"
#include "compat/serve.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct service_arguments {
	struct common_arguments common;
	const char *address;
	const char *pidfile;
	bool daemon;
	uint64_t status_fd; /* UINT64_MAX: none */
};

#define ROW(member) offsetof(struct service_arguments, member)

static const struct option_row service_options[] = {
	{ 0, "address", OPTION_TEXT, ROW(address), "PATH", "the socket that clients connect to" },
	{ 0, "pidfile", OPTION_TEXT, ROW(pidfile), "FILE", "write the service's pid to FILE" },
	{ 0, "status-fd", OPTION_NUMBER, ROW(status_fd), "FD",
	  "write a byte of 0 to FD, and close it, once clients can connect" },
	{ 'd', "daemon", OPTION_FLAG, ROW(daemon), NULL, "go on in the background" },
	{ 0 },
};

enum { WAITING_CLIENTS = 16 };

/* The name of a socket that nobody listens at any more is taken over, and nothing else. */
static int remove_old(const struct sockaddr_un *address, struct error *err)
{
	struct stat status;
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (lstat(address->sun_path, &status) < 0)
		return 0;
	if (!S_ISSOCK(status.st_mode))
		return fail(err, ERR_IO, "%s is %s", address->sun_path,
			    file_type_name(status.st_mode));
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
		return fail(err, ERR_BUSY, "somebody serves at %s already", address->sun_path);
	if (unlink(address->sun_path) < 0)
		return fail_errno(err, ERR_IO, "cannot remove the old socket %s",
				  address->sun_path);
	return 0;
}

static int listen_at(const char *path, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof address.sun_path)
		return fail(err, ERR_USAGE, "--address: %s is too long for a socket", path);
	strcpy(address.sun_path, path);
	if (remove_old(&address, err))
		return -1;
	mode_t mask = umask(077);
	int bound = fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&address, sizeof address);
	umask(mask);
	if (bound < 0 || listen(fd, WAITING_CLIENTS) < 0)
		return fail_errno(err, ERR_IO, "cannot listen at %s", path);
	return take_fd(&fd);
}

static int write_pidfile(const char *name, struct error *err)
{
	autoclose int fd = foreign_create(AT_FDCWD, name, 0644, "the pid file", err);

	if (fd < 0)
		return -1;
	return dprintf(fd, "%d", (int)getpid()) < 0
		       ? fail_errno(err, ERR_IO, "cannot write the pid file %s", name)
		       : 0;
}

__attribute__((noreturn)) static void serve_in_child(int listening, int fd)
{
	struct error err = { 0 };

	close(listening);
	signal(SIGCHLD, SIG_DFL);
	_exit(serve_client(fd, NULL, &err) ? command_print_error(&err) : EXIT_DONE);
}

/* Children are not waited for: SIGCHLD is ignored. */
static int serve_all(int listening, struct error *err)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		autoclose int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return fail_errno(err, ERR_IO, "cannot take a connection");
		pid_t pid = fork();
		if (pid == 0)
			serve_in_child(listening, fd);
		if (pid < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork for a client");
	}
}

static int tell_ready(uint64_t number, struct error *err)
{
	int fd = number > INT32_MAX ? -1 : (int)number;

	if (write(fd, "", 1) != 1)
		return fail_errno(err, ERR_IO, "cannot write to --status-fd %" PRIu64, number);
	close(fd);
	return 0;
}

static int run_service(const struct service_arguments *arguments, struct error *err)
{
	if (!arguments->address) {
		fail(err, ERR_USAGE, "no socket given");
		return fail_hint(err, "give its path with --address");
	}
	autoclose int listening = listen_at(arguments->address, err);
	if (listening < 0)
		return -1;
	if (arguments->daemon && daemon(1, 0) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot go into the background");
	if (arguments->pidfile && write_pidfile(arguments->pidfile, err))
		return -1;
	if (arguments->status_fd != UINT64_MAX && tell_ready(arguments->status_fd, err))
		return -1;
	return serve_all(listening, err);
}

int command_service(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { service_options, common_options, NULL };
	struct service_arguments arguments = { .common.verbosity = LOG_WARNING,
					       .status_fd = UINT64_MAX };
	struct arena arena;
	struct error err = { 0 };
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, 0, &arguments, &arena, &first, &status))
		if (run_service(&arguments, &err))
			status = command_print_error(&err);
	arena_done(&arena);
	return status;
}
