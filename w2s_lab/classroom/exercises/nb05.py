"""Exercises of notebook 05: the distillation view (eqs. 4.12 and 4.13)."""

import math

import numpy as np
import torch

from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.objective import SCHEDULES, Distillation, expected_nll, kl_to_supervisor, with_temperature
from w2s_lab.studies.losses import TRUTH, WEAK_LABELS, Dial, rows_at


def expected_log_prob(weak, log_student):
    return (weak * log_student).sum(-1)


def kl_to_weak(weak, student):
    terms = torch.xlogy(weak, weak) - weak * torch.log(student)  # xlogy: 0 log 0 = 0
    return terms.sum(-1)


def softened(probs, temperature):
    powers = probs ** (1 / temperature)
    return powers / powers.sum(-1, keepdim=True)


def lambda_now(progress, weight):
    linear = weight * (1 - progress)
    cosine = weight * 0.5 * (1 + math.cos(math.pi * progress))
    return weight, linear, cosine


def _distributions(rng: np.random.Generator, n: int = 4, k: int = 3) -> torch.Tensor:
    return torch.tensor(rng.dirichlet(np.ones(k), n))


def _pair(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return _distributions(rng), _distributions(rng).log()


def _pair_with_zero(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    weak, student = _distributions(rng), _distributions(rng)
    weak[0] = torch.tensor([1.0, 0.0, 0.0])[rng.permutation(3)]  # a supervisor that is quite sure
    return weak, student


def _soften(rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    return _distributions(rng), round(float(rng.choice([rng.uniform(0.3, 0.8), rng.uniform(1.5, 4.0)])), 2)


def _moment(rng: np.random.Generator) -> tuple[float, float]:
    return round(float(rng.uniform(0.1, 0.4)), 2), round(float(rng.uniform(0.5, 3.0)), 2)


def _schedules(progress: float, weight: float) -> tuple[float, ...]:
    return tuple(Distillation(weight, schedule).shares(progress)[1] for schedule in SCHEDULES)


# -- the open task -----------------------------------------------------------------------------------------------------


def my_objectives():
    return {"weak labels": ("temperature", 4.0), "true answers": ("lambda", 0.5, "cosine")}


def _ends(setting: tuple, answers: str) -> np.ndarray:
    """[seeds] accuracies at the end, of a setting of the study `losses`; empty where it was not measured."""
    return np.array([row["end"] for row in rows_at(measured("losses")["rows"], Dial(*setting, answers=answers))])


def _plain(answers: str) -> np.ndarray:
    return _ends(("lambda", 0.0, "constant"), answers)


EXERCISES = (
    Exercise(
        expected_log_prob,
        _pair,
        key=lambda weak, log_student: -expected_nll(log_student, weak),
        mistakes=(
            (
                "You took the student's log-probability of the likeliest answer only: that is the hard label. Here "
                "every answer counts, with the probability that it is drawn.",
                lambda w, s: s.gather(-1, w.argmax(-1, keepdim=True))[:, 0],
            ),
            (
                "You took the mean over the answers. An expectation is a sum, weighted by the probabilities.",
                lambda w, s: (w * s).mean(-1),
            ),
            (
                "You summed over the examples too. Return one number for each example.",
                lambda w, s: (w * s).sum(),
            ),
            (
                "You turned the log-probabilities back into probabilities: the objective is a mean of logarithms.",
                lambda w, s: (w * s.exp()).sum(-1),
            ),
        ),
        hints=(
            "An expectation over a closed list: for each answer, its probability times its value.",
            "The probability of drawing answer k is weak[:, k]; the value is log_student[:, k].",
            "Sum over the last dimension: (... * ...).sum(-1).",
        ),
    ),
    Exercise(
        kl_to_weak,
        _pair_with_zero,
        key=lambda weak, student: kl_to_supervisor(student.log(), weak),
        mistakes=(
            (
                "You turned it round: this is KL(Pr^s ‖ Pr^w). The weights and the first logarithm are of Pr^w.",
                lambda w, s: (torch.xlogy(s, s) - torch.xlogy(s, w)).sum(-1),
            ),
            (
                "This is the cross-entropy, KL + H(Pr^w). Subtract the supervisor's own entropy.",
                lambda w, s: -(w * s.log()).sum(-1),
            ),
            (
                "You took the mean over the answers; the KL divergence is a sum over them.",
                lambda w, s: (torch.xlogy(w, w) - w * s.log()).mean(-1),
            ),
            (
                "These are bits (logarithms to base 2). The kit counts in nats: use the natural logarithm.",
                lambda w, s: (torch.xlogy(w, w) - w * s.log()).sum(-1) / math.log(2),
            ),
        ),
        hints=(
            "KL(w ‖ s) = Σ over k of w_k · log(w_k / s_k), one number per row.",
            "log(w / s) = log w − log s. Where w is 0 its term is 0, but 0 · log 0 is not a number for torch.",
            "torch.xlogy(w, w) is w · log w, with 0 where w is 0.",
        ),
    ),
    Exercise(
        softened,
        _soften,
        key=with_temperature,
        mistakes=(
            (
                "You raised to the power T. A temperature above 1 makes the distribution flatter: the power is 1/T.",
                lambda p, t: p**t / (p**t).sum(-1, keepdim=True),
            ),
            (
                "You treated the probabilities as logits. Divide their logarithms by T, and take the softmax of that.",
                lambda p, t: (p / t).softmax(-1),
            ),
            (
                "The rows do not sum to 1: divide by their sum.",
                lambda p, t: p ** (1 / t),
            ),
            (
                "Dividing by T and scaling back to sum 1 changes nothing: the T cancels. It belongs in the exponent.",
                lambda p, t: p / t / (p / t).sum(-1, keepdim=True),
            ),
        ),
        hints=(
            "The softmax of log p is p itself. What if log p is divided by T first?",
            "exp(log(p) / T) is p to the power 1/T.",
            "Then divide each row by its sum, with keepdim=True.",
        ),
    ),
    Exercise(
        lambda_now,
        _moment,
        key=_schedules,
        mistakes=(
            (
                "Your λ grows. It should stand at `weight` in the beginning and at 0 in the end.",
                lambda p, w: (w, w * p, w * 0.5 * (1 - math.cos(math.pi * p))),
            ),
            (
                "Your cosine starts at twice the weight: 1 + cos(0) is 2, so halve it.",
                lambda p, w: (w, w * (1 - p), w * (1 + math.cos(math.pi * p))),
            ),
            (
                "Your cosine ends below 0: cos(π) is −1. Lift it: half of (1 + cos(π · progress)).",
                lambda p, w: (w, w * (1 - p), w * math.cos(math.pi * p)),
            ),
            (
                "Your cosine is a quarter of a wave, falling ever faster. Half a wave is wanted: cos(π · progress).",
                lambda p, w: (w, w * (1 - p), w * math.cos(0.5 * math.pi * p)),
            ),
        ),
        hints=(
            "Three numbers: the constant one does not depend on progress; the other two fall from weight to 0.",
            "Linear: weight · (1 − progress).",
            "Cosine: half a wave from 1 down to −1, lifted and halved so that it runs from 1 to 0.",
        ),
    ),
    Exercise(
        my_objectives,
        lambda rng: (),
        criteria=of_the_result(
            (
                (
                    "both settings are among those measured on their D: (dial, value), and for lambda its schedule",
                    lambda found: all(len(_ends(found[answers], answers)) for answers in (WEAK_LABELS, TRUTH)),
                ),
                (
                    "on weak labels the student is right more often at the end than with hard labels, in every seed",
                    lambda found: bool((_ends(found[WEAK_LABELS], WEAK_LABELS) > _plain(WEAK_LABELS)).all()),
                ),
                (
                    "on weak labels the mean gain is at least 0.03",
                    lambda found: np.mean(_ends(found[WEAK_LABELS], WEAK_LABELS) - _plain(WEAK_LABELS)) >= 0.03,
                ),
                (
                    "on true answers at most 0.005 is lost on average against λ = 0",
                    lambda found: np.mean(_ends(found[TRUTH], TRUTH) - _plain(TRUTH)) >= -0.005,
                ),
            )
        ),
        hints=(
            "The dials are lambda, temperature and alpha; the sliders above show the values that were measured.",
            "Where the second term is the worse one, a small weight that falls to 0 costs least.",
        ),
    ),
)
