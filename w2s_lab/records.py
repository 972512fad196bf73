"""The frozen records that every layer shares: examples, labelled sets, evaluations, comparisons.

The weak supervisor, the strong student and the strong ceiling differ only in the model that learns and in the answers
that it learns. Every training set therefore has the same type, `LabelledSet`, no matter who labelled it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, overload

import numpy as np

from w2s_lab import metrics
from w2s_lab.system.border import check_fields
from w2s_lab.system.record import Record, abbreviated, columns, fraction, json_value

GROUND_TRUTH = "ground truth"
PARTS = ("supervisor_train", "student_train", "test", "validation")


def content_key(*parts: object) -> str:
    """The first sixteen hexadecimal digits of the SHA-256 of the parts' canonical JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Example(Record):
    """One input x = instruction + user input, with its true answer if that is known.

    Attributes:
        instruction: what the model is asked to do.
        input: the user's text; empty if the instruction needs none.
        answer: the true answer; None if it is unknown.
        tags: slices the example belongs to, such as `negated` or `rare-word`.
    """

    instruction: str
    input: str
    answer: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)

    @cached_property
    def id(self) -> str:
        """Content key of instruction and input. The answer is not part of it."""
        return content_key(self.instruction, self.input)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the id."""
        return {"id": self.id, **super().to_dict()}


@dataclass(frozen=True)
class Task(Record):
    """A task's name and its closed list of answers; `answers` is None for an open task, whose answers are generated."""

    name: str
    answers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, eq=False)
class TokenTargets(Record):
    """The labeller's M most likely next tokens at each of the T tokens of one answer, end-of-answer token included.

    Attributes:
        tokens: [T, M] token ids.
        probs: [T, M] their probabilities Pr(y_t | x, y_<t). If a row sums to less than 1, other tokens have the
            remaining probability.

    Raises:
        ValueError: the two shapes differ, or are not [T, M].
    """

    tokens: np.ndarray
    probs: np.ndarray

    def __post_init__(self) -> None:
        check_fields(self)
        if self.tokens.ndim != 2 or self.tokens.shape != self.probs.shape:
            raise ValueError(
                f"TokenTargets: tokens {self.tokens.shape} and probs {self.probs.shape}; expected one shape [T, M]"
            )

    @cached_property
    def digest(self) -> str:
        """Content key of tokens and probabilities."""
        return content_key(self.tokens.tolist(), self.probs.astype(float).tolist())


@dataclass(frozen=True, eq=False)
class LabelledSet(Record):
    """Examples x, each with one answer y_hat: the true answer, or the answer of a labeller such as the weak supervisor.

    Attributes:
        task: the task that all examples belong to.
        examples: N examples.
        answers: N answers y_hat; for a closed task each is one of `task.answers`.
        probs: [N, K] the labeller's Pr(y_k|x) over `task.answers`; None if the labeller gave no distribution.
        log_prob: [N] the labeller's log Pr(y_hat|x), in nats; None if unknown.
        source: "ground truth", or the name of the labeller and what was done to the set afterwards.
        weight: [N] the factor, 0 or more, by which each example counts in the loss; None: every factor is 1.
        token_targets: N token distributions of the labeller, one for each answer; None if unknown.

    Raises:
        ValueError: lengths differ, an answer is not in the closed list, a weight is not a number from 0 up, or an
            example occurs twice.
    """

    task: Task
    examples: tuple[Example, ...]
    answers: tuple[str, ...]
    probs: np.ndarray | None = None
    log_prob: np.ndarray | None = None
    source: str = GROUND_TRUTH
    weight: np.ndarray | None = None
    token_targets: tuple[TokenTargets, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        n, k = len(self.examples), len(self.task.answers or ())
        if len(self.answers) != n:
            raise ValueError(f"LabelledSet ({self.source}): {n} examples but {len(self.answers)} answers")
        if self.probs is not None and self.probs.shape != (n, k):
            raise ValueError(f"LabelledSet ({self.source}): probs has shape {self.probs.shape}; expected {(n, k)}")
        for name in ("log_prob", "weight"):
            values = getattr(self, name)
            if values is not None and values.shape != (n,):
                raise ValueError(f"LabelledSet ({self.source}): {name} has shape {values.shape}; expected {(n,)}")
        if self.weight is not None and not (np.isfinite(self.weight) & (self.weight >= 0)).all():
            worst = self.weight[~(self.weight >= 0) | ~np.isfinite(self.weight)][0]
            raise ValueError(f"LabelledSet ({self.source}): a weight is {worst}; expected finite numbers from 0 up")
        if self.token_targets is not None and len(self.token_targets) != n:
            count = len(self.token_targets)
            raise ValueError(f"LabelledSet ({self.source}): {n} examples but {count} token_targets")
        for name in ("probs", "log_prob", "weight"):
            if getattr(self, name) is not None:  # a read-only copy: a later change would falsify the digest
                array = np.array(getattr(self, name), dtype=np.float64)
                array.setflags(write=False)
                object.__setattr__(self, name, array)
        for example, answer in zip(self.examples, self.answers, strict=True):
            if self.task.answers is not None and answer not in self.task.answers:
                raise ValueError(
                    f"LabelledSet ({self.source}): example {example.id} has answer {answer!r}; "
                    f"expected one of {', '.join(map(repr, self.task.answers))}"
                )
        if len(set(self.ids)) != n:
            raise ValueError(f"LabelledSet ({self.source}): {n - len(set(self.ids))} examples occur twice")

    @classmethod
    def ground_truth(cls, task: Task, examples: Sequence[Example]) -> "LabelledSet":
        """The examples, labelled with their true answers; raises ValueError if an example has none."""
        truth = []
        for example in examples:
            if example.answer is None:
                raise ValueError(f"example {example.id} ({example.input[:40]!r}...) has no true answer")
            truth.append(example.answer)
        return cls(task, tuple(examples), tuple(truth))

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[tuple[Example, str]]:
        """The pairs (example x, answer y_hat), in order."""
        return zip(self.examples, self.answers, strict=True)

    @overload
    def __getitem__(self, key: int | str) -> tuple[Example, str]: ...

    @overload
    def __getitem__(self, key: slice | Sequence[int] | np.ndarray) -> "LabelledSet": ...

    def __getitem__(self, key: Any) -> "tuple[Example, str] | LabelledSet":
        """By row number or by an example's id: the pair (example, answer). By slice, row numbers or mask: a set.

        Raises:
            IndexError: there is no such row.
            KeyError: there is no example with this id.
        """
        if isinstance(key, str):
            if key not in self.ids:
                raise KeyError(f"LabelledSet ({self.source}): there is no example with the id {key!r}")
            key = self.ids.index(key)
        if isinstance(key, slice):
            return self.take(range(len(self))[key])
        if not isinstance(key, int | np.integer) or isinstance(key, bool):
            return self._part(key)
        if not -len(self) <= key < len(self):
            raise IndexError(f"LabelledSet ({self.source}): there is no row {key}; it has {len(self)} rows, from 0")
        return self.examples[key], self.answers[key]

    def _part(self, key: Any) -> "LabelledSet":
        """The rows that a list or an array of numbers or booleans names."""
        rows = np.asarray(key) if isinstance(key, list | tuple | range | np.ndarray) else np.array("")
        if rows.size == 0 and rows.ndim == 1:
            return self.take([])
        if rows.ndim != 1 or not (rows.dtype == bool or np.issubdtype(rows.dtype, np.integer)):
            raise TypeError(
                f"LabelledSet: [{abbreviated(key)}] asks for no row; expected a row number, an example's id, a slice, "
                "or a list of row numbers"
            )
        if rows.dtype == bool and len(rows) != len(self):
            raise IndexError(f"LabelledSet ({self.source}): a mask of {len(rows)} booleans for {len(self)} rows")
        return self.take(rows)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The examples' ids, in order."""
        return tuple(example.id for example in self.examples)

    @property
    def label_accuracy(self) -> float | None:
        """Fraction of the answers that equal the truth; None if the set is empty or a true answer is unknown."""
        truth = [example.answer for example in self.examples]
        return None if None in truth else metrics.accuracy(self.answers, truth)

    @cached_property
    def digest(self) -> str:
        """Content key of everything except `source`: task, examples, answers, probabilities, weights, token targets."""
        arrays = [None if a is None else hashlib.sha256(a.tobytes()).hexdigest() for a in (self.probs, self.log_prob)]
        optional = [] if self.weight is None else [hashlib.sha256(self.weight.tobytes()).hexdigest()]
        optional += [target.digest for target in self.token_targets or ()]
        return content_key(self.task.to_dict(), self.ids, self.answers, arrays, *optional)

    def take(self, indices: Sequence[int] | np.ndarray, source: str | None = None) -> "LabelledSet":
        """The rows at `indices` (row numbers, or a mask of booleans), in that order, with all their fields."""
        rows = np.asarray(indices)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(int)
        return replace(
            self,
            examples=tuple(self.examples[i] for i in rows),
            answers=tuple(self.answers[i] for i in rows),
            probs=None if self.probs is None else self.probs[rows],
            log_prob=None if self.log_prob is None else self.log_prob[rows],
            source=source or self.source,
            weight=None if self.weight is None else self.weight[rows],
            token_targets=None if self.token_targets is None else tuple(self.token_targets[i] for i in rows),
        )

    def _numbers(self) -> dict[str, Any]:
        return {"label_accuracy": self.label_accuracy}

    def _rows(self) -> list[dict[str, Any]]:
        """A row an example: x, its truth and tags, the answer y_hat, and what the labeller said of it."""
        return _with_probs(
            columns(
                id=self.ids,
                instruction=[example.instruction for example in self.examples],
                input=[example.input for example in self.examples],
                answer=self.answers,
                truth=[example.answer for example in self.examples],
                log_prob=self.log_prob,
                weight=self.weight,
                tags=[example.tags for example in self.examples],
            ),
            self.task,
            self.probs,
        )

    def _summary(self) -> str:
        right = "" if self.source == GROUND_TRUTH else f", label accuracy {fraction(self.label_accuracy)}"
        extra = [name for name in ("probs", "log_prob", "weight", "token_targets") if getattr(self, name) is not None]
        carried = f", with {', '.join(extra)}" if extra else ""
        return f"{_of(self.task)}: {len(self):,} examples, answers from {abbreviated(self.source)}{right}{carried}"


@dataclass(frozen=True)
class Splits(Record):
    """One task's examples in four parts that have no example in common.

    Attributes:
        supervisor_train: the weak supervisor learns the true answers of these examples.
        student_train: the weak supervisor labels these examples, and the strong student learns its labels. Only the
            strong ceiling learns their true answers, which otherwise serve to inspect the weak labels.
        test: every model is scored on these examples.
        validation: a small trusted set for choices such as when to stop. No model learns it.

    Raises:
        ValueError: an example is in two parts, or the parts belong to different tasks.
    """

    supervisor_train: LabelledSet
    student_train: LabelledSet
    test: LabelledSet
    validation: LabelledSet

    def __post_init__(self) -> None:
        check_fields(self)
        seen: dict[str, str] = {}
        for name in PARTS:
            if getattr(self, name).task != self.task:
                raise ValueError(f"Splits: {name} belongs to task {getattr(self, name).task}, test to {self.task}")
            for example_id in getattr(self, name).ids:
                if example_id in seen:
                    raise ValueError(f"Splits: example {example_id} is in {seen[example_id]} and in {name}")
                seen[example_id] = name

    @property
    def task(self) -> Task:
        """The task of all four parts."""
        return self.test.task

    def class_counts(self) -> dict[str, dict[str, int]] | None:
        """Part -> answer -> number of examples with this true answer; None for an open task."""
        if self.task.answers is None:
            return None
        found = {part: Counter(getattr(self, part).answers) for part in PARTS}
        return {part: {answer: found[part][answer] for answer in self.task.answers} for part in PARTS}

    def _rows(self) -> list[dict[str, Any]]:
        """The rows of the four parts, with the part's name."""
        return [{"part": name, **row} for name in PARTS for row in getattr(self, name)._rows()]

    def _summary(self) -> str:
        return f"{_of(self.task)}: {', '.join(f'{name} {len(getattr(self, name)):,}' for name in PARTS)} examples"


@dataclass(frozen=True, eq=False)
class Evaluation(Record):
    """A model's answers, item by item; accuracy, agreement and all other numbers are computed from these fields.

    Attributes:
        task: the task.
        ids: N example ids.
        predictions: N answers of the model.
        truth: N true answers.
        reference: N answers of the weak supervisor on the same examples, or None.
        probs: [N, K] the model's distributions over `task.answers`, or None for an open task.
        tags: N tuples of tags, or None.

    Raises:
        ValueError: the fields have different lengths.
    """

    task: Task
    ids: tuple[str, ...]
    predictions: tuple[str, ...]
    truth: tuple[str, ...]
    reference: tuple[str, ...] | None = None
    probs: np.ndarray | None = None
    tags: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        fields = (self.ids, self.predictions, self.truth, self.reference, self.probs, self.tags)
        lengths = [len(values) for values in fields if values is not None]
        if len(set(lengths)) != 1:
            raise ValueError(f"Evaluation: fields of different lengths {sorted(set(lengths))}")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def correct(self) -> np.ndarray:
        """[N] bool: prediction equals truth (exact match for an open task)."""
        return np.array(self.predictions, dtype=object) == np.array(self.truth, dtype=object)

    @property
    def accuracy(self) -> float:
        """Fraction of predictions that equal the truth; for an open task, of exact matches. None if N is 0."""
        return metrics.accuracy(self.predictions, self.truth)  # type: ignore[return-value]  # hardly ever without

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval of the accuracy."""
        return metrics.wilson_interval(int(self.correct.sum()), len(self))

    @property
    def commonest(self) -> tuple[str, float] | None:
        """The model's most frequent answer and the fraction of the predictions that it is; None if N is 0."""
        return metrics.commonest(self.predictions)

    @property
    def constant(self) -> tuple[str, float] | None:
        """The most frequent true answer, and the accuracy of a model that always gives it; None if N is 0."""
        return metrics.commonest(self.truth)

    @property
    def agreement(self) -> float | None:
        """Fraction of predictions that equal the weak supervisor's; None without a reference."""
        return None if self.reference is None else metrics.accuracy(self.predictions, self.reference)

    @property
    def imitation(self) -> float | None:
        """P(student = weak | weak wrong); None without a reference or where the weak supervisor is never wrong."""
        return None if self.reference is None else metrics.imitation(self.predictions, self.reference, self.truth)

    @property
    def correction(self) -> float | None:
        """P(student = truth | weak wrong); None without a reference or where the weak supervisor is never wrong."""
        return None if self.reference is None else metrics.correction(self.predictions, self.reference, self.truth)

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve, where there are two answers with probabilities and examples of both; else None.

        A training moves two things: the order of the examples, which this measures, and how far the model leans towards
        one answer, which moves the accuracy alone.
        """
        if self.probs is None or self.task.answers is None or len(self.task.answers) != 2:
            return None
        return metrics.auc(self.probs[:, 1], [answer == self.task.answers[1] for answer in self.truth])

    @property
    def calibration(self) -> metrics.Calibration | None:
        """Reliability bins and ECE of the predicted answer's probability; None for an open task."""
        return None if self.probs is None else metrics.calibration(self.probs.max(-1), self.correct)

    def take(self, ids: Sequence[str]) -> "Evaluation":
        """The items with these ids, in that order; raises KeyError if an id is missing."""
        row_of = {example_id: row for row, example_id in enumerate(self.ids)}
        rows = [row_of[example_id] for example_id in ids]

        def pick(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[row] for row in rows)

        return Evaluation(
            self.task,
            tuple(ids),
            pick(self.predictions),
            pick(self.truth),
            None if self.reference is None else pick(self.reference),
            None if self.probs is None else self.probs[rows],
            None if self.tags is None else pick(self.tags),
        )

    def by_slice(self) -> dict[str, tuple[float, int]]:
        """tag -> (accuracy, number of examples), in alphabetical order."""
        per_item = self.tags or ()
        every_tag = sorted({tag for tags in per_item for tag in tags})
        members = {tag: np.array([tag in tags for tags in per_item]) for tag in every_tag}
        return {tag: (float(self.correct[rows].mean()), int(rows.sum())) for tag, rows in members.items()}

    def _measured(self) -> dict[str, Any]:
        """The numbers of all items together."""
        low, high = self.interval
        measured = {"accuracy": self.accuracy, "low": low, "high": high, "agreement": self.agreement}
        measured |= {"imitation": self.imitation, "correction": self.correction}
        return {"examples": len(self), **measured, "auc": self.auc}

    def _numbers(self) -> dict[str, Any]:
        return self._measured()

    def _rows(self) -> list[dict[str, Any]]:
        """A row an item: what the model answered, the truth, the weak supervisor's answer, tags, probabilities."""
        reference = {} if self.reference is None else {"weak": self.reference}
        items = columns(id=self.ids, prediction=self.predictions, truth=self.truth, correct=self.correct, **reference)
        if self.tags is not None:
            items = [{**item, "tags": tags} for item, tags in zip(items, self.tags, strict=True)]
        return _with_probs(items, self.task, self.probs)

    def _summary(self) -> str:
        low, high = self.interval
        words = [f"{_of(self.task)}: {len(self):,} examples", f"accuracy {fraction(self.accuracy)}"]
        words[1] += f" [{low:.3f}, {high:.3f}]" if len(self) else ""
        for name in ("agreement", "imitation", "correction"):
            if getattr(self, name) is not None:
                words.append(f"{name} {fraction(getattr(self, name))}")
        return ", ".join(words)


@dataclass(frozen=True)
class Snapshot(Record):
    """What was measured at one moment of a training.

    Attributes:
        step: number of optimizer steps taken so far.
        examples_seen: number of training examples seen so far, repeats counted.
        train_loss: mean loss since the previous snapshot, in nats per answer; None before the first step.
        evaluation: the model's answers on the watched examples; None if no examples are watched.
    """

    step: int
    examples_seen: int
    train_loss: float | None
    evaluation: Evaluation | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def _rows(self) -> list[dict[str, Any]]:
        """One row: step, examples seen, training loss, and the numbers of the evaluation."""
        row = {"step": self.step, "examples_seen": self.examples_seen, "train_loss": self.train_loss}
        return [row | json_value(self.evaluation._measured() if self.evaluation else {})]

    def _summary(self) -> str:
        words = [f"step {self.step:,}", f"{self.examples_seen:,} examples seen"]
        words += [] if self.train_loss is None else [f"train loss {self.train_loss:.3f} nats"]
        words += [] if self.evaluation is None else [f"accuracy {fraction(self.evaluation.accuracy)}"]
        return ", ".join(words)


@dataclass(frozen=True, eq=False)
class Comparison(Record):
    """The evaluations of weak supervisor, strong student and strong ceiling on the same examples.

    Raises:
        ValueError: the three were scored on different examples or different true answers, or on none.
    """

    weak: Evaluation
    student: Evaluation
    ceiling: Evaluation

    def __post_init__(self) -> None:
        check_fields(self)
        if (
            not self.weak.ids == self.student.ids == self.ceiling.ids
            or not self.weak.truth == self.student.truth == self.ceiling.truth
        ):
            raise ValueError("Comparison: weak, student and ceiling were scored on different examples")
        if not len(self.weak):
            raise ValueError("Comparison: there is no example to compare on")

    @property
    def pgr(self) -> float | None:
        """Performance gap recovered (eq. 4.11), not clipped; None where the ceiling is not above the supervisor."""
        return metrics.pgr(self.weak.accuracy, self.student.accuracy, self.ceiling.accuracy)

    def pgr_interval(self, *, samples: int = 2000, seed: int = 0) -> tuple[float, float] | None:
        """95 % bootstrap interval over test examples; None where the PGR is undefined."""
        return metrics.pgr_interval(
            self.weak.correct, self.student.correct, self.ceiling.correct, samples=samples, seed=seed
        )

    def _numbers(self) -> dict[str, Any]:
        return {"pgr": self.pgr, "pgr_interval": self.pgr_interval()}

    def _rows(self) -> list[dict[str, Any]]:
        """A row a model, with its numbers; `comparison.student.to_pandas()` has a row an item."""
        return [
            {"model": name, **json_value(getattr(self, name)._measured())} for name in ("weak", "student", "ceiling")
        ]

    def _summary(self) -> str:
        right = ", ".join(f"{name} {fraction(getattr(self, name).accuracy)}" for name in ("weak", "student", "ceiling"))
        pgr = "PGR undefined" if self.pgr is None else f"PGR {self.pgr:.3f}"
        return f"{_of(self.weak.task)}: {len(self.weak):,} test examples, accuracy of {right}, {pgr}"


def _of(task: Task) -> str:
    """A task in a few words."""
    return abbreviated(task.name)[1:-1]


def _with_probs(rows: list[dict[str, Any]], task: Task, probs: np.ndarray | None) -> list[dict[str, Any]]:
    """The rows, with a column "Pr(answer)" for each answer of the closed list."""
    if probs is None:
        return rows
    names = [f"Pr({answer})" for answer in task.answers or ()]
    return [row | dict(zip(names, values, strict=True)) for row, values in zip(rows, probs.tolist(), strict=True)]


def accuracy_interval(evaluations: Sequence[Evaluation]) -> metrics.Interval:
    """Mean accuracy of several runs with its 95 % interval.

    Several runs: Student t over the seeds, not cut to [0, 1]. One run: Wilson, over the test examples.
    """
    if len(evaluations) == 1:
        return metrics.Interval(evaluations[0].accuracy, *evaluations[0].interval, 1)
    return metrics.mean_interval([evaluation.accuracy for evaluation in evaluations])


def mean_pgr(comparisons: Sequence[Comparison]) -> tuple[metrics.Interval | None, int]:
    """Mean PGR of several runs with its 95 % interval, and the number of runs left out because their PGR is undefined.

    Two or more runs with a PGR: Student t over their seeds. One: bootstrap over its test examples. None: there is no
    mean, and the first value is None.
    """
    defined = [(comparison, pgr) for comparison in comparisons if (pgr := comparison.pgr) is not None]
    undefined = len(comparisons) - len(defined)
    if not defined:
        return None, undefined
    if len(defined) == 1:
        ((comparison, pgr),) = defined
        low, high = comparison.pgr_interval() or (None, None)
        return metrics.Interval(pgr, low, high, 1), undefined
    return metrics.mean_interval([pgr for _, pgr in defined]), undefined
