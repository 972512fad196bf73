"""Where finished work goes: a variable, a marker file upward, the clone's, the user's folder; in this order."""

from pathlib import Path

import pytest
from places import ROOT

from w2s_lab import assets
from w2s_lab.experiments.store import Store


@pytest.fixture(autouse=True)
def nothing_said(tmp_path, monkeypatch):
    """No variable, an installed kit, and a user's folder of this test's own."""
    for variable in (assets.STORE_VARIABLE, assets.PROGRESS_VARIABLE, assets.FETCHED_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(assets, "HOME", tmp_path / "shipped")
    monkeypatch.setattr("platformdirs.user_data_path", lambda name, appauthor: tmp_path / "home" / name)
    (tmp_path / "course" / "week 1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "course" / "week 1")


def places() -> list[Path]:
    return [assets.store_folder(), assets.progress_file()]


def test_the_users_folder_is_the_last_resort(tmp_path):
    home = tmp_path / "home" / "w2s_lab"
    assert places() == [home / "runs", home / "progress.json"] and not home.exists()


def test_a_marker_counts_in_every_folder_below_it(tmp_path):
    (tmp_path / "course" / assets.MARKER).write_text('store = "kept here"\nprogress = "week 1/done.json"\n')
    assert places() == [tmp_path / "course" / "kept here", tmp_path / "course" / "week 1" / "done.json"]
    (tmp_path / "course" / "week 1" / assets.MARKER).write_text('store = "../nearer"\n')
    assert places() == [Path("../nearer").resolve().parent / "week 1" / ".." / "nearer",
                        tmp_path / "home" / "w2s_lab" / "progress.json"]  # fmt: skip
    assert assets.marker(tmp_path) is None


def test_a_variable_counts_before_a_marker(tmp_path, monkeypatch):
    (tmp_path / "course" / assets.MARKER).write_text('store = "kept here"\n')
    monkeypatch.setenv(assets.STORE_VARIABLE, "mine")
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, "~/done.json")
    assert places() == [Path.cwd() / "mine", Path.home() / "done.json"]


def test_an_absolute_path_and_a_home_in_a_marker(tmp_path):
    (tmp_path / assets.MARKER).write_text(f"store = '{tmp_path / 'far'}'\nprogress = '~/done.json'\n")
    assert places() == [tmp_path / "far", Path.home() / "done.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("store = runs", "cannot be read"), ("stor = 'runs'", "stor is not understood"), ("store = 3", "expected only")],
)
def test_a_marker_that_cannot_be_understood_is_named(text, said, tmp_path):
    (tmp_path / assets.MARKER).write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        assets.store_folder()
    assert str(tmp_path / assets.MARKER) in str(error.value)


def test_the_place_does_not_change_with_the_current_directory(tmp_path, monkeypatch):
    (tmp_path / assets.MARKER).write_text('store = "runs"\n')
    store = Store()
    assert store.root.is_absolute()
    monkeypatch.chdir("/")
    assert store.root == tmp_path / "runs" and Store("runs").root == Path("runs")


def test_the_clone_keeps_its_places_also_for_notebooks_run_from_elsewhere(monkeypatch):
    monkeypatch.setattr(assets, "HOME", ROOT)
    assert places() == [ROOT / "runs", ROOT / "notebooks" / "progress.json"]
    monkeypatch.chdir(ROOT / "notebooks" / "src")
    assert places() == [ROOT / "runs", ROOT / "notebooks" / "progress.json"]


def test_what_is_fetched_is_placed_in_the_same_manner(tmp_path, monkeypatch):
    assert assets.fetched_folder() == tmp_path / "home" / "w2s_lab" / "fetched"
    (tmp_path / "course" / assets.MARKER).write_text('fetched = "for all"\n')
    assert assets.fetched_folder() == tmp_path / "course" / "for all"
    monkeypatch.setenv(assets.FETCHED_VARIABLE, "mine")
    assert assets.fetched_folder() == Path.cwd() / "mine"


def test_a_path_is_shown_from_the_current_directory_on(tmp_path):
    assert assets.shown_path(Path.cwd() / "a" / "b") == Path("a/b")
    assert assets.shown_path(tmp_path) == tmp_path
