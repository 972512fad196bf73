"""The classroom: exercises that are checked, quizzes, dashboards, progress; `from w2s_lab import classroom as room`.

The public names are imported when they are first used.
"""

from importlib import import_module

_HOME = {
    "checks": ("check",),
    "overview": ("my_progress",),
    "progress": ("reset_progress",),
    "quiz": ("outcome", "predict", "quiz"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*_MODULE_OF]


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(import_module(f"w2s_lab.classroom.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'w2s_lab.classroom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
