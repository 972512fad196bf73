"""A package index on 127.0.0.1 that speaks the simple protocol, as HTML or as JSON, and fails on demand."""

import hashlib
import http.server
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from w2s_lab.data.package_index import IndexFile

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class Index:
    """What the server has and how it behaves; every request is logged as (path, Range, status).

    Attributes:
        files: (project, filename) -> content.
        html: it knows the older form of the protocol only.
        digests: it lists sha256 digests.
        status: what it answers to everything, if not None.
        cuts: bytes after which each of the next bodies breaks off.
        resumes: it answers to Range.
    """

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    html: bool = False
    digests: bool = True
    status: int | None = None
    cuts: list[int] = field(default_factory=list)
    resumes: bool = True
    log: list[tuple[str, str | None, int]] = field(default_factory=list)

    def start(self) -> None:
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"index": self}))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.root}/simple/"

    def put(self, project: str, filename: str, content: bytes) -> IndexFile:
        self.files[project, filename] = content
        return known(project, filename, content)

    def asked(self, what: str) -> list[str | None]:
        """The Range of each request for a file."""
        return [wanted for path, wanted, _ in self.log if path.endswith(what)]


def known(project: str, filename: str, content: bytes) -> IndexFile:
    return IndexFile(filename, len(content), hashlib.sha256(content).hexdigest(), project)


class _Handler(http.server.BaseHTTPRequestHandler):
    index: Index
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.reply(self.index.status or 405, b"", "text/plain")

    def do_GET(self) -> None:
        _, kind, project, *rest = [*urlsplit(self.path).path.split("/"), "", "", ""]  # a proxy is asked for a whole URL
        if self.index.status is not None:
            self.reply(self.index.status, b"refused", "text/plain")
        elif kind == "simple" and any(owner == project for owner, _ in self.index.files):
            self.page(project)
        elif kind == "files" and (project, rest[0]) in self.index.files:
            self.file(self.index.files[project, rest[0]])
        else:
            self.reply(404, b"not here", "text/plain")

    def page(self, project: str) -> None:
        found = {name: body for (owner, name), body in self.index.files.items() if owner == project}
        links = {name: f"../../files/{project}/{name}" for name in found}
        sums = {name: hashlib.sha256(body).hexdigest() for name, body in found.items() if self.index.digests}
        if self.index.html or JSON not in self.headers.get("Accept", ""):
            anchors = [
                f'<a href="{link}{f"#sha256={sums[name]}" if name in sums else ""}">{name}</a>'
                for name, link in links.items()
            ]
            self.reply(200, f"<!DOCTYPE html><html><body>{''.join(anchors)}</body></html>".encode(), "text/html")
            return
        files = [
            {"filename": name, "url": link, "hashes": {"sha256": sums[name]} if name in sums else {}}
            for name, link in links.items()
        ]
        body = {"meta": {"api-version": "1.0"}, "name": project, "files": files}
        self.reply(200, json.dumps(body).encode(), JSON)

    def file(self, body: bytes) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and self.index.resumes else None
        if start is None:
            self.reply(200, body, "application/octet-stream")
        elif start >= len(body):
            self.reply(416, b"", "text/plain")
        else:
            where = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            self.reply(206, body[start:], "application/octet-stream", where)

    def reply(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.index.log.append((self.path, self.headers.get("Range"), status))
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if kind == "application/octet-stream" and self.index.cuts:
            self.wfile.write(body[: self.index.cuts.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(body)


def files_below(folder: Path) -> set[str]:
    """Paths of all files, relative to a folder, what is not finished included."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
