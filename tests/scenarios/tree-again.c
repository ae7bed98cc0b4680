// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: tree-again
 * promise: a tree with namespaces can be dumped and restored again and again: clocks go on without
 *	drifting, an absolute timer is late by no more than that took, and nothing grows in them
 * flavours: one user user-three
 * needs: program:ip
 * rounds: 4
 */
#include "scenario.h"
#include "shown.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000, AHEAD = 5000, LATER = 1000, MESSAGES = 3, PATIENCE = 5000 };

static const char show[] =
	"(ip -o addr; ip route; ip rule; ip -o link | sed -e 's/,LOWER_UP//' -e 's/state [A-Z]*//';"
	" ip neigh; ip -o link | wc -l; hostname) | sed -e 's/,NO-CARRIER//' -e 's/NO-CARRIER,//'"
	" -e '/fe80/d' -e 's/ linkdown//'";

static long long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * (long long)SECOND + time.tv_nsec;
}

static void enter_time(void)
{
	char text[64];
	int length = snprintf(text, sizeof text, "monotonic %d 7\nboottime %d 5\n", AHEAD, AHEAD);

	scenario_need(unshare(CLONE_NEWTIME) == 0, "cannot unshare");
	int fd = open("/proc/self/timens_offsets", O_WRONLY);
	scenario_need(fd >= 0 && write(fd, text, (size_t)length) == length, "no offsets");
	close(fd);
	fd = open("/proc/self/ns/time_for_children", O_RDONLY);
	scenario_need(fd >= 0 && setns(fd, CLONE_NEWTIME) == 0, "cannot enter");
	close(fd);
}

int main(int argc, char **argv)
{
	struct {
		long type;
		char text[16];
	} message = { 1, "again" };
	struct itimerspec setting = { 0 };
	struct msqid_ds state;

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0, "no namespaces");
	enter_time();
	scenario_need(sethostname("again", 5) == 0, "no name");
	scenario_need(system("ip link set lo up; ip link add ve0 type veth peer name ve1;"
			     "ip addr add 10.3.0.1/24 dev ve0; ip link set ve0 up;"
			     "ip link set ve1 up; ip route add 10.4.0.0/16 via 10.3.0.7;"
			     "ip rule add from 10.9.0.0/16 table 77") == 0,
		      "no interfaces");
	int queue = msgget(77, IPC_CREAT | 0600);
	for (int i = 0; i < MESSAGES; i++)
		scenario_need(msgsnd(queue, &message, sizeof message.text, 0) == 0, "no message");
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	const long long expires = now(CLOCK_MONOTONIC) / SECOND + LATER;
	setting.it_value.tv_sec = expires;
	scenario_need(timerfd_settime(timer, TFD_TIMER_ABSTIME, &setting, NULL) == 0, "no timer");
	char *before = shown(show);
	long long monotonic = now(CLOCK_MONOTONIC), boot = now(CLOCK_BOOTTIME),
		  real = now(CLOCK_REALTIME);

	scenario_ready();

	long long passed = now(CLOCK_REALTIME) - real + SECOND / 10;
	scenario_check(
		now(CLOCK_MONOTONIC) >= monotonic && now(CLOCK_MONOTONIC) - monotonic <= passed,
		"the monotonic clock has gone from %lld to %lld", monotonic, now(CLOCK_MONOTONIC));
	scenario_check(now(CLOCK_BOOTTIME) >= boot && now(CLOCK_BOOTTIME) - boot <= passed,
		       "the boot clock has gone from %lld to %lld", boot, now(CLOCK_BOOTTIME));
	timerfd_gettime(timer, &setting);
	long long ends = setting.it_value.tv_sec * (long long)SECOND + setting.it_value.tv_nsec +
			 now(CLOCK_MONOTONIC);
	/* What is kept is the time left; the clock goes on while a restore is under way. */
	ends -= expires * SECOND;
	scenario_check(ends > -SECOND / 10 && ends < passed, "the timer ends %lld ns later", ends);
	scenario_check(msgctl(queue, IPC_STAT, &state) == 0 && state.msg_qnum == MESSAGES,
		       "the queue has other messages");
	shown_compare("what there is", show, before, PATIENCE);
	return scenario_end();
}
