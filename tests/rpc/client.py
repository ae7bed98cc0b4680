# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of nestor swrk, and where its trees and images are."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from messages import TOP, TYPES, Failure, pack, unpack
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import tree  # noqa: E402

LIMIT = 30


def must(condition, text):
    if not condition:
        raise Failure(text)


class Client:
    """A nestor swrk at the other end of a socket."""

    def __init__(self, place, name="nestor", **options):
        self.place = place
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(LIMIT)
        self.process = subprocess.Popen(
            [name, "swrk", str(other.fileno())], executable=place.nestor, pass_fds=[other.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)
        other.close()
        place.clients.append(self)

    def send(self, kind, **fields):
        self.socket.send(pack("criu_req", type=TYPES[kind], **fields))

    def receive(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise Failure("the service has gone without an answer: "
                          + self.process.communicate(timeout=LIMIT)[1].decode())
        return unpack("criu_resp", data)

    def ask(self, kind, **fields):
        self.send(kind, **fields)
        return self.receive()

    def ends(self, status=0):
        self.socket.close()
        self.process.communicate(timeout=LIMIT)
        must(self.process.returncode == status,
             f"it ended with {self.process.returncode}, not {status}")

    def done(self):
        self.socket.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Place:
    """A directory of images, and processes that are ended at the end."""

    nestor = os.path.join(TOP, "build", "nestor")

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="nestor-rpc-")
        self.images = os.path.join(self.path, "images")
        os.mkdir(self.images)
        self.fd = os.open(self.images, os.O_RDONLY | os.O_DIRECTORY)
        self.roots, self.clients = [], []

    def start(self, script="exec sleep 1000", shell="sh"):
        pid = subprocess.Popen([shell, "-c", script], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               cwd=self.path, start_new_session=True).pid
        self.roots.append(pid)
        time.sleep(0.1)
        return pid

    def options(self, **more):
        """What runc sends with every request, set or not."""
        return {"images_dir_fd": self.fd, "log_level": 4, "log_file": "dump.log",
                "ext_unix_sk": False, "tcp_established": False, "shell_job": False,
                "file_locks": False, "manage_cgroups": False, "orphan_pts_master": True,
                "auto_dedup": False, "lazy_pages": False, "empty_ns": 0,
                "config_file": "/no/such/file", **more}

    def done(self):
        for client in self.clients:
            client.done()
        for pid in self.roots:
            if tree.exists(pid):
                tree.kill_tree(pid)
            tree.reap(pid, 1)
        os.close(self.fd)
        shutil.rmtree(self.path, ignore_errors=True)


def must_run(pid):
    def runs():  # and not, for the moment, in vfork (D)
        status = tree.status_of(pid)
        return status.get("TracerPid") == "0" and status["State"][0] in "SR"
    must(tree.wait_for(runs, 5), f"the tree was harmed: {tree.status_of(pid).get('State')}")


def refused(answer, name, kind=None):
    must(not answer["success"] and f"[{name}]" in answer.get("cr_errmsg", ""), str(answer))
    must(answer["cr_errno"] > 0, "no number of an error")
    must(kind is None or answer["type"] == TYPES[kind], "an answer of another type")
