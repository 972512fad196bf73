"""Demos: what a page gets of a notebook, and who may ask the server."""

import http.client
import json
import re
import select
import subprocess
import sys

import nbformat
import pytest
from forked import forked
from places import ROOT

from tests.jupyter import serving
from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.flywheel_health import DIALS
from w2s_lab.classroom.demos import serve
from w2s_lab.classroom.demos.screens import page_of, picture_at
from w2s_lab.classroom.demos.worker import run_notebook
from w2s_lab.classroom.toolkit.chart import Chart, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, slider, stops
from w2s_lab.cli import commands

OWN = """
from w2s_lab import classroom as room

print("for the terminal")
room.demo(
    room.budget_explorer(),
    room.ask("Which?", "this", "that", covered=True, budget=500),
    room.reveal("That.", human_price=20),
)
"""


def write(path, code, title="# Mine\nTwo screens."):
    cells = [nbformat.v4.new_markdown_cell(title), nbformat.v4.new_code_cell(code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", forked())
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "week 3.ipynb", OWN)
    with serving(serve.DemoServer(serve.find_demos(str(tmp_path / "mine")), tmp_path / "runs")) as found:
        yield found


def get(server, path, message=None, **heads):
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=300)
    line.request("POST" if message else "GET", path, json.dumps(message) if message else None, heads)
    reply = line.getresponse()
    text = reply.read().decode()
    line.close()
    return reply, text


# -- screens -----------------------------------------------------------------------------------------------------------


def test_the_page_gets_screens_controls_and_pictures():
    screens = room.ask("Which?", "this", "that", budget=500), room.reveal("That.", human_price=20)
    demo = room.demo(room.budget_explorer(), *screens, controls=("budget", "task"))
    page = page_of(demo)
    assert page["screens"] == [
        {"text": "Which?", "hands": ("this", "that"), "covered": False, "at": {"budget": 500}},
        {"text": "That.", "hands": (), "covered": False, "at": {"human_price": 20}},
    ]
    assert page["controls"] == [
        {"name": "budget", "label": "Budget", "kind": "range", "at": 500, "min": 100, "max": 12_000, "step": 100,
         "shown": "500"},
        {"name": "task", "label": "Task", "kind": "menu", "at": 0, "options": ["sentiment"], "min": 0, "max": 0,
         "step": 1, "shown": "sentiment"},
    ]  # fmt: skip
    moved = picture_at(demo, {"budget": 2000.0, "human_price": 10, "task": 0})
    assert moved["says"] == room.budget_explorer().set(budget=2000, human_price=10).view.says != page["says"]
    assert moved["pictures"][0].startswith("<svg") and json.dumps(moved)


def test_a_second_chart_is_narrow_and_a_table_is_shown_where_there_is_no_picture():
    chart, table = Chart("x", "y", (Series([0, 1], [0, 1]),)), "<table></table>"
    views = {"both": View("Two.", (chart, chart), table), "table": View("A table.", (), table)}
    panel = Panel("Either", {"which": choice("which", list(views))}, lambda which: views[which])
    demo = room.demo(panel, room.reveal("See."))
    assert [picture[: picture.index("style")].split("viewBox=")[1] for picture in page_of(demo)["pictures"]] == [
        '"0 0 680 382" ', '"0 0 300 322" '
    ]  # fmt: skip
    assert picture_at(demo, {"which": 1})["pictures"] == [table]


def test_a_control_whose_options_become_fewer_stands_at_the_last_one():
    panel = Panel("Runs", {"run": choice("run", ["long", "short"]), "round": stops("round", range(9), 8)},
                  lambda run, round: View(f"{run}, round {round}"))  # fmt: skip
    panel.controls["run"].observe(lambda _: setattr(panel.controls["round"], "options", range(3)), names="value")
    found = picture_at(room.demo(panel, room.reveal("Look.")), {"run": 1, "round": 8})
    assert found["says"] == "short, round 2" and found["controls"][1]["at"] == 2


def test_a_screen_that_cannot_be_is_found_before_the_lecture():
    with pytest.raises(ValueError, match="no control 'budgets'"):
        room.demo(room.budget_explorer(), room.reveal("A word.", budgets=1))
    with pytest.raises(ValueError, match="no control 'budgets'"):
        room.demo(room.budget_explorer(), room.reveal("A word."), controls=["budgets"])
    with pytest.raises(ValueError, match="no screen"):
        room.demo(room.budget_explorer())


def test_what_a_dashboard_raises_reaches_the_page():
    panel = Panel("Ratio", {"of": slider("of", 1, 0, 2, 1)}, lambda of: View(f"{1 / of}"))
    demo = room.demo(panel, room.reveal("See."))
    with pytest.raises(ZeroDivisionError):
        picture_at(demo, {"of": 0})


COUNTER = """
import ipywidgets as widgets
from w2s_lab import classroom as room
from w2s_lab.classroom.toolkit.panel import Panel, View

class Counter(Panel):
    def __init__(self):
        self.count = 0
        self.actions = {"Count": self.up}
        self.buttons = {"Count": widgets.Button(description="Count")}
        super().__init__("Counter", {}, lambda: View(f"{self.count} so far."))

    def up(self):
        self.count += 1
        self.buttons["Count"].disabled = self.count == 2

room.demo(Counter(), room.reveal("Count."))
"""


def test_a_button_acts_unless_it_is_disabled(tmp_path):
    demo = run_notebook(write(tmp_path / "counter.ipynb", COUNTER))
    assert page_of(demo)["buttons"] == [{"name": "Count", "label": "Count", "disabled": False}]
    for wanted in ("1 so far.", "2 so far.", "2 so far."):
        assert picture_at(demo, {}, "Count")["says"] == wanted
    assert picture_at(demo, {})["buttons"][0]["disabled"]
    with pytest.raises(ValueError, match="no button 'Go'"):
        picture_at(demo, {}, "Go")


# -- the demos of the kit ----------------------------------------------------------------------------------------------


def views(name):
    """What the dashboard of a demo that trains nothing shows on each of its screens."""
    shown = run_notebook(serve.SHIPPED[name])
    return [shown.panel.set(**screen.at).view for screen in shown.screens]


def said(name):
    return [view.says for view in views(name)]


def number(pattern, text):
    return float(re.search(pattern, text).group(1).replace("−", "-"))


def red_dials(says):
    return sum(f"{dial.title.lower()} " in says.lower().partition("red since")[2] for dial in DIALS)


def test_every_demo_has_its_title_and_its_page_of_words():
    page = (ROOT / "docs" / "demos.md").read_text(encoding="utf-8")
    for name, path in serve.SHIPPED.items():
        title, text = serve.about(path)
        assert title and "minutes" in text and f"### {name}: " in page, name
    assert set(serve.SHIPPED.values()) == set(serve.HERE.glob("*.ipynb"))


def test_reveals_say_what_was_measured(monkeypatch):
    monkeypatch.chdir(ROOT)
    cheap, dear, back = said("budget")[1::2]
    assert " and 0 weak labels" in cheap and "best: 0 human and" in dear and " and 0 weak labels" in back
    healthy, degrading, checked = said("flywheel")[1::2]
    assert "No dial is red" in healthy and "+" in healthy
    assert red_dials(degrading) > 1 and "Red since round 1" in degrading
    panel = room.flywheel_dashboard()
    others = [panel.set(run=run, round=4).view.says for run in ("no duplicates", "seed kept")]
    assert "answers checked" in checked and "narrower" in checked
    assert all(red_dials(checked) < red_dials(other) for other in others)
    means = room.measured("mechanism")["means"]
    for words, moment in zip(said("roles")[1::2], ("end", "best", "trusted"), strict=True):
        gap = means[f"pgr_at_{moment}"]
        assert f"{gap['mean']:.2f} [{gap['low']:.2f}, {gap['high']:.2f}]".replace("-", "−") in words
    assert means["pgr_at_end"]["high"] < 0.1 < 0.5 < means["pgr_at_best"]["low"]


ACCURACY, TILT = r"test examples (?:is )?(\d\.\d+)", r"tilted by (−?\d+)°"


def test_reveals_say_what_was_recorded(monkeypatch):
    monkeypatch.chdir(ROOT)
    early, late, random = said("why")[1::2]
    weak = number(r"the supervisor's (\d\.\d+)", early)
    assert number(ACCURACY, early) > weak + 0.05 and abs(number(TILT, early)) < 30 and "best step" in early
    assert number(TILT, late) > number(TILT, early) + 30 and number(ACCURACY, late) < number(ACCURACY, early)
    assert abs(number(TILT, random)) < 15 and number(ACCURACY, random) > number(ACCURACY, late)
    random, within, real = said("errors")[1::2]
    assert "200 of 1,000" in random and number(ACCURACY, random) > 0.8 > number(ACCURACY, within) - 0.05
    assert number(ACCURACY, random) > number(ACCURACY, within)
    given = number(r"Real weak labels \(\d\.\d+ right\) give (\d\.\d+)", real)
    together, apart = number(ACCURACY, real), number(r"at random places (\d\.\d+)", real)
    assert abs(given - together) < abs(given - apart)
    _, masked, _, whole, _, student, truth = said("tokens")
    before = number(r"= −(\d+\.\d+) nats", masked)
    assert number(r"(\d+)% of that is the prompt's", whole) > 80
    assert number(r"= −(\d+\.\d+) nats", student) < before and "for ŷ" in student and "for y =" in truth
    _, weak, _, random, late, _ = said("english")
    panel = room.recorded("english")
    early = panel.set(step=panel.controls["step"].options[1], learns="weak").view.says
    assert number(TILT, weak) > 45 and number(TILT, random) < number(TILT, early) - 15
    assert number(ACCURACY, late) < number(ACCURACY, random) and ", below the supervisor's" in late
    _, half, _, tenth, _, each = views("choosing")
    band = r"random parts of that size on (\d\.\d+) to", r"size on \d\.\d+ to (\d\.\d+)"
    assert number(r"is right on (\d\.\d+)", half.says) > number(band[1], half.says)
    assert number(r"is right on (\d\.\d+)", tenth.says) < number(band[0], tenth.says)
    assert number(r"is right on (\d\.\d+)", each.says) > number(r"is right on (\d\.\d+)", tenth.says) + 0.1
    missing, kept = ({bar.label: bar.value for bar in view.charts[1].bars} for view in (tenth, each))
    assert missing["negative"] == missing["negated"] == 0 and kept["negative"] > 0.9 and kept["negated"] < 0.5
    _, best, _, end, _ = views("flips")
    shares = {bar.label: bar.value for bar in end.charts[1].bars}
    assert "Accuracy 0.9" in best.says and shares["imitated"] > sum(shares.values()) / 2


def test_the_soft_demo_says_what_the_study_found(monkeypatch):
    monkeypatch.chdir(ROOT)
    _, _, _, hot, _, imitation = views("soft")
    rise = re.search(r"paired by seed: \+\d\.\d+ \[([+−-]\d\.\d+)", hot.says).group(1)
    assert float(rise.replace("−", "-")) > 0  # right more often at the end
    own, hard = (next(s for s in imitation.charts[0].series if s.name == name).y[-1]
                 for name in ("this student", "student of plain weak labels"))  # fmt: skip
    assert own < hard


# -- the server --------------------------------------------------------------------------------------------------------


def test_a_demo_of_ones_own_is_served_and_read_again_after_a_change(server, tmp_path):
    path = f"/week%203?token={server.token}"
    found = json.loads(get(server, path, {"open": True})[1])
    assert [screen["text"] for screen in found["screens"]] == ["Which?", "That."]
    assert "500 units" in found["says"]
    assert "700 units" in json.loads(get(server, path, {"at": {"budget": 700}})[1])["says"]
    assert "no control 'nothing'" in json.loads(get(server, path, {"at": {"nothing": 1}})[1])["error"]
    write(tmp_path / "mine" / "week 3.ipynb", "1 + 1")
    assert "ends in int; expected room.demo" in json.loads(get(server, path, {"open": True})[1])["error"]
    write(tmp_path / "mine" / "week 3.ipynb", OWN.replace("Which?", "Which one?"))
    assert json.loads(get(server, path, {"open": True})[1])["screens"][0]["text"] == "Which one?"


def test_a_demo_whose_process_has_ended_is_opened_again(server):
    path = f"/week%203?token={server.token}"
    first = get(server, path, {"open": True})[1]
    ended = server.running["week 3"].process
    ended.kill()
    gone = select.poll()
    gone.register(ended.stdin, select.POLLERR)
    assert gone.poll(60_000)  # nobody reads from it any more
    assert "has ended. Open the demo again" in json.loads(get(server, path, {"at": {"budget": 700}})[1])["error"]
    assert get(server, path, {"open": True})[1] == first


@pytest.mark.slow
def test_a_terminal_that_lacks_a_letter_stops_no_demo(monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")  # Windows: cp1252, which lacks it too
    path = write(
        tmp_path / "own.ipynb", OWN.replace("for the terminal", "weak labels \N{LATIN SMALL LETTER Y WITH CIRCUMFLEX}")
    )
    process = serve.DemoProcess(tmp_path / "runs")
    try:
        found = process.open(path)
    finally:
        process.end()
    assert found.get("error") is None and len(found["screens"]) == 2
    assert "weak labels \\u0177" in capfd.readouterr().err


def test_only_this_machine_with_the_token_is_answered(server):
    assert server.server_address[0] == "127.0.0.1"
    whole = f"/?token={server.token}"
    reply, menu = get(server, whole)
    assert reply.status == 200 and "Mine" in menu and "Two screens." in menu
    assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
    for path, heads in (("/", {}), ("/?token=x", {}), (whole, {"Host": "example.org"}), ("/week%203", {})):
        for message in (None, {"open": True}):
            reply, text = get(server, path, message, **heads)
            assert reply.status == 403 and text.startswith("Refused: "), path
            assert server.token not in text
    reply, text = get(server, f"/<b>?token={server.token}")
    assert reply.status == 404 and "week 3" in text and "<b>" not in text


MENU = """
import sys
from pathlib import Path
from w2s_lab.classroom.demos import serve
serve.DemoProcess = lambda store: None  # a process of its own
server = serve.DemoServer(serve.find_demos(), Path("runs"))
text = serve._menu(server)
assert text.count("<li>") == len(serve.SHIPPED)
heavy = {"torch", "matplotlib", "ipywidgets", "numpy", "voila", "jupyter_server"} & set(sys.modules)
sys.exit(f"imported for the menu: {heavy}" if heavy else 0)
"""


def test_the_menu_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", MENU], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


# -- the command -------------------------------------------------------------------------------------------------------


def test_an_unknown_demo_is_told_which_ones_there_are(capsys, monkeypatch):
    monkeypatch.setattr("warnings.showwarning", lambda *_: None)
    assert commands.main(["demo", "whi"]) == 2
    said = capsys.readouterr().err
    assert "'whi'" in said and all(name in said for name in serve.SHIPPED)


def test_prepare_says_what_is_ready_and_what_is_not(capfd, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", forked())
    monkeypatch.setattr("warnings.showwarning", lambda *_: None)
    write(tmp_path / "good.ipynb", OWN)
    write(tmp_path / "wrong.ipynb", "1 / 0")
    assert commands.main(["demo", str(tmp_path), "--prepare", "--store", str(tmp_path / "runs")]) == 1
    out, err = capfd.readouterr()
    assert "good: ready, after" in out and "wrong: ZeroDivisionError" in out
    assert "for the terminal\n" in err and "Traceback" in err


def test_the_command_opens_one_demo_and_ends_its_processes(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", forked())
    monkeypatch.setattr("warnings.showwarning", lambda *_: None)
    opened, servers = [], []

    def stopped(server):
        servers.append(server)
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(serve.DemoServer, "serve_forever", stopped)
    assert commands.main(["demo", "budget", "--store", str(tmp_path / "runs")]) == 0
    assert opened == [servers[0].address("budget")] and "/budget?token=" in opened[0]
    out = capsys.readouterr().out
    assert out.startswith(opened[0] + "\n") and out.endswith("ended\n")
    assert servers[0].spare.process.poll() is not None


def test_a_process_that_has_ended_is_closed_and_replaced(tmp_path, monkeypatch):
    class Process:
        code, ended = None, False

        def __init__(self, store):
            self.process = self

        def poll(self):
            return self.code

        def open(self, notebook):
            return {"screens": []}

        def end(self):
            self.ended = True

    monkeypatch.setattr(serve, "DemoProcess", Process)
    server = serve.DemoServer({"why": serve.SHIPPED["why"]}, tmp_path)
    try:
        server.open("why")
        first = server.running["why"]
        first.code = -9
        server.open("why")
        assert first.ended and server.running["why"] is not first and not server.running["why"].ended
    finally:
        server.server_close()
