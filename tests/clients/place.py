# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where clients work, and how their containers are talked to."""

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "lib"))
import tree  # noqa: E402

TOP = os.path.dirname(TESTS)
LIMIT = 20
BUSYBOX = "/bin/busybox"


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def must(condition, text):
    if not condition:
        raise Failure(text)


def wants(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"program:{os.path.basename(program)}")


def needs_mounted_hierarchies():
    """Where one of cgroups v1 is mounted nowhere, crun 1.x ends every process that it may (kill -1)."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        names = {name for line in file for name in line.split(":", 2)[1].split(",") if name}
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for _, _, kind, options, *_ in map(str.split, file):
            if kind == "cgroup":
                names -= set(options.split(","))
    if names:
        raise Skip(f"hierarchy:{min(names)}")


def tail(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-6:])
    except OSError as error:
        return f"{path}: {error.strerror}\n"


class Place:
    """A directory with a root file system, a folder for PATH, and clients' commands."""

    nestor = os.path.join(TOP, "build", "nestor")
    peer = os.path.join(TOP, "build", "criu", "criu")

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="nestor-clients-")
        os.chmod(self.path, 0o755)
        self.name = os.path.basename(self.path)
        os.mkdir(self.file("bin"))
        self.use(self.nestor)
        self.images, self.work = self.file("images"), self.file("work")
        self.at_end, self.fds = [], []
        self.environment = dict(os.environ, PATH=f"{self.file('bin')}:/usr/local/sbin:/usr/sbin:"
                                f"/usr/local/bin:/usr/bin:/sbin:/bin", LC_ALL="C")

    def file(self, name):
        return os.path.join(self.path, name)

    def use(self, criu):
        """What clients find as criu."""
        if not os.path.exists(criu):
            raise Skip("criu")
        if os.path.lexists(self.file("bin/criu")):
            os.unlink(self.file("bin/criu"))
        os.symlink(criu, self.file("bin/criu"))

    def rootfs(self, path, init=None):
        for folder in ("bin", "proc", "sys", "dev", "tmp", "etc", "data"):
            os.makedirs(os.path.join(path, folder))
        shutil.copy(BUSYBOX, os.path.join(path, "bin"))
        for applet in ("sh", "sleep", "echo", "cat", "ls", "nc", "unshare", "kill"):
            os.symlink("busybox", os.path.join(path, "bin", applet))
        if init:
            with open(os.path.join(path, "init"), "w", encoding="ascii") as file:
                file.write(f"#!/bin/sh\n{init}\n")
            os.chmod(os.path.join(path, "init"), 0o755)
        return path

    def call(self, *words, stdin=subprocess.DEVNULL, stdout=None, logs=()):
        """A client's command, which has to succeed; its output. With `stdout`: no output."""
        # Into a file: what it starts in the background may have it, too.
        with open(self.file("output"), "w+b") as output:
            try:
                done = subprocess.run([str(word) for word in words], stdin=stdin, check=False,
                                      stdout=stdout or output, timeout=60, cwd=self.path,
                                      stderr=subprocess.DEVNULL if stdout else output,
                                      env=self.environment)
            except subprocess.TimeoutExpired:
                raise Failure(f"{' '.join(map(str, words))}: no end") from None
            output.seek(0)
            out = output.read().decode(errors="replace")
        must(done.returncode == 0, f"{' '.join(map(str, words))}: status {done.returncode}\n{out}"
             + "".join(tail(log) for log in logs))
        return out

    def background(self, *words):
        """A program that outlives this one by nothing; its pid."""
        process = subprocess.Popen(words, cwd=self.path, env=self.environment,
                                   start_new_session=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.at_end.append(["kill", "-9", str(process.pid)])
        return process.pid

    def pipe(self):
        pipe = os.pipe()
        self.fds += pipe
        return pipe

    def done(self):
        for command in self.at_end:
            try:
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False, timeout=30,
                               env=self.environment)
            except (OSError, subprocess.TimeoutExpired):
                pass
        for fd in self.fds:
            try:
                os.close(fd)
            except OSError:
                pass
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split()[4] for line in file]
        for mount in reversed([mount for mount in mounts if mount.startswith(self.path)]):
            subprocess.run(["umount", "-l", mount], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.path, ignore_errors=True)
        tree.remove_cgroups(self.name)


class Talk:
    """The pipes to a program that answers lines."""

    def __init__(self, place):
        self.place = place
        self.stdin, self.to = place.pipe()
        self.come, self.stdout = place.pipe()

    def ask(self, text, why, answer="got {}"):
        os.write(self.to, text.encode() + b"\n")
        wanted, got = answer.format(text).encode() + b"\n", b""
        while len(got) < len(wanted):
            must(select.select([self.come], [], [], LIMIT)[0], f"{why}: no answer but {got!r}")
            more = os.read(self.come, 100)
            must(more, f"{why}: the end after {got!r}")
            got += more
        must(got == wanted, f"{why}: {got!r}")

    def close_theirs(self):
        for fd in (self.stdin, self.stdout):
            os.close(fd)


class Console:
    """The master of the terminal of a program that answers lines."""

    def __init__(self, fd):
        self.fd = fd

    def ask(self, text, why):
        os.write(self.fd, text.encode() + b"\n")
        got, wanted = b"", f"got {text}\r\n".encode()
        while wanted not in got:
            must(select.select([self.fd], [], [], LIMIT)[0], f"{why}: no answer but {got!r}")
            try:
                got += os.read(self.fd, 1000)
            except OSError as error:
                raise Failure(f"{why}: {error}, after {got!r}") from None

    def size(self):
        return tuple(os.get_terminal_size(self.fd))


ANSWER = "while read line; do echo got $line; done"


def counter(path):
    return f"i=0; while :; do i=$((i+1)); echo $i >{path}.new; cat {path}.new >{path}; sleep 0.02; done"


def count_of(path):
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read() or -1)
    except (OSError, ValueError):
        return -1


def must_count(path, why):
    before = count_of(path)
    must(tree.wait_for(lambda: count_of(path) > max(before, 0), LIMIT),
         f"{why}: it stays at {before}")
    must(before < 0 or count_of(path) < before + 10_000, f"{why}: it began anew")


def must_stand(path):
    before = count_of(path)
    time.sleep(0.1)
    must(count_of(path) == before, "it goes on")
