// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls whose maker the kernel remembers: process, ids and groups of who called connect, listen or
 * socketpair are what the other side is told of its peer (SO_PEERCRED, SO_PEERGROUPS,
 * SO_PEERPIDFD), for good. So a process of the tree makes its own, while its program waits
 * (task_call), with the ids that are recorded, whatever its own are by then; for one that is gone a
 * child with the same numbers does so and ends. Where neither can be had (the number is somebody
 * else's by now, or the process shares its descriptors with others) nestor makes the call with the
 * recorded ids, and only the process is lost: a warning says so.
 */
#include "kinds/sockets/unix.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/deputy.h"
#include "kernel/syscalls.h"
#include "kinds/sockets/socket.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- By nestor ---- */

static void close_pairs(const struct unix_request *request)
{
	int failure = errno;

	for (size_t i = 0; i < request->n_pairs; i++)
		for (int j = 0; j < 2; j++)
			if (request->pairs[i][j] >= 0)
				close(request->pairs[i][j]);
	errno = failure;
}

static int make_pairs(struct unix_request *request)
{
	for (size_t i = 0; i < request->n_pairs; i++)
		if (socketpair(AF_UNIX, request->type | SOCK_CLOEXEC, 0, request->pairs[i]) < 0) {
			request->n_pairs = i;
			close_pairs(request);
			return -1;
		}
	return 0;
}

static int call_there(void *argument)
{
	struct unix_request *request = argument;

	switch (request->call) {
	case UNIX_CALL_PAIRS:
		return make_pairs(request);
	case UNIX_CALL_LISTEN:
		return listen(request->fd, request->backlog);
	case UNIX_CALL_CONNECT:
		return connect(request->fd, (struct sockaddr *)&request->address, request->length);
	case UNIX_CALL_SEND:
		return request->send(request->data);
	}
	return -1;
}

static bool are_ours(const PeerCredentialsEntry *who)
{
	return !who || (who->uid == geteuid() && who->gid == getegid() && !who->n_groups);
}

static int call_aside(const PeerCredentialsEntry *who, int net, struct unix_request *request)
{
	struct aside aside = ASIDE_HERE;

	aside.net_namespace = net;
	if (are_ours(who))
		return net < 0 ? call_there(request) : aside_run(&aside, call_there, request);
	aside.has_ids = true;
	aside.uid = who->uid;
	aside.gid = who->gid;
	aside.groups = who->groups;
	aside.n_groups = who->n_groups;
	return aside_run(&aside, call_there, request);
}

/* ---- By a process of the tree ---- */

struct by_task {
	const struct file_opener *opener;
	const struct task *task;
	const struct caller *caller;
	int pidfd;
	struct error *err;
};

/* The result as system calls of the C library have it; err is set where it was not made. */
static int remote(const struct by_task *by, uint32_t nr, uint64_t a, uint64_t b, uint64_t c,
		  uint64_t d)
{
	struct task_request request = { .nr = nr, .args = { a, b, c, d } };

	if (task_call(by->opener, by->task, &request, by->err) < 0)
		return -1;
	if (request.result >= 0)
		return (int)request.result;
	errno = (int)-request.result;
	return -1;
}

/* None of them may fail. */
static int remote_all(const struct by_task *by, struct task_request *requests, size_t count)
{
	if (task_calls(by->opener, by->task, requests, count, by->err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (requests[i].result < 0) {
			errno = (int)-requests[i].result;
			return -1;
		}
	return 0;
}

static int give(const struct by_task *by, int fd)
{
	return remote(by, SYS_pidfd_getfd, by->caller->coordinator, (uint64_t)fd, 0, 0);
}

static int remote_groups(const struct by_task *by, const gid_t *groups, size_t count)
{
	if (count)
		memcpy((void *)(uintptr_t)by->caller->room, groups, count * sizeof *groups);
	return remote(by, SYS_setgroups, count, by->caller->room, 0, 0);
}

/* As in aside.c: file accesses stay root's. */
static int take_ids(const struct by_task *by, const PeerCredentialsEntry *who)
{
	if (are_ours(who))
		return 0;
	if (remote_groups(by, who->groups, who->n_groups) < 0 ||
	    remote(by, SYS_setresgid, UINT64_MAX, who->gid, UINT64_MAX, 0) < 0 ||
	    remote(by, SYS_setresuid, UINT64_MAX, who->uid, UINT64_MAX, 0) < 0)
		return -1;
	return remote(by, SYS_setfsuid, geteuid(), 0, 0, 0) < 0 ||
			       remote(by, SYS_setfsgid, getegid(), 0, 0, 0) < 0
		       ? -1
		       : 0;
}

static int take_own_ids(const struct by_task *by, const PeerCredentialsEntry *who)
{
	gid_t groups[UNIX_MOST_OWN_GROUPS];

	if (are_ours(who))
		return 0;
	int count = getgroups(UNIX_MOST_OWN_GROUPS, groups);
	if (remote(by, SYS_setresuid, UINT64_MAX, geteuid(), UINT64_MAX, 0) < 0 ||
	    remote(by, SYS_setresgid, UINT64_MAX, getegid(), UINT64_MAX, 0) < 0)
		return -1;
	return count < 0 ? -1 : remote_groups(by, groups, (size_t)count);
}

/* A socket is of the network namespace of who makes it. */
static int enter_net(const struct by_task *by, int net)
{
	int number = give(by, net);

	if (number < 0)
		return -1;
	int result = remote(by, SYS_setns, (uint64_t)number, CLONE_NEWNET, 0, 0);
	int failure = errno;
	if (remote(by, SYS_close, (uint64_t)number, 0, 0, 0) < 0)
		return -1;
	errno = failure;
	return result < 0 ? -1 : 0;
}

/* Most often they follow each other: each range takes one call. */
static int close_there(const struct by_task *by, const int *numbers, size_t count)
{
	struct task_request requests[2 * UNIX_MOST_PAIRS];
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		const uint64_t number = (uint64_t)numbers[i];

		if (n && number == requests[n - 1].args[1] + 1)
			requests[n - 1].args[1] = number;
		else
			requests[n++] =
				(struct task_request){ SYS_close_range, { number, number }, 0 };
	}
	return remote_all(by, requests, n);
}

static int remote_pairs(const struct by_task *by, struct unix_request *request)
{
	int numbers[2 * UNIX_MOST_PAIRS];
	struct task_request requests[UNIX_MOST_PAIRS];
	const size_t count = request->n_pairs;

	for (size_t i = 0; i < count; i++)
		requests[i] =
			(struct task_request){ SYS_socketpair,
					       { AF_UNIX, (uint64_t)(request->type | SOCK_CLOEXEC),
						 0,
						 by->caller->room + i * sizeof request->pairs[i] },
					       0 };
	if (remote_all(by, requests, count) < 0)
		return -1;
	memcpy(numbers, (const void *)(uintptr_t)by->caller->room, count * sizeof *request->pairs);
	for (size_t i = 0; i < count; i++)
		for (int j = 0; j < 2; j++)
			request->pairs[i][j] =
				kernel_pidfd_getfd(by->pidfd, numbers[2 * i + (size_t)j], 0);
	for (size_t i = 0; i < count; i++)
		if (request->pairs[i][0] < 0 || request->pairs[i][1] < 0) {
			close_pairs(request);
			return -1;
		}
	if (close_there(by, numbers, 2 * count) == 0)
		return 0;
	close_pairs(request);
	return -1;
}

/* Numbers of descriptors in the task; -1: none. */
struct given {
	int fd, name;
};

/*
 * Before it takes other ids: without capabilities it has no right to take anything from nestor,
 * which is not dumpable once it has taken ids itself (commit_creds).
 */
static int give_request(const struct by_task *by, const struct unix_request *request,
			struct given *ret_given)
{
	*ret_given = (struct given){ -1, -1 };
	if (request->call == UNIX_CALL_PAIRS)
		return 0;
	ret_given->fd = give(by, request->fd);
	if (ret_given->fd < 0 || request->call != UNIX_CALL_CONNECT || request->name_fd < 0)
		return ret_given->fd < 0 ? -1 : 0;
	ret_given->name = give(by, request->name_fd);
	return ret_given->name < 0 ? -1 : 0;
}

static int take_back(const struct by_task *by, const struct given *given)
{
	if (given->name >= 0 && remote(by, SYS_close, (uint64_t)given->name, 0, 0, 0) < 0)
		return -1;
	return given->fd < 0 ? 0 : remote(by, SYS_close, (uint64_t)given->fd, 0, 0, 0);
}

static int remote_connect(const struct by_task *by, const struct unix_request *request,
			  const struct given *given)
{
	struct sockaddr_un *address = (struct sockaddr_un *)(uintptr_t)by->caller->room;

	*address = request->address;
	if (given->name >= 0)
		snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d",
			 given->name);
	return remote(by, SYS_connect, (uint64_t)given->fd, by->caller->room, request->length, 0);
}

static int remote_request(const struct by_task *by, struct unix_request *request,
			  const struct given *given)
{
	switch (request->call) {
	case UNIX_CALL_PAIRS:
		return remote_pairs(by, request);
	case UNIX_CALL_LISTEN:
		return remote(by, SYS_listen, (uint64_t)given->fd, (uint64_t)request->backlog, 0,
			      0);
	default:
		return remote_connect(by, request, given);
	}
}

static int open_net(int proc_pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/net", proc_pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* 1, 0, or -1 with errno. */
static int are_same(int one, int other)
{
	struct stat a, b;

	return fstat(one, &a) || fstat(other, &b) ? -1 : a.st_ino == b.st_ino;
}

static void forget_maker(struct unix_maker *maker)
{
	const int fds[] = { maker->pidfd, maker->own_net, maker->our_net };

	for (size_t i = 0; maker->task && i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	maker->task = NULL;
}

void unix_calls_end(struct unix_world *world)
{
	forget_maker(&world->maker);
}

/* Most makers of pairs make many. */
static int find_maker(struct unix_maker *maker, const struct by_task *by)
{
	pid_t pid = by->opener->pids[by->task->index];

	if (maker->task == by->task)
		return 0;
	forget_maker(maker);
	*maker = (struct unix_maker){ .task = by->task,
				      .pidfd = kernel_pidfd_open(pid, 0),
				      .own_net = open_net(pid),
				      .our_net = open_net(getpid()) };
	return maker->pidfd < 0 || maker->own_net < 0 || maker->our_net < 0 ? -1 : 0;
}

/*
 * Where nestor has no rights in its own network namespace nobody comes back to it. Who is to end
 * elsewhere can stay: it enters what it is to be in later.
 */
static int leave_net(struct unix_maker *maker, const struct by_task *by)
{
	if (enter_net(by, maker->own_net) == 0)
		return 0;
	if (errno != EPERM || !task_first_namespace(by->opener->snapshot, by->task, NAMESPACE_NET))
		return -1;
	forget_maker(maker);
	return 0;
}

static int call_by_task(struct unix_maker *maker, struct by_task *by,
			const PeerCredentialsEntry *who, int net, struct unix_request *request)
{
	bool makes = request->call == UNIX_CALL_PAIRS;

	if (makes && find_maker(maker, by) < 0)
		return -1;
	by->pidfd = maker->pidfd;
	int wanted = net < 0 ? maker->our_net : net;
	int same = makes ? are_same(maker->own_net, wanted) : 1;
	bool enters = !same;
	struct given given;
	if (same < 0 || give_request(by, request, &given) < 0 ||
	    (enters && enter_net(by, wanted) < 0) || take_ids(by, who) < 0)
		return -1;
	int result = remote_request(by, request, &given);
	int failure = errno;
	if (take_own_ids(by, who) < 0 || take_back(by, &given) < 0 ||
	    (enters && leave_net(maker, by) < 0))
		return -1;
	errno = failure;
	return result;
}

/* ---- By one that is gone ---- */

enum { PAUSE_MICROSECONDS = 5000 };

struct absence {
	const PeerCredentialsEntry *who;
	int net, pid_namespace; /* -1: ours */
	/* In shared memory: */
	struct unix_request request;
	int result, failure;
	bool made;
};

static void be_absent(struct absence *absence)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	absence->made = true;
	absence->result = call_aside(absence->who, absence->net, &absence->request);
	absence->failure = errno;
	_exit(0);
}

/* In a deputy, whose descriptors are nestor's. */
static int make_absent(void *data, struct error *err)
{
	struct absence *absence = *(struct absence **)data;
	const PeerCredentialsEntry *who = absence->who;
	uint32_t numbers[MAX_PID_LEVELS];
	struct clone_args args = { .flags = CLONE_FILES,
				   .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)numbers,
				   .set_tid_size = who->n_pid };

	(void)err;
	for (size_t i = 0; i < who->n_pid; i++)
		numbers[i] = who->pid[who->n_pid - 1 - i];
	if (absence->pid_namespace >= 0 && setns(absence->pid_namespace, CLONE_NEWPID) < 0) {
		absence->failure = errno;
		return 0;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		be_absent(absence);
	if (pid < 0)
		absence->failure = errno;
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* -1 where it is ours, -2 where it cannot be opened. */
static int open_pid_namespace(const struct file_opener *opener, const struct task *member,
			      size_t levels)
{
	char path[64];

	if (!member || task_is_zombie(member) || task_pids(member).levels != levels) {
		errno = EINVAL;
		return -2;
	}
	if (!member->pid_namespace->level && !opener->snapshot->own_pid_namespace &&
	    opener->level_0 == getpid())
		return -1;
	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)opener->pids[member->index]);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -2 : fd;
}

/* Returns 1 where there can be no such process. */
static int call_by_absent(struct unix_world *world, const PeerCredentialsEntry *who, int net,
			  struct unix_request *request, struct error *err)
{
	int namespace_fd = open_pid_namespace(world->opener, table_find(&world->tasks, who->beside),
					      who->n_pid);
	struct absence *absence = namespace_fd == -2 ? NULL : deputy_memory(sizeof *absence);

	if (!absence)
		return 1;
	*absence = (struct absence){
		.who = who, .net = net, .pid_namespace = namespace_fd, .request = *request
	};
	int result = deputy_run_apart(make_absent, &absence, err);
	/* For the moment a process of nestor's own may have the number. */
	while (result == 0 && !absence->made && absence->failure == EEXIST && world->patience > 0) {
		world->patience--;
		usleep(PAUSE_MICROSECONDS);
		result = deputy_run_apart(make_absent, &absence, err);
	}
	if (namespace_fd >= 0)
		close(namespace_fd);
	if (result == 0) {
		*request = absence->request;
		errno = absence->failure;
		result = absence->made ? absence->result : 1;
	}
	deputy_memory_free(absence, sizeof *absence);
	return result;
}

/* ---- Whoever it is ---- */

static const struct task *task_of(const struct unix_world *world, const PeerCredentialsEntry *who)
{
	return table_find(&world->tasks, who->pid[0]);
}

size_t unix_pairs_at_once(const struct unix_world *world, const PeerCredentialsEntry *who)
{
	const struct task *task =
		who && who->n_pid && !who->has_beside ? task_of(world, who) : NULL;
	const struct caller *caller = task ? task_caller(world->opener, task) : NULL;
	const size_t most = caller ? caller->at_once : UNIX_FEW_PAIRS;

	return most < UNIX_MOST_PAIRS ? most : UNIX_MOST_PAIRS;
}

int unix_call_as(struct unix_world *world, const PeerCredentialsEntry *who, int net,
		 struct unix_request *request, struct error *err)
{
	const struct file_opener *opener = world->opener;

	if (who && who->n_pid && !who->has_beside && request->call != UNIX_CALL_SEND) {
		struct by_task by = { .opener = opener, .task = task_of(world, who), .err = err };
		by.caller = by.task ? task_caller(opener, by.task) : NULL;
		if (by.caller)
			return call_by_task(&world->maker, &by, who, net, request);
	}
	if (who && who->n_pid && who->has_beside && opener->pids) {
		int result = call_by_absent(world, who, net, request, err);
		if (result <= 0 || errno_tells_nothing(errno))
			return result <= 0 ? result : -1;
	}
	if (who && who->n_pid)
		log_warning("restore", "unix sockets",
			    "pid %u, of which a peer is told, cannot be had here: %s", who->pid[0],
			    strerror(errno));
	return call_aside(who, net, request);
}

/* ---- The plan ---- */

struct named_peers {
	bool is_made;
	/* Of those that have to make calls, by their number at level 0: how many sockets say so. */
	struct table counts;
	size_t room;
};

static void note(struct plan *plan, struct named_peers *peers, PeerCredentialsEntry *who)
{
	uint32_t *count;
	size_t wanted;

	if (!who || !who->n_pid || who->has_beside)
		return;
	wanted = who->n_groups * sizeof(gid_t);
	peers->room = wanted > peers->room ? wanted : peers->room;
	count = table_find(&peers->counts, who->pid[0]);
	if (!count) {
		count = arena_new(plan->arena, uint32_t);
		table_add(&peers->counts, plan->arena, who->pid[0], count);
	}
	++*count;
}

struct call_room unix_calls(struct plan *plan, const struct task *task)
{
	static const char key;
	struct named_peers *peers = plan_kind_state(plan, &key, sizeof *peers);
	const struct snapshot *snapshot = plan->snapshot;

	if (!peers->is_made) {
		peers->is_made = true;
		/* More than the numbers of the most pairs. */
		peers->room = sizeof(struct sockaddr_un) + UNIX_MOST_OWN_GROUPS * sizeof(gid_t);
		for (size_t i = 0; i < snapshot->n_files; i++)
			if (snapshot->files[i]->type == FD_TYPES__UNIXSK) {
				note(plan, peers, snapshot->files[i]->usk->peer_credentials);
				note(plan, peers, snapshot->files[i]->usk->own_credentials);
			}
	}
	const uint32_t *count = table_find(&peers->counts, task_pids(task).pid[0]);
	/* A pair is two that say so. */
	return count ? (struct call_room){ .bytes = peers->room, .at_once = *count / 2 }
		     : (struct call_room){ 0 };
}
