"""Named files out of an archive, and nothing else: no path of it is used, no link followed, no limit passed."""

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from w2s_lab.data.tables import DataError
from w2s_lab.system.files import said_with_path

LIMIT = 2_000_000_000  # bytes that may come out of one archive
CHUNK = 1 << 20
INSIDE = "!/"  # between an archive in an archive and what is in that one, as in "a.zip member b.tar.gz!/c.txt"


class UnsafeArchive(DataError):
    """An archive that is damaged, or that holds something else than expected; nothing of it is used."""


def take(archive: Path | IO[bytes], members: Mapping[str, str], folder: Path, *, limit: int = LIMIT) -> None:
    """Write the wanted files of a .zip, .whl or .tar.gz into a folder.

    Every other member stays where it is: it may have any path and be of any kind.

    Args:
        archive: its path, or its content as a file.
        members: name in the archive -> plain name of the new file. `b.tar.gz!/c.txt` is a file of an archive inside.
        folder: where the new files go; it is there.
        limit: bytes that may be read out of the archive, wanted or not.

    Raises:
        UnsafeArchive: a wanted file is missing, twice there, or not a plain file; the archive is damaged or too large.
        ValueError: a new name is not a plain one.
        OSError: the disk is full, or the folder cannot be written.
    """
    wrong = [new for new in members.values() if new != Path(new).name or new in ("", ".", "..") or "\\" in new]
    if wrong or len(set(members.values())) < len(members):
        raise ValueError(f"members of an archive become {list(members.values())}; expected different plain names")
    direct = {name: new for name, new in members.items() if INSIDE not in name}
    nested: dict[str, dict[str, str]] = {}
    for name, new in members.items():
        outer, inside, inner = name.partition(INSIDE)
        if inside:
            nested.setdefault(outer, {})[inner] = new
    name = str(archive) if isinstance(archive, Path) else "an archive inside the archive"
    done: set[str] = set()
    try:
        opened = _zip_members if zipfile.is_zipfile(archive) else _tar_members
        if not isinstance(archive, Path):
            archive.seek(0)  # the question has moved it
        for member, content in opened(archive, {*direct, *nested}, limit):
            if member in done:
                raise UnsafeArchive(f"{name}: {member!r} is there twice; expected it once")
            done.add(member)
            if member in direct:
                _write(content, folder / direct[member], limit)
            if member in nested:
                take(io.BytesIO(read_bounded(content, limit)), nested[member], folder, limit=limit)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, NotImplementedError) as error:
        raise UnsafeArchive(f"{name}: the archive is damaged ({error})") from None
    except RuntimeError as error:  # zipfile's word for a file that is encrypted
        raise UnsafeArchive(f"{name}: the archive cannot be read ({error})") from None
    missing = sorted({*direct, *nested} - done)
    if missing:
        raise UnsafeArchive(f"{name}: the archive has no file {missing[0]!r}")


def _zip_members(archive: Any, wanted: set[str], limit: int):
    """(name, content) of the wanted files of a .zip; each is open only until the next is asked for."""
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if info.filename not in wanted:
                continue
            kind = info.external_attr >> 28  # of a file that Unix made: 10 is a link, 4 a folder
            if info.is_dir() or kind not in (0, 8):
                raise UnsafeArchive(f"{info.filename!r} in the archive is not a plain file")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without bounds
                raise UnsafeArchive(f"{info.filename!r} in the archive is packed in an unusual way")
            with opened.open(info) as content:
                yield info.filename, content


def _tar_members(archive: Any, wanted: set[str], limit: int):
    """(name, content) of the wanted files of a .tar.gz, which is read from front to back."""
    with (
        gzip.open(archive) as unpacked,
        tarfile.open(fileobj=_Bounded(unpacked, limit), mode="r|") as opened,  # type: ignore[call-overload]
    ):
        for info in opened:
            if info.name not in wanted:
                continue
            if not info.isreg() or info.issparse():
                raise UnsafeArchive(f"{info.name!r} in the archive is not a plain file")
            yield info.name, opened.extractfile(info)


class _Bounded:
    """A file that refuses to be read beyond a limit: headers of a tar may be as large as its files."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.file, self.left = file, limit

    def read(self, size: int = CHUNK) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise UnsafeArchive("the archive unpacks to more than expected")
        return data


def _write(content: IO[bytes], path: Path, limit: int) -> None:
    bounded = _Bounded(content, limit)
    with said_with_path(path), open(path, "xb") as file:
        while data := bounded.read(CHUNK):
            file.write(data)


def read_bounded(content: IO[bytes], limit: int) -> bytes:
    """All that comes out of an open file; raises UnsafeArchive beyond `limit` bytes."""
    bounded = _Bounded(content, limit)
    return b"".join(iter(lambda: bounded.read(CHUNK), b""))
