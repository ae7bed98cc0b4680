# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs of a test program, side by side, each worker in a pid namespace of its own.

Ids that one run has left are then not taken by another's tasks before they are restored, whatever
a run leaves behind is seen right after it, and one that hangs is told and ended.
"""

import concurrent.futures
import json
import os
import queue
import select
import signal
import subprocess
import sys

import tree

PATIENCE = 5


def describe(pids):
    """What processes are and where they wait, a line each."""
    lines = []
    for pid in pids:
        status = tree.status_of(pid)
        lines.append(f"{pid} {status.get('Name')} {status.get('State')} parent {status.get('PPid')} "
                     f"tracer {status.get('TracerPid')} of {status.get('Threads')} threads, "
                     f"wchan {tree.read(pid, 'wchan')}: "
                     + tree.read(pid, "cmdline").replace("\0", " ")[:200])
    return lines


def everybody_else():
    """All processes of this pid namespace but this one; the dead ones that are ours are reaped."""
    found = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in found if pid != os.getpid() and not tree.reap(pid)]


def end_leftovers():
    """Ends what a run has left behind; returns what that was. What dies already may take a while."""
    if tree.wait_for(lambda: not everybody_else(), PATIENCE):
        return []
    told = describe(everybody_else())
    kill_everybody_else()
    return told


def kill_everybody_else(spared=()):
    """False when some do not end."""
    def all_ended():
        left = set(everybody_else()) - set(spared)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left
    return tree.wait_for(all_ended, PATIENCE)


def serve(work):
    """A worker: answers each line with a number with work(number): outcome, text, and more."""
    tree.become_subreaper()
    for line in sys.stdin:
        outcome, text, *more = work(int(line))
        left = end_leftovers()
        if left:
            outcome = "not ok"
            text = "\n".join([text, "processes that nobody ended:"] + left).lstrip()
        print(json.dumps([outcome, text, *more]), flush=True)


# System V objects that a program leaves behind end with its worker.
APART = ["unshare", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child"]


def execute_apart(*more, others=()):
    """This program again, with more options, in namespaces of its own: pid, ipc, and others."""
    os.execvp(APART[0], [*APART[:1], *others, *APART[1:], sys.executable, *sys.argv, *more])


class Worker:
    """A process of the program in a pid and an ipc namespace of its own."""

    def __init__(self, command):
        self.command, self.process = command, None

    def start(self):
        self.process = subprocess.Popen(
            APART + self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1)

    def ask(self, number, limit):
        if not self.process:
            self.start()
        try:
            self.process.stdin.write(f"{number}\n")
            self.process.stdin.flush()
            ready = select.select([self.process.stdout], [], [], limit)[0]
            line = self.process.stdout.readline() if ready else ""
        except BrokenPipeError:
            ready, line = True, ""
        if line:
            return json.loads(line)
        told = describe(tree.processes(self.process.pid))
        self.end()
        return ["not ok", "\n".join(["the worker broke" if ready else f"no end within {limit} s:"]
                                    + told)]

    def end(self):
        if self.process:
            self.process.stdin.close()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process = None


def run(numbers, jobs, limit):
    """
    Yields (number, outcome, text, what else work() said) in the order of numbers, which workers of
    this same program with the option --worker (see serve()) carry out, each within limit seconds.
    """
    free = queue.SimpleQueue()
    workers = [Worker([sys.executable, *sys.argv, "--worker"]) for _ in range(jobs)]
    for worker in workers:
        free.put(worker)

    def one(number):
        worker = free.get()
        try:
            return worker.ask(number, limit)
        finally:
            free.put(worker)
    try:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            try:
                for number, result in zip(numbers, pool.map(one, numbers)):
                    yield (number, *result)
            finally:
                # Whoever asks for no more is not to wait for all of them.
                pool.shutdown(wait=False, cancel_futures=True)
    finally:
        for worker in workers:
            worker.end()
