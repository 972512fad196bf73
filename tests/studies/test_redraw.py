"""Figures of a study, drawn again from its file."""

import json

import pytest
from places import ROOT

from w2s_lab.cli.commands import main

RESULTS = ROOT / "data" / "results"


def test_a_studys_figures_are_drawn_again_from_its_file(tmp_path, capsys):
    kept = (RESULTS / "budget.json").read_bytes()
    (tmp_path / "budget.json").write_bytes(kept)
    assert main(["study", "budget", "--redraw", "--output", str(tmp_path)]) in (None, 0)
    drawn = sorted(path.name for path in tmp_path.glob("*.png"))
    assert drawn == ["budget-10.png", "budget-100.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.glob("*.png"))
    assert (tmp_path / "budget.json").read_bytes() == kept and "budget-10.png" in capsys.readouterr().out


@pytest.mark.parametrize("facts", [None, {"command": "no rows"}])
def test_what_cannot_be_drawn_again_is_said(facts, tmp_path, capsys):
    if facts is not None:
        (tmp_path / "policy.json").write_text(json.dumps(facts))
    assert main(["study", "policy", "--redraw", "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "policy.json" in said and ("holds no rows" in said) == (facts is not None)
