// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Staging and committing; see directory.h and images.h.
 *
 * What a crash leaves, at each moment: before the commit, the earlier dump and a staging folder,
 * which the next dump clears away. Within the commit, a directory without a manifest, which is
 * refused. After it, the new dump. The order on the disk is that of the two fsyncs: data and
 * names first, the manifest then.
 */
#include "images/directory.h"

#include "base/cleanup.h"
#include "base/foreign.h"
#include "base/listing.h"
#include "base/whole.h"
#include "images/format.h"
#include "images/images.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Removes what an interrupted dump left in the staging folder. */
static int clear_staging(int staging_fd, struct error *err)
{
	autoclosedir DIR *folder = listing_open(staging_fd, ".");
	const char *name;

	while (listing_next(folder, &name))
		if (unlinkat(staging_fd, name, 0) && errno != ENOENT)
			return fail_errno(err, ERR_IO, "cannot remove %s/%s", STAGING_NAME, name);
	return errno ? fail_errno(err, ERR_IO, "cannot list %s", STAGING_NAME) : 0;
}

/* What stands where images will go is seen now, and not when the tree is stopped. */
static int check_places(const struct images_writer *writer, struct error *err)
{
	autoclosedir DIR *folder = listing_open(writer->dir_fd, ".");
	enum image_kind kind;
	const char *name;
	uint64_t number;

	while (listing_next(folder, &name))
		if ((image_recognise(name, &kind, &number) || strcmp(name, MANIFEST_NAME) == 0 ||
		     strcmp(name, PARENT_SUM) == 0) &&
		    foreign_can_replace(writer->dir_fd, name, "an image", err))
			return -1;
	return errno ? fail_errno(err, ERR_IO, "cannot list the images directory") : 0;
}

/* Ourselves, but for file servers that know root as somebody else. */
static uid_t owner_of_new_files(const struct images_writer *writer)
{
	static const char name[] = "owner";
	struct stat status = { .st_uid = geteuid() };
	autoclose int fd = openat(writer->staging_fd, name,
				  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0 && fstat(fd, &status) == 0)
		unlinkat(writer->staging_fd, name, 0);
	return status.st_uid;
}

/* Somebody else's folder would give them the images, or give us theirs. */
static int check_staging(const struct images_writer *writer, struct error *err)
{
	struct stat status;

	if (fstat(writer->staging_fd, &status))
		return fail_errno(err, ERR_IO, "cannot look at %s", STAGING_NAME);
	if (status.st_uid == owner_of_new_files(writer) && !(status.st_mode & 077))
		return 0;
	fail(err, ERR_FOREIGN_OWNER,
	     "%s in the images directory belongs to user %u and has mode %03o", STAGING_NAME,
	     status.st_uid, status.st_mode & 0777);
	return fail_hint(err, "nestor makes that folder for itself alone; remove it, or give "
			      "another directory");
}

static int take_staging(struct images_writer *writer, struct error *err)
{
	writer->staging_fd = openat(writer->dir_fd, STAGING_NAME,
				    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (writer->staging_fd < 0)
		return fail_errno(err, ERR_IO, "cannot open %s", STAGING_NAME);
	if (check_staging(writer, err))
		return -1;
	if (flock(writer->staging_fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			return fail(err, ERR_BUSY,
				    "another dump is being written to the directory");
		return fail_errno(err, ERR_IO, "cannot lock %s", STAGING_NAME);
	}
	writer->staged = true;
	return clear_staging(writer->staging_fd, err);
}

static int open_staging(struct images_writer *writer, struct error *err)
{
	if (check_places(writer, err))
		return -1;
	bool made = mkdirat(writer->dir_fd, STAGING_NAME, 0700) == 0;
	if (!made && errno != EEXIST)
		return fail_errno(err, ERR_IO, "cannot make %s in the images directory",
				  STAGING_NAME);
	if (take_staging(writer, err) == 0)
		return 0;
	if (made && !writer->staged)
		unlinkat(writer->dir_fd, STAGING_NAME, AT_REMOVEDIR);
	return -1;
}

struct images_writer *images_writer_new(int dir_fd, struct error *err)
{
	struct images_writer *writer = calloc(1, sizeof *writer);

	if (!writer) {
		fail_errno(err, ERR_IO, "cannot start writing images");
		return NULL;
	}
	arena_init(&writer->arena);
	pthread_mutex_init(&writer->lock, NULL);
	writer->dir_fd = dir_fd;
	writer->staging_fd = -1;
	if (open_staging(writer, err)) {
		images_writer_free(writer);
		return NULL;
	}
	return writer;
}

void images_writer_free(struct images_writer *writer)
{
	if (!writer)
		return;
	int saved = errno;
	writing_give_up(writer);
	summed_images_close(writer);
	images_unreserve(writer);
	if (writer->staged) {
		struct error ignored = { 0 };
		/* It is the last chance, so it is taken twice. */
		for (int i = 0; i < 2; i++)
			if (clear_staging(writer->staging_fd, &ignored) == 0 &&
			    unlinkat(writer->dir_fd, STAGING_NAME, AT_REMOVEDIR) == 0)
				break;
	}
	if (writer->staging_fd >= 0)
		close(writer->staging_fd);
	pthread_mutex_destroy(&writer->lock);
	arena_done(&writer->arena);
	free(writer);
	errno = saved;
}

static int open_new(const struct images_writer *writer, const char *name, int flags,
		    struct error *err)
{
	int fd = openat(writer->staging_fd, name, flags | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? fail_errno(err, ERR_IO, "cannot create %s", name) : fd;
}

int staging_create(struct images_writer *writer, const char *name, int flags, struct error *err)
{
	int fd = open_new(writer, name, flags, err);

	if (fd >= 0)
		manifest_add(&writer->manifest, &writer->arena, name, 0);
	return fd;
}

int staging_write(struct images_writer *writer, const char *name, const uint8_t *bytes,
		  size_t length, struct error *err)
{
	autoclose int fd = open_new(writer, name, O_WRONLY, err);

	if (fd < 0)
		return -1;
	if (write_whole(fd, bytes, length))
		return fail_errno(err, ERR_IO, "cannot write %s", name);
	XXH128_hash_t sum = checksum_bytes(bytes, length);
	pthread_mutex_lock(&writer->lock);
	struct manifest_line *line = manifest_add(&writer->manifest, &writer->arena, name, length);
	line->sum = sum;
	line->has_sum = true;
	pthread_mutex_unlock(&writer->lock);
	return 0;
}

int images_create_raw(struct images_writer *writer, enum image_kind kind, uint64_t number,
		      struct error *err)
{
	char name[IMAGE_NAME_SIZE];

	pthread_mutex_lock(&writer->lock);
	int fd = staging_create(writer, image_name(name, kind, number), O_RDWR, err);
	pthread_mutex_unlock(&writer->lock);
	return fd;
}

/* Others know theirs by where it is in the list, so its line stays until all are written. */
void images_drop_raw(struct images_writer *writer, enum image_kind kind, uint64_t number)
{
	char name[IMAGE_NAME_SIZE];

	image_name(name, kind, number);
	pthread_mutex_lock(&writer->lock);
	struct manifest_line *line = manifest_find(&writer->manifest, name);
	if (line && unlinkat(writer->staging_fd, name, 0) == 0)
		line->dropped = true;
	pthread_mutex_unlock(&writer->lock);
}

static void leave_out_dropped(struct manifest *manifest)
{
	size_t kept = 0;

	for (size_t i = 0; i < manifest->n_lines; i++)
		if (!manifest->lines[i].dropped)
			manifest->lines[kept++] = manifest->lines[i];
	manifest->n_lines = kept;
}

/* Reads through the raw images, whose content others wrote. */
static int sum_raw_images(struct images_writer *writer, struct error *err)
{
	struct manifest *manifest = &writer->manifest;
	struct checksum_file *files =
		arena_array(&writer->arena, struct checksum_file, manifest->n_lines + 1);
	size_t count = 0;

	for (size_t i = 0; i < manifest->n_lines; i++) {
		struct manifest_line *line = &manifest->lines[i];
		struct stat status;
		if (line->has_sum)
			continue;
		if (fstatat(writer->staging_fd, line->name, &status, AT_SYMLINK_NOFOLLOW))
			return fail_errno(err, ERR_IO, "cannot find %s again", line->name);
		line->size = (uint64_t)status.st_size;
		files[count++] = (struct checksum_file){ .name = line->name,
							 .stamp = file_stamp_of(&status) };
	}
	if (count && checksum_files(writer->staging_fd, files, count, err))
		return -1;
	for (size_t i = manifest->n_lines; i-- > 0;)
		if (!manifest->lines[i].has_sum) {
			manifest->lines[i].sum = files[--count].sum;
			manifest->lines[i].has_sum = true;
		}
	return 0;
}

static int stage_manifest(struct images_writer *writer, struct error *err)
{
	struct text text;

	text_init(&text, &writer->arena);
	manifest_print(&writer->manifest, &text);
	autoclose int fd = openat(writer->staging_fd, MANIFEST_NAME,
				  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write_whole(fd, (const uint8_t *)text.string, text.length))
		return fail_errno(err, ERR_IO, "cannot write %s", MANIFEST_NAME);
	return 0;
}

/* What else stands there, of whomever, is no dump of ours any more. */
static bool has_parent_link(const struct images_writer *writer)
{
	struct stat status;

	return fstatat(writer->dir_fd, PARENT_LINK, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISLNK(status.st_mode);
}

/*
 * The manifest of an earlier dump goes first, so that at no moment it vouches for a mixture; then
 * the files that it lists. Files that no manifest lists are not ours to remove.
 */
static int remove_earlier_dump(struct images_writer *writer, struct error *err)
{
	struct manifest earlier = { 0 };
	struct error ignored = { 0 };
	char *bytes;

	ssize_t size = manifest_read(writer->dir_fd, &writer->arena, &bytes, err);
	if (size < 0)
		return err->name == ERR_NONE ? 0 : -1;
	if (unlinkat(writer->dir_fd, MANIFEST_NAME, 0))
		return fail_errno(err, ERR_IO, "cannot remove the earlier %s", MANIFEST_NAME);
	if (manifest_parse(&earlier, &writer->arena, bytes, (size_t)size, &ignored))
		return 0;
	for (size_t i = 0; i < earlier.n_lines; i++) {
		if (strcmp(earlier.lines[i].name, PARENT_SUM) == 0 && has_parent_link(writer) &&
		    unlinkat(writer->dir_fd, PARENT_LINK, 0) && errno != ENOENT)
			return fail_errno(err, ERR_IO, "cannot remove the earlier %s", PARENT_LINK);
		if (unlinkat(writer->dir_fd, earlier.lines[i].name, 0) && errno != ENOENT)
			return fail_errno(err, ERR_IO, "cannot remove the earlier %s",
					  earlier.lines[i].name);
	}
	return 0;
}

static int move_up(struct images_writer *writer, const char *name, struct error *err)
{
	if (renameat(writer->staging_fd, name, writer->dir_fd, name))
		return fail_errno(err, ERR_IO, "cannot move %s into the images directory", name);
	return 0;
}

/* The manifest, which vouches for the others, goes last. */
static int move_all(struct images_writer *writer, struct error *err)
{
	for (size_t i = 0; i < writer->manifest.n_lines; i++)
		if (move_up(writer, writer->manifest.lines[i].name, err))
			return -1;
	if (writer->has_parent && move_up(writer, PARENT_LINK, err))
		return -1;
	if (fsync(writer->dir_fd))
		return fail_errno(err, ERR_IO, "cannot sync the images directory");
	if (move_up(writer, MANIFEST_NAME, err))
		return -1;
	if (unlinkat(writer->dir_fd, STAGING_NAME, AT_REMOVEDIR))
		return fail_errno(err, ERR_IO, "cannot remove %s", STAGING_NAME);
	writer->staged = false;
	if (fsync(writer->dir_fd))
		return fail_errno(err, ERR_IO, "cannot sync the images directory");
	return 0;
}

/* A dump that fails at the very end leaves nothing: the manifest goes first. */
void images_take_back(struct images_writer *writer)
{
	unlinkat(writer->dir_fd, MANIFEST_NAME, 0);
	if (writer->has_parent)
		unlinkat(writer->dir_fd, PARENT_LINK, 0);
	for (size_t i = 0; i < writer->manifest.n_lines; i++)
		unlinkat(writer->dir_fd, writer->manifest.lines[i].name, 0);
}

int images_refer_to(struct images_writer *writer, const char *path, int parent_fd,
		    struct error *err)
{
	char sum[CHECKSUM_TEXT_SIZE];

	if (manifest_sum(parent_fd, &writer->arena, sum, err))
		return -1;
	const char *line = arena_printf(&writer->arena, "%s\n", sum);
	if (staging_write(writer, PARENT_SUM, (const uint8_t *)line, strlen(line), err))
		return -1;
	if (symlinkat(path, writer->staging_fd, PARENT_LINK))
		return fail_errno(err, ERR_IO, "cannot make the link %s", PARENT_LINK);
	writer->has_parent = true;
	return 0;
}

static int check_parent_place(const struct images_writer *writer, struct error *err)
{
	if (!writer->has_parent || has_parent_link(writer) ||
	    (faccessat(writer->dir_fd, PARENT_LINK, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT))
		return 0;
	return fail(err, ERR_NOT_A_REGULAR_FILE, "%s in the images directory is no link",
		    PARENT_LINK);
}

int images_commit(struct images_writer *writer, struct error *err)
{
	leave_out_dropped(&writer->manifest);
	if (sum_raw_images(writer, err) || stage_manifest(writer, err))
		return -1;
	/* One sync for thousands of files; since Linux 5.8 it reports errors of writing back. */
	if (syncfs(writer->staging_fd))
		return fail_errno(err, ERR_IO, "cannot sync the images");
	/* Before anything is removed: a directory, which nothing can be moved over, may be new. */
	if (check_places(writer, err) || check_parent_place(writer, err) ||
	    remove_earlier_dump(writer, err))
		return -1;
	if (move_all(writer, err)) {
		images_take_back(writer);
		return -1;
	}
	return 0;
}
