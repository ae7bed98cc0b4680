# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mounts of what lies outside."""

import os
import shutil
import subprocess

from place import Missing, must, program_of, tree


def start_on_overlay(place):
    """(a tree whose root is bound from an overlay, where that is)"""
    for name in ("lower/bin", "lower/old", "upper", "work", "merged"):
        os.makedirs(place.file(name))
    shutil.copy("/bin/busybox", place.file("lower/bin"))
    # Not on an overlay itself, as the root of a container may be.
    subprocess.run(["mount", "-t", "tmpfs", "none", place.file("upper")], check=True)
    place.mounts.append(place.file("upper"))
    for name in ("u", "w"):
        os.mkdir(place.file(f"upper/{name}"))
    merged = place.file("merged")
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={place.file('lower')},"
                    f"upperdir={place.file('upper/u')},workdir={place.file('upper/w')}", merged],
                   check=True)
    place.mounts.append(merged)
    script = (f"mount --bind {merged} {merged} && cd {merged} && pivot_root . old && "
              "exec /bin/busybox sh -c 'busybox umount -l /old; exec busybox sleep 1000'")
    pid = place.start(["unshare", "-m", "sh", "-c", script])
    must(tree.wait_for(lambda: program_of(pid) == "busybox sleep", 5), "it does not begin")
    return pid, merged


def overlay_stays(place):
    """A tree whose root was bound from an overlay has that again, not another of the same layers"""
    pid, merged = start_on_overlay(place)
    place.dump(pid)
    pid = place.restore()
    must(os.stat(f"/proc/{pid}/root").st_dev == os.stat(merged).st_dev, "another overlay")


def overlay_gone(place):
    """A tree whose root was bound from an overlay comes back when that has been unmounted"""
    pid, merged = start_on_overlay(place)
    place.dump(pid)
    subprocess.run(["umount", merged], check=True)
    pid = place.restore()
    must(" / / " in (mounts := tree.read(pid, "mountinfo")) and "overlay" in mounts, mounts)


def overlay_named(place):
    """Layers without an absolute path: from where they are named is found, or has to be said"""
    for name in ("store/l/one", "store/l/two", "seen", "other"):
        os.makedirs(place.file(name))
    for name, text in (("store/l/one/file", "first"), ("store/l/two/second", "2")):
        with open(place.file(name), "w", encoding="ascii") as file:
            file.write(text)
    shutil.copytree(place.file("store/l"), place.file("other/l"))
    at, store = place.file("seen"), place.file("store")
    script = (f"cd {store} && mount -t overlay -o lowerdir=l/one:l/two over %s && cd / && "
              "touch %s && exec sleep 1000")
    pid = place.start(["unshare", "-m", "sh", "-c", script % (at, place.file("ready"))])
    must(tree.wait_for(lambda: os.path.exists(place.file("ready")), 5), "it does not begin")
    told, words = place.refused(pid)
    must("[unsupported-mount]" in told and f"--external overlay[{at}]:DIR" in told, told)
    option = f"overlay[{at}]:"
    told, words = place.refused(pid, "--external", option + place.file("other"))
    must("something else" in told, told)
    place.dump(pid, "--external", option + store)
    os.rename(store, place.file("moved"))
    status, told = place.nestor("restore", "-d", "-D", place.images)
    must(status == 1 and "[file-missing]" in told and store in told, f"{status} {told}")
    pid = place.restore("--external", option + place.file("moved"))
    must("lowerdir=l/one:l/two" in (mounts := tree.read(pid, "mountinfo")), mounts)
    with open(f"/proc/{pid}/root{at}/second", encoding="ascii") as file:
        must(file.read() == "2", "it shows something else")


def overlay_lost(place):
    """An overlay of layers that nothing shows any more, as systemd makes of images, can be given"""
    for name in ("store", "at", "other"):
        os.mkdir(place.file(name))
    at, store, ready = (place.file(name) for name in ("at", "store", "ready"))
    with open(place.file("other/given"), "w", encoding="ascii"):
        pass
    script = (f"mount -t ramfs none {store} && mkdir {store}/a {store}/b && "
              f"mount -t overlay -o lowerdir={store}/a:{store}/b over {at} && umount -l {store} && "
              f"touch {ready} && exec sleep 1000")
    pid = place.start(["unshare", "-m", "sh", "-c", script])
    must(tree.wait_for(lambda: os.path.exists(ready), 5), "it does not begin")
    told, words = place.refused(pid)
    must("[unsupported-mount]" in told and f"mnt[{at}]:NAME" in told, told)
    option = next(word for word in words if word.startswith("mnt["))
    place.dump(pid, "--external", option + (":it" if option.endswith("]") else ""))
    pid = place.restore("--external", "mnt[it]:" + place.file("other"))
    must(os.path.exists(f"/proc/{pid}/root{at}/given"), "another one")


def start_on_memory(place, size):
    """(a tree with a tmpfs that is bound from outside to another path, where that is)"""
    os.mkdir(shared := place.file("shared"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=1770", "shm", shared], check=True)
    place.mounts.append(shared)
    with open(os.path.join(shared, "file"), "wb") as file:
        file.write(b"text" + bytes(size))
    os.symlink("file", os.path.join(shared, "link"))
    at, ready = place.file("at"), place.file("ready")
    os.mkdir(at)
    pid = place.start(["unshare", "-m", "--propagation", "slave", "sh", "-c",
                       f"mount --bind {shared} {at} && exec 3<>{at}/file && touch {ready} && "
                       "exec sleep 1000"])
    must(tree.wait_for(lambda: os.path.exists(ready), 5), "it does not begin")
    return pid, shared, at


def memory_stays(place):
    """A tmpfs that is bound from outside is that again, as long as it is there"""
    pid, shared, at = start_on_memory(place, 1 << 20)
    place.dump(pid)
    told, pid = place.restore_telling()
    must("tmpfs" not in told, told)
    must(os.stat(f"/proc/{pid}/root{at}").st_dev == os.stat(shared).st_dev, "another tmpfs")


def memory_gone(place):
    """A tmpfs that was bound from outside comes back when its owner has unmounted it"""
    pid, shared, at = start_on_memory(place, 1 << 20)

    def shown(process):
        inside = f"/proc/{process}/root{at}"
        with open(f"{inside}/link", "rb") as file:
            return (file.read(), oct(os.stat(inside).st_mode), os.stat(f"{inside}/file").st_mtime_ns,
                    [line.split()[5:] for line in tree.read(process, "mountinfo").splitlines()
                     if line.split()[4] == at], os.readlink(f"/proc/{process}/fd/3"))
    before = shown(pid)
    place.dump(pid)
    subprocess.run(["umount", shared], check=True)
    told, pid = place.restore_telling()
    must(shared in told and "no tmpfs any more" in told, told)
    must((after := shown(pid)) == before, f"{before[1:]} became {after[1:]}")


def memory_going(place):
    """The same where that happens while the tree is restored"""
    pid, shared, at = start_on_memory(place, 1 << 10)
    place.dump(pid)
    with open(script := place.file("script"), "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n"
                   f"test $CRTOOLS_SCRIPT_ACTION != pre-restore || umount {shared}\n")
    os.chmod(script, 0o700)
    pid = place.restore("--action-script", script)
    must(not os.path.ismount(shared), "it is still there")
    with open(f"/proc/{pid}/root{at}/link", "rb") as file:
        must(file.read(4) == b"text", "another tmpfs")


def memory_lost(place):
    """Much is not carried: without its owner's tmpfs such a tree is refused, or has another"""
    pid, shared, at = start_on_memory(place, 65 << 20)
    place.dump(pid)
    with open(os.path.join(shared, "file"), "rb") as file:
        content = file.read()
    subprocess.run(["umount", shared], check=True)
    status, told = place.nestor("restore", "-d", "-D", place.images)
    must(status == 1 and "[file-changed]" in told and f"mnt[{at}]" in told, f"{status} {told}")
    os.mkdir(other := place.file("other"))
    with open(os.path.join(other, "file"), "wb") as file:
        file.write(content)
    pid = place.restore("--external", f"mnt[{at}]:{other}")
    must(os.path.samefile(f"/proc/{pid}/root{at}", other), "it is not what was given")


def automount_asleep(place):
    """Where somebody outside waits to be told to mount something (autofs), nothing is asked"""
    os.mkdir(at := place.file("auto"))
    reading, writing = place.keep(*os.pipe())
    waiting = place.start(["sleep", "1000"])
    done = subprocess.run(["mount", "-i", "-t", "autofs", "-o", f"fd={writing},pgrp={waiting},"
                           "minproto=5,maxproto=5,direct", "auto", at], pass_fds=[writing],
                          capture_output=True, text=True, check=False)
    if done.returncode and "unknown filesystem" in done.stderr:
        raise Missing("filesystem:autofs")
    must(done.returncode == 0, done.stderr)
    place.mounts.append(at)
    for options in ("-m", "-Urm"):
        pid = place.start(["unshare", options, "sleep", "1000"])
        must(tree.wait_for(lambda pid=pid: program_of(pid) == "sleep", 5), "no sleep")
        place.dump(pid)
        pid = place.restore()
        must(f" {at} " in (mounts := tree.read(pid, "mountinfo")), mounts)
        tree.kill_tree(pid)
        shutil.rmtree(place.images)
        os.mkdir(place.images)
    os.set_blocking(reading, False)
    try:
        must(not os.read(reading, 4096), "somebody was to mount something")
    except BlockingIOError:
        pass


def device_given_to_another(place):
    """A device in which another file system is by now is not mounted for it"""
    if not os.path.exists("/dev/loop-control"):
        raise Missing("device:loop-control")
    if not shutil.which("mkfs.ext4"):
        raise Missing("program:mkfs.ext4")
    at, images = place.file("at"), [place.file("one"), place.file("other")]
    os.mkdir(at)
    for image in images:
        with open(image, "wb") as file:
            file.truncate(4 << 20)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
    device = subprocess.run(["losetup", "--find", "--show", images[0]], check=True,
                            capture_output=True, text=True).stdout.strip()
    place.loops.append(device)
    pid = place.start(["unshare", "-m", "sh", "-c", f"mount {device} {at} && exec sleep 1000"])
    must(tree.wait_for(lambda: program_of(pid) == "sleep", 5), "nothing is mounted")
    place.dump(pid)
    for image in reversed(images):
        subprocess.run(["losetup", "--detach", device], check=True)
        subprocess.run(["losetup", device, image], check=True)
        if image == images[1]:
            status, told = place.nestor("restore", "-d", "-D", place.images)
            must(status == 1 and "error [file-changed]" in told and device in told, told)
    must(f" {at} " in (mounts := tree.read(place.restore(), "mountinfo")), mounts)


def loop_in_root(place):
    """A loop device of a file in the root of a container is made of that in the root given then"""
    if not os.path.exists("/dev/loop-control"):
        raise Missing("device:loop-control")
    if not shutil.which("mkfs.ext4"):
        raise Missing("program:mkfs.ext4")
    root, moved, image = place.file("root"), place.file("moved"), place.file("root/image")
    for name in ("bin", "old", "at", "proc"):
        os.makedirs(place.file(f"root/{name}"))
    shutil.copy("/bin/busybox", place.file("root/bin"))
    with open(image, "wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    script = (f"mount --bind {root} {root} && mount -o loop {image} {root}/at && cd {root} && "
              "pivot_root . old && exec /bin/busybox sh -c "
              "'busybox umount -l /old; exec busybox sleep 1000'")
    pid = place.start(["unshare", "-m", "sh", "-c", script])
    must(tree.wait_for(lambda: program_of(pid) == "busybox sleep", 5), "it does not begin")
    with open(f"/proc/{pid}/root/at/mark", "w", encoding="ascii") as file:
        file.write("mark")
    place.dump(pid)
    must(tree.wait_for(lambda: image not in subprocess.run(
        ["losetup", "-a"], check=True, capture_output=True, text=True).stdout, 5), "not detached")
    os.rename(root, moved)
    pid = place.restore("--root", moved)
    with open(f"/proc/{pid}/root/at/mark", encoding="ascii") as file:
        must(file.read() == "mark", "another file system")


def start_with_bound(place):
    """(a tree that has the directory "one" bound to "at")"""
    for name in ("one", "two", "at"):
        os.mkdir(place.file(name))
    for name in ("one", "two"):
        with open(place.file(f"{name}/name"), "w", encoding="ascii") as file:
            file.write(name)
    pid = place.start(["unshare", "-m", "sh", "-c", f"mount --bind {place.file('one')} "
                       f"{place.file('at')} && exec sleep 1000"])
    must(tree.wait_for(lambda: program_of(pid) == "sleep", 5), "it does not begin")
    return pid


def paths_given(place):
    """What a mount is bound from at a restore is the caller's path, however that is written"""
    place.dump(start_with_bound(place))
    at, two = place.file("at"), place.file("two")

    def bound(*options):
        pid = place.restore(*options)
        with open(f"/proc/{pid}/root{at}/name", encoding="ascii") as file:
            found = file.read()
        tree.kill_tree(pid)
        must(tree.reap(pid, 5), "it is still there")
        return found
    must(bound() == "one", "it is not what it was")
    must(bound("--external", f"mnt[{at}]:/{two}/./") == "two", "the path is not taken")
    must(bound("--ext-mount-map", f"{at}:{place.file('one')}", "-M", f"{at}:{two}") == "two",
         "the first of two holds")
    # The root is the caller's, too, and has nothing of that name.
    for name in ("", "/dev"):
        os.mkdir(place.file(f"root{name}"))
    subprocess.run(["mount", "--rbind", "/", place.file("root")], check=True)
    place.mounts.append(place.file("root"))
    subprocess.run(["mount", "--make-rprivate", place.file("root")], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", place.file(f"root{two}")], check=True)
    must(bound("--root", place.file("root"), "--external", f"mnt[{at}]:{two}") == "two",
         "the path is taken for one of the root")
    for path in ("two", f"{at}/../two", "."):
        status, told = place.nestor("restore", "-d", "-D", place.images, "--external",
                                    f"mnt[{at}]:{path}")
        must(status == 2 and "[usage]" in told and path in told, f"{path}: {status} {told}")
    status, told = place.nestor("restore", "-d", "-D", place.images, "--external",
                                f"mnt[{at}]:{two}/name")
    must(status == 1 and "[file-changed]" in told and at in told, f"{status} {told}")


def mounts_named(place):
    """Mounts to be left out, or given, that the tree does not have are told; its root stays"""
    pid = start_with_bound(place)
    at = place.file("at")
    for path in ("/", "//.", "at", ""):
        status, told = place.nestor("dump", "-t", pid, "-D", place.images, "--skip-mnt", path)
        must(status == 2 and "[usage]: --skip-mnt" in told, f"{path}: {status} {told}")
    status, told = place.nestor("dump", "-R", "-t", pid, "-D", place.images, "--skip-mnt",
                                f"{at}/none", "--skip-mnt", at, "--external", "mnt[/none]:key")
    must(status == 0 and f"--skip-mnt {at}/none: the tree has no such" in told and
         f"--skip-mnt {at}:" not in told and "mnt[/none]: the tree has no such" in told, told)
    place.dump(pid, "--skip-mnt", f"{at}/")
    pid = place.restore()
    must(not os.path.exists(f"/proc/{pid}/root{at}/name"), "it is not left out")


CASES = [
    paths_given, mounts_named, overlay_stays, overlay_gone, overlay_named, overlay_lost,
    memory_stays, memory_gone,
    memory_going, memory_lost, automount_asleep, device_given_to_another, loop_in_root,
]
