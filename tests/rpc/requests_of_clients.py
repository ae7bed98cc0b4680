# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests, as container tools send them, and bad ones."""

import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import time

from client import LIMIT, Client, must, must_run, refused, tree
from messages import TYPES, pack, unpack


def version(place):
    """VERSION is answered, whatever directories the request names"""
    for opts in ({}, {"opts": {"images_dir_fd": 0}}, {"opts": {"images_dir_fd": -1}}):
        client = Client(place)
        answer = client.ask("VERSION", **opts)
        must(answer["success"] and answer["type"] == TYPES["VERSION"], str(answer))
        must(answer["version"]["major_number"] == 4 and "nestor" in answer["version"]["name"],
             str(answer))
        client.ends()


def features(place):
    """FEATURE_CHECK answers what it is asked about, and for no more than there is"""
    client = Client(place)
    answer = client.ask("FEATURE_CHECK", features={"mem_track": True})
    must(answer["success"] and answer["features"] == {"mem_track": 1}, str(answer))
    client.ends()
    answer = Client(place).ask("FEATURE_CHECK", features={"lazy_pages": True, "pidfd_store": True})
    must(answer["features"] == {"lazy_pages": 0, "pidfd_store": 0}, str(answer))


def processors(place):
    """CPUINFO_DUMP records the processor, CPUINFO_CHECK compares; cpu_cap is of dumps, too"""
    options = {"images_dir_fd": place.fd}
    refused(Client(place).ask("CPUINFO_CHECK", opts=options), "image-missing", "CPUINFO_CHECK")
    for kind in ("CPUINFO_DUMP", "CPUINFO_CHECK"):
        answer = Client(place).ask(kind, opts=options)
        must(answer["success"] and answer["type"] == TYPES[kind], str(answer))
    image = os.path.join(place.images, "cpuinfo.img")
    with open(image, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.truncate()
    refused(Client(place).ask("CPUINFO_CHECK", opts=options), "image-truncated")
    os.unlink(image)
    pid = place.start()
    refused(Client(place).ask("DUMP", opts=place.options(pid=pid, cpu_cap=16)), "bad-request")
    for caps, is_there in ((0, False), (4, True), (0xffffffff, True)):
        answer = Client(place).ask("DUMP", opts=place.options(pid=pid, leave_running=True,
                                                              cpu_cap=caps))
        must(answer["success"] and os.path.exists(image) == is_there, f"{caps}: {answer}")


def deduplicated(place):
    """auto_dedup removes from an earlier dump what is not needed of it; a restore takes it, too"""
    pid = place.start("exec sleep 1000")
    earlier = os.path.join(place.images, "earlier")
    os.mkdir(earlier)
    fd = os.open(earlier, os.O_RDONLY | os.O_DIRECTORY)
    answer = Client(place).ask("DUMP", opts=place.options(pid=pid, images_dir_fd=fd,
                                                          leave_running=True))
    must(answer["success"], str(answer))
    # Another tree: nothing of the first is needed, and there is the link all the same.
    tree.kill_tree(pid)
    tree.reap(pid, 5)
    other = place.start("exec tail -f /dev/null")
    answer = Client(place).ask("DUMP", opts=place.options(pid=other, parent_img="earlier",
                                                          auto_dedup=True))
    must(answer["success"], str(answer))
    tree.reap(other, 5)
    must(all(os.stat(os.path.join(earlier, name)).st_blocks == 0 for name in os.listdir(earlier)
             if name.startswith("pages-")), "pages are left")
    refused(Client(place).ask("RESTORE", opts=place.options(images_dir_fd=fd)), "image-missing")
    os.close(fd)
    answer = Client(place).ask("RESTORE", opts=place.options(auto_dedup=True))
    must(answer["success"], str(answer))
    must_run(other)


def check(place):
    """CHECK says that trees can be dumped here"""
    must(Client(place).ask("CHECK")["success"], "they cannot")


def dump_and_restore(place):
    """A tree is dumped and ended, and restored with its pid, through the client's directories"""
    pid = place.start("exec sleep 1000")
    client = Client(place)
    answer = client.ask("DUMP", opts=place.options(pid=pid))
    must(answer["success"] and answer["type"] == TYPES["DUMP"] and "dump" in answer, str(answer))
    client.ends()
    must(tree.reap(pid, 5), "the tree is still there")
    must("dump.log" in os.listdir(place.images), "no log")
    work = os.path.join(place.path, "work")
    os.mkdir(work)
    work_fd = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    client = Client(place)
    answer = client.ask("RESTORE", opts=place.options(log_file="restore.log", work_dir_fd=work_fd))
    os.close(work_fd)
    must(answer["success"] and answer["restore"]["pid"] == pid, str(answer))
    client.ends()
    must(sorted(os.listdir(work)) == ["restore.log", "stats-restore"], str(os.listdir(work)))
    must_run(pid)


def leave_running(place):
    """leave_running lets the tree go on, several requests of one client are served"""
    pid = place.start()
    client = Client(place)
    for _ in range(3):
        answer = client.ask("DUMP", opts=place.options(pid=pid, leave_running=True), keep_open=True)
        must(answer["success"], str(answer))
        must_run(pid)
    must(client.ask("VERSION", keep_open=True)["success"], "no version")
    client.ends()


def conversation(client, kind, answers=lambda moment: True, **fields):
    """([(moment, pid)], the last answer)"""
    client.send(kind, **fields)
    moments = []
    while True:
        answer = client.receive()
        if answer["type"] != TYPES["NOTIFY"]:
            return moments, answer
        moments.append((answer["notify"]["script"], answer["notify"].get("pid", 0)))
        client.send("NOTIFY", notify_success=answers(moments[-1][0]))


def notifications(place):
    """The client is told of each moment, with the pid, and waited for"""
    pid = place.start()
    moments, answer = conversation(Client(place), "DUMP",
                                   opts=place.options(pid=pid, notify_scripts=True))
    must(answer["success"] and [moment for moment, _ in moments] == [
        "pre-dump", "network-lock", "query-ext-files", "post-dump"], f"{moments} {answer}")
    must(tree.reap(pid, 5), "the tree is still there")
    must([told for _, told in moments] == [0, pid, 0, pid], str(moments))
    moments, answer = conversation(Client(place), "RESTORE",
                                   opts=place.options(notify_scripts=True))
    must(answer["success"] and moments.pop(1)[0] == "setup-namespaces", f"{moments} {answer}")
    must(moments == [("pre-restore", 0)] + [(moment, pid) for moment in (
        "post-setup-namespaces", "post-restore", "network-unlock",
        "pre-resume", "post-resume")], f"{moments} {answer}")
    must_run(pid)
    moments, answer = conversation(Client(place), "DUMP", opts=place.options(
        pid=pid, notify_scripts=True, leave_running=True))
    must(answer["success"] and moments[-1][0] == "network-unlock", f"{moments} {answer}")


def disagreement(place):
    """Where the client does not agree, a dump lets the tree go on and a restore leaves nothing"""
    pid = place.start()
    for moment in ("pre-dump", "network-lock", "query-ext-files", "post-dump"):
        _, answer = conversation(Client(place), "DUMP", lambda at, m=moment: at != m,
                                 opts=place.options(pid=pid, notify_scripts=True))
        refused(answer, "client-refused", "DUMP")
        must_run(pid)
    must(Client(place).ask("DUMP", opts=place.options(pid=pid))["success"], "not dumped")
    tree.reap(pid, 5)
    for moment in ("pre-restore", "setup-namespaces", "post-restore", "pre-resume"):
        _, answer = conversation(Client(place), "RESTORE", lambda at, m=moment: at != m,
                                 opts=place.options(notify_scripts=True))
        refused(answer, "client-refused", "RESTORE")
        must(tree.wait_for(lambda: not tree.exists(pid), 5), "something is left")


def client_goes(place):
    """A client that goes away in the middle leaves the tree running, and no process of nestor"""
    pid = place.start()
    client = Client(place)
    client.send("DUMP", opts=place.options(pid=pid, notify_scripts=True))
    must(client.receive()["notify"]["script"] == "pre-dump", "another moment")
    client.send("NOTIFY", notify_success=True)
    must(client.receive()["notify"]["script"] == "network-lock", "another moment")
    client.socket.close()
    client.process.communicate(timeout=LIMIT)
    must_run(pid)
    # And at once, at any instant.
    for _ in range(20):
        client = Client(place)
        client.send("DUMP", opts=place.options(pid=pid))
        client.socket.close()
        client.process.communicate(timeout=LIMIT)
        if not tree.is_alive(pid):
            # It was quicker than we: then the images are complete.
            tree.reap(pid, 5)
            must(Client(place).ask("RESTORE", opts=place.options())["success"], "not complete")
        else:
            must_run(pid)


def filters_that_kill(place):
    """Tasks whose filters kill for being asked are dumped by a request, and survive its end"""
    sleepers = os.path.join(os.path.dirname(place.nestor), "tests", "faults", "sleepers")
    pid = place.start(f"exec {sleepers} 3 filtered")
    must(tree.wait_for(lambda: len(tree.children_of(pid)) == 3, 5), "the tree does not get ready")
    whole = [pid, *tree.children_of(pid)]
    for number in range(6):
        client = Client(place)
        client.send("DUMP", opts=place.options(pid=pid, leave_running=True))
        time.sleep(number * 0.01)
        client.process.kill()
        client.process.communicate(timeout=LIMIT)
        client.done()
        for task in whole:
            must_run(task)
    moments, answer = conversation(Client(place), "DUMP",
                                   opts=place.options(pid=pid, notify_scripts=True))
    must(answer["success"] and moments[-1][0] == "post-dump", f"{moments} {answer}")
    must(all(tree.reap(task, 5) for task in whole), "the tree is still there")
    answer = Client(place).ask("RESTORE", opts=place.options())
    must(answer["success"], str(answer))
    for task in whole:
        must_run(task)


def client_takes_no_answer(place):
    """A client that goes with its answer unread has ended the conversation, as any that goes"""
    client = Client(place)
    client.send("VERSION", keep_open=True)
    must(select.select([client.socket], [], [], LIMIT)[0], "no answer")
    client.socket.close()
    told = client.process.communicate(timeout=LIMIT)[1].decode()
    must(client.process.returncode == 0 and not told, f"{client.process.returncode}: {told}")


def bad_requests(place):
    """What is no request gets an answer or an end, never a signal"""
    good = pack("criu_req", type=TYPES["DUMP"], opts=place.options(pid=1))
    for data in (b"x", b"\xff" * 40, good[:-3], good[:1], pack("criu_req", keep_open=True),
                 b"\x00" * 100_000, good + b"\xff"):
        client = Client(place)
        client.socket.send(data)
        refused(client.receive(), "bad-request")
        client.ends()
    client = Client(place)
    client.socket.setsockopt(socket.SOL_SOCKET, 32, 1 << 23)  # SO_SNDBUFFORCE
    client.socket.send(b"\x08\x01" * (3 << 19))
    refused(client.receive(), "bad-request")
    client.ends()
    for kind in ("EMPTY", "NOTIFY", "PRE_DUMP", "PAGE_SERVER", "CPUINFO_DUMP", "CPUINFO_CHECK",
                 "PAGE_SERVER_CHLD", "SINGLE_PRE_DUMP"):
        refused(Client(place).ask(kind), "bad-request", kind)
    client = Client(place)
    client.socket.send(pack("criu_req", type=4711))
    refused(client.receive(), "bad-request")
    Client(place).ends()


def missing_descriptors(place):
    """Directories that are not there, or are none, are told by name"""
    pid = place.start()
    refused(Client(place).ask("DUMP"), "bad-request")
    refused(Client(place).ask("DUMP", opts={"images_dir_fd": -1, "pid": pid}), "bad-request")
    refused(Client(place).ask("DUMP", opts=place.options(images_dir_fd=999, pid=pid)), "io")
    with open("/dev/null", "rb") as null:
        refused(Client(place).ask("DUMP", opts=place.options(images_dir_fd=null.fileno(), pid=pid)),
                "io")
    refused(Client(place).ask("DUMP", opts=place.options()), "bad-request")
    refused(Client(place).ask("DUMP", opts=place.options(pid=pid, log_file="../x")), "bad-request")
    refused(Client(place).ask("DUMP", opts=place.options(pid=4194303)), "no-such-task")
    refused(Client(place).ask("RESTORE", opts=place.options()), "images-incomplete")
    must_run(pid)


def unsupported_options(place):
    """Each option that is not honoured is refused by its name; none is ignored"""
    pid = place.start()
    asking = {
        "lazy_pages": True,
        "empty_ns": 0x42000000, "external": ["pid[1]:x"], "exec_cmd": ["true"],
        "lsm_profile": "x", "tls": True, "status_fd": 7,
        "inherit_fd": [{"key": "pipe:[1]", "fd": 999}],
        "join_ns": [{"ns": "net", "ns_file": "/x"}],
        "ps": {"port": 1}, "config_file": "/etc/passwd",
    }
    for name, value in asking.items():
        answer = Client(place).ask("DUMP", opts=place.options(**{"pid": pid, name: value}))
        refused(answer, "bad-request", "DUMP")
        named = {"inherit_fd": "inherit-fd"}.get(name, name)
        must(named in answer["cr_errmsg"], f"{name} is not named: {answer}")
    must_run(pid)


def config_file(place):
    """Options of a file that the client names have the last word; one that cannot be honoured is refused"""
    pid = place.start()
    path = os.path.join(place.path, "runc.conf")

    def dump_with(text):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return Client(place).ask("DUMP", opts=place.options(pid=pid, config_file=path))
    for text, word in (("no-such-option\n", "no-such-option"), ("action-script x\n", "action-script"),
                       ("ghost-limit much\n", "much"), ("network-lock magic\n", "magic")):
        answer = dump_with(text)
        refused(answer, "bad-request", "DUMP")
        must(word in answer["cr_errmsg"], str(answer))
        must_run(pid)
    answer = dump_with("# of the person\nleave-running\ntcp-established\nlog-file mine.log\n")
    must(answer["success"] and "mine.log" in os.listdir(place.images), str(answer))
    must_run(pid)


def joined_namespaces(place):
    """join_ns puts a restored tree into a namespace of somebody else"""
    pid, other = [place.start("exec unshare -i sleep 1000") for _ in range(2)]
    own = os.readlink("/proc/self/ns/ipc")
    for task in (pid, other):
        must(tree.wait_for(lambda: os.readlink(f"/proc/{task}/ns/ipc") != own, 10), "not there")
    must(Client(place).ask("DUMP", opts=place.options(pid=pid))["success"], "not dumped")
    must(tree.reap(pid, 5), "the tree is still there")
    file = f"/proc/{other}/ns/ipc"
    for wrong in ({"ns": "ipc", "ns_file": "/x"}, {"ns": "pid", "ns_file": file},
                  {"ns": "ipc", "ns_file": file, "extra_opt": "1"}):
        answer = Client(place).ask("RESTORE", opts=place.options(join_ns=[wrong]))
        must(not answer["success"], str(answer))
    answer = Client(place).ask("RESTORE", opts=place.options(
        join_ns=[{"ns": "ipc", "ns_file": file}]))
    must(answer["success"] and os.readlink(f"/proc/{pid}/ns/ipc") == os.readlink(file), str(answer))
    must_run(pid)


def executes_command(place):
    """With exec_cmd the command is executed as the parent of the tree, once there is an answer"""
    pid = place.start()
    must(Client(place).ask("DUMP", opts=place.options(pid=pid))["success"], "not dumped")
    must(tree.reap(pid, 5), "the tree is still there")
    client = Client(place)
    answer = client.ask("RESTORE", opts=place.options(exec_cmd=["sleep", "999"]))
    must(answer["success"] and answer["restore"]["pid"] == pid, str(answer))
    must(not client.socket.recv(1), "the connection stays")
    must(tree.wait_for(lambda: tree.status_of(client.process.pid)["Name"] == "sleep", 5),
         "it is not executed")
    must(tree.status_of(pid)["PPid"] == str(client.process.pid), "it is not the parent")
    must_run(pid)
    tree.kill_tree(pid)


def fresh_namespace(place):
    """By the name of criu-ns a tree is restored though its ids are taken, and dumped again"""
    pid = place.start("while :; do sleep 0.02; done")
    must(Client(place).ask("DUMP", opts=place.options(pid=pid, leave_running=True))["success"],
         "not dumped")
    for _ in range(2):
        client = Client(place, name="criu-ns")
        answer = client.ask("RESTORE", opts=place.options())
        must(answer["success"] and answer["restore"]["pid"] != pid, str(answer))
        second = answer["restore"]["pid"]
        client.ends()
        must_run(second)
        ids = tree.status_of(second)["NSpid"].split()
        must(ids[0] == str(second) and ids[-1] == str(pid), f"its ids are {ids}")
        answer = Client(place, name="criu-ns").ask("DUMP", opts=place.options(pid=second))
        must(answer["success"] and tree.wait_for(lambda: not tree.is_alive(second), 5), str(answer))
        tree.reap(second, 1)
    must_run(pid)


def fresh_namespace_after_earlier(place):
    """So it goes with a pre-dump, and a dump after it, of a tree that is in a fresh namespace already"""
    pid, root = place.start("sleep 1000 & while :; do sleep 0.02; done"), None
    for number in range(2):
        folders = [os.path.join(place.images, f"{name}-{number}") for name in ("before", "after")]
        fds = []
        for folder in folders:
            os.mkdir(folder)
            fds.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        dumped = root or pid
        answer = Client(place, name="criu-ns").ask("PRE_DUMP", opts=place.options(
            pid=dumped, images_dir_fd=fds[0], track_mem=True))
        must(answer["success"], str(answer))
        answer = Client(place, name="criu-ns").ask("DUMP", opts=place.options(
            pid=dumped, images_dir_fd=fds[1], track_mem=True, parent_img=f"../before-{number}"))
        must(answer["success"] and tree.wait_for(lambda d=dumped: not tree.is_alive(d), 5),
             str(answer))
        tree.reap(dumped, 1)
        sizes = [sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)
                     if name.startswith("pages-")) for folder in folders]
        must(sizes[1] < sizes[0], f"pages have {sizes} bytes")
        client = Client(place, name="criu-ns")
        answer = client.ask("RESTORE", opts=place.options(images_dir_fd=fds[1]))
        must(answer["success"], str(answer))
        root = answer["restore"]["pid"]
        place.roots.append(root)
        client.ends()
        must_run(root)
        ids = tree.status_of(root)["NSpid"].split()
        must(len(ids) > 1 and ids[-1] == str(pid), f"its ids are {ids}")
        for fd in fds:
            os.close(fd)


# A terminal in a devpts of its own, whose master it sends away; it says what it hears there.
ON_TERMINAL = """
import fcntl, os, socket, subprocess
os.mkdir("pts")
subprocess.run(["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666", "x", "pts"], check=True)
master = os.open("pts/ptmx", os.O_RDWR | os.O_NOCTTY)
fcntl.ioctl(master, 0x40045431, bytes(4))  # TIOCSPTLCK
slave = os.open("pts/0", os.O_RDWR | os.O_NOCTTY)
with socket.socket(socket.AF_UNIX) as sender:
    sender.connect("master")
    socket.send_fds(sender, [b"x"], [master])
os.close(master)
while True:
    os.write(slave, b"heard " + os.read(slave, 100))
"""


def terminal_of_others(place):
    """The client gets the master of a terminal that is made again, and may refuse it"""
    def talk(fd, text):
        os.write(fd, text + b"\n")
        got = b""
        while b"heard " + text not in got:
            must(select.select([fd], [], [], LIMIT)[0], f"no answer but {got!r}")
            got += os.read(fd, 100)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(place.path, "master"))
        listener.listen()
        listener.settimeout(LIMIT)
        pid = subprocess.Popen(["unshare", "-m", sys.executable, "-c", ON_TERMINAL],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, cwd=place.path,
                               start_new_session=True).pid
        place.roots.append(pid)
        with listener.accept()[0] as taken:
            _, (master,), _, _ = socket.recv_fds(taken, 10, 1)
    talk(master, b"one")
    refused(Client(place).ask("DUMP", opts=place.options(pid=pid, orphan_pts_master=False)),
            "unsupported-file")
    must(Client(place).ask("DUMP", opts=place.options(pid=pid))["success"], "not dumped")
    must(tree.reap(pid, 5), "the tree is still there")
    os.close(master)
    for agrees in (False, True):
        client, moments, fds = Client(place), [], []
        client.send("RESTORE", opts=place.options(notify_scripts=True))
        while True:
            data, more, _, _ = socket.recv_fds(client.socket, 1 << 20, 1)
            answer, fds = unpack("criu_resp", data), fds + more
            if answer["type"] != TYPES["NOTIFY"]:
                break
            moments.append(answer["notify"]["script"])
            must(bool(more) == (moments[-1] == "orphan-pts-master"), f"a descriptor at {moments}")
            client.send("NOTIFY", notify_success=agrees or not more)
        must(moments.count("orphan-pts-master") == 1 and len(fds) == 1, f"{moments}: {fds}")
        if agrees:
            must(answer["success"], str(answer))
            must_run(pid)
            talk(fds[0], b"two")
        else:
            refused(answer, "client-refused", "RESTORE")
            must(not tree.exists(pid), "the tree is left")
        os.close(fds[0])


def sibling(place):
    """With rst_sibling the root task is a child of the client's; one that fails is ended, too"""
    pid = place.start("sleep 1000 & exec sleep 1000")
    inner = tree.children_of(pid)[0]
    must(Client(place).ask("DUMP", opts=place.options(pid=pid))["success"], "not dumped")
    must(tree.reap(pid, 5) and tree.reap(inner, 5), "the tree is still there")
    opts = place.options(rst_sibling=True, notify_scripts=True)
    for refused_at in ("post-restore", "pre-resume", None):
        client = Client(place)
        client.send("RESTORE", opts=opts)
        while (answer := client.receive())["type"] == TYPES["NOTIFY"]:
            moment = answer["notify"]["script"]
            if moment == "post-restore":
                must(tree.status_of(pid)["PPid"] == str(os.getpid()), "somebody else's child")
            client.send("NOTIFY", notify_success=moment != refused_at)
        if refused_at:
            refused(answer, "client-refused", "RESTORE")
            must(tree.reap(pid, 5), "the root is left")
            must(tree.wait_for(lambda: not tree.exists(inner) or tree.reap(inner, 1), 5),
                 "a task is left")
    must(answer["success"] and answer["restore"]["pid"] == pid, str(answer))
    client.ends()
    must_run(pid)
    must_run(inner)
    os.kill(inner, signal.SIGKILL)


def asked_for_externals(place):
    """What the client names when it is asked is outside of the tree"""
    pairs = [socket.socketpair() for _ in range(2)]
    pid = subprocess.Popen(["sleep", "1000"], stdin=pairs[0][1], stdout=pairs[1][1],
                           stderr=subprocess.DEVNULL, cwd="/", start_new_session=True).pid
    place.roots.append(pid)
    keys = [f"unix[{os.fstat(theirs.fileno()).st_ino}]" for _, theirs in pairs]
    for named in ([], [keys[0], "pipe[1]", keys[1]]):
        client = Client(place)
        client.send("DUMP", opts=place.options(pid=pid, notify_scripts=True))
        while (answer := client.receive())["type"] == TYPES["NOTIFY"]:
            more = {"opts": {"images_dir_fd": -1, "external": named}} \
                if answer["notify"]["script"] == "query-ext-files" else {}
            client.send("NOTIFY", notify_success=True, **more)
        if not named:
            refused(answer, "unsupported-file", "DUMP")
            must(f"--external {keys[0]}" in answer["cr_errmsg"], str(answer))
    must(answer["success"], str(answer))
    for end in itertools.chain(*pairs):
        end.close()
    tree.reap(pid, 5)


def bad_request_in_log(place):
    """What is wrong with a request is told in the log that it names"""
    pid = place.start()
    refused(Client(place).ask("DUMP", opts=place.options(pid=pid, lazy_pages=True)), "bad-request")
    with open(os.path.join(place.images, "dump.log"), encoding="utf-8") as log:
        must("Error" in (text := log.read()) and "lazy_pages" in text, text)
    must_run(pid)


def pid_in_use(place):
    """An error has the number that clients know"""
    pid = place.start()
    must(Client(place).ask("DUMP", opts=place.options(pid=pid, leave_running=True))["success"],
         "not dumped")
    answer = Client(place).ask("RESTORE", opts=place.options())
    refused(answer, "pid-in-use")
    must(answer["cr_errno"] == 17, str(answer))
    with open(os.path.join(place.images, "dump.log"), encoding="utf-8") as log:
        must("Error (restore) [pid-in-use]" in log.read(), "the log does not say so")


def no_socket(place):
    """What is no socket of packets is refused"""
    for words in ([], ["x"], ["-1"], ["99"], ["0"]):
        done = subprocess.run([place.nestor, "swrk", *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT, check=False)
        must(done.returncode == 2 and "[usage]" in done.stderr, f"{words}: {done}")


CASES = [version, features, check, processors, deduplicated, dump_and_restore, leave_running,
         notifications, disagreement, client_goes, filters_that_kill, client_takes_no_answer,
         bad_requests, missing_descriptors, unsupported_options, config_file, joined_namespaces,
         executes_command, fresh_namespace, fresh_namespace_after_earlier, terminal_of_others,
         sibling, asked_for_externals, bad_request_in_log, pid_in_use, no_socket]
