/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors of namespaces (/proc/PID/ns/...). */
#ifndef NESTOR_KINDS_NAMESPACES_DESCRIPTOR_H
#define NESTOR_KINDS_NAMESPACES_DESCRIPTOR_H

#include "kinds/kind.h"

extern const struct file_kind namespace_file_kind;

#endif
