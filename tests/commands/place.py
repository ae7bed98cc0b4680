# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the command line share: a call of nestor, and a directory with processes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "lib"))
import tree  # noqa: E402

_chosen = [os.path.join(os.path.dirname(TESTS), "build", "nestor")]


def program():
    """The nestor that is tested."""
    return _chosen[0]


def choose(path):
    _chosen[0] = os.path.abspath(path)


class Failure(Exception):
    pass


def must(condition, text):
    if not condition:
        raise Failure(text)


class Done:
    """The outcome of one call of nestor."""

    def __init__(self, arguments, name="nestor", **options):
        for option, value in (("timeout", 60), ("stdout", subprocess.PIPE),
                              ("stderr", subprocess.PIPE)):
            options.setdefault(option, value)
        done = subprocess.run([name] + [str(word) for word in arguments], executable=program(),
                              stdin=subprocess.DEVNULL, text=True, check=False, **options)
        self.line = "nestor " + " ".join(str(word) for word in arguments)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def ok(self):
        must(self.status == 0, f"{self.line}: status {self.status}\n{self.err}")
        return self

    def fails(self, name, status=1):
        must(self.status == status, f"{self.line}: status {self.status}, not {status}\n{self.err}")
        must(f"error [{name}]:" in self.err, f"{self.line}: not [{name}] but\n{self.err}")
        return self


def nestor(*arguments, **options):
    return Done(arguments, **options)


class Place:
    """A directory, and processes that are ended at the end."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="nestor-commands-")
        self.images = os.path.join(self.path, "images")
        os.mkdir(self.images)
        self.roots = []

    def file(self, name):
        return os.path.join(self.path, name)

    def start(self, script="while :; do sleep 0.02; done", shell="sh"):
        """A process that leads a session; its pid."""
        process = subprocess.Popen(
            [shell, "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=self.path, start_new_session=True)
        self.roots.append(process.pid)
        time.sleep(0.1)
        return process.pid

    def sleeper(self):
        """The simplest tree: one task, that sleeps."""
        return self.start("exec sleep 1000")

    def sleeper_of(self, uid):
        """The same of another user."""
        process = subprocess.Popen(
            ["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/", start_new_session=True, user=uid, group=uid,
            extra_groups=[])
        self.roots.append(process.pid)
        return process.pid

    def dump(self, pid, *options):
        """Dumps a tree and sees that it is gone; its orphans are ours to reap."""
        pids = tree.processes(pid)
        nestor("dump", "-t", pid, "-D", self.images, *options).ok()
        must(all(tree.reap(task, 5) for task in pids), "the tree is still there")
        return pid

    def dumped(self, *options):
        return self.dump(self.sleeper(), *options)

    def restored(self, *options, **how):
        nestor("restore", "-D", self.images, "-d", "--pidfile", self.file("pid"), *options,
               **how).ok()
        with open(self.file("pid"), encoding="ascii") as file:
            pid = int(file.read())
        self.roots.append(pid)
        return pid

    def done(self):
        for pid in self.roots:
            if tree.exists(pid):
                tree.kill_tree(pid)
            tree.reap(pid, 1)
        shutil.rmtree(self.path, ignore_errors=True)


def read_varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 0x7f) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return number, at


ORDINARY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def take(place, pid):
    """A process with this pid; others may be quicker. They are to count on where they were."""
    last_pid = "/proc/sys/kernel/ns_last_pid"
    for _ in range(100):
        with open(last_pid, encoding="ascii") as file:
            before = file.read()
        with open(last_pid, "w", encoding="ascii") as file:
            file.write(str(pid - 1))
        process = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        with open(last_pid, "w", encoding="ascii") as file:
            file.write(before)
        if process.pid == pid:
            place.roots.append(pid)
            # A moment after its exec it still has the old name.
            tree.wait_for(lambda: tree.status_of(pid).get("Name") == "sleep", 20)
            return
        # What it has got instead may be one that has to be free.
        process.kill()
        process.wait()
    raise Failure(f"could not take pid {pid}")


def levels(pid):
    return [int(word) for word in tree.status_of(pid).get("NSpid", "").split()]


def parent(pid):
    return int(tree.status_of(pid)["PPid"])
