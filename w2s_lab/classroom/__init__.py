"""The classroom: exercises that are checked, quizzes, dashboards, progress; `from w2s_lab import classroom as room`.

The public names stand in `__init__.pyi`; each is imported when it is first used.
"""

import sys

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _figures_speak() -> None:
    """In a notebook, every matplotlib figure says in words what it shows; matplotlib is imported only when it draws."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        shell.display_formatter.mimebundle_formatter.for_type_by_name("matplotlib.figure", "Figure", _with_words)


def _with_words(figure: object) -> tuple[dict, dict]:
    from w2s_lab.figures.in_words import figure_in_words

    said = figure_in_words(figure)
    return {"text/plain": said}, {"image/png": {"alt": said}}


_figures_speak()
