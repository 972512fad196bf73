"""Writes and reads tables for spreadsheets, so that no cell becomes a formula and no name is lost."""

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from w2s_lab.system.files import replacing

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # a cell that begins so is a formula, in one program or another


def number_text(points: float) -> str:
    """Points for people, with at most two decimals and no trailing zeros."""
    return f"{points:.2f}".rstrip("0").rstrip(".")


def points_text(points: float) -> str:
    """`4 points`, `1 point`."""
    return f"{number_text(points)} point{'' if points == 1 else 's'}"


def cut(text: str, letters: int) -> str:
    """`text` of at most so many letters."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def printable(text: str) -> str:
    """`text` without what a terminal or a page would act on: escapes, other controls, changes of writing direction."""
    text = re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", "", text)
    return "".join(sign for sign in text if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs"))


def protected(text: str) -> str:
    """A cell that a spreadsheet shows unchanged: text that looks like a formula gets an apostrophe in front."""
    text = text.replace("\0", "")
    bare = text.lstrip("'")  # an apostrophe of the text's own gets another one: none is taken for ours
    return f"'{text}" if bare.lstrip().startswith(FORMULA) or bare[:1] in ("\t", "\r", "\n") else text


def unprotected(text: str) -> str:
    """The cell as it was before `protected`."""
    return text[1:] if text.startswith("'") and protected(text[1:]) == text else text


def write_rows(path: Path, rows: Iterable[Sequence[object]], encoding: str) -> None:
    with replacing(Path(path)) as new, new.open("w", encoding=encoding, errors="replace", newline="") as file:
        csv.writer(file).writerows(rows)


def csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file as spreadsheets write it (comma, semicolon or tab), each with the line it begins in."""
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # Excel's "CSV" without "UTF-8"
    first = text.partition("\n")[0]
    reader, rows, line = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count)), [], 1
    try:
        for cells in reader:
            rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, line {line}: {error}; expected a CSV file. Hint: save it again as CSV") from error
    return [(line, cells) for line, cells in rows if any(cell.strip() for cell in cells)]


def decimal(text: str) -> float:
    """A number with a point or a comma; nan for other text."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan
