"""The script that lets a shell complete w2s-lab, and ~ in every path of the command line."""

import argparse
import shutil
import subprocess
import sys

import pytest
from forked import forked

from w2s_lab.cli.commands import main, parser
from w2s_lab.cli.completion import _actions

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
TRY = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
_shtab_w2s_lab w2s-lab "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    pytest.importorskip("shtab", reason="the extra [completion] is not installed")
    path = tmp_path_factory.mktemp("bash") / "w2s-lab"
    command = [forked(), "-m", "w2s_lab", "completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    path.write_text(done.stdout)
    return path


@needs_bash
@pytest.mark.parametrize(("words", "offered"), [
    (["ru"], {"run"}),
    (["run", "--ta"], {"--task"}),
    (["run", "--task", "he"], {"helpdesk", "helpdesk-v2"}),
    (["run", "--strong", "pocket-x"], {"pocket-xs", "pocket-xl"}),
    (["run", "--weak", "bag"], {"bag-of-words"}),
    (["run", "--device", ""], {"auto", "cpu", "cuda", "mps"}),
    (["study", "fi"], {"findings"}),
    (["fetch", "film"], {"film-reviews", "film-texts"}),
    (["assignment", "gr"], {"grade"}),
    (["completion", ""], {"bash", "zsh"}),
])  # fmt: skip
def test_bash_offers(script, words, offered):
    command = ["bash", "-c", TRY, "bash", script, "w2s-lab", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered, done.stderr


def test_zsh_gets_commands_and_names(capsys):
    pytest.importorskip("shtab", reason="the extra [completion] is not installed")
    assert main(["completion", "zsh"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#compdef w2s-lab") and "(sentiment topic" in text and "_files" in text


def test_without_its_extra_a_sentence_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert capsys.readouterr().err == (
        "w2s-lab: completion needs the package shtab. Hint: pip install 'w2s-lab[completion]'\n"
    )


# -- ~ in paths --------------------------------------------------------------------------------------------------------

PATHS = {"DIR", "FILE", "PNG", "CSV", "ZIP", "MASTER", "SUBMISSIONS"}


def test_every_path_option_knows_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    named = [(path, action) for path, action in _actions(parser()) if str(action.metavar).split("|")[0] in PATHS]
    assert len(named) > 15
    for path, action in named:
        assert action.type and str(action.type("~/x")) == str(tmp_path / "x"), path
        assert str(action.type("~nobody-of-this-name/x")) == "~nobody-of-this-name/x", path


@pytest.mark.parametrize("option", ["--weak", "--strong"])
def test_a_model_may_lie_in_the_home_folder(monkeypatch, tmp_path, option):
    monkeypatch.setenv("HOME", str(tmp_path))

    def given(text: str) -> str:
        found = parser().parse_args(["run", f"{option}={text}"])
        assert isinstance(found, argparse.Namespace)
        return getattr(found, option[2:])

    assert given("~/m") == str(tmp_path / "m") and given("scratch:~/m") == f"scratch:{tmp_path / 'm'}"
    for name in ("pocket-l", "scratch:pocket-l", "owner/name@main", "bag-of-words:200"):
        assert given(name) == name


def test_a_store_in_the_home_folder(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["show", "--store=~/runs"]) == 0
    assert f"no finished training in {tmp_path / 'runs'}" in capsys.readouterr().out
