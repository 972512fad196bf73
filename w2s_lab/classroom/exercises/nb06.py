"""Exercises of notebook 06: the confidence loss as relabelling."""

import numpy as np
import torch
from scipy.special import stdtrit  # of Student's t; scipy.stats takes a second to import

from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.objective import AuxiliaryConfidence, balanced_predictions, expected_nll
from w2s_lab.studies.methods import METHODS, MOMENTS


def mixed_target(weak, own, alpha):
    hardened = torch.nn.functional.one_hot(own, weak.shape[-1])
    return (1 - alpha) * weak + alpha * hardened


def harden_balanced(own, share):
    first = round(share * len(own))
    answers = torch.ones(len(own), dtype=torch.long)
    answers[torch.argsort(own, descending=True)[:first]] = 0
    return answers


def alpha_now(progress, max_weight, warmup):
    return max_weight * min(1.0, progress / warmup)


def _target(weak: torch.Tensor, own: torch.Tensor, alpha: float) -> torch.Tensor:
    """What the package's loss teaches: minus its gradient with respect to the log-probabilities."""
    log_probs = torch.zeros_like(weak).requires_grad_()
    hardened = torch.nn.functional.one_hot(own, weak.shape[-1]).to(weak.dtype)
    loss = (1 - alpha) * expected_nll(log_probs, weak) + alpha * expected_nll(log_probs, hardened)
    loss.sum().backward()
    return -log_probs.grad


def _labels(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
    weak = torch.tensor(rng.dirichlet(np.ones(2), 4))
    return weak, torch.tensor(rng.integers(0, 2, 4)), round(float(rng.uniform(0.1, 0.4)), 2)


def _batch(rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    """Ten predictions of a student that leans to the first answer; `share` times ten is a whole number."""
    own = rng.permutation(np.concatenate([rng.uniform(0.55, 0.99, 8), rng.uniform(0.2, 0.45, 2)])).round(3)
    return torch.tensor(own), float(rng.choice([0.3, 0.4, 0.6, 0.7]))


def _moment(rng: np.random.Generator) -> tuple[float, float, float]:
    warmup = round(float(rng.uniform(0.1, 0.4)), 2)
    progress = warmup * rng.uniform(0.2, 0.8) if rng.random() < 0.5 else rng.uniform(warmup + 0.1, 1.0)
    return round(float(progress), 3), round(float(rng.uniform(0.3, 0.9)), 2), warmup


# -- the open task -----------------------------------------------------------------------------------------------------


def my_experiment():
    return {
        "pairs": [("confidence loss 0.5", "soft labels"), ("confidence loss 0.75", "soft labels")],
        "seeds": 8,
        "moments": ["at the end", "at the trusted snapshot"],
        "correction": "Holm",
    }


TRAININGS = 40  # that the experiment may take
KNOWN = 0.02  # half width of the 95 % interval of each effect at the trusted snapshot


def _pairs(plan: dict) -> list[tuple[str, str]]:
    return [(method, control) for method, control in plan["pairs"]]


def _differences(method: str, control: str) -> np.ndarray:
    """[seeds] of the study `methods`: method minus control, accuracy at the trusted snapshot."""
    rows = [row for row in measured("methods")["rows"] if row["grid"] == "sentiment"]
    both = [[row["trusted_accuracy"] for row in rows if row["method"] == name] for name in (method, control)]
    return np.subtract(*both)


def _narrow(plan: dict) -> bool:
    """Whether the interval of every pair is as narrow as KNOWN, if seeds scatter as they did in the study."""
    n = plan["seeds"]
    return n > 1 and all(stdtrit(n - 1, 0.975) * _differences(*p).std(ddof=1) / n**0.5 <= KNOWN for p in _pairs(plan))


EXERCISES = (
    Exercise(
        mixed_target,
        _labels,
        key=_target,
        mistakes=(
            (
                "The two weights have changed places: α belongs to the student's own answer, 1 − α to the weak label.",
                lambda w, o, a: a * w + (1 - a) * torch.nn.functional.one_hot(o, w.shape[-1]),
            ),
            (
                "You added the two without weights: the rows of a target sum to 1.",
                lambda w, o, a: w + torch.nn.functional.one_hot(o, w.shape[-1]),
            ),
            (
                "You hardened the weak labels too. The supervisor's distribution goes in as it is, with its doubt.",
                lambda w, o, a: (
                    (1 - a) * torch.nn.functional.one_hot(w.argmax(-1), w.shape[-1])
                    + a * torch.nn.functional.one_hot(o, w.shape[-1])
                ),
            ),
        ),
        hints=(
            "Both cross-entropies have the same prediction f in them, and a cross-entropy is linear in its target.",
            "Make the student's answers one-hot: torch.nn.functional.one_hot(own, K).",
            "(1 − alpha) times one, alpha times the other, added.",
        ),
    ),
    Exercise(
        harden_balanced,
        _batch,
        key=lambda own, share: balanced_predictions(torch.stack([own, 1 - own], -1), (share, 1 - share)),
        mistakes=(
            (
                "You cut at 0.5. A student that leans to one answer then gives it to nearly all: the balance is lost.",
                lambda o, s: (o <= 0.5).long(),
            ),
            (
                "You used the share as a threshold for a probability. It is the share of the examples: compare the "
                "predictions with each other.",
                lambda o, s: (o <= s).long(),
            ),
            (
                "You gave the first answer to those that are the least likely to have it: sort from the highest down.",
                lambda o, s: 1 - harden_balanced(o, 1 - s),
            ),
            (
                "Your 0 and 1 have changed places: 0 stands for the first answer.",
                lambda o, s: 1 - harden_balanced(o, s),
            ),
        ),
        hints=(
            "How many examples of the batch get the first answer? share times their number.",
            "Which ones? Those with the highest probability of it: torch.argsort(own, descending=True).",
            "Start with torch.ones(len(own), dtype=torch.long) and put 0 where the first answer goes.",
        ),
    ),
    Exercise(
        alpha_now,
        _moment,
        key=lambda progress, max_weight, warmup: AuxiliaryConfidence(max_weight, warmup).weight(progress),
        mistakes=(
            (
                "Your ramp jumps: just before the end of the warm-up it stands at warmup times the full weight, just "
                "after it at all of it. Divide the progress by the warm-up.",
                lambda p, m, w: m * (p if p <= w else 1.0),
            ),
            (
                "Your ramp does not stop: after the warm-up the weight keeps rising, above max_weight.",
                lambda p, m, w: m * p / w,
            ),
            (
                "That is a step, not a ramp: during the warm-up the weight should grow from 0.",
                lambda p, m, w: m if p > w else 0.0,
            ),
            (
                "Your ramp lasts for the whole training: it should be over after the warm-up.",
                lambda p, m, w: m * p,
            ),
        ),
        hints=(
            "At progress 0 the weight is 0; at progress = warmup it is max_weight, and stays there.",
            "progress / warmup runs from 0 to 1 during the warm-up.",
            "min(1.0, ...) keeps it at 1 afterwards.",
        ),
    ),
    Exercise(
        my_experiment,
        lambda rng: (),
        criteria=of_the_result(
            (
                (
                    "`pairs` holds two remedies or more, each with the control that the study `methods` gives it",
                    lambda plan: len(_pairs(plan)) > 1 and all(METHODS[m].control == c for m, c in _pairs(plan)),
                ),
                (f"each effect will be known to ± {KNOWN} (95 %), as far as the study's scatter tells", _narrow),
                (
                    f"at most {TRAININGS} trainings: one for each method and control in each seed",
                    lambda plan: plan["seeds"] * len({name for pair in _pairs(plan) for name in pair}) <= TRAININGS,
                ),
                (
                    "`moments` are both: at the end, and at the trusted snapshot",
                    lambda p: set(p["moments"]) == {*MOMENTS},
                ),
                (
                    "`correction` is one for several tests, such as 'Holm'",
                    lambda plan: plan["correction"] in ("Holm", "Bonferroni"),
                ),
            )
        ),
        hints=(
            "room.seed_count() shows how wide an interval is with so many seeds.",
            "A control that two remedies share is trained once for each seed. Which pairs share one?",
        ),
    ),
)
