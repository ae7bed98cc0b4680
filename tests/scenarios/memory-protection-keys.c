// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-protection-keys
 * promise: protection keys (pkeys(7)): which are allocated, which area has which, and what each
 *	thread may do with them; also in a child that has others, and of areas that may only be
 *	executed
 * needs: protection_keys seccomp-filters
 * flavours: flat one three user user-three fresh
 * arguments: open filtered
 * rounds: 2
 */
#include "scenario.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

enum { OPEN, READ_ONLY, CLOSED, FREED, EXECUTED, SHARED, AREAS, WHOLE };

static uint8_t *areas[AREAS];
static int keys[AREAS];
static __thread sigjmp_buf back;
static __thread volatile bool expected;
static siginfo_t fault;

static uint32_t rights(void)
{
	uint32_t value, upper;

	__asm__ volatile("rdpkru" : "=a"(value), "=d"(upper) : "c"(0));
	return value;
}

static void set_rights(uint32_t value)
{
	__asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

static void on_fault(int signal, siginfo_t *info, void *unused)
{
	(void)signal;
	(void)unused;
	if (!expected)
		_exit(99);
	fault = *info;
	siglongjmp(back, 1);
}

/* 0, or the key that forbids it; -1: something else does. A handler has the rights of a program. */
static int touch(volatile uint8_t *at, bool write)
{
	const uint32_t before = rights();
	volatile int result = 0;

	expected = true;
	if (sigsetjmp(back, 1)) {
		set_rights(before);
		result = fault.si_code == SEGV_PKUERR ? (int)fault.si_pkey : -1;
	} else {
		uint8_t byte = *at;
		if (write)
			*at = byte;
	}
	expected = false;
	return result;
}

static int key_in_smaps(const void *address)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[512];
	unsigned long start, end;
	bool inside = false;
	int key = -1;

	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= (unsigned long)address && (unsigned long)address < end;
		if (inside && sscanf(line, "ProtectionKey: %d", &key) == 1)
			break;
	}
	if (file)
		fclose(file);
	return key;
}

static bool is_allocated(int key)
{
	return syscall(SYS_pkey_mprotect, 0x7ffffffff000, PAGE, 0, key) < 0 && errno == ENOMEM;
}

static void make_area(int which, int prot, int flags, int key)
{
	areas[which] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
	scenario_need(areas[which] != MAP_FAILED, "no memory");
	areas[which][7] = (uint8_t)(100 + which);
	keys[which] = key;
	scenario_need((key ? pkey_mprotect(areas[which], PAGE, prot, key)
			   : mprotect(areas[which], PAGE, prot)) == 0,
		      "cannot protect area %d", which);
}

/* The kernel's own key is one between those that are asked for. */
static void make_areas(void)
{
	int open = pkey_alloc(0, 0), read = pkey_alloc(0, PKEY_DISABLE_WRITE);

	scenario_need(open == 1 && read == 2, "no keys");
	make_area(EXECUTED, PROT_EXEC, MAP_PRIVATE, 0);
	keys[EXECUTED] = 3;
	int closed = pkey_alloc(0, PKEY_DISABLE_ACCESS), freed = pkey_alloc(0, 0);
	scenario_need(closed == 4 && freed == 5, "no keys");
	make_area(OPEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, open);
	make_area(READ_ONLY, PROT_READ | PROT_WRITE, MAP_PRIVATE, read);
	make_area(CLOSED, PROT_READ, MAP_PRIVATE, closed);
	make_area(SHARED, PROT_READ | PROT_WRITE, MAP_SHARED, read);
	make_area(FREED, PROT_READ | PROT_WRITE, MAP_PRIVATE, freed);
	pkey_free(freed);
	pkey_set(freed, PKEY_DISABLE_ACCESS);
}

static void check_areas(const char *whose, bool is_writable, bool filtered)
{
	for (int i = 0; i < AREAS; i++)
		scenario_check(key_in_smaps(areas[i]) == keys[i], "%s: area %d has key %d", whose,
			       i, key_in_smaps(areas[i]));
	scenario_check(touch(areas[OPEN], true) == 0 && areas[OPEN][7] == 100 + OPEN,
		       "%s: what is open is not", whose);
	scenario_check(touch(areas[READ_ONLY], false) == 0 &&
			       touch(areas[READ_ONLY], true) == (is_writable ? 0 : 2) &&
			       areas[READ_ONLY][7] == 100 + READ_ONLY,
		       "%s: the second key has changed", whose);
	scenario_check(touch(areas[SHARED], true) == (is_writable ? 0 : 2),
		       "%s: the second key of shared memory has changed", whose);
	scenario_check(touch(areas[CLOSED], false) == 4, "%s: what is closed is open", whose);
	scenario_check(touch(areas[FREED], false) == 5, "%s: what was freed is open", whose);
	scenario_check(touch(areas[EXECUTED], false) == 3, "%s: code can be read", whose);
	if (filtered)
		return;
	for (int key = 1; key < 16; key++)
		scenario_check(is_allocated(key) == (key == 1 || key == 2 || key == 4),
			       "%s: key %d is %sallocated", whose, key,
			       is_allocated(key) ? "" : "not ");
}

struct other {
	bool filtered;
	pthread_barrier_t *barrier;
};

static void *other_thread(void *argument)
{
	const struct other *other = argument;

	pkey_set(2, 0);
	pthread_barrier_wait(other->barrier);
	pthread_barrier_wait(other->barrier);
	check_areas("a thread", true, other->filtered);
	return NULL;
}

static void forbid(int nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	scenario_need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
			      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
		      "cannot set a filter");
}

/* A child with keys of its own, which its parent has not. */
static int start_child(int *ret_go)
{
	int go[2];

	scenario_need(pipe(go) == 0, "no pipe");
	pid_t pid = fork();
	scenario_need(pid >= 0, "cannot fork");
	if (pid == 0) {
		char byte;

		close(go[1]);
		int own = pkey_alloc(0, 0);
		bool good = own == 5;
		good = good && pkey_mprotect(areas[OPEN], PAGE, PROT_READ, own) == 0;
		good = good && read(go[0], &byte, 1) == 0;
		_exit(!(good && key_in_smaps(areas[OPEN]) == own && is_allocated(own) &&
			touch(areas[OPEN], false) == 0 && areas[OPEN][7] == 100 + OPEN &&
			touch(areas[CLOSED], false) == 4));
	}
	close(go[0]);
	*ret_go = go[1];
	return pid;
}

int main(int argc, char **argv)
{
	pthread_barrier_t barrier;
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct other other = { .barrier = &barrier };
	pthread_t thread;
	int go, status;

	scenario_begin(argc, argv);
	other.filtered = strcmp(argv[2], "filtered") == 0;
	sigaction(SIGSEGV, &action, NULL);
	make_areas();
	pid_t child = start_child(&go);
	if (other.filtered)
		forbid(SYS_pkey_mprotect);
	pthread_barrier_init(&barrier, NULL, 2);
	scenario_need(pthread_create(&thread, NULL, other_thread, &other) == 0, "no thread");
	pthread_barrier_wait(&barrier);

	scenario_ready();

	check_areas("the leader", false, other.filtered);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	close(go);
	scenario_check(waitpid(child, &status, 0) == child && status == 0,
		       "the child has other keys than before");
	if (!other.filtered)
		scenario_check(pkey_alloc(0, 0) == 5, "another key is the next one");
	return scenario_end();
}
