// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a program does with <nestor/nestor.h>, and nothing else of nestor: a tree is looked at,
 * drawn, dumped after a pre-dump, and restored as a child of this program. That of nestor(3).
 *
 *     example DIRECTORY PID
 */
#include <nestor/nestor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int show_progress(void *data, const char *phase, size_t done, size_t total)
{
	unsigned *calls = data;

	(*calls)++;
	if (total)
		printf("%s: %zu of %zu\n", phase, done, total);
	else
		printf("%s\n", phase);
	return 0;
}

static void show_error(void *data, const struct nestor_error *error)
{
	(void)data;
	printf("error [%s]: %s (%zu)\n", error->name, error->text, error->count);
}

static int agree(void *data, const char *moment, pid_t root)
{
	(void)data;
	printf("moment %s, root %s\n", moment, root ? "known" : "unknown");
	return 0;
}

static int draw(struct nestor *job, pid_t root)
{
	char *text;

	if (nestor_tree(job, root, NESTOR_JSON, &text) < 0)
		return -1;
	printf("tree %s\n", strstr(text, "\"tasks\"") ? "as JSON" : text);
	free(text);
	return 0;
}

static int checkpoint(struct nestor *job, const char *directory, pid_t root)
{
	char before[4096], images[4096];

	snprintf(before, sizeof before, "%s/before", directory);
	snprintf(images, sizeof images, "%s/images", directory);
	if (mkdir(before, 0700) < 0 || mkdir(images, 0700) < 0)
		return perror("mkdir"), -1;
	if (nestor_feature(job, "pidfd_getfd") < 0 || nestor_check(job, root) < 0 ||
	    draw(job, root) < 0)
		return -1;
	if (nestor_set(job, "images-dir", before) < 0 || nestor_pre_dump(job, root) < 0)
		return -1;
	if (nestor_set(job, "images-dir", images) < 0 ||
	    nestor_set(job, "prev-images-dir", "../before") < 0)
		return -1;
	return nestor_dump(job, root) < 0 ? -1 : draw(job, 0);
}

static int restore(struct nestor *job)
{
	pid_t root, child;
	int status;

	if (nestor_restore(job, &root, &child) < 0)
		return -1;
	printf("restored %d\n", (int)root);
	fflush(stdout);
	if (waitpid(child, &status, 0) != child)
		return perror("waitpid"), -1;
	printf("it ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return 0;
}

int main(int argc, char **argv)
{
	struct nestor *job = nestor_new();
	unsigned calls = 0;

	if (!job || argc != 3)
		return 2;
	nestor_on_progress(job, show_progress, &calls);
	nestor_on_error(job, show_error, NULL);
	nestor_on_moment(job, agree, NULL);
	printf("nestor %s\n", nestor_version());
	int failed = checkpoint(job, argv[1], atoi(argv[2])) < 0;
	/* The dead are to be reaped by whoever started them, before their ids are free again. */
	if (!failed && getchar() != EOF)
		failed = restore(job) < 0;
	if (failed)
		printf("failed: %s\n", nestor_error(job) ? nestor_error(job)->name : "?");
	nestor_free(job);
	return failed || !calls;
}
