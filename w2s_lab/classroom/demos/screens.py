"""A demo: a dashboard, and the screens that a lecturer leads a class through. A notebook that ends in one is served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from w2s_lab.classroom.toolkit.chart import BarChart, Chart
from w2s_lab.classroom.toolkit.panel import Panel, View

BESIDE = (300, 300)  # pixels, width and height, of a chart beside the first: enlarged, its words are as large
BARS = 480  # pixels, width of bars: so their words are large


@dataclass(frozen=True)
class Screen:
    """One screen of a demo; made by `ask` and `reveal`.

    Attributes:
        text: the question, or what is now to be seen; a sentence or two that fit on two lines.
        hands: the answers that the class votes on; none: nothing is asked.
        covered: whether the picture is hidden, because it would answer.
        at: name of a control -> where this screen puts it; the others stay where the screens before left them.
    """

    text: str
    hands: tuple[str, ...] = ()
    covered: bool = False
    at: Mapping[str, Any] = field(default_factory=dict)


def ask(question: str, *hands: str, covered: bool = False, **at: Any) -> Screen:
    """A screen with a question and the answers to vote on; the words of the picture are hidden until the next screen.

    Args:
        question: for the class.
        hands: the answers, in the order in which hands are raised.
        covered: hide the picture as well.
        at: where the controls of the dashboard stand, by name.
    """
    return Screen(question, hands, covered, at)


def reveal(text: str, **at: Any) -> Screen:
    """A screen that shows the picture and its words under a sentence; `at`: where the controls stand, by name."""
    return Screen(text, at=at)


@dataclass(frozen=True)
class Demo:
    """A dashboard, its screens, and which controls the page has; made by `demo`. JupyterLab shows the dashboard."""

    panel: Panel
    screens: tuple[Screen, ...]
    controls: tuple[str, ...]

    def _ipython_display_(self) -> None:
        display(self.panel)


def demo(panel: Panel, *screens: Screen, controls: Sequence[str] | None = None) -> Demo:
    """A dashboard to be led through in front of a class; the last expression of a notebook for `w2s-lab demo`.

    Every screen is tried once, so that a wrong one is found before the lecture; afterwards the first one is shown.

    Args:
        panel: the dashboard.
        screens: in their order.
        controls: names of those that the page shows, in this order; the arrow keys move the first slider. None: all.

    Raises:
        ValueError: there is no screen, or a name is not that of a control of the dashboard.
        traitlets.TraitError: a control cannot stand where a screen puts it.
    """
    if not screens:
        raise ValueError("demo: no screen is given; expected some of room.ask(...) and room.reveal(...)")
    for screen in (*screens, screens[0]):
        panel.set(**screen.at)
    shown = tuple(panel.controls if controls is None else controls)
    for name in shown:
        _control(panel, name)
    return Demo(panel, screens, shown)


# -- what the page gets, as values of JSON -------------------------------------------------------------------------


def page_of(shown: Demo) -> dict[str, Any]:
    """The screens, and the dashboard as the first of them has it."""
    screens = []
    for screen in shown.screens:
        shown.panel.set(**screen.at)
        screens.append({
            "text": screen.text, "hands": screen.hands, "covered": screen.covered,
            "at": {name: position(shown.panel.controls[name]) for name in screen.at},
        })  # fmt: skip
    return {"screens": screens} | picture_at(shown, screens[0]["at"])


def picture_at(shown: Demo, at: Mapping[str, Any], press: str | None = None) -> dict[str, Any]:
    """The dashboard with its controls at these positions (see `position`): controls, buttons, pictures and words.

    Args:
        shown: the demo.
        at: name of a control -> its position.
        press: the name of a button that is pressed before the picture is drawn; one that is disabled does nothing.

    Raises:
        ValueError: there is no such control, or no such button.
        Exception: what the dashboard raises while it draws, or acts.
    """
    panel = shown.panel
    for name, where in at.items():
        control = _control(panel, name)
        if hasattr(control, "index"):  # of fewer options than the page knew, where another control took some away
            where = min(where, len(control._options_labels) - 1)
        if position(control) != where:
            setattr(control, "index" if hasattr(control, "index") else "value", where)
    if press is not None:
        if press not in panel.actions:
            raise ValueError(f"there is no button {press!r}; expected one of {', '.join(panel.actions)}")
        if not panel.buttons[press].disabled:
            panel.actions[press]()
    panel.refresh()  # an error while drawing is raised here; a control that moves keeps it to itself
    controls = [_described(name, panel.controls[name]) for name in shown.controls]
    buttons = [
        {"name": name, "label": button.description, "disabled": button.disabled}
        for name, button in panel.buttons.items()
    ]
    pictures, says = _pictures(panel.view), panel.view.says
    return {"controls": controls, "buttons": buttons, "busy": panel.busy, "pictures": pictures, "says": says}


def _control(panel: Panel, name: str) -> widgets.Widget:
    if name not in panel.controls:
        raise ValueError(f"there is no control {name!r}; expected one of {', '.join(panel.controls)}")
    return panel.controls[name]


def position(control: widgets.Widget) -> Any:
    """Where a control stands: the number of its option, from 0; of a control without options, its value."""
    return control.index if hasattr(control, "index") else control.value


def _described(name: str, control: widgets.Widget) -> dict[str, Any]:
    where, about = position(control), {"name": name, "label": control.description}
    if hasattr(control, "index"):
        kind = "range" if isinstance(control, widgets.SelectionSlider) else "menu"
        options = list(control._options_labels)
        return about | {"kind": kind, "at": where, "options": options, "min": 0, "max": len(options) - 1, "step": 1,
                        "shown": options[where]}  # fmt: skip
    if isinstance(where, bool):
        return about | {"kind": "box", "at": where}
    ends = {"min": control.min, "max": control.max, "step": control.step}
    form = getattr(control, "readout_format", "")
    return about | ends | {"kind": "range", "at": where, "shown": format(where, form)}


def _pictures(view: View) -> list[str]:
    """The first picture as it is, the others narrow; a table only where there is no picture."""
    narrow, low = BESIDE
    rest = [replace(one, height=low) if isinstance(one, Chart) else one for one in view.charts[1:]]
    rest = [one.svg(narrow) if isinstance(one, (Chart, BarChart)) else one.svg() for one in rest]
    if not view.charts:
        return [view.html] * bool(view.html)
    first = view.charts[0]
    return [first.svg(BARS) if isinstance(first, BarChart) else first.svg(), *rest]
