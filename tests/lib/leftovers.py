# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a nestor that was killed may have left behind, in namespaces where nobody else makes any."""

import atexit
import os
import subprocess
import tempfile

places_of_queues = []


def show_queues():
    """
    To be called once, before objects(), in a mount namespace of our own. Not over what is there:
    mounts that others hide are refused in nested user namespaces.
    """
    place = tempfile.mkdtemp(prefix="nestor-queues-")
    subprocess.run(["mount", "-t", "mqueue", "none", place], check=True)
    places_of_queues.append(place)
    atexit.register(hide_queues, place)


def hide_queues(place):
    subprocess.run(["umount", place], check=True)
    os.rmdir(place)


def names(run):
    """Where the scenario's files are."""
    return sorted(os.path.join(path, name) for path, directories, files in os.walk(run.state)
                  for name in directories + files if name not in ("stats-dump", "stats-restore"))


def cgroups(run):
    """The scenario's own, by the name that it gives them."""
    places = set()
    for line in open("/proc/self/mountinfo", encoding="utf-8"):
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup"):
            places.update(path for path, _, _ in os.walk(fields.split()[4])
                          if run.cgroup_name() in path)
    return places


def mounts():
    """Where and what, but for the ids."""
    for line in open("/proc/self/mountinfo", encoding="utf-8"):
        fields, _, rest = line.partition(" - ")
        yield "mount " + " ".join([fields.split()[4], *rest.split()[:2]])


def objects(run):
    """What is in the namespaces that nestor is in."""
    seen = {f"cgroup {path}" for path in cgroups(run)} | {
        f"queue {name}" for place in places_of_queues for name in os.listdir(place)} | set(mounts())
    for line in open("/proc/net/dev", encoding="ascii"):
        seen.add("interface " + line.split(":")[0].strip())
    for name in ("shm", "sem", "msg"):
        for line in open(f"/proc/sysvipc/{name}", encoding="ascii"):
            seen.add(f"{name} " + " ".join(line.split()[:2]))
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return seen | set(tables.stdout.splitlines())
