# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dumps: what becomes of the tree, of logs, scripts and limits."""

import collections
import json
import os
import re
import resource
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time

from place import must, nestor, ORDINARY, program, read_varint
import tree

# Numbers of wait4, rt_sigsuspend and clock_nanosleep.
WAITING_CALLS = ("61", "130", "230")


def no_such_process(place):
    """A pid that nobody has is refused by name"""
    nestor("dump", "-t", "4194303", "-D", place.images).fails("no-such-task")
    nestor("tree", "4194303").fails("no-such-task")
    must(not os.listdir(place.images), "something was left in the images directory")


def proc_of_another_namespace(place):
    """Where /proc is that of another pid namespace, it is told, and what helps"""
    pid = place.start("exec sleep 1000")
    done = subprocess.run(["unshare", "-p", "-f", program(), "dump", "-t", str(pid), "-D",
                           place.images], text=True, check=False, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=60)
    must(done.returncode == 1 and "error [no-proc]: /proc is that of another pid namespace"
         in done.stderr and "--mount-proc" in done.stderr, done.stderr)
    must(not os.listdir(place.images), "something was left in the images directory")


def no_directory(place):
    """Directories that are not there are refused"""
    nestor("dump", "-t", "1", "-D", place.file("none")).fails("io")
    nestor("restore", "-D", place.file("none")).fails("io")
    nestor("plan", place.file("none")).fails("io")
    nestor("tree", place.file("none")).fails("io")


def empty_directory(place):
    """A directory without a dump is refused by restore, plan and tree"""
    for command in (["restore", "-D"], ["plan"], ["tree"]):
        nestor(*command, place.images).fails("images-incomplete")


def dump_restore_round(place):
    """A dump ends the tree and leaves images, log and statistics; a restore gives the pid back"""
    pid = place.dumped("-o", "dump.log", "-v4")
    files = os.listdir(place.images)
    must({"inventory.img", "pstree.img", "stats-dump", "dump.log"} <= set(files), str(files))
    must(place.restored("-o", "restore.log", "-v4") == pid, "the root has another pid")
    must(tree.is_alive(pid), "it does not run")
    must("stats-restore" in os.listdir(place.images), "no statistics")


def dump_of_others(place):
    """A person who may trace others but not end them is told so, and the tree goes on"""
    shutil.copy(program(), place.file("nestor"))
    os.chmod(place.path, 0o755)
    os.chown(place.images, 65534, 65534)
    pid = place.sleeper_of(12345)

    def dump(capabilities, *options):
        done = subprocess.run(
            ORDINARY + [f"--inh-caps=-all,{capabilities}", f"--ambient-caps=-all,{capabilities}",
                        place.file("nestor"), "dump", "-t", str(pid), "-D", place.images, *options],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
        must(tree.is_alive(pid) == (done.returncode != 0 or "-R" in options), "alive or not")
        return done.stderr
    some = "+checkpoint_restore,+sys_ptrace"
    for capabilities, options, hint in ((some, ["-R"], "CAP_DAC_OVERRIDE"),
                                        (some + ",+dac_override", [], "CAP_KILL")):
        told = dump(capabilities, *options)
        must("[no-privilege]" in told and hint in told, f"with {capabilities}: {told}")
        must(not os.listdir(place.images), f"left behind: {os.listdir(place.images)}")
    # Whether a sandbox of another person is one of Landlock takes more than these.
    told = dump(some + ",+dac_override", "-R", "--force-lost", "landlock,keyrings")
    must("inventory.img" in os.listdir(place.images), f"not dumped: {told}")
    told = dump(some + ",+dac_override,+kill", "--force-lost", "landlock,keyrings")
    must(tree.reap(pid, 5), f"the tree is still there: {told}")
    must(place.restored() == pid, "the root has another pid")
    must(tree.status_of(pid)["Uid"].split() == ["12345"] * 4, tree.status_of(pid)["Uid"])


def dump_of_who_cannot_be_asked(place):
    """What cannot be asked of a task is lost where that is accepted, and what is then restored is
    as it is for everybody"""
    shutil.copy(program(), place.file("nestor"))
    os.chmod(place.path, 0o755)
    os.chown(place.images, 65534, 65534)
    os.mkdir(place.file("state"))
    process = subprocess.Popen(
        [os.path.join(os.path.dirname(program()), "tests", "scenarios", "task-strict"),
         place.file("state")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)
    pid = process.pid
    place.roots.append(pid)
    must(tree.wait_for(lambda: os.path.exists(place.file("state/ready")), 20), "does not start")
    child = tree.children_of(pid)[0]

    def dump(*options):
        capabilities = "-all,+checkpoint_restore,+sys_ptrace,+dac_override,+kill"
        return subprocess.run(
            ORDINARY + [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}",
                        place.file("nestor"), "dump", "-t", str(pid), "-D", place.images,
                        "--force-lost", *options],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    told = dump("parent-death-signal").stderr
    lost = {name for names in re.findall(r"^ .*asked for this: (.*)", told, re.M)
            for name in names.split(", ")}
    must("[state-lost]" in told and not os.listdir(place.images), f"not refused: {told}")
    # What files of /proc tell is not; whether it is dumpable some say to some.
    must(lost - {"dumpable"} == {
        "memory-deny-write-execute", "local-descriptors", "address-mask", "memory-merge",
        "processor-features", "memory-barriers", "signal-flags", "timer-slack", "alternate-stack",
        "securebits", "keyrings", "core-scheduling", "machine-check-policy", "time-stamp-counter",
        "cpuid", "speculation", "memory-policy", "interval-timers", "subreaper"}, told)
    must("[state-lost] 2 times" in told and "free of a confinement: landlock" in told, told)
    done = dump("all")
    must(done.returncode == 0 and tree.reap(child, 5) and tree.reap(pid, 5), done.stderr)
    must(place.restored() == pid, "the root has another pid")
    status = tree.status_of(child)
    must(status["Seccomp"] == "1" and status["SigBlk"] == status["SigIgn"] == "0" * 16,
         f"the task that was not asked is {status}")
    must(tree.read(child, "timerslack_ns") == tree.read(pid, "timerslack_ns"), "timer slack")
    open(place.file("state/go"), "w", encoding="ascii").close()
    must(tree.wait_for(lambda: os.path.exists(place.file("state/result")), 20), "no result")
    result = open(place.file("state/result"), encoding="ascii").read()
    must(result == "ok\n", f"{result}: {open(place.file('state/log'), encoding='ascii').read()}")


def waiting_in(root, children):
    """How many of a name sleep in a call that waits for long: past all that they do at their start."""
    names = collections.Counter()
    for pid in [root, *tree.children_of(root)][:children + 1]:
        call = tree.read(pid, "syscall").split()[0]
        if call in WAITING_CALLS:
            names[tree.status_of(pid)["Name"]] += 1
    return names


def own_user_namespaces(place):
    """With CAP_CHECKPOINT_RESTORE alone, trees with user namespaces of one's own come back"""
    shutil.copy(program(), place.file("nestor"))
    os.chmod(place.path, 0o755)
    os.chown(place.images, 65534, 65534)
    script = "unshare -Ur sleep 1000 & sleep 1000 & wait"
    process = subprocess.Popen(
        ORDINARY + ["unshare", "-Ur", "sh", "-c", script], cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    place.roots.append(process.pid)
    must(tree.wait_for(lambda: waiting_in(process.pid, 2) == {"sh": 1, "sleep": 2}, 5), "no tree")
    before = tree.tree_facts(process.pid)

    def by_person(*arguments, capabilities="+checkpoint_restore"):
        return subprocess.run(
            ORDINARY + [f"--inh-caps=-all,{capabilities}", f"--ambient-caps=-all,{capabilities}",
                        place.file("nestor"), *arguments, "-D", place.images],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=60)
    pids = tree.processes(process.pid)
    done = by_person("dump", "-t", str(process.pid))
    must(done.returncode == 0 and all(tree.reap(pid, 5) for pid in pids), f"dump: {done.stderr}")
    done = by_person("restore", "-d", capabilities="-all")
    must(done.returncode == 1 and "[no-privilege]" in done.stderr, f"without it: {done.stderr}")
    done = by_person("restore", "-d")
    must(done.returncode == 0, f"restore: {done.stderr}")
    # The shell waits in sigsuspend, which it enters again.
    lines = []
    tree.wait_for(lambda: lines.append(tree.differences(before, tree.tree_facts(process.pid)))
                  or not lines[-1], 5)
    must(not lines[-1], "\n".join(lines[-1]))


def leave_running(place):
    """-R lets the tree go on, and the images are good all the same"""
    pid = place.sleeper()
    nestor("dump", "-t", pid, "-D", place.images, "-R").ok()
    must(tree.is_alive(pid), "it does not run any more")
    must(tree.status_of(pid)["State"][0] == "S", f"it is {tree.status_of(pid)['State']}")
    must(tree.status_of(pid)["TracerPid"] == "0", "it is still traced")
    nestor("restore", "-D", place.images, "-d").fails("pid-in-use")
    tree.kill_tree(pid)
    must(place.restored() == pid, "the root has another pid")


def leave_stopped(place):
    """-s leaves the tree stopped after a dump, and after a restore"""
    pid = place.sleeper()
    nestor("dump", "-t", pid, "-D", place.images, "-s").ok()
    # It takes its SIGSTOP when it gets to run.
    must(tree.wait_for(lambda: tree.status_of(pid)["State"][0] == "T", 5),
         f"it is {tree.status_of(pid)['State']}")
    tree.kill_tree(pid)
    pid = place.restored("-s")
    must(tree.status_of(pid)["State"][0] == "T", f"it is {tree.status_of(pid)['State']}")
    os.kill(pid, signal.SIGCONT)
    must(tree.wait_for(lambda: tree.status_of(pid)["State"][0] == "S", 5), "does not continue")


def stopped_root(place):
    """A tree that is stopped as a whole, its root too, comes back stopped, and goes on when told"""
    pid = place.start("sleep 1000 & wait")
    inner = tree.children_of(pid)[0]
    for task in (inner, pid):
        os.kill(task, signal.SIGSTOP)
    place.dump(pid)
    place.restored()
    must([tree.status_of(task)["State"][0] for task in (pid, inner)] == ["T", "T"], "not stopped")
    for task in (inner, pid):
        os.kill(task, signal.SIGCONT)
    must(tree.wait_for(lambda: all(tree.status_of(task)["State"][0] == "S"
                                   for task in (pid, inner)), 5), "it does not go on")


def statistics(place):
    """stats-dump and stats-restore have what their readers expect, and pages are counted right"""
    pid = place.start("exec %s -c \"import mmap, time; a = mmap.mmap(-1, 1 << 20); a[:] = b'x' * (1 << 20);"
                      "b = bytearray(b'y' * (1 << 20)); time.sleep(1000)\"" % sys.executable)
    must(tree.wait_for(lambda: "Shmem" not in tree.read(pid, "status")
                       or int(re.search(r"RssShmem:\s+(\d+)", tree.read(pid, "status")).group(1)) > 1000,
                       10), "it does not start")
    early = place.file("early")
    os.mkdir(early)
    nestor("pre-dump", "-t", pid, "-D", early).ok()
    stats = read_stats(os.path.join(early, "stats-dump"), 1)
    must(stats[5] >= stats[7] >= 256 and stats[6] == 0 and stats[3] > 0, f"of the pre-dump: {stats}")
    place.dump(pid)
    stats = read_stats(os.path.join(place.images, "stats-dump"), 1)
    pages = sum(os.path.getsize(os.path.join(place.images, name))
                for name in os.listdir(place.images) if name.startswith("pages-"))
    must(set(stats) >= set(range(1, 15)), f"fields are missing: {stats}")
    must((stats[7] + stats[14]) * 4096 == pages and stats[14] >= 256 and stats[7] >= 256,
         f"{stats[7]} and {stats[14]} pages are told, there are {pages} bytes")
    must(stats[5] >= stats[7] and stats[2] > 0 and stats[3] > 0, f"{stats}")
    place.restored()
    stats = read_stats(os.path.join(place.images, "stats-restore"), 2)
    must(set(stats) == {1, 2, 3, 4, 5} and stats[3] > 0 and stats[4] >= stats[3]
         and stats[5] * 4096 >= pages, f"{stats}")


def no_room_for_pages(place):
    """Where pages cannot be written a dump fails, before as at the end, and nothing counts as one"""
    pid = place.start("exec %s -c \"b = bytearray(b'y' * (1 << 20)); import time; time.sleep(1000)\""
                      % sys.executable)
    must(tree.wait_for(lambda: "VmRSS" in tree.status_of(pid)
                       and "hrtimer_nanosleep" in tree.read(pid, "wchan"), 10), "it does not start")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))
    for command in ("pre-dump", "dump"):
        done = nestor(command, "-t", pid, "-D", place.images, preexec_fn=limit).fails("io")
        must("cannot write pages" in done.err, done.err)
        must(not os.listdir(place.images), f"{command} goes on: {os.listdir(place.images)}")
        must(tree.status_of(pid)["State"][0] == "S", "it does not go on")


def read_stats(path, part):
    """{number: value} of the dump (1) or the restore (2)"""
    with open(path, "rb") as file:
        data = file.read()
    must(data[:8] == struct.pack("<II", 0x55105940, 0x57093306), "another magic")
    must(data[12] == part << 3 | 2, "another part")
    size, at = read_varint(data, 13)
    must(at + size == len(data), "another size")
    found = {}
    while at < len(data):
        key, at = read_varint(data, at)
        found[key >> 3], at = read_varint(data, at)
    return found


def login_uid(place):
    """A login uid that the restored task may not set is told of: it has that of whoever restores"""
    def set_own(value):
        with open("/proc/self/loginuid", "w", encoding="ascii") as file:
            file.write(value)
    without = ["setpriv", "--bounding-set=-audit_control", "--inh-caps=-audit_control"]
    pid = place.start(f"echo 1234 > /proc/self/loginuid; exec {shlex.join(without)} sleep 1000")
    # Where that is not allowed (audit(7)) there is nothing to be told.
    must(tree.wait_for(lambda: tree.status_of(pid).get("Name") == "sleep", 10), "it does not start")
    is_set = tree.read(pid, "loginuid") == "1234"
    place.dump(pid)
    done = subprocess.run([*without, program(), "restore", "-D", place.images, "-d"],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                          timeout=60, preexec_fn=(lambda: set_own("77")) if is_set else None)
    must(done.returncode == 0 and ("its login uid is 77 and was 1234" in done.stderr) == is_set,
         done.stderr)
    must(not is_set or tree.read(pid, "loginuid") == "77", "it has another one")


def death_signal_of_thread(place):
    """That a death signal was for the end of a thread other than the first is told of"""
    script = """
import ctypes, os, signal, sys, threading, time
def fork():
    if not os.fork():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        open(sys.argv[2], "w").close()
    time.sleep(1000)
threading.Thread(target=fork).start() if sys.argv[1] == "thread" else fork()
"""
    for maker in ("thread", "first"):
        ready = place.file(maker)
        pid = place.start(f"exec {sys.executable} -c {shlex.quote(script)} {maker} {ready}")
        must(tree.wait_for(lambda path=ready: os.path.exists(path), 10), "it does not start")
        images = place.file(f"images-{maker}")
        os.mkdir(images)
        done = nestor("dump", "-t", pid, "-D", images, "-R").ok()
        told = f"when the thread of pid {pid} ends that made it" in done.err
        must(told == (maker == "thread"), f"made by {maker}: {done.err}")


def lowered_score(place):
    """The score of whom to kill when memory is short comes back also where the caller's is higher"""
    def raise_own():
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("500")
    pid = place.start("echo 333 > /proc/self/oom_score_adj; exec sleep 1000")
    must(tree.wait_for(lambda: tree.read(pid, "oom_score_adj").strip() == "333", 10),
         "it does not start")
    place.dump(pid)
    pid = place.restored(preexec_fn=raise_own)
    must(tree.read(pid, "oom_score_adj").strip() == "333", tree.read(pid, "oom_score_adj"))


def work_directory(place):
    """-W takes log, pid file and statistics; the images directory has images only"""
    work = place.file("work")
    os.mkdir(work)
    place.dumped("-W", work, "-o", "dump.log")
    nestor("restore", "-D", place.images, "-W", work, "-d", "-o", "restore.log",
           "--pidfile", "pid").ok()
    with open(os.path.join(work, "pid"), encoding="ascii") as file:
        place.roots.append(int(file.read()))
    must(sorted(os.listdir(work)) == ["dump.log", "pid", "restore.log", "stats-dump",
                                      "stats-restore"], str(os.listdir(work)))
    must(not {"dump.log", "stats-dump"} & set(os.listdir(place.images)), "in the images directory")


def log_on_failure(place):
    """The log file is there after a failure too, with the reason behind "Error" """
    nestor("dump", "-t", "4194303", "-D", place.images, "-o", "dump.log").fails("no-such-task")
    with open(os.path.join(place.images, "dump.log"), encoding="utf-8") as file:
        must(re.search(r"^Error.*\[no-such-task\]", file.read(), re.M), "no line with Error")


def action_script(place):
    """A script is run at each moment, with the pid; where it does not agree, all is undone"""
    said = place.file("said")
    with open(place.file("script"), "w", encoding="ascii") as file:
        # Other shells begin with an empty mask of signals.
        file.write(f"#!/bin/bash\ngrep SigBlk /proc/self/status >{said}.blocked\n"
                   "[ -e hang ] && sleep 100\n"
                   f"echo $CRTOOLS_SCRIPT_ACTION $CRTOOLS_IMAGE_DIR $CRTOOLS_INIT_PID >>{said}\n"
                   f"[ \"$CRTOOLS_SCRIPT_ACTION\" != \"$(cat {said}.no 2>/dev/null)\" ]\n")
    os.chmod(place.file("script"), 0o755)

    def told():
        with open(said, encoding="ascii") as file:
            return [line.split() for line in file]

    def refuse(moment):
        with open(said + ".no", "w", encoding="ascii") as file:
            file.write(moment)
    script = ["--action-script", place.file("script")]
    pid = place.sleeper()
    for moment in ("pre-dump", "network-lock", "post-dump"):
        refuse(moment)
        nestor("dump", "-t", pid, "-D", place.images, *script).fails("client-refused")
        must(tree.is_alive(pid) and tree.status_of(pid)["TracerPid"] == "0", "it was harmed")
    nestor("dump", "-t", pid, "-D", place.images, "--action-script", "/no/such").fails(
        "client-refused")
    refuse("")
    os.unlink(said)
    place.dump(pid, *script)
    must(told() == [["pre-dump", place.images]] + [
        [moment, place.images, str(pid)] for moment in ("network-lock", "post-dump")], str(told()))
    for moment in ("pre-restore", "setup-namespaces", "post-restore", "network-unlock",
                   "pre-resume"):
        refuse(moment)
        nestor("restore", "-d", "-D", place.images, *script).fails("client-refused")
        must(tree.wait_for(lambda: not tree.exists(pid), 5), "something is left")
    refuse("post-resume")
    os.unlink(said)
    place.restored(*script)
    moments = told()
    must(moments.pop(1)[:2] == ["setup-namespaces", place.images], str(moments))
    must(moments == [["pre-restore", place.images]] + [
        [moment, place.images, str(pid)] for moment in (
            "post-setup-namespaces", "post-restore", "network-unlock",
            "pre-resume", "post-resume")], str(moments))
    must(tree.is_alive(pid), "it does not run")
    open(place.file("hang"), "w", encoding="ascii").close()
    with subprocess.Popen([program(), "dump", "-t", str(pid), "-D", place.images, *script],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          cwd=place.path, preexec_fn=lambda: signal.pthread_sigmask(
                              signal.SIG_BLOCK, {signal.SIGUSR1})) as process:
        time.sleep(0.3)
        process.terminate()
        _, text = process.communicate(timeout=20)
    must(process.returncode == 1 and "[interrupted]" in text, f"{process.returncode}: {text}")
    with open(said + ".blocked", encoding="ascii") as file:
        must(file.read().split()[1] == "0" * 16, "the script has our signals blocked")
    must(tree.is_alive(pid) and tree.status_of(pid)["TracerPid"] == "0", "it was harmed")


def script_in_namespaces(place):
    """At setup-namespaces the script may enter those of the root, and set them up for its sockets"""
    listen = ("import socket, time; s = socket.socket(); s.setsockopt(0, 15, 1); "  # IP_FREEBIND
            "s.bind(('10.99.0.1', 4000)); s.listen(); time.sleep(1000)")
    with open(place.file("listen"), "w", encoding="ascii") as file:
        file.write(listen)
    pid = place.start("exec unshare -n -u sh -c 'ip link set lo up; hostname inside; "
                      "exec python3 listen'")
    must(tree.wait_for(lambda: "0100630A" in tree.read(pid, "net/tcp"), 10), "it does not listen")
    place.dump(pid)
    with open(place.file("script"), "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n[ $CRTOOLS_SCRIPT_ACTION = setup-namespaces ] || exit 0\n"
                   "nsenter -t $CRTOOLS_INIT_PID -n ip address add 10.99.0.1/24 dev lo &&\n"
                   "nsenter -t $CRTOOLS_INIT_PID -n cat /proc/net/tcp >tcp &&\n"
                   "nsenter -t $CRTOOLS_INIT_PID -u hostname >name\n")
    os.chmod(place.file("script"), 0o755)
    pid = place.restored("--action-script", place.file("script"), cwd=place.path)
    with open(place.file("name"), encoding="ascii") as file:
        must(file.read() == "inside\n", "it is not in the namespaces of the tree")
    with open(place.file("tcp"), encoding="ascii") as file:
        must("0100630A" not in file.read(), "the socket is there already")
    told = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "address"], capture_output=True,
                          text=True, check=True).stdout
    must("10.99.0.1" in told, told)
    must("0100630A" in tree.read(pid, "net/tcp"), "the socket is not there")


def shell_job(place):
    """A tree in somebody else's session is refused, unless -j says so"""
    process = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               cwd=place.path)
    place.roots.append(process.pid)
    nestor("dump", "-t", process.pid, "-D", place.images).fails("session-outside")
    must(tree.is_alive(process.pid), "the refused tree does not run")
    place.dump(process.pid, "-j")
    must(place.restored("-j") == process.pid, "another pid")


def unsupported_file(place):
    """A device with a state of its own is refused by name, and the tree goes on"""
    pid = place.start("exec 3</dev/cpu_dma_latency; while :; do sleep 0.02; done")
    nestor("dump", "-t", pid, "-D", place.images).fails("unsupported-file")
    must(tree.is_alive(pid) and tree.status_of(pid)["TracerPid"] == "0", "the tree was harmed")
    must(not os.listdir(place.images), f"left behind: {os.listdir(place.images)}")


def unsupported_socket(place):
    """A socket is refused, and its peer is not told to have somebody outside at its other end"""
    unix = ("one, other = socket.socketpair(); "
            "one.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0]))],"
            " socket.MSG_OOB); other.recv(1, socket.MSG_OOB); ")
    tcp = ("listener = socket.socket(); listener.bind(('127.0.0.1', 0)); listener.listen(); "
           "one = socket.create_connection(listener.getsockname()); other = listener.accept()[0]; "
           "one.send(b'x', socket.MSG_OOB); time.sleep(0.1); ")
    for made, script in enumerate((tcp, unix)):
        script = f"import array, os, socket, time; {script}open('{made}', 'w').close(); "
        pid = place.start(f"exec python3 -c {shlex.quote(script + 'time.sleep(1000)')}")
        must(tree.wait_for(lambda name=str(made): os.path.exists(place.file(name)), 20), "none")
        done = nestor("dump", "-t", pid, "-D", place.images).fails("unsupported-file")
        must("outside of the tree" not in done.err, done.err)


def large_unlinked_files(place):
    """Unlinked files in memory are dumped however large they are, unless a limit is given"""
    def start(path):
        pid = place.start(f"exec 3<>{path}; rm {path}; head -c 3000000 /dev/zero >&3; "
                          "exec sleep 1000")
        must(tree.wait_for(lambda: tree.status_of(pid).get("Name") == "sleep", 10), "no start")
        return pid
    pid = start(place.file("large"))
    kind = subprocess.run(["stat", "-f", "-c", "%T", place.path], capture_output=True, text=True,
                          check=True).stdout.strip()
    if kind not in ("tmpfs", "ramfs"):
        done = nestor("dump", "-t", pid, "-D", place.images).fails("unsupported-file")
        must("the limit is 1048576 (--ghost-limit)" in done.err, done.err)
    nestor("dump", "-t", pid, "-D", place.images, "-R", "--ghost-limit", "4M").ok()
    pid = start(f"/dev/shm/nestor-{os.getpid()}-large")
    nestor("dump", "-t", pid, "-D", place.images, "--ghost-limit", "1M").fails("unsupported-file")
    place.dump(pid)
    pid = place.restored()
    must(os.stat(f"/proc/{pid}/fd/3").st_size == 3000000, "it is another file")


def traced_task(place):
    """A tree that somebody traces is refused by name"""
    pid = place.sleeper()
    tracer = subprocess.Popen(
        [sys.executable, "-c", "import ctypes, time, sys\n"
         f"libc = ctypes.CDLL(None)\nassert libc.ptrace(0x4206, {pid}, 0, 0) == 0\n"
         "print('traced', flush=True)\ntime.sleep(100)"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, text=True)
    must(tracer.stdout.readline() == "traced\n", "cannot be traced")
    try:
        nestor("dump", "-t", pid, "-D", place.images).fails("task-traced")
        look = json.loads(nestor("check", "--json", "-t", pid).out)["obstacles"]
        must([kind["name"] for kind in look] == ["task-traced"], str(look))
    finally:
        tracer.kill()
        tracer.wait()
        tracer.stdout.close()
    must(tree.is_alive(pid), "the tree was harmed")


def interrupted(place):
    """SIGTERM between two steps gives the dump up, and the tree goes on"""
    pid = place.start("import time\nb = bytearray(b'x' * (300 << 20))\n"
                      "while True: time.sleep(0.01)", "python3")
    tree.wait_for(lambda: int(tree.status_of(pid)["VmRSS"].split()[0]) > 300 << 10, 20)
    process = subprocess.Popen([program(), "dump", "-t", str(pid), "-D", place.images],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    traced = tree.wait_for(lambda: tree.status_of(pid).get("TracerPid", "0") != "0", 10)
    process.terminate()
    _, text = process.communicate(timeout=60)
    must(traced, "the dump was over too soon to be interrupted")
    must(process.returncode == 1 and "[interrupted]" in text, f"{process.returncode}: {text}")
    must(tree.is_alive(pid) and tree.status_of(pid)["TracerPid"] == "0", "the tree was harmed")
    must(not os.listdir(place.images), f"left behind: {os.listdir(place.images)}")


def served_mount(place):
    """Of a FUSE is said that it has to be unmounted, and not that mounting it again would do"""
    script = ("import ctypes, os, time; fd = os.open('/dev/fuse', os.O_RDWR); "
              "code = ctypes.CDLL(None).mount(b'it', b'there', b'fuse.it', 0, "
              "f'fd={fd},rootmode=40000,user_id=0,group_id=0'.encode()); os.close(fd); "
              "open('made', 'w').write(str(code)); time.sleep(1000)")
    os.mkdir(place.file("there"))
    if not os.path.exists("/dev/fuse"):
        return
    pid = place.start(f"exec unshare -m python3 -c {shlex.quote(script)}")
    must(tree.wait_for(lambda: os.path.exists(place.file("made"))
                       and os.path.getsize(place.file("made")), 20), "nothing is mounted")
    with open(place.file("made"), encoding="ascii") as file:
        must(file.read() == "0", "it cannot be mounted")
    for options in [], ["--enable-fs", "fuse.it"]:
        done = nestor("dump", "-t", pid, "-D", place.images, *options).fails("unsupported-mount")
        must("unmount it first, or --external mnt[" in done.err and "again," not in done.err,
             f"no hint, or another:\n{done.err}")
    must(tree.is_alive(pid) and tree.status_of(pid)["TracerPid"] == "0", "the tree was harmed")


def served_mount_of_others(place):
    """A FUSE outside that only somebody else may enter, root not either, is there in a copy"""
    if not os.path.exists("/dev/fuse"):
        return
    there = place.file("there")
    os.mkdir(there)
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=4711,group_id=4711"
    subprocess.run(["mount", "-i", "-t", "fuse.it", "-o", options, "it", there], check=True,
                   pass_fds=[server])
    try:
        pid = place.start("exec unshare -m sleep 1000")
        must(tree.wait_for(lambda: tree.status_of(pid)["Name"] == "sleep", 10), "no sleep")
        before = [line for line in tree.read(pid, "mountinfo").splitlines() if there in line]
        place.dump(pid)
        pid = place.restored()
        after = [line for line in tree.read(pid, "mountinfo").splitlines() if there in line]
        must(len(before) == 1 and [line.split()[2:] for line in before]
             == [line.split()[2:] for line in after], f"{before}\n{after}")
    finally:
        subprocess.run(["umount", "-l", there], check=True)
        os.close(server)


CASES = [no_such_process, proc_of_another_namespace, no_directory, empty_directory,
         dump_restore_round, dump_of_others,
         dump_of_who_cannot_be_asked, own_user_namespaces, leave_running, leave_stopped,
         stopped_root, statistics, no_room_for_pages, login_uid, death_signal_of_thread,
         lowered_score, work_directory, log_on_failure, action_script, script_in_namespaces,
         shell_job, unsupported_file, unsupported_socket, large_unlinked_files, served_mount,
         served_mount_of_others, traced_task, interrupted]
