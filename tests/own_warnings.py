"""A deprecated call of ours fails the test that makes it; what libraries do among themselves is theirs to mend.

Python's own filters go by the line that a warning is shown for, which for a network is a line of torch. Here the
caller counts: the first frame that belongs neither to the library that warns nor to what only passes calls on.
"""

import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from places import ROOT

OURS = {ROOT / name for name in ("w2s_lab", "tests")}
DEPRECATIONS = (FutureWarning, DeprecationWarning, PendingDeprecationWarning)
PASS_ON = ("torch/nn/modules/module.py", "torch/utils/_contextlib.py", "contextlib.py", "functools.py")


def library_of(file: str) -> str:
    """`.../site-packages/torch/nn/functional.py` -> `torch`; a file elsewhere is its own library."""
    _, found, inside = file.replace("\\", "/").rpartition("/site-packages/")
    return inside.partition("/")[0] if found else file


def is_ours(file: str) -> bool:
    return any(folder in Path(file).parents for folder in OURS)


def shown_for_ours(warned: Iterable[warnings.WarningMessage]) -> list[warnings.WarningMessage]:
    """Those of recorded warnings that are shown for a line of ours, not of a library's."""
    return [one for one in warned if "/site-packages/" not in one.filename.replace("\\", "/")]


def caller(files: Iterator[str]) -> str:
    """Who called the library that warns; `files` are those of the stack, from the warning outward."""
    warns = library_of(next(files))
    return next((file for file in files if library_of(file) != warns and not file.endswith(PASS_ON)), "")


def stack() -> Iterator[str]:
    """The files of the stack, from who called the function that asks."""
    files, frame = [], sys._getframe(2)
    while frame is not None:
        files.append(frame.f_code.co_filename)
        frame = frame.f_back
    return iter(files)


@pytest.fixture(autouse=True)
def deprecated_calls_of_ours_fail(monkeypatch):
    real = warnings.warn

    def warn(message, category=None, stacklevel=1, *args, **options):
        kind = type(message) if isinstance(message, Warning) else category or UserWarning
        if issubclass(kind, DEPRECATIONS) and is_ours(caller(stack())):
            raise kind(message)
        return real(message, category, stacklevel + 1, *args, **options)

    monkeypatch.setattr(warnings, "warn", warn)
