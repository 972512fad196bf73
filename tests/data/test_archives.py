"""Only the named files come out of an archive, whatever else it holds."""

import io
import stat
import tarfile
import warnings
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from w2s_lab.data.archives import UnsafeArchive, take

WANTED = {"top/text.txt": "text.txt"}
NASTY = [
    "../up.txt",
    "/abs.txt",
    "top/../../up.txt",
    "C:\\x.txt",
    "..\\up.txt",
    "top/text.txt/",
    "text.txt",
    ".",
    "top",
]


def make_zip(members: list[tuple[str, bytes]], **attributes: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = attributes.get("mode", stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return file.getvalue()


def make_tar(members: list[tuple[str, bytes]], kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, target, len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


MAKERS = pytest.mark.parametrize("make", [make_zip, make_tar])


def put(folder, content: bytes):
    (folder / "archive").write_bytes(content)
    (folder / "new").mkdir(exist_ok=True)
    return folder / "archive", folder / "new"


@MAKERS
def test_the_named_file_and_no_other(tmp_path, make):
    archive, new = put(tmp_path, make([("top/text.txt", b"yes"), ("top/other.txt", b"no")]))
    take(archive, WANTED, new)
    assert {path.name: path.read_bytes() for path in new.iterdir()} == {"text.txt": b"yes"}


def test_an_archive_in_an_archive(tmp_path):
    inner = make_tar([("in/a.txt", b"a"), ("in/b.txt", b"b")])
    archive, new = put(tmp_path, make_zip([("top/inner.tar.gz", inner), ("top/licence", b"free")]))
    take(archive, {"top/inner.tar.gz!/in/b.txt": "b.txt", "top/licence": "LICENSE.txt"}, new)
    assert {path.name: path.read_bytes() for path in new.iterdir()} == {"b.txt": b"b", "LICENSE.txt": b"free"}


@MAKERS
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.one_of(st.sampled_from(NASTY), st.text(min_size=1, max_size=8)), max_size=6, unique=True),
    place=st.integers(0, 6),
)
def test_other_members_touch_nothing(tmp_path_factory, make, names, place):
    """Whatever their paths are, only the named file is written, and nothing beside the folder."""
    folder = tmp_path_factory.mktemp("any")
    names = [name for name in names if name.isprintable() and name != "top/text.txt"]
    members = [(name, b"evil") for name in names]
    members.insert(place, ("top/text.txt", b"yes"))
    try:
        content = make(members)
    except (ValueError, UnicodeError):
        return  # a name that no archive can hold
    archive, new = put(folder, content)
    take(archive, WANTED, new)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        "archive",
        "new",
        "new/text.txt",
    ]
    assert (new / "text.txt").read_bytes() == b"yes"


@settings(max_examples=60, deadline=None)
@given(data=st.data(), make=st.sampled_from([make_zip, make_tar]))
def test_a_damaged_archive_is_refused_or_gives_the_file(tmp_path_factory, data, make):
    folder = tmp_path_factory.mktemp("any")
    content = bytearray(make([("top/text.txt", b"yes" * 50), ("other", b"no" * 50)]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    archive, new = put(folder, bytes(content[: data.draw(st.integers(1, len(content)))]))
    try:
        take(archive, WANTED, new)
    except UnsafeArchive as error:
        assert "\n" not in str(error)
    else:
        assert {path.name for path in new.iterdir()} == {"text.txt"}
    assert {path.name for path in folder.iterdir()} == {"archive", "new"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_wanted_member_that_is_no_plain_file_of_a_tar(tmp_path, kind):
    archive, new = put(tmp_path, make_tar([("top/text.txt", b"")], kind, target="/etc/passwd"))
    with pytest.raises(UnsafeArchive, match="not a plain file"):
        take(archive, WANTED, new)
    assert not list(new.iterdir())


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFIFO])
def test_a_wanted_member_that_is_no_plain_file_of_a_zip(tmp_path, mode):
    archive, new = put(tmp_path, make_zip([("top/text.txt", b"/etc/passwd")], mode=mode))
    with pytest.raises(UnsafeArchive, match="not a plain file"):
        take(archive, WANTED, new)
    assert not list(new.iterdir())


@MAKERS
@pytest.mark.parametrize("bomb", ["top/text.txt", "top/inner"])
def test_a_bomb(tmp_path, make, bomb):
    """Ten megabytes of zeros in ten kilobytes, wanted itself or an archive to look into."""
    archive, new = put(
        tmp_path, make([(bomb, bytes(10_000_000)), ("top/text.txt", b"")][: 1 + (bomb != "top/text.txt")])
    )
    wanted = WANTED if bomb == "top/text.txt" else {"top/inner!/a": "a"}
    with pytest.raises(UnsafeArchive, match="unpacks to more than expected"):
        take(archive, wanted, new, limit=1_000_000)
    assert sum(path.stat().st_size for path in new.iterdir()) <= 1_000_000


def test_a_bomb_among_the_others_of_a_tar(tmp_path):
    """A tar is read from front to back, so that what is not wanted counts as well."""
    archive, new = put(tmp_path, make_tar([("bomb", bytes(10_000_000)), ("top/text.txt", b"yes")]))
    with pytest.raises(UnsafeArchive, match="unpacks to more than expected"):
        take(archive, WANTED, new, limit=1_000_000)


@MAKERS
def test_missing_or_twice(tmp_path, make):
    archive, new = put(tmp_path, make([("top/other.txt", b"no")]))
    with pytest.raises(UnsafeArchive, match=r"has no file 'top/text\.txt'"):
        take(archive, WANTED, new)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, about the same name
        content = make([("top/text.txt", b"one"), ("top/text.txt", b"two")])
    archive, new = put(tmp_path, content)
    with pytest.raises(UnsafeArchive, match="is there twice"):
        take(archive, WANTED, new)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "/x", "a\\b"])
def test_new_names_are_plain(tmp_path, name):
    archive, new = put(tmp_path, make_zip([("top/text.txt", b"yes")]))
    with pytest.raises(ValueError, match="plain names"):
        take(archive, {"top/text.txt": name}, new)
    assert not list(new.iterdir())


def test_what_is_no_archive(tmp_path):
    archive, new = put(tmp_path, b"a web page that says: sign in")
    with pytest.raises(UnsafeArchive, match="damaged"):
        take(archive, WANTED, new)
