"""Files written whole or not at all."""

import hashlib
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from places import ROOT
from safetensors.torch import save_file

from w2s_lab.system.files import ABANDONED, as_umask_says, beside, remove, replacing, said_with_path, sha256


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "folder" / "numbers.json"


def only(path: Path) -> bool:
    return list(path.parent.iterdir()) == [path]


def make_older(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    for part in (path, *path.rglob("*")):
        os.utime(part, (then, then))


# -- replacing -------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_in_one_move(path):
    for text in ("old", "new"):
        with replacing(path) as new:
            new.write_text(text)
            assert new.suffix == path.suffix  # by which libraries choose a format
            assert not path.is_file() or path.read_text() == "old"
        assert path.read_text() == text and only(path)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_old_file_stays_when_the_block_fails(error, path):
    with replacing(path) as new:
        new.write_text("old")
    with pytest.raises(error), replacing(path) as new:
        new.write_text("half")
        raise error
    assert path.read_text() == "old" and only(path)


def test_no_file_when_the_block_fails(path):
    with pytest.raises(ValueError), replacing(path) as new:
        new.write_text("half")
        raise ValueError
    assert list(path.parent.iterdir()) == []


def test_a_block_that_writes_nothing_is_an_error(path):
    with pytest.raises(OSError, match=r"numbers\.json"), replacing(path):
        pass
    assert list(path.parent.iterdir()) == []


def test_what_a_library_leaves_beside_the_new_file_goes_too(path):
    with replacing(path) as new:
        new.write_text("new")
        new.with_name(".tmpABC").write_text("its own")
    assert only(path)


def test_the_faster_and_the_slower_of_two_writers(path):
    with replacing(path) as slow:
        slow.write_text("slow")
        with replacing(path) as fast:
            assert fast != slow
            fast.write_text("fast")
        assert path.read_text() == "fast"
    assert path.read_text() == "slow" and only(path)


WRITER = """
import sys
from pathlib import Path
from w2s_lab.system.files import replacing
for _ in range(300):
    with replacing(Path(sys.argv[1])) as new:
        new.write_text(sys.argv[2] * 100_000)
"""


@pytest.mark.slow
def test_a_reader_never_sees_half_of_a_file(path):
    """While three processes write."""
    command = [sys.executable, "-c", WRITER, str(path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [subprocess.Popen([*command, letter], env=env, stderr=subprocess.PIPE, text=True) for letter in "abc"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.is_file():
            text = path.read_text()
            assert len(text) == 100_000 and len(set(text)) == 1
            seen.add(text[0])
    assert [(writer.wait(), writer.stderr.read()) for writer in writers] == [(0, "")] * 3
    assert len(seen) >= 2 and only(path)


# -- what a killed process left --------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["numbers.json", "other"])
@pytest.mark.parametrize(("age", "stays"), [(0, True), (ABANDONED - 60, True), (ABANDONED + 60, False)])
def test_only_old_unfinished_work_is_removed(age, stays, of, path):
    """Young work may belong to a process that is still writing; old work goes, whatever it was to become."""
    left = beside(path.with_name(of))
    (left / "model.safetensors").write_bytes(b"half")
    make_older(left, age)
    with replacing(path) as new:
        new.write_text("new")
    assert left.is_dir() == stays


def test_an_old_folder_with_a_young_file_is_in_use(path):
    left = beside(path)
    (left / "model.safetensors").write_bytes(b"half")
    make_older(left, 2 * ABANDONED)
    os.utime(left / "model.safetensors")
    assert beside(path).is_dir() and left.is_dir()


def test_other_peoples_files_are_not_removed(path):
    path.parent.mkdir()
    kept = [path.with_name(name) for name in (".new-ideas", "new-abc", ".newer", ".new-numbers.json-")]
    for other in kept:
        other.write_text("mine")
        make_older(other, 2 * ABANDONED)
    beside(path)
    assert all(other.is_file() for other in kept)


# -- removing --------------------------------------------------------------------------------------------------------


def test_a_folder_is_removed_whole(tmp_path):
    folder = tmp_path / "store" / "key"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    remove(folder)
    assert list(folder.parent.iterdir()) == []
    remove(folder)  # another process was faster
    assert list(folder.parent.iterdir()) == []


# -- errors and permissions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("I/O error: No space left on device (os error 28)")]
)
def test_errors_of_the_system_name_the_path(error, path):
    with (
        pytest.raises(OSError, match=r"numbers\.json cannot be written .*No space left on device.*Hint: free") as found,
        said_with_path(path),
    ):
        raise error
    assert found.value.__cause__ is error


def test_other_errors_pass(path):
    with pytest.raises(ZeroDivisionError), said_with_path(path):
        raise ZeroDivisionError


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(OSError, match=r"store cannot be written .*Hint:"), replacing(tmp_path / "store" / "x"):
        pytest.fail("it may not come so far")


@pytest.mark.skipif(os.name != "posix", reason="permissions of Unix")
@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_new_files_have_the_permissions_that_the_umask_says(umask, expected, path):
    """safetensors alone makes files that nobody else may read, in a store that a group may want to share."""
    before = os.umask(umask)
    try:
        with replacing(path) as new:
            save_file({"x": torch.zeros(3)}, new)
        folder = beside(path)
        (folder / "run.json").write_text("{}")
        save_file({"x": torch.zeros(3)}, folder / "model.safetensors")
        as_umask_says(folder)
    finally:
        os.umask(before)
    files = [path, folder / "run.json", folder / "model.safetensors"]
    assert [oct(stat.S_IMODE(file.stat().st_mode)) for file in files] == [oct(expected)] * 3


def test_sha256(path):
    path.parent.mkdir()
    path.write_bytes(b"abc")
    assert sha256(path) == hashlib.sha256(b"abc").hexdigest()
