# SPDX-License-Identifier: LGPL-2.1-or-later
"""runc and crun."""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
import types

from place import (ANSWER, BUSYBOX, LIMIT, TESTS, TOP, Console, Failure, Skip, Talk, count_of,
                   counter, must, must_count, must_stand, needs_mounted_hierarchies, tail, tree,
                   wants)

CAPABILITIES = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE
    SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP""".split()


def copy_program(name, root):
    """A program with its libraries, at the places where they are."""
    path = os.path.realpath(shutil.which(name))
    told = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    for file in [path] + re.findall(r"(/\S+) \(0x", told):
        target = root + file
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(file, target)
    link = os.path.join(root, "bin", name)
    if not os.path.exists(link):
        shutil.copy(path, link)


class Runc:
    """A container; its standard input and output are pipes."""

    def __init__(self, place, script, programs=(), inner=None, console=False, user=0):
        """
        With programs it may use these, which make containers in it; /inner is the bundle of one.
        `user` is that of its root, in a user namespace of its own; 0: there is none.
        """
        wants("runc", BUSYBOX, *programs)
        self.place = place
        self.command = self.program() + ["--root", place.file("state")]
        for folder in (place.images, place.work):
            os.makedirs(folder, exist_ok=True)
        bundle = place.file("bundle")
        config = self.config_of(bundle, script)
        config["process"]["terminal"] = console
        if programs:
            self.let_nest(config)
        for program in programs:
            copy_program(program, os.path.join(bundle, "rootfs"))
        if inner:
            folder = os.path.join(bundle, "rootfs", "inner")
            more = self.config_of(folder, inner)
            more["root"]["readonly"] = False
            self.write_config(folder, more)
        # To map root in a user namespace below takes the last.
        for capabilities in config["process"]["capabilities"].values():
            capabilities += ["CAP_SETUID", "CAP_SETGID", "CAP_SETFCAP"]
        config["root"]["readonly"] = False
        config["linux"]["cgroupsPath"] = f"/{place.name}"
        config["mounts"].append({"destination": "/data", "type": "bind", "options": ["bind"],
                                 "source": place.file("data")})
        os.mkdir(place.file("data"))
        if user:
            config["linux"]["namespaces"].append({"type": "user"})
            for kind in ("uidMappings", "gidMappings"):
                config["linux"][kind] = [{"containerID": 0, "hostID": user, "size": 1000}]
        self.write_config(bundle, config)
        place.at_end.append(self.command + ["delete", "-f", place.name])
        try:
            self.talk = (self.on_console if console else self.start)("run", "--bundle", bundle)
        except Failure as failure:
            raise Skip(f"containers-of:{type(self).__name__.lower()}") from failure

    def program(self):
        return ["runc"]

    def config_of(self, bundle, script):
        self.place.rootfs(os.path.join(bundle, "rootfs"))
        self.place.call("runc", "spec", "--bundle", bundle)
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config["process"].update(terminal=False, args=["/bin/sh", "-c", script])
        config["process"].pop("rlimits", None)
        return config

    @staticmethod
    def write_config(bundle, config):
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)

    @staticmethod
    def let_nest(config):
        """All capabilities, and nothing covered or read-only that would have to be mounted again."""
        with open("/proc/self/status", encoding="ascii") as file:
            bits = int(re.search(r"^CapBnd:\s*(\w+)$", file.read(), re.MULTILINE).group(1), 16)
        names = [f"CAP_{name}" for bit, name in enumerate(CAPABILITIES) if bits >> bit & 1]
        for kind in config["process"]["capabilities"]:
            config["process"]["capabilities"][kind] = list(names)
        config["process"]["noNewPrivileges"] = False
        config["linux"].update(maskedPaths=[], readonlyPaths=[])
        for mount in config["mounts"]:
            mount["options"] = [word for word in mount.get("options", []) if word != "ro"]

    def start(self, what, *options, logs=()):
        talk = Talk(self.place)
        self.place.call(*self.command, what, "-d", *options, self.place.name, stdin=talk.stdin,
                        stdout=talk.stdout, logs=logs)
        talk.close_theirs()
        return talk

    def on_console(self, what, *options, logs=()):
        """Its terminal's master comes by a socket."""
        path = os.path.join(self.place.path, "console")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            listener.settimeout(LIMIT)
            self.place.call(*self.command, what, "-d", "--console-socket", path, *options,
                            self.place.name, stdout=subprocess.DEVNULL, logs=logs)
            with listener.accept()[0] as taken:
                taken.settimeout(LIMIT)
                _, fds, _, _ = socket.recv_fds(taken, 4096, 1)
        os.unlink(path)
        must(len(fds) == 1, "no master came")
        self.place.fds += fds
        return Console(fds[0])

    def state(self):
        return json.loads(self.place.call(*self.command, "state", self.place.name))["status"]

    def checkpoint(self, *options):
        place = self.place
        place.call(*self.command, "checkpoint", "--image-path", place.images, "--work-path",
                   place.work, *options, place.name, logs=[os.path.join(place.work, "dump.log")])

    def restore(self, *options, console=False):
        place = self.place
        self.talk = (self.on_console if console else self.start)("restore", "--bundle", place.file("bundle"), "--image-path",
                               place.images, "--work-path", place.work, *options,
                               logs=[os.path.join(place.work, "restore.log")])
        must(self.state() == "running", f"after the restore it is {self.state()}")
        return self.talk


def runc_round(place):
    """A container of runc goes and comes back, with pipes of the client, twice"""
    runc = Runc(place, ANSWER)
    runc.talk.ask("one", "before")
    for number in ("two", "three"):
        runc.checkpoint()
        runc.restore().ask(number, "after the restore")
        shutil.rmtree(place.images)
    must("hello" in place.call(*runc.command, "exec", place.name, "/bin/echo", "hello"),
         "no command can be run in it")


def runc_nested(place):
    """So does one that hosts nested pid, user and uts namespaces"""
    runc = Runc(place, f"exec unshare -U -r -p -f -u sh -c '{ANSWER}'")
    runc.talk.ask("one", "before")
    runc.checkpoint()
    runc.restore().ask("two", "after the restore")


def runc_goes_on(place):
    """With --leave-running it goes on"""
    runc = Runc(place, ANSWER)
    for number in ("one", "two"):
        runc.checkpoint("--leave-running")
        must(runc.state() == "running", f"it is {runc.state()}")
        runc.talk.ask(number, "after the checkpoint")
        shutil.rmtree(place.images)


def console_round(runc, place):
    """The caller gets the master of another terminal, which is as the first was, and can use it."""
    runc.talk.ask("one", "before")
    fcntl.ioctl(runc.talk.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    for number in ("two", "three"):
        runc.checkpoint()
        os.close(runc.talk.fd)
        place.fds.remove(runc.talk.fd)
        runc.restore(console=True).ask(number, "after the restore")
        must(runc.talk.size() == (77, 33), f"its size is {runc.talk.size()}")
        shutil.rmtree(place.images)
        os.mkdir(place.images)
    os.write(runc.talk.fd, b"\x03")
    must(tree.wait_for(lambda: runc.state() == "stopped", 5), "it does not control a session")


def runc_console(place):
    """A container of runc with a terminal: its manager gets the master of the new one"""
    console_round(Runc(place, f"trap 'exit 3' INT; {ANSWER}", console=True), place)


def crun_console(place):
    """So it is with crun"""
    console_round(Crun(place, f"trap 'exit 3' INT; {ANSWER}", console=True), place)


def runc_tcp(place):
    """A TCP connection over the container's own lo stays"""
    runc = Runc(place, "nc -l -p 5000 -e cat & while ! nc -z 127.0.0.1 4999 2>/dev/null && "
                "[ ! -e /data/go ]; do sleep 0.02; done; nc 127.0.0.1 5000")
    time.sleep(0.2)
    open(place.file("data/go"), "w", encoding="ascii").close()
    runc.talk.ask("one", "before", "{}")
    runc.checkpoint("--tcp-established")
    runc.restore("--tcp-established").ask("two", "after the restore", "{}")


def runc_rootless(place):
    """A person's own: runc tries, and is told why not; root dumps and restores it by its pid"""
    wants("runc", "setpriv", BUSYBOX)
    bundle, state = place.file("bundle"), place.file("state")
    count = os.path.join(bundle, "rootfs", "tmp", "count")
    place.rootfs(os.path.join(bundle, "rootfs"))
    shutil.copy(place.nestor, place.file("nestor"))
    os.unlink(place.file("bin/criu"))
    os.symlink("../nestor", place.file("bin/criu"))
    for folder in (state, place.images, place.work):
        os.mkdir(folder)
    person = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env",
              f"XDG_RUNTIME_DIR={place.path}", f"HOME={place.path}"]
    place.call("chown", "-R", "65534:65534", place.path)
    runc = person + ["runc", "--root", state]
    place.call(*person, "runc", "spec", "--rootless", "--bundle", bundle)
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config["process"].update(terminal=False, args=["/bin/sh", "-c", counter("/tmp/count")])
    config["process"].pop("rlimits", None)
    config["root"]["readonly"] = False
    Runc.write_config(bundle, config)
    place.at_end.append(runc + ["delete", "-f", place.name])
    talk = Talk(place)
    try:
        place.call(*runc, "run", "-d", "--bundle", bundle, place.name, stdout=talk.stdout)
        must_count(count, "before")
    except Failure as failure:
        raise Skip("containers-of:runc-rootless") from failure
    pid = json.loads(place.call(*runc, "state", place.name))["pid"]
    done = subprocess.run(runc + ["checkpoint", "--image-path", place.images, "--work-path",
                                  place.work, place.name], stdin=subprocess.DEVNULL, check=False,
                          capture_output=True, env=place.environment, timeout=60)
    log = tail(os.path.join(place.work, "dump.log"))
    must(done.returncode and "[no-privilege]" in log, f"it is not told why not:\n{log}")
    must_count(count, "after what was refused")
    shutil.rmtree(place.images)
    os.mkdir(place.images)
    place.call(place.nestor, "dump", "-t", pid, "-D", place.images, "--external", "auto")
    must_stand(count)
    pidfile = place.file("pid")
    place.call(place.nestor, "restore", "-D", place.images, "-d", "--external", "auto", "--unshare",
               "auto", "--pidfile", pidfile)
    with open(pidfile, encoding="ascii") as file:
        place.at_end.append(["kill", "-9", file.read()])
    must_count(count, "after the restore")


class Crun(Runc):
    """The same by crun, through libcriu, which Debian 12 builds it without."""

    def program(self):
        folder = os.path.join(os.path.dirname(TESTS), "build", "criu")
        crun = os.path.join(folder, "crun")
        if not os.path.exists(crun):
            subprocess.run([os.path.join(os.path.dirname(TESTS), "tools", "fetch-criu"), folder],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False, timeout=600)
        wants(crun)
        needs_mounted_hierarchies()
        # It takes no hierarchies of both versions.
        return ["unshare", "-m", "--propagation", "private", "sh", "-c",
                'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "-", crun]


def crun_round(place):
    """A container of crun goes and comes back, with pipes of the client, twice; or it goes on"""
    crun = Crun(place, ANSWER)
    crun.talk.ask("one", "before")
    crun.checkpoint("--leave-running")
    crun.talk.ask("two", "after the checkpoint")
    for number in ("three", "four"):
        shutil.rmtree(place.images)
        os.mkdir(place.images)
        crun.checkpoint()
        crun.restore().ask(number, "after the restore")
    must("hello" in place.call(*crun.command, "exec", place.name, "/bin/echo", "hello"),
         "no command can be run in it")


def crun_nested(place):
    """One of crun that hosts nested namespaces, after a pre-dump"""
    crun = Crun(place, f"exec unshare -U -r -p -f -u sh -c '{ANSWER}'")
    before = place.file("before")
    os.mkdir(before)
    crun.talk.ask("one", "before")
    place.call(*crun.command, "checkpoint", "--pre-dump", "--image-path", before, place.name)
    crun.talk.ask("two", "after the pre-dump")
    crun.checkpoint("--parent-path", "../before")
    crun.restore().ask("three", "after the restore")


def runc_pre_dump(place):
    """A pre-dump, a checkpoint after it that keeps only what is needed of it, and the restore"""
    runc = Runc(place, ANSWER)
    runc.talk.ask("one", "before")
    before = place.file("before")
    place.call(*runc.command, "checkpoint", "--pre-dump", "--image-path", before, place.name)
    must(runc.state() == "running", f"after the pre-dump it is {runc.state()}")
    runc.talk.ask("two", "after the pre-dump")
    runc.checkpoint("--parent-path", "../before", "--auto-dedup")
    with open(os.path.join(before, "manifest"), encoding="ascii") as file:
        must("\nremoved " in file.read(), "nothing is removed from the pre-dump")
    runc.restore("--auto-dedup").ask("three", "after the restore")


def runc_in_runc(place):
    """One in which runc runs another container, which goes on"""
    runc = Runc(place, "runc --root /tmp/state run -d --bundle /inner inner </dev/null "
                ">/data/said 2>&1; exec sleep 1000", programs=["runc"], inner=counter("/count"))
    count = place.file("bundle/rootfs/inner/rootfs/count")
    if not tree.wait_for(lambda: count_of(count) > 0, LIMIT):
        raise Skip("containers-of:runc-in-runc")
    runc.checkpoint()
    must_stand(count)
    runc.restore()
    must_count(count, "after the restore")
    must("hello" in place.call(*runc.command, "exec", place.name, "/bin/echo", "hello"),
         "no command can be run in it")


def runc_in_tree(place):
    """runc in a tree takes its containers for its own again, when it is told when they started"""
    wants("runc", "nsenter", BUSYBOX)
    bundle = place.file("bundle")
    config = Runc.config_of(types.SimpleNamespace(place=place), bundle, counter("/count"))
    config["root"]["readonly"] = False
    config["linux"]["cgroupsPath"] = f"/{place.name}"
    Runc.write_config(bundle, config)
    os.mkdir(place.images)
    count = place.file("bundle/rootfs/count")
    outer = place.background("unshare", "-mpf", "--mount-proc", "--kill-child", "setsid", "sh", "-c",
                             f"mount -t tmpfs run /run && runc run -d --bundle {bundle} inner; "
                             "exec sleep 1000")
    if not tree.wait_for(lambda: count_of(count) > 0, LIMIT):
        raise Skip("containers-of:runc-in-runc")
    root = tree.children_of(outer)[0]
    place.call(place.nestor, "dump", "-t", root, "-D", place.images)
    must_stand(count)
    place.call(place.nestor, "restore", "-d", "-D", place.images, "--pidfile", "root.pid",
               "--action-script", os.path.join(TOP, "scripts", "container-start-times"))
    with open(os.path.join(place.images, "root.pid"), encoding="ascii") as file:
        root = int(file.read())
    try:
        must_count(count, "after the restore")
        inside = ["nsenter", "--target", root, "--all", "runc"]
        must("hello" in place.call(*inside, "exec", "inner", "/bin/echo", "hello"),
             "no command can be run in it")
        place.call(*inside, "kill", "inner", "KILL")
        must(tree.wait_for(lambda: '"stopped"' in place.call(*inside, "state", "inner"), LIMIT),
             "it is not seen to end")
        place.call(*inside, "delete", "inner")
    finally:
        os.kill(root, signal.SIGKILL)
        tree.wait_for(lambda: not tree.is_alive(root), LIMIT)


def runc_bwrap(place):
    """One in which bwrap has made namespaces of every type"""
    wants("bwrap")
    runc = Runc(place, f"exec bwrap --unshare-all --dev-bind / / --proc /proc sh -c '{ANSWER}'",
                programs=["bwrap"])
    runc.talk.ask("one", "before")
    runc.checkpoint()
    runc.restore().ask("two", "after the restore")


def runc_from_criu(place):
    """What runc has dumped by CRIU, nestor restores"""
    runc = Runc(place, ANSWER)
    runc.talk.ask("one", "before")
    from_criu(runc)


def runc_user_from_criu(place):
    """So it does what is in a user namespace of its own, with files in memory"""
    runc = Runc(place, "echo mine >/dev/shm/file; " + ANSWER, user=1000)
    runc.talk.ask("one", "before")
    from_criu(runc)
    must("mine" in place.call(*runc.command, "exec", place.name, "/bin/cat", "/dev/shm/file"),
         "what was in /dev/shm is not there")
    told = place.call(*runc.command, "exec", place.name, "/bin/ls", "-n", "/dev/shm/file")
    must(told.split()[2:4] == ["0", "0"], told)


def from_criu(runc):
    runc.place.use(runc.place.peer)
    runc.checkpoint()
    runc.place.use(runc.place.nestor)
    runc.restore().ask("two", "after the restore")
    must("hello" in runc.place.call(*runc.command, "exec", runc.place.name, "/bin/echo", "hello"),
         "no command can be run in it")


CASES = [runc_round, runc_console, runc_nested, runc_goes_on, runc_tcp, runc_pre_dump, runc_in_runc,
         runc_in_tree, runc_bwrap, runc_rootless, crun_round, crun_console, crun_nested,
         runc_from_criu, runc_user_from_criu]
