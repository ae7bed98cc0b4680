/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Overlays and what lies in them, for scenarios. */
#ifndef NESTOR_TESTS_OVERLAY_FILES_H
#define NESTOR_TESTS_OVERLAY_FILES_H

#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

/* Where there is one it gets this content. */
static inline void make_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static inline void copy_program(const char *from, const char *to)
{
	char buffer[1 << 16];
	ssize_t size;
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);

	need(in >= 0 && out >= 0, to);
	while ((size = read(in, buffer, sizeof buffer)) > 0)
		need(write(out, buffer, (size_t)size) == size, to);
	close(in);
	close(out);
}

/* Root of a user namespace has its marks in "user." attributes. */
static inline void mount_overlay(const char *at, const char *options)
{
	char with_user[5 * PATH_MAX];

	snprintf(with_user, sizeof with_user, "%s,userxattr", options);
	need(mount("overlay", at, "overlay", 0, options) == 0 ||
		     mount("overlay", at, "overlay", 0, with_user) == 0,
	     options);
}

#endif
