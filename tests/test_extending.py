"""docs/extending.md: its module, registered from outside the package, reaches commands, studies and other processes."""

import json
import multiprocessing.spawn
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from forked import forked
from places import ROOT

from w2s_lab import data, studies
from w2s_lab.cli import commands
from w2s_lab.data import sources
from w2s_lab.methods import labellers, selection
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.studies import methods
from w2s_lab.studies.study import Setting
from w2s_lab.system import registry
from w2s_lab.system.jobs import Job, run_jobs

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
REGISTRIES = (studies.STUDIES, data.presets.PRESETS, sources.tasks(), selection.RULES, labellers.LABELLERS)


def block(kind: str) -> str:
    (text,) = (text for found, text in BLOCKS if found == kind)
    return text


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's module, which is the present one; afterwards nothing of it is registered."""
    (tmp_path / "my_lab.py").write_text(block("python"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_plugins", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    for table in REGISTRIES:
        monkeypatch.setattr(table, "_entries", dict(table._entries))
    yield tmp_path
    sys.modules.pop("my_lab", None)


@pytest.fixture
def my_lab(folder):
    sys.path.append(str(folder))
    registry.load_plugin("my_lab")
    return import_module("my_lab")


LABELS = LabelledSet(
    Task("t", ("a", "b")), tuple(Example("Say.", "x" * n, "a") for n in (3, 1, 2)), ("a", "b", "a"), source="weak"
)


@pytest.mark.slow
def test_the_commands_of_the_page(folder):
    """As they stand there, in processes of their own; only the run is made smaller."""
    study, run, rule = (shlex.split(line) for line in block("").splitlines())
    smaller = ["--strong", "pocket-s", "--epochs", "1", "--device", "cpu", "--sizes", "40,40,40,10"]
    said = []
    for words in (study, [*run, *smaller, "--weak-epochs", "1"], [*rule, *smaller]):
        code = "import sys; from w2s_lab.cli.commands import main; sys.exit(main())"  # as the installed command does
        done = subprocess.run(
            [forked(), "-c", "import sys; sys.path.remove(''); " + code, *words[1:]],
            capture_output=True, text=True, timeout=500, cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "short inputs" in said[0] and "weather: pocket-s supervises pocket-s\n300 examples" in said[1]
    assert "weather: wet supervises pocket-s\n" in said[2] and "0 true labels for the supervisor" in said[2]
    facts = json.loads((folder / "data" / "results" / "short-inputs.json").read_text())
    assert facts["command"] == "w2s-lab study short-inputs --seeds 2 --import my_lab"
    assert {(row["rule"], row["seed"]) for row in facts["rows"]} == {
        (rule, seed) for rule in ("chance", "short inputs") for seed in (0, 1)
    }


def test_names_reach_other_processes(my_lab, monkeypatch):
    """Functions of the package that look a user's name up, each in another process than this one."""
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(forked()))
    jobs = [
        Job("rule", selection.scores, (LABELS, ["short inputs"])),
        Job("task", sources.load_splits, ("weather",)),
    ]
    found = run_jobs(jobs, workers=2)
    np.testing.assert_array_equal(found["rule"]["short inputs"], [-3, -1, -2])
    assert found["task"].student_train.ids == sources.load_splits("weather").student_train.ids


def test_a_rule_reaches_the_study_of_the_methods(my_lab):
    jobs = [job for stage in studies.STUDIES["methods"].stages(Setting("runs", "cpu", 1)) for job in stage]
    mine = [job.name for job in jobs if "short inputs" in job.name]
    assert mine == ["sentiment, seed 0, best half by short inputs"]
    found = methods.method("best half by short inputs")
    assert (found.group, found.control) == (methods.SELECTION, methods.RANDOM)


def test_a_preset_is_read_by_its_name(my_lab, monkeypatch):
    import datasets

    rows = datasets.Dataset.from_dict({"text": [f"text {i}" for i in range(60)], "label": [i % 2 for i in range(60)]})
    asked = []

    def load_dataset(name, config, *, split, revision):
        asked.append((name, split))
        return [rows]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    task, examples, _ = sources.read_examples("hub:my-reviews")
    assert asked == [("stanfordnlp/imdb", ["train"])]
    assert (task, len(examples), examples[1].answer) == (Task("my-reviews", ("negative", "positive")), 60, "positive")


def test_wrong_registrations_are_told_what_is_right(my_lab):
    with pytest.raises(ValueError, match=r"has the parameter 'model'; expected one of supervisor, other"):
        selection.Rule("mine", "Mine.", lambda labels, model: labels)
    with pytest.raises(ValueError, match=r"has the need 'prob'; expected one of probs, log_prob, open answers"):
        selection.Rule("mine", "Mine.", my_lab.letters, needs=("prob",))
    with pytest.raises(ValueError, match="'confident half' is the half of 'confidence'"):
        selection.register(selection.Rule("mine", "Mine.", my_lab.letters, half="confident half"))
    with pytest.raises(ValueError, match="already a selection rule 'IFD'"):
        selection.register(selection.Rule("IFD", "Mine.", my_lab.letters))
    with pytest.raises(ValueError, match="without : @ /"):
        data.presets.register("a/b", data.presets.PRESETS["my-reviews"])
    with pytest.raises(ValueError, match="'x' is 3; expected a w2s_lab"):
        data.presets.register("x", 3)
    with pytest.raises(ValueError, match="already a task 'sentiment'"):
        data.register_task("sentiment", "mine.csv")
    with pytest.raises(ValueError, match="called 'findings'"):
        studies.register(my_lab.Study("findings", "?", 1, my_lab.stages, my_lab.finish))
    data.register_task("strange", lambda: ["text"])
    data.register_task("empty", lambda: [])
    for name, words in (("strange", "gave 'text'; expected w2s_lab.Example"), ("empty", "gave nothing")):
        with pytest.raises(data.DataError, match=words):
            data.read_examples(name)


def test_a_registered_file_keeps_its_options(my_lab, folder, monkeypatch):
    rows = "".join(f"text {i},{i % 2},other\n" for i in range(50))
    (folder / "mine.csv").write_text("words,value,more\n" + rows)
    options = {"input_column": "words", "answer_column": "value", "answers": {"0": "no", "1": "yes"}}
    data.register_task("mine", "mine.csv", instruction="Well?", **options)
    monkeypatch.chdir("/")  # a path is that of the folder in which it was registered
    task, examples, _ = data.read_examples("mine")
    assert task == Task("mine", ("no", "yes")) and examples[1] == Example("Well?", "text 1", "yes")
    task, examples, _ = data.read_examples("mine", open_ended=True, instruction="Say.")
    assert task == Task("mine") and examples[1] == Example("Say.", "text 1", "1")


# -- the command line ------------------------------------------------------------------------------------------------


def call(capsys, *words: str) -> tuple[int, str, str]:
    try:
        status = commands.main(list(words))
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def test_what_a_module_registers_is_named(folder, capsys):
    status, out, _ = call(capsys, "study", "--help", "--import", "my_lab")
    assert status == 0 and ", short-inputs; findings" in " ".join(out.split())
    status, out, _ = call(capsys, "study", "--import=my_lab")
    assert status == 0 and "short-inputs    3 seeds   does it help to learn from short inputs?" in out
    status, _, err = call(capsys, "--import", "my_lab", "study", "short-input")
    assert status == 2 and err.endswith("Did you mean 'short-inputs'?\n") and "mechanism" in err
    status, _, err = call(capsys, "run", "--data", "wether", "--import", "my_lab")
    assert status == 2 and "helpdesk-v2" in err and ", weather)" in err and "Did you mean 'weather'?" in err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("my_lab.py", "", "my_lab.py: ModuleNotFoundError: "),
        (
            "none_such",
            "",
            "none_such: ModuleNotFoundError: No module named 'none_such'. Hint: expected",
        ),
        ("broken", "import w2s_lab\n1 / 0\n", "broken: ZeroDivisionError: division by zero ("),
        ("clash", "from w2s_lab import data\ndata.register_task('topic', 'x.csv')\n", "already a task 'topic'"),
    ],
)
def test_a_module_that_cannot_be_imported(name, text, said, folder, capsys):
    (folder / f"{name}.py").write_text(text) if text else None
    status, out, err = call(capsys, "study", "--import", name, "budget")
    assert (status, out) == (2, "") and err.startswith("w2s-lab: --import ") and said in err
    assert name != "broken" or "broken.py, line 2)" in err


def test_nothing_is_imported_that_is_not_named(folder, capsys):
    assert call(capsys, "study", "short-inputs")[0] == 2
    assert "my_lab" not in sys.modules


# -- the kit's own names ---------------------------------------------------------------------------------------------


def test_a_rule_that_lacks_something_says_what():
    with pytest.raises(ValueError, match=r"'confidence' needs probs; the set \(weak\) is without"):
        selection.RULES["confidence"](LABELS)
    with pytest.raises(ValueError, match=r"'small loss' needs student \(a model that has learnt the labels"):
        selection.scores(LABELS, ["small loss"])
    with pytest.raises(ValueError, match="no helper 'model'; expected one of supervisor"):
        selection.scores(LABELS, model=None)
    with pytest.raises(ValueError, match=r"gives scores of shape \(2,\); expected \(3,\)"):
        selection.Rule("mine", "Mine.", lambda labels: [1, 2])(LABELS)
    assert list(selection.scores(LABELS)) == []
    assert list(selection.scores(LABELS, seed=1, other=LABELS)) == ["chance", "agreement"]


@pytest.mark.parametrize("rule", selection.RULES.values(), ids=lambda rule: rule.name)
def test_every_rule_explains_itself(rule):
    assert rule.about.endswith(".") and rule.name in selection.BUILTIN
    assert set(rule.asks) <= set(methods.HELPERS) == set(selection.HELPERS)
    assert rule.half in methods.METHODS


def test_the_rules_are_the_functions(llama, closed_set, open_set):
    from w2s_lab.training.labelling import weak_labels

    labels = weak_labels(llama, closed_set)
    found = selection.scores(labels, supervisor=llama, student=llama, other=labels, seed=3)
    assert list(found) == [name for name in selection.BUILTIN if name != "likelihood per token"]
    np.testing.assert_array_equal(found["chance"], selection.random_scores(labels, seed=3))
    np.testing.assert_array_equal(found["margin"], selection.margin(labels))
    np.testing.assert_array_equal(found["IFD"], selection.superfilter(selection.ifd(llama, labels)))
    np.testing.assert_allclose(found["small loss"], found["likelihood"], rtol=1e-4, atol=1e-4)
    free = weak_labels(llama, open_set)
    per_token = selection.scores(free, supervisor=llama)["likelihood per token"]
    np.testing.assert_array_equal(per_token, selection.token_likelihood(llama, free))
