"""The exercises of all notebooks, by the name of the function that the learner writes.

One module per notebook, each with a tuple EXERCISES. Solutions are code, so they are linted, tested and run.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from w2s_lab.classroom.exercises.exercise import Exercise

_NUMBERS = tuple(sorted(one.name[2:] for one in iter_modules(__path__) if one.name.startswith("nb")))
_LISTS: dict[str, tuple[Exercise, ...]] = {n: import_module(f"{__name__}.nb{n}").EXERCISES for n in _NUMBERS}

NOTEBOOKS = MappingProxyType({number: tuple(one.id for one in own) for number, own in _LISTS.items()})
EXERCISES = MappingProxyType({one.id: one for own in _LISTS.values() for one in own})

if len(EXERCISES) != sum(map(len, NOTEBOOKS.values())):
    raise ValueError("two exercises have one name: each function name may occur in one notebook only")
