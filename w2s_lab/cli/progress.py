"""The bar of `w2s-lab run`: one for the whole run, from the first second, in the seconds of a forecast."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

from w2s_lab.system.output import tell

FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{left}"
LOG_SECONDS = 30.0  # between two lines where there is no terminal
TRUST = {True: 30.0, False: 1.0}  # seconds for which a measured forecast counts, and a guessed one, against the clock


class _Bar(tqdm):
    """A bar whose time left is said by its owner."""

    left: Callable[[], str] = staticmethod(lambda: "?")

    @property
    def format_dict(self) -> dict:
        return super().format_dict | {"left": self.left()}


class Progress:
    """One bar for all that a run does; what is stored is passed over at once.

    Without a terminal there are lines instead: where something else begins, and every half a minute. Of several
    processes, only the main one shows anything.

    Attributes:
        bar: the bar; None where there is no terminal.
        course: how far the run has come, a `planning.forecast.Course`; None before there is a forecast.
        place: where an interrupt would stop the run, in words.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.course, self.place = clock, None, ""
        self._begin = self._printed = clock()
        self._trust, self._work = 0.0, ""
        self._main = os.environ.get("RANK", "0") == "0"  # the other processes have not been joined yet
        self.bar = None
        if self._main and sys.stderr.isatty():
            self.bar = _Bar(total=1.0, desc="starting", bar_format=FORMAT, file=sys.stderr, leave=False, miniters=0)
            self.bar.left = self.left

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def follow(self, course, *, measured: bool) -> None:
        """From now on show this course; `measured`: its seconds are those of this machine, not only in proportion."""
        self.course, self._begin, self._trust = course, self.clock(), TRUST[measured]
        if self.bar is not None:
            self.bar.total = course.total or 1.0

    def say(self, words: str) -> None:
        """Name what begins now."""
        self._show(words, words)

    def write(self, text: str) -> None:
        """Print a text, above the bar."""
        with _Bar.external_write_mode() if self.bar is not None else contextlib.nullcontext():
            print(text, flush=True)

    def left(self) -> str:
        """Time left: what the forecast says, corrected by how long the part that is done has taken."""
        if self.course is None:
            return "?"
        worked = self.course.done - self.course.skipped
        if not worked and self._trust < TRUST[True]:
            return "?"
        slower = (self.clock() - self._begin + self._trust) / (worked + self._trust)
        return tqdm.format_interval((self.course.total - self.course.done) * slower)

    @contextlib.contextmanager
    def of(self, where: str, seed: int = 0) -> Iterator[tuple[Callable, Callable]]:
        """The callbacks `on_step` and `on_rows` for one seed; `where` is what the bar says before the role.

        A KeyboardInterrupt inside goes on its way with the place where it happened.
        """

        def on_step(role: str, done: int, steps: int) -> None:
            ended = f"{where}, after the training of the {role}"
            self.place = ended if done == steps else f"{where}, {role}, after step {done} of {steps}"
            if self.course is not None:
                self.course.on_step(seed, role, done, steps)
            self._show(f"{where}, {role}, step {done}/{steps}", f"{where}, {role}")

        def on_rows(role: str, done: int, of: int) -> None:
            if self.course is not None:
                self.course.on_rows(seed, role, done, of)
            what = role if role == "weak labels" else f"{role}, evaluating"
            self._show(f"{where}, {what} {done}/{of}", f"{where}, {role}", ends=done == of)

        self.place = where
        try:
            yield on_step, on_rows
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self.place) from None

    def end(self) -> None:
        """The run is finished: the bar is full, and stays if something was done."""
        if self.course is not None:
            worked = self.course.done > self.course.skipped
            self.course.end()
            if self.bar is not None:
                self.bar.leave = worked
                self._show("finished", "finished")
        if self.bar is not None:
            self.bar.close()

    def _show(self, words: str, work: str, *, ends: bool = False) -> None:
        """Move the bar; `work` is the same as long as the same work goes on, and `ends` with its last words."""
        begins, self._work = work != self._work, work
        if self.bar is not None:
            self.bar.set_description_str(words, refresh=False)
            if self.course is not None:
                self.bar.n = self.course.done
            self.bar.refresh() if begins or ends else self.bar.update(0)
        elif self._main and (begins or self.clock() - self._printed >= LOG_SECONDS):
            self._printed = self.clock()
            part = self.course and f"{self.course.done / (self.course.total or 1):.0%}, {self.left()} left"
            tell(f"{words} ({part})" if part else words)
