"""From a key press on a slider to the changed picture, in JupyterLab with Chromium: median and 95th percentile.

`python -m tests.benchmarks.widgets --json data/results/widgets.json` opens every notebook, runs it, and presses an
arrow key on every slider; the clock is the page's own, from the key to the first frame after the panel has changed.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from tests.jupyter import HANDLES, NOTEBOOKS, TITLE, WINDOW, WORDS, Page, browser, server
from w2s_lab.classroom.build import notebook_number
from w2s_lab.experiments.report import versions

GOAL = {"median": 100.0, "p95": 200.0}  # milliseconds

# Waits for the panel's picture or words to change after a key, and for the frame that shows it.
STOPWATCH = (
    """element => {
    const words = """
    + WORDS
    + """;
    window.stopwatch = null;
    element.addEventListener('keydown', () => {
        const start = performance.now(), before = words(element);
        const look = () => {
            const stop = () => { window.stopwatch = performance.now() - start; };
            if (words(element) !== before) requestAnimationFrame(stop);
            else if (performance.now() - start < 5000) setTimeout(look, 1);
            else window.stopwatch = -1;
        };
        setTimeout(look, 0);
    }, {once: true, capture: true});
}"""
)


def press(page: Page, handle, key: str) -> float | None:
    """Milliseconds from the key to the change, or None where nothing changed within five seconds."""
    handle.focus()
    handle.evaluate(STOPWATCH)
    page.page.keyboard.press(key)
    page.page.wait_for_function("window.stopwatch !== null", timeout=20_000)
    found = page.page.evaluate("window.stopwatch")
    return None if found < 0 else found


def measure(page: Page, presses: int) -> list[dict]:
    """One row for each slider of the open notebook."""
    rows = []
    for handle in page.page.query_selector_all(HANDLES):
        handle.scroll_into_view_if_needed()
        times, key, turned = [], "ArrowRight", False
        for _ in range(presses):
            took = press(page, handle, key)
            if took is None:  # the end of the slider, or of what it shows: turn round, and go on until it changes
                key, turned = key if turned else {"ArrowRight": "ArrowLeft", "ArrowLeft": "ArrowRight"}[key], True
                continue
            turned = False
            times.append(took)
        ordered = sorted(times)
        rows.append(
            {
                "dashboard": handle.evaluate(TITLE),
                "presses": len(times),
                "median": round(statistics.median(ordered), 1) if times else None,
                "p95": round(ordered[max(0, round(0.95 * len(ordered)) - 1)], 1) if times else None,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presses", type=int, default=20, help="for each slider (default: 20)")
    parser.add_argument("--only", nargs="*", help="notebooks of these numbers")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    facts = []
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (address, token), browser() as chromium:
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            if arguments.only and notebook_number(path.stem) not in arguments.only:
                continue
            page = Page(chromium.new_page(viewport=WINDOW), address, token).watch()
            page.open_notebook(path.name)
            page.run_all()
            for row in measure(page, arguments.presses):
                facts.append({"notebook": path.stem, **row})
                over = [name for name, most in GOAL.items() if row[name] is None or row[name] > most]
                numbers = " ".join(f"{name} {row[name]} ms" for name in GOAL)
                where = f"{notebook_number(path.stem):<3} {row['dashboard'][:60]:<60}"
                sys.stdout.write(f"{where} {numbers} {'  OVER' if over else ''}\n")
                sys.stdout.flush()
            page.close()
    if arguments.json:
        command = "python -m tests.benchmarks.widgets"
        found = {"command": command, "versions": versions(), "unit": "milliseconds", "goal": GOAL, "sliders": facts}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
