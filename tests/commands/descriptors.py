# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trees with more sockets than one process may have descriptors, or larger ones than nestor may."""

import os
import shutil
import socket
import subprocess
import time

from place import must, ORDINARY, program
import tree

TASKS, EACH, LIMIT = 3, 300, 480

# What each set of descriptors is made of, and how it is seen afterwards to be what it was.
SETS = '''
import array, os, socket, struct, sys, time
name, which, n_tasks, each = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
UNIX, STREAM, DGRAM = socket.AF_UNIX, socket.SOCK_STREAM, socket.SOCK_DGRAM
RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)


def maker(one):
    return struct.unpack("3i", one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def make_pair(_):
    one, other = socket.socketpair()
    one.send(b"waits")
    return one, other


def see_pair(one, other):
    other.send(b"back")
    return other.recv(9) == b"waits" and one.recv(9) == b"back" and maker(one) == os.getpid()


def make_ended(_):
    one, other = socket.socketpair()
    other.send(b"last")
    other.close()
    return one,


def see_ended(one):
    return one.recv(9) == b"last" and one.recv(9) == b""


def make_reset(_):
    one, other = socket.socketpair()
    one.send(b"unread")
    other.close()
    return one,


def see_reset(one):
    try:
        one.recv(9)
    except ConnectionResetError:
        return True
    return False


def make_accepted(at):
    listener = socket.socket(UNIX, STREAM)
    listener.bind(f"{name}.{me}.{at}")
    listener.listen(3)
    client, late = socket.socket(UNIX, STREAM), socket.socket(UNIX, STREAM)
    client.connect(listener.getsockname())
    server = listener.accept()[0]
    late.connect(listener.getsockname())
    client.send(b"waits")
    return listener, client, server, late


def see_accepted(listener, client, server, late):
    one, path = listener.accept()[0], listener.getsockname()
    late.send(b"late")
    server.send(b"back")
    more = socket.socket(UNIX, STREAM)
    more.connect(path)
    return (server.recv(9) == b"waits" and one.recv(9) == b"late" and client.recv(9) == b"back"
            and server.getsockname() == path)


def make_named(at):
    one, to = socket.socket(UNIX, DGRAM), socket.socket(UNIX, DGRAM)
    one.bind(f"{name}.{me}.{at}")
    to.connect(one.getsockname())
    to.send(b"waits")
    return one, to


def see_named(one, to):
    to.send(b"more")
    return one.recv(9) == b"waits" and one.recv(9) == b"more"


def make_rights(at):
    # A dump has what is on its way open all at once.
    if at % 12:
        return make_pair(at)
    one, other = socket.socketpair()
    file = os.open("/etc/passwd", os.O_RDONLY)
    sent[one] = [*kept[:3], file]
    one.sendmsg([b"x"], [(*RIGHTS, array.array("i", sent[one]))])
    kept.append(file)
    return one, other


def see_rights(one, other):
    if one not in sent:
        return see_pair(one, other)
    control = other.recvmsg(10, 100)[1]
    came = array.array("i", control[0][2])
    right = len(came) == len(sent[one])
    for at, (fd, ours) in enumerate(zip(came, sent[one])):
        os.lseek(fd, 1000 + at, os.SEEK_SET)
        right = right and os.lseek(ours, 0, os.SEEK_CUR) == 1000 + at
        os.close(fd)
    return right


def make_gone(_):
    return next(left), next(left)


def see_gone(one, other):
    one.send(b"x")
    return other.recv(9) == b"x" and maker(one) == gone


def make_udp(_):
    one, to = socket.socket(socket.AF_INET, DGRAM), socket.socket(socket.AF_INET, DGRAM)
    one.bind(("127.0.0.1", 0))
    to.connect(one.getsockname())
    return one, to


def see_udp(one, to):
    to.send(b"u")
    return one.recv(9) == b"u"


def make_tcp(_):
    listener, client = socket.socket(), socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(3)
    client.connect(listener.getsockname())
    server = listener.accept()[0]
    client.send(b"waits")
    return listener, client, server


def see_tcp(listener, client, server):
    server.send(b"back")
    return server.recv(9) == b"waits" and client.recv(9) == b"back"


def make_gone_makers():
    """Pairs, and the number of who made them and is gone."""
    to_us, from_us = socket.socketpair()
    child = os.fork()
    if child == 0:
        for _ in range(each // 2):
            from_us.sendmsg([b"x"], [(*RIGHTS, array.array("i", [
                end.detach() for end in socket.socketpair()]))])
            from_us.recv(1)
        os._exit(0)
    for _ in range(each // 2):
        for fd in struct.unpack("2i", to_us.recvmsg(9, 100)[1][0][2]):
            yield socket.socket(fileno=fd)
        to_us.send(b"x")
    os.waitpid(child, 0)
    yield child


children, me, kept, sent, sets, count = [], 0, [], {}, [], 0
for at in range(1, n_tasks):
    child = os.fork()
    if child == 0:
        children, me = [], at
        break
    children.append(child)
if which == "gone":
    left = list(make_gone_makers())
    gone, left = left[-1], iter(left[:-1])
while count + len(kept) + 4 <= each:
    sets.append(globals()["make_" + which](count))
    count += len(sets[-1])
open(f"{name}.ready{me}", "w").close()
while not os.path.exists(name + ".go"):
    time.sleep(0.02)
wrong = sum(not globals()["see_" + which](*one) for one in sets)
for child in children:
    wrong += os.waitpid(child, 0)[1] != 0
if me:
    os._exit(wrong != 0)
with open(name + ".told", "w") as told:
    told.write(f"{wrong}\\n")
'''


def round_of(place, which, limit=LIMIT):
    name = place.file(which)
    with open(name, "w", encoding="ascii") as file:
        file.write(SETS)
    images = place.file(which + ".images")
    os.mkdir(images)
    pid = place.start(f"ulimit -n {LIMIT}; exec python3 {name} {name} {which} {TASKS} {EACH}")
    must(tree.wait_for(lambda: all(os.path.exists(f"{name}.ready{at}") for at in range(TASKS)), 30),
         f"{which}: the tree does not get ready")
    pids = tree.processes(pid)
    for step in (("dump", "-t", str(pid)), ("restore", "-d")):
        done = subprocess.run(["prlimit", f"--nofile={limit}:{limit}", program(), *step, "-D",
                               images], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=120)
        must(done.returncode == 0, f"{which}: {step[0]}: {done.stderr}")
        must(step[0] == "restore" or all(tree.reap(task, 10) for task in pids),
             f"{which}: the tree is still there")
    place.roots.append(pid)
    for task in pids:
        held = sorted(os.listdir(f"/proc/{task}/fd"))
        must(len(held) >= EACH - 8, f"{which}: task {task} has {len(held)} descriptors")
    open(name + ".go", "w", encoding="ascii").close()
    must(tree.wait_for(lambda: os.path.exists(name + ".told")
                       and os.path.getsize(name + ".told"), 30), f"{which}: the tree does not end")
    with open(name + ".told", encoding="ascii") as told:
        must(told.read() == "0\n", f"{which}: a socket is not as it was, or what was in it")


def unix_pairs(place):
    """A tree has more unix sockets than nestor may have descriptors: pairs, ends that are gone"""
    for which in ("pair", "ended", "reset"):
        round_of(place, which)


def unix_names(place):
    """The same of sockets with names, listeners and who waits to be accepted"""
    for which in ("accepted", "named"):
        round_of(place, which)


def unix_rights(place):
    """The same of sockets to which files are on their way"""
    round_of(place, "rights")


def unix_makers(place):
    """The same of pairs whose maker is gone: who that was is told of each"""
    round_of(place, "gone")


def internet(place):
    """The same of UDP and TCP"""
    for which in ("udp", "tcp"):
        round_of(place, which)


def buffers_beyond_limits(place):
    """Who could not set buffers of sockets to their size again is told so, and the tree goes on"""
    shutil.copy(program(), place.file("nestor"))
    os.chmod(place.path, 0o755)
    os.chown(place.images, 65534, 65534)
    for option, force, name in ((socket.SO_SNDBUF, 32, "wmem_max"),
                                (socket.SO_RCVBUF, 33, "rmem_max")):
        with open(f"/proc/sys/net/core/{name}", encoding="ascii") as file:
            limit = int(file.read())
        for size, fits in ((limit, True), (limit + 4096, False)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
                held.setsockopt(socket.SOL_SOCKET, force, size)
                os.fchown(held.fileno(), 65534, 65534)
                process = subprocess.Popen(
                    ["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, cwd="/", start_new_session=True, user=65534,
                    group=65534, extra_groups=[], pass_fds=[held.fileno()])
            place.roots.append(process.pid)
            time.sleep(0.1)
            done = subprocess.run(
                ORDINARY + [place.file("nestor"), "dump", "-t", str(process.pid), "-D",
                            place.images, "-R"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
            must(tree.is_alive(process.pid), "the tree is gone")
            if fits:
                must(done.returncode == 0, f"{name}, {size}: {done.stderr}")
            else:
                must("[limit-too-low]" in done.stderr and name in done.stderr,
                     f"{name}, {size}: {done.stderr}")


CASES = [unix_pairs, unix_names, unix_rights, unix_makers, internet, buffers_beyond_limits]
