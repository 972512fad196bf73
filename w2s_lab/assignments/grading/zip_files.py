"""Reads the entries of a ZIP file one by one: what is wrong with one of them costs the others nothing."""

import errno
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO
from zipfile import ZipFile, ZipInfo

from w2s_lab.assignments.names import LONGEST, visible

MOST = 20_000  # entries of one archive
RECORD = 512  # bytes of one entry in the archive's list, on average at most
ENCRYPTED, UTF8 = 0x1, 0x800  # flags of an entry
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
UNREAD = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES encryption"}
CHUNK, CAREFUL = 1 << 20, 4096  # bytes read at once; of bzip2 and LZMA little, as they may unpack to thousands of times
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
# Errors of the system from which only one entry suffers; bzip2's own have no number.
OF_ENTRY = (None, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR, errno.ENOENT)


def open_zip(archive: Path, most: int = MOST) -> ZipFile:
    """Open an archive, whose number of entries is looked at before anything else is read.

    Raises:
        ValueError: no ZIP file, a damaged one, or one with more than `most` entries.
    """
    if not zipfile.is_zipfile(archive):
        what = "is not a ZIP file" if archive.exists() else "is not there"
        raise ValueError(f"{archive} {what}; expected the archive that the platform gives for download")
    too_many = (
        f"{archive} holds more than {most:,} files and folders; expected at most {most:,}. "
        "Hint: unpack it yourself, remove what is no submission, and grade the folder"
    )
    with archive.open("rb") as file:
        file.seek(max(0, archive.stat().st_size - 22 - 65_535))
        last = file.read()
    at = last.rfind(b"PK\5\6")  # the record at the end; 65,535 entries there stand for any larger number
    entries, size = struct.unpack("<HI", last[at + 10 : at + 16]) if at >= 0 else (0, 0)
    if entries > most or size > most * RECORD:
        raise ValueError(too_many)
    try:
        opened = ZipFile(archive)
    except DAMAGED as error:
        why = f"{archive}: its list of files cannot be read ({visible(str(error))})"
        raise ValueError(f"{why}. Hint: download it again, or unpack it yourself and grade the folder") from None
    if len(opened.filelist) > most:
        opened.close()
        raise ValueError(too_many)
    return opened


def entry_name(entry: ZipInfo) -> str:
    """An entry's name. macOS writes UTF-8 without saying so, which zipfile reads as the letters of old PCs."""
    if not entry.flag_bits & UTF8 and not entry.filename.isascii():
        try:
            return entry.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return entry.filename


def is_folder(entry: ZipInfo) -> bool:
    return entry.filename.endswith(("/", "\\"))  # zipfile's own is_dir fails for an empty name


def entry_parts(entry: ZipInfo) -> tuple[str, ...] | None:
    """An entry's path, split; () if it has no name, None if it leads out of the folder."""
    name = entry_name(entry).replace("\\", "/")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    return None if name.startswith("/") or ".." in parts or re.match("[A-Za-z]:", name) else parts


def unfit(entry: ZipInfo, largest: int) -> str:
    """Why an entry cannot be taken, as its own description says; "": it can."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "it is a link"
    if kind not in (0, stat.S_IFREG):
        return "it is not an ordinary file"
    if entry.flag_bits & ENCRYPTED:
        return "it is encrypted"
    if entry.compress_type not in PACKED:
        return f"it is packed with {UNREAD.get(entry.compress_type, 'an unknown method')}, which is not read here"
    if entry.file_size > largest:
        return f"it has {entry.file_size / 1e6:.1f} MB, more than {largest / 1e6:.0f}"
    return ""


def write_entry(opened: ZipFile, entry: ZipInfo, folder: Path, place: Path) -> str:
    """Unpack an entry to `folder / place`; returns why that cannot be done, and leaves nothing there then.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    target = folder / place
    long = [part for part in place.parts if len(part.encode()) > LONGEST]
    if long:
        return f"a name of {len(long[0])} letters is longer than disks take"
    try:
        with opened.open(entry) as packed:
            return _copy(packed, target, CHUNK if entry.compress_type in (0, 8) else CAREFUL)
    except FileExistsError:
        return _in_the_way(folder, place)
    except DAMAGED as error:
        return f"it is damaged ({visible(str(error))})"
    except OSError as error:
        if error.errno not in OF_ENTRY:
            raise
        return visible(error.strerror or str(error))


def _copy(packed: IO[bytes], target: Path, size: int) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        try:
            while data := packed.read(size):
                file.write(data)
        except BaseException:
            target.unlink()
            raise
    return ""


def _in_the_way(folder: Path, place: Path) -> str:
    above = [part for part in place.parents if (folder / part).is_file()]
    if above:
        return f"another entry is a file with the name of its folder, {above[-1].name}"
    return "another entry has this name" if (folder / place).is_file() else "a folder has this name"


def read_text(opened: ZipFile, entry: ZipInfo) -> str:
    """An entry's text as UTF-8; "" if it cannot be read."""
    try:
        return opened.read(entry).decode("utf-8-sig", "replace")
    except (*DAMAGED, OSError):
        return ""
