// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ipc namespaces: System V objects and the settings for them, which are files of /proc/sys that
 * show the namespace of whoever opens them (ipc/ipc_sysctl.c, ipc/mq_sysctl.c). POSIX message
 * queues are in posix-queues.c.
 *
 * The kernel gives ids; the next one can be asked for (kernel.shm_next_id and relatives). Who made
 * an object stays in it for good, so the maker is that user when it makes it; whoever is nobody in
 * the owner of the namespace cannot be: that is refused. Settings come first where they allow more
 * than a new namespace does, and once more at the end, as they may be below what there is.
 */
#include "kinds/ipc/ipc.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/visit.h"
#include "model/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const settings[] = {
	/* ask_for_settings */
	"kernel/sem",
	"kernel/msgmax",
	"kernel/msgmnb",
	"kernel/msgmni",
	"kernel/shmmax",
	"kernel/shmall",
	"kernel/shmmni",
	/* Files. */
	"kernel/shm_rmid_forced",
	"fs/mqueue/queues_max",
	"fs/mqueue/msg_max",
	"fs/mqueue/msgsize_max",
	"fs/mqueue/msg_default",
	"fs/mqueue/msgsize_default",
	/* What the next object is to be called, which making it takes back: these come last. */
	"kernel/sem_next_id",
	"kernel/msg_next_id",
	"kernel/shm_next_id",
};
enum {
	N_SETTINGS = sizeof settings / sizeof *settings,
	N_ASKED = 7,
	N_NEXT = 3,
	MOST_SETTING = 100
};

/* ---- dump ---- */

int ipc_count(struct ipc_reading *reading, uint64_t bytes, struct error *err)
{
	reading->bytes += bytes;
	if (reading->bytes <= MOST_IPC_BYTES)
		return 0;
	return fail(err, ERR_UNSUPPORTED_NAMESPACE,
		    "what is in System V objects is more than %d bytes", MOST_IPC_BYTES);
}

IpcDescEntry *ipc_describe(struct ipc_reading *reading, const struct ipc_perm *permissions, int id)
{
	IpcDescEntry *entry =
		arena_copy(reading->arena, &(IpcDescEntry)IPC_DESC_ENTRY__INIT, sizeof *entry);

	entry->key = (uint32_t)permissions->__key;
	entry->uid = permissions->uid;
	entry->gid = permissions->gid;
	entry->cuid = permissions->cuid;
	entry->cgid = permissions->cgid;
	entry->mode = permissions->mode;
	entry->id = (uint32_t)id;
	return entry;
}

/* Without the end of the line; false with errno. */
static bool read_setting(const char *path, char value[MOST_SETTING + 1])
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, value, MOST_SETTING);

	value[length < 0 ? 0 : length] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return length >= 0;
}

union info_argument {
	struct seminfo *info;
};

/*
 * Those that calls tell, too (IPC_INFO), as the files have them: they cost less. Files of all
 * namespaces lie side by side in one folder, where one of ours is looked for among all of them.
 */
static int ask_for_settings(char values[N_ASKED][MOST_SETTING + 1])
{
	struct seminfo semaphores;
	struct msginfo queues;
	struct shminfo segments;

	if (semctl(0, 0, IPC_INFO, (union info_argument){ &semaphores }) < 0 ||
	    msgctl(0, IPC_INFO, (struct msqid_ds *)(void *)&queues) < 0 ||
	    shmctl(0, IPC_INFO, (struct shmid_ds *)(void *)&segments) < 0)
		return -1;
	snprintf(values[0], MOST_SETTING, "%d\t%d\t%d\t%d", semaphores.semmsl, semaphores.semmns,
		 semaphores.semopm, semaphores.semmni);
	snprintf(values[1], MOST_SETTING, "%d", queues.msgmax);
	snprintf(values[2], MOST_SETTING, "%d", queues.msgmnb);
	snprintf(values[3], MOST_SETTING, "%d", queues.msgmni);
	snprintf(values[4], MOST_SETTING, "%lu", segments.shmmax);
	snprintf(values[5], MOST_SETTING, "%lu", segments.shmall);
	snprintf(values[6], MOST_SETTING, "%lu", segments.shmmni);
	return 0;
}

static int collect_settings(struct ipc_reading *reading, struct error *err)
{
	char asked[N_ASKED][MOST_SETTING + 1];
	IpcEntry *entry = reading->entry;

	if (ask_for_settings(asked) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the limits of System V objects");
	for (size_t i = 0; i < N_SETTINGS; i++) {
		char path[64], text[MOST_SETTING + 1], *value = i < N_ASKED ? asked[i] : text;
		snprintf(path, sizeof path, "/proc/sys/%s", settings[i]);
		if (i >= N_ASKED && !read_setting(path, value)) {
			if (errno == ENOENT)
				continue;
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", path);
		}
		if (i >= N_SETTINGS - N_NEXT && strcmp(value, "-1") == 0)
			continue;
		IpcSetting *setting =
			arena_copy(reading->arena, &(IpcSetting)IPC_SETTING__INIT, sizeof *setting);
		setting->name = arena_string(reading->arena, settings[i]);
		setting->value = arena_string(reading->arena, value);
		entry->settings = arena_grow(reading->arena, entry->settings, entry->n_settings,
					     sizeof setting);
		entry->settings[entry->n_settings++] = setting;
	}
	return 0;
}

/* What the visitor has packed comes back in a file. */
struct reading_there {
	struct arena *arena;
	int fd;
	bool looking;
};

static int read_inside(struct visitor *visitor, void *data, struct error *err)
{
	struct reading_there *there = data;
	IpcEntry entry = IPC_ENTRY__INIT;
	struct ipc_reading reading = { .arena = there->arena,
				       .entry = &entry,
				       .looking = there->looking };

	(void)visitor;
	if (collect_settings(&reading, err) || segments_collect(&reading, err) ||
	    semaphores_collect(&reading, err) || queues_collect(&reading, err) ||
	    posix_queues_collect(&reading, err))
		return -1;
	size_t size = ipc_entry__get_packed_size(&entry);
	uint8_t *packed = arena_alloc(there->arena, size);
	ipc_entry__pack(&entry, packed);
	for (size_t at = 0; at < size;) {
		ssize_t written = write(there->fd, packed + at, size - at);
		if (written <= 0)
			return fail_errno(err, ERR_IO, "cannot hand over what was read");
		at += (size_t)written;
	}
	return 0;
}

static int collect(struct collect *collect, struct surveyed_namespace *namespace_,
		   struct error *err)
{
	autoclose int fd = memfd_create("nestor-ipc", MFD_CLOEXEC);
	struct reading_there reading = { collect->arena, fd, collect->looking };
	struct visit there = {
		.what = "reads an ipc namespace",
		.namespaces = &namespace_->fd,
		.n_namespaces = 1,
		.brief = true,
		.function = read_inside,
		.data = &reading,
		.size = sizeof reading,
	};

	if (fd < 0)
		return fail_errno(err, ERR_IO, "cannot make a memory file");
	if (visit(&there, NULL, 0, err))
		return -1;
	namespace_->entry->ipc =
		unpack_handed_over(collect->arena, &ipc_entry__descriptor, fd, err);
	return namespace_->entry->ipc ? 0 : -1;
}

/* ---- check ---- */

/* Names become paths, values are written. */
static bool is_setting(const IpcSetting *setting)
{
	size_t i = 0;

	while (i < N_SETTINGS && strcmp(settings[i], setting->name) != 0)
		i++;
	return i < N_SETTINGS && strlen(setting->value) <= MOST_SETTING &&
	       strspn(setting->value, "-0123456789 \t") == strlen(setting->value);
}

static int check_maker(const struct namespace *namespace_, const IpcDescEntry *description,
		       struct error *err)
{
	const struct user_namespace *owner = namespace_->owner;
	uint32_t inside;

	if (user_namespace_id_inside(owner, false, description->cuid, &inside) &&
	    user_namespace_id_inside(owner, true, description->cgid, &inside) &&
	    user_namespace_id_inside(owner, false, description->uid, &inside) &&
	    user_namespace_id_inside(owner, true, description->gid, &inside))
		return 0;
	return fail(err, ERR_UNSUPPORTED_NAMESPACE,
		    "ipc namespace %" PRIu32 ": the object with id %" PRIu32
		    " belongs to somebody who is nobody in the owner of the namespace",
		    namespace_->id, description->id);
}

static int check_queue_owners(const struct namespace *namespace_, const IpcEntry *entry,
			      struct error *err)
{
	uint32_t inside;

	for (size_t i = 0; i < entry->n_posix_queues; i++) {
		const PosixQueue *queue = entry->posix_queues[i];
		if (!user_namespace_id_inside(namespace_->owner, false, queue->uid, &inside) ||
		    !user_namespace_id_inside(namespace_->owner, true, queue->gid, &inside))
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "ipc namespace %" PRIu32
				    ": POSIX message queue %s belongs to somebody who is nobody "
				    "in the owner of the namespace",
				    namespace_->id, queue->name);
	}
	return 0;
}

static int check_makers(const struct namespace *namespace_, const IpcEntry *entry,
			struct error *err)
{
	for (size_t i = 0; i < entry->n_segments; i++)
		if (check_maker(namespace_, entry->segments[i]->desc, err))
			return -1;
	for (size_t i = 0; i < entry->n_semaphores; i++)
		if (check_maker(namespace_, entry->semaphores[i]->desc, err))
			return -1;
	for (size_t i = 0; i < entry->n_queues; i++)
		if (check_maker(namespace_, entry->queues[i]->desc, err))
			return -1;
	return 0;
}

static int check(const struct snapshot *snapshot, const struct namespace *namespace_,
		 struct error *err)
{
	const IpcEntry *entry = namespace_->entry->ipc;

	if (!entry)
		return fail(err, ERR_IMAGE_INVALID, "ipc namespace %" PRIu32 " is not described",
			    namespace_->id);
	for (size_t i = 0; i < entry->n_settings; i++)
		if (!is_setting(entry->settings[i]))
			return fail(err, ERR_IMAGE_INVALID,
				    "ipc namespace %" PRIu32 ": there is no setting %s of %s",
				    namespace_->id, entry->settings[i]->name,
				    entry->settings[i]->value);
	return segments_check(snapshot, namespace_, err) || semaphores_check(entry, err) ||
			       queues_check(entry, err) || check_makers(namespace_, entry, err) ||
			       posix_queues_check(namespace_, err) ||
			       check_queue_owners(namespace_, entry, err)
		       ? -1
		       : 0;
}

/* ---- restore ---- */

static int write_file(const char *path, const char *text, struct error *err)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot write %s to %s", text, path);
	return 0;
}

/* With the calls themselves: the C library would tell other threads. */
static int become(uint32_t uid, uint32_t gid, struct error *err)
{
	if (prctl(PR_SET_SECUREBITS, prctl(PR_GET_SECUREBITS) | SECBIT_NO_SETUID_FIXUP) ||
	    syscall(SYS_setresgid, -1, gid, -1) || syscall(SYS_setresuid, -1, uid, -1))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot become uid %" PRIu32, uid);
	return 0;
}

int ipc_become(const struct ipc_making *making, uint32_t uid, uint32_t gid, struct error *err)
{
	user_namespace_id_inside(making->owner, false, uid, &uid);
	user_namespace_id_inside(making->owner, true, gid, &gid);
	return become(uid, gid, err);
}

int ipc_prepare(const struct ipc_making *making, const IpcDescEntry *description,
		const char *next_id, struct error *err)
{
	uint32_t uid = 0, gid = 0;
	char path[64], text[16];

	user_namespace_id_inside(making->owner, false, description->cuid, &uid);
	user_namespace_id_inside(making->owner, true, description->cgid, &gid);
	snprintf(path, sizeof path, "/proc/sys/kernel/%s", next_id);
	snprintf(text, sizeof text, "%" PRIu32, description->id);
	/* The files are root's. */
	return write_file(path, text, err) || become(uid, gid, err) ? -1 : 0;
}

struct ipc_perm ipc_permissions(const struct ipc_making *making, const IpcDescEntry *description)
{
	uint32_t uid = 0, gid = 0;

	user_namespace_id_inside(making->owner, false, description->uid, &uid);
	user_namespace_id_inside(making->owner, true, description->gid, &gid);
	return (struct ipc_perm){ .uid = uid,
				  .gid = gid,
				  .mode = (unsigned short)(description->mode & IPC_PERMISSIONS) };
}

int ipc_fail_made(const char *what, const IpcDescEntry *description, int made, struct error *err)
{
	if (made < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make %s %" PRIu32, what,
				  description->id);
	if ((uint32_t)made != description->id)
		return fail(err, ERR_KERNEL_REFUSED, "%s %" PRIu32 " got the id %d", what,
			    description->id, made);
	return 0;
}

/* Settings are root's of the owner (ipc_permissions); where it has no root, the host's. */
static int become_root(const struct user_namespace *owner, struct error *err)
{
	uint32_t id;

	if (!user_namespace_id_outside(owner, false, 0, &id) ||
	    !user_namespace_id_outside(owner, true, 0, &id))
		return 0;
	return become(0, 0, err);
}

static bool is_set(const char *path, const char *value)
{
	char text[MOST_SETTING + 1];

	return read_setting(path, text) && strcmp(text, value) == 0;
}

int ipc_raise(const struct ipc_making *making, const char *setting, uint64_t value,
	      struct error *err)
{
	char path[64], text[MOST_SETTING + 1];

	snprintf(path, sizeof path, "/proc/sys/%s", setting);
	if (read_setting(path, text) && strtoull(text, NULL, 10) >= value)
		return 0;
	snprintf(text, sizeof text, "%" PRIu64, value);
	return become_root(making->owner, err) || write_file(path, text, err) ? -1 : 0;
}

static bool is_of_next(const char *name)
{
	for (size_t i = N_SETTINGS - N_NEXT; i < N_SETTINGS; i++)
		if (strcmp(settings[i], name) == 0)
			return true;
	return false;
}

/* Those that allow more than before come first; all of them, as they were, in the end. */
static int write_settings(const struct ipc_making *making, bool at_end, struct error *err)
{
	const IpcEntry *entry = making->entry;

	if (become_root(making->owner, err))
		return -1;
	for (size_t i = 0; i < entry->n_settings; i++) {
		const IpcSetting *setting = entry->settings[i];
		struct error refused = { 0 };
		char path[64];
		snprintf(path, sizeof path, "/proc/sys/%s", setting->name);
		/* What is refused at first may come once others stand. */
		if ((at_end || !is_of_next(setting->name)) && !is_set(path, setting->value) &&
		    write_file(path, setting->value, at_end ? err : &refused) && at_end)
			return -1;
	}
	return 0;
}

int ipc_write_settings(const struct ipc_making *making, struct error *err)
{
	return write_settings(making, true, err);
}

static size_t objects_in(const IpcEntry *entry)
{
	return entry->n_segments + entry->n_semaphores + entry->n_queues + entry->n_posix_queues;
}

/*
 * A new namespace has the values that the kernel was built with (sem_init_ns and relatives): they
 * are read once, as looking for a file takes the longer the more namespaces have one of that name.
 */
static bool is_of_new(const IpcSetting *setting)
{
	static _Thread_local struct {
		bool is_read;
		char value[MOST_SETTING + 1];
	} known[N_SETTINGS];
	char path[64];
	size_t i = 0;

	while (i < N_SETTINGS && strcmp(settings[i], setting->name) != 0)
		i++;
	if (i == N_SETTINGS)
		return false;
	snprintf(path, sizeof path, "/proc/sys/%s", settings[i]);
	if (!known[i].is_read)
		known[i].is_read = read_setting(path, known[i].value);
	return known[i].is_read && strcmp(known[i].value, setting->value) == 0;
}

/* Called where nothing has been written yet. */
static bool is_as_new(const struct ipc_making *making)
{
	const IpcEntry *entry = making->entry;

	if (objects_in(entry) || !posix_queues_root_is_as_new(making))
		return false;
	for (size_t i = 0; i < entry->n_settings; i++)
		if (!is_of_new(entry->settings[i]))
			return false;
	return true;
}

static int go(struct file_opener *opener, const struct namespace *namespace_, struct error *err)
{
	const struct ipc_making making = { namespace_->entry->ipc, namespace_->owner };

	(void)opener;
	(void)err;
	posix_queues_bring_owner(&making);
	return 0;
}

static void unborn(const struct namespace *namespace_)
{
	const struct ipc_making making = { namespace_->entry->ipc, namespace_->owner };

	posix_queues_become_owner(&making);
}

static int fill(const struct namespace *namespace_, struct error *err)
{
	const IpcEntry *entry = namespace_->entry->ipc;
	const struct ipc_making making = { entry, namespace_->owner };

	posix_queues_become_root();
	if (is_as_new(&making))
		return 0;
	if (write_settings(&making, false, err) || segments_make(&making, err) ||
	    semaphores_make(&making, err) || queues_make(&making, err) ||
	    posix_queues_make(&making, err))
		return -1;
	return posix_queues_set_root(&making, err) || write_settings(&making, true, err) ? -1 : 0;
}

static void describe(const NsEntry *entry, struct text *text)
{
	const IpcEntry *ipc = entry->ipc;

	if (ipc && objects_in(ipc))
		text_add(text, "%zu segments, %zu sets of semaphores, %zu message queues",
			 ipc->n_segments, ipc->n_semaphores, ipc->n_queues + ipc->n_posix_queues);
}

const struct namespace_kind ipc_namespace_kind = {
	.type = NAMESPACE_IPC,
	.collect = collect,
	.check = check,
	.go = go,
	.unborn = unborn,
	.fill = fill,
	.describe = describe,
};
