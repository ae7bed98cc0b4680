// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-mixed
 * promise: terminals, and the sessions that they control, to which processes have done anything in
 *	any order, as drawn from a seed, are as they were, hold what they held, and go on as they
 *	do where nobody was dumped: all is done twice, and the first time without
 * flavours: flat three user-three
 * needs: initial-user-namespace
 * alone: terminal numbers are one for all
 * ignore: stat fd
 * arguments: 2 3 6 11 5007
 */
#include "terminal-mixture.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { ROUNDS = 3, STEPS = 24, SETTLED_MS = 4, KERNEL_LARGEFILE = 0100000 };

/* All processes take turns. */
static struct play {
	volatile int turn;
	struct known known;
	struct seen seen[PROCESSES];
} * play, *rehearsed;

/* ---- What a terminal is like ---- */

static const char *of(int fd)
{
	static char text[32];

	snprintf(text, sizeof text, "%d.%d (%s)", number, fd, is_master(fd) ? "master" : "slave");
	return text;
}

static const char *process_of(pid_t pid)
{
	static const char *const names[] = { "0", "1", "2", "3", "4" };

	for (int i = 0; pid > 0 && i < PROCESSES; i++)
		if (known->pids[i] == pid)
			return names[i];
	return pid == 0 ? "nobody" : "another";
}

static const char *asked_for_process(int fd, unsigned long request)
{
	pid_t pid = 0;

	return ioctl(fd, request, &pid) < 0 ? strerror(errno) : process_of(pid);
}

static int asked_for_number(int fd, unsigned long request)
{
	int value = 0;

	return ioctl(fd, request, &value) < 0 ? -errno : value;
}

static void add_bytes(struct text *text, const void *bytes, size_t length)
{
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < length; i++)
		if (byte[i] >= ' ' && byte[i] < 127 && byte[i] != '\\')
			add(text, "%c", byte[i]);
		else
			add(text, "\\%x", byte[i]);
}

static void add_modes(struct text *text, int fd)
{
	struct termios2 modes = { 0 };
	struct termios locked = { 0 };
	struct size size = { 0 };

	ioctl(fd, TCGETS2, &modes);
	ioctl(fd, TIOCGLCKTRMIOS, &locked);
	ioctl(fd, TIOCGWINSZ, &size);
	add(text, "%s modes %x %x %x %x line %d speeds %u %u characters ", of(fd), modes.c_iflag,
	    modes.c_oflag, modes.c_cflag, modes.c_lflag, modes.c_line, modes.c_ispeed,
	    modes.c_ospeed);
	add_bytes(text, modes.c_cc, NCCS);
	add(text, "\n%s locked %x %x size %d %d %d %d\n", of(fd), locked.c_iflag, locked.c_lflag,
	    size.rows, size.columns, size.x_pixels, size.y_pixels);
}

static void add_state(struct text *text, int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP };
	bool is_gone = is_hung_up(fd);
	struct stat status = { 0 };

	poll(&ready, 1, 0);
	fstat(fd, &status);
	/* What was opened by way of the master is opened by its name, which adds O_LARGEFILE. */
	int flags = fcntl(fd, F_GETFL) & ~KERNEL_LARGEFILE;
	add(text, "%s is hung up %d flags %x %x owner %s signal %d ready %x\n", of(fd), is_gone,
	    fcntl(fd, F_GETFD), flags, process_of(fcntl(fd, F_GETOWN)), fcntl(fd, F_GETSIG),
	    ready.revents);
	if (is_gone)
		return;
	add(text, "%s mode %o of %d %d session %s group %s\n", of(fd), status.st_mode,
	    (int)status.st_uid, (int)status.st_gid, asked_for_process(fd, TIOCGSID),
	    asked_for_process(fd, TIOCGPGRP));
	add(text, "%s locked %d packets %d exclusive %d\n", of(fd),
	    asked_for_number(fd, TIOCGPTLCK), asked_for_number(fd, TIOCGPKT),
	    asked_for_number(fd, TIOCGEXCL));
	add(text, "%s waiting %d %d\n", of(fd), asked_for_number(fd, FIONREAD),
	    asked_for_number(fd, TIOCOUTQ));
	add_modes(text, fd);
}

static void add_number(struct text *text, int fd)
{
	char path[32], name[256] = "";
	struct stat status = { 0 };

	fstat(fd, &status);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, name, sizeof name - 1);
	/* One that was hung up is that of another that is gone. */
	if (is_hung_up(fd))
		return;
	if (is_master(fd))
		add(text, "%s number %d\n", of(fd), asked_for_number(fd, TIOCGPTN));
	else
		add(text, "%s device %x name %.*s\n", of(fd), (unsigned)status.st_rdev, (int)length,
		    name);
}

static void add_process(struct text *text)
{
	sigset_t pending;
	int own = open("/dev/tty", O_RDWR | O_NOCTTY);

	add(text, "%d: session %s group %s terminal %s", number, process_of(getsid(0)),
	    process_of(getpgrp()), own < 0 ? strerror(errno) : "is there");
	if (own >= 0)
		add(text, " group %s", asked_for_process(own, TIOCGPGRP));
	close(own);
	sigpending(&pending);
	add(text, " signals");
	for (int i = 1; i <= SIGRTMAX; i++)
		if (i != SIGCHLD && sigismember(&pending, i))
			add(text, " %d", i);
	add(text, "\n");
}

static void look(struct text *text, struct text *numbers)
{
	int fds[MOST], n = list_open(fds);

	add_process(text);
	for (int i = 0; i < n; i++) {
		add_state(text, fds[i]);
		add_number(numbers, fds[i]);
		for (int k = 0; k < i; k++)
			if (syscall(SYS_kcmp, getpid(), getpid(), 0, fds[i], fds[k]) == 0)
				add(text, "%s is %d\n", of(fds[i]), fds[k]);
	}
}

/* ---- What comes out of it ---- */

static void drain(struct text *text, int fd, int phase)
{
	static char bytes[1 << 16];

	for (int i = 0, empty = 0; i < 60 && empty < 8; i++) {
		ssize_t got = read_at_once(fd, bytes, sizeof bytes);
		add(text, "%s took in %d %zd ", of(fd), phase, got < 0 ? -errno : got);
		if (got > 0)
			add_bytes(text, bytes, (size_t)got);
		add(text, "\n");
		empty += got == 0;
		if (got < 0)
			break;
	}
}

static void take_out(struct text *text, int phase)
{
	int fds[MOST], n = list_open(fds);

	for (int i = 0; i < n; i++)
		drain(text, fds[i], phase);
}

static void go_on(struct text *text)
{
	int fds[MOST], n = list_open(fds);
	char word[32];

	for (int i = 0; i < n; i++) {
		int length = snprintf(word, sizeof word, "\003on %d %d\ny\004z", number, fds[i]);
		bool is_typed = is_master(fds[i]);
		ssize_t done = is_typed ? type(fds[i], word, (size_t)length)
					: write_at_once(fds[i], word, (size_t)length);
		add(text, "%s wrote %zd\n", of(fds[i]), done < 0 ? -errno : done);
	}
}

/* What waits for the end of a line, or for output to go on. */
static void let_go(void)
{
	int fds[MOST], n = list_open(fds);
	struct termios2 modes;

	for (int i = 0; i < n; i++) {
		ioctl(fds[i], TCXONC, (long)TCOON);
		if (ioctl(fds[i], TCGETS2, &modes) < 0)
			continue;
		modes.c_lflag &= ~(tcflag_t)ICANON;
		modes.c_iflag &= ~(tcflag_t)IXON;
		ioctl(fds[i], TCSETS2, &modes);
	}
	wait_until_seen();
}

static void close_masters(void)
{
	int fds[MOST], n = list_open(fds);

	for (int i = 0; i < n; i++)
		if (is_master(fds[i]))
			close(fds[i]);
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
       PHASE_LET_GO,
       PHASE_TAKE_LEFT,
       PHASE_CLOSE,
       PHASE_HUNG_UP,
       PHASES
};

struct life {
	int number, phase;
};

static int live(void *data);

static void bear(int phase)
{
	struct life child = { .phase = phase };

	while (child.number < PROCESSES && known->pids[child.number])
		child.number++;
	if (child.number == PROCESSES || child.number <= number)
		return;
	pid_t pid = scenario_child(live, &child);
	known->pids[child.number] = pid;
}

static void take_turn(int phase)
{
	int next = phase * PROCESSES + number + 1;

	while (next % PROCESSES &&
	       (!known->pids[next % PROCESSES] || known->is_gone[next % PROCESSES]))
		next++;
	play->turn = next;
}

static bool has_ended(pid_t pid)
{
	char path[32], text[128] = "";

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	close(fd);
	return got <= 0 || strstr(text, ") Z");
}

/* Who is gone has passed its turn before, and hangs up its terminal on the way. */
static void wait_for_gone(void)
{
	for (int i = 0; i < PROCESSES; i++)
		while (known->is_gone[i] && i != number && !has_ended(known->pids[i]))
			scenario_sleep_ms(1);
}

static void do_steps(int phase)
{
	for (int i = 0; i < STEPS; i++)
		step();
	if (phase < 2 && draw(4))
		bear(phase);
	if (phase < 2 && draw(2))
		bear(phase);
	if (phase == ROUNDS - 1 && number && draw(6) == 0) {
		for (int fd = FIRST; fd < 200; fd++)
			close(fd);
		known->is_gone[number] = true;
	}
}

static void do_phase(int phase, bool is_dumped)
{
	struct text *read = &play->seen[number].read;

	switch (phase) {
	case PHASE_SETTLE:
		leave_numbers();
		settle_all();
		break;
	case PHASE_SETTLE_AGAIN:
		settle_all();
		break;
	case PHASE_BEFORE:
		look(&play->seen[number].before, &play->seen[number].names_before);
		break;
	case PHASE_DUMPED:
		if (number == 0 && is_dumped)
			scenario_ready();
		break;
	case PHASE_AFTER:
		find_instances();
		look(&play->seen[number].after, &play->seen[number].names_after);
		break;
	case PHASE_TAKE:
	case PHASE_TAKE_AGAIN:
	case PHASE_TAKE_LEFT:
	case PHASE_HUNG_UP:
		take_out(read, phase);
		add_process(read);
		break;
	case PHASE_GO_ON:
		go_on(read);
		break;
	case PHASE_LET_GO:
		let_go();
		break;
	case PHASE_CLOSE:
		close_masters();
		break;
	default:
		do_steps(phase);
	}
}

/* In its turn: others take from it. */
static void close_some(void)
{
	for (int fd = FIRST; fd < 200; fd++)
		if (draw(3) == 0)
			close(fd);
}

static int live(void *data)
{
	const struct life *life = data;
	int phase = life->phase, status;

	if (life->number) {
		number = life->number;
		leave_numbers();
		state = state * 7 + (unsigned)number;
	}
	for (; phase < PHASES && !known->is_gone[number]; phase++) {
		while (play->turn < phase * PROCESSES + number)
			scenario_sleep_ms(1);
		wait_for_gone();
		if (life->number && phase == life->phase)
			close_some();
		if (number == 0 && phase >= ROUNDS)
			scenario_sleep_ms(SETTLED_MS);
		do_phase(phase, play != rehearsed);
		take_turn(phase);
	}
	/* Its terminal is hung up by that; its children are the first one's. */
	if (known->is_gone[number])
		_exit(0);
	while (waitpid(-1, &status, 0) > 0)
		scenario_check(status == 0, "a child has ended with %x", status);
	return 0;
}

/* In a directory of its own. */
static int play_all(void *data)
{
	const char *directory = data;
	struct life first = { 0 };

	/* Whose leader is gone stays in the tree. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setsid();
	known = &play->known;
	known->pids[0] = getpid();
	scenario_need(mkdir(directory, 0777) == 0 && chdir(directory) == 0, "%s", directory);
	make_instances(draw(3) != 0);
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
	seed = state;
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "no mount namespace: %m");
	play = rehearsed = shared_memory(sizeof *play);
	state = seed;
	scenario_reap(scenario_child(play_all, "rehearsed"));
	play = shared_memory(sizeof *play);
	state = seed;
	play_all("played");
	judge(rehearsed->seen, play->seen, PROCESSES);
	return scenario_end();
}
