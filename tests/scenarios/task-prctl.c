// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-prctl
 * promise: no_new_privs, dumpable, parent death signal, keepcaps, subreaper mark, huge page
 *   policy, timer slack and memory-deny-write-execute are kept
 * flavours: flat one three user user-three unprivileged
 */
#include "scenario.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

enum { EXCEPT_ADVISED = 2 }; /* PR_THP_DISABLE_EXCEPT_ADVISED */

static uint32_t waiting;

static int death_signal(void)
{
	int signal = -1;

	prctl(PR_GET_PDEATHSIG, &signal);
	return signal;
}

static bool is_subreaper(void)
{
	int mark = -1;

	prctl(PR_GET_CHILD_SUBREAPER, &mark);
	return mark == 1;
}

/* Per thread: slack, death signal, keepcaps, no_new_privs. */
static void *run(void *data)
{
	(void)data;
	prctl(PR_SET_TIMERSLACK, 123456);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGWINCH);
	prctl(PR_SET_KEEPCAPS, 1);
	__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	scenario_check(prctl(PR_GET_TIMERSLACK) == 123456, "the thread's timer slack is %d",
		       prctl(PR_GET_TIMERSLACK));
	scenario_check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
		       "the thread has lost no_new_privs");
	scenario_check(death_signal() == SIGWINCH, "the thread's death signal is %d",
		       death_signal());
	scenario_check(prctl(PR_GET_KEEPCAPS) == 1, "the thread has lost keepcaps");
	return NULL;
}

static int deny_write_execute(void *data)
{
	(void)data;
	bool known = prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0;
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	scenario_mark("denied");
	scenario_wait_restored();
	scenario_check(!known || prctl(PR_GET_MDWE, 0, 0, 0, 0) == 1, "PR_GET_MDWE gives %d",
		       prctl(PR_GET_MDWE, 0, 0, 0, 0));
	void *area = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_check(!known || area == MAP_FAILED, "memory can be written and executed");
	scenario_check(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1,
		       "huge pages are no longer disabled");
	scenario_check(death_signal() == SIGKILL, "the child's death signal is %d", death_signal());
	return 0;
}

/* Since Linux 6.18 huge pages may be left to those areas for which they were asked for. */
static int huge_pages_where_advised(void *data)
{
	(void)data;
	int expected =
		prctl(PR_SET_THP_DISABLE, 1, EXCEPT_ADVISED, 0, 0) == 0 ? 1 | EXCEPT_ADVISED : 0;
	scenario_mark("advised");
	scenario_wait_restored();
	scenario_check(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == expected,
		       "PR_GET_THP_DISABLE gives %d", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	pid_t child = scenario_child(deny_write_execute, NULL);
	pid_t advised = scenario_child(huge_pages_where_advised, NULL);
	scenario_wait_mark("denied");
	scenario_wait_mark("advised");
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_TIMERSLACK, 70000);
	scenario_need(!pthread_create(&thread, NULL, run, NULL), "pthread_create");
	while (!__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);

	scenario_ready();

	pthread_join(thread, NULL);
	scenario_reap(child);
	scenario_reap(advised);
	scenario_check(prctl(PR_GET_DUMPABLE) == 0, "it has become dumpable");
	scenario_check(is_subreaper(), "it is no longer a subreaper");
	scenario_check(prctl(PR_GET_TIMERSLACK) == 70000, "the timer slack is %d",
		       prctl(PR_GET_TIMERSLACK));
	scenario_check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0,
		       "no_new_privs of another thread has spread");
	scenario_check(death_signal() == 0, "the death signal is %d", death_signal());
	scenario_check(prctl(PR_GET_KEEPCAPS) == 0, "keepcaps has become set");
	return scenario_end();
}
