"""Finished work is done once, kept whole, and never mistaken for other work."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import forked

from w2s_lab.experiments import store as store_module
from w2s_lab.experiments.store import Store
from w2s_lab.models import language_model
from w2s_lab.models.loading import save_model
from w2s_lab.objective import SoftTargets
from w2s_lab.recipe import Recipe
from w2s_lab.records import Example, LabelledSet
from w2s_lab.training.labelling import weak_labels
from w2s_lab.training.loop import train, training_key, training_steps

RECIPE = Recipe(epochs=1, batch_size=8, learning_rate=1e-3, eval_every=2)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """What the store had to do itself, in order."""
    done = []
    for name in ("train", "weak_labels"):
        real = getattr(store_module, name)
        monkeypatch.setattr(
            store_module,
            name,
            lambda *args, _name=name, _real=real, **options: done.append(_name) or _real(*args, **options),
        )
    return done


@pytest.fixture(scope="module")
def train_set(closed_set) -> LabelledSet:
    return closed_set.take(range(16))


@pytest.fixture(scope="module")
def watch_set(closed_set) -> LabelledSet:
    return closed_set.take(range(30, 40))


def weights(model) -> dict[str, torch.Tensor]:
    return model.network.state_dict()


def assert_same_model(a, b) -> None:
    assert a.digest == b.digest
    assert weights(a).keys() == weights(b).keys()
    assert all(torch.equal(weights(a)[name], weights(b)[name]) for name in weights(a))
    assert len(a.history) == len(b.history) > 0
    for first, second in zip(a.history, b.history, strict=True):
        assert replace(first, evaluation=None) == replace(second, evaluation=None)
        assert (first.evaluation is None) == (second.evaluation is None)
        if first.evaluation is not None:
            for name in ("task", "ids", "predictions", "truth", "reference", "tags"):
                assert getattr(first.evaluation, name) == getattr(second.evaluation, name), name
            assert_same_array(first.evaluation.probs, second.evaluation.probs)


def assert_same_array(a, b) -> None:
    assert (a is None) == (b is None)
    if a is not None:
        assert a.dtype == b.dtype and np.array_equal(a, b)


def assert_same_labels(a: LabelledSet, b: LabelledSet) -> None:
    assert (a.task, a.examples, a.answers, a.source) == (b.task, b.examples, b.answers, b.source)
    assert_same_array(a.probs, b.probs)
    assert_same_array(a.log_prob, b.log_prob)
    assert a.digest == b.digest


# -- once ------------------------------------------------------------------------------------------------------------


def test_a_training_is_done_once(store, llama, train_set, watch_set, calls):
    reference = weak_labels(llama, watch_set)
    options = {"watch": watch_set, "reference": reference}
    first = store.train(llama, train_set, RECIPE, role="student", **options)
    second = store.train(llama, train_set, RECIPE, role="student", **options)
    assert calls == ["train"]
    assert_same_model(first, second)
    assert_same_model(first, train(llama, train_set, RECIPE, **options))
    assert first.name == second.name == "tiny llama (student)"
    assert first.history[-1].evaluation.agreement is not None
    assert not torch.equal(weights(first)["lm_head.weight"], weights(llama)["lm_head.weight"])


def test_a_training_that_nobody_watched(store, llama, train_set, calls):
    first, second = (store.train(llama, train_set, RECIPE, role="ceiling") for _ in range(2))
    assert calls == ["train"]
    assert_same_model(first, second)
    assert_same_model(first, train(llama, train_set, RECIPE))
    assert [snapshot.evaluation for snapshot in first.history] == [None, None]


def test_an_open_task(store, llama, open_set, calls):
    recipe = replace(RECIPE, eval_every=None)
    first, second = (store.train(llama, open_set, recipe, role="student", watch=open_set) for _ in range(2))
    assert calls == ["train"]
    assert_same_model(first, second)
    assert_same_model(first, train(llama, open_set, recipe, watch=open_set))


def test_a_trained_model_can_be_trained_on(store, llama, train_set, watch_set):
    """The loaded model is a start as good as the one in memory: same digest, same result."""
    stored = store.train(store.train(llama, train_set, RECIPE, role="a"), watch_set, RECIPE, role="b")
    assert_same_model(stored, train(train(llama, train_set, RECIPE), watch_set, RECIPE))


@pytest.mark.parametrize("kind", ["closed", "open"])
def test_labels_are_made_once(kind, store, llama, closed_set, open_set, calls):
    inputs = closed_set if kind == "closed" else open_set
    first, second = store.labels(llama, inputs), store.labels(llama, inputs)
    assert calls == ["weak_labels"]
    assert_same_labels(first, second)
    assert_same_labels(first, weak_labels(llama, inputs))
    assert (first.probs is None) == (kind == "open")


def test_labels_do_not_depend_on_the_answers_at_hand(store, llama, closed_set, calls):
    other = replace(closed_set, answers=tuple(reversed(closed_set.answers)))
    assert_same_labels(store.labels(llama, closed_set), store.labels(llama, other))
    assert calls == ["weak_labels"]


# -- never mixed -----------------------------------------------------------------------------------------------------


def test_any_change_is_another_training(store, llama, gpt2, train_set, closed_set, calls):
    flipped = replace(train_set, answers=(train_set.answers[1], *train_set.answers[1:]))
    assert flipped.answers != train_set.answers
    labelled = weak_labels(llama, train_set)
    cases = {
        "base": (llama, train_set, RECIPE),
        "model": (gpt2, train_set, RECIPE),
        "one answer": (llama, flipped, RECIPE),
        "one example fewer": (llama, train_set.take(range(15)), RECIPE),
        "the order": (llama, train_set.take(range(15, -1, -1)), RECIPE),
        "weak labels": (llama, labelled, RECIPE),
        "probabilities": (llama, replace(labelled, probs=labelled.probs[:, ::-1]), RECIPE),
        "the task": (llama, replace(train_set, task=replace(train_set.task, name="other")), RECIPE),
        "seed": (llama, train_set, replace(RECIPE, seed=1)),
        "learning rate": (llama, train_set, replace(RECIPE, learning_rate=2e-3)),
        "grid": (llama, train_set, replace(RECIPE, eval_every=1)),
        "loss": (llama, labelled, replace(RECIPE, loss=SoftTargets())),
        "its option": (llama, labelled, replace(RECIPE, loss=SoftTargets(temperature=0.5))),
    }
    digests = {name: store.train(*case, role="student").digest for name, case in cases.items()}
    assert len(set(digests.values())) == len(cases) == len(calls) == len(store.runs()), digests
    store.train(*cases["seed"], role="student")
    assert len(calls) == len(cases)


def test_a_model_that_was_trained_in_place_is_another_one(store, llama, train_set, watch_set):
    """The open loop changes the model that it is given: what is stored of the start is not what it says now."""
    model = llama.copy()
    start, first = model.digest, store.labels(model, watch_set)
    steps = training_steps(model, train_set, RECIPE)
    assert next(steps).step == 0 and model.digest == start
    digests = {start, *(model.digest for _ in steps)}
    assert len(digests) == 2  # the two steps of a pass are one snapshot
    second = store.labels(model, watch_set)
    assert (second.log_prob == weak_labels(model, watch_set).log_prob).all()
    assert (second.log_prob != first.log_prob).all()
    assert training_key(model, train_set, RECIPE) != training_key(llama, train_set, RECIPE)


def test_another_version_is_another_training(store, llama, train_set, monkeypatch, calls):
    for version in ("0.1.0", "0.2.0"):
        monkeypatch.setattr("w2s_lab.training.loop.__version__", version)
        monkeypatch.setattr("w2s_lab.experiments.store.__version__", version)
        store.train(llama, train_set, RECIPE, role="student")
        store.labels(llama, train_set)
    assert calls == ["train", "weak_labels"] * 2


def test_watch_sets_do_not_mix(store, llama, train_set, watch_set, closed_set, calls):
    other = closed_set.take(range(20, 26))
    reference = weak_labels(llama, watch_set)
    wrong = replace(reference, answers=tuple(reversed(reference.answers)))
    cases = [{}, {"watch": watch_set}, {"watch": other}, {"watch": watch_set, "reference": reference}]
    cases.append({"watch": watch_set, "reference": wrong})
    for _ in range(2):
        for options in cases:
            model = store.train(llama, train_set, RECIPE, role="student", **options)
            evaluation = model.history[-1].evaluation
            assert (evaluation and evaluation.ids) == (options["watch"].ids if options else None)
            expected = options["reference"].answers if "reference" in options else None
            assert evaluation is None or evaluation.reference == expected
    assert calls == ["train"] * len(cases)


def test_labels_of_other_models_inputs_and_searches_do_not_mix(store, llama, gpt2, open_set, closed_set, calls):
    for _ in range(2):
        for model in (llama, gpt2):
            for inputs in (open_set, open_set.take(range(5)), closed_set):
                assert store.labels(model, inputs).ids == inputs.ids
        assert_same_labels(store.labels(llama, open_set, beams=3), weak_labels(llama, open_set, beams=3))
    assert calls == ["weak_labels"] * 7


def test_the_same_inputs_with_another_list_of_answers(store, llama, closed_set, calls):
    examples = [Example(e.instruction, e.input, "good") for e in closed_set.examples]
    other = LabelledSet.ground_truth(replace(closed_set.task, answers=("good", "bad")), examples)
    assert other.ids == closed_set.ids
    assert set(store.labels(llama, closed_set).answers) <= set(closed_set.task.answers)
    assert set(store.labels(llama, other).answers) <= {"good", "bad"}
    assert len(calls) == 2


# -- kept whole ------------------------------------------------------------------------------------------------------


def only_folder(store: Store) -> Path:
    (folder,) = (store.root / "trainings").iterdir()
    return folder


@pytest.mark.parametrize("weights_too", [True, False])
def test_a_folder_without_its_last_file_is_replaced(weights_too, store, llama, train_set, calls):
    first = store.train(llama, train_set, RECIPE, role="student")
    folder = only_folder(store)
    (folder / "run.json").unlink()
    if weights_too:
        (folder / "model.safetensors").unlink()  # a new file: `first` may still read its weights from the old one
        (folder / "model.safetensors").write_bytes(b"half")
    assert store.runs() == []
    with pytest.warns(UserWarning, match="damaged; this training is done again"):
        assert_same_model(store.train(llama, train_set, RECIPE, role="student"), first)
    assert calls == ["train", "train"]
    assert only_folder(store) == folder and (folder / "run.json").is_file()


@pytest.mark.parametrize("name", ["run.json", "curve.json", "model.safetensors"])
def test_what_was_altered_is_not_believed(name, store, llama, train_set, calls):
    """One digit more or less, so that the file is still one of its kind."""
    first = store.train(llama, train_set, RECIPE, role="student")
    path = only_folder(store) / name
    content = path.read_bytes()
    at = content.rindex(b"16") if name == "run.json" else len(content) - 3  # of 16 examples, one more or less
    path.unlink()  # a new file: `first` may still read its weights from the old one
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    if name == "run.json":
        assert json.loads(path.read_text()) != json.loads(content)
        with pytest.warns(UserWarning, match="is damaged; the same command does this training again"):
            assert store.runs() == []
    with pytest.warns(UserWarning, match="is damaged; this training is done again"):
        assert_same_model(store.train(llama, train_set, RECIPE, role="student"), first)
    assert calls == ["train", "train"]


def test_altered_labels_are_not_believed(store, llama, closed_set, calls):
    first = store.labels(llama, closed_set)
    (path,) = (store.root / "labels").iterdir()
    row = json.loads(path.read_text())
    row["answers"][0] = next(answer for answer in closed_set.task.answers if answer != row["answers"][0])
    path.write_text(json.dumps(row))
    with pytest.warns(UserWarning, match="is damaged; these labels are made again"):
        assert_same_labels(store.labels(llama, closed_set), first)
    assert calls == ["weak_labels"] * 2


@pytest.mark.parametrize("keep", [0, 1, 0.5])
def test_a_truncated_file_of_labels_is_made_anew(keep, store, llama, closed_set, calls):
    first = store.labels(llama, closed_set)
    (path,) = (store.root / "labels").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.warns(UserWarning, match="damaged; these labels are made again"):
        assert_same_labels(store.labels(llama, closed_set), first)
    assert path.read_bytes() == content
    assert calls == ["weak_labels"] * 2


@pytest.mark.parametrize("where", ["train", "save_model", "json"])
def test_an_exception_leaves_nothing_behind(where, store, llama, train_set, monkeypatch):
    def fail(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if where == "json":
            patch.setattr(store_module, "snapshot_to_json", fail)
        else:
            patch.setattr(store_module, where, fail)
        with pytest.raises(KeyboardInterrupt):
            store.train(llama, train_set, RECIPE, role="student")
    assert list((store.root / "trainings").iterdir()) == [] == store.runs()
    assert_same_model(store.train(llama, train_set, RECIPE, role="student"), train(llama, train_set, RECIPE))


def test_failed_labels_leave_nothing_behind(store, llama, closed_set, monkeypatch):
    def fail(*args):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store_module.os, "replace", fail)
        with pytest.raises(OSError, match="No space left"):
            store.labels(llama, closed_set)
    assert list((store.root / "labels").iterdir()) == []


def test_a_killed_run_is_not_listed(store, llama, train_set):
    """Killed after `run.json` was written and before the folder was moved into place."""
    store.train(llama, train_set, RECIPE, role="student")
    folder = only_folder(store)
    folder.rename(folder.with_name(".new-abc"))
    assert store.runs() == []


def test_a_store_that_cannot_be_written_is_said_before_the_work(tmp_path, llama, train_set, calls):
    (tmp_path / "runs").write_text("a file")
    store = Store(tmp_path / "runs")
    for work in (
        lambda: store.train(llama, train_set, RECIPE, role="student"),
        lambda: store.labels(llama, train_set),
    ):
        with pytest.raises(OSError, match="runs"):
            work()
    assert calls == []


def test_runs_lists_facts_for_people(store, llama, train_set, watch_set):
    assert store.runs() == []
    store.train(llama, train_set, RECIPE, role="weak supervisor")
    labels = weak_labels(llama, train_set)
    store.train(llama, labels, replace(RECIPE, seed=4), role="strong student")
    first, second = store.runs()
    assert (first["role"], first["start"], first["task"]) == ("weak supervisor", "tiny llama", "reviews")
    assert (first["labels"], first["label_accuracy"], first["examples"]) == ("ground truth", 1.0, 16)
    assert (second["labels"], second["label_accuracy"]) == ("weak labels of tiny llama", labels.label_accuracy)
    assert second["recipe"] == replace(RECIPE, seed=4).to_dict()
    assert Path(second["folder"], "model.safetensors").is_file()


# -- two at a time ---------------------------------------------------------------------------------------------------

WORK = """
import sys
import warnings
from pathlib import Path
from w2s_lab.data.sources import read_examples
from w2s_lab.models.loading import load_model
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.experiments.store import Store

warnings.simplefilter("ignore")
model, runs = load_model(sys.argv[1], device="cpu"), Store(sys.argv[2])
task, examples, _ = read_examples("sentiment")
inputs = LabelledSet.ground_truth(task, examples[:16])
print("ready", flush=True)
sys.stdin.readline()
for seed in range(4):
    recipe = Recipe(epochs=1, batch_size=8, seed=seed)
    trained = runs.train(model, inputs, recipe, role="student", watch=inputs)
    print(trained.history[-1].train_loss, runs.labels(trained, inputs).log_prob.sum())
"""


@pytest.mark.slow
def test_two_processes_may_share_a_store(tmp_path, llama):
    save_model(llama, tmp_path / "model")
    command = [forked(), "-c", WORK, str(tmp_path / "model"), str(tmp_path / "runs")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:  # both start at the same moment
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    assert printed[0] == printed[1] and len(printed[0][0].splitlines()) == 4
    assert len(Store(tmp_path / "runs").runs()) == 4
    assert not [path for path in (tmp_path / "runs").rglob(".new-*")]


def fill(folder: Path, text: str) -> None:
    (folder / "weights").write_text(text)
    (folder / "run.json").write_text(json.dumps(text))


def test_the_slower_of_two_keeps_the_result_of_the_faster(tmp_path):
    folder = tmp_path / "trainings" / "key"
    with store_module._moved_into_place(folder) as slow:
        fill(slow, "slow")
        with store_module._moved_into_place(folder) as fast:
            fill(fast, "fast")
        before = (folder / "weights").stat().st_ino
    assert (folder / "weights").read_text() == "fast" and (folder / "weights").stat().st_ino == before
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("half_written_first", [False, True])
def test_the_faster_may_finish_at_the_last_moment(half_written_first, tmp_path, monkeypatch):
    """Between the look whether a result is there and the move: the finished result is neither removed nor an error."""
    folder, real, moves = tmp_path / "trainings" / "key", store_module.os.replace, []
    if half_written_first:
        folder.mkdir(parents=True)
        (folder / "weights").write_text("half")

    def replace_late(new, target):
        moves.append(new)
        if len(moves) == 1:
            with store_module._moved_into_place(folder) as fast:
                fill(fast, "fast")
        real(new, target)

    monkeypatch.setattr(store_module.os, "replace", replace_late)
    with store_module._moved_into_place(folder) as slow:
        fill(slow, "slow")
    assert (folder / "weights").read_text() == "fast"
    assert list(folder.parent.iterdir()) == [folder]


# -- features --------------------------------------------------------------------------------------------------------


@pytest.fixture
def read(monkeypatch) -> list[tuple[int, ...]]:
    """The layers that the store had to compute itself, call by call."""
    done, real = [], store_module.probe.features_of_layers

    def counted(model, inputs, layers, **options):
        done.append(tuple(layers))
        return real(model, inputs, layers, **options)

    monkeypatch.setattr(store_module.probe, "features_of_layers", counted)
    return done


def test_features_are_computed_once_layer_by_layer(store, llama, closed_set, read):
    first = store.features_of_layers(llama, closed_set, [1, 0])
    np.testing.assert_array_equal(store.features(llama, closed_set, layer=0, pool="mean"), first[:, 1])
    again = store.features_of_layers(llama, closed_set, [0, llama.layers, 1])
    np.testing.assert_array_equal(again[:, [2, 0]], first)
    assert read == [(1, 0), (llama.layers,)]
    np.testing.assert_array_equal(Store(store.root).features_of_layers(llama, closed_set, [1, 0]), first)
    assert len(read) == 2
    last = store.features(llama, closed_set)
    np.testing.assert_allclose(last, store_module.probe.features(llama, closed_set), atol=1e-5)


def test_work_in_another_precision_is_other_work(store, calls, llama, train_set, watch_set, monkeypatch):
    """Where "auto" means bfloat16, nothing that was done in float32 is taken from the store, nor the reverse."""
    monkeypatch.setattr(language_model, "BFLOAT16_PAYS", 0)
    found = {}
    for able in (False, True, False, True):
        monkeypatch.setattr(language_model, "_instructions", lambda able=able: {"avx512_bf16"} if able else set())
        model = store.train(llama, train_set, RECIPE, role="strong student", device="cpu")
        labels = store.labels(model, watch_set)
        known = found.setdefault(able, (model.digest, labels.probs))
        assert model.digest == known[0] and np.array_equal(labels.probs, known[1])
    assert found[False][0] != found[True][0] and len(calls) == 4
    named = replace(RECIPE, precision="bfloat16")  # by its name it is the same work
    monkeypatch.setattr(language_model, "_instructions", lambda: set())
    assert store.train(llama, train_set, named, role="strong student").digest == found[True][0] and len(calls) == 4


def test_features_of_other_models_inputs_and_pools_do_not_mix(store, llama, gpt2, closed_set, read):
    store.features(llama, closed_set, layer=1, pool="mean")
    for model, inputs, options in (
        (gpt2, closed_set, {"layer": 1, "pool": "mean"}),
        (llama, closed_set.take(range(5)), {"layer": 1, "pool": "mean"}),
        (llama, closed_set.take([1, 0]), {"layer": 1, "pool": "mean"}),
        (llama, closed_set, {"layer": 1, "pool": "last"}),
        (replace(llama, precision="bfloat16"), closed_set, {"layer": 1, "pool": "mean"}),
        (replace(llama, max_tokens=20), closed_set, {"layer": 1, "pool": "mean"}),
    ):
        before = len(read)
        found = store.features(model, inputs, **options)
        assert len(read) == before + 1 and found.shape == (len(inputs), 32)


@pytest.mark.parametrize("damage", ["cut", "altered", "other", "empty"])
def test_damaged_features_are_computed_anew(damage, store, llama, closed_set, read):
    found = store.features(llama, closed_set, layer=1)
    (path,) = store.root.glob("features/*")
    content = path.read_bytes()
    other = {
        "cut": content[:-7],
        "altered": content[:-1] + bytes([content[-1] ^ 1]),
        "other": b"not a table",
        "empty": b"",
    }
    path.write_bytes(other[damage])
    with pytest.warns(UserWarning, match=f"{path.name} is damaged; these features are computed again"):
        np.testing.assert_allclose(store.features(llama, closed_set, layer=1), found, atol=1e-6)
    assert len(read) == 2 and path.read_bytes() == content
