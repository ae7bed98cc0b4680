# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files, queues and keyrings, and words that name nothing."""

import ctypes
import os
import signal
import sys

from place import Missing, must, tree


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
    files_given, queue_gone, keyrings_left_out, wrong_words,
]
