"""What every dashboard is made of: controls, a picture that follows them, and the same in words.

Live it is a widget. In a stored, untrusted or hosted notebook it is a picture (PNG) or a table (HTML) and its summary
in words, which is also what a screen reader hears when a control moves.
"""

import contextlib
import inspect
import re
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from weakref import WeakKeyDictionary

import ipywidgets as widgets
from IPython.display import HTML

from w2s_lab.classroom.toolkit.care import CARE, CLASS
from w2s_lab.classroom.toolkit.svg import MINUS, Drawing, with_png

MAX_WIDTH = "760px"
TURNS: "WeakKeyDictionary[widgets.HTML, threading.RLock]" = WeakKeyDictionary()  # of `guarded`
Report = Callable[[int, int], None]  # what long work calls: (done, of how many)
HYPHEN = re.compile(r"(?<![\w)-])-(?=\d)")  # before a number, where it means minus
TAG, LONG = re.compile("<[^>]*>"), 40  # letters of a cell that is a text to read, not a name or a number


@dataclass(frozen=True)
class View:
    """What a panel shows for one position of its controls.

    Attributes:
        says: one or two sentences of plain text that say what the picture shows, with its numbers.
        charts: drawings, from the top down.
        html: a table or marked text below them, for what is not a chart.
        instead: a drawing that shows the same as `html` where only a picture is seen, below the charts.
    """

    says: str
    charts: tuple[Drawing, ...] = ()
    html: str = ""
    instead: Drawing | None = None


class Panel(widgets.VBox):
    """Controls above a picture that is drawn anew whenever one of them moves.

    Attributes:
        title: in bold, above.
        controls: name -> widget with a `value`.
        view: the `View` that is shown now.
        buttons, actions: name -> button, and what it does; a panel that has such says so in its own class.
        busy: whether the picture changes by itself now, as while a model learns.

    `draw` gets the controls' values by name and returns a View; it should take a few milliseconds, so that the picture
    follows a slider: look numbers up, or compute them in closed form.
    """

    buttons: Mapping[str, widgets.Button] = MappingProxyType({})
    actions: Mapping[str, Callable[[], object]] = MappingProxyType({})
    busy = False

    def __init__(self, title: str, controls: Mapping[str, widgets.Widget], draw: Callable[..., View]) -> None:
        self.title, self.controls, self._draw = title, dict(controls), draw
        self._picture, self._words = widgets.HTML(), widgets.HTML()
        for control in self.controls.values():
            control.observe(guarded(self._moved, self._words), names="value")
        head = widgets.HTML(f'{CARE}<div style="font-size:17px;font-weight:600">{escape(title)}</div>')
        self.view = View("")
        self.refresh()
        # Two columns of controls where there are many, so that a slider and its picture are on one screen.
        layout = widgets.Layout(display="flex", flex_flow="row wrap", align_items="center")
        box = widgets.Box(list(self.controls.values()), layout=layout)
        super().__init__(
            [head, box, self._picture, self._words],
            layout=widgets.Layout(max_width=MAX_WIDTH, padding="8px 12px", border="1px solid #8884"),
        )
        self.add_class(CLASS)

    def _moved(self, change: object) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Draw anew from the controls as they stand."""
        self.show(self.at())

    def at(self, **values: object) -> View:
        """The view at these values of the controls, the others as they stand; nothing moves on the screen."""
        return self._draw(**{name: control.value for name, control in self.controls.items()} | values)

    def show(self, view: View) -> None:
        """Put a view on the screen."""
        self.view = view
        self._picture.value = "".join(chart.svg() for chart in view.charts) + view.html
        self._words.value = spoken(view.says)

    @contextlib.contextmanager
    def working(self, words: str) -> Iterator[Report]:
        """Words in the place of the view's while something is computed, and a bar below them once it is reported.

        The bar moves in tenths, so that a screen reader is not told of every step.
        """
        before = self._words.value

        def report(done: int, of: int) -> None:
            bar = f'<progress aria-label="done" value="{done / of:.1f}" style="width:260px"></progress>'
            self._words.value = spoken(words).replace("</p>", f"<br>{bar}</p>")  # in the room that the words have

        self._words.value = spoken(words)
        try:
            yield report
        finally:
            self._words.value = before

    def set(self, **values: object) -> "Panel":
        """Move controls from code, by name; returns the panel."""
        for name, value in values.items():
            if name not in self.controls:
                known = ", ".join(self.controls)
                raise ValueError(f"{self.title}: there is no control {name!r}; expected one of {known}")
            self.controls[name].value = value
        return self

    @property
    def summary(self) -> str:
        """The panel in words: title, position of the controls, what is to be seen."""
        return in_words(self.title, self.controls, self.view.says)

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict]:
        bundle, view = super()._repr_mimebundle_(**options), self.view
        drawings = [*view.charts, *([view.instead] if view.instead else [])]
        if drawings:
            return with_png(with_fallback(bundle, self.summary), drawings, self.summary)
        return with_fallback(bundle, self.summary, html=view.html), {}


def guarded(act: Callable[..., object], where: widgets.HTML) -> Callable[..., None]:
    """`act` for `observe`, `on_click` or a task: its error appears at the end of `where`, and the widget stays usable.

    Jupyter writes an error of a callback into a log that few people open. Here it is one sentence, with the traceback
    folded up below it; it goes when an action succeeds. JupyterLab may also call back from two threads at once: what
    has the same `where` then waits for its turn, so that nothing is learnt twice.
    """
    turn = TURNS.setdefault(where, threading.RLock())

    def safe(*arguments: object) -> None:
        with turn:
            try:
                act(*arguments)
            except Exception as error:
                where.value = _without_trouble(where.value) + trouble(error)
            else:
                where.value = _without_trouble(where.value)

    return safe


TROUBLE = '<div class="w2s-trouble" role="alert"'


def trouble(error: BaseException) -> str:
    """HTML of an error: a sentence, and its traceback folded up."""
    look = "border-left:5px solid #D55E00;padding:2px 10px;margin:4px 0;font-size:15px;line-height:1.45"
    try:
        said = " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode()
    except Exception:  # an error of a user's own may fail to say what it is
        said = ""
    words = f"✗ This went wrong. {type(error).__name__}{f': {said}' if said else ''}"
    return f'{TROUBLE} style="{look}">{escape(words)}{folded_error(error)}</div>'


def folded_error(error: BaseException) -> str:
    """HTML of an error's traceback, folded up."""
    text = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace").decode()
    return _fold("traceback", text, 12)


def fold_up(thing: object) -> HTML:
    """The page of code in which a thing's class is defined, such as that of a network: a click unfolds it."""
    module = inspect.getmodule(type(thing))
    return HTML(_fold(f"{module.__name__.replace('.', '/')}.py", inspect.getsource(module), 13))


def _fold(title: str, text: str, size: int) -> str:
    look = f"font-size:{size}px;line-height:1.3;overflow-x:auto"
    return f'<details><summary>{escape(title)}</summary><pre style="{look}">{escape(text)}</pre></details>'


def _without_trouble(html: str) -> str:
    return html.partition(TROUBLE)[0]


def spoken(text: str) -> str:
    """HTML of a sentence that a screen reader reads out when it changes; its minus signs are those of the charts."""
    look = "font-size:15px;line-height:1.45;margin:6px 0"
    return f'<p role="status" aria-live="polite" style="{look}">{escape(HYPHEN.sub(MINUS, text))}</p>'


def in_words(title: str, controls: Mapping[str, widgets.Widget], says: str) -> str:
    """`title [control value, ...]: what is to be seen`."""
    at = ", ".join(f"{name.replace('_', ' ')} {_value(control)}" for name, control in controls.items())
    return f"{title}{f' [{at}]' if at else ''}: {says}"


def _value(control: widgets.Widget) -> str:
    labels, at = getattr(control, "_options_labels", ()), getattr(control, "index", None)
    value = labels[at] if labels and isinstance(at, int) else control.value  # `label` is empty until it first moves
    return f"{value:g}" if isinstance(value, float) else str(value)


def with_fallback(bundle: dict | None, summary: str, *, html: str = "", markdown: str = "") -> dict:
    """A widget's bundle with the HTML or Markdown and the words beside the live view."""
    bundle = dict(bundle or {})
    bundle["text/plain"] = summary
    if markdown:
        bundle["text/markdown"] = markdown
    if html:
        bundle["text/html"] = html + spoken(summary)
    return bundle


def slider(
    text: str, value: float, low: float, high: float, step: float, *, form: str = ".2f", width: str = "340px"
) -> widgets.FloatSlider:
    """A slider with its words beside it, moved by mouse or arrow keys, that tells every position on the way."""
    return widgets.FloatSlider(
        value=value, min=low, max=high, step=step, description=text, readout_format=form, continuous_update=True,
        style={"description_width": "initial"}, layout=widgets.Layout(width=width),
    )  # fmt: skip


def stops(text: str, values: Sequence[object], value: object, *, width: str = "340px") -> widgets.SelectionSlider:
    """A slider over the positions that were measured, and no others. `values`: values, or (label, value) pairs."""
    return widgets.SelectionSlider(
        options=list(values), value=value, description=text, continuous_update=True,
        style={"description_width": "initial"}, layout=widgets.Layout(width=width),
    )  # fmt: skip


def choice(
    text: str, options: Sequence[object], value: object | None = None, *, width: str = "320px"
) -> widgets.Dropdown:
    """A menu. `options`: values, or (label, value) pairs."""
    first = options[0][1] if isinstance(options[0], tuple) else options[0]
    return widgets.Dropdown(
        options=list(options), value=first if value is None else value, description=text,
        style={"description_width": "initial"}, layout=widgets.Layout(width=width),
    )  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """An HTML table of cells that are HTML already; words to the left.

    A column with a text of more than LONG letters keeps room for some words on each line, in a narrow window too.
    """
    cell = "text-align:left;padding:3px 12px 3px 0;vertical-align:top;font-size:14px;line-height:1.4"
    long = [any(len(TAG.sub("", text)) > LONG for text in column) for column in zip(*rows, strict=True)]
    looks = [f"{cell};min-width:140px" if one else cell for one in long or [False] * len(head)]
    top = "".join(f'<th scope="col" style="{look}">{text}</th>' for text, look in zip(head, looks, strict=True))
    cells = ["".join(f'<td style="{cell}">{text}</td>' for text in row) for row in rows]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    title = f'<caption style="text-align:left;font-size:14px">{caption}</caption>' if caption else ""
    return f"<table>{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
