"""One notebook, run as Jupyter runs it, and asked for the values that checks judge.

A check asks for a question's value as it was when the question's own cells had run: what the notebook does further down
(a variable `list`, a helper defined anew, `del`, another default dtype) its student did not have there either.
"""

import ast
import asyncio
import builtins
import contextlib
import contextvars
import mmap
import random
import sys
import traceback
import types
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from w2s_lab.assignments.grading import settings, values
from w2s_lab.assignments.grading.shell import Shell

WORDS = 300  # characters of an error's message
ROOM_LEFT = 100_000_000  # bytes of address space; with less, nothing that follows would run
_name_of = type.__dict__["__name__"].__get__  # whatever a metaclass says
_seeds = (random.seed, np.random.seed, torch.manual_seed)


def _empty() -> None: ...


def _documented() -> None:
    """An empty function whose docstring is kept beside its None."""


EMPTY = {one.__code__.co_code for one in (_empty, _documented)}


@dataclass
class _Kept:
    """The notebook after the cell that gave a name its value: names, settings, and that cell's place."""

    names: dict[str, object]
    settings: list[object]
    cell: int


class Room:
    """The names of one notebook, and the requests about them; each returns an answer as plain data."""

    def __init__(self, announce: Callable[[int], None] | None = None) -> None:
        """A notebook without cells; `announce` is called as `Shell` does."""
        self._shell = Shell.new()
        if announce is not None:
            self._shell.announce = announce
        self.names = self._shell.user_ns
        self._first = dict(self.names)
        self._loop = asyncio.new_event_loop()
        self._context = contextvars.copy_context()  # NumPy and decimal keep settings in it
        self._standard = settings.current()
        self._builtins = dict(vars(builtins))
        self._watched: set[str] = set()
        self._given: set[str] = set()
        self._kept: dict[str, _Kept] = {}

    def watch(self, names: list[str], given: list[str]) -> dict:
        """Say which names hold answers, and which builtins the handout itself gives another meaning."""
        self._watched, self._given = set(names), set(given)
        return {"value": "null"}

    def cell(self, source: str, place: int = 0, keep: Sequence[str] = (), most: int | None = None) -> dict:
        """Run a cell, up to its first error.

        Args:
            place: of the cell in its notebook.
            keep: watched names whose notebook is this one from now on, though the cell does not define them.
            most: of its statements; None: all.
        """
        self._shell.most = most
        return self._wait(self._cell(source, place, keep))

    def _wait(self, answer: Coroutine) -> dict:
        """The answer to a request. As in Jupyter, a loop runs around all code, one and the same for all cells."""
        if self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        try:
            return self._loop.run_until_complete(self._loop.create_task(answer, context=self._context))
        except BaseException as error:  # of a task that runs beside
            return _answer(None, error)

    async def _cell(self, source: str, place: int, keep: Sequence[str]) -> dict:
        try:
            transformed, failed = self._shell.transform_cell(source), None
        except BaseException:
            transformed, failed = source, sys.exc_info()
        result = await self._shell.run_cell_async(
            source, store_history=True, transformed_cell=transformed, preprocessing_exc_tuple=failed
        )
        self._shell.last_execution_result = None  # it holds the error, and so all that its frames hold
        with contextlib.suppress(Exception):
            sys.modules["matplotlib.pyplot"].close("all")  # as Jupyter does
        self._keep(place, keep)
        return _answer("null", result.error_before_exec or result.error_in_exec)

    def _keep(self, place: int, also: Sequence[str]) -> None:
        """Keep the notebook as it is for the names that have a new value.

        A stub further down, or a number in the place of a function (`loss = loss(x)`), is not a new answer.
        """
        for name in self._watched & self.names.keys():
            value, kept = self.names[name], self._kept.get(name)
            old = kept.names[name] if kept else None
            if kept and value is not old and not _is_stub(old) and (_is_stub(value) or callable(old) > callable(value)):
                continue
            if kept is None or value is not old or name in also:
                cell = place if kept is None or value is not old else kept.cell
                self._kept[name] = _Kept(dict(self.names), settings.current(), cell)

    def defined(self, names: list[str]) -> dict:
        """Of the names that exist: the place of the cell that gave each its value, and whether that is a stub."""
        found = {}
        for name in names:
            kept = self._kept.get(name)
            if kept:
                found[name] = [kept.cell, _is_stub(kept.names[name])]
            elif name in self.names and self.names[name] is not self._first.get(name, self):
                found[name] = [0, _is_stub(self.names[name])]
        return {"value": values.write(found)}

    def alias(self, name: str, other: str) -> dict:
        """Let a name mean what another, watched name means."""
        kept = self._kept.get(other)
        if kept:
            self._kept[name] = _Kept(kept.names | {name: kept.names[other]}, kept.settings, kept.cell)
        return {"value": "null"}

    def call(self, setup: str, call: str, question: str = "", given: object = None) -> dict:
        """Run the setup and evaluate a call with the notebook's names, which stay as they are.

        Args:
            question: the name whose notebook is meant; "": the notebook after its last cell.
            given: for a criterion: the plain form of what it calls `given`.
        """
        return self._wait(self._call(setup, call, question, given))

    async def _call(self, setup: str, call: str, question: str, given: object) -> dict:
        after, outside = dict(self.names), settings.current()
        kept = self._kept.get(question)
        try:
            if kept:
                for name in filter(self._hides_builtin, after):
                    del self.names[name]
                self.names.update(kept.names)
                settings.restore(kept.settings)
            return await self._evaluate(setup, call, given)
        finally:
            if kept:  # what a function keeps in a global name stays in its notebook
                kept.names.update({name: self.names[name] for name in kept.names if name in self.names})
                self.names.update(after)
            settings.restore(outside)

    def _hides_builtin(self, name: str) -> bool:
        hidden = name in self._builtins and not name.startswith("__") and name not in self._watched | self._given
        return hidden and self.names.get(name) is not self._first.get(name, self)

    async def _evaluate(self, setup: str, call: str, given: object) -> dict:
        """The answer to a call. What the setup draws and rounds must not depend on the notebook's settings. Where the
        call fails then, it may be because it does not fit together with them, and the setup runs under them."""
        own = settings.current()
        for under in (self._standard, own):
            differs = settings.restore(under)
            beside = {name: value for name, value in self.names.items() if not self._hides_builtin(name)}
            beside |= {"__builtins__": dict(self._builtins), "given": values.plain(given)}
            for seed in _seeds:
                seed(0)  # the same random numbers, whatever ran before
            try:
                exec(compile(setup, "<setup>", "exec"), beside)
                if differs:
                    settings.restore(own)
                found = eval(compile(call.strip(), "<call>", "eval", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), beside)
                found = await found if type(found) is types.CoroutineType else found
            except BaseException as error:
                if under is own or not (differs and setup):
                    return _answer(None, error)
                continue
            settings.restore(self._standard)
            try:
                return _answer(values.write(found), None)
            except BaseException as error:  # a generator that fails half-way, a tensor without data
                said = str(error) if type(error) is values.Refused else f"what came back cannot be read: {words(error)}"
                return {**_answer(None, error), "error": said, "type": ""}
        raise AssertionError("one of the two attempts answers")


def _is_stub(value: object) -> bool:
    """Whether a value is what a handout leaves to be written: None, or a function with nothing in it."""
    if isinstance(value, types.FunctionType):
        return value.__code__.co_code in EMPTY
    return value is None or value is ...


def _answer(value: str | None, error: BaseException | None) -> dict:
    """`full`: so little memory is left that the notebook is at its end."""
    answer = {"value": value} if error is None else {"error": words(error), "type": type_name(error)}
    try:
        mmap.mmap(-1, ROOM_LEFT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()  # shared memory is refused
    except (OSError, MemoryError):
        answer["full"] = True
    return answer


def type_name(error: BaseException) -> str:
    """The name of an error's class; every lack of memory is a MemoryError."""
    return "MemoryError" if isinstance(error, MemoryError) else _name_of(type(error))[:60]


def words(error: BaseException) -> str:
    """Type, message, and the line of the submission's own code."""
    try:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename.startswith("<ipython-input")]
        said = str(error)
    except BaseException:
        return type_name(error)
    where = f" (line {lines[-1]} of its cell)" if lines else ""
    return f"{type_name(error)}: {said[:WORDS]}{where}" if said else f"{type_name(error)}{where}"
