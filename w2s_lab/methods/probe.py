"""A student that learns in milliseconds: a linear model on the frozen features of the strong model.

The features are computed once; a linear probe (Alain & Bengio 2016, arXiv 1610.01644) can then be fitted anew at every
move of a slider. Burns et al. (2023, arXiv 2312.09390) fit such probes to weak labels too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.objective import balanced_predictions
from w2s_lab.records import LabelledSet
from w2s_lab.system.record import Record
from w2s_lab.training.labelling import MAX_NEW_TOKENS, OnRows, in_pieces

POOLS = ("last", "mean")
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # values of C; below a thousandth, features of large models hardly overfit
NEWTON = 512  # coefficients: up to this number Newton's method is the fastest; its time grows with their square


@dataclass(frozen=True, eq=False)
class Probe(Record):
    """A linear model on standardised features: K scores z = coef ((features - mean) / scale) + intercept.

    Attributes:
        answers: the K answers of the task.
        mean, scale: [d] mean and standard deviation of the features that the probe was fitted on.
        coef, intercept: [K, d] and [K]; an answer that no label has gets the intercept -infinity.
        loss: "logistic", whose probabilities are softmax(z), or "squared", whose probabilities are the distribution
            nearest to z.
        source: the kind of probe and the labels that it was fitted on.
    """

    answers: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    loss: str
    source: str

    def probs(self, features: np.ndarray) -> np.ndarray:
        """Pr(y_k|x), [N, K], of features [N, d]; raises ValueError if d is not the probe's."""
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"Probe: features have shape {features.shape}; expected [N, {len(self.mean)}]")
        scores = (features - self.mean) / self.scale @ self.coef.T + self.intercept
        return softmax(scores, axis=-1) if self.loss == "logistic" else nearest_distribution(scores)


def features(model: LanguageModel, inputs: LabelledSet, *, layer: int | None = None, pool: str = "last") -> np.ndarray:
    """The model's states for inputs: [N, d] float32, in the order of `inputs`.

    Prompts are those of `weak_labels`, cut in the same way. The answers of `inputs` are not used; the length of the
    longest answer in a closed list is. `Store.features` keeps them on disk.

    Args:
        model: any model; the network stops at the layer.
        inputs: N examples.
        layer: 0 is the embeddings, k the state after k blocks; the number of blocks (or None) is the input of the
            output head, after the final norm.
        pool: "last" for the state at the prompt's last token, where the answer begins; "mean" for the mean over the
            tokens after the instruction: those of the input and of the word "Answer:".

    Raises:
        ValueError: there is no such layer, or no such `pool`.
        MemoryError: one example alone does not fit into the device's memory.
    """
    return features_of_layers(model, inputs, [model.layers if layer is None else layer], pool=pool)[:, 0]


@torch.no_grad()
def features_of_layers(
    model: LanguageModel,
    inputs: LabelledSet,
    layers: Sequence[int],
    *,
    pool: str = "mean",
    on_rows: OnRows | None = None,
) -> np.ndarray:
    """`features` of several layers in one pass: [N, len(layers), d] float32; `on_rows` as in `in_pieces`."""
    if pool not in POOLS:
        raise ValueError(f"features: pool is {pool!r}; expected one of {', '.join(POOLS)}")
    choices = inputs.task.answers
    room = max(map(len, model.encode_answers(choices))) if choices else MAX_NEW_TOKENS
    prompts, _ = model.encode_prompts(inputs.examples, model.window - room)
    since = model.since(inputs.examples, prompts) if pool == "mean" else None

    def read(rows: list[int]) -> list[tuple[int, np.ndarray]]:
        begins = since and [since[row] for row in rows]
        states = model.hidden([prompts[row] for row in rows], layers=layers, since=begins)
        return list(zip(rows, states.cpu().numpy(), strict=True))

    states = in_pieces(read, [len(prompt) for prompt in prompts], model, on_rows=on_rows)
    width = model.network.get_output_embeddings().weight.shape[-1]
    return np.array([state for _, state in states], dtype=np.float32).reshape(len(states), len(layers), width)


def fit_probe(features: np.ndarray, labels: LabelledSet, *, C: float = 1.0, soft: bool = False) -> Probe:
    """L2-regularised logistic regression: min 1/2 |coef|^2 + C sum over i of weight_i CE(labels_i, softmax(z_i)).

    With two answers the norm is that of the difference of their rows, as in scikit-learn. Features are standardised
    with the mean and standard deviation of this set. If all labels are one answer, the probe always gives that answer.

    1,500 examples with 128 features take one CPU core about 15 ms for two answers and 60 ms for three, but half a
    second for eight, and twice or three times as long with soft labels; `ridge_probe` takes 10 ms for any of them.

    Args:
        features: [N, d], one row for each example of `labels`.
        labels: answers of a closed task; their weights count in the loss and in the standardisation.
        C: inverse strength of the regularisation, above 0.
        soft: the targets are the distributions `labels.probs` instead of the answers.

    Raises:
        ValueError: all weights are 0, the task is open, the shapes do not fit, `C` is out of range, or soft labels are
            wanted of a set without `probs`.
    """
    if not C > 0:
        raise ValueError(f"fit_probe: C is {C}; expected a number above 0")
    targets, weight = _targets(features, labels, soft, "fit_probe")
    scaler, standard = _standardised(features, weight)
    # one copy of an example for each class, weighted by the class's probability: the cross-entropy of soft labels
    rows, classes = np.nonzero(targets * weight[:, None])
    sample_weight = (targets * weight[:, None])[rows, classes]
    k = len(labels.task.answers)
    coef, intercept = np.zeros((k, features.shape[1])), np.full(k, -np.inf)
    seen = np.unique(classes)
    if len(seen) == 1:
        intercept[seen] = 0.0
    else:
        two = len(seen) == 2  # scikit-learn keeps the log-odds of the second answer only
        unknowns = features.shape[1] * (1 if two else len(seen))
        solver = "newton-cholesky" if unknowns <= NEWTON else "lbfgs"
        from sklearn.linear_model import LogisticRegression  # a second to import

        regression = LogisticRegression(C=C, solver=solver, max_iter=1000)
        fitted = regression.fit(standard[rows], classes, sample_weight)
        coef[seen] = [0 * fitted.coef_[0], fitted.coef_[0]] if two else fitted.coef_
        intercept[seen] = [0.0, fitted.intercept_[0]] if two else fitted.intercept_
    name = f"logistic probe (C={C:g}{', soft' if soft else ''}) on {labels.source}"
    return Probe(labels.task.answers, scaler.mean_, scaler.scale_, coef, intercept, "logistic", name)


def confidence_probe(
    features: np.ndarray, labels: LabelledSet, *, C: float = 1.0, alpha: float = 0.5, rounds: int = 20
) -> Probe:
    """A logistic probe with the confidence loss: part of its target is its own hardened answer.

    min 1/2 |coef|^2 + C sum over i of CE((1 - alpha) labels.probs_i + alpha h_i, softmax(z_i)), where h are the probe's
    own answers, hardened so that each answer keeps its share among the labels. This is `objective.AuxiliaryConfidence`
    with all examples in one batch and its ramp over (Burns et al. 2023, arXiv 2312.09390, section 4.3).

    Two steps alternate: harden the answers of the probe, fit it to the mixture. Each is the best one while the other
    stands still, so the objective never rises. They begin at the probe of the soft labels, and end where no hardened
    answer changes. alpha = 0 is `fit_probe` with `soft=True`, in one step.

    Args:
        features, labels, C: as in `fit_probe`; the labels need `probs`.
        alpha: weight of the probe's own answers, from 0 to 1.
        rounds: the most fits after the first.

    Raises:
        ValueError: as `fit_probe`, or `alpha` is outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"confidence_probe: alpha is {alpha}; expected a number from 0 to 1")
    weak, _ = _targets(features, labels, True, "confidence_probe")
    fitted = fit_probe(features, labels, C=C, soft=True)
    answers = labels.task.answers or ()
    balance = [labels.answers.count(answer) / len(labels) for answer in answers]
    before = None
    for _ in range(rounds if alpha else 0):
        own = balanced_predictions(torch.from_numpy(fitted.probs(features)), balance).numpy()
        if before is not None and (own == before).all():
            break
        mixed = (1 - alpha) * weak + alpha * np.eye(len(answers))[own]
        fitted, before = fit_probe(features, replace(labels, probs=mixed), C=C, soft=True), own
    return replace(fitted, source=f"logistic probe (C={C:g}, confidence loss {alpha:g}) on {labels.source}")


def ridge_probe(features: np.ndarray, labels: LabelledSet, *, alpha: float = 1.0, soft: bool = False) -> Probe:
    """Least squares on one-hot targets: min sum over i of weight_i |labels_i - z_i|^2 + alpha |coef|^2.

    The theorem of Charikar et al. (2024, arXiv 2405.15116) holds for such a convex class of functions and the squared
    loss: the student is the projection of the supervisor onto the class. If the truth is in the class, the student's
    squared error is below the supervisor's by at least the misfit |student - supervisor|^2.

    Args:
        features: [N, d], one row for each example of `labels`.
        labels: answers of a closed task; their weights count in the loss and in the standardisation.
        alpha: strength of the regularisation, 0 or more.
        soft: the targets are the distributions `labels.probs` instead of the answers.

    Raises:
        ValueError: all weights are 0, the task is open, the shapes do not fit, `alpha` is below 0, or soft labels are
            wanted of a set without `probs`.
    """
    if not alpha >= 0:
        raise ValueError(f"ridge_probe: alpha is {alpha}; expected a number from 0 up")
    targets, weight = _targets(features, labels, soft, "ridge_probe")
    scaler, standard = _standardised(features, weight)
    from sklearn.linear_model import LinearRegression, Ridge

    # without regularisation the features may not determine the coefficients: LinearRegression takes the shortest ones
    regression = Ridge(alpha=alpha, solver="cholesky") if alpha else LinearRegression()
    fitted = regression.fit(standard, targets, sample_weight=weight)
    coef = np.reshape(fitted.coef_, (len(labels.task.answers), -1))
    name = f"ridge probe (alpha={alpha:g}{', soft' if soft else ''}) on {labels.source}"
    return Probe(labels.task.answers, scaler.mean_, scaler.scale_, coef, fitted.intercept_, "squared", name)


@dataclass(frozen=True)
class Choice(Record):
    """A layer and a regularisation, and what they were chosen by.

    Attributes:
        layer: number of the layer.
        C: inverse strength of the regularisation, as in `fit_probe`.
        scores: (layer, C) -> agreement with held-out labels, as a fraction.
    """

    layer: int
    C: float
    scores: dict[tuple[int, float], float]


def choose(
    tables: Mapping[int, np.ndarray],
    labels: LabelledSet,
    *,
    Cs: Sequence[float] = STRENGTHS,
    trusted: tuple[Mapping[int, np.ndarray], LabelledSet] | None = None,
    soft: bool = False,
    folds: int = 3,
    seed: int = 0,
) -> Choice:
    """The layer and C of a probe, chosen without any test example; the first of equals, so the lower layer, smaller C.

    With `trusted`, each probe is fitted on all labels and scored by its accuracy on a few examples of known truth.
    Without, it is scored by cross-validation: how often it gives the label of an example that it was not fitted on.
    The label may be wrong, so this rewards imitation of the supervisor too.

    Args:
        tables: layer -> features [N, d], one row for each example of `labels`.
        labels: the weak labels of a closed task.
        Cs: what to try.
        trusted: layer -> features [M, d], and the M examples with their true answers.
        soft: as in `fit_probe`.
        folds: parts of the cross-validation.
        seed: of its parts.

    Raises:
        ValueError: there is nothing to choose from, or fewer labels than folds.
    """
    layers, strengths = sorted(tables), sorted(Cs)
    if not layers or not strengths or folds < 2 or len(labels) < folds:
        raise ValueError(
            f"choose: {len(layers)} layers, {len(strengths)} values of C, {folds} folds, {len(labels)} labels; "
            "expected at least one layer and C, two folds, and a label for each fold"
        )
    parts = np.random.default_rng(seed).permutation(len(labels)) % folds

    def scored(fitted: LabelledSet, table: np.ndarray, held: LabelledSet, held_table: np.ndarray, C: float) -> int:
        given = predict(fit_probe(table, fitted, C=C, soft=soft), held_table, held).answers
        return sum(a == b for a, b in zip(given, held.answers, strict=True))

    scores = {}
    for layer in layers:
        table = tables[layer]
        for C in strengths:
            if trusted:
                held = LabelledSet.ground_truth(trusted[1].task, trusted[1].examples)
                scores[layer, C] = scored(labels, table, held, trusted[0][layer], C) / len(held)
            else:
                masks = [parts == part for part in range(folds)]
                right = (scored(labels.take(~m), table[~m], labels.take(m), table[m], C) for m in masks)
                scores[layer, C] = sum(right) / len(labels)
    layer, C = max(scores, key=scores.__getitem__)
    return Choice(layer, C, scores)


def predict(probe: Probe, features: np.ndarray, inputs: LabelledSet) -> LabelledSet:
    """The probe's answers for examples whose features are given, row by row; `probs` [N, K], `log_prob` of the answer.

    The answers of `inputs` are not used.

    Raises:
        ValueError: the task's answers are not the probe's, or `features` has another shape than [N, d].
    """
    if inputs.task.answers != probe.answers:
        raise ValueError(f"predict: the task's answers are {inputs.task.answers}; expected {probe.answers}")
    _check_rows(features, inputs, "predict")
    probs = probe.probs(features)
    best = probs.argmax(-1)
    return LabelledSet(
        inputs.task,
        inputs.examples,
        tuple(probe.answers[k] for k in best),
        probs,
        np.log(probs.max(-1)),
        source=probe.source,
    )


def nearest_distribution(scores: np.ndarray) -> np.ndarray:
    """The distribution p that minimises |p - z|^2 for each row z of `scores`, [N, K] to [N, K] (Duchi et al. 2008)."""
    ranks = np.arange(1, scores.shape[1] + 1)
    falling = -np.sort(-scores, axis=-1)
    shift = (falling.cumsum(-1) - 1) / ranks  # what to subtract if the largest 1, 2, ... scores keep all probability
    positive = (falling > shift).sum(-1, keepdims=True)
    return np.maximum(scores - np.take_along_axis(shift, positive - 1, -1), 0.0)


def _targets(features: np.ndarray, labels: LabelledSet, soft: bool, who: str) -> tuple[np.ndarray, np.ndarray]:
    """The target distributions [N, K] and the weights [N], checked."""
    if labels.task.answers is None:
        raise ValueError(f"{who}: the task {labels.task.name!r} is open; expected a closed list of answers")
    if soft and labels.probs is None:
        raise ValueError(f"{who}: soft labels asked for, but {labels.source!r} has no probs. Hint: soft=False")
    _check_rows(features, labels, who)
    weight = np.ones(len(labels)) if labels.weight is None else labels.weight
    if not weight.sum() > 0:
        raise ValueError(f"{who}: {len(labels)} examples of total weight {weight.sum():g}; expected something to learn")
    column = {answer: k for k, answer in enumerate(labels.task.answers)}
    return labels.probs if soft else np.eye(len(column))[[column[answer] for answer in labels.answers]], weight


def _check_rows(features: np.ndarray, labels: LabelledSet, who: str) -> None:
    if features.ndim != 2 or len(features) != len(labels):
        raise ValueError(f"{who}: features have shape {features.shape}; expected [{len(labels)}, d], a row per example")


def _standardised(features: np.ndarray, weight: np.ndarray) -> tuple[Any, np.ndarray]:
    """The scaler fitted on the weighted features, and the features that it scales, [N, d] float64."""
    from sklearn.preprocessing import StandardScaler

    table = np.asarray(features, dtype=np.float64)
    scaler = StandardScaler().fit(table, sample_weight=weight)
    return scaler, scaler.transform(table)
