// SPDX-License-Identifier: LGPL-2.1-or-later
/* See memory-stubs.h. */
#include "memory-stubs.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/probe.h"
#include "images/chain.h"
#include "images/images.h"
#include "kinds/memory/memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fake fake;

int collect_path(struct target *target, const char *link_name, uint32_t open_flags,
		 uint32_t *ret_file_id, struct error *err)
{
	FileEntry *file = snapshot_new(target->collect->snapshot, FILE_ENTRY, FileEntry);
	int fd = target_open(target, link_name, (int)open_flags);

	(void)err;
	assert_true(fd >= 0 && fake.n_files < MAX_FILES);
	fake.file_fds[fake.n_files++] = fd;
	file->id = (uint32_t)fake.n_files;
	snapshot_add_file(target->collect->snapshot, file);
	*ret_file_id = file->id;
	return 0;
}

bool collect_is_silent(const struct collect *collect, dev_t device)
{
	(void)collect;
	(void)device;
	return false;
}

int target_open(const struct target *target, const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof path, "/proc/%d/%s", target->tid, name);
	return open(path, flags | O_CLOEXEC);
}

char *target_read(struct target *target, const char *name, struct error *err)
{
	(void)target;
	(void)name;
	(void)err;
	return NULL;
}

int collect_get_file(const struct open_file *file, struct error *err)
{
	(void)file;
	(void)err;
	return -1;
}

void collect_find_inode(struct collect *collect, struct watched_file *watched)
{
	(void)collect;
	(void)watched;
}

void collect_refuse_file(struct collect *collect, const char *format, ...)
{
	(void)collect;
	(void)format;
}

int target_get_fd(const struct target *target, uint32_t number)
{
	(void)target;
	(void)number;
	return -1;
}

int collect_pass(struct collect *collect, struct error *err)
{
	(void)collect;
	(void)err;
	return -1;
}

int collect_go_on(const struct collect *collect, struct error *err)
{
	(void)collect;
	(void)err;
	return 0;
}

int target_open_mem(const struct target *target, struct error *err)
{
	(void)err;
	return target_open(target, "mem", O_RDWR);
}

int target_look(const struct target *target, const char *name, struct stat *ret_stat)
{
	char path[128];

	snprintf(path, sizeof path, "/proc/%d/%s", target->tid, name);
	return stat(path, ret_stat);
}

ssize_t target_link(const struct target *target, const char *name, char *buffer, size_t size)
{
	char path[128];

	snprintf(path, sizeof path, "/proc/%d/%s", target->tid, name);
	return readlink(path, buffer, size);
}

ssize_t target_text(const struct target *target, const char *name, char **ret_text)
{
	char path[128];

	snprintf(path, sizeof path, "/proc/%d/%s", target->tid, name);
	return procfs_read_new(AT_FDCWD, path, ret_text);
}

unsigned target_pidfd_flags(const struct target *target)
{
	(void)target;
	return 0;
}

struct target_folder *target_enter(const struct target *target)
{
	(void)target;
	return NULL;
}

void target_leave(struct target_folder **folder)
{
	(void)folder;
}

/* No test needs them: mapped files are found by map_files. */
int target_descriptors(struct target *target, const uint32_t **ret_numbers, size_t *ret_count,
		       struct error *err)
{
	(void)err;
	*ret_numbers = target->descriptors;
	*ret_count = target->n_descriptors;
	return 0;
}

uint64_t target_stat_field(const struct target *target, unsigned field)
{
	const char *at = target->stat;

	while (field-- > 3 && at)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

size_t probe_call(struct probe *probe, uint32_t nr, const uint64_t *args, size_t n_args)
{
	(void)probe;
	(void)nr;
	(void)args;
	(void)n_args;
	return 0;
}

uint64_t probe_buffer(struct probe *probe, size_t size)
{
	(void)probe;
	(void)size;
	return 0;
}

int64_t probe_result(const struct probe *probe, size_t call)
{
	(void)probe;
	(void)call;
	return PROBE_FORBIDDEN;
}

int images_open_pages(const struct images *images, uint64_t pages_id, struct error *err)
{
	(void)images;
	(void)err;
	return dup(fake.pages_fds[pages_id]);
}

const struct pagemap *chain_task_pages(const struct images *images, uint32_t pid)
{
	(void)images;
	(void)pid;
	return NULL;
}

uint32_t plan_source(struct plan *plan, enum source_kind kind, uint64_t id)
{
	for (size_t i = 0; i < plan->n_sources; i++)
		if (plan->sources[i].kind == kind && plan->sources[i].id == id)
			return (uint32_t)i;
	plan->sources[plan->n_sources] = (struct source){ .kind = kind, .id = id };
	return (uint32_t)plan->n_sources++;
}

const struct source *plan_find_source(const struct plan *plan, enum source_kind kind, uint64_t id)
{
	(void)plan;
	(void)kind;
	(void)id;
	return NULL;
}

uint64_t plan_hold(struct plan *plan, struct program *program, uint32_t source)
{
	return plan_borrow(plan, program, source);
}

void plan_let_go(struct plan *plan, struct program *program, uint32_t source, uint64_t slot)
{
	(void)plan;
	(void)program;
	(void)source;
	(void)slot;
}

void *plan_kind_state(struct plan *plan, const void *owner, size_t size)
{
	(void)owner;
	return arena_alloc(plan->arena, size);
}

static int source_number(const struct plan *plan, const struct source *source)
{
	struct error err = { 0 };

	if (source->kind == SOURCE_FILE)
		return fake.file_fds[source->id - 1];
	if (source->kind == SOURCE_PAGES)
		return fake.pages_fds[source->id];
	return shared_memory_open(plan->snapshot, fake.images, source->id, &err);
}

void plan_give_back(struct plan *plan, struct program *program, uint32_t source)
{
	(void)plan;
	(void)program;
	(void)source;
}

uint64_t plan_borrow(struct plan *plan, struct program *program, uint32_t source)
{
	struct source *borrowed = &plan->sources[source];

	if (!borrowed->users++)
		borrowed->number = (uint32_t)source_number(plan, borrowed);
	return program_word(program->set, borrowed->number);
}
