"""What every public record can do: become plain JSON values or a pandas DataFrame, and print itself in a few words."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

LONGEST = 300  # characters of a repr
WORDS = 60  # characters of one text or number in it


class Record:
    """Base of the frozen dataclasses that users get to see.

    A class says more than its fields by overriding `_numbers` (derived values for `to_dict`), `_rows` (the rows of
    `to_pandas`) or `_summary` (what stands in its repr).
    """

    _always: ClassVar[tuple[str, ...]] = ()  # fields that the repr shows even if they have their default

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in cls.__dict__:  # else @dataclass would write one that prints every array and tuple whole
            cls.__repr__ = Record.__repr__  # type: ignore[method-assign]

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values: its fields, and the numbers that are computed from them.

        Arrays and tuples become lists; None stands for what is undefined, and for a number that is not finite.
        """
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return json_value(own | self._numbers())

    def to_pandas(self) -> Any:
        """The record as a `pandas.DataFrame`; see `_rows` of the class, or its documentation, for what a row is.

        Raises:
            ImportError: pandas is not installed; the kit does not depend on it.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError(
                f"{type(self).__name__}.to_pandas needs the package pandas. Hint: pip install pandas; to_dict() gives "
                "the same as plain Python values, without it"
            ) from None
        return pandas.DataFrame(self._rows())

    def __repr__(self) -> str:
        return shortened(f"{type(self).__name__}({self._summary()})")

    def _numbers(self) -> dict[str, Any]:
        """Numbers that are computed from the fields."""
        return {}

    def _rows(self) -> list[dict[str, Any]]:
        """The rows of `to_pandas`: one, whose columns are the values of `to_dict`; "recipe.epochs" lies in "recipe"."""
        return [flat(self.to_dict())]

    def _summary(self) -> str:
        """The fields that differ from their defaults."""
        parts = []
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            usual = field.default_factory() if callable(field.default_factory) else field.default
            if field.repr and (field.name in self._always or not _same(value, usual)):
                parts.append(f"{field.name}={abbreviated(value)}")
        return ", ".join(parts)


def _same(value: Any, usual: Any) -> bool:
    try:
        return bool(value is usual or value == usual)
    except (ValueError, TypeError):  # arrays
        return False


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text on one line, cut in the middle if it is too long."""
    text = " ".join(text.split())
    tail = longest // 4
    return text if len(text) <= longest else f"{text[: longest - tail - 5]} ... {text[-tail:]}"


def abbreviated(value: Any) -> str:
    """A value in at most a few words: texts and numbers cut short, of arrays the shape, of long lists the length."""
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, np.ndarray):
        return f"array {list(value.shape)}"
    if isinstance(value, Mapping):
        return _some(
            "{", [f"{abbreviated(key)}: {abbreviated(one)}" for key, one in list(value.items())[:4]], len(value), "}"
        )
    if isinstance(value, tuple | list | set | frozenset):
        some = [abbreviated(one) for _, one in zip(range(4), value, strict=False)]
        left, right = "[]" if isinstance(value, list) else "{}" if isinstance(value, set | frozenset) else "()"
        return _some(left, some, len(value), right)
    return shortened(repr(value), WORDS)


def _some(left: str, some: list[str], count: int, right: str) -> str:
    if len(", ".join(some)) > 2 * WORDS:
        some = some[:1]
    rest = [f"... {count} in all"] if count > len(some) else []
    comma = "," if left == "(" and count == 1 else ""
    return f"{left}{', '.join([*some, *rest])}{comma}{right}"


def json_value(value: Any) -> Any:
    """A value as plain JSON: dict with texts as keys, list, str, int, float, bool or None."""
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.ndarray | np.generic):
        return json_value(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_value(one) for key, one in value.items()}
    if isinstance(value, set | frozenset):
        return [json_value(one) for one in sorted(value, key=str)]
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    if hasattr(value, "to_dict"):
        return json_value(value.to_dict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {field.name: json_value(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return own or {"name": type(value).__name__}
    if isinstance(value, Path):
        return str(value)
    return str(getattr(value, "name", None) or getattr(value, "__name__", type(value).__name__))


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A nested dict as one row: {"a": {"b": 1}} becomes {"a.b": 1}; lists stay in their cell."""
    row: dict[str, Any] = {}
    for key, value in values.items():
        row |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) and value else {f"{before}{key}": value}
    return row


def fraction(value: float | None) -> str:
    """A fraction with three decimals; "unknown" for None."""
    return "unknown" if value is None else f"{value:.3f}"


def columns(**named: Iterable[Any] | None) -> list[dict[str, Any]]:
    """Rows out of columns of one length; a column that is None is left out."""
    kept = {name: list(values) for name, values in named.items() if values is not None}
    return [dict(zip(kept, row, strict=True)) for row in zip(*kept.values(), strict=True)]
