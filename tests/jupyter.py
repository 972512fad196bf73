"""A real browser on a real JupyterLab (or Voila), both on 127.0.0.1 and alone in their folders.

Used by the browser tests and by the benchmark of the dashboards. Chromium is the system's; nothing is downloaded.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.places import ROOT

NOTEBOOKS = ROOT / "notebooks"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
WINDOW = {"width": 1280, "height": 900}
# What a proxy would have to carry fails at once: nothing outside this machine can be asked for.
OFFLINE = {
    "TQDM_DISABLE": "1",  # stored notebooks hold no bars
    **{name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY")},
    "NO_PROXY": "127.0.0.1,localhost",
    "OMP_NUM_THREADS": "1",
}
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # All cells are in the page, also those off the screen: else their widgets cannot be found.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}


@dataclass
class Page:
    """One tab, and what it asked for.

    Attributes:
        page: playwright's.
        base: address of the server, with its token.
        outside: addresses that are not this machine's; should stay empty.
        errors: what the page's own console complained about.
    """

    page: object
    base: str
    token: str
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self) -> "Page":
        """Begin to note requests and errors."""

        def asked(request) -> None:
            host = urlsplit(request.url).hostname
            if host not in (None, "127.0.0.1", "localhost") and not request.url.startswith(("data:", "blob:")):
                self.outside.append(request.url)

        self.page.on("request", asked)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        return self

    def open_notebook(self, name: str, *, timeout: float = 120) -> None:
        """Open a notebook in JupyterLab, which is loaded once a tab, and wait until its kernel is idle."""
        if self.page.evaluate("() => Boolean(window.jupyterapp)"):
            self.page.evaluate("path => { window.jupyterapp.commands.execute('docmanager:open', {path}); }", name)
        else:
            self.page.goto(f"{self.base}/doc/tree/{name}?token={self.token}&reset", timeout=timeout * 1000)
        idle = """name => {
            const own = window.jupyterapp?.shell?.currentWidget;
            return own?.context?.path === name && own.sessionContext.session?.kernel?.status === 'idle';
        }"""
        self.page.wait_for_function(idle, arg=name, timeout=timeout * 1000)

    def run_all(self, *, timeout: float = 300) -> None:
        """Run all cells and wait for the last; raises AssertionError where one fails or none ends any more."""
        # Not awaited: the command's own promise has no time limit.
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        done = """() => {
            const own = window.jupyterapp.shell.currentWidget;
            const cells = [...own.content.model.cells].filter(c => c.type === 'code');
            const failed = cells.some(c => c.sharedModel.outputs.some(o => o.output_type === 'error'));
            const idle = own.sessionContext.session.kernel.status === 'idle';
            return failed || (idle && cells.every(c => c.executionCount > 0));
        }"""
        try:
            self.page.wait_for_function(done, timeout=timeout * 1000, polling=300)
        except Exception as error:
            state = self.page.evaluate("""() => {
                const own = window.jupyterapp.shell.currentWidget;
                const cells = [...own.content.model.cells].filter(c => c.type === 'code');
                const open = cells.findIndex(c => !(c.executionCount > 0));
                const dialog = document.querySelector('.jp-Dialog')?.innerText ?? 'none';
                return `kernel ${own.sessionContext.session?.kernel?.status}, first cell not done: ${open} of ` +
                    `${cells.length} (${cells[open]?.sharedModel.source}), dialog: ${dialog}`;
            }""")
            raise AssertionError(f"not done after {timeout:g} s: {state}") from error
        outputs = [output for _, given in self.cells() for output in given]
        wrong = [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]
        assert not wrong, wrong

    def cells(self) -> list[tuple[str, list[dict]]]:
        """Source and outputs of every code cell, as the page holds them."""
        return self.page.evaluate("""() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
            .filter(c => c.type === 'code').map(c => [c.sharedModel.source, c.sharedModel.outputs])""")

    def wait_until_idle(self, *, timeout: float = 300) -> None:
        """Until the kernel has done what a control asked for; a moment first, in which it is told."""
        self.page.wait_for_timeout(500)
        idle = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
        self.page.wait_for_function(idle, timeout=timeout * 1000, polling=300)

    def leave_notebook(self) -> bool:
        """Shut the kernel down, so that the next notebook has the memory; whether the tab can open another one."""
        with contextlib.suppress(Exception):
            return self.page.evaluate("""() => {
                const own = window.jupyterapp.shell.currentWidget;
                const gone = own.sessionContext.shutdown().then(() => { own.dispose(); return true; });
                return Promise.race([gone, new Promise(r => setTimeout(() => r(false), 10000))]);
            }""")
        return False

    def close(self) -> None:
        """Leave the notebook, and close the tab."""
        self.leave_notebook()
        self.page.close()


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


@contextlib.contextmanager
def server(
    folder: Path, *, program: str = sys.executable, voila: str = "", **variables: str
) -> Iterator[tuple[str, str]]:
    """JupyterLab on `folder`/notebooks, where the clone's are put beside what lies there; its address and its token.

    The store is the clone's, so trainings are done once for all tests.

    Args:
        program: Python, of the server and so of the kernels.
        voila: Voila instead, on the notebook of this name.
        variables: of its environment, and so of the kernels'.
    """
    own = folder / "notebooks"
    own.mkdir(parents=True, exist_ok=True)
    (folder / "data").symlink_to(ROOT / "data")
    for path in NOTEBOOKS.glob("*.ipynb"):
        if not (own / path.name).exists():
            shutil.copy(path, own)
    settings = folder / "app" / "settings"
    settings.mkdir(parents=True)
    (settings / "overrides.json").write_text(json.dumps(SETTINGS))
    port, token = free_port(), secrets.token_hex(16)
    places = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    environment = {**os.environ, **places, "JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "OMP_NUM_THREADS": "1"}
    environment |= {"W2S_LAB_PROGRESS": str(folder / "progress.json"), **variables}
    if not voila:
        command = [program, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
                   "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={own}",
                   "--LabApp.expose_app_in_browser=True", f"--LabApp.app_settings_dir={settings}"]  # fmt: skip
        command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        address, ready = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/api?token={token}"
    else:
        command = [program, "-m", "voila", str(own / voila), "--no-browser", f"--port={port}",
                   "--Voila.ip=127.0.0.1"]  # fmt: skip
        address, ready = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/voila/static/favicon.ico"
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(command, cwd=own, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, ready, folder / "server.log")
        yield address, token
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        log.close()


def _wait(process: subprocess.Popen, address: str, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5)
            return
        time.sleep(0.3)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-3000:]}")


@contextlib.contextmanager
def browser() -> Iterator[object]:
    """The system's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()


# -- what is in a page -------------------------------------------------------------------------------------------------

HANDLES = ".jupyter-widgets .noUi-handle"
# The words of the panel that an element is in: the nearest enclosing vertical box with a status line.
WORDS = """element => {
    for (let at = element; at; at = at.parentElement)
        if (at.classList.contains('widget-vbox')) {
            const found = [...at.querySelectorAll('[role=status], svg[role=img]')];
            if (found.length) return found.map(f => f.outerHTML).join(' ');
        }
    return '';
}"""
TITLE = """element => {
    for (let at = element; at; at = at.parentElement)
        if (at.classList.contains('widget-vbox') && at.querySelector('[role=status]')) {
            const control = element.closest('.widget-inline-hbox, .jupyter-widgets.widget-inline-hbox');
            const label = control?.querySelector('label')?.textContent ?? '';
            return at.querySelector('div')?.innerText.split('\\n')[0].trim() + (label ? ' · ' + label : '');
        }
    return '';
}"""


@contextlib.contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[socketserver.BaseServer]:
    """A server of this process, at work in a thread inside of the block."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
