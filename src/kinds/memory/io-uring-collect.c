// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading io_uring instances, and waiting until they are at rest; see io-uring.c. */
#include "kinds/memory/io-uring.h"
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "base/table.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { REST_ATTEMPTS = 10, REST_NANOSECONDS = 2000000, NO_THREAD = -1 };

static const char ring_link[] = "anon_inode:[io_uring]";

/* ---- Before memory is copied ---- */

/* A ring that some task has mapped; by the number of its inode. */
struct seen_ring {
	uint32_t sq_count, cq_count;
	bool looked_at;
	uint64_t device, inode;
	struct seen_area *areas;
};

struct seen_area {
	struct seen_area *next;
	VmaEntry *area;
	const struct target *target;
};

struct ring_record {
	struct ring_record *next;
	struct target *target; /* that holds it, and its number there */
	uint32_t number;
	uint64_t inode;
	IoUringEntry *entry;
	const char *text; /* fdinfo */
	bool has_eventfd;
};

struct rings_state {
	struct table by_inode;
	struct seen_ring **seen;
	size_t n_seen;
	struct ring_record *records, **last_record;
};

static const char rings_owner = 0;

static struct rings_state *rings_state(struct collect *collect)
{
	void **kept = collect_state(collect, &rings_owner);

	if (!*kept) {
		struct rings_state *state = arena_new(collect->arena, struct rings_state);
		state->last_record = &state->records;
		*kept = state;
	}
	return *kept;
}

/* The task's own descriptor of it; "" if it has none. */
static int find_number(struct target *target, uint64_t inode, char number[16], struct error *err)
{
	const uint32_t *numbers;
	char link[32];
	struct stat stat;
	size_t count;

	number[0] = '\0';
	if (target_descriptors(target, &numbers, &count, err))
		return -1;
	for (size_t i = 0; i < count && !number[0]; i++) {
		snprintf(link, sizeof link, "fd/%" PRIu32, numbers[i]);
		if (target_look(target, link, &stat) == 0 && stat.st_ino == inode)
			snprintf(number, 16, "%" PRIu32, numbers[i]);
	}
	return 0;
}

static const char *read_ring(struct target *target, const char *number, struct ring_text *ret,
			     struct error *err)
{
	const struct timespec pause = { .tv_nsec = REST_NANOSECONDS };
	char name[32];

	snprintf(name, sizeof name, "fdinfo/%s", number);
	for (int i = 0; i < REST_ATTEMPTS; i++) {
		const char *text = target_read(target, name, err);
		if (!text)
			return NULL;
		bool known = ring_parse(text, ret);
		if (known && (ring_is_at_rest(ret) || target->collect->looking))
			return text;
		if (i == REST_ATTEMPTS - 1 && known)
			ring_fail_in_flight(target->pid, number, ret, err);
		else if (i == REST_ATTEMPTS - 1)
			fail(err, ERR_KERNEL_REFUSED,
			     "pid %d: descriptor %s: fdinfo does not show the io_uring instance",
			     target->pid, number);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int ring_collect_area(struct target *target, uint64_t device, uint64_t inode, VmaEntry *area,
		      struct error *err)
{
	struct collect *collect = target->collect;
	struct rings_state *state = rings_state(collect);
	struct seen_ring *ring = table_find(&state->by_inode, inode);
	struct ring_text text;
	char number[16];

	if (!ring) {
		ring = arena_new(collect->arena, struct seen_ring);
		ring->device = device;
		ring->inode = inode;
		table_add(&state->by_inode, collect->arena, inode, ring);
		state->seen = arena_grow(collect->arena, state->seen, state->n_seen, sizeof ring);
		state->seen[state->n_seen++] = ring;
	}
	if (!ring->looked_at) {
		if (find_number(target, inode, number, err) ||
		    (number[0] && !read_ring(target, number, &text, err)))
			return -1;
		if (number[0]) {
			ring->looked_at = true;
			ring->sq_count = text.sq_count;
			ring->cq_count = text.cq_count;
		}
	}
	struct seen_area *seen = arena_new(collect->arena, struct seen_area);
	*seen = (struct seen_area){ ring->areas, area, target };
	ring->areas = seen;
	return 0;
}

/* ---- The file ---- */

static int ask_register(int fd, unsigned opcode, void *argument, unsigned count)
{
	return (int)syscall(SYS_io_uring_register, fd, opcode, argument, count);
}

/* 1, 0, or -1 with errno. */
static int has_provided_buffers(int fd)
{
	struct {
		uint32_t group, head, reserved[8];
	} status = { 0 };

	for (uint32_t group = 0; group <= UINT16_MAX; group++) {
		status.group = group;
		if (ask_register(fd, RING_REGISTER_PBUF_STATUS, &status, 1) == 0 || errno == EINVAL)
			return 1; /* EINVAL: given to it one by one, they have no status */
		if (errno != ENOENT)
			return -1;
	}
	return 0;
}

/* Nobody gives a probe to a null pointer (EINVAL). Returns the errno. */
static int ask_submitter(int fd)
{
	return ask_register(fd, IORING_REGISTER_PROBE, NULL, 0) < 0 ? errno : EINVAL;
}

/* Its completions are nobody else's to look for. 1, 0, or -1 with errno. */
static int defers_work(int fd)
{
	if (syscall(SYS_io_uring_enter, fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0) >= 0)
		return 0;
	return errno == EEXIST ? 1 : -1;
}

/* What fdinfo tells against it; NULL if that is nothing. */
static const char *find_told(const struct ring_text *text)
{
	return text->overflow	    ? "completions that had no room"
	       : text->busy_polling ? "busy polling (NAPI)"
				    : NULL;
}

/* What only its answers tell. */
struct ring_answers {
	uint32_t setup;
	bool has_eventfd;
};

/* What can be asked of one with any number of submitters; -1 with errno. */
static int find_registered(int fd, struct ring_answers *ret, const char **ret_obstacle)
{
	/* That there is one is seen before the null pointer. */
	int failure = ask_register(fd, IORING_REGISTER_EVENTFD, NULL, 1) < 0 ? errno : EBUSY;

	if (failure != EFAULT && failure != EBUSY) {
		errno = failure;
		return -1;
	}
	int provided = has_provided_buffers(fd);
	ret->has_eventfd = failure == EBUSY;
	*ret_obstacle = provided > 0 ? "provided buffers" : NULL;
	return provided < 0 ? -1 : 0;
}

/*
 * What stands against it, NULL if nothing does; and its answers. -1 with errno: no answer, which is
 * none of these.
 */
static int find_obstacle(int fd, const struct ring_text *text, struct ring_answers *ret,
			 const char **ret_obstacle)
{
	*ret = (struct ring_answers){ 0 };
	*ret_obstacle = find_told(text);
	if (*ret_obstacle)
		return 0;
	if (syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0) < 0) {
		*ret_obstacle = errno == EBADFD	      ? "not been enabled"
				: errno == EOWNERDEAD ? "no thread any more that submits"
						      : NULL;
		return *ret_obstacle ? 0 : -1;
	}
	switch (ask_submitter(fd)) {
	case EEXIST: {
		int deferred = defers_work(fd);
		ret->setup = IORING_SETUP_SINGLE_ISSUER | (deferred > 0 ? RING_SETUP_DEFER : 0);
		return deferred < 0 ? -1 : 0;
	}
	case EACCES:
		*ret_obstacle = "restrictions";
		return 0;
	case EINVAL:
		return find_registered(fd, ret, ret_obstacle);
	default:
		return -1;
	}
}

bool io_uring_recognise(const struct open_file *file)
{
	return strcmp(file->link, ring_link) == 0 && !(file->flags & O_PATH);
}

static void collect_buffers(struct arena *arena, const struct ring_text *text, IoUringEntry *ring)
{
	const char *line = text->buffers;

	ring->buffers = arena_array(arena, IoUringBuffer *, text->n_buffers);
	for (; line && ring->n_buffers < text->n_buffers && *line == ' ';
	     line = ring_next_line(line)) {
		IoUringBuffer *buffer =
			arena_copy(arena, &(IoUringBuffer)IO_URING_BUFFER__INIT, sizeof *buffer);
		const char *at = strchr(line, ':');
		char *end = NULL;
		if (at && strncmp(at, ": 0x", 4) == 0) {
			buffer->address = strtoull(at + 2, &end, 16);
			buffer->size = *end == '/' ? strtoull(end + 1, NULL, 10) : 0;
		}
		ring->buffers[ring->n_buffers++] = buffer;
	}
}

int io_uring_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	IoUringEntry *ring = snapshot_new(collect->snapshot, IO_URING_ENTRY, IoUringEntry);
	struct ring_text text;
	char number[16];

	entry->uring = ring;
	ring->id = file->id;
	ring->flags = file->flags;
	snprintf(number, sizeof number, "%u", file->number);
	const char *fdinfo = read_ring(file->target, number, &text, err);
	if (!fdinfo)
		return -1;
	ring->sq_entries = text.sq_entries;
	ring->cq_entries = text.cq_entries;
	ring->sq_count = text.sq_count;
	ring->cq_count = text.cq_count;
	autoclose int fd = collect_get_file(file, err);
	if (fd < 0)
		return -1;
	int unknown = ring_collect_setup(collect, fd, file->what, ring, err);
	if (unknown < 0)
		return -1;
	if (ring_refuse_hidden(collect, fd, file->what, err))
		return -1;
	struct ring_answers answers;
	const char *obstacle;
	if (find_obstacle(fd, &text, &answers, &obstacle))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot tell what the io_uring instance has", file->what);
	if (obstacle)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s: an io_uring instance that has %s",
			    file->what, obstacle);
	ring->setup_flags |= answers.setup;
	if (text.sq_thread != NO_THREAD && ring_collect_thread(file, text.sq_thread, ring, err))
		return -1;
	collect_buffers(collect->arena, &text, ring);
	if (collect->looking)
		ring_assume_queues(collect->arena, !unknown, ring);
	else if (ring_collect_queues(collect->arena, fd, !unknown, ring, file->what, err))
		return -1;
	struct rings_state *state = rings_state(collect);
	struct ring_record *record = arena_new(collect->arena, struct ring_record);
	*record = (struct ring_record){ .target = file->target,
					.number = file->number,
					.inode = file->stat.st_ino,
					.entry = ring,
					.text = fdinfo,
					.has_eventfd = answers.has_eventfd };
	*state->last_record = record;
	state->last_record = &record->next;
	return 0;
}

/* ---- Once all descriptors are known ---- */

/* Older kernels show the last part of a name only. */
static bool is_named(const char *link, size_t link_length, const char *path, size_t length)
{
	if (link_length < length || memcmp(link + link_length - length, path, length) != 0)
		return false;
	char before = link_length > length ? link[link_length - length - 1] : '\0';
	return !before || (!memchr(path, '/', length) && (before == '/' || before == ':'));
}

/* The description that the holder of the ring has under that name; 0: none, or several. */
static uint32_t find_file(const struct ring_record *record, const char *path, size_t length)
{
	const struct descriptor_table *table = record->target->task->table;
	uint32_t found = 0;

	for (size_t i = 0; i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		char name[32], link[PATH_MAX];
		snprintf(name, sizeof name, "fd/%" PRIu32, descriptor->fd);
		ssize_t got = target_link(record->target, name, link, sizeof link);
		if (got < 0 || !is_named(link, (size_t)got, path, length) ||
		    descriptor->id == found)
			continue;
		if (found)
			return 0;
		found = descriptor->id;
	}
	return found;
}

static void complete_files(struct collect *collect, const struct ring_record *record)
{
	IoUringEntry *ring = record->entry;
	struct ring_text text;

	if (!ring_parse(record->text, &text) || !text.n_files)
		return;
	ring->n_files = text.n_files;
	ring->files = arena_array(collect->arena, uint32_t, text.n_files);
	for (const char *line = text.files; line && *line == ' '; line = ring_next_line(line)) {
		unsigned long slot = strtoul(line, NULL, 10);
		const char *path = strchr(line, ':');
		if (!path || slot >= text.n_files)
			return;
		path += 2;
		size_t length = strcspn(path, "\n");
		/* So they show what is empty. */
		if (length == strlen("<none>") && memcmp(path, "<none>", length) == 0)
			continue;
		ring->files[slot] = find_file(record, path, length);
		if (!ring->files[slot])
			collect_refuse_file(collect,
					    "pid %d: descriptor %" PRIu32 " (io_uring) has %.*s "
					    "registered, which the task has not open, or twice",
					    record->target->pid, record->number, (int)length, path);
	}
}

static void complete_areas(struct collect *collect, const struct seen_ring *seen)
{
	struct watched_file file = { .device = seen->device, .inode = seen->inode };
	const struct seen_area *area = seen->areas;

	if (!area)
		return; /* it was refused */
	collect_find_inode(collect, &file);
	FileEntry *entry = file.found ? snapshot_file(collect->snapshot, file.id) : NULL;
	if (!entry || !entry->uring) {
		collect_refuse_file(collect,
				    "pid %d: memory of an io_uring instance is mapped that "
				    "no descriptor of the tree refers to",
				    area->target->pid);
		return;
	}
	for (; area; area = area->next) {
		area->area->shmid = file.id;
		if (area->area->end - area->area->start >
		    ring_area_size(entry->uring, area->area->pgoff))
			collect_refuse_file(collect,
					    "pid %d: an io_uring instance with entries of another "
					    "size, or memory of another kind",
					    area->target->pid);
	}
}

/* Of what only one thread may submit to the rest is known when that is (io-uring-ask.c). */
static int complete_registered(struct collect *collect, const struct ring_record *record,
			       struct error *err)
{
	bool by_one = record->entry->setup_flags & IORING_SETUP_SINGLE_ISSUER;
	struct ring_text text;
	char what[64];

	if (by_one && !collect->looking)
		return 0;
	bool told = ring_parse(record->text, &text) && text.personalities;
	snprintf(what, sizeof what, "pid %d: descriptor %" PRIu32, record->target->pid,
		 record->number);
	autoclose int fd = target_get_fd(record->target, record->number);
	if (fd < 0)
		return fail_errno(err, procfs_error(errno), "%s: cannot get the io_uring instance",
				  what);
	if (record->has_eventfd && ring_collect_eventfd(collect, fd, what, record->entry, err))
		return -1;
	return ring_collect_personalities(collect, fd, what, told, record->entry, err);
}

int io_uring_complete(struct collect *collect, struct error *err)
{
	const struct rings_state *state = rings_state(collect);

	for (const struct ring_record *record = state->records; record; record = record->next) {
		complete_files(collect, record);
		if (complete_registered(collect, record, err) && collect_pass(collect, err))
			return -1;
	}
	for (size_t i = 0; i < state->n_seen; i++)
		complete_areas(collect, state->seen[i]);
	return 0;
}

/* Nothing has come to an end since memory was copied. */
int rings_look_again(struct target *target, struct error *err)
{
	const struct rings_state *state = rings_state(target->collect);
	struct ring_text text;

	if (target->collect->looking)
		return 0;
	for (const struct ring_record *record = state->records; record; record = record->next) {
		const struct seen_ring *seen = table_find(&state->by_inode, record->inode);
		char number[16];
		if (record->target != target)
			continue;
		snprintf(number, sizeof number, "%" PRIu32, record->number);
		if (!read_ring(target, number, &text, err))
			return -1;
		if (text.sq_count != record->entry->sq_count ||
		    text.cq_count != record->entry->cq_count ||
		    (seen && seen->looked_at &&
		     (seen->sq_count != text.sq_count || seen->cq_count != text.cq_count)))
			return ring_fail_in_flight(target->pid, number, &text, err);
	}
	return 0;
}
