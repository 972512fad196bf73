"""The bar that `train` shows in a terminal or a notebook: steps done, time left, the last snapshot."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tqdm.auto import tqdm as Bar  # in a notebook a widget, else characters on stderr

from w2s_lab.records import Snapshot
from w2s_lab.system import parallel
from w2s_lab.system.record import shortened

SECONDS = 1.0  # a training that ends earlier shows no bar
IN_NOTEBOOK = any(base.__module__ == "tqdm.notebook" for base in Bar.__mro__)
OnStep = Callable[[int, int], None]


class TrainingBar:
    """Counts optimizer steps, and names loss and accuracy of the last snapshot; without a bar it does nothing."""

    def __init__(self, bar: Any = None) -> None:
        self.bar = bar

    def after(self, on_step: OnStep | None) -> OnStep | None:
        """A function to call after each step: it moves the bar, and calls `on_step`."""
        if self.bar is None:
            return on_step

        def both(done: int, steps: int) -> None:
            self.bar.total = steps
            self.bar.update(done - self.bar.n)
            if on_step:
                on_step(done, steps)

        return both

    def measured(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot; its numbers stand beside the bar from now on."""
        if self.bar is not None:
            numbers = {"loss": snapshot.train_loss}
            numbers["accuracy"] = snapshot.evaluation and snapshot.evaluation.accuracy
            known = {name: f"{value:.3f}" for name, value in numbers.items() if value is not None}
            self.bar.set_postfix(known, refresh=False)
        return snapshot


@contextlib.contextmanager
def training_bar(name: str, show: bool, *, asked: bool = False) -> Iterator[TrainingBar]:
    """A bar for the training of a model; none if it is not to be shown, or there is nobody to see it.

    Args:
        name: of the model.
        show: whether a bar may be shown.
        asked: show it even where there is neither a terminal nor a notebook.
    """
    seen = asked or IN_NOTEBOOK or sys.stderr.isatty()
    if not (show and seen and parallel.is_main()):
        yield TrainingBar()
        return
    options = {"disable": False} if asked else {}  # else tqdm asks the variable TQDM_DISABLE
    with Bar(desc=shortened(f"training {name}", 40), unit="step", delay=0 if asked else SECONDS, **options) as bar:
        yield TrainingBar(bar)
