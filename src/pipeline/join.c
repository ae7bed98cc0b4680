// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Namespaces of others for a restored tree; see join.h. A namespace that is joined is one that lies
 * outside and is given by a descriptor, as those that were named at the dump.
 */
#include "pipeline/join.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "model/namespaces.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static int find_type(const char *text, enum namespace_type *ret_type, struct error *err)
{
	size_t length = strcspn(text, ":");

	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++) {
		if (strlen(namespace_types[type].name) != length ||
		    strncmp(namespace_types[type].name, text, length) != 0)
			continue;
		*ret_type = type;
		if (namespace_can_be_given(type))
			return 0;
		return fail(err, ERR_USAGE, "--join-ns %s: a %s namespace cannot be joined", text,
			    namespace_types[type].words);
	}
	fail(err, ERR_USAGE, "--join-ns %s is not well formed", text);
	return fail_hint(err, "give TYPE:PID or TYPE:FILE, as in net:/run/netns/blue");
}

/* A number is a process. */
static int open_one(const char *text, enum namespace_type type, struct error *err)
{
	const char *where = text + strcspn(text, ":");
	char path[64];

	where += *where == ':';
	if (!*where)
		return fail(err, ERR_USAGE, "--join-ns %s names no process and no file", text);
	if (strspn(where, "0123456789") == strlen(where)) {
		snprintf(path, sizeof path, "/proc/%.20s/%s", where, namespace_types[type].link);
		where = path;
	}
	autoclose int fd = open(where, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, ERR_USAGE, "--join-ns %s: cannot open %s", text, where);
	int found = ioctl(fd, NS_GET_NSTYPE);
	if (found < 0 && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "--join-ns %s: cannot look at %s", text,
				  where);
	if (found != (int)namespace_types[type].flag)
		return fail(err, ERR_USAGE, "--join-ns %s: %s is no %s namespace", text, where,
			    namespace_types[type].words);
	return take_fd(&fd);
}

int joining_open(struct joining *joining, const struct pipeline_options *options, struct error *err)
{
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		joining->fds[type] = -1;
	for (size_t i = 0; i < options->join_ns.count; i++) {
		const char *text = options->join_ns.texts[i];
		enum namespace_type type = NAMESPACE_NET;
		if (find_type(text, &type, err))
			return -1;
		if (joining->fds[type] >= 0)
			return fail(err, ERR_USAGE, "--join-ns %s: there is one already", text);
		joining->fds[type] = open_one(text, type, err);
		if (joining->fds[type] < 0)
			return -1;
	}
	return 0;
}

/* Its content is that of somebody else, and not known. */
static void forget_content(NsEntry *entry)
{
	entry->net = NULL;
	entry->uts = NULL;
	entry->ipc = NULL;
}

int joining_apply(const struct joining *joining, struct snapshot *snapshot,
		  struct externals *externals, struct error *err)
{
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++) {
		const char *words = namespace_types[type].words;
		if (joining->fds[type] < 0)
			continue;
		struct namespace *own = thread_namespace(snapshot, &snapshot->tasks[0], 0, type);
		if (!own) {
			fail(err, ERR_USAGE,
			     "--join-ns %s: the tree has no %s namespace of its own, in whose "
			     "place this could be",
			     namespace_types[type].name, words);
			return fail_hint(err, "run nestor restore inside of it: nsenter(1)");
		}
		char *key = arena_printf(snapshot->arena, "join-ns-%s", namespace_types[type].name);
		own->entry->ext_key = key;
		forget_content(own->entry);
		externals_inherit_fd(externals, snapshot->arena, joining->fds[type], key);
	}
	return 0;
}

void joining_close(struct joining *joining)
{
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++) {
		cleanup_close(&joining->fds[type]);
		joining->fds[type] = -1;
	}
}
