"""What users call: every name of the stubs is there, documented and annotated."""

import importlib
import inspect
import os
import subprocess
import sys

import pytest
from places import ROOT

STUBS = sorted((ROOT / "w2s_lab").rglob("__init__.pyi"))
FACES = {".".join(path.parent.relative_to(ROOT).parts): path for path in STUBS}
PUBLIC = [(face, name) for face in FACES for name in importlib.import_module(face).__all__]


def test_the_stubs_were_found():
    assert {"w2s_lab", "w2s_lab.models", "w2s_lab.training", "w2s_lab.classroom"} <= set(FACES)
    assert len(PUBLIC) > 100


def test_public_names_are_there_documented_and_annotated():
    wrong = []
    for face, name in PUBLIC:
        thing = getattr(importlib.import_module(face), name)
        if name != "__version__" and not inspect.getdoc(thing):
            wrong.append(f"{face}.{name} has no docstring")
        if inspect.isfunction(thing):
            signature = inspect.signature(thing)
            kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty and p.kind not in kinds]
            wrong += [f"{face}.{name}: no annotation for {parameter}" for parameter in bare]
            if signature.return_annotation is signature.empty:
                wrong.append(f"{face}.{name}: no annotation of what it returns")
    assert not wrong, "\n".join(wrong)


def test_completion_offers_the_public_names():
    for module in map(importlib.import_module, FACES):
        assert set(module.__all__) <= set(dir(module)), module.__name__


@pytest.mark.slow
def test_the_type_checker_sees_what_users_see(tmp_path):
    """A wrong name and a wrong type in a user's file are found; the marker file makes the package typed."""
    assert (ROOT / "w2s_lab" / "py.typed").is_file()
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import w2s_lab as w2s\nfrom w2s_lab import classroom as room\n\n"
        "w2s.trian\nw2s.train(3, 4, 5)\nroom.heat_mpa\nreveal_type(w2s.load_splits('sentiment').test)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", mine],  # as `make lint` does, whose cache it then finds
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )
    told = [line.partition(": ")[2] for line in done.stdout.splitlines()]
    for expected in ('no attribute "trian"', 'Argument 1 to "train"', 'no attribute "heat_mpa"', "records.LabelledSet"):
        assert any(expected in line for line in told), done.stdout + done.stderr
