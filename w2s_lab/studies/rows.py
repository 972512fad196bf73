"""The rows of a study: chosen by their values, and read by name; imports no torch, for what only shows results."""

from typing import Any

Rows = list[dict[str, Any]]


def select(rows: Rows, **wanted: Any) -> Rows:
    """The rows with these values, by seed."""
    found = [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]
    return sorted(found, key=lambda row: row["seed"])


def column(rows: Rows, name: str) -> list[float | None]:
    """One number of each row."""
    return [row.get(name) for row in rows]
