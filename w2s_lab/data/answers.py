"""Answers as they are spelt: which are missing, which look alike, and the `answers` that would join them."""

import csv
import json
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from w2s_lab.data.tables import MAX_CLASSES, MAX_WORD, DataError, looks_closed, recurs, shown

Answers = Sequence[str] | Mapping[str, str] | Path

MISSING = ("", "nan", "null", "<na>", "#n/a", "nat")  # in any case; what programs write where there is no answer
UNCLEAR = ("None", "NA", "N/A", "n/a")  # may be an answer, or what a program wrote where there is none

_TRUTH = (("yes", "no"), ("true", "false"), (Decimal(1), Decimal(0)), ("y", "n"), ("t", "f"))
_SIDE: dict[Hashable, str] = {word: side for pair in _TRUTH for word, side in zip(pair, ("yes", "no"), strict=True)}
_KIND: dict[Hashable, int] = {word: kind for kind, pair in enumerate(_TRUTH) for word in pair}
_NUMBER = re.compile(r"[+-]?(\d+([.]\d*)?|[.]\d+|\d+,\d{1,2})(e[+-]?\d{1,6})?")
_AROUND = "\"'`´‘’‚“”„‹›«»()[]{}<>.,;:!* \t"
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
)  # drawn as nothing
_DASHES = re.compile(r"[\s_\-\u2010-\u2015]+")
_PLAIN = re.compile(r"[^\W_][\w.+\-/ ]*")  # what a shell and the comma-separated list take as it is


def is_missing(answer: str) -> bool:
    """Whether a cell holds no answer: it is empty, or holds what programs write for that, such as NaN or null."""
    return answer.strip().casefold() in MISSING


def folded(answer: str) -> Hashable:
    """What look-alike answers have in common.

    Letters in any width and case are one, as are invisible characters and none, dashes and blanks, quotes or
    punctuation around a word and none; numbers count by their value, so that 1, 1.0 and 01 are one.
    """
    text = unicodedata.normalize("NFKC", _IGNORED.sub("", unicodedata.normalize("NFKC", answer)))
    text = "".join(
        c for c in text if unicodedata.category(c) != "Cf" and (c.isspace() or unicodedata.category(c) != "Cc")
    )
    text = unicodedata.normalize("NFKC", " ".join(text.casefold().split())).replace("\u2212", "-")
    for candidate in (text, text.strip(_AROUND)):
        if _NUMBER.fullmatch(candidate):
            return Decimal(candidate.replace(",", "."))
    bare = text.strip(_AROUND) or text
    return _DASHES.sub(" ", bare).strip() or bare


def look_alikes(counts: Mapping[str, int]) -> dict[str, list[str]]:
    """The answer to keep -> all spellings that look like it, the most frequent first; both in the order of `counts`.

    Args:
        counts: rows of each answer. If all of them are words for yes and no, such as true, 1 and n, then those
            count as look-alikes too.
    """
    keys = {answer: folded(answer) for answer in counts}
    truth = {key for key in keys.values() if key in _SIDE}
    if truth >= set(keys.values()):
        joined = dict(_SIDE)
    else:
        joined = {word: side for pair, side in ((("yes", "true"), "yes"), (("no", "false"), "no")) for word in pair
                  if truth >= set(pair)}  # fmt: skip
    kinds = Counter(
        {kind: 0 for kind in _KIND.values()}
    )  # yes and no, true and false, ...: the most frequent one is kept
    for answer, key in keys.items():
        if key in joined:
            kinds[_KIND[key]] += counts[answer]
    usual = kinds.most_common(1)[0][0]
    groups: dict[Hashable, list[str]] = {}
    for answer, key in keys.items():
        groups.setdefault(joined.get(key, key), []).append(answer)
    found = {}
    for spellings in groups.values():
        ordered = sorted(spellings, key=lambda answer: (-counts[answer], not answer.islower(), len(answer), answer))
        best = min(
            ordered,
            key=lambda a: (not _shows_all(a), a.strip(_AROUND) != a, keys[a] in joined and _KIND[keys[a]] != usual),
        )
        found[best] = ordered
    return found


def _shows_all(answer: str) -> bool:
    """Whether the answer looks as it is spelt."""
    return answer.isprintable() and unicodedata.normalize("NFKC", answer) == answer and not _IGNORED.search(answer)


def _joining(groups: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The mapping, for `answers`, that gives every spelling the answer of its group."""
    return {spelling: answer for answer, spellings in groups.items() for spelling in spellings}


def ready(answers: Mapping[str, str] | Sequence[str]) -> str:
    """These answers as an option to paste into a command line, and as an argument to paste into Python."""
    return f"--answers {_option(answers)} (in Python, answers={_python(answers)})"


def _option(answers: Mapping[str, str] | Sequence[str]) -> str:
    pairs = [*answers.items()] if isinstance(answers, Mapping) else [(answer,) for answer in answers]
    words = [word for pair in pairs for word in pair]
    if all(_PLAIN.fullmatch(word) and _shows_all(word) for word in words):
        text = ",".join(map("=".join, pairs))
        return f'"{text}"' if " " in text else text
    hidden = not all(map(_shows_all, words))
    return shlex.quote(json.dumps(dict(pairs) if isinstance(answers, Mapping) else words, ensure_ascii=hidden))


def _python(answers: Mapping[str, str] | Sequence[str]) -> str:
    value = dict(answers) if isinstance(answers, Mapping) else list(answers)
    words = [*value, *(value.values() if isinstance(value, dict) else ())]
    return repr(value) if all(map(_shows_all, words)) else ascii(value)


def _spelling_doubt(counts: Counter[str]) -> str | None:
    """The sentence on look-alikes among the answers of a closed task; None if there are none."""
    groups = look_alikes(counts)
    alike = [spellings for spellings in groups.values() if len(spellings) > 1]
    if not alike:
        return None
    told = "; ".join(", ".join(f"{_told(a)} ({counts[a]} rows)" for a in spellings) for spellings in alike[:10])
    more = "; ..." if len(alike) > 10 else ""
    return (
        f"{len(counts)} answers are {len(groups)} if look-alikes are joined: {told}{more}. Each spelling "
        f"counts as an answer of its own. To join them: {ready(_joining(groups))}."
    )


def _told(answer: str) -> str:
    return shown(answer) if _shows_all(answer) else ascii(answer)


def closed_list(words: list[str], *, closed: bool) -> tuple[tuple[str, ...] | None, list[str]]:
    """The closed list of these answers, the most frequent first, ties in alphabetical order; and doubts about it.

    It is None for free text.
    """
    counts = Counter(words)
    doubts = []
    joined = _joining(look_alikes(counts)) if closed or all(len(word) <= MAX_WORD for word in counts) else {}
    if closed or looks_closed(words) or (joined and looks_closed([joined[word] for word in words])):
        if doubt := _spelling_doubt(counts):
            doubts.append(doubt)
        for word in UNCLEAR:
            if word in counts:
                doubts.append(
                    f"{shown(word)} ({counts[word]} rows) is read as an answer like the others. If there is no answer "
                    "in these rows, delete them or leave the cell empty."
                )
    elif recurs(words):
        doubts.append(
            f"the answers are read as free text, since {len(counts)} different ones, each a short text, are more than "
            f"{MAX_CLASSES}. If they are a closed list, say --closed (closed=True in Python); if not, say --open "
            "(open_ended=True)."
        )
    if closed or looks_closed(words):
        return tuple(sorted(counts, key=lambda word: (-counts[word], word))), doubts
    return None, doubts


def parsed(text: str) -> tuple[str, ...] | dict[str, str]:
    """The answers that a command line gives.

    Args:
        text: `a,b,c`, where `"a, b"` in quotes may have a comma; `value=word,value=word` where the column holds values
            that stand for words; a list or an object in JSON; or `@FILE`, see `from_file`.

    Raises:
        DataError: (a ValueError) it is none of these.
    """
    if text.startswith("@"):
        return from_file(Path(text[1:]).expanduser())
    if text.lstrip().startswith(("[", "{")):
        return _from_json("--answers", text)
    try:
        (parts,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise DataError(f"{text!r}: {error}; expected a,b,c with quotes around an answer that has a comma") from None
    parts = [part.strip() for part in parts]
    if not any("=" in part for part in parts):
        return tuple(parts)
    if not all(part.count("=") == 1 for part in parts):
        raise DataError(
            f"{text!r}: expected a,b,c or value=word,value=word. "
            "Hint: write answers that have a = in JSON, or one a line in a file, --answers @FILE"
        )
    return _mapping(text, [part.split("=") for part in parts])


def from_file(path: Path) -> tuple[str, ...] | dict[str, str]:
    """The answers in a file: one a line, or `value TAB answer` in every line, or a list or an object in JSON.

    Raises:
        DataError: the file cannot be read, or is none of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(
            f"{path}: the answers cannot be read ({reason}). Hint: expected a file, one answer a line"
        ) from None
    if text.lstrip().startswith(("[", "{")) and (path.suffix.lower() == ".json" or text.rstrip()[-1] in "]}"):
        return _from_json(str(path), text)
    lines = [line.strip(" ") for line in text.split("\n") if line.strip()]
    tabs = {line.count("\t") for line in lines}
    if tabs <= {0}:
        return tuple(lines)
    if tabs != {1}:
        raise DataError(f"{path}: expected one answer a line, or in every line a value, a tab and an answer")
    return _mapping(str(path), [line.split("\t") for line in lines])


def _from_json(where: str, text: str) -> tuple[str, ...] | dict[str, str]:
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _mapping(where, pairs))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: {text[:60]!r} is not valid JSON ({error.msg}); expected a list or an object"
        ) from None
    words = value.values() if isinstance(value, dict) else value
    if not all(isinstance(word, (str, int, float)) for word in words):
        raise DataError(f"{where}: {text[:60]!r}: expected answers, or values and answers, as texts")
    return value if isinstance(value, dict) else tuple(value)


def _mapping(where: str, pairs: Iterable[Sequence[str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value, word in pairs:
        value = value.strip()
        if found.setdefault(value, word) != word:
            raise DataError(f"{where}: {value!r} stands for {found[value]!r} and for {word!r}; expected one answer")
    return found
