"""Exercises of notebook 10: the baseline that needs no model, and what a training takes."""

from collections import Counter

import numpy as np

from w2s_lab import metrics
from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.data.sources import SplitSizes
from w2s_lab.planning.dry_run import plan_estimate
from w2s_lab.planning.estimate import DEVICES, Estimate, Texts, estimate_training
from w2s_lab.planning.hub_models import MODELS, PAIRS, pair_plan
from w2s_lab.recipe import LoRA, Recipe


def majority_accuracy(train, test):
    most_frequent = max(set(train), key=train.count)
    return sum(answer == most_frequent for answer in test) / len(test)


def lora_parameters(layers, matrices, rank):
    return layers * sum(rank * (into + out) for into, out in matrices)


def training_bytes(frozen, trained):
    weights = 4 * (frozen + trained)
    gradients = 4 * trained
    averages = 2 * 4 * trained  # AdamW's, of the gradient and of its square
    return weights + gradients + averages


def _answers(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """The most frequent answer is another one in training than in the test part."""
    train = rng.permutation(["yes"] * int(rng.integers(12, 15)) + ["no"] * 9 + ["later"] * 3).tolist()
    test = rng.permutation(["yes"] * int(rng.integers(4, 7)) + ["no"] * 8 + ["later"] * 2).tolist()
    return train, test


def _model(rng: np.random.Generator) -> tuple[str, int]:
    return str(rng.choice(sorted(MODELS))), int(rng.choice([4, 8, 16, 32, 64]))


def _layers(rng: np.random.Generator) -> tuple[int, tuple[tuple[int, int], ...], int]:
    name, rank = _model(rng)
    return MODELS[name].layers, MODELS[name].matrices, rank


def _adapter_parameters(layers: int, matrices: tuple[tuple[int, int], ...], rank: int) -> int:
    """The package's count, for the model that has these layers."""
    found = next(model for model in MODELS.values() if (model.layers, model.matrices) == (layers, matrices))
    return found.adapter_parameters(LoRA(rank=rank))


def _sizes(rng: np.random.Generator) -> tuple[int, int]:
    name, rank = _model(rng)
    return MODELS[name].parameters, MODELS[name].adapter_parameters(LoRA(rank=rank))


def _estimated(frozen: int, trained: int) -> float:
    """The package's estimate in float32, for the model of this size under a LoRA: weights, gradients, optimizer."""
    model = next(model for model in MODELS.values() if model.parameters == frozen)
    rank = trained // model.adapter_parameters(LoRA(rank=1))
    recipe = Recipe(lora=LoRA(rank=rank), precision="float32")
    found: Estimate = estimate_training(model, recipe, DEVICES["T4"], Texts(64, 64, 2, 2), examples=64)
    return found.weights + found.gradients + found.optimizer


# -- the open task -----------------------------------------------------------------------------------------------------


def my_plan():
    return {
        "pair": "smollm2-16gb",
        "card": "T4",
        "answers": {"1": "positive", "0": "negative"},
        "test": 600,
        "validation": 100,
        "seeds": 3,
        "hours": 12,
    }


TOKENS = Texts(200, 80, 3, 3)  # prompts of 200 tokens at most, 80 on average
TRAIN, SEEN = 1000, 0.05  # examples of supervisor and of student; a difference of accuracies that has to be seen


def _costs(plan: dict) -> list:
    sizes = SplitSizes(TRAIN, TRAIN, plan["test"], plan["validation"])
    return plan_estimate(pair_plan(plan["pair"]), sizes, TOKENS, DEVICES[plan["card"]])


def _difference_is_seen(test: int) -> bool:
    """The standard error of a difference of two accuracies near 0.8, as if they came from two sets: no firmer."""
    return test > 0 and 1.96 * (2 * 0.8 * 0.2 / test) ** 0.5 <= SEEN


EXERCISES = (
    Exercise(
        majority_accuracy,
        _answers,
        key=lambda train, test: metrics.accuracy([Counter(train).most_common(1)[0][0]] * len(test), test),
        mistakes=(
            (
                "You chose the most frequent answer of the test part: that is peeking. Choose it on the training part.",
                lambda train, test: Counter(test).most_common(1)[0][1] / len(test),
            ),
            (
                "You counted on the training part. The answer is chosen there, and scored on the test part.",
                lambda train, test: Counter(train).most_common(1)[0][1] / len(train),
            ),
            (
                "That is chance, 1 / number of answers. A constant answer does better where they are not balanced.",
                lambda train, test: 1 / len(set(train)),
            ),
        ),
        hints=(
            "Which answer is most frequent in `train`? `max(set(train), key=train.count)` finds it.",
            "Say that answer for every test example: how often is it right?",
        ),
    ),
    Exercise(
        lora_parameters,
        _layers,
        key=_adapter_parameters,
        mistakes=(
            (
                "That is the size of the matrices themselves. A LoRA learns two thin ones: in × rank and rank × out.",
                lambda layers, matrices, rank: layers * sum(a * b for a, b in matrices),
            ),
            (
                "You counted one layer; every layer has its own adapter.",
                lambda layers, matrices, rank: sum(rank * (a + b) for a, b in matrices),
            ),
            (
                "You counted only the first of the two thin matrices, in × rank. The second is rank × out.",
                lambda layers, matrices, rank: layers * sum(rank * a for a, _ in matrices),
            ),
            (
                "The rank is missing: each thin matrix is `rank` wide.",
                lambda layers, matrices, rank: layers * sum(a + b for a, b in matrices),
            ),
        ),
        hints=(
            "A matrix from `into` to `out` numbers gets an update B·A, with A: rank × into and B: out × rank.",
            "So rank · into + out · rank parameters for each matrix. Sum over the matrices of a layer.",
            "And there are `layers` layers, all alike.",
        ),
    ),
    Exercise(
        training_bytes,
        _sizes,
        key=_estimated,
        mistakes=(
            (
                "Weights and gradients alone. AdamW keeps two averages for each trained parameter: 8 bytes more.",
                lambda frozen, trained: 4 * frozen + 8 * trained,
            ),
            (
                "One of AdamW's two averages is missing: of the gradient, and of its square.",
                lambda frozen, trained: 4 * frozen + 12 * trained,
            ),
            (
                "Frozen parameters get no gradient, and AdamW keeps no averages of them: 4 bytes each, no more.",
                lambda frozen, trained: 16 * (frozen + trained),
            ),
            (
                "Frozen parameters take memory too: every input goes through them. 4 bytes each.",
                lambda frozen, trained: 16 * trained,
            ),
            (
                "You counted numbers, not bytes: one in float32 takes 4 bytes.",
                lambda frozen, trained: frozen + 4 * trained,
            ),
        ),
        hints=(
            "A number in float32 takes 4 bytes. All parameters are there as weights, frozen or not.",
            "Only trained parameters have a gradient: 4 bytes each.",
            "And for each trained parameter AdamW keeps two running averages: 8 bytes. Add the three up.",
        ),
    ),
    Exercise(
        my_plan,
        lambda rng: (),
        criteria=of_the_result(
            (
                (
                    "`pair` and `card` are among those of the table",
                    lambda p: p["pair"] in PAIRS and p["card"] in DEVICES,
                ),
                (
                    "every part of the procedure fits on the card",
                    lambda plan: all(row.estimate.fits for row in _costs(plan) if row.estimate),
                ),
                (
                    "the answers are called by words that a language model has read",
                    lambda plan: len(plan["answers"]) > 1 and all(word.isalpha() for word in plan["answers"].values()),
                ),
                (
                    f"`test` is large enough to see a difference of {SEEN} between two accuracies near 0.8 (95 %)",
                    lambda plan: _difference_is_seen(plan["test"]),
                ),
                (
                    "at least 50 examples validate, and at least three seeds are run",
                    lambda plan: plan["validation"] >= 50 and plan["seeds"] >= 3,
                ),
                (
                    "all seeds together are done within `hours`, and these are 48 at most",
                    lambda p: (
                        p["seeds"] * sum(r.estimate.seconds for r in _costs(p) if r.estimate) <= 3600 * p["hours"]
                        and p["hours"] <= 48
                    ),
                ),
            )
        ),
        hints=(
            "The table of pairs and cards above says what fits.",
            "1.96 · √(2 · 0.8 · 0.2 / n) is the half width of a difference; dry_run_table shows the time of each part.",
        ),
    ),
)
