"""The process of one submission: it answers requests to run cells and to evaluate calls with plain JSON text.

A submission can change anything in this process, but only for itself: the process holds no expected values, and the
grader compares each answer in another process.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import matplotlib

from w2s_lab.assignments.grading import guards
from w2s_lab.assignments.grading.room import Room, type_name, words

KEPT = ("LANG", "LC_ALL", "TZ")


def _scrub(folder: Path) -> None:
    """Leave an environment that says nothing about this machine, with an empty folder as home and working folder."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "HF_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(folder)
    os.environ["IPYTHONDIR"] = str(folder / ".ipython")
    os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", MPLBACKEND="agg", TOKENIZERS_PARALLELISM="false")
    os.environ.update(W2S_LAB_PROGRESS=str(folder / "progress.json"), W2S_LAB_STORE=str(folder / "runs"))
    os.chdir(folder)
    tempfile.tempdir = None  # the server of processes has asked already, and got another one
    sys.argv = [""]
    sys.path[:] = ["", *(path for path in sys.path if path and Path(path).is_absolute())]  # as in Jupyter


def _silent() -> None:
    """Discard what a submission prints, so that a gigabyte of output costs nothing."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    replaced = {"encoding": "utf-8", "errors": "backslashreplace"}  # whatever the machine's own encoding is
    sys.stdin, sys.stdout, sys.stderr = (open(stream, mode, **replaced) for stream, mode in enumerate("rww"))  # noqa: SIM115


def _windowless() -> None:
    """Keep the backend of figures that needs no window, whichever a notebook asks for."""
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    matplotlib.use = pyplot.switch_backend = lambda *_, **__: None


def warm() -> None:
    """Run a cell once, so that processes forked from this one do not begin with what IPython does at its first cell."""
    main, kept = sys.modules["__main__"], os.environ.get("IPYTHONDIR")
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.environ["IPYTHONDIR"] = folder
        Room().cell("%time done = 0\ndone")
    os.environ.pop("IPYTHONDIR")
    if kept is not None:
        os.environ["IPYTHONDIR"] = kept
    sys.modules["__main__"] = main


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
    Before it may come lines that say how many statements of a cell have run to their end.
    """
    line, rest, dumps, number = connection.fileno(), bytearray(), json.dumps, 0

    def announce(ended: int) -> None:
        _send(line, dumps({"number": number, "ended": ended}))

    try:
        os.setsid()
        guards.close_all_but([line])
        _scrub(Path(folder))
        _silent()
        _windowless()
        room = Room(announce)
        active = guards.enter(Path(folder), [Path(path) for path in readable], limits, kernel=kernel)
        _send(line, dumps({"number": 0, "value": dumps(active)}))
        while True:
            request = _receive(line, rest)
            number, what = request.pop("number"), request.pop("do")
            _send(line, dumps({"number": number, **getattr(room, what)(**request)}))
    except EOFError:
        pass
    except Exception as error:  # before the first cell: a guard that could not be set
        with contextlib.suppress(Exception):
            _send(line, dumps({"number": 0, "error": words(error), "type": type_name(error)}))
    finally:
        os._exit(0)
