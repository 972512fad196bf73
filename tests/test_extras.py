"""What only some need is an extra: without it everything else works, and one sentence says what to install."""

import subprocess
import sys

import pytest
from places import ROOT

from w2s_lab.data.sources import DataError, load_splits

# What the base install does not bring by name; psutil comes with JupyterLab, and is hidden here all the same.
EXTRAS = (
    "datasets gguf pypi_simple vaderSentiment requests psutil peft accelerate ray voila nbgrader jupytext playwright "
    "hypothesis shtab"
)
IMPORT_EVERYTHING = """
import importlib, sys
for name in sys.argv[1].split():
    sys.modules[name] = None
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


@pytest.mark.slow
def test_every_module_is_imported_without_the_extras():
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "w2s_lab").rglob("*.py")]
    names = [name for name in names if not name.endswith(("__main__", "__init__"))]
    command = [sys.executable, "-c", IMPORT_EVERYTHING, EXTRAS, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and len(names) > 100, done.stderr


def test_data_of_the_hub_asks_for_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError) as error:
        load_splits("hub:sciq")
    assert str(error.value) == "hub:sciq: this needs the package datasets. Hint: pip install 'w2s-lab[hub]'"


def test_grading_asks_for_its_extra(monkeypatch):
    from w2s_lab.assignments.grading import session

    monkeypatch.setattr(session, "psutil", None)
    with pytest.raises(OSError, match=r"grading needs the package psutil.*'w2s-lab\[grading\]'"):
        session.Session()
