"""Every code sample of the pages: run by a test, or in a list here with the reason why not."""

import math
import re
import shlex
import tomllib

import pytest
from places import ROOT
from test_readme import FENCED, NAMES, text

import w2s_lab as w2s
from w2s_lab.classroom.demos.screens import Demo
from w2s_lab.cli.commands import parser
from w2s_lab.data import fetch, sources

# Pages whose Python samples another test runs, all of them.
RUN_BY = {
    "README.md": "test_readme.py",
    "docs/methods.md": "test_readme.py",
    "docs/python.md": "test_readme.py",
    "docs/extending.md": "test_extending.py",
}
# Run below: page -> how many.
RUN_HERE = {"docs/demos.md": 1, "docs/real_english.md": 2, "notebooks/assignments/README.md": 2}
# Not run: page -> how many, and why.
NOT_RUN = {"docs/teach.md": (1, "it belongs into JupyterHub's own file")}
# What lines for the shell begin with, beside w2s-lab, and why no test runs them as they stand.
OTHERS = {
    "make": "test_readme.py holds the targets against the Makefile",
    "git": "the address is a placeholder",
    "python": "installs for minutes",
    "pip": "installs for minutes",
    "sudo": "makes a user",
    "docker": "downloads an image",
    "accelerate": "wants several GPUs",
    "voila": "tests/classroom/test_browser.py serves a notebook",
    "export": "of a shell",
    "chmod": "for several users of one machine",
    "jupyter": "runs every notebook",
    "eval": "for a shell of the user's; tests/cli/test_completion.py tries the script",
}
DRAWN = ("docs/architecture.md", "data/README.md")  # their blocks are trees of folders


def samples(page: str, language: str) -> list[str]:
    return [code for found, code in FENCED.findall(text(ROOT / page)) if found == language]


def test_every_python_sample_is_run():
    found = {page: len(samples(page, "python")) for page in NAMES}
    assert {page: count for page, count in found.items() if count and page not in (*RUN_BY, *NOT_RUN)} == RUN_HERE
    assert all(found.get(page, count) == count for page, (count, _) in NOT_RUN.items())


def test_every_sample_is_in_a_language_that_is_tested():
    languages = {language for page in NAMES for language, _ in FENCED.findall(text(ROOT / page))}
    assert languages == {"", "python", "toml"}


def test_the_demo_of_ones_own():
    (code,) = samples("docs/demos.md", "python")
    lines, names = code.rpartition("room.demo("), {}
    exec(lines[0] + "found = room.demo(" + lines[2], names)  # our own page
    assert isinstance(names["found"], Demo) and len(names["found"].screens) == 2


@pytest.mark.slow
def test_real_english_where_it_was_fetched():
    sample, _ = samples("docs/real_english.md", "python")
    names: dict = {}
    if fetch.here("smollm2-135m-q4") and fetch.here("film-reviews"):
        exec(sample, names)  # our own page
        assert names["clear"]
    else:
        with pytest.raises(fetch.FetchError, match="w2s-lab fetch"):
            exec(sample, names)


def test_a_data_set_of_ones_own_to_fetch(monkeypatch):
    for table in (fetch.FETCHABLE, sources.tasks()):
        monkeypatch.setattr(table, "_entries", dict(table._entries))
    _, sample = samples("docs/real_english.md", "python")
    exec(sample, {"w2s": w2s})
    assert "my-reviews" in fetch.FETCHABLE and "my-reviews" in sources.tasks()


def test_the_master_of_ones_own():
    solution, checks = samples("notebooks/assignments/README.md", "python")
    names: dict = {}
    exec(solution, names)
    exec(checks, names)
    assert math.isclose(names["mean_loss"]([1.0, 4.0]), 2.5)
    (settings,) = samples("notebooks/assignments/README.md", "toml")
    for check in tomllib.loads(settings)["check"]:
        exec(check.get("setup", ""), names)
        given = eval(check["call"], names)
        assert eval(check.get("criterion", "True"), {"given": given})


def shell_lines(page: str) -> list[str]:
    """The commands of a page's blocks, without comments; a line that ends in a backslash goes on."""
    blocks = "\n".join(samples(page, "")).replace("\\\n", " ")
    lines = [re.split(r"(?:^|\s)#\s", line)[0].strip() for line in blocks.splitlines()]
    return [line for line in lines if line and page not in DRAWN]


def test_commands_are_understood():
    """The command line takes them as they stand there, with these values; what another program is has its reason."""
    understood = 0
    for page in NAMES:
        for line in shell_lines(page):
            found = re.search(r"(?:^|/|w2s-lab |\()w2s-lab ([^>)]+)|-m w2s_lab (.+)", line)
            if not found:
                assert line.split()[0].rpartition("/")[2] in OTHERS, f"{page}: {line}"
            elif "..." not in line:
                try:
                    parser().parse_args(shlex.split((found[1] or found[2]).rstrip()))
                except SystemExit:
                    pytest.fail(f"{page}: {line}")
                understood += 1
    assert understood > 25


def test_every_page_whose_samples_are_run_elsewhere_is_read_there():
    for page, test in RUN_BY.items():
        assert page.rpartition("/")[2] in text(ROOT / "tests" / test), page
