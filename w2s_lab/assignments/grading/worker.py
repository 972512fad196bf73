"""The process of one submission: it runs cells, evaluates calls, and returns plain JSON text.

A submission can change anything in this process, but only for itself: the process holds no expected values, and the
grader compares each answer in another process.
"""

import ast
import contextlib
import json
import os
import random
import sys
import tempfile
import traceback
import types
from multiprocessing.connection import Connection
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

from w2s_lab.assignments.grading import guards, values

WORDS = 300  # characters of an error's message
_name_of = type.__dict__["__name__"].__get__  # whatever a metaclass says
KEPT = ("LANG", "LC_ALL", "TZ")


class _Shell:
    """What `get_ipython()` returns here: magics and shell lines do nothing; `%%time` and the like run their cell."""

    def __init__(self, run) -> None:
        self._run = run

    def run_line_magic(self, name: str, line: str, **_: object) -> None: ...

    def run_cell_magic(self, name: str, line: str, cell: str, **_: object) -> None:
        if name in ("time", "timeit", "capture"):
            self._run(cell)

    def getoutput(self, command: str, **_: object) -> list[str]:
        return []

    def __getattr__(self, name: str):
        return lambda *_, **__: None


class Room:
    """The names of one notebook, and the requests about them."""

    def __init__(self) -> None:
        self.module = types.ModuleType("__main__")
        self.names = self.module.__dict__
        self.names["get_ipython"] = lambda: _Shell(self._execute)
        self.names["__builtins__"] = __builtins__
        with contextlib.suppress(ImportError):
            from IPython.display import display

            self.names["display"] = display
        sys.modules["__main__"] = self.module

    def _execute(self, source: str) -> None:
        exec(compile(TransformerManager().transform_cell(source), "<cell>", "exec"), self.names)

    def cell(self, source: str) -> dict:
        """Run a cell, up to its first error."""
        try:
            self._execute(source)
        except BaseException as error:  # a cell may raise SystemExit or KeyboardInterrupt too
            return {"error": _words(error), "type": _type(error)}
        return {"value": "null"}

    def defined(self, names: list[str]) -> dict:
        """Which of the names exist."""
        return {"value": json.dumps([name for name in names if name in self.names])}

    def alias(self, name: str, other: str) -> dict:
        """Let a name mean what another name means."""
        if other in self.names:
            self.names[name] = self.names[other]
        return {"value": "null"}

    def call(self, setup: str, call: str, given: object = None) -> dict:
        """Run the setup and evaluate a call with the notebook's names, which stay as they are.

        Args:
            given: for a criterion: the plain form of what it calls `given`.
        """
        beside = dict(self.names)
        _seed()  # the same random numbers, whatever ran before
        try:
            beside["given"] = values.plain(given)
            if setup:
                exec(compile(setup, "<setup>", "exec"), beside)
            found = eval(compile(ast.parse(call.strip(), "<call>", "eval"), "<call>", "eval"), beside)
        except BaseException as error:
            return {"error": _words(error), "type": _type(error)}
        try:
            return {"value": values.write(found)}
        except BaseException as error:  # a generator that fails half-way, a tensor without data
            said = str(error) if type(error) is values.Refused else f"what came back cannot be read: {_words(error)}"
            return {"error": said, "type": ""}


def _type(error: BaseException) -> str:
    return _name_of(type(error))[:60]


def _words(error: BaseException) -> str:
    """Type, message, and the line of the submission's own code."""
    try:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<cell>"]
        said = str(error)
    except BaseException:
        return _type(error)
    where = f" (line {lines[-1]} of its cell)" if lines else ""
    return f"{_type(error)}: {said[:WORDS]}{where}" if said else f"{_type(error)}{where}"


def _scrub(folder: Path) -> None:
    """Leave an environment that says nothing about this machine, with an empty folder as home and working folder."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR", "HF_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(folder)
    os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", MPLBACKEND="agg", TOKENIZERS_PARALLELISM="false")
    os.environ.update(W2S_LAB_PROGRESS=str(folder / "progress.json"), W2S_LAB_STORE=str(folder / "runs"))
    os.chdir(folder)
    tempfile.tempdir = None  # the server of processes has asked already, and got another one
    sys.argv = [""]
    sys.path[:] = [path for path in sys.path if path and Path(path).is_absolute()]


def _silent() -> None:
    """Discard what a submission prints, so that a gigabyte of output costs nothing."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    replaced = {"encoding": "utf-8", "errors": "backslashreplace"}  # whatever the machine's own encoding is
    sys.stdin, sys.stdout, sys.stderr = (open(stream, mode, **replaced) for stream, mode in enumerate("rww"))  # noqa: SIM115


def _seed() -> None:
    import numpy
    import torch

    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)


def _receive(line: int, rest: bytearray) -> dict:
    """The next request, a line of JSON; raises EOFError if the other side has hung up."""
    while b"\n" not in rest:
        more = os.read(line, 1 << 16)
        if not more:
            raise EOFError
        rest += more
    text, _, after = bytes(rest).partition(b"\n")
    rest[:] = after
    return json.loads(text)


def _send(line: int, answer: str) -> None:
    left = memoryview(answer.encode() + b"\n")
    while left:
        left = left[os.write(line, left) :]


def serve(
    connection: Connection, folder: str, readable: list[str], limits: guards.Limits, kernel: guards.Kernel
) -> None:
    """Answer requests until the other side hangs up; runs in a process of its own and never returns.

    A request is a line of JSON: `number`, `do` (a method of `Room`) and its arguments. Its answer repeats the number.
    """
    line, rest, dumps = connection.fileno(), bytearray(), json.dumps
    try:
        os.setsid()
        guards.close_all_but([line])
        _scrub(Path(folder))
        _silent()
        active = guards.enter(Path(folder), [Path(path) for path in readable], limits, kernel=kernel)
        _send(line, dumps({"number": 0, "value": dumps(active)}))
        room = Room()
        while True:
            request = _receive(line, rest)
            number, what = request.pop("number"), request.pop("do")
            _send(line, dumps({"number": number, **getattr(room, what)(**request)}))
    except EOFError:
        pass
    except Exception as error:  # before the first cell: a guard that could not be set
        with contextlib.suppress(Exception):
            _send(line, dumps({"number": 0, "error": _words(error), "type": _type(error)}))
    finally:
        os._exit(0)
