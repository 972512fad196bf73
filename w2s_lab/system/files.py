"""Files written whole or not at all."""

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

ABANDONED = 3600.0  # seconds: an unfinished file or folder older than this belongs to a process that was killed


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new path to write to; if the block ends without an error, the file replaces `path` in one move.

    A reader sees the whole old file or the whole new file, even if this process is killed. The unfinished file of a
    killed process stays in a folder `.new-...` beside `path`, and a later call removes it.

    Raises:
        OSError: the disk is full, or the folder cannot be written; `path` is unchanged.
    """
    folder = beside(path)  # a folder, since a library may put temporary files of its own beside the new file
    new = folder / path.name
    try:
        with said_with_path(path):
            yield new
            as_umask_says(folder)
            os.replace(new, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def said_with_path(path: Path) -> Iterator[None]:
    """Turn an error in writing, whichever library raises it, into an OSError that names the path."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and "os error" not in str(error):  # safetensors raises its own class
            raise
        raise OSError(
            f"{path} cannot be written ({error}). All finished work is kept. Hint: free some space on the disk, or "
            "choose a folder that you may write to; then run the same command again to continue"
        ) from error


def beside(path: Path) -> Path:
    """A new empty folder beside `path`.

    Creates the folder around it if that is missing, and removes the folders that killed processes left behind.
    """
    with said_with_path(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(".new-*-" + "[0-9a-f]" * 12):
            with contextlib.suppress(FileNotFoundError):  # another process may be removing it too
                if time.time() - max(part.stat().st_mtime for part in (old, *old.rglob("*"))) > ABANDONED:
                    shutil.rmtree(old, ignore_errors=True)
        new = path.with_name(f".new-{path.name}-{uuid.uuid4().hex[:12]}")
        new.mkdir()
    return new


def remove(folder: Path) -> None:
    """Remove a folder with its content; no reader sees a half-removed folder."""
    aside = beside(folder)
    try:
        with said_with_path(folder), contextlib.suppress(FileNotFoundError):  # another process may have been faster
            os.replace(folder, aside / folder.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def as_umask_says(folder: Path) -> None:
    """Give the files in a folder the permissions of new files; safetensors makes its own readable by nobody else."""
    for path in folder.iterdir():
        path.chmod(folder.stat().st_mode & 0o666)


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
