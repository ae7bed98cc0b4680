// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Uts namespaces: the names that uname(2) gives as nodename and domainname, each up to 64 bytes
 * without a terminator of its own. Whoever is inside sees them; to set them takes CAP_SYS_ADMIN in
 * the owner (kernel/sys.c). They may be any bytes but NUL; the image format has strings.
 */
#include "kinds/namespaces/namespaces.h"

#include "base/text.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/visit.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static int read_names(struct visitor *visitor, void *data, struct error *err)
{
	(void)visitor;
	return uname(data) ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the host name") : 0;
}

static int visit_names(int fd, struct utsname *ret_names, struct error *err)
{
	struct visit there = {
		.what = "reads a uts namespace",
		.namespaces = &fd,
		.n_namespaces = 1,
		.as_owner = true,
		.brief = true,
		.function = read_names,
		.data = ret_names,
		.size = sizeof *ret_names,
	};

	return visit(&there, NULL, 0, err);
}

static int collect(struct collect *collect, struct surveyed_namespace *namespace_,
		   struct error *err)
{
	UtsnsEntry *entry = snapshot_new(collect->snapshot, UTSNS_ENTRY, UtsnsEntry);
	struct utsname names = { 0 };

	if (visit_names(namespace_->fd, &names, err))
		return -1;
	entry->nodename = arena_string(collect->arena, names.nodename);
	entry->domainname = arena_string(collect->arena, names.domainname);
	namespace_->entry->uts = entry;
	return 0;
}

static int check(const struct snapshot *snapshot, const struct namespace *namespace_,
		 struct error *err)
{
	const UtsnsEntry *entry = namespace_->entry->uts;
	struct utsname names;

	(void)snapshot;
	if (!entry || strlen(entry->nodename) >= sizeof names.nodename ||
	    strlen(entry->domainname) >= sizeof names.domainname)
		return fail(err, ERR_IMAGE_INVALID,
			    "uts namespace %u has no names, or longer ones "
			    "than there can be",
			    namespace_->id);
	return 0;
}

static int fill(const struct namespace *namespace_, struct error *err)
{
	const UtsnsEntry *entry = namespace_->entry->uts;

	if (sethostname(entry->nodename, strlen(entry->nodename)) ||
	    setdomainname(entry->domainname, strlen(entry->domainname)))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set the host name");
	return 0;
}

static void describe_names(const char *host, const char *domain, struct text *text)
{
	text_add(text, "host name %s", host);
	if (strcmp(domain, "(none)") != 0)
		text_add(text, ", domain name %s", domain);
}

static void describe(const NsEntry *entry, struct text *text)
{
	if (entry->uts)
		describe_names(entry->uts->nodename, entry->uts->domainname, text);
}

static int look(int fd, pid_t member, struct text *text, struct error *err)
{
	struct utsname names = { 0 };

	(void)member;
	if (visit_names(fd, &names, err))
		return -1;
	describe_names(names.nodename, names.domainname, text);
	return 0;
}

const struct namespace_kind uts_namespace_kind = {
	.type = NAMESPACE_UTS,
	.collect = collect,
	.check = check,
	.fill = fill,
	.describe = describe,
	.look = look,
};
