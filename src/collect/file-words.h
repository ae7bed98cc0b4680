/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an open file is, in words, for refusals. */
#ifndef NESTOR_COLLECT_FILE_WORDS_H
#define NESTOR_COLLECT_FILE_WORDS_H

struct open_file;

/* "a socket", "an eventfd", "a terminal", ...; in the arena of the dump or constant. */
const char *file_in_words(const struct open_file *file);
/* What somebody could do about it; NULL: nothing that is known. */
const char *file_hint(const struct open_file *file);

#endif
