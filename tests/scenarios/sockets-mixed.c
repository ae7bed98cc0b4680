// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-mixed
 * promise: sockets of any kind, to which processes have done anything in any order, as drawn from
 *	a seed, are as they were, hold what they held, and go on as they do where nobody was dumped:
 *	all is done twice, and the first time without
 * flavours: flat three user-three
 * needs: initial-user-namespace
 * arguments: 1 2 3 4 5 6 7 8 9 10 11 12 21 36
 */
#include "own-network.h"
#include "socket-mixture.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { ROUNDS = 4, STEPS = 24, OPTIONS = 90, SETTLED_MS = 300 };

/* All processes take turns. */
static struct play {
	volatile int turn;
	pid_t pids[PROCESSES];
	bool is_gone[PROCESSES];
	struct seen seen[PROCESSES];
} * play, *rehearsed;

static int number; /* of this process */

/* ---- What a socket is like ---- */

/* By process, number and kind. */
static const char *of(int fd)
{
	const struct kind kind = kind_of(fd);
	static char text[64];

	snprintf(text, sizeof text, "%d.%d (%d %d %d)", number, fd, kind.family, kind.type,
		 kind.protocol);
	return text;
}

static const char *process_of(pid_t pid)
{
	static const char *const names[] = { "0", "1", "2" };

	for (int i = 0; pid > 0 && i < PROCESSES; i++)
		if (play->pids[i] == pid)
			return names[i];
	return pid == 0 ? "nobody" : pid == getppid() ? "parent" : "another";
}

static void add_address(struct text *text, const union address *at, socklen_t length, bool is_exact)
{
	char host[64] = "";

	if (length <= sizeof(sa_family_t)) {
		add(text, "none");
	} else if (at->any.sa_family == AF_UNIX) {
		size_t size = length - offsetof(struct sockaddr_un, sun_path);
		bool is_drawn = !at->un.sun_path[0] && size == 6;
		add(text, "%.*s%.*s", is_drawn && !is_exact ? 5 : 1,
		    at->un.sun_path[0] ? "" : "@drawn",
		    is_drawn && !is_exact ? 0 : (int)size - !at->un.sun_path[0],
		    at->un.sun_path + !at->un.sun_path[0]);
	} else if (at->any.sa_family == AF_INET || at->any.sa_family == AF_INET6) {
		int port = ntohs(at->four.sin_port);
		inet_ntop(at->any.sa_family,
			  at->any.sa_family == AF_INET ? (const void *)&at->four.sin_addr
						       : &at->six.sin6_addr,
			  host, sizeof host);
		add(text, "%s %d", host, is_exact || port < AUTO_PORTS ? port : -1);
	} else if (at->any.sa_family == AF_NETLINK) {
		add(text, "netlink %u %x",
		    is_exact || at->netlink.nl_pid - NETLINK_PORT < NETLINK_PORTS
			    ? at->netlink.nl_pid
			    : 0,
		    at->netlink.nl_groups);
	} else {
		add(text, "link %x %d %d", at->link.sll_protocol, at->link.sll_ifindex,
		    at->link.sll_hatype);
	}
}

static void add_names(struct text *text, int fd, bool is_exact)
{
	const struct kind kind = kind_of(fd);
	union address at;

	/* One that has ended has lost it. */
	if (is_tcp(&kind) && tcp_state(fd) == TCP_CLOSE)
		return;

	for (int i = 0; i < 2; i++) {
		socklen_t length = sizeof at;
		memset(&at, 0, sizeof at);
		int result =
			i ? getpeername(fd, &at.any, &length) : getsockname(fd, &at.any, &length);
		add(text, "%s %s ", of(fd), i ? "peer" : "name");
		if (result < 0)
			add(text, "error %d", errno);
		else
			add_address(text, &at, length, is_exact);
		add(text, "\n");
	}
}

/* What happened, what the kernel has found out, what names this very socket, what takes away. */
static bool is_setting(const struct kind *kind, int level, int option)
{
	static const int others[][2] = {
		{ SOL_SOCKET, SO_ERROR },
		{ SOL_SOCKET, SO_PEERCRED },
		{ SOL_SOCKET, SO_MEMINFO },
		{ SOL_SOCKET, SO_INCOMING_NAPI_ID },
		{ SOL_SOCKET, SO_INCOMING_CPU },
		{ SOL_SOCKET, SO_COOKIE },
		{ SOL_SOCKET, SO_PEERNAME },
		{ SOL_SOCKET, 71 /* SO_NETNS_COOKIE */ },
		{ IPPROTO_IP, 52 /* IP_PROTOCOL: a port */ },
		{ IPPROTO_IP, IP_MTU },
		{ IPPROTO_IPV6, IPV6_MTU },
		{ IPPROTO_IPV6, 61 /* IPV6_PATHMTU */ },
		{ IPPROTO_IPV6, IPV6_V6ONLY }, /* bind(2) to an address sets it */
		{ SOL_SOCKET, 77 /* SO_PEERPIDFD */ },
		{ IPPROTO_TCP, TCP_INFO },
		{ IPPROTO_TCP, TCP_CC_INFO },
		{ IPPROTO_TCP, TCP_QUEUE_SEQ },
		{ IPPROTO_TCP, TCP_TIMESTAMP },
		{ IPPROTO_TCP, TCP_REPAIR_WINDOW },
		{ IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE },
		{ SOL_PACKET, PACKET_STATISTICS },
		{ SOL_PACKET, 21 /* PACKET_ROLLOVER_STATS */ },
	};

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i][0] == level && others[i][1] == option)
			return false;
	/* Of TCP these are what the other end has said, or has sent. */
	return !is_tcp(kind) || !((level == IPPROTO_TCP && option == TCP_MAXSEG) ||
				  (level == IPPROTO_IP && option == IP_MULTICAST_TTL) ||
				  (level == IPPROTO_IPV6 && option == IPV6_MULTICAST_IF) ||
				  (level == IPPROTO_IPV6 && option == IPV6_MULTICAST_HOPS));
}

static void add_bytes(struct text *text, const unsigned char *bytes, socklen_t length)
{
	while (length && !bytes[length - 1])
		length--;
	for (socklen_t k = 0; k < length && k < 64; k++)
		add(text, " %x", bytes[k]);
	add(text, "\n");
}

static void add_option(struct text *text, int fd, int level, int option)
{
	static const socklen_t sizes[] = { sizeof(int), 8, 16, 64 };
	unsigned char bytes[1024];

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		socklen_t length = sizes[i];
		memset(bytes, 0, sizeof bytes);
		if (getsockopt(fd, level, option, bytes, &length) == 0) {
			add(text, "%s option %d %d:", of(fd), level, option);
			add_bytes(text, bytes, length);
			return;
		}
		if (errno != EINVAL)
			break;
	}
	add(text, "%s option %d %d: error %d\n", of(fd), level, option, errno);
}

static void add_peer(struct text *text, int fd)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
		add(text, "%s peer %s %d %d\n", of(fd), process_of(peer.pid), (int)peer.uid,
		    (int)peer.gid);
}

static void add_tcp(struct text *text, int fd)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
	    info.tcpi_state != TCP_CLOSE)
		add(text, "%s tcp state %d options %x scale %d %d\n", of(fd), info.tcpi_state,
		    info.tcpi_options, info.tcpi_snd_wscale, info.tcpi_rcv_wscale);
}

static int count_of(int fd, unsigned long request)
{
	int count = 0;

	return ioctl(fd, request, &count) < 0 ? -errno : count;
}

/* An urgent byte that a read of a unix stream has passed over is counted for good. */
static int count_waiting(int fd, const struct kind *kind)
{
	bool may_be_urgent = kind->family == AF_UNIX && kind->type == SOCK_STREAM && !may_wait;

	return may_be_urgent ? 0 : count_of(fd, FIONREAD);
}

static int count_unsent(int fd)
{
	const struct kind kind = kind_of(fd);

	return is_tcp(&kind) && tcp_state(fd) != TCP_CLOSE ? count_of(fd, TIOCOUTQ) : 0;
}

static void add_state(struct text *text, int fd, const struct kind *kind)
{
	struct pollfd poll_it = { .fd = fd, .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP };
	struct stat status = { 0 };

	fstat(fd, &status);
	poll(&poll_it, 1, 0);
	/* What waits there may occupy less, when it was sent in other pieces. */
	if (kind->family == AF_UNIX || (is_tcp(kind) && tcp_state(fd) == TCP_CLOSE))
		poll_it.revents &= ~POLLOUT;
	add(text, "%s is %d %d %d %d\n", of(fd), kind->family, kind->type, kind->protocol,
	    kind->listens);
	add(text, "%s flags %x %x mode %o of %d %d\n", of(fd), fcntl(fd, F_GETFD),
	    fcntl(fd, F_GETFL), status.st_mode, (int)status.st_uid, (int)status.st_gid);
	add(text, "%s owner %s signal %d\n", of(fd), process_of(fcntl(fd, F_GETOWN)),
	    fcntl(fd, F_GETSIG));
	/* What these receive by chance is not kept. */
	if (kind->family != AF_PACKET && kind->type != SOCK_RAW)
		add(text, "%s waiting %d unsent %d ready %x\n", of(fd), count_waiting(fd, kind),
		    count_unsent(fd), poll_it.revents);
}

static void look_at(struct text *text, int fd)
{
	int levels[LEVELS];
	const struct kind kind = kind_of(fd);
	int fds[MOST], n = list_open(fds);

	levels_of(&kind, levels);
	add_state(text, fd, &kind);
	add_names(text, fd, false);
	add_peer(text, fd);
	if (is_tcp(&kind))
		add_tcp(text, fd);
	for (int i = 0; i < LEVELS; i++)
		for (int option = 1; option < OPTIONS && (!i || levels[i] != SOL_SOCKET); option++)
			if (is_setting(&kind, levels[i], option))
				add_option(text, fd, levels[i], option);
	for (int i = 0; i < n; i++)
		if (syscall(SYS_kcmp, getpid(), getpid(), 0, fd, fds[i]) == 0 && fds[i] != fd)
			add(text, "%s is %d\n", of(fd), fds[i]);
}

static void look(struct text *text, struct text *names)
{
	int fds[MOST], n = list_open(fds);
	sigset_t pending;

	sigpending(&pending);
	for (int i = 1; i <= SIGRTMAX; i++)
		if (i != SIGCHLD && sigismember(&pending, i))
			add(text, "%d: signal %d\n", number, i);
	for (int i = 0; i < n; i++) {
		look_at(text, fds[i]);
		add_names(names, fds[i], true);
	}
}

/* ---- What comes out of it ---- */

static bool tells_time(const struct cmsghdr *part)
{
	static const int types[] = { SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMPING_OLD,
				     SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW };

	for (size_t i = 0; part->cmsg_level == SOL_SOCKET && i < sizeof types / sizeof *types; i++)
		if (part->cmsg_type == types[i])
			return true;
	return false;
}

/* When something came is lost, also whether the kernel tells it; and by how many hops. */
static void add_control(struct text *text, struct msghdr *message, bool is_new)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		size_t size = part->cmsg_len - CMSG_LEN(0);
		struct ucred *sender = (struct ucred *)CMSG_DATA(part);
		if (!is_new && tells_time(part))
			continue;
		add(text, " [%d %d %zu", part->cmsg_level, part->cmsg_type, size);
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS)
			add(text, " %s %d %d", process_of(sender->pid), (int)sender->uid,
			    (int)sender->gid);
		bool has_fds = part->cmsg_level == SOL_SOCKET &&
			       (part->cmsg_type == SCM_RIGHTS || part->cmsg_type == 4);
		for (size_t i = 0; has_fds && i < size / sizeof(int); i++) {
			int fd = ((int *)CMSG_DATA(part))[i];
			const struct kind kind = kind_of(fd);
			add(text, " %d %d %d", kind.family, kind.type, kind.protocol);
			add_names(text, fd, false);
			close(fd);
		}
		add(text, "]");
	}
}

static void drain(struct text *text, int fd, bool is_new)
{
	static char bytes[LONGEST];
	union {
		struct cmsghdr align;
		char room[1024];
	} control;
	union address from;

	for (int i = 0; i < 300; i++) {
		struct iovec data = { bytes, sizeof bytes };
		struct msghdr message = { .msg_iov = &data,
					  .msg_iovlen = 1,
					  .msg_control = control.room,
					  .msg_controllen = sizeof control.room,
					  .msg_name = &from,
					  .msg_namelen = sizeof from };
		memset(&from, 0, sizeof from);
		ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
		unsigned sum = 0;
		for (ssize_t k = 0; k < got; k++)
			sum = sum * 31 + (unsigned char)bytes[k];
		add(text, "%s %s %zd", of(fd), is_new ? "took on" : "took", got < 0 ? -errno : got);
		if (got >= 0) {
			add(text, " %.*s %x flags %x from ", got < 80 ? (int)got : 80, bytes, sum,
			    message.msg_flags & ~MSG_CMSG_CLOEXEC);
			add_address(text, &from, message.msg_namelen, false);
			add_control(text, &message, is_new);
		}
		add(text, "\n");
		if (got < 0 || (got == 0 && number_of(fd, SO_TYPE) == SOCK_STREAM))
			break;
	}
}

static bool is_kept(int fd)
{
	const struct kind kind = kind_of(fd);

	return kind.type != SOCK_RAW && kind.family != AF_PACKET && kind.protocol != IPPROTO_ICMP;
}

static void take_out(struct text *text, bool is_new)
{
	int fds[MOST], n = list_open(fds);

	for (int i = 0; i < n; i++)
		if (is_kept(fds[i]) && !kind_of(fds[i]).listens)
			drain(text, fds[i], is_new);
	for (int i = 0; i < n; i++) {
		int client = take_client(fds[i]);
		if (client < 0)
			continue;
		add(text, "%s accepted %d\n", of(fds[i]), client);
		add_names(text, client, false);
		add_peer(text, client);
		drain(text, client, is_new);
	}
}

/* The kernel holds back what is little, for a while (tcp(7), TCP_CORK). */
static void wait_until_sent(int fd)
{
	for (int i = 0; i < 100 && count_unsent(fd) > 0; i++)
		scenario_sleep_ms(5);
}

static void go_on(struct text *text)
{
	int fds[MOST], n = list_open(fds);
	bool is_stuck[MOST];
	char word[32];

	for (int i = 0; i < n; i++)
		is_stuck[i] = count_unsent(fds[i]) > 0;
	for (int i = 0; i < n; i++) {
		int length = snprintf(word, sizeof word, "on %d.%d", number, fds[i]);
		if (kind_of(fds[i]).family == AF_NETLINK || !is_kept(fds[i]))
			continue;
		ssize_t sent = send(fds[i], word, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
		add(text, "%s sent %zd\n", of(fds[i]), sent < 0 ? -errno : sent);
	}
	for (int i = 0; i < n; i++)
		if (!is_stuck[i])
			wait_until_sent(fds[i]);
}

/* ---- Turns ---- */

enum { /* as many turns as processes each, after those of the steps */
       PHASE_SETTLE = ROUNDS,
       PHASE_SETTLE_AGAIN,
       PHASE_BEFORE,
       PHASE_DUMPED,
       PHASE_AFTER,
       PHASE_TAKE,
       PHASE_GO_ON,
       PHASE_TAKE_AGAIN,
       PHASES
};

static int live(void *data);

static void drop_rights(void)
{
	if (number == 1 && draw(3) == 0 && setresgid(1, 1, 1) == 0)
		setresuid(1, 1, 1);
}

static void do_steps(int round)
{
	int next = number + 1;

	for (int i = 0; i < STEPS; i++)
		step();
	if (round == 0 && next < PROCESSES)
		play->pids[next] = scenario_child(live, &next);
	if (round == 1)
		drop_rights();
}

static void do_phase(int phase, bool is_dumped)
{
	switch (phase) {
	case PHASE_SETTLE:
	case PHASE_SETTLE_AGAIN:
		settle_all();
		break;
	case PHASE_BEFORE:
		if (number == 0)
			scenario_sleep_ms(SETTLED_MS);
		look(&play->seen[number].before, &play->seen[number].names_before);
		break;
	case PHASE_DUMPED:
		if (is_dumped && number == 0)
			scenario_ready();
		if (number == 0)
			scenario_sleep_ms(SETTLED_MS);
		break;
	case PHASE_AFTER:
		look(&play->seen[number].after, &play->seen[number].names_after);
		break;
	case PHASE_GO_ON:
		go_on(&play->seen[number].read);
		break;
	case PHASE_TAKE:
	case PHASE_TAKE_AGAIN:
		scenario_sleep_ms(20);
		take_out(&play->seen[number].read, phase == PHASE_TAKE_AGAIN);
		break;
	default:
		do_steps(phase);
	}
}

static int live(void *data)
{
	int first = *(const int *)data;

	number = first;
	if (number) {
		state = state * 7 + (unsigned)number;
		for (int fd = FIRST; fd < 200; fd++)
			if (may_wait || draw(2))
				close(fd);
	}
	for (int phase = 0; phase < PHASES; phase++) {
		while (play->turn < phase * PROCESSES + number)
			scenario_sleep_ms(1);
		do_phase(phase, play != rehearsed);
		play->turn++;
	}
	if (number + 1 < PROCESSES)
		scenario_reap(play->pids[number + 1]);
	return 0;
}

/* In a directory and a network of its own. */
static int play_all(void *data)
{
	const char *directory = data;
	int first = 0;

	scenario_need(mkdir(directory, 0777) == 0 && chdir(directory) == 0, "%s", directory);
	own_network();
	pids = play->pids;
	pids[0] = getpid();
	return live(&first);
}

int main(int argc, char **argv)
{
	sigset_t all;
	uint64_t seed;

	scenario_begin(argc, argv);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	umask(0);
	begin_drawing(argc, argv);
	may_wait = draw(3) == 0;
	may_be_empty = draw(2);
	play = rehearsed = shared_memory(sizeof *play);
	seed = state;
	scenario_reap(scenario_child(play_all, "rehearsed"));
	play = shared_memory(sizeof *play);
	state = seed;
	play_all("played");
	judge(rehearsed->seen, play->seen, PROCESSES);
	return scenario_end();
}
