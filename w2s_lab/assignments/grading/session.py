"""The grader's side of a submission's process: sends requests with a time limit, and replaces a process that dies."""

import contextlib
import json
import multiprocessing
import os
import secrets
import select
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from w2s_lab import assets
from w2s_lab.assignments.grading import values, worker
from w2s_lab.assignments.grading.guards import KERNEL, MB, Kernel, Limits
from w2s_lab.assignments.grading.held import files_held, memory_held
from w2s_lab.assignments.grading.room import WORDS

try:
    import psutil
except ImportError:  # an extra: who reads the notebooks does not need it
    psutil = None

TEMPORARY = 70  # bytes: the socket of the server of processes lies 32 deeper, and has 103 in all on macOS
START = 120.0  # seconds for the first process, which imports torch
LOOK = 0.1  # seconds between looks at what a process holds
LEAST = 0.01  # seconds that a cell gets at least
AGAIN = 4  # times what a cell took before it may take when it runs again
FULL = "it used up its memory"
PATIENCE = 4  # times its limit in CPU seconds may pass on the clock: a busy machine must not cost points


class Stopped(BaseException):
    """The grader was asked to stop while it waited for a submission."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        text: JSON text of a value; None: no value came back.
        reason: why there is no value, in words that may repeat what the submission's own code said.
        kind: "raised", "time", "memory", "died", "size", "unreadable"; "" with a value.
        error: type of the error that was raised.
        ended: statements of a cell that had run to their end when it was stopped.
        full: the process has no memory left for what follows.
        seconds: until it came.
        computed: CPU seconds of the process until then, which the limits count.
    """

    text: str | None
    reason: str = ""
    kind: str = ""
    error: str = ""
    ended: int = 0
    full: bool = False
    seconds: float = 0.0
    computed: float = 0.0

    @property
    def value(self) -> object:
        return None if self.text is None else values.read(self.text)

    @property
    def stopped(self) -> bool:
        """Whether it used up its time or its memory, or ended its process."""
        return self.kind not in ("", "raised") or self.error == "MemoryError"


def readable_places() -> list[str]:
    """What a submission may read: Python, its packages, the kit with its data, fonts and time zones."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    places |= {*map(str, assets.readable()), "/usr/lib", "/usr/share", "/lib", "/lib64", "/etc/localtime"}
    # Not the folder above a virtual environment: it may be a project whose other files a submission must not read.
    return sorted(os.path.realpath(place) for place in places if place and Path(place).exists())


def _context() -> multiprocessing.context.BaseContext:
    """The way to start processes: forked from a server that has imported the libraries and nothing else."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        raise OSError("grading needs Linux or macOS: on Windows, grade in WSL or in a container")
    if len(os.fsencode(temporary := tempfile.gettempdir())) > TEMPORARY:
        raise OSError(
            f"the path of the temporary folder, {temporary}, is too long for a socket; expected at most {TEMPORARY} "
            "bytes. Hint: begin the command with TMPDIR=/tmp"
        )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"{__package__}.preload"])
    return context


def guards_here() -> tuple[str, ...]:
    """The guards in force for submissions on this machine: "limits", and "Landlock", "seccomp" or "audit hook"."""
    with Session() as session:
        session.cell("pass")
        return session.guards


class Session:
    """One submission's code, run cell by cell and then asked for values.

    If a statement of a cell takes too long, fills the memory or ends its process, a new process runs all before it
    again and leaves out the rest of this cell. So one bad cell costs what depends on it, not the rest.
    """

    def __init__(
        self, *, limits: Limits | None = None, kernel: Kernel = KERNEL, stop: threading.Event | None = None
    ) -> None:
        """Prepare a session; its process starts with the first request.

        Args:
            kernel: which of its guards to use.
            stop: once it is set, waiting for an answer raises Stopped.

        Raises:
            OSError: this machine cannot grade.
        """
        if psutil is None:
            raise OSError("grading needs the package psutil. Hint: pip install 'w2s-lab[grading]'")
        self.limits = limits or Limits()
        self._stop = stop or threading.Event()
        self.own_seconds = 0.0  # on the clock
        self._computed = 0.0  # CPU seconds
        self._cells = self._again = 0.0  # seconds of all cells, and of what ran again, as the limits count them
        self.guards: tuple[str, ...] = ()
        self._kernel = kernel
        self._done: list[tuple[str, dict, float]] = []  # requests that a new process has to repeat, and their seconds
        self._process = self._line = self._folder = self._meter = None
        self._looked, self._at_start = 0.0, float("inf")  # when; bytes of memory

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- requests ------------------------------------------------------------------------------------------------------

    def watch(self, names: Sequence[str], given: Sequence[str]) -> None:
        """Say which names hold answers, and which builtins the handout itself gives another meaning."""
        self._repeated("watch", {"names": list(names), "given": list(given)})

    def cell(self, source: str, *, seconds: float | None = None, place: int = 0, keep: Sequence[str] = ()) -> Answer:
        """Run a cell: at most so many seconds, and at most half of what is left for all cells. What stopped it does not
        run again. `place` and `keep` are those of `Room.cell`."""
        left, before = self.limits.total - self._cells, self._spent()
        if left < LEAST:
            return Answer(None, f"the {self.limits.total:g} seconds for all cells were used up", "time")
        request = {"source": source, "place": place, "keep": list(keep)}
        answer = self._ask("cell", request, min(self.limits.cell if seconds is None else seconds, left / 2))
        self._cells += self._spent() - before
        if answer.full:
            answer = replace(answer, text=None, reason=FULL, kind="memory")
            self.close()
        self._remember(request, answer, len(self._done))
        return answer

    def _remember(self, request: dict, answer: Answer, place: int) -> None:
        """Let a new process run a cell again; of one that was stopped, what had run to its end."""
        if answer.kind not in ("", "raised") or answer.full:
            if not answer.ended or answer.kind == "unreadable":
                return
            request = request | {"most": answer.ended}
        self._done.insert(place, ("cell", request, answer.computed))

    def defined(self, names: Sequence[str]) -> dict[str, tuple[int, bool]]:
        """Of the names that the submission defines: the place of the cell that gave each its value, and whether that
        is a stub."""
        answer, found = self._ask("defined", {"names": list(names)}, self.limits.cell), {}
        with contextlib.suppress(ValueError):
            for name, about in answer.value.items() if isinstance(answer.value, dict) else ():
                if name in names and isinstance(about, list) and len(about) == 2 and type(about[0]) is int:
                    found[name] = about[0], about[1] is True
        return found

    def alias(self, name: str, other: str) -> None:
        """Let `name` mean what `other` means."""
        self._repeated("alias", {"name": name, "other": other})

    def _repeated(self, what: str, arguments: dict) -> None:
        self._ask(what, arguments, self.limits.cell)
        self._done.append((what, arguments, 0.0))

    def call(self, setup: str, call: str, *, seconds: float, question: str = "", given: object = None) -> Answer:
        """Evaluate a call after its setup, in the notebook as it was after the question's own cells."""
        if seconds <= 0:
            return Answer(None, "it had to be stopped too often, and does not run again", "time")
        arguments = {"setup": setup, "call": call, "question": question, "given": given}
        answer = self._ask("call", arguments, seconds)
        if answer.full:
            self.close()
        return replace(answer, reason=FULL, kind="memory", error="") if answer.full and answer.kind else answer

    # -- the process ---------------------------------------------------------------------------------------------------

    def _spent(self) -> float:
        """What the limits count: CPU seconds, or a part of those on the clock."""
        return max(self._computed, self.own_seconds / PATIENCE)

    def _ask(self, what: str, arguments: dict, seconds: float) -> Answer:
        if self._process is None and not self._begin():
            return Answer(None, f"its cells had to run again for more than {self.limits.total:g} seconds", "time")
        answer = self._request(what, arguments, seconds)
        if answer.kind not in ("", "raised"):
            self.close()
        return answer

    def _begin(self) -> bool:
        """Start a process and repeat what was done, without what does not run to its end this time; False if that has
        taken too long."""
        place = 0
        while self._again <= self.limits.total:
            if self._process is None:
                self._start()
                place = 0
            if place == len(self._done):
                return True
            (what, arguments, took), before = self._done[place], self._spent()
            answer = self._request(what, arguments, min(self.limits.cell, AGAIN * took + 1))
            self._again += self._spent() - before
            if answer.kind in ("", "raised") and not answer.full:
                place += 1
                continue
            self.close()
            del self._done[place]
            if what == "cell" and "most" not in arguments:  # else not even what it did before runs again
                self._remember(arguments, answer, place)
        self.close()
        return False

    def _start(self) -> None:
        self._folder, self._at_start = Path(tempfile.mkdtemp(prefix="w2s-grade-")), float("inf")
        context = _context()
        self._line, far = context.Pipe()
        room = (far, str(self._folder), readable_places(), self.limits, self._kernel)
        self._process = context.Process(target=worker.serve, args=room, daemon=True)
        with _small_environment():
            self._process.start()
        far.close()
        os.set_blocking(self._line.fileno(), False)
        first = self._exchange(b"", 0, START)
        if first.kind:
            self.close()
            raise OSError(f"a process for a submission could not be started: {first.reason}")
        self.guards, self._at_start = tuple(first.value), memory_held(self._meter)

    def _request(self, what: str, arguments: dict, seconds: float) -> Answer:
        number = secrets.randbits(60) + 1
        request = json.dumps({"do": what, **arguments, "number": number}).encode() + b"\n"
        with self._awake():
            answer = self._exchange(request, number, seconds)
        self.own_seconds += answer.seconds
        self._computed += answer.computed
        return answer

    def _exchange(self, request: bytes, number: int, seconds: float) -> Answer:
        """Send a request and read the line that answers it. Never waits longer than allowed, since the other side may
        read nothing or send half a line."""
        started, before = time.perf_counter(), self._used()
        out, found, ended = memoryview(request), bytearray(), 0

        def answer(text: str | None, reason: str = "", kind: str = "", error: str = "", full: bool = False) -> Answer:
            used = max(0.0, self._used() - before)
            return Answer(text, reason, kind, error, ended, full, time.perf_counter() - started, used)

        while True:
            if self._stop.is_set():
                raise Stopped
            if self._used() - before > seconds or time.perf_counter() - started > PATIENCE * seconds:
                return answer(None, f"it took longer than {seconds:.3g} seconds", "time")
            if len(found) > self.limits.answer:
                return answer(None, "what came back is too large", "unreadable")
            ready, free, _ = select.select([self._line], [self._line] if out else [], [], LOOK)
            if time.perf_counter() - self._looked > LOOK and (much := self._too_much()):
                return answer(None, much, "size")
            try:
                if free:
                    out = out[os.write(self._line.fileno(), out[:65_536]) :]
                if ready:
                    more = os.read(self._line.fileno(), 65_536)
                    found += more
                    if not more:
                        raise ConnectionResetError
            except BlockingIOError:
                continue
            except OSError:
                return answer(None, f"it ended its process{self._last_words()}", "died")
            while b"\n" in found:
                line, _, found = found.partition(b"\n")
                try:
                    reply = json.loads(line)
                    if reply["number"] != number:  # left over from a request that was answered twice
                        continue
                    if "ended" in reply:
                        ended = max(0, int(reply["ended"]))
                        continue
                    full = reply.get("full") is True
                    if "value" in reply:
                        values.read(reply["value"])
                        return answer(reply["value"], full=full)
                    said, error = str(reply["error"])[: WORDS + 100], str(reply["type"])[:60]
                    return answer(None, said, "raised", error, full)
                except (ValueError, KeyError, TypeError, RecursionError):
                    return answer(None, "what came back could not be read", "unreadable")

    def _used(self) -> float:
        """CPU seconds of the process so far."""
        try:
            self._meter = self._meter or psutil.Process(self._process.pid)
            times = self._meter.cpu_times()
        except psutil.Error:
            return 0.0
        return times.user + times.system

    @contextlib.contextmanager
    def _awake(self) -> Iterator[None]:
        """Let the process run meanwhile. Between requests it stands still, since then nobody looks what it does."""
        still = sys.platform == "linux"  # elsewhere such a process would outlive a grader that is killed
        with contextlib.suppress(psutil.Error):
            if still:
                self._meter.resume()
        yield
        with contextlib.suppress(psutil.Error):
            if still:
                self._meter.suspend()

    def _too_much(self) -> str:
        """What the process holds beyond its limits, in words; "" for nothing."""
        limits, self._looked = self.limits, time.perf_counter()
        files = files_held(self._meter, self._folder, enough=limits.folder, mapped=limits.file)
        if files > limits.folder:
            return f"it held more than {limits.folder / MB:.0f} MB in files"
        if files + memory_held(self._meter) - self._at_start > limits.memory:
            return f"it held more than {limits.memory / MB:.0f} MB in memory and files"
        return ""

    def _last_words(self) -> str:
        self._process.join(2)
        code = self._process.exitcode
        return f" (signal {-code})" if code and code < 0 else ""

    def close(self) -> None:
        """End the process and remove its folder."""
        if self._process is not None:
            if self._process.pid is not None:  # it was started
                self._process.kill()
                self._process.join()
            self._process.close()
            self._line.close()
        if self._folder is not None:
            _remove(self._folder)
        self._process = self._line = self._folder = self._meter = None


def _remove(folder: Path) -> None:
    """Remove a folder with everything in it, even if it is unreadable or nested deeper than Python can go."""
    with contextlib.suppress(OSError, RecursionError):
        for parent, folders, _ in os.walk(folder):
            for name in folders:
                if not os.path.islink(os.path.join(parent, name)):
                    os.chmod(os.path.join(parent, name), 0o700)  # before the walk goes into it
        shutil.rmtree(folder)
    if folder.exists():
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False, capture_output=True)


@contextlib.contextmanager
def _small_environment():
    """If this is the server's first start, give it an environment with only what Python needs."""
    kept, needed = dict(os.environ), ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
    from multiprocessing.forkserver import _forkserver

    if _forkserver._forkserver_pid is not None:
        yield
        return
    try:
        os.environ.clear()
        os.environ.update({name: kept[name] for name in needed if name in kept})
        os.environ.update(OMP_NUM_THREADS="1", PYTHONHASHSEED="0", HF_HUB_OFFLINE="1", MPLBACKEND="agg")
        os.environ["JOBLIB_MULTIPROCESSING"] = "0"  # scikit-learn then takes one process, whatever `n_jobs` asks for
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
