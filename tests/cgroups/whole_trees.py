# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trees of cgroups with tasks of their own: frozen, delegated, in cgroup namespaces."""

import os
import random
import signal
import subprocess
import tempfile
import time

from place import (NAME, NESTOR, Failure, Missing, cgroups_of, child_of, hierarchies, must, read,
                   remove_all, write)


def freezers():
    """(path of a new cgroup, file, frozen, thawed, is it so) in each hierarchy that freezes."""
    points = hierarchies(mounts=True)
    for name, point in points.items():
        if name == "freezer":
            yield f"{point}/{NAME}-frozen", "freezer.state", "FROZEN", "THAWED", "freezer.state"
        elif not name:
            yield f"{point}/{NAME}-frozen", "cgroup.freeze", "1", "0", "cgroup.events"


def is_frozen(path, shown):
    return "FROZEN" in read(f"{path}/{shown}") or "frozen 1" in read(f"{path}/{shown}")


def must_become(wanted, path, shown, text):
    for _ in range(500):
        if is_frozen(path, shown) == wanted:
            return
        time.sleep(0.01)
    raise Failure(text)


def runs(pid):
    """Does the program use its processor?"""
    before = read(f"/proc/{pid}/stat").rsplit(")")[-1].split()[11:13]
    for _ in range(100):
        time.sleep(0.01)
        if read(f"/proc/{pid}/stat").rsplit(")")[-1].split()[11:13] != before:
            return True
    return False


def frozen_trees(tree):
    """A frozen tree is dumped; it stays so whatever becomes of the dump, and comes back frozen"""
    images, pidfile = tree.images, f"{tree.state}/pid"
    for path, file, frozen, thawed, shown in list(freezers()):
        tree.images = tempfile.mkdtemp(dir=tree.state)
        os.mkdir(path)
        outer = subprocess.Popen(
            ["unshare", "--pid", "--fork", "setsid", "sh", "-c",
             "sleep 1000 & while :; do :; done"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        root = child_of(outer.pid)
        for pid in (child_of(root), root):
            write(f"{path}/cgroup.procs", str(pid))
        for _ in range(10):
            dump = subprocess.Popen([NESTOR, "dump", "-t", str(root), "-D", tree.images,
                                     "--leave-running", "--freeze-cgroup", path],
                                    stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0, 0.1))
            dump.kill()
            dump.wait()
            must_become(False, path, shown, "a killed dump leaves it frozen")
        tree.run("dump", "-t", str(root), "--leave-running", "--freeze-cgroup", path)
        must(not is_frozen(path, shown) and runs(root), "it does not go on")
        write(f"{path}/{file}", frozen)
        must_become(True, path, shown, "it cannot be frozen")
        tree.run("dump", "-t", str(root), "--leave-running")
        must_become(True, path, shown, "it was thawed by the dump")
        must(not runs(root), "it runs")
        for _ in range(10):
            dump = subprocess.Popen([NESTOR, "dump", "-t", str(root), "-D", tree.images,
                                     "--leave-running"],
                                    stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0, 0.1))
            dump.kill()
            dump.wait()
            must_become(True, path, shown, "a killed dump thaws it")
        tree.run("dump", "-t", str(root))
        outer.wait()
        remove_all(path)
        for fault in ("done:3", None):
            if fault:
                tree.run("restore", "-d", status=1, NESTOR_FAULT=fault)
                must(not os.path.exists(path), "a failed restore leaves it")
                continue
            tree.run("restore", "-d", "--pidfile", pidfile)
        must_become(True, path, shown, "it comes back thawed")
        root = int(read(pidfile))
        must(not runs(root), "it runs")
        write(f"{path}/{file}", thawed)
        must(runs(root), "it does not go on")
        os.kill(root, signal.SIGKILL)
        remove_all(path)
        os.mkdir(path)
        write(f"{path}/{file}", frozen)
        must("cgroup-frozen" in tree.run("restore", "-d", status=1), "name")
        remove_all(path)
    tree.images = images


def shape(top):
    """Directories below it, and whose they are."""
    found = []
    for folder, _, _ in os.walk(top):
        stat = os.stat(folder)
        found.append((os.path.relpath(folder, top), stat.st_uid, stat.st_gid, stat.st_mode))
    return sorted(found)


def delegated_come_back(tree):
    """below the root of its cgroup namespace all are as they were, also those that nobody is in, but
    for what is gone where the rest is still there"""
    tops = [f"{place}-delegated" for place in tree.places.values()]
    devices = f"{tree.places.get('devices')}-delegated/mid/devices"
    for top in tops:
        os.makedirs(f"{top}/mid")
        # As long as there is none below it.
        if devices.startswith(f"{top}/"):
            write(f"{devices}.deny", "a")
            write(f"{devices}.allow", "c 1:* rwm")
        for name in ("mid/leaf", "empty/deeper"):
            os.makedirs(f"{top}/{name}")
        for folder, _, _ in os.walk(top):
            os.chown(folder, 4711, 4712)
        os.chmod(f"{top}/mid", 0o775)
    enter = "; ".join(f"echo $$ >{top}/cgroup.procs" for top in tops)
    leaf = "; ".join(f"echo $$ >{top}/mid/leaf/cgroup.procs" for top in tops)
    images, tree.images = tree.images, tempfile.mkdtemp(dir=tree.state)

    def look():
        listed = f"{devices}.list"
        return [shape(top) for top in tops], read(listed) if os.path.exists(listed) else None

    before, pidfile = look(), os.path.join(tree.state, "pid")
    outer = subprocess.Popen(
        ["sh", "-c", f"{enter}; exec unshare --cgroup --pid --fork "
         f"setsid sh -c '{leaf}; exec sleep 1000'"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if all(read(f"{top}/mid/leaf/cgroup.procs") for top in tops):
                break
            time.sleep(0.02)
        tree.run("dump", "-t", str(child_of(outer.pid)))
        outer.wait()
        for top in tops:
            remove_all(top)
        tree.run("restore", "-d", "--pidfile", pidfile)
        now = look()
        os.kill(int(read(pidfile)), signal.SIGKILL)
        must(now == before, f"were {before}\n    are {now}")
        for top in tops:
            remove_all(f"{top}/empty")
        tree.run("restore", "-d", "--pidfile", pidfile)
        made = [top for top in tops if os.path.exists(f"{top}/empty")]
        os.kill(int(read(pidfile)), signal.SIGKILL)
        must(not made, f"made in {made}")
    finally:
        outer.kill()
        outer.wait()
        for top in tops:
            remove_all(top)
        tree.images = images


def views_tell_the_root(tree):
    """a tree that lives is shown with the root of its cgroup namespace, wherever its task is"""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        _, name, own = file.readline().rstrip("\n").split(":", 2)
    point = hierarchies(True).get(name)
    if name not in tree.places or own != "/":
        raise Missing("cgroups")
    outer, leaf = f"/{NAME}-root", f"/{NAME}-root/inner/leaf"
    os.makedirs(point + leaf)
    try:
        # Where the namespace is made, where its task goes then, and what can be told of it.
        for root, place, told in (("/", "/", "root /"), ("/", leaf, "root /"),
                                  (outer, outer, f"root {outer}"), (outer, leaf, f"root {outer}"),
                                  (leaf, outer, None)):
            task = subprocess.Popen(
                ["sh", "-c", f"echo $$ >{point}{root}/cgroup.procs; exec unshare --cgroup sh -c "
                 f"'echo $$ >{point}{place}/cgroup.procs; echo; exec sleep 1000'"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            try:
                task.stdout.read(1)
                done = subprocess.run([NESTOR, "tree", str(task.pid)], text=True, check=True,
                                      stdin=subprocess.DEVNULL, capture_output=True)
                shown = next(line for line in done.stdout.splitlines()
                             if line.startswith("cgroup:"))
                must(shown.endswith(f" {told}") if told else "root" not in shown,
                     f"made in {root}, now in {place}: {shown}")
            finally:
                task.kill()
                task.communicate()
    finally:
        remove_all(point + outer)


def passed_on(directory):
    return read(f"{directory}/cgroup.subtree_control").split()


def task_in_entrance(outer, leaf):
    """A task in `leaf`, of a cgroup namespace whose root is `outer`."""
    task = subprocess.Popen(
        ["unshare", "--pid", "--fork", "setsid", "sh", "-c",
         f"echo 0 >{outer}/cgroup.procs; exec unshare --cgroup sh -c "
         f"'echo 0 >{leaf}/cgroup.procs; echo >&3; exec 3>&-; exec sleep 1000' "
         "</dev/null 3>&1 >/dev/null 2>&1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    task.stdout.read(1)
    return task


def entrances_take_a_maker(tree):
    """roots of namespaces that pass on what keeps everybody out: left, gone, made by others, taken"""
    point = hierarchies(True).get("")
    barring = [name for name in read(f"{point}/cgroup.controllers").split() if point
               and name not in ("cpu", "cpuset", "perf_event", "pids")]
    if not barring or read("/proc/self/cgroup").splitlines()[-1] != "0::/":
        raise Missing("a controller in version 2 that keeps everybody out")
    controller, was_on = barring[0], barring[0] in passed_on(point)
    outer = f"{point}/{NAME}-entrance"
    leaf, images = f"{outer}/slice/leaf", tree.images
    os.makedirs(leaf)
    tree.images = tempfile.mkdtemp(dir=tree.state)
    try:
        task = task_in_entrance(outer, leaf)
        for folder in (point, outer, f"{outer}/slice"):
            write(f"{folder}/cgroup.subtree_control", f"+{controller}")
        write(f"{leaf}/cgroup.max.depth", "7")
        tree.run("dump", "-t", str(child_of(task.pid)))
        task.communicate()

        def restored(what):
            pidfile = os.path.join(tree.state, "entered")
            tree.run("restore", "-d", "--pidfile", pidfile)
            root = int(read(pidfile))
            inside = subprocess.run(["nsenter", "-t", str(root), "-C", "cat",
                                     f"/proc/{root}/cgroup"], text=True, check=True,
                                    stdin=subprocess.DEVNULL, capture_output=True).stdout
            here = cgroups_of(root)
            os.kill(root, signal.SIGKILL)
            must("0::/slice/leaf\n" in inside, f"{what}: {inside}")
            must(f"0::/{NAME}-entrance/slice/leaf" in here, f"{what}: in {here}")
            for folder in (outer, f"{outer}/slice"):
                must(controller in passed_on(folder), f"{what}: {folder} passes nothing on")
            must(read(f"{leaf}/cgroup.max.depth") == "7", f"{what}: a limit is gone")
            while "populated 1" in read(f"{outer}/cgroup.events"):
                time.sleep(0.01)

        restored("left")
        for folder in (f"{outer}/slice", outer):
            write(f"{folder}/cgroup.subtree_control", f"-{controller}")
        write(f"{leaf}/cgroup.max.depth", "max")
        restored("left by a restore that has failed")
        remove_all(outer)
        restored("gone")
        remove_all(outer)
        os.mkdir(outer)
        restored("made by others")
        os.mkdir(f"{outer}/other")
        other = subprocess.Popen(["sleep", "1000"])
        write(f"{outer}/other/cgroup.procs", str(other.pid))
        told = tree.run("restore", "-d", status=1)
        must("[cgroup-exists]" in told and controller in passed_on(outer), f"taken: {told}")
        other.kill()
        other.wait()
    finally:
        tree.images = images
        remove_all(outer)
        if not was_on:
            write(f"{point}/cgroup.subtree_control", f"-{controller}")


TESTS = [frozen_trees, delegated_come_back, views_tell_the_root, entrances_take_a_maker]
