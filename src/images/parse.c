// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Parsing image files that are in memory; see parse.h.
 *
 * The bytes are untrusted. A size is compared with what is left of the file before anything is
 * read or allocated by it. Messages of the schema do not nest in themselves, so the depth of
 * unpacking is bounded; its memory is bounded by a budget in proportion to the record's size.
 */
#include "images/parse.h"

#include "images/format.h"
#include "images/load.h"
#include "images/pagemap.h"

#include <endian.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* More than the areas of a task at any usual vm.max_map_count need. */
	MAX_RECORD_SIZE = 64 * 1024 * 1024,
	/*
	 * A byte of input makes at most about 30 bytes of unpacked message and scanning state (two
	 * bytes make one element of an unpacked array); what needs more is not an honest record.
	 */
	BUDGET_PER_BYTE = 64,
	BUDGET_BASE = 64 * 1024,
};

/* One file on its way into the snapshot. */
struct image {
	struct image_loader *loader;
	struct snapshot *snapshot;
	const char *name;
	enum image_kind kind;
	uint64_t number;
	const uint8_t *bytes;
	size_t size;
	size_t at; /* what was consumed */
	size_t n_records;
	struct error *err;
};

struct budget {
	struct arena *arena;
	size_t left;
};

static void *budget_alloc(void *data, size_t size)
{
	struct budget *budget = data;

	if (size > budget->left)
		return NULL;
	budget->left -= size;
	return arena_alloc(budget->arena, size);
}

static void budget_free(void *data, void *pointer)
{
	/* Arenas are freed whole. */
	(void)data;
	(void)pointer;
}

static int invalid(struct image *image, const char *what)
{
	return fail(image->err, ERR_IMAGE_INVALID, "%s: record %zu: %s", image->name,
		    image->n_records, what);
}

static int truncated(struct image *image)
{
	return fail(image->err, ERR_IMAGE_TRUNCATED,
		    "%s: the file ends within record %zu, after %zu bytes", image->name,
		    image->n_records, image->size);
}

static void *unpack(struct image *image, const ProtobufCMessageDescriptor *descriptor,
		    const uint8_t *bytes, size_t size)
{
	struct budget budget = { image->snapshot->arena, BUDGET_BASE + BUDGET_PER_BYTE * size };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };

	ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, size, bytes);
	if (!message)
		fail(image->err, ERR_IMAGE_INVALID, "%s: record %zu is no %s", image->name,
		     image->n_records, descriptor->name);
	return message;
}

/* The next framed message, unpacked; 1, or 0 at the end of the file, or -1. */
static int next_record(struct image *image, const ProtobufCMessageDescriptor *descriptor,
		       void **ret_message)
{
	size_t left = image->size - image->at;
	uint32_t size;

	if (left == 0)
		return 0;
	if (left < sizeof size)
		return truncated(image);
	memcpy(&size, image->bytes + image->at, sizeof size);
	size = le32toh(size);
	if (size > left - sizeof size)
		return truncated(image);
	if (size > MAX_RECORD_SIZE)
		return invalid(image, "it is too large");
	const uint8_t *bytes = image->bytes + image->at + sizeof size;
	image->at += sizeof size + size;
	*ret_message = unpack(image, descriptor, bytes, size);
	return *ret_message ? 1 : -1;
}

/* `size` raw bytes after a record; NULL with the error set where the file has less. */
static const uint8_t *take_payload(struct image *image, uint64_t size)
{
	const uint8_t *payload = image->bytes + image->at;

	if (size > image->size - image->at) {
		truncated(image);
		return NULL;
	}
	image->at += size;
	return payload;
}

/* The task with this pid at level 0, or NULL: images that no task claims are not needed. */
static struct task *find_task(struct image *image)
{
	struct snapshot *snapshot = image->snapshot;
	size_t likely = image->loader->likely_task;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		size_t index = (likely + i) % snapshot->n_tasks;
		if (snapshot->tasks[index].pstree->pid == image->number) {
			image->loader->likely_task = index;
			return &snapshot->tasks[index];
		}
	}
	return NULL;
}

/* The place for the state of a thread that is no leader, or NULL. */
static CoreEntry **find_thread(struct image *image)
{
	struct snapshot *snapshot = image->snapshot;
	size_t likely = image->loader->likely_task;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		size_t index = (likely + i) % snapshot->n_tasks;
		struct task *task = &snapshot->tasks[index];
		for (size_t thread = 1; thread < task->n_threads; thread++)
			if (task->pstree->threads[thread] == image->number)
				return &task->threads[thread];
	}
	return NULL;
}

static int add_inventory(struct image *image, void *message)
{
	InventoryEntry *inventory = message;

	if (image->snapshot->inventory)
		return invalid(image, "there is another inventory");
	if (inventory->img_version != IMAGE_VERSION)
		return fail(image->err, ERR_IMAGE_UNSUPPORTED,
			    "%s: images of version %" PRIu32 " cannot be read", image->name,
			    inventory->img_version);
	image->snapshot->inventory = inventory;
	return 0;
}

static int add_pstree(struct image *image, void *message)
{
	struct task *task = snapshot_add_task(image->snapshot);

	task->pstree = message;
	task->n_threads = task->pstree->n_threads;
	task->threads = arena_array(image->snapshot->arena, CoreEntry *, task->n_threads);
	return 0;
}

static int add_namespace(struct image *image, void *message)
{
	snapshot_add_namespace(image->snapshot, message);
	return 0;
}

/*
 * The one user namespace of a tree that CRIU dumped; its parent is that of CRIU. Who owns it is not
 * told: taken to be root.
 */
static int add_user_namespace(struct image *image, void *message)
{
	const InventoryEntry *inventory = image->snapshot->inventory;
	NsEntry *entry;

	if (!inventory || inventory->nestor_version || !inventory->root_ids ||
	    !inventory->root_ids->has_user_ns_id)
		return invalid(image, "it belongs to no tree");
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

static int add_ids(struct image *image, void *message)
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

static int add_core(struct image *image, void *message)
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

static int add_mm(struct image *image, void *message)
{
	struct task *task = find_task(image);

	if (task)
		task->mm = message;
	return 0;
}

/* The older layout: areas beside the mm image. */
static int add_vma(struct image *image, void *message)
{
	struct task *task = find_task(image);

	if (!task || !task->mm)
		return 0;
	MmEntry *mm = task->mm;
	if (image->n_records == 0 && mm->n_vmas)
		return invalid(image, "the mm image has areas already");
	mm->vmas = arena_grow(image->snapshot->arena, mm->vmas, mm->n_vmas, sizeof *mm->vmas);
	mm->vmas[mm->n_vmas++] = message;
	return 0;
}

static int add_fs(struct image *image, void *message)
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

static int add_descriptor(struct image *image, void *message)
{
	FdinfoEntry *descriptor = message;

	if (descriptor->fd > INT32_MAX)
		return invalid(image, "no descriptor has such a number");
	snapshot_add_descriptor(image->snapshot, table_of(image), descriptor);
	return 0;
}

static int compare_descriptors(const void *a, const void *b)
{
	const FdinfoEntry *const *one = a, *const *other = b;

	return (*one)->fd < (*other)->fd ? -1 : (*one)->fd > (*other)->fd;
}

static int finish_descriptors(struct image *image)
{
	/* Makes the table where the image lists no descriptor. */
	struct descriptor_table *table = table_of(image);

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

static int add_file(struct image *image, void *message)
{
	FileEntry *file = message;
	bool complete =
		(file->type != FD_TYPES__REG || (file->reg && file->reg->id == file->id)) &&
		(file->type != FD_TYPES__PIPE || (file->pipe && file->pipe->id == file->id)) &&
		(file->type != FD_TYPES__FIFO || (file->fifo && file->fifo->id == file->id)) &&
		(file->type != FD_TYPES__NS || (file->nsf && file->nsf->id == file->id));

	if (!complete)
		return invalid(image, "the record of its kind is missing or has another id");
	snapshot_add_file(image->snapshot, file);
	return 0;
}

static FileEntry *file_of_older_layout(struct image *image, FdTypes type, uint32_t id)
{
	FileEntry *file = snapshot_new(image->snapshot, FILE_ENTRY, FileEntry);

	file->type = type;
	file->id = id;
	snapshot_add_file(image->snapshot, file);
	return file;
}

static int add_reg_file(struct image *image, void *message)
{
	RegFileEntry *reg = message;

	file_of_older_layout(image, FD_TYPES__REG, reg->id)->reg = reg;
	return 0;
}

static int add_ns_file(struct image *image, void *message)
{
	NsFileEntry *nsf = message;

	file_of_older_layout(image, FD_TYPES__NS, nsf->id)->nsf = nsf;
	return 0;
}

static int add_pipe(struct image *image, void *message)
{
	PipeEntry *pipe = message;

	file_of_older_layout(image, FD_TYPES__PIPE, pipe->id)->pipe = pipe;
	return 0;
}

static int add_fifo(struct image *image, void *message)
{
	FifoEntry *fifo = message;

	file_of_older_layout(image, FD_TYPES__FIFO, fifo->id)->fifo = fifo;
	return 0;
}

static int add_pipe_content(struct image *image, void *message)
{
	PipeDataEntry *entry = message;
	const uint8_t *payload = take_payload(image, entry->bytes);

	if (!payload)
		return -1;
	if (entry->bytes == 0 && !entry->has_size)
		return 0;
	snapshot_add_pipe(image->snapshot, entry,
			  arena_copy(image->snapshot->arena, payload, entry->bytes));
	return 0;
}

static int add_memfd(struct image *image, void *message)
{
	struct image_loader *loader = image->loader;

	loader->memfds = arena_grow(image->snapshot->arena, loader->memfds, loader->n_memfds,
				    sizeof *loader->memfds);
	loader->memfds[loader->n_memfds++] = message;
	return 0;
}

static int add_remap(struct image *image, void *message)
{
	snapshot_add_remap(image->snapshot, message);
	return 0;
}

/* The content of a sparse file is a row of framed chunk records, each before its bytes. */
static int check_chunks(struct image *image, const GhostFileEntry *ghost)
{
	void *message;
	int more;

	image->n_records++;
	while ((more = next_record(image, &ghost_chunk_entry__descriptor, &message)) > 0) {
		const GhostChunkEntry *chunk = message;
		if (chunk->off > INT64_MAX || chunk->len > INT64_MAX - chunk->off ||
		    (ghost->has_size && chunk->off + chunk->len > ghost->size))
			return invalid(image, "the chunk lies outside of its file");
		if (!take_payload(image, chunk->len))
			return -1;
		image->n_records++;
	}
	return more;
}

static int add_ghost(struct image *image, void *message)
{
	GhostFileEntry *entry = message;
	size_t content = image->at;

	if (snapshot_ghost(image->snapshot, (uint32_t)image->number))
		return invalid(image, "there is another file of this number");
	if (entry->has_chunks && entry->chunks) {
		if (check_chunks(image, entry))
			return -1;
	} else {
		if (entry->has_size && entry->size > image->size - content && !entry->symlnk_target)
			return truncated(image);
		image->at = image->size;
	}
	snapshot_add_ghost(image->snapshot, (uint32_t)image->number, entry)->content_offset =
		content;
	return 0;
}

static int add_seccomp(struct image *image, void *message)
{
	if (image->snapshot->seccomp)
		return invalid(image, "there is another list of filters");
	image->snapshot->seccomp = message;
	return 0;
}

static int (*const adders[IMAGE_KINDS])(struct image *image, void *message) = {
	[IMAGE_INVENTORY] = add_inventory,
	[IMAGE_PSTREE] = add_pstree,
	[IMAGE_NS] = add_namespace,
	[IMAGE_USERNS] = add_user_namespace,
	[IMAGE_IDS] = add_ids,
	[IMAGE_CORE] = add_core,
	[IMAGE_MM] = add_mm,
	[IMAGE_VMAS] = add_vma,
	[IMAGE_FS] = add_fs,
	[IMAGE_FDINFO] = add_descriptor,
	[IMAGE_FILES] = add_file,
	[IMAGE_REG_FILES] = add_reg_file,
	[IMAGE_NS_FILES] = add_ns_file,
	[IMAGE_PIPES] = add_pipe,
	[IMAGE_FIFO] = add_fifo,
	[IMAGE_PIPES_DATA] = add_pipe_content,
	[IMAGE_FIFO_DATA] = add_pipe_content,
	[IMAGE_MEMFD] = add_memfd,
	[IMAGE_REMAP_FPATH] = add_remap,
	[IMAGE_GHOST_FILE] = add_ghost,
	[IMAGE_SECCOMP] = add_seccomp,
};

static int add_records(struct image *image)
{
	const struct image_format *format = image_format(image->kind);
	void *message;
	int more;

	while ((more = next_record(image, format->record, &message)) > 0) {
		if (format->single && image->n_records > 0)
			return invalid(image, "only one record was expected");
		if (adders[image->kind](image, message))
			return -1;
		image->n_records++;
	}
	if (more < 0)
		return -1;
	if (format->single && image->n_records == 0)
		return truncated(image);
	return image->kind == IMAGE_FDINFO ? finish_descriptors(image) : 0;
}

/* Where the runs of this image belong; a place of no consequence where nobody wants them. */
static struct pagemap *pagemap_of(struct image *image, struct pagemap *nobody)
{
	struct snapshot *snapshot = image->snapshot;

	if (image->kind == IMAGE_PAGEMAP) {
		struct task *task = find_task(image);
		return task ? &task->pages : nobody;
	}
	struct shared_memory *memory = snapshot_shared_memory(snapshot, image->number);
	if (!memory)
		memory = snapshot_add_shared_memory(snapshot, image->number);
	return &memory->pages;
}

static int add_runs(struct image *image)
{
	struct pagemap nobody = { 0 };
	struct pagemap *pagemap = pagemap_of(image, &nobody);
	void *message;

	int more = next_record(image, &pagemap_head__descriptor, &message);
	if (more <= 0)
		return more < 0 ? -1 : truncated(image);
	if (pagemap->present)
		return invalid(image, "there is another image of these pages");
	pagemap->present = true;
	pagemap->pages_id = ((PagemapHead *)message)->pages_id;
	image->n_records++;
	while ((more = next_record(image, &pagemap_entry__descriptor, &message)) > 0) {
		if (pagemap_add_record(image->snapshot, pagemap, message, image->name, image->err))
			return -1;
		image->n_records++;
	}
	return more;
}

static int check_magic(struct image *image, uint32_t magic)
{
	uint32_t found;

	if (image->size - image->at < sizeof found)
		return fail(image->err, ERR_IMAGE_TRUNCATED, "%s: the file ends after %zu bytes",
			    image->name, image->size);
	memcpy(&found, image->bytes + image->at, sizeof found);
	image->at += sizeof found;
	if (le32toh(found) != magic)
		return fail(image->err, ERR_IMAGE_INVALID,
			    "%s: magic 0x%08" PRIx32 " instead of 0x%08" PRIx32, image->name,
			    le32toh(found), magic);
	return 0;
}

int image_load(struct image_loader *loader, const char *name, const uint8_t *bytes, size_t size,
	       struct error *err)
{
	struct image image = { .loader = loader,
			       .snapshot = loader->snapshot,
			       .name = name,
			       .bytes = bytes,
			       .size = size,
			       .err = err };

	if (!image_recognise(name, &image.kind, &image.number))
		return 0;
	uint32_t magic = image_format(image.kind)->magic;
	if (!magic)
		return 0;
	if (image.kind != IMAGE_INVENTORY && check_magic(&image, IMAGE_COMMON_MAGIC))
		return -1;
	if (check_magic(&image, magic))
		return -1;
	if (image.kind == IMAGE_PAGEMAP || image.kind == IMAGE_PAGEMAP_SHMEM)
		return add_runs(&image);
	return add_records(&image);
}

int image_parse(struct snapshot *snapshot, const char *name, const uint8_t *bytes, size_t size,
		struct error *err)
{
	struct image_loader loader = { .snapshot = snapshot };

	return image_load(&loader, name, bytes, size, err);
}
