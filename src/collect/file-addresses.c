// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where the kernel has what a task has open: its struct files, in its memory. Where there are very
 * many this tells sooner than kcmp(2) which descriptors are of one description.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/numbers.h"
#include "base/table.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"

#include <fcntl.h>

/* Reading what the kernel tells of its structures takes as long as a thousand comparisons. */
enum { MANY = 512 };

static const struct btf_place no_place;
static const struct kernel_places places = { &no_place, 0, 0 };

static bool are_all_there(const uint64_t *addresses, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!addresses[i])
			return false;
	return true;
}

/* NULL: they cannot be read; what they would tell can be asked. */
static const uint64_t *read_addresses(struct target *target)
{
	struct kernel_reader *by;
	autoclose int folder = target_open(target, ".", O_PATH | O_DIRECTORY);

	if (folder < 0 || collect_read_kernel(target->collect, &places, &by))
		return NULL;
	uint64_t *addresses = arena_array(target->collect->arena, uint64_t, target->n_descriptors);
	kernel_files_of(by, kernel_thread_of(by, folder), target->descriptors,
			target->n_descriptors, addresses);
	return kernel_reader_end(by) || !are_all_there(addresses, target->n_descriptors)
		       ? NULL
		       : addresses;
}

static const uint64_t *addresses_of(struct target *target)
{
	if (!target->addresses_asked) {
		target->addresses_asked = true;
		target->file_addresses = read_addresses(target);
	}
	return target->file_addresses;
}

uint64_t target_file_address(struct target *target, uint32_t number)
{
	size_t place;

	if (target->n_descriptors < MANY ||
	    !numbers_find(target->descriptors, target->n_descriptors, number, &place))
		return 0;
	const uint64_t *addresses = addresses_of(target);
	return addresses ? addresses[place] : 0;
}

/* Both are in order of number. */
static void list_files(struct target *target, struct table *files)
{
	const struct descriptor_table *table = target->task->table;
	const uint64_t *addresses = target->n_descriptors ? addresses_of(target) : NULL;
	size_t at = 0;

	for (size_t i = 0; addresses && table && i < table->n_descriptors; i++) {
		FdinfoEntry *entry = table->descriptors[i];
		while (at < target->n_descriptors && target->descriptors[at] < entry->fd)
			at++;
		if (at < target->n_descriptors && target->descriptors[at] == entry->fd)
			table_add(files, target->collect->arena, addresses[at], entry);
	}
}

uint32_t collect_file_at(struct collect *collect, uint64_t address)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);

	if (!*kept) {
		*kept = arena_new(collect->arena, struct table);
		for (size_t i = 0; i < collect->n_targets; i++)
			list_files(&collect->targets[i], *kept);
	}
	const FdinfoEntry *found = table_find(*kept, address);
	return found ? found->id : 0;
}
