"""Named tables to which users add entries from outside the package, and the modules in which they do so."""

import difflib
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")


class Unknown(ValueError, KeyError):
    """A registry has no entry of this name; the message names those that it has."""

    __str__ = Exception.__str__  # a KeyError would show the message in quotes


class Registry(Mapping[str, T]):
    """Name -> entry, in the order in which they were registered.

    An entry is an object, or the dotted name `package.module:NAME` of one, which is imported when it is first used:
    a table of dotted names imports nothing.

    Attributes:
        kind: what an entry is, such as "study"; for messages.
    """

    def __init__(self, kind: str, entries: Mapping[str, T | str] | None = None) -> None:
        self.kind, self._entries = kind, dict(entries or {})

    def register(self, name: str, entry: T | str, *, replace: bool = False) -> None:
        """Add an entry at the end; with `replace`, in the place of the one that has this name.

        Raises:
            ValueError: the name is not a text, or another entry has it.
        """
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"the name of a {self.kind} is {name!r}; expected a text that is not empty")
        if name in self._entries and not replace and entry not in (self._entries[name], self[name]):
            raise ValueError(f"there is already a {self.kind} {name!r}; expected another name, or replace=True")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            close = difflib.get_close_matches(str(name), self._entries, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            raise Unknown(f"there is no {self.kind} {name!r}; expected one of {', '.join(self._entries)}.{meant}")
        if isinstance(self._entries[name], str):
            self._entries[name] = pkgutil.resolve_name(self._entries[name])
        return self._entries[name]

    def __contains__(self, name: object) -> bool:  # Mapping's own would import the entry
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


# -- modules of the user's ---------------------------------------------------------------------------------------

_plugins: dict[str, Any] = {}


def load_plugin(module: str) -> None:
    """Import a module of your own, such as "my_lab", for what it registers.

    The module is imported again in every process that works for this one (see `jobs.run_jobs`). Modules that are not
    named here are never imported.

    Raises:
        ImportError: there is no such module, or something that it imports is missing.
    """
    _plugins[module] = import_module(module)


def plugins() -> tuple[str, ...]:
    """The names of the modules that were loaded by `load_plugin`, in that order."""
    return tuple(_plugins)
