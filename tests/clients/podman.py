# SPDX-License-Identifier: LGPL-2.1-or-later
"""podman, by runc."""

import json
import os
import re
import subprocess

from place import BUSYBOX, TESTS, Failure, Skip, counter, must, must_count, must_stand, wants


def podman_round(place):
    """A container of podman goes and comes back, by runc"""
    wants("podman", "conmon", "runc", BUSYBOX)
    podman = ["podman", "--root", place.file("root"), "--runroot", place.file("run"), "--tmpdir",
              place.file("tmp"), "--cgroup-manager", "cgroupfs", "--events-backend", "file",
              "--runtime", "runc"]
    os.mkdir(place.file("data"))
    place.rootfs(place.file("rootfs"))
    place.at_end.append(podman + ["rm", "-f", "-t", "0", place.name])
    try:
        place.call(*podman, "run", "-d", "--name", place.name, "--network", "none",
                   "--cgroup-parent", f"/{place.name}", "--ulimit", "nofile=1024:1024",
                   "--ulimit", "nproc=1024:1024", "-v", f"{place.file('data')}:/data", "--rootfs",
                   place.file("rootfs"), "sh", "-c", counter("/data/count"))
    except Failure as failure:
        raise Skip("containers-of:podman") from failure
    must_count(place.file("data/count"), "before")
    for options in ([], ["--keep"]):
        place.call(*podman, "container", "checkpoint", *options, place.name)
        must_stand(place.file("data/count"))
        place.call(*podman, "container", "restore", *options, place.name)
        must_count(place.file("data/count"), "after the restore")
    must("hello" in place.call(*podman, "exec", place.name, "echo", "hello"),
         "no command can be run in it")


class Podman:
    """A container of an image, which has what an archive of it needs; it counts."""

    def __init__(self, place, *options):
        wants("podman", "conmon", "runc", BUSYBOX)
        self.place = place
        self.command = ["podman", "--root", place.file("root"), "--runroot", place.file("run"),
                        "--tmpdir", place.file("tmp"), "--cgroup-manager", "cgroupfs",
                        "--events-backend", "file", "--runtime", "runc", "--storage-driver", "vfs"]
        os.mkdir(place.file("data"))
        place.rootfs(place.file("rootfs"))
        place.call("tar", "-C", place.file("rootfs"), "-cf", place.file("image.tar"), ".")
        self.count = place.file("data/count")
        place.at_end.append(self.command + ["rm", "-f", "-a", "-t", "0"])
        try:
            place.call(*self.command, "import", place.file("image.tar"), "counts:latest")
            place.call(*self.command, "run", "-d", "--name", place.name, "--network", "none",
                       "--cgroup-parent", f"/{place.name}", "--ulimit", "nofile=1024:1024",
                       "--ulimit", "nproc=1024:1024", "-v", f"{place.file('data')}:/data",
                       *options, "counts:latest", "sh", "-c",
                       "echo mine >/tmp/changed; " + counter("/data/count"))
        except Failure as failure:
            raise Skip("containers-of:podman") from failure
        must_count(self.count, "before")

    def call(self, *words):
        return self.place.call(*self.command, *words)


def podman_archive(place):
    """A checkpoint of podman is exported, read as other tools do, and imported by another name"""
    podman = Podman(place)
    archive = place.file("checkpoint.tar.gz")
    told = podman.call("container", "checkpoint", "--export", archive, "--compress", "gzip",
                       "--print-stats", "--ignore-volumes", place.name)
    stats = json.loads(told)["container_statistics"][0]
    must(stats["runtime_checkpoint_duration"] > 0
         and all(stats["criu_statistics"][name] > 0 for name in
                 ("freezing_time", "frozen_time", "memdump_time", "memwrite_time", "pages_scanned",
                  "pages_written")), told)
    must_stand(podman.count)
    read_archive(place, archive)
    podman.call("rm", "-f", place.name)
    told = podman.call("container", "restore", "--import", archive, "--name", place.name + "-b",
                       "--print-stats", "--ignore-volumes")
    stats = json.loads(told)["container_statistics"][0]["criu_statistics"]
    must(all(stats[name] > 0 for name in ("forking_time", "restore_time", "pages_restored")), told)
    must_count(podman.count, "after the import")
    must(podman.call("exec", place.name + "-b", "cat", "/tmp/changed") == "mine\n",
         "what it wrote to its root is not there")


def read_archive(place, archive):
    """What checkpointctl shows: names, the processes, statistics, sizes."""
    folder = place.file("archive")
    os.mkdir(folder)
    place.call("tar", "-C", folder, "-xf", archive)
    with open(os.path.join(folder, "config.dump"), encoding="utf-8") as file:
        must(json.load(file)["name"] == place.name, "another name")
    images = os.path.join(folder, "checkpoint")
    names = os.listdir(images)
    must({"inventory.img", "pstree.img", "manifest"} <= set(names), f"images are {names}")
    must("stats-dump" in os.listdir(folder), "no statistics")
    told = place.call(place.nestor, "tree", images)
    must(re.search(r"^1 +sh +alive", told, re.MULTILINE), told)
    done = subprocess.run([place.nestor, "show", images, "--kind", "tasks", "--json"],
                          capture_output=True, text=True, check=False)
    must(done.returncode == 0 and json.loads(done.stdout), done.stderr)
    crit = os.path.join(os.path.dirname(TESTS), "build", "criu", "crit")
    if os.path.exists(crit):
        told = place.call(crit, "x", images, "ps")
        must(re.search(r"^ +1 .* sh$", told, re.MULTILINE), told)
        told = json.loads(place.call(crit, "decode", "-i", os.path.join(folder, "stats-dump")))
        must(told["entries"][0]["dump"]["pages_written"] > 0, str(told))


def podman_pre_checkpoint(place):
    """A pre-checkpoint of podman, and a checkpoint with what has changed since; with a terminal"""
    podman = Podman(place, "-t")
    podman.call("container", "checkpoint", "--pre-checkpoint", place.name)
    must_count(podman.count, "after the pre-checkpoint")
    podman.call("container", "checkpoint", "--with-previous", place.name)
    must_stand(podman.count)
    podman.call("container", "restore", place.name)
    must_count(podman.count, "after the restore")
    with open("/proc/%s/stat" % podman.call("inspect", "--format", "{{.State.Pid}}", place.name)
              .strip(), encoding="ascii") as file:
        must(file.read().rsplit(")", 1)[1].split()[4] != "0", "it has no terminal")


def podman_from_criu(place):
    """What podman has dumped by CRIU, nestor restores"""
    podman = Podman(place)
    place.use(place.peer)
    podman.call("container", "checkpoint", place.name)
    must_stand(podman.count)
    place.use(place.nestor)
    podman.call("container", "restore", place.name)
    must_count(podman.count, "after the restore")
    must(podman.call("exec", place.name, "cat", "/tmp/changed") == "mine\n",
         "what it wrote to its root is not there")


CASES = [podman_round, podman_archive, podman_pre_checkpoint, podman_from_criu]
