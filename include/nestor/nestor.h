/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checkpoint and restore of process trees, as nestor(1) does it, for programs. Link with -lnestor
 * (pkg-config nestor). See nestor(3).
 *
 *     struct nestor *job = nestor_new();
 *     if (nestor_set(job, "images-dir", "/var/lib/images/4711") < 0 ||
 *         nestor_set(job, "tcp-established", NULL) < 0 || nestor_dump(job, 4711) < 0)
 *             fprintf(stderr, "%s\n", nestor_error(job)->text);
 *     nestor_free(job);
 *
 * A job is what is asked for, and what became of it; it may be used for several calls. One call at
 * a time is carried out in a process: those of other threads wait for it. Whatever fails leaves
 * things as they were, as with the commands. None of these functions is called from within one that
 * it calls. Memory that runs out ends the process.
 */
#ifndef NESTOR_NESTOR_H
#define NESTOR_NESTOR_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nestor;

/* The version of the library that is there, "0.1.0". */
const char *nestor_version(void);

struct nestor *nestor_new(void);
void nestor_free(struct nestor *job); /* NULL does nothing */

/*
 * Asks for an option by its long name, with the value that the commands dump and restore take
 * ("ghost-limit", "4M"); NULL for those that take none ("leave-running"). Those that may be given
 * more than once add up, of the others the last one counts. Without "log-file" there is no log.
 * 0, or -1 where it is not known, or its value is not well formed.
 */
int nestor_set(struct nestor *job, const char *option, const char *value);

/* An error, or one thing that stands in the way. Later versions may add members at the end. */
struct nestor_error {
	const char *name;   /* stable, as in docs/errors.md: "pid-in-use" */
	const char *text;   /* what was being done, to what, and why it failed */
	const char *hint;   /* what can be done about it; may be "" */
	const char *option; /* of the command line, that would let it through; or "" */
	size_t count;	    /* so many times; text is about the first */
	int os_errno;	    /* of the system call that failed; 0: none did */
};

/* Why the last call of this job failed; NULL where it did not. Valid until its next call. */
const struct nestor_error *nestor_error(const struct nestor *job);

/*
 * Called on the way, with what is begun ("copying memory"), and how much of it is done where that
 * is known (`total` is not 0), and again while that takes long. Any other return value than 0 asks
 * to stop: all is undone, and the call fails with "interrupted".
 */
typedef int nestor_progress_function(void *data, const char *phase, size_t done, size_t total);
void nestor_on_progress(struct nestor *job, nestor_progress_function *function, void *data);

/* Called for each kind of thing that stands in the way of a dump, or once for another failure. */
typedef void nestor_error_function(void *data, const struct nestor_error *error);
void nestor_on_error(struct nestor *job, nestor_error_function *function, void *data);

/*
 * Called at the moments that an action script is told of, by the same names ("pre-dump",
 * "post-restore"), with the pid of the root or 0. Any other return value than 0 refuses: the call
 * fails with "client-refused".
 */
typedef int nestor_moment_function(void *data, const char *moment, pid_t root);
void nestor_on_moment(struct nestor *job, nestor_moment_function *function, void *data);

/* All of these: 0, or -1 with nestor_error. */

/* Writes the tree below `root` into the images directory, and ends it ("leave-running": not). */
int nestor_dump(struct nestor *job, pid_t root);

/* Writes its memory while it runs, for a dump with "prev-images-dir". */
int nestor_pre_dump(struct nestor *job, pid_t root);

/*
 * Makes the tree of the images directory again. *ret_root (may be NULL) is its root, which is the
 * caller's child and is to be waited for; with "unshare" its child is *ret_child (may be NULL), the
 * init of the fresh pid namespace, otherwise the same. With "restore-detached" neither is a child.
 */
int nestor_restore(struct nestor *job, pid_t *ret_root, pid_t *ret_child);

/* What stands in the way of a dump, as far as it can be seen while the tree runs. */
int nestor_check(struct nestor *job, pid_t root);

/* Is this facility there, as `nestor check --feature` has it? */
int nestor_feature(struct nestor *job, const char *name);

enum nestor_format { NESTOR_TEXT, NESTOR_JSON };

/*
 * The live tree below `root`, or, where that is 0, the one in the images directory, as
 * `nestor tree` prints it; *ret_text is to be freed by free(3).
 */
int nestor_tree(struct nestor *job, pid_t root, enum nestor_format format, char **ret_text);

#ifdef __cplusplus
}
#endif

#endif
