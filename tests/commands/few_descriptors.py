# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dumps of many descriptors by who may have but few."""

import os
import shlex
import subprocess

from place import must, program
import tree

MANY_DESCRIPTORS = """
import os, sys, time
def wait():
    while not os.path.exists(sys.argv[1] + ".go"):
        time.sleep(0.02)
children = []
for child in range(5):
    pid = os.fork()
    if pid == 0:
        files = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(300)]
        for at, file in enumerate(files):
            os.lseek(file, 1000 * child + at, os.SEEK_SET)
        open(f"{sys.argv[1]}.ready{child}", "w").close()
        wait()
        wrong = sum(os.lseek(file, 0, os.SEEK_CUR) != 1000 * child + at
                    for at, file in enumerate(files))
        os._exit(bool(wrong))
    children.append(pid)
wait()
print(sum(os.waitpid(pid, 0)[1] for pid in children), file=open(sys.argv[1] + ".told", "w"))
"""


def few_descriptors(place):
    """A tree has more open files than nestor may have, though no task of it has"""
    name = place.file("many")
    with open(name, "w", encoding="ascii") as file:
        file.write(MANY_DESCRIPTORS)
    pid = place.start(f"ulimit -n 400; exec python3 {name} {name}")
    must(tree.wait_for(lambda: all(os.path.exists(f"{name}.ready{child}") for child in range(5)),
                       20), "the tree does not get ready")
    pids = tree.processes(pid)

    def limited(limit, *arguments):
        return subprocess.run(["prlimit", f"--nofile={limit}:{limit}", program(), *arguments,
                               "-D", place.images], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=60)
    done = limited(310, "dump", "-t", str(pid))
    must(done.returncode == 1 and "[limit-too-low]" in done.stderr, f"310: {done.stderr}")
    must(tree.processes(pid) == pids, "the refused dump has done something to the tree")
    done = limited(400, "dump", "-t", str(pid))
    must(done.returncode == 0, f"dump: {done.stderr}")
    must(all(tree.reap(task, 5) for task in pids), "the tree is still there")
    done = limited(400, "restore", "-d")
    must(done.returncode == 0, f"restore: {done.stderr}")
    place.roots.append(pid)
    open(name + ".go", "w", encoding="ascii").close()
    must(tree.wait_for(lambda: os.path.exists(name + ".told")
                       and os.path.getsize(name + ".told"), 20), "the tree does not end")
    with open(name + ".told", encoding="ascii") as told:
        must(told.read() == "0\n", "a file is another one, or elsewhere")


MANY_SOCKETS = """
import array, os, socket, sys, time
pairs = [socket.socketpair() for _ in range(160)]
file = os.open("/etc/passwd", os.O_RDONLY)
os.lseek(file, 7, os.SEEK_SET)
pairs[0][0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
for at, (one, _) in enumerate(pairs[1:], 1):
    one.send(bytes([at]))
open(sys.argv[1] + ".ready", "w").close()
while not os.path.exists(sys.argv[1] + ".go"):
    time.sleep(0.02)
wrong = 0
for at, (one, other) in enumerate(pairs):
    if at:
        wrong += other.recv(10) != bytes([at])
    else:
        text, control, _, _ = other.recvmsg(10, 100)
        wrong += os.lseek(int.from_bytes(control[0][2][:4], "little"), 0, os.SEEK_CUR) != 7
    other.send(b"back")
    wrong += one.recv(10) != b"back"
    told = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    wrong += int.from_bytes(told[:4], "little") != os.getpid()
print(wrong, file=open(sys.argv[1] + ".told", "w"))
"""


def few_descriptors_for_sockets(place):
    """A tree has nearly as many unix sockets as nestor may have descriptors, with files on the way"""
    name = place.file("sockets")
    with open(name, "w", encoding="ascii") as file:
        file.write(MANY_SOCKETS)
    pid = place.start(f"ulimit -n 500; exec python3 {name} {name}")
    must(tree.wait_for(lambda: os.path.exists(name + ".ready"), 20), "the tree does not get ready")
    for step in (("dump", "-t", str(pid)), ("restore", "-d")):
        done = subprocess.run(["prlimit", "--nofile=500:500", program(), *step, "-D", place.images],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=60)
        must(done.returncode == 0, f"{step[0]}: {done.stderr}")
        must(step[0] == "restore" or tree.reap(pid, 5), "the tree is still there")
    place.roots.append(pid)
    open(name + ".go", "w", encoding="ascii").close()
    must(tree.wait_for(lambda: os.path.exists(name + ".told")
                       and os.path.getsize(name + ".told"), 20), "the tree does not end")
    with open(name + ".told", encoding="ascii") as told:
        must(told.read() == "0\n", "a socket is not as it was, or what was in it")


SOCKETS_OF_TWO = """
import array, os, socket, sys, time
name = sys.argv[1]
kept = []
os.fork()
for at in range(130):
    kept += socket.socketpair()
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]
    kept[-2].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
    for file in files:
        os.close(file)
open(f"{name}.ready{os.getpid()}", "w").close()
while not os.path.exists(name + ".go"):
    time.sleep(0.02)
for at in range(0, len(kept), 2):
    files = array.array("i", kept[at + 1].recvmsg(10, 100)[1][0][2])
    kept[at].send(b"%d" % at)
    if kept[at + 1].recv(10) != b"%d" % at or len(files) != 2:
        os._exit(1)
    for file in files:
        os.close(file)
open(f"{name}.told{os.getpid()}", "w").close()
"""


def few_descriptors_for_sockets_of_all(place):
    """That nestor cannot have what is on its way to sockets is said by name"""
    name = place.file("sockets")
    with open(name, "w", encoding="ascii") as file:
        file.write(SOCKETS_OF_TWO)

    def count(what):
        return sum(at.startswith(f"sockets.{what}") for at in os.listdir(os.path.dirname(name)))

    pid = place.start(f"ulimit -n 400; exec python3 {name} {name}")
    must(tree.wait_for(lambda: count("ready") == 2, 20), "the tree does not get ready")
    done = subprocess.run(["prlimit", "--nofile=400:400", program(), "dump", "-t", str(pid),
                           "-D", place.images], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=60)
    must(done.returncode == 1 and "[limit-too-low]" in done.stderr and "ulimit -Hn" in done.stderr
         and "more descriptors are on their way to sockets than" in done.stderr,
         f"{done.returncode} {done.stderr}")
    must(not os.listdir(place.images), f"left behind: {os.listdir(place.images)}")
    open(name + ".go", "w", encoding="ascii").close()
    must(tree.wait_for(lambda: count("told") == 2, 20), "the tree is not as it was")


MANY_PIPES = """
import os, select, sys, time
name = sys.argv[1]
ends = []
for child in range(3):
    pipes = [os.pipe() for _ in range(100)]
    if os.fork() == 0:
        for end in ends + [pair[0] for pair in pipes]:
            os.close(end)
        for number, pair in enumerate(pipes):
            os.write(pair[1], b"%d-%d" % (child, number))
        open(f"{name}.ready{child}", "w").close()
        while not os.path.exists(name + ".go"):
            time.sleep(0.02)
        os._exit(0)
    for pair in pipes:
        os.close(pair[1])
        ends.append(pair[0])
poll = select.epoll()
for end in ends:
    poll.register(end, select.EPOLLIN)
open(name + ".ready", "w").close()
while not os.path.exists(name + ".go"):
    time.sleep(0.02)
wrong = len(ends) - len(poll.poll(5, len(ends)))
for number, end in enumerate(ends):
    wrong += os.read(end, 100) != b"%d-%d" % (number // 100, number % 100)
    wrong += os.read(end, 100) != b""
with open(name + ".told", "w") as told:
    told.write("%d\\n" % wrong)
"""


def few_descriptors_for_pipes(place):
    """Pipes that lead from task to task are more than nestor may have open, and an epoll has all"""
    name = place.file("pipes")
    with open(name, "w", encoding="ascii") as file:
        file.write(MANY_PIPES)
    pid = place.start(f"ulimit -n 500; exec python3 {name} {name}")
    must(tree.wait_for(lambda: all(os.path.exists(f"{name}.ready{which}")
                                   for which in ("", 0, 1, 2)), 20), "the tree does not get ready")
    pids = tree.processes(pid)
    for step in (("dump", "-t", str(pid)), ("restore", "-d")):
        done = subprocess.run(["prlimit", "--nofile=500:500", program(), *step, "-D", place.images],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=60)
        must(done.returncode == 0, f"{step[0]}: {done.stderr}")
        must(step[0] == "restore" or all(tree.reap(task, 5) for task in pids),
             "the tree is still there")
    place.roots.append(pid)
    open(name + ".go", "w", encoding="ascii").close()
    must(tree.wait_for(lambda: os.path.exists(name + ".told")
                       and os.path.getsize(name + ".told"), 20), "the tree does not end")
    with open(name + ".told", encoding="ascii") as told:
        must(told.read() == "0\n", "a pipe is not as it was, or what was in it")


def descriptors_as_promised(place):
    """64 descriptors more than the largest task has are enough, and fewer are refused by name"""
    ready = place.file("ready")
    holding = ("import os, resource, sys, time\n"
               "pipes = [os.pipe() for _ in range(int(sys.argv[1]))]\n"
               "most = max(map(int, os.listdir('/proc/self/fd'))) + 64\n"
               "resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n"
               f"open({ready!r}, 'w').write(str(most))\n"
               "time.sleep(100)\n")
    for pipes in (0, 3, 900):
        pid = place.start(f"ulimit -n 4000; exec python3 -c {shlex.quote(holding)} {pipes}")
        must(tree.wait_for(lambda: os.path.exists(ready) and os.path.getsize(ready), 20),
             "the tree does not get ready")
        # Of its list of descriptors it has had one more.
        with open(ready, encoding="ascii") as file:
            most = int(file.read())
        held = os.listdir(f"/proc/{pid}/fd")
        must(max(map(int, held)) + 1 + 64 == most, f"{held} of {most}")

        def limited(limit, *arguments):
            return subprocess.run(["prlimit", f"--nofile={limit}:{limit}", program(), *arguments,
                                   "-D", place.images], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, check=False, timeout=60)
        done = limited(max(38, most - 60), "dump", "-t", str(pid))
        must(done.returncode == 1 and "[limit-too-low]" in done.stderr, f"dump: {done.stderr}")
        must(tree.is_alive(pid) and os.listdir(f"/proc/{pid}/fd") == held, "the tree was harmed")
        done = limited(most, "dump", "-t", str(pid))
        must(done.returncode == 0 and tree.reap(pid, 5), f"dump: {done.stderr}")
        done = limited(max(38, most - 60), "restore", "-d")
        must(done.returncode == 1 and "[limit-too-low]" in done.stderr
             and "descriptors in one process" in done.stderr, f"restore: {done.stderr}")
        must(not tree.is_alive(pid), "something of the tree is there")
        done = limited(most, "restore", "-d")
        must(done.returncode == 0, f"restore: {done.stderr}")
        place.roots.append(pid)
        must(os.listdir(f"/proc/{pid}/fd") == held, "it has other descriptors")
        tree.kill_tree(pid)
        must(tree.reap(pid, 5), "it cannot be ended")
        os.unlink(ready)
        for name in os.listdir(place.images):
            os.unlink(os.path.join(place.images, name))


def few_descriptors_for_one_file(place):
    """Whoever has one unlinked file open more often than a restore could is told, and goes on"""
    name = place.file("unlinked")
    pid = place.start("import os, resource, time\n"
                      "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))\n"
                      f"name = {name!r}\n"
                      "first = os.open(name, os.O_RDWR | os.O_CREAT)\n"
                      "os.unlink(name)\n"
                      "for child in range(2):\n"
                      "    if os.fork() == 0:\n"
                      "        for _ in range(220):\n"
                      "            os.open(f'/proc/self/fd/{first}', os.O_RDWR)\n"
                      "        open(f'{name}.ready{child}', 'w').close()\n"
                      "        time.sleep(100)\n"
                      "time.sleep(100)\n", "python3")
    must(tree.wait_for(lambda: all(os.path.exists(f"{name}.ready{child}") for child in range(2)),
                       20), "the tree does not get ready")
    pids = tree.processes(pid)
    for limit, status in ((300, 1), (500, 1), (1024, 0)):
        done = subprocess.run(["prlimit", f"--nofile={limit}", program(), "dump", "-t", str(pid),
                               "-D", place.images], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=60)
        must(done.returncode == status, f"{limit}: {done.returncode} {done.stderr}")
        must(not status or "limit-too-low" in done.stderr, done.stderr)
        must(status or all(tree.reap(task, 5) for task in pids), "the tree is still there")


CASES = [few_descriptors, few_descriptors_for_sockets, few_descriptors_for_sockets_of_all,
         few_descriptors_for_pipes, descriptors_as_promised, few_descriptors_for_one_file]
