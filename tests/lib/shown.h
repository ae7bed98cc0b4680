/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What commands show of a state, before the dump and after the restore. */
#ifndef NESTOR_TESTS_SHOWN_H
#define NESTOR_TESTS_SHOWN_H

/* The output of a shell command, to be freed. It has to succeed, and to say something. */
char *shown(const char *command);

/*
 * Checks that it shows the same as before, at once or as soon as what settles by itself has
 * (patience in milliseconds). Frees `before`; `what` begins the message.
 */
void shown_compare(const char *what, const char *command, char *before, unsigned patience);

#endif
