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
from dataclasses import dataclass
from pathlib import Path

from w2s_lab import assets
from w2s_lab.assignments.grading import values, worker
from w2s_lab.assignments.grading.guards import KERNEL, MB, Kernel, Limits

try:
    import psutil

    from w2s_lab.assignments.grading.held import files_held, memory_held
except ImportError:  # an extra: who reads the notebooks does not need it
    psutil = None

TEMPORARY = 70  # bytes: the socket of the server of processes lies 32 deeper, and has 103 in all on macOS
START = 120.0  # seconds for the first process, which imports torch
LOOK = 0.1  # seconds between looks at what a process holds
PATIENCE = 4  # times its limit in CPU seconds may pass on the clock: a busy machine must not cost points


class Stopped(BaseException):
    """The grader was asked to stop while it waited for a submission."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        text: JSON text of a value; None: no value came back.
        reason: why there is no value, in words that may repeat what the submission's own code said.
        kind: "raised", "time", "died", "size", "unreadable"; "" with a value.
        error: type of the error that was raised.
        seconds: until it came.
        computed: CPU seconds of the process until then, which the limits count.
    """

    text: str | None
    reason: str = ""
    kind: str = ""
    error: str = ""
    seconds: float = 0.0
    computed: float = 0.0

    @property
    def value(self) -> object:
        return None if self.text is None else values.read(self.text)


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

    If a cell takes too long or ends its process, a new process runs all cells before it again and leaves it out. So one
    bad cell costs what depends on it, not the rest.
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
        self.computed = 0.0  # CPU seconds
        self.guards: tuple[str, ...] = ()
        self._kernel = kernel
        self._done: list[tuple[str, dict]] = []  # requests that a new process has to repeat
        self._process = self._line = self._folder = self._meter = None
        self._looked, self._at_start = 0.0, float("inf")  # when; bytes of memory

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- requests ------------------------------------------------------------------------------------------------------

    def cell(self, source: str, *, seconds: float | None = None) -> Answer:
        """Run a cell. A cell that times out or ends its process does not run again."""
        answer = self._ask("cell", {"source": source}, seconds or self.limits.cell)
        if answer.kind in ("", "raised"):
            self._done.append(("cell", {"source": source}))
        return answer

    def defined(self, names: Sequence[str]) -> set[str]:
        """Which of the names the submission defines."""
        answer = self._ask("defined", {"names": list(names)}, self.limits.cell)
        with contextlib.suppress(ValueError):
            if isinstance(answer.value, list):
                return {name for name in names if name in answer.value}
        return set()

    def alias(self, name: str, other: str) -> None:
        """Let `name` mean what `other` means."""
        request = ("alias", {"name": name, "other": other})
        self._ask(*request, self.limits.cell)
        self._done.append(request)

    def call(self, setup: str, call: str, *, seconds: float, given: object = None) -> Answer:
        """Evaluate a call after its setup."""
        return self._ask("call", {"setup": setup, "call": call, "given": given}, seconds)

    # -- the process ---------------------------------------------------------------------------------------------------

    def _ask(self, what: str, arguments: dict, seconds: float) -> Answer:
        total = self.limits.total
        if self.computed >= total or self.own_seconds >= PATIENCE * total:
            return Answer(None, f"the {total:g} seconds for the whole submission were used up", "time")
        if self._process is None:
            failed = self._begin()
            if failed:
                return failed
        answer = self._request(what, arguments, seconds)
        if answer.kind not in ("", "raised"):
            self.close()
        return answer

    def _begin(self) -> Answer | None:
        """Start a process and repeat what was done; returns an Answer if that fails."""
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
        for what, arguments in self._done:
            answer = self._request(what, arguments, self.limits.cell)
            if answer.kind not in ("", "raised"):
                self.close()
                return Answer(None, "its cells could not be run a second time", answer.kind)
        return None

    def _request(self, what: str, arguments: dict, seconds: float) -> Answer:
        number = secrets.randbits(60) + 1
        request = json.dumps({"number": number, "do": what, **arguments}).encode() + b"\n"
        with self._awake():
            answer = self._exchange(request, number, min(seconds, self.limits.total - self.computed))
        self.own_seconds += answer.seconds
        self.computed += answer.computed
        return answer

    def _exchange(self, request: bytes, number: int, seconds: float) -> Answer:
        """Send a request and read the line that answers it. Never waits longer than allowed, since the other side may
        read nothing or send half a line."""
        started, before = time.perf_counter(), self._used()
        out, found = memoryview(request), bytearray()

        def answer(text: str | None, reason: str = "", kind: str = "", error: str = "") -> Answer:
            used = max(0.0, self._used() - before)
            return Answer(text, reason, kind, error, time.perf_counter() - started, used)

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
                    if "value" in reply:
                        values.read(reply["value"])
                        return answer(reply["value"])
                    return answer(None, str(reply["error"])[: worker.WORDS + 100], "raised", str(reply["type"])[:60])
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
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
