# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network namespaces and interfaces that somebody outside has a part of."""

import os
import re
import subprocess
import sys

from place import Failure, Missing, inode, must, program_of, tree


def network_given(place):
    """A network namespace of somebody outside is given again, whatever is in it"""
    pid = place.start(["unshare", "-n", "sleep", "1000"])
    must(tree.wait_for(lambda: tree.read(pid, "comm") == "sleep\n", 5), "it does not begin")
    given, other = place.keep(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY),
                              os.open("/proc/self/ns/uts", os.O_RDONLY))
    place.dump(pid, "--external", f"net[{inode(given)}]:theirs")
    status, told = place.nestor("restore", "-d", "-D", place.images)
    must(status == 1 and "[not-given]" in told and "fd[N]:theirs" in told, told)
    status, told = place.nestor("restore", "-d", "-D", place.images, "--inherit-fd",
                                f"fd[{other}]:theirs", pass_fds=(other,))
    must(status == 2 and "no network namespace" in told, told)
    pid = place.restore(give={"theirs": given})
    must(os.stat(f"/proc/{pid}/ns/net").st_ino == inode(given), "it is in another one")


def ip(*words, inside=None):
    """What ip(8) says, here or in the network namespace of a process."""
    command = ["nsenter", "-t", str(inside), "-n"] if inside else []
    done = subprocess.run([*command, "ip", *words], capture_output=True, text=True, check=False)
    must(done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}")
    return done.stdout


def in_a_network(place):
    """A tree in a network namespace of its own, and a name that nobody else's interfaces have."""
    pid = place.start(["unshare", "-n", "sleep", "1000"])
    must(tree.wait_for(lambda: tree.read(pid, "comm") == "sleep\n", 5), "it does not begin")
    return pid, f"nt{os.getpid() % 100000}"


def remove_interfaces(*names):
    for name in names:
        subprocess.run(["ip", "link", "del", name], stderr=subprocess.DEVNULL, check=False)


def check_given_back(place, name):
    """A restore that fails after it has taken an interface gives that back."""
    status, told = place.nestor("restore", "-d", "-D", place.images, "--external",
                                f"netdev[eth7]:{name}", "--action-script",
                                "test $CRTOOLS_SCRIPT_ACTION != post-restore")
    must(status == 1 and "post-restore" in told, f"it does not fail: {told}")
    must(tree.wait_for(lambda: name in ip("-o", "link"), 5), "it is not given back")


def interfaces_given(place):
    """An interface that is allowed comes back as another one that is given, or not at all"""
    pid, name = in_a_network(place)
    try:
        # As hardware, it does not know what is at its other end.
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
        ip("link", "set", f"{name}a", "netns", str(pid), "name", "eth7")
        ip("addr", "add", "10.76.0.2/24", "dev", "eth7", inside=pid)
        ip("link", "set", "eth7", "mtu", "1333", "up", inside=pid)
        before = ip("-o", "addr", "show", "dev", "eth7", inside=pid).split(" scope global")[0]
        place.dump(pid, "--external", "netdev[eth7]")
        remove_interfaces(f"{name}b")
        status, told = place.nestor("restore", "-d", "-D", place.images)
        must(status == 1 and "[not-given]" in told and "netdev[eth7]:" in told, told)
        status, told = place.nestor("restore", "-d", "-D", place.images, "--external",
                                    f"netdev[eth7]:{name}c")
        must(status == 1 and "[interface-outside]" in told, told)
        ip("link", "add", f"{name}c", "type", "veth", "peer", "name", f"{name}b")
        check_given_back(place, name + "c")
        pid = place.restore("--external", f"netdev[eth7]:{name}c")
        after = ip("-o", "addr", "show", "dev", "eth7", inside=pid).split(" scope global")[0]
        must(after == before, f"{before}\nis now {after}")
        must("mtu 1333" in ip("link", "show", "eth7", inside=pid), "it has another mtu")
        must(f"{name}c" not in ip("-o", "link"), "it is still outside")
    finally:
        remove_interfaces(f"{name}a", f"{name}b", f"{name}c")


def interfaces_replaced(place):
    """A pair that leads outside comes back as another one that only the restore is told of"""
    pid, name = in_a_network(place)
    try:
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
        ip("link", "set", f"{name}a", "netns", str(pid), "name", "eth7")
        ip("addr", "add", "10.76.1.2/24", "dev", "eth7", inside=pid)
        ip("link", "set", "eth7", "mtu", "1333", "up", inside=pid)

        def shown(process):
            text = ip("-o", "addr", "show", "dev", "eth7", inside=process)
            link = ip("-o", "link", "show", "dev", "eth7", inside=process)
            return (text.split(" scope global")[0], re.search("mtu .*? ", link).group(0),
                    re.search("link/ether [^ ]*", link).group(0))
        before = shown(pid)
        place.dump(pid)
        must(tree.wait_for(lambda: f"{name}b" not in ip("-o", "link"), 5), "its other end stays")
        status, told = place.nestor("restore", "-d", "-D", place.images, "--external",
                                    f"netdev[eth7]:{name}c")
        must(status == 1 and "[interface-outside]" in told, told)
        ip("link", "add", f"{name}c", "type", "veth", "peer", "name", f"{name}d")
        check_given_back(place, name + "c")
        pid = place.restore("--external", f"netdev[eth7]:{name}c")
        must(shown(pid) == before, f"{before}\nis now {shown(pid)}")
        must(f"{name}c" not in ip("-o", "link"), "it is still outside")
        must(f"{name}b" not in ip("-o", "link"), "the pair was made as well")
        tree.kill_tree(pid)
        must(tree.wait_for(lambda: f"{name}d" not in ip("-o", "link"), 5), "it does not end")
    finally:
        remove_interfaces(f"{name}b", f"{name}c", f"{name}d")


def interfaces_above(place):
    """What lies above an interface outside comes back there, or above one that is named"""
    pid, name = in_a_network(place)
    try:
        for lower in "ac":
            ip("link", "add", name + lower, "type", "veth", "peer", "name", name + lower + "p")
        try:
            ip("link", "add", f"{name}m", "link", f"{name}a", "type", "macvlan", "mode", "bridge")
        except Failure as failure:
            raise Missing("interfaces:macvlan") from failure
        ip("link", "set", f"{name}m", "netns", str(pid), "name", "eth8")
        ip("addr", "add", "10.75.0.2/24", "dev", "eth8", inside=pid)
        ip("link", "set", "eth8", "up", inside=pid)

        def shown(process):
            text = ip("-d", "-o", "addr", "show", "dev", "eth8", inside=process)
            return re.sub(r"eth8@if\d+", "eth8", re.split(" scope global", text)[0])

        def lower(process):
            return int(re.search(r"eth8@if(\d+)", ip("link", inside=process)).group(1))
        index = {way: int(ip("-o", "link", "show", name + way).split(":")[0]) for way in "ac"}
        before = shown(pid)
        place.dump(pid)
        pid = place.restore()
        must((shown(pid), lower(pid)) == (before, index["a"]), f"{before}\nis now {shown(pid)}")
        place.dump(pid)
        pid = place.restore("--external", f"macvlan[eth8]:{name}c")
        must((shown(pid), lower(pid)) == (before, index["c"]), f"{before}\nis now {shown(pid)}")
        place.dump(pid)
        remove_interfaces(f"{name}c")
        status, told = place.nestor("restore", "-d", "-D", place.images)
        must(status == 1 and "[interface-outside]" in told and f"{name}c" in told, told)
    finally:
        remove_interfaces(f"{name}a", f"{name}c")


def network_held(place):
    """A namespace that somebody outside holds is entered again; what he has removed is told"""
    pid, name = in_a_network(place)
    holder = place.start(["nsenter", "-t", str(pid), "-n", "sleep", "1000"])
    must(tree.wait_for(lambda: tree.read(holder, "comm") == "sleep\n", 5), "nobody holds it")
    held = os.stat(f"/proc/{holder}/ns/net").st_ino
    try:
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
        ip("link", "set", f"{name}a", "netns", str(pid), "name", "eth7")
        ip("link", "add", "own7", "type", "bridge", inside=pid)
        place.dump(pid)
        told, pid = place.restore_telling()
        must(os.stat(f"/proc/{pid}/ns/net").st_ino == held, "it is in another one")
        must("interface" not in told, told)
        place.dump(pid)
        ip("link", "del", "eth7", inside=holder)
        told, pid = place.restore_telling()
        must(os.stat(f"/proc/{pid}/ns/net").st_ino == held, "it is in another one")
        must("interface eth7" in told and "own7" not in told, told)
    finally:
        remove_interfaces(f"{name}a", f"{name}b")


# A queue of a tun interface of several, without another header (IFF_TUN | ...).
TUN = ("import fcntl, struct, time; file = open('/dev/net/tun', 'r+b', buffering=0); "
       "fcntl.ioctl(file, 0x400454ca, struct.pack('16sH22x', b'tun7', 0x1101)); time.sleep(1000)")


def queues_outside(place):
    """A tun interface of which somebody outside has a queue is refused by name"""
    pid, _ = in_a_network(place)
    place.start(["nsenter", "-t", str(pid), "-n", sys.executable, "-ISc", TUN])
    must(tree.wait_for(lambda: "tun7" in ip("link", inside=pid), 5), "there is no tun7")
    told, _ = place.refused(pid)
    must("tun7" in told and "outside" in told, told)
    must("tun7" in ip("link", inside=pid), "it is gone")


def namespace_bound(place):
    """What somebody outside has bound of a network namespace is bound from there again"""
    for name in ("first", "second"):
        with open(place.file(name), "w", encoding="ascii"):
            place.mounts.append(place.file(name))
        subprocess.run(["unshare", "-n", "sh", "-c",
                        f"mount --bind /proc/self/ns/net {place.file(name)}"], check=True)

    def bound(pid):
        return sorted(line.split()[3:5] for line in tree.read(pid, "mountinfo").splitlines()
                      if line.split()[4].startswith(place.path))
    pid = place.start(["unshare", "-m", "sleep", "1000"])
    must(tree.wait_for(lambda: program_of(pid) == "sleep", 5), "no sleep")
    before = bound(pid)
    must(len(before) == 2, before)
    place.dump(pid)
    pid = place.restore()
    must(bound(pid) == before, f"{before} became {bound(pid)}")


def descriptors_left(place):
    """A descriptor for which a restore has no use is told, and what a dump does not meet"""
    pid = place.start(["unshare", "-n", "sleep", "1000"])
    must(tree.wait_for(lambda: program_of(pid) == "sleep", 5), "no sleep")
    status, told = place.nestor("dump", "-R", "-t", pid, "-D", place.images, "--external",
                                "net[1]:key", "--external", "pipe[2]")
    must(status == 0 and "net[1]: the tree has no such" in told and "pipe[2]: the" in told, told)
    for text in ("net[net:[1]]:key", "net[0x1]:key", "file[1]", "tty[8803]", "net:"):
        status, told = place.nestor("dump", "-t", pid, "-D", place.images, "--external", text)
        must(status == 2 and "[usage]" in told and text in told, f"{status} {told}")
    place.dump(pid)
    fd, = place.keep(os.open("/proc/self/ns/net", os.O_RDONLY))
    own = os.readlink("/proc/self/ns/net")
    told, pid = place.restore_telling(give={"extRootNetNS": fd})
    must(f"fd[{fd}]:extRootNetNS: the images know nothing" in told, told)
    must(os.readlink(f"/proc/{pid}/ns/net") != own, "it is taken all the same")


CASES = [
    descriptors_left, network_given, network_held, interfaces_given, interfaces_replaced,
    interfaces_above,
    queues_outside, namespace_bound,
]
