/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resources freed by scope. A variable declared with one of these attributes must be initialised
 * where it is declared; it leaves its scope alive only through take_fd or take_ptr. The handlers
 * keep errno.
 */
#ifndef NESTOR_BASE_CLEANUP_H
#define NESTOR_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		*fd = -1;
		errno = saved;
	}
}

static inline void cleanup_free(void *pointer)
{
	int saved = errno;
	free(*(void **)pointer);
	errno = saved;
}

static inline void cleanup_closedir(DIR **dir)
{
	if (*dir) {
		int saved = errno;
		closedir(*dir);
		errno = saved;
	}
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file) {
		int saved = errno;
		fclose(*file);
		errno = saved;
	}
}

#define autoclose    __attribute__((cleanup(cleanup_close)))
#define autofree     __attribute__((cleanup(cleanup_free)))
#define autoclosedir __attribute__((cleanup(cleanup_closedir)))
#define autofclose   __attribute__((cleanup(cleanup_fclose)))

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_ptr(pointer)                             \
	({                                            \
		__typeof__(pointer) *p_ = &(pointer); \
		__typeof__(pointer) taken_ = *p_;     \
		*p_ = NULL;                           \
		taken_;                               \
	})

#endif
