# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Debian system that systemd boots in a container, with services in namespaces of their own.

Its root is made once (tools/make-system-root) and kept in the build folder; each system has a copy.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import tree

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOT = os.path.join(TOP, "build", "systems", "root")
BOOT_SECONDS = 60
IS_UP = ("running", "degraded")

COUNT = "n=0; while :; do n=$((n+1)); echo $n >>{}; sleep 0.1; done"
# {name: lines of [Service]}; each counts into a file of its own.
SERVICES = {
    "t-plain": "",
    "t-private": "PrivateTmp=yes\nPrivateNetwork=yes\nProtectHostname=yes\nProtectSystem=strict",
    "t-dynamic": "DynamicUser=yes\nPrivateDevices=yes",
    "t-users": "PrivateUsers=yes\nPrivateMounts=yes\nPrivateIPC=yes\nRuntimeDirectory=t-users",
    "t-all": """DynamicUser=yes
PrivateUsers=yes
PrivateNetwork=yes
PrivateIPC=yes
PrivateDevices=yes
ProtectHostname=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX
MemoryDenyWriteExecute=yes
LockPersonality=yes
SystemCallFilter=@system-service
SystemCallArchitectures=native
NoNewPrivileges=yes
CapabilityBoundingSet=""",
}
# Accepts by itself what systemd listens on; each connection counts its lines.
ECHO = """
import asyncio, socket
async def serve(reader, writer):
    n = 0
    while await reader.readline():
        n += 1
        writer.write(b'%d\\n' % n)
async def main():
    servers = [await asyncio.start_server(serve, sock=socket.socket(fileno=fd)) for fd in (3, 4)]
    await asyncio.gather(*(server.serve_forever() for server in servers))
asyncio.run(main())
"""
FILES = {
    "usr/local/bin/t-echo": "#!/usr/bin/python3\n" + ECHO,
    "etc/systemd/system/t-echo.socket":
        "[Socket]\nListenStream=0.0.0.0:5000\nListenStream=/run/t-echo\n",
    "etc/systemd/system/t-echo.service":
        "[Service]\nExecStart=/usr/local/bin/t-echo\nPrivateTmp=yes\nProtectSystem=strict\n",
    "etc/systemd/system/t-tick.timer":
        "[Timer]\nOnActiveSec=1\nOnUnitActiveSec=1\nAccuracySec=50ms\n",
    "etc/systemd/system/t-tick.service":
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=sh -c 'date +%%s >>/var/ticks'\n",
    "etc/systemd/system/t-bwrap.service":
        "[Service]\nExecStart=bwrap --unshare-all --bind / / --dev /dev sh -c '"
        + COUNT.format("/var/t-bwrap").replace("$", "$$") + "'\n",
}
WANTED = ["t-echo.socket", "t-tick.timer", "t-bwrap.service"]


class Missing(Exception):
    """A facility of the machine, by name."""


class Failure(Exception):
    pass


def make_root():
    """The root that systems are copies of; Missing tells what it would take."""
    if not shutil.which("systemd-nspawn"):
        raise Missing("program:systemd-nspawn")
    os.makedirs(os.path.dirname(ROOT), exist_ok=True)
    with open(ROOT + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([os.path.join(TOP, "tools", "make-system-root"), ROOT],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", check=False)
    if done.returncode:
        # A skip does not say why the packages could not be installed.
        with open(ROOT + ".log", "w", encoding="utf-8") as log:
            log.write(done.stdout + done.stderr)
        needs = re.search(r"^needs (\S+)$", done.stdout, re.M)
        if needs:
            raise Missing(needs.group(1))
        raise Failure(f"no root\n{done.stdout}{done.stderr}")


def write(root, path, text):
    with open(os.path.join(root, path), "w", encoding="ascii") as file:
        file.write(text)
    if path.startswith("usr/"):
        os.chmod(os.path.join(root, path), 0o755)


def add_units(root):
    files = dict(FILES)
    wanted = list(WANTED)
    for name, lines in SERVICES.items():
        count = COUNT.format("$STATE_DIRECTORY/count").replace("$", "$$")
        files[f"etc/systemd/system/{name}.service"] = (
            f"[Service]\nExecStart=sh -c '{count}'\nStateDirectory={name}\n{lines}\n")
        wanted.append(f"{name}.service")
    for path, text in files.items():
        write(root, path, text)
    wants = os.path.join(root, "etc/systemd/system/multi-user.target.wants")
    for unit in wanted:
        os.symlink(f"../{unit}", os.path.join(wants, unit))


def controllers():
    """{file: those of cgroup v2 that are on at the top}; systemd-nspawn switches on what it wants."""
    found = {}
    for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        path = os.path.join(top, "cgroup.subtree_control")
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                found[path] = set(file.read().split())
    return found


def take_controllers_back(before):
    """Others may have begun to use them since: then they stay."""
    for path, now in controllers().items():
        for name in now - before.get(path, set()):
            try:
                with open(path, "w", encoding="ascii") as file:
                    file.write(f"-{name}")
            except OSError:
                pass


def cgroup_folders(name):
    """A cgroup of this name, made in each hierarchy that systemd wants to have a part of."""
    for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"):
        if os.path.exists(os.path.join(top, "cgroup.procs")):
            folder = os.path.join(top, name)
            os.makedirs(folder, exist_ok=True)
            yield folder


class System:
    """One that is booted; `root` is its first process, as seen here."""

    def __init__(self, options=(), version=None):
        make_root()
        self.path = tempfile.mkdtemp(prefix="nestor-system-", dir="/var/tmp")
        os.chmod(self.path, 0o755)
        self.name = os.path.basename(self.path)
        self.images = self.file("images")
        self.options, self.version = list(options), version
        self.root, self.supervisor, self.log = None, None, None
        os.mkdir(self.images, 0o700)
        subprocess.run(["cp", "-a", "--reflink=auto", ROOT, self.file("root")], check=True)
        add_units(self.file("root"))

    def file(self, *names):
        return os.path.join(self.path, *names)

    def read(self, *names):
        try:
            with open(self.file("root", *names), encoding="ascii", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    # ---- booting

    def boot(self):
        """Returns the seconds that it took."""
        folders = list(cgroup_folders(self.name))
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
                   "--private-network", "--console=passive", "-D", self.file("root"), "-M",
                   self.name.replace("_", "-") + "x", *self.options]
        enter = "".join(f"echo $$ >{folder}/cgroup.procs; " for folder in folders)
        if self.version == 2:
            enter += ("mount --make-rprivate /; umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 "
                      "/sys/fs/cgroup; export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1; ")
        words = ["unshare", "--mount"] if self.version == 2 else []
        started = time.monotonic()
        self.log = open(self.file("log"), "wb")  # pylint: disable=consider-using-with
        self.supervisor = subprocess.Popen(
            words + ["sh", "-c", enter + 'exec "$@"', "sh", *command], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, start_new_session=True)
        if not tree.wait_for(self.find_root, 20):
            print("# " + self.logged().replace("\n", "\n# "), file=sys.stderr, flush=True)
            raise Missing("containers-of:systemd-nspawn")
        if not tree.wait_for(lambda: self.state() in IS_UP, BOOT_SECONDS):
            raise Failure(f"it does not boot: {self.state()}\n{self.logged()}")
        return time.monotonic() - started

    def logged(self):
        with open(self.file("log"), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-20:])

    def find_root(self):
        for pid in tree.processes(self.supervisor.pid)[1:]:
            ids = tree.status_of(pid).get("NSpid", "").split()
            if len(ids) > 1 and ids[-1] == "1" and tree.read(pid, "comm").strip() == "systemd":
                self.root = pid
        return self.root is not None

    # ---- asking

    def inside(self, *words, text=None, seconds=20, check=True):
        """What a command in the container prints."""
        try:
            done = subprocess.run(["nsenter", "-t", str(self.root), "-a", *words], input=text,
                                  stdin=None if text else subprocess.DEVNULL, text=True,
                                  capture_output=True, errors="replace", timeout=seconds,
                                  check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"{' '.join(words)}: no end") from None
        if check and done.returncode:
            raise Failure(f"{' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def state(self):
        return self.inside("systemctl", "is-system-running", check=False).strip()

    def outside(self, *words):
        subprocess.run(words, stdin=subprocess.DEVNULL, check=True)

    # ---- dump and restore

    def nestor(self, program, command, *options):
        """Returns the seconds that it took."""
        started = time.monotonic()
        done = subprocess.run([program, command, "-D", self.images, "-o", f"{command}.log",
                               *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=60, check=False)
        if done.returncode:
            raise Failure(f"{command}: {done.stderr}")
        return time.monotonic() - started

    def dump(self, program, *options):
        tasks = {task: tree.start_time(task) for task in tree.processes(self.root)}
        taken = self.nestor(program, "dump", "-t", str(self.root), "--external", "auto", *options)
        if not tree.wait_for(lambda: not self.left_of(tasks), 10):
            left = [f"{task} {tree.read(task, 'stat')}" for task in self.left_of(tasks)]
            raise Failure("the tree is still there: " + "".join(left))
        self.end_supervisor()
        return taken

    def left_of(self, tasks):
        """Those that are not gone, by pid and start time: somebody else may have a pid by now."""
        # A killed nestor leaves children in pid namespaces of the tree, whose inits wait for them.
        tree.reap_zombies(keep=self.supervisor.pid if self.supervisor else 0)
        return [task for task, started in tasks.items()
                if not tree.reap(task) and tree.start_time(task) == started]

    def end_supervisor(self):
        """It ends by itself with its container."""
        if self.supervisor:
            try:
                self.supervisor.wait(20)
            except subprocess.TimeoutExpired:
                raise Failure("systemd-nspawn does not end") from None
            self.supervisor = None

    def restore(self, program, *options):
        taken = self.nestor(program, "restore", "-d", "--pidfile", self.file("pid"), "--external",
                            "auto", *options)
        with open(self.file("pid"), encoding="ascii") as file:
            self.root = int(file.read())
        return taken

    def done(self):
        if self.root and tree.exists(self.root):
            tree.kill_tree(self.root)
        if self.supervisor:
            try:
                self.supervisor.wait(5)
            except subprocess.TimeoutExpired:
                tree.kill_tree(self.supervisor.pid)
                self.supervisor.wait()
        if self.log:
            self.log.close()
        subprocess.run(["rm", "-rf", "--one-file-system", self.path], check=False)
        tree.remove_cgroups(self.name)


