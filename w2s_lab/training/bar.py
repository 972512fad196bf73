"""The bar that `train` shows in a terminal or a notebook: steps and snapshots done, time left, the last snapshot."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tqdm.auto import tqdm as Bar  # in a notebook a widget, else characters on stderr

from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet, Snapshot
from w2s_lab.system import parallel
from w2s_lab.system.record import shortened

FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
SECONDS = 1.0  # a training that ends earlier shows no bar
IN_NOTEBOOK = any(base.__module__ == "tqdm.notebook" for base in Bar.__mro__)
OnStep = Callable[[int, int], None]
PASSES = 3  # over an example that is learnt: forward, and backward for states and for weights; one is an answer's


class TrainingBar:
    """Counts passes over examples, so that snapshots have their share of the time left; without a bar, does nothing."""

    def __init__(self, bar: Any = None, name: str = "", steps: int = 0, learnt: int = 0) -> None:
        """`steps`: of the whole training; `learnt`: passes of one of them."""
        self.bar, self.name, self.steps, self.learnt = bar, name, steps, learnt
        self.done, self.answered = 0, 0  # steps, and examples answered in snapshots

    def after(self, on_step: OnStep | None) -> OnStep | None:
        """A function to call after each step: it moves the bar, and calls `on_step`."""
        if self.bar is None:
            return on_step

        def both(done: int, steps: int) -> None:
            self.done = done
            self._move()
            if on_step:
                on_step(done, steps)

        return both

    def answering(self, on_rows: OnStep | None) -> OnStep | None:
        """A function to call while a snapshot is taken: it moves the bar, and calls `on_rows`."""
        if self.bar is None:
            return on_rows
        before = self.answered

        def both(done: int, rows: int) -> None:
            nonlocal before
            self.answered = before + done
            self._move(f", evaluating {done}/{rows}" if done < rows else "")
            if done == rows:
                before = self.answered
            if on_rows:
                on_rows(done, rows)

        return both

    def _move(self, what: str = "") -> None:
        self.bar.set_description_str(f"training {self.name}, step {self.done}/{self.steps}{what}", refresh=False)
        done = self.done * self.learnt + self.answered
        self.bar.update(min(done, self.bar.total) - self.bar.n)

    def measured(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot; its numbers stand beside the bar from now on."""
        if self.bar is not None:
            numbers = {"loss": snapshot.train_loss}
            numbers["accuracy"] = snapshot.evaluation and snapshot.evaluation.accuracy
            known = {name: f"{value:.3f}" for name, value in numbers.items() if value is not None}
            self.bar.set_postfix(known, refresh=False)
        return snapshot


@contextlib.contextmanager
def training_bar(
    name: str, labelled: LabelledSet, recipe: Recipe, watch: LabelledSet | None, show: bool, *, asked: bool = False
) -> Iterator[TrainingBar]:
    """A bar for the training of a model; none if it is not to be shown, or there is nobody to see it.

    Args:
        name: of the model.
        labelled, recipe, watch: what the training is given.
        show: whether a bar may be shown.
        asked: show it even where there is neither a terminal nor a notebook.
    """
    seen = asked or IN_NOTEBOOK or sys.stderr.isatty()
    if not (show and seen and parallel.is_main()):
        yield TrainingBar()
        return
    steps, _ = recipe.steps(len(labelled))
    learnt = PASSES * min(recipe.batch_size, len(labelled))
    total = steps * learnt + recipe.snapshots(len(labelled)) * len(watch or ())
    name = shortened(name, 30)
    # In a terminal tqdm asks the variable itself, in a notebook it does not.
    options: dict[str, Any] = {"disable": not asked and bool(os.environ.get("TQDM_DISABLE"))}
    options |= {"total": total, "bar_format": FORMAT, "delay": 0 if asked else SECONDS}
    with Bar(desc=f"training {name}", **options) as bar:
        yield TrainingBar(bar, name, steps, learnt)
        bar.update(total - bar.n)  # the last batch of a pass is smaller, and stored answers take no time
