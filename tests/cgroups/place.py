# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tree whose cgroups go, the hierarchies that there are, and who cleans up."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NESTOR = os.environ.get("NESTOR", os.path.join(TOP, "build", "nestor"))
# In a pid namespace of its own it has the pid of others.
NAME = f"nestor-cgroups-{os.getpid()}-{os.urandom(3).hex()}"
SETTLED = ("cpuset",)  # of v1: takes nobody before it has processors


# Of the outer cgroup, and of the one in which nobody is; what others might have set meanwhile. The
# last hierarchy is v2, where these are there without any controller.
PROPERTIES = (("pids", "pids.max", "77"), ("cpu", "empty/cpu.shares", "333"),
              ("memory", "memory.limit_in_bytes", "1073741824"),
              ("", "cgroup.max.descendants", "33"), ("", "empty/cgroup.max.depth", "5"))
OTHERS = (("pids", "pids.max", "99"), ("cpu", "empty/cpu.shares", "444"),
          ("memory", "memory.limit_in_bytes", "536870912"),
          ("", "cgroup.max.descendants", "44"), ("", "empty/cgroup.max.depth", "6"))


class Failure(Exception):
    pass


class Missing(Exception):
    """What a test needs, and is not here."""


def must(holds, text):
    if not holds:
        raise Failure(text)


def hierarchies(mounts=False):
    """(name in /proc/PID/cgroup, directory) of those that this process could move in."""
    own = {}
    for line in open("/proc/self/cgroup", encoding="ascii"):
        _, name, path = line.rstrip("\n").split(":", 2)
        own[name] = path
    found = {}
    for line in open("/proc/self/mountinfo", encoding="utf-8"):
        fields, _, rest = line.partition(" - ")
        root, point = fields.split()[3:5]
        kind, _, options = rest.split()[:3]
        for name in own:
            matches = kind == "cgroup2" if not name else kind == "cgroup" and set(
                name.split(",")) <= set(options.split(","))
            if root == "/" and matches and name not in SETTLED:
                found[name] = point if mounts else point + own[name]
    return found


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def cgroups_of(pid):
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
        return file.read()


def child_of(pid):
    """Its first child, which may take a moment to be there."""
    for _ in range(500):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
        if children:
            return int(children[0])
        time.sleep(0.01)
    raise Failure(f"pid {pid} has no child")


def remove_all(top):
    """Every cgroup below one, once nobody is in it any more."""
    for folder, _, _ in os.walk(top, topdown=False):
        for _ in range(200):
            try:
                os.rmdir(folder)
                break
            except OSError:
                time.sleep(0.01)


def end_all():
    """Ends whoever is in a cgroup of ours, and removes them: a test that failed may have left some."""
    for point in set(hierarchies().values()) | set(hierarchies(mounts=True).values()):
        for name in os.listdir(point):
            if not name.startswith(NAME):
                continue
            for folder, _, files in os.walk(os.path.join(point, name), topdown=False):
                for file, thawed in (("cgroup.freeze", "0"), ("freezer.state", "THAWED")):
                    if file in files:
                        with contextlib.suppress(OSError):
                            write(os.path.join(folder, file), thawed)
                with contextlib.suppress(OSError, ProcessLookupError):
                    for pid in read(os.path.join(folder, "cgroup.procs")).split():
                        os.kill(int(pid), signal.SIGKILL)
            remove_all(os.path.join(point, name))


class Tree:
    def __init__(self):
        self.state = tempfile.mkdtemp(prefix="nestor-cgroups.")
        self.images = os.path.join(self.state, "images")
        os.mkdir(self.images)
        self.places = {}
        for name, folder in hierarchies().items():
            try:
                os.makedirs(f"{folder}/{NAME}/inner")
                self.places[name] = f"{folder}/{NAME}"
            except OSError:
                pass
        must(self.places, "no hierarchy of cgroups can be used")
        outer = subprocess.Popen(
            ["unshare", "--pid", "--fork", "setsid", "sh", "-c", "sleep 1000 & exec sleep 1000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        root = child_of(outer.pid)
        child_of(root)
        for place in self.places.values():
            write(f"{place}/inner/cgroup.procs", str(child_of(root)))
            write(f"{place}/cgroup.procs", str(root))
            os.mkdir(f"{place}/empty")
        self.set(PROPERTIES)
        self.before = (cgroups_of(root), cgroups_of(child_of(root)))
        self.run("dump", "-t", str(root))
        outer.wait()
        self.remove()

    def run(self, command, *options, status=0, program=NESTOR, **environment):
        for _ in range(100):
            done = subprocess.run([program, command, "-D", self.images, *options], text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True,
                                  env={**os.environ, **environment})
            # What a killed dump has left to put things back may take a moment.
            if "[busy]" not in done.stderr:
                break
            time.sleep(0.05)
        must((done.returncode == 0) == (status == 0), f"{command} {options}: {done.stderr}")
        return done.stderr

    def set(self, properties):
        """Writes those whose hierarchy is there; the wanted ones are what is shown then."""
        for hierarchy, name, value in properties:
            if hierarchy in self.places:
                write(f"{self.places[hierarchy]}/{name}", value)

    def differing(self, properties):
        return [(name, shown) for hierarchy, name, value in properties if hierarchy in self.places
                for shown in [read(f"{self.places[hierarchy]}/{name}")] if shown != value]

    def remove(self):
        for place in self.places.values():
            for path in (f"{place}/inner", f"{place}/empty", place):
                for _ in range(200):
                    try:
                        os.rmdir(path)
                    except FileNotFoundError:
                        break
                    except OSError:
                        time.sleep(0.01)

    def left(self):
        return [place for place in self.places.values() if os.path.exists(place)]

    def restore(self, *options):
        """Restores, looks and ends the tree."""
        pidfile = os.path.join(self.state, "pid")
        self.run("restore", "-d", "--pidfile", pidfile, *options)
        root = int(open(pidfile, encoding="ascii").read())
        now = (cgroups_of(root), cgroups_of(child_of(root)))
        os.kill(root, signal.SIGKILL)
        return now

    def done(self):
        self.remove()
        shutil.rmtree(self.state, ignore_errors=True)
