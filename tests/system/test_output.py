"""Any text can be printed, on any stream; files stay UTF-8."""

import io
import os
import subprocess
import sys

import pytest
from forked import forked
from hypothesis import example, given
from hypothesis import strategies as st
from places import ROOT

from w2s_lab.system.output import LOOK_ALIKES, readable_streams, tell


def printed(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n", write_through=True)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        with readable_streams():
            print(text, end="")
    assert out.errors == "strict"
    return out.buffer.getvalue()


ENCODINGS = ["cp1252", "ascii", "latin-1", "cp437", "utf-8", "utf-16"]


@example("\ufeff", "ascii")
@given(st.text(st.characters(exclude_categories=())), st.sampled_from(ENCODINGS))
def test_any_text_in_any_encoding(text, encoding):
    with pytest.MonkeyPatch.context() as patch:
        found = printed(text, encoding, patch)
    try:
        assert found == text.encode(encoding)
    except UnicodeEncodeError:
        assert found.decode(encoding) or set(text) <= {"\ufeff", "\u200b"}  # which nobody sees anyway


def test_look_alikes_are_readable(monkeypatch):
    assert (
        printed("✓ Right – “né” … λ ≤ 中 \udcff", "ascii", monkeypatch)
        == rb"""(ok) Right - "ne" ... lambda <= \u4e2d \udcff"""
    )
    assert printed("é – …", "cp1252", monkeypatch) == "é – …".encode("cp1252")
    assert "".join(LOOK_ALIKES.values()).isascii()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_is_not_there(name, monkeypatch):
    monkeypatch.setattr(sys, name, None)
    with readable_streams():
        print("✓", file=getattr(sys, name))
        assert not getattr(sys, name).isatty()
    assert getattr(sys, name) is None


def test_a_stream_of_text_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with readable_streams():
        print("✓ 中")
    assert sys.stdout.getvalue() == "✓ 中\n"


def test_a_note_that_cannot_be_written_ends_nothing(monkeypatch):
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    tell("a note")


# -- commands ----------------------------------------------------------------------------------------------------------

PLUGIN = 'print("loaded ✓ 中文 ≤ …")\n'
ODD = [
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "latin-1:strict"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "xx_XX", "TZ": "Nowhere/None", "TERM": "", "COLUMNS": "1", "LINES": "x", "PYTHONIOENCODING": "ascii"},
    {"COLUMNS": "many", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"},
]
COMMANDS = """
import sys
from w2s_lab.cli.commands import main
for words in (["--import", "plugin", "study"], ["show", "--store", sys.argv[1]], ["run", "--task", sys.argv[1]]):
    status = main(words)
sys.exit(status)
"""


def run(command: str, folder) -> subprocess.CompletedProcess:
    """`w2s-lab` is the command; a shell, for pipes."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    shell = ["bash", "-c", command.replace("w2s-lab", f'"{forked()}" -m w2s_lab')]
    return subprocess.run(shell, capture_output=True, cwd=folder, env=env, timeout=600)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("variables", ODD)
def test_commands_with_odd_terminals(variables, folder):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run([sys.executable, "-c", COMMANDS, "né ✓"], capture_output=True, cwd=folder, env=env)
    assert done.returncode == 2 and b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    assert b"loaded (ok) \\u4e2d\\u6587 <= " in done.stdout and b"no finished training in n" in done.stdout
    assert done.stderr.splitlines()[-1].startswith(b"w2s-lab: ")


@pytest.mark.parametrize(
    ("command", "status", "out"),
    [
        ("w2s-lab study | head -1; exit ${PIPESTATUS[0]}", 0, b" seeds "),
        ("w2s-lab run --help | true; exit ${PIPESTATUS[0]}", 0, b""),
        ("w2s-lab nothing 2>&1 | true; exit ${PIPESTATUS[0]}", 2, b""),
        ("w2s-lab show --store there >&-", 0, b""),
        ("w2s-lab nothing 2>&-", 2, b""),
        ("w2s-lab nothing >&- 2>&-", 2, b""),
    ],
)
def test_pipes_and_streams_that_are_closed(command, status, out, folder):
    done = run(command, folder)
    assert (done.returncode, done.stderr) == (status, b"") and out in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_output_that_finds_no_space_is_said(folder):
    done = run("w2s-lab study > /dev/full", folder)
    assert done.returncode == 2 and b"No space left" in done.stderr and b"Traceback" not in done.stderr
    assert run("w2s-lab show 2> /dev/full", folder).returncode == 0
