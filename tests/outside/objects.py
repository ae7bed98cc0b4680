# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pid namespaces, files, queues and keyrings, and words that name nothing."""

import ctypes
import os
import signal
import subprocess
import sys

from place import Missing, must, nestor_program, tree


def pid_namespace_shared(place):
    """A tree in the pid namespace of others goes and comes back inside of it, as the refusal says"""
    pause = place.start(["unshare", "--pid", "--fork", "--kill-child", "sleep", "1000"])
    must(tree.wait_for(lambda: tree.children_of(pause), 5), "it does not begin")
    enter = ["nsenter", "-t", str(tree.children_of(pause)[0]), "--pid"]
    outer = place.start([*enter, "setsid", "sleep", "1001"])
    must(tree.wait_for(lambda: [pid for pid in tree.children_of(outer)
                                if tree.read(pid, "comm") == "sleep\n"], 5), "nobody enters")
    member = tree.children_of(outer)[0]
    shared = os.stat(f"/proc/{member}/ns/pid").st_ino
    numbers = tree.status_of(member)["NSpid"].split()

    def nestor(*words):
        return subprocess.run([*enter, "unshare", "--mount-proc", nestor_program(), *words,
                               "-D", place.images], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, check=False, timeout=60)
    status, told = place.nestor("dump", "-t", member, "-D", place.images, "--external",
                                f"pid[{shared}]:pod")
    must(status == 2 and "[usage]" in told and "nsenter --pid" in told, told)
    must(tree.is_alive(member), "the refused tree does not run")
    done = nestor("dump", "-t", numbers[-1])
    must(done.returncode == 0, f"not dumped: {done.stderr}")
    must(tree.reap(outer, 5), "the tree is still there")
    done = nestor("restore", "-d")
    must(done.returncode == 0, f"not restored: {done.stderr}")
    found = [pid for pid in tree.processes(pause)
             if tree.status_of(pid)["NSpid"].split()[-1] == numbers[-1]]
    must(len(found) == 1 and tree.read(found[0], "cmdline") == "sleep\0001001\0",
         f"it has not come back as {numbers[-1]}")
    must(os.stat(f"/proc/{found[0]}/ns/pid").st_ino == shared, "it is in another namespace")


def files_given(place):
    """A device that is named as somebody else's is given again; a file may be, by its path"""
    with open(place.file("old"), "wb", 0) as old:
        device, = place.keep(os.open("/dev/cpu_dma_latency", os.O_RDONLY))
        pid = place.start(["sh", "-c", "trap 'read line; echo $line; exec sleep 1000' USR1; "
                           "sleep 1000 & while :; do wait; done"], stdin=device, stdout=old)
        must(tree.wait_for(lambda: tree.children_of(pid), 5), "it does not begin")
    told, options = place.refused(pid)
    must(options[0] == "--external" and "/dev/cpu_dma_latency" in told, told)
    place.dump(pid, *options)
    key = options[1]
    status, told = place.nestor("restore", "-d", "-D", place.images)
    must(status == 1 and "[not-given]" in told and f"--inherit-fd fd[N]:{key}" in told, told)
    read_end, write_end = place.keep(*os.pipe())
    with open(place.file("new"), "wb", 0) as new:
        for wrong in ({key: write_end}, {key: read_end, place.file("old"): read_end}):
            words = [word for given, fd in wrong.items()
                     for word in ("--inherit-fd", f"fd[{fd}]:{given}")]
            status, told = place.nestor("restore", "-d", "-D", place.images, *words,
                                        pass_fds=tuple(wrong.values()))
            must(status == 2 and "[usage]" in told, told)
        pid = place.restore(give={key: read_end, place.file("old"): new.fileno()})
    os.kill(pid, signal.SIGUSR1)
    os.write(write_end, b"new\n")

    def content():
        with open(place.file("new"), "rb") as new:
            return new.read()
    must(tree.wait_for(lambda: content() == b"new\n", 5), "not written to the new file")
    must(os.path.getsize(place.file("old")) == 0, "written to the old file")


def queue_gone(place):
    """A POSIX message queue with a name is not made again: it has to be there"""
    name = f"/{os.path.basename(place.path)}".encode()
    pid = place.start([sys.executable, "-ISc", "import ctypes, os, sys, time; "
                       "fd = ctypes.CDLL(None).mq_open(os.fsencode(sys.argv[1]), "
                       f"{os.O_CREAT | os.O_EXCL | os.O_RDWR}, 0o600, None); "
                       "open(sys.argv[2], 'w').write(str(fd)); time.sleep(1000)",
                       name, place.file("ready")])
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        must(tree.wait_for(lambda: os.path.exists(place.file("ready"))
                           and os.stat(place.file("ready")).st_size, 5), "no queue")
        place.dump(pid)
        must(libc.mq_unlink(name) == 0, "the queue is not there after the dump")
        status, told = place.nestor("restore", "-d", "-D", place.images)
        must(status == 1 and "[file-missing]" in told and name.decode()[1:] in told,
             f"{status} {told}")
    finally:
        libc.mq_unlink(name)


def keyrings_left_out(place):
    """By the name of criu a keyring that does not come back is left out, which the log tells"""
    pid = place.start([sys.executable, "-ISc", "import ctypes, os, sys, time; "
                       "l = ctypes.CDLL(None); l.syscall(250, 1, None); "  # a session keyring
                       "l.syscall(248, b'logon', b'k:k', b'secret', 6, -3); "  # never read
                       "os.mkdir(sys.argv[1]); time.sleep(1000)", place.file("ready")])
    must(tree.wait_for(lambda: os.path.exists(place.file("ready")), 5), "it does not begin")
    status, told = place.nestor("dump", "-R", "-t", pid, "-D", place.images)
    if status == 0:
        raise Missing("keyrings")
    must("[state-lost]" in told and "keyrings" in told, told)
    place.dump(pid, "-o", "log", program="criu")
    with open(os.path.join(place.images, "log"), encoding="utf-8") as log:
        must("keyrings" in (text := log.read()), text)
    place.restore(program="criu")


def wrong_words(place):
    """What is not well formed, or no descriptor, is refused by its name"""
    for option, text in (("--external", "mood[x]"), ("--external", "pipe"),
                         ("--external", "pipe[1]:x"), ("--external", "pipe[1"),
                         ("--inherit-fd", "pipe:[1]"), ("--inherit-fd", "fd[999]:pipe:[1]"),
                         ("--inherit-fd", "fd[-1]:pipe:[1]"), ("--inherit-fd", "fd[1]:")):
        for words in (["dump", "-t", "1"], ["restore"]):
            status, told = place.nestor(*words, "-D", place.images, option, text)
            must(status == 2 and "[usage]" in told and text in told, f"{text}: {status}\n{told}")


CASES = [
    pid_namespace_shared, files_given, queue_gone, keyrings_left_out, wrong_words,
]
