"""A submission reaches no other process by whatever road, and everything that it holds counts."""

import os
import platform
import re
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_lab.assignments.grading import guards
from w2s_lab.assignments.grading.guards import KERNEL, MB, Kernel, Limits, landlock_version
from w2s_lab.assignments.grading.session import Session
from w2s_lab.assignments.grading.system_calls import ALLOWED, IGNORED, MACHINES, REPLACED, rules, system_call_filter

LINUX = sys.platform == "linux"
HERE = LINUX and platform.machine() in MACHINES
linux = pytest.mark.skipif(not LINUX, reason="only Linux has seccomp, Landlock and /proc")
PID, SPARE = 4_321, 0xFFFF_FFFF
EPERM, ENOSYS, EOPNOTSUPP = 1, 38, 95
KERNELS = {
    "all guards": KERNEL,
    "no scopes": Kernel(landlock=5),
    "no rule for truncation": Kernel(landlock=2),
    "the first Landlock": Kernel(landlock=1),
    "no Landlock": Kernel(landlock=0),
    "no seccomp": Kernel(seccomp=False),
    "no scopes, no seccomp": Kernel(landlock=5, seccomp=False),
    "an audit hook only": Kernel(landlock=0, seccomp=False),
}


# -- the filter, read as the kernel reads it ---------------------------------------------------------------------------


def verdict(program: bytes, machine: str, number: int, *arguments: int) -> int | str:
    """What the filter says of a call: 0 (allowed), "ignored", an error's number, "killed". After seccomp(2), bpf(4)."""
    facts = struct.pack("IIQ6Q", number, MACHINES[machine][1], 0, *(*arguments, *[0] * 6)[:6])
    steps, place, accumulator = list(struct.iter_unpack("HBBI", program)), 0, 0
    while True:
        code, when, otherwise, value = steps[place]
        place += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("I", facts, value)
        elif code == 0x54:
            accumulator &= value
        elif code in (0x15, 0x35):
            place += when if (accumulator == value if code == 0x15 else accumulator >= value) else otherwise
        elif code == 0x06:
            if value == 0x50000:
                return "ignored"
            return {0x7FFF0000: 0, 0x80000000: "killed"}.get(value, value & 0xFFFF)
        else:
            raise AssertionError(f"instruction {code:#x} is unknown")


def numbers(table: dict, machine: str) -> set[int]:
    pairs = (pair if isinstance(pair[0], int | None) else pair[0] for pair in table.values())
    return {pair[MACHINES[machine][0]] for pair in pairs} - {None}


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_not_listed_is_refused(machine):
    program = system_call_filter(machine, PID)
    free, faked = numbers(ALLOWED, machine), numbers(IGNORED, machine)
    listed = free | faked | numbers(REPLACED, machine) | numbers(rules(PID, truncate=True), machine)
    assert len(program) // 8 < 4096  # the most that the kernel takes
    for number in range(1_000):
        found = verdict(program, machine, number, *[SPARE] * 6)
        if number not in listed:
            assert found == (ENOSYS if number >= 424 else EPERM), number
        elif number in free | faked:
            assert found == (0 if number in free else "ignored"), number
    assert verdict(program, machine, 0x4000_0001) == "killed"


ARGUMENTS = {  # call, arguments and what is said of them: written down apart from the rules
    "kill": [((PID, 9), 0), ((PID + 1, 9), EPERM), ((0, 9), EPERM), ((SPARE, 9), EPERM), ((2**32 - PID, 9), EPERM)],
    "tgkill": [((PID, PID + 7, 9), 0), ((PID + 1, PID + 1, 9), EPERM)],
    "prlimit64": [((0, 7), 0), ((PID, 7), 0), ((1, 7), EPERM)],
    "sched_setaffinity": [((0, 8), 0), ((PID, 8), 0), ((PID - 1, 8), EPERM)],
    "clone": [((0x3D0F00,), 0), ((0x11,), EPERM), ((0x3D0F00 & ~0x400,), EPERM), ((0x3D0F00 | 0x10000000,), EPERM)],
    "fcntl": [*(((3, command), EPERM) for command in (8, 10, 15, 1024, 1026)), ((3, 4, 0x800), 0), ((3, 1030), 0)],
    "ioctl": [*(((3, what), EPERM) for what in (0x8901, 0x8902, 0x5452, 0x5410, 0x5412, 0x540E)), ((1, 0x5401), 0)],
    "prctl": [*(((what,), EPERM) for what in (0x59616D61, 4, 62, 36, 35, 1, 22)), ((15,), 0), ((0x53564D41,), 0)],
    "socketpair": [((1, 1), 0), ((1, 1 | 0o2004000), 0), ((1, 2), EPERM), ((1, 5), EPERM), ((2, 1), EPERM)],
    "mmap": [((0, 1, 3, 0x22), 0), ((0, 1, 3, 0x01), 0), ((0, 1, 3, 0x21), EPERM), ((0, 1, 3, 0x40021), EPERM)],
    "openat": [((3, 0, 0x241), 0), ((3, 0, 0x80000), 0), ((3, 0, 0x200), EPERM), ((3, 0, 0x80200), EPERM)],
}  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("call", ARGUMENTS)
def test_a_call_is_judged_by_its_arguments(call, machine):
    program, asked = system_call_filter(machine, PID), rules(PID, truncate=True)
    assert set(ARGUMENTS) == set(asked) - {"open", "truncate"}
    for arguments, wanted in ARGUMENTS[call]:
        assert verdict(program, machine, asked[call][0][MACHINES[machine][0]], *arguments) == wanted, arguments


@given(st.sampled_from(sorted(MACHINES)), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_no_signal_to_anybody_else(machine, pid, signal):
    number = {"x86_64": 62, "aarch64": 129}[machine]
    assert verdict(system_call_filter(machine, PID), machine, number, pid, signal) == (0 if pid == PID else EPERM)


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernel(machine):
    if not HEADERS[machine].exists():
        pytest.skip(f"the kernel's headers are not here: {HEADERS[machine]}")
    text = HEADERS[machine].read_text()
    found = {name: int(number) for name, number in re.findall(r"define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    found = {"newfstatat": found.get("fstatat"), "clone3": 435} | found
    checked = 0
    for table in (ALLOWED, IGNORED, REPLACED, rules(PID, truncate=True)):
        for name, pair in table.items():
            number = (pair if isinstance(pair[0], int | None) else pair[0])[MACHINES[machine][0]]
            if name in found:
                checked += 1
                assert found[name] == number, name
            else:
                assert number is None or number >= 424, name  # newer than these headers
    assert checked > 150


# Makes every call that is not listed, with zeros, and names those that got through: seccomp answers before the kernel.
EVERY_CALL = """
import ctypes, os, sys, tempfile
from pathlib import Path
from w2s_lab.assignments.grading.guards import Limits, enter
skip = set(map(int, sys.argv[1].split(",")))
call = ctypes.CDLL(None, use_errno=True).syscall
assert "seccomp" in enter(Path(tempfile.mkdtemp()), [Path(sys.prefix)], Limits())
for number in set(range(500)) - skip - {335, 336}:  # these two are the kernel's own, and pass every filter
    if not (call(number, 0, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() in (1, 38, 95)):
        os.write(1, f"{number} ".encode())
os.write(1, b"done")
"""


@pytest.mark.skipif(not HERE, reason="seccomp is used on Linux, x86-64 and ARM")
def test_the_kernel_refuses_every_call_that_is_not_listed():
    machine = platform.machine()
    skip = numbers(ALLOWED, machine) | numbers(IGNORED, machine) | numbers(rules(PID, truncate=True), machine)
    words = [sys.executable, "-c", EVERY_CALL, ",".join(map(str, skip))]
    assert subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout == "done"


# -- roads to another process ------------------------------------------------------------------------------------------

ROADS = """
import ctypes, fcntl, os, resource, signal, socket, stat
import psutil
through = []
def road(name):
    def take(attempt):
        try:
            if attempt() != -1:
                through.append(name)
        except BaseException:
            pass
    return take
def line():
    for n in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(n).st_mode):
                return n
        except OSError:
            pass
def raw(number, *arguments):
    return ctypes.CDLL(None, use_errno=True).syscall(number, *map(ctypes.c_long, arguments))
for other in OTHERS:
    road("kill")(lambda: os.kill(other, 0))
    road("killpg")(lambda: os.killpg(other, 0))
    road("affinity")(lambda: os.sched_setaffinity(other, {0}))
    road("priority")(lambda: os.setpriority(os.PRIO_PROCESS, other, 19))
    road("priority of the user")(lambda: os.setpriority(os.PRIO_USER, 0, 19))
    road("scheduler")(lambda: os.sched_setscheduler(other, os.SCHED_BATCH, os.sched_param(0)))
    road("limits")(lambda: resource.prlimit(other, resource.RLIMIT_CORE, (0, 0)))
    road("pidfd")(lambda: os.pidfd_open(other))
    road("owner")(lambda: fcntl.fcntl(line(), fcntl.F_SETOWN, other))
    road("owner, a group")(lambda: fcntl.fcntl(line(), fcntl.F_SETOWN, -other))
    road("owner, extended")(lambda: fcntl.fcntl(line(), 15, other.to_bytes(8, "little")))
    road("its signal")(lambda: fcntl.fcntl(line(), fcntl.F_SETSIG, 9))
    for request in (0x8901, 0x8902):
        road("owner by ioctl")(lambda: fcntl.ioctl(line(), request, other.to_bytes(4, "little")))
    road("lease")(lambda: fcntl.fcntl(os.open(os.__file__, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK))
    road("memory")(lambda: open(f"/proc/{other}/mem", "r+b"))
    road("score")(lambda: open(f"/proc/{other}/oom_score_adj", "w"))
    road("name")(lambda: open(f"/proc/{other}/comm", "w"))
    road("psutil")(lambda: psutil.Process(other).resume())
    for name, call in CALLS.items():
        for arguments in ((other, 0), (0, other), (0, other, 9), (1, other, 0x4000), (other, other, 0, 0, 0)):
            road(name)(lambda: raw(call, *arguments))
road("datagrams")(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
road("emptied")(lambda: os.close(os.open(MARK, os.O_RDONLY | os.O_TRUNC)))
road("emptied by name")(lambda: os.truncate(MARK, 0))
"""
# Numbers on x86-64; on another machine these are other calls, and not tried.
CALLS = {
    "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "setpriority": 141,
    "ioprio_set": 251, "sched_setattr": 314, "sched_setparam": 142, "move_pages": 279, "migrate_pages": 256,
    "get_robust_list": 274, "process_vm_readv": 310, "ptrace": 101, "kcmp": 312, "keyctl": 250, "process_madvise": 440,
    "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240, "memfd_create": 319, "io_uring_setup": 425,
    "perf_event_open": 298, "userfaultfd": 323, "inotify_init": 253, "unshare": 272, "sync": 162,
}  # fmt: skip


@linux
@pytest.mark.parametrize("kernel", KERNELS)
def test_no_road_leads_to_another_process(kernel, tmp_path):
    mark = tmp_path / "of another"
    mark.write_text("its words")
    words = [sys.executable, "-c", "import time; time.sleep(600)"]
    victim = subprocess.Popen(words, preexec_fn=guards._drop_capabilities)  # else root's powers protect it
    try:
        watched, facts = psutil.Process(victim.pid), ("status", "cpu_affinity", "nice", "ionice", "name")
        before = watched.as_dict(facts)
        calls = CALLS if platform.machine() == "x86_64" and KERNELS[kernel].seccomp else {}
        head = f"OTHERS, CALLS, MARK = {(victim.pid, os.getpid())}, {calls}, {str(mark)!r}\n"
        mine = psutil.Process().cpu_affinity(), psutil.Process().nice()
        with Session(limits=Limits(cell=30), kernel=KERNELS[kernel]) as session:
            assert session.cell(head + ROADS).kind == ""
            assert session.call("", "sorted(set(through))", seconds=5).value == []
        assert {**watched.as_dict(facts), "status": ""} == {**before, "status": ""} and victim.poll() is None
        assert (psutil.Process().cpu_affinity(), psutil.Process().nice()) == mine
        assert mark.read_text() == "its words"
    finally:
        victim.kill()
        victim.wait()


# -- what is held ------------------------------------------------------------------------------------------------------

SMALL = Limits(cell=30, total=100, memory=250 * MB, file=10 * MB, folder=40 * MB)
HOLDS = {
    "removed files that are open": """
        for n in range(200):
            keep.append(open(str(n), "wb", buffering=0))
            os.remove(str(n))
            keep[-1].write(bytes(9 << 20))
            time.sleep(0.01)""",
    "files without a name": """
        for n in range(200):
            keep.append(os.open(".", os.O_TMPFILE | os.O_RDWR))
            os.write(keep[-1], bytes(9 << 20))
            time.sleep(0.01)""",
    "removed files with a page mapped": """
        for n in range(200):
            with open(str(n), "w+b") as file:
                file.write(bytes(9 << 20))
                file.flush()
                keep.append(mmap.mmap(file.fileno(), 4096))
            os.remove(str(n))
            time.sleep(0.01)""",
    "files, and talk meanwhile": """
        line = next(n for n in range(3, 256) if is_socket(n))
        def talk():
            while True:
                os.write(line, b'{"number": 5}\\n')
        threading.Thread(target=talk, daemon=True).start()
        for n in range(200):
            open(str(n), "wb").write(bytes(9 << 20))
            time.sleep(0.01)""",
    "folders that cannot be walked": """
        for n in range(60):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        time.sleep(5)""",
    "memory and files together": """
        keep.append(np.ones(225 * 10**6, np.uint8))
        for n in range(4):
            open(str(n), "wb").write(bytes(9 << 20))
        time.sleep(5)""",
}  # fmt: skip
HELP = """
import mmap, os, socket, stat, threading, time
import numpy as np
keep = []
def is_socket(n):
    try:
        return stat.S_ISSOCK(os.fstat(n).st_mode)
    except OSError:
        return False
"""


@linux
@pytest.mark.parametrize("kind", HOLDS)
def test_what_is_held_counts(kind):
    with Session(limits=SMALL) as session:
        session.cell(HELP)
        answer = session.cell(textwrap.dedent(HOLDS[kind]))
        assert answer.kind == "size" and answer.reason.startswith("it held more than"), answer
        assert session.call("", "1 + 1", seconds=5).value == 2  # in a new process


HIDES = {
    "a file that is memory": "os.memfd_create('x')",
    "shared memory": "mmap.mmap(-1, 10**8)",
    "shared memory from a device": "mmap.mmap(os.open('/dev/zero', os.O_RDWR), 10**8)",
    "a file on its way": "socket.send_fds(socket.socketpair()[0], [b'x'], [os.open('x', os.O_RDWR | os.O_CREAT)])",
}
HIDES_BY_NUMBER = {  # on x86-64
    "a whole disk at once": "refused(285, os.open('x', os.O_RDWR | os.O_CREAT), 0, 0, 9 << 20)",
    "a table of open files of its own": "refused(56, 0x3d0f00 & ~0x400)",
    "the same, later": "refused(436, 1000, 1001, 2)",
    "shared memory of old": "refused(29, 0, 1 << 20, 0o1600)",
}


@pytest.mark.skipif(not HERE or not landlock_version(), reason="the kernel's guards are needed")
def test_nothing_is_held_where_nobody_sees_it():
    """All in one process: what the grader cannot see in a process is refused to it."""
    own = """
        import ctypes
        def refused(*arguments):
            if ctypes.CDLL(None, use_errno=True).syscall(*map(ctypes.c_long, arguments)) == -1:
                raise OSError(ctypes.get_errno(), "refused")
    """
    with Session(limits=SMALL) as session:
        session.cell(HELP + textwrap.dedent(own))
        for kind, code in (HIDES | (HIDES_BY_NUMBER if platform.machine() == "x86_64" else {})).items():
            assert session.cell(f"keep.append({code})").kind == "raised", kind


ENDS_WITH = """
import ctypes
signal = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(signal), 0, 0, 0)
"""


@pytest.mark.skipif(not HERE or not landlock_version(), reason="the kernel's guards are needed")
def test_a_process_stands_still_between_requests_and_ends_with_its_parent():
    with Session(limits=SMALL) as session:
        for _ in range(2):
            assert session.cell(ENDS_WITH).kind == ""
            process, until = psutil.Process(session._process.pid), time.monotonic() + 20
            while process.status() != psutil.STATUS_STOPPED and time.monotonic() < until:
                time.sleep(0.01)
            assert process.status() == psutil.STATUS_STOPPED
        assert session.call("", "signal.value", seconds=5).value == 9  # nobody is there to wake it: it is ended


# -- what a notebook needs ---------------------------------------------------------------------------------------------

HONEST = {
    "waiting": """
        import asyncio, signal, threading, time
        from concurrent.futures import ThreadPoolExecutor
        async def both():
            await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(3)))
            return await asyncio.to_thread(sum, [1, 2])
        assert await both() == 3
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(abs, range(9))) == 36
        timer = threading.Timer(0.01, time.sleep, (0.01,))
        timer.start(), timer.join()
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.01), signal.pause()
        os.kill(os.getpid(), signal.SIGALRM), signal.raise_signal(signal.SIGALRM)
        os.sched_setaffinity(0, os.sched_getaffinity(0))""",
    "files": """
        import pathlib, shutil, sqlite3, tempfile
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "q").write_text("x"), shutil.copytree(folder, "copy")
        os.replace("copy/q", "copy/r"), os.link("copy/r", "copy/s"), os.symlink("r", "copy/t"), os.truncate("copy/r", 0)
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
        base = sqlite3.connect("x.db")
        base.execute("pragma journal_mode=wal"), base.execute("create table t(a)"), base.commit(), base.close()
        shutil.make_archive("all", "zip", "copy"), shutil.disk_usage("."), os.get_inheritable(0)
        np.save("a.npy", np.arange(9)), np.load("a.npy", mmap_mode="r+"), np.arange(9.0).tofile("c")
        table = np.memmap("b", dtype="f4", mode="w+", shape=1000)
        table[:] = 1
        table.flush()""",
    "torch": """
        import torch
        torch.set_num_threads(2)
        x = torch.randn(300, 300)
        torch.linalg.svd(x @ x)
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=50, num_workers=0)
        model = torch.nn.Linear(300, 2)
        optimizer = torch.optim.AdamW(model.parameters())
        for (rows,) in loader:
            model(rows).square().mean().backward()
            optimizer.step()
        torch.save(model.state_dict(), "m.pt"), torch.load("m.pt", mmap=True)""",
    "tables and pictures": """
        import matplotlib.pyplot as plt, pandas as pd, scipy.linalg, sklearn.linear_model
        pd.DataFrame({"a": [1, 2]}).to_csv("x.csv"), pd.read_csv("x.csv")
        figure, axes = plt.subplots()
        axes.plot([1, 2]), figure.savefig("a.png"), figure.savefig("a.pdf")
        sklearn.linear_model.LogisticRegression().fit(np.random.randn(40, 3), np.arange(40) % 2)
        scipy.linalg.eigh(np.eye(50))""",
}


@pytest.fixture(scope="module")
def desk():
    with Session(limits=Limits(cell=60)) as session:
        session.cell(HELP)
        yield session


@pytest.mark.parametrize("kind", HONEST)
def test_what_a_notebook_needs_is_allowed(kind, desk):
    answer = desk.cell(textwrap.dedent(HONEST[kind]))
    assert answer.kind == "", answer.reason
