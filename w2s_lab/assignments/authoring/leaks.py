"""Proves of a release that the notebook for students holds nothing that no student may see.

What is secret: each line of a solution and of hidden tests, the region as a whole, comments and the parts right of `=`
and `return` in it; call, setup, criterion and wanted value of each hidden check, and the numbers in that value; model
answers, line by line and sentence by sentence.

What is not secret: a student version may hold a line as often as the master's public part holds it, and no more often.
So a line that an instructor shows on purpose is allowed, and the same line left over from a solution is not. Two or
more consecutive lines of a solution in public are an error in any case: the instructor forgot the marks. Lines that say
nothing by themselves (`else:`, `)`, `return x`, `total = 0`, `import torch`) are searched only as parts of their
region. An answer of one word cannot be told from any other word.

How texts are compared: as tokens, both of the text and of what `ast.unparse` makes of it, so that quotes, spaces,
brackets, line breaks and the spelling of numbers do not matter; and as bare letters and digits, which also finds what
was escaped or put into an id. The search covers all texts, names and numbers of the notebook's JSON, and what is inside
base64 and nested JSON. It does not read compressed data, such as the pixels of a picture.
"""

import ast
import base64
import binascii
import functools
import io
import json
import keyword
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nbformat import NotebookNode

from w2s_lab.assignments.authoring.handout import added
from w2s_lab.assignments.authoring.markup import MARK, MasterCell, Region, dedented
from w2s_lab.assignments.authoring.master import Master, read_master
from w2s_lab.assignments.marks.csv_files import cut
from w2s_lab.assignments.records import Assignment, Check

TOKEN = re.compile(
    r"0[xXoObB][0-9a-fA-F_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[^\W\d]\w*"
    r"|\*\*=?|//=?|<<=?|>>=?|->|:=|[-+*/%&|^=!<>@]=|\S"
)
SILENT = set("()[]{},;'\"`\\#")  # tokens that say nothing
PACKED = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
FENCE = re.compile(r"^[ >]*(?:```|~~~)[^\n]*\n(.*?)^[ >]*(?:```|~~~)", re.MULTILINE | re.DOTALL)
# Numbers under these keys are the format's own; texts under these keys are names, in which numbers count cells.
FORMAT_KEYS = {"nbformat", "nbformat_minor", "points", "schema_version", "version", "codemirror_mode"}
NAME_KEYS = {"id", "grade_id"}
SHOWN = 5  # leaks in a message


class ReleaseError(ValueError):
    """A student version that must not be given out."""


@dataclass(frozen=True)
class Secret:
    """One text to search for.

    Attributes:
        what: where it comes from, for the instructor.
        shown: as the master has it.
        tokens: as `_code` writes them; empty: not searched for.
        letters: as `_letters` writes them; empty: too short to be told from other text.
        number: it is a single number, which ids of cells may contain.
        never: an error even if the public part holds it.
    """

    what: str
    shown: str
    tokens: str = ""
    letters: str = ""
    number: bool = False
    never: bool = False


@dataclass(frozen=True)
class Text:
    """One text of a notebook, ready to be searched."""

    where: str
    text: str
    name: bool = False  # an id
    packed: bool = False  # out of base64

    @functools.cached_property
    def codes(self) -> tuple[str, ...]:
        """The tokens as they stand, and as `ast.unparse` writes them."""
        parts = [self.text, *FENCE.findall(self.text)]
        again = [tidy for tidy in map(_tidy, parts) if tidy]
        return _code(self.text), _code("\n".join(again))

    @functools.cached_property
    def letters(self) -> str:
        return _letters(self.text)

    def counts(self, secret: Secret) -> tuple[int, int, int]:
        """How often a secret occurs here: in the tokens, in the tidied tokens, in the letters."""
        if secret.number and (self.name or (self.packed and _digits(secret.shown) < 5)):
            return 0, 0, 0
        codes = [code.count(secret.tokens) if secret.tokens else 0 for code in self.codes]
        return codes[0], codes[1], self.letters.count(secret.letters) if secret.letters else 0


def prove(assignment: Assignment, notebook: NotebookNode) -> None:
    """Raise an error if a notebook holds anything of the assignment that no student may see.

    Args:
        assignment: as read; its master is read again.
        notebook: what students would get.

    Raises:
        ReleaseError: names the secret, its question and its place; also raised if a mark of nbgrader's is left.
        ValueError: the master has a mistake.
    """
    master = read_master(assignment.path)
    texts = list(_texts(notebook))
    public = [Text("", text) for text in _public(master)]
    leaks = [f"{text.where} still has the mark {MARK.search(text.text)[0]}" for text in texts if MARK.search(text.text)]
    for secret in _secrets(master, assignment):
        counts = [text.counts(secret) for text in texts]
        if not any(map(any, counts)):
            continue
        allowed = [0, 0, 0] if secret.never else _sums(text.counts(secret) for text in public)
        # What `ast.unparse` leaves out (comments) or adds differs between a part of a cell and the whole.
        allowed[1] = max(allowed[:2])
        if any(found > most for found, most in zip(_sums(counts), allowed, strict=True)):
            places = [_line(text, secret) for text, found in zip(texts, counts, strict=True) if any(found)]
            often = f" ({max(allowed)} of them public)" if any(allowed) else ""
            leaks.append(f"{secret.what}, {_cut(secret.shown)!r}, stands in {'; '.join(places[:3])}{often}")
    if leaks:
        more = f"\n… and {len(leaks) - SHOWN} more" if len(leaks) > SHOWN else ""
        raise ReleaseError(
            f"the student version of {assignment.path.name} would give away:\n"
            + "\n".join(f"- {leak}" for leak in leaks[:SHOWN])
            + f"{more}\nNothing was written. Hint: take it out there, or put it between marks"
        )


def _sums(counts: Iterable[tuple[int, ...]]) -> list[int]:
    return [sum(column) for column in zip(*counts, strict=True)]


def _line(text: Text, secret: Secret) -> str:
    for number, line in enumerate(text.text.split("\n"), 1):
        if any(Text("", line).counts(secret)):
            return f"{text.where}, line {number}"
    return text.where


def _cut(text: str) -> str:
    return cut(" ".join(text.split()), 80)


# --- texts, made comparable ---


def _tokens(text: str) -> list[str]:
    return [_number(token) for token in TOKEN.findall(text) if token not in SILENT]


def _number(token: str) -> str:
    """Numbers in one spelling: 1e-3 is 0.001, and 3 is 3.0."""
    if not (token[0].isdigit() or (token[0] == "." and len(token) > 1)):
        return token
    try:
        return repr(float(int(token, 0) if token[:2].lower() in ("0x", "0o", "0b") else float(token.replace("_", ""))))
    except (ValueError, OverflowError):
        return token


def _is_number(token: str) -> bool:
    return token[0].isdigit() or (token[0] == "." and len(token) > 1)


def _code(text: str) -> str:
    return "".join(f"\x01{token}\x02" for token in _tokens(text))


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _tidy(text: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.unparse(ast.parse(dedented(text.split("\n"))))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def _digits(number: str) -> int:
    """Significant digits: 1 of 200, 2 of 0.25."""
    return len(re.sub(r"[eE].*", "", number).replace(".", "").replace("-", "").strip("0"))


def _weight(tokens: list[str], small: bool) -> int:
    """How many names and numbers a line has; with `small`, one-digit numbers, True, False and None count too."""
    names = [
        token
        for token in tokens
        if token.isidentifier() and (not keyword.iskeyword(token) or (small and token[0].isupper()))
    ]
    numbers = [token for token in tokens if _is_number(token) and (small or _digits(token) > 1)]
    return len(names) + len(numbers)


# --- where to look ---


def _texts(notebook: NotebookNode) -> Iterator[Text]:
    for number, cell in enumerate(notebook.get("cells", []), 1):
        name = cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") or cell.get("id", "")
        for key, value in cell.items():
            yield from _walk(value, f"cell {number} ({name}), {key}", key)
    for key, value in notebook.items():
        if key != "cells":
            yield from _walk(value, f"the notebook's {key}", key)


def _walk(value: object, where: str, key: str = "", packed: bool = False, depth: int = 0) -> Iterator[Text]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield Text(f"{where}, the name {_cut(str(name))!r}", str(name), name=True)
            yield from _walk(inner, f"{where}, {_cut(str(name))}", str(name), packed, depth)
    elif isinstance(value, (list, tuple)):
        if value and all(isinstance(item, str) for item in value):
            value = ["\n".join(value)]  # a text, line by line
        for item in value:
            yield from _walk(item, where, key, packed, depth)
    elif isinstance(value, str):
        yield from _inside(value, where, key, packed, depth)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and key not in FORMAT_KEYS:
        yield Text(where, repr(value), packed=packed)


def _inside(text: str, where: str, key: str, packed: bool, depth: int) -> Iterator[Text]:
    """A text, and what is packed in it as base64 or JSON."""
    whole = re.fullmatch(r"[A-Za-z0-9+/=_\s-]{64,}", text) and " " not in text.strip()
    parts = ["".join(text.split())] if whole else PACKED.findall(text)
    if not (whole and _unpacked(parts[0])):
        name = key in NAME_KEYS or key in FORMAT_KEYS
        yield Text(where, text, name=name, packed=packed)
    if depth < 3:
        for part in parts:
            if inner := _unpacked(part):
                yield from _inside(inner, f"{where} (decoded)", "", True, depth + 1)
        if text.lstrip()[:1] in ("{", "[") and len(text) > 2:
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                return
            yield from _walk(value, where, "", packed, depth + 1)


def _unpacked(text: str) -> str:
    try:
        plain = text.rstrip("=").replace("-", "+").replace("_", "/")
        raw = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return raw.decode("utf-8", errors="ignore")


def _public(master: Master) -> Iterator[str]:
    """What students may see: the lines outside of all marks, public checks, and what a release adds."""
    for cell in master.cells:
        yield "\n".join(_seen(cell))
    yield from added(master)


def _seen(cell: MasterCell) -> list[str]:
    """A cell's public lines, found in another way than a release finds them, so as not to repeat a mistake there."""
    marked = any(MARK.search(line) for line in cell.lines)
    if not marked and cell.kind in ("solution", "words"):
        return []
    shown, open_ = [], False
    for line in cell.lines:
        mark = MARK.search(line)
        if mark:
            open_ = mark[1] == "BEGIN"
        elif not open_:
            shown.append(line)
    return shown


# --- what to look for ---


def _secrets(master: Master, assignment: Assignment) -> Iterator[Secret]:
    for cell in master.cells:
        for region in cell.regions:
            name = master.names[cell.number]
            if cell.kind == "words":
                yield from _of_words(cell.inside(region), f"the model answer to {name}")
            else:
                yield from _of_code(cell, region, name)
    for check in assignment.checks:
        if check.hidden:
            yield from _of_check(check)


def _secret(what: str, shown: str, *, never: bool = False) -> Secret:
    letters = _letters(shown)
    return Secret(what, shown, _code(shown), letters if len(letters) >= 16 else "", never=never)


def _of_code(cell: MasterCell, region: Region, name: str) -> Iterator[Secret]:
    kind = "hidden tests" if region.hidden else "solution"
    inside = cell.inside(region)
    bare, comments = _without_comments(inside)
    telling = 0
    for number, line in enumerate(bare, region.start + 2):
        if _tells(line, region.hidden):
            telling += 1
            yield _secret(f"line {number} of the {kind} of {name} (cell {cell.number})", line.strip())
    yield from _of_words(comments, f"a comment in the {kind} of {name}", whole=False)
    tidy = _tidy("\n".join(bare))
    for line in tidy.split("\n"):
        if _tells(line, region.hidden):
            yield _secret(f"a line of the {kind} of {name}", line.strip())
    for node in ast.walk(ast.parse(tidy)):
        value = getattr(node, "value", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.NamedExpr)) and value:
            part = ast.unparse(value)
            if _weight(_tokens(part), False) >= 4:
                yield _secret(f"a value in the {kind} of {name}", part)
    whole = "\n".join(bare).strip()
    if _weight(_tokens(whole), True) >= 2 and not _only_imports(tidy):
        yield _secret(f"the {kind} of {name} as a whole", whole, never=telling >= 2)


def _tells(line: str, hidden: bool) -> bool:
    """Whether a line of a region says enough by itself to be searched for."""
    line = line.strip()
    tokens = _tokens(line)
    if re.match(r"import\b", line):
        return False
    if hidden and not re.match(r"from\b", line):
        return _weight(tokens, True) >= 2
    chosen = any(_is_number(token) and _digits(token) > 1 for token in tokens)  # 0.85, not 1 or 0.5
    return _weight(tokens, False) >= (2 if chosen else 3)


def _only_imports(code: str) -> bool:
    body = ast.parse(code).body
    return bool(body) and all(isinstance(one, (ast.Import, ast.ImportFrom)) for one in body)


def _without_comments(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines without their comments, and the comments."""
    text = _dedented_lines(lines)
    bare, comments = list(text), []
    try:
        for token in tokenize.generate_tokens(io.StringIO("\n".join(text) + "\n").readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                bare[row - 1] = bare[row - 1][:column]
                comments.append(token.string.lstrip("# "))
    except (tokenize.TokenError, SyntaxError):
        pass  # part of a statement: the comments found so far are cut
    return bare, comments


def _dedented_lines(lines: list[str]) -> list[str]:
    least = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[least:] for line in lines]


def _of_words(lines: list[str], what: str, whole: bool = True) -> Iterator[Secret]:
    units = {unit.strip() for line in lines for unit in [line, *re.split(r"(?<=[.!?;:])\s+", line)]}
    units = {unit for unit in units if len(re.findall(r"\w+", unit)) >= 4}
    text = " ".join(lines).strip()
    if whole and len(re.findall(r"\w+", text)) >= 2:
        units.add(text)
    for unit in sorted(units):
        letters = _letters(unit)
        if len(letters) >= 8:
            yield Secret(what, unit, letters=letters)


def _of_check(check: Check) -> Iterator[Secret]:
    what = f"of the hidden check {check.name!r}"
    parts = {"the call": check.call, "what is wanted": check.wanted, "the criterion": check.criterion}
    for kind, code in parts.items():
        if code and _weight(_tokens(code), True) >= 2:
            yield _secret(f"{kind} {what}", code)
    for line in check.setup.split("\n"):
        if _tells(line, True):
            yield _secret(f"a line of the setup {what}", line.strip())
    try:
        wanted = ast.parse(check.wanted or "None", mode="eval")
        ast.literal_eval(wanted)
    except (ValueError, TypeError, SyntaxError):
        return
    for node in ast.walk(wanted):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            number = repr(node.value)
            if _digits(number) > 1:
                yield Secret(f"a number {what}", number, tokens=_code(number), number=True)
