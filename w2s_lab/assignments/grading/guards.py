"""Limits what a submission's process may do. The process sets them itself before a student's code runs, for good.

On Linux the kernel enforces them, without any privilege: seccomp (only the system calls that a notebook needs for its
own process, see `system_calls`), Landlock (files) and resource limits. What the process holds is watched from outside
(see `held`). Without Landlock or seccomp, as on macOS, an audit hook refuses the same to Python code, which is enough
against accidents and ordinary cheating.
"""

import contextlib
import ctypes
import os
import platform
import signal
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from w2s_lab.assignments.grading.system_calls import MACHINES, system_call_filter

try:
    import fcntl
    import resource
    import termios
except ImportError:  # Windows
    fcntl = resource = termios = None

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


@dataclass(frozen=True)
class Kernel:
    """Which guards of the kernel to use, if it has them; less than all of them to test what an older one does.

    Attributes:
        landlock: its newest version that is used; 0: none.
        seccomp: whether system calls are filtered.
    """

    landlock: int = 6
    seccomp: bool = True


KERNEL = Kernel()


# -- Linux: system calls -----------------------------------------------------------------------------------------------


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _seccomp(*, truncate: bool) -> bool:
    """Filter this process's system calls; False if the system cannot."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return False
    program = system_call_filter(platform.machine(), os.getpid(), truncate=truncate)
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


def _landlock(folder: Path, readable: Sequence[Path], version: int) -> bool:
    """Allow everything in `folder`, reading in `readable`, and no other file; False if the kernel cannot."""
    if not version:
        return False
    call, every = _libc().syscall, _ALL_BY_VERSION[min(version, 5)]
    ruled = struct.pack("QQQ", every, _NO_TCP if version >= 4 else 0, _ALONE if version >= 6 else 0)
    ruled = ruled[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = call(_CREATE_RULESET, ruled, ctypes.c_size_t(len(ruled)), ctypes.c_uint32(0))
    if rules < 0:
        return False
    devices = [(Path("/dev/null"), _READ | _WRITE_FILE), (Path("/dev/urandom"), _READ), (Path("/dev/random"), _READ)]
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
    "urllib.", "pty.", "ctypes.dlopen", "ctypes.dlsym", "syslog.", "sys.remote_exec",
)  # fmt: skip
_PATHS = (
    "open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown",
    "os.link", "os.symlink", "os.truncate", "os.utime", "os.chdir", "shutil.", "os.setxattr", "os.removexattr",
    "os.chflags",
)  # fmt: skip
# All else is refused: some commands have signals sent to other processes, or delay their work on a file.
_FCNTL = (
    "F_DUPFD", "F_DUPFD_CLOEXEC", "F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL", "F_GETLK", "F_SETLK", "F_SETLKW",
    "F_OFD_GETLK", "F_OFD_SETLK", "F_OFD_SETLKW", "F_GETPIPE_SZ", "F_SETPIPE_SZ", "F_FULLFSYNC",
)  # fmt: skip
_IOCTL = ("TCGETS", "TIOCGWINSZ", "FIONREAD", "FIONBIO", "FIOCLEX", "FIONCLEX")
# Functions of Python that change another process and tell no audit hook.
_UNHEARD = ("setpriority", "sched_setaffinity", "sched_setparam", "sched_setscheduler", "pidfd_open")


def _of_others(event: str, arguments: tuple) -> bool:
    """Whether an audited call reaches another process by its arguments."""
    if event in ("fcntl.fcntl", "fcntl.ioctl"):
        module, names = (fcntl, _FCNTL) if event == "fcntl.fcntl" else (termios, _IOCTL)
        return arguments[1] not in {getattr(module, name, None) for name in names}
    return event == "resource.prlimit" and arguments[0] not in (0, os.getpid())


def _only_itself() -> None:
    """Take functions away that reach other processes, where neither the kernel nor an audit hook sees their calls."""

    def refused(*_: object) -> None:
        raise PermissionError("not permitted while grading: another process")

    for module in {os, sys.modules["posix"]}:
        for name in filter(partial(hasattr, module), _UNHEARD):
            setattr(module, name, refused)


def _audit(folder: Path, readable: Sequence[Path]) -> None:
    """Add an audit hook. It cannot be removed, but code that is not Python does not call it."""
    inside = os.path.realpath(folder)
    may_read = [os.path.realpath(path) for path in readable] + ["/dev/null", "/dev/urandom"]

    def under(path: str, parents: Sequence[str]) -> bool:
        return any(path == parent or path.startswith(parent + os.sep) for parent in parents)

    def hook(event: str, arguments: tuple) -> None:
        if event.startswith(_REFUSED) or _of_others(event, arguments):
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


def enter(folder: Path, readable: Sequence[Path], limits: Limits, *, kernel: Kernel = KERNEL) -> tuple[str, ...]:
    """Guard this process for good; returns the names of the guards in force.

    Args:
        folder: may be read and written.
        readable: may be read.
        kernel: which of its guards to use.

    Raises:
        OSError: a guard that the system has could not be set.
    """
    if resource is None:
        raise OSError("grading needs Linux or macOS; on Windows, use WSL or a container")
    _limit(limits)
    version = min(landlock_version(), kernel.landlock)
    files = calls = False
    if sys.platform == "linux":
        _drop_capabilities()
        libc, end_with_parent, no_new_privileges = _libc(), 1, 38
        libc.prctl(end_with_parent, signal.SIGKILL, 0, 0, 0)  # it may stand still, and would not see its line end
        if libc.prctl(no_new_privileges, 1, 0, 0, 0) != 0:  # which both guards ask for
            raise OSError("the system refuses PR_SET_NO_NEW_PRIVS")
        files = _landlock(folder, readable, version)
        calls = kernel.seccomp and _seccomp(truncate=version >= 3)
    if not (files and calls):
        _audit(folder, readable)
    if not calls:
        _only_itself()
    names = {"limits": True, "Landlock": files, "seccomp": calls, "audit hook": not (files and calls)}
    return tuple(name for name, active in names.items() if active)
