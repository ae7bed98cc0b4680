# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words: options, forms and spellings, and what nestor says of the machine."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys

from place import Done, must, nestor, ORDINARY, parent, program, read_varint, TESTS
import tree


COMMANDS = ("dump", "restore", "tree", "show", "diff", "plan", "check", "dedup", "cpuinfo", "service", "swrk", "run", "last-pids")


def usage(_):
    """Wrong command lines are refused with status 2 and a hint"""
    for done, said in ((nestor(), "no command given"),
                       (nestor("frobnicate"), '"frobnicate" is not a command')):
        done.fails("usage", 2)
        must(said in done.err and "nestor --help lists the commands" in done.err, done.err)
    nestor("dump").fails("usage", 2)
    nestor("dump", "-t", "0").fails("usage", 2)
    nestor("dump", "-t", "1", "word").fails("usage", 2)
    nestor("dump", "-t", "1", "-R", "-s").fails("usage", 2)
    nestor("restore", "--unknown-option").fails("usage", 2)
    nestor("tree").fails("usage", 2)


def unsupported_options(_):
    """Options of criu(8) that nestor cannot honour are refused by name"""
    for option in ("--lazy-pages", "--external=pid[1]:x",
                   "--manage-cgroups=most", "--file-validation=buildid",
                   "--port=1", "--tls-cert=x"):
        done = nestor("dump", "-t", "1", option).fails("usage", 2)
        must(option.split("=")[0] in done.err, f"{option} is not named:\n{done.err}")


def as_criu(*arguments, **options):
    return Done(arguments, name="criu", **options)


def compatibility(_):
    """What docs/compatibility.md says of each option, by the name of criu, is so"""
    with open(os.path.join(os.path.dirname(TESTS), "docs", "compatibility.md"),
              encoding="utf-8") as file:
        rows = re.findall(r"^\| `(--[a-z-]+)` \| (.*) \| (.*) \|$", file.read(), re.MULTILINE)
    must(len(rows) > 60, "no table")
    base = {"dump": ["-t", "4194303", "-D", "/no/such"], "restore": ["-D", "/no/such"]}
    for option, *said in rows:
        for command, word in zip(base, said):
            value = re.match(r"`([^`]+)`: (.*)", word)
            tries = [[option], [option, "1"]] if not value else [[option, value.group(1)],
                                                                 [f"{option}={value.group(1)}"]]
            told = [as_criu(command, *base[command], *words).err for words in tries]
            if word == "refused":
                must(all("[usage]" in text and option in text for text in told),
                     f"{command} {option}: {told}")
            else:
                # Without an argument, or with one; then it comes to the directory.
                must(any("[io]" in text or "[usage]: " in text and option not in text
                         for text in told), f"{command} {option}: {told}")


def other_command(place):
    """By the name of criu, an option of the other command has no effect; --no-NAME takes back"""
    nestor("restore", "-D", place.images, "-t", "1").fails("usage", 2)
    as_criu("restore", "-D", place.images, "-t", "1", "-R").fails("images-incomplete")
    as_criu("dump", "-D", place.images, "-d", "-t", "4194303").fails("no-such-task")
    pid = place.sleeper()
    with open(place.file("conf"), "w", encoding="ascii") as file:
        file.write("leave-stopped\nno-lazy-pages\nrestore-detached\n")
    done = as_criu("dump", "-D", place.images, "-t", pid, "--config", place.file("conf"), "-R",
                   "--no-leave-stopped", "--display-stats").ok()
    must(re.search(r"Pages written: +[1-9]", done.out), done.out)
    must(tree.status_of(pid)["State"][0] == "S", "it does not go on")
    nestor("dump", "-t", "1", "--no-timeout").fails("usage", 2)


def host_name_of(pid):
    return subprocess.run(["nsenter", "-t", str(pid), "-u", "hostname"], capture_output=True,
                          text=True, check=True).stdout.strip()


def joined_namespaces(place):
    """--join-ns puts a tree into namespaces of somebody else; what cannot be joined is refused"""
    others = [place.start(f"exec unshare -u -i sh -c 'hostname {name}; exec sleep 1000'")
              for name in ("red", "blue")]
    for pid, name in zip(others, ("red", "blue")):
        must(tree.wait_for(lambda: host_name_of(pid) == name, 10), "no other namespace")
    plain = place.sleeper()
    nestor("dump", "-D", place.images, "-t", plain, "-R").ok()
    done = nestor("restore", "-D", place.images, f"--join-ns=uts:{others[1]}").fails("usage", 2)
    must("no uts namespace of its own" in done.err, done.err)
    place.dump(others[0])
    for wrong in ("pid:1", "user:1", "mnt:1", "time:1", "uts", "uts:/dev/null", "uts:/no/such",
                  f"ipc:/proc/{others[1]}/ns/uts", "x:1"):
        nestor("restore", "-D", place.images, "--join-ns", wrong).fails("usage", 2)
    file = f"/proc/{others[1]}/ns"
    must("given as join-ns-uts" in nestor("plan", place.images, "-J", f"uts:{file}/uts").ok().out,
         "the plan does not tell")
    pid = place.restored("-J", f"uts:{others[1]}", "--join-ns", f"ipc:{file}/ipc")
    for kind in ("uts", "ipc"):
        must(os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"{file}/{kind}"),
             f"its {kind} namespace is another one")
    must(host_name_of(pid) == "blue", "it has changed what is the other's")


def help_and_version(_):
    """--help and --version are answered everywhere"""
    must("Version: " in nestor("--version").ok().out, "no version")
    must("nestor dump" in nestor("--help").ok().out, "no commands in the help")
    as_criu = subprocess.run(["criu", "--version"], executable=program(), capture_output=True,
                             text=True, check=True).stdout
    must(as_criu == "Version: 4.1\n", f"under the name of criu: {as_criu}")
    for command in COMMANDS:
        must(f"Usage: nestor {command}" in nestor(command, "--help").ok().out, "no usage")
        must("Version: " in nestor(command, "-V").ok().out, "no version")


def manual_has_every_option(_):
    """Every option in the help is in the manual page"""
    with open(os.path.join(os.path.dirname(TESTS), "man", "nestor.1"), encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-")
    for command in COMMANDS:
        for option in re.findall(r"--[a-z][a-z-]+", nestor(command, "--help").ok().out):
            must(option in manual or option in ("--help", "--version"),
                 f"{option} of {command} is not in the manual page")


def hardened(_):
    """What can be asked of the linker and the compiler against faults of ours is there"""
    told = subprocess.run(["readelf", "-hldsW", program()], capture_output=True, text=True,
                          check=True).stdout
    must("DYN (Position-Independent" in told, "its place is fixed")
    must("GNU_RELRO" in told and "BIND_NOW" in told, "tables of addresses can be written to")
    must(re.search(r"GNU_STACK.* RW ", told), "the stack can be executed")
    must("__stack_chk_fail" in told, "the stack is not guarded")


def has_nftables():
    """An empty transaction, in a network namespace of its own."""
    return subprocess.run(["unshare", "-n", sys.executable, "-c",
                           "import socket, struct\n"
                           "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)\n"
                           "s.settimeout(5)\n"
                           # NFT_MSG_GETGEN of NFNL_SUBSYS_NFTABLES, as a request
                           "s.send(struct.pack('=IHHIIBBH', 20, 0xa10, 1, 1, 0, 0, 0, 0))\n"
                           "assert struct.unpack_from('=IH', s.recv(4096))[1] == 0xa0f\n"],
                          capture_output=True, check=False).returncode == 0


def check(_):
    """check has a line for each facility, and answers for single ones"""
    lines = nestor("check").ok().out.splitlines()
    must(any(line.split()[1:2] == ["clone3_set_tid"] for line in lines), "no clone3_set_tid")
    able = lines[lines.index("Can be dumped and restored here, trees with") + 2:]
    able = able[:able.index("") if "" in able else None]
    must(able and all((line.split()[0] == "no") == ("; missing: " in line) for line in able),
         f"what is missing is told of others, or not told: {able}")
    facilities = json.loads(nestor("check", "--json").ok().out)["facilities"]
    must(len(facilities) > 10 and all(row["needed_for"] for row in facilities), "bad JSON")
    nestor("check", "--feature", "clone3_set_tid").ok()
    must(nestor("check", "--feature", "no-such-facility").status == 1, "an unknown one is there")
    there = ("userns", "mnt_id", "timens", "cgroupns", "fdinfo-lock", "timerfd", "ns_pid",
             "mem_dirty_track", "link_nsid", "net_diag_raw", "kcmp_epoll", "seccomp_filters")
    asked = {"tun": os.path.exists("/dev/net/tun"), "tun_ns": os.path.exists("/dev/net/tun"),
             "autofs": "\tautofs\n" in open("/proc/filesystems", encoding="ascii").read(),
             "aio_remap": os.path.exists("/proc/sys/fs/aio-nr"),
             "memfd_hugetlb": os.path.isdir("/sys/kernel/mm/hugepages"),
             "network_lock_nftables": has_nftables(), "nftables": has_nftables()}
    not_there = ("uffd", "uffd-noncoop", "has_ipt_legacy", "pidfd_store",
                 "apparmor_stacking")
    known = nestor("check", "--feature", "list").ok().out.split()
    for name, is_there in {**dict.fromkeys(there, True), **asked,
                           **dict.fromkeys(not_there, False)}.items():
        done = nestor("check", "--feature", name, "-verbosity=0")
        must(done.status == (0 if is_there else 1), f"{name}: {done.status}\n{done.err}")
        must(is_there or "not a facility" not in done.err, f"it is not told why: {done.err}")
        must(name.replace("fdinfo-", "fdinfo_") in known, f"{name} is not listed")
    for words in ([], ["--all"], ["--extra"], ["--experimental"]):
        must(as_criu("check", *words).ok().out.endswith("\nLooks good.\n"), "it does not look good")


def varint(number):
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7f | 0x80]), number >> 7
    return out + bytes([number])


def read_processor(path):
    """[(number of the field, value)] of the one x86_entry in cpuinfo.img"""
    with open(path, "rb") as file:
        data = file.read()
    must(data[:8] == struct.pack("<II", 0x54564319, 0x61404013), "another magic")
    must(struct.unpack_from("<I", data, 8)[0] == len(data) - 12 and data[12] == 0x0a, "no record")
    size, at = read_varint(data, 13)
    must(at + size == len(data), "more than one entry")
    fields = []
    while at < len(data):
        key, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        fields.append((key >> 3, value))
    return fields


def write_processor(path, fields, entries=1):
    entry = b"".join(varint(number << 3 | 2) + varint(len(value)) + value
                     if isinstance(value, bytes) else varint(number << 3) + varint(value)
                     for number, value in fields)
    body = (b"\x0a" + varint(len(entry)) + entry) * entries
    with open(path, "wb") as file:
        file.write(struct.pack("<III", 0x54564319, 0x61404013, len(body)) + body)


def word_changed(fields, word, change):
    """The same with another of the capabilities."""
    out, seen = [], -1
    for number, value in fields:
        seen += number == 6
        out.append((number, change(value) if number == 6 and seen == word else value))
    return out


def processor(place):
    """What the processor can do is recorded and compared; an image that claims more is refused"""
    image = os.path.join(place.images, "cpuinfo.img")

    def says(name, *options):
        done = nestor("cpuinfo", "check", "-D", place.images, *options)
        return done.ok() if not name else done.fails(name, 2 if name == "usage" else 1)

    nestor("cpuinfo").fails("usage", 2)
    nestor("cpuinfo", "frobnicate").fails("usage", 2)
    says("image-missing")
    nestor("cpuinfo", "dump", "-D", place.images).ok()
    here = read_processor(image)
    must([number for number, _ in here].count(6) == 19, f"{here}")
    says(None)
    says("usage", "--cpu-cap=most")
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = re.search(r"^flags\s*: (.*)$", file.read(), re.MULTILINE).group(1).split()
    # Word 9 of capabilities is EBX of leaf 7: bit 26 is avx512pf, which no server has; 5: avx2.
    must(("avx2" in flags) <= bool([value for number, value in here if number == 6][9] >> 5 & 1),
         "avx2 is not recorded")
    must("avx512pf" not in flags, "an odd machine")
    write_processor(image, word_changed(here, 9, lambda word: word | 1 << 26))
    for options in ([], ["--cpu-cap"], ["--cpu-cap=all"], ["--cpu-cap=ins"], ["--cpu-cap=cpu"],
                    ["--cpu-cap=fpu,ins"], ["--cpu-cap=^fpu"]):
        must("avx512pf" in says("cpu-differs", *options).err, "it is not named")
    for options in (["--cpu-cap=fpu"], ["--cpu-cap=none"], ["--cpu-cap=^cpu,^ins"]):
        says(None, *options)
    # Bit 0 of word 2 is the kernel's own; 18 of word 0, a serial number, is no instruction.
    write_processor(image, word_changed(here, 2, lambda word: 1))
    says(None)
    write_processor(image, word_changed(here, 0, lambda word: word | 1 << 18))
    must("word 0 bit 18" in says("cpu-differs", "--cpu-cap=cpu").err, "it is not named")
    says(None, "--cpu-cap=ins")
    # The first and the last bit of a word, of those that no instruction's name is for.
    words = [value for number, value in here if number == 6]
    for bit in (0, 31):
        word = next(number for number in (12, 14, 15, 16, 17) if not words[number] >> bit & 1)
        write_processor(image, word_changed(here, word, lambda word, bit=bit: word | 1 << bit))
        must(f"word {word} bit {bit}" in says("cpu-differs").err, "it is not named")
    # So many that not all are told.
    write_processor(image, [(n, 0xffffffff if n == 6 else v) for n, v in here])
    told = says("cpu-differs").err
    must(re.search(r": (\w[\w ]*, )+\.\.\.\n", told) and told.count("...") == 1, told)
    write_processor(image, [(n, v | 1 << 62 if n == 8 else v) for n, v in here])
    says("cpu-differs", "--cpu-cap=fpu")
    says(None, "--cpu-cap=ins")
    # One that can do less than this one is no obstacle.
    write_processor(image, word_changed(here, 9, lambda word: 0))
    says(None)
    for bad, name in ((here[:6], "image-invalid"), (here + [(6, 0)], "image-invalid"),
                      ([(n, 9 if n == 5 else v) for n, v in here], "image-unsupported"),
                      (here[1:], "image-invalid")):
        write_processor(image, bad)
        says(name)
    write_processor(image, here, entries=2)
    says("image-unsupported")
    os.truncate(image, 20)
    says("image-truncated")


def processor_of_dump(place):
    """A dump with --cpu-cap records the processor, and a restore with it compares"""
    place.dumped()
    must("cpuinfo.img" not in os.listdir(place.images), "it was not asked for")
    nestor("restore", "-D", place.images, "-d", "--cpu-cap=ins").fails("image-missing")
    pid = place.restored("--cpu-cap=fpu")
    place.dump(pid, "--cpu-cap")
    must(read_processor(os.path.join(place.images, "cpuinfo.img")), "nothing is recorded")
    pid = place.restored("--cpu-cap=all")
    place.dump(pid, "--cpu-cap=none")
    must("cpuinfo.img" not in os.listdir(place.images), "it was not asked for")
    # Of another tool's images there is no sum.
    pid = place.restored()
    place.dump(pid, "--cpu-cap=cpu")
    image = os.path.join(place.images, "cpuinfo.img")
    write_processor(image, word_changed(read_processor(image), 9, lambda word: word | 1 << 26))
    nestor("restore", "-D", place.images, "-d", "--cpu-cap=ins").fails("image-altered")


def check_of_others(place):
    """check tells people with fewer privileges what they can do, and what is missing"""
    shutil.copy(program(), place.file("nestor"))
    os.chmod(place.path, 0o755)

    def missing(*options):
        done = subprocess.run(ORDINARY + [*options, place.file("nestor"), "check", "--json"],
                              capture_output=True, text=True, check=True)
        return {row["name"]: row["missing"] for row in json.loads(done.stdout)["abilities"]}
    person = missing()
    must(person["own_user_namespaces"] == [], str(person))
    must(person["own_processes"] == ["clone3_set_tid"], str(person))
    must("sys_admin" in person["namespaces"], str(person))
    restorer = missing("--inh-caps=-all,+checkpoint_restore",
                       "--ambient-caps=-all,+checkpoint_restore")
    must(restorer["own_processes"] == [], str(restorer))
    must("ptrace" in restorer["other_users"] and "kill" in restorer["other_users"], str(restorer))
    done = subprocess.run(ORDINARY + [place.file("nestor"), "check", "--feature", "map_files"],
                          capture_output=True, check=False)
    must(done.returncode == 1, "map_files may be followed")


def check_of_tree(place):
    """check --tree tells all that is in the way, touches nothing; a refused dump says the same"""
    # What is usual has no need of options: small files without a name, for one.
    pid = place.start("exec 3>unlinked; echo text >&3; rm unlinked; exec sleep 1000")
    done = nestor("check", "-t", pid).ok()
    must("nothing is seen" in done.out, done.out)
    pid = place.start("exec 3</dev/cpu_dma_latency 4</dev/cpu_dma_latency; echo $$ >%s; i=0; "
                      "while :; do i=$((i+1)); echo $i >%s; sleep 0.01; done"
                      % (place.file("pid"), place.file("count")))
    tree.wait_for(lambda: os.path.exists(place.file("count")), 10)
    look = nestor("check", "-t", pid, "--json")
    must(look.status == 1, look.line + look.err)
    found = json.loads(look.out)
    kinds = [(kind["name"], kind["count"]) for kind in found["obstacles"]]
    must(kinds == [("unsupported-file", 2)], str(kinds))
    kind = found["obstacles"][0]
    must(kind["example"] == kind["all"][0] and f"pid {pid}: descriptor 3 (/dev/cpu_dma_latency)" in
         kind["example"] and found["unknown"], str(kind))
    said = nestor("check", "-t", pid).out
    must("[unsupported-file] 2 times, for instance" in said, said)
    must("descriptor 4" not in said and "descriptor 4" in nestor("check", "-v3", "-t", pid).out,
         said)
    done = nestor("dump", "-t", pid, "-D", place.images).fails("unsupported-file")
    must("[unsupported-file] 2 times" in done.err and "descriptor 3" in done.err, done.err)
    must(tree.status_of(pid)["TracerPid"] == "0", "it is traced")
    nestor("check", "-t", 4194303).fails("no-such-task")
    pid = place.start("exec unshare --pid --fork "
                      "sh -c 'exec 3</dev/cpu_dma_latency; while :; do sleep 0.02; done'")
    must(tree.wait_for(lambda: len(tree.processes(pid)) > 2, 10), "it does not begin")
    inner = tree.children_of(pid)[0]
    nestor("dump", "-t", pid, "-D", place.images, "-o", "log").fails("unsupported-file")
    with open(os.path.join(place.images, "log"), encoding="utf-8") as log:
        for said in (nestor("check", "-v3", "-t", pid).out, log.read()):
            must(f"pid 1 (sh, host pid {inner}): descriptor 3" in said, said)
    # What the planner refuses knows tasks by their numbers at all levels.
    done = nestor("dump", "-R", "-t", inner, "-D", place.images)
    must(f"pid 1 (sh, host pid {inner}): the leader of its session" in done.err, done.err)


def criu_spelling(place):
    """The spelling that scripts for criu(8) use works"""
    pid = place.sleeper()
    nestor("dump", "--no-default-config", "--log-file", "dump.log", "--images-dir", place.images,
           "--verbosity=4", "--tree", pid, "--pidfile", "F", "--timeout", "10",
           "--pre-dump-mode", "splice", "-verbosity=0").ok()
    must(tree.reap(pid, 5), "the tree is still there")
    place.restored("--no-default-config", "--log-file", "restore.log", "--restore-detached")


def lxc_spelling(place):
    """The command lines of lxc-checkpoint work as it writes them, with an empty value and an absolute log"""
    def as_criu(*words):
        done = subprocess.run(["criu", *words], executable=program(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=60)
        must(done.returncode == 0 and done.stdout + done.stderr == "", f"{words}: {done}")
    common = ["--tcp-established", "--file-locks", "--link-remap", "--manage-cgroups=full",
              "--ext-mount-map", "auto", "--enable-external-sharing", "--enable-external-masters",
              "--enable-fs", "hugetlbfs", "--enable-fs", "tracefs", "-D", place.images]
    pid = place.sleeper()
    outside = ["-t", str(pid), "--skip-in-flight", "--ext-mount-map", "/dev/console:console",
               "--external", "tty[8801:3]", "--ext-mount-map",
               "/sys/fs/fuse/connections:sys/fs/fuse/connections", "--force-irmap"]
    for command, more in (("pre-dump", []), ("dump", ["--leave-running"]), ("dump", [])):
        log = os.path.join(place.images, f"{command}.log")
        as_criu(command, *common, "-o", log, *outside, *more)
        must(os.path.exists(log), "no log")
        must(more != ["--leave-running"] or tree.is_alive(pid), "it does not go on")
    must(tree.reap(pid, 5), "the tree is still there")
    as_criu("restore", *common, "-o", os.path.join(place.images, "restore.log"), "--root", "/",
            "--restore-detached", "--restore-sibling", "--ext-mount-map", "console:", "--external",
            "console:", "--ext-mount-map", "/dev/console:console", "--veth-pair", "eth0=veth9",
            "--pidfile", place.file("pid"))
    root = int(open(place.file("pid"), encoding="ascii").read())
    place.roots.append(root)
    must(root == pid and parent(root) == os.getpid(), "it is no sibling")
    for pair in ("eth0", "=veth9", "eth0="):
        nestor("restore", "-D", place.images, "--veth-pair", pair).fails("usage", 2)


def config_files(place):
    """Options come from the default file and --config; the command line has the last word"""
    home = place.file("home")
    os.makedirs(os.path.join(home, ".nestor"))
    with open(os.path.join(home, ".nestor", "default.conf"), "w", encoding="ascii") as file:
        file.write("# a comment\nleave-running\nlog-file from-default.log\n")
    with open(place.file("config"), "w", encoding="ascii") as file:
        file.write(f"log-file \"from-config.log\"\nimages-dir {place.images}\n")
    pid = place.sleeper()
    environment = dict(os.environ, HOME=home)
    nestor("dump", "-t", pid, "--config", place.file("config"), env=environment).ok()
    must(tree.is_alive(pid), "leave-running of the default file was not heard")
    must("from-config.log" in os.listdir(place.images), str(os.listdir(place.images)))
    nestor("dump", "-t", pid, "-D", place.images, "-o", "own.log", "-R", "--no-default-config",
           "--config", place.file("config"), env=environment).ok()
    must("own.log" in os.listdir(place.images), "the command line has not the last word")
    with open(place.file("config"), "w", encoding="ascii") as file:
        file.write("no-such-option\n")
    nestor("dump", "-t", pid, "--config", place.file("config")).fails("usage", 2)
    nestor("dump", "-t", pid, env=dict(os.environ, NESTOR_CONFIG_FILE=place.file("config"))).fails(
        "usage", 2)
    # What never ends, and what is no text, is neither read for long nor in part.
    with open(place.file("config"), "wb") as file:
        file.write(b"leave-running\n\0no-such-option\n")
    for name in ("/dev/zero", place.file("config"), place.path):
        nestor("dump", "-t", pid, "-D", place.images, "--config", name).fails("usage", 2)
        nestor("dump", "-t", pid, "-D", place.images, "--cgroup-props-file", name).fails("io", 1)
    must(tree.is_alive(pid), "it was dumped all the same")
    # The system's, too.
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /etc && mkdir /etc/nestor && "
         "echo no-such-option > /etc/nestor/default.conf && exec $0 check", program()],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    must(done.returncode == 2 and "/etc/nestor/default.conf, line 1" in done.stderr, done.stderr)
    # criu(8)'s own files are read by that name.
    os.mkdir(os.path.join(home, ".criu"))
    with open(os.path.join(home, ".criu", "default.conf"), "w", encoding="ascii") as file:
        file.write(f"leave-running\nlog-file as-criu.log\nimages-dir {place.images}\n")
    for name in ("criu", "criu-ns"):
        done = subprocess.run([name, "dump", "-t", str(pid)], executable=program(), env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        must(done.returncode == 0, done.stderr)
    must("as-criu.log" in os.listdir(place.images) and tree.is_alive(pid), "not read")


CASES = [
    usage, hardened, unsupported_options, compatibility, other_command, joined_namespaces,
    help_and_version, manual_has_every_option, check, processor, processor_of_dump, check_of_others,
    check_of_tree, criu_spelling, lxc_spelling, config_files,
]
