"""What a submission's process holds, seen from outside: memory, the files in its folder, and removed files.

A removed file lives on while it is open, or while a page of it is mapped. Only Linux tells which ones a process has.
"""

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # an extra: who reads the notebooks does not need it
    import psutil

PAGE = 4096  # bytes that a file or folder takes at least
THREAD = 32_768  # bytes that the kernel keeps of a thread, beside the thread's own memory


def memory_held(process: "psutil.Process") -> int:
    """Bytes of memory that the process takes, what it shares with others included; 0 once it has ended."""
    import psutil

    try:
        return process.memory_info().rss + THREAD * process.num_threads()
    except psutil.Error:
        return 0


def files_held(process: "psutil.Process", folder: Path, *, enough: int, mapped: int) -> int:
    """Bytes of the files in the folder, and of removed files that the process has kept.

    Args:
        enough: from here on the exact number does not matter.
        mapped: what a removed file counts of which only pages are mapped, since nothing tells its size.
    """
    found = in_folder(folder, enough)
    return found + removed_files(process.pid, mapped) if found <= enough else found


def in_folder(folder: Path, enough: int) -> int:
    """Bytes of all files below a folder, links not followed; a small file counts as a page. More than `enough` where it
    has subfolders that cannot be looked into: too deep, or closed."""
    total, folders = 0, [folder]
    while folders and total <= enough:
        try:
            entries = os.scandir(folders.pop())
        except (FileNotFoundError, NotADirectoryError):  # it is gone by now
            continue
        except OSError:
            return enough + PAGE
        with entries:
            for entry in entries:
                total += PAGE
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                if total > enough:
                    break
    return total


def removed_files(pid: int, mapped: int) -> int:
    """Bytes of the removed files that a process has open or mapped, files that are memory only among them; 0 where the
    system does not tell."""
    if sys.platform != "linux":
        return 0
    sizes: dict[int, int] = {}  # by inode: some file systems have one device here and another one there
    with contextlib.suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # it is closed by now
                facts = os.stat(f"/proc/{pid}/fd/{number}")
                if stat.S_ISREG(facts.st_mode) and not facts.st_nlink:
                    sizes[facts.st_ino] = max(PAGE, facts.st_blocks * 512)
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/maps").read_bytes().splitlines():
            if line.endswith(b" (deleted)"):
                sizes.setdefault(int(line.split()[4]), mapped)
    return sum(sizes.values())
