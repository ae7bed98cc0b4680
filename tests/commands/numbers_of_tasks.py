# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs with exact ids (nestor run), and the last ids of namespaces."""

import os
import shutil
import signal
import subprocess
import time

from place import Failure, must, nestor, ORDINARY, program
import tree


def nested(place, levels, *options):
    """Inits of nested pid namespaces; the file of the innermost one, and the pid of its init."""
    words = ["unshare", *options, "--pid", "--fork"] * levels + ["sleep", "1000"]
    pid = place.start("exec " + " ".join(words))
    inner = []
    tree.wait_for(lambda: inner.append(tree.processes(pid)) or len(inner[-1]) > levels, 10)
    must(len(inner[-1]) == levels + 1, "the namespaces do not come up")
    return f"/proc/{inner[-1][-1]}/ns/pid", inner[-1][-1]


def far_number():
    """A number of our own namespace that is free, and that the counter does not reach soon."""
    with open("/proc/sys/kernel/ns_last_pid", encoding="ascii") as file:
        number = int(file.read())
    while True:
        number = 5000 + (number + 7001) % 25000
        if not os.path.exists(f"/proc/{number}"):
            return number


def ids_of_run(*arguments):
    """What NSpid has of a program that nestor run starts, innermost first, as a vector."""
    done = nestor("run", *arguments, "--", "grep", "NSpid", "/proc/self/status").ok()
    return ":".join(reversed(done.out.split()[1:]))


def expect_ids(inner, namespace, *how):
    """Runs a program with these inner ids and one of our own namespace; that it gets them."""
    vector = f"{inner}:{far_number()}".lstrip(":")
    got = ids_of_run("--pids", vector, *(["--ns", namespace] if namespace else []), *how)
    must(got == vector, f"{got}, not {vector}, with {how}")


def run_exact_ids(place):
    """run gives a program its ids at every level, by set_tid and through last pids"""
    expect_ids("", None)
    expect_ids("", None, "--last-pids")
    for options in ([], ["--user", "--map-root-user"]):
        namespace, _ = nested(place, 3, *options)
        for how in ([], ["--last-pids"]):
            expect_ids("7:44:300", namespace, *how)
            got = ids_of_run("--pids", "9:55", "--ns", namespace, *how)
            must(got.startswith("9:55:") and got.count(":") == 3, f"{got} with {options} {how}")


def run_exact_ids_deep(place):
    """31 levels are as good as one"""
    namespace, _ = nested(place, 31)
    for how in ([], ["--last-pids"]):
        expect_ids(":".join(str(100 + level) for level in range(31)), namespace, *how)


def run_among_others(place):
    """Ids are had through last pids while others fork all the time at the outer levels"""
    namespace, inner = nested(place, 2)
    outer = int(tree.status_of(inner)["PPid"])
    loop = "while :; do /bin/true; done"
    place.start(loop)
    entered = subprocess.Popen(
        ["nsenter", "-t", str(outer), "-p", "sh", "-c", loop], start_new_session=True).pid
    place.roots.append(entered)
    # The shell inside stays, with whichever number is next: it has it before others are chosen.
    tree.wait_for(lambda: len(tree.processes(entered)) > 1, 10)
    for number in range(30):
        for left in range(9, -1, -1):
            try:
                expect_ids(f"{3000 + number}:{20000 + number}", namespace, "--last-pids")
                break
            except Failure as failure:
                # One of the others has it at this moment.
                if "[pid-in-use]" not in str(failure) or not left:
                    raise
                time.sleep(0.1)


def run_refusals(place):
    """What cannot be had is refused by name, with the level"""
    namespace, inner = nested(place, 2)
    nestor("run", "--", "true").fails("usage", 2)
    nestor("run", "--pids", "7").fails("usage", 2)
    nestor("run", "--pids", "7", "--").fails("usage", 2)
    nestor("run", "--pids", "7", "true").fails("usage", 2)
    for vector in ("", "7:", "x", "1", "0", "-7", "7;8", "99999999999"):
        nestor("run", f"--pids={vector}", "--", "true").fails("usage", 2)
    for how in ([], ["--last-pids"]):
        def refused(vector, name, text, *more):
            done = nestor("run", "--pids", vector, *more, *how, "--", "true").fails(name)
            must(text in done.err, f"no \"{text}\":\n{done.err}")
        refused("7:8", "too-many-levels", "1 level ")
        refused("7:8:9:10", "too-many-levels", "3 levels", "--ns", namespace)
        refused(f"7:8:{inner}", "pid-in-use", "level 2", "--ns", namespace)
        refused(f"7:4194304:{far_number()}", "pid-out-of-range", "level 1", "--ns", namespace)
        refused("7", "not-a-pid-namespace", "", "--ns", "/proc/self/ns/uts")
        refused("7", "io", "/no/such", "--ns", "/no/such")


def run_without_privilege(place):
    """Without the privilege it is refused, but one's own user namespace has it"""
    shutil.copy(program(), place.file("nestor"))
    os.chmod(place.path, 0o755)
    for how in ([], ["--last-pids"]):
        done = subprocess.run(ORDINARY + [place.file("nestor"), "run", "--pids", str(far_number()), *how,
                                          "--", "true"], capture_output=True, text=True, check=False)
        must(done.returncode == 1 and "[no-privilege]" in done.stderr and
             "level 0" in done.stderr, done.stderr)
        done = subprocess.run(ORDINARY + ["unshare", "-Ur", "--pid", "--fork", "--mount-proc",
                                          place.file("nestor"), "run", "--pids", "5432", *how,
                                          "--", "sh", "-c", "echo $$"],
                              capture_output=True, text=True, check=False)
        must(done.stdout == "5432\n", done.stdout + done.stderr)
        # From a user namespace whose root may not enter its own pid namespace again.
        script = ("unshare --pid --fork sleep 100 & sleep 0.3; "
                  "read inner < /proc/$!/task/$!/children; "
                  f"$0 run --pids 654 --ns /proc/$inner/ns/pid {' '.join(how)} "
                  "-- sh -c 'echo $$'; kill -9 $inner")
        done = subprocess.run(ORDINARY + ["unshare", "-Ur", "sh", "-c", script,
                                          place.file("nestor")],
                              capture_output=True, text=True, check=False)
        must(done.stdout == "654\n", done.stdout + done.stderr)


def run_accompanies(place):
    """run has the program's status, passes signals on, and stops and goes on with it"""
    must(nestor("run", "--pids", far_number(), "--", "sh", "-c", "exit 7").status == 7, "not 7")
    must(nestor("run", "--pids", far_number(), "--", "sh", "-c", "kill -9 $$").status == 137, "not 137")
    must(nestor("run", "--pids", far_number(), "--", "/no/such").fails("io", 127), "not 127")
    must(nestor("run", "--pids", far_number(), "--", "/etc/passwd").fails("io", 126), "not 126")
    pid = far_number()
    with subprocess.Popen(
            [program(), "run", "--pids", str(pid), "--", "sh", "-c",
             "trap 'exit 5' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"],
            stdout=subprocess.PIPE, text=True) as process:
        must(process.stdout.readline() == "ready\n", "does not start")
        process.send_signal(signal.SIGUSR1)
        must(process.stdout.readline() == "usr1\n", "SIGUSR1 was not passed on")
        os.kill(pid, signal.SIGSTOP)
        must(tree.wait_for(lambda: tree.status_of(process.pid)["State"][0] == "T", 5),
             "does not stop with the program")
        process.send_signal(signal.SIGCONT)
        must(tree.wait_for(lambda: tree.status_of(pid)["State"][0] != "T", 5),
             "does not continue the program")
        process.send_signal(signal.SIGTERM)
        must(process.wait(10) == 5, f"status {process.returncode}")
    with subprocess.Popen(
            [program(), "run", "--pids", str(far_number()), "--", "sh", "-c",
             "trap 'exit 5' TERM; trap 'echo chld' CHLD; trap 'echo usr1' USR1; echo ready; "
             "while :; do :; done"], stdout=subprocess.PIPE, text=True) as process:
        must(process.stdout.readline() == "ready\n", "does not start")
        process.send_signal(signal.SIGCHLD)
        for _ in range(2):
            process.send_signal(signal.SIGUSR1)
            must(process.stdout.readline() == "usr1\n", "SIGCHLD was passed on")
        process.send_signal(signal.SIGTERM)
        must(process.wait(10) == 5, f"status {process.returncode}")


def last_pids(place):
    """last-pids sets what the next ids are counted from"""
    namespace, _ = nested(place, 2)
    for _ in range(20):
        # Somebody on the machine may be the owner of the outermost number just now.
        done = nestor("last-pids", "--ns", namespace, f"600:700:{far_number()}")
        for _ in range(10):
            if "[pid-in-use]" not in done.err:
                break
            done = nestor("last-pids", "--ns", namespace, f"600:700:{far_number()}")
        done.ok()
        done = subprocess.run(["nsenter", f"--pid={namespace}", "grep", "NSpid",
                               "/proc/self/status"], capture_output=True, text=True, check=True)
        got = done.stdout.split()[2:]
        must(got == ["701", "601"], f"{got}")
    nestor("last-pids", "--ns", namespace, "0:800").ok()
    done = nestor("last-pids", "--ns", namespace, "0:0:0:5").fails("too-many-levels")
    must("3 levels" in done.err, done.err)
    nestor("last-pids").fails("usage", 2)
    nestor("last-pids", "7:x").fails("usage", 2)
    taken = place.sleeper()
    done = nestor("last-pids", "--ns", namespace, f"0:0:{taken - 1}").fails("pid-in-use")
    must("level 2" in done.err, done.err)


CASES = [
    run_exact_ids, run_exact_ids_deep, run_among_others, run_refusals, run_without_privilege,
    run_accompanies, last_pids,
]
