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
    """A new path beside `path` to write a file to; it becomes `path`, in one move, if the block ends well.

    A reader sees all of the old file or all of the new one, also when this process is killed; then what it had written
    stays as `.new-...` and is removed by a later call.

    Raises:
        OSError: the disk is full, or the folder cannot be written; nothing has changed then.
    """
    new = beside(path)
    try:
        with said_with_path(path):
            yield new
            os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def said_with_path(path: Path) -> Iterator[None]:
    """Errors of the system while something is written, from whichever library, become one OSError with the path."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and "os error" not in str(error):  # safetensors has an error of its own
            raise
        raise OSError(
            f"{path} cannot be written ({error}). What was finished before is kept. Hint: free some space on the disk, "
            "or choose a folder that you may write to; then the same command goes on"
        ) from error


def beside(path: Path) -> Path:
    """An unused name in the folder of `path`, which is made where it is not there; old abandoned ones are removed."""
    prefix = f".new-{path.name}-"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f"{prefix}*"):
            with contextlib.suppress(FileNotFoundError):  # another process may be sweeping too
                if time.time() - old.stat().st_mtime > ABANDONED:
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
    except OSError as error:
        raise OSError(
            f"{path.parent} cannot be written ({error}). Hint: choose a folder that you may write to"
        ) from error
    return path.with_name(f"{prefix}{uuid.uuid4().hex[:12]}")


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
