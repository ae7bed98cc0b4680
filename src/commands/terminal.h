/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The person before whom a dump or a restore is made: a progress line, and signals that ask to
 * stop, which are held back so that undoing is never cut short. Its functions are hooks of the
 * pipeline; their data is a struct terminal.
 */
#ifndef NESTOR_COMMANDS_TERMINAL_H
#define NESTOR_COMMANDS_TERMINAL_H

#include "base/arena.h"
#include "base/error.h"
#include "base/obstacles.h"
#include "commands/progress.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pipeline_arguments;
struct pipeline_options;

struct terminal {
	struct progress progress;
	sigset_t signals; /* that ask to stop */
	sigset_t old_mask;
	struct arena *arena;
	struct text *refused; /* more than one reason for it; NULL: none */
	char **command_line;  /* with the name of the program */
	const struct pipeline_options *options;
	const char *action_script; /* NULL: none */
};

/* argv is that of the command, not parsed yet (parsing changes its order); main.c keeps the name
 * of the program before it. */
void terminal_init(struct terminal *terminal, int argc, char **argv, struct arena *arena);
/* Once options are parsed: what the environment adds to them, and the hooks. */
void terminal_take(struct terminal *terminal, struct pipeline_arguments *arguments);
/* Holds signals back; `busy`: something else writes to the terminal. */
void terminal_begin(struct terminal *terminal, bool busy);
/* Ends the progress line; prints the error if there is one; returns the exit status. Signals stay
 * held back: nestor is at its end and has its status still to give. */
int terminal_end(struct terminal *terminal, const struct error *err);
/* For a restore that stays. */
void terminal_let_signals_through(const struct terminal *terminal);

void terminal_progress(void *terminal, const char *phase, size_t done, size_t total);
int terminal_asked_to_stop(void *terminal);
int terminal_at_moment(void *terminal, const char *moment, pid_t root_pid, struct error *err);
/* Keeps them for terminal_end. */
void terminal_obstacles(void *terminal, const struct obstacles *obstacles);
/* Prints them. */
void terminal_statistics(void *terminal, const char *text);
int terminal_execute_inside(void *terminal, uint32_t user_namespace, struct error *err);
/* The namespace that terminal_execute_inside was given by whoever executed us; 0: nobody did. */
uint32_t terminal_take_inside(void);

#endif
