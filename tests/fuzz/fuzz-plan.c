// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whatever well-formed nonsense images say: planning their restore ends with a plan or an error.
 * All that a restore does before the first process exists is run, but for looking at the host:
 * images_open, plan_make with facts made by hand, register sets, and the printing of the plan. So
 * is what `nestor show` tells.
 *
 * `fuzz-plan [--runs N] [--first N] [--seed S] FILE...` changes an image or two of each seed, N
 * times; run number n of seed s is always the same. `--make-seed FILE DIR` makes a seed of the
 * images in DIR. `--write DIR FILE` only writes what run --first would read over the images in DIR.
 */
#include "arch/registers.h"
#include "base/cleanup.h"
#include "damage.h"
#include "images/images.h"
#include "kinds/memory/memory.h"
#include "pipeline/details.h"
#include "plan/plan.h"
#include "seed.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

enum {
	MAX_CHANGED = 2,
	SECONDS_PER_RUN = 20,	    /* of processor time, with a sanitizer */
	MEMORY_LIMIT = 1024 * 1024, /* in KiB; runs need a hundredth */
};

struct outcome {
	size_t planned, refused[ERR_COUNT];
};

struct arguments {
	int first, runs;
	uint64_t seed;
	bool verbose;
	const char *make_seed, *write;
};

/* Which run is at work, for the report of a crash. */
static volatile sig_atomic_t current_run;

static void report(int signal)
{
	char text[64];
	int length = snprintf(text, sizeof text, "died of signal %d in run %d\n", signal,
			      (int)current_run);

	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		_exit(3);
	_exit(2);
}

static struct address_range busy[] = { { 0x555500000000, 0x555500100000 },
				       { 0x7fff00000000, 0x7fff00200000 } };

/* A host with all facilities and privileges. */
static struct facts generous_facts(void)
{
	struct facts facts = {
		.capabilities = UINT64_MAX >> 23,
		.permitted = UINT64_MAX >> 23,
		.bounding = UINT64_MAX >> 23,
		.known_capabilities = UINT64_MAX >> 23,
		.in_initial_user_namespace = true,
		.pid_max = 4194304,
		.task_size = 0x7ffffffff000,
		.mmap_min_address = 65536,
		.busy = busy,
		.n_busy = 2,
		.umask = 022,
		.page_size = 4096,
		.timer_slack_ns = 50000,
		.dumpable = 1,
		.affinity = { 3 },
		.affinity_size = 8,
		.clone3_set_tid = true,
		.pagemap_scan = true,
		.timer_restore_ids = true,
		.guard_regions = true,
		.memory_seals = true,
		.protection_keys = true,
		.pidfd_getfd = true,
		.kcmp = true,
		.seccomp_get_filter = true,
		.rseq_configuration = true,
		.map_files = true,
		.children_file = true,
		.uffd_move = true,
		.per_namespace_pid_max = true,
		.pidfd_namespaces = true,
	};
	for (size_t i = 0; i < RLIMIT_COUNT; i++)
		facts.rlimits[i] = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	return facts;
}

/* Made as if it were the one that the seed is of. */
struct host {
	struct facts facts;
	uint64_t lacking; /* parts of the seed's register state that this processor has not */
};

static void adopt_vdso(struct facts *facts, const struct snapshot *snapshot)
{
	const MmEntry *mm = snapshot->tasks[0].mm;

	if (snapshot->inventory && snapshot->inventory->has_vdso_hash)
		facts->vdso_hash = snapshot->inventory->vdso_hash;
	for (size_t i = 0; i < mm->n_vmas && facts->n_vdso < MAX_VDSO_AREAS; i++)
		if (area_is_vdso(mm->vmas[i]))
			facts->vdso[facts->n_vdso++] =
				(struct vdso_area){ { mm->vmas[i]->start, mm->vmas[i]->end },
						    mm->vmas[i]->status & VMA_VDSO };
}

static uint64_t own_register_state(void)
{
	uint32_t low, high;

	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static UserX86XsaveEntry *register_state(const CoreEntry *core)
{
	const ThreadInfoX86 *info = core->thread_info;

	return info && info->fpregs ? info->fpregs->xsave : NULL;
}

static void adopt_processor(struct host *host, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		for (size_t thread = 0; thread < snapshot->tasks[i].n_threads; thread++) {
			UserX86XsaveEntry *state =
				register_state(snapshot->tasks[i].threads[thread]);
			if (!state)
				continue;
			if (current_run < 0)
				host->lacking |= state->xstate_bv & ~own_register_state();
			state->xstate_bv &= ~host->lacking;
		}
}

static int load_registers(const struct snapshot *snapshot, struct error *err)
{
	struct user_regs_struct regs;
	/* In a place of its own, so that a write too far is one out of bounds. */
	autofree uint8_t *xstate = malloc(XSTATE_MAX_SIZE);
	size_t size;

	for (size_t i = 0; i < snapshot->n_tasks; i++)
		for (size_t thread = 0; thread < snapshot->tasks[i].n_threads; thread++)
			if (registers_load(snapshot->tasks[i].threads[thread], &regs, xstate,
					   XSTATE_MAX_SIZE, &size, err))
				return -1;
	return 0;
}

static int plan_images(int dir_fd, struct arena *arena, struct host *host, struct error *err)
{
	const struct plan_options options = { .coordinator_pid = 9 };
	struct snapshot snapshot = { .arena = arena };
	struct plan plan;
	struct text text;

	struct images *images = images_open(dir_fd, arena, &snapshot, err);
	if (!images)
		return -1;
	/* Seeds are of nestor, though they do not say so: what else others write is not in them. */
	int adopted = memory_adopt(&snapshot, images, err);
	images_free(images);
	if (adopted)
		return -1;
	struct details details;
	details_make(&details, arena, &snapshot);
	if (!host->facts.n_vdso)
		adopt_vdso(&host->facts, &snapshot);
	adopt_processor(host, &snapshot);
	if (plan_make(&plan, arena, &snapshot, &host->facts, &kinds, &options, err) ||
	    load_registers(&snapshot, err))
		return -1;
	text_init(&text, arena);
	plan_print(&plan, &text);
	plan_print_json(&plan, &text);
	return 0;
}

static void try_images(int dir_fd, struct host *host, const struct arguments *arguments,
		       struct outcome *outcome)
{
	struct arena arena;
	struct error err = { 0 };
	struct rusage usage;

	arena_init(&arena);
	setitimer(ITIMER_PROF, &(struct itimerval){ .it_value.tv_sec = SECONDS_PER_RUN }, NULL);
	int result = plan_images(dir_fd, &arena, host, &err);
	setitimer(ITIMER_PROF, &(struct itimerval){ 0 }, NULL);
	/* A failure has a name and a text, a success has neither. */
	if ((result != 0) != (err.name != ERR_NONE) || (result != 0) != (err.text[0] != '\0'))
		abort();
	if (getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss > MEMORY_LIMIT)
		abort();
	arena_done(&arena);
	if (result)
		outcome->refused[err.name]++;
	else
		outcome->planned++;
	if (arguments->verbose)
		printf("run %d: %s: %s\n", (int)current_run, error_name(err.name), err.text);
}

struct change {
	const struct image *images[MAX_CHANGED];
	size_t n;
};

static void change_images(const struct seed *seed, int dir_fd, uint64_t seed_number, int run,
			  struct change *ret)
{
	uint64_t random =
		(seed_number + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)run * 0x2545f491u;
	struct arena arena;

	arena_init(&arena);
	ret->n = 1 + !below(&random, 4);
	for (size_t i = 0; i < ret->n; i++) {
		do {
			ret->images[i] = &seed->images[below(&random, seed->n_images)];
		} while (ret->images[i]->kind == IMAGE_PAGES);
		struct image image = image_change(ret->images[i], &arena, &random);
		image_write(&image, dir_fd);
	}
	arena_done(&arena);
}

static void run_changed(const struct seed *seed, int dir_fd, struct host *host,
			const struct arguments *arguments, struct outcome *outcome)
{
	struct change change;

	change_images(seed, dir_fd, arguments->seed, current_run, &change);
	try_images(dir_fd, host, arguments, outcome);
	for (size_t i = 0; i < change.n; i++)
		image_write(change.images[i], dir_fd);
}

/* The images of pages stay as they are there. */
static int write_changed(const char *path, const struct arguments *arguments)
{
	autoclose int dir_fd = open(arguments->write, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct change change;
	struct seed seed;
	struct arena arena;

	if (dir_fd < 0)
		return 1;
	arena_init(&arena);
	seed_read(&seed, &arena, path);
	for (size_t i = 0; i < seed.n_images; i++)
		if (seed.images[i].kind != IMAGE_PAGES)
			image_write(&seed.images[i], dir_fd);
	change_images(&seed, dir_fd, arguments->seed, arguments->first, &change);
	for (size_t i = 0; i < change.n; i++)
		printf("%s\n", change.images[i]->name);
	arena_done(&arena);
	return 0;
}

static int run_seed(const char *path, const struct arguments *arguments)
{
	char dir[] = "/tmp/nestor-fuzz-XXXXXX";
	struct host host = { .facts = generous_facts() };
	struct outcome outcome = { 0 };
	struct seed seed;
	struct arena arena;

	if (!mkdtemp(dir))
		return 1;
	autoclose int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	arena_init(&arena);
	seed_read(&seed, &arena, path);
	for (size_t i = 0; i < seed.n_images; i++)
		image_write(&seed.images[i], dir_fd);
	current_run = -1;
	try_images(dir_fd, &host, arguments, &outcome);
	for (int run = 0; run < arguments->runs; run++) {
		current_run = arguments->first + run;
		run_changed(&seed, dir_fd, &host, arguments, &outcome);
	}
	printf("%s: %zu planned\n", path, outcome.planned);
	for (size_t i = 0; i < ERR_COUNT; i++)
		if (outcome.refused[i])
			printf("%8zu %s\n", outcome.refused[i], error_name((enum error_name)i));
	for (size_t i = 0; i < seed.n_images; i++)
		unlinkat(dir_fd, seed.images[i].name, 0);
	rmdir(dir);
	arena_done(&arena);
	return outcome.planned == 0;
}

static const struct option options[] = {
	{ "runs", required_argument, NULL, 'r' },
	{ "first", required_argument, NULL, 'f' },
	{ "seed", required_argument, NULL, 's' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "make-seed", required_argument, NULL, 'm' },
	{ "write", required_argument, NULL, 'w' },
	{ 0 },
};

int main(int argc, char **argv)
{
	struct arguments arguments = { .runs = 1000, .seed = 1 };
	int failed = 0;

	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (option == 'r')
			arguments.runs = atoi(optarg);
		else if (option == 'f')
			arguments.first = atoi(optarg);
		else if (option == 's')
			arguments.seed = strtoull(optarg, NULL, 0);
		else if (option == 'v')
			arguments.verbose = true;
		else if (option == 'm')
			arguments.make_seed = optarg;
		else if (option == 'w')
			arguments.write = optarg;
		else
			return 1;
	}
	signal(SIGABRT, report);
	signal(SIGPROF, report);
	if (arguments.make_seed) {
		seed_make(arguments.make_seed, argv[optind]);
		return 0;
	}
	if (arguments.write)
		return write_changed(argv[optind], &arguments);
	for (int i = optind; i < argc; i++)
		failed |= run_seed(argv[i], &arguments);
	return failed;
}
