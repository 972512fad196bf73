"""Limits what a submission's process may do. The process sets them itself before a student's code runs, for good.

On Linux the kernel enforces them, without any privilege: seccomp (no new processes, no network, no signals to other
processes, no reading of their memory), Landlock (files) and resource limits. Without Landlock or seccomp, as on macOS,
an audit hook refuses the same to Python code, which is enough against accidents and ordinary cheating.
"""

import contextlib
import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes:
        memory: bytes beyond what the process has at its start.
        file: bytes of one file.
        folder: bytes of all its files together.
        cell: seconds of one cell.
        total: seconds of all its own code together.
        answer: characters of one returned value.
    """

    memory: int = 3_000 * MB
    file: int = 50 * MB
    folder: int = 200 * MB
    cell: float = 120.0
    total: float = 600.0
    answer: int = 1_100_000


# -- Linux: system calls that fail with "not permitted" ----------------------------------------------------------------

# name: number on x86_64, on aarch64 (None: not there).
DENIED = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "socket": (41, 198), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "io_uring_setup": (425, 425), "bpf": (321, 280),
    "perf_event_open": (298, 241), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "mount": (165, 40), "umount2": (166, 39), "unshare": (272, 97), "setns": (308, 268), "userfaultfd": (323, 282),
    "setpriority": (141, 140), "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "kcmp": (312, 272), "chroot": (161, 51), "pivot_root": (155, 41), "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "open_by_handle_at": (304, 265),
}  # fmt: skip
# Landlock lets the owner of a file change these facts about it. Here they seem to succeed and do nothing: honest code
# that copies a file goes on, and nobody's file changes.
IGNORED = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
CLONE, CLONE3, KILL, TGKILL, PRLIMIT = (56, 220), (435, 435), (62, 129), (234, 131), (302, 261)
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, the kernel's name for it
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS, _CLONE_THREAD = 1, 38, 0x00010000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions of the filter's language
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16  # where they are in what the filter sees


def system_call_filter(machine: str, pid: int) -> bytes:
    """The seccomp program (an array of `struct sock_filter`) for a process of that id."""
    column, name = MACHINES[machine]
    steps: list[tuple[int, int, int, int]] = []

    def step(code: int, value: int, when: int = 0, otherwise: int = 0) -> None:
        steps.append((code, when, otherwise, value))

    def refuse(number: int, error: int = _EPERM) -> None:
        step(_EQUAL, number, 0, 1)
        step(_RETURN, _ERRNO | error)

    def only_with(number: int, code: int, values: Sequence[int]) -> None:
        """Refuse `number` unless its first argument passes the test `code` with one of `values`."""
        step(_EQUAL, number, 0, 3 + len(values))
        step(_LOAD, _FIRST_ARGUMENT)
        for place, value in enumerate(values):
            step(code, value, len(values) - place, 0)
        step(_RETURN, _ERRNO | _EPERM)
        step(_RETURN, _ALLOW)

    step(_LOAD, _MACHINE)
    step(_EQUAL, name, 1, 0)
    step(_RETURN, _KILL)
    step(_LOAD, _NUMBER)
    step(_AT_LEAST, 0x40000000, 0, 1)  # the x32 variant of x86_64 has numbers of its own
    step(_RETURN, _KILL)
    for numbers in DENIED.values():
        if numbers[column] is not None:
            refuse(numbers[column])
    for numbers in IGNORED.values():
        if numbers[column] is not None:
            refuse(numbers[column], 0)
    refuse(CLONE3[column], _ENOSYS)  # its flags lie in memory, where a filter cannot look; libc then takes clone
    only_with(CLONE[column], _ANY_BIT, [_CLONE_THREAD])
    only_with(KILL[column], _EQUAL, [pid])
    only_with(TGKILL[column], _EQUAL, [pid])
    only_with(PRLIMIT[column], _EQUAL, [0, pid])
    step(_RETURN, _ALLOW)
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _seccomp() -> bool:
    """Filter this process's system calls; False if the system cannot."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return False
    program = system_call_filter(platform.machine(), os.getpid())
    kept = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(kept))
    filter_mode, set_seccomp = 2, 22
    return _libc().prctl(set_seccomp, filter_mode, header, 0, 0) == 0


# -- Linux: files ------------------------------------------------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same number on every machine
_READ = (1 << 2) | (1 << 3)  # files, folders
_WRITE_FILE = 1 << 1
_ALL_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NO_TCP = (1 << 0) | (1 << 1)
_ALONE = (1 << 0) | (1 << 1)  # no abstract sockets and no signals to processes outside


def landlock_version() -> int:
    """Landlock's version in this kernel; 0 if it has none or has it switched off."""
    if sys.platform != "linux":
        return 0
    call = _libc().syscall
    return max(0, call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def _landlock(folder: Path, readable: Sequence[Path]) -> bool:
    """Allow everything in `folder`, reading in `readable`, and no other file; False if the kernel cannot."""
    version = landlock_version()
    if not version:
        return False
    call, every = _libc().syscall, _ALL_BY_VERSION[min(version, 5)]
    ruled = struct.pack("QQQ", every, _NO_TCP if version >= 4 else 0, _ALONE if version >= 6 else 0)
    ruled = ruled[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = call(_CREATE_RULESET, ruled, ctypes.c_size_t(len(ruled)), ctypes.c_uint32(0))
    if rules < 0:
        return False
    devices = [(Path("/dev", name), _READ | _WRITE_FILE) for name in ("null", "zero", "urandom", "random")]
    for path, rights in [(folder, every), *((path, _READ) for path in readable), *devices]:
        with contextlib.suppress(FileNotFoundError):
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
            only_file = rights if path.is_dir() else rights & (_READ | _WRITE_FILE) & ~(1 << 3)
            rule = struct.pack("=Qi", only_file, opened)
            if call(_ADD_RULE, ctypes.c_int(rules), ctypes.c_int(1), rule, ctypes.c_uint32(0)) != 0:
                raise OSError(ctypes.get_errno(), f"no Landlock rule for {path}")
            os.close(opened)
    done = call(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0)) == 0
    os.close(rules)
    return done


# -- everywhere --------------------------------------------------------------------------------------------------------

_REFUSED = (
    "socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.kill",
    "urllib.", "pty.", "ctypes.dlopen", "ctypes.dlsym",
)  # fmt: skip
_PATHS = (
    "open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown",
    "os.link", "os.symlink", "os.truncate", "os.utime", "os.chdir", "shutil.",
)  # fmt: skip


def _audit(folder: Path, readable: Sequence[Path]) -> None:
    """Add an audit hook. It cannot be removed, but code that is not Python does not call it."""
    inside = os.path.realpath(folder)
    may_read = [os.path.realpath(path) for path in readable] + ["/dev/null", "/dev/urandom"]

    def under(path: str, parents: Sequence[str]) -> bool:
        return any(path == parent or path.startswith(parent + os.sep) for parent in parents)

    def hook(event: str, arguments: tuple) -> None:
        if event.startswith(_REFUSED):
            raise PermissionError(f"not permitted while grading: {event}")
        if event.startswith(_PATHS):
            mode = arguments[1] if event == "open" and len(arguments) > 1 else None
            flags = arguments[2] if event == "open" and len(arguments) > 2 and isinstance(arguments[2], int) else 0
            writing = (isinstance(mode, str) and any(c in mode for c in "wax+")) or flags & (os.O_WRONLY | os.O_RDWR)
            reading = event in ("open", "os.listdir", "os.scandir") and not writing
            for given in arguments[: 1 if event == "open" else 2]:
                if isinstance(given, (str, bytes, os.PathLike)):
                    path = os.path.realpath(os.fsdecode(given))
                    if not under(path, [inside]) and not (reading and under(path, may_read)):
                        raise PermissionError(f"not permitted while grading: {event} outside of the own folder")

    sys.addaudithook(hook)


def _limit(limits: Limits) -> None:
    """Set resource limits; for root, only seccomp limits the number of processes."""

    def at_most(what: int, number: int) -> None:
        hard = resource.getrlimit(what)[1]
        number = number if hard == resource.RLIM_INFINITY else min(number, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some
            resource.setrlimit(what, (number, number))

    taken = 0
    with contextlib.suppress(OSError):
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if taken:  # elsewhere nothing tells how much address space is taken already
        at_most(resource.RLIMIT_AS, taken + limits.memory)
    at_most(resource.RLIMIT_FSIZE, limits.file)
    at_most(resource.RLIMIT_CORE, 0)
    at_most(resource.RLIMIT_NOFILE, 256)
    if sys.platform != "linux":  # counts all processes of the user: none may be added
        at_most(resource.RLIMIT_NPROC, 1)


def _drop_capabilities() -> None:
    """If the grader runs as root: give up root's powers, though not its name."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    libc = _libc()
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)  # from the bounding set
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    if libc.capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "could not give up the powers of root")


def not_dumpable() -> None:
    """Forbid other processes of the same user to read this one's memory (Linux)."""
    if sys.platform == "linux":
        _libc().prctl(4, 0, 0, 0, 0)


def close_all_but(kept: Sequence[int]) -> None:
    """Close every open file of this process but those."""
    at = 3
    for descriptor in sorted(kept):
        os.closerange(at, descriptor)
        at = descriptor + 1
    os.closerange(at, 65_536)


def enter(folder: Path, readable: Sequence[Path], limits: Limits, *, only_audit: bool = False) -> tuple[str, ...]:
    """Guard this process for good; returns the names of the guards in force.

    Args:
        folder: may be read and written.
        readable: may be read.
        only_audit: guard as on a system without Landlock and seccomp, to test that case.

    Raises:
        OSError: a guard that the system has could not be set.
    """
    if resource is None:
        raise OSError("grading needs Linux or macOS; on Windows, use WSL or a container")
    _limit(limits)
    files = calls = False
    if sys.platform == "linux" and not only_audit:
        _drop_capabilities()
        if _libc().prctl(38, 1, 0, 0, 0) != 0:  # no new privileges, which both guards ask for
            raise OSError("the system refuses PR_SET_NO_NEW_PRIVS")
        files = _landlock(folder, readable)
        calls = _seccomp()
    if not (files and calls):
        _audit(folder, readable)
    names = {"limits": True, "Landlock": files, "seccomp": calls, "audit hook": not (files and calls)}
    return tuple(name for name, active in names.items() if active)
