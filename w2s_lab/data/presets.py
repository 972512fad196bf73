"""Data sets of the literature on the Hugging Face Hub, as tasks: which rows, which instruction, which answers.

`sources.py` downloads them, and then asks for their preset here. A preset is one entry of `PRESETS`; one of your own
joins them by `register`.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from w2s_lab.data.examples import table_of
from w2s_lab.data.tables import DataError, DataWarning, Table, listed, rows_in_words, shown
from w2s_lab.records import Example, content_key
from w2s_lab.system.registry import Registry

YES_NO = ("yes", "no")
POLARITY = ("negative", "positive")
PROPOSED = "Is the proposed answer correct? Answer yes or no."


@dataclass(frozen=True)
class Preset:
    """A data set of the Hub as a closed task.

    Attributes:
        repository: its Hub id.
        splits: those that are read, in this order.
        answers: the closed list.
        example: a row to its example; raises ValueError where a value is not what it should be.
        revision: None for the newest.
        question: columns that make up a question which is kept once, whatever its candidates.
        sample: rows that are kept of a larger split, drawn with seed 0; None for all.
    """

    repository: str
    splits: tuple[str, ...]
    answers: tuple[str, ...]
    example: Callable[[Mapping[str, Any]], Example]
    revision: str | None = None
    question: tuple[str, ...] = ()
    sample: int | None = None


def sciq(row: Mapping[str, Any]) -> Example:
    """SciQ (allenai/sciq): 13,679 questions of science exams, with a correct answer and three distractors.

    Splits: train (11,679), validation (1,000), test (1,000). The supporting paragraph is left out, so that the model
    has to know. Instruction: `PROPOSED`. Answers: yes, no; balanced up to chance, see `_proposed`.
    Licence: CC BY-NC 3.0, according to its card. J. Welbl, N. Liu, M. Gardner: Crowdsourcing Multiple Choice Science
    Questions, 2017, arXiv 1707.06209.
    """
    wrong = [_text(row, f"distractor{i}") for i in (1, 2, 3)]
    return _proposed(_text(row, "question"), _text(row, "correct_answer"), wrong)


def cosmosqa(row: Mapping[str, Any]) -> Example:
    """CosmosQA (allenai/cosmos_qa): what lies between the lines of a blog post; four candidate answers.

    Splits: train (25,262), validation (2,985); the labels of the test split are not public. The repository's main
    branch is a loading script, so the Hub's own conversion to Parquet is read. Instruction: `PROPOSED`. Answers: yes,
    no; balanced up to chance, see `_proposed`. Tag: `none-of-the-above` where that is the proposed answer.
    Licence: CC BY 4.0, according to its card. L. Huang, R. Le Bras, C. Bhagavatula, Y. Choi: Cosmos QA, EMNLP 2019,
    arXiv 1909.00277.
    """
    label = _one_of(row, "label", dict(enumerate(range(4))))
    candidates = [_text(row, f"answer{i}") for i in range(4)]
    correct = candidates.pop(label)
    return _proposed(_text(row, "question"), correct, candidates, _text(row, "context"))


def boolq(row: Mapping[str, Any]) -> Example:
    """BoolQ (google/boolq): yes/no questions that people asked a search engine, each with a passage of Wikipedia.

    Splits: train (9,427), validation (3,270). Answers: yes (62 %), no. The question comes first, because an input that
    is too long is cut at its end. Licence: CC BY-SA 3.0, according to its authors' repository. C. Clark et al.: BoolQ,
    NAACL 2019, arXiv 1905.10044.
    """
    answer = _one_of(row, "answer", {True: "yes", False: "no"})
    text = f"Question: {_text(row, 'question').rstrip('?')}?\nPassage: {_text(row, 'passage')}"
    return Example("Answer the question about the passage. Answer yes or no.", text, answer)


def amazon_polarity(row: Mapping[str, Any]) -> Example:
    """Amazon polarity (fancyzhx/amazon_polarity): product reviews of 1 or 2 stars against those of 4 or 5.

    Split: train, of whose 3,600,000 rows 20,000 are sampled with seed 0 (all of it is downloaded: 0.7 GB or more, and
    1.6 GB on disk once unpacked). Answers: negative, positive; balanced in the whole, up to chance in the sample.
    Licence: Apache 2.0, according to its card. X. Zhang, J. Zhao, Y. LeCun: Character-level Convolutional Networks for
    Text Classification, 2015, arXiv 1509.01626.
    """
    answer = _one_of(row, "label", dict(enumerate(POLARITY)))
    return Example(
        "Is the review positive or negative?", f"{_text(row, 'title')}\n{_text(row, 'content')}".strip(), answer
    )


def sst2(row: Mapping[str, Any]) -> Example:
    """SST-2 (stanfordnlp/sst2): sentences, and parts of sentences, from film reviews.

    Splits: train (67,349), validation (872); the public test split has the label -1 throughout. Answers: negative,
    positive (56 % of train). Licence: unknown, according to its card. R. Socher et al.: Recursive Deep Models for
    Semantic Compositionality Over a Sentiment Treebank, EMNLP 2013.
    """
    answer = _one_of(row, "label", dict(enumerate(POLARITY)))
    return Example("Is the review positive or negative?", _text(row, "sentence").strip(), answer)


PRESETS: Registry[Preset] = Registry(
    "preset",
    {
        "sciq": Preset("allenai/sciq", ("train", "validation", "test"), YES_NO, sciq, question=("question",)),
        "boolq": Preset("google/boolq", ("train", "validation"), YES_NO, boolq),
        "cosmosqa": Preset(
            "allenai/cosmos_qa",
            ("train", "validation"),
            YES_NO,
            cosmosqa,
            revision="refs/convert/parquet",
            question=("context", "question"),
        ),
        "amazon_polarity": Preset("fancyzhx/amazon_polarity", ("train",), POLARITY, amazon_polarity, sample=20_000),
        "sst2": Preset("stanfordnlp/sst2", ("train", "validation"), POLARITY, sst2),
    },
)


def register(name: str, preset: Preset, *, replace: bool = False) -> None:
    """Let `hub:NAME` read a data set of the Hub by a preset of your own.

    Raises:
        ValueError: another preset has this name, or it has one of the signs : @ / that `hub:` gives a meaning.
    """
    if not isinstance(preset, Preset):
        raise ValueError(f"preset {name!r} is {preset!r}; expected a w2s_lab.data.presets.Preset")
    if set(name) & set(":@/"):
        raise ValueError(f"a preset is called {name!r}; expected a name without : @ /, as in hub:NAME")
    PRESETS.register(name, preset, replace=replace)


def _proposed(question: str, correct: str, wrong: list[str], context: str = "") -> Example:
    """A multiple choice question as a balanced yes/no question, as in Burns et al. (2023).

    Whether the candidate is the correct answer or a distractor, and which, depends on context and question alone, not
    on the place of the row: by a hash, as a fair coin.
    """
    key = int(content_key(context, question), 16)
    others = sorted({text for text in wrong if text != correct})
    true = key % 2 == 0 or not others
    candidate = correct if true else others[key // 2 % len(others)]
    lines = [f"Question: {question}", f"Proposed answer: {candidate}"]  # first: a long input is cut at its end
    tags = ("none-of-the-above",) if candidate.lower().startswith("none of the above") else ()
    text = "\n".join([*lines, f"Context: {context}"] if context else lines)
    return Example(PROPOSED, text, "yes" if true else "no", tags)


def _text(row: Mapping[str, Any], column: str) -> str:
    if not isinstance(row.get(column), str):
        raise ValueError(f"column {column!r} is {shown(row.get(column))}; expected a text. {_columns(row)}")
    return row[column]


def _one_of(row: Mapping[str, Any], column: str, words: Mapping[Any, Any]) -> Any:
    """The word for a label."""
    if row.get(column) not in words:
        raise ValueError(f"column {column!r} is {shown(row.get(column))}; expected {listed(words)}. {_columns(row)}")
    return words[row[column]]


def _columns(row: Mapping[str, Any]) -> str:
    return f"Hint: the columns here are {listed(row)}; has the data set changed? An older one: @REVISION"


def preset_table(source: str, preset: Preset, parts: list[Any]) -> Table:
    """The examples of a preset as a table with the columns instruction, input, answer and tags.

    Args:
        source: what messages call it, such as `hub:sciq`.
        parts: a `datasets.Dataset` for each of the preset's splits. Only rows that are kept are read from them.

    Raises:
        DataError: a column is missing, or a value is not what it should be; the message names split and row.

    Warns:
        DataWarning: rows were left out, because they repeat a question.
    """
    kept: list[Example] = []
    notes: list[str] = []
    asked: set[str] = set()
    repeats = 0
    for split, part in zip(preset.splits, parts, strict=True):
        places = range(len(part))
        if preset.sample is not None and len(part) > preset.sample:
            places = np.sort(np.random.default_rng(0).choice(len(part), preset.sample, replace=False)).tolist()
            notes.append(f"a sample of {preset.sample:,} of the {len(part):,} rows of {split}, drawn with seed 0.")
            part = part.select(places)
        for place, row in zip(places, part, strict=True):
            try:
                example = preset.example(row)
            except ValueError as error:
                raise DataError(f"{source}, split {split}, row {place + 1}: {error}") from None
            question = content_key(*(row[column] for column in preset.question), *([] if preset.question else [place]))
            if preset.question and question in asked:
                repeats += 1
                continue
            asked.add(question)
            kept.append(example)
    if repeats:
        notes.append(f"{rows_in_words(repeats)} left out: the same question as an earlier row.")
        warnings.warn(f"{source}: {notes[-1]}", DataWarning, stacklevel=4)
    if not kept:
        raise DataError(f"{source}: the data set has no rows")
    return table_of(source, kept, notes)
