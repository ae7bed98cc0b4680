/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How settings are read, by whoever does it; private to kinds/net. */
#ifndef NESTOR_KINDS_NET_SETTINGS_READ_H
#define NESTOR_KINDS_NET_SETTINGS_READ_H

#include "kinds/net/net.h"
#include "kinds/net/settings-told.h"
#include "kinds/net/settings.h"

struct settings_list {
	struct arena *arena;
	NetnsContents *net;
};
void settings_add(const struct settings_list *list, const char *name, const char *value);

/* One file; -1 with errno. `value` has SETTING_VALUE_ROOM. */
int settings_value(int directory, const char *name, char *value);
/*
 * An interface has gone meanwhile. A secret that has never been set cannot be read (EIO,
 * addrconf_sysctl_stable_secret).
 */
bool settings_are_absent(const char *name);

/* What is known of interfaces of all namespaces by now. */
struct settings_shared {
	struct settings_known *known;
};

struct settings_reading {
	struct arena *arena;
	NetnsContents *net; /* gets what is not usual */
	const NetnsContents *fresh;
	const struct settings_told *told;
	struct settings_shared *shared; /* has what is in the arena */
};

/* Of the namespace of the calling thread; -1 with errno. */
int settings_read(const struct settings_reading *reading);

/* What a new namespace has, by name; read once for all that are to be compared with it. */
const NetnsContents *settings_fresh(struct collect *collect, struct error *err);

#endif
