# SPDX-License-Identifier: LGPL-2.1-or-later
"""Interactive shells in a terminal, dumped and restored by who sits there."""

import os
import pty
import select
import shutil
import signal
import tempfile
import time

from place import Failure, must, nestor, program


class Typed:
    """An interactive shell in a terminal, as a person has it"""

    def __init__(self):
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            os.closerange(3, 1024)
            # Who runs the tests in the background may ignore these, and a shell hands that down.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGQUIT, signal.SIG_DFL)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**os.environ, "PS1": "ready> ", "HISTFILE": ""})
        self.told = ""
        self.expect("ready> ")

    def expect(self, text):
        end = time.monotonic() + 10
        while text not in self.told:
            must(time.monotonic() < end, f"{text!r} does not come, but {self.told!r}")
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.told += os.read(self.terminal, 4096).decode(errors="replace")
        self.told = self.told.partition(text)[2]

    def type(self, text, answer):
        os.write(self.terminal, text.encode())
        self.expect(answer)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def interrupt(shell, prompt):
    """Control-C as often as it takes: the first may come before the program is ready to die of it"""
    for left in range(5, -1, -1):
        try:
            return shell.type("\x03", prompt)
        except Failure:
            if not left:
                raise


def shell_goes_on(command, leaving):
    directory = tempfile.mkdtemp(prefix="nestor-commands-")
    shells = [Typed()]
    try:
        shells[0].type(f"{command}\n", "ready> ")
        shells[0].type("kept=said-before; echo is-$$-it\n", "is-")
        shells[0].expect("\n")
        shells[0].expect("ready> ")
        with open(f"/proc/{shells[0].pid}/task/{shells[0].pid}/children", encoding="ascii") as file:
            inner = file.read().split()[0]
        nestor("dump", "-t", inner, "-D", directory, "--shell-job").ok()
        shells[0].expect("Killed")
        shells.append(Typed())
        shells[1].type(f"{program()} restore -D {directory} --shell-job\n", "\n")
        time.sleep(0.3)
        shells[1].type("\necho $kept-$((40+2))\n", "said-before-42")
        # The whole of what it runs is interrupted, and it goes on.
        # Once it says so the terminal is its own.
        shells[1].type("sh -c 'echo by-$((2+3)); exec sleep 100'; echo no\n", "by-5")
        interrupt(shells[1], "ready> ")
        shells[1].type("echo a$((1+1))b\n", "a2b")
        shells[1].type("exit\n", leaving)
        shells[1].type("echo outer-$((3+4))\n", "outer-7")
    finally:
        for shell in shells:
            shell.end()
        shutil.rmtree(directory, ignore_errors=True)


def shell_in_terminal(_):
    """--shell-job: a shell of one terminal goes on in another, with its job control"""
    shell_goes_on("bash --norc --noprofile -i", "exit")


def plain_shell_in_terminal(_):
    """the same for one that has opened /dev/tty"""
    shell_goes_on("dash -i", "\n")


CASES = [
    shell_in_terminal, plain_shell_in_terminal,
]
