/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors of namespaces (/proc/PID/ns/...). */
#ifndef NESTOR_KINDS_NAMESPACES_DESCRIPTOR_H
#define NESTOR_KINDS_NAMESPACES_DESCRIPTOR_H

#include "kinds/kind.h"

extern const struct file_kind namespace_file_kind;

/* The file of a namespace, whoever holds it; `what` for messages: "file 12". */
int namespace_file_check(const struct snapshot *snapshot, const NsFileEntry *entry,
			 const char *what, struct error *err);
/* Once all processes exist; of a mount namespace, once that does. */
int namespace_file_open(const struct file_opener *opener, const NsFileEntry *entry,
			struct error *err);

#endif
