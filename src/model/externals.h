/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a tree lies outside of it, as the caller says: objects whose other end, or whole, belongs
 * to somebody else. At a dump `--external TYPE[ID]` allows that one is recorded as a reference; at
 * a restore `--external TYPE[KEY]:VALUE` or `--inherit-fd fd[N]:KEY` says what takes its place. The
 * table in externals.c has all types in one place; what has no row is refused by its name.
 */
#ifndef NESTOR_MODEL_EXTERNALS_H
#define NESTOR_MODEL_EXTERNALS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/texts.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum external_type {
	EXTERNAL_PIPE,	  /* pipe[INODE]: an end of it is outside */
	EXTERNAL_UNIX,	  /* unix[INODE], of the tree's own socket: its peer is outside */
	EXTERNAL_FILE,	  /* file[MOUNT:INODE], in hexadecimal: a descriptor of somebody outside */
	EXTERNAL_MNT,	  /* mnt[KEY]:VALUE */
	EXTERNAL_TTY,	  /* tty[RDEV:DEV], in hexadecimal: a terminal whose master is outside */
	EXTERNAL_NET,	  /* net[INODE]:KEY, a network namespace of somebody outside */
	EXTERNAL_VETH,	  /* veth[NAME]:OUTSIDE[@BRIDGE]: where the other end of a pair is to be */
	EXTERNAL_MACVLAN, /* macvlan[NAME]:OUTSIDE: above which interface it is to be */
	EXTERNAL_NETDEV,  /* netdev[NAME]:OUTSIDE: one that is given */
	EXTERNAL_OVERLAY, /* overlay[MOUNTPOINT]:DIR, from which its layers are named */
	EXTERNAL_TYPES,
};

struct external {
	enum external_type type;
	const char *id;	   /* what is between the brackets; "": all of the type */
	const char *value; /* behind "]:"; "" where there is none */
	atomic_bool *met;  /* somebody has looked for it */
};

/* --inherit-fd: a descriptor of ours for what the images know by this key. */
struct inherited_fd {
	const char *key; /* "pipe[123]", "tty[8802:20]", "tmp/log": see externals_fd */
	int fd;
	atomic_bool *met; /* somebody has looked for it */
};

/* What becomes of TCP connections to somebody outside, and what else criu(8) has about them. */
struct tcp_wishes {
	bool established;    /* they are taken along */
	bool close;	     /* they are closed */
	bool skip_in_flight; /* those that are not made or not accepted yet are left out */
	bool no_lock;	     /* of the network */
};

/* What criu(8) has about cgroups, besides the mode. */
struct cgroup_wishes {
	struct texts roots;	  /* --cgroup-root */
	const char *yard;	  /* a directory with one for each hierarchy; NULL: found here */
	struct texts controllers; /* whose properties are dumped; none: all */
	const char *properties;	  /* text of --cgroup-props; NULL: none */
	bool ignore_default_properties;
	bool make_none;	    /* --manage-cgroups: who is to be in one finds it there */
	const char *freeze; /* directory of a freezer's cgroup; NULL: none was given */
};

struct mount_wishes {
	bool sharing;	   /* peers of mounts outside of the tree come back as such */
	bool masters;	   /* a slave of a mount that is not to be seen comes back all the same */
	struct texts skip; /* mountpoints: left out, with all that is below them */
	bool *skip_met;	   /* like these: there is such a mount */
	struct texts filesystems; /* types that are mounted again without what is in them */
};

struct externals {
	struct external *rows;
	size_t n_rows;
	struct inherited_fd *fds;
	size_t n_fds;
	/*
	 * Terminals in a devpts that the tree has mounted are taken along though somebody outside
	 * has their masters (the console of a container); the caller gets those of the new ones.
	 */
	bool give_masters;
	bool unix_by_name; /* --ext-unix-sk: datagram sockets outside are found by their names */
	struct tcp_wishes tcp;
	struct cgroup_wishes cgroups;
	struct mount_wishes mounts;
};

/* As on a command line: "TYPE[ID]:VALUE", or "auto"; texts are copied. ERR_USAGE tells why. */
int externals_add(struct externals *externals, struct arena *arena, const char *text,
		  struct error *err);
/* "fd[N]:KEY"; and the same for a client that gives both apart. */
int externals_inherit(struct externals *externals, struct arena *arena, const char *text,
		      struct error *err);
void externals_inherit_fd(struct externals *externals, struct arena *arena, int fd,
			  const char *key);

/*
 * The row for one object, by its id as it stands between the brackets, or that for all of its type;
 * NULL: it was not named. `externals` may be NULL: nothing was named.
 */
const struct external *externals_find(const struct externals *externals, enum external_type type,
				      const char *id);
/* The same for ids that are numbers. */
const struct external *externals_find_number(const struct externals *externals,
					     enum external_type type, unsigned long long number);

/* Is a file system to be mounted again by its type alone? "all" is any. */
bool externals_mounts_type(const struct externals *externals, const char *type);

/*
 * The descriptor that was given for a key; -1: none. Forms that criu(8) knows are one: "pipe:[1]"
 * is "pipe[1]", and a path has no leading slash.
 */
int externals_fd(const struct externals *externals, const char *key);

/* In the log: what was named and a dump has not met; what was given and a restore does not need. */
void externals_tell_unmet(const struct externals *externals);
void externals_tell_left(const struct externals *externals);

#endif
