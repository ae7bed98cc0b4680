# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pipes, unix sockets and terminals whose other end is outside."""

import os
import re
import signal
import socket
import sys

from place import expect, inode, LIMIT, must, tree


# The second does the work, so that it may be stopped.
ECHO = ["sh", "-c", "(while read line; do echo \"got $line\"; done; exec sleep 1000) <&0; exit"]


def echo_on_pipes(place):
    """(pid, our write end, our read end, the keys of its pipes)"""
    in_read, in_write = place.keep(*os.pipe())
    out_read, out_write = place.keep(*os.pipe())
    pid = place.start(ECHO, stdin=in_read, stdout=out_write)
    os.write(in_write, b"one\n")
    expect(out_read, b"got one\n", "before the dump")
    keys = [f"pipe:[{inode(in_read)}]", f"pipe:[{inode(out_write)}]"]
    os.close(in_read)
    os.close(out_write)
    return pid, in_write, out_read, keys


def stop(pid):
    """Stops the program that reads; its pid."""
    reader = tree.children_of(pid)[0]
    os.kill(reader, signal.SIGSTOP)
    must(tree.wait_for(lambda: tree.status_of(reader)["State"][0] == "T", 5), "not stopped")
    return reader


def pipes_refused(place):
    """A pipe with an end outside is refused, with the option that allows it"""
    pid, in_write, out_read, keys = echo_on_pipes(place)
    told, options = place.refused(pid)
    wanted = [word for key in keys for word in ("--external", key.replace(":", ""))]
    must(sorted(options) == sorted(wanted), f"{options}, not {wanted}:\n{told}")
    _, rest = place.refused(pid, *options[:2])
    must(rest == options[2:], f"{rest} is left")
    os.write(in_write, b"two\n")
    expect(out_read, b"got two\n", "after the refused dump")


def pipes_given(place):
    """Pipes that are given at the restore take the place of those that were outside"""
    pid, in_write, out_read, keys = echo_on_pipes(place)
    reader = stop(pid)
    os.write(in_write, b"unread\n")
    place.dump(pid, "--external", "pipe[]")
    in_read, in_write = place.keep(*os.pipe())
    out_read, out_write = place.keep(*os.pipe())
    pid = place.restore(give=dict(zip(keys, (in_read, out_write))))
    os.close(in_read)
    os.close(out_write)
    os.kill(reader, signal.SIGCONT)
    expect(out_read, b"got unread\n", "what was in the pipe")
    os.write(in_write, b"three\n")
    expect(out_read, b"got three\n", "after the restore")


def pipes_kept(place):
    """The very pipes may be given: what is in them is there once"""
    pid, in_write, out_read, keys = echo_on_pipes(place)
    in_read, out_write = place.keep(os.open(f"/proc/{pid}/fd/0", os.O_RDONLY),
                                    os.open(f"/proc/{pid}/fd/1", os.O_WRONLY))
    reader = stop(pid)
    os.write(in_write, b"unread\n")
    place.dump(pid, "--external", keys[0].replace(":", ""), "--external", "pipe[]")
    pid = place.restore(give=dict(zip(keys, (in_read, out_write))))
    os.kill(reader, signal.SIGCONT)
    os.write(in_write, b"more\n")
    expect(out_read, b"got unread\ngot more\n", "after the restore")


def pipes_gone(place):
    """Without something in its place the other end is gone; so criu(8) does it unasked"""
    pid, _, _, _ = echo_on_pipes(place)
    place.dump(pid, program="criu")
    pid = place.restore(program="criu")
    # Its input has come to the end.
    must(tree.wait_for(lambda: tree.read(tree.children_of(pid)[0], "comm") == "sleep\n", 5), "it reads on")


TALKER = """
import socket, sys, time
stream = socket.socket(fileno=0)
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.connect(sys.argv[1].replace("@", "\\0"))
while data := stream.recv(100):
    log.send(b"log " + data)
    stream.send(b"got " + data)
log.send(b"the end")
time.sleep(1000)
"""


def talker(place, name):
    """(pid, our end of its stream, the socket that it logs to)"""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(name.replace("@", "\0"))
    ours, theirs = socket.socketpair()
    # Not theirs: that would be told to the tree, too.
    for own in (log, ours):
        own.settimeout(LIMIT)
    place.sockets += [log, ours, theirs]
    pid = place.start([sys.executable, "-ISc", TALKER, name], stdin=theirs)
    talk(ours, log, b"one", "before the dump")
    return pid, ours, theirs, log


def talk(stream, log, text, why):
    stream.send(text)
    for end, wanted in ((log, b"log " + text), (stream, b"got " + text)):
        try:
            got = end.recv(100)
        except TimeoutError:
            got = None
        must(got == wanted, f"{why}: {got!r}, not {wanted!r}")


def new_pair(place):
    pair = socket.socketpair()
    pair[0].settimeout(LIMIT)
    place.sockets += pair
    return pair


def sockets_refused(place):
    """A peer outside is refused, with the option that allows it"""
    pid, ours, theirs, log = talker(place, place.file("log"))
    stream = ["--external", f"unix[{inode(theirs)}]"]
    told, options = place.refused(pid)
    must(place.file("log") in told and options.count("--external") == 2, told)
    told, rest = place.refused(pid, "--ext-unix-sk")
    must(rest == stream, told)
    told, rest = place.refused(pid, *stream)
    must(rest and rest[1] in options, told)
    status, told = place.nestor("dump", "-R", "-t", pid, "-D", place.images, *options)
    must(status == 0, told)
    talk(ours, log, b"two", "after the refused dump")


def sockets_given(place):
    """A stream that is given takes the place of the old one, a log is found by its name"""
    for name in (place.file("log"), f"@{place.path}"):
        pid, ours, theirs, log = talker(place, name)
        key = f"socket:[{inode(theirs)}]"
        place.dump(pid, "--external", f"unix[{inode(theirs)}]", "--ext-unix-sk")
        ours, given = new_pair(place)
        status, told = place.nestor("restore", "-d", "-D", place.images)
        must(status == 1 and "[not-given]" in told and "--ext-unix-sk" in told, told)
        pid = place.restore("--ext-unix-sk", give={key: given.fileno()})
        number = inode(given)
        given.close()
        talk(ours, log, b"three", "after the restore")
        place.dump(pid, "--external", "auto", "--external", f"unix[{number}]")
        key = f"socket:[{number}]"
        ours, given = new_pair(place)
        pid = place.restore("--external", "auto", give={key: given.fileno()})
        given.close()
        talk(ours, log, b"four", "found again by itself")
        tree.kill_tree(pid)
        tree.reap(pid, 5)
        log.close()
        if name[0] == "/":
            os.unlink(name)
            status, told = place.nestor("restore", "-d", "-D", place.images, "--ext-unix-sk")
            must(status == 1 and "[file-missing]" in told and name in told, told)


def sockets_gone(place):
    """A stream that is not given has come to its end; what it is given has to be one"""
    pid, ours, theirs, log = talker(place, place.file("log"))
    key = f"socket:[{inode(theirs)}]"
    place.dump(pid, "--external", "unix[]")
    for fd in (log.fileno(), os.open("/dev/null", os.O_RDONLY)):
        place.keep(fd)
        status, told = place.nestor("restore", "-D", place.images, "--external", "unix[]",
                                    "--inherit-fd", f"fd[{fd}]:{key}", pass_fds=(fd,))
        must(status == 2 and "[usage]" in told, f"{status} {told}")
    place.restore("--external", "unix[]")
    must(log.recv(100) == b"the end", "not the end")


ENDS = """
import os, select, socket, sys, time
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.connect(sys.argv[1])
terminal, pipe, stream = (int(word) for word in sys.argv[2:])
log.send(b"ready")
said, open_ones = [], {stream: "stream", pipe: "pipe", terminal: "terminal"}
while open_ones:
    for fd in select.select(list(open_ones), [], [])[0]:
        try:
            got = os.read(fd, 100)
        except OSError:
            got = b""
        said.append(open_ones.pop(fd) + ("" if not got else " " + got.decode().strip()))
log.send(", ".join(sorted(said)).encode())
time.sleep(1000)
"""


def all_at_once(place):
    """--external auto allows pipes, streams, logs, terminals and shared mounts that end outside"""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(place.file("log"))
    log.settimeout(LIMIT)
    pair = socket.socketpair()
    place.sockets += [log, *pair]
    master, slave = place.keep(*os.openpty())
    reading, writing = place.keep(*os.pipe())
    numbers = [slave, reading, pair[1].fileno()]
    pid = place.start(["unshare", "-m", "--propagation", "shared", sys.executable, "-ISc", ENDS,
                       place.file("log"), *map(str, numbers)], pass_fds=numbers)
    must(log.recv(100) == b"ready", "it does not begin")
    told, _ = place.refused(pid)
    must(re.match(r".*: [4-9] things stand in the way, of [3-9] kinds", told), told)
    status, told = place.nestor("check", "-t", pid, "--external", "auto")
    must(status == 0, told)
    os.write(writing, b"unread\n")
    # It reads that, and of the pipe no more.
    place.dump(pid, "--external", "auto")
    os.close(place.fds.pop())
    place.restore("--external", "auto")
    must((got := log.recv(100)) == b"pipe unread, stream, terminal", f"it sees {got!r}")
    must(os.read(slave, 0) == b"" and master, "the terminal outside has changed")


CASES = [
    pipes_refused, pipes_given, pipes_kept, pipes_gone, sockets_refused, sockets_given,
    sockets_gone, all_at_once,
]
