// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making plain namespaces, before the tree: each by a process that has entered the owner, unshares,
 * and fills it by its kind. It ends then; the namespace is kept by a descriptor, which is a source.
 *
 * The owner of a namespace is the user namespace of whoever makes it (create_new_namespaces,
 * kernel/nsproxy.c). What unshare(2) has made is there under made_link: of time namespaces it is
 * that of the maker's children.
 */
#include "base/cleanup.h"
#include "kernel/visit.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>

struct making {
	struct file_opener *opener;
	const struct namespace *namespace_;
	const struct namespace_kind *kind;
};

static int fail_unshare(const struct namespace_type_row *type, struct error *err)
{
	fail_errno(err, errno == ENOSPC ? ERR_LIMIT_TOO_LOW : ERR_KERNEL_REFUSED,
		   "cannot make a %s namespace", type->words);
	if (err->os_errno == ENOSPC)
		return fail_hint(err, "raise user.max_%s_namespaces (sysctl)", type->name);
	return -1;
}

static int go(void *data, struct error *err)
{
	const struct making *making = data;

	return making->kind->go ? making->kind->go(making->opener, making->namespace_, err) : 0;
}

static int make(struct visitor *visitor, void *data, struct error *err)
{
	const struct making *making = data;
	const struct namespace_type_row *type = &namespace_types[making->namespace_->type];
	char path[64];

	if (making->kind->unborn)
		making->kind->unborn(making->namespace_);
	if (unshare((int)type->flag))
		return fail_unshare(type, err);
	bool later = making->kind->is_joined && making->kind->is_joined(making->namespace_);
	if (!later && making->kind->fill && making->kind->fill(making->namespace_, err))
		return -1;
	snprintf(path, sizeof path, "/proc/thread-self/%s", type->made_link);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", path);
	return visitor_hand_over(visitor, fd, err);
}

int *run_plain_namespaces(struct run *run)
{
	size_t n = run->plan->snapshot->n_plain_namespaces;

	if (run->plain_namespaces)
		return run->plain_namespaces;
	run->plain_namespaces = arena_array(run->arena, int, n + 1);
	for (size_t i = 0; i < n; i++)
		run->plain_namespaces[i] = -1;
	return run->plain_namespaces;
}

/* Found, and with all that is in it. */
static bool is_found(const struct run *run, const struct namespace *namespace_)
{
	return run->found_namespaces && run->found_namespaces[namespace_->index];
}

static void keep_found(struct run *run, const struct namespace *namespace_, int fd)
{
	if (!run->found_namespaces)
		run->found_namespaces =
			arena_array(run->arena, bool, run->plan->snapshot->n_plain_namespaces);
	run->found_namespaces[namespace_->index] = true;
	run_plain_namespaces(run)[namespace_->index] = fd;
}

/* One of somebody outside, by the key that it got at the dump. */
static int take_given(struct run *run, const struct namespace *namespace_, struct error *err)
{
	const struct namespace_type_row *type = &namespace_types[namespace_->type];
	const char *key = namespace_->entry->ext_key;
	int given = externals_fd(run->plan->externals, key);

	if (given < 0) {
		fail(err, ERR_NOT_GIVEN, "%s namespace %u is outside of the tree, and is not given",
		     type->words, namespace_->id);
		return fail_hint(err, "give it with --inherit-fd fd[N]:%s", key);
	}
	int found = ioctl(given, NS_GET_NSTYPE);
	if (found < 0 && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot look at descriptor %d, given for %s", given, key);
	if (found != (int)type->flag)
		return fail(err, ERR_USAGE, "descriptor %d, given for %s, is no %s namespace",
			    given, key, type->words);
	int fd = fcntl(given, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot take descriptor %d for %s",
				  given, key);
	keep_found(run, namespace_, fd);
	return 0;
}

/* 1 if it is there still, else 0; -1 with err. */
static int find(struct run *run, const struct namespace *namespace_, struct error *err)
{
	const struct namespace_kind *kind = run->plan->kinds->namespaces[namespace_->type];
	int fd = -1, found = kind->find ? kind->find(&run->opener, namespace_, &fd, err) : 0;

	if (found <= 0)
		return found;
	keep_found(run, namespace_, fd);
	return 1;
}

int run_seek_namespace(struct run *run, const struct namespace *namespace_, struct error *err)
{
	const struct namespace_kind *kind = run->plan->kinds->namespaces[namespace_->type];

	if (namespace_->entry->ext_key)
		return take_given(run, namespace_, err) ? -1 : 1;
	int found = find(run, namespace_, err);
	if (found == 0 && kind->prepare &&
	    kind->prepare(&run->opener, namespace_, run->plan->cgroup_mode, err))
		return fail_while(err, "making %s namespace %u",
				  namespace_types[namespace_->type].words, namespace_->id);
	return found;
}

int run_new_namespace(struct run *run, const struct namespace *namespace_, struct error *err)
{
	struct making making = { &run->opener, namespace_,
				 run->plan->kinds->namespaces[namespace_->type] };
	int owner =
		namespace_->owner->depth ? run_user_namespace(run, namespace_->owner->base.id) : -1;
	struct visit there = {
		.what = "makes a namespace",
		.namespaces = &owner,
		.n_namespaces = owner >= 0,
		.before = go,
		/* It sets the clocks by a file of its own. */
		.brief = namespace_->type != NAMESPACE_TIME,
		.function = make,
		.data = &making,
		.size = sizeof making,
		.timeout_seconds = run->options->timeout_seconds,
		.check = run_check_interrupted,
	};
	int fd;

	if (visit(&there, &fd, 1, err))
		return fail_while(err, "making %s namespace %u",
				  namespace_types[namespace_->type].words, namespace_->id);
	run->plain_namespaces[namespace_->index] = fd;
	return 0;
}

int run_join_namespace(struct run *run, const struct namespace *namespace_, struct error *err)
{
	const struct namespace_kind *kind = run->plan->kinds->namespaces[namespace_->type];

	if (is_found(run, namespace_))
		return 0;
	run->opener.plain_namespaces = run_plain_namespaces(run);
	if (kind->join(&run->opener, namespace_, err))
		return fail_while(err, "joining %s namespace %u to others",
				  namespace_types[namespace_->type].words, namespace_->id);
	return 0;
}

static int fill_from_inside(struct visitor *visitor, void *data, struct error *err)
{
	const struct making *making = data;

	(void)visitor;
	return making->kind->fill ? making->kind->fill(making->namespace_, err) : 0;
}

static int finish_from_inside(struct visitor *visitor, void *data, struct error *err)
{
	const struct making *making = data;

	(void)visitor;
	return making->kind->finish(making->namespace_, err);
}

/* In a process of its own that has entered it. */
static int go_inside(struct run *run, struct making *making,
		     int (*function)(struct visitor *visitor, void *data, struct error *err),
		     struct error *err)
{
	const struct namespace *namespace_ = making->namespace_;
	int own = run_plain_namespaces(run)[namespace_->index];
	int both[] = { namespace_->owner->depth
			       ? run_user_namespace(run, namespace_->owner->base.id)
			       : own,
		       own };
	struct visit there = {
		.what = "fills a namespace",
		.namespaces = both,
		.n_namespaces = namespace_->owner->depth ? 2 : 1,
		.brief = namespace_->type != NAMESPACE_TIME,
		.function = function,
		.data = making,
		.size = sizeof *making,
		.timeout_seconds = run->options->timeout_seconds,
		.check = run_check_interrupted,
	};

	return visit(&there, NULL, 0, err);
}

int run_fill_namespace(struct run *run, const struct namespace *namespace_, struct error *err)
{
	struct making making = { &run->opener, namespace_,
				 run->plan->kinds->namespaces[namespace_->type] };

	if (is_found(run, namespace_))
		return 0;
	run->opener.plain_namespaces = run_plain_namespaces(run);
	if ((making.kind->join_late && making.kind->join_late(&run->opener, namespace_, err)) ||
	    go_inside(run, &making, fill_from_inside, err))
		return fail_while(err, "filling %s namespace %u",
				  namespace_types[namespace_->type].words, namespace_->id);
	return 0;
}

int run_finish_namespace(struct run *run, const struct namespace *namespace_, struct error *err)
{
	struct making making = { &run->opener, namespace_,
				 run->plan->kinds->namespaces[namespace_->type] };

	if (!is_found(run, namespace_) && go_inside(run, &making, finish_from_inside, err))
		return fail_while(err, "finishing %s namespace %u",
				  namespace_types[namespace_->type].words, namespace_->id);
	return 0;
}

int run_fill_made_namespace(struct run *run, const void *made_namespace, struct error *err)
{
	const struct made_namespace *made = made_namespace;
	const struct namespace *namespace_ = made->namespace_;
	const struct namespace_kind *kind = run->plan->kinds->namespaces[namespace_->type];
	struct run_thread *maker =
		run_thread(run, namespace_->maker->index, namespace_->maker_thread);
	char path[64];

	if (run_find_pids(run, &maker, 1, err))
		return -1;
	snprintf(path, sizeof path, "/proc/%d/%s", (int)maker->tid,
		 namespace_types[namespace_->type].made_link);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", path);
	run_plain_namespaces(run)[namespace_->index] = fd;
	if (kind->fill_made && kind->fill_made(namespace_, maker->tid, fd, err))
		return fail_while(err, "filling %s namespace %u",
				  namespace_types[namespace_->type].words, namespace_->id);
	*slot_at(made->number_slot) = (uint64_t)fd;
	run_set_word(word_at(made->ready_word), 1);
	return 0;
}

int run_namespace(const struct run *run, uint32_t id)
{
	const struct namespace *plain = snapshot_plain_namespace(run->plan->snapshot, id);

	return plain ? run->plain_namespaces[plain->index] : run_user_namespace(run, id);
}

void run_close_plain_namespaces(struct run *run)
{
	size_t n = run->plain_namespaces ? run->plan->snapshot->n_plain_namespaces : 0;

	for (size_t i = 0; i < n; i++)
		if (run->plain_namespaces[i] >= 0)
			close(run->plain_namespaces[i]);
	run->plain_namespaces = NULL;
}
