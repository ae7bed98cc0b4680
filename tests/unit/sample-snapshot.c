// SPDX-License-Identifier: LGPL-2.1-or-later
/* See sample-snapshot.h. */
#include "sample-snapshot.h"

#include "base/cleanup.h"

#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { PAGE = 4096, OUTER = 1, INNER = 2 };

static uint32_t *numbers(struct snapshot *snapshot, uint32_t outer, uint32_t inner)
{
	uint32_t both[] = { outer, inner };

	return arena_copy(snapshot->arena, both, sizeof both);
}

static NsTid *thread_ids(struct snapshot *snapshot, uint32_t outer, uint32_t inner)
{
	NsTid *tid = snapshot_new(snapshot, NS_TID, NsTid);

	tid->n_tid = inner ? 2 : 1;
	tid->tid = numbers(snapshot, outer, inner);
	return tid;
}

/* inner is 0 for a task of the outer namespace. */
static PstreeEntry *pstree_of(struct snapshot *snapshot, uint32_t parent, uint32_t outer,
			      uint32_t inner, uint32_t second_thread)
{
	PstreeEntry *pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	NsTid *tids[] = { thread_ids(snapshot, outer, inner),
			  thread_ids(snapshot, second_thread, 0) };

	pstree->pid = outer;
	pstree->ppid = parent;
	pstree->pgid = pstree->sid = SAMPLE_ROOT;
	pstree->n_threads = second_thread ? 2 : 1;
	pstree->threads = numbers(snapshot, outer, second_thread);
	pstree->n_ns_pid = pstree->n_ns_pgid = pstree->n_ns_sid = inner ? 2 : 1;
	pstree->ns_pid = numbers(snapshot, outer, inner);
	pstree->ns_pgid = numbers(snapshot, SAMPLE_ROOT, 0);
	pstree->ns_sid = numbers(snapshot, SAMPLE_ROOT, 0);
	pstree->n_ns_tids = pstree->n_threads;
	pstree->ns_tids = arena_copy(snapshot->arena, tids, sizeof tids);
	return pstree;
}

static CoreEntry *core_of_thread(struct snapshot *snapshot)
{
	CoreEntry *core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);
	ThreadInfoX86 *info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);

	info->gpregs = snapshot_new(snapshot, USER_X86_REGS_ENTRY, UserX86RegsEntry);
	info->gpregs->ip = 0x401000;
	info->fpregs = snapshot_new(snapshot, USER_X86_FPREGS_ENTRY, UserX86FpregsEntry);
	info->fpregs->n_st_space = 32;
	info->fpregs->st_space = arena_array(snapshot->arena, uint32_t, 32);
	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->thread_info = info;
	core->thread_core = snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	return core;
}

static TaskCoreEntry *task_core_of(struct snapshot *snapshot, enum task_state state)
{
	TaskCoreEntry *core = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);

	core->task_state = state;
	core->comm = arena_string(snapshot->arena, "sample");
	return core;
}

static MmEntry *mm_with_area(struct snapshot *snapshot, uint32_t status, uint64_t shmid)
{
	MmEntry *mm = snapshot_new(snapshot, MM_ENTRY, MmEntry);
	VmaEntry *vma = snapshot_new(snapshot, VMA_ENTRY, VmaEntry);

	vma->start = 0x10000;
	vma->end = 0x10000 + 8 * PAGE;
	vma->shmid = shmid;
	vma->status = VMA_REGULAR | status;
	vma->fd = -1;
	mm->exe_file_id = 1;
	mm->n_vmas = 1;
	mm->vmas = arena_copy(snapshot->arena, &vma, sizeof vma);
	mm->n_mm_saved_auxv = 2;
	mm->mm_saved_auxv = arena_array(snapshot->arena, uint64_t, 2);
	return mm;
}

static struct task *add_task(struct snapshot *snapshot, PstreeEntry *pstree, enum task_state state,
			     uint32_t namespace)
{
	struct task *task = snapshot_add_task(snapshot);

	task->pstree = pstree;
	if (state == TASK_DEAD) {
		task->core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);
		task->core->mtype = CORE_ENTRY__MARCH__X86_64;
		task->core->tc = task_core_of(snapshot, state);
		task->core->tc->exit_code = 3 << 8;
		return task;
	}
	task->core = core_of_thread(snapshot);
	task->core->tc = task_core_of(snapshot, state);
	task->n_threads = pstree->n_threads;
	task->threads = arena_array(snapshot->arena, CoreEntry *, task->n_threads);
	task->threads[0] = task->core;
	for (size_t i = 1; i < task->n_threads; i++)
		task->threads[i] = core_of_thread(snapshot);
	task->ids = snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	task->ids->vm_id = pstree->pid;
	task->ids->files_id = 1;
	task->ids->has_pid_ns_id = true;
	task->ids->pid_ns_id = namespace;
	task->fs = snapshot_new(snapshot, FS_ENTRY, FsEntry);
	task->fs->cwd_id = task->fs->root_id = 1;
	return task;
}

static void add_tasks(struct snapshot *snapshot)
{
	struct task *root = add_task(
		snapshot, pstree_of(snapshot, 0, SAMPLE_ROOT, 0, SAMPLE_THREAD), TASK_ALIVE, OUTER);

	root->mm = mm_with_area(snapshot, VMA_ANON_PRIVATE, 0);
	root->pages.present = true;
	root->pages.pages_id = 1;
	pagemap_add_own(snapshot, &root->pages, 0x10000, 2);
	pagemap_add_own(snapshot, &root->pages, 0x14000, 3);
	struct task *stopped =
		add_task(snapshot, pstree_of(snapshot, SAMPLE_ROOT, SAMPLE_STOPPED, 1, 0),
			 TASK_STOPPED, INNER);
	stopped->mm = mm_with_area(snapshot, VMA_ANON_SHARED, SAMPLE_SHMID);
	stopped->pages.present = true;
	stopped->pages.pages_id = 2;
	pagemap_add_own(snapshot, &stopped->pages, 0x11000, 1);
	/* Shared with the root since the fork. */
	pagemap_add_run(snapshot, &stopped->pages,
			(struct memory_run){ .address = 0x14000,
					     .pages = 2,
					     .source = page_source(0, root->pages.pages_id),
					     .offset = 3 * PAGE });
	struct task *zombie =
		add_task(snapshot, pstree_of(snapshot, SAMPLE_STOPPED, SAMPLE_ZOMBIE, 2, 0),
			 TASK_DEAD, INNER);
	zombie->ids = NULL;
	struct shared_memory *memory = snapshot_add_shared_memory(snapshot, SAMPLE_SHMID);
	memory->pages.present = true;
	memory->pages.pages_id = 3;
	pagemap_add_own(snapshot, &memory->pages, 0, SAMPLE_SHARED_PAGES);
}

static FileEntry *add_file(struct snapshot *snapshot, FdTypes type, uint32_t id, uint32_t fd)
{
	FileEntry *file = snapshot_new(snapshot, FILE_ENTRY, FileEntry);
	FdinfoEntry *descriptor = snapshot_new(snapshot, FDINFO_ENTRY, FdinfoEntry);

	file->type = type;
	file->id = id;
	snapshot_add_file(snapshot, file);
	descriptor->id = id;
	descriptor->type = type;
	descriptor->fd = fd;
	snapshot_add_descriptor(snapshot, snapshot->tables[0], descriptor);
	return file;
}

static void add_pipe_content(struct snapshot *snapshot, enum image_kind kind, uint32_t pipe_id,
			     const char *content)
{
	PipeDataEntry *entry = snapshot_new(snapshot, PIPE_DATA_ENTRY, PipeDataEntry);

	entry->pipe_id = pipe_id;
	entry->bytes = (uint32_t)strlen(content);
	entry->has_size = true;
	entry->size = 65536;
	struct record *record = snapshot_add_record(snapshot, kind, pipe_id, entry);
	record->payload = (const uint8_t *)arena_string(snapshot->arena, content);
	record->payload_size = entry->bytes;
}

static void add_files(struct snapshot *snapshot)
{
	snapshot_add_table(snapshot, 1);
	FileEntry *file = add_file(snapshot, FD_TYPES__REG, 1, 0);
	file->reg = snapshot_new(snapshot, REG_FILE_ENTRY, RegFileEntry);
	file->reg->id = 1;
	file->reg->name = arena_string(snapshot->arena, "/some/where");
	file->reg->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
	file = add_file(snapshot, FD_TYPES__PIPE, 2, 3);
	file->pipe = snapshot_new(snapshot, PIPE_ENTRY, PipeEntry);
	file->pipe->id = 2;
	file->pipe->pipe_id = 500;
	file->pipe->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
	file->inode_owner = snapshot_new(snapshot, INODE_OWNER_ENTRY, InodeOwnerEntry);
	file->inode_owner->mode = 0622;
	file = add_file(snapshot, FD_TYPES__FIFO, 3, 4);
	file->fifo = snapshot_new(snapshot, FIFO_ENTRY, FifoEntry);
	file->fifo->id = 3;
	file->fifo->pipe_id = 501;
	add_pipe_content(snapshot, IMAGE_PIPES_DATA, 500, "in the pipe");
	add_pipe_content(snapshot, IMAGE_FIFO_DATA, 501, "in the fifo");
}

/* Its ring holds a part that has not been given back. */
static void add_packet_socket(struct snapshot *snapshot)
{
	FileEntry *file = add_file(snapshot, FD_TYPES__PACKETSK, 4, 5);
	PacketSkEntry *sk = snapshot_new(snapshot, PACKET_SK_ENTRY, PacketSkEntry);
	PacketRing *ring = snapshot_new(snapshot, PACKET_RING, PacketRing);
	PacketRingPart *part = snapshot_new(snapshot, PACKET_RING_PART, PacketRingPart);

	file->psk = sk;
	sk->id = 4;
	sk->type = SOCK_RAW;
	sk->protocol = 8;
	sk->version = 1;
	sk->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
	sk->opts = snapshot_new(snapshot, SK_OPTS_ENTRY, SkOptsEntry);
	ring->block_size = ring->frame_size = PAGE;
	ring->block_nr = ring->frame_nr = 2;
	ring->has_head = true;
	ring->head = 1;
	sk->rx_ring = ring;
	part->id_for = sk->id;
	part->length = SAMPLE_RING_PART;
	struct record *record = snapshot_add_record(snapshot, IMAGE_PACKET_RINGS, sk->id, part);
	record->payload = arena_alloc(snapshot->arena, SAMPLE_RING_PART);
	record->payload_size = SAMPLE_RING_PART;
}

static void add_unlinked_file(struct snapshot *snapshot)
{
	RemapFilePathEntry *remap =
		snapshot_new(snapshot, REMAP_FILE_PATH_ENTRY, RemapFilePathEntry);
	GhostFileEntry *ghost = snapshot_new(snapshot, GHOST_FILE_ENTRY, GhostFileEntry);

	remap->orig_id = 1;
	remap->remap_id = SAMPLE_GHOST;
	remap->has_remap_type = true;
	remap->remap_type = REMAP_TYPE__GHOST;
	snapshot_add_record(snapshot, IMAGE_REMAP_FPATH, 1, remap);
	ghost->mode = 0100600;
	snapshot_add_record(snapshot, IMAGE_GHOST_FILE, SAMPLE_GHOST, ghost);
}

static void add_namespace(struct snapshot *snapshot, uint32_t id, uint32_t parent)
{
	NsEntry *entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);

	entry->id = id;
	entry->ns_cflag = CLONE_NEWPID;
	entry->has_parent_id = parent != 0;
	entry->parent_id = parent;
	snapshot_add_namespace(snapshot, entry);
}

void sample_snapshot(struct snapshot *snapshot, struct arena *arena)
{
	static uint8_t instruction[8] = { 0x06, 0, 0, 0, 0, 0, 0xff, 0x7f };

	*snapshot = (struct snapshot){ .arena = arena };
	snapshot->inventory = snapshot_new(snapshot, INVENTORY_ENTRY, InventoryEntry);
	add_tasks(snapshot);
	add_files(snapshot);
	add_packet_socket(snapshot);
	add_unlinked_file(snapshot);
	add_namespace(snapshot, OUTER, 0);
	add_namespace(snapshot, INNER, OUTER);
	SeccompFilter *filter = snapshot_new(snapshot, SECCOMP_FILTER, SeccompFilter);
	filter->filter.data = instruction;
	filter->filter.len = sizeof instruction;
	SeccompEntry *seccomp = snapshot_new(snapshot, SECCOMP_ENTRY, SeccompEntry);
	seccomp->n_seccomp_filters = 1;
	seccomp->seccomp_filters = arena_copy(arena, &filter, sizeof filter);
	snapshot_add_record(snapshot, IMAGE_SECCOMP, 0, seccomp);
	KeyringEntry *keyring = snapshot_new(snapshot, KEYRING_ENTRY, KeyringEntry);
	keyring->id = 1;
	keyring->name = "keyring";
	snapshot_add_record(snapshot, IMAGE_KEYRINGS, 1, keyring);
}

static int write_pages(struct images_writer *writer, uint32_t pages_id, size_t count,
		       struct error *err)
{
	autoclose int fd = images_create_raw(writer, IMAGE_PAGES, pages_id, err);

	if (fd < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		unsigned char page[PAGE];
		memset(page, (int)(pages_id * 16 + i), PAGE);
		if (write(fd, page, PAGE) != PAGE)
			return fail_errno(err, ERR_IO, "cannot write pages %u", (unsigned)pages_id);
	}
	return 0;
}

const struct record *sample_ghost(const struct snapshot *snapshot)
{
	return snapshot_record(snapshot, IMAGE_GHOST_FILE, SAMPLE_GHOST);
}

int sample_write(struct images_writer *writer, const struct snapshot *snapshot, struct error *err)
{
	if (write_pages(writer, 1, SAMPLE_ROOT_PAGES, err) ||
	    write_pages(writer, 2, SAMPLE_CHILD_PAGES, err) ||
	    write_pages(writer, 3, SAMPLE_SHARED_PAGES, err))
		return -1;
	autoclose int fd = images_create_content(writer, IMAGE_GHOST_FILE, SAMPLE_GHOST,
						 sample_ghost(snapshot)->message, err);
	if (fd < 0)
		return -1;
	if (write(fd, SAMPLE_GHOST_CONTENT, strlen(SAMPLE_GHOST_CONTENT)) < 0)
		return fail_errno(err, ERR_IO, "cannot write the ghost file");
	return images_write_snapshot(writer, snapshot, err);
}
