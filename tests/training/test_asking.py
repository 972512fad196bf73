"""A model is asked in one call; a network of transformers is a start and stays as it is; `train` shows a bar."""

import copy
import inspect
import json
import re
import sys
from functools import partial

import pytest
import torch
from conftest import in_transformers
from transformers import LlamaConfig, LlamaModel

import w2s_lab as w2s
from w2s_lab.records import Example, Snapshot
from w2s_lab.training import bar

RECIPE = w2s.Recipe(epochs=1, max_tokens=100)


@pytest.fixture(scope="module")
def trained(llama, closed_set):
    return w2s.train(llama, closed_set, RECIPE, watch=closed_set)


def test_an_answer_is_that_of_the_labels(trained, closed_set):
    labels = w2s.weak_labels(trained, closed_set)
    texts = [example.input for example in closed_set.examples]
    assert w2s.answer(trained, texts) == list(labels.answers)
    assert w2s.answer(trained, texts[3]) == labels.answers[3]
    probs = w2s.answer(trained, texts[3], probs=True)
    assert list(probs.values()) == sorted(probs.values(), reverse=True) and next(iter(probs)) == labels.answers[3]
    assert probs == pytest.approx(dict(zip(closed_set.task.answers, labels.probs[3], strict=True)), abs=1e-5)


def test_texts_may_repeat_and_be_none(trained):
    one, other = w2s.answer(trained, "a film"), w2s.answer(trained, "two")
    assert w2s.answer(trained, (text for text in ("a film", "two", "a film"))) == [one, other, one]
    assert w2s.answer(trained, []) == [] and w2s.answer(trained, [], probs=True) == []


def test_a_saved_model_remembers_what_it_was_asked(trained, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    w2s.save_model(trained, "~/mine")
    again = w2s.load_model("~/mine")
    assert (again.task, again.instruction, again.max_tokens) == (trained.task, trained.instruction, 100)
    assert w2s.answer("~/mine", "a film") == w2s.answer(tmp_path / "mine", "a film") == w2s.answer(trained, "a film")
    (tmp_path / "mine" / "w2s_lab.json").write_text('{"task": 3}')
    with pytest.raises(ValueError, match=r"w2s_lab.json cannot be read.*delete it"):
        w2s.load_model("~/mine")
    (tmp_path / "mine" / "w2s_lab.json").unlink()
    assert w2s.load_model("~/mine").task is None


def test_the_store_remembers_it_too(llama, closed_set, tmp_path):
    for _ in range(2):
        model = w2s.Store(tmp_path).train(llama, closed_set, RECIPE, role="weak supervisor")
        assert model.task == closed_set.task and w2s.answer(model, "a film") in closed_set.task.answers


def test_another_question_may_be_asked(trained, llama):
    assert w2s.answer(trained, "a film", answers=["yes", "no"]) in ("yes", "no")
    free = w2s.answer(trained, "a film", open_ended=True, probs=True)
    assert len(free) == 1 and 0 <= next(iter(free.values())) <= 1
    assert w2s.answer(llama, "a film") == w2s.answer(llama, "a film", instruction="", open_ended=True)
    example = Example("Which?", "a film", "yes")
    labels = w2s.LabelledSet(w2s.Task("t", ("yes", "no")), (example,), ("yes",))
    expected = w2s.weak_labels(trained, labels).answers[0]
    assert w2s.answer(trained, "a film", instruction="Which?", answers=("yes", "no")) == expected


def test_a_folder_that_is_written_again_forgets_what_its_old_model_was_asked(trained, llama, tmp_path):
    w2s.save_model(trained, tmp_path)
    assert w2s.load_model(tmp_path).task == trained.task
    w2s.save_model(llama, tmp_path)
    found = w2s.load_model(tmp_path)
    assert found.digest == llama.digest and found.task is None and found.instruction is None


def test_a_list_of_one_answer_is_refused(trained):
    for wrong in (["yes"], [], ["yes", "yes"]):
        with pytest.raises(ValueError, match="expected two different ones"):
            w2s.answer(trained, "a film", answers=wrong)
    with pytest.raises(ValueError, match="with open_ended"):
        w2s.answer(trained, "a film", answers=["yes", "no"], open_ended=True)


# -- a network of transformers as a start ----------------------------------------------------------------------------


def test_a_pair_is_a_model_and_stays_as_it_is(llama, closed_set):
    network, tokenizer = copy.deepcopy(in_transformers(llama.network)), llama.tokenizer
    network.requires_grad_(False)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    model = w2s.load_model((network, tokenizer), name="mine")
    assert model.digest == llama.digest and model.name == "mine"
    assert w2s.weak_labels(model, closed_set).answers == w2s.weak_labels(llama, closed_set).answers
    student = w2s.train((network, tokenizer), closed_set, RECIPE)
    assert student.digest != model.digest
    assert network.training and not any(p.requires_grad for p in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_half_precision_becomes_float32(llama):
    network = copy.deepcopy(in_transformers(llama.network)).to(torch.bfloat16)
    assert next(w2s.load_model((network, llama.tokenizer)).network.parameters()).dtype == torch.float32
    assert network.dtype == torch.bfloat16


def test_a_pair_serves_in_a_plan(llama, closed_set, tmp_path):
    parts = [closed_set.take(range(start, start + 12)) for start in (0, 12, 24, 36)]
    pair = (in_transformers(llama.network), llama.tokenizer)
    plan = w2s.Plan(weak=pair, strong=llama, weak_recipe=RECIPE, recipe=RECIPE)
    outcome = w2s.weak_to_strong(w2s.Splits(*parts), plan, w2s.Store(tmp_path), seed=0)
    assert len(outcome.comparison.student) == 12 and plan.to_dict()["strong"] == "tiny llama"
    assert json.loads(json.dumps(plan.to_dict())) == plan.to_dict() and len(repr(plan)) <= 300


def test_what_is_no_causal_model_is_refused(llama, tokenizer):
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    with pytest.raises(ValueError, match="a LlamaModel does not predict the next token"):
        w2s.load_model((LlamaModel(config), tokenizer))
    with torch.device("meta"):
        empty = type(llama.network)(llama.network.config)
    with pytest.raises(ValueError, match="not in memory"):
        w2s.load_model((empty, tokenizer))
    with pytest.raises(TypeError, match="expected a text, a Path, a LanguageModel or a pair"):
        w2s.load_model((tokenizer, llama.network))


def test_a_loaded_model_is_returned_as_it_is(llama):
    assert w2s.load_model(llama) is llama and w2s.load_model(llama, name="other").network is llama.network


# -- the bar ---------------------------------------------------------------------------------------------------------


class Terminal:
    """What a bar writes to a terminal."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def shown(monkeypatch, llama, closed_set, **options) -> str:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(bar, "SECONDS", 0.0)
    w2s.train(llama, closed_set, RECIPE, watch=closed_set, **options)
    return terminal.text


def test_a_terminal_shows_steps_and_accuracy(monkeypatch, llama, closed_set):
    text = shown(monkeypatch, llama, closed_set)
    assert "training tiny llama" in text and "step 2/2" in text and "accuracy=" in text and "100%" in text


def test_the_time_left_counts_what_snapshots_take(monkeypatch, llama, closed_set):
    """Two steps of 3 passes over a batch, two snapshots of one: the untrained model's ends at its share of it all."""
    monkeypatch.setattr(bar, "Bar", partial(bar.Bar, mininterval=0))
    text = shown(monkeypatch, llama, closed_set, progress=True)
    rows, batch = len(closed_set), min(RECIPE.batch_size, len(closed_set))
    total = 2 * 3 * batch + 2 * rows
    shares = [int(share) for share in re.findall(r"step 0/2[^:]*: +(\d+)%", text)]
    assert shares == sorted(shares) and round(100 * rows / total) in shares
    assert f"step 1/2: {round(100 * (rows + 3 * batch) / total):3}%" in text


def test_a_bar_is_not_shown_where_it_is_not_wanted(monkeypatch, llama, closed_set):
    steps = []
    assert shown(monkeypatch, llama, closed_set, progress=False) == ""
    assert shown(monkeypatch, llama, closed_set, on_step=lambda *now: steps.append(now)) == "" and steps == [
        (1, 2),
        (2, 2),
    ]
    assert "2/2" in shown(monkeypatch, llama, closed_set, on_step=lambda *now: steps.append(now), progress=True)
    assert len(steps) == 4


def test_an_empty_set_is_said_beneath_a_bar_too(monkeypatch, llama, closed_set):
    with pytest.raises(ValueError, match="the labelled set is empty"):
        shown(monkeypatch, llama, closed_set.take([]), progress=True)


def test_a_file_gets_no_bar_unless_asked(capfd, llama, closed_set):
    w2s.train(llama, closed_set, RECIPE)
    assert capfd.readouterr().err == ""
    w2s.train(llama, closed_set, RECIPE, progress=True)
    assert "2/2" in capfd.readouterr().err


def test_a_snapshot_stays_as_it_is():
    snapshot = Snapshot(0, 0, None)
    assert bar.TrainingBar().measured(snapshot) is snapshot


def test_the_signature_shows_every_option():
    own, inner = inspect.signature(w2s.train).parameters, inspect.signature(w2s.training_steps).parameters
    assert set(inner) - {"model"} < set(own) and "options" not in own and {"device", "progress"} < set(own)
