"""Both worlds in one figure, one sentence and tables: their numbers, computed once more from the rows."""

import json
import re
import shutil

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from places import ROOT
from real_results import results as made_up
from scipy import stats

from w2s_lab.cli.commands import main
from w2s_lab.figures.plots import ROLE
from w2s_lab.studies import both_worlds, real_methods, real_probe, real_tuning

RESULTS = ROOT / "data" / "results"


@pytest.fixture(scope="module")
def results() -> dict:
    return {"mechanism": json.loads((RESULTS / "mechanism.json").read_text()), **made_up()}


def students(results: dict, arm: str) -> list[dict]:
    rows = results["real-tuning"]["rows"]
    return [row for row in rows if row["question"] == "students" and row["arm"] == arm]


def interval(values: list[float], digits: int = 2) -> str:
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return f"{np.mean(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def lines(tables: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in tables.splitlines() if line[:1] == "|"]


def test_the_figure_shows_every_seed_of_both_worlds(results):
    figure = both_worlds.both_worlds_figure(results)
    left, right = figure.axes
    own = students(results, "weak labels")
    seeds = results["mechanism"]["seeds"]
    wanted = (
        [[row[key] for row in seeds] for key in ("weak_accuracy", "student_accuracy_at_trusted", "ceiling_accuracy")],
        [[row[key] for row in own] for key in ("weak", "trusted_accuracy", "ceiling")],
    )
    for ax, values in zip((left, right), wanted, strict=True):
        dots = [found.get_offsets()[:, 1] for found in ax.collections if found.get_label() == "_one seed"]
        assert [sorted(found) for found in dots] == [pytest.approx(sorted(one)) for one in values]
        assert ax.get_title().count("PGR") == 1 and ax.get_legend() is None
    assert f"PGR {interval([row['trusted_pgr'] for row in own])}, mean over 5 seeds" in right.get_title()
    assert "pocket-s supervises pocket-l" in left.get_title() and "SmolLM2" in right.get_title()
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    names = [*(ROLE[role].name for role in ("weak", "student", "ceiling")), "chance"]
    assert [one.partition(",")[0] for one in words] == names and "trusted examples" in words[1]
    assert left.get_ylim() == right.get_ylim() and left.get_ylim()[0] < 0.5
    check_words(figure)


def test_without_the_real_study_the_figure_says_so(results):
    figure = both_worlds.both_worlds_figure({"mechanism": results["mechanism"]})
    assert [text.get_text() for text in figure.axes[1].texts] == [both_worlds.NOT_YET]
    check_words(figure)


def check_words(figure: Figure) -> None:
    """Large enough to be projected, and inside of the figure."""
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    assert all(text.get_fontsize() >= 12 for text in texts)
    titles = [ax.title.get_window_extent() for ax in figure.axes]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in titles)
    assert not titles[0].overlaps(titles[1])


def test_the_first_result_names_both_worlds_with_their_numbers(results):
    says = both_worlds.first_result(results)
    assert max(map(len, says.splitlines())) <= 125 and says.startswith("1. ")
    assert all(line.startswith("   ") for line in says.splitlines()[1:])
    says = " ".join(says.split())
    own = students(results, "weak labels")
    weak, student, ceiling = (np.mean([row[key] for row in own]) for key in ("weak", "accuracy", "ceiling"))
    assert f"reaches PGR {interval([row['pgr'] for row in own])}: accuracy {weak:.2f} of the supervisor" in says
    assert f"{student:.2f} of the student, {ceiling:.2f} of the ceiling (5 seeds)" in says
    assert f"and PGR {interval([row['trusted_pgr'] for row in own])} at the snapshot" in says
    page = both_worlds.real_english_tables(results)
    assert all(one in page for one in re.findall(r"\d\.\d\d \[[^]]*\]", says.partition("On real")[2]))
    alone = " ".join(both_worlds.first_result({"mechanism": results["mechanism"]}).split())
    assert alone.endswith("SmolLM2: not measured yet.") and alone[:100] == says[:100]


def test_the_tables_hold_every_arm(results):
    tables = both_worlds.real_english_tables(results)
    found = lines(tables)
    for name in (*real_tuning.ARMS, *real_probe.ARMS, *real_probe.SUPERVISORS, *real_probe.OTHERS):
        assert any(name in row[:2] for row in found), name
    for words in filter(None, real_probe.WORDINGS.values()):
        assert f"“{words}”" in tables
    assert "undefined" not in tables and "nan" not in tables
    own = students(results, "weak labels")
    means = [np.mean([row[key] for row in own]) for key in real_columns()]
    row = next(row for row in found if row[0] == "weak labels")
    wanted = [*(f"{mean:.3f}" for mean in means), interval([r["pgr"] for r in own]), "5"]
    wanted[2] += f", PGR {interval([r['trusted_pgr'] for r in own])}"
    assert row[1:] == wanted


def real_columns() -> tuple[str, ...]:
    return ("weak", "accuracy", "trusted_accuracy", "ceiling", "imitation")


def test_the_table_of_methods_shows_both_moments_and_the_course(results):
    tables = both_worlds.real_english_tables({"real-methods": results["real-methods"]})
    own = [row for row in results["real-methods"]["rows"] if row.get("method") == real_methods.CONFIDENT]
    keys = ("label_accuracy", "accuracy", "trusted_accuracy", "trusted_imitation")
    found = next(row for row in lines(tables) if row[0] == real_methods.CONFIDENT)
    assert found[3:] == [interval([row[key] for row in own], 3) for key in keys[1:]] and found[1] == "1,500"
    assert "perplexity of 200 reviews that it had not read, which chose its recipe, from 190 to 68" in tables
    hard, truth = (
        [row for row in results["real-methods"]["rows"] if row.get("method") == name]
        for name in (real_methods.HARD, real_methods.TRUTH)
    )
    found = next(row for row in lines(tables) if row[0] == "0.001")
    wanted = ([row["curve"][2][i] for row in rows] for rows, i in ((hard, 1), (hard, 2), (truth, 1)))
    assert found[1:2] + found[3:] == [interval(one, 3) for i, one in enumerate(wanted) if i != 1]
    assert found[2].startswith("0.500")
    assert f"wrong labels are among them: {interval([0.3 + 0.012 * seed for seed in range(6)])}." in tables


def test_differences_are_paired_by_seed(results):
    found = {row[0]: row[1:] for row in lines(both_worlds.real_english_tables(results))}
    for treated, control, seeds in (("soft weak labels", "weak labels", 5),):
        off = np.subtract(*([row["accuracy"] for row in students(results, arm)] for arm in (treated, control)))
        low, high = stats.t.interval(0.95, seeds - 1, off.mean(), stats.sem(off))
        tables = both_worlds.real_english_tables({"real-tuning": results["real-tuning"]})
        row = next(row for row in lines(tables) if row[0] == f"{treated} minus {control}")
        assert [float(x) for x in re.findall(r"[+-]?\d\.\d+", row[1])] == pytest.approx(
            [off.mean(), low, high], abs=6e-4
        )
        assert row[2] == f"{seeds}"
    assert "random errors minus errors by words" in found


def test_a_pgr_that_is_undefined_for_some_seeds_is_counted(results):
    rows = [dict(row) for row in results["real-tuning"]["rows"]]
    next(row for row in rows if row["arm"] == "weak labels" and row["seed"] == 2)["pgr"] = None
    tables = both_worlds.real_english_tables({"real-tuning": results["real-tuning"] | {"rows": rows}})
    assert next(row for row in lines(tables) if row[0] == "weak labels")[-1] == "5; PGR of 4"


def test_what_is_not_measured_is_named_with_its_command():
    says = both_worlds.real_english_tables({})
    assert all(f"`w2s-lab study {name}`" in says for name in ("real-tuning", "real-probe", "real-methods"))


@pytest.mark.slow
def test_the_command_fills_the_places_and_nothing_else(results, tmp_path, capsys):
    folder = tmp_path / "data" / "results"
    (tmp_path / "docs").mkdir()
    shutil.copytree(RESULTS, folder, ignore=shutil.ignore_patterns("*.png", "run-*"))
    for page in ("README.md", "docs/real_english.md"):
        shutil.copyfile(ROOT / page, tmp_path / page)
    for name in ("real-tuning", "real-probe", "real-methods"):
        (folder / f"{name}.json").write_text(json.dumps(results[name]))
    for _ in range(2):  # a second time changes nothing
        assert main(["study", "findings", "--output", str(folder)]) == 0
        for page, (name, text, _) in both_worlds.PLACES.items():
            begin, end = both_worlds.marks(name)
            new, old = ((root / page).read_text(encoding="utf-8") for root in (tmp_path, ROOT))
            assert new.partition(begin)[2].partition(end)[0].strip("\n") == text(both_worlds.read_worlds(folder))
            assert (new.partition(begin)[0], new.partition(end)[2]) == (old.partition(begin)[0], old.partition(end)[2])
    assert (folder / both_worlds.FIGURE).stat().st_size > 10_000
    assert f"written: {folder / both_worlds.FIGURE}" in capsys.readouterr().out


@pytest.mark.slow
def test_a_page_of_somebody_elses_is_left_alone(results, tmp_path):
    folder = tmp_path / "data" / "results"
    folder.mkdir(parents=True)
    (folder / "mechanism.json").write_text(json.dumps(results["mechanism"]))
    (tmp_path / "README.md").write_text("mine")
    assert both_worlds.write_worlds(folder) == [folder / both_worlds.FIGURE]
    assert (tmp_path / "README.md").read_text() == "mine"
    (folder / "real-probe.json").write_text("{")
    with pytest.raises(ValueError, match=r"real-probe.json cannot be read .* Hint: w2s-lab study real-probe"):
        both_worlds.read_worlds(folder)
