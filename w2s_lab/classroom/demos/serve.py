"""The server of the demos, on 127.0.0.1 alone: a menu, a page for each demo, and behind each page a process of its own.

No torch and no notebook server here, so that the menu answers at once. A browser needs the token in every request;
what comes under another host's name is refused, and the page may ask no other host for anything.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from w2s_lab import assets

HERE = Path(__file__).parent
NAMES = "roles tokens why race flips errors soft choosing flywheel budget english"
SHIPPED = {name: HERE / f"{name}.ipynb" for name in NAMES.split()}
POLICY = "default-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


def find_demos(what: str | None = None) -> dict[str, Path]:
    """Name -> notebook: of one demo of the kit, of a notebook, or of all in a folder; None: all demos of the kit.

    Raises:
        ValueError: there is no such demo; the message names those that there are.
    """
    if what is None or what in SHIPPED:
        return {name: path for name, path in SHIPPED.items() if what in (None, name)}
    place = assets.user_path(what).absolute()
    found = sorted(place.glob("*.ipynb")) if place.is_dir() else [place]
    if not found or not all(path.is_file() and path.suffix == ".ipynb" for path in found):
        known = ", ".join(SHIPPED)
        raise ValueError(f"there is no demo {what!r}; expected one of {known}, a notebook or a folder of them")
    return {path.stem: path for path in found}


def about(path: Path) -> tuple[str, str]:
    """Title and text of a demo: the first cell of its notebook, where that is text.

    Raises:
        ValueError: it is no notebook.
    """
    try:
        cell = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
        words = "".join(cell["source"]) if cell["cell_type"] == "markdown" else ""
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as a notebook ({type(error).__name__}: {error})") from error
    title, _, rest = words.strip().partition("\n")
    return title.lstrip("# ") or path.stem, " ".join(rest.split())


class DemoProcess:
    """A process of `worker`, which has imported what takes long before it is told which notebook it is for.

    Args:
        store: where trainings are kept.
    """

    def __init__(self, store: Path) -> None:
        command = [sys.executable, "-m", "w2s_lab.classroom.demos.worker"]
        path = os.pathsep.join(filter(None, [str(assets.PACKAGE.parent), os.environ.get("PYTHONPATH")]))
        variables = {**os.environ, assets.STORE_VARIABLE: str(store), "PYTHONPATH": path}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
        self.process = subprocess.Popen(command, env=variables, **pipes)
        self.lock, self.opened = threading.Lock(), (0.0, {})

    def open(self, notebook: Path) -> dict[str, Any]:
        """The screens of a notebook; it is run again only if it has changed, or went wrong."""
        changed = notebook.stat().st_mtime
        if self.opened[0] != changed or "error" in self.opened[1]:
            self.opened = changed, self.answer({"open": str(notebook.absolute())})
        return self.opened[1]

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """What the process answers; {"error": ...} if it has ended. One question at a time."""
        with self.lock:
            try:
                self.process.stdin.write(json.dumps(message) + "\n")
                self.process.stdin.flush()
                return json.loads(self.process.stdout.readline())
            except (OSError, ValueError):  # a closed pipe, or no line
                return {"error": "The process of this demo has ended. Open the demo again from the menu."}

    def end(self) -> None:
        """Stop it, also in the middle of a training."""
        self.process.terminate()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):  # what was to be written to a process that had ended
                pipe.close()


class DemoServer(ThreadingHTTPServer):
    """Serves these demos at `address`, until it is closed.

    Args:
        demos: name -> notebook.
        store: where trainings are kept.
        port: 0: any that is free.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, demos: Mapping[str, Path], store: Path, *, port: int = 0) -> None:
        self.about = {name: about(path) for name, path in demos.items()}
        super().__init__(("127.0.0.1", port), _Handler)
        self.demos, self.store, self.token = dict(demos), store.absolute(), secrets.token_urlsafe(24)
        self.hosts = {f"{host}:{self.server_port}" for host in ("127.0.0.1", "localhost")}
        self.lock, self.running = threading.Lock(), {}
        self.spare = DemoProcess(self.store)

    def address(self, name: str = "") -> str:
        """Of the menu or of a demo, with the token."""
        return f"http://127.0.0.1:{self.server_port}/{quote(name)}?token={self.token}"

    def open(self, name: str) -> dict[str, Any]:
        """The screens of a demo, whose process is started where there is none; see `worker`."""
        with self.lock:
            process = self.running.get(name)
            if process is None or process.process.poll() is not None:
                if process is not None:
                    process.end()  # its pipes are open still
                process, self.spare = self.spare or DemoProcess(self.store), None
                self.running[name] = process
        reply = process.open(self.demos[name])
        with self.lock:
            self.spare = self.spare or DemoProcess(self.store)  # for the next demo; not while this one was being made
        return reply

    def server_close(self) -> None:
        """Free the port and end all processes."""
        super().server_close()
        for process in filter(None, [self.spare, *self.running.values()]):
            process.end()


class _Handler(BaseHTTPRequestHandler):
    server: DemoServer

    def do_GET(self) -> None:
        name = self._asked_for()
        if name == "":
            self._send(200, _menu(self.server))
        elif name is not None:
            page = (HERE / "page.html").read_text(encoding="utf-8")
            self._send(200, page.replace("TITLE", escape(self.server.about[name][0])))

    def do_POST(self) -> None:
        name = self._asked_for()
        if name:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            process = self.server.running.get(name)
            found = process.answer(message) if process and "at" in message else self.server.open(name)
            self._send(200, json.dumps(found), "application/json")

    def _asked_for(self) -> str | None:
        """The name of a demo, "" for the menu; None: the request was refused."""
        parts = urlsplit(self.path)
        name, given = unquote(parts.path[1:]), parse_qs(parts.query).get("token", [""])[0]
        if self.headers.get("Host") not in self.server.hosts:
            return self._send(403, "Refused: only this machine may ask, under the address 127.0.0.1.")
        if not secrets.compare_digest(given.encode(), self.server.token.encode()):
            return self._send(403, "Refused: the token is missing. Open the address that w2s-lab demo printed.")
        if name and name not in self.server.demos:
            return self._send(404, escape(f"There is no demo {name}; there are {', '.join(self.server.demos)}."))
        return name

    def _send(self, status: int, text: str, kind: str = "text/html") -> None:
        self.send_response(status)
        body = text.encode()
        for head, value in (
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(head, value)
        with contextlib.suppress(ConnectionError):  # the page was left before its answer came
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, form: str, *arguments: object) -> None:
        """The terminal is for what demos print."""


def _menu(server: DemoServer) -> str:
    links = "".join(
        f'<li><a href="/{quote(name)}?token={server.token}">{escape(title)}</a><p>{escape(text)}</p></li>'
        for name, (title, text) in server.about.items()
    )
    return (HERE / "menu.html").read_text(encoding="utf-8").replace("DEMOS", links)
