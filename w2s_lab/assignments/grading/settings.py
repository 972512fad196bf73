"""Settings of a whole process that a notebook may change, such as torch's default dtype: read, and set again.

A notebook's settings belong to its functions: some rely on them. What a check prepares must not depend on them: with
another default dtype, the same seed draws other numbers.
"""

import builtins
import contextlib
import decimal
import locale
import os
import sys
import warnings
from collections.abc import Callable

import numpy as np
import torch

UNKNOWN = object()  # what cannot be read, such as a working folder that was removed


def _set_builtins(wanted: dict) -> None:
    names = vars(builtins)
    for name in names.keys() - wanted.keys():
        del names[name]
    names.update(wanted)


def _set_filters(wanted: list) -> None:
    warnings.resetwarnings()  # so that warnings notices the change
    warnings.filters[:] = wanted


def _folder() -> str:
    """The working folder. Where its path is longer than a path may be, os.getcwd would walk up step by step."""
    return os.readlink("/proc/self/cwd") if sys.platform == "linux" else os.getcwd()


# How each is read, and how it is set. Bound now, before any code of a student's could put something in their place.
SETTINGS: tuple[tuple[Callable[[], object], Callable[..., object]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, torch.set_default_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (np.geterr, lambda wanted: np.seterr(**wanted)),
    (np.geterrcall, np.seterrcall),
    (np.get_printoptions, lambda wanted: np.set_printoptions(**wanted)),
    (lambda: list(warnings.filters), _set_filters),
    (lambda: decimal.getcontext().copy(), lambda wanted: decimal.setcontext(wanted.copy())),
    (lambda: locale.setlocale(locale.LC_ALL), lambda wanted: locale.setlocale(locale.LC_ALL, wanted)),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    (_folder, os.chdir),
    (lambda: list(sys.path), lambda wanted: sys.path.__setitem__(slice(None), wanted)),
    (lambda: dict(vars(builtins)), _set_builtins),
)


def current() -> list[object]:
    """The settings as they are."""
    return [_read(get) for get, _ in SETTINGS]


def _read(get: Callable[[], object]) -> object:
    try:
        return get()
    except Exception:
        return UNKNOWN


def restore(wanted: list[object]) -> bool:
    """Set what differs from earlier settings by `current`; returns whether anything did."""
    changed = False
    for (get, put), value in zip(SETTINGS, wanted, strict=True):
        if value is not UNKNOWN and not _equal(_read(get), value):
            changed = True
            with contextlib.suppress(Exception):
                put(value)
    return changed


def _equal(one: object, other: object) -> bool:
    if isinstance(other, decimal.Context):
        return repr(one) == repr(other)
    try:
        return bool(one == other)
    except Exception:  # an array where a builtin was
        return False
