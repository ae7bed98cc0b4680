# SPDX-License-Identifier: LGPL-2.1-or-later
"""What /proc shows of a process tree, in a form that can be compared before and after a restore.

Tasks are named by their pid vectors below the root's own level, which a restore has to keep;
numbers that the kernel hands out anew (inodes of pipes and of shared memory) are left out.
"""

import contextlib
import ctypes
import fcntl
import glob
import os
import re
import signal
import subprocess
import time

STATUS_FIELDS = (
    "Name Umask Uid Gid FDSize Groups NStgid NSpid NSpgid NSsid Threads SigPnd ShdPnd SigBlk "
    "SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters "
    "Speculation_Store_Bypass SpeculationIndirectBranch Cpus_allowed THP_enabled").split()
# The kernel's table of descriptors only grows; a restored task starts with a smaller one.
STATUS_FIELDS.remove("FDSize")
LEVEL_FIELDS = ("NStgid", "NSpid", "NSpgid", "NSsid")

# proc_pid_stat(5): tty, flags aside, priority, nice, code and stack layout, arguments, exit_signal,
# rt_priority, policy, data, brk, arg, env, exit_code
STAT_FIELDS = (7, 19, 26, 27, 28, 38, 40, 41, 45, 46, 47, 48, 49, 50, 51, 52)
PLAIN_FILES = ("comm", "cmdline", "environ", "auxv", "limits", "oom_score_adj", "personality",
               "timerslack_ns", "coredump_filter", "timers")
# "gu" spreads to neighbours that are merged with one that has guards (VM_MAYBE_GUARD is sticky).
VM_FLAGS_NOT_COMPARED = {"ac", "gu", "sd"}


def become_subreaper():
    """Restored trees become children of this process, which can then reap them by pid."""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)


def read(pid, name, binary=False):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            content = file.read()
    except OSError as error:
        return f"<{error.strerror}>"
    return content if binary else content.decode("utf-8", "replace")


def status_of(pid):
    fields = {}
    for line in read(pid, "status").splitlines():
        key, _, value = line.partition(":")
        fields[key] = value.strip()
    return fields


def children_of(pid):
    found = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for tid in threads:
        text = read(pid, f"task/{tid}/children")
        if not text.startswith("<"):
            found += [int(word) for word in text.split()]
    return sorted(found)


def processes(root):
    """The pids of a tree, parents first."""
    pids = [root]
    for pid in pids:
        pids += children_of(pid)
    return pids


def is_making_thread(pid):
    """Whether a thread is in the C library's pthread_create: that blocks what nobody else can,
    SIGCANCEL and SIGSETXID, and the new thread may run before it is back. One that is stopped
    there stays there."""
    reserved = 1 << 31 | 1 << 32
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    for tid in threads:
        fields = status_of(f"{pid}/task/{tid}")
        if int(fields.get("SigBlk", "0"), 16) & reserved == reserved \
                and not fields["State"].startswith("T") and not is_kernels(pid, tid):
            return True
    return False


def is_alive(pid):
    """False for a zombie too: nothing of it runs any more. A first thread that makes another and
    exits is seen the second time."""
    return any(status_of(living_thread(pid)).get("State", "X")[0] not in "XZ" for _ in range(2))


def living_thread(pid):
    """The process itself, or, where its first thread has exited, the next one: /proc has a folder
    for every thread."""
    try:
        threads = sorted(int(tid) for tid in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return pid
    if len(threads) > 1 and status_of(pid).get("State", "X")[0] in "XZ":
        return next(tid for tid in threads if tid != pid)
    return pid


def start_time(pid):
    """In clock ticks since boot; None if there is no such task."""
    text = read(pid, "stat")
    return None if text.startswith("<") else text[text.rfind(")") + 2:].split()[19]


def exists(pid):
    return os.path.exists(f"/proc/{pid}")


def in_initial_user_namespace():
    return os.stat("/proc/self/ns/user").st_ino == 0xEFFFFFFD  # PROC_USER_INIT_INO


# Below the initial user namespace shared anonymous memory is restored under another name.
OTHER_NAMES = {} if in_initial_user_namespace() else {
    "/memfd:nestor-shared (deleted)": "/dev/zero (deleted)"}


def normal_file(name):
    """The name of a mapped or open file without what a restore may change."""
    name = OTHER_NAMES.get(name, name)
    if name.endswith(" (deleted)"):
        if name.startswith(("/dev/zero", "/memfd:", "/SYSV")):
            return name
        return "(deleted)"
    return re.sub(r"^(pipe|socket):\[\d+\]$", r"\1:[]", name)


def areas(pid):
    """Memory areas with their flags; neighbours that the kernel might have merged are merged."""
    found = []
    for line in read(pid, "smaps").splitlines():
        match = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+) (\d+)\s*(.*)$", line)
        if match:
            start, end, mode, offset, device, inode, name = match.groups()
            backed = inode != "0"
            plain = normal_file(name)
            found.append({"start": int(start, 16), "end": int(end, 16), "mode": mode,
                          "offset": int(offset, 16) if backed else 0, "backed": backed,
                          "file": (device, inode, plain) if plain == name and backed
                          and "(deleted)" not in name
                          and not name.startswith("anon_inode:") else plain, "flags": ""})
        elif line.startswith("VmFlags:") and found:
            flags = [flag for flag in line.split()[1:] if flag not in VM_FLAGS_NOT_COMPARED]
            found[-1]["flags"] = " ".join(flags)
    merged = []
    for area in found:
        last = merged[-1] if merged else None
        if (last and last["end"] == area["start"] and last["mode"] == area["mode"]
                and last["file"] == area["file"] and last["flags"] == area["flags"]
                and (not area["backed"]
                     or last["offset"] + last["end"] - last["start"] == area["offset"])):
            last["end"] = area["end"]
        else:
            merged.append(area)
    return [f"{area['start']:x}-{area['end']:x} {area['mode']} {area['offset']:x} "
            f"{area['file']} {area['flags']}" for area in merged]


def descriptors(pid, namespaces=None):
    found = {}
    try:
        numbers = sorted(os.listdir(f"/proc/{pid}/fd"), key=int)
    except OSError:
        return found
    for number in numbers:
        try:
            link = normal_file(os.readlink(f"/proc/{pid}/fd/{number}"))
        except OSError as error:
            link = f"<{error.strerror}>"
        text = read(pid, f"fdinfo/{number}")
        if namespaces and re.match(Namespaces.LINK, link):
            link = namespaces.link(f"/proc/{pid}/fd/{number}", link)
            # O_LARGEFILE, which open adds and the ioctls that give namespaces do not.
            text = re.sub(r"flags:\s*(\d+)", lambda flags:
                          f"flags: 0{int(flags.group(1), 8) & ~0o100000:o}", text)
        # Who took a lock: a number of the namespace that /proc is of, or 0 for one that is gone.
        text = re.sub(r"(lock:.*(?:READ|WRITE|UNLCK)) -?\d+ ", r"\1 ", text)
        kept = [" ".join(line.split()) for line in text.splitlines()
                if line.startswith(("pos:", "flags:", "lock:"))]
        found[number] = f"{link} {' '.join(kept)}"
    return found


def link(pid, name):
    try:
        return normal_file(os.readlink(f"/proc/{pid}/{name}"))
    except OSError as error:
        return f"<{error.strerror}>"


def thread_facts(pid, tid, depth):
    fields = status_of(f"{pid}/task/{tid}")
    facts = {}
    for field in STATUS_FIELDS:
        value = fields.get(field, "")
        if field in LEVEL_FIELDS:
            value = " ".join(value.split()[depth:])
        facts[field] = value
    # A task may be seen running or asleep; stopped and dead are states to keep.
    state = fields.get("State", "?")[0]
    facts["State"] = state if state in "TZ" else "alive"
    if state == "Z" and int(fields.get("Threads", "1")) > 1:
        # A first thread that the others outlive: what it blocked does not matter to anybody.
        del facts["SigBlk"], facts["Seccomp"], facts["Seccomp_filters"]
    elif state == "Z":
        # Nobody can send it a signal any more, and nobody will take those that it has. SIGCHLD
        # would have a say in what becomes of its children while it is made.
        del facts["SigPnd"], facts["ShdPnd"]
        for field in ("SigIgn", "SigCgt"):
            facts[field] = f"{int(facts[field], 16) & ~(1 << signal.SIGCHLD - 1):016x}"
    return facts


def is_below(path, above):
    return above == "/" or path == above or path.startswith(above + "/")


def is_of_nestor(pid):
    """Does the mount namespace belong to our user namespace? Nothing is locked there."""
    fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    try:
        owner = fcntl.ioctl(fd, Namespaces.NS_GET_USERNS)
    except OSError:
        return True
    finally:
        os.close(fd)
    inode = os.fstat(owner).st_ino
    os.close(owner)
    return inode == os.stat("/proc/self/ns/user").st_ino


def covered_mounts(pid, lines):
    """
    The mounts of a namespace to which no path leads, by their ids, where what covers them may be
    locked.
    """
    if is_of_nestor(pid):
        return set()
    mounts = {line[0]: line for line in lines}
    children = {}
    for line in lines:
        children.setdefault(line[1], []).append(line)

    def hides(line, place):
        """Is something mounted on this mount that hides a place on it?"""
        return any(is_below(place, child[4]) for child in children.get(line[0], ()))

    def is_covered(line):
        if hides(line, line[4]):
            return True
        while (above := mounts.get(line[1])) and above is not line:
            if any(child is not line and child[4] != line[4] and is_below(line[4], child[4])
                   for child in children[above[0]]):
                return True
            line = above
        return False

    return {line[0] for line in lines if is_covered(line)}


def groups_seen(pids):
    """
    The groups of which some path leads to a mount. What mounts hide that cannot be taken away is
    in no group any more when it has been restored, and nothing is a slave of it.
    """
    seen, groups = set(), set()
    for pid in (*pids, "self"):
        try:
            namespace = os.stat(f"/proc/{pid}/ns/mnt").st_ino
        except OSError:
            continue
        if namespace in seen:
            continue
        seen.add(namespace)
        lines = [line.split() for line in read(pid, "mountinfo").splitlines()]
        covered = covered_mounts(pid, lines)
        groups.update(word.split(":")[1] for line in lines if line[0] not in covered
                      for word in line if word.startswith("shared:"))
    return groups


class Namespaces:
    """The namespaces of a tree, numbered in the order in which its tasks lead to them."""

    # Pid and user namespaces have relations of their own; mount namespaces may be made afresh.
    PLAIN = ("net", "uts", "ipc", "cgroup", "time", "time_for_children")
    LINK = r"(user|pid|net|uts|ipc|cgroup|time|mnt):\["

    NS_GET_USERNS, NS_GET_PARENT, NS_GET_OWNER_UID = 0xb701, 0xb702, 0xb704
    PIDFD_GET_PID_FOR_CHILDREN, PIDFD_THREAD = 0xff06, os.O_EXCL

    def __init__(self, pids=()):
        self.own = {os.stat(f"/proc/self/ns/{name}").st_ino
                    for name in ("user",) + self.PLAIN if os.path.exists(f"/proc/self/ns/{name}")}
        self.numbers = {}  # of devices and groups of mounts
        self.groups = groups_seen(pids)
        self.top = None  # the root's pid namespace, above which nothing is restored
        self.texts = {}
        self.readers = {}
        for pid in pids:
            try:
                self.readers.setdefault(os.stat(f"/proc/{pid}/ns/user").st_ino, pid)
                self.top = self.top or os.stat(f"/proc/{pid}/ns/pid")
            except OSError:
                pass

    def text(self, fd, describe):
        """Number and description, the latter once only."""
        status = os.fstat(fd)
        if status.st_ino in self.own:
            return "own"
        if status.st_ino not in self.texts:
            number = len(self.texts) + 1
            self.texts[status.st_ino] = f"{number}"  # those that it leads to come later
            self.texts[status.st_ino] = f"{number} {describe(fd)}"
        return self.texts[status.st_ino]

    def user_text(self, fd):
        return self.text(fd, self.describe_user)

    def pid_text(self, fd):
        return self.text(fd, self.describe_pid)

    def related(self, fd, request, text):
        try:
            other = fcntl.ioctl(fd, request)
        except OSError as error:
            return f"<{error.strerror}>"
        try:
            return text(other)
        finally:
            os.close(other)

    def describe_user(self, fd):
        owner = bytearray(4)
        fcntl.ioctl(fd, self.NS_GET_OWNER_UID, owner)
        return (f"of uid {int.from_bytes(owner, 'little')}: {self.maps(fd)}, "
                f"below ({self.related(fd, self.NS_GET_PARENT, self.user_text)})")

    def describe_pid(self, fd):
        owned = f"owned by {self.related(fd, self.NS_GET_USERNS, self.user_text)}"
        if self.top and os.path.samestat(os.fstat(fd), self.top):
            return owned
        return f"{owned}, below ({self.related(fd, self.NS_GET_PARENT, self.pid_text)})"

    def plain_text(self, fd):
        return self.text(fd, lambda fd: "owned by " + self.related(fd, self.NS_GET_USERNS,
                                                                   self.user_text))

    def maps(self, fd):
        reader, inside = self.readers.get(os.fstat(fd).st_ino), None
        if reader is None:  # nobody of the tree is inside
            inside = subprocess.Popen(
                ["nsenter", f"--user=/proc/self/fd/{fd}", "--preserve-credentials", "sh", "-c",
                 "echo; read go"], pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            inside.stdout.read(1)
            reader = inside.pid
        text = "; ".join(" ".join(read(reader, name).split())
                         for name in ("uid_map", "gid_map", "setgroups"))
        if inside:
            inside.communicate()
        return text

    def open_for_children(self, pid, tid):
        """Where the children of a thread will be born; /proc has no link without an init."""
        path = f"/proc/{pid}/task/{tid}/ns/pid_for_children"
        try:
            return os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            pidfd = os.pidfd_open(tid, 0 if tid == pid else self.PIDFD_THREAD)
            try:
                return fcntl.ioctl(pidfd, self.PIDFD_GET_PID_FOR_CHILDREN)
            finally:
                os.close(pidfd)

    def told(self, opened, text):
        """What a function that opens a namespace leads to."""
        try:
            fd = opened()
        except OSError:
            return "not shown"
        try:
            return text(fd)
        finally:
            os.close(fd)

    def link(self, path, name):
        """What a descriptor refers to; `name` has a number that a restore changes."""
        kind = name.split(":")[0]
        text = {"user": self.user_text, "pid": self.pid_text}.get(kind, self.plain_text)
        return f"{kind} {self.told(lambda: os.open(path, os.O_RDONLY), text)}"

    def facts(self, pid, threads):
        """The namespaces of a task, and for each of its threads that of its children."""
        found = {
            "user namespace": self.told(lambda: os.open(f"/proc/{pid}/ns/user", os.O_RDONLY),
                                        self.user_text),
            "pid namespace": self.told(lambda: os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY),
                                       self.pid_text),
        }
        for name, tid in threads.items():
            found[f"thread {name} pid namespace of children"] = self.told(
                lambda tid=tid: self.open_for_children(pid, tid), self.pid_text)
            for kind in self.PLAIN:
                path = f"/proc/{pid}/task/{tid}/ns/{kind}"
                found[f"thread {name} {kind} namespace"] = self.told(
                    lambda path=path: os.open(path, os.O_RDONLY), self.plain_text)
        return found


def in_order(timers):
    """By their ids: where threads made them at the same time, the kernel lists them otherwise."""
    return "".join(sorted(re.findall(r"^ID: \d+\n(?:(?!ID: ).*\n)*", timers, re.M),
                          key=lambda timer: int(timer.split()[1])))


def name_notified(timers, names):
    """Whom POSIX timers notify, /proc tells by the ids of the reader's pid namespace."""
    timers = re.sub(r"notify: (\S+)/pid\.\d+", r"notify: \1", timers)
    return re.sub(r"/tid\.(\d+)", lambda match: "/" + names.get(int(match.group(1)), "?"), timers)


def mounts(pid, numbers, groups):
    """
    The mounts of a task that has a mount namespace of its own, one a line: on which mount, what of
    which superblock, where, and how. Devices and groups are counted anew, over the whole tree.
    """
    try:
        if os.stat(f"/proc/{pid}/ns/mnt").st_ino == os.stat("/proc/self/ns/mnt").st_ino:
            return []
    except OSError:
        return []

    def anew(word):
        if re.match(Namespaces.LINK, word):
            return f"{word[:4]}{numbers.setdefault('namespace ' + word, len(numbers))}"
        # Of an autofs; as we see it, the group has a number of no meaning inside.
        word = re.sub(r",(pgrp|pipe_ino)=\d+", r",\1", word)
        tag = re.match(r"(shared|master|propagate_from):(\d+)$", word)
        return f"{tag[1]}:{numbers.setdefault('group ' + tag[2], len(numbers))}" if tag else word

    lines = [line.split() for line in read(pid, "mountinfo").splitlines()]
    covered = covered_mounts(pid, lines)

    def is_told(line, word):
        tag = re.match(r"(?:shared|master|propagate_from):(\d+)$", word)
        return not tag or (tag[1] in groups and line[0] not in covered)

    lines = [[word for word in line if is_told(line, word)] for line in lines]
    places = {line[0]: line[4] for line in lines}
    parents = {line[0]: line[1] for line in lines}

    def stacked(mount):
        """how many there are below it at the same place"""
        return 1 + stacked(parents[mount]) if places.get(parents[mount]) == places[mount] else 0

    lines.sort(key=lambda line: (line[4], places.get(line[1], "-"), stacked(line[0]), line[3],
                                 line[5], len(line), line[-3:]))
    return [" ".join([places.get(line[1], "-"),
                      str(numbers.setdefault("device " + line[2], len(numbers))),
                      *map(anew, line[3:])]) for line in lines]


def is_kernels(pid, tid):
    """A thread that the kernel has made in a process for work of its own (PF_IO_WORKER,
    PF_USER_WORKER)."""
    fields = read(pid, f"task/{tid}/stat").rpartition(")")[2].split()
    return len(fields) > 6 and int(fields[6]) & 0x4010 != 0


def task_facts(pid, depth, namespaces, ignore=()):
    facts = {}
    try:
        threads = sorted(int(tid) for tid in os.listdir(f"/proc/{pid}/task"))
        threads = [tid for tid in threads if tid == pid or not is_kernels(pid, tid)]
    except OSError:
        return {"gone": True}
    names = {}
    for tid in threads:
        thread = thread_facts(pid, tid, depth)
        names[tid] = thread["NSpid"]
        for key, value in thread.items():
            if key not in ignore:
                facts[f"thread {thread['NSpid']} {key}"] = value
    if "namespaces" not in ignore:
        facts.update(namespaces.facts(pid, {name: tid for tid, name in names.items()}))
    stat = read(pid, "stat")
    values = stat[stat.rfind(")") + 2:].split()
    for field in STAT_FIELDS:
        if "stat" not in ignore and len(values) > field - 3:
            facts[f"stat field {field}"] = values[field - 3]
    if not is_alive(pid):
        return facts
    pid = living_thread(pid)
    for name in PLAIN_FILES:
        if name not in ignore:
            text = read(pid, name, binary=True)
            facts[name] = text if isinstance(text, str) else text.decode("latin-1")
    if "timers" in facts:
        facts["timers"] = name_notified(in_order(facts["timers"]), names)
    for name in ("exe", "cwd", "root"):
        facts[name] = link(pid, name)
    if "maps" not in ignore:
        facts["maps"] = areas(pid)
    if "mounts" not in ignore:
        facts["mounts"] = mounts(pid, namespaces.numbers, namespaces.groups)
    if "fd" not in ignore:
        for number, text in descriptors(pid, namespaces).items():
            facts[f"fd {number}"] = text
    return facts


def tree_facts(root, ignore=()):
    """{task's pid vector: facts}, with parents by vector too."""
    depth = len(status_of(root).get("NSpid", "").split()) - 1
    names = {pid: " ".join(status_of(pid).get("NSpid", "?").split()[depth:])
             for pid in processes(root)}
    namespaces = Namespaces(names)
    tree = {}
    for name, pid in sorted((name, pid) for pid, name in names.items()):
        facts = task_facts(pid, depth, namespaces, ignore)
        if pid != root:
            facts["parent"] = names.get(int(status_of(pid).get("PPid", "0")), "outside")
        tree[name] = facts
    return tree


def differences(before, after):
    lines = []
    for task in sorted(set(before) | set(after)):
        if task not in after:
            lines.append(f"task {task}: not there after the restore")
            continue
        if task not in before:
            lines.append(f"task {task}: was not there before the dump")
            continue
        for key in sorted(set(before[task]) | set(after[task])):
            old, new = before[task].get(key), after[task].get(key)
            if old == new:
                continue
            if isinstance(old, list) and isinstance(new, list):
                lines += [f"task {task}: {key}: before: {line}" for line in old if line not in new]
                lines += [f"task {task}: {key}: after:  {line}" for line in new if line not in old]
            else:
                lines.append(f"task {task}: {key}: before {old!r}, after {new!r}")
    return lines


def reap(pid, timeout=0.0):
    """Reaps one child of ours if it is dead; True once it is no longer there."""
    end = time.monotonic() + timeout
    while True:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
        except ChildProcessError:
            if not exists(pid):
                return True
        if time.monotonic() >= end:
            return not exists(pid)
        time.sleep(0.002)


def reap_zombies(keep):
    """Reaps every dead child of ours but one that somebody else waits for."""
    for pid in children_of(os.getpid()):
        if pid != keep and status_of(pid).get("State", "")[:1] == "Z":
            reap(pid)


def kill_tree(root):
    """Ends a tree that a test started, by pid: stopped first, so that nobody sees others end."""
    pids = processes(root) if exists(root) else [root]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, number)
            except OSError:
                pass
    for pid in pids:
        reap(pid)
    reap(root, 2)


def wait_for(condition, timeout):
    """Polls; True when the condition came to hold in time."""
    end = time.monotonic() + timeout
    pause = 0.001
    while True:
        if condition():
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def remove_cgroups(name):
    """
    Removes the cgroups of this name (or that go on with a '-') below the roots of all hierarchies,
    with those below them; who is on the way out of them is waited for.
    """
    def are_gone():
        tops = [top for place in ("/sys/fs/cgroup/", "/sys/fs/cgroup/*/")
                for top in glob.glob(place + name) + glob.glob(place + name + "-*")]
        for top in tops:
            for path, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        return not any(map(os.path.exists, tops))
    return wait_for(are_gone, 2)


def switch_controllers_off(names):
    """What the root of version 2 passes on since, to nobody's use by now."""
    for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        for name in names:
            with contextlib.suppress(OSError):
                with open(f"{top}/cgroup.subtree_control", "w", encoding="ascii") as file:
                    file.write(f"-{name}")


LOOP_CLR_FD = 0x4C01


def detach_loop_devices(directory):
    """Whoever made them of files in there has not come to its end."""
    for path in glob.glob("/sys/block/loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                if not file.read().startswith(directory + "/"):
                    continue
            with open(f"/dev/{path.split('/')[3]}", "rb") as device:
                fcntl.ioctl(device, LOOP_CLR_FD)
