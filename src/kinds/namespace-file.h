/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of nsfs, which hold namespaces; descriptors and mounts are of them. */
#ifndef NESTOR_KINDS_NAMESPACE_FILE_H
#define NESTOR_KINDS_NAMESPACE_FILE_H

#include "kinds/kind.h"

/* The file of a namespace, whoever holds it; `what` for messages: "file 12". */
int namespace_file_check(const struct snapshot *snapshot, const NsFileEntry *entry,
			 const char *what, struct error *err);
/* Once all processes exist; of a mount namespace, once that does. */
int namespace_file_open(const struct file_opener *opener, const NsFileEntry *entry,
			struct error *err);

#endif
