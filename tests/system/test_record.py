"""Every record becomes plain JSON values or a DataFrame, and prints itself in a few words."""

import json
import sys
from dataclasses import dataclass, is_dataclass, replace
from importlib import import_module

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import w2s_lab as w2s
from w2s_lab import metrics
from w2s_lab.experiments.report import summarise
from w2s_lab.methods import cascade, flywheel, mixing, probe, proposals
from w2s_lab.records import Comparison, Evaluation, Example, LabelledSet, Snapshot, Splits, Task, TokenTargets
from w2s_lab.system.record import LONGEST, Record, flat, json_value

TASK = Task("films", ("good", "bad"))
N = 120


def labelled(first: int, n: int = N, **fields) -> LabelledSet:
    examples = [Example("Is it good?", f"film {i} " + "so long " * 20, TASK.answers[i % 2]) for i in range(n)]
    examples = [replace(example, input=f"{first} {example.input}") for example in examples]
    return replace(LabelledSet.ground_truth(TASK, examples), **fields)


def records() -> list[Record]:
    probs = np.tile([0.7, 0.3], (N, 1))
    labels = labelled(
        0, answers=("good",) * N, probs=probs, log_prob=np.full(N, -np.inf), source="weak labels of a rule"
    )
    evaluation = w2s.score(labels, labels)
    right = w2s.score(labelled(0), labels)
    comparison = Comparison(evaluation, evaluation, right)
    snapshots = (Snapshot(0, 0, None, evaluation), Snapshot(9, 288, 0.25, right))
    outcome = w2s.Outcome(3, comparison, labels.label_accuracy, snapshots, (0.5, 0.75))
    measured = mixing.Measured(10, 20, 0.5)
    return [
        labels.examples[0],
        TASK,
        Task("open"),
        labels,
        Splits(*(labelled(i) for i in range(4))),
        evaluation,
        comparison,
        TokenTargets(np.ones((5, 3), dtype=int), np.ones((5, 3))),
        *snapshots,
        outcome,
        summarise([outcome, replace(outcome, seed=4)], validation_examples=4),
        w2s.Recipe(seed=np.int64(3)),
        w2s.Recipe(loss=w2s.SoftTargets(2.0), lora=w2s.LoRA()),
        w2s.LoRA(),
        w2s.Plan(adapt=w2s.Recipe()),
        evaluation.calibration,
        w2s.Plan(weak=lambda text: "good"),
        w2s.SplitSizes(1, 1, 1, 0),
        metrics.mean_interval([0.1, 0.2]),
        w2s.effects.paired_effect("soft", [0.5, 0.6, None], [0.4, 0.6, 0.1]),
        w2s.effects.slope([1, 2, 3], [1, 2, 2.5]),
        measured,
        mixing.Gain(0.1, 0.01, measured),
        cascade.CascadePoint(np.inf, 1.0, 2.0, 0.5),
        proposals.Kept((1, 2), 3),
        probe.Choice(1, 0.1, {(1, 0.1): 0.5}),
        flywheel.FlywheelRecipe(),
        flywheel.Round(1, evaluation, 3.5, labels, ("a",) * 400),
    ]


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_a_record_is_plain_values_a_frame_and_a_few_words(record):
    values = record.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert isinstance(record.to_pandas(), pandas.DataFrame) and len(record.to_pandas())
    assert len(repr(record)) <= LONGEST and "\n" not in repr(record) and repr(record).startswith(type(record).__name__)
    assert "array(" not in repr(record)


def test_every_record_that_users_get_is_one():
    named = {type(record) for record in records()}
    for module in (
        "records",
        "recipe",
        "metrics",
        "experiments.procedure",
        "experiments.report",
        "experiments.effects",
    ):
        found = import_module(f"w2s_lab.{module}")
        for name, kind in vars(found).items():
            if is_dataclass(kind) and isinstance(kind, type) and kind.__module__ == found.__name__:
                tried = kind in named or name in ("Bench", "Bin")
                assert (issubclass(kind, Record) and tried) or name == "Bench", f"{module}.{name}"


def test_without_pandas_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"Task.to_pandas needs the package pandas\. Hint: pip install pandas"):
        TASK.to_pandas()


def test_a_comparison_says_what_came_out():
    comparison = next(record for record in records() if isinstance(record, Comparison))
    assert repr(comparison) == (
        "Comparison(films: 120 test examples, accuracy of weak 0.500, student 0.500, ceiling 1.000, PGR 0.000)"
    )
    frame = comparison.to_pandas().set_index("model")
    assert frame.loc["ceiling", "accuracy"] == 1.0 and list(frame.index) == ["weak", "student", "ceiling"]


def test_the_frame_of_an_evaluation_has_a_row_an_item():
    evaluation = next(record for record in records() if isinstance(record, Evaluation))
    frame = evaluation.to_pandas()
    assert list(frame["id"]) == list(evaluation.ids) and frame["correct"].mean() == evaluation.accuracy
    assert frame["Pr(good)"].tolist() == [0.7] * N


def test_a_recipe_prints_what_differs_from_the_usual_one():
    assert repr(w2s.Recipe(epochs=1, seed=2)) == "Recipe(epochs=1, learning_rate=0.0003, seed=2)"
    assert repr(metrics.Interval(1 / 3, None, None, 1)) == "Interval(mean=0.3333, low=None, high=None, n=1)"


def test_models_benches_and_stores_print_themselves_in_short(llama, tmp_path):
    splits = Splits(*(labelled(i) for i in range(4)))
    bench = w2s.Bench(splits, w2s.Plan(), w2s.Store(tmp_path), 0)
    assert "tiny llama" in repr(llama) and "films" in repr(bench) and tmp_path.name[-9:] in repr(bench.store)
    assert all(len(repr(thing)) <= LONGEST for thing in (llama, bench, bench.store))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_plain_values_are_json_and_stay_as_they_are(value):
    once = json_value(value)
    assert json.loads(json.dumps(once, allow_nan=False)) == once == json_value(once)
    assert all(not isinstance(one, dict) or not one for one in flat({"a": once}).values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text()) | st.text() | st.dictionaries(st.text(), st.floats()))
def test_a_repr_is_short_whatever_is_in_it(value):
    @dataclass(frozen=True)
    class Thing(Record):
        value: object

    assert len(repr(Thing(value))) <= LONGEST


# -- rows of a labelled set ------------------------------------------------------------------------------------------


def test_a_labelled_set_is_read_pair_by_pair():
    labels = labelled(0, 6)
    assert list(labels) == list(zip(labels.examples, labels.answers, strict=True))
    assert labels[0] == labels[labels.ids[0]] == labels[np.int64(-6)] == (labels.examples[0], labels.answers[0])
    assert (labels.examples[1], "bad") in labels and dict(labels)[labels.examples[1]] == "bad"


@settings(max_examples=60, deadline=None)
@given(
    st.slices(6)
    | st.lists(st.integers(-6, 5), unique_by=lambda i: i % 6)
    | st.lists(st.booleans(), min_size=6, max_size=6)
)
def test_a_part_of_a_labelled_set_is_one(key):
    labels = labelled(0, 6, log_prob=np.arange(6.0))
    rows = np.arange(6)[slice(0, 0) if key == [] else key]
    part = labels[key]
    assert part.ids == tuple(labels.ids[row] for row in rows) and part.log_prob.tolist() == rows.tolist()


@pytest.mark.parametrize(("key", "error", "words"), [
    (6, IndexError, "there is no row 6; it has 6 rows"),
    ("abc", KeyError, "there is no example with the id 'abc'"),
    (None, TypeError, "expected a row number, an example's id, a slice"),
    (1.5, TypeError, "1.5"),
    (True, TypeError, "expected a row number"),
    ([True, False], IndexError, "a mask of 2 booleans for 6 rows"),
    (["a"], TypeError, "list of row numbers"),
])  # fmt: skip
def test_a_row_that_is_not_there_is_named(key, error, words):
    with pytest.raises(error, match=words):
        labelled(0, 6)[key]
