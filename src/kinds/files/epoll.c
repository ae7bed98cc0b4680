// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * epoll(7): an instance, and what it watches: open files, each under the number by which it was
 * added, with events and data. Number and file are the key: the number may mean another file by
 * now, or none, and the file may be open elsewhere only. kcmp (KCMP_EPOLL_TFD) tells which file it
 * is.
 *
 * When all files are open, a visitor (kernel/visit.h) gives each file its number and adds it; the
 * kernel keeps the file and the number, not whose table it was in. A signalfd alone is watched by
 * way of the signals of who adds it: that is the first task that has both, in its own program.
 *
 * An entry that has fired and is disabled (EPOLLONESHOT) shows no event; epoll_ctl cannot make it
 * so, as it always adds EPOLLERR and EPOLLHUP. It is added for all events and let fire: a pipe that
 * is empty or full, a timer, a listener, an inotify or epoll instance that is not ready for
 * anything is made so for a moment (epoll-fire.c). Refused if any other file is not ready, but of
 * a FUSE whose driver is in the tree: it is while nestor answers for that.
 *
 * What is watched by its edge (EPOLLET) and is ready is told once more after a restore: whether it
 * had been told is shown by nothing. Cycles of instances cannot be (ELOOP), nor more than five
 * deep.
 */
#include "kinds/files/epoll-fire.h"
#include "kinds/files/files.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/visit.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MOST_SECONDS = 60 };

/* fs/eventpoll.c: EP_PRIVATE_BITS, EP_MAX_NESTS and itself. */
static const uint32_t private_events = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
enum { MOST_NESTED = 5, MOST_VISITS = 100000 };

/* EPIOCSPARAMS, EPIOCGPARAMS (6.9), linux/eventpoll.h. */
struct busy_poll {
	uint32_t microseconds;
	uint16_t budget;
	uint8_t prefer, padding;
};
#define SET_BUSY_POLL _IOW(0x8a, 1, struct busy_poll)
#define GET_BUSY_POLL _IOR(0x8a, 2, struct busy_poll)

static bool is_disabled(const EventpollTfdEntry *item)
{
	return (item->events & EPOLLONESHOT) && !(item->events & ~private_events);
}

/* ---- Dump ---- */

struct known_epoll {
	struct known_epoll *next;
	const struct target *target;
	uint32_t number;
	EventpollFileEntry *record;
	const char *what;
};

static bool epoll_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:[eventpoll]") == 0 && !(file->flags & O_PATH);
}

static const char *parse_item(const char *line, EventpollTfdEntry *item)
{
	unsigned device;

	item->has_dev = item->has_inode = item->has_pos = true;
	if (sscanf(line,
		   "tfd: %" SCNu32 " events: %" SCNx32 " data: %" SCNx64 " pos:%" SCNu64
		   " ino:%" SCNx64 " sdev:%x",
		   &item->tfd, &item->events, &item->data, &item->pos, &item->inode, &device) != 6)
		return NULL;
	/* The kernel's own form: 12 bits of major above 20 of minor. */
	item->dev = (uint32_t)makedev(device >> 20, device & 0xfffff);
	return line;
}

static int parse_items(const struct open_file *file, EventpollFileEntry *record, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	const char *line = file->fdinfo;

	while ((line = strstr(line, "tfd:"))) {
		EventpollTfdEntry *item =
			snapshot_new(snapshot, EVENTPOLL_TFD_ENTRY, EventpollTfdEntry);
		if (!parse_item(line, item))
			return fail(err, ERR_KERNEL_REFUSED, "%s: cannot read what it watches",
				    file->what);
		item->id = file->id;
		record->tfd = arena_grow(snapshot->arena, record->tfd, record->n_tfd,
					 sizeof *record->tfd);
		record->tfd[record->n_tfd++] = item;
		line += strlen("tfd:");
	}
	return 0;
}

static int read_busy_poll(const struct open_file *file, EventpollFileEntry *record,
			  struct error *err)
{
	struct busy_poll busy = { 0 };
	autoclose int fd = collect_get_file(file, err);

	if (fd < 0)
		return -1;
	if (ioctl(fd, GET_BUSY_POLL, &busy) < 0)
		return errno_tells_nothing(errno)
			       ? fail_errno(err, ERR_KERNEL_REFUSED,
					    "%s: cannot tell whether it polls busily", file->what)
			       : 0;
	if (!busy.microseconds && !busy.budget && !busy.prefer)
		return 0;
	record->has_busy_microseconds = record->has_busy_budget = true;
	record->has_busy_preferred = true;
	record->busy_microseconds = busy.microseconds;
	record->busy_budget = busy.budget;
	record->busy_preferred = busy.prefer;
	return 0;
}

static int epoll_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	EventpollFileEntry *record =
		snapshot_new(collect->snapshot, EVENTPOLL_FILE_ENTRY, EventpollFileEntry);

	entry->epfd = record;
	record->id = file->id;
	record->flags = file->flags;
	if (read_busy_poll(file, record, err) || parse_items(file, record, err))
		return -1;
	void **kept = collect_state(collect, &epoll_kind);
	struct known_epoll *known = arena_new(collect->arena, struct known_epoll);
	*known = (struct known_epoll){ *kept, file->target, file->number, record, file->what };
	*kept = known;
	return 0;
}

/* How many with the same number stand before it: all that tells them apart (kcmp(2)). */
static uint32_t offset_of(const EventpollFileEntry *record, size_t index)
{
	uint32_t offset = 0;

	for (size_t i = 0; i < index; i++)
		offset += record->tfd[i]->tfd == record->tfd[index]->tfd;
	return offset;
}

/* A disabled one comes back by firing once. */
static int check_disabled(struct collect *collect, const struct known_epoll *known,
			  const EventpollTfdEntry *item, const struct watched_file *watched,
			  struct error *err)
{
	struct pollfd state = {
		.events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDBAND,
	};

	/* The driver of a FUSE stands still; at a restore it always has something. */
	if (collect_is_silent(collect, watched->device))
		return 0;
	autoclose int fd = state.fd = collect_get_watched(watched, err);
	if (fd < 0)
		return -1;
	int result = poll(&state, 1, 0);
	if (result == 0)
		result = epoll_can_fire(fd);
	if (result < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell what is ready",
				  known->what);
	if (result == 0)
		collect_refuse_file(collect,
				    "%s watches descriptor %u, whose entry is disabled "
				    "(EPOLLONESHOT) while it is not ready for anything",
				    known->what, item->tfd);
	return 0;
}

static int complete_item(struct collect *collect, const struct known_epoll *known, size_t index,
			 struct error *err)
{
	EventpollTfdEntry *item = known->record->tfd[index];
	struct watched_file watched = { .device = item->dev, .inode = item->inode };

	if (collect_find_watched(collect, known->target, known->number, item->tfd,
				 offset_of(known->record, index), &watched, err))
		return -1;
	if (!watched.found) {
		collect_refuse_file(collect,
				    "%s watches a file, as descriptor %u, which no descriptor of "
				    "the tree refers to",
				    known->what, item->tfd);
		return 0;
	}
	item->has_file_id = true;
	item->file_id = watched.id; /* 0: it is refused already */
	return is_disabled(item) && watched.id ? check_disabled(collect, known, item, &watched, err)
					       : 0;
}

static int epoll_complete(struct collect *collect, struct error *err)
{
	const struct known_epoll *known = *collect_state(collect, &epoll_kind);

	for (; known; known = known->next)
		for (size_t i = 0; i < known->record->n_tfd; i++)
			if (complete_item(collect, known, i, err))
				return -1;
	return 0;
}

/* ---- What is watched ---- */

static const FdinfoEntry *find_descriptor(const struct descriptor_table *table, uint32_t number)
{
	size_t low = 0, high = table ? table->n_descriptors : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (table->descriptors[middle]->fd < number)
			low = middle + 1;
		else
			high = middle;
	}
	return table && low < table->n_descriptors && table->descriptors[low]->fd == number
		       ? table->descriptors[low]
		       : NULL;
}

static const FdinfoEntry *find_file(const struct descriptor_table *table, uint32_t id)
{
	for (size_t i = 0; table && i < table->n_descriptors; i++)
		if (table->descriptors[i]->id == id)
			return table->descriptors[i];
	return NULL;
}

/* Images of another tool have the number only, which means what it means to a holder. */
static const FileEntry *watched_file(const struct snapshot *snapshot, const FileEntry *entry,
				     const EventpollTfdEntry *item)
{
	if (item->has_file_id)
		return snapshot_file(snapshot, item->file_id);
	for (size_t i = 0; i < snapshot->n_tables; i++) {
		const struct descriptor_table *table = snapshot->tables[i];
		const FdinfoEntry *descriptor = find_descriptor(table, item->tfd);
		if (descriptor && find_file(table, entry->id))
			return snapshot_file(snapshot, descriptor->id);
	}
	return NULL;
}

/* Who adds a signalfd: its signals are what is watched. NULL: nobody has both. */
static const struct task *signal_watcher(const struct snapshot *snapshot, const FileEntry *entry,
					 const EventpollTfdEntry *item)
{
	const FileEntry *watched = watched_file(snapshot, entry, item);

	for (size_t i = 0; watched && i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		const FdinfoEntry *descriptor =
			task_is_zombie(task) ? NULL : find_descriptor(task->table, item->tfd);
		if (descriptor && descriptor->id == watched->id &&
		    find_file(task->table, entry->id))
			return task;
	}
	return NULL;
}

static bool is_watched_by_task(const struct snapshot *snapshot, const FileEntry *entry,
			       const EventpollTfdEntry *item)
{
	const FileEntry *watched = watched_file(snapshot, entry, item);

	return watched && watched->type == FD_TYPES__SIGNALFD;
}

/* ---- Check ---- */

/* Also an instance that watches itself, by way of others, is too deep. */
static bool is_too_deep(const struct snapshot *snapshot, const FileEntry *entry, int depth,
			int *visits)
{
	if (depth > MOST_NESTED || ++*visits > MOST_VISITS)
		return true;
	for (size_t i = 0; i < entry->epfd->n_tfd; i++) {
		const FileEntry *watched = watched_file(snapshot, entry, entry->epfd->tfd[i]);
		if (watched && watched->type == FD_TYPES__EVENTPOLL && watched->epfd &&
		    is_too_deep(snapshot, watched, depth + 1, visits))
			return true;
	}
	return false;
}

static int check_item(const struct snapshot *snapshot, const FileEntry *entry,
		      const EventpollTfdEntry *item, struct error *err)
{
	if (item->tfd > INT32_MAX || !watched_file(snapshot, entry, item))
		return fail(err, ERR_IMAGE_INVALID,
			    "file %u watches descriptor %u, which is not described", entry->id,
			    item->tfd);
	if (!is_watched_by_task(snapshot, entry, item))
		return 0;
	if (!signal_watcher(snapshot, entry, item))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u watches a signalfd as descriptor %u, by which no task that "
			    "has both knows it",
			    entry->id, item->tfd);
	if (is_disabled(item))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u watches a signalfd, descriptor %u, whose entry is disabled "
			    "(EPOLLONESHOT)",
			    entry->id, item->tfd);
	return 0;
}

static int epoll_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	int visits = 0;

	if (!entry->epfd || entry->epfd->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of an epoll instance",
			    entry->id);
	if (entry->epfd->busy_microseconds > INT32_MAX || entry->epfd->busy_budget > UINT16_MAX)
		return fail(err, ERR_IMAGE_INVALID, "file %u: no epoll instance polls that busily",
			    entry->id);
	for (size_t i = 0; i < entry->epfd->n_tfd; i++)
		if (check_item(snapshot, entry, entry->epfd->tfd[i], err))
			return -1;
	if (is_too_deep(snapshot, entry, 1, &visits))
		return fail(err, ERR_IMAGE_INVALID,
			    "file %u: epoll instances watch each other in a circle, or too deep",
			    entry->id);
	return 0;
}

/* ---- Restore ---- */

/* A budget above that of the kernel (NAPI_POLL_WEIGHT) takes CAP_NET_ADMIN. */
static int set_busy_poll(int fd, const EventpollFileEntry *record, struct error *err)
{
	const struct busy_poll busy = { record->busy_microseconds, (uint16_t)record->busy_budget,
					record->busy_preferred, 0 };

	if ((record->has_busy_microseconds || record->has_busy_budget) &&
	    ioctl(fd, SET_BUSY_POLL, &busy) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "file %u: cannot let an epoll instance poll busily", record->id);
	return 0;
}

static int epoll_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	autoclose int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)opener;
	if (fd < 0 || opener_set_flags(fd, entry->epfd->flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make an epoll instance");
	if (set_busy_poll(fd, entry->epfd, err))
		return -1;
	return take_fd(&fd);
}

struct filling {
	const struct file_opener *opener;
	const FileEntry *entry;
	int epoll;
};

static int add_here(int epoll, const EventpollTfdEntry *item)
{
	struct epoll_event event = { .events = item->events, .data.u64 = item->data };
	struct epoll_event fired;

	if (is_disabled(item))
		event.events |= EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLRDBAND;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, (int)item->tfd, &event) < 0)
		return errno;
	if (!is_disabled(item))
		return 0;
	/* Nothing else is watched yet that could be ready: disabled ones come first. */
	int n = epoll_wait(epoll, &fired, 1, 0);
	return n == 1 ? 0 : n < 0 ? errno : epoll_fire(epoll, (int)item->tfd);
}

/* The table is its own. What stands at the number is put back: maybe a source. */
static int add(int epoll, int watched, const EventpollTfdEntry *item)
{
	int number = (int)item->tfd;
	int former = fcntl(number, F_DUPFD_CLOEXEC, 0);

	if (watched != number && dup2(watched, number) < 0)
		return errno;
	int result = add_here(epoll == number ? former : epoll, item);
	if (former < 0)
		close(number);
	else if (dup2(former, number) < 0 || close(former) < 0)
		return errno;
	return result;
}

static int fail_to_add(const FileEntry *entry, uint32_t tfd, struct error *err)
{
	if (errno == ENODATA)
		return fail(err, ERR_KERNEL_REFUSED,
			    "file %u: its entry of descriptor %u cannot be disabled again, as "
			    "that is not ready",
			    entry->id, tfd);
	if (errno == EBADF || errno == EMFILE) {
		fail_errno(err, ERR_LIMIT_TOO_LOW, "file %u: cannot watch descriptor %u", entry->id,
			   tfd);
		return fail_hint(err, "raise the hard limit of open files (ulimit -Hn)");
	}
	return fail_errno(err, ERR_KERNEL_REFUSED, "file %u: cannot watch descriptor %u", entry->id,
			  tfd);
}

static int add_all(struct visitor *visitor, void *data, struct error *err)
{
	const struct filling *filling = data;
	const FileEntry *entry = filling->entry;
	const struct snapshot *snapshot = filling->opener->snapshot;

	(void)visitor;
	for (int disabled = 1; disabled >= 0; disabled--)
		for (size_t i = 0; i < entry->epfd->n_tfd; i++) {
			const EventpollTfdEntry *item = entry->epfd->tfd[i];
			const FileEntry *watched = watched_file(snapshot, entry, item);
			if (is_disabled(item) != disabled ||
			    is_watched_by_task(snapshot, entry, item))
				continue;
			errno = add(filling->epoll, opener_file(filling->opener, watched->id),
				    item);
			if (errno)
				return fail_to_add(entry, item->tfd, err);
		}
	return 0;
}

static int epoll_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			 struct error *err)
{
	struct filling filling = { opener, entry, fd };
	const struct visit visit_ = {
		.what = "adds what an epoll instance watches",
		.function = add_all,
		.data = &filling,
		.size = sizeof filling,
		.timeout_seconds = MOST_SECONDS,
	};

	return entry->epfd->n_tfd ? visit(&visit_, NULL, 0, err) : 0;
}

static void plan_items(struct plan *plan, const struct task *task, const FileEntry *entry,
		       uint32_t number, struct program *program)
{
	for (size_t i = 0; i < entry->epfd->n_tfd; i++) {
		const EventpollTfdEntry *item = entry->epfd->tfd[i];
		struct epoll_event event = { .events = item->events, .data.u64 = item->data };
		if (!is_watched_by_task(plan->snapshot, entry, item) ||
		    signal_watcher(plan->snapshot, entry, item) != task)
			continue;
		op_expect(program_call(program, SYS_epoll_ctl, number, EPOLL_CTL_ADD, item->tfd,
				       program_data(program->set, &event, sizeof event, 8)),
			  0);
	}
}

static int watch_plan(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	const struct descriptor_table *table = task->table;

	(void)err;
	for (size_t i = 0; table && i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		const FileEntry *entry = snapshot_file(plan->snapshot, descriptor->id);
		if (entry->type == FD_TYPES__EVENTPOLL && find_file(table, entry->id) == descriptor)
			plan_items(plan, task, entry, descriptor->fd, planning->program);
	}
	return 0;
}

static void epoll_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "epoll instance, watches %zu", entry->epfd->n_tfd);
}

static struct file_fields epoll_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->epfd->fown, &entry->epfd->flags };
}

const struct file_kind epoll_kind = {
	.name = "epoll",
	.type = FD_TYPES__EVENTPOLL,
	.recognise = epoll_recognise,
	.collect = epoll_collect,
	.complete = epoll_complete,
	.check = epoll_check,
	.open = epoll_open,
	.connects_first = true,
	.connect = epoll_connect,
	.describe = epoll_describe,
	.fields = epoll_fields,
};

const struct task_kind epoll_signals_kind = {
	.name = "signals watched by epoll",
	.plan = watch_plan,
};
