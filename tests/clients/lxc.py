# SPDX-License-Identifier: LGPL-2.1-or-later
"""lxc-checkpoint."""

import os

from place import (BUSYBOX, LIMIT, Failure, Skip, count_of, counter, must, must_count,
                   must_stand, tree, wants)


class Container:
    """One that counts in a file of its root."""

    def __init__(self, place):
        wants("lxc-start", "lxc-checkpoint", BUSYBOX)
        home = place.file("lxc")
        folder = os.path.join(home, place.name)
        rootfs = place.rootfs(os.path.join(folder, "rootfs"), counter("/tmp/count"))
        self.place, self.count = place, os.path.join(rootfs, "tmp", "count")
        with open(os.path.join(folder, "config"), "w", encoding="ascii") as file:
            file.write(f"""lxc.uts.name = inside
lxc.rootfs.path = dir:{rootfs}
lxc.net.0.type = empty
lxc.autodev = 1
lxc.tty.max = 0
lxc.console.path = none
lxc.cgroup.dir = {place.name}
lxc.mount.auto = proc sys cgroup
lxc.init.cmd = /init
""")
        self.name = ["-P", home, "-n", place.name]
        place.at_end.append(["lxc-stop", "-k", *self.name])
        try:
            place.call("lxc-start", *self.name)
            must(tree.wait_for(lambda: count_of(self.count) > 0, LIMIT), "it does not count")
        except Failure as failure:
            raise Skip("containers-of:lxc") from failure

    def checkpoint(self):
        self.call("lxc-checkpoint", "dump.log", "-s")
        must("STOPPED" in self.place.call("lxc-info", *self.name, "-s"), "it runs")
        must_stand(self.count)

    def restore(self):
        self.call("lxc-checkpoint", "restore.log", "-r")
        must("RUNNING" in self.place.call("lxc-info", *self.name, "-s"), "it does not run")
        must_count(self.count, "after the restore")
        must("hello" in self.place.call("lxc-attach", *self.name, "--", "/bin/echo", "hello"),
             "it cannot be entered")

    def call(self, program, log, *options):
        self.place.call(program, *self.name, *options, "-D", self.place.images,
                        logs=[os.path.join(self.place.images, log)])


def lxc_round(place):
    """A container of LXC goes and comes back by lxc-checkpoint, and can be entered"""
    container = Container(place)
    container.checkpoint()
    container.restore()


def lxc_from_criu(place):
    """What lxc-checkpoint has dumped by CRIU, nestor restores"""
    container = Container(place)
    place.use(place.peer)
    container.checkpoint()
    place.use(place.nestor)
    container.restore()


CASES = [lxc_round, lxc_from_criu]
