"""Results of the studies that take too long to run in a notebook: shipped with the kit, read from `data/results/`."""

import json
from functools import cache
from pathlib import Path

from w2s_lab import assets


def measured(name: str) -> dict:
    """What `w2s-lab study NAME` found, such as "flywheel": settings, summaries, and a row of numbers per seed.

    Raises:
        ValueError: there is no such study.
    """
    path = assets.RESULTS / f"{name}.json"
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in assets.RESULTS.glob("*.json")))
        raise ValueError(f"there is no study {name!r} in data/results; expected one of {known}")
    return json.loads(_text(path))


@cache
def _text(path: Path) -> str:
    """The text of a study's file, read from disk once; `measured` makes a new object from it for every caller."""
    return path.read_text(encoding="utf-8")
