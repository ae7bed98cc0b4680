# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests share: a directory with images, trees that are ended, what is read from them."""

import os
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "lib"))
import tree  # noqa: E402

LIMIT = 20
_chosen = [os.path.join(os.path.dirname(TESTS), "build", "nestor")]


def nestor_program():
    """The nestor that is tested."""
    return _chosen[0]


def choose(path):
    _chosen[0] = os.path.abspath(path)


class Missing(Exception):
    """A facility that a test needs, by the name that tests/allowed-skips has."""


class Failure(Exception):
    pass


def must(condition, text):
    if not condition:
        raise Failure(text)


def program_of(pid):
    """Its words but the last, as far as it has begun; a script may name what it will be."""
    return " ".join(tree.read(pid, "cmdline").split("\0")[:-2])


class Place:
    """A directory of images, and trees that are ended at the end."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="nestor-outside-")
        self.images = os.path.join(self.path, "images")
        os.mkdir(self.images)
        self.roots, self.fds, self.sockets, self.mounts, self.loops = [], [], [], [], []

    def file(self, name):
        return os.path.join(self.path, name)

    def keep(self, *fds):
        """Descriptors that are closed at the end."""
        self.fds += fds
        return fds

    def start(self, command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options):
        pid = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL,
                               cwd="/", start_new_session=True, **options).pid
        self.roots.append(pid)
        return pid

    def nestor(self, *words, program="nestor", pass_fds=()):
        done = subprocess.run([program, *(str(word) for word in words)],
                              executable=nestor_program(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=60,
                              pass_fds=pass_fds)
        return done.returncode, done.stderr

    def refused(self, pid, *options):
        """The error of a dump that is refused, and the options that it proposes."""
        status, told = self.nestor("dump", "-t", pid, "-D", self.images, *options)
        must(status == 1 and "error [" in told, f"not refused: {status}\n{told}")
        must(tree.is_alive(pid), "the refused tree does not run")
        found = re.findall(r"--[a-z-]+(?: '?[a-z]+\[[^]]*\]'?)?", told)
        return told, [word for option in found for word in shlex.split(option)]

    def dump(self, pid, *options, **how):
        tasks = tree.processes(pid)
        status, told = self.nestor("dump", "-t", pid, "-D", self.images, *options, **how)
        must(status == 0, f"not dumped:\n{told}")
        must(all(tree.reap(task, 5) for task in tasks), "the tree is still there")
        # And those that it had left before.
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def restore(self, *options, give=None, **how):
        """`give`: {key: descriptor} for --inherit-fd."""
        return self.restore_telling(*options, give=give, **how)[1]

    def restore_telling(self, *options, give=None, **how):
        """(what it tells, the pid)"""
        give = give or {}
        inherit = [word for key, fd in give.items() for word in ("--inherit-fd", f"fd[{fd}]:{key}")]
        status, told = self.nestor("restore", "-d", "-D", self.images, "--pidfile",
                                   self.file("pid"), *inherit, *options,
                                   pass_fds=tuple(give.values()), **how)
        must(status == 0, f"not restored:\n{told}")
        with open(self.file("pid"), encoding="ascii") as file:
            pid = int(file.read())
        self.roots.append(pid)
        return told, pid

    def done(self):
        for pid in self.roots:
            if tree.exists(pid):
                tree.kill_tree(pid)
            tree.reap(pid, 1)
        for mount in reversed(self.mounts):
            subprocess.run(["umount", "-l", mount], stderr=subprocess.DEVNULL, check=False)
        for loop in self.loops:
            subprocess.run(["losetup", "-d", loop], stderr=subprocess.DEVNULL, check=False)
        for own in self.sockets:
            own.close()
        for fd in self.fds:
            try:
                os.close(fd)
            except OSError:
                pass
        shutil.rmtree(self.path, ignore_errors=True)


def inode(fd):
    return os.fstat(fd if isinstance(fd, int) else fd.fileno()).st_ino


def expect(fd, text, why):
    """The next that can be read is this."""
    got = b""
    while len(got) < len(text):
        ready, _, _ = select.select([fd], [], [], LIMIT)
        must(ready, f"{why}: nothing comes after {got!r}")
        more = os.read(fd, len(text) - len(got))
        must(more, f"{why}: the end comes after {got!r}")
        got += more
    must(got == text, f"{why}: {got!r}")
