// SPDX-License-Identifier: LGPL-2.1-or-later
/* The assistant of a dump: what it does and leaves, what is taken back, who waits for it. */
#include "collect/assistant.h"

#include "kernel/deputy.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 2000 };

/* An errand that counts, and says who did it. */
struct counting {
	struct errand errand;
	atomic_int done;
	atomic_int by; /* enum assistant_thread */
	struct assistant *assistant;
	struct counting *next; /* to be given by this one */
};

static void count(struct errand *errand, enum assistant_thread thread)
{
	struct counting *counting = (struct counting *)errand;

	atomic_fetch_add(&counting->done, 1);
	atomic_store(&counting->by, (int)thread);
	if (counting->next)
		assistant_give(counting->assistant, &counting->next->errand);
}

static atomic_bool gate_is_open;

/* Keeps whoever runs it until the gate is open. */
static void wait_for_gate(struct errand *errand, enum assistant_thread thread)
{
	(void)errand;
	(void)thread;
	while (!atomic_load(&gate_is_open))
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

static void each_errand_is_done_once(void **state)
{
	static struct counting errands[MANY];
	struct assistant *assistant = assistant_start();

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		errands[i] = (struct counting){ .errand.run = count, .assistant = assistant };
		/* Every other one gives the one behind it. */
		if (i % 2)
			errands[i - 1].next = &errands[i];
	}
	for (size_t i = 0; i < MANY; i += 2)
		assistant_give(assistant, &errands[i].errand);
	while (assistant_join_in(assistant))
		;
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(atomic_load(&errands[i].done), 1);
		assert_int_equal(errands[i].errand.state, ERRAND_DONE);
	}
	assistant_end(assistant);
}

static void what_is_needed_is_taken_back(void **state)
{
	struct errand gate = { .run = wait_for_gate };
	struct counting waiting = { .errand.run = count }, needed = { .errand.run = count };
	struct assistant *assistant = assistant_start();

	(void)state;
	atomic_store(&gate_is_open, false);
	assistant_give(assistant, &gate);
	assistant_give(assistant, &waiting.errand);
	assistant_give(assistant, &needed.errand);
	/* The assistant is at the gate, or has not begun. */
	assistant_need(assistant, &needed.errand);
	assert_int_equal(atomic_load(&needed.done), 1);
	assert_int_equal(atomic_load(&needed.by), THREAD_FIRST);
	assert_int_equal(atomic_load(&waiting.done), 0);
	atomic_store(&gate_is_open, true);
	assistant_need(assistant, &waiting.errand);
	assert_int_equal(atomic_load(&waiting.done), 1);
	assistant_end(assistant);
}

static atomic_int pieces_begun, pieces_of_first;

/* The assistant's takes until the first thread has done one. */
static void do_piece(struct errand *errand, enum assistant_thread thread)
{
	(void)errand;
	atomic_fetch_add(&pieces_begun, 1);
	if (thread == THREAD_FIRST)
		atomic_fetch_add(&pieces_of_first, 1);
	while (!atomic_load(&pieces_of_first))
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

static void pieces_are_shared_out_while_one_is_waited_for(void **state)
{
	struct errand needed = { .run = do_piece }, like = { .run = do_piece };
	struct counting other = { .errand = { .run = count } };
	struct assistant *assistant = assistant_start();

	(void)state;
	/* Who only waits would wait for ever. */
	alarm(20);
	assistant_give(assistant, &needed);
	while (!atomic_load(&pieces_begun))
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	assistant_give(assistant, &other.errand);
	assistant_give(assistant, &like);
	assistant_need(assistant, &needed);
	assert_int_equal(atomic_load(&pieces_of_first), 1);
	assert_int_equal(like.state, ERRAND_DONE);
	assistant_need(assistant, &other.errand);
	assistant_end(assistant);
	alarm(0);
}

static void some_are_for_the_first_thread_only(void **state)
{
	struct counting errands[20];
	struct assistant *assistant = assistant_start();

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		errands[i] = (struct counting){ .errand = { .run = count, .by_first = i % 2 } };
		assistant_give(assistant, &errands[i].errand);
	}
	for (size_t i = 0; i < 20; i += 2)
		assistant_need(assistant, &errands[i].errand);
	for (size_t i = 1; i < 20; i += 2)
		assert_int_equal(atomic_load(&errands[i].done), 0);
	while (assistant_join_in(assistant))
		;
	for (size_t i = 1; i < 20; i += 2) {
		assert_int_equal(atomic_load(&errands[i].done), 1);
		assert_int_equal(atomic_load(&errands[i].by), THREAD_FIRST);
	}
	assistant_end(assistant);
}

static void ending_drops_what_waits(void **state)
{
	struct errand gate = { .run = wait_for_gate, .by_first = true };
	struct counting behind = { .errand = { .run = count, .by_first = true } };
	struct assistant *assistant = assistant_start();

	(void)state;
	assistant_give(assistant, &gate);
	assistant_give(assistant, &behind.errand);
	assistant_end(assistant);
	assert_int_equal(atomic_load(&behind.done), 0);
	assistant_end(NULL);
}

enum { DEPUTIES = 100, DEPUTY_SECONDS = 20 };

/* Holds the locks of the allocator, one after another, nearly all of the time. */
static void hold_the_allocator(struct errand *errand, enum assistant_thread thread)
{
	(void)errand;
	(void)thread;
	for (int i = 0; i < 20; i++)
		malloc_trim(0);
}

static int use_the_allocator(void *data, struct error *err)
{
	FILE *stream = fopen("/dev/null", "r");
	char *memory = malloc(*(size_t *)data);

	(void)err;
	if (!stream || !memory)
		return -1;
	free(memory);
	fclose(stream);
	return 0;
}

static void deputies_allocate_while_it_does(void **state)
{
	static struct errand errands[DEPUTIES][10];
	struct assistant *assistant = assistant_start();
	struct error err = { 0 };
	/* One that would be mapped takes no lock. */
	size_t size = 20000;

	(void)state;
	/* One that waits for a lock that nobody has ends the test. */
	alarm(DEPUTY_SECONDS);
	for (int i = 0; i < DEPUTIES; i++) {
		for (int k = 0; k < 10; k++) {
			errands[i][k].run = hold_the_allocator;
			assistant_give(assistant, &errands[i][k]);
		}
		assert_int_equal(deputy_run_apart(use_the_allocator, &size, &err), 0);
		assert_int_equal(deputy_run(use_the_allocator, &size, &err), 0);
	}
	assistant_end(assistant);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_errand_is_done_once),
		cmocka_unit_test(what_is_needed_is_taken_back),
		cmocka_unit_test(pieces_are_shared_out_while_one_is_waited_for),
		cmocka_unit_test(some_are_for_the_first_thread_only),
		cmocka_unit_test(ending_drops_what_waits),
		cmocka_unit_test(deputies_allocate_while_it_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
