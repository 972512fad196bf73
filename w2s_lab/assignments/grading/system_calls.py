"""Which system calls a submission's process may make (Linux): what a notebook needs of its own process, and no other.

What is not listed is refused, so a call that reaches another process, that leaves something behind in the kernel, or
that this list has never heard of needs no line here. The kernel holds to it by a seccomp filter.
"""

import struct
from dataclasses import dataclass

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column below, the kernel's name for it
EPERM, ENOSYS, EOPNOTSUPP = 1, 38, 95

# name: number on x86_64, on aarch64 (None: not there).
ALLOWED = {
    # its own files (which ones, Landlock says)
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286), "pwritev2": (328, 287),
    "creat": (85, None), "close": (3, 57), "lseek": (8, 62), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83), "ftruncate": (77, 46), "stat": (4, None),
    "lstat": (6, None), "fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "statfs": (137, 43), "fstatfs": (138, 44),
    "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50),
    "getdents": (78, None), "getdents64": (217, 61), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None),
    "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "umask": (95, 166),
    "getxattr": (191, 8), "lgetxattr": (192, 9), "fgetxattr": (193, 10), "listxattr": (194, 11),
    "llistxattr": (195, 12), "flistxattr": (196, 13), "fadvise64": (221, 223), "readahead": (187, 213),
    "sendfile": (40, 71), "copy_file_range": (326, 285),
    # its memory
    "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216), "madvise": (28, 233), "mincore": (27, 232),
    "msync": (26, 227), "brk": (12, 214), "membarrier": (324, 283), "get_mempolicy": (239, 236),
    "set_mempolicy": (238, 237), "mbind": (237, 235), "map_shadow_stack": (453, 453), "mseal": (462, 462),
    # its threads
    "set_robust_list": (273, 99), "set_tid_address": (218, 96), "rseq": (334, 293), "futex": (202, 98),
    "futex_waitv": (449, 449), "futex_wake": (454, 454), "futex_wait": (455, 455), "futex_requeue": (456, 456),
    "gettid": (186, 178), "sched_yield": (24, 124), "exit": (60, 93), "exit_group": (231, 94),
    "arch_prctl": (158, None), "sched_getaffinity": (204, 123), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168), "getpriority": (140, 141),
    # what it and the machine are
    "getpid": (39, 172), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150), "getgroups": (115, 158),
    "getpgid": (121, 155), "getpgrp": (111, None), "getsid": (124, 156), "getrlimit": (97, 163),
    "setrlimit": (160, 164), "getrusage": (98, 165), "times": (100, 153), "sysinfo": (99, 179), "uname": (63, 160),
    "capget": (125, 90), "wait4": (61, 260), "waitid": (247, 95), "getrandom": (318, 278),
    # its signals
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "pause": (34, None),
    "alarm": (37, None), "getitimer": (36, 102), "setitimer": (38, 103), "restart_syscall": (219, 128),
    "timer_create": (222, 107), "timer_settime": (223, 110), "timer_gettime": (224, 108),
    "timer_getoverrun": (225, 109), "timer_delete": (226, 111),
    # clocks and waiting
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "timerfd_create": (283, 85), "timerfd_settime": (286, 86),
    "timerfd_gettime": (287, 87), "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "epoll_create": (213, None), "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None),
    "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441), "eventfd": (284, None), "eventfd2": (290, 19),
    "signalfd": (282, None), "signalfd4": (289, 74),
    # pipes and pairs of sockets inside the process; no message that carries an open file, no address
    "pipe": (22, None), "pipe2": (293, 59), "shutdown": (48, 210), "getsockopt": (55, 209), "setsockopt": (54, 208),
    "getsockname": (51, 204), "getpeername": (52, 205), "sendto": (44, 206), "recvfrom": (45, 207),
}  # fmt: skip
# Landlock lets the owner of a file change these facts about it. Here they seem to succeed and do nothing: honest code
# that copies a file goes on, and nobody's file changes.
IGNORED = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
# Refused with the error after which callers take another way.
REPLACED = {
    "clone3": ((435, 435), ENOSYS),  # its flags lie in memory, where a filter cannot look; libc then takes clone
    "fallocate": ((285, 47), EOPNOTSUPP),  # takes a whole disk at once, faster than anybody can look
}
NEWER = 424  # from here on the numbers are new, and libc knows what to do on a kernel without them: ENOSYS

_THREAD = 0x10F00  # with the memory, files and signal handlers of the process: what it holds is seen there
_NAMESPACES = 0x7E020080
_SHARED, _ANONYMOUS = 0x01, 0x20
_TRUNCATE, _WRITING = 0x200, 0x03
_STREAM, _SOCKET_KIND, _UNIX = 1, 0x0F, 1
# No owner of a file (its signals may go to any process), no lease on a file, no notice of a folder.
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032)  # copies, flags, locks, the size of a pipe
_IOCTL = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # is it a terminal, its size; bytes, blocking
_PRCTL = (2, 3, 15, 16, 21, 23, 29, 30, 39, 41, 42, 51, 63, 0x53564D41)  # names, and facts about oneself


@dataclass(frozen=True)
class Condition:
    """What an argument of a call must be: `argument & mask` is one of `values`. The kernel reads its lower half."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


def rules(pid: int, *, truncate: bool) -> dict[str, tuple[tuple[int, int | None], tuple[Condition, ...]]]:
    """Calls that a process of that id may make with some arguments: their numbers, and rules that must all hold.

    Args:
        truncate: Landlock guards what `truncate` shortens.
    """
    own, reads_only = Condition(0, (pid,)), (0, 1, 2, 3, _TRUNCATE | 1, _TRUNCATE | 2)
    found = {
        "clone": ((56, 220), (Condition(0, (_THREAD,), _THREAD | _NAMESPACES),)),
        "kill": ((62, 129), (own,)),
        "tgkill": ((234, 131), (own,)),
        "prlimit64": ((302, 261), (Condition(0, (0, pid)),)),
        "sched_setaffinity": ((203, 122), (Condition(0, (0, pid)),)),
        "fcntl": ((72, 25), (Condition(1, _FCNTL),)),
        "ioctl": ((16, 29), (Condition(1, _IOCTL),)),
        "prctl": ((157, 167), (Condition(0, _PRCTL),)),
        # No datagrams: such a pair can be turned to any other socket of the machine.
        "socketpair": ((53, 199), (Condition(0, (_UNIX,)), Condition(1, (_STREAM,), _SOCKET_KIND))),
        # Shared memory stays whole while a page of it is mapped, so nothing could tell how much is held.
        "mmap": ((9, 222), (Condition(3, (0, _SHARED, _ANONYMOUS), _SHARED | _ANONYMOUS),)),
        # Before its third version, Landlock lets a file be emptied that may only be read.
        "open": ((2, None), (Condition(1, reads_only, _TRUNCATE | _WRITING),)),
        "openat": ((257, 56), (Condition(2, reads_only, _TRUNCATE | _WRITING),)),
    }
    return found | ({"truncate": ((76, 45), ())} if truncate else {})


_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # instructions of the filter's language
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16  # where they are in what the filter sees


def system_call_filter(machine: str, pid: int, *, truncate: bool = True) -> bytes:
    """The seccomp program (an array of `struct sock_filter`) for a process of that id.

    Args:
        truncate: Landlock guards what `truncate` shortens.
    """
    column, name = MACHINES[machine]
    steps: list[tuple[int, int, int, int]] = []

    def step(code: int, value: int, when: int = 0, otherwise: int = 0) -> None:
        """An instruction: how many to skip when it holds, and when not."""
        steps.append((code, when, otherwise, value))

    def answer(number: int | None, result: int) -> None:
        if number is not None:
            step(_EQUAL, number, 0, 1)
            step(_RETURN, result)

    step(_LOAD, _MACHINE)
    step(_EQUAL, name, 1, 0)
    step(_RETURN, _KILL)
    step(_LOAD, _NUMBER)
    step(_AT_LEAST, 0x40000000, 0, 1)  # the x32 variant of x86_64 has numbers of its own
    step(_RETURN, _KILL)
    for numbers in ALLOWED.values():
        answer(numbers[column], _ALLOW)
    for numbers in IGNORED.values():
        answer(numbers[column], _ERRNO)
    for numbers, error in REPLACED.values():
        answer(numbers[column], _ERRNO | error)
    for numbers, asked in rules(pid, truncate=truncate).values():
        if numbers[column] is None:
            continue
        step(_EQUAL, numbers[column], 0, sum(3 + len(rule.values) for rule in asked) + 1)
        for rule in asked:
            step(_LOAD, _FIRST_ARGUMENT + 8 * rule.argument)
            step(_AND, rule.mask)
            for place, value in enumerate(rule.values):
                step(_EQUAL, value, len(rule.values) - place, 0)
            step(_RETURN, _ERRNO | EPERM)
        step(_RETURN, _ALLOW)
    step(_AT_LEAST, NEWER, 0, 1)
    step(_RETURN, _ERRNO | ENOSYS)
    step(_RETURN, _ERRNO | EPERM)
    return b"".join(struct.pack("HBBI", *step) for step in steps)
