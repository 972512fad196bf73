"""Registries by hand: order, two entries of one name, names that come from an import, and what a message says."""

import subprocess
import sys

import pytest

from w2s_lab.system import registry
from w2s_lab.system.registry import Registry, Unknown, load_plugin, plugins


@pytest.fixture
def fruit() -> Registry:
    return Registry("fruit", {"pear": 1, "apple": 2})


def test_it_is_a_mapping_in_the_order_of_registration(fruit):
    fruit.register("fig", 3)
    assert list(fruit.items()) == [("pear", 1), ("apple", 2), ("fig", 3)] and len(fruit) == 3
    assert fruit.get("plum") is None and "plum" not in fruit


def test_one_name_is_one_entry(fruit):
    fruit.register("pear", 1)  # the same again, as when a module is imported under two names
    with pytest.raises(ValueError, match="already a fruit 'pear'; expected another name, or replace=True"):
        fruit.register("pear", 5)
    fruit.register("pear", 5, replace=True)
    assert list(fruit.items()) == [("pear", 5), ("apple", 2)]
    for name in ("", " ", 3, None):
        with pytest.raises(ValueError, match="the name of a fruit is"):
            fruit.register(name, 1)


def test_an_unknown_name_is_answered_with_the_known_ones(fruit):
    with pytest.raises(Unknown) as raised:
        fruit["aple"]
    assert str(raised.value) == "there is no fruit 'aple'; expected one of pear, apple. Did you mean 'apple'?"
    assert isinstance(raised.value, ValueError) and isinstance(raised.value, KeyError)


def test_a_dotted_name_is_imported_when_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "orchard.py").write_text("PLUM = ['plum']\n")
    monkeypatch.syspath_prepend(tmp_path)
    fruit = Registry("fruit", {"plum": "orchard:PLUM"})
    assert "plum" in fruit and list(fruit) == ["plum"] and "orchard" not in sys.modules
    assert fruit["plum"] is fruit["plum"] == ["plum"]
    fruit.register("plum", sys.modules["orchard"].PLUM)
    fruit.register("plum", "orchard:PLUM", replace=True)
    fruit.register("plum", sys.modules["orchard"].PLUM)
    del sys.modules["orchard"]


def test_a_plugin_is_remembered_once_it_could_be_imported(tmp_path, monkeypatch):
    (tmp_path / "my_orchard.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_plugins", {})
    with pytest.raises(ImportError):
        load_plugin("no_such_orchard")
    load_plugin("my_orchard")
    load_plugin("my_orchard")
    assert plugins() == ("my_orchard",)


def test_tables_of_names_cost_no_import():
    code = "import sys; from w2s_lab.studies import STUDIES; 'methods' in STUDIES, list(STUDIES); "
    code += "sys.exit(bool({'torch', 'matplotlib', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
