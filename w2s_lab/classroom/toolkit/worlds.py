"""One dashboard in two worlds or more: a switch above it, and panels that are made when they are first asked for."""

from collections.abc import Callable

import ipywidgets as widgets

from w2s_lab.classroom.toolkit.care import CLASS
from w2s_lab.classroom.toolkit.panel import MAX_WIDTH, Panel, folded_error, guarded, spoken
from w2s_lab.classroom.toolkit.real_world import COMMANDS, RealEnglish, fetched, real_english
from w2s_lab.data.fetch import FetchError
from w2s_lab.experiments.store import Store

POCKET, LEAKAGE, REAL = "pocket world", "leakage", "real English"
BESIDE = "2px 14px"  # of the switch and the words below it: above the words of the panel
TIPS = {
    POCKET: "generated reviews, and a model that was pre-trained on such",
    LEAKAGE: "the same reviews, and models whose pre-training told less of them",
    REAL: "people's sentences, and SmolLM2",
}
MAKING = (
    "This is being made. If the language model has to read the sentences first, it takes about a minute for a "
    "thousand; the store then keeps what it has read."
)


class Worlds(widgets.VBox):
    """A switch *pocket world · real English* above one of its panels. Made by `worlds`.

    Attributes:
        switch: its buttons.
        pocket: the panel that is there from the beginning.
        says: the words between switch and panel: what is being made, or why it could not be made.
    """

    def __init__(
        self, pocket: Panel, real: Callable[[], Panel], leakage: tuple[Callable[[], Panel], str] | None = None
    ) -> None:
        self.pocket, self.says, self._panels = pocket, "", {POCKET: pocket}
        self._makers = {**({LEAKAGE: leakage} if leakage else {}), REAL: (real, MAKING)}
        names = [POCKET, *self._makers]
        self.switch = widgets.ToggleButtons(
            options=names, value=POCKET, description="world", style={"description_width": "initial"},
            tooltips=[TIPS[name] for name in names], layout=widgets.Layout(margin=BESIDE),
        )  # fmt: skip
        self._note, self._below = widgets.HTML(layout=widgets.Layout(margin=BESIDE)), widgets.VBox([pocket])
        self.switch.observe(guarded(self._switched, self._note), names="value")
        super().__init__([self.switch, self._note, self._below], layout=widgets.Layout(max_width=MAX_WIDTH))
        self.add_class(CLASS)

    @property
    def real(self) -> Panel | None:
        """The panel on real English; None before it is first chosen, and after it could not be made."""
        return self._panels.get(REAL)

    @property
    def shown(self) -> Panel:
        """The panel that is on the screen."""
        return self._panels.get(self.switch.value, self.pocket)

    def set(self, *, world: str | None = None, **values: object) -> "Worlds":
        """Choose a world from code, and move controls of its panel, by name; returns the whole."""
        if world is not None:
            self.switch.value = world
        self.shown.set(**values)
        return self

    def _switched(self, change: object) -> None:
        if self.switch.value not in self._panels and not self._made(self.switch.value):
            self.switch.value = POCKET  # so that the other button can be pressed again
        self._below.children = [self.shown]

    def _made(self, world: str) -> bool:
        """Make the panel of a world; False where it could not be made, and then the words above say why."""
        make, making = self._makers[world]
        self._tell(making)
        try:
            self._panels[world] = make()
        except Exception as error:
            self._tell(explained(error))
            if not isinstance(error, FetchError):
                self._note.value += folded_error(error)
            return False
        self._tell("")
        return True

    def _tell(self, what: str) -> None:
        self.says, self._note.value = what, spoken(what) if what else ""

    @property
    def summary(self) -> str:
        """The pocket world's panel in words."""
        return self.pocket.summary

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict]:
        """Live, the switch; stored, always the pocket world's picture: people's sentences stay out of notebooks."""
        stored, look = self.pocket._repr_mimebundle_(**options)
        live = super()._repr_mimebundle_(**options) or {}
        return {**stored, **live, "text/plain": self.summary}, look


def explained(error: Exception) -> str:
    """What stands in the way of the real panel, in one sentence."""
    if isinstance(error, FetchError) and not fetched():
        return f"Real English is not on this machine yet: {COMMANDS}, then choose it again."
    return f"✗ This could not be made. {type(error).__name__}: {error}"


def worlds(pocket: Panel, real: Callable[[], Panel]) -> Worlds:
    """A dashboard with a switch between the pocket world and real English.

    The pocket world is shown first, and it alone is what a stored notebook holds. The other panel is made when it is
    first chosen. Where the model or the sentences have not been fetched, the switch says which commands get them.

    Args:
        pocket: the dashboard on the pocket world.
        real: makes the same dashboard on real English; often from the parts of `real_english`.
    """
    return Worlds(pocket, real)


def in_both_worlds(pocket: Panel, store: Store | None, real: Callable[[RealEnglish], Panel]) -> Panel | Worlds:
    """What a dashboard of weak labels returns: its panel; with a store, the panel under a switch to real English.

    Args:
        pocket: the dashboard on what it was given.
        store: keeps the features of real English; None: no switch.
        real: makes the same dashboard from the parts of real English.
    """
    if store is None:
        return pocket
    return worlds(pocket, lambda: real(real_english(store)))
