"""Modules under the names that they had before the package had folders, for notebooks that were written then.

`import w2s_lab.effects` gives the very module `w2s_lab.experiments.effects`. New code names the folder.
"""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Folder today -> names of its modules; `before=today` where the name has changed too.
_FOLDERS = {
    "system": "files jobs memory=token_budget parallel",
    "data": "examples hub hub_tasks=presets readers",
    "models": "adapters language_model prefix=shared_prefix",
    "training": "checkpoint evaluation gradient labelling stopping",
    "methods": "cascade ensembles flywheel mixing probe proposals selection simulated",
    "experiments": "effects report store",
    "figures": "plots study_plots",
    "planning": "doctor dry_run estimate pairs=hub_models",
    "classroom.toolkit": "chart measured panel sketch svg",
    "classroom.exercises": "checks exercise",
    "classroom.dashboards": (
        "budget_explorer cascade_explorer error_simulator findings_view flips flywheel_dashboard flywheel_diagram "
        "flywheel_health heat_map label_browser live_training loss_explorer memory_explorer seed_count "
        "selection_diagram selection_explorer target_view token_viewer"
    ),
}


def _old_names() -> dict[str, str]:
    """Dotted name before -> dotted name today."""
    names = {}
    for folder, modules in _FOLDERS.items():
        before = "w2s_lab.classroom" if folder.startswith("classroom.") else "w2s_lab"
        for module in modules.split():
            old, _, new = module.partition("=")
            names[f"{before}.{old}"] = f"w2s_lab.{folder}.{new or old}"
    return names


MOVED = _old_names()


class _Dashboard(ModuleType):
    """A module that can be called as its function of the same name: importing `w2s_lab.classroom.heat_map` binds the
    name `heat_map` in the classroom to the module, and notebooks call `room.heat_map(...)` all the same."""

    def __call__(self, *arguments: object, **options: object) -> object:
        return getattr(self, self.__name__.rpartition(".")[2])(*arguments, **options)


class _Moved(MetaPathFinder, Loader):
    """Asked last, after every finder that looks at files."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(MOVED[spec.name])
        if callable(getattr(module, spec.name.rpartition(".")[2], None)):
            module.__class__ = _Dashboard
        spec.loader_state = module.__spec__  # the import system is about to write its own over it
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = getattr(module.__spec__, "loader_state", None)


def install() -> None:
    """Let imports of old names find the modules of today; once is enough."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
