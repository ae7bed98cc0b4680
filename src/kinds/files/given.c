// SPDX-License-Identifier: LGPL-2.1-or-later
/* Files that somebody outside of the tree has opened, and opens again; see given.h. */
#include "kinds/files/given.h"

#include "collect/collect.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

enum { NOT_A_DESCRIPTOR = UINT32_MAX }; /* struct open_file.number, of collect_path */

static char *id_of(const struct open_file *file)
{
	return arena_printf(file->target->collect->arena, "%" PRIx64 ":%jx",
			    (uint64_t)file->mount_id, (uintmax_t)file->stat.st_ino);
}

char *given_key(const struct open_file *file)
{
	return arena_printf(file->target->collect->arena, "file[%s]", id_of(file));
}

bool given_is_named(const struct open_file *file)
{
	const struct externals *externals = file->target->collect->options->externals;

	return externals && externals->n_rows && file->number != (uint32_t)NOT_A_DESCRIPTOR &&
	       file->link[0] == '/' && externals_find(externals, EXTERNAL_FILE, id_of(file));
}

int given_verify(const struct file_opener *opener, const RegFileEntry *reg, struct error *err)
{
	if (!reg->ext || externals_fd(opener->externals, reg->name) >= 0)
		return 0;
	fail(err, ERR_NOT_GIVEN, "file %u lies outside of the tree (%s), and is not given", reg->id,
	     reg->name);
	return fail_hint(err, "give it with --inherit-fd fd[N]:%s", reg->name);
}

int given_open(const struct file_opener *opener, const RegFileEntry *reg, struct error *err)
{
	int given = externals_fd(opener->externals, reg->name);

	if (given < 0)
		return reg->ext ? given_verify(opener, reg, err) : -2;
	int fd = fcntl(given, F_DUPFD_CLOEXEC, 3), flags = fcntl(given, F_GETFL);
	if (fd < 0 || flags < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot take descriptor %d for %s",
				  given, reg->name);
	if ((flags & O_ACCMODE) == O_RDWR ||
	    ((uint32_t)flags & O_ACCMODE) == (reg->flags & O_ACCMODE))
		return fd;
	close(fd);
	return fail(err, ERR_USAGE,
		    "descriptor %d, given for %s, is not open for what the tree had it for", given,
		    reg->name);
}
