# SPDX-License-Identifier: LGPL-2.1-or-later
"""Restores: what they wait for, and images and files that are not as they were."""

import os
import re
import shlex
import subprocess
import threading
import time

from place import must, nestor, program, take
import tree


def restore_waits(place):
    """Without -d restore waits, and exits with the root's status"""
    place.dump(place.start("while ! [ -e go ]; do sleep 0.5; done; exit 7"))
    with open(place.file("go"), "w", encoding="ascii"):
        pass
    done = nestor("restore", "-D", place.images)
    must(done.status == 7, f"status {done.status}\n{done.err}")


def image_missing(place):
    """A directory that lost an image is refused before anything is made"""
    place.dumped()
    name = next(name for name in os.listdir(place.images) if name.startswith("core-"))
    os.unlink(os.path.join(place.images, name))
    nestor("restore", "-D", place.images, "-d").fails("image-missing")


def image_truncated(place):
    """An image that was cut is refused"""
    place.dumped()
    name = next(name for name in os.listdir(place.images) if name.startswith("pages-"))
    path = os.path.join(place.images, name)
    os.truncate(path, os.path.getsize(path) - 4096)
    nestor("restore", "-D", place.images, "-d").fails("image-truncated")


def image_altered(place):
    """An image in which one bit differs is refused"""
    place.dumped()
    name = next(name for name in os.listdir(place.images) if name.startswith("pages-"))
    path = os.path.join(place.images, name)
    with open(path, "r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))
    nestor("restore", "-D", place.images, "-d").fails("image-altered")


def file_gone(place):
    """A file that the tree has open is missing: refused, with its name"""
    path = place.file("open")
    pid = place.dump(place.start(f"exec 7<>{path}; echo content >&7; exec sleep 1000"))
    content = open(path, "rb").read()
    os.unlink(path)
    done = nestor("restore", "-D", place.images, "-d").fails("file-missing")
    must(path in done.err, f"the file is not named:\n{done.err}")
    with open(path, "wb") as file:
        file.write(content + b"more")
    nestor("restore", "-D", place.images, "-d").fails("file-changed")
    must(not tree.exists(pid), "a process was left behind")


def watched_mount_gone(place):
    """Where a mount was watched that is not there, what is around it is not watched instead"""
    there = place.file("there")
    os.mkdir(there)
    subprocess.run(["mount", "-t", "tmpfs", "watched", there], check=True)
    try:
        pid = place.start(
            "import ctypes, os, time; libc = ctypes.CDLL(None); group = libc.fanotify_init(2, 0); "
            f"libc.fanotify_mark(group, 0x11, ctypes.c_uint64(2), -100, {there.encode()}); "
            f"open('{place.file('made')}', 'w').close(); time.sleep(1000)", "python3")
        must(tree.wait_for(lambda: os.path.exists(place.file("made")), 20), "nothing is watched")
        place.dump(pid)
    finally:
        subprocess.run(["umount", "-l", there], check=True)
    done = nestor("restore", "-D", place.images, "-d").fails("file-changed")
    must(f"nothing is mounted at {there}" in done.err, f"it is not named:\n{done.err}")
    os.rmdir(there)
    nestor("restore", "-D", place.images, "-d").fails("file-missing")
    must(not tree.exists(pid), "a process was left behind")


def file_replaced(place):
    """A file that the tree only reads is another of the same size: a warning says so"""
    path = place.file("read")
    with open(path, "w", encoding="ascii") as file:
        file.write("content")
    pid = place.dump(place.start(f"exec 7<{path}; exec sleep 1000"))
    place.roots.append(pid)
    done = nestor("restore", "-D", place.images, "-d").ok()
    must("time of modification" not in done.err, f"a warning without a reason:\n{done.err}")
    tree.kill_tree(pid)
    must(tree.reap(pid, 5), "it does not end")
    os.rename(path, path + ".old")
    with open(path, "w", encoding="ascii") as file:
        file.write("another")
    done = nestor("restore", "-D", place.images, "-d").ok()
    must("time of modification" in done.err and path in done.err, f"no warning:\n{done.err}")


def waits_for_the_dead(place):
    """A restore right after the dump waits a moment for whoever has to wait for the dead"""
    pids = tree.processes(place.start("sleep 1000 & wait"))
    nestor("dump", "-t", pids[0], "-D", place.images).ok()
    reaper = threading.Timer(0.3, lambda: [tree.reap(pid, 5) for pid in pids])
    reaper.start()
    try:
        must(place.restored() == pids[0], "the root has another pid")
    finally:
        reaper.join()


def pid_in_use(place):
    """Pids that others have are refused, all with who has them, and nothing is left behind"""
    root = place.start("sleep 1000 & sleep 1000 & wait")
    must(tree.wait_for(lambda: [tree.status_of(pid).get("Name") for pid in tree.processes(root)]
                       == ["sh", "sleep", "sleep"], 20), "expected three tasks")
    pids = tree.processes(root)
    place.dump(pids[0])
    take(place, pids[0])
    take(place, pids[2])
    done = nestor("restore", "-D", place.images, "-d").fails("pid-in-use")
    for text in (f'{pids[0]} by "sleep"', f'{pids[2]} by "sleep"', "2 of its ids",
                 "--unshare pid"):
        must(text in done.err, f"no {text}:\n{done.err}")
    must(tree.is_alive(pids[0]) and tree.is_alive(pids[2]), "who had the pids was harmed")
    must(not tree.exists(pids[1]), "a process was left behind")


def outrun(place):
    """An id that somebody takes after nestor has looked, for some seconds, is had after that"""
    pid, script, looked, taken = (place.dumped(), place.file("script"), place.file("looked"),
                                  place.file("taken"))
    with open(script, "w", encoding="ascii") as file:
        file.write(f"""#!/bin/sh
            [ "$CRTOOLS_SCRIPT_ACTION" = setup-namespaces ] && [ ! -e {looked} ] || exit 0
            >{looked}; while [ ! -e {taken} ]; do sleep 0.01; done""")
    os.chmod(script, 0o700)

    def take_it():
        must(tree.wait_for(lambda: os.path.exists(looked), 20), "nestor never looked")
        take(place, pid)
        with open(taken, "w", encoding="ascii"):
            time.sleep(1.5)
        tree.kill_tree(pid)
    other = threading.Thread(target=take_it)
    other.start()
    root = place.restored("--action-script", script)
    other.join()
    must(root == pid, f"the root has the pid {root}")
    must(os.path.exists(taken), "nobody took anything")


def systemd_reload(place):
    """Who is called systemd and waits for it is told to reload; another one is not"""
    told = place.file("told")
    waits = f"""import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None)
libc.prctl(15, b"systemd")
pidfd = os.pidfd_open(os.getpid())
if sys.argv[1] == "waits":
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGHUP}})
    signals = libc.signalfd(-1, (ctypes.c_ulong * 16)(1 << signal.SIGHUP - 1), 0)
open(f"{place.path}/is-{{sys.argv[1]}}", "w").close()
if sys.argv[1] == "waits":
    os.read(signals, 128)
    open({told!r}, "w").close()
time.sleep(1000)"""
    names = ("waits", "other")
    runs = " & ".join(f"python3 -c {shlex.quote(waits)} {name}" for name in names)
    pid = place.start(f"{runs} & wait")
    for name in names:
        must(tree.wait_for(lambda: os.path.exists(place.file("is-" + name)), 20), f"no {name}")
    count = len(tree.processes(pid))
    place.dump(pid)
    root = place.restored("--no-systemd-reload")
    time.sleep(0.3)
    must(not os.path.exists(told), "it was told against our will")
    place.dump(root)
    root = place.restored()
    must(tree.wait_for(lambda: os.path.exists(told), 20), "nobody was told")
    must(len(tree.processes(root)) == count, "somebody was ended")


def terminal_in_use(place):
    """The number of a terminal that somebody else has by now is refused by its name"""
    script = f"import os, time; os.openpty(); open({place.file('made')!r}, 'w'); time.sleep(1000)"
    pid = place.start(f"exec python3 -c {shlex.quote(script)}")
    must(tree.wait_for(lambda: os.path.exists(place.file("made")), 20), "it has no terminal")
    number = next(name for name in (os.readlink(f"/proc/{pid}/fd/{fd}")
                                    for fd in os.listdir(f"/proc/{pid}/fd"))
                  if re.fullmatch(r"/dev/pts/\d+", name))
    place.dump(pid)
    ends = []
    try:
        while not os.path.exists(number):
            ends += os.openpty()
        done = nestor("restore", "-D", place.images, "-d").fails("terminal-in-use")
        must(f"terminal number {os.path.basename(number)} is in use" in done.err,
             f"which one is not said:\n{done.err}")
        must(not tree.exists(pid), "a process was left behind")
    finally:
        for end in ends:
            os.close(end)


def executes_command(place):
    """--exec-cmd executes a command as the parent of the restored root"""
    pid = place.dumped()
    nestor("restore", "-D", place.images, "--exec-cmd").fails("usage", 2)
    nestor("restore", "-D", place.images, "-d", "--exec-cmd", "--", "true").fails("usage", 2)
    done = nestor("restore", "-D", place.images, "--exec-cmd", "--", "sh", "-c",
                  f"cat /proc/{pid}/status; kill -9 {pid}; echo $$; exit 5")
    must(done.status == 5 and re.search(r"PPid:\t(\d+)", done.out).group(1) == done.out.split()[-1],
         f"{done.status}: {done.out} {done.err}")


def cannot_be_given(place):
    """A pipe that nestor has no right to give to its user stays nestor's: a warning says so"""
    without = ["setpriv", "--bounding-set=-chown", "--inh-caps=-chown"]
    ends = os.pipe()
    os.fchown(ends[1], 1234, 1234)
    process = subprocess.Popen([*without, "sleep", "1000"], pass_fds=ends, cwd=place.path,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    place.roots.append(process.pid)
    for end in ends:
        os.close(end)
    must(tree.wait_for(lambda: tree.status_of(process.pid).get("Name") == "sleep", 5), "no start")
    place.dump(process.pid)
    done = subprocess.run([*without, program(), "restore", "-D", place.images, "-d"],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                          timeout=60)
    must(done.returncode == 0 and "not to user 1234" in done.stderr, f"no warning:\n{done.stderr}")


def limits_of_users(place):
    """A user's limit of pending signals is set again without CAP_SYS_RESOURCE, too"""
    without = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    pid = place.start(f"exec prlimit --sigpending=100:200 {shlex.join(user)} sleep 1000")
    must(tree.wait_for(lambda: tree.status_of(pid).get("Name") == "sleep", 5), "no start")

    def limit():
        with open(f"/proc/{pid}/limits", encoding="ascii") as lines:
            return next(line for line in lines if "pending signals" in line)
    before = limit()
    place.dump(pid)
    done = subprocess.run([*without, program(), "restore", "-D", place.images, "-d"],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                          timeout=60)
    must(done.returncode == 0 and limit() == before and " 100 " in before,
         f"{before}{done.stderr}")


def device_numbers(place):
    """What is on no device has the device number that it had, as long as nobody else has it"""
    names = ["first", "second", "third", "fourth"]
    # The last ones get the numbers of the first two. In the order of mounts they would not.
    script = (f"mkdir -p {' '.join(names)}; exec unshare -m sh -c '"
              "for name in first second third fourth; do mount -t tmpfs $name $name; done;"
              "umount first second; mount -t tmpfs first first; mount -t tmpfs second second;"
              "touch ready; exec sleep 1000'")

    def see(pid):
        return [os.stat(f"/proc/{pid}/root{place.file(name)}").st_dev for name in names]
    images, seen = place.images, []
    # Others may take numbers at any time.
    for attempt in range(5):
        place.images = images + str(attempt)
        os.mkdir(place.images)
        pid = place.start(script)
        must(tree.wait_for(lambda: os.path.exists(place.file("ready")), 5), "it is not ready")
        os.unlink(place.file("ready"))
        before = see(pid)
        place.dump(pid)
        seen.append((before, see(place.restored())))
        if before == seen[-1][1] and before == sorted(before):
            return
    must(False, f"other numbers: {seen}")


CASES = [
    restore_waits, waits_for_the_dead, image_missing, image_truncated, image_altered, file_gone,
    watched_mount_gone, file_replaced, cannot_be_given, limits_of_users, pid_in_use, outrun,
    systemd_reload, terminal_in_use, executes_command, device_numbers,
]
