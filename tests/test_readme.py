"""What the README shows works as it stands there."""

import json
import re
from statistics import median

import matplotlib
import pytest
from places import ROOT

from w2s_lab.data.presets import PRESETS
from w2s_lab.data.sources import builtin_tasks
from w2s_lab.studies import STUDIES


@pytest.mark.slow
def test_the_procedure_in_ten_lines(monkeypatch):
    """The code blocks run, and supervisor, student and ceiling come out in a believable order; then the methods."""
    monkeypatch.chdir(ROOT)
    matplotlib.use("Agg", force=True)
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    names: dict = {}
    for code in blocks:
        exec(code, names)  # our own page
    result = names["result"]
    assert result.weak.accuracy < result.ceiling.accuracy
    assert 0.5 < result.student.accuracy <= result.ceiling.accuracy
    assert result.student.agreement is not None and result.pgr is not None
    assert len(blocks) == 2 and 700 <= len(names["sure"]) <= 2000 and 0 < len(names["same"]) < len(names["labels"])
    assert names["better"].history[-1].train_loss > 0 and names["asked"][1] < len(names["splits"].test)
    assert names["random"].label_accuracy == pytest.approx(names["labels"].label_accuracy)
    matplotlib.pyplot.close("all")


def test_what_the_readme_names_is_registered():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for pattern, known in (
        (r"hub:([a-z]\w*)", PRESETS),
        (r"w2s-lab study ([a-z]\w*)", {*STUDIES, "findings"}),
        (r"w2s-lab run --task (\S*[^\s`])", builtin_tasks()),
    ):
        named = set(re.findall(pattern, page))
        assert named and named <= set(known), pattern


def rows_of(page: str) -> list[list[str]]:
    """The cells of every table row of a Markdown page."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def shown(interval: dict) -> str:
    return f"{interval['mean']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"


def test_the_numbers_in_the_readme_are_those_of_the_results():
    page, results = (ROOT / "README.md").read_text(encoding="utf-8"), ROOT / "data" / "results"
    cells = rows_of(page)
    means = json.loads((results / "mechanism.json").read_text())["means"]
    measured = [row for row in cells if len(row) == 2 and re.match(r"-?\d\.\d\d \[", row[1])]
    names = (
        "weak_accuracy", "ceiling_accuracy", "pgr_at_best", "pgr_at_trusted", "pgr_at_end", "pgr_end_minus_best",
        "agreement_end_minus_best", "imitation_end_minus_best", "random_pgr_at_best", "random_pgr_at_end",
    )  # fmt: skip
    assert [row[1] for row in measured] == [shown(means[name]) for name in names]
    tasks = [row for row in cells if len(row) == 7 and (results / f"run-{row[0]}.json").is_file()]
    assert {row[0] for row in tasks} == {"sentiment", "helpdesk", "summary", "topic"}
    for task, pair, weak, student, ceiling, pgr, _ in tasks:
        found = json.loads((results / f"run-{task}.json").read_text())
        assert pair == f"{found['weak']} → {found['strong']}"
        roles = ("weak supervisor", "strong student", "strong ceiling")
        assert [weak, student, ceiling] == [f"{found['accuracy'][role]['mean']:.2f}" for role in roles]
        assert pgr.startswith(shown(found["pgr"]) if found["pgr"] else "undefined")


def test_the_speeds_in_the_readme_are_those_of_the_results():
    found = json.loads((ROOT / "data" / "results" / "throughput.json").read_text())
    loops = ("kit", "trainer", "singles", "kit, bfloat16")
    rows = [
        row for row in rows_of((ROOT / "README.md").read_text(encoding="utf-8")) if len(row) == 5 and row[1].isdigit()
    ]
    assert len(rows) == len(loops)
    for (_, *cells), loop in zip(rows, loops, strict=True):
        for size, rate, ratio in (("small", *cells[:2]), ("large", *cells[2:])):
            measured, facts = found[size]["loops"][loop], found[size]["facts"]
            assert int(rate) == round(facts["examples"] / median(measured["seconds"]))
            assert ratio in ("", f"{measured['kit_is']:.1f} ×")
