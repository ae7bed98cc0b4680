# SPDX-License-Identifier: LGPL-2.1-or-later
"""What each mode does about cgroups that are gone, and what a failure leaves: nothing."""

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time

from place import (NAME, NESTOR, OTHERS, PROPERTIES, Missing, cgroups_of, child_of, hierarchies,
                   must, read, remove_all, write)


def soft_makes_them(tree):
    """soft, the default, makes cgroups that are gone, and takes those that are there"""
    for _ in range(2):
        must(tree.restore() == tree.before, "tasks are in other cgroups")
        must(len(tree.left()) == len(tree.places), "cgroups are not there")


def none_refuses(tree):
    """none refuses what is gone by name, and makes nothing"""
    tree.remove()
    must("cgroup-missing" in tree.run("restore", "-d", "--manage-cgroups=none", status=1), "name")
    must(not tree.left(), f"left: {tree.left()}")


def strict_refuses(tree):
    """strict refuses what is there, and makes what is gone"""
    must(tree.restore("--manage-cgroups=strict") == tree.before, "tasks are in other cgroups")
    must("cgroup-exists" in tree.run("restore", "-d", "--manage-cgroups=strict", status=1), "name")
    must(len(tree.left()) == len(tree.places), "cgroups of others were removed")


def ignore_stays(tree):
    """ignore leaves the tree where the restore is"""
    tree.remove()
    must(tree.restore("--manage-cgroups=ignore") == (cgroups_of("self"),) * 2, "it was moved")
    must(not tree.left(), f"left: {tree.left()}")


def properties_come_back(tree):
    """soft sets properties of what it makes only, full of all, props of what has to be there"""
    if not any(hierarchy in tree.places for hierarchy, _, _ in PROPERTIES):
        raise Missing("cgroups-with-properties")
    tree.remove()
    must("cgroup-missing" in tree.run("restore", "-d", "--manage-cgroups=props", status=1), "name")
    tree.restore()
    must(not tree.differing(PROPERTIES), f"soft, made: {tree.differing(PROPERTIES)}")
    for mode, wanted in (("soft", OTHERS), ("none", OTHERS), ("props", PROPERTIES),
                         ("full", PROPERTIES)):
        tree.set(OTHERS)
        must(tree.restore(f"--manage-cgroups={mode}") == tree.before, "tasks are elsewhere")
        must(not tree.differing(wanted), f"{mode}: {tree.differing(wanted)}")


def apart_come_back(tree):
    """Each task's cgroup has its properties again, also one that is beside the root's"""
    there = next(((hierarchy, os.path.basename(name), value)
                  for hierarchy, name, value in PROPERTIES if hierarchy in tree.places), None)
    if not there:
        raise Missing("cgroups-with-properties")
    hierarchy, name, value = there
    apart = tree.places[hierarchy] + "-apart"
    tree.remove()
    images, pidfile = tree.images, os.path.join(tree.state, "pid")
    tree.run("restore", "-d", "--pidfile", pidfile)
    root = int(read(pidfile))
    os.mkdir(apart)
    write(f"{apart}/{name}", value)
    write(f"{apart}/cgroup.procs", str(child_of(root)))
    tree.images = tempfile.mkdtemp(dir=tree.state)
    tree.run("dump", "-t", str(root))
    remove_all(apart)
    tree.remove()
    tree.restore()
    shown = read(f"{apart}/{name}")
    remove_all(apart)
    tree.images = images
    must(shown == value, f"{name} is {shown}")


def kept_after(tree, *options):
    """The properties that come back after a dump with these options."""
    images, pidfile = tree.images, os.path.join(tree.state, "pid")
    tree.remove()
    tree.run("restore", "-d", "--pidfile", pidfile)
    root = int(read(pidfile))
    tree.set(PROPERTIES)
    tree.images = tempfile.mkdtemp(dir=tree.state)
    said = tree.run("dump", "-t", str(root), "--cgroup-dump-controller", "cpv", status=1)
    must("[usage]" in said and "cpv" in said, f"a controller that is none: {said}")
    tree.run("dump", "-t", str(root), *options)
    tree.remove()
    tree.restore()
    lost = {name for name, _ in tree.differing(PROPERTIES)}
    tree.images = images
    return {name for hierarchy, name, _ in PROPERTIES if hierarchy in tree.places} - lost


def chosen_properties(tree):
    """--cgroup-dump-controller, --cgroup-props, its file and its defaults choose properties"""
    must("usage" in tree.run("restore", "-d", "--cgroup-props", "cpu: what", status=1), "form")
    there = [(hierarchy, name) for hierarchy, name, _ in PROPERTIES if hierarchy in tree.places]
    if not there or not there[0][0]:
        raise Missing("cgroups-v1")
    for hierarchy, name in there:
        others = {other for _, other in there if other != name}
        prefix = f'"{hierarchy}":\n - "strategy": "replace"\n - "properties": '
        own = os.path.basename(name)
        must(kept_after(tree, "--cgroup-dump-controller", hierarchy) == {name}, "controller")
        must(kept_after(tree, "--cgroup-props", f"{prefix}[]") == others, "replaced by nothing")
        with open(os.path.join(tree.state, "props"), "w", encoding="ascii") as file:
            file.write(f'{prefix}["{own}"]\n')
        must(kept_after(tree, "--cgroup-props-file", file.name) == others | {name}, "file")
        must(kept_after(tree, "--cgroup-props", f'{prefix}["{own}"]',
                        "--cgroup-props-ignore-default") == {name}, "without the usual ones")
        break


def opened_are_made(tree):
    """A cgroup that a task has open, or a file of it, is made again before it is opened"""
    top = os.path.normpath(f"{sorted(tree.places.values())[0]}-opened")
    procs, nobody = f"{top}/own/cgroup.procs", f"{top}/nobody"
    images, tree.images = tree.images, tempfile.mkdtemp(dir=tree.state)
    pidfile = os.path.join(tree.state, "pid")
    os.makedirs(f"{top}/own")
    os.makedirs(nobody)
    outer = subprocess.Popen(
        ["unshare", "--pid", "--fork", "setsid", "sh", "-c",
         f"echo $$ >{procs}; exec sleep 1000 3<{top} 4<{procs} 5<{nobody}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def held(pid):
        return {os.path.basename(fd): os.readlink(fd)
                for fd in (f"/proc/{pid}/fd/{number}" for number in (3, 4, 5))
                if os.path.lexists(fd)}
    try:
        root, wanted = child_of(outer.pid), {"3": top, "4": procs, "5": nobody}
        for _ in range(200):
            if held(root) == wanted:
                break
            time.sleep(0.02)
        must(held(root) == wanted, f"it has {held(root)} open")
        tree.run("dump", "-t", str(root))
        outer.wait()
        remove_all(top)
        must("file-missing" in tree.run("restore", "-d", "--manage-cgroups=none", status=1),
             "what is not made is not missed")
        must(not os.path.exists(top), "a cgroup was left behind")
        tree.run("restore", "-d", "--pidfile", pidfile)
        now = held(int(read(pidfile)))
        os.kill(int(read(pidfile)), signal.SIGKILL)
        must(now == wanted, f"holds {now}")
    finally:
        outer.kill()
        outer.wait()
        remove_all(top)
        tree.images = images


def yards_are_used(tree):
    """--cgroup-yard says where the hierarchies are; what is not there is missed by name"""
    yard = os.path.join(tree.state, "yard")
    os.mkdir(yard)
    tree.remove()
    must("cgroup-missing" in tree.run("restore", "-d", "--cgroup-yard", yard, status=1), "name")
    must(not tree.left(), f"left: {tree.left()}")
    for name, point in hierarchies(mounts=True).items():
        # Controllers in any order, which is how yards are found.
        own = ",".join(reversed(name.removeprefix("name=").split(","))) or "unified"
        os.symlink(point, os.path.join(yard, own))
    must(tree.restore("--cgroup-yard", yard) == tree.before, "tasks are in other cgroups")
    # From the directory of images.
    tree.remove()
    must(tree.restore("--cgroup-yard", "../yard") == tree.before, "another yard was taken")
    # With a name that nobody would look at, a hierarchy is not there.
    name = sorted(tree.places)[-1].removeprefix("name=") or "unified"
    os.rename(os.path.join(yard, ",".join(reversed(name.split(",")))), os.path.join(yard, "elsewhere"))
    tree.remove()
    told = tree.run("restore", "-d", "--cgroup-yard", yard, status=1)
    must("cgroup-missing" in told, told)


def options_of_v2(options=None):
    """Those of the system; with some given, which take the place of all."""
    if options is not None:
        point = tempfile.mkdtemp(prefix="nestor-cgroups.")
        try:
            subprocess.run(["mount", "-t", "cgroup2", "-o", options or "rw", "none", point],
                           check=True)
            subprocess.run(["umount", point], check=True)
        finally:
            os.rmdir(point)
    for line in open("/proc/self/mountinfo", encoding="utf-8"):
        kind, _, shown = line.rstrip("\n").partition(" - ")[2].split()
        if kind == "cgroup2":
            return set(shown.split(",")) - {"rw", "ro"}
    return None


def options_stay(tree):
    """What cgroups of version 2 are mounted with is the system's: no dump or restore changes it."""
    before = options_of_v2()
    if before is None or os.readlink("/proc/self/ns/cgroup") != "cgroup:[4026531835]":
        raise Missing("cgroups of version 2, and the first cgroup namespace")
    for options in ({"nsdelegate"}, {"nsdelegate", "memory_recursiveprot"}):
        try:
            must(options_of_v2(",".join(options)) == options, f"{options} are not set")
            kept_after(tree)
            must(options_of_v2() == options, f"they are {options_of_v2()}, no longer {options}")
        finally:
            options_of_v2(",".join(before))


def roots_are_moved(tree):
    """--cgroup-root puts what was below the root below another one, for one hierarchy or all"""
    tree.remove()
    names = list(tree.places)
    first = names[0].split(",")[0]
    own = ["--cgroup-root", f"{first}:/{NAME}/moved/one"] if first else []
    now = tree.restore("--cgroup-root", f"/{NAME}/moved/all", *own)
    tree.remove()
    for before, after in zip(tree.before, now):
        for line, moved in zip(before.splitlines(), after.splitlines()):
            name, path = line.split(":", 2)[1:]
            way = "one" if own and name == names[0] else "all"
            if name in tree.places and f"/{NAME}" in path:
                wanted = f"/{NAME}/moved/{way}" + path.split(NAME, 1)[1]
                must(moved.split(":", 2)[2] == wanted, f"{moved}, not {wanted}")
    for name, place in tree.places.items():
        remove_all(f"{hierarchies(mounts=True)[name]}/{NAME}")
    for root in ("moved", "memory:moved", "/moved/../out", "memory:/../out"):
        told = tree.run("restore", "-d", "--cgroup-root", root, status=2)
        must("[usage]" in told and root in told, told)


def outside_is_refused(tree):
    """a tree that is not below the root that nestor sees is refused by name, and goes on"""
    tree.remove()
    pidfile = os.path.join(tree.state, "pid")
    tree.run("restore", "-d", "--pidfile", pidfile)
    root = int(read(pidfile))
    images, before = tree.images, cgroups_of(root)
    tree.images = tempfile.mkdtemp(dir=tree.state)
    for place in tree.places.values():
        # There is the root that it sees.
        program = os.path.join(tree.state, "below")
        with open(program, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\necho $$ >{place}/empty/cgroup.procs && "
                       f'exec unshare --cgroup {NESTOR} "$@"\n')
        os.chmod(program, 0o755)
        told = tree.run("dump", "-t", str(root), status=1, program=program)
        must("cgroup-outside" in told, told)
        must(cgroups_of(root) == before, "it is elsewhere")
    tree.images = images
    os.kill(root, signal.SIGKILL)
    tree.remove()


def failure_leaves_nothing(tree):
    """A restore that fails leaves no cgroup, whichever action it is"""
    for number in range(1000):
        told = subprocess.run([NESTOR, "restore", "-d", "-D", tree.images], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              env={**os.environ, "NESTOR_FAULT": f"done:{number}"})
        if told.returncode == 0:
            must(number > 10, "nothing was made to fail")
            break
        must("was made to fail" in told.stderr, told.stderr)
        must(not tree.left(), f"action {number} leaves {tree.left()}")
    for place in tree.places.values():
        for pid in open(f"{place}/cgroup.procs", encoding="ascii").read().split():
            os.kill(int(pid), signal.SIGKILL)
    tree.remove()


def kill_leaves_nothing(tree):
    """A restore that is killed leaves no cgroup"""
    start = time.monotonic()
    tree.restore()
    took = time.monotonic() - start
    tree.remove()
    killed = 0
    for _ in range(40):
        restore = subprocess.Popen([NESTOR, "restore", "-D", tree.images], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, took))
        restore.kill()
        restore.wait()
        # Killed late, the tree is whole: then its cgroups are its own.
        time.sleep(0.2)
        for _ in range(100):
            pids = [pid for place in tree.left()
                    for pid in open(f"{place}/cgroup.procs", encoding="ascii").read().split()]
            if not tree.left() or pids:
                break
            time.sleep(0.05)
        killed += not tree.left()
        must(not tree.left() or pids, f"left: {tree.left()}")
        for pid in set(pids):  # each is in one cgroup of each hierarchy
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        tree.remove()
    must(killed, "none was killed in time")


TESTS = [soft_makes_them, none_refuses, strict_refuses, ignore_stays, properties_come_back,
         apart_come_back, chosen_properties, options_stay, opened_are_made, yards_are_used,
         roots_are_moved]
FAILURES = [outside_is_refused, failure_leaves_nothing, kill_leaves_nothing]
