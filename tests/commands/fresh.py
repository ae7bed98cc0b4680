# SPDX-License-Identifier: LGPL-2.1-or-later
"""Restores into fresh pid namespaces."""

import json
import os
import shutil
import signal
import subprocess

from place import levels, must, nestor, ORDINARY, parent, program, take
import tree


def fresh_namespace(place):
    """--unshare pid gives a tree its ids in a fresh pid namespace, below an init that reaps"""
    pid = place.dump(place.start("sleep 1000 & sleep 1000 & wait"))
    take(place, pid)
    root = place.restored("--unshare", "pid")
    must(levels(root)[-1] == pid and len(levels(root)) == len(levels(os.getpid())) + 1,
         f"the ids of the root are {levels(root)}, recorded was {pid}")
    init = parent(root)
    place.roots.append(init)
    must(levels(init)[-1] == 1, f"the root's parent has the ids {levels(init)}")
    must(not os.listdir(f"/proc/{init}/fd"), "the init has descriptors")
    orphans = [task for task in tree.processes(init) if task not in (init, root)]
    os.kill(root, signal.SIGKILL)
    must(tree.wait_for(lambda: not tree.exists(root), 5), "the root is not reaped")
    os.kill(orphans[0], signal.SIGKILL)
    must(tree.wait_for(lambda: not tree.exists(orphans[0]), 5), "an orphan is not reaped")
    must(tree.is_alive(init) and tree.is_alive(orphans[1]), "the tree ended before its last task")
    os.kill(orphans[1], signal.SIGKILL)
    must(tree.wait_for(lambda: tree.reap(init), 5), "the init outlives the tree")


def fresh_namespace_where_needed(place):
    """--unshare auto makes one only where an id is taken"""
    pid = place.dumped()
    root = place.restored("--unshare", "auto")
    must(root == pid and levels(root) == levels(os.getpid())[:-1] + [pid], "not restored as it was")
    os.kill(root, signal.SIGKILL)
    must(tree.reap(root, 5), "it does not end")
    take(place, pid)
    root = place.restored("--unshare", "auto")
    place.roots.append(parent(root))
    must(root != pid and levels(root)[-1] == pid, f"the ids are {levels(root)}")


def fresh_namespace_with_proc(place):
    """--unshare pid,mnt gives the tree a /proc of its namespace, and nobody else"""
    pid = place.dump(place.start("while [ ! -e go ]; do sleep 0.02; done; echo $$ /proc/[0-9]* >l;"
                                 "mv l list; exec sleep 1000"))
    before = open("/proc/mounts", encoding="ascii").read()
    root = place.restored("--unshare", "pid,mnt")
    place.roots.append(parent(root))
    open(place.file("go"), "w", encoding="ascii").close()
    must(tree.wait_for(lambda: os.path.exists(place.file("list")), 10), "it does not go on")
    words = open(place.file("list"), encoding="ascii").read().split()
    must(words[0] == str(pid) and "/proc/1" in words and f"/proc/{pid}" in words
         and len(words) <= 4, f"its /proc has {words}")
    must(open("/proc/mounts", encoding="ascii").read() == before, "others see a mount")


def fresh_namespace_without_privileges(place):
    """--unshare pid,mnt is for people too whose tree is in a user namespace of their own"""
    os.chmod(place.path, 0o755)
    shutil.copy(program(), place.file("nestor"))
    os.chown(place.images, 65534, 65534)
    process = subprocess.Popen(
        ORDINARY + ["unshare", "-Ur", "sh", "-c", "sleep 1000 & wait"], cwd=place.path,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True)
    place.roots.append(process.pid)
    must(tree.wait_for(lambda: tree.children_of(process.pid), 5), "does not start")

    def by_person(*arguments):
        done = subprocess.run(ORDINARY + [place.file("nestor"), *arguments], cwd=place.path,
                              capture_output=True, text=True, check=False, timeout=60)
        must(done.returncode == 0, f"{arguments}: {done.stderr}")
        return done.stdout
    by_person("dump", "-t", str(process.pid), "-D", place.images)
    must(tree.reap(process.pid, 5), "the tree is still there")
    kinds = {source["kind"] for source in json.loads(
        by_person("plan", "--json", place.images, "--unshare", "pid"))["sources"]}
    must("namespace" not in kinds, "plan makes the namespace that the restore works in")
    kinds = {source["kind"] for source in json.loads(
        nestor("plan", "--json", place.images, "--unshare", "pid").ok().out)["sources"]}
    must("namespace" in kinds, "with privileges plan makes no user namespace")
    by_person("restore", "-D", place.images, "-d", "--pidfile", "pid", "--unshare", "pid,mnt")
    root = int(open(os.path.join(place.images, "pid"), encoding="ascii").read())
    place.roots += [root, parent(root)]
    must(levels(root)[-1] == process.pid, f"the ids of the root are {levels(root)}")
    must(tree.status_of(root)["Uid"].split() == ["65534"] * 4, tree.status_of(root)["Uid"])
    mapped = tree.read(root, "uid_map").split()
    must(mapped == ["0", "65534", "1"], f"uid_map is {mapped}")
    mounts = tree.read(root, "mounts")
    must(mounts.count(" /proc proc ") == tree.read("self", "mounts").count(" /proc proc ") + 1,
         "it has no /proc of its own")


def fresh_namespace_status(place):
    """The exit status of a root in a fresh namespace is that of nestor; signals are passed on"""
    place.dump(place.start("while [ ! -e go ]; do sleep 0.02; done; exit 7"))
    open(place.file("go"), "w", encoding="ascii").close()
    done = nestor("restore", "-D", place.images, "--unshare", "pid")
    must(done.status == 7, f"status {done.status}, not 7\n{done.err}")
    os.unlink(place.file("go"))
    place.images = place.file("more")
    os.mkdir(place.images)
    place.dump(place.start("trap 'exit 9' TERM; echo x >set; while :; do sleep 0.02; done"))
    root = place.restored("--unshare", "pid")
    init = parent(root)
    place.roots.append(init)
    os.kill(init, signal.SIGTERM)
    must(tree.wait_for(lambda: not tree.is_alive(init), 5), "SIGTERM is not passed on")
    must(os.waitstatus_to_exitcode(os.waitpid(init, 0)[1]) == 9, "the status is not passed on")


def fresh_namespace_twice(place):
    """A tree in a fresh pid namespace can be dumped with its init, and restored"""
    pid = place.dumped()
    root = place.restored("--unshare", "pid")
    init = parent(root)
    place.images = place.file("again")
    os.mkdir(place.images)
    place.dump(init)
    init = place.restored()
    tasks = tree.processes(init)
    must(len(tasks) == 2 and levels(init)[-1] == 1 and levels(tasks[1])[-1] == pid,
         f"the tree is {[levels(task) for task in tasks]}")
    os.kill(tasks[1], signal.SIGTERM)
    must(tree.wait_for(lambda: tree.reap(init), 5), "the init does not end any more")


def as_criu_ns(*words, **options):
    done = subprocess.run(["criu-ns"] + [str(word) for word in words], executable=program(),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=60, **options)
    must(done.returncode == 0, f"criu-ns {words}: {done.returncode} {done.stderr}")


def fresh_of_session(place, *options):
    """Dumps and restores by the name of criu-ns, again and again; the last root."""
    root, recorded = place.job, levels(place.job)[-1]
    for number in range(3):
        place.images = place.file(f"images-{number}")
        before = place.file(f"before-{number}")
        os.mkdir(place.images)
        os.mkdir(before)
        as_criu_ns("pre-dump", "-t", root, "-D", before, *options)
        inits = [parent(root)] if number else []
        pids = tree.processes(root) + inits
        as_criu_ns("dump", "-t", root, "-D", place.images, "--prev-images-dir",
                   f"../before-{number}", *options)
        must(all(tree.wait_for(lambda p=pid: tree.reap(p, 1), 5) for pid in pids),
             "the tree is still there")
        as_criu_ns("restore", "-D", place.images, "-d", "--pidfile", place.file("pid"), *options)
        root = int(open(place.file("pid"), encoding="ascii").read())
        place.roots += [root, parent(root)]
        must(levels(root)[-1] == recorded and len(levels(root)) == len(levels(os.getpid())) + 1,
             f"the ids of the root are {levels(root)}, recorded was {recorded}")
    return root


def criu_ns(place):
    """As criu-ns a tree goes to fresh namespaces, and out of them, again and again, with what it nests"""
    place.job = place.start("unshare --pid --fork sleep 1000 & while [ ! -e go ]; do sleep 0.02; done;"
                            "echo $$ /proc/[0-9]* >l; mv l list; exec sleep 1000")
    tree.wait_for(lambda: len(tree.processes(place.job)) > 2, 5)
    root = fresh_of_session(place)
    must(any(len(levels(task)) == len(levels(root)) + 1 for task in tree.processes(root)),
         "the nested namespace is lost")
    open(place.file("go"), "w", encoding="ascii").close()
    must(tree.wait_for(lambda: os.path.exists(place.file("list")), 10), "it does not go on")
    words = open(place.file("list"), encoding="ascii").read().split()
    must(int(words[0]) == levels(root)[-1] and "/proc/1" in words and len(words) < 10,
         f"its /proc has {words}")


def criu_ns_shell_job(place):
    """As criu-ns, a tree whose session leader is outside of it"""
    process = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, cwd=place.path,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    place.roots.append(process.pid)
    place.job = process.pid
    fresh_of_session(place, "--shell-job")


def fresh_namespace_nested(place):
    """--unshare pid works inside of a pid namespace"""
    place.dump(place.start("while [ ! -e go ]; do sleep 0.02; done; exit 5"))
    open(place.file("go"), "w", encoding="ascii").close()
    done = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", program(), "restore", "-D",
                           place.images, "--unshare", "pid"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    must(done.returncode == 5, f"status {done.returncode}\n{done.stderr}")


def fresh_namespace_in_container(place):
    """In a container whose ids are taken it lies below the container's own, and is dumped from there"""
    pid = place.dump(place.start("while :; do sleep 0.02; done"))
    script = f"""
        set -e
        nestor() {{ {program()} "$@"; }}
        echo {pid - 1} >/proc/sys/kernel/ns_last_pid; sleep 1000 & taken=$!
        test $taken = {pid}
        nestor restore -D {place.images} -d 2>said && exit 3
        grep -q 'pid-in-use' said; grep -q -e '--unshare' said
        nestor restore -D {place.images} -d --unshare auto,mnt --pidfile {place.file('pid')}
        root=$(cat {place.file('pid')})
        grep NSpid /proc/$root/status >ids
        mkdir again; nestor dump -t $root -D again
        for i in $(seq 100); do [ -d /proc/$root ] && sleep 0.02; done
        nestor restore -D again -d --unshare auto --pidfile {place.file('pid')}
        grep NSpid /proc/$(cat {place.file('pid')})/status >>ids
        kill -0 $taken
    """
    done = subprocess.run(["unshare", "--pid", "--mount", "--uts", "--ipc", "--net", "--fork",
                           "--kill-child", "--mount-proc", "sh", "-c", script],
                          cwd=place.path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    must(done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}")
    with open(place.file("ids"), encoding="ascii") as file:
        ids = [line.split()[1:] for line in file]
    # Its own, and the fresh one below that.
    must(len(ids) == 2 and all(len(row) == 2 and row[1] == str(pid) for row in ids),
         f"the ids are {ids}")


def fresh_namespace_failing(place):
    """A restore into a fresh namespace that fails leaves nothing behind"""
    place.dump(place.start("sleep 1000 & wait"))
    before = tree.children_of(os.getpid())
    for what in ("pid", "pid,mnt"):
        for fault in ("op:0:5", "op:1:30"):
            done = nestor("restore", "-D", place.images, "-d", "--unshare", what,
                          env=dict(os.environ, NESTOR_FAULT=fault))
            must(done.status == 1, f"{fault}: status {done.status}")
            must(tree.children_of(os.getpid()) == before, f"{fault}: processes are left behind")
    for what in ("mnt", "net", "pid,auto", ""):
        nestor("restore", "-D", place.images, "--unshare", what).fails("usage", 2)


CASES = [
    fresh_namespace, fresh_namespace_where_needed, fresh_namespace_with_proc,
    fresh_namespace_without_privileges, fresh_namespace_status, fresh_namespace_twice,
    fresh_namespace_nested, fresh_namespace_in_container, fresh_namespace_failing, criu_ns,
    criu_ns_shell_job,
]
