"""A race, live: two copies of one model learn as many wrong labels, a supervisor's and such at random places.

Both learn in one thread, in turns, so that neither is ahead in steps. torch is imported in that thread, while the class
looks at the first screen.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import ipywidgets as widgets

from w2s_lab.classroom.toolkit.chart import Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, guarded
from w2s_lab.classroom.toolkit.recorded import read_recording
from w2s_lab.data.sources import load_splits
from w2s_lab.records import LabelledSet, Snapshot, content_key

REST = 1 / 15  # seconds between two pictures in a notebook
AHEAD = 1.0  # seconds for the first picture, before the models are loaded; Start ends them
WATCHED, EVERY = 200, 8  # test examples that each snapshot answers, optimizer steps between two
NAMES = {"student": "learns the supervisor's labels", "random": "learns as many errors, at random places"}

Lanes = Mapping[str, Iterator[Snapshot]]


class Race(Panel):
    """Students that learn in turns, and buttons. Made by `race`.

    Attributes:
        state: "ready", "running", "stopped", "finished" or "failed".
        history: role -> snapshots so far.
        done: role -> optimizer steps so far.
        thread: in which the students learn, and wait while they are stopped.
    """

    def __init__(self, lanes: Callable[[Callable[[str, int], None]], Lanes], *, steps: int, level: float) -> None:
        self._lanes, self.steps, self.level = lanes, steps, level
        self.actions = {"Start": self.start, "Anew": self.anew}
        self.buttons = {name: widgets.Button(description=name) for name in self.actions}
        self._turn = threading.RLock()  # around each change of `state`: the buttons' thread and the students' make some
        self._go, self._halt = threading.Event(), threading.Event()
        self._line_up()
        super().__init__("A race: the supervisor's errors, and as many at random places", {}, self._view)
        for name, act in self.actions.items():
            self.buttons[name].on_click(guarded(lambda _, act=act: act(), self._words))
        head, _, picture, words = self.children
        self.children = [head, widgets.HBox(list(self.buttons.values())), picture, words]

    def start(self) -> None:
        """Learn; a second time: stop; a third time: go on. After the end: anew."""
        with self._turn:
            if self.busy:
                self.state = "stopped"
                self._go.clear()
            else:
                if self.state in ("finished", "failed"):
                    self.anew()
                self.state = "running"
                self._go.set()
        if self.state == "running":
            try:
                asyncio.get_running_loop().create_task(self._follow())
            except RuntimeError:  # nobody's screen
                pass
        self.refresh()

    def anew(self) -> None:
        """Back to the start line; the students forget what they learnt."""
        with self._turn:
            self._halt.set()
            self._go.set()
            self._line_up()
        self.refresh()

    def close(self) -> None:
        self._halt.set()
        self._go.set()
        super().close()

    @property
    def busy(self) -> bool:
        """Whether the students learn."""
        return self.state == "running"

    def _line_up(self) -> None:
        self.state, self.error = "ready", None
        self.history, self.done = {name: [] for name in NAMES}, dict.fromkeys(NAMES, 0)
        self._go, self._halt = threading.Event(), threading.Event()
        arguments = self._go, self._halt, self.history, self.done
        self.thread = threading.Thread(target=self._run, args=arguments, name="race", daemon=True)
        self.thread.start()

    def _run(self, go: threading.Event, halt: threading.Event, history: Mapping, done: dict) -> None:
        """A snapshot of each student in turn, until all are at their end, or `halt`; the first ones before `go`."""

        def step(name: str, number: int) -> None:
            done[name] = number
            go.wait()
            if halt.is_set():
                raise _Halted

        try:
            go.wait(AHEAD)
            if halt.is_set():
                return
            lanes = self._lanes(step)
            for found in zip(*lanes.values(), strict=True):
                for name, snapshot in zip(lanes, found, strict=True):
                    history[name].append(snapshot)
            ended, wrong = "finished", None
        except _Halted:
            return
        except Exception as error:  # no caller could catch it in this thread: the panel shows it in words
            ended, wrong = "failed", error
        while not halt.is_set():
            with self._turn:
                if self.state != "stopped" and not halt.is_set():
                    self.state, self.error = ended, wrong
                    return
            go.wait()  # who has pressed Stop sees the end after Go on

    async def _follow(self) -> None:
        """Draw while the students learn."""
        while self.busy:
            await asyncio.sleep(REST)
            guarded(self.refresh, self._words)()

    def _view(self) -> View:
        self.buttons["Start"].description = {"running": "Stop", "stopped": "Go on"}.get(self.state, "Start")
        self.buttons["Anew"].disabled = self.state == "ready"
        curves, now = [], min(self.done.values())
        for name, text in NAMES.items():
            seen = list(self.history[name])
            curves.append(Series([one.step for one in seen], [one.evaluation.accuracy for one in seen], name, text))
        level = Mark(self.level, f"weak supervisor {self.level:.2f}", across=True, role="weak")
        says = self._says()
        chart = Chart("optimizer steps of each", "accuracy on test", tuple(curves), (level, Mark(now)),
                      (0, self.steps), (0.45, 1.01), said=says)  # fmt: skip
        return View(says, (chart,))

    def _says(self) -> str:
        if self.error is not None:
            return f"The race ended with an error. {type(self.error).__name__}: {self.error}"
        if self.busy and not all(self.history.values()):
            return "The models are being loaded."
        begins = {"ready": "Press Start", "running": "Both learn", "stopped": "Stopped", "finished": "At the end"}
        found = [(NAMES[name], seen[-1]) for name, seen in self.history.items() if seen]
        numbers = "; ".join(f"who {text}: {seen.evaluation.accuracy:.3f} at step {seen.step}" for text, seen in found)
        weak = f"the weak supervisor: {self.level:.3f}"
        return f"{begins[self.state]}. Accuracy on test examples: {'; '.join(filter(None, (numbers, weak)))}."


class _Halted(Exception):
    """Leaves a training from inside of a step."""


def race() -> Race:
    """The race in the pocket world: `pocket-l` learns a weak supervisor's labels, and as many errors at random places.

    The supervisor's labels are recorded (`demos.record`), so that nothing is trained before the start. The numbers of
    a race are of one seed.
    """
    found = read_recording("labels")

    def lanes(step: Callable[[str, int], None]) -> Lanes:
        from w2s_lab.classroom.dashboards.why_it_works import RECIPE, wrong_labels  # torch, which takes seconds
        from w2s_lab.models.loading import load_model
        from w2s_lab.training.loop import training_steps

        splits = load_splits("sentiment", seed=found["seed"])
        answers, examples = splits.task.answers, splits.student_train.examples
        if content_key(splits.student_train.ids) != found["of"]:
            raise ValueError("the recorded labels are of other examples. Hint: install the kit anew")
        given = tuple(answers[int(digit)] for digit in found["labels"])
        sets = wrong_labels(LabelledSet(splits.task, examples, given, source="pocket-s"), seed=found["seed"])
        recipe, start = replace(RECIPE, eval_every=EVERY, seed=found["seed"]), load_model("pocket-l", device="cpu")
        watch = splits.test.take(range(WATCHED))

        def lane(name: str, kind: str) -> Iterator[Snapshot]:
            told = partial(step, name)
            return training_steps(start.copy(), sets[kind], recipe, watch=watch, on_step=lambda done, _: told(done))

        return {"student": lane("student", "weak"), "random": lane("random", "random")}

    return Race(lanes, steps=found["steps"], level=found["level"])
