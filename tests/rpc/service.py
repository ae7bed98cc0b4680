# SPDX-License-Identifier: LGPL-2.1-or-later
"""nestor service, which serves many."""

import os
import signal
import socket
import subprocess
import threading
import time

from client import LIMIT, Client, must, must_run, tree
from messages import TYPES, pack, unpack


class Listener:
    """A nestor service."""

    def __init__(self, place, *options, **more):
        self.address = os.path.join(place.path, "socket")
        self.process = subprocess.Popen([place.nestor, "service", "--address", self.address, *options],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
        must(tree.wait_for(lambda: os.path.exists(self.address), 10), "it does not come up")

    def connect(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.settimeout(LIMIT)
        tree.wait_for(lambda: client.connect_ex(self.address) == 0, 5)
        return client

    def ask(self, client, kind, **fields):
        client.send(pack("criu_req", type=TYPES[kind], **fields))
        return unpack("criu_resp", client.recv(1 << 20))

    def done(self):
        self.process.terminate()
        self.process.communicate(timeout=LIMIT)


def service(place):
    """A service serves clients beside each other, and leaves no process behind"""
    pid = place.start()
    listener = Listener(place)
    try:
        must(os.stat(listener.address).st_mode & 0o777 == 0o700, "others may connect")
        waiting = [listener.connect() for _ in range(5)]
        answers = []

        def ask():
            client = listener.connect()
            answers.append(listener.ask(client, "VERSION")["success"])
            client.close()
        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        must(answers == [1] * 10, str(answers))
        client = listener.connect()
        must(listener.ask(client, "DUMP", opts=place.options(pid=pid))["success"], "not dumped")
        tree.reap(pid, 5)
        client = listener.connect()
        answer = listener.ask(client, "RESTORE", opts=place.options())
        must(answer["success"] and answer["restore"]["pid"] == pid, str(answer))
        for client in waiting:
            client.close()
        must(tree.wait_for(lambda: not tree.children_of(listener.process.pid), 5),
             "processes of the service stay")
        second = subprocess.run([place.nestor, "service", "--address", listener.address],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=LIMIT, check=False)
        must("[busy]" in second.stderr, second.stderr)
    finally:
        listener.done()
    # What it left is taken over, and nothing that is no socket.
    reading, writing = os.pipe()
    taking_over = Listener(place, "--status-fd", str(writing), pass_fds=[writing])
    os.close(writing)
    must(os.read(reading, 2) == b"\0" and os.read(reading, 2) == b"", "it does not say that it is ready")
    os.close(reading)
    taking_over.done()
    os.unlink(listener.address)
    open(listener.address, "w", encoding="ascii").close()
    done = subprocess.run([place.nestor, "service", "--address", listener.address],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
                          check=False)
    must(done.returncode == 1 and "a regular file" in done.stderr, done.stderr)


def service_of_others(place):
    """Somebody else is not served"""
    listener = Listener(place)
    try:
        os.chmod(place.path, 0o755)
        os.chmod(listener.address, 0o777)
        child = os.fork()
        if child == 0:
            served = 1
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                client = listener.connect()
                client.send(pack("criu_req", type=TYPES["VERSION"]))
                served = 1 if client.recv(100) else 0
            except (ConnectionResetError, BrokenPipeError):
                served = 0
            finally:
                os._exit(served)
        must(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "served")
    finally:
        listener.done()


def many_clients_die(place):
    """Clients and services that are killed at any instant leave nothing behind"""
    pid = place.start("while :; do sleep 0.02; done")
    for number in range(30):
        client = Client(place)
        client.send("DUMP", opts=place.options(pid=pid, leave_running=True))
        time.sleep(number * 0.001)
        client.process.send_signal(signal.SIGKILL)
        client.process.communicate(timeout=LIMIT)
    must(tree.wait_for(lambda: tree.status_of(pid)["TracerPid"] == "0", 5), "it is traced")
    must_run(pid)


CASES = [service, service_of_others, many_clients_die]
