// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor check: what this kernel and these privileges allow, a row for each facility. */
#include "base/log.h"
#include "base/text.h"
#include "commands/command.h"
#include "kernel/facts.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

struct check_arguments {
	struct common_arguments common;
	const char *feature;
	bool json;
};

#define ROW(member) offsetof(struct check_arguments, member)

static const struct option_row check_options[] = {
	{ 0, "feature", OPTION_TEXT, ROW(feature), "NAME",
	  "exit with 0 if this facility is there, with 1 if not" },
	{ 0, "json", OPTION_FLAG, ROW(json), NULL, "print JSON" },
	{ 0 },
};

enum facility_source { A_FACT, A_CAPABILITY };

struct facility {
	const char *name;
	const char *other_name; /* criu(8)'s name of it, for --feature */
	enum facility_source source;
	size_t where;  /* offset of a bool in struct facts, or number of a capability */
	bool required; /* without it nothing can be dumped or restored */
	const char *needed_for;
	const char *without; /* what is done when it is missing */
};

#define FACT(member) A_FACT, offsetof(struct facts, member)

static const struct facility facilities[] = {
	{ "clone3_set_tid", NULL, FACT(clone3_set_tid), true,
	  "giving tasks and threads their ids again", "nothing can be restored" },
	{ "pidfd_getfd", NULL, FACT(pidfd_getfd), true, "reaching the open files of a task",
	  "nothing can be dumped or restored" },
	{ "kcmp", "kcmp_epoll", FACT(kcmp), true, "seeing what tasks share",
	  "nothing can be dumped" },
	{ "map_files", NULL, FACT(map_files), true, "reaching the files that are mapped",
	  "trees that map files cannot be dumped" },
	{ "children_file", NULL, FACT(children_file), true, "finding the tasks of a tree",
	  "nothing can be dumped" },
	{ "ptrace", NULL, A_CAPABILITY, CAP_SYS_PTRACE, true, "stopping and reading tasks",
	  "nothing can be dumped" },
	{ "sys_admin", NULL, A_CAPABILITY, CAP_SYS_ADMIN, true,
	  "making and entering pid namespaces", "trees with namespaces cannot be restored" },
	{ "checkpoint_restore", NULL, A_CAPABILITY, CAP_CHECKPOINT_RESTORE, false,
	  "giving ids and reading map_files without CAP_SYS_ADMIN", "CAP_SYS_ADMIN serves" },
	{ "sys_resource", NULL, A_CAPABILITY, CAP_SYS_RESOURCE, false,
	  "raising hard resource limits",
	  "limits above those of nestor itself cannot be restored" },
	{ "seccomp_get_filter", "seccomp_filters", FACT(seccomp_get_filter), false,
	  "dumping tasks with seccomp filters", "such tasks are refused" },
	{ "rseq_configuration", "get_rseq_conf", FACT(rseq_configuration), false,
	  "dumping the rseq registration of threads", "tasks with one are refused" },
	{ "pagemap_scan", NULL, FACT(pagemap_scan), false, "finding pages fast (Linux 6.7)",
	  "/proc/PID/pagemap is read" },
	{ "uffd_move", NULL, FACT(uffd_move), false, "moving pages on restore (Linux 6.8)",
	  "pages are copied" },
	{ "guard_regions", "pagemap_scan_guard_pages", FACT(guard_regions), false,
	  "restoring guard ranges (MADV_GUARD_INSTALL, Linux 6.13)",
	  "images with guard ranges are refused" },
	{ "pidfd_namespaces", NULL, FACT(pidfd_namespaces), false,
	  "restoring pid namespaces that nested user namespaces own (Linux 6.11)",
	  "trees with them are refused" },
	{ "per_namespace_pid_max", NULL, FACT(per_namespace_pid_max), false,
	  "restoring a namespace's own pid_max (Linux 6.14)", "the host's pid_max holds" },
	{ "timer_restore_ids", NULL, FACT(timer_restore_ids), false,
	  "giving POSIX timers their ids at once (Linux 6.15)",
	  "timers are made and deleted until the id comes up" },
};

enum { N_FACILITIES = sizeof facilities / sizeof facilities[0] };

static bool is_there(const struct facility *facility, const struct facts *facts)
{
	if (facility->source == A_CAPABILITY)
		return facts_has_capability(facts, (int)facility->where);
	return *(const bool *)((const char *)facts + facility->where);
}

static bool can_work(const struct facts *facts)
{
	for (size_t i = 0; i < N_FACILITIES; i++)
		if (facilities[i].required && !is_there(&facilities[i], facts))
			return false;
	return true;
}

static void print_rows(const struct facts *facts, struct text *text)
{
	for (size_t i = 0; i < N_FACILITIES; i++) {
		const struct facility *facility = &facilities[i];
		bool there = is_there(facility, facts);
		text_add(text, "%-8s %-22s %s%s%s\n",
			 there		      ? "yes"
			 : facility->required ? "MISSING"
					      : "no",
			 facility->name, facility->needed_for, there ? "" : "; without it ",
			 there ? "" : facility->without);
	}
	text_add(text, "\n%s\n",
		 can_work(facts) ? "Trees can be dumped and restored here."
				 : "Trees cannot be dumped and restored here.");
}

static void print_json(const struct facts *facts, struct text *text)
{
	text_add(text, "{\"works\": %s, \"facilities\": [", can_work(facts) ? "true" : "false");
	for (size_t i = 0; i < N_FACILITIES; i++) {
		const struct facility *facility = &facilities[i];
		text_add(text, "%s\n  {\"name\": \"%s\", \"available\": %s, \"required\": %s, ",
			 i ? "," : "", facility->name, is_there(facility, facts) ? "true" : "false",
			 facility->required ? "true" : "false");
		text_add(text, "\"needed_for\": ");
		text_add_json_string(text, facility->needed_for);
		text_add(text, ", \"without\": ");
		text_add_json_string(text, facility->without);
		text_add(text, "}");
	}
	text_add(text, "\n]}\n");
}

/* "seccomp-filters" and "seccomp_filters" are one name. */
static bool same_name(const char *one, const char *other)
{
	for (; *one && *other; one++, other++)
		if (*one != *other && !(strchr("-_", *one) && strchr("-_", *other)))
			return false;
	return *one == *other;
}

/* Scripts ask for facilities that criu(8) knows and nestor has no use for yet: those are absent. */
static int check_feature(const char *name, const struct facts *facts)
{
	for (size_t i = 0; i < N_FACILITIES; i++) {
		const struct facility *facility = &facilities[i];
		if (!same_name(name, facility->name) &&
		    (!facility->other_name || !same_name(name, facility->other_name)))
			continue;
		if (is_there(facility, facts))
			return EXIT_DONE;
		fprintf(stderr, "%s is not available here: %s\n", name, facility->without);
		return EXIT_FAILED;
	}
	fprintf(stderr, "%s is not a facility that nestor uses\n", name);
	return EXIT_FAILED;
}

static int run_check(const struct check_arguments *arguments, struct arena *arena)
{
	struct facts facts = { 0 };
	struct error err = { 0 };
	struct text text;

	if (facts_probe(&facts, arena, &err) < 0)
		return command_print_error(&err);
	if (arguments->feature)
		return check_feature(arguments->feature, &facts);
	text_init(&text, arena);
	if (arguments->json)
		print_json(&facts, &text);
	else
		print_rows(&facts, &text);
	if (command_write(text.string, text.length, &err) < 0)
		return command_print_error(&err);
	return can_work(&facts) ? EXIT_DONE : EXIT_FAILED;
}

int command_check(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { check_options, common_options, NULL };
	struct check_arguments arguments = { .common.verbosity = LOG_WARNING };
	struct arena arena;
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, 0, &arguments, &arena, &first, &status))
		status = run_check(&arguments, &arena);
	arena_done(&arena);
	return status;
}
