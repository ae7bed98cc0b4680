/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For what is made on a file system of the scenario's own: a tmpfs "own", in a mount namespace that
 * nobody else has. The caller is in it but while it waits: marks are made outside.
 */
#ifndef NESTOR_TESTS_OWN_TMPFS_H
#define NESTOR_TESTS_OWN_TMPFS_H

#include "scenario.h"

#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void own_tmpfs_enter(void)
{
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("own", 0700) == 0 &&
			      mount("own", "own", "tmpfs", 0, NULL) == 0 && chdir("own") == 0,
		      "no file system");
}

static inline void own_tmpfs_leave(void)
{
	scenario_need(chdir("..") == 0, "chdir");
}

/* Says mark "made". */
static inline void own_tmpfs_wait_restored(void)
{
	own_tmpfs_leave();
	scenario_mark("made");
	scenario_wait_restored();
	scenario_need(chdir("own") == 0, "chdir");
}

#endif
