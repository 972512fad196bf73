"""The stored notebooks are what their sources give, run from top to bottom, blank and solved, and give nothing away."""

import ast
import json
import os
import re
import statistics
import subprocess
import sys
import textwrap
from functools import cache

import nbformat
import pytest
from forked import forked
from places import ROOT

from tests.jupyter import OFFLINE
from w2s_lab import assets
from w2s_lab.classroom import build
from w2s_lab.classroom.exercises import EXERCISES, NOTEBOOKS
from w2s_lab.classroom.folds import ASKED, TOLD, fold_guesses, unfold
from w2s_lab.data import fetch
from w2s_lab.data.sources import read_examples

FOLDER = ROOT / "notebooks"
SOURCES = build.sources()
NAMES = [path.stem for path in SOURCES]


@cache
def stored(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell) -> list[str]:
    """Everything textual that a cell has put out."""
    found = []
    for output in cell.outputs:
        found += [output.get("text", "")]
        found += [value for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return [text for text in found if text]


# -- what is stored ----------------------------------------------------------------------------------------------------


def test_there_are_fourteen():
    assert [build.notebook_number(name) for name in NAMES] == [*"00 01 02 03 04 04b 05 06 07 08 09 10 11 12".split()]
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


def test_a_number_means_one_notebook():
    assert [path.stem for path in build.sources(["04"])] == ["04_overfitting"]
    assert [path.stem for path in build.sources(["05_distillation", "04b"])] == ["04b_when_to_stop", "05_distillation"]
    with pytest.raises(ValueError, match="no source is called '4'; there are 00_start_here, "):
        build.sources(["4"])


@pytest.mark.parametrize("name", NAMES)
def test_source_and_notebook_are_in_step(name):
    """Cell by cell; `make notebooks` mends it."""
    source = build.read_source(FOLDER / "src" / f"{name}.py")
    facts = [
        [(c.cell_type, c.id, c.source, c.metadata.get("tags", [])) for c in nb.cells] for nb in (source, stored(name))
    ]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("name", NAMES)
def test_it_was_run_from_top_to_bottom_without_errors(name):
    assert [cell.execution_count for cell in code(stored(name))] == list(range(1, len(code(stored(name))) + 1))
    for cell in code(stored(name)):
        if "raises-exception" not in cell.metadata.get("tags", []):
            assert not [output for output in cell.outputs if output.output_type == "error"], cell.source


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small_and_says_nothing_of_the_machine_it_was_built_on(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 1_000_000
    assert set(stored(name).metadata) == {"kernelspec", "language_info"}
    for cell in code(stored(name)):
        assert "execution" not in cell.metadata
        for text in texts(cell):
            assert not re.search(r"/(home|root|Users|tmp|work|usr)/|Warning:|\bit/s\b", text), cell.source
        for output in cell.outputs:
            data = output.get("data", {})
            assert build.WIDGET_VIEW not in data or len(data) == 1, cell.source
            # What is seen only live leaves a hole on a code host.
            assert set(data) != {build.WIDGET_VIEW}, f"only a live widget: {cell.source}"


@pytest.mark.slow
@pytest.mark.skipif(not fetch.here("film-reviews"), reason="needs the sentences: w2s-lab fetch film-reviews")
def test_no_sentence_of_real_people_is_stored():
    """The dashboards' switch stores the pocket world alone."""
    shown = "\n".join(text for name in NAMES for cell in code(stored(name)) for text in texts(cell))
    sentences = [example.input for example in read_examples("film-reviews")[1] if len(example.input) > 30]
    assert len(sentences) > 9000 and not [one for one in sentences if one[:60] in shown]


@pytest.mark.parametrize("name", NAMES)
def test_its_shape(name):
    """A title, what it is about, minutes; short cells; guesses, exercises, a quiz; limits; what comes next."""
    notebook, cells = stored(name), code(stored(name))
    first, text = notebook.cells[0].source, "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert (
        first.startswith(f"# {build.notebook_number(name)} · ") and "?" in first and re.search("minute|second", first)
    )
    assert 20 <= len(cells) <= 40
    assert statistics.median(len(cell.source.splitlines()) for cell in cells) <= 6
    source = "\n".join(cell.source for cell in cells)
    assert f'room.quiz("{build.notebook_number(name)}")' in source
    assert source.count("room.predict(") >= 1 and source.count("room.predict(") <= source.count("room.outcome(")
    for cell in cells:
        body = ast.parse(cell.source).body
        hidden = [line for line in body[:-1] if ast.unparse(line).startswith(("room.outcome(", "room.predict("))]
        assert not hidden, f"only the last line of a cell is shown: {cell.source}"
    for exercise in NOTEBOOKS[build.notebook_number(name)]:
        assert f"def {exercise}(" in source and f"room.check({exercise}" in source
    assert "does not show" in text.lower()
    assert "pip install" not in source and "%pip" not in source
    for picture in re.findall(r"!\[(.*?)\]\(", text):
        assert len(picture) > 10, "a picture without alt text"


def test_00_to_05_show_the_lesson_and_not_the_plumbing():
    """At most 40 names of the package; cells of at most eight lines, but for stubs and a loop in the open."""
    names, long = set(), []
    for path in SOURCES[: NAMES.index("06_confidence_and_bootstrapping")]:
        for cell in code(build.read_source(path)):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("w2s_lab"):
                    names |= {alias.name for alias in node.names} - {"classroom"}
                elif isinstance(node, ast.Attribute) and re.fullmatch(
                    r"(w2s|room)(\.[a-z_]+)?", ast.unparse(node.value)
                ):
                    names.add(ast.unparse(node))
            lines = [line for line in cell.source.splitlines() if line.strip() and not line.startswith("#")]
            if len(lines) > 8 and "..." not in cell.source and "backward()" not in cell.source:
                long.append(cell.id)
    assert not long
    modules = {name.rpartition(".")[0] for name in names}
    assert len(names - modules) <= 40, sorted(names - modules)


def handed_on(cell: str, exercise: str) -> str | None:
    """What `room.yours(exercise)` is called in a cell; "" where it is called at once, None without it."""
    for node in ast.walk(ast.parse(cell)):
        if isinstance(node, ast.Assign):
            names, values = (
                part.elts if isinstance(part, ast.Tuple) else [part] for part in (*node.targets, node.value)
            )
            for name, value in zip(names, values, strict=len(names) == len(values)):
                if ast.unparse(value) == f"room.yours({exercise})":
                    return name.id
    return "" if f"room.yours({exercise})(" in cell else None


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_what_a_learner_writes_is_used(path):
    """Behind its check, the function that `room.yours` hands on is called; decisions of an open task need no call."""
    cells = [cell.source for cell in code(build.read_source(path))]
    for exercise in NOTEBOOKS[build.notebook_number(path.stem)]:
        checked = next(i for i, cell in enumerate(cells) if f"room.check({exercise})" in cell)
        behind = "\n".join(cells[checked + 1 :]).partition(f"room.yours({exercise})")[2]
        name = next((name for cell in cells[checked + 1 :] if (name := handed_on(cell, exercise)) is not None), None)
        if name is None:
            assert EXERCISES[exercise].criteria and exercise != "wrong_at_random", f"{exercise} is not used"
        else:
            assert name == "" or re.search(rf"\b{name}\(", behind), f"{exercise} is not called"


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_says_its_minutes_and_how_hard_it_is(name):
    cells = stored(name).cells
    for exercise in NOTEBOOKS[build.notebook_number(name)]:
        at = next(i for i, cell in enumerate(cells) if f"def {exercise}(" in cell.source)
        text = next(cell.source for cell in reversed(cells[:at]) if cell.cell_type == "markdown")
        assert re.search(r"\*\*(Exercise|Open task) · \d+ minutes, (easy|medium|hard)\.\*\*", text), exercise


@pytest.mark.parametrize("name", NAMES[2:])
def test_it_ends_in_an_open_task_with_a_folded_discussion(name):
    cells, exercise = stored(name).cells, EXERCISES[NOTEBOOKS[build.notebook_number(name)][-1]]
    at = next(i for i, cell in enumerate(cells) if f"room.check({exercise.id})" in cell.source)
    assert exercise.criteria and not any(f"room.check({other})" in cell.source for cell in cells[at:]
                                         for other in NOTEBOOKS[build.notebook_number(name)][:-1])  # fmt: skip
    behind = "\n".join(cell.source for cell in cells[at:])
    assert "**Open task · " in "\n".join(cell.source for cell in cells[:at])
    assert "<details><summary>A sample discussion." in behind and "</details>" in behind


@pytest.mark.parametrize("name", NAMES)
def test_it_gives_no_solution_away(name):
    """No line that does the work of a solution stands in the notebook, neither in a cell nor in what it put out."""
    shown = "\n".join(
        line
        for cell in stored(name).cells
        for line in [cell.source, *(texts(cell) if cell.cell_type == "code" else [])]
    )
    for exercise in NOTEBOOKS[build.notebook_number(name)]:
        tree = ast.parse(textwrap.dedent(EXERCISES[exercise].solution)).body[0]
        lines = [ast.unparse(part) for part in tree.body if not isinstance(part, ast.Expr)]
        assert not all(line in shown for line in lines), f"{exercise} is solved in {name}"


@pytest.mark.parametrize("name", NAMES[: NAMES.index("10_your_models_your_data")])
def test_it_asks_for_nothing_from_the_network(name):
    source = "\n".join(cell.source for cell in code(stored(name)))
    assert not re.search(r"https?://|hub:|urlopen|requests\.|socket", source)


def test_stubs_are_replaced_by_solutions():
    notebook = build.read_source(SOURCES[0])
    solved = build.solved(notebook)
    changed = [(a.source, b.source) for a, b in zip(notebook.cells, solved.cells, strict=True) if a.source != b.source]
    assert len(changed) == len(NOTEBOOKS["00"])
    for stub, solution in changed:
        assert "..." in stub and "..." not in solution


@pytest.mark.parametrize("name", NAMES)
def test_no_guess_is_given_away(name):
    """From a guess to its outcome each output is folded, or is a dashboard; and what was folded can be unfolded."""
    waiting = set()
    for cell in code(stored(name)):
        asked = ASKED.findall(cell.source)
        for output in cell.outputs if waiting and not asked else ():
            assert "<details>" in output.get("data", {}).get("text/html", "<details>"), cell.source
            assert output.output_type != "stream" and "image/png" not in output.data, cell.source
        waiting = (waiting | set(asked)) - set(TOLD.findall(cell.source))
    again = fold_guesses(unfold(nbformat.from_dict(stored(name))))
    assert [cell.outputs for cell in code(again)] == [cell.outputs for cell in code(stored(name))]


def test_a_guess_without_outcome_is_refused():
    cell = nbformat.v4.new_code_cell('room.predict("00-x", "Which?", ["a", "b"])')
    with pytest.raises(ValueError, match="answers the guesses 00-x"):
        fold_guesses(nbformat.v4.new_notebook(cells=[cell]))


# -- run ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_blank_as_stored(name, tmp_path):
    """nbval: every cell runs with the stubs left alone, and what is deterministic comes out as it was stored.

    The first one in true processes, where imports may print something.
    """
    shared, near = assets.store_folder(), tmp_path / "runs"  # beside the folder of the copy, as in a clone
    shared.mkdir(parents=True, exist_ok=True)
    near.symlink_to(shared, target_is_directory=True)
    own = {"W2S_LAB_PROGRESS": str(tmp_path / "progress.json"), assets.STORE_VARIABLE: str(near)}
    environment, copy = {**os.environ, **OFFLINE, **own}, tmp_path / "notebooks" / f"{name}.ipynb"
    copy.parent.mkdir()
    nbformat.write(unfold(nbformat.from_dict(stored(name))), copy)
    program = sys.executable if name == NAMES[0] else forked()
    command = [program, "-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=600", "-q",
               "-p", "no:cacheprovider", "-p", "no:xdist", str(copy)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"{len(code(stored(name)))} passed" in done.stdout


def test_progress_of_the_build_is_its_own(tmp_path, monkeypatch):
    """Building a notebook leaves a learner's progress alone."""
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"exercises": {}, "questions": {}, "predictions": {"a": "b"}}))
    monkeypatch.setenv("W2S_LAB_PROGRESS", str(mine))
    cell = nbformat.v4.new_code_cell("from w2s_lab import classroom as room\nroom.reset_progress()")
    notebook = build.run(nbformat.v4.new_notebook(cells=[cell]), tmp_path)
    assert texts(notebook.cells[0]) == ["'There was nothing to forget.'"]
    assert "predictions" in mine.read_text()
