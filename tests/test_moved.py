"""Imports of notebooks that were written before the package had folders."""

import importlib
import subprocess
import sys

import pytest
from forked import forked
from places import ROOT

import w2s_lab

TRY = """
import importlib

from w2s_lab import classroom as room
from w2s_lab.moved import MOVED

for old, new in MOVED.items():
    today = importlib.import_module(new)
    spec = today.__spec__
    assert importlib.import_module(old) is today, old
    assert today.__spec__ is spec and spec.name == today.__name__ == new, old
    assert importlib.import_module(new) is today, old

from w2s_lab.classroom.chart import Bar
from w2s_lab.classroom.findings_view import findings_view
from w2s_lab.effects import paired_effect
from w2s_lab.experiments import Plan
from w2s_lab.gradient import BatchGradient
from w2s_lab.training import batches, learning_rate_at

assert Bar.__module__ == "w2s_lab.classroom.toolkit.chart"
assert type(room.findings_view()) is type(findings_view())  # the module of that name has been imported by now
"""


def test_old_names_are_the_modules_of_today():
    """In a process of its own: an old name, once imported, stays bound."""
    subprocess.run([forked(), "-c", TRY], check=True, timeout=300, cwd=ROOT)


def test_names_that_never_were_stay_unknown():
    with pytest.raises(ModuleNotFoundError, match=r"w2s_lab\.effect"):
        importlib.import_module("w2s_lab.effect")


def test_it_is_there_once():
    from w2s_lab import moved

    finders = list(sys.meta_path)
    moved.install()
    assert sys.meta_path == finders
    assert w2s_lab.selection is importlib.import_module("w2s_lab.methods.selection")
