// SPDX-License-Identifier: LGPL-2.1-or-later
/* What becomes of the records that have a place of their own in the snapshot; see load.h. */
#include "images/load.h"

#include "base/compare.h"
#include "images/pagemap.h"
#include "model/namespaces.h"

#include <ctype.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>

/* Who has which number at level 0; the tasks are all there once anything else is read. */
static void index_tasks(struct image_loader *loader)
{
	const struct snapshot *snapshot = loader->snapshot;

	if (loader->n_indexed == snapshot->n_tasks)
		return;
	loader->tasks = loader->threads = (struct table){ 0 };
	loader->n_indexed = snapshot->n_tasks;
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct task *task = &snapshot->tasks[i];
		table_add(&loader->tasks, snapshot->arena, task->pstree->pid, task);
		for (size_t thread = 1; thread < task->n_threads; thread++)
			table_add(&loader->threads, snapshot->arena, task->pstree->threads[thread],
				  &task->threads[thread]);
	}
}

/* The task whose image this is, or NULL: images that no task claims are not needed. */
static struct task *find_task(struct image *image)
{
	index_tasks(image->loader);
	return table_find(&image->loader->tasks, image->number);
}

/* The place for the state of a thread that is no leader, or NULL. */
static CoreEntry **find_thread(struct image *image)
{
	index_tasks(image->loader);
	return table_find(&image->loader->threads, image->number);
}

int load_inventory(struct image *image, void *message)
{
	InventoryEntry *inventory = message;

	if (image->snapshot->inventory)
		return image_invalid(image, "there is another inventory");
	if (inventory->img_version != IMAGE_VERSION)
		return fail(image->err, ERR_IMAGE_UNSUPPORTED,
			    "%s: images of version %" PRIu32 " cannot be read", image->name,
			    inventory->img_version);
	image->snapshot->inventory = inventory;
	return 0;
}

int load_pstree(struct image *image, void *message)
{
	struct task *task = snapshot_add_task(image->snapshot);

	task->pstree = message;
	task->n_threads = task->pstree->n_threads;
	task->threads = arena_array(image->snapshot->arena, CoreEntry *, task->n_threads);
	return 0;
}

int load_namespace(struct image *image, void *message)
{
	snapshot_add_namespace(image->snapshot, message);
	return 0;
}

/*
 * The one user namespace of a tree that CRIU dumped; its parent is that of CRIU. Who owns it is not
 * told: taken to be root.
 */
int load_user_namespace(struct image *image, void *message)
{
	const InventoryEntry *inventory = image->snapshot->inventory;
	NsEntry *entry;

	if (!inventory || inventory->nestor_version || !inventory->root_ids ||
	    !inventory->root_ids->has_user_ns_id)
		return image_invalid(image, "it belongs to no tree");
	entry = snapshot_new(image->snapshot, NS_ENTRY, NsEntry);
	entry->id = (uint32_t)image->number;
	entry->ns_cflag = CLONE_NEWUSER;
	entry->has_parent_id = true;
	entry->parent_id = inventory->root_ids->user_ns_id;
	entry->has_owner_uid = true;
	entry->user_ext = message;
	image->loader->users_inside = true;
	snapshot_add_namespace(image->snapshot, entry);
	return 0;
}

/*
 * A plain namespace that CRIU dumped: it is known by the number in the file's name, and made with
 * the user namespace of the tree (model/namespaces.c). Ours are in ns.img.
 */
static int add_plain(struct image *image, enum namespace_type type, NsEntry **ret_entry)
{
	const InventoryEntry *inventory = image->snapshot->inventory;
	NsEntry *entry;

	if (!inventory || inventory->nestor_version)
		return image_invalid(image, "it belongs to no tree");
	entry = snapshot_new(image->snapshot, NS_ENTRY, NsEntry);
	entry->id = (uint32_t)image->number;
	entry->ns_cflag = namespace_types[type].flag;
	snapshot_add_namespace(image->snapshot, entry);
	*ret_entry = entry;
	return 0;
}

int load_uts_namespace(struct image *image, void *message)
{
	NsEntry *entry = NULL;

	if (add_plain(image, NAMESPACE_UTS, &entry))
		return -1;
	entry->uts = message;
	return 0;
}

/* CRIU tells the clocks of its own namespace, too, by the number 0. */
int load_time_namespace(struct image *image, void *message)
{
	NsEntry *entry = NULL;

	if (!image->number)
		return 0;
	if (add_plain(image, NAMESPACE_TIME, &entry))
		return -1;
	entry->time = message;
	return 0;
}

int load_ids(struct image *image, void *message)
{
	struct task *task = find_task(image);

	if (task)
		task->ids = message;
	return 0;
}

static void add_leader(struct task *task, CoreEntry *core)
{
	task->core = core;
	if (!core->tc || core->tc->task_state != TASK_DEAD) {
		if (task->n_threads)
			task->threads[0] = core;
		return;
	}
	/* A zombie has no threads left, and what CRIU writes as its first is not a number of it. */
	task->n_threads = 0;
	if (task->pstree->n_threads) {
		task->pstree->n_threads = 1;
		task->pstree->threads[0] = task->pstree->pid;
	}
}

int load_core(struct image *image, void *message)
{
	CoreEntry *core = message;

	if (core->mtype != CORE_ENTRY__MARCH__X86_64)
		return fail(image->err, ERR_IMAGE_UNSUPPORTED,
			    "%s: registers of another architecture (%d)", image->name,
			    (int)core->mtype);
	struct task *task = find_task(image);
	CoreEntry **thread = task ? NULL : find_thread(image);
	if (task)
		add_leader(task, core);
	else if (thread)
		*thread = core;
	return 0;
}

int load_mm(struct image *image, void *message)
{
	struct task *task = find_task(image);

	if (task)
		task->mm = message;
	return 0;
}

/* The older layout: areas beside the mm image. */
int load_vma(struct image *image, void *message)
{
	struct task *task = find_task(image);

	if (!task || !task->mm)
		return 0;
	MmEntry *mm = task->mm;
	if (image->n_records == 0 && mm->n_vmas)
		return image_invalid(image, "the mm image has areas already");
	mm->vmas = arena_grow(image->snapshot->arena, mm->vmas, mm->n_vmas, sizeof *mm->vmas);
	mm->vmas[mm->n_vmas++] = message;
	return 0;
}

int load_fs(struct image *image, void *message)
{
	struct task *task = find_task(image);

	if (task)
		task->fs = message;
	return 0;
}

static struct descriptor_table *table_of(struct image *image)
{
	uint32_t files_id = (uint32_t)image->number;
	struct descriptor_table *table = snapshot_table(image->snapshot, files_id);

	return table ? table : snapshot_add_table(image->snapshot, files_id);
}

static int compare_descriptors(const void *a, const void *b)
{
	const FdinfoEntry *const *one = a, *const *other = b;

	return compare_values((*one)->fd, (*other)->fd);
}

/* Descriptors of a table, each number once. */
static int check_descriptors(struct image *image, struct descriptor_table *table)
{
	if (table->n_descriptors < 2)
		return 0;
	qsort(table->descriptors, table->n_descriptors, sizeof *table->descriptors,
	      compare_descriptors);
	for (size_t i = 1; i < table->n_descriptors; i++)
		if (table->descriptors[i]->fd == table->descriptors[i - 1]->fd)
			return fail(image->err, ERR_IMAGE_INVALID,
				    "%s: descriptor %" PRIu32 " is there twice", image->name,
				    table->descriptors[i]->fd);
	return 0;
}

int load_descriptors(struct image *image)
{
	/* There is a table where the image lists no descriptor, too. */
	struct descriptor_table *table = table_of(image);
	void *message;
	int more;

	while ((more = image_next_record(image, &fdinfo_entry__descriptor, &message)) > 0) {
		FdinfoEntry *descriptor = message;
		if (descriptor->fd > INT32_MAX)
			return image_invalid(image, "no descriptor has such a number");
		snapshot_add_descriptor(image->snapshot, table, descriptor);
		image->n_records++;
	}
	return more < 0 ? -1 : check_descriptors(image, table);
}

/* "ns_file_entry" belongs to NS, "unix_sk_entry" to UNIXSK: see schema/fdinfo.proto. */
static bool is_record_of(const ProtobufCMessageDescriptor *record, const char *type)
{
	const char *at = record->name;

	for (; *type; type++) {
		while (*at == '_')
			at++;
		if (tolower((unsigned char)*type) != *at++)
			return false;
	}
	return true;
}

/* The member of a file_entry that a type has; NULL for those that the schema does not know. */
static const ProtobufCFieldDescriptor *member_of_type(FdTypes type)
{
	const ProtobufCEnumValue *value =
		protobuf_c_enum_descriptor_get_value(&fd_types__descriptor, (int)type);

	for (unsigned i = 0; value && i < file_entry__descriptor.n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &file_entry__descriptor.fields[i];
		if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
		    is_record_of(field->descriptor, value->name))
			return field;
	}
	return NULL;
}

int load_file(struct image *image, void *message)
{
	FileEntry *file = message;
	const ProtobufCFieldDescriptor *member = member_of_type(file->type);

	if (member) {
		void *record;
		memcpy(&record, (char *)file + member->offset, sizeof record);
		if (!record || message_number(record, "id") != file->id)
			return image_invalid(image,
					     "the record of its kind is missing or has another id");
	}
	snapshot_add_file(image->snapshot, file);
	return 0;
}

int load_older_file(struct image *image, void *message)
{
	FileEntry *file = snapshot_new(image->snapshot, FILE_ENTRY, FileEntry);
	const ProtobufCMessageDescriptor *record = image_format(image->kind)->record;

	for (unsigned i = 0; i < fd_types__descriptor.n_values; i++) {
		FdTypes type = (FdTypes)fd_types__descriptor.values[i].value;
		const ProtobufCFieldDescriptor *member = member_of_type(type);
		if (!member || member->descriptor != record)
			continue;
		file->type = type;
		file->id = (uint32_t)message_number(message, "id");
		memcpy((char *)file + member->offset, &message, sizeof message);
		snapshot_add_file(image->snapshot, file);
		return 0;
	}
	abort();
}

/* The content of a sparse file is a row of framed chunk records, each before its bytes. */
static int check_chunks(struct image *image, const GhostFileEntry *ghost)
{
	void *message;
	int more;

	image->n_records++;
	while ((more = image_next_record(image, &ghost_chunk_entry__descriptor, &message)) > 0) {
		const GhostChunkEntry *chunk = message;
		if (chunk->off > INT64_MAX || chunk->len > INT64_MAX - chunk->off ||
		    (ghost->has_size && chunk->off + chunk->len > ghost->size))
			return image_invalid(image, "the chunk lies outside of its file");
		if (!image_take_payload(image, chunk->len))
			return -1;
		image->n_records++;
	}
	return more;
}

int load_ghost(struct image *image, void *message)
{
	GhostFileEntry *entry = message;
	size_t content = image->at;

	if (snapshot_record(image->snapshot, IMAGE_GHOST_FILE, image->number))
		return image_invalid(image, "there is another file of this number");
	if (entry->has_chunks && entry->chunks) {
		if (check_chunks(image, entry))
			return -1;
	} else {
		if (entry->has_size && entry->size > image->size - content && !entry->symlnk_target)
			return image_truncated(image);
		image->at = image->size;
	}
	snapshot_add_record(image->snapshot, IMAGE_GHOST_FILE, image->number, entry)->content =
		content;
	return 0;
}

/* *ret_size: that of shared memory, 0 where the image does not say it. */
static int load_runs(struct image *image, struct pagemap *pagemap, uint64_t *ret_size)
{
	void *message;

	int more = image_next_record(image, &pagemap_head__descriptor, &message);
	if (more <= 0)
		return more < 0 ? -1 : image_truncated(image);
	if (pagemap->present)
		return image_invalid(image, "there is another image of these pages");
	pagemap->present = true;
	const PagemapHead *head = message;
	pagemap->pages_id = head->pages_id;
	*ret_size = head->object_size;
	image->n_records++;
	while ((more = image_next_record(image, &pagemap_entry__descriptor, &message)) > 0) {
		if (pagemap_add_record(image->snapshot, pagemap, message, image->name, image->err))
			return -1;
		image->n_records++;
	}
	return more;
}

static int load_others_pages(struct image *image)
{
	struct image_loader *loader = image->loader;

	loader->pagemaps = arena_grow(image->snapshot->arena, loader->pagemaps, loader->n_pagemaps,
				      sizeof *loader->pagemaps);
	struct pagemap_of *new = &loader->pagemaps[loader->n_pagemaps++];
	*new = (struct pagemap_of){ .kind = image->kind, .number = image->number };
	return load_runs(image, &new->pagemap, &(uint64_t){ 0 });
}

int load_task_pages(struct image *image)
{
	if (image->loader->pages_only)
		return load_others_pages(image);
	struct task *task = find_task(image);
	struct pagemap nobody = { 0 };

	return load_runs(image, task ? &task->pages : &nobody, &(uint64_t){ 0 });
}

int load_shared_pages(struct image *image)
{
	if (image->loader->pages_only)
		return load_others_pages(image);
	struct shared_memory *memory = snapshot_shared_memory(image->snapshot, image->number);

	if (!memory)
		memory = snapshot_add_shared_memory(image->snapshot, image->number);
	return load_runs(image, &memory->pages, &memory->size_seen);
}
