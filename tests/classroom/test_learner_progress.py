"""What remembers never stops the teaching: first the feedback, then the saving, whatever the file is."""

import json
import os
import resource
import subprocess
import warnings
from pathlib import Path

import pytest
from forked import forked
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from places import ROOT

from w2s_lab import assets
from w2s_lab import classroom as room
from w2s_lab.classroom import progress
from w2s_lab.classroom.exercises import EXERCISES
from w2s_lab.classroom.exercises.checks import judge
from w2s_lab.classroom.toolkit.panel import Panel


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A named file, a user's folder of this test's own, and nothing said yet."""
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, str(tmp_path / "named" / "progress.json"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("platformdirs.user_data_path", lambda name, appauthor: tmp_path / "home" / name)
    monkeypatch.setattr(progress, "_said", set())
    monkeypatch.setattr(progress, "_unsaved", {})
    monkeypatch.setattr(progress, "_nowhere", progress.LearnerProgress(Path("progress.json")))
    (tmp_path / "named").mkdir()
    return tmp_path


def under_a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "progress.json"


def a_folder(folder: Path) -> Path:
    (folder / "named" / "progress.json").mkdir()
    return folder / "named" / "progress.json"


def a_loop(folder: Path) -> Path:
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop" / "progress.json"


def damaged(folder: Path) -> Path:
    (folder / "named" / "progress.json").write_text('{"exercises": {')
    return folder / "named" / "progress.json"


def of_another_shape(folder: Path) -> Path:
    (folder / "named" / "progress.json").write_text('{"exercises": {"a": 3}, "questions": {}, "predictions": {}}')
    return folder / "named" / "progress.json"


def a_link_to_nowhere(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "not there" / "either")
    return folder / "link" / "progress.json"


def a_name_that_is_too_long(folder: Path) -> Path:
    return folder / ("x" * 300) / "progress.json"


PLACES = [under_a_file, a_folder, a_loop, damaged, of_another_shape, a_link_to_nowhere, a_name_that_is_too_long]


def lesson() -> list[str]:
    """What a learner does in a notebook, through the public door; returns what they were told besides the answers."""
    said = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(2):
            question = next(q for q in room.quiz("00").questions if q.question["kind"] == "one")
            for letter in "AB":
                question.choose(letter).button.click()
                assert "Right" in question._feedback.value or "Not yet" in question._feedback.value
                said += [question._feedback.value]
            guess = room.predict("t", "Which?", ["up", "down"])
            guess.menu.value = None
            guess.menu.value = "down"
            assert "Your guess: down. Now run on." in guess._said.value
            said += [guess._said.value]
            exercise = EXERCISES["gap_recovered"]
            verdict = room.check(exercise.answer)
            assert "Right" in verdict.text and verdict.hint() and verdict.solution()
            said += [verdict._more.value]
            assert "A surprise" in room.outcome("t", "up").words
            assert isinstance(table := room.my_progress(), Panel)
    assert table.view.says.startswith("1 of ")
    lines = [str(warning.message) for warning in warned] + said
    assert judge(exercise, exercise.answer).state == "right"
    return [line for line in lines if "cannot" in line or "not a progress file" in line or "Errno" in line]


def test_where_all_is_well_nothing_is_said(folder):
    assert lesson() == []
    assert json.loads((folder / "named" / "progress.json").read_text())["predictions"] == {"t": "down"}


@pytest.mark.parametrize("place", PLACES)
def test_the_users_own_folder_is_next_and_said_once(place, folder, monkeypatch):
    path = place(folder)
    before = path.read_bytes() if os.path.isfile(path) else None
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, str(path))
    (said,) = lesson()
    own = folder / "home" / "w2s_lab" / "progress.json"
    assert str(path) in said and str(own) in said
    assert assets.PROGRESS_VARIABLE in said or "Hint" in said
    assert json.loads(own.read_text())["predictions"] == {"t": "down"}
    assert before is None or path.read_bytes() == before
    assert "deleted" in room.reset_progress() and not own.exists()


@pytest.mark.parametrize("place", PLACES)
def test_without_any_file_the_kernel_remembers(place, folder, monkeypatch):
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, str(place(folder)))
    (folder / "home").write_text("a file where a folder should be")
    assert 1 <= len(lesson()) <= 2
    assert progress.known().predictions == {"t": "down"}
    room.reset_progress()
    assert progress.known().predictions == {}


def test_a_user_without_a_home(folder, monkeypatch):
    monkeypatch.setattr("platformdirs.user_data_path", lambda name, appauthor: Path("~/.local/share") / name)
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, str(under_a_file(folder)))
    assert len(lesson()) == 1
    monkeypatch.delenv(assets.PROGRESS_VARIABLE)
    monkeypatch.setattr(assets, "HOME", folder)
    monkeypatch.chdir(folder)
    assert assets.progress_file() == folder / "progress.json" and assets.store_folder() == folder / "runs"
    assert lesson() == [] and (folder / "progress.json").is_file() and not (folder / "~").exists()


def test_a_marker_that_cannot_be_read(folder, monkeypatch):
    monkeypatch.delenv(assets.PROGRESS_VARIABLE)
    (folder / assets.MARKER).write_text("progress = 3")
    monkeypatch.chdir(folder)
    (said,) = lesson()
    assert assets.MARKER in said
    assert (folder / "home" / "w2s_lab" / "progress.json").is_file()


def test_a_current_folder_that_was_removed(folder, monkeypatch):
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    monkeypatch.delenv(assets.PROGRESS_VARIABLE)
    monkeypatch.setattr(assets, "HOME", folder)
    assert lesson() == []


def test_a_full_disk(folder):
    """No file may grow; what is there stays as it was, and the session remembers."""
    lesson()
    before = (folder / "named" / "progress.json").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        (said,) = lesson()
        assert "kernel" in said and assets.PROGRESS_VARIABLE in said
        assert (folder / "named" / "progress.json").read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert lesson() == [] and (folder / "named" / "progress.json").read_bytes() != before


def test_a_read_only_file_of_ones_own_is_where_the_new_one_begins(folder, monkeypatch):
    lesson()
    path = folder / "named" / "progress.json"
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != path)  # root may write everything
    (said,) = lesson()
    own = json.loads((folder / "home" / "w2s_lab" / "progress.json").read_text())
    assert str(path) in said and own["exercises"]["gap_recovered"]["tries"] == 4
    assert json.loads(path.read_text())["exercises"]["gap_recovered"]["tries"] == 2


good = st.fixed_dictionaries(
    {
        "exercises": st.dictionaries(st.text(), st.just({"tries": 1, "done": True, "hints": 0})),
        "questions": st.dictionaries(st.text(), st.just({"tries": 1, "right": False})),
        "predictions": st.dictionaries(st.text(), st.text()),
    }
)
plain = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(plain, lambda one: st.lists(one) | st.dictionaries(st.text(), one))
parts = st.fixed_dictionaries({name: values for name in ("exercises", "questions", "predictions")})


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | values.map(json.dumps).map(str.encode) | parts.map(json.dumps).map(str.encode))
@example(b"[" * 100_000)
@example(b'{"exercises": {"gap_recovered": {"tries": "many", "done": 1}}, "questions": {}, "predictions": {}}')
@example(b"\xff\xfe{}")
@example(b"9" * 5000)
def test_no_content_of_the_file_is_an_error(folder, content):
    path = folder / "named" / "progress.json"
    path.write_bytes(content)
    with warnings.catch_warnings(action="ignore"):
        progress.known()
        progress.remember(lambda known: known.exercise("gap_recovered").update(tries=1))
        progress.remember(lambda known: known.predictions.update({"t": "up"}))
        assert progress.known().exercise("gap_recovered")["tries"] == 1 and room.outcome("t", "up").words.endswith("✓")
        room.my_progress()
    read = json.loads(path.read_text(encoding="utf-8")) if path.read_bytes() != content else None
    assert read is None or read["predictions"]["t"] == "up"  # a foreign file is not touched


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(good, st.text(), st.text() | st.integers() | st.floats(allow_nan=False))
@example({"exercises": {}, "questions": {}, "predictions": {}}, "\ud83d", "\udcff")
def test_what_was_remembered_is_read_back(folder, facts, name, guess):
    path = folder / "named" / "progress.json"
    path.write_text(json.dumps(facts))
    assert progress.remember(lambda known: known.predictions.update({name: guess})) == ""
    assert progress.load_progress() == progress.LearnerProgress(
        path, facts["exercises"], facts["questions"], facts["predictions"] | {name: guess}
    )


READ_ONLY = """
import ctypes, subprocess, sys
assert ctypes.CDLL(None).unshare(0x20000) == 0  # mounts of its own
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "--bind", sys.argv[1], sys.argv[1]], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", sys.argv[1]], check=True)
from w2s_lab import assets, classroom as room
question = next(q for q in room.quiz("00").questions if q.question["kind"] == "one")
question.choose("A").button.click()
assert "Right" in question._feedback.value or "Not yet" in question._feedback.value
print(room.check(lambda weak, student, ceiling: (student - weak) / (ceiling - weak), "gap_recovered").verdict.state)
print(assets.progress_file())
"""


@pytest.mark.slow
def test_a_read_only_disk(folder):
    """The marker of a course names a file there, and the notebook is run there."""
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mounting a read-only disk takes root")
    course = folder / "course"
    course.mkdir()
    (course / assets.MARKER).write_text('store = "runs"\nprogress = "progress.json"\n')
    env = {key: value for key, value in os.environ.items() if key != assets.PROGRESS_VARIABLE}
    env |= {"XDG_DATA_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [forked(), "-c", READ_ONLY, str(course)], capture_output=True, text=True, cwd=course, env=env, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["right", str(folder / "home" / "w2s_lab" / "progress.json")]
    assert list(course.iterdir()) == [course / assets.MARKER]


def test_what_another_notebook_has_saved_meanwhile_stays(folder, monkeypatch):
    """This one could not write for a moment, as on a full disk, and goes on from what it has in memory."""

    def full(path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(progress, "replacing", full)
        progress.remember(lambda own: own.exercise("a").update(tries=1, done=True))
    other = progress.load_progress()
    other.exercise("a").update(tries=3)
    other.exercise("b").update(tries=2, done=True)
    other.predictions["p"] = "first"
    other.save()
    assert progress.remember(lambda own: own.question("q").update(tries=1)) == ""
    found = progress.load_progress()
    assert found.exercises["a"] == {"tries": 3, "done": True, "hints": 0}
    assert found.exercises["b"]["done"] and found.questions["q"]["tries"] == 1 and found.predictions == {"p": "first"}
