"""The bar of a run: from the first second to its end, and never beyond."""

import io
from types import SimpleNamespace

import pytest

from w2s_lab.cli import commands
from w2s_lab.cli.progress import Progress
from w2s_lab.planning.forecast import Course, Pace, Part

PACE = Pace(step=1.0, row=0.5, keep=0.0)
PARTS = [Part("strong student", PACE, steps=4, grid=2, rows=2), Part("strong ceiling", PACE, rows=4)]  # 4 + 3 and 2 s
TINY = ["run", "--sizes", "40,32,24,8", "--weak", "pocket-s", "--strong", "pocket-s", "--epochs", "1",
        "--weak-epochs", "1", "--seeds", "1", "--device", "cpu"]  # fmt: skip


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    found = Terminal()
    monkeypatch.setattr("w2s_lab.cli.progress.sys", SimpleNamespace(stderr=found))
    return found


def test_there_is_a_bar_at_once(terminal):
    with Progress():
        assert "starting" in terminal.getvalue()


def test_one_bar_for_everything(terminal):
    with Progress() as progress:
        bar = progress.bar
        progress.say("loading something")
        progress.follow(Course([PARTS]), measured=True)
        assert (bar.n, bar.total) == (0, 9)
        with progress.of("seed 1/1") as (on_step, on_rows):
            on_rows("strong student", 1, 2)
            assert bar.n == 0.5 and "seed 1/1, strong student, evaluating 1/2" in terminal.getvalue()
            on_rows("strong student", 2, 2)
            for step in range(1, 5):
                on_step("strong student", step, 4)
                assert bar.desc == f"seed 1/1, strong student, step {step}/4"
            on_rows("strong student", 2, 2)
            assert bar.n == 7
            on_rows("strong ceiling", 4, 4)
        progress.end()
        assert bar.n == bar.total == 9 and "100%" in terminal.getvalue()
    said = terminal.getvalue()
    places = [said.index(words) for words in ("starting", "loading", "evaluating 1/2", "ceiling, evaluating 4/4")]
    assert places == sorted(places)


def test_the_time_left_follows_the_clock(terminal):
    clock = Clock()
    with Progress(clock) as progress:
        assert progress.left() == "?"
        progress.follow(Course([[Part("x", PACE, steps=9)]] * 20), measured=True)
        assert progress.left() == "03:00"  # known before anything was done
        with progress.of("seed") as (on_step, _):
            for step in range(1, 7):
                on_step("x", step, 9)
            assert progress.left() == "02:25"  # 174 s, since 30 s of the forecast took 36 s less
            clock.now += 48
            on_step("x", 7, 9)
            assert progress.left() == "06:04"  # 173 s, but the machine is (30 + 48) / (30 + 7) as slow


def test_a_guess_says_nothing_before_something_was_done(terminal):
    clock = Clock()
    with Progress(clock) as progress:
        progress.follow(Course([[Part("x", PACE, steps=10)]]), measured=False)
        assert progress.left() == "?"
        with progress.of("seed") as (on_step, _):
            clock.now += 3
            on_step("x", 1, 10)
        assert progress.left() == "00:18"  # 9 s, twice as slow


def test_text_stands_above_the_bar(terminal, capsys):
    with Progress() as progress:
        progress.write("words")
    assert capsys.readouterr().out == "words\n"


def test_no_terminal_no_flood(capsys):
    clock = Clock()
    with Progress(clock) as progress:
        assert progress.bar is None
        progress.follow(Course([[Part("x", PACE, steps=1000)]]), measured=True)
        with progress.of("seed 1/1") as (on_step, _):
            for step in range(1, 1001):
                clock.now += 1
                on_step("x", step, 1000)
        progress.end()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("seed 1/1, x, step 1/1000 (0%, ") and 30 < len(lines) < 40


def test_other_processes_show_nothing(terminal, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with Progress() as progress:
        progress.say("loading")
    assert terminal.getvalue() == ""


@pytest.mark.slow
def test_the_command_shows_the_bar_before_the_first_step(terminal, tmp_path, monkeypatch):
    from w2s_lab.experiments import store

    seen, real = [], store.train
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("warnings.showwarning", lambda *args: None)
    monkeypatch.setattr(
        store, "train", lambda *args, **options: seen.append(terminal.getvalue()) or real(*args, **options)
    )
    assert commands.main([*TINY, "--store", "runs"]) == 0
    assert "starting" in seen[0] and "step" not in seen[0] and "step" in seen[1]
    assert "weak labels 32/32" in terminal.getvalue() and "strong ceiling, evaluating 24/24" in terminal.getvalue()
    assert "100%" in terminal.getvalue()


def test_an_error_takes_the_bar_away(terminal, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("warnings.showwarning", lambda *args: None)
    assert commands.main([*TINY, "--task", "sentimant"]) == 2
    assert terminal.getvalue().endswith("\r") and "\n" not in terminal.getvalue()
    assert capsys.readouterr().err.startswith("w2s-lab: ")
