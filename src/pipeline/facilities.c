// SPDX-License-Identifier: LGPL-2.1-or-later
/* The facilities that nestor check tells of, and what can be done with which; see facilities.h. */
#include "pipeline/facilities.h"

#include "kernel/kernel-memory.h"
#include "pipeline/criu-features.h"

#include <linux/capability.h>
#include <stddef.h>
#include <string.h>

#define FACT(member) A_FACT, offsetof(struct facts, member)

const struct facility facilities[] = {
	{ "clone3_set_tid", NULL, FACT(clone3_set_tid), false,
	  "giving tasks and threads their ids again", "only in user namespaces of one's own" },
	{ "pidfd_getfd", NULL, FACT(pidfd_getfd), true, "reaching the open files of a task",
	  "nothing can be dumped or restored" },
	{ "kcmp", "kcmp_epoll", FACT(kcmp), true, "seeing what tasks share",
	  "nothing can be dumped" },
	{ "map_files", NULL, FACT(map_files), false, "reaching mapped files that have no name",
	  "such files are refused, others found by their names" },
	{ "children_file", NULL, FACT(children_file), true, "finding the tasks of a tree",
	  "nothing can be dumped" },
	{ "ptrace", NULL, A_CAPABILITY, CAP_SYS_PTRACE, false,
	  "stopping and reading tasks of others, and those that are not dumpable",
	  "only tasks of one's own" },
	{ "sys_admin", NULL, A_CAPABILITY, CAP_SYS_ADMIN, false,
	  "making and entering pid namespaces", "only in user namespaces of one's own" },
	{ "dac_override", NULL, A_CAPABILITY, CAP_DAC_OVERRIDE, false,
	  "opening what /proc has of other users' tasks", "only tasks of one's own" },
	{ "kill", NULL, A_CAPABILITY, CAP_KILL, false,
	  "ending other users' tasks once they are dumped", "they have to go on" },
	{ "setpcap", NULL, A_CAPABILITY, CAP_SETPCAP, false,
	  "restoring bounding sets and securebits", "they have to be those of nestor" },
	{ "setuid", NULL, A_CAPABILITY, CAP_SETUID, false, "giving tasks the users they had",
	  "all have the user of nestor" },
	{ "setgid", NULL, A_CAPABILITY, CAP_SETGID, false, "giving tasks the groups they had",
	  "all have the groups of nestor" },
	{ "checkpoint_restore", NULL, A_CAPABILITY, CAP_CHECKPOINT_RESTORE, false,
	  "giving ids and reading map_files without CAP_SYS_ADMIN", "CAP_SYS_ADMIN serves" },
	{ "sys_resource", NULL, A_GLOBAL_CAPABILITY, CAP_SYS_RESOURCE, false,
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
	{ "memory_seals", NULL, FACT(memory_seals), false,
	  "restoring sealed memory (mseal, Linux 6.10)", "images with such memory are refused" },
	{ "protection_keys", NULL, FACT(protection_keys), false,
	  "restoring protection keys of memory", "images with such keys are refused" },
	{ "pidfd_namespaces", NULL, FACT(pidfd_namespaces), false,
	  "restoring pid namespaces that nested user namespaces own (Linux 6.11)",
	  "trees with them are refused" },
	{ "per_namespace_pid_max", NULL, FACT(per_namespace_pid_max), false,
	  "restoring a namespace's own pid_max (Linux 6.14)", "the host's pid_max holds" },
	{ "timer_restore_ids", NULL, FACT(timer_restore_ids), false,
	  "giving POSIX timers their ids at once (Linux 6.15)",
	  "timers are made and deleted until the id comes up" },
	{ "kernel_memory", NULL, A_LOOK, 0, false,
	  "dumping what clients of unix and TCP sockets have sent before they were accepted, "
	  "eventfds of io_uring, overlays whose layers have other names by now, and empty "
	  "datagrams that somebody has looked at",
	  "the former two are refused, and what is seen of the latter is believed",
	  kernel_memory_is_readable },
};

const size_t n_facilities = sizeof facilities / sizeof facilities[0];

/*
 * Making a tree takes more than dumping it; what is named here is needed for both. Inside of a
 * user namespace of one's own, the privileges are those that its owner has there.
 */
const struct ability abilities[] = {
	{ "own_processes",
	  "processes of one's own",
	  { "clone3_set_tid", "pidfd_getfd", "kcmp", "children_file" },
	  { NULL } },
	{ "other_users",
	  "processes of other users",
	  { "clone3_set_tid", "pidfd_getfd", "kcmp", "children_file", "ptrace", "dac_override",
	    "kill", "setuid", "setgid", "setpcap" },
	  { NULL } },
	{ "namespaces",
	  "pid and user namespaces of others",
	  { "clone3_set_tid", "pidfd_getfd", "kcmp", "children_file", "ptrace", "dac_override",
	    "kill", "setuid", "setgid", "setpcap", "sys_admin" },
	  { NULL } },
	{ "own_user_namespaces",
	  "pid and user namespaces below a user namespace of one's own",
	  { "pidfd_getfd", "kcmp", "children_file" },
	  { "clone3_set_tid", "sys_admin" } },
};

const size_t n_abilities = sizeof abilities / sizeof abilities[0];

bool facility_is_there(const struct facility *facility, const struct facts *facts)
{
	if (facility->source == A_LOOK)
		return facility->look();
	if (facility->source == A_GLOBAL_CAPABILITY && !facts->in_initial_user_namespace)
		return false;
	if (facility->source != A_FACT)
		return facts_has_capability(facts, (int)facility->where);
	return *(const bool *)((const char *)facts + facility->where);
}

static const struct facility *find_facility(const char *name)
{
	for (size_t i = 0; i < n_facilities; i++)
		if (!strcmp(facilities[i].name, name))
			return &facilities[i];
	return NULL;
}

static size_t missing_of(const char *const *names, const struct facts *facts, const char **missing)
{
	size_t count = 0;

	for (size_t i = 0; i < MAX_NEEDS && names[i]; i++)
		if (!facts || !facility_is_there(find_facility(names[i]), facts))
			missing[count++] = names[i];
	return count;
}

size_t ability_missing(const struct ability *ability, const struct facts *facts,
		       const struct facts *inside, const char **missing)
{
	size_t count = missing_of(ability->outside, facts, missing);

	if (ability->inside[0] && !inside)
		missing[count++] = "user_namespaces";
	else if (ability->inside[0])
		count += missing_of(ability->inside, inside, missing + count);
	return count;
}

bool facilities_have(const char *name, const struct facts *facts, const char **ret_without)
{
	for (size_t i = 0; i < n_facilities; i++) {
		const struct facility *facility = &facilities[i];
		if (!feature_names_equal(name, facility->name) &&
		    (!facility->other_name || !feature_names_equal(name, facility->other_name)))
			continue;
		*ret_without = facility->without;
		return facility_is_there(facility, facts);
	}
	return criu_feature_is_there(name, ret_without);
}
