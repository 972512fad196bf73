"""The repository is what docs/architecture.md says, and small enough to clone."""

import re
import subprocess
from pathlib import Path

import pytest
from places import ROOT
from test_layers import LAYERS

from w2s_lab.version import __version__

PAGE = ROOT / "docs" / "architecture.md"

MEGABYTE = 1_000_000
NOT_OURS = {".git", ".venv", "runs", "build", "dist", "__pycache__", ".ipynb_checkpoints"}
CACHES = {".hypothesis", ".pytest_cache", ".ruff_cache"}


def repository_files() -> list[Path]:
    """Every file that is tracked or would be after `git add --all`; without git, every file but the usual leftovers."""
    # A checkout may belong to another user than the one who runs the tests.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        paths = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        paths = []
    if not paths:
        leftovers = NOT_OURS | CACHES
        paths = [path for path in ROOT.rglob("*") if not leftovers & set(path.relative_to(ROOT).parts)]
        paths = [path for path in paths if not any(part.endswith((".egg-info", ".partial")) for part in path.parts)]
    return sorted(path for path in paths if path.is_file())


FILES = repository_files()


# --- the annotated tree in docs/architecture.md ---


def tree_paths(block: str) -> list[str]:
    """The paths that an annotated tree names, in order; folders end in a slash.

    One entry a line, several names separated by ", "; what follows two spaces or a # is the annotation. Nesting is
    shown by indentation or by box-drawing characters. A line deeper than a file continues its annotation.

    >>> tree_paths("w2s_lab/\\n  records.py, data.py   what crosses borders\\n  pocket/\\n    tasks.py")
    ['w2s_lab/', 'w2s_lab/records.py', 'w2s_lab/data/sources.py', 'w2s_lab/pocket/', 'w2s_lab/pocket/tasks.py']
    """
    paths: list[str] = []
    parents: list[tuple[int, str]] = []  # (depth, path) of the entries around the present one
    for line in block.splitlines():
        bare = re.sub(r"[│├└─|`]", " ", line)
        entry = bare.strip()
        if not entry or entry.startswith("#"):
            continue
        depth = len(bare) - len(bare.lstrip())
        while parents and parents[-1][0] >= depth:
            parents.pop()
        parent = parents[-1][1] if parents else ""
        if parent and not parent.endswith("/"):
            continue
        names = [parent + name for name in re.split(r"\s{2,}|\s#", entry)[0].split(", ")]
        paths += names
        parents.append((depth, names[0]))
    return paths


def annotated_tree() -> list[str]:
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    trees = [block for block in blocks if "w2s_lab/" in block]
    assert trees, f"{PAGE.name} has no ``` block with the annotated tree (one that contains w2s_lab/)"
    lines = [line for line in trees[0].splitlines() if line.strip()]
    # A first line such as "w2s-lab/" or "." may name the clone itself.
    if not (ROOT / lines[0].split()[0]).is_dir() or lines[0].split()[0] in (".", "./"):
        lines = lines[1:]
    return tree_paths("\n".join(lines))


def test_a_tree_is_read_in_both_drawings():
    plain = """
w2s_lab/            the library
  a.py, b.py        two,
                    of a kind
  pocket/
    c.py            # see
Makefile
"""
    boxes = """
├── w2s_lab/        # the library
│   ├── a.py, b.py  # two
│   └── pocket/
│       └── c.py    # see
└── Makefile
"""
    expected = ["w2s_lab/", "w2s_lab/a.py", "w2s_lab/b.py", "w2s_lab/pocket/", "w2s_lab/pocket/c.py", "Makefile"]
    assert tree_paths(plain) == expected
    assert tree_paths(boxes) == expected


def test_what_the_tree_names_exists():
    named = annotated_tree()
    missing = [path for path in named if not any(ROOT.glob(path.rstrip("/"))) or "//" in path]
    assert not missing, f"the tree in {PAGE.name} names what is not there: {missing}"
    assert not [path for path in named if (ROOT / path).is_dir() and not path.endswith("/")], "folders end in a slash"
    assert len(named) == len(set(named))


def test_the_tree_names_what_exists():
    """Everything at the top, and every module and every folder of the package."""
    named = {path.rstrip("/") for path in annotated_tree()}
    relative = [path.relative_to(ROOT) for path in FILES]
    top_level = {path.parts[0] for path in relative}
    modules = {path.as_posix() for path in relative if path.parts[0] == "w2s_lab" and path.suffix == ".py"}
    folders = {Path(module).parent.as_posix() for module in modules}
    modules = {path for path in modules if not path.endswith("__init__.py") and "/exercises/nb" not in path}
    # A study is named in studies/__init__.py, a dashboard in classroom/__init__.pyi.
    modules = {path for path in modules if not path.startswith(("w2s_lab/studies/", "w2s_lab/classroom/dashboards/"))}
    assert modules
    assert not sorted((top_level | modules | folders) - named), f"not in the tree in {PAGE.name}"


def test_the_layers_are_those_that_are_checked():
    """The table of layers, from the top, against the one that test_layers.py checks imports with."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    shown = [set(re.findall(r"`(\w+)`", row)) for row in rows if not re.match("`[A-Z]", row)]
    assert shown == [set(row) for row in reversed(LAYERS)]


# --- sizes ---


def test_no_file_is_large():
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size / MEGABYTE for path in FILES}
    assert "pyproject.toml" in sizes
    assert not {name: size for name, size in sizes.items() if size > 13}


def test_the_models_fit_in_20_megabytes():
    models = [path for path in FILES if path.is_relative_to(ROOT / "data" / "models")]
    assert sum(path.stat().st_size for path in models) <= 20 * MEGABYTE


# --- requirements and texts ---


def test_every_requirement_has_its_reason():
    lines = [line.strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()]
    requirements = [line for line in lines if line and not line.startswith("#")]
    assert requirements
    assert not [line for line in requirements if not line.partition(" #")[2].strip()]


def test_it_is_cited_with_its_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


# An absolute path: at the start of a word (also behind the \n of a JSON string, and behind file://), not in an address.
FOREIGN_PATH = re.compile(r"(?:(?<![\w./~-])|(?<=\\[nrt])|(?<=file://))/(?:work|root)/")


@pytest.mark.parametrize("before", ["", " ", '"', "=", "(", ":", "\\n", "file://"])
def test_a_foreign_path_is_noticed(before):
    assert FOREIGN_PATH.search(before + "/" + "work/main")


@pytest.mark.parametrize("before", ["https://example.org", "frame", ".", "~"])
def test_other_paths_are_left_alone(before):
    assert not FOREIGN_PATH.search(before + "/" + "root/main")


def test_no_file_names_the_machine_it_was_written_on():
    found = []
    for path in FILES:
        content = path.read_bytes()
        if b"\0" not in content and FOREIGN_PATH.search(content.decode("utf-8", errors="replace")):
            found.append(path.relative_to(ROOT).as_posix())
    assert not found, f"absolute paths of one machine: {found}"
