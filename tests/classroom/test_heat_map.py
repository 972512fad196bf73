"""The heat map: every cell against the study's cells, and what it says of a pair."""

import copy
import math

import pytest
from pictures import stored

from w2s_lab.classroom.dashboards.heat_map import QUANTITIES, HeatMap, heat_map
from w2s_lab.classroom.toolkit.measured import measured

STUDY = measured("scaling")
NAMES = list(STUDY["rates"])
CELLS = {(cell["weak"], cell["strong"]): cell for cell in STUDY["cells"]}


@pytest.mark.parametrize("show", QUANTITIES)
def test_every_cell_is_that_of_the_study(show):
    table = heat_map(STUDY).set(show=show).view.charts[0].values
    for i, weak in enumerate(NAMES):
        for j, strong in enumerate(NAMES):
            cell = CELLS.get((weak, strong))
            wanted = QUANTITIES[show].of(cell)["mean"] if cell else math.nan
            if wanted is None:
                assert table[i][j] is None if show == "pgr" else math.isnan(table[i][j])
            else:
                assert table[i][j] == wanted or math.isnan(wanted)


def test_the_sentence_has_interval_seeds_and_the_three_roles():
    panel = heat_map(STUDY).set(weak="pocket-s", strong="pocket-m")
    at, plain = CELLS["pocket-s", "pocket-m"]["plain"]["pgr"], CELLS["pocket-s", "pocket-m"]["plain"]
    assert panel.view.says == (
        f"pocket-s supervises pocket-m: performance gap recovered {at['mean']:.2f}, 95 % t interval "
        f"[{at['low']:.2f}, {at['high']:.2f}], over 8 seeds. Supervisor {plain['weak']['mean']:.3f}, student "
        f"{plain['accuracy']['mean']:.3f}, ceiling {plain['ceiling']['mean']:.3f}."
    )
    assert panel.view.charts[0].chosen == (1, 2)


def study_without_a_gap() -> dict:
    """The study, in which the ceiling of the smallest pair were above its supervisor for no seed."""
    changed = copy.deepcopy(STUDY)
    cell = next(one for one in changed["cells"] if (one["weak"], one["strong"]) == ("pocket-xs", "pocket-xs"))
    cell["plain"]["pgr"] = {"mean": None, "low": None, "high": None, "n": 0}
    return changed


def test_undefined_not_measured_and_partly_defined_are_told_apart():
    panel = heat_map(study_without_a_gap()).set(weak="pocket-xs", strong="pocket-xs")
    assert "its own size: performance gap recovered is undefined" in panel.view.says
    assert "in none of 8 seeds" in panel.view.says
    defined = CELLS["pocket-l", "pocket-l"]["plain"]["pgr"]["n"]
    assert 0 < defined < 8
    panel.set(weak="pocket-l", strong="pocket-l")
    assert f"over the {defined} of 8 seeds where it is defined" in panel.view.says
    assert panel.view.charts[0].notes[-1][-1] == f"{defined} of 8 seeds"
    panel.set(strong="pocket-s")
    assert "pocket-l supervises pocket-s: not measured" in panel.view.says
    panel.set(show="gain")
    assert None not in panel.view.charts[0].values[0]


def test_the_picture_says_undefined_and_carries_every_number():
    panel = heat_map(study_without_a_gap())
    found = panel.view.charts[0].svg()
    assert found.count(">undefined<") == found.count("url(#undefined)") == 1
    assert found.count(">–<") == len(NAMES) ** 2 - len(CELLS)
    assert f">{CELLS['pocket-xs', 'pocket-m']['plain']['pgr']['mean']:+.2f}<" in found
    assert 'aria-label="pocket-s supervises' in found
    assert "95 % t interval" in stored(panel)["text/plain"]


def test_letters_stay_readable_on_every_colour():
    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for show in ("pgr", "student"):
        drawn = HeatMap([[0.0, 1.0]], ["a"], ["b", "c"], QUANTITIES[show], [["", ""]])
        for value in [v / 50 for v in range(-60 if show == "pgr" else 0, 61)]:
            fill, ink = map(luminance, drawn.colour(value))
            assert (max(fill, ink) + 0.05) / (min(fill, ink) + 0.05) >= 4.5
    pgr = HeatMap([[0.0]], ["a"], ["b"], QUANTITIES["pgr"], [[""]])
    assert luminance(pgr.colour(0.0)[0]) > 0.9 and pgr.colour(5.0) == pgr.colour(1.0) != pgr.colour(-1.0)
