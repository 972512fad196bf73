"""A stand-in for the Hugging Face Hub on 127.0.0.1, and a process that loads from it through the real client libraries.

The client reads HF_ENDPOINT and HF_HOME when it is imported, so what is tested runs in a process of its own, a
`Worker`: this file as a script, which takes one call a line.
"""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from places import ROOT

TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyz012345678"  # opens private repositories here


class Hub:
    """Repositories by kind ("models" or "datasets") and name; every request is logged as (method, path, Range, status).

    Attributes:
        cut: bytes of a file's body after which the connection is closed; None: never.
    """

    def __init__(self) -> None:
        self.commits: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}
        self.names: dict[tuple[str, str], dict[str, str]] = {}
        self.access: dict[tuple[str, str], str] = {}
        self.log: list[tuple[str, str, str | None, int]] = []
        self.cut: int | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen; on the same port again after `stop`."""
        self.connections: set[socket.socket] = set()
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Close all connections and refuse new ones."""
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, kind: str, name: str, files: dict[str, bytes], *, revision: str = "main", access: str = "open"):
        """Commit these files; `access` is open, private, gated, or talkative: quotes tokens."""
        listing = "".join(f"{path}{hashlib.sha1(body).hexdigest()}" for path, body in sorted(files.items()))
        commit = hashlib.sha1(f"{kind}{name}{listing}".encode()).hexdigest()
        self.commits.setdefault((kind, name), {})[commit] = files
        self.names.setdefault((kind, name), {})[revision] = commit
        self.access[kind, name] = access

    def bodies(self) -> list[str]:
        """Paths of the files whose content was sent since the log was last cleared."""
        return [
            path for method, path, _, status in self.log if method == "GET" and "/resolve/" in path and status < 300
        ]


class _Handler(BaseHTTPRequestHandler):
    """The part of the Hub's protocol that huggingface_hub and datasets use to read."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.hub.connections.add(self.connection)

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        """`/api/KIND/OWNER/NAME[/revision|tree|paths-info/REVISION]`, `[datasets/]/OWNER/NAME/resolve/REVISION/FILE`"""
        self.sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))  # else the next request starts in it
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[0] == "api" and len(parts) >= 4 and parts[1] in ("models", "datasets"):
            self.in_repository(parts[1], "/".join(parts[2:4]), parts[4] if parts[4:] else "info", parts[5:])
        elif parts[0] == "datasets" and "resolve" in parts:
            self.in_repository("datasets", "/".join(parts[1:3]), "resolve", parts[4:])
        elif len(parts) > 4 and parts[2] == "resolve":
            self.in_repository("models", "/".join(parts[:2]), "resolve", parts[3:])
        else:
            self.refuse(404, "EntryNotFound")

    def in_repository(self, kind: str, name: str, what: str, rest: list[str]) -> None:
        key = kind, name
        known, access = key in self.hub.names, self.hub.access.get(key)
        shown = self.headers.get("Authorization")
        trusted = shown == f"Bearer {TOKEN}"
        if shown and not trusted:
            self.refuse(401, "", message="Invalid credentials in Authorization header")
        elif not known or (access == "private" and not trusted):
            self.refuse(404 if trusted or not known else 401, "RepoNotFound")
        elif access == "talkative":
            self.refuse(400, "Odd", message=f"you sent {shown}")
        elif access == "gated" and what == "resolve":
            self.refuse(403 if trusted else 401, "GatedRepo")
        else:
            revision = rest[0] if rest else "main"
            commit = self.hub.names[key].get(revision, revision)
            if commit not in self.hub.commits[key]:
                self.refuse(404, "RevisionNotFound")
            elif what == "resolve":
                self.send_file(commit, self.hub.commits[key][commit].get("/".join(rest[1:])))
            elif what in ("info", "revision"):
                self.send_json(self.info(key, commit))
            elif what == "tree":
                self.send_tree(self.hub.commits[key][commit], "/".join(rest[1:]))
            elif what == "paths-info":
                self.send_json([entry for path in self.asked_paths() for entry in self.entry(key, commit, path)])
            else:
                self.refuse(404, "EntryNotFound")

    def info(self, key: tuple[str, str], commit: str) -> dict:
        files = self.hub.commits[key][commit]
        return {
            "id": key[1],
            "sha": commit,
            "private": self.hub.access[key] == "private",
            "gated": "manual" if self.hub.access[key] == "gated" else False,
            "tags": [],
            "downloads": 0,
            "siblings": [{"rfilename": path} for path in files],
        }

    def send_tree(self, files: dict[str, bytes], folder: str) -> None:
        """Files and folders below a folder, all of them or one level."""
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
        start = f"{folder}/" if folder else ""
        entries = {}
        for path in (path for path in files if path.startswith(start)):
            inside = path[len(start) :].split("/")
            for depth in range(1, len(inside)):
                parent = start + "/".join(inside[:depth])
                entries[parent] = {"type": "directory", "path": parent, "oid": "0" * 40, "size": 0}
            entries[path] = _file_entry(path, files[path])
        if not recursive:
            entries = {path: entry for path, entry in entries.items() if "/" not in path[len(start) :]}
        if folder and not entries:
            self.refuse(404, "EntryNotFound")
        else:
            self.send_json(list(entries.values()))

    def asked_paths(self) -> list[str]:
        if "json" in self.headers.get("Content-Type", ""):
            return json.loads(self.sent)["paths"]
        return parse_qs(self.sent.decode()).get("paths", [])

    def entry(self, key: tuple[str, str], commit: str, path: str) -> list[dict]:
        files = self.hub.commits[key][commit]
        if path in files:
            return [_file_entry(path, files[path])]
        is_folder = any(other.startswith(f"{path}/") for other in files)
        return [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0}] if is_folder else []

    def send_file(self, commit: str, body: bytes | None) -> None:
        if body is None:
            self.refuse(404, "EntryNotFound", commit)
            return
        wanted = self.headers.get("Range")
        start, end = (int(x) if x else None for x in (wanted or "bytes=0-").removeprefix("bytes=").split("-"))
        end = len(body) - 1 if end is None else min(end, len(body) - 1)
        part = body[start : end + 1]
        self.reply(
            206 if wanted else 200,
            part,
            {
                "ETag": f'"{hashlib.sha1(body).hexdigest()}"',
                "X-Repo-Commit": commit,
                "Accept-Ranges": "bytes",
                "Content-Type": "application/octet-stream",
                **({"Content-Range": f"bytes {start}-{end}/{len(body)}"} if wanted else {}),
            },
            stop=None if self.hub.cut is None else max(0, self.hub.cut - start),
        )

    def send_json(self, value: object) -> None:
        self.reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, code: str, commit: str = "", message: str = "refused") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        self.reply(status, b'{"error": "refused"}', headers | ({"X-Repo-Commit": commit} if commit else {}))

    def reply(self, status: int, body: bytes, headers: dict[str, str], stop: int | None = None) -> None:
        """Send all of it, or `stop` bytes and close the connection."""
        self.hub.log.append((self.command, urlsplit(self.path).path, self.headers.get("Range"), status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:stop])
            if stop is not None and stop < len(body):
                self.close_connection = True


def _file_entry(path: str, body: bytes) -> dict:
    return {"type": "file", "path": path, "oid": hashlib.sha1(body).hexdigest(), "size": len(body)}


class Worker:
    """A Python process that loads models and data sets from a `Hub`; its cache is `home`."""

    def __init__(self, endpoint: str, home: Path, **environment: str) -> None:
        self.errors = home / f"stderr-{time.monotonic_ns()}.txt"
        home.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors.open("w"),
            text=True,
            cwd=ROOT,
            env=client_environment(endpoint, home, **environment),
        )

    def __call__(self, what: str, *arguments: object, token: str | None = None, **options: object) -> dict:
        """What `load` or `read` below returns; or {"error", "cause"}, the messages; or {"crash"}, a traceback."""
        call = {"what": what, "arguments": arguments, "options": options, "token": token}
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the worker died:\n{self.errors.read_text()[-2000:]}"
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)


def client_environment(endpoint: str, home: Path, **more: str) -> dict[str, str]:
    """The environment of a process whose Hub is `endpoint`: no token, no proxy, a cache of its own."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and "proxy" not in key.lower()}
    own |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    return own | {"PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | more


# -- inside the worker -------------------------------------------------------------------------------------------------


def load(name: str, **options: object) -> dict:
    """A model's digest and its log-probabilities of two answers."""
    import torch

    from w2s_lab.models.loading import load_model
    from w2s_lab.records import Example

    model = load_model(name, device="cpu", **options)
    prompts, answers = model._prompt_tokens([Example("Judge.", "a great film")]), model.encode_answers(["yes", "no"])
    with torch.no_grad():
        scores = model.log_probs(prompts, answers)[0].tolist()
    return {"digest": model.digest, "name": model.name, "scores": scores, "pad": model.tokenizer.pad_token_id}


def read(source: str, **options: object) -> dict:
    """A source's task, examples, notes and warnings."""
    import warnings

    from w2s_lab.data.sources import read_examples

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task, examples, notes = read_examples(source, **options)
    rows = [[e.instruction, e.input, e.answer, list(e.tags), e.id] for e in examples]
    shown = [str(w.message) for w in caught if w.category.__name__ == "DataWarning"]
    return {"task": task.name, "answers": task.answers, "examples": rows, "notes": notes, "warnings": shown}


def cases() -> None:
    """Run one call a line until the input ends."""
    from huggingface_hub import constants

    constants.DOWNLOAD_CHUNK_SIZE = 256  # bytes that are kept at a time; 10 MB in real life, too many for tiny files
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, 0.05))  # the client waits five seconds before it gives up
    for line in sys.stdin:
        call = json.loads(line)
        os.environ.pop("HF_TOKEN", None)
        if call["token"]:
            os.environ["HF_TOKEN"] = call["token"]
        try:
            answer = {"load": load, "read": read}[call["what"]](*call["arguments"], **call["options"])
        except ValueError as error:
            cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
            answer = {"error": f"{error}", "cause": f"{cause}"}
        except Exception:
            answer = {"crash": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    cases()
