"""What the README and the pages of docs/ show works as it stands there, and their numbers are those of the results."""

import argparse
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from urllib.parse import unquote

import matplotlib
import nbformat
import pytest
from places import ROOT
from test_repository import FILES

from w2s_lab.cli.commands import parser
from w2s_lab.data.presets import PRESETS
from w2s_lab.data.sources import builtin_tasks
from w2s_lab.studies import STUDIES, both_worlds
from w2s_lab.studies.findings import all_findings

README, DOCS, RESULTS = ROOT / "README.md", ROOT / "docs", ROOT / "data" / "results"
PAGES = sorted(path for path in FILES if path.suffix == ".md" and ROOT / "data" / "models" not in path.parents)
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
MADE_LATER = re.compile(r"(runs|marks|feedback|gradescope)/|.*progress\.json$|.*(NAME|NN)")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(path: Path) -> str:
    """A page without its code blocks."""
    return FENCED.sub("", text(path))


# -- the pages ---------------------------------------------------------------------------------------------------------


def test_the_readme_is_short():
    assert len(text(README).splitlines()) <= 150
    assert text(README).count("![") == 1


def test_the_index_names_every_page():
    index = text(DOCS / "README.md")
    assert not [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index]


def test_a_page_begins_with_what_it_answers_and_leads_back():
    for page in DOCS.glob("*.md"):
        title, blank, first, *_ = text(page).splitlines()
        assert title.startswith("# ") and not blank and first.startswith("This page "), (page.name, first)
        assert "../README.md" in "\n".join(text(page).splitlines()[:6]), page.name


def heading_anchors(path: Path) -> set[str]:
    """The anchors that a code host gives the headings of a Markdown page or of a notebook."""
    source = text(path)
    if path.suffix == ".ipynb":
        cells = nbformat.reads(source, as_version=4).cells
        source = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = re.findall(r"^#+ +(.*?) *$", FENCED.sub("", source), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    if path.suffix == ".ipynb":  # Jupyter's way: as it stands, with hyphens for spaces
        return {heading.replace(" ", "-") for heading in plain}
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def wrong_links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = unquote(target).partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists():
            yield f"{target} is not there"
        elif there.is_file() and there not in FILES:
            yield f"{target} is not in the repository"
        elif anchor and anchor not in heading_anchors(there):
            yield f"{target} has no such heading"


def test_links_lead_somewhere():
    """To a file of the repository and, behind a #, to a heading of it."""
    assert not [f"{name}: {wrong}" for name in NAMES for wrong in wrong_links(ROOT / name)]


def missing_files(page: Path) -> Iterator[str]:
    for path in re.findall(r"`([\w.-]+(?:/[\w.*-]+)+/?)`", prose(page)):
        if re.search(r"\.(py|pyi|md|json|toml|ipynb)$|/$", path) and not MADE_LATER.match(path):
            if not any([*place.glob(path.rstrip("/"))] for place in (ROOT, ROOT / "w2s_lab", page.parent)):
                yield path


def test_files_that_are_named_are_there():
    """Names with a folder, such as `methods/selection.py`: from the root, from the package or beside the page."""
    assert not [f"{name}: no {path}" for name in NAMES for path in missing_files(ROOT / name)]


# -- commands ----------------------------------------------------------------------------------------------------------


@cache
def options(*words: str) -> set[str]:
    """The options of a command such as ("assignment", "grade")."""
    here = parser()
    for word in words:
        (branch,) = [action for action in here._actions if isinstance(action, argparse._SubParsersAction)]
        assert word in branch.choices, f"there is no w2s-lab {' '.join(words)}"
        here = branch.choices[word]
    return {option for action in here._actions for option in action.option_strings}


def commands(page: Path) -> list[str]:
    """What a page says of w2s-lab, in blocks and in the running text, without comments."""
    blocks = "\n".join(code for language, code in FENCED.findall(text(page)) if language in ("", "bash", "console"))
    lines = blocks.replace("\\\n", " ").splitlines() + re.findall(r"`([^`\n]+)`", prose(page))
    found = [re.search(r"(?:w2s-lab|-m w2s_lab) +(.*)", re.split(r"\s#\s", line)[0]) for line in lines]
    return [match[1] for match in found if match]


def test_commands_exist():
    for name, command in ((page, command) for page in NAMES for command in commands(ROOT / page)):
        words = command.split()
        if words[0].isupper():  # a placeholder
            continue
        before = ["assignment", words[1]] if words[0] == "assignment" and words[1:] else words[:1]
        if before[-1].isupper() or not re.fullmatch(r"[\w-]+", before[-1]):
            before = before[:-1]
        known = options(*before)
        for word in words:
            if word.startswith("-"):
                assert word.partition("=")[0] in known, f"{name}: w2s-lab {command}: no {word}"
        if words[0] == "study" and words[1:] and re.fullmatch("[a-z][a-z-]*", words[1]):
            assert words[1] in (*STUDIES, "findings"), f"{name}: no study {words[1]}"


def test_targets_of_make_exist():
    known = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    for name in NAMES:
        spans = re.findall(r"`([^`\n]+)`", prose(ROOT / name)) + [
            line for _, code in FENCED.findall(text(ROOT / name)) for line in code.splitlines()
        ]
        named = {found[1] for span in spans if (found := re.match(r"(?:\w+=\S+ )*make ([a-z-]+)", span))}
        assert named <= known, f"{name}: {named - known}"


def test_extras_exist():
    extras = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    for name in NAMES:
        groups = re.findall(r"'\.\[([\w,]+)\]'", text(ROOT / name))
        named = {extra for group in groups for extra in group.split(",")}
        assert named <= set(extras), f"{name}: {named - set(extras)}"


@pytest.mark.slow
def test_the_procedure_in_ten_lines(monkeypatch, tmp_path):
    """The code blocks run, and supervisor, student and ceiling come out in a believable order; then the methods."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path))
    matplotlib.use("Agg", force=True)
    pages = (README, DOCS / "methods.md")
    blocks = [code for page in pages for language, code in FENCED.findall(text(page)) if language == "python"]
    names: dict = {}
    for code in blocks:
        exec(code, names)  # our own page
    result = names["result"]
    assert result.weak.accuracy < result.ceiling.accuracy
    assert 0.5 < result.student.accuracy <= result.ceiling.accuracy
    assert result.student.agreement is not None and result.pgr is not None
    assert len(blocks) == 8 and 700 <= len(names["sure"]) <= 2000 and 0 < len(names["same"]) < len(names["labels"])
    assert names["better"].history[-1].train_loss > 0 and names["asked"][1] < len(names["splits"].test)
    assert names["ruled"].ids == names["labels"].ids and names["plan"].weak is names["stars"]
    assert len(names["found"].answer) > 0 and len(names["ranked"]) == len(names["splits"].student_train)
    assert names["smooth"].history[-1].train_loss > 0
    assert names["random"].label_accuracy == pytest.approx(names["labels"].label_accuracy)
    matplotlib.pyplot.close("all")


def test_the_page_on_python_works(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path))
    names: dict = {}
    for language, code in FENCED.findall(text(DOCS / "python.md")):
        assert language == "python"
        exec(code, names)  # our own page
    assert (tmp_path / "my-model" / "w2s_lab.json").is_file() and names["model"].task.name == "films"
    assert names["start"].name == "my model" and len(names["first"]) == 10 and len(names["frame"]) == 40


def test_what_the_pages_name_is_registered():
    pages = "\n".join(map(text, [README, *DOCS.glob("*.md")]))
    for pattern, known in (
        (r"hub:([a-z]\w*)", PRESETS),
        (r"w2s-lab study ([a-z][\w-]*)", {*STUDIES, "findings"}),
        (r"w2s-lab run --task (\S*[^\s`])", builtin_tasks()),
    ):
        named = set(re.findall(pattern, pages))
        assert named and named <= set(known), (pattern, named - set(known))


# -- numbers -----------------------------------------------------------------------------------------------------------


def rows_of(page: Path) -> list[list[str]]:
    """The cells of every table row of a Markdown page."""
    lines = [line for line in text(page).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def shown(interval: dict) -> str:
    return f"{interval['mean']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"


def read(name: str) -> dict:
    return json.loads(text(RESULTS / f"{name}.json"))


def test_the_mechanism_is_that_of_the_results():
    means = read("mechanism")["means"]
    measured = [row for row in rows_of(DOCS / "findings.md") if len(row) == 2 and re.match(r"-?\d\.\d\d \[", row[1])]
    names = (
        "weak_accuracy", "ceiling_accuracy", "pgr_at_best", "pgr_at_trusted", "pgr_at_end", "pgr_end_minus_best",
        "agreement_end_minus_best", "imitation_end_minus_best", "random_pgr_at_best", "random_pgr_at_trusted",
        "random_pgr_at_end",
    )  # fmt: skip
    assert [row[1] for row in measured] == [shown(means[name]) for name in names]


def test_the_tilt_is_that_of_the_results():
    measured = [
        row for row in rows_of(DOCS / "findings.md") if len(row) == 6 and row[1] in ("weak labels", "random errors")
    ]
    assert measured == [
        [
            *(row[name] for name in ("world", "labels", "moment")),
            "{mean:.0f}° [{low:.0f}°, {high:.0f}°]".format(**row["away"]),
            "{mean:.2f} [{low:.2f}, {high:.2f}]".format(**row["accuracy"]),
            f"{row['upright']} of {row['accuracy']['n']}",
        ]
        for row in read("tilt")["moments"]
    ]


def test_the_tasks_are_those_of_the_results():
    cells = rows_of(DOCS / "findings.md")
    tasks = [row for row in cells if len(row) == 7 and (RESULTS / f"run-{row[0]}.json").is_file()]
    assert {row[0] for row in tasks} == {"sentiment", "helpdesk", "summary", "topic"}
    for task, pair, weak, student, ceiling, pgr, _ in tasks:
        found = read(f"run-{task}")
        assert pair == f"{found['weak']} → {found['strong']}"
        roles = ("weak supervisor", "strong student", "strong ceiling")
        assert [weak, student, ceiling] == [f"{found['accuracy'][role]['mean']:.2f}" for role in roles]
        assert pgr.startswith(shown(found["pgr"]) if found["pgr"] else "undefined")


def test_real_input_is_that_of_the_results():
    rows = [row[1:] for row in rows_of(DOCS / "findings.md") if len(row) == 4 and re.fullmatch(r"0\.\d\d", row[1])]
    found = [read(name) for name in ("run-sst2", "run-sst2-scratch", "run-sst2-adapted")]
    roles = ("weak supervisor", "strong student", "strong ceiling")
    assert rows == [[f"{run['accuracy'][role]['mean']:.2f}" for role in roles] for run in found]
    assert [(run["pgr"], run["pgr_undefined"]) for run in found] == [(None, 3)] * 3


def test_the_findings_in_the_readme_are_those_of_the_page():
    """Every number with an interval, in the same writing; how many claims have which verdict."""
    page, sentences = (
        text(DOCS / "findings.md") + text(DOCS / "real_english.md"),
        " ".join(text(README).partition("## What it shows")[2].split()),
    )
    intervals = re.findall(r"[+-]?\d\.\d+ \[[^]]*\]", sentences)
    assert len(intervals) >= 5 and not [number for number in intervals if number not in page]
    verdicts = [row[-1].split("**")[1] for row in rows_of(DOCS / "findings.md") if len(row) == 8 and "**" in row[-1]]
    counts = [verdicts.count(one) for one in ("reproduced", "not reproduced", "cannot tell here", "conditions not met")]
    claims = (
        r"Of (\d+) claims.*?(\d+) are reproduced here, (\d+) (?:are|is) not, for (\d+) these.*? "
        r"and for (\d+) the conditions"
    )
    assert [int(number) for number in re.search(claims, sentences).groups()] == [sum(counts), *counts]
    assert int(re.search(r"(\d+) of them on real English", sentences)[1]) == sum(
        one.world == "real English" for one in all_findings()
    )


def test_what_100_true_answers_teach_is_that_of_the_results():
    """Training on them, beside every use of them as trusted examples."""
    taught, page = [], text(DOCS / "findings.md")
    for human in (100, 30):
        rows = [row for row in read("budget")["rows"] if (row["human"], row["weak_labels"]) == (human, 0)]
        assert len({row["way"] for row in rows}) == 1 and len(rows) == 8
        taught.append(sum(row["accuracy"] for row in rows) / 8)
    said = re.search(r"on 100 true answers gives accuracy (0\.\d+), on 30 of them (0\.\d+)", " ".join(page.split()))
    assert said.groups() == tuple(f"{one:.3f}" for one in taught)
    stopped = [row["student_accuracy_at_trusted"] for row in read("mechanism")["seeds"]]
    said = re.search(r"accuracy (0\.\d+) against (0\.\d+) of the stopped student", " ".join(text(README).split()))
    assert said.groups() == (f"{taught[0]:.2f}", f"{sum(stopped) / len(stopped):.2f}")


@pytest.mark.parametrize(
    ("begin", "study", "part", "arms"),
    [
        ("An outdated policy", "policy", "effects", ("mixed", "mixed, human x 5", "human set last", "human set only")),
        (
            "A flywheel can degrade",
            "flywheel",
            "end against seed pool",
            ("degrading", "temperature 1", "answers checked", "healthy"),
        ),
        (
            "No wheel is seen to be ahead",
            "flywheel",
            "end against as many steps on the seed pool",
            ("healthy", "temperature 1, answers checked", "temperature 1, answers checked, seed kept"),
        ),
    ],
)
def test_the_effects_in_the_prose_are_those_of_the_results(begin, study, part, arms):
    paragraph = re.split(r"\n[*#]", text(DOCS / "findings.md").partition(f"* **{begin}")[2])[0]
    said = re.findall(r"[+-]\d\.\d{3} \[[^]]*\]", " ".join(paragraph.split()))
    found = {one["name"]: one for one in read(study)[part]}
    assert said == [f"{found[a]['mean']:+.3f} [{found[a]['low']:+.3f}, {found[a]['high']:+.3f}]" for a in arms]


@pytest.mark.parametrize("page", list(both_worlds.PLACES))
def test_what_both_worlds_show_is_that_of_the_results(page):
    """`w2s-lab study findings` writes it: the README's first result, the tables of real English."""
    name, made, gap = both_worlds.PLACES[page]
    begin, end = both_worlds.marks(name)
    assert text(ROOT / page).count(begin) == text(ROOT / page).count(end) == 1
    written = text(ROOT / page).partition(begin)[2].partition(end)[0]
    assert written == f"{gap}{made(both_worlds.read_worlds(RESULTS))}{gap}", "w2s-lab study findings writes it"


def test_the_ladder_is_the_one_that_is_shipped():
    cards = [json.loads(text(path)) for path in (ROOT / "data" / "models").glob("pocket-*/card.json")]
    wanted = [
        [
            card["name"],
            f"{card['parameters']:,}",
            f"{card['layers']} × {card['width']}",
            f"{card['tokens_seen']:,}",
            f"{card['held_out_loss']:.3f}",
        ]
        for card in sorted(cards, key=lambda card: card["parameters"])
    ]
    rows = [row for row in rows_of(DOCS / "real_models.md") if row[0].startswith("pocket-")]
    assert [row[:4] for row in rows] == [row[:4] for row in wanted]
    for row, card in zip(rows, sorted(cards, key=lambda card: card["parameters"]), strict=True):
        assert float(row[4]) == pytest.approx(card["held_out_loss"], abs=5.1e-4)


def test_the_speeds_are_those_of_the_results():
    found = read("throughput")
    loops = ("kit", "trainer", "singles", "kit, bfloat16")
    rows = [row for row in rows_of(DOCS / "speed.md") if len(row) == 5 and row[1].isdigit()]
    assert len(rows) == len(loops)
    for (_, *cells), loop in zip(rows, loops, strict=True):
        for size, rate, ratio in (("small", *cells[:2]), ("large", *cells[2:])):
            measured, facts = found[size]["loops"][loop], found[size]["facts"]
            assert int(rate) == round(facts["examples"] / median(measured["seconds"]))
            assert ratio in ("", f"{measured['kit_is']:.1f} ×")


def test_the_speeds_of_labelling_are_those_of_the_results():
    ratios = {}
    for name, row in read("inference").items():
        if "kit_s" in row:
            assert row["identical"] == 1
            ratios.setdefault(name.split(", ")[1], []).append(median(row["plain_s"]) / median(row["kit_s"]))
    said = re.search(r"Labelling is (\S+) to (\S+) times .* closed task, and (\S+) times", text(DOCS / "speed.md"))
    found = (min(ratios["closed"]), max(ratios["closed"]), *ratios["open"])
    assert said.groups() == tuple(f"{ratio:.1f}" for ratio in found)


def test_the_times_of_reading_are_those_of_the_results():
    found = read("reading")["results"]
    rows = {row[0]: row[1:] for row in rows_of(DOCS / "speed.md") if row[0] in found}
    assert rows == {
        name: [
            *(f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s" for seconds in row["seconds"]),
            ", ".join(f"{exponent:.1f}" for exponent in row["exponents"]),
        ]
        for name, row in found.items()
    }


def test_the_seconds_of_grading_are_those_of_the_results():
    found = read("grading")
    page = " ".join(text(DOCS / "assignments.md").split())
    words = re.search(r"Grading (\d+) submissions .*? (\d\.\d+) s for each", page)
    assert (int(words[1]), words[2]) == (found["students"], f"{found['seconds beyond, each']:.2f}")
