/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory for images, what may be done to it, and how it is seen to be refused. */
#ifndef NESTOR_TESTS_IMAGES_FIXTURE_H
#define NESTOR_TESTS_IMAGES_FIXTURE_H

#include "images/images.h"

#include <stdbool.h>
#include <stddef.h>

/* A directory of its own for each test, and an arena. */
struct fixture {
	struct arena arena;
	char path[64];
	int dir_fd;
};

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int fixture_setup(void **state);
void empty_directory(int dir_fd);
int fixture_teardown(void **state);
void must(int result, const struct error *err);
void write_sample(struct fixture *fixture);
enum error_name open_error(const struct fixture *fixture, struct error *ret_err);
/* Refused by this name, and the text says which file. */
void expect_error(const struct fixture *fixture, enum error_name name, const char *about);
void expect_hint(const struct fixture *fixture);
char *read_file(struct fixture *fixture, const char *name, size_t *ret_size);
void write_file(const struct fixture *fixture, const char *name, const void *bytes, size_t size);
bool exists(const struct fixture *fixture, const char *name);

#endif
