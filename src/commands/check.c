// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nestor check: what this kernel and these privileges allow, a row for each facility; with --tree,
 * what stands in the way of dumping a tree.
 */
#include "base/log.h"
#include "base/text.h"
#include "commands/command.h"
#include "kernel/facts.h"
#include "options/pipeline-options.h"
#include "pipeline/criu-features.h"
#include "pipeline/facilities.h"
#include "pipeline/pipeline.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct check_arguments {
	struct pipeline_arguments pipeline;
	const char *feature;
};

#define ROW(member) offsetof(struct check_arguments, member)

static const struct option_row check_options[] = {
	{ 0, "feature", OPTION_TEXT, ROW(feature), "NAME",
	  "exit with 0 if this facility is there, with 1 if not" },
	{ 0, "all", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "extra", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "experimental", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "json", OPTION_FLAG, ROW(pipeline.json), NULL, "print JSON" },
	{ 't', "tree", OPTION_PID, PIPELINE_ROW(pid), "PID",
	  "what stands in the way of dumping the tree of PID, which is not touched" },
	{ 0 },
};

/* What a check looks at. */
struct findings {
	struct facts facts;
	struct facts in_namespace;  /* in a user namespace of the caller's own */
	const struct facts *inside; /* that, or NULL */
};

static bool can_work(const struct findings *findings)
{
	const char *missing[2 * MAX_NEEDS];

	for (size_t i = 0; i < n_abilities; i++)
		if (!ability_missing(&abilities[i], &findings->facts, findings->inside, missing))
			return true;
	return false;
}

/* What the caller has only in a user namespace of its own is worth a word of its own. */
static const char *word_for(const struct facility *facility, const struct findings *findings)
{
	if (facility_is_there(facility, &findings->facts))
		return "yes";
	if (findings->inside && facility_is_there(facility, findings->inside))
		return "inside";
	return facility->required ? "MISSING" : "no";
}

static void print_abilities(const struct findings *findings, struct text *text)
{
	const char *missing[2 * MAX_NEEDS];

	text_add(text, "\nCan be dumped and restored here, trees with\n\n");
	for (size_t i = 0; i < n_abilities; i++) {
		size_t count =
			ability_missing(&abilities[i], &findings->facts, findings->inside, missing);
		text_add(text, "%-8s %s", count ? "no" : "yes", abilities[i].text);
		for (size_t k = 0; k < count; k++)
			text_add(text, "%s%s", k ? ", " : "; missing: ", missing[k]);
		text_add(text, "\n");
	}
}

static void print_rows(const struct findings *findings, struct text *text)
{
	bool any_inside = false;

	for (size_t i = 0; i < n_facilities; i++) {
		const struct facility *facility = &facilities[i];
		const char *word = word_for(facility, findings);
		bool there = !strcmp(word, "yes");
		any_inside |= !strcmp(word, "inside");
		text_add(text, "%-8s %-22s %s%s%s\n", word, facility->name, facility->needed_for,
			 there ? "" : "; without it ", there ? "" : facility->without);
	}
	if (any_inside)
		text_add(text, "\ninside: only in a user namespace that one has made oneself\n");
	print_abilities(findings, text);
	if (!can_work(findings))
		text_add(text, "\nTrees cannot be dumped and restored here.\n");
}

static void print_json_abilities(const struct findings *findings, struct text *text)
{
	const char *missing[2 * MAX_NEEDS];

	for (size_t i = 0; i < n_abilities; i++) {
		size_t count =
			ability_missing(&abilities[i], &findings->facts, findings->inside, missing);
		text_add(text, "%s\n  {\"name\": \"%s\", \"available\": %s, \"missing\": [",
			 i ? "," : "", abilities[i].name, count ? "false" : "true");
		for (size_t k = 0; k < count; k++)
			text_add(text, "%s\"%s\"", k ? ", " : "", missing[k]);
		text_add(text, "]}");
	}
}

static void print_json(const struct findings *findings, struct text *text)
{
	text_add(text, "{\"works\": %s, \"abilities\": [", can_work(findings) ? "true" : "false");
	print_json_abilities(findings, text);
	text_add(text, "\n], \"facilities\": [");
	for (size_t i = 0; i < n_facilities; i++) {
		const struct facility *facility = &facilities[i];
		bool inside = findings->inside && facility_is_there(facility, findings->inside);
		text_add(text,
			 "%s\n  {\"name\": \"%s\", \"available\": %s, "
			 "\"available_inside\": %s, \"required\": %s, ",
			 i ? "," : "", facility->name,
			 facility_is_there(facility, &findings->facts) ? "true" : "false",
			 inside ? "true" : "false", facility->required ? "true" : "false");
		text_add(text, "\"needed_for\": ");
		text_add_json_string(text, facility->needed_for);
		text_add(text, ", \"without\": ");
		text_add_json_string(text, facility->without);
		text_add(text, "}");
	}
	text_add(text, "\n]}\n");
}

/* As criu(8) has it: "list" is for the names. */
static int list_features(void)
{
	for (size_t i = 0; i < n_facilities; i++)
		printf("%s\n", facilities[i].name);
	for (size_t i = 0; i < n_facilities; i++)
		if (facilities[i].other_name)
			printf("%s\n", facilities[i].other_name);
	for (unsigned i = 0; criu_feature_name(i); i++)
		printf("%s\n", criu_feature_name(i));
	return EXIT_DONE;
}

static int check_feature(const char *name, const struct facts *facts)
{
	const char *without = "it is not a facility that nestor uses";

	if (strcmp(name, "list") == 0)
		return list_features();

	if (facilities_have(name, facts, &without))
		return EXIT_DONE;
	fprintf(stderr, "%s is not available here: %s\n", name, without);
	return EXIT_FAILED;
}

static int run_check(const struct check_arguments *arguments, struct arena *arena)
{
	struct findings findings = { 0 };
	struct error err = { 0 };
	struct text text;

	if (facts_probe(&findings.facts, arena, &err))
		return command_print_error(&err);
	if (arguments->feature)
		return check_feature(arguments->feature, &findings.facts);
	if (facts_probe_inside(&findings.in_namespace))
		findings.inside = &findings.in_namespace;
	text_init(&text, arena);
	if (arguments->pipeline.json)
		print_json(&findings, &text);
	else
		print_rows(&findings, &text);
	/* Scripts look for these words. */
	if (arguments->pipeline.common.like_criu)
		text_add(&text, "%s\n",
			 can_work(&findings) ? "Looks good." : "Does not look good.");
	if (command_write(text.string, text.length, &err))
		return command_print_error(&err);
	return can_work(&findings) ? EXIT_DONE : EXIT_FAILED;
}

/* ---- A tree ---- */

static void print_look(const struct look *look, const struct pipeline_options *options, bool all,
		       struct text *text)
{
	const struct obstacles *obstacles = &look->obstacles;

	text_add(text, "pid %d (%s), %zu task%s: ", options->pid,
		 text_printable(text->arena, look->root_name), look->n_tasks,
		 look->n_tasks == 1 ? "" : "s");
	if (obstacles->n == 0)
		text_add(text, "nothing is seen that stands in the way of a dump\n");
	else
		text_add(text, "%zu thing%s in the way of a dump, of %zu kind%s\n\n",
			 obstacles->total, obstacles->total == 1 ? " stands" : "s stand",
			 obstacles->n, obstacles->n == 1 ? "" : "s");
	obstacles_print(obstacles, all, text);
	text_add(text, "\nNobody was stopped, so this is not known:\n");
	for (const char *const *line = look_leaves_out; *line; line++)
		text_add(text, "    %s\n", *line);
}

static void print_look_json(const struct look *look, const struct pipeline_options *options,
			    struct text *text)
{
	text_add(text, "{\"pid\": %d, \"name\": ", options->pid);
	text_add_json_string(text, look->root_name);
	text_add(text, ", \"tasks\": %zu, \"obstacles\": ", look->n_tasks);
	obstacles_print_json(&look->obstacles, text);
	text_add(text, ",\n \"unknown\": [");
	for (const char *const *line = look_leaves_out; *line; line++) {
		text_add(text, "%s", line == look_leaves_out ? "" : ", ");
		text_add_json_string(text, *line);
	}
	text_add(text, "]}\n");
}

static int run_look(const struct check_arguments *arguments, struct arena *arena)
{
	const struct pipeline_options *options = &arguments->pipeline.options;
	struct error err = { 0 };
	struct look look;
	struct text text;

	log_open(STDERR_FILENO, (enum log_level)arguments->pipeline.common.verbosity);
	if (pipeline_look(options, arena, &look, &err))
		return command_print_error(&err);
	text_init(&text, arena);
	if (arguments->pipeline.json)
		print_look_json(&look, options, &text);
	else
		print_look(&look, options, arguments->pipeline.common.verbosity >= LOG_INFO, &text);
	if (command_write(text.string, text.length, &err))
		return command_print_error(&err);
	return look.obstacles.n ? EXIT_FAILED : EXIT_DONE;
}

int command_check(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { check_options,  dump_options,
						    images_options, pipeline_options,
						    common_options, NULL };
	struct check_arguments arguments = { 0 };
	struct arena arena;
	int first, status;

	arena_init(&arena);
	pipeline_arguments_init(&arguments.pipeline, command_speaks_criu(), &arena);
	if (command_begin(command, tables, argc, argv, 0, &arguments, &arena, &first, &status))
		status = arguments.pipeline.options.pid ? run_look(&arguments, &arena)
							: run_check(&arguments, &arena);
	arena_done(&arena);
	return status;
}
