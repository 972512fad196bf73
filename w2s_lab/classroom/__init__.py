"""The classroom: exercises that are checked, quizzes, dashboards, progress; `from w2s_lab import classroom as room`.

The public names are imported when they are first used.
"""

import sys
from importlib import import_module
from types import ModuleType

_HOME = {
    "budget_explorer": ("budget_explorer",),
    "cascade_explorer": ("cascade_explorer",),
    "checks": ("check",),
    "error_simulator": ("error_simulator",),
    "findings_view": ("findings_view",),
    "flips": ("count_kinds", "flip_inspector", "flips"),
    "flywheel_dashboard": ("flywheel_dashboard",),
    "flywheel_diagram": ("flywheel_diagram",),
    "heat_map": ("heat_map",),
    "label_browser": ("label_browser",),
    "live_training": ("live_training",),
    "loss_explorer": ("loss_explorer",),
    "measured": ("measured",),
    "memory_explorer": ("memory_explorer",),
    "overview": ("my_progress",),
    "progress": ("reset_progress",),
    "quizzes": ("outcome", "predict", "quiz"),
    "seed_count": ("seed_count",),
    "selection_diagram": ("selection_diagram",),
    "selection_explorer": ("selection_explorer",),
    "target_view": ("relabelling_view", "temperature_view"),
    "token_viewer": ("token_viewer",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*_MODULE_OF]


class _Room(ModuleType):
    """A name of _HOME stands for what it names, also where a module has the same name and has been imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _MODULE_OF or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Room


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(import_module(f"w2s_lab.classroom.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'w2s_lab.classroom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
