// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Holders: processes that do nothing but have descriptors open which would be too many in one. What
 * is needed once more is fetched, and does not stay for long.
 *
 * Batches of what is opened early are in the plan, and tasks fetch them from their holders. What is
 * made all at once (sockets), and what is opened late, goes to holders of its own whenever there is
 * enough of it: these come to be as they are needed, and end when nothing of theirs is left to ask
 * for.
 */
#include "base/cleanup.h"
#include "base/compare.h"
#include "kernel/end-child.h"
#include "kernel/syscalls.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- Fetching ---- */

int run_fetch(const struct run *run, uint32_t holder, uint32_t number)
{
	return kernel_pidfd_getfd(run->holders[holder].pidfd, (int)number, 0);
}

static void end_holder(struct run_holder *holder)
{
	if (!holder->pid)
		return;
	end_child(holder->pid);
	close(holder->pidfd);
	*holder = (struct run_holder){ .pidfd = -1 };
}

/* ---- Sources that holders have, and we once more ---- */

static void forget(const struct run *run, size_t at)
{
	struct run_fetched *fetched = run->fetched;

	close(take_fd(&run->source_fds[fetched->sources[at]]));
	fetched->n--;
	for (; at < fetched->n; at++)
		fetched->sources[at] = fetched->sources[at + 1];
}

void run_forget_fetched(const struct run *run)
{
	while (run->fetched->n)
		forget(run, run->fetched->n - 1);
}

/* Who was asked for last goes last: a message that is sent has some of them at once. */
static void ask_again(struct run_fetched *fetched, size_t index)
{
	size_t at = 0;

	while (at < fetched->n && fetched->sources[at] != index)
		at++;
	if (at == fetched->n)
		return;
	for (; at + 1 < fetched->n; at++)
		fetched->sources[at] = fetched->sources[at + 1];
	fetched->sources[at] = index;
}

int run_source_fd(const struct run *run, size_t index)
{
	struct run_fetched *fetched = run->fetched;
	uint32_t holder = run->source_holders[index];

	if (!holder)
		return run->source_fds[index];
	if (run->source_fds[index] >= 0) {
		ask_again(fetched, index);
		return run->source_fds[index];
	}
	if (fetched->n == fetched->room)
		forget(run, 0);
	int fd = run_fetch(run, holder, run->source_numbers[index]);
	if (fd < 0)
		return -1;
	run->source_fds[index] = fd;
	fetched->sources[fetched->n++] = index;
	return fd;
}

/* ---- What kinds keep ---- */

static int kept_again(const struct file_opener *opener, size_t place)
{
	const struct run *run = opener->run;
	const struct run_kept *kept = place < run->n_kept ? &run->kept[place] : NULL;

	if (!kept || !kept->holder) {
		errno = EBADF;
		return -1;
	}
	return run_fetch(run, kept->holder, kept->number);
}

static void let_go(const struct file_opener *opener, size_t place)
{
	const struct run *run = opener->run;
	struct run_kept *kept = place < run->n_kept ? &run->kept[place] : NULL;

	if (!kept || !kept->holder)
		return;
	struct run_holder *holder = &run->holders[kept->holder];
	kept->holder = 0;
	if (--holder->n_left == 0)
		end_holder(holder);
}

/* Returns how many of them nobody had before. */
static size_t leave_kept(struct run *run, uint32_t holder, bool only_copies)
{
	struct file_opener *opener = &run->opener;
	size_t n_left = 0;

	while (run->n_kept < opener->n_kept_fds) {
		run->kept = arena_grow(run->arena, run->kept, run->n_kept, sizeof *run->kept);
		run->kept[run->n_kept++] = (struct run_kept){ 0 };
	}
	for (size_t i = 0; i < opener->n_kept_fds; i++) {
		struct run_kept *kept = &run->kept[i];
		if (opener->kept_fds[i] < 0 || opener->pinned[i] || (only_copies && !kept->holder))
			continue;
		if (!kept->holder) {
			*kept = (struct run_kept){ holder, (uint32_t)opener->kept_fds[i] };
			n_left++;
		}
		close(take_fd(&opener->kept_fds[i]));
		opener->n_here--;
	}
	return n_left;
}

/* ---- Holders ---- */

static int by_number(const void *a, const void *b)
{
	const int *one = a, *other = b;

	return compare_values(*one, *other);
}

/* Nothing but what it is to hold, so that all else is closed when we close it. */
static void close_others(int *fds, size_t n)
{
	unsigned next = 0;

	if (n)
		qsort(fds, n, sizeof *fds, by_number);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned)fds[i] > next)
			close_range(next, (unsigned)fds[i] - 1, 0);
		next = (unsigned)fds[i] + 1;
	}
	close_range(next, ~0U, 0);
}

__attribute__((noreturn)) static void be_holder(pid_t coordinator, int *fds, size_t n)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_others(fds, n);
	/* We may have died before it was asked to go with us. */
	while (getppid() == coordinator)
		pause();
	_exit(1);
}

/* Holders are asked for by numbers which are ours, and not those of sources. */
static int lift(const struct run *run, int fd, struct error *err)
{
	uint32_t floor = run->sources_floor;
	autoclose int low = fd;
	int high;

	if (low < 0 || (uint32_t)low >= floor || (uint32_t)low < run->plan->first_source)
		return take_fd(&low);
	high = fcntl(low, F_DUPFD_CLOEXEC, (int)floor);
	if (high >= 0)
		return high;
	if (errno != EMFILE && errno != EINVAL)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot duplicate a descriptor");
	fail_errno(err, ERR_LIMIT_TOO_LOW, "cannot open a descriptor above %" PRIu32, floor);
	return fail_hint(err, "raise the hard limit of open files (ulimit -Hn)");
}

static int start_holder(struct run *run, uint32_t index, int *fds, size_t n, struct error *err)
{
	pid_t coordinator = getpid(), pid = fork();

	if (pid < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	if (!pid)
		be_holder(coordinator, fds, n);
	/* From here on it is ended with the others. */
	run->holders[index] = (struct run_holder){ .pid = pid, .pidfd = -1 };
	int pidfd = kernel_pidfd_open(pid, 0);
	if (pidfd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a pidfd");
	pidfd = lift(run, pidfd, err);
	run->holders[index].pidfd = pidfd;
	return pidfd < 0 ? -1 : 0;
}

static void add_kept(const struct run *run, int *fds, size_t *n)
{
	const struct file_opener *opener = &run->opener;

	for (size_t i = 0; i < opener->n_kept_fds; i++)
		if (opener->kept_fds[i] >= 0 && !opener->pinned[i] &&
		    !(i < run->n_kept && run->kept[i].holder))
			fds[(*n)++] = opener->kept_fds[i];
}

static void leave_source(struct run *run, size_t index, uint32_t holder)
{
	run->source_holders[index] = holder;
	run->source_numbers[index] = (uint32_t)run->source_fds[index];
	close(take_fd(&run->source_fds[index]));
	run->holders[holder].n_left++;
}

int run_hold_sources(struct run *run, uint32_t holder, struct error *err)
{
	const struct plan *plan = run->plan;
	autofree int *fds = calloc(plan->n_sources + run->opener.n_kept_fds + 1, sizeof *fds);
	size_t n = 0;

	for (size_t i = 0; fds && i < plan->n_sources; i++)
		if (plan->sources[i].holder == holder)
			fds[n++] = run->source_fds[i];
	if (!fds)
		return fail_errno(err, ERR_KERNEL_REFUSED, "no memory");
	add_kept(run, fds, &n);
	if (start_holder(run, holder, fds, n, err))
		return -1;
	for (size_t i = 0; i < plan->n_sources; i++)
		if (plan->sources[i].holder == holder)
			leave_source(run, i, holder);
	run->holders[holder].n_left += leave_kept(run, holder, false) + 1;
	return 0;
}

static bool is_late_and_here(const struct run *run, size_t index)
{
	return run->plan->sources[index].way != FILE_EARLY && run->source_fds[index] >= 0 &&
	       !run->source_holders[index];
}

/* Tasks fetch it from there. */
static void tell_place(const struct run *run, size_t index, int pidfd, int number)
{
	const struct source *source = &run->plan->sources[index];

	if (!source->number_slot)
		return;
	*slot_at(source->holder_slot) = (uint64_t)pidfd;
	*slot_at(source->number_slot) = (uint64_t)number;
}

/* All that can go; those that holders have are not needed once more. */
int run_leave_all(struct run *run, struct error *err)
{
	const struct plan *plan = run->plan;
	autofree int *fds = calloc(plan->n_sources + run->opener.n_kept_fds + 1, sizeof *fds);
	uint32_t holder = run->n_holders;
	size_t n = 0;

	if (!fds)
		return fail_errno(err, ERR_KERNEL_REFUSED, "no memory");
	for (size_t i = 0; i < plan->n_sources; i++)
		if (is_late_and_here(run, i))
			fds[n++] = run->source_fds[i];
	add_kept(run, fds, &n);
	if (n) {
		run->holders = arena_grow(run->arena, run->holders, run->n_holders++,
					  sizeof *run->holders);
		run->holders[holder] = (struct run_holder){ .pidfd = -1 };
		if (start_holder(run, holder, fds, n, err))
			return -1;
	}
	for (size_t i = 0; n && i < plan->n_sources; i++)
		if (is_late_and_here(run, i)) {
			tell_place(run, i, run->holders[holder].pidfd, run->source_fds[i]);
			leave_source(run, i, holder);
		}
	size_t n_left = leave_kept(run, holder, false);
	if (n)
		run->holders[holder].n_left += n_left;
	run->n_late_here = 0;
	return 0;
}

/* Copies go first: there is a holder that has them. */
static int make_room(struct file_opener *opener, struct error *err)
{
	struct run *run = (struct run *)(uintptr_t)opener->run;
	uint32_t most = run->plan->here_at_once;

	if (!run->plan->n_holders || opener->n_here + run->n_late_here < most)
		return 0;
	leave_kept(run, 0, true);
	return opener->n_here + run->n_late_here < most / 8 * 7 ? 0 : run_leave_all(run, err);
}

void run_tell_numbers(struct run *run)
{
	const struct plan *plan = run->plan;

	for (size_t i = 0; plan->n_holders && i < plan->n_sources; i++)
		if (plan->sources[i].holder && plan->sources[i].number_slot)
			*slot_at(plan->sources[i].number_slot) = run->source_numbers[i];
	for (size_t i = 1; i <= plan->n_holders; i++)
		if (plan->holder_slots[i])
			*slot_at(plan->holder_slots[i]) = (uint64_t)run->holders[i].pidfd;
}

void run_prepare_holders(struct run *run)
{
	const struct plan *plan = run->plan;

	run->opener.kept_again = kept_again;
	run->opener.let_go = let_go;
	run->opener.make_room = make_room;
	run->source_numbers = arena_array(run->arena, uint32_t, plan->n_sources + 1);
	run->source_holders = arena_array(run->arena, uint32_t, plan->n_sources + 1);
	run->n_holders = plan->n_holders + 1;
	run->fetched = arena_new(run->arena, struct run_fetched);
	run->fetched->room = plan->fetched_at_once ? plan->fetched_at_once : 1;
	run->fetched->sources = arena_array(run->arena, size_t, run->fetched->room);
	/* As it grows when more are needed. */
	for (uint32_t i = 0; i < run->n_holders; i++) {
		run->holders = arena_grow(run->arena, run->holders, i, sizeof *run->holders);
		run->holders[i] = (struct run_holder){ .pidfd = -1 };
	}
}

void run_end_batch_holders(struct run *run)
{
	for (uint32_t i = 1; run->holders && i < run->n_holders; i++)
		end_holder(&run->holders[i]);
	run->holders = NULL;
}
