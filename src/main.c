// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor: the table of commands. */
#include "commands/command.h"
#include "compat/serve.h"
#include "options/pipeline-options.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { KEPT_BYTES = 64 << 20, MOST_BYTES_AT_ONCE = 1 << 20 };

static const struct command commands[] = {
	{ "dump", "Writes a process tree into a directory of images, and ends it.",
	  "-t PID [-D DIR] [OPTION...]", command_dump },
	{ "pre-dump", "Writes the memory of a tree that goes on, for a dump that follows.",
	  "-t PID [-D DIR] [OPTION...]", command_pre_dump },
	{ "restore", "Makes the process tree of a directory of images again.",
	  "[-D DIR] [OPTION...]", command_restore },
	{ "tree", "Draws a process tree and its namespaces, live or from images.",
	  "PID|DIR [--json | --html FILE]", command_tree },
	{ "show", "Shows what is in images, thing by thing, and who shares it.",
	  "DIR [--kind KIND] [--task PID] [--json]", command_show },
	{ "diff", "Tells what changed between two dumps of a tree.",
	  "DIR DIR [--kind KIND] [--json]", command_diff },
	{ "plan", "Prints the programs by which a restore would build the tree.", "[DIR] [--json]",
	  command_plan },
	{ "check",
	  "Tells what this kernel and these privileges allow, or what stands in a dump's way.",
	  "[--json] [--feature NAME | --tree PID [OPTION...]]", command_check },
	{ "dedup", "Removes from earlier dumps the pages that the dump after them does not need.",
	  "[-D DIR]", command_dedup },
	{ "cpuinfo", "Records what the processor can do, or compares it with what is recorded.",
	  "dump|check [-D DIR] [--cpu-cap=WHAT]", command_cpuinfo },
	{ "service", "Serves clients at a socket.", "--address PATH [OPTION...]", command_service },
	{ "swrk", "Serves the client at an inherited socket.", "FD", command_swrk },
	{ "run", "Starts a program with exactly these process ids.",
	  "--pids VECTOR [--ns FILE] -- PROGRAM [ARGUMENT...]", command_run },
	{ "last-pids", "Sets the last pids of a pid namespace and of its ancestors.",
	  "[--ns FILE] VECTOR", command_last_pids },
};

/* Commands of criu(8), and why there is none of that name. */
static const struct {
	const char *name, *why;
} refused_commands[] = {
	{ "page-server", NO_PAGE_SERVER },
	{ "lazy-pages", NO_LAZY_PAGES },
};

enum { N_REFUSED = sizeof refused_commands / sizeof refused_commands[0] };

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

/*
 * Under the name of criu(8) the version is that whose command line and requests are understood:
 * scripts compare it.
 */
static void print_version(void)
{
	printf("Version: %s\n", command_speaks_criu() ? COMPAT_VERSION : NESTOR_VERSION);
}

static void print_usage(FILE *out)
{
	fprintf(out,
		"Usage: nestor COMMAND [OPTION...]\n\n"
		"Checkpoints trees of processes, with their namespaces, and restores them.\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  nestor %-9s %s\n", commands[i].name, commands[i].summary);
	fprintf(out,
		"\nnestor COMMAND --help lists the options of a command; see also nestor(1).\n");
}

static int refuse(const char *word)
{
	struct error err = { 0 };

	for (size_t i = 0; word && i < N_REFUSED; i++)
		if (strcmp(word, refused_commands[i].name) == 0) {
			fail(&err, ERR_USAGE, "%s is not supported: %s", word,
			     refused_commands[i].why);
			return command_print_error(&err);
		}
	if (word)
		fail(&err, ERR_USAGE, "\"%s\" is not a command", word);
	else
		fail(&err, ERR_USAGE, "no command given");
	fail_hint(&err, "nestor --help lists the commands");
	return command_print_error(&err);
}

int main(int argc, char **argv)
{
	/* Who has executed us may ignore it: then no child could be waited for. */
	signal(SIGCHLD, SIG_DFL);
	/*
	 * What one namespace has taken to be read or made, the next one takes, too: also what would
	 * be mapped otherwise, and unmapped on all processors, as buffers of netlink are.
	 */
	mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
	mallopt(M_MMAP_THRESHOLD, MOST_BYTES_AT_ONCE);
	if (argc < 2)
		return refuse(NULL);
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_usage(stdout);
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		print_version();
		return EXIT_DONE;
	}
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(&commands[i], argc - 1, argv + 1);
	return refuse(argv[1]);
}
