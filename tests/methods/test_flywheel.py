"""The flywheel: bookkeeping on scripted proposals, parts against plain loops, and a whole turn of tiny models."""

import json
import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from w2s_lab.data.sources import read_examples
from w2s_lab.data.world import World
from w2s_lab.methods import flywheel as wheel
from w2s_lab.methods import proposals
from w2s_lab.methods.flywheel import FlywheelRecipe, flywheel
from w2s_lab.recipe import Recipe
from w2s_lab.records import Example, LabelledSet, Splits, Task

TASK = Task("fruit", ("good", "bad"))
ASK = "Is it good or bad?"


def parse(text: str) -> Example | None:
    """An input is a fruit behind "good" or "bad", which is its truth."""
    truth, _, fruit = text.partition(" ")
    return Example("", text, truth, (fruit[0],)) if truth in TASK.answers and fruit.isalpha() else None


def truths(*texts: str) -> LabelledSet:
    return LabelledSet.ground_truth(TASK, [replace(parse(text), instruction=ASK) for text in texts])


SEED_POOL, TEST = truths("good plum", "bad pear"), truths("good kiwi", "bad fig", "good melon")
WORLD = World(parse, ())


class Lab:
    """Stands for the models: what was trained on what, by whom something was labelled, what is proposed next."""

    def __init__(self, monkeypatch, *scripts: list[str]):
        self.trained, self.adapted, self.labelled, self.sampled = [], [], [], []
        self.scripts = iter(scripts)
        monkeypatch.setattr(proposals, "sample_texts", self.sample)

    def sample(self, model, count, *, accepts, temperature, seed):
        self.sampled.append((model, temperature, seed))
        texts = next(self.scripts)
        assert count == len(texts)
        return texts

    def fine_tune(self, start, labelled, recipe):
        self.trained.append((start, labelled))
        return f"student {len(self.trained) - 1}"

    def adapt(self, start, labelled, recipe):
        self.adapted.append((start, labelled))
        return f"generator {len(self.adapted)}"

    def label(self, model, inputs):
        """The truth, but for lemons; unsure about limes; nonsense is good."""
        self.labelled.append((model, inputs))
        right = [example.input.partition(" ")[0] for example in inputs.examples]
        answers = ["bad" if word == "bad" else "good" for word in right]
        for row, example in enumerate(inputs.examples):
            answers[row] = "bad" if "lemon" in example.input else answers[row]
        sure = np.array([0.6 if "lime" in example.input else 0.9 for example in inputs.examples])
        probs = np.array([[p, 1 - p] if a == "good" else [1 - p, p] for a, p in zip(answers, sure, strict=True)])
        return replace(inputs, answers=tuple(answers), probs=probs, source=f"labels of {model}")

    def turn(self, recipe: FlywheelRecipe, **options) -> list[wheel.Round]:
        roles = {"fine_tune": self.fine_tune, "adapt": self.adapt, "label": self.label, "seed": 3, **options}
        return list(flywheel("generator", "supervisor", "start", SEED_POOL, TEST, WORLD, recipe, **roles))


SCRIPT = [
    "good lemon",
    "bad apple",
    "a fish",  # no input of the task
    "good kiwi",  # in the test set
    "good plum",  # in the pool
    "bad apple",  # repeated
    "good lime",  # unsure
    "good peach",
    "good cherry",
    "good date",
]
STRICT = FlywheelRecipe(rounds=1, proposals=10, duplicates=0.9, min_confidence=0.8, balanced=True)
LOOSE = FlywheelRecipe(rounds=1, proposals=10, duplicates=None, valid=False, keep_seed=False)


def inputs(labelled: LabelledSet) -> list[str]:
    return [example.input for example in labelled.examples]


def test_a_round_counted_by_hand(monkeypatch):
    lab = Lab(monkeypatch, SCRIPT)
    start, turned = lab.turn(STRICT)
    assert (start.number, start.proposed, start.accepted, start.removed, start.answer_shares) == (0, (), None, {}, {})
    assert start.pool is SEED_POOL and start.accepted_count == 0
    # left before the last filter: good lemon (labelled bad), bad apple, good peach, good cherry, good date
    assert turned.removed == {
        "test input": 1,
        "invalid": 1,
        "repeated": 2,
        "near duplicate": 0,
        "unsure": 1,
        "out of balance": 1,
    }
    assert inputs(turned.accepted) == ["good lemon", "bad apple", "good peach", "good cherry"]
    assert turned.accepted.answers == ("bad", "bad", "good", "good") and turned.accepted.weight is None
    assert inputs(turned.pool) == ["good plum", "bad pear", *inputs(turned.accepted)]
    assert turned.label_accuracy == 3 / 4 and turned.answer_shares == {"good": 0.5, "bad": 0.5}
    assert turned.fraction_valid == 9 / 10 and turned.duplicate_rate == pytest.approx(1 / 10)
    numbers = turned.to_dict()
    assert numbers["distinct_1"] == proposals.distinct(SCRIPT, 1) == 12 / 20
    assert numbers["distinct_2"] == 9 / 10
    assert (numbers["proposed"], numbers["accepted"], numbers["pool"]) == (10, 4, 6)
    assert numbers["accuracy"] == 1 and numbers["slices"] == {"f": 1.0, "k": 1.0, "m": 1.0}
    assert numbers["perplexity"] is None
    assert [labelled for _, labelled in lab.trained] == [SEED_POOL, turned.pool] and not lab.adapted
    assert {example.instruction for example in turned.pool.examples} == {ASK}


def test_without_filters_repeats_count_and_nonsense_stays(monkeypatch):
    lab = Lab(monkeypatch, SCRIPT)
    _, turned = lab.turn(LOOSE)
    assert turned.removed == {"test input": 1}  # what is tested is never trained on
    assert turned.accepted_count == 9 and len(turned.accepted) == 8
    assert dict(zip(inputs(turned.accepted), turned.accepted.weight, strict=True)) == {
        text: 2 if text == "bad apple" else 1 for text in SCRIPT if text != "good kiwi"
    }
    assert "a fish" in inputs(turned.accepted)
    assert turned.label_accuracy == 7 / 8  # of the nine, one has no truth and the lemon's label is wrong
    assert turned.answer_shares == pytest.approx({"good": 6 / 9, "bad": 3 / 9})
    assert inputs(turned.pool) == inputs(turned.accepted)  # the seed is not kept
    assert turned.pool.weight.sum() == 9


def test_near_duplicates_are_looked_for_in_the_pool(monkeypatch):
    _, turned = Lab(monkeypatch, ["bad plum", "good fish", "bad fish"]).turn(
        replace(STRICT, proposals=3, duplicates=0.5)
    )
    assert turned.removed["near duplicate"] == 3 and turned.accepted is None
    _, turned = Lab(monkeypatch, ["a plum", "good fish"]).turn(replace(STRICT, proposals=2, duplicates=0.51))
    assert turned.removed["near duplicate"] == 0


def test_all_that_was_ever_accepted_or_only_the_last(monkeypatch):
    scripts = ["good fish", "bad apple"], ["good lime", "bad lemon"]
    recipe = replace(STRICT, rounds=2, proposals=2, min_confidence=None, duplicates=1.0)
    kept = Lab(monkeypatch, *scripts).turn(recipe)
    assert [len(one.pool) for one in kept] == [2, 4, 6]
    fresh = Lab(monkeypatch, *scripts).turn(replace(recipe, keep_seed=False))
    assert [inputs(one.pool) for one in fresh[1:]] == [list(script) for script in scripts]


def test_nothing_accepted_changes_nothing(monkeypatch):
    lab = Lab(monkeypatch, ["a fish"], ["good lime"], ["good fish"])
    recipe = replace(STRICT, rounds=3, proposals=1, balanced=False, keep_seed=False, trains_generator=True)
    rounds = lab.turn(recipe)
    assert [one.accepted_count for one in rounds] == [0, 0, 0, 1]
    assert rounds[1].pool is rounds[2].pool is SEED_POOL
    assert rounds[1].label_accuracy is None and rounds[1].answer_shares == {}
    assert len(lab.trained) == 2 and len(lab.adapted) == 1
    assert lab.labelled[1][0] == lab.labelled[3][0] == "student 0"  # the tests of rounds 1 and 2


@pytest.mark.parametrize("labeller", ["supervisor", "student"])
def test_who_labels(monkeypatch, labeller):
    lab = Lab(monkeypatch, ["good fish"], ["bad fish"])
    lab.turn(FlywheelRecipe(rounds=2, proposals=1, labeller=labeller))
    by = [model for model, labelled in lab.labelled if labelled is not TEST]
    assert by == (["supervisor"] * 2 if labeller == "supervisor" else ["student 0", "student 1"])
    assert all(start == "start" for start, _ in lab.trained)  # every student is trained anew


def test_no_truth_reaches_the_labeller(monkeypatch):
    lab = Lab(monkeypatch, ["bad fish", "bad apple"])
    lab.turn(FlywheelRecipe(rounds=1, proposals=2))
    (asked,) = [labelled for _, labelled in lab.labelled if labelled is not TEST]
    assert set(asked.answers) == {"good"}


@pytest.mark.parametrize("keep_seed", [True, False])
def test_the_generator_goes_on_from_where_it_is(monkeypatch, keep_seed):
    lab = Lab(monkeypatch, ["good fish"], ["bad fish"])
    recipe = FlywheelRecipe(rounds=2, proposals=1, temperature=0.7, trains_generator=True, keep_seed=keep_seed)
    rounds = lab.turn(recipe)
    assert [start for start, _ in lab.adapted] == ["generator", "generator 1"]
    assert [model for model, _, _ in lab.sampled] == ["generator", "generator 1"]
    assert {temperature for _, temperature, _ in lab.sampled} == {0.7}
    assert len({seed for *_, seed in lab.sampled}) == 2
    texts = [inputs(labelled) for _, labelled in lab.adapted]
    seed = ["good plum", "bad pear"] if keep_seed else []
    assert texts == [[*seed, "good fish"], [*seed, "bad fish"]]
    assert inputs(rounds[2].accepted) == ["bad fish"]


def test_paraphrases_keep_known_instructions_in_them(monkeypatch):
    _, turned = Lab(monkeypatch, SCRIPT).turn(replace(STRICT, paraphrases=1.0, balanced=False))
    found = {example.instruction for example in turned.accepted.examples}
    assert found <= {frame.format(ASK) for frame in proposals.FRAMES} and len(found) > 1


def test_rounds_come_one_by_one(monkeypatch):
    lab = Lab(monkeypatch, ["good fish"], ["bad fish"])
    rounds = flywheel(
        "generator", "supervisor", "start", SEED_POOL, TEST, WORLD, FlywheelRecipe(rounds=2, proposals=1),
        seed=0, fine_tune=lab.fine_tune, adapt=lab.adapt, label=lab.label,
    )  # fmt: skip
    assert not lab.trained
    assert [next(rounds).number, len(lab.trained), len(lab.sampled)] == [0, 1, 0]
    assert [next(rounds).number, len(lab.trained), len(lab.sampled)] == [1, 2, 1]


def test_rows_of_a_study(monkeypatch):
    splits = Splits(truths("good plum", "bad pear", "good fig"), truths("bad plum"), TEST, truths("good pear"))
    models = {
        "generator": "generator",
        "supervisor": "supervisor",
        "student": "start",
        "splits": splits,
        "world": WORLD,
    }
    lab = Lab(monkeypatch, ["good apple"])
    seeds = []
    roles = {"adapt": lab.adapt, "label": lab.label}
    roles["fine_tune"] = lambda start, labelled, recipe: (
        seeds.append(recipe.seed) or lab.fine_tune(start, labelled, recipe)
    )
    rows = wheel.flywheel_rows(7, FlywheelRecipe(rounds=1, proposals=1), **models, **roles, seed_examples=2)
    assert seeds == [7, 7]
    assert [(row["seed"], row["round"], row["pool"], row["accepted"]) for row in rows] == [(7, 0, 2, 0), (7, 1, 3, 1)]
    assert json.loads(json.dumps(rows)) == rows
    with pytest.raises(ValueError, match="seed_examples is 4"):
        wheel.flywheel_rows(7, FlywheelRecipe(), **models, seed_examples=4)


def test_every_mended_recipe_differs_from_the_degrading_one():
    degrading = wheel.DEGRADING.to_dict()
    changed = {name: {k for k, v in one.to_dict().items() if v != degrading[k]} for name, one in wheel.MENDED.items()}
    answers = {"labeller", "min_confidence", "balanced"}
    assert changed == {
        "temperature 1": {"temperature"},
        "no duplicates": {"duplicates"},
        "seed kept": {"keep_seed"},
        "answers checked": answers,
        "temperature 1, answers checked": {"temperature", *answers},
        "temperature 1, answers checked, seed kept": {"temperature", "keep_seed", *answers},
    }
    assert json.loads(json.dumps(degrading)) == degrading


def test_the_threshold_keeps_real_inputs_in_their_variety():
    """What NEAR_DUPLICATE says of the sentiment task, and what the threshold of Self-Instruct would do to it."""
    _, examples, _ = read_examples("sentiment")
    texts, tags = [example.input for example in examples[:2500]], [example.tags[0] for example in examples[:2500]]
    kept = {
        threshold: proposals.without_near_duplicates(texts[1500:], texts[:1500], threshold)
        for threshold in (0.7, wheel.NEAR_DUPLICATE)
    }
    assert {threshold: one.removed for threshold, one in kept.items()} == {0.7: 858, 0.9: 94}
    left = {threshold: {tags[1500 + row] for row in one.rows} for threshold, one in kept.items()}
    assert left[wheel.NEAR_DUPLICATE] == set(tags) and "reported-and-wrong" not in left[0.7]


def test_sets_are_merged_by_example():
    first = replace(truths("good plum", "bad pear"), weight=np.array([2.0, 1.0]), source="one")
    second = replace(truths("bad pear", "good fish"), answers=("good", "good"), source="two")
    both = wheel.merged([first, second])
    assert inputs(both) == ["good plum", "bad pear", "good fish"] and both.source == "one + two"
    assert both.answers == ("good", "bad", "good")  # the first answer stands
    assert both.weight.tolist() == [2, 2, 1]
    assert wheel.merged([SEED_POOL, TEST]).weight is None


@torch.no_grad()
def test_perplexity_against_a_plain_loop(model):
    documents = ("a great film", "slow and grey, and then it was over", "a joy")
    total, count = 0.0, 0
    start = model.tokenizer.bos_token_id
    for document in documents:
        ids = model.tokenizer(document, add_special_tokens=False)["input_ids"]
        logits = model.network(torch.tensor([[start, *ids]])).logits[0].double().log_softmax(-1)
        total += sum(float(logits[place, token]) for place, token in enumerate(ids))
        count += len(ids)
    assert wheel.perplexity(model, documents) == pytest.approx(math.exp(-total / count), rel=1e-5)
    assert wheel.perplexity(model, ()) is None


@pytest.mark.parametrize(
    "option",
    [
        {"rounds": -1},
        {"proposals": 0},
        {"temperature": 0},
        {"duplicates": 0.0},
        {"duplicates": 1.5},
        {"min_confidence": 1.5},
        {"labeller": "teacher"},
        {"paraphrases": 2},
    ],
)
def test_an_impossible_recipe_is_refused(option):
    (name, value), *_ = option.items()
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        FlywheelRecipe(**option)


def test_open_answers_cannot_be_sifted_by_confidence(llama, open_set):
    world = World(lambda text: Example("", text), ())
    recipe = FlywheelRecipe(rounds=1, proposals=3, min_confidence=0.5, student=Recipe(epochs=1))
    rounds = flywheel(llama, llama, llama, open_set.take(range(6)), open_set.take(range(6, 12)), world, recipe, seed=0)
    with pytest.raises(ValueError, match="no probabilities"):
        list(rounds)


@pytest.fixture(scope="module")
def tiny_world(closed_set):
    truth = {example.input: example for example in closed_set.examples}
    documents = tuple(f"{text} and then home" for text in list(truth)[:8])
    return World(lambda text: truth.get(text) or (Example("", text) if " " in text else None), documents)


@pytest.mark.slow
def test_a_whole_turn_of_tiny_models(llama, closed_set, tiny_world):
    recipe = FlywheelRecipe(
        rounds=2,
        proposals=12,
        paraphrases=0.5,
        trains_generator=True,
        student=Recipe(epochs=1),
        generator=Recipe(epochs=2, learning_rate=1e-2),
    )
    torch.manual_seed(1)
    before = torch.get_rng_state()
    roles = llama, llama, llama, closed_set.take(range(20)), closed_set.take(range(20, 48)), tiny_world, recipe
    rounds = list(flywheel(*roles, seed=5))
    assert torch.equal(torch.get_rng_state(), before)
    rows = [one.to_dict() for one in rounds]
    assert json.loads(json.dumps(rows)) == rows == [one.to_dict() for one in flywheel(*roles, seed=5)]
    assert next(islice(flywheel(*roles, seed=6), 1, None)).proposed != rounds[1].proposed
    for row in rows[1:]:
        assert row["proposed"] == 12 == row["accepted"] + sum(row["removed"].values())
        assert row["accepted"] > 0 and row["fraction_valid"] > 0
        assert sum(row["answer_shares"].values()) == pytest.approx(1)
    assert [row["pool"] for row in rows] == [
        20,
        20 + rows[1]["accepted"],
        20 + rows[1]["accepted"] + rows[2]["accepted"],
    ]
    assert len({row["perplexity"] for row in rows}) == 3  # the generator has changed twice
    assert rounds[0].evaluation.ids == closed_set.take(range(20, 48)).ids
