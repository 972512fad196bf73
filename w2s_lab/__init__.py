"""w2s_lab: weak-to-strong generalization, derived, run, seen and broken, on a laptop.

The public names are imported when they are first used, so that `import w2s_lab` costs nothing.
"""

from importlib import import_module

from w2s_lab.version import __version__

_HOME = {
    "data": (
        "DataError",
        "DataWarning",
        "SplitSizes",
        "builtin_tasks",
        "load_splits",
        "read_examples",
        "write_examples",
    ),
    "evaluation": ("compare", "evaluate", "score"),
    "experiments": ("Bench", "Outcome", "Plan", "weak_to_strong"),
    "labelling": ("token_targets", "weak_labels"),
    "language_model": ("LanguageModel",),
    "models": ("ladder", "load_model", "save_model"),
    "objective": ("AuxiliaryConfidence", "Distillation", "MaximumLikelihood", "NextToken", "SoftTargets"),
    "recipe": ("LoRA", "Recipe"),
    "records": ("Comparison", "Evaluation", "Example", "LabelledSet", "Snapshot", "Splits", "Task"),
    "simulated": ("random_errors",),
    "store": ("Store",),
    "training": ("NonFiniteLoss", "adapt", "train", "training_steps"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_MODULES = (
    "cascade",
    "effects",
    "ensembles",
    "flywheel",
    "metrics",
    "mixing",
    "objective",
    "plots",
    "probe",
    "report",
    "selection",
    "simulated",
    "stopping",
    "study_plots",
)

__all__ = ["__version__", *_MODULES, *_MODULE_OF]


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(import_module(f"w2s_lab.{_MODULE_OF[name]}"), name)
    if name in _MODULES:
        return import_module(f"w2s_lab.{name}")
    raise AttributeError(f"module 'w2s_lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
