# SPDX-License-Identifier: LGPL-2.1-or-later
"""Views: trees, plans, images and their differences, shown."""

import json
import os
import re
import resource
import signal
import subprocess

from place import must, nestor, program, TESTS
import tree


def tree_live(place):
    """tree draws live trees, with states and namespaces, and as JSON"""
    pid = place.start("sleep 100 & sleep 200 & wait")
    tree.wait_for(lambda: [tree.status_of(task)["Name"] for task in tree.children_of(pid)]
                  == ["sleep", "sleep"], 5)
    drawing = nestor("tree", pid).ok().out
    must(f"{pid} sh" in drawing and drawing.count("sleep ") >= 2, f"tasks missing:\n{drawing}")
    must("|- " in drawing and "`- " in drawing, f"no ASCII lines:\n{drawing}")
    must(f"pid:[{os.stat('/proc/self/ns/pid').st_ino}]" in drawing, "no pid namespace")
    view = json.loads(nestor("tree", "--json", pid).ok().out)
    must([task["parent"] for task in view["tasks"]] == [None, 0, 0], "wrong parents")
    must(view["tasks"][0]["sessions"][-1] == pid, "wrong session")


def tree_headless(place):
    """tree says so where the first thread of a process has exited"""
    pid = place.start("import ctypes, threading, time\n"
                      "threading.Thread(target=lambda: time.sleep(1000)).start()\n"
                      "ctypes.CDLL(None).syscall(60, 0)", "python3")
    must(tree.wait_for(lambda: tree.status_of(pid)["State"][0] == "Z", 10), "it does not exit")
    def see(what):
        task = json.loads(nestor("tree", "--json", what).ok().out)["tasks"][0]
        must(task["state"] == "headless" and task["threads"] == 2, f"{task}")
    see(pid)
    tids = os.listdir(f"/proc/{pid}/task")
    nestor("dump", "-t", pid, "-D", place.images).ok()
    must(tree.reap(pid, 5), "the tree is still there")
    see(place.images)
    pid = place.restored()
    see(pid)
    must(os.listdir(f"/proc/{pid}/task") == tids, "its threads are others")


def tree_wants(place):
    """tree shows all of it, or says why it cannot: a shortage is not taken for an end"""
    pid = place.start("exec unshare -Urpf --mount-proc unshare -Uu sleep 1000")
    tree.wait_for(lambda: "sleep" in nestor("tree", pid).ok().out, 5)
    whole = nestor("tree", pid).ok().out
    told = 0
    for limit in range(3, 20):
        done = subprocess.run(["prlimit", f"--nofile={limit}:{limit}", program(), "tree", str(pid)],
                              capture_output=True, text=True, check=False)
        told += done.returncode == 1 and "error [" in done.stderr
        must(done.returncode in (1, 127) or done.stdout == whole,
             f"{limit} descriptors: {done.stdout}")
    must(3 < told < 16, f"{told} of them told")


def tree_hides_control_characters(place):
    """A task's name cannot steer the terminal"""
    pid = place.start("printf '\\033[31mred' >/proc/$$/comm; sleep 100; :")
    drawing = nestor("tree", pid).ok().out
    must("\033" not in drawing and "\\x1b[31mred" in drawing, repr(drawing))


def chain_of_users(view):
    """The user namespaces with maps, outermost first."""
    rows = {row["parent"]: row for row in view["namespaces"]
            if row["type"] == "user" and "uid_map" in row}
    ids = [row["id"] for row in rows.values()]
    chain = [row for parent, row in rows.items() if parent not in ids]
    while chain and chain[-1]["id"] in rows:
        chain.append(rows[chain[-1]["id"]])
    return chain


def tree_user_namespaces(place):
    """tree shows user namespaces: nesting, owners, maps; live and of images alike"""
    root_file = place.file("root")
    launcher = os.path.join(os.path.dirname(TESTS), "build", "tests", "lib", "scenario-launch")
    os.environ["SCENARIO_ROOT_FILE"] = root_file
    place.start(f"exec {launcher} -u 3 $(command -v sleep) 1000 </dev/null")
    must(tree.wait_for(lambda: os.path.exists(root_file), 5), "not started")
    with open(root_file, encoding="ascii") as file:
        pid = int(file.read())
    place.roots.append(pid)
    tree.wait_for(lambda: len(tree.processes(pid)) == 4, 5)
    live = nestor("tree", pid).ok().out
    maps = ["ids 0 0 1, 1 1 4294967294", "uids 0 0 1, 1 100001 200000; gids 0 0 1, 1 300001 200000",
            "uids 0 0 1, 1 1001 100000, 150000 150000 1000; gids 0 0 1, 1 2001 100000"]
    must([words for words in maps if words in live] == maps, f"maps missing:\n{live}")
    must(live.count("uid 0 ") == 4, f"owners missing:\n{live}")
    views = [json.loads(nestor("tree", "--json", pid).ok().out)]
    # Who is in the innermost comes before those around it, who have nobody to show.
    inner = chain_of_users(json.loads(nestor("tree", "--json", max(tree.processes(pid))).ok().out))
    must([row["uid_map"] for row in inner] == [row["uid_map"] for row in chain_of_users(views[0])],
         f"seen from inside: {inner}")
    place.dump(pid)
    views.append(json.loads(nestor("tree", "--json", place.images).ok().out))
    drawn = nestor("tree", place.images).ok().out
    must([words for words in maps if words in drawn] == maps, f"maps missing:\n{drawn}")
    for view in views:
        users = chain_of_users(view)
        must(len(users) == 3, f"wrong nesting: {users}")
        ids = {row["id"] for row in users}
        must(users[2]["uid_map"] == [[0, 0, 1], [1, 1001, 100000], [150000, 150000, 1000]]
             and users[2]["setgroups"] == "allow" and users[2]["tasks"] == 2, f"wrong: {users[2]}")
        owners = {row["owner"] for row in view["namespaces"] if row["type"] == "pid"}
        must(ids <= owners, f"wrong owners of pid namespaces: {owners}")


def tree_and_plan_of_images(place):
    """tree and plan print what is in a directory, also as JSON"""
    pid = place.dumped()
    must(f"{pid} sleep" in nestor("tree", place.images).ok().out, "the task is not drawn")
    view = json.loads(nestor("tree", place.images, "--json").ok().out)
    must(view["tasks"][0]["pids"] == [pid], "another pid")
    text = nestor("plan", place.images).ok().out
    must("mmap(" in text and str(pid) in text, f"no program:\n{text[:2000]}")
    must(json.loads(nestor("plan", place.images, "--json").ok().out), "no JSON")


def tree_of_an_init(place):
    """Of images no namespace of the root is new but that of which it is the init"""
    outer = place.start("exec unshare -fpu --kill-child setsid sleep 1000")
    tree.wait_for(lambda: [tree.status_of(task)["Name"] for task in tree.children_of(outer)]
                  == ["sleep"], 10)
    place.dump(tree.children_of(outer)[0])
    line = nestor("tree", place.images).ok().out.splitlines()[1]
    must(re.fullmatch(r"1 sleep  .* pid:\d+", line), line)


def tree_of_pid_1(place):
    """An init is drawn by its number, and by that of the namespace where it is asked for"""
    inside = ["unshare", "-fp", "--mount-proc", "--kill-child", "sh", "-c", f"{program()} tree 1; :"]
    done = subprocess.run(inside, capture_output=True, text=True, check=False)
    must(done.stdout.splitlines()[1].startswith("1 sh "), done.stdout + done.stderr)
    nestor("tree", "0").fails("io")


def page_of_a_tree(place):
    """A page of a tree has what stands against its dump, and what is no element of the page"""
    others = [place.sleeper(), place.sleeper()]
    held = " ".join(f"{fd}</proc/{pid}/status" for fd, pid in zip((7, 8), others))
    pid = place.start(f"printf '</script>' >/proc/$$/comm; exec {held}; while :; do sleep 0.02; done")
    page = nestor("tree", "--html", "-", pid).ok().out
    data = json.loads(re.search(r"<script type='application/json' id='data'>(.*?)</script>", page,
                                re.DOTALL)[1])
    must(len(data["obstacles"]) == 2
         and all(f"/proc/{other}/status" in text for other, text in zip(others, data["obstacles"])),
         str(data["obstacles"]))
    must(data["tasks"][0]["name"] == "</script>", str(data["tasks"]))


def page_of_images(place):
    """A page of images has each thing of a task, and of the tree, once"""
    tmpfs = "mount -t tmpfs one /mnt && mount -t tmpfs two /mnt"
    outer = place.start(f"exec unshare -fpm --propagation private sh -c '{tmpfs}; exec setsid sh -c \""
                        f"sleep 1000 | sleep 2000; :\"'")
    tree.wait_for(lambda: [tree.status_of(task)["Name"] for task in tree.processes(outer)][1:]
                  == ["sh", "sleep", "sleep"], 10)
    place.dump(tree.children_of(outer)[0])
    page = nestor("tree", "--html", "-", place.images).ok().out
    data = json.loads(re.search(r"<script type='application/json' id='data'>(.*?)</script>", page,
                                re.DOTALL)[1])
    must([task["name"] for task in data["tasks"]] == ["sh", "sleep", "sleep"], str(data["tasks"]))
    rows = [row for task in data["tasks"] for row in task["details"]] + data["others"]
    told = json.loads(nestor("show", place.images, "--json").ok().out)
    must(len(data["others"]) > 1 and len(rows) == len(told), f"{len(rows)} of {len(told)}")


def page_that_does_not_fit(place):
    """Where the last byte of a page cannot be written that is an error"""
    place.dumped()
    name = place.file("page")
    nestor("tree", "--html", name, place.images).ok()
    size = os.path.getsize(name)
    for limit in (size - 1, size):
        options = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
                   "restore_signals": False}  # SIGXFSZ is ignored
        with open(name, "w", encoding="ascii") as out:
            for done in (nestor("tree", "--html", name, place.images, **options),
                         nestor("tree", "--html", "-", place.images, stdout=out, **options)):
                done.ok() if limit == size else done.fails("io")


def piped_tree(place):
    """A shell with a pipe between two of its children, and a file; its pid."""
    open(place.file("note"), "w", encoding="ascii").close()
    pid = place.start("exec 7<%s; sleep 1000 | sleep 2000; :" % place.file("note"))
    tree.wait_for(lambda: [tree.status_of(task)["Name"] for task in tree.processes(pid)]
                  == ["sh", "sleep", "sleep"], 10)
    return pid


def show_images(place):
    """show tells of each thing of a task, who shares it and who has the other end, by filters"""
    pid = piped_tree(place)
    _, one, two = sorted(tree.processes(pid))
    place.dump(pid)
    shown = nestor("show", place.images).ok().out
    for text in (f"task {pid} sh", "program       ", f"7             {place.file('note')} (r)",
                 "r-xp private file", "stack" if "[stack]" in shown else "anonymous"):
        must(text in shown, f"{text} is not in\n{shown}")
    pipes = nestor("show", place.images, "--kind", "pipes").ok().out
    lines = [line for line in pipes.splitlines() if "pipe " in line]
    must(len(lines) == 2 and f"meets {two} descriptor 0" in lines[0]
         and f"meets {one} descriptor 1" in lines[1], pipes)
    must("also" in nestor("show", place.images, "-k", "descriptors", "-t", one).ok().out, shown)
    rows = json.loads(nestor("show", place.images, "--json", "-t", f"{two}").ok().out)
    must({row["task"] for row in rows} == {str(two)}
         and {"state", "directories", "descriptors", "areas"} == {row["category"] for row in rows},
         str(rows)[:500])
    nestor("show", place.images, "--task", "4194303").fails("no-such-task")
    nestor("show").fails("usage", 2)
    nestor("show", place.path).fails("images-incomplete")


def diff_of_dumps(place):
    """diff tells what changed between two dumps, and nothing where nothing did"""
    pid = piped_tree(place)
    second = place.file("second")
    os.mkdir(second)
    nestor("dump", "-R", "-t", pid, "-D", place.images).ok()
    done = nestor("diff", place.images, place.images).ok()
    must(done.out == "", done.out)
    os.kill(max(tree.processes(pid)), signal.SIGKILL)
    tree.wait_for(lambda: len(tree.processes(pid)) < 3, 5)
    nestor("dump", "-R", "-t", pid, "-D", second).ok()
    done = nestor("diff", place.images, second)
    must(done.status == 1 and " sleep, state\n  - task" in done.out and "gone, 0 new" in done.out,
         done.out)
    rows = json.loads(nestor("diff", "--json", place.images, second).out)
    must(any(row["after"] is None and row["before"]["key"] == "task" for row in rows), str(rows))
    must(nestor("diff", place.images, second, "--kind", "mounts").ok().out == "", "of mounts")
    # Its pipe has another number each time.
    place.dump(pid)
    again = place.restored()
    nestor("dump", "-R", "-t", again, "-D", second).ok()
    must("pipe" in nestor("show", second).ok().out, "no pipe")
    done = nestor("diff", place.images, second)
    must("pipe" not in done.out, done.out)
    must(nestor("diff", place.images).status == 2, "one directory")
    must(nestor("diff", place.images, place.path).status == 2, "no images")


def plan_is_of_the_restore(place):
    """plan has restore's options, and tells what stands against it after the programs"""
    with open(place.file("data"), "w", encoding="ascii") as file:
        file.write("x" * 100)
    pid = place.start("exec 3<data; while :; do sleep 0.02; done")
    nestor("dump", "-t", pid, "-D", place.images, "-R").ok()
    done = nestor("plan", place.images).fails("pid-in-use")
    must("mmap(" in done.out and str(pid) in done.err, "no programs, or not whose id is taken")
    for how in ("pid", "auto"):
        done = nestor("plan", place.images, "--json", "--unshare", how).ok()
        must(json.loads(done.out)["fresh_pid_namespace"], f"--unshare {how} makes no namespace")
    nestor("plan", place.images, "--unshare", "net").fails("usage", 2)
    os.unlink(place.file("data"))
    done = nestor("plan", place.images, "--unshare", "auto").fails("file-missing")
    must("mmap(" in done.out and "fresh pid namespace" in done.out, f"not planned: {done.out[:300]}")
    os.mkdir(place.file("elsewhere"))
    done = nestor("plan", place.images, "-r", place.file("elsewhere"), "--unshare", "pid")
    done.fails("file-missing")


CASES = [
    tree_live, tree_headless, tree_wants, tree_hides_control_characters, tree_user_namespaces,
    tree_of_an_init, tree_of_pid_1, page_of_a_tree, page_of_images, page_that_does_not_fit,
    tree_and_plan_of_images,
    show_images, diff_of_dumps, plan_is_of_the_restore,
]
