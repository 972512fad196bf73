"""A training to watch: Start, Pause and Stop, and curves that grow while it runs.

The training runs in a thread of its own, and an asyncio task on the kernel's event loop shows what it reports. So the
loop stays free: buttons and sliders answer while the model learns.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from html import escape

import ipywidgets as widgets

from w2s_lab.classroom.toolkit.chart import Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, folded_error, guarded, stops
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model, network_digest
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet, Snapshot, content_key
from w2s_lab.training.loop import training_key, training_steps

REST = 1 / 20  # seconds between two updates of the screen, at least
LEARNING_RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3)
EPOCHS = (1, 2, 3, 5, 8, 12)
ICONS = ("play", "pause", "stop")  # of the buttons
SEEN = "training examples seen (repeats counted)"
LOW = 210  # pixels: two charts on one screen


class _Stopped(Exception):
    """Leaves the training loop from inside `on_step`."""


class LiveTraining(Panel):
    """A training with buttons. Made by `live_training`.

    Attributes:
        state: "ready", "running", "paused", "stopped", "finished" or "failed".
        history: snapshots of the run that is shown, in order.
        before: those of the run before it, drawn pale.
        model: the model of the last run, in the state of its last snapshot; None before the first run has ended.
        error: what ended the last run, if it failed.
        done, steps: optimizer steps of this run, so far and in all.
        task: the asyncio task that shows the run; to be awaited where code has to wait for the end.
    """

    def __init__(
        self,
        start: LanguageModel,
        labelled: Mapping[str, LabelledSet],
        recipe: Recipe,
        *,
        watch: LabelledSet,
        reference: LabelledSet | None,
        weak: float | None,
        ceiling: float | None,
        example: Sequence[Snapshot],
    ) -> None:
        self.start_model, self.labelled, self.recipe, self.watch, self.reference = (
            start, dict(labelled), recipe, watch, reference)  # fmt: skip
        self.levels = {role: at for role, at in (("weak", weak), ("ceiling", ceiling)) if at is not None}
        self.state, self.history, self.before = "ready", tuple(example), ()
        self.model: LanguageModel | None = None
        self.error: Exception | None = None
        self.task: asyncio.Task | None = None
        self.done = self.steps = 0
        # Examples that the run will have seen: the fixed end of the axis.
        self._ahead = 0 if example else recipe.epochs * len(next(iter(labelled.values())))
        self._go, self._halt = threading.Event(), threading.Event()
        self._began = self._paused_at = 0.0
        self._bar = widgets.HTML()
        self.actions = {"Start": self.start, "Pause": self.pause, "Stop": self.stop}
        self.buttons = {name: _button(name, icon) for name, icon in zip(self.actions, ICONS, strict=True)}
        names = list(self.labelled)
        controls: dict[str, widgets.Widget] = {}
        if len(names) > 1:
            controls["labels"] = choice("labels", names, width="180px")
        rates, epochs = sorted({*LEARNING_RATES, recipe.learning_rate}), sorted({*EPOCHS, recipe.epochs})
        rate_stops = [(_short(rate), rate) for rate in rates]
        controls["learning_rate"] = stops("learning rate", rate_stops, recipe.learning_rate, width="290px")
        controls["epochs"] = stops("epochs", epochs, recipe.epochs, width="230px")
        super().__init__("Live training", controls, self._view)
        for name, act in self.actions.items():
            self.buttons[name].on_click(guarded(lambda _, act=act: act(), self._words))
        head, box, picture, words = self.children
        self.children = [head, box, widgets.HBox(list(self.buttons.values())), self._bar, words, picture]
        self._update()

    # -- what the buttons do -------------------------------------------------------------------------------------

    def start(self) -> "LiveTraining":
        """Train a fresh copy of the starting model with the settings of the controls; the run before stays, drawn pale.

        Raises:
            RuntimeError: no event loop is running (it is in Jupyter, and inside `asyncio.run`).
        """
        if self.state in ("running", "paused"):
            return self
        loop = asyncio.get_running_loop()
        values = {name: control.value for name, control in self.controls.items()}
        labelled = self.labelled[values.pop("labels", next(iter(self.labelled)))]
        recipe = replace(self.recipe, **values)
        self.before, self.history, self.error = self.history or self.before, (), None
        self.done, self.steps = 0, recipe.steps(len(labelled))[0]
        self._ahead = recipe.epochs * len(labelled)
        self.state, self._began = "running", time.monotonic()
        self._go, self._halt = threading.Event(), threading.Event()  # of this run: one that was cancelled has its own
        self._go.set()
        self.task = loop.create_task(self._follow(labelled, recipe, self._go, self._halt))
        self._update()
        return self

    def pause(self) -> "LiveTraining":
        """Hold the training after the step it is in; a second time: go on."""
        if self.state == "running":
            self.state, self._paused_at = "paused", time.monotonic()
            self._go.clear()
        elif self.state == "paused":
            self.state = "running"
            self._began += time.monotonic() - self._paused_at
            self._go.set()
        self._update()
        return self

    def stop(self) -> "LiveTraining":
        """End the training after the step it is in; `model` is then in the state of the last snapshot."""
        if self.state in ("running", "paused"):
            self._halt.set()
            self._go.set()
        return self

    def close(self) -> None:
        self.stop()
        super().close()

    # -- the training, in a thread; and the task that follows it ------------------------------------------------------

    async def _follow(self, labelled: LabelledSet, recipe: Recipe, go: threading.Event, halt: threading.Event) -> None:
        """Start the thread, show its news at most once every REST seconds, and return when it has ended."""
        loop, news = asyncio.get_running_loop(), asyncio.Queue()

        def tell(item: object) -> None:
            try:
                loop.call_soon_threadsafe(news.put_nowait, item)
            except RuntimeError:  # the event loop is closed: nobody is watching any more
                halt.set()

        # A daemon thread: the kernel can end even while the training is paused.
        arguments = labelled, recipe, tell, go, halt
        threading.Thread(target=self._train, args=arguments, name="live training", daemon=True).start()
        try:
            while self.state in ("running", "paused"):
                fresh = [await news.get()]
                while not news.empty():
                    fresh.append(news.get_nowait())
                snapshots = tuple(item for item in fresh if isinstance(item, Snapshot))
                self.history += snapshots
                if isinstance(fresh[-1], str):  # how it ended
                    self.state = fresh[-1]
                picture = bool(snapshots) or self.state != "running"
                guarded(partial(self._update, picture=picture), self._words)()
                await asyncio.sleep(REST)
        finally:  # also where the task was cancelled
            halt.set()
            go.set()
            self.state = "stopped" if self.state in ("running", "paused") else self.state

    def _train(
        self,
        labelled: LabelledSet,
        recipe: Recipe,
        tell: Callable[[object], None],
        go: threading.Event,
        halt: threading.Event,
    ) -> None:
        """Train to the end, or until `halt`; report steps done (int), snapshots, and at last how it ended (str)."""
        history: list[Snapshot] = []
        weights: dict = {}

        def after_step(done: int, steps: int) -> None:
            self.done = done
            tell(done)
            go.wait()
            if halt.is_set():
                model.network.load_state_dict(weights)  # back to the last snapshot
                raise _Stopped

        try:
            model = self.start_model.copy()
            key = training_key(model, labelled, recipe)
            steps = training_steps(
                model, labelled, recipe, watch=self.watch, reference=self.reference, on_step=after_step
            )
            with contextlib.suppress(_Stopped), contextlib.closing(steps):
                for snapshot in steps:
                    history.append(snapshot)
                    weights = {name: value.detach().clone() for name, value in model.network.state_dict().items()}
                    tell(snapshot)
                    go.wait()
                    if halt.is_set():
                        break
            finished = history[-1].step == recipe.steps(len(labelled))[0]
            key = key or network_digest(model.network, model.tokenizer)
            self.model = replace(
                model,
                name=f"{model.name} trained on {labelled.source}",
                digest=key if finished else content_key(key, "stopped", history[-1].step),
                history=tuple(history),
            )
            tell("finished" if finished else "stopped")
        except BaseException as error:  # no caller could catch it in this thread: the panel shows it in words
            self.error = error
            tell("failed")

    # -- what is seen --------------------------------------------------------------------------------------------

    def _update(self, *, picture: bool = True) -> None:
        """The buttons and the progress; with `picture`, also the curves and the words."""
        busy = self.state in ("running", "paused")
        self.buttons["Start"].disabled = busy
        self.buttons["Pause"].disabled = self.buttons["Stop"].disabled = not busy
        pause = self.buttons["Pause"]
        pause.description, pause.icon = ("Go on", "play") if self.state == "paused" else ("Pause", "pause")
        self._bar.value = _progress_bar(self.done, self.steps, self.seconds_left if self.state == "running" else None)
        if picture:
            self.refresh()

    def show(self, view: View) -> None:
        super().show(view)
        if self.error is not None:
            self._words.value += folded_error(self.error)

    @property
    def busy(self) -> bool:
        """Whether the training runs."""
        return self.state == "running"

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the steps done, evaluations included; None before the first step."""
        return (time.monotonic() - self._began) / self.done * (self.steps - self.done) if self.done else None

    def _view(self, **controls: object) -> View:
        """The curves of this run, and those of the run before, drawn pale."""
        answers = self.watch.task.answers
        floor = max(0.0, 1 / len(answers) - 0.1) if answers else 0.0
        curves, losses = (*_curves(self.before, faint=True), *_curves(self.history)), []
        for history, faint in ((self.before, True), (self.history, False)):
            known = [one for one in history if one.train_loss is not None]
            if known:
                x, y = [one.examples_seen for one in known], [one.train_loss for one in known]
                losses.append(Series(x, y, label="", faint=faint))
        x_range = (0.0, 1.02 * max([1, self._ahead, *(one.examples_seen for one in (*self.before, *self.history))]))
        marks = tuple(
            Mark(at, "weak supervisor" if role == "weak" else "strong ceiling", across=True, role=role)
            for role, at in self.levels.items()
        )
        says = self._say(**controls)
        top = Chart(SEEN, "fraction of examples", curves, marks, x_range, (floor, 1.02), height=LOW, said=says)
        highest = 1.05 * max([1.0, *(y for series in losses for y in series.y)])
        low = Chart(
            SEEN, "loss (nats / answer)", tuple(losses), (), x_range, (0.0, highest), height=LOW, said="training loss"
        )
        return View(says, (top, low))

    def _say(self, **controls: object) -> str:
        """The state, and the last snapshot in numbers."""
        numbers = _numbers(self.history[-1]) if self.history else ""
        head = {
            "ready": "A recorded example." if numbers else "",
            "running": "Training.",
            "paused": f"Paused at step {self.done} of {self.steps}.",
            "stopped": "Stopped; the model is as the last snapshot describes it.",
            "finished": f"Finished after {self.steps} steps.",
            "failed": f"The training ended with an error. {type(self.error).__name__}: {self.error}",
        }[self.state]
        epochs = f"{controls['epochs']} epoch{'' if controls['epochs'] == 1 else 's'}"
        plan = f"Press Start to train for {epochs} at a learning rate of {_short(controls['learning_rate'])}."
        again = plan if self.state not in ("running", "paused") else ""
        pale = "Pale: the run before." if self.before else ""
        return " ".join(part for part in (head, numbers, pale, again) if part)


def _short(rate: float) -> str:
    """A learning rate as in "5e-5"."""
    return f"{rate:.0e}".replace("e-0", "e-")


def _button(name: str, icon: str) -> widgets.Button:
    return widgets.Button(description=name, icon=icon, layout=widgets.Layout(width="110px"))


def _progress_bar(done: int, steps: int, seconds_left: float | None) -> str:
    """Outside the words that a screen reader speaks, since it changes all the time."""
    if not steps:
        return ""
    left = "" if seconds_left is None else f" · about {max(1, round(seconds_left))} s left"
    bar = f'<progress aria-label="steps done" value="{done}" max="{steps}" style="width:260px"></progress>'
    return f'{bar} <span style="font-size:14px">step {done} of {steps}{escape(left)}</span>'


def _curves(history: Sequence[Snapshot], *, faint: bool = False) -> list[Series]:
    """Accuracy and agreement of the watched snapshots."""
    seen = [one.examples_seen for one in history if one.evaluation]
    found = [one.evaluation for one in history if one.evaluation]
    if not found:
        return []
    names = ("", "") if faint else ("accuracy (against truth)", "agreement (with the weak supervisor)")
    series = [Series(seen, [one.accuracy for one in found], "student", names[0], faint=faint)]
    if found[0].agreement is not None:
        series.append(Series(seen, [one.agreement for one in found], "same", names[1], faint=faint))
    return series


def _numbers(snapshot: Snapshot) -> str:
    """A snapshot in a sentence."""
    evaluation, parts = snapshot.evaluation, []
    if evaluation is not None:
        parts.append(f"accuracy {evaluation.accuracy:.3f}")
        if evaluation.agreement is not None:
            parts.append(f"agreement {evaluation.agreement:.3f}")
    if snapshot.train_loss is not None:
        parts.append(f"training loss {snapshot.train_loss:.2f} nats per answer")
    return f"After {snapshot.examples_seen:,} examples: {', '.join(parts)}." if parts else ""


def live_training(
    start: str | LanguageModel,
    labelled: LabelledSet | Mapping[str, LabelledSet],
    recipe: Recipe,
    *,
    watch: LabelledSet,
    reference: LabelledSet | None = None,
    weak: float | None = None,
    ceiling: float | None = None,
    example: Sequence[Snapshot] = (),
) -> LiveTraining:
    """A training to watch and to steer: accuracy, agreement and training loss while it runs.

    Start trains a copy of `start`, which itself does not change. Pause holds the training after a step. Stop ends it;
    the panel's `model` is then in the state of the last snapshot. The learning rate and the epochs are those of the
    sliders when Start is pressed.

    Args:
        start: the model, or its name.
        labelled: what it learns; several sets by name give a menu.
        recipe: how; its `eval_every` says how often a point is added to the curves.
        watch: examples with truth, evaluated at every snapshot; a few hundred keep this fast.
        reference: the weak supervisor's labels of `watch`, for the agreement.
        weak, ceiling: their accuracies on `watch` (fractions), as horizontal lines.
        example: snapshots of a training that was done before, shown until Start is pressed, and in the stored notebook.

    Raises:
        ValueError: there is no set to learn from.
    """
    sets = {"weak labels": labelled} if isinstance(labelled, LabelledSet) else dict(labelled)
    if not sets:
        raise ValueError("live_training: no set to learn from; expected a labelled set, or several by name")
    model = load_model(start) if isinstance(start, str) else start
    return LiveTraining(
        model, sets, recipe, watch=watch, reference=reference, weak=weak, ceiling=ceiling, example=example
    )
