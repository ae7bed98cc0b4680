// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The model against the real kernel: the same random history runs on both, call by call, and what
 * each call returns, and the state at the end (who is whose child, numbers, groups and sessions at
 * every level, zombies with their status, namespaces), has to be equal. Usage: test-kernel [COUNT
 * [FIRST_SEED]], or test-kernel FILE with a history as text. A mismatch is cut down and printed.
 *
 * Each history lives in a pid namespace of its own, which ends with its first process.
 */
#include "actors.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CALLS = 60, MAX_ALIVE = 24, EXITING_FLAG = 0x4 /* PF_EXITING */, SKIPPED = 77 };

struct check {
	struct actors_board *board;
	bool limits; /* pid_max is one per namespace */
	struct history *history;
	pid_t host_pids[MODEL_PROCESSES]; /* by index in the model */
	char inodes[MODEL_NAMESPACES][64], users[MODEL_USERS][64];
	char problem[1024];
};

/* ---- drawing ---- */

static struct reference draw_reference(struct history *history)
{
	static const int32_t odd[] = { 0, -1, -7, 1, 4194302 };
	struct reference reference = { .name = NOBODY };

	if (history_random(history, 12))
		reference.name = (int)history_random(history, (uint32_t)history->n_names);
	else
		reference.number = odd[history_random(history, 5)];
	return reference;
}

static struct reference draw_target(struct history *history, int process)
{
	const struct model *model = &history->model;
	uint32_t kind = history_random(history, 4);

	for (int i = model->n_processes - 1; kind && i > history->root; i--)
		if (model_exists(model, i) && model->processes[i].parent == process &&
		    history_random(history, 2))
			return (struct reference){ .name = history->name_of[i] };
	return draw_reference(history);
}

static uint32_t draw_number(struct history *history)
{
	switch (history_random(history, 12)) {
	case 0:
		return 1;
	case 1:
		return history_random(history, 2) ? 0 : 4194304;
	default:
		return 2 + history_random(history, 40);
	}
}

static void draw_fork(struct history *history, struct call *call, int process)
{
	const struct model *model = &history->model;
	int namespace = model->processes[process].for_children;
	int top = model->processes[history->root].namespace;
	uint32_t levels =
		(uint32_t)(model->namespaces[namespace].level - model->namespaces[top].level + 1);

	call->child = history->n_names;
	call->new_namespace = levels < 6 && history_random(history, 6) == 0;
	call->new_users = history_random(history, 6) == 0;
	call->same_parent = history_random(history, 6) == 0;
	levels += call->new_namespace;
	if (history_random(history, 40) == 0)
		call->n_numbers = MODEL_LEVELS + 1;
	else if (history_random(history, 2))
		call->n_numbers = (uint8_t)history_random(history, levels + 1);
	for (size_t i = 0; i < call->n_numbers && i < HISTORY_NUMBERS; i++)
		call->numbers[i] = draw_number(history);
	bool first = call->new_namespace || model->namespaces[namespace].init < 0;
	if (first && history_random(history, 8))
		call->numbers[0] = 1;
}

static enum call_kind draw_kind(struct history *history)
{
	static const unsigned weights[CALL_KINDS] = {
		[CALL_FORK] = 30,	[CALL_SETSID] = 8,  [CALL_SETPGID] = 24,
		[CALL_EXIT] = 14,	[CALL_WAIT] = 12,   [CALL_SUBREAPER] = 6,
		[CALL_UNSHARE] = 4,	[CALL_ENTER] = 10,  [CALL_EXEC] = 2,
		[CALL_LAST_PID] = 3,	[CALL_PID_MAX] = 2, [CALL_UNSHARE_USERS] = 3,
		[CALL_ENTER_USERS] = 6, [CALL_DROP] = 2,
	};
	unsigned all = 0, kind = 0;

	for (size_t i = 0; i < CALL_KINDS; i++)
		all += weights[i];
	uint32_t drawn = history_random(history, all);
	while (drawn >= weights[kind])
		drawn -= weights[kind++];
	return (enum call_kind)kind;
}

static int draw_process(struct history *history)
{
	const struct model *model = &history->model;

	for (;;) {
		int at = history->root +
			 (int)history_random(history,
					     (uint32_t)(model->n_processes - history->root));
		if (model_is_alive(model, at))
			return at;
	}
}

static unsigned count_alive(const struct history *history)
{
	unsigned count = 0;

	for (int i = history->root; i < history->model.n_processes; i++)
		count += model_exists(&history->model, i);
	return count;
}

static int32_t draw_value(struct history *history, enum call_kind kind, bool is_init)
{
	switch (kind) {
	case CALL_EXIT:
		/* An init does not die of a signal that it sends itself. */
		return is_init || history_random(history, 2)
			       ? (int32_t)history_random(history, 256) << 8
			       : SIGKILL;
	case CALL_SUBREAPER:
		return history_random(history, 3) != 0;
	case CALL_LAST_PID:
		return (int32_t)history_random(history, 12)
			       ? 295 + (int32_t)history_random(history, 12)
			       : -1;
	case CALL_PID_MAX:
		return 299 + (int32_t)history_random(history, 8);
	default:
		return 0;
	}
}

static void draw_call(struct check *check)
{
	struct history *history = check->history;
	int process = draw_process(history);
	bool is_init = model_is_init(&history->model, process);
	struct call call = { .kind = draw_kind(history), .process = history->name_of[process] };

	/* Not modelled: who may write pid_max; that gaining capabilities ends being dumpable. */
	bool powerless = history->model.processes[process].powerless;
	if (call.kind == CALL_EXEC && powerless)
		return;
	if ((call.kind == CALL_PID_MAX &&
	     (!check->limits || history->model.processes[process].users || powerless)) ||
	    (call.kind == CALL_FORK && count_alive(history) >= MAX_ALIVE))
		return;
	if (call.kind == CALL_EXIT &&
	    (process == history->root || (is_init && history_random(history, 3))))
		return;
	if (call.kind == CALL_FORK)
		draw_fork(history, &call, process);
	call.target = draw_target(history, process);
	if (history_random(history, 3) == 0)
		call.target = (struct reference){ .name = call.process };
	call.group = history_random(history, 3) ? draw_reference(history) : call.target;
	call.value = draw_value(history, call.kind, is_init);
	if (history_call_traps(history, &call))
		return;
	history_do(history, &call);
}

/* ---- what the real kernel shows ---- */

static void complain(struct check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void complain(struct check *check, const char *format, ...)
{
	size_t used = strlen(check->problem);
	va_list args;

	va_start(args, format);
	vsnprintf(check->problem + used, sizeof check->problem - used, format, args);
	va_end(args);
}

static bool read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	text[fread(text, 1, size - 1, file)] = 0;
	fclose(file);
	return true;
}

struct stat_line {
	char state;
	unsigned flags;
};

static bool read_stat(pid_t pid, struct stat_line *ret_stat)
{
	char text[1024];

	if (!read_proc(pid, "stat", text, sizeof text))
		return false;
	const char *at = strrchr(text, ')');
	return at && sscanf(at + 1, " %c %*d %*d %*d %*d %*d %u", &ret_stat->state,
			    &ret_stat->flags) == 2;
}

static bool has_settled(const struct check *check, int index)
{
	struct stat_line stat;
	bool there = read_stat(check->host_pids[index], &stat);

	switch (check->history->model.processes[index].state) {
	case MODEL_GONE:
		return !there || stat.state == 'X';
	case MODEL_ZOMBIE:
		return there && stat.state == 'Z';
	case MODEL_EXITING:
		return there && stat.flags & EXITING_FLAG;
	case MODEL_ALIVE:
		break;
	}
	return true;
}

/* An exit goes on after the call, and may take others along. */
static void settle(struct check *check, const enum model_state *before, int n_before)
{
	const struct model *model = &check->history->model;

	for (int i = check->history->root; i < n_before; i++) {
		if (model->processes[i].state == before[i])
			continue;
		int tries = 0;
		while (!has_settled(check, i) && tries < 20000) {
			usleep(tries < 100 ? 20 : 100);
			tries++;
		}
		if (!has_settled(check, i))
			complain(check, "process %d does not get into its state\n",
				 check->history->name_of[i]);
	}
}

static bool is_known(const struct check *check, pid_t pid)
{
	for (int i = 0; i < check->history->model.n_processes; i++)
		if (check->host_pids[i] == pid && model_exists(&check->history->model, i))
			return true;
	return false;
}

/* The new process is the child of its parent that was not there before. */
static void find_child(struct check *check, int index)
{
	const struct model *model = &check->history->model;
	pid_t parent = check->host_pids[model->processes[index].parent];
	char name[64], text[4096], *save = NULL;

	snprintf(name, sizeof name, "task/%d/children", parent);
	if (!read_proc(parent, name, text, sizeof text))
		text[0] = 0;
	for (const char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (!is_known(check, atoi(word)))
			check->host_pids[index] = atoi(word);
	if (!check->host_pids[index])
		complain(check, "process %d is not a child of its parent\n",
			 check->history->name_of[index]);
}

/* ---- comparing ---- */

static void expect_line(struct check *check, int index, const char *status, const char *key,
			const struct model *model, int leader)
{
	int top = model->processes[check->history->root].namespace;
	int namespace = model->processes[index].namespace;
	int levels = model->namespaces[namespace].level - model->namespaces[top].level + 1;
	uint32_t wanted[MODEL_LEVELS], found[MODEL_LEVELS];
	int count = 0;

	for (int i = levels; i-- > 0; namespace = model->namespaces[namespace].parent)
		wanted[i] = model_number(model, leader, namespace);
	const char *at = strstr(status, key);
	char line[512] = "", *save = NULL;
	if (at)
		snprintf(line, sizeof line, "%.*s", (int)strcspn(at + 1, "\n"), at + 1);
	strtok_r(line, "\t", &save);
	for (const char *word = strtok_r(NULL, "\t", &save); word && count < MODEL_LEVELS;
	     word = strtok_r(NULL, "\t", &save))
		found[count++] = (uint32_t)atoi(word);
	if (count < levels ||
	    memcmp(found + count - levels, wanted, sizeof *wanted * (size_t)levels))
		complain(check, "process %d: %.*s, but innermost %u\n",
			 check->history->name_of[index], at ? (int)strcspn(at + 1, "\n") : 0,
			 at ? at + 1 : "", wanted[levels - 1]);
}

static bool read_link(pid_t pid, const char *name, char link[64])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
	ssize_t length = readlink(path, link, 63);
	link[length < 0 ? 0 : length] = 0;
	return length > 0;
}

static void compare_namespaces(struct check *check, int index)
{
	const struct model *model = &check->history->model;
	const struct model_process *at = &model->processes[index];
	char own[64], children[64], users[64];

	if (!read_link(check->host_pids[index], "pid", own) ||
	    strcmp(own, check->inodes[at->namespace]))
		complain(check, "process %d is in another pid namespace\n",
			 check->history->name_of[index]);
	if (!read_link(check->host_pids[index], "user", users) ||
	    strcmp(users, check->users[at->users]))
		complain(check, "process %d is in another user namespace\n",
			 check->history->name_of[index]);
	read_link(check->host_pids[index], "pid_for_children", children);
	bool empty = model->namespaces[at->for_children].init < 0;
	if (strcmp(children, empty ? "" : check->inodes[at->for_children]))
		complain(check, "process %d: children are born in %s, not %s\n",
			 check->history->name_of[index], children, check->inodes[at->for_children]);
}

static void compare_status(struct check *check, int index)
{
	const struct model *model = &check->history->model;
	char text[1024];
	unsigned code = 0;

	if (!read_proc(check->host_pids[index], "stat", text, sizeof text))
		return;
	for (const char *at = strrchr(text, ' '); at; at = NULL)
		code = (unsigned)atoi(at + 1);
	if (code != model->processes[index].status)
		complain(check, "process %d: exit code %u, not %u\n",
			 check->history->name_of[index], code, model->processes[index].status);
}

static void compare_process(struct check *check, int index)
{
	const struct model *model = &check->history->model;
	const struct model_process *at = &model->processes[index];
	pid_t pid = check->host_pids[index], parent = 0;
	char status[8192];

	if (!has_settled(check, index))
		complain(check, "process %d is in another state\n", check->history->name_of[index]);
	if (!read_proc(pid, "status", status, sizeof status)) {
		complain(check, "process %d is missing\n", check->history->name_of[index]);
		return;
	}
	const char *line = strstr(status, "\nPPid:");
	if (line)
		parent = atoi(line + 6);
	if (index != check->history->root && parent != check->host_pids[at->parent])
		complain(check, "process %d: its parent is not %d\n",
			 check->history->name_of[index], check->history->name_of[at->parent]);
	expect_line(check, index, status, "\nNSpid:", model, index);
	expect_line(check, index, status, "\nNSpgid:", model, at->group);
	expect_line(check, index, status, "\nNSsid:", model, at->session);
	if (at->state == MODEL_ZOMBIE)
		compare_status(check, index);
	if (at->state == MODEL_ALIVE)
		compare_namespaces(check, index);
}

/* ---- running ---- */

/* What the new ones are called. */
static void note_namespaces(struct check *check, int n_processes, int n_users, int caller)
{
	const struct model *model = &check->history->model;

	for (int i = n_processes; i < model->n_processes; i++)
		if (model_is_init(model, i))
			read_link(check->host_pids[i], "pid",
				  check->inodes[model->processes[i].namespace]);
	if (model->n_users == n_users)
		return;
	int maker = model->n_processes > n_processes ? model->n_processes - 1 : caller;
	read_link(check->host_pids[maker], "user", check->users[model->processes[maker].users]);
}

static void run_call(struct check *check, const struct call *call)
{
	struct history *history = check->history;
	struct model *model = &history->model;
	enum model_state before[MODEL_PROCESSES];
	struct order order = actors_order(history, call);

	/* One that was cut down may have what was not drawn. */
	if (history_call_traps(history, call))
		return;
	int n_before = model->n_processes, n_users = model->n_users;

	/* Drawn histories have none, but parts of them may. */
	if (call->kind == CALL_SETPGID && history->index_of[call->process] >= 0 &&
	    model_setpgid_traps(model, history->index_of[call->process], order.target, order.group))
		return;
	for (int i = 0; i < n_before; i++)
		before[i] = model->processes[i].state;
	int wanted = history_do(history, call);
	if (wanted == -ENOENT)
		return;
	if (!actors_do(check->board, 1, &order)) {
		complain(check, "no answer\n");
	} else if (check->board->result != wanted) {
		complain(check, "the call returns %" PRId64 ", on the model %d\n",
			 check->board->result, wanted);
	} else {
		for (int i = n_before; i < model->n_processes; i++)
			find_child(check, i);
		note_namespaces(check, n_before, n_users, history->index_of[call->process]);
		settle(check, before, n_before);
	}
}

static void end_history(pid_t root)
{
	kill(root, SIGKILL);
	while (waitpid(root, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Runs a history on both; true: something differs, and check->problem says what. */
static bool differs(struct history *history, void *data)
{
	struct check *check = data;
	size_t i = 0;

	memset(check->host_pids, 0, sizeof check->host_pids);
	check->problem[0] = 0;
	history_start(check->history, true);
	int root = check->history->root;
	pid_t pid = actors_start(check->board, 1, true, 0);
	if (pid < 0) {
		complain(check, "cannot fork: %s\n", strerror(errno));
		return true;
	}
	check->host_pids[root] = pid;
	read_link(pid, "pid", check->inodes[check->history->model.processes[root].namespace]);
	read_link(pid, "user", check->users[0]);
	while (i < history->n_calls && !check->problem[0])
		run_call(check, &history->calls[i++]);
	for (int at = root; at < check->history->model.n_processes && !check->problem[0]; at++)
		if (model_exists(&check->history->model, at))
			compare_process(check, at);
	end_history(pid);
	actors_reset(check->board);
	return check->problem[0] != 0;
}

static void report(struct check *check, struct history *history, const char *name)
{
	history_shrink(history, differs, check);
	differs(history, check);
	printf("%s: model and kernel differ: %s", name, check->problem);
	history_print(history, stdout);
}

static int run_file(struct check *check, struct history *history, const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file || !history_read(history, file)) {
		printf("not a history: %s\n", path);
		return 2;
	}
	fclose(file);
	if (!differs(history, check))
		return 0;
	printf("%s", check->problem);
	return 1;
}

static bool has_own_limits(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	return sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 14));
}

int main(int argc, char **argv)
{
	actors_resume(argc, argv);
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 300;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	static struct history drawn, played;
	static struct check check = { .history = &played };
	size_t n_calls = 0, n_processes = 0, wrong = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0) {
		printf("needs root\n");
		return SKIPPED;
	}
	check.board = actors_open(true);
	check.limits = has_own_limits();
	if (!check.board)
		return 1;
	if (argc > 1 && count == 0)
		return run_file(&check, &drawn, argv[1]);
	for (uint64_t seed = first; seed < first + count && wrong < 3; seed++) {
		char name[32];
		drawn.random = seed;
		history_start(&drawn, true);
		unsigned length = 10 + history_random(&drawn, MAX_CALLS);
		check.history = &drawn;
		while (length--)
			draw_call(&check);
		check.history = &played;
		snprintf(name, sizeof name, "seed %" PRIu64, seed);
		n_calls += drawn.n_calls;
		n_processes += (size_t)drawn.n_names;
		if (getenv("VERBOSE"))
			history_print(&drawn, stdout);
		if (differs(&drawn, &check)) {
			report(&check, &drawn, name);
			wrong++;
		}
	}
	printf("%" PRIu64 " histories, %zu calls, %zu processes: %zu differ\n", count, n_calls,
	       n_processes, wrong);
	return wrong ? 1 : 0;
}
