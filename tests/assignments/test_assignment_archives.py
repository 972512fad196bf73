"""`w2s-lab assignment collect`: what can be taken arrives once, under one student; what cannot is named."""

import io
import random
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_lab.assignments.grading import collect as collecting
from w2s_lab.assignments.grading import zip_files
from w2s_lab.assignments.grading.collect import collect, unpack
from w2s_lab.assignments.grading.platforms import gradescope_names
from w2s_lab.assignments.grading.submissions import find_submissions
from w2s_lab.cli.commands import main

NOTEBOOK = '{"cells": []}'
GRADESCOPE = """---
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '1001'
    :email: ada@example.org
  :created_at: 2026-01-01 10:00:00
  :results:
    :name: not a student
submission_12:
  :submitters:
  - :name: "Ren\\u00e9 Descartes"
    :sid:
  - :name: 'Grace O''Neil'
    :sid: 3
submission_13:
  :submitters:
  - :name: Ada Lovelace
    :sid: '1002'
"""


def make(path: Path, entries: dict[str, str | bytes] | list[tuple[str, str | bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            opened.writestr(entry, content)
    return path


def arrived(output: Path) -> dict[str, str]:
    files = (path for path in output.rglob("*") if path.is_file())
    return {str(path.relative_to(output)): path.read_text("utf-8", "replace") for path in files}


def patched(path: Path, name: str, change) -> None:
    """Change the descriptions of an entry, the one in the list and the one before its content."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as opened:
        entry = opened.getinfo(name)
    listed = data.rindex(name.encode()) - 46
    assert data[listed : listed + 4] == b"PK\1\2"
    change(data, entry.header_offset, listed)
    path.write_bytes(data)


def bad_crc(data, local, listed):
    data[local + 14] ^= 0xFF
    data[listed + 16] ^= 0xFF


def encrypted(data, local, listed):
    data[local + 6] |= 1
    data[listed + 8] |= 1


def deflate64(data, local, listed):
    data[local + 8] = data[listed + 10] = 9


def no_header(data, local, listed):
    data[local : local + 4] = b"....."[:4]


def says_too_little(data, local, listed):
    struct.pack_into("<I", data, listed + 24, 3)


def link(data, local, listed):
    struct.pack_into("<I", data, listed + 38, (stat.S_IFLNK | 0o777) << 16)


def pipe(data, local, listed):
    struct.pack_into("<I", data, listed + 38, (stat.S_IFIFO | 0o600) << 16)


SPOILED = [bad_crc, encrypted, deflate64, no_header, says_too_little, link, pipe]


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda one: one.__name__)
def test_one_spoiled_entry_costs_the_others_nothing(spoil, tmp_path, capsys):
    made = make(tmp_path / "x.zip", {"ada/a.ipynb": NOTEBOOK, "ben/b.ipynb": NOTEBOOK * 50, "cy/c.ipynb": NOTEBOOK})
    patched(made, "ben/b.ipynb", spoil)
    for output in (tmp_path / "out", tmp_path / "again"):
        assert main(["assignment", "collect", str(made), "-o", str(output)]) == 0
        assert re.search("left out: ben/b.ipynb: it ", capsys.readouterr().out)
        assert set(arrived(output)) == {"ada/a.ipynb", "cy/c.ipynb", "left_out.txt"}
        assert "ben/b.ipynb" in (output / "left_out.txt").read_text()
        found = {one.student: one.problem for one in find_submissions(output)}
        assert set(found) == {"ada", "ben", "cy"} and found["ben"] == "the folder holds no notebook (.ipynb)"


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda one: one.__name__)
def test_a_whole_file_after_a_spoiled_one_of_the_same_name_arrives(spoil, tmp_path):
    made = make(tmp_path / "x.zip", {"ada/a.ipynb": NOTEBOOK * 50, "ada/A.ipynb": "whole", "ben/b.ipynb": ""})
    patched(made, "ada/a.ipynb", spoil)
    made.write_bytes(made.read_bytes().replace(b"ada/A.ipynb", b"ada/a.ipynb"))
    found = unpack(made, tmp_path / "out")
    assert arrived(tmp_path / "out") == {"ada/a.ipynb": "whole", "ben/b.ipynb": ""} and len(found.left_out) == 1


@pytest.mark.parametrize(
    "entries, places, named",
    [
        ([("ada/a.ipynb", "1"), (".", "x"), ("./", "")], {"ada/a.ipynb": "1"}, [".: it has no name"]),
        ([("ada/a.ipynb", "1"), ("ada/a.ipynb", "2")], {"ada/a.ipynb": "1"}, ["ada/a.ipynb: another entry"]),
        ([("ada/./a.ipynb", "1"), ("ada//a.ipynb", "2")], {"ada/a.ipynb": "1"}, ["ada//a.ipynb: another entry"]),
        (
            [("ada/x", "1"), ("ada/x/y", "2"), ("ada/a.ipynb", "")],
            {"ada/x": "1", "ada/a.ipynb": ""},
            ["ada/x/y: another entry is a file"],
        ),
        (
            [("ada/x/y", "1"), ("ada/x", "2"), ("ada/a.ipynb", "")],
            {"ada/x/y": "1", "ada/a.ipynb": ""},
            ["ada/x: a folder has this name"],
        ),
        ([("ada/a.ipynb", "1"), (f"ada/{'x' * 300}", "")], {"ada/a.ipynb": "1"}, [f"{'x' * 300}: a name of 300"]),
        ([("ada/a.ipynb", "1"), (f"{'y' * 300}/b.ipynb", "")], {"ada/a.ipynb": "1"}, ["y/b.ipynb: 300 letters"]),
        ([("ada/a.ipynb", "1"), ("d/" * 90 + "b.ipynb", "")], {"ada/a.ipynb": "1"}, ["it lies 90 folders deep"]),
        ([("ada/a.ipynb", "1"), ("C:\\b.ipynb", "")], {"ada/a.ipynb": "1"}, ["leads out"]),
        ([("ada/a.ipynb", "1"), ("ada\\..\\..\\b.ipynb", "")], {"ada/a.ipynb": "1"}, ["leads out"]),
        ([("ada/a.ipynb", "1"), ("\\\\host\\b.ipynb", ""), ("//b.ipynb", "")], {"ada/a.ipynb": "1"}, ["leads out"] * 2),
        ([("ada\\a.ipynb", "1"), ("ben\\b.ipynb", "2")], {"ada/a.ipynb": "1", "ben/b.ipynb": "2"}, []),
        ([("😀" * 63 + "/a.ipynb", "1"), ("b/b.ipynb", "2")], {"😀" * 63 + "/a.ipynb": "1", "b/b.ipynb": "2"}, []),
        ([("ada/what?.ipynb", "1"), ("con/a.ipynb", "2")], {"ada/what_.ipynb": "1", "con_/a.ipynb": "2"}, []),
    ],
)
def test_odd_names(entries, places, named, tmp_path):
    found = unpack(make(tmp_path / "x.zip", entries), tmp_path / "out")
    assert arrived(tmp_path / "out") == places
    assert len(found.left_out) == len(named)
    assert all(part in line for part, line in zip(named, found.left_out, strict=True))


def test_an_entry_without_a_name(tmp_path):
    made = make(tmp_path / "x.zip", {"Q": "1", "ada/a.ipynb": "1"})
    data = made.read_bytes()
    for start, at in ((b"PK\3\4", 26), (b"PK\1\2", 28)):
        place = data.index(start)
        name = data.index(b"Q", place)
        data = data[: place + at] + b"\0\0" + b"\1\0" + data[place + at + 4 : name] + b"Q" + data[name + 1 :]
    made.write_bytes(data)  # the letter is now an extra field of one byte
    found = unpack(made, tmp_path / "out")
    assert arrived(tmp_path / "out") == {"ada/a.ipynb": "1"} and found.left_out == ["(no name): it has no name"]


def test_two_students_never_share_a_folder(tmp_path):
    """Whatever a disk takes for one name: capitals, accents in one piece or two, blanks and dots, numbers behind."""
    composed = unicodedata.normalize("NFC", "José")
    names = [
        "ada",
        "Ada",
        "ada ",
        "ada.",
        "ada (2)",
        composed,
        unicodedata.normalize("NFD", composed),
        "JOSÉ",
        "STRASSE",
    ]
    names += ["straße", "con", "CON", "ada\x1b", "ada\\x1b"[:3] + "_x1b", "left_out.txt"]
    entries = [(f"{name}/a.ipynb", repr(name)) for name in names] + [("ada.ipynb", "a file")]
    with_folders = unpack(make(tmp_path / "x.zip", entries), tmp_path / "out")
    found = arrived(tmp_path / "out")
    assert sorted(found.values()) == sorted([*map(repr, names), "a file"])
    folders = [path.split("/")[0] for path in found]
    keys = {unicodedata.normalize("NFC", unicodedata.normalize("NFD", one).casefold()).rstrip(" .") for one in folders}
    assert len(keys) == len(names) + 1 == len(with_folders.students) and "left_out.txt" not in folders
    assert found["ada (2)/a.ipynb"] == "'ada (2)'"  # a name of somebody's own is nobody else's number


@pytest.mark.parametrize(
    "entries, places",
    [
        (
            ["Ada L_7_assignsubmission_file_two_hours.ipynb", "Ada L_7_assignsubmission_onlinetext_onlinetext.html"],
            ["Ada L_7/onlinetext.html", "Ada L_7/two_hours.ipynb"],
        ),
        (
            ["Ada_7_assignsubmission_file/a.ipynb", "B_8_assignsubmission_file_/x/b.ipynb"],
            ["Ada_7/a.ipynb", "B_8/x/b.ipynb"],
        ),
        (
            ["Sheet 1/Abgaben/Team 7/Lovelace_Ada_al_12/x.ipynb", "Sheet 1/Abgaben/Team 9/Babbage_C_cb_13/y.ipynb"],
            ["Babbage_C_cb_13/y.ipynb", "Lovelace_Ada_al_12/x.ipynb"],
        ),
        (["Sheet 1/Abgaben/Lovelace_Ada_al_12/x.ipynb"], ["Lovelace_Ada_al_12/x.ipynb"]),
        (["A/B/C/ada/x.ipynb", "A/B/C/ben/x.ipynb"], ["ada/x.ipynb", "ben/x.ipynb"]),
        (["ada/x.ipynb", "ada/helper.py"], ["ada/helper.py", "ada/x.ipynb"]),
        ([*(f"in/{n}.ipynb" for n in "12345"), "__MACOSX/in/._1.ipynb"], [f"{n}/{n}.ipynb" for n in "12345"]),
        (["ada_LATE_1_22_x.ipynb", "ada_1_23_plot.png"], ["ada_1/ada_1_23_plot.png", "ada_1/ada_LATE_1_22_x.ipynb"]),
    ],
)
def test_platforms(entries, places, tmp_path):
    found = unpack(make(tmp_path / "x.zip", dict.fromkeys(entries, NOTEBOOK)), tmp_path / "out")
    assert sorted(arrived(tmp_path / "out")) == places and found.left_out == found.odd == []


def test_gradescope_tells_the_names(tmp_path):
    assert gradescope_names(GRADESCOPE) == {
        "submission_11": "Ada Lovelace_1001",
        "submission_12": "René Descartes, Grace O'Neil",
        "submission_13": "Ada Lovelace_1002",
    }
    entries = {f"assignment_9_export/submission_{n}/t.ipynb": str(n) for n in (11, 12, 13, 14)}
    entries["assignment_9_export/submission_metadata.yml"] = GRADESCOPE
    unpack(make(tmp_path / "x.zip", entries), tmp_path / "out")
    assert {path.split("/")[0]: text for path, text in arrived(tmp_path / "out").items()} == {
        "Ada Lovelace_1001": "11",
        "René Descartes, Grace O'Neil": "12",
        "Ada Lovelace_1002": "13",
        "submission_14": "14",
    }


@pytest.mark.parametrize(
    "entries, words",
    [
        (
            ["ex1/ada/a.ipynb", "ex1/ben/b.ipynb", "ex2/ada/a.ipynb", "ex2/ben/b.ipynb"],
            "several folders of their own: ex1",
        ),
        (["ada/a.ipynb", "ada/b.ipynb"], "each was taken for a student"),
        (["course/ada/a.ipynb", "course/ada/b.ipynb"], "ada was taken for one student"),
        (["ada/a.ipynb", "ben/b.pdf"], "1 of 2 students have no file named .ipynb: ben"),
        (["ada/a.ipynb", "ben/"], "nothing arrived of ben"),
        (["ada/a.ipynb", "ben/work.rar"], "ben handed in an archive, ben/work.rar"),
        (["ada/a.ipynb", "ada?/a.ipynb"], "the folder of ada? is ada_"),
    ],
)
def test_what_looks_like_no_download_is_said(entries, words, tmp_path, capsys):
    made = make(tmp_path / "x.zip", dict.fromkeys(entries, ""))
    with pytest.warns(UserWarning, match="this looks odd: .*" + re.escape(words)):
        collect(made, tmp_path / "out")
    assert main(["assignment", "collect", str(made), "-o", str(tmp_path / "again")]) == 0
    assert re.search("this looks odd: .*" + re.escape(words), capsys.readouterr().out)


def test_an_archive_in_an_archive(tmp_path):
    inner = make(tmp_path / "inner.zip", {"two.ipynb": NOTEBOOK, "../out.ipynb": "", "deep/x.zip": b"PK"}).read_bytes()
    made = make(tmp_path / "x.zip", {"ada/work.zip": inner, "ben/b.ipynb": "", "ben/more.zip": inner})
    found = unpack(made, tmp_path / "out")
    assert sorted(arrived(tmp_path / "out")) == [
        "ada/work.zip", "ada/work/deep/x.zip", "ada/work/two.ipynb", "ben/b.ipynb", "ben/more.zip"
    ]  # fmt: skip
    assert found.left_out == ["ada/work.zip, ../out.ipynb: its name leads out of the folder"]


def test_no_control_character_reaches_the_screen_or_the_list(tmp_path, capsys):
    evil = "\x1b]0;owned\x07\x1b[31m\r\u202e\x85"
    entries = {f"{evil}/{evil}.ipynb": "1", f"../{evil}": "2", f"ada/{evil}": "3", f"ada/{'x' * 300}{evil}": "4"}
    made = make(tmp_path / "x.zip", {**entries, "ada/a.ipynb": "5", "ben/b.ipynb": b"x" * 999})
    patched(made, "ben/b.ipynb", bad_crc)
    assert main(["assignment", "collect", str(made), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    names = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    for text in (said.out, said.err, (tmp_path / "out" / "left_out.txt").read_text(), *names):
        assert not [sign for sign in text if unicodedata.category(sign) in ("Cc", "Cf") and sign != "\n"]
    assert r"../\x1b]0;owned\x07\x1b[31m\x0d\u202e\x85: its name leads out" in said.out


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_student_or_a_class_that_swells_costs_the_others_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "LARGEST", 10_000)
    monkeypatch.setattr(collecting, "OF_STUDENT", 30_000)
    monkeypatch.setattr(collecting, "WHOLE", 100_000)
    zeros = {f"eve/{n}.bin": bytes(9_000) for n in range(9)} | {f"s{n}/a.ipynb": bytes(9_000) for n in range(30)}
    entries = {"eve/a.ipynb": "eve's", "ada/a.ipynb": "ada's", **zeros, "ada/big.bin": bytes(10_001)}
    found = unpack(make(tmp_path / "x.zip", entries), tmp_path / "out")
    files = arrived(tmp_path / "out")
    assert files["ada/a.ipynb"] == "ada's" and files["eve/a.ipynb"] == "eve's"
    assert 50_000 < sum(map(len, files.values())) <= 100_000
    assert sum(path.startswith("eve/") for path in files) <= 4
    assert len(files) + len(found.left_out) == len(entries)
    assert {one.student for one in find_submissions(tmp_path / "out")} == {"ada", "eve", *(f"s{n}" for n in range(30))}


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_too_many_entries_are_refused_before_they_are_read(told, tmp_path, monkeypatch):
    made = make(tmp_path / "x.zip", {f"ada/{n:050}{n:050}": "" for n in range(300)})
    if not told:
        data = made.read_bytes()
        made.write_bytes(data[:-14] + b"\1\0\1\0" + data[-10:])
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda self: pytest.fail("the entries were read"))
    for most in (299, 20) if told else (20,):
        with pytest.raises(ValueError, match=f"more than {most} files and folders"):
            collecting.open_zip(made, most)
    monkeypatch.setattr(collecting, "open_zip", lambda path: zip_files.open_zip(path, 20))
    with pytest.raises(ValueError, match="Hint: unpack it yourself"):
        unpack(made, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_what_stops_it_leaves_nothing_so_that_a_second_run_works(tmp_path, monkeypatch):
    made = make(tmp_path / "x.zip", {"ada/a.ipynb": NOTEBOOK, "ben/b.ipynb": NOTEBOOK})
    real, seen = zip_files._copy, []

    def fails(*arguments):
        seen.append(1)
        if len(seen) == 2:
            raise error
        return real(*arguments)

    monkeypatch.setattr(zip_files, "_copy", fails)
    for error in (KeyboardInterrupt(), OSError(28, "No space left on device")):
        seen.clear()
        with pytest.raises(type(error)):
            unpack(made, tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]
    (tmp_path / "out").mkdir()  # an empty folder is as good as none
    assert unpack(made, tmp_path / "out").students == ["ada", "ben"]


@pytest.mark.parametrize("cut", [1, 30, 60, 100, 200])
def test_half_a_download_is_refused_in_words(cut, tmp_path, capsys):
    made = make(tmp_path / "x.zip", {"ada/a.ipynb": NOTEBOOK, "ben/b.ipynb": NOTEBOOK})
    made.write_bytes(made.read_bytes()[:-cut])
    assert main(["assignment", "collect", str(made), "-o", str(tmp_path / "out")]) == 2
    assert "Traceback" not in (said := capsys.readouterr().err) and "x.zip" in said
    assert not (tmp_path / "out").exists()


# -- whatever comes ----------------------------------------------------------------------------------------------------

PART = st.one_of(
    st.sampled_from(
        ["ada", "Ada", "ada (2)", "a.ipynb", "a.txt", ".", "..", "", "con", "x.", " ", "é", "é", "\x1b[2J"]
    ),
    st.sampled_from(["A_7_assignsubmission_file_", "A_7_assignsubmission_file_b.ipynb", "a_1_2_b.ipynb", "L_A_l_12"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6),
)
NAME = st.builds(
    lambda parts, sign, end: sign.join(parts) + end,
    st.lists(PART, min_size=1, max_size=4),
    st.sampled_from("/\\"),
    st.sampled_from(["", "", ".ipynb"]),
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=120, deadline=None)
@given(names=st.lists(NAME.filter(bool), min_size=1, max_size=12), spoiled=st.integers(0, 40), seed=st.integers(0, 9))
def test_each_file_arrives_once_under_one_student_or_is_named(names, spoiled, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    entries = [(name, f"content {number}") for number, name in enumerate(names)]
    made = make(folder / "x.zip", entries)
    if spoiled < len(SPOILED):
        name = random.Random(seed).choice(names)
        if made.read_bytes().count(name.encode()) == 2:
            patched(made, name, SPOILED[spoiled])
    found = unpack(made, folder / "out")
    files = arrived(folder / "out")
    with zipfile.ZipFile(made) as opened:
        plain = [entry.filename for entry in opened.infolist() if not entry.filename.endswith(("/", "\\"))]
    hidden = [
        name for name in plain if any(p.startswith(".") and p not in (".", "..") for p in re.split(r"[/\\]", name))
    ]
    hidden = [name for name in hidden if not any(line.startswith(collecting.visible(name)) for line in found.left_out)]
    assert len(files) + len(found.left_out) == len(plain) - len(hidden)
    assert len(set(files.values())) == len(files)
    assert set(found.students) == {path.split("/")[0] for path in files}
    assert not any(
        unicodedata.category(sign) == "Cc" for line in [*found.left_out, *found.odd, *files] for sign in line
    )
    assert [path.name for path in folder.iterdir() if path.name != "out"] == ["x.zip"]
    shutil.rmtree(folder)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_is_said_in_words(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in ("ada/a.ipynb", "ben/b.ipynb", "ben/c.txt"):
            opened.writestr(name, NOTEBOOK * 9)
    raw = bytearray(content.getvalue())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[place] = data.draw(st.integers(0, 255))
    (folder / "x.zip").write_bytes(raw)
    try:
        unpack(folder / "x.zip", folder / "out")
    except ValueError as error:
        assert "x.zip" in str(error) and not (folder / "out").exists()
    else:
        assert all(path.resolve().is_relative_to(folder / "out") for path in (folder / "out").rglob("*"))
    assert {path.name for path in folder.iterdir()} <= {"x.zip", "out"}
    shutil.rmtree(folder)
