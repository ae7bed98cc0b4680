/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reading and writing of /proc/sys/net have in common; private to kinds/net. */
#ifndef NESTOR_KINDS_NET_SETTINGS_H
#define NESTOR_KINDS_NET_SETTINGS_H

#include "model/snapshot.h"

#include <stdbool.h>

enum { SETTING_NAME_ROOM = 256, SETTING_VALUE_ROOM = 4096 };

#define SETTING_SECRET "stable_secret"

bool setting_is_recorded(const NetnsContents *net, const char *name);

#endif
