// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Answering instead of the driver of a FUSE, while mounts are made: a child that has a descriptor
 * of the connection that nobody else has (FUSE_DEV_IOC_CLONE), and ends with nestor, or in time.
 * Who waits for an answer to what has been read cannot be killed (request_wait_answer); when that
 * descriptor goes, with the child, what was read by it fails (fuse_dev_release).
 *
 * It knows no more than what is in the record: what was agreed upon, and directories that are
 * mounted by themselves. It says so no more often than the kernel had been told before, since what
 * the kernel counts it gives back (FUSE_FORGET), to a driver that counts too.
 *
 * What is open comes with the handle that its driver knows, one after the other: which one is
 * about to be opened, nestor says. Nobody closes it before the driver is back.
 *
 * What is read is zeroes: only who gets pages of his own in their place does that (MAP_PRIVATE). At
 * the end the kernel is told that it has nothing of the file (FUSE_NOTIFY_INVAL_INODE), and reads
 * what somebody else needs from the driver. What is locked in memory (mlock) is read again then,
 * too: when it is touched.
 *
 * What is found holds until all is made; then the kernel is told that it does not
 * (FUSE_EXPIRE_ONLY, 6.2), and asks the driver, for whom nothing has changed. Older ones believe it
 * for a moment.
 */
#include "kinds/mounts/fuse.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/undo.h"
#include "kernel/deputy.h"
#include "kinds/mounts/make.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	VALID_SECONDS = 60,
	VALID_LONG = 86400,
	PAUSE_MS = 5,
	ALARM_SECONDS = 60,
	PATIENCE_MS = 20000,
	/* The kernel gives nothing to who has less room than this, and than a write takes. */
	LEAST_ROOM = 64 << 10,
	BESIDE_WRITE = 4096,
	/* Who gives up leaves others waiting for as long as they may. */
	MOST_PROBLEMS = 100,
};

/* Shared by both. */
struct stage {
	atomic_bool mounted, agreed, over;
	atomic_uint opening;	 /* the id of a file; 0: none */
	atomic_uint number;	 /* of the connection, as fusectl has it; 0: none yet */
	_Atomic uint64_t polled; /* by this number; 0: nothing has been */
};

struct player {
	struct undo_entry undo;
	struct player *next;
	const MntEntry *entry;
	struct deputy_away away;
	struct stage *stage;
	const struct snapshot *snapshot;
	int fd, user_fd;
	bool expires;	/* what is found may be told to hold no more */
	uint64_t *told; /* how often, like entry->fuse->nodes */
	bool *read;	/* has anybody been given nothing but zeroes of it, likewise */
	uint8_t *blank;
	size_t most_blank;
};

static struct player **players_of(struct file_opener *opener)
{
	static const char owner;

	return (struct player **)opener_state(opener, &owner);
}

static void pause_for(long milliseconds)
{
	const struct timespec pause = { .tv_nsec = milliseconds * 1000000L };

	nanosleep(&pause, NULL);
}

/*
 * Whoever waits for an answer fails, and so does whoever asks. Tasks that are killed could not end
 * otherwise: who has both a file and the device asks for a flush before he closes the latter.
 */
static void abort_connection(const struct player *player)
{
	unsigned number = atomic_load(&player->stage->number);
	char name[32];

	if (!number)
		return;
	autoclose int context_fd = fsopen("fusectl", FSOPEN_CLOEXEC);
	if (context_fd < 0 || fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return;
	autoclose int mount_fd = fsmount(context_fd, FSMOUNT_CLOEXEC, 0);
	snprintf(name, sizeof name, "%u/abort", number);
	autoclose int fd = mount_fd < 0 ? -1 : openat(mount_fd, name, O_WRONLY | O_CLOEXEC);
	while (fd >= 0 && write(fd, "1", 1) < 0 && errno == EINTR)
		;
}

static void undo_player(const struct undo_entry *entry)
{
	abort_connection((const struct player *)entry);
}

/* ---- in the child ---- */

struct answer {
	struct fuse_out_header header;
	union {
		struct fuse_init_out init;
		struct fuse_entry_out entry;
		struct fuse_attr_out attributes;
		struct fuse_open_out open;
		struct fuse_poll_out polled;
	};
};

enum { NANOSECONDS = 1000000000 };

static uint32_t part_of(int64_t time)
{
	int64_t part = time % NANOSECONDS;

	return (uint32_t)(part < 0 ? part + NANOSECONDS : part);
}

static int64_t seconds_of(int64_t time)
{
	return (time - part_of(time)) / NANOSECONDS;
}

static void fill_attributes(struct fuse_attr *attributes, const MntFuseNodeEntry *node)
{
	*attributes = (struct fuse_attr){
		.ino = node->has_inode ? node->inode : node->node,
		.size = node->size,
		.mtime = (uint64_t)seconds_of(node->modified),
		.mtimensec = part_of(node->modified),
		.ctime = (uint64_t)seconds_of(node->changed),
		.ctimensec = part_of(node->changed),
		.mode = node->mode,
		.nlink = S_ISDIR(node->mode) ? 2 : 1,
		.blksize = 4096,
	};
}

static size_t agree(struct player *player, struct answer *answer)
{
	const MntFuseEntry *fuse = player->entry->fuse;

	answer->init = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = fuse->minor,
		.max_readahead = fuse->max_readahead,
		.flags = (uint32_t)fuse->flags,
		.max_background = (uint16_t)fuse->max_background,
		.congestion_threshold = (uint16_t)fuse->congestion_threshold,
		.max_write = fuse->max_write,
		.time_gran = fuse->time_gran,
		.max_pages = (uint16_t)fuse->max_pages,
		.flags2 = (uint32_t)(fuse->flags >> FUSE_FLAGS_LOW),
	};
	return sizeof answer->init;
}

static size_t look_up(struct player *player, uint64_t parent, const char *name,
		      struct answer *answer)
{
	const MntFuseEntry *fuse = player->entry->fuse;

	answer->header.error = -ENOENT;
	for (size_t i = 0; i < fuse->n_nodes; i++) {
		const MntFuseNodeEntry *node = fuse->nodes[i];
		if (node->parent != parent || strcmp(node->name, name) != 0)
			continue;
		answer->header.error = -EIO;
		if (player->told[i] >= node->lookups)
			return 0;
		player->told[i]++;
		answer->header.error = 0;
		answer->entry = (struct fuse_entry_out){
			.nodeid = node->node,
			.generation = node->generation,
			.entry_valid = player->expires ? VALID_LONG : VALID_SECONDS,
		};
		fill_attributes(&answer->entry.attr, node);
		return sizeof answer->entry;
	}
	return 0;
}

static size_t get_attributes(struct player *player, uint64_t wanted, struct answer *answer)
{
	const MntFuseEntry *fuse = player->entry->fuse;
	MntFuseNodeEntry root = MNT_FUSE_NODE_ENTRY__INIT;
	const MntFuseNodeEntry *node = NULL;

	root.node = FUSE_ROOT_ID;
	root.mode = fuse->root_mode;
	if (wanted == FUSE_ROOT_ID)
		node = &root;
	for (size_t i = 0; i < fuse->n_nodes; i++)
		if (fuse->nodes[i]->node == wanted)
			node = fuse->nodes[i];
	if (!node)
		return 0;
	answer->header.error = 0;
	answer->attributes = (struct fuse_attr_out){ 0 };
	fill_attributes(&answer->attributes.attr, node);
	return sizeof answer->attributes;
}

static size_t open_one(struct player *player, uint64_t node, bool directory, struct answer *answer)
{
	const MntFuseEntry *fuse = player->entry->fuse;
	uint32_t id = atomic_load(&player->stage->opening);
	const FileEntry *file = id ? snapshot_file(player->snapshot, id) : NULL;

	if (directory ? fuse->no_opendir : fuse->no_open) {
		answer->header.error = -ENOSYS;
		return 0;
	}
	if (!file || !file->reg || !file->reg->fuse || file->reg->fuse->node != node)
		return 0;
	answer->header.error = 0;
	answer->open = (struct fuse_open_out){ .fh = file->reg->fuse->handle,
					       .open_flags = file->reg->fuse->open_flags };
	return sizeof answer->open;
}

/* Whoever has asked looks again, when the driver is back. */
static size_t poll_one(struct player *player, const struct fuse_poll_in *in, struct answer *answer)
{
	if (player->entry->fuse->no_poll) {
		answer->header.error = -ENOSYS;
		return 0;
	}
	atomic_store(&player->stage->polled, in->kh);
	answer->header.error = 0;
	answer->polled = (struct fuse_poll_out){ .revents = POLLERR };
	return sizeof answer->polled;
}

static int send_answer(struct player *player, const void *answer, size_t size, struct error *err)
{
	ssize_t written;

	do
		written = write(player->fd, answer, size);
	while (written < 0 && errno == EINTR);
	/* ENOENT: whoever asked has been killed, or what has a new name is known by none. */
	return written < 0 && errno != ENOENT
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot answer for %s",
				    player->entry->mountpoint)
		       : 0;
}

/*
 * Whoever is given private pages of his own has what they are copies of read first; who shares
 * these reads them later, from who knows.
 */
static int give_blank(struct player *player, const struct fuse_in_header *in,
		      const struct fuse_read_in *wanted, struct error *err)
{
	const MntFuseEntry *fuse = player->entry->fuse;
	struct fuse_out_header header = { .len = sizeof header, .unique = in->unique };

	for (size_t i = 0; i < fuse->n_nodes; i++)
		if (fuse->nodes[i]->node == in->nodeid)
			player->read[i] = true;
	if (wanted->size > player->most_blank)
		header.error = -EIO;
	else
		header.len += wanted->size;
	memcpy(player->blank, &header, sizeof header);
	return send_answer(player, player->blank, header.len, err);
}

static size_t answer_to(struct player *player, const struct fuse_in_header *in, const uint8_t *rest,
			struct answer *answer)
{
	struct fuse_init_in init;

	switch (in->opcode) {
	case FUSE_INIT:
		memcpy(&init, rest, sizeof init);
		player->expires = init.flags & FUSE_MORE_FLAGS &&
				  init.flags2 & FUSE_HAS_EXPIRING >> FUSE_FLAGS_LOW;
		answer->header.error = 0;
		return agree(player, answer);
	case FUSE_LOOKUP:
		return look_up(player, in->nodeid, (const char *)rest, answer);
	case FUSE_GETATTR:
		return get_attributes(player, in->nodeid, answer);
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return open_one(player, in->nodeid, in->opcode == FUSE_OPENDIR, answer);
	case FUSE_POLL:
		return poll_one(player, (const void *)rest, answer);
	case FUSE_ACCESS:
	case FUSE_FLUSH: /* by each that closes a descriptor */
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		answer->header.error = 0;
		return 0;
	default:
		return 0;
	}
}

/* `room` ends with a zero. */
static int answer_one(struct player *player, const uint8_t *room, size_t size, struct error *err)
{
	struct fuse_in_header in;
	struct answer answer = { .header.error = -EIO };
	size_t more = 0;

	if (size < sizeof in)
		return fail(err, ERR_KERNEL_REFUSED, "the kernel asks a FUSE for nothing");
	memcpy(&in, room, sizeof in);
	if (in.opcode == FUSE_FORGET || in.opcode == FUSE_BATCH_FORGET ||
	    in.opcode == FUSE_INTERRUPT)
		return 0;
	if (in.opcode == FUSE_READ)
		return give_blank(player, &in, (const void *)(room + sizeof in), err);
	more = answer_to(player, &in, room + sizeof in, &answer);
	answer.header.unique = in.unique;
	answer.header.len = (uint32_t)(sizeof answer.header + more);
	if (send_answer(player, &answer, answer.header.len, err))
		return -1;
	if (in.opcode == FUSE_INIT)
		atomic_store(&player->stage->agreed, true);
	return 0;
}

/* Zeroed, and no more of it is there than what is written to; NULL with errno. */
static uint8_t *make_room(size_t size)
{
	void *room = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return room == MAP_FAILED ? NULL : room;
}

/* For what is asked, with a zero behind it, and for what is answered to who reads. */
static uint8_t *make_rooms(struct player *player, size_t *ret_size)
{
	const MntFuseEntry *fuse = player->entry->fuse;

	*ret_size = LEAST_ROOM + fuse->max_write + BESIDE_WRITE;
	player->most_blank = ((size_t)fuse->max_pages + 1) * (size_t)sysconf(_SC_PAGESIZE);
	player->blank = make_room(sizeof(struct fuse_out_header) + player->most_blank);
	return player->blank ? make_room(*ret_size + 1) : NULL;
}

/* A descriptor of our own, and no other. */
static int join(const struct player *player, struct error *err)
{
	uint32_t of = (uint32_t)player->fd;

	if (player->user_fd >= 0 && deputy_enter_user(player->user_fd, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a user namespace");
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, FUSE_DEV_IOC_CLONE, &of))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot answer for %s",
				  player->entry->mountpoint);
	if ((fd && close_range(0, (unsigned)fd - 1, 0)) || close_range((unsigned)fd + 1, ~0U, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot close descriptors");
	return take_fd(&fd);
}

/* From now on the kernel asks who knows. */
static int expire(struct player *player, struct error *err)
{
	const MntFuseEntry *fuse = player->entry->fuse;
	struct {
		struct fuse_out_header header;
		struct
		{ /* fuse_notify_inval_entry_out, whose flags are called padding before 6.2 */
			uint64_t parent;
			uint32_t name_length, flags;
		} entry;
		char name[NAME_MAX + 1];
	} notice;

	for (size_t i = 0; player->expires && i < fuse->n_nodes; i++) {
		const MntFuseNodeEntry *node = fuse->nodes[i];
		size_t length = strlen(node->name);
		if (!player->told[i])
			continue;
		notice.header = (struct fuse_out_header){
			.len = (uint32_t)(offsetof(typeof(notice), name) + length + 1),
			.error = FUSE_NOTIFY_INVAL_ENTRY,
		};
		notice.entry.parent = node->parent;
		notice.entry.name_length = (uint32_t)length;
		notice.entry.flags = FUSE_EXPIRES;
		memcpy(notice.name, node->name, length + 1);
		if (send_answer(player, &notice, notice.header.len, err))
			return -1;
	}
	return 0;
}

/* What was read of it goes, and what is mapped of it is read anew. */
static int forget_content(struct player *player, struct error *err)
{
	const MntFuseEntry *fuse = player->entry->fuse;
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out inode;
	} notice;

	for (size_t i = 0; i < fuse->n_nodes; i++) {
		if (!player->read[i])
			continue;
		notice.header = (struct fuse_out_header){ .len = sizeof notice,
							  .error = FUSE_NOTIFY_INVAL_INODE };
		notice.inode = (struct fuse_notify_inval_inode_out){ .ino = fuse->nodes[i]->node };
		if (send_answer(player, &notice, sizeof notice, err))
			return -1;
	}
	return 0;
}

static struct player *playing; /* in the child, of which it is the only work */

static int play(void *data, struct error *err)
{
	struct player *player = playing;
	size_t most;
	uint8_t *room = make_rooms(player, &most);
	struct pollfd state = { .events = POLLIN };

	(void)data;
	if (!room)
		return fail_errno(err, ERR_OUT_OF_MEMORY, "cannot read what is asked of a FUSE");
	while (!atomic_load(&player->stage->mounted) && !atomic_load(&player->stage->over))
		pause_for(PAUSE_MS);
	if (atomic_load(&player->stage->over))
		return 0;
	state.fd = player->fd = join(player, err);
	if (state.fd < 0)
		return -1;
	for (int problems = 0; problems < MOST_PROBLEMS;) {
		bool over = atomic_load(&player->stage->over);
		/* As long as it takes: it ends with nestor. */
		alarm(ALARM_SECONDS);
		int ready = poll(&state, 1, over ? 0 : PAUSE_MS);
		ssize_t size = ready > 0 ? read(player->fd, room, most) : ready;
		if (ready <= 0 && over)
			return forget_content(player, err) ? -1 : expire(player, err);
		if (size < 0 && errno == ENODEV)
			return 0;
		problems += size < 0;
		if (size <= 0)
			continue;
		room[size] = 0;
		if (answer_one(player, room, (size_t)size, err))
			return -1;
	}
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read what is asked of %s",
			  player->entry->mountpoint);
}

/* Nobody is to wait for an answer any more. */
static int play_and_tell(void *data, struct error *err)
{
	int result = play(data, err);

	if (result)
		abort_connection(playing);
	atomic_store(&playing->stage->over, true);
	return result;
}

/* ---- in nestor ---- */

static int send(struct file_opener *opener, const MntEntry *entry, struct error *err)
{
	const FileEntry *device = fuse_device_of(opener->snapshot, entry->root_dev);
	struct player *player = arena_new(opener->arena, struct player);

	player->entry = entry;
	player->snapshot = opener->snapshot;
	player->fd = opener_file(opener, device->id);
	player->user_fd = fuse_owner_fd(opener->snapshot, opener->user_namespaces, entry);
	if (player->fd < 0)
		return fail(err, ERR_IMAGE_INVALID, "nobody has the descriptor of its driver");
	player->told = arena_array(opener->arena, uint64_t, entry->fuse->n_nodes + 1);
	player->read = arena_array(opener->arena, bool, entry->fuse->n_nodes + 1);
	player->stage = deputy_away_memory(&player->away, sizeof *player->stage, err);
	if (!player->stage)
		return -1;
	player->undo.undo = undo_player;
	undo_add(opener->undo, &player->undo);
	player->next = *players_of(opener);
	*players_of(opener) = player;
	playing = player;
	return deputy_send(&player->away, play_and_tell, err);
}

int mounts_play_drivers(struct file_opener *opener, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *file = snapshot->files[i];
		if (file->type != FD_TYPES__FUSEDEVICE || !file->fuse_device->has_connection ||
		    fuse_device_of(snapshot, file->fuse_device->connection) != file)
			continue;
		const MntEntry *entry = fuse_mount_of(snapshot, file->fuse_device->connection);
		if (send(opener, entry, err))
			return fail_while(err, "mount %.200s", entry->mountpoint);
	}
	return 0;
}

int fuse_play_begin(struct file_opener *opener, const MntEntry *entry, struct error *err)
{
	struct player *player = *players_of(opener);

	while (player && player->entry->root_dev != entry->root_dev)
		player = player->next;
	if (!player)
		return fail(err, ERR_IMAGE_INVALID, "nobody answers for %.200s", entry->mountpoint);
	atomic_store(&player->stage->mounted, true);
	for (int i = 0; i < PATIENCE_MS && !atomic_load(&player->stage->agreed) &&
			!atomic_load(&player->stage->over);
	     i++)
		pause_for(1);
	return atomic_load(&player->stage->agreed)
		       ? 0
		       : fail(err, ERR_KERNEL_REFUSED,
			      "the kernel has not begun with the FUSE of %.200s",
			      entry->mountpoint);
}

static struct player *find_player(const struct file_opener *opener, uint32_t device)
{
	struct player *player = *players_of((struct file_opener *)opener);

	while (player && player->entry->root_dev != device)
		player = player->next;
	return player;
}

void fuse_play_mounted(const struct file_opener *opener, uint32_t device, int mount_fd)
{
	struct player *player = find_player(opener, device);
	struct statx found;

	if (player && statx(mount_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found) == 0)
		atomic_store(&player->stage->number, found.stx_dev_minor);
}

void fuse_play_opening(const struct file_opener *opener, uint32_t device, uint32_t file_id)
{
	struct player *player = find_player(opener, device);

	if (player)
		atomic_store(&player->stage->opening, file_id);
}

uint64_t fuse_play_polled(const struct file_opener *opener, uint32_t device)
{
	struct player *player = find_player(opener, device);

	return player ? atomic_exchange(&player->stage->polled, 0) : 0;
}

/* By which the last of them ended; NULL. */
static struct error **failure_of(struct file_opener *opener)
{
	static const char owner;

	return (struct error **)opener_state(opener, &owner);
}

/* Its connection is gone then, and the driver with it. */
static void await_player(struct file_opener *opener, struct player *player)
{
	struct error *failure = arena_new(opener->arena, struct error);

	atomic_store(&player->stage->over, true);
	if (deputy_await(&player->away, failure))
		*failure_of(opener) = failure;
}

int mounts_check_drivers(struct file_opener *opener, struct error *err)
{
	const struct error *failure = *failure_of(opener);

	if (failure)
		*err = *failure;
	return failure ? -1 : 0;
}

/* Where something has failed, whoever still waits for an answer is about to be killed. */
void mounts_end_drivers(struct file_opener *opener)
{
	for (struct player *player = *players_of(opener); player; player = player->next) {
		if (opener->at_rest)
			await_player(opener, player);
		else
			abort_connection(player);
		undo_drop(&player->undo);
		deputy_recall(&player->away);
	}
	*players_of(opener) = NULL;
}
