"""One known file from the package index that pip uses: found by name, checked by digest, never built and never run.

Which index, proxy and certificates: pip's configuration and the usual environment variables say so.
"""

import ast
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from w2s_lab.data.tables import DataError
from w2s_lab.system.files import said_with_path, sha256

CHUNK = 1 << 18
TRIES = 3  # a download that breaks off goes on by itself so often

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


class FetchError(DataError):
    """Something cannot be fetched, or has not been; the message is one sentence and a hint."""


class Unreachable(FetchError):
    """The index cannot be reached from here."""


@dataclass(frozen=True)
class IndexFile:
    """A file of the package index, or of any other place, of which the content is known.

    Attributes:
        filename: as the index lists it.
        size: in bytes.
        sha256: of its content.
        project: under which the index lists it.
        url: where else it is; None: in the index.
    """

    filename: str
    size: int
    sha256: str
    project: str = ""
    url: str | None = None

    def __post_init__(self) -> None:
        plain = self.filename == Path(self.filename).name and self.filename not in ("", ".", "..")
        if not plain or len(self.sha256) != 64 or bool(self.project) == bool(self.url):
            raise ValueError(f"{self}: expected a plain file name, 64 hex digits, and either a project or a url")


def check_file(path: Path, file: IndexFile) -> None:
    """Raise FetchError unless this is the very file."""
    if not path.is_file():
        raise FetchError(f"{path}: there is no such file. Hint: expected a copy of {file.filename}")
    found = sha256(path)
    if found != file.sha256:
        raise FetchError(
            f"{path} is not {file.filename} (sha256 {found[:12]}..., expected {file.sha256[:12]}...). Hint: it may be "
            "cut off or another version; copy it again"
        )


def download(file: IndexFile, folder: Path, progress: Progress | None = None) -> Path:
    """The file in `folder`; downloaded unless it is there. What arrived before a stop is used by the next call.

    Raises:
        FetchError: it cannot be had, or has another content; Unreachable: there is no way to the index.
        OSError: the disk is full, or the folder cannot be written.
    """
    path, part = folder / file.filename, folder / f"{file.filename}.{file.sha256[:8]}.part"
    if path.is_file() and path.stat().st_size == file.size and sha256(path) == file.sha256:
        return path
    progress = progress or (lambda *_: None)
    progress(file.filename, 0, file.size)
    with said_with_path(folder):
        folder.mkdir(parents=True, exist_ok=True)
    settings = pip_settings()
    url = file.url or _find(file, settings)
    if url.startswith("file:"):
        with said_with_path(part):
            shutil.copyfile(_local(url), part)
    else:
        _receive(file, url, part, settings, progress)
    found = sha256(part)
    if found != file.sha256:
        part.unlink()
        raise FetchError(
            f"{file.filename}: {_host(url)} sent another content (sha256 {found[:12]}..., expected "
            f"{file.sha256[:12]}...), which was deleted. Hint: run it again; if it happens again, tell those who run "
            "that index or the proxy before it"
        )
    with said_with_path(path):
        os.replace(part, path)
    return path


# -- what pip is set to ------------------------------------------------------------------------------------------


def pip_settings() -> dict[str, str]:
    """Option -> value of pip's configuration, such as `index-url`; environment variables go first, as in pip."""
    found: dict[str, str] = {}
    try:
        command = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL).stdout
    except (OSError, subprocess.SubprocessError):
        listed = ""  # without pip, its environment variables are all there is
    lines = [line.partition("=") for line in listed.splitlines()]
    for section in ("global", "install", "download"):
        for key, _, value in lines:
            if key.startswith(f"{section}."):
                try:
                    found[key.partition(".")[2]] = str(ast.literal_eval(value))
                except (ValueError, SyntaxError):
                    continue
    own = {key: value for key, value in os.environ.items() if key.startswith("PIP_") and value}
    return found | {key[4:].lower().replace("_", "-"): value for key, value in own.items()}


def index_urls(settings: dict[str, str]) -> list[str]:
    """The simple indexes, the main one first."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    main = settings.get("index-url", PYPI_SIMPLE_ENDPOINT)
    return [url.rstrip("/") + "/" for url in (main, *settings.get("extra-index-url", "").split())]


def _host(url: str) -> str:
    """What messages call a server: no user, no password, no path."""
    return urlsplit(url).hostname or "this disk"


def _local(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


# -- finding and receiving ---------------------------------------------------------------------------------------


def _session(settings: dict[str, str]) -> Any:
    """A session with the system's certificates beside those of requests, and pip's proxy."""
    import requests
    from requests.adapters import HTTPAdapter

    class SystemCertificates(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, ssl_context=ssl.create_default_context(), **options)

        def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*arguments, ssl_context=ssl.create_default_context(), **options)

    session = requests.Session()
    session.mount("https://", SystemCertificates())
    session.verify = settings.get("cert") or True
    session.cert = settings.get("client-cert")
    if settings.get("proxy"):
        session.proxies = dict.fromkeys(("http", "https"), settings["proxy"])
    return session


def _timeout(settings: dict[str, str]) -> tuple[float, float]:
    """Seconds to connect, and between two pieces of an answer."""
    try:
        return 15.0, float(settings.get("timeout", 60))
    except ValueError:
        return 15.0, 60.0


def _find(file: IndexFile, settings: dict[str, str]) -> str:
    """The address of a file in the first index that lists it with the right digest, or without any."""
    from requests import RequestException

    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        raise Unreachable(f"{file.filename}: pip is set to use no index. Hint: {_by_hand(file)}")
    problems: list[FetchError] = []
    with _session(settings) as session:
        for index in index_urls(settings):
            try:
                digests = _listed(session, index, file, settings)
            except (RequestException, OSError, ValueError) as error:
                problems.append(_explained(error, index, file))
                continue
            for url, digest in digests:
                if digest in (None, file.sha256):
                    return url
            what = "lists another file under this name" if digests else "does not have it"
            problems.append(
                FetchError(f"{file.filename}: the package index {_host(index)} {what}. Hint: {_by_hand(file)}")
            )
    raise problems[0]


def _listed(session: Any, index: str, file: IndexFile, settings: dict[str, str]) -> list[tuple[str, str | None]]:
    """(address, sha256 or None) of the files of this name in an index; none where it does not know the project."""
    from pypi_simple import ACCEPT_ANY, ProjectPage

    address = f"{index}{file.project}/"
    if index.startswith("file:"):
        page = _local(address) / "index.html"
        found = ProjectPage.from_html(file.project, page.read_bytes(), base_url=address) if page.is_file() else None
    else:
        answer = session.get(address, headers={"Accept": ACCEPT_ANY}, timeout=_timeout(settings))
        if answer.status_code == 404:
            return []
        answer.raise_for_status()
        found = ProjectPage.from_response(answer, file.project)
    packages = found.packages if found else []
    return [(p.url, p.digests.get("sha256")) for p in packages if p.filename == file.filename]


class _Broken(Exception):
    """The connection broke off while a file arrived; what requests said is its cause."""


def _receive(file: IndexFile, url: str, part: Path, settings: dict[str, str], progress: Progress) -> None:
    """Append to `part` what it lacks; where the connection breaks off, try again from there."""
    from requests import HTTPError, RequestException

    with _session(settings) as session:
        for tries_left in reversed(range(TRIES)):
            have = part.stat().st_size if part.exists() else 0
            if have >= file.size:
                return
            wanted = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            try:
                with session.get(url, headers=wanted, timeout=_timeout(settings), stream=True) as answer:
                    if answer.status_code == 416:  # it has no bytes from there on
                        part.unlink()
                        continue
                    answer.raise_for_status()
                    goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
                    _append(answer, part, have if goes_on else 0, file, progress)
            except HTTPError as error:
                raise _explained(error, url, file) from None
            except (RequestException, _Broken) as error:
                if not tries_left:
                    raise _explained(error.__cause__ or error, url, file, part) from None
    if not part.exists() or part.stat().st_size < file.size:
        raise _interrupted(file, url, part)


def _append(answer: Any, part: Path, have: int, file: IndexFile, progress: Progress) -> None:
    """Write an answer's body behind the first `have` bytes of `part`, and not more than one byte too many."""
    with said_with_path(part), open(part, "ab" if have else "wb") as out:
        for piece in _pieces(answer):
            piece = piece[: file.size + 1 - have]
            out.write(piece)
            have += len(piece)
            progress(file.filename, min(have, file.size), file.size)
            if have > file.size:
                return  # its digest will not be right


def _pieces(answer: Any) -> Iterator[bytes]:
    from requests import RequestException

    try:
        yield from answer.iter_content(CHUNK)
    except RequestException as error:  # an OSError too, but none of the disk
        raise _Broken from error


def _interrupted(file: IndexFile, url: str, part: Path) -> Unreachable:
    have = part.stat().st_size if part.exists() else 0
    return Unreachable(
        f"{file.filename}: the download from {_host(url)} was interrupted after {have / 1e6:.1f} of "
        f"{file.size / 1e6:.1f} MB. Hint: run it again; what had arrived is kept"
    )


def _by_hand(file: IndexFile) -> str:
    return f"get {file.filename} from another machine, and give it by --from FILE"


def _explained(error: BaseException, url: str, file: IndexFile, part: Path | None = None) -> FetchError:
    """One sentence and a hint on what went wrong between here and a server."""
    from requests import exceptions

    host, text = _host(url), " ".join(str(error).split())
    status = getattr(getattr(error, "response", None), "status_code", None)
    by_hand = _by_hand(file)
    if isinstance(error, exceptions.ProxyError) or status == 407:
        why = "407, it wants a name and a password" if status == 407 or "407" in text else "see HTTPS_PROXY"
        return Unreachable(
            f"{file.filename}: the proxy between here and {host} refuses ({why}). Hint: set HTTPS_PROXY or pip's "
            f"option proxy as your network wants it; or {by_hand}"
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or "TLS CA certificate" in text:
        return Unreachable(
            f"{file.filename}: the certificate of {host} is not trusted here. Hint: name your network's certificates "
            f"by PIP_CERT or SSL_CERT_FILE; or {by_hand}"
        )
    if status is not None:
        kind = Unreachable if status >= 500 or status in (401, 403, 429) else FetchError
        return kind(f"{file.filename}: {host} answered {status}. Hint: run it again later; or {by_hand}")
    if part is not None and part.exists() and part.stat().st_size:
        return _interrupted(file, url, part)
    if isinstance(error, (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError)):
        return Unreachable(f"{file.filename}: {host} cannot be reached. Hint: check the network; or {by_hand}")
    return FetchError(
        f"{file.filename}: {host} is not a package index that is understood ({type(error).__name__}). Hint: see "
        f"`pip config list`; or {by_hand}"
    )
