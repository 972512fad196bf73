"""Every dashboard and quiz in a real JupyterLab: wide and narrow, light and dark, by keyboard, and under axe-core.

    npm install axe-core
    python -m tests.accessibility --axe node_modules/axe-core/axe.min.js --pictures FOLDER

axe-core is no package of Python, so this is a maintainer's command and no test of `make test`. It exits with 1, and
says what is wrong, where axe-core finds something serious, a control sticks out of its panel, a letter of a chart is
smaller than SMALLEST, a slider, menu or box has no name of its own, or an arrow key in a menu moves the notebook.
"""

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.jupyter import OFFLINE, Page, browser, server

SMALLEST = 9.0  # pixels
WIDTHS = (1280, 500)
THEMES = ("JupyterLab Light", "JupyterLab Dark")
SET_UP = """
from dataclasses import replace
import numpy as np
import w2s_lab as w2s
from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.why_it_works import tilt_explorer
sizes = w2s.SplitSizes(supervisor_train=64, student_train=200, test=200, validation=20)
splits = w2s.load_splits("sentiment", seed=0, sizes=sizes)
model = w2s.train("pocket-xs", splits.supervisor_train, w2s.Recipe(epochs=1, learning_rate=1e-3))
labels, reference = (w2s.weak_labels(model, part) for part in (splits.student_train, splits.test))
recipe = w2s.Recipe(epochs=1, learning_rate=1e-3, eval_every=3)
student = w2s.train("pocket-xs", labels, recipe, watch=splits.test, reference=reference)
right = np.array([example.answer == "positive" for example in splits.student_train.examples + splits.test.examples])
states = np.random.default_rng(0).normal(size=(400, 12)) + right[:, None]
features = states[:200], states[200:]
mixed = w2s.simulated.random_errors(splits.student_train, 0.8, seed=0)
"""
SHOWN = (
    'room.predict("try-1", "Which is larger, $a$ or $b$?", ["the first", "the second"])',
    "room.budget_explorer()",
    "room.heat_map()",
    "room.findings_view()",
    "room.loss_explorer()",
    "room.hard_or_soft()",
    "room.seed_count()",
    "room.flywheel_dashboard()",
    "room.memory_explorer()",
    "room.relabelling_view()",
    "room.temperature_view(labels)",
    "room.label_browser(labels)",
    "room.token_viewer({'untrained': w2s.load_model('pocket-xs'), 'student': student}, labels.take(range(6)))",
    "room.error_simulator(features, labels, reference)",
    "tilt_explorer(features, {'weak': (mixed, student.history)})",
    "room.flip_inspector(student.history, splits.test)",
    "room.selection_diagram(labels, rule='confidence')",
    "room.selection_explorer(labels, None, features[0], splits.test, features[1])",
    "room.cascade_explorer({'one': (reference, 1.0, None)}, w2s.weak_labels(student, splits.test), 9.0)",
    "room.live_training('pocket-xs', labels, recipe, watch=splits.test, reference=reference, example=student.history)",
    "room.error_sorter(reference, reference)",
    'room.quiz("00")',
    'room.quiz("04")',
)
CONTROLS = ".w2s input, .w2s select, .w2s button, .w2s .noUi-target, .w2s .widget-readout"
# What sticks out of its panel, and chart letters that are too small; both with their panel's first words.
LAID_OUT = """([controls, smallest]) => {
    const found = [], panel = node => node.closest('.w2s').innerText.trim().split('\\n')[0].slice(0, 40);
    for (const one of document.querySelectorAll(controls)) {
        const own = one.getBoundingClientRect(), around = one.closest('.w2s').getBoundingClientRect();
        if (own.width && (own.right > around.right + 1 || own.left < around.left - 1))
            found.push(`${panel(one)}: ${one.className || one.tagName} from ${own.left | 0} to ${own.right | 0} px, `
                + `panel from ${around.left | 0} to ${around.right | 0}`);
        if (own.right > document.querySelector('.jp-WindowedPanel-outer, .jp-Notebook').getBoundingClientRect().right)
            found.push(`${panel(one)}: ${one.className || one.tagName} ends beyond the notebook`);
    }
    for (const text of document.querySelectorAll('.w2s svg[role=img] text')) {
        const to = text.getScreenCTM(), size = parseFloat(getComputedStyle(text).fontSize) * Math.hypot(to.a, to.b);
        const said = text.textContent.slice(0, 20);
        if (size < smallest - 0.05) found.push(`${panel(text)}: "${said}" of ${size.toFixed(1)} px`);
    }
    return [...new Set(found)];
}"""
AXE = """async () => {
    const found = await axe.run({include: [['.w2s']]}, {resultTypes: ['violations']});
    return found.violations.map(v => `${v.impact} ${v.id}: ${v.help} (${v.nodes.length}): `
        + [...new Set(v.nodes.map(n => n.html.replace(/\\s+/g, ' ').slice(0, 160)))].slice(0, 3).join(' | '));
}"""
UNNAMED = """() => [...document.querySelectorAll('.w2s .noUi-handle, .w2s select, .w2s input')].filter(node => {
    const by = node.getAttribute('aria-labelledby'), label = node.labels?.[0]?.textContent;
    const name = node.getAttribute('aria-label') || (by && document.getElementById(by)?.textContent) || label;
    return !name?.trim() || node.type === 'checkbox' && name.trim().length < 2;  // a letter names no option
}).map(node => `${node.closest('.w2s').innerText.slice(0, 40)}: ${node.outerHTML.slice(0, 400)}`)"""


def looked_at(page: Page, axe: str, pictures: Path | None) -> list[str]:
    """What is wrong in any of the windows and themes."""
    found = []
    for theme in THEMES:
        page.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
        for width in WIDTHS:
            page.page.set_viewport_size({"width": width, "height": 900})
            page.page.evaluate("""() => { const left = window.jupyterapp.shell; left.collapseLeft?.(); }""")
            page.page.wait_for_timeout(1500)
            where = f"{theme}, {width} px"
            found += [f"{where}: {text}" for text in page.page.evaluate(LAID_OUT, [CONTROLS, SMALLEST])]
            page.page.evaluate(axe)
            said = page.page.evaluate(AXE)
            found += [f"{where}: {text}" for text in said if text.startswith(("serious", "critical"))]
            for number, panel in enumerate(page.page.query_selector_all(".w2s") if pictures else ()):
                panel.screenshot(path=pictures / f"{number:02}-{width}-{theme.split()[1].lower()}.png")
    return found + [f"no name: {html}" for html in page.page.evaluate(UNNAMED)]


def arrows_in_a_menu(page: Page) -> list[str]:
    """An arrow key chooses in a menu, and the notebook stays where it is."""
    state = "() => [document.activeElement.value, window.jupyterapp.shell.currentWidget.content.activeCellIndex]"
    page.page.locator(".w2s select:has(option + option)").first.focus()
    (before, cell), _ = page.page.evaluate(state), page.page.keyboard.press("ArrowDown")
    after, then = page.page.evaluate(state)
    if before == after or cell != then:
        return [f"ArrowDown in a menu: {before!r} -> {after!r}, cell {cell} -> {then}"]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js of the npm package axe-core")
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of each panel")
    arguments = parser.parse_args()
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "notebooks").mkdir()
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        cells = [new_code_cell(text) for text in (SET_UP, *SHOWN)]
        nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "notebooks" / "all.ipynb")
        with server(folder, **OFFLINE) as (address, token), browser() as chromium:
            window = chromium.new_page(viewport={"width": 1280, "height": 900})
            page = Page(window, address, token).watch()
            page.open_notebook("all.ipynb", timeout=600)
            page.run_all(timeout=900)
            found = looked_at(page, arguments.axe.read_text(encoding="utf-8"), arguments.pictures)
            found += arrows_in_a_menu(page)
            found += [f"asked of another host: {address}" for address in page.outside]
    for text in found:
        print(text)
    print(f"{len(found)} findings in {len(SHOWN)} cells")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
